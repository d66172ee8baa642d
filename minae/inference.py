r"""Inference of a sparse code by optimisation, against one pass of an encoder.     (sections 14.8, 19.3)

    E(h) = ½ ‖x − h V − c‖² + λ |h|₁ + ½ γ ‖h − f‖²         example by example

This is half of the book's (14.19) at g(h) = h V + c, with the book's λ twice ours and its γ ours: the factor ½ makes
the first term −log p(x | h), as in `minae.losses`. With γ = 0 it is sparse coding; f is what an encoder proposes.

Derivation: with Q = V Vᵀ + γ I and q = (x − c) Vᵀ + γ f, the smooth part of E is a quadratic function of h, whose
gradient ∇(h) needs one product (B, m)(m, m), whatever the size of x:
    E(h) − λ|h|₁ = ½ h Q hᵀ − h q + const,    ∇(h) = h Q − q
∇ is Lipschitz with constant ℓ, the largest eigenvalue of Q, so that E lies below a parabola through the present h:
    E(h′) ≤ E(h) − λ|h|₁ + ∇(h)·(h′ − h) + ½ ℓ ‖h′ − h‖² + λ|h′|₁
The parabola's minimum over h′ is ½ ‖h′ − (h − ∇(h)/ℓ)‖² + λ/ℓ |h′|₁ at its smallest, which `shrink` is the answer to:
    h ← shrink(h − ∇(h)/ℓ, λ/ℓ) = shrink(h S + q/ℓ, λ/ℓ),  S = I − Q/ℓ     ISTA's step (Daubechies et al. 2004)
"""

import math
from typing import Any

from minae import kernels
from minae.backend import namespace
from minae.errors import InputError


def largest_eigenvalue(V: Any, squarings: int = 8) -> float:
    """An upper bound on the largest eigenvalue of V Vᵀ, at most 1% above it for less than 150 rows or columns.

    (tr Aᵖ)^(1/p) with A = V Vᵀ or Vᵀ V, whichever is smaller, and p = 2^(squarings + 1): above the eigenvalue always,
    by a factor of size(A)^(1/p) at most. No eigensolver is needed, and an upper bound is what a safe step wants.
    """
    xp = namespace(V)
    A, log_bound, p = (
        kernels.products.matmul(V, V.T) if V.shape[0] <= V.shape[1] else kernels.products.matmul(V.T, V),
        0.0,
        1,
    )
    for k in range(squarings + 1):
        size = math.sqrt(float(xp.vdot(A, A)))  # ‖A‖_F, divided out so that no power overflows
        if size == 0 or not math.isfinite(size):
            return size
        log_bound += math.log(size) / p
        if k < squarings:
            A = A / size
            A, p = kernels.products.matmul(A, A), 2 * p
    return math.exp(log_bound)


class SparseCoding:
    r"""E(h) = ½ ‖x − h V − c‖² + λ |h|₁ + ½ γ ‖h − f‖²  and its minimiser over h, row by row.     (14.19)

    V: the dictionary (m, n), its rows are the atoms;  c: (n,), or None for 0;  lam: λ ≥ 0;  gamma: γ ≥ 0

    x is (B, n) and h, f are (B, m), on V's backend and in its dtype; f is needed where γ > 0.
    """

    def __init__(self, V: Any, c: Any = None, lam: float = 0.5, gamma: float = 0.0):
        if not (0 <= lam < math.inf and 0 <= gamma < math.inf):
            raise InputError(f"lam is {lam!r} and gamma {gamma!r}: the weights of E are numbers ≥ 0")
        if getattr(V, "ndim", None) != 2 or V.dtype.kind != "f":
            given = f"{getattr(V, 'dtype', type(V).__name__)} {getattr(V, 'shape', '')}"
            raise InputError(f"V is {given}: expected a dictionary of atoms, an array (m, n) of floats")
        xp, m = namespace(V), V.shape[0]
        self.V, self.c, self.lam, self.gamma = V, c, float(lam), float(gamma)
        self.lipschitz = largest_eigenvalue(V) + self.gamma  # ℓ
        if self.lipschitz == 0:  # a V that is not finite gives NaN, as it does everywhere: `fit` finds it in the cost
            raise InputError("V is 0 and so is gamma: E does not depend on h but for λ|h|₁; give a dictionary V")
        self.S = kernels.products.matmul(V, V.T) * (-1 / self.lipschitz)  # S = I − Q/ℓ
        self.S += (1 - self.gamma / self.lipschitz) * xp.eye(m, dtype=V.dtype)

    def energy(self, h: Any, x: Any, f: Any = None) -> Any:
        """E(h), (B,)."""
        r = self._centred(x) - kernels.products.matmul(h, self.V)
        E = 0.5 * (r * r).sum(axis=1) + self.lam * abs(h).sum(axis=1)
        if self.gamma:
            E += 0.5 * self.gamma * ((h - f) * (h - f)).sum(axis=1)
        return E

    def gradient(self, h: Any, x: Any, f: Any = None) -> Any:
        """∇(h) = (h V + c − x) Vᵀ + γ (h − f), of E without λ|h|₁, (B, m).

        h is the minimiser where |∇_j| ≤ λ at h_j = 0 and ∇_j = −λ sign(h_j) elsewhere.
        """
        r = kernels.products.matmul(h, self.V) - self._centred(x)
        return (
            kernels.products.matmul(r, self.V.T) + self.gamma * (h - f)
            if self.gamma
            else kernels.products.matmul(r, self.V.T)
        )

    def gap(self, h: Any, x: Any, f: Any = None) -> Any:
        r"""E(h) − D ≥ E(h) − min E, (B,): a bound on what is left to gain, from the dual of the lasso.

        With d = (x − h V − c, √γ (f − h)), the residual of the lasso ½‖d‖² + λ|h|₁ that E is:
            D = t d·d₀ − ½ t² ‖d‖²,   t = min(1, λ / max_j |∇_j(h)|),   d₀ = d at h = 0.
        """
        return self._gap(h, *self._constants(x, f))[0]

    def ista(self, x: Any, f: Any = None, h: Any = None, **options: Any) -> Any:
        """Iterated shrinkage: E never rises, and E − min E falls like 1/k.  The arguments are those of `fista`."""
        return self._descend(x, f, h, momentum=False, **options)

    def fista(self, x: Any, f: Any = None, h: Any = None, **options: Any) -> Any:
        """ISTA with momentum: E − min E falls like 1/k².     (Beck and Teboulle 2009)  -> h (B, m)

            h_k = step(y_k);   t_{k+1} = ½ (1 + √(1 + 4 t_k²));   y_{k+1} = h_k + (t_k − 1)/t_{k+1} (h_k − h_{k−1})

        where t starts anew, row by row, as soon as the step points against the momentum (O'Donoghue and Candès 2015).

        h:         the start, such as an encoder's f(x); 0 by default
        steps:     number of steps, at most (1000)
        tolerance: a row is done when its duality gap is ≤ tolerance · E, looked at every tenth step; None for exactly
                   `steps` steps. In float32 not below 1e-5
        trace:     called as trace(k, h) after each step, with all rows; h is memory that the next steps reuse
        """
        return self._descend(x, f, h, momentum=True, **options)

    def _centred(self, x):
        return x if self.c is None else x - self.c

    def _constants(self, x, f):
        """q/ℓ, (B, m), and ‖d₀‖², (B,)."""
        if self.gamma and (f is None or f.shape != (len(x), len(self.V))):
            given = "missing" if f is None else f"of shape {f.shape}"
            raise InputError(f"f is {given}: with γ > 0, E takes f (rows, {len(self.V)}), the code that is proposed")
        x = self._centred(x)
        q, d0 = kernels.products.matmul(x, self.V.T), (x * x).sum(axis=1)
        if self.gamma:
            q += self.gamma * f
            d0 += self.gamma * (f * f).sum(axis=1)
        q *= 1 / self.lipschitz
        return q, d0

    def _gap(self, h, q, d0):
        """The duality gap and E, each (B,), by products with S alone."""
        xp, u = namespace(h), kernels.products.matmul(h, self.S)
        u += q
        u -= h  # −∇(h)/ℓ
        hq = self.lipschitz * (h * q).sum(axis=1)
        hu = self.lipschitz * (h * u).sum(axis=1)
        dd, dd0 = d0 - hq - hu, d0 - hq  # ‖d‖² and d·d₀
        E = 0.5 * dd + self.lam * abs(h).sum(axis=1)
        most = xp.maximum(self.lipschitz * abs(u).max(axis=1), self.lam)
        t = self.lam / most if self.lam else xp.zeros_like(most)
        return E - t * dd0 + 0.5 * t * t * dd, E

    def _descend(self, x, f, h, momentum, steps=1000, tolerance=None, trace=None):
        if steps < 1 or (tolerance is not None and not tolerance > 0):
            raise InputError(f"steps is {steps} and tolerance {tolerance}: expected steps ≥ 1, tolerance > 0 or None")
        xp = namespace(x)
        q, d0 = self._constants(x, f)
        if h is not None and h.shape != q.shape:
            raise InputError(f"h has shape {h.shape}: expected {q.shape}, a code for each row of x")
        h = xp.zeros_like(q) if h is None else h.astype(q.dtype)  # a copy: the start stays as it is
        y, t = h.copy(), xp.ones_like(h[:, 0])
        a, minimiser, rows = xp.empty_like(h), xp.empty_like(h), xp.arange(len(h))
        for k in range(1, steps + 1):
            kernels.products.matmul(y, self.S, a)
            kernels.shrinkage.step(a, q, self.lam / self.lipschitz, h, y, t, momentum)
            if trace:
                trace(k, h)
            if tolerance is None or (k % 10 and k < steps):
                continue
            gap, E = self._gap(h, q, d0)
            done = gap <= tolerance * E
            if k == steps or bool(done.all()):
                break
            if bool(done.any()) and not trace:  # the rows that are done leave
                minimiser[rows[done]] = h[done]
                more = xp.equal(done, False)
                rows, q, d0, h, y, t = (array[more] for array in (rows, q, d0, h, y, t))
                a = xp.empty_like(h)
        minimiser[rows] = h
        return minimiser

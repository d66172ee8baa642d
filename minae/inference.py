r"""Inference of a sparse code by optimisation, against one pass of an encoder.     (sections 14.8, 19.3)

    E(h) = ½ ‖x − h V − c‖² + λ |h|₁ + ½ γ ‖h − f‖²         example by example

This is half of the book's (14.19) at g(h) = h V + c, with the book's λ twice ours and its γ ours: the factor ½ makes
the first term −log p(x | h), as in `minae.losses`. With γ = 0 it is sparse coding; f is what an encoder proposes.

In Gram form a step costs one product (B, m)(m, m), whatever the size of x. With H = V Vᵀ + γ I, q = (x − c) Vᵀ + γ f
and ∇(h) the gradient of E's smooth part, E(h) − λ|h|₁ = ½ h H hᵀ − h q + const:

    ∇(h) = h H − q,  Lipschitz with constant ℓ, the largest eigenvalue of H
    h ← shrink(h − ∇(h)/ℓ, λ/ℓ) = shrink(h S + q/ℓ, λ/ℓ),  S = I − H/ℓ     ISTA's step (Daubechies et al. 2004)
"""

import math

from minae.backend import matmul, namespace
from minae.errors import InputError


def shrink(a, theta, out=None):
    """h = sign(a) max(|a| − θ, 0): the h of least ½‖h − a‖² + Σ θ_j |h_j|.     θ ≥ 0, a number or (m,); out is not a"""
    xp = namespace(a)
    h = xp.clip(a, -theta, theta, out=out)
    return xp.subtract(a, h, out=h)


def shrink_backward(dh, h, dtheta, out=None, work=None):
    """da = dh [h ≠ 0];  dθ −= Σ_rows dh sign(h).     At the kinks, |a| = θ, the derivative is taken as 0"""
    xp = namespace(h)
    sign = xp.sign(h, out=work)
    xp.negative(sign, out=sign)
    step = xp.multiply(dh, sign, out=out)
    dtheta.add_sum(step)
    return xp.multiply(step, sign, out=step)


def largest_eigenvalue(V, squarings=8):
    """An upper bound on the largest eigenvalue of V Vᵀ, at most 1% above it for less than 150 rows or columns.

    (tr Aᵖ)^(1/p) with A = V Vᵀ or Vᵀ V, whichever is smaller, and p = 2^(squarings + 1): above the eigenvalue always,
    by a factor of size(A)^(1/p) at most. No eigensolver is needed, and an upper bound is what a safe step wants.
    """
    xp = namespace(V)
    A, log_bound, p = matmul(V, V.T) if V.shape[0] <= V.shape[1] else matmul(V.T, V), 0.0, 1
    for k in range(squarings + 1):
        size = math.sqrt(float(xp.vdot(A, A)))  # ‖A‖_F, divided out so that no power overflows
        if size == 0 or not math.isfinite(size):
            return size
        log_bound += math.log(size) / p
        if k < squarings:
            A = A / size
            A, p = matmul(A, A), 2 * p
    return math.exp(log_bound)


class SparseCoding:
    r"""E(h) = ½ ‖x − h V − c‖² + λ |h|₁ + ½ γ ‖h − f‖²  and its minimiser over h, row by row.     (14.19)

    V: the dictionary (m, n), its rows are the atoms;  c: (n,), or None for 0;  lam: λ ≥ 0;  gamma: γ ≥ 0

    x is (B, n) and h, f are (B, m), on V's backend and in its dtype; f is needed where γ > 0.
    """

    def __init__(self, V, c=None, lam=0.5, gamma=0.0):
        if not (0 <= lam < math.inf and 0 <= gamma < math.inf):
            raise InputError(f"lam is {lam!r} and gamma {gamma!r}: the weights of E are numbers ≥ 0")
        xp, m = namespace(V), V.shape[0]
        self.V, self.c, self.lam, self.gamma = V, c, float(lam), float(gamma)
        self.lipschitz = largest_eigenvalue(V) + self.gamma  # ℓ
        if self.lipschitz == 0:  # a V that is not finite gives NaN, as it does everywhere: `fit` finds it in the cost
            raise InputError("V is 0 and so is gamma: E does not depend on h but for λ|h|₁; give a dictionary V")
        self.S = matmul(V, V.T) * (-1 / self.lipschitz)  # S = I − H/ℓ
        self.S += (1 - self.gamma / self.lipschitz) * xp.eye(m, dtype=V.dtype)

    def energy(self, h, x, f=None):
        """E(h), (B,)."""
        r = self._centred(x) - matmul(h, self.V)
        E = 0.5 * (r * r).sum(axis=1) + self.lam * abs(h).sum(axis=1)
        if self.gamma:
            E += 0.5 * self.gamma * ((h - f) * (h - f)).sum(axis=1)
        return E

    def gradient(self, h, x, f=None):
        """∇(h) = (h V + c − x) Vᵀ + γ (h − f), of E without λ|h|₁, (B, m).

        h is the minimiser where |∇_j| ≤ λ at h_j = 0 and ∇_j = −λ sign(h_j) elsewhere.
        """
        r = matmul(h, self.V) - self._centred(x)
        return matmul(r, self.V.T) + self.gamma * (h - f) if self.gamma else matmul(r, self.V.T)

    def gap(self, h, x, f=None):
        r"""E(h) − D ≥ E(h) − min E, (B,): a bound on what is left to gain, from the dual of the lasso.

        With ρ = (x − h V − c, √γ (f − h)), the residual of the lasso ½‖ρ‖² + λ|h|₁ that E is, and u = −∇(h):
            D = s ρ·ρ₀ − ½ s² ‖ρ‖²,   s = min(1, λ / max_j |u_j|),   ρ₀ = ρ at h = 0.
        """
        return self._gap(h, *self._constants(x, f))[0]

    def ista(self, x, f=None, h=None, **options):
        """Iterated shrinkage: E never rises, and E − min E falls like 1/k.  The arguments are those of `fista`."""
        return self._descend(x, f, h, momentum=False, **options)

    def fista(self, x, f=None, h=None, **options):
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
        """q/ℓ, (B, m), and ‖ρ₀‖², (B,)."""
        if self.gamma and (f is None or f.shape != (len(x), len(self.V))):
            given = "missing" if f is None else f"of shape {f.shape}"
            raise InputError(f"f is {given}: with γ > 0, E takes f (rows, {len(self.V)}), the code that is proposed")
        x = self._centred(x)
        q, rho0 = matmul(x, self.V.T), (x * x).sum(axis=1)
        if self.gamma:
            q += self.gamma * f
            rho0 += self.gamma * (f * f).sum(axis=1)
        q *= 1 / self.lipschitz
        return q, rho0

    def _gap(self, h, q, rho0):
        """The duality gap and E, each (B,), in Gram form."""
        xp, u = namespace(h), matmul(h, self.S)
        u += q
        u -= h  # −∇(h)/ℓ
        hq, hu = self.lipschitz * (h * q).sum(axis=1), self.lipschitz * (h * u).sum(axis=1)
        rho, rho_rho0 = rho0 - hq - hu, rho0 - hq  # ‖ρ‖² and ρ·ρ₀
        E = 0.5 * rho + self.lam * abs(h).sum(axis=1)
        most = xp.maximum(self.lipschitz * abs(u).max(axis=1), self.lam)
        s = self.lam / most if self.lam else xp.zeros_like(most)
        return E - s * rho_rho0 + 0.5 * s * s * rho, E

    def _descend(self, x, f, h, momentum, steps=1000, tolerance=None, trace=None):
        if steps < 1 or (tolerance is not None and not tolerance > 0):
            raise InputError(f"steps is {steps} and tolerance {tolerance}: expected steps ≥ 1, tolerance > 0 or None")
        from minae.kernels import shrinkage

        xp = namespace(x)
        q, rho0 = self._constants(x, f)
        if h is not None and h.shape != q.shape:
            raise InputError(f"h has shape {h.shape}: expected {q.shape}, a code for each row of x")
        h = xp.zeros_like(q) if h is None else h.astype(q.dtype)  # a copy: the start stays as it is
        y, t = h.copy(), xp.ones_like(h[:, 0])
        a, found, rows = xp.empty_like(h), xp.empty_like(h), xp.arange(len(h))
        for k in range(1, steps + 1):
            matmul(y, self.S, a)
            shrinkage.step(a, q, self.lam / self.lipschitz, h, y, t, momentum)
            if trace:
                trace(k, h)
            if tolerance is None or (k % 10 and k < steps):
                continue
            gap, E = self._gap(h, q, rho0)
            done = gap <= tolerance * E
            if k == steps or bool(done.all()):
                break
            if bool(done.any()) and not trace:  # the rows that are done leave
                found[rows[done]] = h[done]
                more = xp.equal(done, False)
                rows, q, rho0, h, y, t = (array[more] for array in (rows, q, rho0, h, y, t))
                a = xp.empty_like(h)
        found[rows] = h
        return found

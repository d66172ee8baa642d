"""Codes of few values: bits, symbols, codebooks, whole numbers and supports. Each is hard forward, and says what its
backward is worth.

A hard choice has no derivative. Each code here holds the choice fixed as a constant that `cost_and_grad` returns with
the cost, so that its backward pass is the ordinary gradient of the cost with that constant, and a gradient check passes
on the hard cost. What such a surrogate is worth beside the gradient of the expected cost, `checks.enumerated` tells.
"""

import math
from typing import Any

import numpy as np

from minae import kernels
from minae.backend import namespace
from minae.errors import InputError
from minae.layers import EVAL, Layer
from minae.ops.sequence import embed, embed_backward
from minae.parameters import Parameters

PER_NAT = 1 / math.log(2)  # bits


class Bits(Layer):
    r"""b_j ~ Bernoulli(σ(a_j)), straight through.     (Bengio et al. 2013)

        p = σ(a),   b = [u < p],  u ~ U[0, 1),   h = p + c,   c = stop(b − p)

    Derivation: h = b in value, since c is the difference. With c held fixed, ∂h/∂p = 1, and so
        da = dh ∂p/∂a = dh p (1 − p)
    The slope p (1 − p) belongs to it: without it every step is too large by its inverse, 4 and more. The gradient of
    the expectation, Σ_b ∂p(b)/∂a J(b), is another number: this surrogate is exact for costs that are linear in each
    bit.
    """

    def forward(self, a: Any, u: Any = None, c: Any = None, mode: Any = EVAL) -> tuple[Any, Any]:
        """a (B, m) -> h (B, m), and the cache (p, c); without u, h = [a > 0]."""
        ws, p = self.ws, kernels.activations.phi(a, "sigmoid", self.arena.empty(*a.shape))
        if c is None:
            c = ws.subtract(ws.greater(p, 0.5) if u is None else ws.less(u, p), p)
        return ws.add(p, c), (p, c)

    def backward(self, dh: Any, cache: Any) -> Any:
        """da = dh p (1 − p)"""
        return kernels.activations.backward(dh, cache[0], "sigmoid", self.arena.empty(*dh.shape))


class Symbols(Layer):
    r"""M symbols of K kinds by Gumbel's trick, one-hot.     (Jang et al. 2017; Maddison et al. 2017)

        y = softmax((a + g)/τ),  g = −log(−log u);   h = y, or hard: h = y + c,  c = stop(onehot(argmax y) − y)

    argmax(a + g) is a draw from softmax(a), and y is near it for a small τ.

    Derivation: with v = (a + g)/τ, the softmax has ∂y_k/∂v_l = y_k ([k = l] − y_l), and ∂v/∂a = 1/τ. With c held fixed,
        da_l = 1/τ Σ_k dh_k y_k ([k = l] − y_l) = 1/τ y_l (dh_l − Σ_k dh_k y_k)
    The factor 1/τ is 1 at τ = 1, where its lack is not seen.

    M, K: symbols and their kinds;  tau: temperature;  hard: whether h is one-hot
    """

    def __init__(self, M: int, K: int, tau: float = 1.0, hard: bool = True):
        self.M, self.K, self.tau, self.hard = M, K, tau, hard

    def noise(self, rng: np.random.Generator, B: int) -> Any:
        """g, (B, M K)."""
        return self.gumbel(kernels.noise.uniform(rng, self.arena.empty(B, self.M * self.K)))

    def gumbel(self, u: Any) -> Any:
        """g = −log(−log u) of uniform u, which is first moved from [0, 1) into the open interval (0, 1)."""
        ws = self.ws
        inside = ws.add(ws.multiply(u, 1 - 2**-23), 2**-24)
        return ws.negative(ws.log(ws.negative(ws.log(inside))))

    def forward(self, a: Any, g: Any = None, c: Any = None, mode: Any = EVAL) -> tuple[Any, Any]:
        """a (B, M K) -> h (B, M K), and the cache (y, c); without g, the most probable symbols."""
        ws, shape = self.ws, (len(a), self.M, self.K)
        v = ws.multiply(a if g is None else ws.add(a, g), 1 / self.tau).reshape(shape)
        e = ws.exp(ws.subtract(v, v.max(axis=2, keepdims=True)))
        y = ws.divide(e, e.sum(axis=2, keepdims=True))
        if c is None and (self.hard or g is None):
            kinds = self.arena.backend.xp.arange(self.K)
            c = ws.subtract(ws.equal(y.argmax(axis=2)[:, :, None], kinds), y)
        h = y if c is None else ws.add(y, c)
        return h.reshape(a.shape), (y, c)

    def backward(self, dh: Any, cache: Any) -> Any:
        """da = 1/τ y (dh − Σ dh y)"""
        ws, (y, _) = self.ws, cache
        dh = dh.reshape(y.shape)
        da = ws.multiply(y, ws.subtract(dh, ws.multiply(dh, y).sum(axis=2, keepdims=True)))
        da *= 1 / self.tau
        return da.reshape(len(dh), -1)


class Rounded(Layer):
    r"""k = round(z), the code as whole numbers, with what it costs in bits. In training z̃ = z + u − ½ stands for it.

    (Ballé, Laparra and Simoncelli 2017)

        P_j(k) = σ(v⁺) − σ(v⁻),   v^± = (k ± ½ − μ_j)/s_j      a logistic distribution over whole numbers
        R = −Σ_j log₂ P_j(k_j)                                 bits, the mean over the batch

    Rounding has no slope. A uniform u in [0, 1) moves z̃ as far from z as rounding would, and z̃ has a slope: 1. P is
    the same function of z̃, and is the density of z̃ at it, the logistic density blurred by the noise.

    Derivation: σ(a) − σ(b) = (eᵃ − eᵇ)/((1 + eᵃ)(1 + eᵇ)) = σ(a) σ(−b) (1 − e^{b − a}), and v⁺ − v⁻ = 1/s, so
        log P = −ζ(−v⁺) − ζ(v⁻) + log(1 − e^{−1/s}),    ζ the softplus, ζ′ = σ
    in which nothing cancels, however far z̃ lies from μ. With ∂v^±/∂z̃ = 1/s and ∂v^±/∂log s = −v^±,
        ∂log P/∂z̃     = (σ(−v⁺) − σ(v⁻))/s
        ∂log P/∂μ     = −∂log P/∂z̃
        ∂log P/∂log s = −v⁺ σ(−v⁺) + v⁻ σ(v⁻) − (1/s)/(e^{1/s} − 1)
    and R has them with the factor −1/(B ln 2).

    A coder cannot use P as it is: two machines may differ in its last bit, and what follows would be noise. It uses
    whole numbers, `counts`, of how often training data have each of `levels` values, from `low` on, and any other one.

    m: width of z;  levels: of the tables;  mu, log_s: names of the parameters, each (m,)
    """

    def __init__(self, m: int, levels: int, mu: str = "mu", log_s: str = "log_s"):
        self.m, self.levels, self.names = m, levels, (mu, log_s)

    def shapes(self) -> dict[str, Any]:
        return dict.fromkeys(self.names, (self.m,))

    def bind(self, parameters: Parameters, state: dict[str, Any]) -> None:
        super().bind(parameters, state)
        self.mu, self.log_s = (parameters[name] for name in self.names)
        self.dmu, self.dlog_s = (parameters.gradient(name) for name in self.names)
        self.values = state

    def initialize(self, rng: np.random.Generator) -> None:
        self.mu[...] = 0
        self.log_s[...] = 0

    def state(self) -> dict[str, Any]:
        return {"low": np.full(self.m, -(self.levels // 2)), "counts": np.zeros((self.m, self.levels + 1))}

    def forward(self, z: Any, u: Any = None, mode: Any = EVAL) -> tuple[Any, Any]:
        """z (B, m) -> z̃ (B, m), or without u the whole numbers k; and the cache (v⁺, v⁻, 1/s)."""
        ws = self.ws
        z = ws.rint(z) if u is None else ws.add(z, ws.subtract(u, 0.5))
        per_s = ws.exp(ws.negative(self.log_s))
        v = ws.multiply(ws.subtract(z, self.mu), per_s)
        half = ws.multiply(per_s, 0.5)
        return z, (ws.add(v, half), ws.subtract(v, half), per_s)

    def bits(self, cache: Any) -> Any:
        """−log₂ P of each number, (B, m)."""
        ws, (above, below, per_s) = self.ws, cache
        zeta = [kernels.activations.phi(v, "softplus", self.arena.empty(*v.shape)) for v in (ws.negative(above), below)]
        nats = ws.subtract(ws.add(*zeta), ws.log(ws.negative(ws.expm1(ws.negative(per_s)))))
        return ws.multiply(nats, PER_NAT)

    def rate(self, cache: Any) -> Any:
        """R."""
        bits = self.bits(cache)
        return bits.sum() / len(bits)

    def backward(self, dz: Any, cache: Any, weight: float = 1.0) -> Any:
        """dz̃ += −weight/(B ln 2) ∂log P/∂z̃, and the same for μ and log s"""
        ws, (above, below, per_s) = self.ws, cache
        factor = -weight / len(dz)
        sigma = [kernels.activations.phi(v, "sigmoid", self.arena.empty(*v.shape)) for v in (ws.negative(above), below)]
        slope = ws.multiply(ws.multiply(ws.multiply(ws.subtract(*sigma), per_s), PER_NAT), factor)
        self.dmu.add_rows(ws.negative(slope))
        spread = ws.subtract(ws.multiply(below, sigma[1]), ws.multiply(above, sigma[0]))
        spread -= ws.divide(per_s, ws.expm1(per_s))
        self.dlog_s.add_rows(ws.multiply(ws.multiply(spread, PER_NAT), factor))
        return ws.add(dz, slope)


def log_probability(a: Any, b: Any) -> Any:
    """log p(b) = Σ_j b_j a_j − softplus(a_j) of independent bits with logits a, both (…, m) -> (…)."""
    return (b * a - kernels.activations.phi(a, "softplus")).sum(axis=-1)


def log_probability_backward(dlog_p: Any, a: Any, b: Any) -> Any:
    """da = dlog_p (b − σ(a)).

    Derivation: softplus' = σ, and b is a draw that is held fixed. The mean over b ~ p of cost(b) ∇log p(b) is the
    gradient of the expected cost, since p ∇log p = ∇p (REINFORCE, Williams 1992); any number that does not depend on b
    may be subtracted from the cost, since Σ_b ∇p(b) = 0.     (20.60–20.63)
    """
    return dlog_p[..., None] * (b - kernels.activations.phi(a, "sigmoid"))


def leave_one_out(costs: Any) -> Any:
    """Costs of K ≥ 2 draws less the mean of the other draws: (K, B) -> (K, B).

    A mean that includes the draw itself depends on it, and shrinks the gradient by exactly 1 − 1/K.
    """
    K = len(costs)
    if K < 2:
        raise InputError("costs has one draw: the mean of the others takes at least two")
    return (costs - costs.mean(axis=0)) * (K / (K - 1))


class VectorQuantized(Layer):
    r"""q = e_k with k = argmin_k ‖z − e_k‖: M codes of m/M numbers, each from a codebook of K.     (van den Oord et al.
    2017)

        q = z + c,  c = stop(e_k − z);     Q = ‖stop(z) − e_k‖²,   C = ‖z − stop(e_k)‖²,   means over the batch

    Derivation: the decoder's gradient goes straight through to z, since ∂q/∂z = 1 with c held fixed. Q moves the
    codebook and C, with weight β, the encoder; what is under a stop is a constant (k, z⁰ and e⁰ are those of the
    forward pass).
        dz   = dq + 2β/B (z − e⁰_k)
        de_k = 2 w/B Σ_{i → k} (e_k − z⁰_i),    w the weight of Q; the reconstruction has no part in it
    With `decay` the codebook has no gradient. It is kept as averages of the z that chose a code, which start at m_k =
    e_k and n_k = 1, so that an average can never leave the hull of what it is made of:
        n_k ← γ n_k + (1 − γ) #{i → k},   m_k ← γ m_k + (1 − γ) Σ_{i → k} z_i,   e_k = m_k/n_k
    A code with n_k < restart is dead: it becomes the z of a random example of the batch, with m_k = e_k and n_k = 1; of
    an example's M parts that of its own codebook, or where they share one, any.

    name: of the codebook;  K, m, M: kinds, width of z, codes an example;  own: whether each of the M has a codebook of
    its own decay: γ, or None for a codebook that is trained by its gradient;  restart: in mean choices a step, 0 for
    never
    """

    def __init__(
        self,
        name: str,
        K: int,
        m: int,
        M: int = 1,
        *,
        own: bool = False,
        decay: float | None = None,
        restart: float = 0.0,
    ):
        if m % M:
            raise InputError(f"M is {M} and z has {m} numbers: expected a divisor of {m}")
        self.name, self.K, self.M, self.d, self.decay, self.restart = name, K, M, m // M, decay, restart
        self.books = M if own else 1
        self.names = (name,) if decay is None else ()
        self.laws = {f"{name}.pick": "index"}

    def shapes(self) -> dict[str, Any]:
        return {name: (self.books * self.K, self.d) for name in self.names}

    def state(self) -> dict[str, Any]:
        if self.names:
            return {}
        E = np.random.default_rng(0).uniform(-1, 1, (self.books * self.K, self.d))
        return {f"{self.name}.e": E, f"{self.name}.m": E, f"{self.name}.n": np.ones(len(E))}

    def constants(self, rng: np.random.Generator, B: int) -> dict[str, Any]:
        """Of which example of the batch a dead code becomes a z."""
        if not self.restart:
            return {}
        pick = rng.integers(B, size=self.books * self.K)
        return {f"{self.name}.pick": self.arena.backend.from_numpy(pick)}

    def bind(self, parameters: Parameters, state: dict[str, Any]) -> None:
        super().bind(parameters, state)
        self.E = parameters[self.name] if self.names else state[f"{self.name}.e"]
        self.dE, self.values = parameters.gradient(self.name) if self.names else None, state
        rows = np.arange(self.books * self.K)
        part = rows // self.K if self.books > 1 else rows % self.M  # of an example, what a dead code becomes
        self.part = self.arena.backend.from_numpy(part)

    def initialize(self, rng: np.random.Generator) -> None:
        if self.names:
            E = rng.uniform(-1 / self.K, 1 / self.K, self.E.shape).astype(self.arena.dtype)
            self.E[...] = self.arena.backend.from_numpy(E)

    def nearest(self, z: Any) -> Any:
        """Rows of the codebook, (B, M): argmin_k ‖z − e_k‖² = argmin_k ‖e_k‖² − 2 z·e_k."""
        z, k = z.reshape(len(z), self.M, self.d), self.arena.empty(len(z), self.M, dtype="int32")
        part, far = self.arena.empty(len(z), self.d), self.arena.empty(len(z), self.K)
        for i in range(self.M):
            first = (i % self.books) * self.K
            E = self.E[first : first + self.K]
            part[...] = z[:, i]
            kernels.products.matmul(part, E.T, out=far)
            far *= -2
            far += (E * E).sum(axis=1)
            k[:, i] = far.argmin(axis=1)
            k[:, i] += first
        return k

    def forward(self, z: Any, held: Any = None, mode: Any = EVAL) -> tuple[Any, Any]:
        """z (B, m) -> q (B, m), and the cache (z, e, held); held: k, z⁰ and e⁰ of a former pass, or None."""
        ws, k = self.ws, self.nearest(z) if held is None else held[0]
        e = embed(k, self.E, self.arena).reshape(z.shape)
        held = (k, z, e) if held is None else held
        if mode.train and not self.names:
            self._average(z, k, mode)
        return ws.add(z, ws.subtract(held[2], held[1])), (z, e, held)

    def terms(self, cache: Any) -> Any:
        """Q and C."""
        ws, (z, e, (_, z0, e0)) = self.ws, cache
        Q, C = ws.subtract(e, z0), ws.subtract(z, e0)
        return kernels.products.dot(Q, Q) / len(z), kernels.products.dot(C, C) / len(z)

    def backward(self, dq: Any, cache: Any, beta: Any, weight: float = 1.0) -> Any:
        """dz = dq + 2β/B (z − e⁰);  dE_k += 2 weight/B Σ (e_k − z⁰)"""
        ws, (z, e, (k, z0, e0)) = self.ws, cache
        if self.names:
            de = ws.multiply(ws.subtract(e, z0), 2 * weight / len(z))
            embed_backward(de, k, self.dE, self.arena)
        return ws.add(dq, ws.multiply(ws.subtract(z, e0), 2 * beta / len(z)))

    def _average(self, z, k, mode):
        """n, m and e after this batch, as statistics."""
        xp, name, rows = namespace(z), self.name, len(self.E)
        chosen = (k.reshape(-1, 1) == xp.arange(rows)).astype(z.dtype)  # (B M, rows)
        z = z.reshape(-1, self.d)
        count, total = chosen.sum(axis=0), kernels.products.matmul(chosen.T, z)
        world = self.arena.world
        n = self.decay * self.values[f"{name}.n"] + (1 - self.decay) * world.total(count)
        m = self.decay * self.values[f"{name}.m"] + (1 - self.decay) * world.total(total)
        e = m / n[:, None]
        if self.restart:
            fresh = world.gathered(z)[mode.constants[f"{name}.pick"] * self.M + self.part]
            dead = (n < self.restart)[:, None]
            e, m, n = xp.where(dead, fresh, e), xp.where(dead, fresh, m), xp.where(dead[:, 0], 1.0, n)
        mode.statistics |= {f"{name}.e": e, f"{name}.m": m, f"{name}.n": n}


class JumpReLU(Layer):
    r"""h = a [a > κ], a threshold for each unit; N = Σ_j [a_j > κ_j] counts the units that are on.

    (Rajamanoharan et al. 2024)

    Derivation: h and N jump where a passes κ, and elsewhere κ has no part in them. But over a ~ p the expected cost
    does depend on κ: raising it turns off the a between κ and κ + δ. For a cost ℓ(h) + λ N,
        ∂/∂κ E[ℓ(h) + λ N] = −p(κ) (ℓ(κ) − ℓ(0) + λ)
    A window of width w around κ estimates both factors: K = [|a − κ| < w/2] has the mean p(κ) w, and half of the a in
    it are on and half off, so that ℓ'(h) κ has the mean ½ (ℓ'(κ) + ℓ'(0)) κ ≈ ℓ(κ) − ℓ(0), exactly so where ℓ is
    quadratic.
        dκ_j = −Σ_b (dh_bj κ_j + λ/B) K_bj/w,    da_bj = dh_bj [a_bj > κ_j]
    This is the gradient of h + W κ⁰ (κ − κ⁰) and N + W (κ − κ⁰), with W = −K/w and κ⁰ = stop(κ) held fixed.

    kappa: name of the thresholds;  m: units;  width: w of the window
    """

    def __init__(self, kappa: str, m: int, width: float = 0.1):
        self.names, self.m, self.width = (kappa,), m, width

    def shapes(self) -> dict[str, Any]:
        return {self.names[0]: (self.m,)}

    def bind(self, parameters: Parameters, state: dict[str, Any]) -> None:
        super().bind(parameters, state)
        self.kappa, self.dkappa = parameters[self.names[0]], parameters.gradient(self.names[0])

    def initialize(self, rng: np.random.Generator) -> None:
        self.kappa[...] = 0.1

    def forward(self, a: Any, held: Any = None, mode: Any = EVAL) -> tuple[Any, Any]:
        """a (B, m) -> h (B, m), and the cache (on, W, κ⁰); held: that of a former pass, or None."""
        ws = self.ws
        if held is None:
            inside = ws.less(ws.abs(ws.subtract(a, self.kappa)), self.width / 2)
            held = ws.greater(a, self.kappa), ws.multiply(inside, -1 / self.width), ws.multiply(self.kappa, 1)
        on, W, kappa = held
        return ws.add(ws.multiply(a, on), ws.multiply(W, ws.multiply(kappa, ws.subtract(self.kappa, kappa)))), held

    def count(self, held: Any) -> Any:
        """N, mean over the batch, with the surrogate's dependence on κ."""
        on, W, kappa = held
        return self.ws.add(on, self.ws.multiply(W, self.ws.subtract(self.kappa, kappa))).sum() / len(on)

    def backward(self, dh: Any, held: Any, lam: float = 0.0) -> Any:
        """da = dh [a > κ];  dκ += Σ_b (dh κ + λ/B) W"""
        ws, (on, W, kappa) = self.ws, held
        self.dkappa.add_rows(ws.multiply(ws.add(ws.multiply(dh, kappa), lam / len(on)), W))
        return ws.multiply(dh, on)


class BatchTopK(Layer):
    r"""h on Γ, the k B largest numbers of the whole batch: examples may have more or fewer than k.     (Bussmann et al.
    2024)

    The batch decides in training only. Elsewhere h is kept above a threshold, the running mean of the smallest number
    that a training batch kept, which is state.

    Derivation: Γ is held fixed, as in `minae.codes.TopK`, so h_Γ is h times a mask that does not depend on θ.
        dh_bj = ∂J/∂h_Γ,bj for (b, j) ∈ Γ, and 0 elsewhere
    """

    def __init__(self, k: int, name: str = "threshold", decay: float = 0.99):
        self.k, self.name, self.decay = k, name, decay

    def state(self) -> dict[str, Any]:
        return {self.name: np.zeros(1)}

    def bind(self, parameters: Parameters, state: dict[str, Any]) -> None:
        super().bind(parameters, state)
        self.threshold = state[self.name]

    def forward(self, h: Any, support: Any = None, mode: Any = EVAL) -> tuple[Any, Any]:
        """h (B, m) -> h_Γ (B, m), and Γ as 0 and 1."""
        ws, xp = self.ws, namespace(h)
        if support is None and mode.train:
            every = self.arena.world.gathered(h)
            flat, place = self.arena.empty(every.size), every.size - self.k * len(every)
            flat[...] = every.reshape(-1)
            if hasattr(flat, "partition"):
                flat.partition(place)  # where it lies
            else:
                flat = xp.partition(flat, place)
            least = flat[place]
            support = ws.greater_equal(h, least)
            mean = self.decay * self.threshold + (1 - self.decay) * least
            mode.statistics[self.name] = xp.where(self.threshold == 0, least, mean)  # it begins with the first batch's
        elif support is None:
            support = ws.greater(h, self.threshold)
        return ws.multiply(h, support), support

    def backward(self, dh: Any, support: Any) -> Any:
        """dh on Γ"""
        return self.ws.multiply(dh, support)

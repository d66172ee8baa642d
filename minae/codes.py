"""What stands between f and g: codes as pairs, the derivative under the forward pass.

A code is a layer whose forward takes, beside its input, what it holds fixed: noise, or a support. Without that it gives
the code that `encode` shows, of which `chain` gives the Jacobian.
"""

from typing import Any

from minae import kernels
from minae.layers import EVAL, Layer
from minae.ops.rows import Sparse


class Gaussian(Layer):
    r"""z = μ + σ ε,  σ = e^{log σ²/2},  ε ~ N(0, I): a draw from q(z | x) = N(μ, diag σ²).     (20.10.3)

        KL = ½ Σ μ² + σ² − log σ² − 1           KL(q(z | x) ‖ N(0, I)), closed
        KL ≈ ½ Σ z² − ε² − log σ²               its estimate log q(z | x) − log p(z) by the same z, sampled

    The input is y = (μ, log σ²), (B, 2m). KL is summed over the code and averaged over the batch.

    Derivation: z depends on μ directly, and on log σ² through σ, with ∂σ/∂log σ² = σ/2. So the gradient dz that comes
    from the decoder goes on as
        ∂J/∂μ      = dz                                 because ∂z/∂μ = 1
        ∂J/∂log σ² = dz ε ∂σ/∂log σ² = ½ dz ε σ
    The closed KL, with weight β, adds its own slopes, each divided by B:
        ∂KL/∂μ = μ,     ∂KL/∂log σ² = ½ (σ² − 1)
    The sampled KL depends on θ through z as well: ½ z² adds β/B z to dz, before the two lines above; −½ log σ² adds
    −½ β/B to ∂J/∂log σ²; and ε is held fixed.

    m: width of the code;  kl: "closed" or "sampled"
    """

    def __init__(self, m: int, kl: str = "closed"):
        self.m, self.kl = m, kl

    def forward(self, y: Any, eps: Any = None, mode: Any = EVAL) -> tuple[Any, Any]:
        """y (B, 2m) -> z (B, m); without eps, z = μ."""
        ws, mu, log_var = self.ws, y[:, : self.m], y[:, self.m :]
        if eps is None:
            return mu, None
        sigma = ws.exp(ws.multiply(log_var, 0.5))
        z = ws.add(ws.multiply(sigma, eps), mu)
        return z, (mu, log_var, sigma, eps, z)

    def divergence(self, cache: Any) -> Any:
        """KL, closed or sampled."""
        ws, (mu, log_var, sigma, eps, z) = self.ws, cache
        if self.kl == "closed":
            terms = ws.subtract(ws.add(ws.multiply(mu, mu), ws.multiply(sigma, sigma)), 1)
        else:
            terms = ws.subtract(ws.multiply(z, z), ws.multiply(eps, eps))
        return 0.5 * ws.subtract(terms, log_var).sum() / len(z)

    def backward(self, dz: Any, cache: Any, beta: Any) -> Any:
        """dz (B, m) -> dy = (∂J/∂μ, ∂J/∂log σ²), (B, 2m).     beta: weight of KL"""
        ws, (mu, _, sigma, eps, z) = self.ws, cache
        beta, dy = beta / len(z), self.arena.empty(len(z), 2 * self.m)
        dmu, dlog_var = dy[:, : self.m], dy[:, self.m :]
        if self.kl == "closed":
            dmu[...] = ws.add(dz, ws.multiply(mu, beta))
            slope = ws.multiply(ws.subtract(ws.multiply(sigma, sigma), 1), beta)
            dlog_var[...] = ws.multiply(ws.add(ws.multiply(ws.multiply(dz, eps), sigma), slope), 0.5)
        else:
            dmu[...] = dz = ws.add(dz, ws.multiply(z, beta))
            dlog_var[...] = ws.multiply(ws.subtract(ws.multiply(ws.multiply(dz, eps), sigma), beta), 0.5)
        return dy

    def chain(self, Jz: Any, cache: Any) -> Any:
        """∂μ/∂y = (I, 0)"""
        Jy = self.arena.empty(len(Jz), Jz.shape[1], 2 * self.m)
        Jy[:, :, : self.m] = Jz
        Jy[:, :, self.m :] = 0
        return Jy


class NoisyLogits(Layer):
    r"""h = σ(a + level ε),  ε ~ N(0, I).     (Salakhutdinov and Hinton 2009)

    Derivation: ε does not depend on θ, so ∂(a + level ε)/∂a = 1, and the sigmoid's slope is taken at the noisy logit.
        da = dh ∂h/∂a = dh h (1 − h)
    """

    def __init__(self, level: float):
        self.level = level

    def forward(self, a: Any, eps: Any = None, mode: Any = EVAL) -> tuple[Any, Any]:
        """a (B, m) -> h (B, m); without eps, h = σ(a)."""
        noisy = self.ws.multiply(a, 1) if eps is None else self.ws.add(self.ws.multiply(eps, self.level), a)
        h = kernels.activations.phi(noisy, "sigmoid", out=noisy)
        return h, h

    def backward(self, dh: Any, h: Any) -> Any:
        """da = dh h (1 − h)"""
        return kernels.activations.backward(dh, h, "sigmoid", self.arena.empty(*h.shape))

    def chain(self, Jh: Any, h: Any) -> Any:
        """∂h/∂a = diag h (1 − h)"""
        return Jh * kernels.activations.prime(h, "sigmoid", self.arena.empty(*h.shape))[:, None, :]


class TopK(Layer):
    r"""h_Γ: h on Γ, the k largest units of each row, and 0 elsewhere; at a tie the first by index.

    Derivation: with Γ held fixed, h_Γ is h times a mask of 0 and 1 that does not depend on θ.
        dh_bj = ∂J/∂h_Γ,bj for j ∈ Γ_b,    dh_bj = 0 elsewhere
    Where Γ changes, at a tie between the k-th and the next unit, h_Γ jumps and there is no derivative. So Γ is a
    constant: given as `support`, it is held; else it is that of h. Where k is far below m and the kernels serve, on the
    CPU and on a GPU, h_Γ is `Sparse`, and all that follows costs in proportion to k.
    """

    PAYS = 8  # dense products are as fast from about k = m/6 on

    def __init__(self, k: int, m: int):
        self.k, self.m = k, m

    def forward(self, h: Any, support: Any = None, mode: Any = EVAL) -> tuple[Any, Any]:
        """h (B, m) -> h_Γ, and Γ: the columns of its units, int32 (B, k), or a mask of 0 and 1, (B, m)."""
        given = support is not None
        serves = support.dtype.kind != "f" if given else kernels.path(h) != "plain"
        if not (serves and self.PAYS * self.k <= self.m):
            mask = self.mask(h, support)
            return self.ws.multiply(h, mask), mask
        unit, value = support, self.arena.empty(len(h), self.k)
        if given:
            kernels.rows.gather(unit, h, value)
        else:
            unit = self.arena.empty(len(h), self.k, dtype="int32")
            kernels.top_k.top_k(h, self.k, unit, value)
        return Sparse(unit, value), unit

    def backward(self, dh_k: Any, support: Any) -> Any:
        """dh = dh_Γ on Γ, and 0 elsewhere"""
        return dh_k if isinstance(dh_k, Sparse) else self.ws.multiply(dh_k, support)

    def keep(self, h: Any, k: Any = None) -> Any:
        """h_Γ as an array, with the k largest units."""
        return self.ws.multiply(h, kernels.top_k.mask(h, k or self.k))

    def mask(self, h: Any, support: Any = None) -> Any:
        """Γ as an array of 0 and 1."""
        if support is None:
            return kernels.top_k.mask(h, self.k)
        if support.dtype.kind == "f":
            return support
        mask = self.arena.empty(*h.shape)
        mask[...] = 0
        mask[self.arena.backend.xp.arange(len(h))[:, None], support] = 1
        return mask

    def chain(self, Jh: Any, support: Any) -> Any:
        """∂h_Γ/∂h = diag Γ"""
        return Jh * self.mask(Jh[:, 0], support)[:, None, :]

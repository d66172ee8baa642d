import math
from typing import Any

from minae.errors import InputError
from minae.models.model import Cost
from minae.models.variational import VariationalAutoencoder
from minae.options import Count, Settled, Weight


class TotalCorrelationAutoencoder(VariationalAutoencoder):
    r"""β-TCVAE: units that are independent of each other.     J = L + β KL + γ TC     (section 15.6; Chen et al. 2018)

        μ, log σ² = f(x),  z = μ + σ ε,  L and KL as in the variational autoencoder
        TC = KL(q(z) ‖ Π_d q(z_d)),  q(z) = 1/N Σ_j q(z | x_j) over all N rows of the data

    The mean of KL over the data has three parts: what z says about the row, TC, and Σ_d KL(q(z_d) ‖ p(z_d)). A large β
    weighs all three, and so pays for independence with what z says; γ weighs TC alone. (Chen's β is our 1 + γ.)

    q(z) is estimated from the batch: row i itself is one of N for sure, and the other B − 1 rows of the batch stand for
    the other N − 1 of the data.
        ℓ_ijd = log q(z_id | x_j) = −½ ((z_id − μ_jd)²/σ_jd² + log σ_jd² + log 2π)
        log q(z_i)  ≈ log Σ_j W_ij exp Σ_d ℓ_ijd,     log q(z_id) ≈ log Σ_j W_ij exp ℓ_ijd
        W_ii = 1/N,   W_ij = (N − 1)/(N (B − 1)) for j ≠ i,   Σ_j W_ij = 1
        TC ≈ 1/B Σ_i (log q(z_i) − Σ_d log q(z_id))
    The mean of Σ_j W_ij q(z | x_j) over the choice of the other rows is q(z), exactly. With equal weights 1/B row i,
    whose density is by far the largest, would count N/B times too much; and so it does in published code that writes
    1/N into a column of W in place of the diagonal, where the rows of W sum to 1 all the same. Only a known TC shows
    it. What is left is that the logarithm of an estimate is low on average: about a tenth of a nat at N = 400 and B =
    64.

    Derivation: TC depends on θ through the ℓ_ijd alone. The slope of log Σ_j W_j e^{a_j} is the softmax of log W + a:
        p_ij = softmax_j(log W_ij + Σ_d ℓ_ijd),   p_ijd = softmax_j(log W_ij + ℓ_ijd)
        G_ijd = ∂TC/∂ℓ_ijd = 1/B (p_ij − p_ijd)
    and with e_ijd = (z_id − μ_jd)/σ_jd²,  ∂ℓ/∂z = −e,  ∂ℓ/∂μ = e,  ∂ℓ/∂log σ² = ½ ((z_id − μ_jd) e_ijd − 1):
        ∂TC/∂z_id = −Σ_j G_ijd e_ijd,   ∂TC/∂μ_jd = Σ_i G_ijd e_ijd,   ∂TC/∂log σ_jd² = ½ Σ_i G_ijd ((z_id − μ_jd) e_ijd
        − 1)
    dz goes on through z = μ + σ ε like that of the decoder. (B, B, m) numbers are held.
    """

    name = "total_correlation"
    short = ("tcvae",)
    section = "15.6"
    rows = Count(doc="N, rows of the training data", lowest=2, example=50)
    gamma = Weight("TC", 5.0, "weight γ of the total correlation")
    kl = Settled("closed", "the KL is taken in closed form beside TC")
    coupled = ("TC",)
    cases = {
        "bernoulli": dict(activation="tanh", rows=50, gamma=2.0),
        "gaussian, β = 0.5": dict(activation="softplus", rows=50, beta=0.5, gamma=0.7, loss="gaussian"),
    }

    _log_W: Any = None  # of the last size of a batch

    def cost_and_grad(self, x: Any, eps: Any, mode: Any = "train", need_grad: bool = True) -> Cost:
        """J and its terms at the rows of x, with eps (B, m); ∂J/∂θ goes to `parameters.grad`."""
        if len(x) > self.rows:
            raise InputError(f"the batch has {len(x)} rows and rows is {self.rows}: expected N, those of all the data")
        y, f_cache = self.f.forward(x, mode)  # μ, log σ² = f(x)             (B, 2 m)
        z, z_cache = self.between.forward(y, eps)  # z = μ + σ ε             (B, m)
        s, g_cache = self.g.forward(z, mode)  # p(x | z), as logits s        (B, n)
        L, ds = self.loss(s, x)  # L = −log p(x | z), and ds = ∂J/∂s
        mu, log_var = y[:, : self.code_size], y[:, self.code_size :]
        TC, slopes = self.joint_correlation(z, mu, log_var, need_grad)
        cost = self.cost(L=L, KL=self.between.divergence(z_cache), TC=TC)
        if not need_grad:
            return cost

        # the same lines, upward
        dz = self.g.backward(ds, g_cache)
        if TC is not None:
            dz += slopes[0]
        dy = self.between.backward(dz, z_cache, self.weights["KL"])  # ∂J/∂μ and ∂J/∂log σ²
        if TC is not None:
            dy[:, : self.code_size] += slopes[1]
            dy[:, self.code_size :] += slopes[2]
        self.f.backward(dy, f_cache, need_dx=False)
        return cost

    def joint_correlation(self, z: Any, mu: Any, log_var: Any, need_grad: bool) -> Any:
        """TC, and what its slopes are on the rows of this rank: every rank computes that of all rows (`minae.world`),
        and its J_r is B/B_r of its part of J."""
        world = self.arena.world
        if world.size == 1 or not self.gamma:
            return self.total_correlation(z, mu, log_var, need_grad)
        z, mu, log_var = map(world.gathered, (z, mu, log_var))
        TC, slopes = self.total_correlation(z, mu, log_var, need_grad)
        if slopes is not None:
            slopes = [slope[world.own] * (world.rows / world.weight) for slope in slopes]
        return TC, slopes

    def total_correlation(self, z: Any, mu: Any, log_var: Any, need_grad: bool = True) -> Any:
        """TC of a batch, and γ times its slopes by z, μ and log σ². None for a weight of 0, and 0 for one row."""
        if not self.gamma:
            return None, None
        ws, B = self.arena.ws, len(z)
        if B == 1:
            return 0.0 * z.sum(), (0 * z, 0 * z, 0 * z)
        d = ws.subtract(z[:, None, :], mu[None])  # z_id − μ_jd              (B, B, m)
        e = ws.multiply(d, ws.exp(ws.negative(log_var))[None])
        ell = ws.multiply(ws.add(ws.multiply(d, e), ws.add(log_var, math.log(2 * math.pi))[None]), -0.5)
        if self._log_W is None or len(self._log_W) != B:
            self._log_W = self.log_weights(B)
        log_q, p = self.log_sum(ws.add(ell.sum(axis=2, out=self.arena.empty(B, B)), self._log_W)[:, :, None])
        log_q_d, p_d = self.log_sum(ws.add(ell, self._log_W[:, :, None]))
        TC = (log_q.sum() - log_q_d.sum()) / B
        if not need_grad:
            return TC, None
        G = ws.multiply(ws.subtract(p, p_d), self.gamma / B)
        Ge = ws.multiply(G, e)
        dz, dmu, dlog_var = (self.arena.empty(*z.shape) for _ in range(3))
        Ge.sum(axis=1, out=dz)
        Ge.sum(axis=0, out=dmu)
        ws.subtract(ws.multiply(Ge, d), G).sum(axis=0, out=dlog_var)
        return TC, (ws.negative(dz), dmu, ws.multiply(dlog_var, 0.5))

    def log_sum(self, a: Any) -> Any:
        """log Σ_j exp a_ijd along axis 1, and its slope softmax_j(a_ijd)."""
        ws, shape = self.arena.ws, (len(a), 1, a.shape[2])
        top = a.max(axis=1, keepdims=True, out=self.arena.empty(*shape))
        p = ws.exp(ws.subtract(a, top))
        total = p.sum(axis=1, keepdims=True, out=self.arena.empty(*shape))
        return ws.add(top, ws.log(total)), ws.divide(p, total)

    def log_weights(self, B: Any) -> Any:
        """log W, (B, B)."""
        xp, w = self.backend.xp, (self.rows - 1) / (self.rows * (B - 1))
        return xp.log(xp.eye(B, dtype=self.dtype) * (1 / self.rows - w) + w)

import numpy as np

from minae.autoencoders.base import Autoencoder, whole
from minae.backend import namespace, standard_normal
from minae.errors import InputError


class VariationalAutoencoder(Autoencoder):
    r"""The variational autoencoder.     J = L + β KL,  β = 1: −ELBO     (20.10.3; Kingma and Welling 2014)

        mu, log_var = f(x)                  q(z | x) = N(mu, diag e^log_var), for p_encoder     (14.12)
        z = mu + e^{log_var/2} eps          eps ~ N(0, I), drawn outside
        L  = −log p(x | z)                  p_decoder of 14.4, by `loss`     (14.13)
        KL = ½ Σ mu² + e^log_var − log_var − 1          KL(q(z | x) ‖ N(0, I)) in closed form

    The same log_var is in the sampler and in the KL: σ = e^{log_var/2} in both. L is summed over pixels, KL over code
    units, both are means over the batch, so that J is the negative ELBO of one example and not some multiple.

    beta: weight β ≥ 0 of KL (Higgins et al. 2017)
    kl:   "closed", or "sampled" for its estimate by the same z, log q(z | x) − log p(z), which needs no closed form
    The other arguments are those of `Autoencoder`; the code is linear.
    """

    variant = "variational"
    code_parts = 2  # the encoder's last layer gives mu and log_var

    def __init__(self, sizes, *, beta=1.0, kl="closed", **options):
        if not 0 <= beta < float("inf"):
            raise InputError(f"beta is {beta}: the weight of the KL is a number ≥ 0")
        if kl not in ("closed", "sampled"):
            raise InputError(f"unknown kl {kl!r}: choose 'closed' or 'sampled'")
        if options.get("tied"):
            raise InputError("tied is True: the encoder's last layer is twice as wide as the code, so V cannot be Wᵀ")
        if options.setdefault("code", "identity") != "identity":
            raise InputError(f"code is {options['code']!r}: mu and log_var take any real value, so leave it out")
        super().__init__(sizes, **options)
        self.weights["KL"] = float(beta)
        self.config |= dict(beta=float(beta), kl=kl)

    def code(self, x):
        """mu, the mean of q(z | x)."""
        return self.f.forward(x)[0][:, : self.config["sizes"][-1]]

    def posterior(self, X):
        """mu and log_var of q(z | x):  (rows, n) -> two of (rows, m)."""
        y, m = self._map(X, "X", 0, lambda x: self.f.forward(x)[0]), self.config["sizes"][-1]
        return y[:, :m], y[:, m:]

    def sample(self, rows, seed=0):
        """New x: the mean of p(x | z) for z ~ N(0, I).  -> (rows, n)"""
        rng, z = self.backend.generator(seed, 0, 0, 0, 0), np.empty((rows, self.config["sizes"][-1]), self.dtype)
        return self.decode(standard_normal(rng, z))

    def log_likelihood(self, X, samples=50, seed=0):
        """log 1/K Σ_k p(x | z_k) p(z_k) / q(z_k | x), z_k ~ q(z | x): a bound of log p(x) = log Σ_h p(h, x)     (14.3)
        that K = `samples` tightens (Burda et al. 2016).  With the Gaussian loss, without its constant ½ n log 2π.
        (rows, n) -> (rows,)"""
        whole(samples, "samples", 1)
        return self._map(X, "X", 0, lambda x: self._log_weights(x, samples, seed))[:, 0]

    def _log_weights(self, x, samples, seed):
        xp, m, log_w = namespace(x), self.config["sizes"][-1], []
        y, _ = self.f.forward(x)
        mu, log_var = y[:, :m], y[:, m:]
        at = self.arena.mark()
        for k in range(samples):
            self.arena.rewind(at)  # each sample in the memory of the one before
            eps = standard_normal(self.backend.generator(seed, 0, 0, 0, k), self.arena.empty(*mu.shape))
            z, _ = self.reparametrise(mu, log_var, eps)
            s, _ = self.g.forward(z)
            log_p_over_q = 0.5 * (eps * eps + log_var - z * z).sum(axis=1)  # log p(z) − log q(z | x): 2π cancels
            log_w.append(log_p_over_q - self.loss.rows(s, x))
        log_w = xp.stack(log_w)
        top = log_w.max(axis=0)
        return (top + xp.log(xp.exp(log_w - top).mean(axis=0)))[:, None]

    def noise(self, x, rng):
        return {"eps": standard_normal(rng, out=self.arena.empty(x.shape[0], self.config["sizes"][-1]))}

    def reparametrise(self, mu, log_var, eps):
        """z = mu + σ eps, and σ = e^{log_var/2}."""
        xp = namespace(mu)
        sigma = xp.multiply(log_var, 0.5, out=self.arena.empty(*mu.shape))
        xp.exp(sigma, out=sigma)
        z = xp.multiply(sigma, eps, out=self.arena.empty(*eps.shape, dtype=eps.dtype))
        z += mu
        return z, sigma

    def divergence(self, z, eps, mu, log_var, sigma):
        """KL, closed or sampled; the sum over the code and the mean over the batch."""
        xp, work, square = namespace(z), self.arena.empty(*z.shape), self.arena.empty(*z.shape)
        if self.config["kl"] == "closed":  # ½ Σ mu² + σ² − log_var − 1
            xp.multiply(mu, mu, out=work)
            work += xp.multiply(sigma, sigma, out=square)
            work -= 1
        else:  # log q − log p = ½ Σ z² − eps² − log_var: ½ log 2π cancels
            xp.multiply(z, z, out=work)
            work -= xp.multiply(eps, eps, out=square)
        work -= log_var
        return 0.5 * work.sum() / z.shape[0]

    def cost_and_grad(self, x, eps, need_grad=True):
        """J and its terms at the rows of x, with eps (B, m); ∂J/∂θ goes to `parameters.grad`."""
        x, weights, B, m = self.start(x), self.weights, x.shape[0], self.config["sizes"][-1]
        eps = self.argument(eps, "eps", (B, m))
        y, f_cache = self.f.forward(x)  # mu, log_var = f(x)           (B, 2 m)
        mu, log_var = y[:, :m], y[:, m:]
        z, sigma = self.reparametrise(mu, log_var, eps)
        s, g_cache = self.g.forward(z)  # p(x | z), as logits s        (B, n)
        L, ds = self.loss(s, x, weights["L"])  # L = −log p(x | z), and ds = ∂J/∂s
        cost = self.cost(L=L, KL=self.divergence(z, eps, mu, log_var, sigma))
        if not need_grad:
            return cost

        # the same lines, upward
        self.parameters.zero_grad()
        xp, beta = namespace(x), weights["KL"] / B
        dz, work = self.g.backward(ds, g_cache), self.arena.empty(B, m)
        dy = self.arena.empty(B, 2 * m)
        dmu, dlog_var = dy[:, :m], dy[:, m:]
        if self.config["kl"] == "sampled":
            dz += xp.multiply(z, beta, out=work)  # ½ z² reaches θ through z
        dmu[...] = dz  # ∂z/∂mu = 1
        xp.multiply(dz, eps, out=dlog_var)
        dlog_var *= sigma  # ∂z/∂log_var = ½ σ ε; the ½ is below
        if self.config["kl"] == "closed":
            dmu += xp.multiply(mu, beta, out=work)
            xp.multiply(sigma, sigma, out=work)
            work *= beta
            dlog_var += work  # ½ β (σ² − 1)
        dlog_var -= beta  # and in the sampled KL −½ β
        dlog_var *= 0.5
        self.f.backward(dy, f_cache, need_dx=False)
        return cost

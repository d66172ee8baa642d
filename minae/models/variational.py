from typing import Any

import numpy as np

from minae import kernels
from minae.backend import namespace
from minae.codes import Gaussian
from minae.models.autoencoder import Autoencoder
from minae.models.model import Cost
from minae.options import Choice, Count, Settled, Weight, door


class VariationalAutoencoder(Autoencoder):
    r"""The variational autoencoder.     J = L + β KL,  β = 1: −ELBO     (20.10.3; Kingma and Welling 2014)

        μ, log σ² = f(x)          q(z | x) = N(μ, diag σ²), for p_encoder     (14.12)
        z = μ + σ ε               ε ~ N(0, I), drawn outside
        L  = −log p(x | z)        p_decoder of 14.4, by `loss`     (14.13)
        KL = KL(q(z | x) ‖ N(0, I))

    The same log σ² is in the sampler and in the KL. L is summed over pixels, KL over code units, both are means over
    the batch, so that J is the negative ELBO of one example and not some multiple.

    Derivation: J is a mean over draws ε whose law does not depend on θ, so for each ε the gradient of the mean is the
    mean of the gradients: this is what writing z as μ + σ ε is for.     (20.54–20.57)
        ∇_θ E_{z ~ q(z | x)} L(z) = ∇_θ E_ε L(μ + σ ε) = E_ε ∇_θ L(μ + σ ε)
    At a given ε, L depends on f through z, and KL on μ and log σ² (closed), or on z too (sampled):
    `minae.codes.Gaussian` has the two lines that join both. (β: Higgins et al. 2017)
    """

    name = "variational"
    short = ("vae",)
    section = "14.4"
    code_parts = 2  # the encoder's last layer gives μ and log σ²
    beta = Weight("KL", 1.0, "weight β of the KL")
    kl = Choice("closed", "the KL in closed form, or its estimate by the same z", among=("closed", "sampled"))
    code = Settled("identity", "μ and log σ² take any real value")
    tied = Settled(False, "the encoder's last layer is twice as wide as the code, so V cannot be Wᵀ")
    laws = {"eps": "normal", "sample": "normal"}
    cases = {
        "bernoulli": dict(activation="tanh"),
        "sampled KL": dict(activation="tanh", kl="sampled", beta=2.0),
        "convolutional": dict(sizes=(84, 5, 3), image=(2, 7, 6), channels=(3, 4), activation="tanh"),
        "gaussian, β = 4": dict(activation="tanh", beta=4.0, loss="gaussian"),
    }

    def networks(self) -> dict[str, Any]:
        return {"f": self.encoder(), "between": Gaussian(self.code_size, self.kl), "g": self.decoder()}

    def constants(self, rng: np.random.Generator, x: Any) -> dict[str, Any]:
        return {"eps": self.normal(rng, len(x), self.code_size)}

    def cost_and_grad(self, x: Any, eps: Any, mode: Any = "train", need_grad: bool = True) -> Cost:
        """J and its terms at the rows of x, with eps (B, m); ∂J/∂θ goes to `parameters.grad`."""
        y, f_cache = self.f.forward(x, mode)  # μ, log σ² = f(x)             (B, 2 m)
        z, z_cache = self.between.forward(y, eps)  # z = μ + σ ε             (B, m)
        s, g_cache = self.g.forward(z, mode)  # p(x | z), as logits s        (B, n)
        L, ds = self.loss(s, x)  # L = −log p(x | z), and ds = ∂J/∂s
        cost = self.cost(L=L, KL=self.between.divergence(z_cache))
        if not need_grad:
            return cost

        # the same lines, upward
        dz = self.g.backward(ds, g_cache)
        dy = self.between.backward(dz, z_cache, self.weights["KL"])  # ∂J/∂μ and ∂J/∂log σ²
        self.f.backward(dy, f_cache, need_dx=False)
        return cost

    # ---- the model as a distribution

    def posterior(self, X: Any) -> tuple[Any, Any]:
        """μ and log σ² of q(z | x):  (rows, n) -> two of (rows, m)."""
        y = self.apply(lambda x, start: self.f.forward(x)[0], X)
        return y[:, : self.code_size], y[:, self.code_size :]

    @door(count=Count(), seed=Count(lowest=0))
    def sample(self, count: int, seed: int = 0) -> Any:
        """New x: the mean of p(x | z) for z ~ N(0, I).  -> (count, n)"""
        z = self.backend.stream(seed, "sample").standard_normal((count, self.code_size), dtype=self.dtype)
        return self.decode(z)

    @door(samples=Count(), seed=Count(lowest=0))
    def log_likelihood(self, X: Any, samples: int = 50, seed: int = 0) -> Any:
        r"""log 1/K Σ_k p(x | z_k) p(z_k) / q(z_k | x), z_k ~ q(z | x):  (rows, n) -> (rows,)

        A bound of log p(x) = log Σ_h p(h, x) (14.3) that K = `samples` tightens (Burda et al. 2016). With the Gaussian
        loss, without its constant ½ n log 2π. log p(z) − log q(z | x) = ½ Σ ε² + log σ² − z², since 2π cancels.
        """

        def log_mean(x, start):
            xp, (y, _), log_w = namespace(x), self.f.forward(x), []
            for k in range(samples):
                with self.arena:  # each sample in the memory of the one before
                    eps = self.arena.empty(len(x), self.code_size)
                    kernels.noise.standard_normal(self.backend.stream(seed, "likelihood", start, k), eps)
                    z, (_, log_var, *_) = self.between.forward(y, eps)
                    s, _ = self.g.forward(z)
                    log_w.append(0.5 * (eps * eps + log_var - z * z).sum(axis=1) - self.loss.rows(s, x))
            log_w = xp.stack(log_w)
            top = log_w.max(axis=0)
            return (top + xp.log(xp.exp(log_w - top).mean(axis=0)))[:, None]

        return self.apply(log_mean, X)[:, 0]

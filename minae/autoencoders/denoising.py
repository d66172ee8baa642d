import math

import numpy as np

from minae.autoencoders.base import Autoencoder, whole
from minae.corruptions import CORRUPTIONS
from minae.data.rows import Rows
from minae.errors import InputError


class DenoisingAutoencoder(Autoencoder):
    r"""The denoising autoencoder.     J = L(x, g(f(x̃)))     (14.9),   x̃ ~ C(x̃ | x)     (section 14.5)

        x_tilde ~ C(x_tilde | x)  the corrupted input, drawn outside
        h = f(x_tilde)
        L = −log p(x | h)         of the CLEAN x     (14.14)

    The minimum over f and g of E ‖g(f(x̃)) − x‖² is r(x̃) = E[x | x̃], and r(x̃) − x̃ points back to where the data are
    dense. So `score` estimates ∇ log p, and `langevin` and `chain` draw from the p that was learned.

    corruption: gaussian, masking or salt_and_pepper
    level:      standard deviation, or share of the components that are spoiled
    walks:      steps of its own chain that x̃ has gone before the cost sees it: walk-back training, which undoes the
                modes that the chain would find and the data do not have (20.11.3; Bengio et al. 2013). By default 0.
    The other arguments are those of `Autoencoder`. The code may be wider than x: the corruption forbids the copy.
    """

    variant = "denoising"

    def __init__(self, sizes, *, corruption="masking", level=0.25, walks=0, **options):
        super().__init__(sizes, **options)
        if corruption not in CORRUPTIONS:
            raise InputError(f"unknown corruption {corruption!r}: choose one of {', '.join(CORRUPTIONS)}")
        walks = whole(walks, "walks", 0)
        if walks and self.config["loss"] == "gaussian":
            raise InputError(
                "walks needs a loss whose p(x | h) can be drawn from, bernoulli or categorical: leave it out"
            )
        self.corruption = CORRUPTIONS[corruption](level)
        self.config |= dict(corruption=corruption, level=float(level), walks=walks)

    def noise(self, x, rng):
        x_tilde = self.corruption(x, rng, self.arena)
        for _ in range(self.config["walks"]):
            x = self.loss.sample(self.g.forward(self.code(x_tilde))[0], rng)
            x_tilde = self.corruption(x, rng, self.arena)
        return {"x_tilde": x_tilde}

    def cost_and_grad(self, x, x_tilde, need_grad=True):
        """J and its terms at the rows of x, with x_tilde of the same shape; ∂J/∂θ goes to `parameters.grad`."""
        x, x_tilde = self.start(x), self.argument(x_tilde, "x_tilde", x.shape)
        h, f_cache = self.f.forward(x_tilde)  # h = f(x̃)                     (B, m)
        s, g_cache = self.g.forward(h)  # r = g(h), as logits s        (B, n)
        L, ds = self.loss(s, x, self.weights["L"])  # L = −log p(x | h), and ds = ∂J/∂s
        cost = self.cost(L=L)
        if not need_grad:
            return cost

        # the same lines, upward
        self.parameters.zero_grad()
        dh = self.g.backward(ds, g_cache)
        self.f.backward(dh, f_cache, need_dx=False)
        return cost

    # ---- what a trained denoiser knows of p(x)

    def score(self, X):
        """(r(x) − x)/σ²:  (rows, n) -> (rows, n).  An estimate of ∇_x log p(x)     (14.15)

        For squared error     (14.16) and C = N(x̃; x, σ² I)     (14.17). At the optimum it is exact for the density of
        x̃, which is p smoothed by that noise: E[x | x̃] = x̃ + σ² ∇ log p_σ(x̃) (Miyasawa 1961; Alain and Bengio 2014).
        """
        if self.config["corruption"] != "gaussian" or self.config["loss"] != "gaussian":
            raise InputError("the score needs corruption='gaussian' and loss='gaussian' (14.16, 14.17)")
        return (self.reconstruct(X) - X) / self.config["level"] ** 2

    def langevin(self, X, steps, size=None, seed=0):
        """x ← x + δ/2 score(x) + √δ ε from each row of X, by default with δ = σ²:  -> (steps, rows, n)"""
        if not steps >= 1 or (size is not None and not size > 0):
            raise InputError(f"steps is {steps} and size {size}: expected steps ≥ 1 and a size δ > 0")
        x, rng, path = self._start(X), np.random.default_rng(seed), []
        size = self.config["level"] ** 2 if size is None else size
        for _ in range(steps):
            noise = rng.standard_normal(x.shape, dtype=x.dtype)
            x = x + self.dtype.type(size / 2) * self.score(x) + self.dtype.type(math.sqrt(size)) * noise
            path.append(x)
        return np.stack(path)

    def chain(self, X, steps, seed=0):
        """x̃ ~ C(x̃ | x), then x ~ p(x | f(x̃)), again and again from each row of X: a Markov chain whose stationary
        distribution estimates p(x) (20.11.1; Bengio et al. 2013).  Returns its means r(x̃):  -> (steps, rows, n)"""
        if not steps >= 1 or self.config["loss"] == "gaussian":
            raise InputError(
                f"steps is {steps} and loss {self.config['loss']!r}: expected steps ≥ 1 and a p(x | h) to draw from, "
                "bernoulli or categorical; for gaussian there is `langevin`"
            )
        path, x, rng = [], self.backend.from_numpy(self._start(X)), self.backend.generator(seed, 0, 0, 0, 0)
        for _ in range(steps):
            s = self.g.forward(self.code(self.corruption(x, rng)))[0]
            path.append(self.backend.to_numpy(self.loss.mean(s)))
            x = self.loss.sample(s, rng)
        return np.stack(path)

    def _start(self, X):
        """The rows that a chain begins with, checked, on the host."""
        x = Rows(self, X, "X").take(np.arange(len(X)))
        return np.array(self.backend.to_numpy(x) if self.backend.owns(x) else x)

import math
from typing import Any

import numpy as np

from minae.corruptions import CORRUPTIONS
from minae.errors import InputError
from minae.losses import LOSSES
from minae.models.autoencoder import Autoencoder
from minae.models.model import Cost
from minae.options import Choice, Count, Number, Positive, door


class DenoisingAutoencoder(Autoencoder):
    r"""The denoising autoencoder.     J = L(x, g(f(x̃)))     (14.9),   x̃ ~ C(x̃ | x)     (section 14.5)

        x̃ ~ C(x̃ | x)              the corrupted input, drawn outside
        h = f(x̃)
        L = −log p(x | h)         of the CLEAN x     (14.14)

    The minimum over f and g of E ‖g(f(x̃)) − x‖² is r(x̃) = E[x | x̃], and r(x̃) − x̃ points back to where the data are
    dense. So `score` estimates ∇ log p, and `langevin` and `chain` draw from the p that was learned. The code may be
    wider than x: the corruption forbids the copy.

    Derivation: x̃ is drawn and does not depend on θ; it stands where x stands in f, and x itself stands in L alone.
        ds = ∂L(x, s)/∂s,    dh = (∂s/∂h)ᵀ ds,    dW = (∂f(x̃)/∂W)ᵀ dh
    With walks > 0, x̃ has gone some steps of the model's own chain (walk-back training, which undoes the modes that the
    chain would visit and the data do not have: 20.11.3; Bengio et al. 2013). Those steps depend on θ and are held
    fixed.
    """

    name = "denoising"
    short = ("dae",)
    section = "14.5"
    corruption = Choice("masking", "C(x̃ | x), see minae.corruptions", among=tuple(CORRUPTIONS))
    level = Number(0.25, "standard deviation, or share of the components that are spoiled")
    walks = Count(0, "steps of its own chain that x̃ has gone before the cost sees it", lowest=0)
    cases = {
        "gaussian": dict(corruption="gaussian", level=0.3),
        "masking": dict(corruption="masking", level=0.4),
        "salt_and_pepper": dict(corruption="salt_and_pepper", level=0.3),
        "convolutional": dict(sizes=(84, 5, 3), image=(2, 7, 6), channels=(3, 4), activation="tanh"),
    }

    def settle(self) -> None:
        super().settle()
        if self.walks and not hasattr(LOSSES[self.options["loss"]], "sample"):
            raise InputError(
                "walks needs a loss whose p(x | h) can be drawn from, bernoulli or categorical: leave it out"
            )
        self.corrupt = CORRUPTIONS[self.corruption](self.level)

    def constants(self, rng: np.random.Generator, x: Any) -> dict[str, Any]:
        x_tilde = self.corrupt(x, rng, self.arena)
        for _ in range(self.walks):
            x = self.shaped(self.loss.sample(self.g.forward(self.code_of(x_tilde))[0], rng))
            x_tilde = self.corrupt(x, rng, self.arena)
        return {"x_tilde": x_tilde}

    def cost_and_grad(self, x: Any, x_tilde: Any, mode: Any = "train", need_grad: bool = True) -> Cost:
        """J and its terms at the rows of x, with x_tilde of the same shape; ∂J/∂θ goes to `parameters.grad`."""
        h, f_cache = self.f.forward(x_tilde, mode)  # h = f(x̃)               (B, m)
        s, g_cache = self.g.forward(h, mode)  # r = g(h), as logits s        (B, n)
        L, ds = self.loss(s, x)  # L = −log p(x | h), and ds = ∂J/∂s
        cost = self.cost(L=L)
        if not need_grad:
            return cost

        # the same lines, upward
        dh = self.g.backward(ds, g_cache)
        self.f.backward(dh, f_cache, need_dx=False)
        return cost

    # ---- what a trained denoiser knows of p(x)

    def score(self, X: Any) -> Any:
        """(r(x) − x)/σ²:  (rows, n) -> (rows, n).  An estimate of ∇_x log p(x)     (14.15)

        For squared error     (14.16) and C = N(x̃; x, σ² I)     (14.17). At the optimum it is exact for the density of
        x̃, which is p smoothed by that noise: E[x | x̃] = x̃ + σ² ∇ log p_σ(x̃) (Miyasawa 1961; Alain and Bengio 2014).
        """
        if self.corruption != "gaussian" or self.options["loss"] != "gaussian":
            raise InputError("the score needs corruption='gaussian' and loss='gaussian' (14.16, 14.17)")
        return (self.reconstruct(X) - X) / self.level**2

    @door(steps=Count(), size=Positive(optional=True), seed=Count(lowest=0))
    def langevin(self, X: Any, steps: int, size: float | None = None, seed: int = 0) -> np.ndarray:
        """x ← x + η/2 score(x) + √η ε from each row of X, by default with size η = σ²:  -> (steps, rows, n)"""
        x, rng, path = self._start(X), self.backend.stream(seed, "langevin"), []
        size = self.level**2 if size is None else size
        for _ in range(steps):
            eps = rng.standard_normal(x.shape, dtype=x.dtype)
            x = x + self.dtype.type(size / 2) * self.score(x) + self.dtype.type(math.sqrt(size)) * eps
            path.append(x)
        return np.stack(path)

    @door(steps=Count(), seed=Count(lowest=0))
    def chain(self, X: Any, steps: int, seed: int = 0) -> np.ndarray:
        """x̃ ~ C(x̃ | x), then x ~ p(x | f(x̃)), again and again from each row of X: a Markov chain whose stationary
        distribution estimates p(x) (20.11.1; Bengio et al. 2013).  Returns its means r(x̃):  -> (steps, rows, n)"""
        if not hasattr(self.loss, "sample"):
            raise InputError(
                f"loss is {self.options['loss']!r}: expected a p(x | h) to draw from, bernoulli or categorical; for "
                "gaussian there is `langevin`"
            )
        path, x, rng = [], self.backend.from_numpy(self._start(X)), self.backend.stream(seed, "chain")
        for _ in range(steps):
            s = self.g.forward(self.code_of(self.corrupt(x, rng)))[0]
            path.append(self.backend.to_numpy(self.shaped(self.loss.mean(s))))
            x = self.shaped(self.loss.sample(s, rng))
        return np.stack(path)

    @door(count=Count(), seed=Count(lowest=0), steps=Count())
    def sample(self, count: int, seed: int = 0, steps: int = 50) -> np.ndarray:
        """New x: where so many steps of `chain` from an empty x have come; for squared error, of `langevin` from noise.
        -> (count, n).  It takes many steps to forget where a chain began; these may not be enough."""
        shape = (count, *next(iter(self.fields.values())).shape)
        if hasattr(self.loss, "sample"):
            first = 1 / shape[1] if self.options["loss"] == "categorical" else 0
            return self.chain(np.full(shape, first, self.dtype), steps, seed)[-1]
        first = self.backend.stream(seed, "sample").standard_normal(shape, dtype=self.dtype)
        return self.langevin(first, steps, seed=seed)[-1]

    def _start(self, X):
        """The rows that a chain begins with, checked, on the host."""
        x = self.batches(X).take(np.arange(len(X)))["x"]
        return np.array(self.backend.to_numpy(x))

    # ---- what is drawn, for `minae check --effects`

    def _of_x_tilde(self, x):
        """Mean and variance of x̃, given x; after walks they have no closed form."""
        return None if self.walks else self.corrupt.law(x)

    def _of_langevin(self, x):
        """One step from x has the mean x + η/2 score(x) and the variance η = σ²."""
        if not self.corruption == self.options["loss"] == "gaussian":
            return None
        return self.langevin(x, 1)[0], x + self.level**2 / 2 * self.score(x), self.level**2

    def _of_chain(self, x):
        """Two steps of the chain, less two steps by hand with other draws, have the mean 0."""
        if not hasattr(self.loss, "sample"):
            return None
        rng, by_hand = self.backend.stream(0, "check"), self.backend.from_numpy(x)
        for _ in range(2):
            s = self.g.forward(self.code_of(self.corrupt(by_hand, rng)))[0]
            by_hand = self.shaped(self.loss.sample(s, rng))
        return self.chain(x, 2)[1] - self.backend.to_numpy(self.shaped(self.loss.mean(s))), 0.0, None

    laws = {"x_tilde": _of_x_tilde, "langevin": _of_langevin, "chain": _of_chain}

from typing import Any

import numpy as np

from minae import kernels
from minae.coder import Tables
from minae.models.autoencoder import Autoencoder
from minae.models.model import Cost
from minae.options import Count, Settled, Weight
from minae.symbols import Rounded


class CompressiveAutoencoder(Autoencoder):
    r"""An autoencoder whose code is whole numbers that cost few bits.     J = L + β R     (section 14.9)

    (Ballé, Laparra and Simoncelli 2017, "End-to-end optimized image compression")

        z = f(x)
        z̃ = z + u − ½             u ~ U[0, 1), drawn outside: it stands for the rounding
        L = −log p(x | z̃)         the distortion, by `loss`, see minae.losses
        R = −Σ_j log₂ P_j(z̃_j)    the rate: the bits that a coder with the probabilities P needs
        k = round(z)              what is stored, and what `encode` gives

    A small β buys detail with bits, a large one saves bits. P has a place and a width for each number of the code, μ
    and s, which learn with the rest (`minae.symbols.Rounded`). `minae.compression` makes files of k.

    Derivation: z̃ has the slope 1 in z, and both terms read it.
        dz̃ = (∂s/∂z̃)ᵀ ds + β ∂R/∂z̃,    dz = dz̃
    """

    name = "compressive"
    section = "14.9"
    terms = ("L", "R")
    beta = Weight("R", 0.1, "weight β of the rate R, in bits")
    levels = Count(64, "values of each number that the tables of a coder know; others are rare, and cost more")
    code = Settled("identity", "z takes any real value")
    tied = Settled(False, "z̃ is rounded, and the decoder has scales of its own")
    laws = {"u": "uniform"}
    cases = {
        "gaussian": dict(activation="tanh", loss="gaussian", beta=0.1, levels=4),
        "bernoulli": dict(activation="softplus"),
        "convolutional": dict(sizes=(84, 5, 3), image=(2, 7, 6), channels=(3, 4), activation="tanh", beta=0.5),
    }

    def networks(self) -> dict[str, Any]:
        return {"f": self.encoder(), "between": Rounded(self.code_size, self.levels), "g": self.decoder()}

    def constants(self, rng: np.random.Generator, x: Any) -> dict[str, Any]:
        return {"u": kernels.noise.uniform(rng, self.arena.empty(len(x), self.code_size))}

    def cost_and_grad(self, x: Any, u: Any = None, mode: Any = "train", need_grad: bool = True) -> Cost:
        """J and its terms at the rows of x, with u (B, m); ∂J/∂θ goes to `parameters.grad`. Without u, or in mode
        "eval", J is that of the whole numbers k."""
        z, f_cache = self.f.forward(x, mode)  # z = f(x)                     (B, m)
        z, cache = self.between.forward(z, u if mode.train else None)  # z̃   (B, m)
        s, g_cache = self.g.forward(z, mode)  # p(x | z̃), as logits s        (B, n)
        L, ds = self.loss(s, x)  # L = −log p(x | z̃), and ds = ∂J/∂s
        cost = self.cost(L=L, R=self.between.rate(cache))
        if not need_grad:
            return cost

        # the same lines, upward
        dz = self.g.backward(ds, g_cache)
        dz = self.between.backward(dz, cache, self.weights["R"])  # and dμ, dlog s
        self.f.backward(dz, f_cache, need_dx=False)
        return cost

    def calibrate(self, X: Any) -> None:
        """Count which whole numbers X has, training data, since `minae.compression` codes by these counts; and remember
        the quantiles of L."""
        super().calibrate(X)
        found = Tables.of(self.encode(X), self.levels)
        for name, values in (("low", found.low), ("counts", found.counts)):
            self.state[name][...] = self.backend.from_numpy(values.astype(self.dtype))

    def bits(self, X: Any) -> Any:
        """−log₂ P(k) of each example:  (rows, n) -> (rows,)."""

        def of_rows(x, start):
            _, cache = self.between.forward(self.f.forward(x)[0])
            return self.between.bits(cache).sum(axis=1)[:, None]

        return self.apply(of_rows, X)[:, 0]

from typing import Any

import numpy as np

from minae.codes import NoisyLogits
from minae.metrics.retrieval import pack
from minae.models.autoencoder import Autoencoder
from minae.models.model import Cost
from minae.options import Positive, Settled


class SemanticHashingAutoencoder(Autoencoder):
    r"""An autoencoder whose code is a hash.     J = L(x, g(h))     (section 14.9; Salakhutdinov and Hinton 2009)

        a = f(x)                  logits of the code, so f ends without an activation
        h = σ(a + level ε)        ε ~ N(0, I), drawn outside
        L = −log p(x | h)         by `loss`, see minae.losses

    Between 0 and 1 the noise decides what h is, and g cannot read it; only a logit that is large beside the noise gets
    its bit through. So training drives the logits apart until h is nearly 0 or 1, with or without noise, and the bit
    [a > 0] tells as much as h does.

    Derivation: ε is held fixed, so h is an ordinary sigmoid of a shifted logit (`minae.codes.NoisyLogits`).
        dh = (∂s/∂h)ᵀ ds,    da = dh h (1 − h)

    `encode` and `reconstruct` take h = σ(a), without noise; `decode` takes any h in [0, 1], so also bits.
    """

    name = "hashing"
    section = "14.9"
    level = Positive(4.0, "standard deviation of the noise on the logits, the same throughout training")
    code = Settled("sigmoid", "the noise drives a sigmoid to 0 or 1")
    laws = {"eps": "normal"}
    cases = {
        "one layer, tied": dict(sizes=(7, 5), level=1.0, tied=True),
        "deep, ReLU": dict(sizes=(7, 6, 5, 3), activation="relu", loss="gaussian"),
        "categorical": dict(level=0.5, loss="categorical"),
    }

    def networks(self) -> dict[str, Any]:
        return {"f": self.encoder(code="identity"), "between": NoisyLogits(self.level), "g": self.decoder()}

    def constants(self, rng: np.random.Generator, x: Any) -> dict[str, Any]:
        return {"eps": self.normal(rng, len(x), self.code_size)}

    def cost_and_grad(self, x: Any, eps: Any, mode: Any = "train", need_grad: bool = True) -> Cost:
        """J and its terms at the rows of x, with eps (B, m); ∂J/∂θ goes to `parameters.grad`."""
        a, f_cache = self.f.forward(x, mode)  # a = f(x)                     (B, m)
        h, h_cache = self.between.forward(a, eps)  # h = σ(a + level ε)      (B, m)
        s, g_cache = self.g.forward(h, mode)  # r = g(h), as logits s        (B, n)
        L, ds = self.loss(s, x)  # L = −log p(x | h), and ds = ∂J/∂s
        cost = self.cost(L=L)
        if not need_grad:
            return cost

        # the same lines, upward
        dh = self.g.backward(ds, g_cache)
        da = self.between.backward(dh, h_cache)  # dh h (1 − h)
        self.f.backward(da, f_cache, need_dx=False)
        return cost

    def hash(self, X: Any) -> np.ndarray:
        """The bits [a > 0], packed as `minae.metrics.retrieval.pack` does:  (rows, n) -> uint8 (rows, ⌈m/8⌉), on the
        host."""
        a = self.apply(lambda x, start: self.f.forward(x)[0], X)
        return pack((self.backend.to_numpy(a) if self.backend.owns(a) else a) > 0)

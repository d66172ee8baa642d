from typing import Any

import numpy as np

from minae import kernels
from minae.fields import Real
from minae.layers import Activation, Affine
from minae.models.model import Cost, Model
from minae.networks import RECTIFIED, Network
from minae.options import Choice, Sizes, Weight
from minae.penalties import WeightDecay


class DeepSVDD(Model):
    r"""A network that brings usual rows to one place.     J = L + λ Ω     (section 5.1.1, anomaly detection)

    (Ruff et al. 2018, "Deep one-class classification")

        h = f(x)                  affine maps without biases, and φ with φ(0) = 0 and no upper bound
        L = ‖h − c‖²              c is fixed: the mean of h over the data, at the first weights
        Ω = ½ Σ ‖W‖²

    A row far from c is unusual: L is the score. `fit` finds c (`centre`) where it is still 0.

    What must not be possible is an f that brings *every* x to c, since then L says nothing. With a bias b and W = 0,
    h = φ(b) can be c. With c = 0, W = 0 alone is enough. A bounded φ can be held at its bound, which is a bias again.
    So there are no biases and no such φ, and `centre` moves each number of c at least 0.1 away from 0.

    Derivation: c is a constant, and the rest is the chain of f.
        ∂L/∂h_b = 1/B ∂/∂h_b Σ_j (h_bj − c_j)²:    dh = 2/B (h − c)
    """

    name = "deep_svdd"
    short = ("svdd",)
    section = "5.1.1"
    sizes = Sizes("widths from x to h, at least two")
    activation = Choice("relu", "φ of the hidden layers", among=("relu", "leaky_relu", "swish", "gelu"))
    lam = Weight("Omega", 0.0, "weight λ of weight decay")
    terms = ("L",)
    cases = {
        "two layers": dict(sizes=(7, 5, 3), activation="swish", lam=0.1),
        "three layers": dict(sizes=(7, 6, 5, 3), activation="gelu"),
    }

    def inputs(self) -> dict[str, Any]:
        return {"x": Real(self.sizes[0])}

    def networks(self) -> dict[str, Any]:
        layers = []
        for k, (n, m) in enumerate(zip(self.sizes[:-1], self.sizes[1:], strict=True), 1):
            phi = self.activation if k + 1 < len(self.sizes) else "identity"
            layers += [Affine(f"W{k}", None, n, m, gain=RECTIFIED.get(phi)), Activation(phi)]
        return {"f": Network(layers)}

    def build(self) -> None:
        self.penalty = WeightDecay(self.parameters, self.weights)
        self.state["c"] = self.backend.xp.zeros(self.sizes[-1], self.dtype)

    def cost_and_grad(self, x: Any, mode: Any = "train", need_grad: bool = True) -> Cost:
        """J and its terms at the rows of x, (B, n); ∂J/∂θ goes to `parameters.grad`."""
        h, f_cache = self.f.forward(x, mode)  # h = f(x)                     (B, m)
        dh = self.arena.ws.subtract(h, self.state["c"])  # h − c             (B, m)
        cost = self.cost(L=kernels.products.dot(dh, dh) / len(x), Omega=self.penalty.value())
        if not need_grad:
            return cost

        # the same lines, upward
        self.penalty.backward()  # dW += λ W
        dh *= 2 * self.weights["L"] / len(x)
        self.f.backward(dh, f_cache, need_dx=False)
        return cost

    def centre(self, X: Any) -> None:
        """c = the mean of h over X, at the present weights, each number at least 0.1 away from 0."""
        c = self._host(self.encode(X)).mean(axis=0)
        c = np.where(abs(c) < 0.1, np.where(c < 0, -0.1, 0.1), c)
        self.state["c"][...] = self.backend.from_numpy(c.astype(self.dtype))

    def fit(self, X: Any, y: Any = None, **settings: Any) -> Any:
        """As for any model; c is found first, where it is still 0."""
        if not bool(self.state["c"].any()):
            self.centre(X)
        return super().fit(X, y, **settings)

    def encode(self, X: Any) -> Any:
        """h = f(x):  (rows, n) -> (rows, m)."""
        return self.apply(lambda x, start: self.f.forward(x)[0], X)

    def score_samples(self, X: Any) -> Any:
        """−L of each row, high where x is usual.  -> (rows,)"""

        def minus_L(x, start):
            d = self.f.forward(x)[0] - self.state["c"]
            return -(d * d).sum(axis=1, keepdims=True)

        return self.apply(minus_L, X)[:, 0]

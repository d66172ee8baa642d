import math
from typing import Any

import numpy as np

from minae import kernels
from minae.fields import Tokens
from minae.layers import Activation, Affine, Flatten
from minae.losses import LOSSES
from minae.models.byte_classifier import BYTES, picture_side, read_bytes
from minae.models.classifier import Classifier
from minae.models.model import Cost, Model
from minae.networks import Network, expanding, mirrored
from minae.options import Choice, Count, Rate, Sizes


class ByteDenoising(Model):
    r"""A denoising autoencoder of files as pictures.     J = L(x/255, g(f(x̃)))     (14.9),   x̃ ~ C(x̃ | x)

        x̃ = x, but for a share ν of the bytes, which are drawn anew from 0 … 255
        h = f(x̃)                  a table of the bytes, blocks of convolutions, an affine map
        r = g(h)                  the picture in grey, each byte as x/255

    f begins with the layers of `ByteClassifier` under the same names, so that they can be copied to it: what they
    learn needs no labels. L is the reconstruction error by which a picture looks unusual.

    Derivation: which bytes are drawn anew, and as what, is one draw u ~ U[0, 1) for each: where u < ν, u/ν is uniform
    again, so x̃ = ⌊256 u/ν⌋. u does not depend on θ; neither does x, so the chain is that of any autoencoder.
        ds = ∂L(x/255, s)/∂s,    dh = (∂s/∂h)ᵀ ds,    de = (∂h/∂e)ᵀ dh,    dE_v = Σ_{b i j} [x̃_bij = v] de_bij
    """

    name = "byte_denoising"
    section = "14.5"
    coupled = ("L",)  # batch normalisation
    sizes = Sizes("bytes of a picture, a square number, channels of each block, numbers of h", example=(64, 8, 3))
    activation = Choice("relu", "φ of the hidden layers", among=Classifier.activation.among)
    loss: Any = Choice("bernoulli", "L = −log p(x | h), see minae.losses", among=("bernoulli", "gaussian", "laplace"))
    width = Count(8, "n, numbers for each byte")
    level = Rate(0.25, "share of the bytes that are drawn anew")
    laws = {"u": "uniform"}
    cases = {
        "one block": dict(activation="tanh", width=3, level=0.4),
        "two blocks": dict(sizes=(64, 8, 16, 4), activation="tanh", width=2, loss="gaussian"),
    }

    def settle(self) -> None:
        self.side = picture_side(self.sizes[0], len(self.sizes) - 2)

    def inputs(self) -> dict[str, Any]:
        return {"x": Tokens(BYTES, self.side, self.side)}

    def networks(self) -> dict[str, Any]:
        channels, m = self.sizes[1:-1], self.sizes[-1]
        table, blocks, shape = read_bytes(self.side, self.width, channels, self.activation)
        flat = Flatten(shape)
        f = Network([table, *blocks, flat, Affine("W1", "b1", math.prod(flat.shape_out), m), Activation("identity")])
        above = expanding((1, self.side, self.side), channels, self.activation)
        return {"f": f, "g": Network([*mirrored([*flat.shape_out, m], [self.activation], False).layers, *above])}

    def build(self) -> None:
        self.loss = LOSSES[self.options["loss"]](self.arena, self.weights)

    def constants(self, rng: np.random.Generator, x: Any) -> dict[str, Any]:
        return {"u": kernels.noise.uniform(rng, self.arena.empty(*x.shape))}

    def cost_and_grad(self, x: Any, u: Any, mode: Any = "train", need_grad: bool = True) -> Cost:
        """J and its terms at the pictures x (B, side, side), with u of the same shape; ∂J/∂θ goes to
        `parameters.grad`."""
        h, f_cache = self.f.forward(self.spoiled(x, u), mode)  # h = f(x̃)   (B, m)
        s, g_cache = self.g.forward(h, mode)  # r = g(h), as logits s        (B, n)
        L, ds = self.loss(s, self.grey(x))
        cost = self.cost(L=L)
        if not need_grad:
            return cost

        # the same lines, upward
        dh = self.g.backward(ds, g_cache)
        self.f.backward(dh, f_cache, need_dx=False)
        return cost

    def spoiled(self, x: Any, u: Any) -> Any:
        """x̃: ⌊256 u/ν⌋ where u < ν, else x."""
        ws, x_tilde, kept = self.arena.ws, *(self.arena.empty(*x.shape, dtype="int32") for _ in range(2))
        drawn = ws.minimum(ws.multiply(u, BYTES / self.level), BYTES - 1)  # u just below ν may round to 256
        x_tilde[...] = ws.multiply(drawn, ws.less(u, self.level))  # ⌊ ⌋ is how a number becomes a whole one
        kept[...] = ws.multiply(ws.greater_equal(u, self.level), x)
        x_tilde += kept
        return x_tilde

    def grey(self, x: Any) -> Any:
        """x/255, (B, n)"""
        return self.arena.ws.divide(x.reshape(len(x), -1), BYTES - 1)

    def encode(self, X: Any) -> Any:
        """h = f(x):  (rows, side, side) -> (rows, m)."""
        return self.apply(lambda x, start: self.f.forward(x)[0], X, batch_size=100)

    def reconstruct(self, X: Any) -> Any:
        """r = g(f(x)), in [0, 1]:  (rows, side, side) -> (rows, side, side)."""

        def r(x, start):
            return self.loss.mean(self.g.forward(self.f.forward(x)[0])[0]).reshape(x.shape)

        return self.apply(r, X, batch_size=100)

    def score_samples(self, X: Any) -> Any:
        """log p(x | h = f(x)) of each picture, but for a constant: −L, high where x is usual.  -> (rows,)"""

        def minus_L(x, start):
            return -self.loss.rows(self.g.forward(self.f.forward(x)[0])[0], self.grey(x))[:, None]

        return self.apply(minus_L, X, batch_size=100)[:, 0]

"""An autoencoder: f, g, and what can be done with a code."""

import math
from typing import Any

from minae import options
from minae.backend import namespace
from minae.errors import InputError, warn
from minae.fields import Code, Field
from minae.losses import LOSSES
from minae.models.model import Model
from minae.networks import Network, contracting, dense, expanding, mirrored
from minae.ops import ACTIVATIONS
from minae.options import Choice, Flag, Option, Sizes, Widths


class Autoencoder(Model):
    """f: x -> h and g: h -> s, mirrored: sizes (784, 256, 30) give f 784-256-30 and g 30-256-784.

    The encoder's parameters are W1, b1, W2, …, the decoder's V1, c1, V2, … in the order in which they are used. The
    decoder's last layer is linear: it gives the logits s of p(x | h), and r = g(h) is the mean of p.

    With `channels`, x is an image (C, H, W): f begins with a convolution for each of them (3 × 3, stride 2), and then
    come the affine layers of `sizes`, whose first number is C·H·W; g is its mirror, with up-convolutions (4 × 4, stride
    2).

    A code between f and g, such as `minae.codes.TopK`, is one of the `networks`, under the name "between".
    """

    f: Network
    g: Network
    between: Any = None
    code_parts = 1  # widths of the code that the encoder's last layer gives

    sizes = Sizes("widths from x to h, at least two")
    activation: Choice = Choice("sigmoid", "φ of the hidden layers", among=ACTIVATIONS)
    code: Choice = Choice(
        None, "φ of the code layer h; by default that of the hidden layers", among=ACTIVATIONS, optional=True
    )
    loss: Any = Choice("bernoulli", "L = −log p(x | h), see minae.losses", among=tuple(LOSSES))
    tied = Flag(False, "V = Wᵀ in every layer, one array for both")
    image: Option[list[int] | None] = Widths(None, "(C, H, W) of x, for `channels`", fewest=3, most=3, optional=True)
    channels: Option[list[int] | None] = Widths(
        None, "of the convolutions that f begins with, such as (16, 32)", optional=True
    )

    def settle(self) -> None:
        if self.options["code"] is None:
            self.options["code"] = self.activation
        if (self.image is None) != (self.channels is None):
            raise InputError(f"image is {self.image} and channels {self.channels}: expected both, or none")
        if self.image is not None and (math.prod(self.image) != self.sizes[0] or self.tied):
            raise InputError(
                f"image is {self.image}, sizes {self.sizes} and tied {self.tied}: expected C·H·W = "
                f"{math.prod(self.image)} as the first size, and tied=False, since the kernels of f and g differ"
            )

    @property
    def code_size(self) -> int:
        return self.sizes[-1]

    def inputs(self) -> dict[str, Field]:
        return {"x": self.loss.field(*(self.image or self.sizes[:1]))}

    def networks(self) -> dict[str, Network]:
        return {"f": self.encoder(), "g": self.decoder()}

    def encoder(self, code: str | None = None, **last: Any) -> Network:
        """f.     code: φ of the last layer, where it is not the option of this name;  last: for its affine map"""
        widths = [*self.sizes[:-1], self.code_size * self.code_parts]
        activations = [self.activation] * (len(widths) - 2) + [code or self.options["code"]]
        if self.image is None:
            return dense(widths, activations, "W", "b", **last)
        below = contracting(self.image, self.channels or (), self.activation)
        return Network([*below, *dense([*below[-1].shape_out, *widths[1:]], activations, "W", "b", **last).layers])

    def decoder(self) -> Network:
        """g"""
        activations = [self.activation] * (len(self.sizes) - 2)
        if self.image is None:
            return mirrored(self.sizes, [*activations, "identity"], self.tied)
        above = expanding(self.image, self.channels or (), self.activation)
        first = mirrored([*above[0].shape, *self.sizes[1:]], [*activations, self.activation], False)
        return Network([*first.layers, *above])

    def build(self) -> None:
        self.loss = LOSSES[self.options["loss"]](self.arena, self.weights)

    def warn_of_a_copy(self, *weights: float) -> None:
        """For a model that only its penalties or a narrow layer keep from the identity."""
        if min(self.sizes) >= self.sizes[0] and not any(weights):
            warn(
                f"no layer of {self.sizes} is narrower than x, and lam is 0: nothing keeps the code from a copy of x "
                "(14.2)"
            )

    # ---- verbs: host arrays in, host arrays out, batch by batch

    def code_of(self, x: Any) -> Any:
        """h = f(x) as `encode` gives it and `decode` takes it, of a batch on the device."""
        h, _ = self.f.forward(x)
        return h if self.between is None else self.between.forward(h)[0]

    def encode(self, X: Any) -> Any:
        """h = f(x):  (rows, n) -> (rows, m)."""
        return self.apply(lambda x, start: self.code_of(x), X)

    def decode(self, H: Any) -> Any:
        """r = g(h), the mean of p(x | h):  (rows, m) -> (rows, n)."""
        return self.apply(
            lambda h, start: self.shaped(self.loss.mean(self.g.forward(h)[0])), H, Code(self.code_size), "H"
        )

    def reconstruct(self, X: Any) -> Any:
        """r = g(f(x)):  (rows, n) -> (rows, n)."""
        return self.apply(lambda x, start: self.shaped(self.loss.mean(self.g.forward(self.code_of(x))[0])), X)

    def score_samples(self, X: Any) -> Any:
        """log p(x | h = f(x)) of each row, but for a constant: −L, high where x is reconstructed well.  -> (rows,)"""

        def minus_L(x, start):
            return -self.loss.rows(self.g.forward(self.code_of(x))[0], x)[:, None]

        return self.apply(minus_L, X, next(iter(self.fields.values())))[:, 0]

    def shaped(self, r: Any) -> Any:
        """r in the shape of x."""
        return r if self.image is None else r.reshape(len(r), *self.image)

    def jacobian(self, X: Any) -> Any:
        """Jf = ∂h/∂x at each row, of the code that `encode` gives:  (rows, n) -> (rows, m, n)."""
        self.fits_in_memory(X)
        f = self.f if self.between is None else Network([*self.f.layers, self.between])
        return self.apply(lambda x, start: f.jacobian(x), X, batch_size=100)

    def fits_in_memory(self, X: Any) -> None:
        """Refuse a Jacobian at so many rows that it does not fit."""
        n, m, rows = self.sizes[0], self.code_size, len(self.table(X))
        need, have = rows * m * n * self.dtype.itemsize, self.backend.memory()
        if need > have:
            raise InputError(
                f"a Jacobian of {rows} × {m} × {n} takes {need / 2**30:.3g} GiB of {have / 2**30:.3g}: give fewer "
                "rows; for ‖Jf‖ alone, ContractiveAutoencoder(probes=K) estimates it"
            )

    @options.door(k=options.Count())
    def tangents(self, X: Any, k: int = 8) -> tuple[Any, Any]:
        """Where the code is sensitive, at each row: the k leading right singular vectors of Jf and their singular
        values, (rows, k, n) and (rows, k). They span the manifold's tangent plane at x.     (sections 14.6, 14.7)"""
        J = self.jacobian(X)
        _, values, vectors = namespace(J).linalg.svd(J, full_matrices=False)
        return vectors[:, :k], values[:, :k]

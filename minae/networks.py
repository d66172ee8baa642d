"""Layers one after the other: f, g, and what else a model is made of."""

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

from minae.backend import namespace
from minae.errors import InputError
from minae.layers import EVAL, Activation, Affine, Attention, BatchNorm, Cells, LayerNorm
from minae.layers.base import Composite, Layer
from minae.layers.convolution import (
    ChannelsFirst,
    ChannelsLast,
    Convolution,
    Flatten,
    MaxPool,
    MeanPool,
    Reshape,
    UpConvolution,
)

RECTIFIED = dict.fromkeys(("relu", "leaky_relu", "elu", "swish", "gelu"), 2)  # φ -> the gain of the layer before it


class Network(Composite):
    """y = layer_D(… layer_2(layer_1(x))).     The cache is the list of the layers' caches.

    Refused: a layer that says which shape it reads, above a layer that says that it makes another one.
    """

    def __init__(self, layers: Iterable[Layer]):
        self.layers: list[Any] = list(layers)
        made: Any = None
        for layer in self.layers:
            if made and layer.shape and layer.shape != made:
                kind = type(layer).__name__
                raise InputError(
                    f"{kind} reads examples of shape {layer.shape}: expected {made}, as the layer below has"
                )
            made = layer.shape_out or (made if isinstance(layer, Activation) else None)
        for before, after in zip(self.layers, self.layers[1:], strict=False):
            after.may_overwrite = not before.reads_output

    def trained(self) -> list[Layer]:
        """The layers that have parameters, from x up: f1, f2, … are their names in `rates`."""
        return [layer for layer in self.layers if layer.names]

    def forward(self, x: Any, mode: Any = EVAL) -> tuple[Any, Any]:
        caches = []
        for layer in self.layers:
            x, cache = layer.forward(x, mode=mode)  # by name: a code takes its constants before it
            caches.append(cache)
        return x, caches

    def backward(
        self, dy: Any, caches: Any, need_dx: bool = True, need_dW: bool = True, joins: dict[int, Any] | None = None
    ) -> Any:
        r"""Adds to the gradients of all parameters; returns ∂J/∂x, or None where it is not needed.

        joins: k -> a gradient that joins at the output of layer k (0 is the first), as from a penalty on that layer;
               its memory is used. dy may be None where a gradient joins at a layer, and none comes from above.

        Derivation: with y_0 = x and y_k = layer_k(y_{k−1}), the cost depends on y_{k−1} through y_k alone, and through
        what a penalty reads there. Going from the last layer down, each backward turns ∂J/∂y_k into ∂J/∂y_{k−1}:
            ∂J/∂y_{k−1} = (∂y_k/∂y_{k−1})ᵀ ∂J/∂y_k + (what joins at y_{k−1})     (6.49)
        """
        joins = joins or {}
        for k in reversed(range(len(self.layers))):
            if k in joins:
                dy = joins[k] if dy is None else namespace(dy).add(joins[k], dy, out=joins[k])
            if dy is not None:
                dy = self.layers[k].backward(dy, caches[k], need_dx=need_dx or k > 0, need_dW=need_dW)
        return dy if need_dx else None

    def jacobian(self, x: Any) -> Any:
        r"""∂y/∂x for each example: (B, n) -> (B, m, n).

        Derivation: y = φ_2(φ_1(x W_1 + b_1) W_2 + b_2) gives, by the chain rule from the left,
            ∂y/∂x = diag φ_2'(a_2) W_2ᵀ diag φ_1'(a_1) W_1ᵀ
        """
        y, caches = self.forward(x)
        xp = namespace(x)
        J = xp.broadcast_to(xp.eye(y.shape[1], dtype=y.dtype), (*y.shape, y.shape[1]))
        for layer, cache in zip(reversed(self.layers), reversed(caches), strict=True):
            J = layer.chain(J, cache)
        return J


class Residual(Network):
    """y = x + layer_D(… layer_1(x)), a layer among the layers of another network.     (He et al. 2016)

    Derivation: x reaches y by two ways, and the first one is the identity.
        dx = dy + (∂(y − x)/∂x)ᵀ dy
    """

    reads_output = may_overwrite = False

    def __init__(self, *layers: Layer):
        super().__init__(layers)

    def forward(self, x: Any, mode: Any = EVAL) -> tuple[Any, Any]:
        y, caches = super().forward(x, mode)
        out = self.arena.empty(*y.shape) if self.layers[-1].reads_output else y
        return namespace(x).add(x, y, out=out), caches

    def backward(self, dy: Any, caches: Any, need_dx: bool = True, need_dW: bool = True) -> Any:
        out = self.arena.empty(*dy.shape) if need_dx else None
        with self.arena:  # what the layers within need for it is free again afterwards
            dx = super().backward(dy, caches, need_dx, need_dW)
            return namespace(dy).add(dy, dx, out=out) if need_dx else None


class Branches(Composite):
    r"""y = (y_1, …, y_K): networks that all read x, their channels side by side.     (Szegedy et al. 2015)

    x (B, …, C) -> (B, …, C_1 + … + C_K), where branch k gives y_k (B, …, C_k), alike in all but its channels

    Derivation: y_k stands in the channels of y from c_k = C_1 + … + C_{k−1} on, and in no others. p is a place:
        y_{b p, c_k + j} = y_{k, b p j},    so  ∂J/∂y_{k, b p j} = ∂J/∂y_{b p, c_k + j},  a slice of dy
    x reaches J by every branch, and the chain rule adds up what comes back by them:
        dx = Σ_k (∂y_k/∂x)ᵀ dy_k
    """

    reads_output = False

    def __init__(self, *branches: Any):
        self.layers = [Network(branch) for branch in branches]
        shapes = [next(layer.shape_out for layer in reversed(each.layers) if layer.shape_out) for each in self.layers]
        if len({shape[:-1] for shape in shapes}) > 1:
            raise InputError(
                f"the branches make examples of shapes {shapes}: expected them alike but for the last axis"
            )
        ends = [sum(shape[-1] for shape in shapes[:k]) for k in range(len(shapes) + 1)]
        self.slices = [slice(*pair) for pair in itertools.pairwise(ends)]
        self.shape, self.shape_out = self.layers[0].layers[0].shape, (*shapes[0][:-1], ends[-1])

    def forward(self, x: Any, mode: Any = EVAL) -> tuple[Any, Any]:
        y, caches = self.arena.empty(len(x), *self.shape_out), []
        for branch, channels in zip(self.layers, self.slices, strict=True):
            y[..., channels], cache = branch.forward(x, mode)
            caches.append(cache)
        return y, caches

    def backward(self, dy: Any, caches: Any, need_dx: bool = True, need_dW: bool = True) -> Any:
        dx = None
        for branch, channels, cache in zip(self.layers, self.slices, caches, strict=True):
            dy_k = self.arena.empty(*dy.shape[:-1], channels.stop - channels.start)
            dy_k[...] = dy[..., channels]  # side by side in memory, as the branch made it
            more = branch.backward(dy_k, cache, need_dx, need_dW)
            dx = more if dx is None else self.arena.ws.add(dx, more)
        return dx


def inception(k: int | str, shape: tuple[int, int, int], channels: int, activation: str) -> list[Layer]:
    """Four branches that look through windows of four kinds, each at half the size of the image; then the batch
    normalisation of all, and φ.

    1 × 1, then the mean of 2 × 2 | 3 × 3, stride 2 | 5 × 5, stride 2 | the largest of 2 × 2, then 1 × 1
    with 2 : 4 : 1 : 1 of the channels, as in the first such block of Szegedy et al. (2015). The kernels are Kka … Kkd.

    k: of the names;  shape: (H, W, C), H and W even;  channels: of all branches, a multiple of 8
    """
    gain, part = RECTIFIED.get(activation), channels // 8
    H, W, _ = shape
    if channels % 8 or H % 2 or W % 2:
        raise InputError(f"an image {H} × {W} for {channels} channels: expected even sides, and a multiple of 8")
    point = Convolution(f"K{k}a", f"k{k}a", shape, 2 * part, 1, gain=gain)
    largest = MaxPool(shape, 2)
    branches = [
        [point, Activation(activation), MeanPool(point.shape_out, 2)],
        [Convolution(f"K{k}b", f"k{k}b", shape, 4 * part, 3, stride=2, padding=1, gain=gain)],
        [Convolution(f"K{k}c", f"k{k}c", shape, part, 5, stride=2, padding=2, gain=gain)],
        [largest, Convolution(f"K{k}d", f"k{k}d", largest.shape_out, part, 1, gain=gain)],
    ]
    return [Branches(*branches), BatchNorm(channels, f"G{k}", f"g{k}", axis=-1), Activation(activation)]


def place_mean(shape: tuple[int, ...]) -> list[Layer]:
    """The mean over all places of an image (H, W, C): what is in it, wherever it is.  -> (C,)"""
    mean = MeanPool(shape, shape[:-1])
    return [mean, Flatten(mean.shape_out)]


def transformer_block(
    k: str, n: int, heads: int, m: int, causal: bool = False, activation: str = "relu"
) -> list[Layer]:
    """x + attention(norm(x)), then x + affine(φ(affine(norm(x)))) of m hidden units.     (Xiong et al. 2020)

    k: of the names of the parameters, such as G1a, W1, V1 of the attention and G1b, W1b, V1b of the affine maps
    """
    attend = Residual(LayerNorm(n, f"G{k}a", f"g{k}a"), Attention(k, n, heads, causal))
    affine = [Affine(f"W{k}b", f"b{k}b", n, m), Activation(activation), Affine(f"V{k}b", f"c{k}b", m, n)]
    return [attend, Residual(LayerNorm(n, f"G{k}b", f"g{k}b"), *affine)]


def dense(widths: Sequence[int], activations: Sequence[str], W: str, b: str, **more: Any) -> Network:
    """Layers φ(x W + b) of these widths.     activations: φ of each;  W, b: letters of the parameters' names

    A layer is an `Affine` map and an `Activation`; `more` goes to the last affine map.
    """
    layers: list[Any] = []
    for k, name in enumerate(activations):
        last = more if k + 1 == len(activations) else {}
        gain = RECTIFIED.get(name)
        layers.append(Affine(f"{W}{k + 1}", f"{b}{k + 1}", widths[k], widths[k + 1], gain=gain, **last))
        layers.append(Activation(name))
    return Network(layers)


def of_cells(
    numbers: int,
    categories: Sequence[int],
    width: int,
    widths: Sequence[int],
    activations: Sequence[str],
    unseen: float,
) -> Network:
    """`dense` layers above the embeddings of a table's categories and its numbers; see `layers.Cells`."""
    cells = Cells("E", "f1", numbers, categories, width, unseen)
    return Network([cells, *dense([cells.m, *widths], activations, "W", "b").layers])


def mirrored(widths: Sequence[int], activations: Sequence[str], tied: bool) -> Network:
    """The decoder of `dense`: from the code back to x. V_k and c_k, or with `tied` the transposes of the W."""
    widths, depth = widths[::-1], len(widths) - 1
    layers: list[Any] = []
    for k, name in enumerate(activations):
        V, gain = f"W{depth - k}" if tied else f"V{k + 1}", RECTIFIED.get(name)
        layers.append(Affine(V, f"c{k + 1}", widths[k], widths[k + 1], transposed=tied, gain=gain))
        layers.append(Activation(name))
    return Network(layers)


def contracting(image: Sequence[int], channels: Sequence[int], activation: str) -> list[Layer]:
    """Layers from an image (C, H, W) to a row of numbers, by 3 × 3 convolutions of stride 2: K1, k1, K2, …"""
    layers: list[Any] = [ChannelsLast(image)]
    shape, gain = (*image[1:], image[0]), RECTIFIED.get(activation)
    for i, width in enumerate(channels):
        layers.append(Convolution(f"K{i + 1}", f"k{i + 1}", shape, width, 3, stride=2, padding=1, gain=gain))
        layers.append(Activation(activation))
        shape = layers[-2].shape_out
    return [*layers, Flatten(shape)]


def expanding(image: Sequence[int], channels: Sequence[int], activation: str) -> list[Layer]:
    """The way back of `contracting`, by up-convolutions of stride 2: 4 × 4, or 3 where an image is odd. U1, u1, …"""
    below = [layer for layer in contracting(image, channels, activation) if isinstance(layer, Convolution)][::-1]
    shape = below[0].shape_out
    layers: list[Any] = [Reshape((math.prod(shape),), shape)]
    for i, layer in enumerate(below):
        last, kernel = layer is below[-1], [4 - n % 2 for n in layer.shape[:2]]
        gain = None if last else RECTIFIED.get(activation)
        layers.append(UpConvolution(f"U{i + 1}", f"u{i + 1}", shape, layer.shape[2], kernel, 2, 1, gain=gain))
        layers.append(Activation("identity" if last else activation))
        shape = layer.shape
    return [*layers, ChannelsFirst(shape), Flatten(image)]

"""Convolutions, pooling, and what joins them to affine layers and to the fields of a model.

Within a network, images lie (B, H, W, C) and signals (B, T, C): the channels last, see `minae.ops.convolution`. A layer
is built with the shape of one example as it lies, and says in `shape_out` what it makes of that, so that a network is
put together from x up:

    first = ChannelsLast((1, 28, 28))                                          the field's (C, H, W) -> (28, 28, 1)
    second = Convolution("W1", "b1", first.shape_out, 16, 3, stride=2, padding=1)     -> (14, 14, 16)
    third = Flatten(second.shape_out)                                                 -> (3136,)

`kernel`, `stride`, `padding` and `dilation` are numbers, or pairs (rows, columns).
"""

import math
from typing import Any

import numpy as np

from minae.errors import InputError
from minae.layers.base import EVAL, Layer
from minae.ops import convolution as ops
from minae.ops import pooling
from minae.ops.convolution import Window
from minae.parameters import Parameters


class Shaped(Layer):
    """A layer that is built for examples of one shape, (H, W, C) or (T, C), and that is linear where nothing else is
    said.     shape, shape_out: of an example, before and behind it"""

    reads_output = False

    def __init__(self, shape: Any, shape_out: Any):
        self.shape, self.shape_out = tuple(shape), tuple(shape_out)

    def chain(self, Jy: Any, cache: Any) -> Any:
        """Jx_k = (∂y/∂x)ᵀ Jy_k for each row k of J: what backward does to a gradient dy, the layer being linear."""
        Jx = self.backward(Jy.reshape(-1, *Jy.shape[2:]), cache, need_dW=False)
        return Jx.reshape(*Jy.shape[:2], *Jx.shape[1:])


def space(shape: Any, channels: Any = None) -> Any:
    """(H, W) of an image (H, W, C), (T,) of a signal; refuse other shapes."""
    if len(shape) not in (2, 3) or min(shape) < 1 or (channels is not None and channels < 1):
        made = "" if channels is None else f", and channels {channels}"
        raise InputError(
            f"shape is {tuple(shape)}{made}: expected (H, W, C) or (T, C), numbers ≥ 1; see layers.Reshape"
        )
    return tuple(shape[:-1])


def numbers(axes: Any, *given: Any) -> Any:
    """The window of these settings; refuse numbers that are out of range, or too many of them."""
    window = Window.of(axes, *given)
    for (name, values), value in zip(vars(window).items(), given, strict=False):
        low = 0 if name == "padding" else 1
        if len(values) != axes or any(not isinstance(n, int) or n < low for n in values):
            raise InputError(f"{name} is {value!r}: expected a whole number ≥ {low}, or one for each of {axes} axes")
    return window


def fitting(window: Any, space: Any) -> Any:
    """The window; refuse one that is larger than the padded image, and windows that leave rows of the image unread."""
    sides = zip(space, window.extent, window.windows(space), window.kernel, *window.steps, strict=True)
    for n, extent, windows, kernel, stride, padding, dilation in sides:
        given = f"kernel {kernel}, stride {stride}, padding {padding}, dilation {dilation} on {n} pixels"
        if min(n, windows) < 1:
            padded = n + 2 * padding
            raise InputError(f"{given}: a window takes {extent} of {padded}; choose another kernel or padding")
        unread = set(range(n)) - {i * stride - padding + u * dilation for i in range(windows) for u in range(kernel)}
        if unread:
            pixel = min(unread)
            raise InputError(f"{given}: no window reads pixel {pixel}; choose another stride or padding, or crop")
    return window


class Convolution(Shaped):
    """y = cols(x) W + b.     x (B, H, W, C) -> y (B, H_out, W_out, O); derived in `ops.convolution.conv`

    W, b:     names of the parameters, (k_H·k_W·C, O) and (O,)
    shape:    (H, W, C) of an image, (T, C) of a signal;  channels: O
    gain:     2 where a ReLU follows: the variance of W is gain over the k_H k_W C numbers that a y_o reads (He et al.
              2015); else it is 2/(those + the k_H k_W O/stride² that read a pixel) (Glorot and Bengio 2010)
    Refused: a kernel that is larger than the padded image, and a stride that never reads some row of it.
    """

    def __init__(
        self,
        W: str,
        b: str,
        shape: Any,
        channels: int,
        kernel: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        *,
        gain: float | None = None,
    ):
        self.space, self.names, self.gain = space(shape, channels), (W, b), gain
        self.window = fitting(numbers(len(self.space), kernel, stride, padding, dilation), self.space)
        super().__init__(shape, (*self.window.windows(self.space), channels))
        taps = math.prod(self.window.kernel)
        self.matrix = taps * shape[-1], channels
        self.fans = taps * shape[-1], taps * channels / math.prod(self.window.stride)

    def shapes(self) -> dict[str, Any]:
        W, b = self.names
        return {W: self.matrix, b: self.shape_out[-1:]}

    def bind(self, parameters: Parameters, state: dict[str, Any]) -> None:
        super().bind(parameters, state)
        W, b = self.names
        self.W, self.b = parameters[W], parameters[b]
        self.dW, self.db = parameters.gradient(W), parameters.gradient(b)

    def initialize(self, rng: np.random.Generator) -> None:
        """W uniform, b = 0."""
        fan_in, fan_out = self.fans
        limit = math.sqrt(3 * (self.gain / fan_in if self.gain else 2 / (fan_in + fan_out)))
        self.W[...] = self.arena.backend.from_numpy(rng.uniform(-limit, limit, self.matrix).astype(self.arena.dtype))
        self.b[...] = 0

    def forward(self, x: Any, mode: Any = EVAL) -> tuple[Any, Any]:
        return ops.conv(x, self.W, self.b, self.window, self.arena), x

    def backward(self, dy: Any, x: Any, need_dx: bool = True, need_dW: bool = True) -> Any:
        dW, db = (self.dW, self.db) if need_dW else (None, None)
        return ops.conv_backward(dy, x, self.W, dW, db, self.window, self.arena, need_dx)


class UpConvolution(Convolution):
    """y = col2im(x Wᵀ) + b.     x (B, H_in, W_in, O) -> y (B, H, W, C); derived in `ops.convolution.upconv`

    It is the adjoint of the convolution with the same window that takes y to the size of x, and it is refused where
    that convolution is.

    W, b:     names of the parameters, (k_H·k_W·C, O) and (C,)
    shape:    (H_in, W_in, O) or (T_in, O);  channels: C
    output_padding: rows that y has more than the smallest image of so many windows, less than the stride
    gain:     as in `Convolution`: a y_c reads k_H k_W O/stride² numbers, and an x_o is read by k_H k_W C
    """

    def __init__(
        self,
        W: str,
        b: str,
        shape: Any,
        channels: int,
        kernel: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        *,
        output_padding: Any = 0,
        gain: float | None = None,
    ):
        windows = space(shape, channels)
        window = numbers(len(windows), kernel, stride, padding, dilation)
        more = numbers(len(windows), 1, 1, output_padding).padding
        if any(m >= s for m, s in zip(more, window.stride, strict=True)):
            raise InputError(f"output_padding is {output_padding!r}: expected less than the stride, {stride!r}")
        image = window.space(windows, more)
        fitting(window, image)
        super().__init__(W, b, (*image, channels), shape[-1], kernel, stride, padding, dilation, gain=gain)
        self.shape, self.shape_out, self.fans = self.shape_out, self.shape, self.fans[::-1]

    def forward(self, x: Any, mode: Any = EVAL) -> tuple[Any, Any]:
        return ops.upconv(x, self.W, self.b, self.window, self.space, self.arena), x

    def backward(self, dy: Any, x: Any, need_dx: bool = True, need_dW: bool = True) -> Any:
        dW, db = (self.dW, self.db) if need_dW else (None, None)
        return ops.upconv_backward(dy, x, self.W, dW, db, self.window, self.arena, need_dx)


class Pool(Shaped):
    """shape: (H, W, C) or (T, C);  stride: by default the kernel, so that windows do not overlap"""

    def __init__(self, shape: Any, kernel: Any, stride: Any = None):
        self.space = space(shape)
        self.window = fitting(numbers(len(self.space), kernel, kernel if stride is None else stride), self.space)
        super().__init__(shape, (*self.window.windows(self.space), shape[-1]))


class MaxPool(Pool):
    """The largest of each window, the first of equal ones; derived in `ops.pooling.max_pool`"""

    def forward(self, x: Any, mode: Any = EVAL) -> tuple[Any, Any]:
        return pooling.max_pool(x, self.window, self.arena)

    def backward(self, dy: Any, t: Any, need_dx: bool = True, need_dW: bool = True) -> Any:
        return pooling.max_pool_backward(dy, t, self.window, self.space, self.arena) if need_dx else None

    def chain(self, Jy: Any, t: Any) -> Any:
        """The tap t of an example holds for each row of its J."""
        xp, (B, m) = self.arena.backend.xp, Jy.shape[:2]
        t = t.reshape(B, 1, -1)
        return super().chain(Jy, xp.broadcast_to(t, (B, m, t.shape[2])).reshape(-1, self.shape[-1]))


class MeanPool(Pool):
    """The mean of each window; derived in `ops.pooling.mean_pool`"""

    def forward(self, x: Any, mode: Any = EVAL) -> tuple[Any, Any]:
        return pooling.mean_pool(x, self.window, self.arena), None

    def backward(self, dy: Any, cache: Any, need_dx: bool = True, need_dW: bool = True) -> Any:
        return pooling.mean_pool_backward(dy, self.window, self.space, self.arena) if need_dx else None


class UpSample(Shaped):
    """An image `factor` times as large, each pixel the nearest of x; derived in `ops.pooling.upsample`"""

    def __init__(self, shape: Any, factor: Any):
        before = space(shape)
        self.window = numbers(len(before), factor, factor)
        super().__init__(shape, (*self.window.space(before), shape[-1]))

    def forward(self, x: Any, mode: Any = EVAL) -> tuple[Any, Any]:
        return pooling.upsample(x, self.window, self.arena), None

    def backward(self, dy: Any, cache: Any, need_dx: bool = True, need_dW: bool = True) -> Any:
        return pooling.upsample_backward(dy, self.window, self.arena) if need_dx else None


class Reshape(Shaped):
    """y has the numbers of x, in the order in which they lie.     (B, *shape) -> (B, *shape_out)

    Derivation: each y is one x, under another index.
        ∂J/∂x_k = ∂J/∂y_k,    k the place in memory
    """

    def __init__(self, shape: Any, shape_out: Any):
        super().__init__(shape, shape_out)
        if math.prod(self.shape) != math.prod(self.shape_out):
            one, other = math.prod(self.shape), math.prod(self.shape_out)
            raise InputError(f"{self.shape} has {one} numbers and {self.shape_out} {other}: give two shapes of as many")

    def forward(self, x: Any, mode: Any = EVAL) -> tuple[Any, Any]:
        return x.reshape(len(x), *self.shape_out), None

    def backward(self, dy: Any, cache: Any, need_dx: bool = True, need_dW: bool = True) -> Any:
        return dy.reshape(len(dy), *self.shape)


class Flatten(Reshape):
    """(B, H, W, C) -> (B, H·W·C), which an affine layer can read; derived in `layers.convolution.Reshape`"""

    def __init__(self, shape: Any):
        super().__init__(shape, (math.prod(shape),))


class ChannelsLast(Shaped):
    """(B, C, H, W), as a field has it, -> (B, H, W, C); or (B, C, T) -> (B, T, C).     shape: (C, H, W) or (C, T)

    Derivation: the axes change their places, and the gradient's go back.
        y_{b i j c} = x_{b c i j},    ∂J/∂x_{b c i j} = ∂J/∂y_{b i j c}
    """

    axes = 1, -1  # the channels of x, and of y

    def __init__(self, shape: Any):
        super().__init__(shape, (*shape[1:], shape[0]))

    def forward(self, x: Any, mode: Any = EVAL) -> tuple[Any, Any]:
        return self.moved(x, *self.axes), None

    def backward(self, dy: Any, cache: Any, need_dx: bool = True, need_dW: bool = True) -> Any:
        return self.moved(dy, *self.axes[::-1])

    def moved(self, x: Any, source: Any, target: Any) -> Any:
        """A copy in which axis `source` has become `target`; where there is one channel, the same memory."""
        order = list(range(x.ndim))
        order.insert(target % x.ndim, order.pop(source))
        turned = x.transpose(*order)
        if turned.flags.c_contiguous:
            return turned
        y = self.arena.empty(*turned.shape)
        y[...] = turned
        return y


class ChannelsFirst(ChannelsLast):
    """(B, H, W, C) -> (B, C, H, W), as a field has it; derived in `layers.convolution.ChannelsLast`.

    shape: (H, W, C) or (T, C)
    """

    axes = -1, 1

    def __init__(self, shape: Any):
        Shaped.__init__(self, shape, (shape[-1], *shape[:-1]))

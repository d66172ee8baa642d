r"""Pooling over windows, and up-sampling.

    max_pool   y_{b i j c} = max_{u v} x_{b row(i,u) col(j,v) c}                     (section 9.3)
    mean_pool  y_{b i j c} = 1/(k_H k_W) Σ_{u v} x_{b row(i,u) col(j,v) c}
    upsample   y_{b i j c} = x_{b ⌊i/f⌋ ⌊j/f⌋ c}, the nearest of x, f times as large

Each takes the windows of every channel, `im2col` and its adjoint, as a convolution does, and no weight; see
`minae.ops.convolution` for row(i, u) and how arrays lie. Windows have no padding: a 0 is no pixel.
"""

import math
from typing import Any

from minae import kernels
from minae.backend import namespace


def taps(x: Any, window: Any, arena: Any) -> Any:
    """The windows of x, (B·H_out·W_out, k_H·k_W, C)."""
    cols = arena.scratch(len(x), *window.windows(x.shape[1:-1]), *window.kernel, x.shape[-1])
    kernels.convolution.im2col(x, cols, *window.steps)
    return cols.reshape(-1, math.prod(window.kernel), x.shape[-1])


def untaps(cols: Any, window: Any, dx: Any, windows: Any) -> Any:
    """The adjoint of `taps`, written to dx."""
    cols = cols.reshape(len(dx), *windows, *window.kernel, dx.shape[-1])
    kernels.convolution.col2im(cols, dx, *window.steps)
    return dx


def max_pool(x: Any, window: Any, arena: Any) -> Any:
    r"""y = max over each window, and the tap that has it: the first of those that are equal.     (B, H, W, C)

    Derivation: let t(b i j c) be that tap. With t held fixed, y is a choice among the pixels of its window:
        y_{b i j c} = cols_{(b i j) t c},    ∂J/∂cols_{(b i j)(u v) c} = [(u, v) = t(b i j c)] dy_{b i j c}
    and dx = col2im of that. Where two pixels of a window are equal and largest, y has a kink, and no derivative: any
    share between them is a subgradient. The rule here is that the first in the order of u, v takes it all.
    """
    y = arena.empty(len(x), *window.windows(x.shape[1:-1]), x.shape[-1])
    t = arena.empty(y.size // y.shape[-1], y.shape[-1], dtype="int32")
    kernels.convolution.first_largest(taps(x, window, arena), y.reshape(t.shape), t)
    return y, t


def max_pool_backward(dy: Any, t: Any, window: Any, space: Any, arena: Any) -> Any:
    """dx = col2im([(u, v) = t] dy)"""
    K, C, xp = math.prod(window.kernel), dy.shape[-1], namespace(dy)
    dcols = xp.equal(t[:, None], xp.arange(K, dtype="int32")[:, None], out=arena.scratch(len(t), K, C))
    dcols *= dy.reshape(-1, 1, C)
    return untaps(dcols, window, arena.empty(len(dy), *space, C), dy.shape[1:-1])


def mean_pool(x: Any, window: Any, arena: Any) -> Any:
    r"""y = the mean of each window.     (B, H, W, C)

    Derivation: it is linear, and each of the K = k_H k_W taps has the weight 1/K:
        ∂J/∂cols_{(b i j)(u v) c} = 1/K dy_{b i j c},    dx = col2im of that
    """
    y = arena.empty(len(x), *window.windows(x.shape[1:-1]), x.shape[-1])
    taps(x, window, arena).mean(axis=1, out=y.reshape(-1, y.shape[-1]))
    return y


def mean_pool_backward(dy: Any, window: Any, space: Any, arena: Any) -> Any:
    """dx = col2im(dy / K)"""
    return spread(arena.ws.divide(dy, math.prod(window.kernel)), window, space, arena)


def upsample(x: Any, window: Any, arena: Any) -> Any:
    r"""y_{b i j c} = x_{b ⌊i/f⌋ ⌊j/f⌋ c}.     window: both its kernel and its stride are f

    Derivation: pixel (i, j) of y is tap (u, v) = (i mod f, j mod f) of window (⌊i/f⌋, ⌊j/f⌋), and of no other one. So
    each x is spread over a window, y = col2im(x at every tap), and the gradient gathers what was spread:
        ∂J/∂x_{b i j c} = Σ_{u v} dy_{b, i f + u, j f + v, c}
    Mean pooling of the same window is the adjoint of up-sampling, divided by f².
    """
    return spread(x, window, window.space(x.shape[1:-1]), arena)


def upsample_backward(dy: Any, window: Any, arena: Any) -> Any:
    """dx_{b i j c} = Σ_{u v} dy over the window"""
    dx = arena.empty(len(dy), *window.windows(dy.shape[1:-1]), dy.shape[-1])
    taps(dy, window, arena).sum(axis=1, out=dx.reshape(-1, dx.shape[-1]))
    return dx


def spread(y: Any, window: Any, space: Any, arena: Any) -> Any:
    """col2im of y at every tap."""
    x, C = arena.empty(len(y), *space, y.shape[-1]), y.shape[-1]
    cols = arena.scratch(y.size // C, math.prod(window.kernel), C)
    cols[...] = y.reshape(-1, 1, C)
    return untaps(cols, window, x, y.shape[1:-1])

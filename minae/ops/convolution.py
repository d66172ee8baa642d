r"""Convolution, its two gradients, and up-convolution, which is one of them.

    conv     y_{b i j o}     = b_o + Σ_{u v c} x_{b row(i,u) col(j,v) c} W_{(u v c) o}      (9.6, 9.8)
    conv_dx  dx_{b i′ j′ c}  = Σ_{i u: row(i,u) = i′} Σ_{j v: col(j,v) = j′} Σ_o dy_{b i j o} W_{(u v c) o}     (9.13)
    conv_dW  dW_{(u v c) o} += Σ_{b i j} x_{b row(i,u) col(j,v) c} dy_{b i j o}     (9.11)

with row(i, u) = i · stride − padding + u · dilation, and col(j, v) likewise; x is 0 outside of the image. Images lie
(B, H, W, C), signals (B, T, C): the channels last, because then the windows are the rows of a matrix `cols`, see
`minae.kernels.convolution`, W (k_H·k_W·C, O) is its factor, and no array is ever transposed. What the book calls
convolution flips the kernel and what it calls cross-correlation does not; here, as in most libraries, nothing is
flipped, forward or backward.

The matrix is k_H k_W / stride² times as large as x. So it is made of some examples at a time, each part just before it
is read, and backward makes it anew instead of keeping it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from minae import kernels


@dataclass(frozen=True)
class Window:
    """kernel, stride, padding, dilation of a window: a number for each axis, of an image (H, W) or a signal (T,)."""

    kernel: tuple
    stride: tuple
    padding: tuple
    dilation: tuple

    @classmethod
    def of(cls, axes: Any, kernel: Any, stride: int = 1, padding: int = 0, dilation: int = 1) -> Any:
        """From numbers, each of which holds for all axes, or from a number for each axis."""
        given = kernel, stride, padding, dilation
        return cls(*(tuple(each) if isinstance(each, tuple | list) else (each,) * axes for each in given))

    @property
    def steps(self) -> Any:
        return self.stride, self.padding, self.dilation

    @property
    def extent(self) -> Any:
        """How far a window reaches, with the gaps of its dilation."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    def windows(self, space: Any) -> Any:
        """(H, W) -> (H_out, W_out), how many windows fit into the padded image."""
        sides = zip(space, self.extent, self.stride, self.padding, strict=True)
        return tuple((n + 2 * p - k) // s + 1 for n, k, s, p in sides)

    def space(self, windows: Any, output_padding: Any = None) -> Any:
        """(H_out, W_out) -> (H, W): the smallest image that has so many windows, and `output_padding` more."""
        more = output_padding or [0] * len(windows)
        sides = zip(windows, self.extent, self.stride, self.padding, more, strict=True)
        return tuple((n - 1) * s - 2 * p + k + m for n, k, s, p, m in sides)


def blocks(B: Any, size: Any, arena: Any) -> Any:
    """Slices of B examples whose matrices, of `size` numbers each, still lie in a cache when they are read."""
    height = max(1, arena.backend.block // 2 // size)  # beside a block of the image that they are of
    return [slice(start, min(start + height, B)) for start in range(0, B, height)]


def columns(x: Any, window: Any, arena: Any) -> Iterator[Any]:
    """(slice of the examples, their windows as the rows of a matrix), block by block in the same memory."""
    shape = (*window.windows(x.shape[1:-1]), *window.kernel, x.shape[-1])
    parts = blocks(len(x), math.prod(shape), arena)
    for part in parts:
        block = arena.scratch(part.stop - part.start, *shape)
        kernels.convolution.im2col(x[part], block, *window.steps)
        yield part, block.reshape(-1, math.prod(window.kernel) * x.shape[-1])


def rows(y: Any) -> Any:
    """(B, H, W, O) -> (B·H·W, O)"""
    return y.reshape(-1, y.shape[-1])


def conv(x: Any, W: Any, b: Any, window: Any, arena: Any) -> Any:
    r"""y = cols(x) W + b.     x (B, H, W, C) or (B, T, C) -> y (B, H_out, W_out, O) or (B, T_out, O)

    Derivation: y is an affine map of the windows, y_{b i j o} = b_o + Σ_{u v c} cols_{(b i j)(u v c)} W_{(u v c) o}, so
    `ops.affine` gives its gradients, with a row for each window (b, i, j):
        ∂J/∂W_{(u v c) o} = Σ_{b i j} dy_{b i j o} x_{b row(i,u) col(j,v) c},   that is  dW = colsᵀ dy     (9.11)
        ∂J/∂b_o           = Σ_{b i j} dy_{b i j o}
        ∂J/∂cols          = dy Wᵀ
    One weight stands in every window, and so its gradient is a sum over all places: this is what parameter sharing
    means. One pixel stands in as many windows as have a tap on it, and its gradient is the sum over those:
        ∂J/∂x_{b i′ j′ c} = Σ_{i u: row(i,u) = i′} Σ_{j v: col(j,v) = j′} Σ_o dy_{b i j o} W_{(u v c) o}     (9.13)
    that is dx = col2im(dy Wᵀ). The sum over o takes the row W_{(u v c) ·} at the same tap (u, v) that read the pixel:
    it exchanges the channels o and c, and turns nothing around.
    """
    y = arena.empty(len(x), *window.windows(x.shape[1:-1]), W.shape[1])
    for part, cols in columns(x, window, arena):
        kernels.products.matmul(cols, W, rows(y[part]), bias=b)
    return y


def conv_dW(x: Any, dy: Any, dW: Any, window: Any, arena: Any) -> None:
    """dW += cols(x)ᵀ dy.     dW: an accumulator"""
    for part, cols in columns(x, window, arena):
        dW.add_product(cols.T, rows(dy[part]))


def conv_dx(dy: Any, W: Any, window: Any, space: Any, arena: Any, b: Any = None) -> Any:
    """dx = col2im(dy Wᵀ), and b where it is given.     space: (H, W) of dx, or (T,)"""
    C = len(W) // math.prod(window.kernel)
    dx, shape = arena.empty(len(dy), *space, C), (*dy.shape[1:-1], *window.kernel, C)
    for part in blocks(len(dy), math.prod(shape), arena):
        cols = arena.scratch(part.stop - part.start, *shape)
        kernels.products.matmul(rows(dy[part]), W.T, cols.reshape(-1, len(W)))
        kernels.convolution.col2im(cols, dx[part], *window.steps, bias=b)
    return dx


def conv_backward(dy: Any, x: Any, W: Any, dW: Any, db: Any, window: Any, arena: Any, need_dx: bool = True) -> Any:
    """dW += cols(x)ᵀ dy;  db += Σ dy;  dx = col2im(dy Wᵀ).     dW, db: accumulators, or None"""
    if dW is not None:
        conv_dW(x, dy, dW, window, arena)
        add_pixels(db, dy, arena)
    return conv_dx(dy, W, window, x.shape[1:-1], arena) if need_dx else None


def upconv(x: Any, W: Any, b: Any, window: Any, space: Any, arena: Any) -> Any:
    r"""y = col2im(x Wᵀ) + b: `conv_dx` as a forward pass.     x (B, H_in, W_in, O), W (k_H·k_W·C, O) -> y (B, H, W, C)

    space: (H, W) of y, or (T,), one of those sizes that `conv` takes to the size of x

    Derivation: `conv` without b is linear in its image. Let A be its matrix, so that conv(y) = A y, and the gradient of
    any cost by that image is Aᵀ times the gradient by conv(y). Up-convolution is defined as that map, x ↦ Aᵀ x:
        ⟨conv(y), x⟩ = ⟨y, upconv(x)⟩  for all x and y     (9.14)
    Its own gradients follow by transposing once more, dx = (Aᵀ)ᵀ dy = A dy, a convolution with the same W, and W stands
    in Σ dy · upconv(x) = Σ conv(dy) · x as it does in a convolution that reads dy and has the gradient x:
        ∂J/∂x_{b i j o}    = Σ_{u v c} dy_{b row(i,u) col(j,v) c} W_{(u v c) o},       that is  dx = cols(dy) W
        ∂J/∂W_{(u v c) o} = Σ_{b i j} dy_{b row(i,u) col(j,v) c} x_{b i j o},          that is  dW = cols(dy)ᵀ x
        ∂J/∂b_c            = Σ_{b i′ j′} dy_{b i′ j′ c}
    """
    return conv_dx(x, W, window, space, arena, b)


def upconv_backward(dy: Any, x: Any, W: Any, dW: Any, db: Any, window: Any, arena: Any, need_dx: bool = True) -> Any:
    """dx = cols(dy) W;  dW += cols(dy)ᵀ x;  db += Σ dy.     The windows of dy serve both."""
    dx: Any = arena.empty(len(dy), *x.shape[1:]) if need_dx else None
    for part, cols in columns(dy, window, arena):
        if dW is not None:
            dW.add_product(cols.T, rows(x[part]))
        if need_dx:
            kernels.products.matmul(cols, W, rows(dx[part]))
    if db is not None:
        add_pixels(db, dy, arena)
    return dx


def add_pixels(db: Any, dy: Any, arena: Any) -> None:
    """db_c += Σ_{b i j} dy_{b i j c}, the examples first: long rows are added faster than short ones."""
    with arena:
        total = dy.reshape(len(dy), -1).sum(axis=0, out=arena.empty(dy[0].size))
        db.add_rows(total.reshape(-1, dy.shape[-1]))

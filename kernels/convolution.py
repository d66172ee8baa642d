r"""The windows of an image as the rows of a matrix, `im2col`, and the adjoint of that map, `col2im`.

    row(i, u) = i · stride − padding + u · dilation       the row of x that tap u of window i reads; col(j, v) likewise
    im2col    cols_{(b i j)(u v c)} = x_{b row(i,u) col(j,v) c},    and 0 where the tap lies outside of the image
    col2im    x_{b i′ j′ c} = b_c + Σ_{i u: row(i,u) = i′} Σ_{j v: col(j,v) = j′} cols_{(b i j)(u v c)}

Arrays: x (B, H, W, C), the channels of a pixel side by side; cols (B, H_out, W_out, k_H, k_W, C), which is a matrix of
B·H_out·W_out rows as it lies. With the channels last, neighbouring taps of a window are neighbours in memory, so that
both maps copy or add whole pieces of rows, and a product with the matrix gives an image that lies the same way. A
signal (B, T, C) is an image of height 1.

Derivation:
im2col is linear, and its matrix has numbers 0 and 1 that do not depend on x. With [ ], 1 where it holds, 0 elsewhere,
    cols_{(b i j)(u v c)} = Σ_{i′ j′} [row(i,u) = i′] [col(j,v) = j′] x_{b i′ j′ c}
A tap outside of the image meets no i′, so it gives 0. The gradient by a pixel goes back through every tap that read it:
    ∂J/∂x_{b i′ j′ c} = Σ_{i j u v} [row(i,u) = i′] [col(j,v) = j′] ∂J/∂cols_{(b i j)(u v c)}
which is col2im of the gradient without b_c. The two maps are one matrix and its transpose, so for all x and cols
    ⟨im2col(x), cols⟩ = ⟨x, col2im(cols)⟩
Nothing is flipped: the sum on the right runs over the same pairs (i, u), found from i′ instead of from i. Where
i′ + padding − u · dilation is a multiple of the stride, and the quotient is one of the windows, it is that i.

The plain forms make a pass over the image for each tap. The CPU's col2im writes a row of pixels once: a row stays in
the first cache while all taps that read it are added, so memory sees one pass instead of k². On a GPU a thread has one
number of the result: of im2col it reads one number, of col2im its taps, in the order of u and v, so that a run has the
same bits twice. Neither waits for another thread, and neighbouring threads have neighbouring channels.
"""

import numpy as np

from minae import kernels
from minae.backend import namespace
from minae.kernels import pool
from minae.kernels.reduce import Launch, cuda


def im2col(x, cols, stride, padding, dilation):
    """Write cols.     x (B, H, W, C) and cols as above, or (B, T, C) and (B, T_out, k, C)"""
    x, cols, steps = _as_images(x, cols, stride, padding, dilation)
    B, H, W, C = x.shape
    path = kernels.path(cols, x)
    if path == "plain" or (path == "cpu" and C == 1):  # single numbers: a strided copy for each tap is faster
        im2col_plain(x, cols, steps)
    elif path == "cpu":
        im2col_cpu(
            cols.reshape(B * cols.shape[1], *cols.shape[2:4], cols.shape[4] * C), x.reshape(B, H, W * C), C, steps
        )
    else:
        im2col_cuda.each([cols.reshape(-1), x.reshape(-1)], (H, W, C), cols.shape[1:5], steps)


def col2im(cols, x, stride, padding, dilation, bias=None):
    """Write x.     bias (C,): what is added to every pixel"""
    x, cols, steps = _as_images(x, cols, stride, padding, dilation)
    B, H, W, C = x.shape
    path = kernels.path(x, cols)
    if path == "plain":
        col2im_plain(x, cols, bias, steps)
        return
    bias = namespace(x).zeros(C, x.dtype) if bias is None else bias
    if path == "cpu":
        col2im_cpu(x.reshape(B * H, W * C), cols.reshape(*cols.shape[:4], cols.shape[4] * C), bias, steps)
    else:
        col2im_cuda.each([x.reshape(-1), cols.reshape(-1), bias], (H, W, C), cols.shape[1:5], steps)


def first_largest(cols, y, t):
    """y = max_k cols_{n k c}, and t the first k that has it.     cols (N, K, C) -> y (N, C), t int32 (N, C)"""
    if kernels.path(cols, y, t) == "cpu":
        first_largest_cpu(cols, y, t)
    else:
        t[...] = cols.argmax(axis=1)
        cols.max(axis=1, out=y)


def _as_images(x, cols, stride, padding, dilation):
    """Signals as images of height 1, and (stride, padding, dilation) of the rows and then of the columns."""
    if x.ndim == 3:
        return x[:, None], cols[:, None, :, None], (1, 0, 1, *stride, *padding, *dilation)
    return x, cols, tuple(number for axis in zip(stride, padding, dilation, strict=True) for number in axis)


# ---- plain


def im2col_plain(x, cols, steps):
    cols[...] = 0
    for pixels, taps in meetings(x, cols, steps):
        taps[...] = pixels


def col2im_plain(x, cols, bias, steps):
    x[...] = 0 if bias is None else bias
    for pixels, taps in meetings(x, cols, steps):
        pixels += taps


def meetings(x, cols, steps):
    """For each tap (u, v): the pixels that it reads, and the places of cols that they go to, as views of one shape."""
    for u in range(cols.shape[3]):
        rows, i = _reach(u, x.shape[1], cols.shape[1], *steps[:3])
        for v in range(cols.shape[4]):
            columns, j = _reach(v, x.shape[2], cols.shape[2], *steps[3:])
            yield x[:, rows, columns], cols[:, i, j, u, v]


def _reach(u, size, windows, stride, padding, dilation):
    """The rows that tap u reads, and the windows i that read them: all i with 0 ≤ row(i, u) < size."""
    shift = u * dilation - padding
    first, last = max(0, -(shift // stride)), min(windows - 1, (size - 1 - shift) // stride)
    if first > last:
        return slice(0), slice(0)
    return slice(first * stride + shift, last * stride + shift + 1, stride), slice(first, last + 1)


# ---- the CPU's loops


by_row = pool.parallel(error_model="numpy")


@by_row
def im2col_cpu(start, stop, cols, x, C, steps):
    """Rows of windows: cols (B·H_out, W_out, k_H, k_W·C), x (B, H, W·C). Taps that lie side by side in x are one piece:
    all k_W of them where the dilation is 1."""
    B, H, width = x.shape
    H_out, W_out, k_H, length = len(cols) // B, *cols.shape[1:]
    stride_H, padding_H, dilation_H, stride_W, padding_W, dilation_W = steps
    piece = length if dilation_W == 1 else C
    for row in range(np.int64(start), np.int64(stop)):
        b, i, target = row // H_out, row % H_out, cols[row].reshape(-1)
        for u in range(k_H):
            i_x = i * stride_H - padding_H + u * dilation_H
            inside = 0 <= i_x < H
            source = x[b, i_x if inside else 0]
            for tap in range(0, length, piece):
                for j in range(W_out):
                    first, place = (j * stride_W - padding_W) * C + tap * dilation_W, (j * k_H + u) * length + tap
                    if inside and 0 <= first and first + piece <= width:
                        for k in range(piece):
                            target[np.uint64(place + k)] = source[np.uint64(first + k)]
                    else:  # at the border
                        for k in range(piece):
                            read = inside and 0 <= first + k < width
                            target[np.uint64(place + k)] = source[np.uint64(first + k)] if read else x.dtype.type(0)


@by_row
def col2im_cpu(start, stop, x, cols, bias, steps):
    """Rows of pixels: x (B·H, W·C), cols (B, H_out, W_out, k_H, k_W·C). A row begins as the bias and takes its taps."""
    B, H_out, W_out, k_H, length = cols.shape
    H, width, C = len(x) // B, x.shape[1], bias.size
    stride_H, padding_H, dilation_H, stride_W, padding_W, dilation_W = steps
    piece = length if dilation_W == 1 else C
    for row in range(np.int64(start), np.int64(stop)):
        b, i_x, target = row // H, row % H, x[row]
        for pixel in range(0, width, C):
            for c in range(C):
                target[np.uint64(pixel + c)] = bias[c]
        for u in range(k_H):
            shift = i_x + padding_H - u * dilation_H
            i = shift // stride_H
            if shift < 0 or shift % stride_H or i >= H_out:
                continue
            source = cols[b, i].reshape(-1)
            for tap in range(0, length, piece):
                for j in range(W_out):
                    first, place = (j * stride_W - padding_W) * C + tap * dilation_W, (j * k_H + u) * length + tap
                    for k in range(max(0, -first), min(piece, width - first)):
                        target[np.uint64(first + k)] += source[np.uint64(place + k)]


@by_row
def first_largest_cpu(start, stop, cols, y, t):
    for n in range(start, stop):
        for c in range(cols.shape[2]):
            y[n, c], t[n, c] = cols[n, 0, c], 0
        for k in range(1, cols.shape[1]):
            for c in range(cols.shape[2]):
                more = not (cols[n, k, c] <= y[n, c] or np.isnan(y[n, c]))  # the first NaN is the largest
                y[n, c], t[n, c] = (cols[n, k, c], k) if more else (y[n, c], t[n, c])


# ---- CUDA: a thread has one number of the result


@Launch
def im2col_cuda(cols, x, image, windows, steps):
    """Number (b, i, j, u, v, c) of cols is one number of x, or 0. It is found by taking its place apart."""
    place = cuda.grid(1)
    if place < cols.size:
        H, W, C = image
        H_out, W_out, k_H, k_W = windows
        stride_H, padding_H, dilation_H, stride_W, padding_W, dilation_W = steps
        rest, c = place // C, place % C
        rest, v = rest // k_W, rest % k_W
        rest, u = rest // k_H, rest % k_H
        rest, j = rest // W_out, rest % W_out
        b, i = rest // H_out, rest % H_out
        i_x, j_x = i * stride_H - padding_H + u * dilation_H, j * stride_W - padding_W + v * dilation_W
        if 0 <= i_x < H and 0 <= j_x < W:
            cols[place] = x[((b * H + i_x) * W + j_x) * C + c]
        else:
            cols[place] = 0


@Launch
def col2im_cuda(x, cols, bias, image, windows, steps):
    """Number (b, i_x, j_x, c) of x is its bias and the sum over the taps that read it, at most k_H·k_W of them."""
    place = cuda.grid(1)
    if place < x.size:
        H, W, C = image
        H_out, W_out, k_H, k_W = windows
        stride_H, padding_H, dilation_H, stride_W, padding_W, dilation_W = steps
        rest, c = place // C, place % C
        rest, j_x = rest // W, rest % W
        b, i_x = rest // H, rest % H
        total = bias[c]
        for u in range(k_H):
            shift = i_x + padding_H - u * dilation_H
            i = shift // stride_H
            if shift >= 0 and shift % stride_H == 0 and i < H_out:
                for v in range(k_W):
                    shift = j_x + padding_W - v * dilation_W
                    j = shift // stride_W
                    if shift >= 0 and shift % stride_W == 0 and j < W_out:
                        total += cols[((((b * H_out + i) * W_out + j) * k_H + u) * k_W + v) * C + c]
        x[place] = total

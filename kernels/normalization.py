r"""Rows of mean 0 and standard deviation 1:  x̂ = (x − μ)/σ,  σ = √(δ + mean (x − μ)²), and what goes backward.

    normalize:  x (R, N) -> x̂ (R, N), μ and σ (R,), in one visit to each row
    backward:   dx = (dx̂ − mean dx̂ − x̂ mean(dx̂ x̂)) / σ

`minae.ops.normalization` derives them, and has the plain forms, which work over any axes.
"""

import math

from minae import kernels
from minae.kernels import pool
from minae.kernels.reduce import THREADS, Launch, cuda, tree


def normalize(x, delta, x_hat, mu, sigma):
    """Write x̂, μ and σ."""
    delta = x.dtype.type(delta)
    if kernels.path(x) == "cuda":
        normalize_cuda(len(x), [x, x_hat, mu, sigma], delta)
    else:
        normalize_cpu(x, delta, x_hat, mu, sigma)


def backward(dx_hat, x_hat, sigma, dx):
    """Write dx."""
    if kernels.path(dx_hat) == "cuda":
        backward_cuda(len(x_hat), [dx_hat, x_hat, sigma, dx])
    else:
        backward_cpu(dx_hat, x_hat, sigma, dx)


by_row = pool.parallel(grain=1 << 12, error_model="numpy", fastmath={"contract", "reassoc"})


@by_row
def normalize_cpu(start, stop, x, delta, x_hat, mu, sigma):
    number, N = x.dtype.type, x.dtype.type(x.shape[1])
    for i in range(start, stop):
        row, out = x[i], x_hat[i]
        total, square = number(0), number(0)
        for j in range(row.size):
            total += row[j]
        mean = total / N
        for j in range(row.size):
            square += (row[j] - mean) * (row[j] - mean)
        deviation = math.sqrt(square / N + delta)
        for j in range(row.size):
            out[j] = (row[j] - mean) / deviation
        mu[i], sigma[i] = mean, deviation


@by_row
def backward_cpu(start, stop, dx_hat, x_hat, sigma, dx):
    number, N = dx_hat.dtype.type, dx_hat.dtype.type(dx_hat.shape[1])
    for i in range(start, stop):
        d, row, out = dx_hat[i], x_hat[i], dx[i]
        total, inner = number(0), number(0)
        for j in range(d.size):
            total += d[j]
            inner += d[j] * row[j]
        total, inner = total / N, inner / N
        for j in range(d.size):
            out[j] = (d[j] - total - row[j] * inner) / sigma[i]


@Launch
def normalize_cuda(x, x_hat, mu, sigma, delta):
    """A block has a row. All wait for μ, the first tree's sum, and all have read it before σ's tree begins. Its squares
    are of differences from μ, since mean x² − μ² would lose the digits of a small σ beside a large μ."""
    i, shared, N = cuda.blockIdx.x, cuda.shared.array(THREADS, x.dtype), x.dtype.type(x.shape[1])
    total, square = x.dtype.type(0), x.dtype.type(0)
    for j in range(cuda.threadIdx.x, x.shape[1], cuda.blockDim.x):
        total += x[i, j]
    shared[cuda.threadIdx.x] = total
    tree(shared, 1)
    mean = shared[0] / N
    cuda.syncthreads()
    for j in range(cuda.threadIdx.x, x.shape[1], cuda.blockDim.x):
        square += (x[i, j] - mean) * (x[i, j] - mean)
    shared[cuda.threadIdx.x] = square
    tree(shared, 1)
    deviation = math.sqrt(shared[0] / N + delta)
    for j in range(cuda.threadIdx.x, x.shape[1], cuda.blockDim.x):
        x_hat[i, j] = (x[i, j] - mean) / deviation
    if cuda.threadIdx.x == 0:
        mu[i], sigma[i] = mean, deviation


@Launch
def backward_cuda(dx_hat, x_hat, sigma, dx):
    """A block has a row, and two trees: the mean of dx̂, and once all have read it, the mean of dx̂ x̂."""
    i, shared, N = cuda.blockIdx.x, cuda.shared.array(THREADS, dx.dtype), dx.dtype.type(dx.shape[1])
    total, inner = dx.dtype.type(0), dx.dtype.type(0)
    for j in range(cuda.threadIdx.x, dx.shape[1], cuda.blockDim.x):
        total += dx_hat[i, j]
        inner += dx_hat[i, j] * x_hat[i, j]
    shared[cuda.threadIdx.x] = total
    tree(shared, 1)
    mean = shared[0] / N
    cuda.syncthreads()
    shared[cuda.threadIdx.x] = inner
    tree(shared, 1)
    for j in range(cuda.threadIdx.x, dx.shape[1], cuda.blockDim.x):
        dx[i, j] = (dx_hat[i, j] - mean - x_hat[i, j] * (shared[0] / N)) / sigma[i]

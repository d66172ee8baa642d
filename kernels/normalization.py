r"""Mean 0 and standard deviation 1:  x̂ = (x − μ)/σ,  σ = √(δ + mean (x − μ)²), and what goes backward.

    normalize:  x (R, N) -> x̂ (R, N), μ and σ (R,), in one visit to each row
    backward:   dx = (dx̂ − mean dx̂ − x̂ mean(dx̂ x̂)) / σ

and the same over time, for each channel of a sequence by itself. A padded step is in no mean, and its x̂ and dx are 0:

    normalize_over_time:  x (B, T, C), live (B, T) or (B, 1) for no padding -> x̂ (B, T, C), μ and σ (B, C)
    backward_over_time:   dx̂, x̂ (B, T, C), live, σ (B, C) -> dx (B, T, C)

The channels of a step lie side by side, so the sums over time are sums of rows, one for each channel at once.
`minae.ops.normalization` derives all four, and has the plain forms, which work over any axes.
"""

import math

from minae import kernels
from minae.kernels import pool
from minae.kernels.reduce import COLUMNS, THREADS, Device, Launch, cuda, tiles, tree


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


def normalize_over_time(x, live, delta, x_hat, mu, sigma):
    """Write x̂, μ and σ."""
    delta = x.dtype.type(delta)
    if kernels.path(x) == "cuda":
        normalize_over_time_cuda(len(x) * tiles(x.shape[2]), [x, live, x_hat, mu, sigma], delta)
    else:
        normalize_over_time_cpu(x, live, delta, x_hat, mu, sigma)


def backward_over_time(dx_hat, x_hat, live, sigma, dx, means):
    """Write dx.     means (B, 2, C): memory for the means of dx̂ and of dx̂ x̂, on the CPU"""
    if kernels.path(dx_hat) == "cuda":
        backward_over_time_cuda(len(x_hat) * tiles(x_hat.shape[2]), [dx_hat, x_hat, live, sigma, dx])
    else:
        backward_over_time_cpu(dx_hat, x_hat, live, sigma, dx, means)


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


@by_row
def normalize_over_time_cpu(start, stop, x, live, delta, x_hat, mu, sigma):
    """Steps outside, channels inside: the rows of μ and σ hold the sums, and stay in the cache."""
    T, C = x.shape[1], x.shape[2]
    padded, one = live.shape[1] > 1, x.dtype.type(1)
    for b in range(start, stop):
        mean, deviation, N = mu[b], sigma[b], one - one
        for c in range(C):
            mean[c], deviation[c] = 0, 0
        for t in range(T):
            if not padded or live[b, t]:
                N += one
                for c in range(C):
                    mean[c] += x[b, t, c]
        for c in range(C):
            mean[c] /= N
        for t in range(T):
            if not padded or live[b, t]:
                for c in range(C):
                    deviation[c] += (x[b, t, c] - mean[c]) * (x[b, t, c] - mean[c])
        for c in range(C):
            deviation[c] = math.sqrt(deviation[c] / N + delta)
        for t in range(T):
            if not padded or live[b, t]:
                for c in range(C):
                    x_hat[b, t, c] = (x[b, t, c] - mean[c]) / deviation[c]
            else:
                for c in range(C):
                    x_hat[b, t, c] = 0


@by_row
def backward_over_time_cpu(start, stop, dx_hat, x_hat, live, sigma, dx, means):
    T, C = dx_hat.shape[1], dx_hat.shape[2]
    padded, one = live.shape[1] > 1, dx_hat.dtype.type(1)
    for b in range(start, stop):
        mean, inner, N = means[b, 0], means[b, 1], one - one
        for c in range(C):
            mean[c], inner[c] = 0, 0
        for t in range(T):
            if not padded or live[b, t]:
                N += one
                for c in range(C):
                    mean[c] += dx_hat[b, t, c]
                    inner[c] += dx_hat[b, t, c] * x_hat[b, t, c]
        for c in range(C):
            mean[c] /= N
            inner[c] /= N
        for t in range(T):
            if not padded or live[b, t]:
                for c in range(C):
                    dx[b, t, c] = (dx_hat[b, t, c] - mean[c] - x_hat[b, t, c] * inner[c]) / sigma[b, c]
            else:
                for c in range(C):
                    dx[b, t, c] = 0


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


@Device
def spot(channels):
    """Where a thread of a block of 8 channels stands: its sequence, its channel, its first step, and the next one."""
    per = (channels + COLUMNS - 1) // COLUMNS
    b, c = cuda.blockIdx.x // per, cuda.blockIdx.x % per * COLUMNS + cuda.threadIdx.x % COLUMNS
    return b, c, cuda.threadIdx.x // COLUMNS, cuda.blockDim.x // COLUMNS


@Device
def summed(part, shared):
    """The sum of the parts of a channel's threads. All have read it before `shared` is written again."""
    shared[cuda.threadIdx.x] = part
    tree(shared, COLUMNS)
    total = shared[cuda.threadIdx.x % COLUMNS]
    cuda.syncthreads()
    return total


@Launch
def normalize_over_time_cuda(x, live, x_hat, mu, sigma, delta):
    """A block has 8 channels of one sequence, and 32 steps at a time (see `reduce`). Each thread counts the live steps
    of its share, and the tree adds them up as it adds up x."""
    b, c, first, step = spot(x.shape[2])
    shared, padded = cuda.shared.array(THREADS, x.dtype), live.shape[1] > 1
    total, count, square = x.dtype.type(0), x.dtype.type(0), x.dtype.type(0)
    if c < x.shape[2]:
        for t in range(first, x.shape[1], step):
            if not padded or live[b, t]:
                total += x[b, t, c]
                count += x.dtype.type(1)
    N = summed(count, shared)
    mean = summed(total, shared) / N
    if c < x.shape[2]:
        for t in range(first, x.shape[1], step):
            if not padded or live[b, t]:
                square += (x[b, t, c] - mean) * (x[b, t, c] - mean)
    deviation = math.sqrt(summed(square, shared) / N + delta)
    if c < x.shape[2]:
        for t in range(first, x.shape[1], step):
            if not padded or live[b, t]:
                x_hat[b, t, c] = (x[b, t, c] - mean) / deviation
            else:
                x_hat[b, t, c] = x.dtype.type(0)
        if first == 0:
            mu[b, c], sigma[b, c] = mean, deviation


@Launch
def backward_over_time_cuda(dx_hat, x_hat, live, sigma, dx):
    """As forward: a tree each for the live steps, the mean of dx̂, and the mean of dx̂ x̂."""
    b, c, first, step = spot(dx.shape[2])
    shared, padded = cuda.shared.array(THREADS, dx.dtype), live.shape[1] > 1
    total, count, inner = dx.dtype.type(0), dx.dtype.type(0), dx.dtype.type(0)
    if c < dx.shape[2]:
        for t in range(first, dx.shape[1], step):
            if not padded or live[b, t]:
                total += dx_hat[b, t, c]
                inner += dx_hat[b, t, c] * x_hat[b, t, c]
                count += dx.dtype.type(1)
    N = summed(count, shared)
    mean = summed(total, shared) / N
    inner = summed(inner, shared) / N
    if c < dx.shape[2]:
        for t in range(first, dx.shape[1], step):
            if not padded or live[b, t]:
                dx[b, t, c] = (dx_hat[b, t, c] - mean - x_hat[b, t, c] * inner) / sigma[b, c]
            else:
                dx[b, t, c] = dx.dtype.type(0)

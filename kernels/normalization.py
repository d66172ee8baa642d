r"""Rows of mean 0 and standard deviation 1:  x̂ = (x − μ)/σ,  σ = √(δ + mean (x − μ)²), and what goes backward.

    normalize:  x (R, N) -> x̂ (R, N), μ and σ (R,), in one visit to each row
    backward:   dx = (dx̂ − mean dx̂ − x̂ mean(dx̂ x̂)) / σ

`minae.ops.normalization` derives them, and has the plain forms, which work over any axes.
"""

import math

from minae.kernels import pool

by_row = pool.parallel(grain=1 << 12, error_model="numpy", fastmath={"contract", "reassoc"})


@by_row
def normalize_cpu(start, stop, x, delta, x_hat, mu, sigma):
    number, N = x.dtype.type, x.dtype.type(x.shape[1])
    for i in range(start, stop):
        row, out, total, square = x[i], x_hat[i], number(0), number(0)
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
        d, row, out, total, inner = dx_hat[i], x_hat[i], dx[i], number(0), number(0)
        for j in range(d.size):
            total += d[j]
            inner += d[j] * row[j]
        total, inner = total / N, inner / N
        for j in range(d.size):
            out[j] = (d[j] - total - row[j] * inner) / sigma[i]

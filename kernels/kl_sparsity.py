r"""KL sparsity: its value in one pass over h, and its gradient, one row for all examples, in two.     (Ng, UFLDL notes)

    ρ̂_j = 1/B Σ_b h_bj
    Ω   = Σ_j ρ log(ρ/ρ̂_j) + (1−ρ) log((1−ρ)/(1−ρ̂_j))
    dh_bj += weight/B ((1−ρ)/(1−ρ̂_j) − ρ/ρ̂_j)

Derivation:
Ω is a sum over the units of the divergence between two coins. A logarithm of a quotient is a difference:
    Ω = Σ_j −ρ log ρ̂_j − (1−ρ) log(1−ρ̂_j) + const
The constant does not depend on ρ̂_j, so the slope is that of two logarithms:
    ∂Ω/∂ρ̂_j = −ρ/ρ̂_j + (1−ρ)/(1−ρ̂_j)
Every example has the same part in the mean, so the gradient is the same row for all examples:
    ∂Ω/∂h_bj = Σ_k ∂Ω/∂ρ̂_k ∂ρ̂_k/∂h_bj = 1/B ∂Ω/∂ρ̂_j

A unit that is on, or off, for the whole batch has ρ̂_j = 1, or 0, in floating point, where Ω has a pole. So ρ̂_j is held
within [tiny, 1 − eps], the smallest normal number and nearly the largest number below 1. Outside, Ω is that of the
nearer end, and the slope is the slope there, and not the 0 that the derivative of a clamp would be: it is finite, as
large as the type allows, and points back inside. Only there it is not the derivative of the value that is reported:
    ρ̂_j = 0:  Ω_j ≈ −ρ log tiny,  ∂Ω/∂ρ̂_j ≈ −ρ/tiny;      ρ̂_j = 1:  Ω_j ≈ −(1−ρ) log eps,  ∂Ω/∂ρ̂_j ≈ (1−ρ)/eps
The sigmoid below multiplies the slope by h (1 − h). Where h is tiny, the product is about −ρ; where every h is 1 to the
last digit, it is 0, and the unit stays where it is: data that drive a unit there want a smaller scale.

The plain form makes as many passes, and some twenty calls on vectors of m, which a narrow code notices: 784-30 has
3,000 numbers in h.
"""

import numpy as np
from numpy import log, where

from minae import kernels
from minae.backend import namespace
from minae.kernels.fused import fused
from minae.kernels.reduce import COLUMNS, THREADS, Device, Launch, cuda, tiles, tree


def value(h, rho, rho_hat=None):
    """Ω, without its weight.     rho_hat (m,): the rates, where h has not all rows of the batch"""
    path, limits = kernels.path(h), bounds(h.dtype)
    if rho_hat is not None:
        return divergence.plain(rho_hat, rho, *limits)[0].sum()
    if path == "cpu":
        return cpu_value(h, rho, *limits)
    if path == "cuda":
        kl = namespace(h).empty(h.shape[1], h.dtype)
        cuda_value(tiles(h.shape[1]), [h, kl], *map(h.dtype.type, (rho, *limits)))
        return kl.sum()
    return divergence.plain(h.mean(axis=0), rho, *limits)[0].sum()


def backward(h, dh, rho, weight, rho_hat=None):
    """dh += weight ∂Ω/∂h, in place."""
    path, limits = kernels.path(h, dh), bounds(h.dtype)
    if rho_hat is not None:
        dh += weight / h.shape[0] * divergence.plain(rho_hat, rho, *limits)[1]
    elif path == "cpu":
        cpu_backward(h, dh, rho, *limits, weight / len(h))
    elif path == "cuda":
        cuda_backward(tiles(h.shape[1]), [h, dh], *map(h.dtype.type, (rho, *limits, weight / len(h))))
    else:
        dh += weight / h.shape[0] * divergence.plain(h.mean(axis=0), rho, *limits)[1]


def bounds(dtype):
    """What ρ̂ is held within."""
    return float(np.finfo(dtype).tiny), float(1 - np.finfo(dtype).eps)


@fused("rho_hat -> kl slope")
def divergence(rho_hat, rho, low, high):
    """KL(ρ ‖ ρ̂) of one unit, and its derivative by ρ̂; a NaN stays a NaN"""
    rho_hat = where(rho_hat < low, low, where(rho_hat > high, high, rho_hat))
    kl = rho * log(rho / rho_hat) + (1 - rho) * log((1 - rho) / (1 - rho_hat))
    return kl, (1 - rho) / (1 - rho_hat) - rho / rho_hat


scalar = divergence.scalar


@kernels.jit(error_model="numpy", nogil=True)
def rates(h):
    """ρ̂, (m,)"""
    total = np.zeros(h.shape[1], h.dtype)
    for b in range(h.shape[0]):
        for j in range(h.shape[1]):
            total[j] += h[b, j]
    for j in range(h.shape[1]):
        total[j] /= h.shape[0]
    return total


@kernels.jit(error_model="numpy", nogil=True)
def cpu_value(h, rho, low, high):
    rho_hat, Omega = rates(h), 0.0
    for j in range(h.shape[1]):
        Omega += scalar(rho_hat[j], rho, low, high)[0]
    return Omega


@kernels.jit(error_model="numpy", nogil=True)
def cpu_backward(h, dh, rho, low, high, scale):
    row = rates(h)
    for j in range(h.shape[1]):
        row[j] = scale * scalar(row[j], rho, low, high)[1]
    for b in range(h.shape[0]):
        for j in range(h.shape[1]):
            dh[b, j] += row[j]


# ---- CUDA: a block has 8 columns of h, see reduce.py


@Device
def rate(h, shared):
    """ρ̂_j of the column of this thread. Its block reads its 8 columns once, and waits for the tree."""
    B, m = h.shape
    j = cuda.blockIdx.x * COLUMNS + cuda.threadIdx.x % COLUMNS
    total = h.dtype.type(0)
    if j < m:
        for b in range(cuda.threadIdx.x // COLUMNS, B, cuda.blockDim.x // COLUMNS):
            total += h[b, j]
    shared[cuda.threadIdx.x] = total
    tree(shared, COLUMNS)
    return shared[cuda.threadIdx.x % COLUMNS] / h.dtype.type(B)


@Launch
def cuda_value(h, kl, rho, low, high):
    """kl_j = KL(ρ ‖ ρ̂_j), which the first 8 threads of a block write; CuPy adds them up."""
    rho_hat = rate(h, cuda.shared.array(THREADS, h.dtype))
    j = cuda.blockIdx.x * COLUMNS + cuda.threadIdx.x
    if cuda.threadIdx.x < COLUMNS and j < h.shape[1]:
        kl[j] = divergence(rho_hat, rho, low, high)[0]


@Launch
def cuda_backward(h, dh, rho, low, high, scale):
    """dh_bj += scale ∂Ω/∂ρ̂_j. Every thread computes the slope of its column from the shared ρ̂_j, and goes down the same
    rows again: ρ̂ never leaves the block, and h and dh are all that is read, dh all that is written."""
    B, m = h.shape
    rho_hat = rate(h, cuda.shared.array(THREADS, h.dtype))
    j = cuda.blockIdx.x * COLUMNS + cuda.threadIdx.x % COLUMNS
    if j < m:
        step = scale * divergence(rho_hat, rho, low, high)[1]
        for b in range(cuda.threadIdx.x // COLUMNS, B, cuda.blockDim.x // COLUMNS):
            dh[b, j] += step

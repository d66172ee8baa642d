r"""KL sparsity: its value in one pass over h, and its gradient, one row for all examples, in two.     (Ng, UFLDL notes)

    ρ̂_j = 1/B Σ_b h_bj
    Ω   = Σ_j ρ log(ρ/ρ̂_j) + (1−ρ) log((1−ρ)/(1−ρ̂_j))
    dh_bj += weight/B ((1−ρ)/(1−ρ̂_j) − ρ/ρ̂_j)

The plain form makes as many passes, and some twenty calls on vectors of m, which a narrow code feels: 784-30 has 3,000
numbers in h. On a GPU the plain form serves: most of it is a reduction.
"""

import math

import numba
import numpy as np

from minae import kernels
from minae.backend import namespace

ZERO = np.float32(0)


def value(h, rho):
    """Ω, without its weight."""
    if kernels.form(h) == "cpu":
        return cpu_value(h, rho)
    xp, rho_hat = namespace(h), h.mean(axis=0)
    return (rho * xp.log(rho / rho_hat) + (1 - rho) * xp.log((1 - rho) / (1 - rho_hat))).sum()


def backward(h, dh, rho, weight):
    """dh += weight ∂Ω/∂h, in place."""
    if kernels.form(h, dh) == "cpu":
        return cpu_backward(h, dh, rho, weight / len(h))
    rho_hat = h.mean(axis=0)
    dh += weight / h.shape[0] * ((1 - rho) / (1 - rho_hat) - rho / rho_hat)


@numba.njit(inline="always")
def body(rho_hat, rho):
    """KL(ρ ‖ ρ̂) and its ∂/∂ρ̂ of one unit."""
    return rho * math.log(rho / rho_hat) + (1 - rho) * math.log((1 - rho) / (1 - rho_hat)), (
        (1 - rho) / (1 - rho_hat) - rho / rho_hat
    )


@kernels.cached(error_model="numpy", nogil=True)
def rates(h):
    """ρ̂, (m,)"""
    total = np.zeros(h.shape[1], h.dtype)
    for b in range(h.shape[0]):
        for j in range(h.shape[1]):
            total[j] += h[b, j]
    for j in range(h.shape[1]):
        total[j] /= h.shape[0]
    return total


@kernels.cached(error_model="numpy", nogil=True)
def cpu_value(h, rho):
    rho_hat, Omega = rates(h), 0.0
    for j in range(h.shape[1]):
        Omega += body(rho_hat[j], rho)[0]
    return Omega


@kernels.cached(error_model="numpy", nogil=True)
def cpu_backward(h, dh, rho, scale):
    row = rates(h)
    for j in range(h.shape[1]):
        row[j] = scale * body(row[j], rho)[1]
    for b in range(h.shape[0]):
        for j in range(h.shape[1]):
            dh[b, j] += row[j]

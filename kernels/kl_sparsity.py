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

The plain form makes as many passes, and some twenty calls on vectors of m, which a narrow code notices: 784-30 has
3,000 numbers in h. On a GPU the plain form serves, because most of the kernel is a reduction.
"""

import numpy as np
from numpy import log

from minae import kernels
from minae.kernels.fused import fused


def value(h, rho):
    """Ω, without its weight."""
    if kernels.path(h) == "cpu":
        return cpu_value(h, rho)
    return divergence.plain(h.mean(axis=0), rho)[0].sum()


def backward(h, dh, rho, weight):
    """dh += weight ∂Ω/∂h, in place."""
    if kernels.path(h, dh) == "cpu":
        cpu_backward(h, dh, rho, weight / len(h))
        return
    dh += weight / h.shape[0] * divergence.plain(h.mean(axis=0), rho)[1]


@fused("rho_hat -> kl slope")
def divergence(rho_hat, rho):
    """KL(ρ ‖ ρ̂) of one unit, and its derivative by ρ̂"""
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
def cpu_value(h, rho):
    rho_hat, Omega = rates(h), 0.0
    for j in range(h.shape[1]):
        Omega += scalar(rho_hat[j], rho)[0]
    return Omega


@kernels.jit(error_model="numpy", nogil=True)
def cpu_backward(h, dh, rho, scale):
    row = rates(h)
    for j in range(h.shape[1]):
        row[j] = scale * scalar(row[j], rho)[1]
    for b in range(h.shape[0]):
        for j in range(h.shape[1]):
            dh[b, j] += row[j]

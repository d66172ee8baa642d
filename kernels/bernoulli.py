r"""The Bernoulli loss on logits s and its gradient, which share their exponential, in one pass.     (6.2.2.2)

    L  = 1/B Σ_b Σ_i softplus(s_bi) − x_bi s_bi
    ds = weight/B (σ(s) − x)

Derivation:
With p = σ(s), the loss of one component is −log p where x = 1 and −log(1 − p) where x = 0. From (3.30) and (3.31),
    −log σ(s) = log(1 + e⁻ˢ) = softplus(−s) = softplus(s) − s,    −log(1 − σ(s)) = softplus(s)
    −x log σ(s) − (1 − x) log(1 − σ(s)) = softplus(s) − x s
The slope of softplus is the sigmoid, so the gradient by the logit has no quotient that could be 0/0:
    ∂/∂s_bi (softplus(s_bi) − x_bi s_bi) = σ(s_bi) − x_bi
Both need e = e^−|s| alone, which cannot overflow:
    softplus(s) = max(0, s) + log(1 + e),    σ(s) = 1/(1 + e) where s ≥ 0,  e/(1 + e) where s < 0
A confident and right answer costs next to nothing, and softplus(s) − s at s = 20 is a difference of two numbers of
which nothing is left. So x s goes to the part that it cancels, and what remains is a sum of numbers ≥ 0:
    softplus(s) − x s = (1 − x) s + log(1 + e) where s ≥ 0,    −x s + log(1 + e) where s < 0
    σ(s) − x = ((1 − x) − x e)/(1 + e) where s ≥ 0,    ((1 − x) e − x)/(1 + e) where s < 0

The CPU adds up float32 within a row and float64 over the rows. On a GPU, each thread adds up the terms of its
components, and CuPy adds up the threads.
"""

import functools

import numpy as np
from numpy import exp, log1p, where

from minae import kernels
from minae.backend import namespace
from minae.kernels import pool
from minae.kernels.fused import fused

THREADS = 1 << 16  # of the GPU, at most: each has a sum
PIECES = np.uint64(64)  # of the rows: each has a sum, however many threads of the CPU there are


def loss(s, x, ds, weight):
    """Returns L and writes ds; all arrays (B, n)."""
    path = kernels.path(s, x, ds)
    if path == "plain":
        return plain(s, x, ds, weight)
    scale = s.dtype.type(weight / len(s))
    if path == "cpu":
        sums = np.empty(PIECES)
        cpu(s, x, ds, scale, sums)
        return sums.sum() / len(s)
    sums = namespace(s).empty(min(s.size, THREADS), s.dtype)
    kernels.launch(cuda_launch(), [array.reshape(-1) for array in (s, x, ds)] + [sums], scale, threads=sums.size)
    return sums.sum() / s.shape[0]


@fused("s x -> term slope")
def component(s, x):
    """softplus(s) − x s  and  σ(s) − x"""
    e, rest = exp(-abs(s)), 1 - x
    term = where(s < 0, -x, rest) * s + log1p(e)
    return term, where(s < 0, rest * e - x, rest - x * e) / (1 + e)


def plain(s, x, ds, weight):
    """The reference: the body on whole arrays."""
    terms, slopes = component.plain(s, x)
    namespace(s).multiply(slopes, weight / s.shape[0], out=ds)
    return terms.sum() / s.shape[0]


scalar = component.scalar


@pool.parallel(pieces=PIECES, error_model="numpy", fastmath={"contract", "reassoc"})
def cpu(start, stop, s, x, ds, scale, sums):
    B = np.uint64(len(s))  # unsigned as start and stop are: beside a signed one, NumPy's rules would give float64
    for piece in range(start, stop):
        sums[piece] = 0.0
        for b in range(piece * B // PIECES, (piece + 1) * B // PIECES):
            row = s.dtype.type(0)
            for i in range(s.shape[1]):
                term, slope = scalar(s[b, i], x[b, i])
                row += term
                ds[b, i] = slope * scale
            sums[piece] += row


@functools.cache
def cuda_launch():
    global cuda  # loaded when a GPU first asks for it; the simulator looks for it among the globals
    from numba import cuda

    device = component.device

    @cuda.jit
    def launch(s, x, ds, sums, scale):
        thread = cuda.grid(1)
        if thread < sums.size:
            total = s.dtype.type(0)
            for i in range(thread, s.size, sums.size):
                term, slope = device(s[i], x[i])
                total += term
                ds[i] = slope * scale
            sums[thread] = total

    return launch

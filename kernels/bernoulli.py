r"""The Bernoulli loss on logits and its gradient, which share their exponential, in one pass.     (6.2.2.2)

    e = e^−|s|
    L  = 1/B Σ softplus(s) − x s,     softplus(s) = max(0, s) + log(1 + e)      (3.31)
    ds = weight/B (σ(s) − x),         σ(s) = (1 or e, by the sign of s) / (1 + e)

The plain form below walks over memory fourteen times. On a GPU, a thread adds up the L of its components and CuPy adds
up the threads.
"""

import functools
import math

import numba
import numpy as np

from minae import kernels
from minae.backend import namespace
from minae.kernels import team
from minae.kernels.exponential import exp, log1p

ONE, ZERO = np.float32(1), np.float32(0)
THREADS = 1 << 16  # of the GPU, at most: a sum each
PIECES = np.uint64(64)  # of the rows: a sum each, however many threads of the CPU there are


def loss(s, x, ds, weight):
    """L, with ds written; all arrays (B, n)."""
    form = kernels.form(s, x, ds)
    if form == "plain":
        return plain(s, x, ds, weight)
    scale = s.dtype.type(weight / len(s))
    if form == "cpu":
        sums = np.empty(PIECES)
        cpu(s, x, ds, scale, sums)
        return sums.sum() / len(s)
    sums = namespace(s).empty(min(s.size, THREADS), s.dtype)
    kernels.launch(cuda_launch(), [array.reshape(-1) for array in (s, x, ds)] + [sums], scale, threads=sums.size)
    return sums.sum() / s.shape[0]


def plain(s, x, ds, weight):
    """The reference: with t = tanh(s/2), σ(s) = ½ + ½ t and softplus(s) = max(0, s) − log(½ + ½ |t|)."""
    xp, B = namespace(s), s.shape[0]
    xp.multiply(s, 0.5, out=ds)
    t = xp.tanh(ds, out=ds)
    work = xp.abs(t)
    work *= 0.5
    work += 0.5
    xp.log(work, out=work)
    L = -work.sum() - xp.vdot(x, s)
    L += xp.maximum(s, 0.0, out=work).sum()
    t *= 0.5
    t += 0.5  # σ(s)
    t -= x
    t *= weight / B
    return L / B


def bodies(exp, log1p):
    """softplus(s) − x s  and  σ(s) − x  of one component, with the CPU's functions or the GPU's."""

    def body(s, x):
        e = exp(-abs(s))
        return max(s, ZERO) + log1p(e) - x * s, (ONE if s >= ZERO else e) / (ONE + e) - x

    return body


inlined = numba.njit(inline="always")(bodies(exp, log1p))


@team.shared(pieces=PIECES, error_model="numpy", fastmath={"contract", "reassoc"})
def cpu(start, stop, s, x, ds, scale, sums):
    B = np.uint64(len(s))  # as start and stop are: with a signed one NumPy's rules would go over to float64
    for piece in range(start, stop):
        sums[piece] = 0.0
        for b in range(piece * B // PIECES, (piece + 1) * B // PIECES):  # float32 within a row, float64 over the rows
            row = ZERO
            for i in range(s.shape[1]):
                L_bi, ds_bi = inlined(s[b, i], x[b, i])
                row += L_bi
                ds[b, i] = ds_bi * scale
            sums[piece] += row


@functools.cache
def cuda_launch():
    global cuda  # as in adam.py
    from numba import cuda

    scalar = cuda.jit(device=True)(bodies(math.exp, math.log1p))

    @cuda.jit
    def launch(s, x, ds, sums, scale):
        thread = cuda.grid(1)
        if thread < sums.size:
            total = ZERO * scale
            for i in range(thread, s.size, sums.size):
                L_i, ds_i = scalar(s[i], x[i])
                total += L_i
                ds[i] = ds_i * scale
            sums[thread] = total

    return launch

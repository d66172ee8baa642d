r"""σ(a) = 1 / (1 + e⁻ᵃ), by the exponential that cannot overflow:     (3.30)

e = e^−|a|,    σ(a) = 1/(1 + e) where a ≥ 0,  e/(1 + e) where a < 0
"""

import functools
import math

import numba
import numpy as np

from minae import kernels
from minae.backend import namespace
from minae.kernels import team
from minae.kernels.exponential import exp

ONE, ZERO = np.float32(1), np.float32(0)


def sigmoid(a, out=None):
    """σ(a), any shape; `out` may be `a` itself."""
    out = namespace(a).empty_like(a) if out is None else out
    form = kernels.form(a, out)
    if form == "plain":
        return plain(a, out)
    if form == "cpu":
        if out is not a:
            np.copyto(out, a)
        cpu(out.reshape(-1))
    else:
        kernels.launch(cuda_launch(), (a.reshape(-1), out.reshape(-1)))
    return out


def plain(a, out):
    """The reference, in the functions that NumPy and CuPy share: σ(a) = ½ + ½ tanh(a/2)."""
    xp = namespace(a)
    xp.multiply(a, 0.5, out=out)
    xp.tanh(out, out=out)
    out *= 0.5
    out += 0.5
    return out


def bodies(exp):
    """σ(a) of one component, with the CPU's exponential or the GPU's."""

    def body(a):
        e = exp(-abs(a))
        return (ONE if a >= ZERO else e) / (ONE + e)

    return body


inlined = numba.njit(inline="always")(bodies(exp))


@team.shared(align=64, error_model="numpy", fastmath={"contract"})
def cpu(start, stop, a):
    """In place, and only so: two arguments that are one array would send the loop down its slow, unvectorised way."""
    for i in range(start, stop):
        a[i] = inlined(a[i])


@functools.cache
def cuda_launch():
    global cuda  # as in adam.py
    from numba import cuda

    scalar = cuda.jit(device=True)(bodies(math.exp))

    @cuda.jit
    def launch(a, out):
        i = cuda.grid(1)
        if i < a.size:
            out[i] = scalar(a[i])

    return launch

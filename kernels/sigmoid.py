r"""σ(a) = 1 / (1 + e⁻ᵃ), by the exponential that cannot overflow:     (3.30)

e = e^−|a|,    σ(a) = 1/(1 + e) where a ≥ 0,  e/(1 + e) where a < 0
"""

import numba
import numpy as np

from minae import kernels
from minae.backend import namespace
from minae.kernels.exponential import exp

ONE, ZERO = np.float32(1), np.float32(0)


def sigmoid(a, out=None):
    """σ(a), any shape; `out` may be `a` itself."""
    out = namespace(a).empty_like(a) if out is None else out
    if kernels.form(a, out) == "cpu":
        if out is not a:
            np.copyto(out, a)
        cpu(out.reshape(-1))
        return out
    return plain(a, out)


def plain(a, out):
    """The reference, in the functions that NumPy and CuPy share: σ(a) = ½ + ½ tanh(a/2)."""
    xp = namespace(a)
    xp.multiply(a, 0.5, out=out)
    xp.tanh(out, out=out)
    out *= 0.5
    out += 0.5
    return out


@numba.njit(inline="always")
def body(a):
    e = exp(-abs(a))
    return (ONE if a >= ZERO else e) / (ONE + e)


@kernels.cached(error_model="numpy", fastmath={"contract"})
def cpu(a):
    """In place, and only so: two arguments that are one array would send the loop down its slow, unvectorised way."""
    for i in range(a.size):
        a[i] = body(a[i])

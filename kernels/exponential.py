r"""eˣ and eˣ − 1 for x ≤ 0, and log(1 + e) for e in [0, 1], as polynomials that become vector instructions.

Numba's own exp, expm1 and log1p call the C library for each number unless Intel's SVML is installed, and a loop with
such a call is not vectorised. The functions here make the kernels that use them several times faster than NumPy's
passes (`tests/bench/kernels.py`). For float64 they are the C library's, because float64 is for checking gradients.

    eˣ = 2ⁿ eʳ,   n = ⌊x log₂e + ½⌋,   r = x − n log 2,   |r| ≤ ½ log 2       (log 2 in two parts, so that r is exact)
    eʳ         ≈ 1 + q,  q = r + r² Σ_{k≤4} EXP_k rᵏ      relative error 3e-8 with float32 coefficients
    eˣ − 1     = 2ⁿ q + (2ⁿ − 1)                  exact near 0, where n = 0 and eˣ − 1 = q: nothing is subtracted
    log(1 + e) ≈ e Σ_{k≤8} LOG_k eᵏ               relative error 1e-7

The coefficients are least-squares fits at Chebyshev points of the relative error, made by `coefficients` below.
"""

import math

import numba
import numpy as np
from numba.extending import overload

f = np.float32
LOG2E, LOG2_HI, LOG2_LO = f(1.4426950408889634), f(0.693359375), f(-2.12194440e-4)
LOWEST, HALF, ONE = f(-88.0), f(0.5), f(1.0)  # n = −127 there, whose bits are those of 0: eˣ is 0 from x = −87.7 on
BIAS, SHIFT = np.int32(127), np.int32(23)  # a float32 is 2^(bits 23–30 − 127) · (1 + bits 0–22)


def coefficients(function, low, high, degree):
    """Ascending coefficients of the polynomial that fits `function` on [low, high] by its relative error."""
    points = (low + high) / 2 + (high - low) / 2 * np.cos(np.pi * (np.arange(4000) + 0.5) / 4000)
    y = function(points)
    A = np.vander(points, degree + 1, increasing=True) / y[:, None]
    return np.linalg.lstsq(A, np.ones_like(y), rcond=None)[0]


EXP = tuple(map(f, coefficients(lambda r: (np.exp(r) - 1 - r) / r**2, -math.log(2) / 2, math.log(2) / 2, 4)))
LOG = tuple(map(f, coefficients(lambda e: np.log1p(e) / e, 1e-9, 1.0, 8)))
E0, E1, E2, E3, E4 = EXP
L0, L1, L2, L3, L4, L5, L6, L7, L8 = LOG


def exp(x):
    """eˣ, x ≤ 0"""
    return math.exp(x)


def expm1(x):
    """eˣ − 1, x ≤ 0, with all its digits near 0, where the difference of eˣ and 1 has none"""
    return math.expm1(x)


def log1p(e):
    """log(1 + e), 0 ≤ e ≤ 1"""
    return math.log1p(e)


@numba.njit(inline="always")
def parts(x):
    """q and 2ⁿ, with eˣ = 2ⁿ (1 + q)"""
    x = max(x, LOWEST)
    n = np.floor(x * LOG2E + HALF)
    r = (x - n * LOG2_HI) - n * LOG2_LO
    q = (((((E4 * r + E3) * r + E2) * r + E1) * r + E0) * r + ONE) * r
    power = np.int32((np.int32(n) + BIAS) << SHIFT).view(np.float32)
    return q, power


@overload(exp, inline="always")
def _exp(x):
    def float32(x):
        q, power = parts(x)
        return (q + ONE) * power

    return float32 if x == numba.float32 else lambda x: math.exp(x)


@overload(expm1, inline="always")
def _expm1(x):
    def float32(x):
        q, power = parts(x)
        return q * power + (power - ONE)

    return float32 if x == numba.float32 else lambda x: math.expm1(x)


@overload(log1p, inline="always")
def _log1p(e):
    def float32(e):
        return e * ((((((((L8 * e + L7) * e + L6) * e + L5) * e + L4) * e + L3) * e + L2) * e + L1) * e + L0)

    return float32 if e == numba.float32 else lambda e: math.log1p(e)

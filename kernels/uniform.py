r"""u ~ U[0, 1) from a counter: Philox-4x32-10 of (i, key) gives four numbers of 32 bits.     (Salmon et al. 2011)

    ten times:  (c₀, c₁, c₂, c₃) ← (hi(M₁ c₂) ⊕ c₁ ⊕ k₀,  lo(M₁ c₂),  hi(M₀ c₀) ⊕ c₃ ⊕ k₁,  lo(M₀ c₀))
                (k₀, k₁) ← (k₀ + W₀, k₁ + W₁)  mod 2³²
    u = ⌊c / 2⁸⌋ 2⁻²⁴

A number is a function of its place, the size of the array and the key, so the loop has nothing to carry along: it
vectorises, and its parts may go to any thread. NumPy's generator, which goes from number to number, gives the key.
"""

import numba
import numpy as np

from minae import kernels
from minae.kernels import team

M0, M1, W0, W1 = (np.uint64(word) for word in (0xD2511F53, 0xCD9E8D57, 0x9E3779B9, 0xBB67AE85))
LOW, HALF, TOP, SCALE = np.uint64(0xFFFFFFFF), np.uint64(32), np.uint64(8), np.float32(2.0**-24)
ZERO, TWO, THREE, FOUR = (np.uint64(k) for k in (0, 2, 3, 4))


def uniform(rng, out):
    """out ~ U[0, 1), and returned; rng: a NumPy generator, of which a float32 array takes one word of 64 bits, its key.
    An array that the loop does not serve, float64 among them, has NumPy's own numbers."""
    if out.dtype != np.float32 or kernels.form(out) != "cpu":
        return rng.random(dtype=out.dtype, out=out)
    flat, key = out.reshape(-1), rng.bit_generator.random_raw()
    cpu(flat[: -(-flat.size // 4)], flat, np.uint64(key % 2**32), np.uint64(key >> 32))
    return out


@numba.njit(inline="always")
def philox(c0, c1, c2, c3, k0, k1):
    """Four words of 32 bits, each in one of 64."""
    for _ in range(10):
        p0, p1 = M0 * c0, M1 * c2
        c0, c1, c2, c3 = (p1 >> HALF) ^ c1 ^ k0, p1 & LOW, (p0 >> HALF) ^ c3 ^ k1, p0 & LOW
        k0, k1 = (k0 + W0) & LOW, (k1 + W1) & LOW
    return c0, c1, c2, c3


@numba.njit(inline="always")
def number(c):
    return np.float32(np.int32(c >> TOP)) * SCALE


@team.shared(grain=1 << 12, align=64, error_model="numpy")
def cpu(start, stop, quarter, out, k0, k1):
    """The four numbers of counter i go to the four quarters of `out`, of which the last may be shorter."""
    n, q = np.uint64(out.size), np.uint64(quarter.size)
    whole = min(stop, q - min(q, FOUR * q - n))
    for i in range(start, whole):
        c0, c1, c2, c3 = philox(i & LOW, i >> HALF, ZERO, ZERO, k0, k1)
        out[i], out[i + q], out[i + TWO * q], out[i + THREE * q] = number(c0), number(c1), number(c2), number(c3)
    for i in range(max(start, whole), stop):
        c0, c1, c2, c3 = philox(i & LOW, i >> HALF, ZERO, ZERO, k0, k1)
        for j, c in enumerate((c0, c1, c2, c3)):
            if i + np.uint64(j) * q < n:
                out[i + np.uint64(j) * q] = number(c)

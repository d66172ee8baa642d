r"""u ~ U[0, 1) and ε ~ N(0, 1) from a counter: Philox-4x32-10 of (i, key) gives four words of 32 bits, c₀ … c₃.

    ten times:  (c₀, c₁, c₂, c₃) ← (hi(M₁ c₂) ⊕ c₁ ⊕ k₀,  lo(M₁ c₂),  hi(M₀ c₀) ⊕ c₃ ⊕ k₁,  lo(M₀ c₀))
                (k₀, k₁) ← (k₀ + W₀, k₁ + W₁)  mod 2³²                                    (Salmon et al. 2011)
    uniform     u = ⌊c / 2⁸⌋ 2⁻²⁴
    normal      (ε, ε′) = √(−2 log u) (cos πw, sin πw)                                    (Box and Muller 1958)
                u = (⌊c / 2⌋ + ½) 2⁻³¹ in (0, 1] and w = c′ 2⁻³¹ in [−1, 1), c′ with a sign:  |ε| < 6.7
    mask        x̃ = x ⊙ [u ≥ ν]                                                          (Vincent et al. 2010)

A number is a function of its place, the size of the array and the key, so the loop carries nothing from one number to
the next: it vectorises, its parts may go to any thread, and a GPU draws what a CPU draws. NumPy's generator, which does
go from number to number, gives the key.

Derivation:
Two independent normal numbers have a density that depends on their distance from 0 alone. In polar coordinates,
    1/(2π) e^{−(ε² + ε′²)/2} dε dε′ = e^{−r²/2} r dr · dφ/(2π),    ε = r cos φ,  ε′ = r sin φ
so the angle φ is uniform, and φ = πw with w uniform in [−1, 1). The radius has the distribution function
    F(r) = ∫₀ʳ e^{−t²/2} t dt = 1 − e^{−r²/2}
A uniform number u that is set equal to 1 − F(r), which is as uniform as F(r), gives r by solving for it:
    u = e^{−r²/2},    r = √(−2 log u)
The functions are polynomials that the compiler can vectorise. The logarithm is taken apart by the exponent of u:
    log u = e log 2 + log(1 + z),   u = 2ᵉ (1 + z),   √½ ≤ 1 + z < √2
    log(1 + z) ≈ z Σ_{k≤8} LOG_k zᵏ,   sin πw ≈ w (1 − w)(1 + w) Σ_{k≤5} SIN_k w²ᵏ
                                       cos πw ≈ (1 − 2w)(1 + 2w) Σ_{k≤5} COS_k w²ᵏ
The factors before the sums have the functions' zeros, so the relative error, 5e-7, is as small near those zeros.
"""

import functools
import math

import numba
import numpy as np
from numpy import where

from minae import kernels
from minae.backend import namespace
from minae.kernels import pool
from minae.kernels.exponential import coefficients
from minae.kernels.fused import fused

f = np.float32
M0, M1, W0, W1 = (np.uint64(word) for word in (0xD2511F53, 0xCD9E8D57, 0x9E3779B9, 0xBB67AE85))
WORD, HIGH, BYTE, BIT = np.uint64(0xFFFFFFFF), np.uint64(32), np.uint64(8), np.uint64(1)
ZERO, TWO, THREE, FOUR = (np.uint64(k) for k in (0, 2, 3, 4))
HALF, TWO_24, TWO_31, PI = f(0.5), f(2.0**-24), f(2.0**-31), f(math.pi)
SHIFT, ROOT_HALF, LOG2 = np.int32(23), f(math.sqrt(0.5)).view(np.int32), f(math.log(2))
LOG = coefficients(lambda z: np.log1p(z) / z, math.sqrt(0.5) - 1, math.sqrt(2) - 1, 8)
SIN = coefficients(lambda q: np.sin(np.pi * np.sqrt(q)) / (np.sqrt(q) * (1 - q)), 0, 1, 5)
COS = coefficients(lambda q: np.cos(np.pi * np.sqrt(q)) / (1 - 4 * q), 0, 1, 5)
L0, L1, L2, L3, L4, L5, L6, L7, L8 = map(f, LOG)
S0, S1, S2, S3, S4, S5 = map(f, SIN)
C0, C1, C2, C3, C4, C5 = map(f, COS)


def uniform(rng, out):
    """Fill `out` with u ~ U[0, 1), and return it. A float32 array takes one word of 64 bits, its key, from `rng`.

    In float64, which is for checks, the numbers are those of NumPy's generator itself.
    """
    return _draw(rng, rng.random, out, False)


def standard_normal(rng, out):
    """Fill `out` with ε ~ N(0, I), and return it; as `uniform`."""
    return _draw(rng, rng.standard_normal, out, True)


def mask(u, x, level):
    """x̃ = x ⊙ [u ≥ ν], written to u; all (B, n). With u uniform, a share ν of the components is set to 0."""
    keep_or_zero(u, x, level)
    return u


@fused("u x -> u")
def keep_or_zero(u, x, level):
    return where(u >= level, x, 0)


def _draw(rng, host_draw, out, normal):
    if out.dtype != np.float32 or not out.flags.c_contiguous:
        if isinstance(out, np.ndarray) and out.flags.c_contiguous:  # without an array in between
            return host_draw(dtype=out.dtype, out=out)
        out[...] = namespace(out).asarray(host_draw(out.shape, dtype=out.dtype))
        return out
    word = rng.bit_generator.random_raw()
    key = np.uint64(word % 2**32), np.uint64(word >> 32)
    flat, quarter, path = out.reshape(-1), -(-out.size // 4), kernels.path(out)
    if path == "plain":
        plain(flat, quarter, *key, normal)
    elif path == "cpu":
        cpu(flat[:quarter], flat, *key, normal)
    else:
        kernels.launch(cuda_launch(), (flat,), quarter, *key, normal, threads=quarter)
    return out


def plain(out, quarter, k0, k1, normal):
    """The reference. The four numbers of a counter go to the quarters of `out`, the last of which may be shorter."""
    xp = namespace(out)
    i = xp.arange(quarter, dtype="uint64")
    c = philox(i & WORD, i >> HIGH, 0 * i, 0 * i, k0, k1)
    if normal:
        x = []
        for u, w in ((c[0], c[1]), (c[2], c[3])):
            radius = xp.sqrt(-2 * xp.log(((u >> BIT).astype("float32") + 0.5) * 2.0**-31))
            turn = math.pi * (w.astype("float32") * 2.0**-31)
            x += [radius * xp.cos(turn), radius * xp.sin(turn)]
    else:
        x = [(word >> BYTE).astype("float32") * 2.0**-24 for word in c]
    for k in range(4):
        part = out[k * quarter : (k + 1) * quarter]
        part[...] = x[k][: part.size]


def philox(c0, c1, c2, c3, k0, k1):
    """Four words of 32 bits, each in one of 64; of one counter, or of arrays of them."""
    for _ in range(10):
        p0, p1 = M0 * c0, M1 * c2
        c0, c1, c2, c3 = (p1 >> HIGH) ^ c1 ^ k0, p1 & WORD, (p0 >> HIGH) ^ c3 ^ k1, p0 & WORD
        k0, k1 = (k0 + W0) & WORD, (k1 + W1) & WORD
    return c0, c1, c2, c3


def bodies(compiled, log, turn):
    """The four numbers of a counter, and ε and ε′ of two words, by log u and (cos πw, sin πw) of the CPU or the GPU."""
    words = compiled(philox)

    @compiled
    def uniform(c):
        return f(np.int32(c >> BYTE)) * TWO_24

    @compiled
    def pair(c, c_next):
        radius = math.sqrt(f(-2) * log((f(np.int32(c >> BIT)) + HALF) * TWO_31))
        cos, sin = turn(f(np.int32(c_next)) * TWO_31)
        return radius * cos, radius * sin

    @compiled
    def numbers(i, k0, k1, normal):
        c0, c1, c2, c3 = words(i & WORD, i >> HIGH, ZERO, ZERO, k0, k1)
        if normal:
            (e0, e1), (e2, e3) = pair(c0, c1), pair(c2, c3)
            return e0, e1, e2, e3
        return uniform(c0), uniform(c1), uniform(c2), uniform(c3)

    return numbers, pair


inline = numba.njit(inline="always")


@inline
def log(u):
    bits = np.float32(u).view(np.int32)
    e = np.int32(np.int32(bits - ROOT_HALF) >> SHIFT)
    z = np.int32(bits - np.int32(e << SHIFT)).view(np.float32) - f(1)
    y = z * ((((((((L8 * z + L7) * z + L6) * z + L5) * z + L4) * z + L3) * z + L2) * z + L1) * z + L0)
    return f(e) * LOG2 + y


@inline
def turn(w):
    q, w_2 = w * w, w + w
    sin = w * (f(1) - w) * (f(1) + w) * (((((S5 * q + S4) * q + S3) * q + S2) * q + S1) * q + S0)
    cos = (f(1) - w_2) * (f(1) + w_2) * (((((C5 * q + C4) * q + C3) * q + C2) * q + C1) * q + C0)
    return cos, sin


numbers, pair = bodies(inline, log, turn)


@pool.parallel(grain=1 << 12, align=64, error_model="numpy")
def cpu(start, stop, quarter, out, k0, k1, normal):
    n, q = np.uint64(out.size), np.uint64(quarter.size)
    whole = min(stop, q - min(q, FOUR * q - n))
    for i in range(start, whole):
        out[i], out[i + q], out[i + TWO * q], out[i + THREE * q] = numbers(i, k0, k1, normal)
    for i in range(max(start, whole), stop):
        for j, x in enumerate(numbers(i, k0, k1, normal)):
            if i + np.uint64(j) * q < n:
                out[i + np.uint64(j) * q] = x


@functools.cache
def cuda_launch():
    global cuda  # as in bernoulli.py
    from numba import cuda

    device = cuda.jit(device=True)
    numbers, _ = bodies(device, math.log, device(lambda w: (math.cos(PI * w), math.sin(PI * w))))

    @cuda.jit
    def launch(out, quarter, k0, k1, normal):
        i = cuda.grid(1)
        if i < quarter:
            for k, x in enumerate(numbers(np.uint64(i), k0, k1, normal)):
                if i + k * quarter < out.size:
                    out[i + k * quarter] = x

    return launch

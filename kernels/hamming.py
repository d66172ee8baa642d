r"""Hamming distances of one code to many: XOR and popcount, in one pass.

    d_i = Σ_w popcount(words_wi XOR asked_w)

The bits of a word are counted in pairs, in fours and in bytes, all side by side; the product with 0x0101…01 adds the
bytes up. LLVM knows the pattern and counts several words at once.
"""

import numba
import numpy as np

from minae import kernels

PAIRS, FOURS, BYTES = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333), np.uint64(0x0F0F0F0F0F0F0F0F)
ONES, ONE, TWO, FOUR, TOP = np.uint64(0x0101010101010101), np.uint64(1), np.uint64(2), np.uint64(4), np.uint64(56)
BLOCK = 64


def distances(words, asked, out):
    """words uint (words, rows), asked uint (words,) -> out int16 (rows,)"""
    if words.flags.c_contiguous and out.flags.c_contiguous and not kernels._jit_is_off():
        cpu(words, asked, out)
    else:
        plain(words, asked, out)


def ball(words, asked, radius):
    """The rows within `radius`, in order of index, and their distances: int64 (found,), int16 (found,)."""
    if not words.flags.c_contiguous or kernels._jit_is_off():
        return ball_plain(words, asked, radius)
    index, d = np.empty(words.shape[1], np.int64), np.empty(words.shape[1], np.int16)
    n = ball_cpu(words, asked, radius, index, d)
    return index[:n].copy(), d[:n]


def plain(words, asked, out):
    """The reference: NumPy's XOR and popcount, word by word."""
    np.copyto(out, np.bitwise_count(words[0] ^ asked[0]))
    for word, query in zip(words[1:], asked[1:], strict=True):
        out += np.bitwise_count(word ^ query)


def ball_plain(words, asked, radius):
    d = np.empty(words.shape[1], np.int16)
    plain(words, asked, d)
    inside = np.flatnonzero(d <= radius)
    return inside, d[inside]


@numba.njit(inline="always")
def popcount(x):
    x = np.uint64(x)
    x -= (x >> ONE) & PAIRS
    x = (x & FOURS) + ((x >> TWO) & FOURS)
    x = (x + (x >> FOUR)) & BYTES
    return np.int64((x * ONES) >> TOP)


@kernels.cached(error_model="numpy", nogil=True)
def cpu(words, asked, out):
    for i in range(out.size):
        out[i] = popcount(words[0, i] ^ asked[0])
    for w in range(1, words.shape[0]):
        for i in range(out.size):
            out[i] += popcount(words[w, i] ^ asked[w])


@kernels.cached(error_model="numpy", nogil=True)
def ball_cpu(words, asked, radius, index, d):
    """By blocks, whose distances lie in the cache; in most of them nothing is within the radius."""
    found, block = 0, np.empty(BLOCK, np.int16)
    for start in range(0, words.shape[1], BLOCK):
        rows = min(BLOCK, words.shape[1] - start)
        for i in range(rows):
            block[i] = popcount(words[0, start + i] ^ asked[0])
        for w in range(1, words.shape[0]):
            for i in range(rows):
                block[i] += popcount(words[w, start + i] ^ asked[w])
        within = 0
        for i in range(rows):
            within += block[i] <= radius
        if within:
            for i in range(rows):
                if block[i] <= radius:
                    index[found], d[found] = start + i, block[i]
                    found += 1
    return found

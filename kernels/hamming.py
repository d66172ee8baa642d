r"""Hamming distances of one code to many: XOR and popcount, in one pass.

    d_i = Σ_w popcount(words_wi XOR asked_w)

Rows are taken in blocks that stay in the cache. In most of them nothing is near enough, which the least distance of a
block shows, and they are not looked at again.
"""

import numba
import numpy as np
from numba.extending import intrinsic

from minae import kernels

BLOCK = 1024
FEW = 256  # more than these are found by sorting
FAR = np.int16(2**15 - 1)


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


def nearest(words, asked, k):
    """The k nearest rows, ties in the order of index: int64 (k,)."""
    if k > FEW or not words.flags.c_contiguous or kernels._jit_is_off():
        return nearest_plain(words, asked, k)
    index, d = np.empty(k, np.int64), np.empty(k, np.int16)
    nearest_cpu(words, asked, index, d)
    return index


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


def nearest_plain(words, asked, k):
    d = np.empty(words.shape[1], np.int16)
    distances(words, asked, d)
    return np.argsort(d, kind="stable")[:k]


@intrinsic
def popcount(typingctx, x):
    """The bits of a word that are 1: an instruction, where the processor has one."""

    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])

    return x(x), codegen


@kernels.cached(error_model="numpy", nogil=True)
def cpu(words, asked, out):
    for i in range(out.size):
        out[i] = popcount(words[0, i] ^ asked[0])
    for w in range(1, words.shape[0]):
        for i in range(out.size):
            out[i] += popcount(words[w, i] ^ asked[w])


@numba.njit(inline="always")
def measure(words, asked, block):
    """Distances of some rows, which stay in the cache, and the least of them."""
    for i in range(words.shape[1]):
        block[i] = popcount(words[0, i] ^ asked[0])
    for w in range(1, words.shape[0]):
        for i in range(words.shape[1]):
            block[i] += popcount(words[w, i] ^ asked[w])
    least = FAR
    for i in range(words.shape[1]):
        least = min(least, block[i])
    return least


@kernels.cached(error_model="numpy", nogil=True)
def nearest_cpu(words, asked, index, d):
    """The list of the nearest so far is kept sorted; in most blocks nothing is nearer than its last."""
    k, found, block = len(d), 0, np.empty(BLOCK, np.int16)
    for start in range(0, words.shape[1], BLOCK):
        part = words[:, start : start + BLOCK]
        least = measure(part, asked, block)
        if found == k and least >= d[k - 1]:
            continue
        for i in range(part.shape[1]):
            if found == k and block[i] >= d[k - 1]:
                continue
            found = min(found + 1, k)
            at = found - 1
            while at > 0 and d[at - 1] > block[i]:  # behind those that are as near, which have a smaller index
                d[at], index[at] = d[at - 1], index[at - 1]
                at -= 1
            d[at], index[at] = block[i], start + i


@kernels.cached(error_model="numpy", nogil=True)
def ball_cpu(words, asked, radius, index, d):
    """In most blocks nothing is within the radius."""
    found, block = 0, np.empty(BLOCK, np.int16)
    for start in range(0, words.shape[1], BLOCK):
        part = words[:, start : start + BLOCK]
        if measure(part, asked, block) <= radius:
            for i in range(part.shape[1]):
                if block[i] <= radius:
                    index[found], d[found] = start + i, block[i]
                    found += 1
    return found

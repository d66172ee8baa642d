r"""Hamming distances of one code to many: XOR and popcount, in one pass.

    d_i = Σ_w popcount(packed_wi XOR query_w)

A code of many bits is packed into words w, and the words of one place lie together. The rows are taken in blocks that
stay in the cache. In most blocks no row is near enough; the least distance of a block shows this, and the block is then
skipped.
"""

import numba
import numpy as np
from numba.extending import intrinsic

from minae import kernels

BLOCK = 1024
FEW = 256  # up to this k a sorted list is kept; above it, all distances are sorted
FAR = np.int16(2**15 - 1)


def distances(packed, query, out):
    """The distances of all rows:  packed uint (words, rows), query uint (words,) -> out int16 (rows,)"""
    if packed.flags.c_contiguous and out.flags.c_contiguous and not kernels.jit_is_off():
        cpu(packed, query, out)
    else:
        plain(packed, query, out)


def ball(packed, query, radius):
    """The rows within `radius`, in order of index, and their distances: int64 (n,), int16 (n,)."""
    if not packed.flags.c_contiguous or kernels.jit_is_off():
        return ball_plain(packed, query, radius)
    index, d = np.empty(packed.shape[1], np.int64), np.empty(packed.shape[1], np.int16)
    n = ball_cpu(packed, query, radius, index, d)
    return index[:n].copy(), d[:n]


def nearest(packed, query, k):
    """The k nearest rows, ties in the order of index: int64 (k,)."""
    if k > FEW or not packed.flags.c_contiguous or kernels.jit_is_off():
        return nearest_plain(packed, query, k)
    index, d = np.empty(k, np.int64), np.empty(k, np.int16)
    nearest_cpu(packed, query, index, d)
    return index


def plain(packed, query, out):
    """The reference: NumPy's XOR and popcount, word by word."""
    np.copyto(out, np.bitwise_count(packed[0] ^ query[0]))
    for column, word in zip(packed[1:], query[1:], strict=True):
        out += np.bitwise_count(column ^ word)


def ball_plain(packed, query, radius):
    d = np.empty(packed.shape[1], np.int16)
    plain(packed, query, d)
    inside = np.flatnonzero(d <= radius)
    return inside, d[inside]


def nearest_plain(packed, query, k):
    d = np.empty(packed.shape[1], np.int16)
    distances(packed, query, d)
    return np.argsort(d, kind="stable")[:k]


@intrinsic
def popcount(typingctx, x):
    """The bits of a word that are 1: an instruction, where the processor has one."""

    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])

    return x(x), codegen


@kernels.jit(error_model="numpy", nogil=True)
def cpu(packed, query, out):
    for i in range(out.size):
        out[i] = popcount(packed[0, i] ^ query[0])
    for w in range(1, packed.shape[0]):
        for i in range(out.size):
            out[i] += popcount(packed[w, i] ^ query[w])


@numba.njit(inline="always")
def measure(packed, query, block):
    """Distances of some rows, which stay in the cache, and the least of them."""
    for i in range(packed.shape[1]):
        block[i] = popcount(packed[0, i] ^ query[0])
    for w in range(1, packed.shape[0]):
        for i in range(packed.shape[1]):
            block[i] += popcount(packed[w, i] ^ query[w])
    least = FAR
    for i in range(packed.shape[1]):
        least = min(least, block[i])
    return least


@kernels.jit(error_model="numpy", nogil=True)
def nearest_cpu(packed, query, index, d):
    """The list of the nearest so far is kept sorted; in most blocks nothing is nearer than its last."""
    k, count, block = len(d), 0, np.empty(BLOCK, np.int16)
    for start in range(0, packed.shape[1], BLOCK):
        part = packed[:, start : start + BLOCK]
        least = measure(part, query, block)
        if count == k and least >= d[k - 1]:
            continue
        for i in range(part.shape[1]):
            if count == k and block[i] >= d[k - 1]:
                continue
            count = min(count + 1, k)
            at = count - 1
            while at > 0 and d[at - 1] > block[i]:  # behind those that are as near, which have a smaller index
                d[at], index[at] = d[at - 1], index[at - 1]
                at -= 1
            d[at], index[at] = block[i], start + i


@kernels.jit(error_model="numpy", nogil=True)
def ball_cpu(packed, query, radius, index, d):
    """In most blocks nothing is within the radius."""
    count, block = 0, np.empty(BLOCK, np.int16)
    for start in range(0, packed.shape[1], BLOCK):
        part = packed[:, start : start + BLOCK]
        if measure(part, query, block) <= radius:
            for i in range(part.shape[1]):
                if block[i] <= radius:
                    index[count], d[count] = start + i, block[i]
                    count += 1
    return count

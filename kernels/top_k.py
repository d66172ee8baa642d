r"""The k largest of each row and their columns: the support Γ of a k-sparse code.     (Makhzani and Frey 2013)

    unit_b  = the columns of the k largest of h_b, ascending; at a tie the first by index
    value_b = h_b at those columns
    mask_bj = 1 where j is one of unit_b, else 0;     h_Γ = h ⊙ mask

Derivation:
The support is a choice, and it does not change while h moves so little that the k-th and the (k+1)-th largest keep
their order. There, the mask is a constant, and h_Γ is linear in h:
    ∂h_Γ,bi/∂h_bj = mask_bj [i = j]
The chain rule leaves one term of its sum:
    dh_bj = Σ_i dh_Γ,bi ∂h_Γ,bi/∂h_bj = dh_Γ,bj mask_bj
At a tie h_Γ jumps, and it has no derivative. Hence the gradient is that of the cost with its support held: Γ is one of
the constants of a model, and a finite difference agrees where Γ is held fixed on both sides.

A row of m numbers is read once, in blocks of 16, for the maximum of each block. Bisection finds a bound that k block
maxima reach: at least k numbers of the row do then, and few more. Those, the candidates, go through a heap of k.

A GPU has no use for a heap, which one thread would fill while 255 wait. There, the k-th largest number is found by
bisection alone, and exactly, since it goes over the bits: the bits of a float, read as an integer, are its sign and its
magnitude, and integers with that sign and magnitude have the order of the floats, −0 and 0 being the same one. A row of
float32 takes 32 halvings at most, and the row stays in the cache.
"""

import numba
import numpy as np

from minae import kernels
from minae.backend import namespace
from minae.kernels import pool
from minae.kernels.reduce import THREADS, Device, Launch, cuda, running, tree

BLOCK, HALVINGS = 16, 12


def top_k(h, k, unit, value):
    """h (B, m) -> unit int32 (B, k), value (B, k). A row with NaN gives NaN alone, and the first k columns."""
    path = kernels.path(h, unit, value)
    if path == "cpu":
        cpu(h, k, unit, value)
    elif path == "cuda":
        bits = np.dtype(f"i{h.dtype.itemsize}")
        magnitude, infinite = np.iinfo(bits).max, np.asarray(np.inf, h.dtype).view(bits)
        cuda_top_k(len(h), [h.view(bits), unit, value.view(bits)], bits.type(magnitude), bits.type(infinite))
    else:
        plain(h, k, unit, value)


def mask(h, k):
    """1 at the k largest of each row, else 0; at a tie the first by index.  (B, m), of h's type"""
    xp = namespace(h)
    kth = xp.partition(h, h.shape[1] - k, axis=1)[:, h.shape[1] - k, None]  # the k-th largest, (B, 1)
    above, level = h > kth, h == kth
    room = k - above.sum(axis=1, keepdims=True)  # how many of the numbers that equal it belong to the k
    return (above | (level & (level.cumsum(axis=1) <= room))).astype(h.dtype)


def plain(h, k, unit, value):
    """The reference: the columns where the mask is 1."""
    xp, nan = namespace(h), namespace(h).isnan(h).any(axis=1)[:, None]
    unit[...] = xp.where(nan, xp.arange(k), xp.argsort(1 - mask(h, k), axis=1, kind="stable")[:, :k])
    value[...] = xp.take_along_axis(h, unit.astype("int64"), axis=1)
    value[...] = xp.where(nan, np.nan, value)


@numba.njit(inline="always")
def replace_least(heap, v):
    """v takes the place of heap[0], the least of the heap, and sinks to where it belongs."""
    i, k = 0, heap.size
    while 2 * i + 1 < k:
        child = 2 * i + 1
        if child + 1 < k and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= v:
            break
        heap[i] = heap[child]
        i = child
    heap[i] = v


@numba.njit(inline="always")
def bound(block, k):
    """A number that at least k of `block` reach, and seldom more than 5/4 k do; −∞ where it has fewer."""
    if block.size < k:
        return -np.inf
    low = high = block[0]
    for v in block:
        low, high = min(low, v), max(high, v)
    for _ in range(HALVINGS):
        middle = low + (high - low) / 2
        n = 0
        for v in block:
            n += v >= middle
        if n >= k:
            low = middle
            if n <= k + k // 4:
                break
        else:
            high = middle
    return low


@pool.parallel(error_model="numpy")
def cpu(start, stop, h, k, unit, value):
    m = h.shape[1]
    whole = m // BLOCK
    block, candidate, heap = np.empty(whole, h.dtype), np.empty(m, h.dtype), np.empty(k, h.dtype)
    column = np.empty(m, np.int32)
    for b in range(start, stop):
        row, nan = h[b], 0
        for i in range(m):
            nan += row[i] != row[i]
        if nan:
            for j in range(k):
                unit[b, j], value[b, j] = j, np.nan
            continue
        for g in range(whole):
            o = row[g * BLOCK : (g + 1) * BLOCK]
            a0, a1, a2, a3 = max(o[0], o[8]), max(o[1], o[9]), max(o[2], o[10]), max(o[3], o[11])
            a4, a5, a6, a7 = max(o[4], o[12]), max(o[5], o[13]), max(o[6], o[14]), max(o[7], o[15])
            block[g] = max(max(max(a0, a4), max(a2, a6)), max(max(a1, a5), max(a3, a7)))
        low = bound(block, k)
        n = 0
        for g in range(whole):
            if block[g] >= low:
                for i in range(g * BLOCK, (g + 1) * BLOCK):
                    candidate[n], column[n] = row[i], i
                    n += row[i] >= low
        for i in range(whole * BLOCK, m):
            candidate[n], column[n] = row[i], i
            n += row[i] >= low

        heap[:] = -np.inf
        for i in range(n):
            if candidate[i] > heap[0]:
                replace_least(heap, candidate[i])
        kth, room = heap[0], k
        for v in heap:
            room -= v > kth
        j = 0
        for i in range(n):
            v = candidate[i]
            if v > kth or (v == kth and room > 0):
                room -= v == kth
                unit[b, j], value[b, j] = column[i], v
                j += 1


# ---- CUDA: a block has one row, in integers


@Device
def key(bits, magnitude):
    """The integer with the sign and the magnitude of a float's bits. The bits of a negative one begin with a 1."""
    if bits < 0:
        return -(bits & magnitude)
    return bits


@Device
def total(shared, mine):
    """Σ of `mine` over the threads, known to all. They wait once more, before `shared` is used again."""
    shared[cuda.threadIdx.x] = mine
    tree(shared, 1)
    result = shared[0]
    cuda.syncthreads()
    return result


@Launch
def cuda_top_k(h, unit, value, magnitude, infinite):
    """h, value: bits.  First, threads count what is NaN, and a row with one is done. Then they halve the range of keys:
    all count how many keys of the row are ≥ its middle, the tree adds up, and every thread moves the same end. At the
    end `low` is the k-th largest key, or exactly k are ≥ it. Last, each thread takes a stretch of neighbouring columns,
    so that places follow the index: `running` says how many larger ones, and how many equal ones, lie before its
    stretch, and of the equal ones the first `room` are taken. h comes from memory once, and from the cache then."""
    b, m, k, thread = cuda.blockIdx.x, h.shape[1], unit.shape[1], cuda.threadIdx.x
    shared = cuda.shared.array(THREADS, np.int32)
    level = cuda.shared.array(THREADS, np.int32)
    mine = 0
    for j in range(thread, m, cuda.blockDim.x):
        if h[b, j] & magnitude > infinite:
            mine += 1
    if total(shared, mine):
        for j in range(thread, k, cuda.blockDim.x):
            unit[b, j], value[b, j] = j, infinite + 1
        return
    low, high, one = -infinite, infinite + h.dtype.type(1), h.dtype.type(1)
    while low + one < high:
        middle = (low >> one) + (high >> one) + (low & high & one)  # their mean, without an overflow
        mine = 0
        for j in range(thread, m, cuda.blockDim.x):
            if key(h[b, j], magnitude) >= middle:
                mine += 1
        count = total(shared, mine)
        if count >= k:
            low = middle
        else:
            high = middle
        if count == k:
            break
    stretch = (m + cuda.blockDim.x - 1) // cuda.blockDim.x
    start, stop = min(m, thread * stretch), min(m, (thread + 1) * stretch)
    above, equal = 0, 0
    for j in range(start, stop):
        v = key(h[b, j], magnitude)
        if v > low:
            above += 1
        if v == low:
            equal += 1
    shared[thread], level[thread] = above, equal
    running(shared)
    running(level)
    room = k - shared[cuda.blockDim.x - 1]
    equal = level[thread] - equal  # those before the stretch
    place = shared[thread] - above + min(room, equal)
    for j in range(start, stop):
        v = key(h[b, j], magnitude)
        if v > low or (v == low and equal < room):
            unit[b, place], value[b, place] = j, h[b, j]
            place += 1
        if v == low:
            equal += 1

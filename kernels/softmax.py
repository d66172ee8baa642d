r"""The softmax of attention: A_ij = e^{s_ij} / Σ_j e^{s_ij}, s = scale S + mask, mask_ij = −∞ where i must not read j.

    masked:    S becomes A, in one pass over each row; where the mask is −∞, A is 0 and not only small
    backward:  dA becomes dS = scale A ⊙ (dA − Σ_j dA_ij A_ij)

S is (B, heads, T, T′), the mask (B or 1, T or 1, T′). `minae.ops.attention` derives both.
"""

import numpy as np

from minae import kernels
from minae.backend import namespace
from minae.kernels import pool
from minae.kernels.exponential import exp
from minae.kernels.reduce import THREADS, Launch, cuda, highest, math, tree


def masked(S, mask, scale):
    """S ← softmax(scale S + mask)"""
    path, rows = kernels.path(S, mask), S.reshape(-1, S.shape[3])
    if path == "cpu":
        masked_cpu(rows, mask, S.shape[1], S.shape[2], S.dtype.type(scale))
    elif path == "cuda":
        masked_cuda(len(rows), [rows, mask], S.shape[1], S.shape[2], S.dtype.type(scale))
    else:
        masked_plain(S, mask, scale)


def backward(dA, A, scale):
    """dA ← scale A ⊙ (dA − Σ_j dA_ij A_ij)"""
    path, n = kernels.path(dA, A), A.shape[3]
    if path == "cpu":
        backward_cpu(dA.reshape(-1, n), A.reshape(-1, n), A.dtype.type(scale))
    elif path == "cuda":
        rows = dA.reshape(-1, n)
        backward_cuda(len(rows), [rows, A.reshape(-1, n)], A.dtype.type(scale))
    else:
        backward_plain(dA, A, scale)


def masked_plain(S, mask, scale):
    S *= scale
    S += mask[:, None]
    S -= S.max(axis=3, keepdims=True)
    namespace(S).exp(S, out=S)
    S /= S.sum(axis=3, keepdims=True)


def backward_plain(dA, A, scale):
    dA -= (dA * A).sum(axis=3, keepdims=True)
    dA *= A
    dA *= scale


by_row = pool.parallel(grain=1 << 12, error_model="numpy", fastmath={"contract", "reassoc"})


@kernels.jit(nogil=True, fastmath={"nnan", "nsz"})
def largest(row):
    """Several numbers at a time. A NaN may be passed over: the exponentials that follow show it."""
    top = row[0]
    for j in range(row.size):
        top = row[j] if row[j] > top else top
    return top


@by_row
def masked_cpu(start, stop, S, mask, heads, steps, scale):
    """The exponentials of all rows are one loop: a row may be shorter than what a vectorised loop does at once."""
    n, zero, hidden = np.uint64(S.shape[1]), S.dtype.type(0), S.dtype.type(-np.inf)
    numbers = S.reshape(-1)
    for i in range(start, stop):
        row, hide = S[i], mask[i // (heads * steps) % mask.shape[0], i % steps % mask.shape[1]]
        for j in range(row.size):
            row[j] = row[j] * scale + hide[j]
        top = largest(row)
        for j in range(row.size):
            row[j] -= top
    for j in range(start * n, stop * n):
        numbers[j] = zero if numbers[j] == hidden else exp(numbers[j])
    for i in range(start, stop):
        row, total = S[i], zero
        for j in range(row.size):
            total += row[j]
        for j in range(row.size):
            row[j] /= total


@by_row
def backward_cpu(start, stop, dA, A, scale):
    for i in range(start, stop):
        row, a, inner = dA[i], A[i], A.dtype.type(0)
        for j in range(row.size):
            inner += row[j] * a[j]
        for j in range(row.size):
            row[j] = scale * a[j] * (row[j] - inner)


@Launch
def masked_cuda(S, mask, heads, steps, scale):
    """A block has a row, which stays in the cache between its passes. All wait twice, for the row's maximum and for the
    sum of its exponentials, each by a tree; before the second is begun, all have read the first."""
    i = cuda.blockIdx.x
    b, t = i // (heads * steps) % mask.shape[0], i % steps % mask.shape[1]
    shared, top, total = cuda.shared.array(THREADS, S.dtype), S.dtype.type(-math.inf), S.dtype.type(0)
    for j in range(cuda.threadIdx.x, S.shape[1], cuda.blockDim.x):
        S[i, j] = S[i, j] * scale + mask[b, t, j]
        if S[i, j] > top or S[i, j] != S[i, j]:
            top = S[i, j]
    shared[cuda.threadIdx.x] = top
    highest(shared)
    top = shared[0]
    cuda.syncthreads()
    for j in range(cuda.threadIdx.x, S.shape[1], cuda.blockDim.x):
        S[i, j] = math.exp(S[i, j] - top)
        total += S[i, j]
    shared[cuda.threadIdx.x] = total
    tree(shared, 1)
    for j in range(cuda.threadIdx.x, S.shape[1], cuda.blockDim.x):
        S[i, j] /= shared[0]


@Launch
def backward_cuda(dA, A, scale):
    """A block has a row: a tree adds up dA_ij A_ij, and all wait for it; then each thread writes its numbers."""
    i, shared, inner = cuda.blockIdx.x, cuda.shared.array(THREADS, A.dtype), A.dtype.type(0)
    for j in range(cuda.threadIdx.x, A.shape[1], cuda.blockDim.x):
        inner += dA[i, j] * A[i, j]
    shared[cuda.threadIdx.x] = inner
    tree(shared, 1)
    for j in range(cuda.threadIdx.x, A.shape[1], cuda.blockDim.x):
        dA[i, j] = scale * A[i, j] * (dA[i, j] - shared[0])

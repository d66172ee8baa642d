r"""Rows of a matrix that are chosen by their index: products with a code of which k of m units are on.

    gather:       value_bj = h_{b, unit_bj}                 the k numbers of example b that are on
    combine:      y_b  += Σ_j value_bj R_{unit_bj}          R (m, n); j counts the k units of example b
    scatter_add:  dR_j += Σ_b value_bj y_b                  its backward by R: row unit_bj gets value_bj y_b
    project:      value_bj = y_b · R_{unit_bj}              its backward by value

Each costs 2 B k n operations where the dense product costs 2 B m n; rows that no example names are left alone. With
h_Γ for `value` and the decoder's V for R, `combine` is s = h_Γ V, `scatter_add` is dV += h_Γᵀ ds and `project` is
dh = ds Vᵀ on Γ.

Derivation:
Let i be a row of R, and write the choice as [unit_bj = i], which is 1 or 0 and does not depend on any number:
    y_bn = Σ_j value_bj R_{unit_bj, n} = Σ_i Σ_j [unit_bj = i] value_bj R_in
Both gradients are those of a product. The sum over the examples stays in the first, and the sum over i has one term
that is not 0 in the second:
    ∂J/∂R_in      = Σ_b Σ_n' dy_bn' ∂y_bn'/∂R_in = Σ_b Σ_j [unit_bj = i] value_bj dy_bn
    ∂J/∂value_bj  = Σ_n dy_bn Σ_i [unit_bj = i] R_in = Σ_n dy_bn R_{unit_bj, n}
With k = 1 and value = 1, `combine` is the lookup of an embedding, and `scatter_add` is its gradient: two examples that
name the same row are added up, which is why an assignment dR[unit] = … would be wrong.

On a GPU, threads that add to the same row at the same time would need atomic additions, whose order is that of chance.
So `scatter_add` turns the loop around: a block has a row of dR, looks through all of `unit` for it, and adds what it
finds in the order of the examples. It reads B k integers m times, from the cache, and y and dR no more than it must.
"""

import numpy as np

from minae import kernels
from minae.backend import namespace
from minae.kernels import pool
from minae.kernels.reduce import THREADS, Launch, cuda, running, tree


def gather(unit, h, value):
    """value_bj = h_{b, unit_bj}:  unit int32 (B, k), h (B, m) -> value (B, k)"""
    path = kernels.path(value, unit, h)
    if path == "cuda":
        gather_cuda.each([value, unit, h])
    else:
        (gather_cpu if path == "cpu" else gather_plain)(unit, h, value)


def combine(unit, value, R, y):
    """y += the combinations of rows:  unit int32 (B, k), value (B, k), R (m, n), y (B, n)"""
    path = kernels.path(value, unit, R, y)
    if path == "cuda":
        combine_cuda.each([y, unit, value, R])
    else:
        (combine_cpu if path == "cpu" else combine_plain)(unit, value, R, y)


def scatter_add(unit, value, y, dR):
    """dR += value_bj y_b at the rows unit_bj:  unit int32 (B, k), value (B, k), y (B, n), dR (m, n)"""
    path = kernels.path(value, unit, y, dR)
    if path == "cuda":
        scatter_add_cuda(len(dR), [unit, value, y, dR])
    elif path == "cpu":
        scatter_add_cpu(y, unit, value, dR)
    else:
        scatter_add_plain(unit, value, y, dR)


def project(unit, y, R, value):
    """value_bj = y_b · R_{unit_bj}:  unit int32 (B, k), y (B, n), R (m, n) -> value (B, k)"""
    path = kernels.path(value, unit, y, R)
    if path == "cuda":
        project_cuda(value.size, [unit, y, R, value])
    else:
        (project_cpu if path == "cpu" else project_plain)(unit, y, R, value)


def gather_plain(unit, h, value):
    value[...] = namespace(h).take_along_axis(h, unit.astype("int64"), axis=1)


def combine_plain(unit, value, R, y):
    y += namespace(y).einsum("bk,bkn->bn", value, R[unit])


def scatter_add_plain(unit, value, y, dR):
    namespace(y).add.at(dR, unit, value[:, :, None] * y[:, None, :])


def project_plain(unit, y, R, value):
    value[...] = namespace(y).einsum("bn,bkn->bk", y, R[unit])


by_row = pool.parallel(grain=1 << 10, error_model="numpy", fastmath={"contract", "reassoc"})
by_column = pool.parallel(grain=1 << 10, axis=1, align=16, error_model="numpy", fastmath={"contract", "reassoc"})


@by_row
def gather_cpu(start, stop, unit, h, value):
    for b in range(start, stop):
        for j in range(unit.shape[1]):
            value[b, j] = h[b, unit[b, j]]


@by_row
def combine_cpu(start, stop, unit, value, R, y):
    for b in range(start, stop):
        row = y[b]  # stays in the cache while k rows of R go by
        for j in range(unit.shape[1]):
            v, weights = value[b, j], R[unit[b, j]]
            for i in range(row.size):
                row[i] += v * weights[i]


@by_column
def scatter_add_cpu(start, stop, y, unit, value, dR):
    """A thread has columns of dR, because two examples may name the same row."""
    for b in range(y.shape[0]):
        row = y[b, start:stop]
        for j in range(unit.shape[1]):
            v, gradient = value[b, j], dR[unit[b, j], start:stop]
            for i in range(row.size):
                gradient[i] += v * row[i]


@by_row
def project_cpu(start, stop, unit, y, R, value):
    for b in range(start, stop):
        row = y[b]
        for j in range(unit.shape[1]):
            weights, v = R[unit[b, j]], value.dtype.type(0)
            for i in range(row.size):
                v += row[i] * weights[i]
            value[b, j] = v


# ---- CUDA


@Launch
def gather_cuda(value, unit, h):
    """A thread has one b and j; nobody waits."""
    i = cuda.grid(1)
    if i < value.size:
        b, j = i // unit.shape[1], i % unit.shape[1]
        value[b, j] = h[b, unit[b, j]]


@Launch
def combine_cuda(y, unit, value, R):
    """A thread has one number of y, and adds up k numbers of R in the order of j. The threads of a warp stand side by
    side in a row of R, so that each row is read as whole sectors; y is read and written once."""
    i = cuda.grid(1)
    if i < y.size:
        b, column = i // y.shape[1], i % y.shape[1]
        total = y[b, column]
        for j in range(unit.shape[1]):
            total += value[b, j] * R[unit[b, j], column]
        y[b, column] = total


@Launch
def scatter_add_cuda(unit, value, y, dR):
    """A block has row i of dR. Its threads look at as many entries of `unit` at a time as they are; the barrier
    counts how many are i. If there are some, `running` gives each its place in a list, and all threads go along the
    row and add the entries of the list. Blocks share nothing; a row that is not named is not touched."""
    place = cuda.shared.array(THREADS, np.int32)
    found = cuda.shared.array(THREADS, np.int32)
    i, k, thread = cuda.blockIdx.x, unit.shape[1], cuda.threadIdx.x
    for start in range(0, unit.size, cuda.blockDim.x):
        entry = start + thread
        mine = 0
        if entry < unit.size and unit[entry // k, entry % k] == i:
            mine = 1
        count = cuda.syncthreads_count(mine)
        if count:
            place[thread] = mine
            running(place)
            if mine:
                found[place[thread] - 1] = entry
            cuda.syncthreads()
            for column in range(thread, dR.shape[1], cuda.blockDim.x):
                total = dR[i, column]
                for at in range(count):
                    b, j = found[at] // k, found[at] % k
                    total += value[b, j] * y[b, column]
                dR[i, column] = total


@Launch
def project_cuda(unit, y, R, value):
    """A block has one b and j: it reads y_b and a row of R, and the tree adds up their products."""
    b, j = cuda.blockIdx.x // unit.shape[1], cuda.blockIdx.x % unit.shape[1]
    shared, total = cuda.shared.array(THREADS, y.dtype), y.dtype.type(0)
    for column in range(cuda.threadIdx.x, y.shape[1], cuda.blockDim.x):
        total += y[b, column] * R[unit[b, j], column]
    shared[cuda.threadIdx.x] = total
    tree(shared, 1)
    if cuda.threadIdx.x == 0:
        value[b, j] = shared[0]

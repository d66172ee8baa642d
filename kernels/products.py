r"""A B as a task of the pool: each part is a tile of the product, made by OpenBLAS on one thread.

    C = A B,   C (m, n), A (m, k), B (k, n):   the tile (rows i, columns j) is A_i B_j,
                                              and gets its part of a bias while it is in the cache
    S = Aᵀ A or A Aᵀ:   the tiles on and above the diagonal, half the operations; what is below is their mirror

OpenBLAS has threads of its own. They wait for each other within a product, and for work after it, without yielding to
the loops between the products or to another process; `kernels/README.md` has what that costs. So tiles need an OpenBLAS
with one thread. NumPy's own instance must keep the number of threads that its user gave it, and that number is one for
the whole process. So this module loads a second, private instance of the same library, and gives that one thread.
NumPy's number is only read: it says how many threads of the pool a product may have, so that a limit by threadpoolctl
or OPENBLAS_NUM_THREADS holds here too. Where NumPy's BLAS is not the OpenBLAS of its wheels (Accelerate, MKL, conda),
or no copy can be loaded (outside Linux), products are `numpy.matmul`'s, and loops have one thread.
"""

import ctypes
import functools
import math
import os
from pathlib import Path

import llvmlite.binding
import numba
import numpy as np
from numba import types
from numba.extending import overload

from minae import kernels
from minae.backend import namespace
from minae.kernels import atomics, pool

ROW_MAJOR, PLAIN, TRANSPOSED, UPPER = 101, 111, 112, 121  # of cblas
SMALL = 1 << 18  # m n k up to which OpenBLAS has one thread, and so has a product here
SMALL_DOT = 10_000  # the same for a · b
ALIGN, BLOCK, PIECES = 8, 16, np.uint64(64)


@functools.cache
def blas():
    """A function that gives the number of threads of NumPy's OpenBLAS; None where it has no private instance."""
    try:
        # a symbol of a library that this one depends on is found, too
        threads = ctypes.CDLL(np._core._multiarray_umath.__file__).scipy_openblas_get_num_threads64_
        private = _private_instance()
        for name in ("sgemm", "dgemm", "ssyrk", "dsyrk"):
            address = ctypes.cast(getattr(private, f"scipy_cblas_{name}64_"), ctypes.c_void_p).value
            llvmlite.binding.add_symbol(f"minae_{name}", address)
        private.scipy_openblas_set_num_threads64_(1)
        getattr(private, "blas_thread_shutdown_", int)()  # ends the threads that it started when it was loaded
        return threads
    except (AttributeError, OSError, ValueError):
        return None


def _private_instance():
    """A second instance of NumPy's OpenBLAS. The loader gives a file once, so the instance is a copy in memory."""
    (original,) = Path(np.__file__).parents[1].glob("numpy.libs/libscipy_openblas64_*.so")
    copy = os.memfd_create("minae_openblas")  # stays open: its number is part of the name that the loader remembers
    with original.open("rb") as file:
        size = original.stat().st_size
        while os.lseek(copy, 0, os.SEEK_CUR) < size:
            os.sendfile(copy, file.fileno(), None, size)
    return ctypes.CDLL(f"/proc/self/fd/{copy}")


def matmul(A, B, out=None, bias=None):
    """A B, or A B + bias, in `out` where it is given; A (m, k), B (k, n), bias (n,). `out` overlaps neither A nor B."""
    result = tiled(A, B, out, bias) if isinstance(A, np.ndarray) else None
    return plain(A, B, out, bias) if result is None else result


def add_matmul(A, B, out, arena):
    """out += A B; `arena.empty(*shape)` gives the memory that some forms need in between."""
    if not isinstance(A, np.ndarray) or tiled(A, B, out, add=True) is None:
        out += matmul(A, B, arena.empty(*out.shape))


def dot(a, b):
    """Σ a_i b_i over all of two arrays of one shape: within a piece in their type, over the pieces in float64."""
    same = a.size == b.size and a.dtype == b.dtype
    if not isinstance(a, np.ndarray) or a.size <= SMALL_DOT or not same or kernels.path(a, b) != "cpu":
        return namespace(a).vdot(a, b)
    sums = np.empty(PIECES)
    dot_cpu(a.reshape(-1), b.reshape(-1), sums)
    return sums.sum()


def plain(A, B, out=None, bias=None):
    """The reference. An `out` that lies by columns is given as its transpose, else CuPy would copy it."""
    xp = namespace(A)
    if out is not None and out.T.flags.c_contiguous and not out.flags.c_contiguous:
        xp.matmul(B.T, A.T, out=out.T)
    else:
        out = xp.matmul(A, B, out=out)
    if bias is not None:
        out += bias
    return out


def tiled(A, B, out=None, bias=None, add=False):
    """A B, or A B + bias, or out + A B, made by the pool; or None, and nothing is done.

    The pool makes products that are large enough, of arrays that lie row by row or column by column.
    """
    if out is not None and bias is None and out.T.flags.c_contiguous and not out.flags.c_contiguous:
        result = tiled(B.T, A.T, out.T, None, add)
        return None if result is None else result.T
    A_rows, At = (A, PLAIN) if A.flags.c_contiguous else (A.T, TRANSPOSED)
    B_rows, Bt = (B, PLAIN) if B.flags.c_contiguous else (B.T, TRANSPOSED)
    (m, k), n = A.shape, B.shape[1]
    fits = len(B) == k and (bias is None or bias.shape == (n,))
    if m * n * k <= SMALL or not fits or A.dtype != B.dtype or kernels.path(A_rows, B_rows) != "cpu":
        return None
    if out is not None and (out.dtype != A.dtype or out.shape != (m, n) or not out.flags.c_contiguous):
        return None
    # The child of a fork beside a product would find the private instance's own locks taken, and wait for ever.
    with kernels.PRODUCT:
        width = 1 if blas() is None else blas()()
        if width != pool.pool.width:
            pool.pool.resize(width)
        if width == 1:
            return None
        out = np.empty((m, n), A.dtype) if out is None else out
        if bias is None and not add and At != Bt and m == n and _address(A_rows) == _address(B_rows):
            symmetric(pool.pool.state, min(width, m * n * k // SMALL), At, A_rows, out)
        else:
            b = A_rows[0, :0] if bias is None else bias
            multiply(pool.pool.state, *grid(m, n, k, width), At, A_rows, Bt, B_rows, out, b, add)
    return out


def _address(array):
    return array.__array_interface__["data"][0]


@functools.lru_cache(1 << 10)
def grid(m, n, k, threads):
    """(rows, columns) of tiles, as many as threads, or fewer for a small product: those that read least of A and B."""
    parts = min(threads, m * n * k * 2 // SMALL)
    grids = [(rows, parts // rows) for rows in range(1, parts + 1) if parts % rows == 0]
    return min(grids, key=lambda tiles: tiles[0] * n + tiles[1] * m)


def gemm():
    """C = A B of one dtype, or C += A B, by cblas."""


def syrk():
    """The upper triangle of S = X Xᵀ, or Xᵀ X where X is to be transposed, by cblas."""


def cblas(name, arguments):
    """dtype -> cblas_sgemm, cblas_dgemm, …"""
    letters = {types.float32: "s", types.float64: "d"}
    return {
        t: types.ExternalFunction(f"minae_{letter}{name}", types.void(*arguments(t, types.CPointer(t))))
        for t, letter in letters.items()
    }


i4, i8 = types.int32, types.int64
GEMM = cblas("gemm", lambda t, array: [i4, i4, i4, i8, i8, i8, t, array, i8, array, i8, t, array, i8])
SYRK = cblas("syrk", lambda t, array: [i4, i4, i4, i8, i8, t, array, i8, t, array, i8])


@overload(gemm)
def _gemm(At, Bt, m, n, k, A, lda, B, ldb, add, C, ldc):
    function = GEMM[A.dtype]
    return lambda At, Bt, m, n, k, A, lda, B, ldb, add, C, ldc: function(
        ROW_MAJOR, At, Bt, m, n, k, 1, A.ctypes, lda, B.ctypes, ldb, add, C.ctypes, ldc
    )


@overload(syrk)
def _syrk(Xt, n, k, X, ldx, S, lds):
    function = SYRK[X.dtype]
    return lambda Xt, n, k, X, ldx, S, lds: function(ROW_MAJOR, UPPER, Xt, n, k, 1, X.ctypes, ldx, 0, S.ctypes, lds)


@pool.parallel(pieces=PIECES, error_model="numpy", fastmath={"contract", "reassoc"})
def dot_cpu(start, stop, a, b, sums):
    size = np.uint64(a.size)
    for piece in range(start, stop):
        total = a.dtype.type(0)
        for i in range(piece * size // PIECES, (piece + 1) * size // PIECES):
            total += a[i] * b[i]
        sums[piece] = total


@kernels.jit(nogil=True)
def tiles(start, stop, rows, columns, At, A, Bt, B, C, bias, add):
    m, n = C.shape
    k, lda, ldb = A.size // m, A.shape[1], B.shape[1]
    for tile in range(np.int64(start), np.int64(stop)):
        row, column = tile // columns, tile % columns
        i, i_end = pool.boundary(row, rows, m, ALIGN), pool.boundary(row + 1, rows, m, ALIGN)
        j, j_end = pool.boundary(column, columns, n, ALIGN), pool.boundary(column + 1, columns, n, ALIGN)
        if i < i_end and j < j_end:
            A_i = A.reshape(-1)[i * lda if At == PLAIN else i :]
            B_j = B.reshape(-1)[j if Bt == PLAIN else j * ldb :]
            gemm(At, Bt, i_end - i, j_end - j, k, A_i, lda, B_j, ldb, add, C.reshape(-1)[i * n + j :], n)
            if bias.size:
                for r in range(i, i_end):
                    C_r, b = C[r, j:j_end], bias[j:j_end]
                    for c in range(b.size):
                        C_r[c] += b[c]


@kernels.jit(nogil=True)
def multiply(state, rows, columns, At, A, Bt, B, C, bias, add):
    code, data = atomics.address(tiles, (rows, columns, At, A, Bt, B, C, bias, add))
    pool.run(state, code, data, rows * columns, 1, rows * columns)


@numba.njit(inline="always")
def corner(part, parts, n):
    """The row at which a part of the triangle begins, so that all parts have the same area."""
    row = np.int64(n * (1 - math.sqrt(1 - part / parts)) + ALIGN // 2) // ALIGN * ALIGN
    return n if part == parts else min(n, row)


@kernels.jit(nogil=True)
def triangle(start, stop, parts, Xt, X, S):
    n, ldx, x, s = len(S), X.shape[1], X.reshape(-1), S.reshape(-1)
    k, stride, other = (X.shape[1], ldx, TRANSPOSED) if Xt == PLAIN else (X.shape[0], 1, PLAIN)
    for part in range(np.int64(start), np.int64(stop)):
        i, i_end = corner(part, parts, n), corner(part + 1, parts, n)
        if i < i_end:
            syrk(Xt, i_end - i, k, x[i * stride :], ldx, s[i * n + i :], n)
        if i < i_end < n:
            X_i, X_j = x[i * stride :], x[i_end * stride :]
            gemm(Xt, other, i_end - i, n - i_end, k, X_i, ldx, X_j, ldx, False, s[i * n + i_end :], n)
        for low in range(i, i_end, BLOCK):  # the mirror
            for column in range(low, n):
                for row in range(low, min(low + BLOCK, i_end, column)):
                    S[column, row] = S[row, column]


@kernels.jit(nogil=True)
def symmetric(state, parts, Xt, X, S):
    code, data = atomics.address(triangle, (parts, Xt, X, S))
    pool.run(state, code, data, parts, 1, parts)

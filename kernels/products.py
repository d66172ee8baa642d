r"""A B as a job of the team: each part is a tile of the product, made by NumPy's own BLAS on one thread.

    C = A B,   C (m, n), A (m, k), B (k, n):   the tile (rows i, columns j) is A_i B_j,
                                              and gets its part of a bias while it is hot
    S = Aᵀ A or A Aᵀ:   the tiles on and above the diagonal, half the operations; what is below is their mirror

OpenBLAS has threads of its own. They wait for each other within a product, and for work after it, without giving way
to the loops between the products or to another process; `kernels/README.md` has what that costs. So BLAS is told to
use one thread for the length of a product, and as many of the team as it had make the tiles. Where NumPy's BLAS is not
the OpenBLAS of its wheels (Accelerate, MKL, conda), products are `numpy.matmul`'s, and loops have one thread.
"""

import ctypes
import functools
import math
import os
import threading

import llvmlite.binding
import numba
import numpy as np
from numba import types
from numba.extending import overload

from minae import kernels
from minae.kernels import instructions, team

ROW_MAJOR, PLAIN, TRANSPOSED, UPPER = 101, 111, 112, 121  # of cblas
SMALL = 1 << 18  # m n k up to which OpenBLAS has one thread, and the team too
ALIGN, BLOCK, PIECES = 8, 16, np.uint64(64)
LOCK = threading.RLock()  # held while BLAS has one thread: by one thread of ours at a time, and by who forks


@functools.cache
def blas():
    """threads(), of the OpenBLAS that NumPy has loaded, its products known to Numba; None for another BLAS."""
    try:
        # a symbol of a library that this one depends on is found, too
        library = ctypes.CDLL(np._core._multiarray_umath.__file__)
        for name in ("sgemm", "dgemm", "ssyrk", "dsyrk"):
            _tell_numba("minae_" + name, getattr(library, f"scipy_cblas_{name}64_"))
        _tell_numba("minae_set_threads", library.scipy_openblas_set_num_threads64_)
        return library.scipy_openblas_get_num_threads64_
    except (AttributeError, OSError):
        return None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=LOCK.acquire, after_in_parent=LOCK.release, after_in_child=LOCK.release)


def _tell_numba(name, function):
    llvmlite.binding.add_symbol(name, ctypes.cast(function, ctypes.c_void_p).value)


def matmul(A, B, out=None, bias=None):
    """A B, or A B + bias, in `out` where it is given; A (m, k), B (k, n), bias (n,). `out` overlaps neither A nor B."""
    made = tiled(A, B, out, bias)
    return numpys(A, B, out, bias) if made is None else made


def tiled(A, B, out=None, bias=None, add=False):
    """A B, or A B + bias, or out + A B, made by the team; or None. It makes those whose arrays lie row by row or column
    by column, and that are large enough."""
    if out is not None and bias is None and out.T.flags.c_contiguous and not out.flags.c_contiguous:
        made = tiled(B.T, A.T, out.T, None, add)
        return made if made is None else made.T
    A_lies, At = (A, PLAIN) if A.flags.c_contiguous else (A.T, TRANSPOSED)
    B_lies, Bt = (B, PLAIN) if B.flags.c_contiguous else (B.T, TRANSPOSED)
    (m, k), n = A.shape, B.shape[1]
    fits = len(B) == k and (bias is None or bias.shape == (n,))
    if m * n * k <= SMALL or not fits or blas() is None or A.dtype != B.dtype or kernels.form(A_lies, B_lies) != "cpu":
        return None
    if out is None:
        out = np.empty((m, n), A.dtype)
    elif out.dtype != A.dtype or out.shape != (m, n) or not out.flags.c_contiguous:
        return None
    with LOCK:
        width = blas()()
        if width != team.team.width:
            team.team.widen(width)
        if width == 1:
            return None
        if bias is None and not add and At != Bt and m == n and _address(A_lies) == _address(B_lies):
            symmetric(team.team.state, width, min(width, m * n * k // SMALL), At, A_lies, out)
        else:
            b = A_lies[0, :0] if bias is None else bias
            multiply(team.team.state, width, *grid(m, n, k, width), At, A_lies, Bt, B_lies, out, b, add)
    return out


def _address(array):
    return array.__array_interface__["data"][0]


def numpys(A, B, out=None, bias=None):
    """The reference."""
    out = np.matmul(A, B, out=out)
    if bias is not None:
        out += bias
    return out


def dot(a, b):
    """Σ a_i b_i over all of two arrays of one shape: within a piece in their type, over the pieces in float64."""
    if kernels.form(a, b) != "cpu" or a.dtype != b.dtype or a.size != b.size:
        return np.vdot(a, b)
    sums = np.empty(PIECES)
    dot_cpu(a.reshape(-1), b.reshape(-1), sums)
    return sums.sum()


@functools.lru_cache(1 << 10)
def grid(m, n, k, threads):
    """(rows, columns) of tiles, as many as threads, or fewer for a small product: those that read least of A and B."""
    parts = min(threads, m * n * k * 2 // SMALL)
    return min(((r, parts // r) for r in range(1, parts + 1) if parts % r == 0), key=lambda rc: rc[0] * n + rc[1] * m)


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
set_threads = types.ExternalFunction("minae_set_threads", types.void(i4))


@team.shared(pieces=PIECES, error_model="numpy", fastmath={"contract", "reassoc"})
def dot_cpu(start, stop, a, b, sums):
    size = np.uint64(a.size)
    for piece in range(start, stop):
        total = a.dtype.type(0)
        for i in range(piece * size // PIECES, (piece + 1) * size // PIECES):
            total += a[i] * b[i]
        sums[piece] = total


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


@kernels.cached(nogil=True)
def tiles(start, stop, rows, columns, At, A, Bt, B, C, bias, add):
    m, n = C.shape
    k, lda, ldb = A.size // m, A.shape[1], B.shape[1]
    for tile in range(np.int64(start), np.int64(stop)):
        row, column = tile // columns, tile % columns
        i, i_end = team.edge(row, rows, m, ALIGN), team.edge(row + 1, rows, m, ALIGN)
        j, j_end = team.edge(column, columns, n, ALIGN), team.edge(column + 1, columns, n, ALIGN)
        if i < i_end and j < j_end:
            A_i = A.reshape(-1)[i * lda if At == PLAIN else i :]
            B_j = B.reshape(-1)[j if Bt == PLAIN else j * ldb :]
            gemm(At, Bt, i_end - i, j_end - j, k, A_i, lda, B_j, ldb, add, C.reshape(-1)[i * n + j :], n)
            if bias.size:
                for r in range(i, i_end):
                    C_r, b = C[r, j:j_end], bias[j:j_end]
                    for c in range(b.size):
                        C_r[c] += b[c]


@kernels.cached(nogil=True)
def multiply(state, width, rows, columns, At, A, Bt, B, C, bias, add):
    set_threads(1)
    job, data = instructions.address(tiles, (rows, columns, At, A, Bt, B, C, bias, add))
    team.share(state, job, data, rows * columns, 1, rows * columns)
    set_threads(width)


@numba.njit(inline="always")
def corner(part, parts, n):
    """The row at which a part of the triangle begins, so that all parts have the same area."""
    at = np.int64(n * (1 - math.sqrt(1 - part / parts)) + ALIGN // 2) // ALIGN * ALIGN
    return n if part == parts else min(n, at)


@kernels.cached(nogil=True)
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


@kernels.cached(nogil=True)
def symmetric(state, width, parts, Xt, X, S):
    set_threads(1)
    job, data = instructions.address(triangle, (parts, Xt, X, S))
    team.share(state, job, data, parts, 1, parts)
    set_threads(width)

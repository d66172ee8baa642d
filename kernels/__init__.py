"""Kernels: one a file, each with its formula, its plain reference, one scalar body, its CPU loop and its CUDA launch.

A kernel is worth its file when it removes memory passes beside the matrix products; see `kernels/README.md`.
"""

import functools
import warnings

import numpy as np

from minae.backend import namespace


def compiled(body):
    """The scalar body for the CPU loops: inlined, and free to be vectorised."""
    import numba

    return numba.njit(inline="always", error_model="numpy")(body)


def form(array):
    """Which form of a kernel serves this array: "cpu" (NumPy), "cuda" (CuPy, where numba-cuda works) or "plain"."""
    if isinstance(array, np.ndarray):
        return "cpu"
    return "cuda" if namespace(array).__name__ == "cupy" and cuda_works() else "plain"


@functools.cache
def cuda_works():
    """Whether numba-cuda can compile for this driver. Where it cannot, the plain CuPy formulas serve, after one warning."""
    try:
        from numba import cuda

        cuda.jit("void(float32[:])")(_nothing)
    except Exception as error:
        warnings.warn(f"numba-cuda does not work here ({error}): the plain CuPy formulas serve instead", stacklevel=3)
        return False
    return True


def _nothing(x):
    pass

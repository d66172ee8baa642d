"""Kernels: one a file: the formula, the plain reference, one scalar body, its CPU loop and, where it pays, CUDA launch.

A kernel earns its file by removing passes over memory beside the matrix products; `kernels/README.md` says what each
buys. The CPU's loops and products run on one team of threads (`team.py`, `products.py`). The modules import Numba, so
the engine imports them when a kernel is first used.
"""

import functools
import hashlib
import warnings
from pathlib import Path

import numpy as np

from minae.backend import namespace


def form(*arrays):
    """Which form of a kernel serves these arrays: "cpu" (Numba, NumPy), "cuda" (numba-cuda, CuPy) or "plain"."""
    for array in arrays:
        if not array.flags.c_contiguous:
            return "plain"
    if isinstance(arrays[0], np.ndarray):
        return "cpu" if arrays[0].dtype.char in "fd" and not _jit_is_off() else "plain"
    return "cuda" if namespace(arrays[0]).__name__ == "cupy" and cuda_works() else "plain"


def launch(function, arrays, *scalars, threads=None):
    """Call a numba-cuda function on CuPy arrays, a thread for each component of the first, or as many as `threads`."""
    from numba import cuda

    stream = namespace(arrays[0]).cuda.get_current_stream().ptr  # after, and before, CuPy's work
    threads = arrays[0].size if threads is None else threads
    if threads:  # a grid of no blocks is an error
        arrays = [cuda.as_cuda_array(array, sync=False) for array in arrays]
        _configured(function, (threads + 255) // 256, stream)(*arrays, *scalars)


@functools.lru_cache(1 << 10)
def _configured(function, blocks, stream):
    """The function on a grid. A small one leaves most of the card idle, of which Numba would warn, every time."""
    from numba import cuda

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function[blocks, 256, cuda.external_stream(stream)]


def cached(**options):
    """numba.njit, its machine code kept on disk where some folder for it can be written."""
    import numba

    def compiled(function):
        try:
            kept = numba.njit(cache=True, **options)(function)
        except RuntimeError:  # no such folder: it compiles anew in each process
            return numba.njit(**options)(function)
        if not _jit_is_off():
            kept._cache._cache_file._source_stamp = _stamp()
        return kept

    return compiled


@functools.cache
def _stamp():
    """What the kept code was made of. Numba looks at the file of a function alone, and not at those that it calls."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return [(file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files]


@functools.cache
def _jit_is_off():
    import numba

    return numba.config.DISABLE_JIT


@functools.cache
def cuda_works():
    """Whether numba-cuda can compile for this driver; where it cannot, one warning, and the plain formulas serve."""
    try:
        from numba import cuda

        cuda.jit("void(float32[:])")(_nothing)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        warnings.warn(f"numba-cuda does not work here ({reason}): the plain CuPy formulas serve instead", stacklevel=3)
        return False
    return True


def _nothing(x):
    pass

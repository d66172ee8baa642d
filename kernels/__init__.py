"""Kernels: one a file, each with the formula, its derivation, a plain reference, one scalar body and its fast forms.

A kernel removes passes over memory beside the matrix products, and `kernels/README.md` says how much each one saves.
The fast forms are a loop for the CPU, which Numba compiles and the threads of `pool.py` share, and a CUDA launch where
one pays. This module is lazy: `from minae import kernels` loads no Numba, and `kernels.adam` loads at its first use.
"""

import ast
import contextlib
import functools
import hashlib
import importlib
import os
import sys
import threading
import warnings
from pathlib import Path

import numpy as np

from minae.backend import namespace
from minae.errors import warn

MODULES = """activations adam atomics bernoulli contraction convolution exponential fused gates hamming kl_sparsity
 log_softmax noise normalization pool products reduce rows shrinkage softmax top_k""".split()
FOLDER = Path(__file__).parent


# The child of a fork has no thread but one: what another thread held stays taken in it for ever. So a fork waits until
# no kernel is being loaded, no product is being made by the private OpenBLAS, Numba compiles nothing, and LLVM is left
# alone, which a thread also calls where it drops what is compiled. It is one hook, registered before anything is
# loaded: Numba, loaded while the fork waits, is seen when LOADING is the fork's.
# A fork runs the hooks of later modules first, and those of logging and concurrent.futures take locks that a thread
# which loads a kernel may want. So these two are imported first, and have their turn after this one.
importlib.import_module("logging")
importlib.import_module("concurrent.futures.thread")
LOADING, PRODUCT = threading.RLock(), threading.RLock()
held = []


def _before_fork():
    """Take the locks in the order of a thread: one that makes a product may load a kernel, which then compiles."""
    _hold(PRODUCT)
    _hold(LOADING)
    if "numba.core.compiler_lock" in sys.modules:
        _hold(sys.modules["numba.core.compiler_lock"].global_compiler_lock)
        _hold(
            getattr(sys.modules["llvmlite.binding.ffi"].lib, "_lock", threading.RLock())
        )  # not llvmlite's public face


def _hold(lock):
    lock.__enter__()
    held.append(lock)


def _after_fork():
    locks = held[::-1]
    held.clear()  # before the release, after which the fork of another thread may begin to fill it
    for lock in locks:
        lock.__exit__(None, None, None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


def __getattr__(name):
    if name in MODULES:
        with LOADING:
            return importlib.import_module(f"minae.kernels.{name}")
    raise AttributeError(f"module 'minae.kernels' has no attribute {name!r}")


def path(*arrays):
    """Which form of a kernel serves these arrays: "cpu" (Numba, NumPy), "cuda" (numba-cuda, CuPy) or "plain"."""
    for array in arrays:
        if not array.flags.c_contiguous:
            return "plain"
    if isinstance(arrays[0], np.ndarray):
        return "cpu" if arrays[0].dtype.char in "fd" and not jit_is_off() else "plain"
    return "cuda" if namespace(arrays[0]).__name__ == "cupy" and cuda_works() else "plain"


def launch(function, arrays, *scalars, threads=None):
    """Call a numba-cuda function on CuPy arrays, with a thread for each component of the first, or with `threads`."""
    from numba import cuda

    stream = namespace(arrays[0]).cuda.get_current_stream().ptr  # the launch comes after, and before, CuPy's own work
    threads = arrays[0].size if threads is None else threads
    if threads:  # a grid of no blocks is an error
        arrays = [cuda.as_cuda_array(array, sync=False) for array in arrays]
        _configured(function, (threads + 255) // 256, stream)(*arrays, *scalars)


@functools.lru_cache(1 << 10)
def _configured(function, blocks, stream):
    """The function on a grid. A small grid leaves most of the device idle, and Numba would warn of that every time."""
    from numba import cuda

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function[blocks, 256, cuda.external_stream(stream)]


def jit(**options):
    """numba.njit, with its machine code kept on disk where a folder for it can be written."""
    import numba

    def decorate(function):
        try:
            compiled = numba.njit(cache=True, **options)(function)
        except RuntimeError:  # no folder can be written: the function compiles anew in each process
            return numba.njit(**options)(function)
        if not jit_is_off():
            compiled._cache._cache_file._source_stamp = stamp(function.__code__.co_filename)
            _sturdy(compiled._cache)
        return compiled

    return decorate


def _sturdy(cache):
    """Where Numba's files are damaged, or cannot be written, a function compiles without them.

    A digest stands behind the machine code in its file, since one wrong bit there would be a wrong result, or a crash.
    """
    file, load, save = cache._cache_file, cache.load_overload, cache.save_overload
    unpickled, dump, digest = file._load_data, file._dump, lambda data: hashlib.sha256(data).digest()

    def load_data(name):
        with open(file._data_path(name), "rb") as opened:
            data = opened.read()
        if digest(data[:-32]) != data[-32:]:
            raise ValueError(f"{name} is damaged")
        return unpickled(name)  # which does not look behind the end of the pickle

    def loaded(signature, context):
        try:
            return load(signature, context)
        except Exception:  # unpickling raises anything
            with contextlib.suppress(OSError):
                cache.flush()  # an empty index: what is compiled now takes the place of what was damaged
            return None

    def saved(signature, data):
        try:
            save(signature, data)
        except OSError as error:
            _warn_once(f"kernels cannot be kept in {cache.cache_path} ({error.strerror}): each process compiles anew")

    def dumped(made):
        data = dump(made)
        return data + digest(data)

    file._dump, file._load_data = dumped, load_data
    cache.load_overload, cache.save_overload = loaded, saved


@functools.cache
def _warn_once(message):
    warn(message)


@functools.cache
def stamp(file):
    """Names and hashes of the sources that machine code from this file is made of.

    Numba compares the stamp with the one on disk, and compiles again where they differ. By itself it would look at the
    function's own file alone; a loop also holds the code of the kernel modules that its file imports, directly or not.
    """
    sources, pending = {}, [file]
    while pending:
        file = pending.pop()
        if file not in sources:
            sources[file], imported = _source(file)
            pending += imported
    return sorted((Path(file).name, digest) for file, digest in sources.items())


@functools.cache
def _source(file):
    """The hash of a source, and the files of the kernel modules that it imports."""
    text = Path(file).read_text("utf-8")
    names = set()
    for node in ast.parse(text).body:
        if isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    known = {"minae.kernels": "__init__"} | {f"minae.kernels.{name}": name for name in MODULES}
    return hashlib.sha256(text.encode()).hexdigest(), [str(FOLDER / f"{known[n]}.py") for n in names if n in known]


@functools.cache
def jit_is_off():
    """Whether NUMBA_DISABLE_JIT is set, in which case every kernel takes its plain form."""
    import numba

    return bool(numba.config.DISABLE_JIT)


@functools.cache
def cuda_works():
    """Whether numba-cuda can compile for this driver. Where it cannot, it warns once and the plain forms serve."""
    try:
        from numba import cuda

        cuda.jit("void(float32[:])")(_nothing)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        warn(f"numba-cuda does not work here ({reason}): the plain CuPy formulas serve instead")
        return False
    return True


def _nothing(x):
    pass

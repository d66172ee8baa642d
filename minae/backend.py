"""NumPy or CuPy: the array module `xp`, the way in and out of it, and the arrays of one training step.

Everything above this file is written against `xp`, the part of NumPy's interface that CuPy has too. A formula finds its
`xp` from the arrays it is given (`namespace`); a model is built on one `Backend` and refuses arrays of another.
"""

import math
import os
import sys

import numpy as np

from minae.errors import InputError


class Backend:
    """NumPy on the CPU; the base class of the others. `name` is what the user types."""

    name = "numpy"
    xp = np
    block = 1 << 19  # numbers of an array that is worked on block by block, so that the next pass finds it in a cache

    def owns(self, array):
        return isinstance(array, np.ndarray)

    def from_numpy(self, array):
        return array

    def to_numpy(self, array):
        return array

    def memory(self):
        """Bytes of memory that the machine has; infinite where that cannot be asked."""
        try:
            return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        except (AttributeError, ValueError, OSError):  # not on Windows
            return math.inf

    def synchronize(self):
        """Wait until the device has done all that was asked of it: call it before reading a clock."""

    def generator(self, *key):
        """The random stream that belongs to `key`: integers ≥ 0, a seed and its use, such as (seed, epoch, step).

        It is the host's on every backend. Nothing but the key decides it, so there is no generator state to save for a
        resume. Keys of different length have different streams, which the spawn key sees to: SeedSequence((s, 0)) is
        SeedSequence(s).
        """
        return np.random.default_rng(np.random.SeedSequence(key[0], spawn_key=key[1:]))


class CupyBackend(Backend):
    name = "cupy"
    block = 1 << 26  # large enough to occupy a GPU

    def __init__(self):
        try:
            import cupy
        except ImportError as error:
            raise InputError(
                "backend 'cupy' needs CuPy, which is not installed: pip install -e '.[cuda12]' or '.[cuda13]', "
                "or use backend='numpy'"
            ) from error
        try:
            cupy.zeros(1)
        except Exception as error:  # CuPy imports without a GPU and fails at its first allocation
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(
                f"backend 'cupy' was asked for and no GPU answers ({reason}): use backend='numpy', "
                "or see what `minae doctor` says"
            ) from error
        self.xp, self._memory = cupy, cupy.cuda.runtime.memGetInfo()[1]

    def owns(self, array):
        return isinstance(array, self.xp.ndarray)

    def from_numpy(self, array):
        return self.xp.asarray(array)

    def to_numpy(self, array):
        return self.xp.asnumpy(array)

    def memory(self):
        return self._memory

    def synchronize(self):
        self.xp.cuda.get_current_stream().synchronize()


BACKENDS = {"numpy": Backend, "cupy": CupyBackend}


def get_backend(name=None):
    """The backend called `name`: "numpy", "cupy" or "auto" (CuPy where a GPU answers, else NumPy).

    Without a name, the environment variable MINAE_BACKEND decides, and without that it is NumPy.

    Raises InputError for an unknown name, and for "cupy" where CuPy or a GPU is missing.
    """
    if isinstance(name, Backend):
        return name
    name = name or os.environ.get("MINAE_BACKEND") or "numpy"
    if name == "auto":
        try:
            return BACKENDS["cupy"]()
        except InputError:
            return BACKENDS["numpy"]()
    if name not in BACKENDS:
        raise InputError(f"unknown backend {name!r}: choose one of {', '.join([*BACKENDS, 'auto'])}")
    return BACKENDS[name]()


def namespace(array):
    """The module whose functions work on this array: `numpy`, `cupy`, or the tests' guard."""
    if isinstance(array, np.ndarray | np.generic):
        return np
    return sys.modules[type(array).__module__.partition(".")[0]]


def matmul(A, B, out=None, bias=None):
    """A B, or A B + bias, of two matrices, in `out` where it is given; by minae.kernels.products on the CPU."""
    if isinstance(A, np.ndarray):
        from minae.kernels import products

        return products.matmul(A, B, out, bias)
    if out is not None and out.T.flags.c_contiguous and not out.flags.c_contiguous:  # else CuPy would copy it
        namespace(A).matmul(B.T, A.T, out=out.T)
    else:
        out = namespace(A).matmul(A, B, out=out)
    if bias is not None:
        out += bias
    return out


def add_matmul(A, B, out, arena):
    """out += A B, within the product where the BLAS is one that `minae.kernels.products` knows."""
    if isinstance(A, np.ndarray):
        from minae.kernels import products

        if products.tiled(A, B, out, add=True) is not None:
            return
    out += matmul(A, B, arena.empty(*out.shape))


def dot(a, b):
    """Σ a_i b_i over all of two arrays of one shape."""
    if not isinstance(a, np.ndarray) or a.size <= 10_000:  # up to which NumPy's BLAS has one thread
        return namespace(a).vdot(a, b)
    from minae.kernels import products

    return products.dot(a, b)


def standard_normal(rng, out):
    """out ~ N(0, I), and returned; rng from `Backend.generator`. Every backend draws the same, but for rounding."""
    from minae.kernels import noise

    return noise.standard_normal(rng, out)


def uniform(rng, out):
    """out ~ U[0, 1), and returned; as `standard_normal`."""
    from minae.kernels import noise

    return noise.uniform(rng, out)


class Arena:
    """Reused memory for the arrays of one training step.

    A step asks for the same arrays in the same order as the step before it. So inside `with arena:` the k-th request is
    served from the k-th slot, which grows when a larger array is asked for, and a steady-state step allocates nothing.
    What was handed out is valid until the next `with arena:`, or a `rewind` to before it. Outside of one, `empty` is a
    plain new array that nobody else will write to.
    """

    def __init__(self, backend, dtype):
        self.backend, self.dtype = backend, np.dtype(dtype)
        self._slots, self._views, self._next, self._reuse = {}, {}, 0, False

    def __enter__(self):
        self._next, self._reuse = 0, True
        return self

    def __exit__(self, *_):
        self._reuse = False

    def mark(self):
        """Where the requests of a step stand now; `rewind` to it gives the memory of the later ones out again."""
        return self._next

    def rewind(self, mark):
        self._next = mark

    def empty(self, *shape, dtype=None, xp=None):
        """An uninitialised array of this shape; `xp=numpy` for one on the host."""
        request = (shape, dtype or self.dtype, xp or self.backend.xp)
        if not self._reuse:
            return self._new(*request)
        k = self._next
        self._next += 1
        last, view = self._views.get(k, (None, None))
        if last != request:
            size, key = math.prod(shape), (k, *request[1:])
            if key not in self._slots or self._slots[key].size < size:
                self._slots[key] = self._new(size, *request[1:])
            view = self._slots[key][:size].reshape(shape)
            self._views[k] = request, view
        return view

    @staticmethod
    def _new(shape, dtype, xp):
        return xp.empty(shape, dtype)

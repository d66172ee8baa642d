"""NumPy or CuPy: the array module `xp`, the way in and out of it, and the streams of random numbers.

Everything above this file is written against `xp`, the part of NumPy's interface that CuPy has too. A formula finds its
`xp` from the arrays it is given (`namespace`); a model is built on one `Backend` and refuses arrays of another.
"""

import math
import os
import sys
from typing import Any

import numpy as np

from minae.errors import InputError

# What a stream of random numbers is for -> the beginning of its spawn key. No two keys are the same: the first values
# of the parameters have none, "order", "noise" and "evaluation" have 1, 2 and 3 numbers, all others begin with four.
STREAMS = {
    "order": (),  # of the rows: epoch
    "noise": (),  # the constants of a training step: epoch, step
    "evaluation": (0, 0),  # the constants of an evaluation: first row
    "sample": (0, 0, 0, 1),
    "likelihood": (0, 0, 0, 2),  # first row, sample
    "chain": (0, 0, 0, 3),
    "langevin": (0, 0, 0, 4),
    "unpaired": (0, 0, 0, 5),  # the order of the rows of a domain of its own: domain, pass over its rows
    "example": (0, 0, 0, 6),
    "check": (0, 0, 0, 7),  # the constants of a gradient check
    "held out": (0, 0, 0, 8),  # the rows of a validation set that is a share of the data
}


class Backend:
    """NumPy on the CPU; the base class of the others. `name` is what the user types."""

    name = "numpy"
    xp = np
    block = 1 << 19  # numbers of an array that is worked on block by block, so that the next pass finds it in a cache

    def owns(self, array: Any) -> bool:
        return isinstance(array, np.ndarray)

    def from_numpy(self, array: Any) -> Any:
        return array

    def to_numpy(self, array: Any) -> np.ndarray:
        return array

    def memory(self) -> float:
        """Bytes of memory that the machine has; infinite where that cannot be asked."""
        try:
            return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        except (AttributeError, ValueError, OSError):  # not on Windows
            return math.inf

    def synchronize(self) -> None:
        """Wait until the device has done all that was asked of it: call it before reading a clock."""

    def stream(self, seed: int, name: str, *key: int) -> Any:
        """The stream of random numbers of this name and key, such as stream(seed, "noise", epoch, step).

        The generator is the host's on every backend. Nothing but seed, name and key decides what it draws, so there is
        no state of a generator to save for a resume, and no two uses share a stream.
        """
        return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(*STREAMS[name], *key)))

    def __reduce__(self):
        """A backend is pickled, and copied, by its name."""
        return get_backend, (self.name,)


class CupyBackend(Backend):
    """CuPy on a GPU."""

    name = "cupy"
    block = 1 << 26  # large enough to occupy a GPU

    def __init__(self) -> None:
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

    def owns(self, array: Any) -> bool:
        return isinstance(array, self.xp.ndarray)

    def from_numpy(self, array: Any) -> Any:
        return self.xp.asarray(array)

    def to_numpy(self, array: Any) -> np.ndarray:
        return self.xp.asnumpy(array)

    def memory(self) -> int:
        return self._memory

    def synchronize(self) -> None:
        self.xp.cuda.get_current_stream().synchronize()


BACKENDS = {"numpy": Backend, "cupy": CupyBackend}


def get_backend(name: Any = None) -> Backend:
    """The backend called `name`: "numpy", "cupy" or "auto" (CuPy where a GPU answers, else NumPy).

    Without a name, the environment variable MINAE_BACKEND decides, and without that it is NumPy.

    Raises InputError for an unknown name, and for "cupy" where CuPy or a GPU is missing.
    """
    if isinstance(name, Backend):
        return name
    name = (os.environ.get("MINAE_BACKEND") or "numpy") if name is None else name
    if name == "auto":
        try:
            return BACKENDS["cupy"]()
        except InputError:
            return BACKENDS["numpy"]()
    if not isinstance(name, str) or name not in BACKENDS:
        raise InputError(f"unknown backend {name!r}: choose one of {', '.join([*BACKENDS, 'auto'])}")
    return BACKENDS[name]()


def namespace(array: Any) -> Any:
    """The module whose functions work on this array: `numpy`, `cupy`, the tests' guard, or a stand-in's own `xp`."""
    if isinstance(array, np.ndarray | np.generic):
        return np
    package = type(array).__module__.partition(".")[0]
    return array.xp if package == "minae" else sys.modules[package]

"""Training on several processes at once, which MPI starts and connects:  mpiexec -n 4 python train.py     (extra `mpi`)

    from mpi4py import MPI
    model.fit(X, world=MPI.COMM_WORLD)

Every rank runs the same script with the same data, and has a part of the rows of each batch. `minae.world` says why the
step is that of one process on the whole batch, up to the rounding of sums. Drawn constants are drawn for the whole
batch on each rank, from the same stream, and cut as the rows are, so that noise does not depend on how many ranks there
are. Rank 0 alone writes files and shows progress.

Arrays of the host are reduced by MPI. Arrays of a GPU are reduced by NCCL, through `cupyx.distributed`, where each rank
of a machine has a GPU of its own (`own_device`), and through the host's memory elsewhere.
"""

import contextlib
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minae.errors import InputError
from minae.world import World


def mpi() -> Any:
    """The module mpi4py.MPI, which starts MPI in this process."""
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise InputError(f"training on several processes needs MPI: pip install 'minae[mpi]' ({error})") from error
    return MPI


def own_device(comm: Any = None) -> None:
    """Let this rank use a GPU of its own, as far as the machine has enough. To be called before a model is built."""
    import cupy

    comm = mpi().COMM_WORLD if comm is None else comm
    on_this_machine = comm.Split_type(mpi().COMM_TYPE_SHARED)
    cupy.cuda.Device(on_this_machine.Get_rank() % cupy.cuda.runtime.getDeviceCount()).use()


class Ranks(World):
    """The processes of an MPI communicator, by default all that were started.

    Raises InputError where mpi4py is missing, or `comm` is no communicator.
    """

    def __init__(self, comm: Any = None):
        self.comm = mpi().COMM_WORLD if comm is None else comm
        if not all(hasattr(self.comm, name) for name in ("Get_rank", "Get_size", "Allreduce")):
            raise InputError(f"world is a {type(comm).__name__}: expected a communicator such as mpi4py.MPI.COMM_WORLD")
        self.rank, self.size = self.comm.Get_rank(), self.comm.Get_size()
        self.backend: Any = None
        self.nccl: Any = None
        self.whole = False

    # ---- the rows of a step

    def part(self, count: int) -> Any:
        """A batch of fewer than two rows a rank is not cut: all ranks compute all of it, each for its share."""
        self.rows, self.whole = count, count < 2 * self.size
        first, last = (count * k // self.size for k in (self.rank, self.rank + 1))
        self.own = slice(0, count) if self.whole else slice(first, last)
        return self.own

    @property
    def weight(self) -> Any:
        return self.rows / self.size if self.whole else self.own.stop - self.own.start

    def all_have(self, count: int) -> Any:
        self.counts = self.comm.allgather(count)
        return min(self.counts) > 0

    def own_batch(self, count: int) -> Any:
        first = sum(self.counts[: self.rank])
        self.rows, self.whole, self.own = sum(self.counts), False, slice(first, first + count)

    # ---- sums over the ranks

    def mean(self, array: Any) -> Any:
        array = self._writable(array)
        array *= self.weight / self.rows
        return self._summed(array)

    def total(self, array: Any) -> Any:
        array = self._writable(array)
        if self.whole:
            array /= self.size
        return self._summed(array)

    def gathered(self, array: Any) -> Any:
        if self.whole:
            return array
        host = self.comm.allgather(self._host(array))
        return self.backend.from_numpy(np.concatenate(host))

    def from_first(self, array: Any) -> Any:
        return self.backend.from_numpy(self.comm.bcast(self._host(array)))

    def _writable(self, array):
        """An array that lies in one piece. A number of NumPy's is none, and becomes one."""
        if isinstance(array, np.generic):
            return np.array(array)
        return array if array.flags.c_contiguous else array.copy()

    def _summed(self, array):
        if isinstance(array, np.ndarray):
            self.comm.Allreduce(mpi().IN_PLACE, array)
        elif self.nccl is not None:
            self.nccl.all_reduce(array, array)
        else:
            host = self._host(array)
            self.comm.Allreduce(mpi().IN_PLACE, host)
            array[...] = self.backend.from_numpy(host)
        return array

    def _host(self, array):
        return np.ascontiguousarray(array if isinstance(array, np.ndarray) else self.backend.to_numpy(array))

    # ---- what all agree on

    def any(self, flag: bool) -> bool:
        return any(self.comm.allgather(bool(flag)))

    def first(self, function: Callable[[], Any]) -> Any:
        result = error = None
        if self.rank == 0:
            try:
                result = function()
            except Exception as caught:
                error = caught
        result, text = self.comm.bcast((result, None if error is None else (type(error).__name__, str(error))))
        if text is not None:
            raise _known(error or InputError(f"rank 0: {text[1] or text[0]}"))
        return result

    def same(self, values: Any, what: str) -> Any:
        every = self.comm.allgather(values)
        for rank, other in enumerate(every):
            if other != every[0]:
                raise _known(InputError(f"rank {rank} has other {what} than rank 0: give every rank the same"))

    def agree(self, settings: Any) -> Any:
        every = self.comm.allgather(settings())
        for name, value in every[0].items():
            for rank, other in enumerate(every):
                if other.get(name) != value:
                    raise _known(InputError(f"rank {rank} has another {name} than rank 0: give every rank the same"))

    def begin(self, model: Any) -> Any:
        self.backend = model.backend
        if model.backend.name == "cupy":
            self.nccl = _nccl(self.comm)
        self.same(model.metadata(), "options")
        for array in (model.parameters.flat, *model.state.values()):
            array[...] = self.backend.from_numpy(self.comm.bcast(self._host(array)))

    def still_together(self, model: Any) -> Any:
        """All ranks have the same θ and state, bit for bit. Where one machine rounds otherwise, they would drift."""
        sums = [zlib.crc32(self._host(array)) for array in (model.parameters.flat, *model.state.values())]
        self.same(sums, "parameters after the same steps")

    @contextlib.contextmanager
    def together(self) -> Iterator[Any]:
        error = None
        try:
            yield
        except Exception as caught:
            error = caught
        texts = self.comm.allgather(None if error is None else str(error) or type(error).__name__)
        if error is not None:
            raise _known(error)
        if any(text is not None for text in texts):
            rank = next(k for k, text in enumerate(texts) if text is not None)
            raise _known(InputError(f"rank {rank}: {texts[rank]}"))

    @contextlib.contextmanager
    def ending(self) -> Iterator[Any]:
        try:
            yield
        except BaseException as error:
            if not getattr(error, "all_ranks_know", False):
                line = " ".join(f"minae: rank {self.rank} of {self.size}: {type(error).__name__}: {error}".split())
                print(line, file=sys.stderr, flush=True)
                self.comm.Abort(1)
            raise


def _known(error):
    """This error, which every rank raises."""
    error.all_ranks_know = True
    return error


def _nccl(comm):
    """NCCL's communicator where each rank of a machine has a GPU of its own, else None."""
    import cupy
    from cupyx import distributed

    here = comm.Split_type(mpi().COMM_TYPE_SHARED).Get_size()
    enough = comm.allreduce(int(here <= cupy.cuda.runtime.getDeviceCount())) == comm.Get_size()
    if not enough or comm.Get_size() < mpi().COMM_WORLD.Get_size():  # `use_mpi` speaks over COMM_WORLD
        return None
    return distributed.init_process_group(comm.Get_size(), comm.Get_rank(), use_mpi=True)

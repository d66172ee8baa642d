"""Memory that a training step uses again and again, and the functions whose results lie in it."""

import contextlib
import math
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np

from minae.world import ALONE

ALIGN = 64  # bytes of a cache line: arrays lie whole numbers of them apart
CHUNK = 1 << 16  # bytes of the smallest chunk
CUTS = 4096  # arrays that are remembered; data of ever new shapes would remember without end


class Arena:
    """Reused memory for the arrays of one training step.

    A step asks for the same arrays in the same order as the step before it. Inside `with arena:` the requests are
    therefore cut one after the other from the same chunks of memory, and a steady-state step allocates nothing. What
    was handed out stays valid until the `with` block ends and another one begins.

    Blocks nest: an inner `with arena:` goes on where the outer one stands, and gives back only what was asked for
    within it. Each thread has chunks of its own, so that one model may be used from several threads. Outside of a
    block, `empty` gives a plain new array that nobody else will write to.

    backend: the backend whose arrays are handed out;  dtype: their type unless a request names another
    """

    def __init__(self, backend: Any, dtype: Any):
        self.backend, self.dtype = backend, np.dtype(dtype)
        self.ws = Workspace(self)
        self._local = _Local(backend.xp)

    @property
    def world(self) -> Any:
        """Who takes this thread's step together; see `minae.world`."""
        return self._local.world

    @contextlib.contextmanager
    def joined(self, world: Any) -> Iterator[Any]:
        """Within the block, means over the batch are those over the rows of all ranks of this world."""
        self._local.world = world
        try:
            yield
        finally:
            self._local.world = ALONE

    def __enter__(self):
        local = self._local
        local.marks.append([stack.mark() for stack in local.stacks])
        return self

    def __exit__(self, *_):
        local = self._local
        for stack, mark in zip(local.stacks, local.marks.pop(), strict=True):
            stack.rewind(mark)
            if not local.marks:
                stack.merge()

    def empty(self, *shape: int, dtype: Any = None, xp: Any = None) -> Any:
        """An uninitialised array of this shape; `xp=numpy` for an array of the host."""
        dtype = self.dtype if dtype is None else np.dtype(dtype)
        local, xp = self._local, xp or self.backend.xp
        if not local.marks:
            return xp.empty(shape, dtype)
        return local.stacks[0 if xp is local.stacks[0].xp else 1].take(shape, dtype)

    def scratch(self, *shape: int) -> Any:
        """Memory that the next call of `scratch` gives away again: for what one operation makes and reads."""
        local, nbytes = self._local, math.prod(shape) * self.dtype.itemsize
        if local.scratch.size < nbytes:
            local.scratch = self.backend.xp.empty(nbytes, "uint8")
        return local.scratch[:nbytes].view(self.dtype).reshape(shape)

    def nbytes(self) -> int:
        """Bytes that this thread holds."""
        return self._local.scratch.size + sum(chunk.size for stack in self._local.stacks for chunk in stack.chunks)

    def __reduce__(self):
        """A copy of an arena has the same backend and dtype, and memory of its own."""
        return Arena, (self.backend, self.dtype)


class _Local(threading.local):
    """What each thread has of its own: memory of the device and of the host, and the marks of the open blocks."""

    def __init__(self, xp):
        self.stacks = [Stack(xp)] if xp is np else [Stack(xp), Stack(np)]
        self.marks, self.world = [], ALONE
        self.scratch = xp.empty(0, "uint8")


class Stack:
    """Chunks of bytes from which arrays are cut in the order of the requests."""

    def __init__(self, xp: Any):
        self.xp = xp
        self.chunks: list[Any] = []
        self.cuts: dict[Any, Any] = {}
        self.place, self.used, self.peak = (0, 0), 0, 0  # place: chunk, and the first free byte of it

    def mark(self) -> Any:
        return self.place, self.used

    def rewind(self, mark: Any) -> None:
        self.peak = max(self.peak, self.used)
        self.place, self.used = mark

    def take(self, shape: Any, dtype: Any) -> Any:
        """The next array. What is cut at a place is remembered, so that the same request finds it there again."""
        key = self.place, shape, dtype
        cut = self.cuts.get(key)
        if cut is None:
            if len(self.cuts) >= CUTS:
                self.cuts.clear()
            cut = self.cuts[key] = self._cut(shape, dtype)
        array, self.place, room = cut
        self.used += room
        return array

    def _cut(self, shape, dtype):
        """An array from the first chunk, from here on, that has room for it; the place behind it; and its bytes."""
        nbytes, (chunk, start) = math.prod(shape) * dtype.itemsize, self.place
        while chunk < len(self.chunks) and start + nbytes > self.chunks[chunk].size:
            chunk, start = chunk + 1, 0
        if chunk == len(self.chunks):
            size = max(nbytes, CHUNK) if self.chunks else max(nbytes, CHUNK, self.peak)
            self.chunks.append(self.xp.empty(size, "uint8"))
        array = self.chunks[chunk][start : start + nbytes].view(dtype).reshape(shape)
        room = -(-nbytes // ALIGN) * ALIGN
        return array, (chunk, start + room), room

    def merge(self) -> None:
        """Requests of ever new sizes leave gaps. Where those are half of the memory, the next block takes one chunk."""
        if len(self.chunks) > 1 and sum(chunk.size for chunk in self.chunks) > 2 * self.peak + 16 * CHUNK:
            self.chunks, self.cuts = [], {}


class Workspace:
    """The functions of `xp` that work number by number, their results in the arena.

        z = ws.add(mu, ws.multiply(sigma, eps))         reads as z = μ + σ ε, and allocates nothing

    ws.FUNCTION(*arrays) is xp.FUNCTION(*arrays, out=…), of the shape that the arguments broadcast to and of the arena's
    type; a comparison gives 1 and 0.
    """

    def __init__(self, arena: Arena):
        self._arena = weakref.ref(arena)  # a circle would keep the memory of a model that is no longer there

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        arena = self._arena
        function = getattr(arena().backend.xp, name)

        def in_arena(*arguments):
            shapes = {argument.shape for argument in arguments if hasattr(argument, "shape")}
            shape = shapes.pop() if len(shapes) == 1 else np.broadcast_shapes(*shapes)
            return function(*arguments, out=arena().empty(*shape))

        setattr(self, name, in_arena)
        return in_arena

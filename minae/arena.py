"""Memory that a training step uses again and again, and the functions whose results lie in it."""

import math
import threading

import numpy as np

ALIGN = 64  # bytes of a cache line: arrays lie whole numbers of them apart
CHUNK = 1 << 16  # bytes of the smallest chunk
VIEWS = 4096  # remembered arrays of one chunk; data of ever new shapes would remember without end


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

    def __init__(self, backend, dtype):
        self.backend, self.dtype = backend, np.dtype(dtype)
        self.ws = Workspace(self)
        self._local = threading.local()

    def __enter__(self):
        local = self._of_this_thread()
        local.marks.append([stack.mark() for stack in local.stacks])
        return self

    def __exit__(self, *_):
        local = self._of_this_thread()
        for stack, mark in zip(local.stacks, local.marks.pop(), strict=True):
            stack.rewind(mark)
            if not local.marks:
                stack.merge()

    def empty(self, *shape, dtype=None, xp=None):
        """An uninitialised array of this shape; `xp=numpy` for an array of the host."""
        dtype = self.dtype if dtype is None else np.dtype(dtype)
        local = self._of_this_thread()
        if not local.marks:
            return (xp or self.backend.xp).empty(shape, dtype)
        return local.stacks[xp is np and self.backend.xp is not np].take(shape, dtype)

    def nbytes(self):
        """Bytes that this thread's chunks hold."""
        return sum(chunk.size for stack in self._of_this_thread().stacks for chunk in stack.chunks)

    def _of_this_thread(self):
        local = self._local
        if not hasattr(local, "stacks"):
            local.stacks, local.marks = (Stack(self.backend.xp), Stack(np)), []
        return local

    def __reduce__(self):
        """A copy of an arena has the same backend and dtype, and memory of its own."""
        return Arena, (self.backend, self.dtype)


class Stack:
    """Chunks of bytes from which arrays are cut in the order of the requests."""

    def __init__(self, xp):
        self.xp, self.chunks, self.views = xp, [], []
        self.chunk, self.start, self.used, self.peak = 0, 0, 0, 0

    def mark(self):
        return self.chunk, self.start, self.used

    def rewind(self, mark):
        self.peak = max(self.peak, self.used)
        self.chunk, self.start, self.used = mark

    def take(self, shape, dtype):
        """The next array: from the first chunk, from here on, that has room for it."""
        nbytes = math.prod(shape) * dtype.itemsize
        while self.chunk < len(self.chunks) and self.start + nbytes > self.chunks[self.chunk].size:
            self.chunk, self.start = self.chunk + 1, 0
        if self.chunk == len(self.chunks):
            size = max(nbytes, CHUNK) if self.chunks else max(nbytes, CHUNK, self.peak)
            self.chunks.append(self.xp.empty(size, "uint8"))
            self.views.append({})
        key, views = (self.start, shape, dtype), self.views[self.chunk]
        view = views.get(key)
        if view is None:
            if len(views) >= VIEWS:
                views.clear()
            part = self.chunks[self.chunk][self.start : self.start + nbytes]
            view = views[key] = part.view(dtype).reshape(shape)
        room = -(-nbytes // ALIGN) * ALIGN
        self.start += room
        self.used += room
        return view

    def merge(self):
        """Requests of ever new sizes leave gaps. Where those are half of the memory, the next block takes one chunk."""
        if sum(chunk.size for chunk in self.chunks) > 2 * self.peak + 16 * CHUNK:
            self.chunks, self.views = [], []


class Workspace:
    """The functions of `xp` that work number by number, their results in the arena.

        z = ws.add(mu, ws.multiply(sigma, eps))         reads as z = μ + σ ε, and allocates nothing

    ws.FUNCTION(*arrays) is xp.FUNCTION(*arrays, out=…), of the shape that the arguments broadcast to and of the arena's
    type; a comparison gives 1 and 0.
    """

    def __init__(self, arena):
        self._arena = arena

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        function, empty = getattr(self._arena.backend.xp, name), self._arena.empty

        def in_arena(*arguments):
            shapes = {argument.shape for argument in arguments if hasattr(argument, "shape")}
            shape = shapes.pop() if len(shapes) == 1 else np.broadcast_shapes(*shapes)
            return function(*arguments, out=empty(*shape))

        setattr(self, name, in_arena)
        return in_arena

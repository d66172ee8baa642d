r"""What CUDA kernels with a sum share: the tree that adds up the threads of a block, and the launch of a kernel.

    level 1, 2, …:  shared_t ← shared_t + shared_{t + half},  t < half;      half = T/2, T/4, …, width

A GPU has no order of its own. Its threads run in blocks of T = 256, 32 of them (a warp) in step, and the warps and the
blocks as they find room. Threads of one block can wait for each other at a barrier, `cuda.syncthreads()`, and have a
small fast memory in common, the shared memory; threads of different blocks have neither. Hence the shape of a sum here:

1. Each thread adds up every T-th number of its block's share, neighbours reading neighbours, so that a warp's 32 reads
   are a few whole sectors of memory, and writes its part into shared memory.
2. All wait: nobody may read a part before it is written.
3. A tree adds the upper half to the lower half, waits, and goes on with half as many, log₂ T times.

What is added to what depends on T and on the shape of the data alone, never on which thread came first. An atomic
addition would be shorter, but floating-point sums depend on their order, and a run would not have the same bits twice.

`width` numbers are left at the end, each the sum of those that lie `width` apart: 1 for the sum of a row. For sums over
the rows of a matrix (B, m), a block takes 8 neighbouring columns, which in float32 are one sector of 32 bytes, and 32
rows at a time: thread t has the column t mod 8 and the rows t div 8, t div 8 + 32, …, and the tree ends at width 8.
"""

import math
import types

from minae import kernels
from minae.kernels.fused import Fused, _lazy

THREADS, COLUMNS = 256, 8  # of a block; columns that a block adds up


class Device:
    """A function that kernels call: it becomes a part of each kernel that has its name."""

    def __init__(self, function):
        self.code, self.__doc__ = function.__code__, function.__doc__


class Launch:
    """A CUDA kernel, compiled when a GPU first asks for it. In its text `cuda` is numba.cuda, the name of a fused body
    is its CUDA form, and the loops step by cuda.blockDim.x, so that a test may use smaller blocks."""

    def __init__(self, function):
        self.function, self.__doc__ = function, function.__doc__

    @_lazy
    def compiled(self):
        from numba import cuda

        names = self.function.__globals__ | {"cuda": cuda, "math": math}
        for name, value in list(names.items()):
            if isinstance(value, Fused):
                names[name] = value.device
            elif isinstance(value, Device):
                names[name] = cuda.jit(device=True)(types.FunctionType(value.code, names))
        return cuda.jit(types.FunctionType(self.function.__code__, names))

    def __call__(self, blocks, arrays, *scalars):
        """Run it on so many blocks."""
        kernels.launch(self.compiled, arrays, *scalars, threads=blocks * THREADS)

    def each(self, arrays, *scalars):
        """Run it with a thread for each component of the first array."""
        self(-(-arrays[0].size // THREADS), arrays, *scalars)


def tiles(m):
    """How many blocks of 8 columns m columns have."""
    return -(-m // COLUMNS)


cuda = None  # numba.cuda, within a kernel


@Device
def tree(shared, width):
    """shared_j ← Σ_k shared_{j + k·width}, j < width. It waits before the first level and after each, so that all
    threads may read the result; who writes to `shared` again waits first."""
    thread, half = cuda.threadIdx.x, cuda.blockDim.x >> 1
    cuda.syncthreads()
    while half >= width:
        if thread < half:
            shared[thread] += shared[thread + half]
        cuda.syncthreads()
        half >>= 1


@Device
def highest(shared):
    """shared_0 ← the largest of the block, NaN if there is one: the same tree with a maximum in place of the sum."""
    thread, half = cuda.threadIdx.x, cuda.blockDim.x >> 1
    cuda.syncthreads()
    while half >= 1:
        if thread < half:
            other = shared[thread + half]
            if other > shared[thread] or other != other:
                shared[thread] = other
        cuda.syncthreads()
        half >>= 1


@Device
def running(shared):
    """shared_t ← Σ_{s≤t} shared_s, in log₂ T doublings: after each, shared_t holds the sum of twice as many. It waits
    between reading and writing, because the number that thread t writes is read by thread t + step."""
    thread, step = cuda.threadIdx.x, 1
    cuda.syncthreads()
    while step < cuda.blockDim.x:
        before = shared[thread]
        if thread >= step:
            before += shared[thread - step]
        cuda.syncthreads()
        shared[thread] = before
        cuda.syncthreads()
        step <<= 1

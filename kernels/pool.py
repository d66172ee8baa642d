r"""The pool of threads that a training step runs on: its products and its loops are tasks of one pool.

A task is a loop over 0 … size that is cut into parts, at most one for each thread. Part k belongs to thread k; the
thread that submits the task is number 0. It writes what the task is, and then the task's number:

    TASK       the number of the present task, 1, 2, 3, …, and how many parts it has, in one word
    CLAIM + k  the number of the last task whose part k was taken, moved on by compare-and-swap
    DONE       how many parts are finished; the thread that submitted the task waits until all are

A thread takes its own part first, and then any other that nobody has taken. So where a worker sleeps, or another
process occupies its core, the other threads do its part; and where none does, a thread has the same part of an array
each time, in the cache of its core. A thread that waits yields its core. How a task is cut depends on its size and on
the number of threads alone, not on which thread is fast, so neither do the bits of a result.

Workers are Python threads that run outside the interpreter's lock (the GIL), in `worker`. A worker that finds no task
for about a millisecond goes to sleep, and the next task wakes it. So does one that shares its core with the thread that
submits: Linux leaves two threads that yield to each other on one core beside an idle one, and puts a thread that is
woken on an idle one. `kernels/README.md` says why OpenBLAS's threads and Numba's threads are not used. A loop must not
raise an error, because no thread would see it.
"""

import ast
import atexit
import contextlib
import functools
import os
import threading

import numba
import numpy as np

from minae import kernels
from minae.kernels import atomics

# Places in a pool's state, each in a cache line of its own. TASK, DONE, BUSY, ASLEEP, QUIT, CORE and the claims are
# read and written by atomic instructions alone; WAKEUPS belongs to the thread that holds MUTEX; the others are written
# before TASK is.
TASK, DONE, CODE, DATA, SIZE, ALIGN, BUSY, ASLEEP, WAKEUPS, QUIT, CORE, MUTEX, CONDITION, CLAIM = range(0, 112, 8)
BITS = np.int64(16)  # of TASK, for the parts
MOST = 256  # parts of a task
PATIENCE = 20_000  # pauses of some 40 to 140 cycles before a worker goes to sleep
YIELD = 64  # pauses before a thread that waits yields its core
# The type of a state. To ask for it here imports numpy.ma, which Numba would otherwise import at the first call of a
# loop; a fork beside that moment would leave the lock of the import taken in the child.
STATE = numba.typeof(np.zeros(CLAIM, np.int64))


@numba.njit(inline="always")
def boundary(part, parts, size, align):
    """Where a part begins: at a multiple of `align`, so that only the last part has a remainder to a vector."""
    return size if part == parts else min(size, (size * part // parts + align // 2) // align * align)


@kernels.jit(nogil=True)
def take(state, number, part, parts):
    """Run this part of task `number`, which has so many, if nobody has taken it. Returns whether it was run."""
    claim = CLAIM + 8 * part
    former = atomics.load(state, claim)
    # A task ends when all its parts are done. So where the task has ended meanwhile, the claim has its number or a
    # later one, and the swap fails; where the swap succeeds, what is read below is of this task.
    if former >= number or not atomics.compare_and_swap(state, claim, former, number):
        return False
    size, align = state[SIZE], state[ALIGN]
    first, last = boundary(part, parts, size, align), boundary(part + 1, parts, size, align)
    atomics.call(state[CODE], state[DATA], first, last)
    atomics.add(state, DONE, 1)
    return True


@kernels.jit(nogil=True)
def run_parts(state, task, own):
    """Take part `own` of this task, and then those that nobody has taken. Returns whether there was one."""
    number, parts, ran = task >> BITS, task & ((1 << BITS) - 1), False
    for k in range(parts):
        ran |= take(state, number, (own + k) % parts, parts)
    return ran


@kernels.jit(nogil=True)
def spin(count):
    """Wait a little, and now and then let another thread have the core. Returns count + 1."""
    atomics.pause()
    if count % YIELD == YIELD - 1:
        atomics.yield_core()
    return count + 1


@kernels.jit(nogil=True)
def crowded(state):
    """Whether this worker has its core from the thread that submits tasks."""
    return atomics.KNOWS_CORE and atomics.core() == atomics.load(state, CORE)


@kernels.jit(nogil=True)
def worker(state, own):
    """What worker number `own` does from its start to its end. It sleeps with the GIL released, so that waking does not
    wait for it."""
    seen = 0
    while not atomics.load(state, QUIT):
        idle = 0
        while idle < PATIENCE and not (idle and idle % YIELD == 0 and crowded(state)):
            task = atomics.load(state, TASK)
            idle = 0 if task != seen and run_parts(state, task, own) else spin(idle)
            seen = task
        atomics.lock(state[MUTEX:].ctypes)
        atomics.add(state, ASLEEP, 1)
        while not state[WAKEUPS] and not atomics.load(state, QUIT):
            atomics.wait_for(state[CONDITION:].ctypes, state[MUTEX:].ctypes)
        state[WAKEUPS] -= 1
        atomics.unlock(state[MUTEX:].ctypes)


@kernels.jit(nogil=True)
def wake(state, most):
    """Wake as many workers as sleep, `most` of them at most."""
    if atomics.load(state, ASLEEP):
        atomics.lock(state[MUTEX:].ctypes)
        for _ in range(min(most, atomics.load(state, ASLEEP))):
            atomics.add(state, ASLEEP, -1)
            state[WAKEUPS] += 1
            atomics.signal(state[CONDITION:].ctypes)
        atomics.unlock(state[MUTEX:].ctypes)


@kernels.jit(nogil=True)
def run(state, code, data, size, align, parts):
    """Run a task on the pool, and return when it is done."""
    # alone: there are too many parts, or another thread of this process has the pool
    alone = parts > MOST or not atomics.compare_and_swap(state, BUSY, 0, 1)
    if alone:
        for part in range(parts):
            atomics.call(code, data, boundary(part, parts, size, align), boundary(part + 1, parts, size, align))
        return
    state[CODE], state[DATA] = code, data
    state[SIZE], state[ALIGN] = size, align
    atomics.store(state, CORE, atomics.core())
    atomics.store(state, DONE, 0)
    task = (((atomics.load(state, TASK) >> BITS) + 1) << BITS) | parts
    atomics.store(state, TASK, task)
    wake(state, parts - 1)
    run_parts(state, task, 0)
    waited = 0
    while atomics.load(state, DONE) < parts:
        waited = spin(waited)
    atomics.store(state, BUSY, 0)


@kernels.jit(nogil=True)
def initialise(state):
    """Initialise the mutex and the condition variable."""
    atomics.init_mutex(state[MUTEX:].ctypes, 0)
    atomics.init_condition(state[CONDITION:].ctypes, 0)


@kernels.jit(nogil=True)
def shutdown(state, workers):
    """Let all workers return."""
    atomics.lock(state[MUTEX:].ctypes)
    atomics.store(state, QUIT, 1)
    for _ in range(workers):
        state[WAKEUPS] += 1
        atomics.signal(state[CONDITION:].ctypes)
    atomics.unlock(state[MUTEX:].ctypes)


class Pool:
    """The threads of this process. `width` is how many threads a task may have, as many as NumPy's BLAS may use."""

    def __init__(self):
        self.state, self.width, self.workers = np.zeros(CLAIM + 8 * MOST, np.int64), 1, []

    def resize(self, width):
        """Workers start when a product first asks for them, and stay. A worker that cannot start is not missed."""
        self.width = width
        if width > 1 and not self.workers:
            initialise(self.state)
            worker.compile((STATE, numba.int64))  # once, and not by each worker
            atexit.register(self.shutdown)
        with contextlib.suppress(RuntimeError):
            while len(self.workers) < min(width, MOST) - 1:
                own = len(self.workers) + 1
                thread = threading.Thread(target=worker, args=[self.state, own], name="minae", daemon=True)
                thread.start()
                self.workers.append(thread)

    def shutdown(self):
        shutdown(self.state, len(self.workers))
        for thread in self.workers:
            thread.join()


pool = Pool()


def _after_fork():
    """A forked process has none of its parent's workers, so it begins with a new pool."""
    global pool
    atexit.unregister(pool.shutdown)
    pool = Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


SOURCE = """
def {name}_parallel(state, size, align, parts, *arguments):
    if parts < 2:
        {name}(unsigned(0), unsigned(size), *arguments)
    else:
        code, data = address({name}, arguments)
        run(state, code, data, size, align, parts)
"""


BEHIND = 1 << 16  # lines, more than a file has


def written(source, file):
    """The code of a text or of its tree, as if it stood behind the end of this file, beside which Numba keeps what it
    compiles. Numba asks for the lines of a function; in the file it would find another text there, and from Python 3.13
    on an error where that is no whole statement."""
    tree = ast.parse(source) if isinstance(source, str) else source
    return compile(ast.increment_lineno(tree, BEHIND), file, "exec")


def parallel(grain=1 << 14, align=1, axis=0, pieces=None, **options):
    """Compile loop(start, stop, *arguments), and return a function of `arguments` that runs it as a task of the pool.

    The loop goes along `axis` of the first argument, or from 0 to `pieces`; a part has `grain` of its numbers or more.
    """

    def decorate(loop):
        # The text is written out for each loop, because Numba keeps no function on disk that has a loop as a variable.
        names = dict(address=atomics.address, run=run, unsigned=np.uint64, __name__=loop.__module__)
        names[loop.__name__] = kernels.jit(nogil=True, **options)(loop)
        exec(written(SOURCE.format(name=loop.__name__), loop.__code__.co_filename), names)
        compiled = kernels.jit(nogil=True)(names[loop.__name__ + "_parallel"])

        @functools.wraps(loop)
        def submit(*arguments):
            first = arguments[0]
            size = int(pieces or first.shape[axis])
            compiled(pool.state, size, align, min(pool.width, first.size // grain), *arguments)

        return submit

    return decorate

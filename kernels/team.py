r"""The threads of a training step: its products and its loops are jobs of one team.

A job is a loop over 0 … size that is cut into parts. A thread takes the next part that nobody has, until none is left:

    NEXT  = (number of the job, parts, next part), one word, moved on by compare-and-swap
    DONE  = parts that are finished; the thread that gave the job waits until all are

The thread that gives the job takes part in it and waits for nobody to begin. Where a helper sleeps, or another process
has its core, the parts are done without it; and a thread that waits gives its core away. How a job is cut depends on
its size and on the number of threads, and not on who does what, so neither do the bits of a result.

Helpers are Python threads that live outside the interpreter's lock, in `serve`. One that finds no job for a millisecond
or less goes to sleep, and the next job wakes it. `kernels/README.md` says why not OpenBLAS's threads or Numba's.

A loop runs where nobody looks for an error, and must not raise one.
"""

import atexit
import contextlib
import functools
import os
import threading

import numba
import numpy as np

from minae import kernels
from minae.kernels.instructions import (
    add,
    address,
    call,
    give_way,
    init_bell,
    init_mutex,
    listen,
    load,
    lock,
    pause,
    ring,
    store,
    swap,
    unlock,
)

# Places in a team's state, each in a cache line of its own. NEXT, DONE, LOCK, ASLEEP and QUIT are read and written by
# atomic instructions alone; CALLS belongs to who has MUTEX; the others are written before NEXT shows a job.
NEXT, DONE, JOB, DATA, SIZE, ALIGN, LOCK, ASLEEP, CALLS, QUIT, MUTEX, BELL, END = range(0, 104, 8)
BITS, MASK = np.int64(16), np.int64((1 << 16) - 1)
PATIENCE = 20_000  # pauses of some 40 to 140 cycles before a helper goes to sleep
GIVE_WAY = 64  # pauses before a thread that waits gives its core to others


@numba.njit(inline="always")
def edge(part, parts, size, align):
    """Where a part begins: at a multiple of `align`, so that only the last part has a remainder to a vector."""
    return size if part == parts else min(size, (size * part // parts + align // 2) // align * align)


@kernels.cached(nogil=True)
def take(state):
    """One part of the present job, if there is one that nobody has. Returns whether there was."""
    word = load(state, NEXT)
    part, parts = word & MASK, (word >> BITS) & MASK
    if part >= parts:
        return False
    job, data, size, align = state[JOB], state[DATA], state[SIZE], state[ALIGN]
    # Unless the swap succeeds, this job may be over, and what was read be of another: its number, in NEXT's upper half,
    # comes again after 2³² jobs only
    if swap(state, NEXT, word, word + 1):
        call(job, data, edge(part, parts, size, align), edge(part + 1, parts, size, align))
        add(state, DONE, 1)
    return True


@kernels.cached(nogil=True)
def wait(count):
    """Wait a little, and now and then give the core to whoever wants it. Returns count + 1."""
    pause()
    if count % GIVE_WAY == GIVE_WAY - 1:
        give_way()
    return count + 1


@kernels.cached(nogil=True)
def serve(state):
    """A helper's life. It sleeps without Python's lock, and so it needs no turn at that to wake up."""
    while not load(state, QUIT):
        idle = 0
        while idle < PATIENCE:
            idle = 0 if take(state) else wait(idle)
        lock(state[MUTEX:].ctypes)
        add(state, ASLEEP, 1)
        while not state[CALLS] and not load(state, QUIT):
            listen(state[BELL:].ctypes, state[MUTEX:].ctypes)
        state[CALLS] -= 1
        unlock(state[MUTEX:].ctypes)


@kernels.cached(nogil=True)
def wake(state, most):
    """Wake helpers that sleep."""
    if load(state, ASLEEP):
        lock(state[MUTEX:].ctypes)
        for _ in range(min(most, load(state, ASLEEP))):
            add(state, ASLEEP, -1)
            state[CALLS] += 1
            ring(state[BELL:].ctypes)
        unlock(state[MUTEX:].ctypes)


@kernels.cached(nogil=True)
def share(state, job, data, size, align, parts):
    """Give a job to the state, and wait until it is done."""
    if not swap(state, LOCK, 0, 1):  # a job of another thread of this process: this one is done alone
        for part in range(parts):
            call(job, data, edge(part, parts, size, align), edge(part + 1, parts, size, align))
        return
    state[JOB], state[DATA], state[SIZE], state[ALIGN] = job, data, size, align
    store(state, DONE, 0)
    number = (load(state, NEXT) >> (2 * BITS)) + 1
    store(state, NEXT, (number << (2 * BITS)) | (parts << BITS))
    wake(state, parts - 1)
    while take(state):
        pass
    waited = 0
    while load(state, DONE) < parts:
        waited = wait(waited)
    store(state, LOCK, 0)


@kernels.cached(nogil=True)
def end(state, helpers):
    """Let all helpers return."""
    lock(state[MUTEX:].ctypes)
    store(state, QUIT, 1)
    for _ in range(helpers):
        state[CALLS] += 1
        ring(state[BELL:].ctypes)
    unlock(state[MUTEX:].ctypes)


@kernels.cached(nogil=True)
def found(state):
    init_mutex(state[MUTEX:].ctypes, 0)
    init_bell(state[BELL:].ctypes, 0)


class Team:
    """The threads of this process. `width`: how many there are to be, as many as BLAS may use."""

    def __init__(self):
        self.state, self.width, self.helpers = np.zeros(END, np.int64), 1, []

    def widen(self, width):
        """Helpers are started when a product first asks for them, and stay. One that cannot start is not missed."""
        self.width = width
        if width > 1 and not self.helpers:
            found(self.state)
            serve.compile((numba.typeof(self.state),))  # by this thread, as a fork must not find Numba's lock taken
            atexit.register(self.dismiss)
        with contextlib.suppress(RuntimeError):
            while len(self.helpers) < width - 1:
                helper = threading.Thread(target=serve, args=[self.state], name="minae", daemon=True)
                helper.start()
                self.helpers.append(helper)

    def dismiss(self):
        end(self.state, len(self.helpers))
        for helper in self.helpers:
            helper.join()


team = Team()


def _alone():
    """A fork has no helpers."""
    global team
    atexit.unregister(team.dismiss)
    team = Team()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_alone)


SOURCE = """
def {name}_shared(team, size, align, parts, *arguments):
    if parts < 2:
        {name}(unsigned(0), unsigned(size), *arguments)
    else:
        job, data = address({name}, arguments)
        share(team, job, data, size, align, parts)
"""


def shared(grain=1 << 14, align=1, axis=0, pieces=None, **options):
    """Compile loop(start, stop, *arguments) and return the function of `arguments` whose job is cut between threads.

    The job goes along `axis` of the first argument, or from 0 to `pieces`; a part has some `grain` of its numbers.
    """

    def compiled(loop):
        # written out for each loop, because Numba keeps no function on disk that has a loop among its own variables
        names = dict(address=address, share=share, unsigned=np.uint64, __name__=loop.__module__)
        names[loop.__name__] = kernels.cached(nogil=True, **options)(loop)
        exec(compile(SOURCE.format(name=loop.__name__), loop.__code__.co_filename, "exec"), names)
        run = kernels.cached(nogil=True)(names[loop.__name__ + "_shared"])

        @functools.wraps(loop)
        def divided(*arguments):
            first = arguments[0]
            size = int(pieces or first.shape[axis])
            run(team.state, size, align, min(team.width, first.size // grain), *arguments)

        return divided

    return compiled

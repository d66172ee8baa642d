"""What a person at the terminal sees of a training run, and how they stop it."""

import contextlib
import os
import signal
import sys
import threading
import time

from minae import kernels


class _Open(threading.local):
    bars = 0  # of this thread, seen or not


OPEN = _Open()


class Bar:
    """A progress bar of examples that appears after half a second, with every cost term; quiet where nobody watches."""

    def __init__(self, progress, total, done, epochs=None, delay=0.5):
        self.progress, self.delay = progress, delay  # whether it is wanted, and seconds until it is seen
        self.total, self.done = total, done
        self.next = time.monotonic() + 0.1
        self.of = f"/{epochs}" if epochs else ""

    def __enter__(self):
        self.bar, watched = None, self.progress
        if watched is None:
            watched = (sys.stderr is not None and sys.stderr.isatty()) or "ipykernel" in sys.modules
        if watched:  # else there is nothing to draw, and no lock of tqdm's that a fork could find taken
            with kernels.LOADING:
                from tqdm.auto import tqdm

            shown = dict(total=self.total, initial=self.done, unit=" examples", unit_scale=True)
            self.bar = tqdm(**shown, disable=False, delay=self.delay, leave=False)
        OPEN.bars += 1  # now that nothing can fail any more
        return self

    def __exit__(self, *_):
        OPEN.bars -= 1
        if self.bar is not None:
            self.bar.close()

    def advance(self, count):
        """True about five times a second where a person watches: time to look at the cost, for which a GPU has to be
        waited for."""
        if self.bar is None:
            return False
        self.bar.update(count)
        now = time.monotonic()
        if now < self.next:
            return False
        self.next = now + 0.2
        return True

    def show(self, run):
        if self.bar is None:
            return
        terms = " ".join(f"{name} {value:.4g}" for name, value in run.terms(joint=False).items())
        self.bar.set_description_str(f"epoch {run.epoch + 1}{self.of} {terms}", refresh=False)


def batched(rows, size):
    """(first row, row behind the last) of batches of this size, with a bar where they take more than two seconds. A
    training has a bar of its own, or was asked for none."""
    quiet = OPEN.bars or rows <= size  # one batch: nothing to tell of
    with Bar(False if quiet else None, rows, 0, delay=2) as bar:
        for start in range(0, rows, size):
            stop = min(start + size, rows)
            yield start, stop
            bar.advance(stop - start)


def _after_fork():
    """A child has no thread but one, and a lock of tqdm's that another thread held would stay taken."""
    for name in ("tqdm", "tqdm.auto"):  # each class has a lock of its own
        if name in sys.modules:
            sys.modules[name].tqdm.set_lock(threading.RLock())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class CtrlC:
    """Ctrl-C asks the loop to stop after the step it is in, so that nothing is half updated; a second stops at once."""

    def __init__(self, quiet=False):
        self.quiet = quiet

    def __enter__(self):
        self.asked, self.former = False, None
        with contextlib.suppress(ValueError):  # only the main thread may take signals
            self.former = signal.signal(signal.SIGINT, self._ask)
        return self

    def _ask(self, *_):
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        if not self.quiet:
            print("stopping after this step …", file=sys.stderr)

    def __exit__(self, *_):
        if self.former is not None:
            signal.signal(signal.SIGINT, self.former)

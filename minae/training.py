"""The minibatch loop: History, progress, early stopping, checkpoints and a resume that continues bit for bit.

Randomness is a function of (seed, epoch) for the order of the rows and of (seed, epoch, step) for a variant's noise, so
a checkpoint holds parameters, optimizer state, epoch and position, and no generator.
"""

import dataclasses
import math
import time
from pathlib import Path

import numpy as np

from minae import files
from minae.backend import Backend
from minae.data.rows import Rows
from minae.errors import Diverged, InputError
from minae.optimizers import LBFGS, OPTIMIZERS, Optimizer
from minae.progress import Bar, CtrlC


class History(list):
    """One dict an epoch: epoch, step, J and every cost term (mean over the epoch's examples), seconds, examples/s, and
    under "validation" the same terms at the validation set. `history["L"]` is the list of one term over the epochs."""

    def __getitem__(self, key):
        if isinstance(key, str):
            name = key.removeprefix("validation.")
            return [record["validation"][name] if name != key else record[name] for record in self]
        return super().__getitem__(key)


def fit(
    model,
    X,
    y=None,
    *,
    epochs=10,
    batch_size=None,
    optimizer="adam",
    validation=None,
    patience=None,
    callbacks=(),
    seed=0,
    checkpoint=None,
    every=1,
    resume=False,
    progress=None,
):
    """Train `model` on the rows of X by minibatches, in an order shuffled anew each epoch. Returns a History.

    y:          targets, one a row of X, for a model that has them: labels for a Classifier
    batch_size: rows a step; by default 128, or all rows where there are fewer
    optimizer:  an optimizer, or its name: sgd, momentum, nesterov, adam, adamw or lbfgs (all rows at once, by SciPy)
    validation: an array like X whose cost is taken after each epoch; a pair (X, y) where there are targets
    patience:   stop after so many epochs without a lower validation cost J, and restore the best parameters
    callbacks:  called after each epoch as callback(model, history); one that returns True ends the training
    seed:       of the order of the rows and of the variant's noise
    checkpoint: a file written every `every` epochs, on Ctrl-C and at the end; resume=True continues from it
    progress:   True, False, or None for a bar only where a person watches

    The same seed gives the same parameters, bit for bit, on one machine, backend and number of threads; also through a
    kill and a resume.

    Raises InputError for data or options out of range, Diverged when a cost term becomes NaN or infinite.
    """
    rows = Rows(model, X, "X", y=y)
    held_out = None
    if validation is not None:
        held_out, y_held_out = validation if isinstance(validation, tuple) else (validation, None)
        held_out = Rows(model, held_out, "validation", y=y_held_out)
    if isinstance(optimizer, str):
        if optimizer not in OPTIMIZERS:
            raise InputError(f"unknown optimizer {optimizer!r}: choose one of {', '.join(OPTIMIZERS)}")
        optimizer = OPTIMIZERS[optimizer]()
    n = len(rows)
    whole = n if isinstance(optimizer, LBFGS) else min(128, n)
    batch_size = whole if batch_size is None else batch_size
    if n < 2:
        raise InputError("X has one row: training needs at least two")
    if not 1 <= batch_size <= n:
        raise InputError(f"batch_size is {batch_size} and X has {n} rows: expected 1 to {n}")
    if seed < 0:
        raise InputError(f"seed is {seed}: expected an integer ≥ 0")
    if epochs < 0 or every < 1:
        raise InputError(f"epochs is {epochs} and every is {every}: expected epochs ≥ 0 and every ≥ 1")
    if patience is not None and (held_out is None or patience < 1):
        raise InputError(f"patience is {patience}: expected a number ≥ 1 together with validation data")
    if isinstance(optimizer, LBFGS):
        noisy = model.draw(rows.take(np.arange(2)), 0)
        from minae.autoencoders.base import Autoencoder

        if type(model).constrain is not Autoencoder.constrain:
            raise InputError(f"lbfgs cannot confine parameters, as a {model.variant} model needs it: use adam")
        if checkpoint is not None or resume or patience is not None or batch_size != n or noisy:
            raise InputError("lbfgs takes all rows at once, and no checkpoint, resume, patience or noise: use adam")
        return _fit_lbfgs(model, rows, optimizer, epochs, held_out, callbacks, progress)
    if not isinstance(optimizer, Optimizer):
        raise InputError(f"optimizer is {optimizer!r}: give one of minae.optimizers, or its name")
    optimizer = dataclasses.replace(optimizer)  # its settings; the steps and moments of another run stay there

    run = _Run(model, optimizer, rows, held_out, batch_size, seed, checkpoint)
    if resume:
        run.restore()
    elif checkpoint is not None and Path(checkpoint).exists():
        raise InputError(
            f"{checkpoint} exists: go on from it with resume=True (--resume), delete it, or give another path"
        )
    elif checkpoint is not None:
        run.save()

    bar = Bar(progress, total=epochs * n, done=run.epoch * n + run.position * batch_size)
    with bar, CtrlC() as ctrl_c, np.errstate(all="ignore"):  # a cost that overflows is found by _Run.terms
        while run.epoch < epochs and not run.stopped:
            started, first = time.perf_counter(), run.position
            order = Backend().generator(seed, run.epoch).permutation(n)
            for k in range(first, run.steps):
                with model.arena:
                    x, given = rows.step(order[k * batch_size : (k + 1) * batch_size])
                    cost = model.cost_and_grad(x, **given, **model.draw(x, seed, run.epoch, k))
                    run.record(k, cost, len(x))
                    optimizer.step(model.parameters)
                    model.constrain()
                run.position = k + 1
                if bar.advance(len(x)) or ctrl_c.asked:
                    bar.show(run, epochs)
                if ctrl_c.asked:
                    raise run.interrupted()
            run.end_epoch(started, first, order[-((n - 1) % batch_size + 1) :], patience)
            if any([callback(model, run.history) for callback in callbacks]):
                run.stopped = True
            if checkpoint is not None and (run.epoch % every == 0 or run.epoch >= epochs or run.stopped):
                run.save()
    if patience is not None and run.best is not None:
        model.parameters.flat[...] = run.best
    return run.history


class _Run:
    """Where a training run stands; all of it goes into a checkpoint."""

    def __init__(self, model, optimizer, rows, held_out, batch_size, seed, path):
        self.model, self.optimizer, self.path = model, optimizer, path
        self.rows, self.held_out = rows, held_out
        self.batch_size, self.seed = batch_size, seed
        self.steps = math.ceil(len(rows) / batch_size)
        self.epoch, self.position, self.stopped = 0, 0, False  # position: steps done of this epoch
        self.history, self.best, self.best_J, self.stale = History(), None, math.inf, 0
        self.names, self.trace = list(model.weights), None

    def record(self, k, cost, count):
        """Note a step's terms on the device, without waiting for them."""
        if self.trace is None:
            self.trace = self.model.backend.xp.zeros((self.steps, len(self.names) + 1))
        for i, name in enumerate(self.names):
            self.trace[k, i] = cost[name]
        self.trace[k, -1] = count

    def terms(self):
        """Mean of each term over the examples of this epoch so far, and J. Raises Diverged at a NaN or infinity."""
        trace = self.model.backend.to_numpy(self.trace)[: self.position]
        bad = ~np.isfinite(trace)
        if bad.any():
            k, i = np.argwhere(bad)[0]
            raise self.diverged(self.names[i], trace[k, i], k)
        means = trace[:, -1] @ trace[:, :-1] / trace[:, -1].sum()
        terms = dict(zip(self.names, means.tolist(), strict=True))
        return {"J": sum(self.model.weights[name] * term for name, term in terms.items()), **terms}

    def diverged(self, name, value, k):
        kept = f"; the last good checkpoint is {self.path}, delete it to start anew" if self.path else ""
        return Diverged(
            f"the cost term {name} became {value} at epoch {self.epoch + 1}, step {k + 1} of {self.steps}{kept}: "
            "try a smaller learning rate"
        )

    def check_last_step(self, index):
        """The cost after the last update of an epoch, on the rows of that step: only a good state is kept."""
        with self.model.arena:
            x, given = self.rows.step(index)
            noise = self.model.draw(x, self.seed, self.epoch, self.steps - 1)
            cost = self.model.cost_and_grad(x, need_grad=False, **given, **noise)
        for name, term in cost.items():
            if not math.isfinite(term):
                raise self.diverged(name, float(term), self.steps - 1)

    def end_epoch(self, started, first, last, patience):
        terms = self.terms()  # waits for the device
        seconds = time.perf_counter() - started
        self.check_last_step(last)
        examples = max(0, len(self.rows) - first * self.batch_size)
        record = {"epoch": self.epoch + 1, "step": self.optimizer.t, **terms}
        if self.held_out is not None:
            at = self.model.evaluate(self.held_out)
            J = sum(self.model.weights[name] * term for name, term in at.items())
            record["validation"] = {"J": J, **at}
            if patience is not None and J < self.best_J:
                self.best_J, self.stale, self.best = J, 0, self.model.parameters.flat.copy()
            elif patience is not None:
                self.stale += 1
                self.stopped = self.stale >= patience
        record |= {"seconds": seconds, "examples_per_second": examples / seconds}
        self.history.append(record)
        self.epoch, self.position = self.epoch + 1, 0

    def settings(self):
        """What must be the same for a resume to continue the same run."""
        return {
            "seed": self.seed,
            "batch_size": self.batch_size,
            "optimizer": repr(self.optimizer),
            "data": self.rows.fingerprint(),
            "validation": self.held_out and self.held_out.fingerprint(),
        }

    def save(self):
        to_numpy, parameters = self.model.backend.to_numpy, self.model.parameters
        tensors = {name: to_numpy(parameters[name]) for name in parameters}
        tensors |= {f"optimizer.{name}": to_numpy(self.optimizer.state[name]) for name in self._slots()}
        if self.best is not None:
            tensors["best"] = to_numpy(self.best)
        if self.position:
            tensors["trace"] = to_numpy(self.trace)
        at = dict(epoch=self.epoch, position=self.position, t=self.optimizer.t, stopped=self.stopped)
        at |= dict(best_J=self.best_J if self.best is not None else None, stale=self.stale, history=self.history)
        files.write(self.path, tensors, {**self.model.about(), "settings": self.settings(), "run": at})

    def _slots(self):
        return self.optimizer.slots if self.optimizer.state else ()

    def restore(self):
        if self.path is None:
            raise InputError("resume=True needs the checkpoint to go on from: give checkpoint=PATH")
        if not Path(self.path).exists():
            raise InputError(f"no checkpoint {self.path} to go on from: leave out resume (--resume) to start anew")
        tensors, about = files.read(self.path)
        if "run" not in about:
            raise InputError(f"{self.path} is a model, not a checkpoint of a training run: it cannot be resumed")
        now = {**self.model.about(), **self.settings()}
        for name, was in {**{k: about[k] for k in self.model.about()}, **about["settings"]}.items():
            if now[name] != was:
                raise InputError(
                    f"{self.path} was trained with {name} = {was} and this run has {now[name]}: resume with the same, "
                    "or start anew under another path"
                )
        from_numpy, at = self.model.backend.from_numpy, about["run"]
        for name in self.model.parameters:
            self.model.parameters[name][...] = from_numpy(tensors[name])
        state = {name: from_numpy(tensors[f"optimizer.{name}"]) for name in self.optimizer.slots if at["t"]}
        self.optimizer.t = at["t"]
        self.optimizer.state = state
        self.epoch, self.position, self.stopped = at["epoch"], at["position"], at["stopped"]
        self.history, self.stale = History(at["history"]), at["stale"]
        if "best" in tensors:
            self.best, self.best_J = from_numpy(tensors["best"]), at["best_J"]
        if "trace" in tensors:
            self.trace = from_numpy(tensors["trace"])

    def interrupted(self):
        where = f"interrupted in epoch {self.epoch + 1} after {self.position} of {self.steps} steps"
        if self.path is None:
            return KeyboardInterrupt(f"{where}; the model keeps what it learned (no checkpoint was asked for)")
        self.terms()
        if not bool(self.model.backend.xp.isfinite(self.model.parameters.flat).all()):
            raise self.diverged("J", math.nan, self.position - 1)
        self.save()
        return KeyboardInterrupt(f"{where}; saved to {self.path}: run the same again with resume=True (--resume)")


def _fit_lbfgs(model, rows, optimizer, epochs, held_out, callbacks, progress):
    (x, given), flat, history = rows.step(np.arange(len(rows))), model.parameters.flat, History()
    last, to_numpy, from_numpy = {}, model.backend.to_numpy, model.backend.from_numpy

    def cost_and_grad(theta):
        flat[...] = from_numpy(theta.astype(model.dtype))
        with model.arena:
            cost = model.cost_and_grad(x, **given)
            gradient = to_numpy(model.parameters.grad).astype(np.float64)
        last.update({"J": float(cost), **{name: float(term) for name, term in cost.items()}})
        if not math.isfinite(last["J"]):
            raise Diverged(f"the cost became {last['J']} at iteration {len(history) + 1} of lbfgs: scale the data")
        return last["J"], gradient

    def each(theta):
        record = {"epoch": len(history) + 1, "step": len(history) + 1, **last}
        if held_out is not None:
            flat[...] = from_numpy(theta.astype(model.dtype))
            at = model.evaluate(held_out)
            record["validation"] = {"J": sum(model.weights[name] * term for name, term in at.items()), **at}
        now = time.perf_counter()
        seconds, clock[0] = now - clock[0], now
        history.append(record | {"seconds": seconds, "examples_per_second": len(rows) / seconds})
        bar.advance(len(rows))
        if any([callback(model, history) for callback in callbacks]):
            raise StopIteration

    clock = [time.perf_counter()]
    if epochs:
        with Bar(progress, total=epochs * len(rows), done=0) as bar, np.errstate(all="ignore"):
            theta = optimizer.minimize(cost_and_grad, to_numpy(flat).astype(np.float64), epochs, each)
        flat[...] = from_numpy(theta.astype(model.dtype))
    return history

"""The minibatch loop: order, steps, History, early stopping, and a resume that continues bit for bit.

Randomness is a function of (seed, epoch) for the order of the rows and of (seed, epoch, step) for a model's constants,
so a checkpoint holds parameters, state, the optimizers' vectors, epoch and position, and no generator.
"""

import contextlib
import dataclasses
import functools
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minae import files, interop, notebook_html, options
from minae.errors import Diverged, InputError, meant, warn
from minae.training.checkpoint import Checkpoint
from minae.training.optimizers import LBFGS, OPTIMIZERS, Optimizer
from minae.training.progress import Bar, CtrlC
from minae.world import World


class History(list):
    """One dict an epoch: epoch, step, J and every cost term (mean over the epoch's examples), seconds, examples/s, and
    under "validation" the same terms at the validation set. `history["L"]` is the list of one term over the epochs.

    It prints as a table of some epochs, and notebooks show each term with its curve."""

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            name = key.removeprefix("validation.")
            return [record["validation"][name] if name != key else record[name] for record in self]
        return super().__getitem__(key)

    def __repr__(self):
        return notebook_html.text_of_history(self)

    def _repr_html_(self):
        return notebook_html.of_history(self)


def _alone(train):
    """Decorate a training: one at a time has the model, and one at a time has the checkpoint."""

    @functools.wraps(train)
    def alone(model, *arguments, checkpoint=None, **settings):
        if not model.training.acquire(blocking=False):
            raise InputError("this model is in training already: wait until that `fit` ends, or train a model.copy()")
        with contextlib.ExitStack() as at_end:
            at_end.callback(model.training.release)
            world = settings["world"] = _world(settings.get("world"))
            at_end.enter_context(world.ending())
            with world.together():
                if checkpoint is not None and world.rank == 0:
                    at_end.enter_context(files.claimed(checkpoint, "a training writes"))
            return train(model, *arguments, checkpoint=checkpoint, **settings)

    return alone


@options.door(
    epochs=options.Count(lowest=0),
    batch_size=options.Count(optional=True),
    patience=options.Count(optional=True),
    callbacks=options.Functions(),
    gradient_hook=options.Function(optional=True),
    average=options.Rate(optional=True),
    seed=options.Count(lowest=0),
    checkpoint=options.File(optional=True),
    every=options.Count(),
    resume=options.Flag(),
    progress=options.Flag(optional=True),
)
@_alone
def fit(
    model: Any,
    X: Any,
    y: Any = None,
    *,
    epochs: int = 10,
    batch_size: int | None = None,
    optimizer: str | Optimizer | LBFGS | dict[str, Any] = "adam",
    validation: Any = None,
    patience: int | None = None,
    callbacks: Sequence[Callable[..., Any]] = (),
    gradient_hook: Callable[[Any], None] | None = None,
    average: float | None = None,
    seed: int = 0,
    checkpoint: Any = None,
    every: int = 1,
    resume: bool = False,
    progress: bool | None = None,
    world: Any = None,
    **inputs: Any,
) -> History:
    """Train `model` on the rows of X by minibatches, in an order shuffled anew each epoch. Returns a History.

    y, inputs:  the model's other fields by name, such as labels for a Classifier, a row for each of X
    batch_size: rows a step; by default 128, or all rows where there are fewer
    optimizer:  an optimizer, or its name: sgd, momentum, nesterov, adam, adamw or lbfgs (all rows at once, by SciPy);
                for a model of several players one for all, or a dict of one for each turn
    validation: an array like X whose cost is taken after each epoch; (X, y) where there is y, or a dict of all fields;
                or a share of the rows in (0, 1), such as 0.1, which are drawn by `seed` and held out
    patience:   stop after so many epochs without a lower validation cost J, and restore the best parameters
    callbacks:  called after each epoch as callback(model, history); one that returns True ends the training. It may
                change weights of the model, and settings of an optimizer that was given as an object, such as its lr.
                `minae.training` has an example each for TensorBoard, MLflow and Optuna
    gradient_hook: called between cost and step with ∂J/∂θ, the flat vector, which it may change in place
    average:    γ of a moving average of θ, θ̄ ← γ θ̄ + (1 − γ) θ after each step, with less weight on the first steps;
                the validation cost is that of θ̄, and so is the model in the end
    seed:       of the order of the rows and of the model's constants
    checkpoint: a file written every `every` epochs, on Ctrl-C and at the end; resume=True continues from it, with more
                epochs or another patience if you like
    progress:   True, False, or None for a bar only where a person watches
    world:      an MPI communicator, such as mpi4py.MPI.COMM_WORLD. Every rank calls `fit` with the same arguments, has
                a part of the rows of each batch, and ends with the same θ, that of one process but for rounding
                (`minae.world`). Rank 0 alone writes, shows progress, and computes the validation cost. Callbacks and
                gradient_hook are called on every rank; one that writes looks first whether its rank is 0

    The same seed gives the same parameters, bit for bit, on one machine, backend and number of threads; also through a
    kill and a resume.

    Raises InputError for data or settings out of range, and where another thread trains this model or another process
    writes this checkpoint. Raises Diverged when a cost term becomes NaN or infinite; the model then has the best
    parameters, or without `patience` those of the last epoch that ended well.
    """
    with world.together():
        batches = model.batches(X, y, inputs)
        if isinstance(validation, float | np.floating):
            batches, held_out = batches.split(SHARE.checked(validation), model.backend, seed)
        else:
            held_out = None if validation is None else _validation(model, validation)
        optimizers, n = _optimizers(model, optimizer), len(batches)
        all_rows = any(isinstance(each, LBFGS) for each in optimizers.values())
        batch_size = (n if all_rows else min(128, n)) if batch_size is None else batch_size
        if n < 2:
            raise InputError("X has one row: training needs at least two")
        if not 1 <= batch_size <= n:
            raise InputError(f"batch_size is {batch_size} and X has {n} rows: expected 1 to {n}")
        if patience is not None and held_out is None:
            raise InputError(
                f"patience is {patience}: expected it together with validation data, such as validation=0.1"
            )
        if all_rows and world.size > 1:
            raise InputError("lbfgs takes all rows in one process: use adam on several ranks")
    world.begin(model)
    run = _Run(model, optimizers, batches, held_out, batch_size, seed, checkpoint, gradient_hook, average, world)
    world.agree(lambda: run.settings() | dict(epochs=epochs, patience=patience, every=every, resume=resume))
    if all_rows:
        if model.constrained or model.turns or model.state:
            raise InputError(f"lbfgs moves all parameters freely, and no state: use adam for the model {model.name}")
        if checkpoint is not None or resume or patience is not None or batch_size != n or run.draws():
            raise InputError("lbfgs takes all rows at once, and no checkpoint, resume, patience or noise: use adam")
        model.history, model.usual = run.history, None
        return run.minimize(optimizers[None], epochs, callbacks, progress)

    if resume:
        with world.together():
            run.restore(epochs, patience)
        if run.stopped and run.epoch < epochs:
            warn(
                f"patience={patience} had stopped the run of {checkpoint} at epoch {run.epoch}, and it stays stopped: "
                "resume with more patience to train on"
            )
    else:
        run.refuse_former()
    bar = Bar(
        world.rank == 0 and progress, total=epochs * n, done=run.epoch * n + run.position * batch_size, epochs=epochs
    )
    return run.train(bar, epochs, patience, callbacks, every)


def _world(given):
    """What `world` names, as a `minae.world.World`."""
    if given is None:
        return World()
    if isinstance(given, World):
        return given
    return interop.mpi.Ranks(given)


SHARE = options.Rate()
SHARE.name = "validation"


def _validation(model, validation):
    if isinstance(validation, dict):
        first = next(iter(model.fields))
        others = {name: array for name, array in validation.items() if name != first}
        return model.batches(validation.get(first), None, others, "validation")
    if isinstance(validation, tuple) and len(validation) != 2:
        raise InputError(
            f"validation has {len(validation)} parts: expected X, (X, y), a dict of all fields, or a share"
        )
    X, y = validation if isinstance(validation, tuple) else (validation, None)
    return model.batches(X, y, {}, "validation")


def _optimizers(model, optimizer):
    """Turn -> optimizer. Its settings are taken; the steps and vectors of another run stay there."""
    turns, optimizers = list(model.turns) or [None], {}
    given = optimizer if isinstance(optimizer, dict) else dict.fromkeys(turns, optimizer)
    if set(given) != set(turns):
        expected = f"one for each of {', '.join(model.turns)}" if model.turns else "one optimizer, and no dict"
        raise InputError(f"optimizer has {', '.join(map(str, given))}: expected {expected}")
    for turn in turns:
        each = given[turn]
        if isinstance(each, str):
            if each not in OPTIMIZERS:
                close = meant(each, OPTIMIZERS)
                raise InputError(f"unknown optimizer {each!r}: choose one of {', '.join(OPTIMIZERS)}{close}")
            each = OPTIMIZERS[each]()
        if not isinstance(each, Optimizer | LBFGS):
            raise InputError(f"optimizer is {each!r}: give one of minae.training, or its name")
        optimizers[turn] = dataclasses.replace(each)
        optimizers[turn].given = each  # its settings may be changed between epochs
    return optimizers


class _Run(Checkpoint):
    """Where a training run stands, and its steps. All that a resume needs goes into a checkpoint."""

    def __init__(self, model, optimizers, batches, held_out, batch_size, seed, path, gradient_hook, decay, world):
        self.world = world
        self.model, self.optimizers, self.path = model, optimizers, path
        self.batches, self.held_out, self.gradient_hook = batches, held_out, gradient_hook
        self.batch_size, self.seed = batch_size, seed
        self.steps = math.ceil(len(batches) / batch_size)
        self.epoch, self.position, self.stopped = 0, 0, False  # position: steps done of this epoch
        self.history, self.best, self.best_J, self.stale = History(), None, math.inf, 0
        self.started, self.first_settings = model.metadata(), {turn: repr(each) for turn, each in optimizers.items()}
        self.finite = self.current()  # as the last epoch that ended well left it
        self.names, self.trace = list(model.weights), None
        self.recorded = np.zeros((self.steps, len(self.names)), bool)  # which terms a step had
        self.order, self.seen = None, 0  # rows of this epoch, since it began or was resumed
        self.decay, self.average = decay, None if decay is None else model.parameters.flat.copy()
        self.players = {turn: self._parameters_of(turn) for turn in optimizers}

    def _parameters_of(self, turn):
        """Names of the parameters that a turn moves; None for all."""
        if turn is None:
            return None
        layers = [layer for net in self.model.turns[turn] for layer in self.model.nets[net].trained()]
        return {name for layer in layers for name in layer.names}

    def draws(self):
        """Whether a step has constants that are drawn."""
        with self.model.arena:
            return bool(self.model.draw(self.batches.take(np.arange(2)), 0, "check"))

    def refuse_former(self):
        """A run that begins anew writes over no former checkpoint."""
        if self.path is not None:
            self.world.first(self._refuse_former)

    def _refuse_former(self):
        if self.path.exists():
            raise InputError(
                f"{self.path} exists: go on from it with resume=True (--resume), delete it, or give another path"
            )

    def train(self, bar, epochs, patience, callbacks, every):
        """Steps and epochs until there are enough. Returns the History."""
        model, world = self.model, self.world
        if self.path is not None:
            vectors = 1 + max(len(each.slots) for each in self.optimizers.values()) + (patience is not None)
            size = vectors * model.parameters.flat.size * model.dtype.itemsize
            world.first(functools.partial(files.has_room, self.path, size))
        model.history = self.history  # from here on; what was refused above has left the former one
        model.usual = None  # the scores of usual rows were those of other parameters
        try:
            # a cost that overflows is found by `terms`
            with bar, CtrlC(quiet=world.rank > 0) as ctrl_c, np.errstate(all="ignore"):
                while self.epoch < epochs and not self.stopped:
                    started, self.seen = time.perf_counter(), 0
                    self.begin_epoch()
                    for k in range(self.position, self.steps):
                        rows = self.step(k)
                        if not rows:
                            break
                        if bar.advance(rows) or ctrl_c.asked:
                            bar.show(self)
                        if world.any(ctrl_c.asked):
                            raise self.interrupted()
                    if not self.position:
                        break
                    self.end_epoch(started, patience)
                    if world.any(any([callback(model, self.history) for callback in callbacks])):
                        self.stopped = True
                    self.take_settings()
                    if self.path is not None and (self.epoch % every == 0 or self.epoch >= epochs or self.stopped):
                        self.save()
        except Diverged:
            self.give_back()
            raise
        if patience is not None and self.best is not None:
            self.give_back()
        elif self.average is not None:
            model.parameters.flat[...] = self.average
        return self.history

    def begin_epoch(self):
        self.order = self.batches.order(self.model.backend, self.seed, self.epoch)

    # ---- steps

    def step(self, k):
        """One step of every player. Returns the number of rows, 0 where there are no more."""
        model, statistics, world = self.model, {}, self.world
        with model.arena, model.arena.joined(world) if world.size > 1 else contextlib.nullcontext():
            given, count = self._inputs(k)
            if not count:
                return 0
            for turn, optimizer in self.optimizers.items():
                with model.arena:  # each turn in the memory of the one before
                    cost = model.cost_and_grad(**given, **({} if turn is None else {"turn": turn}))
                    statistics |= {name: array.copy() for name, array in cost.statistics.items()}
                    self._record(k, cost)
                    world.mean(model.parameters.grad)
                    self.hook(model.parameters.grad)
                    optimizer.step(model.parameters, self.players[turn])
            model.after_step(statistics)
            if self.decay is not None:
                t = next(iter(self.optimizers.values())).t
                rest = 1 - min(self.decay, t / (10 + t))
                self.average += model.arena.ws.multiply(
                    model.arena.ws.subtract(model.parameters.flat, self.average), rest
                )
        self.position, self.seen = k + 1, self.seen + count
        return count

    def hook(self, gradient):
        if self.gradient_hook is not None and (given := self.gradient_hook(gradient)) is not None:
            raise InputError(
                f"gradient_hook gave a {type(given).__name__}, which nobody reads: change the gradient in place, and "
                "return nothing"
            )

    def _inputs(self, k):
        """The fields and constants of step k, those of this rank's rows; and how many rows the whole batch has."""
        part = slice(k * self.batch_size, (k + 1) * self.batch_size)
        batch = self.batches.take({domain: order[part] for domain, order in self.order.items()})
        count = len(next(iter(batch.values())))
        own = self.world.part(count)
        drawn = self.model.draw(batch, self.seed, "noise", self.epoch, k)
        if own.stop - own.start < count:
            drawn = self._cut(drawn, batch, own, count)
            batch = {name: array[own] for name, array in batch.items()}
        return batch | drawn, count

    def _cut(self, drawn, batch, own, count):
        """The constants of a part of the rows. Which axis of a constant goes along the rows, the shapes tell that it
        has in the whole batch and in the part."""
        of_part, cut = self.model._spec({name: array[own] for name, array in batch.items()}), {}
        for name, array in drawn.items():
            index = [slice(None)] * array.ndim
            for axis, (whole, part) in enumerate(zip(array.shape, of_part[name][0], strict=True)):
                if whole != part:
                    each = whole // count  # numbers along this axis for a row
                    index[axis] = slice(own.start * each, own.stop * each)
            array = array[tuple(index)]
            cut[name] = array if array.flags.c_contiguous else array.copy()
        return cut

    def _record(self, k, cost):
        """Note a step's terms on the device, without waiting for them."""
        if self.trace is None:
            self.trace = self.model.backend.xp.zeros((self.steps, len(self.names) + 1))
        for i, name in enumerate(self.names):
            if name in cost:
                self.trace[k, i] = cost[name]
                self.recorded[k, i] = True
        self.trace[k, -1] = self.world.weight

    def terms(self, joint=True):
        """Mean of each term over the examples of this epoch so far, and J. Raises Diverged at a NaN or infinity.

        joint: over the examples of all ranks, which then all ask; else of this rank's
        """
        trace = self.model.backend.to_numpy(self.trace)[: self.position]
        recorded = self.recorded[: self.position]
        if joint and self.world.size > 1:
            trace = self._joined_trace(trace)
        bad = ~np.isfinite(trace)
        if bad.any() and (joint or self.world.size == 1):  # one rank alone does not end: the others would wait for it
            k, i = np.argwhere(bad)[0]
            raise self.diverged(self.names[i], trace[k, i], k)
        counts = trace[:, -1:] * recorded
        present = recorded.any(axis=0)
        means = (trace[:, :-1] * counts).sum(axis=0)[present] / counts.sum(axis=0)[present]
        names = [name for name, there in zip(self.names, present, strict=True) if there]
        return self.with_J(dict(zip(names, means.tolist(), strict=True)))

    def _joined_trace(self, trace):
        trace = np.ascontiguousarray(trace, np.float64)
        trace[:, :-1] *= trace[:, -1:]
        self.world.total(trace)
        trace[:, :-1] /= trace[:, -1:]
        return trace

    def with_J(self, terms):
        """The terms, and before them J: their sum by the model's weights, of those that its objective names."""
        objective, weights = self.model.objective or terms, self.model.weights
        return {"J": sum(weights[name] * term for name, term in terms.items() if name in objective), **terms}

    def diverged(self, name, value, k):
        kept = self.path is not None and self.path.exists()
        last = f"; the last good checkpoint is {self.path}, delete it to start anew" if kept else ""
        error = Diverged(
            f"the cost term {name} became {value} at epoch {self.epoch + 1}, step {k + 1} of {self.steps}{last}: "
            + ("scale the data" if self.epoch == k == 0 else "try a smaller learning rate")
        )
        error.all_ranks_know = True
        return error

    # ---- epochs

    def check_last_step(self):
        """The cost after the last update of an epoch, on the rows of that step: only a good state is kept."""
        world = self.world
        with self.model.arena, self.model.arena.joined(world) if world.size > 1 else contextlib.nullcontext():
            given, _ = self._last_inputs()
            costs = [
                self.model.cost_and_grad(**given, need_grad=False, **({} if turn is None else {"turn": turn}))
                for turn in self.optimizers
            ]
            terms = {name: float(term) for cost in costs for name, term in cost.items()}
        for name, term in zip(terms, world.mean(np.array([*terms.values()])), strict=True):
            if not math.isfinite(term):
                raise self.diverged(name, float(term), self.position - 1)
        world.still_together(self.model)

    def _last_inputs(self):
        return self._inputs(self.steps - 1)

    def end_epoch(self, started, patience):
        terms = self.terms()  # waits for the device
        seconds = time.perf_counter() - started
        self.check_last_step()
        step = next(iter(self.optimizers.values())).t
        with self.averaged():
            record = {"epoch": self.epoch + 1, "step": step, **terms} | self.validation()
            if patience is not None:
                J = record["validation"]["J"]
                if J < self.best_J:
                    self.best_J, self.stale, self.best = J, 0, self.current()
                else:
                    self.stale += 1
                    self.stopped = self.stale >= patience
        self.history.append(record | {"seconds": seconds, "examples_per_second": self.seen / seconds})
        self.epoch, self.position, self.finite = self.epoch + 1, 0, self.current()
        self.recorded[...] = False

    @contextlib.contextmanager
    def averaged(self):
        """Within the block, the model has the moving average of θ, if there is one."""
        theta, flat = self.model.parameters.flat.copy(), self.model.parameters.flat
        if self.average is not None:
            flat[...] = self.average
        yield
        flat[...] = theta

    def current(self):
        """Copies of the parameters and of the state, by the names that the best ones have in a checkpoint."""
        state = {f"run.best.{name}": array.copy() for name, array in self.model.state.items()}
        return {"run.best": self.model.parameters.flat.copy(), **state}

    def give_back(self):
        """The best parameters and state, or those after the last epoch that ended well, become the model's."""
        kept = self.best or self.finite
        self.model.parameters.flat[...] = kept["run.best"]
        for name, array in self.model.state.items():
            array[...] = kept[f"run.best.{name}"]

    def take_settings(self):
        """What a callback changed in an optimizer that it has counts from here on."""
        for optimizer in self.optimizers.values():
            for field in dataclasses.fields(optimizer):
                if field.init and getattr(optimizer, field.name) != getattr(optimizer.given, field.name):
                    optimizer.given.__post_init__()
                    setattr(optimizer, field.name, getattr(optimizer.given, field.name))
                    optimizer._slices = None

    def validation(self):
        if self.held_out is None:
            return {}
        return {"validation": self.world.first(lambda: self.with_J(self.model.evaluate(self.held_out)))}

    def interrupted(self):
        where = f"interrupted in epoch {self.epoch + 1} after {self.position} of {self.steps} steps"
        if self.path is None:
            error = KeyboardInterrupt(f"{where}; the model keeps what it learned (no checkpoint was asked for)")
        else:
            self.terms()
            if not bool(self.model.backend.xp.isfinite(self.model.parameters.flat).all()):
                raise self.diverged("J", math.nan, self.position - 1)
            self.save()
            error = KeyboardInterrupt(f"{where}; saved to {self.path}: run the same again with resume=True (--resume)")
        error.all_ranks_know = True
        return error

    # ---- all rows at once

    def minimize(self, optimizer, epochs, callbacks, progress):
        """L-BFGS: an epoch is one iteration of SciPy's, on all rows, in float64."""
        model, last, clock = self.model, {}, [time.perf_counter()]
        flat, to_numpy, from_numpy = model.parameters.flat, model.backend.to_numpy, model.backend.from_numpy
        batch = self.batches.take(np.arange(len(self.batches)))

        def cost_and_grad(theta):
            flat[...] = from_numpy(theta.astype(model.dtype))
            with model.arena:
                cost = model.cost_and_grad(**batch)
                self.hook(model.parameters.grad)
                gradient = to_numpy(model.parameters.grad).astype(np.float64)
                last.update(self.with_J({name: float(term) for name, term in cost.items()}))
            if not math.isfinite(last["J"]):
                self.give_back()
                epoch = len(self.history) + 1
                raise Diverged(f"the cost became {last['J']} at iteration {epoch} of lbfgs: scale the data")
            return last["J"], gradient

        def each(theta):
            flat[...] = from_numpy(theta.astype(model.dtype))
            epoch = len(self.history) + 1
            record = {"epoch": epoch, "step": epoch, **last} | self.validation()
            seconds, clock[0] = time.perf_counter() - clock[0], time.perf_counter()
            record |= {"seconds": seconds, "examples_per_second": len(self.batches) / seconds}
            self.history.append(record)
            self.finite = self.current()
            bar.advance(len(self.batches))
            if any([callback(model, self.history) for callback in callbacks]):
                raise StopIteration

        if epochs:
            with Bar(progress, epochs * len(self.batches), 0, epochs) as bar, np.errstate(all="ignore"):
                theta = optimizer.minimize(cost_and_grad, to_numpy(flat).astype(np.float64), epochs, each)
            flat[...] = from_numpy(theta.astype(model.dtype))
        return self.history

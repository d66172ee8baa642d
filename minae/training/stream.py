"""Training on batches that come one after the other: data larger than memory, or without an end."""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from minae import options
from minae.errors import InputError
from minae.training.loop import History, _alone, _optimizers, _Run, _validation
from minae.training.optimizers import LBFGS, Optimizer
from minae.training.progress import Bar


@options.door(
    steps=options.Count(optional=True),
    every=options.Count(),
    patience=options.Count(optional=True),
    callbacks=options.Functions(),
    gradient_hook=options.Function(optional=True),
    average=options.Rate(optional=True),
    seed=options.Count(lowest=0),
    checkpoint=options.File(optional=True),
    resume=options.Flag(),
    progress=options.Flag(optional=True),
)
@_alone
def fit_stream(
    model: Any,
    batches: Iterable[Any],
    *,
    steps: int | None = None,
    every: int = 100,
    optimizer: str | Optimizer | dict[str, Any] = "adam",
    validation: Any = None,
    patience: int | None = None,
    callbacks: Sequence[Callable[..., Any]] = (),
    gradient_hook: Callable[[Any], None] | None = None,
    average: float | None = None,
    seed: int = 0,
    checkpoint: Any = None,
    resume: bool = False,
    progress: bool | None = None,
    world: Any = None,
) -> History:
    """Train `model` with one step for each of `batches`. Returns a History.

    batches:    anything that can be iterated over, such as a generator, `minae.data.Shards(folder).stream(128)`, or a
                DataLoader; each item is an array of rows, a tuple (X, y), or a dict of all fields
    steps:      how many are taken at most; without it, as many as there are
    every:      steps between records of the History, which take the place of epochs: validation, callbacks, patience
                and checkpoint come then
    resume:     go on from the checkpoint; the batches that it has seen are drawn from `batches` once more, and skipped
    world:      an MPI communicator: each rank has batches of its own, whose rows together are the batch of a step. All
                end when the first of them has no more

    The other arguments are those of `minae.training.fit`. The order of the rows is that of the stream: shuffle there.

    Raises InputError for what `fit` refuses, and for a stream that gives no batch.
    """
    with world.together():
        if isinstance(batches, np.ndarray | str | dict):
            raise InputError(
                f"batches is a {type(batches).__name__}: expected an iterable of batches, such as a generator; "
                "an array is for `fit`"
            )
        try:
            source = iter(batches)
        except TypeError:
            raise InputError(f"batches is a {type(batches).__name__}: expected an iterable of batches") from None
        held_out = None if validation is None else _validation(model, validation)
        optimizers = _optimizers(model, optimizer)
        if any(isinstance(each, LBFGS) for each in optimizers.values()):
            raise InputError("lbfgs takes all rows at once, and a stream has no end: use adam")
        if patience is not None and held_out is None:
            raise InputError(f"patience is {patience}: expected it together with validation data")
    world.begin(model)
    run = _Stream(model, optimizers, source, held_out, every, seed, checkpoint, gradient_hook, average, world)
    world.agree(lambda: run.settings() | dict(steps=steps, every=every, patience=patience, resume=resume))
    run.left = math.inf if steps is None else steps
    if resume:
        with world.together():
            run.restore(math.inf, patience)
        done = next(iter(run.optimizers.values())).t
        run.left -= done
        next(itertools.islice(source, done, done), None)
    else:
        run.refuse_former()
    bar = Bar(world.rank == 0 and progress, total=None, done=0)
    history = run.train(bar, math.inf, patience, callbacks, every=1)
    if not history:
        raise InputError("batches gave no batch: expected an iterable that has not been used up")
    return history


class _Stream(_Run):
    """A run whose steps are those of a stream. An epoch is the steps from one record to the next."""

    left: float  # steps that are still to do

    def __init__(self, model, optimizers, source, held_out, every, seed, path, hook, decay, world):
        self.source, self.kept = source, None
        super().__init__(model, optimizers, range(every), held_out, 1, seed, path, hook, decay, world)

    def begin_epoch(self):
        pass

    def fingerprint(self):
        return "a stream"

    def _inputs(self, k):
        batch = next(self.source, None) if self.left > 0 else None
        batches = None if batch is None else self._checked(batch)
        if not self.world.all_have(0 if batches is None else len(batches)):
            return None, 0
        self.left -= 1
        self.kept = batches, (self.epoch, k)
        return self._last_inputs()

    def _last_inputs(self):
        batches, key = self.kept
        batch = batches.take(np.arange(len(batches)))
        self.world.own_batch(len(batches))
        drawn = self.model.draw(batch, self.seed, "noise", *key, *[self.world.rank] * (self.world.size > 1))
        if self.world.size > 1 and len(batches) > 1:
            fewer = self.model._spec({name: array[:1] for name, array in batch.items()})
            for name, array in drawn.items():
                if array.shape == fewer[name][0]:  # it goes along no rows: one for all ranks
                    drawn[name] = self.world.from_first(array)
        return batch | drawn, self.world.rows

    def _checked(self, batch):
        first = next(iter(self.model.fields))
        if isinstance(batch, dict):
            others = {name: array for name, array in batch.items() if name != first}
            return self.model.batches(batch.get(first), None, others, "a batch")
        if isinstance(batch, tuple):
            if len(batch) not in (1, 2):
                raise InputError(f"a batch is a tuple of {len(batch)}: expected X, (X, y) or a dict of all fields")
            return self.model.batches(batch[0], batch[1] if len(batch) == 2 else None, {}, "a batch")
        return self.model.batches(batch, None, {}, "a batch")

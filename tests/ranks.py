"""What the ranks of one launch of MPI do for tests/test_world.py. Rank 0 prints lines of JSON.

    mpiexec -n 2 python tests/ranks.py models [MODEL …]   every case of these models, or the first case of all
        [name, the larger one of ‖Δθ‖/‖θ‖ and |ΔJ|/J to one process, after 50 steps of 128 rows]
    mpiexec -n 2 python tests/ranks.py apart MODEL …      the same with means over the rows of each rank alone
    mpiexec -n 3 python tests/ranks.py fit FOLDER         a resume, a stream, an uneven batch
        [what, ‖Δθ‖/‖θ‖]
    mpiexec -n 2 python tests/ranks.py stop kill|error|ask|diverge FOLDER
    mpiexec -n 2 python tests/ranks.py time               a step of 784-1000-500-250-30 on 2 × 64 rows
        [ms of a step, ms of its reduction, and the 10th and 90th percentile of that]

It is a process of its own, because MPI starts once in a process. One launch serves many cases.
"""

import contextlib
import json
import os
import signal
import sys
import time

import numpy as np
from mpi4py import MPI

import guard
import minae
from minae import backend as backends
from minae.arena import Arena
from minae.checks import case, kinds
from minae.interop.mpi import Ranks
from minae.training import Momentum

backends.BACKENDS["guard"] = guard.GuardBackend
WORLD = MPI.COMM_WORLD
# Momentum: Adam divides a gradient that is 0 in theory, as of a bias before batch normalisation, by its own rounding
SETTINGS = dict(batch_size=128, optimizer=Momentum(1e-3), progress=False)


def ALONE(*_):
    """In place of `Arena.joined`: every rank takes its means over its own rows."""
    return contextlib.nullcontext()


def tell(*words):
    if WORLD.rank == 0:
        print(json.dumps(words), flush=True)


def apart(model, alone):
    """‖Δθ‖/‖θ‖, the state included."""
    tensors, other = model.tensors(), alone.tensors()
    difference = sum(float(((tensors[name] - other[name]) ** 2).sum()) for name in tensors)
    return (difference / sum(float((array**2).sum()) for array in tensors.values())) ** 0.5


def examples(kind, name):
    """A small model of this case, and 256 rows for each of its fields."""
    label, model, _ = case(kind, name)
    if "rows" in model.options:
        model = type(model)(**{**model.config, "rows": 256}, dtype="float64")
    rng = np.random.default_rng(1)
    return label, model, {field: each.example(rng, 256) for field, each in model.fields.items()}


def models(names):
    for kind in names or kinds():
        for name in kinds()[kind].cases if names else list(kinds()[kind].cases)[:1]:
            if "restart" in name and Arena.joined is ALONE:
                continue  # a dead code starts on an example of all ranks, which this rank does not have
            label, model, data = examples(kinds()[kind], name)
            first, alone = data.pop(next(iter(model.fields))), model.copy()
            history = model.fit(first, epochs=25, world=WORLD, **data, **SETTINGS)
            if WORLD.rank == 0:
                expected = alone.fit(first, epochs=25, **data, **SETTINGS)
                costs = np.abs(np.array(history["J"]) / expected["J"] - 1).max()
                tell(label, max(apart(model, alone), costs))


def fit(folder):
    rng, ranks = np.random.default_rng(0), WORLD.size
    X = rng.random((300, 7))
    for label, batch_size in {"uneven": 100, "fewer rows than two a rank": 269}.items():  # 270 = 269 + 1
        for options in ({"level": 0.3}, {"penalty": "kl"}):
            kind = minae.SparseAutoencoder if "penalty" in options else minae.DenoisingAutoencoder
            model = kind((7, 5), dtype="float64", **options)
            alone = model.copy()
            model.fit(X, epochs=3, batch_size=batch_size, validation=0.1, patience=2, progress=False, world=WORLD)
            alone.fit(X, epochs=3, batch_size=batch_size, validation=0.1, patience=2, progress=False)
            tell(f"{label}, {model.name}", apart(model, alone))

    model = minae.DenoisingAutoencoder((7, 5), level=0.3, dtype="float64")
    whole, path = model.copy(), f"{folder}/run.checkpoint"
    model.fit(X, epochs=2, checkpoint=path, progress=False, world=WORLD)
    resumed = whole.copy()
    history = resumed.fit(X, epochs=4, checkpoint=path, resume=True, progress=False, world=WORLD)
    expected = whole.fit(X, epochs=4, progress=False)
    np.testing.assert_allclose(history["J"], expected["J"], rtol=1e-9)
    tell("resumed", apart(resumed, whole))

    # arrays of a device, which refuse to become arrays of the host unasked
    for kind, options in ((minae.SparseAutoencoder, {"penalty": "kl"}), (minae.BatchTopKAutoencoder, {"k": 2})):
        model, alone = (kind((7, 5), backend=name, dtype="float64", **options) for name in ("guard", "numpy"))
        model.fit(X, epochs=2, progress=False, world=WORLD)
        alone.fit(X, epochs=2, progress=False)
        host = {name: model.backend.to_numpy(array) for name, array in model.tensors().items()}
        alone_too = alone.copy()
        alone_too.restore(host)
        tell(f"a device, {model.name}", apart(alone_too, alone))

    # each rank has rows of its own, and not equally many; the last stream ends the run of all
    sizes = [10 + 3 * rank for rank in range(ranks)]
    joint = [rng.random((sum(sizes), 7)) for _ in range(5)]
    start = sum(sizes[: WORLD.rank])
    own = [batch[start : start + sizes[WORLD.rank]] for batch in joint]
    model = minae.SparseAutoencoder((7, 5), penalty="kl", dtype="float64")
    alone = model.copy()
    more = [own[0]] if WORLD.rank == 0 else []
    history = model.fit_stream([*own, *more], every=2, world=WORLD, progress=False)
    alone.fit_stream(joint, every=2, progress=False)
    tell("stream", apart(model, alone) + (history[-1]["step"] != 5))

    # whoever begins elsewhere begins at rank 0's θ; other data, and an error of one rank, are told to all
    model = minae.UndercompleteAutoencoder((7, 5), seed=0, dtype="float64")
    model.parameters.flat[...] += WORLD.rank
    model.fit(X, epochs=1, progress=False, world=WORLD)
    tell("other first parameters", float(np.ptp(WORLD.allgather(float(model.parameters.flat.sum())))))
    for given, seed in (
        (X + WORLD.rank / 9, 0), (X if WORLD.rank else X * np.nan, 0), (X, WORLD.rank), (X * 0.9**WORLD.rank, 0)
    ):  # fmt: skip
        try:
            model.fit(given, epochs=1, seed=seed, progress=False, world=WORLD)
        except minae.InputError as error:
            texts = WORLD.allgather(str(error))
            tell("refused", texts)


def stop(how, folder):
    """Rank 1 stops at its third step: it is killed, or has an error alone, or is asked to by Ctrl-C."""
    model, steps = minae.UndercompleteAutoencoder((7, 5), loss="gaussian", dtype="float64"), []

    def hook(_):
        steps.append(1)
        if how == "diverge":
            time.sleep(0.06)  # so that rank 0 has its bar to draw
        elif len(steps) == 3 and WORLD.rank == 1:
            if how == "error":
                raise ValueError("a disk of this rank alone")
            os.kill(os.getpid(), signal.SIGKILL if how == "kill" else signal.SIGINT)

    X, path = np.random.default_rng(0).random((300, 7)), f"{folder}/stop.checkpoint"
    settings = dict(batch_size=30, checkpoint=path, progress=False, world=WORLD)
    if how == "diverge":
        settings |= dict(optimizer=minae.training.SGD(1e300), progress=True)
    try:
        model.fit(X, epochs=10**6, gradient_hook=hook, **settings)
    except minae.Diverged as error:
        tell("diverged", WORLD.allgather(str(error)))
    except KeyboardInterrupt as error:
        tell("interrupted", WORLD.allgather(str(error)))


def timed():
    model, rng = minae.UndercompleteAutoencoder((784, 1000, 500, 250, 30), activation="relu"), np.random.default_rng(0)
    X, times, inside = rng.random((128 * 60, 784), dtype=np.float32), [], []

    class Timed(Ranks):
        def mean(self, array):
            WORLD.Barrier()  # so that waiting for the other rank is not counted
            begun = time.perf_counter()
            result = super().mean(array)
            inside.append(time.perf_counter() - begun)
            return result

    world = Timed(WORLD)
    step = time.perf_counter

    def hook(_):
        times.append(step())

    model.fit(X, epochs=3, batch_size=128, gradient_hook=hook, world=world, progress=False)
    steps, reductions = np.diff(times) * 1e3, np.array([t for t in inside if t > 0]) * 1e3
    tell(float(np.median(steps)), float(np.median(reductions)), *np.percentile(reductions, [10, 90]).tolist())


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    if what == "apart":
        Arena.joined = ALONE
        Ranks.still_together = lambda *_: None  # it would refuse the moving averages, which differ from rank to rank
    does = {"models": lambda *names: models(names), "apart": lambda *names: models(names)}
    (does | {"fit": fit, "stop": stop, "time": timed})[what](*words)

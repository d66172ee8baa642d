"""Several processes train as one: the launches of tests/ranks.py, and of `minae train --data-parallel`."""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import minae
from minae import InputError
from minae.cli import main
from minae.data import Shards
from minae.world import World

MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
RANKS = Path(__file__).with_name("ranks.py")
COUPLED = "sparse vector_quantized batch_top_k slow_feature total_correlation".split()


def launch(count, *words, timeout=300, **settings):
    """Run python on so many ranks, one thread each."""
    pytest.importorskip("mpi4py", reason="mpi4py is not installed: pip install -e '.[test]'")
    if MPIEXEC is None:
        pytest.skip("there is no mpiexec: pip install -e '.[test]'")
    threads = {"OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    command = [MPIEXEC, "-n", str(count), sys.executable, *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, env={**os.environ, **threads}, **settings
    )


def lines(run):
    assert run.returncode == 0, run.stderr[-2000:]
    return [json.loads(line) for line in run.stdout.splitlines()]


@pytest.mark.slow
def test_two_ranks_are_one_for_every_model():
    """‖Δθ‖ ≤ 1e-10 ‖θ‖ after 50 steps, no parameter left out, and the same costs."""
    told = lines(launch(2, RANKS, "models"))
    assert {label.split()[0] for label, _ in told} >= set(minae.models.registry())
    assert not [line for line in told if not line[1] <= 1e-10]


@pytest.mark.slow
def test_four_ranks_are_one_where_rows_are_coupled():
    told = lines(launch(4, RANKS, "models", *COUPLED[:3]))
    assert len(told) >= 9 and not [line for line in told if not line[1] <= 1e-10]


@pytest.mark.slow
def test_means_over_own_rows_are_another_training():
    """The control: without `world.mean` in the page, all coupled models are off, and no other one."""
    told = lines(launch(2, RANKS, "apart", *COUPLED, "denoising"))
    off = {label.split()[0] for label, apart in told if not apart <= 1e-10}
    assert off == set(COUPLED)
    assert [apart <= 1e-10 for label, apart in told if label == "sparse L1"] == [True]


def test_resume_stream_and_uneven_rows(tmp_path):
    told = lines(launch(3, RANKS, "fit", tmp_path))
    numbers = dict(line for line in told if line[0] != "refused")
    assert len(numbers) == 9 and not [name for name, apart in numbers.items() if not apart <= 1e-12]
    other, nan, *silent = (texts for what, texts in told if what == "refused")
    for texts, name in zip(silent, ("seed", "data"), strict=True):  # each would be a training of nobody
        assert set(texts) == {f"rank 1 has another {name} than rank 0: give every rank the same"}
    assert other[0].startswith("rank 1: X has values in") and other[1].startswith("X has values in")
    assert nan[0].startswith("X has NaN") and nan[1] == nan[2] == "rank 0: " + nan[0]


def test_one_rank_that_stops_ends_all(tmp_path):
    run = launch(2, RANKS, "stop", "kill", tmp_path, timeout=60)
    assert run.returncode != 0
    run = launch(2, RANKS, "stop", "error", tmp_path, timeout=60)
    assert run.returncode != 0
    assert run.stderr.count("minae: rank 1 of 2: ValueError: a disk of this rank alone") == 1
    told = lines(launch(2, RANKS, "stop", "diverge", tmp_path, timeout=60))  # which a bar of one rank must not tell
    assert len(told) == 1 and len(set(told[0][1])) == 1 and "the cost term L became" in told[0][1][0]
    told = lines(launch(2, RANKS, "stop", "ask", tmp_path, timeout=60))
    assert [what for what, _ in told] == ["interrupted"]
    assert len(set(told[0][1])) == 1 and "interrupted in epoch 1 after 3 of 10 steps; saved to" in told[0][1][0]


def train(count, folder, *words):
    return launch(count, "-m", "minae", "train", "x.npy", "-o", "m.safetensors", "--data-parallel", *words, cwd=folder)


def test_the_command(tmp_path, rng):
    """Rank 0 alone talks and writes, and what is wrong is one line."""
    np.save(tmp_path / "x.npy", rng.random((300, 7)).astype("float32"))
    run = train(2, tmp_path, "--epochs", "2", "--validation", "0.1", "--sizes", "5", "--dtype", "float64")
    assert run.returncode == 0, run.stderr
    assert [line[:9] for line in run.stdout.splitlines()] == ["epoch 1/2", "epoch 2/2", "saved m.s"]
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".")) == [
        "m.safetensors",
        "x.npy",
    ]
    words = "--epochs 2 --validation 0.1 --sizes 5 --dtype float64".split()
    assert main(["train", tmp_path / "x.npy", "-o", tmp_path / "alone.safetensors", *words]) == 0
    model, alone = (minae.load(tmp_path / f"{name}.safetensors") for name in ("m", "alone"))
    np.testing.assert_allclose(model.parameters.flat, alone.parameters.flat, rtol=1e-9)
    assert model.usual == pytest.approx(alone.usual)
    for words, message in {
        ("--lr", "1e300"): r"minae: the cost term L became \w+ at epoch 1, step \d+ of 3: .*",
        ("--optimizer", "adm"): "minae: unknown optimizer 'adm': .*",
        ("--optimizer", "lbfgs"): "minae: lbfgs takes all rows in one process: use adam on several ranks",
    }.items():
        run = train(2, tmp_path, "--sizes", "5", "--json", *words)
        assert run.returncode in (1, 2) and re.fullmatch(message + "\n", run.stderr), run.stderr


# ---- one process


def test_what_is_no_communicator_is_refused(rng):
    pytest.importorskip("mpi4py", reason="mpi4py is not installed: pip install -e '.[test]'")
    with pytest.raises(
        InputError, match=re.escape("world is a int: expected a communicator such as mpi4py.MPI.COMM_WORLD")
    ):
        minae.UndercompleteAutoencoder((7, 5)).fit(rng.random((20, 7)), world=3)


def test_without_mpi4py_there_is_one_line(monkeypatch, rng):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(
        InputError, match=re.escape("training on several processes needs MPI: pip install 'minae[mpi]'")
    ):
        minae.interop.mpi.Ranks()


def test_one_process_is_a_world(rng):
    """The methods that a page may call leave an array as it is."""
    world, a = World(), rng.random((3, 2))
    assert world.part(5) == slice(0, 5) and world.weight == 5
    for method in (world.mean, world.total, world.gathered, world.from_first):
        assert method(a) is a
    assert world.any(True) and not world.any(False) and world.first(lambda: 3) == 3


# ---- streams


@pytest.fixture
def folder(tmp_path, rng):
    for k in range(4):
        np.save(tmp_path / f"{k}.npy", rng.random((30 + 7 * k, 6)).astype("float32"))
    return tmp_path


def test_shards_are_one_array(folder):
    whole, shards = np.concatenate([np.load(folder / f"{k}.npy") for k in range(4)]), Shards(folder)
    assert shards.shape == whole.shape and len(shards) == len(whole) and shards.dtype == whole.dtype
    for rows in (slice(None), slice(5, 100, 3), np.array([3, 161, 30, 29, 0]), -1, np.arange(len(whole)) % 2 == 0):
        np.testing.assert_array_equal(shards[rows], whole[rows])
    with pytest.raises(IndexError):
        shards[162]
    one, other = minae.DenoisingAutoencoder((6, 4)), minae.DenoisingAutoencoder((6, 4))
    assert one.fit(shards, epochs=2, validation=0.1)["J"] == other.fit(whole, epochs=2, validation=0.1)["J"]
    np.testing.assert_array_equal(minae.data.read(folder, scale=2)[:], whole / 2)


@pytest.mark.parametrize("size", [1, 3])
def test_a_pass_has_each_row_once(folder, size):
    shards = Shards(folder)
    parts = [np.concatenate(list(shards.stream(16, rank=rank, size=size, passes=1))) for rank in range(size)]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts), axis=0), np.sort(shards[:], axis=0))
    first, again = (next(shards.stream(16, seed=seed)) for seed in (0, 0))
    np.testing.assert_array_equal(first, again)
    assert (first != next(shards.stream(16, seed=1))).any()
    lengths = [len(batch) for batch in shards.stream(16, passes=1)]
    assert set(lengths[:-1]) == {16} and sum(lengths) == len(shards)


def test_what_no_shards_are(folder, tmp_path_factory):
    np.save(folder / "9.npy", np.zeros((3, 5), "float32"))
    with pytest.raises(
        InputError, match=r"9.npy has rows float32 \(5,\) and 0.npy float32 \(6,\): expected files of one"
    ):
        Shards(folder)
    with pytest.raises(InputError, match=r"has no \.npy files: expected one or more"):
        Shards(tmp_path_factory.mktemp("empty"))
    with pytest.raises(InputError, match="is no folder"):
        Shards(folder / "0.npy")
    (folder / "9.npy").unlink()
    with pytest.raises(InputError, match="batch_size is 0: expected"):
        Shards(folder).stream(0)
    with pytest.raises(InputError, match="has 4 files for 5 ranks: give one or more each"):
        next(Shards(folder).stream(8, rank=4, size=5))


def test_a_stream_is_the_same_steps_as_fit(rng):
    """The batches of one epoch, given one by one."""
    X = rng.random((96, 6))
    one, other = (minae.UndercompleteAutoencoder((6, 4), dtype="float64") for _ in range(2))
    order = one.batches(X).order(one.backend, 0, 0)[""]
    one.fit(X, epochs=1, batch_size=32)
    history = other.fit_stream(X[order[k : k + 32]] for k in (0, 32, 64))
    np.testing.assert_array_equal(one.parameters.flat, other.parameters.flat)
    assert [record["step"] for record in history] == [3]


def test_a_stream_goes_on_from_its_checkpoint(folder, tmp_path):
    shards, path = Shards(folder), tmp_path / "run.checkpoint"
    whole, resumed = (minae.DenoisingAutoencoder((6, 4)) for _ in range(2))
    expected = whole.fit_stream(shards.stream(16), steps=47, every=10)
    resumed.copy().fit_stream(shards.stream(16), steps=20, every=10, checkpoint=path)
    history = resumed.fit_stream(shards.stream(16), steps=47, every=10, checkpoint=path, resume=True)
    np.testing.assert_array_equal(whole.parameters.flat, resumed.parameters.flat)
    assert history["J"] == expected["J"] and history["step"] == [10, 20, 30, 40, 47]
    with pytest.raises(InputError, match="exists: go on from it with resume=True"):
        resumed.fit_stream(shards.stream(16), steps=5, checkpoint=path)


def test_a_stream_with_answers_validation_and_callbacks(rng):
    X, y = rng.random((64, 6)), np.arange(64) % 3
    model, seen = minae.Classifier((6, 5, 3)), []

    def stream():
        while True:
            rows = rng.integers(64, size=16)
            yield X[rows], y[rows]

    history = model.fit_stream(
        stream(), every=3, validation=(X, y), patience=50, callbacks=[lambda _, history: len(history) == 4]
    )
    assert len(history) == 4 and all("validation" in record for record in history)
    model.fit_stream(({"x": a, "y": b} for a, b in [(X, y)] * 2), callbacks=[lambda *_: seen.append(1)])
    assert len(seen) == 1


def test_what_no_stream_is(rng):
    model, X = minae.UndercompleteAutoencoder((6, 4)), rng.random((8, 6))
    for given, message in [
        (X, "batches is a ndarray: expected an iterable of batches, such as a generator; an array is for `fit`"),
        (3, "batches is a int: expected an iterable of batches"),
        ([], "batches gave no batch: expected an iterable that has not been used up"),
        ([X[:, :5]], r"a batch has shape \(8, 5\)"),
        ([(X, X, X)], "a batch is a tuple of 3"),
        ([X * np.nan], "a batch has NaN or infinite values"),
    ]:
        with pytest.raises(InputError, match=message):
            model.fit_stream(given)
    with pytest.raises(InputError, match="lbfgs takes all rows at once"):
        model.fit_stream([X], optimizer="lbfgs")
    with pytest.raises(InputError, match="patience is 2: expected it together with validation data"):
        model.fit_stream([X], patience=2)


def test_an_endless_stream_diverges_in_one_line(rng):
    model = minae.UndercompleteAutoencoder((6, 4), loss="gaussian")
    before, started = model.parameters.flat.copy(), time.monotonic()
    with pytest.raises(minae.Diverged, match="the cost term L became"):
        model.fit_stream((rng.random((8, 6)) for _ in itertools.count()), optimizer=minae.training.SGD(1e30), every=5)
    np.testing.assert_array_equal(model.parameters.flat, before)
    assert time.monotonic() - started < 30

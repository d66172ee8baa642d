"""Fewer bits, fewer weights, and a student: what a shrunk model still is, and what a file of it holds."""

import json

import numpy as np
import pytest

import minae
from minae import cli, files, shrink
from minae.errors import InputError
from minae.training import SGD, Adam, AdamW, Momentum


@pytest.fixture
def model():
    return minae.UndercompleteAutoencoder((30, 20, 4), seed=1)


# ---- bits


@pytest.mark.parametrize("bits", range(2, 9))
def test_rounding_moves_a_weight_by_half_a_step_at_most(rng, bits):
    W = rng.standard_normal((40, 7)) * np.logspace(-3, 3, 7)
    q, s = shrink.rounded(W, bits)
    assert abs(q).max() <= 2 ** (bits - 1) - 1
    assert (abs(W - q * s) <= s / 2 * (1 + 1e-6)).all()
    cut = np.trunc(W / s) * s  # what cutting the fraction off does
    assert (abs(W - cut) > s / 2 * (1 + 1e-6)).any()


def test_a_column_of_zeros_stays_one():
    q, s = shrink.rounded(np.array([[0.0, 1.0], [0.0, -2.0]]), 4)
    assert (q[:, 0] == 0).all() and s[0] == 0 and q[1, 1] == -7


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (17, 9)])
def test_packing_loses_nothing(rng, bits, shape):
    largest = 2 ** (bits - 1) - 1
    q = rng.integers(-largest, largest + 1, shape).astype(np.int8)
    data = files.packed(q, bits)
    np.testing.assert_array_equal(files.unpacked(data, bits, shape), q)
    for wrong in ((shape[0] + 2, shape[1] + 9), (shape[0] + 1, shape[1] + 8)):
        with pytest.raises(ValueError, match="do not hold"):
            files.unpacked(data, bits, wrong)


def test_a_shrunk_file_is_read_as_any_other(model, rng, tmp_path):
    X = rng.uniform(size=(50, 30)).astype("f")
    model.fit(X, epochs=2)
    size = shrink.save(model, tmp_path / "m", 4)
    model.save(tmp_path / "whole")
    assert size == (tmp_path / "m").stat().st_size
    loaded = minae.load(tmp_path / "m")
    for name in ("W1", "W2", "V1", "V2"):
        q, s = shrink.rounded(model.parameters[name], 4)
        np.testing.assert_array_equal(loaded.parameters[name], (q * s).astype("f"))
    np.testing.assert_array_equal(loaded.parameters["b1"], model.parameters["b1"])
    assert abs(loaded.encode(X) - model.encode(X)).max() < 0.1
    loaded.fit(X, epochs=1)  # and trains on


def test_bits_save_bytes(tmp_path):
    large = minae.UndercompleteAutoencoder((300, 200), seed=0)
    large.save(tmp_path / "m")
    sizes = {bits: shrink.save(large, tmp_path / "s", bits) for bits in (8, 4, 2)}
    weights = 2 * 300 * 200
    for bits, size in sizes.items():
        assert size < weights * bits / 8 + 12_000
    pruned = shrink.save(shrink.prune(large, 0.9), tmp_path / "s", 8)
    assert sizes[2] < sizes[4] < sizes[8] < (tmp_path / "m").stat().st_size and pruned < sizes[4] / 2


def test_codebooks_and_state_survive(rng, tmp_path):
    model = minae.VectorQuantizedAutoencoder((8, 6, 4), codebook=5, codes=2)
    X = rng.uniform(size=(40, 8)).astype("f")
    model.fit(X, epochs=1)
    shrink.save(model, tmp_path / "m", 8)
    loaded = minae.load(tmp_path / "m")
    for name, array in model.state.items():
        np.testing.assert_array_equal(loaded.state[name], array)


@pytest.mark.parametrize("damage", ["fewer", "noise", "shape", "bits", "no scale"])
def test_a_damaged_matrix_is_refused(model, tmp_path, damage):
    shrink.save(model, tmp_path / "m", 4)
    tensors, metadata = files.read(tmp_path / "m")
    if damage == "fewer":
        tensors["W1.whole"] = tensors["W1.whole"][:-3]
    elif damage == "noise":
        tensors["W1.whole"] = np.arange(50, dtype=np.uint8)
    elif damage == "shape":
        metadata["shrunk"]["matrices"]["W1"] = [10_000, 10_000]
    elif damage == "bits":
        metadata["shrunk"]["bits"] = "many"
    else:
        del tensors["W1.scale"]
    files.write(tmp_path / "m", tensors, metadata)
    with pytest.raises(InputError, match="shrink the model again"):
        minae.load(tmp_path / "m")


def test_what_is_refused(model, tmp_path):
    with pytest.raises(InputError, match="bits is 9: expected 2 to 8"):
        shrink.save(model, tmp_path / "m", 9)
    with pytest.raises(InputError, match="bits is 1: expected an integer ≥ 2"):
        shrink.save(model, tmp_path / "m", 1)
    with pytest.raises(InputError, match="share"):
        shrink.prune(model, 1.5)
    model.parameters["W1"][0, 0] = np.nan
    with pytest.raises(InputError, match="W1 has NaN"):
        shrink.save(model, tmp_path / "m", 4)
    assert not (tmp_path / "m").exists()


def test_the_command(model, tmp_path, capsys):
    whole, small = tmp_path / "m.safetensors", tmp_path / "s.safetensors"
    model.save(whole)
    assert cli.main(["shrink", str(whole), "--bits", "4", "-o", str(small), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["small"] == small.stat().st_size < told["bytes"] == whole.stat().st_size
    assert cli.main(["info", str(small)]) == 0
    assert "4 bits a weight" in capsys.readouterr().out
    np.save(tmp_path / "x.npy", np.full((3, 30), 0.5))
    assert cli.main(["encode", str(small), str(tmp_path / "x.npy"), "-o", str(tmp_path / "h.npy")]) == 0
    assert np.load(tmp_path / "h.npy").shape == (3, 4)
    assert cli.main(["shrink", str(whole), "--bits", "40", "-o", str(small)]) == 2


# ---- pruning


@pytest.mark.parametrize("share", [0, 0.25, 0.9, 1])
def test_a_share_of_the_weights_is_zero(model, share):
    pruned = shrink.prune(model, share)
    W = np.concatenate([pruned.parameters[name].reshape(-1) for name in ("W1", "W2", "V1", "V2")])
    assert (W == 0).sum() == round(share * W.size)
    kept = [abs(model.parameters["W1"][pruned.parameters["W1"] != 0]), abs(model.parameters["W1"])]
    assert share in (0, 1) or kept[0].min() > np.median(kept[1]) * share * 0.5
    assert np.isfinite(pruned.parameters.flat).all() and (model.parameters["W1"] != 0).all()


@pytest.mark.parametrize("optimizer", [SGD(0.1), Momentum(0.1), Adam(), AdamW(weight_decay=0.1)], ids=repr)
def test_zeros_stay_byte_exact(model, rng, optimizer):
    X = rng.uniform(size=(100, 30)).astype("f")
    pruned = shrink.prune(model, 0.8)
    zeros = pruned.parameters["W1"] == 0
    former = pruned.parameters["W1"].copy()
    pruned.fit(X, epochs=100, batch_size=100, optimizer=optimizer, gradient_hook=shrink.holds_zeros(pruned))
    assert (pruned.parameters["W1"][zeros] == 0).all()
    assert (pruned.parameters["W1"][~zeros] != former[~zeros]).mean() > 0.2  # of some units nothing is left


def test_the_averages_of_a_former_training_would_revive_them(model, rng):
    """The negative control: Adam's averages go on where the gradient is 0."""
    X, optimizer = rng.uniform(size=(100, 30)).astype("f"), Adam()
    for _ in range(3):
        model.cost_and_grad(x=X)
        optimizer.step(model.parameters)
    pruned = shrink.prune(model, 0.8)
    zeros, hook = pruned.parameters.flat == 0, shrink.holds_zeros(pruned)
    pruned.cost_and_grad(x=X)
    hook(pruned.parameters.grad)
    optimizer.step(pruned.parameters)
    assert (pruned.parameters.flat[zeros] != 0).mean() > 0.9


# ---- the student


def student(**options):
    return minae.DistilledClassifier((6, 5), classes=4, activation="tanh", seed=0, dtype="float64", **options)


def test_the_gradient_at_the_logits_does_not_depend_on_a_large_temperature(rng):
    """|∂J/∂c|, c the biases of s, is the mean of ds: the same to a few percent from T = 8 on, and 1/T² without T²."""
    x, v = rng.uniform(size=(20, 6)), 3 * rng.standard_normal((20, 4))
    sizes = {}
    for T in (8, 32):
        for squared in (True, False):
            model = student(temperature=T, squared=squared)
            model.cost_and_grad(x=x, v=v)
            sizes[T, squared] = np.linalg.norm(model.parameters.views(model.parameters.grad)["c1"])
    assert sizes[8, True] == pytest.approx(sizes[32, True], rel=0.1)
    assert sizes[8, False] / sizes[32, False] == pytest.approx(16, rel=0.1)


def test_a_teacher_that_is_sure_is_a_label(rng):
    """T = 1 and v = 1000 · one-hot: J is the classifier's −log p(y | x)."""
    x, y = rng.uniform(size=(20, 6)), rng.integers(4, size=20)
    model, same = student(temperature=1.0), minae.Classifier((6, 5), classes=4, activation="tanh", dtype="float64")
    same.parameters.flat[...] = model.parameters.flat
    onehot = np.eye(4)[y]
    cost = model.cost_and_grad(x=x, v=1000 * onehot)
    of_labels = same.cost_and_grad(x=x, y=onehot)
    assert float(cost) == pytest.approx(float(of_labels))
    np.testing.assert_allclose(model.parameters.grad, same.parameters.grad, atol=1e-12)


def test_a_student_of_itself_has_nothing_to_learn(rng):
    model, x = student(), rng.uniform(size=(20, 6))
    v = model.logits(x)
    assert abs(float(model.cost_and_grad(x=x, v=v))) < 1e-12
    assert abs(model.parameters.grad).max() < 1e-12

"""Whole numbers in few bits: what they cost, the coder's round trip, and the files that are refused."""

import subprocess
import sys

import numpy as np
import pytest

import minae
from minae import cli, compression
from minae.coder import Tables
from minae.errors import InputError

pytest.importorskip("constriction")


def model_and_data(rng, **options):
    X = (rng.random((300, 5)) @ rng.random((5, 20)) / 5).astype("f")
    model = minae.CompressiveAutoencoder((20, 12, 4), loss="gaussian", activation="tanh", beta=0.01, seed=1, **options)
    model.fit(200 * X, epochs=5)
    model.calibrate(200 * X)
    return model, 200 * X


# ---- the rate


def layer(mu, log_s, dtype="float64"):
    model = minae.CompressiveAutoencoder((4, 1), loss="gaussian", dtype=dtype, backend="numpy")
    model.parameters["mu"][...], model.parameters["log_s"][...] = mu, log_s
    return model.between


@pytest.mark.parametrize("mu, log_s", [(0.0, 0.0), (3.3, 1.5), (-0.4, -2.0), (0.0, -6.0)])
def test_the_probabilities_of_all_whole_numbers_sum_to_one(mu, log_s):
    between = layer(mu, log_s)
    k = np.arange(-4000, 4001.0)[:, None]
    bits = between.bits(between.forward(k)[1])
    assert np.isfinite(bits).all()
    assert np.sum(2.0**-bits) == pytest.approx(1, abs=1e-9)


def test_a_number_far_away_has_bits_where_the_difference_of_two_sigmoids_is_zero():
    from scipy.special import expit

    between = layer(0.0, -2.0)
    for k in (30.0, -30.0):
        bits = between.bits(between.forward(np.array([[k]]))[1])[0, 0]
        s = np.exp(-2.0)
        exact = ((abs(k) - 0.5) / s - np.log1p(-np.exp(-1 / s))) / np.log(
            2
        )  # of a tail: e^{−(|k| − ½)/s} (1 − e^{−1/s})
        assert bits == pytest.approx(exact, rel=1e-9)
    assert expit(30.5 / s) - expit(29.5 / s) == 0  # the negative control


def test_the_noise_costs_what_rounding_costs(rng):
    """For z spread evenly within a step, the mean rate of z + u − ½ is that of round(z), and not that of z."""
    between = layer(0.0, 1.5)
    z = (rng.standard_normal((200_000, 1)) * 5).astype(float)
    bits = {
        name: between.bits(between.forward(z, u)[1]).mean()
        for name, u in (("noise", rng.random(z.shape)), ("round", None))
    }
    assert bits["noise"] == pytest.approx(bits["round"], abs=0.01)


# ---- the coder


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 31, 32, 33, 64])
@pytest.mark.parametrize("skew", [0.5, 0.999])
def test_nothing_is_lost(rng, rows, skew):
    k = rng.geometric(skew, (rows, 3)) - 1
    tables = Tables.of(rng.geometric(skew, (500, 3)), levels=8)
    words = tables.encode(k)
    np.testing.assert_array_equal(tables.decode(words, rows), k)
    assert 8 * len(words) <= 1.01 * tables.bits(k) + 64


def test_no_rows_are_no_words():
    tables = Tables.of(np.zeros((3, 2)))
    assert tables.encode(np.zeros((0, 2))) == b"" and tables.decode(b"", 0).shape == (0, 2)


def test_values_that_training_data_did_not_have(rng):
    tables = Tables.of(rng.integers(-2, 3, (100, 4)), levels=4)
    k = rng.integers(-30_000, 30_000, (50, 4))
    np.testing.assert_array_equal(tables.decode(tables.encode(k), 50), k)
    assert 8 * len(tables.encode(k)) <= 1.01 * tables.bits(k) + 64
    with pytest.raises(InputError, match="beyond ±32768"):
        tables.encode(k + 100_000)


def test_what_is_no_whole_number():
    with pytest.raises(InputError, match="expected finite whole numbers"):
        Tables.of(np.array([[0.5]]))
    for value in (np.nan, np.inf, 1e300):
        with pytest.raises(InputError, match="expected finite whole numbers"):
            Tables.of(np.array([[value]]))
    with pytest.raises(InputError, match="at least one row"):
        Tables.of(np.zeros((0, 3)))


# ---- files


def test_a_file_is_as_long_as_the_tables_say(rng):
    model, X = model_and_data(rng)
    file = compression.compress(model, X)
    bits = compression.tables(model).bits(model.encode(X))
    assert len(file) <= 1.01 * bits / 8 + 16 + 8
    np.testing.assert_array_equal(compression.codes(model, file), model.encode(X))
    np.testing.assert_array_equal(compression.decompress(model, file), model.reconstruct(X))


def test_another_process_and_batches_of_another_size(rng, tmp_path):
    model, X = model_and_data(rng)
    model.save(tmp_path / "m")
    (tmp_path / "x.mnc").write_bytes(compression.compress(model, X))
    program = f"""
import numpy as np, minae
from minae import compression
model = minae.load({str(tmp_path / "m")!r})
np.save({str(tmp_path / "k.npy")!r}, compression.codes(model, open({str(tmp_path / "x.mnc")!r}, "rb").read()))
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
    np.testing.assert_array_equal(np.load(tmp_path / "k.npy"), np.concatenate([model.encode(x[None]) for x in X]))


def test_one_wrong_bit_anywhere_is_found(rng):
    """In the header, too: with one row more, the coder would go on and give a row of nothing."""
    model, X = model_and_data(rng)
    file = compression.compress(model, X[:20])
    for place in range(len(file)):
        damaged = bytearray(file)
        damaged[place] ^= 1
        with pytest.raises(InputError):
            compression.codes(model, bytes(damaged))


@pytest.mark.parametrize("damage", ["flipped", "truncated", "longer", "empty", "another kind"])
def test_a_damaged_file_gets_one_line(rng, damage):
    model, X = model_and_data(rng)
    file = bytearray(compression.compress(model, X))
    if damage == "flipped":
        file[40] ^= 1
    elif damage == "another kind":
        file[:4] = b"PK\x03\x04"
    else:
        file = {"truncated": file[:-4], "longer": file + b"\0\0\0\0", "empty": bytearray()}[damage]
    with pytest.raises(InputError, match="no compressed file" if damage in ("empty", "another kind") else "damaged"):
        compression.decompress(model, bytes(file))


def test_a_file_of_another_model(rng):
    model, X = model_and_data(rng)
    file = compression.compress(model, X)
    model.parameters["V1"][0, 0] += 1
    with pytest.raises(InputError, match="another model"):
        compression.decompress(model, file)


def test_a_model_that_cannot(rng):
    with pytest.raises(InputError, match="has no code of whole numbers"):
        compression.compress(minae.UndercompleteAutoencoder((4, 2)), np.zeros((3, 4)))
    with pytest.raises(InputError, match="has counted nothing"):
        compression.compress(minae.CompressiveAutoencoder((4, 2)), np.zeros((3, 4)))


def test_the_commands(rng, tmp_path, capsys):
    X = (rng.random((200, 3)) @ rng.random((3, 16))).astype("f")
    np.save(tmp_path / "x.npy", X)
    x, model, file, r = (str(tmp_path / name) for name in ("x.npy", "m.safetensors", "x.mnc", "r.npy"))
    options = ["--model", "compressive", "--sizes", "16", "4", "--loss", "gaussian", "--epochs", "3", "--beta", "0.01"]
    assert cli.main(["train", x, *options, "-o", model]) == 0
    assert cli.main(["compress", model, x, "-o", file]) == 0
    assert "bits" in capsys.readouterr().out
    assert cli.main(["decompress", model, file, "-o", r]) == 0
    loaded = minae.load(model)
    np.testing.assert_allclose(np.load(r), loaded.reconstruct(X), rtol=1e-6)
    assert cli.main(["decompress", model, x, "-o", r]) == 2
    assert "no compressed file" in capsys.readouterr().err

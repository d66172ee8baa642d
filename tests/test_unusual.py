"""A threshold from usual data alone: kept with the model, in every way in which a model is kept."""

import json
import pickle

import numpy as np
import pytest

import minae
from minae import cli
from minae.errors import InputError
from minae.metrics.detection import auroc
from minae.training import Adam


@pytest.fixture
def detector(rng):
    usual = (rng.standard_normal((2000, 2)) @ rng.standard_normal((2, 10))).astype("f")
    model = minae.UndercompleteAutoencoder((10, 2), loss="gaussian", code="identity", seed=0)
    model.fit(usual[:1000], epochs=20)
    model.calibrate(usual[1000:1500])
    return model, usual[1500:]


def test_as_many_usual_rows_are_flagged_as_was_asked(detector):
    model, usual = detector
    for share in (0.5, 0.9, 0.95):
        sd = np.sqrt(share * (1 - share) * (1 / 500 + 1 / 500))  # of the threshold and of the rows
        assert abs(model.unusual(usual, share).mean() - (1 - share)) < 4 * sd
    assert model.unusual(usual + 5 * np.sign(usual)[:, ::-1], 0.95).mean() > 0.9


def test_the_threshold_is_a_quantile_of_the_usual_rows(detector, rng):
    model, X = detector
    model.calibrate(X)
    for share in (0.0, 0.25, 0.95, 1.0):
        assert model.threshold(share) == pytest.approx(np.quantile(-model.score_samples(X), share), rel=1e-4)
    assert not model.unusual(X, 1.0).any()


def test_it_goes_where_the_model_goes(detector, tmp_path):
    model, _ = detector
    model.save(tmp_path / "m")
    for other in (minae.load(tmp_path / "m"), model.copy(), pickle.loads(pickle.dumps(model))):
        assert other.threshold(0.95) == model.threshold(0.95)


def test_a_training_forgets_the_threshold_of_the_former_parameters(detector):
    model, X = detector
    with pytest.raises(InputError):
        model.fit(X, epochs=-1)
    assert model.threshold() > 0  # what was refused has changed nothing
    model.fit(X, epochs=1)
    with pytest.raises(InputError, match="no threshold is known"):
        model.threshold()


def test_scores_that_are_not_finite_give_no_threshold(detector):
    model, X = detector
    before = model.threshold()
    model.parameters["c1"][...] = 1e30  # squares beyond float32
    with pytest.raises(InputError, match="whose L is not finite"), np.errstate(all="ignore"):
        model.calibrate(X)
    assert model.threshold() == before


def test_a_masked_language_model_is_saved_although_it_has_no_scores(tmp_path):
    """`minae train` asks for the scores at the end, when there is something to lose."""
    (tmp_path / "lines.txt").write_text("a red house\na blue house\nthe red tree\nthe old house\n")
    small = ["--width", "8", "--heads", "2", "--blocks", "1", "--epochs", "1"]
    for task in ("masked", "causal"):
        out = tmp_path / f"{task}.safetensors"
        command = ["train", str(tmp_path / "lines.txt"), "--model", "language", "--task", task, *small, "-o", str(out)]
        assert cli.main(command) == 0
        assert (minae.load(out).usual is None) == (task == "masked")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["causal.safetensors", "lines.txt", "masked.safetensors"]


def test_a_model_that_saw_no_usual_rows_says_so(rng):
    model = minae.UndercompleteAutoencoder((10, 2))
    with pytest.raises(InputError, match="no threshold is known"):
        model.unusual(rng.random((3, 10)))
    with pytest.raises(InputError, match=r"share is 95: expected a number in \[0, 1\]"):
        model.threshold(95)


def test_the_command(rng, tmp_path, capsys):
    X = rng.random((200, 6)).astype("f")
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "odd.npy", np.concatenate([X[:50], 9 * X[:50]]))
    x, odd, model, out = (str(tmp_path / name) for name in ("x.npy", "odd.npy", "m.safetensors", "L.csv"))
    assert cli.main(["train", x, "--sizes", "6", "2", "--loss", "gaussian", "--epochs", "2", "-o", model]) == 0
    capsys.readouterr()
    assert cli.main(["score", model, odd, "-o", out, "--flag", "0.95", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    table = np.loadtxt(out, delimiter=",")
    assert table.shape == (100, 2) and told["above"] == table[:, 1].sum() >= 50
    np.testing.assert_array_equal(table[:, 1], table[:, 0] > told["threshold"])
    assert cli.main(["score", model, odd, "-o", out, "--flag", "95"]) == 2
    assert cli.main(["score", model, odd, "-o", out]) == 0 and np.loadtxt(out, delimiter=",").shape == (100,)


# ---- one class, by its distance from a centre


def svdd(rng, **options):
    X = (rng.standard_normal((500, 3)) @ rng.standard_normal((3, 12))).astype("f")
    model = minae.DeepSVDD((12, 16, 6), seed=0, **options)
    model.centre(X)
    return model, X


def test_svdd_learns_and_does_not_collapse(rng):
    model, X = svdd(rng)
    odd = rng.permuted(X, axis=1)
    before = -model.score_samples(X)
    model.fit(X, epochs=30)
    L, L_odd = -model.score_samples(X), -model.score_samples(odd)
    assert L.mean() < 0.5 * before.mean()
    assert len(np.unique(L)) > len(L) / 2 and L.var() > 1e-6 * before.var()
    assert auroc(np.concatenate([L, L_odd]), np.repeat([0, 1], 500)) > 0.8


def test_with_its_centre_at_zero_it_would_collapse(rng):
    """The negative control: then W = 0 is the best there is, and usual rows cannot be told from others."""
    scores = {}
    for name in ("c", "0"):
        model, X = svdd(rng, lam=1e-3)
        if name == "0":
            model.state["c"][...] = 1e-6  # where it is 0, `fit` finds it anew
        model.fit(X, epochs=150, optimizer=Adam(1e-2))
        scores[name] = np.square(model.encode(X)).sum(axis=1).mean()
    assert scores["0"] < 1e-3 < scores["c"]


def test_the_centre_is_found_by_a_first_fit_and_kept_by_a_second(rng):
    model, X = svdd(rng)
    other = minae.DeepSVDD((12, 16, 6), seed=0)
    other.fit(X, epochs=1)
    np.testing.assert_array_equal(other.state["c"], model.state["c"])
    other.fit(X, epochs=1)
    np.testing.assert_array_equal(other.state["c"], model.state["c"])


def test_the_centre_is_the_mean_code_away_from_zero(rng, tmp_path):
    model, X = svdd(rng)
    c, mean = model.state["c"], model.encode(X).mean(axis=0)
    far = abs(mean) >= 0.1
    np.testing.assert_allclose(c[far], mean[far], rtol=1e-5)
    assert (abs(c) >= 0.0999).all()
    model.save(tmp_path / "m")
    np.testing.assert_array_equal(minae.load(tmp_path / "m").state["c"], c)
    assert not any(name.startswith("b") for name in model.parameters)
    with pytest.raises(InputError, match="unknown activation 'sigmoid'"):
        minae.DeepSVDD((4, 3, 2), activation="sigmoid")

"""The small trained models: each is what the list says of it, and its recipe gives the same bytes again."""

import json
import subprocess
import sys

import numpy as np
import pytest

import minae
from minae import cli, files, recipes
from minae.errors import InputError

NAMES = list(recipes.RECIPES)
BOUNDS = {  # name -> the largest squared error, and the least share that 10 neighbours name right
    "digits-2d": (28.0, 0.8),
    "digits-variational-2d": (29.0, 0.78),
    "digits-denoising": (8.0, 0.93),
    "digits-sparse": (10.0, 0.9),
    "digits-vq": (15.0, 0.9),
}


@pytest.fixture(scope="module")
def listed():
    return minae.pretrained()


@pytest.mark.parametrize("name", NAMES)
def test_each_is_as_good_as_the_list_says(name, listed):
    model, note = minae.pretrained(name), listed[name]
    found = recipes.measured(model)
    for key, value in found.items():
        assert value == pytest.approx(note[key], rel=1e-3, abs=2e-3), key
    error, share = BOUNDS[name]
    assert found["squared error"] <= error and found["10-NN"] >= share


@pytest.mark.parametrize("name", NAMES)
def test_each_is_the_model_of_its_recipe_and_works_as_any_other(name, digits, tmp_path):
    model, recipe, X = minae.pretrained(name), recipes.RECIPES[name], digits.test[:20]
    assert isinstance(model, minae.Autoencoder) and model.name == recipe.kind and model.dtype == np.float32
    for option, value in recipe.options.items():
        assert model.config[option] == (list(value) if isinstance(value, tuple) else value)
    h = model.encode(X)
    assert h.shape == (20, model.code_size) and model.decode(h).shape == X.shape
    assert np.isfinite(model.score_samples(X)).all()
    if hasattr(model, "sample"):
        assert np.ptp(model.sample(3), axis=1).min() > 0.5  # there is ink on every sheet
    model.fit(digits.train[:200], epochs=1)
    model.save(tmp_path / "m.safetensors")
    assert minae.pretrained(name).evaluate(X) != model.evaluate(X)  # a caller's model is the caller's own


def test_each_shows_what_it_is_for(digits):
    X, sparse, vq = digits.test[:50], minae.pretrained("digits-sparse"), minae.pretrained("digits-vq")
    assert ((sparse.encode(X) != 0).sum(axis=1) <= 20).all()
    assert vq.indices(X).shape == (50, 8) and vq.perplexity(digits.test).min() > 16
    denoising = minae.pretrained("digits-denoising")
    rng = np.random.default_rng(0)
    spoiled = np.where(rng.random(X.shape) < 0.3, rng.integers(2, size=X.shape), X).astype("f")
    assert np.square(denoising.reconstruct(spoiled) - X).sum() < 0.2 * np.square(spoiled - X).sum()
    mu, log_var = minae.pretrained("digits-variational-2d").posterior(digits.test)
    assert np.abs(mu.mean(axis=0)).max() < 0.5 and 0.5 < mu.std() < 1.5 and log_var.max() < 0


def test_the_list_names_what_each_is(listed):
    assert list(listed) == NAMES and set(NAMES) == {path.stem for path in recipes.FOLDER.iterdir()}
    text = repr(listed)
    for name, note in listed.items():
        path = recipes.path_of(name)
        assert note["bytes"] == path.stat().st_size <= 400_000 and note["data"] == recipes.DIGITS
        assert name in text and note["what"] in text and "-".join(map(str, note["sizes"])) in text
    assert f"{listed['digits-2d']['10-NN']:.1%}" in text and "MNIST" in text
    assert "<table" in listed._repr_html_() and listed["digits-vq"]["what"] in listed._repr_html_()
    json.dumps(listed)


@pytest.mark.parametrize(("name", "said"), [
    ("digits2d", "did you mean 'digits-2d'"), ("digits-sprase", "did you mean 'digits-sparse'"), ("faces", "digits-vq"),
    ("", "digits-2d"), (3, "digits-2d"), (["digits-2d"], "digits-2d"), ("../x", "digits-2d"), (np.zeros(3), "digits"),
])  # fmt: skip
def test_an_unknown_name_is_one_line(name, said):
    with pytest.raises(InputError, match=said) as error:
        minae.pretrained(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["digits-denoising", "digits-vq"])  # with noise, and with a start from data
def test_a_recipe_gives_the_same_bytes_again(name, tmp_path):
    notes = [recipes.train(name, tmp_path / f"{k}.safetensors", rows=300, epochs=1) for k in range(2)]
    one, other = ((tmp_path / f"{k}.safetensors").read_bytes() for k in range(2))
    assert one == other and notes[0] == notes[1]
    assert notes[0]["epochs"] == 1 and notes[0]["data"] == "MNIST, 300 training digits"
    assert one != recipes.path_of(name).read_bytes()
    _, metadata = files.read(tmp_path / "0.safetensors")
    assert metadata["note"] == notes[0]


def test_bad_settings_of_a_recipe_are_one_line(tmp_path):
    for wrong in (dict(rows=3), dict(epochs=0), dict(path=tmp_path / "no" / "m"), dict(name="no")):
        with pytest.raises(InputError):
            recipes.train(**{"name": "digits-2d", "path": tmp_path / "m", "rows": 200, "epochs": 1} | wrong)
    assert not list(tmp_path.iterdir())


def test_the_command(tmp_path, monkeypatch, capsys, listed):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["pretrained"]) == 0 and capsys.readouterr().out.strip() == repr(listed)
    assert cli.main(["pretrained", "--json"]) == 0 and json.loads(capsys.readouterr().out) == dict(listed)
    assert cli.main(["pretrained", "digits-2d", "-o", "m.safetensors"]) == 0
    assert "saved m.safetensors: a digit as a point of the plane" in capsys.readouterr().out
    assert (tmp_path / "m.safetensors").read_bytes() == recipes.path_of("digits-2d").read_bytes()
    for wrong in (["digits-2x"], ["digits-2d"], ["-o", "m.safetensors"], ["digits-2d", "-o", "m.txt"], ["--train"]):
        assert cli.main(["pretrained", *wrong]) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
    train = recipes.train
    monkeypatch.setattr(recipes, "train", lambda name, path: train(name, path, rows=200, epochs=1))
    assert cli.main(["pretrained", "digits-sparse", "-o", "s.safetensors", "--train", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"] == "MNIST, 200 training digits"


def test_the_small_models_are_loaded_late():
    code = "import sys, minae; print('minae.recipes' in sys.modules, 'pretrained' in minae.__all__)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False True"

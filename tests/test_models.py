import copy
import pickle

import numpy as np
import pytest

from minae import InputError, UndercompleteAutoencoder, load, pretrain
from minae.data import Preprocessing
from minae.models import get_model, registry


def test_encode_decode_reconstruct(backend, tiny):
    model, X = tiny(backend=backend, rows=1)  # one example is enough for the verbs
    h, r = model.encode(X), model.reconstruct(X)
    assert type(h) is type(r) is np.ndarray and h.shape == (1, 3) and r.shape == (1, 7)
    np.testing.assert_allclose(model.decode(h), r)
    assert ((0 < r) & (r < 1)).all()


def test_verbs_give_back_the_kind_of_array_that_they_were_given(backend, tiny, tmp_path):
    model, X = tiny(backend=backend)
    h = model.encode(backend.from_numpy(X))
    assert backend.owns(h)
    np.testing.assert_array_equal(backend.to_numpy(h), model.encode(X))
    model.fit(backend.from_numpy(X), epochs=2, checkpoint=tmp_path / "c.safetensors")


def test_device_data_are_checked_too(backend, tiny):
    """REVIEW_ENGINE, survivor S10: pixels 0 … 255 that lie on the GPU must not reach the Bernoulli loss."""
    model, X = tiny(backend=backend)
    with pytest.raises(InputError, match="divide by 255"):
        model.fit(backend.from_numpy(255 * X), epochs=1)
    with pytest.raises(InputError, match="NaN"):
        model.encode(backend.from_numpy(X * np.nan))


def test_verbs_take_more_rows_than_a_batch(rng):
    model = UndercompleteAutoencoder((3, 2))
    X = rng.uniform(size=(2503, 3)).astype("float32")
    np.testing.assert_array_equal(model.encode(X)[2400:], model.encode(X[2400:]))
    assert model.evaluate(X)["L"] == pytest.approx(float(model.cost_and_grad(X)["L"]), rel=1e-5)


def test_results_do_not_change_when_the_model_works_on(tiny):
    """Memory of a step is reused; what a user holds is not."""
    model, X = tiny()
    h = model.f.forward(X)[0]
    encoded, before = model.encode(X), h.copy()
    model.fit(X, epochs=2)
    np.testing.assert_array_equal(h, before)
    assert (model.encode(X) != encoded).any()


def test_the_mathematics_refuses_an_array_of_another_backend(tiny):
    import guard

    numpy_model, x = tiny(backend="numpy")
    guard_model, _ = tiny(backend="guard")
    with pytest.raises(InputError, match="guard ndarray and the model is on backend 'numpy'"):
        numpy_model.cost_and_grad(guard.ndarray(x))
    with pytest.raises(InputError, match="numpy ndarray and the model is on backend 'guard'"):
        guard_model.cost_and_grad(x)
    with pytest.raises(InputError, match=r"a guard ndarray .* of the host or of the model's backend, 'numpy'"):
        numpy_model.encode(guard.ndarray(x))


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda x: x.astype("float32"), "float32"),
        (lambda x: x[:, :3], r"\(4, 3\)"),
        (lambda x: x[0], r"\(7,\)"),
        (lambda x: x[:0], "at least one row"),
    ],
)
def test_the_mathematics_refuses_wrong_shapes_and_types(change, message, tiny):
    model, x = tiny()
    with pytest.raises(InputError, match=message):
        model.cost_and_grad(change(x))


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(sizes=(7,)), "sizes"),
        (dict(sizes=(7, 0)), "sizes"),
        (dict(sizes="ab"), "sizes"),
        (dict(activation="mish"), "unknown activation 'mish'"),
        (dict(code="mish"), "unknown code 'mish'"),
        (dict(loss="hinge"), "unknown loss 'hinge'"),
        (dict(lam=-1), "lam"),
        (dict(lam=float("nan")), "lam"),
        (dict(dtype="float16"), "float16"),
        (dict(backend="tpu"), "unknown backend 'tpu'"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(InputError, match=message) as error:
        UndercompleteAutoencoder(**{"sizes": (7, 3), **options})
    assert "\n" not in str(error.value)


def test_a_weight_of_zero_takes_a_term_out_of_cost_and_gradient(backend, tiny):
    model, x = tiny(lam=0.5, backend=backend)
    x, grad = backend.from_numpy(x), {}
    for name, weights in {"both": (1, 1), "L": (1, 0), "Omega": (0, 1)}.items():
        model.weights = dict(zip(("L", "Omega"), weights, strict=True))
        cost = model.cost_and_grad(x)
        assert ("Omega" in cost) == bool(model.weights["Omega"])  # a penalty of weight 0 is not even computed
        assert float(cost) == pytest.approx(sum(model.weights[term] * float(value) for term, value in cost.items()))
        grad[name] = backend.to_numpy(model.parameters.grad).copy()
    np.testing.assert_allclose(grad["both"], grad["L"] + grad["Omega"], atol=1e-15)
    assert np.abs(grad["Omega"]).max() > 0


def test_weight_decay_shrinks_the_weights(tiny):
    """An effect test: raising λ lowers ‖W‖."""
    norms = []
    for lam in (0.0, 0.1, 1.0):
        model, X = tiny(lam=lam)
        model.fit(X, epochs=300)
        norms.append(sum(float(np.square(model.parameters[name]).sum()) for name in ("W1", "W2", "V1", "V2")))
    assert norms[0] > norms[1] > norms[2]


# ---- files


@pytest.mark.parametrize("options", [dict(), dict(tied=True, lam=0.1), dict(dtype="float32", activation="tanh")])
def test_save_and_load(options, backend, tiny, tmp_path):
    model, X = tiny(backend=backend, **options)
    model.fit(X, epochs=2)
    model.save(tmp_path / "m.safetensors")
    other = load(tmp_path / "m.safetensors", backend=backend)
    assert repr(other) == repr(model) and other.weights == model.weights
    np.testing.assert_array_equal(other.reconstruct(X), model.reconstruct(X))
    model.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "m.safetensors").read_bytes()


def test_a_model_moves_between_backends(backend, tiny, tmp_path):
    model, X = tiny()
    model.save(tmp_path / "m.safetensors")
    moved = load(tmp_path / "m.safetensors", backend=backend, dtype="float32")
    assert moved.backend.name == backend.name
    np.testing.assert_allclose(moved.encode(X), model.encode(X), rtol=1e-5)
    np.testing.assert_allclose(model.copy(backend=backend).encode(X), model.encode(X), rtol=1e-12)


def test_bad_files(tiny, tmp_path):
    model, _ = tiny()
    good = tmp_path / "m.safetensors"
    model.save(good)
    whole = good.read_bytes()
    bad = tmp_path / "bad.safetensors"
    for content in (b"", b"hello", whole[: len(whole) // 2], whole[:-1], b"\xff" * 100):
        bad.write_bytes(content)
        with pytest.raises(InputError, match=r"truncated, or of another kind") as error:
            load(bad)
        assert "\n" not in str(error.value)
    from safetensors.numpy import save_file

    save_file({"W": np.zeros(3)}, bad)
    with pytest.raises(InputError, match="minae did not write"):
        load(bad)
    with pytest.raises(InputError, match="no file"):
        load(tmp_path / "none")
    with pytest.raises(InputError, match="cannot write"):
        model.save(tmp_path / "no" / "folder.safetensors")
    assert good.read_bytes() == whole


def test_a_full_disk_leaves_the_old_file(tiny, tmp_path, monkeypatch):
    import errno
    import os

    model, _ = tiny()
    path = tmp_path / "m.safetensors"
    model.save(path)
    before = path.read_bytes()
    model.parameters.flat[...] = 0

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        model.save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_every_model_is_registered_and_found_by_its_name():
    """In the order of the book; a class of Python has the name that `import minae` gives it."""
    import minae

    models = registry()
    assert set(models) >= set(
        "undercomplete sparse k_sparse denoising variational contractive contractive_h predictive_sparse lista hashing "
        "classifier".split()
    )
    sections = [[int(part) for part in kind.section.split(".")] for kind in models.values()]
    assert sections == sorted(sections)
    for name, kind in models.items():
        assert kind.name == name and get_model(name) is kind and getattr(minae, kind.__name__) is kind
    with pytest.raises(InputError, match="unknown model 'gann': choose one of"):
        get_model("gann")


def test_a_copy_has_the_weights_of_its_model(backend, tiny):
    """REVIEW_ENGINE, survivor S11: λ was annealed, and a float64 copy must have the same cost."""
    model, x = tiny(lam=0.1, backend=backend)
    model.weights["Omega"], model.weights["L"] = 0.25, 0.5
    for other in (model.copy(), model.copy(dtype="float32")):
        assert other.weights == model.weights and other.weights is not model.weights
        rows = backend.from_numpy(x.astype(other.dtype))
        expected = float(model.cost_and_grad(backend.from_numpy(x)))
        assert float(other.cost_and_grad(rows)) == pytest.approx(expected, rel=1e-5)
    assert model.copy().lam == 0.25


def test_a_model_that_works_keeps_its_weights(tiny, tmp_path):
    """λ is an option of the model and stands in its configuration, the weight of L is none: the file has both."""
    model, _ = tiny(lam=0.1)
    model.lam, model.weights["L"] = 0.25, 0.5
    model.save(tmp_path / "m.safetensors")
    other = load(tmp_path / "m.safetensors")
    assert other.weights == {"L": 0.5, "Omega": 0.25} and "lam=0.25" in repr(other)


def test_every_copy_knows_how_its_data_were_prepared(tiny, tmp_path):
    """A copy that has lost the preprocessing encodes other numbers than its model, as soon as it comes from a file."""
    model, X = tiny()
    model.preprocessing = Preprocessing(scale=255, drop=["row"]).standardised(X)
    model.save(tmp_path / "m")
    copies = model.copy(), copy.deepcopy(model), pickle.loads(pickle.dumps(model)), load(tmp_path / "m")
    for other in copies:
        assert other.preprocessing.described() == model.preprocessing.described() != Preprocessing().described()
        other.save(tmp_path / "again")
        assert load(tmp_path / "again").preprocessing.described() == model.preprocessing.described()


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["loky", "threading", "multiprocessing"])
def test_joblib_gives_models_that_train(workers, tmp_path):
    """A model goes through joblib's files, also mapped ones, and to its workers and back."""
    joblib = pytest.importorskip("joblib", reason="joblib is not here, and its workers are not tried")
    X = np.random.default_rng(0).random((200, 12)).astype("f")
    model = UndercompleteAutoencoder((12, 5), seed=1, backend="numpy")
    for mapped in (None, "r"):
        back = joblib.load(joblib.dump(model, tmp_path / "m.joblib")[0], mmap_mode=mapped)
        assert np.array_equal(back.parameters.flat, model.parameters.flat)
        back.fit(X, epochs=1)
    assert joblib.hash(model) == joblib.hash(model.copy())
    trained = joblib.Parallel(2, backend=workers)(joblib.delayed(trained_on)(model, X, seed) for seed in (0, 1, 0))
    np.testing.assert_allclose(trained[0].parameters.flat, trained[2].parameters.flat, atol=1e-6)
    assert not np.array_equal(trained[0].parameters.flat, trained[1].parameters.flat)
    np.testing.assert_allclose(trained[0].parameters.flat, trained_on(model, X, 0).parameters.flat, atol=1e-6)


def trained_on(model, X, seed):
    model = model.copy()
    model.fit(X, epochs=2, seed=seed)
    return model


# ---- images


CONV = dict(sizes=(96, 6, 3), image=(2, 8, 6), channels=(3, 4), activation="relu", code="identity")


@pytest.mark.parametrize("name", ["undercomplete", "denoising", "variational", "sparse", "k_sparse", "hashing"])
def test_every_model_of_f_and_g_takes_convolutions(name, backend, rng, tmp_path):
    """The same page on another f and g: it trains, keeps the shape of x, is saved, and is copied."""
    options = {"k": 2} if name == "k_sparse" else {"penalty": "l1"} if name == "sparse" else {}
    if name == "hashing":
        options["code"] = "sigmoid"
    model = get_model(name)(**{**CONV, **options}, backend=backend, seed=1)
    X = rng.uniform(size=(20, 2, 8, 6)).astype("float32")
    history = model.fit(X, epochs=6, batch_size=5, progress=False)
    assert history["L"][-1] < history["L"][0]
    h = model.encode(X)
    assert h.shape == (20, 3) and model.reconstruct(X).shape == X.shape == model.decode(h).shape
    model.save(tmp_path / "m.safetensors")
    other = load(tmp_path / "m.safetensors", backend=backend)
    np.testing.assert_array_equal(other.encode(X), h)
    assert other.image == [2, 8, 6]


def test_the_jacobian_of_an_image(rng):
    model = UndercompleteAutoencoder(**CONV, dtype="float64", seed=1)
    model.parameters.flat[...] += 0.1 * rng.standard_normal(model.parameters.flat.shape)
    X, dx = rng.uniform(size=(3, 2, 8, 6)), 1e-6 * rng.standard_normal((3, 2, 8, 6))
    moved = (model.encode(X + dx) - model.encode(X - dx)) / 2
    np.testing.assert_allclose(np.einsum("bmcij,bcij->bm", model.jacobian(X), dx), moved, atol=1e-11)


def test_a_convolutional_autoencoder_reconstructs_better_than_a_mean(digits):
    X = digits.train[:1500].reshape(-1, 1, 28, 28)
    model = UndercompleteAutoencoder((784, 32), image=(1, 28, 28), channels=(8, 16), activation="relu", code="identity")
    model.fit(X, epochs=6, batch_size=32, progress=False)
    test = digits.test[:300].reshape(-1, 1, 28, 28)
    assert np.square(model.reconstruct(test) - test).sum() < 0.5 * np.square(X.mean(axis=0) - test).sum()


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(channels=None), "image is .* and channels None: expected both, or none"),
        (dict(image=None), "expected both, or none"),
        (dict(image=(2, 8, 7)), r"expected C·H·W = 112 as the first size"),
        (dict(image=(8, 12)), "image is .*: expected 3 numbers ≥ 1"),
        (dict(channels=()), "channels is .*: expected widths ≥ 1"),
        (dict(tied=True), "tied=False"),
    ],
)
def test_images_that_do_not_fit(change, message):
    with pytest.raises(InputError, match=message) as error:
        UndercompleteAutoencoder(**{**CONV, **change})
    assert "\n" not in str(error.value)


def test_models_without_room_for_an_image_say_so(rng):
    with pytest.raises(InputError, match=r"channels is .*leave channels out"):
        get_model("predictive_sparse")(**CONV)
    with pytest.raises(InputError, match="the contraction is derived for layers"):
        get_model("contractive")(**CONV, tied=False)
    with pytest.raises(InputError, match="pretrain fills layers"):
        pretrain(UndercompleteAutoencoder(**CONV), rng.uniform(size=(9, 2, 8, 6)))


def test_a_verb_takes_fewer_rows_at_once_where_a_row_is_large():
    for n, rows in ((700, [1000, 200]), (5000, [209] * 5 + [155]), (10**5, [32] * 37 + [16])):
        model, seen = UndercompleteAutoencoder((n, 1)), []
        X = np.broadcast_to(np.float32(0.5), (1200, n))
        model.apply(lambda x, start, seen=seen: seen.append(len(x)) or x[:, :1], X)
        assert seen == rows

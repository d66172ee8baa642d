import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

import guard
from minae import DenoisingAutoencoder, UndercompleteAutoencoder, VariationalAutoencoder
from minae.backend import STREAMS, Backend, get_backend, namespace
from minae.errors import InputError


def test_backend_by_name_environment_and_default(monkeypatch):
    monkeypatch.delenv("MINAE_BACKEND", raising=False)
    assert get_backend().name == "numpy"
    monkeypatch.setenv("MINAE_BACKEND", "guard")
    assert get_backend().name == "guard"
    assert get_backend("numpy").name == "numpy"
    assert get_backend("auto").name in ("numpy", "cupy")
    with pytest.raises(InputError, match="unknown backend 'cuda'"):
        get_backend("cuda")


def test_namespace(backend):
    assert namespace(backend.from_numpy(np.zeros(3))) is backend.xp
    assert namespace(np.float32(1)) is np


def test_the_guard_refuses_what_cupy_refuses():
    x = guard.ndarray(np.ones((2, 3)))
    for wrong in (
        lambda: np.asarray(x),
        lambda: np.tanh(x),
        lambda: x + np.ones((2, 3)),
        lambda: np.ones((2, 3)) * x,
        lambda: guard.matmul(x, np.ones((3, 2))),
        lambda: x.__setitem__(0, np.ones(3)),
    ):
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(AttributeError, match="does CuPy have it"):
        guard.nonsense  # noqa: B018


# ---- streams


KEYS = {
    "check": [()],
    "order": [(0,), (1,), (5,)],
    "noise": [(0, 0), (0, 1), (1, 0), (5, 7)],
    "evaluation": [(0,), (1,), (1000,)],
    "sample": [()],
    "likelihood": [(0, 0), (0, 1), (1, 0), (1000, 0), (1000, 1)],
    "chain": [()],
    "langevin": [()],
    "unpaired": [(0, 0), (1, 0), (0, 1), (1, 1)],
    "example": [()],
    "held out": [()],
}


def test_no_two_streams_give_the_same_numbers():
    """The fault of the first edition: `sample` and the first draw of `log_likelihood` had one stream."""
    assert set(KEYS) == set(STREAMS)
    drawn = {
        (seed, name, key): Backend().stream(seed, name, *key).standard_normal(5).tobytes()
        for seed in (0, 1)
        for name, keys in KEYS.items()
        for key in keys
    }
    assert len(set(drawn.values())) == len(drawn)
    for (seed, name, key), numbers in drawn.items():
        assert Backend().stream(seed, name, *key).standard_normal(5).tobytes() == numbers


def test_spawn_keys_never_coincide():
    """Whatever the numbers behind the names are: keys of 1, 2 and 3 numbers, and prefixes that differ."""
    lengths = {"order": 1, "noise": 2, "evaluation": 3}
    for name, keys in KEYS.items():
        for key in keys:
            length = len(STREAMS[name]) + len(key)
            assert length == lengths.get(name, max(length, 4))
    long = [prefix for name, prefix in STREAMS.items() if name not in lengths]
    for one, two in itertools.combinations(long, 2):
        assert len(one) == len(two) == 4 and one != two


def test_order_and_noise_keep_the_keys_of_the_first_edition():
    """So runs of the first edition repeat."""
    for epoch, step in ((0, 0), (3, 0), (2, 11)):
        for seed in (0, 7):
            sequence = np.random.SeedSequence(seed, spawn_key=(epoch,))
            expected = np.random.default_rng(sequence).permutation(20)
            np.testing.assert_array_equal(Backend().stream(seed, "order", epoch).permutation(20), expected)
            sequence = np.random.SeedSequence(seed, spawn_key=(epoch, step))
            expected = np.random.default_rng(sequence).standard_normal(5)
            np.testing.assert_array_equal(Backend().stream(seed, "noise", epoch, step).standard_normal(5), expected)


def watched(monkeypatch):
    """The streams that are asked for from here on: (seed, name, *key)."""
    asked, stream = [], Backend.stream

    def watch(self, seed, name, *key):
        asked.append((seed, name, *key))
        return stream(self, seed, name, *key)

    monkeypatch.setattr(Backend, "stream", watch)
    return asked


def test_every_epoch_has_an_order_and_every_step_a_noise_of_its_own(monkeypatch, rng):
    """REVIEW_ENGINE, survivors S3 and S4: the same order, or the same noise, in every epoch."""
    X, orders, corrupted = rng.uniform(size=(12, 7)).astype("float32"), [], []
    model = DenoisingAutoencoder((7, 5), corruption="gaussian")
    model.fit(X[:4], epochs=1)  # `_spec` has drawn its example
    asked = watched(monkeypatch)
    cost_and_grad = model.cost_and_grad

    def watch(x, x_tilde, need_grad=True, **options):
        if need_grad:
            orders.append(x.copy())
            corrupted.append(x_tilde - x)
        return cost_and_grad(x=x, x_tilde=x_tilde, need_grad=need_grad, **options)

    model.cost_and_grad = watch
    model.fit(X, epochs=3, batch_size=4, seed=5)
    trained = [key for key in asked if key[1] == "noise"]
    assert [key for key in asked if key[1] == "order"] == [(5, "order", epoch) for epoch in range(3)]
    assert {key[2:] for key in trained} == {(epoch, step) for epoch in range(3) for step in range(3)}
    assert len(np.unique(np.round(corrupted, 5).reshape(9, -1), axis=0)) == 9
    epochs = np.array(orders).reshape(3, 12, 7)
    for one, two in itertools.combinations(epochs, 2):
        assert (one != two).any()
        np.testing.assert_array_equal(np.sort(one, axis=0), np.sort(two, axis=0))  # every row once an epoch


def test_the_likelihood_draws_anew_for_every_batch_of_rows(monkeypatch):
    """The fault of the first edition: rows 0 and 1000 had the same ε. With the same x, too, their bounds differ."""
    model = VariationalAutoencoder((7, 5, 3), dtype="float64")
    X = np.tile(np.random.default_rng(0).uniform(size=(1, 7)), (1001, 1))
    asked = watched(monkeypatch)
    bound = model.log_likelihood(X, samples=3)
    assert bound[0] != bound[1000] and len(np.unique(bound)) == 1001
    likelihood = [key for key in asked if key[1] == "likelihood"]
    assert likelihood == [(0, "likelihood", start, k) for start in (0, 1000) for k in range(3)]
    asked.clear()
    model.sample(2)
    assert asked == [(0, "sample")]  # shares no stream with the likelihood


def test_evaluation_draws_from_a_stream_of_its_own(monkeypatch, rng):
    model, X = VariationalAutoencoder((7, 3)), rng.uniform(size=(10, 7))
    model.evaluate(X, batch_size=4)
    asked = watched(monkeypatch)
    model.evaluate(X, batch_size=4)
    assert [key for key in asked if key[1] == "evaluation"] == [(0, "evaluation", start) for start in (0, 4, 8)]
    assert not [key for key in asked if key[1] in ("noise", "order", "check")]
    assert model.evaluate(X, batch_size=4) == model.evaluate(X, batch_size=4)


def test_a_model_without_constants_draws_nothing(monkeypatch, rng):
    model, X = UndercompleteAutoencoder((7, 3)), rng.uniform(size=(10, 7))
    model.evaluate(X)
    asked = watched(monkeypatch)
    model.evaluate(X)
    assert not asked


# ---- CuPy


def test_cupy_without_a_gpu_says_what_to_do():
    try:
        get_backend("cupy")
    except InputError as error:
        assert "\n" not in str(error) and "numpy" in str(error)
    else:
        pytest.skip("a GPU answers here")


def test_a_backend_is_pickled_by_its_name(backend):
    import copy
    import pickle

    assert pickle.loads(pickle.dumps(backend)).name == copy.deepcopy(backend).name == backend.name


def test_environment_variable_reaches_a_fresh_process():
    code = "import minae; minae.UndercompleteAutoencoder((3, 2))"
    env = {**os.environ, "MINAE_BACKEND": "nonsense"}
    result = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert "unknown backend 'nonsense'" in result.stderr

"""Backends as parameters: NumPy, the guard that stands in for CuPy, and CuPy itself where a GPU answers."""

import functools

import hypothesis
import numpy as np
import pytest

import guard
from minae import UndercompleteAutoencoder, checks, models
from minae import backend as backends
from minae.errors import InputError

backends.BACKENDS["guard"] = guard.GuardBackend
hypothesis.settings.register_profile("minae", deadline=None, max_examples=40, derandomize=True)
hypothesis.settings.load_profile("minae")


def _no_gpu():
    """Why there is no GPU, in one line; "" where one answers."""
    try:
        backends.get_backend("cupy")
    except InputError as error:
        return str(error)
    return ""


NO_GPU = _no_gpu()
BACKENDS = ["numpy", "guard"] + ["cupy"] * (not NO_GPU)


def pytest_terminal_summary(terminalreporter):
    if NO_GPU:
        terminalreporter.write_line(f"no test ran on a GPU, the guard stood in for it: {NO_GPU}")


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items):
    """Each operation of the guard passes through Python, and some thousands of differences make a slow test of it."""
    for item in items:
        on_guard = "callspec" in vars(item) and item.callspec.params.get("backend") == "guard"
        if on_guard and item.get_closest_marker("slow_on_guard"):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(params=BACKENDS)
def backend(request):
    return backends.get_backend(request.param)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def digits():
    from minae import data

    return data.mnist()


@pytest.fixture
def tiny(rng):
    """tiny(sizes=(7, 5, 3), **options) -> (model, X): a small model in float64, and data in [0, 1] on the host."""

    def make(sizes=(7, 5, 3), rows=4, **options):
        model = UndercompleteAutoencoder(sizes, **{"dtype": "float64", "seed": 1, **options})
        return model, rng.uniform(size=(rows, sizes[0])).astype(model.dtype)

    return make


@pytest.fixture(scope="session")
def cases():
    """cases(name of a backend) -> name of a case -> (model, batch): the cases of `minae check`, built once."""

    @functools.cache
    def built(name):
        return {case: (model, batch) for case, model, batch in checks.cases(name)}

    return built


@pytest.fixture
def registered():
    """Models that a test registers are forgotten after it."""
    before = dict(models.MODELS)
    yield models.MODELS
    models.MODELS.clear()
    models.MODELS.update(before)

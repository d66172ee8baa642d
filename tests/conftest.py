"""Backends as parameters: NumPy, the guard that stands in for CuPy, and CuPy itself where a GPU answers."""

import hypothesis
import numpy as np
import pytest

import guard
from minae import UndercompleteAutoencoder
from minae import backend as backends
from minae.errors import InputError

backends.BACKENDS["guard"] = guard.GuardBackend
hypothesis.settings.register_profile("minae", deadline=None, max_examples=40, derandomize=True)
hypothesis.settings.load_profile("minae")


@pytest.fixture(params=["numpy", "guard", "cupy"])
def backend(request):
    try:
        return backends.get_backend(request.param)
    except InputError as error:
        pytest.skip(str(error))


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

import numpy as np
import pytest

from minae import UndercompleteAutoencoder
from minae.arena import Arena
from minae.errors import InputError
from minae.parameters import Columns, Parameters
from minae.training import OPTIMIZERS


def make(backend):
    return Parameters({"W": (3, 2), "b": (2,), "V": (2, 3)}, Arena(backend, "float64"))


def test_one_vector_with_views(backend):
    p = make(backend)
    p["b"][...] = 5
    assert list(p) == ["W", "b", "V"] and p.flat.shape == (14,)
    np.testing.assert_array_equal(backend.to_numpy(p.flat), [0] * 6 + [5, 5] + [0] * 6)
    p.flat[...] = 1
    assert float(p["V"].sum()) == 6


def test_gradients_add_and_those_without_an_addition_are_zero(backend, rng):
    p, to, back = make(backend), backend.from_numpy, backend.to_numpy
    A, B, da = rng.standard_normal((3, 4)), rng.standard_normal((4, 2)), rng.standard_normal((4, 2))
    for _ in range(2):  # the second round must not see the first
        p.zero_grad()
        p.gradient("W").add_product(to(A), to(B))
        p.gradient("W").add_product(to(A), to(B))
        p.gradient("b").add_rows(to(da))
        p.gradient("b").add_rows(to(da))
        np.testing.assert_allclose(back(p.views(p.grad)["W"]), 2 * A @ B)
        np.testing.assert_allclose(back(p.views(p.grad)["b"]), 2 * da.sum(axis=0))
        np.testing.assert_array_equal(back(p.views(p.grad)["V"]), 0)
    p.zero_grad()
    np.testing.assert_array_equal(back(p.grad), 0)


def test_the_transposed_accumulator_is_the_same_gradient(backend, rng):
    p, to, back = make(backend), backend.from_numpy, backend.to_numpy
    A, B = rng.standard_normal((2, 4)), rng.standard_normal((4, 3))
    p.zero_grad()
    p.gradient("W").array[...] += 1
    p.gradient("W").T.add_product(to(A), to(B))
    np.testing.assert_allclose(back(p.views(p.grad)["W"]), 1 + (A @ B).T)
    np.testing.assert_allclose(back(p.gradient("W").T.array), 1 + A @ B)


def test_every_way_of_adding(backend, rng):
    """add, add_scaled by a number and by a factor a column, add_product, add_rows: the first overwrites, others add."""
    p, to, back = make(backend), backend.from_numpy, backend.to_numpy
    D, W, f = rng.standard_normal((3, 2)), rng.standard_normal((3, 2)), rng.standard_normal(2)
    A, B = rng.standard_normal((3, 4)), rng.standard_normal((4, 2))
    ways = {
        "add": (lambda dW: dW.add(to(D)), D),
        "number": (lambda dW: dW.add_scaled(to(W), 0.3), 0.3 * W),
        "columns": (lambda dW: dW.add_scaled(to(W), to(f)), W * f),
        "product": (lambda dW: dW.add_product(to(A), to(B)), A @ B),
    }
    for first, (add, one) in ways.items():
        for second, (add_too, two) in ways.items():
            p.zero_grad()
            add(p.gradient("W"))
            add_too(p.gradient("W"))
            np.testing.assert_allclose(back(p.gradient("W").array), one + two, atol=1e-14, err_msg=f"{first}, {second}")


def test_columns_lie_together(backend, rng):
    p = Parameters({"W": Columns((3, 2)), "b": (2,)}, Arena(backend, "float64"))
    W = rng.standard_normal((3, 2))
    p["W"][...] = backend.from_numpy(W)
    assert p["W"].shape == (3, 2)
    np.testing.assert_array_equal(backend.to_numpy(p.flat), [*W.T.ravel(), 0, 0])
    np.testing.assert_array_equal(backend.to_numpy(p.views(p.flat)["W"]), W)


LAYERS = {"f1": ("W",), "f2": ("b",), "g1": ("V",)}


@pytest.mark.parametrize(
    "rates, only, expected",
    [
        ({}, None, [(0, 14, 1.0)]),
        ({"f1": 1.0, "g1": 1}, None, [(0, 14, 1.0)]),
        ({"f1": 0.5}, None, [(0, 6, 0.5), (6, 14, 1.0)]),
        ({"f2": 0}, None, [(0, 6, 1.0), (8, 14, 1.0)]),  # S1: a frozen layer BETWEEN two others is in no slice
        ({"f1": 0, "g1": 0}, None, [(6, 8, 1.0)]),
        ({"f1": 0, "f2": 0, "g1": 0}, None, []),
        ({}, {"b", "V"}, [(6, 14, 1.0)]),
        ({"f1": 2.0}, {"W", "V"}, [(0, 6, 2.0), (8, 14, 1.0)]),
        ({}, set(), []),
    ],
)
def test_slices(rates, only, expected, backend):
    p = Parameters({"W": (3, 2), "b": (2,), "V": (2, 3)}, Arena(backend, "float64"), LAYERS)
    assert [(part.start, part.stop, factor) for part, factor in p.slices(rates, only)] == expected


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "nesterov", "adam", "adamw"])
def test_a_frozen_layer_between_two_others_stays(optimizer, tiny):
    """REVIEW_ENGINE, survivor S1: slices that are merged across a frozen layer would train it, silently."""
    model, X = tiny((7, 6, 5, 4))
    assert isinstance(model, UndercompleteAutoencoder)
    before = model.parameters.views(model.parameters.flat.copy())
    model.fit(X, epochs=3, optimizer=OPTIMIZERS[optimizer](1e-2, rates={"f2": 0, "g1": 0}))
    for name in model.parameters:
        same = bool((model.parameters[name] == before[name]).all())
        assert same == (name in ("W2", "b2", "V1", "c1")), name


def test_bad_rates(backend):
    p = Parameters({"W": (3, 2), "b": (2,), "V": (2, 3)}, Arena(backend, "float64"), LAYERS)
    with pytest.raises(InputError, match="rates names a layer 'f9': this model has f1, f2, g1"):
        p.slices({"f9": 1})
    for factor in (-1, float("nan"), float("inf")):
        with pytest.raises(InputError, match="for layer 'f1': expected a factor ≥ 0"):
            p.slices({"f1": factor})


def test_more_parameters_than_memory():
    with pytest.raises(InputError, match="parameters do not fit into memory: choose smaller sizes") as error:
        UndercompleteAutoencoder((2**40, 2**20))
    assert "\n" not in str(error.value)

import numpy as np

from minae.backend import Arena
from minae.parameters import Parameters


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
        p.gradient("b").add_sum(to(da))
        p.gradient("b").add_sum(to(da))
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

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import expit, log_softmax

from minae import kernels, ops
from minae.arena import Arena
from minae.backend import Backend
from minae.parameters import Columns, Parameters

ACTIVATIONS = ops.ACTIVATIONS
TRUE = {
    "identity": lambda a: a,
    "sigmoid": expit,
    "tanh": np.tanh,
    "relu": lambda a: a * (a > 0),
    "softplus": lambda a: np.log1p(np.exp(-np.abs(a))) + np.maximum(a, 0),
    "leaky_relu": lambda a: np.where(a < 0, 0.01 * a, a),
    "elu": lambda a: np.where(a < 0, np.expm1(np.minimum(a, 0)), a),
    "swish": lambda a: a * expit(a),
    "gelu": lambda a: 0.5 * a * (1 + np.tanh(np.sqrt(2 / np.pi) * (a + 0.044715 * a**3))),
}


def numeric_gradient(f, x, h=1e-5):
    g = np.empty_like(x)
    for i in np.ndindex(*x.shape):
        e = np.zeros_like(x)
        e[i] = h
        g[i] = (f(x + e) - f(x - e)) / (2 * h)
    return g


def assert_backward(backend, op, op_backward, a, rng, of_a=False):
    """The gradient of Σ dy · op(a) for a RANDOM dy: with dy = 1 a softmax would pass with any gradient."""
    dy, to, back = rng.standard_normal(a.shape), backend.from_numpy, backend.to_numpy
    y, dy_device = op(to(a)), to(dy)
    da = back(op_backward(dy_device, to(a) if of_a else y))
    numeric = numeric_gradient(lambda a: float((dy * back(op(to(a)))).sum()), a)
    np.testing.assert_allclose(da, numeric, rtol=1e-7, atol=1e-8)
    np.testing.assert_array_equal(back(dy_device), dy)  # the incoming gradient is never written to
    return da


def phi(name):
    return functools.partial(ops.phi, name=name)


def phi_backward(name):
    return functools.partial(ops.phi_backward, name=name)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name, backend, rng):
    a = rng.standard_normal((3, 5))
    np.testing.assert_allclose(backend.to_numpy(ops.phi(backend.from_numpy(a), name)), TRUE[name](a), rtol=1e-12)
    assert_backward(backend, phi(name), phi_backward(name), a, rng, of_a=name in ops.OF_A)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slopes(name, backend, rng):
    """φ' and φ'' as functions of h, each against differences of the one below it."""
    a, to, back, h = rng.standard_normal((3, 5)), backend.from_numpy, backend.to_numpy, 1e-5

    def value(a):
        return back(ops.phi(to(a.copy()), name)).copy()

    def source(a):
        return to(a.copy()) if name in ops.OF_A else ops.phi(to(a.copy()), name)

    def slope(function, a):
        return back(function(source(a), name, out=to(np.empty_like(a))))

    prime, second = kernels.activations.prime, kernels.activations.second
    np.testing.assert_allclose(slope(prime, a), (value(a + h) - value(a - h)) / (2 * h), atol=1e-8)
    np.testing.assert_allclose(slope(second, a), (slope(prime, a + h) - slope(prime, a - h)) / (2 * h), atol=1e-8)
    d = rng.standard_normal(a.shape)
    product = kernels.activations.times_second(to(d.copy()), source(a), name)
    np.testing.assert_allclose(back(product), d * slope(second, a), rtol=1e-12)


def test_log_softmax(backend, rng):
    s = 3 * rng.standard_normal((3, 5))
    s[0] += 1e4  # shifts do not overflow
    np.testing.assert_allclose(
        backend.to_numpy(ops.log_softmax(backend.from_numpy(s))), log_softmax(s, axis=1), atol=1e-11
    )
    assert_backward(backend, ops.log_softmax, ops.log_softmax_backward, s[1:], rng)


def test_the_check_can_fail(rng):
    s = rng.standard_normal((3, 5))
    with pytest.raises(AssertionError):
        assert_backward(Backend(), ops.log_softmax, lambda dy, y: dy - np.exp(y), s, rng)
    with pytest.raises(AssertionError):
        assert_backward(Backend(), phi("tanh"), lambda dy, h: dy * (1 - h), s, rng)


@pytest.mark.parametrize("name", ACTIVATIONS)
@given(
    a=hnp.arrays(
        st.sampled_from([np.float32, np.float64]),
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
        elements=st.floats(-500, 500, width=32),
    )
)
def test_activation_keeps_shape_and_dtype_and_honours_out(name, a):
    h, kept = ops.phi(a.copy(), name), a.copy()
    assert h.dtype == a.dtype and h.shape == a.shape and np.isfinite(h).all()
    np.testing.assert_allclose(h, TRUE[name](a), rtol=1e-5, atol=1e-6)
    assert ops.phi(kept, name, out=kept) is kept
    np.testing.assert_array_equal(kept, h)  # in place gives the same
    dh, da = np.ones_like(a), np.empty_like(a)
    result = ops.phi_backward(dh, h, name, out=da)
    assert result.dtype == a.dtype and (result is da or name == "identity")
    np.testing.assert_array_equal(dh, 1)


def test_affine(backend, rng):
    x, W, b, da = (rng.standard_normal(shape) for shape in ((4, 7), (7, 5), (5,), (4, 5)))
    to, back = backend.from_numpy, backend.to_numpy
    parameters = Parameters({"W": (7, 5), "b": (5,)}, Arena(backend, "float64"))
    parameters["W"][...], parameters["b"][...] = to(W), to(b)
    np.testing.assert_allclose(back(ops.affine(to(x), parameters["W"], parameters["b"])), x @ W + b)
    parameters.zero_grad()
    dW, db = parameters.gradient("W"), parameters.gradient("b")
    for times in (1, 2):  # gradients are added to
        dx = ops.affine_backward(to(da), to(x), parameters["W"], dW, db)
        np.testing.assert_allclose(back(dW.array), times * (x.T @ da))
        np.testing.assert_allclose(back(db.array), times * da.sum(axis=0))
        np.testing.assert_allclose(back(dx), da @ W.T)
    assert ops.affine_backward(to(da), to(x), parameters["W"], dW, db, need_dx=False) is None
    before = back(parameters.grad).copy()
    dx = ops.affine_backward(to(da), to(x), parameters["W"], None, None)  # gradients that are not wanted
    np.testing.assert_allclose(back(dx), da @ W.T)
    np.testing.assert_array_equal(back(parameters.grad), before)


# ---- rows: the same products for a code of which few units are on


def sparse(rng, B=6, m=9, k=3):
    unit = np.sort(np.argsort(rng.standard_normal((B, m)), axis=1)[:, :k].astype("int32"), axis=1)
    value, dense = rng.standard_normal((B, k)), np.zeros((B, m))
    np.put_along_axis(dense, unit.astype(int), value, axis=1)
    return ops.rows.Sparse(unit, value), dense


@pytest.mark.parametrize("need_dW", [True, False])
def test_affine_of_a_sparse_code_is_the_dense_one(need_dW, rng):
    arena = Arena(Backend(), "float64")
    (x, dense), W, b, da = sparse(rng), rng.standard_normal((9, 5)), rng.standard_normal(5), rng.standard_normal((6, 5))
    p = Parameters({"W": (9, 5), "b": (5,)}, arena)
    p["W"][...], p["b"][...] = W, b
    np.testing.assert_allclose(ops.rows.affine(x, p["W"], p["b"], np.empty((6, 5))), dense @ W + b, rtol=1e-12)
    p.zero_grad()
    dW, db = (p.gradient("W"), p.gradient("b")) if need_dW else (None, None)
    dx = ops.rows.affine_backward(da, x, p["W"], dW, db, arena)
    np.testing.assert_array_equal(dx.unit, x.unit)
    np.testing.assert_allclose(dx.value, np.take_along_axis(da @ W.T, x.unit.astype(int), axis=1), rtol=1e-12)
    np.testing.assert_allclose(p.views(p.grad)["W"], dense.T @ da if need_dW else 0, atol=1e-12)
    np.testing.assert_allclose(p.views(p.grad)["b"], da.sum(axis=0) if need_dW else 0, atol=1e-12)
    assert ops.rows.affine_backward(da, x, p["W"], dW, db, arena, need_dx=False) is None


@pytest.mark.parametrize("need_dW", [True, False])
def test_affine_backward_of_a_sparse_gradient_is_the_dense_one(need_dW, rng):
    arena = Arena(Backend(), "float64")
    (da, dense), x, W = sparse(rng), rng.standard_normal((6, 5)), rng.standard_normal((5, 9))
    p = Parameters({"W": Columns((5, 9)), "b": (9,)}, arena)
    p["W"][...] = W
    p.zero_grad()
    dW, db = (p.gradient("W"), p.gradient("b")) if need_dW else (None, None)
    dx = ops.rows.affine_backward_sparse(da, x, p["W"], dW, db, arena)
    np.testing.assert_allclose(dx, dense @ W.T, atol=1e-12)
    np.testing.assert_allclose(p.views(p.grad)["W"], x.T @ dense if need_dW else 0, atol=1e-12)
    np.testing.assert_allclose(p.views(p.grad)["b"], dense.sum(axis=0) if need_dW else 0, atol=1e-12)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_phi_backward_of_a_sparse_gradient_is_the_dense_one(name, rng):
    (dh, dense), h = sparse(rng), ops.phi(rng.standard_normal((6, 9)), name)
    da = ops.rows.phi_backward(dh, h, name, Arena(Backend(), "float64"))
    expected = ops.phi_backward(dense, h, name)
    np.testing.assert_allclose(da.value, np.take_along_axis(expected, dh.unit.astype(int), axis=1), rtol=1e-12)

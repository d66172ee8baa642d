import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import expit, log_softmax

from minae import ops
from minae.backend import Arena, Backend
from minae.parameters import Parameters

ACTIVATIONS = list(ops.ACTIVATIONS)
TRUE = {
    "identity": lambda a: a,
    "sigmoid": expit,
    "tanh": np.tanh,
    "relu": lambda a: a * (a > 0),
    "softplus": lambda a: np.log1p(np.exp(-np.abs(a))) + np.maximum(a, 0),
}


def numeric_gradient(f, x, h=1e-5):
    g = np.empty_like(x)
    for i in np.ndindex(*x.shape):
        e = np.zeros_like(x)
        e[i] = h
        g[i] = (f(x + e) - f(x - e)) / (2 * h)
    return g


def assert_backward(backend, op, op_backward, a, rng):
    """The gradient of Σ dy · op(a) for a RANDOM dy: with dy = 1 a softmax would pass with any gradient."""
    dy, to, back = rng.standard_normal(a.shape), backend.from_numpy, backend.to_numpy
    y, dy_device = op(to(a)), to(dy)
    da = back(op_backward(dy_device, y))
    numeric = numeric_gradient(lambda a: float((dy * back(op(to(a)))).sum()), a)
    np.testing.assert_allclose(da, numeric, rtol=1e-7, atol=1e-8)
    np.testing.assert_array_equal(back(dy_device), dy)  # the incoming gradient is never written to
    return da


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name, backend, rng):
    op, op_backward, _ = ops.ACTIVATIONS[name]
    a = rng.standard_normal((3, 5))
    np.testing.assert_allclose(backend.to_numpy(op(backend.from_numpy(a))), TRUE[name](a), rtol=1e-12)
    assert_backward(backend, op, op_backward, a, rng)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_second_derivative(name, backend, rng):
    op, op_backward, second = ops.ACTIVATIONS[name]
    a, to, back, h = rng.standard_normal((3, 5)), backend.from_numpy, backend.to_numpy, 1e-5

    def prime(a):
        y = op(to(a.copy()))
        return back(op_backward(to(np.ones_like(a)), y))

    np.testing.assert_allclose(back(second(op(to(a)))), (prime(a + h) - prime(a - h)) / (2 * h), atol=1e-8)


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
        assert_backward(Backend(), ops.tanh, lambda dy, h: dy * (1 - h), s, rng)


@pytest.mark.parametrize("name", ACTIVATIONS)
@given(
    a=hnp.arrays(
        st.sampled_from([np.float32, np.float64]),
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
        elements=st.floats(-500, 500, width=32),
    )
)
def test_activation_keeps_shape_and_dtype_and_honours_out(name, a):
    op, op_backward, _ = ops.ACTIVATIONS[name]
    h, kept = op(a.copy()), a.copy()
    assert h.dtype == a.dtype and h.shape == a.shape and np.isfinite(h).all()
    np.testing.assert_allclose(h, TRUE[name](a), rtol=1e-5, atol=1e-6)
    assert op(kept, out=kept) is kept
    np.testing.assert_array_equal(kept, h)  # in place gives the same
    dh, da = np.ones_like(a), np.empty_like(a)
    result = op_backward(dh, h, out=da)
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

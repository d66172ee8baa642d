"""Each kernel against its plain reference: odd, empty and large shapes, both float types."""

import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.special import expit

from minae import kernels, ops
from minae.kernels import adam, bernoulli, contraction, exponential, kl_sparsity, shrinkage, sigmoid, slopes

SHAPES = [(1, 1), (3, 7), (2, 0), (5, 64), (129, 785)]
TYPES = [("float32", 3e-6), ("float64", 1e-12)]


def both(monkeypatch, function, *arrays):
    """What `function` returns on copies of the arrays, and the copies: by its plain form, then by its kernel."""
    results = []
    for plain in (True, False):
        with monkeypatch.context() as patch:
            if plain:
                patch.setattr(kernels, "form", lambda *_: "plain")
            copies = [array.copy() for array in arrays]
            results.append([function(*copies), *copies])
    return results


def agree(plain, fast, tolerance):
    for a, b in zip(plain, fast, strict=True):
        if isinstance(b, np.ndarray):
            assert a.dtype == b.dtype
        if b is not None:
            np.testing.assert_allclose(b, a, rtol=10 * tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype, tolerance", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_sigmoid(shape, dtype, tolerance, rng):
    a = (20 * rng.standard_normal(shape)).astype(dtype)
    out = sigmoid.sigmoid(a)
    assert out.dtype == dtype
    np.testing.assert_allclose(out, sigmoid.plain(a, np.empty_like(a)), atol=tolerance)
    np.testing.assert_allclose(out, expit(a.astype("float64")), rtol=tolerance, atol=1e-37)  # small σ is exact, too


@pytest.mark.parametrize("dtype, tolerance", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_bernoulli(shape, dtype, tolerance, rng):
    s, x = (8 * rng.standard_normal(shape)).astype(dtype), rng.uniform(size=shape).astype(dtype)
    ds, ds_plain = np.empty_like(s), np.empty_like(s)
    L, L_plain = bernoulli.loss(s, x, ds, 0.5), bernoulli.plain(s, x, ds_plain, 0.5)
    assert L == pytest.approx(float(L_plain), rel=tolerance, abs=tolerance)
    np.testing.assert_allclose(ds, ds_plain, atol=tolerance)


@pytest.mark.parametrize("dtype, tolerance", TYPES)
@pytest.mark.parametrize("size", [0, 1, 7, 1000, 100_003])
def test_adam(size, dtype, tolerance, rng):
    w, g, s, r = (rng.standard_normal(size).astype(dtype) for _ in range(4))
    r = np.abs(r)
    fast, plain = [w.copy(), g, s.copy(), r.copy()], [w.copy(), g, s.copy(), r.copy()]
    for t in (1, 2, 3):
        adam.update(*fast, t, 1e-2, 0.9, 0.999, 1e-8, 0.1)
        scalars = (1e-2 * 0.1, 0.9, 1 - 0.9, 0.999, 1 - 0.999, 1e-2 / (1 - 0.9**t), 1 / np.sqrt(1 - 0.999**t), 1e-8)
        adam.plain(*plain, *scalars)
    for a, b in zip(fast, plain, strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=10 * tolerance, atol=tolerance)


@pytest.mark.parametrize("momentum", [True, False])
@pytest.mark.parametrize("dtype, tolerance", TYPES)
@pytest.mark.parametrize("shape", [*SHAPES, (0, 3)])
def test_shrinkage(shape, dtype, tolerance, momentum, rng, monkeypatch):
    a, q, h, y = (rng.standard_normal(shape).astype(dtype) for _ in range(4))
    t = 1 + rng.random(shape[0]).astype(dtype)

    def step(a, q, h, y, t):
        shrinkage.step(a, q, 0.3, h, y, t, momentum)

    plain, fast = both(monkeypatch, step, a, q, h, y, t)
    if not momentum:
        plain[-1] = fast[-1] = None  # t has no use
    plain[1] = fast[1] = None  # a is used up
    agree(plain, fast, tolerance)


@pytest.mark.parametrize("dtype, tolerance", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_kl_sparsity(shape, dtype, tolerance, rng, monkeypatch):
    h, dh = rng.uniform(0.02, 0.98, size=shape).astype(dtype), rng.standard_normal(shape).astype(dtype)
    agree(*both(monkeypatch, lambda h: kl_sparsity.value(h, 0.1), h), shape[1] * tolerance)
    agree(*both(monkeypatch, lambda h, dh: kl_sparsity.backward(h, dh, 0.1, 0.5), h, dh), tolerance)


@pytest.mark.parametrize("dtype, tolerance", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("activation", ops.ACTIVATIONS)
def test_slopes_and_the_contraction_of_one_layer(activation, shape, dtype, tolerance, rng, monkeypatch):
    phi, m = ops.ACTIVATIONS[activation][0], shape[1]
    h, h_near = (phi((4 * rng.standard_normal(shape)).astype(dtype)) for _ in range(2))
    dh, da, out = (rng.standard_normal(shape).astype(dtype) for _ in range(3))
    W, dW = (rng.standard_normal((11, m)).astype(dtype) for _ in range(2))
    w = (W * W).sum(axis=0)

    def parity(function, *arrays, scale=1):
        agree(*both(monkeypatch, function, *arrays), scale * tolerance)

    assert slopes.backward(dh, h, activation, out=out).dtype == dtype
    parity(lambda dh, h: slopes.backward(dh, h, activation, out=np.empty_like(h)), dh, h)
    plain, fast = both(monkeypatch, lambda dh, h, out, da: slopes.backward(dh, h, activation, out, da), dh, h, out, da)
    agree([plain[i] for i in (0, 4)], [fast[i] for i in (0, 4)], tolerance)  # `out` is free memory there
    parity(lambda h, out: slopes.prime(h, activation, out), h, out)
    parity(lambda dh, h: slopes.times_second(dh, h, activation), dh, h)
    parity(lambda W: contraction.norms(W, out=np.empty(m, dtype)), W)
    parity(lambda h: contraction.squares(h, activation, out=np.empty(m, dtype)), h)
    parity(lambda h, w, out: contraction.slope_gradient(h, activation, w, 0.5, out), h, w, out, scale=10)
    parity(lambda h, near: contraction.change_squares(h, near, activation, out=np.empty(m, dtype)), h, h_near)
    parity(
        lambda h, near, w, da, out: contraction.change_gradient(h, near, activation, w, 0.5, da, out),
        *(h, h_near, w, da, out), scale=10,
    )  # fmt: skip
    parity(contraction.add_scaled, dW, W, w, scale=10)


@pytest.mark.parametrize("dtype, tolerance", TYPES)
@pytest.mark.parametrize("B, K, n", [(1, 1, 1), (3, 2, 7), (2, 3, 0), (5, 0, 4), (0, 2, 3), (9, 31, 129)])
def test_the_contraction_of_a_chain(B, K, n, dtype, tolerance, rng, monkeypatch):
    dA, C = (rng.standard_normal((B, K, n)).astype(dtype) for _ in range(2))
    p_n, p_K, WT = (rng.standard_normal(shape).astype(dtype) for shape in ((B, n), (B, K), (K, n)))
    agree(*both(monkeypatch, contraction.chain_backward, dA, C, p_n, np.empty_like(p_n)), 10 * tolerance)
    dp, dWT = np.empty_like(p_K), np.empty_like(WT)
    agree(*both(monkeypatch, contraction.top_backward, dA, p_K, WT, dp, dWT), 10 * tolerance)


def test_non_contiguous_arrays_take_the_plain_form(rng):
    a = rng.standard_normal((6, 8))[:, ::2]
    np.testing.assert_allclose(sigmoid.sigmoid(a), expit(a), rtol=1e-12)
    s, x, ds = (np.asfortranarray(rng.uniform(size=(3, 4))) for _ in range(3))
    L = bernoulli.loss(s, x, ds, 1.0)
    assert L == pytest.approx((np.logaddexp(0, s) - x * s).sum() / 3)
    np.testing.assert_allclose(ds, (expit(s) - x) / 3)
    h, dh, out = expit(s), x.copy(), np.asfortranarray(np.empty((3, 4)))
    np.testing.assert_allclose(slopes.backward(dh, h, "sigmoid", out), x * h * (1 - h))
    kl_sparsity.backward(h, dh, 0.1, 1.0)
    np.testing.assert_allclose(dh - x, np.broadcast_to((0.9 / (1 - h.mean(0)) - 0.1 / h.mean(0)) / 3, (3, 4)))
    np.testing.assert_allclose(contraction.squares(h, "tanh", np.empty(4)), np.square(1 - h * h).sum(axis=0))


def test_nan_and_infinity_go_through():
    a = np.array([np.nan, np.inf, -np.inf], np.float32)
    assert np.isnan(sigmoid.sigmoid(a)[0]) and sigmoid.sigmoid(a)[1] == 1 and sigmoid.sigmoid(a)[2] < 1e-30
    s, ds = np.array([[np.nan, 1]], np.float32), np.empty((1, 2), np.float32)
    assert np.isnan(bernoulli.loss(s, np.ones_like(s), ds, 1.0)) and np.isnan(ds[0, 0])
    h, dh, out = np.array([[np.nan, 0.5]], np.float32), np.ones((1, 2), np.float32), np.empty((1, 2), np.float32)
    assert np.isnan(kl_sparsity.value(h, 0.1))
    for activation in ("sigmoid", "tanh", "relu", "softplus"):
        assert np.isnan(slopes.backward(dh, h, activation, out)).tolist() == [[True, False]]
        assert np.isnan(contraction.squares(h, activation, np.empty(2, "f"))).tolist() == [True, False]


def test_the_polynomials_reach_the_accuracy_that_they_state():
    x = np.linspace(-87, 0, 400_001).astype(np.float32)
    y = np.polynomial.polynomial.polyval
    r = np.linspace(-np.log(2) / 2, np.log(2) / 2, 10_001)
    assert np.abs((1 + r + r**2 * y(r, np.array(exponential.EXP, float))) / np.exp(r) - 1).max() < 3e-8
    e = np.linspace(1e-6, 1, 10_001)
    assert np.abs(e * y(e, np.array(exponential.LOG, float)) / np.log1p(e) - 1).max() < 1e-7
    h = sigmoid.sigmoid(x)
    np.testing.assert_allclose(h, expit(x.astype(float)), rtol=5e-7)
    assert sigmoid.sigmoid(np.zeros(1, np.float32))[0] == 0.5


CUDA = """
import numpy as np
from numba import cuda
from minae import ops
from minae.kernels import adam, bernoulli, noise, sigmoid, slopes
rng = np.random.default_rng(0)
for dtype, tolerance in (("float32", 1e-5), ("float64", 1e-12)):
    for size in (1, 7, 259):
        w, g, s, r = (np.abs(rng.standard_normal(size)).astype(dtype) for _ in range(4))
        device = [cuda.to_device(a) for a in (w, g, s, r)]
        scalars = [w.dtype.type(v) for v in (0.01, 0.9, 0.1, 0.999, 0.001, 0.02, 1.5, 1e-8)]
        adam.cuda_launch()[(size + 255) // 256, 256](*device, *scalars)
        adam.plain(w, g, s, r, *scalars)
        for a, b in zip(device, (w, g, s, r)):
            np.testing.assert_allclose(a.copy_to_host(), b, rtol=tolerance)

        loose = 1e-5  # also for float64: beside the Python float of the simulator's exp, NumPy keeps float32 constants
        s, x, ds = 8 * rng.standard_normal((1, size)), rng.random((1, size)), np.empty((1, size))
        s, x, ds = (a.astype(dtype) for a in (s, x, ds))
        flat = [cuda.to_device(a.reshape(-1)) for a in (s, x, ds)]
        h = cuda.device_array(size, s.dtype)
        sigmoid.cuda_launch()[(size + 255) // 256, 256](flat[0], h)
        np.testing.assert_allclose(h.copy_to_host(), sigmoid.plain(s, np.empty_like(s))[0], atol=loose)

        L = bernoulli.plain(s, x, ds, 0.5)
        for threads in {1, min(size, 5), size}:  # each adds up every so many components
            sums = cuda.device_array(threads, s.dtype)
            bernoulli.cuda_launch()[(threads + 255) // 256, 256](*flat, sums, s.dtype.type(0.5))
            np.testing.assert_allclose(sums.copy_to_host().sum(), L, rtol=loose)
            np.testing.assert_allclose(flat[2].copy_to_host(), ds[0], atol=loose)

        for activation, (phi, phi_backward, _) in ops.ACTIVATIONS.items():
            h, dh = phi(s[0].copy()), x[0]
            for add in (False, True):
                da = cuda.to_device(np.ones_like(h))
                slopes.cuda_launch()[(size + 255) // 256, 256](h, dh, da, slopes.KIND[activation], add)
                expected = phi_backward(dh, h) + (1 if add else 0)
                np.testing.assert_allclose(da.copy_to_host(), expected, atol=loose)

for size in (1, 2, 7, 259):
    quarter, key = (size + 3) // 4, (np.uint64(123456789), np.uint64(0xFFFFFFFF))
    for normal in (False, True):
        x, out = np.empty(size, "float32"), cuda.to_device(np.full(size, np.nan, "float32"))
        noise.plain(x, quarter, *key, normal)
        noise.cuda_launch()[(quarter + 255) // 256, 256](out, quarter, *key, normal)
        np.testing.assert_allclose(out.copy_to_host(), x, atol=1e-5)
print("parity")
"""


def test_cuda_kernels_under_the_simulator():
    """The simulator is chosen when Numba loads, hence a process of its own."""
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    env = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    result = subprocess.run([sys.executable, "-c", CUDA], env=env, capture_output=True, text=True, timeout=300)
    assert result.stdout.strip() == "parity", result.stderr

"""Each kernel against its plain reference: odd, empty and large shapes, both float types."""

import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.special import expit

from minae.kernels import adam, bernoulli, exponential, sigmoid

SHAPES = [(1, 1), (3, 7), (2, 0), (5, 64), (129, 785)]
TYPES = [("float32", 3e-6), ("float64", 1e-12)]


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


def test_non_contiguous_arrays_take_the_plain_form(rng):
    a = rng.standard_normal((6, 8))[:, ::2]
    np.testing.assert_allclose(sigmoid.sigmoid(a), expit(a), rtol=1e-12)
    s, x, ds = (np.asfortranarray(rng.uniform(size=(3, 4))) for _ in range(3))
    L = bernoulli.loss(s, x, ds, 1.0)
    assert L == pytest.approx((np.logaddexp(0, s) - x * s).sum() / 3)
    np.testing.assert_allclose(ds, (expit(s) - x) / 3)


def test_nan_and_infinity_go_through():
    a = np.array([np.nan, np.inf, -np.inf], np.float32)
    assert np.isnan(sigmoid.sigmoid(a)[0]) and sigmoid.sigmoid(a)[1] == 1 and sigmoid.sigmoid(a)[2] < 1e-30
    s, ds = np.array([[np.nan, 1]], np.float32), np.empty((1, 2), np.float32)
    assert np.isnan(bernoulli.loss(s, np.ones_like(s), ds, 1.0)) and np.isnan(ds[0, 0])


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
from minae.kernels import adam
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
print("parity")
"""


def test_cuda_kernels_under_the_simulator():
    """The simulator is chosen when Numba loads, hence a process of its own."""
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    env = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    result = subprocess.run([sys.executable, "-c", CUDA], env=env, capture_output=True, text=True, timeout=300)
    assert result.stdout.strip() == "parity", result.stderr

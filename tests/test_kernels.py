"""Each kernel against its plain reference: odd, empty and large shapes, both float types."""

import os
import subprocess
import sys

import numpy as np
import pytest
from numpy import exp, log1p, maximum, minimum, sqrt, tanh, where
from scipy.special import expit

import guard
from minae import kernels
from minae.kernels import (
    activations,
    adam,
    bernoulli,
    contraction,
    exponential,
    kl_sparsity,
    noise,
    products,
    rows,
    shrinkage,
    top_k,
)
from minae.kernels.activations import sigmoid
from minae.kernels.fused import Fused, fused

SHAPES = [(1, 1), (3, 7), (2, 0), (5, 64), (129, 785)]
TYPES = [("float32", 3e-6), ("float64", 1e-12)]


def both(monkeypatch, function, *arrays):
    """What `function` returns on copies of the arrays, and the copies: by its plain form, then by its kernel."""
    results = []
    for plain in (True, False):
        with monkeypatch.context() as patch:
            if plain:
                patch.setattr(kernels, "path", lambda *_: "plain")
            copies = [array.copy() for array in arrays]
            results.append([function(*copies), *copies])
    return results


def agree(plain, fast, tolerance):
    for a, b in zip(plain, fast, strict=True):
        if isinstance(b, np.ndarray):
            assert a.dtype == b.dtype
        if b is not None:
            np.testing.assert_allclose(b, a, rtol=10 * tolerance, atol=tolerance)


# ---- fused bodies


@fused("c i f o g -> c h")
def cell(c, i, f, o, g):
    """An LSTM cell of one unit: a body that uses another body, writes in place, and gives a new result."""
    c = sigmoid(f) * c + sigmoid(i) * g
    return c, sigmoid(o) * tanh(c)


@fused("a b -> y")
def mixture(a, b, scale, kind: int):
    """Every kind of constant, a choice by an integer, and each function of NumPy that a body may use."""
    if kind == 1:
        return where(a > b, 0.1, 1) * scale + sqrt(abs(a)) / 3
    return log1p(exp(-abs(b))) * 2 - minimum(a, b) + maximum(a, 0.25)


FUSED = {
    "sigmoid": (sigmoid, 1, ()),
    "relu": (activations.relu, 1, ()),
    "softplus": (activations.softplus, 1, ()),
    "leaky_relu": (activations.leaky_relu, 1, ()),
    "elu": (activations.elu, 1, ()),
    "swish": (activations.swish, 1, ()),
    "gelu": (activations.gelu, 1, ()),
    "mask": (noise.keep_or_zero, 2, (0.3,)),
    "adam": (adam.step, 4, (0.01, 0.9, 0.1, 0.999, 0.001, 0.02, 1.5, 1e-8)),
}
FUSED |= {
    f"{body.__name__}, {name}": (body, arrays, (kind,))
    for name, kind in activations.KIND.items()
    for body, arrays in (
        (activations.times_prime, 2),
        (activations.phi_prime, 1),
        (activations.phi_second, 1),
        (activations.product_with_second, 2),
    )
}


def test_every_fused_body_of_the_kernels_is_tested():
    inner = {  # of loops that are written by hand, and tested with those
        "slopes",
        "gate",
        "component",
        "divergence",
        "squash",
    }
    modules = [getattr(kernels, name) for name in kernels.MODULES]
    bodies = {value.__name__ for module in modules for value in vars(module).values() if isinstance(value, Fused)}
    assert bodies == inner | {body.__name__ for body, *_ in FUSED.values()}


@pytest.mark.parametrize("dtype, tolerance", TYPES)
@pytest.mark.parametrize("shape", [*SHAPES, (2, 3, 5), (70_001,)])
@pytest.mark.parametrize("name", FUSED)
def test_a_fused_body_is_one_formula_on_every_path(name, shape, dtype, tolerance, rng, monkeypatch):
    body, count, scalars = FUSED[name]
    arrays = [np.abs(rng.standard_normal(shape)).astype(dtype) for _ in range(count)]
    new = [np.full(shape, np.nan, dtype) for _ in body.new]
    plain, fast = both(monkeypatch, lambda *copies: body(*copies[:count], *scalars, *copies[count:]), *arrays, *new)
    agree(plain, fast, tolerance)
    assert all(array.dtype == dtype for array in [*plain[1:], *fast[1:]])
    strided = [np.asfortranarray(array) for array in arrays + new]
    body(*strided[:count], *scalars, *strided[count:])
    agree(fast[1:], strided, tolerance)


@pytest.mark.parametrize("name", FUSED)
def test_a_fused_body_computes_in_the_type_of_its_arrays(name):
    """The sign of a promotion: Numba's type for the results of the body."""
    from numba import float32, float64, int64, types

    body, count, scalars = FUSED[name]
    for number in (float32, float64):
        given = [number] * count + [int64 if isinstance(value, int) else number for value in scalars]
        body.scalar.compile(tuple(given))
        result = body.scalar.overloads[tuple(given)].signature.return_type
        assert result in (number, types.UniTuple(number, len(body.results)))


@pytest.mark.parametrize("name", FUSED)
def test_nan_goes_through_a_fused_body(name, monkeypatch):
    body, count, scalars = FUSED[name]
    for place in range(count):
        arrays = [np.array([0.5, 0.5, 0.5], "f") for _ in range(count)]
        arrays[place][1] = np.nan
        new = [np.zeros(3, "f") for _ in body.new]
        plain, fast = both(monkeypatch, lambda *c: body(*c[:count], *scalars, *c[count:]), *arrays, *new)
        agree(plain, fast, 1e-6)
        if name != "mask" and "identity" not in name and not (name.endswith("relu") and "second" in name):
            results = dict(zip([*body.inputs, *body.new], fast[1:], strict=True))
            seen = [np.isnan(results[result]).tolist() for result in body.results]
            assert [False, True, False] in seen and [True, True, True] not in seen


@pytest.mark.parametrize("name", ["sigmoid", "relu", "softplus", "tanh", "identity"])
@pytest.mark.parametrize("dtype, tolerance", TYPES)
def test_an_activation_may_be_written_in_place(name, dtype, tolerance, rng):
    a = (20 * rng.standard_normal((37, 101))).astype(dtype)
    h = activations.phi(a, name)
    in_place = a.copy()
    assert activations.phi(in_place, name, out=in_place) is in_place
    np.testing.assert_array_equal(in_place, h)
    assert h.dtype == dtype and (h is a) == (name == "identity")


@pytest.mark.parametrize("dtype, tolerance", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_activations_are_those_of_scipy(shape, dtype, tolerance, rng):
    a = (20 * rng.standard_normal(shape)).astype(dtype)
    exact = a.astype("float64")
    references = dict(sigmoid=expit(exact), softplus=np.logaddexp(exact, 0), relu=np.maximum(exact, 0))
    for name, h in references.items():  # small values are exact, too
        np.testing.assert_allclose(activations.phi(a, name), h, rtol=tolerance, atol=1e-37)


@pytest.mark.parametrize("name", activations.ACTIVATIONS)
def test_slopes_are_the_differences_of_the_activation(name, rng):
    a, step = 2 * rng.standard_normal((5, 7)), 1e-5
    a[abs(a) < 10 * step] = 0.5  # away from the kink
    h, low, high = (activations.phi(point, name).copy() for point in (a, a - step, a + step))
    of = (a, a - step, a + step) if name in activations.OF_A else (h, low, high)  # the slopes are functions of these
    prime, second = activations.prime(of[0], name, h.copy()), activations.second(of[0], name, h.copy())
    np.testing.assert_allclose(prime, (high - low) / (2 * step), atol=1e-8)
    primes = [activations.prime(point, name, point.copy()) for point in of[1:]]
    np.testing.assert_allclose(second, (primes[1] - primes[0]) / (2 * step), atol=1e-8)
    dh = rng.standard_normal((5, 7))
    np.testing.assert_allclose(activations.backward(dh, of[0], name, h.copy()), dh * prime)
    np.testing.assert_allclose(activations.times_second(dh.copy(), of[0], name), dh * second)


@pytest.mark.parametrize("dtype, tolerance", TYPES)
@pytest.mark.parametrize("kind", [0, 1])
def test_a_new_body_is_a_few_lines(kind, dtype, tolerance, rng, monkeypatch):
    a, b, y = (rng.standard_normal(1003).astype(dtype) for _ in range(3))
    plain, fast = both(monkeypatch, lambda a, b, y: mixture(a, b, 0.7, kind, y), a, b, y)
    agree(plain, fast, tolerance)
    c, i, f, o, g, h = (rng.standard_normal(1003).astype(dtype) for _ in range(6))
    plain, fast = both(monkeypatch, lambda *arrays: cell(*arrays), c, i, f, o, g, h)
    agree(plain, fast, 10 * tolerance)
    c = expit(f) * c + expit(i) * g
    np.testing.assert_allclose(fast[1], c, atol=10 * tolerance)
    np.testing.assert_allclose(fast[-1], expit(o) * np.tanh(c), atol=10 * tolerance)


# ---- kernels with loops of their own


@pytest.mark.parametrize("dtype, tolerance", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_bernoulli(shape, dtype, tolerance, rng):
    s, x = (8 * rng.standard_normal(shape)).astype(dtype), rng.uniform(size=shape).astype(dtype)
    ds, ds_plain = np.empty_like(s), np.empty_like(s)
    L, L_plain = bernoulli.loss(s, x, ds, 0.5), bernoulli.plain(s, x, ds_plain, 0.5)
    assert L == pytest.approx(float(L_plain), rel=tolerance, abs=tolerance)
    np.testing.assert_allclose(ds, ds_plain, atol=tolerance)


def test_adam_is_the_textbook_s(rng):
    w, g, s, r = (rng.standard_normal(1000) for _ in range(4))
    r = np.abs(r)
    stepped = [w.copy(), g, s.copy(), r.copy()]
    for t in (1, 2, 3):
        adam.update(*stepped, t, 1e-2, 0.9, 0.999, 1e-8, 0.1)
        w = w - 1e-2 * 0.1 * w
        s = 0.9 * s + 0.1 * g
        r = 0.999 * r + 0.001 * g * g
        w = w - 1e-2 * (s / (1 - 0.9**t)) / (np.sqrt(r / (1 - 0.999**t)) + 1e-8)
    for ours, expected in zip(stepped, (w, g, s, r), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-12)


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
@pytest.mark.parametrize("activation", activations.ACTIVATIONS)
def test_the_contraction_of_one_layer(activation, shape, dtype, tolerance, rng, monkeypatch):
    m = shape[1]
    h, h_near = (activations.phi((4 * rng.standard_normal(shape)).astype(dtype), activation) for _ in range(2))
    da, out = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    W, dW = (rng.standard_normal((11, m)).astype(dtype) for _ in range(2))
    w = (W * W).sum(axis=0)

    def parity(function, *arrays, scale=1):
        agree(*both(monkeypatch, function, *arrays), scale * tolerance)

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
    np.testing.assert_allclose(activations.phi(a, "sigmoid"), expit(a), rtol=1e-12)
    s, x, ds = (np.asfortranarray(rng.uniform(size=(3, 4))) for _ in range(3))
    L = bernoulli.loss(s, x, ds, 1.0)
    assert L == pytest.approx((np.logaddexp(0, s) - x * s).sum() / 3)
    np.testing.assert_allclose(ds, (expit(s) - x) / 3)
    h, dh, out = expit(s), x.copy(), np.asfortranarray(np.empty((3, 4)))
    np.testing.assert_allclose(activations.backward(dh, h, "sigmoid", out), x * h * (1 - h))
    kl_sparsity.backward(h, dh, 0.1, 1.0)
    np.testing.assert_allclose(dh - x, np.broadcast_to((0.9 / (1 - h.mean(0)) - 0.1 / h.mean(0)) / 3, (3, 4)))
    np.testing.assert_allclose(contraction.squares(h, "tanh", np.empty(4)), np.square(1 - h * h).sum(axis=0))


def test_nan_and_infinity_go_through():
    a = np.array([np.nan, np.inf, -np.inf], np.float32)
    h = activations.phi(a, "sigmoid")
    assert np.isnan(h[0]) and h[1] == 1 and h[2] < 1e-30
    np.testing.assert_array_equal(activations.phi(a, "relu"), [np.nan, np.inf, 0])
    np.testing.assert_allclose(activations.phi(a, "softplus"), [np.nan, np.inf, 0], atol=1e-30)
    s, ds = np.array([[np.nan, 1]], np.float32), np.empty((1, 2), np.float32)
    assert np.isnan(bernoulli.loss(s, np.ones_like(s), ds, 1.0)) and np.isnan(ds[0, 0])
    h, dh, out = np.array([[np.nan, 0.5]], np.float32), np.ones((1, 2), np.float32), np.empty((1, 2), np.float32)
    assert np.isnan(kl_sparsity.value(h, 0.1))
    for activation in ("sigmoid", "tanh", "relu", "softplus"):
        assert np.isnan(activations.backward(dh, h, activation, out)).tolist() == [[True, False]]
        assert np.isnan(contraction.squares(h, activation, np.empty(2, "f"))).tolist() == [True, False]


def test_the_polynomials_reach_the_accuracy_that_they_state():
    x = np.linspace(-87, 0, 400_001).astype(np.float32)
    y = np.polynomial.polynomial.polyval
    r = np.linspace(-np.log(2) / 2, np.log(2) / 2, 10_001)
    assert np.abs((1 + r + r**2 * y(r, np.array(exponential.EXP, float))) / np.exp(r) - 1).max() < 3e-8
    e = np.linspace(1e-6, 1, 10_001)
    assert np.abs(e * y(e, np.array(exponential.LOG, float)) / np.log1p(e) - 1).max() < 1e-7
    h = activations.phi(x, "sigmoid")
    np.testing.assert_allclose(h, expit(x.astype(float)), rtol=5e-7)
    assert activations.phi(np.zeros(1, np.float32), "sigmoid")[0] == 0.5


def test_shrink(rng):
    a, theta = 2 * rng.standard_normal((4, 5)), rng.random(5)
    h = shrinkage.shrink(a, theta)
    np.testing.assert_allclose(h, np.sign(a) * np.maximum(abs(a) - theta, 0), atol=1e-15)
    steps = []
    dtheta = type("Accumulator", (), {"add_rows": staticmethod(lambda rows: steps.append(rows.copy()))})
    dh = rng.standard_normal((4, 5))
    da = shrinkage.shrink_backward(dh, h, dtheta, np.empty((4, 5)), np.empty((4, 5)))
    np.testing.assert_array_equal(da, dh * (h != 0))
    np.testing.assert_array_equal(steps[0], -dh * np.sign(h))


def test_the_plain_forms_use_what_cupy_has(rng):
    """Each kernel on the stand-in for CuPy, against NumPy."""
    device = guard.GuardBackend()

    def same(function, *arrays):
        on_host = [array.copy() for array in arrays]
        on_device = [device.from_numpy(array) for array in arrays]
        results = [function(*on_host), *on_host], [function(*on_device), *on_device]
        for a, b in zip(*results, strict=True):
            if a is not None:
                b = device.to_numpy(b) if device.owns(b) else b
                np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-12)

    x, h, y, u = (rng.uniform(0.1, 0.9, (3, 4)) for _ in range(4))
    W, row, t = rng.standard_normal((4, 5)), rng.random(4), np.ones(3)
    C, WT, dp = rng.random((3, 4, 5)), rng.random((4, 5)), np.empty((3, 4))
    for name in activations.ACTIVATIONS:
        same(lambda x, name=name: activations.phi(x, name), x)
        same(lambda x, h, y, name=name: activations.backward(x, h, name, y), x, h, y)
        same(lambda h, y, name=name: activations.prime(h, name, y), h, y)
        same(lambda h, y, name=name: activations.second(h, name, y), h, y)
        same(lambda x, h, name=name: activations.times_second(x, h, name), x, h)
        same(lambda h, row, name=name: contraction.squares(h, name, row), h, row)
        same(lambda h, w, y, name=name: contraction.slope_gradient(h, name, w, 0.1, y), h, row, y)
        same(lambda h, x, row, name=name: contraction.change_squares(h, x, name, row), h, x, row)
        same(lambda h, x, w, y, u, name=name: contraction.change_gradient(h, x, name, w, 0.1, y, u), h, x, row, y, u)
    same(lambda W, w: contraction.norms(W, w), WT.T.copy(), row)
    same(contraction.add_scaled, x, y, row)
    same(contraction.top_backward, C, x, WT, dp, WT)
    same(contraction.chain_backward, C.transpose(0, 2, 1).copy(), C.transpose(0, 2, 1).copy(), x, dp)
    same(lambda s, x, ds: bernoulli.loss(s, x, ds, 0.5), h, x, y)
    same(lambda w, g, s, r: adam.update(w, g, s, r, 2, 0.1, 0.9, 0.99, 1e-8, 0.1), x, h, y, u)
    same(lambda h: kl_sparsity.value(h, 0.1), h)
    same(lambda h, y: kl_sparsity.backward(h, y, 0.1, 0.5), h, y)
    same(lambda u, x: noise.mask(u, x, 0.3), u, x)
    same(lambda x: shrinkage.shrink(x, 0.4), x)
    same(lambda q, h, y, t: shrinkage.step(q * 0.5, q, 0.1, h, y, t, True), x, h, y, t)
    same(lambda x, W: products.matmul(x, W), x, W)
    same(lambda x, W, b: products.matmul(x, W, bias=b), x, W, W[0])
    same(lambda x, y: products.dot(x, y), x, y)
    same(lambda h: top_k.mask(h, 2), h)
    unit, value = np.array([[0, 3], [1, 2], [0, 1]], np.int32), np.empty((3, 2))
    same(lambda h, unit, value: top_k.top_k(h, 2, unit, value), h, unit, value)
    same(rows.gather, unit, h, value)
    same(rows.combine, unit, h[:, :2].copy(), W, rng.random((3, 5)))
    same(rows.scatter_add, unit, h[:, :2].copy(), rng.random((3, 5)), W)
    same(rows.project, unit, rng.random((3, 5)), W, value)


DERIVED = """activations adam bernoulli contraction convolution kl_sparsity log_softmax noise rows shrinkage
 top_k""".split()


@pytest.mark.parametrize("name", DERIVED)
def test_a_formula_comes_with_its_derivation(name):
    """Whole sentences at the margin, and formulas indented by four."""
    text = getattr(kernels, name).__doc__
    derivation = text.partition("Derivation:\n")[2].partition("\n\n")[0].splitlines()
    assert len(derivation) >= 5
    formulas = [line for line in derivation if line.startswith("    ")]
    assert len(formulas) >= 2 and len(derivation) - len(formulas) >= 2


def test_kernels_load_at_their_first_use():
    command = "import sys; from minae import kernels; assert 'numba' not in sys.modules; kernels.adam.update"
    subprocess.run([sys.executable, "-c", command], check=True, timeout=120)
    with pytest.raises(AttributeError, match="no attribute 'adamant'"):
        _ = kernels.adamant


def test_machine_code_on_disk_belongs_to_the_sources_that_it_was_made_of():
    folder = kernels.FOLDER
    names = {name for name, _ in kernels.stamp(str(folder / "bernoulli.py"))}
    assert names == {f"{name}.py" for name in "__init__ atomics bernoulli exponential fused pool".split()}
    assert {name for name, _ in kernels.stamp(str(folder / "hamming.py"))} == {"__init__.py", "hamming.py"}
    assert "activations.py" in {name for name, _ in kernels.stamp(str(folder / "contraction.py"))}
    assert kernels.pool.run._cache._cache_file._source_stamp == kernels.stamp(str(folder / "pool.py"))


@pytest.mark.slow
def test_machine_code_is_kept_where_that_can_be_written(tmp_path):
    """The second process finds the loops of the first, and one without a folder compiles its own."""
    program = """
import numpy as np
from minae.kernels import activations
h = activations.phi(np.ones((300, 300), "f"), "sigmoid")
assert abs(h - 0.73105858).max() < 1e-6
"""
    cache = tmp_path / "cache"
    env = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "NUMBA_DEBUG_CACHE": "1"}

    def run(env):
        command = [sys.executable, "-c", program]
        return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout

    assert "data saved" in run(env) and list(cache.rglob("activations.sigmoid_h*.nbc"))
    again = run(env)
    assert "index loaded" in again and "data saved" not in again  # what is not loaded is compiled, and saved again
    (tmp_path / "file").write_text("")
    run({**env, "NUMBA_CACHE_DIR": str(tmp_path / "file" / "none")})

    # whatever was damaged is compiled anew, and then found again
    (index,), (code,) = (list(cache.rglob(f"activations.sigmoid_h_parallel-*.nb{kind}")) for kind in "ic")
    for path, damage in (
        (index, lambda data: b""),
        (index, lambda data: data[: len(data) // 2]),
        (code, lambda data: b""),
        (code, lambda data: data[:-100]),
        (code, lambda data: data[:2000] + bytes([data[2000] ^ 16]) + data[2001:]),
    ):
        path.write_bytes(damage(path.read_bytes()))
        assert "data saved" in run(env), path
        again = run(env)
        assert "data loaded" in again and "data saved" not in again


CUDA = """
import numpy as np
from numba import cuda
from minae.kernels import activations, adam, bernoulli, noise
rng = np.random.default_rng(0)
loose = 1e-5  # also for float64: beside the Python float of the simulator's exp, NumPy keeps float32 constants


def parity(body, *arguments):
    count = len(body.inputs)
    arrays, scalars = list(arguments[:count]), list(arguments[count:])
    number = arrays[0].dtype.type
    scalars = [value if isinstance(value, int) else number(value) for value in scalars]
    expected = [array.copy() for array in arrays] + [np.empty_like(arrays[0]) for _ in body.new]
    on_device = [cuda.to_device(array) for array in expected]
    body.write_plain(*expected[:count], *scalars, *expected[count:])
    body.cuda_launch[(arrays[0].size + 255) // 256, 256](*on_device, *scalars)
    for ours, plain in zip(on_device, expected):
        assert ours.dtype == plain.dtype
        np.testing.assert_allclose(ours.copy_to_host(), plain, rtol=loose, atol=loose)


for dtype in ("float32", "float64"):
    for size in (1, 7, 259):
        w, g, s, r = (np.abs(rng.standard_normal(size)).astype(dtype) for _ in range(4))
        parity(adam.step, w, g, s, r, 0.01, 0.9, 0.1, 0.999, 0.001, 0.02, 1.5, 1e-8)
        parity(noise.keep_or_zero, rng.random(size).astype(dtype), w, 0.3)
        for name, body in activations.PHI.items():
            a = (8 * rng.standard_normal(size)).astype(dtype)
            parity(body, a)
            parity(activations.PHI_IN_PLACE[name], a)
        for kind in activations.KIND.values():
            h = rng.random(size).astype(dtype)
            parity(activations.times_prime, g, h, kind)
            parity(activations.phi_prime, h, kind)
            parity(activations.phi_second, h, kind)
            parity(activations.product_with_second, g, h, kind)

        s, x, ds = 8 * rng.standard_normal((1, size)), rng.random((1, size)), np.empty((1, size))
        s, x, ds = (a.astype(dtype) for a in (s, x, ds))
        flat = [cuda.to_device(a.reshape(-1)) for a in (s, x, ds)]
        L = bernoulli.plain(s, x, ds, 0.5)
        for threads in {1, min(size, 5), size}:  # each adds up every so many components
            sums = cuda.device_array(threads, s.dtype)
            bernoulli.cuda_launch()[(threads + 255) // 256, 256](*flat, sums, s.dtype.type(0.5))
            np.testing.assert_allclose(sums.copy_to_host().sum(), L, rtol=loose)
            np.testing.assert_allclose(flat[2].copy_to_host(), ds[0], atol=loose)

for size in (1, 2, 7, 259):
    quarter, key = (size + 3) // 4, (np.uint64(123456789), np.uint64(0xFFFFFFFF))
    for normal in (False, True):
        x, out = np.empty(size, "float32"), cuda.to_device(np.full(size, np.nan, "float32"))
        noise.plain(x, quarter, *key, normal)
        noise.cuda_launch()[(quarter + 255) // 256, 256](out, quarter, *key, normal)
        np.testing.assert_allclose(out.copy_to_host(), x, atol=1e-5)
print("parity")
"""


@pytest.mark.slow
def test_cuda_kernels_under_the_simulator():
    """The simulator is chosen when Numba loads, hence a process of its own."""
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    env = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    result = subprocess.run([sys.executable, "-c", CUDA], env=env, capture_output=True, text=True, timeout=300)
    assert result.stdout.strip() == "parity", result.stderr

"""The digits that a kernel keeps: values and slopes from a = −100 to 100 against long double, in every form."""

import numpy as np
import pytest

from minae import kernels
from minae.kernels import activations, bernoulli, kl_sparsity

A = np.concatenate([np.linspace(-100, 100, 4001), np.linspace(-1e-3, 1e-3, 101)])
FORMS = [(path, dtype) for path in ("cpu", "plain") for dtype in ("float32", "float64")]


def near(ours, truth, ulps):
    """Relative to the truth; below the smallest normal number the CPU's exponential is 0."""
    info = np.finfo(ours.dtype)
    assert np.isfinite(ours).all()
    off = abs(ours.astype(np.longdouble) - truth) - 2 * info.tiny
    worst = np.argmax(off - ulps * info.eps * abs(truth))
    assert (off <= ulps * info.eps * abs(truth)).all(), (A[worst % len(A)], ours.flat[worst], truth.flat[worst])


@pytest.fixture(params=FORMS, ids=lambda form: " ".join(form))
def dtype(request, monkeypatch):
    path, dtype = request.param
    if path == "plain":
        monkeypatch.setattr(kernels, "path", lambda *_: "plain")
    return np.dtype(dtype)


def exact(a):
    """name -> φ, and (φ', φ'') as functions of the h that is given, in long double."""
    a = a.astype(np.longdouble)
    e = np.exp(-abs(a))
    return {
        "sigmoid": (np.where(a < 0, e, 1) / (1 + e), lambda h: (h * (1 - h), h * (1 - h) * (1 - 2 * h))),
        "tanh": (np.tanh(a), lambda h: ((1 - h) * (1 + h), -2 * h * (1 - h) * (1 + h))),
        "softplus": (
            np.maximum(a, 0) + np.log1p(e),
            lambda h: (-np.expm1(-h), -np.exp(-h) * np.expm1(-h)),
        ),
    }


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softplus"])
def test_an_activation_and_its_slopes_keep_their_digits(name, dtype):
    a = A.astype(dtype)
    h = activations.phi(a, name)
    truth, slopes = exact(a)[name]
    near(h, truth, 6)
    prime, second = slopes(h.astype(np.longdouble))
    near(activations.prime(h, name, np.empty_like(h)), prime, 6)
    near(activations.second(h, name, np.empty_like(h)), second, 6)
    ones = np.ones_like(h)
    near(activations.backward(ones, h, name, np.empty_like(h)), prime, 6)
    near(activations.times_second(ones, h, name), second, 6)


def test_elu_keeps_its_digits(dtype):
    a = A.astype(dtype)
    h, long = activations.phi(a, "elu"), a.astype(np.longdouble)
    near(h, np.where(a < 0, np.expm1(np.minimum(long, 0)), long), 6)
    slope = np.where(a > 0, 1, h.astype(np.longdouble) + 1)
    near(activations.prime(h, "elu", np.empty_like(h)), slope, 6)
    near(activations.second(h, "elu", np.empty_like(h)), np.where(a > 0, 0, slope), 6)


@pytest.mark.parametrize("name", ["swish", "gelu"])
def test_what_is_a_function_of_a_keeps_its_digits(name, dtype):
    """φ' and φ'' cross 0, where the digits of their parts count: an error is measured by the sum of their sizes."""
    a = A.astype(dtype)
    x, c = a.astype(np.longdouble), np.longdouble(0.044715)
    root = np.sqrt(8 / np.longdouble(np.pi)) if name == "gelu" else 1
    v, slope, bend = (
        (x, 1, 0) if name == "swish" else (root * (x + c * x**3), root * (1 + 3 * c * x * x), root * 6 * c * x)
    )
    e = np.exp(-abs(v))
    s, p, rest = np.where(v < 0, e, 1) / (1 + e), e / (1 + e) ** 2, np.where(v < 0, 1, -1) * (1 - e) / (1 + e)
    parts = [
        (activations.phi(a, name), [x * s]),
        (activations.prime(a, name, np.empty_like(a)), [s, x * p * slope]),
        (activations.second(a, name, np.empty_like(a)), [2 * p * slope, x * p * rest * slope**2, x * p * bend]),
    ]
    info = np.finfo(dtype)
    for ours, terms in parts:
        assert np.isfinite(ours).all()
        size = sum(abs(term) for term in terms) * (10 + 4 * abs(v))  # σ(v) is off by the rounding of v, of v's size
        least = 2 * info.tiny * (1 + abs(x) * (1 + abs(slope) + abs(bend)) ** 2)  # where e⁻ᵛ is below what is normal
        off = abs(ours - sum(terms)) - info.eps * size - least
        worst = off.argmax()
        assert off[worst] <= 0, (a[worst], ours[worst], sum(terms)[worst], off[worst])


@pytest.mark.parametrize("name", ["swish", "gelu"])
@pytest.mark.parametrize("size", [1e6, 1e13, 1e30])
def test_a_huge_a_gives_no_nan(name, size, dtype):
    a = np.array([-size, size], dtype)
    with np.errstate(over="ignore"):
        values = [
            activations.phi(a, name),
            *(f(a, name, np.empty_like(a)) for f in (activations.prime, activations.second)),
        ]
    for value, expected in zip(values, ([0, size], [0, 1], [0, 0]), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-6)


def test_the_gates_tanh_keeps_its_digits(dtype):
    from minae.kernels import gates

    a, h = A.astype(dtype), np.empty_like(A.astype(dtype))
    gates.squash(a, h)
    near(h, np.tanh(a.astype(np.longdouble)), 8)


def test_the_slopes_of_softplus_are_those_of_a(dtype):
    """φ' = σ(a) and φ'' = σ(a) σ(−a): h has lost nothing that they need, but e⁻ʰ has the absolute error of h."""
    a = A.astype(dtype)
    h, sigma = activations.phi(a, "softplus"), exact(a)["sigmoid"][0]
    near(activations.prime(h, "softplus", np.empty_like(h)), sigma, 12)
    near(activations.second(h, "softplus", np.empty_like(h)), sigma * exact(-a)["sigmoid"][0], 120)


@pytest.mark.parametrize("x", [0.0, 1.0, 0.25])
def test_the_bernoulli_loss_keeps_its_digits(x, dtype):
    """The loss, and the gradient at x of 0 and 1; in between, the gradient has a zero, and is near to eps there."""
    s = A.astype(dtype)[:, None]
    target, ds, L = np.full_like(s, x), np.empty_like(s), []
    for b in range(0, len(s), 7):  # one number a call: its loss is not lost in a sum
        L.append(bernoulli.loss(s[b : b + 1], target[:1], np.empty((1, 1), dtype), 1.0))
    long = s.astype(np.longdouble)
    e = np.exp(-abs(long))
    truth = np.where(long < 0, -x * long, (1 - x) * long) + np.log1p(e)
    near(np.array(L, dtype), truth[::7, 0], 6)
    bernoulli.loss(s, target, ds, float(len(s)))
    slope = np.where(long < 0, (1 - x) * e - x, (1 - x) - x * e) / (1 + e)
    if x in (0, 1):
        near(ds, slope, 6)
    np.testing.assert_allclose(ds, slope.astype("float64"), atol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("rho", [0.05, 0.9])
def test_kl_sparsity_is_finite_at_both_ends(rho, dtype):
    """Units that are off, on and both; a slope that points back inside; and what is inside is as it was."""
    info = np.finfo(dtype)
    h = np.array([[0, 1, 0, 0.3], [0, 1, 1, 0.5]], dtype)
    dh = np.zeros_like(h)
    Omega = kl_sparsity.value(h, rho)
    kl_sparsity.backward(h, dh, rho, 1.0)
    low, high = np.longdouble(info.tiny), 1 - np.longdouble(info.eps)
    rho_hat = np.array([low, high, 0.5, 0.4], np.longdouble)
    truth = rho * np.log(rho / rho_hat) + (1 - rho) * np.log((1 - rho) / (1 - rho_hat))
    assert float(Omega) == pytest.approx(float(truth.sum()), rel=1e-5)
    slope = ((1 - rho) / (1 - rho_hat) - rho / rho_hat) / 2
    np.testing.assert_allclose(dh[0].astype(np.longdouble), slope, rtol=1e-5)
    assert np.isfinite(dh).all() and (dh[:, 0] < 0).all() and (dh[:, 1] > 0).all()
    assert np.isnan(float(kl_sparsity.value(np.full((1, 2), np.nan, dtype), rho)))


def test_the_checks_see_a_difference_that_cancels():
    """The negative control: 1 − e⁻ʰ in float32."""
    h = activations.phi(np.full(3, -16, np.float32), "softplus")
    with pytest.raises(AssertionError):
        near(1 - np.exp(-h), -np.expm1(-h.astype(np.longdouble)), 6)
    s = np.float32(20)
    with pytest.raises(AssertionError):
        near(np.log1p(np.exp(-s)) + s - s * np.ones(1, "f"), np.log1p(np.exp(-np.longdouble(20))) * np.ones(1), 6)

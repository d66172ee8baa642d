import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, softmax

from minae.arena import Arena
from minae.errors import InputError
from minae.losses import LOSSES


def example(name, rng, B=4, n=6):
    s = 2 * rng.standard_normal((B, n))
    if name == "gaussian":
        return s, rng.standard_normal((B, n))
    if name == "categorical":
        return s, np.eye(n)[rng.integers(n, size=B)]
    return s, rng.uniform(size=(B, n))


def log_likelihood(name, s, x):
    """Σ log p(x | s) of an independent source, SciPy's distributions; the Gaussian without its constant."""
    if name == "gaussian":
        return stats.norm(s, 1).logpdf(x).sum() + x.size * 0.5 * np.log(2 * np.pi)
    if name == "categorical":
        return sum(stats.multinomial(1, p).logpmf(row) for p, row in zip(softmax(s, axis=1), x, strict=True))
    return sum((x * np.log(expit(s)) + (1 - x) * np.log(1 - expit(s))).ravel())


@pytest.mark.parametrize("name", LOSSES)
def test_value_is_the_mean_negative_log_likelihood(name, backend, rng):
    s, x = example(name, rng)
    loss = LOSSES[name](Arena(backend, "float64"))
    L, _ = loss(backend.from_numpy(s), backend.from_numpy(x))
    assert float(L) == pytest.approx(-log_likelihood(name, s, x) / len(x), rel=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_gradient(name, backend, rng):
    s, x = example(name, rng)
    loss, to = LOSSES[name](Arena(backend, "float64"), {"L": 0.7}), backend.from_numpy
    _, ds = loss(to(s), to(x))  # ds is scaled by the weight, and L is not
    ds, h = backend.to_numpy(ds), 1e-5
    for i in np.ndindex(*s.shape):
        e = np.zeros_like(s)
        e[i] = h
        numeric = (float(loss(to(s + e), to(x))[0]) - float(loss(to(s - e), to(x))[0])) / (2 * h)
        assert ds[i] == pytest.approx(0.7 * numeric, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", LOSSES)
def test_mean_minimises_the_loss(name, backend, rng):
    """r = mean(s) is what makes ds = 0 when x = r."""
    s, _ = example(name, rng)
    loss, to = LOSSES[name](Arena(backend, "float64")), backend.from_numpy
    r = loss.mean(to(s))
    np.testing.assert_allclose(backend.to_numpy(loss(to(s), r)[1]), 0, atol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LOSSES)
def test_extreme_logits_stay_finite_and_keep_their_type(name, dtype, backend):
    s = np.array([[1e3, -1e3, 0.0], [-1e3, 1e3, 50.0]], dtype)
    x = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], dtype)
    L, ds = LOSSES[name](Arena(backend, dtype))(backend.from_numpy(s), backend.from_numpy(x))
    assert np.isfinite(float(L)) and np.isfinite(backend.to_numpy(ds)).all()
    assert ds.dtype == dtype
    if name == "bernoulli":
        assert float(L) == pytest.approx((np.log(2) + 2000 + 50) / 2, rel=1e-6)


@pytest.mark.parametrize("name", ["bernoulli", "categorical"])
@pytest.mark.parametrize("low, high", [(0, 255), (-0.1, 1)])
def test_data_out_of_range_are_refused(name, low, high, backend):
    with pytest.raises(InputError, match="gaussian"):
        LOSSES[name](Arena(backend, "float64")).check(None, low, high, "X")


@pytest.mark.parametrize("name", LOSSES)
def test_alone_a_loss_has_weight_1(name, rng):
    from minae.backend import Backend

    s, x = example(name, rng)
    (L, ds), (L_half, ds_half) = (
        LOSSES[name](Arena(Backend(), "float64"), weights, term)(s, x)
        for weights, term in ((None, "L"), ({"R": 0.5}, "R"))
    )
    assert L_half == L
    np.testing.assert_allclose(ds_half, 0.5 * ds, rtol=1e-14)


def test_a_bernoulli_draw_is_1_with_probability_p(backend):
    """REVIEW_ENGINE, survivor S6: the mean of draws is p, not 1 − p."""
    p = np.tile([0.05, 0.3, 0.9], (20_000, 1))
    s = backend.from_numpy(np.log(p / (1 - p)))
    x = backend.to_numpy(LOSSES["bernoulli"](Arena(backend, "float64")).sample(s, np.random.default_rng(0)))
    assert set(np.unique(x)) == {0.0, 1.0} and x.dtype == np.float64
    np.testing.assert_allclose(x.mean(axis=0), p[0], atol=0.02)

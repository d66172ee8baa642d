import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, softmax

from minae import Classifier
from minae.arena import Arena
from minae.backend import Backend
from minae.errors import InputError
from minae.losses import HEADS, LOSSES, TokenLoss


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
    d = s - x
    if name == "laplace":
        return stats.laplace(s, 1).logpdf(x).sum() + x.size * np.log(2)
    if name == "student_t":
        return (stats.t(3, s).logpdf(x) - stats.t(3).logpdf(0)).sum()
    if name == "huber":  # no density of SciPy's: the definition
        return -np.where(abs(d) <= 1, 0.5 * d**2, abs(d) - 0.5).sum()
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


# ---- heads and tokens


def differences(function, s, h=1e-6):
    g = np.empty_like(s)
    for i in np.ndindex(*s.shape):
        e = np.zeros_like(s)
        e[i] = h
        g[i] = (function(s + e) - function(s - e)) / (2 * h)
    return g


@pytest.mark.parametrize("name", HEADS)
def test_heads(name, backend, rng):
    s, y = rng.standard_normal((4, 3)), np.eye(3)[[0, 2, 1, 1]]
    loss, to = HEADS[name](Arena(backend, "float64"), {"L": 0.7}), backend.from_numpy
    L, ds = loss(to(s), to(y))
    numeric = differences(lambda s: 0.7 * float(loss(to(s), to(y))[0]), s)
    np.testing.assert_allclose(backend.to_numpy(ds), numeric, atol=1e-8)
    if "hinge" in name:
        room = np.maximum(0, 1 - (2 * y - 1) * s)
        assert float(L) == pytest.approx((room if name == "hinge" else room**2).sum() / 4)
        far = loss(to(2.0 * (2 * y - 1)), to(y))  # beyond every margin
        assert float(far[0]) == 0 and not backend.to_numpy(far[1]).any()


def test_a_classifier_of_margins_learns(digits):
    X, y = digits.train[:1000], digits.train_labels[:1000].astype(int)
    model = Classifier((784, 30), loss="squared_hinge", activation="relu")
    model.fit(X, y, epochs=30)
    assert (model.predict(digits.test) == digits.test_labels).mean() > 0.8
    with pytest.raises(InputError, match="has margins and no probabilities"):
        model.probabilities(X)


def test_tokens_that_do_not_count_have_no_part(backend, rng):
    """The mean is over the tokens that count, the gradient is exactly 0 elsewhere, and padding changes nothing."""
    s, x = rng.standard_normal((3, 5, 7)), rng.integers(7, size=(3, 5)).astype(np.int32)
    m = (np.arange(5) < np.array([[5], [2], [3]])).astype(float)
    loss, to, back = TokenLoss(Arena(backend, "float64"), {"L": 0.7}), backend.from_numpy, backend.to_numpy
    L, ds = loss(to(s), to(x), to(m))
    log_p = s - np.log(np.exp(s).sum(axis=2, keepdims=True))
    picked = np.take_along_axis(log_p, x[:, :, None].astype(int), axis=2)[:, :, 0]
    assert float(L) == pytest.approx(-(picked * m).sum() / 10)
    numeric = differences(lambda s: 0.7 * float(loss(to(s), to(x), to(m))[0]), s)
    np.testing.assert_allclose(back(ds), numeric, atol=1e-8)
    assert not back(ds)[m == 0].any()
    longer = [np.concatenate([a, a[:, :2]], axis=1) for a in (s, x)]
    L_longer, ds_longer = loss(*map(to, longer), to(np.concatenate([m, 0 * m[:, :2]], axis=1)))
    assert float(L_longer) == pytest.approx(float(L), rel=1e-14)
    np.testing.assert_allclose(back(ds_longer)[:, :5], back(ds), rtol=1e-13)
    # the fault of ten files: a mean over all positions, which falls when sequences are short
    assert -(picked * m).sum() / m.size != pytest.approx(float(L), rel=0.1)
    if backend.name == "numpy":
        with pytest.raises(InputError, match="the mask hides every token"):
            loss(to(s), to(x), to(0 * m))
    else:  # a step that asked for N would wait for the device: J is NaN there, and a training ends by Diverged
        with np.errstate(all="ignore"):
            assert np.isnan(float(loss(to(s), to(x), to(0 * m))[0]))


def test_far_points_pull_less(rng):
    """The best constant under each loss: the mean, the median, and between them."""
    x = np.concatenate([rng.standard_normal(99), [1e3]])[:, None]
    grid, best = np.linspace(-2, 12, 1401), {}
    for name in ("gaussian", "laplace", "huber", "student_t"):
        loss = LOSSES[name](Arena(Backend(), "float64"))
        best[name] = grid[np.argmin([float(loss(np.full_like(x, s), x)[0]) for s in grid])]
    assert best["gaussian"] == pytest.approx(x.mean(), abs=0.01)
    assert best["laplace"] == pytest.approx(np.median(x), abs=0.02)
    assert all(abs(best[name]) < 0.3 for name in ("laplace", "huber", "student_t")) and best["gaussian"] > 9

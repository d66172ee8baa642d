"""The models of chapter 15: identities that a finite difference does not give, and what is refused."""

import numpy as np
import pytest

import minae
from minae import InputError


def gaussian_codes(rng, N=400):
    """μ and log σ² of N posteriors whose mixture is nearly a correlated Gaussian, and its total correlation."""
    C = np.array([[1.0, 0.6, 0.2], [0.6, 1.0, 0.1], [0.2, 0.1, 1.0]])
    mu = rng.standard_normal((N, 3)) @ np.linalg.cholesky(C).T
    S = np.cov(mu.T) + np.exp(-2) * np.eye(3)
    return mu, np.full((N, 3), -2.0), -0.5 * np.log(np.linalg.det(S) / np.prod(np.diag(S)))


def of_batches(model, mu, log_var, rng, B, count=100):
    found = []
    for _ in range(count):
        rows = rng.choice(len(mu), B, replace=False)
        z = mu[rows] + np.exp(0.5 * log_var[rows]) * rng.standard_normal((B, 3))
        found.append(float(model.total_correlation(z, mu[rows], log_var[rows], need_grad=False)[0]))
    return np.mean(found)


def test_the_total_correlation_of_a_batch_is_near_that_of_all_rows(rng, monkeypatch):
    """With equal weights, or the diagonal's weight in a column, it is far off; the rows of W sum to 1 as well."""
    mu, log_var, exact = gaussian_codes(rng)
    model = minae.TotalCorrelationAutoencoder((5, 4, 3), rows=400, dtype="float64", backend="numpy")
    assert abs(of_batches(model, mu, log_var, rng, 400, 3) - exact) < 0.15
    log_var -= 2
    whole = of_batches(model, mu, log_var, rng, 400, 3)
    assert abs(of_batches(model, mu, log_var, rng, 64) - whole) < 0.25

    def column(B):
        W = np.full((B, B), (400 - 1) / (400 * (B - 1)))
        W[:, 0] = 1 / 400
        return np.log(W)

    for wrong in (column, lambda B: np.full((B, B), -np.log(B))):
        monkeypatch.setattr(model, "log_weights", wrong)
        model._log_W = None
        assert abs(of_batches(model, mu, log_var, rng, 64) - whole) > 0.5


def test_what_a_total_correlation_needs(rng):
    with pytest.raises(InputError, match="rows is missing: expected an integer ≥ 2"):
        minae.TotalCorrelationAutoencoder((5, 3))
    model = minae.TotalCorrelationAutoencoder((5, 3), rows=10)
    with pytest.raises(InputError, match="the batch has 20 rows and rows is 10"):
        model.fit(rng.random((20, 5)).astype("f"), epochs=1)


def test_slowness_has_no_scale_and_noise_has_the_slowness_2(rng):
    model = minae.SlowFeatureAutoencoder((6, 4), dtype="float64", backend="numpy")
    h, other = rng.standard_normal((2, 20_000, 4))
    S, _ = model.slowness(h, other)
    assert abs(float(S) / 4 - 2) < 0.05  # frames that have nothing to do with each other
    scaled, _ = model.slowness(7 * h + 3, 7 * other + 3)
    np.testing.assert_allclose(float(scaled), float(S), rtol=1e-5)
    slow, _ = model.slowness(h, h + 0.1 * other)
    assert float(slow) < 0.1
    assert np.isfinite(float(model.slowness(0 * h, 0 * h)[0]))  # units that do not vary


def test_labels_of_the_target_are_not_looked_at(rng):
    model = minae.DomainAdversarialClassifier((6, 5, 4), classes=3, dtype="float64", backend="numpy")
    x, target = rng.random((20, 6)), (np.arange(20) % 2).astype(float)
    gradients = []
    for seed in (0, 1):
        y = np.random.default_rng(seed).integers(3, size=20)
        y[target == 0] = np.arange(10) % 3
        cost = model.cost_and_grad(x, np.eye(3)[y], target, turn="F")
        gradients.append((float(cost), model.parameters.grad.copy()))
    assert gradients[0][0] == gradients[1][0] and np.array_equal(gradients[0][1], gradients[1][1])
    y[target == 0] = (np.arange(10) + 1) % 3
    assert float(model.cost_and_grad(x, np.eye(3)[y], target, turn="F")) != gradients[0][0]


def test_the_two_turns_are_a_gradient_reversal(rng):
    """∂J/∂f of turn F is that of one pass with the layer GradientReversal between f and d."""
    from minae.layers.regularizing import GradientReversal

    model = minae.DomainAdversarialClassifier((6, 5, 4), classes=3, adversary=0.3, dtype="float64", backend="numpy")
    model.weights["L"] = 0
    x, y, target = rng.random((20, 6)), np.eye(3)[rng.integers(3, size=20)], (np.arange(20) % 2).astype(float)
    model.cost_and_grad(x, y, target, turn="F")
    turned = model.parameters.gradient("W1").array.copy()
    model.parameters.zero_grad()
    reversal = GradientReversal(0.3)
    reversal.arena, reversal.ws = model.arena, model.arena.ws
    h, f_cache = model.f.forward(x)
    t, d_cache = model.d.forward(reversal.forward(h)[0])
    _, dt = model.losses["D"](t, target[:, None])
    model.f.backward(reversal.backward(model.d.backward(dt, d_cache), None), f_cache, need_dx=False)
    np.testing.assert_allclose(model.parameters.gradient("W1").array, turned, rtol=1e-12)


def test_a_generator_makes_what_its_condition_asks_for(rng):
    model = minae.GenerativeAdversarial((6, 5, 2), condition=3, seed=1)
    c = rng.standard_normal((7, 3)).astype("f")
    made = model.sample(7, condition=c)
    assert made.shape == (7, 6) and np.array_equal(made, model.sample(7, condition=c))
    assert not np.array_equal(made, model.sample(7, condition=c + 1))
    for wrong, words in (
        (None, "condition is missing: this model has 3 numbers of it a row"),
        (c[:3], r"condition is float32 \(3, 3\): expected numbers \(7, 3\)"),
    ):
        with pytest.raises(InputError, match=words):
            model.sample(7, condition=wrong)
    with pytest.raises(InputError, match="condition is given: this model has no numbers"):
        minae.GenerativeAdversarial((6, 5, 2)).sample(7, condition=c)
    with pytest.raises(InputError, match="c is missing"):
        model.fit(rng.random((20, 6)).astype("f"), epochs=1)


def test_a_pair_learns_the_mean_and_the_spread_of_a_distribution(rng):
    """Two numbers that go together; without the game, the draws of the untrained g are nowhere near."""
    u = rng.standard_normal((2000, 1))
    X = np.hstack([2 + 0.5 * u, -1 - 0.5 * u]).astype("f")
    model = minae.GenerativeAdversarial((2, 16, 2), discriminator=(32,), last="identity", penalty=0.1, seed=0)
    before = abs(model.sample(2000).mean(axis=0) - X.mean(axis=0)).max()
    model.fit(X, epochs=40, optimizer=minae.training.Adam(2e-3, decay1=0.5), seed=0)
    made = model.sample(2000)
    assert before > 0.8 and abs(made.mean(axis=0) - X.mean(axis=0)).max() < 0.25
    assert np.corrcoef(made.T)[0, 1] < -0.8


def test_the_jacobian_of_a_gated_code_is_that_of_the_code(rng):
    """And not that of its gates, which f alone would give."""
    model = minae.GatedAutoencoder((6, 9), loss="gaussian", dtype="float64", backend="numpy", seed=2)
    model.parameters["r"][...] = 0.3 * rng.standard_normal(9)
    model.parameters["b_m"][...] = 0.2 * rng.standard_normal(9)
    X, step = rng.standard_normal((5, 6)), 1e-6
    J = model.jacobian(X)
    for i in range(6):
        nudge = step * np.eye(6)[i]
        slope = (model.encode(X + nudge) - model.encode(X - nudge)) / (2 * step)
        np.testing.assert_allclose(J[:, :, i], slope, atol=1e-8)
    assert (model.encode(X) > 0).any() and (J != 0).any() and (J == 0).any()


def test_the_threshold_of_a_batch_begins_with_the_first(rng):
    """A running mean that began at 0 would keep too many units for the first hundreds of steps."""
    X = rng.standard_normal((600, 8)).astype("f")
    model = minae.BatchTopKAutoencoder((8, 20), k=4, loss="gaussian", seed=1)
    model.fit(X, epochs=3, batch_size=50)
    assert abs((model.encode(X) > 0).sum(axis=1).mean() - 4) < 1

"""Codes of few values: each surrogate is the gradient of its own cost, and its bias against the enumerated gradient."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm

from minae import InputError, check_gradient, enumerated
from minae.arena import Arena
from minae.backend import Backend
from minae.checks import Codes
from minae.layers import Mode
from minae.parameters import Parameters
from minae.symbols import (
    BatchTopK,
    Bits,
    JumpReLU,
    Symbols,
    VectorQuantized,
    leave_one_out,
    log_probability,
    log_probability_backward,
)

F64 = dict(dtype="float64", seed=1)


def bound(layer, backend=None, dtype="float64"):
    """The layer with parameters and state of its own."""
    backend = backend or Backend()
    arena = Arena(backend, dtype)
    parameters = Parameters(layer.shapes(), arena)
    state = {name: backend.from_numpy(np.array(array, dtype)) for name, array in layer.state().items()}
    layer.bind(parameters, state)
    layer.initialize(np.random.default_rng(0))
    return layer, parameters


@pytest.mark.parametrize("of", Codes.cases)
def test_each_surrogate_is_the_gradient_of_its_own_cost(of, backend, rng):
    """The choice is held, the cost is the hard one, and differences agree. `minae check codes` runs the same."""
    model = Codes(of=of, backend=backend, **F64)
    model.parameters.flat[...] += backend.from_numpy(0.5 * rng.standard_normal(model.parameters.flat.shape))
    report = check_gradient(model, rng.uniform(size=(4, 7)))
    assert report and report.worst.error <= 1e-8, f"\n{report}"


def test_the_codes_are_hard(rng):
    a = rng.standard_normal((50, 6))
    bits, _ = bound(Bits())
    h, _ = bits.forward(a, rng.random((50, 6)))
    np.testing.assert_allclose(h * (1 - h), 0, atol=1e-15)
    symbols, _ = bound(Symbols(2, 3, tau=0.5))
    h, _ = symbols.forward(a, symbols.noise(rng, 50))
    np.testing.assert_allclose(np.sort(h.reshape(50, 2, 3), axis=2), np.broadcast_to([0, 0, 1], (50, 2, 3)), atol=1e-15)
    np.testing.assert_array_equal(symbols.forward(a)[0].reshape(50, 2, 3).argmax(2), a.reshape(50, 2, 3).argmax(2))
    np.testing.assert_array_equal(np.round(bits.forward(a)[0]), a > 0)


# ---- what the estimators are worth


@pytest.fixture
def problem():
    """A nonlinear cost of eight bits, and its exact gradient by their logits."""
    rng = np.random.default_rng(3)
    a, W, v = rng.standard_normal(8), rng.standard_normal((8, 5)), rng.standard_normal(5)

    def cost(b):
        return np.square(np.tanh(b @ W) @ v - 1.0)

    def slope(b):
        t = np.tanh(b @ W)
        return (2 * (t @ v - 1.0)[..., None, None] * ((1 - t * t) * v)[..., None, :] * W).sum(axis=-1)

    return a, cost, slope, enumerated(cost, a)[1]


def bias(samples, exact):
    """|mean − exact| and the noise of that mean, by |exact|."""
    mean, error = samples.mean(axis=0), samples.std(axis=0) / len(samples) ** 0.5
    return np.linalg.norm(mean - exact) / np.linalg.norm(exact), np.linalg.norm(error) / np.linalg.norm(exact)


def reinforce(a, cost, draws, K, rng, baseline):
    b = (rng.random((K, draws, 8)) < expit(a)).astype(float)
    return log_probability_backward(baseline(cost(b)), np.broadcast_to(a, b.shape), b).mean(axis=0)


def test_log_probability(rng):
    a, b = rng.standard_normal((3, 6)), (rng.random((3, 6)) < 0.5).astype(float)
    np.testing.assert_allclose(log_probability(a, b), np.log(np.where(b == 1, expit(a), 1 - expit(a))).sum(axis=1))
    e = 1e-6
    numeric = [(log_probability(a + e * d, b) - log_probability(a - e * d, b)) / (2 * e) for d in np.eye(6)]
    np.testing.assert_allclose(log_probability_backward(np.ones(3), a, b), np.transpose(numeric), atol=1e-8)


@pytest.mark.parametrize("K", [2, 4, 8])
def test_the_mean_of_the_others_is_unbiased_and_a_mean_with_itself_is_short_by_one_in_K(K, problem, rng):
    a, cost, _, exact = problem
    off, noise = bias(reinforce(a, cost, 20_000, K, rng, leave_one_out), exact)
    assert off <= 3 * noise
    short = reinforce(a, cost, 20_000, K, rng, lambda f: f - f.mean(axis=0))
    assert bias(short, exact)[0] == pytest.approx(1 / K, abs=0.03)
    with pytest.raises(InputError, match="one draw"):
        leave_one_out(np.ones((1, 3)))


def test_straight_through_needs_the_slope(problem, rng):
    """p (1 − p) belongs to the surrogate: with it a small bias is left, and without it several times the gradient."""
    a, _, slope, exact = problem
    bits, _ = bound(Bits())
    rows = np.broadcast_to(a, (20_000, 8)).copy()
    h, cache = bits.forward(rows, rng.random(rows.shape))
    dh = slope(h)
    assert bias(bits.backward(dh, cache), exact)[0] < 1 < bias(dh, exact)[0]


def test_gumbel_has_less_bias_and_more_noise_at_low_temperatures(problem, rng):
    """And the factor 1/τ, whose lack is not seen at τ = 1, is seen at τ = 0.2."""
    a, _, slope, exact = problem
    logits = np.stack([np.zeros(8), a], axis=1).reshape(1, 16)
    rows = np.broadcast_to(logits, (20_000, 16)).copy()
    offs, spreads = [], []
    for tau in (2.0, 1.0, 0.5, 0.2):
        symbols, _ = bound(Symbols(8, 2, tau=tau, hard=False))
        h, cache = symbols.forward(rows, symbols.noise(rng, len(rows)))
        dh = np.zeros((len(rows), 8, 2))
        dh[:, :, 1] = slope(h.reshape(-1, 8, 2)[:, :, 1])
        da = symbols.backward(dh.reshape(len(rows), 16), cache).reshape(-1, 8, 2)[:, :, 1]
        offs.append(bias(da, exact)[0])
        spreads.append(da.std(axis=0).mean())
    assert offs[0] > offs[1] > offs[2] > offs[3] and spreads[0] < spreads[1] < spreads[2] < spreads[3]
    assert bias(da * 0.2, exact)[0] > 0.7  # τ forgotten


def test_gumbel_draws_from_the_softmax(rng):
    a = np.broadcast_to([0.5, -1.0, 0.2], (200_000, 3)).astype("f").copy()
    symbols, _ = bound(Symbols(1, 3), dtype="float32")
    g = symbols.noise(rng, len(a))
    assert np.isfinite(g).all()
    p = np.exp(a[0]) / np.exp(a[0]).sum()
    np.testing.assert_allclose(symbols.forward(a, g)[0].mean(axis=0), p, atol=0.004)


# ---- codebooks


def test_the_nearest_row_of_the_codebook(backend, rng):
    layer, parameters = bound(VectorQuantized("E", 5, 6, 3), backend)
    E, z = rng.standard_normal((5, 2)), rng.standard_normal((4, 6))
    parameters["E"][...] = backend.from_numpy(E)
    q, (_, _, (k, *_)) = layer.forward(backend.from_numpy(z))
    distance = np.square(z.reshape(4, 3, 1, 2) - E).sum(axis=3)
    np.testing.assert_array_equal(backend.to_numpy(k), distance.argmin(axis=2))
    np.testing.assert_allclose(backend.to_numpy(q), E[distance.argmin(axis=2)].reshape(4, 6), atol=1e-14)


def test_beta_is_the_commitment_and_not_the_codebook(rng):
    """The fault of many files: at β = 0 the codebook has to move all the same, and z by nothing but the decoder."""
    layer, parameters = bound(VectorQuantized("E", 5, 6, 3))
    z, dq = rng.standard_normal((4, 6)), rng.standard_normal((4, 6))
    _, cache = layer.forward(z)
    parameters.zero_grad()
    np.testing.assert_array_equal(layer.backward(dq, cache, beta=0.0), dq)
    e, k = cache[1].reshape(-1, 2), cache[2][0].reshape(-1)
    expected = np.zeros((5, 2))
    np.add.at(expected, k, 2 / 4 * (e - z.reshape(-1, 2)))
    np.testing.assert_allclose(parameters.grad.reshape(5, 2), expected)
    parameters.zero_grad()
    np.testing.assert_allclose(layer.backward(dq, cache, beta=0.7) - dq, 1.4 / 4 * (z - cache[1]))
    np.testing.assert_allclose(parameters.grad.reshape(5, 2), expected)  # β has no part in the codebook's gradient


def test_an_average_stays_in_the_hull_and_a_dead_code_starts_anew(rng):
    """The fault of ten files: averages that start at n = 0 and m ~ N(0, 1) throw unused codes far away."""
    layer, _ = bound(VectorQuantized("E", 50, 2, 1, decay=0.99))
    z = rng.standard_normal((20, 2))
    mode, before = Mode("train"), layer.E.copy()
    layer.forward(z, mode=mode)
    np.testing.assert_array_equal(layer.E, before)  # the loss sees the codebook of before the step
    e = mode.statistics["E.e"]
    assert np.linalg.norm(e, axis=1).max() <= max(np.linalg.norm(before, axis=1).max(), np.linalg.norm(z, axis=1).max())
    n, m = 0.01 * np.bincount(layer.nearest(z)[:, 0], minlength=50), rng.standard_normal((50, 2))
    assert np.linalg.norm(m / (n + 1e-5)[:, None], axis=1).max() > 1e3  # what the faulty start gives
    dying, _ = bound(VectorQuantized("E", 50, 2, 1, decay=0.5, restart=0.6))
    pick = dying.constants(rng, 20)
    mode = Mode("train", pick)
    k = dying.forward(z, mode=mode)[1][2][0]
    dead = np.setdiff1d(np.arange(50), k)
    np.testing.assert_array_equal(mode.statistics["E.e"][dead], z[pick["E.pick"][dead]])
    assert (mode.statistics["E.n"][dead] == 1).all()


@pytest.mark.parametrize("own", [True, False])
def test_a_dead_code_starts_anew_as_its_own_part_of_any_example(own, rng):
    """The fault that was here: a z of the first B/M examples, and of any part."""
    layer, _ = bound(VectorQuantized("E", 40, 6, 3, own=own, decay=0.5, restart=10.0))  # all are dead
    z = rng.standard_normal((20, 6))
    mode = Mode("train", layer.constants(rng, 20))
    layer.forward(z, mode=mode)
    e, parts = mode.statistics["E.e"], z.reshape(20, 3, 2)
    at = [np.argwhere((parts == row).all(axis=2))[0] for row in e]  # (example, part) of each row
    expected = np.arange(120) // 40 if own else np.arange(40) % 3
    np.testing.assert_array_equal([part for _, part in at], expected)
    assert len({example for example, _ in at}) > 12  # of 20, by 40 draws or more


def test_a_code_that_does_not_fit():
    with pytest.raises(InputError, match="M is 4 and z has 6 numbers: expected a divisor of 6"):
        VectorQuantized("E", 5, 6, 4)


# ---- thresholds


def test_the_gradient_of_a_threshold_is_that_of_the_expected_cost():
    """ℓ = (h − t)² + λ [a > κ], a ~ N(0, 1): dE/dκ = −p(κ) ((κ − t)² − t² + λ), and the window's mean is within 2%."""
    kappa, t, lam = 0.7, 1.0, 0.3
    exact = -norm.pdf(kappa) * ((kappa - t) ** 2 - t**2 + lam)
    layer, parameters = bound(JumpReLU("kappa1", 1, width=0.1))
    parameters["kappa1"][...] = kappa
    a = np.random.default_rng(0).standard_normal((4_000_000, 1))
    h, held = layer.forward(a)
    parameters.zero_grad()
    layer.backward(2 * (h - t) / len(a), held, lam)
    assert float(parameters.grad[0]) == pytest.approx(exact, rel=0.02)
    narrow, parameters = bound(JumpReLU("kappa1", 1, width=0.001))
    parameters["kappa1"][...] = kappa
    still = 0
    for k in range(200):  # a window that no number of a batch falls into says nothing: most batches move κ by 0
        h, held = narrow.forward(a[256 * k : 256 * (k + 1)])
        parameters.zero_grad()
        narrow.backward(2 * (h - t) / 256, held, lam)
        still += float(parameters.grad[0]) == 0
    assert still > 160


def test_the_largest_of_the_batch(backend, rng):
    layer, _ = bound(BatchTopK(2, decay=0.0), backend)
    h, mode = rng.standard_normal((6, 9)), Mode("train")
    kept, support = layer.forward(backend.from_numpy(h), mode=mode)
    support = backend.to_numpy(support)
    assert support.sum() == 12 and len(set(support.sum(axis=1))) > 1
    assert h[support == 1].min() > h[support == 0].max()
    np.testing.assert_array_equal(backend.to_numpy(kept), h * support)
    layer.threshold[...] = mode.statistics["threshold"]
    for row in h:  # outside of training a row does not depend on the others, and may keep any number of units
        alone = layer.forward(backend.from_numpy(row[None]))[1]
        np.testing.assert_array_equal(backend.to_numpy(alone)[0], row > h[support == 1].min())


def test_the_threshold_of_a_batch_is_a_running_mean(rng):
    """It moves by 1 − γ of the way to the smallest number that the batch kept, from where it was."""
    layer, _ = bound(BatchTopK(2, decay=0.9))
    layer.threshold[...] = 0.5
    h, mode = rng.standard_normal((6, 9)), Mode("train")
    _, support = layer.forward(h, mode=mode)
    np.testing.assert_allclose(mode.statistics["threshold"], 0.9 * 0.5 + 0.1 * h[support == 1].min(), rtol=1e-14)

"""Sparse inference, predictive sparse decomposition, LISTA (14.8), and the patches that their chapter looks at."""

import numpy as np
import pytest

from minae import LISTA, Diverged, InputError, PredictiveSparseDecomposition, data, load
from minae.arena import Arena
from minae.inference import SparseCoding, largest_eigenvalue
from minae.kernels.shrinkage import shrink, shrink_backward
from minae.layers import Gain, Shrink
from minae.models.lista import Unrolled
from minae.networks import Network
from minae.parameters import Parameters
from minae.training import SGD, Adam

F64, RNG = dict(dtype="float64", seed=1), np.random.default_rng(0)


@pytest.fixture(params=[0.0, 0.7], ids=["γ = 0", "γ = 0.7"])
def problem(request, backend, rng):
    """(E, x, f) of 9 atoms in 7 dimensions, with a bias, on the backend."""
    to = backend.from_numpy
    V, c, x, f = (rng.standard_normal(shape) for shape in [(9, 7), (7,), (5, 7), (5, 9)])
    return SparseCoding(to(V), to(0.3 * c), lam=0.4, gamma=request.param), to(x), to(f)


@pytest.fixture
def signals(rng):
    """Rows that are sparse in a dictionary of 24 atoms in 16 dimensions, and a little noise."""
    V = rng.standard_normal((24, 16))
    V /= np.linalg.norm(V, axis=1, keepdims=True)
    h = 2 * rng.standard_normal((600, 24)) * (rng.random((600, 24)) < 0.12)
    return (h @ V + 0.02 * rng.standard_normal((600, 16))).astype("float32")


def shake(model, rng):
    model.parameters.flat[...] += model.backend.from_numpy(0.3 * rng.standard_normal(model.parameters.flat.shape))
    model.project()
    return model


# ---- shrink


@pytest.mark.parametrize("theta", [0.3, [0.0, 0.2, 1.0]], ids=["one θ", "θ a unit"])
def test_shrink(theta, backend, rng):
    a = rng.standard_normal((50, 3))
    theta = np.array(theta) if isinstance(theta, list) else theta
    there = backend.from_numpy(theta) if isinstance(theta, np.ndarray) else theta
    h = backend.to_numpy(shrink(backend.from_numpy(a), there))
    np.testing.assert_allclose(h, np.sign(a) * np.maximum(np.abs(a) - theta, 0), atol=1e-15)
    assert (h[np.abs(a) <= theta] == 0).all()


def test_shrink_is_the_proximal_step(rng):
    a, theta, grid = rng.standard_normal(20), 0.4, np.linspace(-4, 4, 80_001)
    cost = 0.5 * (grid - a[:, None]) ** 2 + theta * np.abs(grid)
    np.testing.assert_allclose(shrink(a, theta), grid[cost.argmin(axis=1)], atol=1e-4)


def test_shrink_backward(backend, rng):
    a, theta, dh, e = rng.standard_normal((6, 4)), rng.uniform(0.1, 0.6, 4), rng.standard_normal((6, 4)), 1e-6
    parameters = Parameters({"theta": (4,)}, Arena(backend, "float64"))
    h = shrink(backend.from_numpy(a), backend.from_numpy(theta))
    da = backend.to_numpy(shrink_backward(backend.from_numpy(dh), h, parameters.gradient("theta")))
    by_a = (shrink(a + e, theta) - shrink(a - e, theta)) / (2 * e)
    by_theta = (shrink(a, theta + e) - shrink(a, theta - e)) / (2 * e)
    np.testing.assert_allclose(da, dh * by_a, atol=1e-8)
    np.testing.assert_allclose(backend.to_numpy(parameters.grad), (dh * by_theta).sum(axis=0), atol=1e-8)


# ---- E, its gradient, its minimiser


@pytest.mark.parametrize("shape", [(9, 7), (7, 9), (1, 5), (100, 144)])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_largest_eigenvalue_is_bounded_closely_from_above(shape, scale, backend, rng):
    V = scale * rng.standard_normal(shape)
    exact = np.linalg.norm(V, 2) ** 2
    assert exact * (1 - 1e-12) <= largest_eigenvalue(backend.from_numpy(V)) <= 1.01 * exact


def test_the_gradient_of_the_smooth_part(problem, backend, rng):
    E, x, f = problem
    h, e = rng.standard_normal((5, 9)), 1e-5
    analytic = backend.to_numpy(E.gradient(backend.from_numpy(h), x, f))
    E.lam = 0.0  # without λ|h|₁
    for j in range(9):
        step = np.zeros((5, 9))
        step[:, j] = e
        up, down = (backend.to_numpy(E.energy(backend.from_numpy(h + s), x, f)) for s in (step, -step))
        np.testing.assert_allclose(analytic[:, j], (up - down) / (2 * e), rtol=1e-7, atol=1e-7)


def test_energy_is_half_of_14_19(problem, backend, rng):
    E, x, f = problem
    V, c, X, F = (backend.to_numpy(array) for array in (E.V, E.c, x, f))
    h = rng.standard_normal((5, 9))
    book = np.square(X - (h @ V + c)).sum(axis=1) + 0.8 * np.abs(h).sum(axis=1)  # λ = 2 · 0.4
    book += E.gamma * np.square(h - F).sum(axis=1)
    np.testing.assert_allclose(2 * backend.to_numpy(E.energy(backend.from_numpy(h), x, f)), book, rtol=1e-12)


def test_an_ista_step_is_a_gradient_step_and_a_shrink(problem, backend, rng):
    E, x, f = problem
    h = backend.from_numpy(rng.standard_normal((5, 9)))
    expected = shrink(h - E.gradient(h, x, f) / E.lipschitz, E.lam / E.lipschitz)
    got = E.ista(x, f, h=h, steps=1)
    np.testing.assert_allclose(backend.to_numpy(got), backend.to_numpy(expected), atol=1e-13)


def test_ista_never_raises_the_energy(problem, backend):
    E, x, f = problem
    energies = []
    E.ista(x, f, steps=60, trace=lambda k, h: energies.append(backend.to_numpy(E.energy(h, x, f))))
    assert len(energies) == 60 and (np.diff(energies, axis=0) <= 1e-12).all()


@pytest.mark.parametrize("method", ["ista", "fista"])
def test_the_minimiser_meets_the_optimality_conditions(method, problem, backend):
    E, x, f = problem
    h = getattr(E, method)(x, f, tolerance=1e-13, steps=20_000)
    gradient, h = backend.to_numpy(E.gradient(h, x, f)), backend.to_numpy(h)
    assert 0.1 < (h == 0).mean() < 0.9
    assert (np.abs(gradient[h == 0]) <= E.lam + 1e-6).all()
    np.testing.assert_allclose(gradient[h != 0], -E.lam * np.sign(h[h != 0]), atol=1e-5)


def test_the_gap_bounds_what_is_left_to_gain(problem, backend):
    E, x, f = problem
    least = E.energy(E.fista(x, f, tolerance=1e-13, steps=20_000), x, f)
    left, gaps = [], []
    for steps in (1, 3, 10, 30, 300):
        h = E.fista(x, f, steps=steps)
        left.append(backend.to_numpy(E.energy(h, x, f) - least))
        gaps.append(backend.to_numpy(E.gap(h, x, f)))
    assert (np.array(gaps) >= np.array(left) - 1e-12).all() and np.max(gaps[-1]) < 1e-3 * np.min(gaps[0])


def test_fista_is_faster_than_ista_and_a_warm_start_than_a_cold_one(rng):
    V = rng.standard_normal((60, 40))
    E, x = SparseCoding(V / np.linalg.norm(V, axis=1, keepdims=True), lam=0.1), rng.standard_normal((20, 40))
    h_star = E.fista(x, tolerance=1e-10, steps=10_000)
    near = h_star + 0.01 * rng.standard_normal(h_star.shape)
    starts = {"ista": E.ista(x, steps=30), "fista": E.fista(x, steps=30), "warm": E.fista(x, h=near, steps=30)}
    excess = {name: (E.energy(h, x) - E.energy(h_star, x)).mean() for name, h in starts.items()}
    assert 0 <= excess["warm"] < excess["fista"] < 0.3 * excess["ista"]


def test_each_row_stops_by_itself(problem, backend):
    """So what is inferred for an example does not depend on its neighbours in the batch."""
    E, x, f = problem
    together = backend.to_numpy(E.fista(x, f, tolerance=1e-3))
    for i in range(5):
        alone = backend.to_numpy(E.fista(x[i : i + 1], f[i : i + 1], tolerance=1e-3))
        np.testing.assert_allclose(together[i : i + 1], alone, atol=1e-12)


def test_the_start_is_left_alone_and_the_optimum_is_kept(problem, backend):
    E, x, f = problem
    h = E.fista(x, f, tolerance=1e-13, steps=20_000)
    before = backend.to_numpy(h).copy()
    again = E.fista(x, f, h=h, steps=50)
    np.testing.assert_array_equal(backend.to_numpy(h), before)
    np.testing.assert_allclose(backend.to_numpy(again), before, atol=1e-6)


# ---- layers


@pytest.mark.parametrize("layer", [Gain("p", 4), Shrink("p", 4)], ids=["gain", "shrink"])
def test_layer(layer, backend, rng):
    parameters = Parameters(layer.shapes(), Arena(backend, "float64"))
    layer.bind(parameters, {})
    layer.initialize(rng)
    parameters["p"][...] = backend.from_numpy(rng.uniform(0.1, 0.6, 4))
    network, x, dh, e = Network([layer]), rng.standard_normal((5, 4)), rng.standard_normal((5, 4)), 1e-6

    def forward(x):
        return backend.to_numpy(network.forward(backend.from_numpy(x))[0])

    numeric = np.stack([(forward(x + d) - forward(x - d)) / (2 * e) for d in e * np.eye(4)], axis=2)
    J = backend.to_numpy(network.jacobian(backend.from_numpy(x)))
    np.testing.assert_allclose(J, numeric, atol=1e-8)
    _, cache = network.forward(backend.from_numpy(x))
    dx = network.backward(backend.from_numpy(dh), cache)
    np.testing.assert_allclose(backend.to_numpy(dx), np.einsum("bk,bki->bi", dh, numeric), atol=1e-8)


# ---- predictive sparse decomposition


@pytest.mark.parametrize("code", ["shrink", "tanh"])
def test_envelope_theorem(code, backend, rng):
    """d/dθ of min_h J is ∂J/∂θ at the minimiser, as if h did not move with θ; at another h it is not."""
    model = shake(PredictiveSparseDecomposition((7, 9), code=code, lam=0.3, gamma=0.5, backend=backend, **F64), rng)
    x, flat = backend.from_numpy(rng.standard_normal((4, 7))), model.parameters.flat
    before, d = backend.to_numpy(flat).copy(), rng.standard_normal(flat.shape)

    def least(theta):
        flat[...] = backend.from_numpy(theta)
        f = model.code_of(x)
        h = model.coding().fista(x, f, h=f, tolerance=1e-14, steps=20_000)
        return float(model.cost_and_grad(x, h=h)), backend.to_numpy(model.parameters.grad) @ d

    e = 1e-4
    numeric = (least(before + e * d)[0] - least(before - e * d)[0]) / (2 * e)
    assert least(before)[1] == pytest.approx(numeric, rel=1e-6)
    model.cost_and_grad(x, h=model.code_of(x))
    assert backend.to_numpy(model.parameters.grad) @ d != pytest.approx(numeric, rel=1e-2)


@pytest.mark.parametrize("code", ["shrink", "tanh"])
def test_training_learns_a_dictionary_whose_atoms_have_norm_1(code, signals, backend):
    model = PredictiveSparseDecomposition((16, 24), lam=0.1, code=code, backend=backend)
    first = model.evaluate(signals)
    history = model.fit(signals, epochs=8, batch_size=50, optimizer=Adam(1e-2))
    V = backend.to_numpy(model.parameters["V1"])
    np.testing.assert_allclose(np.linalg.norm(V, axis=1), 1, rtol=1e-5)
    last = model.evaluate(signals)
    assert sum(model.weights[k] * last[k] for k in last) < 0.9 * sum(model.weights[k] * first[k] for k in first)
    assert list(last) == ["L", "Omega", "P"] and len(history) == 8
    assert code == "tanh" or (backend.to_numpy(model.parameters["kappa1"]) >= 0).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [3, 64, 784, pytest.param(3072, marks=pytest.mark.slow)])
def test_an_atom_of_norm_1_stays_as_it_is(n, dtype, backend, rng):
    """To divide by a norm that is 1 but for rounding moves the last bits: of a dictionary that is frozen, too."""
    model = PredictiveSparseDecomposition((n, 40), dtype=dtype, backend=backend, seed=1)
    V = model.parameters["V1"]
    V *= model.backend.from_numpy(rng.uniform(0.1, 10, size=(40, 1)).astype(dtype))
    model.project()
    once = backend.to_numpy(V).copy()
    model.project()
    np.testing.assert_array_equal(backend.to_numpy(V), once)
    np.testing.assert_allclose(np.linalg.norm(once.astype("float64"), axis=1), 1, atol=64 * np.finfo(dtype).eps)
    X = rng.standard_normal((40, n)).astype(dtype)
    model.fit(X, epochs=2, batch_size=10, optimizer=Adam(1e-2, rates={"g1": 0.0}))
    np.testing.assert_array_equal(backend.to_numpy(V), once)


def test_a_threshold_below_0_is_put_back(backend, rng):
    """κ ≥ 0: with a κ below 0, shrink would move each a away from 0 and make no code sparse."""
    model = PredictiveSparseDecomposition((7, 9), backend=backend, **F64)
    kappa = rng.standard_normal(9)
    model.parameters["kappa1"][...] = backend.from_numpy(kappa)
    model.project()
    np.testing.assert_array_equal(backend.to_numpy(model.parameters["kappa1"]), abs(kappa))


def test_terms_are_those_of_14_19(backend, rng):
    model = shake(PredictiveSparseDecomposition((7, 9), lam=0.3, gamma=0.5, backend=backend, **F64), rng)
    X, h = rng.standard_normal((4, 7)), rng.standard_normal((4, 9))
    cost = model.cost_and_grad(backend.from_numpy(X), h=backend.from_numpy(h))
    assert float(cost["L"]) == pytest.approx(0.5 * np.square(X - model.decode(h)).sum() / 4)
    assert float(cost["Omega"]) == pytest.approx(np.abs(h).sum() / 4)
    assert float(cost["P"]) == pytest.approx(0.5 * np.square(h - model.encode(X)).sum() / 4)
    E = model.coding().energy(backend.from_numpy(h), backend.from_numpy(X), backend.from_numpy(model.encode(X)))
    assert float(cost) == pytest.approx(float(E.mean()))


def test_infer_is_the_minimiser(backend, rng):
    model = shake(PredictiveSparseDecomposition((7, 9), lam=0.3, backend=backend, **F64), rng)
    X = rng.standard_normal((12, 7))
    to, f = backend.from_numpy, model.encode(X)
    for gamma in (None, 0.0):
        E, h = model.coding(gamma), model.infer(X, gamma=gamma, tolerance=1e-9)
        assert type(h) is np.ndarray and h.shape == (12, 9)
        assert (backend.to_numpy(E.gap(to(h), to(X), to(f)) / E.energy(to(h), to(X), to(f))) <= 1e-9).all()
    ten = model.infer(X, steps=10)
    np.testing.assert_allclose(ten, backend.to_numpy(model.coding().fista(to(X), to(f), h=to(f), steps=10)))


def test_raising_lam_makes_h_sparser(signals):
    on = []
    for lam in (0.05, 0.2, 0.5):
        model = PredictiveSparseDecomposition((16, 24), lam=lam)
        model.fit(signals, epochs=8, batch_size=50, optimizer=Adam(1e-2))
        on.append((model.infer(signals) != 0).mean())
    assert on[0] > on[1] > on[2] > 0


def test_raising_gamma_brings_h_and_the_encoder_together(signals):
    apart = []
    for gamma in (0.1, 1.0, 10.0):
        model = PredictiveSparseDecomposition((16, 24), lam=0.1, gamma=gamma)
        model.fit(signals, epochs=8, batch_size=50, optimizer=Adam(1e-2))
        h = model.infer(signals)
        apart.append(np.square(h - model.encode(signals)).sum() / np.square(h).sum())
    assert apart[0] > apart[1] > apart[2]


def test_the_same_seed_gives_the_same_bits_also_through_a_resume(signals, tmp_path):
    def model():
        return PredictiveSparseDecomposition((16, 24), lam=0.1)

    whole, part, rest = model(), model(), model()
    options = dict(batch_size=100, seed=3)
    whole.fit(signals, epochs=3, **options)
    part.fit(signals, epochs=1, checkpoint=tmp_path / "c", **options)
    rest.fit(signals, epochs=3, checkpoint=tmp_path / "c", resume=True, **options)
    assert whole.parameters.flat.tobytes() == rest.parameters.flat.tobytes() != part.parameters.flat.tobytes()


def test_a_run_that_diverges_says_so(signals):
    with pytest.raises(Diverged, match="smaller learning rate"):
        PredictiveSparseDecomposition((16, 24), lam=0.1).fit(signals, optimizer=SGD(1e25))


# ---- LISTA


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_lista_starts_as_ista(steps, backend, rng):
    model = LISTA((7, 9), steps=steps, lam=0.3, backend=backend, **F64)
    X, to = rng.standard_normal((6, 7)), backend.from_numpy
    own = SparseCoding(model.parameters["V1"], lam=0.3)
    np.testing.assert_allclose(model.encode(X), backend.to_numpy(own.ista(to(X), steps=steps)), atol=1e-13)
    V, c = to(rng.standard_normal((9, 7))), to(rng.standard_normal(7))
    model.imitate(V, c)
    given = SparseCoding(V, c, lam=0.3)
    np.testing.assert_allclose(model.encode(X), backend.to_numpy(given.ista(to(X), steps=steps)), atol=1e-13)
    np.testing.assert_allclose(model.reconstruct(X), backend.to_numpy(given.ista(to(X), steps=steps) @ V + c))


def test_lista_learns_to_be_nearer_to_h_star_than_ista_and_fista(signals, backend):
    teacher = PredictiveSparseDecomposition((16, 24), lam=0.1, backend=backend)
    teacher.fit(signals, epochs=8, batch_size=50, optimizer=Adam(1e-2))
    V, c = teacher.parameters["V1"], teacher.parameters["c1"]
    h_star = teacher.infer(signals, gamma=0, tolerance=1e-5)
    model = LISTA((16, 24), steps=3, lam=0.1, backend=backend)
    model.imitate(V, c)
    held_out = signals[500:], h_star[500:]
    model.fit(signals[:500], h_star[:500], epochs=40, batch_size=50, optimizer=Adam(3e-3), validation=held_out)
    x, E = backend.from_numpy(signals[500:]), teacher.coding(gamma=0)
    codes = [model.encode(signals[500:]), *(backend.to_numpy(way(x, steps=3)) for way in (E.ista, E.fista))]
    error = [np.square(h - h_star[500:]).sum(axis=1).mean() for h in codes]
    assert error[0] < 0.9 * min(error[1:])
    assert model.evaluate(signals[500:], h_star[500:])["L"] == pytest.approx(0.5 * error[0], rel=1e-4)
    assert (backend.to_numpy(model.parameters["kappa1"]) >= 0).all()
    np.testing.assert_array_equal(*(backend.to_numpy(array) for array in (model.parameters["V1"], V)))


def test_jacobian_of_lista(backend, rng):
    model = shake(LISTA((7, 9), steps=3, lam=0.2, backend=backend, **F64), rng)
    X, e = rng.standard_normal((4, 7)), 1e-6
    numeric = np.stack([(model.encode(X + d) - model.encode(X - d)) / (2 * e) for d in e * np.eye(7)], axis=2)
    np.testing.assert_allclose(model.jacobian(X), numeric, atol=1e-7)
    assert np.abs(numeric).max() > 0.1


def test_unrolled_adds_to_shared_gradients_once_a_step(rng):
    """Negative control: with the gradient of the last step alone, S would not be right."""
    grads = {}
    for steps in (2, 3):
        f = Unrolled(7, 9, steps)
        parameters = Parameters(f.shapes(), Arena(LISTA((7, 9)).backend, "float64"))
        f.bind(parameters, {})
        parameters.flat[...] = 0.2 * np.random.default_rng(1).standard_normal(parameters.flat.shape)
        f.kappa[...] = 0.05
        _, cache = f.forward(rng.standard_normal((4, 7)))
        f.backward(np.ones((4, 9)), cache)
        last = cache[-2].T @ np.abs(np.sign(cache[-1]))
        grads[steps] = np.abs(parameters.gradient("S1").array - last).max()
    assert grads[2] < 1e-12 and grads[3] > 1e-3


# ---- files and bad input


@pytest.mark.parametrize(
    "model",
    [
        lambda **o: PredictiveSparseDecomposition((7, 9), lam=0.3, gamma=2.0, steps=20, **o),
        lambda **o: PredictiveSparseDecomposition((7, 6, 9), code="tanh", activation="relu", **o),
        lambda **o: LISTA((7, 9), steps=4, lam=0.3, **o),
    ],
)
def test_save_and_load(model, backend, rng, tmp_path):
    model, X = shake(model(backend=backend, **F64), rng), rng.standard_normal((4, 7))
    model.save(tmp_path / "m")
    other = load(tmp_path / "m", backend=backend)
    assert repr(other) == repr(model) and other.weights == model.weights
    np.testing.assert_array_equal(other.encode(X), model.encode(X))
    np.testing.assert_allclose(model.copy(dtype="float32").encode(X), model.encode(X), atol=1e-5)
    if hasattr(model, "infer"):
        np.testing.assert_array_equal(other.infer(X), model.infer(X))


PSD = PredictiveSparseDecomposition


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: PSD((7, 9), lam=0.0), r"lam is 0.0 and gamma 1.0"),
        (lambda: PSD((7, 9), gamma=float("nan")), "gamma is nan: expected a number ≥ 0"),
        (lambda: PSD((7, 9), steps=0), "steps is 0"),
        (lambda: PSD((7, 9), tolerance=0), "tolerance is 0"),
        (lambda: PSD((7, 9), loss="bernoulli"), "loss"),
        (lambda: PSD((7, 9), tied=True), "tied"),
        (lambda: PSD((7, 9), code="mish"), "unknown code 'mish'"),
        (lambda: PSD((7, 9)).infer(np.zeros((2, 7)), steps=0), "steps is 0"),
        (
            lambda: PSD((7, 9)).cost_and_grad(np.zeros((2, 7), "float32"), h=np.zeros((2, 7), "float32")),
            r"h is .*\(2, 9",
        ),
        (lambda: PSD((7, 9)).fit(np.zeros((4, 7)), np.zeros((4, 9))), "leave y out"),
        (lambda: LISTA((7, 9), steps=0), "steps is 0"),
        (lambda: LISTA((7, 9), lam=-1), "lam is -1: expected a number > 0"),
        (lambda: LISTA((7, 8, 9)), "expected 2 widths ≥ 1, of x and of h"),
        (lambda: LISTA((7, 9), activation="relu"), "lista has no option 'activation'"),
        (lambda: LISTA((7, 9)).imitate(np.zeros((7, 9))), r"V has shape \(7, 9\)"),
        (lambda: LISTA((7, 9)).fit(np.zeros((4, 7))), "y is missing"),
        (lambda: LISTA((7, 9)).fit(np.zeros((4, 7)), np.zeros((4, 7))), r"y has shape \(4, 7\); expected \(rows, 9\)"),
        (lambda: LISTA((7, 9)).fit(np.zeros((4, 7)), np.full((4, 9), np.nan)), "y has NaN"),
        (lambda: SparseCoding(np.eye(3), lam=-0.1), "lam is -0.1"),
        (lambda: SparseCoding(np.eye(3), gamma=float("inf")), "gamma inf"),
        (lambda: SparseCoding(np.zeros((3, 2))), "V is 0"),
        (lambda: SparseCoding(np.eye(3)).ista(np.ones((2, 3)), steps=0), "steps is 0"),
        (lambda: SparseCoding(np.eye(3)).fista(np.ones((2, 3)), tolerance=0), "tolerance 0"),
        (lambda: SparseCoding(np.eye(3)).fista(np.ones((2, 3)), h=np.ones((1, 3))), r"h has shape \(1, 3\)"),
        (lambda: SparseCoding(np.eye(3), gamma=1).fista(np.ones((2, 3))), "f is missing"),
        (lambda: SparseCoding(np.eye(3), gamma=1).fista(np.ones((2, 3)), np.ones((2, 2))), r"f is of shape \(2, 2\)"),
        (lambda: data.patches(np.zeros((2, 5, 5)), 6, 1, RNG), r"shape \(2, 5, 5\), size is 6"),
        (lambda: data.patches(np.zeros((5, 5)), 3, 1, RNG), r"shape \(5, 5\)"),
        (lambda: data.patches(np.zeros((2, 5, 5)), 3, 0, RNG), "count is 0"),
        (lambda: data.patches(np.zeros((2, 5, 5)), 3, 4, np.random.default_rng(0), contrast=1), "contrast is 1"),
    ],
)
def test_bad_arguments(build, message):
    with pytest.raises(InputError, match=message) as error:
        build()
    assert "\n" not in str(error.value)


# ---- data


def test_patches_are_of_the_images(rng):
    images = np.arange(2 * 6 * 8).reshape(2, 6, 8)
    x = data.patches(images, 3, 500, rng)
    assert x.shape == (500, 9) and x.dtype == np.float32
    steps = x.reshape(-1, 3, 3)
    assert (np.diff(steps, axis=2) == 1).all() and (np.diff(steps, axis=1) == 8).all()
    assert set(x[:, 0]) == set(images[:, :4, :6].ravel())  # every place, and none that a patch does not fit
    blank = np.concatenate([np.zeros((9, 6, 8)), images[:1]])
    assert (data.patches(blank, 3, 50, rng, contrast=1).std(axis=1) >= 1).all()


def test_whitening(rng):
    A = rng.standard_normal((9, 9))
    X = (rng.standard_normal((4000, 9)) @ A * 20 + 100).astype("float32")
    whiten = data.Whitening(X, epsilon=1e-6)
    x = whiten(X)
    assert x.shape == X.shape and x.dtype == np.float32
    assert x.var(axis=0).mean() == pytest.approx(1, rel=1e-4) and np.abs(x.mean(axis=0)).max() < 1e-3
    eigenvalues = np.linalg.eigvalsh(np.cov(x.T))
    assert eigenvalues[0] < 1e-2  # a patch's mean is gone
    assert eigenvalues[-1] < 1.01 * eigenvalues[1]
    np.testing.assert_allclose(whiten(3 * X + 7), x, atol=1e-2)  # brightness and contrast do not matter
    rough = np.linalg.eigvalsh(np.cov(data.Whitening(X)(X).T))
    assert rough[-1] > 1.5 * rough[1]


def test_natural_images(monkeypatch, tmp_path):
    monkeypatch.delenv("MINAE_DATA", raising=False)
    with pytest.raises(InputError, match="MINAE_DATA is not set"):
        data.natural_images()
    monkeypatch.setenv("MINAE_DATA", str(tmp_path))
    with pytest.raises(InputError, match="no file"):
        data.natural_images()
    (tmp_path / "natural_images").mkdir()
    path = tmp_path / "natural_images" / "kodak24_gray_512x768.npz"
    path.write_bytes(b"hello")
    with pytest.raises(InputError, match="cannot read") as error:
        data.natural_images()
    assert "\n" not in str(error.value)
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    np.savez(path, X=images)
    np.testing.assert_array_equal(data.natural_images(), images)

"""The gradient check passes our models at 1e-8, on every backend, and catches each fault that it should."""

import json

import numpy as np
import pytest

from minae import (
    KSparseAutoencoder,
    PredictiveSparseDecomposition,
    UndercompleteAutoencoder,
    VariationalAutoencoder,
    check_gradient,
)
from minae.checks import TOLERANCE, case, check_case, kinds
from minae.errors import InputError
from minae.models import Cost, Model, get_model
from minae.penalties import WeightDecay

NAMES = [f"{kind} {name}".strip() for kind, model in kinds().items() for name in model.cases]


@pytest.mark.slow_on_guard
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if "convolutional" in n else ()) for n in NAMES]
)
def test_every_model(name, backend, cases):
    """Each term alone, too; a term of weight 0 is skipped, as it is in training."""
    model, batch = cases(backend.name)[name]
    reports, moved = check_case(model, batch), set()
    for report in reports:
        assert report and report.worst.error <= 1e-8, f"\n{report}"
        groups = {row.terms for row in report.rows}
        terms = {term for term in model.weights if model.weights[term]} & groups  # a player's own terms only
        assert len(groups) == (1 if len(terms) == 1 else len(terms) + 1)
        moved |= {row.parameter for row in report.rows}
    if not model.turns:
        assert terms == {term for term in model.weights if model.weights[term]}
    assert moved == set(model.parameters)


def test_the_cases_are_those_that_the_models_declare(cases):
    assert list(cases("numpy")) == NAMES and len(NAMES) >= 47
    name, model, batch = case(get_model("sparse"), "L1")
    assert name == "sparse L1" and model.dtype == np.float64 and batch["x"].shape == (4, 7)
    again, _ = cases("numpy")[name]
    np.testing.assert_array_equal(model.parameters.flat, again.parameters.flat)


def test_a_term_of_weight_0_is_checked_when_it_is_named(tiny):
    """By itself the report has L alone; named, Ω is checked with weight 1."""
    model, x = tiny()
    assert {row.terms for row in check_gradient(model, x).rows} == {"L"}
    report = check_gradient(model, x, terms=[("Omega",), ("L", "Omega")])
    assert report and {row.terms for row in report.rows} == {"Omega", "L+Omega"}
    named = [row for row in report.rows if row.terms == "Omega" and row.parameter == "W1"]
    assert abs(named[0].analytic) > 0


@pytest.mark.parametrize(
    "build, name",
    [
        (lambda: KSparseAutoencoder((7, 9), k=3, dtype="float64", seed=1), "support"),
        (lambda: KSparseAutoencoder((7, 24), k=3, dtype="float64", seed=1), "support"),
        (lambda: PredictiveSparseDecomposition((7, 9), dtype="float64", seed=1), "h"),
    ],
)
def test_what_the_cost_computes_from_theta_is_frozen_by_the_check(build, name, rng):
    """Γ and the inferred h: returned in `cost.constants`, and given back at every difference."""
    model, x = build(), rng.uniform(size=(4, 7))
    held = model.cost_and_grad(x).constants[name].copy()
    calls, cost_and_grad = [], type(model).cost_and_grad

    class Watched(type(model)):
        def cost_and_grad(self, x, mode="train", need_grad=True, **constants):
            calls.append(constants.get(name))
            return cost_and_grad(self, x, mode=mode, need_grad=need_grad, **constants)

    watched = Watched(**model.config, dtype="float64")
    report = check_gradient(watched, x)
    assert report, f"\n{report}"
    others = [given for given in calls if given is not None]
    assert len(calls) - len(others) == 3 and len(others) > 100  # the model, its copy, and the one that is checked
    for given in others:
        np.testing.assert_array_equal(given, held)


def test_on_a_model_of_real_size_and_real_digits(digits):
    model = UndercompleteAutoencoder((784, 64, 10), activation="relu")
    report = check_gradient(model, digits.test[:3], entries=30)
    assert report, f"\n{report}"
    assert not any(np.isnan(row.error) for row in report.rows)


def test_the_model_is_left_as_it_was(tiny):
    model, x = tiny(dtype="float32", lam=0.1)
    before = model.parameters.flat.copy()
    check_gradient(model, x)
    np.testing.assert_array_equal(model.parameters.flat, before)
    assert model.dtype == np.float32 and model.weights == {"L": 1.0, "Omega": 0.1} and model.lam == 0.1


def test_report_reads_as_a_table_and_as_json(tiny):
    model, x = tiny(lam=0.1)
    report = check_gradient(model, x)
    assert "every gradient is right" in str(report) and "V2" in str(report)
    parsed = json.loads(report.to_json())
    assert parsed["passed"] is True and len(parsed["rows"]) == len(report.rows)
    with pytest.raises(InputError, match="unknown cost term 'KL'"):
        check_gradient(model, x, terms=[("KL",)])


# ---- negative controls: each of these is a fault seen in public code, put into our own


class Half(UndercompleteAutoencoder):
    """The gradient lacks a factor that the cost has."""

    def cost_and_grad(self, x, mode="train", need_grad=True):
        cost = super().cost_and_grad(x, mode=mode, need_grad=need_grad)
        self.parameters.gradient("V1").array[...] *= 0.5
        return cost


class Sign(UndercompleteAutoencoder):
    """One bias moves uphill."""

    def cost_and_grad(self, x, mode="train", need_grad=True):
        cost = super().cost_and_grad(x, mode=mode, need_grad=need_grad)
        self.parameters.gradient("b1").array[...] *= -1
        return cost


class Forgotten(UndercompleteAutoencoder):
    """The cost reports Ω and nothing trains it."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)

        class Untrained(WeightDecay):
            def backward(self):
                pass

        self.penalty = Untrained(self.parameters, self.weights)


class Untied(UndercompleteAutoencoder):
    """V = Wᵀ in the forward pass; the gradient of V is dropped, as if V were a copy made once."""

    def __init__(self, *args, **options):
        super().__init__(*args, tied=True, **{k: v for k, v in options.items() if k != "tied"})

        class Dropped:
            def add_product(self, A, B):
                pass

        for layer in self.g.trained():
            layer.dW = Dropped()


class Averaged(UndercompleteAutoencoder):
    """The reported cost is a mean over the outputs, its gradient that of a sum: off by the number of outputs."""

    def cost(self, **terms):
        there = {name: term for name, term in terms.items() if term is not None}
        return super().cost(**{name: term / self.sizes[0] for name, term in there.items()})


class NotANumber(UndercompleteAutoencoder):
    def cost_and_grad(self, x, mode="train", need_grad=True):
        cost = super().cost_and_grad(x, mode=mode, need_grad=need_grad)
        self.parameters.gradient("c1").array[...] = np.nan
        return cost


@pytest.mark.parametrize(
    "fault, parameter, terms",
    [
        (Half, "V1", "L"),
        (Sign, "b1", "L"),
        (Forgotten, "W1", "Omega"),
        (Untied, "W1", "L"),
        (Averaged, "c2", "L"),
        (NotANumber, "c1", "L"),
    ],
)
def test_the_check_can_fail(fault, parameter, terms, backend, tiny):
    _, x = tiny()
    lam = 0.1 if fault is Forgotten else 0.0
    report = check_gradient(fault((7, 5, 3), lam=lam, dtype="float64", backend=backend), x)
    row = next(row for row in report.rows if (row.parameter, row.terms) == (parameter, terms))
    assert not report and not row.passed and not row.error <= 1e3 * TOLERANCE
    assert "WRONG" in str(report)
    if fault is Half:
        assert row.error == pytest.approx(1 / 3, rel=1e-6)  # ‖½g − g‖ / ‖½g + g‖
    if fault is Sign:
        assert row.error > 1e6  # ‖−g − g‖ / ‖−g + g‖


def test_a_small_weight_does_not_hide_a_forgotten_penalty(tiny):
    _, x = tiny()
    report = check_gradient(Forgotten((7, 5, 3), lam=1e-12, dtype="float64"), x)
    assert not report


def test_a_wrong_sign_of_a_tiny_term_is_caught(rng):
    from minae import HigherOrderContractiveAutoencoder

    class Uphill(HigherOrderContractiveAutoencoder):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            right = self.change.backward
            self.change.backward = lambda *caches, share=1.0: right(*caches, share=-share)

    x = rng.uniform(size=(4, 7))
    wrong, right = (
        check_gradient(kind((7, 5), sigma=1e-6, seed=1), x, terms=[("H",)], constants={"x_near": x[None] + near})
        for kind in (Uphill, HigherOrderContractiveAutoencoder)
        for near in [1e-6 * rng.standard_normal(x.shape)]
    )
    assert not wrong and wrong.worst.error > 1 and "WRONG" in str(wrong)
    assert right, f"\n{right}"


@pytest.mark.parametrize("fault", [0.0, 1e-3])
def test_data_that_are_not_scaled(rng, fault):
    """A large J leaves its differences fewer digits: a right gradient passes, and one that is off by 10⁻³ does not."""

    class Wrong(UndercompleteAutoencoder):
        def cost_and_grad(self, x, mode="train", need_grad=True):
            cost = super().cost_and_grad(x, mode=mode, need_grad=need_grad)
            self.parameters.grad[...] *= 1 + fault
            return cost

    x = 1e6 * rng.uniform(size=(4, 60))
    report = check_gradient(Wrong((60, 5), code="identity", loss="gaussian", seed=1), x)
    assert bool(report) == (fault == 0)
    assert (fault > 0) == ("WRONG" in str(report)) and (fault == 0) == ("within rounding" in str(report))


def test_what_rounding_hides_is_said(rng):
    x = 1e9 * rng.uniform(size=(4, 60))
    report = check_gradient(UndercompleteAutoencoder((60, 5), code="sigmoid", loss="gaussian", seed=1), x)
    assert not report and "scale the data" in str(report)


def test_a_term_that_is_zero_by_cancellation(rng):
    """KL = ½ Σ μ² + σ² − 1 − log σ² = 0 at μ = log σ² = 0, of numbers of size 1: its rounding is not that of 0."""
    model = VariationalAutoencoder((7, 5, 3), activation="tanh", dtype="float64")
    model.parameters["W2"][...] = 0
    report = check_gradient(model, rng.uniform(size=(4, 7)), terms=[("KL",)])
    assert report, f"\n{report}"


def test_a_cost_that_is_not_finite_is_not_right(rng):
    model = VariationalAutoencoder((7, 5, 3), activation="identity", loss="gaussian", seed=1)
    model.parameters.flat[...] *= 1e3
    with np.errstate(all="ignore"):
        report = check_gradient(model, 1e3 * rng.uniform(size=(4, 7)))
    assert not any(row.passed for row in report.rows if row.terms == "KL")
    assert json.loads(report.to_json())["rows"][0]["error"] is None


def test_one_wrong_entry_among_thousands_is_caught(digits):
    """Sampled entries can miss it; the random direction through all entries cannot."""

    class OneEntry(UndercompleteAutoencoder):
        def cost_and_grad(self, x, mode="train", need_grad=True):
            cost = super().cost_and_grad(x, mode=mode, need_grad=need_grad)
            self.parameters.gradient("W1").array[400, 3] += 1e-3
            return cost

    report = check_gradient(OneEntry((784, 20)), digits.test[:4], entries=10)
    assert not report and report.worst.parameter == "W1"


def test_a_kink_is_not_an_error():
    """A ReLU at a = 4e-4 switches within the largest step of the differences."""
    model = UndercompleteAutoencoder((2, 1), activation="relu", loss="gaussian", dtype="float64")
    model.parameters["W1"][...] = [[1.0], [0.0]]
    x = np.array([[4e-4, 0.5], [0.3, 0.2]])
    assert check_gradient(model, x)


def test_a_tied_model_stays_tied_through_training_and_its_files(tiny, tmp_path):
    """The fault of a framework: weights that were tied once, at construction, and drift apart. Here V is Wᵀ after
    steps, in a copy and in a file. (The first edition's test asserted no more than that a view is its own base's
    transpose.)"""
    from minae import load

    model, x = tiny(tied=True)
    before = model.parameters["W1"].copy()
    model.fit(x, epochs=5)
    model.save(tmp_path / "m")
    assert (model.parameters["W1"] != before).any()
    for other in (model, model.copy(), load(tmp_path / "m")):
        W1, W2, p = other.parameters["W1"], other.parameters["W2"], other.parameters
        h = 1 / (1 + np.exp(-(1 / (1 + np.exp(-(x @ W1 + p["b1"]))) @ W2 + p["b2"])))
        s = 1 / (1 + np.exp(-(h @ W2.T + p["c1"]))) @ W1.T + p["c2"]
        np.testing.assert_allclose(other.reconstruct(x), 1 / (1 + np.exp(-s)), rtol=1e-12)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(terms=[("KL",)]), "unknown cost term 'KL': this model has L, Omega"),
        (dict(mode="test"), "unknown mode 'test': choose one of train, eval"),
        (dict(turn="D"), "turn is 'D': this model has no turns, leave it out"),
        (dict(y=np.zeros(4, int)), "leave y out"),
        (dict(z=np.zeros(4)), "leave z out"),
    ],
)
def test_bad_arguments(options, message, tiny):
    model, x = tiny()
    with pytest.raises(InputError, match=message) as error:
        check_gradient(model, x, **options)
    assert "\n" not in str(error.value)


# ---- models that are not what the check would look at


def build(page, **attributes):
    """A small model with this page."""
    from minae.fields import Real

    def shapes(self):
        return {"W": (3, 2)}

    methods = dict(inputs=lambda self: {"x": Real(3)}, shapes=shapes, cost_and_grad=page, **attributes)
    model = type("Mine", (Model,), methods)(dtype="float64")
    model.parameters.flat[...] = np.arange(6) / 6
    return model


def right(self, x, need_grad=True):
    h = x @ self.parameters["W"]
    if need_grad:
        self.parameters.gradient("W").add(x.T @ h / len(x))
    return self.cost(L=0.5 * (h * h).sum() / len(x))


def test_a_forgotten_zero_grad_is_seen():
    """What a first call leaves behind is in the second call's gradient; one call alone looks right."""

    def keeps(self, x, need_grad=True):
        cost = right(self, x, need_grad)
        if need_grad:
            self.parameters.grad[...] += self.kept
            self.kept = self.parameters.grad.copy()
        return cost

    x = np.random.default_rng(0).uniform(size=(4, 3))
    assert check_gradient(build(right), x)
    model = build(keeps, kept=0.0)
    model.cost_and_grad(x)
    np.testing.assert_allclose(model.parameters.grad, build(right).parameters.grad * 0 + model.kept)
    assert not check_gradient(build(keeps, kept=0.0), x)


def test_a_random_cost_has_a_sentence_of_its_own():
    rng = np.random.default_rng(0)

    def draws(self, x, need_grad=True):
        return right(self, x + 0.1 * rng.standard_normal(x.shape), need_grad)

    with pytest.raises(InputError, match=r"random.*draw .*in `constants`"):
        check_gradient(build(draws), np.random.default_rng(0).uniform(size=(4, 3)))


def test_a_configuration_that_does_not_rebuild_the_model():
    """The copy, which is what the check looks at, would be another model, and right."""

    def page(self, x, need_grad=True):
        h = self.scale * (x @ self.parameters["W"])
        if need_grad:
            self.parameters.gradient("W").add(x.T @ h / len(x))  # the factor `scale` is missing
        return self.cost(L=0.5 * (h * h).sum() / len(x))

    x = np.random.default_rng(0).uniform(size=(4, 3))
    model = build(page, scale=1.0)
    assert check_gradient(model, x)
    model.scale = 3.0
    with pytest.raises(InputError, match=r"that of the model's copy .* declare what makes the difference as an option"):
        check_gradient(model, x)


def test_a_term_without_a_weight_has_a_sentence_of_its_own():
    def page(self, x, need_grad=True):
        return self.cost(L=0.0, Saturation=1.0)

    with pytest.raises(InputError, match="'Saturation' has no weight"):
        check_gradient(build(page), np.ones((4, 3)))


@pytest.mark.parametrize("given", [None, 1.5, {"L": 1.0}, lambda self: Cost({"Other": 1.0}, {"Other": 1.0})])
def test_a_page_that_gives_no_cost_is_refused(given):
    def page(self, x, need_grad=True):
        return given(self) if callable(given) else given

    for verb in (lambda model: check_gradient(model, np.ones((4, 3))), lambda model: model.fit(np.eye(3), epochs=1)):
        with pytest.raises(InputError, match=r"cost_and_grad of Mine gave .* expected self\.cost\(…\)"):
            verb(build(page))

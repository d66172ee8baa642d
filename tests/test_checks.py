"""The gradient check passes our models at 1e-8, on every backend, and catches each fault that it should."""

import json

import numpy as np
import pytest

from minae import UndercompleteAutoencoder, VariationalAutoencoder, check_gradient
from minae.checks import TOLERANCE, cases
from minae.errors import InputError
from minae.networks import Dense
from minae.penalties import WeightDecay

NAMES = [name for name, *_ in cases("numpy")]


@pytest.mark.parametrize("name", NAMES)
def test_every_variant(name, backend):
    model, x, arguments = next(rest for case, *rest in cases(backend) if case == name)
    report = check_gradient(model, x, noise=arguments)
    assert report and report.worst.error <= 1e-8, f"\n{report}"
    groups = {row.terms for row in report.rows}
    assert groups == ({*model.weights, "+".join(model.weights)} if len(model.weights) > 1 else {"L"})  # each alone, too
    assert {row.parameter for row in report.rows} == set(model.parameters)


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
    assert model.dtype == np.float32 and model.weights == {"L": 1.0, "Omega": 0.1}


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

    variant = None

    def cost_and_grad(self, x, need_grad=True):
        cost = super().cost_and_grad(x, need_grad)
        self.parameters.gradient("V1").array[...] *= 0.5
        return cost


class Sign(UndercompleteAutoencoder):
    """One bias moves uphill."""

    variant = None

    def cost_and_grad(self, x, need_grad=True):
        cost = super().cost_and_grad(x, need_grad)
        self.parameters.gradient("b1").array[...] *= -1
        return cost


class Forgotten(UndercompleteAutoencoder):
    """The cost reports Ω and nothing trains it."""

    variant = None

    def __init__(self, *args, **options):
        super().__init__(*args, **options)

        class Untrained(WeightDecay):
            def backward(self, weight):
                pass

        self.penalty = Untrained(self.parameters)


class Untied(UndercompleteAutoencoder):
    """V = Wᵀ in the forward pass; the gradient of V is dropped, as if V were a copy made once."""

    variant = None

    def __init__(self, *args, **options):
        super().__init__(*args, tied=True, **{k: v for k, v in options.items() if k != "tied"})

        class Dropped:
            def add_product(self, A, B):
                pass

        for layer in self.g.layers:
            layer.dW = Dropped()


class Averaged(UndercompleteAutoencoder):
    """The reported cost is a mean over the outputs, its gradient that of a sum: off by the number of outputs."""

    variant = None

    def cost(self, **terms):
        return super().cost(**{name: term / self.config["sizes"][0] for name, term in terms.items()})


class NotANumber(UndercompleteAutoencoder):
    variant = None

    def cost_and_grad(self, x, need_grad=True):
        cost = super().cost_and_grad(x, need_grad)
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
        variant = None

        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            right = self.change.backward
            self.change.backward = lambda cache, near, kept, weight: right(cache, near, kept, -weight)

    x = rng.uniform(size=(4, 7))
    wrong, right = (
        check_gradient(variant((7, 5), sigma=1e-6, seed=1), x, terms=[("H",)], noise={"x_near": x[None] + near})
        for variant in (Uphill, HigherOrderContractiveAutoencoder)
        for near in [1e-6 * rng.standard_normal(x.shape)]
    )
    assert not wrong and wrong.worst.error > 1 and "WRONG" in str(wrong)
    assert right, f"\n{right}"


@pytest.mark.parametrize("fault", [0.0, 1e-3])
def test_data_that_are_not_scaled(rng, fault):
    """A large J leaves its differences fewer digits: a right gradient passes, and one that is off by 10⁻³ does not."""

    class Wrong(UndercompleteAutoencoder):
        variant = None

        def cost_and_grad(self, x, **options):
            cost = super().cost_and_grad(x, **options)
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
    model.f.layers[-1].W[...] = 0
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
        variant = None

        def cost_and_grad(self, x, need_grad=True):
            cost = super().cost_and_grad(x, need_grad)
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


def test_untied_layers_are_seen_to_drift(tiny):
    """The effect test beside the check: after steps, V is still Wᵀ because there is only one array."""
    model, x = tiny(tied=True)
    model.fit(x, epochs=5)
    h = model.f.forward(x)[0]
    assert isinstance(model.g.layers[0], Dense)
    np.testing.assert_array_equal(model.g.layers[0].W, model.f.layers[-1].W.T)
    assert np.isfinite(h).all()

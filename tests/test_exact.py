"""In numbers of 60 digits every formula agrees to 1e-25, and one that is wrong by 1e-12 does not."""

import json
import sys
from fractions import Fraction

import numpy as np
import pytest
from test_checks import NAMES

from minae import UndercompleteAutoencoder, check_gradient, cli, losses
from minae.errors import InputError
from minae.exact import TOLERANCE, ExactBackend, check_case, check_exact

SLOW = [name for name in NAMES if "convolution" in name or "deep" in name]  # each of the others takes half a second


@pytest.fixture(scope="module")
def xp():
    return ExactBackend().xp


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow if n in SLOW else ()) for n in NAMES])
def test_every_formula_is_right(name, cases):
    """All cases of `minae check`, and no exception; right ones agree to some 37 digits, far below the tolerance."""
    model, batch = cases("numpy")[name]
    reports, moved = check_case(model, batch), set()
    for report in reports:
        assert report and report.worst.error < 1e-35, f"\n{report}"
        moved |= {row.parameter for row in report.rows}
    assert moved == set(model.parameters)


# ---- negative controls: faults that float64 passes


class Scaled(UndercompleteAutoencoder):
    """One gradient is wrong by a relative 1e-12."""

    def cost_and_grad(self, x, mode="train", need_grad=True):
        cost = super().cost_and_grad(x, mode=mode, need_grad=need_grad)
        if need_grad:
            dV = self.parameters.gradient("V1").array
            dV += dV * 1e-12
        return cost


class Entry(UndercompleteAutoencoder):
    """One entry of one gradient is wrong by 1e-12."""

    def cost_and_grad(self, x, mode="train", need_grad=True):
        cost = super().cost_and_grad(x, mode=mode, need_grad=need_grad)
        if need_grad:
            self.parameters.gradient("W1").array[2, 3] += 1e-12
        return cost


class Third(losses.StudentT):
    """The cost multiplies by 1/3, which rounds, and the gradient divides by 3."""

    def value(self, d):
        ws = self.arena.ws
        return ws.multiply(ws.log1p(ws.multiply(ws.multiply(d, d), 1 / self.nu)), (self.nu + 1) / 2)


class Rounded(UndercompleteAutoencoder):
    def build(self):
        super().build()
        self.loss = Third(self.arena, self.weights)


@pytest.mark.parametrize(
    "fault, parameter, index, error",
    [(Scaled, "V1", None, 1e-13), (Entry, "W1", (2, 3), 1e-13), (Rounded, "W2", None, 1e-18)],
)
def test_what_float64_passes_is_caught(fault, parameter, index, error, tiny):
    _, x = tiny()
    model = fault((7, 5, 3), activation="tanh", loss="gaussian", dtype="float64", seed=1)
    assert check_gradient(model, x), "float64 differences should not see a fault as small as this"
    report = check_exact(model, x)
    wrong = {row.parameter: row for row in report.rows if not row.passed}
    assert not report and parameter in wrong and error < wrong[parameter].error < 1e-11
    assert "gradients are wrong" in str(report) and "WRONG" in str(report)
    assert index in (None, wrong[parameter].index)
    if fault is not Rounded:
        assert len(wrong) == 1  # the others are right to 1e-25
    assert wrong[parameter].entries == model.parameters[parameter].size


def test_the_model_is_left_as_it_was_and_may_be_float32(tiny):
    model, x = tiny(dtype="float32", lam=0.1)
    before = model.parameters.flat.copy()
    report = check_exact(model, x)
    assert report and {row.terms for row in report.rows} == {"L+Omega", "L", "Omega"}
    assert "every formula is right" in str(report) and report.held == []
    np.testing.assert_array_equal(model.parameters.flat, before)
    assert model.dtype == np.float32 and dict(model.weights) == {"L": 1.0, "Omega": 0.1}


def test_a_weight_that_rounds_over_the_batch_is_no_fault(tiny):
    """0.1/3 is rounded in float64; here λ and 1/B are numbers of 60 digits."""
    model, x = tiny(lam=0.1, rows=3)
    assert check_exact(model, x)


def test_what_is_held_is_named(cases):
    held = {name: check_case(*cases("numpy")[name])[0].held for name in ("variational bernoulli", "k_sparse linear")}
    assert held == {"variational bernoulli": ["eps"], "k_sparse linear": ["support"]}


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(digits=20), "digits is 20: expected a whole number from 50"),
        (dict(digits=True), "digits is True"),
        (dict(turn="G"), "turn is 'G': this model has no turns"),
        (dict(terms=[("KL",)]), "unknown cost term 'KL'"),
        (dict(mode="test"), "mode is 'test'"),
        (dict(z=1), "z was given"),
    ],
)
def test_bad_arguments(options, message, tiny):
    model, x = tiny()
    with pytest.raises(InputError, match=message):
        check_exact(model, x, **options)


# ---- the stand-in


def test_floats_come_in_to_their_last_bit(xp):
    a = np.random.default_rng(0).standard_normal(20)
    for value, number in zip(a, xp.asarray(a), strict=True):
        sign, mantissa, exponent, _ = number._mpf_
        assert Fraction(float(value)) == (-1) ** sign * Fraction(int(mantissa)) * Fraction(2) ** exponent


def test_numbers_keep_60_digits(xp):
    third = xp.divide(xp.ones(2), 3)
    assert abs(third[0] * 3 - 1) < xp.number(10) ** -59 and third.dtype == np.float64
    counts = xp.arange(4) + 1
    assert counts.dtype.kind == "i" and (counts / 3).dtype == np.float64  # integers over integers do not become floats
    assert abs((counts / 3)[0] * 3 - 1) < xp.number(10) ** -59
    written = xp.empty((2,))
    written[...] = np.array([1, 2])
    assert abs((written / written[1] * 2)[0] - 1) < xp.number(10) ** -59


def test_memory_that_nobody_wrote_to_is_an_error_to_read(xp):
    with pytest.raises(TypeError):
        xp.empty((2, 2)) + 1


FUNCTIONS = {
    "exp": 1, "expm1": 1, "tanh": 1, "sin": 1, "cos": 1, "sign": 1, "abs": 1, "negative": 1, "square": 1, "add": 2,
    "subtract": 2, "multiply": 2, "divide": 2, "maximum": 2, "minimum": 2, "greater": 2, "less_equal": 2, "matmul": 2,
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_functions_are_numpys(name, xp, rng):
    given = [rng.standard_normal((3, 3)) for _ in range(FUNCTIONS[name])]
    expected, out = getattr(np, name)(*given), xp.empty((3, 3))
    inside = [xp.asarray(a) for a in given]
    for result in (getattr(xp, name)(*inside), getattr(xp, name)(*inside, out=out)):
        np.testing.assert_allclose(result._array.astype(float), expected, rtol=1e-14)
    assert all(isinstance(number, type(xp.number(1))) for number in out._array.flat)


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min"])
@pytest.mark.parametrize("axis", [None, 1, (0, 2)])
def test_the_reductions_are_numpys(name, axis, xp, rng):
    a = rng.standard_normal((2, 3, 4))
    for keep in (False, True):
        result = getattr(xp.asarray(a), name)(axis=axis, keepdims=keep)
        expected = getattr(a, name)(axis=axis, keepdims=keep)
        numbers = np.asarray(getattr(result, "_array", result)).astype(float)
        np.testing.assert_allclose(numbers, expected, rtol=1e-13)
        assert numbers.shape == np.shape(expected)


# ---- the command


def run(capsys, *argv):
    capsys.readouterr()
    code = cli.main(list(argv))
    return code, *capsys.readouterr()


def test_the_command(capsys):
    code, out, _ = run(capsys, "check", "--exact", "lista")
    assert code == 0 and f"2 right, 0 wrong; tolerance {TOLERANCE:g}, 60 digits" in out and "held fixed" in out
    code, out, _ = run(capsys, "check", "--exact", "hashing", "--json")
    report = json.loads(out)
    assert code == 0 and report["passed"] and all(case["tolerance"] == TOLERANCE for case in report["cases"].values())
    assert report["cases"]["hashing categorical"]["held"] == ["eps"]


def test_the_command_fails_where_a_formula_is_wrong(capsys, monkeypatch):
    monkeypatch.setattr(losses.StudentT, "value", Third.value)
    monkeypatch.setattr(UndercompleteAutoencoder, "cases", {"student_t": UndercompleteAutoencoder.cases["student_t"]})
    code, out, _ = run(capsys, "check", "undercomplete")
    assert code == 0, out  # float64 passes it
    code, out, _ = run(capsys, "check", "undercomplete", "--exact")
    assert code == 1 and "0 right, 1 wrong" in out


@pytest.mark.parametrize("argv, package", [(["check", "--exact"], "mpmath"), (["derive", "contractive"], "sympy")])
def test_a_package_that_is_missing_is_one_line(argv, package, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    code, _, err = run(capsys, *argv)
    assert code == 2 and err.count("\n") == 1 and package in err and "pip install" in err

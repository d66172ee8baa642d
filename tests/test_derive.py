"""On symbols, the gradient that a page computes is the one that SymPy finds; kinks are refused, faults are found."""

import json

import pytest
import sympy

from minae import UndercompleteAutoencoder, cli
from minae.derive import derive
from minae.errors import InputError
from minae.models import get_model

SMOOTH = [
    ("undercomplete", "tanh"),
    ("undercomplete", "softplus"),
    ("undercomplete", "student_t"),
    ("undercomplete", "tied, weight decay"),
    ("sparse", "KL, overcomplete, tied"),
    ("classifier", "softmax regression, weight decay"),
    ("variational", "gaussian, β = 4"),
    ("denoising", "gaussian"),
    ("contractive", "one layer"),
    ("contractive", "deep, identity"),
    ("predictive_sparse", "tanh and gain"),
    ("hashing", "one layer, tied"),
    ("adversarial", "non-saturating"),
]
KINKS = [
    ("undercomplete", "relu"),
    ("undercomplete", "elu"),
    ("undercomplete", "laplace"),
    ("sparse", "L1"),
    ("classifier", "hinge"),
    ("contractive", "deep, relu"),
    ("lista", "steps: 3"),
    ("adversarial", "hinge"),
]


@pytest.mark.parametrize("model, case", SMOOTH[:2] + [pytest.param(*one, marks=pytest.mark.slow) for one in SMOOTH[2:]])
def test_the_two_gradients_are_one(model, case):
    kind = get_model(model)
    derivations = derive(kind, case)
    assert len(derivations) == len(kind.turns or [None])
    for derivation in derivations:
        assert derivation and {slope.how for slope in derivation.slopes} == {"simplified"}, f"\n{derivation}"
        for slope in derivation.slopes:  # SymPy's is that of the cost that is shown
            assert sympy.diff(derivation.cost, slope.symbol) == slope.sympy
        assert any(slope.page != 0 for slope in derivation.slopes)


@pytest.mark.slow
def test_where_sympy_does_not_decide_the_points_do_and_it_is_said():
    (derivation,) = derive(get_model("contractive_h"), "deep, softplus")
    assert derivation and {slope.how for slope in derivation.slopes} == {"simplified", "points"}
    assert "at random points alone" in derivation.verdict() and "SymPy does not simplify it" in str(derivation)


@pytest.mark.parametrize("model, case", KINKS)
def test_kinks_are_refused(model, case):
    with pytest.raises(InputError, match=r"has kinks: .* use `minae check --exact`") as refused:
        derive(get_model(model), case)
    assert "\n" not in str(refused.value)


class Faulty(UndercompleteAutoencoder):
    """The gradient of the decoder's bias lacks a part of 10⁻¹²."""

    cases = {"tiny": dict(activation="tanh", loss="gaussian")}

    def cost_and_grad(self, x, mode="train", need_grad=True):
        cost = super().cost_and_grad(x, mode=mode, need_grad=need_grad)
        if need_grad:
            dc = self.parameters.gradient("c1").array
            dc *= 1 - 1e-12
        return cost


def test_a_fault_is_found():
    (derivation,) = derive(Faulty)
    wrong = {slope.parameter for slope in derivation.slopes if slope.how == "differs"}
    assert not derivation and wrong == {"c1"}
    assert "the gradient by c1_1 is wrong" in str(derivation) and "is NOT 0" in str(derivation)


@pytest.mark.parametrize(
    "model, options, message",
    [
        ("undercomplete", dict(case="deepest"), "has no case 'deepest': choose one of 'identity'"),
        ("undercomplete", dict(rows=9), "rows is 9: expected 1, 2 or 3"),
        ("undercomplete", dict(rows=True), "rows is True"),
        ("variational", dict(case="convolutional"), "53 parameters at its smallest: expected at most 40"),
    ],
)
def test_bad_arguments(model, options, message):
    with pytest.raises(InputError, match=message):
        derive(get_model(model), **options)


def test_it_reads_as_formulas():
    (derivation,) = derive(get_model("undercomplete"), "one layer")
    text, latex = derivation.text(), derivation.text(latex=True)
    assert "a_f1_1 = W1_11*x_1 + W1_21*x_2 + b1_1" in text and "a_g1_1 = V1_1*h_f1_1 + c1_1" in text
    assert "every difference is 0: 7 of 7 by simplification" in text
    assert r"\frac{\partial J}{\partial c_{1 1}}" in latex and "∂" not in latex


@pytest.mark.slow
def test_the_command(capsys):
    assert cli.main(["derive", "contractive", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (derivation,) = found["derivations"]
    symbols = {name: sympy.Symbol(name, real=True) for name in "lambda x_1 x_2 W1_11 W1_21 b1_1 c1_1 c1_2".split()}
    cost = sympy.sympify(derivation["cost"].replace("lambda", "lam"), symbols | {"lam": symbols["lambda"]})
    assert found["passed"] and symbols["lambda"] in cost.free_symbols and set(derivation["terms"]) == {"L", "Omega"}
    assert [slope["symbol"] for slope in derivation["slopes"]] == ["W1_11", "W1_21", "b1_1", "c1_1", "c1_2"]
    assert cli.main(["derive", "contractive", "--latex"]) == 0
    assert r"\lambda" in capsys.readouterr().out
    assert cli.main(["derive", "lista"]) == 2
    assert capsys.readouterr().err.startswith("minae: lista steps: 1 has kinks")

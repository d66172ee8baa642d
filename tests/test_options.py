"""Declared options: one line of a class gives check, repr, file and signature; the weights are λ's one home."""

import inspect
import math

import numpy as np
import pytest

import minae
from minae import LISTA, InputError, Model, UndercompleteAutoencoder, VariationalAutoencoder, load
from minae.fields import Real
from minae.models import registry
from minae.networks import Network, dense
from minae.options import REQUIRED, Choice, Count, Flag, Number, Option, Positive, Rate, Settled, Sizes, Weight, of
from minae.training import SGD


def refuses(build, *words):
    """The call raises InputError, of one line, that holds what was given and what was expected."""
    with pytest.raises(InputError) as error:
        build()
    line = str(error.value)
    assert len(line.splitlines()) == 1
    for word in words:
        assert word in line, line


class Everything(Model):
    """One option of each kind."""

    n = Count(5, "a count")
    few = Count(0, "may be 0", lowest=0)
    perhaps = Count(None, "may be left out", optional=True)
    x = Number(0.5, "any finite number")
    inside = Number(1.0, "closed", low=-1, high=2)
    rate = Rate(0.1, "a share")
    positive = Positive(2.0, "more than 0")
    word = Choice("one", "a word", among=("one", "two"))
    flag = Flag(False, "yes or no")
    whatever = Option("as it is", "is not looked at")
    sizes = Sizes("widths")
    lam = Weight("Omega", 0.25, "a weight")
    fixed = Settled("never", "it is what this model is")

    def inputs(self):
        return {"x": Real(self.sizes[0])}

    def cost_and_grad(self, x, mode="train", need_grad=True):
        return self.cost(L=(x * x).sum(), Omega=x.sum() if self.lam else None)


def build(**given):
    return Everything(**{"sizes": (3, 2), **given})


# ---- kinds

RIGHT = [
    ("n", 7, 7),
    ("n", np.int32(7), 7),
    ("few", 0, 0),
    ("perhaps", None, None),
    ("perhaps", 3, 3),
    ("x", -2, -2.0),
    ("x", np.float32(0.5), 0.5),
    ("inside", -1, -1.0),
    ("inside", 2, 2.0),
    ("rate", 0.999, 0.999),
    ("positive", 1e-30, 1e-30),
    ("word", "two", "two"),
    ("flag", np.True_, True),
    ("whatever", None, None),
    ("sizes", [3, 2], [3, 2]),
    ("sizes", (np.int64(3), 2), [3, 2]),
    ("sizes", range(3, 5), [3, 4]),
    ("lam", 0, 0.0),
    ("lam", 3, 3.0),
    ("fixed", "never", "never"),
]


@pytest.mark.parametrize("name, given, kept", RIGHT)
def test_a_right_value_is_kept_in_its_form(name, given, kept):
    model = build(**{name: given})
    assert getattr(model, name) == kept and type(getattr(model, name)) is type(kept)
    assert model.config[name] == kept and f"{name}={kept!r}" in repr(model)


WRONG = [
    ("n", [0, -1, 2.0, 2.5, "3", None, True, [3], math.nan], "an integer ≥ 1"),
    ("few", [-1, 0.0], "an integer ≥ 0"),
    ("x", [math.nan, math.inf, "0.1", None, True, 1j, [1.0], 10**400], "a finite number"),
    ("inside", [-1.1, 2.1, math.nan, "1"], "a number in [-1, 2]"),
    ("rate", [0, 1, 0.0, 1.0, -0.1, 2, math.nan, "0.5", False], "a number in (0, 1)"),
    ("positive", [0, -1, math.inf, math.nan, "1"], "a number > 0"),
    ("word", ["three", "", 1, None, ["one"], True], "choose one of one, two"),
    ("flag", [1, 0, "yes", None, "False"], "True or False"),
    ("sizes", ["ab", (3,), (3, 0), (3, -1), (3.0, 2), 3, None, (), ((3, 2),)], "widths from x to h"),
    ("lam", [-1, -1e-9, math.nan, math.inf, "1", None, True], "a number ≥ 0"),
    ("fixed", ["now", None, 1], "it is what this model is, so leave fixed out"),
]


@pytest.mark.parametrize("name, given, expected", [(n, g, e) for n, values, e in WRONG for g in values])
def test_a_wrong_value_is_refused_in_one_line(name, given, expected):
    """What was given, and what is expected."""
    shown = " ".join(repr(given).split())
    refuses(lambda: build(**{name: given}), name, shown[:80], expected)


def test_a_long_value_is_shown_in_short():
    refuses(lambda: build(word="x" * 5000), "…")
    refuses(lambda: build(sizes=np.zeros((100, 100))), "sizes", "…")


def test_what_is_required_is_asked_for():
    refuses(lambda: Everything(), "sizes is missing: expected the widths from x to h")
    refuses(lambda: minae.KSparseAutoencoder((7, 5)), "k is missing: expected an integer ≥ 1")
    assert repr(REQUIRED) == "required"


def test_the_option_itself_is_seen_from_the_class():
    assert isinstance(Everything.n, Count) and Everything.n.doc == "a count" and Everything.lam.term == "Omega"
    assert next(iter(of(Everything))) == "sizes"
    assert list(of(Everything)) == (
        "sizes seed n few perhaps x inside rate positive word flag whatever lam fixed".split()
    )  # widths first, then those of the base, as they are declared


def test_an_inherited_option_keeps_its_words():
    class Child(Everything):
        n = Count(9)

    assert Child.n.doc == "a count" and Child((3, 2)).n == 9 and list(of(Child)) == list(of(Everything))


WORDS = [
    ("7", "n", 7),
    ("0.5", "x", 0.5),
    ("(3, 2)", "sizes", (3, 2)),
    ("two", "word", "two"),
    ("1", "word", "1"),
    ("True", "flag", True),
    ("None", "perhaps", None),
    ("a word", "whatever", "a word"),
]


@pytest.mark.parametrize("text, name, value", WORDS)
def test_words_of_the_command_line(text, name, value):
    assert of(Everything)[name].parse(text) == value


# ---- the constructor


def test_unknown_options():
    refuses(lambda: build(lambda_=1), "has no option 'lambda_': it has sizes, seed, n, few")
    refuses(lambda: UndercompleteAutoencoder((7, 3), rho=0.1), "undercomplete has no option 'rho'")


def test_sizes_may_be_given_first_and_nothing_else():
    assert UndercompleteAutoencoder((7, 3)).sizes == UndercompleteAutoencoder(sizes=(7, 3)).sizes == [7, 3]
    refuses(lambda: UndercompleteAutoencoder((7, 3), "tanh"), "UndercompleteAutoencoder takes sizes by position")


def test_backend_and_dtype_are_no_options():
    model = build()
    assert "backend" not in model.config and repr(model).endswith("backend='numpy', dtype='float32')")
    for dtype in ("float16", "int32", np.float16, None, 3):
        refuses(lambda dtype=dtype: build(dtype=dtype), "dtype is", "'float32' (to train) or 'float64'")
    assert build(dtype=np.dtype("float64")).dtype == np.float64


@pytest.mark.parametrize("name", registry())
def test_the_signature_is_that_of_the_options(name):
    """What a notebook shows at `Model(` and help(), for every model."""
    kind = registry()[name]
    parameters = inspect.signature(kind).parameters
    assert list(parameters) == [*of(kind), "backend", "dtype"]
    assert next(iter(parameters)) == "sizes" or not any(isinstance(option, Sizes) for option in of(kind).values())
    for option in of(kind).values():
        parameter = parameters[option.name]
        assert parameter.default is (inspect.Parameter.empty if isinstance(option, Sizes) else option.default)
        positional = parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        assert positional == isinstance(option, Sizes) and option.doc


@pytest.mark.parametrize("name", registry())
def test_repr_and_config_build_the_same_model(name, cases):
    for case, (model, _) in cases("numpy").items():
        if case.split()[0] == name:
            again = eval(repr(model), vars(minae))
            assert repr(again) == repr(model) and again.config == model.config
            assert list(again.parameters) == list(model.parameters) and again.weights == model.weights


# ---- settled after construction


@pytest.mark.parametrize("name", [name for name in of(Everything) if name != "lam"])
def test_an_option_is_settled_when_the_model_is_built(name):
    model = build()
    before = getattr(model, name)
    refuses(lambda: setattr(model, name, 3), f"{name} is settled when a model is built: build another with {name}=3")
    assert getattr(model, name) == before


def test_other_attributes_are_free():
    model = build()
    model.note = "mine"
    assert model.note == "mine" and "note" not in model.config


# ---- weights


def test_weights_always_hold_every_term():
    assert build(lam=0).weights == {"L": 1.0, "Omega": 0.0}
    assert UndercompleteAutoencoder((7, 3)).weights == {"L": 1.0, "Omega": 0.0}
    assert VariationalAutoencoder((7, 3), beta=4).weights == {"L": 1.0, "KL": 4.0}


def test_the_weight_of_a_term_lives_in_one_place(tmp_path):
    """λ as an attribute, as a weight, in repr, in config, in a copy and in a file: one number."""
    ways = (
        lambda model: setattr(model, "lam", 0.75),
        lambda model: model.weights.update({"Omega": 0.75}),
        lambda model: model.weights.__setitem__("Omega", 0.75),
        lambda model: setattr(model, "weights", {"Omega": 0.75}),
        lambda model: setattr(model, "weights", model.weights | {"Omega": 0.75}),
    )
    for way in ways:
        model = UndercompleteAutoencoder((7, 3), lam=0.5)
        way(model)
        assert model.lam == model.weights["Omega"] == model.config["lam"] == 0.75 and model.weights["L"] == 1
        assert "lam=0.75" in repr(model) and model.penalty.weight == 0.75
        model.save(tmp_path / "m.safetensors")
        for other in (model.copy(), load(tmp_path / "m.safetensors")):
            assert other.lam == other.penalty.weight == 0.75 and repr(other) == repr(model)


def test_a_weight_that_is_not_one_is_refused():
    model = build()
    for wrong in (-1, math.nan, math.inf, "1", None):
        for way in (
            lambda wrong=wrong: setattr(model, "lam", wrong),
            lambda wrong=wrong: model.weights.__setitem__("Omega", wrong),
            lambda wrong=wrong: setattr(model, "weights", {"Omega": wrong}),
        ):
            refuses(way, "Omega", repr(wrong), "a number ≥ 0")
    for way in (
        lambda: model.weights.__setitem__("KL", 1.0),
        lambda: model.weights.update({"KL": 1.0}),
        lambda: setattr(model, "weights", {"KL": 1.0}),
        lambda: model.weights.__ior__({"KL": 1.0}),
    ):
        refuses(way, "unknown cost term 'KL': this model has L, Omega")
    for name, arguments in (("pop", ["L"]), ("clear", []), ("__delitem__", ["L"]), ("setdefault", ["KL", 1.0])):
        refuses(lambda: getattr(model.weights, name)(*arguments), "a model keeps its cost terms, L, Omega")  # noqa: B023
    assert model.weights == {"L": 1.0, "Omega": 0.25}


def test_annealing_from_0_adds_the_term(rng):
    model, x = UndercompleteAutoencoder((7, 3), dtype="float64", seed=1), rng.uniform(size=(4, 7))
    assert list(model.cost_and_grad(x)) == ["L"]
    without = model.parameters.grad.copy()
    model.lam = 0.5
    cost = model.cost_and_grad(x)
    assert list(cost) == ["L", "Omega"] and float(cost) == pytest.approx(float(cost["L"]) + 0.5 * float(cost["Omega"]))
    W = model.parameters["W1"]
    difference = model.parameters.views(model.parameters.grad - without)["W1"]
    np.testing.assert_allclose(difference, 0.5 * W, atol=1e-15)
    model.lam = 0
    assert list(model.cost_and_grad(x)) == ["L"]
    np.testing.assert_array_equal(model.parameters.grad, without)


def test_a_weight_of_the_loss_scales_its_gradient(rng):
    model, x = UndercompleteAutoencoder((7, 3), dtype="float64", seed=1), rng.uniform(size=(4, 7))
    L = float(model.cost_and_grad(x)["L"])
    whole = model.parameters.grad.copy()
    model.weights["L"] = 0.25
    cost = model.cost_and_grad(x)
    assert float(cost["L"]) == L and float(cost) == 0.25 * L
    np.testing.assert_allclose(model.parameters.grad, 0.25 * whole, rtol=1e-14)


def test_settled_options_of_the_models():
    refuses(lambda: VariationalAutoencoder((7, 3), code="sigmoid"), "code is 'sigmoid'", "leave code out")
    refuses(lambda: VariationalAutoencoder((7, 3), tied=True), "tied is True", "leave tied out")
    refuses(lambda: LISTA((7, 8, 9)), "sizes is (7, 8, 9): expected 2 widths ≥ 1")
    assert VariationalAutoencoder((7, 3), code="identity", tied=False).code == "identity"


def test_models_that_need_no_option_at_all(rng):
    class Plain(Model):
        def inputs(self):
            return {"x": Real(3)}

        def networks(self):
            return {"f": dense((3, 2), ["tanh"], "W", "b"), "g": Network([])}

        def cost_and_grad(self, x, mode="train", need_grad=True):
            h, cache = self.f.forward(x, mode)
            cost = self.cost(L=0.5 * (h * h).sum() / len(x))
            if need_grad:
                self.f.backward(h / len(x), cache, need_dx=False)
            return cost

    model, X = Plain(dtype="float64"), rng.uniform(size=(20, 3))
    assert minae.check_gradient(model, X) and repr(model) == "Plain(seed=0, backend='numpy', dtype='float64')"
    history = model.fit(X, epochs=5, optimizer=SGD(0.5))
    assert history["L"][-1] < history["L"][0]
    refuses(lambda: Plain(3), "Plain takes no option by position")

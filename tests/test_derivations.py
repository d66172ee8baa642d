"""The derivation is in the docstring (HOUSE_STYLE, rule 17): a reader sees it beside the code that it is of."""

import importlib
import inspect
import pkgutil
import re

import pytest

import minae
from minae import codes, contraction, games, inference, layers, losses, models, ops, penalties, symbols
from minae.layers import Layer
from minae.penalties import Term


def block(text):
    """The lines of the block `Derivation:` of a docstring, [] where there is none."""
    lines = inspect.cleandoc(text or "").splitlines()
    starts = [k for k, line in enumerate(lines) if re.match(r"Derivation( \([^)]*\))?:", line)]
    found = []
    for line in lines[starts[0] :] if starts else []:
        if not line and found:
            break
        found.append(line)
    return found


def derived(thing):
    """The block of this docstring, of one that it names (derived in `ops.affine`), or of the module's."""
    doc = inspect.getdoc(thing) if inspect.ismodule(thing) else thing.__doc__
    if block(doc):
        return block(doc)
    for name in re.findall(r"derived in\s+`(?:minae\.)?([\w.]+)`", doc or ""):
        return derived(lookup(name))
    return [] if inspect.ismodule(thing) else block(inspect.getmodule(thing).__doc__)


def lookup(name):
    """The module, class or function of minae of this dotted name."""
    parts = name.split(".")
    for k in range(len(parts), -1, -1):
        try:
            thing = importlib.import_module(".".join(["minae", *parts[:k]]))
        except ModuleNotFoundError:
            continue
        for part in parts[k:]:
            thing = getattr(thing, part)
        return thing
    raise AssertionError(f"a docstring names {name!r}, which is not there")


def classes(module, base):
    return [
        thing
        for thing in vars(module).values()
        if inspect.isclass(thing) and issubclass(thing, base) and thing.__module__ == module.__name__
    ]


def op_pairs():
    """(op, op_backward) of every module of minae.ops."""
    for info in pkgutil.iter_modules(ops.__path__):
        module = importlib.import_module(f"minae.ops.{info.name}")
        for name, op in vars(module).items():
            if inspect.isfunction(op) and hasattr(module, f"{name}_backward") and op.__module__ == module.__name__:
                yield op, getattr(module, f"{name}_backward")


PAIRS = list(op_pairs())
LAYERS = [layer for package in (layers, models) for info in pkgutil.iter_modules(package.__path__)
          for layer in classes(importlib.import_module(f"{package.__name__}.{info.name}"), Layer)
          if layer is not Layer and "backward" in vars(layer)]  # fmt: skip
CODES = classes(codes, Layer) + classes(symbols, Layer)
TERMS = [term for term in classes(penalties, Term) + classes(losses, Term) if term not in (Term, losses.Loss)]
TERMS += classes(contraction, Term) + classes(games, Term)


def test_there_is_something_to_see():
    assert {op.__name__ for op, _ in PAIRS} >= {"affine", "phi", "log_softmax"} and len(PAIRS) >= 4
    assert {layer.__name__ for layer in LAYERS} >= {"Affine", "Activation", "Gain", "Shrink", "Unrolled"}
    assert {code.__name__ for code in CODES} >= {"Gaussian", "NoisyLogits", "TopK"}
    names = {term.__name__ for term in TERMS}
    assert names >= {"WeightDecay", "Laplace", "KLSparsity", "Gaussian", "Bernoulli", "Categorical", "Contraction"}


def test_the_look_itself_can_fail():
    def bare():
        """No derivation: it is said in the middle of a line. Derivation: x = 1"""

    def here():
        """Words.

        Derivation: a sentence.
            x = 1

        More words.
        """

    def elsewhere():
        """derived in `ops.affine`"""

    def nowhere():
        """derived in `ops.nonsense`"""

    assert block(bare.__doc__) == [] and block(None) == []
    assert block(here.__doc__) == ["Derivation: a sentence.", "    x = 1"]
    assert derived(elsewhere) == block(ops.affine.__doc__)
    with pytest.raises(AttributeError):
        derived(nowhere)


def named(things):
    return {"argvalues": things, "ids": [f"{thing.__module__}.{thing.__qualname__}" for thing in things]}


def has_formulas(lines):
    """Sentences at the margin, and at least one formula, indented by four."""
    assert lines, "there is no block 'Derivation:'"
    formulas = [line for line in lines if line.startswith("    ")]
    assert any(re.search(r"=|≤|→", line) for line in formulas), "\n".join(lines)
    assert any(re.match(r"\S", line) for line in lines)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0].__module__}.{pair[0].__name__}")
def test_every_pair_of_an_op_and_its_backward(pair):
    lines = block(pair[0].__doc__) or block(pair[1].__doc__) or block(inspect.getmodule(pair[0]).__doc__)
    has_formulas(lines)


@pytest.mark.parametrize("layer", **named(LAYERS))
def test_every_layer(layer):
    has_formulas(derived(layer) or derived(layer.backward))


@pytest.mark.parametrize("code", **named(CODES))
def test_every_code(code):
    has_formulas(block(code.__doc__))


@pytest.mark.parametrize("term", **named(TERMS))
def test_every_penalty_and_every_loss(term):
    has_formulas(derived(term))


def test_inference():
    has_formulas(block(inference.__doc__))


@pytest.mark.parametrize("name", models.registry())
def test_every_model(name):
    """In the class's own docstring, which also has the cost and the number of a section or an equation."""
    doc = models.registry()[name].__doc__
    has_formulas(block(doc))
    assert re.search(r"J\s+?=", doc) and re.search(r"\d+\.\d+|\b(19|20)\d\d\b", doc), doc.splitlines()[0]


def test_what_docstrings_name_is_there():
    """Every `minae.something` that a docstring of the engine names in backquotes exists."""
    missing = []
    for info in pkgutil.walk_packages(minae.__path__, "minae."):
        if info.name.startswith(("minae.bench", "minae.__main__", "minae.chapters")):
            continue
        module = importlib.import_module(info.name)
        things = [
            module,
            *(thing for thing in vars(module).values() if inspect.isclass(thing) or inspect.isfunction(thing)),
        ]
        for thing in things:
            for name in re.findall(r"`minae\.([\w.]+)`", thing.__doc__ or ""):
                try:
                    lookup(name)
                except (AttributeError, AssertionError):
                    missing.append((info.name, getattr(thing, "__name__", ""), f"minae.{name}"))
    assert not missing

r"""What is a derivation by hand worth? The page of a model on symbols, beside the gradient that SymPy finds.

A tiny network, such as two inputs and one hidden unit, has few enough parameters to write down J as a formula. The page
runs unchanged on a backend whose numbers are symbols (`minae.standin`), forward and upward. That gives two formulas for
each ∂J/∂θ_i: the one that the page has computed, and the one that SymPy finds by differentiating J. `derive` says
whether their difference simplifies to 0.

A comparison cannot be decided on symbols: σ(a) is computed as 1/(1 + e^−|a|) for a ≥ 0 and as e^−|a|/(1 + e^−|a|)
below. So each symbol carries a number with it, and comparisons, |a| and max are decided by those numbers. For a smooth
J the choice does not matter, since both branches are one function. Hence a test for kinks: the page runs at several θ,
and a model whose formulas for J are not one function has kinks, and is refused. `minae check --exact` checks it.

How a difference is decided: it is evaluated at random rational points with 50 digits, so that one that is not 0 is
found at once. To show that it is 0 everywhere, each exponential, logarithm and tanh becomes an unknown of its own, from
the innermost out, with e^{ku} = (e^u)^k; what is left is a quotient of polynomials, and is 0 where its numerator
expands to 0. Where that is more than SymPy can expand in some seconds, the random points are the answer, and `derive`
says so.
"""

import contextlib
import functools
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from minae import options
from minae.errors import InputError
from minae.exact import held_fixed
from minae.fields import Code, Real
from minae.layers import Activation, Affine
from minae.models import Model
from minae.standin import StandIn, StandInBackend

POINTS, PLACES = 3, 12  # random points at which formulas are compared; θ at which the page runs to find kinks
LARGEST, LONGEST = 40, 3000  # parameters of a model that is written down, and operations of its J
EXPANDED = 1500  # operations of a difference that SymPy expands
GREEK = {"lam": "lambda", "eps": "epsilon", "x_tilde": "xtilde", "x_near": "xprime"}  # symbols, by NOTATION.md


class Formula:
    """A formula, and its value at the point where comparisons are decided."""

    __slots__ = ("expression", "numbers", "value")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, expression, value, numbers):
        self.expression, self.value, self.numbers = expression, value, numbers

    def __neg__(self):
        return Formula(-self.expression, -self.value, self.numbers)

    def __abs__(self):
        return -self if self.value < 0 else self

    def __float__(self):
        return float(self.value)

    def __int__(self):
        return int(self.value)

    def __bool__(self):
        return self.value != 0


def _of_two(operate, swapped=False):
    def of_two(self, other):
        if isinstance(other, StandIn):
            return NotImplemented
        first, second = self, self.numbers.number(other)
        if swapped:
            first, second = second, first
        return Formula(operate(first.expression, second.expression), operate(first.value, second.value), self.numbers)

    return of_two


def _compared(compare):
    def by_value(self, other):
        return NotImplemented if isinstance(other, StandIn) else compare(self.value, float(other))

    return by_value


ARITHMETIC = dict(
    add=lambda a, b: a + b, sub=lambda a, b: a - b, mul=lambda a, b: a * b, truediv=lambda a, b: a / b,
    pow=lambda a, b: a**b,
)  # fmt: skip
COMPARISONS = dict(
    lt=lambda a, b: a < b, le=lambda a, b: a <= b, gt=lambda a, b: a > b, ge=lambda a, b: a >= b,
    eq=lambda a, b: a == b, ne=lambda a, b: a != b,
)  # fmt: skip
for _name, _function in ARITHMETIC.items():
    setattr(Formula, f"__{_name}__", _of_two(_function))
    setattr(Formula, f"__r{_name}__", _of_two(_function, swapped=True))
for _name, _function in COMPARISONS.items():
    setattr(Formula, f"__{_name}__", _compared(_function))


class Symbols:
    """The arithmetic of formulas, by SymPy."""

    def __init__(self):
        self.sympy = sympy = _sympy()
        one = sympy.Integer(1)
        self.exp = self._function(sympy.exp, math.exp)
        self.expm1 = self._function(lambda a: sympy.exp(a) - one, math.expm1)
        self.log = self._function(sympy.log, math.log)
        self.log1p = self._function(lambda a: sympy.log(one + a), math.log1p)
        self.sqrt = self._function(sympy.sqrt, math.sqrt)
        self.tanh = self._function(sympy.tanh, math.tanh)
        self.sin = self._function(sympy.sin, math.sin)
        self.cos = self._function(sympy.cos, math.cos)

    def _function(self, of_expression, of_value):
        return lambda a: Formula(of_expression(a.expression), of_value(a.value), self)

    def number(self, value):
        """A constant: an integer, or the decimal fraction that a float is written as, such as 1/10 for 0.1."""
        if isinstance(value, Formula):
            return value
        if isinstance(value, int | np.integer | bool | np.bool_):
            return Formula(self.sympy.Integer(int(value)), int(value), self)
        value = float(value)
        exact = self.sympy.Rational(repr(value)) if math.isfinite(value) else self.sympy.S(value)
        return Formula(exact, value, self)

    def sign(self, a):
        return self.number((a.value > 0) - (a.value < 0))

    def symbol(self, name, value):
        return Formula(self.sympy.Symbol(name, real=True), float(value), self)


def _sympy():
    try:
        import sympy
    except ImportError as error:
        raise InputError(
            "`minae derive` computes with SymPy, which is not installed: pip install sympy, or -e '.[test]'"
        ) from error
    return sympy


@dataclass
class Slope:
    """∂J/∂θ_i of one entry θ_i: by SymPy and by the page, and whether their difference is 0.

    how: "simplified" where the difference simplifies to 0; "points" where it is 0 at random points with 50 digits and
    SymPy does not decide; "differs" where it is not 0
    """

    parameter: str
    symbol: Any
    sympy: Any
    page: Any
    how: str


class Derivation:
    """What `derive` found. True where no difference is other than 0; prints as formulas.

    cost: J;  slopes: a list of `Slope`;  terms: the terms of J, name -> formula
    names: (symbol, formula) of what the layers give, a before φ and h behind it, in the order in which it is computed
    """

    def __init__(self, title, cost, terms, slopes, names):
        self.title, self.cost, self.terms, self.slopes, self.names = title, cost, terms, slopes, names

    def __bool__(self):
        return all(slope.how != "differs" for slope in self.slopes)

    def __str__(self):
        return self.text()

    def text(self, latex=False):
        """All formulas, with what the layers give under a name of its own, such as a_f1_1 and h_f1_1 of layer f1."""
        write, known, lines = _sympy().latex if latex else str, [], [self.title]

        def short(formula):
            for name, of_layer in known:
                formula = formula.subs(of_layer, name)
            return formula

        for name, formula in self.names:
            of_layer = short(formula)
            if not of_layer.is_Symbol:
                lines.append(f"  {write(name)} = {write(of_layer)}")
                known.append((name, of_layer))
                if of_layer.is_Add:  # SymPy writes (e^a)² as e^{2a}, multiplied out
                    known.append((2 * name, (2 * of_layer).expand()))
        lines.append(f"J = {write(short(self.cost))}")
        for slope in self.slopes:
            d = rf"\frac{{\partial J}}{{\partial {write(slope.symbol)}}}" if latex else f"∂J/∂{slope.symbol}"
            lines += [d, f"  SymPy       {write(short(slope.sympy))}", f"  this page   {write(short(slope.page))}"]
            lines.append(f"  difference  {WORDS[slope.how]}")
        return "\n".join([*lines, self.verdict()])

    def verdict(self):
        wrong = [str(slope.symbol) for slope in self.slopes if slope.how == "differs"]
        if wrong:
            return f"the gradient by {', '.join(wrong)} is wrong"
        shown = sum(slope.how == "simplified" for slope in self.slopes)
        left = len(self.slopes) - shown
        rest = f"; {left} at random points alone" if left else ""
        return f"every difference is 0: {shown} of {len(self.slopes)} by simplification{rest}"

    def to_json(self, latex=False):
        write = _sympy().latex if latex else str
        slopes = [
            dict(parameter=s.parameter, symbol=write(s.symbol), sympy=write(s.sympy), page=write(s.page), how=s.how)
            for s in self.slopes
        ]
        terms = {name: write(term) for name, term in self.terms.items()}
        found = {"title": self.title, "passed": bool(self), "cost": write(self.cost), "terms": terms}
        return json.dumps(found | {"slopes": slopes})


WORDS = {
    "simplified": "simplifies to 0",
    "points": f"is 0 at {POINTS} random rational points with 50 digits; SymPy does not simplify it",
    "differs": "is NOT 0",
}


def derive(kind: type[Model], case: str | None = None, rows: int | None = None) -> list[Derivation]:
    """Both formulas of each ∂J/∂θ_i of a tiny model of this kind, one Derivation for each of its turns.

    case: one of the kind's `cases`, by default the first, whose widths are made as small as they can be
    rows: of the batch, by default 1, and 2 where a cost couples the rows

    Raises InputError for a case that is not there, for a model that has kinks or stays too large, and where SymPy is
    missing.
    """
    case = next(iter(kind.cases)) if case is None else case
    if case not in kind.cases:
        raise InputError(f"{kind.name} has no case {case!r}: choose one of {', '.join(map(repr, kind.cases))}")
    if rows is not None and (isinstance(rows, bool) or not isinstance(rows, int) or not 1 <= rows <= 3):
        raise InputError(f"rows is {rows!r}: expected 1, 2 or 3, since formulas grow with them")
    arithmetic = Symbols()
    model = kind(**tiny(kind, case), seed=1, dtype="float64")
    size = model.parameters.flat.size
    if size > LARGEST:
        raise InputError(
            f"{kind.name} {case!r} has {size} parameters at its smallest: expected at most {LARGEST} to write formulas "
            "of; use `minae check --exact`"
        )
    rows = rows or (2 if model.coupled else 1)
    return [_derived(model, f"{kind.name} {case}".strip(), rows, turn, arithmetic) for turn in model.turns or [None]]


def tiny(kind, case):
    """The options of this case with two inputs and one unit in each layer, or one input and two units where the code is
    wider than x; an image has two pixels, and counts are 2 at most."""
    declared = options.of(kind)
    given = {name: option.example for name, option in declared.items() if option.example is not None}
    given |= kind.cases[case]
    for name, option in declared.items():
        value = given.get(name, option.default)
        if value is None or value is options.REQUIRED or name == "seed":
            continue
        if isinstance(option, options.Sizes):
            first, last = (1, 2) if value[-1] > value[0] else (2, 1)
            given[name] = [first] + [1] * (len(value) - 2) + [last] * (len(value) > 1)
        elif name == "image":
            given[name] = (1, 1, 2)
        elif isinstance(option, options.Widths):
            given[name] = [1] * len(value)
        elif isinstance(option, options.Count):
            given[name] = min(value, max(2, option.lowest))
    if "categories" in given:  # a row of a table: one number, and one column of two categories
        given |= {"categories": [2], "sizes": [2, *given["sizes"][1:]]}
    if "k" in given and "sizes" in given:  # units that are kept
        given["k"] = min(given["k"], given["sizes"][-1])
    return given


def _derived(model, name, rows, turn, arithmetic):
    sympy, how = arithmetic.sympy, {} if turn is None else {"turn": turn}
    rng = np.random.default_rng(0)
    data = {key: field.example(rng, rows) for key, field in model.fields.items()}
    first, *others = data
    host = held_fixed(model, {"X": data[first]} | {k: data[k] for k in others}, None, 0, how)
    symbolic = model.copy(backend=StandInBackend(arithmetic, "symbols"), dtype="float64")
    field_of = {key: model.fields.get(key.removesuffix("_tilde")) for key in host}
    given = {key: _as_symbols(key, value, symbolic, field_of[key]) for key, value in host.items()}
    for key, option in options.of(type(model)).items():
        if isinstance(option, options.Weight) and model.weights[option.term]:
            weight = arithmetic.symbol(GREEK.get(key, key), model.weights[option.term])
            dict.__setitem__(symbolic.weights, option.term, weight)  # past `Weights`, which keeps floats

    def page():
        """J, its terms and the gradient of each parameter at the next θ."""
        for parameter in symbolic.parameters:
            W = symbolic.parameters[parameter]
            W[...] = _named(parameter, 2 * rng.standard_normal(W.shape), symbolic)
        cost = symbolic.cost_and_grad(**given, **how)
        terms = {term: arithmetic.number(value).expression for term, value in cost.items()}
        gradient = symbolic.parameters.views(symbolic.parameters.grad.copy())
        return arithmetic.number(cost.J).expression, terms, gradient

    names: list[tuple[Any, Any]] = []
    with _names_of_layers(symbolic, names):
        J, terms, gradient = page()
    if J.count_ops() > LONGEST:
        raise InputError(
            f"{name} has a cost of {J.count_ops()} operations at its smallest: expected at most {LONGEST} to write "
            "formulas of; use `minae check --exact`"
        )
    _refuse_kinks(name, J, (page()[0] for _ in range(PLACES - 1)), sympy, rng)
    slopes = []
    moved = symbolic.parameters if turn is None else _moved(symbolic, turn)
    for parameter in moved:
        for W_i, page_i in zip(
            symbolic.parameters[parameter].reshape(-1), gradient[parameter].reshape(-1), strict=True
        ):
            by_sympy, by_page = sympy.diff(J, W_i.expression), page_i.expression
            slopes.append(Slope(parameter, W_i.expression, by_sympy, by_page, _decided(by_sympy, by_page, sympy, rng)))
    shapes = [f"{key} {tuple(value.shape)}" for key, value in host.items() if hasattr(value, "shape")]
    sizes = [f"sizes {tuple(model.sizes)}"] if hasattr(model, "sizes") else []
    turn = "" if turn is None else f", turn {turn}"
    return Derivation(f"{name}{turn}: {', '.join([*sizes, *shapes])}", J, terms, slopes, names)


@contextlib.contextmanager
def _names_of_layers(model, names):
    """While the page runs, write down what each layer gives: a of an affine map, h of an activation."""
    calls: dict[str, int] = {}

    def watched(layer, forward, name):
        def watched_forward(*arguments, **options):
            y, cache = forward(*arguments, **options)
            if isinstance(y, StandIn):
                calls[name] = calls.get(name, 0) + 1
                named = _named(name + "'" * (calls[name] - 1), np.zeros(y.shape), model)
                for symbol, number in zip(named.reshape(-1), y.reshape(-1), strict=True):
                    names.append((symbol.expression, number.expression))
            return y, cache

        return watched_forward

    layers = []
    for net, network in model.nets.items():
        k = 0
        for layer in getattr(network, "layers", []):
            k += isinstance(layer, Affine)
            if isinstance(layer, Affine | Activation):
                letter = "a" if isinstance(layer, Affine) else "h"
                layer.forward = watched(layer, layer.forward, f"{letter}_{net}{k}")
                layers.append(layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _moved(model, turn):
    layers = [layer for net in model.turns[turn] for layer in model.nets[net].trained()]
    return list(dict.fromkeys(name for layer in layers for name in layer.names))


def _as_symbols(name, value, model, field):
    """A constant of the host as symbols; integers, and fields whose numbers belong together, as what they are."""
    if isinstance(value, tuple):
        return tuple(_as_symbols(f"{name}{k + 1}", each, model, field) for k, each in enumerate(value))
    if value.dtype.kind != "f" or (field is not None and type(field) not in (Real, Code)):
        return model.backend.from_numpy(value)
    return _named(name, value, model)


def _named(name, values, model):
    """An array of symbols: x_1, x_2 of one row, x_11, x_12, x_21 … of several; values: where comparisons are decided"""
    arithmetic, symbols = model.backend.xp.arithmetic, np.empty(values.shape, object)
    for index in np.ndindex(values.shape):
        counted = index[1:] if len(index) > 1 and values.shape[0] == 1 else index
        number = "".join(str(k + 1) for k in counted)
        symbols[index] = arithmetic.symbol(f"{GREEK.get(name, name)}_{number}", values[index])
    return StandIn(symbols, model.backend.xp)


def _refuse_kinks(name, J, others, sympy, rng):
    for other in others:
        if J != other and _differs(J, other, sympy, rng):
            raise InputError(
                f"{name} has kinks: its cost is one formula at some θ and another one elsewhere, as with ReLU, |h| or "
                "top-k, so there is no formula to print; use `minae check --exact`, which takes kinks"
            )


def _differs(one, other, sympy, rng):
    """Whether two formulas have different values at a random rational point."""
    import mpmath

    names = sorted(one.free_symbols | other.free_symbols, key=str)
    both = sympy.lambdify(names, [one, other], modules="mpmath", cse=True)
    for _ in range(POINTS):
        point = rng.integers(-60, 61, size=len(names))
        with mpmath.workdps(60):
            a, b = both(*[mpmath.mpf(int(k)) / 37 for k in point])
            if not abs(a - b) <= mpmath.mpf(10) ** -50 * max(1, abs(a), abs(b)):  # NaN differs
                return True
    return False


def _decided(by_sympy, by_page, sympy, rng):
    """How the difference of two formulas is decided: a value of `Slope.how`."""
    if by_sympy == by_page:
        return "simplified"
    if _differs(by_sympy, by_page, sympy, rng):
        return "differs"
    difference = by_sympy - by_page
    if difference.count_ops() > EXPANDED:
        return "points"
    return "simplified" if _numerator(difference, sympy) == 0 else "points"


def _numerator(formula, sympy):
    """The numerator of a formula, expanded, with an unknown for each of its exponentials, logarithms and tanh.

    Derivation: e^{u + v} = e^u e^v, e^{ku} = (e^u)^k for a whole k, b^u = e^{u log b} and log b^u = u log b relate the
    unknowns to each other, where b > 0, as it is where its logarithm was taken. No other relation is used. So a
    numerator of 0 shows that the formula is 0, and another one shows nothing.
    """
    unknowns: dict[Any, list[tuple[Any, Any]]] = {}

    @functools.cache  # a part stands in a formula many times
    def plain(part):
        """The part with its functions replaced, from the innermost out."""
        if not part.args:
            return part
        if isinstance(part, sympy.exp):
            return power(part.args[0], 1)
        if part.is_Pow and not part.exp.is_Integer:
            return power(part.exp, plain(sympy.log(part.base)))
        if isinstance(part, sympy.log) and part.args[0].is_Pow:
            return plain(part.args[0].exp) * plain(sympy.log(part.args[0].base))
        arguments = [plain(argument) for argument in part.args]
        return unknown(part.func, arguments[0]) if isinstance(part, sympy.log | sympy.tanh) else part.func(*arguments)

    def power(exponent, log_base):
        """e^{exponent · log_base}, a product over the terms of the exponent."""
        terms = sympy.Add.make_args(exponent)
        return sympy.Mul(*(unknown(sympy.exp, plain(term) * log_base) for term in terms))

    @functools.cache
    def unknown(function, argument):
        argument = sympy.cancel(sympy.together(argument))
        known = unknowns.setdefault(function, [])
        for other, dummy in known:
            if argument == other:
                return dummy
            ratio = sympy.cancel(argument / other)
            if function is sympy.exp and ratio.is_Integer:
                return dummy**ratio
        dummy = sympy.Dummy()
        known.append((argument, dummy))
        return dummy

    return sympy.expand(sympy.fraction(sympy.together(plain(formula)))[0])

r"""Is the formula right? Central differences in numbers of 60 digits, against the gradient derived by hand.

    D(t) = (J(θ + t v) − J(θ − t v)) / 2t = ∂J/∂θ · v + t²/6 J^(3) + O(t⁴),    t = 10⁻²⁰

In float64 a difference of J keeps five to ten digits, so that a check there needs a tolerance, and a formula that is
wrong by less than it passes. Here the page of a model runs unchanged on a backend whose numbers have 60 digits
(`minae.standin`, with the plain forms of all kernels). With t = 10⁻²⁰ the t² leaves out 10⁻⁴⁰, and rounding, 10⁻⁶⁰
over t, makes as much. So a right formula agrees to some 38 digits, and what does not agree to 10⁻²⁵ is wrong: no
rounding is left that could excuse it, and no extrapolation is needed.

Because nothing is lost, one random direction v through a whole parameter tells as much as all of its entries. The
difference of the two sides is Σ v_i (g_i − ∂J/∂θ_i). With v normal and one entry wrong by δ, it is smaller than 10⁻²⁵
with a probability of about 10⁻²⁵/δ. Only where a parameter is wrong are its entries differenced one by one, to say
which of them is.

Held fixed is what `minae.checks.check_gradient` holds fixed: draws (noise, masks, corruptions), and what a cost
computes from θ (supports, codebook choices, inferred codes, stopped gradients). Both are made in float64 and
converted to their last bit. Kinks (ReLU, max pooling, |h|) need nothing held: θ − tv and θ + tv agree in 20 digits, so
that a kink lies between them with a probability of about 10⁻²⁰, and on each side of it the formula is smooth.

What runs is the plain form of each kernel. That the compiled forms compute the same, their parity tests say.

The numbers of Python in a page, such as ½ or the slope 0.01 of a leaky ReLU, are floats and stay what they are, on both
sides of the comparison. Where forward and backward round a constant differently (1/3 in one, a division by 3 in the
other), float64 cannot see it and this check does.
"""

import json
from typing import Any

import numpy as np

from minae import checks
from minae.checks import Finding, GradientReport
from minae.errors import InputError
from minae.models import Model
from minae.standin import StandInBackend

DIGITS, TOLERANCE = 60, 1e-25
HELD = (
    "held fixed: what a step draws, and what a cost computes from θ and holds, such as a support; kinks need nothing "
    "held, since a step of 1e-20 does not meet them"
)


class Digits:
    """Numbers of so many decimal digits, by mpmath, in a context of their own."""

    def __init__(self, digits: Any):
        try:
            from mpmath import MPContext
        except ImportError as error:
            raise InputError(
                "the exact check computes with mpmath, which is not installed: pip install mpmath, or -e '.[test]'"
            ) from error
        context = MPContext()
        context.dps = digits
        self.context, self.mpf = context, context.mpf
        for name in "exp expm1 log log1p sqrt tanh sin cos".split():
            setattr(self, name, getattr(context, name))

    def number(self, value: Any) -> Any:
        """Integers and floats as they are, to their last bit."""
        if isinstance(value, self.mpf):
            return value
        return self.mpf(int(value) if isinstance(value, int | np.integer | np.bool_) else float(value))

    def sign(self, value: Any) -> Any:
        return self.mpf((value > 0) - (value < 0))


class ExactBackend(StandInBackend):
    """Arrays of numbers with so many digits. Raises InputError where mpmath is missing."""

    def __init__(self, digits: Any = DIGITS):
        super().__init__(Digits(digits), "exact")


class ExactReport(GradientReport):
    """What `check_exact` found: as of `check_gradient`, without a word of rounding.

    held: names of the constants, draws and what a cost computes from θ, that were held fixed
    """

    def __init__(self, rows: list[Finding], held: list[str]):
        super().__init__(rows, TOLERANCE)
        self.held = held

    def to_json(self) -> str:
        return json.dumps(json.loads(super().to_json()) | {"held": self.held}, allow_nan=False)

    def summary(self) -> str:
        wrong = sum(not row.passed for row in self.rows)
        verdict = f"{wrong} gradients are wrong" if wrong else "every formula is right"
        held = f"; held fixed: {', '.join(self.held)}" if self.held else ""
        return f"{verdict}: largest error {self.worst.error:.1e}, tolerance {self.tolerance:g}{held}"


def check_exact(
    model: Model,
    x: Any,
    y: Any = None,
    *,
    terms: Any = None,
    constants: dict[str, Any] | None = None,
    digits: int = DIGITS,
    seed: int = 0,
    turn: str | None = None,
    mode: str = "train",
    **inputs: Any,
) -> ExactReport:
    """Compare ∂J/∂θ of `model` at the rows of x with differences that do not round. Returns an ExactReport.

    x, y, inputs, terms, constants, turn, mode: as `minae.checks.check_gradient` takes them. Keep the model and the
    batch small: a product takes a few microseconds here.
    digits: of the numbers; agreement to 10⁻²⁵ takes 50 at least

    Raises InputError for what `check_gradient` refuses, for fewer digits, and where mpmath is missing.
    """
    if isinstance(digits, bool) or not isinstance(digits, int) or not 50 <= digits <= 10_000:
        raise InputError(f"digits is {digits!r}: expected a whole number from 50 to 10000")
    how = checks.check_turn(model, turn) | {"mode": mode}
    given = held_fixed(model, {"X": x, "y": y, **inputs}, constants, seed, how)
    model = model.copy(backend=ExactBackend(digits), dtype="float64")
    xp, t = model.backend.xp, model.backend.xp.number(10) ** -(digits // 3)
    given = {name: _converted(value, model.backend) for name, value in given.items()}
    weights, rng = dict(model.weights), np.random.default_rng(seed)

    def J():
        return xp.number(model.cost_and_grad(**given, **how, need_grad=False).J)

    def slope(W, v):
        """D(t), and how far rounding may move it."""
        before, step = W.copy(), v * t
        W[...] = before + step
        up = J()
        W[...] = before - step
        down = J()
        W[...] = before
        return (up - down) / (2 * t), (1 + abs(up)) * xp.number(10) ** (3 - digits) / t

    findings = []
    for group in checks_of(model.cost_and_grad(**given, **how, need_grad=False), weights, terms):
        for name, weight in weights.items():  # past `Weights`, which keeps floats: λ/B must not round either
            alone = 1.0 if len(group) == 1 else weight
            dict.__setitem__(model.weights, name, xp.number(alone if name in group else 0.0))
        model.cost_and_grad(**given, **how)
        views = model.parameters.views(model.parameters.grad.copy())
        for name in list(model.parameters) if turn is None else checks._of_turn(model, turn):
            findings.append(_compared(slope, model.parameters[name], views[name], "+".join(group), name, rng))
    return ExactReport(findings, [name for name in given if name.removesuffix("_length") not in model.fields])


def held_fixed(
    model: Model, data: dict[str, Any], constants: dict[str, Any] | None, seed: int, how: dict[str, Any]
) -> dict[str, Any]:
    """The batch of these data and the constants of its step, by name, on the host: computed in float64."""
    model = model.copy(backend="numpy", dtype="float64")
    data = {name: checks._host(array, model.backend) for name, array in data.items() if array is not None}
    batches = model.batches(data.pop("X"), data.pop("y", None), data)
    batch = batches.take(np.arange(len(batches)))
    given = batch | model.draw(batch, seed, "check") | (constants or {})
    return {**model.cost_and_grad(**given, **how, need_grad=False).constants, **given}


def checks_of(cost: Any, weights: dict[str, float], terms: Any) -> Any:
    """The costs to check, each a tuple of terms: those that are given, else all together and each one alone."""
    if terms is None:
        names = [name for name in cost if weights[name]]
        return [tuple(names)] + ([(name,) for name in names] if len(names) > 1 else [])
    for name in {name for group in terms for name in group} - set(weights):
        raise InputError(f"unknown cost term {name!r}: this model has {', '.join(weights)}")
    return terms


def check_case(model: Model, batch: dict[str, Any], **settings: Any) -> list[ExactReport]:
    """The report of each turn of one case of `minae.checks`."""
    first, *others = model.fields
    inputs = {name: batch[name] for name in others}
    return [check_exact(model, batch[first], turn=turn, **inputs, **settings) for turn in model.turns or [None]]


def _converted(value, backend):
    """A constant on this backend: an array, or a tuple of them."""
    if isinstance(value, tuple):
        return tuple(_converted(each, backend) for each in value)
    return backend.from_numpy(value)


def _compared(slope, W, gradient, terms, name, rng, most=200):
    """One parameter along one direction; and where the two sides differ, entry by entry."""
    xp, shape = W.xp, W.shape

    def sides(v):
        analytic = xp.number((gradient * v).sum())
        numeric, rounding = slope(W, v)
        if max(abs(analytic), abs(numeric)) <= rounding:
            return analytic, numeric, 0.0  # two zeros agree
        return analytic, numeric, float(abs(analytic - numeric) / abs(analytic + numeric))

    def entry(i):
        e = np.zeros(W.size)
        e[i] = 1
        return xp.asarray(e.reshape(shape))

    analytic, numeric, error = sides(xp.asarray(rng.standard_normal(shape)))
    index, entries, passed = ("direction",), 0, error <= TOLERANCE  # False for NaN
    if not passed:
        entries = min(W.size, most)
        found = [(*sides(entry(i)), i) for i in range(entries)]
        a, n, e, i = max(found, key=lambda each: abs(each[0] - each[1]))
        if not e <= TOLERANCE:
            analytic, numeric, error = a, n, max(error, e)
            index = tuple(int(k) for k in np.unravel_index(i, shape))
    return Finding(terms, name, error, 0.0, index, float(analytic), float(numeric), entries, passed)

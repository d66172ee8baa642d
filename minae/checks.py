r"""Is the gradient right? Central differences of the reported cost, in float64, against the gradient derived by hand.

    D(t) = (J(θ + t e) − J(θ − t e)) / 2t = ∂J/∂θ_e + O(t²)
    (4 D(t) − D(2t)) / 3 = ∂J/∂θ_e + O(t⁴)             Richardson's extrapolation

Derivation: with J^(k) the k-th derivative along e, the series of J at θ + t e and at θ − t e have the same even terms,
which cancel, so that only odd ones are left; two steps eliminate the first of them.
    D(t) = J^(1) + t²/6 J^(3) + O(t⁴),    (4 D(t) − D(2t)) / 3 = J^(1) + (4 t² − 4 t²)/18 J^(3) + O(t⁴)

The fourth order allows a step so large (10⁻³) that rounding, about 10⁻¹⁶ J / t, stays far below the tolerance. At a
kink (a ReLU that switches within the step) D(t) and D(2t) disagree, and the step is made smaller. The error of a
parameter is

    ‖analytic − numeric‖ / ‖analytic + numeric‖        (Ng, UFLDL notes)

Where J is large beside its gradient, as with data in 0 … 255, rounding alone makes an error of that size, which is the
row's `resolution`. An error below it passes up to 10⁻⁴, which is far below what a wrong formula gives; above, such a
row says nothing either way, and does not pass.

What a cost holds fixed (noise, supports, stopped gradients) is drawn or computed once and given back at every
difference, so a surrogate gradient is checked as the ordinary gradient of its own cost: h = p + c with the constant
c = [p > ½] − p is hard forward, and straight-through backward. What a surrogate is worth is another question, which
`enumerated` answers for codes of few symbols. What such a check cannot see: a cost that is not the one that was meant.
"""

import itertools
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from minae import notebook_html, options
from minae.errors import InputError
from minae.fields import Code, Field, Real, Row, Tokens, host_array
from minae.layers import (
    EVAL,
    GRU,
    LSTM,
    Activation,
    AdaIN,
    Affine,
    Attention,
    BatchNorm,
    Bidirectional,
    Cells,
    ChannelsLast,
    Convolution,
    Dropout,
    Embedding,
    EndOfSequence,
    Flatten,
    InstanceNorm,
    LayerNorm,
    MaxPool,
    MeanPool,
    Positions,
    TimeMean,
    Times,
    UpConvolution,
    UpSample,
)
from minae.layers.base import Composite
from minae.losses import Gaussian
from minae.models import Model, registry
from minae.models.model import Cost
from minae.networks import Branches, Network, Residual, dense, inception, place_mean, transformer_block
from minae.symbols import BatchTopK, Bits, JumpReLU, Symbols, VectorQuantized

TOLERANCE, ROUNDING = 1e-7, 1e-4  # errors that pass: always, and where they are no more than rounding
STEPS = (1e-3, 1e-4, 1e-5, 1e-6)


@dataclass
class Finding:
    """One parameter and one cost. `index`, `analytic` and `numeric` are those of the entry that differs most;
    `resolution` is the error that rounding of J alone can make."""

    terms: str
    parameter: str
    error: float
    resolution: float
    index: tuple
    analytic: float
    numeric: float
    entries: int
    passed: bool


class GradientReport:
    """What `check_gradient` found. True where everything passed; prints as a table; `rows` is a list of `Finding`."""

    def __init__(self, rows: list[Finding], tolerance: float):
        self.rows, self.tolerance = rows, tolerance

    def __bool__(self):
        return all(row.passed for row in self.rows)

    @property
    def worst(self) -> Finding:
        """The row of the largest error; NaN counts as the largest."""
        return max(self.rows, key=lambda row: math.inf if math.isnan(row.error) else row.error)

    def to_json(self) -> str:
        rows = [{key: _finite(value) for key, value in asdict(row).items()} for row in self.rows]
        return json.dumps({"passed": bool(self), "tolerance": self.tolerance, "rows": rows}, allow_nan=False)

    def verdict(self, row: Finding) -> str:
        """What a row says: right, within rounding (which passes, too), lost in rounding, or WRONG."""
        if row.passed:
            return "right" if row.error <= self.tolerance else "within rounding"
        return "lost in rounding" if row.error <= row.resolution else "WRONG"

    def summary(self) -> str:
        """The verdict on all rows, in a line."""
        wrong = any(self.verdict(row) == "WRONG" for row in self.rows)
        doubt = "a gradient is wrong" if wrong else "rounding leaves open whether it is right: scale the data"
        words = "every gradient is right" if self else doubt
        return f"{words}: largest error {self.worst.error:.1e}, tolerance {self.tolerance:g}"

    def __str__(self):
        lines = [f"{'cost':10} {'parameter':10} {'error':>8}  {'worst entry':14} {'analytic':>14} {'numeric':>14}"]
        for r in self.rows:
            index = "[" + ", ".join(map(str, r.index)) + "]"
            mark = "" if self.verdict(r) == "right" else f"   {self.verdict(r)}"
            lines.append(
                f"{r.terms:10} {r.parameter:10} {r.error:8.1e}  {index:14} {r.analytic:14.6e} {r.numeric:14.6e}{mark}"
            )
        return "\n".join([*lines, self.summary()])

    def __repr__(self):
        return str(self)

    def _repr_html_(self):
        return notebook_html.of_report(self)


@options.door(
    model=options.Instance(Model, words="a model"),
    constants=options.Instance(dict, words="a dict of arrays by name", optional=True),
    entries=options.Count(),
    tolerance=options.Positive(),
    seed=options.Count(lowest=0),
    mode=options.Choice("train", among=("train", "eval")),
)
def check_gradient(
    model: Model,
    x: Any,
    y: Any = None,
    *,
    terms: Any = None,
    constants: dict[str, Any] | None = None,
    entries: int = 200,
    tolerance: float = TOLERANCE,
    seed: int = 0,
    turn: str | None = None,
    mode: str = "train",
    **inputs: Any,
) -> GradientReport:
    """Compare ∂J/∂θ of `model` at the rows of x with central differences. Returns a GradientReport.

    x:       (B, …) of the host, B > 1 so that terms that couple the batch are seen; the model is copied to float64
    y, inputs: the model's other fields by name, as `fit` takes them
    terms:   costs to check, each a tuple of names of cost terms; by default all terms together and each one alone
    constants: what `cost_and_grad` holds fixed, by name; what is not given is drawn once from `seed`, and what the cost
             computes from θ is taken from its first call
    entries: how many entries of a parameter are differenced: all where there are no more, else half of them the
             largest by the analytic gradient and half drawn at random, and one random direction through all
    turn:    of a model of several players: the one whose cost and parameters are checked
    mode:    "train" or "eval"

    Raises InputError for x of the wrong shape, for a term or a turn that the model does not have, for a cost that is
    random, and for a model whose copy has another cost than it has itself.
    """
    how = check_turn(model, turn) | {"mode": mode}
    original, model = model, model.copy(dtype="float64")
    backend, rng, weights = model.backend, np.random.default_rng(seed), dict(model.weights)
    as_host = {name: _host(array, backend) for name, array in {"X": x, "y": y, **inputs}.items() if array is not None}
    fields = dict(as_host)
    batches = model.batches(as_host.pop("X", None), as_host.pop("y", None), as_host)
    batch = batches.take(np.arange(len(batches)))
    given = batch | model.draw(batch, seed, "check") | (constants or {})
    cost = model.cost_and_grad(**given, **how, need_grad=False)
    given = {**cost.constants, **given}
    J0, again = (float(model.cost_and_grad(**given, **how, need_grad=False)) for _ in range(2))
    if J0 != again and J0 == J0:
        raise InputError(
            f"the cost is random: J is {J0:.17g} and {again:.17g} at the same parameters and rows; draw noise in "
            "`constants`, so that a step and its gradient hold it fixed"
        )
    if original.dtype == model.dtype or constants is None:  # constants that are given have one type
        _compare_with_a_copy(original, fields, seed, constants, how)
    if terms is None:
        names = [name for name in cost if weights[name]]
        terms = [tuple(names)] + ([(name,) for name in names] if len(names) > 1 else [])
    elif (
        not isinstance(terms, list | tuple) or not terms or not all(isinstance(group, list | tuple) for group in terms)
    ):
        raise InputError(f"terms is {terms!r}: expected costs to check, each a tuple of names, such as [('L',)]")
    for name in {str(name) for group in terms for name in group} - set(weights):
        raise InputError(f"unknown cost term {name!r}: this model has {', '.join(weights)}")
    moved = list(model.parameters) if turn is None else _of_turn(model, turn)

    findings = []
    for group in terms:
        # a term that stands alone has weight 1, so that one with a small λ is seen as clearly as the others
        alone = len(group) == 1
        model.weights |= {name: (1.0 if alone else weights[name]) if name in group else 0.0 for name in weights}
        for _ in range(2):  # what the first call left behind must not be in the second one's gradient
            model.cost_and_grad(**given, **how)
        gradient = backend.to_numpy(model.parameters.grad).copy()

        def J():
            return float(model.cost_and_grad(**given, **how, need_grad=False))

        views, rounding = model.parameters.views(gradient), _rounding(J, model, rng)
        for name in moved:
            findings.append(_check(J, model, name, views[name], "+".join(group), entries, tolerance, rng, rounding))
    return GradientReport(findings, tolerance)


def check_turn(model: Model, turn: str | None) -> dict[str, str]:
    """The arguments of `cost_and_grad` for a turn: none for a model without turns."""
    if not isinstance(turn, str | None) or turn not in (model.turns or [None]):
        raise InputError(f"turn is {turn!r}: this model has {', '.join(model.turns) or 'no turns, leave it out'}")
    return {} if turn is None else {"turn": turn}


def _compare_with_a_copy(model, as_host, seed, constants, how):
    """A check looks at a copy, and so do files and pickles: refuse a model that is not built again by its options."""
    costs, given = [], None
    for each in (model, model.copy()):
        if given is None:
            X, y = as_host.get("X"), as_host.get("y")
            batches = each.batches(X, y, {name: array for name, array in as_host.items() if name not in ("X", "y")})
            batch = batches.take(np.arange(len(batches)))
            given = batch | each.draw(batch, seed, "check") | (constants or {})
        costs.append(float(each.cost_and_grad(**given, **how, need_grad=False)))
    if not math.isclose(*costs, rel_tol=1e-4) and math.isfinite(costs[0]):
        raise InputError(
            f"J is {costs[0]:.6g}, and that of the model's copy {costs[1]:.6g}: the copy is built from the declared "
            "options, so declare what makes the difference as an option"
        )


def _host(array, backend):
    """The array on the host; numbers in float64."""
    array = backend.to_numpy(array) if backend.owns(array) else array
    if isinstance(array, list):
        return array
    array = host_array(array, "x")
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _of_turn(model, turn):
    layers = [layer for net in model.turns[turn] for layer in model.nets[net].trained()]
    return list(dict.fromkeys(name for layer in layers for name in layer.names))


def _rounding(J, model, rng):
    """How far rounding moves J: eps |J|, or more where J < 1 is what is left of larger numbers; the last bits of θ
    tell."""
    flat, backend, eps = model.parameters.flat, model.backend, np.finfo(np.float64).eps
    before, J0 = backend.to_numpy(flat).copy(), J()
    largest, size = eps * abs(J0), eps * (np.abs(before) + np.abs(before).mean())
    for _ in range(3):
        flat[...] = backend.from_numpy(before + size * rng.choice([-1.0, 1.0], before.shape))
        largest = max(largest, abs(J() - J0))
    flat[...] = backend.from_numpy(before)
    return min(largest, eps * max(1.0, abs(J0)))  # what is more is a jump of J, not rounding


def _finite(value):
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _check(J, model, name, gradient, terms, entries, tolerance, rng, rounding):
    W, from_numpy = model.parameters[name], model.backend.from_numpy
    before, flat = model.backend.to_numpy(W).copy(), gradient.reshape(-1)

    def at(direction):
        """t ↦ J(W + t·direction)"""

        def moved(t):
            W[...] = from_numpy(before + t * direction)
            return J()

        return moved

    chosen = _choose(flat, entries, rng)
    analytic, found = [flat[i] for i in chosen], []
    for i in chosen:
        e = np.zeros(before.size)
        e[i] = 1
        found.append(_derivative(at(e.reshape(before.shape)), rounding))
    if len(chosen) < flat.size:
        v = rng.standard_normal(before.shape)
        v /= np.linalg.norm(v)
        analytic.append(float((gradient * v).sum()))
        found.append(_derivative(at(v), rounding))
    W[...] = from_numpy(before)

    analytic, (numeric, noise) = np.array(analytic), np.array(found).T
    difference, size = np.linalg.norm(analytic - numeric), np.linalg.norm(analytic + numeric)
    # two zeros agree: where both are below what differences of J can resolve there is no ratio to take
    largest = max(np.linalg.norm(analytic), np.linalg.norm(numeric))
    both_zero = math.isfinite(rounding) and largest <= 10 * np.linalg.norm(noise)
    error = 0.0 if both_zero else float(difference / size) if size else math.inf
    resolution = 10 * float(np.linalg.norm(noise) / size) if size else 0.0  # ten times: J is a sum of rounded numbers
    k = int(np.argmax(np.abs(analytic - numeric)))
    index = np.unravel_index(chosen[k], before.shape) if k < len(chosen) else ("direction",)
    index = tuple(int(i) if not isinstance(i, str) else i for i in index)
    passed = error <= max(tolerance, min(ROUNDING, resolution))  # False for NaN
    return Finding(terms, name, error, resolution, index, float(analytic[k]), float(numeric[k]), len(chosen), passed)


def _choose(gradient, entries, rng):
    if gradient.size <= entries:
        return list(range(gradient.size))
    largest = np.argpartition(-np.abs(gradient), entries // 2)[: entries // 2]
    return sorted({*largest.tolist(), *rng.choice(gradient.size, entries - entries // 2, replace=False).tolist()})


def _derivative(J, rounding):
    """dJ/dt at 0, by Richardson's extrapolation, at the largest step over which J is smooth; and its rounding error.

    Over a smooth stretch the two central differences agree to O(t²); across a kink they do not, whatever t is.
    """
    best, best_gap, best_noise = math.nan, math.inf, math.inf
    for t in STEPS:
        up, down = J(t), J(-t)
        near, far = (up - down) / (2 * t), (J(2 * t) - J(-2 * t)) / (4 * t)
        noise = rounding / t
        gap = abs(near - far) + noise
        if gap < best_gap:
            best, best_gap, best_noise = (4 * near - far) / 3, gap, noise
        if gap <= 1e-6 * abs(near) + 10 * noise:
            break
    return best, best_noise


# ---- codes of few symbols


@options.door(cost=options.Function(), most=options.Count())
def enumerated(cost: Callable[[np.ndarray], float], logits: np.ndarray, most: int = 4096) -> tuple[float, np.ndarray]:
    r"""E_b cost(b) over every code b, and its gradient by the logits of p(b): what a surrogate gradient is worth.

    cost:   of one code, a number; the code has the shape of the logits, and is 0 or 1
    logits: (m,) of m independent bits, p(b_j = 1) = σ(a_j); or (M, K) of M symbols, one of K each, p = softmax(a_i)

    Derivation: the expectation is a finite sum, and only p depends on the logits. With ∇p = p ∇log p,
        E = Σ_b p(b) cost(b),    ∂E/∂a = Σ_b p(b) cost(b) ∂log p(b)/∂a
        bits:     log p(b) = Σ_j b_j a_j − softplus(a_j),         ∂log p/∂a_j  = b_j − σ(a_j)
        symbols:  log p(b) = Σ_i b_i · a_i − log Σ_k e^{a_ik},    ∂log p/∂a_ik = b_ik − softmax(a_i)_k
    Raises InputError for more than `most` codes.
    """
    a = host_array(logits, "logits")
    if a.dtype.kind not in "fiu" or not np.isfinite(a).all():
        raise InputError(f"logits is {a.dtype} {a.shape}: expected finite numbers")
    a = a.astype(np.float64)
    if a.ndim not in (1, 2) or a.size == 0:
        raise InputError(f"logits has shape {a.shape}: expected (m,) for bits, or (M, K) for M symbols of K kinds")
    symbols = np.eye(a.shape[1]) if a.ndim == 2 else np.array([0.0, 1.0])
    if len(symbols) ** len(a) > most:
        raise InputError(f"logits has {len(symbols)}^{len(a)} codes: expected at most {most}; use fewer units")
    p = np.exp(a - a.max(axis=1, keepdims=True)) if a.ndim == 2 else 0.5 + 0.5 * np.tanh(0.5 * a)
    p = p / p.sum(axis=1, keepdims=True) if a.ndim == 2 else p
    expected, gradient = 0.0, np.zeros_like(a)
    for code in itertools.product(symbols, repeat=len(a)):
        b = np.array(code)
        each = (b * p).sum(axis=1) if a.ndim == 2 else np.where(b == 1, p, 1 - p)
        weighted = each.prod() * float(cost(b))
        expected += weighted
        gradient += weighted * (b - p)
    return expected, gradient


# ---- the cases of every model, and of the layers

REAL, IMAGE, WORDS = Code(None, 3), Code(2, 9, 7), Tokens(7, None)


def _below(m=5):
    return [Affine("W0", "b0", 3, m), Activation("tanh")]


def _image(*makers):
    """Layers, each built for the shape that the one below it makes."""
    built = [ChannelsLast(IMAGE.shape)]
    for make in makers:
        built.append(make(next(layer.shape_out for layer in reversed(built) if layer.shape_out)))
    return built


class _Styled(Composite):
    """AdaIN, styled by layers that read x, too."""

    def __init__(self, style, adain):
        self.layers = [style, adain]

    def forward(self, x, mode=EVAL):
        style, below = self.layers[0].forward(x, mode)
        y, cache = self.layers[1].forward(x, style, mode)
        return y, (below, cache)

    def backward(self, dy, caches, need_dx=True, need_dW=True):
        dx, dstyle = self.layers[1].backward(dy, caches[1])
        return dx + self.layers[0].backward(dstyle, caches[0])


def _style():
    return Network([TimeMean(), Affine("S", "s", 5, 10)])


def _tanh(shape):
    return Activation("tanh")


# what is differenced -> a field, and layers with others below, so that dx is seen
LAYERS: dict[str, tuple[Field, Callable[[], list[Any]]]] = {
    "convolution": (IMAGE, lambda: _image(
        lambda s: Convolution("W1", "b1", s, 3, 3, 2, 1), _tanh,
        lambda s: Convolution("W2", "b2", s, 2, (2, 3), 1, (0, 1), (1, 2)))),
    "up-convolution": (IMAGE, lambda: _image(
        lambda s: UpConvolution("W1", "b1", s, 3, 3, 2, 1, output_padding=(1, 0)), _tanh,
        lambda s: UpConvolution("W2", "b2", s, 2, (2, 3), (1, 2), 0, (2, 1)))),
    "pooling": (IMAGE, lambda: _image(
        lambda s: Convolution("W1", "b1", s, 3, 2), _tanh, lambda s: MaxPool(s, (4, 3)), lambda s: UpSample(s, (2, 3)),
        lambda s: Convolution("W2", "b2", s, 2, 2), lambda s: MeanPool(s, (3, 5)))),
    "branches": (Code(2, 8, 4), lambda: [
        ChannelsLast((2, 8, 4)), Convolution("W1", "b1", (8, 4, 2), 3, 1), Activation("tanh"),
        *inception(1, (8, 4, 3), 8, "tanh"), Branches(place_mean((4, 2, 8)), [Flatten((4, 2, 8))])]),
    "batch normalisation": (Code(4, 3), lambda: [*_below(), BatchNorm(5, "G", "g", axis=-1), Activation("tanh")]),
    "layer normalisation": (Code(4, 3), lambda: [*_below(), LayerNorm(5, "G", "g"), Activation("tanh")]),
    "instance normalisation": (Code(4, 3), lambda: [*_below(), InstanceNorm(5, "G", "g", axis=-1), _tanh(None)]),
    "adaptive instance normalisation": (
        Code(4, 3), lambda: [*_below(), _Styled(_style(), AdaIN(5, axis=-1)), _tanh(None)]),
    "instance normalisation, padded": (
        REAL, lambda: [*_below(), EndOfSequence(), InstanceNorm(5, "G", "g", axis=-1), _tanh(None)]),
    "adaptive instance normalisation, padded": (
        REAL, lambda: [*_below(), _Styled(_style(), AdaIN(5, axis=-1)), _tanh(None)]),
    "dropout": (Code(3), lambda: [*_below(), Dropout("f2", 5, 0.5), Affine("V", "c", 5, 2)]),
    "residual": (Code(3), lambda: [*_below(), Residual(Affine("V", "c", 5, 5), Activation("tanh"))]),
    "embedding": (WORDS, lambda: [Embedding("E", 7, 4), Positions(9, 4), Affine("V", "c", 4, 3)]),
    "cells of a table": (Row(2, [3, 4]), lambda: [Cells("E", "f1", 2, [3, 4], 3, 0.3), Affine("V", "c", 8, 3)]),
    "learned positions": (WORDS, lambda: [Embedding("E", 7, 4), Positions(9, 4, "P"), Affine("V", "c", 4, 3)]),
    "time embedding": (Code(1), lambda: [Affine("W0", "b0", 1, 1), Times(6), Affine("V", "c", 6, 3)]),
    "gru": (REAL, lambda: [*_below(), GRU("W", "U", "b", "u", 5, 4), Affine("V", "c", 4, 2)]),
    "lstm": (REAL, lambda: [*_below(), LSTM("W", "U", "b", 5, 4), Affine("V", "c", 4, 2)]),
    "bidirectional": (REAL, lambda: [
        *_below(), Bidirectional(GRU("W", "U", "b", "u", 5, 4), LSTM("X", "Y", "z", 5, 3, reverse=True))]),
    "attention": (REAL, lambda: [*_below(6), Attention("1", 6, heads=3)]),
    "causal attention": (REAL, lambda: [*_below(6), Attention("1", 6, heads=2, causal=True)]),
    "transformer block": (WORDS, lambda: [
        Embedding("E", 7, 4), *transformer_block("1", 4, 2, 5, causal=True, activation="tanh")]),
}  # fmt: skip


class Layers(Model):
    r"""Layers in a row, without a model that uses them: J = ½/B Σ_b Σ_t<T_b ‖y_bt − r_t‖², r = (cos 0, cos 1, …)

    T_b is the length of a sequence; where all examples have one shape, nothing is left out.

    Derivation: dy_bt = (y_bt − r_t)/B for t < T_b, and 0 behind; what lies below is each layer's own backward.
    """

    coupled = ("L",)  # batch normalisation
    of = options.Choice("convolution", "the layers", among=LAYERS)
    cases: ClassVar = {name: {"of": name} for name in LAYERS}

    def inputs(self) -> dict[str, Any]:
        return {"x": LAYERS[self.of][0]}

    def networks(self) -> dict[str, Any]:
        return {"f": Network(LAYERS[self.of][1]())}

    def build(self) -> None:
        for array in self.state.values():  # off their first values
            array[...] += 0.5

    def cost_and_grad(self, x: Any, x_length: Any = None, mode: Any = "train", need_grad: bool = True) -> Cost:
        xp, mode.length = self.backend.xp, x_length
        y, caches = self.f.forward(x, mode)
        r = xp.cos(xp.arange(y[0].size, dtype=self.dtype)).reshape(y.shape[1:])  # the same r_t, however many steps
        dy = (y - r) / len(x)
        if x_length is not None:
            dy *= (xp.arange(y.shape[1]) < x_length[:, None])[:, :, None]
        cost = self.cost(L=0.5 * len(x) * (dy * dy).sum())
        if need_grad:
            self.f.backward(dy, caches, need_dx=False)
        return cost


class Codes(Model):
    r"""A code of few values between f and g, without a model that uses it: J = L + β C + weight Q + λ N, where C and Q
    are those of a codebook, and N is the number of units above their thresholds. A code has the terms that it has.

    Derivation: ds = (s − x)/B, then g's backward gives dh, the code's own gives da, and f's the rest. The choice, which
    is hard, is held; see `minae.symbols`.
    """

    coupled = ("L",)  # the k B largest of a batch
    of = options.Choice("bits", "the code", among=("bits", "symbols", "relaxed", "vq", "vq own", "jump", "batch top k"))
    beta = options.Weight("C", 0.3, "weight of the commitment")
    codebook = options.Weight("Q", 0.5, "weight of the codebook's term")
    lam = options.Weight("N", 0.2, "weight of the number of units")
    laws: ClassVar = {"u": lambda model, x: "uniform" if model.of == "bits" else "gumbel"}
    cases: ClassVar = {name: {"of": name} for name in of.among}
    between: Any

    def inputs(self) -> dict[str, Any]:
        return {"x": Real(7)}

    def networks(self) -> dict[str, Any]:
        code = {
            "bits": Bits(),
            "symbols": Symbols(3, 2, tau=0.4),
            "relaxed": Symbols(3, 2, tau=0.4, hard=False),
            "vq": VectorQuantized("E", 5, 6, 3),
            "vq own": VectorQuantized("E", 4, 6, 2, own=True),
            "jump": JumpReLU("kappa1", 6, width=1.0),
            "batch top k": BatchTopK(2),
        }[self.of]
        return {"f": dense([7, 5, 6], ["tanh", "identity"], "W", "b"), "between": code,
                "g": dense([6, 7], ["identity"], "V", "c")}  # fmt: skip

    def build(self) -> None:
        self.drawn = self.of in ("bits", "symbols", "relaxed")
        its = {"vq": "LCQ", "jump": "LN"}.get(self.of.split()[0], "L")
        self.weights |= {term: weight if term in its else 0.0 for term, weight in self.weights.items()}
        self.loss = Gaussian(self.arena, self.weights)

    def constants(self, rng: np.random.Generator, x: Any) -> dict[str, Any]:
        if self.of == "bits":
            return {"u": self.backend.from_numpy(rng.random((len(x), 6)))}
        return {"u": self.between.noise(rng, len(x))} if self.drawn else {}

    def cost_and_grad(
        self, x: Any, u: Any = None, held: Any = None, mode: Any = "train", need_grad: bool = True
    ) -> Cost:
        a, f_cache = self.f.forward(x, mode)
        h, cache = self.between.forward(a, *([u] if self.drawn else []), held, mode)
        held = cache[1] if self.drawn else cache[2] if self.of.startswith("vq") else cache
        s, g_cache = self.g.forward(h, mode)
        L, ds = self.loss(s, x)
        terms, weights = {"L": L}, []
        if self.of.startswith("vq"):
            (terms["Q"], terms["C"]), weights = self.between.terms(cache), [self.beta, self.codebook]
        if self.of == "jump":
            terms["N"], weights = self.between.count(held), [self.lam]
        cost = self.cost(constants={} if held is None else {"held": held}, **terms)
        if need_grad:
            dh = self.g.backward(ds, g_cache)
            self.f.backward(self.between.backward(dh, cache, *weights), f_cache, need_dx=False)
        return cost


def kinds() -> dict[str, type[Model]]:
    """What has cases: every registered model, `Layers` and `Codes`."""
    return {**registry(), "layers": Layers, "codes": Codes}


def cases(backend: Any = None) -> Iterator[tuple[str, Model, dict[str, Any]]]:
    """(name, model, batch) small enough to check in full: the cases that every kind declares."""
    for kind in kinds().values():
        for name in kind.cases:
            yield case(kind, name, backend)


def case(kind: type[Model], name: str, backend: Any = None) -> tuple[str, Model, dict[str, Any]]:
    """One case of a model: its name, the model in float64 with all parameters off their first values, and a batch."""
    rng = np.random.default_rng(0)
    examples = {key: option.example for key, option in options.of(kind).items() if option.example is not None}
    model = kind(**{**examples, "seed": 1, **kind.cases[name]}, backend=backend, dtype="float64")
    flat = 0.3 * rng.standard_normal(model.parameters.flat.shape)  # biases off zero too
    model.parameters.flat[...] += model.backend.from_numpy(flat)
    model.project()
    batch = {key: field.example(rng, 4) for key, field in model.fields.items()}
    return f"{kind.name or kind.__name__.lower()} {name}".strip(), model, batch


def check_case(model: Model, batch: dict[str, Any], **settings: Any) -> list[GradientReport]:
    """The report of each turn of one case."""
    first, *others = model.fields
    inputs = {name: batch[name] for name in others}
    return [check_gradient(model, batch[first], turn=turn, **inputs, **settings) for turn in model.turns or [None]]

"""What finite differences cannot see: draws, epochs, frozen layers, resumes, weights, evaluation, copies and players.

A gradient check sees one cost at one θ. What happens between the steps of a training and after it has no derivative,
and yet it can be wrong without a word: noise of another variance, the same order of rows in every epoch, a frozen layer
that moves, a copy with another cost. Each of these is an *effect* here: a statement on what is measured, a bound, and
the measured number, in float64, on copies of the model. The model itself is left alone.

| effect     | what must hold                                                                                         |
| ---------- | ------------------------------------------------------------------------------------------------------ |
| draws      | what a model draws has the law that the model states (`Model.laws`), and so have its samplers          |
| epochs     | two epochs differ in order and noise; one seed gives the same bits, another seed other ones            |
| frozen     | a layer of rate 0 stays byte for byte, wherever it lies in θ, and the others move                      |
| resume     | a training that stops and goes on is the one that does not stop, early stopping included               |
| weights    | raising the weight of a term lowers the term                                                           |
| evaluation | in eval mode, batch size, order of the rows and padding change nothing, and nothing changes the model  |
| constants  | a cost is the same when it is asked for twice, and when its constants are given back                   |
| copies     | copied, pickled and loaded models compute the same, train to the same, and leave their original alone  |
| turns      | a turn of a game moves its own player, and no other                                                    |

A model states the law of a draw in `laws`, by the name of the constant: `laws = {"eps": "normal"}`. A law is a word of
LAWS, or (mean, variance), or a function of the model and the batch which gives one of these (the numbers may be
arrays), or None where there is no closed form. Under the name of a method that draws, a word is the law of the codes
which the method decodes, and a function gives the draws, their mean and their variance, None for a variance that is not
known. Layers state the laws of their own constants.

A draw d of stated mean μ and variance v becomes z = (d − μ)/√v. The means of z, z² − 1 and of the products of
neighbours are 0 where the law holds. Each is measured in standard errors, which are estimated from the rows; more than
5 of them happen by chance once in a million draws. The seed is fixed, so that a check that passes once passes always.
"""

import copy
import json
import math
import pickle
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minae import options
from minae.checks import case
from minae.errors import InputError
from minae.fields import host_array
from minae.losses import Loss
from minae.models import MODELS, Model, load
from minae.training import SGD, Adam, clipped

ROWS, BATCH, FEW = 48, 16, 11  # rows that are trained on, rows a step, rows of an evaluation
SIGMAS, ROUNDING = 5.0, 1e-12  # bounds of what is drawn, and of what is computed twice
VERBS = ("encode", "reconstruct", "score_samples", "probabilities", "predict", "hash")  # of X alone, row by row
LAWS: dict[str, Callable[[int], tuple[float, ...]]] = {  # word -> mean, variance and E z⁴, for B rows
    "normal": lambda B: (0.0, 1.0, 3.0),
    "uniform": lambda B: (0.5, 1 / 12, 1.8),
    "gumbel": lambda B: (0.5772156649, math.pi**2 / 6, 5.4),
    "index": lambda B: ((B - 1) / 2, (B * B - 1) / 12),  # a row of the batch, 0 … B − 1
}
WORDS = {"<=": "≤", "<": "<", ">": ">"}


@dataclass
class Effect:
    """One statement: what was measured, the number, and the bound that it has to keep. measured is NaN where the
    measurement ended with an error, which `what` names."""

    effect: str
    what: str
    measured: float
    relation: str
    bound: float

    @property
    def passed(self):
        return {
            "<=": self.measured <= self.bound,
            "<": self.measured < self.bound,
            ">": self.measured > self.bound,
        }[self.relation]


class EffectsReport:
    """What `check_effects` found. True where every statement holds; prints as a table; `rows` is a list of `Effect`."""

    def __init__(self, rows, seconds):
        self.rows, self.seconds = rows, seconds

    def __bool__(self):
        return all(row.passed for row in self.rows)

    @property
    def failed(self) -> list[str]:
        """The names of the effects of which a statement does not hold."""
        return list(dict.fromkeys(row.effect for row in self.rows if not row.passed))

    def to_json(self):
        rows = [asdict(row) | {"passed": bool(row.passed)} for row in self.rows]
        for row in rows:
            row["measured"] = row["measured"] if math.isfinite(row["measured"]) else None
        found = {"passed": bool(self), "seconds": round(self.seconds, 3), "rows": rows}
        return json.dumps(found, allow_nan=False)

    def __str__(self):
        lines = [f"{'effect':10} {'what':70} {'measured':>9}  bound"]
        for row in self.rows:
            mark = "" if row.passed else "   WRONG"
            bound = f"{WORDS[row.relation]} {row.bound:g}"
            lines.append(f"{row.effect:10} {row.what:70} {row.measured:9.2g}  {bound}{mark}")
        verdict = "every effect holds" if self else f"wrong: {', '.join(self.failed)}"
        return "\n".join([*lines, f"{verdict}; {len(self.rows)} statements, {self.seconds:.1f} s"])


@options.door(seed=options.Count(lowest=0))
def check_effects(
    model: Model, X: Any = None, y: Any = None, *, effects: Any = None, seed: int = 0, **inputs: Any
) -> EffectsReport:
    """Measure what finite differences cannot see of `model`, on copies of it. Returns an EffectsReport.

    X, y, inputs: the model's fields by name, as `fit` takes them, at least 16 rows, of which the first 48 are used; by
             default, examples that the fields make
    effects: names of the effects to look at; by default all
    seed:    of the examples, the order of the rows and the draws

    Raises InputError for data of the wrong shape, and for an unknown effect.
    """
    if not isinstance(model, Model):
        raise InputError(f"model is a {type(model).__name__}: expected a minae.Model")
    names = list(EFFECTS) if effects is None else [effects] if isinstance(effects, str) else effects
    if not isinstance(names, list | tuple) or not set(map(repr, names)) <= set(map(repr, EFFECTS)):
        raise InputError(f"effects is {effects!r}: choose among {', '.join(EFFECTS)}")
    rng, rows, started = np.random.default_rng(seed), [], time.perf_counter()
    given = {name: array for name, array in {"y": y, **inputs}.items() if array is not None}
    if X is None and not given:
        given = {name: field.example(rng, ROWS) for name, field in model.fields.items()}
    else:
        model.batches(X, y, inputs)  # checks them
        given = {next(iter(model.fields)): X, **given}
        given = {name: _on_host(model, array, name)[:ROWS] for name, array in given.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a model that warned when it was built
        subject = _Subject(model, given, seed)
        for name in names:
            try:
                rows += [Effect(name, *found) for found in EFFECTS[name](subject)]
            except Exception as error:
                words = " ".join(f"{type(error).__name__}: {error}".split())
                rows.append(Effect(name, words, math.nan, "<=", 0.0))
    return EffectsReport(rows, time.perf_counter() - started)


def _on_host(model, array, name):
    if isinstance(array, list | tuple) and model.fields[name].ragged:
        return array
    return model.backend.to_numpy(array) if model.backend.owns(array) else np.array(host_array(array, name))


def check_case(kind: type[Model], name: str, backend: Any = None, **settings: Any) -> tuple[str, EffectsReport]:
    """The label and the report of one of the small models that a kind declares."""
    label, model, _ = case(kind, name, backend)
    return label, check_effects(model, **settings)


class _Subject:
    """The model that is looked at, in float64, and its data: fields by name, arrays of the host or lists."""

    def __init__(self, model, data, seed):
        self.own, self.model, self.data, self.seed = model, model.copy(dtype="float64"), data, seed
        self.model.project()  # what lies in the set in float32 may be off it in float64, by rounding
        self.backend, self.first = model.backend, next(iter(model.fields))
        self.length = len(self.batches(self.model))
        if self.length < BATCH:
            raise InputError(f"X has {self.length} rows: expected at least {BATCH} to look at effects")

    # ---- data

    def batches(self, model, data=None):
        data = dict(self.data if data is None else data)
        return model.batches(data.pop(self.first), None, data)

    def take(self, index):
        """The same rows of every field."""
        return {
            name: [array[i] for i in index] if isinstance(array, list | tuple) else np.asarray(array)[index]
            for name, array in self.data.items()
        }

    def batch(self, model, index):
        """A batch as a step gets it."""
        return self.batches(model).take(np.asarray(index))

    def host(self, array):
        if isinstance(array, list):  # of sequences, padded with 0 to the longest of all data
            longest = max(len(x) for x in self.data[self.first])
            return np.stack([np.pad(x, ((0, longest - len(x)), (0, 0))) for x in array])
        return np.array(self.backend.to_numpy(array) if self.backend.owns(array) else array)

    # ---- training

    def train(self, model, data=None, **settings):
        data = dict(self.data if data is None else data)
        settings = {"epochs": 1, "batch_size": BATCH, "optimizer": Adam(1e-2), "seed": self.seed} | settings
        return model.fit(data.pop(self.first), **data, progress=False, **settings)

    def watched(self, data=None, **settings):
        """What each step of a training is given, by name, as arrays of the host."""
        model, steps = self.model.copy(), []
        page, first = model.cost_and_grad, next(iter(model.turns), None)

        def watch(need_grad=True, **given):
            if need_grad and given.get("turn") == first:
                steps.append({name: self.host(array) for name, array in given.items() if name != "turn"})
            return page(need_grad=need_grad, **given)

        model.cost_and_grad = watch
        self.train(model, data, epochs=2, **settings)
        return steps[: len(steps) // 2], steps[len(steps) // 2 :]

    def bits(self, model):
        """Name -> bytes of all parameters and state."""
        return {name: self.host(array).tobytes() for name, array in model.tensors().items()}

    def turns(self, model):
        """The further arguments of `cost_and_grad` for each turn."""
        return [{} if turn is None else {"turn": turn} for turn in model.turns or [None]]


def _different(one, other):
    """How many entries of two dicts are not the same."""
    return sum(one.get(name) != other.get(name) for name in {**one, **other})


def _apart(a, b):
    """The largest difference of two arrays, relative to their size where that is above 1."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape:
        return math.inf
    return float(np.abs(a - b).max(initial=0) / max(1.0, np.abs(a).max(initial=0)))


def _numbers(history):
    """A history without its clock."""
    return [{key: record[key] for key in record if key not in ("seconds", "examples_per_second")} for record in history]


# ---- draws


def draws(subject):
    model = subject.own.copy()  # in its own dtype, whose noise is a kernel of its own
    size = sum(math.prod(n or 8 for n in field.shape) for field in model.fields.values())
    rows = int(np.clip(400_000 // max(1, size), 500, 4000))
    index = np.arange(rows) % subject.length
    batch = subject.batch(model, index)
    drawn = model.draw(batch, subject.seed, "check")
    host = {name: subject.host(array) for name, array in batch.items()}
    stated = dict(model.laws)
    for net in model.nets.values():
        stated |= _laws_of_layers(net)
    for name, array in drawn.items():
        if name not in stated:
            yield f"{name} is drawn and no law of it is stated: laws = {{{name!r}: 'normal'}}", math.nan, "<=", SIGMAS
            continue
        law = stated[name]
        law = law(model, **host) if callable(law) else law
        if law is None:
            continue
        array = subject.host(array)
        if rows in array.shape:
            array = np.moveaxis(array, array.shape.index(rows), 0)
        else:  # drawn for a batch and not for its rows
            few = subject.batch(model, index[:FEW])
            array = [subject.host(model.draw(few, subject.seed, "noise", 0, k)[name]) for k in range(rows)]
            array = np.stack(array)
        words = law if isinstance(law, str) else "of its stated mean and variance"
        mean, variance, *kurtosis = LAWS[law](rows if rows in drawn[name].shape else FEW) if words is law else law
        independent = words is law
        mean, variance = (_rows_first(part, rows, drawn[name].shape) for part in (mean, variance))
        yield f"{name}, {words}: standard errors", _off(array, mean, variance, kurtosis, independent), "<=", SIGMAS
    for name, law in stated.items():
        if name not in drawn and hasattr(model, name):
            yield from _verb(subject, model, name, law, host)
    loss = getattr(model, "loss", None)
    if isinstance(loss, Loss) and hasattr(loss, "sample"):
        rng = np.random.default_rng(subject.seed)
        s = subject.backend.from_numpy(rng.standard_normal((rows, 5)).astype(model.dtype))
        p = subject.host(loss.mean(s)).astype(np.float64)
        x = subject.host(loss.sample(s, subject.backend.stream(subject.seed, "check")))
        yield "loss.sample(s), of the mean p: standard errors", _off(x, p, p * (1 - p)), "<=", SIGMAS


def _verb(subject, model, name, law, host):
    """A method that draws: a word is the law of the codes that it decodes, a function makes its draws, μ and v."""
    if callable(law):
        found = law(model, **host)
        if found is not None:
            drawn, mean, variance = found
            yield f"{name}, of its stated mean: standard errors", _off(drawn, mean, variance), "<=", SIGMAS
        return
    codes, decode = [], model.decode

    def watch(H):
        codes.append(subject.host(H))
        return decode(H)

    model.decode = watch
    x = subject.host(getattr(model, name)(4000, seed=subject.seed))
    mean, variance, *kurtosis = LAWS[law](4000)
    del model.decode
    if not codes:
        yield f"{name} decodes no code: expected {law} ones", math.nan, "<=", SIGMAS
        return
    code = np.concatenate(codes)
    yield f"{name} decodes {law} codes: standard errors", _off(code, mean, variance, kurtosis, True), "<=", SIGMAS
    yield f"{name} gives what decode gives of them", _apart(decode(code), x), "<=", ROUNDING


def _laws_of_layers(layer):
    inner = getattr(layer, "layers", ())
    return dict(layer.laws) | {name: law for one in inner for name, law in _laws_of_layers(one).items()}


def _rows_first(part, rows, shape):
    """A mean or a variance, broadcast to the draw's shape and turned as the draw is."""
    if np.ndim(part) == 0 or rows not in shape:
        return part
    return np.moveaxis(np.broadcast_to(part, shape), shape.index(rows), 0)


def _off(drawn, mean, variance=None, kurtosis=(), independent=False):
    """How many standard errors the draws (rows, …) are off their law: the largest of its mean, its variance, E z⁴, and
    the products of neighbours. variance None: of the mean alone."""
    d = np.asarray(drawn, np.float64) - mean
    if variance is None:
        return _errors(d)
    v = np.broadcast_to(np.asarray(variance, np.float64), d.shape)
    free = v > 1e-12  # elsewhere the law leaves no choice, such as a mask's at x = 0
    if np.abs(np.where(free, 0, d)).max(initial=0) > 1e-6:
        return math.inf
    z = np.where(free, d, 0) / np.sqrt(np.where(free, v, 1))
    found = [_errors(z), _errors(np.where(free, z * z - 1, 0)), _errors(z[1:] * z[:-1])]
    found += [_errors(z**4 - expected) for expected in kurtosis]
    if independent:
        for axis in range(1, z.ndim):
            found.append(_errors(np.diff(z, axis=axis) ** 2 - 2) if z.shape[axis] > 1 else 0.0)
    return max(found)


def _errors(values):
    """|mean| in standard errors, the rows being independent of each other."""
    rows = values.reshape(len(values), -1).mean(axis=1)
    mean, spread = abs(rows.mean()), rows.std() / math.sqrt(len(rows))
    return float(mean / spread) if spread > 0 else math.inf if mean > 1e-12 else 0.0


# ---- epochs


def epochs(subject):
    first, second = subject.watched()
    domains: dict[str, list[str]] = {}
    for name, field in subject.model.fields.items():
        if name in subject.data:
            domains.setdefault(field.domain, []).append(name)
    for k, names in enumerate(domains.values()):
        one, other = ([row for step in epoch for row in _rows(step, names)] for epoch in (first, second))
        if len(set(one)) > 1:
            same = np.mean([a == b for a, b in zip(one, other, strict=True)])
            yield f"share of the rows of {', '.join(names)} at one place in two epochs", same, "<=", 0.5
        if k == 0:
            yield "rows that an epoch has and the other has not", _missing(one, other), "<=", 0

    # noise is compared on rows that are all the same, so that it is the noise that differs
    alike = subject.take(np.zeros(4 * ROWS, int))
    one, other = subject.watched(alike)
    fields = {*subject.model.fields, *(f"{name}_length" for name in subject.model.fields)}
    for name in [name for name in one[0] if name not in fields]:
        law = subject.model.laws.get(name)
        law = law(subject.model, **{key: one[0][key] for key in subject.model.fields}) if callable(law) else law
        if isinstance(law, tuple) and np.max(law[1]) <= 1e-12:
            continue  # the law leaves no choice there, as where cells are swapped between rows that are the same
        a, b = (np.concatenate([step[name].ravel() for step in epoch]) for epoch in (one, other))
        yield f"share of {name} that two epochs have alike", np.mean(a == b), "<", 1
        step = one[0][name].size
        yield f"share of {name} that two steps have alike", np.mean(a[:step] == a[step : 2 * step]), "<", 1

    models = [subject.model.copy() for _ in range(3)]
    histories = [
        _numbers(subject.train(model, seed=subject.seed + (k == 2), epochs=2)) for k, model in enumerate(models)
    ]
    bits = [subject.bits(model) for model in models]
    same = _different(bits[0], bits[1]) + (histories[0] != histories[1])
    yield "arrays that differ between two runs of one seed", same, "<=", 0
    yield "arrays that differ between two seeds", _different(bits[0], bits[2]), ">", 0


def _rows(step, names):
    """Each row of a batch as bytes, without what is padded."""
    columns = []
    for name in names:
        length = step.get(f"{name}_length")
        columns.append([row if length is None else row[: length[k]] for k, row in enumerate(step[name])])
    return [b"".join(part.tobytes() for part in row) for row in zip(*columns, strict=True)]


def _missing(one, other):
    return sum(a != b for a, b in zip(sorted(one), sorted(other), strict=True))


# ---- frozen layers


def frozen(subject):
    start, layers = subject.bits(subject.model), subject.model.parameters.layers
    free = subject.model.copy()
    subject.train(free)
    moves = {name for name, bits in subject.bits(free).items() if bits != start[name] and not name.startswith("state.")}
    owner = {name: layer for layer in reversed(layers) for name in layers[layer]}
    for layer in layers:
        own = {name for name in owner if owner[name] == layer}
        if not own:
            continue  # all of it belongs to the layer that it shares its parameters with
        model = subject.model.copy()
        subject.train(model, optimizer=Adam(1e-2, rates={layer: 0.0}))
        after = subject.bits(model)
        changed = sum(after[name] != start[name] for name in own)
        yield f"parameters of {layer} that move although it is frozen", changed, "<=", 0
        still = sum(after[name] == start[name] for name in moves - own)
        yield f"other parameters that stand still while {layer} is frozen", still, "<=", 0


# ---- a resume


def resume(subject):
    half = {name: array[: subject.length // 2] for name, array in subject.data.items()}

    def uphill(gradient):
        gradient *= -1

    ways = {
        "a stop, and a resume": dict(average=0.9),
        "a stop between two bad epochs": dict(
            validation=half, patience=3, gradient_hook=uphill, optimizer=Adam(1e-3), epochs=7
        ),
    }
    for words, settings in ways.items():
        settings = {"epochs": 4} | settings
        whole = subject.model.copy()
        expected = _numbers(subject.train(whole, **settings))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "run.checkpoint"
            subject.train(subject.model.copy(), checkpoint=path, **settings | {"epochs": 2})
            resumed = subject.model.copy()
            history = _numbers(subject.train(resumed, checkpoint=path, resume=True, **settings))
        apart = _different(subject.bits(whole), subject.bits(resumed)) + (history != expected)
        yield f"{words}: arrays and histories that differ", apart, "<=", 0


# ---- weights


def weights(subject):
    """Steps of bounded length along the gradient: Adam would not see the weight of a term that moves its parameters
    alone, such as a codebook's."""
    declared = [option for option in options.of(type(subject.model)).values() if isinstance(option, options.Weight)]
    for option in declared:
        term, values = option.term, []
        usual = subject.model.weights[term] or 1.0
        for factor in (0.01, 100.0):
            model = subject.model.copy()
            model.weights[term] = factor * usual
            subject.train(model, epochs=20, optimizer=SGD(0.05), gradient_hook=clipped(1.0))
            evaluated = _evaluate(subject, model)
            values.append(evaluated.get(term))
        if None not in values:  # a configuration may have no such term
            low, high = values
            what = f"{term} with {option.name} = {100 * usual:g}, less {term} with {0.01 * usual:g}"
            yield what, high - low, "<", 0


def _evaluate(subject, model, data=None, **settings):
    data = dict(subject.data if data is None else data)
    return model.evaluate(data.pop(subject.first), **data, **settings)


# ---- evaluation


def evaluation(subject):
    model, few = subject.model.copy(), np.arange(FEW)
    before = subject.bits(model)
    order = np.random.default_rng(subject.seed).permutation(FEW)
    data = subject.take(few)[subject.first]
    for verb, whole in _answers(subject, model, data).items():
        function = getattr(model, verb)
        alone = np.concatenate([subject.host(function(subject.take([i])[subject.first])) for i in few])
        permuted = subject.host(function(subject.take(order)[subject.first]))
        yield f"{verb}: rows alone, and all at once", _apart(whole, alone), "<=", ROUNDING
        yield f"{verb}: rows in another order", _apart(whole[order], permuted), "<=", ROUNDING
    yield from _costs(subject, model, few, order)
    if not model.draw(subject.batch(model, few), subject.seed, "check"):
        coupled = set(model.coupled)
        whole, parts = _evaluate(subject, model), _evaluate(subject, model, batch_size=7)
        apart = max([_apart(whole[term], parts[term]) for term in whole if term not in coupled], default=0.0)
        yield "evaluate: batches of 7 rows, and all at once", apart, "<=", ROUNDING
    yield "arrays of the model that evaluation changes", _different(before, subject.bits(model)), "<=", 0


def _answers(subject, model, data):
    """Verb -> what it gives of all rows, of the verbs that the model has and answers."""
    found = {}
    for verb in VERBS:
        if hasattr(model, verb):
            try:
                found[verb] = subject.host(getattr(model, verb)(data))
            except InputError:  # such as probabilities of a margin
                continue
    return found


def _costs(subject, model, few, order):
    """The terms of the cost, with what is drawn held: rows alone, in another order, and padded further."""
    batch, more = (subject.batch(model, index) for index in (few, np.arange(FEW + 1)))
    held = {name: array for name, array in model.draw(batch, subject.seed, "check").items() if "." not in name}
    shapes = {name: model.draw(more, subject.seed, "check")[name].shape for name in held}
    axes = {name: _axis(array.shape, shapes[name]) for name, array in held.items()}

    def terms(rows, padded=0, filled="constant"):
        index = subject.backend.xp.asarray(rows)
        part = {name: array[index] for name, array in batch.items()}
        given = {
            name: array if axes[name] is None else subject.backend.xp.take(array, index, axis=axes[name])
            for name, array in held.items()
        }
        if padded:
            part = {name: _longer(subject, model, name, array, padded, filled) for name, array in part.items()}
            wanted = model._spec(part)
            given = {name: _as_long(subject, array, wanted[name][0]) for name, array in given.items()}
        found = {}
        for turn in subject.turns(model):
            found |= model.cost_and_grad(**part, **given, **turn, mode="eval", need_grad=False)
        return {name: float(term) for name, term in found.items()}

    whole, coupled = terms(few), set(model.coupled)
    alone = [terms([i]) for i in few]
    single = [name for name in whole if name not in coupled]
    apart = max([_apart(whole[name], np.mean([one[name] for one in alone])) for name in single], default=0.0)
    yield f"cost ({', '.join(single) or 'all coupled'}): rows alone, and all at once", apart, "<=", ROUNDING
    permuted = terms(order)
    yield "cost: rows in another order", max(_apart(whole[n], permuted[n]) for n in whole), "<=", ROUNDING
    if any(field.ragged for field in model.fields.values()):
        for filled in ("constant", "edge"):
            longer = terms(few, 3, filled)
            words = {"constant": "0", "edge": "the last step"}[filled]
            yield f"cost: padded further, with {words}", max(_apart(whole[n], longer[n]) for n in whole), "<=", ROUNDING


def _axis(shape, more):
    """The axis of the rows: where a batch of one row more is longer."""
    return next((k for k, (n, m) in enumerate(zip(shape, more, strict=True)) if n == FEW and m == FEW + 1), None)


def _longer(subject, model, name, array, padded, filled):
    if name not in model.fields or not model.fields[name].ragged:
        return array
    host = subject.host(array)
    longer = np.pad(host, [(0, 0), (0, padded)] + [(0, 0)] * (host.ndim - 2), mode=filled)
    return subject.backend.from_numpy(longer)


def _as_long(subject, array, shape):
    host = subject.host(array)
    return subject.backend.from_numpy(np.pad(host, [(0, m - n) for n, m in zip(host.shape, shape, strict=True)]))


# ---- constants


def constants(subject):
    model = subject.model.copy()
    batch = subject.batch(model, np.arange(BATCH))
    drawn = model.draw(batch, subject.seed, "check")
    for turn in subject.turns(model):
        cost = model.cost_and_grad(**batch, **drawn, **turn)
        value, gradient = float(cost), subject.host(model.parameters.grad)
        again = model.cost_and_grad(**batch, **drawn, **turn)
        words = f" of turn {turn['turn']}" if turn else ""
        apart = max(_apart(value, float(again)), _apart(gradient, subject.host(model.parameters.grad)))
        yield f"cost and gradient{words}, asked for twice", apart, "<=", ROUNDING
        if cost.constants:
            held = {name: copy.deepcopy(array) for name, array in cost.constants.items()}
            given = model.cost_and_grad(**batch, **{**held, **drawn}, **turn)
            apart = max(_apart(value, float(given)), _apart(gradient, subject.host(model.parameters.grad)))
            yield f"cost and gradient{words}, {', '.join(held)} given back", apart, "<=", ROUNDING


# ---- copies


def copies(subject):
    model = subject.model.copy()
    subject.train(model)
    for term in list(model.weights)[len(model.terms) :] or list(model.weights):  # as an annealed weight is
        model.weights[term] = 0.5 * model.weights[term] + 0.01
    ways = {
        "copy()": lambda: model.copy(),
        "copy.copy": lambda: copy.copy(model),
        "copy.deepcopy": lambda: copy.deepcopy(model),
        "pickle": lambda: pickle.loads(pickle.dumps(model)),
    }
    if MODELS.get(model.name) is type(model):
        ways["save and load"] = lambda: _through_a_file(model)
    before, found = _computed(subject, model), {}
    for way, make in ways.items():
        other = make()
        apart = _different(before, _computed(subject, other))
        yield f"{way}: what it computes otherwise than its model", apart, "<=", 0
        history = _numbers(subject.train(other, epochs=2, seed=subject.seed + 4))
        found[way] = {**_computed(subject, other), "history": history}
    yield "what the training of its copies changes in a model", _different(before, _computed(subject, model)), "<=", 0
    history = _numbers(subject.train(model, epochs=2, seed=subject.seed + 4))
    expected = {**_computed(subject, model), "history": history}
    for way, results in found.items():
        yield f"{way}: what differs after more training", _different(expected, results), "<=", 0


def _computed(subject, model):
    """All that a model is and gives: arrays, weights, configuration, costs and answers."""
    data = subject.take(np.arange(FEW))[subject.first]
    answers = {verb: answer.tobytes() for verb, answer in _answers(subject, model, data).items()}
    return {
        **subject.bits(model),
        **answers,
        "repr": repr(model),
        "weights": dict(model.weights),
        "evaluate": _evaluate(subject, model),
    }


def _through_a_file(model):
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model.safetensors")
        return load(Path(folder) / "model.safetensors", backend=model.backend, dtype=model.dtype.name)


# ---- turns


def turns(subject):
    start, layers = subject.bits(subject.model), subject.model.parameters.layers
    for turn, nets in subject.model.turns.items():
        model, still = subject.model.copy(), dict.fromkeys(layers, 0.0)
        trained = [layer for net in nets for layer in model.nets[net].trained()]
        own = {name for layer in trained for name in layer.names}
        optimizers = {each: Adam(1e-2, rates={} if each == turn else still) for each in model.turns}
        subject.train(model, optimizer=optimizers)
        after = subject.bits(model)
        moved = {name for name in model.parameters if after[name] != start[name]}
        yield f"parameters of other players that turn {turn} moves", len(moved - own), "<=", 0
        yield f"parameters of {', '.join(nets)} that turn {turn} moves", len(moved & own), ">", 0


EFFECTS: dict[str, Callable[[_Subject], Iterator[tuple[str, float, str, float]]]] = {
    each.__name__: each for each in (draws, epochs, frozen, resume, weights, evaluation, constants, copies, turns)
}

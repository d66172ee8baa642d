r"""Is the gradient right? Central differences of the reported cost, in float64, against the gradient derived by hand.

    D(h) = (J(θ + h e) − J(θ − h e)) / 2h = ∂J/∂θ_e + O(h²)
    (4 D(h) − D(2h)) / 3 = ∂J/∂θ_e + O(h⁴)             Richardson's extrapolation

The fourth order allows a step so large (10⁻³) that rounding, about 10⁻¹⁶ J / h, stays far below the tolerance. At a
kink (a ReLU that switches within the step) D(h) and D(2h) disagree, and the step is made smaller. The error of a
parameter is

    ‖analytic − numeric‖ / ‖analytic + numeric‖        (Ng, UFLDL notes)

Where J is large beside its gradient, as with data in 0 … 255, rounding alone makes an error of that size, which is the
row's `resolution`. An error below it passes up to 10⁻⁴, which is far below what a wrong formula gives; above, such a
row says nothing either way, and does not pass.

What such a check cannot see: a cost that is not the one that was meant. That takes the other layers of tests.
"""

import json
import math
from dataclasses import asdict, dataclass

import numpy as np

from minae.errors import InputError

TOLERANCE, ROUNDING = 1e-7, 1e-4  # errors that pass: always, and where they are no more than rounding
STEPS = (1e-3, 1e-4, 1e-5, 1e-6)


@dataclass
class Row:
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
    """What `check_gradient` found. True where everything passed; prints as a table; `rows` is a list of `Row`."""

    def __init__(self, rows, tolerance):
        self.rows, self.tolerance = rows, tolerance

    def __bool__(self):
        return all(row.passed for row in self.rows)

    @property
    def worst(self):
        """The row of the largest error; NaN counts as the largest."""
        return max(self.rows, key=lambda row: math.inf if math.isnan(row.error) else row.error)

    def to_json(self):
        rows = [{key: _finite(value) for key, value in asdict(row).items()} for row in self.rows]
        return json.dumps({"passed": bool(self), "tolerance": self.tolerance, "rows": rows}, allow_nan=False)

    def __str__(self):
        lines = [f"{'cost':10} {'parameter':10} {'error':>8}  {'worst entry':14} {'analytic':>14} {'numeric':>14}"]
        for r in self.rows:
            index = "[" + ", ".join(map(str, r.index)) + "]"
            mark = "" if r.error <= self.tolerance else "   within rounding" if r.passed else "   WRONG"
            mark = "   lost in rounding" if not r.passed and r.error <= r.resolution else mark
            lines.append(
                f"{r.terms:10} {r.parameter:10} {r.error:8.1e}  {index:14} {r.analytic:14.6e} {r.numeric:14.6e}{mark}"
            )
        worst = f"largest error {self.worst.error:.1e}"
        wrong = any(not row.passed and not row.error <= row.resolution for row in self.rows)
        doubt = "a gradient is wrong" if wrong else "rounding leaves open whether it is right: scale the data"
        verdict = "every gradient is right" if self else doubt
        return "\n".join([*lines, f"{verdict}: {worst}, tolerance {self.tolerance:g}"])


def check_gradient(model, x, y=None, *, terms=None, noise=None, entries=200, tolerance=TOLERANCE, seed=0):
    """Compare ∂J/∂θ of `model` at the rows of x with central differences. Returns a GradientReport.

    x:       (B, n) of the host, B > 1 so that terms that couple the batch are seen; the model is copied to float64
    y:       targets, as `fit` takes them, for a model that has them
    terms:   costs to check, each a tuple of names of cost terms; by default all terms together and each one alone
    noise:   the other arguments of `cost_and_grad`, held fixed; what is not given is drawn once from `seed`
    entries: how many entries of a parameter are differenced: all where there are no more, else half of them the
             largest by the analytic gradient and half drawn at random, and one random direction through all

    Raises InputError for x of the wrong shape, and for a term that the model does not have.
    """
    names = list(model.weights)
    if terms is None:
        terms = [tuple(names)] + ([(name,) for name in names] if len(names) > 1 else [])
    for name in {name for group in terms for name in group} - set(names):
        raise InputError(f"unknown cost term {name!r}: this model has {', '.join(names)}")
    model = model.copy(dtype="float64")
    backend, rng = model.backend, np.random.default_rng(seed)
    x = backend.from_numpy(np.array(backend.to_numpy(x) if backend.owns(x) else x, dtype=np.float64))
    targets = model.targets(y, len(x)) if y is not None or (model.supervised and "y" not in (noise or {})) else None
    given = {} if targets is None else {"y": backend.from_numpy(np.asarray(targets, dtype=np.float64))}
    noise = model.draw(x, seed) | given | (noise or {})

    weights, rows = dict(model.weights), []
    for group in terms:
        # a term that stands alone has weight 1, so that one with a small λ is seen as clearly as the others
        alone = len(group) == 1
        model.weights = {name: (1.0 if alone else weights[name]) if name in group else 0.0 for name in names}
        model.cost_and_grad(x, **noise)
        gradient = backend.to_numpy(model.parameters.grad).copy()

        def J():
            return float(model.cost_and_grad(x, need_grad=False, **noise))

        views, rounding = model.parameters.views(gradient), _rounding(J, model, rng)
        for name in model.parameters:
            rows.append(_check(J, model, name, views[name], "+".join(group), entries, tolerance, rng, rounding))
    return GradientReport(rows, tolerance)


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
        """h ↦ J(W + h·direction)"""

        def moved(h):
            W[...] = from_numpy(before + h * direction)
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
    return Row(terms, name, error, resolution, index, float(analytic[k]), float(numeric[k]), len(chosen), passed)


def _choose(gradient, entries, rng):
    if gradient.size <= entries:
        return list(range(gradient.size))
    largest = np.argpartition(-np.abs(gradient), entries // 2)[: entries // 2]
    return sorted({*largest.tolist(), *rng.choice(gradient.size, entries - entries // 2, replace=False).tolist()})


def _derivative(J, rounding):
    """dJ/dh at 0, by Richardson's extrapolation, at the largest step over which J is smooth; and its rounding error.

    Over a smooth stretch the two central differences agree to O(h²); across a kink they do not, whatever h is.
    """
    best, best_gap, best_noise = math.nan, math.inf, math.inf
    for h in STEPS:
        up, down = J(h), J(-h)
        near, far = (up - down) / (2 * h), (J(2 * h) - J(-2 * h)) / (4 * h)
        noise = rounding / h
        gap = abs(near - far) + noise
        if gap < best_gap:
            best, best_gap, best_noise = (4 * near - far) / 3, gap, noise
        if gap <= 1e-6 * abs(near) + 10 * noise:
            break
    return best, best_noise


def cases(backend=None):
    """(name, model, x, arguments) small enough to check in full: every variant, activation, loss and form of them."""
    from minae.autoencoders.base import VARIANTS

    rng = np.random.default_rng(0)
    x = rng.uniform(size=(4, 7))
    one_hot = np.eye(7)[rng.integers(7, size=4)]

    def case(variant, name, sizes=(7, 5, 3), x=x, arguments=None, **options):
        model = VARIANTS[variant](sizes, backend=backend, dtype="float64", seed=1, **options)
        flat = 0.3 * rng.standard_normal(model.parameters.flat.shape)  # biases off zero too
        model.parameters.flat[...] += model.backend.from_numpy(flat)
        model.constrain()
        arguments = {key: model.backend.from_numpy(value) for key, value in (arguments or {}).items()}
        return f"{variant} {name}", model, x, arguments

    labels = {"y": np.eye(3)[[0, 2, 1, 2]]}
    activations = ("identity", "sigmoid", "tanh", "relu", "softplus")
    for activation in activations:
        yield case("undercomplete", activation, activation=activation, code="identity", loss="gaussian")
    yield case("undercomplete", "bernoulli", loss="bernoulli")
    yield case("undercomplete", "categorical", loss="categorical", x=one_hot)
    yield case("undercomplete", "one layer", sizes=(7, 3))
    yield case("undercomplete", "deep", sizes=(7, 6, 5, 2), activation="tanh")
    yield case("undercomplete", "tied", tied=True)
    yield case("undercomplete", "tied, weight decay", tied=True, lam=0.1, loss="gaussian")
    yield case("undercomplete", "weight decay", lam=0.1)
    yield case("sparse", "KL", penalty="kl", rho=0.1, lam=0.5)
    yield case("sparse", "KL, overcomplete, tied", sizes=(7, 9), penalty="kl", rho=0.1, lam=0.5, tied=True)
    yield case("sparse", "L1", penalty="l1", lam=0.5, activation="tanh")
    yield case("k_sparse", "linear", sizes=(7, 6), k=2, code="identity")
    yield case("k_sparse", "wide, by rows", sizes=(7, 24), k=3)
    yield case("k_sparse", "deep, tied, ReLU, by rows", sizes=(7, 5, 24), k=2, code="relu", tied=True)
    yield case("k_sparse", "deep, ReLU, overcomplete", sizes=(7, 5, 9), k=3, activation="tanh", code="relu")
    for corruption, level in {"gaussian": 0.3, "masking": 0.4, "salt_and_pepper": 0.3}.items():
        yield case("denoising", corruption, corruption=corruption, level=level)
    yield case("variational", "bernoulli", activation="tanh")
    yield case("variational", "sampled KL", activation="tanh", kl="sampled", beta=2.0)
    yield case("variational", "gaussian, β = 4", activation="tanh", beta=4.0, loss="gaussian")
    yield case("contractive", "one layer", sizes=(7, 5))
    yield case("contractive", "one layer, untied", sizes=(7, 5), tied=False)
    for activation in activations:
        yield case("contractive", f"deep, {activation}", sizes=(7, 6, 5, 3), activation=activation, loss="gaussian")
    yield case("contractive", "one layer, two probes", sizes=(7, 5), probes=2)
    yield case("contractive", "deep, two probes", sizes=(7, 6, 3), probes=2)
    yield case("contractive_h", "one layer, two draws", sizes=(7, 5), draws=2)
    for activation in ("sigmoid", "softplus"):
        yield case("contractive_h", f"deep, {activation}", sizes=(7, 6, 4), activation=activation, tied=False)
    yield case("predictive_sparse", "shrink, overcomplete", sizes=(7, 9), lam=0.1)
    yield case("predictive_sparse", "tanh and gain", sizes=(7, 5), code="tanh", lam=0.1, gamma=0.5)
    yield case("predictive_sparse", "deep, shrink", sizes=(7, 6, 9), lam=0.1)
    codes = {"y": rng.standard_normal((4, 9))}
    for steps in (1, 3):
        yield case("lista", f"steps: {steps}", sizes=(7, 9), arguments=codes, steps=steps, lam=0.1)
    yield case("hashing", "one layer, tied", sizes=(7, 5), level=1.0, tied=True)
    yield case("hashing", "deep, ReLU", sizes=(7, 6, 5, 3), activation="relu", loss="gaussian")
    yield case("hashing", "categorical", level=0.5, loss="categorical", x=one_hot)
    yield case("classifier", "two layers", arguments=labels, classes=3)
    yield case("classifier", "softmax regression, weight decay", sizes=(7,), arguments=labels, classes=3, lam=0.1)

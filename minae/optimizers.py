r"""Optimizers that work in place on the flat vector θ, with g = ∂J/∂θ, and learning-rate schedules.

Each is a small dataclass: its fields are its settings, `state` holds its vectors (parallel to θ) and `t` counts its
steps. The book's chapter 8: SGD (algorithm 8.1), momentum (8.15–8.16), Nesterov (8.21–8.22), Adam (algorithm 8.7).
"""

import math
from dataclasses import dataclass, field

from minae.backend import namespace
from minae.errors import InputError

# ---- schedules: t = 0, 1, 2, … (steps done so far) -> learning rate ε_t


@dataclass(frozen=True)
class Constant:
    """ε_t = lr"""

    lr: float

    def __call__(self, t):
        return self.lr


@dataclass(frozen=True)
class StepDecay:
    """ε_t = lr · factor^⌊t / every⌋"""

    lr: float
    every: int
    factor: float = 0.1

    def __call__(self, t):
        return self.lr * self.factor ** (t // self.every)


@dataclass(frozen=True)
class Cosine:
    """ε_t = floor + (lr − floor) · ½ (1 + cos π t/steps); floor from t = steps on.  (Loshchilov and Hutter 2017)"""

    lr: float
    steps: int
    floor: float = 0.0

    def __call__(self, t):
        return self.floor + (self.lr - self.floor) * 0.5 * (1 + math.cos(math.pi * min(t / self.steps, 1.0)))


@dataclass(frozen=True)
class WarmUp:
    """ε_t = (t + 1)/steps · schedule(t) during the first `steps` steps, then the schedule itself."""

    schedule: object
    steps: int

    def __call__(self, t):
        schedule = _schedule(self.schedule)
        return schedule(t) * min((t + 1) / self.steps, 1.0)


def _schedule(lr):
    return lr if callable(lr) else Constant(lr)


# ---- optimizers


@dataclass
class Optimizer:
    """lr: a number > 0, or a schedule.  rates: a factor on it by layer, such as {"f1": 0.1, "g1": 0.0}; 0 freezes."""

    lr: object = 1e-3
    rates: dict = field(default_factory=dict, kw_only=True)
    t: int = field(default=0, init=False, repr=False)
    state: dict = field(default_factory=dict, init=False, repr=False)
    _work: object = field(default=None, init=False, repr=False)
    _parts: object = field(default=None, init=False, repr=False)

    slots = ()  # names of the vectors of `state`

    def __post_init__(self):
        if not 0 < _schedule(self.lr)(0) < math.inf:
            raise InputError(f"lr is {self.lr!r}: a learning rate is a number > 0, or a schedule of such")

    def step(self, parameters):
        """θ moves once along the gradient that lies in `parameters.grad`."""
        w, g = parameters.flat, parameters.grad
        if not self.state:
            self.state = {name: namespace(w).zeros_like(w) for name in self.slots}
        if self._parts is None:
            self._parts = parameters.parts(self.rates)
        lr = _schedule(self.lr)(self.t)
        for part, factor in self._parts:
            self.update(w[part], g[part], lr * factor, **{name: self.state[name][part] for name in self.slots})
        self.t += 1

    def update(self, w, g, lr):
        """One step of θ, or of a part of it; a subclass's slots are further arguments."""
        raise NotImplementedError

    def scaled(self, vector, factor):
        """factor · vector, in a vector that is reused from step to step."""
        if self._work is None or self._work.size < vector.size:
            self._work = namespace(vector).empty_like(vector)
        return namespace(vector).multiply(vector, factor, out=self._work[: vector.size])


@dataclass
class SGD(Optimizer):
    """θ ← θ − ε g     (algorithm 8.1)"""

    lr: object = 0.1

    def update(self, w, g, lr):
        w -= self.scaled(g, lr)


@dataclass
class Momentum(Optimizer):
    """v ← α v − ε g;  θ ← θ + v     (8.15, 8.16)"""

    lr: object = 0.1
    alpha: float = 0.9
    slots = ("v",)

    def update(self, w, g, lr, v):
        step = self.scaled(g, lr)
        v *= self.alpha
        v -= step
        w += v


@dataclass
class Nesterov(Momentum):
    """v ← α v − ε g(θ + α v);  θ ← θ + v     (8.21, 8.22)

    The vector that is kept is φ = θ + α v, where the gradient is wanted: then v ← α v − ε g(φ), φ ← φ + α v − ε g(φ).
    """

    def update(self, w, g, lr, v):
        step = self.scaled(g, lr)
        v *= self.alpha
        v -= step
        w -= step
        w += self.scaled(v, self.alpha)


@dataclass
class Adam(Optimizer):
    """s ← ρ₁ s + (1−ρ₁) g;  r ← ρ₂ r + (1−ρ₂) g²;  θ ← θ − ε ŝ / (√r̂ + δ)     (algorithm 8.7; Kingma and Ba 2015)

    with ŝ = s/(1−ρ₁ᵗ) and r̂ = r/(1−ρ₂ᵗ). One pass over θ by `minae.kernels.adam`.
    """

    rho1: float = 0.9
    rho2: float = 0.999
    delta: float = 1e-8
    slots = ("s", "r")
    decay = 0.0

    def update(self, w, g, lr, s, r):
        from minae.kernels import adam

        adam.update(w, g, s, r, self.t + 1, lr, self.rho1, self.rho2, self.delta, self.decay)


@dataclass
class AdamW(Adam):
    """Adam, and θ ← θ − ε · decay · θ apart from the gradient, on every parameter.  (Loshchilov and Hutter 2019)"""

    decay: float = 0.01


@dataclass
class LBFGS:
    """L-BFGS on all of X at once, by SciPy: an epoch is one iteration.     (8.6.3; Nocedal and Wright 2006)

    memory: number of curvature pairs;  tolerance: stops when the largest |∂J/∂θ_i| is below it.
    SciPy works in float64, so a float64 model gets the most out of it.
    """

    memory: int = 20
    tolerance: float = 1e-8

    def minimize(self, cost_and_grad, flat, iterations, each):
        """cost_and_grad(flat) -> (J, ∂J/∂θ) in float64; `each(flat)` after every iteration. Returns the last θ."""
        from scipy.optimize import minimize

        options = dict(maxiter=iterations, maxfun=20 * iterations, maxcor=self.memory, gtol=self.tolerance, ftol=0.0)
        result = minimize(cost_and_grad, flat, jac=True, method="L-BFGS-B", callback=each, options=options)
        return result.x


OPTIMIZERS = {
    "sgd": SGD,
    "momentum": Momentum,
    "nesterov": Nesterov,
    "adam": Adam,
    "adamw": AdamW,
    "lbfgs": LBFGS,
}

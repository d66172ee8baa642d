r"""Optimizers that work in place on the flat vector θ, with dθ = ∂J/∂θ.

Each is a small dataclass: its fields are its settings, `state` holds its vectors (parallel to θ) and `t` counts its
steps. The book's chapter 8: SGD (algorithm 8.1), momentum (8.15–8.16), Nesterov (8.21–8.22), Adam (algorithm 8.7).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from minae import kernels
from minae.backend import namespace
from minae.options import Count, Number, Option, Positive, door
from minae.parameters import Parameters
from minae.training.schedules import Checked, Rate, at

# ---- optimizers


class Rates(Option):
    """A factor ≥ 0 by layer."""

    def convert(self, value: Any) -> dict[str, float]:
        return {str(layer): FACTOR.convert(factor) for layer, factor in dict(value).items()}

    def expected(self) -> str:
        return "a factor ≥ 0 by layer, such as {'f1': 0.1}"


FACTOR, SHARE = Number(low=0), Number(low=0, high=1 - 1e-12)


@dataclass
class Optimizer(Checked):
    """lr: a number > 0, or a schedule.  rates: a factor on it by layer, such as {"f1": 0.1, "g1": 0.0}; 0 freezes."""

    lr: object = 1e-3
    rates: dict = field(default_factory=dict, kw_only=True)
    t: int = field(default=0, init=False, repr=False)
    state: dict[str, Any] = field(default_factory=dict, init=False, repr=False)
    _work: Any = field(default=None, init=False, repr=False)
    _slices: Any = field(default=None, init=False, repr=False)

    slots: ClassVar[tuple[str, ...]] = ()  # names of the vectors of `state`
    allowed = {"lr": Rate(), "rates": Rates(), "alpha": SHARE, "decay1": SHARE, "decay2": SHARE, "delta": FACTOR,
               "weight_decay": FACTOR}  # fmt: skip

    def step(self, parameters: Parameters, only: Iterable[str] | None = None) -> None:
        """θ moves once along the gradient in `parameters.grad`.     only: names of the parameters that move"""
        theta, dtheta = parameters.flat, parameters.grad
        if not self.state:
            zeros = namespace(theta).zeros  # memory that no step writes is never taken: a player moves a part of θ
            self.state = {name: zeros(theta.shape, theta.dtype) for name in self.slots}
        if self._slices is None:
            self._slices = parameters.slices(self.rates, only)
        lr = at(self.lr, self.t)
        for part, factor in self._slices:
            vectors = {name: self.state[name][part] for name in self.slots}
            self.update(theta[part], dtheta[part], lr * factor, **vectors)
        self.t += 1

    def update(self, theta: Any, dtheta: Any, lr: float) -> None:
        """One step of θ, or of a part of it; a subclass's slots are further arguments."""
        raise NotImplementedError(f"{type(self).__name__} has no update")

    def scaled(self, vector: Any, factor: float) -> Any:
        """factor · vector, in a vector that is reused from step to step."""
        if self._work is None or self._work.size < vector.size:
            self._work = namespace(vector).empty_like(vector)
        return namespace(vector).multiply(vector, factor, out=self._work[: vector.size])


@dataclass
class SGD(Optimizer):
    """θ ← θ − lr dθ     (algorithm 8.1)"""

    lr: object = 0.1

    def update(self, theta: Any, dtheta: Any, lr: float) -> None:
        theta -= self.scaled(dtheta, lr)


@dataclass
class Momentum(Optimizer):
    """v ← α v − lr dθ;  θ ← θ + v     (8.15, 8.16)"""

    lr: object = 0.1
    alpha: float = 0.9
    slots = ("v",)

    def update(self, theta: Any, dtheta: Any, lr: float, v: Any) -> None:
        step = self.scaled(dtheta, lr)
        v *= self.alpha
        v -= step
        theta += v


@dataclass
class Nesterov(Momentum):
    """v ← α v − lr dθ(θ + α v);  θ ← θ + v     (8.21, 8.22)

    Derivation: the vector that is kept is θ̄ = θ + α v, where the gradient is wanted. With v′ = α v − lr dθ(θ̄),
        θ̄′ = θ′ + α v′ = θ + v′ + α v′ = θ̄ − α v + v′ + α v′ = θ̄ + α v′ − lr dθ(θ̄)
    """

    def update(self, theta: Any, dtheta: Any, lr: float, v: Any) -> None:
        step = self.scaled(dtheta, lr)
        v *= self.alpha
        v -= step
        theta -= step
        theta += self.scaled(v, self.alpha)


@dataclass
class Adam(Optimizer):
    """Algorithm 8.7 (Kingma and Ba 2015), in one pass over θ by `minae.kernels.adam`, which has the formula.

    decay1, decay2: of the running averages of dθ and of dθ², the book's ρ₁ and ρ₂;  delta: the book's δ
    """

    decay1: float = 0.9
    decay2: float = 0.999
    delta: float = 1e-8
    slots = ("average", "square")
    weight_decay = 0.0

    def update(self, theta: Any, dtheta: Any, lr: float, average: Any, square: Any) -> None:
        settings = self.decay1, self.decay2, self.delta, self.weight_decay
        kernels.adam.update(theta, dtheta, average, square, self.t + 1, lr, *settings)


@dataclass
class AdamW(Adam):
    """Adam, and θ ← θ − lr · weight_decay · θ apart from the gradient.  (Loshchilov and Hutter 2019)"""

    weight_decay: float = 0.01


@door(limit=Positive())
def clipped(limit: float) -> Callable[[Any], None]:
    """A `gradient_hook` for fit: dθ ← dθ min(1, limit/‖dθ‖), which keeps the direction.     (10.48, 10.49)"""

    def hook(dtheta):
        xp = namespace(dtheta)
        norm = xp.sqrt(kernels.products.dot(dtheta, dtheta))  # on the device, which nobody waits for
        dtheta *= limit / xp.maximum(norm, limit)

    return hook


@dataclass
class LBFGS(Checked):
    """L-BFGS on all of X at once, by SciPy: an epoch is one iteration.     (8.6.3; Nocedal and Wright 2006)

    memory: number of curvature pairs;  tolerance: stops when the largest |∂J/∂θ_i| is below it.
    SciPy works in float64, so a float64 model gets the most out of it.
    """

    allowed = {"memory": Count(), "tolerance": Number(low=0)}
    memory: int = 20
    tolerance: float = 1e-8

    def minimize(
        self, cost_and_grad: Callable[..., Any], flat: Any, iterations: int, each: Callable[..., Any]
    ) -> np.ndarray:
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

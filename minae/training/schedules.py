"""Learning-rate schedules: t = 0, 1, 2, … (steps done so far) -> learning rate lr_t."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from minae.errors import InputError
from minae.options import Count, Number, Option, Positive


class Checked:
    """A dataclass whose fields pass the option that `allowed` has under their name."""

    allowed: ClassVar[dict[str, Any]] = {}

    def __post_init__(self):
        for field in fields(self):
            if field.name in self.allowed:
                option = self.allowed[field.name]
                option.name = field.name
                object.__setattr__(self, field.name, option.checked(getattr(self, field.name)))


class Rate(Option):
    """A learning rate: a number > 0, or a schedule of such."""

    def convert(self, value: Any) -> Any:
        Positive().convert(value(0) if callable(value) else value)
        return value

    def expected(self) -> str:
        return "a learning rate > 0, or a schedule of such"


@dataclass(frozen=True)
class Constant(Checked):
    """lr_t = lr"""

    allowed = {"lr": Positive()}
    lr: float

    def __call__(self, t: int) -> float:
        return self.lr


@dataclass(frozen=True)
class StepDecay(Checked):
    """lr_t = lr · factor^⌊t / every⌋"""

    allowed = {"lr": Positive(), "every": Count(), "factor": Positive()}
    lr: float
    every: int
    factor: float = 0.1

    def __call__(self, t: int) -> float:
        return self.lr * self.factor ** (t // self.every)


@dataclass(frozen=True)
class Cosine(Checked):
    """lr_t = floor + (lr − floor) · ½ (1 + cos π t/steps); floor from t = steps on.  (Loshchilov and Hutter 2017)"""

    allowed = {"lr": Positive(), "steps": Count(), "floor": Number(low=0)}
    lr: float
    steps: int
    floor: float = 0.0

    def __call__(self, t: int) -> float:
        return self.floor + (self.lr - self.floor) * 0.5 * (1 + math.cos(math.pi * min(t / self.steps, 1.0)))


@dataclass(frozen=True)
class WarmUp(Checked):
    """lr_t = (t + 1)/steps · schedule(t) during the first `steps` steps, then the schedule itself."""

    allowed = {"schedule": Rate(), "steps": Count()}
    schedule: object
    steps: int

    def __call__(self, t: int) -> float:
        return schedule(self.schedule)(t) * min((t + 1) / self.steps, 1.0)


def schedule(lr: Any) -> Callable[[int], float]:
    """A learning rate as a function of t: a schedule is one, a number is constant."""
    return lr if callable(lr) else Constant(lr)


def at(lr: Any, t: int) -> float:
    """The learning rate of step t. Raises InputError where a schedule has become negative, infinite or NaN."""
    rate = schedule(lr)(t)
    if not 0 <= rate < math.inf:
        raise InputError(f"lr is {rate!r} at step {t}, by {lr!r}: expected a number ≥ 0; correct the schedule")
    return rate

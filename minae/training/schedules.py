"""Learning-rate schedules: t = 0, 1, 2, … (steps done so far) -> learning rate lr_t."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Constant:
    """lr_t = lr"""

    lr: float

    def __call__(self, t):
        return self.lr


@dataclass(frozen=True)
class StepDecay:
    """lr_t = lr · factor^⌊t / every⌋"""

    lr: float
    every: int
    factor: float = 0.1

    def __call__(self, t):
        return self.lr * self.factor ** (t // self.every)


@dataclass(frozen=True)
class Cosine:
    """lr_t = floor + (lr − floor) · ½ (1 + cos π t/steps); floor from t = steps on.  (Loshchilov and Hutter 2017)"""

    lr: float
    steps: int
    floor: float = 0.0

    def __call__(self, t):
        return self.floor + (self.lr - self.floor) * 0.5 * (1 + math.cos(math.pi * min(t / self.steps, 1.0)))


@dataclass(frozen=True)
class WarmUp:
    """lr_t = (t + 1)/steps · schedule(t) during the first `steps` steps, then the schedule itself."""

    schedule: object
    steps: int

    def __call__(self, t):
        return schedule(self.schedule)(t) * min((t + 1) / self.steps, 1.0)


def schedule(lr):
    """A learning rate as a function of t: a schedule is one, a number is constant."""
    return lr if callable(lr) else Constant(lr)

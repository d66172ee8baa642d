"""Layers that change training and not the function that is used afterwards."""

from typing import Any

import numpy as np

from minae import kernels
from minae.errors import InputError
from minae.layers.base import EVAL, Layer
from minae.options import Number


class Dropout(Layer):
    r"""y = x ⊙ m / (1 − rate),  m ~ Bernoulli(1 − rate) in training;  y = x elsewhere.     (section 7.12)

    (Srivastava et al. 2014)

    The factor keeps the mean: E[m/(1 − rate)] = 1, so that nothing has to be rescaled when training is over.

    Derivation: m is drawn and held fixed, so y is linear in x, number by number.
        dx_bi = dy_bi m_bi / (1 − rate)

    name: of the layer, as in "f2"; its constant is "f2.mask";  m: width of x;  rate: the share that is dropped
    """

    rate = Number(low=0, high=1, doc="share of the units that are dropped")

    def __init__(self, name: str, m: int, rate: float):
        self.mask, self.m, self.rate = f"{name}.mask", m, type(self).rate.checked(rate)
        if self.rate == 1:
            raise InputError("rate is 1: dropout would leave nothing; expected a share in [0, 1)")
        self.laws = {self.mask: (1.0, self.rate / (1 - self.rate))}

    def constants(self, rng: np.random.Generator, B: int) -> dict[str, Any]:
        u = kernels.noise.uniform(rng, self.arena.empty(B, self.m))
        return {self.mask: self.ws.multiply(self.ws.greater_equal(u, self.rate), 1 / (1 - self.rate))}

    def forward(self, x: Any, mode: Any = EVAL) -> tuple[Any, Any]:
        mask = mode.constants[self.mask] if mode.train else None
        return (x if mask is None else self.ws.multiply(x, mask)), mask

    def backward(self, dy: Any, mask: Any, need_dx: bool = True, need_dW: bool = True) -> Any:
        return dy if mask is None else self.ws.multiply(dy, mask)

    def chain(self, Jy: Any, mask: Any) -> Any:
        """∂y/∂x = I: a Jacobian is that of the function that is used."""
        return Jy


class GradientReversal(Layer):
    """y = x, and upward dx = −weight · dy: what lies above is minimised by its own parameters, and maximised by those
    below.

    Derivation: no function has this derivative. It is the step of two players at once, where a player above minimises a
    cost that the one below, reached through this layer, raises (Ganin et al. 2016); differences of the cost show
    −1/weight of it.
        above: dW = ∂J/∂W,    below: dW = −weight ∂J/∂W
    """

    def __init__(self, weight: float = 1.0):
        self.weight = weight

    def forward(self, x: Any, mode: Any = EVAL) -> tuple[Any, Any]:
        return x, None

    def backward(self, dy: Any, cache: Any, need_dx: bool = True, need_dW: bool = True) -> Any:
        return self.ws.multiply(dy, -self.weight) if need_dx else None

    def chain(self, Jy: Any, cache: Any) -> Any:
        """∂y/∂x = I, of the function"""
        return Jy

"""One flat vector with ordered, named views, and its gradient parallel to it.

A checkpoint, a gradient check, an optimizer step and an all-reduce over ranks each touch one array.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from minae import kernels
from minae.arena import Arena
from minae.backend import namespace
from minae.errors import InputError


class Columns(tuple):
    """The shape of a matrix that lies column by column in the vector, for a layer that reads few columns at a time."""


class Parameters:
    """θ and ∂J/∂θ.

    shapes: name -> shape, or `Columns`, in the order in which they lie in the vector
    layers: layer -> names of its parameters, such as f1 -> (W1, b1); a parameter that two layers share belongs to the
            first

    `flat` is θ, `grad` is ∂J/∂θ, both (size,). `parameters["W1"]` is the view of one parameter, and
    `parameters.gradient("W1")` the accumulator of its gradient.
    """

    def __init__(self, shapes: Mapping[str, Any], arena: Arena, layers: dict[str, Any] | None = None):
        self.shapes, self.arena, self.layers = dict(shapes), arena, layers or {}
        size = sum(math.prod(shape) for shape in self.shapes.values())
        try:
            self.flat = arena.backend.xp.zeros(size, arena.dtype)
            self._grad = arena.backend.xp.zeros(size, arena.dtype)
        except (MemoryError, ValueError, OverflowError) as error:
            raise InputError(f"{size:,} parameters do not fit into memory: choose smaller sizes") from error
        self._views = self.views(self.flat)
        self._gradients = {name: Gradient(view, arena) for name, view in self.views(self._grad).items()}

    def __getitem__(self, name: str) -> Any:
        return self._views[name]

    def __iter__(self):
        return iter(self.shapes)

    def gradient(self, name: str) -> "Gradient":
        return self._gradients[name]

    def views(self, flat: Any) -> dict[str, Any]:
        """Cut any vector that lies parallel to θ (θ, its gradient, an optimizer's state) into named views."""
        views, start = {}, 0
        for name, shape in self.shapes.items():
            stop = start + math.prod(shape)
            part = flat[start:stop]
            views[name] = part.reshape(shape[::-1]).T if isinstance(shape, Columns) else part.reshape(shape)
            start = stop
        return views

    def slices(
        self, rates: Mapping[str, float] | None = None, only: Iterable[str] | None = None
    ) -> list[tuple[slice, float]]:
        """Contiguous slices of θ that share a learning-rate factor: [(slice, factor), …].

        rates: layer -> factor ≥ 0, by default 1; a layer whose factor is 0 is frozen and in no slice
        only:  names of parameters, or None for all of them
        """
        rates = rates or {}
        for layer in set(rates) - set(self.layers):
            raise InputError(f"rates names a layer {layer!r}: this model has {', '.join(self.layers)}")
        for layer, factor in rates.items():
            if not 0 <= factor < math.inf:
                raise InputError(f"rates has {factor} for layer {layer!r}: expected a factor ≥ 0, 0 to freeze it")
        owner = {name: layer for layer in reversed(self.layers) for name in self.layers[layer]}
        slices: list[tuple[slice, float]] = []
        start = 0
        for name, shape in self.shapes.items():
            stop = start + math.prod(shape)
            factor = float(rates.get(owner.get(name, ""), 1.0)) if only is None or name in only else 0.0
            if slices and slices[-1][1] == factor and slices[-1][0].stop == start:
                slices[-1] = slice(slices[-1][0].start, stop), factor
            elif factor:
                slices.append((slice(start, stop), factor))
            start = stop
        return slices

    def zero_grad(self) -> None:
        """∂J/∂θ = 0. Nothing is written: the first addition to each gradient will overwrite it."""
        for gradient in self._gradients.values():
            gradient.zero = True

    @property
    def grad(self) -> Any:
        """∂J/∂θ, (size,). A gradient that nothing was added to is zeros."""
        for gradient in self._gradients.values():
            gradient.settle()
        return self._grad


class Gradient:
    """∂J/∂W of one parameter: what is added to it is summed.

    Its first addition after `zero_grad` overwrites, which spares a training step both the zeroing and the adding of
    every weight matrix. `T` is the same accumulator for a layer that reads W as its transpose.
    """

    def __init__(self, array: Any, arena: Arena, base: Any = None):
        self._array, self._arena, self._base, self._zero = array, arena, base, True

    @property
    def zero(self) -> Any:
        return self._zero if self._base is None else self._base.zero

    @zero.setter
    def zero(self, value: Any) -> None:
        if self._base is None:
            self._zero = value
        else:
            self._base.zero = value

    @property
    def T(self) -> Any:
        return Gradient(self._array.T, self._arena, self)

    @property
    def array(self) -> Any:
        """The sum so far, as an array that may be added to in place."""
        self.settle()
        return self._array

    def settle(self) -> None:
        """Write the zeros of a gradient that nothing was added to."""
        if self.zero:
            self._array[...] = 0
            self.zero = False

    def add_product(self, A: Any, B: Any) -> None:
        """dW += A B"""
        if self._base is not None:
            self._base.add_product(B.T, A.T)  # (A B)ᵀ = Bᵀ Aᵀ, in the order in which W lies in memory
        elif self.zero:
            kernels.products.matmul(A, B, self._array)
            self.zero = False
        else:
            kernels.products.add_matmul(A, B, self._array, self._arena)

    def add(self, dW: Any) -> None:
        """dW += a part of it"""
        if self.zero:
            self._array[...] = dW
            self.zero = False
        else:
            self._array += dW

    def add_scaled(self, W: Any, factors: Any) -> None:
        """dW_ij += W_ij factors_j;  factors: a number, or (m,)"""
        if self.zero:
            namespace(W).multiply(W, factors, out=self._array)
            self.zero = False
        elif hasattr(factors, "shape"):
            kernels.contraction.add_scaled(self._array, W, factors)
        else:
            self._array += self._arena.ws.multiply(W, factors)

    def add_rows(self, da: Any) -> None:
        """db += Σ_rows da"""
        if self.zero:
            da.sum(axis=0, out=self._array)
            self.zero = False
        else:
            self._array += da.sum(axis=0, out=self._arena.empty(*self._array.shape))

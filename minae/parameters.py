"""One flat vector with ordered, named views, and its gradient parallel to it.

A checkpoint, a gradient check, an optimizer step and (later) an all-reduce each touch one array.
"""

import math

from minae.backend import add_matmul, matmul, namespace
from minae.errors import InputError


class Parameters:
    """θ and ∂J/∂θ.

    shapes: name -> shape, in the order in which they lie in the vector
    layers: layer -> names of its parameters, such as f1 -> (W1, b1); one that two layers share belongs to the first
    columns: names of matrices that lie in the vector column by column, for a layer that needs few columns at a time

    `flat` is θ, `grad` is ∂J/∂θ, both (size,). `parameters["W1"]` is the view of one parameter, and
    `parameters.gradient("W1")` the accumulator of its gradient.
    """

    def __init__(self, shapes, arena, layers=None, columns=()):
        self.shapes = {name: tuple(shape) for name, shape in shapes.items()}
        self.arena, self.layers, self.columns = arena, layers or {}, columns
        size = sum(math.prod(shape) for shape in self.shapes.values())
        try:
            self.flat = arena.backend.xp.zeros(size, arena.dtype)
            self._grad = arena.backend.xp.zeros(size, arena.dtype)
        except (MemoryError, ValueError, OverflowError) as error:
            raise InputError(f"{size:,} parameters do not fit into memory: choose smaller sizes") from error
        self._views = self.views(self.flat)
        self._gradients = {name: Gradient(view, arena) for name, view in self.views(self._grad).items()}

    def __getitem__(self, name):
        return self._views[name]

    def __iter__(self):
        return iter(self.shapes)

    def gradient(self, name):
        return self._gradients[name]

    def views(self, flat):
        """Cut any vector that lies parallel to θ (θ, its gradient, an optimizer's state) into named views."""
        views, start = {}, 0
        for name, shape in self.shapes.items():
            stop = start + math.prod(shape)
            part = flat[start:stop]
            views[name] = part.reshape(shape[::-1]).T if name in self.columns else part.reshape(shape)
            start = stop
        return views

    def parts(self, rates):
        """Stretches of the flat vector with one factor on their learning rate each: [(slice, factor), …]. The factor of
        a layer is rates[layer], else 1; a layer whose factor is 0 is frozen and in no stretch."""
        for layer in set(rates) - set(self.layers):
            raise InputError(f"rates names a layer {layer!r}: this model has {', '.join(self.layers)}")
        owner = {name: layer for layer in reversed(self.layers) for name in self.layers[layer]}
        parts, start = [], 0
        for name, shape in self.shapes.items():
            stop, factor = start + math.prod(shape), float(rates.get(owner.get(name), 1.0))
            if not 0 <= factor < math.inf:
                raise InputError(f"rates has {factor} for layer {owner[name]!r}: expected a factor ≥ 0, 0 to freeze it")
            if parts and parts[-1][1] == factor and parts[-1][0].stop == start:
                parts[-1] = slice(parts[-1][0].start, stop), factor
            elif factor:
                parts.append((slice(start, stop), factor))
            start = stop
        return parts

    def zero_grad(self):
        """∂J/∂θ = 0. Nothing is written: the first addition to each gradient will overwrite it."""
        for gradient in self._gradients.values():
            gradient.zero = True

    @property
    def grad(self):
        """∂J/∂θ, (size,)."""
        for gradient in self._gradients.values():
            gradient.array  # noqa: B018  (a gradient that nothing was added to becomes zeros here)
        return self._grad


class Gradient:
    """∂J/∂W of one parameter: what is added to it is summed.

    Its first addition after `zero_grad` overwrites, which spares a training step both the zeroing and the adding of
    every weight matrix.
    """

    def __init__(self, array, arena):
        self._array, self._arena, self.zero = array, arena, True

    @property
    def array(self):
        """The sum so far, as an array that may be added to in place."""
        if self.zero:
            self._array[...] = 0
            self.zero = False
        return self._array

    def add_product(self, A, B):
        """dW += A B"""
        if self.zero:
            matmul(A, B, self._array)
            self.zero = False
        else:
            add_matmul(A, B, self._array, self._arena)

    def add(self, dW):
        """dW += a part of it"""
        if self.zero:
            self._array[...] = dW
            self.zero = False
        else:
            self._array += dW

    def add_scaled(self, W, factors):
        """dW_ij += W_ij factors_j"""
        if self.zero:
            namespace(W).multiply(W, factors, out=self._array)
            self.zero = False
        else:
            from minae.kernels import contraction

            contraction.add_scaled(self._array, W, factors)

    def add_sum(self, da):
        """db += Σ_rows da"""
        if self.zero:
            da.sum(axis=0, out=self._array)
            self.zero = False
        else:
            self._array += da.sum(axis=0, out=self._arena.empty(*self._array.shape))

    @property
    def T(self):
        """The same accumulator seen as ∂J/∂Wᵀ: two layers that share W as W and Wᵀ add into one array."""
        return _TransposedGradient(self)


class _TransposedGradient:
    def __init__(self, base):
        self.base = base

    @property
    def array(self):
        return self.base.array.T

    def add_product(self, A, B):
        self.base.add_product(B.T, A.T)  # (A B)ᵀ = Bᵀ Aᵀ

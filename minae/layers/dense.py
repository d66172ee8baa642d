"""Affine maps, activations, and the two layers of sparse inference."""

import math
from typing import Any

import numpy as np

from minae import kernels
from minae.backend import namespace
from minae.errors import InputError
from minae.layers.base import EVAL, Layer
from minae.ops import ACTIVATIONS, OF_A, affine, affine_backward, phi, phi_backward, rows
from minae.parameters import Columns, Parameters


class Affine(Layer):
    """a = x W + b.     x (B, n), W (n, m), b (m,) -> a (B, m); derived in `ops.affine`

    x may have further axes before the last, as sequences (B, T, n) have: then each of their rows is an example.

    W, b:       names of the parameters; b may be None, for a = x W
    transposed: reads the parameter W, of shape (m, n), as its transpose: the decoder's V = Wᵀ, tied for real, since
                both layers read one array and both gradients are added into one
    gain:       2 for a layer that a ReLU or its likes follow: the variance of W is gain/n (He et al. 2015); else it is
                2/(n + m), which keeps the signal's size in both directions (Glorot and Bengio 2010)
    columns:    whether W lies column by column, for a code of which few units are on
    """

    reads_output = False

    def __init__(
        self,
        W: str,
        b: str | None,
        n: int,
        m: int,
        *,
        transposed: bool = False,
        gain: float | None = None,
        columns: bool = False,
    ):
        self.names, self.n, self.m = (W,) if b is None else (W, b), n, m
        self.shape, self.shape_out = (n,), (m,)
        self.transposed, self.gain, self.columns = transposed, gain, columns

    def shapes(self) -> dict[str, Any]:
        shape = (self.m, self.n) if self.transposed else (self.n, self.m)
        return {self.names[0]: Columns(shape) if self.columns else shape} | dict.fromkeys(self.names[1:], (self.m,))

    def bind(self, parameters: Parameters, state: dict[str, Any]) -> None:
        super().bind(parameters, state)
        self.W: Any
        self.dW: Any
        self.W, self.b = (*(parameters[name] for name in self.names), None)[:2]
        self.dW, self.db = (*(parameters.gradient(name) for name in self.names), None)[:2]
        if self.transposed:
            self.W, self.dW = self.W.T, self.dW.T

    def initialize(self, rng: np.random.Generator) -> None:
        """W uniform, b = 0. A tied layer leaves W to its owner."""
        if not self.transposed:
            variance = self.gain / self.n if self.gain else 2 / (self.n + self.m)
            limit = math.sqrt(3 * variance)
            height = max(1, (1 << 16) // self.m)  # a few rows at a time: what is freed here, the C library may hold
            for i in range(0, self.n, height):
                W = rng.uniform(-limit, limit, (min(height, self.n - i), self.m)).astype(self.arena.dtype)
                self.W[i : i + height] = self.arena.backend.from_numpy(W)
        if self.b is not None:
            self.b[...] = 0

    def forward(self, x: Any, mode: Any = EVAL) -> tuple[Any, Any]:
        if isinstance(x, rows.Sparse):
            return rows.affine(x, self.W, self.b, self.arena.empty(len(x), self.m)), x
        a = self.arena.empty(*x.shape[:-1], self.m)
        affine(_rows(x), self.W, self.b, _rows(a))
        return a, x

    def backward(self, da: Any, x: Any, need_dx: bool = True, need_dW: bool = True) -> Any:
        dW, db = (self.dW, self.db) if need_dW else (None, None)
        if isinstance(x, rows.Sparse):
            return rows.affine_backward(da, x, self.W, dW, db, self.arena, need_dx)
        if isinstance(da, rows.Sparse):
            return rows.affine_backward_sparse(da, x, self.W, dW, db, self.arena, need_dx)
        dx = self.arena.empty(*x.shape) if need_dx else None
        affine_backward(_rows(da), _rows(x), self.W, dW, db, _rows(dx) if need_dx else None, need_dx)
        return dx

    def chain(self, Ja: Any, x: Any) -> Any:
        """∂a/∂x = Wᵀ"""
        return namespace(Ja).matmul(Ja, self.W.T)


def _rows(x):
    """All axes but the last as one."""
    return x if x.ndim == 2 else x.reshape(-1, x.shape[-1])


class Activation(Layer):
    """h = φ(a), number by number; derived in `ops.phi_backward` and `minae.kernels.activations`.     name: of φ"""

    def __init__(self, name: str):
        if name not in ACTIVATIONS:
            raise InputError(f"unknown activation {name!r}: choose one of {', '.join(ACTIVATIONS)}")
        self.name = name

    def forward(self, a: Any, mode: Any = EVAL) -> tuple[Any, Any]:
        of_a = self.name in OF_A
        h = phi(a, self.name, out=a if self.may_overwrite and not of_a else self.arena.empty(*a.shape))
        return h, a if of_a else h

    def backward(self, dh: Any, h: Any, need_dx: bool = True, need_dW: bool = True) -> Any:
        if isinstance(dh, rows.Sparse):
            return rows.phi_backward(dh, h, self.name, self.arena)
        return dh if self.name == "identity" else phi_backward(dh, h, self.name, self.arena.empty(*h.shape))

    def chain(self, Jh: Any, h: Any) -> Any:
        """∂h/∂a = diag φ'(a)"""
        return Jh * kernels.activations.prime(h, self.name, self.arena.empty(*h.shape))[:, None, :]


class Gain(Layer):
    r"""h = G ⊙ x, a factor for each unit.     x (B, m), G (m,) -> h (B, m);  G: name of the parameter

    It lets tanh, confined to (−1, 1), propose codes of any size (Kavukcuoglu et al. 2008).

    Derivation: h_bj = G_j x_bj, and G_j stands in the row of every example.
        dG_j  = Σ_b ∂J/∂h_bj ∂h_bj/∂G_j = Σ_b dh_bj x_bj
        dx_bj = ∂J/∂h_bj ∂h_bj/∂x_bj    = dh_bj G_j
    """

    def __init__(self, G: str, m: int):
        self.names, self.m = (G,), m

    def shapes(self) -> dict[str, Any]:
        return {self.names[0]: (self.m,)}

    def bind(self, parameters: Parameters, state: dict[str, Any]) -> None:
        super().bind(parameters, state)
        self.G, self.dG = parameters[self.names[0]], parameters.gradient(self.names[0])

    def initialize(self, rng: np.random.Generator) -> None:
        self.G[...] = 1

    def forward(self, x: Any, mode: Any = EVAL) -> tuple[Any, Any]:
        return self.ws.multiply(x, self.G), x

    def backward(self, dh: Any, x: Any, need_dx: bool = True, need_dW: bool = True) -> Any:
        if need_dW:
            self.dG.add_rows(self.ws.multiply(dh, x))
        return self.ws.multiply(dh, self.G) if need_dx else None

    def chain(self, Jh: Any, x: Any) -> Any:
        """∂h/∂x = diag G"""
        return Jh * self.G


class Shrink(Layer):
    r"""h = shrink(a, κ) = sign(a) max(|a| − κ, 0), a threshold for each unit.     a (B, m), κ (m,) ≥ 0 -> h (B, m)

    A step of sparse inference ends with it, see `minae.inference`; derived in `minae.kernels.shrinkage`.
    kappa: name of the parameter
    """

    def __init__(self, kappa: str, m: int):
        self.names, self.m = (kappa,), m

    def shapes(self) -> dict[str, Any]:
        return {self.names[0]: (self.m,)}

    def bind(self, parameters: Parameters, state: dict[str, Any]) -> None:
        super().bind(parameters, state)
        self.kappa, self.dkappa = parameters[self.names[0]], parameters.gradient(self.names[0])

    def initialize(self, rng: np.random.Generator) -> None:
        self.kappa[...] = 0.1

    def forward(self, a: Any, mode: Any = EVAL) -> tuple[Any, Any]:
        h = kernels.shrinkage.shrink(a, self.kappa, out=self.arena.empty(*a.shape))
        return h, h

    def backward(self, dh: Any, h: Any, need_dx: bool = True, need_dW: bool = True) -> Any:
        dkappa = self.dkappa if need_dW else None
        da, work = self.arena.empty(*h.shape), self.arena.empty(*h.shape)
        return kernels.shrinkage.shrink_backward(dh, h, dkappa, out=da, work=work)

    def chain(self, Jh: Any, h: Any) -> Any:
        """∂h/∂a = diag [h ≠ 0]"""
        return Jh * abs(namespace(h).sign(h))[:, None, :]

r"""Affine maps of codes of which k of m units are on, at a cost in proportion to k.

A code (B, m) that is 0 outside of k units a row is held as `Sparse`: the columns of those units and their values. A
product with it needs k rows of the matrix, and the gradient of the matrix has k rows:

    a  = x V + c,  x sparse          a_b = c + Σ_{j∈Γ_b} x_bj V_j
    dV_j += Σ_b x_bj da_b            over the examples b that have unit j
    dx_bj = da_b · V_j               for j ∈ Γ_b; elsewhere x is 0 whatever V is, and nothing asks for its gradient

The same holds one layer below: where da is sparse, dW = xᵀ da has the columns of the units that are on.
"""

from dataclasses import dataclass
from typing import Any

from minae import kernels


@dataclass
class Sparse:
    """(B, m) numbers, of which row b has value[b] in the columns unit[b], and 0 elsewhere: two arrays (B, k)."""

    unit: Any
    value: Any

    def __len__(self) -> int:
        return len(self.unit)


def affine(x: Any, W: Any, b: Any, out: Any) -> Any:
    r"""a = x W + b for a sparse x.     W (m, n), b (n,) -> a (B, n), in `out`

    Derivation: this is `dense.affine` with the terms left out whose x_bj is 0.
        a_bi = b_i + Σ_{j∈Γ_b} x_bj W_ji
        dW_ji = Σ_{b: j∈Γ_b} x_bj da_bi,    dx_bj = Σ_i da_bi W_ji  for j ∈ Γ_b
    """
    out[...] = b
    kernels.rows.combine(x.unit, x.value, W, out)
    return out


def affine_backward(da: Any, x: Any, W: Any, dW: Any, db: Any, arena: Any, need_dx: bool = True) -> Any:
    """dW_j += Σ_b x_bj da_b;  db += Σ_rows da;  dx = da Wᵀ on the units of x"""
    if dW is not None:
        kernels.rows.scatter_add(x.unit, x.value, da, dW.array)
        db.add_rows(da)
    if not need_dx:
        return None
    dx = Sparse(x.unit, arena.empty(*x.unit.shape))
    kernels.rows.project(x.unit, da, W, dx.value)
    return dx


def affine_backward_sparse(da: Any, x: Any, W: Any, dW: Any, db: Any, arena: Any, need_dx: bool = True) -> Any:
    """`dense.affine_backward` for a sparse da: dWᵀ_j += Σ_b da_bj x_b;  db_j += Σ_b da_bj;  dx_b = Σ_j da_bj Wᵀ_j"""
    if dW is not None:
        ones = arena.empty(len(x), 1)
        ones[...] = 1
        kernels.rows.scatter_add(da.unit, da.value, x, dW.array.T)
        kernels.rows.scatter_add(da.unit, da.value, ones, db.array[:, None])
    if not need_dx:
        return None
    dx = arena.empty(*x.shape)
    dx[...] = 0
    kernels.rows.combine(da.unit, da.value, W.T, dx)
    return dx


def phi_backward(dh: Any, h: Any, name: Any, arena: Any) -> Any:
    """da = dh φ'(a) for a sparse dh: on its units alone.     h (B, m)"""
    h_on, da = arena.empty(*dh.unit.shape), arena.empty(*dh.unit.shape)
    kernels.rows.gather(dh.unit, h, h_on)
    return Sparse(dh.unit, kernels.activations.backward(dh.value, h_on, name, da))

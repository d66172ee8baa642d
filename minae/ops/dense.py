"""Affine maps."""

from typing import Any

from minae import kernels


def affine(x: Any, W: Any, b: Any, out: Any = None) -> Any:
    r"""a = x W + b, or without b x W.     x (B, n), W (n, m), b (m,) -> a (B, m)     (6.36)

    Derivation: row b of a is a_bj = Σ_i x_bi W_ij + b_j. The cost J depends on W, b and x through a alone, so the chain
    rule sums over every a_bj in which a number stands:
        ∂J/∂W_ij = Σ_b ∂J/∂a_bj x_bi,      that is  dW = xᵀ da
        ∂J/∂b_j  = Σ_b ∂J/∂a_bj,           that is  db = Σ_rows da
        ∂J/∂x_bi = Σ_j ∂J/∂a_bj W_ij,      that is  dx = da Wᵀ     (6.5.6)
    """
    return kernels.products.matmul(x, W, out, bias=b)


def affine_backward(da: Any, x: Any, W: Any, dW: Any, db: Any, out: Any = None, need_dx: bool = True) -> Any:
    """dW += xᵀ da;  db += Σ_rows da;  dx = da Wᵀ.     dW, db: accumulators, or None where they are not wanted"""
    if dW is not None:
        dW.add_product(x.T, da)
    if db is not None:
        db.add_rows(da)
    return kernels.products.matmul(da, W.T, out) if need_dx else None

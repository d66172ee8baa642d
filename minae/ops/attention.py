"""Scaled dot-product attention."""

import math
from typing import Any

from minae import kernels
from minae.backend import namespace


def attention(q: Any, k: Any, v: Any, mask: Any, out: Any, arena: Any) -> Any:
    r"""O = A V,  A = softmax(Q Kᵀ/√d + mask), row by row.     (Vaswani et al. 2017)

    q (B, heads, T, d), k and v (B, heads, T′, d) -> O (B, heads, T, d) in `out`, and A (B, heads, T, T′).
    mask (B or 1, T or 1, T′): −∞ where query i must not read key j, else 0. A large finite number would not do: scores
    that training makes larger still would be read again.

    Derivation: O_i = Σ_j A_ij V_j is a product, and S_ij = Q_i · K_j/√d another one:
        dV = Aᵀ dO,    dA = dO Vᵀ,    dQ = dS K/√d,    dK = dSᵀ Q/√d
    Between them, row i of A is a softmax, whose normaliser has every S_ij in it:
        ∂A_ij/∂S_ik = A_ij ([j = k] − A_ik)
        dS_ik = Σ_j dA_ij A_ij ([j = k] − A_ik) = A_ik (dA_ik − Σ_j dA_ij A_ij)
    Where the mask is −∞, A_ik = 0, and so is dS_ik, exactly. What reads A itself adds to dA.
    """
    matmul = namespace(q).matmul
    A = matmul(q, k.transpose(0, 1, 3, 2), out=arena.empty(*q.shape[:3], k.shape[2]))
    kernels.softmax.masked(A, mask, 1 / math.sqrt(q.shape[3]))
    return matmul(A, v, out=out), A


def attention_backward(
    do: Any, q: Any, k: Any, v: Any, A: Any, dq: Any, dk: Any, dv: Any, arena: Any, dA: Any = None
) -> None:
    """dV = Aᵀ dO;  dS = A ⊙ (dO Vᵀ − Σ_j dA_ij A_ij);  dQ = dS K/√d;  dK = dSᵀ Q/√d, written to dq, dk and dv. dA:
    what else reads A sends this, and it is added to dO Vᵀ"""
    matmul = namespace(q).matmul
    matmul(A.transpose(0, 1, 3, 2), do, out=dv)
    dS = matmul(do, v.transpose(0, 1, 3, 2), out=arena.empty(*A.shape))
    if dA is not None:
        dS += dA
    kernels.softmax.backward(dS, A, 1 / math.sqrt(q.shape[3]))
    matmul(dS, k, out=dq)
    matmul(dS.transpose(0, 1, 3, 2), q, out=dk)

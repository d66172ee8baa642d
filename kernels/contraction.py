r"""The contraction of one layer, from h = φ(a) alone, and the passes of its deep form that are no products.     (14.18)

    One layer, p = φ'(a), c_j = Σ_b p_bj², w_j = Σ_i W_ij²  =  ‖W_j‖²:
        Ω     = 1/B Σ_b Σ_j p_bj² w_j = 1/B Σ_j c_j w_j
        da_bj = 2 weight/B w_j φ'(a_bj) φ''(a_bj)
        dW_ij += 2 weight/B c_j W_ij
    And of the change from h to a near h′, with d = p − p′ in the place of p:
        da_bj = 2 weight/B w_j d_bj φ''(a_bj),    da′_bj = −2 weight/B w_j d_bj φ''(a′_bj)

    Deep, the top layer's A_L = diag(p):  C = diag(p) Wᵀ, (B, m, n), is ∂h/∂(its input). From dC = ∂J/∂C
        dp_bj = Σ_i dC_bji W_ij,    dWᵀ_ji += Σ_b p_bj dC_bji
    and below, A_l = C_l diag(p_l):  dp_bi = Σ_k dA_bki C_bki,    dC = dA diag(p_l), in the place of dA.

Arrays: h, p, da (B, m);  W (n, m);  C, dC, A, dA (B, K, n), with K = m where all of Jf is wanted. The plain forms make
a pass for each operation. On a GPU they serve, too: most of this is reductions.
"""

import numpy as np

from minae import kernels, ops
from minae.backend import namespace
from minae.kernels import team
from minae.kernels.slopes import KIND, slopes

ZERO = np.float32(0)


# ---- one layer


def norms(W, out):
    """w_j = ‖W_j‖², (m,)"""
    if kernels.form(W, out) == "cpu":
        cpu_norms(W, out)
        return out
    return (W * W).sum(axis=0, out=out)


def squares(h, activation, out):
    """c_j = Σ_b φ'(a_bj)², (m,)"""
    if kernels.form(h, out) == "cpu":
        cpu_squares(h, out, KIND[activation])
        return out
    p = _prime(h, activation)
    return (p * p).sum(axis=0, out=out)


def slope_gradient(h, activation, w, scale, out):
    """da = scale w_j φ'(a) φ''(a), in `out`."""
    if kernels.form(h, w, out) == "cpu":
        cpu_slope_gradient(h, w, h.dtype.type(scale), out, KIND[activation])
    else:
        namespace(h).multiply(_prime(h, activation) * ops.ACTIVATIONS[activation][2](h), scale * w, out=out)
    return out


def change_squares(h, h_near, activation, out):
    """c_j = Σ_b (φ'(a_bj) − φ'(a′_bj))², (m,)"""
    if kernels.form(h, h_near, out) == "cpu":
        cpu_change_squares(h, h_near, out, KIND[activation])
        return out
    d = _prime(h, activation) - _prime(h_near, activation)
    return (d * d).sum(axis=0, out=out)


def change_gradient(h, h_near, activation, w, scale, da, da_near):
    """da and da′, in those two."""
    if kernels.form(h, h_near, w, da, da_near) == "cpu":
        cpu_change_gradient(h, h_near, w, h.dtype.type(scale), da, da_near, KIND[activation])
        return
    xp, second = namespace(h), ops.ACTIVATIONS[activation][2]
    d = (_prime(h, activation) - _prime(h_near, activation)) * (scale * w)
    xp.multiply(d, second(h), out=da)
    xp.multiply(-d, second(h_near), out=da_near)


def add_scaled(dW, W, row):
    """dW_ij += row_j W_ij, in place."""
    if kernels.form(dW, W, row) == "cpu":
        cpu_add_scaled(dW, W, row)
    else:
        dW += W * row


def _prime(h, activation):
    return namespace(h).ones_like(h) if activation == "identity" else ops.ACTIVATIONS[activation][1](1.0, h)


# ---- deep


def top_backward(dC, p, WT, dp, dWT):
    """dp, (B, m), is written, and so is what is returned: this layer's part of dWᵀ, (m, n)."""
    if kernels.form(dC, p, WT, dp, dWT) == "cpu":
        cpu_top_backward(dC, p, WT, dp, dWT)
        return dWT
    (dC * WT).sum(axis=2, out=dp)
    return (dC * p[:, :, None]).sum(axis=0, out=dWT)


def chain_backward(dA, C, p, dp):
    """dp, (B, n), is written, and dA becomes dC."""
    if kernels.form(dA, C, p, dp) == "cpu":
        cpu_chain_backward(dA, C, p, dp)
        return
    (dA * C).sum(axis=1, out=dp)
    dA *= p[:, None, :]


# ---- the CPU's loops; a sum runs down the rows, so that its neighbours are summed side by side


by_row = team.shared(error_model="numpy", fastmath={"contract"})
by_column = team.shared(axis=1, align=16, error_model="numpy", fastmath={"contract"})


@by_column
def cpu_norms(start, stop, W, out):
    out[start:stop] = ZERO
    for i in range(W.shape[0]):
        for j in range(start, stop):
            out[j] += W[i, j] * W[i, j]


@by_column
def cpu_squares(start, stop, h, out, kind):
    out[start:stop] = ZERO
    for b in range(h.shape[0]):
        for j in range(start, stop):
            p = slopes(kind, h[b, j])[0]
            out[j] += p * p


@by_row
def cpu_slope_gradient(start, stop, h, w, scale, out, kind):
    for b in range(start, stop):
        for j in range(h.shape[1]):
            p, second = slopes(kind, h[b, j])
            out[b, j] = scale * w[j] * p * second


@by_column
def cpu_change_squares(start, stop, h, h_near, out, kind):
    out[start:stop] = ZERO
    for b in range(h.shape[0]):
        for j in range(start, stop):
            d = slopes(kind, h[b, j])[0] - slopes(kind, h_near[b, j])[0]
            out[j] += d * d


@by_row
def cpu_change_gradient(start, stop, h, h_near, w, scale, da, da_near, kind):
    for b in range(start, stop):
        for j in range(h.shape[1]):
            p, second = slopes(kind, h[b, j])
            p_near, second_near = slopes(kind, h_near[b, j])
            d = scale * w[j] * (p - p_near)
            da[b, j] = d * second
            da_near[b, j] = -d * second_near


@by_row
def cpu_add_scaled(start, stop, dW, W, row):
    for i in range(start, stop):
        for j in range(W.shape[1]):
            dW[i, j] += row[j] * W[i, j]


@team.shared(axis=1, error_model="numpy", fastmath={"contract", "reassoc"})
def cpu_top_backward(start, stop, dC, p, WT, dp, dWT):
    dWT[start:stop] = ZERO
    for b in range(dC.shape[0]):
        for j in range(start, stop):
            total, p_bj = ZERO * p[b, j], p[b, j]
            for i in range(dC.shape[2]):
                total += dC[b, j, i] * WT[j, i]
                dWT[j, i] += p_bj * dC[b, j, i]
            dp[b, j] = total


@by_row
def cpu_chain_backward(start, stop, dA, C, p, dp):
    dp[start:stop] = ZERO
    for b in range(start, stop):
        for k in range(dA.shape[1]):
            for i in range(dA.shape[2]):
                dp[b, i] += dA[b, k, i] * C[b, k, i]
                dA[b, k, i] *= p[b, i]

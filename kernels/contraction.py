r"""The contraction ‖Jf‖² of one layer, from h = φ(a) alone, and passes of its deep form.     (14.18)

    One layer, p = φ'(a), c_j = Σ_b p_bj², w_j = Σ_i W_ij²  =  ‖W_j‖²:
        Ω     = 1/B Σ_b Σ_j p_bj² w_j = 1/B Σ_j c_j w_j
        da_bj = 2 weight/B w_j φ'(a_bj) φ''(a_bj)
        dW_ij += 2 weight/B c_j W_ij
    The same for the change of the Jacobian from h to a near h′, with d = p − p′ in the place of p:
        da_bj = 2 weight/B w_j d_bj φ''(a_bj),    da′_bj = −2 weight/B w_j d_bj φ''(a′_bj)

    Deep, the top layer's A_L = diag(p):  C = diag(p) Wᵀ, (B, m, n), is ∂h/∂(its input). From dC = ∂J/∂C
        dp_bj = Σ_i dC_bji W_ij,    dWᵀ_ji += Σ_b p_bj dC_bji
    and below, A_l = C_l diag(p_l):  dp_bi = Σ_k dA_bki C_bki,    dC = dA diag(p_l), in the place of dA.

Derivation:
One layer is h = φ(x W + b), so an element of its Jacobian is a slope times a weight:
    ∂h_bj/∂x_bi = φ'(a_bj) W_ij = p_bj W_ij
The squared Frobenius norm separates, because the slope does not depend on i:
    Ω = 1/B Σ_b Σ_j Σ_i p_bj² W_ij² = 1/B Σ_b Σ_j p_bj² w_j
W enters twice. With a held fixed it enters through w_j, and ∂w_j/∂W_ij = 2 W_ij:
    ∂Ω/∂W_ij = 1/B Σ_b p_bj² 2 W_ij = 2/B c_j W_ij
and it enters through a, as b does. There ∂p_bj/∂a_bj = φ''(a_bj), and layers below a see the gradient by a alone:
    ∂Ω/∂a_bj = 1/B w_j 2 p_bj φ''(a_bj)
For the change, d_bj = φ'(a_bj) − φ'(a′_bj) has the slope φ''(a_bj) by a and −φ''(a′_bj) by a′.
In the deep form C_bji = p_bj W_ij is a product of two factors, and each gets the gradient times the other:
    dp_bj = Σ_i dC_bji ∂C_bji/∂p_bj = Σ_i dC_bji W_ij,    ∂J/∂W_ij = Σ_b dC_bji p_bj
and so is A_bki = C_bki p_bi:
    dp_bi = Σ_k dA_bki C_bki,    dC_bki = dA_bki p_bi

Arrays: h, p, da (B, m);  W (n, m);  C, dC, A, dA (B, K, n), with K = m where all of Jf is wanted. The plain forms make
a pass for each operation.
"""

import numpy as np

from minae import kernels
from minae.backend import namespace
from minae.kernels import activations, pool
from minae.kernels.activations import KIND
from minae.kernels.activations import slopes as phi_slopes
from minae.kernels.reduce import COLUMNS, THREADS, Device, Launch, cuda, tiles, tree

slopes = activations.slopes.scalar  # φ'(a) and φ''(a) of one component
ZERO = np.float32(0)


# ---- one layer


def norms(W, out):
    """w_j = ‖W_j‖², (m,)"""
    path = kernels.path(W, out)
    if path == "plain":
        return (W * W).sum(axis=0, out=out)
    if path == "cpu":
        cpu_norms(W, out)
    else:
        cuda_norms(tiles(W.shape[1]), [W, out])
    return out


def squares(h, activation, out):
    """c_j = Σ_b φ'(a_bj)², (m,)"""
    path = kernels.path(h, out)
    if path == "plain":
        p = _prime(h, activation)
        return (p * p).sum(axis=0, out=out)
    if path == "cpu":
        cpu_squares(h, out, KIND[activation])
    else:
        cuda_squares(tiles(h.shape[1]), [h, out], KIND[activation])
    return out


def slope_gradient(h, activation, w, scale, out):
    """da = scale w_j φ'(a) φ''(a), in `out`."""
    path = kernels.path(h, w, out)
    if path == "plain":
        namespace(h).multiply(_prime(h, activation) * _second(h, activation), scale * w, out=out)
    elif path == "cpu":
        cpu_slope_gradient(h, w, h.dtype.type(scale), out, KIND[activation])
    else:
        cuda_slope_gradient.each([h, w, out], h.dtype.type(scale), KIND[activation])
    return out


def change_squares(h, h_near, activation, out):
    """c_j = Σ_b (φ'(a_bj) − φ'(a′_bj))², (m,)"""
    path = kernels.path(h, h_near, out)
    if path == "plain":
        d = _prime(h, activation) - _prime(h_near, activation)
        return (d * d).sum(axis=0, out=out)
    if path == "cpu":
        cpu_change_squares(h, h_near, out, KIND[activation])
    else:
        cuda_change_squares(tiles(h.shape[1]), [h, h_near, out], KIND[activation])
    return out


def change_gradient(h, h_near, activation, w, scale, da, da_near):
    """da = scale w_j d φ''(a)  and  da′ = −scale w_j d φ''(a′), in those two arrays."""
    path = kernels.path(h, h_near, w, da, da_near)
    if path == "plain":
        xp = namespace(h)
        d = (_prime(h, activation) - _prime(h_near, activation)) * (scale * w)
        xp.multiply(d, _second(h, activation), out=da)
        xp.multiply(-d, _second(h_near, activation), out=da_near)
    elif path == "cpu":
        cpu_change_gradient(h, h_near, w, h.dtype.type(scale), da, da_near, KIND[activation])
    else:
        cuda_change_gradient.each([h, h_near, w, da, da_near], h.dtype.type(scale), KIND[activation])


def add_scaled(dW, W, row):
    """dW_ij += row_j W_ij, in place."""
    path = kernels.path(dW, W, row)
    if path == "plain":
        dW += W * row
    elif path == "cpu":
        cpu_add_scaled(dW, W, row)
    else:
        cuda_add_scaled.each([dW, W, row])


def _prime(h, activation):
    return activations.prime(h, activation, namespace(h).empty_like(h))


def _second(h, activation):
    return activations.second(h, activation, namespace(h).empty_like(h))


# ---- deep


def top_backward(dC, p, WT, dp, dWT):
    """Write dp, (B, m), and write and return this layer's part of dWᵀ, (m, n)."""
    path = kernels.path(dC, p, WT, dp, dWT)
    if path == "plain":
        (dC * WT).sum(axis=2, out=dp)
        return (dC * p[:, :, None]).sum(axis=0, out=dWT)
    if path == "cpu":
        cpu_top_backward(dC, p, WT, dp, dWT)
    else:
        cuda_top_rows(dp.size, [dC, WT, dp])
        cuda_top_columns(len(WT) * tiles(WT.shape[1]), [dC, p, dWT])
    return dWT


def chain_backward(dA, C, p, dp):
    """Write dp, (B, n), and turn dA into dC."""
    path = kernels.path(dA, C, p, dp)
    if path == "plain":
        (dA * C).sum(axis=1, out=dp)
        dA *= p[:, None, :]
    elif path == "cpu":
        cpu_chain_backward(dA, C, p, dp)
    else:
        cuda_chain_backward(len(dA) * tiles(p.shape[1]), [dA, C, p, dp])


# ---- the CPU's loops: a sum over the rows adds whole rows, so that neighbouring columns are summed side by side


by_row = pool.parallel(error_model="numpy", fastmath={"contract"})
by_column = pool.parallel(axis=1, align=16, error_model="numpy", fastmath={"contract"})


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
            p = slopes(h[b, j], kind)[0]
            out[j] += p * p


@by_row
def cpu_slope_gradient(start, stop, h, w, scale, out, kind):
    for b in range(start, stop):
        for j in range(h.shape[1]):
            p, second = slopes(h[b, j], kind)
            out[b, j] = scale * w[j] * p * second


@by_column
def cpu_change_squares(start, stop, h, h_near, out, kind):
    out[start:stop] = ZERO
    for b in range(h.shape[0]):
        for j in range(start, stop):
            d = slopes(h[b, j], kind)[0] - slopes(h_near[b, j], kind)[0]
            out[j] += d * d


@by_row
def cpu_change_gradient(start, stop, h, h_near, w, scale, da, da_near, kind):
    for b in range(start, stop):
        for j in range(h.shape[1]):
            p, second = slopes(h[b, j], kind)
            p_near, second_near = slopes(h_near[b, j], kind)
            d = scale * w[j] * (p - p_near)
            da[b, j] = d * second
            da_near[b, j] = -d * second_near


@by_row
def cpu_add_scaled(start, stop, dW, W, row):
    for i in range(start, stop):
        for j in range(W.shape[1]):
            dW[i, j] += row[j] * W[i, j]


@pool.parallel(axis=1, error_model="numpy", fastmath={"contract", "reassoc"})
def cpu_top_backward(start, stop, dC, p, WT, dp, dWT):
    dWT[start:stop] = ZERO
    for b in range(dC.shape[0]):
        for j in range(start, stop):
            p_bj = p[b, j]
            total = ZERO * p_bj
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


# ---- CUDA: where the columns are summed, a block has 8 of them, see reduce.py; else a thread has a component, and its
# column is its number modulo m


@Device
def place():
    """The column of this thread, and the first of its rows."""
    return cuda.blockIdx.x * COLUMNS + cuda.threadIdx.x % COLUMNS, cuda.threadIdx.x // COLUMNS


@Device
def write_sum(total, j, shared, out):
    """out_j = the sum of the block's totals of column j: all wait for the tree, and the first 8 threads write."""
    shared[cuda.threadIdx.x] = total
    tree(shared, COLUMNS)
    if cuda.threadIdx.x < COLUMNS and j < out.size:
        out[j] = shared[cuda.threadIdx.x]


@Launch
def cuda_norms(W, out):
    """w_j: reads W once, and writes m numbers."""
    j, first = place()
    total = W.dtype.type(0)
    if j < W.shape[1]:
        for i in range(first, W.shape[0], cuda.blockDim.x // COLUMNS):
            total += W[i, j] * W[i, j]
    write_sum(total, j, cuda.shared.array(THREADS, W.dtype), out)


@Launch
def cuda_squares(h, out, kind):
    """c_j: reads h once. φ' lives in a register, and is never written."""
    j, first = place()
    total = h.dtype.type(0)
    if j < h.shape[1]:
        for b in range(first, h.shape[0], cuda.blockDim.x // COLUMNS):
            p = phi_slopes(h[b, j], kind)[0]
            total += p * p
    write_sum(total, j, cuda.shared.array(THREADS, h.dtype), out)


@Launch
def cuda_change_squares(h, h_near, out, kind):
    j, first = place()
    total = h.dtype.type(0)
    if j < h.shape[1]:
        for b in range(first, h.shape[0], cuda.blockDim.x // COLUMNS):
            d = phi_slopes(h[b, j], kind)[0] - phi_slopes(h_near[b, j], kind)[0]
            total += d * d
    write_sum(total, j, cuda.shared.array(THREADS, h.dtype), out)


@Launch
def cuda_slope_gradient(h, w, out, scale, kind):
    """Reads h, writes da; nobody waits for anybody. The m numbers of w stay in the cache."""
    i = cuda.grid(1)
    if i < h.size:
        b, j = i // h.shape[1], i % h.shape[1]
        p, second = phi_slopes(h[b, j], kind)
        out[b, j] = scale * w[j] * p * second


@Launch
def cuda_change_gradient(h, h_near, w, da, da_near, scale, kind):
    i = cuda.grid(1)
    if i < h.size:
        b, j = i // h.shape[1], i % h.shape[1]
        p, second = phi_slopes(h[b, j], kind)
        p_near, second_near = phi_slopes(h_near[b, j], kind)
        d = scale * w[j] * (p - p_near)
        da[b, j] = d * second
        da_near[b, j] = -d * second_near


@Launch
def cuda_add_scaled(dW, W, row):
    i = cuda.grid(1)
    if i < W.size:
        dW[i // W.shape[1], i % W.shape[1]] += row[i % W.shape[1]] * W[i // W.shape[1], i % W.shape[1]]


@Launch
def cuda_top_rows(dC, WT, dp):
    """dp_bj = Σ_i dC_bji WT_ji: a block has one b and j, and reads one row of each. One pass over dC."""
    b, j = cuda.blockIdx.x // dC.shape[1], cuda.blockIdx.x % dC.shape[1]
    shared, total = cuda.shared.array(THREADS, dC.dtype), dC.dtype.type(0)
    for i in range(cuda.threadIdx.x, dC.shape[2], cuda.blockDim.x):
        total += dC[b, j, i] * WT[j, i]
    shared[cuda.threadIdx.x] = total
    tree(shared, 1)
    if cuda.threadIdx.x == 0:
        dp[b, j] = shared[0]


@Launch
def cuda_top_columns(dC, p, dWT):
    """dWᵀ_ji = Σ_b p_bj dC_bji: a block has one j and 8 columns i. This is a second pass over dC: a sum over i and
    a sum over b in one pass would leave a block for each j, too few to occupy a GPU."""
    of_row = (dC.shape[2] + COLUMNS - 1) // COLUMNS
    j, i = cuda.blockIdx.x // of_row, cuda.blockIdx.x % of_row * COLUMNS + cuda.threadIdx.x % COLUMNS
    total = dC.dtype.type(0)
    if i < dC.shape[2]:
        for b in range(cuda.threadIdx.x // COLUMNS, dC.shape[0], cuda.blockDim.x // COLUMNS):
            total += p[b, j] * dC[b, j, i]
    write_sum(total, i, cuda.shared.array(THREADS, dC.dtype), dWT[j])


@Launch
def cuda_chain_backward(dA, C, p, dp):
    """A block has one example b and 8 columns i: it reads dA and C once, and writes dC over what it has read."""
    of_row = (dA.shape[2] + COLUMNS - 1) // COLUMNS
    b, i = cuda.blockIdx.x // of_row, cuda.blockIdx.x % of_row * COLUMNS + cuda.threadIdx.x % COLUMNS
    total = dA.dtype.type(0)
    if i < dA.shape[2]:
        for k in range(cuda.threadIdx.x // COLUMNS, dA.shape[1], cuda.blockDim.x // COLUMNS):
            total += dA[b, k, i] * C[b, k, i]
            dA[b, k, i] *= p[b, i]
    write_sum(total, i, cuda.shared.array(THREADS, dA.dtype), dp[b])

"""Sequences: the lookup of an embedding, and the two recurrent cells.

The functions have the time first: x (T, B, n), so that a step's rows lie together. `live` is a list of T arrays (B, m),
1 where the sequence of a row has this step and 0 where it is padded: there the state is carried on as it is, and the
gradient of the step's logits is exactly 0.
"""

from typing import Any

from minae import kernels
from minae.ops.dense import affine


def embed(tokens: Any, E: Any, arena: Any) -> Any:
    r"""y_bt = E_{tokens_bt}, rows of a matrix by their index.     tokens int32 (B, T), E (vocabulary, n) -> (B, T, n)

    Derivation: with the choice written as [tokens_bt = i], which depends on no number, y is linear in E. Two places
    that name one row are added up, which is why an assignment dE[tokens] = … would be wrong.
        y_btj = Σ_i [tokens_bt = i] E_ij,    dE_ij = Σ_bt [tokens_bt = i] dy_btj
    It is `minae.kernels.rows.combine` with one row of value 1 for each place, and `scatter_add` is its backward.
    """
    y = arena.empty(tokens.size, E.shape[1])
    y[...] = 0
    kernels.rows.combine(tokens.reshape(-1, 1), _ones(arena, tokens.size, 1), E, y)
    return y.reshape(*tokens.shape, -1)


def embed_backward(dy: Any, tokens: Any, dE: Any, arena: Any) -> None:
    """dE_i += Σ dy_bt over the places whose token is i"""
    dy = dy.reshape(tokens.size, -1)
    kernels.rows.scatter_add(tokens.reshape(-1, 1), _ones(arena, tokens.size, 1), dy, dE.array)


def gru(x: Any, h: Any, live: Any, W: Any, U: Any, b: Any, u: Any, arena: Any) -> Any:
    r"""The gated recurrent unit whose reset gate acts on the recurrent product, its bias included.     (10.10.2)

        a = x_t W + b,   g = h_{t−1} U + u              each (B, 3m): the slices of r, z, n, in this order
        r = σ(a_r + g_r),   z = σ(a_z + g_z),   n = tanh(a_n + r g_n)
        h_t = (1 − z) n + z h_{t−1}                     -> all h_0 … h_T (T + 1, B, m), gates (T, B, 3m), g (T, B, 3m)

    These are the gates and the biases of PyTorch and cuDNN. In the paper (Cho et al. 2014), r acts on h before the
    product with U: that is another model, as is one bias in place of b and u, since r multiplies u_n and not b_n.

    Derivation: let dh be ∂J/∂h_t, what step t + 1 sends back included. Index by index, h_tj depends on the gates of its
    own unit j alone, and the chain rule through n, σ' = σ (1 − σ) and tanh' = 1 − tanh² gives
        da_n = dh (1 − z) (1 − n²),    da_z = dh (h_{t−1} − n) z (1 − z)
        da_r = da_n g_n r (1 − r),     because ∂(a_n + r g_n)/∂r = g_n
    The logits g enter beside a, but for n, where r multiplies g_n:
        dg_r = da_r,    dg_z = da_z,    dg_n = da_n r
    h_{t−1} reaches J by two ways: by z, and by all g_k = Σ_i h_{t−1,i} U_ik + u_k, so back-propagation through time is
        ∂J/∂h_{t−1,i} = dh_i z_i + Σ_k dg_k U_ik     (10.2.2)
    The parameters are the same at all steps, so their gradients are sums over t, each of them one product:
        dW = Σ_t x_tᵀ da_t,    dU = Σ_t h_{t−1}ᵀ dg_t,    db = Σ_t Σ_rows da_t,    du = Σ_t Σ_rows dg_t
    """
    (T, B, _), m = x.shape, len(U)
    gates, g, hs = _input(x, W, b, arena), arena.empty(T, B, 3 * m), _states(h, T, B, m, arena)
    for t in range(T):
        affine(hs[t], U, u, g[t])
        kernels.gates.gru(hs[t], live[t], gates[t], g[t], hs[t + 1])
    return hs, gates, g


def gru_backward(
    dy: Any,
    x: Any,
    live: Any,
    cache: Any,
    W: Any,
    U: Any,
    dW: Any,
    dU: Any,
    db: Any,
    du: Any,
    arena: Any,
    need_dx: bool = True,
) -> Any:
    """dx (T, B, n) and ∂J/∂h_0, see `gru`; adds to the accumulators, or leaves them where dW is None."""
    hs, gates, g = cache
    (T, B, m), dh = dy.shape, arena.empty(*hs.shape[1:])
    da, dg = arena.empty(T, B, 3 * m), arena.empty(T, B, 3 * m)
    dh[...] = 0
    for t in reversed(range(T)):
        kernels.gates.gru_backward(dh, dy[t], live[t], hs[t], gates[t], g[t], da[t], dg[t])
        kernels.products.add_matmul(dg[t], U.T, dh, arena)
    if dW is not None:
        du.add_rows(dg.reshape(T * B, -1))
    return _of_all_steps(x, hs, da, dg, W, dW, dU, db, arena, need_dx), dh


def lstm(x: Any, first: Any, live: Any, W: Any, U: Any, b: Any, arena: Any) -> Any:
    r"""Long short-term memory.     (Hochreiter and Schmidhuber 1997; 10.10)

        a = x_t W + h_{t−1} U + b                       (B, 4m): the slices of i, f, g, o, in this order
        i = σ(a_i),  f = σ(a_f),  g = tanh(a_g),  o = σ(a_o)
        c_t = f c_{t−1} + i g,    h_t = o tanh(c_t)     -> all h and c (T + 1, B, m), gates (T, B, 4m), tanh(c)

    `first` is (h_0, c_0), or None. PyTorch has the same gates in the same order, and two biases that are only added.

    Derivation: c_t reaches J by h_t and by c_{t+1}. With dh and dc what comes from above and from step t + 1,
        dc_t = dc + dh o (1 − tanh² c_t),    da_o = dh tanh(c_t) o (1 − o)
        da_i = dc_t g i (1 − i),    da_f = dc_t c_{t−1} f (1 − f),    da_g = dc_t i (1 − g²)
    Then c_{t−1} gets dc_t f, a factor and no product with a matrix, so it fades only as fast as f says. h_{t−1} gets
        ∂J/∂h_{t−1,i} = Σ_k da_k U_ik     (10.2.2)
    """
    (T, B, _), m = x.shape, len(U)
    gates, tanh_c = _input(x, W, b, arena), arena.empty(T, B, m)
    hs, cs = (_states(state, T, B, m, arena) for state in first or (None, None))
    for t in range(T):
        kernels.products.add_matmul(hs[t], U, gates[t], arena)
        kernels.gates.lstm(hs[t], cs[t], live[t], gates[t], tanh_c[t], cs[t + 1], hs[t + 1])
    return hs, cs, gates, tanh_c


def lstm_backward(
    dy: Any,
    x: Any,
    live: Any,
    cache: Any,
    W: Any,
    U: Any,
    dW: Any,
    dU: Any,
    db: Any,
    arena: Any,
    need_dx: bool = True,
) -> Any:
    """dx (T, B, n) and (∂J/∂h_0, ∂J/∂c_0), see `lstm`; adds to the accumulators, or leaves them where dW is None."""
    hs, cs, gates, tanh_c = cache
    (T, B, m), dh, dc = dy.shape, arena.empty(*hs.shape[1:]), arena.empty(*hs.shape[1:])
    da = arena.empty(T, B, 4 * m)
    dh[...] = 0
    dc[...] = 0
    for t in reversed(range(T)):
        kernels.gates.lstm_backward(dh, dc, dy[t], live[t], cs[t], tanh_c[t], gates[t], da[t])
        kernels.products.add_matmul(da[t], U.T, dh, arena)
    return _of_all_steps(x, hs, da, da, W, dW, dU, db, arena, need_dx), (dh, dc)


def _ones(arena, *shape):
    ones = arena.empty(*shape)
    ones[...] = 1
    return ones


def _input(x, W, b, arena):
    """x_t W + b of all steps, one product."""
    T, B, n = x.shape
    return affine(x.reshape(T * B, n), W, b, arena.empty(T * B, len(b))).reshape(T, B, -1)


def _states(first, T, B, m, arena):
    states = arena.empty(T + 1, B, m)
    states[0] = 0 if first is None else first
    return states


def _of_all_steps(x, hs, da, dg, W, dW, dU, db, arena, need_dx):
    """The gradients whose sum over the steps is one product."""
    T, B, n = x.shape
    da = da.reshape(T * B, -1)
    if dW is not None:
        dW.add_product(x.reshape(T * B, n).T, da)
        dU.add_product(hs[:-1].reshape(T * B, -1).T, dg.reshape(T * B, -1))
        db.add_rows(da)
    return kernels.products.matmul(da, W.T, arena.empty(T * B, n)).reshape(x.shape) if need_dx else None

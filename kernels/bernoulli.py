r"""The Bernoulli loss on logits and its gradient, which share their exponential, in one pass.     (6.2.2.2)

    e = e^−|s|
    L  = 1/B Σ softplus(s) − x s,     softplus(s) = max(0, s) + log(1 + e)      (3.31)
    ds = weight/B (σ(s) − x),         σ(s) = (1 or e, by the sign of s) / (1 + e)

The plain form below walks over memory fourteen times.
"""

import numba
import numpy as np

from minae import kernels
from minae.backend import namespace
from minae.kernels.exponential import exp, log1p

ONE, ZERO = np.float32(1), np.float32(0)


def loss(s, x, ds, weight):
    """L, with ds written; all arrays (B, n)."""
    if kernels.form(s, x, ds) == "cpu":
        return cpu(s, x, ds, s.dtype.type(weight / len(s)))
    return plain(s, x, ds, weight)


def plain(s, x, ds, weight):
    """The reference: with t = tanh(s/2), σ(s) = ½ + ½ t and softplus(s) = max(0, s) − log(½ + ½ |t|)."""
    xp, B = namespace(s), s.shape[0]
    xp.multiply(s, 0.5, out=ds)
    t = xp.tanh(ds, out=ds)
    work = xp.abs(t)
    work *= 0.5
    work += 0.5
    xp.log(work, out=work)
    L = -work.sum() - xp.vdot(x, s)
    L += xp.maximum(s, 0.0, out=work).sum()
    t *= 0.5
    t += 0.5  # σ(s)
    t -= x
    t *= weight / B
    return L / B


@numba.njit(inline="always")
def body(s, x):
    """softplus(s) − x s  and  σ(s) − x  of one component."""
    e = exp(-abs(s))
    return max(s, ZERO) + log1p(e) - x * s, (ONE if s >= ZERO else e) / (ONE + e) - x


@kernels.cached(error_model="numpy", fastmath={"contract", "reassoc"})
def cpu(s, x, ds, scale):
    L = 0.0
    for b in range(s.shape[0]):  # float32 within a row, float64 over the rows
        row = ZERO
        for i in range(s.shape[1]):
            L_bi, ds_bi = body(s[b, i], x[b, i])
            row += L_bi
            ds[b, i] = ds_bi * scale
        L += row
    return L / s.shape[0]

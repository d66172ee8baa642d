r"""Shrinkage, and what a step of ISTA or FISTA does beside its product y S, in one pass.     (section 14.8)

    shrink(a, θ) = sign(a) max(|a| − θ, 0) = a − min(max(a, −θ), θ)

    h′  = shrink(y S + q, θ)
    t   = 1 where (y − h′)·(h′ − h) > 0, row by row;     t′ = ½ (1 + √(1 + 4 t²))
    y′  = h′ + (t − 1)/t′ (h′ − h)                       ISTA: y′ = h′

(Beck and Teboulle 2009; the restart: O'Donoghue and Candès 2015.)

Derivation:
Shrinkage solves a problem of one number: it is the h of least
    e(h) = ½ (h − a)² + θ |h|
For h > 0 the slope h − a + θ is 0 at h = a − θ, which is positive where a > θ; for h < 0 it is 0 at h = a + θ, which is
negative where a < −θ. In between, e falls towards 0 from both sides, so h = 0. The three cases together are
    h = a − θ where a > θ,    0 where |a| ≤ θ,    a + θ where a < −θ
and they are its derivatives, too. At the kinks, |a| = θ, the derivative is taken as 0:
    ∂h_bj/∂a_bj = [h_bj ≠ 0],    ∂h_bj/∂θ_j = −sign(h_bj)
A threshold is shared by all examples, so the chain rule adds up their parts:
    da_bj = dh_bj [h_bj ≠ 0],    dθ_j = −Σ_b dh_bj sign(h_bj)

The plain form of a step walks over memory some fifteen times. On a GPU it serves, too.
"""

import math

import numpy as np

from minae import kernels
from minae.backend import namespace
from minae.kernels import pool

ZERO, HALF, ONE, FOUR = (np.float32(value) for value in (0, 0.5, 1, 4))


def shrink(a, theta, out=None):
    """h = sign(a) max(|a| − θ, 0).     θ ≥ 0 is a number or (m,), and `out` is not `a`"""
    xp = namespace(a)
    h = xp.clip(a, -theta, theta, out=out)
    return xp.subtract(a, h, out=h)


def shrink_backward(dh, h, dtheta, out=None, work=None):
    """da = dh [h ≠ 0], in `out`;  dθ −= Σ_rows dh sign(h), by dtheta.add_rows.

    dtheta: None to leave it out;  work: free memory
    """
    xp = namespace(h)
    sign = xp.sign(h, out=work)
    xp.negative(sign, out=sign)
    step = xp.multiply(dh, sign, out=out)
    if dtheta is not None:
        dtheta.add_rows(step)
    return xp.multiply(step, sign, out=step)


def step(a, q, theta, h, y, t, momentum):
    """From a = y S: h becomes h′, y becomes y′ and t becomes t′; a is used up.     a, q, h, y (B, m), t (B,)"""
    if kernels.path(a, q, h, y, t) == "cpu":
        cpu(a, q, a.dtype.type(theta), h, y, t, momentum)
    else:
        plain(a, q, theta, h, y, t, momentum)


def plain(a, q, theta, h, y, t, momentum):
    """The reference."""
    xp = namespace(a)
    a += q
    new = shrink(a, theta)
    if momentum:
        d = new - h
        against = (((y - new) * d).sum(axis=1) > 0).astype(h.dtype)
        t -= (t - 1) * against  # t = 1 there
        before = t.copy()
        t[...] = 0.5 * (1 + xp.sqrt(1 + 4 * t * t))
        y[...] = new + ((before - 1) / t)[:, None] * d
    else:
        y[...] = new
    h[...] = new


@pool.parallel(error_model="numpy", fastmath={"contract", "reassoc"})
def cpu(start, stop, a, q, theta, h, y, t, momentum):
    for b in range(start, stop):
        against = ZERO * theta
        for j in range(a.shape[1]):
            v = a[b, j] + q[b, j]
            new = v - max(min(v, theta), -theta)
            d = new - h[b, j]
            against += (y[b, j] - new) * d
            a[b, j] = d
            h[b, j] = new
        before = ONE if against > ZERO or not momentum else t[b]
        t[b] = HALF * (ONE + math.sqrt(ONE + FOUR * before * before))
        c = (before - ONE) / t[b]  # 0 without momentum
        for j in range(a.shape[1]):
            y[b, j] = h[b, j] + c * a[b, j]

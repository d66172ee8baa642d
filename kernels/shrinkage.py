r"""What a step of ISTA or FISTA does beside its product y S, in one pass.     (section 14.8; `minae.inference`)

    h′  = shrink(y S + q, θ)
    t   = 1 where (y − h′)·(h′ − h) > 0, row by row;     t′ = ½ (1 + √(1 + 4 t²))
    y′  = h′ + (t − 1)/t′ (h′ − h)                       ISTA: y′ = h′

(Beck and Teboulle 2009; the restart: O'Donoghue and Candès 2015.) The plain form walks over memory some fifteen times.
On a GPU it serves, too.
"""

import math

import numpy as np

from minae import kernels
from minae.backend import namespace
from minae.inference import shrink
from minae.kernels import team

ZERO, HALF, ONE, FOUR = (np.float32(value) for value in (0, 0.5, 1, 4))


def step(a, q, theta, h, y, t, momentum):
    """From a = y S: h becomes h′, y becomes y′ and t becomes t′; a is used up. a, q, h, y (B, m), t (B,)"""
    if kernels.form(a, q, h, y, t) == "cpu":
        cpu(a, q, a.dtype.type(theta), h, y, t, momentum)
    else:
        plain(a, q, theta, h, y, t, momentum)


def plain(a, q, theta, h, y, t, momentum):
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


@team.shared(error_model="numpy", fastmath={"contract", "reassoc"})
def cpu(start, stop, a, q, theta, h, y, t, momentum):
    for b in range(start, stop):
        against = ZERO * theta
        for j in range(a.shape[1]):
            v = a[b, j] + q[b, j]
            new = v - max(min(v, theta), -theta)
            d = new - h[b, j]
            against += (y[b, j] - new) * d
            a[b, j], h[b, j] = d, new
        before = ONE if against > ZERO or not momentum else t[b]
        t[b] = HALF * (ONE + math.sqrt(ONE + FOUR * before * before))
        c = (before - ONE) / t[b]  # 0 without momentum
        for j in range(a.shape[1]):
            y[b, j] = h[b, j] + c * a[b, j]

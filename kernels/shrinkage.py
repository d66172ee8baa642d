r"""Shrinkage, and what a step of ISTA or FISTA does beside its product y S, in one pass.     (section 14.8)

    shrink(a, κ) = sign(a) max(|a| − κ, 0) = a − min(max(a, −κ), κ)

    h′  = shrink(y S + q, κ)
    t   = 1 where (y − h′)·(h′ − h) > 0, row by row;     t′ = ½ (1 + √(1 + 4 t²))
    y′  = h′ + (t − 1)/t′ (h′ − h)                       ISTA: y′ = h′

(Beck and Teboulle 2009; the restart: O'Donoghue and Candès 2015.)

Derivation:
Shrinkage solves a problem of one number: it is the h of least
    e(h) = ½ (h − a)² + κ |h|
For h > 0 the slope h − a + κ is 0 at h = a − κ, which is positive where a > κ; for h < 0 it is 0 at h = a + κ, which is
negative where a < −κ. In between, e falls towards 0 from both sides, so h = 0. The three cases together are
    h = a − κ where a > κ,    0 where |a| ≤ κ,    a + κ where a < −κ
and they are its derivatives, too. At the kinks, |a| = κ, the derivative is taken as 0:
    ∂h_bj/∂a_bj = [h_bj ≠ 0],    ∂h_bj/∂κ_j = −sign(h_bj)
A threshold is shared by all examples, so the chain rule adds up their parts:
    da_bj = dh_bj [h_bj ≠ 0],    dκ_j = −Σ_b dh_bj sign(h_bj)

The plain form of a step walks over memory some fifteen times.
"""

import math

import numpy as np

from minae import kernels
from minae.backend import namespace
from minae.kernels import pool
from minae.kernels.reduce import THREADS, Launch, cuda, tree

ZERO, HALF, ONE, FOUR = (np.float32(value) for value in (0, 0.5, 1, 4))


def shrink(a, kappa, out=None):
    """h = sign(a) max(|a| − κ, 0).     κ ≥ 0 is a number or (m,), and `out` is not `a`"""
    xp = namespace(a)
    if hasattr(kappa, "shape") and out is not None and kernels.path(a, kappa, out) == "cuda":
        cuda_shrink.each([a, kappa, out])
        return out
    h = xp.clip(a, -kappa, kappa, out=out)
    return xp.subtract(a, h, out=h)


def shrink_backward(dh, h, dkappa, out=None, work=None):
    """da = dh [h ≠ 0], in `out`;  dκ −= Σ_rows dh sign(h), by dkappa.add_rows.     `work` is free memory

    dkappa: an accumulator, or None where κ is held fixed
    """
    xp = namespace(h)
    sign = xp.sign(h, out=work)
    xp.negative(sign, out=sign)
    step = xp.multiply(dh, sign, out=out)
    if dkappa is not None:
        dkappa.add_rows(step)
    return xp.multiply(step, sign, out=step)


def step(a, q, kappa, h, y, t, momentum):
    """From a = y S: h becomes h′, y becomes y′ and t becomes t′; a is used up.     a, q, h, y (B, m), t (B,)"""
    path = kernels.path(a, q, h, y, t)
    if path == "cpu":
        cpu(a, q, a.dtype.type(kappa), h, y, t, momentum)
    elif path == "cuda":
        cuda_step(len(a), [a, q, h, y, t], a.dtype.type(kappa), momentum)
    else:
        plain(a, q, kappa, h, y, t, momentum)


def plain(a, q, kappa, h, y, t, momentum):
    """The reference."""
    xp = namespace(a)
    a += q
    new = shrink(a, kappa)
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
def cpu(start, stop, a, q, kappa, h, y, t, momentum):
    for b in range(start, stop):
        against = ZERO * kappa
        for j in range(a.shape[1]):
            v = a[b, j] + q[b, j]
            new = v - max(min(v, kappa), -kappa)
            d = new - h[b, j]
            against += (y[b, j] - new) * d
            a[b, j] = d
            h[b, j] = new
        before = ONE if against > ZERO or not momentum else t[b]
        t[b] = HALF * (ONE + math.sqrt(ONE + FOUR * before * before))
        c = (before - ONE) / t[b]  # 0 without momentum
        for j in range(a.shape[1]):
            y[b, j] = h[b, j] + c * a[b, j]


# ---- CUDA


@Launch
def cuda_shrink(a, kappa, h):
    """A thread has one number; nobody waits."""
    i = cuda.grid(1)
    if i < a.size:
        b, j = i // a.shape[1], i % a.shape[1]
        h[b, j] = a[b, j] - min(max(a[b, j], -kappa[j]), kappa[j])


@Launch
def cuda_step(a, q, h, y, t, kappa, momentum):
    """A block has one row, since a row has one test for its restart and one t. First pass: each thread takes its
    numbers to h′ and d = h′ − h, keeps d in a, and adds up its part of (y − h′)·d. All wait for the tree; every thread
    computes t′ from the same sum, and one writes it, after all have read t. Second pass: y′ = h′ + c d. It reads what
    the same thread has written, which is still in the cache."""
    b, shared, against = cuda.blockIdx.x, cuda.shared.array(THREADS, a.dtype), a.dtype.type(0)
    for j in range(cuda.threadIdx.x, a.shape[1], cuda.blockDim.x):
        v = a[b, j] + q[b, j]
        new = v - max(min(v, kappa), -kappa)
        d = new - h[b, j]
        against += (y[b, j] - new) * d
        a[b, j] = d
        h[b, j] = new
    shared[cuda.threadIdx.x] = against
    tree(shared, 1)
    one, before = a.dtype.type(1), t[b]
    if shared[0] > a.dtype.type(0) or not momentum:
        before = one
    after = a.dtype.type(0.5) * (one + math.sqrt(one + a.dtype.type(4) * before * before))
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        t[b] = after
    c = (before - one) / after  # 0 without momentum
    for j in range(cuda.threadIdx.x, a.shape[1], cuda.blockDim.x):
        y[b, j] = h[b, j] + c * a[b, j]

r"""φ'(a) and φ''(a) from h = φ(a), for every activation, and the three passes that a backward pass makes with them.

    φ           φ'(a)         φ''(a)
    identity    1             0
    sigmoid     h (1 − h)     h (1 − h) (1 − 2h)
    tanh        1 − h²        −2 h (1 − h²)
    relu        [h > 0]       0
    softplus    1 − e⁻ʰ       e⁻ʰ (1 − e⁻ʰ)

    backward:   dh φ'(a)  or  da + dh φ'(a);      prime:  φ'(a);      times_second:  d φ''(a)

The plain form is `minae.ops`, which walks over memory two to five times for each. The activation reaches the loop as a
number that does not change within it, so the compiler makes a loop of its own for each and vectorises it.
"""

import functools
import math

import numba
import numpy as np

from minae import kernels, ops
from minae.backend import namespace
from minae.kernels import team
from minae.kernels.exponential import exp

IDENTITY, SIGMOID, TANH, RELU, SOFTPLUS = range(5)
KIND = dict(identity=IDENTITY, sigmoid=SIGMOID, tanh=TANH, relu=RELU, softplus=SOFTPLUS)
ZERO, ONE, TWO = np.float32(0), np.float32(1), np.float32(2)


def backward(dh, h, activation, out, da=None):
    """da = dh φ'(a), in `out`. Where da is given, da += dh φ'(a), and `out` is free memory."""
    to, add = (out, False) if da is None else (da, True)
    form = kernels.form(dh, h, to)
    if activation == "identity" or form == "plain":
        through_h = ops.ACTIVATIONS[activation][1](dh, h, out=out)
        return through_h if da is None else namespace(h).add(da, through_h, out=da)
    if form == "cpu":
        cpu_backward(h.reshape(-1), dh.reshape(-1), to.reshape(-1), KIND[activation], add)
    else:
        kernels.launch(cuda_launch(), [array.reshape(-1) for array in (h, dh, to)], KIND[activation], add)
    return to


def prime(h, activation, out):
    """φ'(a), in `out`; on a GPU by the plain form."""
    if activation == "identity":
        out[...] = 1
    elif kernels.form(h, out) == "cpu":
        cpu_prime(h.reshape(-1), out.reshape(-1), KIND[activation])
    else:
        ops.ACTIVATIONS[activation][1](1.0, h, out=out)
    return out


def times_second(d, h, activation):
    """d ← d φ''(a); on a GPU by the plain form."""
    if kernels.form(d, h) == "cpu":
        cpu_times_second(h.reshape(-1), d.reshape(-1), KIND[activation])
    else:
        d *= ops.ACTIVATIONS[activation][2](h)
    return d


def bodies(exp):
    """φ'(a) and φ''(a) of one component, with the CPU's exponential or the GPU's."""

    def body(kind, h):
        if kind == SIGMOID:
            p = h * (ONE - h)
            return p, p * (ONE - TWO * h)
        if kind == TANH:
            p = ONE - h * h
            return p, -TWO * h * p
        if kind == RELU:
            return (ONE if h > ZERO else ZERO * h), ZERO  # h ≥ 0, and a NaN stays one
        if kind == SOFTPLUS:
            e = exp(-h)
            return ONE - e, e * (ONE - e)
        return ONE, ZERO

    return body


slopes = numba.njit(inline="always")(bodies(exp))
compiled = team.shared(align=64, error_model="numpy", fastmath={"contract"})


@compiled
def cpu_backward(start, stop, h, dh, da, kind, add):
    if add:
        for i in range(start, stop):
            da[i] += dh[i] * slopes(kind, h[i])[0]
    else:
        for i in range(start, stop):
            da[i] = dh[i] * slopes(kind, h[i])[0]


@compiled
def cpu_prime(start, stop, h, out, kind):
    for i in range(start, stop):
        out[i] = slopes(kind, h[i])[0]


@compiled
def cpu_times_second(start, stop, h, d, kind):
    for i in range(start, stop):
        d[i] *= slopes(kind, h[i])[1]


@functools.cache
def cuda_launch():
    global cuda  # as in adam.py
    from numba import cuda

    slopes = cuda.jit(device=True)(bodies(math.exp))

    @cuda.jit
    def launch(h, dh, da, kind, add):
        i = cuda.grid(1)
        if i < h.size:
            through_h = dh[i] * slopes(kind, h[i])[0]
            da[i] = da[i] + through_h if add else through_h

    return launch

r"""One Adam step on the flat vector, in one pass over memory.

    w ← w − ε·decay·w
    s ← ρ₁ s + (1−ρ₁) g
    r ← ρ₂ r + (1−ρ₂) g²
    w ← w − ε/(1−ρ₁ᵗ) · s / (√(r/(1−ρ₂ᵗ)) + δ)

(Kingma and Ba 2015, algorithm 1; Deep Learning, algorithm 8.7; decay: Loshchilov and Hutter 2019.) The plain form below
walks over memory 14 times; fused, it reads and writes each vector once. `kernels/README.md` has both times.
"""

import functools
import math

import numba

from minae import kernels
from minae.backend import namespace
from minae.kernels import team


def update(w, g, s, r, t, lr, rho1, rho2, delta, decay):
    """In place on w, s and r, (size,) like g. t counts from 1."""
    scalars = (lr * decay, rho1, 1 - rho1, rho2, 1 - rho2, lr / (1 - rho1**t), 1 / math.sqrt(1 - rho2**t), delta)
    form = kernels.form(w, g, s, r)
    if form == "plain":
        return plain(w, g, s, r, *scalars)
    scalars = [w.dtype.type(value) for value in scalars]  # 1 − ρ is taken in float64: 1 − float32(0.999) is off by 1e-5
    if form == "cpu":
        return cpu(w, g, s, r, *scalars)
    kernels.launch(cuda_launch(), (w, g, s, r), *scalars)


def plain(w, g, s, r, decay, rho1, rest1, rho2, rest2, epsilon, correction, delta):
    """The reference: the formula in the functions that NumPy and CuPy share."""
    xp = namespace(w)
    w *= 1 - decay
    s *= rho1
    work = xp.multiply(g, rest1)
    s += work
    xp.multiply(g, g, out=work)
    work *= rest2
    r *= rho2
    r += work
    xp.sqrt(r, out=work)
    work *= correction
    work += delta
    xp.divide(s, work, out=work)
    work *= epsilon
    w -= work


def body(w, g, s, r, decay, rho1, rest1, rho2, rest2, epsilon, correction, delta):
    """One component; the scalars have the arrays' type, so that a float32 step stays in float32."""
    s = rho1 * s + rest1 * g
    r = rho2 * r + rest2 * g * g
    return w - decay * w - epsilon * s / (math.sqrt(r) * correction + delta), s, r


inlined = numba.njit(inline="always", error_model="numpy")(body)


@team.shared(align=64, error_model="numpy")
def cpu(start, stop, w, g, s, r, decay, rho1, rest1, rho2, rest2, epsilon, correction, delta):
    for i in range(start, stop):
        w[i], s[i], r[i] = inlined(w[i], g[i], s[i], r[i], decay, rho1, rest1, rho2, rest2, epsilon, correction, delta)


@functools.cache
def cuda_launch():
    global cuda  # loaded when a GPU first asks for it; the simulator looks for it among the globals
    from numba import cuda

    scalar = cuda.jit(device=True)(body)

    @cuda.jit
    def launch(w, g, s, r, decay, rho1, rest1, rho2, rest2, epsilon, correction, delta):
        i = cuda.grid(1)
        if i < w.size:
            w[i], s[i], r[i] = scalar(
                w[i], g[i], s[i], r[i], decay, rho1, rest1, rho2, rest2, epsilon, correction, delta
            )

    return launch

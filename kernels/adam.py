r"""One step of Adam on the flat vector of parameters, in one pass over memory.     (algorithm 8.7)

    θ       ← θ − lr · weight_decay · θ
    average ← decay1 · average + (1 − decay1) dθ            a mean of the gradients, with weights that fade
    square  ← decay2 · square + (1 − decay2) dθ²            the same of their squares
    θ       ← θ − lr · average/(1 − decay1ᵗ) / (√(square/(1 − decay2ᵗ)) + δ)

The book calls average and square s and r, and the two decays ρ₁ and ρ₂. (Kingma and Ba 2015, algorithm 1; the decay of
the weights: Loshchilov and Hutter 2019.) A step in NumPy's passes walks over memory 14 times. The fused step reads and
writes each vector once, and memory is what bounds it.

Derivation:
The average starts at 0, which makes it too small at first; the correction divides by what is missing. Unrolled,
    average_t = (1−decay1) Σ_{i=1…t} decay1^{t−i} dθ_i
If all dθ_i have the same expectation E dθ, the geometric sum gives
    E average_t = E dθ (1−decay1) Σ_{i=1…t} decay1^{t−i} = E dθ (1−decay1ᵗ)
so average/(1−decay1ᵗ) has the expectation E dθ, and in the same way square/(1−decay2ᵗ) has E dθ². The first step shows
what this does: the two are dθ and dθ², and θ moves by lr · sign(dθ), whatever the size of dθ. Both corrections are the
same for all components. They are computed once a step:
    √(square/(1−decay2ᵗ)) = √square · 1/√(1−decay2ᵗ),    lr · average/(1−decay1ᵗ) = lr/(1−decay1ᵗ) · average
"""

import math

from numpy import sqrt

from minae.kernels.fused import fused


def update(theta, dtheta, average, square, t, lr, decay1, decay2, delta, weight_decay):
    """Change θ, average and square in place; all have the shape (size,) of dθ. The step t counts from 1.

    The differences 1 − decay are taken here, in float64: 1 − float32(0.999) is off by 1e-5.
    """
    rate, correction = lr / (1 - decay1**t), 1 / math.sqrt(1 - decay2**t)
    decays = decay1, 1 - decay1, decay2, 1 - decay2
    step(theta, dtheta, average, square, lr * weight_decay, *decays, rate, correction, delta)


@fused("theta dtheta average square -> theta average square")
def step(theta, dtheta, average, square, shrink, decay1, rest1, decay2, rest2, rate, correction, delta):
    average = decay1 * average + rest1 * dtheta
    square = decay2 * square + rest2 * dtheta * dtheta
    return theta - shrink * theta - rate * average / (sqrt(square) * correction + delta), average, square

r"""One step of Adam on the flat vector of parameters, in one pass over memory.     (algorithm 8.7)

    w ← w − ε·decay·w
    s ← ρ₁ s + (1−ρ₁) g                              a mean of the gradients, with weights that fade
    r ← ρ₂ r + (1−ρ₂) g²                             the same of their squares
    w ← w − ε ŝ / (√r̂ + δ),   ŝ = s/(1−ρ₁ᵗ),   r̂ = r/(1−ρ₂ᵗ)

(Kingma and Ba 2015, algorithm 1; the decay: Loshchilov and Hutter 2019.) A step in NumPy's passes walks over memory 14
times. The fused step reads and writes each vector once, and memory is what bounds it.

Derivation:
The mean s starts at 0, which makes it too small at first; the correction divides by what is missing. Unrolled,
    s_t = (1−ρ₁) Σ_{i=1…t} ρ₁^{t−i} g_i
If all g_i have the same expectation E g, the geometric sum gives
    E s_t = E g (1−ρ₁) Σ_{i=1…t} ρ₁^{t−i} = E g (1−ρ₁ᵗ)
so E ŝ_t = E g, and in the same way E r̂_t = E g². The first step shows what this does: ŝ = g and r̂ = g², and w moves by
ε sign(g), whatever the size of g. Both corrections are the same for all components. They are computed once a step:
    √r̂ = √r · 1/√(1−ρ₂ᵗ),    ε ŝ = ε/(1−ρ₁ᵗ) · s
"""

import math

from numpy import sqrt

from minae.kernels.fused import fused


def update(w, g, s, r, t, lr, rho1, rho2, delta, decay):
    """Change w, s and r in place; all have the shape (size,) of g. The step t counts from 1.

    The differences 1 − ρ are taken here, in float64: 1 − float32(0.999) is off by 1e-5.
    """
    step(w, g, s, r, lr * decay, rho1, 1 - rho1, rho2, 1 - rho2, lr / (1 - rho1**t), 1 / math.sqrt(1 - rho2**t), delta)


@fused("w g s r -> w s r")
def step(w, g, s, r, decay, rho1, rest1, rho2, rest2, epsilon, correction, delta):
    s = rho1 * s + rest1 * g
    r = rho2 * r + rest2 * g * g
    return w - decay * w - epsilon * s / (sqrt(r) * correction + delta), s, r

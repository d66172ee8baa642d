"""14.8 Predictive Sparse Decomposition, exercise 2: the derivative of the least energy by λ.

J*(λ) = min_h E(h, λ), and λ stands in E once, before |h|₁. By the envelope theorem

    dJ*/dλ = ∂E/∂λ = |h*|₁

at the minimiser h*. And J* is concave: for each fixed h, E is a straight line in λ, and the least of many straight
lines is concave. So |h*|₁, the slope, cannot rise with λ.
"""

# %%
import numpy as np

from minae.chapters import Section
from minae.inference import SparseCoding

section = Section("14.8", exercise=2)
rng = np.random.default_rng(section.seed)
V = rng.standard_normal((12, 8))
V /= np.linalg.norm(V, axis=1, keepdims=True)  # twelve atoms of norm 1
x = rng.standard_normal((20, 8))


def search(lam):
    """J*, a mean over x, and |h*|₁, likewise."""
    coding = SparseCoding(V, lam=lam)
    h = coding.fista(x, steps=5000)
    return coding.energy(h, x).mean(), abs(h).sum(axis=1).mean()


# %%
step, errors, slopes = 1e-6, [], []
for lam in np.linspace(0.05, 1.0, 20):
    slope = search(lam)[1]
    difference = (search(lam + step)[0] - search(lam - step)[0]) / (2 * step)
    errors.append(abs(difference / slope - 1))
    slopes.append(slope)
error = section.number("largest relative error of dJ*/dλ = |h*|₁", max(errors), of="20 values of λ")
section.claim("the derivative of J* by λ is |h*|₁", error, "<=", 1e-7)
section.claim("J* is concave: largest rise of its slope from one λ to the next", np.diff(slopes).max(), "<=", 0)

section.finish()

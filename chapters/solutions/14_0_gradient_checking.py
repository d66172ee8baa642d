"""14.0 Checking a Gradient, exercise 2: a derivative without a difference.

J is an analytic function of θ, so that Taylor's formula holds at a complex point too:

    J(θ + i ε v) = J + i ε J^(1) − ε²/2 J^(2) − i ε³/6 J^(3) + …

The imaginary part, divided by ε, is J^(1) − ε²/6 J^(3) + …, with J^(1) = ∇J·v. Nothing is subtracted, so no digits are
lost to rounding, and with ε = 1e-100 the truncation is 0 to the last bit. The method wants a J that is written with
analytic functions: no |x|, no maximum, and x² as x·x, not as |x|².
"""

# %%
import numpy as np

from minae import UndercompleteAutoencoder
from minae.chapters import Section

section = Section("14.0", exercise=2)
rng = np.random.default_rng(section.seed)
x = rng.uniform(size=(4, 7))
model = UndercompleteAutoencoder(
    (7, 5), activation="tanh", loss="gaussian", dtype="float64", seed=section.seed, backend="numpy"
)
model.cost_and_grad(x)
gradient = model.parameters.grad.copy()


# %%
def J(theta):
    """½ ‖x − g(f(x))‖², mean over the batch, at a real or complex θ."""
    p = model.parameters.views(theta)
    h = np.tanh(x @ p["W1"] + p["b1"])
    d = h @ p["V1"] + p["c1"] - x
    return 0.5 * (d * d).sum() / len(x)


theta, epsilon, found = model.parameters.flat.astype(complex), 1e-100, []
for i in range(theta.size):
    moved = theta.copy()
    moved[i] += 1j * epsilon
    found.append(J(moved).imag / epsilon)
error = section.number("largest |complex step − gradient| of an entry", abs(found - gradient).max())
section.claim("J is the engine's J: difference", abs(J(theta).real - float(model.cost_and_grad(x))), "<=", 1e-12)
section.claim("the complex step finds the gradient", error / abs(gradient).max(), "<=", 1e-14)

section.finish()

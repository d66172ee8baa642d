"""14.2.3 Regularizing by Penalizing Derivatives, exercise 2: the penalty for tanh, by hand.

For h = tanh(a) the slopes can be read off h: φ'(a) = 1 − h², and φ''(a) = −2 h (1 − h²). With p = 1 − h² and w_j =
‖W_j‖² the penalty and its gradient by a are

    Ω = 1/B Σ_b Σ_j (1 − h_bj²)² w_j
    ∂Ω/∂a_bj = 2/B w_j p_bj φ''(a_bj) = −4/B w_j h_bj (1 − h_bj²)²

so a unit is pushed towards its saturated ends, where |h| is 1. W gets 2/B W_ij Σ_b p_bj² by the direct path, and xᵀ da
by the path through h.
"""

# %%
import numpy as np

from minae import ContractiveAutoencoder
from minae.chapters import Section

section = Section("14.2.3", exercise=2)
rng = np.random.default_rng(section.seed)
B, x = 6, rng.standard_normal((6, 12))
options = dict(activation="tanh", loss="gaussian", dtype="float64", backend="numpy", seed=section.seed)
model = ContractiveAutoencoder((12, 5), **options)
model.parameters["b1"][...] = rng.standard_normal(5)
model.weights = {"L": 0.0, "Omega": 1.0}  # Ω alone

# %%
W, b = model.parameters["W1"].copy(), model.parameters["b1"].copy()
h, w = np.tanh(x @ W + b), np.square(W).sum(axis=0)
p = 1 - h * h
Omega = (p * p * w).sum() / B
da = -4 / B * w * h * p * p
dW = 2 / B * W * np.square(p).sum(axis=0) + x.T @ da
db = da.sum(axis=0)

# %%
cost = model.cost_and_grad(x)
views = model.parameters.views(model.parameters.grad)
section.claim("Ω is the engine's: relative difference", abs(Omega / float(cost["Omega"]) - 1), "<=", 1e-12)
for name, mine in {"W1": dW, "b1": db}.items():
    engine = views[name]
    off = section.number(
        "relative difference from the engine", np.linalg.norm(mine - engine) / np.linalg.norm(engine), of=name
    )
    section.claim(f"∂Ω/∂{name} is the engine's", off, "<=", 1e-12)

section.finish()

"""14.7 Contractive Autoencoders

Equations: 14.10, 14.18
Figures: 14.10 (tangents by local PCA and by the contractive autoencoder), and the singular values of Jf

A contractive autoencoder asks that the code change little when x changes a little:     (14.10)

    J = L(x, g(f(x))) + Ω,     Ω(h) = λ ‖∂f(x)/∂x‖²_F     (14.18)

Reconstruction resists: two training examples must keep different codes. So f contracts in most directions and keeps the
few along which the data vary, the tangents of the manifold: the singular vectors of Jf with large singular values.

Symbols: minae/NOTATION.md. The forward and backward pass: minae/autoencoders/contractive.py; Ω: minae/penalties.py.
"""

# %%
import numpy as np

from minae import ContractiveAutoencoder, UndercompleteAutoencoder, check_gradient, data, plots
from minae.chapters import Section
from minae.optimizers import Adam, Cosine

section = Section(__doc__)
digits = data.mnist(full=section.size == "full")
X, X_test = digits.train, digits.test  # (rows, 784), pixels in [0, 1]
options = dict(tied=True, backend=section.backend, seed=section.seed)
epochs, units = section.pick(4, 15, 10), section.pick(100, 300, 500)


def train(model):
    optimizer = Adam(Cosine(section.pick(1e-2, 5e-3, 2e-3), steps=epochs * -(-len(X) // 64)))
    return model, model.fit(X, epochs=epochs, batch_size=64, optimizer=optimizer, seed=section.seed)


def jacobian(model, x):
    """Jf at the rows of x: (rows, m, n)."""
    return section.backend.to_numpy(model.f.jacobian(section.backend.from_numpy(x)))


# %% [markdown]
# ## The penalty, and what it does
# Tied weights, V = Wᵀ: with V free, f could shrink by a factor that g undoes, which lowers Ω and contracts nothing.

# %%
plain, _ = train(UndercompleteAutoencoder((784, units), **options))
contractive, history = train(ContractiveAutoencoder((784, units), lam=10.0, **options))
x = X_test[:100]
Jf, Jf_plain = jacobian(contractive, x), jacobian(plain, x)
Omega = float(np.square(Jf).sum(axis=(1, 2)).mean())
reported = contractive.evaluate(x)["Omega"]
section.number("‖Jf‖², from Ω in closed form", reported)
section.claim("Ω equals a materialised Jacobian's norm", abs(reported / Omega - 1), "<=", 1e-4)
norm = section.number("mean ‖Jf‖, contractive", np.linalg.norm(Jf, axis=(1, 2)).mean())
norm_plain = section.number("mean ‖Jf‖, no penalty", np.linalg.norm(Jf_plain, axis=(1, 2)).mean())
section.claim("the penalty contracts: ‖Jf‖ without over with", norm_plain / norm, ">=", section.pick(3, 5, 5))

# %% [markdown]
# ## Few directions are kept
# The singular values of Jf fall fast: f is sensitive to a few directions and nearly constant along the others.

# %%
sigma = np.linalg.svd(Jf, compute_uv=False).mean(axis=0)
sigma_plain = np.linalg.svd(Jf_plain, compute_uv=False).mean(axis=0)
k = np.arange(1, 81)
curves = {"contractive": (k, sigma[:80] / sigma[0]), "no penalty": (k, sigma_plain[:80] / sigma_plain[0])}
section.figure(plots.levels(curves, "k", "k-th singular value of Jf, over the first"), "singular_values")


def directions(values):
    """Participation ratio: how many of the squared singular values carry the sum."""
    return float(np.square(values).sum() ** 2 / (values**4).sum())


kept = section.number("directions that f keeps, contractive", directions(sigma))
kept_plain = section.number("directions that f keeps, no penalty", directions(sigma_plain))
section.claim("of those that data ask for, few are kept", kept, "<", kept_plain)

# %% [markdown]
# ## Figure 14.10: tangents
# At one digit, the leading right singular vectors of Jf against the principal directions of its neighbours of the data.

# %%
rows = {}
for i in (0, 1):
    near = X[np.argsort(np.square(X - x[i]).sum(axis=1))[:30]]
    local = np.linalg.svd(near - near.mean(axis=0), full_matrices=False)[2][:8]
    own = np.linalg.svd(Jf[i], full_matrices=False)[2][:8]
    for name, tangents in {"local PCA": local, "CAE": own}.items():
        grey = 0.5 + 0.5 * tangents / np.abs(tangents).max(axis=1, keepdims=True)
        rows[f"{name}, digit {i + 1}"] = np.vstack([x[i : i + 1], grey])
section.figure(plots.images(rows, "A digit, and its tangents"), "tangents")

# %%
worst = check_gradient(contractive, X_test[:3], entries=30).worst.error
section.claim("the gradient is that of J, L and Ω", section.number("gradient check, largest error", worst), "<=", 1e-7)

section.finish()

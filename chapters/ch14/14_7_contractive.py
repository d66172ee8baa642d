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

from minae import ContractiveAutoencoder, DenoisingAutoencoder, UndercompleteAutoencoder, check_gradient, data, plots
from minae.chapters import Section
from minae.chapters.rivals import probe_error
from minae.optimizers import Adam, Cosine

section = Section(__doc__)
digits = data.mnist(full=section.size == "full")
X, X_test = digits.train, digits.test  # (rows, 784), pixels in [0, 1]
epochs, units = section.pick(4, 15, 8), section.pick(100, 300, 500)
x = X_test[:100]


def train(variant, seed, **options):
    """500 sigmoid units; V = Wᵀ, since with V free f could shrink by a factor that g undoes, and contract nothing."""
    model = variant((784, units), tied=True, seed=seed, backend=section.backend, **options)
    optimizer = Adam(Cosine(section.pick(1e-2, 5e-3, 2e-3), steps=epochs * -(-len(X) // 64)))
    model.fit(X, epochs=epochs, batch_size=64, optimizer=optimizer, seed=seed)
    return model


kinds = {
    "AE": (UndercompleteAutoencoder, {}),
    "DAE-g": (DenoisingAutoencoder, dict(corruption="gaussian", level=0.3)),
    "CAE": (ContractiveAutoencoder, dict(lam=10.0)),
}
models = {name: [train(kind, s, **form) for s in section.seeds] for name, (kind, form) in kinds.items()}
contractive = models["CAE"][0]
J = {name: models[name][0].jacobian(x) for name in kinds}  # (100, m, 784)

# %% [markdown]
# ## The penalty, and what it does

# %%
reported, Omega = contractive.evaluate(x)["Omega"], float(np.square(J["CAE"]).sum(axis=(1, 2)).mean())
section.claim("Ω in closed form equals a materialised Jacobian's", abs(reported / Omega - 1), "<=", 1e-4)
paper = {"AE": "17.5e-4", "DAE-g": "0.86e-4", "CAE": "0.73e-4"}
norm = {}
for name in kinds:
    norms = [np.linalg.norm(model.jacobian(x), axis=(1, 2)).mean() for model in models[name]]
    published = f"{paper[name]}, 1000 units, another scale (recalled; Rifai et al. 2011)"
    norm[name] = section.number(f"mean ‖Jf‖, {name}", norms, published=published)
    h = models[name][0].encode(X_test)
    section.number(f"  saturated units %, h below 0.05 or above 0.95, {name}", 100 * (abs(h - 0.5) > 0.45).mean())
section.claim("the penalty contracts: ‖Jf‖ of AE over CAE", norm["AE"] / norm["CAE"], ">=", section.pick(3, 5, 5))

# %% [markdown]
# ## Few directions are kept
# The singular values of Jf fall fast: f is sensitive to a few directions and nearly constant along the others.

# %%
sigma = {name: np.linalg.svd(J[name], compute_uv=False).mean(axis=0) for name in kinds}
k = np.arange(1, 81)
curves = {name: (k, sigma[name][:80]) for name in kinds}
title = "Singular values of Jf, mean over 100 test digits"
section.figure(plots.levels(curves, "k", "k-th singular value", title, yscale="log"), "singular_values")


def directions(values):
    """Participation ratio: how many of the squared singular values carry the sum."""
    return float(np.square(values).sum() ** 2 / (values**4).sum())


kept = {name: section.number(f"directions that f keeps, {name}", directions(sigma[name])) for name in kinds}
section.claim("of those that data ask for, few are kept", kept["CAE"], "<", kept["AE"])
share = section.number(
    "singular values of the CAE above 1/10 of the largest", (sigma["CAE"] > sigma["CAE"][0] / 10).sum()
)
section.claim("most are small: share of the units", share / units, "<", 0.5)

# %% [markdown]
# ## Figure 14.10: tangents
# At one digit, the leading right singular vectors of Jf against the principal directions of its neighbours of the data.

# %%
rows = {}
own, _ = contractive.tangents(x[:2], k=8)
for i in (0, 1):
    near = X[np.argsort(np.square(X - x[i]).sum(axis=1))[:30]]
    local = np.linalg.svd(near - near.mean(axis=0), full_matrices=False)[2][:8]
    for name, tangents in {"local PCA": local, "CAE": own[i]}.items():
        grey = 0.5 + 0.5 * tangents / np.abs(tangents).max(axis=1, keepdims=True)
        rows[f"{name}, digit {i + 1}"] = np.vstack([x[i : i + 1], grey])
section.figure(plots.images(rows, "Figure 14.10: a digit, and its tangents"), "tangents")

# %% [markdown]
# ## A denoiser is contractive too
# With little noise, E ‖r(x + ε) − x‖² = ‖r(x) − x‖² + σ² ‖∂r/∂x‖² + …: a denoising autoencoder contracts its
# reconstruction r = g(f(x)), a contractive one its code h (Alain and Bengio 2014). The rest is the curvature of r.

# %%
form = dict(activation="tanh", loss="gaussian", corruption="gaussian", level=0.1, seed=section.seed, dtype="float64")
denoiser = DenoisingAutoencoder((784, 50), backend=section.backend, **form)
denoiser.fit(X[:2000], epochs=section.pick(5, 15, 15), optimizer=Adam(2e-3), seed=section.seed)
x0, noise = x[:20].astype(np.float64), 0.01
g_jacobian = section.backend.to_numpy(denoiser.g.jacobian(section.backend.from_numpy(denoiser.encode(x0))))
expected = noise**2 * np.square(g_jacobian @ denoiser.jacobian(x0)).sum() / 20
eps = noise * np.random.default_rng(section.seed).standard_normal((section.pick(100, 300, 300), 20, 784))
error = [np.square(denoiser.reconstruct(x0 + sign * e) - x0).sum(axis=1).mean() for e in eps for sign in (1, -1)]
extra = np.mean(error) - np.square(denoiser.reconstruct(x0) - x0).sum(axis=1).mean()
ratio = section.number("extra error by noise, over σ² ‖∂r/∂x‖²", extra / expected)
section.claim("noise acts as a contractive penalty on r: ratio off 1", abs(ratio - 1), "<=", 0.15)

# %% [markdown]
# ## What the codes say of the digit

# %%
for name in kinds:
    errors = [
        probe_error(m.encode(X), m.encode(X_test), digits, s) for m, s in zip(models[name], section.seeds, strict=True)
    ]
    section.number(f"error %, softmax on the code, {name}", errors)

worst = check_gradient(contractive, X_test[:3], entries=30).worst.error
section.claim("the gradient is that of J, L and Ω", section.number("gradient check, largest error", worst), "<=", 1e-7)

section.finish()

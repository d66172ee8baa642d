"""14.7 Contractive Autoencoders

Equations: 14.10, 14.18
Figures: singular_values (of Jf, for three kinds of autoencoder); tangents (14.10: by local PCA and by the contractive
autoencoder)

A contractive autoencoder asks that the code change little when x changes a little. Its cost

    J = L(x, g(f(x))) + Ω     (14.10)

has the penalty

    Ω(h) = λ ‖∂f(x)/∂x‖²_F     (14.18)

Reconstruction resists: two training examples must keep different codes. So f contracts in most directions and keeps the
few along which the data vary, the tangents of the manifold: the singular vectors of Jf with large singular values.

Symbols: minae/NOTATION.md. The forward and backward pass: minae/models/contractive.py; Ω: minae/contraction.py.
"""

# %%
import numpy as np

from minae import ContractiveAutoencoder, DenoisingAutoencoder, UndercompleteAutoencoder, check_gradient, data, plots
from minae.chapters import Section
from minae.metrics.probe import probe_error
from minae.training import Adam, Cosine

section = Section("14.7")
digits = data.mnist(full=section.size == "full")
X, X_test = digits.train, digits.test  # (rows, 784), pixels in [0, 1]
epochs, batch, units = section.pick(4, 15, 8), section.pick(64, 64, 128), section.pick(100, 300, 500)
x = X_test[: section.pick(100, 100, 50)]


def train(kind, seed, **options):
    """Sigmoid units; V = Wᵀ, since with V free f could shrink by a factor that g undoes, and contract nothing."""
    model = kind((784, units), tied=True, seed=seed, backend=section.backend, **options)
    optimizer = Adam(Cosine(section.pick(1e-2, 5e-3, 2e-3), steps=epochs * -(-len(X) // batch)))
    model.fit(X, epochs=epochs, batch_size=batch, optimizer=optimizer, seed=seed)
    return model


kinds = {
    "plain": (UndercompleteAutoencoder, {}),
    "denoising": (DenoisingAutoencoder, dict(corruption="gaussian", level=0.3)),
    "contractive": (ContractiveAutoencoder, dict(lam=10.0)),
}
models = {name: [train(kind, s, **options) for s in section.seeds] for name, (kind, options) in kinds.items()}
contractive = models["contractive"][0]
Jf = {name: [model.jacobian(x) for model in models[name]] for name in kinds}  # (rows, m, 784), one a seed

# %% [markdown]
# ## The penalty, and what it does

# %%
reported, Omega = contractive.evaluate(x)["Omega"], float(np.square(Jf["contractive"][0]).sum(axis=(1, 2)).mean())
section.claim("Ω in closed form equals a materialised Jacobian's", abs(reported / Omega - 1), "<=", 1e-4)
paper = {"plain": "17.5e-4", "denoising": "0.86e-4", "contractive": "0.73e-4"}
norm = {}
for name in kinds:
    norms = [np.linalg.norm(jacobian, axis=(1, 2)).mean() for jacobian in Jf[name]]
    published = f"{paper[name]}, 1000 units, another scale (recalled; Rifai et al. 2011)"
    norm[name] = section.number("mean ‖Jf‖", norms, published, of=name)
    h = models[name][0].encode(X_test)
    section.number("saturated units %, h below 0.05 or above 0.95", 100 * (abs(h - 0.5) > 0.45).mean(), of=name)
ratio = norm["plain"] / norm["contractive"]
section.claim("the penalty contracts: ‖Jf‖ of the plain over the contractive autoencoder", ratio, ">", 1)
section.guard("‖Jf‖ of the plain over the contractive autoencoder", ratio, ">=", 5)

# %% [markdown]
# ## Few directions are kept
# In the book most singular values of Jf fall below 1, where f contracts, and some stay above. Here λ = 10 does more: it
# leaves less than one a digit above 1. A number without a scale is their participation ratio, (Σ v²)² / Σ v⁴: over how
# many directions the squares are spread.

# %%
k = np.arange(1, 81)
above, spread, curves = {}, {}, {}
for name in kinds:
    values = [np.linalg.svd(jacobian, compute_uv=False) for jacobian in Jf[name]]  # (rows, m), descending
    counts = [(v > 1).sum() / len(v) for v in values]
    above[name] = section.number("singular values of Jf above 1, mean over digits", counts, of=name)
    squares = [np.square(v) for v in values]
    ratios = [(v.sum(axis=1) ** 2 / np.square(v).sum(axis=1)).mean() for v in squares]
    spread[name] = section.number("participation ratio of the singular values", ratios, of=name)
    curves[name] = (k, values[0].mean(axis=0)[:80])
section.claim("few directions do not contract: singular values above 1", above["contractive"], "<", above["plain"])
section.claim("f follows fewer directions: participation ratio", spread["contractive"], "<", spread["plain"])
title = f"Singular values of Jf, mean over {len(x)} test digits"
fig = plots.levels(curves, "k", "k-th singular value of Jf", title, yscale="log")
fig.axes[0].axhline(1, color=plots.GREY, linewidth=1, linestyle=":")
section.figure(
    fig,
    "singular_values",
    caption="The singular values of the encoder's Jacobian in descending order, a mean over test digits, for the "
    "plain, the denoising and the contractive autoencoder. Below the dotted line at 1 the encoder contracts. The "
    "penalty lowers all values, and lowers the later ones most.",
    alt="Three falling curves on a logarithmic axis with a dotted line at 1. The curve of the contractive autoencoder "
    "lies lowest and falls most steeply, almost all of it below 1.",
)

# %% [markdown]
# ## Figure 14.10: tangents
# At one digit, the leading right singular vectors of Jf against the principal directions of its neighbours of the data.

# %%
rows = {}
own, _ = contractive.tangents(x[:2], k=8)
for i in (0, 1):
    near = X[np.argsort(np.square(X - x[i]).sum(axis=1))[:30]]
    local = np.linalg.svd(near - near.mean(axis=0), full_matrices=False)[2][:8]
    for name, tangents in {"local PCA": local, "contractive": own[i]}.items():
        grey = 0.5 + 0.5 * tangents / np.abs(tangents).max(axis=1, keepdims=True)
        rows[f"{name}, digit {i + 1}"] = np.vstack([x[i : i + 1], grey])
section.figure(
    plots.images(rows, "Figure 14.10: a digit, and its tangents (dark > 0, light < 0, grey = 0)"),
    "tangents",
    caption="Left, a test digit; then eight directions in which it may change, once from the principal components "
    "of its 30 nearest training digits (local PCA) and once from the leading singular vectors of the contractive "
    "autoencoder's Jacobian. In the book the autoencoder's tangents are the more accurate ones. Here, at λ = 10, "
    "those of local PCA are crisp, and the autoencoder's are blobs.",
    alt="Four rows: two digits, each with eight tangents by local PCA, which show displaced strokes, and eight by the "
    "contractive autoencoder, which are smooth blobs.",
)

# %% [markdown]
# ## A denoiser is contractive too
# E ‖r(x + ε) − x‖² = ‖r − x‖² + σ² (‖∂r/∂x‖² + (r − x)·∇²r) + O(σ⁴), by Taylor's formula for any r = g(f(x)). Only
# where r − x = O(σ²), as at the optimum, does the term with ∇²r drop out, and a denoiser then has a contractive penalty
# on r, where (14.18) has one on h (Alain and Bengio 2014). Does training with noise contract r?

# %%
options = dict(activation="tanh", loss="gaussian", dtype="float64", backend=section.backend)
x0, sigma, slopes = x[:20].astype(np.float64), 0.1, {"plain": [], "denoising": []}
for seed in section.seeds:
    denoiser = DenoisingAutoencoder((784, 50), corruption="gaussian", level=sigma, seed=seed, **options)
    for name, model in {
        "plain": UndercompleteAutoencoder((784, 50), seed=seed, **options),
        "denoising": denoiser,
    }.items():
        model.fit(X[:2000], epochs=section.pick(5, 15, 15), optimizer=Adam(2e-3), seed=seed)
        h = section.backend.from_numpy(model.encode(x0))
        dr = section.backend.to_numpy(model.g.jacobian(h)) @ model.jacobian(x0)  # ∂r/∂x = ∂g/∂h ∂f/∂x
        slopes[name].append(np.linalg.norm(dr, axis=(1, 2)).mean())
plain, denoising = (section.number("mean ‖∂r/∂x‖", slopes[name], of=f"{name}, 50 units") for name in slopes)
section.claim("training with noise contracts r: ‖∂r/∂x‖", denoising, "<", plain)
eps = 0.01 * np.random.default_rng(section.seed).standard_normal((section.pick(100, 300, 300), 20, 784))
error = [np.square(denoiser.reconstruct(x0 + sign * e) - x0).sum(axis=1).mean() for e in eps for sign in (1, -1)]
extra = np.mean(error) - np.square(denoiser.reconstruct(x0) - x0).sum(axis=1).mean()
expected = 0.01**2 * np.square(dr).sum(axis=(1, 2)).mean()
section.number("extra error by noise of σ = 0.01 over σ² ‖∂r/∂x‖²", extra / expected, of="denoising, 50 units")

# %% [markdown]
# ## What the codes say of the digit
# A softmax regression reads the digit off the code, and off the pixels. No code was trained for that. With 300 units
# the DAE and then the AE come out a little ahead of the pixels; the CAE at λ = 10 has given up too much and comes last.

# %%
errors = [
    probe_error(X, digits.train_labels, X_test, digits.test_labels, seed, section.backend) for seed in section.seeds
]
section.number("error % of a linear probe", errors, of="pixels")
for name in kinds:
    pairs = zip(models[name], section.seeds, strict=True)
    errors = [
        probe_error(
            model.encode(X), digits.train_labels, model.encode(X_test), digits.test_labels, seed, section.backend
        )
        for model, seed in pairs
    ]
    section.number("error % of a linear probe", errors, of=f"code of {name}")

worst = check_gradient(contractive, X_test[:3], entries=30).worst.error
section.claim(
    "the gradient is that of J, L and Ω", section.number("largest error of the gradient check", worst), "<=", 1e-7
)

section.finish()

"""14.2.1 Sparse Autoencoders

Equations: 14.2, 14.3, 14.4, 14.5, 14.6, 14.7
Figures: none in the book; learned features, activity of the code, what a code copies

A code wider than x could copy x and learn nothing. A sparse autoencoder forbids the copy with a penalty on the code,

    J = L(x, g(f(x))) + Ω(h)     (14.2)

Read as a model with latent h, log p(x) = log Σ_h p(h, x)     (14.3) is approximated at one h, the code, by

    log p(h, x) = log p(h) + log p(x | h)     (14.4)

and a Laplace prior p(h_i) = λ/2 e^{−λ|h_i|}     (14.5) gives the penalty Ω(h) = λ Σ_i |h_i|     (14.6), because

    −log p(h) = Σ_i (λ|h_i| − log λ/2) = Ω(h) + const     (14.7)

Another Ω, by Ng: the divergence KL(ρ ‖ ρ̂_j) between a target rate ρ and the rate ρ̂_j at which unit j is on in the
batch.

Symbols: minae/NOTATION.md. The forward and backward pass: minae/autoencoders/sparse.py.
"""

# %%
import warnings

import numpy as np
from scipy import stats

from minae import SparseAutoencoder, UndercompleteAutoencoder, check_gradient, data, plots
from minae.chapters import Section
from minae.optimizers import Adam, Cosine
from minae.penalties import Laplace

section = Section(__doc__)
digits = data.mnist(full=section.size == "full")
X, X_test = digits.train, digits.test  # (rows, 784), pixels in [0, 1]
options = dict(backend=section.backend, seed=section.seed)


def train(model, epochs, lr):
    optimizer = Adam(Cosine(lr, steps=epochs * -(-len(X) // 128)))
    return model, model.fit(X, epochs=epochs, optimizer=optimizer, validation=X_test, seed=section.seed)


def squared_error(model, x):
    return float(np.square(x - model.reconstruct(x)).sum(axis=1).mean())


# %% [markdown]
# ## The L1 penalty is a Laplace prior     (14.5 to 14.7)
# λ Ω(h) and −log p(h) must differ by the same constant for every h: m log(2/λ).

# %%
lam, h = 0.7, np.random.default_rng(section.seed).standard_normal((5, 12))
minus_log_p = -stats.laplace(scale=1 / lam).logpdf(h).sum(axis=1)
Omega = np.array([lam * float(Laplace().value(row[None])) for row in h])
spread = section.number(
    "−log p(h) − Ω(h) − m log(2/λ), largest", np.abs(minus_log_p - Omega - 12 * np.log(2 / lam)).max()
)
section.claim("Ω = λ Σ |h| is −log of a Laplace prior, but for a constant", spread, "<=", 1e-12)

# %% [markdown]
# ## KL(ρ ‖ ρ̂) reaches its ρ
# 200 sigmoid units for 784 pixels, each to be on in one image of twenty.

# %%
rho = 0.05
long = dict(epochs=section.pick(6, 25, 10), lr=section.pick(1e-2, 5e-3, 5e-3))
sparse, history = train(SparseAutoencoder((784, 200), penalty="kl", rho=rho, lam=30.0, **options), **long)
plain, _ = train(UndercompleteAutoencoder((784, 200), **options), **long)
h = sparse.encode(X_test)
rate = section.number("mean rate ρ̂ of a unit, KL-sparse, ρ = 0.05", h.mean())
rate_plain = section.number("mean rate of a unit, no penalty", plain.encode(X_test).mean())
section.claim("ρ̂ comes within 20% of ρ", abs(rate - rho) / rho, "<=", 0.2)
section.claim("without the penalty the code is dense", rate_plain, ">", 2 * rho)
W = section.backend.to_numpy(sparse.parameters["W1"]).T
W = W[np.argsort(-np.linalg.norm(W, axis=1))[:24]]
W = 0.5 + 0.5 * W / np.abs(W).max(axis=1, keepdims=True)  # grey is 0
section.figure(plots.images({"W, 1–12": W[:12], "W, 13–24": W[12:]}, "Features of the KL-sparse code"), "features")
section.figure(plots.curves({"KL-sparse": history}, term="L", ylabel="L, nats per image"), "learning_curves")

# %% [markdown]
# ## An overcomplete code that is not the identity
# The identity lets everything through. So add noise n to test digits and see which share of it reaches the output,
# ‖r(x + n) − r(x)‖² / ‖n‖²: 1 for the identity. Both networks have 1000 ReLU units for 784 pixels; one has a penalty.

# %%
wide = dict(sizes=(784, 1000), activation="relu", loss="gaussian", **options)
short = dict(epochs=section.pick(3, 10, 6), lr=2e-3)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # minae warns of a code this wide without a penalty: it is what we want to see
    copier, _ = train(UndercompleteAutoencoder(**wide), **short)
l1, _ = train(SparseAutoencoder(penalty="l1", lam=0.3, **wide), **short)
noise = 0.3 * np.random.default_rng(section.seed).standard_normal(X_test.shape).astype(np.float32)
passed, on = {}, {}
for name, model in {"no penalty": copier, "L1": l1}.items():
    moved = model.reconstruct(X_test + noise) - model.reconstruct(X_test)
    share = np.square(moved).sum() / np.square(noise).sum()
    passed[name] = section.number(f"share of the noise that passes, {name}", share)
    on[name] = section.number("  share of the units that are on", (model.encode(X_test) > 1e-3).mean())
    section.number("  squared error on test digits", squared_error(model, X_test))
section.claim("the penalty keeps a wide code from the identity", passed["L1"], "<", passed["no penalty"])
section.claim("and makes it sparse", on["L1"], "<", 0.5 * on["no penalty"])
x = X_test[:12]
rows = {"x": x, "x + n": x + noise[:12], "r, L1": l1.reconstruct(x + noise[:12])}
rows |= {"r, no penalty": copier.reconstruct(x + noise[:12])}
section.figure(plots.images(rows, "What a code of 1000 units lets through"), "copies")

# %% [markdown]
# The gradient of Ω alone: through ρ̂, every example of the batch takes part in every other's.

# %%
worst = check_gradient(sparse, X_test[:4], entries=30).worst.error
section.claim("the gradient is that of J, L and Ω", section.number("gradient check, largest error", worst), "<=", 1e-7)

section.finish()

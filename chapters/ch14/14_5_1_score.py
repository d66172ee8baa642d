"""14.5.1 Estimating the Score

Equations: 14.15, 14.16, 14.17
Figures: vector_field (14.5: the field of a denoising autoencoder around a curved 1-D manifold); chains (digits drawn by
a Markov chain)

The score of a density is the gradient of its logarithm,

    ∇_x log p(x)     (14.15)

and to learn it is one way to learn p. A denoising autoencoder trained with

    ‖g(f(x̃)) − x‖²     (14.16)

and the corruption

    C(x̃ | x) = N(x̃; x, σ² I)     (14.17)

does so: the best r = g∘f is r(x̃) = E[x | x̃] = x̃ + σ² ∇ log p_σ(x̃), where p_σ is the density of x̃ (Miyasawa 1961;
Vincent 2011; Alain and Bengio 2014). So (r(x) − x)/σ² is a vector field, and here we know the true one.

14.5.1.1: MLPs denoise since 1987 (LeCun; Gallinari et al.); to get a code by it came with Vincent et al. 2008, 2010.

Symbols: minae/NOTATION.md. `score`, `langevin` and `chain`: minae/models/denoising.py.
"""

# %%
import numpy as np
from scipy.special import logsumexp, softmax

from minae import DenoisingAutoencoder, check_gradient, data, plots
from minae.chapters import Section
from minae.chapters.classical import PCA, KMeans
from minae.training import Adam, Cosine

section = Section("14.5.1")
rng = np.random.default_rng(section.seed)
sigma, device = 0.3, dict(backend=section.backend)

# %% [markdown]
# ## A density with a known score
# Points spread with s.d. 0.1 around a spiral in the plane: a mixture of 200 Gaussians along it. Smoothed by N(0, σ² I)
# it is the same mixture with variance 0.1² + σ², so p_σ and its score are exact for every σ.

# %%
t = np.linspace(0.5, 1.0, 200)[:, None] * 3 * np.pi
centres, spread = t / 3 * np.hstack([np.cos(t), np.sin(t)]), 0.1


def draw(rows, noise=0.0):
    return centres[rng.integers(200, size=rows)] + np.hypot(spread, noise) * rng.standard_normal((rows, 2))


def true_score(x, noise):
    """∇ log Σ_k N(x; c_k, v I) = Σ_k p(k | x) (c_k − x)/v,  v = spread² + noise²"""
    v = spread**2 + noise**2
    away = centres - x[:, None]  # (rows, 200, 2)
    return (softmax(-np.square(away).sum(axis=2) / (2 * v), axis=1)[:, :, None] * away).sum(axis=1) / v


# %% [markdown]
# ## The denoiser's score against it
# Errors are averaged where x̃ lies, x̃ ~ p_σ.

# %%
rows, epochs = section.pick(10000, 30000, 50000), section.pick(30, 60, 100)


def train(seed):
    options = dict(activation="tanh", loss="gaussian", corruption="gaussian", level=sigma, seed=seed, **device)
    model = DenoisingAutoencoder((2, 128, 128), **options)
    X = draw(rows).astype(np.float32)
    model.fit(X, epochs=epochs, batch_size=500, optimizer=Adam(Cosine(5e-3, steps=epochs * rows // 500)), seed=seed)
    return model


models, x = [train(seed) for seed in section.seeds], draw(5000, sigma).astype(np.float32)
true, estimates = true_score(x, sigma), [model.score(x) for model in models]
errors = [float(np.linalg.norm(s - true) / np.linalg.norm(true)) for s in estimates]
cosines = [float((s * true).sum() / np.linalg.norm(s) / np.linalg.norm(true)) for s in estimates]
error = section.number("relative L2 error", errors, of=f"score by the denoiser, σ = {sigma}")
cosine = section.number("cosine with the true score", cosines, of=f"score by the denoiser, σ = {sigma}")
section.claim("the denoiser has learned most of the score: relative error", error, "<=", 0.2)
section.guard("relative error of the score", error, "<=", 0.1)
section.guard("cosine with the true score", cosine, ">=", 0.99)
wrong = float(np.linalg.norm(estimates[0] - true_score(x, 0)) / np.linalg.norm(true_score(x, 0)))
section.claim("it is the score of p_σ, not of p: relative error there", wrong, ">", 3 * error)

# %% [markdown]
# Figure 14.5: the field points to the manifold from all around, and is zero on it, where the density is largest.

# %%
side = np.linspace(-4, 4, 25)
grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2).astype(np.float32)
near = np.square(grid[:, None] - centres).sum(axis=2).min(axis=1) < 1  # where there are x̃ to learn from
fields = {"r(x) − x": models[0].reconstruct(grid) - grid, "σ² ∇ log p_σ(x), exact": sigma**2 * true_score(grid, sigma)}
panels = {name: (grid[near], field[near]) for name, field in fields.items()}
section.figure(
    plots.fields(panels, draw(1500), "Figure 14.5: the vector field around a manifold"),
    "vector_field",
    caption="Left, the arrows r(x) − x of the trained denoiser; right, σ² times the exact score of the smoothed "
    "density p_σ. The data lie on the grey spiral. Arrows are drawn where training saw points, within 1 of the "
    "spiral. They point to it from both sides and vanish on it.",
    alt="Two panels with a grey arc of about three quarters of a turn. In both, arrows on either side of the arc point "
    "to its nearest point and are longer further away; the panels look alike.",
)

# %% [markdown]
# ## Sampling by Langevin steps
# x ← x + δ/2 score(x) + √δ ε draws from p_σ as δ → 0 and the steps go on. From one point far from the data, 500 chains
# must find the manifold and spread along all of it.

# %%
start = np.tile([3.0, 0.0], (section.pick(300, 500, 500), 1))
got = models[0].langevin(start, steps=section.pick(1500, 2500, 2500), size=0.05, seed=section.seed)[-1]
expected = draw(20000, sigma)
away = [np.sqrt(np.square(z[:, None] - centres).sum(axis=2).min(axis=1)).mean() for z in (got, expected[:2000])]
off = abs(np.cov(got.T) - np.cov(expected.T)).max() / np.var(expected, axis=0).max()
section.claim("Langevin samples spread as p_σ does: covariance, relative error", off, "<=", 0.25)
near = section.number("distance to the manifold over that of p_σ", away[0] / away[1], of="Langevin samples")
section.claim(
    "Langevin samples lie as near to the manifold as p_σ: ratio off 1",
    abs(near - 1),
    "<=",
    section.pick(0.25, 0.15, 0.15),
)

# %% [markdown]
# ## Sampling digits by the denoiser's Markov chain
# Spoil, denoise, draw, again and again (Bengio et al. 2013; book, 20.11). The usual measure fits a Parzen window to
# 10,000 samples, here 50 steps of 200 chains (Breuleux et al. 2011). It rewards blurred prototypes: see the baselines.

# %%
digits = data.mnist(full=section.size == "full")
X, X_test, X_width = digits.train[:-1000], digits.test[:2000], digits.train[-1000:]
units, epochs = section.pick(200, 500, 500), section.pick(3, 10, 5)


def parzen(samples, x, width):
    """Mean log-density of x under a Gaussian of s.d. `width` around each sample."""
    d2 = np.square(x).sum(axis=1)[:, None] + np.square(samples).sum(axis=1) - 2 * x @ samples.T
    log_p = logsumexp(-d2 / (2 * width**2), axis=1) - np.log(len(samples))
    return float((log_p - x.shape[1] * np.log(width * np.sqrt(2 * np.pi))).mean())


def log_likelihood(samples):
    width = max((0.13, 0.16, 0.2, 0.25, 0.3), key=lambda width: parzen(samples, X_width, width))
    return parzen(samples, X_test, width)


chains, values = [], []
for seed in section.seeds:
    model = DenoisingAutoencoder((784, units), activation="relu", level=0.5, seed=seed, **device)
    optimizer = Adam(Cosine(2e-3, steps=epochs * -(-len(X) // 128)))
    model.fit(X, epochs=epochs, optimizer=optimizer, seed=seed)
    chains.append(model.chain(X[:200], steps=section.pick(30, 70, 70), seed=seed)[20:])  # forgets the first 20
    values.append(log_likelihood(chains[-1].reshape(-1, 784)))
published = "DBN 138, stacked CAE 121, deep GSN 214, GAN 225 (seen; Bengio et al. 2013, Goodfellow et al. 2014)"
value = section.number("Parzen log-likelihood, nats", values, published, of="samples of the chain")
baselines = {"a Gaussian on 50 components": PCA(X, 50).sample(10000, rng).clip(0, 1), "training images": X[:10000]}
baselines["1000 centroids of k-means"] = KMeans(X, 1000, iterations=section.pick(2, 10, 10)).centroids
for name, samples in baselines.items():
    section.number("Parzen log-likelihood, nats", log_likelihood(samples), of=name)
section.guard("Parzen log-likelihood of the samples, nats", value, ">", 120)
rows = {f"chain {k + 1}": chains[0][::2, k][:12] for k in range(5)}
section.figure(
    plots.images(rows, "Five chains on digits, every second step"),
    "chains",
    caption="Each row is one chain, which spoils a digit, denoises it, and draws pixels from what comes out, again and "
    "again. Every second step is drawn. Look for the places where a digit turns into another by way of shapes that are "
    "still digits.",
    alt="Five rows of twelve digits. Along a row neighbouring digits resemble each other, and some rows pass from one "
    "class to another.",
)

# %%
worst = check_gradient(models[0], draw(4), entries=40).worst.error
section.claim("the gradient is that of J", section.number("largest error of the gradient check", worst), "<=", 1e-7)

section.finish()

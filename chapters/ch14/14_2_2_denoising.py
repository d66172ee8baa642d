"""14.2.2 Denoising Autoencoders

Equations: 14.8, 14.9
Figures: none in the book; the undone corruption, features

Instead of adding a penalty to     L(x, g(f(x)))     (14.8), a denoising autoencoder changes its input: it minimises

    L(x, g(f(x̃)))     (14.9)

where x̃ is a copy of x that was spoiled by noise. It has to undo the corruption, which takes knowledge of the data;
copying its input would bring the noise along.

Symbols: minae/NOTATION.md. The forward and backward pass: minae/autoencoders/denoising.py; C(x̃ | x):
minae/corruptions.py.
"""

# %%
import numpy as np

from minae import DenoisingAutoencoder, UndercompleteAutoencoder, check_gradient, data, plots
from minae.chapters import Section
from minae.corruptions import CORRUPTIONS
from minae.optimizers import Adam, Cosine

section = Section(__doc__)
digits = data.mnist(full=section.size == "full")
X, X_test = digits.train, digits.test  # (rows, 784), pixels in [0, 1]
options = dict(activation="relu", backend=section.backend, seed=section.seed)
epochs, units = section.pick(5, 15, 10), section.pick(200, 500, 1000)
levels = {"gaussian": 0.3, "masking": 0.4, "salt_and_pepper": 0.25}


def train(model):
    optimizer = Adam(Cosine(3e-3, steps=epochs * -(-len(X) // 64)))
    model.fit(X, epochs=epochs, batch_size=64, optimizer=optimizer, seed=section.seed)
    return model


def squared_error(r, x):
    return float(np.square(x - r).sum(axis=1).mean())


def corrupt(name, x):
    return CORRUPTIONS[name](levels[name])(x, np.random.default_rng(section.seed))


# %% [markdown]
# ## The undone corruption
# One denoiser for each kind of noise, against an autoencoder of the same size that never saw noise, on test digits.

# %%
plain, rows = train(UndercompleteAutoencoder((784, units), **options)), {"x": X_test[:12]}
for name, level in levels.items():
    denoiser = train(DenoisingAutoencoder((784, units), corruption=name, level=level, **options))
    x_tilde = corrupt(name, X_test)
    before = section.number(f"squared error of x̃, {name} {level}", squared_error(x_tilde, X_test))
    error_plain = section.number("  r by the plain autoencoder", squared_error(plain.reconstruct(x_tilde), X_test))
    error = section.number("  r by the denoising autoencoder", squared_error(denoiser.reconstruct(x_tilde), X_test))
    section.claim(f"the denoiser undoes most of the noise, {name}", error, "<", 0.5 * before)
    section.claim(f"and more than an autoencoder that never saw noise, {name}", error, "<", error_plain)
    rows |= {f"x̃, {name}": x_tilde[:12], f"r, {name}": denoiser.reconstruct(x_tilde[:12])}
section.figure(plots.images(rows, "Clean digits, corrupted, and denoised"), "denoised")

# %% [markdown]
# ## Features
# The weights into single units, those of the largest weight of each network, without and with noise.


# %%
def features(model):
    W = section.backend.to_numpy(model.parameters["W1"]).T
    W = W[np.argsort(-np.abs(W).max(axis=1))[:12]]
    return 0.5 + 0.5 * W / np.abs(W).max(axis=1, keepdims=True)  # grey is 0


rows = {"plain": features(plain), "denoising": features(denoiser)}
section.figure(plots.images(rows, "Weights into one unit"), "features")

# %% [markdown]
# The corruption is an argument of the cost, so the gradient is checked with x̃ held fixed.

# %%
worst = check_gradient(denoiser, X_test[:4], entries=30).worst.error
section.claim("the gradient is that of J", section.number("gradient check, largest error", worst), "<=", 1e-7)

section.finish()

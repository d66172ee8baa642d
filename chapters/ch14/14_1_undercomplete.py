"""14.1 Undercomplete Autoencoders

Equations: 14.1
Figures: none in the book; reconstructions, learning curves and 2-D codes of our own

An autoencoder copies its input to its output through a code: h = f(x), r = g(h). A perfect copy is useless; the code is
what we want. The plainest way to forbid the copy is a code narrower than x, and then to minimise     (14.1)

    L(x, g(f(x)))

where L punishes g(f(x)) for being unlike x. This script shows the section's two statements:
  1. with a linear decoder and squared error it learns PCA's subspace (here f is linear too; Baldi and Hornik 1989);
  2. with nonlinear f and g it can learn a more powerful generalisation of PCA.

Symbols are the book's: minae/NOTATION.md. The model's forward and backward pass: minae/models/undercomplete.py.
"""

# %%
import numpy as np

from minae import UndercompleteAutoencoder, check_gradient, data, plots
from minae.chapters import Section
from minae.chapters.classical import PCA
from minae.training import Adam, Cosine

section = Section(__doc__)
digits = data.mnist(full=section.size == "full")
X, X_test = digits.train, digits.test  # (rows, 784), pixels in [0, 1]
device = dict(backend=section.backend)


def squared_error(model, x):
    """‖x − g(f(x))‖², summed over pixels, mean over images."""
    return float(np.square(x - model.reconstruct(x)).sum(axis=1).mean())


# %% [markdown]
# PCA is the baseline of the whole section. Its code is h = Dᵀ(x − μ), where the columns of D are the k leading
# eigenvectors of the covariance (book, 2.12, with μ = 0), its reconstruction r = D h + μ. Of all linear codes of size k
# it has the smallest squared error, so a linear autoencoder can reach it and never beat it (chapters/classical.py).

# %% [markdown]
# ## 1. Linear f and g: the principal subspace
# First where the subspace is unmistakable: 20-dimensional data with three large variances and a gap below them. The
# rows of the decoder's V span a subspace; let the columns of Q be an orthonormal basis of it. The cosines of its angles
# with PCA's subspace are the singular values of QᵀD, and must be 1.

# %%
rng = np.random.default_rng(section.seed)
axes = np.linalg.qr(rng.standard_normal((20, 20)))[0]
z = rng.standard_normal((1000, 20)) * np.r_[3.0, 2.5, 2.0, np.full(17, 0.5)] @ axes

linear = UndercompleteAutoencoder((20, 3), activation="identity", loss="gaussian", dtype="float64", **device)
linear.fit(z, optimizer="lbfgs", epochs=200)
Q = np.linalg.qr(section.backend.to_numpy(linear.parameters["V1"]).T)[0]
cosine = section.number("cosine of the largest angle", np.linalg.svd(Q.T @ PCA(z, 3).D, compute_uv=False).min())
section.claim("a linear autoencoder spans the principal subspace", cosine, ">", 0.999)


# %% On digits the eigenvalues have no gap, so the angles say little; the error does. Here Adam trains, by minibatches.
def train(sizes, epochs, seed=section.seed, lr=2e-3, **options):
    """An autoencoder trained by Adam, with a learning rate that falls from lr to 0 along a cosine."""
    model = UndercompleteAutoencoder(sizes, seed=seed, **options, **device)
    optimizer = Adam(Cosine(lr, steps=epochs * -(-len(X) // 128)))
    return model, model.fit(X, epochs=epochs, optimizer=optimizer, validation=X_test, seed=seed)


linear, _ = train((784, 10), section.pick(12, 40, 10), lr=1e-2, activation="identity", loss="gaussian")
error = section.number("squared error, linear autoencoder, k = 10", squared_error(linear, X))
error_pca = section.number("squared error, PCA, k = 10", squared_error(PCA(X, 10), X))
section.claim("a linear autoencoder comes within 0.5% of PCA", error / error_pca, "<=", 1.005)
section.claim("and cannot beat it, on the data that PCA was fitted to", error / error_pca, ">=", 0.9999)

# %% [markdown]
# ## 2. Nonlinear f and g: better than PCA at the same code size
# One hidden ReLU layer on each side of a linear code of 30 numbers. Pixels are read as probabilities, so L is the
# Bernoulli −log p(x | h); the error that is compared below is still the squared one, which is PCA's own measure.


# %%
relu = dict(activation="relu", code="identity", loss="bernoulli")
pca = PCA(X, 30)
source, name = "Hinton and Salakhutdinov 2006)", "squared error on the test images, PCA, k = 30"
error_pca = section.number(name, squared_error(pca, X_test), f"13.87 (recalled; {source}")
runs = [train((784, 256, 30), section.pick(6, 25, 12), seed, **relu) for seed in section.seeds]
error = section.number("  autoencoder 784-256-30", [squared_error(model, X_test) for model, _ in runs])
section.claim("a nonlinear autoencoder beats PCA at the same code size", error, "<", error_pca)

model, history = runs[0]
x = X_test[:: len(X_test) // 12]
rows = {"x": x, "autoencoder": model.reconstruct(x), "PCA": pca.reconstruct(x)}
section.figure(plots.images(rows, "Test digits and their reconstructions from 30 numbers"), "reconstructions")
section.figure(plots.curves({"784-256-30": history}, ylabel="J, nats per image"), "learning_curves")

# %% [markdown]
# The gradient that trained this model was derived by hand. Anybody may hold it against finite differences of J:

# %%
worst = check_gradient(model, X_test[:4], entries=40).worst.error
section.claim("the gradient is that of J", section.number("gradient check, largest error", worst), "<=", 1e-7)

# %% [markdown]
# ## 3. A code that can be drawn
# With two numbers a digit, a code is a point of the plane. No label was used; yet neighbours are mostly of one class,
# which the accuracy of a 1-nearest-neighbour classifier on the two numbers measures.


# %%
def neighbour_accuracy(model):
    """Share of test digits whose nearest training code has their label."""
    from scipy.spatial import cKDTree

    _, nearest = cKDTree(model.encode(X)).query(model.encode(X_test))
    return float((digits.train_labels[nearest] == digits.test_labels).mean())


planar_pca, planar = PCA(X, 2), [train((784, 256, 64, 2), section.pick(6, 40, 15), s, **relu)[0] for s in section.seeds]
accuracy = section.number("1-NN accuracy on 2-D codes, autoencoder", [neighbour_accuracy(m) for m in planar])
accuracy_pca = section.number("1-NN accuracy on 2-D codes, PCA", neighbour_accuracy(planar_pca))
section.claim("two numbers of an autoencoder tell more of the digit than PCA's", accuracy, ">", accuracy_pca)
panels = {"autoencoder 784-256-64-2": planar[0].encode(X_test), "PCA": planar_pca.encode(X_test)}
section.figure(plots.codes(panels, digits.test_labels, "Test digits as two numbers"), "codes")

# %% [markdown]
# ## At full size: the published figures
# Hinton and Salakhutdinov (2006) report 13.87 for PCA and 3.00 for 784-1000-500-250-30, pretrained by RBMs and then
# trained for 250 epochs. Here the same widths, with ReLU, start from random weights and have ten epochs.

# %%
if section.size == "full":
    deep = [squared_error(train((784, 1000, 500, 250, 30), 10, seed, **relu)[0], X_test) for seed in section.seeds]
    published = f"3.00, pretrained, 250 epochs (seen; {source}"
    error_deep = section.number("  autoencoder 784-1000-500-250-30", deep, published)
    section.claim("784-1000-500-250-30", error_deep, "<=", 5.0)
    section.claim("784-256-30", error, "<=", 6.0)
    section.claim("PCA agrees with the published 13.87", abs(error_pca - 13.87), "<=", 0.02)
    section.claim("1-NN accuracy on 2-D codes", accuracy, ">=", 0.65)

section.finish()

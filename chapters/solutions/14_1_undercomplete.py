"""14.1 Undercomplete Autoencoders, exercise 2: how many numbers PCA needs to do as well as an autoencoder with 30.

The columns of D are orthonormal, so ‖x − r‖² = ‖x − μ‖² − ‖h‖²: each further component takes the square of its own
number off the error. So one eigendecomposition gives the error of every k, as a running sum.
"""

# %%
import numpy as np

from minae import UndercompleteAutoencoder
from minae.chapters import Section
from minae.chapters.classical import PCA
from minae.training import Adam, Cosine

section = Section("14.1", exercise=2)
digits = section.data()
X, X_test = digits.train, digits.test

# %%
epochs, errors = section.pick(6, 25, 12), []
for seed in section.seeds:
    sizes = (X.shape[1], 256, 30)
    model = UndercompleteAutoencoder(sizes, activation="relu", code="identity", seed=seed, backend=section.backend)
    model.fit(X, epochs=epochs, optimizer=Adam(Cosine(2e-3, steps=epochs * -(-len(X) // 128))), seed=seed)
    errors.append(np.square(X_test - model.reconstruct(X_test)).sum(axis=1).mean())
error = section.number("squared error, test images", errors, of="autoencoder 784-256-30")

# %%
pca = PCA(X, X.shape[1])
energy = np.square(pca.encode(X_test)).mean(axis=0)  # E h_j²
total = np.square(X_test - pca.mu).sum(axis=1).mean()  # E ‖x − μ‖²
error_pca = total - np.cumsum(energy)  # of k = 1, 2, …
k = section.number("numbers that PCA needs for that error", 1 + int(np.argmax(error_pca <= error)), of="PCA")
check = float(np.square(X_test - PCA(X, 30).reconstruct(X_test)).sum(axis=1).mean())
section.claim(
    "the running sum is PCA's error: relative difference at k = 30", abs(error_pca[29] / check - 1), "<=", 1e-3
)
section.claim("PCA needs more numbers than the autoencoder's 30", k, ">", section.pick(30, 60, 60))

section.finish()

"""A.1 Seeing Data, exercise 2: a place for new rows in a map of t-SNE.

A new row goes to the mean place of its three nearest rows of the data, or to the place of the nearest one. The second
is the better way. If the three lie on different islands, their mean is a place between islands, and its neighbours
there are strangers. A place that somebody has is at least a place among rows that are alike.
"""

# %%
import numpy as np
from scipy.spatial.distance import cdist

from minae import data
from minae.chapters import Section
from minae.chapters.applications.maps import PCA, TSNE
from minae.metrics.clustering import neighbours

section = Section("A.1", exercise=2)
rows = section.pick(800, 800, 1000)  # in a map of 300 it hangs on the seed, and on the processor
digits = data.mnist()
X, X_new = digits.train[:rows], digits.test[:300]


def among(h, count=3):
    """The mean place of the `count` nearest rows."""
    nearest = np.argsort(cdist(X_new, X), axis=1)[:, :count]
    return h[nearest].mean(axis=1)


pca, tsne = PCA(X), TSNE(X, section.seed, iterations=section.pick(500, 500, 1000))
trust = {}
for name, h, h_new in (
    ("PCA", pca.h, pca.place(X_new)),
    ("t-SNE, mean of three", tsne.h, among(tsne.h)),
    ("t-SNE, the nearest", tsne.h, among(tsne.h, 1)),
):
    trust[name] = section.number("trustworthiness of new rows", neighbours(X, h, 10, X_new, h_new)[0], of=name)
section.claim("t-SNE, mean of three: trustworthiness of new rows", trust["t-SNE, mean of three"], ">", 0.85)
section.claim("and above PCA's by", trust["t-SNE, mean of three"] - trust["PCA"], ">", 0)

# %%
section.finish()

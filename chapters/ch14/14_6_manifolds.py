"""14.6 Learning Manifolds with Autoencoders

Equations: none
Figures: 14.6 (a translated digit), 14.7 (r(x) crosses the identity), 14.8 (neighbour graph), 14.9 (tiled tangents)

Data concentrate around a manifold of low dimension. At a point of it, the tangent plane holds the directions in which x
may change and stay on the manifold. An autoencoder serves two forces: to reconstruct the training examples, and to be
insensitive to x. Together they make h follow the changes along the manifold and ignore those across it.

Symbols: minae/NOTATION.md. `tangents`, the singular vectors of Jf: minae/autoencoders/base.py.
"""

# %%
import numpy as np
from scipy import ndimage
from scipy.sparse.csgraph import shortest_path
from scipy.spatial import cKDTree
from scipy.special import logsumexp

from minae import ContractiveAutoencoder, DenoisingAutoencoder, data, plots
from minae.chapters import Section
from minae.chapters.rivals import PCA
from minae.optimizers import Adam, Cosine

section = Section(__doc__)
rng = np.random.default_rng(section.seed)
digits = data.mnist(full=section.size == "full")
X, X_test = digits.train, digits.test  # (rows, 784), pixels in [0, 1]
options = dict(backend=section.backend, seed=section.seed)

# %% [markdown]
# ## Figure 14.6: the tangent of a translated digit
# A digit that moves up and down traces a curve in the space of 784 pixels; here it is in the plane of its two leading
# principal components. The tangent at one position is ∂x/∂t: dark where pixels darken, light where they fade.


# %%
def translated(x, t, axis=0):
    """Images (rows, 784) moved by t pixels, a fraction too."""
    step = (0, t, 0) if axis == 0 else (0, 0, t)
    return ndimage.shift(x.reshape(-1, 28, 28), step, order=1).reshape(len(x), 784)


def translation_tangent(x, axis=0):
    return translated(x, 0.5, axis) - translated(x, -0.5, axis)


times, x = np.linspace(-8, 8, 65), X_test[:1]
curve = np.vstack([translated(x, t) for t in times])
plane = PCA(curve, 2).encode(curve)
at = [8, 20, 32, 44, 56]
tangent = np.vstack([translation_tangent(x, axis) for axis in (0, 1)])
grey = 0.5 + 0.5 * tangent / abs(tangent).max(axis=1, keepdims=True)
title = "Figure 14.6: a digit moved up and down, the first two principal components of its path"
edges = np.stack([np.arange(64), np.arange(1, 65)], axis=1)
section.figure(plots.plane(plane, title, edges=edges, thumbnails={i: curve[i] for i in at}), "translation")
section.figure(plots.images({"x": np.repeat(x, 2, axis=0), "∂x/∂t": grey}, "down, right", columns=2), "tangent")

# %% [markdown]
# Nobody told an autoencoder that digits may move. How much of ∂x/∂t lies in the span of its 20 leading tangents? A
# random span of 20 directions would hold 20/784 of it.

# %%
epochs = section.pick(4, 12, 8)
optimizer = Adam(Cosine(section.pick(1e-2, 5e-3, 2e-3), steps=epochs * -(-len(X) // 64)))
contractive = ContractiveAutoencoder((784, section.pick(100, 300, 500)), lam=3.0, **options)
contractive.fit(X, epochs=epochs, batch_size=64, optimizer=optimizer, seed=section.seed)
some = X_test[: section.pick(40, 100, 100)]
T, _ = contractive.tangents(some, k=20)  # (rows, 20, 784)
moved = np.stack([translation_tangent(some, axis) for axis in (0, 1)], axis=2)  # (rows, 784, 2)
share = section.number("share of ∂x/∂t in 20 tangents", (np.square(T @ moved).sum() / np.square(moved).sum()))
near = cKDTree(X).query(some, k=20)[1]
local = np.stack([np.linalg.svd(X[i] - X[i].mean(axis=0), full_matrices=False)[2] for i in near])
section.number("  in 20 directions of local PCA", np.square(local @ moved).sum() / np.square(moved).sum())
section.claim("its tangents know that digits move: share over 20/784", share / (20 / 784), ">", 5)

# %% [markdown]
# ## Figure 14.7: r(x) crosses the identity
# Three training points on a line, and noise of σ = 0.3. At each point r(x) = x with a slope near 0: r is insensitive
# there, and pulls what lies around it in. Between two points it crosses again, steeply, where the pull changes sides.

# %%
points, sigma = np.array([[-2.0], [0.0], [1.5]]), 0.3
form = dict(activation="tanh", loss="gaussian", corruption="gaussian", level=sigma, **options)
line, n = DenoisingAutoencoder((1, 40, 40), **form), section.pick(60, 100, 200)
line.fit(np.repeat(points, 500, axis=0), epochs=n, optimizer=Adam(Cosine(1e-2, steps=n * 12)), seed=section.seed)
axis = np.linspace(-3, 2.5, 400)[:, None]
away = -np.square(axis - points.T) / (2 * sigma**2)
best = (np.exp(away - logsumexp(away, axis=1, keepdims=True)) @ points)[:, 0]  # E[x | x̃]
curves = {"identity": (axis[:, 0], axis[:, 0]), "r(x)": (axis[:, 0], line.reconstruct(axis)[:, 0])}
curves |= {"E[x | x̃], the best r": (axis[:, 0], best), "training points": (points[:, 0], points[:, 0])}
title = "Figure 14.7: an autoencoder that is invariant near three training points"
section.figure(plots.levels(curves, "x", "r(x)", title, markers={"training points"}), "reconstruction")
slope = (line.reconstruct(points + 0.05) - line.reconstruct(points - 0.05)) / 0.1
middle = np.array([[-1.0], [0.75]])
steep = (line.reconstruct(middle + 0.05) - line.reconstruct(middle - 0.05)) / 0.1
section.claim(
    "r(x) = x at the training points, largest difference", abs(line.reconstruct(points) - points).max(), "<=", 0.1
)
section.claim("largest slope of r there", section.number("slope at the points", abs(slope).max()), "<", 0.5)
section.claim("least slope half-way between", section.number("slope between them", steep.min()), ">", 1.0)

# %% [markdown]
# ## Figure 14.8: a neighbour graph
# Without a parametric encoder: join each example to its nearest ones. Along the graph, distances follow the manifold.

# %%
ones = X[digits.train_labels == 1][: section.pick(150, 300, 300)]
distance, index = cKDTree(ones).query(ones, k=4)
graph = np.zeros((len(ones), len(ones)))
graph[np.repeat(np.arange(len(ones)), 3), index[:, 1:].ravel()] = distance[:, 1:].ravel()
geodesic, straight = shortest_path(graph, directed=False), np.linalg.norm(ones[:, None] - ones, axis=2)
joined = np.isfinite(geodesic) & (straight > 0)
longer = section.number("path along the graph over straight line", np.mean(geodesic[joined] / straight[joined]))
section.claim("paths along the data are longer than straight lines", longer, ">", 1.2)
plane, shown = PCA(ones, 2).encode(ones), np.linspace(0, len(ones) - 1, 25).astype(int)
edges = np.stack([np.repeat(np.arange(len(ones)), 3), index[:, 1:].ravel()], axis=1)
title = "Figure 14.8: ones, each joined to its three nearest (drawn in two principal components)"
section.figure(plots.plane(plane, title, edges=edges, thumbnails={i: ones[i] for i in shown}), "neighbours")

# %% [markdown]
# ## Figure 14.9: tiled tangents
# If tangent planes are known, flat Gaussians along them tile the manifold into a density (Vincent and Bengio 2003).
# Around each point of a curve: covariance of its 8 neighbours + ε I, against spheres of the best radius.

# %%
t = rng.uniform(0, 1.5 * np.pi, (400, 1))
curve = np.hstack([t / 2 * np.cos(t), t / 2 * np.sin(t)]) + 0.03 * rng.standard_normal((400, 2))
train, test = curve[:150], curve[150:]
near = train[cKDTree(train).query(train, k=9)[1][:, 1:]] - train[:, None]


def log_density(x, covariance):
    """Mean over x of log of the mean of N(x; x_k, covariance_k)."""
    away = x[:, None] - train
    quadratic = np.einsum("bki,kij,bkj->bk", away, np.linalg.inv(covariance), away)
    log_p = -0.5 * quadratic - 0.5 * np.log(np.linalg.det(covariance)) - np.log(2 * np.pi)
    return float((logsumexp(log_p, axis=1) - np.log(len(train))).mean())


flat = np.einsum("kni,knj->kij", near, near) / 8 + 0.03**2 * np.eye(2)
tiled = section.number("log-density of test points, tiled tangents", log_density(test, flat))
spheres = max(log_density(test, np.tile(s**2 * np.eye(2), (150, 1, 1))) for s in np.geomspace(0.02, 0.5, 15))
section.claim("flat tiles beat the best spheres", tiled, ">", section.number("  spheres, best radius", spheres))
section.figure(plots.plane(train, "Figure 14.9: Gaussians along the tangents", ellipses=flat), "tiles")

section.finish()

"""14.6 Learning Manifolds with Autoencoders

Equations: none
Figures: translation (14.6: a translated digit); tangent (its tangents); reconstruction (14.7: r(x) crosses the
identity); neighbours (14.8: a neighbour graph); tiles (14.9: tiled tangents)

Data concentrate around a manifold of low dimension. At a point of it, the tangent plane holds the directions in which x
may change and stay on the manifold. An autoencoder serves two forces: to reconstruct the training examples, and to be
insensitive to x. Together they make h follow the changes along the manifold and ignore those across it.

Symbols: minae/NOTATION.md. `tangents`, the singular vectors of Jf: minae/models/autoencoder.py.
"""

# %%
import numpy as np
from scipy import ndimage
from scipy.sparse.csgraph import shortest_path
from scipy.spatial import cKDTree
from scipy.special import logsumexp, softmax
from scipy.stats import spearmanr

from minae import ContractiveAutoencoder, DenoisingAutoencoder, data, plots
from minae.chapters import Section
from minae.chapters.classical import PCA
from minae.training import Adam, Cosine

section = Section("14.6")
digits = data.mnist(full=section.size == "full")
X, X_test = digits.train, digits.test  # (rows, 784), pixels in [0, 1]

# %% [markdown]
# ## Figure 14.6: the tangent of a translated digit
# A digit that moves up and down traces a curve in the space of 784 pixels; here it is in the plane of its two leading
# principal components. The tangent at one position is ∂x/∂t. In our pictures ink is dark, so dark is where ink comes as
# t grows, light where it goes, and grey where nothing changes. (In the book white is where pixels brighten.)


# %%
def translated(x, t, axis=0):
    """Images (rows, 784) moved by t pixels, a fraction too."""
    step = (0, t, 0) if axis == 0 else (0, 0, t)
    return ndimage.shift(x.reshape(-1, 28, 28), step, order=1).reshape(len(x), 784)


times, some = np.linspace(-4, 4, 65), X_test[: section.pick(40, 100, 100)]
dx = np.stack([translated(some, 0.5, axis) - translated(some, -0.5, axis) for axis in (0, 1)], axis=2)
curve = np.vstack([translated(some[:1], t) for t in times])
plane, options = PCA(curve, 2).encode(curve), dict(edges=[(k, k + 1) for k in range(64)])
options |= dict(title="Figure 14.6: a digit moved up and down", thumbnails={k: curve[k] for k in range(8, 57, 12)})
components = ("first principal component", "second principal component")
section.figure(
    plots.plane(plane, **options, labels=components),
    "translation",
    caption="A digit that is moved up and down traces a curve in the space of its 784 pixels, drawn here in the plane "
    "of the curve's two leading principal components. Thumbnails show the digit at five places. The curve bends: a "
    "step of one pixel leads in another direction at each place. Its kinks lie at whole pixels, because positions "
    "between two pixels are interpolated linearly.",
    alt="An arch of connected points in the plane, open below, with five thumbnails of the same digit at different "
    "heights along it.",
)
dx /= np.linalg.norm(dx)  # over all rows, so that a share is Σ ‖T ∂x/∂t‖²
grey = 0.5 + 0.5 * (dx[0] / abs(dx[0]).max(axis=0)).T
section.figure(
    plots.images({"x": some[[0, 0]], "∂x/∂t": grey}, "Moved down, and right: dark pixels gain ink", columns=2),
    "tangent",
    caption="A digit, and the tangents ∂x/∂t of two movements at it: to the left, of moving it down; to the right, of "
    "moving it to the right. Dark pixels gain ink as t grows, light pixels lose it, and grey ones stay as they are. "
    "Only the edges of strokes change.",
    alt="Above, the same digit twice. Below, two grey images in which the edges of the digit's strokes are dark on the "
    "side to which the digit moves and light on the other.",
)

# %% [markdown]
# How much of ∂x/∂t lies in the 20 leading tangents of a contractive autoencoder? (In a random span: 20/784 of it.)
# Tangents taken at another digit hold 10 to 30% less. It takes no autoencoder: 20 principal components of all digits
# hold about as much (more than a CAE of 100 units, less than one of 300), and PCA of the 60 nearest digits holds most.

# %%
tangents, epochs = [], section.pick(4, 12, 4)
for seed in section.seeds:
    model = ContractiveAutoencoder((784, section.pick(100, 300, 500)), lam=3.0, seed=seed, backend=section.backend)
    optimizer = Adam(Cosine(section.pick(1e-2, 5e-3, 2e-3), steps=epochs * -(-len(X) // 64)))
    model.fit(X, epochs=epochs, batch_size=64, optimizer=optimizer, seed=seed)
    tangents.append(model.tangents(some, k=20)[0])  # (rows, 20, 784), orthonormal
near = X[cKDTree(X).query(some, k=60)[1]]  # (rows, 60, 784)
local = np.linalg.svd(near - near.mean(axis=1, keepdims=True), full_matrices=False)[2][:, :20]
spans = {"tangents of the CAE at x": tangents, "tangents at another digit": [T[::-1] for T in tangents]}
spans |= {
    "components of all digits (PCA)": [PCA(X, 20).D.T],
    "components of the 60 nearest digits (local PCA)": [local],
}
for name, Ts in spans.items():
    spans[name] = section.number("share of ∂x/∂t", [np.square(T @ dx).sum() for T in Ts], of=f"20 {name}")
own, elsewhere, *_ = spans.values()
section.claim("the tangents hold motion: share over 20/784", own / (20 / 784), ">", 5)
section.claim("the tangents belong to x: share over that at another digit", own / elsewhere, ">", 1.05)

# %% [markdown]
# ## Figure 14.7: r(x) crosses the identity
# Three training points on a line, and noise of σ = 0.3. At each point r(x) = x with a slope near 0: r is insensitive
# there, and pulls what lies around it in. Between two points it crosses again, steeply, where the pull changes sides.

# %%
points, sigma = np.array([[-2.0], [0.0], [1.5]]), 0.3
options = dict(activation="tanh", loss="gaussian", corruption="gaussian", level=sigma, seed=section.seed)
line, n = DenoisingAutoencoder((1, 40, 40), backend=section.backend, **options), section.pick(60, 100, 200)
line.fit(np.repeat(points, 500, axis=0), epochs=n, optimizer=Adam(Cosine(1e-2, steps=n * 12)), seed=section.seed)
axis = np.linspace(-3, 2.5, 400)[:, None]
best = (softmax(-np.square(axis - points.T) / (2 * sigma**2), axis=1) @ points)[:, 0]  # E[x | x̃]
curves = {"identity": (axis[:, 0], axis[:, 0]), "r(x)": (axis[:, 0], line.reconstruct(axis)[:, 0])}
curves |= {"E[x | x̃], the best r": (axis[:, 0], best), "training points": (points[:, 0], points[:, 0])}
section.figure(
    plots.levels(curves, "x", "r(x)", "Figure 14.7: r(x) crosses the identity", markers={"training points"}),
    "reconstruction",
    caption="The reconstruction r(x) of a denoising autoencoder that learned three points of a line, beside the best "
    "possible r, the mean E[x | x̃], and the identity. At a training point r crosses the identity with a small slope, "
    "so that it pulls what lies nearby in; between two points it crosses steeply, where the pull changes sides.",
    alt="A staircase curve with three flat steps at the heights of the three training points, which crosses the "
    "diagonal at each point and between them. The trained curve and the best one nearly coincide.",
)
off, places = abs(line.reconstruct(points) - points).max(), np.vstack([points, [[-1.0], [0.75]]])
slopes = (line.reconstruct(places + 0.05) - line.reconstruct(places - 0.05)) / 0.1
section.claim("r(x) = x at the training points, largest difference", off, "<=", 0.1)
section.claim(
    "largest slope of r there",
    section.number("largest slope of r", abs(slopes[:3]).max(), of="training points"),
    "<",
    0.5,
)
section.claim(
    "least slope half-way between",
    section.number("least slope of r", slopes[3:].min(), of="half-way between training points"),
    ">",
    1.0,
)

# %% [markdown]
# ## Figure 14.8: a neighbour graph
# Without a parametric encoder: join each example to its nearest ones. Do distances along the graph follow the manifold?
# Take one whose coordinate is known: a digit moved right by t, each image joined to its 2 nearest. The straight line
# stops growing, or shrinks, when strokes no longer overlap or meet others; the path goes on with |t_i − t_j|.

# %%
order, apart = [], abs(times[:, None] - times)
for x in some[:20]:
    moving = np.vstack([translated(x[None], t, axis=1) for t in times])
    lengths, index = cKDTree(moving).query(moving, k=3)
    graph = np.zeros_like(apart)
    np.put_along_axis(graph, index[:, 1:], lengths[:, 1:], axis=1)
    geodesic, straight = shortest_path(graph, directed=False), np.linalg.norm(moving[:, None] - moving, axis=2)
    order.append([spearmanr(apart, d, axis=None)[0] for d in (geodesic, straight)])
path = section.number("rank correlation with |t_i − t_j|", np.mean(order, axis=0)[0], of="path along the graph")
chord = section.number("rank correlation with |t_i − t_j|", np.mean(order, axis=0)[1], of="straight line")
section.claim("the path follows t: 1 − correlation, over that of the line", (1 - path) / (1 - chord), "<", 0.1)
ones = X[digits.train_labels == 1][: section.pick(150, 300, 300)]
edges = [(i, j) for i, *others in cKDTree(ones).query(ones, k=4)[1] for j in others]
plane, shown = PCA(ones, 2).encode(ones), {i: ones[i] for i in range(0, len(ones), len(ones) // 25)}
section.figure(
    plots.plane(plane, "Figure 14.8: ones and their 3 nearest", edges=edges, thumbnails=shown, labels=components),
    "neighbours",
    caption="Each point is a digit 1, in the plane of the two leading principal components of all ones, and is joined "
    "to the three ones that are nearest to it in the space of pixels. Thumbnails show some of them. Along the graph "
    "the slant of the stroke changes step by step.",
    alt="A cloud of connected points with thumbnails of ones. From one end of the cloud to the other the strokes turn "
    "from leaning left to leaning right.",
)

# %% [markdown]
# ## Figure 14.9: tiled tangents
# If tangent planes are known, flat Gaussians along them tile the manifold into a density (Vincent and Bengio 2003).
# Around each of 100 points of a curve: covariance of its 8 neighbours + ε I, against spheres, covariance ε I. Both
# choose ε on 350 points held out, and are compared on 500 others. Where points lie dense, spheres do as well.

# %%
rng = np.random.default_rng(section.seed)
t = rng.uniform(0, 1.5 * np.pi, (950, 1))
curve = np.hstack([t / 2 * np.cos(t), t / 2 * np.sin(t)]) + 0.03 * rng.standard_normal((950, 2))
train, held_out, test = np.split(curve, [100, 450])
near = train[cKDTree(train).query(train, k=9)[1][:, 1:]] - train[:, None]


def log_density(x, covariance):
    """Mean over x of log of the mean of N(x; x_k, covariance_k)."""
    away = x[:, None] - train
    log_p = -0.5 * np.einsum("bki,kij,bkj->bk", away, np.linalg.inv(covariance), away)
    log_p -= 0.5 * np.log(np.linalg.det(2 * np.pi * covariance))
    return float((logsumexp(log_p, axis=1) - np.log(len(train))).mean())


planes, tiles, score = np.einsum("kni,knj->kij", near, near) / 8, {}, {}
for name, along in {"tiles": planes, "spheres": 0 * planes}.items():
    widths = [along + s**2 * np.eye(2) for s in np.geomspace(0.01, 0.5, 20)]
    tiles[name] = max(widths, key=lambda covariance: log_density(held_out, covariance))
    score[name] = section.number("log-density of test points", log_density(test, tiles[name]), of=name)
section.claim("flat tiles beat spheres", score["tiles"], ">", score["spheres"])
section.figure(
    plots.plane(train, "Figure 14.9: Gaussians along the tangents", ellipses=tiles["tiles"]),
    "tiles",
    caption="One hundred points of a curve, and at each a flat Gaussian, drawn as its ellipse of one standard "
    "deviation. The long axis follows the covariance of the 8 nearest points, and so the tangent. Together the "
    "ellipses cover the curve and little else, which is why they give test points a higher density than spheres do.",
    alt="A spiral of points, each inside a thin ellipse that lies along the spiral.",
)

section.finish()

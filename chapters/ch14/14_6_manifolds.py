"""14.6 Learning Manifolds with Autoencoders

Equations: none
Figures: translation (14.6: a translated digit and its tangent); tangent (the tangents as images); reconstruction (14.7:
r(x) crosses the identity); neighbours (14.8: a neighbour graph); tiles (14.9: Gaussians along the tangents, and
spheres)

Images of digits fill almost nothing of the space of 784 pixels: a random point of that space is snow. The manifold
hypothesis says that data lie near a surface of few dimensions, a manifold, and that one moves along the surface when a
digit is shifted, turned, or written with a thicker pen. At a point x of the manifold, the tangent plane holds the
directions in which x can change a little and stay on the manifold.

An autoencoder learns such a surface because two forces pull at it. It shall reconstruct the training examples, so h
must tell apart the points that do occur. And a penalty, or noise, or a narrow code makes it insensitive to x. It cannot
be insensitive to everything, so it keeps the changes along the manifold and gives up those across it.

The section has no numbered equation and four figures that are computations. This script recomputes all four:

  14.6  a digit that is moved up and down, and the tangent of that movement; 14.7  the reconstruction r(x) of a line
  with three data points; 14.8  a graph that joins each example to its nearest neighbours; 14.9  a density made of flat
  Gaussians along the tangent planes.

And after figure 14.6 it asks a question that the book leaves open: are the directions to which a trained encoder is
sensitive really the directions in which digits move?

The symbols are in minae/NOTATION.md. The tangents of an encoder are the leading right singular vectors of its Jacobian
Jf: `tangents` in minae/models/autoencoder.py. The contractive autoencoder, its derivation and its backward pass are in
minae/models/contractive.py (section 14.7), and the denoising one is in minae/models/denoising.py (section 14.5).
"""

# %%
import numpy as np
from scipy.interpolate import CubicSpline
from scipy.sparse.csgraph import shortest_path
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from scipy.special import logsumexp, softmax
from scipy.stats import spearmanr

from minae import ContractiveAutoencoder, DenoisingAutoencoder, data, plots
from minae.chapters import Section
from minae.chapters.classical import PCA
from minae.training import Adam, Cosine

section = Section("14.6")
digits = data.mnist(full=section.size == "full")
X, X_test = digits.train, digits.test  # (rows, 784), pixels in [0, 1]
rng = np.random.default_rng(section.seed)

# %% [markdown]
# ## Figure 14.6: the tangent of a translated digit
# The simplest manifold has one dimension. Take one digit and move it down by t pixels, for all t from −4 to 4. The
# images x(t) form a curve in the space of 784 pixels.
#
# What is its tangent, ∂x/∂t? Write x(t)[v] for the pixel at height v, counted from above. The image that has moved down
# by t shows at v what stood at v − t before, and the chain rule does the rest:
#
#     x(t)[v] = x(0)[v − t]
#     ∂x(t)[v]/∂t = −x′(0)[v − t]
#
# where x′ is the derivative of the image along v. So the tangent is minus the slope of the ink: it is large at the
# edges of strokes and 0 inside of them and outside. To have a derivative at all we need an image between its pixels. We
# draw a cubic spline through each column (through each row for a movement to the right), because it has a continuous
# second derivative. A piecewise linear interpolation would give a curve x(t) with a kink at each whole t.
#
# The check compares this formula with a difference of x(t).


# %%
def moved(x, t, axis=0, derivative=0):
    """Images (rows, 784) moved down (axis 0) or right (axis 1) by t pixels, or the derivative of that by t."""
    margin = 8
    images = np.pad(x.reshape(-1, 28, 28).astype(np.float64), [(0, 0), (margin, margin), (margin, margin)])
    spline = CubicSpline(np.arange(-margin, 28 + margin), images, axis=axis + 1)
    image = (-1) ** derivative * spline(np.arange(28) - t, derivative)  # x(0)[v − t], or −x′(0)[v − t]
    inside = slice(margin, 28 + margin)
    image = image[:, :, inside] if axis == 0 else image[:, inside, :]
    return image.reshape(len(x), 784)


some = X_test[: section.pick(40, 60, 100)]
labels = digits.test_labels[: len(some)]
down, right = (moved(some, 0, axis, derivative=1) for axis in (0, 1))  # the two tangents, (rows, 784)
step = 1e-5
difference = (moved(some, step) - moved(some, -step)) / (2 * step)
error = np.linalg.norm(difference - down) / np.linalg.norm(down)
error = section.number("relative error of ∂x/∂t against a difference of x(t)", error)
section.claim("the tangent derived above is the derivative of x(t)", error, "<=", 1e-7)

# %% [markdown]
# A tangent is a promise about small t alone: the line x(0) + t ∂x/∂t leaves the curve, and by Taylor's formula the gap
# grows like t². If the tangent were wrong by anything, the gap would grow like t. So the gap at t = 0.02 must be four
# times that at t = 0.01. We also measure how fast the tangent turns: the cosine of the angle between the tangents at t
# = 0 and at t = 1.

# %%
gaps = [np.linalg.norm(moved(some, t) - some - t * down) for t in (0.01, 0.02)]
growth = section.number("gap between curve and tangent line, at t = 0.02 over t = 0.01", gaps[1] / gaps[0])
section.claim("the gap grows like t²: its growth over 4, distance from 1", abs(growth / 4 - 1), "<=", 0.05)
there = moved(some, 1, derivative=1)
cosines = (down * there).sum(axis=1) / np.linalg.norm(down, axis=1) / np.linalg.norm(there, axis=1)
section.number("cosine of the angle between the tangents at t = 0 and t = 1, mean over digits", cosines.mean())

# %% [markdown]
# The picture shows the curve x(t) of one digit in the plane of its two leading principal components, and the tangent at
# t = 0. The cosine of 0.3 says how strongly the manifold is curved: one pixel further, the tangent has turned by some
# 70 degrees. A manifold of images has tangent planes, but they hold for a fraction of a pixel.

# %%
shown = np.argmax(labels == 4)  # a digit with strokes in both directions
times = np.linspace(-4, 4, 161)
curve = np.vstack([moved(some[[shown]], t) for t in times])
pca = PCA(curve, 2)
plane, slope = pca.encode(curve), down[shown] @ pca.D
marks = {k: curve[k] for k in (0, 40, 60, 100, 120, 160)}  # t = −4, −2, −1, 1, 2, 4
fig = plots.plane(
    plane[list(marks)],
    "Figure 14.6: a digit that moves down by t pixels",
    thumbnails=dict(enumerate(marks.values())),
    labels=("first principal component", "second principal component"),
)
axis = fig.axes[0]
axis.plot(*plane.T, color=plots.BLUE, label="x(t), t = −4 … 4")
middle = plane[80]
line = np.array([middle - 1.5 * slope, middle + 1.5 * slope])
axis.plot(*line.T, color=plots.RED, linestyle="--", label="tangent at t = 0, drawn from t = −1.5 to 1.5")
axis.plot(*middle, "o", color=plots.RED, zorder=4)
axis.annotate("t = 0", middle, xytext=(0, 8), textcoords="offset points", ha="center")
for k in marks:
    side = 1 if plane[k, 0] > middle[0] else -1
    words = f"t = {times[k]:g}".replace("-", "−")
    axis.annotate(
        words, plane[k], xytext=(22 * side, 0), textcoords="offset points", ha="left" if side > 0 else "right"
    )
axis.margins(0.15)
axis.legend(loc="lower center", fontsize=9)
section.figure(
    fig,
    "translation",
    caption="A digit that moves up and down traces a curve in the space of 784 pixels, drawn here in the plane of the "
    "curve's two leading principal components. Thumbnails show the digit at their t. Look at how the dashed tangent "
    "touches the curve at t = 0 and how soon the curve leaves it.",
    alt="A curve in the plane with thumbnails of the same digit along it, higher in the frame at one end and lower at "
    "the other. A straight dashed line touches the curve at its middle.",
)

# %% [markdown]
# A tangent has 784 numbers, so it is an image itself. In our pictures ink is dark; so in the tangents dark means that
# ink comes as t grows, and light that ink goes. (In the book white is where a pixel brightens.)

# %%
three = [int(np.argmax(labels == k)) for k in (2, 4, 7)]
rows = {"x": some[three]}
for name, motion in {"moved down": down[three], "moved right": right[three]}.items():
    rows[f"∂x/∂t, {name}"] = 0.5 + 0.5 * motion / abs(motion).max(axis=1, keepdims=True)
fig = plots.images(rows, "Three digits and two tangents of each", columns=3)
fig.set_size_inches(8.4, 5.0)
key = fig.colorbar(fig.axes[0].images[0], ax=fig.axes[0], ticks=[0, 0.5, 1], shrink=0.6)
key.ax.set_yticklabels(["light: ink goes\n(x: paper)", "grey: no change", "dark: ink comes\n(x: ink)"])
section.figure(
    fig,
    "tangent",
    caption="Above, three digits. Below, the tangents ∂x/∂t of a movement down and of a movement to the right. Dark "
    "pixels gain ink as t grows, light pixels lose it, grey ones stay as they are. Look at a horizontal stroke: it has "
    "a dark lower edge when it moves down, and nearly nothing happens to it when it moves right.",
    alt="Three columns, one for each of three digits. Under each digit stand two grey images in which the edges of the "
    "strokes are dark on the side to which the digit moves and light on the other side.",
)

# %% [markdown]
# ## Does an encoder know these tangents?
# Now to the autoencoder. A contractive autoencoder pays for every direction in which h changes (section 14.7), so it
# should spend its sensitivity on the directions in which digits do change. Its tangents at x are the 20 leading right
# singular vectors of Jf: unit vectors T_1 … T_20 in the space of pixels, orthogonal to each other. Movement is one way
# in which digits change. So we ask which share of the movement lies in the span of the T_k:
#
#     share = Σ_k (T_k · ∂x/∂t)² / ‖∂x/∂t‖²
#
# for the movement down and the movement to the right together. The share is 1 if the span holds the whole movement. A
# span of 20 random directions has a share of 20/784 = 0.026 on average. No image was ever moved in training.
#
# A large share alone does not show that the tangents belong to x, because all digits have much in common. Three rivals
# have 20 directions each:
#
# - the tangents that the same encoder has at *another digit of the same class*. If this share is as large, the tangents
#   say something of all 3s, and nothing of this 3;
# - the 20 leading principal components of all digits (PCA), the same for every x;
# - the 20 leading principal components of the 60 training digits that are nearest to x (local PCA).

# %%
k = 20
epochs = section.pick(4, 12, 4)
dx = np.stack([down, right], axis=2)  # (rows, 784, 2)


def shares(T):
    """Of each digit, the share of its two movements in the span of T, (rows, k, 784) or (k, 784)."""
    return np.square(T @ dx).sum(axis=(1, 2)) / np.square(dx).sum(axis=(1, 2))


def another_of_its_class(labels):
    """For each row the next row of the same class, the first one after the last."""
    other = np.arange(len(labels))
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        other[rows] = np.roll(rows, -1)
    return other


other = another_of_its_class(labels)
paired = other != np.arange(len(other))  # a class with one digit has no other one
found = {"contractive, at x": [], "contractive, at another digit of its class": []}
for seed in section.seeds:
    model = ContractiveAutoencoder((784, section.pick(100, 300, 500)), lam=3.0, seed=seed, backend=section.backend)
    optimizer = Adam(Cosine(section.pick(1e-2, 5e-3, 2e-3), steps=epochs * -(-len(X) // 64)))
    model.fit(X, epochs=epochs, batch_size=64, optimizer=optimizer, seed=seed)
    T = model.tangents(some, k=k)[0]  # (rows, 20, 784)
    found["contractive, at x"].append(shares(T))
    found["contractive, at another digit of its class"].append(shares(T[other]))
near = X[cKDTree(X).query(some, k=60)[1]]  # (rows, 60, 784)
local = np.linalg.svd(near - near.mean(axis=1, keepdims=True), full_matrices=False)[2][:, :k]
found["PCA of all digits"] = [shares(PCA(X, k).D.T)]
found["local PCA of the 60 nearest digits"] = [shares(local)]
share = {
    name: section.number(f"share of ∂x/∂t in {k} directions", [one.mean() for one in values], of=name)
    for name, values in found.items()
}

# %% [markdown]
# Each digit gives a pair of shares, that of its own tangents and that of the tangents at another digit of its class. We
# judge the mean of the differences by its standard error, as a paired t test does: a mean of three standard errors is
# rarely chance.

# %%
own, control = (np.mean(found[name], axis=0)[paired] for name in list(found)[:2])
gain = own - control
errors = section.number(
    "difference to another digit of the class, in standard errors", gain.mean() / gain.std(ddof=1) * len(gain) ** 0.5
)
section.number("share of the digits whose own tangents hold more of their movement", (gain > 0).mean())
section.claim("the tangents belong to x and not to its class: difference in standard errors", errors, ">", 3)
trained = share["contractive, at x"]
nearest = share["local PCA of the 60 nearest digits"]
section.claim("the rival wins: local PCA of the neighbours holds more than the encoder", nearest, ">", trained)

# %% [markdown]
# What do we see? At default size the encoder's 20 tangents hold 0.37 of the movement, some fourteen times the share of
# a random span. Tangents at another digit of the same class hold 0.29, and 90% of the digits are better served by their
# own. So the directions in which h changes are, in part, directions in which *this* digit moves. But you do not need an
# autoencoder for that. PCA of all digits holds 0.29 without looking at x at all. At `--quick`, where the encoder has
# 100 units only, PCA even beats it. And local PCA, which looks at the neighbours of x, holds 0.57. It has to pay for
# this: it keeps all training images and searches them for each x, while the encoder answers from its weights. Section
# 14.7 comes back to the comparison.

# %% [markdown]
# ## Figure 14.7: r(x) crosses the identity
# Now the smallest manifold of all: three separate points on a line. A denoising autoencoder is trained on them with
# noise of σ = 0.3. We know the best r that there is. It is the mean of the three points x_i, weighed by their posterior
# probabilities w_i given the noisy x̃ (section 14.5):
#
#     r(x̃) = E[x | x̃] = Σ_i w_i x_i,     w_i = e^{−(x̃ − x_i)²/2σ²} / Σ_j e^{−(x̃ − x_j)²/2σ²}
#
# How steep is it? The weights are a softmax of the numbers u_i = −(x̃ − x_i)²/2σ², so three steps of the chain rule
# give
#
#     ∂u_i/∂x̃ = (x_i − x̃)/σ²
#     ∂w_i/∂x̃ = w_i (∂u_i/∂x̃ − Σ_j w_j ∂u_j/∂x̃) = w_i (x_i − r)/σ²
#     ∂r/∂x̃ = Σ_i x_i w_i (x_i − r)/σ² = 1/σ² Σ_i w_i (x_i − r)² = Var[x | x̃]/σ²
#
# (In the last line, Σ_i w_i (x_i − r) = 0 allows us to put x_i − r in the place of x_i.) The slope of r is how
# uncertain the denoiser is, in units of σ². At a training point only this point is likely, the variance is nearly 0,
# and r is flat. Half-way between two points at a distance d both are likely, the variance is d²/4, and r is steep.

# %%
points, sigma = np.array([[-2.0], [0.0], [1.5]]), 0.3


def best(x):
    """E[x | x̃] and Var[x | x̃] at the rows of x, (rows, 1)."""
    w = softmax(-np.square(x - points.T) / (2 * sigma**2), axis=1)
    r = w @ points
    return r, (w * np.square(points.T - r)).sum(axis=1, keepdims=True)


axis = np.linspace(-3, 2.5, 400)[:, None]
r_best, variance = best(axis)
step = 1e-6
difference = (best(axis + step)[0] - best(axis - step)[0]) / (2 * step)
error = section.number(
    "largest |Var[x | x̃]/σ² − a difference of r|", abs(variance / sigma**2 - difference).max(), of="E[x | x̃]"
)
section.claim("the slope of the best r is Var[x | x̃]/σ²", error, "<=", 1e-7)

# %% [markdown]
# Does training find this r? A network 1-40-40-40-1 of tanh units learns from 1500 noisy copies of the three points. At
# a point where r(x) = x, the slope decides what happens if one applies r again and again. If it is below 1, r carries
# its neighbourhood closer: the point attracts. If it is above 1, the point repels. So 1 is the bound of the claims
# below.

# %%
options = dict(activation="tanh", loss="gaussian", corruption="gaussian", level=sigma, seed=section.seed)
line = DenoisingAutoencoder((1, 40, 40), backend=section.backend, **options)
epochs = section.pick(60, 100, 200)
optimizer = Adam(Cosine(1e-2, steps=epochs * 12))
line.fit(np.repeat(points, 500, axis=0), epochs=epochs, optimizer=optimizer, seed=section.seed)
r = line.reconstruct(axis)
off = section.number("largest |r(x) − x|", abs(line.reconstruct(points) - points).max(), of="training points")
places = np.vstack([points, [[-1.0], [0.75]]])
slopes = (line.reconstruct(places + 0.05) - line.reconstruct(places - 0.05)) / 0.1
flattest = section.number("largest slope of r", slopes[:3].max(), of="training points")
steepest = section.number("least slope of r", slopes[3:].min(), of="half-way between training points")
section.number("root mean square of r(x) − E[x | x̃]", np.sqrt(np.square(r - r_best).mean()), of="x from −3 to 2.5")
section.claim("r(x) = x at the training points, largest difference over σ", off / sigma, "<", 1 / 3)
section.claim("r attracts at the training points: largest slope", flattest, "<", 1)
section.claim("r repels half-way between them: least slope", steepest, ">", 1)

# %%
curves = {"training points": (points[:, 0], points[:, 0]), "identity": (axis[:, 0], axis[:, 0])}
curves |= {"denoising, r(x)": (axis[:, 0], r[:, 0]), "exact, E[x | x̃]": (axis[:, 0], r_best[:, 0])}
fig = plots.levels(curves, "x", "r(x)", "Figure 14.7: r(x) crosses the identity", markers={"training points"})
fig.set_size_inches(6.4, 4.8)
starts = np.linspace(-2.9, 2.4, 22)[:, None]
moves = line.reconstruct(starts) - starts
arrows = dict(angles="xy", scale_units="xy", scale=3, width=0.004, headwidth=4, headlength=4, headaxislength=4)
fig.axes[0].quiver(starts, np.full_like(starts, -3.55), moves, 0 * moves, color=plots.RED, **arrows)
fig.axes[0].text(-2.95, -3.4, "r(x) − x, a third of its length:", fontsize=8, va="bottom")
fig.axes[0].set_ylim(-3.8, 3)
section.figure(
    fig,
    "reconstruction",
    caption="The reconstruction r(x) of a denoising autoencoder that learned three points of a line, beside the best "
    "possible r, the mean E[x | x̃], and the identity. Arrows below show r(x) − x. At a training point r crosses the "
    "identity with a small slope, and the arrows on both sides point to it. Between two points it crosses steeply, and "
    "the arrows point away.",
    alt="A staircase curve with three flat steps at the heights of the three training points, which crosses the "
    "diagonal at each point and between them. The trained curve and the best one nearly coincide. A row of arrows "
    "below points to the nearest training point from both sides.",
)

# %% [markdown]
# This is the two forces at work. Being right at the training points fixes r there; being insensitive makes it flat
# there. A curve that is flat at three heights must be steep between them, so r cannot be insensitive everywhere.

# %% [markdown]
# ## Figure 14.8: a neighbour graph
# The first methods that learned manifolds had no encoder. They join each example to the examples nearest to it, and
# give each one coordinates of its own so that neighbours stay neighbours. The idea rests on one hope: that short edges
# follow the manifold, so that a path along the graph measures distance on the manifold, where a straight line cuts
# across it.
#
# We test the hope where the right answer is known: on the curve x(t) of a digit that moves to the right. Each of its
# 161 images is joined to its 2 nearest. The distance on the manifold of two images is |t_i − t_j|. We compare the order
# in which it puts all pairs with the order by the path along the graph, and with the order by the straight line, by
# Spearman's rank correlation, for 20 digits.

# %%
apart = abs(times[:, None] - times)
paths, lines = [], []
for x in some[:20]:
    moving = np.vstack([moved(x[None], t, axis=1) for t in times])
    lengths, index = cKDTree(moving).query(moving, k=3)  # itself, and the 2 nearest
    graph = np.zeros_like(apart)
    np.put_along_axis(graph, index[:, 1:], lengths[:, 1:], axis=1)
    paths.append(spearmanr(apart, shortest_path(graph, directed=False), axis=None)[0])
    lines.append(spearmanr(apart, cdist(moving, moving), axis=None)[0])
path = section.number("rank correlation with |t_i − t_j|, mean of 20 digits", np.mean(paths), of="path along the graph")
chord = section.number("rank correlation with |t_i − t_j|, mean of 20 digits", np.mean(lines), of="straight line")
section.claim("distances along the graph follow the manifold better than straight lines", path, ">", chord)

# %% [markdown]
# The straight line fails for far pairs: when the strokes of the two images no longer overlap, the distance stops
# growing, and when a stroke comes to lie over another one, it shrinks. The path goes on. But the graph is as good as
# its edges are short. Here 20 images stand on each pixel of movement. Real data are far thinner on their manifold, and
# edges then take short cuts. The picture shows such a graph for real ones (the digit 1, whose manifold is thin).

# %%
ones = X[digits.train_labels == 1][: section.pick(150, 300, 300)]
edges = [(i, j) for i, *others in cKDTree(ones).query(ones, k=4)[1] for j in others]
plane = PCA(ones, 2).encode(ones)


def spread(places, least=0.1):
    """Indices of places in the plane no two of which are closer, across or along, than a share `least` of the whole."""
    chosen = []
    for i, place in enumerate(places):
        away = [abs((place - places[j]) / np.ptp(places, axis=0)).max() for j in chosen]
        if not away or min(away) > least:
            chosen.append(i)
    return chosen


fig = plots.plane(
    plane,
    f"Figure 14.8: {len(ones)} ones, each joined to its 3 nearest",
    edges=edges,
    thumbnails={i: ones[i] for i in spread(plane)},
    labels=("first principal component", "second principal component"),
)
section.figure(
    fig,
    "neighbours",
    caption="Each point is a digit 1, in the plane of the two leading principal components of all ones, and is joined "
    "to the three ones that are nearest to it in the space of pixels. Thumbnails show some of them. Follow the graph "
    "from one side to the other: the slant of the stroke changes step by step.",
    alt="A cloud of connected points with thumbnails of ones that do not overlap. From one end of the cloud to the "
    "other the strokes turn from leaning one way to leaning the other.",
)

# %% [markdown]
# ## Figure 14.9: tiled tangents
# If the tangent plane at each training point is known, a density can be laid along the manifold like tiles: at each
# point x_i a Gaussian that is wide along the tangent plane and narrow across it (Vincent and Bengio 2003),
#
#     p(x) = 1/N Σ_i N(x; x_i, C_i + s² I),     C_i = 1/K Σ_j (x_j − x_i)(x_j − x_i)ᵀ
#
# where j runs over the K = 8 nearest neighbours of x_i, and s² is the variance across the manifold. The rival is the
# ordinary kernel density, C_i = 0: a sphere at each point. Each of the two takes the best of 20 values of s, by the
# density that it gives to 350 points held out; then both are judged on 500 other points. All points lie near a spiral,
# with noise of 0.03. We choose 100 training points for the claim, and then look at 30 and at 400.

# %%
t = rng.uniform(0, 1.5 * np.pi, (1250, 1))
curve = np.hstack([t / 2 * np.cos(t), t / 2 * np.sin(t)]) + 0.03 * rng.standard_normal((1250, 2))
held_out, test, pool = np.split(curve, [350, 850])


def log_density(x, centres, covariance):
    """Mean over x of log p(x), the p above."""
    away = x[:, None] - centres
    log_p = -0.5 * np.einsum("bki,kij,bkj->bk", away, np.linalg.inv(covariance), away)
    log_p -= 0.5 * np.log(np.linalg.det(2 * np.pi * covariance))
    return float((logsumexp(log_p, axis=1) - np.log(len(centres))).mean())


def flat(centres, K=8):
    """C_i of each point."""
    near = centres[cKDTree(centres).query(centres, k=K + 1)[1][:, 1:]] - centres[:, None]
    return np.einsum("kni,knj->kij", near, near) / K


def widened(C, centres):
    """C + s² I, with the s of 20 that gives the points held out the highest density."""
    candidates = [C + s**2 * np.eye(2) for s in np.geomspace(0.01, 0.5, 20)]
    densities = [log_density(held_out, centres, covariance) for covariance in candidates]
    return candidates[int(np.argmax(densities))]


score, drawn = {}, {}
for N in (30, 100, 400):
    centres = pool[:N]
    for name, C in {"tiles": flat(centres), "spheres": np.zeros((N, 2, 2))}.items():
        drawn[name, N] = widened(C, centres)
        value = log_density(test, centres, drawn[name, N])
        score[name, N] = section.number("log-density of test points", value, of=f"{name}, {N} points")
section.claim("with 100 points flat tiles beat spheres", score["tiles", 100], ">", score["spheres", 100])

# %%
panels = {name: drawn[name, 100] for name in ("tiles", "spheres")}
section.figure(
    plots.gaussians(pool[:100], panels, "Figure 14.9: 100 Gaussians along the tangents, and 100 spheres"),
    "tiles",
    caption="One hundred points near a spiral, and at each a Gaussian, drawn as its ellipse of one standard deviation; "
    "left along the tangents, right as spheres, both with the best width. Look at where points are far apart: the "
    "ellipses bridge the gaps along the curve, and the spheres do not. At the thin outer end the ellipses shoot beyond "
    "the curve, because their neighbours are far away there.",
    alt="The same spiral of points twice. On the left each point lies in a thin ellipse that follows the spiral; on "
    "the right each lies in a circle.",
)

# %% [markdown]
# What do we see? With 100 points the tiles give test points a log-density of −0.17 and the spheres −0.48. The spheres
# are in a dilemma: wide ones leave the curve, and narrow ones leave gaps. The tiles need not choose. With 30 points the
# advantage is 0.24, and with 400 points it is nearly gone (0.045 against 0.035): where points lie dense, spheres fill
# the gaps as well. For a curve in the plane that is soon reached. For images it never is, because the number of points
# that one needs grows exponentially with the number of dimensions of the manifold. The book makes this objection to all
# methods that learn from neighbours, tiles included: a manifold with many folds needs examples on each fold. An encoder
# whose parameters are shared by all x is a way to generalise from one fold to another.

# %% [markdown]
# ## Exercises
# 1. On paper. Half-way between two training points at a distance d, the slope of the best r is d²/4σ². From which σ on
#    does r no longer repel there? What happens to the three attracting points of figure 14.7 when σ grows beyond that,
#    and what does this say about the choice of the noise of a denoising autoencoder?
# 2. With code. Tangents make a better distance. Let q be a test digit and T an orthonormal basis of its two tangents,
#    down and right. The tangent distance of q and x_i is that of x_i and the plane q + span T: d² = ‖x_i − q‖² − ‖T(x_i
#    − q)‖². Classify the 1000 test digits by their nearest training digit, once by the ordinary distance and once by
#    this one. Blur all images a little first (by 0.5 to 1 pixel). You should remove at least a tenth of the errors.
#    (The solution is in `solutions/14_6_manifolds.py`.)
# 3. With code. Repeat the comparison of the 20 directions with a rotation in place of the two translations. (What is
#    ∂x/∂t of a rotation by the angle t? Use the chain rule and the two tangents that you have.) Is the order of the
#    four spans the same?

# %%
section.finish()

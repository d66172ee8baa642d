"""15.5 Exponential Gains from Depth

Equations: none
Figures: sawtooth (a triangle wave folded by each layer); shallow (how close a shallow net comes to it); regions (the
polygons that nets of several depths cut out of a square, after training); counts (how many there are, by depth)

A network of ReLU units is a function made of linear pieces. How many pieces can it have, and does depth help? A wide
network with one hidden layer has one kink for each unit. A deep network can fold its input: the second layer then draws
on a sheet that is already folded, and all layers of the sheet get the drawing. So the number of pieces can double with
every layer, while the number of parameters grows only in proportion to the depth. This is the statement of the book:
there are functions that a deep network represents with few units and that a shallow one needs exponentially many for
(Montúfar et al. 2014; Telgarsky 2016).

The statement has two sides, and this section looks at both. The first side is a construction. We build the sawtooth,
count its pieces, and try to come close to it with a shallow network. The second side is a question that the book does
not answer by its theorem: do networks that are *trained* use this power? We take networks of depth 1 to 6 with nearly
equal numbers of parameters, cut a square exactly into the polygons on which each network is linear, and count them
before and after training.

What is counted here is exact. The cutting stands in chapters/ch15/regions.py. The networks are classifiers of the
engine, minae/models/classifier.py, where the derivation of their gradient is.
"""

# %%
import numpy as np

from minae import Classifier, plots
from minae.chapters import Section
from minae.chapters.ch15.regions import pieces
from minae.training import Adam, Cosine

section = Section("15.5")
rng = np.random.default_rng(section.seed)


# %% [markdown]
# ## A fold
# Two ReLU units make a tent over the interval from 0 to 1:
#
#     g(x) = 2 relu(x) − 4 relu(x − ½)
#
# From 0 to ½ only the first unit is on, and g(x) = 2x rises from 0 to 1. From ½ on both are on, and g(x) = 2 − 2x falls
# back to 0. So g folds the interval: every value between 0 and 1 is reached twice, once on the way up and once on the
# way down.
#
# Now apply g to its own result. The inner g runs through the whole interval twice, so the outer tent is drawn twice,
# each time at half the width. After L layers there are 2^(L−1) tents, and each tent has two pieces:
#
#     pieces(L) = 2 · pieces(L − 1) = 2^L
#
# A layer has two weights into the units, two biases, two weights out of them, and one bias: 7 parameters. So L layers
# have 7 L parameters and 2^L pieces. We do not take the counting on trust. A piece ends where the slope changes, and
# the slope of g∘…∘g is a product of slopes ±2 that can be followed exactly, since all kinks lie at multiples of 2^−L.


# %%
def relu(x):
    return np.maximum(x, 0)


def fold(x, layers):
    """g applied `layers` times."""
    for _ in range(layers):
        x = 2 * relu(x) - 4 * relu(x - 0.5)
    return x


depths = range(1, 11)
counted = []
for L in depths:
    grid = np.arange(2 ** (L + 2) + 1) / 2 ** (L + 2)  # four steps a piece; such fractions are exact in floating point
    slopes = np.diff(fold(grid, L)) * 2 ** (L + 2)
    counted.append(1 + np.count_nonzero(np.diff(slopes)))
    section.number("pieces", counted[-1], of=f"sawtooth, L = {L}, {7 * L} parameters")
section.claim(
    "L layers of two units have 2^L pieces, for L = 1 to 10",
    sum(c == 2**L for c, L in zip(counted, depths, strict=True)),
    ">=",
    10,
)
x = np.linspace(0, 1, 2**10 + 1)
waves = {f"L = {L}": (x, fold(x, L)) for L in (1, 2, 4)}
section.figure(
    plots.levels(waves, "x", "g applied L times", "Each layer folds the interval once more"),
    "sawtooth",
    caption="The tent g, and g applied two and four times. Count the tents: one, two, eight. Every further layer "
    "doubles their number and adds 7 parameters.",
    alt="Three triangle waves between 0 and 1: one triangle, two triangles and eight triangles.",
)

# %% [markdown]
# ## What a shallow network can do with it
# A network with one hidden layer of m ReLU units has at most m kinks, so at most m + 1 pieces. We give it as many units
# as its 3 m + 1 parameters allow at the same total of 7 L. (In the program it may use x itself besides, which is a
# gift.) How close can it come to the sawtooth?
#
# There is a lower bound that holds for all weights, by counting alone. Look at the sawtooth at its 2^L + 1 extreme
# points, where it is 0, 1, 0, 1, … in turn. Ask at each whether the network is above or below ½. A function with p
# pieces crosses the level ½ at most p times, because each piece is a straight line. So along the points its answers
# come in at most p + 1 runs, and in a run of k equal answers at least (k − 1)/2 are wrong:
#
#     wrong answers ≥ (2^L + 1 − (p + 1))/2
#
# When p is small beside 2^L, the share of wrong answers goes to one half. That is what a coin gets.
#
# For the comparison we choose the kinks in the best of 100 ways: evenly spaced, and 99 times at random. For each
# choice, least squares finds the best weights exactly. The search over the kinks is not exact; the bound by counting
# needs no search. A constant, the mean of the sawtooth, is the yardstick.


# %%
def best_shallow(L, units, tries):
    """Root mean squared error on a fine grid, and the share of wrong answers, of the best of several choices."""
    x = np.linspace(0, 1, 2 ** max(10, L + 4) + 1)
    y, best = fold(x, L), None
    extremes = np.arange(2**L + 1) / 2**L
    for attempt in range(tries):
        kinks = np.linspace(0, 1, units, endpoint=False) if attempt == 0 else np.sort(rng.random(units))
        features = np.stack([np.ones_like(x), x, *(relu(x - kink) for kink in kinks)], axis=1)
        weights = np.linalg.lstsq(features, y, rcond=None)[0]
        rms = np.sqrt(np.square(features @ weights - y).mean())
        if best is None or rms < best[0]:
            at = np.stack([np.ones_like(extremes), extremes, *(relu(extremes - kink) for kink in kinks)], axis=1)
            wrong = ((at @ weights > 0.5) != (fold(extremes, L) > 0.5)).mean()
            best = rms, wrong
    return best


tries, constant = section.pick(10, 100, 300), np.sqrt(1 / 12)  # of a triangle wave between 0 and 1
errors, shares, bounds = [], [], []
for L in range(1, 9):
    units = max(1, (7 * L - 1) // 3)
    rms, wrong = best_shallow(L, units, tries)
    points = 2**L + 1
    errors.append(
        section.number("RMS error over that of a constant", rms / constant, of=f"shallow, L = {L}, m = {units}")
    )
    shares.append(section.number("share of the extremes on the wrong side of ½", wrong, of=f"shallow, L = {L}"))
    bounds.append(max(0, (points - (units + 2)) / 2 / points))
section.claim(
    "a shallow net of as many parameters is as bad as a constant from L = 6 on: RMS over the constant's",
    min(errors[5:]),
    ">=",
    0.95,
)
section.claim("no shallow net beats the bound by counting", min(np.array(shares) - bounds), ">=", 0)
series = {
    "best shallow net of 7 L parameters": (np.arange(1, 9), np.array(errors)),
    "sawtooth of 7 L parameters": (np.arange(1, 9), np.zeros(8)),
}
section.figure(
    plots.levels(
        series, "number of layers L of the sawtooth", "RMS error / that of a constant", "A shallow net gives up"
    ),
    "shallow",
    caption="How close one hidden layer comes to the sawtooth of L layers, at equal numbers of parameters. At 1 it "
    "does no better than the constant ½. The deep network is the sawtooth itself and has no error.",
    alt="A curve that is at 0 up to L = 2, rises steeply at L = 3, and stays near 1 from L = 6 on. A line lies at 0.",
)

# %% [markdown]
# What do we see at default size? Up to L = 2 the shallow network has enough kinks and makes no error. At L = 3 it has
# six units for eight pieces, and the error is already 0.68 of that of the constant. Then the number of pieces runs away
# from it. Eight layers make 256 pieces, and the network has 18 units. It is now no better than the constant. The
# sawtooth is a function that depth can afford and width cannot.
#
# ## Do trained networks use it?
# The sawtooth was made by hand. Gradient descent does not know it. We train classifiers of two spirals in the plane,
# with 1 to 6 hidden layers and about equal numbers of parameters, so that the deep ones are narrow. Each network is a
# piecewise linear function of two inputs, and its pieces are polygons.
#
# The polygons are found without sampling. Inside a polygon where the first k layers are linear, each unit of layer
# k + 1 is an affine function of x. Where it is 0, its ReLU has a kink: a straight line, which cuts the polygon in two
# or misses it. We begin with the whole square and cut unit by unit, layer by layer.
#
# Three checks follow the training. On every polygon the network must be what the affine function says; the polygons
# must fill the square; and 12 units of one hidden layer, in a square so large that it holds all crossings, must make as
# many pieces as section 15.4 counts for 12 lines.


# %%
def spirals(rows, noise):
    """Points on two arms that wind around each other one and a half times, and the number of the arm."""
    arm = rng.integers(2, size=rows)
    t = np.sqrt(rng.random(rows))
    angle = 3 * np.pi * t + np.pi * arm
    x = 0.9 * t[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1) + noise * rng.standard_normal((rows, 2))
    return x.astype(np.float32), arm


def width_for(depth, parameters):
    """The width of `depth` equal layers between 2 inputs and 2 outputs that comes next to this many parameters."""
    counts = {w: (2 * w + w) + (depth - 1) * (w * w + w) + (2 * w + 2) for w in range(2, 200)}
    return min(counts, key=lambda w: abs(counts[w] - parameters))


def layers_of(model):
    """[(W, b), …] of a classifier, from x up to the logits."""
    names = list(model.parameters)
    arrays = [model.backend.to_numpy(model.parameters[name]).astype(float) for name in names]
    return list(zip(arrays[::2], arrays[1::2], strict=True))


X, y = spirals(section.pick(400, 1000, 2000), 0.02)
X_test, y_test = spirals(4000, 0.02)
X_valid, y_valid = spirals(4000, 0.02)  # to choose a depth by
depths, seeds = section.pick([1, 2, 4], [1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]), section.seeds
seeds = seeds + [seed + 1 for seed in seeds] if section.size == "default" else seeds
epochs = section.pick(30, 150, 300)
before, after, test, valid = ({depth: [] for depth in depths} for _ in range(4))
panels, margins = {}, {}
for depth in depths:
    w = width_for(depth, 500)
    for seed in seeds:
        net = Classifier((2, *[w] * depth), classes=2, activation="relu", seed=seed, backend=section.backend)
        found = pieces(layers_of(net))
        before[depth].append(len(found))
        steps = epochs * -(-len(X) // 50)
        net.fit(X, y, epochs=epochs, batch_size=50, optimizer=Adam(Cosine(1e-2, steps=steps)), seed=seed)
        found = pieces(layers_of(net))
        after[depth].append(len(found))
        test[depth].append(100 * (net.predict(X_test) != y_test).mean())
        valid[depth].append(100 * (net.predict(X_valid) != y_valid).mean())
    label = f"{depth} hidden, {w} wide"
    section.number("polygons in the square before training", before[depth], of=label)
    section.number("polygons in the square after training", after[depth], of=label)
    section.number("test error %", test[depth], of=label)
    inside = [piece.polygon.mean(axis=0) for piece in found]
    panels[f"{label}: {len(found)} polygons"] = [piece.polygon for piece in found]
    logits = np.array([middle @ piece.A + piece.c for middle, piece in zip(inside, found, strict=True)])
    margins[f"{label}: {len(found)} polygons"] = np.tanh(0.2 * (logits[:, 1] - logits[:, 0]))

# the three checks; `net`, `inside` and `logits` are those of the last network
middles = np.array(inside, dtype=np.float32)
p = net.probabilities(middles)
from_pieces = np.exp(logits - logits.max(axis=1, keepdims=True))
from_pieces /= from_pieces.sum(axis=1, keepdims=True)
section.claim(
    "on each polygon the network is the affine function that we found", abs(p - from_pieces).max(), "<=", 1e-3
)
area = 0.0
for corners in panels[next(iter(panels))]:
    before_it = np.roll(corners, 1, axis=0)
    area += abs((before_it[:, 0] * corners[:, 1] - before_it[:, 1] * corners[:, 0]).sum()) / 2
section.claim("the polygons fill the square: area − 4", abs(area - 4), "<=", 1e-9)
W, b = rng.standard_normal((2, 12)), 0.3 * rng.standard_normal(12)
far = 1e4 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])  # a square that holds all crossings
whole = len(pieces([(W, b), (np.zeros((12, 1)), np.zeros(1))], far))
section.claim("12 units of one layer cut the plane into 1 + 12 + 66 pieces", abs(whole - 79), "<=", 0)
section.figure(
    plots.polygons(panels, margins, "Where each network is linear", "margin of the second arm, squashed"),
    "regions",
    caption="The square, cut into the polygons on which a trained network is linear, for networks of several depths "
    "and about 500 parameters each. The colour is the sign and size of the margin in the middle of each polygon, red "
    "for one arm and blue for the other. Look at where the cuts are: along the border between the arms, and few "
    "elsewhere. Straight lines through the whole square belong to the first layer; lines that bend at others belong to "
    "later ones.",
    alt="Several panels of a square full of polygons, with red and blue arms of two spirals; the cuts are densest "
    "between the arms.",
)
bound = {depth: 1 + width_for(depth, 500) + width_for(depth, 500) * (width_for(depth, 500) - 1) / 2 for depth in depths}
at = np.array(depths)
series = {
    "before training": (at, np.array([np.mean(before[d]) for d in depths])),
    "after training": (at, np.array([np.mean(after[d]) for d in depths])),
    "what folding could reach": (at, np.array([bound[d] ** d for d in depths])),
}
section.figure(
    plots.levels(
        series, "hidden layers, about 500 parameters in all", "polygons", "Far from exponential", yscale="log"
    ),
    "counts",
    caption="Polygons in the square by depth, at equal numbers of parameters. The uppermost line is what depth could "
    "reach if every layer cut every piece of the layers below with all its lines. Networks as they are drawn at "
    "random, and networks that were trained, have far fewer, and their number grows little or not at all with depth.",
    alt="Three curves on a logarithmic axis. The bound rises by many powers of ten; the two measured curves are nearly "
    "level, at about a hundred and at some thousands.",
)
deepest = depths[-1]
section.claim(
    "trained nets use a small part of what depth could reach: share at the largest depth",
    np.mean(after[deepest]) / bound[deepest] ** deepest,
    "<",
    1e-2,
)
if section.size != "quick":
    best = min(depths[1:], key=lambda depth: np.mean(valid[depth]))
    section.claim(
        f"the deep net that other points chose, of {best} layers, is ahead of one layer: difference in % points",
        np.mean(test[1]) - np.mean(test[best]),
        ">=",
        0,
    )

# %% [markdown]
# What do we see at default size? Before training, the biases are 0. So the hundred lines of the wide network all pass
# through the origin and cut the square into exactly 200 pieces (exercise 2 of section 15.4), and the deep networks have
# 80 to 140. Training multiplies the pieces by ten to twenty: the lines move to where the border between the arms has to
# bend. The wide network then has 3700 pieces, three quarters of the most that 100 lines can make. The deep ones have
# 1000 to 2100, and the most that they could have grows to 10^10. So the trained networks do not use the power that the
# sawtooth shows. Depth seems to pay all the same. With a quarter to a half of the pieces the deep networks make half
# the errors of the wide one, 0.15 to 0.19% against 0.38%. On 4000 test points these are 6 to 8 errors against 15, which
# is little evidence. But in a short training (`--quick`) the difference is large: 0.5% for four layers, 20% for two,
# 23% for one. A likely reason is that the pieces of a deep network bend along the arms, where straight lines have to
# cross the whole square.
#
# What follows? That a deep network *can* have exponentially many pieces is a fact about representation. That a trained
# one *will* have them does not follow, and the number of pieces is not what made depth useful here.
#
# ## Exercises
# 1. On paper. Show that no network with one ReLU unit equals the tent g on the whole interval, so that g needs two.
#    Then show by induction that g applied L times takes every value in (0, 1) exactly 2^L times.
# 2. With code. Fold the plane: build by hand a network with L layers of 4 ReLU units that folds both coordinates of the
#    unit square at once, and let `pieces` count its polygons. For L = 4 there must be 256. (The solution is in
#    `solutions/15_5_depth.py`.)
# 3. With code. Train the networks of this section on points with *random* labels. Does the number of polygons grow when
#    the labels cannot be told apart by a smooth border? Compare depth 1 and depth 4.

# %%
section.finish()

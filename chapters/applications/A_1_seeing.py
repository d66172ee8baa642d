"""A.1 Seeing Data

Equations: none
Figures: digits (the maps of digits); digits_measured (what they keep, as a table); moved
(how far a map moves under another seed); faces (the maps of faces);
faces_measured (the same table of faces); decoder (the plane of an autoencoder, decoded); visits (the maps of a table);
visits_measured (the same table of these); sizes (two clouds of different spread, by t-SNE); noise (groups in a map of
noise); unscaled (a table with its columns as they are)

A table has seventy columns, a picture seven hundred pixels, and a screen has two dimensions. So people who look at data
draw *maps*: each row becomes a point (h₁, h₂), and rows that are alike should lie near each other. There are three
families of methods for it.

    PCA                  h = Dᵀ(x − μ): a projection on two directions
    an autoencoder       h = f(x), with a decoder g that brings back r = g(h): a code of two numbers
    t-SNE and UMAP       no f at all: each row has a place of its own, and places are moved until neighbours agree

A map of seven hundred dimensions in two must be wrong somewhere. The question is where it is wrong, and whether one
notices. This section draws maps of digits, faces and a table by seven methods and measures what each keeps. Then it
shows what is read off such maps although it is not there: sizes, distances and groups.

The measures are in minae/metrics/clustering.py (`neighbours`, `distances_kept`, `moved`), the models in
minae/models/undercomplete.py, variational.py, contractive.py and sparse.py, and the other methods in
chapters/applications/maps.py. The section needs scikit-learn, and draws UMAP where umap-learn is installed. The faces
and the table of visits to a shop come from MINAE_DATA. Where they are not, drawings of a square and a table of wines
stand in for them.
"""

# %%
import time

import numpy as np

from minae import (
    ContractiveAutoencoder,
    SparseAutoencoder,
    UndercompleteAutoencoder,
    VariationalAutoencoder,
    data,
    load,
    plots,
)
from minae.chapters import Section
from minae.chapters.applications import maps
from minae.errors import InputError
from minae.metrics.clustering import distances_kept, moved, neighbours, silhouette
from minae.metrics.probe import knn_accuracy
from minae.training import Adam, Cosine

try:
    from sklearn.cluster import KMeans
    from sklearn.manifold import trustworthiness as witness
except ImportError:
    raise InputError("section A.1 needs scikit-learn: pip install -e '.[apps]'") from None

section = Section("A.1")
rng = np.random.default_rng(section.seed)
device = dict(backend=section.backend)
k = 10  # neighbours
with_umap = section.size != "quick" and maps.has_umap()
if not with_umap:
    why = "pip install -e '.[apps]'" if section.size != "quick" else "to compile it takes longer than all of --quick"
    print(f"UMAP is left out: {why}\n")

# %% [markdown]
# ## What a map keeps
# We look at the k = 10 nearest rows of each row, in the data and in the map. Two things can go wrong. A row may be near
# in the map that is far in the data: an *intruder*. And a neighbour in the data may be far in the map: it is *lost*.
# *Trustworthiness* counts intruders, each by how far it is from being a neighbour. *Continuity* counts what is lost:
#
#     trustworthiness = 1 − 2/(M k (2 n − 3 k + 1)) Σ_i Σ_{j intrudes on i} (rank(i, j) − k)
#
# The sum goes over M rows i, each of which has n other rows to choose neighbours from. rank(i, j) is the place of j
# when these are sorted by their distance to i in the data, 1 for the nearest. The factor makes it 0 for the worst map,
# and a random one has ½. Continuity is the same sum with data and map exchanged. *Kept* is simpler: the share of the k
# neighbours in the data that are neighbours in the map. It is k/n for a random map.
#
# These three look at what is near. *Distances* looks at all pairs: the rank correlation of distances in the data with
# distances in the map. A measure should be tried on maps whose worth is known, so we try a copy and a random map. As a
# third map we take two columns of five, and compare the trustworthiness with that of scikit-learn.

# %%
X = rng.standard_normal((300, 5))
random = rng.standard_normal((300, 2))
of_copy, of_random, of_axes = neighbours(X, 3 - 2 * X), neighbours(X, random), neighbours(X, X[:, :2])
section.number("trustworthiness", of_random.trustworthiness, of="a random map")
section.number("neighbours kept, %", 100 * of_random.kept, of="a random map")
section.claim("a copy that is mirrored and larger keeps all, off 1 by", abs(np.array(of_copy) - 1).max(), "<=", 0)
section.claim("a random map has ½, off by", abs(of_random.trustworthiness - 0.5), "<=", 0.06)
off = abs(of_axes.trustworthiness - witness(X, X[:, :2], n_neighbors=k))
section.claim("two axes of five: off scikit-learn's trustworthiness by", off, "<=", 1e-12)

# %% [markdown]
# ## Digits
# Seven maps, all of the same rows. Four are autoencoders. Each is trained with ½ ‖x − r‖² and, beside it, a term of its
# own. All but the sparse one have layers of 128 and 32 units on the way to the code.
#
# All data are centred first, and multiplied by one number, so that the total variance Σ_j var x_j is 50, which is about
# that of the pixels of digits. PCA and t-SNE draw the same map with and without this, but for its size. The networks
# need it: if all inputs are positive, a tanh begins at one of its ends. And with one scale one weight of a penalty
# suits all data sets.
#
# - *plain*: nothing but the narrow code of two numbers (14.1);
# - *variational*: its code is noisy, and has the prior N(0, I), which fills holes in the map (14.4);
# - *contractive*: the code moves little when x moves (14.7);
# - *sparse*: here a word of warning is due. Sparsity says that of many units few are on, and of two units it says next
#   to nothing. So the sparse autoencoder keeps a code of 64 units, whose means over the rows are pulled towards 5%
#   (14.2.1), and its map is the two leading principal components of that code.
#
# t-SNE and UMAP have the settings of their libraries, which people have tried on many data sets. So t-SNE starts from
# the two leading principal components, and UMAP from eigenvectors of its graph of neighbours.
#
# Other rows are held out: at default size each method learns from 400 rows, and 300 are *new*. A method that has an f
# can place them. PCA and the autoencoders have one. UMAP optimises places for new rows with the old ones fixed. t-SNE,
# as scikit-learn has it, cannot place them.
#
# *Label* is measured with the nearest row in the plane: how often does it have the same label? For the rows that were
# learned from, one half of them is judged by the other half. For new rows, the nearest is looked for among all rows
# that were learned from. *Error* is the share of the variance of new rows that two numbers do not bring back.

# %%
rows, held_out, k = section.pick(150, 400, 2000), section.pick(100, 300, 1000), 10
epochs = section.pick(30, 100, 80)


def trained(model, X, seed, passes=epochs):
    """The model after so many passes through X, in batches of 32."""
    optimizer = Adam(Cosine(3e-3, steps=passes * -(-len(X) // 32)))
    model.fit(X, epochs=passes, batch_size=32, optimizer=optimizer, seed=seed)
    return model


def network(kind, X, seed):
    """An autoencoder of this kind, not yet trained, for rows such as those of X."""
    on = dict(activation="tanh", loss="gaussian", seed=seed) | device
    wide = (X.shape[1], 128, 32, 2)
    if kind == "variational":
        return VariationalAutoencoder(wide, beta=0.3, **on)
    if kind == "contractive":
        return ContractiveAutoencoder(wide, code="identity", lam=0.03, **on)
    if kind == "sparse":
        return SparseAutoencoder((X.shape[1], 64), code="sigmoid", lam=0.1, rho=0.05, **on)
    return UndercompleteAutoencoder(wide, code="identity", lam=1e-3, **on)


def learned(kind):
    """The map of an autoencoder of this kind: a function of the rows and the seed."""
    return lambda X, seed: maps.Network(trained(network(kind, X, seed), X, seed), X)


def tsne(X, seed, **more):
    return maps.TSNE(X, seed, iterations=section.pick(300, 500, 1000), **more)


METHODS = {"PCA": maps.PCA} | {kind: learned(kind) for kind in ("plain", "variational", "contractive", "sparse")}
METHODS |= {"t-SNE": tsne} | ({"UMAP": maps.UMAP} if with_umap else {})


def measures(one, X, X_new, y=None, y_new=None):
    """What a map keeps: measure -> number."""
    near = neighbours(X, one.h, k)
    told = {"trustworthiness": near.trustworthiness, "continuity": near.continuity, "kept, %": 100 * near.kept}
    told["distances"] = distances_kept(X, one.h)
    if y is not None:
        told["label, %"] = 100 * knn_accuracy(one.h[::2], y[::2], one.h[1::2], y[1::2])
    if one.place is not None:
        h_new = one.place(X_new)
        near = neighbours(X, one.h, k, X_new, h_new)
        told |= {"trustworthiness, new rows": near.trustworthiness, "kept, new rows, %": 100 * near.kept}
        if y is not None:
            told["label, new rows, %"] = 100 * knn_accuracy(one.h, y, h_new, y_new)
    if one.reconstruct is not None:
        told["error, new rows, %"] = (
            100 * np.square(X_new - one.reconstruct(X_new)).sum() / np.square(X_new - X.mean(axis=0)).sum()
        )
    return told


def compare(of, X, X_new, y=None, y_new=None, methods=METHODS):
    """The maps of X by several methods: ({method: map of the first seed}, {method: {measure: mean over the seeds}})."""
    found, measured = {}, {}
    for name, method in methods.items():
        by_seed = []
        for seed in section.seeds:
            start = time.process_time()
            one = method(X, seed)
            seconds = time.process_time() - start
            found.setdefault(name, one)
            by_seed.append(measures(one, X, X_new, y, y_new) | {"processor seconds": seconds})
        measured[name] = {}
        for measure in by_seed[0]:
            values = [told[measure] for told in by_seed]
            measured[name][measure] = section.number(measure, values, of=f"{of}, {name}")
    return found, measured


def as_table(measured, title):
    """What was measured, as a picture: the best of each column is framed, and what is near it is dark."""
    columns = list(dict.fromkeys(measure for told in measured.values() for measure in told))
    columns.sort(key=lambda measure: (measure == "processor seconds", "new" in measure))
    words, shades, framed = {name: {} for name in measured}, {}, []
    for measure in columns:
        values = {name: told[measure] for name, told in measured.items() if measure in told}
        best = (min if measure.startswith(("error", "processor")) else max)(values.values())
        spread = max(abs(value - best) for value in values.values()) or 1
        column = measure.replace(", new rows", "\nnew rows").replace(" seconds", "\nseconds")
        for name in measured:
            value = values.get(name)
            words[name][column] = "none" if value is None else f"{value:.{3 if best <= 1 else 1}f}"
            shades[name, column] = plots.shade(0 if value is None else 1 - abs(value - best) / spread)
            framed += [(name, column)] * (value == best)
    return plots.table(words, shades, framed=framed, title=title)


digits = data.mnist(full=section.size == "full")
for name in ("plain", "contractive", "UMAP")[: 2 + with_umap]:
    METHODS[name](digits.train[:50], 0)  # compiles what is compiled, so that it is not timed
y, y_new = digits.train_labels[:rows].astype(int), digits.test_labels[:held_out].astype(int)
X, X_new, everything, _ = maps.centred(digits.train[:rows], digits.test[:held_out], digits.train)
of_digits, measured = compare("digits", X, X_new, y, y_new)
section.figure(
    plots.codes(
        {name: one.h for name, one in of_digits.items()}, y, f"{rows:,} digits in the plane", colour_label="digit"
    ),
    "digits",
    caption="The same digits by every method. Each point is an image, its colour is the digit, which no method was "
    "told. Look at which digits are apart and which lie over each other, and at the shapes of the clouds, which are "
    "the method's own.",
    alt="Seven panels of coloured points. In that of PCA most digits lie over each other. In those of t-SNE and UMAP, "
    "where it is drawn, most digits are islands. Those of the autoencoders lie between.",
)
section.figure(
    as_table(measured, f"Maps of {rows:,} digits"),
    "digits_measured",
    caption=f"What the maps keep of the {k} nearest neighbours, of the order of distances and of the labels, for the "
    "rows that they learned from and for new rows; the error, which is the share of the variance that two numbers do "
    "not bring back; and the time. The best of a column is framed, and the darker a cell, the nearer it is to the "
    "best. 'none' stands where a method cannot place new rows, or has no way back.",
    alt="A table of methods and measures. t-SNE or UMAP have the best of the neighbours and the labels. t-SNE has "
    "nothing for new rows.",
)
units = np.asarray(of_digits["sparse"].model.encode(X))
section.number("kept, %", 100 * neighbours(X, units, k).kept, of="digits, all 64 units of the sparse code")
chance = 100 * k / (rows - 1)
least = min(told["kept, %"] for told in measured.values())
section.claim("every map knows something: the least share kept, over that of chance", least / chance, ">", 2)
more = measured["t-SNE"]["kept, %"] - measured["PCA"]["kept, %"]
section.claim("t-SNE keeps more neighbours than PCA, points", more, ">", 0)
gain = measured["plain"]["error, new rows, %"] / measured["PCA"]["error, new rows, %"]
section.guard("digits, new rows: the plain autoencoder's error over PCA's", gain, "<=", 0.95)

# %% [markdown]
# What do we see at default size? t-SNE and UMAP keep the most neighbours: 49% and 47% of ten, where the plain
# autoencoder keeps 37%, the variational one 34% and PCA 19%. By chance it would be 2.5%. The label of the nearest row
# in the plane is right in 71% with t-SNE, 62% with UMAP, 59% with the plain autoencoder and 34% with PCA. Two hundred
# rows are judged, so each of these is known to three or four points. To see which digits are alike, use t-SNE or UMAP.
#
# The order of all distances is another matter. There the variational autoencoder is first (0.64), and UMAP is last
# (0.32). And on new rows the order changes. The plain autoencoder falls from a trustworthiness of 0.89 to 0.80: it has
# learned its 400 rows by heart, to a degree. The variational one, whose code is noisy, falls less (0.87 to 0.83), and
# UMAP, which places a new row among its neighbours, hardly falls at all (0.90 to 0.88). One often reads that an encoder
# is the right thing for new rows. On so few rows UMAP is better. t-SNE has no number here.
#
# Two numbers bring back little of a digit. Of the variance of new rows PCA leaves 83% and the variational autoencoder
# 78%. The sparse map keeps no more neighbours than that of PCA, 18%, and this is not the fault of its code: all 64
# units together keep 74%. They are lost in the plane of two principal components. A code that spreads what it knows
# over many units is not made to be looked at.

# %% [markdown]
# ## More rows, and another seed
# An f has a further use: it can learn from more rows than the map shows. The time that a network takes depends on the
# number of its steps, and not on how many different rows it sees in them. So we train the plain autoencoder on all the
# digits that we have, in the same number of steps.
#
# Then we ask how *stable* a map is. We fit each method again with another seed. Then we shift, turn, mirror and scale
# the second map until it fits the first as well as possible (Procrustes), and take the share of the variance that does
# not fit: 0 for the same map, almost 1 for unrelated ones. t-SNE is asked twice, since it can start from principal
# components, as scikit-learn does it today, or from random places, as it was done for years.


# %%
def from_all(X, seed):
    """The plain autoencoder that learns from all digits, in as many steps as from X."""
    model = network("plain", X, seed)
    return maps.Network(trained(model, everything, seed, max(1, round(epochs * len(X) / len(everything)))), X)


name = f"plain, {len(everything):,} rows"
_, with_more = compare("digits", X, X_new, y, y_new, {name: from_all})
again = {name: METHODS[name] for name in ("PCA", "plain", "variational")} | {"t-SNE": tsne}
again |= {"t-SNE, random start": lambda X, seed: tsne(X, seed, init="random")}
again |= {"UMAP": maps.UMAP} if with_umap else {}
moves = {}
for name, method in again.items():
    first = of_digits[name].h if name in of_digits else method(X, section.seed).h
    second = method(X, section.seed + 100).h
    moves[name] = section.number(
        "moved under another seed, share of the variance", round(moved(first, second), 12), of=name
    )
    section.number("neighbours in one map that are in the other, %", 100 * neighbours(first, second, k).kept, of=name)
section.figure(
    plots.bars(moves, "share of the variance that does not fit", "The same digits, another seed"),
    "moved",
    caption="How far the map of the digits moves when a method is fitted again with another seed, after the best "
    "shift, rotation, mirror and scale. 0 is the same map. PCA has no seed.",
    alt="Horizontal bars. PCA has none. t-SNE from a random start has a long one, the variational autoencoder and "
    "UMAP, where it is drawn, have shorter ones.",
)
section.claim("PCA draws the same map, moved by", moves["PCA"], "<=", 1e-9)
encoder = of_digits["plain"].model
encoder.save(section.out / "map.safetensors")
off = abs(load(section.out / "map.safetensors", backend=section.backend).encode(X) - of_digits["plain"].h).max()
section.claim("and so does a network that was saved: off by", off, "<=", 0)

# %% [markdown]
# With all 6,000 digits, in the same time, the plain autoencoder has hardly a row that it knows by heart. Its
# trustworthiness is 0.83 on the rows of the map and 0.84 on new rows, where 400 rows gave 0.89 and 0.80, and 71% of the
# variance of new rows is left in place of 82%. To learn from many rows and to show few is cheap for an f. UMAP and
# t-SNE have to place all the rows that they learn from.
#
# Under another seed UMAP's map moves by 2% of its variance, the variational autoencoder's by 7%, the plain one's by
# 20%. t-SNE moves by more than half although it starts from principal components, and by 74% from random places. (How
# can the seed matter in the first case? The library computes the components of so many pixels by a random method, to
# about five digits. The rest differs, and t-SNE makes much of it. The number of threads has the same effect, since sums
# are rounded in another order: with one thread we measured 55%, with two 68%. So your number will be another one.) Its
# neighbourhoods are more alike than that: in the first case over 60% of the neighbours are the same in both maps.
# Islands are the same and lie elsewhere. So no map here but PCA's is *the* map of the data. What an autoencoder has in
# its favour is another thing. Its map is a file, and the file draws each row at the same place for ever.

# %% [markdown]
# ## Faces
# The second data set is a film of one man's face, 1,965 frames of 28 × 20 pixels. There are no classes here. What
# changes is the expression and where the head points to, and it changes slowly. The held-out rows are from the last
# quarter of the film. Frames that are picked at random would each have a twin, a fraction of a second away, among the
# rows to learn from, and every method would look better than it is on new rows.

# %%
film = maps.frey_faces()
if film is None:
    print("the faces are left out, since MINAE_DATA has no faces/freyface.mat: a square that moves stands in for them")
    pictures, shade = maps.drawings(rng, rows + held_out)
    (X, shade), X_new, shape = (pictures[:rows], shade[:rows]), pictures[rows:], (16, 16)
    what, title = "place along x", "Drawings of a square"
else:
    what, title = "number of the frame", "Frames of a film of a face"
    cut, shape = 1500, (28, 20)
    pick = rng.permutation(cut)[:rows]
    X, shade, X_new = film[pick], pick.astype(float), film[cut + rng.permutation(len(film) - cut)[:held_out]]
X, X_new, back = maps.centred(X, X_new)
of_faces, by_faces = compare("faces" if film is not None else "drawings", X, X_new)
section.figure(
    plots.codes({name: one.h for name, one in of_faces.items()}, shade, title, colour_label=what),
    "faces",
    caption="Frames of a film, coloured by time (or, where MINAE_DATA has no faces, drawings of a square, coloured by "
    "their place). Frames that follow each other are alike, so that a good map has no colour beside a very different "
    "one, and one can follow the film.",
    alt="Panels of points whose colours change gradually along bands and clouds.",
)
section.figure(
    as_table(by_faces, title),
    "faces_measured",
    caption="The same measures as for the digits, now for the frames. There are no labels here.",
    alt="A table of methods and measures: t-SNE and UMAP have the best trustworthiness and keep most neighbours.",
)
gain = by_faces["plain"]["error, new rows, %"] / by_faces["PCA"]["error, new rows, %"]
section.guard("faces, new rows: the plain autoencoder's error over PCA's", gain, "<=", 1.1)

# %% [markdown]
# Here is what only an autoencoder has: a way *back*. Each place of the plane can be decoded, also a place where no
# picture lies. So one can ask of a map what its directions mean, and see where the map has no meaning. We take the
# variational one, because its prior leaves few holes.

# %%
h, g = of_faces["variational"].h, of_faces["variational"].model
low, high = np.percentile(h, [2, 98], axis=0)
across, down = np.linspace(low[0], high[0], 12), np.linspace(high[1], low[1], 8)
sheet = {}
for two in down:
    r = back(g.decode(np.stack([across, np.full(12, two)], axis=1).astype(np.float32))).clip(0, 1)
    sheet[f"h₂ = {two:.2f}"] = r if film is None else 1 - r  # ink is 1 and drawn dark, and light in a film is 1, too
section.figure(
    plots.images(sheet, f"The plane, decoded: h₁ from {across[0]:.1f} to {across[-1]:.1f}", shape),
    "decoder",
    caption="The decoder of the variational autoencoder at places of a grid: h₁ grows to the right and h₂ upward. Look "
    "for what changes along a row and along a column, and for places where the picture is blurred, because no picture "
    "of the data lies there.",
    alt="A grid of pictures that change gradually from one to the next.",
)
people = maps.olivetti_faces()
if people is None:
    print("the 40 persons are left out, since MINAE_DATA has no faces/olivettifaces.mat")
else:
    photographs, person = people
    new = np.arange(400) % 10 >= 8  # two of ten of each person
    order = rng.permutation(np.flatnonzero(~new))
    some = {name: METHODS[name] for name in ("PCA", "plain", "variational", "t-SNE", "UMAP") if name in METHODS}
    given = *maps.centred(photographs[order], photographs[new])[:2], person[order], person[new]
    of_people, by_people = compare("persons", *given, methods=some)

# %% [markdown]
# A face that moves has few degrees of freedom, and all methods but the sparse one do better than on digits: a
# trustworthiness of 0.98 for t-SNE and UMAP, 0.96 for three of the autoencoders, 0.89 for PCA. One can follow the film
# as bands of colour. On the last part of the film, from which no method has learned, UMAP has a trustworthiness of
# 0.96, the plain and the contractive autoencoder have 0.91, and PCA has 0.88. Two numbers leave 73% of the variance of
# that part with PCA, and 68% with the contractive autoencoder: the end of the film has expressions that its beginning
# had not. In the decoded plane the head turns and the mouth changes, gradually, and no place shows anything but a face.
#
# The second collection of faces, for which we draw no map, has 40 persons with ten photographs each, and two of the ten
# are new. The nearest photograph in the plane shows the same person in 79% of the cases with t-SNE, 68% with UMAP, 41%
# with the plain autoencoder and 22% with PCA. Of the variance of new photographs the plain autoencoder leaves 58% and
# PCA 55%: with 320 rows to learn from the linear method is better. The variational one is better than both, with 51%.

# %% [markdown]
# ## A table
# Tables are what most people have to look at. Here it is visits to a shop, as many that ended with a purchase as
# others. Ten columns are numbers, such as pages and seconds, and seven are words, such as the month or the kind of
# visitor. The words become one column of 0 and 1 for each word, and a number gets mean 0 and deviation 1, after a
# logarithm where few values are huge (`Encoding` in chapters/applications/maps.py). This is a choice, and the map
# depends on it: no method can know how many seconds a difference of one month is worth. The mean and the deviation are
# those of the rows to learn from, a column that is constant there is left out, and a word that was never seen is a row
# of zeros.

# %%
table = maps.shoppers(rng, rows + held_out)
if table is None:
    print("the visits are left out, since MINAE_DATA has no response/online_shoppers.tsv.gz: wines stand in for them")
    table, names, title = maps.wines(rng), ("grower 1", "grower 2", "grower 3"), "Wines"
else:
    names, title = ("left", "bought"), "Visits to a shop"
columns, y = table
count = min(rows, 2 * len(y) // 3)
learn, new = ({name: values[part] for name, values in columns.items()} for part in (slice(count), slice(count, None)))
encoding = maps.Encoding(learn)
X, X_new, _ = maps.centred(encoding(learn), encoding(new))
y, y_new = y[:count], y[count:]
of_visits, by_visits = compare("table", X, X_new, y, y_new)
section.figure(
    plots.codes(
        {name: one.h for name, one in of_visits.items()}, y, title, colour_label="what came of it", names=names
    ),
    "visits",
    caption="Rows of a table, coloured by what no method was told: whether a visit ended with a purchase (or, where "
    "MINAE_DATA has no visits, which grower made the wine). Look for groups, and ask before you believe in them which "
    "column made them.",
    alt="Panels of points coloured by class: for visits the two colours overlap in all of them.",
)
section.figure(
    as_table(by_visits, title),
    "visits_measured",
    caption="The same measures as for the digits, now for the table. A label is right by chance in half of the visits.",
    alt="A table of methods and measures.",
)

# %% [markdown]
# No map parts the visits that end with a purchase from the others. The nearest row in the plane has the right answer in
# 75% of the cases with t-SNE, 72% with UMAP, 68% with the variational autoencoder and 58% with PCA, where luck alone
# has half. Two hundred rows are judged, so such a number is known to three or four points. t-SNE and UMAP again keep
# the most neighbours, 51 and 47%, where the autoencoders keep 28 to 32% and PCA 23%. The plain autoencoder keeps the
# order of distances best (0.86). Two of its numbers leave 56% of the variance of new rows, and PCA 63%.
#
# Some methods show a small clump far away from all other rows. Its rows, eleven of the four hundred, are visits of one
# or two pages and zero seconds, and none of them ended with a purchase. Where methods that work so differently show the
# same group, it is likely to be real, and here a column names it. Other islands of UMAP and t-SNE are not in the map of
# PCA. Before one believes in them, they have to be found in the data, as mistake 2 will show.

# %% [markdown]
# ## Mistake 1: reading sizes and distances
# Why are all islands of t-SNE about as large as each other? This follows from its definition. Let d_ij be the distance
# of rows i and j in the data. Row i gives to each other row j the share
#
#     p_{j|i} = exp(−d_ij²/2 s_i²) / Σ_{l ≠ i} exp(−d_il²/2 s_i²)
#
# and its width s_i is chosen so that about as many neighbours count as one has asked for. This number of neighbours is
# the *perplexity*. From p alone the map is made: places h are moved until shares that are computed from h, with weights
# 1/(1 + ‖h_i − h_j‖²), are as near to p as possible. Now multiply all distances of a cloud by c. Then the width c s_i
# does what s_i did, because only d/s is in the formula, and so p is unchanged. A cloud that is ten times as wide has
# the same p, hence the same map. And between two clouds that are far apart p is as good as 0, whether they are far or
# very far. We check both, and then look at three clouds: B has five times the spread of A, and C lies five times as far
# from A as B does.

# %%
one = rng.standard_normal((60, 10))
far = np.eye(10)[0]
p = maps.affinities(np.concatenate([one, 1e4 * far + 10 * one]), 10)
section.claim("p of a cloud and of one ten times as wide, off by", abs(p[:60, :60] - p[60:, 60:]).max(), "<=", 1e-7)
section.claim("p between the two", max(p[:60, 60:].max(), p[60:, :60].max()), "<=", 1e-7)

size = section.pick(60, 100, 200)
clouds = [s * rng.standard_normal((size, 10)) + place * far for s, place in ((1, 0), (5, 40), (1, 200))]
X, cloud = np.concatenate(clouds).astype(np.float32), np.repeat([0, 1, 2], size)
X, _ = maps.centred(X)
shown = {"PCA": maps.PCA(X).h, "plain": learned("plain")(X, section.seed).h}
shown |= {f"t-SNE, perplexity {p}": tsne(X, section.seed, perplexity=p).h for p in (5, 30, size - 10)}
shown |= {"UMAP": maps.UMAP(X, section.seed).h} if with_umap else {}


def read_off(h):
    """What a reader sees in a map of the clouds: (spread of B over that of A, distance A to C over A to B)."""
    middles = [h[cloud == c].mean(axis=0) for c in range(3)]
    spread = [np.sqrt(np.square(h[cloud == c] - middles[c]).sum(axis=1).mean()) for c in range(2)]
    return spread[1] / spread[0], np.linalg.norm(middles[2] - middles[0]) / np.linalg.norm(middles[1] - middles[0])


spreads, distances = {}, {}
for name, h in ({"the data": X} | shown).items():
    spreads[name], distances[name] = read_off(h)
    section.number("spread of B over that of A", spreads[name], of=name)
    section.number("distance from A to C over that to B", distances[name], of=name)
section.claim("PCA shows that B is wider: over half of five times", spreads["PCA"], ">", 2.5)
section.claim("t-SNE does not: less than half of it is left", spreads["t-SNE, perplexity 30"], "<", 2.5)
section.figure(
    plots.codes(shown, cloud, "Three clouds", columns=3, colour_label="cloud", names=("A", "B", "C")),
    "sizes",
    caption="Cloud B has five times the spread of A and C, and C lies five times as far from A as B does. Look at the "
    "sizes of the clouds and at their distances in each panel, and at what the perplexity does to them.",
    alt="PCA shows a small, a large and a small far cloud on a line. t-SNE shows three clouds of about one size, in "
    "places that depend on the perplexity.",
)

# %% [markdown]
# In the data B has 4.9 times the spread of A. PCA shows 5.9 times, because the second component is the direction in
# which B happens to be widest, and the plain autoencoder shows 7.6 times. t-SNE shows 1.0 to 1.1 times at each
# perplexity, and UMAP 1.0 times. C lies 5.0 times as far from A as B does, and it does so in PCA (5.0) and the
# autoencoder (5.2). In t-SNE this ratio is 0.9, 2.0 or 2.4, by the perplexity, and in UMAP it is 1.6. So a big island
# is not a diverse class, and two islands side by side are not alike.

# %% [markdown]
# ## Mistake 2: groups in noise
# Draw a few hundred rows of fifty independent normal numbers. There are no groups. Now do what is often done: make a
# map, find groups in the map by k-means, and measure by the *silhouette* how well they are apart. It compares the
# distance to the rows of the own group with that to the rows of the nearest other one, and is 1 for groups far apart
# and 0 for none. If the silhouette is measured in the map, it judges the map. It has to be measured in the data. For
# comparison we do the same with rows that do have five groups.

# %%
count, dimensions = section.pick(150, 300, 1000), 50
noise = rng.standard_normal((count, dimensions))
grouped = noise + 1.5 * rng.standard_normal((5, dimensions))[np.arange(count) % 5]
drawn, groups = {}, {}
for name, X, h in (
    ("noise, PCA", noise, maps.PCA(noise).h),
    ("noise, t-SNE, perplexity 5", noise, tsne(noise, section.seed, perplexity=5).h),
    ("noise, t-SNE, perplexity 30", noise, tsne(noise, section.seed).h),
    ("five groups, t-SNE, perplexity 30", grouped, tsne(grouped, section.seed).h),
):
    drawn[name] = h
    groups[name] = KMeans(5, n_init=5, random_state=section.seed).fit_predict(h)
    in_map = section.number("silhouette in the map", silhouette(h, groups[name]).mean(), of=name)
    in_data = section.number("silhouette in the data", silhouette(X, groups[name]).mean(), of=name)
    if X is noise:
        section.claim(f"{name}: the map shows groups that are not there", in_map - in_data, ">", 0.2)
    else:
        section.claim(f"{name}: here they are in the data, too: silhouette", in_data, ">", 0.2)
section.figure(
    plots.codes(drawn, groups, "Groups that k-means finds in maps", colour_label="group of k-means", names="abcde"),
    "noise",
    caption="Three maps of one noise, and one of rows with five groups, coloured by the groups that k-means finds in "
    "the map. In the first three there is nothing to find: k-means cuts a cloud like a cake.",
    alt="Panels of points in five colours. The first three are one cloud each, cut into five parts that touch. In the "
    "last the colours are five islands.",
)

# %% [markdown]
# In each map of noise the five groups have a silhouette of 0.31 to 0.34. Measured in the data, the same groups have
# 0.00 to 0.01: there is nothing. Where there are groups, the silhouette is 0.92 in the map and 0.38 in the data. So a
# silhouette of 0.3 in a plane is what any cloud has that is cut like a cake, by PCA just as by t-SNE. A group exists if
# it can be measured in the data.

# %% [markdown]
# ## Mistake 3: columns as they are
# A distance adds up squares. If one column is in seconds and reaches thousands, and another is a share below one, then
# only the seconds count in the distance. Here is the table again, its numbers as they stand in the file.

# %%
plain = maps.Encoding(learn, plain=True)
raw, proper = plain(learn), encoding(learn)
widest = int(raw.std(axis=0).argmax())
both = {"as they are, PCA": maps.PCA(raw).h, "as they are, t-SNE": tsne(raw, section.seed).h}
both |= {"standardised, PCA": of_visits["PCA"].h, "standardised, t-SNE": of_visits["t-SNE"].h}
for name, h in both.items():
    section.number("neighbours of the standardised rows kept, %", 100 * neighbours(proper, h, k).kept, of=name)
    section.number("label, %", 100 * knn_accuracy(h[::2], y[::2], h[1::2], y[1::2]), of=f"table {name}")
one_column = abs(np.corrcoef(both["as they are, PCA"][:, 0], raw[:, widest])[0, 1])
print(f"  the widest column is {plain.names[widest]}")
section.claim("as they are, the map's first axis is one column: correlation", one_column, ">", 0.99)
section.figure(
    plots.codes(both, y, title, colour_label="what came of it", names=names),
    "unscaled",
    caption="The table with its columns as they are, and standardised. As they are, the first axis of PCA is one "
    "column, and t-SNE draws a curve, because almost all of the variance is in that one column.",
    alt="Two panels of curves and stripes, and two of clouds.",
)

# %% [markdown]
# As they are, the maps keep 10 or 11% of the neighbours that standardised rows have, and the label is right in 56%. The
# first axis of PCA is the column of seconds on pages of products, alone. With the columns standardised t-SNE keeps 51%,
# and the label is right in 75%. PCA gains less: it keeps 23%, and the label is right in 58%. Ask which column has the
# largest deviation before you ask which method is best.
#
# ## Mistake 4: fitting on the rows that judge
# A map of *all* rows, training and test together, is quickly made. Then the method has learned from the rows that judge
# it. By how much does it look better than it is? A hundred digits are to be judged, by what two numbers bring back of
# them. The method learns from 200 others, or from the 200 and the hundred, in the same number of steps.

# %%
X, judged, _ = maps.centred(digits.train[:200], digits.test[:100])
flattery = {}
for name in ("PCA", "plain"):
    for learned_from, fit in (("others alone", X), ("others and them", np.concatenate([X, judged]))):
        passes = section.pick(60, 200, 300) * 7 // -(-len(fit) // 32)
        made = (
            maps.PCA(fit) if name == "PCA" else trained(network("plain", fit, section.seed), fit, section.seed, passes)
        )
        error = np.square(judged - made.reconstruct(judged)).sum() / np.square(judged - X.mean(axis=0)).sum()
        flattery[name, learned_from] = section.number(
            "error, %", 100 * error, of=f"{name}, learned from {learned_from}"
        )
    less = flattery[name, "others alone"] - flattery[name, "others and them"]
    section.claim(f"{name}: who has seen the rows looks better, points", less, ">", 0)

# %% [markdown]
# The plain autoencoder leaves 91% of the variance of rows that it has not seen, and 59% of the same rows if they were
# among those it learned from. With PCA the difference is two points, 83% and 81%. What looks like a better method here
# is a better memory: with so few rows to learn from, PCA is better on new ones. The more a method can learn, the more
# it is flattered by rows that it knows.
#
# ## What to use when
# - **First, always: PCA.** It takes milliseconds, has no setting and no seed, places new rows, and shows sizes and
#   distances roughly as they are. If its plane shows what you look for, stop there.
# - **To see which rows are alike, once:** t-SNE or UMAP. They keep the most neighbours. Draw the map for several seeds
#   and perplexities, and believe only what all of them show. Read neither sizes, nor distances between islands, nor the
#   number of islands.
# - **New rows every day:** UMAP if neighbours are all that counts, since it placed new rows best here. An autoencoder
#   if there are many rows, which it learns from cheaply, or if a new row has to be placed in no time: that takes a few
#   products of a row and a matrix. Learn from all rows that you have, but for those that judge (mistake 4), keep the
#   file, and do not compare maps of two seeds.
# - **What does a direction mean, what would lie here:** an autoencoder, a variational one if the plane should have no
#   holes. Only it has a decoder.
# - **A table:** choose the scale of the columns before you choose the method. This changes the map more (mistake 3).
# - **Groups:** find them in the data, or in a code of more than two numbers, and test them there. A map is for looking.

# %% [markdown]
# ## Exercises
# 1. On paper. A unit ball in n dimensions has almost all of its volume near its surface. Let rows be N(0, I) in n
#    dimensions. Show that ‖x_i − x_j‖² has mean 2 n and deviation √(8 n), so that all distances are nearly equal for
#    large n. Can n + 1 points at equal distances be drawn in the plane? In the map t-SNE gives to a pair at distance d
#    the weight 1/(1 + d²), and not exp(−d²). What does it gain by this long tail?
# 2. With code. t-SNE has no f, but one can be added. Put a new row at the mean place of its three nearest rows of the
#    data, and then at the place of the nearest alone. Measure `neighbours(X, h, 10, X_new, h_new)`. With 600 digits the
#    trustworthiness of new rows should be above 0.85, and above PCA's. Which of the two is better, and why? (A solution
#    stands in `chapters/solutions/A_1_seeing.py`.)
# 3. With code. Put `DenoisingAutoencoder` with corruption="gaussian" and level=0.3 beside the four autoencoders. Its
#    training rows are never the same twice. What happens to the trustworthiness of *new* rows, and to their error?

# %%
section.finish()

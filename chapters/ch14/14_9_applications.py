"""14.9 Applications of Autoencoders

Equations: none of its own
Figures: values (of a code that was trained with noise, and of one without); map (mean average precision by number of
bits); precision (within two bits); balls (what lies in a query's Hamming ball)

What is a small code good for? The book names two uses.

*Dimensionality reduction.* A search or a classifier that is given 32 numbers in place of 784 has less to read and less
to store. It may even do better, if what was left out was noise.

*Information retrieval.* To find what resembles a query, one usually compares the query with every item. Semantic
hashing (Salakhutdinov and Hinton 2009; Torralba et al. 2008) gives every item a code of a few *bits*. Such a code is an
address: one looks under the query's own address, and under all addresses that differ from it in a bit or two. Items of
similar meaning must then have similar addresses, and an autoencoder is trained to give them.

How does one train bits? The code must be differentiable in training, and binary in use. The book's answer is noise,
which is added just before the sigmoid of the code:

    h = σ(a + ν ε),     a = f(x),     ε ~ N(0, I)

The decoder can only read what the noise does not drown. So training pushes the logits a away from 0, until h is nearly
0 or nearly 1 whatever ε is, and the bit [a > 0] says as much as h does. In the book the noise grows while training goes
on. Here its level ν is 8 from the first step to the last.

The symbols are in minae/NOTATION.md. The model, with its derivation, forward and backward pass, is in
minae/models/hashing.py, and the noisy sigmoid in minae/codes.py; Hamming distances, balls and the measures of retrieval
are in minae/metrics/retrieval.py; the classical ways to hash in chapters/classical.py.
"""

# %%
import numpy as np
from scipy.stats import norm

from minae import SemanticHashingAutoencoder, UndercompleteAutoencoder, check_gradient, data, plots
from minae.chapters import Section
from minae.chapters.classical import ITQ, LSH, PCA, PCASign
from minae.metrics.probe import knn_accuracy
from minae.metrics.retrieval import ball, hamming, mean_average_precision, pack, precision_within
from minae.training import Adam, Cosine

section = Section("14.9")
digits = data.mnist(full=section.size == "full")
X, X_labels = digits.train, digits.train_labels  # the items, (rows, 784); no model sees a label
count = section.pick(300, 1000, 1000)
Q, Q_labels = digits.test[:count], digits.test_labels[:count]  # the queries
relu = dict(activation="relu", backend=section.backend)


def train(model, epochs, seed):
    """By Adam, with a learning rate that falls to 0 along a cosine."""
    optimizer = Adam(Cosine(section.pick(5e-3, 2e-3, 1e-3), steps=epochs * -(-len(X) // 64)))
    model.fit(X, epochs=epochs, batch_size=64, optimizer=optimizer, seed=seed)
    return model


# %% [markdown]
# ## Dimensionality reduction
# The task is the plainest of all: find the item that is nearest to a query, and hope that it shows the same digit (1-NN
# accuracy). The distance is that of all 784 pixels, or of k numbers: k principal components, or the code of an
# autoencoder 784-256-k. Both codes are made without labels. We also print the squared error of the reconstruction, to
# see whether the code that keeps more of x is the one that serves the search better.


# %%
def neighbour_accuracy(encode):
    return knn_accuracy(encode(X), X_labels, encode(Q), Q_labels)


def squared_error(model):
    return np.square(Q - model.reconstruct(Q)).sum(axis=1).mean()


raw = section.number("1-NN accuracy", knn_accuracy(X, X_labels, Q, Q_labels), of="784 pixels")
for k in section.pick((32,), (16, 32), (16, 32)):
    pca, options = PCA(X, k), dict(sizes=(784, 256, k), code="identity", **relu)
    models = [train(UndercompleteAutoencoder(seed=s, **options), section.pick(3, 15, 5), s) for s in section.seeds]
    accuracies = [neighbour_accuracy(model.encode) for model in models]
    accuracy = section.number("1-NN accuracy", accuracies, of=f"autoencoder, k = {k}")
    section.number("1-NN accuracy", neighbour_accuracy(pca.encode), of=f"PCA, k = {k}")
    error = section.number("squared error", [squared_error(model) for model in models], of=f"autoencoder, k = {k}")
    error_pca = section.number("squared error", squared_error(pca), of=f"PCA, k = {k}")
    section.claim(f"{k} numbers of an autoencoder lose less of x than PCA's", error, "<", error_pca)

# %% [markdown]
# Is the accuracy on k numbers worse than on pixels? An accuracy p that was counted on N queries has a standard error of
# √(p(1 − p)/N). We claim that the loss is within two of them.

# %%
deviation = (raw * (1 - raw) / len(Q)) ** 0.5
loss = section.number(f"accuracy lost from 784 pixels to {k} numbers, in standard errors", (raw - accuracy) / deviation)
section.claim(f"a search on {k} numbers is as good as one on pixels: loss in standard errors", loss, "<=", 2)

# %% [markdown]
# What do we see at default size? With 32 numbers the accuracy is 0.936 by the autoencoder, 0.937 by PCA and 0.938 by
# pixels: three values that 1000 queries cannot tell apart. A search on 32 numbers in place of 784 costs a twenty-fifth,
# and loses nothing. But the autoencoder has no advantage over PCA here, although its reconstructions have half the
# error (7.4 against 13.7). To keep more of x is not to serve the search better: PCA drops small components, and small
# components are mostly noise. Where numbers are scarce the better code does show: with 16 of them the autoencoder has
# 0.920 and PCA 0.901.

# %% [markdown]
# ## Training bits
# What can noise of level ν do to a bit? The bit is [a > 0], and noise flips it when a + ν ε has the other sign. Since ε
# is normal, with the distribution function Φ,
#
#     P(flip) = P(ν ε < −|a|) = Φ(−|a|/ν)
#
# A logit of |a| = ν loses one bit in six, and |a| = 3ν one in 740. The derivative of Φ says how much the flips fall
# when |a| grows: it is positive everywhere, so that more |a| always helps the decoder. We check the formula by drawing
# noise. Then we train the same network 784-…-32 with noise and without, and ask both how many of their bits the noise
# flips.

# %%
level, bits = 8.0, 32
a = np.linspace(-20, 20, 41)
eps = np.random.default_rng(section.seed).standard_normal((200_000, 1))
flipped = ((a + level * eps > 0) != (a > 0)).mean(axis=0)
expected = norm.cdf(-abs(a) / level)
off = abs(flipped - expected) / np.sqrt(expected * (1 - expected) / len(eps))
section.claim("P(flip) = Φ(−|a|/ν): largest difference, in standard errors", off.max(), "<=", 5)


def hashing(bits, seed):
    sizes = (784, *section.pick((256,), (500, 250), (500, 250)), bits)
    model = SemanticHashingAutoencoder(sizes, level=level, tied=True, seed=seed, **relu)
    return train(model, section.pick(5, 12, 6), seed)


noisy = hashing(bits, section.seed)
smooth = UndercompleteAutoencoder(noisy.sizes, code="sigmoid", tied=True, seed=section.seed, **relu)
train(smooth, section.pick(5, 12, 6), section.seed)
h = {"hashing, trained with noise": noisy.encode(Q), "plain, trained without noise": smooth.encode(Q)}  # h = σ(a)
ends, flips = {}, {}
for name, values in h.items():
    values = values.astype(np.float64).clip(1e-12, 1 - 1e-12)
    logits = np.log(values / (1 - values))  # a, as far as a float32 h tells it
    ends[name] = section.number("share of h within 0.1 of 0 or 1", np.mean(abs(values - 0.5) > 0.4), of=name)
    flip = norm.cdf(-abs(logits) / level).mean()
    flips[name] = section.number("share of the bits that noise of level 8 flips", flip, of=name)
section.claim(
    "noise drives the code to its ends: h near 0 or 1",
    ends["hashing, trained with noise"],
    ">",
    ends["plain, trained without noise"],
)
section.claim(
    "and makes its bits safe from noise: share flipped",
    flips["hashing, trained with noise"],
    "<",
    flips["plain, trained without noise"],
)

# %%
edges = np.linspace(0, 1, 11)
series = {}
for name, values in h.items():
    counts = np.histogram(values, edges)[0]
    series[name] = (0.5 * (edges[1:] + edges[:-1]), np.maximum(counts / counts.sum(), 1e-5))
section.figure(
    plots.levels(series, "h", "share of all units and queries", "The values of a code of 32 units", yscale="log"),
    "values",
    caption="How often the values of a code occur, in ten bins from 0 to 1, over 32 units and all queries, on a "
    "logarithmic axis. Training with noise leaves next to nothing between the ends. Without noise, values of all sizes "
    "occur, and to cut them at ½ throws information away.",
    alt="Two curves over h from 0 to 1. That of training with noise is high at both ends and very low between; that of "
    "training without noise is higher in the middle.",
)

# %% [markdown]
# ## Semantic hashing
# Now the retrieval. An item is *right* for a query if it shows the same digit. Two measures judge the codes:
#
# - mAP, mean average precision: rank all items by Hamming distance (the number of bits that differ) and average the
#   precision at each right item. Many items tie, since there are only m + 1 distances; the measure is the mean over all
#   orders of tied items;
# - P@r≤2: the share of right items among those within Hamming distance 2, which is what a look-up of addresses finds. A
#   query that finds nothing counts as 0.
#
# The rivals hash without training a network. LSH takes the signs of random projections. PCA-sign takes the signs of the
# leading principal components. ITQ (Gong and Lazebnik 2011) rotates those components first, so that cutting them at 0
# loses the least; it is the rival to take seriously. All four are judged at 16, 32 and 64 bits by both measures, and
# the claims are about all numbers of bits and not about a chosen one.


# %%
def judge(items, queries):
    d = hamming(items, queries)
    return {
        "mAP": mean_average_precision(d, X_labels, Q_labels),
        "P@r≤2": precision_within(d, X_labels, Q_labels, 2),
        "share of queries that find nothing within two bits": np.mean((d <= 2).sum(axis=1) == 0),
    }


def codes(name, bits, seed):
    """The packed bits of items and queries by a method."""
    if name == "hashing autoencoder":
        model = noisy if (bits, seed) == (32, section.seed) else hashing(bits, seed)
        return model.hash(X), model.hash(Q)
    makers = {"LSH": LSH, "ITQ": ITQ}
    model = makers[name](X, bits, seed) if name in makers else PCASign(X, bits)
    return pack(model.hash(X)), pack(model.hash(Q))


names = ("LSH", "PCA-sign", "ITQ", "hashing autoencoder")
sizes = section.pick((16, 32), (16, 32, 64), (16, 32, 64))
measures = ("mAP", "P@r≤2", "share of queries that find nothing within two bits")
results = {measure: {name: [] for name in names} for measure in measures}  # a list over bits, of lists over seeds
for bits in sizes:
    for name in names:
        found = [judge(*codes(name, bits, seed)) for seed in section.seeds]
        for measure in measures:
            values = [one[measure] for one in found]
            results[measure][name].append(values)
            section.number(measure, values, of=f"{name}, {bits} bits")
d = np.square(X).sum(axis=1) - 2 * Q @ X.T  # ‖q − x‖² but for ‖q‖², which changes no order
pixels = section.number("mAP", mean_average_precision(d, X_labels, Q_labels), of="784 pixels, ‖q − x‖²")
mean = {measure: {name: np.mean(table[name], axis=1) for name in names} for measure, table in results.items()}

# %% [markdown]
# The same bits can be had without noise: cut the code of the network without noise at ½. The codes are as long and the
# network is the same, so the difference is what the noise is worth.

# %%
cut = judge(pack(smooth.encode(X) > 0.5), pack(h["plain, trained without noise"] > 0.5))
for measure in measures[:2]:
    section.number(measure, cut[measure], of="plain autoencoder, cut at ½, 32 bits")
at = sizes.index(32)
section.claim("the noise is worth its while: mAP at 32 bits", mean["mAP"]["hashing autoencoder"][at], ">", cut["mAP"])

# %%
for measure in measures[:2]:
    own, itq = mean[measure]["hashing autoencoder"], mean[measure]["ITQ"]
    section.number(
        f"{measure} over that of ITQ, mean over all numbers of bits", (own - itq).mean(), of="hashing autoencoder"
    )
    section.number(
        f"numbers of bits at which {measure} is above that of ITQ", (own > itq).sum(), of="hashing autoencoder"
    )
simple = np.maximum(mean["mAP"]["LSH"], mean["mAP"]["PCA-sign"])
lead = (mean["mAP"]["hashing autoencoder"] - simple).min()
section.claim("mAP at every number of bits is above LSH and PCA-sign: least lead", lead, ">", 0)
empty = mean["share of queries that find nothing within two bits"]
more = (empty["hashing autoencoder"] - empty["ITQ"]).max()
section.claim("at no number of bits do more queries find nothing than with ITQ: largest excess", more, "<=", 0)
lead = mean["mAP"]["hashing autoencoder"][at] - mean["mAP"]["PCA-sign"][at]
section.guard("mAP of the autoencoder over PCA-sign at 32 bits", lead, ">=", 0.10)
section.guard("P@r≤2 of the autoencoder at 32 bits", mean["P@r≤2"]["hashing autoencoder"][at], ">=", 0.75)

# %%
captions = {
    "map": "Mean average precision by the number of bits, for the autoencoder and for three classical ways to hash; "
    "the dotted line is the ranking by squared distance of all pixels. Bars are the range over seeds, where there are "
    "several. Look at the autoencoder and ITQ: they lie close together, and neither is ahead everywhere.",
    "precision": "The share of right items among those within two flipped bits of a query, by the number of bits. A "
    "query that finds none counts as 0, so the curves fall where codes are so long that balls are empty. Bars are the "
    "range over seeds.",
}
alts = {
    "map": "Lines of mAP over 16, 32 and 64 bits. Autoencoder and ITQ are highest and close together; LSH rises from "
    "below; PCA-sign stays low.",
    "precision": "Lines of precision over the number of bits. All fall from 32 to 64 bits; autoencoder and ITQ are "
    "highest.",
}
for picture, measure, ylabel in (("map", "mAP", "mAP"), ("precision", "P@r≤2", "precision within two bits")):
    series = {name: (sizes, mean[measure][name]) for name in names}
    if picture == "map":
        series["pixels"] = (sizes, [pixels] * len(sizes))
    fig = plots.levels(series, "bits of the code", ylabel, f"Retrieval of digits: {ylabel}")
    axis = fig.axes[0]
    axis.set_xticks(sizes)
    for name in names:
        table, color = np.array(results[measure][name]), plots.look(name).color
        axis.vlines(sizes, table.min(axis=1), table.max(axis=1), color=color, linewidth=4, alpha=0.5)
    section.figure(fig, picture, caption=captions[picture], alt=alts[picture])

# %% [markdown]
# What do we see at default size?
#
# *By mAP the autoencoder and ITQ are equal.* The autoencoder is ahead at 16 bits (0.428 against 0.409), ITQ at 32
# (0.431 against 0.418), and at 64 bits both have 0.447. The mean difference is 0.002, and another seed moves each value
# by 0.01 to 0.02. A rotation of principal components, which is found in seconds, ranks as well as a deep network. Both
# reach or pass the ranking by all 784 pixels (0.424).
#
# *By P@r≤2 it depends on the length.* At 16 bits ITQ wins (0.66 against 0.61): its balls are purer. At 32 bits the
# autoencoder wins (0.72 against 0.46), and at 64 bits (0.30 against 0.10). The share of queries that find nothing says
# why. At 32 bits 52% of ITQ's queries find nothing within two bits, and 3% of the autoencoder's. ITQ spreads the items
# evenly over all addresses, so that long codes leave most addresses empty. Noise teaches the opposite: only bits that
# are far from being flipped count, so that similar images get the very same address. With ten times as many items, at
# `--full`, ITQ's balls fill up and its disadvantage shrinks.
#
# *The noise is worth its while.* The same network without it, cut at ½, has an mAP of 0.361 in place of 0.418. Its
# P@r≤2 of 0.68 is nearly as good as with noise, for the reason just given: many of its units are always near 1, so that
# its codes differ in few bits.
#
# What follows? For a ranking, take ITQ. For look-ups by address, train the code for it.

# %% [markdown]
# ## Inside the ball
# What does a query find? The picture shows eight queries and the first items of their balls, nearest first. Such a
# search reads 4 bytes an item: an XOR and a count of the bits that are set. The search by pixels reads 3136 bytes an
# item (784 numbers of 4 bytes) and multiplies them.

# %%
items, queries = noisy.hash(X), noisy.hash(Q)
rows = {}
for x, inside in zip(Q[:8], ball(items, queries[:8], 2), strict=True):
    shown = np.vstack([x[None], X[inside[:11]], np.zeros((11, 784))])[:12]  # paper, where fewer than 11 were found
    rows[f"{len(rows) + 1}: {len(inside)} found"] = shown
fig = plots.images(rows, "Left of the line a query, then the nearest items within two bits of its code")
fig.axes[0].axvline(28.5, color=plots.RED, linewidth=1.5)
section.figure(
    fig,
    "balls",
    caption="Each row begins with a test digit, the query; right of the line stand the first items whose code of 32 "
    "bits differs from the query's in at most two. The label counts all that were found. Look for items of another "
    "class, and for what they have in common with the query.",
    alt="Eight rows. Left of a vertical line stands a query digit, right of it up to eleven digits that were found for "
    "it, nearly all of the same class.",
)

# %% [markdown]
# The gradient of the noisy code was derived by hand, too. With the noise held fixed it can be checked.

# %%
worst = check_gradient(noisy, Q[:4], entries=30).worst.error
worst = section.number("largest error of the gradient check", worst, of="hashing autoencoder, 32 bits")
section.claim("the gradient is that of J", worst, "<=", 1e-7)

# %% [markdown]
# ## Exercises
# 1. On paper. N items have codes of m bits that are independent and fair. How many items does a query expect within
#    distance 2? Put in N = 60,000 and m = 16, 32 and 64, and compare with the picture of the precision. What does it
#    say about codes that find something at 64 bits?
# 2. With code. Let the hash propose and the pixels decide: take the 200 items whose codes are nearest to the query's,
#    and among them the item that is nearest in pixels. By how much does the 1-NN accuracy fall short of a search
#    through all items? It should be at most one point at 32 bits. Do the same for ITQ, and both with 50 items. Which of
#    the two needs more candidates, and why? (The solution is in `solutions/14_9_applications.py`.)
# 3. With code. Train the hash with noise of level 1, 2, 4, 8 and 16, and draw mAP and the share of flipped bits by the
#    level. Then let the level grow from 1 to 8 during training, as in the book. Does growing help?

# %%
section.finish()

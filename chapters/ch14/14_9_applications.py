"""14.9 Applications of Autoencoders

Equations: none of its own
Figures: map (mean average precision by number of bits); precision (within two bits); balls (what lies in a query's
Hamming ball)

Two uses of a small code. Dimensionality reduction: a classifier or a search that is given 32 numbers instead of 784 has
less to read and to store. Semantic hashing (Salakhutdinov and Hinton 2009; Torralba et al. 2008): a code of a few bits
is an address, and a query retrieves what is stored under its own address and under those that differ in a bit or two.
To make the code h binary, noise is added just before the sigmoid:

    h = σ(a + level · eps),     eps ~ N(0, I)

g can read only what the noise does not drown, so training drives the logits a = f(x) apart until h is nearly 0 or 1.
The book lets the noise grow during training; here its level is 8 throughout.

Symbols: minae/NOTATION.md. The forward and backward pass: minae/models/hashing.py; search: minae/metrics/retrieval.py.
"""

# %%
import time

import numpy as np

from minae import SemanticHashingAutoencoder, UndercompleteAutoencoder, check_gradient, data, plots
from minae.chapters import Section
from minae.chapters.classical import ITQ, LSH, PCA, PCASign
from minae.metrics.probe import knn_accuracy
from minae.metrics.retrieval import ball, hamming, mean_average_precision, pack, precision_within
from minae.training import Adam, Cosine

section = Section("14.9")
digits = data.mnist(full=section.size == "full")
X, X_labels = digits.train, digits.train_labels  # the items, (rows, 784); no model sees a label
Q, Q_labels = (part[: section.pick(300, 1000, 1000)] for part in (digits.test, digits.test_labels))  # the queries
relu = dict(activation="relu", backend=section.backend)


def train(model, epochs, seed):
    optimizer = Adam(Cosine(section.pick(5e-3, 2e-3, 1e-3), steps=epochs * -(-len(X) // 64)))
    model.fit(X, epochs=epochs, batch_size=64, optimizer=optimizer, seed=seed)
    return model


def distances(q, x):
    """‖q − x‖² of all pairs but for ‖q‖², which changes no order:  (queries, rows)."""
    return np.square(x).sum(axis=1) - 2 * q @ x.T


def neighbour_accuracy(encode):
    return knn_accuracy(encode(X), X_labels, encode(Q), Q_labels)


def squared_error(model):
    return np.square(Q - model.reconstruct(Q)).sum(axis=1).mean()


# %% [markdown]
# ## Dimensionality reduction
# The digit that the nearest item shows, by squared distance of all 784 pixels, of k principal components, and of the k
# numbers of an autoencoder 784-256-k. PCA is a strong baseline: to drop small components is also to drop noise.

# %%
raw = section.number("1-NN accuracy", neighbour_accuracy(lambda x: x), of="784 pixels")
for k in section.pick((16,), (16, 32), (16, 32)):
    pca, options = PCA(X, k), dict(sizes=(784, 256, k), code="identity", **relu)
    models = [train(UndercompleteAutoencoder(seed=s, **options), section.pick(3, 15, 5), s) for s in section.seeds]
    section.number("1-NN accuracy", neighbour_accuracy(pca.encode), of=f"PCA, k = {k}")
    accuracy = section.number(
        "1-NN accuracy", [neighbour_accuracy(m.encode) for m in models], of=f"autoencoder, k = {k}"
    )
    error_pca = section.number("squared error", squared_error(pca), of=f"PCA, k = {k}")
    error = section.number("squared error", [squared_error(m) for m in models], of=f"autoencoder, k = {k}")
    section.claim(f"{k} numbers of an autoencoder lose less of x than PCA's", error, "<", error_pca)
section.claim(f"1-NN on {k} numbers over 1-NN on pixels", accuracy / raw, ">=", section.pick(0.9, 0.97, 0.98))

# %% [markdown]
# ## Semantic hashing
# An item is right where it has the query's label. mAP judges the ranking of all items by Hamming distance, its ties
# taken in every order; P@r≤2 is the precision within two flipped bits, 0 where nothing lies there. LSH takes the signs
# of random projections, PCA-sign those of principal components, ITQ those of the best rotated ones.


# %%
def judge(items, queries):
    d = hamming(items, queries)
    return mean_average_precision(d, X_labels, Q_labels), precision_within(d, X_labels, Q_labels, 2)


def hashing(bits, seed):
    sizes = (784, *section.pick((256,), (500, 250), (500, 250)), bits)
    options = dict(level=8.0, tied=True, **relu)
    return train(SemanticHashingAutoencoder(sizes, seed=seed, **options), section.pick(5, 12, 6), seed)


makers = {"LSH": lambda bits, seed: LSH(X, bits, seed), "PCA-sign": lambda bits, _: PCASign(X, bits)}
makers |= {"ITQ": lambda bits, seed: ITQ(X, bits, seed), "autoencoder": hashing}
sizes = section.pick((16, 32), (16, 32, 64), (16, 32, 64))
codes, mAP, precision = {}, {name: [] for name in makers}, {name: [] for name in makers}
mAP_raw = section.number("mAP", mean_average_precision(distances(Q, X), X_labels, Q_labels), of="pixels, ‖q − x‖²")
for bits in sizes:
    for name, make in makers.items():
        found = []
        for seed in section.seeds:
            model = make(bits, seed)
            items, queries = (model.hash(x) if name == "autoencoder" else pack(model.hash(x)) for x in (X, Q))
            codes.setdefault((name, bits), (model, items, queries))
            found.append(judge(items, queries))
        mAP[name].append(section.number("mAP", [a for a, _ in found], of=f"{name}, {bits} bits"))
        precision[name].append(section.number("P@r≤2", [p for _, p in found], of=f"{name}, {bits} bits"))

gain = section.number(
    "mAP over that of PCA-sign", mAP["autoencoder"][1] - mAP["PCA-sign"][1], of="autoencoder, 32 bits"
)
section.number("mAP over that of ITQ", mAP["autoencoder"][1] - mAP["ITQ"][1], of="autoencoder, 32 bits")
section.claim("mAP of the autoencoder over PCA-sign at 32 bits", gain, ">", 0)
section.guard("mAP of the autoencoder over PCA-sign at 32 bits", gain, ">=", 0.10)
section.guard("P@r≤2 of the autoencoder at 32 bits", precision["autoencoder"][1], ">=", 0.75)
section.claim(
    "P@r≤2 of the autoencoder at 32 bits is above ITQ's", precision["autoencoder"][1], ">", precision["ITQ"][1]
)
mAP["pixels"] = [mAP_raw] * len(sizes)
captions = {
    "map": "Mean average precision by the number of bits, for the autoencoder and for three classical ways to hash; "
    "the dotted line is the ranking by squared distance of all pixels. The autoencoder and ITQ lie close together, "
    "far above the signs of random projections and of principal components.",
    "precision": "The share of right items among those within two flipped bits of a query. A query that finds none "
    "counts as 0, so the curves fall where codes are so long that balls are empty.",
}
alts = {
    "map": "Lines of mAP over 16, 32 and 64 bits. Autoencoder and ITQ are highest and nearly level; LSH rises from "
    "below; PCA-sign stays low.",
    "precision": "Lines of precision over the number of bits. Autoencoder and ITQ are highest at few bits.",
}
for name, ylabel, table in (("map", "mAP", mAP), ("precision", "precision within two bits", precision)):
    series = {label: (sizes, values) for label, values in table.items()}
    fig = plots.levels(series, "bits of the code", ylabel, f"Retrieval of digits: {ylabel}")
    fig.axes[0].set_xticks(sizes)
    section.figure(fig, name, caption=captions[name], alt=alts[name])

# %% [markdown]
# ## Inside the ball
# Test digits and the first items of their balls, nearest first. A search reads the codes of all items: XOR, count bits.

# %%
model, items, queries = codes["autoencoder", 32]
rows = {}
for x, inside in zip(Q[:8], ball(items, queries[:8], 2), strict=True):
    rows[f"{len(rows) + 1}: {len(inside)} found"] = np.vstack([x[None], X[inside[:11]], np.zeros((11, 784))])[:12]
section.figure(
    plots.images(rows, "Left a query, then the nearest items within two bits of its code"),
    "balls",
    caption="Each row begins with a test digit, the query; behind it stand the first items whose code of 32 bits "
    "differs from the query's in at most two. The label counts all that were found. Look for items of another "
    "class: they resemble the query in shape.",
    alt="Eight rows, each a query digit followed by up to eleven digits that were found for it, nearly all of the same "
    "class.",
)
started = time.perf_counter()
ball(*codes["autoencoder", sizes[-1]][1:], 2)
ms = 1e3 * (time.perf_counter() - started) / len(Q)
section.number("ms a query", ms, of=f"ball among {len(X)} codes of {sizes[-1]} bits")

# %% [markdown]
# ## The noise makes the code binary
# The same widths trained without noise, its code cut at ½.

# %%
smooth = UndercompleteAutoencoder(model.sizes, code="sigmoid", tied=True, seed=section.seed, **relu)
h, h_smooth = model.encode(Q), train(smooth, section.pick(5, 12, 6), section.seed).encode(Q)
ends = section.number("share of h within 0.1 of 0 or 1", np.mean(abs(h - 0.5) > 0.4), of="trained with noise")
ends_smooth = section.number(
    "share of h within 0.1 of 0 or 1", np.mean(abs(h_smooth - 0.5) > 0.4), of="trained without noise"
)
section.claim("noise drives the code to its ends", ends, ">", ends_smooth)
for label, value in zip(("mAP", "P@r≤2"), judge(pack(smooth.encode(X) > 0.5), pack(h_smooth > 0.5)), strict=True):
    section.number(label, value, of="autoencoder trained without noise, 32 bits")
worst = check_gradient(model, Q[:4], entries=30).worst.error
section.claim("the gradient is that of J", section.number("largest error of the gradient check", worst), "<=", 1e-7)

section.finish()

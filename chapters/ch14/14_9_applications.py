"""14.9 Applications of Autoencoders

Equations: none of its own
Figures: none in the book; mAP and precision by number of bits, what lies in a query's Hamming ball, values of the code

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
from minae.metrics.retrieval import ball, hamming, mean_average_precision, pack, precision_within
from minae.training import Adam, Cosine

section = Section(__doc__)
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
    return np.mean(X_labels[distances(encode(Q), encode(X)).argmin(axis=1)] == Q_labels)


def squared_error(model):
    return np.square(Q - model.reconstruct(Q)).sum(axis=1).mean()


# %% [markdown]
# ## Dimensionality reduction
# The digit that the nearest item shows, by squared distance of all 784 pixels, of k principal components, and of the k
# numbers of an autoencoder 784-256-k. PCA is a strong baseline: to drop small components is also to drop noise.

# %%
raw = section.number("1-NN accuracy, 784 pixels", neighbour_accuracy(lambda x: x))
for k in section.pick((16,), (16, 32), (16, 32)):
    pca, options = PCA(X, k), dict(sizes=(784, 256, k), code="identity", **relu)
    models = [train(UndercompleteAutoencoder(seed=s, **options), section.pick(3, 15, 5), s) for s in section.seeds]
    section.number(f"1-NN accuracy, PCA, k = {k}", neighbour_accuracy(pca.encode))
    accuracy = section.number(f"1-NN accuracy, autoencoder, k = {k}", [neighbour_accuracy(m.encode) for m in models])
    error_pca = section.number(f"squared error, PCA, k = {k}", squared_error(pca))
    error = section.number(f"squared error, autoencoder, k = {k}", [squared_error(m) for m in models])
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
mAP_raw = section.number("mAP, squared distance of pixels", mean_average_precision(distances(Q, X), X_labels, Q_labels))
for bits in sizes:
    for name, make in makers.items():
        found = []
        for seed in section.seeds:
            model = make(bits, seed)
            items, queries = (model.hash(x) if name == "autoencoder" else pack(model.hash(x)) for x in (X, Q))
            codes.setdefault((name, bits), (model, items, queries))
            found.append(judge(items, queries))
        mAP[name].append(section.number(f"mAP, {bits} bits, {name}", [a for a, _ in found]))
        precision[name].append(section.number(f"  P@r≤2, {bits} bits, {name}", [p for _, p in found]))

gain = section.number("mAP at 32 bits, autoencoder − PCA-sign", mAP["autoencoder"][1] - mAP["PCA-sign"][1])
section.number("mAP at 32 bits, autoencoder − ITQ", mAP["autoencoder"][1] - mAP["ITQ"][1])
section.claim("mAP over PCA-sign at 32 bits", gain, ">=", 0.10)
section.claim("P@r≤2 at 32 bits", precision["autoencoder"][1], ">=", section.pick(0.3, 0.5, 0.75))
section.claim("and it is above ITQ's", precision["autoencoder"][1], ">", precision["ITQ"][1])
mAP["pixels"] = [mAP_raw] * len(sizes)
for name, ylabel, table in (("map", "mAP", mAP), ("precision", "precision within two bits", precision)):
    fig = plots.levels({label: (sizes, values) for label, values in table.items()}, "bits of the code", ylabel)
    fig.axes[0].set_xticks(sizes)
    section.figure(fig, name)

# %% [markdown]
# ## Inside the ball
# Test digits and the first items of their balls, nearest first. A search reads the codes of all items: XOR, count bits.

# %%
model, items, queries = codes["autoencoder", 32]
rows = {}
for x, inside in zip(Q[:8], ball(items, queries[:8], 2), strict=True):
    rows[f"{len(rows) + 1}: {len(inside)} found"] = np.vstack([x[None], X[inside[:11]], np.zeros((11, 784))])[:12]
section.figure(plots.images(rows, "Left a query, then the nearest items within two bits of its code"), "balls")
started = time.perf_counter()
ball(*codes["autoencoder", sizes[-1]][1:], 2)
ms = 1e3 * (time.perf_counter() - started) / len(Q)
section.number(f"ms a query, ball among {len(X)} codes of {sizes[-1]} bits", ms)
section.claim("a query takes milliseconds", ms, "<=", 5)

# %% [markdown]
# ## The noise makes the code binary
# The same widths trained without noise, its code cut at ½.

# %%
smooth = UndercompleteAutoencoder(model.sizes, code="sigmoid", tied=True, seed=section.seed, **relu)
h, h_smooth = model.encode(Q), train(smooth, section.pick(5, 12, 6), section.seed).encode(Q)
ends = section.number("share of h within 0.1 of 0 or 1", np.mean(abs(h - 0.5) > 0.4))
ends_smooth = section.number("  trained without noise", np.mean(abs(h_smooth - 0.5) > 0.4))
section.claim("noise drives the code to its ends", ends, ">", ends_smooth)
for label, value in zip(("mAP", "  P@r≤2"), judge(pack(smooth.encode(X) > 0.5), pack(h_smooth > 0.5)), strict=True):
    section.number(f"{label}, 32 bits, trained without noise", value)
worst = check_gradient(model, Q[:4], entries=30).worst.error
section.claim("the gradient is that of J", section.number("gradient check, largest error", worst), "<=", 1e-7)

section.finish()

"""14.9 Applications of Autoencoders, exercise 2: the hash proposes, the pixels decide.

The items whose codes are nearest to the query's are candidates, and among them the item with the least ‖q − x‖² is the
answer. With 200 candidates, distances in pixels are computed for one item in thirty.

The autoencoder needs more candidates than ITQ. Noise has taught it to give similar images the same code. So it has
fewer distinct codes, and more items tie. The first 50 of a large tie are not the 50 best.
"""

# %%
import numpy as np

from minae import SemanticHashingAutoencoder, data
from minae.chapters import Section
from minae.chapters.classical import ITQ
from minae.metrics.retrieval import nearest, pack
from minae.training import Adam, Cosine

section = Section("14.9", exercise=2)
digits = data.mnist()
X, X_labels = digits.train, digits.train_labels
count = section.pick(300, 1000, 1000)
Q, Q_labels = digits.test[:count], digits.test_labels[:count]

# %%
sizes, epochs = (784, *section.pick((256,), (500, 250), (500, 250)), 32), section.pick(5, 12, 12)
model = SemanticHashingAutoencoder(sizes, level=8.0, tied=True, activation="relu", seed=section.seed)
optimizer = Adam(Cosine(section.pick(5e-3, 2e-3, 2e-3), steps=epochs * -(-len(X) // 64)))
model.fit(X, epochs=epochs, batch_size=64, optimizer=optimizer, seed=section.seed)
itq = ITQ(X, 32, section.seed)
codes = {"hashing autoencoder": (model.hash(X), model.hash(Q)), "ITQ": (pack(itq.hash(X)), pack(itq.hash(Q)))}

# %%
d = np.square(X).sum(axis=1) - 2 * Q @ X.T  # ‖q − x‖² but for ‖q‖²
everything = section.number("1-NN accuracy %", 100 * np.mean(X_labels[d.argmin(axis=1)] == Q_labels), of="all items")
for name, (items, queries) in codes.items():
    for candidates in (50, 200):
        chosen = nearest(items, queries, candidates)  # (queries, candidates)
        best = np.take_along_axis(d, chosen, axis=1).argmin(axis=1)
        answers = chosen[np.arange(count), best]
        accuracy = 100 * np.mean(X_labels[answers] == Q_labels)
        section.number("1-NN accuracy %", accuracy, of=f"{candidates} items by {name}")
    section.number("distinct codes", len(np.unique(items, axis=0)), of=name)
    section.claim(f"points lost with 200 items by {name}", everything - accuracy, "<=", section.pick(2, 1, 1))

section.finish()

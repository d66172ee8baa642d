"""C.6 Text as the Code, exercise 2: find the key.

Each topic has a key, which no other topic has, and a pool of ten words, each of which is shared with one neighbour. A
word of the pool leaves two topics open, and the key leaves none. So the key tells the others best: by log 2 nats a
word.
"""

# %%
import numpy as np

from minae import ExtractiveAutoencoder
from minae.chapters import Section
from minae.training import Adam, Cosine

section = Section("C.6", exercise=2)
rng = np.random.default_rng(section.seed)
topics, pool = 20, 10
first_word = 3 + topics  # the tokens 3 … 22 are keys


def planted(count):
    """Texts of eight words, and the place of the key in each of them."""
    rows, places = [], []
    for topic in rng.integers(topics, size=count):
        words = first_word + (topic * pool // 2 + np.arange(pool)) % (topics * pool // 2)  # half of them are the next's
        row = rng.permutation([3 + topic, *rng.choice(words, 7, replace=False)])
        rows.append(row.astype(np.int32))
        places.append(int(np.flatnonzero(row < first_word)[0]))
    return rows, np.array(places)


# %%
(X, _), (X_test, keys) = planted(4000), planted(500)
options = dict(
    vocabulary=first_word + topics * pool // 2, most=8, k=1, draws=8, width=32, context=False, seed=section.seed
)
model = ExtractiveAutoencoder(**options, backend=section.backend)
of_f = [name for name in model.parameters.layers if name.startswith("f")]
model.fit(X, epochs=10, batch_size=64, optimizer=Adam(5e-3, rates=dict.fromkeys(of_f, 0.0)), seed=section.seed)
optimizer = Adam(Cosine(5e-3, steps=20 * 63))
model.fit(X, epochs=20, batch_size=64, optimizer=optimizer, seed=section.seed)
right = section.number("texts in which the pointer chooses the key, share", (model.encode(X_test)[:, 0] == keys).mean())
section.claim("it finds the key", right, ">", 0.9)

section.finish()

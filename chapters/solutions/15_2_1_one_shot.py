"""15.2.1 One-Shot and Zero-Shot Learning, exercise 2: one example of each new kind of sprite.

A class is a pair of shape and size. In pixels the nearest example is the one at the nearest place, since place moves
more pixels than shape. The code of a classifier of six other classes has learned that place and angle do not matter.
"""

# %%
import numpy as np

from minae import Classifier, data
from minae.chapters import Section
from minae.training import Adam, Cosine

section = Section("15.2.1", exercise=2)
rng = np.random.default_rng(section.seed)
sprites = data.sprites(16, shapes=3, scales=3, rotations=6, places=8)
pair = 3 * sprites.factors[:, 0] + sprites.factors[:, 1]  # shape and size
new = [0, 4, 8]  # small square, middle ellipse, large heart: each shape and each size is known from other pairs
rows = ~np.isin(pair, new)
labels = np.searchsorted(np.setdiff1d(np.arange(9), new), pair[rows])
epochs = section.pick(25, 60, 120)
model = Classifier((256, 128, 32), classes=6, activation="relu", seed=section.seed, backend="numpy")
optimizer = Adam(Cosine(3e-3, steps=epochs * -(-rows.sum() // 64)))
model.fit(sprites.X[rows], labels, epochs=epochs, batch_size=64, optimizer=optimizer, seed=section.seed)

# %%
share = {}
for name, h in {"pixels": sprites.X, "classifier's code": model.encode(sprites.X)}.items():
    h = h - h[rows].mean(axis=0)
    h = h / np.maximum(np.linalg.norm(h, axis=1, keepdims=True), 1e-9)
    draw, correct = np.random.default_rng(section.seed), []
    others = np.flatnonzero(~rows)
    for _ in range(300):
        examples = np.array([draw.choice(np.flatnonzero(pair == one)) for one in new])
        guess = np.array(new)[(h[others] @ h[examples].T).argmax(axis=1)]
        correct.append((guess == pair[others]).mean())
    share[name] = section.number("correct answers % after one example, 3 ways", 100 * np.mean(correct), of=name)
section.claim(
    "the code names new kinds better than pixels: correct %", share["classifier's code"], ">", share["pixels"]
)
section.claim("and much better than a guess: correct %", share["classifier's code"], ">", 60)

section.finish()

"""15.3 Semi-Supervised Disentangling of Causal Factors, exercise 2: how wide must the code be to keep the ball?

A linear code cannot hold the place of the ball in two numbers. The balls at 36 places are 36 pictures of which no one
is a sum of others, so all of them together need 36 directions beside the eight of the background, and somewhat fewer to
show each at half of its height. Each direction saves as much squared error as any other. A nonlinear code could hold
the place in two numbers; what it lacks is a reason, since a reconstruction that puts the ball one pixel beside its
place costs twice as much as one without a ball.
"""

# %%
import numpy as np

from minae import UndercompleteAutoencoder
from minae.chapters import Section
from minae.chapters.ch15.scenes import Scenes
from minae.chapters.classical import PCA
from minae.training import Adam, Cosine

section = Section("15.3", exercise=2)
rng, scenes = np.random.default_rng(section.seed), Scenes(16, 8)
x, _, _ = scenes.draw(section.pick(2000, 8000, 20000), rng)
x_test, _, place = scenes.draw(1000, rng)
epochs, shares = section.pick(10, 40, 60), {}

# %%
for k in (10, 20, 40, 80):
    model = UndercompleteAutoencoder(
        (256, 128, 128, k), activation="relu", code="identity", loss="gaussian", seed=section.seed, backend="numpy"
    )
    optimizer = Adam(Cosine(2e-3, steps=epochs * -(-len(x) // 100)))
    model.fit(x, epochs=epochs, batch_size=100, optimizer=optimizer, seed=section.seed)
    for name, method in (("PCA", PCA(x, k)), ("autoencoder", model)):
        heights = scenes.heights(np.asarray(method.reconstruct(x_test)))[np.arange(1000), place]
        share = section.number(
            "balls that are there after reconstruction %", 100 * (heights > 0.5).mean(), of=f"{name}, {k}"
        )
        shares[name, k] = share
section.claim("10 principal components keep few balls %", shares["PCA", 10], "<", 20)
section.claim("40 keep more than half %", shares["PCA", 40], ">", 50)

section.finish()

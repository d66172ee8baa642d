"""A.5 Files as Pictures, exercise 2: the bytes get other names, and nothing changes.

Let π be a permutation of 0 … 255, and let every file have π(v) where it had v. With the table E' whose row π(v) is the
old row v, the new picture looks up the same numbers at the same places, so that all that follows is the same, bit by
bit. The shares of the bytes only change places, which entropy and the distance of two histograms do not notice. A
picture of grey values is another one: what was even becomes noisy, since neighbouring values go to places far apart.
"""

# %%
import numpy as np
from scipy.stats import spearmanr

from minae import ByteClassifier
from minae.chapters import Section
from minae.data import byteplots

section = Section("A.5", exercise=2)
rng = np.random.default_rng(section.seed)
files = byteplots.python_files(30, section.seed, each=1)
pi = rng.permutation(256).astype(np.uint8)
renamed = pi[files.images]

model = ByteClassifier((4096, 8), width=4, classes=len(files.families), seed=section.seed, backend=section.backend)
model.fit(files.images, files.family, epochs=1, batch_size=30, seed=section.seed)
before, E = model.probabilities(files.images), model.backend.to_numpy(model.parameters["E"]).copy()
other = np.empty_like(E)
other[pi] = E
model.parameters["E"][...] = model.backend.from_numpy(other)
section.claim("the network's answers differ by", abs(model.probabilities(renamed) - before).max(), "<=", 0)

H = byteplots.entropy(files.images)
section.claim("entropies differ by", abs(byteplots.entropy(renamed) - H).max(), "<=", 1e-12)
d = byteplots.Known(files[::2]).distance(files.images[1::2])
d_renamed = byteplots.Known(files[::2]._replace(images=renamed[::2])).distance(renamed[1::2])
section.claim("distances of histograms differ by", abs(d_renamed - d).max(), "<=", 1e-12)


def roughness(images):
    """The mean change of the grey value from one byte to the next."""
    return abs(np.diff(images.astype(float), axis=2)).mean(axis=(1, 2))


rank = spearmanr(roughness(files.images), roughness(renamed))[0]
section.number("rank correlation of the roughness in grey, before and after", rank)
section.claim("in grey it is another picture: the rank correlation of its roughness", rank, "<", 0.99)

# %%
section.finish()

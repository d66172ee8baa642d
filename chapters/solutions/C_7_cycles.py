"""C.7, exercise 2: how many pairs replace the game?

The hidden map is affine, so it has 10 × 10 + 10 numbers, and m pairs give 10 m equations for them: from 11 pairs on the
map is determined, and since the pairs have no noise, it is then right.
"""

import numpy as np

from minae import data
from minae.chapters import Section
from minae.chapters.classical import PCA

section = Section("C.7", exercise=2)
rng = np.random.default_rng(section.seed)
digits = data.mnist()
pca = PCA(digits.train, 10)
code, code_test = (pca.encode(x).astype(float) for x in (digits.train, digits.test[:1000]))
R = np.linalg.qr(rng.standard_normal((10, 10)))[0]
partner = code_test @ R


def share(m):
    """Share of the test codes whose nearest b is their partner, with a map that was fitted to m pairs."""
    rows = rng.choice(len(code), m, replace=False)
    design = np.hstack([code[rows], np.ones((m, 1))])
    W = np.linalg.lstsq(design, code[rows] @ R, rcond=None)[0]
    made = np.hstack([code_test, np.ones((len(code_test), 1))]) @ W
    d2 = np.square(made).sum(axis=1)[:, None] - 2 * made @ partner.T + np.square(partner).sum(axis=1)
    return (d2.argmin(axis=1) == np.arange(len(made))).mean()


found = {m: section.number("share of partners found", share(m), of=f"{m} pairs") for m in (2, 4, 6, 8, 9, 10, 11, 12)}
fewest = min(m for m, value in found.items() if value > 0.9)
section.number("fewest pairs with more than 90%", fewest)
section.claim("eleven pairs determine the map", found[11], ">=", 0.99)
section.claim("four do not", found[4], "<", 0.9)
section.finish()

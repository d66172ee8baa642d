"""15.4 Distributed Representation, exercise 2: hyperplanes through the origin.

All n hyperplanes w·x = 0 meet in one point, so they are not in general position and (15.4) does not hold. Deletion and
restriction still does, and a hyperplane through the origin that is restricted to another one goes through the origin of
it. One hyperplane makes two regions, and so does any number of them on a line, where they are all the one point 0:

    r(n, d) = r(n − 1, d) + r(n − 1, d − 1),     r(1, d) = r(n, 1) = 2

By Pascal's rule this is what Cover (1965) found,

    r(n, d) = 2 Σ_{j < d} C(n − 1, j)

which is also the number of ways in which a linear classifier can label n points.
"""

# %%
from math import comb

import numpy as np

from minae.chapters import Section
from minae.chapters.ch15.regions import arrangement

section = Section("15.4", exercise=2)
rng = np.random.default_rng(section.seed)

# %%
wrong = 0
for d in (1, 2, 3, 4):
    for n in range(1, section.pick(8, 11, 11)):
        normals = rng.integers(-1000, 1001, (n, d))
        normals[:, 0] = 1 + np.abs(normals[:, 0])
        count = arrangement(np.hstack([normals, np.zeros((n, 1), int)]))
        wrong += count != (2 if d == 1 else 2 * sum(comb(n - 1, j) for j in range(d)))
section.number("sets of hyperplanes whose count is another", wrong)
section.claim("n hyperplanes through the origin make 2 Σ_{j < d} C(n − 1, j) regions", wrong, "<=", 0)

section.finish()

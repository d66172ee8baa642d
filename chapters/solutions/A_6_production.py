"""A.6 Into Production, exercise 2: one large weight, with a scale for the matrix and with one for each unit.

A scale is set by the largest weight that shares it. With one scale for the whole matrix, the weight of 50 makes each
step 50/7 = 7.1 long at 4 bits, and a weight of N(0, 1) becomes 0. With one for each unit this happens in one column of
a hundred. There the error is that of a weight itself, 1. In the others a step is about 0.4 long, and the error of
rounding is s/√12, about 0.12.
"""

# %%
import numpy as np

from minae import shrink
from minae.chapters import Section

section = Section("A.6", exercise=2)
rng = np.random.default_rng(section.seed)
W = rng.standard_normal((200, 100))
W[3, 5] = 50


def root_mean_square(error):
    return float(np.sqrt(np.square(error).mean()))


q, s = shrink.rounded(W.reshape(-1, 1), 4)
for_matrix = section.number("error of 4 bits", root_mean_square(W.reshape(-1, 1) - q * s), of="a scale for the matrix")
q, s = shrink.rounded(W, 4)
for_unit = section.number("error of 4 bits", root_mean_square(W - q * s), of="a scale for each unit")
others = np.delete(np.arange(100), 5)
expected = root_mean_square(s[others] / np.sqrt(12))
section.number("error of 4 bits", expected, of="s/√12, the other units")
section.claim("a scale for each unit is better by a factor", for_matrix / for_unit, ">", 3)
measured = root_mean_square((W - q * s)[:, others])
section.claim("the error of the other units over s/√12, off 1 by", abs(measured / expected - 1), "<", 0.05)

# %%
section.finish()

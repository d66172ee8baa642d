"""15.5 Exponential Gains from Depth, exercise 2: folding the unit square.

The tent g(x) = 2 relu(x) − 4 relu(x − ½) is applied to each coordinate. A layer has four units, two for each coordinate,
and the linear map that sums them up is multiplied into the weights of the next layer:

    units of coordinate i:  relu(y_i), relu(y_i − ½);     y_i of the next layer = 2 (first) − 4 (second)

Each coordinate is cut at the multiples of 2^−L, into 2^L intervals. So the square is cut into 2^L · 2^L = 4^L squares.
"""

# %%
import numpy as np

from minae.chapters import Section
from minae.chapters.ch15.regions import pieces

section = Section("15.5", exercise=2)
unit_square = ((0, 0), (1, 0), (1, 1), (0, 1))

# %%
out = np.array([[2.0, 0], [-4, 0], [0, 2], [0, -4]])  # from the four units to (g(y_1), g(y_2))
into = np.array([[1.0, 1, 0, 0], [0, 0, 1, 1]])  # from (y_1, y_2) to the four units
bias = np.array([0, -0.5, 0, -0.5])

for L in range(1, section.pick(5, 6, 7)):
    layers = [(into, bias)] + [(out @ into, bias)] * (L - 1) + [(out, np.zeros(2))]
    count = section.number("polygons", len(pieces(layers, unit_square)), of=f"L = {L}")
    section.claim(f"{L} layers of 4 units cut the square into 4^{L} squares", abs(count - 4**L), "<=", 0)

section.finish()

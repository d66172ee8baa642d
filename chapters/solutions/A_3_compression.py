"""A.3 Compression, exercise 2: pixels as they are, in tables and in zlib.

The tables know how probable each value is at each place. They do not know that a pixel resembles its neighbour, and
zlib sees a little of that: long runs of black. So neither has the better of it by much. A code has both: the network
takes out what neighbours have in common, and the tables know what is left.
"""

# %%
import zlib

import numpy as np

from minae import data
from minae.chapters import Section
from minae.coder import Tables

section = Section("A.3", exercise=2)
digits = data.mnist()
train, test = (np.rint(7 * x).astype(int) for x in (digits.train, digits.test))  # eight values

tables = Tables.of(train, levels=16)
words = tables.encode(test)
section.claim("numbers that came back changed", int((tables.decode(words, len(test)) != test).sum()), "<=", 0)
by_tables = section.number("bytes a digit", len(words) / len(test), of="tables by pixel")
packed = zlib.compress(test.astype(np.uint8).tobytes(), 9)
by_zlib = section.number("bytes a digit", len(packed) / len(test), of="zlib")
section.number("bytes a digit", test[0].size * 3 / 8, of="three bits a pixel")
section.claim("either needs at most a third of three bits a pixel", max(by_tables, by_zlib), "<=", 294 / 3)

# %%
section.finish()

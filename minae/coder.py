"""A range coder for whole numbers: each takes as many bits as its probability says.     (section A.3)

    bits of k = −Σ_j log₂ (c_j(k_j) + 1) / Σ_k (c_j(k) + 1)

c_j(k) is how often number j of a code had the value k in training data; the + 1 leaves no value without a place. The
coder writes a sequence in no more than its bits and some bytes at the end. The tables are whole numbers, and both sides
make the same fractions of them, so that a file can be read on another machine and in batches of another size.
"""

from typing import Any

import numpy as np

from minae.errors import InputError
from minae.fields import host_array

OTHERS = 1 << 16  # values that a number may have which the tables do not know
LARGEST = 1 << 31  # of a whole number


class Tables:
    """How often each number of a code has each value.     low (m,), counts (m, levels + 1), both whole numbers; the
    last count is that of all values that are not low … low + levels − 1"""

    def __init__(self, low: Any, counts: Any):
        self.low, self.counts = np.asarray(low, dtype=np.int64), np.asarray(counts, dtype=np.int64)
        self.levels = self.counts.shape[1] - 1
        self.P = (self.counts + 1) / (self.counts + 1).sum(axis=1, keepdims=True)

    @classmethod
    def of(cls, k: Any, levels: int = 64) -> "Tables":
        """The tables of whole numbers k (rows, m), such as the codes of training data."""
        k = whole(k)
        if not len(k):
            raise InputError(f"k is {k.shape}: expected at least one row, of which values can be counted")
        low = np.median(k, axis=0).astype(np.int64) - levels // 2
        place = _places(k, low, levels)
        return cls(low, np.stack([np.bincount(column, minlength=levels + 1) for column in place.T]))

    def bits(self, k: Any) -> float:
        """What k (rows, m) takes by these tables, in bits; a value that they do not know takes 16 more."""
        place = _places(whole(k, len(self.low)), self.low, self.levels)
        told = -np.log2(np.take_along_axis(self.P, place.T, axis=1)).sum()
        return float(told + 16 * (place == self.levels).sum())

    def encode(self, k: Any) -> bytes:
        """The words of a range coder, for whole numbers k (rows, m)."""
        stream = _constriction()
        k, coder = whole(k, len(self.low)), stream.queue.RangeEncoder()
        place = _places(k, self.low, self.levels)
        for j, P in enumerate(self.P):
            coder.encode(np.ascontiguousarray(place[:, j], dtype=np.int32), self._model(stream, P))
            others = k[place[:, j] == self.levels, j] + OTHERS // 2
            if len(others) and not (0 <= others.min() and others.max() < OTHERS):
                raise InputError(f"k has values beyond ±{OTHERS // 2}: a code like this cannot be written")
            if len(others):
                coder.encode(others.astype(np.int32), stream.model.Uniform(OTHERS))
        return coder.get_compressed().astype("<u4").tobytes()

    def decode(self, words: bytes, rows: int) -> np.ndarray:
        """k (rows, m) from the words."""
        stream = _constriction()
        coder = stream.queue.RangeDecoder(np.frombuffer(words, "<u4").astype(np.uint32))
        k = np.empty((rows, len(self.low)), dtype=np.int64)
        for j, P in enumerate(self.P):
            place = coder.decode(self._model(stream, P), rows)
            k[:, j] = place + self.low[j]
            others = np.flatnonzero(place == self.levels)
            if len(others):
                k[others, j] = coder.decode(stream.model.Uniform(OTHERS), len(others)) - OTHERS // 2
        return k

    @staticmethod
    def _model(stream, P):
        return stream.model.Categorical(P, perfect=False)


def whole(k: Any, m: int | None = None) -> np.ndarray:
    """k as whole numbers, (rows, m)."""
    k = host_array(k, "k", "whole numbers (rows, m)")
    inside = k.ndim == 2 and (abs(k) < LARGEST).all()  # not so for NaN
    if not inside or (m is not None and k.shape[1] != m) or (k != np.rint(k)).any():
        raise InputError(f"k is {k.dtype} {k.shape}: expected finite whole numbers (rows, {m or 'm'}), below 2^31")
    return k.astype(np.int64)


def _places(k, low, levels):
    place = k - low
    return np.where((place < 0) | (place >= levels), levels, place)


def _constriction():
    try:
        import constriction
    except ImportError as error:
        raise InputError("the range coder is the library constriction: pip install 'minae[apps]'") from error
    return constriction.stream

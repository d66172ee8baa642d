"""What is done to the values of a table before a model reads them; it is kept in the model's file."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from minae.data.readers import SCALE, Lazy, Scaled, divided, raw
from minae.data.speech import recordings as recordings_of
from minae.data.tables import TableEncoding, read_columns
from minae.data.text import Vocabulary, is_text, read_lines
from minae.errors import InputError


class Preprocessing:
    """x ← (x / scale − mean) / deviation, column by column.

    scale:     divides, or None; `mean`, `deviation`: (n,), or None
    by_kind:   whether the scale is the usual one of a kind of file, such as 255 for images, and was not asked for
    drop:      columns of a table that are left out, by name or number
    vocabulary: of a text, whose lines become rows of tokens, or None; also as the dict that `described` gives
    table:     how the columns of a table of words became numbers, a `TableEncoding`, or None; likewise
    """

    def __init__(
        self,
        scale: float | None = None,
        mean: Any = None,
        deviation: Any = None,
        by_kind: bool = False,
        drop: Sequence[str] = (),
        vocabulary: Any = None,
        table: Any = None,
    ):
        self.table = TableEncoding(**table) if isinstance(table, dict) else table
        self.vocabulary = Vocabulary(**vocabulary) if isinstance(vocabulary, dict) else vocabulary
        self.scale, self.by_kind, self.drop = scale, by_kind, list(drop)
        self.mean, self.deviation = (None if a is None else np.asarray(a, np.float64) for a in (mean, deviation))

    def __repr__(self):
        if self.vocabulary is not None:
            return repr(self.vocabulary)
        if self.table is not None:
            return repr(self.table)
        parts = [f"divided by {self.scale:g}"] if self.scale is not None else []
        parts += ["standardised"] if self.mean is not None else []
        parts += [f"without column {', '.join(map(str, self.drop))}"] if self.drop else []
        return ", ".join(parts) or "as they are"

    def described(self) -> dict[str, Any]:
        """The arguments, as JSON keeps them."""
        arrays = {name: getattr(self, name) for name in ("mean", "deviation") if getattr(self, name) is not None}
        words = {name: array.tolist() for name, array in arrays.items()}
        if self.vocabulary is not None:
            return {"vocabulary": {"words": self.vocabulary.words, "most": self.vocabulary.most}}
        if self.table is not None:
            return {"table": self.table.described()}
        return words | {"scale": self.scale, "by_kind": self.by_kind, "drop": self.drop}

    @classmethod
    def of_text(cls, path: str | os.PathLike[str], size: int, most: int) -> tuple[Any, "Preprocessing"]:
        """Read a text to learn from: (rows of tokens, the preprocessing with its vocabulary)."""
        if not is_text(path):
            raise InputError(f"{path} is no text: this model learns from the lines of a .txt file (.gz too)")
        lines = read_lines(path)
        vocabulary = Vocabulary.of(lines, size, most)
        return vocabulary.tokens(lines), cls(vocabulary=vocabulary)

    @classmethod
    def of(
        cls,
        path: str | os.PathLike[str],
        scale: float | None = None,
        standardise: bool = False,
        images: bool = False,
        array: str | None = None,
        drop: Sequence[str] = (),
        recordings: bool = False,
    ) -> tuple[Any, "Preprocessing"]:
        """Read data to learn from: (X, the preprocessing that X went through). With `recordings`, X is a list of the
        frames (T, 32) of each .wav."""
        if recordings:
            X = _recordings(path, scale, array, drop)
            chosen = cls().standardised(np.concatenate(X)) if standardise else cls()
            return [chosen.standardise(x) for x in X], chosen
        X, usual = raw(path, images, array, drop)
        chosen = cls(usual if scale is None else SCALE.checked(scale), by_kind=scale is None, drop=drop)
        X = divided(X, chosen.scale)
        if standardise:
            chosen = chosen.standardised(X)
            X = chosen.standardise(X)
        return X, chosen

    def read(
        self,
        path: str | os.PathLike[str],
        scale: float | None = None,
        images: bool = False,
        array: str | None = None,
        drop: Sequence[str] = (),
        recordings: bool = False,
    ) -> Any:
        """Read data as those were read that the model learned from. What is asked for again has to be the same."""
        if recordings:
            return [self.standardise(x) for x in _recordings(path, scale, array, drop)]
        if self.vocabulary is not None:
            if scale is not None or drop or array is not None or not is_text(path):
                raise InputError(
                    f"{path}: the model learned from text: give a .txt file, and no --scale, --drop, --array"
                )
            return self.vocabulary.tokens(read_lines(path))
        if self.table is not None:
            if scale is not None or drop or array is not None:
                raise InputError(f"{path}: the model learned from {self!r}: give no --scale, --drop, --array")
            return self.table.encode(read_columns(path))
        scale = None if scale is None else SCALE.checked(scale)
        for name, asked, own in (("--scale", scale, self.scale), ("--drop", list(drop) or None, self.drop)):
            if asked is not None and asked != own and not (asked == 1 and self.by_kind):
                raise InputError(f"{name} is {asked}, and the model learned from data {self!r}: leave {name} out")
        X, usual = raw(path, images, array, self.drop)
        own = self.scale
        if (
            self.by_kind and own is not None and usual is None and X.dtype != np.uint8
        ):  # a table: pixels, or shares of 1
            largest = float(np.max(X))
            if scale is None and largest > 2:
                raise InputError(
                    f"{path} has values up to {largest:g}, and the model learned from pixels that were divided by "
                    f"{own:g}: give --scale {own:g}, or --scale 1 for values that are to be taken as they are"
                )
            own = None if scale in (None, 1) else scale
        return self.standardise(divided(X, own))

    def standardised(self, X: Any) -> "Preprocessing":
        """The preprocessing that gives the columns of X, which this one was applied to, mean 0 and deviation 1.

        A column that is constant has mean 0 afterwards, and keeps its deviation of 0."""
        total, squares, rows = 0.0, 0.0, len(X)
        shape = X.shape[1:]
        for start in range(0, rows, 4096):
            total = total + np.asarray(X[start : start + 4096], np.float64).reshape(-1, np.prod(shape)).sum(axis=0)
        mean = total / rows
        for start in range(0, rows, 4096):
            part = np.asarray(X[start : start + 4096], np.float64).reshape(-1, np.prod(shape)) - mean
            squares = squares + (part * part).sum(axis=0)
        deviation = np.sqrt(squares / rows)
        constant = deviation <= 1e-12 * np.abs(mean)  # what rounding makes of a column that does not vary
        return Preprocessing(self.scale, mean, np.where(constant, 1.0, deviation), self.by_kind, self.drop)

    def standardise(self, X: Any) -> Any:
        """(X − mean) / deviation, float32; X itself where there is no mean."""
        if self.mean is None or self.deviation is None:
            return X
        shift, factor = (a.reshape(X.shape[1:]) for a in (self.mean, self.deviation))  # float64: a mean may be large
        if isinstance(X, np.memmap | Lazy):
            return Scaled(X, factor, shift)
        return ((X - shift) / factor).astype(np.float32)

    def original(self, X: Any) -> Any:
        """The way back of `standardise`, for a model's reconstructions: x · deviation + mean."""
        return X if self.mean is None else (X * self.deviation + self.mean).astype(np.float32)


def _recordings(path, scale, array, drop):
    if scale is not None or array is not None or drop:
        raise InputError(f"{path} is read as sound, which has no scale, no arrays and no columns: leave those out")
    return recordings_of(path)

"""What a batch is made of: named fields, each with the shape of one example, a kind and a check.

    {"x": Real(784)}                                    rows of 784 numbers
    {"x": Bytes(1, 28, 28)}                             images, one byte a pixel; a step gets numbers in [0, 1]
    {"x": Real(20), "y": Labels(10)}                    two inputs, row by row
    {"x": Tokens(5000, None)}                           sequences of any length: a step gets `x`, padded with 0 to the
                                                        longest of the batch, and `x_length`
    {"a": Real(784), "b": Real(784, domain="b")}        two domains that are not paired: each has an order of its own

A field knows what is valid and how an example reaches a step. `minae.data.batches.Batches` cuts arrays into batches.
"""

import copy
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minae.errors import InputError

ADVICE = {  # kind of a dtype -> what makes numbers of it
    "O": "use np.asarray({X}, 'float32') where all its entries are numbers",
    "c": "use {X}.real, np.abs({X}), or both beside each other",
    "M": "use ({X} - {X}.min()) / np.timedelta64(1, 's')",
    "m": "use {X} / np.timedelta64(1, 's')",
    "U": "use {X}.astype('float32') where the text is numbers, else encode it",
    "S": "use {X}.astype('float32') where the text is numbers, else encode it",
    "V": "give one field of the structured array, {X}['NAME']",
}


def masked(X: Any) -> bool:
    """Whether X is a masked array. Who has one has loaded numpy.ma; to load it here would be beside others' forks."""
    kind = getattr(sys.modules.get("numpy.ma"), "MaskedArray", None)
    return kind is not None and isinstance(X, kind)


def host_array(X: Any, name: str, expected: str = "an array (rows, …) of numbers") -> np.ndarray:
    """X as a plain array of the host, and a memory map as it is. Whatever NumPy would read in part is refused."""
    if masked(X) or (isinstance(X, list | tuple) and any(map(masked, X))):
        raise InputError(
            f"{name} is a masked array, and what lies under the mask would be used: fill it, {name}.filled(value), or "
            "leave those rows out"
        )
    if hasattr(X, "toarray") and hasattr(X, "tocsr"):
        raise InputError(f"{name} is sparse, a {type(X).__name__}: give {name}.toarray()")
    if X is None:
        raise InputError(f"{name} is None: expected {expected}")
    if isinstance(X, np.memmap):
        return X
    try:
        return np.asarray(X)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        kind = f"{type(X).__module__.partition('.')[0]} {type(X).__name__}"
        raise InputError(
            f"{name} is a {kind} that is no array ({' '.join(str(error).split())}): expected {expected}"
        ) from error


class Field:
    """shape: of one example, its first number None where it varies;  check: check(x, low, high, name) refuses values
    domain: fields of one domain are paired row by row;  optional: whether the field may be left out"""

    kinds: str = "fiub"
    numbers: Any = "real numbers, such as float32"
    shape: tuple[Any, ...]

    def __init__(
        self, *shape: int | None, check: Callable[..., None] | None = None, domain: str = "", optional: bool = False
    ):
        self.shape, self.check, self.domain, self.optional = shape, check, domain, optional
        self.ragged = bool(shape) and shape[0] is None

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(map(str, self.shape))})"

    def check_shape(self, X: Any, name: str) -> None:
        """Refuse an array whose type or shape is another one. It has the examples of a batch along its first axis."""
        kind = np.dtype(X.dtype).kind
        if kind not in self.kinds:
            hint = f"; {ADVICE[kind].format(X=name)}" if kind in ADVICE else ""
            raise InputError(f"{name} has dtype {X.dtype}: expected {self.numbers}{hint}")
        shape = tuple(X.shape)
        if self.ragged or len(shape) != 1 + len(self.shape) or shape[1:] != self.shape:
            fits = not self.ragged and len(shape) > 1 and math.prod(shape[1:]) == math.prod(self.shape)
            to = ", ".join(str(n) for n in self.shape)
            hint = f"; use {name}.reshape(len({name}), {to if len(self.shape) > 1 else '-1'})" if fits else ""
            raise InputError(f"{name} has shape {shape}; expected ({', '.join(['rows', *map(str, self.shape)])}){hint}")
        if shape[0] == 0:
            raise InputError(f"{name} is empty, shape {shape}: expected at least one row")

    def check_values(self, x: Any, name: str, dtype: Any) -> None:
        """Refuse numbers that cannot be used. x: an array of the field's kind, of any backend"""
        low, high = float(x.min()), float(x.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise InputError(f"{name} has NaN or infinite values: remove those rows or fill them in first")
        if max(-low, high) > float(np.finfo(dtype).max):
            raise InputError(f"{name} has values in [{low:.9g}, {high:.9g}], too large for {dtype}: scale the data")
        self.check_range(x, low, high, name)

    def check_range(self, x: Any, low: float, high: float, name: str) -> None:
        if self.check:
            self.check(x, low, high, name)

    def of_any_range(self) -> "Field":
        """The field without `check`: `encode` takes an x that the loss would refuse, such as a noisy image."""
        field = copy.copy(self)
        field.check = None
        return field

    def dtype(self, dtype: Any) -> Any:
        """The type in which a step gets the field, in a model of this dtype."""
        return dtype

    def batch_shape(self, rows: int) -> tuple[int, ...] | None:
        """The shape in which a step gets the field; None where only the data know it."""
        return None if self.ragged else (rows, *self.shape)

    def deliver(self, x: Any) -> Any:
        """What a step gets, in place: x has the type of `dtype`."""
        return x

    def example(self, rng: np.random.Generator, rows: int) -> Any:
        """Valid values for `rows` examples, of the host, in float64 or integers: what a gradient check runs on."""
        if self.ragged:
            return [self._example(rng, (length, *self.shape[1:])) for length in rng.integers(1, 6, size=rows)]
        return self._example(rng, (rows, *self.shape))

    def _example(self, rng, shape):
        return rng.uniform(size=shape)


class Real(Field):
    """Numbers."""


class Row(Real):
    """A row of a table: numbers, and behind them a whole number 0 … K_c − 1 for each category; see `data.tables`.

    numbers: how many;  categories: K_c of each column, where 0 is a category that was never seen in training
    """

    def __init__(self, numbers: int, categories: Sequence[int]):
        super().__init__(numbers + len(categories))
        self.numbers, self.categories = numbers, list(categories)

    def check_range(self, x: Any, low: float, high: float, name: str) -> None:
        for c, K in enumerate(self.categories):
            column = x[:, self.numbers + c]
            least, most = float(column.min()), float(column.max())
            if least < 0 or most > K - 1 or not bool((column == column.astype("int64")).all()):
                raise InputError(
                    f"{name} has values from {least:g} to {most:g} in column {self.numbers + c}, a category: expected "
                    f"whole numbers 0 to {K - 1}, as a TableEncoding gives them"
                )

    def _example(self, rng, shape):
        numbers = rng.standard_normal((shape[0], self.numbers))
        return np.hstack([numbers, *(rng.integers(K, size=(shape[0], 1)) for K in self.categories)])


class Code(Real):
    """Numbers of either sign, as a code that a model is given to predict."""

    def _example(self, rng, shape):
        return rng.standard_normal(shape)


class OneHot(Real):
    """Rows whose numbers are probabilities: ≥ 0, of sum 1."""

    def _example(self, rng, shape):
        return np.eye(shape[-1])[rng.integers(shape[-1], size=shape[:-1])]


class Bytes(Field):
    """Whole numbers 0 … 255, kept as one byte each; a step gets x / 255."""

    kinds, numbers = "u", "bytes, uint8"

    def check_range(self, x: Any, low: float, high: float, name: str) -> None:
        if high > 255:
            raise InputError(f"{name} has values up to {high:g}: expected bytes, 0 to 255")

    def deliver(self, x: Any) -> Any:
        x /= 255
        return x

    def _example(self, rng, shape):
        return rng.integers(256, size=shape).astype(np.uint8)


class Mask(Field):
    """0 or 1, or False and True: which numbers of another field count."""

    kinds, numbers = "biuf", "a mask of 0 and 1"

    def check_range(self, x: Any, low: float, high: float, name: str) -> None:
        if not bool(((x == 0) | (x == 1)).all()):
            raise InputError(f"{name} has values in [{low:g}, {high:g}] other than 0 and 1: expected a mask")

    def _example(self, rng, shape):
        return (rng.random(shape) < 0.7).astype(float)


class Tokens(Field):
    """Whole numbers 0 … vocabulary − 1; a step gets int32."""

    kinds, numbers = "iu", "whole numbers, such as int32"

    def __init__(self, vocabulary: int, *shape: int | None, **more: Any):
        super().__init__(*shape, **more)
        self.vocabulary = vocabulary

    def check_range(self, x: Any, low: float, high: float, name: str) -> None:
        if low < 0 or high >= self.vocabulary:
            raise InputError(f"{name} has tokens {low:g} to {high:g}: expected 0 to {self.vocabulary - 1}")

    def dtype(self, dtype: Any) -> Any:
        return np.dtype("int32")

    def _example(self, rng, shape):
        return rng.integers(self.vocabulary, size=shape)


class Labels(Field):
    """A class for each example, 0 … classes − 1; a step gets one-hot rows (B, classes)."""

    kinds, numbers = "iu", "an integer label for each row"

    def __init__(self, classes: int, **more: Any):
        super().__init__(**more)
        self.classes = classes

    def batch_shape(self, rows: int) -> tuple[int, ...]:
        return rows, self.classes

    def check_range(self, x: Any, low: float, high: float, name: str) -> None:
        if low < 0 or high >= self.classes:
            raise InputError(
                f"{name} has labels {low:g} to {high:g}: expected 0 to {self.classes - 1}, or more classes"
            )

    def _example(self, rng, shape):
        return rng.integers(self.classes, size=shape)

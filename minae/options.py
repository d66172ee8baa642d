"""Declared options: one line gives the check of an argument, the repr, the file, the command line and the help.

    class SparseAutoencoder(Autoencoder):
        rho = Rate(0.05, "target ρ of the mean activity")
        lam = Weight("Omega", 1.0, "weight λ of Ω")

`model.rho` reads the value. The value of a `Weight` is kept in `model.weights`, and nowhere else. Options are given to
the constructor by name; `sizes` may also be given first and without its name.

A type checker knows what `model.rho` is: an option is `Option[float]`, and so on. One that may be None says so where it
is declared, `probes: Option[int | None] = Count(None, optional=True)`.

Raises InputError for a value that an option does not take: what was given, what is expected.
"""

import ast
import functools
import inspect
import math
import operator
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

import numpy as np

from minae.errors import InputError, meant
from minae.fields import host_array

T_co = TypeVar("T_co", covariant=True)  # what a model's attribute is
Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class Required:
    """The default of an option that has to be given."""

    def __repr__(self):
        return "required"


REQUIRED = Required()


class Option(Generic[T_co]):
    """One argument of a model.     default: its value where it is not given;  doc: half a line of help

    optional: whether None is a value, too;  example: a value for small models where there is no default
    """

    def __init__(self, default: Any = REQUIRED, doc: str = "", *, optional: bool = False, example: Any = None):
        self.default, self.doc, self.optional, self.example = default, doc, optional, example

    def __set_name__(self, owner, name):
        self.name = name
        inherited = [vars(base)[name] for base in owner.__mro__[1:] if isinstance(vars(base).get(name), Option)]
        self.doc = self.doc or next((option.doc for option in inherited), "")

    @overload
    def __get__(self, model: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(self, model: object, owner: type | None = None) -> T_co: ...
    def __get__(self, model, owner=None):
        return self if model is None else self.value(model)

    def value(self, model: Any) -> Any:
        return model.options[self.name]

    def keep(self, model: Any, value: Any) -> None:
        """Check the value and keep it. Called once, by the constructor."""
        model.options[self.name] = self.checked(value)

    def checked(self, value: Any) -> Any:
        """The value in the form in which it is kept."""
        if value is REQUIRED:
            raise InputError(f"{self.name} is missing: expected {self.expected()}")
        if value is None and self.optional:
            return None
        try:
            return self.convert(value)
        except InputError:
            raise
        except (TypeError, ValueError, OverflowError, AttributeError):
            raise InputError(f"{self.name} is {_short(value)}: expected {self.expected()}") from None

    def convert(self, value: Any) -> Any:
        """The value in its form; ValueError or TypeError where it is none of this option's."""
        return value

    def expected(self) -> str:
        """What is taken, in words."""
        return "a value"

    def parse(self, text: str) -> Any:
        """The value that a word of the command line stands for."""
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return text


class Number(Option[float]):
    """A finite number in [low, high], or without its ends where `open` is true."""

    def __init__(
        self,
        default: Any = REQUIRED,
        doc: str = "",
        *,
        low: float = -math.inf,
        high: float = math.inf,
        open: bool = False,
        **more: Any,
    ):
        super().__init__(default, doc, **more)
        self.low, self.high, self.open = low, high, open

    def convert(self, value: Any) -> Any:
        if isinstance(value, bool | str) or not isinstance(value, int | float | np.number):
            raise TypeError
        value = float(value)
        inside = self.low < value < self.high if self.open else self.low <= value <= self.high
        if not inside or not math.isfinite(value):
            raise ValueError
        return value

    def expected(self) -> str:
        low, high = self.low > -math.inf, self.high < math.inf
        if low and high:
            return f"a number in {'(' if self.open else '['}{self.low:g}, {self.high:g}{')' if self.open else ']'}"
        return f"a number {'>' if self.open else '≥'} {self.low:g}" if low else "a finite number"


def Rate(default: Any = REQUIRED, doc: str = "", **more: Any) -> Number:
    """A share in (0, 1)."""
    return Number(default, doc, low=0, high=1, open=True, **more)


def Positive(default: Any = REQUIRED, doc: str = "", **more: Any) -> Number:
    """A number > 0."""
    return Number(default, doc, low=0, open=True, **more)


class Weight(Number):
    """The weight ≥ 0 of the cost term called `term`: it *is* model.weights[term]."""

    def __init__(self, term: str, default: Any = REQUIRED, doc: str = "", **more: Any):
        super().__init__(default, doc, low=0, **more)
        self.term = term

    if TYPE_CHECKING:  # the one kind that may be changed later; `Model.__setattr__` keeps it

        def __set__(self, model: object, value: float) -> None: ...

    def value(self, model: Any) -> Any:
        return model.weights[self.term]

    def keep(self, model: Any, value: Any) -> None:
        model.weights[self.term] = self.checked(value)


class Count(Option[int]):
    """A whole number ≥ lowest."""

    def __init__(self, default: Any = REQUIRED, doc: str = "", *, lowest: int = 1, **more: Any):
        super().__init__(default, doc, **more)
        self.lowest = lowest

    def convert(self, value: Any) -> Any:
        count = operator.index(value)
        if isinstance(value, bool | np.bool_) or count < self.lowest:
            raise ValueError
        return count

    def expected(self) -> str:
        return f"an integer ≥ {self.lowest}"


class Choice(Option[str]):
    """One of a few words."""

    def __init__(self, default: Any, doc: str = "", *, among: Iterable[str], **more: Any):
        super().__init__(default, doc, **more)
        self.among = tuple(among)

    def checked(self, value: Any) -> Any:
        if value is None and self.optional:
            return None
        if not isinstance(value, str) or value not in self.among:
            choices = ", ".join(self.among)
            raise InputError(f"unknown {self.name} {_short(value)}: choose one of {choices}{meant(value, self.among)}")
        return value

    def expected(self) -> str:
        return " or ".join(self.among)

    def parse(self, text: str) -> Any:
        return text


class Flag(Option[bool]):
    """True or False."""

    def convert(self, value: Any) -> Any:
        if not isinstance(value, bool | np.bool_):
            raise TypeError
        return bool(value)

    def expected(self) -> str:
        return "True or False"


class Widths(Option[list[int]]):
    """Widths of layers, such as (256, 256).     fewest, most: how many"""

    def __init__(
        self, default: Any = REQUIRED, doc: str = "", *, fewest: int = 1, most: int | None = None, **more: Any
    ):
        super().__init__(default, doc, **more)
        self.fewest, self.most = fewest, most

    def convert(self, value: Any) -> Any:
        if isinstance(value, str):
            raise TypeError
        widths = [operator.index(size) for size in value]
        if not self.fewest <= len(widths) <= (self.most or len(widths)) or min(widths, default=1) < 1:
            raise ValueError
        return widths

    def expected(self) -> str:
        return f"{self.most} numbers ≥ 1" if self.most else "widths ≥ 1, such as (256, 256)"


class Sizes(Widths):
    """The widths from x to h, such as (784, 256, 30); the option that may be given by position."""

    def __init__(
        self, doc: str = "", *, fewest: int = 2, example: Any = (7, 5, 3), most: int | None = None, **more: Any
    ):
        super().__init__(REQUIRED, doc, fewest=fewest, most=most, example=example, **more)

    def expected(self) -> str:
        if self.most:
            return f"{self.most} widths ≥ 1, of x and of h"
        return "the widths from x to h, such as (784, 256, 30)"


class Settled(Option[Any]):
    """An option that other models have and that has one value here; `doc` says why."""

    def checked(self, value: Any) -> Any:
        if not isinstance(value, str | int | float | None) or value != self.default:
            raise InputError(f"{self.name} is {_short(value)}: {self.doc}, so leave {self.name} out")
        return value

    def expected(self) -> str:
        return repr(self.default)


class Word(Option[str]):
    """Some text."""

    def convert(self, value: Any) -> Any:
        if not isinstance(value, str) or not value:
            raise TypeError
        return value

    def expected(self) -> str:
        return "a word"


class Function(Option[Callable[..., Any]]):
    """Something that can be called."""

    def convert(self, value: Any) -> Any:
        if not callable(value):
            raise TypeError
        return value

    def expected(self) -> str:
        return "a function"


class Functions(Option[list[Callable[..., Any]]]):
    """A list of functions."""

    def convert(self, value: Any) -> Any:
        functions = list(value)
        if not all(map(callable, functions)):
            raise TypeError
        return functions

    def expected(self) -> str:
        return "a list of functions"


class File(Option[Path]):
    """A file's name."""

    def convert(self, value: Any) -> Any:
        name = os.fspath(value)
        if not isinstance(name, str) or not name or "\0" in name:
            raise ValueError
        return Path(name)

    def expected(self) -> str:
        return "a file's name"


class Instance(Option[Any]):
    """An object of one of these classes.     words: what they are called"""

    def __init__(self, *kinds: type, words: str, **more: Any):
        super().__init__(**more)
        self.kinds, self.words = kinds, words

    def convert(self, value: Any) -> Any:
        if not isinstance(value, self.kinds):
            raise TypeError
        return value

    def expected(self) -> str:
        return self.words


class Array(Option[np.ndarray]):
    """An array of the host, not empty, of so many dimensions; real numbers are finite.     kinds: of its dtype"""

    def __init__(self, ndim: int, kinds: str = "fiub", **more: Any):
        super().__init__(**more)
        self.ndim, self.kinds = ndim, kinds

    def convert(self, value: Any) -> Any:
        array = host_array(value, self.name, self.expected())
        if array.dtype.kind not in self.kinds or array.ndim != self.ndim or not array.size:
            raise InputError(f"{self.name} is {array.dtype} {array.shape}: expected {self.expected()}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InputError(f"{self.name} has NaN or infinite values: expected {self.expected()}")
        return array

    def expected(self) -> str:
        return f"an array of {self.ndim} dimension{'s' * (self.ndim > 1)}, not empty"


def door(**declared: Option[Any]) -> Callable[[Decorated], Decorated]:
    """Decorate a public verb: arguments pass the option of their name before they come in.

    An argument that the verb does not know, or that is missing, is an InputError, too.
    """

    def decorate(verb):
        signature = inspect.signature(verb)
        for name, option in declared.items():
            option.name = name

        @functools.wraps(verb)
        def checked(*positional, **named):
            try:
                bound = signature.bind(*positional, **named)
            except TypeError as error:
                known = ", ".join(name for name in signature.parameters if name not in ("self", "model"))
                raise InputError(f"{verb.__name__}: {error}; it takes {known}") from None
            for name in bound.arguments:
                if name in declared:
                    bound.arguments[name] = declared[name].checked(bound.arguments[name])
            return verb(*bound.args, **bound.kwargs)

        checked.declared = declared
        return checked

    return decorate


def _short(value, most=80):
    text = " ".join(repr(value).split())
    return text if len(text) <= most else f"{text[:most]}…"


def of(owner: type) -> dict[str, Option[Any]]:
    """The options of a class by name: widths first, then those of its bases, as they are declared."""
    names = dict.fromkeys(name for base in reversed(owner.__mro__) for name in vars(base))
    options = {name: getattr(owner, name) for name in names if isinstance(getattr(owner, name, None), Option)}
    return dict(sorted(options.items(), key=lambda item: not isinstance(item[1], Sizes)))


def described(owner: type) -> dict[str, dict[str, Any]]:
    """Option -> its doc, what it takes and its default, in words; for `minae options`, --help and help(model)."""
    return {
        name: {"doc": option.doc, "expected": option.expected(), "default": option.default}
        for name, option in of(owner).items()
    }

"""The two ways in which `minae` stops, and how it warns."""

import difflib
import sys
import warnings
from collections.abc import Iterable


class InputError(ValueError):
    """What the user gave cannot be used. The message is one line: what was given, what was expected, what to do."""

    def __init__(self, message: object = ""):
        super().__init__(" ".join(str(message).split()))  # a value that is shown may have had several lines


def meant(word: object, among: Iterable[object]) -> str:
    """ "; did you mean 'sparse'?", or nothing: for the end of a message about a word that is none of these."""
    close = difflib.get_close_matches(str(word), [str(name) for name in among], 1)
    return f"; did you mean {close[0]!r}?" if close else ""


class Diverged(ArithmeticError):
    """A cost term became NaN or infinite during training. The message names the step and the term."""


def warn(message: str) -> None:
    """A warning that names the line of the user's: the first, from here outward, that is not in `minae`."""
    frame, level, inside = sys._getframe(1), 2, ("minae", "contextlib", "functools")
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in inside:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)

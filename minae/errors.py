"""The two ways in which `minae` stops."""


class InputError(ValueError):
    """What the user gave cannot be used. The message is one line: what was given, what was expected, what to do."""


class Diverged(ArithmeticError):
    """A cost term became NaN or infinite during training. The message names the step and the term."""

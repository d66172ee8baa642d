"""Layers: names and shapes on top of `minae.ops`.

    y, cache = layer.forward(x, mode)
    dx = layer.backward(dy, cache, need_dx=True, need_dW=True)      adds to the gradients of its parameters
    Jx = layer.chain(Jy, cache)                                     ∂(output)/∂y -> ∂(output)/∂x, for a Jacobian

A layer returns its own cache, and only its own backward reads it. `need_dW=False` is for a gradient that only goes
through a layer, as a generator's goes through its discriminator: its parameters are held fixed.
"""

import copy
import inspect
from typing import Any

import numpy as np

from minae import options
from minae.errors import InputError
from minae.parameters import Parameters


class Mode:
    """What a forward pass is for: training, where layers use the statistics of the batch and their noise, or not.

    constants:  what layers hold fixed in this pass, by name, such as the mask of a dropout
    statistics: what layers leave for `Model.after_step`, by name, such as new running means
    length:     of each sequence of the batch, (B,), where sequences are padded: a model sets it
    """

    def __init__(self, name: str = "eval", constants: dict[str, Any] | None = None, length: Any = None):
        if not isinstance(name, str) or name not in ("train", "eval"):
            raise InputError(f"mode is {name!r}: choose 'train' or 'eval'")
        self.train, self.constants = name == "train", constants or {}
        self.statistics: dict[str, Any] = {}
        self.length = length


EVAL: Mode = Mode()

ARGUMENTS: dict[str, options.Option[Any]] = {}
ARGUMENTS |= dict.fromkeys(("W", "U", "b", "u", "G", "E", "P", "kappa", "name"), options.Word(optional=True))
ARGUMENTS |= dict.fromkeys(("n", "m", "M", "K", "heads", "channels", "vocabulary", "most"), options.Count())
ARGUMENTS |= dict.fromkeys(("causal", "reverse", "hard", "own", "transposed", "columns"), options.Flag())
ARGUMENTS |= dict.fromkeys(("tau", "width", "scale"), options.Positive())
ARGUMENTS |= dict.fromkeys(("shape", "shape_out"), options.Widths())
ARGUMENTS |= {"decay": options.Number(low=0, high=1, optional=True), "source": options.Count(optional=True)}
ARGUMENTS |= {"restart": options.Number(low=0), "gain": options.Positive(optional=True)}


class Layer:
    """A layer without parameters, state or noise; the base class of the others.

    names: of its parameters, in the order in which they lie in θ
    laws: of its constants, see `minae.effects`
    reads_output: whether its backward needs y as it was; where it does not, the next layer may write over y
    shape, shape_out: of an example of x and of y, where the layer knows them
    """

    names: tuple[str, ...] = ()
    shape: Any = None
    shape_out: Any = None
    laws: dict[str, Any] = {}
    reads_output = True
    may_overwrite = False  # set by the network: whether forward may write over x

    def __init_subclass__(cls) -> None:
        """The arguments of a layer pass the option of their name in `ARGUMENTS`."""
        super().__init_subclass__()
        if "__init__" in vars(cls):
            names = [name for name in inspect.signature(cls.__init__).parameters if name in ARGUMENTS]
            checked = options.door(**{name: copy.copy(ARGUMENTS[name]) for name in names})
            cls.__init__ = checked(cls.__init__)  # type: ignore[method-assign]

    def shapes(self) -> dict[str, Any]:
        """Parameter -> shape, or `Columns`."""
        return {}

    def state(self) -> dict[str, Any]:
        """What lies beside θ, is saved and is not trained: name -> array of the host with its first value."""
        return {}

    def constants(self, rng: np.random.Generator, B: int) -> dict[str, Any]:
        """What training holds fixed, drawn from rng for B examples: name -> array."""
        return {}

    def bind(self, parameters: Parameters, state: dict[str, Any]) -> None:
        """Take the views of the parameters; `state` is the model's dict of arrays."""
        self.arena, self.ws = parameters.arena, parameters.arena.ws

    def initialize(self, rng: np.random.Generator) -> None:
        """First values of the parameters."""

    def keep(self, parameter: Any, values: Any) -> None:
        """Give a parameter values of the host."""
        parameter[...] = self.arena.backend.from_numpy(values.astype(self.arena.dtype))

    def trained(self) -> list["Layer"]:
        """The layers that have parameters, from x up: this one, or none; see `Network.trained`."""
        return [self] if self.names else []

    def forward(self, x: Any, mode: Any = EVAL) -> tuple[Any, Any]:
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, dy: Any, cache: Any, need_dx: bool = True, need_dW: bool = True) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no backward")

    def chain(self, Jy: Any, cache: Any) -> Any:
        raise InputError(f"{type(self).__name__} has no Jacobian: give a layer that has `chain`")


class Composite(Layer):
    """What is made of other layers, `layers`: their parameters, state and constants are its own."""

    layers: list[Any]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for layer in self.layers for name in layer.names)

    def shapes(self) -> dict[str, Any]:
        return {name: shape for layer in self.layers for name, shape in layer.shapes().items()}

    def state(self) -> dict[str, Any]:
        return {name: array for layer in self.layers for name, array in layer.state().items()}

    def constants(self, rng: np.random.Generator, B: int) -> dict[str, Any]:
        return {name: array for layer in self.layers for name, array in layer.constants(rng, B).items()}

    def bind(self, parameters: Parameters, state: dict[str, Any]) -> None:
        super().bind(parameters, state)
        for layer in self.layers:
            layer.bind(parameters, state)

    def initialize(self, rng: np.random.Generator) -> None:
        for layer in self.layers:
            layer.initialize(rng)

"""What all models share: options, parameters, state, the weights of the terms, fit, evaluate, copies and files.

A new model is one file in this folder (or a file given by `--import`): a subclass of `Model` or `Autoencoder` with a
`name`. Being there registers it: `minae check`, `minae train` and `minae options` know it.
"""

import functools
import inspect
import math
import threading
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np

from minae import files, kernels, notebook_html, options
from minae.arena import Arena
from minae.backend import Backend, get_backend
from minae.data.batches import Batches, checked_batch
from minae.data.preprocessing import Preprocessing
from minae.errors import InputError, meant
from minae.fields import Field
from minae.layers import Layer, Mode
from minae.networks import Network
from minae.options import Count, Weight
from minae.parameters import Parameters
from minae.training.loop import History, fit
from minae.training.progress import batched
from minae.training.stream import fit_stream

MODELS: dict[str, type["Model"]] = {}  # name -> class, as they were registered; `minae.models.registry` sorts them


QUANTILES = np.linspace(0, 1, 401)  # of L over usual rows: what a file keeps


class Cost(dict):
    """The terms of a cost by name, on the device until they are read, and J = Σ_k weight_k · term_k.

    constants:  what the cost held fixed and was computed from θ, by name: a gradient check passes it back
    statistics: what the layers' states become after this step, by name
    """

    def __init__(self, terms: Mapping[str, Any], weights: dict[str, float], constants: dict[str, Any] | None = None):
        super().__init__(terms)
        self.weights, self.constants = weights, constants or {}
        self.statistics: dict[str, Any] = {}

    @property
    def J(self) -> Any:
        return sum(self.weights[name] * term for name, term in self.items())

    def __float__(self):
        return float(self.J)


class Weights(dict):
    """The weight ≥ 0 of each cost term of a model. A term that the model does not have is refused."""

    def __setitem__(self, term, weight):
        if term not in self:
            raise InputError(f"unknown cost term {term!r}: this model has {', '.join(self)}")
        option = options.Number(low=0)
        option.name = f"weights[{term!r}]"
        super().__setitem__(term, option.checked(weight))

    def update(self, weights: Any) -> None:
        if not isinstance(weights, dict):
            raise InputError(f"weights is {weights!r}: expected a dict of weights by the name of their term")
        for term, weight in weights.items():
            self[term] = weight

    def __ior__(self, weights: Any) -> Self:  # type: ignore[misc]  # and `|` gives a dict, as for any dict
        self.update(weights)
        return self

    def _fixed(self, *_):
        raise InputError(f"a model keeps its cost terms, {', '.join(self)}: a weight of 0 leaves one out")

    __delitem__ = pop = popitem = clear = setdefault = _fixed


class Model:
    """Options, a cost with its gradient, and what can be done with them.

    A subclass has
        name            a word for the command line and the file; without it a class is not registered
        its options     see `minae.options`; those of kind `Weight` are the weights of its terms
        inputs()        name -> `minae.fields.Field`: what a batch is made of, the first field what the verbs take
        networks()      name -> `Network` or `Layer`, in the order in which their parameters lie in θ
        shapes()        further parameters of its own: name -> shape
        cost_and_grad   the page: forward, then the same lines upward
    and may have
        constants       what is drawn for a step and held fixed by its gradient
        laws            name -> the law of what is drawn: what `minae check --effects` compares the draws with
        project         back into the set that the parameters are confined to; `constrained` says that there is one
        turns           players that move in turn: name -> names of the networks that it moves
        coupled         terms that couple the rows of a batch, such as one of the batch's mean
        cases           name -> options of small models, which `minae check` differences
        sample          sample(count, seed=0): new rows, of a model that is a generator; `minae sample` calls it

    `cost_and_grad(x, …, mode="train", need_grad=True)` takes the fields and constants by name. Before its first line,
    the arrays are checked, `mode` becomes a `Mode` and ∂J/∂θ becomes 0. It adds to the gradients and returns
    `self.cost(…)`. What a page computes lies in memory that the next step uses again: copy what you keep.

    backend: "numpy", "cupy" or "auto"; without it MINAE_BACKEND decides, else "numpy"
    dtype:   "float32", or "float64" as the gradient check needs it

    Raises InputError for options out of range.
    """

    __signature__: ClassVar[inspect.Signature]
    name: ClassVar[str] = ""
    short: ClassVar[tuple[str, ...]] = ()  # other names that the command line takes
    section: ClassVar[str] = "99"  # of the book: the order of the models in lists
    terms: ClassVar[tuple[str, ...]] = ("L",)  # terms of the cost whose weight is 1 unless it is changed
    turns: dict[str, tuple[str, ...]] = {}
    objective: ClassVar[tuple[str, ...]] = ()  # the terms whose sum is J in a history; () for all of them
    constrained: ClassVar[bool] = False
    recordings: ClassVar[bool] = False  # whether x is a list of sequences of frames, such as those of .wav files
    coupled: tuple[str, ...] = ()
    laws: ClassVar[dict[str, Any]] = {}  # name of a constant -> a law, see `minae.effects`
    cases: ClassVar[dict[str, dict[str, Any]]] = {"": {}}
    cost_and_grad: Callable[..., Cost]
    f: Any  # networks become attributes under the names that `networks` gives them: often f, g and d
    g: Any
    d: Any
    encode: Callable[..., Any]  # verbs that most models have: `load` gives a Model, and one that lacks the verb says so
    decode: Callable[..., Any]
    reconstruct: Callable[..., Any]
    score_samples: Callable[..., Any]
    sample: Callable[..., Any]
    _in_file: dict[str, tuple[int, ...]] | None = None  # shapes of the arrays that `load` found

    seed = Count(0, "of the initial parameters", lowest=0)

    def __init_subclass__(cls) -> None:
        if "cost_and_grad" in vars(cls):
            cls.cost_and_grad = _entered(vars(cls)["cost_and_grad"])
        declared = options.of(cls)
        if cls.__doc__:  # `python -OO` takes docstrings away
            words = [f"{name}: {each['doc']} ({each['expected']}; default {each['default']})"
                     for name, each in options.described(cls).items()]  # fmt: skip
            cls.__doc__ = inspect.cleandoc(cls.__doc__) + "\n\nOptions:\n    " + "\n    ".join(words)
        kinds = inspect.Parameter
        signature = [
            kinds(name, kinds.POSITIONAL_OR_KEYWORD)
            if isinstance(option, options.Sizes)
            else kinds(name, kinds.KEYWORD_ONLY, default=option.default)
            for name, option in declared.items()
        ]
        signature.append(kinds("backend", kinds.KEYWORD_ONLY, default=None))
        signature.append(kinds("dtype", kinds.KEYWORD_ONLY, default="float32"))
        cls.__signature__ = inspect.Signature(signature)
        if vars(cls).get("name"):
            MODELS[cls.name] = cls

    def __init__(self, *positional: Any, backend: str | Backend | None = None, dtype: str = "float32", **given: Any):
        declared = options.of(type(self))
        sizes = [name for name, option in declared.items() if isinstance(option, options.Sizes)]
        if len(positional) > len(sizes):
            raise InputError(
                f"{type(self).__name__} takes {', '.join(sizes) or 'no option'} by position, others by name"
            )
        given |= dict(zip(sizes, positional, strict=False))
        for name in set(given) - set(declared):
            known, close = ", ".join(declared), meant(name, declared)
            raise InputError(f"{self.name or type(self).__name__} has no option {name!r}: it has {known}{close}")
        if str(dtype) not in ("float32", "float64"):
            raise InputError(f"dtype is {dtype!r}: choose 'float32' (to train) or 'float64' (to check gradients)")
        self.options: dict[str, Any] = {}
        optional = {option.term: 0.0 for option in declared.values() if isinstance(option, Weight)}
        self.weights = Weights(dict.fromkeys(self.terms, 1.0) | optional)
        for name, option in declared.items():
            option.keep(self, given.get(name, option.default))
        self.backend, self.dtype = get_backend(backend), np.dtype(str(dtype))
        self.arena = Arena(self.backend, self.dtype)
        self.history, self.preprocessing, self.training = History(), Preprocessing(), threading.Lock()
        self.usual: list[float] | None = None  # quantiles of L over usual rows, see `calibrate`
        self._specs: dict[Any, dict[str, tuple]] = {}
        self.settle()
        self._build()

    def _build(self):
        self.nets: dict[str, Network | Layer] = self.networks()
        shapes, layers, state = {}, {}, {}
        for net, network in self.nets.items():
            setattr(self, net, network)
            shapes |= {name: shape for name, shape in network.shapes().items() if name not in shapes}
            layers |= {f"{net}{k + 1}": layer.names for k, layer in enumerate(network.trained())}
            state |= network.state()
        shapes |= self.shapes()
        for name, shape in shapes.items() if self._in_file is not None else ():  # before memory is taken for them
            if tuple(shape) != self._in_file.get(name):
                raise InputError(f"{name} has shape {self._in_file.get(name)}, and by the configuration {tuple(shape)}")
        self.parameters = Parameters(shapes, self.arena, layers)
        state = {name: np.array(array) for name, array in state.items()}
        types = {name: self.dtype if array.dtype.kind == "f" else array.dtype for name, array in state.items()}
        self.state = {name: self.backend.from_numpy(array.astype(types[name])) for name, array in state.items()}
        rng = np.random.default_rng(self.seed)
        for network in self.nets.values():
            network.bind(self.parameters, self.state)
        for network in self.nets.values():
            network.initialize(rng)
        self.build()
        self.fields: dict[str, Field] = self.inputs()
        self.initialize(rng)

    # ---- what a subclass says

    def settle(self) -> None:
        """Options that depend on each other: refuse what does not go together."""

    def inputs(self) -> dict[str, Field]:
        raise InputError(f"{type(self).__name__} does not say what a batch is made of: write its `inputs`")

    def networks(self) -> dict[str, Network | Layer]:
        return {}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {}

    def build(self) -> None:
        """Losses, penalties and codes, which read the parameters."""

    def initialize(self, rng: np.random.Generator) -> None:
        """First values of the parameters that no layer has."""

    def constants(self, rng: np.random.Generator, **batch: Any) -> dict[str, Any]:
        """What a step draws and its gradient holds fixed, by name: noise, masks. What depends on θ, `cost_and_grad`
        computes where it is not given, and returns with the cost."""
        return {}

    def project(self) -> None:
        """Put the parameters back into the set that they are confined to."""

    def after_step(self, statistics: dict[str, Any]) -> None:
        """Called after each step of `fit`: the state moves here, and nowhere else; then `project`."""
        for name, array in statistics.items():
            self.state[name][...] = array
        self.project()

    def cost(self, constants: dict[str, Any] | None = None, **terms: Any) -> Cost:
        """The cost of these terms; one that is None was skipped."""
        for name in set(terms) - set(self.weights):
            raise InputError(f"the cost term {name!r} has no weight: add it to `terms`, or declare a Weight")
        return Cost({name: term for name, term in terms.items() if term is not None}, self.weights, constants)

    # ---- the options

    @property
    def config(self) -> dict[str, Any]:
        """The options by name: `type(model)(**model.config)` is the model before training."""
        return {name: option.value(self) for name, option in options.of(type(self)).items()}

    def __setattr__(self, name, value):
        option = getattr(type(self), name, None)
        if isinstance(option, Weight):
            self.weights[option.term] = value
        elif isinstance(option, options.Option) and "fields" in vars(self) and name not in vars(self):
            raise InputError(f"{name} is settled when a model is built: build another with {name}={value!r}")
        elif name == "weights" and "weights" in vars(self):
            self.weights.update(value)
        else:
            super().__setattr__(name, value)

    def __repr__(self):
        config = ", ".join(f"{name}={value!r}" for name, value in self.config.items())
        return f"{type(self).__name__}({config}, backend={self.backend.name!r}, dtype={self.dtype.name!r})"

    def _repr_html_(self) -> str:
        return notebook_html.of_model(self)

    # ---- a step

    def normal(self, rng: np.random.Generator, *shape: int) -> Any:
        """ε ~ N(0, I), in the arena."""
        return kernels.noise.standard_normal(rng, self.arena.empty(*shape))

    def draw(self, batch: dict[str, Any], seed: int, name: str, *key: int) -> dict[str, Any]:
        """The constants of a step, from the stream of this name and key; see `Backend.stream`."""
        if not self._spec(batch):
            return {}
        return self._drawn(self.backend.stream(seed, name, *key), batch)

    def _drawn(self, rng, batch):
        B = len(next(iter(batch.values())))
        drawn = self.constants(rng, **batch)
        for network in self.nets.values():
            drawn |= network.constants(rng, B)
        return drawn

    def _spec(self, batch):
        """Name, shape and dtype of the constants that belong to a batch of this shape; found by drawing them once."""
        key = tuple(array.shape for array in batch.values())
        if key not in self._specs:
            if len(self._specs) >= 1000:  # sequences have batches of ever new shapes
                self._specs.clear()
            with self.arena:
                drawn = self._drawn(self.backend.stream(0, "example"), batch)
                self._specs[key] = {name: (array.shape, array.dtype) for name, array in drawn.items()}
        return self._specs[key]

    def checked_constant(self, array: Any, name: str, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """An array that a step holds fixed: of this shape, and of the model's backend and dtype."""
        dtype = self.dtype if dtype is None else dtype
        if not self.backend.owns(array) or array.shape != tuple(shape) or array.dtype != dtype:
            given = f"{getattr(array, 'dtype', type(array).__name__)} {getattr(array, 'shape', '')}"
            raise InputError(
                f"{name} is {given}; expected {dtype} {tuple(shape)} on {self.backend.name!r}, as `constants` draws it"
            )
        return array

    # ---- verbs

    def fit(self, X: Any, y: Any = None, **settings: Any) -> History:
        """Train on the rows of X, with y and further fields by name where the model has them; see `minae.training.fit`.
        Returns its History, which is `model.history`, too, also after an interruption."""
        return fit(self, X, y, **settings)

    def fit_stream(self, batches: Any, **settings: Any) -> History:
        """Train on batches that come one after the other, without an end or larger than memory; see
        `minae.training.fit_stream`. Returns its History."""
        return fit_stream(self, batches, **settings)

    @options.door(batch_size=Count())
    def evaluate(self, X: Any, y: Any = None, batch_size: int = 1000, **inputs: Any) -> dict[str, float]:
        """The cost terms at X as floats, averaged over its rows; a model's noise is drawn from seed 0."""
        batches = X if isinstance(X, Batches) else self.batches(X, y, inputs)
        total: dict[str, float] = {}
        for start, stop in batched(len(batches), batch_size):
            with self.arena:
                index = np.arange(start, stop)
                batch = batches.take(index)
                given = batch | self.draw(batch, 0, "evaluation", start)
                terms: dict[str, Any] = {}  # a term that several turns report is one term
                for turn in self.turns or [None]:
                    how = {} if turn is None else {"turn": turn}
                    terms |= self.cost_and_grad(**given, **how, mode="eval", need_grad=False)
                for name, term in terms.items():
                    total[name] = total.get(name, 0.0) + float(term) * len(index)
        return {name: term / len(batches) for name, term in total.items()}

    def batches(self, X: Any, y: Any = None, inputs: dict[str, Any] | None = None, label: str = "X") -> Batches:
        """The fields of a data set, checked. X is the first field; `label` is what errors call it."""
        first = next(iter(self.fields))
        given = {first: X, **(inputs or {})} | ({} if y is None else {"y": y})
        return Batches(self.fields, given, self.arena, {first: label}, f"a model of kind {self.name!r}")

    def table(self, X: Any, field: Field | None = None, name: str = "X") -> Batches:
        """The rows of X, checked; of any range, where no field is given."""
        field = next(iter(self.fields.values())).of_any_range() if field is None else field
        return Batches({"x": field}, {"x": X}, self.arena, {"x": name})

    def apply(
        self,
        function: Callable[..., Any],
        X: Any,
        field: Field | None = None,
        name: str = "X",
        batch_size: int | None = None,
    ) -> Any:
        """function(x, start) of the rows of X, batch by batch: x from row `start` on, an array of the model's backend,
        and behind it the lengths where they vary. Host arrays in, host arrays out; device arrays in, device arrays out.

        field:      of X; by default the first, whatever range the loss asks for
        batch_size: by default 1000, and fewer where a row has more than a thousand numbers, since a picture of 64 × 64
                    takes sixteen times its own memory in a layer of 16 channels
        """
        batches, out = self.table(X, field, name), None
        if batch_size is None:
            shape = batches.columns["x"].field.shape
            batch_size = min(1000, max(32, 2**20 // (math.prod(shape) if None not in shape else 1)))
        for start, stop in batched(len(batches), batch_size):
            with self.arena:
                index = np.arange(start, stop)
                y = function(*batches.take(index).values(), start)
                y = y if batches.on_device else self.backend.to_numpy(y)
                if out is None:
                    xp = self.backend.xp if batches.on_device else np
                    out = xp.empty((len(batches), *y.shape[1:]), y.dtype)
                out[start : start + len(index)] = y
        return out

    # ---- what is unusual

    def calibrate(self, X: Any) -> None:
        """Remember how usual rows score: the quantiles of L over X, as `score_samples` has them, which a file of the
        model keeps.

        X: data without anomalies; better a part that was held out in training than what the model learned from, whose L
        may be too small. A `fit` forgets it, since the L of another model is another one.
        """
        L = -self._host(self.score_samples(X)).astype(float)
        if not np.isfinite(L).all():
            raise InputError("X has rows whose L is not finite: a threshold needs finite ones")
        self.usual = np.quantile(L, QUANTILES).tolist()

    @options.door(share=options.Number(low=0, high=1))
    def threshold(self, share: float = 0.95) -> float:
        """The L below which this share of the usual rows lies. Raises InputError before `calibrate`."""
        if self.usual is None:
            raise InputError("no threshold is known: give usual data, without anomalies, to model.calibrate(X)")
        return float(np.interp(share, QUANTILES, self.usual))

    @options.door(share=options.Number(low=0, high=1))
    def unusual(self, X: Any, share: float = 0.95) -> np.ndarray:
        """Which rows have a larger L than this share of the usual ones:  (rows, n) -> bool (rows,)."""
        return -self._host(self.score_samples(X)) > self.threshold(share)

    def _host(self, array):
        return array if isinstance(array, np.ndarray) else self.backend.to_numpy(array)

    # ---- copies and files

    def copy(self, *, backend: str | Backend | None = None, dtype: str | None = None) -> "Model":
        """The same model with its own parameters and state, on the same or another backend and dtype."""
        other = type(self)(**self.config, backend=backend or self.backend, dtype=dtype or self.dtype.name)
        other.weights.update(self.weights)
        other.preprocessing, other.usual = self.preprocessing, self.usual
        other.restore({name: self.backend.to_numpy(array) for name, array in self.tensors().items()})
        return other

    def __deepcopy__(self, memo):
        return self.copy()

    def __reduce__(self):
        tensors = {name: np.array(self.backend.to_numpy(array)) for name, array in self.tensors().items()}
        settings = {"backend": self.backend.name, "dtype": self.dtype.name}
        beside = self.preprocessing, self.usual
        return _rebuilt, (type(self), self.config, settings, dict(self.weights), tensors, *beside)

    def tensors(self) -> dict[str, Any]:
        """What is saved: the parameters by name, and the state, whose names begin with "state."."""
        return {name: self.parameters[name] for name in self.parameters} | {
            f"state.{name}": array for name, array in self.state.items()
        }

    def restore(self, tensors: dict[str, np.ndarray]) -> None:
        """Take parameters and state from arrays of the host. Raises InputError where one is missing, or has another
        shape or type, before any is changed."""
        own = self.tensors()
        if not isinstance(tensors, dict):
            raise InputError(f"tensors is {tensors!r}: expected a dict of arrays by name")
        for name, array in own.items():
            given = tensors.get(name)
            if given is None or given.shape != array.shape or given.dtype.kind != np.dtype(array.dtype).kind:
                words = "missing" if given is None else f"{given.dtype} {given.shape}"
                raise InputError(f"{name} is {words}: this model has {array.dtype} {array.shape}")
        for name, array in own.items():
            array[...] = self.backend.from_numpy(np.ascontiguousarray(tensors[name].astype(array.dtype)))

    @options.door(path=options.File())
    def save(self, path: Any) -> None:
        """Write parameters, state and configuration to one safetensors file; a former file is replaced whole."""
        if not self.name:
            raise InputError(f"{type(self).__name__} has no name, by which `load` could find it: give it a `name`")
        files.write(path, {name: self.backend.to_numpy(a) for name, a in self.tensors().items()}, self.metadata())

    def metadata(self) -> dict[str, Any]:
        """What a file says of the model beside its arrays: enough to build it again."""
        words = {"model": self.name, "config": self.config, "dtype": self.dtype.name, "weights": dict(self.weights)}
        return words | {"preprocessing": self.preprocessing.described(), "usual": self.usual}


def _rebuilt(kind, config, settings, weights, tensors, preprocessing, usual):
    """The model that was pickled."""
    model = kind(**config, **settings)
    model.weights.update(weights)
    model.preprocessing, model.usual = preprocessing, usual
    model.restore(tensors)
    return model


def _entered(page):
    """`cost_and_grad` as it is called: inputs are checked, mode is a `Mode`, and ∂J/∂θ starts at 0; see `Model`."""
    names = list(inspect.signature(page).parameters)[1:]
    takes_mode, known = "mode" in names, set(names)
    any_name = any(each.kind is each.VAR_KEYWORD for each in inspect.signature(page).parameters.values())

    @functools.wraps(page)
    def cost_and_grad(self, *positional, mode="train", need_grad=True, **inputs):
        if not any_name and not inputs.keys() <= known:
            unknown = [name for name in inputs if name not in known and "." not in name]
            if unknown:
                raise InputError(f"cost_and_grad was given {', '.join(unknown)}: it takes {', '.join(names)}")
        if positional:
            inputs.update(zip(names, positional, strict=False))
        if isinstance(mode, Mode):  # a subclass's page that calls this one
            return page(self, **inputs, mode=mode, need_grad=need_grad)
        held = {}
        for name, (shape, dtype) in self._spec(checked_batch(self.fields, inputs, self.backend, self.dtype)).items():
            if mode == "eval" and "." in name and name not in inputs:
                continue  # what a layer holds fixed is for training
            array = self.checked_constant(inputs.get(name), name, shape, dtype)
            if "." in name:  # of a layer
                held[name] = array
                del inputs[name]
        mode = Mode(mode, held)
        if takes_mode:
            inputs["mode"] = mode
        if need_grad:
            self.parameters.zero_grad()
        cost = page(self, **inputs, need_grad=need_grad)
        if not isinstance(cost, Cost) or not cost.keys() <= self.weights.keys():
            words = f"the terms {', '.join(cost)}" if isinstance(cost, dict) else f"a {type(cost).__name__}"
            raise InputError(
                f"cost_and_grad of {type(self).__name__} gave {words}: expected self.cost(…) with the terms "
                f"{', '.join(self.weights)}"
            )
        cost.statistics |= mode.statistics  # of this page, and of one that it called
        return cost

    return cost_and_grad

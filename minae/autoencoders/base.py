"""What all variants share: how they are built, their verbs, and their file. The mathematics is in the variants."""

import operator
import warnings

import numpy as np

from minae import files
from minae.backend import Arena, get_backend, namespace
from minae.errors import InputError
from minae.losses import LOSSES
from minae.networks import Dense, Network
from minae.ops import ACTIVATIONS
from minae.parameters import Parameters

VARIANTS = {}  # name -> class, in the order of the book


class Cost(dict):
    """The terms of a cost by name, on the device until they are read, and J = Σ_k weight_k · term_k."""

    def __init__(self, terms, weights):
        super().__init__(terms)
        self.weights = weights

    @property
    def J(self):
        return sum(self.weights[name] * term for name, term in self.items())

    def __float__(self):
        return float(self.J)


class Autoencoder:
    """f: x -> h and g: h -> s, mirrored: sizes (784, 256, 30) give f 784-256-30 and g 30-256-784.

    sizes:      widths from x to h, at least two
    activation: φ of the hidden layers: identity, sigmoid, tanh, relu or softplus
    code:       φ of the code layer h; by default the same. The decoder's last layer is linear: it gives logits s
    loss:       gaussian, bernoulli or categorical: L = −log p(x | h), see minae.losses
    tied:       V = Wᵀ in every layer, one array for both
    lam:        weight λ ≥ 0 of the variant's penalty, the cost term `Omega`
    backend:    "numpy", "cupy" or "auto"; without it MINAE_BACKEND decides, else "numpy"
    dtype:      "float32", or "float64" as the gradient check needs it
    seed:       of the initial parameters

    The encoder's parameters are W1, b1, W2, …, the decoder's V1, c1, V2, … in the order in which they are used. The
    cost is J = Σ_k weights[k] · term_k; setting a weight to 0 takes a term out of the cost and out of its gradient.

    Raises InputError for arguments out of range.
    """

    variant = None
    columns = ()  # matrices that lie column by column, see Parameters
    code_parts = 1  # widths of the code that the encoder's last layer gives
    penalised = False  # whether it has a penalty Ω, and so a lam
    supervised = False  # whether `fit` takes targets y beside X
    fewest_sizes = 2

    def __init_subclass__(cls):
        if cls.__dict__.get("variant"):
            VARIANTS[cls.variant] = cls

    def __init__(
        self,
        sizes,
        *,
        activation="sigmoid",
        code=None,
        loss="bernoulli",
        tied=False,
        lam=0.0,
        backend=None,
        dtype="float32",
        seed=0,
    ):
        sizes, code = _checked_sizes(sizes, self.fewest_sizes), code or activation
        if loss not in LOSSES:
            raise InputError(f"unknown loss {loss!r}: choose one of {', '.join(LOSSES)}")
        if str(dtype) not in ("float32", "float64"):
            raise InputError(f"dtype is {dtype!r}: choose 'float32' (to train) or 'float64' (to check gradients)")
        if activation not in ACTIVATIONS:
            raise InputError(f"unknown activation {activation!r}: choose one of {', '.join(ACTIVATIONS)}")
        if not isinstance(tied, bool | np.bool_):
            raise InputError(f"tied is {tied!r}: expected True or False")
        if not (isinstance(lam, int | float | np.number) and np.isfinite(lam) and lam >= 0):
            raise InputError(f"lam is {lam!r}: the weight of a penalty is a number ≥ 0")
        if lam and not self.penalised:
            raise InputError(f"lam is {lam!r}, and a model of kind {self.variant!r} has no penalty Ω: leave lam out")
        seed = whole(seed, "seed", 0)
        self.config = dict(
            sizes=sizes, activation=activation, code=code, loss=loss, tied=bool(tied), lam=float(lam), seed=int(seed)
        )
        self.weights = {"L": 1.0} | ({"Omega": float(lam)} if lam else {})
        self.backend, self.dtype = get_backend(backend), np.dtype(str(dtype))
        self.arena = Arena(self.backend, self.dtype)

        self.f, self.g = self.encoder(sizes, activation, code), self.decoder(sizes, activation, tied)
        layers = {f"f{k + 1}": layer.names for k, layer in enumerate(self.f.layers)}
        layers |= {f"g{k + 1}": layer.names for k, layer in enumerate(self.g.layers)}
        self.parameters = Parameters(self.f.shapes() | self.g.shapes(), self.arena, layers, self.columns)
        self.f.bind(self.parameters)
        self.g.bind(self.parameters)
        rng = np.random.default_rng(seed)
        self.f.initialize(rng)
        self.g.initialize(rng)
        self.loss = LOSSES[loss](self.arena)

    # ---- f and g; a variant of another form has its own

    def encoder(self, sizes, activation, code):
        widths, phi = [*sizes[:-1], sizes[-1] * self.code_parts], [activation] * (len(sizes) - 2) + [code]
        layers = range(len(sizes) - 1)
        return Network(Dense(f"W{k + 1}", f"b{k + 1}", widths[k], widths[k + 1], phi[k]) for k in layers)

    def decoder(self, sizes, activation, tied):
        widths, depth = sizes[::-1], len(sizes) - 1
        V = [f"W{depth - k}" if tied else f"V{k + 1}" for k in range(depth)]
        phi = [activation] * (depth - 1) + ["identity"]
        return Network(
            Dense(V[k], f"c{k + 1}", widths[k], widths[k + 1], phi[k], transposed=tied) for k in range(depth)
        )

    def __repr__(self):
        config = ", ".join(f"{k}={v!r}" for k, v in self.config.items())
        return f"{type(self).__name__}({config}, backend={self.backend.name!r}, dtype={self.dtype.name!r})"

    def warn_of_a_copy(self):
        """For a variant that only its penalty or a narrow layer keeps from the identity."""
        if min(self.config["sizes"]) >= self.config["sizes"][0] and not self.config["lam"]:
            warnings.warn(
                f"no layer of {self.config['sizes']} is narrower than x, and lam is 0: nothing keeps the code from "
                "a copy of x (14.2)",
                stacklevel=3,
            )

    # ---- what a variant's cost_and_grad begins and ends with

    def start(self, x):
        """The rows of a step, checked: an array (B, n) of this model's backend and dtype."""
        n = self.config["sizes"][0]
        if not self.backend.owns(x):
            raise InputError(
                f"x is a {type(x).__module__.partition('.')[0]} {type(x).__name__} and the model is on backend "
                f"{self.backend.name!r}: use model.backend.from_numpy(x), or build the model on x's backend"
            )
        if x.ndim != 2 or x.shape[1] != n or x.shape[0] == 0:
            raise InputError(f"x has shape {x.shape}; expected (rows, {n}) with at least one row")
        if x.dtype != self.dtype:
            raise InputError(f"x is {x.dtype} and the model {self.dtype}: use x.astype({self.dtype.name!r})")
        return x

    def argument(self, noise, name, shape):
        """A random argument of a step, checked: an array of this shape, of the model's backend and dtype."""
        if not self.backend.owns(noise) or noise.shape != tuple(shape) or noise.dtype != self.dtype:
            given = f"{getattr(noise, 'dtype', type(noise).__name__)} {getattr(noise, 'shape', '')}"
            raise InputError(
                f"{name} is {given}; expected {self.dtype} {tuple(shape)} on {self.backend.name!r}, as `noise` draws it"
            )
        return noise

    def cost(self, **terms):
        return Cost(terms, self.weights)

    def noise(self, x, rng):
        """The random arguments of `cost_and_grad` for the rows x, drawn from rng: {} for a deterministic variant."""
        return {}

    def draw(self, x, *key):
        """`noise` from the stream that belongs to key; see `Backend.generator`."""
        return {} if type(self).noise is Autoencoder.noise else self.noise(x, self.backend.generator(*key))

    def targets(self, y, rows):
        """The targets of `fit` as an array of the host, a row for each of X; None for a variant that learns from X."""
        if y is not None:
            raise InputError(f"y was given, and a model of kind {self.variant!r} learns from X alone: leave y out")

    def constrain(self):
        """Called after each step of `fit`: put the parameters back into the set that they are confined to, if any."""

    def code(self, x):
        """h = f(x) as `encode` gives it and `decode` takes it, on the device."""
        return self.f.forward(x)[0]

    # ---- verbs: host arrays in, host arrays out, batch by batch

    def encode(self, X):
        """h = f(x):  (rows, n) -> (rows, m)."""
        return self._map(X, "X", 0, self.code)

    def decode(self, H):
        """r = g(h), the mean of p(x | h):  (rows, m) -> (rows, n)."""
        return self._map(H, "H", -1, lambda h: self.loss.mean(self.g.forward(h)[0]))

    def reconstruct(self, X):
        """r = g(f(x)):  (rows, n) -> (rows, n)."""
        return self._map(X, "X", 0, lambda x: self.loss.mean(self.g.forward(self.code(x))[0]))

    def jacobian(self, X):
        """Jf = ∂f/∂x at each row:  (rows, n) -> (rows, m, n)."""
        n, m = self.config["sizes"][0], self.config["sizes"][-1]
        need, have = len(X) * m * n * self.dtype.itemsize, self.backend.memory()
        if need > have:
            raise InputError(
                f"a Jacobian of {len(X)} × {m} × {n} takes {need / 2**30:.3g} GiB of {have / 2**30:.3g}: give fewer "
                "rows; for ‖Jf‖ alone, ContractiveAutoencoder(probes=K) estimates it"
            )
        J = self._map(X, "X", 0, lambda x: self.f.jacobian(x)[:, :m].reshape(len(x), -1), batch_size=100)
        return J.reshape(-1, m, n)

    def tangents(self, X, k=8):
        """Where the code is sensitive, at each row: the k leading right singular vectors of Jf and their singular
        values, (rows, k, n) and (rows, k). They span the manifold's tangent plane at x.     (sections 14.6, 14.7)"""
        J = self.jacobian(X)
        _, values, vectors = namespace(J).linalg.svd(J, full_matrices=False)
        return vectors[:, :k], values[:, :k]

    def evaluate(self, X, y=None, batch_size=1000):
        """The cost terms at X as floats, averaged over its rows; a variant's noise is drawn from seed 0."""
        from minae.data.rows import Rows

        rows, total = X if isinstance(X, Rows) else Rows(self, X, "X", y=y), {}
        for start in range(0, len(rows), batch_size):
            with self.arena:
                x, given = rows.step(np.arange(start, min(start + batch_size, len(rows))))
                cost = self.cost_and_grad(x, need_grad=False, **given, **self.draw(x, 0, 0, 0, start))
            for name, term in cost.items():
                total[name] = total.get(name, 0.0) + float(term) * len(x)
        return {name: term / len(rows) for name, term in total.items()}

    def fit(self, X, y=None, **options):
        """Train on the rows of X, with targets y where the model has them; see `minae.training.fit` for the options.
        Returns its History."""
        from minae.training import fit

        return fit(self, X, y, **options)

    def _map(self, X, name, end, function, batch_size=1000):
        from minae.data.rows import Rows

        rows = Rows(self, X, name, width=self.config["sizes"][end], loss=None)
        out = None
        for start in range(0, len(rows), batch_size):
            with self.arena:
                stop = min(start + batch_size, len(rows))
                y = function(rows.take(np.arange(start, stop)))
                y = y if rows.on_device else self.backend.to_numpy(y)
                if out is None:
                    out = namespace(y).empty((len(rows), y.shape[1]), y.dtype)
                out[start:stop] = y
        return out

    # ---- copies and files

    def copy(self, *, backend=None, dtype=None):
        """The same model with its own parameters, on the same or another backend and dtype."""
        other = type(self)(**self.config, backend=backend or self.backend, dtype=dtype or self.dtype.name)
        flat = self.backend.to_numpy(self.parameters.flat).astype(other.dtype)
        other.parameters.flat[...] = other.backend.from_numpy(flat)
        other.weights = dict(self.weights)
        return other

    def save(self, path):
        """Write the named parameters and the configuration to one safetensors file; a former file is replaced whole."""
        to_numpy = self.backend.to_numpy
        tensors = {name: to_numpy(self.parameters[name]) for name in self.parameters}
        files.write(path, tensors, self.about())

    def about(self):
        """What a file says of the model beside its parameters: enough to build it again."""
        return {"variant": self.variant, "config": self.config, "dtype": self.dtype.name, "weights": self.weights}


def load(path, *, backend=None, dtype=None):
    """The model that `save` or a checkpoint of `fit` wrote.

    Raises InputError for a file that is missing, truncated, or not minae's.
    """
    tensors, about = files.read(path)
    backend = get_backend(backend)
    try:
        model = VARIANTS[about["variant"]](**about["config"], backend=backend, dtype=dtype or about["dtype"])
        model.weights = about["weights"]
        for name in model.parameters:
            if tensors[name].shape != model.parameters[name].shape:
                raise KeyError(name)
            model.parameters[name][...] = model.backend.from_numpy(tensors[name].astype(model.dtype))
    except (KeyError, TypeError, ValueError) as error:  # InputError is a ValueError
        raise InputError(
            f"{path} does not hold a whole minae model ({error}): was it written by another version?"
        ) from error
    return model


def whole(value, name, lowest):
    """An argument that counts something, as int. Raises InputError for another kind, and below `lowest`."""
    try:
        count = lowest - 1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        count = lowest - 1
    if count < lowest:
        raise InputError(f"{name} is {value!r}: expected an integer ≥ {lowest}")
    return count


def _checked_sizes(sizes, fewest):
    try:
        widths = [operator.index(size) for size in sizes]
    except TypeError:
        widths = []
    if len(widths) < fewest or min(widths) < 1:
        raise InputError(f"sizes is {sizes!r}: expected the widths from x to h, such as (784, 256, 30)")
    return widths

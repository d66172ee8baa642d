"""The kinds of workloads: a training step, a pretraining, an inference, a search; each in minae and in its rivals.

A workload has a name, and for a `measure.Env`

    minae(env), torch(env, form)  a Contestant: a step to be timed, and a way to read its costs
    jax(env)                      the same in JAX, of the workloads that train
    products                      the matrix products of one step, (layout, m, k, n, layer): (m, k) times (k, n); layout
                                  says which factor is stored as its transpose: nn, tn or nt
    torch_forms                   the forms that a practitioner of PyTorch would use: minae is compared with the best
    generic                       its forms by an automatic Jacobian, which stand apart: they count only where faster
    small()                       the same in miniature, which loads the code of both sides before memory is measured

`minae.bench.torch_side` is imported where PyTorch is measured, because it imports PyTorch; so is `jax_side` for JAX.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import minae
from minae.arena import Arena
from minae.backend import Backend, get_backend
from minae.bench.contestant import LR, SEED, Contestant, Env
from minae.data.images import Whitening, patches
from minae.inference import SparseCoding
from minae.kernels import products
from minae.layers import Mode
from minae.metrics import retrieval
from minae.models import Model
from minae.networks import Network
from minae.parameters import Parameters
from minae.training import Adam


def plain(net, x):
    """J of the undercomplete autoencoder in PyTorch; see `workloads` for the others."""
    return net.loss(net.g(net.f(x)), x)


# ---- the matrix products of a step


def dense(*layers):
    """Forward and backward through affine layers (n, m), one after the other, for B rows; no ∂J/∂x at the first."""

    def products(B):
        step = [("nn", B, n, m, k) for k, (n, m) in enumerate(layers)]  # a = x W
        for k, (n, m) in reversed(list(enumerate(layers))):
            step += [("tn", n, B, m, k), ("nt", B, m, n, k)]  # dW = xᵀ da, dx = da Wᵀ
        return step[:-1]

    return products


def mirrored(sizes):
    return dense(*itertools.pairwise([*sizes, *sizes[-2::-1]]))


# ---- the kinds of workloads


@dataclass(frozen=True)
class Training:
    """A training step: take the rows, draw the noise, J and ∂J/∂θ, Adam."""

    name: str
    sizes: tuple[int, ...]
    batch: int
    J: Callable = plain
    kind: str = "UndercompleteAutoencoder"  # the class of minae's model
    options: dict[str, Any] = field(default_factory=dict)
    torch_noise: Callable | None = None  # PyTorch's own draw; the first steps are given minae's
    generic: dict[str, Callable] = field(default_factory=dict)  # label -> J by an automatic Jacobian
    variants: tuple[str, ...] = ()  # "plain": also minae's step of the plain network; "gradient": both without Adam
    products_of: Callable | None = None  # B -> products; by default those of the network
    first = 5  # steps whose costs are compared
    torch_forms = ("eager", "compiled", "graph")

    def small(self):
        """Its products are large enough to be tiled, so that the private BLAS is loaded and has its buffers."""
        return replace(self, name=f"{self.name}.small", sizes=tuple(min(size, 40) for size in self.sizes), batch=256)

    @property
    def products(self):
        return (self.products_of or mirrored(self.sizes))(self.batch)

    def model(self, backend: str | None = None, plain: bool = False) -> Model:
        if plain:
            options = {key: self.options[key] for key in ("tied", "loss", "code") if key in self.options}
            return minae.UndercompleteAutoencoder(self.sizes, seed=SEED, backend=backend, **options)
        return getattr(minae, self.kind)(self.sizes, seed=SEED, backend=backend, **self.options)

    def data(self, env: Env) -> Any:
        """The digits in the shape of the model's x."""
        X = env.X(self.sizes[0])
        return X.reshape(-1, *self.options["image"]) if "image" in self.options else X

    def prepare(self, env: Env) -> None:
        """minae's initial parameters, and its noise of the first steps."""
        model, indices = self.model(env.backend), env.batches(self.batch)
        to_numpy, arrays = model.backend.to_numpy, {}
        for k in range(self.first):
            x = model.backend.from_numpy(self.data(env)[next(indices)])
            noise = model.draw({"x": x}, SEED, "noise", 0, k)
            arrays |= {f"{key} {k}": to_numpy(value) for key, value in noise.items()}
        env.save(self.name, arrays | {key: to_numpy(model.parameters[key]) for key in model.parameters})

    def minae(self, env: Env, variant: str | None = None) -> Contestant:
        model = self.model(env.backend, plain=variant == "plain")
        optimizer, indices, count = Adam(lr=LR), env.batches(self.batch), itertools.count()
        batches = model.batches(model.backend.from_numpy(self.data(env)))

        def step():
            with model.arena:
                batch = batches.take(next(indices))
                cost = model.cost_and_grad(**batch, **model.draw(batch, SEED, "noise", 0, next(count)))
                if variant != "gradient":
                    optimizer.step(model.parameters)
            return cost

        return Contestant(step, lambda cost: [float(cost)], model.backend.synchronize)

    def torch(self, env: Env, form: str, variant: str | None = None) -> Contestant:
        from minae.bench import torch_side

        J, adam = self.generic.get(form, self.J), variant != "gradient"
        return torch_side.training(self, env, J, "eager" if form in self.generic else form, adam)

    def jax(self, env: Env, variant: str | None = None) -> Contestant:
        from minae.bench import jax_side

        return jax_side.training(self, env, variant != "gradient")


@dataclass(frozen=True)
class ConvolutionalTraining(Training):
    """A training step of the convolutional autoencoder; its products are those of all windows with W."""

    torch_forms = ("eager", "channels-last", "compiled", "graph")

    def small(self):
        return replace(self, name=f"{self.name}.small", batch=16)

    @property
    def products(self):
        B, m = self.batch, self.sizes[1]
        first, second, up, last = (196 * B, 9, 16), (49 * B, 144, 32), (49 * B, 32, 256), (196 * B, 16, 16)
        step = [(*first, 0), (*second, 1), (B, 1568, m, 2), (B, m, 1568, 3), (*up, 4), (*last, 5)]
        step = [("nn", *sizes) for sizes in step]
        for _, rows, k, n, layer in step[::-1]:
            step += [("tn", k, rows, n, layer), ("nt", rows, n, k, layer)]
        return step[:-1]


@dataclass(frozen=True)
class Adversarial(Training):
    """A step of a game: the three turns of an adversarial autoencoder on the same rows, each with an Adam of its own.
    Its costs are L, L_D and L_G."""

    kind: str = "AdversarialAutoencoder"
    hidden: int = 100  # units of the discriminator
    torch_forms = ("eager", "compiled")

    @property
    def products(self):
        B, m, k = self.batch, self.sizes[-1], self.hidden
        widths = [*self.sizes, *self.sizes[-2::-1]]
        f = [("nn", B, a, b, i) for i, (a, b) in enumerate(itertools.pairwise(self.sizes))]
        up = dense(*itertools.pairwise(self.sizes))(B)[len(f) :]  # f's gradient, from dh on
        d = dense((m, k), (k, 1))(B)
        through = [("nn", B, m, k, 0), ("nn", B, k, 1, 1), ("nt", B, 1, k, 1), ("nt", B, k, m, 0)]
        return dense(*itertools.pairwise(widths))(B) + f + 2 * d + f + through + up

    def minae(self, env: Env, variant: str | None = None) -> Contestant:
        model = self.model(env.backend)
        optimizers = {turn: Adam(lr=LR) for turn in model.turns}
        indices, count = env.batches(self.batch), itertools.count()
        batches = model.batches(model.backend.from_numpy(env.X(self.sizes[0])))
        moved = {
            turn: {name for net in nets for layer in model.nets[net].trained() for name in layer.names}
            for turn, nets in model.turns.items()
        }

        def step():
            costs = []
            with model.arena:
                batch = batches.take(next(indices))
                given = batch | model.draw(batch, SEED, "noise", 0, next(count))
                for turn, optimizer in optimizers.items():
                    with model.arena:
                        costs.append(model.cost_and_grad(**given, turn=turn))
                        optimizer.step(model.parameters, moved[turn])
            return costs

        return Contestant(step, lambda costs: [float(cost) for cost in costs], model.backend.synchronize)

    def torch(self, env: Env, form: str, variant: str | None = None) -> Contestant:
        from minae.bench import torch_side

        return torch_side.adversarial(self, env, form)

    def jax(self, env: Env, variant: str | None = None) -> Contestant:
        from minae.bench import jax_side

        return jax_side.adversarial(self, env)


@dataclass(frozen=True)
class Pretraining:
    """A whole greedy pretraining, one epoch a layer. Its costs are the layers' L, mean of the epoch."""

    name: str
    sizes: tuple[int, ...]
    batch: int
    rows: int
    first, generic, variants = 1, {}, ()
    torch_forms = ("eager", "compiled")

    def small(self):
        return replace(self, name=f"{self.name}.small", sizes=tuple(min(s, 40) for s in self.sizes), rows=self.batch)

    @property
    def products(self):
        step = []
        for n, m in itertools.pairwise(self.sizes):
            step += mirrored((n, m))(self.batch) * (self.rows // self.batch)
            step += [("nn", self.rows, n, m, 0)] if m != self.sizes[-1] else []  # what the next layer reads
        return step

    def prepare(self, env: Env) -> None:
        arrays = {}
        for k, sizes in enumerate(itertools.pairwise(self.sizes)):  # as minae.pretrain builds and trains its layers
            layer = minae.UndercompleteAutoencoder(sizes, seed=SEED + k, backend="numpy")
            arrays |= {f"{k} {key}": layer.parameters[key] for key in layer.parameters}
            arrays[f"{k} order"] = Backend().stream(SEED + k, "order", 0).permutation(self.rows)
        env.save(self.name, arrays)

    def minae(self, env: Env) -> Contestant:
        X = env.X(self.sizes[0])[: self.rows]

        def step():
            model = minae.UndercompleteAutoencoder(self.sizes, seed=SEED, backend=env.backend)
            return minae.pretrain(model, X, seed=SEED, epochs=1, batch_size=self.batch, progress=False)

        return Contestant(step, lambda histories: [history[-1]["L"] for history in histories])

    def torch(self, env: Env, form: str) -> Contestant:
        from minae.bench import torch_side

        return torch_side.pretraining(self, env, plain, form)

    def jax(self, env: Env) -> Contestant:
        from minae.bench import jax_side

        return jax_side.pretraining(self, env)


@dataclass(frozen=True)
class Layers:
    """Forward and backward through layers over sequences x (B, T, n), with J = ½/B ‖y − r‖². Its costs are J, and the
    norms of ∂J/∂x and ∂J/∂θ, so that both sides are seen to have the same gradient."""

    name: str
    layers: Callable  # of the width: minae's layers
    module: str  # of `torch_side` and of `jax_side`: the same in PyTorch and in JAX
    products_of: Callable  # of the workload; those of the heads, which are many and small, are left out
    width: int = 64
    steps: int = 32
    batch: int = 64
    first, generic, variants = 2, {}, ()
    torch_forms = ("eager", "compiled")

    def small(self):
        return replace(self, name=f"{self.name}.small", steps=7)

    @property
    def products(self):
        return self.products_of(self)

    def network(self, backend):
        network, arena = Network(self.layers(self.width)), Arena(get_backend(backend), "float32")
        parameters = Parameters(network.shapes(), arena)
        network.bind(parameters, network.state())
        network.initialize(np.random.default_rng(SEED))
        return network, parameters

    def prepare(self, env: Env) -> None:
        network, parameters = self.network("numpy")
        rng, shape = np.random.default_rng(SEED), (self.batch, self.steps, self.width)
        x = rng.standard_normal(shape, dtype=np.float32)
        r = rng.standard_normal(network.forward(x)[0].shape, dtype=np.float32)
        env.save(self.name, {"x": x, "r": r} | {f"theta {name}": parameters[name] for name in parameters})

    def minae(self, env: Env) -> Contestant:
        (network, parameters), data = self.network(env.backend), env.load(self.name)
        backend, arena = parameters.arena.backend, parameters.arena
        x, r, ws = backend.from_numpy(data["x"]), backend.from_numpy(data["r"]), arena.ws

        def step():
            with arena:
                y, caches = network.forward(x, Mode("train"))
                difference = ws.subtract(y, r)
                J = 0.5 / self.batch * products.dot(difference, difference)
                difference *= 1 / self.batch
                parameters.zero_grad()
                dx = network.backward(difference, caches)
            return J, dx

        def read(result):
            J, dx = result
            norms = [float((d * d).sum()) ** 0.5 for d in (dx, parameters.grad)]
            return [float(J), *norms]

        return Contestant(step, read, backend.synchronize)

    def torch(self, env: Env, form: str) -> Contestant:
        from minae.bench import torch_side

        return torch_side.layers(self, env, form)

    def jax(self, env: Env) -> Contestant:
        from minae.bench import jax_side

        return jax_side.layers(self, env)


@dataclass(frozen=True)
class Page:
    """J and ∂J/∂θ of a model that reads sequences, all of one length. Its costs are J and the norm of ∂J/∂θ."""

    name: str
    kind: str  # the class of minae's model
    options: dict[str, Any]
    inputs: Callable  # (rng, batch, steps) -> the arrays of a batch by the names of their fields
    module: str  # of `torch_side`: the same in PyTorch
    batch: int = 64
    steps: int = 32
    first, generic, variants, products = 1, {}, (), ()
    torch_forms = ("eager", "compiled")

    def small(self):
        return replace(self, name=f"{self.name}.small", batch=4)

    def model(self, backend: str | None = None) -> Model:
        return getattr(minae, self.kind)(seed=SEED, backend=backend, **self.options)

    def prepare(self, env: Env) -> None:
        model, given = self.model("numpy"), self.inputs(np.random.default_rng(SEED), self.batch, self.steps)
        env.save(self.name, given | {f"theta {name}": model.parameters[name] for name in model.parameters})

    def minae(self, env: Env) -> Contestant:
        model, data = self.model(env.backend), env.load(self.name)
        given = {key: array for key, array in data.items() if not key.startswith("theta ")}
        first, *others = given
        index = np.arange(len(given[first]))
        batches = model.batches(list(given[first]), None, {key: list(given[key]) for key in others})

        def step():
            with model.arena:
                return model.cost_and_grad(**batches.take(index))

        def read(cost):
            return [float(cost), float((model.parameters.grad**2).sum()) ** 0.5]

        return Contestant(step, read, model.backend.synchronize)

    def torch(self, env: Env, form: str) -> Contestant:
        from minae.bench import torch_side

        return torch_side.page(self, env, form)

    def jax(self, env: Env) -> Contestant:
        from minae.bench import jax_side

        return jax_side.page(self, env)


@dataclass(frozen=True)
class Inference:
    """The codes of whitened patches by FISTA, as many steps as it takes for a duality gap of 1e-4 in every row. Its
    cost is the mean E."""

    name: str
    size: int
    atoms: int
    patches: int
    steps: int = 0  # 0: counted by `prepare`
    lam: float = 0.5
    first, generic, variants = 1, {}, ()
    torch_forms = ("eager", "compiled", "graph")

    def small(self):
        return replace(self, name=f"{self.name}.small", atoms=5, patches=10, steps=3)

    @property
    def products(self):
        B, n, m = self.patches, self.size, self.atoms
        return [("nt", B, n, m, 0)] + self.steps * [("nn", B, m, m, 0)]

    def prepare(self, env: Env) -> None:
        rng, images, side = np.random.default_rng(SEED), env.X(784).reshape(-1, 28, 28) * 255, math.isqrt(self.size)
        X = patches(images, side, self.patches + self.atoms, rng, contrast=20)
        X = Whitening(X)(X).astype(np.float32)
        V, x = X[: self.atoms], X[self.atoms :]
        V = np.ascontiguousarray(V / np.linalg.norm(V, axis=1, keepdims=True))
        coding, steps = SparseCoding(V, lam=self.lam), [self.steps]
        if not self.steps:
            coding.fista(x, steps=2000, tolerance=1e-4, trace=lambda k, h: steps.append(k))
        env.save(self.name, {"V": V, "x": x, "lipschitz": coding.lipschitz, "steps": steps[-1]})

    def settled(self, env: Env) -> "Inference":
        """This workload with the number of steps that `prepare` counted."""
        return self if self.steps else replace(self, steps=int(env.load(self.name)["steps"]))

    def minae(self, env: Env) -> Contestant:
        data, backend = env.load(self.name), get_backend(env.backend)
        V, x = backend.from_numpy(data["V"]), backend.from_numpy(data["x"])
        coding, steps = SparseCoding(V, lam=self.lam), int(data["steps"])

        def read(h):
            return [float(coding.energy(h, x).mean())]

        return Contestant(lambda: coding.fista(x, steps=steps), read, backend.synchronize)

    def torch(self, env: Env, form: str) -> Contestant:
        from minae.bench import torch_side

        return torch_side.inference(self, env, form)


@dataclass(frozen=True)
class Search:
    """The k nearest of many 64-bit codes to a few queries. Its cost is the sum of their distances. In minae the search
    runs on the host."""

    name: str
    codes: int
    queries: int
    k: int
    first, generic, variants, products = 1, {}, (), ()
    torch_forms = ("lookup", "lookup compiled", "matmul")

    def small(self):
        return replace(self, name=f"{self.name}.small", codes=1000)

    def prepare(self, env: Env) -> None:
        rng = np.random.default_rng(SEED)
        codes, queries = (rng.integers(256, size=(rows, 8), dtype=np.uint8) for rows in (self.codes, self.queries))
        env.save(self.name, {"codes": codes, "queries": queries})

    def minae(self, env: Env) -> Contestant:
        data = env.load(self.name)
        codes, queries = data["codes"], data["queries"]

        def read(nearest):
            distances = [retrieval.hamming(codes[nearest[i]], queries[i : i + 1]) for i in range(len(queries))]
            return [float(np.sum(distances))]

        return Contestant(lambda: retrieval.nearest(codes, queries, self.k), read)

    def torch(self, env: Env, form: str) -> Contestant:
        from minae.bench import torch_side

        return torch_side.search(self, env, form)

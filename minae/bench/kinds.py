"""The kinds of workloads: a training step, a pretraining, an inference, a search; each in minae and in PyTorch.

A workload has a name, and for a `measure.Env`

    minae(env), torch(env, how)  a Contestant: a step to be timed and a way to read its costs
    products                     the matrix products of one step, (form, m, k, n, layer): (m, k) times (k, n); form says
                                 which factor is stored as its transpose: nn, tn or nt
    torch_hows                   PyTorch's forms that a practitioner would use: the best of them is the rival
    generic                      its forms by an automatic Jacobian, which stand apart: the rival only where faster
    small()                      the same in miniature: it loads the code of both sides before memory is looked at
"""

import itertools
import math
from dataclasses import dataclass, field, replace

LR, SEED = 1e-3, 0


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
    sizes: tuple
    batch: int
    J: object = plain
    variant: str = "UndercompleteAutoencoder"
    options: dict = field(default_factory=dict)
    own_noise: object = None  # PyTorch's own draw; the first steps are given minae's
    generic: dict = field(default_factory=dict)  # label -> J by an automatic Jacobian
    beside: tuple = ()  # "plain": also minae's plain step of the same network; "gradient": also both without Adam
    products_of: object = None  # B -> products; by default those of the network
    first = 5  # steps whose costs are compared
    torch_hows = ("eager", "compiled", "graph")

    def small(self):
        return replace(self, name=f"{self.name}.small", sizes=tuple(min(size, 40) for size in self.sizes), batch=4)

    @property
    def products(self):
        return (self.products_of or mirrored(self.sizes))(self.batch)

    def model(self, backend=None, plain=False):
        import minae

        options = {key: self.options[key] for key in ("tied", "loss", "code") if key in self.options}
        kind, options = ("UndercompleteAutoencoder", options) if plain else (self.variant, self.options)
        return getattr(minae, kind)(self.sizes, seed=SEED, backend=backend, **options)

    def prepare(self, env):
        """minae's initial parameters, and its noise of the first steps."""
        model, batches = self.model(env.backend), env.batches(self.batch)
        to_numpy, arrays = model.backend.to_numpy, {}
        for k in range(self.first):
            x = model.backend.from_numpy(env.X(self.sizes[0])[next(batches)])
            arrays |= {f"{key} {k}": to_numpy(value) for key, value in model.draw(x, SEED, 0, k).items()}
        env.save(self.name, arrays | {key: to_numpy(model.parameters[key]) for key in model.parameters})

    def minae(self, env, beside=None):
        from minae.bench.measure import Contestant
        from minae.data.rows import Rows
        from minae.optimizers import Adam

        model = self.model(env.backend, plain=beside == "plain")
        optimizer, batches, count = Adam(lr=LR), env.batches(self.batch), itertools.count()
        rows = Rows(model, model.backend.from_numpy(env.X(self.sizes[0])), "X")

        def step():
            with model.arena:
                x = rows.take(next(batches))
                cost = model.cost_and_grad(x, **model.draw(x, SEED, 0, next(count)))
                if beside != "gradient":
                    optimizer.step(model.parameters)
            return cost

        return Contestant(step, lambda cost: [float(cost)], model.backend.synchronize)

    def torch(self, env, how, beside=None):
        from minae.bench import rivals

        J = self.generic.get(how, self.J)
        return rivals.training(self, env, J, "eager" if how in self.generic else how, adam=beside != "gradient")


@dataclass(frozen=True)
class Pretraining:
    """A whole greedy pretraining, one epoch a layer. Its costs are the layers' L, mean of the epoch."""

    name: str
    sizes: tuple
    batch: int
    rows: int
    first, generic, beside = 1, {}, ()
    torch_hows = ("eager", "compiled")

    def small(self):
        return replace(self, name=f"{self.name}.small", sizes=tuple(min(s, 40) for s in self.sizes), rows=self.batch)

    @property
    def products(self):
        step = []
        for n, m in itertools.pairwise(self.sizes):
            step += mirrored((n, m))(self.batch) * (self.rows // self.batch)
            step += [("nn", self.rows, n, m, 0)] if m != self.sizes[-1] else []  # what the next layer reads
        return step

    def prepare(self, env):
        import minae
        from minae.backend import Backend

        arrays = {}
        for k, sizes in enumerate(itertools.pairwise(self.sizes)):  # as minae.pretrain builds and trains its layers
            layer = minae.UndercompleteAutoencoder(sizes, seed=SEED + k, backend="numpy")
            arrays |= {f"{k} {key}": layer.parameters[key] for key in layer.parameters}
            arrays[f"{k} order"] = Backend().generator(SEED + k, 0).permutation(self.rows)
        env.save(self.name, arrays)

    def minae(self, env):
        import minae
        from minae.bench.measure import Contestant

        X = env.X(self.sizes[0])[: self.rows]

        def step():
            model = minae.UndercompleteAutoencoder(self.sizes, seed=SEED, backend=env.backend)
            return minae.pretrain(model, X, seed=SEED, epochs=1, batch_size=self.batch, progress=False)

        return Contestant(step, lambda histories: [history[-1]["L"] for history in histories])

    def torch(self, env, how):
        from minae.bench import rivals

        return rivals.pretraining(self, env, plain, how)


@dataclass(frozen=True)
class Inference:
    """The codes of whitened patches by FISTA, as many steps as it takes for a duality gap of 1e-4 in every row. Its
    cost is the mean E."""

    name: str
    size: int
    atoms: int
    patches: int
    steps: int = 0  # 0: found by `prepare`
    lam: float = 0.5
    first, generic, beside = 1, {}, ()
    torch_hows = ("eager", "compiled", "graph")

    def small(self):
        return replace(self, name=f"{self.name}.small", atoms=5, patches=10, steps=3)

    @property
    def products(self):
        B, n, m = self.patches, self.size, self.atoms
        return [("nt", B, n, m, 0)] + self.steps * [("nn", B, m, m, 0)]

    def prepare(self, env):
        import numpy as np

        from minae.data.images import Whitening, patches
        from minae.inference import SparseCoding

        rng, images, side = np.random.default_rng(SEED), env.X(784).reshape(-1, 28, 28) * 255, math.isqrt(self.size)
        X = patches(images, side, self.patches + self.atoms, rng, contrast=20)
        X = Whitening(X)(X).astype(np.float32)
        V, x = X[: self.atoms], X[self.atoms :]
        V = np.ascontiguousarray(V / np.linalg.norm(V, axis=1, keepdims=True))
        coding, steps = SparseCoding(V, lam=self.lam), [self.steps]
        if not self.steps:
            coding.fista(x, steps=2000, tolerance=1e-4, trace=lambda k, h: steps.append(k))
        env.save(self.name, {"V": V, "x": x, "lipschitz": coding.lipschitz, "steps": steps[-1]})

    def found(self, env):
        """This workload with the number of steps that `prepare` found."""
        return self if self.steps else replace(self, steps=int(env.load(self.name)["steps"]))

    def minae(self, env):
        from minae.backend import get_backend
        from minae.bench.measure import Contestant
        from minae.inference import SparseCoding

        data, backend = env.load(self.name), get_backend(env.backend)
        V, x = backend.from_numpy(data["V"]), backend.from_numpy(data["x"])
        coding, steps = SparseCoding(V, lam=self.lam), int(data["steps"])

        def read(h):
            return [float(coding.energy(h, x).mean())]

        return Contestant(lambda: coding.fista(x, steps=steps), read, backend.synchronize)

    def torch(self, env, how):
        from minae.bench import rivals

        return rivals.inference(self, env, how)


@dataclass(frozen=True)
class Search:
    """The k nearest of many 64-bit codes to a few queries. Its cost is the sum of the distances found. In minae it runs
    on the host."""

    name: str
    codes: int
    queries: int
    k: int
    first, generic, beside, products = 1, {}, (), ()
    torch_hows = ("lookup", "lookup compiled", "matmul")

    def small(self):
        return replace(self, name=f"{self.name}.small", codes=1000)

    def prepare(self, env):
        import numpy as np

        rng = np.random.default_rng(SEED)
        codes, queries = (rng.integers(256, size=(rows, 8), dtype=np.uint8) for rows in (self.codes, self.queries))
        env.save(self.name, {"codes": codes, "queries": queries})

    def minae(self, env):
        import numpy as np

        from minae import retrieval
        from minae.bench.measure import Contestant

        data = env.load(self.name)
        codes, queries = data["codes"], data["queries"]

        def read(found):
            distances = [retrieval.hamming(codes[found[i]], queries[i : i + 1]) for i in range(len(queries))]
            return [float(np.sum(distances))]

        return Contestant(lambda: retrieval.nearest(codes, queries, self.k), read)

    def torch(self, env, how):
        from minae.bench import rivals

        return rivals.search(self, env, how)

import numpy as np

from minae.autoencoders.base import Autoencoder
from minae.backend import matmul, namespace
from minae.errors import InputError
from minae.inference import SparseCoding, shrink, shrink_backward
from minae.networks import Dense, Network
from minae.ops import affine, affine_backward


class Unrolled:
    r"""K steps of ISTA as a network:  h_1 = shrink(a, θ);  h_{k+1} = shrink(a + h_k S, θ),  a = x W + b.

    x (B, n), W (n, m), b (m,), S (m, m), θ (m,) ≥ 0 -> h_K (B, m).  The cache is x, h_1, …, h_K.  All steps share W, b,
    S and θ, so the backward pass adds K times to their gradients.
    """

    names = ("W1", "b1", "S1", "theta1")

    def __init__(self, n, m, steps):
        self.n, self.m, self.steps, self.layers = n, m, steps, [self]

    def shapes(self):
        return {"W1": (self.n, self.m), "b1": (self.m,), "S1": (self.m, self.m), "theta1": (self.m,)}

    def bind(self, parameters):
        self.arena = parameters.arena
        self.W, self.b, self.S, self.theta = (parameters[name] for name in self.names)
        self.dW, self.db, self.dS, self.dtheta = (parameters.gradient(name) for name in self.names)

    def initialize(self, rng):
        """`LISTA.imitate` does it."""

    def forward(self, x):
        empty = self.arena.empty
        a = affine(x, self.W, self.b, out=empty(len(x), self.m))
        cache = [x, shrink(a, self.theta, out=empty(*a.shape))]
        for _ in range(self.steps - 1):
            z = matmul(cache[-1], self.S, empty(*a.shape))
            z += a
            cache.append(shrink(z, self.theta, out=empty(*a.shape)))
        return cache[-1], cache

    def backward(self, dh, cache, need_dx=True, da=None):
        xp, empty, total = namespace(dh), self.arena.empty, None
        for k in reversed(range(1, self.steps + 1)):
            dz = shrink_backward(dh, cache[k], self.dtheta, out=empty(*dh.shape), work=empty(*dh.shape))
            total = dz if total is None else xp.add(total, dz, out=total)  # a is in every step
            if k > 1:
                self.dS.add_product(cache[k - 1].T, dz)
                dh = matmul(dz, self.S.T, empty(*dh.shape))
        dx = empty(*cache[0].shape) if need_dx else None
        return affine_backward(total, cache[0], self.W, self.dW, self.db, out=dx, need_dx=need_dx)

    def jacobian(self, x):
        """∂h_K/∂x for each example: (B, n) -> (B, m, n), by the lines of `backward` for every unit of h_K at once."""
        xp, (h, cache) = namespace(x), self.forward(x)
        J, total = xp.broadcast_to(xp.eye(self.m, dtype=h.dtype), (len(x), self.m, self.m)), 0.0
        for k in reversed(range(1, self.steps + 1)):
            Jz = J * abs(xp.sign(cache[k]))[:, None, :]
            total = total + Jz
            J = xp.matmul(Jz, self.S.T)
        return xp.matmul(total, self.W.T)


class LISTA(Autoencoder):
    r"""A learned encoder for sparse coding: K steps of ISTA with weights of their own.     (Gregor and LeCun 2010)

        J = ½ ‖h* − f(x)‖²,   f(x) = h_K of `Unrolled`,   h* = argmin_h ½ ‖x − h V − c‖² + λ |h|₁ by converged FISTA

    A model starts as K steps of ISTA from h_0 = 0, which W = Vᵀ/ℓ, b = −c Vᵀ/ℓ, S = I − V Vᵀ/ℓ and θ = λ/ℓ are, and
    learns to be nearer to h* after as many steps. `fit(X, y)` takes h* as y. V and c stay as they are given to
    `imitate`, as J does not depend on them: they are there for `decode`, and an optimizer with decay would spoil them.

    steps: K ≥ 1;  lam: λ > 0 of the sparse coding that is imitated
    The other arguments are those of `Autoencoder`, but for loss, tied, activation and code, which are settled.
    """

    variant = "lista"
    penalised = True
    supervised = True

    def __init__(self, sizes, *, steps=3, lam=0.5, **options):
        if steps < 1 or not 0 < lam < float("inf"):
            raise InputError(f"steps is {steps} and lam {lam!r}: expected steps ≥ 1 and a number λ > 0")
        settled = {"loss": "gaussian", "activation": "identity", "code": "identity", "tied": False}
        for name, value in settled.items():
            if options.setdefault(name, value) != value:
                raise InputError(f"{name} is {options[name]!r}: LISTA's form is settled, so leave it out")
        self.steps = int(steps)
        super().__init__(sizes, lam=lam, **options)
        if len(self.config["sizes"]) != 2:
            raise InputError(f"sizes is {sizes!r}: expected two widths, of x and of h; `steps` is the depth")
        self.weights = {"L": 1.0}
        self.config |= dict(steps=self.steps)
        V = self.parameters["V1"]
        self.imitate(V / namespace(V).sqrt((V * V).sum(axis=1, keepdims=True)))

    def encoder(self, sizes, activation, code):
        return Unrolled(sizes[0], sizes[-1], self.steps)

    def decoder(self, sizes, activation, tied):
        return Network([Dense("V1", "c1", sizes[-1], sizes[0], "identity")])

    def imitate(self, V, c=None):
        """Take a dictionary V (m, n), c (n,), such as another model's V1 and c1, and become K steps of ISTA on it."""
        own, backend = self.parameters, self.backend
        V, c = (W if W is None or backend.owns(W) else backend.from_numpy(np.asarray(W, self.dtype)) for W in (V, c))
        if V.shape != own["V1"].shape or (c is not None and c.shape != own["c1"].shape):
            raise InputError(f"V has shape {V.shape}: expected {own['V1'].shape}, and c {own['c1'].shape} or None")
        size = float(abs(V).sum()) + (0.0 if c is None else float(abs(c).sum()))
        if not 0 < size < float("inf"):
            raise InputError("V is 0 everywhere, or V or c has NaN or infinite values: give a dictionary")
        own["V1"][...], own["c1"][...] = V, 0.0 if c is None else c
        coding = SparseCoding(own["V1"], lam=self.config["lam"])
        own["W1"][...] = own["V1"].T / coding.lipschitz
        own["b1"][...] = -(own["c1"] @ own["W1"])
        own["S1"][...] = coding.S
        own["theta1"][...] = coding.lam / coding.lipschitz

    def constrain(self):
        """θ ≥ 0: a threshold that a step took below 0 is reflected."""
        theta = self.parameters["theta1"]
        namespace(theta).abs(theta, out=theta)

    def targets(self, y, rows):
        """h*, (rows, m), as numbers of the model's dtype."""
        if y is None:
            raise InputError("y is missing: LISTA learns from X and its sparse codes h*; a validation set is (X, h*)")
        y = self.backend.to_numpy(y) if self.backend.owns(y) else np.asarray(y)
        if y.shape != (rows, self.config["sizes"][-1]) or y.dtype.kind not in "fiub":
            raise InputError(f"y is {y.dtype} {y.shape}: expected a code ({rows}, {self.config['sizes'][-1]})")
        return y.astype(self.dtype, copy=False)

    def cost_and_grad(self, x, y, need_grad=True):
        """J and its terms at the rows of x, (B, n), with y = h* (B, m); ∂J/∂θ goes to `parameters.grad`."""
        x = self.start(x)
        y = self.argument(y, "y", (x.shape[0], self.config["sizes"][-1]))
        h, f_cache = self.f.forward(x)  # h = h_K                      (B, m)
        L, dh = self.loss(h, y, self.weights["L"])  # L = ½ ‖h* − h‖², and dh = ∂J/∂h
        cost = self.cost(L=L)
        if not need_grad:
            return cost

        # the same lines, upward
        self.parameters.zero_grad()
        self.f.backward(dh, f_cache, need_dx=False)
        return cost

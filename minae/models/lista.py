from typing import Any

import numpy as np

from minae import kernels
from minae.backend import namespace
from minae.errors import InputError
from minae.fields import Code, Real, host_array
from minae.inference import SparseCoding
from minae.layers import EVAL, Activation, Affine, Layer
from minae.losses import Gaussian
from minae.models.model import Cost, Model
from minae.networks import Network
from minae.ops import affine, affine_backward
from minae.options import Count, Positive, Sizes
from minae.parameters import Parameters


class Unrolled(Layer):
    r"""K steps of ISTA as a layer:  h_1 = shrink(a, κ);  h_{k+1} = shrink(a + h_k S, κ),  a = x W + b.

    x (B, n), W (n, m), b (m,), S (m, m), κ (m,) ≥ 0 -> h_K (B, m).  The cache is x, h_1, …, h_K.

    Derivation: let z_k be the argument of the k-th shrink, so that z_{k+1} = a + h_k S. All steps read the same a, S
    and κ, so their gradients are sums over the steps; h_k is read by the next step alone.
        dz_k = shrink'(z_k) dh_k,    dh_{k−1} = dz_k Sᵀ
        dS   = Σ_{k≥2} h_{k−1}ᵀ dz_k,    da = Σ_k dz_k,    dκ_j = −Σ_k Σ_b dh_k,bj sign(h_k,bj)
    and a = x W + b passes da on to W, b and x, as in `ops.affine`.
    """

    names = ("W1", "b1", "S1", "kappa1")

    def __init__(self, n: int, m: int, steps: int):
        self.n, self.m, self.steps = n, m, steps

    def shapes(self) -> dict[str, Any]:
        return {"W1": (self.n, self.m), "b1": (self.m,), "S1": (self.m, self.m), "kappa1": (self.m,)}

    def bind(self, parameters: Parameters, state: dict[str, Any]) -> None:
        super().bind(parameters, state)
        self.W, self.b, self.S, self.kappa = (parameters[name] for name in self.names)
        self.dW, self.db, self.dS, self.dkappa = (parameters.gradient(name) for name in self.names)

    def forward(self, x: Any, mode: Any = EVAL) -> tuple[Any, Any]:
        empty, shrink, matmul = self.arena.empty, kernels.shrinkage.shrink, kernels.products.matmul
        a = affine(x, self.W, self.b, out=empty(len(x), self.m))
        cache = [x, shrink(a, self.kappa, out=empty(*a.shape))]
        for _ in range(self.steps - 1):
            z = matmul(cache[-1], self.S, empty(*a.shape))  # h_k S
            z += a
            cache.append(shrink(z, self.kappa, out=empty(*a.shape)))
        return cache[-1], cache

    def backward(self, dh: Any, cache: Any, need_dx: bool = True, need_dW: bool = True) -> Any:
        empty, da = self.arena.empty, None
        dW, db, dkappa = (self.dW, self.db, self.dkappa) if need_dW else (None, None, None)
        for k in reversed(range(1, self.steps + 1)):
            out, work = empty(*dh.shape), empty(*dh.shape)
            dz = kernels.shrinkage.shrink_backward(dh, cache[k], dkappa, out=out, work=work)
            da = dz if da is None else namespace(dh).add(da, dz, out=da)
            if k > 1:
                if need_dW:
                    self.dS.add_product(cache[k - 1].T, dz)
                dh = kernels.products.matmul(dz, self.S.T, empty(*dh.shape))
        dx = empty(*cache[0].shape) if need_dx else None
        return affine_backward(da, cache[0], self.W, dW, db, out=dx, need_dx=need_dx)

    def chain(self, Jh: Any, cache: Any) -> Any:
        """∂h_K/∂x, by the lines of `backward` for every unit of h_K at once."""
        xp, Ja = namespace(Jh), 0.0
        for k in reversed(range(1, self.steps + 1)):
            Jz = Jh * abs(xp.sign(cache[k]))[:, None, :]
            Ja = Ja + Jz
            Jh = xp.matmul(Jz, self.S.T)
        return xp.matmul(Ja, self.W.T)


class LISTA(Model):
    r"""A learned encoder for sparse coding: K steps of ISTA with weights of their own.     (Gregor and LeCun 2010)

        J = ½ ‖h* − f(x)‖²,   f(x) = h_K of `Unrolled`,   h* = argmin_h ½ ‖x − h V − c‖² + λ |h|₁ by converged FISTA

    A model starts as K steps of ISTA from h_0 = 0, which W = Vᵀ/ℓ, b = −c Vᵀ/ℓ, S = I − V Vᵀ/ℓ and κ = λ/ℓ are, and
    learns to be nearer to h* after as many steps. `fit(X, y)` takes h* as y. V and c stay as they are given to
    `imitate`, as J does not depend on them: they are there for `decode`, and an optimizer with decay would spoil them.

    Derivation: h* is given, so J is a squared error of f(x), whose gradient goes up through the steps (`Unrolled`).
        dh_K = 1/B (h_K − h*)
    """

    name = "lista"
    section = "14.8"
    sizes = Sizes("widths of x and of h", most=2, example=(7, 9))
    steps = Count(3, "K: the steps of ISTA that are unrolled")
    lam = Positive(0.5, "λ of the sparse coding that is imitated")
    constrained = True
    cases = {
        "steps: 1": dict(steps=1, lam=0.1),
        "steps: 3": dict(steps=3, lam=0.1),
    }

    def inputs(self) -> dict[str, Any]:
        n, m = self.sizes
        return {"x": Real(n), "y": Code(m)}

    def networks(self) -> dict[str, Any]:
        n, m = self.sizes
        return {
            "f": Network([Unrolled(n, m, self.steps)]),
            "g": Network([Affine("V1", "c1", m, n), Activation("identity")]),
        }

    def build(self) -> None:
        self.loss = Gaussian(self.arena, self.weights)

    def initialize(self, rng: np.random.Generator) -> None:
        V = self.parameters["V1"]
        self.imitate(V / namespace(V).sqrt((V * V).sum(axis=1, keepdims=True)))

    def imitate(self, V: Any, c: Any = None) -> None:
        """Take a dictionary V (m, n), c (n,), such as another model's V1 and c1, and become K steps of ISTA on it."""
        own, backend = self.parameters, self.backend
        V, c = (W if W is None or backend.owns(W) else self._on_device(W) for W in (V, c))
        if V is None:
            raise InputError(f"V is None: expected a dictionary {own['V1'].shape}")
        if V.shape != own["V1"].shape or (c is not None and c.shape != own["c1"].shape):
            raise InputError(f"V has shape {V.shape}: expected {own['V1'].shape}, and c {own['c1'].shape} or None")
        size = float(abs(V).sum()) + (0.0 if c is None else float(abs(c).sum()))
        if not 0 < size < float("inf"):
            raise InputError("V is 0 everywhere, or V or c has NaN or infinite values: give a dictionary")
        own["V1"][...] = V
        own["c1"][...] = 0.0 if c is None else c
        coding = SparseCoding(own["V1"], lam=self.lam)
        own["W1"][...] = own["V1"].T / coding.lipschitz
        own["b1"][...] = -(own["c1"] @ own["W1"])
        own["S1"][...] = coding.S
        own["kappa1"][...] = coding.lam / coding.lipschitz

    def _on_device(self, W):
        W = host_array(W, "V or c")
        if W.dtype.kind not in "fiu":
            raise InputError(f"V or c has dtype {W.dtype}: expected real numbers")
        return self.backend.from_numpy(W.astype(self.dtype))

    def project(self) -> None:
        """κ ≥ 0: a threshold that a step took below 0 is reflected."""
        kappa = self.parameters["kappa1"]
        namespace(kappa).abs(kappa, out=kappa)

    def cost_and_grad(self, x: Any, y: Any, mode: Any = "train", need_grad: bool = True) -> Cost:
        """J and its terms at the rows of x, (B, n), with y = h* (B, m); ∂J/∂θ goes to `parameters.grad`."""
        h, f_cache = self.f.forward(x, mode)  # h = h_K                      (B, m)
        L, dh = self.loss(h, y)  # L = ½ ‖h* − h‖², and dh = ∂J/∂h
        cost = self.cost(L=L)
        if not need_grad:
            return cost

        # the same lines, upward
        self.f.backward(dh, f_cache, need_dx=False)
        return cost

    def encode(self, X: Any) -> Any:
        """h_K:  (rows, n) -> (rows, m)."""
        return self.apply(lambda x, start: self.f.forward(x)[0], X)

    def decode(self, H: Any) -> Any:
        """h V + c:  (rows, m) -> (rows, n)."""
        return self.apply(lambda h, start: self.g.forward(h)[0], H, Code(self.sizes[1]), "H")

    def reconstruct(self, X: Any) -> Any:
        """h_K V + c:  (rows, n) -> (rows, n)."""
        return self.apply(lambda x, start: self.g.forward(self.f.forward(x)[0])[0], X)

    def jacobian(self, X: Any) -> Any:
        """∂h_K/∂x at each row:  (rows, n) -> (rows, m, n)."""
        return self.apply(lambda x, start: self.f.jacobian(x), X, batch_size=100)

"""f and g as ordered layers: forward → (y, cache), backward(dy, cache) → dx, jacobian(x) → ∂y/∂x."""

import math

from minae.backend import namespace
from minae.errors import InputError
from minae.inference import shrink, shrink_backward
from minae.ops import ACTIVATIONS, affine, affine_backward


class Dense:
    """h = φ(x W + b).     x (B, n), W (n, m), b (m,) -> h (B, m)

    W, b: names of the parameters. `transposed=True` reads the parameter W, of shape (m, n), as its transpose: the
    decoder's V = Wᵀ, tied for real, since both layers read one array and both gradients are added into one.
    """

    def __init__(self, W, b, n, m, activation, transposed=False):
        if activation not in ACTIVATIONS:
            raise InputError(f"unknown activation {activation!r}: choose one of {', '.join(ACTIVATIONS)}")
        self.names, self.n, self.m, self.activation, self.transposed = (W, b), n, m, activation, transposed
        self.phi, _, self.phi_second = ACTIVATIONS[activation]

    def shapes(self):
        W, b = self.names
        return {W: (self.m, self.n) if self.transposed else (self.n, self.m), b: (self.m,)}

    def bind(self, parameters):
        (W, b), self.arena = self.names, parameters.arena
        self.W, self.b = parameters[W], parameters[b]
        self.dW, self.db = parameters.gradient(W), parameters.gradient(b)
        if self.transposed:
            self.W, self.dW = self.W.T, self.dW.T

    def initialize(self, rng):
        """W uniform with the variance that keeps the signal's size: 2/(n+m) (Glorot and Bengio 2010), for ReLU 2/n
        (He et al. 2015); b = 0. A tied layer leaves W to its owner."""
        if not self.transposed:
            variance = 2 / self.n if self.activation == "relu" else 2 / (self.n + self.m)
            limit = math.sqrt(3 * variance)
            rows = max(1, (1 << 16) // self.m)  # a few at a time: what is freed here, the C library may keep
            for i in range(0, self.n, rows):
                W = rng.uniform(-limit, limit, (min(rows, self.n - i), self.m)).astype(self.arena.dtype)
                self.W[i : i + rows] = self.arena.backend.from_numpy(W)
        self.b[...] = 0

    def forward(self, x):
        a = affine(x, self.W, self.b, out=self.arena.empty(x.shape[0], self.m))
        return self.phi(a, out=a)

    def phi_prime(self, h, out=None):
        """φ'(a), of h's shape."""
        from minae.kernels import slopes

        return slopes.prime(h, self.activation, namespace(h).empty_like(h) if out is None else out)

    def chain(self, J, h):
        """J ∂h/∂x, with ∂h/∂x = diag φ'(a) Wᵀ."""
        return namespace(J).matmul(J * self.phi_prime(h)[:, None, :], self.W.T)

    def backward(self, dh, x, h, need_dx=True, da=None):
        """`da`: what reaches a by another way than h, as from a penalty on φ'(a); it is overwritten."""
        from minae.kernels import slopes

        da = slopes.backward(dh, h, self.activation, out=self.arena.empty(*h.shape), da=da)  # dh φ'(a), and da
        dx = self.arena.empty(*x.shape) if need_dx else None
        return affine_backward(da, x, self.W, self.dW, self.db, out=dx, need_dx=need_dx)


class Gain:
    """h = G ⊙ x, a factor for each unit.     x (B, m), G (m,) -> h (B, m)

    It lets tanh, confined to (−1, 1), propose codes of any size (Kavukcuoglu et al. 2008).  G: name of the parameter.
    """

    def __init__(self, G, m):
        self.names, self.m = (G,), m

    def shapes(self):
        return {self.names[0]: (self.m,)}

    def bind(self, parameters):
        self.arena = parameters.arena
        self.G, self.dG = parameters[self.names[0]], parameters.gradient(self.names[0])

    def initialize(self, rng):
        self.G[...] = 1

    def forward(self, x):
        return namespace(x).multiply(x, self.G, out=self.arena.empty(*x.shape))

    def chain(self, J, h):
        """J ∂h/∂x, with ∂h/∂x = diag G."""
        return J * self.G

    def backward(self, dh, x, h, need_dx=True, da=None):
        """dG += Σ_rows dh ⊙ x;  dx = dh ⊙ G"""
        product = namespace(x).multiply(dh, x, out=self.arena.empty(*x.shape))
        self.dG.add_sum(product)
        return namespace(x).multiply(dh, self.G, out=product) if need_dx else None


class Shrink:
    """h = shrink(a, θ) = sign(a) max(|a| − θ, 0), a threshold for each unit.     a (B, m), θ (m,) ≥ 0 -> h (B, m)

    A step of sparse inference ends with it, see `minae.inference`.  theta: name of the parameter.
    """

    def __init__(self, theta, m):
        self.names, self.m = (theta,), m

    def shapes(self):
        return {self.names[0]: (self.m,)}

    def bind(self, parameters):
        self.arena = parameters.arena
        self.theta, self.dtheta = parameters[self.names[0]], parameters.gradient(self.names[0])

    def initialize(self, rng):
        self.theta[...] = 0.1

    def forward(self, a):
        return shrink(a, self.theta, out=self.arena.empty(*a.shape))

    def chain(self, J, h):
        """J ∂h/∂a, with ∂h/∂a = diag [h ≠ 0]."""
        return J * abs(namespace(h).sign(h))[:, None, :]

    def backward(self, dh, a, h, need_dx=True, da=None):
        return shrink_backward(dh, h, self.dtheta, self.arena.empty(*h.shape), work=self.arena.empty(*h.shape))


class Network:
    """Layers one after the other. The cache is the list of what went between them: x, h¹, …, y."""

    def __init__(self, layers):
        self.layers = list(layers)

    def shapes(self):
        return {name: shape for layer in self.layers for name, shape in layer.shapes().items()}

    def bind(self, parameters):
        for layer in self.layers:
            layer.bind(parameters)

    def initialize(self, rng):
        for layer in self.layers:
            layer.initialize(rng)

    def forward(self, x):
        cache = [x]
        for layer in self.layers:
            cache.append(layer.forward(cache[-1]))
        return cache[-1], cache

    def backward(self, dy, cache, need_dx=True, da=None):
        """Adds to the gradients of all parameters; returns ∂J/∂x, or None where it is not needed.

        da: for each layer, a gradient that joins at its a = x W + b.
        """
        for k in reversed(range(len(self.layers))):
            joins = None if da is None else da[k]
            dy = self.layers[k].backward(dy, cache[k], cache[k + 1], need_dx=need_dx or k > 0, da=joins)
        return dy

    def jacobian(self, x):
        """∂y/∂x for each example: (B, n) -> (B, m, n).

        y = φ(W₂ᵀφ(W₁ᵀx)) gives ∂y/∂x = diag φ'(a₂) W₂ᵀ diag φ'(a₁) W₁ᵀ, multiplied here from the left.
        """
        y, cache = self.forward(x)
        xp = namespace(x)
        J = xp.broadcast_to(xp.eye(y.shape[1], dtype=y.dtype), (*y.shape, y.shape[1]))
        for layer, h in zip(reversed(self.layers), reversed(cache), strict=False):
            J = layer.chain(J, h)
        return J

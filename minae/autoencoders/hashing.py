from minae import ops
from minae.autoencoders.base import Autoencoder
from minae.backend import namespace, standard_normal
from minae.errors import InputError
from minae.retrieval import pack


class SemanticHashingAutoencoder(Autoencoder):
    r"""An autoencoder whose code is a hash.     J = L(x, g(h))     (section 14.9; Salakhutdinov and Hinton 2009)

        a = f(x)                  logits of the code, so f ends without an activation
        h = σ(a + level · eps)    eps ~ N(0, I), drawn outside
        L = −log p(x | h)         by `loss`, see minae.losses

    Between 0 and 1 the noise decides what h is, and g cannot read it; only a logit that is large beside the noise gets
    its bit through. So training drives the logits apart until h is nearly 0 or 1, with or without noise, and the bit
    [a > 0] tells as much as h does.

    level: standard deviation > 0 of the noise on the logits, the same throughout training
    The other arguments are those of `Autoencoder`; the code is a sigmoid.
    `encode` and `reconstruct` take h = σ(a), without noise; `decode` takes any h in [0, 1], so also bits.
    """

    variant = "hashing"

    def __init__(self, sizes, *, level=4.0, code="sigmoid", **options):
        if not 0 < level < float("inf"):
            raise InputError(f"level is {level}: the noise on the logits takes a standard deviation > 0")
        if code != "sigmoid":
            raise InputError(f"code is {code!r}: the noise drives a sigmoid to 0 or 1, so leave it out")
        super().__init__(sizes, code="identity", **options)  # f gives a; σ is applied here
        self.config |= dict(code=code, level=float(level))

    def noise(self, x, rng):
        return {"eps": standard_normal(rng, out=self.arena.empty(x.shape[0], self.config["sizes"][-1]))}

    def code(self, x):
        """h = σ(a), the code without noise: in (0, 1), and after training near its ends."""
        return ops.sigmoid(self.f.forward(x)[0])

    def hash(self, X):
        """The bits [a > 0], packed as `minae.retrieval.pack` does:  (rows, n) -> uint8 (rows, ⌈m/8⌉), on the host."""
        a = self._map(X, "X", 0, lambda x: self.f.forward(x)[0])
        return pack((self.backend.to_numpy(a) if self.backend.owns(a) else a) > 0)

    def jacobian(self, X):
        """Jf = ∂h/∂x = diag(h (1 − h)) ∂a/∂x, of the code without noise:  (rows, n) -> (rows, m, n)."""
        h = self.encode(X)
        return (h * (1 - h))[:, :, None] * super().jacobian(X)

    def cost_and_grad(self, x, eps, need_grad=True):
        """J and its terms at the rows of x, with eps (B, m); ∂J/∂θ goes to `parameters.grad`."""
        x, level = self.start(x), self.config["level"]
        eps = self.argument(eps, "eps", (x.shape[0], self.config["sizes"][-1]))
        a, f_cache = self.f.forward(x)  # a = f(x)                     (B, m)
        h = namespace(x).multiply(eps, level, out=self.arena.empty(*a.shape))
        h += a
        ops.sigmoid(h, out=h)  # h = σ(a + level ε)         (B, m)
        s, g_cache = self.g.forward(h)  # r = g(h), as logits s        (B, n)
        L, ds = self.loss(s, x, self.weights["L"])  # L = −log p(x | h), and ds = ∂J/∂s
        cost = self.cost(L=L)
        if not need_grad:
            return cost

        # the same lines, upward
        self.parameters.zero_grad()
        dh = self.g.backward(ds, g_cache)
        # ε does not depend on θ: ∂h/∂a = σ'(a + level ε) = h (1 − h)
        da = ops.sigmoid_backward(dh, h, out=self.arena.empty(*h.shape))
        self.f.backward(da, f_cache, need_dx=False)
        return cost

from minae.autoencoders.base import Autoencoder, whole
from minae.errors import InputError
from minae.kept import FromKept, IntoKept, keep, keep_backward
from minae.ops import top_k


class KSparseAutoencoder(Autoencoder):
    r"""The k-sparse autoencoder.     J = L(x, g(h_Γ)),  h = f(x)     (14.1; Makhzani and Frey 2013)

        Γ   = the k largest units of h, example by example
        h_Γ = h on Γ and 0 elsewhere

    Sparse by construction, so there is no penalty and no λ. At fixed Γ this is an ordinary network and its gradient is
    exact; where Γ changes, at a tie between the k-th and the next unit, r and with it J jump, and no gradient knows of
    it. What is computed is the gradient of J with Γ held: `cost_and_grad` takes Γ as its argument `mask`, and drawn
    afresh it is that of h. Where k is small beside m, all but h = f(x) costs in proportion to k: see `minae.kept`.

    k: units kept, 1 ≤ k ≤ code size; the first by index at a tie. `encode` keeps the k largest too, or another k.
    The other arguments are those of `Autoencoder`; the code is linear by default, as in the paper, or ReLU.
    """

    variant = "k_sparse"

    def __init__(self, sizes, *, k, code="identity", **options):
        super().__init__(sizes, code=code, **options)
        self.k = self._checked(k)
        self.config |= dict(k=self.k)

    def _checked(self, k):
        k = whole(k, "k", 1)
        if k > self.config["sizes"][-1]:
            raise InputError(f"k is {k} and the code has {self.config['sizes'][-1]} units: expected 1 ≤ k ≤ code size")
        return k

    def encoder(self, sizes, activation, code):
        """f, its last layer one that knows Γ and has W by columns."""
        f = super().encoder(sizes, activation, code)
        last = f.layers[-1]
        f.layers[-1] = IntoKept(*last.names, last.n, last.m, last.activation)
        self.columns = last.names[:1]
        return f

    def decoder(self, sizes, activation, tied):
        """g, its first layer one that knows Γ."""
        g = super().decoder(sizes, activation, tied)
        first = g.layers[0]
        g.layers[0] = FromKept(*first.names, first.n, first.m, first.activation, transposed=tied)
        return g

    def code(self, x):
        """h_Γ"""
        return top_k(self.f.forward(x)[0], self.k)[0]

    def encode(self, X, k=None):
        """h_Γ, with the k largest units kept: another k than in training, if given (the paper keeps more)."""
        former, self.k = self.k, self.k if k is None else self._checked(k)
        try:
            return super().encode(X)
        finally:
            self.k = former

    def jacobian(self, X):
        """Jf = ∂h_Γ/∂x, the rows of ∂h/∂x outside Γ being 0:  (rows, n) -> (rows, m, n)."""
        return (self.encode(X) != 0)[:, :, None] * super().jacobian(X)

    def cost_and_grad(self, x, mask=None, need_grad=True):
        """J and its terms at the rows of x, (B, n); mask: Γ held fixed, (B, m) of 0 and 1; without it Γ is that of h.
        ∂J/∂θ goes to `parameters.grad`."""
        x, m = self.start(x), self.config["sizes"][-1]
        mask = mask if mask is None else self.argument(mask, "mask", (x.shape[0], m))
        h, f_cache = self.f.forward(x)  # h = f(x)                     (B, m)
        h_k, mask = keep(h, self.k, mask, self.arena)  # h_Γ, and Γ     (B, m)
        s, g_cache = self.g.forward(h_k)  # r = g(h_Γ), as logits s      (B, n)
        L, ds = self.loss(s, x, self.weights["L"])  # L = −log p(x | h), and ds = ∂J/∂s
        cost = self.cost(L=L)
        if not need_grad:
            return cost

        # the same lines, upward
        self.parameters.zero_grad()
        dh_k = self.g.backward(ds, g_cache)
        dh = keep_backward(dh_k, mask)
        self.f.backward(dh, f_cache, need_dx=False)
        return cost

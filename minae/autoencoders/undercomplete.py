from minae.autoencoders.base import Autoencoder
from minae.penalties import WeightDecay


class UndercompleteAutoencoder(Autoencoder):
    r"""The undercomplete autoencoder.     J = L(x, g(f(x)))     (14.1, 14.8)

        h = f(x)                  code, narrower than x
        r = g(h)                  reconstruction, held as the logits s
        L = −log p(x | h)         by `loss`, see minae.losses

    What keeps r from being a copy of x is the width of h alone. With linear f and g and squared error, h spans the
    principal subspace of the data (Baldi and Hornik 1989).

    lam: weight λ ≥ 0 of weight decay, Ω = ½ Σ ‖W‖² (7.1.1; the book's α is our λ); at 0 the cost has no term Omega.
    The other arguments are those of `Autoencoder`.
    """

    variant = "undercomplete"
    penalised = True

    def __init__(self, sizes, *, lam=0.0, **options):
        super().__init__(sizes, lam=lam, **options)
        self.warn_of_a_copy()
        self.penalty = WeightDecay(self.parameters)

    def cost_and_grad(self, x, need_grad=True):
        """J and its terms at the rows of x, (B, n); ∂J/∂θ goes to `parameters.grad`."""
        x, weights = self.start(x), self.weights
        h, f_cache = self.f.forward(x)  # h = f(x)                     (B, m)
        s, g_cache = self.g.forward(h)  # r = g(h), as logits s        (B, n)
        L, ds = self.loss(s, x, weights["L"])  # L = −log p(x | h), and ds = ∂J/∂s
        cost = self.cost(L=L)
        if "Omega" in weights:
            cost["Omega"] = self.penalty.value()  # Ω = ½ Σ ‖W‖²
        if not need_grad:
            return cost

        # the same lines, upward
        self.parameters.zero_grad()
        if "Omega" in weights:
            self.penalty.backward(weights["Omega"])  # dW += λ W
        dh = self.g.backward(ds, g_cache)
        self.f.backward(dh, f_cache, need_dx=False)
        return cost

from minae.autoencoders.base import Autoencoder, whole
from minae.backend import standard_normal
from minae.errors import InputError
from minae.penalties import Contraction, ContractionChange


class HigherOrderContractiveAutoencoder(Autoencoder):
    r"""The contractive autoencoder with the Hessian term, CAE+H.     (Rifai et al. 2011b)

        J = L(x, g(f(x))) + λ ‖Jf(x)‖²_F + γ E_ε ‖Jf(x) − Jf(x + ε)‖²_F,     ε ~ N(0, σ² I)     (14.18 and one term)

    The last term is the size of the second derivatives of f, by differences of the first: a code whose Jacobian stays
    the same nearby follows a manifold without sharp bends. The mean over ε is taken over `draws` points x + ε.

    lam, gamma: weights λ and γ ≥ 0;  sigma: σ > 0;  draws: points x + ε an example
    The other arguments are those of `Autoencoder`; tied by default, as for `ContractiveAutoencoder`.
    """

    variant = "contractive_h"
    penalised = True

    def __init__(self, sizes, *, lam=0.1, gamma=0.1, sigma=0.1, draws=1, tied=True, **options):
        if not (0 <= gamma < float("inf") and 0 < sigma < float("inf")):
            raise InputError(f"gamma is {gamma} and sigma {sigma}: expected γ ≥ 0 and σ > 0")
        draws = whole(draws, "draws", 1)
        super().__init__(sizes, lam=lam, tied=tied, **options)
        self.penalty, self.change = Contraction(self.f, self.arena), ContractionChange(self.f, self.arena)
        if not gamma:
            self.warn_of_a_copy()
        self.weights["H"] = float(gamma)
        self.config |= dict(gamma=float(gamma), sigma=float(sigma), draws=draws)

    def noise(self, x, rng):
        """x_near = x + ε, (draws, B, n)."""
        x_near = standard_normal(rng, out=self.arena.empty(self.config["draws"], *x.shape))
        x_near *= self.config["sigma"]
        x_near += x
        return {"x_near": x_near}

    def cost_and_grad(self, x, x_near, need_grad=True):
        """J and its terms at the rows of x, (B, n), with x_near (draws, B, n); ∂J/∂θ goes to `parameters.grad`."""
        x, weights, K = self.start(x), self.weights, self.config["draws"]
        x_near = self.argument(x_near, "x_near", (K, *x.shape))
        h, f_cache = self.f.forward(x)  # h = f(x)                     (B, m)
        s, g_cache = self.g.forward(h)  # r = g(h), as logits s        (B, n)
        near = [self.f.forward(x_near[k])[1] for k in range(K)]
        L, ds = self.loss(s, x, weights["L"])  # L = −log p(x | h), and ds = ∂J/∂s
        cost = self.cost(L=L)
        if "Omega" in weights:
            cost["Omega"], kept = self.penalty.value(f_cache, None, need_grad)  # ‖Jf(x)‖²
        changes = [self.change.value(f_cache, cache, need_grad) for cache in near]  # ‖Jf(x) − Jf(x + ε)‖²
        cost["H"] = sum(value for value, _ in changes) / K
        if not need_grad:
            return cost

        # the same lines, upward: H reaches f twice, at x and at x + ε, and only through φ' and W
        self.parameters.zero_grad()
        joins, nothing = [], self.arena.empty(*h.shape)
        nothing[...] = 0
        for cache, (_, change) in zip(near, changes, strict=True):
            da, da_near = self.change.backward(f_cache, cache, change, weights["H"] / K)
            self.f.backward(nothing, cache, need_dx=False, da=da_near)
            joins.append(da)
        if "Omega" in weights:
            joins.append(self.penalty.backward(f_cache, kept, weights["Omega"]))
        dh = self.g.backward(ds, g_cache)
        self.f.backward(dh, f_cache, need_dx=False, da=[add_up(das) for das in zip(*joins, strict=True)])
        return cost


def add_up(arrays):
    """Their sum, in the place of the first."""
    total, *others = arrays
    for array in others:
        total += array
    return total

from minae.autoencoders.base import Autoencoder, whole
from minae.backend import standard_normal
from minae.penalties import Contraction


class ContractiveAutoencoder(Autoencoder):
    r"""The contractive autoencoder.     J = L(x, g(f(x))) + λ Ω     (14.10)

        Ω = ‖∂f(x)/∂x‖²_F       mean over the batch     (14.18; Rifai et al. 2011)

    Exact for one layer in closed form, and exact for a deep encoder of any of our activations; with `probes`, an
    estimate by random projections of the Jacobian for codes that are large. With V free, f could shrink by a factor
    that g undoes, which lowers Ω and contracts nothing (end of 14.7); so the weights are tied by default.

    lam:    weight λ of Ω
    probes: None for the exact Ω; K for the mean of K random projections (Hutchinson's estimate)
    The other arguments are those of `Autoencoder`.
    """

    variant = "contractive"
    penalised = True

    def __init__(self, sizes, *, lam=0.1, tied=True, probes=None, **options):
        probes = probes if probes is None else whole(probes, "probes", 1)
        super().__init__(sizes, lam=lam, tied=tied, **options)
        self.warn_of_a_copy()
        self.penalty = Contraction(self.f, self.arena)
        self.config |= dict(probes=probes)

    def draw(self, x, *key):
        return {} if self.config["probes"] is None else super().draw(x, *key)

    def noise(self, x, rng):
        """v, (B, K, m): normal directions in the code, of which E[v vᵀ] = I."""
        shape = x.shape[0], self.config["probes"], self.config["sizes"][-1]
        return {"v": standard_normal(rng, out=self.arena.empty(*shape))}

    def cost_and_grad(self, x, v=None, need_grad=True):
        """J and its terms at the rows of x, (B, n), with v as `noise` draws it; ∂J/∂θ goes to `parameters.grad`."""
        x, weights = self.start(x), self.weights
        if self.config["probes"] is not None:
            v = self.argument(v, "v", (x.shape[0], self.config["probes"], self.config["sizes"][-1]))
        h, f_cache = self.f.forward(x)  # h = f(x)                     (B, m)
        s, g_cache = self.g.forward(h)  # r = g(h), as logits s        (B, n)
        L, ds = self.loss(s, x, weights["L"])  # L = −log p(x | h), and ds = ∂J/∂s
        cost = self.cost(L=L)
        if "Omega" in weights:
            cost["Omega"], kept = self.penalty.value(f_cache, v, need_grad)  # ‖Jf‖²
        if not need_grad:
            return cost

        # the same lines, upward: Ω depends on W itself, and on every h through φ'
        self.parameters.zero_grad()
        dh = self.g.backward(ds, g_cache)
        da = self.penalty.backward(f_cache, kept, weights["Omega"]) if "Omega" in weights else None
        self.f.backward(dh, f_cache, need_dx=False, da=da)
        return cost

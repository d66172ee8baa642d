from minae.autoencoders.base import Autoencoder
from minae.errors import InputError
from minae.penalties import KLSparsity, Laplace


class SparseAutoencoder(Autoencoder):
    r"""The sparse autoencoder.     J = L(x, g(h)) + λ Ω(h),  h = f(x)     (14.2)

        penalty="l1":  Ω = Σ_j |h_j|     (14.6), λ Ω being −log of a Laplace prior on h     (14.5, 14.7)
        penalty="kl":  Ω = Σ_j KL(ρ ‖ ρ̂_j),            ρ̂_j = mean of h_j over the batch  (Ng, UFLDL notes)

    With L1, J is −log p(h, x) = −log p(h) − log p(x | h) at h = f(x), but for a constant     (14.4).
    The h that is penalised is the h that is decoded. The code may be wider than x: the penalty forbids the copy.

    lam: weight λ of Ω, which the book's Ω contains.  rho: target ρ in (0, 1) of "kl", which needs a sigmoid code.
    The other arguments are those of `Autoencoder`.
    """

    variant = "sparse"
    penalised = True

    def __init__(self, sizes, *, penalty="kl", rho=0.05, lam=1.0, **options):
        super().__init__(sizes, lam=lam, **options)
        self.warn_of_a_copy()
        if penalty not in ("l1", "kl"):
            raise InputError(f"unknown penalty {penalty!r}: choose 'l1' or 'kl'")
        if penalty == "kl" and self.config["code"] != "sigmoid":
            raise InputError(f"penalty 'kl' compares h with a rate in (0, 1), and the code is {self.config['code']!r}: "
                             "use code='sigmoid', or penalty='l1'")  # fmt: skip
        self.penalty = KLSparsity(rho) if penalty == "kl" else Laplace(self.arena)
        self.config |= dict(penalty=penalty, rho=float(rho))

    def cost_and_grad(self, x, need_grad=True):
        """J and its terms at the rows of x, (B, n); ∂J/∂θ goes to `parameters.grad`."""
        x, weights = self.start(x), self.weights
        h, f_cache = self.f.forward(x)  # h = f(x)                     (B, m)
        s, g_cache = self.g.forward(h)  # r = g(h), as logits s        (B, n)
        L, ds = self.loss(s, x, weights["L"])  # L = −log p(x | h), and ds = ∂J/∂s
        cost = self.cost(L=L)
        if "Omega" in weights:
            cost["Omega"] = self.penalty.value(h)  # Ω(h), without λ
        if not need_grad:
            return cost

        # the same lines, upward
        self.parameters.zero_grad()
        dh = self.g.backward(ds, g_cache)
        if "Omega" in weights:
            self.penalty.backward(h, dh, weights["Omega"])  # dh += λ ∂Ω/∂h
        self.f.backward(dh, f_cache, need_dx=False)
        return cost

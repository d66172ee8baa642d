from typing import Any

from minae.errors import InputError
from minae.models.autoencoder import Autoencoder
from minae.models.model import Cost
from minae.options import Choice, Rate, Weight
from minae.penalties import KLSparsity, Laplace


class SparseAutoencoder(Autoencoder):
    r"""The sparse autoencoder.     J = L(x, g(h)) + λ Ω(h),  h = f(x)     (14.2)

        penalty="l1":  Ω = Σ_j |h_j|     (14.6), λ Ω being −log of a Laplace prior on h     (14.5, 14.7)
        penalty="kl":  Ω = Σ_j KL(ρ ‖ ρ̂_j),            ρ̂_j = mean of h_j over the batch  (Ng, UFLDL notes)

    With L1, J is −log p(h, x) = −log p(h) − log p(x | h) at h = f(x), but for a constant     (14.3, 14.4).
    The h that is penalised is the h that is decoded. The code may be wider than x: the penalty forbids the copy.

    Derivation: h is read twice, by the decoder and by the penalty, so its gradient is a sum of two.
        dh = (∂s/∂h)ᵀ ds + λ ∂Ω/∂h
    ∂Ω/∂h is derived in `minae.penalties`; for "kl" it is the same for every row, since ρ̂ is a mean over the batch.
    """

    name = "sparse"
    short = ("sae",)
    section = "14.2.1"
    penalty: Any = Choice("kl", "which Ω: |h|, or the divergence of the mean activity", among=("l1", "kl"))
    rho = Rate(0.05, "target ρ of the mean activity, for the penalty kl")
    lam = Weight("Omega", 1.0, "weight λ of Ω, which the book's Ω contains")
    cases = {
        "KL": dict(penalty="kl", rho=0.1, lam=0.5),
        "KL, overcomplete, tied": dict(sizes=(7, 9), penalty="kl", rho=0.1, lam=0.5, tied=True),
        "L1": dict(penalty="l1", lam=0.5, activation="tanh"),
    }

    def settle(self) -> None:
        super().settle()
        if self.penalty == "kl" and self.code != "sigmoid":
            raise InputError(
                f"penalty 'kl' compares h with a rate in (0, 1), and the code is {self.code!r}: use code='sigmoid', or "
                "penalty='l1'"
            )

    def build(self) -> None:
        super().build()
        self.warn_of_a_copy(self.lam)
        if self.options["penalty"] == "kl":
            self.penalty, self.coupled = KLSparsity(self.rho, self.weights, arena=self.arena), ("Omega",)
        else:
            self.penalty = Laplace(self.weights, arena=self.arena)

    def cost_and_grad(self, x: Any, mode: Any = "train", need_grad: bool = True) -> Cost:
        """J and its terms at the rows of x, (B, n); ∂J/∂θ goes to `parameters.grad`."""
        h, f_cache = self.f.forward(x, mode)  # h = f(x)                     (B, m)
        s, g_cache = self.g.forward(h, mode)  # r = g(h), as logits s        (B, n)
        L, ds = self.loss(s, x)  # L = −log p(x | h), and ds = ∂J/∂s
        cost = self.cost(L=L, Omega=self.penalty.value(h))  # Ω(h), without λ
        if not need_grad:
            return cost

        # the same lines, upward
        dh = self.g.backward(ds, g_cache)
        self.penalty.backward(h, dh)  # dh += λ ∂Ω/∂h
        self.f.backward(dh, f_cache, need_dx=False)
        return cost

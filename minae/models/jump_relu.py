from typing import Any

from minae.models.autoencoder import Autoencoder
from minae.models.model import Cost
from minae.options import Positive, Settled, Weight
from minae.symbols import JumpReLU


class JumpReLUAutoencoder(Autoencoder):
    r"""A sparse autoencoder whose units have thresholds, and whose penalty counts.     J = L + λ N     (14.2)

    (Rajamanoharan et al. 2024)

        a = f(x),  h = a [a > κ]  each unit has its own threshold κ_j
        L = −log p(x | h)         by `loss`, see minae.losses
        N = Σ_j [a_j > κ_j]       how many units are on

    The penalty λ Σ |h_j| pulls every unit that is on towards 0, so that what it says is too small. A count asks the
    same of a small unit and of a large one, and pulls at none.

    Derivation: N and h are steps of κ, with no slope but at the step. What has a slope is their mean over the data,
    which `minae.symbols.JumpReLU` estimates by the a in a window of `width` around κ. Above it all is as usual:
        dh = (∂s/∂h)ᵀ ds,    da = dh [a > κ],    dκ = −1/width Σ_b (dh κ + λ/B) [|a − κ| < width/2]
    """

    name = "jump_relu"
    section = "14.2.1"
    lam = Weight("N", 0.01, "weight λ of the number of units that are on")
    width = Positive(0.1, "of the window around a threshold")
    code = Settled("identity", "the thresholds are the activation of the code layer")
    tied = Settled(False, "the decoder's rows are free, as in the paper")
    cases = {
        "one layer": dict(sizes=(7, 9), width=1.0, lam=0.2, loss="gaussian"),
        "deep": dict(sizes=(7, 5, 6), activation="tanh", width=1.0, lam=0.1),
    }

    def networks(self) -> dict[str, Any]:
        return {"f": self.encoder(), "between": JumpReLU("kappa", self.code_size, self.width), "g": self.decoder()}

    def cost_and_grad(self, x: Any, held: Any = None, mode: Any = "train", need_grad: bool = True) -> Cost:
        """J and its terms at the rows of x, (B, n); ∂J/∂θ goes to `parameters.grad`. held: which units are on and in
        the window, held fixed; without it those of θ."""
        a, f_cache = self.f.forward(x, mode)  # a = f(x)                     (B, m)
        h, held = self.between.forward(a, held, mode)  # h = a [a > κ]       (B, m)
        s, g_cache = self.g.forward(h, mode)  # r = g(h), as logits s        (B, n)
        L, ds = self.loss(s, x)  # L = −log p(x | h), and ds = ∂J/∂s
        cost = self.cost(L=L, N=self.between.count(held), constants={"held": held})
        if not need_grad:
            return cost

        # the same lines, upward
        dh = self.g.backward(ds, g_cache)
        da = self.between.backward(dh, held, self.lam)  # and dκ
        self.f.backward(da, f_cache, need_dx=False)
        return cost

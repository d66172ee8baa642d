from typing import Any

import numpy as np

from minae.contraction import Contraction
from minae.models.autoencoder import Autoencoder
from minae.models.model import Cost
from minae.options import Count, Flag, Option, Weight


class ContractiveAutoencoder(Autoencoder):
    r"""The contractive autoencoder.     J = L(x, g(f(x))) + λ Ω     (14.10)

        Ω = ‖∂f(x)/∂x‖²_F       mean over the batch     (14.18; Rifai et al. 2011)

    Exact for one layer in closed form, and exact for a deep encoder of any of our activations; with `probes`, an
    estimate by random projections of the Jacobian for codes that are large. With V free, f could shrink by a factor
    that g undoes, which lowers Ω and contracts nothing (end of 14.7); so the weights are tied by default.

    Derivation: f is read twice, through h by the decoder, and through its slopes φ'(a_l) and matrices W_l by Ω. The
    second way adds to dW_l, and joins the backward pass of f at every a_l, where φ' was taken.
        dW_l = (∂a_l/∂W_l)ᵀ da_l + λ ∂Ω/∂W_l,    da_l = φ'(a_l) dh_l + λ ∂Ω/∂a_l
    ∂Ω/∂W_l and ∂Ω/∂a_l are derived in `minae.contraction.Contraction`.
    """

    name = "contractive"
    short = ("cae",)
    section = "14.7"
    lam = Weight("Omega", 0.1, "weight λ of Ω")
    tied = Flag(True)
    probes: Option[int | None] = Count(
        None, "None for the exact Ω; K for the mean of K random projections", optional=True
    )
    laws = {"xi": "normal"}
    cases = {
        "one layer": dict(sizes=(7, 5)),
        "one layer, untied": dict(sizes=(7, 5), tied=False),
        **{
            f"deep, {activation}": dict(sizes=(7, 6, 5, 3), activation=activation, loss="gaussian")
            for activation in Autoencoder.activation.among
        },
        "one layer, two probes": dict(sizes=(7, 5), probes=2),
        "deep, two probes": dict(sizes=(7, 6, 3), probes=2),
    }

    def build(self) -> None:
        super().build()
        self.penalty = Contraction(self.f, self.weights)
        self.warn_of_a_copy(self.lam)

    def constants(self, rng: np.random.Generator, x: Any) -> dict[str, Any]:
        """ξ, (B, K, m): normal directions in the code, of which E[ξ ξᵀ] = I; none where Ω is exact."""
        return {} if self.probes is None else {"xi": self.normal(rng, len(x), self.probes, self.code_size)}

    def cost_and_grad(self, x: Any, xi: Any = None, mode: Any = "train", need_grad: bool = True) -> Cost:
        """J and its terms at the rows of x, (B, n), with ξ as `constants` draws it; ∂J/∂θ goes to `parameters.grad`."""
        h, f_cache = self.f.forward(x, mode)  # h = f(x)                     (B, m)
        s, g_cache = self.g.forward(h, mode)  # r = g(h), as logits s        (B, n)
        L, ds = self.loss(s, x)  # L = −log p(x | h), and ds = ∂J/∂s
        Omega, O_cache = self.penalty.value(f_cache, xi=xi, need_grad=need_grad)  # Ω = ‖Jf‖²
        cost = self.cost(L=L, Omega=Omega)
        if not need_grad:
            return cost

        # the same lines, upward
        dh = self.g.backward(ds, g_cache)
        joins = self.penalty.backward(f_cache, O_cache)  # dW += λ ∂Ω/∂W, and λ ∂Ω/∂a of every layer
        self.f.backward(dh, f_cache, need_dx=False, joins=joins)
        return cost

from typing import Any

import numpy as np

from minae.contraction import Contraction
from minae.models.autoencoder import Autoencoder
from minae.models.model import Cost
from minae.options import Count, Flag, Positive, Weight


class HigherOrderContractiveAutoencoder(Autoencoder):
    r"""The contractive autoencoder with the Hessian term, CAE+H.     (Rifai et al. 2011b)

        J = L(x, g(f(x))) + λ ‖Jf(x)‖²_F + γ E_ε ‖Jf(x) − Jf(x + σ ε)‖²_F,     ε ~ N(0, I)     (14.18 and one term)

    The last term, H, is the size of the second derivatives of f, by differences of the first: a code whose Jacobian
    stays the same nearby follows a manifold without sharp bends. The mean over ε is taken over `draws` points x + σ ε.

    Derivation: H reads f at x and at x′ = x + σ ε, each time through the slopes and the matrices alone. So it joins the
    backward pass of f at x, beside Ω and beside what comes from the decoder, and it alone has a backward pass at x′.
        da_l(x)  = φ'(a_l) dh_l + λ ∂Ω/∂a_l + γ/K Σ_k ∂H_k/∂a_l
        da_l(x′) = φ'(a_l′) dh_l(x′) + γ/K ∂H_k/∂a_l′,    dh_D(x′) = 0
    The gradients by a_l, a_l′ and W_l are derived in `minae.contraction.Contraction`.
    """

    name = "contractive_h"
    section = "14.7"
    lam = Weight("Omega", 0.1, "weight λ of ‖Jf‖²")
    gamma = Weight("H", 0.1, "weight γ of H, the change of Jf")
    sigma = Positive(0.1, "standard deviation σ of the step from x to a nearby point")
    draws = Count(1, "nearby points an example")
    tied = Flag(True)
    laws = {"x_near": lambda model, x: (x, model.sigma**2)}
    cases = {
        "one layer, two draws": dict(sizes=(7, 5), draws=2),
        "deep, sigmoid": dict(sizes=(7, 6, 4), activation="sigmoid", tied=False),
        "deep, softplus": dict(sizes=(7, 6, 4), activation="softplus", tied=False),
    }

    def build(self) -> None:
        super().build()
        self.penalty, self.change = Contraction(self.f, self.weights), Contraction(self.f, self.weights, "H")
        self.warn_of_a_copy(self.lam, self.gamma)

    def constants(self, rng: np.random.Generator, x: Any) -> dict[str, Any]:
        """x_near = x + σ ε, (K, B, n)."""
        eps = self.normal(rng, self.draws, *x.shape)
        eps *= self.sigma
        eps += x
        return {"x_near": eps}

    def cost_and_grad(self, x: Any, x_near: Any, mode: Any = "train", need_grad: bool = True) -> Cost:
        """J and its terms at the rows of x, (B, n), with x_near (K, B, n); ∂J/∂θ goes to `parameters.grad`."""
        h, f_cache = self.f.forward(x, mode)  # h = f(x)                     (B, m)
        s, g_cache = self.g.forward(h, mode)  # r = g(h), as logits s        (B, n)
        near = [self.f.forward(x_k, mode)[1] for x_k in x_near] if self.gamma else []  # f at x′
        L, ds = self.loss(s, x)  # L = −log p(x | h), and ds = ∂J/∂s
        Omega, O_cache = self.penalty.value(f_cache, need_grad=need_grad)  # Ω = ‖Jf(x)‖²
        changes = [self.change.value(f_cache, near_k, need_grad=need_grad) for near_k in near]
        H = sum(H_k for H_k, _ in changes) / self.draws if changes else None  # H = ‖Jf(x) − Jf(x′)‖²
        cost = self.cost(L=L, Omega=Omega, H=H)
        if not need_grad:
            return cost

        # the same lines, upward
        dh = self.g.backward(ds, g_cache)
        joins = self.penalty.backward(f_cache, O_cache)  # dW += λ ∂Ω/∂W, and λ ∂Ω/∂a of every layer
        for near_k, (_, H_cache) in zip(near, changes, strict=True):
            joins_k, joins_near = self.change.backward(f_cache, H_cache, near_k, share=1 / self.draws)  # γ/K ∂H_k/∂a
            self.f.backward(None, near_k, need_dx=False, joins=joins_near)
            for layer, da in joins_k.items():
                joins[layer] = da if layer not in joins else self.arena.ws.add(joins[layer], da)
        self.f.backward(dh, f_cache, need_dx=False, joins=joins)
        return cost

from typing import Any

from minae.models.autoencoder import Autoencoder
from minae.models.model import Cost
from minae.options import Weight
from minae.penalties import WeightDecay


class UndercompleteAutoencoder(Autoencoder):
    r"""The undercomplete autoencoder.     J = L(x, g(f(x))) + λ Ω     (14.1, 14.8)

        h = f(x)                  code, narrower than x
        r = g(h)                  reconstruction, held as the logits s
        L = −log p(x | h)         by `loss`, see minae.losses
        Ω = ½ Σ ‖W‖²              weight decay, where λ > 0 (7.1.1; the book's α is our λ)

    What keeps r from being a copy of x is the width of h alone. With linear f and g and squared error, h spans the
    principal subspace of the data (Baldi and Hornik 1989).

    Derivation: J depends on the decoder through s, and on the encoder through h, which only the decoder reads. So the
    gradient goes from L to s, through g to h, and through f to the parameters; Ω adds λ W to every matrix.
        ds = ∂L/∂s,    dh = (∂s/∂h)ᵀ ds,    dW = (∂h/∂W)ᵀ dh + λ W     (6.49)
    """

    name = "undercomplete"
    short = ("ae",)
    section = "14.1"
    lam = Weight("Omega", 0.0, "weight λ of weight decay, Ω = ½ Σ ‖W‖²")
    cases = {
        **{
            activation: dict(activation=activation, code="identity", loss="gaussian")
            for activation in Autoencoder.activation.among
        },
        "bernoulli": dict(loss="bernoulli"),
        "categorical": dict(loss="categorical"),
        **{loss: dict(loss=loss, activation="tanh") for loss in ("laplace", "huber", "student_t")},
        "one layer": dict(sizes=(7, 3)),
        "deep": dict(sizes=(7, 6, 5, 2), activation="tanh"),
        "tied": dict(tied=True),
        "tied, weight decay": dict(tied=True, lam=0.1, loss="gaussian"),
        "weight decay": dict(lam=0.1),
        "convolutional": dict(sizes=(84, 5, 3), image=(2, 7, 6), channels=(3, 4), activation="tanh", lam=0.1),
    }

    def build(self) -> None:
        super().build()
        self.penalty = WeightDecay(self.parameters, self.weights)
        self.warn_of_a_copy(self.lam)

    def cost_and_grad(self, x: Any, mode: Any = "train", need_grad: bool = True) -> Cost:
        """J and its terms at the rows of x, (B, n); ∂J/∂θ goes to `parameters.grad`."""
        h, f_cache = self.f.forward(x, mode)  # h = f(x)                     (B, m)
        s, g_cache = self.g.forward(h, mode)  # r = g(h), as logits s        (B, n)
        L, ds = self.loss(s, x)  # L = −log p(x | h), and ds = ∂J/∂s
        cost = self.cost(L=L, Omega=self.penalty.value())  # Ω = ½ Σ ‖W‖²
        if not need_grad:
            return cost

        # the same lines, upward
        self.penalty.backward()  # dW += λ W
        dh = self.g.backward(ds, g_cache)
        self.f.backward(dh, f_cache, need_dx=False)
        return cost

from typing import Any

from minae.errors import InputError
from minae.fields import Mask, Row
from minae.layers import Activation, Affine
from minae.losses import LOSSES
from minae.models.autoencoder import Autoencoder
from minae.models.model import Cost, Model
from minae.networks import Network, of_cells
from minae.options import Count, Option, Rate, Sizes, Weight, Widths
from minae.penalties import WeightDecay


class TabularClassifier(Model):
    r"""A network for rows of categories and numbers that says how probable a yes is.     (sections 12.4.2, 12.5.1)

        v = (E_{t_1}, …, E_{t_C}, x_1, …, x_n)      a row of E for each category, and the numbers: `layers.Cells`
        h = f(v)
        p(y = 1 | x) = σ(s),  s = h V + c
        J = L + λ Ω,  L = ζ(s) − y s,  Ω = ½ Σ ‖W‖² (7.1.1)

    x is a row as `minae.data.tables` makes it: numbers first, then a whole number for each category. An embedding is a
    matrix times a one-hot vector, without the product by zeros: categories that mean alike may get rows that are alike.
    `copy_encoder` takes f and E from a `TabularAutoencoder` that learned from rows without y.

    Derivation: L is the Bernoulli loss of one logit (6.2.2.2), and below s the chain is that of any classifier. Its end
    is the scatter-add of `ops.sequence.embed`: row i of E gets the sum of what the rows of the batch that have it send.
        ds_b = 1/B (σ(s_b) − y_b),    dh = ds Vᵀ,    dv = (∂h/∂v)ᵀ dh,    dE_i = Σ_{b,c} [t_bc = i] dv_bc
    """

    name = "tabular"
    section = "12.5.1"
    sizes: Sizes = Sizes("columns of x, and the widths of f up to h")
    categories: Widths = Widths(
        doc="K_c, categories of each column that has them, the unseen one included", example=(3, 2)
    )
    width: Count = Count(8, "m, numbers of an embedding")
    activation: Option[str] = Autoencoder.activation
    unseen: Option[float] = Rate(0.02, "share of the categories that training replaces by the unseen one")
    lam = Weight("Omega", 0.0, "weight λ of weight decay")
    cases = {
        "two layers": dict(sizes=(7, 5, 3), categories=(3, 2), width=3, activation="tanh", unseen=0.3),
        "one layer, weight decay": dict(sizes=(4, 5), categories=(4, 2, 3), width=2, activation="softplus", lam=0.1),
    }

    def settle(self) -> None:
        self.numbers = numbers_of(self)

    def inputs(self) -> dict[str, Any]:
        return {"x": Row(self.numbers, self.categories), "y": Mask()}

    def networks(self) -> dict[str, Any]:
        activations = [self.activation] * (len(self.sizes) - 1)
        f = of_cells(self.numbers, self.categories, self.width, self.sizes[1:], activations, self.unseen)
        return {"f": f, "g": Network([Affine("V1", "c1", self.sizes[-1], 1), Activation("identity")])}

    def build(self) -> None:
        self.loss = LOSSES["bernoulli"](self.arena, self.weights)
        self.penalty = WeightDecay(self.parameters, self.weights)

    def cost_and_grad(self, x: Any, y: Any, mode: Any = "train", need_grad: bool = True) -> Cost:
        """J and its terms at the rows of x, (B, n + C), with y (B,), 1 for yes; ∂J/∂θ goes to `parameters.grad`."""
        h, f_cache = self.f.forward(x, mode)  # h = f(v)                     (B, m)
        s, g_cache = self.g.forward(h, mode)  # p(y = 1 | x), as a logit s   (B, 1)
        L, ds = self.loss(s, y[:, None])  # L = −log p(y | x), and ds = ∂J/∂s
        cost = self.cost(L=L, Omega=self.penalty.value())  # Ω = ½ Σ ‖W‖²
        if not need_grad:
            return cost

        # the same lines, upward
        self.penalty.backward()  # dW += λ W
        dh = self.g.backward(ds, g_cache)
        self.f.backward(dh, f_cache, need_dx=False)
        return cost

    def encode(self, X: Any) -> Any:
        """h = f(v):  (rows, n + C) -> (rows, m)."""
        return self.apply(lambda x, start: self.f.forward(x)[0], X)

    def probabilities(self, X: Any) -> Any:
        """p(y = 1 | x):  (rows, n + C) -> (rows,)."""
        return self.apply(lambda x, start: self.loss.mean(self.g.forward(self.f.forward(x)[0])[0]), X)[:, 0]


def numbers_of(model: Any) -> Any:
    """n, the numbers of a row: the columns that are no categories."""
    numbers = model.sizes[0] - len(model.categories)
    if numbers < 1:
        raise InputError(
            f"sizes begins with {model.sizes[0]} columns and categories has {len(model.categories)}: expected at least "
            "one column of numbers beside them"
        )
    return numbers

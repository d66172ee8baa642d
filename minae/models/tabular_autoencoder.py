from typing import Any

import numpy as np

from minae.corruptions import Swap
from minae.losses import CellLoss
from minae.models.autoencoder import Autoencoder
from minae.models.model import Cost
from minae.models.tabular import TabularClassifier, numbers_of
from minae.networks import Network, mirrored, of_cells
from minae.options import Option, Rate, Settled


class TabularAutoencoder(Autoencoder):
    r"""A denoising autoencoder of the rows of a table.     J = L(x, g(f(x̃)))     (14.9),   x̃ by `corruptions.Swap`

        x̃_bj = x_kj of another row k, with probability ν, else x_bj      for each cell j of the row
        h = f(ṽ),  ṽ the embeddings of the categories of x̃, and its numbers: `layers.Cells`
        L = ½ Σ_i (s_i − x_i)² − Σ_c log softmax(s_c)_{x_c}             over numbers i and categories c     (14.14)

    Zeros spoil a pixel and say nothing in a column of categories, and Gaussian noise spoils no category. A value of
    another row is one that the column can have, so that only the other cells of the row can tell that it is wrong. To
    put it right, f has to learn which values go together. It needs no y, and `copy_encoder` gives f and E to a
    `TabularClassifier`.

    Derivation: x̃ is drawn and does not depend on θ; it stands in f alone, and the clean x in L alone (`CellLoss`).
        ds_i = 1/B (s_i − x_i),    ds_ck = 1/B (softmax(s_c)_k − [k = x_c]),    dh = (∂s/∂h)ᵀ ds
        dE_i = Σ_{b,c} [t̃_bc = i] dv_bc
    """

    name = "tabular_autoencoder"
    section = "12.5.1"
    sizes: Option[list[int]] = TabularClassifier.sizes
    categories: Option[list[int]] = TabularClassifier.categories
    width: Option[int] = TabularClassifier.width
    level = Rate(0.15, "ν, share of the cells that come from another row")
    unseen: Option[float] = TabularClassifier.unseen
    loss = Settled("cells", "numbers have squared errors and categories cross-entropies")
    tied = Settled(False, "f reads embeddings and g gives logits")
    image = Settled(None, "a row of a table is no image")
    channels = Settled(None, "a row of a table is no image")
    cases = {
        "two layers": dict(sizes=(7, 5, 3), categories=(3, 2), width=3, activation="tanh", level=0.4, unseen=0.3),
        "one layer": dict(sizes=(4, 5), categories=(4, 2, 3), width=2, activation="softplus", code="identity"),
    }

    def settle(self) -> None:
        self.numbers = numbers_of(self)
        super().settle()
        self.corrupt = Swap(self.level)

    def encoder(self) -> Network:
        activations = [self.activation] * (len(self.sizes) - 2) + [self.options["code"]]
        return of_cells(self.numbers, self.categories, self.width, self.sizes[1:], activations, self.unseen)

    def decoder(self) -> Network:
        widths = [self.numbers + sum(self.categories), *self.sizes[1:]]
        return mirrored(widths, [self.activation] * (len(self.sizes) - 2) + ["identity"], tied=False)

    def build(self) -> None:
        self.loss = CellLoss(self.arena, self.weights, self.numbers, self.categories)

    def constants(self, rng: np.random.Generator, x: Any) -> dict[str, Any]:
        return {"x_tilde": self.corrupt(x, rng, self.arena)}

    def cost_and_grad(self, x: Any, x_tilde: Any, mode: Any = "train", need_grad: bool = True) -> Cost:
        """J and its terms at the rows of x, with x_tilde of the same shape; ∂J/∂θ goes to `parameters.grad`."""
        h, f_cache = self.f.forward(x_tilde, mode)  # h = f(ṽ)               (B, m)
        s, g_cache = self.g.forward(h, mode)  # r = g(h), as logits s        (B, n + Σ K_c)
        L, ds = self.loss(s, x)  # L = −log p(x | h), and ds = ∂J/∂s
        cost = self.cost(L=L)
        if not need_grad:
            return cost

        # the same lines, upward
        dh = self.g.backward(ds, g_cache)
        self.f.backward(dh, f_cache, need_dx=False)
        return cost

    laws = {"x_tilde": lambda model, x: model.corrupt.law(x)}

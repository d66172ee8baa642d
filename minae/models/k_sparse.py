from typing import Any

import numpy as np

from minae.codes import TopK
from minae.errors import InputError
from minae.models.autoencoder import Autoencoder
from minae.models.model import Cost
from minae.options import Choice, Count


class KSparseAutoencoder(Autoencoder):
    r"""The k-sparse autoencoder.     J = L(x, g(h_Γ)),  h = f(x)     (14.1; Makhzani and Frey 2013)

        Γ   = the k largest units of h, example by example
        h_Γ = h on Γ and 0 elsewhere

    Sparse by construction, so there is no penalty and no λ. Where k is small beside m, all but h = f(x) costs in
    proportion to k: see `minae.ops.rows`.

    Derivation: at fixed Γ this is an ordinary network, and its gradient goes through the units of Γ alone.
        dh_Γ = (∂s/∂h_Γ)ᵀ ds,    dh_j = dh_Γ,j for j ∈ Γ, else 0
    Where Γ changes, at a tie between the k-th and the next unit, r and with it J jump, and no gradient knows of the
    jump. What is computed is the gradient of J with Γ held: `cost_and_grad` takes Γ as its constant `support`, and
    finds that of h where none is given.

    `encode` keeps the k largest too, or another k.
    """

    name = "k_sparse"
    short = ("ksae",)
    section = "14.2.1"
    k = Count(doc="units that are kept, 1 ≤ k ≤ code size", example=2)
    code = Choice("identity", "φ of the code layer: linear, as in the paper, or ReLU", among=Autoencoder.code.among)
    cases = {
        "linear": dict(sizes=(7, 6), k=2, code="identity"),
        "wide, by rows": dict(sizes=(7, 24), k=3),
        "deep, tied, ReLU, by rows": dict(sizes=(7, 5, 24), k=2, code="relu", tied=True),
        "deep, ReLU, overcomplete": dict(sizes=(7, 5, 9), k=3, activation="tanh", code="relu"),
    }

    def settle(self) -> None:
        super().settle()
        self._checked(self.k)

    def _checked(self, k):
        k = type(self).k.checked(k)
        if k > self.code_size:
            raise InputError(f"k is {k} and the code has {self.code_size} units: expected 1 ≤ k ≤ code size")
        return k

    def _checked_support(self, support, B):
        """Γ as it may be given: columns, int32 (B, k), or a mask of 0 and 1, (B, m)."""
        columns, mask = (np.dtype("int32"), (B, self.k)), (self.dtype, (B, self.code_size))
        given = (getattr(support, "dtype", type(support).__name__), getattr(support, "shape", ""))
        if not self.backend.owns(support) or given not in (columns, mask):
            raise InputError(
                f"support is {given[0]} {given[1]}: expected columns, {columns[0]} {columns[1]}, or a mask, "
                f"{mask[0]} {mask[1]}"
            )
        if given == columns and not 0 <= float(support.min()) <= float(support.max()) < self.code_size:
            raise InputError(f"support has columns outside of 0 to {self.code_size - 1}, the units of the code")
        return support

    def networks(self) -> dict[str, Any]:
        return {"f": self.encoder(columns=True), "between": TopK(self.k, self.code_size), "g": self.decoder()}

    def code_of(self, x: Any, k: Any = None) -> Any:
        """h_Γ, as an array."""
        return self.between.keep(self.f.forward(x)[0], k)

    def encode(self, X: Any, k: int | None = None) -> Any:
        """h_Γ, with the k largest units kept: another k than in training, if given (the paper keeps more)."""
        k = k if k is None else self._checked(k)
        return self.apply(lambda x, start: self.code_of(x, k), X)

    def cost_and_grad(self, x: Any, support: Any = None, mode: Any = "train", need_grad: bool = True) -> Cost:
        """J and its terms at the rows of x, (B, n); support: Γ held fixed, see `TopK`; without it Γ is that of h.
        ∂J/∂θ goes to `parameters.grad`."""
        support = support if support is None else self._checked_support(support, len(x))
        h, f_cache = self.f.forward(x, mode)  # h = f(x)                     (B, m)
        h_k, support = self.between.forward(h, support)  # h_Γ, and Γ        (B, m)
        s, g_cache = self.g.forward(h_k, mode)  # r = g(h_Γ), as logits s    (B, n)
        L, ds = self.loss(s, x)  # L = −log p(x | h), and ds = ∂J/∂s
        cost = self.cost(L=L, constants={"support": support})
        if not need_grad:
            return cost

        # the same lines, upward
        dh_k = self.g.backward(ds, g_cache)
        dh = self.between.backward(dh_k, support)  # dh_Γ on Γ
        self.f.backward(dh, f_cache, need_dx=False)
        return cost

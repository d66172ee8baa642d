from typing import Any

from minae.errors import InputError
from minae.models.autoencoder import Autoencoder
from minae.models.model import Cost
from minae.options import Choice, Count, Option, Settled, Widths
from minae.symbols import BatchTopK


class BatchTopKAutoencoder(Autoencoder):
    r"""The k B largest units of a batch are kept, so that an example has k in the mean.     J = L(x, g(h_Γ))     (14.1)

    (Bussmann et al. 2024; with `prefixes`, the Matryoshka form of Bussmann et al. 2025)

        h   = f(x),  Γ = the k B largest numbers of all the h of the batch
        h_Γ = h on Γ and 0 elsewhere
        L   = −log p(x | h_Γ), or with prefixes p_1 < p_2 < …: the mean of L over the codes of the first p_i units alone

    The k-sparse autoencoder gives each example k units, whether it needs one or ten. Here the batch shares them out.
    With prefixes, the first units have to do without the later ones, so that what is common comes first.

    Derivation: Γ is held fixed, and each L is that of an ordinary network whose code is masked.
        dh_Γ = 1/P Σ_i (∂s_i/∂h)ᵀ ds_i on the first p_i units,    dh = dh_Γ on Γ, else 0
    In use there is no batch: a unit is kept above a threshold, the running mean of the smallest one that was kept.
    """

    name = "batch_top_k"
    section = "14.2.1"
    k = Count(doc="units that are kept in the mean, 1 ≤ k ≤ code size", example=2)
    prefixes: Option[list[int] | None] = Widths(
        None, "widths p_1 < p_2 < … of the nested codes, the last one the code size", optional=True
    )
    code = Choice("relu", "φ of the code layer", among=Autoencoder.code.among)
    tied = Settled(False, "the decoder's rows are free, as in the paper")
    coupled = ("L",)
    cases = {
        "one layer": dict(sizes=(7, 9), k=3, loss="gaussian", code="softplus"),
        "deep": dict(sizes=(7, 5, 6), k=2, activation="tanh", code="identity"),
        "nested": dict(sizes=(7, 8), k=3, prefixes=(2, 5, 8), code="softplus"),
    }

    def settle(self) -> None:
        super().settle()
        if self.k > self.code_size:
            raise InputError(f"k is {self.k} and the code has {self.code_size} units: expected 1 ≤ k ≤ code size")
        p = self.prefixes
        if p and (list(p) != sorted(set(p)) or p[-1] != self.code_size):
            raise InputError(
                f"prefixes is {p}: expected growing widths of which the last is {self.code_size}, the code's"
            )

    def networks(self) -> dict[str, Any]:
        return {"f": self.encoder(), "between": BatchTopK(self.k), "g": self.decoder()}

    def cost_and_grad(self, x: Any, support: Any = None, mode: Any = "train", need_grad: bool = True) -> Cost:
        """J at the rows of x, (B, n); support: Γ held fixed, as 0 and 1; ∂J/∂θ goes to `parameters.grad`."""
        h, f_cache = self.f.forward(x, mode)  # h = f(x)                     (B, m)
        h_k, support = self.between.forward(h, support, mode)  # h_Γ, and Γ  (B, m)
        widths = self.prefixes or (self.code_size,)
        L, dh_k = 0.0, None
        for p in widths:
            s, g_cache = self.g.forward(self.first(h_k, p), mode)  # r of the first p units, as logits s
            L_p, ds = self.loss(s, x)
            L = L + L_p / len(widths)
            if need_grad:
                ds /= len(widths)
                dh_p = self.first(self.g.backward(ds, g_cache), p)
                dh_k = dh_p if dh_k is None else self.arena.ws.add(dh_k, dh_p)
        cost = self.cost(L=L, constants={"support": support})
        if need_grad:
            self.f.backward(self.between.backward(dh_k, support), f_cache, need_dx=False)
        return cost

    def first(self, h: Any, p: Any) -> Any:
        """The first p units, and 0 for the others."""
        if p == self.code_size:
            return h
        out = self.arena.empty(*h.shape)
        out[:, :p] = h[:, :p]
        out[:, p:] = 0
        return out

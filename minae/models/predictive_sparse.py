from typing import Any

import numpy as np

from minae import kernels
from minae.backend import namespace
from minae.errors import InputError
from minae.inference import SparseCoding
from minae.layers import Activation, Affine, Gain, Shrink
from minae.models.autoencoder import Autoencoder
from minae.models.model import Cost
from minae.networks import Network
from minae.ops import ACTIVATIONS
from minae.options import Choice, Count, Number, Positive, Settled, Weight, door
from minae.penalties import Laplace


class PredictiveSparseDecomposition(Autoencoder):
    r"""Predictive sparse decomposition.     (section 14.8; Kavukcuoglu, Ranzato and LeCun 2008)

        J = ‖x − g(h)‖² + λ |h|₁ + γ ‖h − f(x)‖²     (14.19)

        h    = the minimiser of J, by optimisation (minae.inference)
        g(h) = h V + c            a dictionary: the rows of V are atoms, of norm 1
        f(x) = shrink(x W + b, κ) the encoder, which learns to predict h in one pass: one step as of ISTA, but learned
             = G ⊙ tanh(x W + b)  with code="tanh", as in the paper; a gain G_j, since h is not confined to (−1, 1)

    Here J is half of (14.19), the cost terms being L = ½ ‖x − g(h)‖² = −log p(x | h), Ω = |h|₁ and P = ½ ‖h − f(x)‖²:
    the book's λ is twice ours and its γ is ours.

    Derivation: h is the minimiser of J at the present θ, and so it depends on θ. The whole gradient of J(θ, h(θ)) is
        d/dθ J(θ, h(θ)) = ∂J/∂θ + (∂h/∂θ)ᵀ ∂J/∂h = ∂J/∂θ
    because ∂J/∂h = 0 at the minimum: the envelope theorem. (|h|₁ has no derivative at h_j = 0, but h_j stays 0 there
    when θ moves a little, so that it has no part in the sum.) So h is held fixed, and the rest is
        ds = 1/B (s − x),    df = γ/B (f(x) − h),    Ω has no gradient

    `encode` is f(x), one pass; `infer` is the minimiser. sizes may be (n, …, m) for a deeper f; g is one linear layer.
    """

    name = "predictive_sparse"
    short = ("psd",)
    section = "14.8"
    activation = Choice("tanh", among=ACTIVATIONS)
    code = Choice("shrink", "shrink, which can predict a 0; or φ, and then f = G ⊙ φ(x W + b)",
                  among=("shrink", *ACTIVATIONS))  # fmt: skip
    lam = Weight("Omega", 0.5, "weight λ > 0 of Ω = |h|")
    gamma = Weight("P", 1.0, "weight γ > 0 of P, the prediction of h")
    steps = Count(100, "of the inference in a training step")
    tolerance = Positive(1e-2, "of the inference in a training step, see SparseCoding.fista")
    loss = Settled("gaussian", "the inference is that of squared error")
    channels = Settled(None, "the dictionary is one linear layer")
    tied = Settled(False, "the dictionary and the encoder are different matrices")
    constrained = True
    cases = {
        "shrink, overcomplete": dict(sizes=(7, 9), lam=0.1),
        "tanh and gain": dict(sizes=(7, 5), code="tanh", lam=0.1, gamma=0.5),
        "deep, shrink": dict(sizes=(7, 6, 9), lam=0.1),
    }

    def settle(self) -> None:
        super().settle()
        if not (self.lam > 0 and self.gamma > 0):
            raise InputError(f"lam is {self.lam!r} and gamma {self.gamma!r}: the weights of Ω and P are numbers > 0")

    def networks(self) -> dict[str, Any]:
        shrinks, n, m = self.options["code"] == "shrink", self.sizes[0], self.code_size
        layers = self.encoder(code="identity" if shrinks else None).layers
        last = Shrink("kappa1", m) if shrinks else Gain("G1", m)
        return {"f": Network([*layers, last]), "g": Network([Affine("V1", "c1", m, n), Activation("identity")])}

    def build(self) -> None:
        super().build()
        self.penalty = Laplace(self.weights, arena=self.arena)

    def initialize(self, rng: np.random.Generator) -> None:
        self.project()

    def project(self) -> None:
        """‖V_j‖ = 1: else h could shrink and V grow, which lowers Ω and changes nothing.  And κ ≥ 0.

        An atom whose norm is 1 but for rounding stays as it is, so that a dictionary that is frozen keeps its bits.
        """
        V, xp = self.parameters["V1"], namespace(self.parameters["V1"])
        norm = xp.sqrt((V * V).sum(axis=1, keepdims=True)) + 1e-30  # an atom of 0 stays 0
        V /= xp.where(abs(norm - 1) <= 32 * np.finfo(V.dtype).eps, xp.ones_like(norm), norm)
        if "kappa1" in self.parameters.shapes:
            kappa = self.parameters["kappa1"]
            namespace(kappa).abs(kappa, out=kappa)

    @door(gamma=Number(low=0, optional=True))
    def coding(self, gamma: float | None = None) -> SparseCoding:
        """E(h) at the present dictionary; gamma: another weight of P, 0 for sparse coding without the encoder."""
        gamma = self.gamma if gamma is None else gamma
        return SparseCoding(self.parameters["V1"], self.parameters["c1"], self.lam, gamma)

    @door(steps=Count(optional=True), gamma=Number(low=0, optional=True), tolerance=Positive())
    def infer(self, X: Any, steps: int | None = None, *, gamma: float | None = None, tolerance: float = 1e-4) -> Any:
        """The minimiser h of E, by FISTA from f(x) on:  (rows, n) -> (rows, m).

        steps: that many, or None until the duality gap is ≤ tolerance · E;  gamma: as in `coding`
        """
        stop = dict(tolerance=tolerance) if steps is None else dict(steps=steps)
        coding = self.coding(gamma)

        def minimiser(x, start):
            f, _ = self.f.forward(x)
            return coding.fista(x, f, h=f, **stop)

        return self.apply(minimiser, X)

    def cost_and_grad(self, x: Any, h: Any = None, mode: Any = "train", need_grad: bool = True) -> Cost:
        """J and its terms at the rows of x, (B, n); h (B, m): held fixed, and inferred where it is not given. ∂J/∂θ
        goes to `parameters.grad`."""
        f, f_cache = self.f.forward(x, mode)  # f(x)                         (B, m)
        if h is None:
            h = self.coding().fista(x, f, h=f, steps=self.steps, tolerance=self.tolerance)  # argmin_h J
        h = self.checked_constant(h, "h", f.shape)
        s, g_cache = self.g.forward(h, mode)  # r = g(h) = h V + c           (B, n)
        L, ds = self.loss(s, x)  # L = ½ ‖x − g(h)‖², and ds = ∂J/∂s
        df = self.arena.ws.subtract(f, h)
        P = 0.5 * kernels.products.dot(df, df) / len(x)  # P = ½ ‖h − f(x)‖²
        cost = self.cost(L=L, Omega=self.penalty.value(h), P=P, constants={"h": h})
        if not need_grad:
            return cost

        # the same lines, upward; Ω has no gradient, since h is held
        df *= self.gamma / len(x)
        self.f.backward(df, f_cache, need_dx=False)
        self.g.backward(ds, g_cache, need_dx=False)
        return cost

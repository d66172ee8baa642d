"""Ω: what is added to the reconstruction error.     J = L(x, g(f(x))) + λ Ω     (14.2, 14.10)

The book's Ω(h) contains λ; here a penalty reports Ω without it, and its backward pass adds λ ∂Ω to the gradients that
it is given. λ is the weight of the penalty's term, which a model keeps in `model.weights`. A penalty of weight 0 is
skipped: its value is None, which leaves the term out of the cost, and its backward pass does nothing.

The penalty on the derivatives of f stands in `minae.contraction`.
"""

import functools
from typing import Any

from minae import kernels
from minae.arena import Arena
from minae.backend import namespace
from minae.parameters import Parameters


class Term:
    """A term of a cost with a weight in `weights`, a dict that it shares with its model; alone, its weight is 1."""

    def __init__(self, term: str, weights: dict[str, float] | None = None):
        self.term, self.weights = term, {term: 1.0} if weights is None else weights

    @property
    def weight(self) -> float:
        return self.weights[self.term]


def skipped_at_0(method: Any) -> Any:
    """A method of a term that gives None, and does nothing, where the weight of the term is 0."""

    @functools.wraps(method)
    def call(self, *args, **options):
        return method(self, *args, **options) if self.weight else None

    return call


class WeightDecay(Term):
    """Ω = ½ Σ ‖W‖²_F over the weight matrices, biases left alone.     (7.1.1)

    Derivation: every W_ij stands in one square alone.
        ∂Ω/∂W_ij = ∂/∂W_ij ½ W_ij² = W_ij,    so  dW += λ W     (7.3)
    A matrix that two layers share, one of them as its transpose, is one parameter and is counted once.
    """

    def __init__(self, parameters: Parameters, weights: dict[str, float] | None = None, term: str = "Omega"):
        super().__init__(term, weights)
        self.parameters = parameters
        self.names = [name for name, shape in parameters.shapes.items() if len(shape) > 1]

    @skipped_at_0
    def value(self) -> Any:
        return 0.5 * sum(kernels.products.dot(self.parameters[name], self.parameters[name]) for name in self.names)

    @skipped_at_0
    def backward(self) -> Any:
        """dW += λ W"""
        for name in self.names:
            self.parameters.gradient(name).add_scaled(self.parameters[name], self.weight)


class Laplace(Term):
    r"""Ω = Σ_j |h_j|, mean over the batch.     (14.6)

    λ Ω is −log p(h) of a Laplace prior p(h_j) = λ/2 e^{−λ|h_j|}, but for a constant.     (14.5–14.7)

    Derivation: |h| is h for h > 0 and −h for h < 0; the mean over the batch divides by B. At h = 0 the derivative is
    taken as 0, one of the subgradients in [−1, 1].
        ∂Ω/∂h_bj = 1/B sign(h_bj),    so  dh += λ/B sign(h)
    """

    def __init__(self, weights: dict[str, float] | None = None, term: str = "Omega", arena: Arena | None = None):
        super().__init__(term, weights)
        self.arena = arena

    @skipped_at_0
    def value(self, h: Any) -> Any:
        return namespace(h).abs(h, out=self._like(h)).sum() / h.shape[0]

    @skipped_at_0
    def backward(self, h: Any, dh: Any) -> Any:
        """dh += λ/B sign(h)"""
        step = namespace(h).sign(h, out=self._like(h))
        step *= self.weight / h.shape[0]
        dh += step

    def _like(self, h):
        return self.arena.empty(*h.shape) if self.arena else namespace(h).empty_like(h)


class KLSparsity(Term):
    r"""Ω = Σ_j KL(ρ ‖ ρ̂_j) = Σ_j ρ log(ρ/ρ̂_j) + (1−ρ) log((1−ρ)/(1−ρ̂_j)),   ρ̂_j = 1/B Σ_b h_bj.   (Ng, UFLDL notes)

    h lies in (0, 1). ρ̂_j is the mean of a unit over the BATCH, so the rows of a batch are coupled: every example has a
    part in every other's gradient.

    Derivation: Ω depends on h_bj through ρ̂_j alone.
        ∂Ω/∂ρ̂_j  = −ρ/ρ̂_j + (1−ρ)/(1−ρ̂_j)
        ∂ρ̂_j/∂h_bj = 1/B
        ∂Ω/∂h_bj = 1/B ((1−ρ)/(1−ρ̂_j) − ρ/ρ̂_j),     the same for all b
    Computed by minae.kernels.kl_sparsity.
    """

    def __init__(
        self, rho: float, weights: dict[str, float] | None = None, term: str = "Omega", arena: Arena | None = None
    ):
        super().__init__(term, weights)
        self.rho, self.arena = rho, arena

    def joint(self, h: Any) -> Any:
        """ρ̂ of a batch whose rows lie on several ranks, or None: then the kernel takes it from h."""
        if self.arena is None or self.arena.world.size == 1:
            return None
        return self.arena.world.mean(h.mean(axis=0))

    @skipped_at_0
    def value(self, h: Any) -> Any:
        return kernels.kl_sparsity.value(h, self.rho, self.joint(h))

    @skipped_at_0
    def backward(self, h: Any, dh: Any) -> Any:
        """dh += λ ∂Ω/∂h"""
        kernels.kl_sparsity.backward(h, dh, self.rho, self.weight, self.joint(h))

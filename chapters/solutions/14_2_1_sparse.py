"""14.2.1 Sparse Autoencoders, exercise 2: a Student-t prior on the code.

From p(h_i) ∝ 1/(1 + h_i²) comes −log p(h) = Σ_i log(1 + h_i²) + const, which is the penalty. Its mean over the
batch has the derivative

    ∂Ω/∂h_bi = 1/B · 2 h_bi/(1 + h_bi²)

so a large h is pushed down less than one near 1: the prior forgives a unit that is strongly on, where |h| does not.
"""

# %%
import numpy as np

from minae import SparseAutoencoder, check_gradient, data
from minae.chapters import Section
from minae.penalties import Term, skipped_at_0
from minae.training import Adam, Cosine

section = Section("14.2.1", exercise=2)
X = data.mnist().train


# %%
class StudentT(Term):
    """Ω = Σ_i log(1 + h_i²), mean over the batch."""

    def __init__(self, weights=None, term="Omega"):
        super().__init__(term, weights)

    @skipped_at_0
    def value(self, h):
        return np.log1p(h * h).sum() / len(h)

    @skipped_at_0
    def backward(self, h, dh):
        """dh += λ/B · 2 h/(1 + h²)"""
        dh += self.weight / len(h) * 2 * h / (1 + h * h)


class StudentTAutoencoder(SparseAutoencoder):
    """The sparse autoencoder whose prior is Student's t."""

    name = "student-t"

    def build(self):
        super().build()
        self.penalty = StudentT(self.weights)


# %%
epochs, models = section.pick(2, 8, 8), {}
kinds = {"Student-t": StudentTAutoencoder, "Laplace": SparseAutoencoder}
for name, kind in kinds.items():
    model = kind((784, 300), penalty="l1", lam=0.2, activation="relu", seed=section.seed, backend="numpy")
    model.fit(X, epochs=epochs, optimizer=Adam(Cosine(2e-3, steps=epochs * -(-len(X) // 128))), seed=section.seed)
    section.number("share of the units that are on", (model.encode(X[:1000]) > 1e-3).mean(), of=name)
    models[name] = model
worst = check_gradient(models["Student-t"], X[:4], entries=40).worst.error
worst = section.number("largest error of the gradient check", worst, of="Student-t")
section.claim("the gradient is that of J", worst, "<=", 1e-7)

section.finish()

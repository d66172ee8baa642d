"""14.2 Regularized Autoencoders, exercise 2: two properties in one cost, a sparse denoising autoencoder.

    J = L(x, g(f(x̃))) + λ Ω(h),     h = f(x̃),     Ω(h) = Σ_i |h_i|

The code is read twice, by the decoder and by the penalty, so that its gradient is a sum of two terms. The corrupted x̃
does not depend on θ and is a constant.

    dh = (∂s/∂h)ᵀ ds + λ ∂Ω/∂h
"""

# %%
import numpy as np

from minae import DenoisingAutoencoder, check_gradient, data
from minae.chapters import Section
from minae.options import Weight
from minae.penalties import Laplace
from minae.training import Adam, Cosine

section = Section("14.2", exercise=2)
X = data.mnist().train[:2000].reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196)


# %%
class SparseDenoisingAutoencoder(DenoisingAutoencoder):
    """The denoising autoencoder with an L1 penalty on the code of x̃."""

    name = "sparse_denoising"
    lam = Weight("Omega", 0.1, "weight λ of Ω")

    def build(self):
        super().build()
        self.penalty = Laplace(self.weights)

    def cost_and_grad(self, x, x_tilde, mode="train", need_grad=True):
        h, f_cache = self.f.forward(x_tilde, mode)  # h = f(x̃)
        s, g_cache = self.g.forward(h, mode)
        L, ds = self.loss(s, x)  # of the clean x
        cost = self.cost(L=L, Omega=self.penalty.value(h))
        if not need_grad:
            return cost

        # the same lines, upward
        dh = self.g.backward(ds, g_cache)
        self.penalty.backward(h, dh)  # dh += λ ∂Ω/∂h
        self.f.backward(dh, f_cache, need_dx=False)
        return cost


# %%
epochs, on = section.pick(3, 10, 10), {}
for lam in (0.0, 0.1):
    options = dict(corruption="gaussian", level=0.3, tied=True, seed=section.seed, backend=section.backend)
    model = SparseDenoisingAutoencoder((196, 400), lam=lam, **options)
    model.fit(X, epochs=epochs, optimizer=Adam(Cosine(5e-3, steps=epochs * -(-len(X) // 128))), seed=section.seed)
    on[lam] = section.number("mean of h over digits and units", np.mean(model.encode(X)), of=f"λ = {lam}")
worst = check_gradient(model, X[:4], entries=40).worst.error
worst = section.number("largest error of the gradient check", worst, of=f"λ = {lam}")
section.claim("the gradient is that of J, of L and of Ω", worst, "<=", 1e-7)
section.claim("the penalty makes the code of the denoiser smaller", on[0.1], "<", on[0.0])

section.finish()

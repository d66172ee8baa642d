import math
from typing import Any

import numpy as np

from minae import kernels
from minae.fields import Code
from minae.layers import Times
from minae.losses import LOSSES
from minae.models.autoencoder import Autoencoder
from minae.models.model import Cost, Model
from minae.networks import dense, mirrored
from minae.options import Choice, Count, Number, Sizes, door


class DiffusionModel(Model):
    r"""A denoising autoencoder for every amount of noise at once, and the way back through all of them, which draws.
    (14.5.1; Sohl-Dickstein et al. 2015; Ho et al. 2020)

        x_t = √ᾱ_t x + √(1 − ᾱ_t) ε,   √ᾱ_t = cos(π t/2),   √(1 − ᾱ_t) = sin(π t/2)
                                  t ~ U(0, 1) and ε ~ N(0, I), drawn outside; x_0 is x, and x_1 is ε
        h = f(x_t, τ(t)),  r = g(h)      τ: the waves of `minae.layers.Times`
        J = L = −log p(x | h)     of the CLEAN x     (14.14), by `loss`: the mean of p is r

    This is the denoising autoencoder of 14.5, which is told how much noise there is. At the optimum r = E[x | x_t], for
    every t. By it the score of the density p_t of x_t is known, and the score leads from noise to data (`sample`).

    Derivation (gradient): x_t and τ(t) do not depend on θ; they stand where x stands in f, and x itself stands in L.
        ds = ∂L(x, s)/∂s,    dh = (∂s/∂h)ᵀ ds,    dW = (∂h/∂W)ᵀ dh
    Derivation (score): p_t(x_t) = ∫ p(x) N(x_t; √ᾱ x, (1 − ᾱ) I) dx, and the gradient acts on N alone.
        ∇ N = N (√ᾱ x − x_t)/(1 − ᾱ)
        ∇ log p_t(x_t) = ∇ p_t/p_t = E[√ᾱ x − x_t | x_t]/(1 − ᾱ) = (√ᾱ r − x_t)/(1 − ᾱ)
    With ε̂ = (x_t − √ᾱ r)/√(1 − ᾱ), the noise that r leaves over, the score is −ε̂/√(1 − ᾱ), and
    ‖ε̂ − ε‖² = ᾱ/(1 − ᾱ) ‖r − x‖²: networks that predict the noise minimise L with this weight for each t.
    Derivation (a step back, t -> u < t): let α = ᾱ_t/ᾱ_u, so that x_t = √α x_u + √(1 − α) ε′. Given x, x_u has the
    density ∝ N(x_u; √ᾱ_u x, 1 − ᾱ_u) N(x_t; √α x_u, 1 − α). The exponents add up to a square in x_u, whose factor
    and whose linear term give
        1/v = 1/(1 − ᾱ_u) + α/(1 − α) = (1 − ᾱ_t)/((1 − ᾱ_u)(1 − α))
        m   = v (√ᾱ_u/(1 − ᾱ_u) x + √α/(1 − α) x_t)
            = (√ᾱ_u (1 − α) x + √α (1 − ᾱ_u) x_t)/(1 − ᾱ_t)
    and r stands in the place of x, which is not known: x_u = m(r, x_t) + √v ε.
    """

    times: Any
    name = "diffusion"
    short = ("ddpm",)
    section = "14.5.1"
    sizes = Sizes("widths from x to h; f reads the waves of t beside x")
    activation = Choice("swish", "φ of the hidden layers and of h", among=Autoencoder.activation.among)
    loss: Any = Choice("gaussian", "L = −log p(x | h); bernoulli keeps r in [0, 1]", among=("gaussian", "bernoulli"))
    waves = Count(8, "of τ(t): so many sines and as many cosines")
    laws = {"t": "uniform", "eps": "normal"}
    cases = {
        "gaussian": dict(activation="tanh", waves=2),
        "bernoulli": dict(activation="softplus", waves=1, loss="bernoulli"),
    }

    def inputs(self) -> dict[str, Any]:
        return {"x": self.loss.field(*self.sizes[:1])}

    def networks(self) -> dict[str, Any]:
        widths = [self.sizes[0] + 2 * self.waves, *self.sizes[1:]]
        hidden = [self.activation] * (len(widths) - 1)
        g = mirrored(self.sizes, [*hidden[1:], "identity"], False)
        return {"times": Times(2 * self.waves, scale=100.0), "f": dense(widths, hidden, "W", "b"), "g": g}

    def build(self) -> None:
        self.loss = LOSSES[self.options["loss"]](self.arena, self.weights)

    def constants(self, rng: np.random.Generator, x: Any) -> dict[str, Any]:
        return {"t": kernels.noise.uniform(rng, self.arena.empty(len(x), 1)), "eps": self.normal(rng, *x.shape)}

    def cost_and_grad(self, x: Any, t: Any, eps: Any, mode: Any = "train", need_grad: bool = True) -> Cost:
        """J at the rows of x, with times t (B, 1) in (0, 1) and noise eps (B, n); ∂J/∂θ goes to `parameters.grad`."""
        x_t = self.noised(x, t, eps)  # √ᾱ x + √(1 − ᾱ) ε                    (B, n)
        h, f_cache = self.f.forward(self.beside(x_t, t), mode)  # f(x_t, τ)  (B, m)
        s, g_cache = self.g.forward(h, mode)  # r = g(h), as s               (B, n)
        L, ds = self.loss(s, x)  # L = −log p(x | h), and ds = ∂J/∂s
        cost = self.cost(L=L)
        if not need_grad:
            return cost

        # the same lines, upward
        dh = self.g.backward(ds, g_cache)
        self.f.backward(dh, f_cache, need_dx=False)
        return cost

    def noised(self, x: Any, t: Any, eps: Any) -> Any:
        """x_t = √ᾱ_t x + √(1 − ᾱ_t) ε:  (B, n), (B, 1), (B, n) -> (B, n)."""
        ws = self.arena.ws
        angle = ws.multiply(t, math.pi / 2)
        return ws.add(ws.multiply(ws.cos(angle), x), ws.multiply(ws.sin(angle), eps))

    def beside(self, x_t: Any, t: Any) -> Any:
        """(x_t, τ(t)), (B, n + 2 waves)."""
        both, n = self.arena.empty(len(x_t), self.sizes[0] + 2 * self.waves), self.sizes[0]
        both[:, :n] = x_t
        both[:, n:] = self.times.forward(t)[0]
        return both

    # ---- verbs

    @door(t=Number(low=0, high=1))
    def denoise(self, X: Any, t: float) -> Any:
        """r ≈ E[x | x_t] of rows x_t at time t:  (rows, n) -> (rows, n)."""

        def r(x_t, start):
            times = self.arena.empty(len(x_t), 1)
            times[...] = t
            return self.loss.mean(self.g.forward(self.f.forward(self.beside(x_t, times))[0])[0])

        return self.apply(r, X, Code(self.sizes[0]))

    @door(t=Number(low=1e-3, high=1))
    def score(self, X: Any, t: float) -> Any:
        """(√ᾱ r − x_t)/(1 − ᾱ), an estimate of ∇ log p_t at rows x_t:  (rows, n) -> (rows, n)."""
        root, noise = self.levels(t)
        return (self.dtype.type(root) * self.denoise(X, t) - X) / self.dtype.type(noise**2)

    @staticmethod
    def levels(t: float) -> tuple[float, float]:
        """√ᾱ_t and √(1 − ᾱ_t), a quarter of a turn from (1, 0) to (0, 1)."""
        return math.cos(math.pi * t / 2), math.sin(math.pi * t / 2)

    @door(count=Count(), seed=Count(lowest=0), steps=Count())
    def sample(self, count: int, seed: int = 0, steps: int = 50) -> Any:
        """New x: from x_1 ~ N(0, I) back to x_0, in so many steps x_u = m(r, x_t) + √v ε.  -> (count, n)"""
        rng = self.backend.stream(seed, "sample")
        x = rng.standard_normal((count, self.sizes[0]), dtype=self.dtype)
        for k in range(steps, 0, -1):
            m, v = self.back(x, self.denoise(x, k / steps), k / steps, (k - 1) / steps)
            x = m + self.dtype.type(math.sqrt(v)) * rng.standard_normal(x.shape, dtype=self.dtype)
        return x

    def back(self, x_t: Any, x: Any, t: Any, u: Any) -> Any:
        """Mean and variance of x_u, given x_t and x, for u < t; derived above."""
        (root_t, noise_t), (root_u, noise_u) = self.levels(t), self.levels(u)
        alpha = (root_t / root_u) ** 2
        v = noise_u**2 * (1 - alpha) / noise_t**2
        of_x, of_x_t = root_u * (1 - alpha) / noise_t**2, math.sqrt(alpha) * noise_u**2 / noise_t**2
        return self.dtype.type(of_x) * x + self.dtype.type(of_x_t) * x_t, v

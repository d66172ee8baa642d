import math
from typing import Any

import numpy as np

from minae import kernels, ops
from minae.errors import InputError
from minae.models.autoencoder import Autoencoder
from minae.models.model import Cost
from minae.options import Choice, Count, Positive, Settled, Weight
from minae.symbols import Bits, Symbols, leave_one_out, log_probability


class DiscreteAutoencoder(Autoencoder):
    r"""An autoencoder whose code is bits, or symbols of K kinds.     J = L + β KL     (20.9.1)

        a = f(x)                  logits of q(b | x)
        b ~ q(b | x)              bits, q = Bernoulli(σ(a)); or M symbols, one-hot, q = softmax of each K logits
        L = −log p(x | b)         by `loss`, see minae.losses
        KL = KL(q(b | x) ‖ uniform), closed; the uniform code costs log 2 nats a bit

    What is wanted is the gradient of the mean E_b L(b) over all codes. The decoder has it, by any draw of b. The
    encoder has not, because b is a hard choice and does not move when a moves a little. An `estimator` stands in:

        straight_through   bits: on the way back b is taken for σ(a)     (`minae.symbols.Bits`)
        gumbel             symbols: on the way back b is taken for a softmax at temperature τ, drawn with Gumbel noise
                           (`minae.symbols.Symbols`)
        relaxed            symbols: the decoder gets that softmax itself, so that the gradient is exact, of another cost
        reinforce          either: ∂log q(b | x)/∂a, weighted by how much worse the draw b was than the mean of others

    The first is biased. The second and third are biased less, and noisier, the smaller τ is. The last has no bias, and
    the most noise. `minae.checks.enumerated` measures all of this.

    Derivation: with the draws, the choices and the advantages A_k held fixed, each is an ordinary gradient.
        db = (∂s/∂b)ᵀ ds,    da by `Bits` or `Symbols`,    + β/B ∂KL/∂a
        KL, bits:     Σ_j p_j log p_j + (1 − p_j) log(1 − p_j) + log 2,    ∂KL/∂a_j = p_j (1 − p_j) a_j
        KL, symbols:  Σ_k q_k log q_k + log K,    ∂KL/∂a_k = q_k (log q_k − Σ_l q_l log q_l)
    For reinforce, the cost has a term whose gradient is the estimate, with A_k = L_k − mean of the other L:
        S = 1/K Σ_k A_k log q(b_k | x),    da = 1/(K B) Σ_k A_k (b_k − σ(a))     (20.60–20.63)
    Its value says nothing, and it is left out of J in a history.
    """

    name = "discrete"
    section = "20.9.1"
    terms = ("L", "S")
    objective = ("L", "KL")
    kinds = Count(2, "K, kinds of a symbol: 2 for bits; else the code size is M · K, for M symbols", lowest=2)
    estimator = Choice(
        None,
        "of the encoder's gradient; by default straight_through for bits and gumbel for symbols",
        among=("straight_through", "gumbel", "relaxed", "reinforce"),
        optional=True,
    )
    tau = Positive(1.0, "temperature τ of gumbel and relaxed")
    draws = Count(4, "draws of b for each x, of reinforce", lowest=2)
    beta = Weight("KL", 0.0, "weight β of the KL from the uniform code")
    code = Settled("identity", "the encoder gives logits, of either sign")
    tied = Settled(False, "the encoder's last layer gives logits, and the decoder's first one reads bits")
    laws = {"u": "uniform"}
    cases = {
        "bits": dict(sizes=(7, 5, 4), activation="tanh", beta=0.3),
        "symbols, gumbel": dict(sizes=(7, 5, 6), kinds=3, activation="tanh", tau=0.5, beta=0.3),
        "symbols, relaxed": dict(sizes=(7, 6), kinds=3, estimator="relaxed", tau=0.5, loss="gaussian"),
        "bits, reinforce": dict(sizes=(7, 5, 4), activation="tanh", estimator="reinforce", draws=3, beta=0.1),
        "symbols, reinforce": dict(sizes=(7, 6), kinds=3, estimator="reinforce", draws=2),
    }

    def settle(self) -> None:
        super().settle()
        bits, estimator = self.kinds == 2, self.options["estimator"]
        if estimator is None:
            self.options["estimator"] = estimator = "straight_through" if bits else "gumbel"
        if estimator in (("gumbel", "relaxed") if bits else ("straight_through",)):
            raise InputError(
                f"estimator is {estimator!r} and kinds {self.kinds}: expected straight_through or reinforce for bits "
                "(kinds=2), and gumbel, relaxed or reinforce for symbols"
            )
        if not bits and self.code_size % self.kinds:
            raise InputError(
                f"the code has {self.code_size} units and kinds is {self.kinds}: expected a multiple of it"
            )

    def networks(self) -> dict[str, Any]:
        M = self.code_size // self.kinds
        between = Bits() if self.kinds == 2 else Symbols(M, self.kinds, self.tau, self.estimator != "relaxed")
        return {"f": self.encoder(), "between": between, "g": self.decoder()}

    def build(self) -> None:
        super().build()
        if self.estimator != "reinforce":
            self.weights["S"] = 0.0

    def constants(self, rng: np.random.Generator, x: Any) -> dict[str, Any]:
        shape = (self.draws, self.code_size) if self.estimator == "reinforce" else (self.code_size,)
        return {"u": kernels.noise.uniform(rng, self.arena.empty(len(x), *shape))}

    def cost_and_grad(
        self, x: Any, u: Any, b: Any = None, A: Any = None, mode: Any = "train", need_grad: bool = True
    ) -> Cost:
        """J and its terms at the rows of x (B, n), with u ~ U[0, 1), (B, m) or (B, draws, m); ∂J/∂θ goes
        to `parameters.grad`. b, A: the choice and the advantages held fixed; without them they are those of θ and u."""
        a, f_cache = self.f.forward(x, mode)  # logits a = f(x)              (B, m)
        KL, dKL = self.divergence(a)  # KL(q ‖ uniform), and β/B ∂KL/∂a
        if self.estimator == "reinforce":
            return self.reinforced(x, a, f_cache, u, b, A, KL, dKL, mode, need_grad)
        noise = u if self.kinds == 2 else self.between.gumbel(u)
        h, h_cache = self.between.forward(a, noise, b)  # b, by u            (B, m)
        s, g_cache = self.g.forward(h, mode)  # r = g(b), as logits s        (B, n)
        L, ds = self.loss(s, x)  # L = −log p(x | b), and ds = ∂J/∂s
        cost = self.cost(L=L, KL=KL, constants={} if h_cache[1] is None else {"b": h_cache[1]})
        if not need_grad:
            return cost

        # the same lines, upward
        dh = self.g.backward(ds, g_cache)
        da = self.between.backward(dh, h_cache)
        if KL is not None:
            da += dKL
        self.f.backward(da, f_cache, need_dx=False)
        return cost

    def reinforced(
        self, x: Any, a: Any, f_cache: Any, u: Any, b: Any, A: Any, KL: Any, dKL: Any, mode: Any, need_grad: bool
    ) -> Any:
        """The same with several draws for each x, (B, draws, m), whose rows lie one behind the other for f and g."""
        K, B = self.draws, len(x)
        x, p, a = self.repeated(x), self.repeated(self.q(a)), self.repeated(a)
        if b is None:
            u = u.reshape(B * K, -1)
            b = self.between.forward(a, u if self.kinds == 2 else self.between.gumbel(u))[0].reshape(B, K, -1)
        rows = b.reshape(B * K, -1)
        s, g_cache = self.g.forward(rows, mode)
        L, ds = self.loss(s, x)  # a mean over the draws, too
        if A is None:
            A = leave_one_out(self.loss.rows(s, x).reshape(B, K).T).T
        S = (A * self.log_q(a, rows).reshape(B, K)).sum() / (K * B)
        cost = self.cost(L=L, S=S, KL=KL, constants={"b": b, "A": A})
        if not need_grad:
            return cost
        self.g.backward(ds, g_cache, need_dx=False)
        da = (self.weights["S"] / (K * B) * A[:, :, None] * (b - p.reshape(b.shape))).sum(axis=1)
        self.f.backward(da if KL is None else da + dKL, f_cache, need_dx=False)
        return cost

    def repeated(self, array: Any) -> Any:
        """Each row `draws` times."""
        out = self.arena.empty(len(array) * self.draws, *array.shape[1:])
        out.reshape(len(array), self.draws, *array.shape[1:])[...] = array[:, None]
        return out

    def q(self, a: Any) -> Any:
        """q(b | x): σ(a), or the softmax of each symbol's logits; (B, m)."""
        if self.kinds == 2:
            return kernels.activations.phi(a, "sigmoid", self.arena.empty(*a.shape))
        return self.arena.ws.exp(self.log_softmax(a))

    def log_softmax(self, a: Any) -> Any:
        """The log softmax of each symbol's logits, (B, m)."""
        return ops.log_softmax(a.reshape(-1, self.kinds)).reshape(a.shape)

    def log_q(self, a: Any, b: Any) -> Any:
        """log q(b | x) of each row."""
        if self.kinds == 2:
            return log_probability(a, b)
        return (b * self.log_softmax(a)).sum(axis=1)

    def divergence(self, a: Any) -> Any:
        """KL(q ‖ uniform), a mean over the rows, and β/B ∂KL/∂a. None for a weight of 0."""
        if not self.beta:
            return None, None
        ws, q = self.arena.ws, self.q(a)
        if self.kinds == 2:  # p log p + (1 − p) log(1 − p) = a p − softplus(a)
            softplus = kernels.activations.phi(a, "softplus", self.arena.empty(*a.shape))
            KL = ws.subtract(ws.multiply(a, q), softplus).sum() / len(a) + self.code_size * math.log(2)
            slope = ws.multiply(ws.multiply(q, ws.subtract(1, q)), a)
        else:
            log_q = self.log_softmax(a)
            each = ws.multiply(q, log_q).reshape(len(a), -1, self.kinds).sum(axis=2, keepdims=True)
            KL = each.sum() / len(a) + each.shape[1] * math.log(self.kinds)
            shape = (len(a), -1, self.kinds)
            slope = ws.multiply(q.reshape(shape), ws.subtract(log_q.reshape(shape), each)).reshape(a.shape)
        return KL, ws.multiply(slope, self.beta / len(a))

from typing import Any

import numpy as np

from minae.errors import InputError
from minae.fields import host_array
from minae.models.autoencoder import Autoencoder
from minae.models.model import Cost
from minae.options import Count, Flag, Number, Option, Rate, Settled, Weight, door
from minae.symbols import VectorQuantized


class VectorQuantizedAutoencoder(Autoencoder):
    r"""An autoencoder whose code is a few rows of a codebook.     J = L + β C (+ Q)     (20.9.1)

    (VQ-VAE: van den Oord et al. 2017)

        z = f(x)                  in M parts of m/M numbers
        k = argmin_k ‖z − e_k‖    for each part: the code, M whole numbers
        L = −log p(x | e_k)       by `loss`, see minae.losses
        C = ‖z − stop(e_k)‖²      the commitment, which keeps z near the codebook
        Q = ‖stop(z) − e_k‖²      moves the codebook, where it is trained by its gradient (no `decay`)

    With `decay`, the rule, the codebook is an average of the z that chose each row, and not a parameter. `encode` gives
    the rows e_k; `indices` gives the code itself.

    Derivation: k is held fixed, and the decoder's gradient goes straight through to z (`minae.symbols.VectorQuantized`,
    which also says how the codebook moves).
        dq = (∂s/∂q)ᵀ ds,    dz = dq + 2β/B (z − e_k),    de_k = 2/B Σ_{i → k} (e_k − z_i)

    A codebook whose rows are far from all z is not used, and what is not used does not move: the code collapses. What
    helps is to start from data (`start_codebook`), and `restart`, which puts a row that nobody chooses on a random z.
    """

    name = "vector_quantized"
    short = ("vqvae", "vq")
    section = "20.9.1"
    terms = ("L", "Q")
    codebook = Count(64, "K, rows of a codebook", lowest=2)
    codes = Count(1, "M, codes for each x; a divisor of the code size", example=2)
    own = Flag(True, "whether each of the M codes has a codebook of its own")
    decay: Option[float | None] = Rate(
        0.99, "γ of the averages; None trains the codebook by its gradient", optional=True
    )
    restart = Number(
        0.0, "a row that is chosen less often than this a step, in the mean, starts anew; 0 for never", low=0
    )
    beta = Weight("C", 0.25, "weight β of the commitment C")
    code = Settled("identity", "z takes any real value")
    tied = Settled(False, "the encoder gives z, and the decoder reads rows of the codebook")
    cases = {
        "gradient": dict(sizes=(7, 5, 4), codebook=5, codes=2, decay=None, activation="tanh"),
        "gradient, one book": dict(sizes=(7, 6), codebook=4, codes=3, own=False, decay=None, beta=0.5),
        "averages": dict(sizes=(7, 5, 4), codebook=5, codes=2, activation="tanh"),
        "averages, restart": dict(sizes=(7, 5, 4), codebook=5, codes=2, restart=0.2, activation="tanh"),
    }

    def settle(self) -> None:
        super().settle()
        if self.code_size % self.codes:
            raise InputError(f"codes is {self.codes} and the code has {self.code_size} units: expected a divisor of it")
        if self.restart and self.decay is None:
            raise InputError(
                f"restart is {self.restart} and decay None: expected a decay, whose averages count choices"
            )

    def networks(self) -> dict[str, Any]:
        names = ("E", self.codebook, self.code_size, self.codes)
        book = VectorQuantized(*names, own=self.own, decay=self.decay, restart=self.restart)
        return {"f": self.encoder(), "between": book, "g": self.decoder()}

    def build(self) -> None:
        super().build()
        if self.decay is not None:
            self.weights["Q"] = 0.0

    def cost_and_grad(self, x: Any, held: Any = None, mode: Any = "train", need_grad: bool = True) -> Cost:
        """J and its terms at the rows of x, (B, n); ∂J/∂θ goes to `parameters.grad`. held: the rows that were chosen,
        and what stands under a stop, held fixed; without it those of θ."""
        z, f_cache = self.f.forward(x, mode)  # z = f(x)                     (B, m)
        q, cache = self.between.forward(z, held, mode)  # rows e_k           (B, m)
        s, g_cache = self.g.forward(q, mode)  # r = g(e_k), as logits s      (B, n)
        L, ds = self.loss(s, x)  # L = −log p(x | e_k), and ds = ∂J/∂s
        Q, C = self.between.terms(cache)
        moved = {} if self.decay else {"Q": Q}
        cost = self.cost(L=L, C=C, **moved, constants={"held": cache[2]})
        if not need_grad:
            return cost

        # the same lines, upward
        dq = self.g.backward(ds, g_cache)
        dz = self.between.backward(dq, cache, self.beta, self.weights["Q"])  # and dE
        self.f.backward(dz, f_cache, need_dx=False)
        return cost

    # ---- the code as whole numbers

    def indices(self, X: Any) -> Any:
        """k of each part:  (rows, n) -> (rows, M), each 0 … K − 1."""
        books = np.arange(self.codes) * (self.codebook if self.own else 0)
        k = self.apply(lambda x, start: self.between.nearest(self.f.forward(x)[0]), X)
        return k - self.backend.xp.asarray(books) if self.backend.owns(k) and self.backend.xp is not np else k - books

    def decode_indices(self, k: Any) -> Any:
        """The mean of p(x | e_k):  whole numbers (rows, M), each 0 … K − 1 -> (rows, n)."""
        k = host_array(k, "k", f"whole numbers (rows, {self.codes})")
        if k.ndim != 2 or k.shape[1] != self.codes or k.dtype.kind not in "iu" or not len(k):
            raise InputError(f"k is {k.dtype} {k.shape}: expected whole numbers (rows, {self.codes})")
        if k.min() < 0 or k.max() >= self.codebook:
            raise InputError(f"k has the values {k.min()} to {k.max()}: expected 0 to {self.codebook - 1}")
        books = np.arange(self.codes) * (self.codebook if self.own else 0)
        E = self.backend.to_numpy(self.between.E)
        return self.decode(E[k + books].reshape(len(k), -1))

    def perplexity(self, X: Any) -> np.ndarray:
        """How many rows of its codebook each part uses, e^entropy of its choices over all rows of X: 1 … K, (M,)."""
        k = self.indices(X)
        k = k if isinstance(k, np.ndarray) else self.backend.to_numpy(k)
        p = np.stack([np.bincount(part, minlength=self.codebook) for part in k.T]) / len(k)
        return np.exp(-(p * np.log(np.where(p > 0, p, 1))).sum(axis=1))

    @door(seed=Count(lowest=0))
    def start_codebook(self, X: Any, seed: int = 0) -> None:
        """Put the rows of the codebook on the z of random rows of X, before training."""
        z = np.asarray(self.apply(lambda x, start: self.f.forward(x)[0], host_array(X, "X")))
        rows, parts = self.backend.stream(seed, "sample"), z.reshape(len(z), self.codes, -1)
        if len(z) < self.codebook:
            raise InputError(f"X has {len(z)} rows and the codebook {self.codebook}: expected as many or more")
        if self.own:
            E = np.concatenate([parts[rows.permutation(len(z))[: self.codebook], i] for i in range(self.codes)])
        else:
            E = parts.reshape(-1, parts.shape[2])[rows.permutation(parts.shape[0] * self.codes)[: self.codebook]]
        E = self.backend.from_numpy(np.ascontiguousarray(E.astype(self.dtype)))
        if self.decay is None:
            self.parameters["E"][...] = E
        else:
            for name in ("e", "m"):
                self.state[f"E.{name}"][...] = E
            self.state["E.n"][...] = 1

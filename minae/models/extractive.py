from typing import Any

import numpy as np

from minae import kernels, ops
from minae.errors import InputError
from minae.fields import Tokens
from minae.layers import Affine, Embedding, LayerNorm, Mode, Positions
from minae.losses import LOSSES
from minae.models.model import Cost, Model
from minae.networks import Network, transformer_block
from minae.options import Choice, Count, Flag
from minae.symbols import leave_one_out


class ExtractiveAutoencoder(Model):
    r"""An autoencoder of texts whose code is k words of the text itself.     J = L     (20.9.1)

        a = f(x)                            a logit for each word of the text:  tokens (B, T) -> (B, T)
        q(y | x) = Π_i softmax(a)_{y_i}     k places y, drawn one by one from the same softmax, the pointer
        h = 1/k Σ_i R_{x_{y_i}}             the words at these places, as rows of a matrix R, order left out
        s = h V + c                         logits of all words
        L = −1/T Σ_t log softmax(s)_{x_t}   cross-entropy per word: how well k words tell the others

    The code can be read, since it is words, and nobody said what a summary is. That is a small form of Wang and Lee
    (2018). A choice of words has no derivative, so that f learns by REINFORCE, from K draws of y for each x.

    Derivation: R, V and c have an ordinary gradient at any draw, with the bag t_v = 1/T #{t : x_t = v}:
        ds = 1/(K B) (softmax(s) − t),    dR_v = 1/k Σ (ds Vᵀ) over the places that chose v
    For f, the mean over the draws is a sum over all choices, and ∇q = q ∇log q:
        ∇ Σ_y q(y) L(y) = Σ_y q(y) L(y) ∇log q(y),    ∂log q/∂a_t = Σ_i ([y_i = t] − softmax(a)_t)
    A number that does not depend on y may be subtracted from L, since Σ_y ∇q(y) = 0: the mean of the *other* draws of
    the same x. With the advantage A_k = L_k − that mean, held fixed, the estimate is the gradient of
        S = 1/(K B) Σ_bk A_bk log q(y_bk | x_b),    da_bt = 1/(K B) Σ_k A_bk Σ_i ([y_bki = t] − softmax(a_b)_t)
    S says nothing by its value, and is left out of J in a history. With choice="first" the code is the first k words,
    and there is no f. L does not depend on the order of the words, so any rule of choice can be compared by this model:
    put the words first that the rule chooses.
    """

    R: Any
    name = "extractive"
    section = "20.9.1"
    terms = ("L", "S")
    objective = ("L",)
    vocabulary = Count(2000, "different tokens, the marks ‹end›, ‹hidden›, ‹unknown› among them", lowest=4)
    choice = Choice("learned", "who chooses: f, or the rule that the first k words are it", among=("learned", "first"))
    most = Count(16, "words of the longest text", lowest=2)
    k = Count(3, "words of the code")
    width = Count(64, "n, numbers for each word")
    heads = Count(4, "heads of the attention of f")
    draws = Count(4, "draws of the code for each text", lowest=2)
    context = Flag(True, "whether f reads the whole text, or each word and its place alone")
    laws = {"u": "uniform"}
    cases = {
        "": dict(vocabulary=9, most=9, k=2, width=4, heads=2, draws=3),
        "without context": dict(vocabulary=9, most=9, k=1, width=4, heads=2, draws=2, context=False),
        "the first words": dict(vocabulary=9, most=9, k=2, width=4, choice="first"),
    }

    @property
    def learned(self) -> Any:
        return self.choice == "learned"

    def inputs(self) -> dict[str, Any]:
        return {"x": Tokens(self.vocabulary, None)}

    def networks(self) -> dict[str, Any]:
        n = self.width
        layers = [Embedding("E", self.vocabulary, n), Positions(self.most, n, "P")]
        layers += transformer_block("1", n, self.heads, 2 * n, activation="gelu") if self.context else []
        f = {"f": Network([*layers, LayerNorm(n, "G", "g"), Affine("Wa", "ba", n, 1)])}
        reader = {"R": Embedding("R", self.vocabulary, n), "g": Affine("V", "c", n, self.vocabulary)}
        return (f if self.learned else {}) | reader

    def build(self) -> None:
        self.loss = LOSSES["categorical"](self.arena, self.weights)
        if not self.learned:
            self.weights["S"] = 0.0

    def constants(self, rng: np.random.Generator, x: Any, x_length: Any) -> dict[str, Any]:
        if not self.learned:
            return {}
        return {"u": kernels.noise.uniform(rng, self.arena.empty(len(x), self.draws, self.k))}

    def cost_and_grad(
        self,
        x: Any,
        x_length: Any,
        u: Any = None,
        y: Any = None,
        A: Any = None,
        mode: Any = "train",
        need_grad: bool = True,
    ) -> Cost:
        """J at the texts x (B, T) with u ~ U[0, 1), (B, draws, k); ∂J/∂θ goes to `parameters.grad`. y, A: the places
        and the advantages held fixed; without them they are those of θ and u."""
        xp, mode.length = self.backend.xp, x_length
        B, K = len(x), self.draws if self.learned else 1
        if self.learned:
            a, f_cache = self.f.forward(x, mode)  # (B, T, 1)
            log_q = self.log_q(a[:, :, 0], x_length)  # (B, T)
            y = self.places(log_q, x_length, u) if y is None else y
        else:
            y = xp.minimum(xp.arange(self.k), x_length[:, None] - 1)[:, None]  # (B, 1, k)
        h, R_cache = self.read(x, y, mode)  # (B K, n)
        s, g_cache = self.g.forward(h, mode)  # (B K, vocabulary)
        t = self.repeated(self.bag(x, x_length), K)
        L, ds = self.loss(s, t)
        S = None
        if self.learned:
            if A is None:
                A = leave_one_out(self.loss.rows(s, t).reshape(B, K).T).T
            chosen = self.counts(y, x.shape[1])  # how often y has place t   (B, K, T)
            finite = xp.maximum(log_q, -1e9)  # −∞ at padding, which no y has
            S = (A * (chosen * finite[:, None]).sum(axis=2)).sum() / (K * B)
        cost = self.cost(L=L, S=S, constants={"y": y, "A": A} if self.learned else {})
        if not need_grad:
            return cost

        # the same lines, upward
        dh = self.g.backward(ds, g_cache)
        dwords = self.arena.empty(B, K * self.k, self.width)
        dwords.reshape(B * K, self.k, -1)[...] = dh[:, None] / self.k
        self.R.backward(dwords, R_cache)
        if self.learned:
            q = self.arena.ws.exp(log_q)
            da = (A[:, :, None] * (chosen - self.k * q[:, None])).sum(axis=1) * (self.weights["S"] / (K * B))
            self.f.backward(da[:, :, None], f_cache, need_dx=False)
        return cost

    def log_q(self, a: Any, length: Any) -> Any:
        """log softmax of the pointer's logits over the words that are no padding, (B, T)."""
        xp, masked = self.backend.xp, self.arena.empty(*a.shape)
        masked[...] = xp.where(xp.arange(a.shape[1]) < length[:, None], a, -np.inf)
        return ops.log_softmax(masked)

    def places(self, log_q: Any, length: Any, u: Any) -> Any:
        """y of u, by the cumulated softmax: int32 (B, draws, k)."""
        xp = self.backend.xp
        cumulated = xp.exp(log_q).cumsum(axis=1)
        cumulated = cumulated / cumulated[:, -1:]
        y = (cumulated[:, None, None] <= u[..., None]).sum(axis=3)
        return xp.minimum(y, length[:, None, None] - 1).astype("int32")

    def counts(self, y: Any, T: Any) -> Any:
        """#{i : y_i = t}, (B, K, T)."""
        return self.arena.ws.equal(y[..., None], self.backend.xp.arange(T)).sum(axis=2)

    def read(self, x: Any, y: Any, mode: Any) -> Any:
        """h of the words at the places y (B, K, k)."""
        words = self.backend.xp.take_along_axis(x, y.reshape(len(x), -1).astype("int64"), axis=1)
        rows, cache = self.R.forward(words, mode)
        return rows.reshape(-1, self.k, self.width).mean(axis=1), cache

    def bag(self, x: Any, length: Any) -> Any:
        """The share of each token among the words of a text, (B, vocabulary)."""
        xp, ws = self.backend.xp, self.arena.ws
        share = ws.divide(ws.less(xp.arange(x.shape[1]), length[:, None]), length[:, None])
        return xp.einsum("bt,btv->bv", share, ws.equal(x[:, :, None], xp.arange(self.vocabulary)))

    def repeated(self, rows: Any, K: Any) -> Any:
        """Each row K times."""
        out = self.arena.empty(len(rows) * K, *rows.shape[1:])
        out.reshape(len(rows), K, *rows.shape[1:])[...] = rows[:, None]
        return out

    # ---- what a trained model says

    def pointer(self, x: Any, length: Any) -> Any:
        """log q of each place, (B, T), of a batch on the device."""
        return self.log_q(self.f.forward(x, Mode("eval", length=length))[0][:, :, 0], length)

    def encode(self, X: Any) -> np.ndarray:
        """The places of the k words with the largest q, the most likely first:  -> (rows, k) of whole numbers."""
        if min(map(len, X)) < self.k:
            raise InputError(f"X has a text of {min(map(len, X))} words: expected at least k = {self.k}")
        if not self.learned:
            return np.tile(np.arange(self.k), (len(X), 1))

        def best(x, length, start):
            return self.backend.xp.argsort(-self.pointer(x, length), axis=1)[:, : self.k]

        return self.apply(best, X)

    def first(self, X: Any) -> list[np.ndarray]:
        """The texts with the words of `encode` put first, as a model with choice="first" reads them."""
        places = self.encode(X)
        return [np.concatenate([row[at], np.delete(row, at)]) for row, at in zip(X, places, strict=True)]

    def cross_entropy(self, X: Any) -> float:
        """L, nats per word, where the code is that of `encode`."""
        reader = type(self)(**self.config | {"choice": "first"}, backend=self.backend, dtype=self.dtype.name)
        for name in reader.parameters:
            reader.parameters[name][...] = self.parameters[name]
        return reader.evaluate(self.first(X))["L"]

    def summaries(self, X: Any) -> list[str]:
        """The words at the places of `encode` in the order of the text, where the model has the text's vocabulary."""
        if self.preprocessing.vocabulary is None:
            raise InputError("this model has no vocabulary: give it model.preprocessing = Preprocessing(vocabulary=…)")
        rows = [np.asarray(row)[np.sort(places)] for row, places in zip(X, self.encode(X), strict=True)]
        return self.preprocessing.vocabulary.lines(rows)

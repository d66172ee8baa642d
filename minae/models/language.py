import math
from typing import Any

import numpy as np

from minae import ops
from minae.data.text import END, HIDDEN, UNKNOWN
from minae.errors import InputError
from minae.fields import Tokens
from minae.layers import GRU, Affine, Bidirectional, Embedding, LayerNorm, Mode, Positions
from minae.losses import TokenLoss
from minae.models.model import Cost, Model
from minae.networks import Network, transformer_block
from minae.options import Array, Choice, Count, Number, Positive, Rate, Word, door


class LanguageModel(Model):
    r"""Fills in the tokens that are hidden in a text, or goes on with it.     J = L     (12.4.2, 20.10.9)

        y = f(x̃)                  embedding, positions, blocks of attention, or a GRU:  tokens (B, T) -> (B, T, n)
        s_t = y_t Eᵀ + c          logits of a token at place t; E is the embedding itself, tied
        L = −1/N Σ_t log softmax(s_t)_{x_t}      over the N places that count

        task="masked":  x̃ is x, some tokens of which are ‹hidden›; those count. Each y_t reads the whole line: it is a
                        denoising autoencoder, and the relation to BERT (Devlin et al. 2019)
        task="causal":  x̃ is x moved on by one place, with ‹end› before it; all tokens count. y_t reads no place after
                        t, so that p(x) = Π_t p(x_t | x_1 … x_{t−1}): the relation to GPT (Radford et al. 2018)

    Tokens 0, 1, 2 are ‹end›, ‹hidden›, ‹unknown›, as `minae.data.Vocabulary` numbers them. Marks are not hidden, but
    for a line that has nothing else.

    Derivation: a place that does not count is no part of L, and its ds is exactly 0. So only the places that count are
    chosen, as y_c = Sᵀ y with a matrix S of 0 and 1 for each line, and their gradient goes back to where it was:
        ds_cv = 1/N (softmax(s_c)_v − [v = x_c]),    dy_c = ds_c E,    dy = S dy_c
    E is read twice, as the rows that the tokens choose and as the output layer. J depends on it by both ways, and its
    gradient is their sum, which both layers add to one array:
        dE_i = Σ_bt [x̃_bt = i] dx0_bt + Σ_c ds_ci y_c
    Within f, a residual block y = x + F(x) gives dx = dy + (∂F/∂x)ᵀ dy; see `minae.networks.Residual`, `minae.ops.
    attention` and `minae.ops.sequence`. Through a block the gradient so always has a way on which nothing shrinks it.
    """

    name = "language"
    short = ("bert", "gpt")
    section = "20.10.9"
    coupled = ("L",)  # a mean over the tokens of a batch, whose lines have different lengths
    task = Choice("causal", "fill in hidden tokens, or go on", among=("masked", "causal"))
    body = Choice("attention", "what reads the text", among=("attention", "gru"))
    vocabulary = Count(2000, "different tokens, the marks ‹end›, ‹hidden›, ‹unknown› among them", lowest=4)
    most = Count(64, "tokens of the longest line, its end included", lowest=2)
    width = Count(64, "n, numbers for each place")
    blocks = Count(2, "blocks of attention, or layers of the GRU")
    heads = Count(4, "heads of the attention")
    hide = Rate(0.15, "share of the tokens of a line that is hidden, at least one; of masked")
    laws = {"u": "uniform"}
    cases = {
        "masked": dict(task="masked", vocabulary=9, most=8, width=4, blocks=1, heads=2, hide=0.4),
        "causal": dict(vocabulary=9, most=8, width=4, blocks=1, heads=2),
        "masked, gru": dict(task="masked", body="gru", vocabulary=9, most=8, width=4, blocks=1, hide=0.4),
        "causal, gru": dict(body="gru", vocabulary=9, most=8, width=4, blocks=1),
    }

    def settle(self) -> None:
        parts = self.heads if self.body == "attention" else 2 if self.task == "masked" else 1
        if self.width % parts:
            words = "heads" if self.body == "attention" else "directions in which the GRU reads"
            raise InputError(f"width is {self.width}: expected a multiple of {parts}, the {words}")

    def inputs(self) -> dict[str, Any]:
        return {"x": Tokens(self.vocabulary, None)}

    def networks(self) -> dict[str, Any]:
        n, causal = self.width, self.task == "causal"
        layers: list[Any] = [Embedding("E", self.vocabulary, n)]
        if self.body == "attention":
            layers.append(Positions(self.most, n, "P"))
            for k in range(1, self.blocks + 1):
                layers += transformer_block(str(k), n, self.heads, 4 * n, causal, "gelu")
        for k in range(1, self.blocks + 1) if self.body == "gru" else ():
            W, U, b, u = (f"{letter}{k}" for letter in "WUbu")
            half = n // 2
            layers.append(
                GRU(W, U, b, u, n, n) if causal else
                Bidirectional(
                    GRU(W, U, b, u, n, half), GRU(f"{W}r", f"{U}r", f"{b}r", f"{u}r", n, half, reverse=True)
                )
            )  # fmt: skip
        layers.append(LayerNorm(n, "G", "g"))
        return {"f": Network(layers), "g": Affine("E", "c", n, self.vocabulary, transposed=True)}

    def build(self) -> None:
        self.loss = TokenLoss(self.arena, self.weights)

    def constants(self, rng: np.random.Generator, x: Any, x_length: Any) -> dict[str, Any]:
        if self.task == "causal":
            return {}
        return {"u": self.backend.from_numpy(rng.random(x.shape).astype(self.dtype))}

    def cost_and_grad(self, x: Any, x_length: Any, u: Any = None, mode: Any = "train", need_grad: bool = True) -> Cost:
        """J at the lines x (B, T), of which x_length (B,) tokens are no padding, with u ~ U[0, 1), (B, T), for masked;
        ∂J/∂θ goes to `parameters.grad`."""
        xp, ws, mode.length = self.backend.xp, self.arena.ws, x_length
        if self.task == "causal":
            S, x_tilde = None, self.moved(x)
            x_c, m = x, ws.less(xp.arange(x.shape[1]), x_length[:, None])
        else:
            at, m = self.chosen(x, x_length, u)
            S = ws.multiply(ws.equal(xp.arange(x.shape[1])[None, :, None], at[:, None, :]), m[:, None, :])
            x_tilde = xp.where(S.sum(axis=2) > 0, HIDDEN, x).astype("int32")
            x_c = xp.take_along_axis(x, at, axis=1)
        y, f_cache = self.f.forward(x_tilde, mode)  # y = f(x̃)              (B, T, n)
        y_c = y if S is None else xp.matmul(S.transpose(0, 2, 1), y, out=self.arena.empty(*at.shape, self.width))
        s, g_cache = self.g.forward(y_c, mode)  # s = y Eᵀ + c               (B, K, vocabulary)
        L, ds = self.loss(s, x_c, m)  # over the places that count
        cost = self.cost(L=L)
        if not need_grad:
            return cost

        # the same lines, upward
        dy_c = self.g.backward(ds, g_cache)  # dE += dsᵀ y
        dy = dy_c if S is None else xp.matmul(S, dy_c, out=self.arena.empty(*y.shape))
        self.f.backward(dy, f_cache, need_dx=False)  # dE += what the places of each token send
        return cost

    def moved(self, x: Any) -> Any:
        """‹end›, x_1 … x_{T−1}."""
        x_tilde = self.arena.empty(*x.shape, dtype="int32")
        x_tilde[:, :1] = END
        x_tilde[:, 1:] = x[:, :-1]
        return x_tilde

    def chosen(self, x: Any, length: Any, u: Any) -> Any:
        """The places that are hidden, (B, K), and which of them count: a share `hide` of a line's words, one at least.

        Those with the least u; marks come after all words, and padding last."""
        xp = self.backend.xp
        K = max(1, math.ceil(self.hide * x.shape[1]))
        padding = xp.arange(x.shape[1]) >= length[:, None]
        words = (x > UNKNOWN) & (xp.arange(x.shape[1]) < length[:, None])
        key = u + 2 * (x == UNKNOWN) + 4 * (x < UNKNOWN) + 8 * padding
        at = xp.argsort(key, axis=1)[:, :K]
        count = xp.maximum(self.hide * words.sum(axis=1), 1)
        return at, self.arena.ws.less(xp.arange(K), count[:, None])

    # ---- what a trained model says

    def log_p(self, x: Any, length: Any) -> Any:
        """log p of every token at every place, (B, T, vocabulary), of a batch on the device: for masked with nothing
        hidden beside what x hides itself."""
        x_tilde = self.moved(x) if self.task == "causal" else x
        s = self.g.forward(self.f.forward(x_tilde, Mode("eval", length=length))[0])[0]
        return ops.log_softmax(s.reshape(-1, self.vocabulary)).reshape(s.shape)

    @door(at=Array(1, "iu"))
    def guesses(self, X: Any, at: Any) -> Any:
        """log p of each token at the place at[i] of line i:  -> (rows, vocabulary). A masked model has this place
        hidden and reads the others; a causal one reads what comes before it."""
        self._checked_places(X, at)

        def rows(x, length, start):
            place = self.backend.from_numpy(np.ascontiguousarray(at[start : start + len(x)]).astype("int64"))
            here = self.backend.xp.arange(x.shape[1]) == place[:, None]
            if self.task == "masked":
                x = self.backend.xp.where(here, HIDDEN, x).astype("int32")
            return (self.log_p(x, length) * here[:, :, None]).sum(axis=1)

        return self.apply(rows, X, batch_size=100)

    def _checked_places(self, X, at):
        if len(X) != len(at) or not all(0 <= place < len(x) for place, x in zip(at, X, strict=False)):
            raise InputError(f"at has {len(at)} places: expected one within each of the {len(X)} lines, from 0 on")

    def score_samples(self, X: Any) -> np.ndarray:
        """log p(x) = Σ_t log p(x_t | x_1 … x_{t−1}) of each line, of the causal model:  -> (rows,)."""
        self._only("score_samples")

        def rows(x, length, start):
            xp = self.backend.xp
            each = xp.take_along_axis(self.log_p(x, length), x[:, :, None].astype("int64"), axis=2)[:, :, 0]
            return (each * (xp.arange(x.shape[1]) < length[:, None])).sum(axis=1)

        return self.apply(rows, X, batch_size=100)

    def perplexity(self, X: Any) -> float:
        """e^L over all tokens of X, of the causal model: between how many tokens it is in doubt, on average."""
        return float(np.exp(-self.score_samples(X).sum(dtype=np.float64) / sum(len(x) for x in X)))

    def _only(self, verb):
        if self.task != "causal":
            raise InputError(f"{verb} is of task='causal'; a masked model gives no p(x): use `guesses`")

    @door(
        count=Count(),
        seed=Count(lowest=0),
        temperature=Positive(),
        top_k=Count(optional=True),
        top_p=Number(low=0, high=1, optional=True),
        prompt=Word(optional=True),
    )
    def sample(
        self,
        count: int,
        seed: int = 0,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        prompt: str | None = None,
    ) -> list[Any]:
        """Lines drawn token by token from the causal model, after the words of `prompt`: text where the model has the
        vocabulary of its text, else arrays of tokens.

        temperature: p is proportional to p^(1/temperature): below 1 the likely gains, above 1 the unlikely
        top_k:       only the k most likely tokens are drawn from
        top_p:       only the most likely tokens whose probabilities reach this sum (Holtzman et al. 2020)
        """
        self._only("sample")
        words, rng = self.preprocessing.vocabulary, np.random.default_rng(seed)
        begun = [] if prompt is None else self._begun(prompt, words)
        x = np.tile(np.array(begun, np.int32), (count, 1)).reshape(count, -1)
        ended = np.zeros(count, bool)
        while x.shape[1] < self.most and not ended.all():
            padded = np.hstack([x, np.full((count, 1), END, np.int32)])  # the place that is drawn
            length = np.full(count, padded.shape[1], np.int32)
            with self.arena:
                given = [self.backend.from_numpy(array) for array in (padded, length)]
                log_p = self.backend.to_numpy(self.log_p(*given)[:, -1]).astype(np.float64)
            p = next_token(log_p, temperature, top_k, top_p)
            drawn = (p.cumsum(axis=1) > rng.random((count, 1))).argmax(axis=1)
            drawn[ended] = END
            x, ended = np.hstack([x, drawn[:, None].astype(np.int32)]), ended | (drawn == END)
        return [row[: [*row, END].index(END)] for row in x] if words is None else words.lines(list(x))

    def _begun(self, prompt, words):
        if words is None:
            raise InputError("prompt was given, and this model has no vocabulary: train it on a text")
        begun = [int(token) for token in words.tokens([prompt])[0][:-1]]
        if UNKNOWN in begun or len(begun) >= self.most:
            raise InputError(
                f"prompt is {prompt!r}: expected less than {self.most} words, all of them of the vocabulary"
            )
        return begun


def next_token(
    log_p: np.ndarray, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Any:
    """The probabilities from which `sample` draws, of rows of log p. ‹hidden› and ‹unknown› are never drawn."""
    log_p = np.array(log_p, np.float64)
    log_p[:, [HIDDEN, UNKNOWN]] = -np.inf
    p = np.exp((log_p - log_p.max(axis=1, keepdims=True)) / temperature)
    p /= p.sum(axis=1, keepdims=True)
    order = np.argsort(-p, axis=1, kind="stable")
    sorted_p = np.take_along_axis(p, order, axis=1)
    keep = np.ones(p.shape, bool)
    if top_k is not None:
        keep[:, top_k:] = False
    if top_p is not None:
        keep &= sorted_p.cumsum(axis=1) - sorted_p < max(top_p, 1e-12)  # the one that reaches the sum is in
    kept = np.zeros(p.shape, bool)
    np.put_along_axis(kept, order, keep, axis=1)
    p = np.where(kept, p, 0)
    return p / p.sum(axis=1, keepdims=True)

from typing import Any

import numpy as np

from minae import kernels
from minae.data.text import END
from minae.errors import InputError
from minae.fields import Tokens, host_array
from minae.games import Game
from minae.layers import GRU, Affine, Embedding, Mode, PointerGenerator, TimeMean
from minae.models.model import Cost, Model
from minae.networks import Network
from minae.options import Choice, Count, Number, door
from minae.symbols import leave_one_out


class AbstractiveAutoencoder(Model):
    r"""An autoencoder of texts whose code is a text, written word by word.     J = L     (20.9.1)

        y ~ q(y | x) = Π_i q(y_i | y_1 … y_{i−1}, x)      the writer w reads x and writes up to k words, or ‹end›
        L = −1/T Σ_t log p(x_t | x_1 … x_{t−1}, y)        the reader R reads y and tells x, nats per word
        t = d(y)                                          a discriminator: the logit of "a person wrote y"
        C = L + λ ζ(−t)                                   what a draw costs; ζ(−t) = −log σ(t), ζ the softplus

        turn G   S = 1/(K B) Σ_bj A_bj log q(y_bj | x_b)   moves w by REINFORCE, and L moves R;  j: one of K draws
        turn D   J = L_D of `minae.games`                  moves d: real is `human`, summaries of *other* texts

    Both w and R are `minae.layers.PointerGenerator`: they write one sequence, read another one, and may copy its words.
    Nobody shows w a summary of x. That y is short is what makes it a code; that a person can read it is only d's wish.
    (Wang and Lee 2018)

    Derivation: y is made of choices, so that no gradient goes from R or d back into w. What w minimises is a sum over
    all texts y, of which q alone depends on w:
        ∇ Σ_y q(y) C(y) = Σ_y q(y) C(y) ∇log q(y) = E C(y) ∇log q(y)
    A number that does not depend on y may be subtracted from C: the mean of the *other* draws of the same x. With A_j =
    C_j − that mean, held fixed, ∇S is the estimate. log q(y) is a sum over the words up to the first ‹end›; what stands
    behind it was not drawn, and has no part in S. L has an ordinary gradient by R's parameters at any draw, and L_D one
    by d's. With choice="first" the code is the first k − 1 words of the text and ‹end›, with A = −1: w learns to write
    them, by maximum likelihood, and R to read them. It is a place from which both can begin.
    """

    w: Any
    R: Any
    name = "abstractive"
    section = "20.9.1"
    terms = ("L", "S", "L_D")
    objective = ("L",)
    vocabulary = Count(2000, "different tokens, the marks ‹end›, ‹hidden›, ‹unknown› among them", lowest=4)
    choice = Choice("learned", "what the code is: words that w draws, or the first words", among=("learned", "first"))
    k = Count(6, "words of the code at most", lowest=2)
    width = Count(64, "n, numbers for each place", lowest=2)
    draws = Count(2, "draws of the code for each text", lowest=2)
    readable = Number(0.0, "λ, the weight of what the discriminator says of a draw; 0 for none", low=0)
    laws = {"u": "uniform"}
    cases = {
        "": dict(vocabulary=5, k=2, width=2, draws=2),
        "discriminator": dict(vocabulary=5, k=2, width=2, draws=3, readable=0.5),
        "the first words": dict(vocabulary=5, k=2, width=2, choice="first"),
    }

    def settle(self) -> None:
        if self.readable and self.choice == "first":
            raise InputError(
                "choice is 'first' with readable > 0: the discriminator judges what is drawn; set one only"
            )
        self.turns = {"G": ("w", "R"), "D": ("d",)} if self.readable else {}

    def inputs(self) -> dict[str, Any]:
        x = {"x": Tokens(self.vocabulary, None)}
        return x | {"human": Tokens(self.vocabulary, None)} if self.readable else x

    def networks(self) -> dict[str, Any]:
        n, v = self.width, self.vocabulary
        nets = {"w": PointerGenerator("w", v, n), "R": PointerGenerator("R", v, n)}
        d = [Embedding("Ed", v, n), GRU("Wd", "Ud", "bd", "ud", n, n), TimeMean(), Affine("V", "c", n, 1)]
        return nets | ({"d": Network(d)} if self.readable else {})

    def build(self) -> None:
        if not self.readable:
            self.weights["L_D"] = 0.0
        self.game = Game("non_saturating", self.arena, self.weights)

    def constants(self, rng: np.random.Generator, x: Any, x_length: Any, **human: Any) -> dict[str, Any]:
        if self.choice == "first":
            return {}
        return {"u": kernels.noise.uniform(rng, self.arena.empty(len(x), self.draws, self.k, 2))}

    def cost_and_grad(
        self,
        x: Any,
        x_length: Any,
        human: Any = None,
        human_length: Any = None,
        u: Any = None,
        y: Any = None,
        A: Any = None,
        turn: str = "G",
        mode: Any = "train",
        need_grad: bool = True,
    ) -> Cost:
        """The cost of one turn at the texts x (B, T), with u ~ U[0, 1), (B, draws, k, 2); ∂J/∂θ goes to
        `parameters.grad`. y, A: the codes and the advantages held fixed; without them they are those of θ and u."""
        ws, reads = self.arena.ws, Mode(length=x_length)
        if y is None:
            y = self.lead(x, x_length) if self.choice == "first" else self.w.draw(x, u, reads)  # (B, K, k)
        B, K, k = y.shape
        code, length = y.reshape(B * K, k), self.length(y)
        if turn == "D":
            t_real, real_cache = self.d.forward(human, Mode(length=human_length))  # d(human)   (B, 1)
            t_fake, fake_cache = self.d.forward(code, Mode(length=length))  # d(y)              (B K, 1)
            L_D, dt_real, dt_fake = self.game.discriminator(t_real, t_fake)
            cost = self.cost(L_D=L_D, constants={"y": y})
            if need_grad:
                self.d.backward(dt_fake, fake_cache, need_dx=False)
                self.d.backward(dt_real, real_cache, need_dx=False)
            return cost

        share = self.share(x, x_length, K)  # 1/T at each word of x                 (B K, 1, T)
        log_p, R_cache = self.R.forward(code, self.repeated(x, K), Mode(length=length))
        L_of = ws.negative(ws.multiply(share, log_p).sum(axis=2)).reshape(B, K)
        log_q, w_cache = self.w.forward(x, y, reads)  # (B, K, k)
        written = self.live(length, k).reshape(B, K, k)  # 1 up to the first ‹end›
        if A is None:
            A = ws.subtract(ws.multiply(L_of, 0), 1) if self.choice == "first" else self.advantage(L_of, code, length)
        dlog_q = ws.multiply(written, ws.multiply(A, self.weights["S"] / (B * K))[:, :, None])
        S = (A * (written * log_q).sum(axis=2)).sum() / (B * K)
        cost = self.cost(L=L_of.sum() / (B * K), S=S, constants={"y": y, "A": A})
        if need_grad:
            self.R.backward(ws.multiply(share, -self.weights["L"] / (B * K)), R_cache)
            self.w.backward(dlog_q, w_cache)
        return cost

    def advantage(self, L_of: Any, code: Any, length: Any) -> Any:
        """A_bj = C_bj − the mean C of the other draws of text b, (B, K)."""
        C = L_of
        if self.readable:
            t, _ = self.d.forward(code, Mode(length=length))
            C = self.arena.ws.add(L_of, self.readable * self.game.made(self.arena.ws, t)[0].reshape(L_of.shape))
        return self.arena.ws.multiply(leave_one_out(C.T).T, 1)

    def lead(self, x: Any, x_length: Any) -> Any:
        """The first k − 1 words of each text and ‹end›, (B, 1, k)."""
        y, xp = self.arena.empty(len(x), 1, self.k, dtype="int32"), self.backend.xp
        y[...] = END
        most = min(self.k - 1, x.shape[1])
        y[:, 0, :most] = xp.where(xp.arange(most) < x_length[:, None], x[:, :most], END)
        return y

    def length(self, y: Any) -> Any:
        """Words of each code up to the first ‹end›, itself included, (B K,)."""
        ended = y.reshape(-1, y.shape[2]) == END
        return self.backend.xp.where(ended.any(axis=1), ended.argmax(axis=1) + 1, y.shape[2])

    def live(self, length: Any, most: Any) -> Any:
        """1 before the length of each row, (rows, most)."""
        return self.arena.ws.less(self.backend.xp.arange(most), length[:, None])

    def share(self, x: Any, x_length: Any, K: Any) -> Any:
        """1/T at the T words of each text and 0 behind, (B K, 1, T)."""
        share = self.arena.ws.divide(self.live(x_length, x.shape[1]), x_length[:, None])
        return self.repeated(share, K)

    def repeated(self, rows: Any, K: Any) -> Any:
        """Each row K times, (B, T) -> (B K, 1, T)."""
        out = self.arena.empty(len(rows) * K, 1, rows.shape[1], dtype=rows.dtype)
        out.reshape(len(rows), K, -1)[...] = rows[:, None]
        return out

    # ---- what a trained model says

    def encode(self, X: Any) -> np.ndarray:
        """The code of each text, written with the most probable word at each place:  -> int32 (rows, k), 0 at and
        behind ‹end›."""

        def code(x, length, start):
            mode = Mode(length=length)
            return (self.lead(x, length) if self.choice == "first" else self.w.write(x, self.k, mode))[:, 0]

        return self.apply(code, X, batch_size=100)

    @door(most=Count())
    def decode(self, Y: Any, most: int = 24) -> np.ndarray:
        """The text that R tells of each code, (rows, k), with the most probable word at each place."""
        Y = self.checked_codes(Y)
        ended = Y == END
        length = np.where(ended.any(axis=1), ended.argmax(axis=1) + 1, self.k)
        codes = [row[:words] for row, words in zip(Y, length, strict=True)]
        return self.apply(
            lambda y, length, start: self.R.write(y, most, Mode(length=length))[:, 0], codes, batch_size=100
        )

    def told(self, X: Any, Y: Any) -> float:
        """L, nats per word, where the code of text i is row i of Y, (rows, k): how well R tells the texts from them."""
        Y = self.checked_codes(Y)
        if len(Y) != len(X):
            raise InputError(f"Y has {len(Y)} codes: expected one for each of the {len(X)} texts")

        def rows(x, length, start):
            y = self.backend.from_numpy(Y[start : start + len(x)])[:, None]
            log_p, _ = self.R.forward(y[:, 0], x[:, None], Mode(length=self.length(y)))
            return -(self.share(x, length, 1) * log_p).sum(axis=2)

        return float(self.apply(rows, X, batch_size=100).mean())

    def checked_codes(self, Y: Any) -> Any:
        """Y as int32 (rows, k), tokens of the vocabulary."""
        Y = host_array(Y, "Y", f"tokens (rows, {self.k}), as `encode` gives them")
        if Y.dtype.kind not in "iu" or Y.shape[1:] != (self.k,) or not len(Y):
            raise InputError(f"Y is {Y.dtype} {Y.shape}: expected tokens (rows, {self.k}), as `encode` gives them")
        if not 0 <= Y.min() <= Y.max() < self.vocabulary:
            raise InputError(f"Y has tokens {Y.min()} to {Y.max()}: expected 0 to {self.vocabulary - 1}")
        return Y.astype(np.int32)

    def summaries(self, X: Any) -> list[str]:
        """The codes of `encode` as words, where the model has the text's vocabulary."""
        if self.preprocessing.vocabulary is None:
            raise InputError("this model has no vocabulary: give it model.preprocessing = Preprocessing(vocabulary=…)")
        return self.preprocessing.vocabulary.lines([row[: [*row, END].index(END)] for row in self.encode(X)])

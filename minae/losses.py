r"""The reconstruction error as a negative log-likelihood: L = −log p_decoder(x | h).     (14.13)

The decoder's last layer gives s, the natural parameters of p (logits, or the mean of a Gaussian); a loss is never given
a clipped probability. Called as `L, ds = loss(s, x)`: L is summed over features and averaged over the batch, and ds is
weight · ∂L/∂s; in one pass, because the two share their exponential. `loss.mean(s)` is r = g(h), the mean of p.

| loss        | p(x ∣ h)            | x                    | L for one example                  | its ∂/∂s         |
| ----------- | ------------------- | -------------------- | ---------------------------------- | ---------------- |
| Gaussian    | N(x; s, I)          | any                  | ½ Σ (s − x)², ½ n log 2π left out   | s − x            |
| Bernoulli   | Bernoulli(x; σ(s))  | in [0, 1]            | Σ softplus(s) − x s                | σ(s) − x         |
| Categorical | Cat(x; softmax(s))  | ≥ 0, rows sum to 1   | −Σ x log softmax(s)                | softmax(s) − x   |
| Laplace     | Laplace(x; s, 1)    | any                  | Σ |s − x|                          | sign(s − x)      |
| Huber       |                     | any                  | Σ ½ d² or |d| − ½, with d = s − x  | clip(d, −1, 1)   |
| StudentT    | t_ν(x; s), ν = 3    | any                  | Σ ½ (ν + 1) log(1 + d²/ν)          | (ν + 1) d/(ν+d²) |

Constants that do not depend on s are left out. Hinge and SquaredHinge are heads of a classifier, TokenLoss that of a
model of sequences, and CellLoss that of the rows of a table.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minae import kernels, ops
from minae.arena import Arena
from minae.backend import namespace
from minae.errors import InputError
from minae.fields import Field, OneHot, Real, Row
from minae.penalties import Term

ROUNDING = 1e-6  # how far scaled data may be off [0, 1]: (x − min)/(max − min) ends some last digits above 1


class Loss(Term):
    """A loss scales ds by its weight, and not L: a cost is J = Σ_k weight_k · term_k, and reports its terms as they
    are.

    arena: where ds lies;  weights, term: where the weight is kept; alone, it is 1
    """

    mean: Callable[..., Any]  # s -> the mean of p(x | h)
    rows: Callable[..., Any]  # s, x -> L of each example, (B,)

    def __call__(self, s: Any, x: Any) -> tuple[Any, Any]:
        """L, and ds = ∂L/∂s by its weight."""
        raise NotImplementedError(f"{type(self).__name__} has no L")

    def __init__(self, arena: Arena, weights: dict[str, float] | None = None, term: str = "L"):
        super().__init__(term, weights)
        self.arena = arena

    def field(self, *shape: int) -> Field:
        """The field of x: its shape, and what p(x | h) gives no probability to."""
        return Real(*shape, check=self.check)

    @staticmethod
    def check(x: Any, low: float, high: float, what: str) -> None:
        """Refuse rows that p(x | h) gives no probability to; low and high are their smallest and largest value."""


class Gaussian(Loss):
    """L = ½ ‖s − x‖²: squared error is the likelihood of a Gaussian of unit variance.     (5.5.1)

    Derivation: −log N(x; s, I) = ½ Σ_i (s_i − x_i)² + ½ n log 2π, and the last term does not depend on s.
        ∂L/∂s_bi = 1/B (s_bi − x_bi)
    """

    def __call__(self, s: Any, x: Any) -> tuple[Any, Any]:
        x = x.reshape(s.shape)  # an image may have kept its axes
        ds = namespace(s).subtract(s, x, out=self.arena.empty(*s.shape))
        L = 0.5 * kernels.products.dot(ds, ds) / len(s)
        ds *= self.weight / len(s)
        return L, ds

    @staticmethod
    def mean(s: Any) -> Any:
        return s

    @staticmethod
    def rows(s: Any, x: Any) -> Any:
        """L of each example, (B,)."""
        d = s - x.reshape(s.shape)
        return 0.5 * (d * d).sum(axis=1)


class Bernoulli(Loss):
    """L = −Σ x log σ(s) + (1 − x) log(1 − σ(s)) = Σ softplus(s) − x s,  ds = σ(s) − x.     (6.2.2.2)

    Derivation: log σ(s) = s − softplus(s) and log(1 − σ(s)) = −softplus(s); the factor of softplus is x + (1 − x) = 1.
    Since softplus'(s) = σ(s),
        ∂L/∂s_bi = 1/B (σ(s_bi) − x_bi)
    Computed by minae.kernels.bernoulli.
    """

    def __call__(self, s: Any, x: Any) -> tuple[Any, Any]:
        ds = self.arena.empty(*s.shape)
        return kernels.bernoulli.loss(s, x.reshape(s.shape), ds, self.weight), ds

    @staticmethod
    def mean(s: Any) -> Any:
        return ops.phi(s, "sigmoid")

    @staticmethod
    def rows(s: Any, x: Any) -> Any:
        """L of each example, (B,)."""
        return kernels.bernoulli.component.plain(s, x.reshape(s.shape))[0].sum(axis=1)

    def sample(self, s: Any, rng: np.random.Generator) -> Any:
        """One draw x ~ p(x | h), (B, n)."""
        p = ops.phi(s, "sigmoid", out=self.arena.empty(*s.shape))
        u = kernels.noise.uniform(rng, out=self.arena.empty(*s.shape))
        return namespace(s).less(u, p, out=u)

    @staticmethod
    def check(x: Any, low: float, high: float, what: str) -> None:
        if low < -ROUNDING or high > 1 + ROUNDING:
            raise InputError(
                f"{what} has values in [{low:.9g}, {high:.9g}]; the Bernoulli loss takes [0, 1]: "
                "scale the data (pixels: divide by 255), or use loss='gaussian'"
            )


class Categorical(Loss):
    """L = −Σ x log softmax(s);  ds = softmax(s) − x where the rows of x sum to 1.     (6.2.2.3)

    Derivation: by `ops.log_softmax` with dy_i = −x_i, and Σ_i x_i = 1,
        ∂L/∂s_bk = 1/B (−x_bk + softmax(s)_bk Σ_i x_bi) = 1/B (softmax(s)_bk − x_bk)
    """

    def __call__(self, s: Any, x: Any) -> tuple[Any, Any]:
        xp = namespace(s)
        y = ops.log_softmax(s, out=self.arena.empty(*s.shape), work=self.arena.empty(*s.shape))
        L = -kernels.products.dot(x, y) / len(s)
        ds = xp.exp(y, out=y)
        ds -= x
        ds *= self.weight / len(s)
        return L, ds

    def field(self, *shape: int) -> Field:
        return OneHot(*shape, check=self.check)

    @staticmethod
    def mean(s: Any) -> Any:
        return namespace(s).exp(ops.log_softmax(s))

    @staticmethod
    def rows(s: Any, x: Any) -> Any:
        """L of each example, (B,)."""
        return -(x * ops.log_softmax(s)).sum(axis=1)

    def sample(self, s: Any, rng: np.random.Generator) -> Any:
        """One draw x ~ p(x | h), one-hot rows (B, n), by the inverse of the cumulative distribution."""
        xp = namespace(s)
        u = kernels.noise.uniform(rng, self.arena.empty(len(s), 1))
        below = xp.exp(ops.log_softmax(s)).cumsum(axis=1) <= u
        chosen = xp.minimum(below.sum(axis=1), s.shape[1] - 1)  # how many classes the draw has passed
        return (chosen[:, None] == xp.arange(s.shape[1])).astype(s.dtype)

    @staticmethod
    def check(x: Any, low: float, high: float, what: str) -> None:
        advice = "encode the classes, or use loss='gaussian'"
        if low < -ROUNDING or high > 1 + ROUNDING:
            raise InputError(
                f"{what} has values in [{low:.9g}, {high:.9g}]; the categorical loss takes one-hot rows or rows of "
                f"probabilities: {advice}"
            )
        off = float(abs(x.sum(axis=1, dtype="float64") - 1).max())
        if off > 1e-3:
            raise InputError(f"{what} has rows whose sum is off 1 by {off:g}; categorical rows must sum to 1: {advice}")


class Residual(Loss):
    """A loss of the residual d = s − x, number by number: L = Σ value(d), ds = slope(d).

    Derivation: each s_bi stands in one term, whose inner derivative is ∂d_bi/∂s_bi = 1.
        ∂L/∂s_bi = 1/B value'(d_bi) = 1/B slope(d_bi)
    Laplace: |d| has the slope sign(d), taken as 0 at 0. Huber: ½ d² up to |d| = 1 and a straight line from there on,
    whose slope d is cut off at ±1. StudentT, with density ∝ (1 + d²/ν)^{−(ν+1)/2}: the logarithm's slope is that of its
    inside, 2d/ν, over the inside, (ν+1)/2 · (2d/ν)/(1 + d²/ν) = (ν + 1) d/(ν + d²). The last two let far points pull
    less.
    """

    mean = staticmethod(Gaussian.mean)
    value: Callable[..., Any]
    slope: Callable[..., Any]

    def __call__(self, s: Any, x: Any) -> tuple[Any, Any]:
        d = self.arena.ws.subtract(s, x.reshape(s.shape))
        L = self.value(d).sum() / len(s)
        ds = self.slope(d)
        ds *= self.weight / len(s)
        return L, ds

    def rows(self, s: Any, x: Any) -> Any:
        """L of each example, (B,)."""
        return self.value(s - x.reshape(s.shape)).sum(axis=1)


class Laplace(Residual):
    """L = Σ |s − x|: −log of a Laplace density but for a constant, best at a median; derived in `losses.Residual`."""

    def value(self, d: Any) -> Any:
        return self.arena.ws.abs(d)

    def slope(self, d: Any) -> Any:
        return self.arena.ws.sign(d)


class Huber(Residual):
    """L = Σ ½ d² where |d| ≤ 1, else |d| − ½; derived in `losses.Residual`.     (Huber 1964)"""

    def value(self, d: Any) -> Any:
        ws, near = self.arena.ws, self.slope(d)
        return ws.multiply(near, ws.subtract(d, ws.multiply(near, 0.5)))  # near = d, or ±1 where |d| > 1

    def slope(self, d: Any) -> Any:
        return self.arena.ws.clip(d, -1.0, 1.0)


class StudentT(Residual):
    """L = Σ ½ (ν + 1) log(1 + d²/ν): the negative log-likelihood of Student's t with ν = 3; derived in
    `losses.Residual`."""

    nu = 3.0

    def value(self, d: Any) -> Any:
        ws = self.arena.ws
        return ws.multiply(ws.log1p(ws.divide(ws.multiply(d, d), self.nu)), (self.nu + 1) / 2)

    def slope(self, d: Any) -> Any:
        ws = self.arena.ws
        return ws.multiply(ws.divide(d, ws.add(ws.multiply(d, d), self.nu)), self.nu + 1)


class Hinge(Loss):
    """L = Σ_c max(0, 1 − t_c s_c),  t = 2y − 1 = ±1 for the one-hot y: a margin for each class.     (5.7.2)

    Derivation: a class within its margin, t s < 1, has the slope −t; beyond it there is no cost. At the kink it is 0.
        ∂L/∂s_bc = −1/B t_bc [t_bc s_bc < 1]
    """

    def __call__(self, s: Any, y: Any) -> tuple[Any, Any]:
        ws = self.arena.ws
        t = ws.subtract(ws.multiply(y, 2), 1)
        room = ws.maximum(ws.subtract(1, ws.multiply(t, s)), 0)
        L = self.value(room).sum() / len(s)
        return L, ws.multiply(ws.multiply(t, self.slope(room)), -self.weight / len(s))

    def value(self, room: Any) -> Any:
        return room

    def slope(self, room: Any) -> Any:
        return self.arena.ws.sign(room)


class SquaredHinge(Hinge):
    """L = Σ_c max(0, 1 − t_c s_c)²     (Tang 2013)

    Derivation: the chain rule through the square, whose slope vanishes with the room, so that there is no kink.
        ∂L/∂s_bc = −2/B t_bc max(0, 1 − t_bc s_bc)
    """

    def value(self, room: Any) -> Any:
        return self.arena.ws.multiply(room, room)

    def slope(self, room: Any) -> Any:
        return self.arena.ws.multiply(room, 2)


class TokenLoss(Loss):
    r"""L = −1/N Σ_{b,t} m_bt log softmax(s_bt)_{x_bt},  N = Σ m: cross-entropy, a mean over the tokens that count.

    s (B, T, V) logits, x (B, T) tokens, m (B, T) of 0 and 1, or None where all count. Padding must not count: its mean
    over all positions would fall when sequences are short, and nothing would be learned of their end.

    Derivation: each position that counts is a categorical loss with a one-hot x, and the others are no part of L.
        ∂L/∂s_btv = m_bt/N (softmax(s_bt)_v − [v = x_bt]),    exactly 0 where m_bt = 0
    """

    def __call__(self, s: Any, x: Any, m: Any = None) -> tuple[Any, Any]:
        xp, (B, T, V), empty = namespace(s), s.shape, self.arena.empty
        flat, token = s.reshape(-1, V), x.reshape(-1)
        y = ops.log_softmax(flat, out=empty(B * T, V), work=empty(B * T, V))
        counts = xp.ones_like(flat[:, 0]) if m is None else m.reshape(-1)
        N = counts.sum()
        if self.arena.world.size > 1:  # the rows of the ranks have different numbers of tokens
            N = self.arena.world.mean(N / B) * B
        if m is not None and xp is np and not N > 0:  # a GPU would have to be waited for; there J is 0/0, NaN
            raise InputError("the mask hides every token: expected at least one that counts")
        at = xp.arange(B * T), token
        L = -(y[at] * counts).sum() / N
        ds = xp.exp(y, out=y)
        ds[at] -= 1
        ds *= (counts * (self.weight / N))[:, None]
        return L, ds.reshape(B, T, V)


class CellLoss(Loss):
    r"""L = ½ Σ_i (s_i − x_i)² − Σ_c log softmax(s_c)_{x_c}: numbers by squared error, categories by cross-entropy.

    x (B, n + C), as `minae.fields.Row` has it: n numbers, then the category of each column, of K_c kinds
    s (B, n + K_1 + … + K_C): n means, then the K_c logits s_c of each column

    Derivation: no two of the C + 1 parts share an s, so each has its own loss's ds.
        ∂L/∂s_bi = 1/B (s_bi − x_bi),    ∂L/∂s_bck = 1/B (softmax(s_bc)_k − [k = x_bc])
    """

    def __init__(self, arena: Arena, weights: dict[str, float] | None, numbers: int, categories: Sequence[int]):
        super().__init__(arena, weights)
        ends = np.cumsum([numbers, *categories]).tolist()
        self.numbers, self.categories = numbers, list(categories)
        self.parts = [slice(start, stop) for start, stop in itertools.pairwise(ends)]  # where each column's logits lie

    def field(self, *shape: int) -> Field:
        return Row(self.numbers, self.categories)

    def chosen(self, x: Any) -> list[Any]:
        """The category of each row, column by column, whole numbers (B,)."""
        return [x[:, self.numbers + c].astype("int32") for c in range(len(self.categories))]

    def __call__(self, s: Any, x: Any) -> tuple[Any, Any]:
        xp, n, empty = namespace(s), self.numbers, self.arena.empty
        ds, rows = empty(*s.shape), xp.arange(len(s))
        d = xp.subtract(s[:, :n], x[:, :n], out=empty(len(s), n))
        L = 0.5 * kernels.products.dot(d, d)
        ds[:, :n] = d
        for part, category in zip(self.parts, self.chosen(x), strict=True):
            s_c = empty(len(s), part.stop - part.start)
            s_c[...] = s[:, part]
            y = ops.log_softmax(s_c, out=empty(*s_c.shape), work=empty(*s_c.shape))
            L = L - y[rows, category].sum()
            y = xp.exp(y, out=y)
            y[rows, category] -= 1
            ds[:, part] = y
        ds *= self.weight / len(s)
        return L / len(s), ds

    def mean(self, s: Any) -> Any:
        """The means of the numbers, and the most probable category of each column: a row as x is."""
        return namespace(s).concatenate(
            [s[:, : self.numbers], *(s[:, part].argmax(axis=1)[:, None].astype(s.dtype) for part in self.parts)], axis=1
        )

    def rows(self, s: Any, x: Any) -> Any:
        """L of each example, (B,)."""
        d, rows = s[:, : self.numbers] - x[:, : self.numbers], namespace(s).arange(len(s))
        L = 0.5 * (d * d).sum(axis=1)
        for part, category in zip(self.parts, self.chosen(x), strict=True):
            L = L - ops.log_softmax(s[:, part].copy())[rows, category]
        return L


LOSSES = {"gaussian": Gaussian, "bernoulli": Bernoulli, "categorical": Categorical,
          "laplace": Laplace, "huber": Huber, "student_t": StudentT}  # fmt: skip
HEADS = {"categorical": Categorical, "hinge": Hinge, "squared_hinge": SquaredHinge}  # what a classifier may minimise

"""Layers over sequences (B, T, n): embedding, positions, means, recurrent layers. `mode.length` (B,) tells padded
steps. `Cells` embeds the categories of a row of a table, which is a sequence of one length."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minae import kernels
from minae.arena import Arena
from minae.backend import namespace
from minae.errors import InputError
from minae.layers.base import EVAL, Composite, Layer
from minae.ops import sequence
from minae.parameters import Parameters


def checked_length(length: Any, B: int, T: Any) -> Any:
    """Lengths (B,) in 1 … T, or None. Those on a device were checked where they came in: no step waits to read them."""
    if length is None:
        return None
    if tuple(length.shape) != (B,) or length.dtype.kind not in "iu":
        raise InputError(f"length is {length.dtype} {tuple(length.shape)}: expected whole numbers of shape ({B},)")
    if isinstance(length, np.ndarray) and not (1 <= length.min() and length.max() <= T):
        raise InputError(f"length is from {length.min()} to {length.max()}: expected 1 to {T}, the steps of the batch")
    return length


def live_steps(length: Any, x: Any, arena: Arena) -> Any:
    """(B, T, 1), 1 for the steps before the length of each sequence and 0 behind; None where all have one length."""
    length = checked_length(length, *x.shape[:2])
    if length is None or (isinstance(length, np.ndarray) and length.min() == x.shape[1]):  # no step waits for a device
        return None
    return arena.ws.less(arena.backend.xp.arange(x.shape[1])[:, None], length[:, None, None])


class EndOfSequence(Layer):
    """y_bt = x_bt for t < T_b, and 0 behind: what a window over neighbouring steps may read.     x (B, T, n)

    A convolution pads with 0, and so a sequence that is padded to the longest of a batch gives what it gives alone.

    Derivation: y = live ⊙ x, with a constant live.
        dx = live ⊙ dy
    """

    reads_output = False

    def forward(self, x: Any, mode: Any = EVAL) -> tuple[Any, Any]:
        live = live_steps(mode.length, x, self.arena)
        return x if live is None else self.ws.multiply(x, live), live

    def backward(self, dy: Any, live: Any, need_dx: bool = True, need_dW: bool = True) -> Any:
        return dy if live is None or not need_dx else self.ws.multiply(dy, live)


class TimeMean(Layer):
    """y_b = 1/T_b Σ_{t<T_b} x_bt: what is so at all times.     x (B, T, n) -> (B, n)

    Derivation: each real step stands in the mean with 1/T_b, and a padded one with 0.
        dx_bt = dy_b/T_b for t < T_b, else 0
    """

    reads_output = False

    def forward(self, x: Any, mode: Any = EVAL) -> tuple[Any, Any]:
        live = live_steps(mode.length, x, self.arena)
        if live is None:
            share = self.arena.empty(*x.shape[:2], 1)
            share[...] = 1 / x.shape[1]
        else:
            share = self.ws.divide(live, live.sum(axis=1, keepdims=True, out=self.arena.empty(len(x), 1, 1)))
        return self.ws.multiply(x, share).sum(axis=1, out=self.arena.empty(len(x), x.shape[2])), share

    def backward(self, dy: Any, share: Any, need_dx: bool = True, need_dW: bool = True) -> Any:
        return self.ws.multiply(dy[:, None], share) if need_dx else None


class Embedding(Layer):
    """y_bt = E_{tokens_bt}, derived in `ops.sequence.embed`.     tokens int32 (B, T) -> (B, T, n)

    E: name of the parameter (vocabulary, n). Tokens out of range are refused by the field, `minae.fields.Tokens`.
    """

    reads_output = False

    def __init__(self, E: str, vocabulary: int, n: int):
        self.names, self.vocabulary, self.n = (E,), vocabulary, n

    def shapes(self) -> dict[str, Any]:
        return {self.names[0]: (self.vocabulary, self.n)}

    def bind(self, parameters: Parameters, state: dict[str, Any]) -> None:
        super().bind(parameters, state)
        self.E, self.dE = parameters[self.names[0]], parameters.gradient(self.names[0])

    def initialize(self, rng: np.random.Generator) -> None:
        """Rows of length about 1."""
        self.keep(self.E, rng.standard_normal(self.E.shape) / math.sqrt(self.n))

    def forward(self, tokens: Any, mode: Any = EVAL) -> tuple[Any, Any]:
        return sequence.embed(tokens, self.E, self.arena), tokens

    def backward(self, dy: Any, tokens: Any, need_dx: bool = True, need_dW: bool = True) -> Any:
        """There is no dx: tokens are no numbers."""
        if need_dW:
            sequence.embed_backward(dy, tokens, self.dE, self.arena)


class Cells(Embedding):
    r"""A row of a table: the embeddings of its categories, and its numbers behind them.

        t_bc = o_c + x_{b,n+c}            the row of E for the category in column c;  o_c = K_1 + … + K_{c−1}
        y_b  = (E_{t_b1}, …, E_{t_bC}, x_b1, …, x_bn)

    x (B, numbers + C), as `minae.fields.Row` has it -> (B, C n + numbers). All columns have rows of one matrix E, one
    range of rows after the other. Row o_c stands for a category that training never saw. So that its values are not
    those it was born with, training takes it at random, with probability `unseen`, in place of the right row.

    Derivation: y is a copy of numbers and of rows of E, and each row gets the sum of what its copies get
    (`ops.sequence.embed`). With the replacements t̃ drawn and held fixed,
        dE_i = Σ_{b,c} [t̃_bc = i] dy_bc,    and there is no dx, because a category is no number

    E: name of the parameter (K_1 + … + K_C, n);  name: of the layer, as in "f1"; its constant is "f1.u"
    categories: K_c, how many each column has, the unseen one included
    """

    def __init__(self, E: str, name: str, numbers: int, categories: Sequence[int], n: int, unseen: float = 0.02):
        super().__init__(E, sum(categories), n)
        self.numbers, self.categories, self.unseen, self.u = numbers, list(categories), unseen, f"{name}.u"
        self.m, self.laws = len(self.categories) * n + numbers, {self.u: "uniform"}
        self.first = np.cumsum([0, *self.categories[:-1]]).astype("int32")  # o_c

    def bind(self, parameters: Parameters, state: dict[str, Any]) -> None:
        super().bind(parameters, state)
        self.o = self.arena.backend.from_numpy(self.first)

    def constants(self, rng: np.random.Generator, B: int) -> dict[str, Any]:
        return {self.u: kernels.noise.uniform(rng, self.arena.empty(B, len(self.categories)))}

    def forward(self, x: Any, mode: Any = EVAL) -> tuple[Any, Any]:
        C = len(self.categories)
        tokens = self.arena.empty(len(x), C, dtype="int32")
        tokens[...] = x[:, self.numbers :]
        if mode.train:
            tokens *= mode.constants[self.u] >= self.unseen
        tokens += self.o
        y = self.arena.empty(len(x), self.m)
        y[:, : C * self.n] = sequence.embed(tokens, self.E, self.arena).reshape(len(x), -1)
        y[:, C * self.n :] = x[:, : self.numbers]
        return y, tokens

    def backward(self, dy: Any, tokens: Any, need_dx: bool = True, need_dW: bool = True) -> Any:
        C = len(self.categories)
        drows = self.arena.empty(len(dy), C, self.n)
        drows[...] = dy[:, : C * self.n].reshape(len(dy), C, self.n)
        super().backward(drows, tokens, need_dx, need_dW)


class Positions(Layer):
    r"""y_bt = x_bt + P_t: where in the sequence a step stands.     x (B, T, n), T ≤ most

        P_{t,2i} = sin(t / 10000^{2i/n}),  P_{t,2i+1} = cos(t / 10000^{2i/n})     (Vaswani et al. 2017)

    P: name of a parameter (most, n), for positions that are learned; without it they are the sines.

    Derivation: P_t is added to step t of each example of the batch, so its gradient is their sum.
        dx_bt = dy_bt,    dP_t = Σ_b dy_bt
    """

    reads_output = False

    def __init__(self, most: int, n: int, P: str | None = None):
        self.most, self.n, self.names = most, n, () if P is None else (P,)

    def shapes(self) -> dict[str, Any]:
        return {name: (self.most, self.n) for name in self.names}

    def bind(self, parameters: Parameters, state: dict[str, Any]) -> None:
        super().bind(parameters, state)
        if self.names:
            self.P, self.dP = parameters[self.names[0]], parameters.gradient(self.names[0])
            return
        angle = np.arange(self.most)[:, None] / 10_000 ** (np.arange(self.n) // 2 * 2 / self.n)
        P = np.where(np.arange(self.n) % 2, np.cos(angle), np.sin(angle))
        self.P = self.arena.backend.from_numpy(P.astype(self.arena.dtype))

    def initialize(self, rng: np.random.Generator) -> None:
        if self.names:
            self.keep(self.P, 0.02 * rng.standard_normal(self.P.shape))

    def forward(self, x: Any, mode: Any = EVAL) -> tuple[Any, Any]:
        T = x.shape[1]
        if T > self.most:
            raise InputError(f"a sequence has {T} steps: these positions go to {self.most}; build them with most={T}")
        return self.ws.add(x, self.P[:T]), None

    def backward(self, dy: Any, cache: Any, need_dx: bool = True, need_dW: bool = True) -> Any:
        if self.names and need_dW:
            T = dy.shape[1]
            self.dP.array[:T] += dy.sum(axis=0, out=self.arena.empty(T, self.n))
        return dy if need_dx else None


class Times(Layer):
    r"""y_b = (sin(t_b ω), cos(t_b ω)): one number t_b, such as a time or a noise level, as n.     t (B, 1) -> (B, n)

        ω_i = 10000^{−2i/n},  i = 0 … n/2 − 1     (the frequencies of `Positions`, in two halves)

    A network cannot tell 0.500 from 0.501 by one input; fast waves tell near times apart, and slow ones far ones.

    Derivation: both halves are functions of t_b.
        dt_b = Σ_i ω_i (dsin_bi cos(t_b ω_i) − dcos_bi sin(t_b ω_i))

    n: even;  scale: t is multiplied by it first, 1000 where times lie in [0, 1]
    """

    def __init__(self, n: int, scale: float = 1.0):
        if n < 2 or n % 2:
            raise InputError(f"n is {n}: expected an even number, half of it sines")
        self.n, self.shape, self.shape_out = n, (1,), (n,)
        self.waves = scale / 10_000 ** (np.arange(n // 2) * 2 / n)

    def bind(self, parameters: Parameters, state: dict[str, Any]) -> None:
        super().bind(parameters, state)
        self.omega = self.arena.backend.from_numpy(self.waves.astype(self.arena.dtype))

    def forward(self, t: Any, mode: Any = EVAL) -> tuple[Any, Any]:
        y, half = self.arena.empty(len(t), self.n), self.n // 2
        angle, xp = self.ws.multiply(t, self.omega), namespace(t)
        xp.sin(angle, out=y[:, :half])
        xp.cos(angle, out=y[:, half:])
        return y, y

    def backward(self, dy: Any, y: Any, need_dx: bool = True, need_dW: bool = True) -> Any:
        if need_dx:
            half = self.n // 2
            d_angle = self.ws.multiply(dy[:, :half], y[:, half:])
            d_angle -= self.ws.multiply(dy[:, half:], y[:, :half])
            return namespace(dy).matmul(d_angle, self.omega[:, None], out=self.arena.empty(len(dy), 1))


class Recurrent(Layer):
    """What GRU and LSTM share: x (B, T, n) -> the states h_1 … h_T (B, T, m); derived in `ops.sequence.gru`.

    names:   of the parameters W (n, k m), U (m, k m) and biases (k m,)
    reverse: from the last step to the first: y_t has read x_t … x_T

    At a padded step the state is carried on, so y[:, -1] is the state after the last real step of each sequence (with
    `reverse`, y[:, 0] is the state after the first). forward takes the state before the first step, `first`, by
    default 0; where it was given, backward returns (dx, its gradient). For the LSTM `first` is a pair, h and c.
    """

    reads_output = False
    gates: int
    op: Callable[..., Any]
    op_backward: Callable[..., Any]

    def __init__(self, W: str, U: str, *biases: Any, n: int, m: int, reverse: bool = False):
        self.names, self.n, self.m, self.reverse = (W, U, *biases), n, m, reverse

    def shapes(self) -> dict[str, Any]:
        W, U, *biases = self.names
        width = self.gates * self.m
        return {W: (self.n, width), U: (self.m, width)} | {b: (width,) for b in biases}

    def bind(self, parameters: Parameters, state: dict[str, Any]) -> None:
        super().bind(parameters, state)
        self.parameters = [parameters[name] for name in self.names]
        self.gradients = [parameters.gradient(name) for name in self.names]

    def initialize(self, rng: np.random.Generator) -> None:
        """All uniform in ±1/√m, as in PyTorch."""
        for parameter in self.parameters:
            self.keep(parameter, rng.uniform(-1, 1, parameter.shape) / math.sqrt(self.m))

    def in_time(self, x: Any) -> Any:
        """(B, T, …) as (T, B, …), in the order in which the steps are taken."""
        out = self.arena.empty(x.shape[1], x.shape[0], x.shape[2])
        out[...] = x.transpose(1, 0, 2)[:: -1 if self.reverse else 1]
        return out

    def of_batch(self, y: Any) -> Any:
        """The way back, (T, B, …) as (B, T, …)."""
        out = self.arena.empty(y.shape[1], y.shape[0], y.shape[2])
        out[...] = y[:: -1 if self.reverse else 1].transpose(1, 0, 2)
        return out

    def live(self, length: Any, B: int, T: Any) -> Any:
        """For each step, in time: (B, m), 1 where a sequence has it."""
        length = checked_length(length, B, T)
        live = self.arena.empty(1 if length is None else T, B, self.m)
        if length is None:
            live[...] = 1
            return [live[0]] * T
        steps = self.arena.backend.xp.arange(T)[:: -1 if self.reverse else 1]
        live[...] = (steps[:, None] < length)[:, :, None]
        return [live[t] for t in range(T)]

    def forward(self, x: Any, mode: Any = EVAL, first: Any = None) -> tuple[Any, Any]:
        x_time, live = self.in_time(x), self.live(mode.length, *x.shape[:2])
        cache = self.op(x_time, first, live, *self.parameters, self.arena)
        return self.of_batch(cache[0][1:]), (x_time, live, cache, first is not None)

    def backward(self, dy: Any, cache: Any, need_dx: bool = True, need_dW: bool = True) -> Any:
        x_time, live, cache, has_first = cache
        gradients = self.gradients if need_dW else [None] * len(self.names)
        given = self.in_time(dy), x_time, live, cache, *self.parameters[:2], *gradients
        dx, dfirst = self.op_backward(*given, self.arena, need_dx)
        dx = self.of_batch(dx) if need_dx else None
        return (dx, dfirst) if has_first else dx


class GRU(Recurrent):
    """Gated recurrent unit, derived in `ops.sequence.gru`.     W (n, 3m), U (m, 3m), b, u (3m,): the gates r, z, n

    b is the bias of the input's logits, u that of the state's, within the product with the reset gate.
    """

    gates, op, op_backward = 3, staticmethod(sequence.gru), staticmethod(sequence.gru_backward)

    def __init__(self, W: str, U: str, b: str | None, u: str, n: int, m: int, reverse: bool = False):
        super().__init__(W, U, b, u, n=n, m=m, reverse=reverse)


class LSTM(Recurrent):
    """Long short-term memory, derived in `ops.sequence.lstm`.     W (n, 4m), U (m, 4m), b (4m,): the gates i, f, g, o

    PyTorch's order; its two biases are only ever added, and are one here.
    """

    gates, op, op_backward = 4, staticmethod(sequence.lstm), staticmethod(sequence.lstm_backward)

    def __init__(self, W: str, U: str, b: str | None, n: int, m: int, reverse: bool = False):
        super().__init__(W, U, b, n=n, m=m, reverse=reverse)


class Bidirectional(Composite):
    """y = (y of `there`, y of `back`): what was read before a step beside what comes after it.     -> (B, T, m + m')

    there, back: two recurrent layers over x, the second one with reverse=True

    Derivation: both layers read the same x, so their gradients of x are added.
        dx = (∂y_there/∂x)ᵀ dy_there + (∂y_back/∂x)ᵀ dy_back
    """

    reads_output = False

    def __init__(self, there: Any, back: Any):
        if there.n != back.n or there.reverse or not back.reverse:
            raise InputError("Bidirectional: expected two layers over the same x, the second one with reverse=True")
        self.layers = [there, back]

    def columns(self, y: Any) -> Any:
        """The columns of each part."""
        ends = itertools.pairwise([0, self.layers[0].m, y.shape[2]])
        return [y[:, :, start:stop] for start, stop in ends]

    def forward(self, x: Any, mode: Any = EVAL) -> tuple[Any, Any]:
        y, caches = self.arena.empty(*x.shape[:2], sum(part.m for part in self.layers)), []
        for part, columns in zip(self.layers, self.columns(y), strict=True):
            columns[...], cache = part.forward(x, mode)
            caches.append(cache)
        return y, caches

    def backward(self, dy: Any, caches: Any, need_dx: bool = True, need_dW: bool = True) -> Any:
        parts = zip(self.layers, self.columns(dy), caches, strict=True)
        there, back = (part.backward(columns, cache, need_dx, need_dW) for part, columns, cache in parts)
        return self.ws.add(there, back) if need_dx else None

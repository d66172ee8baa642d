"""A sequence that is written while another one is read, word by word, with words that may be copied from it."""

import math
from typing import Any

from minae import kernels, ops
from minae.data.text import END
from minae.layers.base import EVAL, Composite
from minae.layers.dense import Activation, Affine
from minae.layers.sequence import GRU, Bidirectional, Embedding, TimeMean, checked_length
from minae.ops.attention import attention, attention_backward


class PointerGenerator(Composite):
    r"""log p(y_i | y_1 … y_{i−1}, x) of each token of y, where x is another sequence.     (12.4.5.1; See et al. 2017)

        H = GRU there and back over E x                   what x has at each place            (B, T, n)
        z = GRU over E (‹end›, y_1 … y_{S−1}), from H̄      what was written before place i     (B, S, n)
        α = softmax((z Q + q) Hᵀ/√n),   r = α H           which places of x it looks at now   (B, S, T), (B, S, n)
        o = tanh((z, r) O + b)
        π = softmax(o Eᵀ + c)_{y_i}                       y_i as a word of the vocabulary
        κ = Σ_{t: x_t = y_i} α_it                         y_i as a copy of a word of x
        p = (1 − γ) π + γ κ,   γ = σ(o v + d)             γ: how likely a word is copied

    x has T places and y has S. H̄ is the mean of H over the places of x, the first state of the GRU that writes. The
    embedding E is used three times: it reads x, it reads y, and it is the output layer. Without the copy a word has
    to pass through n numbers to be said again. With it, attention points at the word, and the word is there.

    Derivation: let δ_i be ∂J/∂log p_i. p is a mixture of two ways to write y_i, and (1 − γ) π/p is the share of p that
    the vocabulary's way has. Let a = o v + d be the logit of γ:
        ∂J/∂p = δ/p,    ρ = ∂J/∂log π = δ (1 − γ) π/p
        ∂J/∂a = δ (κ − π) γ (1 − γ)/p,    ∂J/∂κ = δ γ/p
    π is one component of a softmax, whose normaliser has every logit s = o Eᵀ + c in it; κ is linear in α:
        ds_v = ρ ([v = y_i] − softmax(s)_v),    ∂J/∂α_it has [x_t = y_i] ∂J/∂κ_i beside what r sends
    The rest is made of layers that are derived where they stand. H has three uses and H̄ is one of them, so three
    gradients are added; so are those of E, which the layers add to one array. For K sequences y that belong to one x,
    all their places are queries to one H.

    k: of the names of the parameters: Ek, Wk, Uk, bk, uk (there), Wkr … (back), Wky … (what writes), Qk, qk, Ok, ok,
       ck, vk, dk;  vocabulary: different tokens;  n: numbers for each place, two or more
    """

    def __init__(self, k: str, vocabulary: int, n: int):
        self.n = n
        self.E = Embedding(f"E{k}", vocabulary, n)

        def gru(of, m, reverse=False):
            W, U, b, u = (f"{letter}{k}{of}" for letter in "WUbu")
            return GRU(W, U, b, u, n, m, reverse)

        self.reads = Bidirectional(gru("", n // 2), gru("r", n - n // 2, reverse=True))
        self.mean, self.writes = TimeMean(), gru("y", n)
        self.query, self.out = Affine(f"Q{k}", f"q{k}", n, n), Affine(f"O{k}", f"o{k}", 2 * n, n)
        self.tanh = Activation("tanh")
        self.words = Affine(f"E{k}", f"c{k}", n, vocabulary, transposed=True)
        self.copies = Affine(f"v{k}", f"d{k}", n, 1)
        self.layers = [self.E, self.reads, self.mean, self.writes, self.query, self.out, self.tanh, self.words]
        self.layers.append(self.copies)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(super().names))  # E stands in two layers

    def forward(self, x: Any, y: Any, mode: Any = EVAL) -> tuple[Any, Any]:
        """log p (B, K, S) of x (B, T), with `mode.length` the lengths of x, and y (B, K, S): K sequences for each x."""
        (B, K, S), ws, xp = y.shape, self.ws, self.arena.backend.xp
        before = self.arena.empty(B * K, S, dtype="int32")
        before[:, 0] = END
        before[:, 1:] = y.reshape(B * K, S)[:, :-1]
        H, first, read = self.read(x, K, mode)
        e, e_cache = self.E.forward(before)
        z, z_cache = self.writes.forward(e, EVAL, first=first)  # (B K, S, n)
        step, cache = self.step(z.reshape(B, K * S, -1), H, mode)
        log_softmax, gamma, alpha = step
        at = xp.arange(B * K * S), y.reshape(-1)
        pi = ws.exp(log_softmax[at])
        same = ws.equal(x[:, None], y.reshape(B, -1)[:, :, None])  # [x_t = y_i]     (B, K S, T)
        kappa = ws.multiply(same, alpha).sum(axis=2).reshape(-1)
        p = ws.add(ws.multiply(ws.subtract(1, gamma), pi), ws.multiply(gamma, kappa))
        log_p = ws.log(ws.maximum(p, 1e-37))
        return log_p.reshape(B, K, S), (read, e_cache, z_cache, cache, step, at, pi, same, kappa, p)

    def backward(self, dlog_p: Any, cache: Any, need_dx: bool = True, need_dW: bool = True) -> Any:
        """Adds to the gradients of the parameters; there is no dx, since tokens are no numbers."""
        read, e_cache, z_cache, cache, (log_softmax, gamma, _), at, pi, same, kappa, p = cache
        (B, K, S), ws = dlog_p.shape, self.ws
        dp = ws.divide(dlog_p.reshape(-1), ws.maximum(p, 1e-37))  # ∂J/∂p = δ/p
        rho = ws.multiply(dp, ws.multiply(ws.subtract(1, gamma), pi))
        ds = ws.exp(log_softmax)
        ds *= ws.negative(rho)[:, None]
        ds[at] += rho
        slope = ws.multiply(gamma, ws.subtract(1, gamma))
        dcopies = ws.multiply(ws.multiply(dp, ws.subtract(kappa, pi)), slope)[:, None]
        dkappa = ws.multiply(dp, gamma).reshape(B, K * S, 1)
        dalpha = ws.multiply(same, dkappa)
        dz, dH = self.step_backward(ds, dcopies, dalpha, cache, need_dW)
        de, dfirst = self.writes.backward(dz.reshape(B * K, S, -1), z_cache, True, need_dW)
        self.E.backward(de, e_cache, need_dW=need_dW)
        self.read_backward(dH, dfirst, read, need_dW)

    # ---- its three parts

    def read(self, x: Any, K: Any, mode: Any) -> Any:
        """H, and its mean over the places for each of K sequences:  -> (B, T, n), (B K, n), cache."""
        e, e_cache = self.E.forward(x)
        H, H_cache = self.reads.forward(e, mode)
        mean, mean_cache = self.mean.forward(H, mode)
        first = self.arena.empty(len(x) * K, self.n)
        first.reshape(len(x), K, -1)[...] = mean[:, None]
        return H, first, (e_cache, H_cache, mean_cache, len(x))

    def read_backward(self, dH: Any, dfirst: Any, cache: Any, need_dW: bool) -> None:
        e_cache, H_cache, mean_cache, B = cache
        dmean = dfirst.reshape(B, -1, self.n).sum(axis=1, out=self.arena.empty(B, self.n))
        dH = self.ws.add(dH, self.mean.backward(dmean, mean_cache))
        self.E.backward(self.reads.backward(dH, H_cache, True, need_dW), e_cache, need_dW=need_dW)

    def step(self, z: Any, H: Any, mode: Any) -> Any:
        """(log softmax of the words, γ, α) at each place, of the states z (B, S, n):  (B S, vocabulary), (B S,), …"""
        (B, S, _), T, empty = z.shape, H.shape[1], self.arena.empty
        q, q_cache = self.query.forward(z, mode)
        mask = self.mask(mode.length, B, T)
        r, alpha = attention(q[:, None], H[:, None], H[:, None], mask, empty(B, 1, S, self.n), self.arena)
        both = empty(B * S, 2 * self.n)
        both[:, : self.n] = z.reshape(B * S, -1)
        both[:, self.n :] = r.reshape(B * S, -1)
        a, out_cache = self.out.forward(both, mode)
        o, o_cache = self.tanh.forward(a, mode)
        s, words_cache = self.words.forward(o, mode)
        copies, copies_cache = self.copies.forward(o, mode)
        gamma = kernels.activations.phi(copies, "sigmoid", empty(*copies.shape))[:, 0]
        log_softmax = ops.log_softmax(s, out=empty(*s.shape), work=empty(*s.shape))
        cache = q, q_cache, H, alpha, out_cache, o_cache, words_cache, copies_cache
        return (log_softmax, gamma, alpha[:, 0]), cache

    def mask(self, length: Any, B: int, T: Any) -> Any:
        """0 where x has a word, −∞ behind it: (B, 1, T)."""
        xp, mask = self.arena.backend.xp, self.arena.empty(B, 1, T)
        length = checked_length(length, B, T)
        mask[...] = 0 if length is None else xp.where(xp.arange(T) < length[:, None, None], 0, -math.inf)
        return mask

    def step_backward(self, ds: Any, dcopies: Any, dalpha: Any, cache: Any, need_dW: bool) -> Any:
        """dz (B, S, n) and dH (B, T, n)"""
        q, q_cache, H, alpha, out_cache, o_cache, words_cache, copies_cache = cache
        (B, S, n), empty = q.shape, self.arena.empty
        do = self.words.backward(ds, words_cache, True, need_dW)
        do += self.copies.backward(dcopies, copies_cache, True, need_dW)
        dboth = self.out.backward(self.tanh.backward(do, o_cache), out_cache, True, need_dW)
        dr = empty(B, 1, S, n)
        dr[...] = dboth[:, n:].reshape(dr.shape)
        dq, dkeys, dvalues = empty(B, 1, S, n), empty(B, 1, H.shape[1], n), empty(B, 1, H.shape[1], n)
        given = q[:, None], H[:, None], H[:, None], alpha, dq, dkeys, dvalues
        attention_backward(dr, *given, self.arena, dA=dalpha[:, None])
        dz = self.query.backward(dq[:, 0], q_cache, True, need_dW)
        dz += dboth[:, :n].reshape(B, S, n)
        return dz, self.ws.add(dkeys[:, 0], dvalues[:, 0])

    # ---- what it writes

    def draw(self, x: Any, u: Any, mode: Any = EVAL) -> Any:
        """y for u ~ U[0, 1), (B, K, S, 2): tokens int32 (B, K, S) drawn from p, with ‹end› behind the first ‹end›."""
        B, K, S = u.shape[:3]
        return self._written(x, B, K, S, mode, u)

    def write(self, x: Any, S: Any, mode: Any = EVAL) -> Any:
        """y (B, 1, S) with the most probable token at each place."""
        return self._written(x, len(x), 1, S, mode)

    def _written(self, x, B, K, S, mode, u=None):
        y, token = self.arena.empty(B, K, S, dtype="int32"), self.arena.empty(B * K, dtype="int32")
        H, state, _ = self.read(x, K, mode)
        token[...] = END
        for i in range(S):
            e, _ = self.E.forward(token[:, None])
            z, _ = self.writes.forward(e, EVAL, first=state)
            state = z[:, 0]
            step, _ = self.step(z.reshape(B, K, -1), H, mode)
            before, x_of = token, self.arena.backend.xp.repeat(x, K, axis=0)
            token = self.likeliest(x_of, *step) if u is None else self.drawn(x_of, *step, u[:, :, i].reshape(-1, 2))
            if i:
                token = self.arena.backend.xp.where(before == END, END, token)
            token = token.astype("int32")
            y[:, :, i] = token.reshape(B, K)
        return y

    def drawn(self, x: Any, log_softmax: Any, gamma: Any, alpha: Any, u: Any) -> Any:
        """A token for each row of u (N, 2): u_1 chooses the way, u_2 the place or the word.     x (N, T)"""
        xp, alpha = self.arena.backend.xp, alpha.reshape(x.shape)
        copied = xp.take_along_axis(x, inverse(xp, alpha, u[:, 1])[:, None], axis=1)[:, 0]
        return xp.where(u[:, 0] < gamma, copied, inverse(xp, xp.exp(log_softmax), u[:, 1]))

    def likeliest(self, x: Any, log_softmax: Any, gamma: Any, alpha: Any) -> Any:
        """argmax p."""
        xp, alpha = self.arena.backend.xp, alpha.reshape(x.shape)
        p = xp.exp(log_softmax) * (1 - gamma)[:, None]
        rows = xp.arange(len(x))
        for t in range(x.shape[1]):  # one place of x after the other: a word that stands twice is added twice
            p[rows, x[:, t]] += gamma * alpha[:, t]
        return p.argmax(axis=1)


def inverse(xp: Any, p: Any, u: Any) -> Any:
    """The index at which the cumulated p, (N, M), passes u (N,)."""
    cumulated = p.cumsum(axis=1)
    return (cumulated > u[:, None] * cumulated[:, -1:]).argmax(axis=1)

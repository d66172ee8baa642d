"""Attention with one and many heads, over sequences (B, T, n)."""

import math
from typing import Any

from minae.errors import InputError
from minae.layers.base import EVAL, Composite
from minae.layers.dense import Affine
from minae.layers.sequence import checked_length
from minae.ops.attention import attention, attention_backward


class Attention(Composite):
    r"""y = O Vk + ck,  O = softmax(Q Kᵀ/√d + mask) V of each head; derived in `ops.attention.attention`.

    (Q, K, V) = x W + b, the heads side by side within each; every head has d = n/heads columns. Keys that are padding,
    by `mode.length`, are hidden from all queries; with `causal`, step i reads no step after it.

    k:      of the names of the parameters: Wk (n, 3n), bk, and Vk (n, n), ck of the output
    source: width of the keys' own sequence, for attention from x to another input (cross-attention): then Wk (n, n) is
            of the queries alone, and Uk (source, 2n), uk of keys and values; backward returns dx and dsource

    Derivation: x has three uses, or one where keys and values come from another input, and their gradients are added;
    since W has all three side by side, that is one product.
        dx = (dQ, dK, dV) Wᵀ,    dW = xᵀ (dQ, dK, dV)
    """

    reads_output = False

    def __init__(self, k: str, n: int, heads: int = 1, causal: bool = False, source: Any = None):
        if n % heads or (causal and source):
            raise InputError(
                f"attention of {heads} heads over {n} columns, causal={causal}, source={source}: expected heads that "
                "divide the columns, and causal only where a sequence reads itself"
            )
        self.n, self.heads, self.causal = n, heads, causal
        self.maps = [Affine(f"W{k}", f"b{k}", n, n if source else 3 * n)]
        self.maps += [Affine(f"U{k}", f"u{k}", source, 2 * n)] if source else []
        self.out = Affine(f"V{k}", f"c{k}", n, n)
        self.layers = [*self.maps, self.out]

    def split(self, *arrays: Any) -> Any:
        """(B, T, k n) -> k views (B, heads, T, d), of all arrays."""
        views = []
        for a in arrays:
            parts = a.reshape(*a.shape[:2], -1, self.heads, self.n // self.heads)
            views += [parts[:, :, k].transpose(0, 2, 1, 3) for k in range(parts.shape[2])]
        return views

    def mask(self, T: Any, S: Any, B: int, length: Any, visible: Any) -> Any:
        """0 where query i may read key j, −∞ elsewhere.     visible: (B, T, T′) of bool, or None"""
        xp, length = self.arena.backend.xp, checked_length(length, B, S)
        key, mask = xp.arange(S), self.arena.empty(1 if length is visible is None else B, T, S)
        reads = xp.ones(mask.shape, bool)
        if self.causal:
            reads &= key <= xp.arange(T)[:, None]
        if length is not None:
            reads &= (key < length[:, None])[:, None]
        if visible is not None:  # together: what `visible` leaves may be the future, or padding
            reads &= visible
            if not bool(reads.any(axis=2).all()):
                raise InputError("the mask hides every key from some query: let each query read one key at least")
        mask[...] = xp.where(reads, 0, -math.inf)
        return mask

    def forward(
        self, x: Any, mode: Any = EVAL, source: Any = None, length: Any = None, visible: Any = None
    ) -> tuple[Any, Any]:
        """length: of the source's sequences;  visible: (B, T, T′) of bool, whether query i may read key j"""
        if (source is None) != (len(self.maps) == 1):
            raise InputError(
                "attention has a source, or has none, as it was built: give `source` only where it has one"
            )
        inputs, length = ([x], mode.length) if source is None else ([x, source], length)
        B, T, _ = x.shape
        mapped = [layer.forward(a, mode)[0] for layer, a in zip(self.maps, inputs, strict=True)]
        q, k, v = self.split(*mapped)
        o = self.arena.empty(B, T, self.n)
        mask = self.mask(T, k.shape[2], B, length, visible)
        A = attention(q, k, v, mask, self.split(o)[0], self.arena)[1]
        return self.out.forward(o, mode)[0], (inputs, mapped, A, o)

    def backward(self, dy: Any, cache: Any, need_dx: bool = True, need_dW: bool = True) -> Any:
        inputs, mapped, A, o = cache
        do = self.out.backward(dy, o, True, need_dW)
        dmapped = [self.arena.empty(*a.shape) for a in mapped]
        (q, k, v), (dq, dk, dv) = self.split(*mapped), self.split(*dmapped)
        attention_backward(self.split(do)[0], q, k, v, A, dq, dk, dv, self.arena)
        steps = zip(self.maps, dmapped, inputs, strict=True)
        dx = [layer.backward(d, a, need_dx, need_dW) for layer, d, a in steps]
        return tuple(dx) if len(dx) > 1 else dx[0]

r"""A code of which k of m units are kept, and the two layers beside it, at a cost in proportion to k.

    a = x W + b,  h = φ(a)                                      dense: all m units compete
    h_Γ = h on Γ                                                k of them are kept
    s = h_Γ V + c = c + Σ_{j∈Γ} h_j V_j                         k rows of V for each example
    # the same lines, upward
    dV_j += Σ_b h_bj ds_b,  dc += Σ_b ds_b,  dh_j = ds · V_j    for j ∈ Γ alone
    da = dh φ'(a),  dW_j += Σ_b da_bj x_b,  db_j += Σ_b da_bj   W_j is the unit's column of W

The sums are those of `minae.kernels.sparse_rows`. A column of W is one stretch of memory where W lies by columns
(`Parameters`). Where that does not pay, or cannot be had, `keep` gives h_Γ as an array, and both are `Dense`.
"""

from typing import NamedTuple

from minae import kernels
from minae.networks import Dense
from minae.ops import top_k, top_k_backward

PAYS = 8  # the dense products are as fast from about k = m/6 on


class Kept(NamedTuple):
    """(B, m), of which row b has `value[b]` in the columns `unit[b]`, and 0 elsewhere: two of (B, k)."""

    unit: object
    value: object


def keep(h, k, mask, arena):
    """h_Γ and Γ, of the k largest units or of those that `mask` holds: as `Kept` and its units, or as arrays (B, m)."""
    held = mask is None or bool((mask.sum(axis=1) == k).all())  # the form below has k units for each example
    if not held or PAYS * k > h.shape[1] or kernels.form(h) != "cpu":
        return top_k(h, k, mask)
    from minae.kernels import sparse_rows
    from minae.kernels import top_k as selection

    unit, value = arena.empty(len(h), k, dtype="int32"), arena.empty(len(h), k)
    selection.top_k(h if mask is None else mask, k, unit, value)
    if mask is not None:
        sparse_rows.take(unit, h, value)
    return Kept(unit, value), unit


def keep_backward(dh_k, mask):
    """dh = dh_Γ on Γ, 0 elsewhere"""
    return dh_k if isinstance(dh_k, Kept) else top_k_backward(dh_k, mask)


class IntoKept(Dense):
    """The layer whose h is kept in part: h = φ(x W + b) as `Dense`, its backward from the units of Γ alone."""

    def backward(self, dh, x, h, need_dx=True, da=None):
        if not isinstance(dh, Kept):
            return super().backward(dh, x, h, need_dx, da)
        from minae.kernels import slopes, sparse_rows

        unit, empty = dh.unit, self.arena.empty
        h_k, one = empty(*unit.shape), empty(len(x), 1)
        sparse_rows.take(unit, h, h_k)
        one[...] = 1
        da = slopes.backward(dh.value, h_k, self.activation, out=empty(*unit.shape))  # dh φ'(a)
        sparse_rows.spread(unit, da, x, self.dW.array.T)  # dWᵀ += da_Γᵀ x
        sparse_rows.spread(unit, da, one, self.db.array[:, None])  # db += Σ_rows da_Γ
        if not need_dx:
            return None
        dx = empty(*x.shape)
        dx[...] = 0
        sparse_rows.combine(unit, da, self.W.T, dx)  # dx = da_Γ Wᵀ
        return dx


class FromKept(Dense):
    """The layer that reads what was kept: s = φ(h_Γ V + c)."""

    def forward(self, x):
        if not isinstance(x, Kept):
            return super().forward(x)
        from minae.kernels import sparse_rows

        a = self.arena.empty(len(x.unit), self.m)
        a[...] = self.b
        sparse_rows.combine(x.unit, x.value, self.W, a)
        return self.phi(a, out=a)

    def backward(self, dh, x, h, need_dx=True, da=None):
        if not isinstance(x, Kept):
            return super().backward(dh, x, h, need_dx, da)
        from minae.kernels import slopes, sparse_rows

        da = slopes.backward(dh, h, self.activation, out=self.arena.empty(*h.shape))
        sparse_rows.spread(x.unit, x.value, da, self.dW.array)  # dV += h_Γᵀ da
        self.db.add_sum(da)
        dx = Kept(x.unit, self.arena.empty(*x.unit.shape))
        sparse_rows.project(x.unit, da, self.W, dx.value)  # da Vᵀ, on Γ
        return dx

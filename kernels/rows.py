r"""Rows of a matrix that are chosen by their index: products with a code of which k of m units are on.

    gather:       value_bj = h_{b, unit_bj}                 the k numbers of example b that are on
    combine:      y_b  += Σ_j value_bj R_{unit_bj}          R (m, n); j counts the k units of example b
    scatter_add:  dR_j += Σ_b value_bj y_b                  its backward by R: row unit_bj gets value_bj y_b
    project:      value_bj = y_b · R_{unit_bj}              its backward by value

Each costs 2 B k n operations where the dense product costs 2 B m n; rows that no example names are left alone. With
h_Γ for `value` and the decoder's V for R, `combine` is s = h_Γ V, `scatter_add` is dV += h_Γᵀ ds and `project` is
dh = ds Vᵀ on Γ.

Derivation:
Let i be a row of R, and write the choice as [unit_bj = i], which is 1 or 0 and does not depend on any number:
    y_bn = Σ_j value_bj R_{unit_bj, n} = Σ_i Σ_j [unit_bj = i] value_bj R_in
Both gradients are those of a product. The sum over the examples stays in the first, and the sum over i has one term
that is not 0 in the second:
    ∂J/∂R_in      = Σ_b Σ_n' dy_bn' ∂y_bn'/∂R_in = Σ_b Σ_j [unit_bj = i] value_bj dy_bn
    ∂J/∂value_bj  = Σ_n dy_bn Σ_i [unit_bj = i] R_in = Σ_n dy_bn R_{unit_bj, n}
With k = 1 and value = 1, `combine` is the lookup of an embedding, and `scatter_add` is its gradient: two examples that
name the same row are added up, which is why an assignment dR[unit] = … would be wrong.
"""

from minae import kernels
from minae.backend import namespace
from minae.kernels import pool


def gather(unit, h, value):
    """value_bj = h_{b, unit_bj}:  unit int32 (B, k), h (B, m) -> value (B, k)"""
    (gather_cpu if kernels.path(value, unit, h) == "cpu" else gather_plain)(unit, h, value)


def combine(unit, value, R, y):
    """y += the combinations of rows:  unit int32 (B, k), value (B, k), R (m, n), y (B, n)"""
    (combine_cpu if kernels.path(value, unit, R, y) == "cpu" else combine_plain)(unit, value, R, y)


def scatter_add(unit, value, y, dR):
    """dR += value_bj y_b at the rows unit_bj:  unit int32 (B, k), value (B, k), y (B, n), dR (m, n)"""
    if kernels.path(value, unit, y, dR) == "cpu":
        scatter_add_cpu(y, unit, value, dR)
    else:
        scatter_add_plain(unit, value, y, dR)


def project(unit, y, R, value):
    """value_bj = y_b · R_{unit_bj}:  unit int32 (B, k), y (B, n), R (m, n) -> value (B, k)"""
    (project_cpu if kernels.path(value, unit, y, R) == "cpu" else project_plain)(unit, y, R, value)


def gather_plain(unit, h, value):
    value[...] = namespace(h).take_along_axis(h, unit.astype("int64"), axis=1)


def combine_plain(unit, value, R, y):
    y += namespace(y).einsum("bk,bkn->bn", value, R[unit])


def scatter_add_plain(unit, value, y, dR):
    namespace(y).add.at(dR, unit, value[:, :, None] * y[:, None, :])


def project_plain(unit, y, R, value):
    value[...] = namespace(y).einsum("bn,bkn->bk", y, R[unit])


by_row = pool.parallel(grain=1 << 10, error_model="numpy", fastmath={"contract", "reassoc"})
by_column = pool.parallel(grain=1 << 10, axis=1, align=16, error_model="numpy", fastmath={"contract", "reassoc"})


@by_row
def gather_cpu(start, stop, unit, h, value):
    for b in range(start, stop):
        for j in range(unit.shape[1]):
            value[b, j] = h[b, unit[b, j]]


@by_row
def combine_cpu(start, stop, unit, value, R, y):
    for b in range(start, stop):
        row = y[b]  # stays in the cache while k rows of R go by
        for j in range(unit.shape[1]):
            v, weights = value[b, j], R[unit[b, j]]
            for i in range(row.size):
                row[i] += v * weights[i]


@by_column
def scatter_add_cpu(start, stop, y, unit, value, dR):
    """A thread has columns of dR, because two examples may name the same row."""
    for b in range(y.shape[0]):
        row = y[b, start:stop]
        for j in range(unit.shape[1]):
            v, gradient = value[b, j], dR[unit[b, j], start:stop]
            for i in range(row.size):
                gradient[i] += v * row[i]


@by_row
def project_cpu(start, stop, unit, y, R, value):
    for b in range(start, stop):
        row = y[b]
        for j in range(unit.shape[1]):
            weights, v = R[unit[b, j]], value.dtype.type(0)
            for i in range(row.size):
                v += row[i] * weights[i]
            value[b, j] = v

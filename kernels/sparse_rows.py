r"""Products with a code of which k of m units are on: of a matrix R (m, n), the rows of those units alone.

    combine:  y_b  += Σ_j value_bj R_j                   j over unit_b, the k units of example b
    spread:   dR_j += Σ_b value_bj y_b                   its backward by R
    project:  value_bj = y_b · R_j                       and by value

each of 2 B k n operations where the dense product has 2 B m n. With h_Γ for `value` and the decoder's V for R,
`combine` is s = h_Γ V, `spread` is dV += h_Γᵀ ds, `project` is dh = ds Vᵀ on Γ. Other rows are left alone.
"""

from minae import kernels
from minae.backend import namespace
from minae.kernels import team


def combine(unit, value, R, y):
    """unit int32 (B, k), value (B, k), R (m, n); y (B, n) is added to."""
    (combine_cpu if kernels.form(value, unit, R, y) == "cpu" else combine_plain)(unit, value, R, y)


def spread(unit, value, y, dR):
    """unit int32 (B, k), value (B, k), y (B, n); dR (m, n) is added to."""
    if kernels.form(value, unit, y, dR) == "cpu":
        spread_cpu(y, unit, value, dR)
    else:
        spread_plain(unit, value, y, dR)


def project(unit, y, R, value):
    """unit int32 (B, k), y (B, n), R (m, n) -> value (B, k)"""
    (project_cpu if kernels.form(value, unit, y, R) == "cpu" else project_plain)(unit, y, R, value)


def take(unit, h, value):
    """value_bj = h_bj:  unit int32 (B, k), h (B, m) -> value (B, k)"""
    (take_cpu if kernels.form(value, unit, h) == "cpu" else take_plain)(unit, h, value)


def combine_plain(unit, value, R, y):
    y += namespace(y).einsum("bk,bkn->bn", value, R[unit])


def spread_plain(unit, value, y, dR):
    namespace(y).add.at(dR, unit, value[:, :, None] * y[:, None, :])


def project_plain(unit, y, R, value):
    value[...] = namespace(y).einsum("bn,bkn->bk", y, R[unit])


def take_plain(unit, h, value):
    value[...] = namespace(h).take_along_axis(h, unit.astype("int64"), axis=1)


by_row = team.shared(grain=1 << 10, error_model="numpy", fastmath={"contract", "reassoc"})
by_column = team.shared(grain=1 << 10, axis=1, align=16, error_model="numpy", fastmath={"contract", "reassoc"})


@by_row
def combine_cpu(start, stop, unit, value, R, y):
    for b in range(start, stop):
        row = y[b]  # in the cache while k rows of R go by
        for j in range(unit.shape[1]):
            v, weights = value[b, j], R[unit[b, j]]
            for i in range(row.size):
                row[i] += v * weights[i]


@by_column
def spread_cpu(start, stop, y, unit, value, dR):  # a thread has columns: of two rows of y, either may go to one of dR
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


@by_row
def take_cpu(start, stop, unit, h, value):
    for b in range(start, stop):
        for j in range(unit.shape[1]):
            value[b, j] = h[b, unit[b, j]]

r"""What a code keeps of neighbourhoods and of groups: silhouette, trustworthiness.     (section 15.6)

Both compare all pairs of rows, so they take memory for rows² distances: choose a few thousand rows.

    d(a, b) = ‖h_a − h_b‖
"""

from typing import Any

import numpy as np

from minae.errors import InputError
from minae.fields import host_array
from minae.metrics.probe import labelled
from minae.options import Array, Count, door

MOST = 20_000  # rows, whose distances take 3.2 GB


@door(h=Array(2))
def silhouette(h: Any, labels: Any) -> np.ndarray:
    r"""How much nearer each row is to its own group than to the nearest other one:  -> (rows,)

    a = mean distance to the other rows of its group
    b = mean distance to the rows of another group, the least over the groups
    s = (b − a) / max(a, b),  between −1 and 1;  0 for a row that is alone in its group     (Rousseeuw 1987)
    """
    h, labels = labelled(h, labels, "h", "labels")
    groups, index = np.unique(labels, return_inverse=True)
    if len(groups) < 2:
        raise InputError(f"labels has the one value {groups[0]}: expected two groups or more")
    d = _distances(h, "h")
    counts = np.bincount(index)
    sums = d @ np.eye(len(groups))[index]  # (rows, groups): the row itself adds 0
    rows = np.arange(len(h))
    a = sums[rows, index] / np.maximum(counts[index] - 1, 1)
    means = sums / counts
    means[rows, index] = np.inf
    b = means.min(axis=1)
    s = (b - a) / np.maximum(np.maximum(a, b), 1e-300)
    return np.where(counts[index] > 1, s, 0.0)


@door(X=Array(2), h=Array(2), k=Count())
def trustworthiness(X: Any, h: Any, k: int = 10) -> float:
    r"""Whether the neighbours in the code are neighbours in the data: 1 if all are.     (Venna and Kaski 2001)

        T = 1 − 2/(N k (2N − 3k − 1)) Σ_i Σ_{j ∈ U_i} (rank(i, j) − k)

    U_i holds the rows among the k nearest of i by h that are not among its k nearest by X, and rank(i, j) is the place
    of j in the order of distance to i by X, 1 for the nearest. The factor makes T = 0 where the order is reversed. A
    random code has T ≈ ½. `trustworthiness(h, X)` is the continuity: whether neighbours in the data stay neighbours.
    """
    if len(X) != len(h):
        raise InputError(f"X has {len(X)} rows and h {len(h)}: expected the codes of these rows")
    N = len(X)
    if not 2 * k < N:
        raise InputError(f"k is {k} and there are {N} rows: expected k < {N / 2:g}, half of them")
    ranks, near = _ranks(_distances(X, "X")), _ranks(_distances(h, "h"))
    intruders = (near <= k) & (ranks > k)
    return float(1 - 2 / (N * k * (2 * N - 3 * k - 1)) * (ranks[intruders] - k).sum())


def _distances(h, name):
    """(rows, rows), with 0 on the diagonal."""
    from scipy.spatial.distance import cdist

    h = host_array(h, name)
    if len(h) > MOST:
        raise InputError(f"{name} has {len(h)} rows, whose distances do not fit: expected at most {MOST}")
    d = cdist(h.astype(np.float64), h.astype(np.float64))
    if not np.isfinite(d).all():
        raise InputError(f"{name} has numbers up to {abs(h).max():.3g}, whose squares overflow: scale the code first")
    return d


def _ranks(d):
    """The place of each column in the order of each row: 1 for the nearest, and 0 for the row itself."""
    d = d.copy()
    np.fill_diagonal(d, -1)
    ranks = np.empty(d.shape, np.int64)
    np.put_along_axis(ranks, d.argsort(axis=1, kind="stable"), np.arange(len(d))[None], axis=1)
    return ranks

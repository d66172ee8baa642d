r"""What a code keeps of groups, of neighbourhoods and of distances, and how far a map moved.     (sections 15.6, A.1)

All but the last compare all pairs of rows, so they take memory for rows² distances: choose a few thousand rows.

    d(a, b) = ‖h_a − h_b‖
"""

from typing import Any, NamedTuple

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


class Neighbours(NamedTuple):
    """How well a map keeps the k nearest rows; each is 1 where all are kept. See `neighbours`."""

    trustworthiness: float
    continuity: float
    kept: float


@door(X=Array(2), h=Array(2), k=Count(), X_new=Array(2, optional=True), h_new=Array(2, optional=True))
def neighbours(X: Any, h: Any, k: int = 10, X_new: Any = None, h_new: Any = None) -> Neighbours:
    r"""What a code h keeps of the k nearest rows of X.     (Venna and Kaski 2001)

        trustworthiness = 1 − 2/(M k (2 n − 3 k + 1)) Σ_i Σ_{j ∈ U_i} (rank(i, j) − k)
        continuity      = the same with X and h exchanged
        kept            = mean over i of |N_i ∩ N_i'| / k

    N_i and N_i' hold the k nearest rows of i by X and by h. U_i = N_i' \ N_i are the intruders, rows that are near in
    the code alone, and rank(i, j) is the place of j in the order of distance to i by X, 1 for the nearest. So
    trustworthiness asks whether neighbours in the code are neighbours in the data, and continuity whether neighbours in
    the data stay neighbours. There are M rows i, each of which has n other rows, M = N and n = N − 1.

    Derivation of the factor: the worst that can happen is that all k neighbours of i by h are the k farthest by X,
    which have the ranks n − k + 1, …, n. The sum of rank − k over these is k (2 n − 3 k + 1)/2, and the factor makes it
    a loss of 1. A random code has trustworthiness ≈ ½ and keeps k/n.

    X_new, h_new: held-out rows and their codes. Then i goes over these M rows, and their neighbours are looked for
    among the n = N rows of X.
    """
    _paired(X, h, "X", "h")
    if (X_new is None) != (h_new is None):
        raise InputError("X_new and h_new belong together: give both, or none")
    N = len(X)
    if not 2 * k < N:
        raise InputError(f"k is {k} and there are {N} rows: expected k < {N / 2:g}, half of them")
    if X_new is None:
        n, ranks, near = N - 1, _ranks(_distances(X, "X")), _ranks(_distances(h, "h"))
    else:
        _paired(X_new, h_new, "X_new", "h_new")
        n, ranks, near = N, _ranks(_distances(X, "X", X_new), False), _ranks(_distances(h, "h", h_new), False)
    factor = 2 / (len(ranks) * k * (2 * n - 3 * k + 1))
    lost = [(place[(other <= k) & (place > k)] - k).sum() for place, other in ((ranks, near), (near, ranks))]
    kept = ((ranks >= 1) & (ranks <= k) & (near <= k)).sum() / (len(ranks) * k)
    return Neighbours(float(1 - factor * lost[0]), float(1 - factor * lost[1]), float(kept))


def trustworthiness(X: Any, h: Any, k: int = 10) -> float:
    """Whether the neighbours in the code are neighbours in the data: 1 if all are. See `neighbours`."""
    return neighbours(X, h, k).trustworthiness


@door(X=Array(2), h=Array(2))
def distances_kept(X: Any, h: Any) -> float:
    """Whether far in the data is far in the code: the rank correlation (Spearman 1904) of d_X(a, b) with d_h(a, b) over
    all pairs of rows. It is 1 where the order of all distances is kept, and about 0 for a random code."""
    from scipy.stats import rankdata

    _paired(X, h, "X", "h")
    upper = np.triu_indices(len(X), 1)
    ranks = [rankdata(_distances(rows, name)[upper]) for rows, name in ((X, "X"), (h, "h"))]
    for one, name in zip(ranks, ("X", "h"), strict=True):
        if len(one) < 2 or np.ptp(one) == 0:
            raise InputError(f"all distances between the rows of {name} are equal: they have no order")
    return float(np.corrcoef(*ranks)[0, 1])


@door(h=Array(2), other=Array(2))
def moved(h: Any, other: Any) -> float:
    r"""How far a map moved: the share of its variance that no shift, rotation, mirror or scale explains, 0 to 1.

        min over s, R with Rᵀ R = I of  ‖A − s B R‖²_F,   A and B being h and other, centred and of norm 1
            = 1 − (Σ σ_i)²,   σ_i the singular values of Aᵀ B     (the orthogonal Procrustes problem, Schönemann 1966)

    Two unrelated maps have almost 1.
    """
    from scipy.spatial import procrustes

    _paired(h, other, "h", "other")
    if h.shape[1] != other.shape[1]:
        raise InputError(f"h has {h.shape[1]} columns and other {other.shape[1]}: expected maps of one width")
    for rows, name in ((h, "h"), (other, "other")):
        if np.ptp(rows, axis=0).max() == 0:
            raise InputError(f"all rows of {name} are at one place: there is no map")
    return float(procrustes(h, other)[2])


def _paired(X, h, name, of_code):
    if len(X) != len(h):
        raise InputError(f"{name} has {len(X)} rows and {of_code} {len(h)}: expected the codes of these rows")


def _distances(h, name, new=None):
    """(rows, rows), with 0 on the diagonal; with new rows, theirs to the rows of h: (new rows, rows)."""
    from scipy.spatial.distance import cdist

    h = host_array(h, name)
    new = h if new is None else host_array(new, f"{name}_new")
    if new.shape[1] != h.shape[1]:
        raise InputError(f"{name}_new has {new.shape[1]} columns and {name} {h.shape[1]}: expected rows of one width")
    if len(h) * len(new) > MOST**2:
        raise InputError(f"{name} has {len(h)} rows, whose distances do not fit: expected at most {MOST}")
    d = cdist(new.astype(np.float64), h.astype(np.float64))
    if not np.isfinite(d).all():
        raise InputError(f"{name} has numbers up to {abs(h).max():.3g}, whose squares overflow: scale the code first")
    return d


def _ranks(d, own=True):
    """The place of each column in the order of each row: 1 for the nearest, and 0 for the row itself.

    own: whether the rows are the columns; else they are new rows, and all columns are others"""
    if own:
        d = d.copy()
        np.fill_diagonal(d, -1)
    ranks = np.empty(d.shape, np.int64)
    places = np.arange(d.shape[1]) + (0 if own else 1)
    np.put_along_axis(ranks, d.argsort(axis=1, kind="stable"), places[None], axis=1)
    return ranks

r"""How well a score tells two kinds apart: over all thresholds, or at one.     (sections 15.2, A.2)"""

from typing import Any

import numpy as np

from minae.errors import InputError
from minae.fields import host_array
from minae.options import Array, Count, door


@door(scores=Array(1))
def auroc(scores: Any, positive: Any) -> float:
    r"""The probability that a positive row scores higher than a negative one, a tie counted as one half.

    It is the area under the curve of true against false positives over all thresholds (Hanley and McNeil 1982). With
    r_i the rank of row i among all, 1 for the least, and the mean of their ranks for those that tie,

        AUROC = (Σ_{i positive} r_i − P(P + 1)/2) / (P N),     P positive and N negative rows

    because Σ r_i counts, for each positive row, itself, the positive rows below it, which are P(P + 1)/2 together, and
    the negative rows below it.

    positive: bool (rows,), or 0 and 1
    """
    from scipy.stats import rankdata

    positive = _both_kinds(scores, positive)
    P, N = int(positive.sum()), int((~positive).sum())
    return float((rankdata(scores)[positive].sum() - P * (P + 1) / 2) / (P * N))


@door(scores=Array(1))
def average_precision(scores: Any, positive: Any) -> float:
    r"""The area under precision by recall, Σ_k (R_k − R_{k−1}) P_k over the thresholds, from the highest score down.

    At a threshold, with t positive and f negative rows at or above it, of P positive rows in all,

        P_k = t/(t + f),   R_k = t/P

    Rows of one score have one threshold, so that the order in which they come does not count. It is the measure for
    rare positives: a random score has the share of positives, P/(P + N), where `auroc` has ½ whatever the share.

    positive: bool (rows,), or 0 and 1
    """
    positive = _both_kinds(scores, positive)
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # of the rows that tie
    t = np.cumsum(positive[order])[last]
    return float((np.diff(t, prepend=0) / positive.sum() * t / (last + 1)).sum())


@door(scores=Array(1), k=Count())
def precision_at(scores: Any, positive: Any, k: int) -> float:
    """The share of positive rows among the k of the highest score: what somebody finds who can look at k rows.

    Where the k-th score is that of further rows, each of them counts as its share of the places that are left, the mean
    over all orders of the rows that tie.
    """
    positive = _both_kinds(scores, positive)
    if k > len(scores):
        raise InputError(f"k is {k} and there are {len(scores)} rows: expected as many or fewer")
    edge = np.sort(scores)[-k]
    above, tied = scores > edge, scores == edge
    return float((positive[above].sum() + (k - above.sum()) * positive[tied].mean()) / k)


def _both_kinds(scores, positive):
    positive = host_array(positive, "positive")
    if positive.shape != scores.shape or not np.isin(positive, (0, 1)).all():
        raise InputError(f"positive is {positive.dtype} {positive.shape}; expected 0 and 1 for each of {len(scores)}")
    P, N = int(positive.sum()), int((1 - positive.astype(int)).sum())
    if not P or not N:
        raise InputError(f"positive has {P} positive rows and {N} negative ones: expected some of both")
    return positive.astype(bool)

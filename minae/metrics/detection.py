r"""How well a score tells two kinds apart, over all thresholds or at one; what a probability and a decision are worth.
(sections 15.2, A.2, A.4)"""

from typing import Any

import numpy as np

from minae.errors import InputError
from minae.fields import host_array
from minae.options import Array, Count, Number, Positive, Rate, door


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


@door(scores=Array(1), share=Number(low=0, high=1))
def lift_at(scores: Any, positive: Any, share: float = 0.1) -> float:
    """How many times more positive rows are among the share of the highest score than among all rows.

    1 for a score that knows nothing, and 1/share at most. It is what a sender gains who reaches so many and no more.
    """
    positive = _both_kinds(scores, positive)
    return precision_at(scores, positive, max(1, round(share * len(scores)))) / float(positive.mean())


# ---- probabilities


@door(p=Array(1))
def log_loss(p: Any, positive: Any) -> float:
    """The mean of −log p where a row is positive and −log(1 − p) where it is not, in nats.     (3.13.2)

    It is least, in the mean, for the true probability, so that it sees both a wrong order and wrong probabilities. It
    is infinite for a 0 that was a yes.
    """
    p, positive = _probabilities(p), _both_kinds(p, positive)
    with np.errstate(divide="ignore"):
        return float(-np.log(np.where(positive, p, 1 - p).astype(float)).mean())


@door(p=Array(1), bins=Count())
def reliability(p: Any, positive: Any, bins: int = 10) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(mean p, share of positive rows, rows) of groups of rows with like p: a calibrated p has the first two alike.

    The rows are sorted by p and cut into so many groups of about equal size; rows of one p are in one group.
    """
    p, positive = _probabilities(p), _both_kinds(p, positive)
    edges = np.unique(np.quantile(p, np.linspace(0, 1, bins + 1)))[1:-1]
    group = np.unique(np.searchsorted(edges, p, side="right"), return_inverse=True)[1]
    rows = np.bincount(group)
    return np.bincount(group, p) / rows, np.bincount(group, positive) / rows, rows


@door(p=Array(1))
def calibration_gap(p: Any, positive: Any) -> float:
    """mean p − the share of positive rows: above 0 for a model that promises too much. 0 is needed, and not enough."""
    p, positive = _probabilities(p), _both_kinds(p, positive)
    return float(p.mean() - positive.mean())


@door(p=Array(1), by=Number())
def shifted(p: Any, by: float) -> np.ndarray:
    r"""σ(s + by) for p = σ(s): all odds p/(1 − p) are e^by times what they were, and no two rows change their order.

    Where each positive row came k times, the odds are k times too large, and by = −log k brings them back.

    Derivation: by Bayes, p/(1 − p) = P p(x | 1) / (N p(x | 0)) with P positive and N negative rows. To repeat the
    positive ones k times makes k P of P and leaves p(x | 1) as it is. So the odds become
        p̃/(1 − p̃) = k p/(1 − p),    s̃ = log p̃/(1 − p̃) = s + log k
    """
    p = np.clip(_probabilities(p).astype(float), 1e-12, 1 - 1e-12)
    return 1 / (1 + (1 - p) / p * np.exp(-by))


@door(p=Array(1), rate=Rate())
def shift_to(p: Any, rate: float) -> float:
    """The number `by` for which the mean of `shifted(p, by)` is this rate: of a few rows whose answers are known."""
    from scipy.optimize import brentq

    return float(brentq(lambda by: shifted(p, by).mean() - rate, -40, 40))


# ---- decisions


@door(gain=Positive(), loss=Positive())
def break_even(gain: float, loss: float) -> float:
    r"""The probability from which on it pays to act.     t = loss/(gain + loss)

    gain: what a positive row brings that is acted on;  loss: what a negative one costs

    Derivation: to act on a row of probability p brings p gain − (1 − p) loss on average, and not to act brings 0. The
    first is a rising line in p; it is 0 where
        p gain = (1 − p) loss,    p (gain + loss) = loss
    """
    return loss / (gain + loss)


@door(act=Array(1, "b"), gain=Positive(), loss=Positive())
def profit(act: Any, positive: Any, gain: float, loss: float) -> float:
    """What acting on these rows brought, for 1,000 rows: gain for each positive row, −loss for each other one."""
    positive = _both_kinds(act, positive)
    return float(1000 * (gain * (act & positive).sum() - loss * (act & ~positive).sum()) / len(act))


def _probabilities(p):
    if p.min() < 0 or p.max() > 1:
        raise InputError(f"p is from {p.min():g} to {p.max():g}: expected probabilities in [0, 1]")
    return p


def _both_kinds(scores, positive):
    positive = host_array(positive, "positive")
    if positive.shape != scores.shape or not np.isin(positive, (0, 1)).all():
        raise InputError(f"positive is {positive.dtype} {positive.shape}; expected 0 and 1 for each of {len(scores)}")
    P, N = int(positive.sum()), int((1 - positive.astype(int)).sum())
    if not P or not N:
        raise InputError(f"positive has {P} positive rows and {N} negative ones: expected some of both")
    return positive.astype(bool)

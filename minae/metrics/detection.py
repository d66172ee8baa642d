r"""How well a score tells two kinds apart, without a threshold.     (section 15.2)"""

from typing import Any

import numpy as np

from minae.errors import InputError
from minae.fields import host_array
from minae.options import Array, door


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

    positive = host_array(positive, "positive")
    if positive.shape != scores.shape or not np.isin(positive, (0, 1)).all():
        raise InputError(f"positive is {positive.dtype} {positive.shape}; expected 0 and 1 for each of {len(scores)}")
    positive = positive.astype(bool)
    P, N = int(positive.sum()), int((~positive).sum())
    if not P or not N:
        raise InputError(f"positive has {P} positive rows and {N} negative ones: expected some of both")
    return float((rankdata(scores)[positive].sum() - P * (P + 1) / 2) / (P * N))

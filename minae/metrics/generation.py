r"""What the draws of a generator are worth, beside real rows: coverage, quality of features, and copies.     (20.14)"""

from typing import Any, NamedTuple

import numpy as np

from minae.errors import InputError
from minae.metrics.detection import auroc
from minae.options import Array, Count, door


@door(labels=Array(1, kinds="iu"), classes=Count(lowest=2))
def kl_to_uniform(labels: Any, classes: int) -> float:
    r"""KL(p ‖ u) = Σ_k p_k log(classes · p_k), p_k the share of label k: 0 where all classes are drawn equally often,
    log(classes) where one is drawn alone.     (3.50)"""
    if labels.min() < 0 or labels.max() >= classes:
        raise InputError(f"labels are from {labels.min()} to {labels.max()}: expected 0 to {classes - 1}")
    p = np.bincount(labels, minlength=classes) / len(labels)
    return float((p[p > 0] * np.log(classes * p[p > 0])).sum())


@door(features=Array(2), others=Array(2))
def frechet(features: Any, others: Any) -> float:
    r"""The squared Fréchet distance of two Gaussians, N(μ, Σ) and N(μ′, Σ′) fitted to two sets of rows.

        ‖μ − μ′‖² + tr Σ + tr Σ′ − 2 tr (Σ^½ Σ′ Σ^½)^½     (Dowson and Landau 1982; Heusel et al. 2017)

    With a network's features of pictures it is the "FID" of that network. Two cautions. It sees means and covariances
    alone. And it is biased: two sets of draws from *one* distribution have a distance above 0, about in proportion to
    1/rows, so that only numbers from equally many rows may be compared (Bińkowski et al. 2018).
    """
    if features.shape[1] != others.shape[1] or min(len(features), len(others)) < 2:
        raise InputError(
            f"features are {features.shape} and {others.shape}: expected equally many columns, and at least two rows"
        )
    (mu, S), (mu_other, S_other) = ((x.mean(axis=0), np.cov(x.T).reshape(x.shape[1], -1)) for x in
                                    (features.astype(np.float64), others.astype(np.float64)))  # fmt: skip
    v, D = np.linalg.eigh(S)
    root = (D * np.sqrt(v.clip(0))) @ D.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ S_other @ root).clip(0)).sum()
    return float(np.square(mu - mu_other).sum() + np.trace(S) + np.trace(S_other) - 2 * cross)


class Copies(NamedTuple):
    """share: of the draws, whose nearest real row is a training row;  expected: that share, if training rows were as
    others;  z: how many standard errors lie between;  nearer: how often a draw is nearer to the training rows than a
    held-out row is, ½ where neither is nearer;  copied: z > 4"""

    share: float
    expected: float
    z: float
    nearer: float
    copied: bool


@door(made=Array(2), train=Array(2), held_out=Array(2))
def copies(made: Any, train: Any, held_out: Any) -> Copies:
    r"""Does a sampler give back its training rows?     made, train, held_out: (rows, n)

    Training rows and held-out rows come from one distribution. A sampler that has learned this distribution, and
    remembers no row, has no reason to come nearer to the first than to the second. So let c_i be the number of draws
    whose nearest row, among all K training rows and N held-out ones, is row i. If the labels "training" and "held out"
    could be exchanged, the sum of c_i over the training rows would have

        mean  = M K/(K + N),    variance = K N/((K + N)(K + N − 1)) Σ_i (c_i − M/(K + N))²,    M draws

    as a sum over K rows that are drawn at random without putting back. z is how far the sum lies above this mean. The
    variance knows that a few rows are the nearest of many draws, as it happens in high dimensions.

    `nearer` compares distances instead: those of the draws to their nearest training row, with those of the held-out
    rows (the C_T of Meehan et al. 2020). It says more where draws are sharp, but blurred draws lie nearer to everything
    than real rows do, so a value above ½ alone convicts nobody.
    """
    if not made.shape[1] == train.shape[1] == held_out.shape[1]:
        raise InputError(f"made, train, held_out are {made.shape}, {train.shape}, {held_out.shape}: expected one width")
    to_train, c_train = _nearest(made, train)
    to_held, c_held = _nearest(made, held_out)
    K, N, M = len(train), len(held_out), len(made)
    of_train = to_train <= to_held
    c = np.bincount(np.where(of_train, c_train, K + c_held), minlength=K + N)
    mean = M * K / (K + N)
    variance = K * N / ((K + N) * (K + N - 1)) * np.square(c - M / (K + N)).sum()
    z = float((of_train.sum() - mean) / np.sqrt(variance))
    distances = np.concatenate([to_train, _nearest(held_out, train)[0]])
    nearer = auroc(-distances, np.arange(len(distances)) < M)
    return Copies(float(of_train.mean()), K / (K + N), z, nearer, z > 4)


def _nearest(x, rows, batch=500):
    """Squared distance to the nearest of the rows, and which one it is; batch by batch."""
    x, rows = np.asarray(x, np.float64), np.asarray(rows, np.float64)
    found, place, squares = np.empty(len(x)), np.empty(len(x), int), np.square(rows).sum(axis=1)
    for start in range(0, len(x), batch):
        part = x[start : start + batch]
        d2 = squares - 2 * part @ rows.T
        place[start : start + batch] = d2.argmin(axis=1)
        found[start : start + batch] = d2.min(axis=1) + np.square(part).sum(axis=1)
    return found.clip(0), place

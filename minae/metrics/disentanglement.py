r"""Whether each unit of a code says something about one factor, and about no other.     (section 15.3, 15.6)

The factors that made the data are known here (`minae.data.sprites`), and five scores ask the same question in five
ways, because no one of them is right alone. All take

    h: (rows, m), codes, on the host;  factors: (rows, K), whole numbers from 0 on, the value of each factor at each row

Read a score beside that of a code that knows nothing, `rng.standard_normal((rows, m))`, and of principal components: a
score is an estimate from a sample, and a random code does not get 0.
"""

from typing import Any, NamedTuple

import numpy as np

from minae.errors import InputError
from minae.fields import host_array
from minae.models.classifier import Classifier
from minae.options import Count, Number, door
from minae.training import Adam, Cosine


class Gaps(NamedTuple):
    """A score, its part of each factor, and the table (m, K) of what unit j says about factor k that it is made
    from."""

    score: float
    by_factor: np.ndarray
    table: np.ndarray


class Importances(NamedTuple):
    """Disentanglement, completeness and informativeness, and the table R (m, K) of importances."""

    disentanglement: float
    completeness: float
    informativeness: float
    table: np.ndarray


@door(bins=Count(lowest=2))
def mutual_information_gap(h: Any, factors: Any, bins: int = 20) -> Gaps:
    r"""MIG: how far the unit that knows a factor best is ahead of the second best.     (Chen et al. 2018)

        MIG = 1/K Σ_k (I(h_j(k); v_k) − max_{j ≠ j(k)} I(h_j; v_k)) / H(v_k),     j(k) the unit with the largest I

    A unit is cut into `bins` bins of equal width from its least to its largest value, and I is that of the histogram:

        I(u; v) = Σ_uv p(u, v) log (p(u, v) / (p(u) p(v))),     H(v) = −Σ_v p(v) log p(v)

    I is in nats and at most H(v), so that the gap lies in [0, 1]. A histogram of few rows finds information where there
    is none, by (bins − 1)(values − 1)/(2 rows) about (Miller 1955): use many rows or few bins. For this reason fewer
    rows than bins are refused.
    """
    h, factors = _factored(h, factors)
    if len(h) < bins:
        raise InputError(f"h has {len(h)} rows and bins is {bins}: expected more rows than bins, and best many more")
    cut = np.stack([_binned(column, bins) for column in h.T], axis=1)
    table = np.array([[_information(u, v) for v in factors.T] for u in cut.T])
    entropies = np.array([_information(v, v) for v in factors.T])  # I(v; v) = H(v)
    gaps = _gap(table) / entropies
    return Gaps(float(gaps.mean()), gaps, table / entropies)


@door(seed=Count(lowest=0))
def separated_attribute_predictability(h: Any, factors: Any, ordered: Any = (), seed: int = 0) -> Gaps:
    r"""SAP: how far one unit predicts a factor better than any other unit does.     (Kumar et al. 2018)

    From unit j alone the factor k is predicted:

        an ordered factor    R² = Cov(h_j, v_k)² / (Var h_j · Var v_k), of the line of least squares
        a factor of classes  the share of right answers, each class counted alike, of the rule "the class whose mean of
                             h_j is nearest", which is made on one half of the rows and judged on the other

    The gap of a factor is the best unit's score less the second best's, and SAP is the mean of the gaps.

    ordered: the indices of the ordered factors; the others are classes
    """
    h, factors = _factored(h, factors)
    K = factors.shape[1]
    chosen = host_array(ordered, "ordered", f"indices of factors, 0 to {K - 1}").ravel()
    if chosen.size and (chosen.dtype.kind not in "iu" or chosen.min() < 0 or chosen.max() >= K):
        raise InputError(f"ordered is {ordered!r}: expected indices of factors, 0 to {K - 1}")
    order = np.random.default_rng(seed).permutation(len(h))
    half, other = order[: len(h) // 2], order[len(h) // 2 :]
    table = np.zeros((h.shape[1], K))
    for k in range(K):
        v = factors[:, k]
        if k in chosen:
            table[:, k] = _squared_correlations(h, v)
            continue
        classes = np.unique(v)
        in_half = np.stack([v[half] == c for c in classes])
        if not in_half.any(axis=1).all():
            raise InputError(f"factor {k} has a value on too few rows: expected each value on several rows")
        means = np.stack([h[half][rows].mean(axis=0) for rows in in_half])  # (classes, m)
        nearest = abs(h[other][None] - means[:, None]).argmin(axis=0)  # (rows, m)
        for j in range(h.shape[1]):
            right = [(nearest[v[other] == c, j] == i).mean() for i, c in enumerate(classes) if (v[other] == c).any()]
            table[j, k] = np.mean(right)
    gaps = _gap(table)
    return Gaps(float(gaps.mean()), gaps, table)


@door(trees=Count(), seed=Count(lowest=0))
def disentanglement_completeness_informativeness(h: Any, factors: Any, trees: int = 50, seed: int = 0) -> Importances:
    r"""DCI: one factor a unit, one unit a factor, and all that can be known.     (Eastwood and Williams 2018)

    A random forest predicts each factor from the whole code, and says how much of its decisions each unit took: these
    are the importances R (m, K), whose columns sum to 1. With p_jk = R_jk / Σ_k R_jk along a row and q_jk = R_jk along
    a column, and entropies H_K and H_m with logarithms to the base K and m, so that they lie in [0, 1],

        disentanglement   Σ_j ρ_j (1 − H_K(p_j)),  ρ_j = Σ_k R_jk / K      one factor a unit
        completeness      1/K Σ_k (1 − H_m(q_k))                           one unit a factor
        informativeness   the mean over the factors of the share of right answers on held-out rows, each value alike,
                          less what guessing gets, over the most that can be gained: 0 for a guess, 1 for all right

    The forest's depth (4, 8 or none) is chosen for each factor on a part of the rows that it is not judged on. An
    untuned regressor makes the score say something about the regressor. Needs scikit-learn.
    """
    try:
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.metrics import balanced_accuracy_score
    except ImportError:
        raise InputError("DCI needs scikit-learn: pip install -e '.[apps]'") from None
    h, factors = _factored(h, factors)
    K, m, order = factors.shape[1], h.shape[1], np.random.default_rng(seed).permutation(len(h))
    train, tune, test = np.split(order, [len(h) // 2, 3 * len(h) // 4])
    table, informed = np.zeros((m, K)), []
    for k in range(K):
        v: Any = factors[:, k]
        best: Any = None
        if not len(np.unique(v[train])) == len(np.unique(v[test])) == len(np.unique(v)):
            raise InputError(f"factor {k} has a value on too few rows: expected each value on several rows")
        for depth in (4, 8, None):
            forest = RandomForestClassifier(trees, max_depth=depth, max_features=None, random_state=seed)
            forest.fit(h[train], v[train])
            right = balanced_accuracy_score(v[tune], forest.predict(h[tune]))
            if best is None or right > best[0]:
                best = right, forest
        table[:, k] = best[1].feature_importances_
        guess = 1 / len(np.unique(v))
        informed.append((balanced_accuracy_score(v[test], best[1].predict(h[test])) - guess) / (1 - guess))
    table /= np.maximum(table.sum(axis=0), 1e-12)
    of_row = table / np.maximum(table.sum(axis=1, keepdims=True), 1e-12)
    disentangled = (table.sum(axis=1) / K * (1 - _entropy(of_row, axis=1, base=K))).sum()
    complete = (1 - _entropy(table, axis=0, base=m)).mean()
    return Importances(float(disentangled), float(complete), float(np.mean(informed)), table)


@door(draws=Count(lowest=2), rows=Count(lowest=2), least=Number(low=0), seed=Count(lowest=0))
def factor_vae_score(
    h: Any, factors: Any, draws: int = 800, rows: int = 64, least: float = 0.05, seed: int = 0
) -> float:
    r"""FactorVAE's score: the unit that moves least in a batch with one factor fixed names the factor.

    (Kim and Mnih 2018)

        draw a factor k, a value of it, and `rows` rows that have this value
        d = argmin_j Var_batch(h_j) / Var(h_j)
        vote for k at d; the majority at each d is a classifier, and half of the `draws` judge it

    The score is its share of right answers: 1/K for a code that knows nothing, 1 for one unit a factor. A unit that
    hardly moves over the whole data has a quotient of noise, and would win votes. So units are left out whose standard
    deviation is below `least` times that of the unit that moves most.
    """
    h, factors = _factored(h, factors)
    h, rng, K = _active(h, least), np.random.default_rng(seed), factors.shape[1]
    spread, votes = h.var(axis=0), np.zeros((2, h.shape[1], K), int)
    groups = _groups(factors)
    for draw in range(2 * (draws // 2)):
        k = rng.integers(K)
        batch = h[rng.choice(groups[k][rng.integers(len(groups[k]))], rows)]
        votes[draw % 2, (batch.var(axis=0) / spread).argmin(), k] += 1
    named = votes[0].argmax(axis=1)
    return float(votes[1][np.arange(len(named)), named].sum() / max(1, votes[1].sum()))


@door(draws=Count(lowest=100), pairs=Count(), seed=Count(lowest=0))
def higgins_score(h: Any, factors: Any, draws: int = 2000, pairs: int = 64, seed: int = 0) -> float:
    r"""β-VAE's score: which factor two rows share is read off their codes by a linear classifier.

    (Higgins et al. 2017)

        draw a factor k, and `pairs` pairs of rows; the two of a pair have the same value of k
        z = 1/pairs Σ |h − h′|,  each unit over its standard deviation
        p(k | z) = softmax(z W + b)

    The score is the share of right answers on a quarter of the draws. The classifier is linear, so that it cannot make
    up for a code that mixes the factors; still it can add units, and the score is high for any code that a rotation
    disentangles. This is why the four other scores exist.
    """
    h, factors = _factored(h, factors)
    h, rng, K = _active(h, 1e-6), np.random.default_rng(seed), factors.shape[1]
    h, groups = h / h.std(axis=0), _groups(factors)
    z, y = np.empty((draws, h.shape[1]), np.float32), rng.integers(K, size=draws)
    for draw, k in enumerate(y):
        of = [groups[k][i] for i in rng.integers(len(groups[k]), size=pairs)]
        first, second = (np.array([rng.choice(rows) for rows in of]) for _ in range(2))
        z[draw] = abs(h[first] - h[second]).mean(axis=0)
    z, cut = (z - z.mean(axis=0)) / np.maximum(z.std(axis=0), 1e-6), 3 * draws // 4
    probe = Classifier((h.shape[1],), classes=max(2, K), seed=seed, backend="numpy")
    steps = 30 * -(-cut // min(128, cut))
    probe.fit(z[:cut], y[:cut], epochs=30, optimizer=Adam(Cosine(3e-2, steps=steps)), seed=seed)
    return float((probe.predict(z[cut:]) == y[cut:]).mean())


# ---- what the scores share


def _factored(h, factors):
    """Codes as float64 and factors as whole numbers, checked."""
    h, factors = host_array(h, "h"), host_array(factors, "factors")
    if h.ndim != 2 or 0 in h.shape or h.dtype.kind not in "biuf":
        raise InputError(f"h is {h.dtype} {h.shape}; expected codes, numbers (rows, m)")
    if not np.isfinite(h).all():
        raise InputError("h has NaN or infinite numbers: expected the codes of a trained model")
    if factors.ndim != 2 or len(factors) != len(h) or factors.shape[1] == 0 or factors.dtype.kind not in "iu":
        raise InputError(f"factors is {factors.dtype} {factors.shape}; expected whole numbers ({len(h)}, K)")
    for k, v in enumerate(factors.T):
        if v.min() < 0 or v.min() == v.max():
            raise InputError(f"factor {k} has the values {v.min()} to {v.max()}: expected two or more, from 0 on")
    h = h.astype(np.float64)
    h /= abs(h).max() or 1.0  # no score depends on the scale of a whole code, and squares do not overflow
    return h, np.stack([np.unique(v, return_inverse=True)[1] for v in factors.T], axis=1)


def _binned(u, bins):
    """The bin of each number, 0 … bins − 1, of equal width; one bin for a unit that does not vary."""
    low, high = u.min(), u.max()
    if low == high:
        return np.zeros(len(u), int)
    return np.minimum(((u - low) / (high - low) * bins).astype(int), bins - 1)


def _information(u, v):
    """I(u; v) of two columns of whole numbers, in nats."""
    p = np.zeros((u.max() + 1, v.max() + 1))
    np.add.at(p, (u, v), 1 / len(u))
    independent = p.sum(axis=1, keepdims=True) * p.sum(axis=0)
    some = p > 0
    return float((p[some] * np.log(p[some] / independent[some])).sum())


def _gap(table):
    """The largest of each column less the second largest."""
    if len(table) == 1:
        return table[0].copy()  # there is no other unit
    top = np.sort(table, axis=0)[-2:]
    return top[1] - top[0]


def _squared_correlations(h, v):
    """R² of each unit with v; 0 for a unit that does not vary."""
    a, b = h - h.mean(axis=0), v - v.mean()
    return (a.T @ b) ** 2 / np.maximum((a * a).sum(axis=0) * (b @ b), 1e-300)


def _entropy(p, axis, base):
    """−Σ p log p along an axis, to this base; 0 where there is one thing only."""
    terms = np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0)
    return -terms.sum(axis=axis) / np.log(max(base, 2))


def _active(h, least):
    """The units that move: standard deviation ≥ least · the largest."""
    spread = h.std(axis=0)
    if not spread.max() > 0:
        raise InputError("no unit of h varies: expected the codes of a trained model")
    return h[:, (spread >= least * spread.max()) & (spread > 0)]


def _groups(factors):
    """For each factor, for each of its values, the rows that have it."""
    return [[np.flatnonzero(v == value) for value in np.unique(v)] for v in factors.T]

r"""What a code has of each of the book's clues: one number for each clue.     (section 15.6)

A code is a function `encode` from pictures (rows, n) to h (rows, m). Its units may be on any scale, and a code is no
better for being scaled. So every measure here but `sparsity` takes the units as

    u_j = (h_j − mean h_j) / sd h_j,     for the units that are in use: sd h_j ≥ 0.05 · the largest sd

with means and deviations over the training pictures. `Units` does this. The mean over rows is written E.

Each measure says what a code of random numbers gets, drawn anew whenever it is asked. It is the value of knowing
nothing.
"""

import numpy as np

from minae.chapters.classical import PCA
from minae.metrics.disentanglement import mutual_information_gap
from minae.metrics.probe import knn_accuracy

LEAST = 0.05  # of the largest deviation: below it a unit is not in use


class Units:
    """u(x), the standardised units in use of a code:  (rows, n) -> (rows, m)."""

    def __init__(self, encode, X):
        self.encode, h = encode, np.asarray(encode(X), dtype=np.float64)
        sd = h.std(axis=0)
        self.used = np.flatnonzero(sd >= LEAST * sd.max())
        self.mean, self.sd = h[:, self.used].mean(axis=0), sd[self.used]

    def __call__(self, X):
        h = np.asarray(self.encode(X), dtype=np.float64)
        return (h[:, self.used] - self.mean) / self.sd


class RandomNumbers:
    """A code that does not look: m normal numbers, drawn anew whenever it is asked."""

    def __init__(self, m, seed):
        self.m, self.rng = m, np.random.default_rng(seed)

    def encode(self, X):
        return self.rng.standard_normal((len(X), self.m))


class LinearSlowFeatures:
    r"""The m slowest linear functions of k principal components.     (Wiskott and Sejnowski 2002)

        minimise E (wᵀd)²  where  E (wᵀa)² = 1,     a the components of a frame, d those of the next less a

    Derivation: divide each component by its standard deviation, so that E a aᵀ = I and the condition is wᵀw = 1. With
    D = E d dᵀ, the slope of wᵀD w − Δ (wᵀw − 1) is 0 where D w = Δ w: w is an eigenvector of D, Δ is the value of what
    is minimised, and the m smallest Δ belong to the m slowest functions. They are uncorrelated, since eigenvectors are
    orthogonal. Components that do not vary, as those of dead units, are left out.
    """

    def __init__(self, X, following, m, k=20):
        self.pca = PCA(np.asarray(X, dtype=np.float64), k)
        some = self.pca.v > 1e-6 * self.pca.v[0]
        self.pca.v, self.pca.D = self.pca.v[some], self.pca.D[:, some]
        d = (self.pca.encode(following) - self.pca.encode(X)) / np.sqrt(self.pca.v)
        self.delta, w = np.linalg.eigh(d.T @ d / len(d))  # ascending
        self.w = w[:, :m]

    def encode(self, X):
        return self.pca.encode(X) / np.sqrt(self.pca.v) @ self.w


def change(u, u_other):
    """½ E (u_j − u′_j)², mean over the units: 0 for u′ = u.  Random numbers: ½ (1 + 1) = 1."""
    return float(0.5 * np.square(u - u_other).mean())


def curvature(u_first, u_middle, u_last):
    """E ‖u(middle) − ½ (u(first) + u(last))‖² / E ‖½ (u(last) − u(first))‖²,  for three pictures along one move.

    It is 0 for a code that runs along a straight line, and small for a smooth one. Random numbers: (1 + ½)/½ = 3.
    """
    bend = np.square(u_middle - 0.5 * (u_first + u_last)).mean()
    return float(bend / np.square(0.5 * (u_last - u_first)).mean())


def linear_fit(h, v):
    """R² on the second half of the rows of v ≈ h w + b, by least squares on the first: (columns of v,).

    Random numbers: about −m/rows, a little less than guessing the mean.
    """
    half = len(h) // 2
    h = np.hstack([h, np.ones((len(h), 1))])
    w = np.linalg.lstsq(h[:half], v[:half], rcond=None)[0]
    rest = v[half:] - h[half:] @ w
    return 1 - np.square(rest).sum(axis=0) / np.square(v[half:] - v[:half].mean(axis=0)).sum(axis=0)


def share_that_answers(u, changed):
    """How many units answer when one cause is changed and the others are held: 0 for one unit, 1 for all alike.

        a_j = E (u_j(x) − u_j(x′))²        x′ is x with this cause changed
        number of units = (Σ_j a_j)² / Σ_j a_j²,     returned: (number − 1)/(m − 1)

    u: (rows, m);  changed: for each cause (rows, m).  Random numbers: 1.
    """
    m, shares = u.shape[1], []
    if m == 1:
        return 0.0
    for other in changed:
        a = np.square(u - other).mean(axis=0)
        shares.append((a.sum() ** 2 / max(np.square(a).sum(), 1e-300) - 1) / (m - 1))
    return float(np.mean(shares))


def tasks(h, factors, labelled, k=5):
    """What one code gives to several tasks: the mean over the factors of (right − guess)/(1 − guess).

    A task is to name a factor by the vote of the k nearest of `labelled` codes.  Random numbers: 0.
    """
    gains = []
    for v in factors.T:
        guess = 1 / (v.max() + 1)
        right = knn_accuracy(h[:labelled], v[:labelled], h[labelled:], v[labelled:], k)
        gains.append((right - guess) / (1 - guess))
    return float(np.mean(gains))


def sparsity(h):
    """E (√m − Σ_j |h_j| / √Σ_j h_j²)/(√m − 1):  0 for units that are equal, 1 for one unit alone     (Hoyer 2004)

    Each unit is divided by √E h_j² first. Its zero is kept, since sparse means that most units are 0.
    Random numbers, normal: with E Σ_j |h_j| / √Σ_j h_j² = m Γ(m/2)/(√π Γ((m + 1)/2)), which is 2.587 for m = 10: 0.266.
    """
    h = h[:, np.sqrt(np.square(h).mean(axis=0)) > 1e-6]
    h = h / np.sqrt(np.square(h).mean(axis=0))
    m = h.shape[1]
    if m == 1:
        return 1.0
    quotient = abs(h).sum(axis=1) / np.maximum(np.sqrt(np.square(h).sum(axis=1)), 1e-12)
    return float(((np.sqrt(m) - quotient) / (np.sqrt(m) - 1)).mean())


def bits(u):
    """Entropy of the sign pattern of a code, in bits: how many parts of the data the units tell apart together.

    Each unit is cut at its median.  Random numbers: near m, the most there can be (or log2 rows, if that is less).
    """
    pattern = u > np.median(u, axis=0)
    counts = np.unique(pattern, axis=0, return_counts=True)[1]
    p = counts / counts.sum()
    return float(-(p * np.log2(p)).sum())


def dependence(u, bins=8):
    """Mean over pairs of units of I(u_i; u_j)/H(u_j), u_j cut into bins of equal numbers of rows.

    Random numbers: what a histogram of so many rows finds where there is nothing, see `minae.metrics.disentanglement`.
    """
    m = u.shape[1]
    if m == 1:
        return 0.0
    order = u.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
    known = mutual_information_gap(u, order * bins // len(u)).table
    return float(known[~np.eye(m, dtype=bool)].mean())

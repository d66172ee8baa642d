"""The classical detectors of section A.2, with one face, and the tables that it reads."""

import csv
import gzip
import os
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import IsolationForest
from sklearn.svm import OneClassSVM

from minae.chapters.classical import PCA
from minae.data.idx import at_home


class Table(NamedTuple):
    """Rows without anomalies to learn from, and rows to judge. odd: bool, for the rows of `test`"""

    train: np.ndarray
    test: np.ndarray
    odd: np.ndarray


# ---- detectors: score(x) is high where x is unusual


class Mahalanobis:
    """(x − μ)ᵀ C⁻¹ (x − μ), with a small ridge on the covariance C: how unusual x is if usual rows are Gaussian."""

    def __init__(self, X, ridge=1e-6):
        self.mu = X.mean(axis=0)
        C = np.cov(X, rowvar=False)
        self.inverse = np.linalg.inv(C + ridge * np.trace(C) / len(C) * np.eye(len(C)))

    def score(self, X):
        d = np.asarray(X, dtype=float) - self.mu
        return np.einsum("ij,jk,ik->i", d, self.inverse, d)


class Residual:
    """‖x − r‖² of PCA with k components."""

    def __init__(self, X, k):
        self.pca = PCA(X, k)

    def score(self, X):
        return np.square(X - self.pca.reconstruct(X)).sum(axis=1)


class Forest:
    """The isolation forest: how few random cuts part a row from the others (Liu et al. 2008)."""

    def __init__(self, X, seed):
        self.forest = IsolationForest(n_estimators=200, random_state=seed).fit(X)

    def score(self, X):
        return -self.forest.score_samples(X)


class Support:
    """The one-class support vector machine, with its usual kernel and width (Schölkopf et al. 2001)."""

    def __init__(self, X, nu=0.1):
        self.machine = OneClassSVM(nu=nu, gamma="scale").fit(X)

    def score(self, X):
        return -self.machine.score_samples(X)


# ---- tables


def breast_cancer(rng):
    """569 tumours with 30 measurements each (Wolberg et al. 1995), which come with scikit-learn: benign ones are usual.
    Half of these are to learn from."""
    X, benign = load_breast_cancer(return_X_y=True)
    return split(X, benign == 0, rng)


def intrusions(words):
    """NSL-KDD (Tavallaee et al. 2009): connections of a network, normal ones to learn from, and the published test set,
    which has attacks of further kinds. None where MINAE_DATA does not have it.

    words: whether the three columns of words, such as the service, are columns of 0 and 1 beside the 38 numbers
    """
    paths = [_path(f"nsl_kdd/{part}.tsv.gz") for part in ("train20", "test")]
    if None in paths:
        return None
    train, test = (_connections(path) for path in paths)
    normal = [row for row in train if row["label"] == "normal"]
    numbers = [name for name in normal[0] if name not in (*WORDS, "label", "difficulty")]
    kinds = {name: sorted({row[name] for row in normal}) for name in WORDS}

    def encoded(rows):
        plain = np.log1p(np.array([[float(row[name]) for name in numbers] for row in rows]))
        if not words:
            return plain
        hot = [np.array([[row[name] == kind for kind in kinds[name]] for row in rows], dtype=float) for name in WORDS]
        return np.concatenate([plain, *hot], axis=1)

    return standardised(encoded(normal), encoded(test), np.array([row["label"] != "normal" for row in test]))


WORDS = ("protocol_type", "service", "flag")


def _connections(path):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


BENCH = {
    "mammography": "23_mammography",
    "shuttle": "32_shuttle",
    "cardio": "6_cardio",
    "satimage-2": "31_satimage-2",
    "vowels": "40_vowels",
    "cardiotocography": "7_Cardiotocography",
}


def bench(name, rng):
    """One of six tables of ADBench (Han et al. 2022), or None where MINAE_DATA does not have it."""
    path = _path(f"adbench/{BENCH[name]}.npz")
    if path is None:
        return None
    with np.load(path, allow_pickle=False) as arrays:
        return split(arrays["X"].astype(float), arrays["y"] == 1, rng)


def payments(rng):
    """Card payments (Dal Pozzolo et al. 2015), a published part: 1,230 usual ones and 492 frauds, which in life are two
    in a thousand. None where MINAE_DATA does not have it."""
    path = _path("card_fraud/card_fraud_1722.npz")
    if path is None:
        return None
    with np.load(path, allow_pickle=False) as arrays:
        X = arrays["X"][:, 1:].astype(float)  # without the time, which says in which part of the file a row stood
        X[:, -1] = np.log1p(X[:, -1])  # the amount
        return split(X, arrays["y"] == 1, rng)


def _path(name):
    """A file of the folder MINAE_DATA, or None."""
    folder = os.environ.get("MINAE_DATA")
    path = at_home(folder) / name if folder else None
    return path if path is not None and path.is_file() else None


def split(X, odd, rng):
    """Half of the usual rows to learn from; the other half, and all odd rows, to judge."""
    usual = rng.permutation(np.flatnonzero(~odd))
    learn, rest = usual[: len(usual) // 2], np.concatenate([usual[len(usual) // 2 :], np.flatnonzero(odd)])
    return standardised(X[learn], X[rest], odd[rest])


def standardised(train, test, odd):
    """Mean 0 and deviation 1 by the rows to learn from alone. A column that is constant there is left out, and a value
    beyond ten deviations is held at ten, since one wild number would be all of a squared error."""
    sd = train.std(axis=0)
    keep = sd > 1e-9
    mu, sd = train.mean(axis=0)[keep], sd[keep]
    return Table(*(np.clip((X[:, keep] - mu) / sd, -10, 10).astype(np.float32) for X in (train, test)), odd)


def rays():
    """Chest X-rays of children (PneumoniaMNIST, Kermany et al. 2018): healthy ones to learn from, and a test set with
    those that are ill. None where MINAE_DATA does not have them."""
    path = _path("pneumonia_mnist/pneumonia_28.npz")
    if path is None:
        return None
    with np.load(path, allow_pickle=False) as arrays:
        X, x = (arrays[f"{part}_images"].reshape(-1, 784).astype(np.float32) / 255 for part in ("train", "test"))
        return X[arrays["train_labels"] == 0], x, arrays["test_labels"] == 1


def tiles():
    """Magnetic tiles (Huang et al. 2020): grey patches of 64 × 64 pixels, those of half of the photographs without a
    defect to learn from, the others, those with a defect, and where it is: (learn, test, mask), the last two of the
    same rows. None where MINAE_DATA does not have them."""
    path = _path("magnetic_tiles/tiles_64.npz")
    if path is None:
        return None
    with np.load(path, allow_pickle=False) as arrays:
        X, kind, photograph = arrays["images"].astype(np.float32) / 255, arrays["kind"], arrays["image_id"]
        mask = np.unpackbits(arrays["mask"], axis=1).reshape(X.shape).astype(bool)
    X = (X - X.mean(axis=(1, 2), keepdims=True)) / X.std(axis=(1, 2), keepdims=True)  # light differs between them
    learn = (kind == 0) & (photograph % 2 == 0)
    return X[learn], X[~learn], mask[~learn]


def windows(X, side, stride):
    """Windows of side × side at every `stride` pixels: (n, H, W) -> (n, rows, columns, side²)."""
    seen = np.lib.stride_tricks.sliding_window_view(X, (side, side), axis=(1, 2))[:, ::stride, ::stride]
    return seen.reshape(*seen.shape[:3], side * side)


def spread(error, side, stride, shape):
    """For each pixel, the mean of the errors that the windows say of it: (n, rows, columns, side²) -> (n, H, W)."""
    total, count = np.zeros((len(error), *shape), np.float32), np.zeros(shape, np.float32)
    for i in range(error.shape[1]):
        for j in range(error.shape[2]):
            place = (slice(i * stride, i * stride + side), slice(j * stride, j * stride + side))
            total[:, *place] += error[:, i, j].reshape(-1, side, side)
            count[place] += 1
    return total / np.maximum(count, 1)

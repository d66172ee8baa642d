"""What section A.1 needs beside the autoencoders: the classical maps, with one face, and the pictures and tables.

A map has `h`, the places of the rows that it learned from, and `place(X)`, those of other rows, which is None where the
method has no way to place them; `reconstruct(X)` is None where it has no way back.
"""

import csv
import gzip
import os
import warnings

import numpy as np
from scipy.io import loadmat
from scipy.stats import skew

from minae import data
from minae.chapters import classical
from minae.data.idx import at_home, one_line
from minae.errors import InputError
from minae.options import Array, Number, door

# ---- maps


class PCA:
    """The two leading principal components."""

    def __init__(self, X, seed=0):
        self.pca = classical.PCA(X, 2)
        self.place, self.reconstruct, self.h = self.pca.encode, self.pca.reconstruct, self.pca.encode(X)


class TSNE:
    """t-SNE (van der Maaten and Hinton 2008), scikit-learn's: places are moved until

        p_ij = (p_{j|i} + p_{i|j})/2N,    q_ij ∝ 1/(1 + ‖h_i − h_j‖²)

    agree, which is to say until KL(p ‖ q) is small; p_{j|i} is that of `affinities`. There is no f.
    """

    place = reconstruct = None

    def __init__(self, X, seed=0, perplexity=30, iterations=500, init="pca"):
        from sklearn.manifold import TSNE as Library

        method = "exact" if len(X) <= 1000 else "barnes_hut"  # exact is the faster one for so few rows
        perplexity = min(perplexity, (len(X) - 1) / 3)
        library = Library(perplexity=perplexity, max_iter=iterations, init=init, method=method, random_state=seed)
        self.h = library.fit_transform(np.asarray(X, np.float32))


class UMAP:
    """UMAP (McInnes et al. 2018), of the library umap-learn: a graph of near rows, laid out in the plane."""

    reconstruct = None  # the library has an `inverse_transform`, which is an interpolation

    def __init__(self, X, seed=0):
        import umap

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.library = umap.UMAP(random_state=seed, n_jobs=1).fit(X)
        self.h = np.asarray(self.library.embedding_)

    def place(self, X):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.asarray(self.library.transform(X))


def has_umap():
    """Whether the library of UMAP is there."""
    try:
        import umap  # noqa: F401
    except ImportError:
        return False
    return True


class Network:
    """The map of an autoencoder: its code, where that has two numbers, else the two leading principal components of it.

    What is reconstructed is decoded from these two numbers.
    """

    def __init__(self, model, X):
        self.model, h = model, np.asarray(model.encode(X))
        self.pca = None if h.shape[1] == 2 else classical.PCA(h, 2)
        self.h = self.place(X)

    def place(self, X):
        h = np.asarray(self.model.encode(X))
        return h if self.pca is None else self.pca.encode(h)

    def decode(self, h):
        return self.model.decode(h if self.pca is None else self.pca.decode(h))

    def reconstruct(self, X):
        return self.decode(self.place(X))


@door(X=Array(2), perplexity=Number(low=1))
def affinities(X, perplexity=30):
    r"""p_{j|i}, which rows i holds for its neighbours in t-SNE:  (N, n) -> (N, N), rows that sum to 1.

        p_{j|i} = exp(−d_ij²/2 s_i²) / Σ_{k ≠ i} exp(−d_ik²/2 s_i²),    d_ij = ‖x_i − x_j‖,    p_{i|i} = 0

    Each row has a width s_i of its own, which makes e^(−Σ_j p_{j|i} log p_{j|i}) the perplexity: so many neighbours
    count, however far they are. It is found by bisection of β = 1/2 s_i² (relative to the row's own distances).
    """
    N = len(X)
    if perplexity >= N - 1:
        raise InputError(f"perplexity is {perplexity:g} and there are {N} rows: expected less than {N - 1}")
    X = X.astype(np.float64)
    square = np.square(X).sum(axis=1)
    d = np.maximum(square[:, None] + square - 2 * X @ X.T, 0)
    np.fill_diagonal(d, np.inf)
    low, high, aim = np.full(N, -60.0), np.full(N, 60.0), np.log(perplexity)
    d -= d.min(axis=1, keepdims=True)  # the same p, and no row of zeros
    unit = np.mean(d, axis=1, where=np.isfinite(d))[:, None]
    d /= np.where(unit > 0, unit, 1)
    for _ in range(100):
        log_beta = (low + high) / 2
        with np.errstate(over="ignore"):
            p = np.exp(-d * np.exp(log_beta)[:, None])
        p /= p.sum(axis=1, keepdims=True)
        wide = -(p * np.log(np.maximum(p, 1e-300))).sum(axis=1) > aim
        low, high = np.where(wide, log_beta, low), np.where(wide, high, log_beta)
    return p


# ---- pictures and tables


def frey_faces():
    """1,965 frames of a film of one man's face, 28 × 20 (Frey and Roweis), in order: float32 (1965, 560) in [0, 1].
    None where MINAE_DATA does not have them."""
    X = _matlab("freyface.mat", "X")
    return None if X is None else X.T.astype(np.float32) / 255


def olivetti_faces():
    """Ten photographs of each of 40 persons (AT&T Laboratories Cambridge), every second pixel: float32 (400, 1024) in
    [0, 1], and the person (400,). None where MINAE_DATA does not have them."""
    X = _matlab("olivettifaces.mat", "faces")
    if X is None:
        return None
    X = X.T.reshape(-1, 64, 64).transpose(0, 2, 1)  # MATLAB counts down the columns
    X = X.reshape(-1, 32, 2, 32, 2).mean(axis=(2, 4)).reshape(-1, 1024)
    return X.astype(np.float32) / 255, np.arange(len(X)) // 10


def _matlab(name, array):
    path = _path(f"faces/{name}")
    if path is None:
        return None
    try:
        return loadmat(path)[array]
    except Exception as error:  # SciPy raises anything on a damaged file
        raise InputError(f"cannot read {str(path)!r}: {one_line(error)}; copy it again") from error


def drawings(rng, rows):
    """Pictures that everybody has: a square of several sizes at all places, and its place along x."""
    X, factors, *_ = data.sprites(width=16, shapes=1, scales=3, rotations=1, places=24)
    pick = rng.permutation(len(X))[:rows]
    return X[pick], factors[pick, 3].astype(float)


NUMBERS = (
    "Administrative Administrative_Duration Informational Informational_Duration ProductRelated "
    "ProductRelated_Duration BounceRates ExitRates PageValues SpecialDay"
).split()
WORDS = "Month OperatingSystems Browser Region TrafficType VisitorType Weekend".split()


def shoppers(rng, rows):
    """Visits to a shop (Sakar et al. 2018), as many that ended with a purchase as others: dict column -> values, and
    whether they bought. None where MINAE_DATA does not have them."""
    path = _path("response/online_shoppers.tsv.gz")
    if path is None:
        return None
    with gzip.open(path, "rt", encoding="utf-8") as file:
        table = list(csv.DictReader(file, delimiter="\t"))
    bought = np.array([row["Revenue"] == "TRUE" for row in table])
    halves = [rng.permutation(np.flatnonzero(bought == one))[: rows // 2] for one in (False, True)]
    pick = rng.permutation(np.concatenate(halves))
    columns = {name: np.array([float(table[k][name]) for k in pick]) for name in NUMBERS}
    return columns | {name: np.array([table[k][name] for k in pick]) for name in WORDS}, bought[pick].astype(int)


def wines(rng):
    """178 wines of three growers with 13 measurements (Forina et al. 1991), which come with scikit-learn: dict column
    -> values, and the grower."""
    from sklearn.datasets import load_wine

    wine = load_wine()
    pick = rng.permutation(len(wine.data))
    return dict(zip(wine.feature_names, wine.data[pick].T, strict=True)), wine.target[pick]


def centred(X, *more, variance=50):
    """(x − μ)·c of the rows of X and of more rows, μ the mean of X and c one number that makes Σ_j var x_j the
    `variance`: (rows of X, more rows, …, the way back).

    A shift and one scale change no order of distances. But a network starts in the middle of its tanh, and one weight
    of a penalty suits all data.
    """
    mu = X.mean(axis=0)
    total = np.square(X - mu).sum(axis=1).mean()
    if total == 0:
        raise InputError("all rows of X are the same: there is nothing to see")
    c = np.sqrt(variance / total)
    return *(((rows - mu) * c).astype(np.float32) for rows in (X, *more)), lambda r: r / c + mu


class Encoding:
    """How the columns of a table become numbers, by the rows to learn from alone.

    A column of numbers: log(1 + v) where its values are ≥ 0 and their skewness, the mean of ((v − μ)/σ)³, is over 2,
    since few values are huge; then mean 0 and deviation 1. A column of words: one column of 0 and 1 for each word that
    was seen, so that two rows that differ there are √2 apart. A column that is constant is left out. A word that was
    not seen has zeros.

    plain: numbers are left as they are (the fault of A.1)
    """

    def __init__(self, columns, plain=False):
        self.plain, self.kinds, self.scale = plain, {}, {}
        for name, values in columns.items():
            if len(np.unique(values)) < 2:
                continue
            if values.dtype.kind in "US":
                self.kinds[name] = np.unique(values)
            else:
                skewed = not plain and values.min() >= 0 and skew(values) > 2
                seen = np.log1p(values) if skewed else values
                self.scale[name] = (skewed, *((0.0, 1.0) if plain else (seen.mean(), seen.std())))
        if not self.kinds and not self.scale:
            raise InputError("all columns of the table are constant: there is nothing to see")
        self.names = [*self.scale, *(f"{name}={word}" for name, words in self.kinds.items() for word in words)]

    def __call__(self, columns):
        missing = [name for name in (*self.scale, *self.kinds) if name not in columns]
        if missing:
            raise InputError(f"the table has no column {', '.join(missing)}: expected those that were learned from")
        found = []
        for name, (skewed, mu, sd) in self.scale.items():
            values = np.log1p(np.maximum(columns[name], 0)) if skewed else columns[name]
            found.append(((values - mu) / sd)[:, None])
        found += [np.asarray(columns[name])[:, None] == words for name, words in self.kinds.items()]
        return np.concatenate(found, axis=1).astype(np.float32)


def _path(name):
    """A file of the folder MINAE_DATA, or None."""
    folder = os.environ.get("MINAE_DATA")
    path = at_home(folder) / name if folder else None
    return path if path is not None and path.is_file() else None

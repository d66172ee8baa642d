"""Who says yes: what section A.4 puts beside each other, with one face, and the tables that it reads.

parts = Parts.of(columns, y, schema, order)        encoded by the training rows, and cut into three
found = forest(parts, seed)                        the setting that is best on the validation rows
p = found.p(parts.X_test)
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minae import InputError, TabularAutoencoder, TabularClassifier
from minae.data import TableEncoding
from minae.metrics.detection import log_loss, shift_to, shifted
from minae.models.stacked import copy_encoder
from minae.training import Adam, Cosine

try:
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import OneHotEncoder
    from threadpoolctl import threadpool_limits  # which scikit-learn needs, too
except ImportError as error:
    raise InputError("the classical models of A.4 are those of scikit-learn: pip install 'minae[apps]'") from error

SCHEMAS: dict[str, dict[str, list[str]]] = {
    "bank": {
        "number": ["age", "emp.var.rate", "cons.price.idx", "cons.conf.idx", "euribor3m", "nr.employed"],
        "log": ["campaign", "pdays", "previous"],
        "category": "job marital education default housing loan contact month day_of_week poutcome".split(),
    },
    "shoppers": {
        "number": ["BounceRates", "ExitRates", "SpecialDay"],
        "log": [
            *("Administrative", "Administrative_Duration", "Informational", "Informational_Duration"),
            *("ProductRelated", "ProductRelated_Duration", "PageValues"),
        ],
        "category": "Month OperatingSystems Browser Region TrafficType VisitorType Weekend".split(),
    },
    "bandit": {
        "number": ["affinity_to_item", "item_feature_0"],
        "time": ["timestamp"],
        "category": "campaign item_id position user_f0 user_f1 user_f2 user_f3 item_f1 item_f2 item_f3".split(),
    },
}
TARGETS = {"bank": ("y", "yes"), "shoppers": ("Revenue", "TRUE"), "bandit": ("click", "1")}


def at_random(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """All rows in an order of chance, in which the rows of yes are spread evenly: parts have the same share of them."""
    place = np.empty(len(y))
    for kind in (0, 1):
        rows = rng.permutation(np.flatnonzero(y == kind))
        place[rows] = (np.arange(len(rows)) + rng.random()) / len(rows)
    return np.argsort(place, kind="stable")


def by_time(y: np.ndarray, rng: np.random.Generator, share: float = 0.8) -> np.ndarray:
    """All rows, which are in the order of time: the past first, in an order of chance, and then what came after it."""
    past = round(share * len(y))
    return np.concatenate([at_random(y[:past], rng), np.arange(past, len(y))])


class Parts(NamedTuple):
    """A table in three parts, encoded by the first: to learn from, to choose settings, to judge."""

    encoding: TableEncoding
    X: np.ndarray
    y: np.ndarray
    X_valid: np.ndarray
    y_valid: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray

    @classmethod
    def of(cls, columns, y, schema, order, shares=(0.6, 0.2)):
        """order: all rows, those to learn from first: at random, or by time;  shares: of the first two parts"""
        ends = np.cumsum(np.round(np.multiply(shares, len(order))).astype(int))
        train, valid, test = np.split(np.asarray(order), ends)
        encoding = TableEncoding.of(columns, schema, rows=train)
        X = encoding.encode(columns)
        return cls(encoding, X[train], y[train], X[valid], y[valid], X[test], y[test])

    def few(self, rows):
        """The same with only these rows of the first part."""
        return self._replace(X=self.X[rows], y=self.y[rows])


class Found(NamedTuple):
    """p: rows -> probability of a yes;  setting: in words;  loss: log-loss on the validation rows;  model: what fits"""

    p: Callable[[np.ndarray], np.ndarray]
    setting: str
    loss: float
    model: Any


def best(parts: Parts, tries: dict[str, Callable[[], tuple[Any, Callable]]]) -> Found:
    """Of these tries, words -> () -> (model, p), the one whose log-loss on the validation rows is least."""
    found = []
    for setting, make in tries.items():
        model, p = make()
        found.append(Found(p, setting, log_loss(_inside(p(parts.X_valid)), parts.y_valid), model))
    return min(found, key=lambda one: one.loss)


def _inside(p):
    """A forest may say 0 or 1, for which one wrong row is an infinite loss: at most as sure as 1 in 10,000."""
    return np.clip(np.asarray(p, float), 1e-4, 1 - 1e-4)


def logistic(parts: Parts, seed: int = 0, strengths: Any = (0.03, 0.3, 3.0)) -> Found:
    """Logistic regression on numbers and one-hot categories, by the strength C of its weight decay."""
    n = len(parts.encoding.numbers)

    def split(X):
        return X[:, :n], X[:, n:]

    hot = OneHotEncoder(handle_unknown="ignore").fit(split(parts.X)[1])

    def wide(X):
        numbers, categories = split(X)
        return np.hstack([numbers, hot.transform(categories).toarray()])

    def make(C):
        model = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-6).fit(wide(parts.X), parts.y)
        return model, lambda X: model.predict_proba(wide(X))[:, 1]

    return best(parts, {f"C = {C:g}": lambda C=C: make(C) for C in strengths})


def forest(parts: Parts, seed: int = 0, leaves: Any = (5, 20, 50), trees: int = 200) -> Found:
    """A random forest on the encoded rows, by the least number of rows in a leaf."""

    def make(leaf):
        model = RandomForestClassifier(trees, min_samples_leaf=leaf, random_state=seed, n_jobs=1)
        model.fit(parts.X, parts.y)
        return model, lambda X: _inside(model.predict_proba(X)[:, 1])

    return best(parts, {f"{leaf} rows a leaf": lambda leaf=leaf: make(leaf) for leaf in leaves})


def boosting(parts: Parts, seed: int = 0, rates: Any = (0.05, 0.15), leaves: Any = (8, 31), trees: int = 100) -> Found:
    """Boosted trees on the encoded rows, whose categories they know, by the rate and the leaves of a tree.

    How many trees is chosen on the validation rows, too."""
    n, columns = len(parts.encoding.numbers), parts.encoding.columns
    categorical = np.arange(columns) >= n

    def fitted(rate, leaf, trees):
        with threadpool_limits(1):  # its threads wait for each other, and longest where others compute beside them
            return HistGradientBoostingClassifier(
                learning_rate=rate, max_leaf_nodes=leaf, max_iter=trees, categorical_features=categorical,
                random_state=seed, early_stopping=False,
            ).fit(parts.X, parts.y)  # fmt: skip

    def make(rate, leaf):
        model = fitted(rate, leaf, trees)
        with threadpool_limits(1):
            staged = [log_loss(_inside(p[:, 1]), parts.y_valid) for p in model.staged_predict_proba(parts.X_valid)]
        model = fitted(rate, leaf, int(np.argmin(staged)) + 1)
        return model, lambda X: model.predict_proba(X)[:, 1]

    return best(parts, {f"rate {r:g}, {k} leaves": lambda r=r, k=k: make(r, k) for r in rates for k in leaves})


def network(
    parts: Parts, seed: int = 0, tries: Any = ((1e-3, 1e-4), (3e-3, 1e-3)), hidden: Any = (64, 32), width: int = 8,
    epochs: int = 30, start: TabularAutoencoder | None = None, **device: Any,
) -> Found:  # fmt: skip
    """The embedding network, by (learning rate, weight decay λ) and when to stop, from random or pretrained layers."""
    encoding = parts.encoding

    def make(lr, lam):
        sizes, given = (encoding.columns, *hidden), dict(activation="relu", seed=seed) | device
        model = TabularClassifier(sizes, categories=encoding.categories, width=width, lam=lam, **given)
        if start is not None:
            copy_encoder(start, model)
        batch = min(128, max(16, len(parts.X) // 8))
        steps = -(-len(parts.X) // batch)  # an epoch
        passes = max(epochs, 20 * epochs // steps)  # few rows: as many steps as 20 batches an epoch make
        model.fit(
            parts.X, parts.y, epochs=passes, batch_size=batch, optimizer=Adam(Cosine(lr, steps=passes * steps)),
            seed=seed, validation=(parts.X_valid, parts.y_valid), patience=max(3, passes // 4), progress=False,
        )  # fmt: skip
        return model, lambda X: model.probabilities(X).astype(float)

    return best(parts, {f"rate {lr:g}, λ = {lam:g}": lambda lr=lr, lam=lam: make(lr, lam) for lr, lam in tries})


def pretrained(
    encoding: TableEncoding, X: np.ndarray, seed: int = 0, hidden: Any = (64, 32), width: int = 8, epochs: int = 30,
    level: float = 0.15, **device: Any,
) -> TabularAutoencoder:  # fmt: skip
    """A denoising autoencoder of rows whose y is not looked at, for `network(…, start=…)`."""
    given = dict(activation="relu", level=level, seed=seed) | device
    model = TabularAutoencoder((encoding.columns, *hidden), categories=encoding.categories, width=width, **given)
    batch = min(128, len(X))
    optimizer = Adam(Cosine(2e-3, steps=epochs * -(-len(X) // batch)))
    model.fit(X, epochs=epochs, batch_size=batch, optimizer=optimizer, seed=seed, progress=False)
    return model


MODELS = {"logistic": logistic, "forest": forest, "boosting": boosting, "embeddings": network}


# ---- after the training


def following(p: np.ndarray, y: np.ndarray, blocks: int = 10) -> tuple[np.ndarray, list[np.ndarray]]:
    """Probabilities that follow a changing world: (p, the rows of each block). The rows are in the order of time.

    They are cut into blocks. When one of them begins, the answers of the block before it are known, and all logits are
    shifted by the number that would have been right there: mean p would have been the share of yes. The first block
    stays as it is.
    """
    parts, out = np.array_split(np.arange(len(p)), blocks), np.array(p, float)
    for before, now in itertools.pairwise(parts):
        rate = (y[before].sum() + 0.5) / (len(before) + 1)  # never 0 or 1
        out[now] = shifted(p[now], shift_to(p[before], float(rate)))
    return out, parts


# ---- a mistake that is common


class TargetEncoder:
    """A word becomes the share of yes among the rows that have it, pulled towards the share of all by `prior` rows.

    Learned from training rows, it is a number like any other. Learned from all rows (the fault), each row's number has
    its own y in it: a word that one row has alone becomes that row's answer.
    """

    def __init__(self, words: list[str], y: np.ndarray, prior: float = 1.0):
        self.mean, share = float(np.mean(y)), prior
        yes: dict[str, float] = {}
        rows: dict[str, int] = {}
        for word, one in zip(words, y, strict=True):
            yes[word] = yes.get(word, 0.0) + float(one)
            rows[word] = rows.get(word, 0) + 1
        self.number = {word: (yes[word] + share * self.mean) / (rows[word] + share) for word in rows}

    def encode(self, words: list[str]) -> list[str]:
        """A word for each row, as the other columns have: the share of yes, or that of all for an unseen word."""
        return [repr(self.number.get(word, self.mean)) for word in words]

r"""What a code says of a label: a linear probe, and the nearest neighbours.     (section 14.2.2, 14.7, 14.9)

A code is worth what a simple reader can do with it. Two readers are simple enough to blame the code and not
themselves: a softmax regression, which can only draw hyperplanes through the code (Alain and Bengio 2016), and the
label of the nearest training code, which has no parameter at all (Cover and Hart 1967). Neither changes the code.

    h, h_test: (rows, m), codes, on the host;  labels, test_labels: (rows,), whole numbers from 0 on
"""

from typing import Any

import numpy as np

from minae.errors import InputError
from minae.fields import host_array
from minae.models.classifier import Classifier
from minae.options import Count, door
from minae.training import Adam, Cosine

BLOCK = 2**24  # distances that are held at a time


@door(epochs=Count())
def probe_error(
    h: Any, labels: Any, h_test: Any, test_labels: Any, seed: int = 0, backend: str | None = None, epochs: int = 10
) -> float:
    """The linear probe: error in % on h_test of a softmax regression p(y | h) = softmax(h W + b) trained on h.

    Adam, whose learning rate falls from 3e-3 to 0 along a cosine, batches of 128.
    """
    h, labels, h_test, test_labels = _pairs(h, labels, h_test, test_labels)
    probe = Classifier((h.shape[1],), classes=max(2, 1 + int(labels.max())), seed=seed, backend=backend)
    optimizer = Adam(Cosine(3e-3, steps=epochs * -(-len(h) // 128)))
    probe.fit(h, labels, epochs=epochs, optimizer=optimizer, seed=seed)
    return 100 * float((probe.predict(h_test) != test_labels).mean())


@door(k=Count())
def knn_accuracy(h: Any, labels: Any, h_test: Any, test_labels: Any, k: int = 1) -> float:
    """Share of the rows of h_test whose k nearest rows of h vote for their label, by ‖h − h_test‖.

    A vote that ties goes to the smaller label.
    """
    h, labels, h_test, test_labels = _pairs(h, labels, h_test, test_labels)
    if k > len(h):
        raise InputError(f"k is {k} and h has {len(h)} rows: expected 1 to that number")
    votes = labels[_nearest(h, h_test, k)]  # (rows, k)
    counts = (votes[:, :, None] == np.arange(1 + labels.max())).sum(axis=1)
    return float((counts.argmax(axis=1) == test_labels).mean())


def _nearest(h, queries, k):
    """Indices of the k nearest rows of h, (queries, k)."""
    if h.shape[1] <= 16:
        from scipy.spatial import cKDTree  # exact; in more dimensions products of matrices are faster

        return cKDTree(h).query(queries, k=k)[1].reshape(len(queries), k)
    h, queries = h - h.mean(axis=0), queries - h.mean(axis=0)  # centred: less is lost in the difference below
    size, found = max(1, BLOCK // len(h)), []
    for start in range(0, len(queries), size):
        d = np.square(h).sum(axis=1) - 2 * queries[start : start + size] @ h.T  # ‖h − q‖² − ‖q‖²
        found.append(np.argpartition(d, k - 1, axis=1)[:, :k])
    return np.vstack(found)


def _pairs(h, labels, h_test, test_labels):
    """The four arrays, checked."""
    h, labels = labelled(h, labels, "h", "labels")
    h_test, test_labels = labelled(h_test, test_labels, "h_test", "test_labels")
    if h.shape[1] != h_test.shape[1]:
        raise InputError(f"h has {h.shape[1]} columns and h_test {h_test.shape[1]}: expected codes of one model")
    return h, labels, h_test, test_labels


def labelled(h: Any, labels: Any, name: str, of_labels: str) -> tuple[np.ndarray, np.ndarray]:
    """Codes (rows, m) and a label for each row, checked; `name` and `of_labels` are what errors call them."""
    h, y = host_array(h, name), host_array(labels, of_labels)
    if h.ndim != 2 or 0 in h.shape or h.dtype.kind not in "biuf":
        raise InputError(f"{name} is {h.dtype} {h.shape}; expected numbers (rows, m)")
    if not np.isfinite(h).all():
        raise InputError(f"{name} has NaN or infinite numbers: there is no distance to them")
    if y.shape != (len(h),) or y.dtype.kind not in "iu" or y.min() < 0:
        raise InputError(f"{of_labels} is {y.dtype} {y.shape}; expected whole numbers from 0 on, ({len(h)},)")
    return h, y.astype(int)

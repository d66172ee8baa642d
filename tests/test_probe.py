"""What a code says of a label: the probe and the nearest neighbours."""

import numpy as np
import pytest

from minae import InputError
from minae.metrics.probe import knn_accuracy, probe_error


def clusters(rng, rows, m=3, spread=0.1):
    """Codes of three classes, each around a corner of its own."""
    labels = rng.integers(3, size=rows)
    return (3 * np.eye(3, m)[labels] + spread * rng.standard_normal((rows, m))).astype("float32"), labels


def test_a_probe_reads_classes_that_a_plane_can_part_and_no_others(rng):
    h, y = clusters(rng, 600)
    h_test, y_test = clusters(rng, 300)
    assert probe_error(h, y, h_test, y_test, epochs=200) == 0
    assert 50 < probe_error(h, rng.permutation(y), h_test, y_test, epochs=20) < 85
    assert probe_error(h, y, h_test, y_test, seed=3, epochs=1) == probe_error(h, y, h_test, y_test, seed=3, epochs=1)


@pytest.mark.parametrize("m", [3, 40])
def test_neighbours_are_those_of_all_distances(m, rng):
    """By a tree in few dimensions and by products in many; the reference takes every distance."""
    h, y = clusters(rng, 200, m, spread=2.0)
    h_test, y_test = clusters(rng, 100, m, spread=2.0)
    d = np.square(h_test[:, None].astype("float64") - h).sum(axis=2)
    for k in (1, 5):
        votes = y[np.argsort(d, axis=1)[:, :k]]
        winners = np.array([np.bincount(row, minlength=3).argmax() for row in votes])
        assert knn_accuracy(h, y, h_test, y_test, k) == (winners == y_test).mean()
    assert knn_accuracy(h, y, h, y) == 1


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(labels=np.zeros(3, int)), r"labels is int64 \(3,\); expected whole numbers from 0 on, \(20,\)"),
        (dict(test_labels=np.zeros(5)), "test_labels is float64"),
        (dict(labels=np.full(20, -1)), "from 0 on"),
        (dict(h_test=np.zeros((5, 4))), "h has 3 columns and h_test 4"),
        (dict(h=np.full((20, 3), np.nan)), "NaN"),
        (dict(h=np.zeros(20)), r"expected numbers \(rows, m\)"),
    ],
)
def test_what_is_no_code_or_no_label(change, words, rng):
    h, labels = clusters(rng, 20)
    given = dict(h=h, labels=labels, h_test=h[:5], test_labels=labels[:5]) | change
    for verb in (probe_error, knn_accuracy):
        with pytest.raises(InputError, match=words):
            verb(**given)
    with pytest.raises(InputError, match="k is 21 and h has 20 rows"):
        knn_accuracy(h, labels, h, labels, k=21)

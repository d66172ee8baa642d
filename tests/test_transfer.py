"""The helpers of section 15.2: draws of labels, runs of one-shot learning, the shared space, and what they refuse."""

import numpy as np
import pytest

from minae import InputError, check_gradient
from minae.chapters.ch15.domains import check_classes, draw_labelled, faint, inverted, noisy, one_shot_run, turned
from minae.chapters.ch15.shared_space import SharedSpace, check_phrases, every_phrase, words


def test_labels_are_bought_evenly(rng):
    labels = np.repeat([0, 1, 2], [50, 30, 3])
    rows = draw_labelled(labels, 12, rng)
    assert len(set(rows)) == 12 and np.bincount(labels[rows]).tolist() in ([5, 4, 3], [4, 5, 3])
    assert np.bincount(labels[draw_labelled(labels, 3, rng)]).tolist() == [1, 1, 1]
    assert sorted(draw_labelled(labels, 83, rng)) == list(range(83))
    with pytest.raises(InputError, match="2 labels for 3 classes"):
        draw_labelled(labels, 2, rng)
    with pytest.raises(InputError, match="84 labels and 83 rows"):
        draw_labelled(labels, 84, rng)


def test_a_class_that_the_source_has_not_is_refused():
    check_classes([0, 1, 2], [2, 0])
    with pytest.raises(InputError, match="class 7, which the source has not"):
        check_classes([0, 1, 2], [0, 7])


def test_a_run_of_one_shot_learning(rng):
    character, drawer = np.repeat(np.arange(6), 4), np.tile(np.arange(4), 6)
    known, queries = one_shot_run(character, drawer, np.arange(1, 6), 5, 3, rng)
    assert known.shape == (5, 3) and queries.shape == (5,)
    assert (character[known] == character[queries][:, None]).all() and 0 not in character[queries]
    assert not set(drawer[known].ravel()) & set(drawer[queries])
    with pytest.raises(InputError, match="4 shots and 4 drawings of a character"):
        one_shot_run(character, drawer, np.arange(6), 5, 4, rng)
    with pytest.raises(InputError, match="7 ways and 6 characters"):
        one_shot_run(character, drawer, np.arange(6), 7, 1, rng)


def test_domains_keep_the_range(rng):
    x = rng.random((3, 784)).astype(np.float32)
    for change in (noisy, turned, inverted, faint):
        z = change(x, rng)
        assert z.shape == x.shape and z.dtype == np.float32 and 0 <= z.min() <= z.max() <= 1
    np.testing.assert_allclose(turned(x, degrees=90).reshape(3, 28, 28), np.rot90(x.reshape(3, 28, 28), axes=(1, 2)))


def test_the_shared_space(rng):
    phrases = every_phrase((2, 3))
    assert phrases.tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    np.testing.assert_array_equal(words(phrases[[4]], (2, 3)), [[0, 1, 0, 1, 0]])
    with pytest.raises(InputError, match="value 2 of attribute 1 is in no phrase"):
        check_phrases(phrases[[0, 1, 3]], (2, 3))
    model = SharedSpace(sizes=(7, 5, 3), attributes=(2, 3), hidden=(4,), known=(0, 1, 2, 4), dtype="float64")
    report = check_gradient(model, rng.standard_normal((5, 7)), np.array([0, 3, 1, 2, 3]))
    assert report.worst.error <= 1e-7
    assert model.of_phrases(phrases).shape == (6, 3)
    for known in ((0, 1, 2, 6), (0, 0, 1), (-1, 2)):
        with pytest.raises(InputError, match="known"):
            SharedSpace(sizes=(7, 5, 3), attributes=(2, 3), known=known)

"""Packed codes against the same computations on unpacked bits; average precision against every order of its ties."""

import itertools

import numpy as np
import pytest

from minae import InputError
from minae.chapters.classical import ITQ, LSH, PCA, PCASign
from minae.metrics.retrieval import (
    MOST_BYTES,
    average_precision,
    ball,
    hamming,
    mean_average_precision,
    nearest,
    pack,
    precision_within,
)

WIDTHS = (1, 7, 8, 13, 16, 24, 32, 33, 64, 65, 128, 200)


def random_bits(rng, width, rows=60, queries=9):
    """Codes and queries, near each other, so that balls are not empty."""
    centre = rng.random(width) < 0.5
    return [(rng.random((n, width)) < 0.2) ^ centre for n in (rows, queries)]


# ---- distances, balls and rankings


@pytest.mark.parametrize("width", WIDTHS)
def test_distances_are_those_of_the_unpacked_bits(width, rng):
    bits, queries = random_bits(rng, width)
    d = hamming(pack(bits), pack(queries))
    assert d.dtype == np.int16  # signed: a difference of two distances does not wrap around
    np.testing.assert_array_equal(d, (queries[:, None, :] != bits[None]).sum(axis=2))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("radius", [0, 1, 3, 200])
def test_a_ball_holds_what_is_within_its_radius_and_nothing_else(width, radius, rng):
    bits, queries = random_bits(rng, width)
    for query, inside in zip(queries, ball(pack(bits), pack(queries), radius), strict=True):
        d = (bits != query).sum(axis=1)
        expected = sorted(np.flatnonzero(d <= radius), key=lambda i: (d[i], i))  # nearest first, ties by index
        assert inside.tolist() == expected


def test_an_empty_ball_and_one_of_radius_0(rng):
    bits = np.zeros((3, 13), bool)
    bits[1, [2, 5, 12]] = True
    balls = ball(pack(bits), pack(np.array([bits[0], ~bits[1], bits[1]])), 0)
    assert [indices.tolist() for indices in balls] == [[0, 2], [], [1]]


@pytest.mark.parametrize("width", [13, 64, 65])
def test_the_ranking_is_by_distance_and_then_by_index(width, rng):
    bits, queries = random_bits(rng, width)
    d = hamming(pack(bits), pack(queries))
    for k in (1, 7, len(bits)):
        ranking = nearest(pack(bits), pack(queries), k)
        assert ranking.shape == (len(queries), k)
        for i, indices in enumerate(ranking):
            assert indices.tolist() == sorted(range(len(bits)), key=lambda j: (d[i, j], j))[:k]


def test_bits_are_packed_highest_first_and_padded_with_zeros():
    np.testing.assert_array_equal(pack(np.array([[True] + [False] * 8 + [True]])), [[0b10000000, 0b01000000]])


def test_codes_that_are_a_view_into_another_array(rng):
    bits, queries = random_bits(rng, 64)
    codes = np.asfortranarray(np.repeat(pack(bits), 2, axis=0))[::2]
    np.testing.assert_array_equal(hamming(codes, pack(queries)), hamming(pack(bits), pack(queries)))


def test_distances_of_very_long_codes_do_not_overflow():
    ones = np.full((1, MOST_BYTES), 255, np.uint8)
    assert hamming(np.zeros_like(ones), ones)[0, 0] == 8 * MOST_BYTES
    with pytest.raises(InputError, match="bytes"):
        hamming(np.zeros((1, MOST_BYTES + 1), np.uint8), ones)


# ---- average precision


def plain_average_precision(relevant):
    """Of items in this order: mean over the relevant ones of the precision at their place."""
    places = [k for k, hit in enumerate(relevant, 1) if hit]
    return sum(sum(relevant[:k]) / k for k in places) / len(places) if places else 0.0


def over_every_order(d, relevant):
    """The mean over all permutations that keep d ascending: what the closed form must give."""
    orders = [o for o in itertools.permutations(range(len(d))) if all(d[a] <= d[b] for a, b in itertools.pairwise(o))]
    return np.mean([plain_average_precision([relevant[i] for i in order]) for order in orders])


def test_average_precision_without_ties(rng):
    for _ in range(20):
        d, relevant = rng.permutation(12) / 7, rng.random(12) < 0.4
        expected = plain_average_precision(relevant[np.argsort(d)].tolist())
        assert average_precision(d[None], relevant, [True])[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", ["int16", "int64", "float32"])
def test_average_precision_with_ties_is_its_mean_over_their_orders(dtype, rng):
    for _ in range(30):
        d, relevant = rng.integers(0, 4, size=6).astype(dtype), rng.random(6) < 0.5
        expected = over_every_order(d.tolist(), relevant.tolist())
        assert average_precision(d[None], relevant, [True])[0] == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_average_precision_does_not_depend_on_the_order_of_the_items(rng):
    d, labels = rng.integers(0, 9, size=(4, 500)).astype("int16"), rng.integers(0, 3, size=500)
    order = rng.permutation(500)
    np.testing.assert_allclose(
        average_precision(d, labels, [0, 1, 2, 0]), average_precision(d[:, order], labels[order], [0, 1, 2, 0])
    )


def test_map_by_hand():
    labels = np.array([3, 3, 4, 4])
    d = np.array([[0, 1, 2, 3], [0, 1, 2, 3], [0, 0, 0, 0], [0, 1, 2, 3]])
    # 3: places 1, 2.  4: places 3, 4, so (1/3 + 2/4)/2.  a label that nobody has: 0
    expected = [1.0, (1 / 3 + 2 / 4) / 2, over_every_order([0] * 4, [1, 1, 0, 0]), 0.0]
    np.testing.assert_allclose(average_precision(d, labels, [3, 4, 3, 9]), expected)
    assert mean_average_precision(d, labels, [3, 4, 3, 9]) == pytest.approx(np.mean(expected))
    assert mean_average_precision(np.zeros((1, 1)), [1], [1]) == 1.0


def test_of_60000_items_in_a_random_order_as_many_are_right_as_are_relevant(rng):
    """The closed form takes differences of harmonic numbers: rounding must not show at this size."""
    labels = (np.arange(60_000) % 10 == 0).astype(int)
    tied = average_precision(np.zeros((1, 60_000), "int16"), labels, [1])[0]
    r, n, H = 6_000, 60_000, (1 / np.arange(1, 60_001)).sum()
    assert tied == pytest.approx((H + (r - 1) / (n - 1) * (n - H)) / n, rel=1e-12)
    assert average_precision(rng.permutation(60_000)[None], labels, [1])[0] == pytest.approx(0.1, rel=0.05)


def test_precision_within_counts_an_empty_ball_as_zero():
    d, labels = np.array([[0, 2, 3], [3, 4, 5], [1, 1, 1]]), np.array([7, 8, 7])
    # of the first ball one of two is right, the second is empty, of the third two of three are right
    assert precision_within(d, labels, [7, 7, 7], 2) == pytest.approx((1 / 2 + 0 + 2 / 3) / 3)
    assert precision_within(d, labels, [7, 7, 7], 0) == pytest.approx(1 / 3)


# ---- bad input


CODES = np.zeros((5, 4), np.uint8)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: pack(np.zeros((3, 4))), r"bits is float64 \(3, 4\); expected bool"),
        (lambda: pack(np.zeros(4, bool)), r"bits is bool \(4,\)"),
        (lambda: pack(np.zeros((4, 0), bool)), r"bits is bool \(4, 0\)"),
        (lambda: hamming(CODES.astype(int), CODES), "codes is int64"),
        (lambda: hamming(CODES, CODES[0]), r"queries is uint8 \(4,\)"),
        (lambda: hamming(CODES, CODES > 0), "queries is bool"),
        (lambda: hamming(CODES, CODES[:, :3]), "codes have 4 bytes and queries 3"),
        (lambda: hamming(CODES[:0], CODES), "at least one row"),
        (lambda: ball(CODES, CODES, -1), "radius is -1"),
        (lambda: ball(CODES, CODES, 1.5), "radius is 1.5: expected an integer"),
        (lambda: nearest(CODES, CODES, 0), "k is 0"),
        (lambda: nearest(CODES, CODES, 6), "k is 6 and there are 5 codes"),
        (lambda: average_precision(np.zeros((2, 3)), [1, 2], [1, 2]), r"labels has shape \(2,\)"),
        (lambda: average_precision(np.zeros((2, 3)), [1, 2, 3], [1]), r"query_labels \(1,\)"),
        (lambda: average_precision(np.zeros(3), [1, 2, 3], [1]), r"distances is float64 \(3,\)"),
        (lambda: average_precision(np.full((1, 2), np.nan), [1, 2], [1]), "NaN"),
        (lambda: precision_within(np.zeros((1, 2)), [1, 2], [1], -1), "radius is -1"),
        (lambda: precision_within(np.zeros((1, 2)), [1, 2], [1], float("nan")), "radius is nan"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


# ---- the classical baselines


def test_itq_rotates_the_components_nearer_to_the_corners(rng):
    """R stays a rotation, and each half of an iteration can only lower ‖B − H R‖²."""
    x = rng.standard_normal((300, 10)) * np.linspace(3, 0.5, 10)

    def distance(iterations):
        itq = ITQ(x, 6, seed=1, iterations=iterations)
        np.testing.assert_allclose(itq.R.T @ itq.R, np.eye(6), atol=1e-12)
        h = itq.pca.encode(x) @ itq.R
        return np.square(np.where(h > 0, 1, -1) - h).sum()

    distances = [distance(k) for k in (0, 1, 2, 3, 5, 10, 50)]
    assert distances == sorted(distances, reverse=True) and distances[-1] < distances[0] - 1


def test_baselines_give_bits_of_the_given_width_from_the_training_mean(rng):
    x = rng.standard_normal((200, 10)).astype("float32") + 5
    for baseline in (LSH(x, 6, seed=2), PCASign(x, 6), ITQ(x, 6, seed=2)):
        bits = baseline.hash(x)
        assert bits.dtype == bool and bits.shape == (200, 6)
        assert 0.3 < bits.mean() < 0.7  # centred
        np.testing.assert_array_equal(baseline.hash(x[:3]), bits[:3])
    np.testing.assert_array_equal(PCASign(x, 6).hash(x), PCA(x, 6).encode(x) > 0)


def test_pca_of_all_components_is_a_rotation_and_of_fewer_the_best_linear_code(rng):
    x = rng.standard_normal((50, 6)) @ rng.standard_normal((6, 6)) + 3
    np.testing.assert_allclose(PCA(x, 6).reconstruct(x), x)
    error = np.square(x - PCA(x, 2).reconstruct(x)).sum()
    assert error == pytest.approx(np.square(np.linalg.svd(x - x.mean(axis=0), compute_uv=False)[2:]).sum())

"""The kernels of the k-sparse code and of the Hamming distances, each against its plain reference."""

import numpy as np
import pytest

from minae.kernels import hamming, rows, top_k

TYPES = [("float32", 1e-5), ("float64", 1e-12)]


def selected(h, k, select):
    unit, value = np.full((len(h), k), -1, np.int32), np.empty((len(h), k), h.dtype)
    select(h, k, unit, value)
    return unit, value


# ---- selection

SHAPES = [(0, 5, 2), (1, 1, 1), (3, 7, 7), (4, 15, 1), (5, 16, 16), (6, 100, 25), (3, 1003, 31), (2, 8192, 32)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("ties", ["none", "many", "ReLU", "constant", "infinite"])
@pytest.mark.parametrize("B, m, k", SHAPES)
def test_the_k_largest_are_those_of_the_reference(B, m, k, ties, dtype, rng):
    h = rng.standard_normal((B, m)).astype(dtype)
    if ties == "many":
        h = np.round(2 * h)  # with −0 and 0, which are equal
    elif ties == "ReLU":
        h = np.maximum(h - 1, 0)
    elif ties == "constant":
        h[...] = -2
    elif ties == "infinite":
        h[rng.uniform(size=h.shape) < 0.1] = np.inf
        h[rng.uniform(size=h.shape) < 0.5] = -np.inf
    (unit, value), (unit_plain, value_plain) = selected(h, k, top_k.top_k), selected(h, k, top_k.plain)
    np.testing.assert_array_equal(unit, unit_plain)
    np.testing.assert_array_equal(value, value_plain)
    assert (np.diff(unit, axis=1) > 0).all()


@pytest.mark.parametrize("select", [top_k.top_k, top_k.plain])
def test_nan_is_not_lost(select, rng):
    h = rng.standard_normal((2, 40)).astype("float32")
    h[1, 3] = np.copysign(np.nan, -1)
    _, value = selected(h, 4, select)
    assert np.isfinite(value[0]).all() and np.isnan(value[1]).all()


def test_strided_input_takes_the_plain_form(rng):
    h = rng.standard_normal((40, 6)).T
    for strided, whole in zip(selected(h, 4, top_k.top_k), selected(h.copy(), 4, top_k.top_k), strict=True):
        np.testing.assert_array_equal(strided, whole)


@pytest.mark.parametrize("k", [1, 3, 7])
def test_the_mask_is_1_at_the_k_largest(k, backend, rng):
    h = np.round(2 * rng.standard_normal((5, 7)))
    mask = backend.to_numpy(top_k.mask(backend.from_numpy(h), k))
    expected = np.zeros_like(h)
    for b, row in enumerate(h):
        expected[b, sorted(range(7), key=lambda j, row=row: (-row[j], j))[:k]] = 1
    np.testing.assert_array_equal(mask, expected)
    assert mask.dtype == h.dtype


# ---- rows


@pytest.mark.parametrize("dtype, tolerance", TYPES)
@pytest.mark.parametrize("B, m, k, n", [(0, 4, 2, 3), (1, 1, 1, 1), (3, 9, 2, 7), (5, 64, 8, 65), (65, 300, 9, 785)])
def test_products_by_rows_are_the_dense_ones(B, m, k, n, dtype, tolerance, rng):
    R, y, h = (rng.standard_normal(shape).astype(dtype) for shape in ((m, n), (B, n), (B, m)))
    unit = np.sort(np.argsort(h, axis=1)[:, :k].astype(np.int32), axis=1)
    value = np.empty((B, k), dtype)
    rows.gather(unit, h, value)
    dense = np.zeros_like(h)
    np.put_along_axis(dense, unit.astype(int), value, axis=1)
    np.testing.assert_array_equal(value, np.take_along_axis(h, unit.astype(int), axis=1))
    sums, projected = np.abs(dense) @ np.abs(R), np.empty_like(value)
    for combine, scatter_add, project in (
        (rows.combine, rows.scatter_add, rows.project),
        (rows.combine_plain, rows.scatter_add_plain, rows.project_plain),
    ):
        out, dR = np.ones_like(y), np.ones_like(R)
        combine(unit, value, R, out)
        np.testing.assert_allclose(out, 1 + dense @ R, atol=tolerance * (1 + sums.max(initial=0)))
        scatter_add(unit, value, y, dR)
        np.testing.assert_allclose(dR, 1 + dense.T @ y, atol=tolerance * 50)
        project(unit, y, R, projected)
        reference = np.take_along_axis(y @ R.T, unit.astype(int), axis=1)
        np.testing.assert_allclose(projected, reference, atol=tolerance * 50)
        assert out.dtype == dR.dtype == projected.dtype == dtype


def test_strided_rows_take_the_plain_form(rng):
    R = rng.standard_normal((7, 20)).T
    unit, value = np.array([[0, 4], [4, 19], [2, 3]], np.int32), rng.standard_normal((3, 2))
    out, same = np.zeros((3, 7)), np.zeros((3, 7))
    rows.combine(unit, value, R, out)
    rows.combine(unit, value, R.copy(), same)
    np.testing.assert_allclose(out, same, rtol=1e-12)


# ---- Hamming distances


@pytest.mark.parametrize("n", [1, 63, 64, 1000])
@pytest.mark.parametrize("dtype, words", [("uint8", 1), ("uint16", 1), ("uint32", 1), ("uint64", 1), ("uint64", 4)])
def test_hamming_distances(dtype, words, n, rng):
    bits = 8 * np.dtype(dtype).itemsize * words
    packed = rng.integers(np.iinfo(dtype).max, size=(words, n), dtype=dtype, endpoint=True)
    query = packed[:, 0].copy()
    for i in range(2):
        d, plain = np.empty((2, n), np.int16)
        hamming.distances(packed, query, d)
        hamming.plain(packed, query, plain)
        np.testing.assert_array_equal(d, plain)
        differences = np.ascontiguousarray(packed.T ^ query).view(np.uint8)
        np.testing.assert_array_equal(d, np.unpackbits(differences, axis=1).sum(axis=1))
        assert i or d[0] == 0
        for radius in (0, bits // 2, 10**6):
            balls = hamming.ball(packed, query, radius), hamming.ball_plain(packed, query, radius)
            for fast, reference in zip(*balls, strict=True):
                assert fast.dtype == reference.dtype
                np.testing.assert_array_equal(fast, reference)
        for k in {1, min(5, n), min(300, n)}:
            nearest = hamming.nearest(packed, query, k), hamming.nearest_plain(packed, query, k)
            np.testing.assert_array_equal(*nearest)
        query = rng.integers(np.iinfo(dtype).max, size=words, dtype=dtype, endpoint=True)

"""The k-sparse code by rows and the Hamming distances: each kernel against its plain reference, and the fast layers
against finite differences and the dense form."""

import numpy as np
import pytest

from minae import KSparseAutoencoder, check_gradient, kept, load, retrieval
from minae.kernels import hamming, sparse_rows, top_k

TYPES = [("float32", 1e-5), ("float64", 1e-12)]
F64 = dict(dtype="float64", seed=1)


def selected(h, k, form):
    unit, value = np.full((len(h), k), -1, np.int32), np.empty((len(h), k), h.dtype)
    with np.errstate(invalid="ignore"):  # ops.top_k multiplies infinities by 0
        form(h, k, unit, value)
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


@pytest.mark.parametrize("form", [top_k.top_k, top_k.plain])
def test_nan_is_not_lost(form, rng):
    h = rng.standard_normal((2, 40)).astype("float32")
    h[1, 3] = np.copysign(np.nan, -1)
    _, value = selected(h, 4, form)
    assert np.isfinite(value[0]).all() and np.isnan(value[1]).all()


def test_strided_input_takes_the_plain_form(rng):
    h = rng.standard_normal((40, 6)).T
    for one, two in zip(selected(h, 4, top_k.top_k), selected(h.copy(), 4, top_k.top_k), strict=True):
        np.testing.assert_array_equal(one, two)


# ---- rows


@pytest.mark.parametrize("dtype, tolerance", TYPES)
@pytest.mark.parametrize("B, m, k, n", [(0, 4, 2, 3), (1, 1, 1, 1), (3, 9, 2, 7), (5, 64, 8, 65), (65, 300, 9, 785)])
def test_products_by_rows_are_the_dense_ones(B, m, k, n, dtype, tolerance, rng):
    R, y, h = (rng.standard_normal(shape).astype(dtype) for shape in ((m, n), (B, n), (B, m)))
    unit = np.sort(np.argsort(h, axis=1)[:, :k].astype(np.int32), axis=1)
    value = np.empty((B, k), dtype)
    sparse_rows.take(unit, h, value)
    dense = np.zeros_like(h)
    np.put_along_axis(dense, unit.astype(int), value, axis=1)
    np.testing.assert_array_equal(value, np.take_along_axis(h, unit.astype(int), axis=1))
    sums, projected = np.abs(dense) @ np.abs(R), np.empty_like(value)
    for combine, spread, project in (
        (sparse_rows.combine, sparse_rows.spread, sparse_rows.project),
        (sparse_rows.combine_plain, sparse_rows.spread_plain, sparse_rows.project_plain),
    ):
        out, dR = np.ones_like(y), np.ones_like(R)
        combine(unit, value, R, out)
        np.testing.assert_allclose(out, 1 + dense @ R, atol=tolerance * (1 + sums.max(initial=0)))
        spread(unit, value, y, dR)
        np.testing.assert_allclose(dR, 1 + dense.T @ y, atol=tolerance * 50)
        project(unit, y, R, projected)
        reference = np.take_along_axis(y @ R.T, unit.astype(int), axis=1)
        np.testing.assert_allclose(projected, reference, atol=tolerance * 50)
        assert out.dtype == dR.dtype == projected.dtype == dtype


def test_strided_rows_take_the_plain_form(rng):
    R = rng.standard_normal((7, 20)).T
    unit, value = np.array([[0, 4], [4, 19], [2, 3]], np.int32), rng.standard_normal((3, 2))
    out, same = np.zeros((3, 7)), np.zeros((3, 7))
    sparse_rows.combine(unit, value, R, out)
    sparse_rows.combine(unit, value, R.copy(), same)
    np.testing.assert_allclose(out, same, rtol=1e-12)


# ---- the layers

FORMS = [
    dict(sizes=(7, 24)),
    dict(sizes=(7, 24), tied=True, loss="gaussian"),
    dict(sizes=(7, 24), code="relu"),
    dict(sizes=(7, 24), code="sigmoid"),
    dict(sizes=(7, 5, 24), activation="tanh"),
    dict(sizes=(7, 5, 24), activation="tanh", code="softplus", tied=True),
]


def shaken(rng, **options):
    model = KSparseAutoencoder(**{"k": 3, **options}, **F64)
    model.parameters.flat[...] += 0.3 * rng.standard_normal(model.parameters.flat.shape)
    return model


def held(model, x):
    """The mask of the units that are kept at x."""
    h = model.f.forward(x)[0]
    mask = np.zeros_like(h)
    unit, _ = selected(h, model.k, top_k.plain)
    np.put_along_axis(mask, unit.astype(int), 1.0, axis=1)
    return mask


@pytest.mark.parametrize("options", FORMS)
def test_gradient_by_rows(options, rng, monkeypatch):
    model, x = shaken(rng, **options), rng.uniform(size=(4, 7))
    assert isinstance(kept.keep(model.f.forward(x)[0], 3, None, model.arena)[0], kept.Kept)
    assert check_gradient(model, x, tolerance=1e-8)
    assert check_gradient(model, x, noise={"mask": held(model, x)}, tolerance=1e-8)

    add = sparse_rows.spread
    monkeypatch.setattr(sparse_rows, "spread", lambda unit, value, y, dR: add(unit, 0.999 * value, y, dR))
    assert not check_gradient(model, x)


@pytest.mark.parametrize("options", FORMS)
def test_rows_and_dense_are_one_function(options, rng, monkeypatch):
    model, x = shaken(rng, **options), rng.uniform(size=(4, 7))
    results = []
    for form in (None, "mask", "dense", "dense, mask"):
        if form == "dense":
            monkeypatch.setattr(kept, "PAYS", 1000)
        cost = model.cost_and_grad(x, mask=held(model, x) if form and "mask" in form else None)
        results.append([float(cost), *model.parameters.grad])
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], rtol=1e-10, atol=1e-13)


def test_at_a_tie_the_rows_of_the_first_are_kept(rng):
    """Units 0 and 1 are equal and the first is kept: J jumps, and with Γ held it does not."""
    model = shaken(rng, sizes=(7, 24), k=2, loss="gaussian")
    W, b = model.parameters["W1"], model.parameters["b1"]
    W[:, 1], b[1] = W[:, 0], b[0]
    b[2:], b[23] = -50, 50
    x = rng.uniform(size=(4, 7))
    mask = np.zeros((4, 24))
    mask[:, [0, 23]] = 1
    np.testing.assert_array_equal(held(model, x), mask)
    assert check_gradient(model, x, noise={"mask": mask}, tolerance=1e-8)
    assert not check_gradient(model, x)
    grads = []
    for given in (mask, None):
        model.cost_and_grad(x, mask=given)
        grads.append(model.parameters.grad.copy())
    np.testing.assert_array_equal(*grads)


def test_a_mask_of_another_size_takes_the_dense_form(rng):
    model, x = shaken(rng, sizes=(7, 24)), rng.uniform(size=(4, 7))
    mask = (rng.uniform(size=(4, 24)) < 0.2).astype(float)
    assert check_gradient(model, x, noise={"mask": mask}, tolerance=1e-8)


@pytest.mark.parametrize("tied", [False, True])
def test_units_that_no_example_keeps_have_no_gradient(tied, rng):
    """Also where a step before left one: the gradient's memory is used again."""
    model = shaken(rng, sizes=(7, 24), tied=tied)
    for _ in range(3):
        x = rng.uniform(-9, 9, size=(2, 7))
        model.cost_and_grad(x)
        g, off = model.parameters.views(model.parameters.grad), held(model, x).sum(axis=0) == 0
        assert off.sum() >= 18 and not g["W1"][:, off].any() and not g["b1"][off].any()
        assert g["W1"][:, ~off].all() and (tied or not g["V1"][off].any())


def test_columns_lie_together_and_files_do_not_know(tmp_path, rng):
    model = shaken(rng, sizes=(7, 5, 24))
    W = model.parameters["W2"]
    assert W.shape == (5, 24) and W.T.flags.c_contiguous and model.parameters["W1"].flags.c_contiguous
    model.save(tmp_path / "model")
    for other in (load(tmp_path / "model"), model.copy()):
        np.testing.assert_array_equal(other.parameters["W2"], W)
        np.testing.assert_array_equal(other.parameters.flat, model.parameters.flat)


# ---- Hamming distances


@pytest.mark.parametrize("rows", [1, 63, 64, 1000])
@pytest.mark.parametrize("bits", [5, 16, 32, 64, 77, 200])
def test_hamming_distances(bits, rows, rng):
    codes, queries = (retrieval.pack(rng.uniform(size=(n, bits)) < 0.3) for n in (rows, 2))
    codes[0] = queries[0]
    words, asked = retrieval._words(codes, queries)
    d, plain = np.empty((2, rows), np.int16)
    for i in range(2):
        hamming.distances(words, asked[:, i], d)
        hamming.plain(words, asked[:, i], plain)
        np.testing.assert_array_equal(d, plain)
        np.testing.assert_array_equal(d, np.unpackbits(codes ^ queries[i], axis=1).sum(axis=1))
        for radius in (0, bits // 4, 10**6):
            for one, two in zip(
                hamming.ball(words, asked[:, i], radius), hamming.ball_plain(words, asked[:, i], radius), strict=True
            ):
                assert one.dtype == two.dtype
                np.testing.assert_array_equal(one, two)
        for k in {1, min(5, rows), min(300, rows)}:
            np.testing.assert_array_equal(
                hamming.nearest(words, asked[:, i], k), hamming.nearest_plain(words, asked[:, i], k)
            )

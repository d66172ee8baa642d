"""The k-sparse autoencoder: its support, its layers by rows against finite differences and the dense form, effects."""

import numpy as np
import pytest

from minae import InputError, KSparseAutoencoder, check_gradient, load
from minae.kernels import rows, top_k
from minae.ops.rows import Sparse
from minae.training import Adam

F64 = dict(dtype="float64", seed=1)


def shake(model, rng):
    model.parameters.flat[...] += model.backend.from_numpy(0.3 * rng.standard_normal(model.parameters.flat.shape))
    return model


# ---- the code


def test_k_units_are_kept_and_decoded(backend, rng):
    model = shake(KSparseAutoencoder((7, 9), k=3, backend=backend, **F64), rng)
    X = rng.uniform(size=(6, 7))
    h = model.encode(X)
    assert ((h != 0).sum(axis=1) == 3).all()
    dense = backend.to_numpy(model.f.forward(backend.from_numpy(X))[0])
    np.testing.assert_array_equal(np.sort(dense, axis=1)[:, -3:], np.sort(np.where(h != 0, h, -np.inf), axis=1)[:, -3:])
    np.testing.assert_allclose(model.decode(h), model.reconstruct(X))
    assert ((model.encode(X, k=5) != 0).sum(axis=1) == 5).all() and model.k == 3
    s = model.g.forward(backend.from_numpy(h))[0]
    L, _ = model.loss(s, backend.from_numpy(X))
    assert float(model.cost_and_grad(backend.from_numpy(X))["L"]) == pytest.approx(float(L))


def test_at_a_tie_the_gradient_is_that_of_a_held_support(backend, rng):
    """Units 0 and 1 are equal, and the first is kept. J jumps there, so differences through the selection explode; with
    Γ held they are the gradient."""
    model = KSparseAutoencoder((7, 4), k=2, loss="gaussian", backend=backend, **F64)
    model = shake(model, rng)
    W, b = model.parameters["W1"], model.parameters["b1"]
    W[:, 1], b[1] = W[:, 0], b[0]
    b[2:] = backend.from_numpy(np.array([-50.0, 50.0]))  # unit 3 is always on, so 0 and 1 tie for the last place
    x = backend.from_numpy(rng.uniform(size=(4, 7)))
    h = backend.to_numpy(model.f.forward(x)[0])
    mask = backend.from_numpy(np.array([[1.0, 0, 0, 1]] * 4))
    np.testing.assert_array_equal(model.encode(backend.to_numpy(x)), h * backend.to_numpy(mask))
    assert check_gradient(model, x, constants={"support": mask})
    assert check_gradient(model, x)  # the check freezes Γ by itself, as the cost gives it in its constants
    gradients, costs = [], []
    for support in (mask, None):
        costs.append(float(model.cost_and_grad(x, support=support)))
        gradients.append(backend.to_numpy(model.parameters.grad).copy())
    np.testing.assert_array_equal(*gradients)
    W[0, 1] += 1e-9 * float(abs(x[0, 0]))  # now unit 1 is the larger: J jumps by more than its slope could explain
    free, held = (float(model.cost_and_grad(x, support=support)) for support in (None, mask))
    assert abs(free - costs[1]) > 1e-3 and abs(held - costs[0]) < 1e-6


@pytest.mark.slow
def test_fewer_units_reconstruct_less(digits):
    errors = []
    for k in (5, 25, 100):
        model = KSparseAutoencoder((784, 100), k=k, loss="gaussian", tied=True, seed=1)
        model.fit(digits.train[:1000], epochs=6, optimizer=Adam(3e-3))
        errors.append(model.evaluate(digits.test)["L"])
    assert errors[0] > errors[1] > errors[2]


# ---- the layers, by rows and dense

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


def held(model, x, kind="mask"):
    """Γ at x: the columns of its units, or a mask of 0 and 1."""
    mask = top_k.mask(model.f.forward(x)[0], model.k)
    return mask if kind == "mask" else np.argwhere(mask)[:, 1].reshape(len(x), -1).astype(np.int32)


@pytest.mark.parametrize("options", FORMS)
def test_gradient_by_rows(options, rng, monkeypatch):
    model, x = shaken(rng, **options), rng.uniform(size=(4, 7))
    assert isinstance(model.between.forward(model.f.forward(x)[0])[0], Sparse)
    assert check_gradient(model, x, tolerance=1e-8)
    for kind in ("mask", "columns"):
        assert check_gradient(model, x, constants={"support": held(model, x, kind)}, tolerance=1e-8)

    add = rows.scatter_add
    monkeypatch.setattr(rows, "scatter_add", lambda unit, value, y, dR: add(unit, 0.999 * value, y, dR))
    assert not check_gradient(model, x)


@pytest.mark.parametrize("options", FORMS)
def test_rows_and_dense_are_one_function(options, rng, monkeypatch):
    model, x = shaken(rng, **options), rng.uniform(size=(4, 7))
    results = []
    for form in (None, "mask", "columns", "dense", "dense, mask", "dense, columns"):
        if form == "dense":
            monkeypatch.setattr(model.between, "PAYS", 1000)
        kind = form and form.removeprefix("dense, ")
        cost = model.cost_and_grad(x, support=held(model, x, kind) if kind in ("mask", "columns") else None)
        results.append([float(cost), *model.parameters.grad])
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], rtol=1e-10, atol=1e-13)


def test_at_a_tie_the_rows_of_the_first_are_kept(rng):
    """Units 0 and 1 are equal and the first is kept: J jumps, and with Γ held it does not. The check holds it."""
    model = shaken(rng, sizes=(7, 24), k=2, loss="gaussian")
    W, b = model.parameters["W1"], model.parameters["b1"]
    W[:, 1], b[1] = W[:, 0], b[0]
    b[2:], b[23] = -50, 50
    x = rng.uniform(size=(4, 7))
    mask = np.zeros((4, 24))
    mask[:, [0, 23]] = 1
    np.testing.assert_array_equal(held(model, x), mask)
    assert check_gradient(model, x, constants={"support": mask}, tolerance=1e-8)
    assert check_gradient(model, x, tolerance=1e-8)
    np.testing.assert_array_equal(model.cost_and_grad(x).constants["support"], [[0, 23]] * 4)
    grads = []
    for given in (mask, None):
        model.cost_and_grad(x, support=given)
        grads.append(model.parameters.grad.copy())
    np.testing.assert_allclose(*grads, rtol=1e-12)  # by a mask the products are dense, and add up in another order


def test_a_mask_of_another_size_takes_the_dense_form(rng):
    model, x = shaken(rng, sizes=(7, 24)), rng.uniform(size=(4, 7))
    mask = (rng.uniform(size=(4, 24)) < 0.2).astype(float)
    assert check_gradient(model, x, constants={"support": mask}, tolerance=1e-8)


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


@pytest.mark.parametrize(
    "support, message",
    [
        (np.zeros((4, 3), np.int64), r"support is int64 \(4, 3\)"),
        (np.zeros((4, 2), np.int32), r"support is int32 \(4, 2\)"),
        (np.zeros((4, 23)), r"support is float64 \(4, 23\)"),
        (np.full((4, 3), 24, np.int32), "support has columns"),
        (3, "support is int"),
    ],
)
def test_a_support_of_the_wrong_shape_or_type(support, message, rng):
    """Its columns are read without a check by the loops, so a wrong one must never come to them."""
    with pytest.raises(InputError, match=message) as error:
        shaken(rng, sizes=(7, 24)).cost_and_grad(rng.uniform(size=(4, 7)), support=support)
    assert "\n" not in str(error.value)

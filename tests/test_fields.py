"""Fields: what a batch is made of, its checks, and how the rows of a data set come to a step."""

import itertools
import re

import numpy as np
import pytest

from minae import InputError, Model, UndercompleteAutoencoder, check_gradient
from minae.arena import Arena
from minae.data import Scaled
from minae.data.batches import Batches
from minae.fields import Bytes, Code, Labels, Mask, OneHot, Real, Tokens
from minae.layers import Activation, Affine
from minae.networks import Network
from minae.options import Count, Sizes
from minae.training import SGD


def refuses(call, *words):
    with pytest.raises(InputError) as error:
        call()
    line = str(error.value)
    assert len(line.splitlines()) == 1
    for word in words:
        assert re.search(word, line), line


def batches(fields, given, backend=None, dtype="float32"):
    from minae.backend import Backend

    return Batches(fields, given, Arena(backend or Backend(), dtype))


# ---- kinds


FIELDS = {
    "numbers": (Real(5), lambda rng: rng.standard_normal((8, 5)), lambda x: x),
    "integers": (Real(5), lambda rng: rng.integers(-9, 9, size=(8, 5)), lambda x: x),
    "images": (Real(2, 3, 4), lambda rng: rng.standard_normal((8, 2, 3, 4)), lambda x: x),
    "bytes": (Bytes(1, 3, 4), lambda rng: rng.integers(256, size=(8, 1, 3, 4)).astype("uint8"), lambda x: x / 255),
    "mask": (Mask(5), lambda rng: rng.random((8, 5)) < 0.5, lambda x: x),
    "code": (Code(3), lambda rng: rng.standard_normal((8, 3)), lambda x: x),
    "probabilities": (OneHot(3), lambda rng: rng.dirichlet([1, 1, 1], size=8), lambda x: x),
    "tokens": (Tokens(9, 4), lambda rng: rng.integers(9, size=(8, 4)), lambda x: x),
    "labels": (Labels(3), lambda rng: rng.integers(3, size=8), lambda y: np.eye(3)[y]),
}


@pytest.mark.parametrize("place", ["host", "device", "memory map"])
@pytest.mark.parametrize("name", FIELDS)
def test_a_step_gets_the_field(name, place, backend, rng, tmp_path):
    """From an array of the host, of the device, or a memory map; in the model's type, of the right shape."""
    field, make, delivered = FIELDS[name]
    X, index = make(rng), np.array([3, 0, 7, 3])
    given = X
    if place == "device":
        given = backend.from_numpy(X)
    elif place == "memory map":
        np.save(tmp_path / "X.npy", X)
        given = np.load(tmp_path / "X.npy", mmap_mode="r")
    data = batches({"x": field}, {"x": given}, backend)
    batch = data.take(index)
    assert list(batch) == ["x"] and len(data) == 8 and backend.owns(batch["x"])
    expected = np.asarray(delivered(X[index]), "int32" if name == "tokens" else "float32")
    assert batch["x"].dtype == expected.dtype and batch["x"].shape == expected.shape == field.batch_shape(4)
    np.testing.assert_allclose(backend.to_numpy(batch["x"]), expected, rtol=1e-6)
    again = backend.to_numpy(given) if place == "device" else given
    np.testing.assert_array_equal(again, X)  # the user's data are left alone


@pytest.mark.parametrize("name", FIELDS)
def test_an_example_is_valid(name, backend, rng):
    """What a gradient check runs on passes the checks of its own field."""
    field, _, _ = FIELDS[name]
    example = field.example(rng, 6)
    data = batches({"x": field}, {"x": example}, backend, "float64")
    assert len(data) == 6 and data.take(np.arange(6))["x"].shape == field.batch_shape(6)
    assert repr(field).startswith(type(field).__name__)


BAD = [
    (Real(5), np.zeros((4, 6)), r"x has shape \(4, 6\); expected \(rows, 5\)"),
    (Real(5), np.zeros(5), r"x has shape \(5,\)"),
    (Real(5), np.zeros((0, 5)), r"x is empty, shape \(0, 5\): expected at least one row"),
    (Real(6), np.zeros((4, 2, 3)), r"use x.reshape\(len\(x\), -1\)"),
    (Real(2, 3), np.zeros((4, 6)), r"expected \(rows, 2, 3\); use x.reshape\(len\(x\), 2, 3\)"),
    (Real(2), np.array([[1, np.nan]]), "x has NaN or infinite values: remove those rows"),
    (Real(2), np.array([[1, -np.inf]]), "x has NaN or infinite"),
    (Real(2), np.array([[1, 1e39]]), r"too large for float32: scale the data"),
    (Real(2), np.array([["a", "b"]]), "x has dtype <U1: expected real numbers"),
    (Real(2), np.zeros((3, 2), complex), "x has dtype complex128: expected real numbers"),
    (Real(2), np.array([[1, None]]), "x has dtype object"),
    (Real(2), [[1, 2], [3]], "expected an array"),
    (Bytes(2), np.zeros((3, 2)), "x has dtype float64: expected bytes, uint8"),
    (Bytes(2), np.zeros((3, 2), int), "x has dtype int64: expected bytes"),
    (Bytes(2), np.full((3, 2), 256, "uint16"), "x has values up to 256: expected bytes, 0 to 255"),
    (Mask(2), np.full((3, 2), 0.5), r"x has values in \[0.5, 0.5\] other than 0 and 1: expected a mask"),
    (Mask(2), np.array([[0, 1], [0, np.nan]]), "NaN"),
    (Tokens(5, 2), np.full((3, 2), 5), "x has tokens 5 to 5: expected 0 to 4"),
    (Tokens(5, 2), np.full((3, 2), -1), "x has tokens -1 to -1"),
    (Tokens(5, 2), np.zeros((3, 2)), "x has dtype float64: expected whole numbers"),
    (Labels(3), np.full(4, 3), "x has labels 3 to 3: expected 0 to 2, or more classes"),
    (Labels(3), np.full(4, -1), "x has labels -1 to -1"),
    (Labels(3), np.zeros(4), "x has dtype float64: expected an integer label for each row"),
    (Labels(3), np.zeros((4, 1), int), r"x has shape \(4, 1\); expected \(rows\)"),
    (Tokens(5, None), np.zeros((3, 2), int), "x is a ndarray: expected a list of sequences"),
    (Tokens(5, None), [], "x is a list: expected a list of sequences"),
    (Tokens(5, None), [np.zeros(2, int), np.zeros(0, int)], r"x\[1\] has length 0: expected at least one"),
    (Tokens(5, None), [np.zeros(2, int), np.full(3, 5)], r"x\[1\] has tokens 5 to 5"),
    (Tokens(5, None), [np.zeros(2)], r"x\[0\] is float64 \(2,\): expected Tokens"),
    (Real(None, 3), [np.zeros((2, 3)), np.zeros((2, 4))], r"x\[1\] is float64 \(2, 4\): expected Real"),
    (Real(None, 3), [np.full((2, 3), np.nan)], r"x\[0\] has NaN"),
]


@pytest.mark.parametrize("field, X, message", BAD)
def test_what_does_not_fit_is_refused(field, X, message):
    refuses(lambda: batches({"x": field}, {"x": X}), message)


ON_DEVICE = [case for case in BAD if isinstance(case[1], np.ndarray) and case[1].dtype.kind not in "OU"]


@pytest.mark.parametrize("field, X, message", [case for case in ON_DEVICE if not case[0].ragged])
def test_on_the_device_too(field, X, message, backend):
    """REVIEW_ENGINE, survivor S10."""
    refuses(lambda: batches({"x": field}, {"x": backend.from_numpy(X)}, backend), message)


@pytest.mark.parametrize(
    "field, bad, message",
    [
        (Real(2), [[0.5, np.nan]], "NaN"),
        (Real(2), [[0.5, 1e39]], "NaN or infinite"),  # of float64, which float32 cannot hold
        (Real(2, check=UndercompleteAutoencoder((2, 1)).loss.check), [[0.5, 1.5]], r"values in \[0, 1.5\]; the Bern"),
        (Mask(2), [[0, 0.5]], "expected a mask"),
        (Tokens(5, 2), [[0, 5]], "x has tokens 0 to 5: expected 0 to 4"),
        (Labels(3), [3], "x has labels 0 to 3: expected 0 to 2"),
        (Labels(3), [-1], "x has labels -1 to 0"),
    ],
)
def test_values_of_a_memory_map_are_checked_as_they_are_read(field, bad, message, backend, tmp_path):
    """It is never read whole, so the fault is found by the batch that has it, and not before."""
    bad = np.array(bad)
    np.save(tmp_path / "X.npy", np.concatenate([0 * np.nan_to_num(np.repeat(bad, 6, axis=0)).astype(bad.dtype), bad]))
    data = batches({"x": field}, {"x": np.load(tmp_path / "X.npy", mmap_mode="r")}, backend)
    data.take(np.arange(6))
    refuses(lambda: data.take(np.array([0, 6])), message)


def test_a_check_of_the_losses_is_one_of_the_field(backend):
    model = UndercompleteAutoencoder((3, 2), backend=backend)
    assert repr(model.fields["x"]) == "Real(3)"
    for call in (model.fit, model.evaluate):
        refuses(lambda: call(np.full((2, 3), 2.0)), r"X has values in \[2, 2\]; the Bernoulli loss takes \[0, 1\]")  # noqa: B023
    assert model.encode(np.full((2, 3), 2.0)).shape == (2, 2)  # a noisy image has a code, whatever the loss asks for
    refuses(lambda: model.encode(np.full((2, 3), np.nan)), "X has NaN")
    refuses(lambda: model.decode(np.zeros((2, 3))), r"H has shape \(2, 3\); expected \(rows, 2\)")


# ---- several fields


def test_fields_of_one_domain_are_paired(backend, rng):
    fields = {"x": Real(2), "y": Labels(3), "m": Mask(2, optional=True)}
    X, y = rng.standard_normal((6, 2)), np.arange(6) % 3
    data = batches(fields, {"x": X, "y": y}, backend)
    batch = data.take(np.array([5, 1]))
    assert list(batch) == ["x", "y"]  # an optional field that is not given is left out
    np.testing.assert_allclose(backend.to_numpy(batch["x"]), X[[5, 1]], rtol=1e-6)
    np.testing.assert_array_equal(backend.to_numpy(batch["y"]), np.eye(3)[[2, 1]])
    whole = batches(fields, {"x": X, "y": y, "m": X > 0}, backend)
    assert list(whole.take(np.array([0]))) == ["x", "y", "m"]
    refuses(lambda: batches(fields, {"x": X, "y": y[:5]}, backend), "y has 5 rows and x 6: expected one for each")


@pytest.mark.parametrize("large, small", [(20, 7), (20, 20), (7, 20), (9, 3), (20, 1)])
def test_two_domains_that_are_not_paired(large, small, backend):
    """Each order is a permutation of its own rows, pass by pass; every epoch and every pass has one of its own."""
    fields = {"a": Real(1), "b": Real(1, domain="b"), "m": Mask(1, domain="b")}
    b = np.arange(small)[:, None].astype(float)
    data = batches(fields, {"a": np.zeros((large, 1)), "b": b, "m": b > 3}, backend)
    assert len(data) == large and data.rows == {"": large, "b": small}
    epochs = [data.order(backend, 5, epoch) for epoch in range(6)]
    for order in epochs:
        assert sorted(order[""]) == list(range(large)) and len(order["b"]) == large
    if large > 3:
        assert all((one[""] != two[""]).any() for one, two in itertools.combinations(epochs, 2))
    visited = np.concatenate([order["b"] for order in epochs])
    passes = [visited[i : i + small] for i in range(0, len(visited) - small + 1, small)]
    assert passes and all(sorted(rows) == list(range(small)) for rows in passes)  # complete, across the epochs
    if small > 3:
        assert all((one != two).any() for one, two in itertools.combinations(passes, 2))
        assert (epochs[0][""][:small] != epochs[0]["b"][:small]).any()
    for epoch in (3, 0, 5):  # a resume sees the same order, whatever came before
        again = data.order(backend, 5, epoch)
        assert all((again[domain] == epochs[epoch][domain]).all() for domain in again)
    assert any((data.order(backend, 6, 0)[domain] != epochs[0][domain]).any() for domain in ("", "b")) or large < 3
    batch = data.take({"": np.array([0, 1]), "b": np.array([small - 1, 0])})
    assert backend.to_numpy(batch["b"])[:, 0].tolist() == [small - 1, 0]
    assert backend.to_numpy(batch["m"])[:, 0].tolist() == [small - 1 > 3, False]


class Translate(Model):
    """Two domains that are not paired: each is read by the other's affine map, and the means are to agree."""

    sizes = Sizes("widths of a and of b", most=2, example=(4, 3))

    def inputs(self):
        n, m = self.sizes
        return {"a": Real(n), "b": Real(m, domain="b")}

    def networks(self):
        n, m = self.sizes
        return {"f": Network([Affine("W1", "b1", n, m)])}

    def cost_and_grad(self, a, b, mode="train", need_grad=True):
        fa, cache = self.f.forward(a, mode)
        d = fa.mean(axis=0) - b.mean(axis=0)
        cost = self.cost(L=0.5 * (d * d).sum())
        if need_grad:
            self.f.backward(self.arena.ws.multiply(fa * 0 + d, 1 / len(a)), cache, need_dx=False)
        return cost


def test_a_model_of_two_domains_trains_checks_and_resumes(rng, tmp_path):
    a, b = rng.uniform(size=(30, 4)), 3 + rng.uniform(size=(11, 3))

    def run(epochs, **settings):
        model = Translate((4, 3), dtype="float64", seed=1)
        seen, cost_and_grad = [], model.cost_and_grad

        def watch(a, b, need_grad=True, **more):
            if need_grad:
                seen.append(b[:, 0].copy())
            return cost_and_grad(a=a, b=b, need_grad=need_grad, **more)

        model.cost_and_grad = watch
        model.fit(a, b=b, epochs=epochs, batch_size=8, optimizer=SGD(0.05), **settings)
        return model, seen

    model, seen = run(4)
    assert check_gradient(model, a, b=b) and model.evaluate(a, b=b)["L"] < Translate((4, 3)).evaluate(a, b=b)["L"]
    visited = np.concatenate(seen)[: 10 * 11].reshape(10, 11)  # complete passes over b, across steps and epochs
    assert (np.sort(visited, axis=1) == np.sort(b[:, 0])).all()
    run(2, checkpoint=tmp_path / "c")
    resumed, rest = run(4, checkpoint=tmp_path / "c", resume=True)
    assert resumed.parameters.flat.tobytes() == model.parameters.flat.tobytes()
    np.testing.assert_array_equal(np.concatenate(rest), np.concatenate(seen)[60:])
    refuses(lambda: run(4, checkpoint=tmp_path / "c", resume=True, validation={"a": a, "b": b}), "validation")
    refuses(lambda: Translate((4, 3)).fit(a), "b is missing")
    refuses(lambda: Translate((4, 3)).fit(a, c=b, b=b), "c was given, and a model")
    refuses(lambda: Translate((4, 3)).fit(a, b=b, validation=a), "b is missing")


# ---- sequences of any length


def test_sequences_are_padded_to_the_longest_of_the_batch(backend, rng):
    X = [rng.integers(9, size=length) for length in (3, 1, 5, 2)]
    data = batches({"x": Tokens(9, None)}, {"x": X}, backend)
    batch = {name: backend.to_numpy(array) for name, array in data.take(np.array([1, 0, 3])).items()}
    assert list(batch) == ["x", "x_length"] and batch["x"].dtype == batch["x_length"].dtype == np.int32
    assert batch["x"].shape == (3, 3) and batch["x_length"].tolist() == [1, 3, 2]
    for row, length, i in zip(batch["x"], batch["x_length"], (1, 0, 3), strict=True):
        np.testing.assert_array_equal(row, [*X[i], *[0] * (3 - length)])
    frames = [rng.standard_normal((length, 4)) for length in (2, 3)]
    batch = batches({"x": Real(None, 4)}, {"x": frames}, backend).take(np.arange(2))
    assert batch["x"].shape == (2, 3, 4) and backend.to_numpy(batch["x"])[0, 2].tolist() == [0] * 4
    assert batches({"x": Bytes(None)}, {"x": [np.array([255, 0], "uint8")]}, backend).take(np.arange(1))["x"].shape == (
        1,
        2,
    )


class Bag(Model):
    """A bag of tokens with noise on each: the mean of their embeddings, whose square is the cost; constants too."""

    vocabulary = Count(6, "tokens")
    width = Count(3, "of an embedding")

    def inputs(self):
        return {"x": Tokens(self.vocabulary, None)}

    def shapes(self):
        return {"E": (self.vocabulary, self.width)}

    def initialize(self, rng):
        self.parameters["E"][...] = rng.standard_normal((self.vocabulary, self.width))

    def constants(self, rng, x, x_length):
        return {"eps": self.normal(rng, *x.shape)}

    def cost_and_grad(self, x, x_length, eps, mode="train", need_grad=True):
        share = (np.arange(x.shape[1]) < x_length[:, None]) * (1 + eps) / x_length[:, None]
        h = np.einsum("bt,btm->bm", share, self.parameters["E"][x])
        cost = self.cost(L=0.5 * np.square(h - 1).sum() / len(x))
        if need_grad:
            dE = np.zeros_like(self.parameters["E"])
            np.add.at(dE, x, share[:, :, None] * (h - 1)[:, None, :] / len(x))
            self.parameters.gradient("E").add(dE)
        return cost


def test_a_model_of_ragged_sequences_with_constants(rng, tmp_path):
    X = [rng.integers(6, size=length) for length in rng.integers(1, 7, size=40)]
    model = Bag(dtype="float64")
    report = check_gradient(model, X)
    assert report, f"\n{report}"
    history = model.fit(X, epochs=30, batch_size=10, optimizer=SGD(0.5), validation=X[:5])
    assert history["L"][-1] < 0.5 * history["L"][0]
    assert model.evaluate(X, batch_size=7)["L"] == pytest.approx(history["L"][-1], rel=0.5)
    one, part, rest = Bag(), Bag(), Bag()
    one.fit(X, epochs=3, batch_size=10)
    part.fit(X, epochs=1, batch_size=10, checkpoint=tmp_path / "c")
    rest.fit(X, epochs=3, batch_size=10, checkpoint=tmp_path / "c", resume=True)
    assert one.parameters.flat.tobytes() == rest.parameters.flat.tobytes()
    other = [*X[:-1], X[-1][::-1]] if len(X[-1]) > 1 else X[::-1]
    refuses(lambda: Bag().fit(other[::-1], epochs=3, batch_size=10, checkpoint=tmp_path / "c", resume=True), "data")
    batch = model.batches(X).take(np.arange(4))
    batch |= model.draw(batch, 0, "check")
    refuses(lambda: model.cost_and_grad(**batch | {"x": batch["x"].astype("int64")}), "x is int64 and the model int32")
    refuses(lambda: model.cost_and_grad(**{k: v for k, v in batch.items() if k != "x_length"}), "x_length")


# ---- N-d data, and files


class Images(Model):
    """Bytes of images, N-d: a linear autoencoder of the flattened pixels."""

    def inputs(self):
        return {"x": Bytes(1, 3, 4)}

    def networks(self):
        return {"f": Network([Affine("W1", "b1", 12, 5), Activation("tanh"), Affine("V1", "c1", 5, 12)])}

    def cost_and_grad(self, x, mode="train", need_grad=True):
        x = x.reshape(len(x), -1)
        s, caches = self.f.forward(x, mode)
        d = self.arena.ws.subtract(s, x)
        cost = self.cost(L=0.5 * (d * d).sum() / len(x))
        if need_grad:
            self.f.backward(self.arena.ws.multiply(d, 1 / len(x)), caches, need_dx=False)
        return cost


def test_images_of_bytes(backend, rng, tmp_path):
    X = rng.integers(256, size=(40, 1, 3, 4)).astype("uint8")
    model = Images(backend=backend, dtype="float64")
    assert check_gradient(model, X[:4])
    costs = []
    np.save(tmp_path / "X.npy", X)
    for data in (X, backend.from_numpy(X), np.load(tmp_path / "X.npy", mmap_mode="r")):
        model = Images(backend=backend)
        history = model.fit(data, epochs=3, batch_size=8, optimizer=SGD(0.05))
        costs.append(history["L"])
    assert costs[0] == costs[1] == costs[2] and costs[0][-1] < costs[0][0]
    x = backend.from_numpy(X[:2].astype("float32") / 255)
    refuses(lambda: model.cost_and_grad(x.reshape(2, 12)), r"x has shape \(2, 12\); expected \(rows, 1, 3, 4\)")
    refuses(lambda: model.fit(X / 255), "X has dtype float64: expected bytes")


def test_a_memory_map_of_another_type_is_read_by_batches(rng, tmp_path):
    """The batches read their rows, and the fingerprint goes through the file itself; nothing loads it whole."""
    X = rng.uniform(size=(500, 3))
    np.save(tmp_path / "X.npy", X)
    largest = []

    class Watched(Scaled):
        def __getitem__(self, rows):
            largest.append(len(rows))
            return super().__getitem__(rows)

        def __array__(self, *_, **__):
            raise AssertionError("loaded whole")

    data = batches({"x": Real(3)}, {"x": Watched(np.load(tmp_path / "X.npy", mmap_mode="r"), 1)})
    data.fingerprint(), data.take(np.arange(100, 130))
    assert max(largest) == 30


def test_fingerprints_tell_data_apart(backend, rng):
    X = rng.uniform(size=(30, 2)).astype("float32")
    fields = {"x": Real(2), "y": Labels(3, optional=True)}
    prints = [
        batches(fields, given, backend).fingerprint()
        for given in (
            {"x": X},
            {"x": backend.from_numpy(X)},
            {"x": X[::-1]},
            {"x": X[:-1]},
            {"x": X, "y": np.zeros(30, int)},
        )
    ]
    assert prints[0] == prints[1]
    assert all(one != two for one, two in itertools.combinations(prints[1:], 2))

"""Greedy pretraining, the classifier on top, a learning rate a layer, and frozen layers."""

import numpy as np
import pytest

from minae import (
    Classifier,
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    InputError,
    KSparseAutoencoder,
    PredictiveSparseDecomposition,
    SemanticHashingAutoencoder,
    UndercompleteAutoencoder,
    VariationalAutoencoder,
    check_gradient,
    copy_encoder,
    load,
    pretrain,
    widen_sigmoids,
)
from minae.networks import Network
from minae.training import SGD, Adam, Momentum


@pytest.fixture
def labelled(digits):
    return digits.train[:600], digits.train_labels[:600].astype(int)


def changes(model, before):
    views = model.parameters.views(np.abs(model.backend.to_numpy(model.parameters.flat) - before))
    return {name: float(view.max()) for name, view in views.items()}


def flat(model):
    return model.backend.to_numpy(model.parameters.flat).copy()


def test_pretraining_is_greedy(digits):
    """Layer k is what an autoencoder of one layer learns from the codes of the layers below it."""
    X, settings = digits.train[:300], dict(epochs=2, seed=5)
    model = UndercompleteAutoencoder((784, 20, 9), activation="sigmoid", seed=3)
    histories = pretrain(model, X, **settings)
    first = UndercompleteAutoencoder((784, 20), seed=5)
    first.fit(X, **settings)
    second = UndercompleteAutoencoder((20, 9), seed=6)
    second.fit(first.encode(X), epochs=2, seed=6)
    assert [len(history) for history in histories] == [2, 2]
    for k, part in enumerate((first, second)):
        np.testing.assert_array_equal(model.f.trained()[k].W, part.f.trained()[0].W)
        np.testing.assert_array_equal(model.g.trained()[1 - k].W, part.g.trained()[0].W)
        np.testing.assert_array_equal(model.g.trained()[1 - k].b, part.g.trained()[0].b)
    np.testing.assert_allclose(model.encode(X), second.encode(first.encode(X)), rtol=1e-6)


def test_pretraining_with_denoising_layers(digits, backend):
    model = UndercompleteAutoencoder((784, 12, 5), activation="relu", code="identity", backend=backend)
    options = [dict(corruption="masking", level=0.3), dict(corruption="gaussian", level=0.1)]
    histories = pretrain(model, digits.train[:200], DenoisingAutoencoder, epochs=1, options=options)
    assert len(histories) == 2
    with pytest.raises(InputError, match="options has 1 entries and the encoder 2 layers"):
        pretrain(model, digits.train[:200], DenoisingAutoencoder, options=options[:1])
    with pytest.raises(InputError, match="validation is not for pretrain"):
        pretrain(model, digits.train[:200], epochs=1, validation=digits.test)
    linear = UndercompleteAutoencoder((784, 5), activation="identity", backend=backend)
    with pytest.raises(InputError, match="encoder is more than"):
        pretrain(linear, digits.train[:200], VariationalAutoencoder, epochs=1)
    with pytest.raises(InputError, match="k is missing: expected an integer"):
        pretrain(model, digits.train[:200], KSparseAutoencoder, epochs=1)
    with pytest.raises(InputError, match="has none"):
        pretrain(VariationalAutoencoder((784, 12, 5)), digits.train[:200])


def test_layers_that_are_tied_fill_a_stack_that_is_not(digits):
    """A contractive layer is tied by default: the V of the stack becomes the transpose of the layer's W."""
    X = digits.train[:100]
    model, part = UndercompleteAutoencoder((784, 9)), ContractiveAutoencoder((784, 9))
    pretrain(model, X, ContractiveAutoencoder, epochs=1)
    part.fit(X, epochs=1)
    np.testing.assert_array_equal(model.parameters["W1"], part.parameters["W1"])
    np.testing.assert_array_equal(model.parameters["V1"], part.parameters["W1"].T)
    np.testing.assert_array_equal(model.parameters["c1"], part.parameters["c1"])
    tied = UndercompleteAutoencoder((784, 9), tied=True)
    pretrain(tied, X, DenoisingAutoencoder, epochs=1, options={"tied": False})
    part = DenoisingAutoencoder((784, 9))
    part.fit(X, epochs=1)
    np.testing.assert_array_equal(tied.parameters["W1"], part.parameters["W1"])
    np.testing.assert_array_equal(tied.parameters["c1"], part.parameters["c1"])


def test_a_tied_model_keeps_the_encoder_that_was_trained(digits):
    X = digits.train[:200]
    model, part = UndercompleteAutoencoder((784, 9), tied=True), UndercompleteAutoencoder((784, 9), tied=True)
    pretrain(model, X, epochs=1)
    part.fit(X, epochs=1)
    assert flat(model).tobytes() == flat(part).tobytes()


def test_the_softmax_of_a_classifier_is_no_decoder(rng):
    X = rng.uniform(size=(30, 10))
    for sizes, classes in (((10, 6), 10), ((12, 6), 3)):
        model = Classifier(sizes, classes=classes)
        V = model.parameters["V1"].copy()
        pretrain(model, rng.uniform(size=(30, sizes[0])), epochs=1)
        np.testing.assert_array_equal(model.parameters["V1"], V)
    assert check_gradient(model, rng.uniform(size=(3, 12)), np.array([0, 2, 1]))
    with pytest.raises(InputError, match="y is missing"):
        check_gradient(model, X[:3, :10])


def test_a_hash_is_pretrained_as_the_sigmoid_that_it_is(rng):
    X = rng.uniform(size=(300, 12))
    model = SemanticHashingAutoencoder((12, 10, 6))
    before = np.square(model.reconstruct(X) - X).sum(axis=1).mean()
    pretrain(model, X, epochs=200, optimizer=Adam(0.01))
    assert np.square(model.reconstruct(X) - X).sum(axis=1).mean() < before


def test_pretraining_lowers_the_cost_of_a_sigmoid_stack(digits):
    X, costs = digits.train[:2000], []
    for greedy in (False, True):
        model = UndercompleteAutoencoder((784, 100, 50, 20), activation="sigmoid", code="identity")
        if greedy:
            pretrain(model, X, epochs=4, optimizer=Adam(1e-2), batch_size=50)
        model.fit(X, epochs=4, optimizer=Adam(3e-3), batch_size=50)
        costs.append(model.evaluate(digits.test)["L"])
    assert costs[1] < 0.8 * costs[0]


def test_fine_tuning_moves_every_layer(labelled, backend):
    """The fault of a tutorial: only the top layer was updated."""
    X, y = labelled
    model = Classifier((784, 30, 20), activation="sigmoid", backend=backend)
    before = flat(model)
    model.fit(X, y, epochs=2)
    assert min(changes(model, before).values()) > 1e-3


@pytest.mark.parametrize("optimizer", [Adam, SGD, Momentum])
def test_frozen_layers_and_a_rate_a_layer(optimizer, labelled, backend):
    X, y = labelled
    model = Classifier((784, 30, 20), activation="tanh", backend=backend)
    before = flat(model)
    model.fit(X, y, epochs=1, batch_size=600, optimizer=optimizer(1e-3, rates={"f1": 0, "f2": 0.1}))
    moved, whole = changes(model, before), Classifier((784, 30, 20), activation="tanh", backend=backend)
    whole.fit(X, y, epochs=1, batch_size=600, optimizer=optimizer(1e-3))
    expected = changes(whole, before)
    assert moved["W1"] == moved["b1"] == 0
    assert moved["W2"] == pytest.approx(0.1 * expected["W2"], rel=1e-3)
    assert moved["V1"] == pytest.approx(expected["V1"], rel=1e-5) and moved["V1"] > 0


def test_equal_rates_are_one_rate(tiny):
    runs, (_, X) = [], tiny()
    for rates in ({}, dict(f1=1.0, g2=1.0)):
        model, _ = tiny()
        model.fit(X, epochs=3, optimizer=Adam(1e-3, rates=rates))
        runs.append(flat(model).tobytes())
    assert runs[0] == runs[1]


def test_a_tied_weight_moves_with_the_encoder(tiny):
    model, X = tiny(tied=True)
    before = flat(model)
    model.fit(X, epochs=1, optimizer=Adam(1e-3, rates={"g1": 0, "g2": 0}))
    moved = changes(model, before)
    assert moved["c1"] == moved["c2"] == 0 < moved["W1"]


def test_bad_rates(tiny):
    model, X = tiny()
    with pytest.raises(InputError, match="a layer 'f9': this model has f1, f2, g1, g2"):
        model.fit(X, epochs=1, optimizer=Adam(rates={"f9": 0.1}))
    with pytest.raises(InputError, match="-1"):
        model.fit(X, epochs=1, optimizer=Adam(rates={"f1": -1}))


def test_a_resume_wants_the_same_rates(labelled, tmp_path):
    X, y = labelled
    path, rates = tmp_path / "c.safetensors", {"f1": 0.5}
    whole = Classifier((784, 10))
    whole.fit(X, y, epochs=4, optimizer=Adam(rates=rates))
    half = Classifier((784, 10))
    half.fit(X, y, epochs=2, optimizer=Adam(rates=rates), checkpoint=path)
    again = Classifier((784, 10))
    with pytest.raises(InputError, match="optimizer"):
        again.fit(X, y, epochs=4, optimizer=Adam(), checkpoint=path, resume=True)
    with pytest.raises(InputError, match="data"):
        again.fit(X, y[::-1], epochs=4, optimizer=Adam(rates=rates), checkpoint=path, resume=True)
    again.fit(X, y, epochs=4, optimizer=Adam(rates=rates), checkpoint=path, resume=True)
    assert flat(again).tobytes() == flat(whole).tobytes()


def test_classifier_learns_and_is_saved(labelled, digits, tmp_path):
    X, y = labelled
    model = Classifier((784, 50), classes=10, activation="relu", lam=1e-4)
    history = model.fit(X, y, epochs=10, validation=(digits.test[:200], digits.test_labels[:200]))
    assert history["validation.J"][-1] < history["validation.J"][0]
    accuracy = (model.predict(digits.test) == digits.test_labels).mean()
    assert accuracy > 0.8
    np.testing.assert_allclose(model.probabilities(X).sum(axis=1), 1, rtol=1e-5)
    assert model.evaluate(X, y)["L"] == pytest.approx(
        -np.log(model.probabilities(X)[np.arange(600), y]).mean(), rel=1e-4
    )
    model.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(load(tmp_path / "m.safetensors").predict(X), model.predict(X))


def test_softmax_regression_is_a_classifier_without_f(labelled, backend):
    X, y = labelled
    model = Classifier((784,), backend=backend)
    assert list(model.parameters) == ["V1", "c1"]
    model.fit(X, y, epochs=30, optimizer="lbfgs")
    assert (model.predict(X) == y).mean() > 0.97
    np.testing.assert_array_equal(model.encode(X), X)


@pytest.mark.parametrize(
    "y, message",
    [
        (None, "y is missing"),
        (np.zeros(5, int), "y has 5 rows and X 4: expected one for each"),
        (np.zeros(4), "integer label"),
        (np.full(4, 10), "labels 10 to 10: expected 0 to 9"),
        (np.full(4, -1), "labels -1"),
    ],
)
def test_bad_labels(y, message, rng):
    with pytest.raises(InputError, match=message) as error:
        Classifier((7, 3)).fit(rng.uniform(size=(4, 7)), y, epochs=1)
    assert "\n" not in str(error.value)


def test_only_models_with_targets_take_them(tiny):
    model, X = tiny()
    with pytest.raises(InputError, match="learns from x alone: leave y out"):
        model.fit(X, np.zeros(4, int))


def test_copy_encoder(tiny):
    source, X = tiny((7, 5, 3))
    target = Classifier((7, 5), classes=2, dtype="float64")
    copy_encoder(source, target)
    first = target.parameters
    np.testing.assert_array_equal(first["W1"], source.parameters["W1"])
    np.testing.assert_array_equal(target.encode(X), Network(source.f.layers[:2]).forward(X)[0])
    for other in (Classifier((7, 4)), Classifier((7, 5), activation="tanh")):
        has = r"layers \['Affine 7-5', 'sigmoid', 'Affine 5-3', 'sigmoid'\]"
        with pytest.raises(InputError, match=has + r", the target's \['.*'\]: build"):
            copy_encoder(source, other)


def test_widen_sigmoids_scales_what_a_sigmoid_follows_and_nothing_else():
    options = dict(activation="sigmoid", code="identity", seed=3)
    narrow, wide = UndercompleteAutoencoder((9, 7, 5), **options), UndercompleteAutoencoder((9, 7, 5), **options)
    assert widen_sigmoids(wide) is wide
    for name in narrow.parameters:  # the code is linear, and so is what gives the logits of r
        factor = 4 if name in ("W1", "V1") else 1
        np.testing.assert_array_equal(wide.parameters[name], factor * narrow.parameters[name])
    tied = UndercompleteAutoencoder((9, 7), activation="sigmoid", tied=True, seed=3)
    first = tied.parameters["W1"].copy()
    np.testing.assert_array_equal(widen_sigmoids(tied).parameters["W1"], 4 * first)
    rectified = UndercompleteAutoencoder((9, 7, 5), activation="relu", seed=3)
    first = rectified.parameters.flat.copy()
    np.testing.assert_array_equal(widen_sigmoids(rectified).parameters.flat, first)


def test_copy_encoder_between_backends_and_with_every_parameter(backend):
    source = PredictiveSparseDecomposition((12, 8), seed=1)
    target = PredictiveSparseDecomposition((12, 8), seed=2, backend=backend)
    copy_encoder(source, target)
    for name in ("W1", "b1", "kappa1"):
        np.testing.assert_array_equal(backend.to_numpy(target.parameters[name]), source.parameters[name])

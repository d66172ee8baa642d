"""The estimators of `minae.interop.sklearn`, as people who live in scikit-learn use them."""

import copy
import os
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not here: pip install -e '.[test]'")


import joblib
import scipy.sparse
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from minae import Classifier, DenoisingAutoencoder, Diverged, InputError, UndercompleteAutoencoder
from minae.interop.sklearn import AutoencoderDetector, AutoencoderTransformer, StackedClassifier, variants
from minae.training import SGD, Adam, loop
from minae.training.progress import Bar

ESTIMATORS = AutoencoderTransformer, AutoencoderDetector, StackedClassifier
NEEDED = {"k_sparse": {"k": 2}, "batch_top_k": {"k": 2}, "tabular_autoencoder": {"categories": [3]}}  # no default


@pytest.fixture
def X(rng):
    """60 rows of 6 columns, which have 3 directions, and a last column of the whole numbers 0, 1, 2."""
    X = rng.standard_normal((60, 3)) @ rng.standard_normal((3, 6)) + 0.1 * rng.standard_normal((60, 6))
    X[:, -1] = rng.integers(3, size=60)
    return X


@pytest.fixture
def wine():
    data = load_wine()
    return StandardScaler().fit_transform(data.data), np.array(data.target_names)[data.target]


def one_line(call, words, kind=InputError):
    with pytest.raises(kind, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


# ---- what scikit-learn expects


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_check_estimator_passes(kind):
    pytest.importorskip("pandas")  # some of the checks are about data frames
    results = check_estimator(kind(), on_skip=None)  # a check that fails raises
    left_out = {result["check_name"] for result in results if result["status"] != "passed"}
    assert len(results) > 40 and left_out <= {"check_array_api_input"}  # which an environment variable asks for


def test_check_estimator_can_fail():
    class Forgetful(AutoencoderTransformer):
        def fit(self, X, y=None):
            self.epochs = 3  # a parameter, which `fit` must leave as it is
            return super().fit(X)

    with pytest.raises(AssertionError, match="should not change or mutate"):
        check_estimator(Forgetful(), on_skip=None)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "uint8"])
def test_dtypes_stay(X, dtype):
    X = np.round(abs(X)).astype(dtype)
    kept = dtype if dtype.startswith("float") else "float64"
    transformer = AutoencoderTransformer(2, epochs=2).fit(X)
    H = transformer.transform(X)
    assert transformer.model_.dtype == H.dtype == transformer.inverse_transform(H).dtype == kept
    assert AutoencoderDetector(2, epochs=2).fit(X).score_samples(X).dtype == kept
    assert StackedClassifier(epochs=1).fit(X, X[:, 0] > 1).predict_proba(X).dtype == kept
    assert transformer.transform(X.astype("float32")).dtype == "float32"


def test_data_frames_go_in_and_come_out(X):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcdef"), index=np.arange(60) + 100)
    transformer = AutoencoderTransformer(2, epochs=2, random_state=0).set_output(transform="pandas")
    H = transformer.fit_transform(frame)
    assert list(H.columns) == ["autoencodertransformer0", "autoencodertransformer1"]
    assert list(H.index) == list(frame.index) and list(transformer.feature_names_in_) == list("abcdef")
    np.testing.assert_array_equal(H, transformer.set_output(transform="default").transform(frame))
    np.testing.assert_allclose(transformer.inverse_transform(H), transformer.inverse_transform(H.to_numpy()))
    with pytest.raises(ValueError, match="feature names"):
        transformer.transform(frame[list("bacdef")])


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_copies_give_the_same_and_learn_on(kind, X, tmp_path):
    estimator = kind(epochs=2, random_state=0, warm_start=True).fit(X, X[:, -1])
    verb = "transform" if kind is AutoencoderTransformer else "predict"
    joblib.dump(estimator, tmp_path / "estimator.joblib")
    loaded = joblib.load(tmp_path / "estimator.joblib")
    for other in (pickle.loads(pickle.dumps(estimator)), copy.deepcopy(estimator), loaded):
        np.testing.assert_array_equal(getattr(other, verb)(X), getattr(estimator, verb)(X))
        assert len(other.fit(X, X[:, -1]).history_) == 4 and len(estimator.history_) == 2
    assert not hasattr(clone(estimator), "model_") and clone(estimator).get_params() == estimator.get_params()


# ---- options of a variant


def test_options_are_parameters_of_a_search_one_by_one():
    given = {"level": 0.3}
    estimator = AutoencoderTransformer(variant="denoising", options=given)
    other = clone(estimator).set_params(options__corruption="gaussian", options__level=0.1)
    assert other.options == {"level": 0.1, "corruption": "gaussian"} and given == {"level": 0.3} == estimator.options
    assert other.get_params()["options__level"] == 0.1 and "options__level" not in other.get_params(deep=False)
    assert AutoencoderTransformer().set_params(options__tied=True).options == {"tied": True}
    pipe = make_pipeline(StandardScaler(), estimator).set_params(autoencodertransformer__options__level=0.2)
    assert pipe[-1].options == {"level": 0.2}
    one_line(lambda: estimator.set_params(options=3).set_params(options__level=0.2), "options is 3: expected options")
    with pytest.raises(ValueError, match="Invalid parameter 'level'"):
        estimator.set_params(level=3)


def test_a_search_over_everything_needs_no_scorer(X):
    """Each parameter of the grid changes the model, and the best of them has the highest score."""
    grid = [
        {"code_size": [1, 3]},
        {"options__level": [0.1, 0.6]},
        {"lr": [1e-4, 1e-2]},
        {"epochs": [1, 40]},
        {"batch_size": [5, 60]},
        {"variant": ["undercomplete", "denoising"]},
        {"hidden": [(), (5,)]},
    ]
    X = StandardScaler().fit_transform(X)
    estimator = AutoencoderTransformer(3, epochs=40, batch_size=10, variant="denoising", random_state=0)
    with joblib.parallel_backend("threading"):
        search = GridSearchCV(estimator, grid, cv=2, n_jobs=2).fit(X)
    scores = search.cv_results_["mean_test_score"].reshape(-1, 2)
    assert np.isfinite(scores).all() and (scores < 0).all() and (abs(scores[:, 0] - scores[:, 1]) > 1e-4).all()
    assert scores[0, 1] > scores[0, 0] and scores[2, 1] > scores[2, 0] and scores[3, 1] > scores[3, 0]
    assert search.best_score_ == scores.max()


def test_the_other_two_are_searched_over_as_well(wine):
    X, y = wine
    stacked = StackedClassifier((6,), epochs=15, pretrain_epochs=2, random_state=0)
    with joblib.parallel_backend("threading"):
        search = GridSearchCV(stacked, {"options__level": [0.1, 0.5], "lr": [1e-5, 1e-2]}, cv=2, n_jobs=2).fit(X, y)
    assert search.best_params_["lr"] == 1e-2 and search.best_score_ > 0.9
    detector = AutoencoderDetector(3, epochs=5, random_state=0)
    search = GridSearchCV(detector, {"code_size": [1, 6]}, cv=2, scoring=lambda e, X, y=None: e.score_samples(X).mean())
    assert search.fit(X).best_params_ == {"code_size": 6}


def test_what_does_not_converge_is_a_bad_score_of_a_search(X):
    estimator = AutoencoderTransformer(2, epochs=3, optimizer="sgd")
    with pytest.raises(Diverged, match=r"try a smaller learning rate|scale the data"):
        clone(estimator).set_params(lr=1e6).fit(X)
    search = GridSearchCV(estimator, {"lr": [1e-3, 1e6]}, cv=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn says which fits failed
        search.fit(X)
    assert search.best_params_ == {"lr": 1e-3}


# ---- variants


def test_variants_are_found_by_what_a_model_declares():
    rows = variants("encode", "decode")
    assert {"undercomplete", "denoising", "variational", "contractive", "k_sparse", "vector_quantized"} <= set(rows)
    assert not {"slow_feature", "lista", "language", "voice", "diffusion", "classifier", "deep_svdd"} & set(rows)
    assert set(variants("score_samples")) >= {"deep_svdd", "denoising"} and "byte_denoising" not in rows


@pytest.mark.parametrize("name", variants("score_samples"))
def test_every_variant_learns_from_rows_of_any_range(name, X):
    data = np.hstack([30 * X[:, :-1], X[:, -1:]])
    settings = dict(variant=name, options=NEEDED.get(name), epochs=1, random_state=0)
    detector = AutoencoderDetector(4, **settings).fit(data)
    assert np.isfinite(detector.decision_function(data)).all() and set(detector.predict(data)) == {-1, 1}
    if name not in variants("encode", "decode"):
        return one_line(lambda: AutoencoderTransformer(4, **settings).fit(data), "can encode and decode: choose one")
    transformer = AutoencoderTransformer(4, **settings).fit(data)
    H = transformer.transform(data)
    r = transformer.inverse_transform(H)
    assert H.shape == (60, len(transformer.get_feature_names_out())) and r.shape == data.shape
    assert H.dtype == r.dtype == "float64" and np.isfinite(r).all()
    assert transformer.score(data) == pytest.approx(-0.5 * np.square(data - r).sum() / 60)


@pytest.mark.parametrize("name", variants("encode", "decode"))
def test_every_variant_pretrains_a_layer_or_says_why_not(name, X):
    stacked = StackedClassifier((5, 3), variant=name, options=NEEDED.get(name), pretrain_epochs=1, epochs=1)
    if name in ("undercomplete", "denoising", "contractive", "sparse", "hashing"):
        stacked.fit(X, X[:, -1])
        assert len(stacked.pretraining_) == 2 and len(stacked.history_) == 1
        return
    try:
        stacked.fit(X, X[:, -1])
    except InputError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("name", ["slow_feature", "language", "voice", "byte_denoising", "classifier", "diffusion"])
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_a_variant_that_takes_other_things_than_rows_is_refused(kind, name, X):
    one_line(
        lambda: kind(variant=name).fit(X, X[:, -1]), f"variant is '{name}', and {kind.__name__} needs a model that"
    )


def test_a_short_name_and_a_class_are_variants_too(X):
    class Own(UndercompleteAutoencoder):
        name = ""  # no name, so it is not registered

    by_class = AutoencoderTransformer(2, variant=Own, options={"code": "identity"}, epochs=2, random_state=0)
    named = AutoencoderTransformer(2, epochs=2, random_state=0)
    np.testing.assert_array_equal(by_class.fit_transform(X), named.fit_transform(X))
    assert AutoencoderTransformer(2, variant="dae", epochs=1).fit(X).model_.name == "denoising"


def test_rows_are_images_where_the_model_has_convolutions(rng):
    X = rng.random((20, 36))
    options = {"image": (1, 6, 6), "channels": (2,)}
    transformer = AutoencoderTransformer(3, options=options, epochs=2).fit(X)
    assert transformer.inverse_transform(transformer.transform(X)).shape == (20, 36) and transformer.score(X) < 0
    assert AutoencoderDetector(3, options=options, epochs=2).fit_predict(X).shape == (20,)


# ---- what is learned


def test_the_model_is_the_one_that_minae_trains(X):
    """An integer random_state is minae's seed; nothing is between the estimator and the engine."""
    settings = dict(epochs=3, batch_size=7, seed=5, optimizer=Adam(0.02))
    model = DenoisingAutoencoder((6, 4, 2), level=0.4, loss="gaussian", code="identity", seed=5, dtype="float64")
    history = model.fit(X, **settings)
    parameters = dict(variant="denoising", options={"level": 0.4}, epochs=3, batch_size=7, lr=0.02)
    transformer = AutoencoderTransformer(2, (4,), random_state=5, **parameters).fit(X)
    np.testing.assert_array_equal(transformer.model_.parameters.flat, model.parameters.flat)
    assert transformer.history_["J"] == history["J"]
    np.testing.assert_array_equal(transformer.transform(X), model.encode(X))
    np.testing.assert_array_equal(transformer.inverse_transform(model.encode(X)), model.reconstruct(X))
    assert not np.array_equal(clone(transformer).set_params(random_state=6).fit_transform(X), model.encode(X))


def test_random_state_is_what_scikit_learn_means_by_it(X):
    def code(random_state):
        return AutoencoderTransformer(2, epochs=1, random_state=random_state).fit_transform(X)

    np.testing.assert_array_equal(code(np.random.RandomState(3)), code(np.random.RandomState(3)))
    assert not np.array_equal(code(np.random.RandomState(3)), code(np.random.RandomState(4)))
    state = np.random.RandomState(3)
    assert not np.array_equal(code(state), code(state))  # a generator goes on


def test_the_defaults_come_near_pca():
    """The best linear code of two numbers, and what the defaults learn of the same table."""
    X = StandardScaler().fit_transform(load_iris().data)
    pca = PCA(2).fit(X)
    best = -0.5 * np.square(X - pca.inverse_transform(pca.transform(X))).sum() / len(X)
    score = AutoencoderTransformer(random_state=0).fit(X).score(X)
    assert 1.5 * best < score <= best and AutoencoderTransformer(epochs=0, random_state=0).fit(X).score(X) < 5 * best


def test_the_score_compares_models_of_several_losses(X):
    """It is squared error for each of them; their own L is not of one kind."""
    X = (X - X.min()) / (X.max() - X.min())
    for loss in ("bernoulli", "huber", "gaussian"):
        fitted = AutoencoderTransformer(3, options={"loss": loss}, epochs=3, random_state=0).fit(X)
        r = fitted.model_.reconstruct(X)
        assert fitted.score(X) == pytest.approx(-0.5 * np.square(X - r).sum() / len(X))
    assert fitted.score(X) == pytest.approx(-fitted.model_.evaluate(X)["L"])


def test_the_detector_finds_what_is_unlike_the_rest(rng):
    usual = rng.standard_normal((200, 2)) @ rng.standard_normal((2, 8))
    odd = rng.standard_normal((20, 8))
    X, y = np.vstack([usual, odd]), np.repeat([1, -1], [200, 20])
    detector = AutoencoderDetector(2, contamination=0.1, random_state=0).fit(X)
    assert roc_auc_score(y, detector.score_samples(X)) > 0.95
    assert roc_auc_score(y, AutoencoderDetector(2, epochs=0).fit(X).score_samples(X)) < 0.9  # it has to learn
    np.testing.assert_array_equal(detector.decision_function(X), detector.score_samples(X) - detector.offset_)
    np.testing.assert_array_equal(detector.predict(X) == -1, detector.decision_function(X) < 0)
    np.testing.assert_array_equal(detector.fit_predict(X), clone(detector).fit(X).predict(X))


@pytest.mark.parametrize(("contamination", "outliers"), [(0, 0), (0.05, 3), (0.25, 15), (0.5, 30)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_contamination_is_the_share_of_the_training_rows(X, contamination, outliers, dtype):
    labels = AutoencoderDetector(2, contamination=contamination, epochs=2).fit_predict(X.astype(dtype))
    assert sum(labels == -1) == outliers


@pytest.mark.parametrize(
    "labels", [np.array(["ham", "eggs", "spam"]), np.array([7, -3, 40]), np.array([0.0, 1.0, 5.0]), ["ä", "b", "c"]]
)
def test_labels_of_any_kind(labels, X):
    y = np.array(labels)[X[:, -1].astype(int)]
    stacked = StackedClassifier((8,), epochs=150, random_state=0).fit(X, y)
    np.testing.assert_array_equal(stacked.classes_, np.unique(y))
    P, predicted = stacked.predict_proba(X), stacked.predict(X)
    np.testing.assert_allclose(P.sum(axis=1), 1)
    np.testing.assert_array_equal(predicted, stacked.classes_[P.argmax(axis=1)])
    assert predicted.dtype == y.dtype and stacked.score(X, y) > 0.9
    assert StackedClassifier(epochs=1).fit(X, X[:, 0] > 0).predict(X).dtype == bool
    assert StackedClassifier(epochs=1).fit(X.tolist(), y.tolist()).classes_.tolist() == stacked.classes_.tolist()


def test_the_classifier_is_pretrained_layer_by_layer(wine):
    X, y = wine
    parameters = dict(hidden=(10, 5), random_state=3, batch_size=20, lr=0.01)
    plain = StackedClassifier(pretrain_epochs=0, epochs=4, **parameters).fit(X, y)
    model = Classifier((13, 10, 5), classes=3, seed=3, dtype="float64")
    model.fit(X, np.unique(y, return_inverse=True)[1], epochs=4, batch_size=20, optimizer=Adam(0.01), seed=3)
    np.testing.assert_array_equal(plain.model_.parameters.flat, model.parameters.flat)
    assert plain.pretraining_ == []

    stacked = StackedClassifier(pretrain_epochs=6, epochs=0, **parameters).fit(X, y)
    assert [len(history) for history in stacked.pretraining_] == [6, 6]
    assert all(history["J"][-1] < history["J"][0] for history in stacked.pretraining_)
    first = DenoisingAutoencoder((13, 10), loss="gaussian", seed=3, dtype="float64")
    first.fit(X, epochs=6, batch_size=20, optimizer=Adam(0.01), seed=3)
    np.testing.assert_array_equal(stacked.model_.parameters["W1"], first.parameters["W1"])
    assert StackedClassifier((), epochs=5).fit(X, y).model_.sizes == [13]  # softmax regression


def test_a_pipeline_from_rows_to_labels(wine):
    X, y = wine
    pipe = make_pipeline(StandardScaler(), AutoencoderTransformer(random_state=0), LogisticRegression())
    assert pipe.fit(X, y).score(X, y) > 0.9
    there = make_pipeline(StandardScaler(), AutoencoderTransformer(6, random_state=0)).fit(3 * X + 5)
    assert there.inverse_transform(there.transform(3 * X + 5)).shape == X.shape


# ---- going on


def test_a_warm_start_goes_on_with_new_noise(X):
    parameters = dict(variant="denoising", options={"level": 0.5}, random_state=0, lr=1e-9, batch_size=60)
    warm = AutoencoderTransformer(2, epochs=1, warm_start=True, **parameters).fit(X)
    first = warm.model_
    assert warm.fit(X) is warm and warm.model_ is first
    warm.set_params(epochs=2).fit(X)
    assert warm.history_["epoch"] == warm.history_["step"] == [1, 2, 3, 4]
    J = warm.history_["J"]  # nothing is learned at this rate, so that all that moves J is the noise
    assert len(set(np.round(J, 6))) == 4
    cold = AutoencoderTransformer(2, epochs=1, **parameters)
    assert cold.fit(X).history_["J"] == cold.fit(X).history_["J"] == J[:1]


def test_a_warm_start_learns_on_from_where_it_was(X):
    warm = AutoencoderDetector(2, epochs=15, warm_start=True, random_state=0).fit(X)
    before, offset = warm.score_samples(X).mean(), warm.offset_
    warm.fit(X)
    assert warm.score_samples(X).mean() > before and warm.offset_ != offset
    sparse = AutoencoderTransformer(4, variant="sparse", options={"lam": 0.0}, epochs=2, warm_start=True).fit(X)
    sparse.set_params(options__lam=3.0).fit(X)  # a weight may change on the way
    assert sparse.model_.lam == 3.0 and len(sparse.history_) == 4


def test_a_warm_start_refuses_another_model(X):
    y = X[:, -1]
    warm = AutoencoderTransformer(2, epochs=1, warm_start=True, random_state=0).fit(X)
    for change, words in (({"code_size": 3}, "sizes is another"), ({"variant": "sparse"}, "the variant")):
        one_line(lambda change=change: clone_of(warm, **change).fit(X), words)
    one_line(lambda: clone_of(warm).fit(X.astype("float32")), "the dtype of X is another")
    stacked = StackedClassifier(epochs=1, warm_start=True).fit(X, y)
    one_line(lambda: stacked.fit(X, y + 1), "y has the classes")
    assert len(stacked.fit(X, y).pretraining_) == 1 and len(stacked.history_) == 2


def clone_of(fitted, **change):
    """A copy with what was learned, and other parameters."""
    return copy.deepcopy(fitted).set_params(**change)


# ---- settings


def test_further_settings_reach_the_training(X):
    seen = []
    transformer = AutoencoderTransformer(2, epochs=3)
    transformer.fit(X, validation=0.2, patience=3, callbacks=[lambda model, history: seen.append(len(history))])
    assert seen == [1, 2, 3] and "validation" in transformer.history_[0]
    make_pipeline(StandardScaler(), transformer).fit(X, autoencodertransformer__epochs=1)
    StackedClassifier(epochs=1).fit(X, X[:, -1], callbacks=[lambda model, history: seen.append(model.name)])
    assert seen[3:] == ["classifier"]
    one_line(lambda: transformer.fit(X, nonsense=1), "nonsense")


def test_a_bar_is_drawn_where_one_is_asked_for(X, monkeypatch):
    """A search of many trainings would draw as many bars in a terminal."""
    asked = []
    monkeypatch.setattr(loop, "Bar", lambda progress, **more: asked.append(progress) or Bar(False, **more))
    transformer = AutoencoderTransformer(2, epochs=1).fit(X)
    StackedClassifier(epochs=1, pretrain_epochs=1).fit(X, X[:, -1])
    transformer.fit(X, progress=True)
    assert asked == [False, False, False, True]


def test_optimizers_by_name_and_by_object(X):
    def after(**parameters):
        return AutoencoderTransformer(2, epochs=20, random_state=0, **parameters).fit(X)

    assert after(optimizer="lbfgs").score(X) > after(optimizer="sgd", lr=1e-5).score(X)
    np.testing.assert_array_equal(
        after(optimizer=SGD(0.3), lr=0.02).transform(X), after(optimizer="sgd", lr=0.02).transform(X)
    )
    np.testing.assert_array_equal(after().transform(X), after(lr=0.01).transform(X))
    np.testing.assert_array_equal(after(batch_size=1000).transform(X), after(batch_size=60).transform(X))
    one_line(lambda: after(optimizer="lbfgs", lr=0.1), "lbfgs finds its own step length")


@pytest.mark.parametrize("kind", ESTIMATORS)
@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"variant": "denosing"}, "unknown model 'denosing'.*did you mean 'denoising'"),
        ({"variant": None}, "unknown model"),
        ({"options": [3]}, r"options is \[3\]: expected options by name"),
        ({"options": {3: 4}}, r"options is \{3: 4\}: expected options by name"),
        ({"options": {"levl": 3}}, "no option 'levl'"),
        ({"options": {"sizes": (6, 2)}}, "options has 'sizes', which is made of the columns of X"),
        ({"options": {"seed": 3}}, "options has 'seed', which is the parameter random_state"),
        ({"options": {"loss": "bernoulli"}}, r"the Bernoulli loss takes \[0, 1\]"),
        ({"hidden": 64}, "hidden is 64: expected widths"),
        ({"hidden": (0,)}, "hidden is .*: expected widths"),
        ({"code_size": 0}, "code_size is 0: expected an integer"),
        ({"epochs": -1}, "epochs is -1: expected an integer"),
        ({"epochs": 1.5}, "epochs is 1.5: expected an integer"),
        ({"batch_size": "x"}, "batch_size is 'x': expected an integer"),
        ({"optimizer": "adm"}, "unknown optimizer 'adm'"),
        ({"optimizer": 3}, "optimizer is 3"),
        ({"lr": -1}, "lr is -1"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"warm_start": 3}, "warm_start is 3: expected True or False"),
        ({"random_state": -1}, "seed is -1: expected an integer"),
        ({"random_state": "x"}, "'x' cannot be used to seed"),
        ({"backend": "torch"}, "unknown backend 'torch'"),
        ({"contamination": 0.6}, "contamination is 0.6: expected a number in"),
        ({"activation": "swoosh"}, "unknown activation 'swoosh'"),
        ({"lam": -1}, "lam is -1"),
        ({"pretrain_epochs": -1}, "pretrain_epochs is -1"),
    ],
)
def test_parameters_out_of_range_are_one_line(kind, parameters, words, X):
    if parameters.keys() - kind().get_params().keys():
        return
    one_line(lambda: kind(**parameters).fit(X, X[:, -1]), words)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_data_that_cannot_be_used_is_one_line(kind, X):
    y, estimator = X[:, -1], kind(epochs=1)
    with_nan = np.where(X == X[0, 0], np.nan, X)
    one_line(lambda: estimator.fit(with_nan, y), "Input X contains NaN")
    one_line(lambda: estimator.fit(np.ma.masked_array(X, X > 2), y), "X is a masked array")
    one_line(lambda: estimator.fit(scipy.sparse.csr_matrix(X), y), "Sparse data", TypeError)
    one_line(lambda: estimator.fit(X[:0], y[:0]), "0 sample")
    one_line(lambda: estimator.fit(X[:1], y[:1]), "1 sample")
    one_line(lambda: estimator.fit(X * 1e300, y), "too large for|became inf|became nan", (InputError, Diverged))
    if kind is not StackedClassifier:
        one_line(lambda: estimator.fit(X[:, :1]), "n_features=1, and no code is narrower")
    estimator.fit(X, y)
    verb = estimator.transform if kind is AutoencoderTransformer else estimator.predict
    one_line(lambda: verb(with_nan), "Input X contains NaN")
    one_line(lambda: verb(X[:, :3]), "X has 3 features, but")
    if kind is AutoencoderTransformer:
        one_line(lambda: estimator.inverse_transform(X), "H has shape")
        one_line(lambda: estimator.inverse_transform(with_nan), "contains NaN")


def test_labels_that_cannot_be_used_are_one_line(X):
    stacked = StackedClassifier(epochs=1)
    one_line(lambda: stacked.fit(X, np.zeros(60)), "y has 1 class")
    one_line(lambda: stacked.fit(X, X[:, 0]), "Unknown label type")
    one_line(lambda: stacked.fit(X, X[:40, -1]), "inconsistent numbers of samples")
    one_line(lambda: stacked.fit(X, None), "requires y")


# ---- around


def test_arrays_of_the_host_go_to_a_device_and_come_back(X, backend):
    y = X[:, -1]
    transformer = AutoencoderTransformer(2, epochs=2, backend=backend, random_state=0).fit(X)
    H = transformer.transform(X)
    host = AutoencoderTransformer(2, epochs=2, random_state=0).fit(X)
    assert isinstance(H, np.ndarray) and isinstance(transformer.inverse_transform(H), np.ndarray)
    np.testing.assert_allclose(H, host.transform(X), rtol=1e-6, atol=1e-9)
    assert AutoencoderDetector(2, epochs=1, backend=backend).fit(X).decision_function(X).shape == (60,)
    assert StackedClassifier(epochs=1, backend=backend).fit(X, y).predict(X).shape == (60,)


def python(code):
    env = {key: value for key, value in os.environ.items() if key != "OPENBLAS_THREAD_TIMEOUT"}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)


def test_without_scikit_learn_there_is_one_line_that_says_what_to_install():
    result = python("import sys; sys.modules['sklearn'] = None; import minae.interop.sklearn")
    last = result.stderr.strip().rpartition("\n")[2]
    assert result.returncode and "needs scikit-learn 1.6 or later: pip install 'minae[sklearn]'" in last


def test_minae_alone_loads_no_scikit_learn():
    result = python("import sys, minae; print({'sklearn', 'pandas', 'joblib'} & set(sys.modules))")
    assert result.stdout.strip() == "set()", result.stderr


def test_a_warning_names_the_line_of_the_user(X):
    with pytest.warns(UserWarning, match="nothing keeps the code from a copy of x") as warned:
        AutoencoderTransformer(X.shape[1], variant="sparse", options={"lam": 0.0}, epochs=1).fit(X)
    assert warned[0].filename == __file__

"""Wrong values at every public door: nothing but an InputError of one line comes out, and nothing is accepted."""

import functools
import math
import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse

import minae
from minae import InputError, data, training
from minae.inference import SparseCoding
from minae.metrics import probe, retrieval
from minae.models import get_model, registry
from minae.options import (
    Choice,
    Count,
    File,
    Flag,
    Function,
    Functions,
    Instance,
    Number,
    Option,
    Settled,
    Sizes,
    Weight,
    Widths,
    Word,
    of,
)

NOTHING = object()
NUMBERS = ["x", -1, math.nan, math.inf, True, [], {}, NOTHING, 1j, np.array([1.0, 2.0]), b"1"]
WRONG = {  # kind of option -> values that none of its kind takes
    Count: [*NUMBERS, 1.5, "3", -(10**30)],
    Number: NUMBERS,
    Weight: NUMBERS,
    Flag: ["x", 0, 1, 1.0, [], NOTHING, "True"],
    Choice: ["nonsense", "", 3, [], {}, NOTHING, b"train", True],
    Widths: ["x", 3, [0], [-1], [1.5], [math.nan], ["a"], {}, NOTHING, [True, "3"], [[3]]],
    Sizes: ["x", 3, [0, 2], [3], [-1, 2], [1.5, 2], {}, NOTHING, [[3, 2]], [None, 3]],
    Function: ["x", 3, [], NOTHING],
    Functions: [3, "x", [3], NOTHING, [None]],
    File: [3, [], {}, NOTHING, "", "a\0b", 1.5],
    Word: [3, [], NOTHING, "", 1.5],
    Instance: ["x", 3, NOTHING, []],
}
ARRAYS = {
    "nothing": lambda X: None,
    "a word": lambda X: "x",
    "a number": lambda X: 3,
    "an object": lambda X: NOTHING,
    "an empty list": lambda X: [],
    "ragged lists": lambda X: [[1.0, 2.0], [3.0]],
    "no rows": lambda X: X[:0],
    "NaN": lambda X: np.where(X == X.flat[1], np.nan, X),
    "infinite": lambda X: np.where(X == X.flat[1], np.inf, X),
    "too large": lambda X: X.astype("float64") * 1e300,
    "complex": lambda X: X.astype(complex),
    "objects": lambda X: X.astype(object),
    "dates": lambda X: (X * 100).astype("datetime64[s]"),
    "durations": lambda X: (X * 100).astype("timedelta64[s]"),
    "text": lambda X: X.astype(str),
    "bytes": lambda X: X.astype(bytes),
    "structured": lambda X: np.zeros(len(X), [("a", "f4"), ("b", "f4")]),
    "masked": lambda X: np.ma.masked_array(X, X > 0.5),
    "sparse": lambda X: scipy.sparse.csr_matrix(X),
    "one row alone": lambda X: X[0],
    "too wide": lambda X: np.hstack([X, X]),
    "three axes": lambda X: X[None],
    "a dict": lambda X: {"x": X},
    "a generator": lambda X: (row for row in X),
}


def refused(call, what):
    """call() raises an InputError of one line, and warns of nothing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = call()
    except InputError as error:
        assert str(error) and "\n" not in str(error), what
        return
    except BaseException as error:
        pytest.fail(f"{what}: {type(error).__name__}: {error}")
    pytest.fail(f"{what} was accepted, and gave {result!r:.80}")


def wrong_values(option):
    for kind in type(option).__mro__:
        if kind in WRONG:
            values = WRONG[kind]
            if isinstance(option, Number) and option.low == -math.inf:
                values = [value for value in values if not (isinstance(value, int) and value == -1)]
            return values + ([] if option.optional else [None])
    return [NOTHING]


# ---- the arguments of models


@pytest.mark.parametrize("name", registry())
def test_every_option_of_every_model(name):
    kind = get_model(name)
    fitting = {key: option.example for key, option in of(kind).items() if option.example is not None}
    fitting |= next(iter(kind.cases.values()))
    for key, option in of(kind).items():
        values = [NOTHING, "nonsense", 17] if isinstance(option, Settled) else wrong_values(option)
        if isinstance(option, Widths) and option.fewest == 1:
            values = [value for value in values if value != [3]]
        for value in values:
            refused(lambda value=value, key=key: kind(**{**fitting, key: value}), f"{name}({key}={value!r})")
    for key, value in (("backend", 3), ("backend", "cpu"), ("backend", []), ("dtype", "float16"), ("dtype", NOTHING)):
        refused(lambda value=value, key=key: kind(**fitting, **{key: value}), f"{name}({key}={value!r})")
    refused(lambda: kind(**fitting, unknown=1), f"{name}(unknown=1)")


# ---- the arguments of verbs: a call that works, of which one argument is made wrong


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).uniform(size=(12, 7)).astype("float32")


def verbs(X, folder):
    """(a verb, arguments with which it works) of everything public that has a door."""
    rng = np.random.default_rng(0)
    plain = minae.UndercompleteAutoencoder((7, 3))
    score = minae.DenoisingAutoencoder((7, 5), corruption="gaussian", loss="gaussian", activation="tanh")
    chain = minae.DenoisingAutoencoder((7, 5))
    variational = minae.VariationalAutoencoder((7, 5, 2))
    adversarial, kept = minae.AdversarialAutoencoder((7, 2)), minae.KSparseAutoencoder((7, 9), k=3)
    psd = minae.PredictiveSparseDecomposition((7, 9))
    codes = rng.integers(256, size=(9, 2)).astype("uint8")
    distances, labels = retrieval.hamming(codes, codes[:3]), np.arange(9) % 2
    images = rng.uniform(size=(2, 9, 9))
    plain.save(folder / "m.safetensors")
    np.save(folder / "x.npy", X)
    return [
        (plain.fit, dict(X=X, epochs=1)),
        (training.fit, dict(model=plain, X=X, epochs=1)),
        (plain.evaluate, dict(X=X)),
        (plain.tangents, dict(X=X, k=2)),
        (plain.save, dict(path=folder / "n.safetensors")),
        (minae.load, dict(path=folder / "m.safetensors")),
        (minae.check_gradient, dict(model=plain, x=X[:2], entries=3)),
        (minae.enumerated, dict(cost=lambda b: b.sum(), logits=np.zeros(3))),
        (variational.sample, dict(count=2)),
        (variational.log_likelihood, dict(X=X, samples=2)),
        (adversarial.sample, dict(count=2)),
        (score.langevin, dict(X=X, steps=1)),
        (chain.chain, dict(X=X, steps=1)),
        (psd.infer, dict(X=X, steps=2)),
        (psd.coding, dict()),
        (minae.pretrain, dict(model=plain, X=X, epochs=1)),
        (minae.copy_encoder, dict(source=plain, target=plain.copy())),
        (minae.widen_sigmoids, dict(model=plain.copy())),
        (training.clipped, dict(limit=1.0)),
        (data.read, dict(path=folder / "x.npy")),
        (data.mnist, dict()),
        (data.patches, dict(images=images, size=3, count=5, rng=rng)),
        (data.Whitening, dict(X=X)),
        (retrieval.ball, dict(codes=codes, queries=codes[:2], radius=2)),
        (retrieval.nearest, dict(codes=codes, queries=codes[:2], k=2)),
        (retrieval.precision_within, dict(distances=distances, labels=labels, query_labels=labels[:3], radius=3)),
        (probe.probe_error, dict(h=X, labels=np.arange(12) % 2, h_test=X, test_labels=np.arange(12) % 2, epochs=1)),
        (probe.knn_accuracy, dict(h=X, labels=np.arange(12) % 2, h_test=X, test_labels=np.arange(12) % 2, k=3)),
        (kept.encode, dict(X=X)),
    ]


def test_every_declared_argument_of_every_verb(X, tmp_path):
    seen = set()
    for verb, arguments in verbs(X, tmp_path):
        verb(**arguments)
        declared = getattr(verb, "declared", None) or getattr(getattr(verb, "__init__", None), "declared", {})
        for key, option in declared.items():
            seen.add(type(option))
            for value in wrong_values(option) if key != "X" else ():
                name = getattr(verb, "__name__", repr(verb))
                refused(functools.partial(verb, **{**arguments, key: value}), f"{name}({key}={value!r:.40})")
        if declared:
            refused(functools.partial(verb, **arguments, nonsense=1), f"{verb.__name__}(nonsense=1)")
    assert seen >= {Count, Flag, Function, Functions, File, Instance}


LAYERS = {
    "Affine": dict(W="W", b="b", n=3, m=2), "Convolution": dict(W="W", b="b", shape=(5, 4, 2), channels=3, kernel=2),
    "Attention": dict(k="1", n=4, heads=2), "GRU": dict(W="W", U="U", b="b", u="u", n=3, m=2),
    "LSTM": dict(W="W", U="U", b="b", n=3, m=2), "Embedding": dict(E="E", vocabulary=5, n=2),
    "Positions": dict(most=5, n=4), "Times": dict(n=4), "BatchNorm": dict(m=3, G="G", b="b"), "AdaIN": dict(m=3),
    "InstanceNorm": dict(m=3), "LayerNorm": dict(m=3, G="G", b="b"), "Dropout": dict(name="f", m=3, rate=0.5),
    "Gain": dict(G="G", m=3), "Shrink": dict(kappa="k", m=3), "MaxPool": dict(shape=(4, 4, 2), kernel=2),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_the_arguments_of_layers(name):
    kind, fitting = getattr(minae.layers, name), LAYERS[name]
    kind(**fitting)
    assert kind.__init__.declared
    for key, option in kind.__init__.declared.items():
        for value in wrong_values(option):
            if not (isinstance(option, Widths) and value == [3]):
                refused(functools.partial(kind, **{**fitting, key: value}), f"{name}({key}={value!r:.40})")
    refused(lambda: kind(**fitting, nonsense=1), f"{name}(nonsense=1)")
    refused(kind, f"{name}()")


@pytest.mark.parametrize("batch_size", [13, 0, -5, "x", 1.5, True, math.nan])
def test_a_batch_size_that_does_not_fit(batch_size, X):
    model = minae.UndercompleteAutoencoder((7, 3))
    refused(lambda: model.fit(X, batch_size=batch_size, epochs=1), f"fit(batch_size={batch_size!r})")
    if batch_size != 13:
        refused(lambda: model.evaluate(X, batch_size=batch_size), f"evaluate(batch_size={batch_size!r})")


@pytest.mark.parametrize(
    "value", ["x", -0.1, 1.0, 0.0, math.nan, NOTHING, [], np.ones((3, 2)), {"x": 3}, (1, 2, 3), True]
)
def test_a_validation_that_does_not_fit(value, X):
    refused(lambda: minae.UndercompleteAutoencoder((7, 3)).fit(X, epochs=1, validation=value), f"{value!r:.40}")


OPTIMIZERS = [
    ("SGD", "lr"), ("Momentum", "alpha"), ("Nesterov", "alpha"), ("Adam", "lr"), ("Adam", "decay1"), ("Adam", "decay2"),
    ("Adam", "delta"), ("AdamW", "weight_decay"), ("LBFGS", "memory"), ("LBFGS", "tolerance"), ("Constant", "lr"),
]  # fmt: skip


@pytest.mark.parametrize("name, key", OPTIMIZERS)
@pytest.mark.parametrize("value", ["x", -1, math.nan, math.inf, None, [], NOTHING, 1j, True])
def test_settings_of_an_optimizer(name, key, value):
    refused(lambda: getattr(training, name)(**{key: value}), f"{name}({key}={value!r})")


@pytest.mark.parametrize(
    "call",
    [
        lambda: training.Adam(rates={"f1": -1}),
        lambda: training.Adam(rates={"f1": "x"}),
        lambda: training.Adam(rates=3),
        lambda: training.Momentum(alpha=1.0),
        lambda: training.StepDecay(0.1, 0),
        lambda: training.StepDecay(0.1, 3, -1),
        lambda: training.Cosine(0.1, 0),
        lambda: training.Cosine(0.1, "x"),
        lambda: training.Cosine(0.1, 5, -1),
        lambda: training.WarmUp(0.1, 0),
        lambda: training.WarmUp("x", 3),
        lambda: training.Adam(lambda t: None),
    ],
)
def test_settings_of_a_schedule(call):
    refused(call, "a schedule")


def test_a_schedule_that_turns_negative(X):
    model = minae.UndercompleteAutoencoder((7, 3))
    with pytest.raises(InputError, match=r"lr is -0.1.* at step 2"):
        model.fit(X, epochs=4, optimizer=training.SGD(lambda t: 0.1 - 0.1 * t if t < 3 else -0.1))


@pytest.mark.parametrize("value", [3, NOTHING, [], {}, None, "adm", training.Adam, {"R": "adam"}])
def test_an_optimizer_that_is_none(value, X):
    refused(lambda: minae.UndercompleteAutoencoder((7, 3)).fit(X, epochs=1, optimizer=value), f"{value!r}")


# ---- arrays


MODELS = {
    "undercomplete": ("fit", "evaluate", "encode", "reconstruct", "jacobian", "tangents", "score_samples"),
    "variational": ("posterior", "log_likelihood"),
    "classifier": ("predict", "probabilities"),
    "hashing": ("hash",),
    "predictive_sparse": ("infer",),
}
ANY_RANGE = {"encode", "reconstruct", "jacobian", "tangents", "posterior", "predict", "probabilities", "hash", "infer"}


@pytest.mark.parametrize("how", ARRAYS)
@pytest.mark.parametrize("name", MODELS)
def test_arrays_that_are_no_data(name, how, X):
    kind = get_model(name)
    model = kind((7, 3)) if name != "classifier" else kind((7, 3), classes=2)
    for verb in MODELS[name]:
        before = model.parameters.flat.tobytes()
        refused(lambda verb=verb: getattr(model, verb)(ARRAYS[how](X)), f"{name}.{verb}({how})")
        assert model.parameters.flat.tobytes() == before
    if name == "undercomplete":
        refused(lambda: minae.check_gradient(model, ARRAYS[how](X)), f"check_gradient({how})")
        refused(lambda: model.fit(X, epochs=1, validation=ARRAYS[how](X)), f"fit(validation={how})") if how not in (
            "nothing", "a number", "a dict") else None  # fmt: skip
        refused(lambda: model.decode(ARRAYS[how](X[:, :3])), f"decode({how})") if how != "too wide" else None


@pytest.mark.parametrize("how", ["masked", "complex", "objects", "nothing", "text", "sparse", "a word"])
def test_the_page_itself_refuses_what_is_no_batch(how, X):
    model = minae.UndercompleteAutoencoder((7, 3))
    refused(lambda: model.cost_and_grad(ARRAYS[how](X)), f"cost_and_grad({how})")


def test_labels_and_other_fields(X):
    model = minae.Classifier((7, 3), classes=3)
    for y in (None, "x", np.zeros(11, int), np.full(12, 3), np.full(12, -1), np.zeros(12), np.zeros((12, 2), int),
              np.ma.masked_array(np.zeros(12, int), np.ones(12)), np.array(["a"] * 12), [None] * 12):  # fmt: skip
        refused(lambda y=y: model.fit(X, y, epochs=1), f"y = {y!r:.40}")
    refused(lambda: model.fit(X, np.zeros(12, int), z=X, epochs=1), "z")
    refused(lambda: minae.UndercompleteAutoencoder((7, 3)).fit(X, np.zeros(12, int), epochs=1), "y of an autoencoder")


@pytest.mark.parametrize("how", [how for how in ARRAYS if how not in ("too large", "bytes", "three axes", "too wide")])
def test_arrays_that_are_no_codes(how):
    rng = np.random.default_rng(0)
    bits, codes = rng.uniform(size=(6, 8)), rng.integers(256, size=(6, 2)).astype("uint8")
    refused(lambda: retrieval.pack(ARRAYS[how](bits)), f"pack({how})")
    wrong = ARRAYS[how](codes.astype("float32"))
    refused(lambda: retrieval.hamming(wrong, codes), f"hamming({how})")
    refused(lambda: retrieval.average_precision(ARRAYS[how](bits), np.arange(8), np.arange(5)), f"precision({how})")
    refused(lambda: data.patches(ARRAYS[how](bits), 2, 3, rng), f"patches({how})")


def test_some_last_digits_above_1_are_let_pass(X):
    """(x − min)/(max − min) of ordinary data ends at 1 + 2e-16; and a message has the digits that tell why not."""
    model = minae.UndercompleteAutoencoder((7, 3))
    scaled = X.astype("float64")
    scaled[0, 0] = 1 + 4e-16
    model.fit(scaled, epochs=1)
    scaled[0, 0] = 1.0001
    with pytest.raises(InputError, match=r"1\.0001\]"):
        model.fit(scaled, epochs=1)


def test_what_is_taken(X):
    """Lists, frames' arrays, every order of memory and every kind of number give the same bits."""
    model = minae.UndercompleteAutoencoder((7, 3), dtype="float64")
    expected = model.encode(X)
    for given in (
        X.tolist(),
        np.asfortranarray(X),
        X[::-1][::-1],
        X.astype(">f4"),
        X.astype("float64"),
    ):
        np.testing.assert_allclose(model.encode(given), expected, rtol=1e-6)
        np.testing.assert_array_equal(model.encode(given).shape, expected.shape)


def test_a_door_tells_what_it_takes():
    option = Option()
    assert option.expected() == "a value"
    with pytest.raises(InputError, match=r"fit: .*nonsense|nonsense was given"):
        minae.UndercompleteAutoencoder((7, 3)).fit(np.zeros((3, 7), "f"), nonsense=1)
    with pytest.raises(InputError, match=r"clipped: missing a required argument: 'limit'; it takes limit"):
        training.clipped()
    assert pickle.loads(pickle.dumps(training.clipped)) is training.clipped
    refused(lambda: SparseCoding(np.eye(3), lam=-1), "SparseCoding(lam=-1)")

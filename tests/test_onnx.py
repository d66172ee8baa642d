"""Every model as an ONNX graph: run by onnxruntime, it says what minae says, or it is refused in one line."""

import json
import subprocess
import sys

import numpy as np
import pytest

import minae
from minae import InputError, checks, cli, codes, layers, losses, symbols
from minae.data.preprocessing import Preprocessing
from minae.fields import Real
from minae.interop import onnx as interop
from minae.interop import onnx_layers
from minae.interop.onnx_layers import FORMS, MEANS, Graph
from minae.layers import Mode
from minae.networks import Network

pytest.importorskip("onnx", reason="the library onnx is not installed: pip install 'minae[onnx]'")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'minae[test]'")

CASES = {
    f"{kind.name} {case}".strip(): (kind, case) for kind in minae.models.registry().values() for case in kind.cases
}
REFUSED = {  # the models whose code or reconstruction is no feed-forward graph, and why
    "abstractive": "word by word",
    "abstractive discriminator": "word by word",
    "abstractive the first words": "word by word",
    "extractive the first words": "first k words",
}


def run(proto, **inputs):
    """Name -> array of what a graph gives, by one thread."""
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = runtime.InferenceSession(proto if isinstance(proto, str) else proto.SerializeToString(), options)
    assert {each.name for each in session.get_inputs()} == set(inputs)
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def in_float32(kind, case):
    """A model of this case off its first values, also those of its state, and what a batch is made of."""
    _, model, batch = checks.case(kind, case)
    model, rng = model.copy(dtype="float32"), np.random.default_rng(7)
    for array in model.state.values():
        if array.dtype.kind == "f":
            array[...] += abs(0.3 * rng.standard_normal(array.shape)).astype("float32")
    return model, batch


def padded(rows):
    """(array, lengths) of sequences, which are padded with what must not matter."""
    length = np.array([len(row) for row in rows], np.int32)
    x = np.full((len(rows), length.max(), *rows[0].shape[1:]), 3, rows[0].dtype)
    for k, row in enumerate(rows):
        x[k, : len(row)] = row
    return x, length


def reference(model, batch):
    """(inputs of the graph, what minae says): each as name -> array; sequences as lists of their real steps."""
    X = next(iter(batch.values()))
    kind = model.name
    if kind == "voice":
        x, length = padded([row.astype("float32") for row in X])
        expected = {"h": model.encode(X), "v": model.speakers(X), "r": model.reconstruct(X)}
        return {"x": x, "length": length}, expected
    if kind == "language":
        rows = [row[: model.most] for row in X]
        x, length = padded([row.astype("int32") for row in rows])
        with model.arena:
            log_p = np.array(model.log_p(x, length))
        return {"x": x, "length": length}, {"r": [row[:T] for row, T in zip(log_p, length, strict=True)]}
    if kind == "extractive":
        rows = [np.resize(row, max(len(row), model.k + 1)) for row in X]
        x, length = padded([row.astype("int32") for row in rows])
        return {"x": x, "length": length}, {"h": model.encode(rows)}
    if kind == "cycle":
        there = model.translate(X)
        return {"x": X.astype("float32")}, {"h": there, "r": model.translate_back(there)}
    if kind == "diffusion":
        return {"x": X.astype("float32"), "t": np.full((len(X), 1), 0.3, "float32")}, {"r": model.denoise(X, 0.3)}
    if kind == "generative_adversarial":
        c = {"c": batch["c"].astype("float32")} if model.condition else {}
        z = np.random.default_rng(0).standard_normal((4, model.sizes[-1])).astype("float32")
        with model.arena:
            r = np.array(model.g.forward(model.joined(z, c.get("c")))[0])
        return {"h": z} | c, {"r": r}
    x = X.astype("int32" if X.dtype.kind in "iu" else "float32")
    expected = {"h": model.encode(X)}
    if kind == "deep_svdd":
        expected["L"] = -model.score_samples(X)
    elif hasattr(model, "reconstruct"):
        expected["r"] = model.reconstruct(X)
    elif model.options.get("loss") in ("hinge", "squared_hinge"):
        with model.arena:
            expected["r"] = np.array(model.logits(x))
    else:
        expected["r"] = model.probabilities(X)
    return {"x": x}, expected


def distance(found, expected):
    """The largest difference, beside the largest number that is expected."""
    if isinstance(expected, list):
        pairs = list(zip(found, expected, strict=True))
        assert all(f[: len(e)].shape == e.shape for f, e in pairs)
        top = max(abs(e).max() for e in expected)
        return max(abs(f[: len(e)] - e).max() for f, e in pairs) / top
    assert found.shape == expected.shape
    return float(abs(found - expected).max() / max(abs(expected).max(), 1e-30))


@pytest.mark.parametrize("name", CASES)
def test_every_model_says_the_same_in_onnxruntime(name):
    kind, case = CASES[name]
    model, batch = in_float32(kind, case)
    if name in REFUSED:
        with pytest.raises(InputError, match=REFUSED[name]):
            interop.graph(model)
        return
    inputs, expected = reference(model, batch)
    whole = run(interop.graph(model), **inputs)
    for what, array in expected.items():
        assert np.ptp(np.concatenate([row.reshape(-1) for row in array])) > 0, f"{what} is the same everywhere"
        assert distance(whole[what], array) <= 1e-5, what
    encode, decode = interop.page(model)
    if encode and decode:  # the two parts one after the other are the whole, of any number of rows
        code = run(interop.graph(model, "encoder"), **inputs)
        again = interop.graph(model, "decoder")
        given = code | {"length": inputs.get("length")}
        given = {each.name: given[each.name] for each in again.graph.input}
        np.testing.assert_allclose(run(again, **given)["r"], whole["r"], rtol=1e-5, atol=1e-6)


def test_the_refused_models_are_these_alone():
    assert set(REFUSED) <= set(CASES)
    assert {kind for kind in (CASES[name][0] for name in REFUSED)} == {
        minae.AbstractiveAutoencoder,
        minae.ExtractiveAutoencoder,
    }


@pytest.mark.parametrize("name", ["undercomplete deep", "language masked, gru", "voice", "byte_classifier one block"])
def test_each_parameter_counts(name):
    """The negative control: with one parameter changed on one side, the two disagree."""
    model, batch = in_float32(*CASES[name])
    inputs, expected = reference(model, batch)
    what = "r" if "r" in expected else "h"
    own = {parameter: np.array(model.parameters[parameter]) for parameter in model.parameters}
    missed = []
    for parameter, values in own.items():
        model.parameters[parameter][...] = values[..., ::-1] + 0.1  # another order, and off
        if distance(run(interop.graph(model), **inputs)[what], expected[what]) <= 1e-5:
            missed.append(parameter)
        model.parameters[parameter][...] = values
    cancelled = {"voice": {"w1", "w2", "v1", "v2"}}.get(name, set())  # biases before an instance normalisation
    assert set(missed) <= cancelled


def test_the_table_of_layers_is_complete():
    """Each layer of minae.layers, minae.codes and minae.symbols has its form, and each loss its mean."""
    found = [value for module in (layers, codes, symbols) for value in vars(module).values()]
    found = {each for each in found if isinstance(each, type) and issubclass(each, layers.Layer)}
    assert found - {layers.Layer} <= set(FORMS)
    assert {*losses.LOSSES.values(), *losses.HEADS.values(), losses.TokenLoss, losses.CellLoss} == set(MEANS)


# ---- what stands in the file


@pytest.fixture
def prepared(tmp_path):
    """A model whose file remembers a scale, a mean far from 0 and a deviation; and raw rows."""
    rng = np.random.default_rng(0)
    raw = (1e6 + rng.standard_normal((20, 7)) * [1, 2, 3, 4, 5, 6, 7]).astype("float32")
    np.save(tmp_path / "raw.npy", raw)
    X, preprocessing = Preprocessing.of(tmp_path / "raw.npy", scale=10, standardise=True)
    model = minae.UndercompleteAutoencoder((7, 5, 3), loss="gaussian", activation="tanh")
    model.preprocessing = preprocessing
    model.save(tmp_path / "m.safetensors")
    return model, raw, np.asarray(X)


def test_the_rows_of_a_file_give_the_codes_of_minae_encode(prepared, tmp_path):
    model, raw, X = prepared
    words = [str(tmp_path / name) for name in ("m.safetensors", "raw.npy")]
    assert cli.main(["encode", *words, "-o", str(tmp_path / "h.npy")]) == 0
    found = run(interop.graph(model), x=raw)
    assert distance(found["h"], np.load(tmp_path / "h.npy")) <= 1e-5
    assert distance(found["r"], model.reconstruct(X)) <= 1e-5
    plain = model.copy()
    plain.preprocessing = Preprocessing()
    assert distance(run(interop.graph(plain), x=X)["h"], model.encode(X)) <= 1e-5
    assert distance(run(interop.graph(plain), x=raw)["h"], model.encode(X)) > 0.1  # the negative control


def test_images_are_prepared_pixel_by_pixel(tmp_path):
    raw = np.random.default_rng(0).integers(256, size=(9, 6, 6, 3)).astype("uint8")  # channels last, as photographs
    np.save(tmp_path / "raw.npy", raw)
    X, preprocessing = Preprocessing.of(tmp_path / "raw.npy", scale=255, standardise=True, images=True)
    model = minae.VariationalAutoencoder((108, 3), image=(3, 6, 6), channels=(4,), loss="gaussian")
    model.preprocessing = preprocessing
    found = run(interop.graph(model), x=raw.transpose(0, 3, 1, 2).astype("float32"))
    assert distance(found["h"], model.encode(np.asarray(X))) <= 1e-5
    assert distance(found["r"], model.reconstruct(np.asarray(X))) <= 1e-5


def test_a_model_of_any_backend_is_the_same_file(backend):
    made = [minae.UndercompleteAutoencoder((7, 3), backend=each) for each in (backend, "numpy")]
    assert made[0].backend is backend
    first, second = (interop.graph(model).SerializeToString(deterministic=True) for model in made)
    assert first == second


def test_a_tied_matrix_is_one_array():
    model = minae.UndercompleteAutoencoder((7, 5, 3), tied=True)
    proto = interop.graph(model)
    names = [each.name for each in proto.graph.initializer]
    assert names.count("theta.W1") == names.count("theta.W2") == 1 and not any("V" in name for name in names)
    assert sum("theta.W1" in node.input for node in proto.graph.node) == 2
    g, W = Graph(model), model.parameters["W1"]
    assert g.parameter("W1") == g.parameter("W1") != g.parameter("W1", W.T)  # in another order it is another array
    np.testing.assert_array_equal(g.arrays["theta.W1"], W)


def test_the_metadata(prepared):
    model, *_ = prepared
    words = {each.key: json.loads(each.value) for each in interop.graph(model, "encoder").metadata_props}
    assert words["model"] == "undercomplete" and words["sizes"] == [7, 5, 3] and words["part"] == "encoder"
    assert words["minae_version"] == minae.__version__ and words["opset"] == 18
    again = Preprocessing(**words["preprocessing"])
    np.testing.assert_array_equal(again.mean, model.preprocessing.mean)
    assert again.scale == 10 and words["config"]["activation"] == "tanh"


def test_float64_is_written_as_float32_and_twice_the_same_bytes(tmp_path):
    model = minae.UndercompleteAutoencoder((7, 3), dtype="float64")
    for name in "ab":
        found = interop.export(model, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert found["inputs"] == {"x": ["float32", ["batch", 7]]} and found["bytes"] == (tmp_path / "b").stat().st_size
    x = np.random.default_rng(0).uniform(size=(3, 7)).astype("float32")
    assert distance(run(str(tmp_path / "a"), x=x)["h"], model.encode(x)) <= 1e-5


@pytest.mark.parametrize("rows", [0, 1, 2049])
def test_any_number_of_rows(rows):
    model = minae.KSparseAutoencoder((7, 9), k=2)
    x = np.random.default_rng(0).uniform(size=(rows, 7)).astype("float32")
    found = run(interop.graph(model), x=x)
    assert found["h"].shape == (rows, 9) and found["r"].shape == (rows, 7)
    if rows:
        assert distance(found["h"], model.encode(x)) <= 1e-5


def test_a_nan_stays_one_and_ties_go_to_the_first():
    model = minae.KSparseAutoencoder((3, 4), k=2, code="identity")
    model.parameters.flat[...] = 0
    model.parameters["b1"][...] = 1
    x = np.array([[0, 0, 0], [np.nan, 0, 0]], "float32")
    found = run(interop.graph(model), x=x)
    np.testing.assert_array_equal(found["h"][0], [1, 1, 0, 0])
    np.testing.assert_array_equal(model.encode(x[:1])[0], [1, 1, 0, 0])
    assert np.isnan(found["r"][1]).all()


# ---- what is refused


def test_parts_that_a_model_does_not_have(tmp_path):
    gan, svdd = minae.GenerativeAdversarial((7, 5, 2)), minae.DeepSVDD((7, 3))
    with pytest.raises(InputError, match="'generative_adversarial' has no encoder: give part 'decoder', or 'all'"):
        interop.export(gan, tmp_path / "x.onnx", "encoder")
    with pytest.raises(InputError, match="'deep_svdd' has no decoder: give part 'encoder', or 'all'"):
        interop.export(svdd, tmp_path / "x.onnx", "decoder")
    with pytest.raises(InputError, match=r"unknown part 'encode'.* did you mean 'encoder'"):
        interop.export(svdd, tmp_path / "x.onnx", "encode")
    with pytest.raises(InputError, match="model is 3: expected a model"):
        interop.graph(3)
    assert not list(tmp_path.iterdir())


class Doubled(minae.UndercompleteAutoencoder):
    def code_of(self, x):
        return 2 * super().code_of(x)


class OwnLayer(layers.Activation):
    def forward(self, a, mode=layers.EVAL):
        return 2 * a, a


class OfOwnLayer(minae.UndercompleteAutoencoder):
    def encoder(self, **more):
        return Network([*super().encoder(**more).layers, OwnLayer("relu")])


class OwnPage(minae.Model):
    def shapes(self):
        return {"W": (3, 2)}

    def inputs(self):
        return {"x": Real(3)}


def test_what_the_graph_would_not_have_is_refused():
    """A verb or a layer of one's own would be left out without a word."""
    with pytest.raises(InputError, match=r"Doubled has a code_of of its own.*PAGES"):
        interop.graph(Doubled((7, 3)))
    with pytest.raises(InputError, match=r"OwnLayer has no ONNX form.*FORMS"):
        interop.graph(OfOwnLayer((7, 3)))
    with pytest.raises(InputError, match=r"OwnPage computes by a page of its own.*PAGES"):
        interop.graph(OwnPage())


def test_a_form_of_ones_own(monkeypatch):
    monkeypatch.setitem(FORMS, OwnLayer, lambda g, layer, a: g("Mul", a, 2.0))
    model, x = OfOwnLayer((7, 3)), np.full((2, 7), 0.5, "float32")
    assert distance(run(interop.graph(model), x=x)["h"], model.encode(x)) <= 1e-5


def test_a_page_of_ones_own(monkeypatch):
    def encode(g, model):
        g.give("h", g("MatMul", g.x(), g.parameter("W")), 2)

    monkeypatch.setitem(interop.PAGES, OwnPage, (encode, None))
    model, x = OwnPage(), np.array([[1, 2, 3]], "float32")
    model.parameters["W"][...] = [[1, 2], [3, 4], [5, 6]]
    np.testing.assert_array_equal(run(interop.graph(model), x=x)["h"], x @ model.parameters["W"])


@pytest.mark.parametrize(
    "layer, words",
    [
        (layers.Attention("1", 4, source=3), "attention to another sequence has no ONNX form"),
        (layers.PointerGenerator("1", 5, 4), "writes word by word"),
    ],
)
def test_layers_that_are_no_graph(layer, words):
    with pytest.raises(InputError, match=words):
        Graph(minae.LanguageModel(vocabulary=5, width=4)).apply(layer, "x")


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_numbers_that_no_float32_is(value, tmp_path):
    model = minae.UndercompleteAutoencoder((7, 3), dtype="float64")
    model.parameters["V1"][0, 0] = value
    with pytest.raises(InputError, match="V1 has NaN, infinite or too large values"):
        interop.export(model, tmp_path / "x.onnx")
    interop.export(model, tmp_path / "x.onnx", "encoder")  # which does not read V


def test_a_graph_that_no_file_can_hold(monkeypatch):
    monkeypatch.setattr(onnx_layers, "LARGEST", 100)
    with pytest.raises(InputError, match="has 100 at most: export parts"):
        interop.graph(minae.UndercompleteAutoencoder((7, 3)))


def test_without_the_library_it_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match=r"pip install 'minae\[onnx\]'"):
        interop.graph(minae.UndercompleteAutoencoder((7, 3)))


def test_nothing_imports_the_library_before_it_is_needed():
    code = "import sys, minae, minae.interop.onnx, minae.cli; print({'onnx', 'onnxruntime'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.strip() == "set()", found.stderr


# ---- the command


def test_the_command(prepared, tmp_path, capsys):
    model, raw, X = prepared
    path, words = tmp_path / "m.onnx", ["export", str(tmp_path / "m.safetensors"), "-o", str(tmp_path / "m.onnx")]
    assert cli.main(words) == 0
    told = capsys.readouterr().out
    assert f"{path.stat().st_size:,} bytes" in told and "in place of" not in told
    assert "input    x        batch × 7 float32" in told and "output   r        batch × 7 float32" in told
    assert distance(run(str(path), x=raw)["h"], model.encode(X)) <= 1e-5
    assert cli.main([*words, "--part", "decoder"]) == 0
    assert "in place of the file that was there" in capsys.readouterr().out
    assert cli.main([*words, "--part", "encoder", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)["outputs"]) == ["h"]
    before = path.read_bytes()
    assert cli.main([*words, "--part", "half"]) == 2
    assert "choose one of encoder, decoder, all" in capsys.readouterr().err
    assert cli.main([*words[:-1], str(tmp_path / "m.txt")]) == 2
    assert "its name must end in .onnx" in capsys.readouterr().err
    assert cli.main([*words[:-1], str(tmp_path / "no" / "m.onnx")]) == 2
    assert path.read_bytes() == before and not list(tmp_path.glob(".minae*"))


# ---- layers


CHECKED = {of: (field, made) for of, (field, made) in checks.LAYERS.items() if "adaptive" not in of}
MORE = {
    "up-sampling": lambda: [layers.Reshape((12,), (2, 3, 2)), layers.UpSample((2, 3, 2), 2)],
    "batch normalisation, channels first": lambda: [layers.Reshape((12,), (3, 2, 2)), layers.BatchNorm(3, "G", "b")],
    "layer normalisation, channels first": lambda: [
        layers.Reshape((12,), (3, 2, 2)),
        layers.LayerNorm(3, "G", "b", axis=1),
    ],
    "up-convolution, output padding": lambda: [
        layers.Reshape((12,), (2, 3, 2)),
        layers.UpConvolution("W", "b", (2, 3, 2), 4, 3, 2, 1, output_padding=1),
    ],
    "dilated": lambda: [
        layers.Reshape((12,), (6, 2)),
        layers.Convolution("W", "b", (6, 2), 3, 2, padding=1, dilation=2),
    ],
    "gradient reversal": lambda: [layers.GradientReversal()],
}


class OfLayers(checks.Layers):
    of = minae.options.Choice("up-sampling", "the layers", among=(*CHECKED, *MORE))

    def inputs(self):
        return {"x": CHECKED[self.of][0] if self.of in CHECKED else Real(12)}

    def networks(self):
        made = CHECKED[self.of][1] if self.of in CHECKED else MORE[self.of]
        return {"f": Network(made())}


@pytest.mark.parametrize("of", [*CHECKED, *MORE])
def test_layers_alone(of, rng):
    model = OfLayers(of=of)
    model.parameters.flat[...] += 0.3 * rng.standard_normal(model.parameters.flat.shape)
    X = model.fields["x"].example(rng, 4)
    g = Graph(model)
    y = g.apply(model.f, g.x())
    g.give("y", y, *["?"] * 3)
    mode, inputs = Mode(), {}
    if model.fields["x"].ragged:
        X, mode.length = padded(X)
        inputs = {"length": mode.length} if "length" in g.inputs else {}
    x = X.astype("int32" if X.dtype.kind in "iu" else "float32")
    with model.arena:
        expected = np.array(model.f.forward(x, mode)[0])
    g.outputs["y"] = (np.dtype("float32"), ["batch", *expected.shape[1:]])
    found = run(g.finished("layers", {}), x=x, **inputs)["y"]
    if mode.length is not None and expected.ndim == 3:
        found, expected = ([row[:T] for row, T in zip(each, mode.length, strict=True)] for each in (found, expected))
    assert distance(found, expected) <= 1e-5

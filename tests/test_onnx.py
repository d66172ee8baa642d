"""Every model as an ONNX graph: run by onnxruntime, it says what minae says, or it is refused in one line."""

import numpy as np
import pytest

import minae
from minae import InputError, checks, layers
from minae.interop import onnx as interop
from minae.interop.onnx_layers import Graph
from minae.layers import Mode

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
        return {"x": CHECKED[self.of][0] if self.of in CHECKED else minae.fields.Real(12)}

    def networks(self):
        made = CHECKED[self.of][1] if self.of in CHECKED else MORE[self.of]
        return {"f": minae.networks.Network(made())}


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

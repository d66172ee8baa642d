"""Embedding, recurrent layers, attention: differences with lengths and a layer below; padding, the future, PyTorch."""

import math

import numpy as np
import pytest

from minae import InputError, Model, check_gradient, kernels
from minae.arena import Arena
from minae.backend import Backend
from minae.fields import Code, Tokens
from minae.kernels import gates
from minae.layers import GRU, LSTM, Activation, Affine, Attention, Bidirectional, Embedding, Mode, Positions
from minae.networks import Network, Residual, transformer_block
from minae.parameters import Parameters


class Small(Model):
    """J = ½ Σ (y − r)² over the steps that a sequence has, r = cos of a count; mean over the batch."""

    field, layers = None, lambda: []

    def inputs(self):
        return {"x": self.field}

    def networks(self):
        return {"f": Network(type(self).layers())}

    def cost_and_grad(self, x, x_length, mode="train", need_grad=True):
        mode.length = x_length
        y, caches = self.f.forward(x, mode)
        xp, (T, m) = self.backend.xp, y.shape[1:]
        r = xp.cos(xp.arange(T)[:, None] * 1.0 + xp.arange(m) * m)
        dy = (xp.arange(T) < x_length[:, None])[:, :, None] * (y - r) / len(x)
        cost = self.cost(L=0.5 * len(x) * (dy * dy).sum())
        if need_grad:
            self.f.backward(dy, caches, need_dx=False)
        return cost


def small(field, layers, backend="numpy", seed=0):
    kind = type("Small", (Small,), {"field": field, "layers": staticmethod(layers)})
    model, rng = kind(dtype="float64", backend=backend), np.random.default_rng(seed)
    flat = 0.3 * rng.standard_normal(model.parameters.flat.shape)  # biases off zero
    model.parameters.flat[...] += model.backend.from_numpy(flat)
    return model


def below():
    return [Affine("W0", "b0", 3, 5), Activation("tanh")]


REAL, TOKENS = Code(None, 3), Tokens(7, None)
CASES = {
    "gru": (REAL, lambda: [*below(), GRU("W", "U", "b", "u", 5, 4), Affine("V", "c", 4, 2)]),
    "gru, two": (REAL, lambda: [GRU("W", "U", "b", "u", 3, 4), GRU("W1", "U1", "b1", "u1", 4, 3, reverse=True)]),
    "lstm": (REAL, lambda: [*below(), LSTM("W", "U", "b", 5, 4), Affine("V", "c", 4, 2)]),
    "lstm, reverse": (REAL, lambda: [*below(), LSTM("W", "U", "b", 5, 4, reverse=True)]),
    "bidirectional": (
        REAL,
        lambda: [*below(), Bidirectional(GRU("W", "U", "b", "u", 5, 4), LSTM("X", "Y", "z", 5, 3, reverse=True))],
    ),
    "embedding": (TOKENS, lambda: [Embedding("E", 7, 4), Positions(9, 4), GRU("W", "U", "b", "u", 4, 3)]),
    "positions": (TOKENS, lambda: [Embedding("E", 7, 4), Positions(9, 4, "P"), Affine("V", "c", 4, 3)]),
    "attention": (REAL, lambda: [*below(), Attention("1", 5)]),
    "attention, heads": (REAL, lambda: [Affine("W0", "b0", 3, 6), Attention("1", 6, heads=3)]),
    "causal": (REAL, lambda: [Affine("W0", "b0", 3, 6), Attention("1", 6, heads=2, causal=True)]),
    "block": (TOKENS, lambda: [Embedding("E", 7, 4), *transformer_block("1", 4, 2, 5, causal=True, activation="tanh")]),
}


@pytest.mark.slow_on_guard
@pytest.mark.parametrize("name", CASES)
def test_gradients(name, backend, rng):
    model = small(*CASES[name], backend)
    x = model.field.example(rng, 5)
    assert len({len(sequence) for sequence in x}) > 1
    for mode in ("train", "eval"):
        report = check_gradient(model, x, mode=mode, entries=60)
        assert report.worst.error <= (1e-7 if name == "block" else 1e-8), str(report)


def outputs(model, x, dtype=None):
    """J, the gradient and y of padded arrays of the host with these lengths."""
    to, back = model.backend.from_numpy, model.backend.to_numpy
    x, length = x
    cost = model.cost_and_grad(to(x), to(length))
    y, _ = model.f.forward(to(x), Mode("eval", length=to(length)))
    return float(cost), back(model.parameters.grad).copy(), back(y)


def padded(model, rng, more=0):
    x, length = model.field.example(rng, 5), None
    length = np.array([len(one) for one in x], np.int32)
    out = np.zeros((5, length.max() + more, *x[0].shape[1:]), "int32" if model.field is TOKENS else "float64")
    for row, one in zip(out, x, strict=True):
        row[: len(one)] = one
    return out, length


@pytest.mark.parametrize("name", CASES)
def test_padding_changes_nothing(name, backend):
    """Steps appended behind all sequences, whatever stands there: the same J and ∂J/∂θ, and the same real steps."""
    model = small(*CASES[name], backend)
    x, length = padded(model, np.random.default_rng(1))
    longer, _ = padded(model, np.random.default_rng(1), more=3)
    longer[:, x.shape[1] :] = 3
    J, gradient, y = outputs(model, (x, length))
    J_longer, gradient_longer, y_longer = outputs(model, (longer, length))
    assert abs(J - J_longer) < 1e-12
    np.testing.assert_allclose(gradient, gradient_longer, rtol=1e-11, atol=1e-12)
    for b, steps in enumerate(length):
        np.testing.assert_allclose(y[b, :steps], y_longer[b, :steps], rtol=1e-12)


def test_a_mean_over_padded_steps_is_caught():
    """The fault of d2l-en's issue 2076: padding in the loss changes J."""
    model = small(*CASES["gru"])
    x, length = padded(model, np.random.default_rng(1))
    longer, _ = padded(model, np.random.default_rng(1), more=3)
    results = [outputs(model, (each, np.full_like(length, each.shape[1])))[0] for each in (x, longer)]
    assert abs(results[0] - results[1]) > 1e-3


@pytest.mark.parametrize("kind", [GRU, LSTM])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_padded_step_carries_the_state(kind, reverse, backend, rng):
    """y stays, dx is exactly 0, and what comes to a padded y goes to the last real step."""
    names = ["W", "U", "b", "u"][: 4 if kind is GRU else 3]
    network, _ = bound([kind(*names, 3, 4, reverse=reverse)], backend)
    to, back, length = backend.from_numpy, backend.to_numpy, np.array([2, 5, 1], "int32")
    x, dy = rng.standard_normal((3, 5, 3)), rng.standard_normal((3, 5, 4))
    y, caches = network.forward(to(x), Mode("train", length=to(length)))
    dx, y = back(network.backward(to(dy), caches)), back(y)
    for b, steps in enumerate(length):
        assert (dx[b, steps:] == 0).all() and (dx[b, :steps] != 0).all()
        expected = np.zeros(4) if reverse else y[b, steps - 1]
        np.testing.assert_array_equal(y[b, steps:], np.broadcast_to(expected, y[b, steps:].shape))
        alone, own = network.forward(to(x[b : b + 1, :steps].copy()), Mode("train"))
        np.testing.assert_allclose(back(alone)[0], y[b, :steps], rtol=1e-12)
        if not reverse:
            dy_alone = dy[b : b + 1, :steps].copy()
            dy_alone[0, -1] += dy[b, steps:].sum(axis=0)
            np.testing.assert_allclose(back(network.backward(to(dy_alone), own))[0], dx[b, :steps], rtol=1e-10)


def bound(layers, backend=None, dtype="float64", scale=0.3):
    network, backend, rng = Network(layers), backend or Backend(), np.random.default_rng(0)
    parameters = Parameters(network.shapes(), Arena(backend, dtype))
    network.bind(parameters, network.state())
    network.initialize(rng)
    noise = scale * rng.standard_normal(parameters.flat.shape)
    parameters.flat[...] += backend.from_numpy(noise.astype(dtype))
    return network, parameters


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def gru_step_by_step(x, p, merged=False):
    W, U, b, u = (p[name] for name in "WUbu")
    h, m, ys = np.zeros((len(x), len(U))), len(U), []
    for t in range(x.shape[1]):
        a, g = x[:, t] @ W + b, h @ U + u
        if merged:  # one bias, outside the product with r
            a, g = a + u, g - u
        r, z = sigmoid(a + g)[:, :m], sigmoid(a + g)[:, m : 2 * m]
        n = np.tanh(a[:, 2 * m :] + r * g[:, 2 * m :])
        h = (1 - z) * n + z * h
        ys.append(h)
    return np.stack(ys, axis=1)


def test_gru_against_its_formula(backend, rng):
    """With biases of their own: a bias that is merged is another model, which biases of 0 would not show."""
    network, parameters = bound([GRU("W", "U", "b", "u", 3, 4)], backend)
    x, back = rng.standard_normal((2, 5, 3)), backend.to_numpy
    p = {name: back(parameters[name]) for name in parameters}
    y = back(network.forward(backend.from_numpy(x))[0])
    np.testing.assert_allclose(y, gru_step_by_step(x, p), rtol=1e-12)
    assert abs(y - gru_step_by_step(x, p, merged=True)).max() > 1e-3
    p["u"] = np.zeros_like(p["u"])
    np.testing.assert_allclose(gru_step_by_step(x, p), gru_step_by_step(x, p, merged=True))


def test_a_merged_gradient_of_the_bias_is_caught(monkeypatch, rng):
    """Negative control: du_n = da_n, without r."""
    right = gates.gru_backward

    def merged(*arrays):
        right(*arrays)
        da, dg = arrays[-2:]
        dg[...] = da

    model = small(*CASES["gru"])
    monkeypatch.setattr(gates, "gru_backward", merged)
    report = check_gradient(model, model.field.example(rng, 5), entries=30)
    assert {"u", "U"} <= {row.parameter for row in report.rows if not row.passed}


@pytest.mark.parametrize("kind", [GRU, LSTM])
def test_the_first_state(kind, backend, rng):
    """Given, it is where the steps begin; its gradient comes back beside dx."""
    layer = kind(*["W", "U", "b", "u"][: 4 if kind is GRU else 3], 3, 4)
    bound([layer], backend)
    to, back = backend.from_numpy, backend.to_numpy
    x, dy = rng.standard_normal((2, 5, 3)), rng.standard_normal((2, 5, 4))
    first = [rng.standard_normal((2, 4)) for _ in range(1 if kind is GRU else 2)]

    def given(states):
        states = [to(state) for state in states]
        return states[0] if kind is GRU else tuple(states)

    def J(states):
        return (dy * back(layer.forward(to(x), first=given(states))[0])).sum()

    _, cache = layer.forward(to(x), first=given(first))
    dx, dfirst = layer.backward(to(dy), cache)
    assert dx.shape == x.shape
    for k, d in enumerate([dfirst] if kind is GRU else dfirst):
        for index in ((0, 1), (1, 3)):
            found = []
            for sign in (1, -1):
                moved = [state.copy() for state in first]
                moved[k][index] += sign * 1e-6
                found.append(J(moved))
            assert back(d)[index] == pytest.approx((found[0] - found[1]) / 2e-6, rel=1e-6, abs=1e-9)


def test_cross_attention(backend, rng):
    """From x to another sequence, of other length and width: dx, dsource, and keys that are hidden."""
    layer = Attention("1", 6, heads=2, source=5)
    _, parameters = bound([layer], backend)
    to, back, length = backend.from_numpy, backend.to_numpy, np.array([4, 2, 3], "int32")
    x, source, dy = (rng.standard_normal(shape) for shape in ((3, 2, 6), (3, 4, 5), (3, 2, 6)))

    def J(x, source):
        return (dy * back(layer.forward(to(x), source=to(source), length=to(length))[0])).sum()

    _, cache = layer.forward(to(x), source=to(source), length=to(length))
    parameters.zero_grad()
    dx, dsource = (back(d) for d in layer.backward(to(dy), cache))
    for b, steps in enumerate(length):
        assert (dsource[b, steps:] == 0).all()
    for _ in range(5):
        v, w = rng.standard_normal(x.shape), rng.standard_normal(source.shape)
        numeric = (J(x + 1e-6 * v, source + 1e-6 * w) - J(x - 1e-6 * v, source - 1e-6 * w)) / 2e-6
        assert (dx * v).sum() + (dsource * w).sum() == pytest.approx(numeric, rel=1e-7)
    g = back(parameters.grad).copy()
    before, v, found = back(parameters.flat).copy(), rng.standard_normal(g.shape), []
    for sign in (1, -1):
        parameters.flat[...] = to(before + sign * 1e-6 * v)
        found.append(J(x, source))
    assert g @ v == pytest.approx((found[0] - found[1]) / 2e-6, rel=1e-7)


def future_reader(monkeypatch, mask):
    """A causal net of float32 after some steps of training that reward reading the next token; its outputs for two
    batches that agree in the first four tokens."""
    exact = Attention.mask
    monkeypatch.setattr(Attention, "mask", lambda *arguments: np.maximum(exact(*arguments), np.float32(mask)))
    layers = [Embedding("E", 9, 8), Positions(8, 8), *transformer_block("1", 8, 2, 12, causal=True)]
    network, parameters = bound([*layers, Affine("V", "c", 8, 9)], dtype="float32", scale=0.1)
    rng = np.random.default_rng(3)
    eye = np.eye(9, dtype="f")
    for _ in range(40):
        x = rng.integers(9, size=(16, 8)).astype("int32")
        y, caches = network.forward(x, Mode("train"))
        parameters.zero_grad()
        network.backward(((y - eye[np.roll(x, -1, axis=1)]) / 16).astype("f"), caches, need_dx=False)
        parameters.flat[...] -= np.float32(0.01) * parameters.grad
    parameters["W1"][...] *= np.float32(300)  # long training makes scores large
    x = rng.integers(9, size=(16, 8)).astype("int32")
    other = x.copy()
    other[:, 4:] = (x[:, 4:] + 1 + rng.integers(8, size=(16, 4))) % 9
    return [network.forward(each)[0] for each in (x, other)]


def test_a_trained_net_does_not_read_the_future(monkeypatch):
    y, other = future_reader(monkeypatch, -math.inf)
    np.testing.assert_array_equal(y[:, :4], other[:, :4])
    assert abs(y[:, 4:] - other[:, 4:]).max() > 1e-3


def test_a_finite_mask_lets_it(monkeypatch):
    """Negative control, minGPT's issue 75: a net whose scores are larger than the mask reads the future."""
    y, other = future_reader(monkeypatch, -1e4)
    assert abs(y[:, :4] - other[:, :4]).max() > 1e-3


def test_what_a_mask_hides_has_no_weight_and_no_gradient(backend, rng):
    S, to, back = 30 * rng.standard_normal((3, 2, 4, 5)), backend.from_numpy, backend.to_numpy
    mask = np.where(rng.random((3, 4, 5)) < 0.5, 0.0, -math.inf)
    mask[:, :, 0] = 0
    A = to(S)
    kernels.softmax.masked(A, to(mask), 0.5)
    hidden = np.broadcast_to(mask[:, None] < 0, S.shape)
    A_host = back(A).copy()
    assert (A_host[hidden] == 0).all() and np.allclose(A_host.sum(axis=3), 1)
    dA = to(rng.standard_normal(S.shape))
    kernels.softmax.backward(dA, A, 0.5)
    dS = back(dA)
    assert (dS[hidden] == 0).all() and abs(dS.sum(axis=3)).max() < 1e-14  # a constant added to a row changes nothing


def parity(layer, module, names, x, dtype="float64", **mode):
    """Largest difference of y, dx and all gradients from those of the module of PyTorch."""
    import torch

    network, p = bound([layer], dtype=dtype)
    for ours, theirs in names.items():
        with torch.no_grad():
            getattr(module, theirs).copy_(torch.from_numpy(np.ascontiguousarray(p[ours].T)))
    dy = np.random.default_rng(5).standard_normal((*x.shape[:2], layer.m))
    y, caches = network.forward(x, Mode("train", **mode))
    p.zero_grad()
    dx = network.backward(dy, caches)
    assert p.grad.any()
    x_torch = torch.tensor(x, requires_grad=True)
    y_torch = module(x_torch)[0]
    y_torch.backward(torch.from_numpy(dy))
    pairs = [(y, y_torch.detach()), (dx, x_torch.grad)]
    pairs += [(p.gradient(ours).array.T, getattr(module, theirs).grad) for ours, theirs in names.items()]
    return max(abs(a - b.numpy()).max() for a, b in pairs)


TORCH = {"W": "weight_ih_l0", "U": "weight_hh_l0", "b": "bias_ih_l0", "u": "bias_hh_l0"}


def test_gru_is_pytorchs(rng):
    torch = pytest.importorskip("torch")
    module = torch.nn.GRU(3, 4, batch_first=True, dtype=torch.float64)
    assert parity(GRU("W", "U", "b", "u", 3, 4), module, TORCH, rng.standard_normal((5, 6, 3))) < 1e-13


def test_lstm_is_pytorchs(rng):
    torch = pytest.importorskip("torch")
    module = torch.nn.LSTM(3, 4, batch_first=True, dtype=torch.float64)
    torch.nn.init.zeros_(module.bias_hh_l0)
    names = {name: TORCH[name] for name in "WUb"}
    assert parity(LSTM("W", "U", "b", 3, 4), module, names, rng.standard_normal((5, 6, 3))) < 1e-13


def test_attention_is_pytorchs(rng):
    torch = pytest.importorskip("torch")
    network, p = bound([Attention("1", 6, heads=2, causal=True)])
    module = torch.nn.MultiheadAttention(6, 2, batch_first=True, dtype=torch.float64)
    names = {"W1": module.in_proj_weight, "b1": module.in_proj_bias}
    names |= {"V1": module.out_proj.weight, "c1": module.out_proj.bias}
    with torch.no_grad():
        for name, theirs in names.items():
            theirs.copy_(torch.from_numpy(np.ascontiguousarray(p[name].T)))
    x, dy, length = rng.standard_normal((3, 5, 6)), rng.standard_normal((3, 5, 6)), np.array([5, 2, 4])
    y, caches = network.forward(x, Mode("train", length=length))
    p.zero_grad()
    dx = network.backward(dy, caches)
    x_torch = torch.tensor(x, requires_grad=True)
    future = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1)
    padding = torch.from_numpy(np.arange(5) >= length[:, None])
    y_torch = module(x_torch, x_torch, x_torch, attn_mask=future, key_padding_mask=padding, need_weights=False)[0]
    y_torch.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(y, y_torch.detach().numpy(), rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(dx, x_torch.grad.numpy(), rtol=1e-10, atol=1e-13)
    for name, theirs in names.items():
        np.testing.assert_allclose(p.gradient(name).array.T, theirs.grad.numpy(), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("dtype, tolerance", [("float32", 3e-6), ("float64", 1e-14)])
@pytest.mark.parametrize("name", ["gru", "gru_backward", "lstm", "lstm_backward"])
def test_gates_are_one_formula_on_every_path(name, dtype, tolerance, rng, monkeypatch):
    body = getattr(gates, name)
    wide = {array: 1 + max(k for a, k in (*body.slices[0], *body.slices[1]) if a == array) for array in body.arrays}
    for rows, m in ((1, 1), (3, 5), (64, 67)):
        arrays = [rng.standard_normal((rows, k * m)).astype(dtype) for k in wide.values()]
        live = body.arrays.index("live")
        arrays[live][...] = rng.random((rows, 1)) < 0.7
        plain, fast = [array.copy() for array in arrays], [array.copy() for array in arrays]
        body.write_plain(*plain)
        body(*fast)
        for a, b in zip(plain, fast, strict=True):
            np.testing.assert_allclose(b, a, rtol=tolerance, atol=tolerance)
        with monkeypatch.context() as patch:
            patch.setattr(kernels, "path", lambda *_: "plain")
            again = [array.copy() for array in arrays]
            body(*again)
            assert all((a == b).all() for a, b in zip(plain, again, strict=True))


def test_the_fast_softmax_is_the_plain_one(rng):
    for dtype, tolerance in (("float32", 1e-6), ("float64", 1e-14)):
        S = (5 * rng.standard_normal((3, 2, 4, 37))).astype(dtype)
        mask = np.where(rng.random((1, 4, 37)) < 0.7, 0, -math.inf).astype(dtype)
        mask[:, :, 3] = 0
        A, A_plain, dA = S.copy(), S.copy(), rng.standard_normal(S.shape).astype(dtype)
        kernels.softmax.masked(A, mask, 0.3)
        kernels.softmax.masked_plain(A_plain, mask, 0.3)
        dS, dS_plain = dA.copy(), dA.copy()
        kernels.softmax.backward(dS, A, 0.3)
        kernels.softmax.backward_plain(dS_plain, A, 0.3)
        for a, b in ((A, A_plain), (dS, dS_plain)):
            assert a.dtype == np.dtype(dtype)
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
        S[1, 0, 2, 3] = np.nan
        kernels.softmax.masked(S, mask, 0.3)
        assert np.isnan(S[1, 0, 2]).any() and np.isnan(S).sum() == np.isnan(S[1, 0, 2]).sum()


def test_residual_adds_dy(backend, rng):
    """dx = dy + the gradient through the layers; with layers of weight 0 it is the identity."""
    network, parameters = bound([Residual(Affine("W", "b", 4, 4), Activation("tanh"))], backend)
    x, dy, to, back = rng.standard_normal((3, 4)), rng.standard_normal((3, 4)), backend.from_numpy, backend.to_numpy
    y, caches = network.forward(to(x))
    W, h = back(parameters["W"]), back(y) - x
    np.testing.assert_allclose(back(network.backward(to(dy), caches)), dy + (dy * (1 - h * h)) @ W.T, rtol=1e-10)
    parameters.flat[...] = 0
    np.testing.assert_array_equal(back(network.forward(to(x))[0]), x)
    assert network.trained()[0].names == ("W", "b")


def test_an_embedding_adds_up_what_names_one_row(backend):
    """The fault of dE[tokens] += dy: of several places with one token, one would be left."""
    network, p = bound([Embedding("E", 4, 3)], backend)
    tokens, dy = np.array([[1, 1, 2], [1, 3, 3]], "int32"), np.arange(18.0).reshape(2, 3, 3)
    _, caches = network.forward(backend.from_numpy(tokens))
    p.zero_grad()
    assert network.backward(backend.from_numpy(dy), caches) is None
    expected = np.zeros((4, 3))
    np.add.at(expected, tokens, dy)
    np.testing.assert_array_equal(backend.to_numpy(p.gradient("E").array), expected)


def test_what_is_refused(rng):
    network, _ = bound([GRU("W", "U", "b", "u", 3, 4)])
    attention, _ = bound([Attention("1", 6, heads=2)])
    for net, width in ((network, 3), (attention, 6)):
        x = rng.standard_normal((3, 5, width))
        for length, words in (
            ([0, 2, 5], "length is from 0 to 5: expected 1 to 5, the steps of the batch"),
            ([1, 2, 6], "length is from 1 to 6: expected 1 to 5"),
            ([1, 2], r"length is int64 \(2,\): expected whole numbers of shape \(3,\)"),
            ([1.0, 2.0, 3.0], r"length is float64 \(3,\): expected whole numbers"),
        ):
            with pytest.raises(InputError, match=words):
                net.forward(x, Mode("train", length=np.array(length)))
    visible = rng.random((3, 5, 5)) < 0.7
    visible[1, 2] = False
    with pytest.raises(InputError, match="the mask hides every key from some query"):
        attention.layers[0].forward(rng.standard_normal((3, 5, 6)), visible=visible)
    future, last = np.zeros((3, 5, 5), bool), np.zeros((3, 5, 5), bool)
    future[:, :, 1:] = last[:, :, 4] = True
    (causal,) = bound([Attention("3", 6, heads=2, causal=True)])[0].layers
    for layer, only, length in ((causal, future, None), (attention.layers[0], last, np.array([5, 5, 4]))):
        with pytest.raises(InputError, match="the mask hides every key from some query"):  # by two masks together
            layer.forward(rng.standard_normal((3, 5, 6)), Mode("train", length=length), visible=only)
    for layer, source in ((attention.layers[0], visible), (Attention("2", 6, source=3), None)):
        with pytest.raises(InputError, match="give `source` only where it has one"):
            layer.forward(rng.standard_normal((3, 5, 6)), source=source)
    with pytest.raises(InputError, match="attention of 4 heads over 6 columns"):
        Attention("1", 6, heads=4)
    with pytest.raises(InputError, match="a sequence has 5 steps: these positions go to 4; build them with most=5"):
        bound([Positions(4, 6)])[0].forward(rng.standard_normal((3, 5, 6)))
    with pytest.raises(InputError, match="expected two layers over the same x, the second one with reverse=True"):
        Bidirectional(GRU("W", "U", "b", "u", 3, 4), GRU("X", "Y", "c", "d", 3, 4))
    model = small(*CASES["embedding"])
    for tokens, words in ([[0, 7]], "tokens 0 to 7: expected 0 to 6"), ([[-1, 2]], "tokens -1 to 2: expected 0 to 6"):
        with pytest.raises(InputError, match=words):
            model.evaluate([np.array(each) for each in tokens])
    with pytest.raises(InputError, match="has length 0: expected at least one"):
        model.evaluate([np.array([], int)])


def test_layers_leave_the_incoming_gradient_alone(backend, rng):
    for name, (field, layers) in CASES.items():
        model = small(field, layers, backend)
        x, length = padded(model, rng)
        to, back = backend.from_numpy, backend.to_numpy
        y, caches = model.f.forward(to(x), Mode("train", length=to(length)))
        dy = rng.standard_normal(y.shape)
        given = to(dy)
        model.parameters.zero_grad()
        model.f.backward(given, caches, need_dx=False)
        first = model.parameters.views(back(model.parameters.grad).copy())
        np.testing.assert_array_equal(back(given), dy, err_msg=name)
        assert all(first[name].any() for name in first), name  # no layer is without a backward, and silent
        model.parameters.zero_grad()
        model.f.backward(given, caches, need_dx=False, need_dW=False)
        assert all(model.parameters.gradient(p).zero for p in model.parameters), name


@pytest.mark.parametrize("name", CASES)
def test_float32_stays_float32_and_a_step_allocates_nothing(name, rng):
    field, layers = CASES[name]
    model = type("Small", (Small,), {"field": field, "layers": staticmethod(layers)})()
    x, length = padded(model, rng)
    x, sizes = x.astype(field.dtype("float32")), []
    for _ in range(4):
        with model.arena:
            y, caches = model.f.forward(x, Mode("train", length=length))
            assert y.dtype == np.float32
            model.parameters.zero_grad()
            model.f.backward(y, caches, need_dx=False)
        sizes.append(model.arena.nbytes())
    assert model.parameters.grad.dtype == np.float32 and sizes[1] == sizes[3]

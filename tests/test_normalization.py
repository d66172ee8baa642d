"""Normalisation: differences with a layer below, in both modes; identities; the running state; what is refused."""

import numpy as np
import pytest

import minae.layers.normalization as normalization
from minae import InputError, Model, check_gradient, kernels
from minae.arena import Arena
from minae.fields import Real
from minae.layers import EVAL, Activation, AdaIN, Affine, BatchNorm, InstanceNorm, LayerNorm, Mode
from minae.networks import Network
from minae.ops.normalization import normalize, normalize_backward
from minae.parameters import Parameters


class Small(Model):
    """J = ½ ‖y − r‖² of layers over x, r = cos of a count; a layer below the one that is tested has its dx checked."""

    coupled = ("L",)
    shape, layers = (), lambda: []

    def inputs(self):
        return {"x": Real(*self.shape)}

    def networks(self):
        return {"f": Network(type(self).layers())}

    def cost_and_grad(self, x, mode="train", need_grad=True):
        y, caches = self.f.forward(x, mode)
        r = self.backend.from_numpy(np.cos(np.arange(y.size)).reshape(y.shape))
        cost = self.cost(L=0.5 * ((y - r) * (y - r)).sum() / len(x))
        if need_grad:
            self.f.backward(self.weights["L"] * (y - r) / len(x), caches, need_dx=False)
        return cost


def small(shape, layers, backend="numpy", seed=0):
    """A model off its first values: biases and factors are not 0 and 1, nor are running averages."""
    kind = type("Small", (Small,), {"shape": shape, "layers": staticmethod(layers)})
    model, rng = kind(dtype="float64", backend=backend), np.random.default_rng(seed)
    to = model.backend.from_numpy
    model.parameters.flat[...] += to(0.3 * rng.standard_normal(model.parameters.flat.shape))
    for array in model.state.values():
        array[...] += to(rng.uniform(0.2, 0.9, array.shape))
    return model


CASES = {
    "batch, rows": ((5,), lambda: [Affine("W", "c", 5, 3), BatchNorm(3, "G", "b"), Activation("tanh")]),
    "batch, images": ((3, 2, 5), lambda: [Affine("W", "c", 5, 3), BatchNorm(3, "G", "b"), Activation("tanh")]),
    "batch, last axis": ((3, 5), lambda: [Affine("W", "c", 5, 4), BatchNorm(4, "G", "b", axis=-1), Activation("tanh")]),
    "layer": ((3, 5), lambda: [Affine("W", "c", 5, 7), LayerNorm(7, "G", "b"), Activation("tanh")]),
    "layer, rows": ((5,), lambda: [Affine("W", "c", 5, 7), LayerNorm(7, "G", "b"), Affine("V", "d", 7, 2)]),
    "layer, axis 1": ((3, 2, 5), lambda: [Affine("W", "c", 5, 2), LayerNorm(3, "G", "b", axis=1)]),
    "instance": ((3, 2, 5), lambda: [Affine("W", "c", 5, 3), InstanceNorm(3, "G", "b"), Activation("tanh")]),
    "instance, no factor": ((3, 2, 5), lambda: [Affine("W", "c", 5, 3), InstanceNorm(3), Activation("tanh")]),
    "instance, last axis": ((7, 5), lambda: [Affine("W", "c", 5, 4), InstanceNorm(4, "G", "b", axis=-1)]),
}


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("name", CASES)
def test_gradients(name, mode, backend, rng):
    model = small(*CASES[name], backend)
    report = check_gradient(model, rng.standard_normal((4, *model.shape)), mode=mode)
    assert report.worst.error <= 1e-7, str(report)


class Styled(Small):
    """AdaIN between two inputs: dx and dstyle reach an affine map each."""

    def inputs(self):
        return {"x": Real(*self.shape), "u": Real(2)}

    def networks(self):
        m = self.shape[0]
        return {"f": Affine("W", "c", self.shape[-1], 3), "s": Affine("S", "b", 2, 2 * m), "between": AdaIN(m)}

    def cost_and_grad(self, x, u, mode="train", need_grad=True):
        a, f_cache = self.f.forward(x, mode)
        style, s_cache = self.s.forward(u, mode)
        y, cache = self.between.forward(a, style, mode)
        r = self.backend.from_numpy(np.cos(np.arange(y.size)).reshape(y.shape))
        cost = self.cost(L=0.5 * ((y - r) * (y - r)).sum() / len(x))
        if need_grad:
            da, dstyle = self.between.backward((y - r) / len(x), cache)
            self.s.backward(dstyle, s_cache, need_dx=False)
            self.f.backward(da, f_cache, need_dx=False)
        return cost


def test_gradients_of_adain(backend, rng):
    model = type("Styled4", (Styled,), {"shape": (4, 2, 5)})(dtype="float64", backend=backend)
    model.parameters.flat[...] += model.backend.from_numpy(0.3 * rng.standard_normal(model.parameters.flat.shape))
    report = check_gradient(model, rng.standard_normal((3, 4, 2, 5)), u=rng.standard_normal((3, 2)))
    assert report.worst.error <= 1e-7, str(report)


AXES = [(0, 2), (1,), (2,), (1, 2)]


@pytest.mark.parametrize("axes", AXES)
def test_identities(axes, backend, rng):
    """x̂ has mean 0 and mean square σ²/(σ² + δ); Σ dx = 0, and Σ dx x̂ = δ/σ³ Σ dx̂ x̂ is O(δ)."""
    arena, to, back = Arena(backend, "float64"), backend.from_numpy, backend.to_numpy
    x, d = 3 + 2 * rng.standard_normal((5, 7, 9)), rng.standard_normal((5, 7, 9))
    for delta in (1e-5, 1e-3):
        x_hat, mu, sigma = normalize(to(x), axes, arena, delta)
        dx = back(normalize_backward(to(d), x_hat, sigma, axes, arena))
        x_hat, sigma = back(x_hat), back(sigma)
        np.testing.assert_allclose(back(mu), x.mean(axis=axes, keepdims=True))
        np.testing.assert_allclose(sigma**2, x.var(axis=axes, keepdims=True) + delta)
        assert abs(x_hat.mean(axis=axes)).max() < 1e-14 and abs(dx.sum(axis=axes)).max() < 1e-13
        expected = (delta / sigma**3 * (d * x_hat).sum(axis=axes, keepdims=True)).squeeze()
        np.testing.assert_allclose((dx * x_hat).sum(axis=axes), expected, atol=1e-12)


def wrong_mean(dx_hat, x_hat, sigma, axes, arena, live):
    """As in mlpack PR 2474: the mean of dx̂ is lost."""
    return (dx_hat - x_hat * (dx_hat * x_hat).mean(axis=axes, keepdims=True)) / sigma


def wrong_sigma(dx_hat, x_hat, sigma, axes, arena, live):
    """As in AiDotNet PR 695: σ is held fixed."""
    return (dx_hat - dx_hat.mean(axis=axes, keepdims=True)) / sigma


@pytest.mark.parametrize("wrong", [wrong_mean, wrong_sigma, lambda d, x_hat, sigma, axes, arena, live: d / sigma])
def test_a_wrong_backward_is_caught(wrong, monkeypatch, rng):
    model = small(*CASES["instance"])
    monkeypatch.setattr(normalization, "normalize_backward", wrong)
    report = check_gradient(model, rng.standard_normal((4, *model.shape)))
    failed = {row.parameter for row in report.rows if not row.passed}
    assert "W" in failed and not failed & {"G", "b"}  # only the layer below sees dx


def test_batch_norm_moves_its_state(backend, rng):
    """By `rate` towards the batch's mean and unbiased variance, after a step and by nothing else."""
    model = small((3, 5), lambda: [BatchNorm(3, "G", "b")], backend)
    to, back, x = backend.from_numpy, backend.to_numpy, rng.standard_normal((4, 3, 5))
    before = {name: back(array).copy() for name, array in model.state.items()}
    assert set(before) == {"G.mean", "G.variance"}
    cost = model.cost_and_grad(to(x))
    for name, array in model.state.items():
        np.testing.assert_array_equal(back(array), before[name])
    model.after_step(cost.statistics)
    mean, var = x.mean(axis=(0, 2)), x.var(axis=(0, 2), ddof=1)
    np.testing.assert_allclose(back(model.state["G.mean"]), 0.9 * before["G.mean"] + 0.1 * mean)
    np.testing.assert_allclose(back(model.state["G.variance"]), 0.9 * before["G.variance"] + 0.1 * var)
    assert not model.cost_and_grad(to(x), mode="eval").statistics
    both = Mode("train")
    for _ in range(2):  # a layer that is applied twice in a step moves twice
        model.f.forward(to(x), both)
    after = 0.81 * back(model.state["G.mean"]) + 0.19 * mean
    np.testing.assert_allclose(back(both.statistics["G.mean"]), after)


def test_batch_norm_in_evaluation(backend, rng):
    """Its Jacobian is diagonal, G/σ of the running variance: no row depends on another."""
    model = small((3,), lambda: [BatchNorm(3, "G", "b")], backend)
    to, back = backend.from_numpy, backend.to_numpy
    x, dy = rng.standard_normal((4, 3)), rng.standard_normal((4, 3))
    factor = back(model.parameters["G"]) / np.sqrt(back(model.state["G.variance"]) + 1e-5)
    y, caches = model.f.forward(to(x))
    np.testing.assert_allclose(
        back(y), (x - back(model.state["G.mean"])) * factor + back(model.parameters["b"]), rtol=1e-12
    )
    np.testing.assert_allclose(back(model.f.backward(to(dy), caches)), dy * factor, rtol=1e-12)
    np.testing.assert_allclose(back(model.f.jacobian(to(x)))[2], np.diag(factor), rtol=1e-12)


def test_an_instance_does_not_see_the_batch(rng):
    """The fault of FUNIT's issue 26: statistics over the batch leave the speaker in."""
    model = small((3, 2, 5), lambda: [InstanceNorm(3)])
    x = rng.standard_normal((4, 3, 2, 5))
    np.testing.assert_array_equal(model.f.forward(x)[0][:1], model.f.forward(x[:1])[0])
    y = model.f.forward(x * 3 + 2)[0]
    np.testing.assert_allclose(y, model.f.forward(x)[0], atol=1e-4)


@pytest.mark.parametrize("faulty", [False, True])
def test_padding_changes_nothing(faulty, backend, rng):
    """x̂ and dx of a padded sequence are those of the sequence alone, whatever stands behind its end. The control: with
    the padded steps among the means, they are not."""
    arena, length, to = Arena(backend, "float64"), np.array([6, 3, 5]), backend.from_numpy
    x, d = rng.standard_normal((2, 3, 6, 4))
    live = None if faulty else to((np.arange(6) < length[:, None]).astype(float)[:, :, None])
    x_hat, _, sigma = normalize(to(x), (1,), arena, live=live)
    dx = backend.to_numpy(normalize_backward(to(d), x_hat, sigma, (1,), arena, live=live))
    x_hat, same = backend.to_numpy(x_hat), []
    for b, T in enumerate(length):
        alone, _, sigma = normalize(to(x[b : b + 1, :T].copy()), (1,), arena)
        dalone = normalize_backward(to(d[b : b + 1, :T].copy()), alone, sigma, (1,), arena)
        same += [np.allclose(x_hat[b, :T], backend.to_numpy(alone)[0], rtol=1e-12, atol=1e-14)]
        same += [np.allclose(dx[b, :T], backend.to_numpy(dalone)[0], rtol=1e-10, atol=1e-12)]
        assert faulty or not (x_hat[b, T:].any() or dx[b, T:].any())
    assert all(same) != faulty


@pytest.mark.parametrize("axes, padded", [((2,), False), ((1,), False), ((1,), True)])
def test_the_fast_form_is_the_plain_form(axes, padded, monkeypatch, rng):
    for dtype, tolerance in (("float32", 2e-6), ("float64", 1e-13)):
        arena = Arena(small((2,), lambda: []).backend, dtype)
        x, d = (rng.standard_normal((5, 3 if axes == (2,) else 40, 37)).astype(dtype) for _ in range(2))
        live = (np.arange(40) < np.array([1, 40, 7, 8, 39])[:, None])[:, :, None].astype(dtype) if padded else None
        fast = normalize(x, axes, arena, live=live)
        fast += (normalize_backward(d, fast[0], fast[2], axes, arena, live),)
        with monkeypatch.context() as patch:
            patch.setattr(kernels, "path", lambda *arrays: "plain")
            plain = normalize(x, axes, arena, live=live)
            plain += (normalize_backward(d, plain[0], plain[2], axes, arena, live),)
        for a, b in zip(fast, plain, strict=True):
            assert a.dtype == b.dtype == np.dtype(dtype)
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_what_is_refused(rng):
    batch = small((3, 5), lambda: [BatchNorm(3, "G", "b")])
    with pytest.raises(InputError, match="batch normalisation has a batch of one: choose a batch_size"):
        batch.cost_and_grad(rng.standard_normal((1, 3, 5)))
    batch.cost_and_grad(rng.standard_normal((1, 3, 5)), mode="eval")
    instance = small((3,), lambda: [InstanceNorm(3)])
    with pytest.raises(InputError, match="InstanceNorm has one number a mean"):
        instance.cost_and_grad(rng.standard_normal((4, 3)))
    for layer in (BatchNorm(3, "G", "b", axis=-1), InstanceNorm(3)):
        with pytest.raises(InputError, match="takes means over all steps, and padded ones would be among them"):
            layer.forward(rng.standard_normal((4, 5, 3)), Mode("train", length=np.array([5, 2, 3, 4])))
    with pytest.raises(InputError, match="LayerNorm over 1 channel: expected 2 or more"):
        LayerNorm(1, "G", "b")
    with pytest.raises(InputError, match="normalisation of 3 channels was given an array"):
        InstanceNorm(3).places(rng.standard_normal((4, 2, 5)))
    with pytest.raises(InputError, match="axis is 2: choose 1 or -1"):
        InstanceNorm(3, axis=2)


def test_a_deep_net_trains_with_it_and_not_without(rng):
    """Twenty layers of sigmoids: without normalisation the logits' spread is lost on the way up."""
    spread = {}
    for normed in (False, True):
        layers = []
        for k in range(20):
            layers += [Affine(f"W{k}", f"b{k}", 8, 8), *([BatchNorm(8, f"G{k}", f"g{k}")] if normed else [])]
            layers += [Activation("sigmoid")]
        network = Network(layers)
        parameters = Parameters(network.shapes(), Arena(small((2,), lambda: []).backend, "float64"))
        network.bind(parameters, network.state())
        network.initialize(np.random.default_rng(0))
        y, caches = network.forward(rng.standard_normal((64, 8)), Mode("train") if normed else EVAL)
        parameters.zero_grad()
        network.backward(rng.standard_normal(y.shape), caches, need_dx=False)
        spread[normed] = y.std(axis=0).mean(), np.linalg.norm(parameters.gradient("W0").array)
    assert spread[True][0] > 1e3 * spread[False][0] and spread[True][1] > 1e3 * spread[False][1]

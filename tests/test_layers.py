import numpy as np
import pytest

from minae.arena import Arena
from minae.errors import InputError
from minae.layers import EVAL, Activation, Affine, Gain, Layer, Mode, Shrink
from minae.models.lista import Unrolled
from minae.networks import Network, dense, mirrored
from minae.ops import ACTIVATIONS
from minae.parameters import Parameters


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_jacobian_against_finite_differences(activation, backend, tiny):
    model, x = tiny((7, 6, 5, 3), activation=activation, backend=backend)
    to, back, h = backend.from_numpy, backend.to_numpy, 1e-6
    J = back(model.f.jacobian(to(x)))
    assert J.shape == (4, 3, 7)
    for i in range(7):
        e = np.zeros_like(x)
        e[:, i] = h
        numeric = (back(model.f.forward(to(x + e))[0]) - back(model.f.forward(to(x - e))[0])) / (2 * h)
        np.testing.assert_allclose(J[:, :, i], numeric, atol=1e-8)


def test_backward_is_the_transposed_jacobian(backend, tiny, rng):
    model, x = tiny((7, 5, 3), activation="tanh", backend=backend)
    dh, to = rng.standard_normal((4, 3)), backend.from_numpy
    model.parameters.zero_grad()
    _, cache = model.f.forward(to(x))
    dx = backend.to_numpy(model.f.backward(to(dh), cache))
    np.testing.assert_allclose(dx, np.einsum("bk,bki->bi", dh, backend.to_numpy(model.f.jacobian(to(x)))), rtol=1e-10)
    assert model.f.backward(to(dh), cache, need_dx=False) is None


def test_tied_layers_read_one_array(backend, tiny):
    model, _ = tiny((7, 5, 3), tied=True, backend=backend)
    assert list(model.parameters) == ["W1", "b1", "W2", "b2", "c1", "c2"]
    for encoder, decoder in zip(model.f.trained(), reversed(model.g.trained()), strict=True):
        encoder.W[...] = 0.25
        np.testing.assert_array_equal(backend.to_numpy(decoder.W), 0.25)


def test_initial_weights_are_the_same_on_every_backend(backend, tiny):
    model, other = tiny(backend=backend)[0], tiny(backend="numpy")[0]
    np.testing.assert_array_equal(backend.to_numpy(model.parameters.flat), other.parameters.flat)


def test_initial_scale_keeps_the_signal(tiny):
    model, _ = tiny((400, 300), activation="relu", code="relu")
    W = model.parameters["W1"]
    assert W.std() == pytest.approx(np.sqrt(2 / 400), rel=0.02)
    model, _ = tiny((400, 300), activation="tanh")
    assert model.parameters["W1"].std() == pytest.approx(np.sqrt(2 / 700), rel=0.02)


def bound(layers, backend, rng, state=None):
    """A network of these layers with parameters of its own, off their first values."""
    network = Network(layers)
    parameters = Parameters(network.shapes(), Arena(backend, "float64"))
    network.bind(parameters, state or {})
    network.initialize(rng)
    parameters.flat[...] += backend.from_numpy(rng.uniform(0.05, 0.3, parameters.flat.shape))
    return network, parameters


LAYERS = {
    "affine": lambda: [Affine("W1", "b1", 7, 5)],
    "affine, transposed": lambda: [Affine("W1", "b1", 7, 7), Affine("W1", "c1", 7, 7, transposed=True)],
    "activation": lambda: [Affine("W1", "b1", 7, 5), Activation("tanh")],
    "gain": lambda: [Gain("G1", 7)],
    "shrink": lambda: [Shrink("kappa1", 7)],
    "unrolled": lambda: [Unrolled(7, 9, 3)],
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_gradient_that_only_goes_through_leaves_the_parameters_alone(name, backend, rng):
    """need_dW=False: dx is the same, and nothing is added to any ∂J/∂W, not even a zero that is written."""
    network, parameters = bound(LAYERS[name](), backend, rng)
    x, to, back = backend.from_numpy(rng.standard_normal((4, 7))), backend.from_numpy, backend.to_numpy
    y, caches = network.forward(x)
    dy = rng.standard_normal(y.shape)
    parameters.zero_grad()
    expected = back(network.backward(to(dy), caches))
    assert all(not parameters.gradient(p).zero for p in parameters) and back(parameters.grad).any()
    parameters.zero_grad()
    dx = back(network.backward(to(dy), caches, need_dW=False))
    assert all(parameters.gradient(p).zero for p in parameters)
    np.testing.assert_allclose(dx, expected, rtol=1e-12)
    assert network.backward(to(dy), caches, need_dx=False, need_dW=False) is None


def test_gradients_join_in_the_middle(backend, rng):
    """joins = {k: d}: as if the cost had the further term Σ d · y_k."""
    network, parameters = bound([*dense((7, 6, 5, 3), ["tanh", "sigmoid", "identity"], "W", "b").layers], backend, rng)
    to, back = backend.from_numpy, backend.to_numpy
    x, dy, d1, d3 = (rng.standard_normal((4, n)) for n in (7, 3, 6, 5))

    def outputs(x):
        y, caches = network.forward(to(x))
        return y, caches, caches[2], caches[4]  # the inputs of the second and third affine maps

    def J(x):
        y, _, h1, h2 = (back(a) if k != 1 else a for k, a in enumerate(outputs(x)))
        return (dy * y).sum() + (d1 * h1).sum() + (d3 * h2).sum()

    _, caches, *_ = outputs(x)
    parameters.zero_grad()
    joins = {1: to(d1.copy()), 3: to(d3.copy())}  # their memory is used
    dx = back(network.backward(to(dy), caches, joins=joins))
    for i in range(7):
        e = np.zeros_like(x)
        e[1, i] = 1e-6
        assert dx[1, i] == pytest.approx((J(x + e) - J(x - e)) / 2e-6, rel=1e-7, abs=1e-9)
    flat, g = parameters.flat, back(parameters.grad).copy()
    before, v = back(flat).copy(), rng.standard_normal(flat.shape)
    found = []
    for t in (1e-6, -1e-6):
        flat[...] = to(before + t * v)
        found.append(J(x))
    assert g @ v == pytest.approx((found[0] - found[1]) / 2e-6, rel=1e-7)


def test_dy_may_be_absent_where_a_gradient_joins(backend, rng):
    """From a penalty on a lower layer alone: the layers above it get no gradient."""
    network, parameters = bound([*dense((7, 6, 5), ["tanh", "tanh"], "W", "b").layers], backend, rng)
    x = backend.from_numpy(rng.standard_normal((4, 7)))
    _, caches = network.forward(x)
    parameters.zero_grad()
    d = rng.standard_normal((4, 6))
    dx = network.backward(None, caches, joins={1: backend.from_numpy(d.copy())})
    assert parameters.gradient("W2").zero and not parameters.gradient("W1").zero
    lower = Network(network.layers[:2])
    np.testing.assert_allclose(
        backend.to_numpy(dx), backend.to_numpy(lower.backward(backend.from_numpy(d), caches[:2])), rtol=1e-12
    )


def test_an_activation_writes_over_its_input_only_where_the_layer_below_does_not_need_it():
    layers = dense((7, 6, 5), ["tanh", "sigmoid"], "W", "b").layers
    assert [layer.may_overwrite for layer in layers] == [False, True, False, True]
    two = Network([Activation("tanh"), Activation("sigmoid")])  # the slope of tanh is read from its output
    assert [layer.may_overwrite for layer in two.layers] == [False, False]


def test_the_incoming_gradient_is_never_written_to(backend, rng):
    for name, layers in LAYERS.items():
        network, _ = bound(layers(), backend, rng)
        y, caches = network.forward(backend.from_numpy(rng.standard_normal((4, 7))))
        dy = rng.standard_normal(y.shape)
        device = backend.from_numpy(dy)
        network.backward(device, caches)
        np.testing.assert_array_equal(backend.to_numpy(device), dy, err_msg=name)


def test_a_layer_that_is_not_finished_says_what_is_missing():
    layer = Layer()
    for call in (lambda: layer.forward(None), lambda: layer.backward(None, None)):
        with pytest.raises(NotImplementedError, match="Layer has no"):
            call()
    with pytest.raises(InputError, match="Layer has no Jacobian"):
        layer.chain(None, None)
    with pytest.raises(InputError, match="unknown activation 'mish'"):
        Activation("mish")


def test_mode():
    assert not EVAL.train and Mode("train").train
    with pytest.raises(InputError, match="mode is 'test': choose 'train' or 'eval'"):
        Mode("test")
    assert Mode().constants == {} and Mode("train", {"f.mask": 1}).constants == {"f.mask": 1}


def test_mirrored_undoes_the_widths(backend, rng):
    for tied in (False, True):
        encoder = dense((7, 5, 3), ["tanh", "tanh"], "W", "b")
        decoder = mirrored((7, 5, 3), ["tanh", "identity"], tied)
        shapes = encoder.shapes() | {k: v for k, v in decoder.shapes().items() if k not in encoder.shapes()}
        assert list(shapes)[:4] == ["W1", "b1", "W2", "b2"] and len(shapes) == (6 if tied else 8)
        assert [layer.n for layer in decoder.trained()] == [3, 5] and [layer.m for layer in decoder.trained()] == [5, 7]

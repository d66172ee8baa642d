import numpy as np
import pytest

from minae.ops import ACTIVATIONS


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
    for encoder, decoder in zip(model.f.layers, reversed(model.g.layers), strict=True):
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

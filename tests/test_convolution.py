"""Convolution, up-convolution and pooling: identities, differences, parity of the forms, what is refused."""

import itertools

import numpy as np
import pytest
from scipy.signal import correlate, correlate2d

from minae import InputError, Model, check_gradient, kernels
from minae.arena import Arena
from minae.fields import Real
from minae.kernels import convolution as kernel
from minae.layers import (
    Activation,
    Affine,
    ChannelsFirst,
    ChannelsLast,
    Convolution,
    Flatten,
    MaxPool,
    MeanPool,
    Reshape,
    UpConvolution,
    UpSample,
)
from minae.losses import Gaussian
from minae.networks import Network
from minae.ops import convolution as ops
from minae.ops import pooling
from minae.ops.convolution import Window
from minae.parameters import Parameters

# ---- the adjoint: ⟨conv(x), y⟩ = ⟨x, upconv(y)⟩, for every window

IMAGES = [(9, 7), (5, 8), (4, 4)]
GRID = [Window.of(2, *k) for k in itertools.product((1, 2, 3, (2, 4)), (1, 2, (3, 2)), (0, 1, (1, 2)), (1, 2, (1, 3)))]
SIGNALS = [Window.of(1, *k) for k in itertools.product((1, 2, 3, 5), (1, 2, 3), (0, 1, 2), (1, 2))]


def cases():
    for window, space in [*itertools.product(GRID, IMAGES), *itertools.product(SIGNALS, [(11,), (8,)])]:
        if min(window.windows(space)) > 0:
            yield window, space


def gap(window, space, backend, rng, dx=ops.conv_dx, conv=ops.conv):
    """The relative difference of the two inner products; 3 channels of x, 4 of y."""
    arena, W = Arena(backend, "float64"), rng.standard_normal((np.prod(window.kernel) * 3, 4))
    to, back, x = backend.from_numpy, backend.to_numpy, rng.standard_normal((2, *space, 3))
    y = rng.standard_normal((2, *window.windows(space), 4))
    one = (back(conv(to(x), to(W), None, window, arena)) * y).sum()
    other = (back(dx(to(y), to(W), window, space, arena)) * x).sum()
    return abs(one - other) / np.linalg.norm(x) / np.linalg.norm(y)


def test_the_adjoint_identity(backend, rng):
    assert max(gap(window, space, backend, rng) for window, space in cases()) <= 1e-12


def test_the_block_size_changes_nothing(backend, rng, monkeypatch):
    """One example at a time, and all at once."""
    x, W, dy = rng.standard_normal((5, 9, 7, 3)), rng.standard_normal((27, 4)), rng.standard_normal((5, 5, 4, 4))
    found = []
    for block in (1, 1 << 20):
        monkeypatch.setattr(backend, "block", block, raising=False)
        layer, parameters = bound(Convolution("W1", "b1", (9, 7, 3), 4, 3, 2, 1), backend)
        layer.W[...] = backend.from_numpy(W)
        y, cache = layer.forward(backend.from_numpy(x))
        dx = layer.backward(backend.from_numpy(dy), cache)
        found.append([backend.to_numpy(a) for a in (y, dx, parameters.grad)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def flipped(dy, W, window, space, arena):
    """The kernel turned around, and the channels exchanged as they should be."""
    return ops.conv_dx(dy, np.ascontiguousarray(W.reshape(-1, 3, 4)[::-1]).reshape(W.shape), window, space, arena)


def not_exchanged(dy, W, window, space, arena):
    """W_{(u v o) c} for W_{(u v c) o}, as where a transposition of the channels is forgotten; here C = O is needed."""
    return ops.conv_dx(
        dy, np.ascontiguousarray(W.reshape(-1, 3, 3).swapaxes(1, 2)).reshape(W.shape), window, space, arena
    )


def exchanged(window):
    """stride and dilation exchanged in the backward pass: invisible where both are 1."""
    return Window(window.kernel, window.dilation, window.padding, window.stride)


def test_the_adjoint_identity_can_fail(rng):
    from minae.backend import get_backend

    backend, window = get_backend("numpy"), Window.of(2, 3, 2, 1)
    assert gap(window, (9, 7), backend, rng) < 1e-12
    assert gap(window, (9, 7), backend, rng, flipped) > 1e-3
    strided, arena = Window.of(2, 2, 2, 1, 3), Arena(backend, "float64")
    x, W = rng.standard_normal((2, 9, 9, 3)), rng.standard_normal((12, 3))
    y = ops.conv(x, W, None, strided, arena)
    dy = rng.standard_normal(y.shape)
    right = (y * dy).sum()

    def against(dx):
        return abs((dx * x).sum() - right)

    assert against(ops.conv_dx(dy, W, strided, (9, 9), arena)) < 1e-10
    assert against(not_exchanged(dy, W, strided, (9, 9), arena)) > 1e-3
    assert against(ops.conv_dx(dy, W, exchanged(strided), (9, 9), arena)) > 1e-3
    plain = Window.of(2, 2)
    y = ops.conv(x, W, None, plain, arena)
    dx = [ops.conv_dx(y, W, each, (9, 9), arena) for each in (plain, exchanged(plain))]
    np.testing.assert_array_equal(*dx)  # which is why a test at stride 1 says nothing


@pytest.mark.parametrize("kernel_size, padding", [(1, 0), (3, 1), ((2, 4), (1, 2)), ((5, 3), 0)])
def test_convolution_of_stride_1_is_scipy_s_correlation(kernel_size, padding, backend, rng):
    window, arena = Window.of(2, kernel_size, padding=padding), Arena(backend, "float64")
    W, b, x = rng.standard_normal((*window.kernel, 3, 2)), rng.standard_normal(2), rng.standard_normal((2, 9, 7, 3))
    to = backend.from_numpy
    y = backend.to_numpy(ops.conv(to(x), to(W.reshape(-1, 2)), to(b), window, arena))
    padded = np.pad(x, ((0, 0), *((p, p) for p in window.padding), (0, 0)))
    for n, o in itertools.product(range(2), range(2)):
        expected = b[o] + sum(correlate2d(padded[n, :, :, c], W[:, :, c, o], mode="valid") for c in range(3))
        np.testing.assert_allclose(y[n, :, :, o], expected, rtol=1e-12, atol=1e-12)


def test_a_signal_is_an_image_of_height_1(backend, rng):
    arena, to, back = Arena(backend, "float64"), backend.from_numpy, backend.to_numpy
    x, W, b = rng.standard_normal((2, 11, 3)), rng.standard_normal((9, 2)), rng.standard_normal(2)
    one, two = Window.of(1, 3, 2, 1, 2), Window.of(2, (1, 3), (1, 2), (0, 1), (1, 2))
    y = back(ops.conv(to(x), to(W), to(b), one, arena))
    np.testing.assert_array_equal(y, back(ops.conv(to(x[:, None]), to(W), to(b), two, arena))[:, 0])
    y = back(ops.conv(to(x), to(W), to(b), Window.of(1, 3), arena))
    for n, o in itertools.product(range(2), range(2)):
        expected = sum(correlate(x[n, :, c], W.reshape(3, 3, 2)[:, c, o], mode="valid") for c in range(3))
        np.testing.assert_allclose(y[n, :, o] - b[o], expected, rtol=1e-12)


def test_the_bare_operation_takes_a_stride_that_leaves_rows_unread(backend, rng):
    window = Window.of(2, 2, 3)
    assert gap(window, (9, 7), backend, rng) < 1e-12
    with pytest.raises(InputError, match="no window reads pixel 2"):
        Convolution("W", "b", (9, 7, 3), 4, 2, 3)


# ---- networks, by differences


class Small(Model):
    """Layers in a row, and squared error of what they make."""

    def __init__(self, layers, field, target, **options):
        self.given = layers, field, target
        super().__init__(**options)

    def copy(self, *, backend=None, dtype=None):
        other = type(self)(*self.given, backend=backend or self.backend, dtype=dtype or self.dtype.name)
        other.parameters.flat[...] = other.backend.from_numpy(self.backend.to_numpy(self.parameters.flat).astype(dtype))
        return other

    def inputs(self):
        return {"x": Real(*self.given[1]), "y": Real(*self.given[2])}

    def networks(self):
        return {"f": Network(self.given[0]())}

    def build(self):
        self.loss = Gaussian(self.arena, self.weights)

    def cost_and_grad(self, x, y, mode="train", need_grad=True):
        s, caches = self.f.forward(x, mode)
        L, ds = self.loss(s, y)
        cost = self.cost(L=L)
        if need_grad:
            self.f.backward(ds, caches, need_dx=False)
        return cost


def chained(shape, *makers):
    """Layers, each built for the shape that the one below it makes."""
    layers = []
    for make in makers:
        layer = make(shape) if callable(make) else make
        shape = layer.shape_out or shape
        layers.append(layer)
    return layers


TANH = [lambda shape: Activation("tanh")]


def affine(m):
    return lambda shape: Affine("V1", "c1", *shape, m)


def conv(k, channels, *window, layer=Convolution, **more):
    """With its parameters' names from its place in a network."""
    return lambda shape: layer(f"W{k}", f"b{k}", shape, channels, *window, **more)


NETWORKS = {
    "convolutions": ((2, 9, 7), [ChannelsLast, conv(1, 3, 3, 2, 1), *TANH, conv(2, 2, (2, 3), 1, (0, 1), (1, 2)), *TANH,
                                 Flatten, affine(4)], (4,)),
    "up": ((3, 4, 3), [ChannelsLast, conv(1, 2, 3, 2, 1, layer=UpConvolution, output_padding=(1, 0)), *TANH,
                       conv(2, 3, (2, 3), (1, 2), 0, (2, 1), layer=UpConvolution), ChannelsFirst], (3, 10, 11)),
    "max": ((2, 9, 7), [ChannelsLast, conv(1, 3, 2), *TANH, lambda s: MaxPool(s, (4, 3)), Flatten, affine(4)], (4,)),
    "max, overlapping": ((1, 9, 7), [ChannelsLast, conv(1, 3, 3), lambda s: MaxPool(s, 3, 2), *TANH, Flatten,
                                     affine(4)], (4,)),
    "mean": ((2, 9, 7), [ChannelsLast, conv(1, 3, 2), *TANH, lambda s: MeanPool(s, (4, 3)), Flatten, affine(4)], (4,)),
    "mean, overlapping": ((1, 9, 7), [ChannelsLast, conv(1, 3, 3), lambda s: MeanPool(s, 3, 2), *TANH, Flatten,
                                      affine(4)], (4,)),
    "up-sampling": ((2, 3, 4), [ChannelsLast, conv(1, 3, 2), *TANH, lambda s: UpSample(s, (2, 3)), conv(2, 2, 3, 1, 1),
                                ChannelsFirst], (2, 4, 9)),
    "signals": ((3, 12), [ChannelsLast, conv(1, 4, 3, 2, 1, 1), *TANH, conv(2, 3, 3, 1, 2, 2), lambda s: MaxPool(s, 2),
                          lambda s: UpSample(s, 2), conv(3, 2, 4, 2, 1, layer=UpConvolution), ChannelsFirst], (2, 12)),
    "from a code": ((5,), [Affine("V1", "c1", 5, 24), *TANH, lambda s: Reshape((24,), (3, 4, 2)),
                           conv(1, 1, 4, 2, 1, layer=UpConvolution), Flatten], (48,)),
}  # fmt: skip


def small(name, backend, makers=None):
    field, original, target = NETWORKS[name]
    model = Small(lambda: chained(field, *(makers or original)), field, target, backend=backend, dtype="float64")
    rng = np.random.default_rng(1)
    model.parameters.flat[...] += backend.from_numpy(0.3 * rng.standard_normal(model.parameters.flat.shape))
    x, y = rng.standard_normal((3, *field)), rng.standard_normal((3, *target))
    return model, x, y


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_through_networks(name, backend):
    model, x, y = small(name, backend)
    report = check_gradient(model, x, y, entries=60)
    assert report and report.worst.error <= 1e-8, f"\n{report}"


@pytest.mark.parametrize("name", NETWORKS)
def test_dx_of_the_lowest_layer(name, backend, rng):
    """The gradient by x itself, which no parameter of the networks above sees."""
    model, x, _ = small(name, backend)
    to, back = backend.from_numpy, backend.to_numpy
    s, caches = model.f.forward(to(x))
    ds, e = rng.standard_normal(s.shape), rng.standard_normal(x.shape)
    given = to(ds.copy())
    dx = back(model.f.backward(given, caches, need_dW=False))
    np.testing.assert_array_equal(back(given), ds)  # the incoming gradient is not written to
    up, down = (back(model.f.forward(to(x + t * e))[0]) for t in (1e-5, -1e-5))
    assert (dx * e).sum() == pytest.approx(((up - down) * ds).sum() / 2e-5, rel=1e-8)
    assert all(model.parameters.gradient(p).zero for p in model.parameters)  # need_dW=False


@pytest.mark.parametrize("name", [name for name, case in NETWORKS.items() if len(case[2]) == 1])
def test_jacobians_through_networks(name, backend, rng):
    model, x, _ = small(name, backend)
    to, back, e = backend.from_numpy, backend.to_numpy, rng.standard_normal(x.shape)
    J = back(model.f.jacobian(to(x)))
    assert J.shape == (3, *NETWORKS[name][2], *x.shape[1:])
    up, down = (back(model.f.forward(to(x + t * e))[0]) for t in (1e-5, -1e-5))
    np.testing.assert_allclose((J * e[:, None]).reshape(*J.shape[:2], -1).sum(2), (up - down) / 2e-5, atol=1e-8)


class Flipped(Convolution):
    """As teaching code has it: the kernel of dx is turned around once too often."""

    def backward(self, dy, x, need_dx=True, need_dW=True):
        super().backward(dy, x, False, need_dW)
        return flipped(dy, self.W, self.window, self.space, self.arena) if need_dx else None


class NotSummed(Convolution):
    """db of one place instead of all."""

    def backward(self, dy, x, need_dx=True, need_dW=True):
        self.db.add_rows(dy[:, 0, 0])
        ops.conv_dW(x, dy, self.dW, self.window, self.arena)
        return ops.conv_dx(dy, self.W, self.window, self.space, self.arena)


def test_wrong_backwards_are_caught(rng):
    from minae.backend import get_backend

    backend = get_backend("numpy")
    below = [ChannelsLast, conv(1, 3, 3), *TANH]
    for kind, seen in ((Convolution, set()), (Flipped, {"W1", "b1"}), (NotSummed, {"b2"})):
        makers = [*below, conv(2, 4, 3, 2, 1, layer=kind), *TANH, Flatten, affine(4)]
        field, target = (2, 9, 7), (4,)
        model = Small(
            lambda makers=makers: chained((2, 9, 7), *makers), field, target, backend=backend, dtype="float64"
        )
        report = check_gradient(model, rng.standard_normal((3, *field)), rng.standard_normal((3, *target)), entries=60)
        assert {row.parameter for row in report.rows if not row.passed} == seen, f"\n{report}"
    alone = [ChannelsLast, conv(2, 4, 3, 2, 1, layer=Flipped), *TANH, Flatten, affine(4)]  # nothing below asks for dx
    model = Small(lambda: chained((2, 9, 7), *alone), (2, 9, 7), (4,), backend=backend, dtype="float64")
    assert check_gradient(model, rng.standard_normal((3, 2, 9, 7)), rng.standard_normal((3, 4)), entries=60)


def bound(layer, backend, dtype="float64"):
    parameters = Parameters(layer.shapes(), Arena(backend, dtype))
    layer.bind(parameters, {})
    layer.initialize(np.random.default_rng(0))
    parameters.zero_grad()
    return layer, parameters


# ---- pooling


def test_of_equal_pixels_the_first_takes_the_gradient(backend, rng):
    """A constant image: every window is one tie. And no pixel gets what its window has not."""
    layer, _ = bound(MaxPool((4, 6, 2), 2), backend)
    y, t = layer.forward(backend.from_numpy(np.ones((2, 4, 6, 2))))
    dy = rng.standard_normal(y.shape)
    dx = backend.to_numpy(layer.backward(backend.from_numpy(dy), t))
    np.testing.assert_array_equal(dx[:, ::2, ::2], dy)
    dx[:, ::2, ::2] = 0
    assert not dx.any() and not backend.to_numpy(t).any()


def test_pooling_is_what_its_name_says(backend, rng):
    x, to, back = np.round(3 * rng.standard_normal((2, 6, 9, 2))), backend.from_numpy, backend.to_numpy
    blocks = x.reshape(2, 3, 2, 3, 3, 2)
    y, _ = bound(MaxPool((6, 9, 2), (2, 3)), backend)[0].forward(to(x))
    np.testing.assert_array_equal(back(y), blocks.max(axis=(2, 4)))
    y, _ = bound(MeanPool((6, 9, 2), (2, 3)), backend)[0].forward(to(x))
    np.testing.assert_allclose(back(y), blocks.mean(axis=(2, 4)), rtol=1e-12, atol=1e-15)
    y, _ = bound(UpSample((6, 9, 2), (2, 3)), backend)[0].forward(to(x))
    np.testing.assert_array_equal(back(y), x.repeat(2, axis=1).repeat(3, axis=2))


def test_mean_pooling_is_the_adjoint_of_up_sampling(backend, rng):
    arena, window = Arena(backend, "float64"), Window.of(2, (2, 3), (2, 3))
    x, y = rng.standard_normal((2, 6, 9, 4)), rng.standard_normal((2, 3, 3, 4))
    to, back = backend.from_numpy, backend.to_numpy
    mean, up = back(pooling.mean_pool(to(x), window, arena)), back(pooling.upsample(to(y), window, arena))
    assert 6 * (mean * y).sum() == pytest.approx((x * up).sum(), rel=1e-12)


def test_nan_goes_through(backend):
    x = np.ones((1, 4, 4, 1))
    x[0, 1, 2, 0] = np.nan
    for layer in (MaxPool((4, 4, 1), 2), MeanPool((4, 4, 1), 2), Convolution("W", "b", (4, 4, 1), 1, 2, 2)):
        y, _ = bound(layer, backend)[0].forward(backend.from_numpy(x))
        assert np.isnan(backend.to_numpy(y)).ravel().tolist() == [False, True, False, False]


# ---- layers


def test_layers_say_what_they_make(backend, rng):
    """`shape_out` is the shape of an example of y, and that of x behind the backward pass."""
    for name, (field, makers, _) in NETWORKS.items():
        layers = chained(field, *makers)
        network = Network(layers)
        network.bind(Parameters(network.shapes(), Arena(backend, "float32")), {})
        network.initialize(rng)
        x = backend.from_numpy(rng.standard_normal((2, *field)).astype("float32"))
        for layer in layers:
            y, cache = layer.forward(x)
            assert y.shape[1:] == (layer.shape_out or y.shape[1:]), name
            dx = layer.backward(y, cache)
            assert dx.shape == x.shape and dx.dtype == y.dtype == "float32", name
            x = y


def test_the_first_weights_keep_the_signal(rng):
    from minae.backend import get_backend

    backend = get_backend("numpy")
    x = rng.standard_normal((64, 16, 16, 24))
    he = Convolution("W", "b", (16, 16, 24), 40, 3, 1, 1, gain=2)
    up = UpConvolution("W", "b", (16, 16, 24), 40, 4, 2, 1, gain=2)
    for layer in (he, up):
        y, _ = bound(layer, backend)[0].forward(x)
        inner = y[:, 3:-3, 3:-3]
        assert inner.var() == pytest.approx(2.0, rel=0.1)  # which a ReLU makes 1 in the mean of squares
    glorot = Convolution("W", "b", (16, 16, 24), 40, 3)
    assert bound(glorot, backend)[0].W.var() == pytest.approx(2 / (9 * 24 + 9 * 40), rel=0.05)
    assert (
        UpConvolution("W", "b", (5, 5, 40), 24, 3, 2).fans == Convolution("W", "b", (11, 11, 24), 40, 3, 2).fans[::-1]
    )


def test_one_channel_is_not_copied(backend, rng):
    x = backend.from_numpy(rng.standard_normal((2, 1, 4, 3)))
    y, _ = bound(ChannelsLast((1, 4, 3)), backend)[0].forward(x)
    x[0, 0, 1, 2] = 7
    assert float(y[0, 1, 2, 0]) == 7
    three = rng.standard_normal((2, 3, 4, 5))
    y, _ = bound(ChannelsLast((3, 4, 5)), backend)[0].forward(backend.from_numpy(three))
    np.testing.assert_array_equal(backend.to_numpy(y), three.transpose(0, 2, 3, 1))
    back, _ = bound(ChannelsFirst((4, 5, 3)), backend)[0].forward(y)
    np.testing.assert_array_equal(backend.to_numpy(back), three)


@pytest.mark.parametrize(
    "make, words",
    [
        (
            lambda: Convolution("W", "b", (4, 9, 1), 2, 5),
            "kernel 5, stride 1, .* on 4 pixels: a window takes 5 of 4; choose",
        ),
        (lambda: Convolution("W", "b", (4, 9, 1), 2, 3, dilation=2), "a window takes 5 of 4"),
        (lambda: Convolution("W", "b", (28, 28, 1), 2, 3, 2), "on 28 pixels: no window reads pixel 27; choose"),
        (lambda: Convolution("W", "b", (9, 9, 1), 2, 1, 2), "no window reads pixel 1"),
        (lambda: Convolution("W", "b", (9, 9, 1), 2, 0), "kernel is 0: expected a whole number ≥ 1"),
        (lambda: Convolution("W", "b", (9, 9, 1), 2, 3, 1.5), "stride is 1.5: expected a whole number ≥ 1"),
        (lambda: Convolution("W", "b", (9, 9, 1), 2, 3, padding=-1), "padding is -1: expected a whole number ≥ 0"),
        (lambda: Convolution("W", "b", (9, 1), 2, (3, 3)), r"kernel is \(3, 3\): expected .* each of 1 axes"),
        (lambda: MaxPool((784,), 2), r"shape is \(784,\): expected \(H, W, C\) or \(T, C\)"),
        (lambda: Convolution("W", "b", (9, 9, 1), 0, 3), "channels is 0: expected"),
        (
            lambda: UpConvolution("W", "b", (9, 9, 1), 2, 3, 2, output_padding=2),
            "output_padding is 2: expected less than",
        ),
        (lambda: UpConvolution("W", "b", (9, 9, 1), 2, 2, 3), "no window reads pixel 2"),
        (lambda: UpConvolution("W", "b", (1, 1, 1), 2, 1, 1, 1), "on -1 pixels: .*; choose another kernel or padding"),
        (lambda: UpConvolution("W", "b", (9, 1), 2, (2, 2)), r"kernel is \(2, 2\)"),
        (lambda: UpConvolution("W", "b", (9, 1), 2, 2, "2"), "stride is '2'"),
        (lambda: MaxPool((9, 8, 2), 2), "on 9 pixels: no window reads pixel 8"),
        (lambda: UpSample((9, 8, 2), 0), "kernel is 0"),
        (lambda: Reshape((7, 7, 32), (1500,)), r"\(7, 7, 32\) has 1568 numbers and \(1500,\) 1500"),
    ],
)
def test_what_is_refused(make, words):
    with pytest.raises(InputError, match=words) as error:
        make()
    assert "\n" not in str(error.value)


def test_a_network_of_layers_that_do_not_fit_is_refused():
    first, relu = Convolution("W1", "b1", (9, 7, 1), 4, 3, 2, 1), Activation("relu")
    flat = Flatten(first.shape_out)
    Network([ChannelsLast((1, 9, 7)), first, relu, flat, Affine("V1", "c1", 80, 3)])
    for below, above, words in (
        (
            [first, relu],
            MaxPool((5, 8, 4), (5, 2)),
            r"MaxPool reads examples of shape \(5, 8, 4\): expected \(5, 4, 4\)",
        ),
        ([first, relu, flat], Affine("V1", "c1", 81, 3), r"Affine reads examples of shape \(81,\): expected \(80,\)"),
        ([Affine("V1", "c1", 3, 81)], Reshape((80,), (5, 4, 4)), r"Reshape reads examples of shape \(80,\)"),
    ):
        with pytest.raises(InputError, match=words):
            Network([*below, above])


def test_a_step_allocates_nothing():
    """The second pass finds every array of the first."""
    import tracemalloc

    from minae.backend import get_backend

    layers = chained((20, 20, 4), conv(1, 8, 3, 1, 1), lambda s: MaxPool(s, 2), lambda s: UpSample(s, 2),
                     lambda s: MeanPool(s, 2), conv(2, 4, 4, 2, 1, layer=UpConvolution))  # fmt: skip
    network = Network(layers)
    parameters = Parameters(network.shapes(), Arena(get_backend("numpy"), "float32"))
    network.bind(parameters, {})
    x = np.ones((400, 20, 20, 4), "float32")  # NumPy casts through buffers of a fixed size

    def step():
        with parameters.arena:
            parameters.zero_grad()
            y, caches = network.forward(x)
            network.backward(y, caches)

    step(), step()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    step()
    grown = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    assert grown < x.nbytes / 10


# ---- the kernel's forms

KERNEL = [
    ((2, 9, 7, 3), (3, 2), ((2, 1), (1, 0), (1, 1))),
    ((1, 1, 1, 1), (1, 1), ((1, 1), (0, 0), (1, 1))),
    ((3, 5, 8, 1), (2, 3), ((1, 3), (2, 1), (2, 2))),
    ((0, 4, 4, 2), (2, 2), ((2, 2), (0, 0), (1, 1))),
    ((2, 6, 5, 17), (4, 4), ((2, 2), (3, 3), (1, 1))),
    ((65, 28, 28, 2), (3, 3), ((2, 2), (1, 1), (1, 1))),
    ((2, 11, 3), (4,), ((3,), (2,), (2,))),
]


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("shape, taps, steps", KERNEL)
def test_the_loops_are_the_plain_forms(shape, taps, steps, dtype, tolerance, rng, monkeypatch):
    x, window = rng.standard_normal(shape).astype(dtype), Window(taps, *steps)
    cols = rng.standard_normal((len(x), *window.windows(shape[1:-1]), *taps, shape[-1])).astype(dtype)
    bias, found = rng.standard_normal(shape[-1]).astype(dtype), []
    for plain in (True, False):
        with monkeypatch.context() as patch:
            if plain:
                patch.setattr(kernels, "path", lambda *_: "plain")
            made, with_bias, without = np.full_like(cols, np.nan), np.full_like(x, np.nan), np.full_like(x, np.nan)
            kernel.im2col(x, made, *steps)
            kernel.col2im(cols, with_bias, *steps, bias)
            kernel.col2im(cols, without, *steps)
            found.append((made, with_bias, without))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(0, 4, 3), (1, 1, 1), (5, 9, 1), (3000, 6, 17)])
def test_the_first_largest_of_each_window(shape, dtype, rng, monkeypatch):
    cols, found = np.round(2 * rng.standard_normal(shape)).astype(dtype), []
    cols[rng.uniform(size=shape) < 0.01] = np.nan
    for plain in (True, False):
        with monkeypatch.context() as patch:
            if plain:
                patch.setattr(kernels, "path", lambda *_: "plain")
            y, t = np.empty((shape[0], shape[2]), dtype), np.empty((shape[0], shape[2]), "int32")
            kernel.first_largest(cols, y, t)
            found.append((y, t))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)

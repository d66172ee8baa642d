import dataclasses

import numpy as np
import pytest

from minae.arena import Arena
from minae.backend import Backend
from minae.errors import InputError
from minae.parameters import Parameters
from minae.training import SGD, Adam, AdamW, Constant, Cosine, Momentum, Nesterov, StepDecay, WarmUp

GRADIENTS = np.array([[0.5, -2.0, 0.0], [0.1, 1.0, 3.0], [-0.4, 0.2, -1.0]])
START = np.array([1.0, -1.0, 0.5])


def book_sgd(theta, gradients):
    for g in gradients:
        theta = theta - 0.1 * g
    return theta


def book_momentum(theta, gradients):
    v = 0
    for g in gradients:
        v = 0.9 * v - 0.1 * g
        theta = theta + v
    return theta


def book_nesterov(theta, gradients):
    """(8.21, 8.22) on θ; the vector that our optimizer keeps is θ + α v, at which it is given the gradient."""
    v = 0
    for g in gradients:
        v = 0.9 * v - 0.1 * g
        theta = theta + v
    return theta + 0.9 * v


def book_adam(theta, gradients, decay=0.0):
    s = r = 0
    for t, g in enumerate(gradients, start=1):
        theta = theta - 0.1 * decay * theta
        s, r = 0.9 * s + 0.1 * g, 0.999 * r + 0.001 * g**2
        theta = theta - 0.1 * (s / (1 - 0.9**t)) / (np.sqrt(r / (1 - 0.999**t)) + 1e-8)
    return theta


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "optimizer, book",
    [
        (SGD(0.1), book_sgd),
        (Momentum(0.1), book_momentum),
        (Nesterov(0.1), book_nesterov),
        (Adam(0.1), book_adam),
        (AdamW(0.1, weight_decay=0.01), lambda theta, g: book_adam(theta, g, 0.01)),
    ],
)
def test_steps_are_the_books(optimizer, book, dtype, backend):
    optimizer = dataclasses.replace(optimizer)
    parameters = Parameters({"w": (3,)}, Arena(backend, dtype))
    parameters.flat[...] = backend.from_numpy(START.astype(dtype))
    for g in GRADIENTS:
        parameters.zero_grad()
        parameters.gradient("w").array[...] += backend.from_numpy(g.astype(dtype))
        optimizer.step(parameters)
    assert parameters.flat.dtype == dtype and optimizer.t == 3
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(backend.to_numpy(parameters.flat), book(START, GRADIENTS), rtol=tolerance)


def test_schedules():
    assert [Constant(0.3)(t) for t in (0, 9)] == [0.3, 0.3]
    assert [StepDecay(1.0, every=2, factor=0.5)(t) for t in range(5)] == [1, 1, 0.5, 0.5, 0.25]
    cosine = Cosine(1.0, steps=10, floor=0.1)
    assert cosine(0) == 1 and cosine(5) == pytest.approx(0.55) and cosine(10) == cosine(99) == pytest.approx(0.1)
    assert [WarmUp(0.4, steps=4)(t) for t in range(5)] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4])
    assert WarmUp(Cosine(1.0, steps=10), steps=2)(10) == pytest.approx(0)


def test_a_schedule_drives_the_step():
    parameters = Parameters({"w": (3,)}, Arena(Backend(), "float64"))
    optimizer = SGD(StepDecay(1.0, every=1, factor=0.5))
    for _ in range(3):
        parameters.zero_grad()
        parameters.gradient("w").array[...] += 1
        optimizer.step(parameters)
    np.testing.assert_allclose(parameters.flat, -1.75)


@pytest.mark.parametrize("lr", [0, -1.0, float("nan")])
def test_a_learning_rate_out_of_range_is_refused(lr):
    with pytest.raises(InputError, match="learning rate"):
        Adam(lr)


@pytest.mark.parametrize("optimizer", [SGD(0.1), Momentum(0.1), Nesterov(0.1), Adam(0.1), AdamW(0.1)])
def test_a_step_may_move_a_part_of_the_vector(optimizer, backend):
    """`only`: the parameters of a turn. They move as they would alone, and the others stay to the bit."""
    optimizer, alone = dataclasses.replace(optimizer), dataclasses.replace(optimizer)
    whole = Parameters({"a": (2,), "b": (3,), "c": (1,)}, Arena(backend, "float64"))
    part = Parameters({"b": (3,)}, Arena(backend, "float64"))
    for parameters in (whole, part):
        parameters["b"][...] = backend.from_numpy(START)
    for g in GRADIENTS:
        for parameters, optimizing, only in ((whole, optimizer, {"b"}), (part, alone, None)):
            parameters.zero_grad()
            for name in parameters:
                parameters.gradient(name).array[...] += 1.0 if name != "b" else backend.from_numpy(g)
            optimizing.step(parameters, only)
    np.testing.assert_array_equal(backend.to_numpy(whole["b"]), backend.to_numpy(part["b"]))
    assert not backend.to_numpy(whole["a"]).any() and not backend.to_numpy(whole["c"]).any()

"""Faults of public implementations, put into our own classes: the layer of tests that is named for one catches it."""

import numpy as np
import pytest

from minae import UndercompleteAutoencoder, VariationalAutoencoder, check_gradient
from minae.chapters.ch14 import faults, safeguards
from minae.chapters.ch14.faults import FAMILIES, FAULTS, Steps, Variational, mutate
from minae.chapters.ch14.safeguards import LAYERS, X, tiny
from minae.models import registry

BY_NAME = {fault.name: fault for fault in FAULTS}


@pytest.mark.parametrize("name", BY_NAME)
def test_the_named_layer_catches_it(name):
    fault = BY_NAME[name]
    assert FAMILIES[fault.family].tests[fault.layer](fault.make)


@pytest.mark.parametrize("name", [fault.name for fault in FAULTS if fault.layer != "1"])
def test_finite_differences_do_not(name):
    """Why there are further layers: to them these gradients are right, and so they are, of the wrong cost."""
    model = BY_NAME[name].make()
    assert check_gradient(model, safeguards.data_of(model))


@pytest.mark.parametrize("name", FAMILIES)
def test_right_models_pass_every_layer(name):
    family = FAMILIES[name]
    assert not any(family.row(family.right).values())


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_has_a_fault_and_a_right_model(layer):
    named = [fault for fault in FAULTS if fault.layer == layer]
    assert named and all(layer in FAMILIES[fault.family].tests for fault in named)


def test_no_fault_is_registered():
    assert not {model.__module__ for model in registry().values()} & {faults.__name__, safeguards.__name__}


def test_a_batch_of_one_hides_the_coupling():
    fault = BY_NAME["KL sparsity, gradient example by example"]
    assert not safeguards.gradient(fault.make, rows=1)
    assert safeguards.gradient(fault.make, rows=2)


def test_a_step_is_checked_with_its_constant_held_fixed():
    """The forward pass is the hard step in both checks. What differs is whether c is a constant of the differences."""

    def caught(slope, held):
        return safeguards.gradient(tiny(mutate(Steps, slope=slope, held=held), loss="gaussian"))

    assert not caught(slope=None, held=True) and caught(slope=None, held=False)
    assert caught(slope=0.0, held=True) and not caught(slope=0.0, held=False)
    assert safeguards.layers_move(tiny(mutate(Steps, slope=0.0), loss="gaussian"))


def test_the_step_is_hard():
    model = FAMILIES["straight-through"].right()
    decoded, forward = [], model.g.forward
    model.g.forward = lambda h, *more: (decoded.append(h.copy()), forward(h, *more))[1]
    cost = model.cost_and_grad(X[:4])
    frozen = model.cost_and_grad(X[:4], **cost.constants)
    assert set(np.unique(decoded)) == {0.0, 1.0} and float(frozen) == float(cost)


def test_the_open_variational_autoencoder_is_its_parent():
    """Where no fault is put into it, the copy of the lines that the four mutations share is exact."""
    options = dict(sizes=(7, 5, 3), activation="tanh", beta=2.0)
    models = [tiny(Model, **options)() for Model in (Variational, VariationalAutoencoder)]
    eps = np.random.default_rng(0).standard_normal((4, 3))
    costs = [model.cost_and_grad(X[:4], eps=eps) for model in models]
    for term in ("L", "KL"):
        assert float(costs[0][term]) == pytest.approx(float(costs[1][term]), rel=1e-13)
    np.testing.assert_allclose(*(model.parameters.grad for model in models), rtol=1e-10, atol=1e-14)


def test_ones_pass_on_a_softmax_that_is_wrong():
    """A backward pass of the wrong sign and size is refused with a random upstream gradient, and not with ones."""

    class Wrong(faults.Upstream):
        def __call__(self, s, x):
            J, ds = super().__call__(s, x)
            return J, -3 * ds

    def check(u):
        mutant = mutate(UndercompleteAutoencoder, loss=lambda model: Wrong(model.arena, model.weights, u))
        return check_gradient(tiny(mutant)(), X[:4])

    assert check(np.ones) and not check(faults.at_random)

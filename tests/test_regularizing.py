"""Dropout, gradient reversal, clipping and averages: what each keeps, and what it changes."""

import signal

import numpy as np
import pytest

from minae import InputError, UndercompleteAutoencoder, check_gradient
from minae.fields import Real
from minae.layers import Activation, Affine, Dropout, GradientReversal, Mode
from minae.losses import Gaussian
from minae.models import Model
from minae.networks import Network
from minae.options import Flag, Number
from minae.training import SGD, Adam, clipped

F64 = dict(dtype="float64", seed=1)


class Dropped(Model):
    """x -> affine, tanh, dropout or reversal, affine, with squared error to x."""

    rate = Number(0.4, low=0, high=1)
    reversed = Flag(False)

    def inputs(self):
        return {"x": Real(7)}

    def networks(self):
        between = GradientReversal(0.5) if self.reversed else Dropout("f2", 5, self.rate)
        return {"f": Network([Affine("W1", "b1", 7, 5), Activation("tanh"), between, Affine("W2", "b2", 5, 7)])}

    def build(self):
        self.loss = Gaussian(self.arena, self.weights)

    def cost_and_grad(self, x, mode="train", need_grad=True):
        s, cache = self.f.forward(x, mode)
        L, ds = self.loss(s, x)
        if need_grad:
            self.f.backward(ds, cache, need_dx=False)
        return self.cost(L=L)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_dropout_has_the_gradient_of_its_mask(mode, backend, rng):
    report = check_gradient(Dropped(backend=backend, **F64), rng.uniform(size=(4, 7)), mode=mode)
    assert report and report.worst.error <= 1e-8


def test_dropout_keeps_the_mean_and_drops_its_share(backend, rng):
    model = Dropped(backend=backend, **F64)
    layer = model.f.layers[2]
    masks = backend.to_numpy(layer.constants(backend.stream(0, "noise", 0, 0), 20_000)["f2.mask"])
    assert (masks == 0).mean() == pytest.approx(0.4, abs=0.01) and masks.mean() == pytest.approx(1, abs=0.01)
    assert sorted(set(masks.ravel().round(12))) == [0, round(1 / 0.6, 12)]
    x = backend.from_numpy(rng.standard_normal((3, 5)))
    assert layer.forward(x)[0] is x  # outside of training nothing is dropped
    with pytest.raises(InputError, match="rate is 1: dropout would leave nothing"):
        Dropout("f2", 5, 1.0)
    with pytest.raises(InputError, match="rate is 2"):
        Dropout("f2", 5, 2)
    without = backend.to_numpy(layer.forward(x, Mode("train", {"f2.mask": backend.from_numpy(masks[:3])}))[0])
    np.testing.assert_allclose(without, backend.to_numpy(x) * masks[:3])


def test_dropout_draws_anew_in_every_step(rng):
    seen = []

    class Watched(Dropped):
        def cost_and_grad(self, x, mode="train", need_grad=True):
            if need_grad:
                seen.append(mode.constants["f2.mask"].copy())
            return super().cost_and_grad(x, mode=mode, need_grad=need_grad)

    Watched().fit(rng.uniform(size=(8, 7)).astype("f"), epochs=2, batch_size=4, progress=False)
    assert len(seen) == 4 and len({mask.tobytes() for mask in seen}) == 4


def test_reversal_turns_the_gradient_below_it(backend, rng):
    """Below the layer the gradient is −½ of that without it, and the check of an ordinary gradient refuses it there."""
    x = rng.uniform(size=(4, 7))
    plain, turned = Dropped(rate=0.0, backend=backend, **F64), Dropped(reversed=True, backend=backend, **F64)
    gradients = []
    for model in (plain, turned):
        model.cost_and_grad(backend.from_numpy(x), mode="eval")
        gradients.append(model.parameters.views(backend.to_numpy(model.parameters.grad)))
    for name, factor in {"W1": -0.5, "b1": -0.5, "W2": 1, "b2": 1}.items():
        np.testing.assert_allclose(gradients[1][name], factor * gradients[0][name], atol=1e-15)
    wrong = {row.parameter for row in check_gradient(turned, x).rows if not row.passed}
    assert wrong == {"W1", "b1"}


def test_clipping_keeps_the_direction(backend, rng):
    for size, limit in ((3.0, 1.0), (0.5, 1.0), (0.0, 1.0)):
        g = rng.standard_normal(20_000)
        g *= size / np.linalg.norm(g)
        dtheta = backend.from_numpy(g.copy())
        clipped(limit)(dtheta)
        np.testing.assert_allclose(backend.to_numpy(dtheta), g * min(1, limit / max(size, 1e-300)), rtol=1e-12)
    with pytest.raises(InputError, match="limit is 0"):
        clipped(0)


def test_clipping_within_fit(rng):
    X = rng.uniform(size=(16, 7)).astype("f")
    models = [UndercompleteAutoencoder((7, 3), **F64) for _ in range(2)]
    start = models[0].parameters.flat.copy()
    for model, limit in zip(models, (1e-3, 1e9), strict=True):
        model.fit(X, epochs=1, batch_size=16, optimizer=SGD(1.0), gradient_hook=clipped(limit), progress=False)
    steps = [model.parameters.flat - start for model in models]
    assert np.linalg.norm(steps[0]) == pytest.approx(1e-3) and np.linalg.norm(steps[1]) > 1e-2
    np.testing.assert_allclose(steps[0] / np.linalg.norm(steps[0]), steps[1] / np.linalg.norm(steps[1]), rtol=1e-6)


def test_the_average_is_the_average(rng):
    """By hand, from the parameters after every step; and what the validation sees, and what is left, is the average."""
    X, seen = rng.uniform(size=(16, 7)), []
    model = UndercompleteAutoencoder((7, 3), **F64)
    step = model.after_step

    def watched(statistics):
        step(statistics)
        seen.append(model.parameters.flat.copy())

    start, model.after_step = model.parameters.flat.copy(), watched
    history = model.fit(X, epochs=3, batch_size=4, optimizer=SGD(1.0), average=0.8, validation=X, progress=False)
    average = start
    for t, theta in enumerate(seen, start=1):
        rest = 1 - min(0.8, t / (10 + t))
        average = average + rest * (theta - average)
    np.testing.assert_allclose(model.parameters.flat, average, rtol=1e-12)
    assert history["validation.J"][-1] == pytest.approx(model.evaluate(X)["L"])
    assert abs(average - seen[-1]).max() > 1e-3
    for wrong in (1.0, 0.0, -1):
        with pytest.raises(InputError, match="average is"):
            model.fit(X, average=wrong)


def test_an_average_goes_through_a_stop(backend, rng, tmp_path):
    X = rng.uniform(size=(20, 7)).astype("f")

    def run(path=None, resume=False, stop_at=None):
        model = UndercompleteAutoencoder((7, 3), backend=backend, seed=1)
        steps, page = [0], model.cost_and_grad

        def counted(**inputs):
            steps[0] += inputs.get("need_grad", True)
            if steps[0] == stop_at and inputs.get("need_grad", True):
                signal.raise_signal(signal.SIGINT)
            return page(**inputs)

        model.cost_and_grad = counted
        settings = dict(epochs=3, batch_size=6, optimizer=Adam(1e-2), average=0.9, progress=False)
        model.fit(X, **settings, checkpoint=path, resume=resume)
        return model.backend.to_numpy(model.parameters.flat).tobytes()

    path = tmp_path / "c.safetensors"
    with pytest.raises(KeyboardInterrupt):
        run(path, stop_at=6)
    assert run(path, resume=True) == run()

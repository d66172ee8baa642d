"""What a model and its layers may say: state, constants of layers, turns, stopped gradients, hooks, copies.

The models below are written for these tests alone; none has a `name`, so none is registered.
"""

import copy
import itertools
import pickle
import signal
import threading

import numpy as np
import pytest

from minae import InputError, Model, UndercompleteAutoencoder, check_gradient, enumerated, load
from minae.checks import case, check_case
from minae.fields import Real
from minae.layers import EVAL, Activation, Affine, Layer
from minae.losses import Gaussian
from minae.models import registry
from minae.networks import Network, dense
from minae.options import Flag, Number
from minae.training import SGD, Adam, Momentum

# ---- (a) state: running means


class BatchMean(Layer):
    """y = x − the mean of the batch in training, x − its running mean after it."""

    def __init__(self, name, m, decay=0.8):
        self.name, self.m, self.decay = name, m, decay

    def state(self):
        return {self.name: np.zeros(self.m)}

    def bind(self, parameters, state):
        super().bind(parameters, state)
        self.states = state

    def forward(self, x, mode=EVAL):
        running = self.states[self.name]
        if not mode.train:
            return self.ws.subtract(x, running), False
        mean = x.mean(axis=0)
        mode.statistics[self.name] = self.decay * running + (1 - self.decay) * mean
        return self.ws.subtract(x, mean), True

    def backward(self, dy, of_batch, need_dx=True, need_dW=True):
        """dx_b = dy_b − 1/B Σ_b' dy_b' where the mean is the batch's; dy where it is a constant."""
        return self.ws.subtract(dy, dy.mean(axis=0)) if of_batch else dy


class Centred(Model):
    """A small autoencoder whose hidden logits are centred."""

    coupled = ("L",)

    def inputs(self):
        return {"x": Real(6)}

    def networks(self):
        f = Network([Affine("W1", "b1", 6, 4), BatchMean("f.mean", 4), Activation("tanh"), Affine("V1", "c1", 4, 6)])
        return {"f": f}

    def build(self):
        self.loss = Gaussian(self.arena, self.weights)

    def cost_and_grad(self, x, mode="train", need_grad=True):
        s, caches = self.f.forward(x, mode)
        L, ds = self.loss(s, x)
        cost = self.cost(L=L)
        if need_grad:
            self.f.backward(ds, caches, need_dx=False)
        return cost


@pytest.fixture
def X(rng):
    return 2 + rng.uniform(size=(40, 6))


def trained(kind=Centred, backend="numpy", dtype="float64", **settings):
    X = 2 + np.random.default_rng(0).uniform(size=(40, 6))
    model = kind(backend=backend, dtype=dtype, seed=1)
    history = model.fit(X, **{"epochs": 4, "batch_size": 8, **settings})
    return model, history


def everything(model):
    return {name: model.backend.to_numpy(array).tobytes() for name, array in model.tensors().items()}


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_a_layer_with_state_is_checked_in_both_modes(mode, backend, X):
    model, _ = trained(backend=backend)
    before = everything(model)
    report = check_gradient(model, X[:5], mode=mode)
    assert report and report.worst.error < 1e-8, f"\n{report}"
    assert everything(model) == before


def test_the_two_modes_are_two_costs(X):
    model, _ = trained()
    x = X[:5]
    costs = [float(model.cost_and_grad(x, mode=mode)) for mode in ("train", "eval")]
    assert abs(costs[0] - costs[1]) > 1e-3
    assert model.evaluate(x)["L"] == pytest.approx(costs[1], rel=1e-12)  # evaluate is not training
    with pytest.raises(InputError, match="mode is 'test'"):
        model.cost_and_grad(x, mode="test")


def test_a_wrong_backward_of_a_statistic_is_caught(X):
    """Negative control: the mean of the batch taken as a constant, the fault of a home-made batch normalisation."""

    class Wrong(BatchMean):
        def backward(self, dy, of_batch, need_dx=True, need_dW=True):
            return dy

    class Model_(Centred):
        def networks(self):
            f = super().networks()["f"]
            f.layers[1] = Wrong("f.mean", 4)
            return {"f": f}

    assert not check_gradient(Model_(dtype="float64"), X[:5])
    assert check_gradient(Model_(dtype="float64"), X[:5], mode="eval")  # there the mean is a constant


def test_only_after_step_moves_the_state(backend, X):
    """A cost leaves what the state becomes in `statistics`; differences of a cost never move it."""
    model = Centred(backend=backend, dtype="float64")
    x = backend.from_numpy(X[:5])
    assert list(model.state) == ["f.mean"] and not backend.to_numpy(model.state["f.mean"]).any()
    for mode, need_grad in itertools.product(("train", "eval"), (True, False)):
        cost = model.cost_and_grad(x, mode=mode, need_grad=need_grad)
        assert list(cost.statistics) == (["f.mean"] if mode == "train" else [])
    model.evaluate(X)
    assert not backend.to_numpy(model.state["f.mean"]).any()
    statistics = model.cost_and_grad(x).statistics
    model.after_step(statistics)
    expected = 0.2 * (X[:5] @ backend.to_numpy(model.parameters["W1"])).mean(axis=0)
    np.testing.assert_allclose(backend.to_numpy(model.state["f.mean"]), expected, rtol=1e-12)
    model.fit(X, epochs=1, batch_size=40)
    assert (backend.to_numpy(model.state["f.mean"]) != expected).all()


def test_fit_moves_the_state_once_a_step(X):
    """The running mean of constant means is their geometric average, whatever θ does: with θ frozen, in closed form."""
    model = Centred(dtype="float64", seed=1)
    mean = (X @ model.parameters["W1"]).mean(axis=0)
    model.fit(X, epochs=3, batch_size=40, optimizer=SGD(1e-300))
    np.testing.assert_allclose(model.state["f.mean"], (1 - 0.8**3) * mean, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_state_is_saved_copied_and_of_the_models_type(dtype, backend, X, tmp_path):
    model, _ = trained(backend=backend, dtype=dtype)
    assert model.state["f.mean"].dtype == dtype and backend.to_numpy(model.state["f.mean"]).any()
    assert model.f.forward(backend.from_numpy(X[:2].astype(dtype)))[0].dtype == dtype
    others = [model.copy(), copy.deepcopy(model), pickle.loads(pickle.dumps(model)), copy.copy(model)]
    for other in others:
        assert everything(other) == everything(model) and other.state["f.mean"] is not model.state["f.mean"]
    other = model.copy(dtype="float64")
    assert other.state["f.mean"].dtype == np.float64
    others[0].fit(X, epochs=1)
    assert everything(others[0]) != everything(model)


def test_a_model_with_state_is_written_and_read(registered, X, tmp_path):
    class Named(Centred):
        name = "centred_of_this_test"

    model, _ = trained(Named)
    model.save(tmp_path / "m")
    other = load(tmp_path / "m")
    assert everything(other) == everything(model) and set(other.tensors()) == {"W1", "b1", "V1", "c1", "state.f.mean"}
    assert other.evaluate(X) == model.evaluate(X)


@pytest.mark.parametrize("stop_at", [0, 3, 7, 12])
def test_state_goes_through_a_stop_and_a_resume(stop_at, tmp_path):
    def run(path=None, resume=False, stop=None):
        steps = itertools.count()

        class Stopped(Centred):
            def cost_and_grad(self, x, mode="train", need_grad=True):
                if need_grad and next(steps) == stop:
                    signal.raise_signal(signal.SIGINT)
                return super().cost_and_grad(x, mode=mode, need_grad=need_grad)

        model, history = trained(Stopped, checkpoint=path, resume=resume)
        return everything(model), history["L"]

    with pytest.raises(KeyboardInterrupt, match="resume=True"):
        run(tmp_path / "c", stop=stop_at)
    assert run(tmp_path / "c", resume=True) == run()


@pytest.mark.parametrize("through_a_resume", [False, True])
def test_early_stopping_restores_the_state_of_the_best_epoch(through_a_resume, X, tmp_path):
    best, epochs = [], []

    def remember(model, history):
        best.append((history[-1]["validation"]["J"], everything(model)))
        epochs.append(len(history))

    model = Centred(dtype="float64", seed=1)
    settings = dict(optimizer=SGD(0.3), validation=X[:10] * 3, patience=3, callbacks=[remember], batch_size=8)
    if through_a_resume:
        model.fit(X, epochs=3, checkpoint=tmp_path / "c", **settings)
        model = Centred(dtype="float64", seed=1)
        settings |= {"checkpoint": tmp_path / "c", "resume": True}
    model.fit(X, epochs=100, **settings)
    assert epochs[-1] < 100 and everything(model) == min(best, key=lambda pair: pair[0])[1] != best[-1][1]


def test_a_page_that_calls_its_bases_page_keeps_the_statistics(X):
    class Outer(Centred):
        def cost_and_grad(self, x, need_grad=True):
            return super().cost_and_grad(x, need_grad=need_grad)

    class Passing(Centred):
        def cost_and_grad(self, x, mode="train", need_grad=True):
            return super().cost_and_grad(x, mode=mode, need_grad=need_grad)

    for kind in (Outer, Passing):
        assert list(kind(dtype="float64").cost_and_grad(X).statistics) == ["f.mean"]


def test_lbfgs_refuses_a_model_with_state(X):
    with pytest.raises(InputError, match="lbfgs moves all parameters freely, and no state"):
        Centred().fit(X, optimizer="lbfgs")


# ---- (b) constants of a layer: a mask


class Dropout(Layer):
    """y = x ⊙ m / keep,  m ~ Bernoulli(keep) in training; y = x after it."""

    def __init__(self, name, m, keep=0.6):
        self.name, self.m, self.keep = name, m, keep

    def constants(self, rng, B):
        mask = (rng.random((B, self.m)) < self.keep) / self.keep
        return {self.name: self.arena.backend.from_numpy(mask.astype(self.arena.dtype))}

    def forward(self, x, mode=EVAL):
        mask = mode.constants[self.name] if mode.train else None
        return x if mask is None else self.ws.multiply(x, mask), mask

    def backward(self, dy, mask, need_dx=True, need_dW=True):
        return dy if mask is None else self.ws.multiply(dy, mask)


class Dropped(Centred):
    def networks(self):
        f = Network([Affine("W1", "b1", 6, 4), Activation("tanh"), Dropout("f.mask", 4), Affine("V1", "c1", 4, 6)])
        return {"f": f}


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_the_constants_of_a_layer_are_frozen_by_the_check(mode, backend, X):
    report = check_gradient(Dropped(backend=backend, dtype="float64", seed=1), X[:5], mode=mode)
    assert report and report.worst.error < 1e-8, f"\n{report}"


def test_the_mask_of_a_step_and_of_an_evaluation(backend, X):
    model, x = Dropped(backend=backend, dtype="float64", seed=1), backend.from_numpy(X[:5])
    drawn = model.draw({"x": x}, 0, "noise", 0, 0)
    assert list(drawn) == ["f.mask"] and drawn["f.mask"].shape == (5, 4) and backend.owns(drawn["f.mask"])
    s = backend.to_numpy(model.f.forward(x)[0])  # EVAL: without a mask
    expected = 0.5 * np.square(s - X[:5]).sum() / 5
    assert float(model.cost_and_grad(x, mode="eval")) == pytest.approx(expected)
    assert float(model.cost_and_grad(x, mode="eval", **drawn)) == pytest.approx(
        expected
    )  # it may be given all the same
    assert model.evaluate(X[:5])["L"] == pytest.approx(expected)
    assert abs(float(model.cost_and_grad(x, **drawn)) - expected) > 1e-3
    for wrong in ({}, {"f.mask": drawn["f.mask"][:3]}, {"f.mask": 1.0}):
        with pytest.raises(InputError, match=r"f.mask is .*; expected float64 \(5, 4\)") as error:
            model.cost_and_grad(x, **wrong)
        assert "\n" not in str(error.value)


def test_every_step_drops_others(X):
    seen = []

    class Watched(Dropout):
        def forward(self, x, mode=EVAL):
            if mode.train:
                seen.append(mode.constants[self.name].copy())
            return super().forward(x, mode)

    class Model_(Dropped):
        def networks(self):
            f = super().networks()["f"]
            f.layers[2] = Watched("f.mask", 4)
            return {"f": f}

    model = Model_(dtype="float64")
    model.fit(X, epochs=2, batch_size=20, optimizer=SGD(1e-3))
    masks = {mask.tobytes() for mask in seen}
    assert len(masks) == 4 and len(seen) == 6  # check_last_step sees the masks of its step once more
    assert abs(np.mean(seen) - 1) < 0.15  # divided by `keep`, its mean is 1


# ---- (c) two players


class Game(Model):
    """D = −log d(x) − log(1 − d(g(z)));  G = −log d(g(z)), the one that does not saturate.     (20.10.4)"""

    terms = ("D", "G")
    turns = {"D": ("d",), "G": ("g",)}
    objective = ("G",)
    need_dW = Flag(False, "whether G's turn computes the gradient of d too")
    cases = {"": {}}

    def inputs(self):
        return {"x": Real(2)}

    def networks(self):
        return {
            "g": dense((3, 5, 2), ["tanh", "identity"], "W", "b"),
            "d": dense((2, 4, 1), ["tanh", "identity"], "U", "a"),
        }

    def constants(self, rng, x):
        return {"z": self.normal(rng, len(x), 3)}

    def cost_and_grad(self, x, z, turn, mode="train", need_grad=True):
        xp, B = self.backend.xp, len(x)
        x_g, g_cache = self.g.forward(z, mode)  # g(z)                                    (B, 2)
        if turn == "D":
            s, d_cache = self.d.forward(xp.concatenate([x, x_g]), mode)  # logits of d    (2B, 1)
            sign = xp.concatenate([xp.ones((B, 1)), -xp.ones((B, 1))])
        else:
            s, d_cache = self.d.forward(x_g, mode)
            sign = xp.ones((B, 1))
        loss = xp.log1p(xp.exp(-sign * s)).sum() / B  # −log σ(± s)
        cost = self.cost(**{turn: loss})
        if not need_grad:
            return cost
        ds = -sign / (1 + xp.exp(sign * s)) * (self.weights[turn] / B)
        if turn == "D":
            self.d.backward(ds.astype(self.dtype), d_cache, need_dx=False)
        else:
            dx = self.d.backward(ds.astype(self.dtype), d_cache, need_dW=self.need_dW)
            self.g.backward(dx, g_cache, need_dx=False)
        return cost


def data(rows=48):
    return np.random.default_rng(3).standard_normal((rows, 2)) @ np.array([[0.3, 0.1], [0.0, 0.2]]) + 1


def slices(model, player):
    """Where a player's parameters lie in θ."""
    marks = model.parameters.views(np.arange(model.parameters.flat.size))
    names = [name for layer in model.nets[player].trained() for name in layer.names]
    return np.concatenate([marks[name].ravel() for name in names])


def test_each_turn_has_a_check_of_its_own(backend):
    model, X = Game(backend=backend, dtype="float64", seed=1), data(6)
    reports = check_case(model, {"x": X})
    assert len(reports) == 2 and all(reports) and max(report.worst.error for report in reports) < 1e-8
    for (turn, letters), report in zip(model.turns.items(), reports, strict=True):
        assert {row.terms for row in report.rows} == {turn}
        names = {name for letter in letters for layer in model.nets[letter].trained() for name in layer.names}
        assert {row.parameter for row in report.rows} == names
    for turn in (None, "H"):
        with pytest.raises(InputError, match=rf"turn is {turn!r}: this model has D, G"):
            check_gradient(model, X, turn=turn)


def test_a_gradient_through_the_other_player_leaves_its_slice_alone(backend):
    """Bytes, as they lie there before and after G's turn: nothing is written, neither a gradient nor a zero."""
    x = backend.from_numpy(data(6))
    for need_dW in (False, True):
        model = Game(backend=backend, dtype="float64", seed=1, need_dW=need_dW)
        given = {"x": x} | model.draw({"x": x}, 0, "noise", 0, 0)
        model.cost_and_grad(**given, turn="D")
        of_d, memory = slices(model, "d"), model.parameters._grad
        before = backend.to_numpy(model.parameters.grad)[of_d].copy()
        assert before.any()
        model.cost_and_grad(**given, turn="G")
        same = backend.to_numpy(memory)[of_d].tobytes() == before.tobytes()
        assert same is not need_dW  # and with need_dW=True the check sees that it would be spoilt
        G = backend.to_numpy(model.parameters.grad)
        assert G[slices(model, "g")].any() and bool(G[of_d].any()) is need_dW


def test_a_turn_moves_its_own_player_alone(backend):
    """Even where the gradient of the other one is there: the optimizer of a turn has one slice of θ."""
    X, still = data(), 1e-300
    for need_dW, (moving, player, other) in itertools.product((False, True), (("D", "d", "g"), ("G", "g", "d"))):
        model = Game(backend=backend, dtype="float64", seed=1, need_dW=need_dW)
        before = backend.to_numpy(model.parameters.flat).copy()
        lr = {turn: SGD(0.1 if turn == moving else still) for turn in model.turns}
        history = model.fit(X, epochs=2, batch_size=16, optimizer=lr)
        moved = np.abs(backend.to_numpy(model.parameters.flat) - before) > 1e-100
        assert moved[slices(model, player)].any() and not moved[slices(model, other)].any()
        assert history["J"] == history["G"] and "D" in history[0]


def test_fit_alternates_the_turns():
    """Two steps by hand, D then G, on the same rows and noise, are two steps of `fit`."""
    X, asked = data(16), []
    model, by_hand = Game(dtype="float64", seed=1), Game(dtype="float64", seed=1)
    cost_and_grad = model.cost_and_grad

    def watch(turn, need_grad=True, **given):
        if need_grad:
            asked.append((turn, given["x"].copy(), given["z"].copy()))
        return cost_and_grad(turn=turn, need_grad=need_grad, **given)

    model.cost_and_grad = watch
    model.fit(X, epochs=1, batch_size=8, optimizer={"D": Momentum(0.1), "G": Adam(0.01)})
    assert [turn for turn, *_ in asked] == ["D", "G", "D", "G"]
    optimizers = {"D": Momentum(0.1), "G": Adam(0.01)}
    for turn, x, z in asked:
        by_hand.cost_and_grad(x=x, z=z, turn=turn)
        names = {name for letter in by_hand.turns[turn] for p in by_hand.nets[letter].trained() for name in p.names}
        optimizers[turn].step(by_hand.parameters, names)
    np.testing.assert_array_equal(by_hand.parameters.flat, model.parameters.flat)
    np.testing.assert_array_equal(asked[0][1], asked[1][1])


@pytest.mark.parametrize("stop_at", [0, 1, 6, 11])
def test_a_game_goes_through_a_stop_and_a_resume(stop_at, backend, tmp_path):
    """Bit for bit, with the vectors of both optimizers; also where it stops between the two turns of a step."""
    X = data()

    def run(path=None, resume=False, stop=None):
        model, steps = Game(backend=backend, dtype="float64", seed=1), itertools.count()
        cost_and_grad = model.cost_and_grad

        def watch(need_grad=True, **given):
            if need_grad and next(steps) == stop:
                signal.raise_signal(signal.SIGINT)
            return cost_and_grad(need_grad=need_grad, **given)

        model.cost_and_grad = watch
        optimizers = {"D": Momentum(0.05), "G": Adam(0.01)}
        history = model.fit(X, epochs=3, batch_size=12, optimizer=optimizers, checkpoint=path, resume=resume)
        return everything(model), history["D"], history["G"]

    with pytest.raises(KeyboardInterrupt, match="resume=True"):
        run(tmp_path / "c", stop=stop_at)
    assert run(tmp_path / "c", resume=True) == run()


def test_a_game_says_what_it_wants(tmp_path):
    X = data()
    with pytest.raises(InputError, match="optimizer has D: expected one for each of D, G"):
        Game().fit(X, optimizer={"D": SGD()})
    with pytest.raises(InputError, match="lbfgs"):
        Game().fit(X, optimizer="lbfgs")
    Game().fit(X, epochs=1, optimizer={"D": SGD(0.1), "G": SGD(0.2)}, checkpoint=tmp_path / "c")
    with pytest.raises(InputError, match="was trained with optimizer"):
        Game().fit(X, epochs=2, optimizer={"D": SGD(0.2), "G": SGD(0.1)}, checkpoint=tmp_path / "c", resume=True)
    assert set(Game().evaluate(X)) == {"D", "G"}
    assert len(Game().fit(X, epochs=2, optimizer="sgd")) == 2  # one for all


class Centring(Game):
    """Its discriminator has a running mean, which the turn of the generator does not move."""

    def networks(self):
        d = Network([Affine("U1", "a1", 2, 4), BatchMean("d.mean", 4), Activation("tanh"), Affine("U2", "a2", 4, 1)])
        return super().networks() | {"d": d}

    def cost_and_grad(self, x, z, turn, mode="train", need_grad=True):
        cost = super().cost_and_grad(x, z, turn, mode=mode, need_grad=need_grad)
        if turn == "G":
            mode.statistics.clear()
        return cost


def test_the_state_moves_by_the_turn_that_has_statistics():
    """Also where a later turn of the same step has none: what the first one found is not lost."""
    model, X = Centring(dtype="float64", seed=1), data()
    model.fit(X, epochs=1, batch_size=16, optimizer=SGD(1e-300))
    assert abs(model.state["d.mean"]).min() > 1e-4


def test_a_term_that_both_turns_report_is_counted_once():
    """As the history has it: its value, and not twice its value."""

    class Both(Game):
        terms = ("D", "G", "L")
        objective = ("L",)

        def cost_and_grad(self, x, z, turn, mode="train", need_grad=True):
            cost = super().cost_and_grad(x, z, turn=turn, mode=mode, need_grad=need_grad)
            return self.cost(**cost, L=(x * x).sum() / len(x))

    model, X = Both(dtype="float64"), data()
    expected = np.square(X).sum() / len(X)
    assert model.evaluate(X)["L"] == pytest.approx(expected)
    assert model.fit(X, epochs=1)["J"] == pytest.approx([expected])


# ---- (d) a stopped gradient


class StraightThrough(Model):
    """h = p + c,  p = σ(a),  c = stop([p > ½] − p): hard forward, the slope of p backward."""

    slope = Number(1.0, "a factor that the gradient of p has, and should not")

    def inputs(self):
        return {"x": Real(5)}

    def networks(self):
        return {"f": dense((5, 4), ["sigmoid"], "W", "b"), "g": Network([Affine("V1", "c1", 4, 5)])}

    def build(self):
        self.loss = Gaussian(self.arena, self.weights)

    def cost_and_grad(self, x, c=None, mode="train", need_grad=True):
        p, f_cache = self.f.forward(x, mode)
        if c is None:
            c = (p > 0.5) - p
        h = p + c
        s, g_cache = self.g.forward(h, mode)
        L, ds = self.loss(s, x)
        cost = self.cost(L=L, constants={"c": c})
        if need_grad:
            dh = self.g.backward(ds, g_cache)
            self.f.backward(dh * self.slope, f_cache, need_dx=False)
        return cost


def test_straight_through_passes_the_check_of_its_hard_cost(backend, rng):
    X = rng.standard_normal((6, 5))
    model = StraightThrough(backend=backend, dtype="float64", seed=1)
    x = backend.from_numpy(X)
    cost = model.cost_and_grad(x)
    p = backend.to_numpy(model.f.forward(x)[0])
    h = p + backend.to_numpy(cost.constants["c"])
    np.testing.assert_allclose(h, p > 0.5, atol=1e-15)  # the cost that is checked is the hard one
    s = (p > 0.5) @ backend.to_numpy(model.parameters["V1"]) + backend.to_numpy(model.parameters["c1"])
    assert float(cost) == pytest.approx(0.5 * np.square(s - X).sum() / 6, rel=1e-12)
    report = check_gradient(model, X)
    assert report and report.worst.error < 1e-8, f"\n{report}"


@pytest.mark.parametrize("slope", [0.0, 0.999, 1.001, -1.0])
def test_a_wrong_slope_is_caught(slope, rng):
    report = check_gradient(StraightThrough(slope=slope, dtype="float64", seed=1), rng.standard_normal((6, 5)))
    assert not report and {row.parameter for row in report.rows if not row.passed} == {"W1", "b1"}


# ---- (e) the hook between cost and step


def test_the_hook_sees_the_flat_gradient_and_may_change_it(backend, tiny):
    model, X = tiny(backend=backend)
    before, seen = backend.to_numpy(model.parameters.flat).copy(), []

    def hook(gradient):
        assert backend.owns(gradient) and gradient.shape == model.parameters.flat.shape
        seen.append(backend.to_numpy(gradient).copy())
        gradient *= 0

    model.fit(X, epochs=3, batch_size=2, optimizer=Momentum(0.1), gradient_hook=hook)
    np.testing.assert_array_equal(backend.to_numpy(model.parameters.flat), before)
    assert len(seen) == 6 and all(gradient.any() for gradient in seen)
    half, whole = tiny(backend=backend)[0], tiny(backend=backend)[0]

    def halve(gradient):
        gradient *= 0.5

    half.fit(X, epochs=2, optimizer=SGD(0.2), gradient_hook=halve)
    whole.fit(X, epochs=2, optimizer=SGD(0.1))
    np.testing.assert_allclose(backend.to_numpy(half.parameters.flat), backend.to_numpy(whole.parameters.flat), 1e-13)


def test_the_hook_of_a_game_is_called_for_each_turn():
    calls = []
    Game().fit(data(), epochs=1, batch_size=24, gradient_hook=lambda gradient: calls.append(gradient.shape))
    assert len(calls) == 4


@pytest.mark.parametrize("optimizer", [SGD(0.3), Adam(1e-2)])
def test_two_ranks_that_average_are_one_rank_on_the_whole_batch(optimizer, rng):
    """Each rank has half of the rows; the hook is where an all-reduce would stand."""
    X, epochs = rng.uniform(size=(24, 7)), 20

    def model():
        return UndercompleteAutoencoder((7, 5, 3), lam=1e-3, dtype="float64", seed=1)

    whole, ranks = model(), [model(), model()]
    whole.fit(X, epochs=epochs, batch_size=24, optimizer=optimizer, progress=False)
    meet, sent = threading.Barrier(2, timeout=60), [None, None]

    def rank(k):
        def average(gradient):
            sent[k] = gradient.copy()
            meet.wait()
            gradient[...] = (sent[0] + sent[1]) / 2
            meet.wait()

        settings = dict(batch_size=12, optimizer=optimizer, seed=k, gradient_hook=average, progress=False)
        ranks[k].fit(X[k::2], epochs=epochs, **settings)

    threads = [threading.Thread(target=rank, args=[k]) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(ranks[0].parameters.flat, ranks[1].parameters.flat)
    np.testing.assert_allclose(ranks[0].parameters.flat, whole.parameters.flat, atol=1e-12)


# ---- (f) what a surrogate is worth: the enumerated gradient


def expectation(cost, logits):
    """E cost(b), written here a second time."""
    total = 0.0
    if logits.ndim == 1:
        p = 1 / (1 + np.exp(-logits))
        for bits in itertools.product((0.0, 1.0), repeat=len(logits)):
            b = np.array(bits)
            total += np.prod(b * p + (1 - b) * (1 - p)) * cost(b)
        return total
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for chosen in itertools.product(range(logits.shape[1]), repeat=len(logits)):
        total += np.prod(p[range(len(logits)), chosen]) * cost(np.eye(logits.shape[1])[list(chosen)])
    return total


@pytest.fixture
def hard(rng):
    """A cost of a code, far from linear."""
    A = rng.standard_normal((20, 20))

    def cost(b):
        b = b.ravel()
        return float(np.sin(3 * b @ A[: b.size, : b.size] @ b) + np.square(A[0, : b.size] @ b - 1))

    return cost


@pytest.mark.parametrize("shape", [(1,), (4,), (6,), (1, 3), (3, 2), (3, 4)])
def test_enumerated_is_the_gradient_of_the_expectation(shape, hard, rng):
    logits, e = rng.standard_normal(shape), 1e-5
    E, gradient = enumerated(hard, logits)
    assert pytest.approx(expectation(hard, logits), rel=1e-12) == E
    for i in np.ndindex(*shape):
        step = np.zeros(shape)
        step[i] = e
        numeric = (expectation(hard, logits + step) - expectation(hard, logits - step)) / (2 * e)
        assert gradient[i] == pytest.approx(numeric, rel=1e-6, abs=1e-8)


def test_large_logits_do_not_overflow():
    E, gradient = enumerated(lambda b: float(b.sum()), np.array([1e4, -1e4]))
    assert E == 1 and np.isfinite(gradient).all()
    E, gradient = enumerated(lambda b: float(b[0, 1]), np.array([[1e4, -1e4, 0]]))
    assert E == 0 and np.isfinite(gradient).all()


def test_reinforce_has_its_mean_and_straight_through_has_not(hard, rng):
    """REINFORCE: cost(b) ∂log p/∂a. Straight-through: ∂cost/∂b ∂p/∂a at the hard code, a guess."""
    logits, N, e = rng.standard_normal(4), 40_000, 1e-5
    _, exact = enumerated(hard, logits)
    p = 1 / (1 + np.exp(-logits))
    b = (rng.random((N, 4)) < p).astype(float)
    codes, which = np.unique(b, axis=0, return_inverse=True)
    cost = np.array([hard(code) for code in codes])
    slope = np.array([[(hard(code + d) - hard(code - d)) / (2 * e) for d in e * np.eye(4)] for code in codes])
    reinforce = cost[which.ravel(), None] * (b - p)
    straight = slope[which.ravel()] * p * (1 - p)
    for draws, agrees in ((reinforce, True), (straight, False)):
        away = np.abs(draws.mean(axis=0) - exact) / (draws.std(axis=0) / np.sqrt(N))
        assert bool((away < 4.5).all()) is agrees


@pytest.mark.parametrize(
    "logits, message",
    [
        (np.zeros(13), r"logits has 2\^13 codes: expected at most 4096; use fewer units"),
        (np.zeros((5, 6)), r"logits has 6\^5 codes"),
        (np.zeros((2, 2, 2)), r"logits has shape \(2, 2, 2\): expected \(m,\)"),
        (np.zeros(0), r"logits has shape \(0,\)"),
        (1.0, r"logits has shape \(\)"),
    ],
)
def test_too_many_codes_are_refused(logits, message):
    with pytest.raises(InputError, match=message) as error:
        enumerated(lambda b: 0.0, logits)
    assert "\n" not in str(error.value)
    assert enumerated(lambda b: 1.0, np.zeros(12))[0] == pytest.approx(1)


# ---- (g) terms


def test_a_term_without_a_weight_is_refused(X):
    class Unweighted(Centred):
        def cost(self, **terms):
            return super().cost(**terms, KL=0.5)

    with pytest.raises(InputError, match="the cost term 'KL' has no weight: add it to `terms`, or declare a Weight"):
        Unweighted(dtype="float64").cost_and_grad(X)


def test_a_model_that_is_not_finished_says_what_is_missing():
    with pytest.raises(InputError, match="Model does not say what a batch is made of: write its `inputs`"):
        Model()


# ---- (h) copies of every model


WAYS = {
    "copy": lambda model: model.copy(),
    "copy.copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
}


@pytest.mark.parametrize("name", registry())
def test_every_copy_trains_to_the_numbers_of_its_model(name, rng):
    """With a weight that was changed after construction, and its own memory."""
    kind = registry()[name]
    _, model, _ = case(kind, next(iter(kind.cases)))
    batch = {field: model.fields[field].example(rng, 20) for field in model.fields}
    first, *others = batch
    X, more = batch[first], {field: batch[field] for field in others}
    model.fit(X, epochs=1, batch_size=10, optimizer=Adam(1e-2), **more)
    for term in list(model.weights)[1:]:
        model.weights[term] = model.weights[term] * 0.5 + 0.01
    copies = {way: make(model) for way, make in WAYS.items()}
    before = everything(model)
    results = {}
    for way, other in {"itself": model, **copies}.items():
        assert everything(other) == before and repr(other) == repr(model) and other.weights == model.weights, way
        history = other.fit(X, epochs=2, batch_size=10, optimizer=Adam(1e-2), seed=4, **more)
        results[way] = everything(other), history["J"]
    for way in WAYS:
        assert results[way] == results["itself"], way
    assert results["itself"][0] != before

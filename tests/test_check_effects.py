"""`minae check --effects`: every model holds, and each effect has faults that it alone sees."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

import minae
from minae import (
    AdversarialAutoencoder,
    DenoisingAutoencoder,
    HigherOrderContractiveAutoencoder,
    InputError,
    Model,
    PredictiveSparseDecomposition,
    UndercompleteAutoencoder,
    VariationalAutoencoder,
    check_effects,
    cli,
)
from minae.backend import Backend
from minae.checks import Layers, kinds
from minae.data.batches import Batches
from minae.effects import EFFECTS, SIGMAS, case, check_case
from minae.fields import Real
from minae.layers import Activation, Affine, Dropout, Layer
from minae.losses import Bernoulli, Gaussian
from minae.networks import Network
from minae.parameters import Parameters
from minae.penalties import WeightDecay
from minae.training.checkpoint import Checkpoint
from minae.training.loop import _Run

F64 = dict(dtype="float64", seed=1)
QUICK = "undercomplete", "denoising", "variational"
CASES = [
    pytest.param(kind, name, id=f"{key} {name}".strip(), marks=[pytest.mark.slow] * (k > 0 or key not in QUICK))
    for key, kind in kinds().items()
    for k, name in enumerate(kind.cases)
]


@pytest.mark.parametrize("kind, name", CASES)
def test_every_model(kind, name):
    _, report = check_case(kind, name)
    assert report, f"\n{report}"
    found = {row.effect for row in report.rows}
    assert found >= {"epochs", "resume", "constants", "evaluation", "copies", "frozen"}
    assert ("turns" in found) is bool(case(kind, name, "numpy")[1].turns)


@pytest.mark.slow
@pytest.mark.parametrize("kind", kinds().values(), ids=kinds())
def test_every_model_on_the_guard(kind):
    """No implicit conversion between the host and the device, in the models and in what measures them."""
    _, report = check_case(kind, next(iter(kind.cases)), "guard")
    assert report, f"\n{report}"


def failed(model, **settings):
    report = check_effects(model, **settings)
    assert not any(math.isnan(row.measured) for row in report.rows), f"\n{report}"  # a number, and no error
    return report.failed, [row for row in report.rows if not row.passed]


# ---- draws


class Deviates(VariationalAutoencoder):
    """Draws ε by a function of its own."""

    draws = staticmethod(lambda rng, *shape: rng.standard_normal(shape))

    def constants(self, rng, x):
        return {"eps": self.backend.from_numpy(type(self).draws(rng, len(x), self.code_size).astype(self.dtype))}


NOISE = {
    "half as wide": lambda rng, *shape: 0.5 * rng.standard_normal(shape),
    "a tenth too wide": lambda rng, *shape: 1.1 * rng.standard_normal(shape),
    "off its mean": lambda rng, *shape: 0.1 + rng.standard_normal(shape),
    "uniform of variance 1": lambda rng, *shape: rng.uniform(-math.sqrt(3), math.sqrt(3), shape),
    "one for all rows": lambda rng, B, m: np.repeat(rng.standard_normal((1, m)), B, axis=0),
    "one for all units": lambda rng, B, m: np.repeat(rng.standard_normal((B, 1)), m, axis=1),
    "every row twice": lambda rng, B, m: np.repeat(rng.standard_normal((B, m)), 2, axis=0)[:B],
    "a mask": lambda rng, *shape: np.where(rng.random(shape) < 0.5, -1.0, 1.0),
}


def test_a_right_sampler_of_ones_own_holds():
    assert failed(Deviates((7, 5, 3), **F64)) == ([], [])


@pytest.mark.parametrize("name", NOISE)
def test_noise_of_another_law(name, monkeypatch):
    monkeypatch.setattr(Deviates, "draws", staticmethod(NOISE[name]))
    effects, rows = failed(Deviates((7, 5, 3), **F64))
    assert effects == ["draws"] and [row.what.split(",")[0] for row in rows] == ["eps"]


def test_a_draw_whose_law_nobody_states(monkeypatch):
    monkeypatch.setattr(Deviates, "laws", {})
    report = check_effects(Deviates((7, 5, 3), **F64))
    assert report.failed == ["draws"] and "laws = {'eps': 'normal'}" in str(report)
    assert json.loads(report.to_json())["passed"] is False
    monkeypatch.setattr(Deviates, "laws", {"eps": None})  # a law that is not known in closed form
    assert check_effects(Deviates((7, 5, 3), **F64))


@pytest.mark.parametrize("corruption, level", [("masking", 0.4), ("salt_and_pepper", 0.3), ("gaussian", 0.3)])
def test_a_corruption_of_another_level(corruption, level, monkeypatch):
    model = DenoisingAutoencoder((7, 5), corruption=corruption, level=level, **F64)
    assert failed(model) == ([], [])
    law = type(model.corrupt).law

    def other(self, x):
        return law(type(self)(1.1 * self.level), x)

    monkeypatch.setattr(type(model.corrupt), "law", other)
    assert failed(model)[0] == ["draws"]


def test_a_layers_mask_of_another_rate(monkeypatch):
    constants = Dropout.constants

    def dropped_more(self, rng, B):
        (mask,) = constants(self, rng, B).values()
        (more,) = constants(self, rng, B).values()
        return {self.mask: np.where(np.arange(mask.shape[1]) % 5, mask, 0.5 * mask * more)}  # ¼ of one unit is left

    monkeypatch.setattr(Dropout, "constants", dropped_more)
    _, report = check_case(Layers, "dropout")
    assert report.failed == ["draws"]


def test_nearby_points_of_another_distance(monkeypatch):
    laws = {"x_near": lambda model, x: (x, model.sigma)}  # σ for σ²
    monkeypatch.setattr(HigherOrderContractiveAutoencoder, "laws", laws)
    assert failed(HigherOrderContractiveAutoencoder((7, 5), **F64))[0] == ["draws"]


def test_draws_of_one_minus_p(monkeypatch):
    """Survivor S6 of a review by mutation: 1 with probability 1 − p."""
    sample = Bernoulli.sample
    monkeypatch.setattr(Bernoulli, "sample", lambda self, s, rng: 1 - sample(self, s, rng))
    effects, rows = failed(DenoisingAutoencoder((7, 5), **F64))
    assert effects == ["draws"] and "loss.sample" in rows[0].what


def test_samples_of_a_narrow_prior(monkeypatch):
    """Survivor S9: z ~ N(0, ¼ I)."""

    def dull(self, rows, seed=0):
        return self.decode(0.5 * self.backend.stream(seed, "sample").standard_normal((rows, self.code_size)))

    monkeypatch.setattr(VariationalAutoencoder, "sample", dull)
    effects, rows = failed(VariationalAutoencoder((7, 5, 3), **F64))
    assert effects == ["draws"] and "sample decodes normal codes" in rows[0].what


def test_a_step_of_another_size(monkeypatch):
    """Survivor S8: langevin's default step σ instead of σ²."""
    form, langevin = dict(corruption="gaussian", loss="gaussian", level=0.3), DenoisingAutoencoder.langevin
    assert failed(DenoisingAutoencoder((7, 5), **form, **F64)) == ([], [])
    monkeypatch.setattr(DenoisingAutoencoder, "langevin", lambda self, X, steps: langevin(self, X, steps, self.level))
    effects, rows = failed(DenoisingAutoencoder((7, 5), **form, **F64))
    assert effects == ["draws"] and "langevin" in rows[0].what


def test_a_chain_that_forgets_its_noise(monkeypatch):
    def chain(self, X, steps, seed=0):
        path = [self.reconstruct(X)]
        for _ in range(steps - 1):
            path.append(self.reconstruct(path[-1]))
        return np.stack(path)

    monkeypatch.setattr(DenoisingAutoencoder, "chain", chain)
    model = DenoisingAutoencoder((7, 5), level=0.5, **F64)
    model.parameters.flat[...] *= 3
    effects, rows = failed(model)
    assert effects == ["draws"] and "chain" in rows[0].what


# ---- epochs


def test_the_same_order_in_every_epoch(monkeypatch):
    """Survivor S3."""
    order = Batches.order
    monkeypatch.setattr(Batches, "order", lambda self, backend, seed, epoch: order(self, backend, seed, 0))
    effects, rows = failed(UndercompleteAutoencoder((7, 5), **F64))
    assert effects == ["epochs"] and rows[0].measured == 1


def test_the_same_noise_in_every_epoch(monkeypatch):
    """Survivor S4, and the same noise in every step."""
    draw = Model.draw
    for forgotten in (slice(0, 1), slice(0, 2), slice(1, 2)):

        def forgetful(self, batch, seed, name, *key, part=forgotten):
            key = list(key)
            if name == "noise":
                key[part] = [0] * len(key[part])
            return draw(self, batch, seed, name, *key)

        monkeypatch.setattr(Model, "draw", forgetful)
        for model in (VariationalAutoencoder((7, 5, 3), **F64), DenoisingAutoencoder((7, 5), **F64)):
            assert failed(model)[0] == ["epochs"]


def test_an_order_that_knows_no_seed(monkeypatch):
    order = Batches.order
    monkeypatch.setattr(Batches, "order", lambda self, backend, seed, epoch: order(self, backend, 0, epoch))
    effects, rows = failed(UndercompleteAutoencoder((7, 5), **F64))
    assert effects == ["epochs"] and rows[0].what == "arrays that differ between two seeds"


def test_an_epoch_that_visits_some_rows_twice(monkeypatch):
    def drawn(self, backend, seed, epoch):
        return {"": backend.stream(seed, "order", epoch).integers(len(self), size=len(self))}

    monkeypatch.setattr(Batches, "order", drawn)
    effects, rows = failed(UndercompleteAutoencoder((7, 5), **F64))
    assert effects == ["epochs"] and "rows that an epoch has" in rows[0].what


def test_a_seed_that_decides_nothing(monkeypatch):
    """What is drawn from nowhere spoils a resume and the training of copies, too."""
    monkeypatch.setattr(Backend, "stream", lambda self, seed, name, *key: np.random.default_rng())
    assert {"epochs", "resume", "copies"} <= set(check_effects(DenoisingAutoencoder((7, 5), **F64)).failed)


# ---- frozen layers


def merged(self, rates=None, only=None):
    """`Parameters.slices`, which joins two slices across a frozen one."""
    slices = []
    for part, factor in SLICES(self, rates, only):
        if slices and slices[-1][1] == factor:
            slices[-1] = slice(slices[-1][0].start, part.stop), factor
        else:
            slices.append((part, factor))
    return slices


def cut_short(self, rates=None, only=None):
    """`Parameters.slices`, which loses what lies behind a frozen one."""
    return SLICES(self, rates, only)[:1]


SLICES = Parameters.slices


@pytest.mark.parametrize("fault", [merged, cut_short])
def test_a_frozen_layer_between_two_trained_ones(fault, monkeypatch):
    """Survivor S1."""
    monkeypatch.setattr(Parameters, "slices", fault)
    effects, rows = failed(UndercompleteAutoencoder((7, 6, 5, 3), **F64))
    assert effects == ["frozen"]
    layers = {word for row in rows for word in row.what.split() if word[0] in "fg" and word[1:].isdigit()}
    assert layers >= {"f2", "f3", "g1", "g2"}


class Divides(PredictiveSparseDecomposition):
    def project(self):
        V = self.parameters["V1"]
        V /= np.sqrt((V * V).sum(axis=1, keepdims=True))


def test_a_frozen_dictionary_keeps_its_bits():
    """`project` divided every atom by its norm after every step, and a norm of 1 − 2⁻⁵³ moves the last bits."""
    for kind, expected in ((PredictiveSparseDecomposition, []), (Divides, ["frozen"])):
        assert failed(kind((7, 9), code="tanh", lam=0.1, **F64))[0] == expected


# ---- a resume


FORGOTTEN = {
    "stale": lambda run: setattr(run, "stale", 0),  # survivor S5
    "the best": lambda run: (setattr(run, "best", None), setattr(run, "best_J", math.inf)),
    "the average": lambda run: setattr(run, "average", run.model.parameters.flat.copy()),
    "the steps": lambda run: [setattr(optimizer, "t", 0) for optimizer in run.optimizers.values()],
    "a vector": lambda run: [vector.fill(0) for each in run.optimizers.values() for vector in each.state.values()],
    "an epoch": lambda run: setattr(run, "epoch", run.epoch - 1),
}


@pytest.mark.parametrize("what", FORGOTTEN)
def test_a_resume_that_forgets(what, monkeypatch):
    take = Checkpoint._take

    def forgetful(self, *given):
        take(self, *given)
        if self.average is not None or what != "the average":
            FORGOTTEN[what](self)

    monkeypatch.setattr(Checkpoint, "_take", forgetful)
    assert failed(UndercompleteAutoencoder((7, 5), **F64))[0] == ["resume"]


def test_patience_stops_the_run_that_climbs():
    """Else nothing would be seen of early stopping: a run uphill ends after patience + 1 epochs."""
    model = UndercompleteAutoencoder((7, 5), **F64)
    X = np.random.default_rng(0).uniform(size=(48, 7))

    def uphill(gradient):
        gradient *= -1

    settings = dict(epochs=7, batch_size=16, patience=3, validation=X[:24], gradient_hook=uphill)
    assert len(model.fit(X, optimizer=minae.training.Adam(1e-3), **settings)) == 4


# ---- weights


@pytest.mark.parametrize("sign", [-1, 0])
def test_a_weight_that_does_not_lower_its_term(sign, monkeypatch):
    def backward(self):
        for name in self.names if self.weight else ():
            self.parameters.gradient(name).add_scaled(self.parameters[name], sign * min(self.weight, 0.1))

    monkeypatch.setattr(WeightDecay, "backward", backward)
    effects, rows = failed(UndercompleteAutoencoder((7, 5), lam=0.1, **F64))
    assert effects == ["weights"] and rows[0].measured >= 0


# ---- evaluation


class Centred(Layer):
    """x less the mean of the batch, in evaluation too; or x plus the number of rows that it has seen."""

    fault = "mean"

    def state(self):
        return {"seen": np.zeros(1)}

    def bind(self, parameters, state):
        super().bind(parameters, state)
        self.values = state

    def forward(self, x, mode=None):
        if self.fault == "mean" and not mode.train:
            return self.ws.subtract(x, x.mean(axis=0)), None
        if self.fault == "counts" and not mode.train:
            self.values["seen"] += len(x)
        if self.fault == "place" and not mode.train:
            return self.ws.add(x, 1e-6 * np.arange(len(x), dtype=x.dtype)[:, None]), None
        if self.fault == "running" and mode.train:
            mode.statistics["seen"] = self.values["seen"] + len(x)
        return self.ws.multiply(x, 1), None

    def backward(self, dy, cache, need_dx=True, need_dW=True):
        return dy


class Evaluated(Model):
    """A small autoencoder with such a layer."""

    def inputs(self):
        return {"x": Real(6)}

    def networks(self):
        return {"f": Network([Affine("W1", "b1", 6, 4), Centred(), Activation("tanh"), Affine("V1", "c1", 4, 6)])}

    def build(self):
        self.loss = Gaussian(self.arena, self.weights)

    def cost_and_grad(self, x, mode="train", need_grad=True):
        s, caches = self.f.forward(x, mode)
        L, ds = self.loss(s, x)
        cost = self.cost(L=L)
        if need_grad:
            self.f.backward(ds, caches, need_dx=False)
        return cost


@pytest.mark.parametrize("fault, words", [("mean", "rows alone"), ("counts", "arrays of"), ("place", "another order")])
def test_an_evaluation_that_depends_on_the_batch(fault, words, monkeypatch):
    monkeypatch.setattr(Centred, "fault", "none")
    assert failed(Evaluated(**F64)) == ([], [])
    monkeypatch.setattr(Centred, "fault", fault)
    effects, rows = failed(Evaluated(**F64))
    assert "evaluation" in effects and any(words in row.what for row in rows)
    assert effects == ["evaluation"] or fault == "counts"  # a state that evaluation moves is not that of its copies
    if fault == "mean":  # a term that says that it couples the batch may
        monkeypatch.setattr(Evaluated, "coupled", ("L",))
        assert failed(Evaluated(**F64)) == ([], [])


@pytest.mark.slow
@pytest.mark.parametrize("case", ["gru", "bidirectional", "attention", "embedding"])
def test_a_padding_that_counts(case, monkeypatch):
    page = Layers.cost_and_grad

    def deaf(self, x, x_length=None, mode="train", need_grad=True):
        whole = np.full(len(x), x.shape[1], np.int32)
        return page(self, x=x, x_length=whole, mode=mode, need_grad=need_grad)

    monkeypatch.setattr(Layers, "cost_and_grad", deaf)
    _, report = check_case(Layers, case)
    assert report.failed == ["evaluation"] and "padded further" in str(report)


def test_an_encoding_of_a_row_that_depends_on_its_neighbours(monkeypatch):
    encode = UndercompleteAutoencoder.encode
    monkeypatch.setattr(UndercompleteAutoencoder, "encode", lambda self, X: encode(self, X) - encode(self, X).mean(0))
    effects, rows = failed(UndercompleteAutoencoder((7, 5), **F64))
    assert effects == ["evaluation"] and [row.what.split(":")[0] for row in rows] == ["encode"]


# ---- constants


class Surrogate(Evaluated):
    """h = p + c with c = [p > ½] − p, whose constant is given back another."""

    off = 0.0

    def networks(self):
        return {
            "f": Network([Affine("W1", "b1", 6, 4), Activation("sigmoid")]),
            "g": Network([Affine("V1", "c1", 4, 6)]),
        }

    def cost_and_grad(self, x, c=None, mode="train", need_grad=True):
        p, f_cache = self.f.forward(x, mode)
        c = (p > 0.5) - p if c is None else c
        s, g_cache = self.g.forward(p + c, mode)
        L, ds = self.loss(s, x)
        cost = self.cost(L=L, constants={"c": c + self.off})
        if need_grad:
            self.f.backward(self.g.backward(ds, g_cache), f_cache, need_dx=False)
        return cost


def test_a_constant_that_is_not_the_one_that_was_used(monkeypatch):
    assert failed(Surrogate(**F64)) == ([], [])
    monkeypatch.setattr(Surrogate, "off", 1e-6)
    effects, rows = failed(Surrogate(**F64))
    assert effects == ["constants"] and rows[0].what == "cost and gradient, c given back"


def test_a_random_cost(monkeypatch):
    rng, page = np.random.default_rng(0), Evaluated.cost_and_grad

    def noisy(self, x, mode="train", need_grad=True):
        cost = page(self, x=x, mode=mode, need_grad=need_grad)
        cost["L"] += 1e-6 * rng.random()
        return cost

    monkeypatch.setattr(Evaluated, "cost_and_grad", noisy)
    assert {"constants", "evaluation", "copies"} <= set(check_effects(Evaluated(**F64)).failed)


# ---- copies


COPY, REDUCE = Model.copy, Model.__reduce__


def test_a_copy_that_forgets_its_weights(monkeypatch):
    """Survivor S11."""

    def forgetful(self, **settings):
        other = COPY(self, **settings)
        for term in set(other.weights) - set(other.terms):
            other.weights[term] = 0.1  # as it was built
        return other

    monkeypatch.setattr(Model, "copy", forgetful)
    effects, rows = failed(UndercompleteAutoencoder((7, 5), lam=0.1, **F64))
    assert effects == ["copies"]
    assert {row.what.split(":")[0] for row in rows} == {"copy()", "copy.deepcopy"}


def test_a_pickle_that_forgets_its_weights(monkeypatch):
    def forgetful(self):
        kind, (owner, config, settings, weights, *rest) = REDUCE(self)
        return kind, (owner, config, settings, dict.fromkeys(weights, 1.0), *rest)

    monkeypatch.setattr(Model, "__reduce__", forgetful)
    effects, rows = failed(UndercompleteAutoencoder((7, 5), lam=0.1, **F64))
    assert effects == ["copies"] and {row.what.split(":")[0] for row in rows} == {"pickle", "copy.copy"}


def test_a_copy_in_the_memory_of_its_original(monkeypatch):
    """What trains the one then trains the other."""

    def shared(self, **settings):
        other = COPY(self, **settings)
        if not settings:
            other.state, shared = self.state, other.state
            for layer in other.f.layers:
                layer.values = self.state if shared else None
        return other

    monkeypatch.setattr(Centred, "fault", "running")
    assert failed(Evaluated(**F64)) == ([], [])
    monkeypatch.setattr(Model, "copy", shared)
    assert "copies" in check_effects(Evaluated(**F64)).failed


# ---- turns


def test_a_turn_that_moves_another_player(monkeypatch):
    model = AdversarialAutoencoder((7, 5, 3), discriminator=(4,), **F64)
    assert failed(model) == ([], [])

    def restless(self, statistics):
        self.parameters["e1"][...] += 1e-3 * self.parameters["b1"].mean()

    monkeypatch.setattr(AdversarialAutoencoder, "after_step", restless)
    monkeypatch.setattr(_Run, "check_last_step", lambda self: None)
    assert "turns" in failed(model)[0]


def test_an_optimizer_that_knows_no_player(monkeypatch):
    """Turn D then moves the encoder: here it has a gradient, as that of a game which forgot to hold it fixed."""
    backward = AdversarialAutoencoder.cost_and_grad

    def spills(self, x, z, turn="R", mode="train", need_grad=True):
        cost = backward(self, x=x, z=z, turn=turn, mode=mode, need_grad=need_grad)
        if need_grad and turn == "D":
            self.parameters.gradient("W1").add(self.parameters["W1"])
        return cost

    model = AdversarialAutoencoder((7, 5, 3), discriminator=(4,), **F64)
    monkeypatch.setattr(AdversarialAutoencoder, "cost_and_grad", spills)
    assert failed(model) == ([], [])
    monkeypatch.setattr(_Run, "_parameters_of", lambda self, turn: None)
    effects, rows = failed(model)
    assert effects == ["turns"] and rows[0].what == "parameters of other players that turn D moves"


# ---- the verb and the command


def test_data_of_ones_own_and_a_model_that_is_left_alone(rng):
    X = rng.uniform(size=(60, 7)).astype("float32")
    model = VariationalAutoencoder((7, 5, 3))
    model.fit(X, epochs=1)
    before, options = model.parameters.flat.copy(), repr(model)
    report = check_effects(model, X)
    assert report and report.failed == [] and {row.effect for row in report.rows} == set(EFFECTS) - {"turns"}
    np.testing.assert_array_equal(model.parameters.flat, before)
    assert repr(model) == options and len(model.history) == 1 and report.seconds < 60
    table = str(report)
    assert "eps, normal: standard errors" in table and f"≤ {SIGMAS:g}" in table and "every effect holds" in table
    found = json.loads(report.to_json())
    assert found["passed"] and len(found["rows"]) == len(report.rows) and all(row["passed"] for row in found["rows"])
    assert {row.effect for row in check_effects(model, X, effects=["draws", "copies"]).rows} == {"draws", "copies"}
    assert (
        str(check_effects(model, X, effects="draws")).count("\n")
        == len(check_effects(model, X, effects="draws").rows) + 1
    )


def test_labels_and_lists_of_sequences(rng):
    classifier = minae.Classifier((7, 5), classes=3, **F64)
    assert check_effects(classifier, rng.uniform(size=(30, 7)), rng.integers(3, size=30))
    layers = Layers(of="gru", **F64)
    assert check_effects(layers, [rng.standard_normal((n % 5 + 1, 3)) for n in range(30)])


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(effects="luck"), "unknown effect|effects is 'luck': choose among draws, epochs"),
        (dict(effects=7), "effects is 7"),
        (dict(X=np.zeros((8, 7))), "X has 8 rows: expected at least 16"),
        (dict(X=np.zeros((20, 6))), "X has shape"),
        (dict(y=np.zeros(20)), "y was given"),
        (dict(seed=-1), "seed is -1"),
        (dict(X=np.zeros((20, 7)), z=np.zeros(20)), "z was given"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(InputError, match=message) as error:
        check_effects(UndercompleteAutoencoder((7, 5)), **arguments)
    assert "\n" not in str(error.value)


def test_no_model():
    with pytest.raises(InputError, match=r"model is a str: expected a minae\.Model"):
        check_effects("undercomplete")


def test_an_error_is_a_statement_that_does_not_hold(monkeypatch):
    def broken(self, X):
        raise TypeError("no\nencode")

    monkeypatch.setattr(UndercompleteAutoencoder, "encode", broken)
    report = check_effects(UndercompleteAutoencoder((7, 5), **F64))
    assert report.failed == ["evaluation", "copies"] and "TypeError: no encode" in str(report)


def test_the_command(capsys, monkeypatch):
    monkeypatch.setattr(VariationalAutoencoder, "cases", {"small": dict(activation="tanh")})
    assert cli.main(["check", "--effects", "vae", "lista"]) == 0
    out = capsys.readouterr().out
    assert "variational small" in out and "lista steps: 1" in out and out.endswith("3 right, 0 wrong\n")
    assert cli.main(["check", "--effects", "variational", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["passed"] and list(found["cases"]) == ["variational small"]
    monkeypatch.setattr(VariationalAutoencoder, "laws", {"eps": "uniform", "sample": "normal"})
    assert cli.main(["check", "--effects", "vae", "--json"]) == 1
    assert not json.loads(capsys.readouterr().out)["passed"]
    assert cli.main(["check", "--effects", "vae"]) == 1
    out = capsys.readouterr().out
    assert "0 right, 1 wrong" in out and "wrong: draws" in out and "eps, uniform: standard errors" in out


def test_it_is_loaded_when_it_is_first_used():
    code = "import sys, minae; a = 'minae.effects' in sys.modules; minae.check_effects; print(a)"
    code += "; from minae import *; print(check_effects.__name__)"
    environment = {**os.environ, "MINAE_BACKEND": ""}
    out = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, env=environment)
    assert out.stdout.split() == ["False", "check_effects"], out.stderr
    with pytest.raises(AttributeError, match="no attribute 'check_luck'"):
        minae.check_luck  # noqa: B018

"""The game of a discriminator and a generator: its optimum for known densities, and the adversarial autoencoder."""

import signal

import numpy as np
import pytest
from scipy import stats

from minae import AdversarialAutoencoder, InputError, UndercompleteAutoencoder, check_gradient
from minae.arena import Arena
from minae.backend import Backend
from minae.fields import Real
from minae.games import GAMES, Game
from minae.models import Model
from minae.networks import dense
from minae.training import SGD, Adam

F64 = dict(dtype="float64", seed=1)


def numeric(function, t, h=1e-6):
    return np.array([(function(t + h * e) - function(t - h * e)) / (2 * h) for e in np.eye(len(t))])


@pytest.mark.parametrize("kind", GAMES)
def test_every_cost_against_differences(kind, backend, rng):
    game, to, back = (
        Game(kind, Arena(backend, "float64"), {"L_D": 0.7, "L_G": 0.3}),
        backend.from_numpy,
        backend.to_numpy,
    )
    real, fake = rng.standard_normal(5), 2 * rng.standard_normal(5)

    def column(t):
        return to(t[:, None].copy())

    L_D, d_real, d_fake = game.discriminator(column(real), column(fake))
    L_G, d_made = game.generator(column(fake))
    for slope, function in (
        (d_real, lambda t: 0.7 * float(game.discriminator(column(t), column(fake))[0])),
        (d_fake, lambda t: 0.7 * float(game.discriminator(column(real), column(t))[0])),
    ):
        np.testing.assert_allclose(back(slope)[:, 0], numeric(function, real if slope is d_real else fake), atol=1e-8)
    np.testing.assert_allclose(
        back(d_made)[:, 0], numeric(lambda t: 0.3 * float(game.generator(column(t))[0]), fake), atol=1e-8
    )
    a, b, c = {
        "non_saturating": (np.log1p(np.exp(-real)), np.log1p(np.exp(fake)), np.log1p(np.exp(-fake))),
        "least_squares": (0.5 * (real - 1) ** 2, 0.5 * fake**2, 0.5 * (fake - 1) ** 2),
        "hinge": (np.maximum(0, 1 - real), np.maximum(0, 1 + fake), -fake),
    }[kind]
    assert [float(L_D), float(L_G)] == pytest.approx([a.mean() + b.mean(), c.mean()], rel=1e-12)


def test_the_generator_learns_where_the_discriminator_wins():
    """Non-saturating: the slope stays 1/B. The saturating cost, log(1 − D), would have σ(t)/B, next to nothing."""
    game, t = Game("non_saturating", Arena(Backend(), "float64")), np.full((4, 1), -20.0)
    _, slope = game.generator(t)
    np.testing.assert_allclose(slope, -0.25, rtol=1e-6)
    _, _, saturating = game.discriminator(t, t)
    assert abs(saturating).max() < 1e-8


class Discriminates(Model):
    """d alone, between two sets of numbers that are not paired."""

    terms = ("L_D",)

    def inputs(self):
        return {"real": Real(1), "fake": Real(1, domain="fake")}

    def networks(self):
        return {"d": dense([1, 32, 1], ["tanh", "identity"], "D", "e")}

    def build(self):
        self.game = Game("non_saturating", self.arena, {**self.weights, "L_G": 1.0})

    def cost_and_grad(self, real, fake, need_grad=True):
        t_real, real_cache = self.d.forward(real)
        t_fake, fake_cache = self.d.forward(fake)
        L_D, dt_real, dt_fake = self.game.discriminator(t_real, t_fake)
        if need_grad:
            self.d.backward(dt_real, real_cache, need_dx=False)
            self.d.backward(dt_fake, fake_cache, need_dx=False)
        return self.cost(L_D=L_D)


def test_the_best_discriminator_is_the_log_ratio_of_the_densities(rng):
    """For two known Gaussians d → log p − log q, and L_D → 2 log 2 − 2 JS(p, q)."""
    p, q = stats.norm(0.5, 1.0), stats.norm(-0.5, 1.2)
    real, fake = p.rvs((20_000, 1), random_state=1), q.rvs((20_000, 1), random_state=2)
    model = Discriminates(seed=1)
    model.fit(real, fake=fake, epochs=25, batch_size=500, optimizer=Adam(1e-2), progress=False)
    x = np.linspace(-2.5, 2.5, 41)
    d = model.d.forward(x[:, None].astype("float32"))[0][:, 0]
    truth = p.logpdf(x) - q.logpdf(x)
    assert abs(d - truth).max() < 0.25
    grid = np.linspace(-9, 9, 20_001)
    a, b = p.pdf(grid), q.pdf(grid)
    JS = 0.5 * np.trapezoid(a * np.log(2 * a / (a + b)) + b * np.log(2 * b / (a + b)), grid)
    assert model.evaluate(real, fake=fake)["L_D"] == pytest.approx(2 * np.log(2) - 2 * JS, abs=0.02)
    wrong = q.logpdf(x) - p.logpdf(x)  # labels exchanged
    assert abs(d - wrong).max() > 1


# ---- the adversarial autoencoder


def test_a_turn_moves_its_own_parameters_alone(backend, rng):
    model = AdversarialAutoencoder((7, 5, 3), activation="tanh", penalty=0.1, backend=backend, **F64)
    x, z = (backend.from_numpy(rng.uniform(size=(4, n))) for n in (7, 3))
    for turn, nets in model.turns.items():
        model.cost_and_grad(x, z=z, turn=turn)
        gradient = model.parameters.views(backend.to_numpy(model.parameters.grad))
        moved = {name for name, g in gradient.items() if g.any()}
        assert moved == {name for net in nets for layer in model.nets[net].trained() for name in layer.names}


def test_the_draws_of_the_prior_are_real_and_the_codes_are_made(rng):
    """With the two exchanged, every gradient is right, and f learns to leave the prior."""
    model = AdversarialAutoencoder((7, 5, 3), activation="tanh", **F64)
    x, z = rng.uniform(size=(4, 7)), rng.standard_normal((4, 3))
    real, made = (model.d.forward(each)[0] for each in (z, model.f.forward(x)[0]))
    L_D = np.log1p(np.exp(-real)).mean() + np.log1p(np.exp(made)).mean()
    assert float(model.cost_and_grad(x, z=z, turn="D")["L_D"]) == pytest.approx(L_D, rel=1e-12)
    L_G = np.log1p(np.exp(-made)).mean()
    assert float(model.cost_and_grad(x, z=z, turn="G")["L_G"]) == pytest.approx(L_G, rel=1e-12)


def test_r1_is_the_slope_of_d(rng):
    model = AdversarialAutoencoder((7, 5, 3), activation="tanh", discriminator=(6, 4), penalty=2.0, **F64)
    x, z = rng.uniform(size=(4, 7)), rng.standard_normal((4, 3))
    cost = model.cost_and_grad(x, z=z, turn="D")
    assert float(cost["R1"]) == pytest.approx(np.square(model.d.jacobian(z)).sum() / 4, rel=1e-12)
    assert float(cost.J) == pytest.approx(float(cost["L_D"]) + 2.0 * float(cost["R1"]))


def test_a_discriminator_that_moves_in_the_turn_of_the_generator_is_seen(rng):
    """The fault of public code: gradients of d are left from the generator's step."""

    class Leaks(AdversarialAutoencoder):
        def cost_and_grad(self, x, z, turn="R", mode="train", need_grad=True):
            cost = super().cost_and_grad(x, z=z, turn=turn, mode=mode, need_grad=need_grad)
            if turn == "G" and need_grad:
                self.parameters.gradient("D1").array[...] += 1
            return cost

    models = [kind((7, 5, 3), **F64) for kind in (AdversarialAutoencoder, Leaks)]
    x, z = rng.uniform(size=(4, 7)), rng.standard_normal((4, 3))
    left = []
    for model in models:
        model.cost_and_grad(x, z=z, turn="G")
        left.append(model.parameters.views(model.parameters.grad)["D1"].any())
    assert left == [False, True]


@pytest.mark.slow
def test_the_game_gives_the_code_its_distribution(digits):
    """After training the codes have the mean 0 and the deviation 1 of the prior, and reconstructions have been learned;
    the same network without the game learns to reconstruct alone."""
    spread = {}
    for name, weight in (("with", 1.0), ("without", 0.0)):
        model = AdversarialAutoencoder((784, 100, 2), activation="relu", seed=1)
        model.weights["L_G"] = weight
        optimizers = {"R": Adam(1e-3), "D": Adam(1e-3), "G": Adam(1e-3)}
        history = model.fit(digits.train[:3000], epochs=40, optimizer=optimizers, progress=False)
        assert history["J"] == history["L"] and history["L"][-1] < 0.9 * history["L"][0]
        h = model.encode(digits.train[:3000])
        spread[name] = max(abs(h.mean(axis=0)).max(), abs(h.std(axis=0) - 1).max())
    assert spread["with"] < 0.3 and spread["without"] > 1
    x = model.sample(5, seed=3)
    assert x.shape == (5, 784) and ((x >= 0) & (x <= 1)).all()


def test_a_stop_between_steps_and_a_resume_give_the_same_bits(backend, rng, tmp_path):
    X = rng.uniform(size=(40, 7)).astype("float32")

    def run(path=None, resume=False, stop_at=None):
        model = AdversarialAutoencoder((7, 5, 3), backend=backend, seed=1)
        optimizers = {"R": Adam(1e-2), "D": SGD(0.1), "G": Adam(1e-3)}
        steps, page = [0], model.cost_and_grad

        def counted(**inputs):
            if inputs.get("need_grad", True):
                steps[0] += 1
                if steps[0] == stop_at:
                    signal.raise_signal(signal.SIGINT)
            return page(**inputs)

        model.cost_and_grad = counted
        model.fit(X, epochs=3, batch_size=9, optimizer=optimizers, checkpoint=path, resume=resume, progress=False)
        return model.backend.to_numpy(model.parameters.flat).tobytes()

    for stop_at in (2, 19):
        path = tmp_path / f"{stop_at}.safetensors"
        with pytest.raises(KeyboardInterrupt):
            run(path, stop_at=stop_at)
        assert run(path, resume=True) == run()


def test_turns_need_their_optimizers(rng):
    model, X = AdversarialAutoencoder((7, 5, 3)), rng.uniform(size=(9, 7)).astype("float32")
    with pytest.raises(InputError, match="expected one for each of R, D, G"):
        model.fit(X, optimizer={"R": "adam", "D": "adam"})
    with pytest.raises(InputError, match="optimizer has D: expected one optimizer, and no dict"):
        UndercompleteAutoencoder((7, 5)).fit(X, optimizer={"D": "adam"})
    with pytest.raises(InputError, match="lbfgs"):
        model.fit(X, optimizer="lbfgs")
    with pytest.raises(InputError, match="unknown game 'chess'"):
        AdversarialAutoencoder((7, 5, 3), game="chess")
    with pytest.raises(InputError, match="discriminator is"):
        AdversarialAutoencoder((7, 5, 3), discriminator=())
    assert all(check_gradient(model, X[:4], turn=turn) for turn in model.turns)

"""Models that draw, what their draws are worth, and translators between two domains."""

import json

import numpy as np
import pytest

import minae
from minae import CycleConsistent, DiffusionModel, InputError, cli
from minae.chapters.ch15.domains import inverted
from minae.metrics.generation import copies, frechet, kl_to_uniform
from minae.models import registry
from minae.options import of
from minae.training import Adam

F64 = dict(dtype="float64", seed=1)


# ---- diffusion


class Known(DiffusionModel):
    """x ~ N(2, ½²) in one dimension: E[x | x_t] is known."""

    def denoise(self, X, t):
        root, noise = self.levels(t)
        return 2 + root * 0.25 / (root**2 * 0.25 + noise**2) * (X - root * 2)


def test_the_way_back_with_the_exact_mean_ends_in_the_density():
    x = Known((1, 2), **F64).sample(20_000, seed=3, steps=100)[:, 0]
    assert abs(x.mean() - 2) < 0.02 and abs(x.std() - 0.5) < 0.02


def test_the_way_back_without_the_root_does_not():
    """The control: ᾱ where √ᾱ stands."""

    class Rootless(Known):
        def back(self, x_t, x, t, u):
            root_u, _ = self.levels(u)
            m, v = super().back(x_t, x, t, u)
            return m + (root_u**2 - root_u) * x, v

    x = Rootless((1, 2), **F64).sample(20_000, seed=3, steps=100)[:, 0]
    assert abs(x.mean() - 2) > 0.1


def test_the_score_is_that_of_the_density():
    t, x, model = 0.4, np.linspace(-2, 3, 7)[:, None], Known((1, 2), **F64)
    root, noise = model.levels(t)
    true = (root * 2 - x) / (root**2 * 0.25 + noise**2)
    np.testing.assert_allclose(model.score(x, t), true, rtol=1e-12)
    with pytest.raises(InputError, match="t is 2"):
        model.score(x, 2)


def test_the_noise_keeps_the_variance(rng):
    model = DiffusionModel((6, 4, 3), **F64)
    x, eps, t = rng.standard_normal((3, 4000, 6))[0], rng.standard_normal((4000, 6)), rng.random((4000, 1))
    assert abs(model.noised(x, t, eps).var() - 1) < 0.03
    np.testing.assert_allclose(model.noised(x, 0 * t, eps), x, atol=1e-12)
    np.testing.assert_allclose(model.noised(x, 0 * t + 1, eps), eps, atol=1e-12)


def test_a_diffusion_model_learns_where_the_data_are(rng):
    X = np.where(rng.random((2000, 1)) < 0.5, [[1.0, -1.0]], [[-1.0, 1.0]]) + 0.1 * rng.standard_normal((2000, 2))
    model = DiffusionModel((2, 64, 64), seed=0)
    before = np.abs(model.sample(500, steps=20).sum(axis=1)).mean()
    model.fit(X.astype("f"), epochs=20, batch_size=100, optimizer=Adam(3e-3), seed=0)
    made = model.sample(500, steps=20)
    off = np.abs(made.sum(axis=1)).mean()  # 0.11 in the data
    assert off < 0.25 and off < before and np.abs(np.abs(made) - 1).mean() < 0.2
    assert 0.3 < (made[:, 0] > 0).mean() < 0.7


# ---- every generator


GENERATORS = [name for name, kind in registry().items() if hasattr(kind, "sample") and "sizes" in of(kind)]  # not text


@pytest.mark.parametrize("name", GENERATORS)
def test_every_generator_draws_by_count_and_seed(name):
    model = minae.models.get_model(name)(sizes=(9, 6, 3), seed=1, **({"rows": 100} if "total" in name else {}))
    one, again, other = model.sample(5), model.sample(count=5, seed=0), model.sample(5, seed=1)
    assert one.shape == (5, 9) and np.isfinite(one).all()
    assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_the_chain_of_each_loss_has_a_beginning():
    for options in (dict(loss="categorical"), dict(loss="gaussian", corruption="gaussian", level=0.3)):
        assert minae.DenoisingAutoencoder((6, 4), **options).sample(3, steps=4).shape == (3, 6)
    with pytest.raises(InputError, match="score needs"):
        minae.DenoisingAutoencoder((6, 4), loss="gaussian").sample(3)


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    DiffusionModel((9, 6, 3)).save("d.safetensors")
    minae.UndercompleteAutoencoder((9, 3)).save("u.safetensors")
    assert cli.main(["sample", "d.safetensors", "-n", "5", "--seed", "2", "-o", "x.npy"]) == 0
    np.testing.assert_array_equal(np.load("x.npy"), DiffusionModel((9, 6, 3)).sample(5, seed=2))
    assert cli.main(["sample", "d.safetensors", "-n", "30", "-o", "x.png"]) == 0 and (tmp_path / "x.png").exists()
    capsys.readouterr()
    assert cli.main(["sample", "d.safetensors", "-o", "x.npz", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["shape"] == [16, 9] and np.load("x.npz")["x"].shape == (16, 9)
    for arguments, words in (
        (["u.safetensors", "-o", "x.npy"], "'undercomplete' is no generator: those that draw are variational"),
        (["d.safetensors", "-o", "x.gif"], "its name must end in .npy"),
        (["d.safetensors", "-o", "x.txt"], "rows of numbers"),
        (["d.safetensors"], "rows of numbers"),
        (["d.safetensors", "-n", "0", "-o", "x.npy"], "count is 0"),
    ):
        assert cli.main(["sample", *arguments]) == 2
        message = capsys.readouterr().err
        assert words in message and message.count("\n") == 1


def test_the_command_prints_texts(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    DiffusionModel((9, 6, 3)).save("d.safetensors")
    monkeypatch.setattr(DiffusionModel, "sample", lambda self, count, seed=0: ["a b", "c"][:count])
    assert cli.main(["sample", "d.safetensors", "-n", "2"]) == 0 and capsys.readouterr().out == "a b\nc\n"
    assert cli.main(["sample", "d.safetensors", "-n", "2", "-o", "t.txt"]) == 0
    assert (tmp_path / "t.txt").read_text() == "a b\nc\n"
    assert cli.main(["sample", "d.safetensors", "-o", "t.npy"]) == 2


# ---- measures


def test_the_frechet_distance_of_known_gaussians(rng):
    x = rng.standard_normal((200_000, 3))
    assert frechet(x, 2 * x + 1) == pytest.approx(3 + 3, rel=0.02)  # ‖1‖² + Σ (2 − 1)²
    assert frechet(x, x) == pytest.approx(0, abs=1e-9)
    few = np.mean([frechet(rng.standard_normal((20, 3)), rng.standard_normal((20, 3))) for _ in range(50)])
    many = np.mean([frechet(rng.standard_normal((200, 3)), rng.standard_normal((200, 3))) for _ in range(50)])
    assert 5 < few / many < 20  # the bias is about in proportion to 1/rows
    with pytest.raises(InputError, match="equally many columns"):
        frechet(x, x[:, :2])


def test_coverage():
    assert kl_to_uniform(np.arange(40) % 4, 4) == pytest.approx(0, abs=1e-12)
    assert kl_to_uniform(np.zeros(9, int), 4) == pytest.approx(np.log(4))
    with pytest.raises(InputError, match="labels are from 0 to 4"):
        kl_to_uniform(np.arange(5), 4)


def test_a_sampler_that_copies_is_caught_and_an_honest_one_is_not(rng):
    train, held, fresh = (rng.standard_normal((400, 5)) for _ in range(3))
    parrot = train[rng.permutation(400)[:200]] + 0.05 * rng.standard_normal((200, 5))
    assert copies(parrot, train, held).copied and not copies(fresh[:200], train, held).copied
    assert copies(parrot, train, held).nearer > 0.95 and 0.4 < copies(fresh, train, held).nearer < 0.6
    blurred = 0.5 * fresh  # nearer to everything, and no copies
    found = copies(blurred, train, held)
    assert found.nearer > 0.6 and not found.copied


def test_z_has_the_spread_that_it_claims(rng):
    """Over many sets of one distribution z has the deviation 1, and it would be larger if hubs were forgotten."""
    z = []
    for _ in range(60):
        train, held, made = (rng.standard_normal((60, 8)) for _ in range(3))
        z.append(copies(made, train, held).z)
    assert 0.7 < np.std(z) < 1.35 and abs(np.mean(z)) < 0.4


# ---- cycles


def test_a_cycle_closes_between_two_domains(rng):
    A, B = rng.standard_normal((600, 3)).astype("f"), (rng.standard_normal((600, 3)) * [1, 2, 3]).astype("f")
    errors = {}
    for weight in (0.0, 5.0):
        model = CycleConsistent((3, 3), discriminator=(16,), cycle=weight, penalty=0.1, seed=0)
        model.fit(A, b=B, epochs=30, batch_size=50, optimizer=Adam(1e-2, decay1=0.5), seed=0)
        errors[weight] = np.abs(model.translate_back(model.translate(A)) - A).mean()
    assert errors[5.0] < 0.1 * errors[0.0]


def test_the_identity_is_asked_of_the_target_domain(rng):
    """a is 0 and b is 1. With G(x) = 1 and F(x) = 0 Identity is 0, though |G(a) − a| is not."""
    model = CycleConsistent((2, 2), identity=1.0, cycle=0.0, **F64)
    for name in model.parameters:
        model.parameters[name][...] = 0
    model.parameters["b1"][...] = 1  # G(x) = 1, F(x) = 0
    a, b = np.zeros((4, 2)), inverted(np.zeros((4, 2))).astype(float)
    assert float(model.cost_and_grad(a, b, turn="G")["Identity"]) == 0
    assert float(model.cost_and_grad(b, a, turn="G")["Identity"]) == 4


def test_turn_g_leaves_no_gradient_in_the_discriminators(rng):
    model = CycleConsistent((3, 4, 3), identity=0.5, penalty=0.1, **F64)
    model.cost_and_grad(rng.standard_normal((4, 3)), rng.standard_normal((4, 3)), turn="G")
    for name in model.parameters:
        moved = np.any(model.parameters.gradient(name).array)
        assert moved != name.startswith(("D", "e")), name


def test_translators_of_two_widths_have_no_identity(rng):
    model = CycleConsistent((3, 4, 2), identity=1.0, **F64)
    assert "Identity" not in model.cost_and_grad(rng.standard_normal((4, 3)), rng.standard_normal((4, 2)), turn="G")
    assert model.translate(rng.standard_normal((5, 3))).shape == (5, 2)
    for wrong in (dict(image=(1, 2, 2)), dict(image=(1, 2, 2), channels=(2,))):
        with pytest.raises(InputError, match="image is"):
            CycleConsistent((3, 3), **wrong)


def test_arrays_of_the_host_go_in_and_come_out_on_every_backend(backend, rng):
    x, gaussian = rng.random((8, 4)), dict(loss="gaussian", corruption="gaussian")
    model = DiffusionModel((4, 3, 2), backend=backend)
    translators = CycleConsistent((4, 4), image=(1, 2, 2), channels=(2,), identity=0.5, penalty=0.1, backend=backend)
    translators.fit(x, b=x[::-1].copy(), epochs=1, batch_size=4, progress=False)
    made = [model.sample(8, steps=3), model.score(x, 0.5), translators.translate(x), translators.translate_back(x)]
    made += [minae.DenoisingAutoencoder((4, 3), backend=backend, **more).sample(8, steps=3) for more in ({}, gaussian)]
    assert all(isinstance(each, np.ndarray) and each.shape == (8, 4) for each in made)

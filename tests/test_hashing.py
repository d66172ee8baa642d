"""The semantic hashing autoencoder: what its noise is, and what it does to the code."""

import numpy as np
import pytest

from minae import InputError, SemanticHashingAutoencoder, check_gradient, load
from minae.metrics.retrieval import pack
from minae.training import Adam

F64 = dict(dtype="float64", seed=1)


def shake(model, rng):
    model.parameters.flat[...] += model.backend.from_numpy(0.3 * rng.standard_normal(model.parameters.flat.shape))
    return model


def logits(h):
    return np.log(h) - np.log1p(-h)


def decoded(model):
    """A list of the codes that g is given from now on."""
    codes, forward = [], model.g.forward
    model.g.forward = lambda h, *more: (codes.append(h.copy()), forward(h, *more))[1]
    return codes


# ---- the noise


@pytest.mark.parametrize("level", [0.5, 2.0])
def test_the_noise_is_on_the_logits_and_has_the_stated_level(level, rng):
    model = shake(SemanticHashingAutoencoder((7, 5, 3), level=level, **F64), rng)
    X = np.repeat(rng.uniform(size=(1, 7)), 40_000, axis=0)
    seen, a = decoded(model), logits(model.encode(X[:1])[0])
    model.cost_and_grad(X, need_grad=False, **model.draw({"x": X}, 0, "check"))
    noisy = logits(seen[0])
    assert np.abs(noisy.mean(axis=0) - a).max() < 5 * level / np.sqrt(40_000)
    np.testing.assert_allclose(noisy.var(axis=0), level**2, rtol=5 * np.sqrt(2 / 40_000))
    covariance = np.cov(noisy.T) / level**2
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 5 / np.sqrt(40_000)  # each bit has its own


def test_the_eps_that_is_given_is_the_one_that_is_used(backend, rng):
    model = shake(SemanticHashingAutoencoder((7, 5, 3), level=2.0, backend=backend, **F64), rng)
    x, eps = rng.uniform(size=(4, 7)), rng.standard_normal((4, 3))
    seen, before = decoded(model), eps.copy()
    model.cost_and_grad(backend.from_numpy(x), eps=backend.from_numpy(eps))
    a = logits(model.encode(x))
    np.testing.assert_allclose(logits(backend.to_numpy(seen[0])), a + 2.0 * eps, rtol=1e-9)
    np.testing.assert_array_equal(eps, before)


def test_without_noise_the_cost_is_that_of_the_encoded_code(rng):
    model = shake(SemanticHashingAutoencoder((7, 5, 3), **F64), rng)
    X = rng.uniform(size=(4, 7))
    s = model.g.forward(model.encode(X))[0]
    cost = model.cost_and_grad(X, eps=np.zeros((4, 3)))
    assert float(cost["L"]) == pytest.approx(model.loss.rows(s, X).mean())
    np.testing.assert_allclose(model.decode(model.encode(X)), model.reconstruct(X))


def test_the_check_sees_a_gradient_that_leaves_out_the_noise(rng):
    """A negative control: h (1 − h) taken at the logits without noise."""

    class Wrong(SemanticHashingAutoencoder):
        def cost_and_grad(self, x, eps, mode="train", need_grad=True):
            a, f_cache = self.f.forward(x, mode)
            h = 1 / (1 + np.exp(-(a + self.level * eps)))
            s, g_cache = self.g.forward(h, mode)
            L, ds = self.loss(s, x)
            cost = self.cost(L=L)
            if need_grad:
                clean = 1 / (1 + np.exp(-a))
                dh = self.g.backward(ds, g_cache)
                self.f.backward(dh * clean * (1 - clean), f_cache, need_dx=False)
            return cost

    model, x = shake(Wrong((7, 5, 3), level=1.0, **F64), rng), rng.uniform(size=(4, 7))
    report = check_gradient(model, x)
    assert not report and {row.parameter for row in report.rows if not row.passed} == {"W1", "b1", "W2", "b2"}


# ---- its effect


def at_the_ends(h):
    return np.mean((h < 0.1) | (h > 0.9))


def test_noise_drives_the_code_to_0_and_1(digits):
    shares, spread = [], []
    for level in (0.1, 1.0, 4.0):
        model = SemanticHashingAutoencoder((784, 100, 16), activation="relu", level=level, seed=1)
        model.fit(digits.train[:2000], epochs=8, batch_size=50, optimizer=Adam(3e-3))
        h = model.encode(digits.test)
        shares.append(at_the_ends(h))
        spread.append(np.abs(logits(np.clip(h.astype("float64"), 1e-9, 1 - 1e-9))).mean())
    assert shares[0] < shares[1] < shares[2] and shares[2] > 0.85
    assert spread[0] < spread[1] < spread[2]


def test_the_bits_alone_nearly_reconstruct_what_the_code_does(digits):
    model = SemanticHashingAutoencoder((784, 100, 16), activation="relu", seed=1)
    model.fit(digits.train, epochs=5, batch_size=50, optimizer=Adam(3e-3))
    x = digits.test
    bits = np.unpackbits(model.hash(x), axis=1)[:, :16].astype("float32")
    error = {name: np.square(x - r).sum(axis=1).mean() for name, r in
             {"bits": model.decode(bits), "code": model.reconstruct(x), "mean": x.mean(axis=0)}.items()}  # fmt: skip
    assert error["code"] < 0.8 * error["mean"] and error["bits"] < 1.1 * error["code"]


# ---- the bits


@pytest.mark.parametrize("m", [3, 8, 13])
def test_hash_bits_are_where_the_code_is_above_one_half(m, backend, rng):
    model = shake(SemanticHashingAutoencoder((7, 5, m), backend=backend, **F64), rng)
    X = rng.uniform(size=(30, 7))
    codes = model.hash(X)
    assert type(codes) is np.ndarray and codes.dtype == np.uint8 and codes.shape == (30, -(-m // 8))
    np.testing.assert_array_equal(codes, pack(model.encode(X) > 0.5))
    np.testing.assert_array_equal(model.hash(backend.from_numpy(X)), codes)  # a device's rows, too


def test_the_jacobian_is_that_of_the_code(rng):
    """f ends at the logits; the code that `encode` gives is their sigmoid."""
    model = shake(SemanticHashingAutoencoder((7, 5, 3), **F64), rng)
    x, step = rng.uniform(size=(2, 7)), 1e-6
    numeric = [(model.encode(x + step * e) - model.encode(x - step * e)) / (2 * step) for e in np.eye(7)]
    np.testing.assert_allclose(model.jacobian(x), np.stack(numeric, axis=2), atol=1e-9)


def test_save_and_load(tmp_path, backend, rng):
    options = dict(level=2.5, tied=True, activation="tanh", loss="gaussian")
    model = shake(SemanticHashingAutoencoder((7, 5, 3), backend=backend, **options, **F64), rng)
    X = rng.uniform(size=(4, 7))
    model.save(tmp_path / "m.safetensors")
    same = load(tmp_path / "m.safetensors", backend=backend)
    assert type(same) is SemanticHashingAutoencoder and same.config == model.config
    assert same.code == "sigmoid" and same.level == 2.5
    np.testing.assert_array_equal(same.encode(X), model.encode(X))
    assert same.evaluate(X) == model.evaluate(X)
    np.testing.assert_array_equal(model.copy(backend=backend).hash(X), model.hash(X))


def test_a_checkpoint_resumes_bit_for_bit(tmp_path, rng):
    X = rng.uniform(size=(50, 7)).astype("float32")
    fit = dict(batch_size=10, checkpoint=tmp_path / "c.safetensors")
    whole, parts = SemanticHashingAutoencoder((7, 3)), SemanticHashingAutoencoder((7, 3))
    whole.fit(X, epochs=4, batch_size=10)
    parts.fit(X, epochs=2, **fit)
    parts.fit(X, epochs=4, resume=True, **fit)
    assert whole.parameters.flat.tobytes() == parts.parameters.flat.tobytes()


def test_float32_stays_float32(backend, rng):
    model = SemanticHashingAutoencoder((7, 3), backend=backend)
    x = backend.from_numpy(rng.uniform(size=(4, 7)).astype("float32"))
    constants, codes = model.draw({"x": x}, 0, "check"), decoded(model)
    model.cost_and_grad(x, **constants)
    assert constants["eps"].dtype == codes[0].dtype == model.parameters.grad.dtype == np.float32
    assert model.encode(rng.uniform(size=(4, 7))).dtype == np.float32


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(level=0.0), "level is 0.0: .* > 0"),
        (dict(level=-1.0), "level is -1.0"),
        (dict(level=float("inf")), "level is inf"),
        (dict(level=float("nan")), "level is nan"),
        (dict(code="relu"), "code is 'relu'"),
        (dict(code="identity"), "code is 'identity'"),
        (dict(lam=0.1), "no option 'lam'"),
        (dict(loss="hinge"), "unknown loss"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(InputError, match=message) as error:
        SemanticHashingAutoencoder((7, 3), **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("eps", [np.zeros((4, 7)), np.zeros((4, 3), "float32"), None])
def test_noise_of_the_wrong_shape_or_type(eps, rng):
    with pytest.raises(InputError, match=r"eps is .*; expected float64 \(4, 3\)"):
        SemanticHashingAutoencoder((7, 3), **F64).cost_and_grad(rng.uniform(size=(4, 7)), eps=eps)

"""14.2.1 Sparse Autoencoders

Equations: 14.2, 14.3, 14.4, 14.5, 14.6, 14.7
Figures: none in the book; learned features, activity of the code, what a code copies

A code wider than x could copy x and learn nothing. A sparse autoencoder forbids the copy with a penalty on the code,

    J = L(x, g(f(x))) + Ω(h)     (14.2)

Read as a model with latent h, log p(x) = log Σ_h p(h, x)     (14.3) is approximated at one h, the code, by

    log p(h, x) = log p(h) + log p(x | h)     (14.4)

and a Laplace prior p(h_i) = λ/2 e^{−λ|h_i|}     (14.5) gives the penalty Ω(h) = λ Σ_i |h_i|     (14.6), because

    −log p(h) = Σ_i (λ|h_i| − log λ/2) = Ω(h) + const     (14.7)

Another Ω, by Ng: the divergence KL(ρ ‖ ρ̂_j) between a target ρ and the mean ρ̂_j of h_j over the batch. Or the code is
sparse by construction: the k-sparse autoencoder keeps the k largest units.

Symbols: minae/NOTATION.md. The forward and backward passes: minae/models/sparse.py and k_sparse.py.
"""

# %%
import warnings

import numpy as np
from scipy import stats

import minae
from minae import InputError, UndercompleteAutoencoder, check_gradient, data, plots
from minae.chapters import Section
from minae.chapters.classical import probe_error
from minae.penalties import Laplace
from minae.training import Adam, Cosine

section = Section(__doc__)
digits = data.mnist(full=section.size == "full")
X, X_test = digits.train, digits.test  # (rows, 784), pixels in [0, 1]
rng, on = np.random.default_rng(section.seed), dict(backend=section.backend)


# %% [markdown]
# ## The L1 penalty is a Laplace prior     (14.5 to 14.7)
# Ω(h) and −log p(h) must differ by the same constant for every h: m log(2/λ).

# %%
lam, h = 0.7, rng.standard_normal((5, 12))
minus_log_p = -stats.laplace(scale=1 / lam).logpdf(h).sum(axis=1)
Omega = np.array([lam * float(Laplace().value(row[None])) for row in h])
spread = section.number("−log p(h) − Ω(h) − m log(2/λ)", abs(minus_log_p - Omega - 12 * np.log(2 / lam)).max())
section.claim("Ω = λ Σ |h| is −log of a Laplace prior, but for a constant", spread, "<=", 1e-12)

# %% [markdown]
# ## KL(ρ ‖ ρ̂) reaches its ρ
# Ng's setting, but for a linear decoder and no weight decay: 8 × 8 patches of natural images (of digits, where there
# are no others at hand), 25 sigmoid units whose means shall be 0.01, weight 3 (his β, our λ), L-BFGS.

# %%
try:
    images, kind = data.natural_images() / 255, "natural images"
except InputError:
    images, kind = X.reshape(-1, 28, 28)[:, 4:24, 4:24], "digits"
x = data.patches(images, 8, section.pick(1000, 5000, 10000), rng).astype(np.float64)
x -= x.mean(axis=1, keepdims=True)
x = 0.5 + 0.4 * (x / (3 * x.std())).clip(-1, 1)  # in [0.1, 0.9], as in the notes
rho, options = 0.01, dict(dtype="float64", loss="gaussian", **on)
rates, errors, later = [], [], []
for seed in section.seeds:
    sparse = minae.SparseAutoencoder((64, 25), penalty="kl", rho=rho, lam=3.0, seed=seed, **options)
    errors.append(check_gradient(sparse, x[:10], entries=100).worst.error)  # before training, as in the notes
    sparse.fit(x, optimizer="lbfgs", epochs=section.pick(80, 300, 400))
    rates.append(sparse.encode(x).mean(axis=0))
    later.append(check_gradient(sparse, x[:10], entries=100).worst.error)
section.number("mean of h over patches and units, ρ = 0.01", [rate.mean() for rate in rates])
furthest = section.number("  unit furthest from ρ, |ρ̂_j − ρ|/ρ", [max(abs(rate / rho - 1)) for rate in rates])
section.claim("every ρ̂_j comes within 20% of ρ", furthest, "<=", section.pick(0.4, 0.2, 0.2))
error = section.number("gradient check", errors, published="usually less than 1e-9 (seen; UFLDL notes)")
section.claim("the gradient is that of J, L and Ω", error, "<=", 1e-9)
section.claim("after training too", section.number("  after training; rounding makes 1e-8", later), "<=", 1e-7)
plain = UndercompleteAutoencoder((64, 25), seed=section.seed, **options)
plain.fit(x, optimizer="lbfgs", epochs=50)
section.claim("without the penalty the code is dense", section.number("  no penalty", plain.encode(x).mean()), ">", 0.1)
W = section.backend.to_numpy(sparse.parameters["W1"]).T
W = 0.5 + 0.5 * W / abs(W).max(axis=1, keepdims=True)  # grey is 0
rows, title = {"W, 1–12": W[:12], "13–24": W[12:24]}, f"Features of 8 × 8 patches of {kind}"
section.figure(plots.images(rows, title, shape=(8, 8)), "features")

# %% [markdown]
# ## An overcomplete code that is not the identity
# The identity lets everything through. So add noise n to test digits and see which share of it reaches the output,
# ‖r(x + n) − r(x)‖² / ‖n‖²: 1 for the identity. The networks have 1000 ReLU units for 784 pixels. One has a penalty;
# one is stopped when, on 500 held-out digits, denoising gets worse. All begin with small weights, from where training
# slowly approaches the identity.

# %%
n = 0.3 * rng.standard_normal(X_test.shape).astype(np.float32)


def noise_that_passes(model):
    return float(np.square(model.reconstruct(X_test + n) - model.reconstruct(X_test)).sum() / np.square(n).sum())


def stop_early(model, history):
    errors.append(np.square(model.reconstruct(held_out + n_held_out) - held_out).sum(axis=1).mean())
    return len(errors) > 1 and errors[-1] > errors[-2]


warnings.filterwarnings("ignore", "no layer of")  # of a code this wide without a penalty: it is what we want to see
wide, few, held_out = dict(sizes=(784, 1000), activation="relu", loss="gaussian", **on), X[:-500][:12000], X[-500:]
n_held_out = 0.3 * rng.standard_normal(held_out.shape).astype(np.float32)
names = ["no penalty", "stopped early", "L1"]
passed, active, error = ({name: [] for name in names} for _ in range(3))
for seed in section.seeds:
    models, errors = {name: UndercompleteAutoencoder(seed=seed, **wide) for name in names[:2]}, []
    models["L1"] = minae.SparseAutoencoder(penalty="l1", lam=0.05, seed=seed, **wide)
    for name, model in models.items():
        model.parameters.flat[...] *= 0.1
        callbacks = [stop_early] if name == "stopped early" else []
        model.fit(few, epochs=section.pick(2, 12, 12), optimizer=Adam(1e-3), seed=seed, callbacks=callbacks)
        passed[name].append(noise_that_passes(model))
        active[name].append((model.encode(X_test) > 1e-3).mean())
        error[name].append(np.square(model.reconstruct(X_test) - X_test).sum(axis=1).mean())
for name in names:
    passed[name] = section.number(f"share of the noise that passes, {name}", passed[name])
    active[name] = section.number(f"  units that are on, {name}", active[name])
    error[name] = section.number(f"  squared error, {name}", error[name])
section.claim("the penalty keeps a wide code from the identity", passed["L1"], "<", 0.75 * passed["no penalty"])
section.claim("and makes it sparse", active["L1"], "<", 0.5 * active["no penalty"])
mean_digit = np.square(X_test - X.mean(axis=0)).sum(axis=1).mean()
section.claim("its error over that of the mean digit", float(error["L1"] / mean_digit), "<", 0.8)
if section.size != "quick":  # three epochs are early anyway
    section.claim("early stopping alone does so too", passed["stopped early"], "<", 0.75 * passed["no penalty"])
x, y = X_test[:12], X_test[:12] + n[:12]
rows = {"x": x, "x + n": y} | {f"r, {name}": model.reconstruct(y) for name, model in models.items()}
section.figure(plots.images(rows, "What a code of 1000 units lets through"), "copies")

# %% k-sparse codes: the k largest linear units are kept, weights are tied. A softmax regression reads the digit off it
units, epochs, source = section.pick(200, 1000, 1000), section.pick(3, 15, 8), "(recalled; Makhzani and Frey 2013)"
errors = {"pixels": [probe_error(X, X_test, digits, seed, section.backend) for seed in section.seeds]}
for k, published in section.pick({25: 1.35}, {25: 1.35}, {25: 1.35, 40: 1.54}).items():
    errors[k] = []
    for seed in section.seeds:
        model = minae.KSparseAutoencoder((784, units), k=k, loss="gaussian", tied=True, seed=seed, **on)
        model.fit(X, epochs=epochs, optimizer=Adam(Cosine(1e-3, steps=epochs * -(-len(X) // 128))), seed=seed)
        errors[k].append(probe_error(model.encode(X), model.encode(X_test), digits, seed, section.backend))
    section.number(f"error %, softmax on a k-sparse code, k = {k}", errors[k], f"{published} {source}")
pixels = section.number("error %, softmax on pixels", errors["pixels"], f"7.20 {source}")
if section.size != "quick":
    section.claim("points that the k-sparse code gains, k = 25", pixels - np.mean(errors[25]), ">=", 2)
section.finish()

"""14.2.1 Sparse Autoencoders

Equations: 14.2, 14.3, 14.4, 14.5, 14.6, 14.7
Figures: features (learned from small patches); copies (what a wide code lets through)

A code wider than x could copy x and learn nothing. A sparse autoencoder forbids the copy with a penalty on the code,

    J = L(x, g(f(x))) + Ω(h)     (14.2)

The book reads it as a model with latent h. The likelihood

    log p(x) = log Σ_h p(h, x)     (14.3)

is a sum over all codes, and is approximated by its term at one h, the code that the encoder gives:

    log p(h, x) = log p(h) + log p(x | h)     (14.4)

The second term is −L. A Laplace prior on each unit,

    p(h_i) = λ/2 e^{−λ|h_i|}     (14.5)

makes the first term a penalty on the absolute values of the code,

    Ω(h) = λ Σ_i |h_i|     (14.6)

because

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
from minae.metrics.probe import probe_error
from minae.penalties import Laplace
from minae.training import Adam, Cosine

section = Section("14.2.1")
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
spread = section.number(
    "largest |−log p(h) − Ω(h) − m log(2/λ)|", abs(minus_log_p - Omega - 12 * np.log(2 / lam)).max()
)
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
section.number("mean of h over patches and units", [rate.mean() for rate in rates], of="KL sparsity, ρ = 0.01")
furthest = section.number(
    "largest |ρ̂_j − ρ|/ρ", [max(abs(rate / rho - 1)) for rate in rates], of="KL sparsity, ρ = 0.01"
)
section.claim("every ρ̂_j comes within 20% of ρ", furthest, "<=", section.pick(0.4, 0.2, 0.2))
published = "usually less than 1e-9 (seen; UFLDL notes)"
error = section.number("largest error of the gradient check", errors, published, of="KL sparsity, before training")
section.claim("the gradient is that of J, L and Ω", error, "<=", 1e-9)
later = section.number("largest error of the gradient check", later, of="KL sparsity, after training")
section.claim("the gradient is that of J after training too, where rounding makes 1e-8", later, "<=", 1e-7)
plain = UndercompleteAutoencoder((64, 25), seed=section.seed, **options)
plain.fit(x, optimizer="lbfgs", epochs=50)
section.number("mean of h over patches and units", plain.encode(x).mean(), of="no penalty")
W = section.backend.to_numpy(sparse.parameters["W1"]).T
W = 0.5 + 0.5 * W / abs(W).max(axis=1, keepdims=True)  # grey is 0
rows, title = {"W, 1–12": W[:12], "13–24": W[12:24]}, f"8 × 8 patches of {kind}: dark > 0, light < 0"
section.figure(
    plots.images(rows, title, shape=(8, 8)),
    "features",
    caption="The weights into 24 of the 25 units, each in the place of the pixels of its patch; grey is 0. In Ng's "
    "exercise such units become detectors of edges.",
    alt="Two rows of twelve small squares of grey levels, one a unit.",
)

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
    passed[name] = section.number("share of the noise that passes", passed[name], of=f"1000 units, {name}")
    active[name] = section.number("share of the units that are on", active[name], of=f"1000 units, {name}")
    error[name] = section.number("squared error, test images", error[name], of=f"1000 units, {name}")
section.claim("the penalty lets less noise through", passed["L1"], "<", passed["no penalty"])
section.claim(
    "the penalty makes the code sparse: share of the units that are on", active["L1"], "<", active["no penalty"]
)
mean_digit = np.square(X_test - X.mean(axis=0)).sum(axis=1).mean()
section.claim(
    "the sparse code keeps more than the mean digit, ratio of errors", float(error["L1"] / mean_digit), "<", 1
)
x, y = X_test[:12], X_test[:12] + n[:12]
rows = {"x": x, "x + n": y} | {f"r, {name}": model.reconstruct(y) for name, model in models.items()}
section.figure(
    plots.images(rows, "What a code of 1000 units lets through"),
    "copies",
    caption="Test digits x, the same with noise n, and what three networks with 1000 units make of x + n. The "
    "identity would return the noise. The network without a penalty returns a part of it, and the one with an L1 "
    "penalty less.",
    alt="Five rows of twelve digits: clean, noisy, and three reconstructions of the noisy ones. The last row, of "
    "the L1 penalty, has the cleanest background and the most blurred strokes.",
)

# %% [markdown]
# ## k-sparse codes
# The k largest linear units are kept, and the weights are tied. A softmax regression reads the digit off the code.

# %%
units, epochs, source = section.pick(200, 1000, 1000), section.pick(3, 15, 8), "(recalled; Makhzani and Frey 2013)"
errors = {
    "pixels": [
        probe_error(X, digits.train_labels, X_test, digits.test_labels, seed, section.backend) for seed in section.seeds
    ]
}
for k, published in section.pick({25: 1.35}, {25: 1.35}, {25: 1.35, 40: 1.54}).items():
    errors[k] = []
    for seed in section.seeds:
        model = minae.KSparseAutoencoder((784, units), k=k, loss="gaussian", tied=True, seed=seed, **on)
        model.fit(X, epochs=epochs, optimizer=Adam(Cosine(1e-3, steps=epochs * -(-len(X) // 128))), seed=seed)
        errors[k].append(
            probe_error(
                model.encode(X), digits.train_labels, model.encode(X_test), digits.test_labels, seed, section.backend
            )
        )
    section.number("error % of a linear probe", errors[k], f"{published} {source}", of=f"k-sparse code, k = {k}")
pixels = section.number("error % of a linear probe", errors["pixels"], f"7.20 {source}", of="pixels")
if section.size != "quick":
    section.claim("points that the k-sparse code gains over pixels, k = 25", pixels - np.mean(errors[25]), ">", 0)
section.guard("points that the k-sparse code gains over pixels, k = 25", pixels - np.mean(errors[25]), ">=", 2)

# %%
section.finish()

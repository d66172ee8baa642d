"""14.2.2 Denoising Autoencoders

Equations: 14.8, 14.9
Figures: denoised (digits, corrupted and denoised); features (weights into single units)

An autoencoder minimises a loss that punishes g(f(x)) for being unlike x,

    L(x, g(f(x)))     (14.8)

Instead of adding a penalty to it, a denoising autoencoder changes its input. It minimises

    L(x, g(f(x̃)))     (14.9)

where x̃ is a copy of x that was spoiled by noise. It has to undo the corruption, which takes knowledge of the data;
copying its input would bring the noise along.

Symbols: minae/NOTATION.md. The forward and backward pass: minae/models/denoising.py; C(x̃ | x):
minae/corruptions.py.
"""

# %%
import warnings

import numpy as np

from minae import DenoisingAutoencoder, UndercompleteAutoencoder, check_gradient, data, plots
from minae.chapters import Section
from minae.corruptions import CORRUPTIONS
from minae.metrics.probe import probe_error
from minae.training import Adam, Cosine

warnings.filterwarnings("ignore", "no layer of")  # the plain one is wider than x at full size: see 14.2
section = Section("14.2.2")
digits = data.mnist(full=section.size == "full")
X, X_test = digits.train, digits.test  # (rows, 784), pixels in [0, 1]
epochs, units, batch = section.pick((4, 200, 64), (15, 500, 64), (6, 1000, 128))
levels = {"gaussian": 0.3, "masking": 0.4, "salt_and_pepper": 0.25}


def train(kind, seed, **options):
    model = kind((784, units), activation="relu", seed=seed, backend=section.backend, **options)
    optimizer = Adam(Cosine(3e-3, steps=epochs * -(-len(X) // batch)))
    model.fit(X, epochs=epochs, batch_size=batch, optimizer=optimizer, seed=seed)
    return model


def squared_error(r, x=X_test):
    return float(np.square(x - r).sum(axis=1).mean())


def corrupt(name, x, seed=section.seed):
    return CORRUPTIONS[name](levels[name])(x, np.random.default_rng(seed))


def with_one(x):
    return np.hstack([x, np.ones((len(x), 1), x.dtype)])


def linear_filter(name, x_tilde):
    """r = x̃ A, A = argmin Σ ‖x − x̃ A‖² + ε ‖A‖², with a 1 beside the pixels, from two corrupted copies of X."""
    copies = [with_one(corrupt(name, X, seed + 1)) for seed in range(2)]
    A = np.linalg.solve(sum(c.T @ c for c in copies) + 1e-3 * len(X) * np.eye(785), sum(c.T @ X for c in copies))
    return with_one(x_tilde) @ A.astype(x_tilde.dtype)


# %% [markdown]
# ## The undone corruption
# One denoiser for each kind of noise, on test digits, against an autoencoder of the same size that never saw noise, and
# against the best linear filter: ridge regression of x on x̃.

# %%
plain = [train(UndercompleteAutoencoder, seed) for seed in section.seeds]
denoisers, rows = {}, {"x": X_test[:12]}
for name, level in levels.items():
    denoisers[name] = [train(DenoisingAutoencoder, seed, corruption=name, level=level) for seed in section.seeds]
    x_tilde = corrupt(name, X_test)
    noise = f"{name.replace('_', ' ')} noise {level}"
    before = section.number("squared error", squared_error(x_tilde), of=f"x̃, {noise}")
    errors = [[squared_error(model.reconstruct(x_tilde)) for model in models] for models in (plain, denoisers[name])]
    error_plain = section.number("squared error", errors[0], of=f"plain autoencoder, {noise}")
    error_linear = section.number(
        "squared error", squared_error(linear_filter(name, x_tilde)), of=f"linear filter, {noise}"
    )
    error = section.number("squared error", errors[1], of=f"denoising autoencoder, {noise}")
    section.claim(f"the denoiser undoes most of the noise: {noise}", error, "<", 0.5 * before)
    section.claim(
        f"the denoiser undoes more than an autoencoder that never saw noise: {noise}", error, "<", error_plain
    )
    if section.size != "quick":  # a few hundred steps are not enough for it
        section.claim(f"the denoiser undoes more than a linear filter: {noise}", error, "<", error_linear)
    label = name.replace("_", " ")
    rows |= {f"x̃, {label}": x_tilde[:12], f"r, {label}": denoisers[name][0].reconstruct(x_tilde[:12])}
section.figure(
    plots.images(rows, "Clean digits, corrupted, and denoised"),
    "denoised",
    caption="The first row shows test digits. Below it each pair of rows shows the digits with one kind of noise, and "
    "what a denoiser trained on that noise makes of them. Ink is dark; values below 0 and above 1, of which Gaussian "
    "noise has many, are drawn as 0 and 1, so that half of it cannot be seen. Look for strokes that the noise has cut: "
    "the denoiser closes them.",
    alt="Seven rows of twelve digits: clean digits, then for Gaussian, masking and salt-and-pepper noise a row of "
    "spoiled digits and a row of restored ones. All restored digits can be read.",
)

# %% [markdown]
# ## Features
# The weights into single units: of each network the 12 units that have the largest weights.


# %%
def features(model):
    W = section.backend.to_numpy(model.parameters["W1"]).T
    W = W[np.argsort(-np.abs(W).max(axis=1))[:12]]
    return 0.5 + 0.5 * W / np.abs(W).max(axis=1, keepdims=True)  # grey is 0


rows = {"plain": features(plain[0])}
rows |= {name.replace("_", " "): features(models[0]) for name, models in denoisers.items()}
section.figure(
    plots.images(rows, "Weights into one unit: dark > 0, light < 0, grey = 0"),
    "features",
    caption="Each square holds the weights of one unit, in the place of the pixels from which they come. Of each "
    "network the 12 units with the largest single weight are drawn, a choice that favours structure. The units of a "
    "denoiser hold strokes and parts of strokes more often than those of the plain autoencoder.",
    alt="Four rows of twelve grey squares, one row a network. Squares of the denoising networks show blobs and strokes "
    "on a grey ground.",
)

# %% [markdown]
# ## What the code says of the digit
# A softmax regression on the code, trained on all labels. The claim is about masking noise, as in Vincent et al. 2008.


# %%
def error_of(model, seed):
    return probe_error(
        model.encode(X), digits.train_labels, model.encode(X_test), digits.test_labels, seed, section.backend
    )


source = "(recalled; Rifai et al. 2011, fine-tuned)"
pixels = section.number(
    "error % of a linear probe",
    [probe_error(X, digits.train_labels, X_test, digits.test_labels, seed, section.backend) for seed in section.seeds],
    of="pixels",
)
error = {}
for name, models in {"plain": plain, **denoisers}.items():
    published = {"plain": f"1.78 {source}", "gaussian": f"1.18 {source}", "masking": f"1.57 {source}"}.get(name)
    errors = [error_of(model, seed) for model, seed in zip(models, section.seeds, strict=True)]
    error[name] = section.number("error % of a linear probe", errors, published, of=f"code of {name}")
gain = section.number("points gained over the plain code", error["plain"] - error["masking"], of="code of masking")
if section.size != "quick":
    section.claim("a denoising code says more of the digit than a plain one, points", gain, ">", 0)
section.guard("points that a denoising code gains over a plain one", gain, ">=", 1.0)

# %% [markdown]
# The corruption is an argument of the cost, so the gradient is checked with x̃ held fixed.

# %%
worst = check_gradient(denoisers["masking"][0], X_test[:4], entries=30).worst.error
section.claim("the gradient is that of J", section.number("largest error of the gradient check", worst), "<=", 1e-7)

section.finish()

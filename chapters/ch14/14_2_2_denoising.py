"""14.2.2 Denoising Autoencoders

Equations: 14.8, 14.9
Figures: noises (error by the noise that a network learned from and the noise that it is tested on); denoised (digits,
corrupted and restored); features (weights into single units)

An autoencoder minimises a loss that punishes g(f(x)) for being unlike x,

    L(x, g(f(x)))     (14.8)

If f and g are strong enough, nothing in this cost forbids that g(f(x)) becomes the identity. Section 14.2 adds a
penalty to it. A denoising autoencoder adds nothing. It changes the input. It minimises

    L(x, g(f(x̃)))     (14.9)

where x̃ is a copy of x that was spoiled by some kind of noise. The identity is now a bad answer, because it returns the
noise. To undo the noise the network must know what digits look like: which strokes go on behind a hole, and which dark
pixel belongs to no stroke. This script asks

  1. what the gradient is, and why it is hardly any new work;
  2. how much noise a denoiser undoes, beside a plain autoencoder and beside the best linear filter;
  3. what becomes of a noise that the denoiser has not learned from;
  4. whether its features and its code are better for it.

Symbols: minae/NOTATION.md. Formula, derivation, forward and backward pass: minae/models/denoising.py. The noise
C(x̃ | x): minae/corruptions.py.
"""

# %%
import warnings

import numpy as np

from minae import DenoisingAutoencoder, UndercompleteAutoencoder, check_gradient, data, plots
from minae.chapters import Section
from minae.corruptions import CORRUPTIONS
from minae.metrics.probe import probe_error
from minae.training import Adam, Cosine

warnings.filterwarnings("ignore", "no layer of")  # at full size the plain network is wider than x: see 14.2
section = Section("14.2.2")
digits = data.mnist(full=section.size == "full")
X, X_test = digits.train, digits.test  # (rows, 784), pixels in [0, 1]
epochs, units, batch = section.pick((4, 200, 64), (12, 400, 64), (6, 1000, 128))
LEVELS = {"gaussian": 0.3, "masking": 0.4, "salt_and_pepper": 0.25}
LABELS = {"gaussian": "Gaussian", "masking": "masking", "salt_and_pepper": "salt and pepper"}

# %% [markdown]
# ## Three kinds of noise
# The noise is drawn anew each time that an example is used. We take the three kinds of Vincent et al. (2010):
#
#   - Gaussian noise adds to each pixel a number from N(0, 0.3²);
#   - masking noise sets each pixel to 0 with probability 0.4;
#   - salt-and-pepper noise sets each pixel, with probability 0.25, to 0 or to 1, by a fair coin.
#
# ## 1. The gradient
# How does (14.9) change the backward pass? Follow x and x̃ through it, with one hidden layer,
#
#     a = x̃ W + b,   h = φ(a),   s = h V + c,   L = −log p(x | s)
#
# where s holds the logits of the pixels. Step 1. x itself stands in L alone, so ds = ∂L/∂s is what it was, and compares
# s with the clean x. Step 2. On the way back from s to a nothing has changed: dh = ds Vᵀ, and da = φ'(a) dh. Step 3. W
# meets the corrupted input. In row b of the batch, pixel i and unit j, a_bj = Σ_i x̃_bi W_ij + b_j. So ∂a_bj/∂W_ij is
# x̃_bi, and the sum over the rows is
#
#     dW = x̃ᵀ da
#
# The noise does not depend on θ, so that no derivative runs through x̃. That is all. The gradient of a denoiser is the
# gradient of a plain autoencoder with x̃ in one place, and x in the other. We write these lines in NumPy and hold them
# against the engine. As a control, we also take the wrong input: xᵀ da.

# %%
rng = np.random.default_rng(section.seed)
tiny = DenoisingAutoencoder((12, 5), dtype="float64", backend="numpy", seed=section.seed)  # sigmoid, Bernoulli loss
x, x_tilde = rng.uniform(size=(6, 12)), rng.uniform(size=(6, 12))
tiny.cost_and_grad(x=x, x_tilde=x_tilde)
W, b, V, c = (tiny.parameters[name] for name in ("W1", "b1", "V1", "c1"))


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


h = sigmoid(x_tilde @ W + b)
ds = (sigmoid(h @ V + c) - x) / len(x)  # of −log Bernoulli: σ(s) − x, with the clean x; L is a mean over the batch
da = h * (1 - h) * (ds @ V.T)
engine = tiny.parameters.views(tiny.parameters.grad)["W1"]
section.claim("dW = x̃ᵀ da is the engine's: difference", abs(x_tilde.T @ da - engine).max(), "<=", 1e-14)
section.claim("xᵀ da is not: relative difference", np.linalg.norm(x.T @ da - engine) / np.linalg.norm(engine), ">", 0.1)
worst = check_gradient(tiny, X_test[:4, 300:312], entries=60).worst.error
worst = section.number("largest error of the gradient check", worst, of="denoising, x̃ held fixed")
section.claim("the gradient is that of J, by differences with x̃ held fixed", worst, "<=", 1e-7)

# %% [markdown]
# ## 2. How much noise is undone?
# One denoiser is trained for each kind of noise. It has two rivals. The plain autoencoder has the same size and the
# same training, and never saw noise. The linear filter is the best matrix A for the purpose, with r = x̃ A. It is the
# ridge regression of x on x̃,
#
#     A = argmin E ‖x − x̃ A‖² + α ‖A‖² = (E x̃ᵀx̃ + α I)⁻¹ E x̃ᵀx,     α = 0.001
#
# Both means over the noise are known, so that no corrupted digit need be drawn for the filter. Given x, let x̃ have the
# mean m(x). The noise of each pixel is independent of that of the others, and has the variance v(x). Then
#
#     E x̃ᵀx = E mᵀx,     E x̃ᵀx̃ = E mᵀm + diag(E v)
#
# where the means on the right are over the training digits alone. The three kinds of noise have
#
#     Gaussian              m = x,                   v = σ²
#     masking               m = (1 − ν) x,           v = ν (1 − ν) x²
#     salt and pepper       m = (1 − ν) x + ν/2,     v = (1 − ν) x² + ν/2 − m²
#
# where ν is the share of the pixels that are spoiled. A 1 is appended to the pixels of x̃, so that the filter can add a
# constant. We check the second of the two means by drawing salt-and-pepper noise many times for eight pixels.

# %%
salt = CORRUPTIONS["salt_and_pepper"](LEVELS["salt_and_pepper"])
pixels, draws = X[:1, 404:412], 50000
x_tilde = salt(np.repeat(pixels, draws, axis=0), rng).astype(np.float64)
products = x_tilde[:, :, None] * x_tilde[:, None, :]  # x̃ᵀx̃ of each draw, (draws, 8, 8)
mean, variance = salt.law(pixels.astype(np.float64))
expected = mean.T @ mean + np.diag(variance[0])
off = abs(products.mean(axis=0) - expected) / (products.std(axis=0) / np.sqrt(draws) + 1e-12)
section.claim("E x̃ᵀx̃ = E mᵀm + diag(E v): largest difference in standard errors", off.max(), "<=", 5)

# %% [markdown]
# The filter needs no training by gradients, and it should never be left out: whatever a matrix can do is no merit of a
# network. The error is the squared error ‖x − r‖² on test digits, summed over pixels. All are tested on the same x̃.


# %%
def train(kind, seed, **options):
    model = kind((784, units), activation="relu", seed=seed, backend=section.backend, **options)
    optimizer = Adam(Cosine(3e-3, steps=epochs * -(-len(X) // batch)))
    model.fit(X, epochs=epochs, batch_size=batch, optimizer=optimizer, seed=seed)
    return model


def squared_error(r, x=X_test):
    return float(np.square(x - r).sum(axis=1).mean())


def corrupt(name, x, seed=section.seed):
    return CORRUPTIONS[name](LEVELS[name])(x, np.random.default_rng(seed))


def with_one(x):
    return np.hstack([x, np.ones((len(x), 1), x.dtype)])


def linear_filter(name):
    """The matrix A, (785, 784), with the means over the noise in closed form."""
    mean, variance = CORRUPTIONS[name](LEVELS[name]).law(X)
    mean = with_one(mean)
    left = mean.T @ mean
    left[np.diag_indices(784)] += (variance * np.ones_like(X)).sum(axis=0)
    left[np.diag_indices(785)] += 1e-3 * len(X)
    return np.linalg.solve(left, mean.T @ X)


networks = {"plain": [train(UndercompleteAutoencoder, seed) for seed in section.seeds]}
for name, level in LEVELS.items():
    networks[name] = [train(DenoisingAutoencoder, seed, corruption=name, level=level) for seed in section.seeds]
filters = {name: linear_filter(name) for name in LEVELS}
inputs = {"no noise": X_test} | {name: corrupt(name, X_test) for name in LEVELS}
error = {}
for noise, x_tilde in inputs.items():
    tested = f"tested on {LABELS.get(noise, noise)}"
    for name, models in networks.items():
        kind = "plain autoencoder" if name == "plain" else f"denoising, trained on {LABELS[name]}"
        errors = [squared_error(model.reconstruct(x_tilde)) for model in models]
        error[name, noise] = section.number("squared error", errors, of=f"{kind}, {tested}")
    if noise in LEVELS:
        error["x̃", noise] = section.number("squared error", squared_error(x_tilde), of=f"x̃ itself, {tested}")
        r = with_one(x_tilde) @ filters[noise]
        error["linear", noise] = section.number("squared error", squared_error(r), of=f"linear filter, {tested}")
for name, label in LABELS.items():
    own = error[name, name]
    section.claim(f"{label}: the denoiser undoes more than the plain autoencoder", own, "<", error["plain", name])
    if section.size != "quick":  # a few hundred steps are not enough for it
        section.claim(f"{label}: the denoiser undoes more than the linear filter", own, "<", error["linear", name])
shown, pictures = 10, {"x": X_test}
for name, label in LABELS.items():
    pictures |= {
        f"x̃, {label}": inputs[name],
        f"plain, {label}": networks["plain"][0].reconstruct(inputs[name][:shown]),
        f"linear, {label}": with_one(inputs[name][:shown]) @ filters[name],
        f"denoising, {label}": networks[name][0].reconstruct(inputs[name][:shown]),
    }

# %% [markdown]
# At default size the denoiser leaves 6.4 of the 71 that Gaussian noise adds, 10.1 of 35 of masking, and 10.4 of 94 of
# salt and pepper. It beats both rivals each time. But look at how near the linear filter comes, with 9.8, 12.2 and
# 13.7: most of the noise can be undone by a matrix. And the plain autoencoder, which never saw noise, undoes most of
# the Gaussian noise too (10.2), because it has learned what digits look like. It fails where the noise looks like ink,
# or like missing ink.
#
# ## 3. A noise that the denoiser has not learned from
# Does a denoiser remove noise, or does it remove *its* noise? Each of the four networks is tested on clean digits and
# on all three kinds of noise. If a denoiser had learned what digits look like, and nothing else, then it should cope
# with any noise.

# %%
columns = {"no noise": "clean x", **LABELS}
title = "Squared error: rows were trained on, columns are tested on"
least = {noise: min(error[name, noise] for name in networks) for noise in inputs}
words, colours = {}, {"–": "#f4f4f4"}
labels = {"plain": "plain (trained on clean x)"} | {name: f"denoising, {label}" for name, label in LABELS.items()}
labels |= {"linear": "linear filter for the noise of the column", "x̃": "x̃ itself, not restored"}
for name, label in labels.items():
    row = {}
    for noise, column in columns.items():
        value = error.get((name, noise))
        row[column] = "–" if value is None else f"{value:.1f}"
        if value is not None:
            shade = min(1.0, 0.5 * np.log(max(value / least[noise], 1)) / np.log(2))  # white: least; full: 4 times it
            colours[label, column] = tuple(1 - shade * (1 - np.array([0.96, 0.7, 0.4])))
    words[label] = row
framed = [(labels["plain"], "clean x")] + [(labels[name], label) for name, label in LABELS.items()]
section.figure(
    plots.table(words, colours, framed, title, {"–": "not measured"}),
    "noises",
    caption="The squared error on test digits. Each row is a network and the noise that it learned from, each column "
    "the noise that it is tested on. Read down a column: white is the least error of a network in it, and the darker "
    "the cell, the larger the error beside that, up to four times and more. The frames mark the networks that are "
    "tested on what they learned from. The last two rows are no networks: the linear filter, and no filter at all.",
    alt="A table of six rows and four columns of squared errors. At default size the framed cells, on the diagonal of "
    "the first four rows, are white, and most of the others are orange.",
)
for noise, column in columns.items():
    name = "plain" if noise == "no noise" else noise
    others = min(error[other, noise] for other in networks if other != name)
    if section.size != "quick":
        section.claim(f"{column}: the network that learned from it is the best", error[name, noise], "<", others)
section.figure(
    plots.images(pictures, "Noise, and three ways to undo it", columns=shown),
    "denoised",
    caption="The first row shows test digits. Then, for each kind of noise, the corrupted digits x̃ and three attempts "
    "to restore them: by the plain autoencoder, by the linear filter, and by the denoiser that was trained on this "
    "noise. Ink is dark. Values below 0 and above 1 are drawn as 0 and 1. Gaussian noise has many of them, so about "
    "half of it, on the white ground, cannot be seen. Look for strokes that the noise has cut.",
    alt="Thirteen rows of ten digits. In each group of four the corrupted digits come first; the plain autoencoder "
    "leaves broken strokes, the linear filter leaves a grey haze, and the denoiser gives clean digits.",
)

# %% [markdown]
# A denoiser removes *its* noise. In every column the network that learned from this noise is the best. The denoiser of
# masking noise is the worst stranger: on Gaussian noise (13.2) and on salt and pepper (25.6) it does worse than the
# linear filter, and on Gaussian noise even worse than the plain network (10.2). It has learned that ink can be trusted
# and that white may be a hole. It is also wrong on clean digits, where it fills holes that are none: 11.1, five times
# the error of the plain network. The Gaussian denoiser has learned to trust no pixel alone, and copes with salt and
# pepper almost as well as the network that was made for it (11.1 and 10.4). The reverse is not true (12.6 and 6.4).
#
# So the name "robust" needs an object. A denoiser learns the inverse of one corruption, on one kind of data. Who does
# not know which noise will come must train with a mixture (exercise 3).
#
# ## 4. Features
# What has a unit learned to look for? We draw the weights into single units, in the place of the pixels from which they
# come. These are the first twelve units of each network, without any selection.


# %%
def features(model):
    W = section.backend.to_numpy(model.parameters["W1"]).T[:12]
    return 0.5 + 0.5 * W / np.abs(W).max(axis=1, keepdims=True)  # grey is 0


pictures = {"plain": features(networks["plain"][0])}
pictures |= {label: features(networks[name][0]) for name, label in LABELS.items()}
section.figure(
    plots.images(pictures, "First 12 units: dark > 0, light < 0"),
    "features",
    caption="Each square holds the weights of one unit, in the place of the pixels from which they come, scaled so "
    "that the largest is black or white. The units are the first twelve of each network, not selected. Look for "
    "spots, which stand out of the ground in a few units of the denoisers, and for units of pure noise: they are dead, "
    "and have kept the random weights with which they began.",
    alt="Four rows of twelve grey squares, one row a network. Most show irregular dark and light patches in the place "
    "of a digit; a few of the denoisers' show one spot or stroke on an even ground, and several are pure noise.",
)

# %% [markdown]
# ## What the code says of the digit
# The last question is the one that denoising autoencoders were invented for. The aim is not a clean picture. The aim is
# a code that is good for other purposes. A softmax regression is trained to read the digit off the code of *clean*
# digits, and for comparison off the pixels. It is called a linear probe, since it can use only what is linear in the
# code.


# %%
def probe(h, h_test, seed):
    """Error in % of a softmax regression, trained until it hardly changes any more."""
    epochs = section.pick(30, 60, 10)
    return probe_error(h, digits.train_labels, h_test, digits.test_labels, seed, section.backend, epochs=epochs)


def error_of(model, seed):
    return probe(model.encode(X), model.encode(X_test), seed)


source = "(recalled; Rifai et al. 2011, fine-tuned)"
pixels = section.number(
    "error % of a linear probe",
    [probe(X, X_test, seed) for seed in section.seeds],
    of="pixels",
)
probes = {}
for name, models in networks.items():
    published = {"plain": f"1.78 {source}", "gaussian": f"1.18 {source}", "masking": f"1.57 {source}"}.get(name)
    label = "plain" if name == "plain" else f"denoising, {LABELS[name]}"
    errors = [error_of(model, seed) for model, seed in zip(models, section.seeds, strict=True)]
    probes[name] = section.number("error % of a linear probe", errors, published, of=f"code of {label}")
gain = section.number("points gained over the plain code", probes["plain"] - probes["masking"], of="code of masking")
if section.size != "quick":
    section.claim("a denoising code says more of the digit than a plain one, points", gain, ">", 0)
section.guard("points that a denoising code gains over a plain one", gain, ">=", 1.0)

# %% [markdown]
# At default size the denoising codes have probe errors of 9.3% (Gaussian), 7.8% (masking) and 8.1% (salt and pepper),
# where the plain code has 11.2%, and pixels have 11.3%. With 1000 test digits the standard error of one such number is
# about one point. So the gains of masking and of salt and pepper, three points each, are hardly chance. The gain of
# Gaussian noise, two points, is less sure, and the order of the three noises is not certain. Note that the code was
# read at clean digits: there was no noise to undo. Masking hides the ink itself, and its code is the best or nearly so.
# To fill in what is missing, a network must know how the parts of a digit belong together. The pictures of the features
# hardly show it: a code can be good and its weights look like nothing.
#
# ## Exercises
# 1. On paper. Let x̃ = x + n with n ~ N(0, σ² I), let x have mean 0 and the covariance C = D diag(v) Dᵀ. Show that the
#    best linear filter is A = C (C + σ² I)⁻¹, so that it scales the j-th principal component by v_j / (v_j + σ²). What
#    does it do with components of small variance, and what would PCA with k components do with them?
# 2. With code. Suppose that the law of the noise is not known, and that all you have are corrupted copies of the
#    training digits. Fit A to 1, 2, 4 and 8 copies of each digit, with Gaussian noise. How many copies do you need to
#    come within 2% of the filter above, on test digits? (You should find 8 to be enough, and 2 not. The solution is in
#    `solutions/14_2_2_denoising.py`.)
# 3. With code. Train one denoiser whose x̃ has a random one of the three noises for each batch, by calling
#    `cost_and_grad` with an x̃ of your own. Add its row to the table. What does it lose against the three specialists?

# %%
section.finish()

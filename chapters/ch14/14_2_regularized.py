"""14.2 Regularized Autoencoders

Equations: 14.2
Figures: three_numbers (error, noise that passes, and probe error of five kinds of code); noise (what becomes of digits
and of noise)

Section 14.1 kept its autoencoder honest with a code that is narrower than x, and ended with a warning: a narrow code
does not help a network that is too strong, and a weak network cannot learn much. Is there another way? A regularised
autoencoder leaves the code as wide as we like, even wider than x (then it is called overcomplete), and leaves f and g
as strong as we like. What it limits is something else: its cost asks for other properties besides a good copy. The
book's list of such properties is

  - a sparse code (section 14.2.1),
  - robustness to noise, or to missing parts of the input (section 14.2.2),
  - small derivatives of the code (section 14.2.3, and section 14.7).

Most of these costs have the form of a loss and a penalty on the code h = f(x),

    J = L(x, g(f(x))) + Ω(h)     (14.2)

where Ω contains a weight λ. This script does two things. First it asks what kind of thing Ω(h) is, and shows that it is
not what a penalty usually is, a prior on the weights. Then it puts the three properties beside each other: one network,
wider than x, trained without a penalty, with a penalty on |h|, with noise, and with a penalty on derivatives. PCA
stands beside them.

The symbols are in minae/NOTATION.md. Formula, derivation, forward and backward pass of each model stand in one file:
minae/models/undercomplete.py, minae/models/sparse.py, minae/models/denoising.py and minae/models/contractive.py. PCA is
in chapters/classical.py.
"""

# %%
import warnings

import numpy as np

from minae import (
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    SparseAutoencoder,
    UndercompleteAutoencoder,
    check_gradient,
    data,
    plots,
)
from minae.chapters import Section
from minae.chapters.classical import PCA
from minae.metrics.probe import probe_error
from minae.training import Adam, Cosine

section = Section("14.2")
digits = data.mnist(full=section.size == "full")
warnings.filterwarnings("ignore", "no layer of")  # a wide code without a penalty is what this section is about


def halved(x):
    """Digits of half the height and width: each pixel is the mean of 2 × 2.     (rows, 784) -> (rows, 196)"""
    return x.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196)


X, X_test = halved(digits.train), halved(digits.test)  # (rows, 196), values in [0, 1]
rows = section.pick(2000, len(X), len(X))
X, labels = X[:rows], digits.train_labels[:rows]
cut = rows - rows // 6  # the last sixth of the training digits is for validation
n, units = X.shape[1], section.pick(250, 400, 400)  # a code wider than x

# %% [markdown]
# ## Is Ω a prior?
# We know penalties from section 7.1. Weight decay, Ω(θ) = ½ Σ W², is a penalty that has a second reading. Training by
# maximum likelihood looks for the θ of the largest p(X | θ). If θ has a prior p(θ), one looks for the θ of the largest
# p(θ | X) instead, which is called MAP, the maximum a posteriori. By Bayes' rule
#
#     log p(θ | X) = log p(X | θ) + log p(θ) + const
#
# and with a Gaussian prior, −log p(θ) is weight decay. So it seems natural to read (14.2) in the same way, with Ω(h) in
# the place of −log p(θ). The book says that this is not allowed: Ω(h) depends on the data. A prior is what we believe
# before we see any data, so it may not look at them.
#
# The difference can be seen in the gradient. We take one θ and two sets of data: digits, and the same digits with
# black and white exchanged. The gradient of a log prior is the same for both. The gradient of Ω(h) = Σ |h_i| need not
# be, because it runs through h = f(x).

# %%
on = dict(backend=section.backend)
dark, light = X[:500].astype(np.float64), 1 - X[:500].astype(np.float64)


def gradient_of_Omega(model, x):
    """∂Ω/∂θ alone: the loss has weight 0."""
    other = model.copy(dtype="float64")
    other.weights = {"L": 0.0, "Omega": 1.0}
    x = other.backend.from_numpy(x)
    other.parameters.zero_grad()
    other.cost_and_grad(x)
    return other.backend.to_numpy(other.parameters.grad).copy()


small = dict(sizes=(n, 50), seed=section.seed, **on)
decay = UndercompleteAutoencoder(lam=1.0, **small)
sparse = SparseAutoencoder(penalty="l1", lam=1.0, **small)
relative = {}
for name, model in {"weight decay": decay, "Ω(h) = Σ |h|": sparse}.items():
    one, other = gradient_of_Omega(model, dark), gradient_of_Omega(model, light)
    change = np.linalg.norm(one - other) / np.linalg.norm(one)
    relative[name] = section.number("change of ∂Ω/∂θ when the data change, relative", change, of=name)
section.claim("the gradient of weight decay does not look at the data", relative["weight decay"], "<=", 0)
section.claim("the gradient of Ω(h) does", relative["Ω(h) = Σ |h|"], ">", 0.01)
worst = check_gradient(sparse, X[:4], entries=40).worst.error
worst = section.number("largest error of the gradient check", worst, of="Ω(h) = Σ |h|, and L")
section.claim("the gradient that we have just compared is that of J", worst, "<=", 1e-7)

# %% [markdown]
# Does the "prior" at least prefer the same weights, whatever the data are? No, and there is a neat way to see it. Let
# θ₁ be a sparse autoencoder that was trained on digits. Exchange black and white in its *weights*: let θ₂ have
#
#     W₂ = −W₁,     b₂ = b₁ + Σ_i W₁_i
#
# (the sum of the rows of W₁). Then (1 − x) W₂ + b₂ = x W₁ + b₁: at exchanged digits, θ₂ has exactly the code that θ₁
# has at digits. Weight decay cannot tell θ₁ from θ₂, because the squares of their weights are the same. What does Ω(h)
# say?

# %%
first = SparseAutoencoder(penalty="l1", lam=0.3, **(small | dict(dtype="float64")))
first.fit(dark, epochs=30, batch_size=50, optimizer=Adam(3e-3), seed=section.seed)
second = first.copy()
second.parameters["W1"][...] = -first.parameters["W1"]
second.parameters["b1"][...] = first.parameters["b1"] + first.parameters["W1"].sum(axis=0)
same = abs(second.encode(light) - first.encode(dark)).max()
section.claim("θ₂ has at exchanged digits the code that θ₁ has at digits: difference", same, "<=", 1e-12)
squares = [float((model.parameters["W1"] ** 2).sum()) for model in (first, second)]
section.claim("weight decay cannot tell θ₁ from θ₂: relative difference", abs(squares[0] / squares[1] - 1), "<=", 1e-12)
advantage = {}
for name, x in {"digits": dark, "exchanged digits": light}.items():
    Omegas = [model.evaluate(x)["Omega"] for model in (first, second)]
    advantage[name] = section.number("Ω(h) at θ₁ less Ω(h) at θ₂", Omegas[0] - Omegas[1], of=name)
product = advantage["digits"] * advantage["exchanged digits"]
section.claim("the sign of Ω(θ₁) − Ω(θ₂) depends on the data: product of the two differences", product, "<", 0)

# %% [markdown]
# With the data, the preference changes its sign. There is a second way to see it. The likelihood is a sum over all
# examples, and the prior is one term, so with more data the prior counts for less. Ω(h) is a sum over examples too, and
# never fades. So (14.2) is no MAP. What is it then? The book gives two answers. One may still say that Ω(h) expresses a
# preference over functions, only not before the data are seen. And section 14.2.1 reads Ω(h) as −log p(h), a prior on
# the *code*, which is part of the model and not a belief about its weights.
#
# ## Does a wide network copy?
# Now to the wide codes. All networks below have 400 units for 196 pixels (250 at --quick). (We have halved the height
# and the width of the digits. This makes a code twice as wide as x, which we can afford to train many times.) All are
# tied, V = Wᵀ, with the Bernoulli loss and the same number of epochs by Adam. Sigmoid units and ReLU units are both
# tried.
#
# Without a penalty, nothing in the cost forbids the identity, which would copy *anything*. So we show the plain network
# something that is no digit: images of noise, each pixel black or white by a fair coin. The identity would return them.
# A constant grey image, r = ½, is the opposite, and copies nothing. How far is a network from either? We ask how much
# of a pixel's change reaches the same pixel of r: with both centred over the images, so that a constant does not count,
#
#     share copied = Σ (r − r̄) ⊙ (x − x̄) / Σ (x − x̄)²
#
# which is 1 for the identity and 0 for grey. PCA is the rival between them: r − r̄ = D Dᵀ (x − x̄), and a projection on k
# of n directions copies k/n of such noise. It has as many components as it needs for the network's error on digits.

# %%
epochs, probe_epochs = section.pick(8, 12, 8), section.pick(60, 60, 10)
LEARNING_RATES = {"sigmoid": 1e-2, "relu": 3e-3}
UNITS = {"sigmoid": f"{units} sigmoid units", "relu": f"{units} ReLU units"}
rng = np.random.default_rng(section.seed)
noise_images = rng.integers(0, 2, (500, n)).astype(np.float32)
X_valid, valid_labels = X[cut:], labels[cut:]
n_valid = 0.2 * rng.standard_normal(X_valid.shape).astype(np.float32)  # the noise n that is added to digits
n_test = 0.2 * rng.standard_normal(X_test.shape).astype(np.float32)


def train(kind, activation, **options):
    """One model for each seed of the run."""
    models = []
    for seed in section.seeds:
        model = kind((n, units), activation=activation, tied=True, seed=seed, **options, **on)
        optimizer = Adam(Cosine(LEARNING_RATES[activation], steps=epochs * -(-cut // 64)))
        model.fit(X[:cut], epochs=epochs, batch_size=64, optimizer=optimizer, seed=seed)
        models.append(model)
    return models


def squared_error(model, x):
    """‖x − r‖², summed over pixels, mean over images."""
    return float(np.square(x - model.reconstruct(x)).sum(axis=1).mean())


def noise_that_passes(model, x, n):
    """‖r(x + n) − r(x)‖² / ‖n‖²"""
    return float(np.square(model.reconstruct(x + n) - model.reconstruct(x)).sum() / np.square(n).sum())


def share_copied(model, x):
    """Σ (r − r̄) ⊙ (x − x̄) / Σ (x − x̄)²"""
    x_centred, r = x - x.mean(axis=0), model.reconstruct(x)
    return float(np.sum((r - r.mean(axis=0)) * x_centred) / np.square(x_centred).sum())


everything = PCA(X[:cut], n)
unexplained = np.square(X_test - everything.mu).sum(axis=1).mean()
unexplained = unexplained - np.cumsum(np.square(everything.encode(X_test)).mean(axis=0))  # error of k = 1, 2, …


def components_for(error):
    """k, the fewest components with which the squared error of PCA on the test digits is no larger."""
    return 1 + int(np.argmax(unexplained <= error))


section.number("squared error, images of noise", np.square(noise_images - 0.5).sum(axis=1).mean(), of="r = ½")
candidates = {}  # (method, activation, strength) -> models
for activation in LEARNING_RATES:
    models = candidates["plain", activation, 0] = train(UndercompleteAutoencoder, activation)
    label = f"plain, {UNITS[activation]}"
    copied = section.number("squared error, test digits", [squared_error(m, X_test) for m in models], of=label)
    section.number("squared error, images of noise", [squared_error(m, noise_images) for m in models], of=label)
    network = section.number("share of noise copied", [share_copied(m, noise_images) for m in models], of=label)
    k = components_for(copied)
    rival = section.number("share of noise copied", share_copied(PCA(X[:cut], k), noise_images), of=f"PCA, k = {k}")
    section.claim(f"{label}: copies less of the noise than PCA with its error on digits", network, "<", rival)

# %% [markdown]
# The plain networks copy digits well (errors of 0.48 and 0.53). For noise, their squared error is that of a constant
# grey image (48.9 and 49.0, against 49). The sigmoid units copy 14% of it and the ReLU units 1%, where PCA with the
# same error on digits copies 34% and 32%. At `--full`, where the networks train longer on more digits, the sigmoid
# units copy more than here. They are free to be the identity, and they are not. Why? They were only ever asked to copy
# digits. Gradient descent started from small random weights and went on until digits were copied; what happens off the
# digits, no term of the cost says. So the danger that the section of the book begins with, a code that is wide enough
# to copy everything, exists in theory, and did not come true here. A penalty is not needed to forbid the identity.
# Whether it makes a *better* code is another question, and the one that we ask next.

# %% [markdown]
# ## Three properties side by side
# What is a good code? We give three numbers, since none of them is enough alone.
#
# (a) The squared error on new digits. A code from which x cannot be restored has lost something.
#
# (b) The share of noise that passes. We add noise n ~ N(0, 0.2² I) to new digits, and measure how much of it reaches
# the output,
#
#     ‖r(x + n) − r(x)‖² / ‖n‖²
#
# which is 1 for the identity. It means something only together with (a), because a network that returns one constant
# image has 0.
#
# (c) The error of a linear probe: a softmax regression that is trained to read the digit off the code.
#
# Each property has a strength: the weight λ of the penalty on Σ |h_i|, the σ of the Gaussian noise, the weight λ of the
# penalty on derivatives. A fair comparison gives each method its own best strength, and its own best unit as well. So
# we try three strengths with sigmoid units and three with ReLU units, and choose by the probe error on the *validation*
# digits, which are used neither for training nor for the final numbers. Note that (b) is the home ground of the
# denoiser, which was trained to remove noise of just this kind.

# %%
levels = section.pick((0.2,), (0.1, 0.2, 0.4), (0.1, 0.2, 0.4))
lams = section.pick((0.03,), (0.01, 0.03, 0.1), (0.01, 0.03, 0.1))
lams_sigmoid = section.pick((0.1,), (0.03, 0.1, 0.3), (0.03, 0.1, 0.3))
lams_relu = section.pick((0.003,), (0.001, 0.003, 0.01), (0.001, 0.003, 0.01))
SWEEPS = {  # method -> its class, the option that is its strength, the strengths of each unit, further options
    "sparse": (SparseAutoencoder, "lam", {"sigmoid": lams, "relu": lams}, dict(penalty="l1")),
    "denoising": (DenoisingAutoencoder, "level", {"sigmoid": levels, "relu": levels}, dict(corruption="gaussian")),
    "contractive": (ContractiveAutoencoder, "lam", {"sigmoid": lams_sigmoid, "relu": lams_relu}, {}),
}


def probe(model, x, y, seed):
    """Error in % of a linear probe that is trained on the codes of the training digits."""
    h = model.encode(X[:cut])
    return probe_error(h, labels[:cut], model.encode(x), y, seed, section.backend, epochs=probe_epochs)


for method, (kind, option, strengths, more) in SWEEPS.items():
    for activation in LEARNING_RATES:
        for strength in strengths[activation]:
            candidates[method, activation, strength] = train(kind, activation, **{option: strength}, **more)
validation = {}
for key, models in candidates.items():
    errors = [probe(model, X_valid, valid_labels, seed) for model, seed in zip(models, section.seeds, strict=True)]
    validation[key] = float(np.mean(errors))
chosen = {}
for method in ("plain", *SWEEPS):
    chosen[method] = min((key for key in candidates if key[0] == method), key=validation.get)
    of = f"{method}: {UNITS[chosen[method][1]]}, strength {chosen[method][2]}"
    section.number("probe error %, validation, the best", validation[chosen[method]], of=of)

# %% [markdown]
# Now the test digits. PCA has a strength too, its number k of components. The share of noise that it lets pass is k/n
# but for chance (exercise 1). We show it twice: with 40 components, and with as many as it needs for the error of the
# plain network. The probe on pixels, and the probe on a network before its first training step, tell what a code owes
# to training at all.

# %%
a, b, c = "squared error, test digits", "share of the noise that passes", "probe error %, test"
final = {}
for method, key in chosen.items():
    label, models = f"{method}, {UNITS[key[1]]}", candidates[key]
    probes = [probe(model, X_test, digits.test_labels, seed) for model, seed in zip(models, section.seeds, strict=True)]
    final[method] = (
        section.number(f"(a) {a}", [squared_error(model, X_test) for model in models], of=label),
        section.number(f"(b) {b}", [noise_that_passes(model, X_test, n_test) for model in models], of=label),
        section.number(f"(c) {c}", probes, of=label),
    )
for k in dict.fromkeys((40, components_for(final["plain"][0]))):
    pca, label = PCA(X[:cut], k), f"PCA, k = {k}"
    section.number(f"(a) {a}", squared_error(pca, X_test), of=label)
    passed = section.number(f"(b) {b}", noise_that_passes(pca, X_test, n_test), of=label)
    section.number(f"(c) {c}", probe(pca, X_test, digits.test_labels, section.seed), of=label)


class Pixels:
    """The code that is x itself."""

    def encode(self, x):
        return x


errors = [probe(Pixels(), X_test, digits.test_labels, seed) for seed in section.seeds]
pixels = section.number(f"(c) {c}", errors, of="pixels")
untrained = [UndercompleteAutoencoder((n, units), activation=chosen["plain"][1], seed=s, **on) for s in section.seeds]
errors = [probe(model, X_test, digits.test_labels, seed) for model, seed in zip(untrained, section.seeds, strict=True)]
section.number(f"(c) {c}", errors, of=f"random weights, {UNITS[chosen['plain'][1]]}")
section.claim("training with noise lowers the share that passes", final["denoising"][1], "<", final["plain"][1])
if section.size != "quick":  # a few hundred steps are not enough for it
    section.claim("at the same error, the plain network passes less noise than PCA", final["plain"][1], "<", passed)
    section.claim("a wide code can be read better than pixels, even without a penalty", final["plain"][2], "<", pixels)

# %%
panels = {"(a) and (b)": {}, "(c) and (b)": {}}
for method, (_, activation, _) in chosen.items():
    keys = [key for key in candidates if key[:2] == (method, activation)]
    models = [candidates[key][0] for key in keys]
    share = [noise_that_passes(model, X_valid, n_valid) for model in models]
    panels["(a) and (b)"][method] = (share, [squared_error(model, X_valid) for model in models])
    panels["(c) and (b)"][method] = (share, [validation[key] for key in keys])
components = [PCA(X[:cut], k) for k in (20, 40, 80)]
share = [noise_that_passes(pca, X_valid, n_valid) for pca in components]
panels["(a) and (b)"]["PCA"] = (share, [squared_error(pca, X_valid) for pca in components])
panels["(c) and (b)"]["PCA"] = (share, [probe(pca, X_valid, valid_labels, section.seed) for pca in components])
section.figure(
    plots.panels(
        panels,
        "(b) share of the noise that passes",
        ["(a) squared error", "(c) probe error %"],
        "Five kinds of code on validation digits",
    ),
    "three_numbers",
    caption="Each point is a code, and each line joins the strengths of one method: of PCA 20, 40 and 80 components, "
    "of the others the strengths that were tried with the unit that was chosen. On the left the squared error, on the "
    "right the error of a linear probe, both against the share of noise that passes, on validation digits. Lower and "
    "further left is better. Look at how far the wide codes lie from PCA, and in which direction each property moves "
    "them: noise and the contractive penalty to the left, the L1 penalty not.",
    alt="Two panels. At default size the line of PCA lies above the points of the wide networks in both. The lines of "
    "the denoising and the contractive autoencoder start near the plain point and run to the left; the line "
    "of the sparse one stays above the plain point in the left panel.",
)
columns = np.vstack([X_test[:6], noise_images[:6]])
pictures = {"x": columns}
for method, key in chosen.items():
    pictures[f"r, {method}"] = candidates[key][0].reconstruct(columns)
pictures["r, PCA"] = PCA(X[:cut], 40).reconstruct(columns)
section.figure(
    plots.images(pictures, "Six digits, six images of noise, and what becomes of them", shape=(14, 14)),
    "noise",
    caption="First row: six test digits of 14 × 14 pixels, and six images of noise. Below, the reconstructions by the "
    "four wide networks and by PCA. The identity would return the noise. None of the networks does.",
    alt="Six rows of twelve small images. On the left half all rows show the same six digits. On the right half the "
    "first row is noise, and the rows below it show blotches that are not the noise.",
)

# %% [markdown]
# What do we see at default size? Begin with what all wide codes have in common. At the squared error of the plain
# network, 0.53, PCA needs 63 numbers and lets a third of the noise through. The plain network lets a quarter through,
# though nothing asked it to. So the wide nonlinear codes do not become worse for their width, and they are no copies.
#
# Now the three properties. Training with noise does what it is for: the share that passes falls from 0.24 to 0.14, and
# the error rises only from 0.53 to 0.72. The contractive penalty, at the strength that the probe chose, is so weak that
# it changes little; in the picture its stronger codes let less noise pass at an error as small as the plain one, but
# are read less well. The L1 penalty is about codes with few active units and not about noise, and it shows: the share
# of noise does not fall at all.
#
# And is any of these codes better to read? The plain code has a probe error of 8.5%, the denoising one 8.2%, the
# contractive one 8.6%, and the sparse one 7.4%, where pixels have 12.1%. With 1000 test digits, one point is about one
# standard error of such a number. So the order of the four is within what chance can do, with the sparse code perhaps
# ahead. What is beyond doubt is the distance from pixels, and most of it is owed to the 400 ReLU units alone: the
# network has a probe error of 9.3% before its first step of training.
#
# What follows? Regularising an autoencoder is not needed to keep it from the identity. It asks for a property, and the
# property that is asked for is the one that is got: less noise for the denoiser, few active units for the L1 penalty,
# small derivatives for the contractive one. Whether that property helps a task is a question for the task. The next
# sections look at the properties one at a time, with their own measures, and with strengths that suit them.
#
# ## Exercises
# 1. On paper. For PCA, r(x + n) − r(x) = D Dᵀ n. Show that for n ~ N(0, σ² I) the share of noise that passes is k/n on
#    average, whatever the data are. Compare with the number for k = 40 above. Why can a nonlinear network do better
#    than the linear one of the same error?
# 2. With code. The properties can be combined. Write a sparse denoising autoencoder, J = L(x, g(f(x̃))) + λ Σ |h_i| with
#    h = f(x̃): derive it from DenoisingAutoencoder, declare λ as a Weight, and add the penalty forward and backward. Let
#    `check_gradient` judge it. You should reach a largest error of at most 1e-7 for L and Ω together and for each
#    alone. (The solution is in `solutions/14_2_regularized.py`.)
# 3. With code. Vary the width: 50, 100, 200, 400 and 800 units without a penalty. Plot the error on digits and the
#    error on images of noise against the width. Is there a width from which on the network copies noise? And if you
#    train ten times as long?

# %%
section.finish()

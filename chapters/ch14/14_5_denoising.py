"""14.5 Denoising Autoencoders

Equations: 14.14
Figures: back (14.4: a corrupted point is sent back towards the manifold); labels (test error of stacks by the number of
labels)

A denoising autoencoder is given a corrupted x̃ and must answer with the clean x. Section 14.2.2 trained one on digits.
This section asks what it learns: when many x could have given the same x̃, which one does the network return?

The corruption is a conditional distribution C(x̃ | x). The autoencoder learns a reconstruction distribution
p_reconstruct(x | x̃) from pairs (x, x̃). The book gives the training as three steps, to be done again and again:

  1. Sample x from the training data, x ~ p̂_data.
  2. Sample x̃ from the corruption, x̃ ~ C(x̃ | x).
  3. Use (x, x̃) as a training example for p_reconstruct(x | x̃) = p_decoder(x | h), where h = f(x̃).

The third step is a step down the gradient of −log p_decoder(x | h). So the three steps together are stochastic gradient
descent on the expectation

    −E_{x ~ p̂_data(x)} E_{x̃ ~ C(x̃ | x)} log p_decoder(x | h = f(x̃))     (14.14)

and, because f is deterministic, the whole is an ordinary feedforward network.

This script shows three things. First it runs the three steps as they stand above, and derives what their minimum is:
the mean E[x | x̃]. Then it draws the book's figure 14.4 with it. At last it uses denoising autoencoders as the layers
of a deep classifier, which is what they were invented for (Vincent et al. 2008, 2010).

The symbols are in minae/NOTATION.md. Forward pass, derivation and backward pass stand in minae/models/denoising.py, and
the corruptions in minae/corruptions.py.
"""

# %%
import warnings

import numpy as np
from scipy.special import softmax

from minae import Classifier, DenoisingAutoencoder, UndercompleteAutoencoder, data, plots, pretrain, widen_sigmoids
from minae.chapters import Section
from minae.training import Adam, Cosine

section = Section("14.5")
rng = np.random.default_rng(section.seed)

# %% [markdown]
# ## The data: a curve in the plane
# To see what a denoiser does we take data that can be drawn. The points x lie on a sine curve, which is a manifold of
# one dimension in a space of two. The corruption adds noise,
#
#     x̃ = x + σ ε,     ε ~ N(0, I),     σ = 0.4
#
# so that x̃ lies beside the curve. We treat the curve as 500 points of equal probability. This is not a shortcut: it
# makes every expectation below a finite sum, which we can compute exactly and hold against the network.

# %%
sigma, t = 0.4, np.linspace(-np.pi, np.pi, 500)[:, None]
curve = np.hstack([t, np.sin(t)])  # (500, 2)


def pairs(rows):
    """Steps 1 and 2 of the algorithm: x from the curve, and x̃ from C(x̃ | x)."""
    x = curve[rng.integers(len(curve), size=rows)]
    return x, x + sigma * rng.standard_normal(x.shape)


# %% [markdown]
# ## The three steps as a loop
# Here is the algorithm as code, with 128 pairs a step. The one line that is not in the book's list is `optimizer.step`:
# `cost_and_grad` computes the cost of the pairs and its gradient, and the optimizer moves the parameters against it. L
# is the squared error, which is −log p_decoder for a Gaussian (section 14.4). A training set would end, and its rows
# would come again; our curve gives new pairs for ever.
#
# In all other scripts the method `fit` runs this loop. It draws a new x̃ each time that it meets an x.

# %%
steps = section.pick(1500, 4000, 10000)
denoisers = []
for seed in section.seeds:
    denoiser = DenoisingAutoencoder(
        (2, 64, 64), activation="tanh", loss="gaussian", corruption="gaussian", level=sigma, seed=seed,
        backend=section.backend,
    )  # fmt: skip
    optimizer = Adam(Cosine(1e-2, steps=steps))
    to_device = denoiser.backend.from_numpy
    for _ in range(steps):
        x, x_tilde = pairs(128)  # 1. and 2.
        denoiser.cost_and_grad(to_device(x.astype("float32")), to_device(x_tilde.astype("float32")))  # 3. ∂J/∂θ
        optimizer.step(denoiser.parameters)  # θ moves
    denoisers.append(denoiser)

# %% [markdown]
# ## What is the best answer? The derivation
# Fix one x̃. Many x could have given it, each with some probability p(x | x̃). Let r be any answer, and let
#
#     m = E[x | x̃]
#
# be the mean of all x that could have given x̃. How large is the expected squared error of the answer r? Write r − x as
# (r − m) + (m − x) and multiply out:
#
#     E‖r − x‖² = ‖r − m‖² + 2 (r − m)ᵀ E[m − x] + E‖m − x‖²
#
# The middle term is 0, because E[m − x] = m − m = 0. There remains
#
#     E‖r − x‖² = ‖r − m‖² + E‖m − x‖²
#
# Only the first term depends on r, and it is least, namely 0, at r = m. So the best answer is the mean: r(x̃) = E[x |
# x̃]. The second term is the spread of the x that could have given x̃. No network can remove it.
#
# For our curve p(x | x̃) is known. By Bayes' rule it is proportional to C(x̃ | x), since all 500 x are equally
# probable:
#
#     p(x_k | x̃) ∝ exp(−‖x̃ − x_k‖²/(2 σ²)),     E[x | x̃] = Σ_k p(x_k | x̃) x_k
#
# We check the derivation on 2000 points x̃. The left side sums over all x of the curve, weighted by p(x | x̃). The
# right side is ‖r − m‖² plus the spread. For r we take what the trained network answers, but any r would do.

# %%
x_test, x_tilde = pairs(2000)
p = softmax(-np.square(x_tilde[:, None] - curve).sum(axis=2) / (2 * sigma**2), axis=1)  # p(x_k | x̃), (2000, 500)
m = p @ curve  # E[x | x̃]
spread = (p * np.square(m[:, None] - curve).sum(axis=2)).sum(axis=1)  # E‖m − x‖²


def expected_error(r):
    """E‖r(x̃) − x‖² at each x̃, exact: a sum over all x of the curve."""
    return (p * np.square(r[:, None] - curve).sum(axis=2)).sum(axis=1)


r = denoisers[0].reconstruct(x_tilde.astype("float32")).astype("float64")
left, right = expected_error(r), np.square(r - m).sum(axis=1) + spread
section.claim("E‖r − x‖² = ‖r − m‖² + E‖m − x‖² at every x̃", abs(left - right).max(), "<=", 1e-12)

# %% [markdown]
# ## Has the network learned the mean?
# Now we know the least error that is possible, and can ask how near the network comes to it. Two rivals stand beside
# it. One is x̃ itself, the answer that removes nothing. The other is the best affine map A x̃ + b, which is what a
# *linear* denoising autoencoder can learn at most; we fit it to the very points on which it is judged. All errors are
# the exact expectations above, averaged over the same 2000 points, so they have no noise but that of the choice of the
# points.

# %%
affine = np.hstack([x_tilde, np.ones((len(x_tilde), 1))])
design, weights = affine.T @ affine, affine.T @ m  # least squares on E[x | x̃]: the same minimum as on x
linear = expected_error(affine @ np.linalg.solve(design, weights)).mean()
errors = [expected_error(one.reconstruct(x_tilde.astype("float32"))).mean() for one in denoisers]
name = "expected squared error"
before = section.number(name, expected_error(x_tilde).mean(), of="x̃ itself")
linear = section.number(name, linear, of="the best affine map of x̃")
error = section.number(name, errors, of="r(x̃)")
least = section.number(name, spread.mean(), of="E[x | x̃], the least possible")
section.number("share of the error that could be removed and was not", (error - least) / (before - least), of="r(x̃)")
section.claim("the denoiser is better than every affine map", error, "<", linear)
section.guard("error of r(x̃) over the least possible", error / least, "<=", 1.05)

# %% [markdown]
# The network has learned the mean almost exactly. So "the denoiser removes the noise" is not quite what happens. It
# returns the average of all the clean points that are compatible with what it sees. Where the curve bends, the average
# of points on the curve lies beside the curve, on the inner side of the bend. This is also why denoised pictures look
# blurred: they are averages of sharp ones.
#
# ## Figure 14.4: back to the manifold
# Let us draw where the network sends x̃. The book's picture shows arrows that lead from x̃ straight to the manifold. We
# put beside it the arrows from x̃ to the x that it really came from.

# %%


def nearest(x):
    """Index of the point of the curve that is nearest to each row of x."""
    return np.square(x[:, None] - curve).sum(axis=2).argmin(axis=1)


def off_the_curve(x):
    return float(np.linalg.norm(x - curve[nearest(x)], axis=1).mean())


def along(vectors):
    """Mean |cosine| between vectors at x̃ and the tangent of the curve at its point nearest to x̃: 0 is a right angle."""
    tangent = np.hstack([np.ones_like(t), np.cos(t)])[nearest(x_tilde)]
    products = abs((vectors * tangent).sum(axis=1))
    return float((products / np.linalg.norm(vectors, axis=1) / np.linalg.norm(tangent, axis=1)).mean())


section.number("mean distance to the curve", off_the_curve(x_tilde), of="x̃")
section.number("mean distance to the curve", off_the_curve(r), of="r(x̃)")
section.number("mean distance to the curve", off_the_curve(m), of="E[x | x̃]")
to_r = section.number("mean |cosine| with the tangent", along(r - x_tilde), of="arrows x̃ → r(x̃)")
to_x = section.number("mean |cosine| with the tangent", along(x_test - x_tilde), of="arrows x̃ → x")
section.claim("r(x̃) is nearer to the curve than x̃", off_the_curve(r), "<", off_the_curve(x_tilde))
section.claim("arrows to r(x̃) cross the curve more nearly at a right angle than arrows to x", to_r, "<", to_x)
some = slice(0, 150)
panels = {"x̃ → r(x̃)": (x_tilde[some], (r - x_tilde)[some]), "x̃ → x": (x_tilde[some], (x_test - x_tilde)[some])}
section.figure(
    plots.fields(panels, curve, "Figure 14.4: where r sends x̃, and where x̃ came from"),
    "back",
    caption="Left, arrows from corrupted points x̃ to r(x̃); right, arrows from the same points to the x that they "
    "came from. The data lie on the grey curve. The arrows on the right end all along the curve. Those on the left end "
    "at the mean of all x that a point may have come from, so they meet the curve nearly at right angles. Look at the "
    "two bends: there the arrows end a little inside of the curve, where that mean lies.",
    alt="Two panels with a grey sine curve. On the left arrows lead straight to the curve; on the right arrows from "
    "the same places lead to scattered points of it.",
)

# %% [markdown]
# What is the vector r(x̃) − x̃ good for? It points to where the data are dense, and section 14.5.1 shows that it is a
# multiple of the gradient of log p. A network that was only asked to remove noise has learned the shape of p.

# %% [markdown]
# ## Do denoising layers make better stacks?
# In 2008 the denoising autoencoder was proposed as a layer for deep networks. One trains a layer on x, the next on the
# code of the first, and so on (section 14.3), puts a softmax layer on top, and trains the whole with labels. Vincent et
# al. (2010) compared plain autoencoders as layers (SAE, a stacked autoencoder) with denoising ones (SDAE). We add the
# stack that begins from random weights. The stack has three layers of sigmoids. The problems are digits ("basic") and
# digits in front of random pixels ("bg-rand"). The corruption is masking noise, of 10% of the pixels on "basic" and of
# 40% on "bg-rand", as in the paper.
#
# We repeat this comparison, and take care that it is fair:
#
# - All three have the same labels and the same number of epochs with labels. Pretraining comes on top, and costs time.
# - Random weights begin with a range that fits sigmoids, four times that of Glorot and Bengio, by `widen_sigmoids`.
#   Section 14.3 explains why, and shows how much of the fame of pretraining was owed to a range that did not fit.
# - Each has its own learning rate, the better one of two by the error on 1000 validation images.
#
# As a fourth contestant we take a method without any layers, kernel ridge regression with a Gaussian kernel
#
#     k(x, x′) = exp(−‖x − x′‖²/(2 w²)),     s(x) = Σ_i k(x, x_i) A_i,     A = (K + λ I)⁻¹ Y
#
# Here x_i is the i-th training image, K the matrix of all k(x_i, x_j), and Y has a row for each image, with a 1 in the
# column of its class. The class of x is the largest of the ten numbers s(x). λ is 0.1, and the width w is chosen among
# four by the error on the same validation images. The method is a relative of the support vector machine (SVM-RBF) that
# Vincent et al. printed beside their networks.

# %%
digits = data.mnist(full=section.size == "full")
clean, labels = np.vstack([digits.train, digits.test]), np.r_[digits.train_labels, digits.test_labels].astype(int)
n, n_test = section.pick((1000, 2000), (3000, 3000), (10000, 50000))
unlabelled, validation, test = slice(0, n), slice(n, n + 1000), slice(len(clean) - n_test, None)
background = np.random.default_rng(0).random(clean.shape, dtype=np.float32)
problems = {"basic": clean, "bg-rand": np.maximum(clean, background)}
level = {"basic": 0.1, "bg-rand": 0.4}  # share of the pixels that are masked, as in the paper
width, greedy, fine = section.pick((100, 12, 20), (300, 10, 20), (500, 12, 25))
batch = section.pick(25, 50, 100)
warnings.filterwarnings("ignore", "no layer of")  # the layers are as wide as what they read, and no penalty: see 14.2


def wrong(predicted, rows):
    """Error in %."""
    return 100 * float((predicted != labels[rows]).mean())


def stack_of(images, layer, options, seed):
    """A stack of three layers of sigmoids with a softmax layer on top. Its layers are pretrained without labels."""
    stack = Classifier((784, width, width, width), activation="sigmoid", seed=seed, backend=section.backend)
    widen_sigmoids(stack)
    if layer:
        optimizer = Adam(Cosine(4e-3, steps=greedy * -(-n // batch)))
        settings = dict(epochs=greedy, batch_size=batch, optimizer=optimizer, seed=seed)
        pretrain(stack, images[unlabelled], layer, options=options, **settings)
    return stack


def fine_tuned(stack, images, rows, lr, seed):
    """A copy of the stack that is trained on the labels of the first `rows` images."""
    model, epochs = stack.copy(), fine * max(1, round((n / rows) ** 0.5))  # few labels: more epochs, yet fewer steps
    optimizer = Adam(Cosine(lr, steps=epochs * -(-rows // batch)))
    model.fit(images[:rows], labels[:rows], epochs=epochs, batch_size=batch, optimizer=optimizer, seed=seed)
    return model


def kernel(x, centres, w):
    d2 = np.square(x).sum(axis=1)[:, None] + np.square(centres).sum(axis=1) - 2 * x @ centres.T
    return np.exp(-d2 / (2 * w**2))


def kernel_error(images, rows):
    """Error in % on the test images of kernel ridge regression on the first `rows` labels, with λ = 0.1."""
    known, Y = images[:rows], np.eye(10, dtype=np.float32)[labels[:rows]]
    A, on_validation = {}, {}
    for w in (3, 4.5, 7, 10):
        A[w] = np.linalg.solve(kernel(known, known, w) + 0.1 * np.eye(rows, dtype=np.float32), Y)
        on_validation[w] = wrong((kernel(images[validation], known, w) @ A[w]).argmax(axis=1), validation)
    w = min(on_validation, key=on_validation.get)
    parts = np.array_split(images[test], 1 + n_test // 5000)  # the kernel of all at once would not fit into memory
    return wrong(np.concatenate([(kernel(part, known, w) @ A[w]).argmax(axis=1) for part in parts]), test)


# %% [markdown]
# All learn from the same n images with labels: 1000, 3000 or 10,000 by the size of the run. How sure is a test error?
# With n_test test images, an error of a share q has a standard error of √(q (1 − q)/n_test), which we print for an
# error of 10%. Differences of that size say nothing.

# %%
published = {
    "basic": {"plain layers": "SAE-3 3.46", "denoising layers": "SDAE-3 2.84", "kernel ridge": "SVM-RBF 3.03"},
    "bg-rand": {"plain layers": "SAE-3 11.28", "denoising layers": "SDAE-3 10.30", "kernel ridge": "SVM-RBF 14.58"},
}
rates = (1e-3, 4e-3)
stacks, best_rate, error = {}, {}, {}
section.number("standard error of a test error of 10%, points", 100 * np.sqrt(0.1 * 0.9 / n_test))
for problem, images in problems.items():
    layers = {"random weights": (None, None), "plain layers": (UndercompleteAutoencoder, None)}
    layers["denoising layers"] = DenoisingAutoencoder, dict(corruption="masking", level=level[problem])
    for name, (layer, options) in layers.items():
        errors = []
        for seed in section.seeds:
            stack = stack_of(images, layer, options, seed)
            models = {lr: fine_tuned(stack, images, n, lr, seed) for lr in rates}
            on_validation = {lr: wrong(model.predict(images[validation]), validation) for lr, model in models.items()}
            best = min(on_validation, key=on_validation.get)
            errors.append(wrong(models[best].predict(images[test]), test))
            stacks[problem, name, seed], best_rate[problem, name, seed] = stack, best
        source = f"{published[problem][name]} (seen; Vincent et al. 2010)" if layer else None
        error[problem, name] = section.number(f"test error %, {problem}", errors, source, of=name)
    source = f"{published[problem]['kernel ridge']} (seen; Vincent et al. 2010)"
    value = kernel_error(images, n)
    error[problem, "kernel ridge"] = section.number(f"test error %, {problem}", value, source, of="kernel ridge")
for problem in problems:
    gain = {
        name: error[problem, "random weights"] - error[problem, name] for name in layers if name != "random weights"
    }
    for name, points in gain.items():
        section.number(f"points gained over random weights, {problem}", points, of=name)
best_stack = min(error["basic", name] for name in layers)
section.claim(
    "on basic the kernel beats every stack: the best of their errors", best_stack, ">", error["basic", "kernel ridge"]
)

# %% [markdown]
# What do we see at default size, with 3000 labels? On "basic" random weights have an error of 7.3%, plain layers 6.5%
# and denoising layers 6.4%; on "bg-rand" 27.4%, 24.6% and 25.0%. So pretraining gains, and it gains more where the
# problem is hard. Denoising layers and plain layers are within a standard error of each other: we cannot confirm here
# that *denoising* is what helps. In the paper the denoising layers were ahead, by 0.6 and by 1.0 points, with 10,000
# labels and a search over many more settings.
#
# And both are behind a method without a single layer. The kernel has 4.5% and 23.6%, with two numbers to choose and no
# training to speak of. (On "bg-rand" the difference is little more than a standard error.) In the paper its relative,
# the SVM, was ahead of the plain layers on "basic" and behind the denoising ones, and on "bg-rand" behind both. So the
# kernel does not win everywhere. But on a few thousand small images it is a strong rival, and it belongs beside such a
# table.
#
# At `--quick` the layers see 1000 images, and the differences between the stacks are about as large as their standard
# errors. That size is too small to say anything of pretraining.

# %% [markdown]
# ## Few labels
# Pretraining needs no labels. So it should be worth most where images are many and labels are few. We take the same
# stacks, pretrained on all n images of "basic", and give labels to the first 100, 300, 1000, … of them only.

# %%
counts = [count for count in section.pick((100, 300), (100, 300, 1000), (100, 1000)) if count < n]
series = {name: ([*counts, n], []) for name in ("random weights", "plain layers", "denoising layers", "kernel ridge")}
for name, (_, values) in series.items():
    for count in counts:
        errors = []
        for seed in section.seeds if name != "kernel ridge" else ():
            stack, lr = stacks["basic", name, seed], best_rate["basic", name, seed]
            model = fine_tuned(stack, clean, count, lr, seed)
            errors.append(wrong(model.predict(clean[test]), test))
        errors = errors or [kernel_error(clean, count)]
        values.append(section.number(f"test error %, basic, {count} labels", errors, of=name))
    values.append(error["basic", name])
fig = plots.levels(series, "number of labels", "test error, %", "Digits: stacks that begin in three ways", "log")
fig.axes[0].set_xticks([*counts, n], [*counts, n])
fig.axes[0].minorticks_off()
section.figure(
    fig,
    "labels",
    caption="Test error on digits by the number of labels, for stacks of three layers of sigmoids that begin from "
    "random weights, from plain autoencoders, and from denoising autoencoders; and for kernel ridge regression. At "
    "each number of labels all stacks take the same steps on them. Look at how far apart the curves are on the left, "
    "where labels are few, and on the right.",
    alt="Four falling curves over a logarithmic axis of the number of labels.",
)

# %% [markdown]
# At default size the picture is clearer than the table was. With 100 to 1000 labels the two pretrained stacks are two
# points or more below the one from random weights, which is more than the standard error, and with 3000 labels almost
# one. The curves of the two nearly coincide. So pretraining on images without labels was worth something, though less
# than legend has it, and whether the layers are trained with noise or without did not matter here. The kernel was
# better than all three, with 100 labels by less than a standard error.

# %%
if section.size != "quick":  # 1000 images are too few to pretrain on
    mean = {name: float(np.mean(values)) for name, (_, values) in series.items()}
    text = "pretraining gains over the numbers of labels, mean test error of "
    section.claim(text + "plain layers", mean["plain layers"], "<", mean["random weights"])
    section.claim(text + "denoising layers", mean["denoising layers"], "<", mean["random weights"])

# %% [markdown]
# ## Exercises
# 1. On paper. Let p(x) = N(0, Σ), and let x̃ = x + σ ε. Show that E[x | x̃] = Σ (Σ + σ² I)⁻¹ x̃. What does this map do
#    along an eigenvector of Σ with eigenvalue v? Compare it with PCA, which keeps a component or drops it.
# 2. With code. The derivation above was for the squared error. Show that with the Bernoulli loss, too, the best answer
#    is E[x | x̃]. Then check it with masking noise: let x have four bits, with probabilities of your choice for the 16
#    patterns, compute E[x | x̃] for all x̃ by Bayes' rule, train a denoising autoencoder on draws of x, and compare.
#    Your mean difference should be at most 0.02. (The solution is in `solutions/14_5_denoising.py`.)
# 3. With code. How much masking is best? Train stacks of denoising layers on "bg-rand" with 0, 10, 25, 40 and 60% of
#    the pixels masked, choose by the validation error, and plot it. Is the choice of the paper, 40%, the best one here?

# %%
section.finish()

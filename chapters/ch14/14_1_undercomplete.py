"""14.1 Undercomplete Autoencoders

Equations: 14.1
Figures: learning_curves (of a nonlinear autoencoder); reconstructions (test digits from 30 numbers); codes (digits as
two numbers); memorised (a code of one number that has learned nothing)
Data: rows of numbers, at least 50; the reading of labels off the code is left out

An autoencoder copies its input to its output by way of a code: the encoder makes h = f(x), and the decoder makes
r = g(h). Nobody needs the copy. What we want is the code, and the copy is only how the code is trained: if r is like x,
then h has kept what matters of x. The plainest way to forbid a trivial copy is a code that is narrower than x. Such an
autoencoder is called undercomplete. It minimises

    L(x, g(f(x)))     (14.1)

where the loss L punishes g(f(x)) for being unlike x. There is no penalty and no noise: the narrow code alone has to do
it. The section makes three statements, and this script tests each of them:

  1. with a linear decoder and squared error, the autoencoder learns the subspace that PCA finds;
  2. with nonlinear f and g, it can learn a more powerful generalisation of PCA;
  3. with too much capacity, it copies without learning anything useful, however narrow the code is.

The symbols are the book's, as minae/NOTATION.md lists them. The forward pass, its derivation and the backward pass
stand together in minae/models/undercomplete.py; PCA is in chapters/classical.py.
"""

# %%
import numpy as np

from minae import UndercompleteAutoencoder, check_gradient, plots
from minae.chapters import Section
from minae.chapters.classical import PCA
from minae.metrics.probe import knn_accuracy
from minae.training import Adam, Cosine

section = Section("14.1")
digits = section.data()
X, X_test = digits.train, digits.test  # (rows, n), values in [0, 1]
n = X.shape[1]
few, code = min(10, n // 2), min(30, n // 2)  # the two sizes of a code
device = dict(backend=section.backend)


def squared_error(model, x):
    """‖x − g(f(x))‖², summed over pixels, mean over images."""
    return float(np.square(x - model.reconstruct(x)).sum(axis=1).mean())


def train(sizes, epochs, seed=section.seed, lr=2e-3, **options):
    """An autoencoder trained by Adam, with a learning rate that falls from lr to 0 along a cosine."""
    model = UndercompleteAutoencoder(sizes, seed=seed, **options, **device)
    optimizer = Adam(Cosine(lr, steps=epochs * -(-len(X) // 128)))
    history = model.fit(X, epochs=epochs, optimizer=optimizer, validation=X_test, seed=seed)
    return model, history


# %% [markdown]
# ## The yardstick: PCA
# Principal component analysis is the baseline of the whole section. Its encoder and its decoder are
#
#     h = Dᵀ (x − μ),     r = D h + μ
#
# where μ is the mean of the training data, and the columns of D are the k leading eigenvectors of their covariance (the
# book derives this in section 2.12, for μ = 0). Of all linear codes of size k, PCA has the smallest squared error on
# the data that it was fitted to. So we know before we begin what a linear autoencoder can reach, and that it cannot do
# better.

# %% [markdown]
# ## 1. Linear f and g: the principal subspace
# Suppose that f and g are linear and that L is the squared error. (The book asks only that the decoder be linear. Ours
# has a linear encoder too.) Does training find PCA's subspace?
#
# We ask first where the subspace is unmistakable: for 20-dimensional data that have three large variances and a wide
# gap below them. We cannot compare the weights themselves with D, because the code may be rotated and stretched by any
# invertible matrix, as long as the decoder undoes it. We compare the subspaces that they span. The rows of the
# decoder's V span one, and let the columns of Q be an orthonormal basis of it. The cosines of the angles between the
# two subspaces are the singular values of
#
#     Qᵀ D
#
# and all of them must be 1. The model trains by L-BFGS, in float64.

# %%
rng = np.random.default_rng(section.seed)
axes = np.linalg.qr(rng.standard_normal((20, 20)))[0]
deviations = np.r_[3.0, 2.5, 2.0, np.full(17, 0.5)]
z = rng.standard_normal((1000, 20)) * deviations @ axes

linear = UndercompleteAutoencoder((20, 3), activation="identity", loss="gaussian", dtype="float64", **device)
linear.fit(z, optimizer="lbfgs", epochs=200)
Q = np.linalg.qr(section.backend.to_numpy(linear.parameters["V1"]).T)[0]
cosines = np.linalg.svd(Q.T @ PCA(z, 3).D, compute_uv=False)
cosine = section.number("cosine of the largest angle to PCA's subspace", cosines.min(), of="linear autoencoder, 20-3")
section.claim("a linear autoencoder spans the principal subspace", cosine, ">", 0.999)

# %% [markdown]
# On digits the angles say little. The tenth and the eleventh eigenvalue of the covariance are close together, so that
# the tenth direction is ill-defined, and another one does nearly as well. What PCA does promise on digits is its error,
# so that is what we compare. Here Adam trains on minibatches. Its learning rate falls to 0 along a cosine: as long as
# steps are large, the noise of the minibatches keeps θ from settling, and the comparison below is one of fractions of a
# percent.

# %%
linear_epochs = section.pick(12, 40, 10)
linear, _ = train((n, few), linear_epochs, lr=1e-2, activation="identity", loss="gaussian")
error = section.number("squared error, training images", squared_error(linear, X), of=f"linear autoencoder, k = {few}")
error_pca = section.number("squared error, training images", squared_error(PCA(X, few), X), of=f"PCA, k = {few}")
section.claim("a linear autoencoder comes within 0.5% of PCA", error / error_pca, "<=", 1.005)
section.claim(
    "a linear autoencoder cannot beat PCA on the data that PCA was fitted to", error / error_pca, ">=", 0.9999
)

# %% [markdown]
# The two claims enclose the error from both sides. Training has found PCA's subspace without an eigenvalue, by going
# downhill. It took far longer than PCA does: nobody would train a linear autoencoder to get principal components. What
# follows is that the interest of an autoencoder must lie elsewhere, in what f and g can do that a matrix cannot.

# %% [markdown]
# ## 2. Nonlinear f and g: better than PCA at the same code size
# We put one hidden layer of 256 ReLU units on each side of a linear code of 30 numbers. Pixels lie between 0 and 1 and
# are read as probabilities, so L is the Bernoulli −log p(x | h), in nats. The error that we compare is still the
# squared one, which is PCA's own measure: the autoencoder was not even trained for it.


# %%
relu = dict(activation="relu", code="identity", loss="bernoulli")
pca = PCA(X, code)
source = "Hinton and Salakhutdinov 2006)"
published = f"13.87 (recalled; {source}"
error_pca = section.number("squared error, test images", squared_error(pca, X_test), published, of=f"PCA, k = {code}")
runs = [train((n, 256, code), section.pick(6, 25, 12), seed, **relu) for seed in section.seeds]
errors = [squared_error(model, X_test) for model, _ in runs]
error = section.number("squared error, test images", errors, of=f"autoencoder {n}-256-{code}")
section.claim("a nonlinear autoencoder beats PCA at the same code size", error, "<", error_pca)
section.guard("squared error of the small network, test images", error, "<=", 6.0)
section.guard("PCA's squared error is off the published 13.87 by", abs(error_pca - 13.87), "<=", 0.02)

# %% [markdown]
# How did training get there? The picture shows the cost by epoch. Dashed curves are the training cost, and they need
# care: each point is the mean over an epoch in which θ moves, while the validation cost, that of the test images, is
# taken at the end of the epoch. That is why the validation curve lies *below* the training curve in the first epochs:
# it is half an epoch ahead. A network *overfits* where the training curve goes on falling and the validation curve no
# longer does.

# %%
model, history = runs[0]
section.figure(
    plots.curves({f"autoencoder {n}-256-{code}": history}, ylabel="J, nats per image", title="Nonlinear: J by epoch"),
    "learning_curves",
    caption="The cost of the nonlinear autoencoder by epoch. Dashed is the training cost, a mean over the epoch; "
    "solid is the validation cost, that of the test images at its end. In the first epochs it is lower, because it is "
    "taken later; in the last ones it is higher, because the network has begun to fit what is particular to the "
    "training images.",
    alt="Two curves that fall steeply at first and level out. The solid validation curve starts below the dashed "
    "training curve and ends above it.",
)

# %% [markdown]
# A number such as "a squared error of 7" means little to the eye. So look at the reconstructions themselves.

# %%
if digits.shape:
    x = X_test[:: len(X_test) // 12]
    rows = {"x": x, "autoencoder": model.reconstruct(x), "PCA": pca.reconstruct(x)}
    section.figure(
        plots.images(rows, f"Test images and their reconstructions from {code} numbers", shape=digits.shape),
        "reconstructions",
        caption="Test digits x, and what the autoencoder and PCA make of 30 numbers a digit. Ink is dark. PCA adds up "
        "templates, some of them with a negative sign, and so leaves grey ghosts around the strokes; the autoencoder's "
        "background is white, and its strokes have edges. Both lose what is rare, such as a serif.",
        alt="Three rows of twelve digits: originals, reconstructions by the autoencoder, which look much like the "
        "originals, and reconstructions by PCA, which are blurred and have grey shadows around them.",
    )

# %% [markdown]
# The gradient that trained this model was derived by hand, and the derivation stands in the docstrings of the layers
# and of the loss. You need not believe it: hold it against finite differences of J, as section 14.0 explains.

# %%
worst = check_gradient(model, X_test[:4], entries=40).worst.error
worst = section.number("largest error of the gradient check", worst, of=f"autoencoder {n}-256-{code}")
section.claim("the gradient is that of J", worst, "<=", 1e-7)

# %% [markdown]
# ## A code that can be drawn
# With two numbers a digit, a code is a point of the plane, and we can look at it. No label was used in training. If
# neighbours in the plane are mostly of one class all the same, then the code has kept what makes a digit a 3 or an 8.
# The accuracy of a 1-nearest-neighbour classifier, which reads the class of a test digit off the nearest training code,
# measures that.

# %%
if digits.train_labels is not None:
    sizes, planar_pca = (n, 256, 64, 2), PCA(X, 2)
    planar = [train(sizes, section.pick(6, 40, 15), seed, **relu)[0] for seed in section.seeds]

    def neighbour_accuracy(model):
        return knn_accuracy(model.encode(X), digits.train_labels, model.encode(X_test), digits.test_labels)

    accuracies = [neighbour_accuracy(model) for model in planar]
    accuracy = section.number("1-NN accuracy on two numbers", accuracies, of="autoencoder 784-256-64-2")
    accuracy_pca = section.number("1-NN accuracy on two numbers", neighbour_accuracy(planar_pca), of="PCA, k = 2")
    section.claim("two numbers of an autoencoder tell more of the digit than PCA's", accuracy, ">", accuracy_pca)
    section.guard("1-NN accuracy on two numbers of the autoencoder", accuracy, ">=", 0.65)
    panels = {"autoencoder 784-256-64-2": planar[0].encode(X_test), "PCA, k = 2": planar_pca.encode(X_test)}
    section.figure(
        plots.codes(
            panels, digits.test_labels, "Test digits as two numbers", colour_label="digit (not seen in training)"
        ),
        "codes",
        caption="Each point is a test digit, at the two numbers of its code, in the colour of its class; the class "
        "stands at the median of its points, or beside it at the end of a short line. The panels have scales of their "
        "own, since a code has no unit. On the left 0, 1, 2 and 6 have regions of their own, while 4, 7 and 9 share "
        "one, and 3, 5 and 8 another. On the right only 0 and 1 lie apart.",
        alt="Two scatter plots of digits coloured by class. On the left, by the autoencoder, several classes form "
        "patches that overlap little. On the right, by PCA, all classes but 0 and 1 overlap in one cloud.",
    )

# %% [markdown]
# ## At full size: the published figure
# Hinton and Salakhutdinov (2006) report a squared error of 3.00 for an autoencoder 784-1000-500-250-30, pretrained by
# restricted Boltzmann machines and then trained for 250 epochs. We give the same widths, with ReLU units, ten epochs
# from random weights, at `--full` only. Ten epochs of minutes do not reach what 250 epochs reached.

# %%
if section.size == "full":
    deep = [squared_error(train((n, 1000, 500, 250, code), 10, seed, **relu)[0], X_test) for seed in section.seeds]
    label, published = f"autoencoder {n}-1000-500-250-{code}", f"3.00, pretrained, 250 epochs (seen; {source}"
    error_deep = section.number("squared error, test images", deep, published, of=label)
    section.claim("a deeper autoencoder beats the small one", error_deep, "<", error)
    section.guard("squared error of the deep network, test images", error_deep, "<=", 5.0)

# %% [markdown]
# ## 3. Too much capacity: a code that learns nothing
# Is a narrow code enough, then? The book warns that it is not. Imagine an encoder so powerful that it maps the i-th
# training example to the number i, and a decoder that maps i back to the example:
#
#     f(x_i) = i,     g(i) = x_i
#
# The code is one number wide, the copy is perfect, and nothing has been learned about digits. The book adds that this
# exact case does not occur in practice. How near can we come? We take 20 training images, a code of one number, and 300
# ReLU units in each of two layers on either side of it: some 650,000 weights. The rival is PCA with one component,
# which has next to no capacity, on the same 20 images. And the yardstick is a code of no number at all, whose
# reconstruction of everything is the mean of the 20 images.

# %%
few_images, epochs = X[:20], section.pick(600, 1500, 3000)
greedy = []
for seed in section.seeds:
    greedy.append(UndercompleteAutoencoder((n, 300, 300, 1), seed=seed, **relu, **device))
    optimizer = Adam(Cosine(3e-3, steps=epochs))
    greedy[-1].fit(few_images, epochs=epochs, batch_size=len(few_images), optimizer=optimizer, seed=seed)
line, mean = PCA(few_images, 1), few_images.mean(axis=0)
seen, unseen = "squared error, its 20 images", "squared error, test images"
label = f"autoencoder {n}-300-300-1"
error_seen = section.number(seen, [squared_error(one, few_images) for one in greedy], of=label)
error_unseen = section.number(unseen, [squared_error(one, X_test) for one in greedy], of=label)
line_seen = section.number(seen, squared_error(line, few_images), of="PCA, k = 1")
section.number(unseen, squared_error(line, X_test), of="PCA, k = 1")
section.number(seen, np.square(few_images - mean).sum(axis=1).mean(), of="their mean, k = 0")
mean_unseen = section.number(unseen, np.square(X_test - mean).sum(axis=1).mean(), of="the mean of the 20, k = 0")
section.claim("with capacity, one number tells 20 images apart better than PCA's", error_seen, "<", line_seen)
section.claim("on unseen images that number is worse than no code at all", error_unseen, ">", mean_unseen)

# %%
if digits.shape:
    x, x_new = few_images[:12], X_test[:12]
    rows = {"x, seen": x, "r": greedy[0].reconstruct(x), "x, not seen": x_new, "r ": greedy[0].reconstruct(x_new)}
    section.figure(
        plots.images(rows, "A code of one number, 20 training images", shape=digits.shape),
        "memorised",
        caption="Above, twelve of the 20 training images and what the network makes of them by way of one number. "
        "Below, test images and what it makes of those. The network returns one of the images that it has seen, or "
        "a mixture of two that are neighbours on its line, whatever it is shown. The code is a list of the training "
        "set.",
        alt="Four rows of twelve digits. The second row resembles the first. The fourth row shows digits too, but "
        "mostly other ones than the third row, and several of them are the same.",
    )

# %% [markdown]
# What follows? The warning comes true, though only for 20 images and hundreds of passes over them. A low training error
# says nothing about the worth of a code, and neither does its width: what counts is the capacity of f and g against the
# amount of data. An undercomplete autoencoder must be kept small by hand. The rest of the chapter looks for other ways
# to forbid the copy: penalties, noise, and derivatives, which allow wide codes and strong networks (section 14.2).

# %% [markdown]
# ## Exercises
# 1. On paper. Let f(x) = x W and g(h) = h V be linear, and let A be any invertible matrix. Show that the weights W A
#    and A⁻¹ V have the same cost as W and V. Which of them does weight decay prefer, and does it change the subspace?
# 2. With code. How many numbers does PCA need to do as well as the autoencoder with 30? Find the least k at which its
#    squared error on the test images is not above that of the autoencoder. At the default size you should find that PCA
#    needs more than twice as many numbers. (One eigendecomposition is enough for all k. The solution is in
#    `solutions/14_1_undercomplete.py`.)
# 3. With code. Repeat part 3 with 10, 20, 50 and 200 images at the same number of steps, and plot both errors against
#    the number of images. From which number on is the code worth something on test images, that is, better than the
#    mean?

# %%
section.finish()

"""15.1 Greedy Layer-Wise Unsupervised Pretraining

Equations: none
Figures: by_depth (test error by the number of layers); by_labels (test error by the number of labels); by_kind (test
error by the kind of layer); trajectories (figure 15.1: training as a path through the space of functions)

Suppose that few of our images have labels and that many have none. A deep network that is trained on the labels alone
uses a small part of what we have. Can the other images help it? The idea of 2006 was this: first train the layers
without labels, one after the other, so that each makes a code of the layer below it. Then put a classifier on top and
train everything on the labels. The first phase is called *pretraining*, the second one *fine-tuning*. The book writes
it down as algorithm 15.1. It is

  - greedy: each layer is trained by itself, and stays as it is while the layers above it are trained;
  - layer-wise: a stage has one layer;
  - unsupervised: no stage sees a label;
  - pretraining: it only says where the training of the whole network begins.

The idea made deep networks popular again. So the question is not whether it works. It is what the idea is worth, and
compared with what. This script runs the algorithm and then lets its result compete with networks that were not
pretrained: from the narrow random weights that were the custom in 2006, from random weights in the range that fits a
sigmoid, and with ReLU layers and Adam, as networks are trained today. We vary the depth, the number of labels, and the
kind of the layers. At the end we draw the book's figure 15.1, in which training is a path through a space of functions.
The next section, 15.1.1, asks why pretraining helps.

The symbols are in minae/NOTATION.md. The greedy training is in minae/models/stacked.py, and the classifier with its
derivation in minae/models/classifier.py. The contestants of this section and of the next one are built in
chapters/ch15/stacks.py.
"""

# %%
import warnings

import numpy as np

from minae import (
    Classifier,
    DenoisingAutoencoder,
    InputError,
    UndercompleteAutoencoder,
    VariationalAutoencoder,
    check_gradient,
    copy_encoder,
    plots,
    pretrain,
)
from minae.chapters import Section
from minae.chapters.ch15 import stacks

warnings.filterwarnings("ignore", "no layer of")  # plain layers of 100 units on 100 units: they may copy, see 14.2
section = Section("15.1")
device = dict(backend=section.backend)
digits = stacks.split(section.size == "full")
width = section.pick(100, 100, 200)
below = 10  # passes over the unlabelled images for each layer
count = section.pick(1, 3, 3)  # learning rates that each contestant tries
label_steps = section.pick(300, 600, 600)  # of fine-tuning


def widths(depth):
    return (784, *[width] * depth)


# %% [markdown]
# ## Algorithm 15.1
# Let L be a method of learning without labels: given a matrix of examples, one in each row, it returns an encoder. Let
# T be a method of fine-tuning: given a function and examples, with or without labels, it returns a tuned function. Let
# m be the number of stages. The algorithm is
#
# - f ← the identity
# - H ← X
# - for k = 1, …, m:
#    - f⁽ᵏ⁾ ← L(H)
#    - f ← f⁽ᵏ⁾ ∘ f
#    - H ← f⁽ᵏ⁾(H)
# - if fine-tuning: f ← T(f, X, Y)
# - return f
#
# (The book writes X̃ for H. Here x̃ is a corrupted x. And in this algorithm alone, L is not the reconstruction error.)
# In code the algorithm is as short. L is an autoencoder of one layer, of which we keep the encoder. We write the loop
# out with denoising layers, since with them one line of it is often wrong: a denoising layer is *trained* on corrupted
# inputs, but the codes that it hands to the next layer are those of the clean ones (Vincent et al. 2010).

# %%
rows = digits.X[:500]
fit = dict(epochs=2, batch_size=50)


def greedy_by_hand(X, sizes, corrupt_codes=False):
    """The encoders f⁽¹⁾, …, f⁽ᵐ⁾ of algorithm 15.1, each as its W and b."""
    encoders, H = [], X
    for k in range(1, len(sizes)):
        layer = DenoisingAutoencoder((sizes[k - 1], sizes[k]), level=0.25, seed=k - 1, **device)
        layer.fit(H, seed=k - 1, **fit)  # f⁽ᵏ⁾ ← L(H)
        encoders.append([section.backend.to_numpy(layer.parameters[name]).copy() for name in ("W1", "b1")])
        if corrupt_codes:  # the mistake
            H = H * (np.random.default_rng(k).random(H.shape) >= 0.25).astype(H.dtype)
        H = layer.encode(H)  # H ← f⁽ᵏ⁾(H)
    return encoders


def largest_difference(encoders, stack):
    """Between the weights of two stacks."""
    difference = 0.0
    for k, (W, b) in enumerate(encoders, start=1):
        for name, mine in ((f"W{k}", W), (f"b{k}", b)):
            theirs = section.backend.to_numpy(stack.parameters[name])
            difference = max(difference, float(abs(mine - theirs).max()))
    return difference


stack = UndercompleteAutoencoder((784, 40, 20, 10), activation="sigmoid", **device)
pretrain(stack, rows, DenoisingAutoencoder, options=dict(level=0.25), seed=0, **fit)
right = largest_difference(greedy_by_hand(rows, (784, 40, 20, 10)), stack)
wrong = largest_difference(greedy_by_hand(rows, (784, 40, 20, 10), corrupt_codes=True), stack)
section.number("largest difference from the engine's weights", right, of="the loop written out")
section.number("largest difference from the engine's weights", wrong, of="the loop, codes of corrupted inputs")
section.claim("`pretrain` is algorithm 15.1", right, "<=", 1e-7)
section.claim("the comparison sees the mistake of corrupted codes", wrong, ">", 1e-3)

# %% [markdown]
# Why does the loop never return to a lower layer? For the autoencoder of stage k, H is data. Its cost J⁽ᵏ⁾ depends on
# its own parameters θ⁽ᵏ⁾ and on H, and H is held fixed:
#
#     ∂J⁽ᵏ⁾/∂θ⁽ʲ⁾ = 0     for j < k
#
# So each stage is the training of a shallow network, with a gradient that passes one hidden layer only. This has two
# consequences that we shall use. The first k layers of a stack are the stack of k layers: one pretrained stack serves
# all depths. And nobody asks the lower layers to be of use to the higher ones. That is why the algorithm is greedy.
#
# Fine-tuning is the opposite: now the gradient of one cost, J = −log p(y | x), passes through all the layers. Let h⁽⁰⁾
# be x, let the layers be h⁽ᵏ⁾ = σ(a_k) with a_k = h⁽ᵏ⁻¹⁾ W_k + b_k, and let s = h⁽ᵐ⁾ V + c be the logits of a softmax
# on top. The chain rule gives from the top down, for a batch of B rows with one-hot y,
#
#     ds = 1/B (softmax(s) − y),     dh⁽ᵐ⁾ = ds Vᵀ
#     da_k = dh⁽ᵏ⁾ ⊙ h⁽ᵏ⁾ ⊙ (1 − h⁽ᵏ⁾),     dW_k = h⁽ᵏ⁻¹⁾ᵀ da_k,     dh⁽ᵏ⁻¹⁾ = da_k W_kᵀ
#
# Each layer multiplies the gradient by h ⊙ (1 − h), which is ¼ at most, and by W_kᵀ. Where the weights are narrow,
# little of it arrives at the lowest layers. Keep this in mind for the first picture.
#
# The copy of the encoder into the classifier is a place for mistakes, too: there are reports of fine-tuning that began
# with fresh weights, because the copy was forgotten. We check that the classifier computes the stack's code, and that
# the gradient is that of J.

# %%
model = Classifier((784, 40, 20, 10), activation="sigmoid", **device)
copy_encoder(stack, model)
code = abs(model.encode(rows) - stack.encode(rows)).max()
section.claim("the classifier begins with the code of the stack", code, "<=", 1e-6)
worst = check_gradient(model, rows[:4], digits.y[:4], entries=40).worst.error
worst = section.number("largest error of the gradient check", worst, of="pretrained classifier 784-40-20-10")
section.claim("the gradient of fine-tuning is that of J", worst, "<=", 1e-7)

# %% [markdown]
# ## What is a fair comparison?
# Pretraining costs training, and a rival may ask for as much. So we count. A *label-epoch* is a pass over the labelled
# images. All contestants get the same number of them, about 600 steps of 50 images. (One of them gets many more in
# section 15.1.1.) Each tries equally many learning rates, a factor of 3 apart, and takes the one that makes the fewest
# errors on validation images, which nobody learns from. A pretrained stack has in addition its steps without labels.
# Its own settings were chosen once, also on validation images: see `KINDS` in chapters/ch15/stacks.py.
#
# The contestants differ in how their weights begin.
#
# - *narrow weights*: sigmoids, with W uniform between −1/√n and 1/√n for n inputs, as was the custom before 2010.
# - *random weights*: sigmoids, with W in four times the range of Glorot and Bengio, which fits a sigmoid (see 14.3).
# - *pretrained*: sigmoids, from a stack of sparse autoencoders.
# - *ReLU*: rectified units, with W in the range of He et al. (2015), trained by Adam.

# %%
labels, depths = 1000, section.pick([1, 4], [1, 2, 3, 4, 5], [1, 2, 3, 4, 5])
epochs = stacks.epochs_for(labels, label_steps)
pretrained = [stacks.greedy("sparse", widths(depths[-1]), digits.X, below, seed, **device) for seed in section.seeds]
section.number("images without use of their labels", len(digits.X), of="pretrained")
section.number("label-epochs", epochs, of=f"everybody, {labels} labels")
section.number("steps on labelled images", epochs * -(-labels // stacks.BATCH), of=f"everybody, {labels} labels")
per_layer = below * -(-len(digits.X) // stacks.BATCH_UNLABELLED)
section.number("steps without labels for each layer", per_layer, of="pretrained")

chosen = {}  # contestant -> the rates that it took


def test_errors(start, depth, labels, epochs, stack_of=pretrained):
    """The test error of a contestant for each seed, at its best rate."""
    errors = []
    for seed, stack in zip(section.seeds, stack_of, strict=True):
        run = dict(labels=labels, epochs=epochs, seed=seed, count=count, stack=stack, **device)
        model, rate = stacks.best(start, widths(depth), digits, **run)
        chosen.setdefault(start, []).append(rate)
        errors.append(stacks.error(model, digits.X_test, digits.y_test))
    return errors


# %% [markdown]
# ## By depth
# With 1000 labels, how many layers can each contestant use?

# %%
error, found = {start: [] for start in stacks.STARTS}, {}
for depth in depths:
    for start in stacks.STARTS:
        values = test_errors(start, depth, labels, epochs)
        found[start, depth, labels] = values
        of = f"{start}, {depth} layer{'s' * (depth > 1)}"
        error[start].append(section.number("test error %, 1000 labels", values, of=of))
section.figure(
    plots.levels(
        {start: (depths, np.array(values)) for start, values in error.items()},
        "number of layers",
        "test error %",
        "Test error by depth, 1000 labels",
        yscale="log",
    ),
    "by_depth",
    caption="Test error of four contestants by the number of hidden layers, with the same 1000 labels and the same "
    "number of passes over them. The axis is logarithmic. Look first at the narrow weights: with three layers and more "
    "their networks have hardly learned. Then compare the three lines below, which are close together.",
    alt="Four curves. That of narrow weights rises steeply to 90% as layers are added. The other three stay between 9 "
    "and 16% at all depths; the one of random weights is the highest of them.",
)
narrow, random, stacked, relu = (np.array(error[start]) for start in stacks.STARTS)
section.claim("narrow weights, deepest network: test error %", narrow[-1], ">=", 80)
section.claim("pretraining rescues the deepest network: test error %", stacked[-1], "<=", 30)
section.claim("so does the right range of random weights, without pretraining: test error %", random[-1], "<=", 30)
section.claim(
    "pretraining gains over the right range: mean over the depths, in points", (random - stacked).mean(), ">", 0
)
section.claim("ReLU is as good as pretraining within 2 points: mean over the depths", (relu - stacked).mean(), "<=", 2)

# %% [markdown]
# What do we see at default size? One test error of 11% on 2000 digits has a standard error of 0.7 points, so look at
# what holds across the depths. From narrow weights, one and two layers train (12.7 and 14.3%), three hardly do (73%),
# and four and five stay at 89%, which is chance. Pretrained, the same networks make 9.6 to 11.0% at every depth. That
# is the rescue which made the method famous. But random weights in the range that fits a sigmoid make 12.6 to 13.2%,
# without any pretraining. So nearly all of the rescue is owed to the range of the weights, and pretraining adds 2.4
# points, the mean over the depths. ReLU lies between the two, 0.9 points behind the pretrained sigmoids and 1.5 points
# before the random ones. And depth is rescued here, but it is not rewarded: no contestant gains much from more layers.
#
# ## By number of labels
# Pretraining uses the images without labels. So its gain should be largest when labels are few, and should vanish when
# every image has a label. We take three layers and vary the number of labels. The narrow weights are left out, since
# they do not train at this depth.

# %%
depth = 3
few = section.pick([100, 4000], [100, 300, 1000, 4000], [100, 1000, 10000, 50000])
by_labels = {start: [] for start in stacks.STARTS[1:]}
for labels in few:
    for start in by_labels:
        known = found.get((start, depth, labels))  # from the part above
        values = known or test_errors(start, depth, labels, stacks.epochs_for(labels, label_steps))
        name = f"test error %, {depth} layers by labels"
        by_labels[start].append(section.number(name, values, of=f"{start}, {labels} labels"))
section.figure(
    plots.levels(
        {start: (few, np.array(values)) for start, values in by_labels.items()},
        "images with labels",
        "test error %",
        f"Test error by number of labels, {depth} layers",
        xscale="log",
        yscale="log",
    ),
    "by_labels",
    caption=f"Test error of three contestants with {depth} layers by the number of images whose labels they see; both "
    f"axes are logarithmic. All {len(digits.X)} images are there for pretraining at every point. Compare the distance "
    "between the curves at the left end, where labels are few, with that at the right end, where all images have one.",
    alt="Three falling curves. At the left the pretrained one is the lowest. At the right the curves meet, and ReLU is "
    "the lowest or equal.",
)
gains = np.array(by_labels["random weights"]) - np.array(by_labels["pretrained"])
section.number("points gained by pretraining over random weights", gains[0], of=f"{few[0]} labels")
section.number("points gained by pretraining over random weights", gains[-1], of=f"{few[-1]} labels, all")
section.claim("pretraining gains more with few labels than with all: points", gains[0] - gains[-1], ">", 0)
for start, taken in chosen.items():
    section.number("median of the learning rates that won", float(np.median(taken)), of=start)

# %% [markdown]
# What do we see at default size? With 100 labels pretraining takes the error of the random weights from 32.5 to 28.1%,
# with 300 labels from 19.1 to 15.0%, with 1000 from 13.0 to 10.7%, and with all 4000 from 7.2 to 7.0%. This last gain
# is smaller than the standard error. ReLU is no better than the random sigmoids where labels are few. Where all images
# have labels, the three are equal within the standard error. So the gain is where the book says: few labels and many
# images without. (Section 15.1.1 asks how much of it is owed to the images without labels.) When every image has a
# label, the unlabelled phase has nothing to add.
#
# ## By kind of layer
# Algorithm 15.1 leaves open what L is. Chapter 14 has several autoencoders to offer: plain ones, denoising ones,
# contractive ones, and the sparse ones that we have used so far. We pretrain three layers of each kind.
#
# A variational autoencoder cannot take part, and it is worth understanding why. Its encoder does not compute a code. It
# computes a mean and a log-variance, two numbers for each unit, from which the code is drawn. We could take the mean
# alone. But the mean is a linear function of the layer below, without a sigmoid, and a stack of linear layers is one
# linear layer. So `pretrain` refuses it:

# %%
try:
    linear = UndercompleteAutoencoder((784, 20), activation="identity", **device)
    pretrain(linear, digits.X[:100], VariationalAutoencoder, epochs=1)
except InputError as refusal:
    print(f"  {refusal}\n")

kinds = section.pick(["plain", "sparse"], list(stacks.KINDS), list(stacks.KINDS))
few = section.pick([100], [100, 1000], [100, 1000])
by_kind = {kind: [] for kind in kinds}
for kind in kinds:
    made = pretrained  # the sparse ones, whose lowest layers are a stack of their own
    if kind != "sparse":
        made = [stacks.greedy(kind, widths(depth), digits.X, below, seed, **device) for seed in section.seeds]
    for labels in few:
        values = test_errors("pretrained", depth, labels, stacks.epochs_for(labels, label_steps), stack_of=made)
        name = f"test error %, {depth} layers by kind"
        by_kind[kind].append(section.number(name, values, of=f"{kind} layers, {labels} labels"))
section.figure(
    plots.bars(
        {f"{kind} layers": errors[0] for kind, errors in by_kind.items()},
        "test error %, 100 labels",
        f"Pretrained by four kinds of layers, {depth} layers" if len(kinds) == 4 else "Pretrained by two kinds",
    ),
    "by_kind",
    caption="Test error with 100 labels after pretraining by several kinds of autoencoders. The unlabelled images, the "
    "passes over them, and the fine-tuning are the same for all. Compare the plain layers, which copy without a "
    "penalty, with those that chapter 14 regularises.",
    alt="Horizontal bars of about 28 to 34 percent, one for each kind of layer. The bar of the plain layers is among "
    "the longest.",
)
fewest = {kind: errors[0] for kind, errors in by_kind.items()}
section.claim(
    "with 100 labels, sparse layers pretrain better than plain ones: points",
    fewest["plain"] - fewest["sparse"],
    ">",
    0,
)

# %% [markdown]
# What do we see at default size? With 100 labels, after plain layers the error is 32.4%, which is what random weights
# have. After denoising layers it is 31.5%, after contractive ones 29.5%, and after sparse ones 28.1%. With 1000 labels
# the errors are 12.8, 12.0, 9.4 and 10.7%, so contractive and sparse layers have changed places; with one seed a
# difference of a point between two kinds is no evidence. But plain layers come last with both numbers of labels, and
# with 100 labels they are four points behind the sparse ones. A plain layer of 100 units on 100 units can copy its
# input and learn nothing. This is the lesson of section 14.2 once more: it is the penalty that makes a wide code learn.
#
# ## Figure 15.1: training as a path through function space
# Two networks can have very different weights and compute the same function: exchange two hidden units, and nothing
# happens to the output. So where does training lead, if we look at the functions alone? Erhan et al. (2010) had a
# simple idea. Represent a network by its outputs on a fixed set of N test images, the probabilities of the ten classes,
# written one behind the other into one vector:
#
#     v = (p(y | x₁), p(y | x₂), …, p(y | x_N)),     10 N numbers
#
# After every epoch of fine-tuning the network is such a point, and a training is a path. Several seeds give several
# paths, some from random weights and some from pretrained ones. To see them we put all checkpoints of all paths into
# one matrix and draw its two leading principal components. (The book's figure uses other embeddings, one of them of the
# family of t-SNE, which keeps neighbours together. PCA is linear, has nothing to tune, and distances in the picture are
# never larger than the true ones.)

# %%
N, steps, runs = section.pick(100, 300, 500), 15, section.pick(3, 5, 6)
depth_of_paths, lr = 2, 0.3
seen = digits.X_test[:: len(digits.X_test) // N][:N]
walks = {"random weights": [], "pretrained": []}
for start in walks:
    for seed in range(section.seed, section.seed + runs):
        sizes = widths(depth_of_paths)
        stack = stacks.greedy("sparse", sizes, digits.X, below, seed, **device) if start == "pretrained" else None
        model = stacks.build(start, sizes, seed, stack, **device)
        walk = [model.probabilities(seen).ravel()]

        def record(model, history, walk=walk):
            walk.append(model.probabilities(seen).ravel())

        stacks.fine_tune(model, digits.X[:1000], digits.y[:1000], lr, steps, seed, callbacks=[record])
        walks[start].append(np.array(walk, dtype=float))


def in_the_plane(walks, first):
    """The checkpoints from epoch `first` on by their two leading principal components, and the variance these have."""
    every = np.concatenate([walk[first:] for group in walks.values() for walk in group])
    middle = every.mean(axis=0)
    _, singular, components = np.linalg.svd(every - middle, full_matrices=False)
    plane = {start: [(walk[first:] - middle) @ components[:2].T for walk in group] for start, group in walks.items()}
    return plane, np.square(singular[:2]).sum() / np.square(singular).sum()


whole, share = in_the_plane(walks, 0)
section.number("share of the variance that two components show", share, of="all checkpoints")
late, share = in_the_plane(walks, steps - 5)
section.number("share of the variance that two components show", share, of="the last six checkpoints")
section.figure(
    plots.paths(
        {f"all {steps} epochs": whole, "the last five epochs, components of their own": late},
        "Training as a path through the space of functions",
        ("first principal component", "second principal component"),
    ),
    "trajectories",
    caption=f"Each line is the training of a network, as the path of its outputs on {N} test images; a ring is its "
    "beginning, and the marker of its group its end. Solid lines come from random weights, dashed ones from pretrained "
    "weights. On the left all paths begin in nearly one place, since the softmax layer begins with random weights in "
    "both groups and knows nothing of the classes yet. Follow the bundles from there. On the right are the last five "
    "epochs alone: look whether the two groups are in one region or in two.",
    alt="Left: two bundles of paths leave one place, separate after the first epoch, and come close to each other at "
    "the end. Right: short paths in two groups that lie apart, solid ones on one side, dashed ones on the other.",
)

# %% [markdown]
# The pictures show two dimensions of thousands, so we measure in all of them. Do the ends of the two groups lie in
# regions of their own? For each end we ask which group's other ends are nearer on average. And how large is a region?
# That is the mean distance of two ends within it.

# %%
ends = {start: np.array([walk[-1] for walk in group]) for start, group in walks.items()}


def distances(a, b):
    return np.linalg.norm(a[:, None] - b[None], axis=2)


pairs = np.triu_indices(runs, 1)
within = {start: distances(end, end)[pairs].mean() for start, end in ends.items()}
between = distances(*ends.values()).mean()
for start, value in within.items():
    section.number("mean distance of two ends", value, of=start)
section.number("mean distance of two ends", between, of="one from each group")
at_home = 0
for start, other in (("random weights", "pretrained"), ("pretrained", "random weights")):
    own = distances(ends[start], ends[start]).sum(axis=1) / (runs - 1)  # an end is at distance 0 of itself
    foreign = distances(ends[start], ends[other]).mean(axis=1)
    at_home += int((own < foreign).sum())
section.number("networks that are nearer to their own group, of all", at_home / (2 * runs), of="both groups")
section.claim(
    "ends of different groups are farther apart than ends of one: ratio of the mean distances",
    between / np.mean(list(within.values())),
    ">",
    1,
)
section.claim(
    "the region of sparse pretraining is the smaller one: ratio of the mean distances",
    within["pretrained"] / within["random weights"],
    "<",
    1,
)

# %% [markdown]
# What do we see at default size? All ten networks are nearer to their own group than to the other. Two networks from
# random weights end at a distance of 3.5 from each other, two pretrained ones at 2.5, and one of each at 3.7. So the
# two ways of beginning lead into two regions of function space, and the pretrained region is the smaller one, as Erhan
# et al. (2010) found. The picture on the left shows how: the bundles part in the first epoch.
#
# Be careful with what follows from it. The regions are not far apart: 3.7 between the groups stands against 3.5 within
# one. They depend on the kind of layer: with denoising layers in place of the sparse ones, we found two regions too,
# but the pretrained one was a little the *larger* (3.4 against 2.9, on 300 images, in a run that is not part of this
# script). And a smaller region is not a better one. That the pretrained region is also the better one is seen in the
# test errors above, and not in this figure.
#
# ## Where it fails
# Pretraining has two phases, and so two sets of settings. The settings of the first phase are judged by the error
# after the second, which makes the search slow. Nor is there one knob that says how strongly pretraining regularises,
# as the weight of a penalty does. When all images had labels, it brought nothing. And with too few passes it does
# harm, as section 15.1.1 shows. In the years after 2012 large sets with labels, ReLU units, better ranges, and dropout
# took its place. What has stayed is the idea that is left when the greedy layers are taken away: to learn from data
# without labels first, as language models do.
#
# ## Exercises
# 1. On paper. In stage 2 of algorithm 15.1, H is the code of stage 1. Suppose that stage 1 was trained perfectly but
#    its code has fewer units than the digits need. Can stage 2 repair the loss? Can fine-tuning? Which line of the two
#    derivations above tells you so?
# 2. With code. Is the gain due to the lowest layer alone? Fine-tune from a stack of which only the lowest layer is
#    pretrained and the layers above begin with random weights in the range of a sigmoid. Compare the test errors with
#    100 labels with those of a stack that is wholly random and of one that is wholly pretrained. You should find that
#    one layer brings a good part of the gain. (The solution is in `solutions/15_1_pretraining.py`.)
# 3. With code. Give the narrow weights of four layers ten times as many label-epochs, at the rates 0.1 and 0.3, and
#    print the training cost after each epoch. How long is the plateau, and what ends it? (Section 15.1.1 has one such
#    run.)

# %%
section.finish()

"""15.1.1 When and Why Does Unsupervised Pretraining Work?

Equations: none
Figures: plateau (training cost by step of a network of four layers, from several kinds of weights); shares (test error
against training cost); spread (test errors of several seeds, by depth); images (pretraining without any
unlabelled image); today (ReLU networks with pretraining and without); length (pretraining that is too short, or
too long)

Section 15.1 showed that greedy pretraining can help a great deal, a little, or not at all. This section asks when and
why. The book names two ideas on which pretraining rests:

  1. The point at which training begins may act as a *regulariser*, or make the *optimisation* possible. Training then
     ends in a place that it would not have reached from random weights.
  2. What is learned about the distribution of x may help to learn the map from x to y.

These are claims about causes, and to test a cause one needs controls. We use six. (a) We split what pretraining brings
to a deep network into the part that the *size* of the weights explains, and the part that their *structure* explains.
(b) We compare training errors with test errors: a better optimiser shows in the training error, a regulariser in the
test error alone. (c) We look at the spread over random seeds, which pretraining is said to reduce. (d) We pretrain on
the labelled images alone, without any others. (e) We repeat the comparison with the networks of today. (f) We pretrain
too little, and see that pretraining can do harm.

The contestants are those of section 15.1, in chapters/ch15/stacks.py; the greedy training is in
minae/models/stacked.py, and the classifier with its gradient in minae/models/classifier.py. Symbols:
minae/NOTATION.md.
"""

# %%
import numpy as np

from minae import plots
from minae.chapters import Section
from minae.chapters.ch15 import stacks

section = Section("15.1.1")
device = dict(backend=section.backend)
digits = stacks.split(section.size == "full")
width = section.pick(100, 100, 200)
count = section.pick(1, 3, 3)  # learning rates that each contestant tries
labels = 1000
label_steps = section.pick(300, 600, 600)  # of fine-tuning
epochs = stacks.epochs_for(labels, label_steps)
X, y = digits.X[:labels], digits.y[:labels]
seeds = list(range(section.seed, section.seed + section.pick(2, 5, 5)))


def widths(depth):
    return (784, *[width] * depth)


def test_error(model):
    return stacks.error(model, digits.X_test, digits.y_test)


made = {seed: stacks.greedy("sparse", widths(4), digits.X, 10, seed, **device) for seed in seeds}  # pretrained stacks
section.number("label-epochs", epochs, of="everybody, 1000 labels, unless it says otherwise")
steps_below = 4 * 10 * -(-len(digits.X) // stacks.BATCH_UNLABELLED)
section.number("steps without labels", steps_below, of="a pretrained stack of four layers")

# %% [markdown]
# ## (a) A network that does not train
# Four layers of sigmoids with the narrow weights of old times, W uniform between −1/√n and 1/√n, learn nothing from
# 1000 labels. We can derive what is wrong. Section 14.3 found how the size of a gradient changes on its way down
# through a layer with n inputs and m units:
#
#     da = dh ⊙ σ′(a),     E dh_{l−1}² = m Var W E da_l²
#
# A uniform number between −1/√n and 1/√n has the variance 1/(3 n). So with m = n and σ′ ≈ ¼, each layer multiplies the
# size of the gradient by
#
#     √(m Var W) · ¼ = √(1/3) · ¼ ≈ 0.144
#
# The signal upward fares as badly. Write h = h̄ + δ, where h̄ is the mean over the images and δ is what differs from
# image to image. To first order the layer above has δ′ = (δ W) ⊙ σ′, which by the same reasoning is 0.144 times as
# large. After four layers the top code is nearly the same for all images. A softmax on a constant can only learn how
# frequent the classes are, and that is what training does: it learns the frequencies, and then it stands still. The
# gradient that would change this is itself tiny, because it is a product of the same factors.
#
# We measure both factors before training.


# %%
def factors(model, x, y):
    """The factor a layer on what differs between images, on its way up, and on the gradient, on its way down.

    Each is the geometric mean over the layers above the lowest hidden one.
    """
    depth = len(model.sizes) - 1
    W = [section.backend.to_numpy(model.parameters[f"W{k + 1}"]).astype(float) for k in range(depth)]
    b = [section.backend.to_numpy(model.parameters[f"b{k + 1}"]).astype(float) for k in range(depth)]
    h = [x.astype(float)]
    for k in range(depth):
        h.append(1 / (1 + np.exp(-(h[k] @ W[k] + b[k]))))
    V = section.backend.to_numpy(model.parameters["V1"]).astype(float)
    s = h[-1] @ V + section.backend.to_numpy(model.parameters["c1"])
    p = np.exp(s - s.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    dh = ((p - np.eye(10)[y]) / len(x)) @ V.T
    down = [np.sqrt(np.square(dh).mean())]
    for k in reversed(range(1, depth)):
        dh = (dh * h[k + 1] * (1 - h[k + 1])) @ W[k].T
        down.append(np.sqrt(np.square(dh).mean()))
    up = [np.sqrt(np.square(one - one.mean(axis=0)).mean()) for one in h[1:]]
    layers = depth - 1
    return (up[-1] / up[0]) ** (1 / layers), (down[-1] / down[0]) ** (1 / layers)


theory = np.sqrt(1 / 3) / 4
measured = {}
for start in ("narrow weights", "random weights", "pretrained"):
    model = stacks.build(start, widths(4), section.seed, made[section.seed], **device)
    measured[start] = factors(model, digits.X[:200], digits.y[:200])
    section.number("factor a layer on what differs between images", measured[start][0], of=start)
    section.number("factor a layer on the gradient", measured[start][1], of=start)
section.claim(
    "narrow weights shrink the gradient as derived: relative difference from 0.144",
    abs(measured["narrow weights"][1] / theory - 1),
    "<=",
    0.1,
)
section.claim("and what differs between images likewise", abs(measured["narrow weights"][0] / theory - 1), "<=", 0.15)
section.claim(
    "pretrained layers pass on more of what differs than narrow ones: ratio of the factors",
    measured["pretrained"][0] / measured["narrow weights"][0],
    ">",
    2,
)

# %% [markdown]
# Which property of the pretrained weights is it that rescues the network? They are larger than the narrow ones, and
# they have a structure. A control tells the two apart: we take the pretrained weights and shuffle the numbers within
# each layer. The shuffled weights have the same size, the same histogram even, but they have forgotten the digits. And
# there are the random weights in the range that fits a sigmoid, which know nothing of pretraining at all.
#
# Narrow weights get two more chances: as many steps as pretraining and fine-tuning together, and ten times the steps
# of fine-tuning.


# %%
def by_step(start, rate, epochs):
    """A trained network of four layers, and its training cost after each epoch, by step."""
    model, costs = stacks.build(start, widths(4), section.seed, made[section.seed], **device), []

    def record(model, history):
        p = model.probabilities(X)[np.arange(labels), y]
        costs.append(-np.log(np.maximum(p, 1e-12)).mean())

    stacks.fine_tune(model, X, y, rate, epochs, section.seed, callbacks=[record])
    return model, np.arange(1, epochs + 1) * -(-labels // stacks.BATCH), np.array(costs)


curves, rescue = {}, {}
for start in ("narrow weights", "shuffled", "random weights", "pretrained"):
    run = dict(labels=labels, epochs=epochs, seed=section.seed, count=count, stack=made[section.seed], **device)
    _, rate = stacks.best(start, widths(4), digits, **run)
    model, steps, costs = by_step(start, rate, epochs)
    curves[start] = steps, costs
    section.number("training error %, 4 layers", stacks.error(model, X, y), of=start)
    rescue[start] = section.number("test error %, 4 layers", test_error(model), of=start)
per_epoch = -(-labels // stacks.BATCH)
for patience in section.pick([], [epochs + steps_below // per_epoch, 10 * epochs], [10 * epochs]):
    model, steps, costs = by_step("narrow weights", 0.3, patience)
    section.number("training error %, 4 layers", stacks.error(model, X, y), of=f"narrow weights, {steps[-1]} steps")
    section.number("test error %, 4 layers", test_error(model), of=f"narrow weights, {steps[-1]} steps")
    curves["narrow weights"] = steps, costs  # in place of the short run
part = (rescue["narrow weights"] - rescue["random weights"]) / (rescue["narrow weights"] - rescue["pretrained"])
section.number("share of the rescue that the right range brings alone", part, of="random weights, 4 layers")
section.claim("narrow weights do not train in these steps: test error %", rescue["narrow weights"], ">=", 80)
section.claim("pretrained ones do: test error %", rescue["pretrained"], "<=", 30)
section.claim("random weights of the right range bring most of the rescue: share", part, ">=", 0.9)
section.figure(
    plots.levels(
        curves,
        "step on labelled images",
        "training cost −log p(y | x), nats",
        "Four layers of sigmoids, 1000 labels",
        xscale="log",
        yscale="log",
    ),
    "plateau",
    caption="The training cost of a network of four layers by step; both axes are logarithmic. Pretrained and random "
    "weights begin to learn at once, shuffled ones more slowly. The narrow weights stand still at 2.3 nats, the cost "
    "of knowing no more than how frequent the classes are. Follow their line to the right, as far as it goes.",
    alt="The curves of pretrained and random weights fall steeply from the first steps on, that of shuffled weights "
    "later and less. The curve of the narrow weights is flat at 2.3 nats for hundreds of steps.",
)

# %% [markdown]
# What do we see at default size? In 600 steps the narrow weights learn nothing (88.6% test errors, and as many on the
# training images). The pretrained ones make 11.0%, and random weights of the right range 13.1%: they alone bring 97% of
# the rescue. The shuffled weights lie at 19.6%. They have the size of the pretrained weights but not their structure,
# so size is enough to train, and structure is worth 8.6 points more. That the shuffled weights are worse than the
# random ones shows how little the histogram of trained weights tells about a good beginning.
#
# Were the narrow weights at a dead end? No. The plateau in the picture has an end. With 2200 steps, as many as
# pretraining and fine-tuning take together, the error is still 75%. But with 6000 steps the training error falls to
# 0.6% and the test error to 27%. (It remains twice as large as that of the others, although the training images are
# learned.) So "cannot be trained" was a statement about a budget.
#
# ## (b) A better optimiser, or a regulariser?
# Call a method a better *optimiser* if it reaches a lower training cost, and a *regulariser* if its test error is lower
# at the same training cost. From narrow weights, pretraining was an optimiser: without it the training error stayed
# near 90%. But now take three layers and random weights of the right range, which train well by themselves. We record
# the training cost and the test error after every epoch of fine-tuning, and draw one against the other. Time is left
# out of this picture. So a curve that lies lower has fewer test errors at equal training cost.

# %%
depth, lr = 3, 0.3
few = section.pick(300, 1000, 1000)
passes = stacks.epochs_for(few, label_steps)
paths = {"random weights": [], "pretrained": []}  # arrays (epochs, 2): training cost, test error
for start in paths:
    for seed in seeds[: section.pick(1, 3, 5)]:
        model, path = stacks.build(start, widths(depth), seed, made[seed], **device), []

        def record(model, history, path=path):
            p = model.probabilities(digits.X[:few])[np.arange(few), digits.y[:few]]
            path.append((-np.log(np.maximum(p, 1e-12)).mean(), test_error(model)))

        stacks.fine_tune(model, digits.X[:few], digits.y[:few], lr, passes, seed, callbacks=[record])
        paths[start].append(np.array(path))
        ends = stacks.error(model, digits.X[:few], digits.y[:few])
        section.number(f"training error %, 3 layers, {few} labels", ends, of=f"{start}, seed {seed}")

levels = np.geomspace(0.5, 0.02, 9)
at_level = {start: [] for start in paths}
for start, group in paths.items():
    for path in group:
        best_so_far = np.minimum.accumulate(path[:, 0])  # a cost may rise for an epoch
        at_level[start].append(np.interp(np.log(levels), np.log(best_so_far[::-1]), path[::-1, 1]))
mean = {start: np.mean(rows, axis=0) for start, rows in at_level.items()}
gain = section.number(
    "points fewer test errors at equal training cost", (mean["random weights"] - mean["pretrained"]).mean()
)
section.claim("at equal training cost, pretrained networks make fewer test errors: points", gain, ">", 0)
section.figure(
    plots.levels(
        {start: (levels, rows) for start, rows in mean.items()},
        "training cost −log p(y | x), nats (falls to the left)",
        "test error %",
        f"Three layers, {few} labels: test error at equal training cost",
        xscale="log",
    ),
    "shares",
    caption="Test error against training cost during fine-tuning, the mean over seeds. Training goes from the right to "
    "the left. Compare the two curves on a vertical line, that is, at equal training cost: what lies between them is "
    "the share of the regulariser.",
    alt="Two curves that fall from the right to the left. The pretrained one lies below the one of random weights over "
    "the whole width.",
)

# %% [markdown]
# What do we see at default size? Both networks learn the 1000 training images without an error, or with one. So there
# is nothing left for a better optimiser to do. And yet the pretrained one makes fewer test errors at equal training
# cost, by 3.0 points on average. For random weights of the right range, what pretraining brings is a regulariser. So
# the two answers of the book are both right, each for another rival: against narrow weights pretraining was first of
# all an optimiser, against good ones it is a regulariser.
#
# ## (c) The spread over seeds
# Erhan et al. (2010) trained hundreds of networks and found that without pretraining the test error varies more from
# seed to seed, the more so the deeper the network. A spread can be compared only where both networks train. A network
# that has learned nothing gives the same answer for every image, whatever the seed: its error is 90% and its spread is
# small. So we print the mean with every spread. The learning rate is 0.3 here and in what follows (3e-3 for Adam):
# in section 15.1 this one won the search for each contestant.

# %%
depths = section.pick([1, 4], [1, 2, 3, 4], [1, 2, 3, 4])
errors, where = {}, {}
for start in stacks.STARTS[:3]:
    for depth in depths:
        values = []
        for seed in seeds:
            model = stacks.build(start, widths(depth), seed, made[seed], **device)
            values.append(test_error(stacks.fine_tune(model, X, y, 0.3, epochs, seed)))
        errors[start, depth] = np.array(values)
        section.number("test error %, several seeds", values, of=f"{start}, depth {depth}")
        section.number("standard deviation over seeds, points", np.std(values, ddof=1), of=f"{start}, depth {depth}")
    place = np.repeat(depths, len(seeds)) + {"narrow weights": -0.15, "random weights": 0.0, "pretrained": 0.15}[start]
    where[start] = place, np.concatenate([errors[start, depth] for depth in depths])
fig = plots.levels(
    where,
    "number of layers",
    "test error %",
    "Test errors of several seeds, 1000 labels",
    yscale="log",
    markers=tuple(where),
)
fig.axes[0].set_xticks(depths)
section.figure(
    fig,
    "spread",
    caption="Each marker is a network: its test error, by the number of layers, for several random seeds. The "
    "contestants stand side by side so that they do not hide each other. Look at the columns: how long is each, and "
    "where does it stand? The column of the narrow weights at four layers is short because nothing was learned.",
    alt="Columns of markers at each depth. The pretrained networks lie lowest in short columns. Narrow weights are "
    "spread far apart at three layers, and lie all at 89% at four.",
)
section.claim(
    "at four layers narrow weights have learned nothing in any seed: least test error %",
    errors["narrow weights", 4].min(),
    ">=",
    80,
)
if section.size != "quick":  # two seeds say nothing about a spread
    section.claim(
        "and yet they have a smaller spread than at three layers, where some learn: difference of deviations, points",
        np.std(errors["narrow weights", 4], ddof=1) - np.std(errors["narrow weights", 3], ddof=1),
        "<",
        0,
    )
    pooled = {}
    for start in ("random weights", "pretrained"):
        pooled[start] = np.sqrt(np.mean([np.var(errors[start, depth], ddof=1) for depth in (1, 2, 3)]))
        section.number("standard deviation over seeds, points, pooled over depths 1 to 3", pooled[start], of=start)
    section.claim(
        "where both train, pretrained networks vary less over seeds: ratio of the pooled deviations",
        pooled["pretrained"] / pooled["random weights"],
        "<",
        1,
    )

# %% [markdown]
# What do we see at default size? With random weights of the right range the standard deviations at one, two and three
# layers are 0.5, 0.7 and 0.7 points, and pretrained 0.2, 0.4 and 0.1. So where both train, pretraining has the smaller
# spread, as the book says. Five seeds are few, and at four layers the order is the other way round (0.2 and 0.6). The
# historical finding, that the spread grows with depth, is a finding about narrow weights: 0.4 points at one layer, 0.5
# at two, and 8.7 at three, where training succeeds by chance or not at all. At four layers their spread is exactly 0,
# since all seeds answer with one class. (At `--full` it is 0.5, since not all seeds answer with the same one.) Whoever
# compared spreads there would conclude that pretraining makes training *less* reliable.
#
# ## (d) What are the images without labels worth?
# The second idea of the book says that pretraining learns about p(x), from images that have no labels. There is a
# control that nobody should leave out: pretrain on the labelled images *alone*. Then pretraining has no further image
# to learn from, and all that it can bring is a better beginning.
#
# How long should it last? Part (f) will show that the length matters, and a hundred images can be learned by heart. So
# both kinds of pretraining try two lengths: as many steps as everywhere in this section, and a tenth of them. The
# validation images choose.


# %%
def better_of(stacks_made, n, seed, start="pretrained"):
    """Fine-tune the classifiers of several stacks on n labels; the one with the fewest validation errors."""
    models = []
    for stack in stacks_made:
        model = stacks.build(start, widths(3), seed, stack, **device)
        rate = 3e-3 if "ReLU" in start else 0.3
        models.append(
            stacks.fine_tune(model, digits.X[:n], digits.y[:n], rate, stacks.epochs_for(n, label_steps), seed)
        )
    return min(models, key=lambda model: stacks.error(model, digits.X_valid, digits.y_valid))


trio, by_images = seeds[: section.pick(1, 3, 3)], {}
short = {seed: stacks.greedy("sparse", widths(3), digits.X, 1, seed, **device) for seed in trio}
for n in section.pick([100], [100, 1000], [100, 1000]):
    of_all = len(digits.X)
    on = {"random weights": None, f"pretrained on these {n} images": n, f"pretrained on {of_all} images": of_all}
    for start, images in on.items():
        values = []
        for seed in trio:
            tried = [made[seed], short[seed]]
            if images == n:
                lengths = 10 * of_all // n, of_all // n  # as many steps
                tried = [stacks.greedy("sparse", widths(3), digits.X[:n], passes, seed, **device) for passes in lengths]
            if images is None:
                tried = [None]
            values.append(test_error(better_of(tried, n, seed, start.split(" on ")[0])))
        by_images[n, start] = section.number(f"test error %, {n} labels, 3 layers", values, of=start)
    nothing, own, every = (by_images[n, start] for start in on)
    section.number(
        "share of the gain that needs no further image", (nothing - own) / (nothing - every), of=f"{n} labels"
    )
    section.claim(f"pretraining on the {n} labelled images alone gains already: points", nothing - own, ">", 0)
section.figure(
    plots.bars(
        {f"{start}, {n} labels": value for (n, start), value in by_images.items()},
        "test error %, three layers",
        "How much of the gain needs images without labels?",
    ),
    "images",
    caption="Test error from random weights, after pretraining on the labelled images alone, and after pretraining on "
    "all images, each for the better of two numbers of steps. Compare the second bar of each three with the first one, "
    "which has no pretraining, and with the third one, which has all images.",
    alt="Groups of three horizontal bars. In each the first is the longest, and the other two are shorter, of nearly "
    "the same length.",
)

# %% [markdown]
# What do we see at default size? With 100 labels the error falls from 33.9% to 30.7% when pretraining sees these 100
# images only, and to 29.2% when it sees all 4000. With 1000 labels it falls from 12.8% to 10.9%, and to 10.7%. So about
# 70% of the gain with 100 labels, and 90% with 1000, needs no further image. This was not what we expected when we
# wrote the section. It fits with section 15.1, where the *kind* of layer decided: sparse layers gained much and plain
# layers nothing, from the same images. Sparse codes are good beginnings, even when they are learned from few images.
# The images without labels add something where labels are very few. At `--full` there are 50,000 of them, and they add
# more: with 100 labels the errors are 33.0, 30.9 and 26.2%, with 1000 labels 12.4, 9.9 and 8.9%, so about 30% and 70%
# of the gain need no further image. But whoever compares pretraining with random
# weights, and concludes that the unlabelled images made the difference, has left out a control.
#
# (The labelled images may be a special case, since it is on them that the classifier must tell the classes apart.
# Exercise 2 pretrains on 100 others.)
#
# ## (e) The networks of today
# ReLU layers in the range of He et al., with Adam, need no rescue. Does pretraining still help them as a regulariser?
# We pretrain a stack of ReLU layers, as denoising autoencoders, and compare with the same network from random weights,
# for few labels and for all. Pretraining lasts for ten passes or for one, as the validation images choose.

# %%
pair = seeds[: section.pick(1, 2, 3)]
few = section.pick([100, 4000], [100, 1000, 4000], [100, 1000, 10000, 50000])
rectified = dict(activation="relu", **device)
relu = {
    seed: [stacks.greedy("denoising", widths(3), digits.X, long, seed, **rectified) for long in (10, 1)]
    for seed in pair
}
today = {"ReLU": [], "pretrained ReLU": []}
for start in today:
    for n in few:
        values = []
        for seed in pair:
            values.append(test_error(better_of(relu[seed] if "pretrained" in start else [None], n, seed, start)))
        today[start].append(section.number("test error %, 3 layers", values, of=f"{start}, {n} labels"))
section.figure(
    plots.levels(
        {start: (few, np.array(values)) for start, values in today.items()},
        "images with labels",
        "test error %",
        "Networks of today, with pretraining and without",
        xscale="log",
        yscale="log",
    ),
    "today",
    caption="Test error of ReLU networks of three layers by the number of labels, from random weights and "
    "pretrained. Both axes are logarithmic. Where labels are few, look for "
    "what pretraining brings; where all images have one, for what it costs.",
    alt="Two falling curves, the pretrained one lower at the left, that come together at the right, where all images "
    "have labels.",
)
gains = np.array(today["ReLU"]) - np.array(today["pretrained ReLU"])
section.claim("with all labels pretraining brings a ReLU network less than 1 point", gains[-1], "<", 1)
section.claim("and less than with few: points", gains[0] - gains[-1], ">", 0)

# %% [markdown]
# What do we see at default size? With 100 labels pretraining takes the ReLU network from 32.4 to 29.9%, with 1000
# labels from 12.0 to 10.3%, and with all 4000 labels from 6.5 to 6.6%. So ReLU, He's range and Adam did not make the
# regularising part of pretraining superfluous. They made the rescue superfluous. Where each image has a label nothing
# is left to gain, and that is the situation in which most networks of the years after 2012 were trained. Where labels
# are few, learning from data without labels still pays, although today one does it with other methods.
#
# ## (f) Pretraining that does harm
# The book reports that pretraining is sometimes harmful. One way to harm is easy to show: too little of it. We pretrain
# three layers for more and more steps on unlabelled images and fine-tune on 100 labels. Random weights are step number
# zero, since they are what a network has that was not pretrained at all.

# %%
lengths = [(4000, passes) for passes in section.pick([1, 10], [1, 2, 5, 10, 40], [1, 2, 5])]
lengths += [(50000, passes) for passes in section.pick([], [], [1, 2, 5, 10, 20])]
steps_each, by_length = [images * passes // stacks.BATCH_UNLABELLED for images, passes in lengths], []
for (images, passes), steps in zip(lengths, steps_each, strict=True):
    values = []
    for seed in pair:
        stack = stacks.greedy("sparse", widths(3), digits.X[:images], passes, seed, **device)
        values.append(test_error(better_of([stack], 100, seed)))
    by_length.append(section.number("test error %, 100 labels", values, of=f"pretrained, {steps} steps a layer"))
values = [test_error(better_of([None], 100, seed, "random weights")) for seed in pair]
without = section.number("test error %, 100 labels", values, of="random weights")
section.figure(
    plots.levels(
        {
            "pretrained": (steps_each, np.array(by_length)),
            "random weights": (steps_each, np.full(len(lengths), without)),
        },
        "steps of pretraining, each layer",
        "test error %",
        "Pretraining that is too short, or too long, 100 labels",
        xscale="log",
    ),
    "length",
    caption="Test error with 100 labels by how long each layer was pretrained. The level line is the network from "
    "random weights. Where the curve lies above that line, pretraining has done harm.",
    alt="A curve that begins high above a level line at few steps, falls below it, and rises again at the right.",
)
section.claim("40 steps of pretraining do harm: points above random weights", by_length[0] - without, ">", 0)
section.claim("pretraining pays when it is long enough: best of all, points", without - min(by_length), ">", 0)

# %% [markdown]
# What do we see at default size? After 40 steps the error is 57%, against 33% from random weights, after 80 steps 48%,
# after 200 34%, and after 400 29%. A pretraining that is broken off has pulled the weights of all layers to where the
# penalty wants them, and the codes tell little of x. After 1600 steps the error is 31%: more is not always better. So
# pretraining is no free gift: its length must be chosen, and the choice can be judged only after fine-tuning. At
# `--full` this is still clearer. There one pass over 50,000 images, 500 steps, is the best of those tried, at 26%, and
# after ten passes three quarters of the gain are lost again, at 31%.
#
# ## What follows?
# Pretraining works when labels are few, when its settings are right, and when the weights that it replaces are worse
# than what it finds. Why it works has two answers. Against weights of a bad range it makes training possible, but the
# right range does that as well. Against good weights it is a regulariser. In our experiments a good part of what it
# brings comes from the kind of code, and only the rest from the images without labels. Our data are easy and our
# networks small, and this balance may be another one elsewhere. The book's reservations hold here too: the two phases
# cannot be tuned together, and no single number says how strong the regulariser is.
#
# ## Exercises
# 1. On paper. The factor 0.144 holds for σ′ ≈ ¼ and n = m. Find the factor for weights in four times Glorot's range.
#    Why does the measured one differ from it? Then find the range of a uniform W for which a layer of tanh units
#    (φ′(0) = 1) keeps the size of the gradient.
# 2. With code. Does it matter *which* images pretraining sees? Pretrain three layers on the 100 images that have
#    labels, and on 100 other ones, with the same number of steps, and fine-tune both on the 100 labels. You should find
#    that the labelled images give a clearly lower test error, and that the other ones give next to no gain. (The
#    solution is in `solutions/15_1_1_when_and_why.py`.)
# 3. With code. Is the gain of pretraining kept if its weights are frozen? Fine-tune the softmax layer alone, with
#    `rates={"f1": 0, "f2": 0, "f3": 0}` in the optimizer, for 100 and for 4000 labels. For which of the two does
#    fine-tuning of all layers pay more?

# %%
section.finish()

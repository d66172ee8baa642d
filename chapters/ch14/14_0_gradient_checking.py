"""14.0 Checking a Gradient

Equations: none
Figures: steps (the error of a difference against its step, in float64 and in float32); tolerance (errors of right and
of wrong gradients); faults (what each layer of tests catches)

Every gradient in minae is derived by hand. A derivation can be wrong, and so can the program that is written from it,
and a network with a wrong gradient often still learns something. So how do we know that a gradient is right? We compare
it with something that needs no derivation. The book advises this in section 11.5, Debugging Strategies: take a small
step of length ε in the parameters θ, along a direction v of length 1, and look how much the cost J changes. There are
three common forms of such a difference, and each is the slope ∇J·v up to an error that is a power of ε:

    one-sided     (J(θ + ε v) − J(θ)) / ε                       = ∇J·v + O(ε)
    central       D(ε) = (J(θ + ε v) − J(θ − ε v)) / 2ε         = ∇J·v + O(ε²)
    Richardson    (4 D(ε) − D(2ε)) / 3                          = ∇J·v + O(ε⁴)

The book has no section 14.0. This one stands first because all others rest on it. It asks five questions, and each of
them has misled somebody:

  1. How small a step?
  2. May I check in float32?
  3. Which tolerance, and which entries of θ, when there are too many to check them all?
  4. How many examples, and what if the cost has a jump, where it has no derivative?
  5. If the check passes, is the model right?

The check itself is minae/checks.py. The faults of question 5 are in faults.py beside this script, and the tests that
look for them are in safeguards.py. Symbols: minae/NOTATION.md. In this section ε is the length of a step, as in the
book's section 11.5.
"""

# %%
import json

import numpy as np

from minae import InputError, UndercompleteAutoencoder, check_gradient, data, plots
from minae.chapters import Section
from minae.chapters.ch14.faults import FAMILIES, FAULTS, Steps, mutate
from minae.chapters.ch14.safeguards import LAYERS, X, reports, tiny

section = Section("14.0")  # all sizes do the same work, and NumPy does it: this is about numbers, not devices
x = X[:4]

# %% [markdown]
# ## 1. How small a step?
# Where do the powers of ε come from? Write J for J(θ), and J^(k) for the k-th derivative of J along v, so that J^(1) is
# ∇J·v. By Taylor's formula
#
#     J(θ ± ε v) = J ± ε J^(1) + ε²/2 J^(2) ± ε³/6 J^(3) + O(ε⁴)
#
# The one-sided difference keeps the term ε/2 J^(2). In the central difference all even terms cancel, and what is left
# over is ε²/6 J^(3). Richardson's combination of two central differences is made so that this term cancels too, and
# leaves ε⁴. This error is called truncation. It shrinks with the step.
#
# But there is a second error, which grows as the step shrinks. The computer knows J only to about eps·|J|. Here eps, in
# Latin letters, is the relative rounding error of a number: 2e-16 in float64 and 1e-7 in float32. It is not the step ε.
# The difference divides the error eps·|J| by ε. The total error is least where rounding and truncation are about equal:
#
#     one-sided     eps/ε = ε,      so  ε = eps^(1/2)
#     central       eps/ε = ε²,     so  ε = eps^(1/3)
#     Richardson    eps/ε = ε⁴,     so  ε = eps^(1/5)
#
# These are orders of magnitude, since we have left out |J| and the derivatives. Do they predict the best step? We try
# 37 steps on a small network, 7-5-3-5-7 with tanh units, at four points x. The error in the picture is |D − ∇J·v| /
# |∇J·v|, where D is any one of the three differences. We take the median over 20 random directions v of length 1.

# %%
model = tiny(UndercompleteAutoencoder, sizes=(7, 5, 3), loss="gaussian", activation="tanh")()
model.cost_and_grad(x)
gradient = model.parameters.grad.copy()
v = np.random.default_rng(section.seed).standard_normal((20, gradient.size))
v /= np.linalg.norm(v, axis=1, keepdims=True)
POWER = {"one-sided": 1 / 2, "central": 1 / 3, "Richardson": 1 / 5}


def differences(model, x, v, step):
    """One-sided, central and Richardson's difference along each row of v:  -> (3, rows of v)"""
    theta, x = model.parameters.flat.copy(), x.astype(model.dtype)

    def J(length):
        costs = []
        for direction in v:
            model.parameters.flat[...] = theta + length * direction
            costs.append(float(model.cost_and_grad(x, need_grad=False)))
        return np.array(costs)

    one_sided = (J(step) - J(0)) / step
    near = (J(step) - J(-step)) / (2 * step)
    far = (J(2 * step) - J(-2 * step)) / (4 * step)
    model.parameters.flat[...] = theta
    return np.array([one_sided, near, (4 * near - far) / 3])


panels, best = {}, {}
for dtype, lowest in {"float64": -12, "float32": -7}.items():
    other, steps = model.copy(dtype=dtype), np.logspace(lowest, 0, 37)
    error = np.median([abs(differences(other, x, v, step) / (v @ gradient) - 1) for step in steps], axis=2).T
    for (name, power), row in zip(POWER.items(), error, strict=True):
        step = section.number("best step ε", steps[row.argmin()], of=f"{name} difference, {dtype}")
        section.number("relative error at the best step", row.min(), of=f"{name} difference, {dtype}")
        best[dtype, name] = float(np.finfo(dtype).eps) ** power
        text = f"{dtype}, {name}: the best ε is {best[dtype, name]:.0e} within a decade, decades off"
        section.claim(text, abs(np.log10(step / best[dtype, name])), "<=", 1)
    panels[dtype] = {name: (steps, row) for name, row in zip(POWER, error, strict=True)}
fig = plots.panels(panels, "step ε", "relative error", "The error of a difference, by its step", "log", "log")
for axis, dtype in zip(fig.axes, panels, strict=True):
    for place, name in enumerate(POWER):
        axis.axvline(best[dtype, name], color=plots.look(name, place).color, linestyle=":", linewidth=1)
section.figure(
    fig,
    "steps",
    caption="The relative error of three differences against their step, on the left in float64 and on the right in "
    "float32, with the same axes. From right to left each curve first falls, because truncation shrinks with the step, "
    "and then rises, because rounding is divided by it. The dotted verticals are the best steps that the powers of eps "
    "predict, each in the colour of its difference. The higher the order of the difference, the larger is its best "
    "step, and the smaller is the error there.",
    alt="Two panels with three V-shaped curves each, on logarithmic axes. In float64 the minima lie between 1e-7 and "
    "1e-13, in float32 between 1e-3 and 1e-6. In both, the one-sided difference has its minimum highest and furthest "
    "to the left, and Richardson's lowest and furthest to the right. Each minimum is near a dotted vertical.",
)

# %% [markdown]
# The powers of eps predict all six best steps to within a factor of ten. Two lessons follow. A smaller step is not a
# better step: with ε = 1e-12 even float64 gets the slope right only to a few parts in ten thousand. And the order of
# the difference pays: Richardson's costs two central differences, and in float64 its error is almost a hundred times
# smaller than that of one, each at its best step. This is why the check of minae uses it, with steps of about 1e-3.
#
# ## 2. May I check in float32?
# The right panel says: better not. Here is the same on a network of ordinary size, 784-32-784, on four digits. We take
# central differences with ε = eps^(1/3) at a hundred entries of θ that are drawn at random, and compare them with the
# gradient in the measure that will be used from here on,
#
#     error = ‖analytic − numeric‖ / ‖analytic + numeric‖
#
# The gradient that we check is right.

# %%
digits, large = data.mnist().test[:4], UndercompleteAutoencoder((784, 32), dtype="float64", backend="numpy")
large.cost_and_grad(digits.astype("float64"))
grad, size, largest = large.parameters.grad.copy(), large.parameters.flat.size, {}


def error_of(analytic, numeric):
    return float(np.linalg.norm(analytic - numeric) / np.linalg.norm(analytic + numeric))


chosen = np.random.default_rng(section.seed).choice(size, 100, replace=False)
entries = (np.arange(size) == chosen[:, None]).astype(float)  # one-hot rows: a step in one entry of θ
for dtype in ("float64", "float32"):
    _, numeric, _ = differences(large.copy(dtype=dtype), digits, entries, float(np.finfo(dtype).eps) ** (1 / 3))
    error = error_of(grad[chosen], numeric)
    largest[dtype] = section.number("error of the check", error, of=f"a right gradient, plain differences in {dtype}")
worst = check_gradient(large, digits, entries=40).worst.error
worst = section.number("error of the check", worst, of="a right gradient, by check_gradient")
section.claim("float64 passes a right gradient at 1e-6, with ε = eps^(1/3)", largest["float64"], "<=", 1e-6)
section.claim("check_gradient passes it at 1e-7", worst, "<=", 1e-7)
section.claim("float32 would hide a fault of one part in a thousand", largest["float32"], ">", 1e-3)

# %% [markdown]
# In float32 the right gradient looks wrong by more than one part in a thousand. J is a sum over 784 pixels, and the
# rounding of that sum is large beside the change that one entry of θ makes. A fault of that size could not be told from
# rounding. So check in float64, whatever type you train in. A model of minae is copied to float64 by the check, and
# runs through the same lines of code there.
#
# ## 3. Which tolerance?
# A check needs a number that parts right from wrong. What is a gradient that is off by a factor 1 + δ worth in the
# measure above? Put analytic = (1 + δ) g and numeric = g into it:
#
#     error = ‖(1 + δ) g − g‖ / ‖(1 + δ) g + g‖ = |δ| / |2 + δ|
#
# For a small δ this is half of the relative fault. A forgotten factor of 2 (δ = 1) gives an error of 1/3, a reversed
# sign (δ = −2) an infinite one. Mistakes in a formula are rarely subtle: a missing term, a missing factor, a wrong
# index. They give errors between 1e-3 and 1. A right gradient, in turn, shows only what the difference cannot resolve,
# which for Richardson's difference is about 1e-12 in the left panel. Between the two lies a gap, and a tolerance
# belongs into the gap.
#
# We check the formula, and then we look at the gap: all cost terms and all parameters of twelve right models, beside
# the faults of question 5 that a difference can see.

# %%
numeric = differences(model, x, np.eye(gradient.size), best["float64", "Richardson"])[2]
delta = 1e-6
section.claim(
    "a gradient that is off by δ has the error δ/(2 + δ): relative difference at δ = 1e-3",
    abs(error_of((1 + 1e-3) * gradient, numeric) / (1e-3 / (2 + 1e-3)) - 1),
    "<=",
    1e-5,
)
section.claim("a fault of one part in a million fails at 1e-7", error_of((1 + delta) * gradient, numeric), ">", 1e-7)

right_errors, wrong_errors = [], []
for family in FAMILIES.values():
    right_errors += [row.error for report in reports(family.right()) for row in report.rows]
for fault in FAULTS:
    try:
        worst = max(report.worst.error for report in reports(fault.make()))
    except InputError:  # the check refuses the model before it takes a difference
        continue
    if fault.layer == "1":
        wrong_errors.append(worst)
right_errors, wrong_errors = np.sort(right_errors), np.sort(wrong_errors)
largest_right = section.number("largest error of the check", right_errors[-1], of="right gradients")
smallest_wrong = section.number("smallest error of the check", wrong_errors[0], of="wrong gradients")
section.claim("every right gradient lies below the tolerance of 1e-7", largest_right, "<", 1e-7)
section.claim("every wrong gradient lies above it", smallest_wrong, ">", 1e-7)
series = {
    "right gradients": (np.linspace(0, 1, len(right_errors)), right_errors.clip(1e-16)),
    "wrong gradients": (np.linspace(0, 1, len(wrong_errors)), wrong_errors),
}
title = "Errors of the check, in order of size"
fig = plots.levels(
    series, "share of the checks with a smaller error", "error of the check", title, yscale="log", markers=series
)
fig.axes[0].axhline(1e-7, color=plots.BLACK, linewidth=1, linestyle=":")
fig.axes[0].annotate("tolerance 1e-7", (0.5, 1e-7), ha="center", va="bottom", fontsize=8)
section.figure(
    fig,
    "tolerance",
    caption="Each point is one check: of a right gradient (one cost term, one parameter), or of a fault that "
    "differences can see. (One such fault has no point: the check refuses its model.) The points of each "
    "kind are drawn in order of size, and an error of 0 is drawn at 1e-16. Look at the empty band between the two "
    "kinds. The tolerance is somewhere in it, with room on both sides.",
    alt="Two groups of points on a logarithmic axis. The right gradients lie below 1e-9, the wrong ones above 1e-2, "
    "and a dotted line at 1e-7 runs through the empty band between them.",
)

# %% [markdown]
# So 1e-7 is no law of nature. It is a number in the gap: some decades above what a right gradient shows in float64 with
# Richardson's difference, and many decades below what a wrong formula shows. With plain central differences take 1e-6,
# as the claim of question 2 does, because their gap begins higher. And look at J itself. Rounding is eps·|J|/ε, so
# where J is a thousand times larger than its gradient, as with pixels in 0 … 255, the right gradients move up towards
# the tolerance. Then scale the data, and do not raise the tolerance until the check passes.
#
# ## 3 b. Which entries?
# A large model has too many entries to check each, so a few must be chosen. Two obvious ways to choose both fail. They
# fail in opposite ways, which we show on the matrix W1, 784 × 32, of the network of question 2. Two faults are planted:
#
#   - "forgotten": the gradient of every second of the 32 units is left out, so it is 0;
#   - "one pixel": the gradient of the weights of a single pixel, the one with the largest gradient, is 10% too large.
#
# Take the *largest* entries of the gradient that is to be checked, and you never look where a faulty gradient says 0.
# Take *random* entries, and you mostly look where the right gradient is 0 or tiny, because most pixels of most images
# are blank, so a fault in few entries escapes. `check_gradient` therefore takes half of the entries by size and half
# at random. Here are 200 entries of 25,088, chosen 500 times, and the share of the choices that notice the fault.

# %%
dW1 = large.parameters.views(grad)["W1"]  # (784, 32)
section.number("share of the entries of ∂J/∂W1 that are 0", (dW1 == 0).mean(), of="784-32, four digits")
forgotten, one_pixel = dW1.copy(), dW1.copy()
forgotten[:, ::2] = 0
one_pixel[np.square(dW1).sum(axis=1).argmax()] *= 1.1
rng, noticed = np.random.default_rng(section.seed), {}
for fault, faulty in {"forgotten": forgotten.ravel(), "one pixel": one_pixel.ravel()}.items():
    by_size = np.argsort(-abs(faulty), kind="stable")
    found = {"the largest": [], "random": [], "half of each": []}
    for _ in range(500):
        at_random = rng.choice(faulty.size, 200, replace=False)
        choices = by_size[:200], at_random, np.r_[by_size[:100], at_random[:100]]
        for seen, chosen in zip(found.values(), choices, strict=True):
            seen.append(error_of(faulty[chosen], dW1.ravel()[chosen]) > 1e-7)
    for name, seen in found.items():
        noticed[fault, name] = section.number(f"share that notices the fault {fault!r}", np.mean(seen), of=name)
section.claim("the largest entries overlook the forgotten units", noticed["forgotten", "the largest"], "<=", 0)
section.claim("random entries mostly overlook the one pixel", noticed["one pixel", "random"], "<", 0.5)
both = min(noticed["forgotten", "half of each"], noticed["one pixel", "half of each"])
section.claim("half of each notices both faults: share of the choices", both, ">=", 0.99)

# %% [markdown]
# Half of each notices both faults every time. (The check adds one random direction through all entries at once. It sees
# every fault, but a fault in few entries only weakly.)
#
# ## 4. A batch of one hides the batch
# The penalty KL(ρ ‖ ρ̂) of section 14.2.1 asks that ρ̂, the mean of a unit over the batch, be near a target ρ. So ρ̂
# couples the examples of a batch: the gradient at one of them depends on all. Suppose that someone derives the gradient
# without this coupling, as if each example had a penalty of its own, with h in the place of ρ̂. This gradient is wrong.
# But in a batch of one example, the mean over the batch *is* the example, and nobody can tell.

# %%
wrong = next(fault.make for fault in FAULTS if fault.name == "KL sparsity, gradient example by example")
error = {}
for B in (1, 4):
    worst = check_gradient(wrong(), X[:B]).worst.error
    error[B] = section.number("error of the check", worst, of=f"KL without its coupling, B = {B}")
section.claim("a gradient without the coupling passes with one example", error[1], "<=", 1e-7)
section.claim("a gradient without the coupling fails with four", error[4], ">", 1e-3)

# %% [markdown]
# The wrong gradient passes with one example and fails with four. So check with a few different examples at once.
#
# ## 4 b. A step has no gradient to check
# A binary code h = [σ(a) > ½] is 1 where σ(a) > ½, and 0 elsewhere. So h is a step function of a: it jumps at a = 0.
# (The step ε of the check is another thing.) The derivative of h is 0 almost everywhere, and a gradient of 0 trains no
# encoder. So one trains the encoder with a surrogate, another gradient in the place of the true one. It goes "straight
# through" the step function, as if h were σ(a). What does a check say? Finite differences of the cost with the hard
# step disagree with the straight-through gradient, although that is the gradient we want. They agree with a gradient of
# 0, which would never train the encoder.
#
# The way out is to ask which cost the straight-through gradient belongs to. Write
#
#     h = σ(a) + c,     c = [σ(a) > ½] − σ(a)
#
# The forward pass gives the hard step. If the gradient holds c fixed, as a constant, then ∂h/∂a is σ'(a), and this is
# the straight-through gradient. So it is the exact gradient of a cost: of the one in which c is held fixed. There it
# can be checked. The differences must hold c fixed too.

# %%
error = {}
for name, slope in {"straight-through": None, "a gradient of 0": 0.0}.items():
    for held, label in {False: "hard step", True: "hard step, c held fixed"}.items():
        model = tiny(mutate(Steps, slope=slope, held=held), loss="gaussian")()
        worst = check_gradient(model, x).worst.error
        error[name, held] = section.number("error of the check", worst, of=f"{name}, {label}")
section.claim("differences of the hard step refuse the surrogate", error["straight-through", False], ">", 1e-3)
section.claim(
    "differences of the hard step accept the gradient that trains nothing", error["a gradient of 0", False], "<=", 1e-7
)
section.claim("with c held fixed, differences accept the surrogate", error["straight-through", True], "<=", 1e-7)
section.claim(
    "with c held fixed, differences refuse the gradient that trains nothing", error["a gradient of 0", True], ">", 1e-3
)

# %% [markdown]
# ## 5. If the check passes, is the model right?
# No. A gradient can be exactly that of the cost, and the cost can be the wrong one. We have collected faults from
# public implementations and rebuilt each of them as a small change of our own classes. Differences alone miss many of
# them, so there are further layers of tests. (These are not the layers of a network.) In the order of the columns of
# the picture, they are:
#
#   - **1, differences.** Is the gradient that of the cost?
#   - **1 Jf, Jacobian.** Is the penalty of a contractive autoencoder (section 14.7) the squared norm ‖Jf‖² of the
#     encoder's Jacobian Jf, when Jf is written out in full?
#   - **2, Monte Carlo.** Do random draws have the mean and the variance that the formulas assume? Is an estimate
#     from a batch, or of a gradient, right on average, where the average can be written down? (For a code of three
#     bits it is computed exactly, over all draws.)
#   - **3, effects.** Does a weight, a training step, or a tie (V = Wᵀ) do what it is there for? A larger penalty must
#     leave less of what it penalises; a training step must move every layer of the network; the code of an example
#     must not depend on the others of its batch; padding behind a text must change nothing, and what a model says of a
#     word must not depend on the words behind it.
#   - **control.** We reverse the sign of each term's gradient, and now the check must fail. If it still passes, then
#     the gradient of that term is 0, and the check was testing nothing.
#
# For each fault we name one layer that should notice it. One more fault that we met is not in the table, because no
# test of a model can see it, only a reader of the code: one-class thresholds that were fitted on the test data.

# %%
table = {fault.name: fault.row() for fault in FAULTS}
(section.out / "faults.json").write_text(json.dumps(table, indent=1), encoding="utf-8")  # `minae book` shows it too
right = {f"right: {name}": family.row(family.right) for name, family in FAMILIES.items()}
words, heads = {}, {layer: f"{layer}\n{test}" for layer, test in LAYERS.items()}
print(f"\n{'':47}", *(f"{layer:8}" for layer in LAYERS))
for name, row in (table | right).items():
    word = {True: "caught", False: "passes" if name in right else "unseen", None: "–"}
    print(f"{name:47}", *(f"{word[caught]:8}" for caught in row.values()))
    words[name] = {heads[layer]: word[caught] for layer, caught in row.items()}
colours = {"caught": "#7fb3d5", "unseen": "#f5cba7", "passes": "#d5e8d4", "–": "#f4f4f4"}
key = {
    "caught": "the layer notices the fault (in a frame: the layer that is named for this fault)",
    "unseen": "the layer runs, and does not notice the fault",
    "passes": "the layer runs on a right model, and rightly finds nothing",
    "–": "the layer does not apply to this model",
    "control": "the gradient is reversed on purpose; a check that still passes was testing nothing",
}
framed = [(fault.name, heads[fault.layer]) for fault in FAULTS]
section.figure(
    plots.table(words, colours, framed, "Faults, and the layers of tests that catch them", key),
    "faults",
    caption="Each row is a fault that a public implementation or a student had, and below the faults stand the right "
    "models. Each column is a layer of tests. The frame marks the layer that is named for the fault. Look down the "
    "first column: finite differences miss every fault that is in the cost itself.",
    alt="A table of faults against layers of tests, each cell coloured by whether the layer caught the fault. Every "
    "framed cell says caught; many cells of the first column, finite differences, say unseen.",
)

# %%
named, seen = sum(table[fault.name][fault.layer] for fault in FAULTS), sum(row["1"] for row in table.values())
section.number("faults that finite differences catch", seen, of=f"the {len(FAULTS)} faults that we collected")
section.claim("every fault is caught by the layer that is named for it", named, ">=", len(FAULTS))
section.claim("the right models pass every layer", sum(any(row.values()) for row in right.values()), "<=", 0)

# %% [markdown]
# Differences catch fewer than half of the faults. The number says as much about our collection as about differences,
# so it is reported and not claimed. What can be claimed is that each fault has a test that notices it, and that no
# test cries wolf on a right model. So a check of the gradient is necessary and not sufficient. In your own code, add a
# test of the effect: raise the weight of a term, train, and see that what it penalises falls.
#
# ## Exercises
# 1. On paper. The error of a central difference is about eps |J|/ε + ε²/6 |J^(3)|. Find the ε at which it is least, and
#    the error there, as powers of eps. Do the same for Richardson's difference with the error eps |J|/ε + C ε⁴. Why
#    would a difference of still higher order gain little?
# 2. With code. The book mentions a derivative without a difference (end of section 11.5): J is evaluated at a *complex*
#    point, and ∇J·v is the imaginary part of J(θ + i ε v), divided by ε. No two numbers of nearly the same size are
#    subtracted, so ε can be 1e-100. Write J of a network x → tanh → linear → squared error in NumPy, so that it takes
#    complex θ, and check the engine's gradient with it. You should reach an error below 1e-14, in every entry of θ.
#    (The solution is in `solutions/14_0_gradient_checking.py`.)
# 3. With code. Plant a fault of your own: derive a class from UndercompleteAutoencoder, copy its `cost_and_grad`, and
#    spoil one line. First write down which parameters `check_gradient` will call wrong, and then run it. (A fault in
#    ds makes all of them wrong, a fault in dW1 only one.)

# %%
section.finish()

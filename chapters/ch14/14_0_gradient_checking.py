"""14.0 Checking a Gradient

Equations: none
Figures: steps_float64 (the error of a difference against its step); steps_float32 (the same in float32); faults (what
each layer of tests catches)

Every gradient in minae is derived by hand, and every one is held against differences of the cost that it belongs to, as
the book advises (section 11.5, Debugging Strategies):

    one-sided     (J(θ + h v) − J(θ)) / h                       = ∇J·v + O(h)
    central       D(h) = (J(θ + h v) − J(θ − h v)) / 2h         = ∇J·v + O(h²)
    Richardson    (4 D(h) − D(2h)) / 3                          = ∇J·v + O(h⁴)

The book has no section 14.0; it stands first because the others rest on it. It shows how good such a check can be,
three ways in which it misleads, and, on faults of public implementations, what must be tested beside it.

The check: minae/checks.py. The faults and the tests: faults.py and safeguards.py beside this script. Symbols:
minae/NOTATION.md.
"""

# %%
import numpy as np

from minae import UndercompleteAutoencoder, check_gradient, data, plots
from minae.chapters import Section
from minae.chapters.ch14.faults import FAMILIES, FAULTS, Steps, mutate
from minae.chapters.ch14.safeguards import LAYERS, X, tiny

section = Section("14.0")  # all sizes do the same work, and NumPy does it: this is about numbers, not devices
x = X[:4]

# %% [markdown]
# ## How small a step?
# Truncation falls with h, as its power says. Rounding rises: J is known to about eps·|J|, and the difference divides
# that by h. Where the two meet the error is least: at h of the order eps^(1/2) for the one-sided difference, eps^(1/3)
# for the central one and eps^(1/5) for Richardson's. So eps^(1/3) is 6e-6 in float64 and 5e-3 in float32. The error
# in the picture is |D − ∇J·v| / |∇J·v|, the median over 20 random directions v of length 1.

# %%
model = tiny(UndercompleteAutoencoder, sizes=(7, 5, 3), loss="gaussian", activation="tanh")()
model.cost_and_grad(x)
gradient = model.parameters.grad.copy()
v = np.random.default_rng(section.seed).standard_normal((20, gradient.size))
v /= np.linalg.norm(v, axis=1, keepdims=True)
POWER = {"one-sided": 1 / 2, "central": 1 / 3, "Richardson": 1 / 5}


def differences(model, x, v, h):
    """One-sided, central and Richardson's difference along each row of v:  -> (3, rows of v)"""
    theta, x = model.parameters.flat.copy(), x.astype(model.dtype)

    def J(step):
        costs = []
        for direction in v:
            model.parameters.flat[...] = theta + step * direction
            costs.append(float(model.cost_and_grad(x, need_grad=False)))
        return np.array(costs)

    near, far, one_sided = (J(h) - J(-h)) / (2 * h), (J(2 * h) - J(-2 * h)) / (4 * h), (J(h) - J(0)) / h
    model.parameters.flat[...] = theta
    return np.array([one_sided, near, (4 * near - far) / 3])


for dtype, lowest in {"float64": -12, "float32": -7}.items():
    other, steps = model.copy(dtype=dtype), np.logspace(lowest, 0, 37)
    error = np.median([abs(differences(other, x, v, h) / (v @ gradient) - 1) for h in steps], axis=2).T
    for name, power, row in zip(POWER, POWER.values(), error, strict=True):
        h = section.number("best step h", steps[row.argmin()], of=f"{name} difference, {dtype}")
        section.number("relative error at the best step", row.min(), of=f"{name} difference, {dtype}")
        predicted = float(np.finfo(dtype).eps) ** power
        text = f"{dtype}, {name}: the best h is {predicted:.0e} within a decade, decades off"
        section.claim(text, abs(np.log10(h / predicted)), "<=", 1)
    series = {name: (steps, row) for name, row in zip(POWER, error, strict=True)}
    title = f"Error of a difference, {dtype}"
    section.figure(
        plots.levels(series, "step h", "relative error", title, "log", "log"),
        f"steps_{dtype}",
        caption=f"The relative error of three differences against their step, in {dtype}. From right to left each line "
        "first falls, because truncation shrinks with the step, and then rises, because rounding is divided by it. The "
        "higher the order of the difference, the larger is its best step and the smaller the error there.",
        alt=f"Three curves on logarithmic axes, in {dtype}, each with one minimum. The minimum of the one-sided "
        "difference is highest and furthest to the left, that of Richardson's is lowest and furthest to the right.",
    )

# %% [markdown]
# ## float32 cannot tell
# Now 784-32-784 on four digits: central differences with h = eps^(1/3) at a hundred entries of θ drawn at random, and
# ‖analytic − numeric‖ / ‖analytic + numeric‖. The gradient is right, and in float32 it looks wrong by more than one
# part in a thousand: J is a sum over 784 pixels, whose rounding is large beside what one entry changes.

# %%
digits, large = data.mnist().test[:4], UndercompleteAutoencoder((784, 32), dtype="float64", backend="numpy")
large.cost_and_grad(digits.astype("float64"))
size, largest = large.parameters.flat.size, {}
chosen = np.random.default_rng(section.seed).choice(size, 100, replace=False)
entries, analytic = (np.arange(size) == chosen[:, None]).astype(float), large.parameters.grad[chosen]  # one-hot rows
for dtype in ("float64", "float32"):
    _, numeric, _ = differences(large.copy(dtype=dtype), digits, entries, float(np.finfo(dtype).eps) ** (1 / 3))
    error = np.linalg.norm(analytic - numeric) / np.linalg.norm(analytic + numeric)
    largest[dtype] = section.number("error of the check", error, of=f"a right gradient, plain differences in {dtype}")
worst = check_gradient(large, digits, entries=40).worst.error
worst = section.number("error of the check", worst, of="a right gradient, by check_gradient")
section.claim("float64 passes a right gradient at 1e-6, with h = eps^(1/3)", largest["float64"], "<=", 1e-6)
section.claim("check_gradient passes it at 1e-7", worst, "<=", 1e-7)
section.claim("float32 would hide a fault of one part in a thousand", largest["float32"], ">", 1e-3)

# %% [markdown]
# ## A batch of one hides the batch
# KL(ρ ‖ ρ̂) is taken at the mean rate ρ̂ of a batch. A gradient that puts each example's own h in the place of ρ̂ is
# wrong, and at B = 1 nobody can tell: the mean of one example is that example.

# %%
wrong = next(fault.make for fault in FAULTS if fault.name == "KL sparsity, gradient example by example")
error = {}
for B in (1, 4):
    worst = check_gradient(wrong(), X[:B]).worst.error
    error[B] = section.number("error of the check", worst, of=f"KL without its coupling, B = {B}")
section.claim("a gradient without the coupling passes with one example", error[1], "<=", 1e-7)
section.claim("a gradient without the coupling fails with four", error[4], ">", 1e-3)

# %% [markdown]
# ## A step has no gradient to check
# A binary code h = [σ(a) > ½] is trained by a surrogate, which goes straight through the step as if it were σ(a).
# Differences of the cost with its hard step refuse the surrogate, though it is what was meant, and accept 0, which
# trains no encoder. But the surrogate is the gradient of a cost: that of h = σ(a) + c, where c = [σ(a) > ½] − σ(a) is
# a constant that the gradient holds fixed. Its forward pass is the hard step. With c held fixed in the differences
# too, the surrogate passes and 0 does not.

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
# ## What catches what
# A gradient can be that of the cost and the cost be the wrong one, so there are further layers of tests, in
# `safeguards.py`: 1 differences, and for the contraction a Jacobian that is written out; 2 Monte Carlo; 3 effects of
# training. Under them stands the control: a reversed gradient must be noticed, term by term. It finds the tests that
# pass on anything, because the gradient they look at is 0. Each fault has a layer that is named for it, framed in the
# picture. One more, one-class thresholds fitted on the test data, is left to the reader of the code: no test of a model
# sees it.

# %%
table = {fault.name: fault.row() for fault in FAULTS}
right = {f"right: {name}": family.row(family.right) for name, family in FAMILIES.items()}
words, heads = {}, {layer: f"{layer}\n{test}" for layer, test in LAYERS.items()}
print(f"\n{'':47}", *(f"{layer:8}" for layer in LAYERS))
for name, row in (table | right).items():
    word = {True: "caught", False: "passes" if name in right else "unseen", None: "–"}
    print(f"{name:47}", *(f"{word[caught]:8}" for caught in row.values()))
    words[name] = {heads[layer]: word[caught] for layer, caught in row.items()}
colours = {"caught": "#7fb3d5", "unseen": "#f5cba7", "passes": "#d5e8d4", "–": "#f4f4f4"}
framed = [(fault.name, heads[fault.layer]) for fault in FAULTS]
section.figure(
    plots.table(words, colours, framed, "Faults, and the layers of tests that catch them"),
    "faults",
    caption="Each row is a fault that a public implementation had, and each column is a layer of tests. The frame "
    "marks the layer that is named for the fault. A dash says that the layer does not apply to the model. Finite "
    "differences, in the first column, miss every fault that is in the cost itself.",
    alt="A table of faults against layers of tests, each cell coloured by whether the layer caught the fault. Every "
    "framed cell says caught; many cells of the first column, finite differences, say unseen.",
)

# %%
named, seen = sum(table[fault.name][fault.layer] for fault in FAULTS), sum(row["1"] for row in table.values())
section.claim("every fault is caught by the layer that is named for it", named, ">=", len(FAULTS))
section.claim("the right models pass every layer", sum(any(row.values()) for row in right.values()), "<=", 0)
section.claim("finite differences see less than half of these faults", seen, "<", len(FAULTS) / 2)

section.finish()

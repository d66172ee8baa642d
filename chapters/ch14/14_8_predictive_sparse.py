"""14.8 Predictive Sparse Decomposition

Equations: 14.19
Figures: atoms (learned by the dictionary); energy (of a code, against the matrix products that it takes)

A sparse autoencoder (section 14.2.1) computes its code in one pass, h = f(x). Sparse coding has no encoder at all: it
has a dictionary g and *searches*, for each x, the code h that explains x best. The search gives better codes, and takes
many steps for every single x. Predictive sparse decomposition (PSD; Kavukcuoglu, Ranzato and LeCun 2008) asks for both:
search while training, and at the same time train an encoder that predicts the outcome of the search. It minimises

    J = ‖x − g(h)‖² + λ |h|₁ + γ ‖h − f(x)‖²     (14.19)

Training alternates between two steps. First, f and g are held fixed and J is minimised over h, for each example. Then h
is held fixed and f and g take a step down the gradient of J. In use, the encoder alone is enough: h = f(x).

This script answers four questions:

  1. What does the search do, and how does one know that it has arrived?
  2. Why may training hold h fixed, although the h of the search depends on f and g?
  3. How near does f(x) come to what the search would have found?
  4. What does it save? We count matrix products, because seconds depend on the machine.

Here J is half of the book's, because ½‖x − g(h)‖² is −log p(x | h) (section 14.4), and g is linear, g(h) = h V + c:

    E(h) = ½ ‖x − h V − c‖² + λ |h|₁ + ½ γ ‖h − f(x)‖²

So the book's λ is twice ours, and its γ is ours. The rows of V are called atoms and have norm 1. The symbols are in
minae/NOTATION.md. The search, with its derivation, is in minae/inference.py; the model, with derivation, forward and
backward pass, in minae/models/predictive_sparse.py; LISTA, which closes the section, in minae/models/lista.py.
"""

# %%
from contextlib import suppress

import numpy as np

from minae import LISTA, InputError, PredictiveSparseDecomposition, check_gradient, data, plots
from minae.chapters import Section
from minae.inference import SparseCoding
from minae.training import Adam, Cosine

section = Section("14.8")
to_numpy, rng = section.backend.to_numpy, np.random.default_rng(section.seed)

# %% [markdown]
# ## Data: whitened patches
# Sparse codes of images are learned from small patches: 12 × 12 pixels of natural photographs, where the folder
# `MINAE_DATA` has them, else of digits. Patches that are nearly blank are left out. Each patch loses its mean, and then
# all are *whitened*: multiplied by a matrix that makes the pixels uncorrelated. In raw photographs most of the variance
# is in slow changes of brightness; after whitening, edges count as much. Test patches come from other images than
# training patches.

# %%
try:
    images, kind = data.natural_images(), "natural images"
except InputError as error:
    print(f"  patches of digits, since {error}\n")
    images, kind = data.mnist().train.reshape(-1, 28, 28) * 255, "digits"
cut = len(images) * 5 // 6
X = data.patches(images[:cut], 12, section.pick(3000, 20_000, 50_000), rng, contrast=3)
whiten = data.Whitening(X)
X, X_test = whiten(X), whiten(data.patches(images[cut:], 12, 1000, rng, contrast=3))  # (rows, 144)
x = section.backend.from_numpy(X_test)
n, m, lam = 144, section.pick(160, 256, 256), 1.0
options = dict(sizes=(n, m), lam=lam, backend=section.backend)

# %% [markdown]
# ## 1. The search
# E is convex in h, but |h_j| has a corner at 0. The method for such a cost takes turns. Let ∇ be the gradient of the
# smooth part of E, that is, of E without λ|h|₁, and let ℓ be the largest eigenvalue of V Vᵀ + γ I. A gradient step of
# size 1/ℓ goes down the smooth part; then every unit is moved towards 0 by λ/ℓ and stops there if it reaches 0:
#
#     h ← shrink(h − ∇/ℓ, λ/ℓ),     shrink(a, κ) = sign(a) max(|a| − κ, 0)
#
# This is ISTA (Daubechies et al. 2004). FISTA (Beck and Teboulle 2009) adds a momentum and needs far fewer steps. Why
# shrink is the right second half is derived in minae/inference.py.
#
# Where does it stop? A unit h_j ≠ 0 is at its minimum when the slopes of both parts cancel. A unit h_j = 0 is at its
# minimum when the smooth part is too flat to pull it over the corner:
#
#     h_j ≠ 0:     ∇_j = −λ sign(h_j)
#     h_j = 0:     |∇_j| ≤ λ
#
# These conditions tell without any further theory whether a code is *the* minimiser. We check them for FISTA's result,
# in float64, on a small dictionary.

# %%
small = dict(sizes=(8, 12), lam=0.1, gamma=0.5, dtype="float64", seed=section.seed)
psd = PredictiveSparseDecomposition(**small, backend="numpy")
z = rng.standard_normal((20, 8))
coding, f = psd.coding(), psd.encode(z)
h_star = coding.fista(z, f, steps=5000)
nabla, on = coding.gradient(h_star, z, f), h_star != 0
violation = np.where(on, abs(nabla + small["lam"] * np.sign(h_star)), np.maximum(abs(nabla) - small["lam"], 0)).max()
violation = section.number("largest violation of the conditions of the minimum", violation, of="FISTA, 5000 steps")
section.claim("FISTA ends at the minimiser", violation, "<=", 1e-10)

# %% [markdown]
# ## 2. Why h may be held fixed: the envelope theorem
# Write θ for all parameters of f and g. The search makes h a function of θ: another dictionary has another minimiser
# h*(θ). What we want to lower is
#
#     J*(θ) = min_h J(h, θ) = J(h*(θ), θ)
#
# θ enters this twice, directly and through h*. The chain rule has a term for each way:
#
#     dJ*/dθ = ∂J/∂θ + Σ_j ∂J/∂h_j · ∂h*_j/∂θ
#
# The second term looks terrible. It asks how the outcome of a search of hundreds of steps changes with θ. But every
# product of the sum is 0:
#
# - where h*_j ≠ 0, J has a derivative by h_j, and it is 0, because h*_j is a minimum;
# - where h*_j = 0 and |∇_j| < λ, the unit does not move: for θ a little different, |∇_j| is still below λ, and h*_j is
#   still 0. So ∂h*_j/∂θ = 0.
#
# (|∇_j| = λ exactly happens for single values of θ only.) What is left is the partial derivative at the h that was
# found, as if h were a constant:
#
#     dJ*/dθ = ∂J(h, θ)/∂θ,     h = h*(θ)
#
# This is the envelope theorem. It gives the backward pass of PSD, with s = h* V + c and B examples:
#
#     ds = 1/B (s − x),     df = γ/B (f(x) − h*)
#
# The gradient check of `check_gradient` cannot see whether the theorem holds, since it holds h fixed, too. So we check
# it here in the open. We move all of θ a little to both sides along a random direction v, *search h anew* each time,
# and compare the difference of J* with the engine's gradient times v. As a control we do the same with a search that is
# broken off after two steps. Its h is no minimiser, and the theorem says nothing about it.


# %%
def directional(steps, v, step=1e-5):
    """Along v: |dJ − ∂J/∂θ · v| over ‖∂J/∂θ‖, where dJ is a difference with a new search on each side; and ‖dh/dv‖."""
    psd = PredictiveSparseDecomposition(**small, backend="numpy")
    theta = psd.parameters.flat.copy()
    psd.cost_and_grad(z, h=psd.infer(z, steps=steps))
    gradient, J, codes = psd.parameters.grad.copy(), [], []
    for side in (1, -1):
        psd.parameters.flat[...] = theta + side * step * v
        codes.append(psd.infer(z, steps=steps))
        J.append(float(psd.cost_and_grad(z, h=codes[-1], need_grad=False)))
    difference = (J[0] - J[1]) / (2 * step)
    speed = np.linalg.norm(codes[0] - codes[1]) / (2 * step)
    return abs(difference - gradient @ v) / np.linalg.norm(gradient), speed


v = rng.standard_normal(psd.parameters.flat.size)
v /= np.linalg.norm(v)
error, speed = directional(5000, v)
section.number("speed of h* along v, ‖dh*/dv‖", speed)
gap = "difference of dJ*/dv and ∂J/∂θ · v, over ‖∂J/∂θ‖"
error = section.number(gap, error, of="h*, the minimiser")
section.claim("the envelope theorem: the gradient at a fixed h* is that of J*", error, "<=", 1e-7)
wrong = section.number(gap, directional(2, v)[0], of="h after two steps")
section.claim("a control: where h is no minimiser, the theorem fails", wrong, ">", 1e-4)

# %% [markdown]
# The code h* does move with θ, as the first number says, and yet its movement changes J* in no digit that we can see.
# For the code after two steps this is false. In practice a search is broken off at some tolerance, so the gradients of
# PSD are a little wrong; a tolerance of 1% of J is what the engine takes while it trains.

# %% [markdown]
# ## 3. A dictionary and its encoder
# Which form should f have? Kavukcuoglu et al. took f(x) = G ⊙ tanh(x W + b) with a gain G_j a unit. Such an f is never
# exactly 0, while most units of h* are. A form that can say 0 is a single step of the search itself, with matrices of
# its own:
#
#     f(x) = shrink(x W + b, κ)
#
# with a threshold κ_j a unit. We train both. The rival is the same single step without any learning: from h = 0, the
# step is shrink(α (x − c) Vᵀ, α λ), with the step size α that gives the least E on the training patches.
#
# The measure is E of the code, relative to the least E that there is. From here on E is taken at γ = 0: the encoder is
# judged by sparse coding alone, and not by a term that is 0 when f agrees with itself.


# %%
def train(model, epochs, lr, *targets):
    optimizer = Adam(Cosine(lr, steps=epochs * -(-len(X) // 128)))
    model.fit(X, *targets, epochs=epochs, optimizer=optimizer, seed=model.seed)
    return model


def excess(E, h, h_star, x=x):
    """E(h) / E(h*) − 1, of mean energies."""
    return float(E.energy(h, x).mean() / E.energy(h_star, x).mean()) - 1


class Run:
    """A trained model, sparse coding with its dictionary (γ = 0), its codes f(x), and the minimisers h*."""

    def __init__(self, code, seed):
        model = PredictiveSparseDecomposition(code=code, seed=seed, **options)
        self.model = train(model, section.pick(6, 5, 6), section.pick(1e-2, 3e-3, 3e-3))
        self.E = self.model.coding(gamma=0)
        self.f = self.model.encode(x)
        self.h_star = self.E.fista(x, tolerance=1e-4)
        self.excess = excess(self.E, self.f, self.h_star)
        self.correlation = np.corrcoef(to_numpy(self.f).ravel(), to_numpy(self.h_star).ravel())[0, 1]


def one_step(run):
    """E(h) / E(h*) − 1 of shrink(α (x − c) Vᵀ, α λ), with the α of a grid that is best on training patches."""
    V, c, few = to_numpy(run.E.V), to_numpy(run.E.c), X[:1000]
    E = SparseCoding(V, c, lam)

    def code(x, alpha):
        a = alpha * (x - c) @ V.T
        return np.sign(a) * np.maximum(abs(a) - alpha * lam, 0)

    best = min(np.geomspace(0.01, 1, 40), key=lambda alpha: E.energy(code(few, alpha), few).mean())
    return excess(E, code(X_test, best), to_numpy(run.h_star), X_test)


runs = {code: [Run(code, seed) for seed in section.seeds] for code in ("shrink", "tanh")}
above = {}
for code, several in runs.items():
    above[code] = section.number("E / E(h*) − 1", [run.excess for run in several], of=f"f(x) by {code}")
    section.number("correlation with h*", [run.correlation for run in several], of=f"f(x) by {code}")
unlearned = section.number("E / E(h*) − 1", [one_step(run) for run in runs["shrink"]], of="one unlearned step, best α")
shares = [float((run.h_star != 0).mean()) for run in runs["shrink"]]
section.number("share of the units that are on", shares, of="h*")
shares = [float((run.f != 0).mean()) for run in runs["shrink"]]
section.number("share of the units that are on", shares, of="f(x) by shrink")
section.claim("a learned step comes nearer to the minimum than an unlearned one", above["shrink"], "<", unlearned)
section.claim("an encoder that can say 0 comes nearer than one that cannot", above["shrink"], "<", above["tanh"])

# %% [markdown]
# What do we see at default size, on photographs? The learned step has an energy 7.8% above the minimum, the unlearned
# one 11.7%, and tanh 33%. So learning is worth something, and the form of f is worth more. f(x) is not as sparse as h*:
# one pass leaves 33% of the units on, where the search leaves 14%. The correlation of 0.85 says the same in another
# way: f(x) knows which units are about right, and not exactly which ones are off.

# %%
first = runs["shrink"][0]
V = to_numpy(first.model.parameters["V1"])[np.argsort(-to_numpy(abs(first.h_star).sum(axis=0)))]
V = 0.5 + 0.5 * V / np.abs(V).max(axis=1, keepdims=True)  # grey is 0
rows = {f"{k + 1}–{k + 20}": V[k : k + 20] for k in range(0, len(V) - 19, 20)}
section.figure(
    plots.images(rows, f"Atoms of {kind}, the most used first: dark > 0, light < 0", shape=(12, 12), columns=20),
    "atoms",
    caption="Rows of the dictionary V as patches of 12 × 12 pixels, in the order of their use by h*. Dark is positive, "
    "light negative, grey 0. Of photographs, the atoms that are used most are edges and bars of some place and slant, "
    "so that a patch is a sum of few of them; of digits they are pieces of strokes. The lower rows are used little, "
    "and so they have learned little: many still look like noise.",
    alt="Rows of twenty small grey squares. In the upper rows most hold dark and light stripes at different places and "
    "slants; further down the stripes become finer and more like noise.",
)

# %% [markdown]
# ## 4. What the encoder saves
# We count multiplications, and take as the unit the product x W of the encoder, which needs n m of them for a patch.
#
# - f(x) costs 1;
# - a step of ISTA or FISTA multiplies h by a matrix of m × m, so it costs m/n. The first step starts at h = 0 and needs
#   only x Vᵀ, so it costs 1. K steps from 0 cost 1 + (K − 1) m/n;
# - K steps from f(x) cost 1 for f, 1 for x Vᵀ, and K m/n;
# - LISTA (Gregor and LeCun 2010) is K steps of ISTA whose matrices and thresholds are then trained, by backpropagation,
#   to hit h* (minae/models/lista.py). It costs as much as K steps from 0.
#
# FISTA has converged on a patch when its duality gap, an upper bound on E(h) − E(h*), is below 10⁻⁴ of E. We count the
# steps of each patch, and not the products that looking for the gap takes.

# %%
step_cost = m / n
K = np.arange(1, 41)
from_zero, from_f = 1 + (K - 1) * step_cost, 2 + K * step_cost


def trace(run, infer, start=None):
    """E(h_k) / E(h*) − 1 after k = 1 … 40 steps."""
    curve = []

    def look(k, h):
        curve.append(excess(run.E, h, run.h_star))

    infer(x, h=start, steps=len(K), trace=look)
    return curve


def steps_to_converge(run, tolerance=1e-4, most=1000):
    """Steps of FISTA from 0 until the gap of a patch is below the tolerance, mean over patches."""
    steps = np.full(len(x), most)

    def look(k, h):
        done = to_numpy(run.E.gap(h, x) <= tolerance * run.E.energy(h, x))
        steps[done] = np.minimum(steps[done], k)
        if (steps < most).all():
            raise StopIteration

    with suppress(StopIteration):
        run.E.fista(x, steps=most, trace=look)
    return steps.mean()


curves = {"ISTA": [], "FISTA": [], "f(x), then FISTA": []}  # a list of 40 values for each seed
depths = section.pick((1, 3), (1, 3, 5), (1, 3, 5))
lista = {depth: [] for depth in depths}
for run in runs["shrink"]:
    curves["ISTA"].append(trace(run, run.E.ista))
    curves["FISTA"].append(trace(run, run.E.fista))
    curves["f(x), then FISTA"].append(trace(run, run.E.fista, run.f))
    targets = run.model.infer(X, gamma=0, tolerance=1e-3)  # h* of the training patches
    for depth in depths:
        student = LISTA(steps=depth, seed=run.model.seed, **options)
        student.imitate(run.model.parameters["V1"], run.model.parameters["c1"])
        train(student, section.pick(3, 4, 5), section.pick(4e-3, 1e-3, 1e-3), targets)
        lista[depth].append(excess(run.E, student.encode(x), run.h_star))

# %% [markdown]
# Does the start at f(x) help the search, and does LISTA beat the steps that it imitates? And how many products does
# FISTA need to reach what f(x) has after one?

# %%
for depth in depths:
    ista, fista = (
        section.number("E / E(h*) − 1", [curve[depth - 1] for curve in curves[name]], of=f"{name}, {depth} steps")
        for name in ("ISTA", "FISTA")
    )
    own = section.number("E / E(h*) − 1", lista[depth], of=f"LISTA, {depth} steps")
    section.claim(f"LISTA beats ISTA and FISTA at {depth} steps", own, "<", min(ista, fista))
equal, saved = [], []
for run, curve, warm in zip(runs["shrink"], curves["FISTA"], curves["f(x), then FISTA"], strict=True):
    enough = np.flatnonzero(np.array(curve) <= run.excess)
    equal.append(from_zero[enough[0]] if len(enough) else np.inf)
    reached = [np.flatnonzero(np.array(one) <= 0.01) for one in (curve, warm)]
    saved.append([cost[k[0]] if len(k) else np.inf for cost, k in zip((from_zero, from_f), reached, strict=True)])
equal = section.number("products x W to reach the E of f(x)", equal, of="FISTA from 0")
section.claim("f(x) is cheaper than a search of the same quality: FISTA's products", equal, ">", 1)
for name, values in zip(("FISTA from 0", "FISTA from f(x)"), np.transpose(saved), strict=True):
    section.number("products x W until E is 1% above the minimum", list(values), of=name)
steps = [steps_to_converge(run) for run in runs["shrink"]]
section.number("steps until the gap is 1e-4, mean over patches", steps, of="FISTA from 0")
published = "over 100 × faster than feature-sign search, in seconds (seen; Kavukcuoglu et al. 2008)"
costs = [1 + (each - 1) * step_cost for each in steps]
ratio = section.number("products x W until the gap is 1e-4", costs, published, of="FISTA from 0")
section.guard("products of converged FISTA over the one of the encoder", ratio, ">=", 50)

# %%
series = {"ISTA": (from_zero, curves["ISTA"][0]), "FISTA": (from_zero, curves["FISTA"][0])}
series["f(x), then FISTA"] = (np.r_[1, from_f], [first.excess, *curves["f(x), then FISTA"][0]])
series[f"LISTA, {', '.join(map(str, depths))} steps"] = (
    1 + (np.array(depths) - 1) * step_cost,
    [values[0] for values in lista.values()],
)
fig = plots.levels(
    series,
    f"matrix products x W for a patch (a step counts m/n = {step_cost:.2g})",
    "E(h) / E(h*) − 1",
    "Energy of a code against its price",
    "log",
    "log",
)
axis = fig.axes[0]
ticks = [1, 2, 5, 10, 20, 50]
axis.set_xticks(ticks, [str(tick) for tick in ticks])
axis.set_xticks([], minor=True)
axis.plot(1, first.excess, "s", color=plots.METHODS["f(x)"].color)
axis.annotate("f(x) alone", (1, first.excess), xytext=(-6, -18), textcoords="offset points", fontsize=9)
section.figure(
    fig,
    "energy",
    caption="How far the energy of a code lies above its minimum, against the price of the code in matrix products: "
    "steps of ISTA and of FISTA from 0, f(x) and then steps of FISTA, and LISTA. Left and low is good. Compare the "
    "curves along a horizontal line, at equal energy. At the left f(x) and LISTA save a factor of a few. From ten or "
    "fifteen products on, FISTA from 0 has caught up with FISTA from f(x).",
    alt="Falling curves on logarithmic axes. ISTA falls slowest. The curve that begins with f(x) starts below FISTA at "
    "the price 1 and meets it further right, where both fall together. LISTA is a short line at the left that ends "
    "below both.",
)

# %% [markdown]
# What does the encoder save, then? If one asks for convergence, FISTA needs 84 products where f(x) needs one. Such a
# ratio is what the paper reports (over 100, in seconds, against another search), and it flatters: the two codes are not
# equally good. At equal energy FISTA needs 4.6 products. And the head start that f(x) gives to a search is worth
# nothing by this count: to come within 1% of the minimum FISTA needs 13.4 products from 0 and 14.4 from f(x), because
# the one product that f(x) costs does not come back. (At `--full` f is better trained, and it comes back just so: 12.7
# from f(x).) LISTA spends its products better: with 5 steps, or 8.1 products, it is at 1.4%, where FISTA is at 2.5%.
#
# What follows? An encoder gives a code that is good enough for many uses at a fraction of the price, and this is what
# the book claims for PSD: after training, the search is not needed any more, and f can begin a deep network that is
# then trained as a whole. Where the exact minimum is needed, one has to search. And the more steps are learned, the
# closer one comes to the search, in quality and in price.

# %% [markdown]
# Last, the gradient that trained all this. The check holds h fixed, and part 2 has shown that this is allowed.

# %%
worst = check_gradient(first.model, X_test[:4], entries=10).worst.error
worst = section.number("largest error of the gradient check", worst, of="PSD, f by shrink")
section.claim("the gradient is that of J at a fixed h", worst, "<=", 1e-7)

# %% [markdown]
# ## Exercises
# 1. On paper. Show that shrink(a, κ) is the u that minimises ½ (u − a)² + κ|u|, in the three cases u > 0, u < 0 and u =
#    0. What does J of (14.19) become for γ → ∞, which earlier section is that, and why is h not free any more?
# 2. With code. λ is a parameter, too. By the envelope theorem, what is dJ*/dλ? Check your answer for twenty values of λ
#    by differences that search anew; the relative error should be at most 1e-7 each time. Then show by the same twenty
#    numbers that J* is a concave function of λ. (The solution is in `solutions/14_8_predictive_sparse.py`.)
# 3. With code. Measure the seconds of f(x) and of converged FISTA on your machine, for batches of 1, 100 and 10,000
#    patches. How far are the ratios from the ratio of the products, and why?

# %%
section.finish()

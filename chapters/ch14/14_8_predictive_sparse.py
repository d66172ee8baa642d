"""14.8 Predictive Sparse Decomposition

Equations: 14.19
Figures: atoms (learned by the dictionary); energy (of a code, against the time that it takes)

Sparse coding infers h by optimisation, example by example; an encoder gives its code in one pass. Predictive sparse
decomposition trains an encoder to predict the outcome of the optimisation:

    J = ‖x − g(h)‖² + λ |h|₁ + γ ‖h − f(x)‖²     (14.19)

Training alternates: h is optimised at fixed f and g; then f and g make a gradient step at that h. In use, f is enough.

minae's J is half of it, E(h) = ½‖x − h V − c‖² + λ|h|₁ + ½ γ‖h − f(x)‖², g(h) = h V + c: the book's λ is twice ours.
Symbols: minae/NOTATION.md. Inference: minae/inference.py. Models: predictive_sparse and lista in minae/models.
"""

# %%
import time

import numpy as np

from minae import LISTA, InputError, PredictiveSparseDecomposition, check_gradient, data, plots
from minae.chapters import Section
from minae.training import Adam, Cosine

section = Section("14.8")
pick, to_numpy, rng = section.pick, section.backend.to_numpy, np.random.default_rng(section.seed)
try:
    images = data.natural_images()
except InputError as error:
    print(f"  patches of digits, since {error}\n")
    images = data.mnist().train.reshape(-1, 28, 28) * 255
cut = len(images) * 5 // 6  # the test patches are from other images
X = data.patches(images[:cut], 12, pick(3000, 20_000, 50_000), rng, contrast=3)
whiten = data.Whitening(X)
X, X_test = whiten(X), whiten(data.patches(images[cut:], 12, 1000, rng, contrast=3))
x = section.backend.from_numpy(X_test)
options = dict(sizes=(144, pick(160, 256, 256)), lam=1.0, backend=section.backend)

# %% [markdown]
# ## A dictionary and its encoder
# f(x) = shrink(x W + b, κ), thresholds κ, is one learned step of the inference; G ⊙ tanh(x W + b), gains G, is the
# encoder of Kavukcuoglu et al. (2008), which cannot say 0. Below, h* is the minimiser at γ = 0, on test patches.


# %%
def train(model, epochs, lr, *y):
    optimizer = Adam(Cosine(lr, steps=epochs * -(-len(X) // 128)))
    model.fit(X, *y, epochs=epochs, optimizer=optimizer, seed=model.seed)
    return model


def excess(E, h, h_star):
    """E(h) / E(h*) − 1, for the mean energy."""
    return float(E.energy(h, x).mean() / E.energy(h_star, x).mean()) - 1


def learned(code):
    """For each seed: the model, its E at γ = 0, its f(x), and h*; and the means of E(f(x)) / E(h*) − 1, correlation."""
    models = [PredictiveSparseDecomposition(code=code, seed=seed, **options) for seed in section.seeds]
    models = [train(model, pick(6, 5, 6), pick(1e-2, 3e-3, 3e-3)) for model in models]
    runs = [(m, E := m.coding(gamma=0), m.encode(x), E.fista(x, tolerance=1e-4)) for m in models]
    energy = section.number("E(f(x)) / E(h*) − 1", [excess(E, f, h) for _, E, f, h in runs], of=f"f by {code}")
    r = [np.corrcoef(to_numpy(f).ravel(), to_numpy(h).ravel())[0, 1] for _, _, f, h in runs]
    return runs, energy, section.number("correlation of f(x) with h*", r, of=f"f by {code}")


(runs, energy, r), (_, energy_tanh, _) = learned("shrink"), learned("tanh")
on = section.number("share of the units that are on", [float((h != 0).mean()) for *_, h in runs], of="h*")
section.claim("the inferred code is sparse: share on", on, "<", pick(0.35, 0.25, 0.25))
section.claim("f(x) agrees with h*: correlation", r, ">", pick(0.7, 0.8, 0.8))
section.claim("an encoder that can say 0 comes nearer to the minimum", energy, "<", energy_tanh)

V = to_numpy(runs[0][0].parameters["V1"])[np.argsort(-to_numpy(abs(runs[0][3]).sum(axis=0)))]
V = 0.5 + 0.5 * V / np.abs(V).max(axis=1, keepdims=True)  # grey is 0
rows = {f"{k + 1}–{k + 20}": V[k : k + 20] for k in range(0, len(V) - 19, 20)}
section.figure(
    plots.images(rows, "Atoms, the most used first: dark > 0, light < 0, grey = 0", shape=(12, 12), columns=20),
    "atoms",
    caption="Rows of the decoder's V as patches of 12 × 12 pixels, in the order of their use by h*. Each atom is a "
    "short edge or bar at one place and of one slant: a patch is a sum of few of them.",
    alt="Rows of twenty small grey squares. Most hold one dark and one light stripe at different places and slants.",
)

# %% [markdown]
# Steps from 0, from f(x), and learned: LISTA is K steps of ISTA as a network, trained to hit h*.

# %%
curves = {"ISTA": [], "FISTA": [], "FISTA from f(x)": []}  # of each seed, E(h_k) / E(h*) − 1 by step k
lista, students, steps = {K: [] for K in pick((1, 3), (1, 3, 5), (1, 3, 5))}, [], np.arange(1, 41)
for model, E, f, h in runs:
    for curve, infer, start in zip(curves.values(), (E.ista, E.fista, E.fista), (None, None, f), strict=True):
        curve.append([])
        infer(x, h=start, steps=40, trace=lambda k, h_k, to=curve[-1], E=E, h=h: to.append(excess(E, h_k, h)))
    y = model.infer(X, gamma=0, tolerance=1e-3)
    for K in lista:
        students.append(LISTA(steps=K, seed=model.seed, **options))
        students[-1].imitate(model.parameters["V1"], model.parameters["c1"])
        lista[K].append(excess(E, train(students[-1], pick(3, 4, 5), pick(4e-3, 1e-3, 1e-3), y).encode(x), h))
for K in lista:
    ista, fista, warm = (
        section.number("E / E(h*) − 1", [c[K - 1] for c in curves[name]], of=f"{name}, {K} steps") for name in curves
    )
    own = section.number("E / E(h*) − 1", lista[K], of=f"LISTA, {K} steps")
    section.claim(f"LISTA beats ISTA and FISTA at {K} steps", own, "<", min(ista, fista))
    section.claim(f"FISTA from f(x) beats FISTA from 0 at {K} steps", warm, "<", fista)
ten = section.number("E / E(h*)", [1 + c[9] for c in curves["FISTA from f(x)"]], of="10 FISTA steps from f(x)")
section.number("E / E(h*)", [1 + c[9] for c in curves["FISTA"]], of="10 FISTA steps from 0")
section.claim("ten steps from f(x) are enough: E / E(h*)", ten, "<=", 1.05)
published = {"LISTA, 3 steps": "10 × less computation than coordinate descent (seen; Gregor and LeCun 2010)"}
for name, bounds in {"LISTA, 3 steps": lista[3], "f(x)": [excess(*run[1:]) for run in runs]}.items():
    reach = [1 + sum(e > bound for e in c) for c, bound in zip(curves["FISTA"], bounds, strict=True)]
    section.number("FISTA's steps from 0 to the same energy", reach, published.get(name), of=name)

# %% [markdown]
# ## Time: one pass against an optimisation
# The same 1000 patches for all, in turns, the least of several times. FISTA has V Vᵀ ready, and a patch is done as soon
# as its duality gap is 10⁻⁴ of its energy: that is "converged" here.


# %%
def clock(*functions):
    """Least milliseconds of each."""
    spent = [[] for _ in functions]
    for times, function in [*zip(spent, functions, strict=True)] * pick(7, 7, 9):
        start = time.perf_counter()
        function()
        section.backend.synchronize()
        times.append(1e3 * (time.perf_counter() - start))
    return np.array([min(times) for times in spent])


def compete(model, E, f, h):
    converge, P = dict(tolerance=1e-4), model.coding()
    return clock(lambda: model.encode(x), lambda: E.fista(x, **converge), lambda: P.fista(x, f, **converge))


ms = np.transpose([compete(*run) for run in runs])
section.number("ms for 1000 patches", list(ms[0]), of="f(x)")
section.number("ms for 1000 patches", list(ms[1]), of="converged FISTA")
published = "over 100 × faster than feature-sign (seen; Kavukcuoglu et al. 2008)"
ratio = section.number("time over that of f(x)", list(ms[1] / ms[0]), published, of="converged FISTA")
section.number(
    "time over that of f(x)", list(ms[2] / ms[0]), of="converged FISTA at the γ = 1 of training, an easier E"
)
section.guard("the encoder is faster than converged FISTA, times", ratio, ">=", 50)

model, E, f, h = runs[0]
each = clock(lambda: E.ista(x, steps=40), lambda: E.fista(x, steps=40)) / 40
series = {"ISTA": (steps * each[0], curves["ISTA"][0]), "FISTA": (steps * each[1], curves["FISTA"][0])}
series["f(x), then FISTA"] = ms[0, 0] + np.r_[0, steps] * each[1], [excess(E, f, h), *curves["FISTA from f(x)"][0]]
learned_ms = clock(*(lambda s=s: s.encode(x) for s in students[: len(lista)]))
series[f"LISTA, {', '.join(map(str, lista))} steps"] = learned_ms, [values[0] for values in lista.values()]
fig = plots.levels(series, "ms for 1000 patches", "E(h) / E(h*) − 1", "Energy against time", "log", "log")
fig.axes[0].xaxis.set_major_formatter("{x:g}")
fig.axes[0].xaxis.set_minor_formatter("{x:g}")
fig.axes[0].tick_params(axis="x", which="both", labelsize=7)
section.figure(
    fig,
    "energy",
    caption="How far the energy of a code lies above its minimum, against the time that the code of 1000 patches takes "
    "on this machine: steps of ISTA and FISTA from 0, of FISTA from f(x), and LISTA, a learned optimisation of a few "
    "steps. Left and low is good. f(x) alone is where the third curve begins.",
    alt="Falling curves on logarithmic axes. ISTA stays highest as time goes on; the two curves of FISTA meet far "
    "below; LISTA is a short line at the left.",
)

worst = check_gradient(model, X_test[:4], entries=10).worst.error
section.claim("the gradient is that of J", section.number("largest error of the gradient check", worst), "<=", 1e-7)

section.finish()

"""C.2 Discrete Codes

Equations: none
Figures: estimators (bias and noise of each, for eight bits); temperature (bias and noise of Gumbel's trick by
temperature); training (held-out error by epoch); bits (what single bits of a digit's code say)

A code need not be real numbers. A file is bits, a text is symbols, and many causes in the world are yes or no. What
changes if the code h of an autoencoder is a row of bits b? The forward pass is easy. The encoder gives logits a, each
bit is drawn with the probability

    q(b_j = 1 | x) = σ(a_j)

and the decoder reads b. The backward pass is the problem. A bit is a hard choice. If a moves a little, b does not move
at all, and the derivative ∂b/∂a is 0 wherever it exists. Backpropagation would tell the encoder nothing.

But what we want is not that derivative. We want the gradient of the mean of the cost over the draws. For m bits this
mean is a sum over the 2^m codes,

    E_b L(b) = Σ_b q(b | x) L(b)

and q is a smooth function of a. So there is a right answer, and for few bits it can be computed by writing down all
codes. No training can do this for 32 bits, so everybody uses an *estimator* in its place. There are several, with very
different faults. Public code gets them wrong in known ways, and a gradient check by finite differences cannot see it,
because the hard cost has no slope to compare with. The sum over all codes can see it. This section uses it as a judge.

The estimators are derived in minae/symbols.py, the model in minae/models/discrete.py, the sum over all codes in
`minae.enumerated` (minae/checks.py). The section belongs to 20.9.1 of the book.
"""

# %%
import numpy as np

import minae
from minae import DiscreteAutoencoder, data, enumerated, plots
from minae.chapters import Section
from minae.chapters.classical import PCASign
from minae.training import Adam, Cosine

section = Section("C.2")
rng = np.random.default_rng(section.seed)

# %% [markdown]
# ## The right answer
# Let eight bits have fixed logits a, and let the cost be that of a small random network that reads them,
#
#     L(b) = ½ ‖tanh(b A + c) B − y‖²
#
# With p = σ(a), the probability of a code is a product over the bits, p_j where b_j = 1 and 1 − p_j where b_j = 0. Its
# logarithm and the derivative of it are
#
#     log q(b) = Σ_j (b_j a_j − log(1 + e^{a_j})),     ∂log q/∂a_j = b_j − p_j
#
# and because ∂q/∂a = q ∂log q/∂a, the gradient of the mean cost is a mean again:
#
#     ∂/∂a Σ_b q(b) L(b) = Σ_b q(b) L(b) (b − p)
#
# `enumerated` computes it over all 256 codes. As a check of the check, we compare one entry with a finite difference of
# the sum.

# %%
m = 8
A, c, B = rng.standard_normal((m, 12)), 0.5 * rng.standard_normal(12), rng.standard_normal((12, 3))
y, a = rng.standard_normal(3), 0.8 * rng.standard_normal(m)


def L(b):
    """The cost of codes (…, 8), which may also be numbers between 0 and 1."""
    return 0.5 * np.square(np.tanh(b @ A + c) @ B - y).sum(axis=-1)


def dL(b):
    """∂L/∂b, (…, 8):  e = tanh(…) B − y,  dh = e Bᵀ,  db = (dh (1 − h²)) Aᵀ"""
    h = np.tanh(b @ A + c)
    return ((h @ B - y) @ B.T * (1 - h * h)) @ A.T


mean, exact = enumerated(L, a)
nudge = 1e-6 * np.eye(m)[2]
difference = (enumerated(L, a + nudge)[0] - enumerated(L, a - nudge)[0]) / 2e-6
section.number("mean cost over all 256 codes", mean)
section.claim("the enumerated gradient is a difference of the mean cost", abs(exact[2] - difference), "<=", 1e-8)
b = rng.random(m)
difference = (L(b + nudge) - L(b - nudge)) / 2e-6
section.claim("the slope ∂L/∂b that some estimators use is right", abs(dL(b)[2] - difference), "<=", 1e-7)

# %% [markdown]
# ## The estimators
# All see draws b of the code, and not the sum. REINFORCE sees the cost of each draw and no more; straight through sees
# the slope of L there, too. Here is what each one does, with K draws for each x.
#
# **REINFORCE** (Williams 1992) takes the mean above by draws: the estimate is L(b) (b − p). It is right on average,
# whatever L is. But L is a large positive number, and b − p has either sign, so the estimates scatter wildly.
#
# **A baseline** is a number that is subtracted from L. It changes nothing on average, because Σ_b q(b) (b − p) = 0, as
# long as it does not depend on b itself. The mean cost of *other* draws for the same x is such a number ("leave one
# out"). The mean of all draws, with the draw itself among them, is not: it contains 1/K of L(b), and so takes away
#
#     1/K of the gradient
#
# exactly. This fault is in public code, and it looks like a slightly smaller learning rate.
#
# **Straight through** (Hinton 2012; Bengio et al. 2013) pretends on the way back that b were p:
#
#     ∂L/∂b · ∂p/∂a = ∂L/∂b · p (1 − p)
#
# It uses the slope of L at b, so it is exact if L is linear in each bit, and wrong otherwise. The factor p (1 − p) is ¼
# at most. To forget it, as is often seen, makes each entry too large by a factor of 4 or more.

# %%
draws = section.pick(4000, 40_000, 200_000)
p = 1 / (1 + np.exp(-a))


def bits(*shape):
    return (rng.random((*shape, m)) < p).astype(float)


def reinforce(K, baseline):
    """`draws` estimates from K draws each: the mean over the K of (L − baseline) (b − p)."""
    b = bits(draws, K)
    cost = L(b)
    if baseline == "constant":
        cost = cost - mean
    elif baseline == "the others":
        cost = cost - (cost.sum(axis=1, keepdims=True) - cost) / (K - 1)
    elif baseline == "all, itself too":
        cost = cost - cost.mean(axis=1, keepdims=True)
    return (cost[:, :, None] * (b - p)).mean(axis=1)


estimates = {
    "REINFORCE, no baseline": reinforce(1, "none"),
    "REINFORCE, constant baseline": reinforce(1, "constant"),
    "REINFORCE, mean of the others, K = 4": reinforce(4, "the others"),
    "REINFORCE, mean with itself, K = 4 (fault)": reinforce(4, "all, itself too"),
    "straight through": dL(bits(draws)) * p * (1 - p),
    "straight through without p (1 − p) (fault)": dL(bits(draws)),
}


def judged(estimates, exact):
    """Bias, its own uncertainty, and the noise of one estimate, all over the length of the exact gradient."""
    size, off = np.linalg.norm(exact), estimates.mean(axis=0) - exact
    sd = np.sqrt(estimates.var(axis=0).sum())
    return np.linalg.norm(off) / size, sd / np.sqrt(len(estimates)) / size, sd / size


found = {name: judged(values, exact) for name, values in estimates.items()}
for name, (bias, uncertainty, noise) in found.items():
    section.number("bias / |gradient|", bias, of=name)
    section.number("uncertainty of the bias", uncertainty, of=name)
    section.number("noise of one estimate / |gradient|", noise, of=name)
for name in ("REINFORCE, no baseline", "REINFORCE, constant baseline", "REINFORCE, mean of the others, K = 4"):
    section.claim(f"{name} has no bias: bias in units of its uncertainty", found[name][0] / found[name][1], "<=", 3)
fault = found["REINFORCE, mean with itself, K = 4 (fault)"]
section.claim("a mean with the draw itself loses 1/K: |bias − 1/4|", abs(fault[0] - 0.25), "<=", 4 * fault[1])
section.claim(
    "without p (1 − p) straight through is off by more than the gradient itself",
    found["straight through without p (1 − p) (fault)"][0],
    ">",
    1,
)
section.claim(
    "straight through has a bias: in units of its uncertainty",
    found["straight through"][0] / found["straight through"][1],
    ">",
    5,
)
section.figure(
    plots.bars({name: bias for name, (bias, _, _) in found.items()}, "bias / |gradient|", "Eight bits: bias"),
    "estimators",
    caption="How far the mean of each estimator is from the exact gradient, over the length of the gradient. The bars "
    "of REINFORCE with a proper baseline are what the finite number of draws leaves. The two faults stand out: one "
    "loses a quarter of the gradient, the other is more wrong than to stand still.",
    alt="Six horizontal bars. Three are next to 0, straight through is small, the mean with itself is at one quarter, "
    "and straight through without its slope is above 1.",
)

# %% [markdown]
# ## Symbols: Gumbel's trick
# A symbol of K kinds has K logits a_k and the probabilities softmax(a). (From here on K is a number of kinds, not of
# draws.) There is an elegant way to draw it. Take K numbers g_k = −log(−log u_k) with uniform u. Then
#
#     argmax_k (a_k + g_k)
#
# is a draw from softmax(a) (Gumbel 1954). In the place of the hard argmax put a softmax at a temperature τ,
#
#     y = softmax((a + g)/τ),     ∂L/∂a = 1/τ · y ⊙ (∂L/∂y − Σ_k ∂L/∂y_k y_k)
#
# where y is now the relaxed symbol and not the target of the cost. The noise g is outside, as ε is in the variational
# autoencoder (Jang et al. 2017; Maddison et al. 2017). "Relaxed" gives y to the decoder. "Straight-through Gumbel"
# gives it the hard symbol and uses the same backward pass. For small τ, y is nearly one-hot: the bias falls and the
# noise grows, since 1/τ multiplies it. The factor 1/τ is the second thing that public code forgets, and at τ = 1 nobody
# notices. So we test at other temperatures, with three symbols of four kinds, which have 4³ = 64 codes.

# %%
M, K = 3, 4  # 64 codes
logits = 0.8 * rng.standard_normal((M, K))
A, c = rng.standard_normal((M * K, 12)), 0.5 * rng.standard_normal(12)
_, exact = enumerated(lambda b: L(b.reshape(-1)), logits)


def gumbel(tau, hard, forgotten=False):
    g = -np.log(-np.log(rng.random((draws, M, K))))
    v = (logits + g) / tau
    y = np.exp(v - v.max(axis=2, keepdims=True))
    y /= y.sum(axis=2, keepdims=True)
    h = np.eye(K)[y.argmax(axis=2)] if hard else y
    dy = dL(h.reshape(draws, -1)).reshape(y.shape)
    return (y * (dy - (dy * y).sum(axis=2, keepdims=True)) / (1 if forgotten else tau)).reshape(draws, -1)


taus, by_tau = [2, 1, 0.5, 0.2, 0.1], {}
for tau in taus:
    for name, values in (
        ("relaxed", gumbel(tau, False)),
        ("straight-through Gumbel", gumbel(tau, True)),
        ("the same without 1/τ (fault)", gumbel(tau, True, True)),
    ):
        bias, _, noise = judged(values, exact.reshape(-1))
        by_tau.setdefault(name, []).append((bias, noise))
        section.number("bias / |gradient|", bias, of=f"{name}, τ = {tau}")
        section.number("noise of one estimate / |gradient|", noise, of=f"{name}, τ = {tau}")
relaxed = np.array(by_tau["relaxed"])
section.claim("relaxed: the bias falls from τ = 2 to 0.5", relaxed[0, 0] - relaxed[2, 0], ">", 0)
section.claim("relaxed: the noise rises at every step down", np.diff(relaxed[:, 1]).min(), ">", 0)
section.claim(
    "without 1/τ the gradient all but vanishes at τ = 0.1: bias / |gradient|",
    by_tau["the same without 1/τ (fault)"][-1][0],
    ">",
    0.7,
)
series = {
    f"{what}, {name}": (np.array(taus), np.array(values)[:, column])
    for name, values in by_tau.items()
    for column, what in enumerate(("bias", "noise"))
    if "fault" not in name or what == "bias"
}
section.figure(
    plots.levels(series, "temperature τ", "over |gradient|", "Gumbel's trick for three symbols", "log", "log"),
    "temperature",
    caption="Bias and noise of the two estimators by temperature, to be read from right to left. The bias of the "
    "relaxed form falls and its noise rises as the temperature falls, and no temperature has little of both. The bias "
    "of the hard form hardly falls. The line of the fault crosses that of the hard form at τ = 1, where 1/τ is 1.",
    alt="Five curves over the temperature on logarithmic axes. Two noise curves fall from left to right, the bias of "
    "the relaxed form rises, and the biases of the hard form and of the fault are nearly flat.",
)

# %% [markdown]
# The picture holds a surprise. As τ falls, the relaxed form becomes right on average, and the hard form does not: its
# bias stays at two thirds of the gradient. Why? Whatever τ is, the gradient comes from the draws at which two kinds are
# nearly equal, where y is between two corners and moves quickly from one to the other. The relaxed form adds up the
# slopes of L on this way, and a sum of slopes along a way is the difference of L between its ends. This difference is
# what the exact gradient is made of. The hard form stands at one corner or the other, and multiplies the slope *there*
# by the length of the way. Where L is curved, that is another number. The cost of this section is curved on purpose.
#
# ## The same choice on digits
# What is all this worth in training? Autoencoders with codes of 16 bits read digits: bits by straight through and by
# REINFORCE with four draws, and eight symbols of four kinds by both forms of Gumbel's trick at τ = 1. All have the same
# network 784-256-code and its mirror, the same epochs, and for each the better of two learning rates on held-out
# digits. After training the most probable code is taken, so that
# all are judged with hard codes. The rivals have 16 bits, too: the signs of 16 principal components with the best
# linear decoder, and an ordinary autoencoder whose sigmoid code is rounded when training is over.

# %%
digits = data.mnist(full=section.size == "full")
X, X_test = digits.train[:-600], digits.test
held = digits.train[-600:]
epochs, seeds = section.pick(2, 20, 15), section.seeds
kinds = {
    "straight through": dict(),
    "REINFORCE, 4 draws": dict(estimator="reinforce", draws=4),
    "Gumbel, hard": dict(kinds=4, estimator="gumbel"),
    "Gumbel, relaxed": dict(kinds=4, estimator="relaxed"),
}
quality = {}


class Curve:
    """L of the most probable code on held-out digits after each epoch."""

    def __init__(self):
        self.values = []

    def __call__(self, model, history):
        self.values.append(-float(np.mean(model.score_samples(held))))


def trained(options, lr, seed):
    code = 32 if options.get("kinds") == 4 else 16  # eight symbols of four kinds take 32 units and are 16 bits
    model = DiscreteAutoencoder((784, 256, code), activation="relu", seed=seed, backend=section.backend, **options)
    curve, steps = Curve(), epochs * -(-len(X) // 128)
    model.fit(X, epochs=epochs, optimizer=Adam(Cosine(lr, steps=steps)), seed=seed, callbacks=[curve])
    return model, curve.values


curves, models, rates = {}, {}, section.pick([2e-3], [1e-3, 4e-3], [1e-3, 3e-3])
for name, options in kinds.items():
    for seed in seeds:
        runs = [trained(options, lr, seed) for lr in rates]
        models[name], curve = min(runs, key=lambda run: run[1][-1])
        r = models[name].reconstruct(X_test)
        quality.setdefault(name, []).append(np.square(r - X_test).sum(axis=1).mean())
    curves[name] = (np.arange(1, epochs + 1), np.array(curve))
signs = PCASign(X, 16)
design = np.hstack([signs.hash(X), np.ones((len(X), 1))]).astype(np.float64)
decoder = np.linalg.lstsq(design, X.astype(np.float64), rcond=None)[0]
r = np.hstack([signs.hash(X_test), np.ones((len(X_test), 1))]) @ decoder
quality["PCA, signs of 16"] = [np.square(r - X_test).sum(axis=1).mean()]
options, plain = dict(activation="relu", code="sigmoid", seed=section.seed, backend=section.backend), None
for lr in rates:
    model = minae.UndercompleteAutoencoder((784, 256, 16), **options)
    model.fit(X, epochs=epochs, optimizer=Adam(Cosine(lr, steps=epochs * -(-len(X) // 128))), seed=section.seed)
    if plain is None or model.evaluate(held)["L"] < plain.evaluate(held)["L"]:
        plain = model
r = plain.decode((plain.encode(X_test) > 0.5).astype(np.float32))
quality["autoencoder, rounded afterwards"] = [np.square(r - X_test).sum(axis=1).mean()]
r = plain.reconstruct(X_test)
quality["autoencoder, not rounded"] = [np.square(r - X_test).sum(axis=1).mean()]
for name, values in quality.items():
    quality[name] = section.number("squared error, test images, 16 bits", values, of=name)
    if name in curves:
        section.number("L on held-out digits at the end, nats", curves[name][1][-1], of=name)
if section.size != "quick":
    section.claim(
        "bits that are there in training serve better than bits that come afterwards: error over error",
        quality["straight through"] / quality["autoencoder, rounded afterwards"],
        "<",
        1,
    )
    section.claim(
        "and better than the signs of principal components: error over error",
        quality["straight through"] / quality["PCA, signs of 16"],
        "<",
        1,
    )
section.figure(
    plots.levels(curves, "epoch", "L of the most probable code, nats", "Four estimators, 16 bits: held-out digits"),
    "training",
    caption="The loss on held-out digits, with hard codes, by epoch. Compare how fast each falls and where it ends. "
    "Straight through has a bias and little noise, REINFORCE has noise and no bias; look at which of the two matters "
    "here.",
    alt="Four curves over the epochs. All fall steeply in the first epochs and slowly after that, and they end apart "
    "from each other.",
)

# %% [markdown]
# At default size straight through wins with a squared error of 31.5, though it is the biased one. REINFORCE, which is
# right on average, ends at 35 with four draws for each digit, and the two forms of Gumbel's trick at 37 and 36. So for
# bits noise costs more than bias here: there are many steps, and a direction that is roughly right at each of them is
# worth more than one that is exactly right on average. With Gumbel's trick both forms have a bias at τ = 1, a larger
# one than straight through in the experiment above, which may be what costs them the lead. The signs of sixteen
# principal components with a linear decoder have 33, so three of the four learned codes do not beat a classical one at
# this size. The ordinary autoencoder shows why bits must be there in training: its code of numbers has an error of
# 29.7, and 50 once it is rounded. (With numbers it is hardly better than straight through with bits. In so short a
# training the code is not what limits either of them.)
#
# At full size there are 59,400 digits in place of 4,400, and the order is another. The relaxed form of Gumbel's trick
# has 22.9 (21.8 to 24.5 over three seeds), straight through 23.5, the hard form 25.1 (21.6 to 27.3), and REINFORCE
# 28.6. Three seeds do not tell the first three apart. In the curves straight through is ahead for two epochs, and from
# the third on behind the relaxed form, so its lead at default size was that of a short training. What stays is that the
# one estimator without a bias is not the best: noise costs more than bias. And now all four are better than the signs
# of the components, which have 31.9, while the numbers that are not rounded have 11.4: with enough training the code is
# what limits.

# %%
bits_model = models["straight through"]
code = np.round(bits_model.encode(X_test[:8])).astype(np.float32)
rows = {"x": X_test[:8], "r": bits_model.decode(code)}
used = np.argsort(-np.round(bits_model.encode(X_test)).var(axis=0))[:4]
for j in used:
    flipped = code.copy()
    flipped[:, j] = 1 - flipped[:, j]
    rows[f"bit {j + 1} flipped"] = bits_model.decode(flipped)
section.figure(
    plots.images(rows, "Bits of a code of 16"),
    "bits",
    caption="Digits, their reconstructions from 16 bits, and the same with one bit flipped, for the four bits that "
    "change most often over the test digits. A bit is no stroke of its own: what it changes depends on the other bits.",
    alt="Six rows of eight digits: the originals, blurred reconstructions, and four rows of altered ones.",
)

# %% [markdown]
# ## Exercises
# 1. On paper. Show that straight through is exact for bits if L is linear in each bit, and find the bias for one bit
#    and L(b) = (b − t)², where t is a number.
# 2. With code. The eight bits have 256 codes. Find the *optimal* constant baseline, the one with the least noise, by
#    derivation, and check it: the noise must not be above that of the mean cost. (Hint: minimise
#    Σ_j Var_b((L − β)(b_j − p_j)) over the baseline β. The solution is in `solutions/C_2_discrete.py`.)
# 3. With code. Give the model of 16 bits a weight, `beta`, of its KL from the uniform code, so that J is a bound of the
#    code's length. At which weight do bits begin to die, and what does the error do?

# %%
section.finish()

"""14.2.3 Regularizing by Penalizing Derivatives

Equations: 14.10, 14.11
Figures: by_lambda (the size of the derivatives, the noise in h, and L, by λ); price (noise in h against L, beside
weight decay); disturbed (what the code does when x is disturbed)
Data: rows of numbers

Section 14.2.2 made an autoencoder robust by showing it noise. Can we ask for robustness directly, without any noise? A
code h = f(x) is robust at x if it changes little when x changes a little, that is, if its derivatives at x are small.
So we add a penalty that depends on x as well as on h,

    J = L(x, g(f(x))) + Ω(h, x)     (14.10)

and take for it the squared derivatives of all code units,

    Ω(h, x) = λ Σ_i ‖∇_x h_i‖²      (14.11)

Here i counts the code units. The penalty makes f change little when x changes slightly. Since it is applied to training
examples only, it asks this only where there are data. The sum is the squared Frobenius norm ‖Jf‖² of the Jacobian
Jf = ∂f/∂x, and the model is called the contractive autoencoder. Section 14.7 returns to it and asks which directions
are kept. Here we ask

  1. how the gradient of a penalty that is itself made of derivatives is derived;
  2. what the weight λ does, and whether weight decay would not do the same;
  3. how Ω is computed for a deep code, exactly and by an estimate;
  4. what a penalty on *second* derivatives does.

Symbols: minae/NOTATION.md. Forward pass and backward pass of the model: minae/models/contractive.py, and with second
derivatives minae/models/contractive_h.py. Ω and its derivation, for one layer and for many: minae/contraction.py.
"""

# %%
import numpy as np

from minae import (
    ContractiveAutoencoder,
    HigherOrderContractiveAutoencoder,
    UndercompleteAutoencoder,
    check_gradient,
    plots,
)
from minae.chapters import Section
from minae.training import Adam, Cosine

section = Section("14.2.3")
digits = section.data()
cut = len(digits.train) - len(digits.train) // 6  # the last sixth is for validation: λ is varied there
X, X_valid, X_test = digits.train[:cut], digits.train[cut:], digits.test  # (rows, n), values in [0, 1]
X = X[: section.pick(2000, None, None)]
n = X.shape[1]
epochs, units = section.pick(6, 10, 5), section.pick(60, 200, 300)
on = dict(backend=section.backend)


def train(model, seed=section.seed, epochs=epochs):
    optimizer = Adam(Cosine(section.pick(1e-2, 5e-3, 2e-3), steps=epochs * -(-len(X) // 64)))
    model.fit(X, epochs=epochs, batch_size=64, optimizer=optimizer, seed=seed)
    return model


# %% [markdown]
# ## 1. The gradient of a penalty on derivatives
# Take one layer, h = φ(a) with a = x W + b, and a batch of B rows. (The book's Ω contains λ. From here on ours does
# not, and J = L + λ Ω.) As an index, b counts the rows of the batch, i the components of x, and j the code units.
#
# **Step 1: the derivatives of h.** The input x_bi reaches the unit h_bj through a_bj alone, and ∂a_bj/∂x_bi = W_ij. So
#
#     ∂h_bj/∂x_bi = p_bj W_ij,     p_bj = φ'(a_bj)
#
# where p_bj is the slope of unit j at row b.
#
# **Step 2: Ω.** We square and sum. The slope p_bj does not depend on i, so that the sum over i can be done first:
#
#     Ω = 1/B Σ_b Σ_j p_bj² w_j,     w_j = Σ_i W_ij²
#
# No Jacobian is ever written down. Ω costs about as much as h itself.
#
# **Step 3: two paths lead to W.** In step 2, W appears in w_j. But it is also hidden in p_bj, because a_bj = Σ_i x_bi
# W_ij + b_j. Whoever forgets one of the two has a wrong gradient. Take them one at a time, and hold the other fixed.
#
# The first path goes directly through w_j, with ∂w_j/∂W_ij = 2 W_ij:
#
#     ∂Ω/∂W_ij at fixed p = 2/B W_ij Σ_b p_bj²
#
# The second path goes through the slopes, and so through h. The derivative of p_bj by a_bj is the second derivative
# φ''(a_bj):
#
#     ∂Ω/∂a_bj = 2/B w_j p_bj φ''(a_bj)
#
# From a_bj on, it goes as any other da of a backward pass: dW_ij gets Σ_b x_bi da_bj, and db_j gets Σ_b da_bj.
#
# **Step 4: the sum.**
#
#     ∂Ω/∂W_ij = 2/B W_ij Σ_b p_bj² + Σ_b x_bi ∂Ω/∂a_bj
#
# For the sigmoid, everything can be read off h: φ' = h (1 − h), and φ'' = h (1 − h) (1 − 2h). Here are these lines in
# NumPy, beside the engine's gradient of Ω alone, and beside differences of Ω. As a control we also take each path
# alone.

# %%
rng = np.random.default_rng(section.seed)
B = 6
x = rng.uniform(size=(B, 12))
tiny = ContractiveAutoencoder((12, 5), dtype="float64", backend="numpy", seed=section.seed)
W, b = tiny.parameters["W1"].copy(), rng.standard_normal(5)
tiny.parameters["b1"][...] = b


def Omega_of(W, b):
    h = 1 / (1 + np.exp(-(x @ W + b)))
    p = h * (1 - h)
    return (p * p * np.square(W).sum(axis=0)).sum() / B


h = 1 / (1 + np.exp(-(x @ W + b)))
p, second = h * (1 - h), h * (1 - h) * (1 - 2 * h)  # φ'(a) and φ''(a)
w = np.square(W).sum(axis=0)
by_w = 2 / B * W * np.square(p).sum(axis=0)  # the first path
da = 2 / B * w * p * second
by_h = x.T @ da  # the second path

tiny.weights = {"L": 0.0, "Omega": 1.0}  # Ω alone
Omega = float(tiny.cost_and_grad(x)["Omega"])
engine = {name: tiny.parameters.views(tiny.parameters.grad)[name] for name in ("W1", "b1")}
differences = np.zeros_like(W)
for i, j in np.ndindex(W.shape):
    up, down = W.copy(), W.copy()
    up[i, j] += 1e-5
    down[i, j] -= 1e-5
    differences[i, j] = (Omega_of(up, b) - Omega_of(down, b)) / 2e-5


def relative(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


section.claim("Ω of step 2 is the engine's: relative difference", abs(Omega_of(W, b) / Omega - 1), "<=", 1e-12)
section.claim("both paths together are the engine's ∂Ω/∂W", relative(by_w + by_h, engine["W1"]), "<=", 1e-12)
section.claim("Σ_b ∂Ω/∂a is the engine's ∂Ω/∂b", relative(da.sum(axis=0), engine["b1"]), "<=", 1e-12)
section.claim("both paths together are a difference of Ω", relative(by_w + by_h, differences), "<=", 1e-7)
alone = section.number("relative error of ∂Ω/∂W", relative(by_w, differences), of="the path through W alone")
section.claim("the path through W alone is not the gradient", alone, ">", 1e-3)
alone = section.number("relative error of ∂Ω/∂W", relative(by_h, differences), of="the path through h alone")
section.claim("the path through h alone is not the gradient", alone, ">", 1e-3)

# %% [markdown]
# (The weights of the engine's model are tied, and L has weight 0 here, so that W gets no gradient from the decoder.)
#
# Is Ω what its name says, on a trained model? We compare it in two ways: the Jacobian with differences of h along a
# random direction, and the closed form of step 2 with the sum of squares of a Jacobian that is written out.

# %%
some = X_test[:50].astype(np.float64)
one = train(ContractiveAutoencoder((n, units), lam=1.0, seed=section.seed, **on))
model = one.copy(dtype="float64")
Jf = model.jacobian(some)  # (50, m, n)
by_unit = np.square(Jf).sum(axis=2)  # ‖∇_x h_i‖²
v = rng.standard_normal(n)
v /= np.linalg.norm(v)
difference = (model.encode(some + 1e-5 * v) - model.encode(some - 1e-5 * v)) / 2e-5
section.claim("∇h along a direction, by differences", abs(difference - Jf @ v).max(), "<=", 1e-8)
closed = model.evaluate(some)["Omega"]
section.claim("Ω in closed form is Σ ‖∇h_i‖²", abs(closed / by_unit.sum(axis=1).mean() - 1), "<=", 1e-10)

# %% [markdown]
# ## 2. What λ does
# Two forces are at work. Ω wants a flat f: the best for Ω alone is a code that never changes. L wants a code from which
# x can be told. The larger λ, the more the first force wins. For exact minima of J on the training data this is a
# theorem: let θ₁ and θ₂ be the minima for λ₁ < λ₂, so that
#
#     L₁ + λ₁ Ω₁ ≤ L₂ + λ₁ Ω₂     and     L₂ + λ₂ Ω₂ ≤ L₁ + λ₂ Ω₁
#
# where L₁ and Ω₁ are the values at θ₁. Adding the two gives (λ₂ − λ₁)(Ω₁ − Ω₂) ≥ 0. So Ω cannot rise with λ, and then
# L cannot fall. That is not much of a discovery. What is no theorem is whether the *code* becomes more robust. A
# smaller h alone would make its derivatives smaller too, and so would a code that tells nothing apart. So we need a
# measure that has no scale. We divide the distance that noise moves a code, by the distance between the codes of two
# different rows:
#
#     noise in h = mean ‖f(x + σ ε) − f(x)‖ / mean ‖f(x) − f(x′)‖,     ε ~ N(0, I),     σ = 0.1
#
# where x′ is another row of the data. Weights are tied, V = Wᵀ: with V free, f could shrink and V could grow in return,
# which makes the derivatives small and changes nothing.
#
# And we need a rival. Weight decay adds a multiple of ½ ‖W‖² to L. It makes derivatives small as well, simply because
# ∂h_j/∂x_i = p_j W_ij. So does it buy the same robustness at the same price? The price is L. We train the same network
# with weight decay of several strengths, and compare at equal L: on the straight line between the two strengths whose L
# enclose that of λ = 1. Everything is measured on validation rows, not on the rows of the test.

# %%
lams = section.pick((0, 1, 10), (0, 0.1, 1, 3, 10), (0, 0.1, 1, 3, 10))
decays = section.pick((0.03, 0.1), (0.01, 0.03, 0.1), (0.01, 0.03, 0.1))
noise = 0.1 * rng.standard_normal(X_valid.shape).astype(np.float32)


def noise_in_h(model, x=X_valid[:1000], n=noise[:1000]):
    h = model.encode(x)
    moved = np.linalg.norm(model.encode(x + n) - h, axis=1).mean()
    return float(moved / np.linalg.norm(h - h[::-1], axis=1).mean())


def measure(models, label):
    jacobians = [np.linalg.norm(m.jacobian(X_valid[:100]), axis=(1, 2)).mean() for m in models]
    norm = section.number("mean ‖Jf‖", jacobians, of=label)
    L = section.number("L, nats, validation", [m.evaluate(X_valid)["L"] for m in models], of=label)
    moved = section.number("noise in h", [noise_in_h(m) for m in models], of=label)
    return norm, L, moved


contractive = {}
for lam in lams:
    kinds = [ContractiveAutoencoder((n, units), lam=lam, seed=seed, **on) for seed in section.seeds]
    contractive[lam] = [train(m, seed) for m, seed in zip(kinds, section.seeds, strict=True)]
norms, Ls, moves = zip(*(measure(models, f"λ = {lam}") for lam, models in contractive.items()), strict=True)
decayed = []
for decay in decays:
    kinds = [UndercompleteAutoencoder((n, units), tied=True, lam=decay, seed=seed, **on) for seed in section.seeds]
    models = [train(m, seed) for m, seed in zip(kinds, section.seeds, strict=True)]
    decayed.append(measure(models, f"weight decay {decay}"))
_, L_decay, move_decay = zip((norms[0], Ls[0], moves[0]), *decayed, strict=True)  # λ = 0 is where both begin
section.claim("‖∇h‖ falls with every λ: largest ratio of neighbours", max(np.divide(norms[1:], norms[:-1])), "<", 1)
ours = lams.index(1)
section.claim("the code becomes robust: noise in h, λ = 1 against none", moves[ours], "<", moves[0])
at_equal_L = np.interp(Ls[ours], L_decay, move_decay)  # on the line between the two decays whose L enclose ours
at_equal_L = section.number("noise in h, at the L of λ = 1", at_equal_L, of="weight decay, interpolated")
section.claim("at the same L, the penalty makes h more robust than weight decay does", moves[ours], "<", at_equal_L)

places = np.arange(len(lams))
values = {"‖Jf‖": norms, "noise in h": moves, "L": Ls}
curves = {name: (places, np.divide(value, value[0])) for name, value in values.items()}
fig = plots.levels(curves, "λ", "value over that at λ = 0", "What the weight λ of the penalty does")
fig.axes[0].set_xticks(places, lams)
section.figure(
    fig,
    "by_lambda",
    caption="Three quantities of networks that differ in λ alone, on validation data, each divided by its value at "
    "λ = 0: the size of the encoder's Jacobian, the noise that passes from x into h, and the reconstruction loss L. "
    "The λ that were tried are drawn at equal distances. At default size look at λ = 1: ‖Jf‖ has fallen by "
    "almost a half, and L has risen by a sixth. Beyond that, L pays more and more.",
    alt="Three lines that start at 1. ‖Jf‖ falls furthest, the noise in h falls with it but less far, and L rises, "
    "slowly at first.",
)
series = {"contractive": (Ls, moves), "weight decay": (L_decay, move_decay)}
section.figure(
    plots.levels(series, "L, nats, validation", "noise in h", "Robustness, and its price"),
    "price",
    caption="Each point is a network: on the one line the λ of the contractive penalty differ, on the other the "
    "strength of weight decay, and both begin at the network without a penalty, on the left. Further down is more "
    "robust, further left is a better reconstruction. The lower line buys the same robustness at a lower price.",
    alt="Two falling curves from the same point on the left. The curve of the contractive penalty lies below that of "
    "weight decay.",
)

# %%
sigmas = np.linspace(0, 0.5, 11)
shown = [lam for lam in lams if lam in (0, 1, 10)]
x, eps = X_test[:500], rng.standard_normal(X_test[:500].shape).astype(np.float32)
series = {}
for lam in shown:
    series[f"λ = {lam}"] = (sigmas, [noise_in_h(contractive[lam][0], x, np.float32(sigma) * eps) for sigma in sigmas])
section.figure(
    plots.levels(series, "σ of the noise in x", "noise in h", "What the code does when x is disturbed"),
    "disturbed",
    caption="How far the code of a test row moves, on average, when noise of standard deviation σ is added to x, "
    "divided by the distance between the codes of two different rows. At 1 the noise moves a code as far as it is to "
    "the code of another row. Look at the order of the lines, which is the same at every σ, also at noise much larger "
    "than the infinitely small one that Ω is about.",
    alt="Lines that rise from 0, one for each λ. The larger λ is, the lower is the line.",
)

# %% [markdown]
# What do we see at default size? From λ = 0 to λ = 1 the Jacobian shrinks from 8.2 to 4.7, and the noise in h from
# 0.106 to 0.069. L pays with 14 nats. Since the noise in h has no scale, the code has not merely become smaller: it has
# become more robust. Weight decay makes it more robust too, but at a higher price. At the L of λ = 1 its noise in h is
# 0.080. The reason is the second path of the gradient. Weight decay can only make W smaller, everywhere. The penalty
# can also move a unit to where its slope is small for the data, with h near 0 or 1, and leave its weights alone. (We
# looked once, beside this script: at the L of λ = 1 the mean of p² is 0.010, and 0.020 with weight decay, while the
# mean of w_j is 12.5, and 8.6 with weight decay. So the penalty has the larger weights and the smaller slopes.)
#
# Which λ should one take? L cannot tell, since it rises with every λ. At λ = 10 the code is most robust, and L has
# nearly doubled. Section 14.7 lets another judge choose.
#
# ## 3. A deep code, exactly and by an estimate
# With several layers the Jacobian is a product of a slope and a matrix for each layer, Jf = P_D W_Dᵀ ⋯ P_1 W_1ᵀ, where
# P_l is diagonal and holds the slopes φ'(a_l), and D is the number of layers. (Here Jf belongs to one x, and has a row
# for each code unit.) There is no closed form as in step 2, and each row of Jf costs a product with every weight
# matrix. With many code units this is expensive. Hutchinson's estimate takes a few random directions ξ of the code
# instead of all of them. If ξ is a random row with E ξᵀξ = I, then
#
#     E ‖ξ Jf‖² = E tr(Jfᵀ ξᵀξ Jf) = tr(Jfᵀ Jf) = ‖Jf‖²
#
# So the mean of many estimates must be the exact Ω, up to a few standard errors. We check both: the exact Ω against a
# Jacobian that is written out, and the mean of 200 estimates by four directions each against the exact Ω.

# %%
deep = dict(sizes=(n, 100, 40), activation="softplus", tied=False, lam=0.1, seed=section.seed, **on)
exact = train(ContractiveAutoencoder(**deep), epochs=section.pick(2, 4, 3))
estimate = ContractiveAutoencoder(**deep, probes=4)
estimate.parameters.flat[...] = exact.parameters.flat
draws, batch = [], section.backend.from_numpy(X_test[:64])
for k in range(200):
    xi = estimate.draw({"x": batch}, section.seed, "noise", 0, k)
    draws.append(float(estimate.cost_and_grad(batch, need_grad=False, **xi)["Omega"]))
Omega = section.number("‖Jf‖²", exact.evaluate(X_test[:64])["Omega"], of="deep code, exact")
Jf = exact.copy(dtype="float64").jacobian(some)
off = exact.copy(dtype="float64").evaluate(some)["Omega"] / np.square(Jf).sum(axis=(1, 2)).mean() - 1
section.claim("exact Ω of a deep code is that of a Jacobian that is written out", abs(off), "<=", 1e-10)
section.number("‖Jf‖²", np.mean(draws), of="deep code, mean of 200 estimates by 4 directions")
off = abs(np.mean(draws) - Omega) / (np.std(draws) / np.sqrt(len(draws)))
section.claim("the estimate has the right mean: standard errors off", off, "<=", 4)

# %% [markdown]
# The mean of the estimates is 34.6 and the exact value 34.5, less than two standard errors apart. An estimate with few
# directions is noisy for a single batch, but the noise has mean 0, so it averages out over the steps of training.
#
# ## 4. The second derivatives
# A small Jacobian at x says nothing of a Jacobian nearby: f may still bend sharply. Rifai et al. (2011b) add a term for
# that, the change of the Jacobian from x to a point near x,
#
#     H = E ‖Jf(x) − Jf(x + σ ε)‖²,     ε ~ N(0, I)
#
# which for small σ is the size of the second derivatives of f. The cost is J = L + λ Ω + γ H. With a weight γ > 0 we
# expect that H falls. But a smaller Jf alone would make H smaller too. So we divide again, and ask whether H/Ω falls.
# Both networks have λ = 1.

# %%
bend = {}
for gamma in (0.0, 10.0):
    options = dict(lam=1.0, gamma=gamma, sigma=0.2, draws=2, seed=section.seed, **on)
    curved = HigherOrderContractiveAutoencoder((n, section.pick(60, 100, 100)), **options)
    curved = train(curved, epochs=section.pick(4, 6, 3))
    measured = curved.copy()
    measured.gamma = 1.0  # a term of weight 0 is skipped, and H is wanted for both
    at = measured.evaluate(X_test)
    section.number("H at σ = 0.2", at["H"], of=f"γ = {gamma:g}")
    bend[gamma] = section.number("H/Ω at σ = 0.2", at["H"] / at["Omega"], of=f"γ = {gamma:g}")
section.claim("the Hessian term straightens f: H/Ω with γ over without", bend[10.0] / bend[0.0], "<", 1)

# %%
worst = max(check_gradient(m, X_test[:3], entries=20).worst.error for m in (one, exact, curved))
section.claim("the gradients are those of J", section.number("largest error of the gradient check", worst), "<=", 1e-7)

# %% [markdown]
# H/Ω falls from 0.114 to 0.072. So f has become straighter, and not only flatter. Whether a straighter f is a better
# code is not shown by this number.
#
# What follows from the section? Robustness can be asked for without noise, exactly, at about the cost of one more
# forward pass for one layer. The price is an L that is worse. And the request is local: it is made at the training
# examples and for infinitely small changes of x. The picture `disturbed` shows that it reaches further than that on
# these data. Nothing in (14.11) promises it.
#
# ## Exercises
# 1. On paper. Let φ be the ReLU. Write Ω and both paths of its gradient. Which of the two vanishes, and what is left?
#    Compare with weight decay: when are the two penalties the same?
# 2. With code. Derive Ω and its gradient for tanh, in terms of h alone: φ' = 1 − h², φ'' = −2h (1 − h²). Write Ω, both
#    paths and ∂Ω/∂b in NumPy, as above, and hold them against the engine. You should reach a relative difference of at
#    most 1e-12. (The solution is in `solutions/14_2_3_derivatives.py`.)
# 3. With code. Train the network for λ = 1 with V free (tied=False), and measure ‖Jf‖, the length of V, and the noise
#    in h. Has the penalty been met, and is the code more robust than that of λ = 0?

# %%
section.finish()

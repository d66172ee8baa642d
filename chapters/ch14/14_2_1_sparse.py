"""14.2.1 Sparse Autoencoders

Equations: 14.2, 14.3, 14.4, 14.5, 14.6, 14.7
Figures: features (learned from small patches); stopping (held-out loss by epoch); copies (what a wide code lets
through); activity (how often the units are on)

An undercomplete autoencoder (section 14.1) must be kept small by hand. Can a code be as wide as we like, wider than x
itself, and still be worth something? Without a penalty such a code could copy x and learn nothing. A sparse autoencoder
therefore adds to the loss a penalty on the code,

    J = L(x, g(f(x))) + Ω(h)     (14.2)

The book reads it as a model with latent h. The likelihood

    log p(x) = log Σ_h p(h, x)     (14.3)

is a sum over all codes, and is approximated by its term at one h, the code that the encoder gives:

    log p(h, x) = log p(h) + log p(x | h)     (14.4)

The second term is −L. A Laplace prior on each unit,

    p(h_i) = λ/2 e^{−λ|h_i|}     (14.5)

makes the first term a penalty on the absolute values of the code,

    Ω(h) = λ Σ_i |h_i|     (14.6)

because

    −log p(h) = Σ_i (λ|h_i| − log λ/2) = Ω(h) + const     (14.7)

Note what this is not. A penalty on the weights is a prior on θ and makes training a search for the most probable θ. A
penalty on h depends on the data, so it is no prior on θ, and the book calls the model a generative one with latent h
that is trained approximately.

There are other ways to make a code sparse. Ng takes for Ω the divergence KL(ρ ‖ ρ̂_j) between a target ρ and the mean
ρ̂_j of the unit h_j over the batch. Makhzani and Frey keep the k largest units of each code and set the others to 0.

The symbols are in minae/NOTATION.md. Forward pass, derivation and backward pass stand in minae/models/sparse.py and
minae/models/k_sparse.py, and those of the two penalties in minae/penalties.py.
"""

# %%
import warnings

import numpy as np
from scipy import stats

import minae
from minae import InputError, SparseAutoencoder, UndercompleteAutoencoder, check_gradient, data, plots
from minae.chapters import Section
from minae.chapters.classical import PCA
from minae.metrics.probe import probe_error
from minae.options import Weight
from minae.penalties import KLSparsity, Laplace, WeightDecay
from minae.training import SGD, Adam, Cosine

section = Section("14.2.1")
digits = data.mnist(full=section.size == "full")
X, X_test = digits.train, digits.test  # (rows, 784), pixels in [0, 1]
rng, on = np.random.default_rng(section.seed), dict(backend=section.backend)


# %% [markdown]
# ## The L1 penalty is a Laplace prior     (14.5 to 14.7)
# By (14.7), Ω(h) and −log p(h) differ by a constant that does not depend on h. For m units the constant is
#
#     m log(2/λ)
#
# We take −log p(h) from SciPy's Laplace distribution and Ω from the engine, at five codes drawn at random.

# %%
lam, h = 0.7, rng.standard_normal((5, 12))
minus_log_p = -stats.laplace(scale=1 / lam).logpdf(h).sum(axis=1)
Omega = np.array([lam * float(Laplace().value(row[None])) for row in h])
spread = section.number(
    "largest |−log p(h) − Ω(h) − m log(2/λ)|", abs(minus_log_p - Omega - 12 * np.log(2 / lam)).max()
)
section.claim("Ω = λ Σ |h| is −log of a Laplace prior, but for a constant", spread, "<=", 1e-12)

# %% [markdown]
# ## KL(ρ ‖ ρ̂) couples the examples of a batch
# Ng's penalty asks that each unit be on rarely: the mean ρ̂_j of the unit over the batch shall be ρ. It is
#
#     Ω = Σ_j ρ log(ρ/ρ̂_j) + (1−ρ) log((1−ρ)/(1−ρ̂_j)),     ρ̂_j = 1/B Σ_b h_bj
#
# What is its gradient? The number h_bj enters Ω through ρ̂_j alone, so the chain rule has two factors:
#
#     ∂Ω/∂ρ̂_j = (1−ρ)/(1−ρ̂_j) − ρ/ρ̂_j
#     ∂ρ̂_j/∂h_bj = 1/B
#     ∂Ω/∂h_bj = 1/B ((1−ρ)/(1−ρ̂_j) − ρ/ρ̂_j)
#
# The right-hand side has no h_bj in it: every example of the batch gets the same gradient, that of the batch. This is
# also why ρ is the target of a *batch* mean. A single code cannot be 0.01 on; one example in a hundred can be on. A
# batch must then hold several hundred examples: with B = 10, ρ̂_j is 0 or at least 0.1 for a unit that is on or off.
#
# Check the derivation against the engine, and both against a difference of Ω.

# %%
rho, h = 0.2, rng.uniform(0.05, 0.95, (6, 4))
penalty, dh = KLSparsity(rho), np.zeros((6, 4))
penalty.backward(h, dh)
rho_hat = h.mean(axis=0)
by_hand = np.tile(((1 - rho) / (1 - rho_hat) - rho / rho_hat) / 6, (6, 1))
up, down = h.copy(), h.copy()
up[2, 1] += 1e-6
down[2, 1] -= 1e-6
difference = float(penalty.value(up) - penalty.value(down)) / 2e-6
section.claim("the engine's gradient of KL is the one derived above", abs(dh - by_hand).max(), "<=", 1e-14)
section.claim("the gradient derived above is a difference of Ω", abs(by_hand[2, 1] / difference - 1), "<=", 1e-7)

# %% [markdown]
# ## KL(ρ ‖ ρ̂) reaches its ρ
# We repeat Ng's exercise: 8 × 8 patches of images, 25 sigmoid units, target ρ = 0.01, penalty weight λ = 3 (his β),
# trained by L-BFGS on all patches as one batch. Where the folder `MINAE_DATA` has no natural images, the patches come
# from digits. Ng adds weight decay (7.1.1), so the cost has three terms,
#
#     J = L + λ Ω(h) + decay · ½ Σ ‖W‖²
#
# and its gradient has one more term, too: dW gets decay · W added. No model of the engine has all three terms. But a
# model is a page, and here is one with a line more on the way down and a line more on the way up.


# %%
class DecayedSparseAutoencoder(SparseAutoencoder):
    """J = L(x, g(h)) + λ Ω(h) + decay · ½ Σ ‖W‖²,  h = f(x)"""

    decay = Weight("Decay", 3e-4, "weight of the term Decay = ½ Σ ‖W‖²")

    def build(self):
        super().build()
        self.weight_decay = WeightDecay(self.parameters, self.weights, "Decay")

    def cost_and_grad(self, x, mode="train", need_grad=True):
        h, f_cache = self.f.forward(x, mode)
        s, g_cache = self.g.forward(h, mode)
        L, ds = self.loss(s, x)
        cost = self.cost(L=L, Omega=self.penalty.value(h), Decay=self.weight_decay.value())
        if not need_grad:
            return cost

        # the same lines, upward
        self.weight_decay.backward()  # dW += decay · W
        dh = self.g.backward(ds, g_cache)
        self.penalty.backward(h, dh)  # dh += λ ∂Ω/∂h
        self.f.backward(dh, f_cache, need_dx=False)
        return cost


# %% [markdown]
# We train it with decay = 0 and with decay = 3 · 10⁻⁴. (Ng has 10⁻⁴ and a sigmoid decoder. Our decoder is linear, and
# needs some more decay for the same effect.) Each gradient is checked before training, as in the notes, and after it.

# %%
try:
    images, kind = data.natural_images() / 255, "natural images"
except InputError as error:
    print(f"  patches of digits, since {error}\n")
    images, kind = X.reshape(-1, 28, 28)[:, 4:24, 4:24], "digits"
x = data.patches(images, 8, section.pick(1000, 5000, 10000), rng, contrast=0.02).astype(np.float64)
x -= x.mean(axis=1, keepdims=True)
x = 0.5 + 0.4 * (x / (3 * x.std())).clip(-1, 1)  # in [0.1, 0.9], as in the notes
rho, decays = 0.01, {"without decay": 0.0, "with decay": 3e-4}
options = dict(sizes=(64, 25), penalty="kl", rho=rho, lam=3.0, loss="gaussian", dtype="float64", **on)
rates, before, after, weights = ({name: [] for name in decays} for _ in range(4))
for seed in section.seeds:
    for name, decay in decays.items():
        sparse = DecayedSparseAutoencoder(seed=seed, decay=decay, **options)
        before[name].append(check_gradient(sparse, x[:10], entries=100).worst.error)
        sparse.fit(x, optimizer="lbfgs", epochs=section.pick(80, 300, 400))
        rates[name].append(sparse.encode(x).mean(axis=0))
        after[name].append(check_gradient(sparse, x[:10], entries=100).worst.error)
        weights[name].append(section.backend.to_numpy(sparse.parameters["W1"]).T.copy())  # (25, 64), a row a unit


def roughness(W):
    """Mean square of the difference of neighbouring weights over the mean square of a weight."""
    W = W.reshape(-1, 8, 8)
    return (np.square(np.diff(W, axis=1)).mean() + np.square(np.diff(W, axis=2)).mean()) / 2 / np.square(W).mean()


rough = {}
for name in decays:
    label = f"KL sparsity, ρ = 0.01, {name}"
    section.number("mean of h over patches and units", [rate.mean() for rate in rates[name]], of=label)
    furthest = [max(abs(rate / rho - 1)) for rate in rates[name]]
    furthest = section.number("largest |ρ̂_j − ρ|/ρ", furthest, of=label)
    most = section.pick(0.4, 0.2, 0.2)
    section.claim(f"every ρ̂_j comes within {most:.0%} of ρ, {name}", furthest, "<=", most)
    published = "usually less than 1e-9 (seen; UFLDL notes)"
    error = section.number("largest error of the gradient check", before[name], published, of=f"{label}, untrained")
    section.claim(f"the gradient is that of J, {name}", error, "<=", 1e-9)
    error = section.number("largest error of the gradient check", after[name], of=f"{label}, trained")
    section.claim(f"the gradient is that of J after training too, where rounding makes 1e-8, {name}", error, "<=", 1e-7)
    rough[name] = section.number("roughness of the features", [roughness(W) for W in weights[name]], of=label)
section.claim("weight decay makes the features smooth: roughness", rough["with decay"], "<", rough["without decay"])
plain = UndercompleteAutoencoder((64, 25), seed=section.seed, loss="gaussian", dtype="float64", **on)
plain.fit(x, optimizer="lbfgs", epochs=50)
section.number("mean of h over patches and units", plain.encode(x).mean(), of="no penalty")

# %% [markdown]
# What has a unit learned? Its h is largest for the patch that looks like its weights, so we look at the weights, each
# in the place of its pixel. This is the picture that made the exercise famous.

# %%
rows = {}
for name in decays:
    W = weights[name][0]
    W = W[np.argsort(-np.square(W).sum(axis=1))]  # the longest first
    W = 0.5 + 0.5 * W / abs(W).max(axis=1, keepdims=True)  # grey is 0
    label = name.removeprefix("with ").replace("without", "no")
    rows |= {f"{label}, 1–12": W[:12], f"{label}, 13–24": W[12:24]}
section.figure(
    plots.images(rows, f"Weights of 24 units, 8 × 8 patches of {kind}: dark > 0, light < 0", shape=(8, 8)),
    "features",
    caption="The weights into 24 of the 25 units, the longest weight vectors first, each weight in the place of the "
    "pixel of its patch. Above, without weight decay: neighbouring weights differ as in noise. Below, with decay: "
    "stripes and edges of several places and slants, as in Ng's notes. Of digits in place of photographs they are "
    "pieces of strokes.",
    alt="Four rows of twelve small squares of grey levels, one square a unit. The upper two rows look like noise; in "
    "the lower two most squares hold one or two stripes of some slant.",
)

# %% [markdown]
# What do we see at default size? Both networks meet their target: no mean is off ρ = 0.01 by more than 15%. But without
# decay the features look like noise, and with decay they are edges. Why? The patches are smooth: neighbouring pixels
# have nearly the same value. So L hardly changes if a weight grows and its neighbour falls by as much, and without
# decay nothing holds such weights down. Training uses them for the last little of L, and the longer it goes on, the
# rougher the features become. Decay takes away what L hardly needs. (The roughness is 0 for a constant and 2 for
# independent weights. Decay brings it from 1.5 to 0.4.) So the sparsity decides *how many* units are on, and it takes
# both penalties to get features that a person can name.

# %% [markdown]
# ## A wide code without a penalty
# Now for wide codes: more units than pixels, and no penalty. In theory the network can copy. Does training find the
# copy? Courses tell that it does not: gradient descent begins with small weights and approaches the identity so slowly
# that the code is useful long before, if only one stops early. We measure that claim, and let it fail if it must.
#
# Three hundred digits train a network with more ReLU units than pixels by plain SGD. After each epoch we look at L on
# 1000 held-out digits. The run that "stops early" is the one with the weights of the epoch where that L was least. The
# rule sees no label and no noise. The other run goes on to the end. Beside them, a third run has weight decay (book,
# 7.1.1) and goes on to the end, since section 7.8 says that early stopping acts like weight decay. And the rival that
# is often forgotten is the network before its first step: random features.
#
# What is a code worth? Let another classifier say it: a softmax regression that is trained on the codes of all training
# digits, with labels, beside the same classifier on pixels.

# %%
warnings.filterwarnings("ignore", "no layer of")  # of a code this wide without a penalty: it is what we want to see
few, held_out = X[:300], X[-1000:]
wide = dict(sizes=(784, section.pick(800, 1000, 1000)), activation="relu", loss="bernoulli", **on)
epochs, decay = section.pick(20, 250, 400), 1e-2
names = ["random weights", "stopped early", "not stopped", "weight decay"]
probes = {name: [] for name in names}
losses = {name: [] for name in names[1:]}
distances, curves = [], {}
for seed in section.seeds:
    models = {name: UndercompleteAutoencoder(seed=seed, **wide) for name in ("random weights", "not stopped")}
    models["weight decay"] = UndercompleteAutoencoder(seed=seed, lam=decay, **wide)
    models["stopped early"] = models["random weights"].copy()
    path, best = {"not stopped": [], "weight decay": []}, [np.inf]

    def look(model, history, stopped=models["stopped early"], best=best):
        """Keep the weights of the epoch whose held-out L is least."""
        if history[-1]["validation"]["L"] < best[0]:
            best[0] = history[-1]["validation"]["L"]
            stopped.parameters.flat[...] = model.parameters.flat

    for name in path:
        callbacks = [look] if name == "not stopped" else []
        fitting = dict(batch_size=20, optimizer=SGD(0.03), seed=seed, validation=held_out, callbacks=callbacks)
        history = models[name].fit(few, epochs=epochs, **fitting)
        curves.setdefault(name, (np.array(history["epoch"]), np.array(history["validation.L"])))
    for name in names:
        codes = models[name].encode(X), models[name].encode(X_test)
        error = probe_error(codes[0], digits.train_labels, codes[1], digits.test_labels, seed, section.backend)
        probes[name].append(error)
    for name in losses:
        losses[name].append(models[name].evaluate(held_out)["L"])
pixels = [
    probe_error(X, digits.train_labels, X_test, digits.test_labels, seed, section.backend) for seed in section.seeds
]
published = "7.20 (recalled; Makhzani and Frey 2013)"
pixels = section.number("error % of a linear probe", pixels, published, of="pixels")
for name in names:
    probes[name] = section.number("error % of a linear probe", probes[name], of=f"wide code, {name}")
for name in losses:
    losses[name] = section.number("L on held-out digits, nats", losses[name], of=f"wide code, {name}")
if section.size != "quick":  # twenty epochs overfit nothing
    used, decayed = probes["stopped early"], losses["weight decay"]
    section.claim("a wide code without a penalty can be used: its error against that of pixels", used, "<", pixels)
    section.claim("weight decay ends at another place: below the stopped run", decayed, "<", losses["stopped early"])
fig = plots.levels(curves, "epoch", "L on held-out digits, nats", "A wide network, 300 training digits", "log", "log")
section.figure(
    fig,
    "stopping",
    caption="The loss on 1000 held-out digits by epoch, without a penalty and with weight decay. Without decay the "
    "loss falls, reaches its least value, and rises again: the place where early stopping stops. With decay it goes on "
    "to fall, below that value.",
    alt="Two falling curves on logarithmic axes. The curve without a penalty turns upward near its end, the curve with "
    "weight decay does not.",
)

# %% [markdown]
# What do we see at default size? The code of the run that was stopped serves a classifier better than pixels do (an
# error of 9.8% against 11.8%), so the network has not copied itself into uselessness. But nearly the same is true of
# the run that was not stopped (10.1%), and of the random weights from which both began (10.1%): differences of less
# than a point are within what 1000 test digits can tell. So early stopping helped the reconstruction of new digits and
# not the code, and most of the gain over pixels is that of 1000 random ReLU features, which owes nothing to training.
# Nor is early stopping weight decay by another name here: with decay the held-out loss ends lower than the stopped
# run's best. For a quadratic cost the book shows in section 7.8 that the two take the same path, and a network of ReLU
# units has no such cost. A wide code without a penalty is usable, then, but training it has bought little. That is what
# penalties are for.
#
# ## An L1 penalty against the copy
# The identity lets everything through. So add noise n to test digits and see which share of it reaches the output,
#
#     ‖r(x + n) − r(x)‖² / ‖n‖²
#
# which is 1 for the identity. Two networks with 1000 ReLU units, one of them with an L1 penalty, start from weights a
# tenth of the usual size, so that they approach the identity slowly. A network that reconstructs badly lets little
# noise through as well, so the share means nothing without the error. The rival is therefore PCA, with as many
# components as it needs to have the error of the L1 network.

# %%
n = 0.3 * rng.standard_normal(X_test.shape).astype(np.float32)


def noise_that_passes(model):
    return float(np.square(model.reconstruct(X_test + n) - model.reconstruct(X_test)).sum() / np.square(n).sum())


def squared_error(model):
    return float(np.square(model.reconstruct(X_test) - X_test).sum(axis=1).mean())


wide = dict(sizes=(784, 1000), activation="relu", loss="gaussian", **on)
names = ["no penalty", "sparse, L1"]
passed, active, alive, error = ({name: [] for name in names} for _ in range(4))
for seed in section.seeds:
    models = {"no penalty": UndercompleteAutoencoder(seed=seed, **wide)}
    models["sparse, L1"] = minae.SparseAutoencoder(penalty="l1", lam=0.05, seed=seed, **wide)
    for name, model in models.items():
        model.parameters.flat[...] *= 0.1
        model.fit(X[:12000], epochs=section.pick(2, 12, 12), optimizer=Adam(1e-3), seed=seed)
        passed[name].append(noise_that_passes(model))
        on_at = model.encode(X_test) > 1e-3  # (rows, units): which units are on
        active[name].append(on_at.mean())
        alive[name].append(on_at.any(axis=0).sum())
        error[name].append(squared_error(model))
for name in names:
    passed[name] = section.number("share of the noise that passes", passed[name], of=f"1000 units, {name}")
    active[name] = section.number("share of the units that are on", active[name], of=f"1000 units, {name}")
    alive[name] = section.number("units that are ever on", alive[name], of=f"1000 units, {name}")
    error[name] = section.number("squared error, test images", error[name], of=f"1000 units, {name}")
pca = PCA(X, 784)
unexplained = np.square(X_test - pca.mu).sum(axis=1).mean() - np.cumsum(np.square(pca.encode(X_test)).mean(axis=0))
k = 1 + int(np.argmax(unexplained <= error["sparse, L1"]))
section.number("components for the error of the L1 network", k, of="PCA")
section.number("share of the noise that passes", noise_that_passes(PCA(X, k)), of=f"PCA, k = {k}")
section.number("squared error, test images", squared_error(PCA(X, k)), of=f"PCA, k = {k}")
section.claim("the penalty lets less noise through", passed["sparse, L1"], "<", passed["no penalty"])
section.claim(
    "the penalty turns units off: share of the units that are on", active["sparse, L1"], "<", active["no penalty"]
)
x, y = X_test[:12], X_test[:12] + n[:12]
rows = {"x": x, "x + n": y} | {f"r, {name}": model.reconstruct(y) for name, model in models.items()}
section.figure(
    plots.images(rows | {f"r, PCA, k = {k}": PCA(X, k).reconstruct(y)}, "What a wide code lets through"),
    "copies",
    caption="Test digits x, the same with noise n, and what becomes of x + n: by 1000 units without a penalty, by 1000 "
    "units with an L1 penalty, and by PCA with as many components as give the same error as the L1 network. The "
    "identity would return the noise. The penalty removes more of it, and so does a narrow linear code.",
    alt="Five rows of twelve digits: clean, noisy, and three reconstructions of the noisy ones, each less noisy than "
    "its input and more blurred than the clean digits.",
)
share = {name: np.sort((model.encode(X_test) > 1e-3).mean(axis=0))[::-1] for name, model in models.items()}
series = {name: (np.arange(1, 1001), values) for name, values in share.items()}
section.figure(
    plots.levels(series, "unit, in order of its share", "share of test digits", "How often a unit is on"),
    "activity",
    caption="For each of the 1000 units the share of the test digits at which it is on, h > 0.001, the busiest unit "
    "first. Look at where the curves fall to 0: units to the right of it are never on, they are dead. Under the L1 "
    "penalty all but a few units are dead, and those few are on for most digits. This is a narrow code, not a sparse "
    "one.",
    alt="Two curves that stay high and then drop to 0. The curve without a penalty drops beyond the middle, the curve "
    "of the L1 penalty near the left edge.",
)

# %% [markdown]
# The picture of the activity holds the surprise of this section. We hoped for a code in which each digit uses a few
# units of its own. What training found is cheaper: it killed nearly all units, and the rest, some thirty, are on for
# almost every digit. The penalty has turned the wide network into an undercomplete one, and that is why it behaves as
# PCA with about as many components does: the same error, and as little noise that passes. The cost asked for a small Σ
# |h_i| and got it; nothing in (14.6) says *how* the sum is to be small. A ReLU unit that is 0 on all examples gets no
# gradient, so it never returns.

# %% [markdown]
# ## k-sparse codes
# A code can be made sparse by construction instead. Here the k largest linear units of each code are kept, the weights
# are tied, and nothing else is penalised. A softmax regression reads the digit off the code, beside one on pixels and
# those on the wide codes above.

# %%
units, epochs, source = section.pick(200, 1000, 1000), section.pick(3, 15, 8), "(recalled; Makhzani and Frey 2013)"
errors = {}
for k, published in section.pick({25: 1.35}, {25: 1.35}, {25: 1.35, 40: 1.54}).items():
    errors[k] = []
    for seed in section.seeds:
        model = minae.KSparseAutoencoder((784, units), k=k, loss="gaussian", tied=True, seed=seed, **on)
        model.fit(X, epochs=epochs, optimizer=Adam(Cosine(1e-3, steps=epochs * -(-len(X) // 128))), seed=seed)
        errors[k].append(
            probe_error(
                model.encode(X), digits.train_labels, model.encode(X_test), digits.test_labels, seed, section.backend
            )
        )
    section.number("error % of a linear probe", errors[k], f"{published} {source}", of=f"k-sparse code, k = {k}")
if section.size != "quick":
    section.claim("points that the k-sparse code gains over pixels, k = 25", pixels - np.mean(errors[25]), ">", 0)
section.guard("points that the k-sparse code gains over pixels, k = 25", pixels - np.mean(errors[25]), ">=", 2)

# %% [markdown]
# ## Exercises
# 1. On paper. The derivative of |h| at h = 0 does not exist, and the engine takes it as 0. Show that a ReLU unit that
#    is 0 on every example gets no gradient at all, from L or from Ω. What does this mean for the dead units of the
#    picture?
# 2. With code. Replace the Laplace prior by a Student-t prior, p(h_i) ∝ 1/(1 + h_i²): derive Ω and ∂Ω/∂h, write them as
#    a class with `value` and `backward`, put it into a SparseAutoencoder, and let `check_gradient` judge it. Your
#    largest error should be at most 1e-7. (The solution is in `solutions/14_2_1_sparse.py`.)
# 3. With code. Train KL sparsity on the patches with batches of 10, 100 and 1000 rows by Adam, and draw the means of
#    the units over all patches. Which batch is large enough for ρ = 0.01, and why?

# %%
section.finish()

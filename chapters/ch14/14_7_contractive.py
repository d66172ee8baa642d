"""14.7 Contractive Autoencoders

Equations: 14.10, 14.18
Figures: choice (probe error by λ); singular_values (of Jf, for three kinds of autoencoder); tangents (14.10: by local
PCA and by the contractive autoencoder)

Section 14.2.3 penalised the derivatives of the code. Its cost

    J = L(x, g(f(x))) + Ω     (14.10)

has the penalty

    Ω(h) = λ ‖∂f(x)/∂x‖²_F     (14.18)

the squared Frobenius norm of the Jacobian Jf. There we asked whether the code becomes robust. Here we ask what it is
robust *against*. The name says what should happen: f is contractive at x where it maps a small neighbourhood of x to a
smaller neighbourhood of h. Along a unit vector v, a step of length ε in x moves the code by ε ‖Jf v‖. The singular
values of Jf tell the factor in each of its singular directions: below 1 f contracts, above 1 it expands.

Two forces pull. Ω wants every singular value to be 0. Reconstruction resists, because two training examples must keep
different codes, or g could not tell them apart. The compromise should be cheap where it can be: f contracts in all
directions in which there are no other examples, and keeps the few directions along which the data vary. Those are the
tangents of the manifold on which the data lie, so that the leading singular vectors of Jf should be these tangents.
This is a story. This script asks, on digits, how much of it is true.

Symbols: minae/NOTATION.md. Forward pass and backward pass: minae/models/contractive.py. Ω and its derivation:
minae/contraction.py; section 14.2.3 derives it step by step.
"""

# %%
import numpy as np

from minae import ContractiveAutoencoder, DenoisingAutoencoder, UndercompleteAutoencoder, check_gradient, data, plots
from minae.chapters import Section
from minae.metrics.probe import probe_error
from minae.training import Adam, Cosine

section = Section("14.7")
digits = data.mnist(full=section.size == "full")
rows = section.pick(2000, len(digits.train), len(digits.train))
cut = rows - rows // 6  # the last sixth is for validation
X, labels = digits.train[:cut], digits.train_labels[:cut]  # (rows, 784), pixels in [0, 1]
X_valid, valid_labels = digits.train[cut:rows], digits.train_labels[cut:rows]
X_test = digits.test
epochs, batch, units = section.pick(5, 12, 8), section.pick(64, 64, 128), section.pick(100, 300, 500)
probe_epochs = section.pick(30, 60, 10)


def train(kind, seed, **options):
    """Sigmoid units; V = Wᵀ, since with V free f could shrink by a factor that g undoes, and contract nothing."""
    model = kind((784, units), tied=True, seed=seed, backend=section.backend, **options)
    optimizer = Adam(Cosine(section.pick(1e-2, 5e-3, 2e-3), steps=epochs * -(-len(X) // batch)))
    model.fit(X, epochs=epochs, batch_size=batch, optimizer=optimizer, seed=seed)
    return model


def probe(model, x, y, seed):
    """Error in % of a softmax regression on the codes of the training digits, trained until it hardly changes."""
    return probe_error(model.encode(X), labels, model.encode(x), y, seed, section.backend, epochs=probe_epochs)


# %% [markdown]
# ## A case that can be solved
# Take a linear f with tied weights, h = x W and r = h Wᵀ, and squared error L = ½ ‖x − r‖². The data have mean 0 and
# variances v_j along their principal directions D_j. Let W stretch these directions, W = D diag(s). (A rotation of the
# code changes neither L nor Ω, and no other W does better; the check below does not presume it.) Then
#
# **Step 1.** r multiplies the component j of x by s_j². So L = ½ Σ_j v_j (1 − s_j²)².
#
# **Step 2.** Jf = Wᵀ is the same everywhere, and ‖Jf‖² = Σ_j s_j². The s_j are the singular values of Jf.
#
# **Step 3.** J is a sum over j, so that each s_j can be found alone:
#
#     J = Σ_j ½ v_j (1 − s_j²)² + λ s_j²
#     ∂J/∂(s_j²) = −v_j (1 − s_j²) + λ
#
# which is 0 at s_j² = 1 − λ/v_j. If v_j is smaller than λ, then the derivative is positive for every s_j² ≥ 0, and the
# best s_j is 0.
#
# So a linear contractive autoencoder does what the story says: it contracts all directions, s_j < 1, those of small
# variance more than those of large variance, and those with v_j < λ completely. λ is the variance that a direction must
# have to be kept. We check this by training on a random sample with six different variances.

# %%
rng, lam = np.random.default_rng(section.seed), 1.0
axes = np.linalg.qr(rng.standard_normal((6, 6)))[0]
z = rng.standard_normal((2000, 6)) * np.sqrt([9.0, 5.0, 3.0, 1.5, 0.7, 0.3]) @ axes
z -= z.mean(axis=0)
linear = ContractiveAutoencoder(
    (6, 6), activation="identity", loss="gaussian", lam=lam, dtype="float64", seed=section.seed, backend=section.backend
)
linear.fit(z, optimizer="lbfgs", epochs=300)
s = np.linalg.svd(section.backend.to_numpy(linear.parameters["W1"]), compute_uv=False)
v = np.linalg.eigvalsh(z.T @ z / len(z))[::-1]
expected = np.sqrt((1 - lam / v).clip(0))
off = section.number("largest difference from √(1 − λ/v_j)", abs(s - expected).max(), of="singular values, linear f")
section.claim("a linear f keeps the directions whose variance is above λ", off, "<=", 1e-2)

# %% [markdown]
# A linear f has the same Jacobian at every x, and all that it can keep is the largest principal directions. A nonlinear
# f can keep other directions at each x, and this is what makes it interesting. For it there is no formula. Now to
# digits.

# %% [markdown]
# ## How large a λ?
# The whole story stands and falls with λ. With a small λ nothing contracts, and with a large λ the code knows nothing
# any more: the best h for Ω alone is a constant. The cost cannot choose λ for us, since L prefers λ = 0. So we need a
# judge from outside, and take the linear probe: a softmax regression, trained to read the digit off the code. Each λ is
# judged on *validation* digits, which are used for nothing else.
#
# There are two rivals of the same size, with the same training: the plain autoencoder, which is λ = 0, and a denoising
# autoencoder, because its noise should make a code robust as well. The denoiser gets its own sweep, over the σ of its
# Gaussian noise.

# %%
SWEEPS = {
    "denoising": (DenoisingAutoencoder, "level", section.pick((0.3,), (0.3, 0.6, 1.0), (0.3, 0.6, 1.0))),
    "contractive": (ContractiveAutoencoder, "lam", section.pick((1,), (0.1, 0.3, 1, 3, 10), (0.1, 0.3, 1, 3, 10))),
}
models = {"plain": [train(UndercompleteAutoencoder, seed) for seed in section.seeds]}
on_validation, candidates = {}, {("plain", 0): models["plain"]}
for name, (kind, option, strengths) in SWEEPS.items():
    more = dict(corruption="gaussian") if name == "denoising" else {}
    for strength in strengths:
        candidates[name, strength] = [train(kind, seed, **{option: strength}, **more) for seed in section.seeds]
for (name, strength), found in candidates.items():
    errors = [probe(model, X_valid, valid_labels, seed) for model, seed in zip(found, section.seeds, strict=True)]
    label = {"plain": "plain", "denoising": f"denoising, σ = {strength}", "contractive": f"contractive, λ = {strength}"}
    on_validation[name, strength] = section.number("probe error %, validation", errors, of=label[name])
chosen = {"plain": 0}
for name, (_, option, strengths) in SWEEPS.items():
    chosen[name] = min(strengths, key=lambda strength: on_validation[name, strength])
    models[name] = candidates[name, chosen[name]]
    section.number(f"{'σ' if option == 'level' else 'λ'} of the least probe error", chosen[name], of=name)
lam, contractive = chosen["contractive"], models["contractive"][0]


class Pixels:
    """The code that is x itself."""

    def encode(self, x):
        return x


errors = [probe(Pixels(), X_test, digits.test_labels, seed) for seed in section.seeds]
error = {"pixels": section.number("probe error %, test", errors, of="pixels")}
for name in models:
    pairs = zip(models[name], section.seeds, strict=True)
    errors = [probe(model, X_test, digits.test_labels, seed) for model, seed in pairs]
    error[name] = section.number("probe error %, test", errors, of=f"code of {name}")
if section.size != "quick":
    section.claim("the contractive code says more of the digit than pixels", error["contractive"], "<", error["pixels"])
    section.claim("it says more than the plain code", error["contractive"], "<", error["plain"])
strengths = SWEEPS["contractive"][2]
places = np.arange(len(strengths) + 1)
series = {
    "contractive": (places, [on_validation["plain", 0]] + [on_validation["contractive", one] for one in strengths])
}
fig = plots.levels(series, "λ", "probe error %, validation", "How large a λ?")
fig.axes[0].set_xticks(places, [0, *strengths])
level = on_validation["denoising", chosen["denoising"]]
fig.axes[0].axhline(level, color=plots.look("denoising").color, linewidth=1, linestyle=":")
fig.axes[0].annotate("denoising, best σ", (0, level), ha="left", va="bottom", fontsize=8)
section.figure(
    fig,
    "choice",
    caption="The error of a linear probe on validation digits by the λ of the contractive autoencoder. The λ that "
    "were tried are drawn at equal distances, and λ = 0 is the plain autoencoder. The dotted line is the denoising "
    "autoencoder at its best σ. Look for the minimum: with a smaller λ the penalty does too little, with a larger one "
    "it takes away what the probe needs.",
    alt="A line over the values of λ. At default size it falls slowly from λ = 0, has its minimum near λ = 1, and "
    "rises steeply at λ = 10.",
)

# %% [markdown]
# At default size λ = 1 has the least error on validation digits: 5.4%, where λ = 0 has 7.7%, and λ = 10 has 14.6%. On
# test digits the contractive code has 8.5%, the denoising one 9.6%, the plain one 10.9%, and pixels 12.0%. With 1000
# test digits one point is about one standard error, so the lead over the plain code is real, and the lead over the
# denoiser is not certain. Section 14.2 tells the other half of the story: there, with ReLU units, the plain code was as
# good as a contractive one. The penalty helps a code of sigmoid units, whose slopes it can use.
#
# ## The penalty, and what it does
# We take the chosen models from here on. First, is the Ω that the model reports the norm of a Jacobian? And how much
# smaller is that norm than those of the rivals?

# %%
x = X_test[: section.pick(30, 50, 50)].astype(np.float64)
in_float64 = {name: [model.copy(dtype="float64") for model in found] for name, found in models.items()}
Jf = {name: [model.jacobian(x) for model in found] for name, found in in_float64.items()}  # (rows, m, 784), one a seed
reported = in_float64["contractive"][0].evaluate(x)["Omega"]
Omega = float(np.square(Jf["contractive"][0]).sum(axis=(1, 2)).mean())
section.claim("Ω in closed form is that of a Jacobian that is written out", abs(reported / Omega - 1), "<=", 1e-10)
worst = check_gradient(contractive, X_test[:3], entries=30).worst.error
worst = section.number("largest error of the gradient check", worst, of="contractive")
section.claim("the gradient is that of J, L and Ω", worst, "<=", 1e-7)
norm = {}
for name in models:
    norms = [np.linalg.norm(jacobian, axis=(1, 2)).mean() for jacobian in Jf[name]]
    norm[name] = section.number("mean ‖Jf‖", norms, of=name)
    h = models[name][0].encode(X_test)
    section.number("saturated units %, h below 0.05 or above 0.95", 100 * (abs(h - 0.5) > 0.45).mean(), of=name)
    error_of = [np.square(X_test - model.reconstruct(X_test)).sum(axis=1).mean() for model in models[name]]
    section.number("squared error, test images", error_of, of=name)
ratio = norm["plain"] / norm["contractive"]
section.claim("the penalty contracts: ‖Jf‖ of the plain over the contractive autoencoder", ratio, ">", 1)
gain = error["plain"] - error["contractive"]
section.guard("points that the contractive code gains over the plain one", gain, ">=", 1)

# %% [markdown]
# ‖Jf‖ has halved, from 10.0 to 4.8. A part of this comes from saturated units: two thirds of all h lie near 0 or 1,
# where the slope h (1 − h) is small, against 45% of the plain code. The price is the squared error, which rises from
# 7.1 to 12.1.
#
# ## Are few directions kept?
# The book's picture is that most singular values of Jf drop below 1, where f contracts, and that a few stay above 1,
# the tangents. So count the singular values above 1. That number has a weakness: it changes when h is multiplied by a
# constant. A second number has no scale: the least number of directions that hold 95% of Σ_k σ_k², the sum of the
# squared singular values, which is ‖Jf‖². The singular values come from the eigenvalues of the small matrix
#
#     Jf Jfᵀ = U diag(σ²) Uᵀ,     Jf = U diag(σ) Vᵀ
#
# and the right singular vectors, the directions in x, from Vᵀ = diag(1/σ) Uᵀ Jf.

# %%
TANGENTS = 8


def spectrum(Jf):
    """Singular values in descending order, (rows, m), and the leading right singular vectors, (rows, 8, n)."""
    values, U = np.linalg.eigh(Jf @ Jf.transpose(0, 2, 1))  # ascending
    values = np.sqrt(values[:, ::-1].clip(0))
    leading = U[:, :, ::-1][:, :, :TANGENTS].transpose(0, 2, 1) @ Jf
    return values, leading / np.linalg.norm(leading, axis=2, keepdims=True)


above, hold, curves, tangents = {}, {}, {}, {}
for name in models:
    spectra = [spectrum(jacobian) for jacobian in Jf[name]]
    counts = [(values > 1).sum(axis=1).mean() for values, _ in spectra]
    above[name] = section.number("singular values of Jf above 1, mean over digits", counts, of=name)
    share = [np.cumsum(np.square(values), axis=1) / np.square(values).sum(axis=1)[:, None] for values, _ in spectra]
    counts = [(1 + (one < 0.95).sum(axis=1)).mean() for one in share]
    hold[name] = section.number("directions that hold 95% of Σ σ², mean over digits", counts, of=name)
    values, tangents[name] = spectra[0]
    curves[name] = (np.arange(1, 81), values.mean(axis=0)[:80])
section.claim("fewer directions do not contract: singular values above 1", above["contractive"], "<", above["plain"])
section.claim("fewer directions hold 95% of Σ σ²", hold["contractive"], "<", hold["plain"])
title = f"Singular values of Jf, mean over {len(x)} test digits"
fig = plots.levels(curves, "k", "k-th singular value of Jf", title, yscale="log")
fig.axes[0].axhline(1, color=plots.GREY, linewidth=1, linestyle=":")
fig.axes[0].annotate("1: below, f contracts", (80, 1), ha="right", va="bottom", fontsize=8)
section.figure(
    fig,
    "singular_values",
    caption="The singular values of the encoder's Jacobian in descending order, a mean over test digits, for the "
    "plain, the denoising and the contractive autoencoder. Below the dotted line at 1 the encoder contracts. Look at "
    "where each curve crosses that line, and at how steeply it falls: the penalty lowers the later values most.",
    alt="Three falling curves on a logarithmic axis with a dotted line at 1. The curve of the contractive autoencoder "
    "lies lowest, falls most steeply, and crosses the line first.",
)

# %% [markdown]
# The curves above are the picture of the book. The plain code has 34 singular values above 1 at each digit, the
# contractive one has 8, and all others are below 1, where f contracts. It is also no matter of scale: 95% of Σ σ² takes
# 74 directions of the plain code, and 35 of the contractive one. The denoiser contracts too (19 values above 1), but it
# lowers all directions more evenly, and still needs 75 for its 95%.
#
# ## Figure 14.10: tangents
# If the leading singular vectors of Jf are tangents of the manifold, then moving x along them should lead to other
# digits that might exist. The book's figure 14.10 shows such vectors for a photograph, beside those of local PCA: the
# principal directions of the nearest neighbours of x in the training data. By its caption the autoencoder's tangents
# are the better ones, since local PCA has only a few neighbours to learn from, while the autoencoder shares its
# parameters between all places.
#
# Pictures persuade easily, so we measure as well. Take a test digit x and the *test* digit x′ that is nearest to it. No
# method has seen x′. How much of the way from x to x′ do the eight directions T of a method hold?
#
#     ‖T (x′ − x)‖² / ‖x′ − x‖²
#
# The larger this share, the better the directions tell where other digits lie. The rival that costs nothing is the
# eight leading components of PCA on all training digits, the same at every x.

# %%
nearest = []
for one in x:
    distances = np.square(X_test - one).sum(axis=1)
    nearest.append(X_test[np.argsort(distances)[1]])  # the nearest is x itself
way = np.array(nearest) - x
neighbours = []
for one in x:
    near = X[np.argsort(np.square(X - one).sum(axis=1))[:30]]
    neighbours.append(np.linalg.svd(near - near.mean(axis=0), full_matrices=False)[2][:TANGENTS])
_, vectors = np.linalg.eigh(np.cov(X.T))
tangents["local PCA"] = np.array(neighbours)
tangents["PCA"] = np.broadcast_to(vectors[:, ::-1][:, :TANGENTS].T, (len(x), TANGENTS, 784))
shares = {}
for name, T in tangents.items():
    held = np.square(np.einsum("bkn,bn->bk", T, way)).sum(axis=1) / np.square(way).sum(axis=1)
    of = f"{name}, 8 directions"
    shares[name] = section.number("share of the way to the nearest unseen digit", held.mean(), of=of)
if section.size != "quick":
    text = "the tangents of the contractive code hold more of that way than the plain ones"
    section.claim(text, shares["contractive"], ">", shares["plain"])
pictures = {}
for i in (0, 1):
    for name in ("local PCA", "contractive"):
        own = tangents[name][i]
        grey = 0.5 + 0.5 * own / np.abs(own).max(axis=1, keepdims=True)
        pictures[f"{name}, digit {i + 1}"] = np.vstack([x[i : i + 1], grey])
section.figure(
    plots.images(pictures, "Figure 14.10, tangents: dark > 0, light < 0"),
    "tangents",
    caption="Left, a test digit; then eight directions in which it may change, once from the principal components "
    "of its 30 nearest training digits (local PCA) and once from the leading singular vectors of the contractive "
    "autoencoder's Jacobian. Dark pixels gain ink and light ones lose it. The tangents of local PCA follow the outline "
    "of the digit, as moving or thickening a stroke would. Those of the autoencoder are smooth blobs, larger than a "
    "stroke.",
    alt="Four rows: two digits, each with eight tangents by local PCA, which show displaced strokes, and eight by the "
    "contractive autoencoder, which show smooth dark and light blobs.",
)

# %% [markdown]
# Here our measurement contradicts the book's caption. Local PCA holds 35% of the way to an unseen digit, and the eight
# tangents of the contractive autoencoder 18%. They do beat the plain autoencoder's (6%), and the eight components of
# global PCA (15%), so Jf has learned something that depends on x. But MNIST is a dense sample of a simple world: with
# 5000 training digits, the thirty nearest are near enough to tell how a digit may vary. The book's example is a
# photograph and its caption speaks of limited data. There the nearest neighbours are far away and mostly show other
# things, so that sharing parameters should pay. Our experiment does not contradict that.
#
# ## A denoiser is contractive too
# There is a link between the noise of section 14.2.2 and the penalty of this section. Let r = g(f(x)) be any smooth
# reconstruction function, and let the noise be ε ~ N(0, σ² I). Expand r(x + ε) to second order and take the mean over
# ε. The terms of first order have mean 0, and E ε_i ε_j is σ² for i = j and 0 otherwise. What is left is
#
#     E ‖r(x + ε) − x‖² = ‖r − x‖² + σ² (‖∂r/∂x‖² + (r − x)·∇²r) + O(σ⁴)
#
# where ∇²r is the Laplacian of each component. So training with noise minimises the error without noise, and two more
# terms. Only where r − x is itself of the order σ², as at the optimum, does the term with ∇²r drop out. Then a denoiser
# has a contractive penalty: on r, where (14.18) has one on h (Alain and Bengio 2014). Does training with noise contract
# r? We compare two small networks with linear output and squared error, in float64. We also check the formula: with
# little noise, the extra error over σ² must be the bracket.

# %%
options = dict(activation="tanh", loss="gaussian", dtype="float64", backend=section.backend)
x0, sigma, slopes = x[:20], 0.1, {"plain": [], "denoising": []}
for seed in section.seeds:
    denoiser = DenoisingAutoencoder((784, 50), corruption="gaussian", level=sigma, seed=seed, **options)
    for name, model in {
        "plain": UndercompleteAutoencoder((784, 50), seed=seed, **options),
        "denoising": denoiser,
    }.items():
        model.fit(X[:2000], epochs=section.pick(5, 15, 15), optimizer=Adam(2e-3), seed=seed)
        h = section.backend.from_numpy(model.encode(x0))
        dr = section.backend.to_numpy(model.g.jacobian(h)) @ model.jacobian(x0)  # ∂r/∂x = ∂g/∂h ∂f/∂x
        slopes[name].append(np.linalg.norm(dr, axis=(1, 2)).mean())
plain, denoising = (section.number("mean ‖∂r/∂x‖", slopes[name], of=f"{name}, 50 units") for name in slopes)
section.claim("training with noise contracts r: ‖∂r/∂x‖", denoising, "<", plain)

# %%
E0 = np.square(denoiser.reconstruct(x0[:3]) - x0[:3]).sum(axis=1)  # ‖r(x) − x‖², (3,)
delta, laplacian = 1e-3, np.zeros(3)
for i in range(3):
    around = np.vstack([x0[i] + delta * np.eye(784), x0[i] - delta * np.eye(784)])
    errors = np.square(denoiser.reconstruct(around) - x0[i]).sum(axis=1)
    laplacian[i] = (errors - E0[i]).sum() / delta**2  # Σ_k ∂²/∂x_k² of ‖r(x + ε) − x‖², by differences
W, b, V, c = (section.backend.to_numpy(denoiser.parameters[name]) for name in ("W1", "b1", "V1", "c1"))
h = np.tanh(x0[:3] @ W + b)
curvature = (-2 * h * (1 - h * h) * np.square(W).sum(axis=0)) @ V  # ∇²r = Σ_j φ''(a_j) ‖W_j‖² V_j
bracket = np.square(dr[:3]).sum(axis=(1, 2)) + ((h @ V + c - x0[:3]) * curvature).sum(axis=1)
off = abs(laplacian / 2 / bracket - 1).max()
section.claim("the extra error over σ², as σ → 0, is the bracket: relative difference", off, "<=", 1e-4)
share = (bracket / np.square(dr[:3]).sum(axis=(1, 2))).mean()
section.number("the bracket over ‖∂r/∂x‖² alone", share, of="denoising, 50 units, three digits")

# %% [markdown]
# Training with noise contracts r indeed: ‖∂r/∂x‖ falls from 12.4 to 7.7. The formula holds to the precision of the
# differences, and the term with ∇²r is 0.2% of the bracket. So for this denoiser the noise acts nearly as a contractive
# penalty on r, although it has no term that says so.
#
# Where does it fail? The penalty says nothing about larger steps than infinitely small ones, and nothing about places
# without training examples. For a deep f it must be computed for the whole stack, or layer by layer as the paper does.
# And with V free it can be met by a scale: f shrinks by a factor, and g undoes it. This is why V = Wᵀ here.
#
# ## Exercises
# 1. On paper. Let f be linear with V free: h = x W, r = h V. Show that J has no minimum: dividing W by 10 and
#    multiplying V by 10 leaves L alone and divides Ω by 100. What do tied weights change? And what is the difference
#    between Ω and weight decay for a linear f with tied weights?
# 2. With code. Along which directions does f stay sensitive? Let D_j be the j-th principal component of the training
#    digits. Compute the mean of ‖Jf D_j‖ over test digits for j = 1 … 120, for a contractive autoencoder, and draw it
#    against j. It should be at least 3 times as large for the first 20 components as for components 101 to 120. (The
#    solution is in `solutions/14_7_contractive.py`.)
# 3. With code. The penalty is asked at training digits only. Measure the mean ‖Jf‖ of the contractive autoencoder at
#    test digits, at images of uniform noise, and halfway between two digits. Is f contractive off the manifold too?

# %%
section.finish()

"""14.5.1 Estimating the Score

Equations: 14.15, 14.16, 14.17
Figures: vector_field (14.5: the field of a denoising autoencoder around a curved 1-D manifold); across (the field on a
line that crosses two arms of the manifold); annealed (points on their way from noise to data); chains (digits drawn by
a Markov chain)

To know a density p(x) is to know where data are. Maximum likelihood learns p itself, and must see to it that p
integrates to 1, which is hard. Score matching asks for less. The score of a density is the gradient of its logarithm,

    ∇_x log p(x)     (14.15)

and whoever knows the score everywhere knows p but for a factor. The score does not change when p is multiplied by a
constant, so nobody needs to integrate. But what is the right answer at x? Nobody gives us the score of the data at any
point, so it cannot be learned from examples. Or can it?

The surprise of this section is that a denoising autoencoder learns the score without being told of it. Train it with
the squared error

    ‖g(f(x̃)) − x‖²     (14.16)

and the corruption

    C(x̃ | x) = N(x̃; x, σ² I)     (14.17)

Then (r(x̃) − x̃)/σ², with r(x̃) = g(f(x̃)), is an estimate of the score. The book says so and refers to papers. We
derive it in two ways, check each line of the derivations, and compare the field that a network has learned with the
true score. For that we take a density whose score is known. After that we use the score to draw new points, see where
this fails, and go from the failure to the diffusion models of today.

The symbols are in minae/NOTATION.md. Forward pass, derivation and backward pass stand in minae/models/denoising.py,
with the methods `score`, `langevin` and `chain`.
"""

# %%
import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import logsumexp, softmax

from minae import DenoisingAutoencoder, check_gradient, data, plots
from minae.chapters import Section
from minae.chapters.classical import PCA, KMeans
from minae.training import Adam, Cosine

section = Section("14.5.1")
rng = np.random.default_rng(section.seed)
sigma, device = 0.3, dict(backend=section.backend)

# %% [markdown]
# ## A density with a known score
# The data lie around a spiral of one and a half turns in the plane, at a standard deviation of 0.1 from it. So the
# manifold has one dimension, as in the book's figure 14.5. In formulas p is a mixture of 300 small Gaussians whose
# centres c_k stand along the spiral:
#
#     p(x) = 1/300 Σ_k N(x; c_k, v I),     v = 0.1²
#
# What happens to p under the corruption (14.17)? The sum of two independent Gaussian draws is a Gaussian draw, and
# their variances add up. So the density of x̃ is the same mixture with wider Gaussians,
#
#     p_σ(x̃) = 1/300 Σ_k N(x̃; c_k, (v + σ²) I)
#
# and its score is known for every σ:
#
#     ∇ log p_σ(x̃) = Σ_k p(k | x̃) (c_k − x̃)/(v + σ²)
#
# In words: each Gaussian pulls x̃ to its centre, and pulls with the weight p(k | x̃), the probability that it is the
# one from which x̃ came. (The gradient of log Σ_k is Σ_k of the gradients, each over the sum. That makes the weights.)

# %%
angle = 4 * np.pi * np.sqrt(np.linspace(0.07, 1, 300))[:, None]  # the root makes the steps along the spiral equal
centres, deviation = angle / 4 * np.hstack([np.cos(angle), np.sin(angle)]), 0.1


def draw(rows, noise=0.0):
    """x ~ p; with noise, x̃ ~ p_σ for σ = noise."""
    x = centres[rng.integers(len(centres), size=rows)]
    return x + np.hypot(deviation, noise) * rng.standard_normal(x.shape)


def log_density(x, noise):
    """log p_σ(x)"""
    v = deviation**2 + noise**2
    d2 = np.square(centres - x[:, None]).sum(axis=2)
    return logsumexp(-d2 / (2 * v), axis=1) - np.log(len(centres) * 2 * np.pi * v)


def posterior(x, noise):
    """p(k | x̃) ∝ exp(−‖x̃ − c_k‖²/(2 (v + σ²))), (rows, 300). The part ‖x̃‖² is the same for all k and is left out."""
    return softmax((x @ centres.T - 0.5 * np.square(centres).sum(axis=1)) / (deviation**2 + noise**2), axis=1)


def true_score(x, noise):
    """∇ log p_σ(x) = (Σ_k p(k | x) c_k − x)/(v + σ²)"""
    return (posterior(x, noise) @ centres - x) / (deviation**2 + noise**2)


# %% [markdown]
# ## First derivation: the best answer is a step along the score
# Section 14.5 derived that the best answer to x̃ under squared error is the mean E[x | x̃]. What has this mean to do
# with the score? Begin with the density of x̃, which is p smeared out by the corruption:
#
#     p_σ(x̃) = ∫ p(x) C(x̃ | x) dx
#
# Take the gradient with respect to x̃. It acts on C alone, and for the Gaussian (14.17)
#
#     ∇ C(x̃ | x) = C(x̃ | x) (x − x̃)/σ²
#
# so that
#
#     ∇ p_σ(x̃) = ∫ p(x) C(x̃ | x) (x − x̃)/σ² dx
#
# Divide both sides by p_σ(x̃). On the left stands ∇ log p_σ. On the right p(x) C(x̃ | x)/p_σ(x̃) is p(x | x̃), by
# Bayes' rule, and the integral becomes a mean:
#
#     ∇ log p_σ(x̃) = (E[x | x̃] − x̃)/σ²
#
# Solved for the mean, this is
#
#     E[x | x̃] = x̃ + σ² ∇ log p_σ(x̃)
#
# It is called Tweedie's formula, or Miyasawa's (1961). It holds for every p and every σ, not only for small ones. The
# best denoiser moves each point uphill on log p_σ, by σ² times the score.
#
# We check it for our mixture, where both sides can be computed by themselves. On the left we take differences of log
# p_σ. On the right E[x | x̃] comes from Gaussian conditioning: if x̃ came from the k-th Gaussian, the mean of x is c_k
# + (x̃ − c_k) v/(v + σ²), because x̃ is made of two variances, and the share v/(v + σ²) of them belongs to x.

# %%
x_tilde, step = draw(1000, sigma), 1e-5
share = deviation**2 / (deviation**2 + sigma**2)
E_x = (1 - share) * posterior(x_tilde, sigma) @ centres + share * x_tilde  # Σ_k p(k | x̃) E[x | x̃, k]
differences = np.empty_like(x_tilde)
for i in range(2):
    up, down = x_tilde.copy(), x_tilde.copy()
    up[:, i] += step
    down[:, i] -= step
    differences[:, i] = (log_density(up, sigma) - log_density(down, sigma)) / (2 * step)
off = abs((E_x - x_tilde) / sigma**2 - differences).max()
section.claim("(E[x | x̃] − x̃)/σ² is the slope of log p_σ", off, "<=", 1e-7)
off = abs((E_x - x_tilde) / sigma**2 - true_score(x_tilde, sigma)).max()
section.claim("(E[x | x̃] − x̃)/σ² is the score of the mixture p_σ", off, "<=", 1e-11)

# %% [markdown]
# ## Second derivation: denoising is score matching
# The first derivation speaks of the one best answer. What of an answer that is not the best, as every network's is? Let
# s(x̃) be any guess of the score. (In this section s is not the logits of a decoder.) The mean squared error of s, which
# nobody can compute without the score, is
#
#     E_x̃ ‖s(x̃) − ∇ log p_σ(x̃)‖² = E‖s‖² − 2 E[sᵀ ∇ log p_σ] + const
#
# Look at the middle term. It is an integral over x̃, in which p_σ ∇ log p_σ = ∇ p_σ:
#
#     E[sᵀ ∇ log p_σ] = ∫ s(x̃)ᵀ ∇ p_σ(x̃) dx̃ = ∫∫ p(x) s(x̃)ᵀ ∇ C(x̃ | x) dx dx̃
#
# Now write ∇ C = C ∇ log C. What stands there is a mean over pairs, E[s(x̃)ᵀ ∇ log C(x̃ | x)], and this C we know. So
# replace the unknown score by ∇ log C(x̃ | x), and complete the square again:
#
#     E_x̃ ‖s(x̃) − ∇ log p_σ(x̃)‖² = E_{x, x̃} ‖s(x̃) − ∇ log C(x̃ | x)‖² + const
#
# The constant does not contain s. So the two errors have the same gradient with respect to the parameters of s. To
# regress on the known ∇ log C(x̃ | x) = (x − x̃)/σ² is to regress on the unknown score. This is denoising score
# matching (Vincent 2011). With s = (r − x̃)/σ² the right-hand side is
#
#     E ‖r(x̃) − x‖²/σ⁴
#
# which is (14.16), but for a factor. This answers the question of the beginning: the score can be learned from
# examples, since for each x̃ the wrong target (x − x̃)/σ² is right on average over x.
#
# We check the equation of the two errors in one dimension, where integrals are sums over a fine grid. x is −1 or 2,
# with equal probability, and σ = 0.7. For four guesses s that have nothing in common, the two errors must differ by one
# constant.

# %%
grid, points, width = np.linspace(-10, 12, 4001), np.array([[-1.0], [2.0]]), 0.7
C = np.exp(-np.square(grid - points) / (2 * width**2)) / np.sqrt(2 * np.pi * width**2)  # C(x̃ | x), (2, grid)
p_sigma = C.mean(axis=0)
score_of_C = (points - grid) / width**2
score = (C * score_of_C).mean(axis=0) / p_sigma  # ∇ p_σ/p_σ
dx, constants = grid[1] - grid[0], []
for s in (np.zeros_like(grid), -grid, np.sin(3 * grid), score):
    of_the_score = (p_sigma * np.square(s - score)).sum() * dx
    of_the_target = (C * np.square(s - score_of_C)).mean(axis=0).sum() * dx
    constants.append(of_the_target - of_the_score)
section.claim("the two errors differ by a constant, whatever s is", np.ptp(constants), "<=", 1e-9)

# %% [markdown]
# ## The score that a network learns
# Now for a network. A denoising autoencoder with hidden layers of smooth units (swish, x σ(x)) trains on points of p,
# at σ = 0.3, by (14.16). We compare (r(x̃) − x̃)/σ² with the true score, at x̃ that are drawn from p_σ, as those of the
# training were. The relative error is ‖s − ∇ log p_σ‖ over ‖∇ log p_σ‖, where the norms go over all 5000 points, and
# so does the cosine.

# %%
rows, epochs = section.pick(10000, 30000, 50000), section.pick(30, 60, 80)
hidden, batch = section.pick(64, 128, 128), section.pick(100, 200, 200)


def train(level, seed, rows=rows, epochs=epochs, hidden=hidden):
    """A denoiser for σ = level."""
    options = dict(activation="swish", loss="gaussian", corruption="gaussian", level=level, seed=seed, **device)
    model = DenoisingAutoencoder((2, hidden, hidden), **options)
    optimizer = Adam(Cosine(1e-2, steps=epochs * rows // batch))
    model.fit(draw(rows).astype(np.float32), epochs=epochs, batch_size=batch, optimizer=optimizer, seed=seed)
    return model


def relative(estimate, true):
    return float(np.linalg.norm(estimate - true) / np.linalg.norm(true))


models, x = [train(sigma, seed) for seed in section.seeds], draw(5000, sigma).astype(np.float32)
true, estimates = true_score(x, sigma), [model.score(x) for model in models]
error = section.number(
    "relative error of (r(x̃) − x̃)/σ²", [relative(s, true) for s in estimates], of=f"score of p_σ, σ = {sigma}"
)
cosines = [float((s * true).sum() / np.linalg.norm(s) / np.linalg.norm(true)) for s in estimates]
cosine = section.number("cosine of (r(x̃) − x̃)/σ²", cosines, of=f"score of p_σ, σ = {sigma}")
unsmoothed = true_score(x, 0)
error_of_p = section.number(
    "relative error of (r(x̃) − x̃)/σ²", [relative(s, unsmoothed) for s in estimates], of="score of p"
)
section.claim("the denoiser has the score of p_σ, rather than that of p", error, "<", error_of_p)
section.guard("relative error of the score of p_σ", error, "<=", 0.1)
section.guard("cosine with the score of p_σ", cosine, ">=", 0.99)

# %% [markdown]
# At default size the error is about 7%. It is an error against p_σ, the smoothed density, and not against p. Against
# the score of p the error is about 90%. Since p has a spread of 0.1 around the spiral and p_σ one of 0.32, the score of
# p pulls ten times as hard to a centre: by 1/0.1² instead of 1/0.32². The book speaks of the score of the data
# distribution. That is what one gets in the limit of small σ.

# %% [markdown]
# ## Figure 14.5: the vector field
# The picture shows r(x̃) − x̃ beside σ² ∇ log p_σ(x̃), which it should be by Tweedie's formula. Grey arrows stand where
# the density of x̃ is so low that training hardly ever saw a point: nothing told the network what to answer there.

# %%
side = np.linspace(-4.2, 4.2, 25)
places = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2).astype(np.float32)
rare = log_density(places, sigma) < np.quantile(log_density(x, sigma), 0.001)  # lower than at 999 of 1000 points
fields = {"r(x̃) − x̃": models[0].reconstruct(places) - places}
fields["σ² ∇ log $p_σ$(x̃), exact"] = sigma**2 * true_score(places, sigma)
panels = {name: (places, 0.5 * field) for name, field in fields.items()}
section.figure(
    plots.fields(panels, draw(2000), "Figure 14.5: the vector field around a manifold, arrows at half length", rare),
    "vector_field",
    caption="Left, the arrows r(x̃) − x̃ of the trained denoiser; right, σ² times the exact score of the smoothed "
    "density p_σ. The data lie on the light grey spiral. Arrows point to the nearest arm of the spiral and shrink as "
    "they come to it, where the density is largest. Now follow a line from one arm to the next: the arrows shrink a "
    "second time in the middle of the gap, where they turn around and the density is least. Grey arrows stand where "
    "training hardly ever saw a point. There the two panels need not agree.",
    alt="Two panels with a grey spiral of one and a half turns. In both, blue arrows on either side of an arm point to "
    "it, and between two arms there is a line where they part. Outside of the spiral the arrows are grey.",
)

# %% [markdown]
# ## Zeros at maxima and at minima
# The field vanishes where log p_σ has no slope. That is so at its maxima, on the arms of the spiral. It is also so at
# its minima, in the middle of a gap. The book points this out, and it matters: a point with r(x) = x need not be a
# point where data are. A zero of the field tells a maximum from a minimum only by the arrows around it, which point to
# a maximum and away from a minimum.
#
# We walk along a straight line, from near the middle of the spiral down across two arms and the gap between them, and
# look at the component of the field along the line. It must change its sign at the first arm, in the gap, and at the
# second arm.

# %%
u = np.linspace(0.7, 3.3, 400)  # the way along the line
line = np.stack([np.zeros_like(u), -u], axis=1).astype(np.float32)
along = {"denoising, r(x̃) − x̃": -(models[0].reconstruct(line) - line)[:, 1]}
along["exact, σ² ∇ log $p_σ$(x̃)"] = -(sigma**2 * true_score(line, sigma))[:, 1]


def zeros(values):
    """Where a function of u changes its sign, by linear interpolation."""
    k = np.flatnonzero(np.sign(values[:-1]) != np.sign(values[1:]))
    return u[k] - values[k] * (u[k + 1] - u[k]) / (values[k + 1] - values[k])


crossings = {name: zeros(values) for name, values in along.items()}
learned, exact = crossings.values()
density = log_density(line, sigma)
turns = np.flatnonzero(np.diff(np.sign(np.diff(density)))) + 1  # maxima and minima of log p_σ on the line
section.number("zeros on the line", len(exact), of="score of p_σ")
section.number("zeros on the line", len(learned), of="r(x̃) − x̃")
section.number("maxima and minima of log p_σ on the line", len(turns))
nearest = [min(abs(learned - zero), default=np.inf) for zero in exact]
nearest += [min(abs(exact - zero)) for zero in learned]  # and no zero of r(x̃) − x̃ is far from all of them
furthest = section.number("largest distance from a zero of one field to the next of the other", max(nearest))
section.claim("the learned field has its zeros where p_σ is largest and least", furthest, "<=", deviation)
fig = plots.levels(
    {name: (u, values) for name, values in along.items()},
    "way along a line across two arms",
    "component of the field along the line",
    "The field changes its sign on an arm, in the gap, and on the next arm",
)
fig.axes[0].axhline(0, color="0.6", linewidth=0.8, zorder=0)
section.figure(
    fig,
    "across",
    caption="The component along the line of the learned field and of the exact one. Where a curve falls through 0, "
    "arrows from both sides point to that place: it is a maximum of the density, an arm of the spiral. Where a curve "
    "rises through 0, arrows point away: it is a minimum, the middle of the gap.",
    alt="Two curves that nearly coincide. They fall through zero, rise through zero, and fall through zero again.",
)

# %% [markdown]
# ## Sampling by Langevin steps
# With a score one can draw new points. A Langevin chain goes uphill and adds noise,
#
#     x ← x + η/2 ∇ log p_σ(x) + √η ε,     ε ~ N(0, I)
#
# where η is the size of a step. As η → 0 and the number of steps grows, its points are draws from p_σ, wherever it
# began. We start 500 chains at one point, (3, 0), and let them go with the learned score. How far are their points from
# p_σ? We take the energy distance of two sets of draws,
#
#     D = 2 E‖x − y‖ − E‖x − x′‖ − E‖y − y′‖
#
# where x and x′ are points of the chains, and y and y′ are draws from p_σ. D is 0 only where both have the same
# distribution, and our estimate of it scatters around 0 by less than 0.01 then. Beside the learned score we put the
# exact one, with the same number of steps. A Gaussian with the mean and the covariance of p_σ is the baseline that any
# sampler of worth must beat.

# %%


def energy_distance(x, y):
    """D of two sets of draws; the pairs of a draw with itself are left out."""
    within = [cdist(a, a).sum() / (len(a) * (len(a) - 1)) for a in (x, y)]
    return 2 * cdist(x, y).mean() - sum(within)


def langevin(x, score, noise, size, steps):
    """`steps` Langevin steps of size η, by score(x, σ)."""
    for _ in range(steps):
        x = x + size / 2 * score(x, noise) + np.sqrt(size) * rng.standard_normal(x.shape)
    return x


def normal_like(noise):
    """Draws from the Gaussian with the mean and the covariance of p_σ."""
    like = draw(20000, noise)
    return rng.multivariate_normal(like.mean(axis=0), np.cov(like.T), chains)


chains, steps, size = 500, section.pick(800, 1500, 1500), 0.05
start, target = np.tile([3.0, 0.0], (chains, 1)), draw(3000, sigma)
name = f"energy distance D to p_σ, σ = {sigma}"
section.number(name, energy_distance(draw(chains, sigma), target), of="other draws from p_σ")
gaussian = section.number(name, energy_distance(normal_like(sigma), target), of="a Gaussian")
section.number(name, energy_distance(langevin(start, true_score, sigma, size, steps), target), of="exact score")
distances = []
for seed, model in zip(section.seeds, models, strict=True):
    got = model.langevin(start, steps=steps, size=size, seed=seed)[-1]
    distances.append(energy_distance(got, target))
distance = section.number(name, distances, of="learned score")
section.claim("Langevin by the learned score comes nearer to p_σ than a Gaussian", distance, "<", gaussian)

# %% [markdown]
# At default size D is below 0.01 for the chains, by the learned score as by the exact one, which is what other draws
# from p_σ have. (D may come out slightly negative, because it is an estimate.) The Gaussian has 0.024. So the chains
# have forgotten where they began, and lie all along the spiral. But they are draws from p_σ, whose points lie 0.32
# beside the spiral, and not from p, whose points lie 0.1 beside it. For p we need a small σ. Why not take σ = 0.1 from
# the start?

# %% [markdown]
# ## The road to diffusion models
# With a small σ three things go wrong. The steps must be small, η of the order of σ², so the chain crawls along the
# spiral. The gaps between the arms become so deep that a chain never crosses them. And training sees nothing but points
# within a few tenths of the spiral, so that further away the learned score is an invention. With a large σ all of this
# is well, and only the answer is blurred.
#
# Song and Ermon (2019) use both. Take a series of noise levels
#
#     σ_1 > σ_2 > … > σ_L
#
# from one that covers all of the data down to one that hardly blurs, and learn the score of each. Begin with Langevin
# steps at σ_1, where p_σ is nearly one broad Gaussian and the chain goes everywhere. Then go on from there with σ_2,
# and so on, with steps of size η = c σ² at each level. At each level the chain begins near to where it must be, so a
# few steps suffice. This is annealed Langevin sampling.
#
# We train one denoiser for each level, by (14.16) and (14.17). (In their paper, as in practice, one network does it for
# all levels, and is told σ as a further input.) The smallest σ is 0.1. Its p_σ is nearly p: points of p_σ lie 0.14
# beside the spiral, and points of p 0.1. We draw from this p_σ in two ways, from the same point and with the same
# number of steps: annealed, and at the smallest σ alone. We do each by the learned score and by the exact one, which
# says whether the network is to blame.

# %%
sigmas = np.geomspace(3, 0.1, section.pick(6, 8, 10))
each, c = section.pick(40, 100, 100), 0.2  # steps at a level, and their size over σ²
seed = section.seed
sized = dict(rows=section.pick(10000, 20000, 50000), epochs=section.pick(15, 40, 60), hidden=64)
denoisers = {level: train(float(level), seed, **sized) for level in sigmas}


def learned_score(x, noise):
    return denoisers[noise].score(x.astype(np.float32))


def annealed(x, score):
    """Langevin steps at each level, from the largest σ to the smallest; returns the points at the end of each level."""
    path = {}
    for level in sigmas:
        x = path[level] = langevin(x, score, level, c * level**2, each)
    return path


last = sigmas[-1]
target, total = draw(3000, last), each * len(sigmas)
path = annealed(start, learned_score)
results = {"annealed, learned score": path[last], "annealed, exact score": annealed(start, true_score)[last]}
results[f"σ = {last:.1f} alone, learned score"] = langevin(start, learned_score, last, c * last**2, total)
results[f"σ = {last:.1f} alone, exact score"] = langevin(start, true_score, last, c * last**2, total)
results |= {"a Gaussian": normal_like(last), "other draws from p_σ": draw(chains, last)}
name = f"energy distance D to p_σ, σ = {last:.1f}"
D = {label: section.number(name, energy_distance(x, target), of=label) for label, x in results.items()}
alone = D[f"σ = {last:.1f} alone, exact score"]
learned, exact = D["annealed, learned score"], D["annealed, exact score"]
section.claim("with a small σ alone even the exact score fails: D against annealed", alone, ">", exact)
section.claim("annealed by learned scores: D against the exact score with a small σ alone", learned, "<", alone)
section.claim("annealed by learned scores: D against a Gaussian", learned, "<", D["a Gaussian"])
panels = {"start": start} | {f"after σ = {level:.2f}": path[level] for level in sigmas[[0, len(sigmas) // 2, -1]]}
fig = plots.clouds(panels, draw(2000), "Annealed Langevin sampling: from one point to the spiral")
fig.axes[0].set(xlim=(-5.5, 5.5), ylim=(-5.5, 5.5))  # some points at the largest σ lie outside
section.figure(
    fig,
    "annealed",
    caption="500 chains (blue) that all begin at the point (3, 0), and where they are at the end of three levels of "
    "noise; the data are grey. At the largest σ the smoothed density is one broad cloud and the chains spread over all "
    "of it. As σ shrinks they gather around the spiral. In the end they lie on it as the data do, on all of its "
    "length.",
    alt="Four panels with a grey spiral. In the first all blue points are at one place, in the second they are spread "
    "over the plane, in the third they lie around the spiral, and in the last on the spiral.",
)

# %% [markdown]
# At default size the annealed chains reach D of about 0.01 or less, as other draws from p_σ do. The chains at σ = 0.1
# alone have D near 2.9: after the same 800 steps they are still on the arm where they began. The exact score does no
# better than the learned one. So the network is not to blame, and neither is training: small steps in a deep valley are
# slow.
#
# From here to the diffusion models that make pictures today it is one more step of thought. Ho et al. (2020) let the
# network predict the noise ε instead of x. Since x̃ = x + σ ε, these are two ways to say one thing. The best prediction
# of the noise is
#
#     E[ε | x̃] = (x̃ − E[x | x̃])/σ = −σ ∇ log p_σ(x̃)
#
# by Tweedie's formula, so a network that predicts noise is a score, up to the factor −σ. Their sampler goes down a
# series of noise levels and takes one denoising step and one draw of noise at each, instead of many Langevin steps.
# (Their noisy x is also scaled down as noise is added, so that its variance stays 1.) The cost (14.16) is not new: it
# has been in use since 1987 (see the historical note below). New is the idea to learn it at all levels of noise at
# once, and new are networks that are large enough.

# %% [markdown]
# ## Sampling digits by the denoiser's Markov chain
# Langevin steps need the squared error and Gaussian noise. There is a chain for every corruption and every decoder
# (Bengio et al. 2013; book, 20.11): corrupt x, draw a new x from p_reconstruct(x | x̃), and repeat. It alternates
# between C and p_decoder, and Alain et al. (2015) show that the two become compatible, in the sense of section 14.4, as
# the training succeeds. Here the chain runs on digits, with masking noise of half of the pixels and the Bernoulli loss,
# from 200 training images. The pixels of a new x are drawn, 0 or 1, with the probabilities r(x̃). What we show and judge
# are these r(x̃), the means of the draws.

# %%
digits = data.mnist(full=section.size == "full")
X, X_test, X_width = digits.train[:-1000], digits.test[:2000], digits.train[-1000:]
units, epochs = section.pick(200, 500, 500), section.pick(3, 10, 5)
runs = []
for seed in section.seeds:
    model = DenoisingAutoencoder((784, units), activation="relu", level=0.5, seed=seed, **device)
    optimizer = Adam(Cosine(2e-3, steps=epochs * -(-len(X) // 128)))
    model.fit(X, epochs=epochs, optimizer=optimizer, seed=seed)
    runs.append(model.chain(X[:200], steps=section.pick(30, 70, 70), seed=seed)[20:])  # forgets the first 20
rows = {f"chain {k + 1}": runs[0][::2, k][:12] for k in range(5)}
section.figure(
    plots.images(rows, "Five chains on digits, every second step"),
    "chains",
    caption="Each row is one chain, which corrupts a digit, denoises it, and draws pixels from what comes out, again "
    "and again. Every second step is shown, by its r(x̃); ink is dark. Look for the places where a digit turns into "
    "another by way of shapes that are still digits.",
    alt="Five rows of digits. Along a row neighbouring digits resemble each other, and some rows pass from one class "
    "to another.",
)

# %% [markdown]
# ## A measure that should not be trusted
# How good are these samples? The literature of that time printed one number: the mean log-density of test images under
# a Parzen window, a Gaussian around each of 10,000 samples, whose width is chosen on validation images (Breuleux et al.
# 2011). We print it too, since it lets us compare. But look at what else scores well. We give the measure three sets
# that no one would call a generative model of digits: a Gaussian on 50 principal components, 10,000 training images
# themselves, and 1000 centroids of k-means, which are blurred averages of digits.

# %%


def parzen(samples, x, width):
    """Mean log-density of x under a Gaussian of standard deviation `width` around each sample."""
    d2 = np.square(x).sum(axis=1)[:, None] + np.square(samples).sum(axis=1) - 2 * x @ samples.T
    log_p = logsumexp(-d2 / (2 * width**2), axis=1) - np.log(len(samples))
    return float((log_p - x.shape[1] * np.log(width * np.sqrt(2 * np.pi))).mean())


def log_likelihood(samples):
    width = max((0.13, 0.16, 0.2, 0.25, 0.3), key=lambda width: parzen(samples, X_width, width))
    return parzen(samples, X_test, width)


name, sets = "Parzen log-likelihood, test images, nats", {}
published = "DBN 138, stacked CAE 121, deep GSN 214, GAN 225 (seen; Bengio et al. 2013, Goodfellow et al. 2014)"
section.number(name, [log_likelihood(chain.reshape(-1, 784)) for chain in runs], published, of="samples of the chain")
sets = {"a Gaussian on 50 components": PCA(X, 50).sample(10000, rng).clip(0, 1), "training images": X[:10000]}
sets["1000 centroids of k-means"] = KMeans(X, 1000, iterations=section.pick(2, 10, 10)).centroids
value = {label: section.number(name, log_likelihood(samples), of=label) for label, samples in sets.items()}
centroids, images = value["1000 centroids of k-means"], value["training images"]
section.claim("the Parzen window prefers centroids to the training images themselves", centroids, ">", images)

# %% [markdown]
# Blurred prototypes win against real digits. A measure that prefers averages to the data cannot tell a good sampler
# from a bad one, and nobody should choose a model by it.

# %%
worst = check_gradient(models[0], draw(4), entries=40).worst.error
section.claim("the gradient is that of J", section.number("largest error of the gradient check", worst), "<=", 1e-7)

# %% [markdown]
# ## A historical note (14.5.1.1)
# Multilayer perceptrons have been trained to remove noise since 1987 (LeCun; Gallinari et al.), and Behnke (2001) did
# so with recurrent networks. As a network, a denoising autoencoder is no more than that. What Vincent et al. (2008,
# 2010) added is the purpose: not the clean output is wanted, but the code that the network has to form in order to
# clean. Such a code can be the first layer of a deeper network. With noise in its input an autoencoder may have a large
# capacity, and still cannot learn the useless identity. Inayoshi and Kurita (2005) had aimed at some of this before:
# they injected noise into a hidden layer of a supervised network and added a reconstruction error to its cost, to make
# it generalise better, but their encoder was linear.

# %% [markdown]
# ## Exercises
# 1. On paper. Let p(x) = N(0, τ² I). Compute E[x | x̃] by Gaussian conditioning, and the score of p_σ, and check that
#    Tweedie's formula holds. What does the best denoiser answer for σ much larger than τ, and for σ much smaller?
# 2. With code. There is a formula of second order as well. Differentiate Tweedie's formula once more and show that the
#    Jacobian of the best denoiser is a covariance: Cov[x | x̃] = σ² ∂E[x | x̃]/∂x̃. Check it on the mixture of this
#    section to 1e-7. Then estimate the covariance from the Jacobian of a trained denoiser: in which direction is x
#    uncertain, along the spiral or across it? (The solution is in `solutions/14_5_1_score.py`.)
# 3. With code. Replace the denoisers of the different levels by a single network that is trained on all levels at once.
#    Give it (x̃, log σ), three numbers, in the loop of section 14.5: x̃ is corrupted at a level that is drawn anew for
#    each row, and log σ is appended to x as well, so that it costs little to reconstruct. Is the energy distance as
#    small as with one network for each level?

# %%
section.finish()

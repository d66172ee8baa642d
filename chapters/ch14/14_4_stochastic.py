"""14.4 Stochastic Encoders and Decoders

Equations: 14.12, 14.13
Figures: learning_curves (the cost of a variational autoencoder by epoch); samples (digits, reconstructions, new
digits); plane (test digits at the two-dimensional code of a variational autoencoder); sheet (what a grid of such codes
is decoded to)

So far h = f(x) was one code for each x, and r = g(h) one reconstruction. Both can be made random. A stochastic encoder
gives a distribution p_encoder(h | x) from which h is drawn, and a stochastic decoder a distribution p_decoder(x | h).
Why should one want this? First, the decoder has been a distribution all along: every loss of this book is the negative
log of one. Second, a random code can carry no more than its noise lets through, and that makes a new way to keep an
autoencoder from a mere copy. Third, one can draw from distributions, so that a decoder becomes a source of new x.

Any model p_model(h, x) of codes and data together has both conditionals in it,

    p_encoder(h | x) = p_model(h | x)     (14.12)
    p_decoder(x | h) = p_model(x | h)     (14.13)

but an encoder and a decoder that are trained as two networks need not be the conditionals of one joint distribution.
The script shows what that means in a table of twelve numbers. Then it turns to the best-known stochastic autoencoder,
the variational autoencoder (book, 20.10.3), whose encoder is *trained* to be near the conditional of its decoder's
joint. Its gradient needs an idea, the reparametrisation, which is derived here step by step.

The symbols are in minae/NOTATION.md. The losses are in minae/losses.py. The forward pass and the backward pass are in
minae/models/variational.py, and those of the random code in minae/codes.py, under `Gaussian`.
"""

# %%
import numpy as np
from scipy import stats

from minae import VariationalAutoencoder, check_gradient, data, plots
from minae.chapters import Section
from minae.chapters.classical import PCA
from minae.losses import LOSSES
from minae.metrics.probe import knn_accuracy
from minae.training import Adam, Cosine

section = Section("14.4")
digits = data.mnist(full=section.size == "full")
rng = np.random.default_rng(section.seed)
X, X_test = digits.train, digits.test  # (rows, 784), pixels in [0, 1]
epochs, hidden = section.pick(3, 25, 20), section.pick(100, 400, 500)

# %% [markdown]
# ## A loss is −log p_decoder(x | h)     (14.13)
# The decoder ends in numbers s. Say which distribution s describes, and the loss follows by L = −log p(x; s):
#
# - x takes real values, and s is the mean of a Gaussian of variance 1. Then L = ½ ‖s − x‖² + ½ n log 2π. This is the
#   squared error. The constant does not depend on s and is left out.
# - x is 0 or 1, and σ(s) is the probability of a 1. Then L = Σ softplus(s) − x s, the Bernoulli loss of our digits.
# - x is one of n classes, and softmax(s) are their probabilities. Then L = −log softmax(s)_x, as in a classifier.
#
# We compare each loss of the engine with the log-density of SciPy's distribution of the same parameters.

# %%
s, n = rng.standard_normal((6, 5)), 5
real = rng.standard_normal((6, n))
binary = 1.0 * (rng.random((6, n)) < 0.5)
one_hot = np.eye(n)[rng.integers(n, size=6)]
softmax = np.exp(s) / np.exp(s).sum(axis=1, keepdims=True)
log_p = {
    "gaussian": (real, stats.norm(s, 1).logpdf(real).sum(axis=1) + n / 2 * np.log(2 * np.pi)),
    "bernoulli": (binary, stats.bernoulli(1 / (1 + np.exp(-s))).logpmf(binary).sum(axis=1)),
    "categorical": (one_hot, np.log((softmax * one_hot).sum(axis=1))),
}
for name, (x, expected) in log_p.items():
    L = LOSSES[name].rows(s, x)  # of each example
    section.claim(f"the {name} loss is −log p", abs(L + expected).max(), "<=", 1e-12)

# %% [markdown]
# ## Encoder and decoder need not fit one joint distribution
# Let x have four values and h three. Then an encoder is a table of four rows, each of which sums to 1, and a decoder a
# table of three. When do the two come from one joint distribution? If they do, then by (14.12) and (14.13)
#
#     p(h | x)/p(x | h) = p(h)/p(x)
#
# The right-hand side is a product of something that depends on h alone and something that depends on x alone. So the
# table of the ratios has rank one. Tables that are filled independently of each other do not have this property.
#
# What goes wrong without it? Draw h from the encoder, x from the decoder, h from the encoder, and so on. The chain
# settles down to some distribution of the pairs. But the pairs (x, h) just after an encoder step are distributed
# otherwise than the pairs just after a decoder step: there is no single p_model(h, x) that the autoencoder stands for.
# We measure how far the two are apart by their total variation, half the sum of the absolute differences: 0 says that
# they are the same, and 1 that they have nothing in common.

# %%


def compatibility(encoder, decoder):
    """Second singular value of p(h | x)/p(x | h) over the first, and total variation of the chain's two joints."""
    values = np.linalg.svd(encoder / decoder.T, compute_uv=False)
    step = np.linalg.matrix_power(encoder @ decoder, 1000)  # x -> h -> x, a thousand times
    p_x = step[0]  # the chain's distribution of x; every row is the same by now
    p_h = p_x @ encoder
    after_encoder, after_decoder = p_x[:, None] * encoder, (p_h[:, None] * decoder).T  # (x, h)
    return values[1] / values[0], 0.5 * abs(after_encoder - after_decoder).sum()


joint = rng.dirichlet(np.ones(12)).reshape(4, 3)  # p(x, h)
fitting = joint / joint.sum(axis=1, keepdims=True), (joint / joint.sum(axis=0)).T
free = rng.dirichlet(np.ones(3), size=4), rng.dirichlet(np.ones(4), size=3)
rank, apart = compatibility(*fitting)
section.claim("conditionals of one joint: the ratio has rank one", rank, "<=", 1e-12)
section.claim("conditionals of one joint: the two orders agree", apart, "<=", 1e-12)
rank, apart = compatibility(*free)
section.number("total variation of the two orders", apart, of="two tables filled independently")
section.claim("two independent tables: the ratio has a higher rank", rank, ">", 1e-6)
section.claim("two independent tables: the two orders disagree", apart, ">", 1e-6)

# %% [markdown]
# The book adds a way out: Alain et al. (2015) show that training the two as a denoising autoencoder makes them
# compatible in the limit, given enough capacity and examples. The chain that alternates between them then has the
# distribution of the data. Section 14.5.1 runs this very chain on digits.

# %% [markdown]
# ## The variational autoencoder: a bound
# Here is another way. Let the decoder and a fixed prior of the code define the joint distribution:
#
#     p(x, z) = p(z) p(x | z),     p(z) = N(0, I)
#
# (The code is called z where it is random.) Then the right encoder is p(z | x), which cannot be computed, since it
# needs p(x). Train an encoder q(z | x) to come near to it. How? For any q whatsoever,
#
#     log p(x) = E_q[log p(x, z) − log q(z | x)] + KL(q(z | x) ‖ p(z | x))
#
# Here E_q is the mean over z ~ q(z | x), and KL(q ‖ p) = E_q[log q − log p]. To see the identity, write p(x, z) =
# p(x) p(z | x) inside of the mean. The term log p(x) comes out of it, and the rest is the KL with its sign reversed. A
# KL is never negative, so the mean is a lower bound of log p(x), called the ELBO (evidence lower bound). To raise the
# bound is to do two things at once: to make p(x) larger, and to make q more like p(z | x). We minimise the bound with
# its sign reversed. Splitting log p(x, z) = log p(x | z) + log p(z) makes two terms of it:
#
#     J = L + KL,     L = −E_q log p(x | z),     KL = KL(q(z | x) ‖ N(0, I))
#
# We check the identity for a z of three values, where nothing needs to be estimated.

# %%
p_xz, q = joint[0], rng.dirichlet(np.ones(3))  # p(x, z) at one x, and any q
elbo = (q * (np.log(p_xz) - np.log(q))).sum()
gap = (q * (np.log(q) - np.log(p_xz / p_xz.sum()))).sum()  # KL(q ‖ p(z | x))
section.claim("log p(x) = ELBO + KL(q ‖ p(z | x))", abs(elbo + gap - np.log(p_xz.sum())), "<=", 1e-12)
section.claim("the ELBO is a lower bound", elbo, "<", np.log(p_xz.sum()))

# %% [markdown]
# ## The reparametrisation
# Our encoder gives the mean μ and the log-variance log σ² of a Gaussian q(z | x) = N(μ, diag σ²). How does J depend on
# μ and σ? The KL is a formula in them. L is not: it is a mean over z that is *drawn* from q, and a draw has no
# derivative. The remedy is to draw something that does not depend on the parameters, and to compute z from it:
#
#     ε ~ N(0, I),     z = μ + σ ε,     σ = e^{log σ²/2}
#
# This z has the same distribution as before. But now the mean over ε does not depend on μ and σ, so the gradient of the
# mean is the mean of the gradients, and for a given ε everything is an ordinary function. Let dz = ∂L/∂z be what comes
# back from the decoder. Then by the chain rule
#
#     ∂z/∂μ = 1,     so L contributes dz
#     ∂z/∂log σ² = ε ∂σ/∂log σ² = ½ ε σ,     so L contributes ½ dz ε σ
#
# The KL of two Gaussians is KL = ½ Σ (μ² + σ² − log σ² − 1). Its own derivatives are
#
#     ∂KL/∂μ = μ,     ∂KL/∂log σ² = ½ (σ² − 1)
#
# since ∂σ²/∂log σ² = σ². With a weight β on the KL, which is 1 for the bound, the two lines of the backward pass are
#
#     dμ = dz + β μ
#     dlog σ² = ½ (dz ε σ + β (σ² − 1))
#
# for one example. In a batch of B examples each gradient has the factor 1/B: dz has it already, and β μ and β (σ² − 1)
# get it. We write the two lines as code and hold them against the engine, and against differences of J. The decoder is
# replaced by a function of which we know the derivative, L = 1/B Σ c sin z with random numbers c, so that nothing else
# can be wrong.

# %%
B, m, beta = 5, 3, 4.0
mu, log_var, eps, c = rng.standard_normal((4, B, m))


def J_of(mu, log_var):
    sigma = np.exp(log_var / 2)
    z = mu + sigma * eps
    return ((c * np.sin(z)).sum() + beta * 0.5 * (mu**2 + sigma**2 - log_var - 1).sum()) / B


sigma = np.exp(log_var / 2)
dz = c * np.cos(mu + sigma * eps) / B
dmu = dz + beta / B * mu
dlog_var = 0.5 * (dz * eps * sigma + beta / B * (sigma**2 - 1))

code = VariationalAutoencoder((4, m), dtype="float64", backend="numpy").between  # what stands between f and g
_, cache = code.forward(np.hstack([mu, log_var]), eps)
dy = code.backward(dz, cache, beta)
by_hand = np.hstack([dmu, dlog_var])
section.claim("the engine's backward pass is the two lines derived above", abs(dy - by_hand).max(), "<=", 1e-14)
differences = np.empty_like(by_hand)
for b, j in np.ndindex(B, m):
    step = np.zeros((B, m))
    step[b, j] = 1e-5
    differences[b, j] = (J_of(mu + step, log_var) - J_of(mu - step, log_var)) / 2e-5
    differences[b, m + j] = (J_of(mu, log_var + step) - J_of(mu, log_var - step)) / 2e-5
section.claim("the two lines are differences of J", abs(by_hand - differences).max(), "<=", 1e-8)

# %% [markdown]
# Is there no other way? There is. The mean of L is ∫ q(z) L(z) dz. Since ∂q/∂μ = q ∂ log q/∂μ, its derivative is the
# mean of L(z) ∂ log q(z)/∂μ. This estimate does not need dz at all, so it also works where L has no derivative. It is
# right on average, as the reparametrised one is. The difference is how much the two scatter. We try both on one number,
# with L = ½ (z − 1.5)² and q = N(0.3, 0.8²), where the derivative with respect to μ is known to be 0.3 − 1.5 = −1.2.

# %%
draws, x, mean, deviation = 20000, 1.5, 0.3, 0.8
eps_1 = rng.standard_normal(draws)
z_1 = mean + deviation * eps_1
estimates = {"reparametrised, dz": z_1 - x, "by ∂ log q/∂μ": 0.5 * (z_1 - x) ** 2 * eps_1 / deviation}
scatter = {}
for name, values in estimates.items():
    section.number("mean of the estimates of −1.2", values.mean(), of=name)
    scatter[name] = section.number("standard deviation of one estimate", values.std(), of=name)
    apart = abs(values.mean() - (mean - x)) / (values.std() / np.sqrt(draws))
    section.claim(f"right on average, standard errors apart: {name}", apart, "<=", 5)
section.claim("the reparametrised estimate scatters less", scatter["reparametrised, dz"], "<", scatter["by ∂ log q/∂μ"])

# %% [markdown]
# ## The variational autoencoder on digits
# A code of 20 numbers, one hidden layer of ReLU units on each side, and digits whose pixels are 0 or 1: each pixel is
# drawn once from its grey value, as in the papers. J = L + KL, in nats for an image, so −J is a lower bound of log
# p(x).


# %%
def binarise(x):
    return (rng.random(x.shape) < x).astype(np.float32)


Xb, Xb_test = binarise(X), binarise(X_test)


def train(code_size, seed, beta=1.0):
    options = dict(activation="relu", beta=beta, seed=seed, backend=section.backend)
    model = VariationalAutoencoder((784, hidden, code_size), **options)
    optimizer = Adam(Cosine(1e-3, steps=epochs * -(-len(X) // 64)))
    return model, model.fit(Xb, epochs=epochs, batch_size=64, optimizer=optimizer, seed=seed, validation=Xb_test)


runs = [train(20, seed) for seed in section.seeds]
vae, history = runs[0]
terms = [model.evaluate(Xb_test) for model, _ in runs]
name, label = "lower bound of log p(x), test images, nats", "variational autoencoder, code of 20"
published = "−86.76, 784-200-200-50 (seen; Burda et al. 2016)"
bound = section.number(name, [-one["L"] - one["KL"] for one in terms], published, of=label)
KL = section.number("KL, test images, nats", [one["KL"] for one in terms], of=label)
used = [(model.posterior(Xb_test)[0].var(axis=0) > 0.01).sum() for model, _ in runs]
section.number("units of 20 whose mean varies with x (variance over 0.01)", used, of=label)
section.guard(name, bound, ">=", -102)
section.figure(
    plots.curves(
        {"variational 784-20": history},
        ylabel="J = L + KL, nats per image",
        title="A variational autoencoder: J by epoch",
    ),
    "learning_curves",
    caption="The cost J = L + KL by epoch; −J is a lower bound of log p(x). Dashed is the training cost, a mean over "
    "the epoch in which θ moves; solid is the validation cost, that of the test images at its end. It can be below the "
    "training cost at first, because it is measured later, after θ has moved on. At the end it is above, because the "
    "network fits the training images better than new ones.",
    alt="Two curves that fall steeply in the first epochs and then ever more slowly. The solid validation curve levels "
    "out above the dashed training curve.",
)

# %% [markdown]
# Most of J is L. The KL says how many nats of information about x the code carries, against the prior: 27 at default
# size. (A nat is to the natural logarithm what a bit is to log₂; it is 1.44 bits.) If a unit of the code were not worth
# its KL, training would give it up, and its q(z_j | x) would become the prior N(0, 1) for all x. Here all 20 units are
# in use.
#
# What can be done with it? The rows of the picture are test digits, their reconstructions from the mean μ of q(z | x),
# and digits that do not exist: z is drawn from the prior, and decoded.

# %%
rows = {"x": Xb_test[:12], "r": vae.reconstruct(Xb_test[:12]), "new x": vae.sample(12, seed=section.seed)}
section.figure(
    plots.images(rows, "Test digits, their reconstructions, and decoded z ~ N(0, I)"),
    "samples",
    caption="Binarised test digits x, their reconstructions r from the mean of q(z | x), and new digits, decoded from "
    "z that were drawn from the prior N(0, I). Ink is dark. The reconstructions are smoother than the digits, since r "
    "holds the probabilities of the pixels. Many of the new digits cannot be read: much of what the prior draws lies "
    "between the codes of digits.",
    alt="Three rows of twelve digits: black-and-white test digits, smooth reconstructions of the same digits, and new "
    "shapes, some of which can be read.",
)

# %% [markdown]
# ## A tighter bound
# The bound lies below log p(x) by KL(q(z | x) ‖ p(z | x)). Can we see how far? Draw K codes and average before the
# logarithm is taken (Burda et al. 2016):
#
#     log p(x) ≥ E log 1/K Σ_k p(x, z_k)/q(z_k | x),     z_k ~ q(z | x)
#
# With K = 1 this is the ELBO, except that log q(z | x)/p(z) is taken at the z that was drawn, instead of being
# integrated in closed form. Their means must agree, and this is a strong check of the KL: two different formulas. As K
# grows the bound approaches log p(x) itself.

# %%
some, repeats = Xb_test[:200], 20
many = np.repeat(some, repeats, axis=0)  # each image 20 times, with another draw of z each time
one_sample = vae.log_likelihood(many, samples=1, seed=1).reshape(-1, repeats)
closed = vae.evaluate(many)
closed = section.number("lower bound of log p(x), 200 test images, nats", -closed["L"] - closed["KL"], of="ELBO")
published = "−88.71, 784-200-200-50, binarised once, 5000 samples (recalled; Burda et al. 2016)"
K = section.pick(20, 100, 100)
tight = vae.log_likelihood(some, samples=K).mean()
section.number("lower bound of log p(x), 200 test images, nats", tight, published, of=f"{K} samples")
error = np.sqrt(2 * one_sample.var(axis=1, ddof=1).mean() / one_sample.size)  # of a difference of two such means
off = abs(one_sample.mean() - closed) / error
section.claim("with one sample it is the ELBO: standard errors apart", off, "<=", 5)
section.claim("more samples make the bound tighter", tight, ">", closed)

# %% [markdown]
# At default size the ELBO of these images is −110, and 100 samples raise it to −105. So the bound is at least 5 nats
# below log p(x): q(z | x), a Gaussian of independent numbers, is not quite p(z | x).
#
# ## The sampler and the KL must mean the same σ
# Two public implementations scale the noise by e^{log σ²}, that is by σ² instead of σ, and read the same number as a
# log-variance in the KL. No gradient check finds this fault, because the gradient of the wrong cost is right. What
# finds it is statistics: draw z many times for one x, and compare its variance with σ², and the mean of log q(z | x) −
# log p(z) with the closed KL. Deviations are counted in standard errors. In a right program one number is off by more
# than 5 of them with a chance of about one in a million. And we let the check judge the faulty sampler too, to see that
# it can fail.

# %%
mu_1, log_var_1 = vae.posterior(Xb_test[:1])
draws = section.pick(4000, 20000, 20000)
y = section.backend.from_numpy(np.hstack([mu_1, log_var_1]))
noise = rng.standard_normal((draws, 20)).astype(mu_1.dtype)
z = section.backend.to_numpy(vae.between.forward(y, section.backend.from_numpy(noise))[0])  # the engine's sampler


def variance_off(z):
    """The largest deviation of the variance of a unit from σ², in standard errors √(2/draws) σ²."""
    return float((abs(z.var(axis=0) / np.exp(log_var_1[0]) - 1) / np.sqrt(2 / draws)).max())


log_ratio = stats.norm(mu_1, np.exp(log_var_1 / 2)).logpdf(z).sum(axis=1) - stats.norm(0, 1).logpdf(z).sum(axis=1)
closed = 0.5 * float((mu_1**2 + np.exp(log_var_1) - log_var_1 - 1).sum())
off = abs(log_ratio.mean() - closed) / (log_ratio.std() / np.sqrt(draws))
section.claim("the variance of z is the σ² of the KL, standard errors apart", variance_off(z), "<=", 5)
section.claim("the KL by drawing is the KL in closed form, standard errors apart", off, "<=", 5)
faulty = mu_1 + np.exp(log_var_1) * noise  # the fault: e^{log σ²} where e^{log σ²/2} is meant
section.claim("the check sees the fault: standard errors apart", variance_off(faulty), ">", 5)

worst = section.number("largest error of the gradient check", check_gradient(vae, Xb_test[:4], entries=30).worst.error)
section.claim("the gradient is that of J, L and KL", worst, "<=", 1e-7)

# %% [markdown]
# ## A code of two numbers
# With two numbers a code can be drawn. We train a second variational autoencoder with a code of size 2 and look at it
# from both sides: from x to z, and from z to x. The bound is lower than before, because two numbers cannot hold what
# twenty did. That neighbours in the plane belong together is measured as in section 14.1, by a 1-nearest-neighbour
# classifier on the codes, beside PCA with two components.

# %%
planar = [train(2, seed)[0] for seed in section.seeds]
terms = [model.evaluate(Xb_test) for model in planar]
bound_2 = section.number(name, [-one["L"] - one["KL"] for one in terms], of="variational autoencoder, code of 2")
section.claim("two numbers hold less than twenty", bound_2, "<", bound)


def neighbour_accuracy(model):
    return knn_accuracy(model.encode(Xb), digits.train_labels, model.encode(Xb_test), digits.test_labels)


pca = PCA(Xb, 2)
accuracies = [neighbour_accuracy(model) for model in planar]
accuracy = section.number("1-NN accuracy on two numbers", accuracies, of="variational autoencoder, code of 2")
accuracy_pca = section.number("1-NN accuracy on two numbers", neighbour_accuracy(pca), of="PCA, k = 2")
if section.size != "quick":  # a few epochs are not enough to spread the classes over the plane
    section.claim("the two numbers tell more of the digit than PCA's", accuracy, ">", accuracy_pca)
panels = {"variational autoencoder, μ of q(z | x)": planar[0].encode(Xb_test), "PCA, k = 2": pca.encode(Xb_test)}
fig = plots.codes(panels, digits.test_labels, "Test digits as two numbers", colour_label="digit (not seen in training)")
fig.axes[0].set(xlabel="$z_1$", ylabel="$z_2$")
section.figure(
    fig,
    "plane",
    caption="Each point is a test digit, at the mean μ of q(z | x) on the left, in the colour of its class; the class "
    "stands at the median of its points. The KL pulls the codes towards the standard normal distribution, so they have "
    "a scale: most lie within 3 of the origin. But they do not fill it evenly. Some classes are crowded in the middle, "
    "and other regions are empty. On the right PCA's two numbers, where most classes overlap.",
    alt="Two scatter plots of digits coloured by class. On the left several classes have regions of their own around a "
    "crowded middle; on the right all classes but 0 and 1 overlap.",
)

# %% [markdown]
# At default size the bound falls from −113 to −172, and the 1-nearest-neighbour classifier is right for half of the
# digits, against a third with PCA.
#
# Now the other direction. Twenty values of z_1 and twenty of z_2 make 400 codes, and the decoder makes a digit of each.
# Which values? Under the prior each number is standard normal, so we take its quantiles: the values below which 1/40,
# 3/40, … 39/40 of the prior lie. Then each cell of the sheet stands for the same share of what the prior draws.

# %%
side = section.pick(10, 20, 20)
quantiles = stats.norm.ppf((np.arange(side) + 0.5) / side)
z_1, z_2 = np.meshgrid(quantiles, quantiles[::-1])  # z_2 grows upward
sheet = planar[0].decode(np.stack([z_1.ravel(), z_2.ravel()], axis=1).astype(np.float32)).reshape(side, side, 784)
rows = {f"{value:.2f}": images for value, images in zip(quantiles[::-1], sheet, strict=True)}
fig = plots.images(rows, "Decoded codes (z₁, z₂), at the quantiles of the standard normal", columns=side)
fig.axes[0].set(ylabel="z₂", xlabel=f"z₁, from {quantiles[0]:.2f} on the left to {quantiles[-1]:.2f} on the right")
section.figure(
    fig,
    "sheet",
    caption="What the decoder makes of a grid of codes. Each cell has the same probability under the prior, and cells "
    "lie as the codes lie in the plane of the picture before. Walk from one cell to the next: one digit turns into "
    "another by small steps, through blurred mixtures of both. Compare the two pictures: where the plane has no "
    "points, the sheet shows shapes that are no digits. The decoder was never asked about those codes.",
    alt="A square sheet of digits. Neighbours look alike, regions of the sheet belong to one class each, and in one "
    "part the shapes are not digits.",
)

# %% [markdown]
# ## The weight β of the KL
# The cost is now J = L + β KL. With β > 1 a nat of KL costs more than a nat of L. So training makes the code noisier,
# which lowers the KL and raises L, and the code carries less. That is an easy effect to predict and worth checking,
# since a KL that does not act is a fault that was found in public code.

# %%
narrowed, _ = train(20, section.seed, beta=4.0)
terms = narrowed.evaluate(Xb_test)
label = "variational autoencoder, β = 4"
section.claim("β = 4 lowers the KL", section.number("KL, test images, nats", terms["KL"], of=label), "<", KL)
L_of_vae = vae.evaluate(Xb_test)["L"]
section.claim("β = 4 is paid for with reconstruction", terms["L"], ">", L_of_vae)

# %% [markdown]
# At default size the KL falls from 27 to 9 nats, and L rises from 86 to 125. A unit that does not pay for its nats
# falls silent: its q(z_j ∣ x) is the prior for every x. If β is so large that all of them do, one speaks of *posterior
# collapse*, and the decoder says the same of every x.
#
# ## Exercises
# 1. On paper. Derive KL(N(μ, σ²) ‖ N(0, 1)) = ½ (μ² + σ² − log σ² − 1) from the definition of the KL. At which σ is it
#    least, and what does ∂KL/∂log σ² = ½ (σ² − 1) have to say about a unit that the decoder does not read?
# 2. With code. A linear decoder with Gaussian noise is a model whose log p(x) is known: x = V z + c + ε is Gaussian
#    with the covariance V Vᵀ + I. Draw 2000 rows from such a model with 6 numbers and a code of 2, train a variational
#    autoencoder of sizes (6, 2) with the Gaussian loss on them, and compare its ELBO with the exact log p(x) under its
#    own V and c. Since the true p(z | x) is Gaussian as well, the gap should become small: reach 0.05 nats. (The
#    solution is in `solutions/14_4_stochastic.py`.)
# 3. With code. Train with codes of 2, 5, 10, 20 and 50 numbers, and plot the bound and the number of units whose mean
#    varies with x. From which size on are further units left unused?

# %%
section.finish()

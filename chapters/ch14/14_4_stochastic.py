"""14.4 Stochastic Encoders and Decoders

Equations: 14.12, 14.13
Figures: learning_curves (the cost of a variational autoencoder by epoch); samples (digits, reconstructions, new digits)

An autoencoder's f and g may be distributions instead of functions. Those of one joint p_model(h, x) are

    p_encoder(h | x) = p_model(h | x)     (14.12)
    p_decoder(x | h) = p_model(x | h)     (14.13)

but an encoder and a decoder that are trained need not fit one joint. The decoder we always had, by L = −log p_decoder:
a real x has a Gaussian p, a binary one a Bernoulli, a class a categorical one, and squared error is the Gaussian's. A
stochastic encoder makes h random too. Trained by the gradient of a lower bound of log p(x) it is the variational
autoencoder (book, 20.10.3), whose q(z | x) approximates p_model(z | x).

Symbols: minae/NOTATION.md. The losses: minae/losses.py; the forward and backward pass:
minae/models/variational.py.
"""

# %%
import numpy as np
from scipy import stats

from minae import VariationalAutoencoder, check_gradient, data, plots
from minae.arena import Arena
from minae.backend import Backend
from minae.chapters import Section
from minae.losses import LOSSES
from minae.training import Adam, Cosine

section = Section("14.4")
digits = data.mnist(full=section.size == "full")
rng = np.random.default_rng(section.seed)
X, X_test = digits.train, digits.test  # (rows, 784), pixels in [0, 1]
epochs, hidden = section.pick(4, 25, 20), section.pick(200, 400, 500)

# %% [markdown]
# ## L is −log p_decoder(x | h)     (14.13)
# Each loss against the log-density of SciPy's distribution with the same parameters; for the Gaussian but for its
# constant ½ n log 2π, which does not depend on h.

# %%
s, n = rng.standard_normal((6, 5)), 5
one_hot, binary, real = (
    np.eye(n)[rng.integers(n, size=6)],
    1.0 * (rng.random((6, n)) < 0.5),
    rng.standard_normal((6, n)),
)
softmax = np.exp(s) / np.exp(s).sum(axis=1, keepdims=True)
log_p = {
    "gaussian": (real, stats.norm(s, 1).logpdf(real).sum() / 6 + n / 2 * np.log(2 * np.pi)),
    "bernoulli": (binary, stats.bernoulli(1 / (1 + np.exp(-s))).logpmf(binary).sum() / 6),
    "categorical": (one_hot, np.log((softmax * one_hot).sum(axis=1)).mean()),
}
for name, (x, expected) in log_p.items():
    L, _ = LOSSES[name](Arena(Backend(), "float64"))(s, x)
    section.claim(f"the {name} loss is −log p", abs(float(L) + expected), "<=", 1e-12)

# %% [markdown]
# ## The variational autoencoder
# Binarised digits: each pixel is drawn once from its grey value. J = L + β KL; with β = 1, −J is a lower bound of log
# p(x).


# %%
def binarise(x):
    return (rng.random(x.shape) < x).astype(np.float32)


def train(X, code, seed, beta=1.0):
    options = dict(activation="relu", beta=beta, seed=seed, backend=section.backend)
    model = VariationalAutoencoder((784, hidden, code), **options)
    optimizer = Adam(Cosine(1e-3, steps=epochs * -(-len(X) // 64)))
    return model, model.fit(X, epochs=epochs, batch_size=64, optimizer=optimizer, seed=seed)


B, B_test = binarise(X), binarise(X_test)
runs = [train(B, 20, seed) for seed in section.seeds]
vae, history = runs[0]
all_terms = [model.evaluate(B_test) for model, _ in runs]
terms, published = all_terms[0], "−86.76, 784-200-200-50 (seen; Burda et al. 2016)"
bounds = [-t["L"] - t["KL"] for t in all_terms]
bound = section.number("lower bound of log p(x), nats", bounds, published, of="test images")
section.number("KL, nats", [t["KL"] for t in all_terms], of="test images")
section.figure(
    plots.curves({"variational 784-20": history}, ylabel="J, nats per image", title="Training J = L + KL"),
    "learning_curves",
    caption="The cost J = L + KL of the variational autoencoder by epoch, a mean over the epoch in which θ moves. "
    "−J is a lower bound of log p(x), so the curve says how far the bound has been raised.",
    alt="One curve that falls steeply in the first epochs and then ever more slowly.",
)
rows = {"x": B_test[:12], "r": vae.reconstruct(B_test[:12]), "new x": vae.sample(12, seed=section.seed)}
section.figure(
    plots.images(rows, "Test digits, their reconstructions, and decoded z ~ N(0, I)"),
    "samples",
    caption="Binarised test digits x, their reconstructions r from the mean of q(z | x), and new digits, decoded "
    "from z that were drawn from the prior N(0, I). The reconstructions are sharper than the new digits: much of "
    "what the prior draws lies between the codes of digits.",
    alt="Three rows of twelve digits: black-and-white test digits, smooth reconstructions of the same digits, and new "
    "ones, most of which can be read.",
)

# %% [markdown]
# A bound can be tightened: log p(x) ≥ E log 1/K Σ_k p(x, z_k)/q(z_k | x), with equality as K grows (Burda et al. 2016).
# With K = 1 it is the bound above, reached by another way: log p(z)/q(z | x) at the sample, in place of the closed KL.

# %%
some, draws = section.backend.from_numpy(B_test[:200]), range(20)
one_sample = [vae.log_likelihood(B_test[:200], samples=1, seed=k).mean() for k in draws]
closed = [-float(vae.cost_and_grad(some, need_grad=False, **vae.draw({"x": some}, 1, "noise", 0, k))) for k in draws]
section.number("lower bound of log p(x), nats", np.mean(closed), of="200 test images")
published = "−88.71, 784-200-200-50, binarised once, 5000 samples (recalled; Burda et al. 2016)"
tight = vae.log_likelihood(B_test[:200], samples=100).mean()
section.number("importance-weighted bound, 100 samples, nats", tight, published, of="200 test images")
off = abs(np.mean(one_sample) - np.mean(closed)) / np.sqrt((np.var(one_sample) + np.var(closed)) / 20)
section.claim("with one sample it is the bound: standard errors apart", off, "<=", 4)

# %% [markdown]
# ## The sampler and the KL mean the same σ
# A fault of two public implementations: noise scaled by e^{log_var} where the KL reads log_var. Draw z many times
# and compare its variance, and the mean of log q(z | x) − log p(z), with what the closed form says.

# %%
mu, log_var = vae.posterior(B_test[:1])
eps = rng.standard_normal((section.pick(4000, 20000, 20000), 20))
y, eps = map(section.backend.from_numpy, (np.hstack([mu, log_var]), eps.astype(mu.dtype)))
z, _ = vae.between.forward(y, eps)  # z = μ + σ ε
draws = section.backend.to_numpy(z)
ratio = draws.var(axis=0) / np.exp(log_var[0])
section.claim(
    "variance of z over e^log_var, furthest from 1", np.abs(ratio - 1).max(), "<=", section.pick(0.12, 0.06, 0.06)
)
log_q = stats.norm(mu, np.exp(0.5 * log_var)).logpdf(draws).sum(axis=1)
monte_carlo = (log_q - stats.norm(0, 1).logpdf(draws).sum(axis=1)).mean()
closed = 0.5 * float((mu**2 + np.exp(log_var) - log_var - 1).sum())
section.claim("KL by Monte Carlo over the closed form", abs(monte_carlo / closed - 1), "<=", 0.03)

tight_code, _ = train(B, 20, section.seed, beta=4.0)
section.claim("raising β lowers the KL", tight_code.evaluate(B_test)["KL"], "<", 0.7 * terms["KL"])

worst = check_gradient(vae, B_test[:4], entries=30).worst.error
section.claim(
    "the gradient is that of J, L and KL", section.number("largest error of the gradient check", worst), "<=", 1e-7
)
section.guard("lower bound of log p(x), test images, nats", bound, ">=", -102)

section.finish()

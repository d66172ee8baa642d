"""14.4 Stochastic Encoders and Decoders, exercise 2: a bound that is tight.

The decoder is linear, x = z V + c + ε with z ~ N(0, I) and ε ~ N(0, I). So x is Gaussian with the mean c and the
covariance

    Vᵀ V + I

for rows x and z, and log p(x) is known. The true p(z | x) is Gaussian too, with a mean that is affine in x and a
covariance (V Vᵀ + I)⁻¹ that is the same for all x. The encoder of the model can express the mean. It can express the
covariance where V Vᵀ is diagonal, and since V may be rotated without changing p(x), training can choose a V of which
that is true. So nothing keeps the bound from log p(x) but the training.
"""

# %%
import numpy as np
from scipy import stats

from minae import VariationalAutoencoder
from minae.chapters import Section
from minae.training import Adam, Cosine

section = Section("14.4", exercise=2)
rng, n, m = np.random.default_rng(section.seed), 6, 2
V = rng.standard_normal((m, n))
X = rng.standard_normal((2000, m)) @ V + rng.standard_normal((2000, n))

# %%
model = VariationalAutoencoder((n, m), loss="gaussian", seed=section.seed, dtype="float64", backend="numpy")
epochs = section.pick(60, 150, 300)
model.fit(X, epochs=epochs, batch_size=50, optimizer=Adam(Cosine(1e-2, steps=epochs * 40)), seed=section.seed)
constant = n / 2 * np.log(2 * np.pi)  # the Gaussian loss leaves it out
many = np.repeat(X, 20, axis=0)  # twenty draws of z for each row
terms = model.evaluate(many)
V, c = model.parameters["V1"], model.parameters["c1"]
exact = section.number("log p(x), nats", stats.multivariate_normal(c, V.T @ V + np.eye(n)).logpdf(X).mean())
bound = section.number("ELBO, nats", -terms["L"] - terms["KL"] - constant)
samples = section.number("bound of 50 samples, nats", model.log_likelihood(X, samples=50).mean() - constant)
section.claim("the gap between log p(x) and the ELBO is small", abs(exact - bound), "<=", 0.05)
section.claim("the bound of 50 samples is log p(x), nearly", abs(exact - samples), "<=", 0.05)

section.finish()

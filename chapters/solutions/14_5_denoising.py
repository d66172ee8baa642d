"""14.5 Denoising Autoencoders, exercise 2: with the Bernoulli loss the best answer is the mean as well.

Let x have four bits. For a given x̃ the expected loss of the answers r_i is

    −Σ_i E[x_i | x̃] log r_i + (1 − E[x_i | x̃]) log(1 − r_i)

and its derivative with respect to r_i is 0 at r_i = E[x_i | x̃], the probability that the bit is on. There are 16 x and
16 x̃, so that Bayes' rule is a table:

    p(x | x̃) ∝ p(x) Π_i C(x̃_i | x_i),     C(0 | 1) = ν,  C(1 | 1) = 1 − ν,  C(0 | 0) = 1,  C(1 | 0) = 0
"""

# %%
import numpy as np

from minae import DenoisingAutoencoder
from minae.chapters import Section
from minae.training import Adam, Cosine

section = Section("14.5", exercise=2)
rng, nu = np.random.default_rng(section.seed), 0.3
patterns = np.array(list(np.ndindex(2, 2, 2, 2)), dtype=np.float32)  # (16, 4)
rows, epochs = section.pick((10000, 20), (40000, 30), (100000, 60))
X = patterns[rng.choice(16, size=rows, p=rng.dirichlet(np.full(16, 0.5)))]
p = np.array([(X == pattern).all(axis=1).mean() for pattern in patterns])  # as the training rows have it

# %%
C = np.array([[1.0, 0.0], [nu, 1 - nu]])  # C(x̃_i | x_i): row x_i, column x̃_i
bits = patterns.astype(int)
likelihood = np.prod(C[bits[:, None], bits[None]], axis=2)  # (16 x, 16 x̃)
p_of_x_tilde = p @ likelihood
some = p_of_x_tilde > 0  # x̃ that can occur
E_x = ((p[:, None] * likelihood).T @ patterns)[some] / p_of_x_tilde[some, None]

# %%
options = dict(activation="tanh", corruption="masking", level=nu, seed=section.seed, backend=section.backend)
model = DenoisingAutoencoder((4, 32, 32), **options)
model.fit(X, epochs=epochs, batch_size=200, optimizer=Adam(Cosine(1e-2, steps=epochs * rows // 200)))
off = abs(model.reconstruct(patterns[some]) - E_x).max(axis=1)
worst = section.number("mean over x̃ of the largest |r_i − E[x_i | x̃]|", p_of_x_tilde[some] @ off, of="r(x̃)")
unchanged = p_of_x_tilde[some] @ abs(patterns[some] - E_x).max(axis=1)
unchanged = section.number("mean over x̃ of the largest |r_i − E[x_i | x̃]|", unchanged, of="x̃ itself")
section.claim("the denoiser answers with the probability of each bit", worst, "<=", 0.02)
section.claim("x̃ itself is no such answer", unchanged, ">", worst)

section.finish()

"""14.5.1 Estimating the Score, exercise 2: the Jacobian of the best denoiser is a covariance.

Write p(x | x̃) ∝ p(x) C(x̃ | x), and let m(x̃) = E[x | x̃]. With the Gaussian corruption,

    ∂/∂x̃_j log p(x | x̃) = (x_j − x̃_j)/σ² − ∂/∂x̃_j log p_σ(x̃) = (x_j − m_j)/σ²

where the last step is Tweedie's formula. So the derivative of the mean is

    ∂m_i/∂x̃_j = ∫ x_i p(x | x̃) (x_j − m_j)/σ² dx = Cov[x_i, x_j | x̃]/σ²

because the mean of x_j − m_j is 0, so that x_i may be replaced by x_i − m_i. A denoiser that moves its answer with x̃
is uncertain; one that answers the same for neighbouring x̃ is sure.
"""

# %%
import numpy as np
from scipy.special import softmax

from minae import DenoisingAutoencoder
from minae.chapters import Section
from minae.training import Adam, Cosine

section = Section("14.5.1", exercise=2)
rng, sigma = np.random.default_rng(section.seed), 0.3
angle = 4 * np.pi * np.sqrt(np.linspace(0.07, 1, 300))[:, None]
centres, v = angle / 4 * np.hstack([np.cos(angle), np.sin(angle)]), 0.1**2
share = v / (v + sigma**2)


def draw(rows, variance):
    return centres[rng.integers(300, size=rows)] + np.sqrt(variance) * rng.standard_normal((rows, 2))


def moments(x_tilde):
    """E[x | x̃], (rows, 2), and Cov[x | x̃], (rows, 2, 2), of the mixture."""
    p = softmax(-np.square(centres - x_tilde[:, None]).sum(axis=2) / (2 * (v + sigma**2)), axis=1)
    means = centres + share * (x_tilde[:, None] - centres)  # E[x | x̃, k], (rows, 300, 2)
    m = np.einsum("bk,bki->bi", p, means)
    between = np.einsum("bk,bki,bkj->bij", p, means - m[:, None], means - m[:, None])
    return m, between + share * sigma**2 * np.eye(2)  # and Cov[x | x̃, k] = v σ²/(v + σ²) I within each Gaussian


def jacobian(r, x, step):
    """∂r_i/∂x_j by central differences, (rows, 2, 2)."""
    columns = []
    for j in range(2):
        shift = step * np.eye(2)[j]
        columns.append((r(x + shift) - r(x - shift)) / (2 * step))
    return np.stack(columns, axis=2)


# %%
x_tilde = draw(500, v + sigma**2)
covariance = moments(x_tilde)[1]
off = abs(sigma**2 * jacobian(lambda x: moments(x)[0], x_tilde, 1e-5) - covariance).max()
section.claim("Cov[x | x̃] = σ² ∂E[x | x̃]/∂x̃", off, "<=", 1e-7)

# %%
options = dict(activation="swish", loss="gaussian", corruption="gaussian", level=sigma, seed=section.seed)
model = DenoisingAutoencoder((2, 64, 64), **options, dtype="float64", backend="numpy")
rows, epochs = section.pick((10000, 30), (20000, 60), (50000, 60))
model.fit(draw(rows, v), epochs=epochs, batch_size=100, optimizer=Adam(Cosine(1e-2, steps=epochs * rows // 100)))
estimate = sigma**2 * jacobian(model.reconstruct, x_tilde, 1e-4)
nearest = np.square(centres - x_tilde[:, None]).sum(axis=2).argmin(axis=1)
tangent = np.gradient(centres, axis=0)[nearest]
tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
normal = tangent @ np.array([[0.0, 1.0], [-1.0, 0.0]])
for label, C in (("exact", covariance), ("from the Jacobian of the denoiser", estimate)):
    along = np.einsum("bi,bij,bj->b", tangent, C, tangent).mean()
    across = np.einsum("bi,bij,bj->b", normal, C, normal).mean()
    section.number("variance of x given x̃, along the spiral", along, of=label)
    section.number("variance of x given x̃, across the spiral", across, of=label)
section.claim("given x̃, x is more uncertain along the spiral than across it", along, ">", across)

section.finish()

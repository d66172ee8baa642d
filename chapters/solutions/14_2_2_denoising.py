"""14.2.2 Denoising Autoencoders, exercise 2: the linear filter, when the law of the noise is not known.

The best filter A = (E x̃ᵀx̃ + α I)⁻¹ E x̃ᵀx has two means over the noise. For Gaussian noise, where m(x) = x and v = σ²,
they are known:

    E x̃ᵀx̃ = E xᵀx + σ² I,     E x̃ᵀx = E xᵀx

Who has corrupted copies alone must take means over those. They have errors, which shrink as 1/√copies, and A pays for
them on new digits.
"""

# %%
import numpy as np

from minae import data
from minae.chapters import Section

section = Section("14.2.2", exercise=2)
digits, sigma, alpha = data.mnist(), 0.3, 1e-3
mu = digits.train.mean(axis=0)
X, X_test = digits.train - mu, digits.test - mu  # with mean 0 no constant is needed
rng = np.random.default_rng(section.seed)


def corrupted(x):
    return x + sigma * rng.standard_normal(x.shape, dtype=np.float32)


x_tilde = corrupted(X_test)


def error_of(left, right):
    """Squared error on corrupted test digits of the filter that solves (left + α I) A = right."""
    A = np.linalg.solve(left + alpha * np.eye(784, dtype=np.float32), right)
    return float(np.square(X_test - x_tilde @ A).sum(axis=1).mean())


# %%
C = X.T @ X / len(X)
noise = np.float32(sigma**2) * np.eye(784, dtype=np.float32)
exact = section.number("squared error", error_of(C + noise, C), of="exact")
left, right = np.zeros_like(C), np.zeros_like(C)
drawn, errors = 0, {}
for copies in (1, 2, 4, 8):
    while drawn < copies:
        copy = corrupted(X)
        left += copy.T @ copy / len(X)
        right += copy.T @ X / len(X)
        drawn += 1
    label = "from 1 copy" if copies == 1 else f"from {copies} copies"
    errors[copies] = section.number("squared error", error_of(left / copies, right / copies), of=label)
section.claim("more copies are better: error of 8 over error of 1", errors[8] / errors[1], "<", 1)
section.claim("8 copies come within 2% of the exact filter", errors[8] / exact - 1, "<=", 0.02)
section.claim("2 copies do not", errors[2] / exact - 1, ">", 0.02)

section.finish()

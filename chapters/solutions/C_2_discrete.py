"""C.2 Discrete Codes, exercise 2: the constant baseline of least noise.

The estimate is (L − β)(b − p). Its mean does not depend on β, so its noise is least where the mean square is:

    d/dβ Σ_b q(b) (L − β)² ‖b − p‖² = −2 Σ_b q(b) (L − β) ‖b − p‖² = 0
    β* = Σ_b q(b) L ‖b − p‖² / Σ_b q(b) ‖b − p‖²

This is a mean of L, too, but one in which codes far from p weigh more: they move the estimate most.
"""

# %%
import itertools

import numpy as np

from minae.chapters import Section

section = Section("C.2", exercise=2)
rng = np.random.default_rng(section.seed)
A, B = rng.standard_normal((8, 12)), rng.standard_normal((12, 3))
y, a = rng.standard_normal(3), 1.5 * rng.standard_normal(8)

# %%
p = 1 / (1 + np.exp(-a))
codes = np.array(list(itertools.product((0.0, 1.0), repeat=8)))
q = np.where(codes == 1, p, 1 - p).prod(axis=1)
L = 0.5 * np.square(np.tanh(codes @ A) @ B - y).sum(axis=1)
length = np.square(codes - p).sum(axis=1)
gradient = (q * L) @ (codes - p)


def noise(beta):
    """The standard deviation of one estimate, over all 256 codes: exact, without a draw."""
    return np.sqrt((q * (L - beta) ** 2 * length).sum() - gradient @ gradient) / np.linalg.norm(gradient)


best = (q * L * length).sum() / (q * length).sum()
for name, beta in (("no baseline", 0.0), ("the mean cost", (q * L).sum()), ("the best constant", best)):
    section.number("noise of one estimate / |gradient|", noise(beta), of=name)
section.claim("the best constant is no noisier than the mean cost", noise(best) - noise((q * L).sum()), "<=", 0)
section.claim("nor than its neighbours", noise(best) - min(noise(best + 1e-3), noise(best - 1e-3)), "<=", 0)

section.finish()

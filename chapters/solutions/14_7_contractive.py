"""14.7 Contractive Autoencoders, exercise 2: along which directions the code stays sensitive.

A step of length ε along the unit vector D_j moves the code by ε ‖Jf D_j‖. With one layer of sigmoid units

    Jf D_j = diag(h (1 − h)) Wᵀ D_j

so all components cost one product of Wᵀ with D, and Jf itself is not needed.
"""

# %%
import numpy as np

from minae import ContractiveAutoencoder, data
from minae.chapters import Section
from minae.chapters.classical import PCA
from minae.training import Adam, Cosine

section = Section("14.7", exercise=2)
digits = data.mnist()
X, x = digits.train[: section.pick(2000, 6000, 6000)], digits.test[:100]

# %%
epochs = section.pick(5, 12, 12)
model = ContractiveAutoencoder((784, 100), lam=1.0, seed=section.seed, backend=section.backend)
model.fit(X, epochs=epochs, batch_size=64, optimizer=Adam(Cosine(5e-3, steps=epochs * -(-len(X) // 64))))
h, W = model.encode(x), section.backend.to_numpy(model.parameters["W1"])
D = PCA(X, 120).D  # (784, 120)
moved = (h * (1 - h))[:, :, None] * (W.T @ D)  # Jf D, (100, m, 120)
sensitivity = np.linalg.norm(moved, axis=1).mean(axis=0)  # mean ‖Jf D_j‖, (120,)
check = np.linalg.norm(model.jacobian(x[:1])[0] @ D[:, 0])
section.claim("the product is that of the Jacobian", abs(np.linalg.norm(moved[0, :, 0]) / check - 1), "<=", 1e-4)

# %%
first = section.number("mean ‖Jf D_j‖", sensitivity[:20].mean(), of="components 1 to 20")
last = section.number("mean ‖Jf D_j‖", sensitivity[100:].mean(), of="components 101 to 120")
section.claim("f stays sensitive where the data vary: first over last", first / last, ">=", 3)

section.finish()

"""C.4 Sparse Codes of Today, exercise 2: how much L1 takes.

For one unit, J = ½ ‖f v − h v‖² + λ h = ½ (f − h)² + λ h, whose slope −(f − h) + λ is 0 at h = f − λ. With rows of V of
unit length and features that hardly overlap, each unit that is on stands for itself, and the same holds for each.
"""

# %%
import numpy as np

from minae import SparseAutoencoder
from minae.chapters import Section
from minae.training import Adam, Cosine

section = Section("C.4", exercise=2)
rng = np.random.default_rng(section.seed)
F = np.linalg.qr(rng.standard_normal((16, 16)))[0]  # features that do not overlap


def planted(rows):
    truth = rng.random((rows, 16)) < 0.1
    return (truth @ F).astype(np.float32), truth


def with_unit_rows(model, history):
    p = model.parameters
    length = np.linalg.norm(p["V1"], axis=1)
    p["V1"][...] /= length[:, None]
    p["W1"][...] *= length
    p["b1"][...] *= length


# %%
X, _ = planted(section.pick(4000, 10_000, 10_000))
X_test, truth = planted(2000)
lams, said, epochs = (0.05, 0.1, 0.2), [], section.pick(60, 80, 80)
for lam in lams:
    model = SparseAutoencoder(
        (16, 16), penalty="l1", lam=lam, activation="relu", loss="gaussian", seed=section.seed, backend="numpy"
    )
    optimizer = Adam(Cosine(1e-2, steps=epochs * -(-len(X) // 100)))
    model.fit(X, epochs=epochs, batch_size=100, optimizer=optimizer, seed=section.seed, callbacks=[with_unit_rows])
    h, V = model.encode(X_test), model.parameters["V1"]
    unit, near = (F @ V.T).argmax(axis=1), (F @ V.T).max(axis=1)
    sizes = [h[truth[:, j], unit[j]].mean() for j in range(16) if near[j] > 0.95]
    said.append(section.number("mean of what a unit says, where the truth is 1", np.mean(sizes), of=f"λ = {lam}"))
    section.number("features that were found, of 16", len(sizes), of=f"λ = {lam}")
slope = section.number("slope of it over λ", np.polyfit(lams, said, 1)[0])
section.claim("L1 takes about λ from each unit that is on: |slope + 1|", abs(slope + 1), "<=", 0.35)

section.finish()

"""14.2.3 Regularizing by Penalizing Derivatives

Equations: 14.10, 14.11
Figures: by_lambda (the size of the derivatives, the noise in h, and L, by λ)
Data: rows of numbers

Another Ω depends on x as well:

    J = L(x, g(f(x))) + Ω(h, x)     (14.10)
    Ω(h, x) = λ Σ_i ‖∇_x h_i‖²      (14.11)

It makes f change little when x changes slightly, wherever there are training examples. Summed over i it is the squared
Frobenius norm of the Jacobian Jf, and the model is the contractive autoencoder of section 14.7.

Symbols: minae/NOTATION.md. The forward and backward pass: minae/models/contractive.py; with second derivatives
too: minae/models/contractive_h.py; Ω: minae/contraction.py.
"""

# %%
import numpy as np

from minae import ContractiveAutoencoder, HigherOrderContractiveAutoencoder, check_gradient, plots
from minae.chapters import Section
from minae.training import Adam, Cosine

section = Section("14.2.3")
digits = section.data()
X, X_test = digits.train, digits.test  # (rows, n), values in [0, 1]
n = X.shape[1]
epochs, units = section.pick(3, 10, 5), section.pick(60, 200, 300)


def train(model, seed):
    optimizer = Adam(Cosine(section.pick(1e-2, 5e-3, 2e-3), steps=epochs * -(-len(X) // 64)))
    model.fit(X, epochs=epochs, batch_size=64, optimizer=optimizer, seed=seed)
    return model


def contractive(lam, seed=section.seed):
    return train(ContractiveAutoencoder((n, units), lam=lam, seed=seed, backend=section.backend), seed)


# %% [markdown]
# ## Ω is what its name says     (14.11)
# The sum over code units of the squared length of their gradients: by differences of h, by the Jacobian, and as the
# model reports it from its closed form.

# %%
x = X_test[:50].astype(np.float64)
model = contractive(1.0).copy(dtype="float64")
Jf = model.jacobian(x)  # (50, m, n)
by_unit = np.square(Jf).sum(axis=2)  # ‖∇_x h_i‖²
v = np.random.default_rng(section.seed).standard_normal(n)
step = 1e-5 * v / np.linalg.norm(v)
difference = (model.encode(x + step) - model.encode(x - step)) / 2e-5
section.claim("∇h along a direction, by differences", abs(difference - Jf @ (step / 1e-5)).max(), "<=", 1e-8)
closed = model.evaluate(x)["Omega"]
section.claim("Ω in closed form is Σ ‖∇h_i‖²", abs(closed / by_unit.sum(axis=1).mean() - 1), "<=", 1e-10)

# %% [markdown]
# ## The larger λ, the flatter f
# ‖∇h‖ falls as λ rises, and L rises: the two forces of the cost. A smaller h alone would lower ‖∇h‖ too. So there is a
# measure free of scale: how far h moves when x gets noise of σ = 0.1, over how far apart the codes of two digits are.

# %%
noise = 0.1 * np.random.default_rng(section.seed).standard_normal(X_test.shape).astype(np.float32)


def invariance(model):
    h, h_noisy = model.encode(X_test[:1000]), model.encode((X_test + noise)[:1000])
    return float(np.linalg.norm(h_noisy - h, axis=1).mean() / np.linalg.norm(h - h[::-1], axis=1).mean())


lams = section.pick((0, 1, 10), (0, 0.1, 1, 3, 10), (0, 1, 10))
norms, moves, Ls = [], [], []
for lam in lams:
    models = [contractive(lam, seed) for seed in section.seeds]
    jacobians = [np.linalg.norm(m.jacobian(X_test[:100]), axis=(1, 2)).mean() for m in models]
    norms.append(section.number("mean ‖Jf‖", jacobians, of=f"λ = {lam}"))
    Ls.append(section.number("L, nats", [m.evaluate(X_test)["L"] for m in models], of=f"λ = {lam}"))
    moved = [invariance(m) for m in models]
    moves.append(section.number("noise of x in h, over the distance of two codes", moved, of=f"λ = {lam}"))
section.claim("‖∇h‖ falls with λ: largest λ over none", norms[-1] / norms[0], "<", 0.5)
section.claim("‖∇h‖ falls all the way: largest ratio of neighbours", max(np.divide(norms[1:], norms[:-1])), "<", 1)
section.claim("the code becomes invariant: noise in h, largest λ over none", moves[-1] / moves[0], "<", 0.9)
section.claim("reconstruction pays for it: L, largest λ over none", Ls[-1] / Ls[0], ">", 1)
k = np.arange(len(lams))
curves = {
    name: (k, np.divide(values, values[0])) for name, values in {"‖Jf‖": norms, "noise in h": moves, "L": Ls}.items()
}
fig = plots.levels(curves, "λ", "value over that at λ = 0", "What the weight λ of the penalty does")
fig.axes[0].set_xticks(k, lams)
section.figure(
    fig,
    "by_lambda",
    caption="Three quantities of networks that differ in λ alone, each divided by its value at λ = 0: the size of the "
    "encoder's Jacobian, the noise that passes from x into h, and the reconstruction loss L. The λ are drawn at equal "
    "distances. The Jacobian and the noise fall as λ rises, and L pays for it.",
    alt="Three lines over the values of λ that were tried. The size of the Jacobian falls steeply, the noise in h "
    "falls less, and L rises.",
)

# %% [markdown]
# ## A deep code, exactly and by an estimate
# Each row of Jf costs a product with every weight matrix. Hutchinson's estimate takes K random directions ξ of the code
# instead of all: E ‖ξᵀ Jf‖² = ‖Jf‖² when E ξ ξᵀ = I.

# %%
deep = dict(sizes=(n, 100, 40), activation="softplus", tied=False, lam=0.1, seed=section.seed, backend=section.backend)
exact = train(ContractiveAutoencoder(**deep), section.seed)
estimate = ContractiveAutoencoder(**deep, probes=4)
estimate.parameters.flat[...] = exact.parameters.flat
draws, batch = [], section.backend.from_numpy(X_test[:64])
for k in range(200):
    xi = estimate.draw({"x": batch}, section.seed, "noise", 0, k)
    draws.append(float(estimate.cost_and_grad(batch, need_grad=False, **xi)["Omega"]))
Omega = section.number("‖Jf‖²", exact.evaluate(X_test[:64])["Omega"], of="deep code, exact")
Jf = exact.copy(dtype="float64").jacobian(x)
off = exact.copy(dtype="float64").evaluate(x)["Omega"] / np.square(Jf).sum(axis=(1, 2)).mean() - 1
section.claim("exact Ω of a deep code is that of a Jacobian that is written out", abs(off), "<=", 1e-10)
section.number("‖Jf‖²", np.mean(draws), of="deep code, mean of 200 estimates by 4 directions")
off = abs(np.mean(draws) - Omega) / (np.std(draws) / np.sqrt(len(draws)))
section.claim("the estimate has the right mean: standard errors off", off, "<=", 4)

# %% [markdown]
# ## The second derivatives
# H = E ‖Jf(x) − Jf(x + ε)‖², ε ~ N(0, σ² I), is small where f bends little (Rifai et al. 2011b). With a weight γ in the
# cost it falls, and by more than a smaller Jf alone would make it fall: H/Ω falls too.

# %%
bend = {}
for gamma in (0.0, 10.0):
    options = dict(lam=1.0, gamma=gamma, sigma=0.2, draws=2, seed=section.seed, backend=section.backend)
    curved = train(HigherOrderContractiveAutoencoder((n, section.pick(60, 100, 100)), **options), section.seed)
    measured = curved.copy()
    measured.gamma = 1.0  # a term of weight 0 is skipped, and H is wanted for both
    at = measured.evaluate(X_test)
    section.number("H at σ = 0.2", at["H"], of=f"γ = {gamma:g}")
    bend[gamma] = section.number("H/Ω at σ = 0.2", at["H"] / at["Omega"], of=f"γ = {gamma:g}")
section.claim("the Hessian term straightens f: H/Ω with over without", bend[10.0] / bend[0.0], "<", 0.8)

# %%
worst = max(check_gradient(m, X_test[:3], entries=20).worst.error for m in (model, exact, curved))
section.claim("the gradients are those of J", section.number("largest error of the gradient check", worst), "<=", 1e-7)

section.finish()

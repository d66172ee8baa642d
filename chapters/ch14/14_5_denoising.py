"""14.5 Denoising Autoencoders

Equations: 14.14
Figures: back (14.4: a corrupted point is sent back towards the manifold)

The training procedure draws pairs: x from the data, x̃ from the corruption C(x̃ | x). It then learns the distribution
p_reconstruct(x | x̃) = p_decoder(x | h), h = f(x̃), by descending on

    −E_x E_x̃ log p_decoder(x | h = f(x̃))     (14.14)

one pair at a time. What it learns is to send x̃ back to the x that it may have come from: where they form a manifold,
back onto the manifold.

Symbols: minae/NOTATION.md. The forward and backward pass: minae/models/denoising.py. Here it is used for figure
14.4, and as the layers of a stack (Vincent et al. 2010).
"""

# %%
import warnings

import numpy as np
from scipy.special import softmax

from minae import Classifier, DenoisingAutoencoder, UndercompleteAutoencoder, data, plots, pretrain
from minae.chapters import Section
from minae.training import Adam, Cosine

section = Section("14.5")
rng = np.random.default_rng(section.seed)

# %% [markdown]
# ## Figure 14.4: back to the manifold
# x lies on a curve in the plane, x̃ = x + noise of σ = 0.4 around it. Many x could have given the same x̃; the best
# answer is their mean E[x | x̃], and no r can have a smaller squared error than the spread that is left around it.

# %%
sigma, t = 0.4, np.linspace(-np.pi, np.pi, 500)[:, None]
curve = np.hstack([t, np.sin(t)])


def pairs(rows):
    """(x, x̃): a point of the curve, and its corrupted copy."""
    x = curve[rng.integers(500, size=rows)]
    return x, x + sigma * rng.standard_normal(x.shape)


def best(x_tilde):
    """E[x | x̃] = Σ_k p(x_k | x̃) x_k"""
    return softmax(-np.square(x_tilde[:, None] - curve).sum(axis=2) / (2 * sigma**2), axis=1) @ curve


epochs, x = section.pick(30, 60, 100), pairs(section.pick(5000, 10000, 20000))[0].astype(np.float32)
options = dict(activation="tanh", loss="gaussian", corruption="gaussian", level=sigma, backend=section.backend)
x_test, x_tilde = pairs(2000)
errors = []
for seed in section.seeds:
    denoiser = DenoisingAutoencoder((2, 64, 64), seed=seed, **options)
    denoiser.fit(x, epochs=epochs, optimizer=Adam(Cosine(1e-2, steps=epochs * -(-len(x) // 128))), seed=seed)
    errors.append(np.square(denoiser.reconstruct(x_tilde) - x_test).sum(axis=1).mean())
error = section.number("squared error, test pairs", errors, of="r(x̃)")
least = np.square(best(x_tilde) - x_test).sum(axis=1).mean()
least = section.number("squared error, test pairs", least, of="E[x | x̃], the least possible")
before = np.square(x_tilde - x_test).sum(axis=1).mean()
before = section.number("squared error, test pairs", before, of="x̃ itself")
section.claim("r(x̃) is as good as E[x | x̃], squared errors", error / least, "<=", section.pick(1.1, 1.05, 1.05))
section.claim("r(x̃) is better than x̃, squared errors", error / before, "<", 0.7)


def off_the_curve(x):
    return float(np.sqrt(np.square(x[:, None] - curve).sum(axis=2).min(axis=1)).mean())


r = denoiser.reconstruct(x_tilde)
section.claim("r(x̃) is nearer to the manifold than x̃", off_the_curve(r) / off_the_curve(x_tilde), "<", 0.3)
some = slice(0, 150)
panels = {"x̃ → r(x̃)": (x_tilde[some], (r - x_tilde)[some]), "x̃ → x": (x_tilde[some], (x_test - x_tilde)[some])}
section.figure(
    plots.fields(panels, curve, "Figure 14.4: where r sends x̃, and where x̃ came from"),
    "back",
    caption="Left, arrows from corrupted points x̃ to r(x̃); right, arrows from the same points to the x that they "
    "came from. The data lie on the grey curve. The arrows on the right scatter along the curve. Those on the left "
    "end at the mean of all x that a point may have come from, so they meet the curve nearly at right angles.",
    alt="Two panels with a grey sine curve. On the left arrows lead straight to the curve; on the right arrows from "
    "the same places lead to scattered points of it.",
)

# %% [markdown]
# ## Denoising layers make better stacks
# A classifier of three layers of sigmoids: from random weights, pretrained by plain autoencoders (SAE), or by denoising
# ones (SDAE). The problems: digits, and digits before a background of random pixels; labels are few. For fairness, the
# stack from random weights has as many epochs as a pretrained one has for a layer and for fine-tuning. Differences of
# a point need the full size, 10,000 labels and three seeds, and are asserted there.

# %%
digits = data.mnist(full=section.size == "full")
images, labels = np.vstack([digits.train, digits.test]), np.r_[digits.train_labels, digits.test_labels].astype(int)
n, n_test = section.pick((1000, 2000), (3000, 3000), (10000, 50000))
test = slice(len(images) - n_test, None)
width, greedy, fine = section.pick((100, 4, 8), (300, 10, 15), (500, 12, 25))
batch, lr = section.pick((20, 2e-3), (50, 1e-3), (100, 1e-3))
noisy = np.maximum(images, np.random.default_rng(0).random(images.shape, dtype=np.float32))
problems = {"basic": (images, 0.1)} | ({} if section.size == "quick" else {"bg-rand": (noisy, 0.4)})
published = {
    "basic": {"none": "SVM-RBF 3.03", "SAE": "3.46", "SDAE": "2.84"},
    "bg-rand": {"none": "SVM-RBF 14.58", "SAE": "11.28", "SDAE": "10.30"},
}


def adam(epochs):
    return dict(epochs=epochs, batch_size=batch, optimizer=Adam(Cosine(lr, steps=epochs * -(-n // batch))))


def test_error(images, layer, options, seed):
    """Error in % on the test images of a stack that was pretrained by `layer` and fine-tuned on n labels."""
    stack = Classifier((784, width, width, width), activation="sigmoid", seed=seed, backend=section.backend)
    if layer:
        pretrain(stack, images[:n], layer, options=options, seed=seed, **adam(greedy))
    stack.fit(images[:n], labels[:n], seed=seed, **adam(fine if layer else fine + greedy))
    return 100 * float((stack.predict(images[test]) != labels[test]).mean())


warnings.filterwarnings("ignore", "no layer of")  # the paper's layers are as wide as what they read: see 14.2
error = {}
for problem, (images, level) in problems.items():
    layers = {"none": (None, None), "SAE": (UndercompleteAutoencoder, None)}
    layers["SDAE"] = DenoisingAutoencoder, dict(corruption="masking", level=level)
    for name, (layer, options) in layers.items():
        errors = [test_error(images, layer, options, seed) for seed in section.seeds]
        label = f"{problem}, {name}" + (f" ({level:.0%})" if name == "SDAE" else "")
        source = f"{published[problem][name]} (seen; Vincent et al. 2010)"
        error[problem, name] = section.number("test error %", errors, source, of=label)
gain = {name: error["basic", "none"] - error["basic", name] for name in ("SAE", "SDAE")}
if section.size == "full":
    section.guard("basic: points gained by pretraining, SAE", gain["SAE"], ">=", 0.5)
    section.guard("basic: points gained by pretraining, SDAE", gain["SDAE"], ">=", 0.5)
    points = error["bg-rand", "SAE"] - error["bg-rand", "SDAE"]
    section.guard("bg-rand: points gained by denoising over plain layers", points, ">=", 1.5)

section.finish()

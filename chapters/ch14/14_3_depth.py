"""14.3 Representational Power, Layer Size and Depth

Equations: none
Figures: reconstructions (digits by a stack of sigmoids); fine_tuning (learning curves of classifiers)

An encoder of one layer cannot map every x to every code that we might wish; with one hidden layer more it can, given
enough units, and depth can make some functions exponentially cheaper. In experiments deep autoencoders compress better
than shallow or linear ones (Hinton and Salakhutdinov 2006). But a deep stack of sigmoids is hard to train from random
weights. The common way out is greedy: train a stack of shallow autoencoders, each on the code of the one before, and
then fine-tune the whole.

Symbols: minae/NOTATION.md. The stack: minae/models/stacked.py; the softmax layer on top of it:
minae/models/classifier.py.
"""

# %%
import warnings

import numpy as np

from minae import Classifier, SparseAutoencoder, UndercompleteAutoencoder, copy_encoder, data, plots, pretrain
from minae.chapters import Section
from minae.chapters.classical import PCA
from minae.training import Adam, Cosine

warnings.filterwarnings("ignore", "no layer of")  # the first layer of the paper's stack is wider than x: see 14.2
section = Section("14.3")
digits = data.mnist(full=section.size == "full")
X, X_test = digits.train, digits.test  # (rows, 784), pixels in [0, 1]
device, batch = dict(backend=section.backend), section.pick(64, 64, 128)


def adam(lr, epochs, **rates):
    """Adam with a learning rate that falls from lr to 0 along a cosine; a factor on it by layer."""
    return Adam(Cosine(lr, steps=epochs * -(-len(X) // batch)), rates=rates)


def train(model, epochs, seed, lr=2e-3):
    model.fit(X, epochs=epochs, batch_size=batch, optimizer=adam(lr, epochs), seed=seed)
    return model


def squared_error(model, x=X_test):
    return float(np.square(x - model.reconstruct(x)).sum(axis=1).mean())


source = "Hinton and Salakhutdinov 2006)"
error_pca = section.number(
    "squared error, test", squared_error(PCA(X, 30)), f"13.87 (recalled; {source}", of="PCA, k = 30"
)

# %% [markdown]
# ## Deeper against shallower, with equally many weights
# Both networks have the same code of six numbers and within 1% as many parameters; the deeper one has them in three
# layers each way, the other in two.

# %%
epochs = section.pick(4, 15, 8)
shapes = {"deep": (784, 200, 100, 6), "shallow": (784, 225, 6)}
relu, error = dict(activation="relu", code="identity"), {}
for name, sizes in shapes.items():
    models = [train(UndercompleteAutoencoder(sizes, seed=s, **relu, **device), epochs, s) for s in section.seeds]
    widths, errors = "-".join(map(str, sizes)), [squared_error(model) for model in models]
    error[name] = section.number("squared error, test", errors, of=f"{name} autoencoder {widths}")
    section.number("parameters", models[0].parameters.flat.size, of=f"{name} autoencoder {widths}")
section.number("squared error, test", squared_error(PCA(X, 6)), of="PCA, k = 6")
section.claim("deeper beats shallower at equal parameters", error["deep"], "<", error["shallow"])

# %% [markdown]
# ## A deep stack of sigmoids, from random weights and pretrained
# The derivative of a sigmoid is at most ¼, so the gradient fades on its way down through the layers, and at first the
# code carries nothing. Greedy pretraining starts the same training from weights that already pass x through. For
# fairness, the stack from random weights gets as many epochs more as pretraining took. The published 3.00 had RBMs and
# 250 epochs, which is out of reach of minutes.

# %%
stack = dict(sizes=section.pick((784, 200, 100, 30), (784, 500, 250, 30), (784, 1000, 500, 250, 30)))
stack |= dict(activation="sigmoid", code="identity", **device)
greedy, fine = section.pick((4, 4), (8, 12), (3, 7))
lr_greedy, lr = section.pick((1e-2, 5e-3), (5e-3, 3e-3), (5e-3, 2e-3))
random_weights = train(UndercompleteAutoencoder(**stack, seed=section.seed), fine + greedy, section.seed, lr)
error_random = section.number(
    "squared error, test", squared_error(random_weights), of="stack of sigmoids, random weights, one seed"
)
rescued, before = [], []
for seed in section.seeds:
    model = UndercompleteAutoencoder(**stack, seed=seed)
    pretrain(model, X, epochs=greedy, batch_size=batch, optimizer=adam(lr_greedy, greedy), seed=seed)
    before.append(squared_error(model))
    start = model.parameters.flat.copy()
    rescued.append(squared_error(train(model, fine, seed, lr)))
section.number("squared error, test", before, of="stack of sigmoids, pretrained, not yet fine-tuned")
published = f"3.00, RBMs and 250 epochs (seen; {source}"
error_rescued = section.number(
    "squared error, test", rescued, published, of="stack of sigmoids, pretrained and fine-tuned"
)
section.claim(
    "pretraining rescues the stack: error over that from random weights", error_rescued / error_random, "<", 0.7
)
section.claim("the pretrained stack beats PCA, ratio of errors", error_rescued / error_pca, "<", 1)
section.guard("error of the pretrained stack over that of PCA", error_rescued / error_pca, "<=", 0.5)
moved = model.parameters.views(section.backend.to_numpy(abs(model.parameters.flat - start)))
still = [name for name, change in moved.items() if change.max() < 1e-4]
section.claim("parameters that fine-tuning did not move", len(still), "<=", 0)
x = X_test[:: len(X_test) // 12]
rows = {"x": x, "pretrained": model.reconstruct(x), "random start": random_weights.reconstruct(x)}
section.figure(
    plots.images(rows, "Test digits from 30 numbers, by a stack of sigmoids"),
    "reconstructions",
    caption="Test digits, their reconstructions by the stack that was pretrained layer by layer, and by the stack that "
    "started from random weights. Both have 30 numbers for a digit. Look at thin strokes and at the openings of the "
    "digits, which the second stack blurs.",
    alt="Three rows of twelve digits. The pretrained row looks like the originals; the row from random weights is "
    "blurred.",
)

# %% [markdown]
# ## A classifier from the stack
# A softmax layer on the code of two sparse layers that never saw a label: first the softmax alone, with the layers
# below it frozen, then all of them, the lower ones at half the rate.

# %%
sizes, histories = (784, 200, 200), {}
accuracy = {"softmax on pixels": [], "random weights": [], "frozen": [], "fine-tuned": []}
epochs, below = section.pick((3, 2), (10, greedy), (10, greedy))
y, y_test = digits.train_labels.astype(int), digits.test_labels.astype(int)


def fit_labels(name, model, seed, lr, **rates):
    optimizer = adam(lr, epochs, **rates)
    fit = dict(epochs=epochs, batch_size=batch, optimizer=optimizer, seed=seed, validation=(X_test, y_test))
    histories[name] = model.fit(X, y, **fit)
    accuracy[name].append(100 * float((model.predict(X_test) == y_test).mean()))


for seed in section.seeds:
    options = dict(activation="sigmoid", seed=seed, **device)
    autoencoder = UndercompleteAutoencoder(sizes, **options)
    sparse = dict(layer=SparseAutoencoder, options=dict(penalty="kl", rho=0.1, lam=3.0))
    pretrain(autoencoder, X, **sparse, epochs=below, batch_size=batch, optimizer=adam(lr_greedy, below), seed=seed)
    model = Classifier(sizes, **options)
    copy_encoder(autoencoder, model)
    fit_labels("frozen", model, seed, 1e-2, f1=0, f2=0)
    stayed = [abs(model.parameters[name] - autoencoder.parameters[name]).max() for name in ("W1", "W2")]
    fit_labels("fine-tuned", model, seed, 5e-3, f1=0.5, f2=0.5)
    moved = [abs(model.parameters[name] - autoencoder.parameters[name]).max() for name in ("W1", "W2")]
    fit_labels("random weights", Classifier(sizes, **options), seed, 5e-3)
    fit_labels("softmax on pixels", Classifier((784,), **options), seed, 3e-3)
seen = {"softmax on pixels": "92.2", "frozen": "87.7", "fine-tuned": "97.6"}
for name, values in accuracy.items():
    published = f"{seen[name]} (seen; UFLDL notes)" if name in seen else None
    accuracy[name] = section.number("accuracy %, test", values, published, of=name)
section.claim("fine-tuning gains over the frozen stack", accuracy["fine-tuned"], ">", accuracy["frozen"])
section.claim("fine-tuning gains over a softmax on pixels", accuracy["fine-tuned"], ">", accuracy["softmax on pixels"])
section.guard("accuracy % of the fine-tuned stack", accuracy["fine-tuned"], ">=", 97)
section.claim("frozen layers stay as they were", float(max(stayed)), "<=", 0)
section.claim("fine-tuning moves the layers below the softmax", float(min(moved)), ">", 1e-3)
section.figure(
    plots.curves(histories, ylabel="−log p(y | x), nats", title="Classifiers on the stack, and beside it"),
    "fine_tuning",
    caption="The cost of four classifiers by epoch: of the softmax layer alone on the frozen stack, of the same "
    "network fine-tuned afterwards, of the network from random weights, and of a softmax on pixels. Dashed is the "
    "training cost, the mean over an epoch in which θ moves; solid is the test cost at the end of the epoch. The "
    "fine-tuned network has had the epochs of the frozen one before its first.",
    alt="Eight curves that fall with the epochs. The fine-tuned network and the one from random weights end lowest, "
    "the frozen stack and the softmax on pixels higher.",
)

section.finish()

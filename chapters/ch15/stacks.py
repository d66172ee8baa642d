"""The contestants of sections 15.1 and 15.1.1: deep classifiers that differ in how their weights begin.

    narrow weights    sigmoid layers, W ~ U(−1/√n, 1/√n) for n inputs, as was the custom before 2010
    random weights    sigmoid layers, four times Glorot's range: the range that fits a sigmoid (`widen_sigmoids`)
    pretrained        sigmoid layers, the encoder of a stack that was trained by algorithm 15.1
    ReLU              ReLU layers in the range of He et al. (2015), which the engine takes by itself, and Adam
    pretrained ReLU   the same, but from the encoder of a pretrained stack of ReLU layers
    shuffled          the numbers of the pretrained weights, in random order within each layer: the range without the
                      structure

All have a softmax layer on top, and all layers are fine-tuned. Sigmoids move by SGD with momentum 0.9, as in the
experiments of that time. Each learning rate falls to 0 along a cosine. Everybody has the same labels, the same number
of passes over them, and a search of the learning rate over a grid of the same size, on validation images.
"""

from typing import Any, NamedTuple

import numpy as np

from minae import (
    Classifier,
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    SparseAutoencoder,
    UndercompleteAutoencoder,
    copy_encoder,
    data,
    pretrain,
    widen_sigmoids,
)
from minae.training import Adam, Cosine, Momentum

STARTS = ("narrow weights", "random weights", "pretrained", "ReLU")
BATCH, BATCH_UNLABELLED = 50, 100  # images a step of fine-tuning, and of pretraining
KINDS = {  # the layers of a stack; of two strengths of each, the one whose classifier made fewer validation errors
    "plain": (UndercompleteAutoencoder, {}),
    "denoising": (DenoisingAutoencoder, dict(level=0.25)),
    "contractive": (ContractiveAutoencoder, dict(lam=0.1)),
    "sparse": (SparseAutoencoder, dict(penalty="kl", rho=0.1, lam=1.0)),
}


class Split(NamedTuple):
    """Digits in three parts. Pretraining sees X (rows, 784) alone; fine-tuning sees the first rows of X and of y."""

    X: np.ndarray
    y: np.ndarray
    X_valid: np.ndarray
    y_valid: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray


def split(full: bool) -> Split:
    """4000 digits to learn from, 1000 to choose rates on, and 2000 for the test; of all MNIST 50000, 10000 and 10000.

    The sample has only 1000 test digits. So the last 1000 of its training digits, which nobody learns from, join them.
    """
    digits = data.mnist(full=full)
    X, y, X_test, y_test = digits.train, digits.train_labels.astype(int), digits.test, digits.test_labels.astype(int)
    first, second = (50000, 60000) if full else (4000, 5000)
    X_test, y_test = np.concatenate([X[second:], X_test]), np.concatenate([y[second:], y_test])
    return Split(X[:first], y[:first], X[first:second], y[first:second], X_test, y_test)


def narrow(model: Any, seed: int) -> Any:
    """W ~ U(−1/√n, 1/√n) in every layer with n inputs, and b = 0. Returns the model."""
    rng = np.random.default_rng(seed)
    for layer in model.f.trained() + model.g.trained():
        limit = 1 / np.sqrt(layer.n)
        layer.W[...] = model.backend.from_numpy(rng.uniform(-limit, limit, layer.W.shape).astype(model.dtype))
    return model


def greedy(kind: str, sizes: tuple[int, ...], X: Any, epochs: int, seed: int, **more: Any) -> Any:
    """A stack of autoencoders of a kind, trained layer by layer on X by algorithm 15.1, each layer for `epochs`."""
    layer, options = KINDS[kind]
    stack = UndercompleteAutoencoder(sizes, **dict(activation="sigmoid") | more, seed=seed)
    rate = Cosine(1e-2 if stack.activation == "sigmoid" else 2e-3, steps=epochs * -(-len(X) // BATCH_UNLABELLED))
    fit = dict(epochs=epochs, batch_size=BATCH_UNLABELLED, optimizer=Adam(rate))
    pretrain(stack, X, layer, options=options, seed=seed, **fit)
    return stack


def build(start: str, sizes: tuple[int, ...], seed: int, stack: Any = None, **device: Any) -> Classifier:
    """A classifier before fine-tuning.     start: one of `STARTS`;  stack: the pretrained autoencoder

    A stack may have more layers than `sizes`: then the lower ones are taken. Greedy layers never see those above them,
    so a pretrained stack of five layers holds the pretrained stacks of one to four.
    """
    model = Classifier(sizes, activation="relu" if "ReLU" in start else "sigmoid", seed=seed, **device)
    if start == "narrow weights":
        narrow(model, seed)
    elif start == "random weights":
        widen_sigmoids(model)
    elif start.startswith("pretrained") or start == "shuffled":
        copy_encoder(stack, model)
    if start == "shuffled":
        rng = np.random.default_rng(seed)
        for layer in model.f.trained():
            for array in (layer.W, layer.b):
                numbers = model.backend.to_numpy(array)
                array[...] = model.backend.from_numpy(rng.permutation(numbers.ravel()).reshape(numbers.shape))
    return model


def rates(start: str, count: int) -> tuple[float, ...]:
    """The grid of learning rates, a factor of 3 apart: of Adam for ReLU, of momentum for the others."""
    grid = (3e-3, 1e-3, 1e-2) if "ReLU" in start else (0.3, 0.1, 1.0)
    return grid[:count]


def fine_tune(model: Any, X: Any, y: Any, lr: float, epochs: int, seed: int, callbacks: Any = ()) -> Any:
    """Train all layers on the labels. Returns the model."""
    rate = Cosine(lr, steps=epochs * -(-len(X) // BATCH))
    optimizer = Adam(rate) if model.activation == "relu" else Momentum(rate)
    model.fit(X, y, epochs=epochs, batch_size=BATCH, optimizer=optimizer, seed=seed, callbacks=callbacks)
    return model


def epochs_for(labels: int, steps: int = 600) -> int:
    """Passes over the labels that make about so many steps, and at least 8."""
    return max(8, steps * BATCH // labels)


def error(model: Any, X: Any, y: Any) -> float:
    """Share of wrong answers, in percent."""
    return 100 * float((model.predict(X) != y).mean())


def best(start: str, sizes: Any, digits: Split, labels: int, epochs: int, seed: int, count: int, **more: Any) -> Any:
    """The contestant with the rate that has the smallest error on validation images. Returns (model, rate).

    labels: the first so many images of `digits.X` have labels;  more: the arguments `stack` and `backend` of `build`
    """
    runs = []
    for lr in rates(start, count):
        model = build(start, sizes, seed, **more)
        fine_tune(model, digits.X[:labels], digits.y[:labels], lr, epochs, seed)
        runs.append((error(model, digits.X_valid, digits.y_valid), lr, model))
    _, lr, model = min(runs, key=lambda run: run[0])
    return model, lr

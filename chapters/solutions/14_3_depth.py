"""14.3 Representational Power, Layer Size and Depth, exercise 2: what pretraining buys when labels are few.

Both networks have the same 100 labels and the same number of steps. The pretrained one has seen all images, without
their labels. The learning rate is the better one of two for each, by the error on 1000 images that are used for nothing
else.
"""

# %%

from minae import Classifier, SparseAutoencoder, data, pretrain, widen_sigmoids
from minae.chapters import Section
from minae.training import Adam, Cosine

section = Section("14.3", exercise=2)
digits = data.mnist(full=section.size == "full")
X, y = digits.train, digits.train_labels.astype(int)
few, validation, labelled = 100, slice(-1000, None), 1000
sizes, epochs, below = (784, 200, 200), 100, section.pick(3, 10, 5)


def accuracy(model, images, labels):
    return 100 * float((model.predict(images) == labels).mean())


def trained(start, seed):
    """The better one of two learning rates, with 100 labels and 500 steps each."""
    models = []
    for lr in (1e-3, 5e-3):
        models.append(start.copy())
        optimizer = Adam(Cosine(lr, steps=epochs * few // 20))
        models[-1].fit(X[:few], y[:few], epochs=epochs, batch_size=20, optimizer=optimizer, seed=seed)
    return max(models, key=lambda model: accuracy(model, X[validation], y[validation]))


# %%
results = {"random weights": [], "fine-tuned": []}
for seed in section.seeds:
    options = dict(activation="sigmoid", seed=seed, backend=section.backend)
    random, pretrained = widen_sigmoids(Classifier(sizes, **options)), Classifier(sizes, **options)
    optimizer = Adam(Cosine(5e-3, steps=below * -(-len(X) // 64)))
    sparse = dict(layer=SparseAutoencoder, options=dict(penalty="kl", rho=0.1, lam=3.0))
    pretrain(pretrained, X, **sparse, epochs=below, batch_size=64, optimizer=optimizer, seed=seed)
    for name, start in (("random weights", random), ("fine-tuned", pretrained)):
        results[name].append(accuracy(trained(start, seed), digits.test, digits.test_labels))
for name, values in results.items():
    results[name] = section.number("accuracy %, test images, 100 labels", values, of=name)
gained = section.number("points that pretraining gained", results["fine-tuned"] - results["random weights"])
section.claim("with 100 labels pretraining gains points", gained, ">", 0)

section.finish()

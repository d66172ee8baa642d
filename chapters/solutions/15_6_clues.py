"""15.6 Providing Clues to Discover Underlying Causes, exercise 2: the clusters of the digits.

The silhouette of a row compares its mean distance a to the rows of its own digit with the mean distance b to those of
the nearest other digit: s = (b − a)/max(a, b). So s = 0.1 says that on average the rows of the own digit are only a
tenth nearer than those of the next digit. The nearest neighbour looks at one row alone. A digit is written in many
ways, which lie far apart in the code, so a mean distance within a digit is large; but between its ways there are others
that join them, and a neighbour is one of these.
"""

# %%
from minae import UndercompleteAutoencoder
from minae.chapters import Section
from minae.chapters.ch15.clues import RandomNumbers, Units
from minae.chapters.classical import PCA
from minae.metrics.clustering import silhouette
from minae.metrics.probe import knn_accuracy
from minae.training import Adam, Cosine

section = Section("15.6", exercise=2)
digits = section.data()
X, X_test, labels = digits.train, digits.test[:1000], digits.test_labels[:1000]

# %%
epochs = section.pick(5, 15, 15)
model = UndercompleteAutoencoder(
    (784, 256, 10), activation="relu", code="identity", seed=section.seed, backend=section.backend
)
model.fit(X, epochs=epochs, optimizer=Adam(Cosine(2e-3, steps=epochs * -(-len(X) // 128))), seed=section.seed)
mean, right = {}, {}
for name, code in {"random numbers": RandomNumbers(10, 0), "PCA": PCA(X, 10), "autoencoder": model}.items():
    u = Units(code.encode, X)
    h, h_test = u(X), u(X_test)
    mean[name] = section.number("silhouette of the digits", silhouette(h_test, labels).mean(), of=name)
    right[name] = section.number(
        "nearest neighbours that are right %", 100 * knn_accuracy(h, digits.train_labels, h_test, labels), of=name
    )
section.claim("the digits make clusters in a learned code", max(mean["PCA"], mean["autoencoder"]), ">", 0.05)
section.claim("and none in random numbers", mean["random numbers"], "<", 0)
section.claim("the neighbours are right all the same: %", max(right["PCA"], right["autoencoder"]), ">", 80)

section.finish()

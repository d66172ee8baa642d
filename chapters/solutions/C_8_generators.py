"""C.8, exercise 2: draw the codes from where the codes of the data are."""

import numpy as np

from minae import Classifier, VariationalAutoencoder, data
from minae.chapters import Section
from minae.metrics.generation import frechet
from minae.training import Adam, Cosine

section = Section("C.8", exercise=2)
rng = np.random.default_rng(section.seed)
digits, rows = data.mnist(), section.pick(3000, 5000, 5000)
X, y = digits.train[:rows], digits.train_labels[:rows].astype(int)
epochs = section.pick(8, 20, 40)
model = VariationalAutoencoder((784, 256, 16), activation="relu", seed=section.seed, backend=section.backend)
model.fit(X, epochs=epochs, optimizer=Adam(Cosine(2e-3, steps=epochs * -(-rows // 128))), seed=section.seed)
judge = Classifier((784, 128), classes=10, activation="relu", seed=section.seed, backend=section.backend)
judge.fit(X, y, epochs=section.pick(4, 10, 10), seed=section.seed)

mu, log_var = model.posterior(X)
codes = mu + np.exp(0.5 * log_var) * rng.standard_normal(mu.shape)  # one draw of q(z | x) for each x
mean, covariance = codes.mean(axis=0), np.cov(codes.T)
section.number("largest |covariance − I| of the codes", abs(covariance - np.eye(len(mean))).max())
drawn = {
    "z ~ N(0, I)": rng.standard_normal((1000, len(mean))),
    "z ~ the Gaussian of the codes": rng.multivariate_normal(mean, covariance, 1000),
}
target, found = judge.encode(digits.test[:1000]), {}
for name, z in drawn.items():
    features = judge.encode(model.decode(z.astype(np.float32)))
    found[name] = section.number("Fréchet distance of features", frechet(features, target), of=name)
section.claim(
    "the Gaussian of the codes comes nearer to digits than the prior",
    found["z ~ the Gaussian of the codes"],
    "<",
    found["z ~ N(0, I)"],
)
section.finish()

"""C.3 Vector-Quantised Codes, exercise 2: β on the wrong term.

With weights w_C of the commitment and w_Q of the codebook's term,

    dz ∋ 2 w_C (z − e_k),     de_k = 2 w_Q (e_k − z)

The paper has w_C = β = 0.25 and w_Q = 1: the codebook goes to the data four times as fast as the encoder is pulled to
the codebook. With β on the other term it is the other way round, and the encoder gives way. Both are right gradients
of what is then minimised, and training goes on without complaint.
"""

# %%
import numpy as np

from minae import VectorQuantizedAutoencoder, data
from minae.chapters import Section
from minae.training import Adam, Cosine

section = Section("C.3", exercise=2)
digits = data.mnist()
X, X_test = digits.train[: section.pick(2000, 6000, 6000)], digits.test
epochs, used = section.pick(3, 10, 10), {}

# %%
for name, (w_C, w_Q) in {"β on C": (0.25, 1.0), "β on Q": (1.0, 0.25)}.items():
    model = VectorQuantizedAutoencoder(
        (784, 128, 64),
        codebook=64,
        codes=8,
        decay=None,
        beta=w_C,
        activation="relu",
        seed=section.seed,
        backend="numpy",
    )
    model.weights["Q"] = w_Q
    model.start_codebook(X)
    model.fit(X, epochs=epochs, optimizer=Adam(Cosine(2e-3, steps=epochs * -(-len(X) // 128))), seed=section.seed)
    used[name] = section.number("perplexity / K", model.perplexity(X_test).mean() / 64, of=name)
    r = model.reconstruct(X_test)
    section.number("squared error, test images", np.square(r - X_test).sum(axis=1).mean(), of=name)
    size = np.linalg.norm(model.parameters["E"], axis=1).mean()
    section.number("mean length of a row of the codebook", size, of=name)
section.claim("the codebook is used in both: perplexity / K", min(used.values()), ">", 0.02)

section.finish()

"""C.5 Filling In, Going On, exercise 2: a text that repeats itself.

The first half of a line cannot be predicted: each of its words is one of those that are left. The second half is
certain for whoever looks six places back. Counts of three words look two places back. Attention learns to look at the
place behind the former occurrence of the word that it has just read.
"""

# %%
import numpy as np

from minae import LanguageModel
from minae.chapters import Section
from minae.chapters.classical import NGram
from minae.training import Adam, Cosine

section = Section("C.5", exercise=2)
rng = np.random.default_rng(section.seed)
half, words = 6, 20


def repeated(count):
    rows = []
    for _ in range(count):
        first = 3 + rng.permutation(words)[:half]
        rows.append(np.array([*first, *first, 0], np.int32))
    return rows


# %%
X, X_test, epochs = repeated(section.pick(3000, 6000, 6000)), repeated(200), section.pick(12, 12, 12)
model = LanguageModel(
    vocabulary=3 + words, most=2 * half + 1, width=32, heads=2, seed=section.seed, backend=section.backend
)
model.fit(
    X,
    epochs=epochs,
    batch_size=64,
    optimizer=Adam(Cosine(5e-3, steps=epochs * -(-len(X) // 64))),
    seed=section.seed,
)


def second_half(p):
    """The perplexity of the places 7 to 12, from p of each place, (rows, 13)."""
    return float(np.exp(-np.log(p[:, half : 2 * half]).mean()))


tokens = np.stack(X_test)
length = np.full(len(tokens), tokens.shape[1], np.int32)
given = [section.backend.from_numpy(array) for array in (tokens, length)]
log_p = section.backend.to_numpy(model.log_p(*given))
attention = second_half(np.exp(np.take_along_axis(log_p, tokens[:, :, None].astype(int), axis=2)[:, :, 0]))
counts = NGram(X, 3 + words, 3)
counted = second_half(counts.p(counts.grams(X_test)).reshape(len(tokens), -1))
section.number("perplexity of the second half", attention, of="attention")
section.number("perplexity of the second half", counted, of="counts of three words")
section.claim("attention looks six places back", attention, "<", 1.2)
section.claim("three words cannot", counted, ">", 5)

section.finish()

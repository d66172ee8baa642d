"""C.3 Vector-Quantised Codes

Equations: none
Figures: collapse (how much of the codebook is used, by the way it is kept); usage (how often each row of a codebook is
chosen); reconstructions (48 bits of several kinds); samples (digits drawn from a prior over the codes);
units (which digits a unit of speech belongs to); abx (a test across speakers)

Section C.2 made a code of bits. There is another way to make a code discrete: keep a list of K vectors, the *codebook*,
and replace whatever the encoder gives by the nearest one,

    k = argmin_j ‖z − e_j‖,     z = f(x)

The code is the number k, and the decoder reads the row e_k. This is what k-means does with data, and what is called
vector quantisation; here it is done inside of an autoencoder (van den Oord et al. 2017). A picture has M such numbers:
z is cut into M parts, each with a codebook of its own. So its code is M log₂ K bits long. It is a code of *symbols*,
and everything that is made for symbols, such as a model of language, can be trained on it.

The derivation stands in minae/symbols.py, the model in minae/models/vector_quantized.py. In short: argmin has no slope,
so the decoder's gradient goes straight through to z as if e_k were z. That leaves two questions open. Who moves the
codebook? And who keeps z near it? The cost has a term for each, and in each one side is held fixed (stop):

    Q = ‖stop(z) − e_k‖²     moves e_k towards z
    C = ‖z − stop(e_k)‖²     moves z towards e_k, with a weight β

The whole cost is J = L + β C + Q, with the reconstruction error L. Instead of Q, the row e_k may be kept as a moving
average of the z that chose it. This section asks which of these choices matter, and what a code of 48 bits is worth
beside the classical ones.
"""

# %%
import numpy as np

from minae import Classifier, VectorQuantizedAutoencoder, check_gradient, data, plots
from minae.chapters import Section
from minae.chapters.classical import PCA, KMeans
from minae.chapters.codes.recordings import Recordings, normalised, rows_of
from minae.training import Adam, Cosine

section = Section("C.3")
digits = data.mnist(full=section.size == "full")
X, X_test = digits.train, digits.test
rows = section.pick(2000, len(X), 30_000)
X, labels = X[:rows], digits.train_labels[:rows]
rng, K, M = np.random.default_rng(section.seed), 64, 8  # 8 codes of 6 bits
on = dict(codebook=K, codes=M, activation="relu", backend=section.backend)
sizes = (784, section.pick(64, 128, 256), 64)

# %% [markdown]
# ## The gradient, with its stops
# Does a gradient check make sense here? The cost jumps where k changes, and the straight-through step is no derivative
# of it. But with k, and all that stands under a stop, held fixed, everything is an ordinary cost,
#
#     q = z + (e_k − z)⁰,     C = ‖z − e⁰‖²,     Q = ‖z⁰ − e_k‖²
#
# where ⁰ means "as it was, and does not move": the stop of above. For a batch of B rows the gradient is
#
#     dz = dq + 2β/B (z − e_k),     de_k = 2/B Σ_{i → k} (e_k − z_i)
#
# where i → k means the rows i that chose k, and dq comes from the decoder. In q nothing moves but z, so that the
# reconstruction error has no part in de_k. Each term is checked alone, so that a weight on the wrong term is seen. This
# matters: in several well-known implementations β stands on Q in place of C. Their gradients are right, for *their*
# cost, so that no check of the whole sum would notice.

# %%
small = VectorQuantizedAutoencoder((784, 12, 6), codebook=5, codes=3, decay=None, seed=section.seed, backend="numpy")
worst = check_gradient(small, X[:6], entries=60).worst.error
worst = section.number("largest error of the gradient check, each term alone", worst)
section.claim("the gradient is that of L, C and Q with their stops", worst, "<=", 1e-7)

# %% [markdown]
# ## Collapse
# A row of the codebook that nobody chooses gets no gradient. So it stays where it is, nobody chooses it the next time
# either, and it is lost. If the codebook begins far from the z, a few rows near them take all, and the code says next
# to nothing. The measure is the perplexity of the choices over the *test* set, of which the share p_k chooses row k,
#
#     perplexity = e^H,     H = −Σ_k p_k log p_k
#
# which is K if all rows are chosen equally often and 1 if one row takes all. (Some report it for a batch. There it
# cannot be larger than the batch.) We train the same network in six ways, which differ in three choices: how the
# codebook moves (by its gradient, or as an average), where it begins (small random numbers, or the z of random
# digits), and whether rows that die start anew on a z of the batch.

# %%
epochs = section.pick(12, 10, 12)
steps = epochs * -(-len(X) // 128)
ways = {
    "gradient, random start": dict(decay=None),
    "gradient, start from data": dict(decay=None, from_data=True),
    "average, random start": dict(decay=0.95),
    "average, random start, restarts": dict(decay=0.95, restart=0.5),
    "average, start from data": dict(decay=0.95, from_data=True),
    "average, data, restarts": dict(decay=0.95, from_data=True, restart=0.5),
}


def trained(seed, from_data=False, **options):
    model = VectorQuantizedAutoencoder(sizes, seed=seed, **options, **on)
    if from_data:
        model.start_codebook(X, seed=seed)
    model.fit(X, epochs=epochs, optimizer=Adam(Cosine(2e-3, steps=steps)), seed=seed)
    return model


def squared_error(r):
    return float(np.square(np.asarray(r) - X_test).sum(axis=1).mean())


used, error, models = {}, {}, {}
for way, options in ways.items():
    for seed in section.seeds:
        models[way] = trained(seed, **options)
        used.setdefault(way, []).append(models[way].perplexity(X_test).mean() / K)
        error.setdefault(way, []).append(squared_error(models[way].reconstruct(X_test)))
    used[way] = section.number("perplexity / K, test images, mean of 8 codebooks", used[way], of=way)
    error[way] = section.number("squared error, test images", error[way], of=way)
best, worst = "average, data, restarts", "gradient, random start"
most = section.pick(0.3, 0.3, 0.5)  # a long training finds some rows again
section.claim("without care most of the codebook is lost: perplexity / K", used[worst], "<=", most)
section.claim("with care it does not: perplexity / K above that", used[best] - used[worst], ">", 0.2)
section.guard("perplexity / K", used[best], ">=", 0.8)
section.figure(
    plots.bars(used, "perplexity / K over the test images", "How much of the codebook is used"),
    "collapse",
    caption="The share of the codebook that is used, for six ways to keep it. Compare bars that differ in one choice "
    "only: the update, the start, or the restarts. Which choice changes the most? Restarts help most where the start "
    "was bad.",
    alt="Six horizontal bars. The gradient with a random start is the shortest; the two averages with restarts are "
    "among the longest.",
)
p = np.sort(np.stack([np.bincount(k, minlength=K) for k in models[best].indices(X_test).T]) / len(X_test))[:, ::-1]
q = np.sort(np.stack([np.bincount(k, minlength=K) for k in models[worst].indices(X_test).T]) / len(X_test))[:, ::-1]
at = np.arange(1, K + 1)
section.figure(
    plots.levels(
        {best: (at, p.mean(axis=0)), worst: (at, q.mean(axis=0)), "all alike": (at, np.full(K, 1 / K))},
        "row of a codebook, the most chosen first",
        "share of the test images",
        "How often a row is chosen",
    ),
    "usage",
    caption="The share of test digits that choose each row, the most chosen row first, in the mean over the eight "
    "codebooks. A collapsed codebook has a few high values and then 0: its rows beyond the first few are dead.",
    alt="A nearly level curve slightly above and below 1/64, and a curve that begins high and falls to 0 before half "
    "of the rows.",
)

# %% [markdown]
# At default size a codebook that moves by its gradient from a random start has a perplexity of 7% of K. These are 4.5
# rows of 64, or about two bits for a code in place of six, and the error is 44. To start it from data helps (26%, error
# 29), but then, it seems, the encoder runs away from the codebook in the first epochs. An average keeps up: it has 82%
# even from a random start, 88% with a start from data, and 90% with restarts, from either start. So the average matters
# by far the most. A start from data and restarts are worth six to eight points more, and both together hardly more than
# restarts alone. In a very short training (`--quick`) the restarts come first, since there is no time to recover
# without them.
#
# A long training helps, too. At full size, with 30,000 digits, twelve epochs and three seeds, the gradient with a
# random start has 34% and an error of 18.5, and with a start from data 62% and 14.4. All four averages have 93% and
# 10.7, with or without restarts. So only the update still matters there. The start and the restarts are for the time in
# which a codebook has not yet found its place.
#
# ## What 48 bits are worth
# Eight codes of six bits are 48 bits for a picture of 784 bytes. The classical rivals get the same 48 bits and the same
# digits to learn from. *Residual k-means* finds 64 centres, subtracts from each digit the nearest one, finds 64 centres
# of what is left, and so on eight times: the same kind of code, without a network. *Product quantisation* takes 16
# principal components, two at a time, and finds 64 centres of each pair. A plain network is not among them, because
# its code has no bits.


# %%
def residual_kmeans(x, x_test):
    """r of the test images after eight stages."""
    left, r = x.copy(), np.zeros_like(x_test)
    for stage in range(M):
        means = KMeans(left, K, seed=section.seed + stage, iterations=section.pick(5, 15, 20))
        left = left - means.centroids[means.assign(left)]
        r = r + means.centroids[means.assign(x_test - r)]
    return r


def product_quantisation(x, x_test):
    pca = PCA(x, 2 * M)
    h, h_test = pca.encode(x), pca.encode(x_test)
    for pair in range(M):
        columns = slice(2 * pair, 2 * pair + 2)
        means = KMeans(h[:, columns], K, seed=section.seed, iterations=20)
        h_test[:, columns] = means.centroids[means.assign(h_test[:, columns])]
    return pca.decode(h_test)


rivals = {
    "residual k-means": residual_kmeans(X, X_test),
    "PCA and product quantisation": product_quantisation(X, X_test),
}
for name, r in rivals.items():
    error[name] = section.number("squared error, test images", squared_error(r), of=name)
error["PCA-16"] = section.number(
    "squared error, test images", squared_error(PCA(X, 16).reconstruct(X_test)), of="PCA-16, not quantised"
)
if section.size != "quick":
    ratio = error[best] / error["PCA and product quantisation"]
    section.claim("the learned code beats product quantisation at 48 bits: error over error", ratio, "<", 1)
section.guard("squared error over that of residual k-means", error[best] / error["residual k-means"], "<=", 0.85)
pictures = {"x": X_test, best: models[best].reconstruct(X_test), worst: models[worst].reconstruct(X_test)} | rivals
section.figure(
    plots.images(pictures, "48 bits a digit"),
    "reconstructions",
    caption="Test digits and what 48 bits keep of them: by the vector-quantised autoencoder, by one whose codebook "
    "collapsed, by residual k-means, and by product quantisation of 16 principal components.",
    alt="Five rows of twelve digits. The second row resembles the first, the third is blurred, and the last two have "
    "specks beside the strokes.",
)

# %% [markdown]
# With 6000 digits and ten epochs the learned code has an error of 21.1. It beats product quantisation (22.8), and even
# the 16 principal components before they are quantised (21.9). It does not beat residual k-means (18.4), which is made
# for just this: it minimises the squared error of a sum of eight centres. At full size, with five times the digits and
# a network of twice the width, the order is another: 10.7 for the learned code, and 15.3 and 21.9 for the rivals, which
# more digits hardly help. (A guard asks there for at most 0.85 times the error of residual k-means.)
#
# ## Digits from a prior over the codes
# What happens if we draw eight random codes and decode them? Each row is one that real digits use, but their
# combination is not, and out comes scribble. To draw digits we need p(k_1, …, k_8), and by the chain rule this is
#
#     p(k_1) p(k_2 | k_1) ⋯ p(k_8 | k_1, …, k_7)
#
# Each factor is a classifier: given the codes so far, which comes next? We train one small network for each place after
# the first. It is what a language model does with words. The same product says how many bits a digit *needs*: −log₂
# p(k) on average, which is less than 48 if some codes are rarer than others, or if the codes know of each other.

# %%
model = models[best]
k, k_test = np.asarray(model.indices(X)), np.asarray(model.indices(X_test))
one_hot = np.eye(K, dtype=np.float32)
unigram = np.stack([np.bincount(column, minlength=K) + 0.5 for column in k.T])
unigram /= unigram.sum(axis=1, keepdims=True)
bits_alone = -np.log2(unigram[np.arange(M), k_test]).sum(axis=1).mean()
prior, bits_prior = [], -np.log2(unigram[0, k_test[:, 0]]).mean()
prior_epochs = section.pick(4, 15, 20)
for i in range(1, M):
    before = one_hot[k[:, :i]].reshape(len(k), -1)
    net = Classifier((before.shape[1], 128), classes=K, activation="relu", lam=1e-4, seed=section.seed)
    optimizer = Adam(Cosine(3e-3, steps=prior_epochs * -(-len(k) // 128)))
    net.fit(before, k[:, i], epochs=prior_epochs, optimizer=optimizer, seed=section.seed)
    prior.append(net)
    p = net.probabilities(one_hot[k_test[:, :i]].reshape(len(k_test), -1))
    p = 0.99 * p + 0.01 / K  # no code is impossible
    bits_prior -= np.log2(p[np.arange(len(p)), k_test[:, i]]).mean()
section.number("bits a digit, each code by its own frequency", bits_alone)
section.number("bits a digit, each code given those before", bits_prior)
section.claim("48 is the length of the code, and its frequencies need less", bits_alone, "<", 48)
if section.size != "quick":
    section.claim("the codes know of each other: bits that the prior saves", bits_alone - bits_prior, ">", 0)
count = 1000
drawn = {"codes at random": rng.integers(K, size=(count, M))}
drawn["each code by its frequency"] = np.stack([rng.choice(K, count, p=p) for p in unigram], axis=1)
codes = drawn["each code by its frequency"][:, :1]
for net in prior:
    p = net.probabilities(one_hot[codes].reshape(count, -1))
    following = (p.cumsum(axis=1) < rng.random((count, 1))).sum(axis=1).clip(max=K - 1)
    codes = np.hstack([codes, following[:, None]])
drawn["from the prior"] = codes

# %% [markdown]
# Who judges the drawn digits? A classifier that was trained on true ones. We take the share that it is sure of, with a
# probability above 0.9, and how many of the ten classes appear among them. This is no proof of quality, since a
# classifier may be sure of scribble. So we give the same number for true test digits and for their reconstructions, as
# the ceiling, and for random codes, as the floor.

# %%
judge = Classifier((784, 200), classes=10, activation="relu", seed=section.seed)
judge_epochs = section.pick(5, 15, 10)
judge.fit(X, labels, epochs=judge_epochs, optimizer=Adam(Cosine(2e-3, steps=judge_epochs * -(-len(X) // 128))))
sure = {}
shown = {"true digits": X_test[:count], "their reconstructions": np.asarray(model.reconstruct(X_test[:count]))}
shown |= {name: np.asarray(model.decode_indices(codes)) for name, codes in drawn.items()}
for name, pictures in shown.items():
    p = judge.probabilities(np.clip(pictures, 0, 1).astype(np.float32))
    sure[name] = section.number("pictures that a classifier is sure of %", 100 * (p.max(axis=1) > 0.9).mean(), of=name)
    section.number("classes among them", len(set(p.argmax(axis=1)[p.max(axis=1) > 0.9])), of=name)
if section.size != "quick":
    section.claim(
        "the prior draws more digits that are read than codes at random: points of %",
        sure["from the prior"] - sure["codes at random"],
        ">",
        10,
    )
section.figure(
    plots.images({name: pictures for name, pictures in shown.items() if name != "true digits"}, "Drawn digits"),
    "samples",
    caption="Reconstructions of true digits, and pictures decoded from drawn codes: all rows of the codebooks alike, "
    "each by its own frequency, and each given those before it. Look for strokes that fit together.",
    alt="Four rows of twelve pictures: digits in the first, scribble in the second and third, mostly digits in the "
    "last.",
)

# %% [markdown]
# The prior works: two of three drawn pictures are read with certainty (65%), against 74% of reconstructions and 25% to
# 26% of codes that are drawn without it. All ten classes appear, but so they do among the codes at random. And the
# prior is a compressor, too. By their own frequencies the eight codes need 47.8 bits, nearly all of the 48, as they
# must if the codebook is well used. Each given those before it, they need 31.2. So a third of the bits could be told
# from the symbols that came before.
#
# At full size 71% of the drawn pictures are read, against 87% of reconstructions and 38% to 40% without the prior. The
# eight codes need 47.3 bits by their frequencies and 40.1 given those before. So the better code leaves less to be
# told: its symbols are more nearly independent.
#
# ## Units of speech
# Speech is a stream of sounds, and a language writes it with a few dozen letters. Nobody told us the letters when we
# were small. Can a codebook find something like them? We take spoken digits by six men (section C.1 has the front end:
# frames of 32 bands, one every 10 ms). A row is a window of five frames, 50 ms, and its code is one of 32 *units*. So a
# recording of half a second becomes a string of about 45 symbols.
#
# A unit should say what is spoken, and not who speaks. So each band of each recording is normalised over time first
# (CMVN, see C.1). The rival is k-means on the same windows, with as many centres: what a network adds to it is that the
# nearest row is looked for in z, and not among the raw numbers.
#
# How well do the units agree with the digits? From the unit of one window alone we guess the digit of the recording.
# The mutual information says how many bits it tells,
#
#     I(unit; digit) = Σ p(unit, digit) log₂ p(unit, digit) / (p(unit) p(digit))
#
# out of log₂ 10 = 3.3. The same number for the speaker should be small. A recording gives all its windows to one digit,
# so that few recordings give a large number by chance. We therefore print the same number with shuffled labels, and
# compare what lies above it.

# %%
spoken = Recordings(section.size != "quick", takes=section.pick(3, 10, 35))
cmvn, UNITS, around = normalised(spoken.standard), 32, 2


def windows(x):
    """(T, 32) -> (T, 160): each frame with two before it and two after it."""
    padded = np.pad(x, ((around, around), (0, 0)), mode="edge")
    return np.concatenate([padded[k : k + len(x)] for k in range(2 * around + 1)], axis=1).astype(np.float32)


def recording_by_recording(function, indices):
    """function of all windows at once, cut into recordings again."""
    parts = [windows(cmvn[i]) for i in indices]
    return np.split(np.asarray(function(np.concatenate(parts))), np.cumsum([len(part) for part in parts])[:-1])


frames = np.concatenate([windows(cmvn[i]) for i in spoken.train])
unit_epochs = section.pick(4, 8, 15)
units_model = VectorQuantizedAutoencoder(
    (frames.shape[1], section.pick(64, 128, 256), 16), codebook=UNITS, decay=0.95, restart=0.5, loss="gaussian",
    activation="relu", seed=section.seed, backend=section.backend,
)  # fmt: skip
units_model.start_codebook(frames, seed=section.seed)
optimizer = Adam(Cosine(2e-3, steps=unit_epochs * -(-len(frames) // 128)))
units_model.fit(frames, epochs=unit_epochs, optimizer=optimizer, seed=section.seed)
centres = KMeans(frames, UNITS, seed=section.seed, iterations=section.pick(5, 15, 20))
section.number("perplexity / K of the units, test recordings",
               units_model.perplexity(np.concatenate([windows(cmvn[i]) for i in spoken.test]))[0] / UNITS)  # fmt: skip


def mutual_information(units, labels):
    """Bits that the unit of a window tells of the label of its recording."""
    p = np.zeros((UNITS, 1 + labels.max()))
    for k, label in zip(units, labels, strict=True):
        np.add.at(p[:, label], k, 1)
    p /= p.sum()
    outer = p.sum(axis=1, keepdims=True) * p.sum(axis=0)
    return float((p[p > 0] * np.log2(p[p > 0] / outer[p > 0])).sum())


ways_of_units = {"vector-quantised": lambda x: units_model.indices(x)[:, 0], "k-means": centres.assign}
tells = {}
for name, assign in ways_of_units.items():
    units = recording_by_recording(assign, spoken.test)
    for what, labels in (("digit", spoken.digit), ("speaker", spoken.speaker)):
        bits, rows = mutual_information(units, labels[spoken.test]), labels[spoken.test]
        by_chance = np.mean([mutual_information(units, rng.permutation(rows)) for _ in range(20)])
        section.number(f"I(unit; {what}), bits", bits, of=name)
        section.number(f"I(unit; {what}) with shuffled labels, bits", by_chance, of=name)
        tells[name, what] = bits - by_chance
if section.size != "quick":
    more = tells["vector-quantised", "digit"] - tells["vector-quantised", "speaker"]
    section.claim("a unit tells more of the digit than of the speaker, both above chance: bits", more, ">", 0)
table = np.zeros((UNITS, 10))
for k, label in zip(recording_by_recording(ways_of_units["vector-quantised"], spoken.test),
                    spoken.digit[spoken.test], strict=True):  # fmt: skip
    np.add.at(table[:, label], k, 1)
table = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
table = table[np.lexsort((-table.max(axis=1), table.argmax(axis=1)))]
section.figure(
    plots.heat(
        {"share of a unit's windows": ([str(k) for k in range(10)], table)}, "unit", "share", "Units and digits"
    ),
    "units",
    caption="Each row is a unit, each column a digit, and dark means that many of the unit's windows come from "
    "recordings of this digit. The units are ordered by the digit that they belong to most. A letter of a word would "
    "be dark in the digits that have this sound: look for rows that are dark in one column, and for rows that are "
    "shared by a few.",
    alt="A grey table of 32 rows and ten columns. Some rows have one dark cell, many have several grey ones, and a few "
    "are evenly light: silence.",
)

# %% [markdown]
# A stricter test comes from the study of infants. It is called ABX. A and B are two different digits by one speaker, X
# is the digit of A by *another* speaker. Is X nearer to A than to B? The test needs no training and no labels but those
# of the question, and whoever goes by the voice gets 50% or less. We bring each recording to 20 moments and take the
# distance ‖A − X‖ of the rows, for the frames as they are, after CMVN, for z before and e_k after quantisation, and for
# the centres of k-means.


# %%
def triples(count):
    """(A, B, X) of the test recordings."""
    found, test = [], spoken.test
    while len(found) < count:
        a, b, x = rng.choice(test, 3, replace=False)
        same_voice, same_word = spoken.speaker[a] == spoken.speaker[b], spoken.digit[a] == spoken.digit[x]
        if same_voice and same_word and spoken.digit[a] != spoken.digit[b] and spoken.speaker[a] != spoken.speaker[x]:
            found.append([np.flatnonzero(test == one)[0] for one in (a, b, x)])
    return np.array(found).T


def abx(h, ABX):
    """Share of the triples that come out right, in %."""
    A, B, X = (h[rows] for rows in ABX)
    return 100 * float((np.linalg.norm(A - X, axis=1) < np.linalg.norm(B - X, axis=1)).mean())


def before(x):
    """z, of which `encode` gives the nearest row."""
    return units_model.apply(lambda x, start: units_model.f.forward(x)[0], x)


ABX = triples(section.pick(500, 3000, 10_000))
kinds_of_code = {
    "log-mel frames": rows_of([spoken.standard[i] for i in spoken.test]),
    "CMVN": rows_of([cmvn[i] for i in spoken.test]),
    "z, before quantisation": rows_of(recording_by_recording(before, spoken.test)),
    "e_k, one of 32 units": rows_of(recording_by_recording(units_model.encode, spoken.test)),
    "k-means, one of 32 centres": rows_of(
        recording_by_recording(lambda x: centres.centroids[centres.assign(x)], spoken.test)
    ),
}
score = {
    name: section.number("ABX across speakers, right %", abx(h, ABX), of=name) for name, h in kinds_of_code.items()
}
section.claim(
    "units of speech pass the test across speakers: points above chance", score["e_k, one of 32 units"] - 50, ">", 5
)
section.figure(
    plots.bars(score, "right answers, %", "Is X the digit of A? (chance: 50%)"),
    "abx",
    caption="The share of triples in which a recording is nearer to the same digit by another speaker than to another "
    "digit by the first speaker. Compare the frames with those after normalisation, and z with the unit that takes its "
    "place.",
    alt="Five horizontal bars, all above 50%.",
)

# %% [markdown]
# A unit of 50 ms tells 0.40 bits of the digit at default size, and 0.06 of these are chance. Of the speaker it tells
# 0.20, with 0.03 by chance. So there is twice as much of the word in it as of the voice. Few units are letters. Two
# rows are nearly black in one column: this is the buzzing z of zero, which no other digit has. Most rows are shared, by
# digits with a vowel or with silence in common. k-means has nearly the same numbers. The network cannot do better by
# this measure as long as its cost asks for reconstruction, and for one code a window the best reconstruction *is*
# k-means.
#
# The test across speakers holds a surprise. The units pass it, with 62% where chance is 50%, and lose little of what z
# had, 65%. But the frames as they are have 73%, and it is the normalisation that costs 8 points. It was to remove the
# voice. It also removes which bands are strong in the whole recording, and in a word of half a second this says much of
# the word. For longer sentences the mean over time would belong to the speaker alone. Networks that find units close to
# phonemes (HuBERT and its relatives) predict masked windows from their neighbours in place of reconstructing them, and
# learn from thousands of hours. At full size, with 2,100 recordings, all these numbers are within two points: 72% for
# the frames, 65% after CMVN, 64% for z and 62% for the units.
#
# ## Exercises
# 1. On paper. Show that without C no term pulls z towards the codebook, so that z may run away from it as far as it
#    likes while L stays small. (Which gradient does z get, and from where? What does Q do when z moves faster than
#    e_k?)
# 2. With code. Put β = 0.25 on Q in place of C, as in the implementations named above: the encoder is then pulled four
#    times as hard as the codebook moves. Compare the perplexity and the error with those of the right weights, for a
#    codebook that moves by its gradient. (The solution is in `solutions/C_3_vector_quantised.py`.)
# 3. With code. Use one codebook for all eight codes (`own=False`). What happens to the error, and to the bits?

# %%
section.finish()

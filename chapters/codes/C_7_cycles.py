"""C.7 Cycle Consistency

Equations: none
Figures: retrieval (how often the nearest code is the true partner); translations (what each one makes of digits);
kept (share of the labels that a translation keeps); hidden (a message that no eye sees, and noise that finds it)

Autoencoders have one domain: x goes to h, and h comes back to x. Suppose now that there are two domains, such as
photographs and paintings, or the voices of two speakers, and that no row of the one is paired with a row of the other.
Can a network learn to translate? Nobody can tell it what the right answer is for any single row.

CycleGAN (Zhu et al. 2017) has two ideas for it. First, a translated row must look like a row of the other domain, and a
discriminator is the judge of that. Second, a row that is translated and then translated back must come home. With
translators G from a to b and F from b to a, the second idea is an autoencoder whose code is a row of the other domain:

    Cycle = E_a Σ |F(G(a)) − a| + E_b Σ |G(F(b)) − b|

The results that were shown are impressive, and it is tempting to think that the cycle *makes* the translation right.
This section tests that. It finds that the cycle makes a translation invertible, and that this is another thing than
right. What makes it right, where it is right, is what the translators *cannot* do.

The model, its four players and the derivation of their gradients are in minae/models/cycle.py, the costs of the games
in minae/games.py.
"""

# %%
import numpy as np

from minae import Classifier, CycleConsistent, check_gradient, data, plots
from minae.chapters import Section
from minae.chapters.ch15.domains import inverted, turned
from minae.chapters.classical import PCA
from minae.training import Adam

section = Section("C.7")
rng = np.random.default_rng(section.seed)
on = dict(backend=section.backend)

# %% [markdown]
# ## Four players and three terms
# The cost of the translators has three terms,
#
#     J = L_G + λ_C Cycle + λ_I Identity
#
#   - L_G is the game. A discriminator d_b gives a logit for "this is a b of the data", and G is paid where it takes
#     G(a) for one. A second discriminator d_a does the same for F. The discriminators have turns of their own.
#   - Cycle is the way there and back, above.
#   - Identity asks each translator to leave alone what is in its *target* domain already: E_b Σ |G(b) − b|, and
#     likewise E_a Σ |F(a) − a|. (G makes a b. So it is fed b, and not a. At least five teaching repositories have this
#     the wrong way round. The table of faults in section 14.0 has this one.)
#
# The gradient has one place where a mistake is easy. The row G(a) stands in two terms at once: the discriminator reads
# it, and F reads it for the way back. So two gradients arrive at G(a), and they are added. Let us check the whole
# gradient by finite differences, every term alone, before anything else.

# %%
small = dict(activation="tanh", discriminator=(4,), identity=0.5, penalty=0.1, seed=1, dtype="float64")
model = CycleConsistent((5, 4, 5), **small)
model.parameters.flat[...] += 0.3 * rng.standard_normal(model.parameters.flat.shape)
a, b = rng.standard_normal((4, 5)), rng.standard_normal((4, 5))
for turn in model.turns:
    worst = check_gradient(model, a, b=b, turn=turn, entries=20).worst.error
    section.claim(f"turn {turn}: largest error of the gradient check", worst, "<=", 1e-7)

# %% [markdown]
# ## What the cost cannot see
# Before any training, a thought on paper. Let T be a bijection of domain a that keeps its distribution: if a is drawn
# from p_a, so is T(a). Put T before G and its inverse behind F:
#
#     G′ = G ∘ T,     F′ = T⁻¹ ∘ F
#
# What does the cost say of the new pair? T(a) has the distribution of a, so G′(a) has the distribution of G(a), and
# every discriminator is as content as before. And if there and back was the identity for G and F, it is for G′ and F′:
#
#     F′(G′(a)) = T⁻¹(F(G(T(a)))) = T⁻¹(T(a)) = a
#
# So a pair of cost 0 has as many rivals of cost 0 as there are such T. For a Gaussian a with covariance I, every
# rotation is one. We check it: let b = a R with a rotation R, take the right G and F, and put another rotation T in.

# %%
R, T = (np.linalg.qr(rng.standard_normal((10, 10)))[0] for _ in range(2))
a = rng.standard_normal((4000, 10))
translated = a @ T @ R  # G′(a), where G(a) = a R
back = translated @ R.T @ T.T
section.claim("G′ and F′ come home: largest |F′(G′(a)) − a|", abs(back - a).max(), "<=", 1e-12)
covariance = (T @ R).T @ (T @ R)  # of G′(a), where that of a is I
section.claim("G′(a) has the covariance of b: largest difference", abs(covariance - np.eye(10)).max(), "<=", 1e-12)
off = np.linalg.norm(translated - a @ R, axis=1).mean() / np.linalg.norm(a, axis=1).mean()
section.number("|G′(a) − b| over |b|, as far as two strangers", off)

# %% [markdown]
# ## A permutation of the classes
# Gaussians are dull. Do digits have such a T? As pictures of a data set they do, and we can write one down. Domain a is
# upright digits, domain b is the negatives of digits. (All pictures of this section are 14 × 14, the means of 2 × 2
# pixels, so that training takes seconds.) The right translation is 1 − a. Here is a wrong one: the i-th picture of a
# zero becomes the negative of the i-th *one*, the i-th one that of the i-th two, and so on around the circle. It is a
# table, and F is the same table read backward.

# %%
digits = data.mnist(full=section.size == "full")


def halved(x):
    """Pictures of 28 × 28 as 14 × 14: the means of 2 × 2 pixels."""
    return x.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196).astype(np.float32)


count = section.pick(600, 3000, 10_000)
X, y = digits.train[: 2 * count], digits.train_labels[: 2 * count].astype(int)
A, B = halved(X[:count]), halved(inverted(X[count:]))  # other digits: no row of A has its partner in B
X_test, y_test = halved(digits.test[:1000]), digits.test_labels[:1000].astype(int)
each = np.bincount(y[:count], minlength=10).min()
table = np.concatenate([np.flatnonzero(y[:count] == k)[:each] for k in range(10)])  # sorted by class, as many of each
exchanged = np.roll(table, -each)  # the i-th of class k -> the i-th of class k + 1
a, b_right, b_wrong = A[table], 1 - A[table], 1 - A[exchanged]
home = np.empty_like(a)
home[np.argsort(table)] = (1 - b_wrong)[np.argsort(exchanged)]  # F: the row of the table that has this negative
section.claim("the exchange comes home: Cycle", abs(home - a).sum(axis=1).mean(), "<=", 1e-6)
untaught = CycleConsistent((196, 64, 196), discriminator=(64,), seed=section.seed, **on)
logits = [untaught.apply(lambda x, start: untaught.d_b.forward(x)[0], b).astype(float) for b in (b_right, b_wrong)]
costs = [np.logaddexp(0, np.sort(t, axis=0)).mean() for t in logits]
section.claim("a discriminator gives both the same cost: difference", abs(costs[0] - costs[1]), "<=", 1e-6)
kept = (y[table] == y[exchanged]).mean()
section.claim("labels that the exchange keeps, of the digits", section.number("labels kept", kept, of="the exchange"),
              "<=", 0)  # fmt: skip

# %% [markdown]
# No label is kept, and every term is content. The exchange makes exactly the pictures that the right translator makes,
# in another order, so no discriminator of any size can object, and the cycle is 0. It may leave every b alone too, so
# the identity term has nothing to say either. Nothing in J knows what a label is.
#
# ## Codes of digits behind a hidden rotation
# What does *training* find among so many answers? Domain a is 10 principal components of digits; domain b is those of
# other digits, turned by a hidden rotation. An affine G can be exactly right. For 1000 test digits we know the partner,
# and ask: among the 1000 true b, is the one nearest to G(a) the partner of a? By chance this is so once in 1000. The
# rival needs no training. It matches moments: the principal axes of a to those of b, in the order of their variances.
# An axis has two ends, and their signs are chosen so that the third moment along each is positive. It works because the
# ten variances differ, and because digits are skewed.

# %%
pca = PCA(X, 10)
scale = pca.encode(X).std(axis=0).mean()
code, code_test = pca.encode(X) / scale, pca.encode(digits.test[:1000]) / scale
R = R.astype(np.float32)
code_a, code_b = code[:count], code[count:] @ R
partner = code_test @ R


def moments(x, k=10):
    """Mean, the k principal axes with positive skewness, and the deviations along them."""
    mu = x.mean(axis=0)
    v, D = np.linalg.eigh(np.cov((x - mu).T))
    v, D = v[::-1][:k], D[:, ::-1][:, :k]
    return mu, D * np.sign((((x - mu) @ D) ** 3).mean(axis=0)), np.sqrt(v)


def matched(source, target, x, k=10):
    """x of the source, with the moments of the target."""
    (mu, D, sigma), (mu_b, D_b, sigma_b) = moments(source, k), moments(target, k)
    return (((x - mu) @ D) * (sigma_b / sigma)) @ D_b.T + mu_b


def retrieval(made):
    """Share of the rows whose nearest true b is their partner."""
    d2 = np.square(made).sum(axis=1)[:, None] - 2 * made @ partner.T + np.square(partner).sum(axis=1)
    return (d2.argmin(axis=1) == np.arange(len(made))).mean()


epochs, found, errors = section.pick(2, 20, 20), {}, {}
for name, weight in {"game alone": 0.0, "game and cycle": 10.0}.items():
    for seed in section.seeds:
        model = CycleConsistent((10, 10), discriminator=(64, 64), cycle=weight, penalty=0.1, seed=seed, **on)
        model.fit(code_a, b=code_b, epochs=epochs, batch_size=100, optimizer=Adam(2e-3, decay1=0.5), seed=seed)
        made = model.translate(code_test)
        home = model.translate_back(made)
        found.setdefault(name, []).append(retrieval(made))
        errors.setdefault(name, []).append(np.square(home - code_test).sum(axis=1).mean())
for name in errors:
    found[name] = section.number("true partner is the nearest: share", found[name], of=name)
    errors[name] = section.number("‖F(G(a)) − a‖² of codes", errors[name], of=name)
found["moment matching"] = retrieval(matched(code_a, code_b, code_test))
section.number("true partner is the nearest: share", found["moment matching"], of="moment matching")
section.number("‖a‖² of codes", np.square(code_test).sum(axis=1).mean())
found["chance"] = 1 / len(partner)
if section.size != "quick":  # two epochs there: the cycle is not yet closed
    section.claim(
        "the cycle closes: its error over that without it", errors["game and cycle"] / errors["game alone"], "<=", 0.01
    )
    section.claim(
        "and moment matching finds more partners: difference of the shares",
        found["moment matching"] - found["game and cycle"],
        ">",
        0.1,
    )
section.figure(
    plots.bars(found, "share of test codes whose nearest b is the true partner", "A hidden rotation of ten numbers"),
    "retrieval",
    caption="How often the nearest of 1000 candidates is the true partner of a translated code. With and without the "
    "cycle the game finds next to nothing. Matching the axes by variance and skewness, which takes no training, finds "
    "many.",
    alt="Four horizontal bars. Game alone, game and cycle, and chance are near zero; that of moment matching is long.",
)

# %% [markdown]
# What do we see at default size? The cycle does what it promises: its squared error falls from about 20 to below 0.001,
# where the codes themselves have a squared length of 11. So the translation can be undone, almost exactly. But it is
# wrong: the true partner is the nearest in less than 2% of the cases, whether there is a cycle or not, while moment
# matching finds half of the partners. A game with an affine translator has many near-answers, as the Gaussian above
# showed, and the cycle is content with each of them. At full size, over three seeds, the error falls from 14.8 to
# 0.0001, and the game finds 1.6% of the partners without the cycle and 0.1% with it. Moment matching finds 21%.
#
# ## Negatives of digits: what the translator cannot do
# On pictures CycleGAN keeps what it should, at least often. Why? Here both domains are pictures again: digits, and
# negatives of other digits. We train translators of two kinds. The *dense* one has 256 hidden units, and each of its
# pixels may read all pixels. The *local* one is two layers of 3 × 3 convolutions with eight channels, so a pixel of
# G(a) depends on 5 × 5 pixels of a. Both are trained with and without the cycle, with the same discriminators. A
# classifier of digits reads the negative of G(a), and we count how often it finds the label of a.

# %%
judge = Classifier((196, 128), classes=10, activation="relu", seed=section.seed, **on)
judge.fit(halved(X), y, epochs=section.pick(4, 10, 10), seed=section.seed)
right = section.number("labels kept", (judge.predict(X_test) == y_test).mean(), of="the digits themselves")
local = dict(sizes=(196, 196), image=(1, 14, 14), channels=(8,))
kinds = {
    "dense, game alone": dict(sizes=(196, 256, 196), cycle=0.0),
    "dense, game and cycle": dict(sizes=(196, 256, 196), cycle=1.0),
    "local, game alone": dict(**local, cycle=0.0),
    "local, game and cycle": dict(**local, cycle=1.0),
    "local, game, cycle, identity": dict(**local, cycle=1.0, identity=1.0),
}
training = dict(batch_size=64, optimizer=Adam(1e-3, decay1=0.5))


def trained(options, a, b, epochs, seed):
    model = CycleConsistent(
        **options, last="sigmoid", loss="gaussian", penalty=0.5, discriminator=(128,), seed=seed, **on
    )
    settings = training | dict(optimizer=Adam(3e-3, decay1=0.5)) if "channels" in options else training
    model.fit(a, b=b, epochs=epochs, seed=seed, **settings)
    return model


models, shares, cycles = {}, {}, {}
for name, options in kinds.items():
    for seed in section.seeds:
        epochs = section.pick(1, 6, 6) if "channels" in options else section.pick(2, 20, 20)
        models[name] = model = trained(options, A, B, epochs, seed)
        made = model.translate(X_test)
        shares.setdefault(name, []).append((judge.predict((1 - made).clip(0, 1)) == y_test).mean())
        cycles.setdefault(name, []).append(abs(model.translate_back(made) - X_test).sum(axis=1).mean())
for name in kinds:
    shares[name] = section.number("labels kept", shares[name], of=name)
    cycles[name] = section.number("Cycle on test digits, Σ |F(G(a)) − a|", cycles[name], of=name)
made = {name: model.translate(X_test) for name, model in models.items()}
made["moment matching"] = matched(A, B, X_test, 20).clip(0, 1).astype(np.float32)
shares["moment matching"] = (judge.predict(1 - made["moment matching"]) == y_test).mean()
section.number("labels kept", shares["moment matching"], of="moment matching")
section.number("Σ |a|, the ink of a digit", X_test.sum(axis=1).mean())
section.guard("labels kept, local, game and cycle", shares["local, game and cycle"], ">=", 0.75)
if section.size != "quick":
    section.claim(
        "dense: the cycle comes closer to home: Cycle with it over Cycle without it",
        cycles["dense, game and cycle"] / cycles["dense, game alone"],
        "<",
        0.75,
    )
    section.claim("dense: but the labels are lost", shares["dense, game and cycle"], "<", 0.5 * right)
    section.claim("local: without any cycle the labels are kept", shares["local, game alone"], ">", 0.75 * right)
    section.claim(
        "moment matching keeps more labels than the dense translator with its cycle",
        shares["moment matching"],
        ">",
        shares["dense, game and cycle"],
    )
rows = {"a": X_test, "the right one, 1 − a": 1 - X_test} | made
section.figure(
    plots.images(rows, "Digits, translated to negatives without a single pair", shape=(14, 14)),
    "translations",
    caption="Test digits and what each translator makes of them. All were trained on unpaired pictures. Compare each "
    "row with the second. The dense translators make rough negatives of *other* digits. The local ones make the "
    "negative of the digit they were given, unless the identity term is added.",
    alt="Eight rows of small pictures. Below the digits and their negatives are dense translations of other digits, "
    "local translations of the same digits, a failed row with the identity term, and blurred negatives.",
)
section.figure(
    plots.bars({"the digits themselves": right} | shares, "share of labels kept", "Is it still the same digit?"),
    "kept",
    caption="Share of the test digits whose label a classifier finds in the negative of the translation. By chance it "
    "is 0.1. Compare dense with local, and then with and without the cycle. The first difference is large, the second "
    "is not.",
    alt="Seven horizontal bars. The digits themselves and two local translators are near 0.9, moment matching is at "
    "about 0.6, the dense translators and the one with the identity term are near or below 0.15.",
)

# %% [markdown]
# The picture tells the story. The dense translators draw rough negatives, of other digits where one can read them: they
# keep 12% to 16% of the labels, where chance would keep 10%. With the cycle, digits come home three times as closely as
# without it. The digit in between is an exchange like the one that we wrote down by hand, only less clean. The local
# translators keep 86% and 89% of the labels, of the 90% that the classifier can read at all, *with or without* the
# cycle. So the cycle did not do it. A local translator cannot exchange a seven for a one, since it cannot see which
# digit it is looking at. Of all the answers of low cost, its form leaves few, and the right one is among them. The
# translators of CycleGAN are convolutional, and begin with the layout of the picture that they are given.
#
# The rival deserves its due: matching 20 principal axes by their variance and skewness, without training, keeps more
# than half of the labels, far more than the dense game.
#
# At full size the dense translators keep 10%, which is chance, and the local ones 92% of 95%, with and without the
# cycle. Moment matching keeps 71%.
#
# ## The identity term: a help for domains that are alike
# Why does the last translator fail, the local one with the identity term? Look at a patch of ones, ink only. In domain
# a it lies inside of a stroke, and must become zeros. In domain b it is background, and the identity term wants it to
# stay ones. A local G cannot know which of the two it has before it, so the two demands contradict each other.
#
# The term is meant for other pairs, in which the domains are alike. We take one: upright digits, and digits turned by
# 30 degrees. Here a translator that leaves everything alone is not far wrong. A baseline that does nothing is therefore
# on the list: the classifier, which has learned turned digits, reads the upright ones as they are.

# %%
B_turned = halved(turned(X[count:]))
judge_turned = Classifier((196, 128), classes=10, activation="relu", seed=section.seed, **on)
judge_turned.fit(halved(turned(X)), y, epochs=section.pick(4, 10, 10), seed=section.seed)
truth = halved(turned(digits.test[:1000]))
name, ways = "labels kept, digits to turned digits", {}
for way, weights in {
    "dense, game and cycle": dict(cycle=1.0),
    "dense, game, cycle, identity": dict(cycle=1.0, identity=1.0),
}.items():
    options = dict(sizes=(196, 256, 196), **weights)
    ways[way] = [trained(options, A, B_turned, section.pick(2, 20, 20), s).translate(X_test) for s in section.seeds]
ways["moment matching"] = [matched(A, B_turned, X_test, 20).clip(0, 1).astype(np.float32)]
ways["nothing is done"] = [X_test]
of_turned, far = {}, {}
for way, several in ways.items():
    shares_of = [(judge_turned.predict(made) == y_test).mean() for made in several]
    of_turned[way] = section.number(name, shares_of, of=way)
    far[way] = section.number(
        "distance from the turned digit, Σ |b̂ − b|", [abs(made - truth).sum(axis=1).mean() for made in several], of=way
    )
if section.size != "quick":
    section.claim(
        "on domains that are alike the identity term keeps labels: difference of the shares",
        of_turned["dense, game, cycle, identity"] - of_turned["dense, game and cycle"],
        ">",
        0.1,
    )

# %% [markdown]
# With the identity term about 45% of the labels are kept, where game and cycle alone keep 12%. But to do nothing
# keeps half of them, and matching moments keeps more than either. At full size the term keeps 67%, game and cycle alone
# 9%, doing nothing 69% (this classifier has learned from more digits), and matching moments 48%. So at both sizes the
# term holds the translator near the identity; it does not teach it to turn a digit. Where the identity is a good first
# guess, as from horse to zebra, this is a help.
#
# ## A hidden message
# The cycle has one more weakness. It asks that a can be had back from G(a), and the game asks that G(a) look like a b.
# Suppose that they pull apart, because b has no room for what a says. Then G has a way out: to *hide* what it has to
# remember where no eye and no discriminator looks. Chu et al. (2017) found that CycleGAN does this between aerial
# photographs and maps. The photograph came back from the map with every tree, though the map shows no trees. They were
# written into it as a faint noise.
#
# How would one notice? By noise that is too weak to matter to an honest translation. We add noise of standard deviation
# 0.02 to G(a) before F reads it. An honest F answers with an error of the size of the noise. For the pair 1 − a and
# 1 − b, which copies the noise pixel by pixel, we can even say how large: the mean of |ε| is σ √(2/π), at each of the
# 196 pixels. First, a liar for comparison. It is built by hand from the exchange of the classes: a negative of the
# wrong digit, in steps of 0.01, and a itself in the digits behind the second decimal,
#
#     G(a) = 0.01 (n + 0.9 (a − ½)),     n = the wrong negative over 0.01, rounded
#     F(b) = (b/0.01 − n)/0.9 + ½,       n = b/0.01, rounded
#
# The rounding changes a pixel by at most 0.005, and the message by at most 0.0045.

# %%
step, sd = 0.01, 0.02


def hide(a, cover):
    return step * (np.round(cover / step) + 0.9 * (a - 0.5))


def reveal(b):
    return (b / step - np.round(b / step)) / 0.9 + 0.5


a, cover = A[table].astype(float), b_wrong.astype(float)
liar = hide(a, cover)
noise = sd * rng.standard_normal(liar.shape)
pairs = {
    "the liar": (liar, reveal),
    "the honest pair, 1 − a and 1 − b": (1 - a, lambda b: 1 - b),
}
for way in ("local, game and cycle", "dense, game and cycle"):
    pairs[way] = models[way].translate(a.astype(np.float32)), models[way].translate_back
by_noise = {}
for way, (b, F) in pairs.items():
    quiet, noisy = (abs(F(np.asarray(x, b.dtype)) - a).sum(axis=1).mean() for x in (b, b + noise))
    section.number("Cycle without noise", quiet, of=way)
    by_noise[way] = section.number("what noise of 0.02 adds to Cycle", noisy - quiet, of=way)
expected = 196 * sd * np.sqrt(2 / np.pi)
section.claim("the liar's Cycle is 0", abs(reveal(liar) - a).sum(axis=1).mean(), "<=", 1e-9)
section.claim("its message is invisible: largest change of a pixel", abs(liar - cover).max(), "<=", step)
honest = by_noise["the honest pair, 1 − a and 1 − b"]
section.claim("the honest pair answers noise as computed: relative error", abs(honest / expected - 1), "<=", 0.02)
section.claim("noise finds the liar: its answer over the honest one", by_noise["the liar"] / honest, ">", 5)
if section.size != "quick":
    for way in ("local, game and cycle", "dense, game and cycle"):
        section.claim(f"no faint message in {way}: its answer over the honest one", by_noise[way] / honest, "<", 1)
shown = slice(None, None, len(a) // 12)
b, F = pairs["local, game and cycle"]
section.figure(
    plots.images(
        {
            "a": a[shown],
            "the liar's G(a)": liar[shown],
            "F(G(a))": reveal(liar)[shown],
            "F(G(a) + noise)": reveal(liar + noise)[shown].clip(0, 1),
            "local, F(G(a) + noise)": F(np.asarray(b + noise, b.dtype))[shown],
        },
        "A message that no eye sees, and noise that finds it",
        shape=(14, 14),
    ),
    "hidden",
    caption="The liar turns each digit into a negative of another class, and yet F brings the digit back, since it is "
    "written into the pixels behind the second decimal. Noise of standard deviation 0.02, which the eye hardly sees in "
    "a picture, wipes it out. The trained local pair does not mind that noise.",
    alt="Five rows of small pictures: digits, negatives of other digits, the digits again, noise, and blurred digits.",
)

# %% [markdown]
# The trained translators of this section do not hide anything in this way. The noise adds less to their cycles than to
# that of the honest pair, since their F smooths it away. Are they honest, then? We make a pair of domains in which b
# has no room: a is a digit in paler or darker ink, by a factor between 0.3 and 1, and b is always in full ink. The game
# forbids G to leave the ink as it is. Does F still know it?

# %%
ink, ink_test = (rng.uniform(0.3, 1, (len(x), 1)).astype(np.float32) for x in (A, X_test))
pale = ink_test * X_test
model = trained(
    dict(sizes=(196, 256, 196), cycle=3.0), ink * A, halved(X[count:]), section.pick(2, 20, 20), section.seed
)
made = model.translate(pale)
noisy = (made + sd * rng.standard_normal(made.shape)).astype(np.float32)
full = X_test.sum(axis=1)  # of the digit in full ink
kinds_of_ink = {
    "the ink of G(a)": made.sum(axis=1),
    "the ink of F(G(a)), for this digit": model.translate_back(made).sum(axis=1) / full,
    "the same after noise of 0.02": model.translate_back(noisy).sum(axis=1) / full,
}
known = {
    way: section.number("correlation with the factor of the ink of a", np.corrcoef(value, ink_test[:, 0])[0, 1], of=way)
    for way, value in kinds_of_ink.items()
}
if section.size != "quick":
    section.claim(
        "F knows more of the ink of a than the ink of G(a) shows: difference of the correlations",
        known["the ink of F(G(a)), for this digit"] - abs(known["the ink of G(a)"]),
        ">",
        0.3,
    )

# %% [markdown]
# The ink of G(a) tells a part of it, with a correlation of −0.5 at default size and 0.36 at full size: which way the
# ink of the translation goes with that of a is left to chance. F knows much more. It brings the ink back with a
# correlation of 0.96, at full size 0.97, and noise of 0.02 does not disturb it. So there is a message, and it is not
# faint. The dense G exchanges digits anyway, and it chooses *which* shape to draw, and how, by the ink. This is hidden
# in plain sight, and the test by noise cannot see it. The test finds one way of hiding. It does not prove that there is
# none.
#
# What follows? The cycle is worth having where information must not be lost. It is not a teacher of the right
# translation. Whoever wants that must put it into the form of the translators, or into a few pairs, or into a
# comparison of moments, and must test with labels that the training has not seen.
#
# ## Exercises
# 1. On paper. Let a and b be numbers with a ~ N(0, 1) and b ~ N(3, 4). Find all affine pairs G, F for which both games
#    are at their optimum and Cycle is 0. How many are there? Now let a be skewed instead, with the same skewness in b.
#    How many are left?
# 2. With code. A few pairs are worth a lot. Fit the affine map from code_a to code_b by least squares on m pairs of the
#    hidden rotation, and find the smallest m for which more than 90% of 1000 test codes have their partner as the
#    nearest. Compare with the thousands of codes that the game saw. (The solution is in `solutions/C_7_cycles.py`.)
# 3. With code. Train the local pair with the identity term on upright and turned digits. Does it keep more labels than
#    the dense pair? Can it turn a digit at all, with 5 × 5 pixels in view?

# %%
section.finish()

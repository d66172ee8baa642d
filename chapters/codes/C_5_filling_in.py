"""C.5 Filling In, Going On

Equations: none
Figures: learning (held-out perplexity by epoch, masked and causal); blanks (what is filled into hidden places);
temperature (what sampling does, by temperature)

A denoising autoencoder (14.5) gets a spoiled example and gives back the whole one. For a text there is an obvious way
to spoil it: hide some words. Whoever can fill in the words has learned something about the language. This is the idea
of BERT (Devlin et al. 2019), and it needs no labels. GPT (Radford et al. 2018) hides something else: everything that
comes after a place. It reads a text from the left and says the next word, again and again, so that it can write.

    masked:  L = −mean over the hidden places of log p(x_t | the places that are not hidden)
    causal:  L = −mean over all places of log p(x_t | x_1 … x_{t−1}),     p(x) = Π_t p(x_t | x_1 … x_{t−1})

Both are one network here, and one page of formulas: minae/models/language.py. It derives the gradient of the tied
embedding and of the places that count; attention is derived in minae/ops/attention.py, the GRU in
minae/ops/sequence.py, the residual block in minae/networks.py, the cross-entropy in minae/losses.py (`TokenLoss`).

How good is such a network? The measure is the perplexity e^L. A perplexity of 20 means that the network is in doubt as
if it had to choose among 20 equally likely words. A number alone says little, so counting stands beside the networks.
To count how often a word follows another one is the oldest model of text there is. For short texts it is hard to beat.

The text is that of definitions in the dictionary WordNet 3.0, such as "a person who sells fruit".
"""

# %%
import numpy as np

from minae import LanguageModel, check_gradient, data, plots
from minae.chapters import Section
from minae.chapters.classical import BothSides, NGram
from minae.data.text import HIDDEN, UNKNOWN, has
from minae.losses import TokenLoss
from minae.models.language import next_token
from minae.training import Adam, Cosine

section = Section("C.5")
rng = np.random.default_rng(section.seed)

# %% [markdown]
# ## Tokens
# A network reads numbers, so each word becomes one: its place in a list, the *vocabulary*. The list has the words that
# are most frequent in the training lines. A word that is not in it becomes the mark ‹unknown›. Each line ends with the
# mark ‹end›, from which a network learns where to stop, and the mark ‹hidden› stands where a word is hidden. These
# three are the tokens 0, 1 and 2. The vocabulary is kept in the model's file, since without it the tokens mean nothing.
#
# At default size there are 15,000 definitions of at most 11 words, which come with the package, and 1,000 tokens. At
# full size there are all definitions of at most 19 words, and 2,000 tokens. A tenth of the lines is held out.

# %%
full = section.size == "full" and has("glosses")
most = section.pick(12, 12, 20)
lines = [line for line in data.glosses(full=full) if len(data.text.split(line)) < most]
lines = [lines[k] for k in rng.permutation(len(lines))[: section.pick(3000, None, None)]]
cut = len(lines) // 10
vocabulary = data.Vocabulary.of(lines[cut:], size=section.pick(400, 1000, 2000), most=most)
X, X_test = vocabulary.tokens(lines[cut:]), vocabulary.tokens(lines[:cut][: section.pick(300, 1500, 4000)])
V, width, heads = len(vocabulary), section.pick(24, 64, 64), section.pick(2, 4, 4)
tokens = np.concatenate(X)
for k in range(3):
    print(f"  {lines[cut + k]!r}\n    {X[k].tolist()}\n    {vocabulary.lines([X[k]])[0]!r}")
print()
section.number("lines to learn from", len(X))
section.number("tokens a line, ‹end› included", len(tokens) / len(X))
section.number("share of ‹unknown›", (tokens == UNKNOWN).mean())

# %% [markdown]
# ## Three things that a gradient of text needs
# **Only what counts.** L is a mean over the places that count: the hidden ones of a masked model, all but the padding
# of a causal one. (Padding fills the lines of a batch up to the longest.) With p = softmax(s) and N places that count,
#
#     ds_t = 1/N (p_t − [v = x_t]) where t counts,     ds_t = 0 elsewhere, exactly
#
# A mean over *all* places is a fault that is found in textbooks. The sum over the places stays the same, and the number
# below it grows with the padding. So the loss falls where lines are short, for no reason. We check both on random
# logits: append three padded places, and see whether L moves.

# %%
s = rng.standard_normal((2, 5, 9))
x, m = rng.integers(9, size=(2, 5)), np.array([[1.0, 1, 1, 0, 1], [1, 0, 0, 0, 0]])
model = LanguageModel(vocabulary=9, most=9, width=6, heads=2, blocks=1, seed=1, dtype="float64", backend="numpy")
loss = TokenLoss(model.arena)
L, ds = loss(s, x, m)
padded = [np.concatenate([a, a[:, :3]], axis=1) for a in (s, x)]
L_padded, ds_padded = loss(*padded, np.pad(m, ((0, 0), (0, 3))))
section.claim("ds where nothing counts, largest", abs(ds[m == 0]).max(), "<=", 0)
section.claim("three padded places more: change of L", abs(L_padded - L), "<=", 1e-12)
section.claim("three padded places more: change of ds", abs(ds_padded[:, :5] - ds).max(), "<=", 1e-12)
wrong, wrong_padded = L * m.mean(), L_padded * m.sum() / padded[1].size  # the sum is the same, the number below is not
section.number("a mean over all places (fault): L without padding", wrong)
section.number("a mean over all places (fault): L with padding", wrong_padded)

# %% [markdown]
# **One matrix, read twice.** The rows of the embedding E are what the network reads for a token. The logits are
# s_t = y_t Eᵀ + c: a token is likely where y_t points in the direction of its row. So E is read at both ends, and J
# depends on it by two ways. By the chain rule its gradient is the sum over both:
#
#     dE_i = Σ_t [token t is i] dx_t  +  Σ_t ds_ti y_t
#
# The first sum is that of the lookup: it has rows for tokens that were read. The second one is that of a matrix
# product: it has rows for all tokens. We compute each part alone, and both together, and compare with differences of J.

# %%
batch = rng.integers(3, 9, size=(4, 5)).astype(np.int32)
length = np.array([5, 3, 5, 1], np.int32)
E, dE = model.parameters["E"], model.parameters.gradient("E")
report = check_gradient(model, [row[:stop] for row, stop in zip(batch, length, strict=True)])
section.claim("error of the whole gradient, every parameter", report.worst.error, "<=", 1e-7)
model.cost_and_grad(batch, length)
both = dE.array.copy()
y, cache = model.f.forward(model.moved(batch))
s, y_cache = model.g.forward(y)
_, ds = model.loss(s, batch, (np.arange(5) < length[:, None]).astype(float))
model.parameters.zero_grad()
dy = model.g.backward(ds, y_cache)
output = dE.array.copy()
model.parameters.zero_grad()
model.f.backward(dy, cache, need_dx=False)
lookup = dE.array.copy()
section.claim("lookup + output layer − dE, largest", abs(lookup + output - both).max(), "<=", 1e-12)
section.number("share of the length of dE that the lookup has", np.linalg.norm(lookup) / np.linalg.norm(both))


def J(t, direction):
    E[...] += t * direction
    cost = float(model.cost_and_grad(batch, length, need_grad=False))
    E[...] -= t * direction
    return cost


direction = rng.standard_normal(E.shape)
difference = (J(1e-5, direction) - J(-1e-5, direction)) / 2e-5
section.claim("a difference of J along a direction of E", abs(difference - (both * direction).sum()), "<=", 1e-7)
missed = abs(difference - (output * direction).sum()) / abs(difference)
section.claim("without the lookup's part the gradient is wrong: relative error", missed, ">", 1e-3)

# %% [markdown]
# **A way on which nothing is lost.** Each block is y = x + F(x). So x reaches y by two ways, and
#
#     dx = dy + (∂F/∂x)ᵀ dy
#
# The first term is the gradient itself. However many blocks there are, it comes through. Take twelve layers
# F(x) = tanh(x W) with small weights, once one behind the other, and once as residual blocks, and send a gradient of
# length 1 upward.

# %%
Ws, x, dy = 0.3 / 4 * rng.standard_normal((12, 16, 16)), rng.standard_normal(16), rng.standard_normal(16)
dy /= np.linalg.norm(dy)


def through(x, residual):
    """y of twelve layers, and F of each."""
    kept = []
    for W in Ws:
        h = np.tanh(x @ W)
        kept.append(h)
        x = x + h if residual else h
    return x, kept


reach = {}
for residual, name in ((False, "y = F(x)"), (True, "y = x + F(x)")):
    dx = dy
    for W, h in zip(Ws[::-1], through(x, residual)[1][::-1], strict=True):
        da = dx * (1 - h * h)
        dx = dx + da @ W.T if residual else da @ W.T
    nudge = 1e-5 * rng.standard_normal(16)
    moved = (through(x + nudge, residual)[0] - through(x - nudge, residual)[0]) @ dy / 2
    section.claim(f"{name}: a difference, relative error", abs(moved / (nudge @ dx) - 1), "<=", 1e-7)
    reach[name] = section.number("length of the gradient behind twelve layers", np.linalg.norm(dx), of=name)
section.claim("residual over plain, length of the gradient", reach["y = x + F(x)"] / reach["y = F(x)"], ">", 1e3)

# %% [markdown]
# ## What counting can do
# An *n-gram* model says p(x_t | the n − 1 tokens before it) = count / count. Most runs of three words were never seen,
# so the counts must be smoothed: each one gives away a little, which is shared out by the model of n − 1. We take the
# best of the usual ways, that of Kneser and Ney. It is derived in chapters/classical.py (`NGram`).
#
# For a hidden word there are two sides. Suppose that the text were a Markov chain, in which a word depends on the one
# before it alone. Then by the product rule p(l, w, r) = p(l) p(w | l) p(r | w), and therefore
#
#     p(w | l, r) = p(w | l) p(r | w) / Σ_w' p(w' | l) p(r | w')
#
# which needs nothing but counts of pairs. In the held-out lines we hide one word of each, and ask every model for it.

# %%
keep = [k for k, row in enumerate(X_test) if (row > UNKNOWN).any()]
blanks = [X_test[k] for k in keep]
at = np.array([rng.choice(np.flatnonzero(row > UNKNOWN)) for row in blanks])
hidden = np.array([row[t] for row, t in zip(blanks, at, strict=True)])
before = np.array([row[t - 1] if t else 0 for row, t in zip(blanks, at, strict=True)])
after = np.array([row[t + 1] for row, t in zip(blanks, at, strict=True)])
pairs = BothSides(X, V, np.arange(V) > UNKNOWN)
alone = pairs.of_words(np.bincount(tokens, minlength=V)[None] + 1.0)
p = {
    "counts: no other word": np.repeat(alone, len(blanks), axis=0),
    "counts: one other word": pairs.left(before),
    "counts: two other words": pairs.between(before, after),
}


def of_blanks(p):
    """Perplexity at the blanks, and the share that is guessed right."""
    return float(np.exp(-np.log(p[np.arange(len(p)), hidden]).mean())), float((p.argmax(axis=1) == hidden).mean())


masked, causal = {}, {}
for name, each in p.items():
    masked[name], right = of_blanks(each)
    section.number("perplexity at the blanks", masked[name], of=name)
    section.number("blanks that are guessed right, share", right, of=name)
grams = {n: NGram(X, V, n) for n in (1, 2, 3)}
for n, name in enumerate(("no other word", "one other word", "two other words"), 1):
    causal[f"counts: {name}"] = section.number(
        "perplexity of held-out lines", grams[n].perplexity(X_test), of=f"counts: {name}"
    )
every = np.stack([np.full(V, 5), np.full(V, 7), np.arange(V)], axis=1)
section.claim("the smoothed p(w | two words) sums to 1: off by", abs(grams[3].p(every).sum() - 1), "<=", 1e-9)
most_likely = max(p["counts: one other word"][0].sum(), p["counts: two other words"][0].sum())
section.claim("p(w | l, r) sums to 1: off by", abs(most_likely - 1), "<=", 1e-9)

# %% [markdown]
# ## Four networks
# Now the networks: two blocks of attention, and two layers of a GRU (in both directions for the masked task, so that it
# may read both sides). All have the same width and the same optimiser with the same learning rate, and within a task
# the same number of passes through the lines. Each is tested as the counts are.

# %%
passes = {"masked": section.pick(3, 6, 6), "causal": section.pick(3, 4, 3)}
trained, curves = {}, {"masked": {}, "causal": {}}


def perplexity(model):
    return of_blanks(np.exp(model.guesses(blanks, at)))[0] if model.task == "masked" else model.perplexity(X_test)


for task, epochs in passes.items():
    for name, body in (("attention", "attention"), ("GRU", "gru")):
        found, right = [], []
        for seed in section.seeds:
            more = dict(vocabulary=V, most=most, width=width, heads=heads, hide=0.3)
            model = LanguageModel(task=task, body=body, seed=seed, backend=section.backend, **more)
            model.preprocessing = data.Preprocessing(vocabulary=vocabulary)
            path = []
            model.fit(
                X,
                epochs=epochs,
                batch_size=64,
                optimizer=Adam(Cosine(4e-3, steps=epochs * -(-len(X) // 64))),
                seed=seed,
                callbacks=[lambda model, history, path=path: path.append(perplexity(model))],
            )
            found.append(path[-1])
            if task == "masked":
                right.append(of_blanks(np.exp(model.guesses(blanks, at)))[1])
            if seed == section.seed:
                trained[task, name], curves[task][name] = model, (np.arange(1, epochs + 1), path)
        if task == "masked":
            masked[name] = section.number("perplexity at the blanks", found, of=name)
            section.number("blanks that are guessed right, share", right, of=name)
        else:
            causal[name] = section.number("perplexity of held-out lines", found, of=name)
for task, results in (("masked", masked), ("causal", causal)):
    for name in ("attention", "GRU"):
        if section.size == "quick":
            section.claim(f"{task}, {name}: below chance among {V} tokens", results[name], "<", V)
            continue
        for rival in ("no other word", "one other word", "two other words"):
            section.claim(f"{task}, {name}: below counts of {rival}", results[name], "<", results[f"counts: {rival}"])
    for rival in ("counts: one other word", "counts: two other words"):
        curves[task][rival] = (np.array([1, max(passes.values())]), [results[rival]] * 2)
fig = plots.panels(
    {"masked: one hidden word": curves["masked"], "causal: the next word": curves["causal"]},
    "passes through the lines",
    ["perplexity at the blanks", "perplexity of held-out lines"],
    "Networks beside counts",
)
fig.axes[0].xaxis.get_major_locator().set_params(integer=True)
section.figure(
    fig,
    "learning",
    caption="Perplexity on held-out lines after each pass, for attention and a GRU. The level lines are those of the "
    "counts. Lower is better. Look where the curves of the networks cross the lowest level line, if they do.",
    alt="Two panels, masked and causal. In each of them two falling curves of networks, and two level lines of counts.",
)

# %% [markdown]
# At default size the counts of both sides are hard to beat, and the networks do beat them. At the blanks the perplexity
# is 28.4 for the counts, 25.1 for attention and 22.4 for the GRU. The counts guess 35% of the hidden words, attention
# 38% and the GRU 39%. After one pass the networks are still far behind: attention needs four passes and the GRU three.
# For the next word it is the same. The perplexity is 20.6 for counts of three words, 18.7 for attention and 18.8 for
# the GRU, and again one pass is not enough. So do not believe a network that has no counts beside it, and do not
# believe that counts are better where the network was stopped early.
#
# Two things are not shown here. These lines are short. The GRU carries what it has read in 64 numbers, which is enough
# for ten words and may not be for a thousand; attention looks back at every word. And a quarter of all
# tokens is ‹unknown›, which is easy to predict. A larger vocabulary gives a larger perplexity to every model.
# Perplexities can be compared within one vocabulary alone.
#
# What does a network fill in? Here are some blanks, and what is most likely there.

# %%
words = np.array(vocabulary.words)
strange = [(row == UNKNOWN).sum() + 100 * (len(row) < 7) for row in blanks]
clear = np.argsort(strange, kind="stable")[:8]  # lines of at least six words, with few that are ‹unknown›
shown = [blanks[k] for k in clear]
guessers = {name: np.exp(trained["masked", name].guesses(shown, at[clear])) for name in ("attention", "GRU")}
guessers["counts"] = p["counts: two other words"][clear]
rows, shades = {}, {}
for i, k in enumerate(clear):
    line = vocabulary.lines([np.where(np.arange(len(blanks[k])) == at[k], HIDDEN, blanks[k])])[0]
    line = line.replace("‹hidden›", "____").replace("‹unknown›", "…")
    rows[line] = {"hidden": words[hidden[k]]}
    shades[line, "hidden"] = plots.shade(0)
    for name, each in guessers.items():
        rows[line][name] = f"{words[each[i].argmax()]} ({each[i].max():.2f})"
        shades[line, name] = plots.shade(float(each[i].argmax() == hidden[k]))
section.figure(
    plots.table(rows, shades, title="One hidden word, and the first guess of three models", width=10.5),
    "blanks",
    caption="Held-out lines with one hidden word (____; … stands for ‹unknown›), the word itself, and the "
    "most likely word of each model with its probability. Blue: the guess is right. Look at what a wrong guess is: "
    "often a word that would fit as well.",
    alt="A table of lines. Its columns are the hidden word and the guesses of attention, of the GRU and of the "
    "counts, shaded where they are right.",
)

# %% [markdown]
# ## Does the causal network see the future?
# A causal network may not read x_t, nor what comes after it, when it predicts x_t. Attention sees to this by a mask: a
# score of −∞ becomes a weight of exactly 0. Public code has written −10,000 in the place of −∞. At the beginning this
# makes no difference, and tests pass. But a network that is trained can learn scores below −10,000, and then it reads
# the future, with a loss of almost 0. So the test must be made on the *trained* network: change the tokens from place 5
# on, and compare what is said of the first five, bit by bit. A test that finds nothing must be able to find something.
# The masked network, which does read both sides, is the control.

# %%
long = np.stack([row[:7] for row in X_test if len(row) >= 8][:50])
changed = long.copy()
changed[:, 4:] = rng.integers(3, V, size=changed[:, 4:].shape)  # the tokens at the places 5, 6, 7
length = np.full(len(long), 7, np.int32)


def said(model, tokens):
    given = [section.backend.from_numpy(array) for array in (tokens, length)]
    return np.array(section.backend.to_numpy(model.log_p(*given)))


for name in ("attention", "GRU"):
    model = trained["causal", name]
    one, other = said(model, long), said(model, changed)
    section.claim(f"{name}: numbers of places 1 to 5 that change", (one[:, :5] != other[:, :5]).sum(), "<=", 0)
    section.claim(f"{name}: numbers of place 6 that change, share", (one[:, 5] != other[:, 5]).mean(), ">", 0.5)
    model = trained["masked", name]
    one, other = said(model, long), said(model, changed)
    section.claim(f"control, masked {name}: share that changes", (one[:, :4] != other[:, :4]).mean(), ">", 0.5)

# %% [markdown]
# ## Writing
# A causal network writes by its own formula: draw x_1 from p(x_1), then x_2 from p(x_2 | x_1), and so on to ‹end›. That
# is `model.sample`. Three settings change p before the draw.
#
#     temperature τ:  p_v^(1/τ) / Σ p^(1/τ)      τ < 1 makes the likely likelier, τ > 1 less so
#     top-k:          only the k most likely tokens
#     top-p:          only as many of the most likely tokens as have the sum p (Holtzman et al. 2020)
#
# They are used because a network gives a little probability to each of many bad words. Together these have a lot.

# %%
log_p = said(trained["causal", "attention"], long)[:, 3]  # after three words of 50 lines
entropy = {}
for tau in (0.5, 1.0, 2.0):
    q = next_token(log_p, temperature=tau)
    entropy[tau] = section.number(
        "entropy of the next token, nats", -(q * np.log(q + 1e-300)).sum(axis=1).mean(), of=f"τ = {tau}"
    )
section.claim("a higher temperature, more entropy: 0.5 against 1", entropy[0.5], "<", entropy[1.0])
section.claim("a higher temperature, more entropy: 1 against 2", entropy[1.0], "<", entropy[2.0])
q = next_token(log_p, top_p=0.8)
section.number("tokens that top-p = 0.8 leaves, mean", (q > 0).sum(axis=1).mean())
section.number("tokens that top-p = 0.8 leaves, least and most: least", (q > 0).sum(axis=1).min())
section.number("tokens that top-p = 0.8 leaves, least and most: most", (q > 0).sum(axis=1).max())
whole = next_token(log_p)
section.claim(
    "what top-p = 0.8 keeps has at least this sum: least", (whole * (q > 0)).sum(axis=1).min(), ">=", 0.8 - 1e-9
)
section.claim("top-k = 5 leaves 5 tokens: most", (next_token(log_p, top_k=5) > 0).sum(axis=1).max(), "<=", 5)
ways = {
    "τ = 0.3": dict(temperature=0.3),
    "τ = 1": {},
    "τ = 1.5": dict(temperature=1.5),
    "top-p = 0.8": dict(top_p=0.8),
    "after a prompt": dict(top_p=0.8, prompt="a person who"),
}
for way, settings in ways.items():
    print(f"\n  {way}")
    for line in trained["causal", "attention"].sample(3, seed=section.seed, **settings):
        print(f"    {line}")
print()

# %% [markdown]
# Are such lines good? There is no single number for that. Two simple ones pull in opposite directions. The first asks
# how usual the lines are: their perplexity under the three-word counts, which were not asked when the lines were drawn.
# The second asks how varied they are: how many different pairs of words there are among all pairs of the lines. Human
# lines stand beside them.

# %%
count, taus = section.pick(60, 300, 1000), (0.3, 0.6, 1.0, 1.5)


def judged(rows):
    rows = [np.array([*row, 0], np.int32) for row in rows]
    twos = np.concatenate([np.stack([row[:-1], row[1:]], axis=1) for row in rows if len(row) > 1])
    return grams[3].perplexity(rows), len(np.unique(twos, axis=0)) / len(twos)


lines_of = {}
for name in ("attention", "GRU"):
    model = trained["causal", name].copy()
    model.preprocessing = data.Preprocessing()  # tokens in the place of words
    lines_of[name] = [judged(model.sample(count, seed=section.seed, temperature=tau)) for tau in taus]
    for tau, (usual, varied) in zip(taus, lines_of[name], strict=True):
        section.number("perplexity under three-word counts", usual, of=f"{name}, τ = {tau}")
        section.number("different pairs of words, share", varied, of=f"{name}, τ = {tau}")
known = [row[:-1] for row in X_test if not (row == UNKNOWN).any()][:count]  # samples have no ‹unknown› either
human = judged(known)
section.number("perplexity under three-word counts", human[0], of="human lines")
section.number("different pairs of words, share", human[1], of="human lines")
for name in lines_of:
    usual, varied = zip(*lines_of[name], strict=True)
    section.claim(f"{name}: τ = 0.3 is more usual than τ = 1.5", usual[0], "<", usual[-1])
    section.claim(f"{name}: and less varied", varied[0], "<", varied[-1])
panels = {}
for k, title in enumerate(("how usual", "how varied")):
    panels[title] = {name: (np.array(taus), [pair[k] for pair in each]) for name, each in lines_of.items()}
    panels[title]["human lines"] = (np.array([taus[0], taus[-1]]), [human[k]] * 2)
section.figure(
    plots.panels(
        panels,
        "temperature τ",
        ["perplexity under three-word counts", "different pairs of words, share of all pairs"],
        "Lines that a network writes, by temperature",
    ),
    "temperature",
    caption="Left: how unusual the written lines are for the three-word counts (lower is more usual). Right: how many "
    "of their pairs of words are different ones (higher is more varied). The level line is that of human lines. A low "
    "temperature writes usual lines, and the same ones again and again.",
    alt="Two panels over the temperature. Both curves of each panel, for attention and for the GRU, rise from left to "
    "right; a level line marks human lines.",
)

# %% [markdown]
# At default size a human line has a perplexity of 82 under the three-word counts, and 92% of its pairs of words are
# different ones. Attention writes at τ = 0.3 lines with a perplexity of 20, of which only 10% of the pairs are
# different: it says "a person who is …" again and again. At τ = 1.5 the pairs are as varied as those of people, and the
# perplexity is 690: the lines are noise. At τ = 1, which is what the network believes, the perplexity is 150. So the
# network puts more probability on odd words than people use. (A part of this is the missing ‹unknown›. Its probability,
# about a quarter, is shared out among the words.) Between τ = 0.6 and 1 the lines are as usual as those of people, and
# less varied. No temperature gives both. Top-p does not change the order of the likely words. It cuts off the tail, of
# which τ = 1 has too much: it leaves 85 of 1,000 tokens on average, and anything from 1 to several hundred.
#
# Look at the lines themselves, too. Three or four words in a row make sense, and a whole line seldom does. A network of
# a hundred thousand numbers that has read 13,500 lines knows which words go together. It does not know what it says.
#
# ## Exercises
# 1. On paper. Let the text be a Markov chain of second order, in which a word depends on the two before it. Which words
#    around a hidden one does p(w | all the others) depend on? Write it as a product of p(· | two before), as was done
#    above for the first order.
# 2. With code. Counts see two words back, and attention sees all. Make lines of 12 words by drawing 6 words at random
#    out of 20, and writing them twice, "b d a … b d a …". Train a causal attention model, and compare its perplexity on
#    the second half with that of three-word counts. You should get below 1.2, where the counts stay above 5. (The
#    solution is in `solutions/C_5_filling_in.py`.)
# 3. With code. Train the masked model with hide=0.05, 0.15, 0.3 and 0.6, with the same number of passes. At which share
#    is the perplexity at one blank lowest, and why is it neither the smallest nor the largest?

# %%
section.finish()

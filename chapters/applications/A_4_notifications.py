"""A.4 Will They Tap the Notification?

Equations: none
Figures: tables (AUC of each model on each table); shuffled (what pipelines earn when the answers are shuffled);
drift (what was promised and what came, block by block); reliability (promised and observed shares of yes); profit (what
sending brings, by threshold); few (AUC by the number of labels, with and without pretraining); months (embeddings of
months in the plane)

An app may send a message to a person. Some persons tap it, and are glad. Most do not, and a few of these are annoyed
and switch all messages off. So before each message somebody asks: how probable is a tap? The answer is learned from
a table in which each row is a message that was sent: categories (which device, which country), numbers (how many
visits), times, and whether it was tapped.

Nobody publishes such logs of notifications. The large public logs of clicks (Avazu, Criteo) may not be passed on. Three
tables of the same form stand in for them here. A bank called its clients, and some said yes to a deposit. Visitors of a
shop looked at pages, and some bought. A shop for clothes showed pictures, and very few were clicked. The questions
are the same, and so are the mistakes, most of which make a result look too good. We make several of them on purpose.

The network turns each category into a row of a matrix E, and reads these rows beside the numbers. Let t_1, …, t_C be
the categories of one message, as whole numbers, and x_1, …, x_n its numbers:

    v = (E_{t_1}, …, E_{t_C}, x_1, …, x_n),   h = f(v),   p(y = 1 | x) = σ(s),   s = h V + c
    J = L + λ Ω,   L = ζ(s) − y s

Here f is a chain of layers, σ the sigmoid and ζ the softplus, so that L is −log p(y | x). Ω is the weight decay, half
the sum of the squared weights.

The model is in minae/models/tabular.py, with its denoising autoencoder in minae/models/tabular_autoencoder.py. The
layer of embeddings is `Cells` in minae/layers/sequence.py, and the gradient of E in minae/ops/sequence.py. Tables are
read by minae/data/tables.py. Measures, calibration and decisions are in minae/metrics/detection.py, and the classical
models in chapters/applications/classifiers.py. Samples of two tables come with minae. At `--full` they are read whole
where MINAE_DATA has them. The third table needs MINAE_DATA.
"""

# %%
import numpy as np

from minae import TabularAutoencoder, TabularClassifier, check_gradient, data, load, plots
from minae.chapters import Section
from minae.chapters.applications import classifiers
from minae.chapters.applications.classifiers import Parts, TargetEncoder, at_random, by_time, network, pretrained
from minae.data.preprocessing import Preprocessing
from minae.data.tables import TableEncoding, has, times
from minae.metrics.detection import (
    auroc,
    break_even,
    calibration_gap,
    lift_at,
    log_loss,
    profit,
    reliability,
    shifted,
)
from minae.ops.sequence import embed, embed_backward

section = Section("A.4")
rng = np.random.default_rng(section.seed)
device = dict(backend=section.backend)
rows_of = section.pick(2500, None, None)  # of each table; None for all
bank, shoppers = (data.responses(name, full=section.size == "full" and has(name)) for name in ("bank", "shoppers"))
if rows_of is not None:
    every = {name: max(1, len(next(iter(table.values()))) // rows_of) for name, table in
             (("bank", bank), ("shoppers", shoppers))}  # fmt: skip
    bank = {name: words[:: every["bank"]] for name, words in bank.items()}
    shoppers = {name: words[:: every["shoppers"]] for name, words in shoppers.items()}
y_bank, y_shoppers = data.labels(bank, "y", "yes"), data.labels(shoppers, "Revenue", "TRUE")
for name, y in (("bank", y_bank), ("shoppers", y_shoppers)):
    section.number("rows", len(y), of=name)
    section.number("share of yes, %", 100 * y.mean(), of=name)

# %% [markdown]
# ## From words to numbers
# A table is a file of words. A short schema says what they are: numbers, amounts (of which we take the logarithm,
# because a few are huge), categories, and times. What has to be learned for this, such as the mean of a column and the
# list of its categories, is learned from the training rows alone. Here is a table of four messages, where things go
# wrong as they do in practice: a number is missing, a column never varies, and a new row has a phone that nobody had
# before.

# %%
small = {
    "phone": ["red", "blue", "red", "green"],
    "visits": ["3", "", "9", "1"],
    "version": ["7", "7", "7", "7"],
    "sent": ["2019-11-25 23:59:00", "2019-11-26 00:01:00", "2019-11-26 12:00:00", ""],
}
schema = {"category": ["phone"], "number": ["visits", "version"], "time": ["sent"]}
encoding = TableEncoding.of(small, schema, rows=range(3))  # the last row is new
X_small = encoding.encode(small)
for name, column in zip([*encoding.numbers, *encoding.names], X_small.T, strict=True):
    print(f"  {name:22} {'  '.join(f'{value:6.2f}' for value in column)}")
print(f"  left out, since it does not vary: {', '.join(encoding.left_out)}\n")
clock = times(small["sent"])[:3, :2]
section.claim("a phone that training did not have becomes 0", abs(X_small[3, -1]), "<=", 0)
section.claim("the column that does not vary is left out: columns left out", len(encoding.left_out), ">=", 1)
section.claim("a missing number becomes the mean, 0", abs(X_small[1, encoding.numbers.index("visits")]), "<=", 0)
section.claim("23:59 and 0:01, distance on the circle", np.linalg.norm(clock[0] - clock[1]), "<", 0.01)
section.claim("23:59 and 12:00, distance on the circle", np.linalg.norm(clock[0] - clock[2]), ">", 1.9)

# %% [markdown]
# A time is two points on two circles: the hour as (sin, cos) of the part of the day, and the weekday likewise. As a
# plain number of 0 to 24, one minute before midnight and one minute after it would be as far apart as hours can be.
#
# Each column of categories has a part of E for itself. A category that was not in the training rows becomes 0, and row
# 0 of this part stands for it. This row would keep the values that it was born with, because no training row has a 0.
# So training replaces each category by 0 with a probability of 2%, and row 0 learns what can be said when the category
# is not known.
#
# ## The gradient of an embedding
# Take one column of categories, and write the category t of a message as a one-hot vector e, which has 1 at t and 0
# elsewhere. Then the chosen row of E, which is a part of v, is the product e E. This is a layer like any other, with
# weights E, and its gradient is the one of any matrix product. The sum runs over the messages b of a batch. The bracket
# [t_b = i] is 1 where message b has the category i, and 0 elsewhere:
#
#     v = e E,    dE = Σ_b e_bᵀ dv_b,    that is    dE_i = Σ_b [t_b = i] dv_b
#
# Nobody multiplies by zeros. Forward, the row is looked up, a *gather*. Backward, dv is added to the row that was
# looked up, a *scatter-add*. The word "added" matters. Many rows of a batch have the same category, and a line such as
# `dE[t] = dv` keeps the last of them alone. We check the gather and the scatter-add against the one-hot product, and
# see how much of the gradient the faulty line loses.

# %%
tokens = rng.integers(5, size=(64, 1)).astype(np.int32)
model = TabularClassifier((3, 4), categories=(5,), width=3, dtype="float64", backend="numpy")
E, e = rng.standard_normal((5, 3)), np.eye(5)[tokens[:, 0]]
dv = rng.standard_normal((64, 1, 3))
dE = model.parameters.gradient("E")
model.parameters.zero_grad()
embed_backward(dv, tokens, dE, model.arena)
faulty = np.zeros((5, 3))
faulty[tokens[:, 0]] = dv[:, 0]
v_off = abs(embed(tokens, E, model.arena)[:, 0] - e @ E).max()
section.claim("gather, off e E by", v_off, "<=", 1e-12)
section.claim("scatter-add, off Σ eᵀ dv by", abs(dE.array - e.T @ dv[:, 0]).max(), "<=", 1e-12)
lost = np.linalg.norm(faulty - e.T @ dv[:, 0]) / np.linalg.norm(e.T @ dv[:, 0])
section.claim("assignment in place of addition (fault), relative error", lost, ">", 0.1)

# %% [markdown]
# The rest of the network is a chain that earlier sections derived. We check both models as a whole against finite
# differences, on rows of the bank's table.

# %%
order = at_random(y_bank, np.random.default_rng(section.seed))
bank_parts = Parts.of(bank, y_bank, classifiers.SCHEMAS["bank"], order)
sizes = (bank_parts.encoding.columns, 6, 4)
exact = dict(categories=bank_parts.encoding.categories, width=3, activation="tanh", dtype="float64", backend="numpy")
some = bank_parts.X[:5].astype(float)
report = check_gradient(TabularClassifier(sizes, lam=0.01, **exact), some, y=bank_parts.y[:5])
section.claim("the classifier's gradient, largest relative error", report.worst.error, "<=", 1e-7)
report = check_gradient(TabularAutoencoder(sizes, level=0.3, **exact), some)
section.claim("the autoencoder's gradient, largest relative error", report.worst.error, "<=", 1e-7)

# %% [markdown]
# ## Four models, five tables
# Beside the network with embeddings stand the three models that most practitioners would take: logistic regression on
# one-hot categories, a random forest, and boosted trees. (The forest reads the whole number of a category like any
# number. Boosted trees know that it is a category.) Each model tries two or three settings: the strength of the weight
# decay for logistic regression, the rows in a leaf for the forest, the leaves of a tree for boosted trees, and the
# learning rate with λ for the network. It takes the setting with the least log-loss on validation rows. The same rows
# say how many trees are boosted, and when the network stops. The test rows choose nothing.
#
# A measure of order is AUC, the probability that a yes has a higher p than a no. The *lift* says how many times more
# yes are among the tenth with the highest p than among all rows. The *log-loss*, the mean of −log p(y | x), also asks
# whether the probabilities are right.
#
# The tables differ in what a column may know and in how rows are divided:
#
# - **bank**, divided at random: 60% of the rows to learn from, 20% for validation, and 20% for the test.
# - **bank, by time**: the first 80% of the calls are to learn from and for validation, and the last 20% are for the
#   test. This is how the model will be used.
# - **bank, with duration**: with a column that says how long the call lasted.
# - **shoppers**, and **shoppers, no PageValues**: without the column that says what the visited pages earned.
#
# No order of the models is claimed. The best of each table is named.

# %%
quick = section.size == "quick"
settings = {
    "logistic": dict(strengths=section.pick((0.3,), (0.03, 0.3, 3.0), (0.01, 0.1, 1.0, 10.0))),
    "forest": dict(leaves=section.pick((10,), (5, 20), (5, 20)), trees=section.pick(30, 100, 200)),
    "boosting": dict(
        rates=section.pick((0.15,), (0.15,), (0.1,)), leaves=section.pick((8,), (8, 31), (8, 31)),
        trees=section.pick(20, 60, 200)),
    "embeddings": dict(
        tries=section.pick(((3e-3, 1e-3),), ((1e-3, 1e-4), (3e-3, 1e-3)), ((1e-3, 1e-4), (3e-3, 1e-3))),
        epochs=section.pick(5, 20, 20), **device),
}  # fmt: skip


def extended(name, *more, without=()):
    """The schema of a table with more columns of amounts, or without some columns."""
    schema = {kind: [one for one in named if one not in without] for kind, named in classifiers.SCHEMAS[name].items()}
    return schema | {"log": [*schema["log"], *more]}


tables = {  # name -> columns, y, schema, how rows are divided
    "bank": (bank, y_bank, extended("bank"), at_random),
    "bank, by time": (bank, y_bank, extended("bank"), by_time),
    "bank, with duration": (bank, y_bank, extended("bank", "duration"), at_random),
    "shoppers": (shoppers, y_shoppers, extended("shoppers"), at_random),
    "shoppers, no PageValues": (shoppers, y_shoppers, extended("shoppers", without=["PageValues"]), at_random),
}
auc, kept = {}, {}
for name, (columns, y, schema, divided) in tables.items():
    runs = {}
    for seed in section.seeds:
        parts = Parts.of(columns, y, schema, divided(y, np.random.default_rng(seed)))
        for kind, make in classifiers.MODELS.items():
            found = make(parts, seed, **settings[kind])
            p = found.p(parts.X_test)
            runs.setdefault(kind, []).append((p, parts))
            if seed == section.seed:
                kept[name, kind] = found, parts, p
    rate = [100 * parts.y_test.mean() for _, parts in runs["forest"]]
    section.number(
        "share of yes in the training rows, %", [100 * parts.y.mean() for _, parts in runs["forest"]], of=name
    )
    section.number("share of yes in the test rows, %", rate, of=name)
    for kind, each in runs.items():
        of = f"{name}, {kind}"
        auc[name, kind] = section.number("AUC", [auroc(p, parts.y_test) for p, parts in each], of=of)
        section.number("log-loss", [log_loss(p, parts.y_test) for p, parts in each], of=of)
        section.number("mean p, %", [100 * p.mean() for p, _ in each], of=of)
        section.number("lift of the top tenth", [lift_at(p, parts.y_test, 0.1) for p, parts in each], of=of)
kinds = list(classifiers.MODELS)
first = {name: max(kinds, key=lambda kind, name=name: auc[name, kind]) for name in tables}
print("\n" + "\n".join(f"  {name}: the first is {kind}" for name, kind in first.items()) + "\n")
least = min(auc[name, kind] for name in tables for kind in kinds if tables[name][3] is at_random)
section.claim("divided at random, each model knows something on each table: the least AUC", least, ">", 0.6)
words = {kind: {name: f"{auc[name, kind]:.3f}" for name in tables} for kind in kinds}
section.figure(
    plots.table(
        words,
        {(kind, name): plots.shade(max(0, auc[name, kind] - 0.5) / 0.5) for kind in kinds for name in tables},
        framed=[(kind, name) for name, kind in first.items()],
        title="AUC by table and model",
        width=11,
    ),
    "tables",
    caption="AUC of four models on five tables. Darker is better, and the best of each table has a frame. Compare the "
    "columns: what a column knows, and how rows are divided, matters more than the model.",
    alt="A grid of numbers with a row for each model and a column for each table. Within a column the numbers are "
    "close to each other, but for the bank divided by time, where they are lower and further apart.",
)

# %% [markdown]
# What do we see at default size? Divided at random, the models are close to each other. On the bank's table the forest
# and boosted trees have an AUC of 0.784, the network has 0.779, and logistic regression 0.777. The test part has 308
# yes among 2,746 rows, for which the standard error of one AUC is about 0.015, so these differences are nothing to
# build on. On the shop's table boosted trees are first with 0.944, and the network has 0.936. In all, boosted trees are
# first on three tables, the forest on one, logistic regression on one, and the network on none.
#
# So a table with some twenty columns, whose categories have two to twenty words, holds little that a network could find
# and trees could not. An embedding has its place where a column has thousands of words (items, users), for which
# one-hot vectors are long and each word has few rows. None of these tables has such a column.
#
# The table by time looks different, and so do the tables with `duration` and with `PageValues`. We look at each.
#
# ## A column that knows the answer
# `duration` looks like a good column. But it is known when the call is over, and then the answer is known as well. A
# predictor that decides whom to call has no duration. The leak makes every model excellent, and useless. How does one
# find it? Not by a measure. For each column one asks *when* its value is known, and writes it down. A column that makes
# a model much better than all others do is a reason to ask again: `PageValues` of the shop is one, and it probably is
# filled in by the purchase itself.

# %%
leaks = {
    "duration, bank": ("bank, with duration", "bank"),
    "PageValues, shoppers": ("shoppers", "shoppers, no PageValues"),
}
for name, (with_it, without) in leaks.items():
    for kind in kinds:
        section.number(
            "AUC with the column, minus without", auc[with_it, kind] - auc[without, kind], of=f"{name}, {kind}"
        )
gain = min(auc["bank, with duration", kind] - auc["bank", kind] for kind in kinds)
section.claim("the leak flatters every model, AUC gained at least", gain, ">", 0.03)

# %% [markdown]
# At default size `duration` adds 0.16 to the AUC of every model, and takes it from 0.78 to 0.94 or 0.95. `PageValues`
# adds 0.14 or 0.15.
#
# ## Shuffled answers
# Other leaks sit in the code. There is one test that finds many of them. Shuffle y before anything else happens, and
# run the *whole* pipeline on it. There is nothing to learn now, so the AUC on the test rows must be ½, up to chance.
# Chance has a known size: with P positive and N negative test rows the standard error of an AUC that knows nothing is
# √((P + N + 1)/(12 P N)), and the mean of K shuffles has one that is √K times smaller. We take half of the rows for the
# test here, so that chance is small.
#
# The leak that we plant is *target encoding*. A column with very many words, here age, job, education and month joined
# to one word, is replaced by the share of yes among the rows that have the word. Learned from the training rows, this
# is a number like others. Learned from the whole table, before it is divided, each row's number contains its own
# answer. A word that one row alone has becomes that answer.

# %%
shuffles = section.pick(3, 5, 10)
key = ["|".join(row) for row in zip(bank["age"], bank["job"], bank["education"], bank["month"], strict=True)]
section.number("words of the joint column", len(set(key)))


def without_answers(encode, make, **settings):
    """AUC on test rows, and its standard error, where y is shuffled before the pipeline begins."""
    found, error = [], 0.0
    for k in range(shuffles):
        draw = np.random.default_rng([section.seed, k])
        y = draw.permutation(y_bank)
        order = at_random(y, draw)
        columns, more = encode(y, order[: round(0.4 * len(y))])
        parts = Parts.of(columns, y, extended("bank", *more), order, shares=(0.4, 0.1))
        found.append(auroc(make(parts, **settings).p(parts.X_test), parts.y_test))
        P, N = parts.y_test.sum(), (1 - parts.y_test).sum()
        error = float(np.sqrt((P + N + 1) / (12 * P * N) / shuffles))
    return found, error


def plain(y, train):
    return bank, []


def of_training_rows(y, train):
    encoder = TargetEncoder([key[k] for k in train], y[train])
    return bank | {"share of yes": encoder.encode(key)}, ["share of yes"]


def in_row(y, train):
    return bank | {"share of yes": TargetEncoder(key, y).encode(key)}, ["share of yes"]


fast = dict(tries=((3e-3, 1e-3),), epochs=section.pick(3, 5, 10), **device)
pipelines = {
    "logistic": (plain, classifiers.logistic, dict(strengths=(0.3,))),
    "logistic, target encoding of training rows": (of_training_rows, classifiers.logistic, dict(strengths=(0.3,))),
    "embeddings": (plain, network, fast),
    "embeddings, target encoding of all rows (fault)": (in_row, network, fast),
}
nothing = {}
for name, (encode, make, more) in pipelines.items():
    values, error = without_answers(encode, make, **more)
    nothing[name] = section.number("AUC on shuffled answers", float(np.mean(values)), of=name)
    bound = max(0.02, 4 * error)
    if "fault" in name:
        section.claim(f"the test catches it: {name}, AUC off ½ by", abs(nothing[name] - 0.5), ">", bound)
    else:
        section.claim(f"nothing leaks: {name}, AUC off ½ by", abs(nothing[name] - 0.5), "<=", bound)
section.figure(
    plots.bars(nothing, "AUC on test rows, where all answers are shuffled", "A pipeline that has nothing to learn"),
    "shuffled",
    caption="AUC of four pipelines on shuffled answers. It must be ½, up to chance. A pipeline whose bar is much "
    "longer has seen answers of the test rows.",
    alt="Four horizontal bars. Three end near one half, and the one of the fault goes far beyond it.",
)

# %% [markdown]
# At default size the honest pipelines have 0.496 to 0.505, and the one with the fault 0.906, where there is nothing to
# learn. On the true answers the same fault would have looked like a very good model.
#
# The encoding of the training rows alone passes the test, as it should: it has seen no answer of a test row. It still
# is no good column. The number of a *training* row contains the answer of that row, so that the model trusts the column
# more than it deserves on other rows. Exercise 3 is about the usual remedy.
#
# The test does not find `duration`, because a shuffled answer has nothing to do with the duration of a call. It finds
# leaks of the code, and the question "when is it known?" finds those of the data. One needs both.
#
# ## Tomorrow is not a random row
# A model is used on rows that come after those it learned from. The bank's calls are in the order of time, so we can
# see what that means. We cut the later rows into ten blocks, and compare the mean p of a block with its share of yes.
#
# Then we ask what can be repaired. When a block begins, the answers of the block before it are known. Mean p was wrong
# there, and one number, added to all logits, would have made it right. We add this number to the logits of the present
# block (`classifiers.following`). Nothing is trained again, and no answer is used before it is known.

# %%
drift, later = {}, {}
for kind in kinds:
    found, parts, p = kept["bank, by time", kind]
    section.number("AUC on rows of the past that were held out", auroc(found.p(parts.X_valid), parts.y_valid), of=kind)
    section.number("AUC on the rows that came later", auroc(p, parts.y_test), of=kind)
    section.number(
        "mean p minus the share of yes, points", 100 * calibration_gap(p, parts.y_test), of=f"by time, {kind}"
    )
    p_random, parts_random = kept["bank", kind][2], kept["bank", kind][1]
    gap = 100 * calibration_gap(p_random, parts_random.y_test)
    section.number("mean p minus the share of yes, points", gap, of=f"at random, {kind}")
    followed, blocks = classifiers.following(p, parts.y_test)
    rest = np.concatenate(blocks[1:])
    for name, each in ((kind, p), (f"{kind}, following", followed)):
        later[name] = section.number("log-loss, blocks 2 to 10", log_loss(each[rest], parts.y_test[rest]), of=name)
        section.number("AUC, blocks 2 to 10", auroc(each[rest], parts.y_test[rest]), of=name)
        drift[name] = [100 * each[block].mean() for block in blocks]
came = [100 * parts.y_test[block].mean() for block in blocks]
section.claim(
    "following repairs the forest: log-loss before, minus after", later["forest"] - later["forest, following"], ">", 0
)
lines = {"observed share of yes": came, "forest": drift["forest"], "embeddings": drift["embeddings"]}
lines |= {"logistic": drift["logistic"], "following: forest, shifted": drift["forest, following"]}
section.figure(
    plots.levels(
        {name: (np.arange(1, 11), np.array(each)) for name, each in lines.items()},
        "block of the later rows, in the order of time",
        "mean p, or share of yes, %",
        "The world after the training",
    ),
    "drift",
    caption="The share of yes in ten blocks of later calls, and what the models promised. The forest stays near the "
    "share of the past, and the network rises too little. The forest that follows is near the observed share, but one "
    "block late.",
    alt="Lines over ten blocks. The observed share rises steeply from under a tenth to a half. The forest and the "
    "network stay far below it, and the shifted forest follows it with a delay of one block.",
)

# %% [markdown]
# At default size there are two surprises. The first is about order. Divided at random, the models had 0.78. Held-out
# rows of the past alone give 0.65 to 0.68. Where does the difference come from? The share of yes was 6% in the past and
# 31% later, and columns such as the interest rate say in which time a call was made. A random division mixes both
# times, and whoever only knows the time already ranks many pairs rightly. But tomorrow all calls are of one time. On
# the later rows logistic regression is first with 0.748. The forest has 0.696 and boosted trees 0.642. Trees cut a
# column where training rows lie, and say the same for all that is beyond the last cut. A straight line goes on. Here it
# goes on in the right direction, which nobody could promise.
#
# The second surprise is about probabilities, and it is the larger one. The forest says 11% on average, and 31% come. At
# random it was off by 0.15 points. The measures on rows that were divided at random gave no hint of this.
#
# Following the last block helps all but logistic regression. In blocks 2 to 10 the log-loss of the forest falls from
# 0.775 to 0.589, and that of the network from 0.725 to 0.588. Even the AUC over these blocks together rises, from 0.69
# to 0.73 for the network, because rows of different blocks change their order. Logistic regression, whose mean p was
# right within 5 points, gains nothing: 0.598 and 0.602. The picture shows the price, too. What follows is one block
# late, and overshoots when the share falls.

# %% [markdown]
# ## Is 20% really 20%?
# A model is *calibrated* if of all rows for which it says 20%, a fifth are yes. AUC cannot see this, since it only
# looks at the order. The log-loss makes a model calibrated on its training rows, at least in the mean. The derivative
# of J by the bias c of the logit is the mean of p − y, and at a minimum it is 0:
#
#     ∂J/∂c = 1/B Σ_b (σ(s_b) − y_b) = mean p − share of yes      over all B training rows
#
# We check it on logistic regression, whose bias has no weight decay. Then we make the next mistake of practice. Yes is
# rare, and somebody has heard that classes must be balanced. So each yes is repeated until half of the training rows
# are yes. Then all probabilities are far too high.
#
# This can be undone on paper. Let p̃ and s̃ be the probability and the logit of a model that learned from each yes k
# times. The odds p̃/(1 − p̃) of every row are k times the true ones, so the logit is too large by log k, everywhere:
#
#     p̃/(1 − p̃) = k p/(1 − p),    s = s̃ − log k

# %%
found, parts, p = kept["bank", "logistic"]
section.claim(
    "logistic regression on its training rows: mean p minus the share of yes",
    abs(calibration_gap(found.p(parts.X), parts.y)),
    "<=",
    1e-4,
)
found, parts, p = kept["bank", "embeddings"]
k = float((1 - parts.y).sum() / parts.y.sum())
order = np.random.default_rng(section.seed).permutation(round(2 * (1 - parts.y).sum()))
yes, no = np.flatnonzero(parts.y == 1), np.flatnonzero(parts.y == 0)
repeated = np.concatenate([no, np.resize(yes, len(no))])[order]
balanced = network(parts.few(repeated), section.seed, **settings["embeddings"] | dict(tries=((1e-3, 1e-3),)))
p_balanced = balanced.p(parts.X_test)
p_undone = shifted(p_balanced, -np.log(k))
odds = p_balanced / (1 - p_balanced) / (p_undone / (1 - p_undone))
section.claim("undone: odds before, over those after and k, off 1 by", abs(odds / k - 1).max(), "<=", 1e-7)
promises = {"embeddings": p, "balanced": p_balanced, "undone": p_undone, "forest": kept["bank", "forest"][2]}
for name, each in promises.items():
    section.number("AUC, calibration", auroc(each, parts.y_test), of=name)
    section.number("log-loss, calibration", log_loss(each, parts.y_test), of=name)
    section.number(
        "mean p minus the share of yes, points, calibration", 100 * calibration_gap(each, parts.y_test), of=name
    )
rate = float(parts.y_test.mean())
section.guard("embeddings: mean p off the rate, as a share of it", abs(p.mean() - rate) / rate, "<=", 0.05)
section.claim(
    "undoing it brings mean p nearer to the rate, points gained",
    100 * (abs(p_balanced.mean() - rate) - abs(p_undone.mean() - rate)),
    ">",
    0,
)
ends = np.array([0.01, 1])
groups = {"identity": (ends, ends)}
for name, each in promises.items():
    promised, observed, _ = reliability(each, parts.y_test, section.pick(5, 10, 10))
    groups[name] = promised[observed > 0], observed[observed > 0]
section.figure(
    plots.levels(
        groups, "mean p of a group of rows", "share of yes in the group", "Promised and observed", "log", "log"
    ),
    "reliability",
    caption="The test rows of the bank, sorted by p and cut into groups of equal size; both axes are logarithmic, so "
    "that a group without any yes is left out. A calibrated model lies on the dotted diagonal, the identity. "
    "Balanced classes promise far too much, and the shift of the logit (undone) takes the points back towards it.",
    alt="Lines over the mean p of a group. Most points lie along a dotted diagonal. Those of balanced classes lie far "
    "to the right of it.",
)

# %% [markdown]
# ## Whom to write to
# A probability is for a decision. Let a tap be worth 1 (in some money). A message that is not tapped annoys, and after
# 2% of these the person switches messages off. Such a person is lost for all later messages, which costs 10. So a
# message that is not tapped costs 0.02 · 10 = 0.2. To write to a person with probability p brings on average
#
#     p · 1 − (1 − p) · 0.2,    which is above 0 for    p > t = 0.2/(1 + 0.2) = 1/6
#
# So the threshold t follows from two prices, and no validation rows are needed to find it. (In general t = loss/(gain +
# loss), `break_even`.) But this holds for a p that is a probability. With balanced classes, p > 1/6 is true for most
# rows. We first check t on simulated persons whose p we know, where the mean profit of each threshold can be computed
# without chance, and then measure on the bank's test rows what each model brings.

# %%
value, cost = 1.0, 0.02 * 10
t = section.number("threshold from the prices", break_even(value, cost))
known = rng.beta(1, 6, size=20_000)  # the true p of simulated persons
brings = known * value - (1 - known) * cost
thresholds = np.linspace(0, 1, 1001)
mean_profit = np.array([1000 * brings[known > one].sum() / len(known) for one in thresholds])
section.claim(
    "no threshold brings more than t: the best one minus t, for 1,000 persons",
    mean_profit.max() - 1000 * brings[known > t].sum() / len(known),
    "<=",
    1e-9,
)
brought = {}
for name, each in promises.items():
    brought[name] = section.number("profit for 1,000 rows at t", profit(each > t, parts.y_test, value, cost), of=name)
    section.number("share that is written to, %", 100 * (each > t).mean(), of=name)
everybody = np.ones(len(p), bool)
section.number("profit for 1,000 rows", profit(everybody, parts.y_test, value, cost), of="write to everybody")
section.number("profit for 1,000 rows", profit(parts.y_test == 1, parts.y_test, value, cost), of="an oracle")
section.claim("a wrong p costs: profit lost by balanced classes", brought["embeddings"] - brought["balanced"], ">", 0)
cuts = np.linspace(0, 0.9, 46)
curves = {
    name: (cuts, np.array([profit(each > one, parts.y_test, value, cost) for one in cuts]))
    for name, each in promises.items()
    if name != "undone"
}
low, high = (min(y.min() for _, y in curves.values()), max(y.max() for _, y in curves.values()))
curves["t, from the prices"] = (np.array([t, t]), np.array([low, high]))
section.figure(
    plots.levels(curves, "threshold on p", "profit for 1,000 rows", "What sending brings"),
    "profit",
    caption="What writing to all rows with p above a threshold brings. At 0 everybody gets a message. Calibrated "
    "models have their best threshold near t, which the prices give. For balanced classes the best one lies elsewhere, "
    "and the prices alone do not tell where: one has to know k, too.",
    alt="Lines over the threshold. Those of the calibrated models rise steeply from a loss, have their highest point "
    "near a vertical line, and then fall to 0. The line of balanced classes has its highest point far to the right.",
)

# %% [markdown]
# What do we see at default size? The network with balanced classes promises 21.6 points too much on average. At the
# threshold of the prices it writes to 72% of the rows, and loses 23 for 1,000 rows. The network that learned from the
# rows as they are writes to 16% and brings 43, and the forest brings 46. To write to everybody would lose 65, and an
# oracle would bring 112. The balanced network can be repaired without any training: with its logits shifted back by log
# k it brings 44. Its AUC is 0.763 where the other network has 0.779. From this we conclude nothing about the order: the
# balanced network had one setting, the other one the better of two, and both were stopped by the log-loss of rows that
# are not balanced. What balancing does to p is derived above, and holds for any setting.
#
# The curve of a calibrated model is flat around its top, so an error of some points in p costs little. An error of 20
# points costs all.
#
# ## Rows without an answer
# Rows are cheap and answers are not: a new app has many users, and few messages were sent. Can rows without y help? A
# denoising autoencoder learns from them which values go together. How does one spoil a row, though? To set a category
# to zero means nothing, and to add Gaussian noise to it means nothing either. *Swap noise* replaces each cell, with
# probability ν = 0.15, by the value of the same column in another row of the batch. Every value is one that the column
# can have, and only the other columns can tell that it is wrong. The autoencoder has to put it right. Its L is the sum
# over all cells of a row: the cross-entropy of a category, and half the squared error of a number. Then f and E go to
# the classifier, and all layers train on.
#
# First a check that something was learned. A cell can be judged alone, without the other cells of its row. Let q_k be
# the share of category k among all rows. A cell that shows v now had v before with the probability 1 − ν + ν q_v, and
# it had another category k with ν q_k. Of a number that shows x̃ now, the best guess is (1 − ν) x̃, because a number
# from another row is 0 on average. The L of these guesses is what one has without knowing which values go together. The
# autoencoder must have less, on test rows.

# %%
encoding, nu = bank_parts.encoding, 0.15
unlabelled = np.concatenate([bank_parts.X, bank_parts.X_valid])
epochs = section.pick(90, 15, 30)
start = pretrained(encoding, unlabelled, section.seed, epochs=epochs, level=nu, **device)
n, X_test = len(encoding.numbers), bank_parts.X_test.astype(float)
L = section.number("L of spoiled test rows, nats", start.evaluate(bank_parts.X_test)["L"], of="autoencoder")
x, moments = X_test[:, :n], (X_test[:, :n].mean(axis=0), np.square(X_test[:, :n]).mean(axis=0))
alone = (1 - nu) * np.square(nu * x)
alone += nu * (np.square(x) - 2 * (1 - nu) * x * moments[0] + (1 - nu) ** 2 * moments[1])
alone = 0.5 * alone.sum(axis=1).mean()
for c, K in enumerate(encoding.categories):
    q = (np.bincount(unlabelled[:, n + c].astype(int), minlength=K) + 1) / (len(unlabelled) + K)
    v = X_test[:, n + c].astype(int)
    shown = 1 - nu + nu * (np.bincount(v, minlength=K) / len(v))[v]  # how often the cell shows what it was
    alone -= (shown * np.log(1 - nu + nu * q[v]) + (1 - shown) * np.log(nu * q[v])).mean()
section.number("L of spoiled test rows, nats", alone, of="each cell alone")
section.claim("the autoencoder knows what goes together: its L over that of cells alone", L / alone, "<", 1)

# %% [markdown]
# Now few answers. Of so many labelled rows, a quarter are for validation, since a practitioner has no others: they
# choose the setting and when to stop. The test rows stay as they are. Several draws of the labelled rows show how much
# is luck. Boosted trees do not take part here.

# %%
counts = section.pick((100, 400), (100, 300, 1000, 3000), (100, 300, 1000, 3000))
draws = section.pick(2, 4, 10)
labelled_X, labelled_y = unlabelled, np.concatenate([bank_parts.y, bank_parts.y_valid])
several = {kind: settings[kind] for kind in ("logistic", "forest", "embeddings")}
curve = {}
for count in [count for count in counts if count <= len(labelled_y)]:
    for draw in range(draws):
        chosen = at_random(labelled_y, np.random.default_rng([section.seed, count, draw]))
        chosen = chosen[np.round(np.linspace(0, len(chosen) - 1, count)).astype(int)]  # the same share of yes
        train, valid = np.split(chosen[at_random(labelled_y[chosen], rng)], [3 * count // 4])
        parts = bank_parts._replace(
            X=labelled_X[train], y=labelled_y[train], X_valid=labelled_X[valid], y_valid=labelled_y[valid]
        )
        runs = {kind: classifiers.MODELS[kind](parts, draw, **several[kind]) for kind in several}
        runs["pretrained"] = network(parts, draw, start=start, **settings["embeddings"])
        for name, found in runs.items():
            curve.setdefault(name, {}).setdefault(count, []).append(auroc(found.p(parts.X_test), parts.y_test))
for name, each in curve.items():
    for count, values in each.items():
        section.number("AUC, mean over draws", float(np.mean(values)), of=f"{count} labels, {name}")
        section.number("AUC, deviation over draws", float(np.std(values)), of=f"{count} labels, {name}")
for count in curve["pretrained"]:
    gained = np.subtract(curve["pretrained"][count], curve["embeddings"][count])
    section.number("pretraining gained, AUC", float(gained.mean()), of=f"{count} labels")
    section.number("and its standard error over draws", float(gained.std(ddof=1) / draws**0.5), of=f"{count} labels")
series = {
    name: (np.array(list(each)), np.array([np.mean(values) for values in each.values()]))
    for name, each in curve.items()
}
section.figure(
    plots.levels(series, "rows with an answer", "AUC on test rows", "Few answers, many rows", xscale="log"),
    "few",
    caption="Mean AUC over draws of labelled rows. Compare the two networks, with and without pretraining on rows that "
    "have no answer, and then both with the classical models.",
    alt="Four lines over the number of labelled rows, on a logarithmic axis. All rise to the right, and come close to "
    "each other there.",
)

# %% [markdown]
# At default size the autoencoder has learned something: 3.99 nats for a spoiled row, where cells alone have 4.90. It
# has not helped the classifier. With 100 labels pretraining gains an AUC of 0.03, with 300 and 1,000 labels it loses
# 0.02 and 0.01, with 3,000 it gains 0.003, and each of these is within two standard errors of 0. We tried more noise,
# with ν = 0.3, more epochs, and wider layers, and saw no more. Logistic regression and the forest are as good as both
# networks with few labels, or better.
#
# Why does it help in chapter 15, and not here? Section 15.1.1 asked when p(x) tells something about p(y | x). In
# pictures of digits, what belongs together in x is the digit. In this table, what belongs together is the interest rate
# and the month, the number of former calls and their outcome. The autoencoder learns these well, and they are not the
# question.
#
# ## What an embedding has learned
# Each month has a row of E. We draw those of the network that learned from all labels, by their first two principal
# components, with the share of yes of each month beside its name.

# %%
found, parts, _ = kept["bank", "embeddings"]
E = found.model.backend.to_numpy(found.model.parameters["E"])
c = parts.encoding.names.index("month")
months, first_row = parts.encoding.kept["month"]["words"], int(np.sum(parts.encoding.categories[:c]))
rows = E[first_row + 1 : first_row + 1 + len(months)]
U, S, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
points = U[:, :2] * S[:2]
of_month = parts.X[:, len(parts.encoding.numbers) + c].astype(int) - 1
share_of_yes = np.array([100 * parts.y[of_month == k].mean() for k in range(len(months))])
section.number("share of the variance in two components, %", 100 * (S[:2] ** 2).sum() / (S**2).sum())
correlation = abs(np.corrcoef(points[:, 0], share_of_yes)[0, 1])
section.number("first component and share of yes, correlation", correlation)
section.figure(
    plots.plane(
        points,
        "Months, as the network sees them",
        labels=("first component of E", "second component of E"),
        words=[f"{month}, {share:.0f}%" for month, share in zip(months, share_of_yes, strict=True)],
    ),
    "months",
    caption="Embeddings of the ten months that the table has, with their share of yes. Look whether months that answer "
    "alike lie together: the network was asked for the answer, and not for the calendar.",
    alt="Ten points of the plane, each with the name of a month and its share of yes, from some 7% to some 50%.",
)

# %% [markdown]
# At default size two components hold 71% of the variance, and the first one goes with the share of yes: their
# correlation is 0.63, without the sign. March, with 47% of yes, lies far to the left, and May, with 7%, far to the
# right. But July, with 8%, lies near October in this direction, and to the left of September, and both of these have
# 43%. The months are not in the order of the calendar, and not cleanly in the order of their answers either, because
# the columns of the economy tell most of what a month tells.
#
# The file of a model keeps the vocabulary: which word has which row of E, and the means and deviations of the numbers.
# Whoever loads the file can give it words.

# %%
model = found.model
model.preprocessing = Preprocessing(table=parts.encoding)
model.save(section.out / "model.safetensors")
again = load(section.out / "model.safetensors", backend=section.backend)
words = {name: column[:50] for name, column in bank.items()}
there, back = (one.probabilities(one.preprocessing.table.encode(words)) for one in (model, again))
section.claim("saved and loaded, probabilities from words, off by", abs(there - back).max(), "<=", 1e-7)

# %% [markdown]
# ## Where there is nothing to find
# The third table has 40,000 pictures of clothes that were shown to visitors, and 207 clicks. Half of them were shown at
# random. A fifth of them, for the test, has some forty clicks, so that chance alone moves an AUC by about 0.05. A table
# like this is a good *negative control*: whoever reports an AUC of 0.55 on it should report the standard error, too.

# %%
if has("bandit") and section.size != "quick":
    bandit = data.responses("bandit", full=True)
    in_time = np.argsort(bandit["timestamp"], kind="stable")
    bandit = {name: [words[k] for k in in_time] for name, words in bandit.items()}
    clicks = data.labels(bandit, "click", "1")
    parts = Parts.of(bandit, clicks, classifiers.SCHEMAS["bandit"], by_time(clicks, rng))
    P, N = int(parts.y_test.sum()), int((1 - parts.y_test).sum())
    error = section.number("standard error of an AUC that knows nothing", np.sqrt((P + N + 1) / (12 * P * N)))
    section.number("clicks among the test rows", P)
    for kind in kinds:
        one = settings[kind] | (dict(epochs=section.pick(1, 3, 10)) if kind == "embeddings" else {})
        p = classifiers.MODELS[kind](parts, section.seed, **one).p(parts.X_test)
        section.number("AUC", auroc(p, parts.y_test), of=f"bandit, {kind}")
        section.guard(
            f"bandit, {kind}: AUC off ½, in standard errors", abs(auroc(p, parts.y_test) - 0.5) / error, "<=", 4
        )
else:
    print("left out: the table of clicks needs default size and MINAE_DATA, which holds response/open_bandit.tsv.gz")

# %% [markdown]
# With MINAE_DATA and at default size, the test fifth has 54 clicks, and the standard error is 0.039. The four AUC are
# 0.50, 0.46, 0.45 and 0.50, and none is further from ½ than 1.3 standard errors. On such a table no model can be
# compared with another one.
#
# ## What to use when
# - **Before any model**, ask of each column when its value is known, and divide by time. Then run the pipeline on
#   shuffled answers once, and keep this as a test.
# - **A table of some twenty columns.** Begin with logistic regression and with boosted trees or a forest. They are
#   trained in seconds, and here no network was better. If the world moves, compare them on later rows: there logistic
#   regression was the best one here.
# - **A column with thousands of words**, or text and pictures beside the table: embeddings. Keep row 0 for what is new.
# - **Few answers and many rows without.** Logistic regression first. Pretraining is worth a try where the columns
#   depend on each other *because of* what is asked; measure it over several draws, with its standard error.
# - **Rare yes.** Do not balance. If rows of no had to be left out, so that one in k is kept, take log k off the logit.
# - **A decision.** Compute the threshold from the prices, and check mean p against the share of yes every week. If they
#   part, shift the logits now, and train again soon.
# - **Clicks of half a percent.** Count the yes among the test rows first. With P of them and many more no, the standard
#   error of an AUC is about √(1/(12 P)).
#
# ## Exercises
# 1. On paper. A message also costs 0.01 to send, whatever comes of it. What becomes of t? And what if a person who is
#    not written to taps a quarter as often, by opening the app anyway?
# 2. With code. To save time, keep every yes and one in ten of the no. Train logistic regression on these rows. How far
#    is mean p from the share of yes on test rows? Shift the logit back by log 10 and measure again: the gap should
#    shrink to less than a tenth. (A solution stands in `chapters/solutions/A_4_notifications.py`.)
# 3. With code. Encode the joint column of the section out of fold: the rows are cut into K folds, and each row's number
#    comes from the other folds. Run the test of shuffled answers for K = 2, 5 and 50. Where does the AUC leave ½, and
#    to which side?

# %%
section.finish()

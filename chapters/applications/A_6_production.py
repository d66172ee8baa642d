"""A.6 Into Production

Equations: none
Figures: pruned (test error by the share of weights that are 0); softened (what a teacher says of two images, at three
temperatures); budget (test error by the size of the file)

A model that is good enough has to go somewhere: onto a phone, where each megabyte is downloaded, or into a service,
where each request waits for it. Three questions decide: how many bytes is it, how many milliseconds does an answer
take, and how much quality is lost on the way? This section takes one classifier of digits and makes it smaller in three
ways. Each way is judged by the test error, by the bytes of a real file, and by a clock:

    fewer bits        each weight of a matrix as a whole number of b bits, with a scale for each unit
    fewer weights     the smallest weights become 0, and the others train on
    a smaller net     a student, which learns from what the large network says instead of from labels

A random forest stands beside them. It is what many practitioners would take first, and they may be right. And the same
network is run by another engine, onnxruntime, from the file that `minae export` writes.

Rounding, pruning and the file stand in minae/shrink.py; the student, with its derivation, in
minae/models/distilled.py; the classifier in minae/models/classifier.py; the export in minae/interop/onnx.py. The book
has this under the name of model compression, in section 12.1.4.
"""

# %%
import logging
import time

import numpy as np
from scipy.special import softmax
from sklearn.ensemble import RandomForestClassifier

from minae import Classifier, DistilledClassifier, data, load, plots, shrink
from minae.chapters import Section
from minae.interop import onnx
from minae.kernels import pool
from minae.training import Adam, Cosine, Momentum

try:
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic
except ImportError:
    onnxruntime = None
    print("onnxruntime is left out: pip install -e '.[apps]'\n")

section = Section("A.6")
digits = data.mnist(full=section.size == "full")
rng = np.random.default_rng(section.seed)
order = rng.permutation(len(digits.train))
held_out = section.pick(600, 1000, 5000)
X, X_valid = digits.train[order[held_out:]], digits.train[order[:held_out]]
y, y_valid = (digits.train_labels.astype(int)[part] for part in (order[held_out:], order[:held_out]))
X_test, y_test = digits.test, digits.test_labels.astype(int)
device, batch = dict(backend=section.backend), 128


def error(model, x=X_test, labels=y_test):
    """Images that the model gets wrong, %."""
    return 100 * float((model.predict(x) != labels).mean())


# %% [markdown]
# ## The model that is to be shipped
# It has two layers of 400 ReLU units and a softmax layer, and learns from the labels, with a weight decay of 1e-4 whose
# use we shall see below. A part of the training images are held out: the choices below are made on them, and the test
# images only measure.

# %%
epochs = section.pick(4, 12, 12)
steps = epochs * -(-len(X) // batch)


def large(lam):
    """The network, trained with weight decay λ."""
    model = Classifier((784, 400, 400), activation="relu", lam=lam, seed=section.seed, **device)
    optimizer = Adam(Cosine(1e-3, steps=steps))
    model.fit(X, y, epochs=epochs, batch_size=batch, optimizer=optimizer, seed=section.seed)
    return model


teacher = large(lam=1e-4)
teacher.save(section.out / "float.safetensors")
whole = section.number("test error %", error(teacher), of="32 bits")
largest = (section.out / "float.safetensors").stat().st_size
section.number("bytes of the file", largest, of="32 bits")

# %% [markdown]
# ## Fewer bits
# A float32 has 32 bits, of which a weight hardly needs eight. Take the weights of one unit, a column of W, and call the
# largest of them by magnitude m_j. The whole numbers of b bits that lie alike on both sides of 0 reach from
# −(2^{b−1} − 1) to 2^{b−1} − 1. So
#
#     s_j = m_j / (2^{b−1} − 1),     q_ij = round(W_ij / s_j),     W_ij ≈ q_ij s_j
#
# Rounding is wrong by half a step at most, |W_ij − q_ij s_j| ≤ s_j/2, which we check first. Then we ask two things. How
# few bits are enough? And is it worth a scale for each unit? With one scale for a whole matrix, its largest weight
# makes the steps of all units long. A third way is a common mistake: to cut the fraction off, as a cast to an integer
# does, instead of rounding it. Each weight then errs towards 0, and the errors add up.

# %%
matrices = ("W1", "W2", "V1")


def rebuilt(change):
    """A copy of the teacher whose matrices are change(W)."""
    model = teacher.copy()
    for name in matrices:
        W = model.backend.to_numpy(model.parameters[name])
        model.parameters[name][...] = model.backend.from_numpy(np.asarray(change(W), dtype=np.float32))
    return model


def by_unit(W, bits):
    q, s = shrink.rounded(W, bits)
    return q * s


def by_matrix(W, bits):
    q, s = shrink.rounded(W.reshape(-1, 1), bits)  # one column: one scale
    return (q * s).reshape(W.shape)


def cut_off(W, bits):
    s = shrink.rounded(W, bits)[1]
    return np.trunc(W / np.where(s > 0, s, 1)) * s


W = teacher.backend.to_numpy(teacher.parameters["W1"])
s = shrink.rounded(W, 4)[1]
half = float((abs(W - by_unit(W, 4)) / np.where(s > 0, s, 1)).max())
section.claim("4 bits: the largest error of a weight, in steps", half, "<=", 0.5 + 1e-5)
section.claim("4 bits, cut off: the largest error of a weight, in steps", (abs(W - cut_off(W, 4)) / s).max(), ">", 0.9)

ways = {"a scale for each unit": by_unit, "a scale for each matrix": by_matrix, "cut off": cut_off}
by_bits = {}
for name, way in ways.items():
    for bits in (8, 6, 4, 3, 2):
        wrong = error(rebuilt(lambda W, way=way, bits=bits: way(W, bits)))
        by_bits[name, bits] = section.number("test error %", wrong, of=f"{bits} bits, {name}")
bytes_of = {}
for bits in (8, 6, 4, 3, 2):
    file = section.out / f"bits-{bits}.safetensors"
    bytes_of[bits] = section.number("bytes of the file", shrink.save(teacher, file, bits), of=f"{bits} bits")
section.claim("8 bits: bytes of the file over those of float32", bytes_of[8] / largest, "<", 0.27)
section.claim("4 bits: bytes of the file over those of float32", bytes_of[4] / largest, "<", 0.14)
section.guard("4 bits cost, points of test error", by_bits["a scale for each unit", 4] - whole, "<=", 0.3)

# %% [markdown]
# What do we see at default size? Eight and six bits change nothing: 7.5% of the test images are wrong, as before. Four
# bits cost 0.2 points, and with 1,000 test images that is two of them, which is no difference at all. At two bits,
# where a weight has three values, a scale for each unit is worth its 810 numbers: 10.1% against 14.2%. Cutting off is
# the worst way at every width from four bits down, and at two bits it destroys the network, 94.5%, since all but the
# largest weights become 0. At eight bits nobody would notice the mistake. That is why it lives long.
#
# The file of 4 bits is a tenth of the large one. It takes no less time to run: when `minae.load` reads it, the
# weights become floats again, and the products are those of floats. This engine gains bytes. One that multiplies 8-bit
# numbers gains time as well, and stands beside it under *Milliseconds*.

# %% [markdown]
# ## Fewer weights
# Most weights are small. The *pruned* network has 0 where a weight's magnitude is among the smallest of all. What is
# left has been trained together with what is gone, so the error jumps, and the rest has to train on. Meanwhile the
# zeros must stay zeros, and that is where people stumble. A step of Adam or of momentum moves a weight by an average
# over former gradients, and the average is not 0 for a weight that was alive a moment ago. `shrink.holds_zeros` sets
# the gradient of a dead weight to 0 from the first step of a new training on, so that its average is 0 from the
# beginning.
#
# Is a small weight one that is not needed? Not by itself. A pixel at the border is black in all images, so its weights
# have no gradient, and keep the values that they were born with. They are useless and not small. Weight decay shrinks
# what the data do not hold. So we prune a second network too, which is the same but for its weight decay of 0.

# %%
shares, finetuning = [0.5, 0.8, 0.9, 0.95, 0.98], section.pick(100, 500, 2000)
further = -(-finetuning * batch // len(X))
settings = dict(epochs=further, batch_size=batch, seed=section.seed)
decay = Cosine(1e-3, steps=further * -(-len(X) // batch))
longer = teacher.copy()  # the rival has the same number of further steps, and all its weights
longer.fit(X, y, optimizer=Adam(decay), **settings)
trained_on = section.number("test error %", error(longer), of="not pruned, trained on as long")
before, after, sparse_bytes = [], [], []
for share in shares:
    model, of = shrink.prune(teacher, share), f"{share:.0%} of the weights 0"
    zeros = model.backend.to_numpy(model.parameters["W1"]) == 0
    before.append(section.number("test error %", error(model), of=f"{of}, at once"))
    model.fit(X, y, optimizer=Adam(decay), gradient_hook=shrink.holds_zeros(model), **settings)
    after.append(section.number("test error %", error(model), of=f"{of}, trained on"))
    alive = int((model.backend.to_numpy(model.parameters["W1"])[zeros] != 0).sum())
    section.claim(f"{of}: weights that came back", alive, "<=", 0)
    file = section.out / f"pruned-{share}.safetensors"
    sparse_bytes.append(section.number("bytes of the file", shrink.save(model, file, 8), of=f"{of}, 8 bits"))
    if share == 0.9:
        pruned = model

undecayed = large(lam=0.0)
of = "no weight decay, 90% of the weights 0"
section.number("test error %", error(undecayed), of="no weight decay, 32 bits")
model = shrink.prune(undecayed, 0.9)
section.number("test error %", error(model), of=f"{of}, at once")
model.fit(X, y, optimizer=Adam(decay), gradient_hook=shrink.holds_zeros(model), **settings)
section.number("test error %", error(model), of=f"{of}, trained on")
section.claim("training on repairs: error at 95%, after minus before", after[3] - before[3], "<", 0)
section.guard("90% pruned and trained on cost, points of test error", after[2] - whole, "<=", 0.6)
series = {
    "at once": (np.array(shares), np.array(before)),
    "trained on": (np.array(shares), np.array(after)),
    "not pruned, trained on as long": (np.array([0.0, 0.98]), np.array([trained_on, trained_on])),
}
section.figure(
    plots.levels(series, "share of the weights that are 0", "test error, %", "Pruned networks", yscale="log"),
    "pruned",
    caption="The test error of a network some of whose weights are 0, before and after the others train on. Look where "
    "the two lines part: up to half of the weights nobody misses, and of nine tenths nobody who trains on.",
    alt="Two lines over the share of zeros, on a logarithmic axis. The upper one rises steeply after one half. The "
    "lower one stays near the line of the network that was not pruned and rises only at the right end.",
)

# %% [markdown]
# At default size the network has lost nothing at one half, and at nine tenths it has 14.3% at once and 8.6% after 500
# further steps. To call this a cost of 1.1 points would be kind: the same 500 steps without pruning bring the error
# from 7.5 to 7.0, so the cost is 1.6. At `--full` there are more images and 2,000 steps. Beyond nine tenths the error
# rises quickly, and at 98% no training repairs it.
#
# Weight decay helps where we expected it, at once: without it nine tenths pruned is 21.3%. Trained on, the two are
# alike, 8.3 and 8.6, so the useless weights were a loss that training repairs.
#
# What is it worth in bytes? Rounded to 8 bits, a pruned matrix has mostly zeros, and zlib writes many equal numbers
# shortly. Nine tenths pruned is a twentieth of the file of float32, half of what 4 bits alone give.

# %% [markdown]
# ## A student
# A label says one word: "7". The large network says more. It gives this 7 a little probability of being a 1, and that
# one of being a 9, and in this it has put what it knows of shapes. Hinton, Vinyals and Dean let a small network, the
# student, learn the whole answer. Since the small probabilities are very small, both answers are softened first, by a
# temperature T: with the logits v of the teacher and s of the student,
#
#     q = softmax(v/T),     p = softmax(s/T),     J = T² Σ_k q_k log(q_k/p_k)
#
# With z = s/T the gradient is that of a softmax with targets q, and the chain rule divides it by T once more:
#
#     dz = T²/B (p − q),     ds = dz/T = T/B (p − q)
#
# Why T²? For a large T, p − q is about (s − v)/(K T), for K classes and logits of mean 0. Without the factor, ds would
# fall as 1/T². We check both lines on a batch.

# %%
small = (784, 16)


def student(T, squared=True, seed=section.seed, **more):
    made = dict(activation="relu", temperature=T, squared=squared, seed=seed) | device | more
    return DistilledClassifier(small, **made)


rows = rng.permutation(len(X))[:64]
some, v = X[rows].astype(float), teacher.backend.to_numpy(teacher.logits(teacher.backend.from_numpy(X[rows])))
v = v.astype(float)
sizes = {}
for T in (1, 4, 16):
    for squared in (True, False):
        model = student(T, squared, dtype="float64", backend="numpy")
        model.cost_and_grad(x=some, v=v)
        s = model.logits(some)
        ds = T * (softmax(s / T, axis=1) - softmax(v / T, axis=1)) / len(some) / (1 if squared else T**2)
        dc = model.parameters.views(model.parameters.grad)["c1"]
        off = abs(dc - ds.sum(axis=0)).max()
        section.claim(f"T = {T}, {'with' if squared else 'without'} T²: ∂J/∂c is Σ ds, off by", off, "<=", 1e-12)
        sizes[T, squared] = section.number("‖ds‖", np.linalg.norm(ds), of=f"T = {T}, {'T²' if squared else 'no T²'}")
section.claim(
    "with T², log of ‖ds‖ at T = 16 over that at T = 4, without sign",
    abs(np.log(sizes[16, True] / sizes[4, True])),
    "<",
    np.log(2),
)
section.claim("without T², ‖ds‖ at T = 4 over that at T = 16", sizes[4, False] / sizes[16, False], ">", 8)

unsure = int(np.argsort(np.sort(softmax(v, axis=1), axis=1)[:, -1])[0])
sure = int(np.argsort(np.sort(softmax(v, axis=1), axis=1)[:, -1])[32])
panels = {}
for name, row in (("an image of which the teacher is sure", sure), ("the least sure of 64", unsure)):
    panels[f"{name}: a {y[rows[row]]}"] = {f"T = {T}": (np.arange(10), softmax(v[row] / T)) for T in (1, 4, 16)}
section.figure(
    plots.panels(panels, "class", "probability q that the teacher gives", "What a teacher says"),
    "softened",
    caption="The teacher's answer for two images at three temperatures. At T = 1 the answer for the left image is a "
    "label. At T = 4 one sees which other digits it resembles, and at T = 16 nearly all classes are alike.",
    alt="Two panels with ten classes on the axis and three lines. On the left the line of T = 1 is a single peak. The "
    "lines of higher temperatures are flatter.",
)

# %% [markdown]
# Now to the use. Suppose that only 500 images have labels, and that there are many more without. (The teacher has seen
# the labels of all, which is the point: somebody had a large network, and gives us its answers, and not its data.) The
# student has 16 units. It learns from the 500 labels, or from the teacher's answers to all images, at T = 1 and at
# T = 4. Each way gets the same number of steps, and of three learning rates the one that is best on held-out images.

# %%
student_steps = section.pick(200, 3000, 6000)
few = rng.permutation(len(X))[:500]
answers = np.concatenate(
    [
        teacher.backend.to_numpy(teacher.logits(teacher.backend.from_numpy(X[i : i + 1000])))
        for i in range(0, len(X), 1000)
    ]
)


def best(make, x, targets, optimizer, rates):
    """(test error, rate, model) of the run that is best on held-out images."""
    runs = []
    for rate in rates:
        model = make()
        rounds = -(-student_steps * batch // len(x))
        total = rounds * -(-len(x) // batch)
        model.fit(x, **targets, epochs=rounds, batch_size=batch, optimizer=optimizer(Cosine(rate, steps=total)), seed=0)
        runs.append((error(model, X_valid, y_valid), rate, model))
    runs.sort(key=lambda run: run[:2])
    return error(runs[0][2]), *runs[0][1:]


rates, seeds = (1e-3, 3e-3, 1e-2), section.seeds
kinds = {
    "500 labels": lambda seed: best(
        lambda: Classifier(small, activation="relu", seed=seed, **device), X[few], {"y": y[few]}, Adam, rates
    ),
    "distilled, T = 1": lambda seed: best(lambda: student(1, seed=seed), X, {"v": answers}, Adam, rates),
    "distilled, T = 4": lambda seed: best(lambda: student(4, seed=seed), X, {"v": answers}, Adam, rates),
}
students, student_error = {}, {}
for name, kind in kinds.items():
    runs = [kind(seed) for seed in seeds]
    students[name] = runs[0][2]
    student_error[name] = section.number("test error %", [run[0] for run in runs], of=f"student, {name}")
gain = student_error["500 labels"] - student_error["distilled, T = 4"]
section.guard("what the teacher's answers are worth, points of test error", gain, ">=", 5)

# %% [markdown]
# And the factor T²? It multiplies the whole cost. Adam divides each gradient by its own size, so for Adam it changes
# nothing at all. Momentum does not, so we ask momentum: with and without T², at T = 4, each with its own best rate of
# six, and at one and the same rate.

# %%
wide, factor = section.pick((0.01, 0.16), *2 * (tuple(0.01 * 4.0**k for k in range(-2, 4)),)), {}
for squared in (True, False):
    name = "with T²" if squared else "without T²"

    def make(squared=squared):
        return student(4, squared)

    found = best(make, X, {"v": answers}, Momentum, wide)
    factor[squared] = section.number("test error %", found[0], of=f"momentum, {name}, its best rate")
    section.number("the best rate", found[1], of=f"momentum, {name}")
    alike = best(make, X, {"v": answers}, Momentum, (0.01,))[0]
    factor[squared, "alike"] = section.number("test error %", alike, of=f"momentum, {name}, rate 0.01")
section.claim("at one rate the run without T² is worse, points", factor[False, "alike"] - factor[True, "alike"], ">", 0)

# %% [markdown]
# At default size the student with 500 labels has 17.5%, and the one with the teacher's answers 9.5% (T = 4) and 10.4%
# (T = 1): eight points, for a network that has a fortieth of its teacher's weights. Most of this is the answers, and
# not the temperature. One must say where they come from: the teacher has seen 5,000 labels. Whoever has these labels
# should give them to the student too.
#
# The factor T² is a learning rate, as the derivation says. At one rate the run without it is three points worse, and so
# it looks in papers that do not search. At its own rate, four times larger on our grid, it is as good as the other. The
# factor is worth having because it makes a rate that was found at one T serve at another, and because it keeps the
# balance when a second term with labels stands beside it (exercise 3). With Adam it does not even do the first.

# %% [markdown]
# ## Milliseconds
# How long does an answer take? We ask for one image, as a service does, and for 1,000 at once, as a nightly job does.
# The first calls are thrown away, because they load code and fill caches. Of the others we report the median (p50) and
# the time within which 99 of 100 are done (p99): the one who waits for the slow one does not care about the mean. A
# forest of 200 trees, the rival, learns from the same images.
#
# The engine is a rival too. ONNX is a file format for graphs of products and activations, and onnxruntime is a library
# in C++ that runs such a file: on a server, in a browser or on a phone, with no minae there. `minae export` writes it
# (`minae.interop.onnx` in Python). onnxruntime gets as many threads as minae has. It can also do what minae cannot: to
# multiply whole numbers of 8 bits. For this, the matrices are rounded once, column by column as above, and the input of
# each product is rounded at every call, with a scale that is found in that call (*dynamic* quantisation).

# %%
forest = RandomForestClassifier(section.pick(50, 200, 200), n_jobs=1, random_state=section.seed).fit(X, y)
forest_error = section.number("test error %", error(forest), of="forest")


def milliseconds(model, rows, count):
    """(p50, p99) of `model.predict` on so many rows, each call on other rows."""
    taken = []
    for k in range(count + 3):
        x = X_test[(k * rows) % len(X_test) :][:rows]
        start = time.perf_counter()
        model.predict(x)
        taken.append(1e3 * (time.perf_counter() - start))
    return np.percentile(taken[3:], [50, 99])


class InOnnxruntime:
    """A model of a file, which predicts as `Classifier` does."""

    def __init__(self, path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = pool.pool.width
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def probabilities(self, x):
        return self.session.run(["r"], {"x": x})[0]

    def predict(self, x):
        return self.probabilities(x).argmax(axis=1)


calls = section.pick(20, 100, 300)
contestants = {
    "float32, 784-400-400-10": teacher,
    "90% pruned": pruned,
    "student, 784-16-10": students["distilled, T = 4"],
    "forest": forest,
}
if onnxruntime:
    paths = {name: section.out / f"{name}.onnx" for name in ("float32", "int8")}
    onnx.export(teacher, paths["float32"])
    logging.disable(logging.WARNING)  # it advises to find the shapes first, which are known here
    quantize_dynamic(paths["float32"], paths["int8"], weight_type=QuantType.QInt8, per_channel=True)
    logging.disable(logging.NOTSET)
    for name, path in paths.items():
        contestants[f"onnxruntime, {name}"] = model = InOnnxruntime(path)
        section.number("bytes of the file", path.stat().st_size, of=f"onnxruntime, {name}")
        section.number("test error %", error(model), of=f"onnxruntime, {name}")
    off = abs(contestants["onnxruntime, float32"].probabilities(X_test) - teacher.probabilities(X_test)).max()
    section.claim("onnxruntime, float32: the largest difference of a probability from minae's", off, "<=", 1e-5)
    off = abs(contestants["onnxruntime, int8"].probabilities(X_test) - teacher.probabilities(X_test)).max()
    section.claim("onnxruntime, int8: the largest difference of a probability from minae's", off, ">", 1e-4)
section.number("threads of each engine", pool.pool.width)
for name, model in contestants.items():
    for rows, count in ((1, calls), (1000, max(5, calls // 10))):
        p50, p99 = milliseconds(model, rows, count)
        section.number("ms, p50", p50, of=f"{name}, {rows:,} rows")
        section.number("ms, p99", p99, of=f"{name}, {rows:,} rows")


# %% [markdown]
# What do the two engines take? We measured them in turns, on one thread of a server whose other core did other work, in
# the run at `--full`, where the networks are the same. For one image minae needs 0.083 ms (p50) and onnxruntime 0.036
# ms. The products are the same, but between them minae goes through Python and checks what it was given, and so the
# call costs more than the network. For 1,000 images minae needs 10.4 ms and onnxruntime 9.1 ms: most of both is the
# same products. With 8 bits onnxruntime needs 0.021 ms and 2.9 ms. The processor has instructions for products of 8-bit
# numbers, which take four of them in the place of one float32; on one without these, 8 bits may be slower than 32. The
# p99 wander from run to run on a machine that others use, and those of minae for one image wander most, up to 8 ms.
#
# So onnxruntime wins each of these comparisons, and most of them clearly. In quality nothing is lost: the probabilities
# of float32 agree to 2e-6, and those of 8 bits move by up to 0.016 but leave the test error where it was, 7.5%. In
# bytes our own file of 8 bits is the smaller one, 411 kB against 488 kB, since it is packed, and so it takes no less
# time.

# %% [markdown]
# ## The budget
# One picture has it all: the test error over the bytes of the file. For the forest the bytes are those of its trees'
# nodes as arrays, eight numbers of eight bytes and the counts of ten classes each; scikit-learn's own file is larger.

# %%
nodes = sum(tree.tree_.node_count for tree in forest.estimators_)
forest_bytes = section.number("bytes of the nodes", nodes * (64 + 80), of="forest")
distilled = students["distilled, T = 4"]
distilled.save(section.out / "student.safetensors")
small_bytes = [shrink.save(distilled, section.out / f"student-{bits}.safetensors", bits) for bits in (8, 4)]
small_bytes = [(section.out / "student.safetensors").stat().st_size, *small_bytes]
small_errors = [error(distilled)]
for bits in (8, 4):
    small_errors.append(error(load(section.out / f"student-{bits}.safetensors", backend=section.backend)))
series = {
    "fewer bits: 32, 8, 6, 4, 3": (
        np.array([largest] + [bytes_of[b] for b in (8, 6, 4, 3)]),
        np.array([whole] + [by_bits["a scale for each unit", b] for b in (8, 6, 4, 3)]),
    ),
    "pruned: 50% to 98%, 8 bits": (np.array(sparse_bytes), np.array(after)),
    "forest": (np.array([forest_bytes]), np.array([forest_error])),
    "student: 32, 8, 4 bits": (np.array(small_bytes), np.array(small_errors)),
}
section.figure(
    plots.levels(series, "bytes of the file", "test error, %", "What a byte buys", xscale="log"),
    "budget",
    caption="Each point is a model: its file's bytes and its test error. Lower is better, and further left is better. "
    "For a budget in bytes, draw a vertical line and take the lowest point to its left.",
    alt="Points over a logarithmic axis of bytes. The line of fewer bits goes left at almost the same height, the line "
    "of pruned networks goes further left, the student lies at the far left and higher, the forest far right.",
)

# %% [markdown]
# At default size, with 5,000 training images, the forest has the smallest error of all, 6.6% against 7.5%, and by far
# the largest file, 42 MB. It also is the slowest on one image, 8.5 ms against 0.09 ms, because each call walks through
# 200 trees one after the other. The student answers in half the time of its teacher for one image, where the call
# itself costs most, and in a twentieth for a thousand. Pruning saves no time, since zeros are multiplied like any other
# number. Among the small files the line of the student and that of the pruned networks cross: below some 70 kB the
# student is better, above them a pruned network is.
#
# ## What to use when
# - **A phone, or a browser.** Prune and train on, then store 8 or 4 bits: the file shrinks by more than a factor of
#   ten, and nobody sees the difference. Nothing has to be invented, and the labels that you have are enough.
# - **A device that counts multiplications.** Zeros in a dense matrix are multiplied like any other number, and save no
#   time here. A student does: its matrices are smaller.
# - **A back end with many requests.** Collect them. One call for a thousand rows costs much less than a thousand calls.
#   Look at p99 and not at the mean.
# - **A service or an app that only asks for answers.** Train with minae, and run the file of `minae export` by
#   onnxruntime, with 8 bits where the processor multiplies them. It was faster here for one row and for many.
# - **A table of a few columns, and labels for every row.** Try a forest or boosted trees first: section A.4 measures
#   it. They need no choice of learning rate, and have no scale that a column could break.
# - **Whatever you choose**, measure the file that you ship, on rows that chose nothing.

# %% [markdown]
# ## Exercises
# 1. On paper. Weights are uniform in [−m, m] and rounded to b bits. Show that the variance of the error is s²/12, and
#    that each further bit lowers it by a factor of four. What does cutting off have instead?
# 2. With code. One scale for a matrix suffers from one large weight. Let a matrix have weights N(0, 1) and one weight
#    of 50. Measure the root mean square error of 4 bits with a scale for the matrix and with one for each unit: the
#    second should be smaller by a factor of more than three. (A solution stands in
#    `chapters/solutions/A_6_production.py`.)
# 3. With code. Give the student both: T² KL on all images, and −log p(y | x) on the 500 with labels. Does it beat the
#    one that has the teacher's answers alone? Is the weight of the second term a new choice?

# %%
section.finish()

"""A.3 Compression

Equations: none
Figures: curve (quality by bytes, beside PCA and JPEG); digits (digits as they come back, at equal bytes); photographs
(quality by bits, patches of photographs)

An autoencoder with a narrow code is often called a compressor. It is half of one. Its code is floating-point numbers,
and a file is bits. Three things are missing: the numbers must become whole numbers; a coder must write the likely ones
in few bits; and the network must know, while it learns, what bits cost. This section builds all three, writes real
files, reads them back in bits that are exactly those that were written, and counts bytes.

The rivals are PCA with the same coder, and JPEG. The photographs are Kodak's from MINAE_DATA, where they are, else the
two that come with scikit-learn.

Model, derivation and backward pass stand in minae/models/compressive.py, the rate in minae/symbols.py (Rounded), the
coder in minae/coder.py, the file in minae/compression.py.
"""

# %%
import io

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

from minae import CompressiveAutoencoder, compression, data, plots
from minae.chapters import Section
from minae.coder import Tables
from minae.errors import InputError
from minae.training import Adam, Cosine

section = Section("A.3")
digits = data.mnist(full=section.size == "full")
X, X_test = digits.train, digits.test[: section.pick(300, 1000, 10_000)]
device, batch = dict(backend=section.backend), section.pick(128, 64, 128)


def psnr(x, r):
    """The peak signal-to-noise ratio in decibel, of pixels in [0, 1]: 10 log₁₀(1/mean squared error)."""
    return float(10 * np.log10(1 / np.square(x - np.clip(r, 0, 1)).mean()))


# %% [markdown]
# ## What a number costs
# Suppose that the code is a whole number k, and that both sides know how probable each value is. Shannon's answer is
# that k costs −log₂ P(k) bits: one bit if it is right in half of the cases, none if it is certain. A *range coder*
# reaches this sum, up to a few bytes at the end of the file, however odd the probabilities are.
#
# So to compress means to make P(k) large and r good at the same time:
#
#     J = L + β R,     L = ½ ‖x − r‖²,     R = −Σ_j log₂ P_j(k_j)
#
# A small β buys quality with bits. As P the model has a logistic distribution for each number, with a place μ and a
# width s that learn with the rest. Its probability of a whole number is the mass between the two halves beside it:
#
#     P(k) = σ((k + ½ − μ)/s) − σ((k − ½ − μ)/s)
#
# Written like this, P is 0 − 0 for a k far from μ, and its logarithm −∞. Since σ(a) − σ(b) = σ(a) σ(−b) (1 − e^{b−a}),
#
#     log P = −ζ(−v⁺) − ζ(v⁻) + log(1 − e^{−1/s}),     v^± = (k ± ½ − μ)/s,     ζ(v) = log(1 + eᵛ)
#
# in which nothing cancels. We check three things: the mass of all whole numbers is 1, a number far away has a finite
# cost, and the slope is (σ(−v⁺) − σ(v⁻))/s.

# %%
tiny = CompressiveAutoencoder((4, 1), loss="gaussian", dtype="float64", backend="numpy")
tiny.parameters["mu"][...], tiny.parameters["log_s"][...] = 0.3, np.log(1.7)
between = tiny.between


def bits_of(z):
    """−log₂ P of a column of numbers."""
    z = np.asarray(z, dtype=float).reshape(-1, 1)
    return between.bits(between.forward(z, np.full(z.shape, 0.5))[1]).ravel()  # u = ½ moves nothing


every = np.arange(-2000, 2001)
section.claim("Σ P(k) over 4,001 whole numbers, off 1 by", abs(np.sum(2.0 ** -bits_of(every)) - 1), "<=", 1e-9)
section.number("bits", bits_of([1500.0])[0], of="k = 1500, where the plain difference is 0")
z, h = np.array([-3.2, 0.1, 0.7, 9.9]), 1e-5
slope = (bits_of(z + h) - bits_of(z - h)) / (2 * h)
_, (above, below, per_s) = between.forward(z.reshape(-1, 1), np.full((4, 1), 0.5))
told = between.backward(np.zeros((4, 1)), (above, below, per_s), weight=4.0).ravel()  # weight B: the sum, not the mean
section.claim("∂(bits)/∂z by differences and by the formula, largest difference", abs(slope - told).max(), "<=", 1e-7)

# %% [markdown]
# ## Rounding has no slope
# k = round(z) is a step, whose slope is 0 almost everywhere. The remedy is noise. In training, z̃ = z + u − ½ with a
# uniform u takes the place of round(z). The error of rounding, too, lies between −½ and ½, and for a z whose density
# does not change much within one step it is as good as uniform. So the decoder sees in training what it will see later,
# and R(z̃) is in the mean what the bits will be. Is this true after training? We compare the rate of z̃, of round(z)
# under P, and of the real file.

# %%
betas = section.pick((0.15,), (0.2, 0.08), (0.3, 0.15, 0.06, 0.03))
epochs, width, code = section.pick(3, 40, 16), 400, 32
settings = dict(loss="gaussian", activation="relu", seed=section.seed) | device


def bytes_each(file, rows):
    return len(file) / rows


models, curve = {}, []
for beta in betas:
    of = f"autoencoder, β = {beta}"
    model = models[beta] = CompressiveAutoencoder((784, width, code), beta=beta, **settings)
    optimizer = Adam(Cosine(3e-3, steps=epochs * -(-len(X) // batch)))
    model.fit(X, epochs=epochs, batch_size=batch, optimizer=optimizer, seed=section.seed)
    model.calibrate(X)
    file = compression.compress(model, X_test)
    (section.out / f"digits-{beta}.mnc").write_bytes(file)
    k = model.encode(X_test)
    section.claim(f"{of}: numbers that came back changed", int((compression.codes(model, file) != k).sum()), "<=", 0)
    u = np.random.default_rng(section.seed).random(k.shape, dtype=np.float32)
    x, u = map(section.backend.from_numpy, (X_test, u))
    noisy = model.cost_and_grad(x=x, u=u, need_grad=False)
    section.number("bytes a digit, with noise for the rounding", float(noisy["R"]) / 8, of=of)
    section.number("bytes a digit, by the model's P", float(np.mean(model.bits(X_test))) / 8, of=of)
    size = section.number("bytes a digit, the file", bytes_each(file, len(X_test)), of=of)
    quality = section.number("PSNR, dB", psnr(X_test, compression.decompress(model, file)), of=of)
    told = compression.tables(model).bits(k)
    section.claim(
        f"{of}: bytes of the file over 1.01 of the tables' bits, and 16", len(file) - 1.01 * told / 8, "<=", 16
    )
    curve.append((size, quality))

# %% [markdown]
# At default size the three agree within some percent: at β = 0.2, 4.02 bytes a digit with noise, 3.86 by P and the
# rounded numbers, and 3.90 in the file. So the noise told the truth. The file may be shorter than P says, because its
# tables are counts, and the numbers of a code need not be logistic. What comes back from the file is the code itself,
# number by number. A digit of 784 pixels now has four bytes, 31 bits.

# %% [markdown]
# ## The rivals
# PCA gets the same treatment: its components, divided by a step, are rounded, and the same range coder writes them with
# tables from the same training images. It has two knobs, the number of components and the step, and we try a grid and
# keep what is best at each size.
#
# JPEG knows nothing of digits. For a picture of 28 × 28 pixels its header alone is longer than anything here, so we
# also give it a fair chance: a mosaic of all test digits in one file, where the header counts for nothing.

# %%
mu = X.mean(axis=0)
values, vectors = np.linalg.eigh((X - mu).T @ (X - mu))
D = vectors[:, ::-1]
candidates = []
for components in section.pick((20, 40), (20, 40, 64, 100), (20, 40, 64, 100)):
    for step in (2.5, 2.0, 1.5, 1.0, 0.7):
        k_train, k = (np.rint((x - mu) @ D[:, :components] / step) for x in (X, X_test))
        words = Tables.of(k_train).encode(k)
        quality = psnr(X_test, k * step @ D[:, :components].T + mu)
        candidates.append((bytes_each(words, len(X_test)), quality, components, step))
candidates.sort()
best, pca = -np.inf, []
for size, quality, components, step in candidates:  # each that nothing smaller beats
    if quality > best:
        best = quality
        pca.append((size, quality))
        of = f"PCA, {components} components, step {step}"
        section.number("bytes a digit", size, of=of)
        section.number("PSNR, dB", quality, of=of)


def at_quality(points, quality):
    """Bytes of a curve at a PSNR, between its points."""
    points = np.array(points)
    return float(np.interp(quality, points[:, 1], points[:, 0]))


def jpeg(picture, quality):
    """Bytes of the file, and what comes back, for a picture in [0, 1]."""
    buffer = io.BytesIO()
    Image.fromarray((255 * picture).round().astype(np.uint8)).save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.tell(), np.asarray(Image.open(buffer), dtype=float) / 255


across = 20
mosaic = X_test[: len(X_test) // across * across].reshape(-1, across, 28, 28).swapaxes(1, 2).reshape(-1, across * 28)
count, jpegs = mosaic.size // 784, []
for quality in (1, 3, 5, 8, 12, 20):
    size, back = jpeg(mosaic, quality)
    point = size / count, psnr(mosaic, back)
    section.number("bytes a digit", point[0], of=f"JPEG mosaic, quality {quality}")
    section.number("PSNR, dB", point[1], of=f"JPEG mosaic, quality {quality}")
    jpegs.append(point)
section.number("bytes a digit", jpeg(X_test[0].reshape(28, 28), 5)[0], of="JPEG, one file, quality 5")
section.number("bytes a digit", jpeg(np.zeros((28, 28)), 5)[0], of="JPEG, one file, an empty image")

ratios = []
for beta, (size, quality) in zip(betas, curve, strict=True):
    if pca[0][1] <= quality <= pca[-1][1]:
        of = f"β = {beta}, {quality:.1f} dB"
        ratios.append(
            section.number("bytes of the autoencoder over PCA's, equal PSNR", size / at_quality(pca, quality), of=of)
        )
if section.size != "quick":
    section.claim("rates at which the autoencoder needs fewer bytes than PCA", sum(r < 1 for r in ratios), ">=", 1)
    section.guard("rates at which it needs at most 0.75 of PCA's bytes", sum(r <= 0.75 for r in ratios), ">=", 2)

series = {
    name: tuple(np.array(points).T) for name, points in (("autoencoder", curve), ("PCA", pca), ("JPEG mosaic", jpegs))
}
section.figure(
    plots.levels(series, "bytes a digit", "PSNR, dB", "Rate and distortion", xscale="log"),
    "curve",
    caption="Each point is a file of all test digits, divided by their number, and what comes back from it. Higher is "
    "better, further left is cheaper. JPEG's cheapest file costs several times what the others need, and PCA is far "
    "from JPEG too: what wins over JPEG here is that both have seen digits before.",
    alt="Three rising lines over a logarithmic axis of bytes. The autoencoder's lies a little to the left of PCA's, "
    "and both far to the left of JPEG's.",
)

shown = X_test[:12]
beta = betas[len(betas) // 2]
size = curve[len(betas) // 2][0]
components, step = min(candidates, key=lambda one: abs(one[0] - size))[2:]
by_pca = np.rint((shown - mu) @ D[:, :components] / step) * step @ D[:, :components].T + mu
pictures = {"x": shown, "autoencoder": models[beta].reconstruct(shown), "PCA": np.clip(by_pca, 0, 1)}
section.figure(
    plots.images(pictures, title=f"Digits in about {size:.0f} bytes each"),
    "digits",
    caption="Test digits, and what comes back from a file of the autoencoder and from one of PCA that is about as "
    "long. The autoencoder's strokes are sharp where PCA has grey shadows. Where it is wrong it is wrong sharply, too: "
    "look for a digit that has become another one.",
    alt="Three rows of twelve digits: originals, clean reconstructions by the autoencoder, and reconstructions by PCA "
    "with grey shadows around the strokes.",
)

# %% [markdown]
# At default size the autoencoder needs about three quarters of PCA's bytes at equal PSNR: 0.78 at 16.1 dB and 0.76 at
# 17.6 dB. Its training took a quarter of a minute and PCA's a second. With a third of the steps it needed as many
# bytes as PCA; at `--full`, with ten times as many images, it needs 0.57 to 0.73 of them, the less the smaller the
# file. Both leave JPEG far behind: its cheapest mosaic has 29 bytes a digit, and one file for one digit has 213, of
# which 164 are there for an empty image. But PCA at 20 bytes is as good as JPEG at 43. So what JPEG lacks here is not
# a network. It lacks having seen digits.

# %% [markdown]
# ## Photographs
# Digits flatter a network: they are few shapes on black. A photograph has everything in it, and JPEG was made for it.
# So here is the test that is not in our favour. From Kodak's photographs we cut patches of 16 × 16 pixels in three
# colours, learn from twenty photographs and test on four others. The network is convolutional. We expect to lose: a
# network of a few minutes against decades of engineering, and we do not give it the colour space, in which JPEG keeps
# only a quarter of the colour.

# %%
try:
    photographs = data.kodak()
    seen, unseen = photographs[:20], photographs[20:]
except InputError as missing:
    print(f"{missing}. The two photographs of scikit-learn take their place: one to learn from, one to test.")
    seen, unseen = (image[None, :416, :640] for image in load_sample_images().images)

side = 16


def patches(images):
    """Disjoint patches: (images, H, W, 3) -> (rows, 3, side, side) in [0, 1]."""
    n, H, W, C = images.shape
    cut = images.reshape(n, H // side, side, W // side, side, C).transpose(0, 1, 3, 5, 2, 4)
    return np.ascontiguousarray(cut.reshape(-1, C, side, side).astype(np.float32) / 255)


learn, test = patches(seen), patches(unseen)
learn, rounds = learn[:: section.pick(8, 1, 1)], section.pick(2, 12, 60)
mean, scale = learn.mean(axis=0), 4.0  # the network learns from 4 (x − mean), numbers of a size about 1
points, pixels = [], side * side
for beta in section.pick((0.1,), (0.4, 0.1), (0.8, 0.4, 0.2, 0.1)):
    model = CompressiveAutoencoder(
        (3 * pixels, section.pick(16, 64, 128)),
        image=(3, side, side),
        channels=(16, 32),
        beta=beta,
        **settings | {"activation": "swish"},
    )
    steps = rounds * -(-len(learn) // batch)
    x_learn, x_test = scale * (learn - mean), scale * (test - mean)
    model.fit(x_learn, epochs=rounds, batch_size=batch, optimizer=Adam(Cosine(3e-3, steps=steps)), seed=section.seed)
    model.calibrate(x_learn)
    file = compression.compress(model, x_test)
    of = f"autoencoder, photographs, β = {beta}"
    rate = section.number("bits a pixel", 8 * len(file) / (len(test) * pixels), of=of)
    quality = section.number("PSNR, dB", psnr(test, compression.decompress(model, file) / scale + mean), of=of)
    points.append((rate, quality))

flat, flat_test, mean = learn.reshape(len(learn), -1), test.reshape(len(test), -1), mean.ravel()
vectors = np.linalg.eigh((flat - mean).T @ (flat - mean))[1][:, ::-1]
by_pca = []
for components, step in ((16, 1.0), (32, 0.7), (64, 0.5), (128, 0.35)):
    k_train, k = (np.rint((x - mean) @ vectors[:, :components] / step) for x in (flat, flat_test))
    words = Tables.of(k_train).encode(k)
    back = k * step @ vectors[:, :components].T + mean
    by_pca.append((8 * len(words) / (len(test) * pixels), psnr(flat_test, back)))
    section.number("bits a pixel", by_pca[-1][0], of=f"PCA, photographs, {components} components")
    section.number("PSNR, dB", by_pca[-1][1], of=f"PCA, photographs, {components} components")
of_jpeg = []
for quality in (5, 10, 20, 40):
    sizes, errors = [], []
    for picture in unseen:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=quality, optimize=True)
        sizes.append(buffer.tell())
        errors.append(np.square(np.asarray(Image.open(buffer), dtype=float) - picture).mean() / 255**2)
    bits = 8 * sum(sizes) / unseen[..., 0].size
    of_jpeg.append((bits, float(-10 * np.log10(np.mean(errors)))))
    section.number("bits a pixel", bits, of=f"JPEG, photographs, quality {quality}")
    section.number("PSNR, dB", of_jpeg[-1][1], of=f"JPEG, photographs, quality {quality}")
named = (("autoencoder", points), ("PCA", by_pca), ("JPEG", of_jpeg))
series = {name: tuple(np.array(each).T) for name, each in named}
section.figure(
    plots.levels(series, "bits a pixel", "PSNR, dB", "Photographs", xscale="log"),
    "photographs",
    caption="Photographs in three colours, four that nobody learned from. JPEG counts its whole file, with headers, "
    "and works on whole photographs; the others work on patches of 16 × 16 pixels, each for itself.",
    alt="Three rising lines over a logarithmic axis of bits a pixel. JPEG's line lies above the two others.",
)

# %% [markdown]
# And so it comes. At default size the network has 24.0 dB for 0.36 bits a pixel, JPEG 25.5 dB for 0.28, and PCA of
# patches 25.7 dB for 0.26. The network loses to both. Patches of photographs are nearly Gaussian in their large
# components, and for a Gaussian PCA is the best transform there is. A network has to find it by gradient descent first,
# before it can do better. Those that beat JPEG and its successors have some hundred times as many weights, learn for
# days, and let the probabilities of a number depend on those already read.
#
# ## What to use when
# - **Photographs that people look at.** Use JPEG's successors. A network that beats them is large, slow to decode, and
#   has to be shipped with its weights.
# - **Millions of small things of one kind**, such as scans of one form, spectra, or signals of one machine. Here a
#   trained transform wins, since the kind is known on both sides. Begin with PCA and this coder: it takes seconds, and
#   gets most of the gain over a general format.
# - **An autoencoder instead of PCA** is worth its training where files are many, so that a quarter of the bytes, or
#   with many examples two fifths, is money, and where the pictures are not linear: strokes, edges, things that move.
# - **Never** trust a rate that was estimated in training. Write the file, read it in another process, compare, count.
# - The decoder needs the model. If you change the model, old files are lost: keep it with them. A file of this library
#   says so when it meets the wrong one.

# %% [markdown]
# ## Exercises
# 1. On paper. Show that the derivative of −log P to log s is positive for every k where s is very large, and negative
#    for a k far from μ where s is small. What does this say about the s that training finds?
# 2. With code. A coder needs no network: compress the bytes of the test digits themselves, each pixel rounded to eight
#    values, with `Tables`, pixel by pixel. How many bytes a digit is that, beside the bits that zlib needs for the
#    same numbers, and beside three bits a pixel? Both should need less than a third of the latter. (A solution stands
#    in `chapters/solutions/A_3_compression.py`.)
# 3. With code. Train with the rounding and a straight-through gradient instead of noise (`minae.symbols.Bits` shows how
#    a choice is held fixed). Compare file and PSNR at equal β.

# %%
section.finish()

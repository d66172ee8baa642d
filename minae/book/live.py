"""The live parts of the book: small models that a reader moves with the mouse, a finger or the arrow keys.

`minae book --train` trains what they need from fixed seeds, on the digits and words in the package, and keeps it in one
file, `live.npz`: three families (one model for each value of λ, ρ or β), a denoiser of points of the plane, the spoken
words of a voice conversion, and the small network whose gradient is checked. The other parts use the small models that
come with minae. A large matrix is kept as whole numbers of 8 bits and a scale for each column, as `minae.shrink` does.

`write` writes the scripts and their data, and `parts` says what stands where. A page that is opened from a folder may
load nothing but classic scripts, so data are scripts, too: `minae.data["digits"] = {…}`.
"""

import base64
import json
import shutil
import tomllib
from functools import cache
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minae import chapters, data, shrink
from minae.chapters.classical import PCA
from minae.models.contractive import ContractiveAutoencoder
from minae.models.denoising import DenoisingAutoencoder
from minae.models.sparse import SparseAutoencoder
from minae.models.variational import VariationalAutoencoder
from minae.models.voice import VoiceAutoencoder
from minae.recipes import pretrained
from minae.training import Adam, Cosine

HERE = Path(__file__).parent
KEPT = HERE / "live.npz"
SCRIPTS = HERE / "static" / "live"
LARGE = 8000  # numbers; a matrix of more is kept in 8 bits a weight
SEED = 0


class Family(NamedTuple):
    """Models that differ in one option.     epochs: of training on the 6,000 digits of the package"""

    kind: type
    option: str
    values: tuple[float, ...]
    others: dict[str, Any]
    epochs: int


FAMILIES = {
    "contractive": Family(ContractiveAutoencoder, "lam", (0, 0.1, 0.3, 1, 3, 10), dict(sizes=(784, 64)), 40),
    "sparse": Family(
        SparseAutoencoder, "rho", (0.02, 0.05, 0.1, 0.2, 0.5), dict(sizes=(784, 64), penalty="kl", lam=30.0), 40
    ),
    "variational": Family(
        VariationalAutoencoder, "beta", (0.1, 1, 3, 10, 30), dict(sizes=(784, 48, 6), activation="relu"), 60
    ),
}
SPIRAL = 4 * np.pi * np.sqrt(np.linspace(0.07, 1, 300))[:, None]  # section 14.5.1: angles of equal steps
CENTRES, DEVIATION, SIGMA = SPIRAL / 4 * np.hstack([np.cos(SPIRAL), np.sin(SPIRAL)]), 0.1, 0.3
WORD, RATE = 7, 8000  # the digit that is spoken, and samples a second


# ---- training


def train(path: Any = KEPT, epochs: int | None = None, progress: bool | None = None) -> int:
    """Train all that is kept, and write it to `path`. Returns the bytes of the file.

    epochs: of each family, fewer for a quick trial
    """
    X, arrays = data.mnist().train, {}
    for name, family in FAMILIES.items():
        for value in family.values:
            model = family.kind(**family.others, **{family.option: value}, seed=SEED, backend="numpy")
            _fit(model, X, family.epochs if epochs is None else epochs, 3e-3, progress)
            _keep(arrays, f"{name}/{value:g}", model)
    points = np.random.default_rng(SEED)
    x = CENTRES[points.integers(len(CENTRES), size=10000)] + DEVIATION * points.standard_normal((10000, 2))
    model = _denoiser()
    _fit(model, x.astype(np.float32), 60 if epochs is None else epochs, 1e-2, progress)
    _keep(arrays, "score", model)
    arrays["voices"] = _voices(14 if epochs is None else epochs, progress)
    np.savez_compressed(path, **arrays)
    return Path(path).stat().st_size


def _fit(model, X, epochs, rate, progress):
    optimizer = Adam(Cosine(rate, steps=max(1, epochs * -(-len(X) // 128))))
    model.fit(X, epochs=epochs, batch_size=128, optimizer=optimizer, seed=SEED, progress=progress)


def _denoiser():
    options = dict(activation="swish", loss="gaussian", corruption="gaussian", level=SIGMA, seed=SEED)
    return DenoisingAutoencoder((2, 64, 64), **options, backend="numpy")


def _keep(arrays, name, model):
    for key, value in model.tensors().items():
        if value.ndim == 2 and value.size > LARGE:
            arrays[f"{name}/{key}.q"], arrays[f"{name}/{key}.s"] = shrink.rounded(value, 8)
        else:
            arrays[f"{name}/{key}"] = value.astype(np.float32)


def _voices(epochs, progress):
    """One word by each speaker, in the voice of each speaker: μ-law bytes, (from, to, samples), padded with silence.

    The diagonal is the recording itself, after frames and Griffin and Lim, as all others are.
    """
    spoken = data.spoken_digits()
    frames = [data.log_mel(wave) for wave in spoken.waves]
    everything = np.concatenate(frames)
    mu, sigma = everything.mean(axis=0), everything.std(axis=0)
    X = [((x - mu) / sigma).astype(np.float32) for x in frames]
    rng, speakers = np.random.default_rng(SEED), len(spoken.speakers)
    pairs = []
    for _ in range(epochs * 4):
        other = np.arange(len(X))
        for k in range(speakers):
            rows = rng.permutation(np.flatnonzero(spoken.speaker == k))
            other[rows] = np.roll(rows, 1)
        pairs += [X[j] for j in other]
    model = VoiceAutoencoder(hidden=48, content=16, seed=SEED, backend="numpy")
    optimizer = Adam(Cosine(5e-3, steps=-(-len(pairs) // 16)))
    model.fit(X * (epochs * 4), other=pairs, epochs=1, batch_size=16, optimizer=optimizer, seed=SEED, progress=progress)
    v = model.speakers(X)
    mean = np.stack([v[spoken.speaker == k].mean(axis=0) for k in range(speakers)])
    rows = [np.flatnonzero((spoken.digit == WORD) & (spoken.speaker == k))[0] for k in range(speakers)]
    sounds = []
    for k, row in enumerate(rows):
        r = model.convert([X[row]] * speakers, mean, np.repeat(mean[k : k + 1], speakers, axis=0))
        r[k] = X[row]
        sounds.append([data.griffin_lim(x * sigma + mu, rounds=64, seed=SEED) for x in r])
    longest = max(len(sound) for row in sounds for sound in row)
    waves = np.zeros((speakers, speakers, longest))
    for i, row in enumerate(sounds):
        for j, sound in enumerate(row):
            waves[i, j, : len(sound)] = 0.9 * sound / np.abs(sound).max()
    return mu_law(waves)


def mu_law(wave: np.ndarray) -> np.ndarray:
    """A wave in [−1, 1] as bytes: 128 + 127 sign(w) log(1 + 255 |w|)/log 256, rounded."""
    return np.rint(128 + 127 * np.sign(wave) * np.log1p(255 * np.abs(wave)) / np.log(256)).astype(np.uint8)


# ---- what is kept


@cache
def _kept(path=KEPT):
    with np.load(path) as arrays:
        return dict(arrays)


def model_of(name: str) -> Any:
    """A model of the live parts: "contractive/0.3", "score", or a small model that comes with minae, "digits-2d"."""
    if name.startswith("digits-"):
        return pretrained(name, backend="numpy")
    if name == "score":
        model = _denoiser()
    else:
        family = FAMILIES[name.partition("/")[0]]
        value = float(name.partition("/")[2])
        model = family.kind(**family.others, **{family.option: value}, seed=SEED, backend="numpy")
    kept = _kept()
    for key in model.tensors():
        whole = kept.get(f"{name}/{key}.q")
        value = kept[f"{name}/{key}"] if whole is None else whole * kept[f"{name}/{key}.s"]
        model.parameters[key][...] = value
    return model


# ---- scripts and data


def write(folder: Any) -> list[str]:
    """Write the scripts and their data into `folder`/live, where core.js finds them. Returns the data's names."""
    out = Path(folder) / "live"
    (out / "data").mkdir(parents=True, exist_ok=True)
    for script in sorted(SCRIPTS.glob("*.js")):
        shutil.copyfile(script, out / script.name)
    for name, make in SOURCES.items():
        text = json.dumps(make(), separators=(",", ":"), ensure_ascii=False)
        script = f'window.minae=window.minae||{{}};minae.data=minae.data||{{}};minae.data["{name}"]={text};\n'
        (out / "data" / f"{name}.js").write_text(script, encoding="utf-8")
    return sorted(SOURCES)


def _text(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")


def _packed(array):
    """An array as a data script holds it: float32, or 8 bits and a scale for each column where it is large."""
    if array.ndim == 2 and array.size > LARGE:
        q, s = shrink.rounded(array, 8)
        return {"q": _text(q), "s": _text(s.astype("<f4"))}
    return {"f": _text(array.astype("<f4"))}


def _layers(network):
    """An affine map and its φ at a time, as core.js reads them."""
    pairs = zip(network.layers[::2], network.layers[1::2], strict=True)
    return [dict(n=a.n, m=a.m, W=_packed(a.W), b=_packed(a.b), phi=h.name) for a, h in pairs]


def _tied(model, *names):
    return {short: _packed(model.parameters[name]) for short, name in names}


def _shown():
    """48 test digits, four or five of each kind, in turn: 0, 1, …, 9, 0, …"""
    digits = data.mnist()
    rows = [np.flatnonzero(digits.test_labels == label)[:5] for label in range(10)]
    order = np.array(rows).T.ravel()[:48]
    return digits.test[order], digits.test_labels[order]


def _digits():
    X, labels = _shown()
    return dict(pixels=_text(np.rint(255 * X).astype(np.uint8)), labels=labels.tolist())


def _explorer():
    """Codes of 500 test digits in the plane, and g, of three methods.     view: what the picture shows of the plane"""
    digits = data.mnist()
    X, shown = digits.test, slice(0, 500)
    pca = PCA(digits.train, 2)
    codes = {"pca": pca.encode(X)}
    errors = {"pca": np.square(pca.decode(codes["pca"]) - X).sum(axis=1).mean()}
    axes, mean = pca.decode(np.eye(2)) - pca.decode(np.zeros((1, 2))), pca.decode(np.zeros((1, 2)))[0]
    g = {"pca": [dict(n=2, m=784, W={"f": _text(axes.astype("<f4"))}, b=_packed(mean), phi="identity")]}
    for name, file in {"autoencoder": "digits-2d", "variational": "digits-variational-2d"}.items():
        model = model_of(file)
        codes[name], g[name] = np.array(model.encode(X)), _layers(model.g)
        errors[name] = np.square(model.reconstruct(X) - X).sum(axis=1).mean()
    out = {"labels": digits.test_labels[shown].tolist()}
    for name, h in codes.items():
        low, high = np.quantile(h, 0.005, axis=0), np.quantile(h, 0.995, axis=0)
        view = np.stack([low - 0.05 * (high - low), high + 0.05 * (high - low)], axis=1)
        out[name] = dict(h=_packed(h[shown]), g=g[name], view=view.tolist(), error=float(errors[name]))
    return out


def _family(name, rates, *names):
    family, models = FAMILIES[name], []
    measured = []
    for value in family.values:
        model = model_of(f"{name}/{value:g}")
        models.append(_tied(model, *names) if names else dict(f=_layers(model.f), g=_layers(model.g)))
        measured.append(rates(model, data.mnist().test))
    return dict(values=list(family.values), models=models, rates=measured)


def _divergence(model, X):
    """KL of each unit, a mean over X."""
    mu, log_var = model.posterior(X)
    return (0.5 * (mu**2 + np.exp(log_var) - log_var - 1)).mean(axis=0).round(4).tolist()


def _parts_of(name):
    model = model_of(name)
    return dict(f=_layers(model.f), g=_layers(model.g))


def _mosaic():
    E = model_of("digits-vq").between.E
    return _parts_of("digits-vq") | {"E": {"f": _text(E.astype("<f4"))}}


def _spoken():
    waves, spoken = _kept()["voices"], data.spoken_digits()
    names = "zero one two three four five six seven eight nine".split()
    shape = dict(speakers=list(spoken.speakers), samples=waves.shape[2], rate=RATE, word=names[WORD])
    return dict(bytes=_text(waves), **shape)


def checked_network() -> tuple[ContractiveAutoencoder, np.ndarray]:
    """The contractive autoencoder 4-3-4 whose gradient a reader checks, and its five rows."""
    options = dict(tied=False, loss="gaussian", lam=1.0, seed=SEED, dtype="float64", backend="numpy")
    model, rng = ContractiveAutoencoder((4, 3), **options), np.random.default_rng(SEED)
    model.parameters.flat[...] += 0.3 * rng.standard_normal(model.parameters.flat.shape)
    return model, rng.standard_normal((5, 4))


def _gradient():
    model, x = checked_network()
    names = {"W": "W1", "b": "b1", "V": "V1", "c": "c1"}
    return dict(theta={short: model.parameters[name].ravel().tolist() for short, name in names.items()}, x=x.tolist())


TIED = ("W", "W1"), ("b", "b1"), ("c", "c1")
SOURCES = {
    "digits": _digits,
    "explorer": _explorer,
    "contractive": lambda: _family("contractive", lambda model, X: float(model.encode(X).mean()), *TIED),
    "sparse": lambda: _family("sparse", lambda model, X: float(model.encode(X).mean()), *TIED, ("V", "V1")),
    "variational": lambda: _family("variational", _divergence),
    "gradient": _gradient,
    "score": lambda: _parts_of("score"),
    "denoising": lambda: _parts_of("digits-denoising"),
    "units": lambda: _tied(model_of("digits-sparse"), *TIED),
    "mosaic": _mosaic,
    "voices": _spoken,
}


# ---- places


class Part(NamedTuple):
    """name: of the script;  after: number of the cell that it follows, 0 for the docstring, None for the last;
    title, sentence: what stands above it;  sources: its data scripts"""

    name: str
    after: int | None
    title: str
    sentence: str
    sources: tuple[str, ...]


@cache
def _places():
    return tomllib.loads((HERE / "live.toml").read_text(encoding="utf-8"))["part"]


def parts(section: str) -> list[Part]:
    """The live parts of a section, in the order in which they stand."""
    found = []
    for place in _places():
        if place["section"] == section:
            after = _cell(section, place["under"]) if place.get("under") else None
            title, sentence = place["title"]["en"], place["sentence"]["en"]
            found.append(Part(place["name"], after, title, sentence, tuple(place["sources"])))
    return sorted(found, key=lambda part: np.inf if part.after is None else part.after)


@cache
def _scripts():
    return {section["number"]: section["path"] for section in chapters.sections()}


def _cell(section, heading):
    """The last cell before the heading after this one: what stands under the heading is read before the part."""
    cell, found = 0, None
    for line in _scripts()[section].read_text(encoding="utf-8").splitlines():
        if line.startswith("# ## ") and found is not None:
            return max(found, cell - 1)  # a heading opens its cell, or stands in the middle of one
        cell += line.startswith("# %%")
        if line.startswith(f"# ## {heading}"):
            found = cell
    if found is None:
        raise ValueError(f"live.toml: section {section} has no heading {heading!r}")
    return cell


def markup(part: Part) -> str:
    """The element of a part, which core.js fills where there is script. Its title and sentence are read without."""
    title = f"live-{part.name}"
    return (
        f'<section class="live-frame" aria-labelledby="{title}">\n'
        f'<h3 id="{title}" data-frame="{title}">{escape(part.title)}</h3>\n'
        f'<p data-frame="{title}-sentence">{escape(part.sentence)}</p>\n'
        f'<div class="live" data-part="{part.name}" data-source="{" ".join(part.sources)}">'
        '<p class="live-wait">This part moves where scripts are allowed.</p></div>\n</section>\n'
    )


def places() -> list[dict[str, Any]]:
    """All parts, each with its section, its cell (None: the end) and its markup."""
    return [
        dict(section=number, cell=part.after, name=part.name, markup=markup(part))
        for number in dict.fromkeys(place["section"] for place in _places())
        for part in parts(number)
    ]


def page(folder: Any) -> Path:
    """Write all parts on one page without the book around them, `live.html`, with their scripts. For tests."""
    folder = Path(folder)
    write(folder)
    body = "\n".join(place["markup"] for place in places())
    css = (HERE / "static" / "live.css").read_text(encoding="utf-8")
    frame = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Live parts</title>
<style>:root{{--ink:#1d1d1f;--paper:#fdfcf9;--accent:#8c2f14;--rule:#d8d4ca;--code-paper:#f5f2ea;--figure-paper:#fff}}
@media (prefers-color-scheme: dark){{:root{{--ink:#e6e4df;--paper:#17181b;--accent:#f0a37c;--rule:#3a3b40;
--code-paper:#202126;--figure-paper:#f4f1ea}}}}
body{{font:18px/1.55 Georgia,serif;max-width:44rem;margin:auto;padding:1rem;color:var(--ink);background:var(--paper)}}
{css}</style></head><body><main><h1>Live parts</h1><h2>All of them</h2>
{body}
</main><script src="live/core.js"></script></body></html>
"""
    path = folder / "live.html"
    path.write_text(frame, encoding="utf-8")
    return path

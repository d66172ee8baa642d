"""Five small models that come with the package, and the recipes by which they were trained.

    import minae

    print(minae.pretrained())                # the list: what each is, its size, and its errors on test digits
    model = minae.pretrained("digits-2d")    # a model as any other, in float32
    h = model.encode(minae.data.mnist().test)

A recipe is a kind of model, its options, and a length of training on all 60,000 training digits of MNIST, from seed 0.
`minae pretrained NAME --train -o FILE` follows it, and writes the same bytes again on the same machine with the same
number of threads. The matrices are stored as 8 bits a weight (`minae.shrink`), and the errors in the list are those of
the stored model, on the 1,000 test digits that come with the package. What is said in data/SOURCE.md of the digits
holds of models that were trained on them, too.
"""

from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np

from minae import data, files, notebook_html, shrink
from minae.backend import Backend
from minae.errors import InputError, meant
from minae.metrics.probe import knn_accuracy
from minae.models import get_model, load
from minae.models.autoencoder import Autoencoder
from minae.models.model import Model
from minae.models.vector_quantized import VectorQuantizedAutoencoder
from minae.options import Count, File, door
from minae.training import Adam, Cosine

FOLDER = Path(data.__file__).parent / "pretrained"
BITS = 8  # a weight, in the file
ROWS, BATCH = 60_000, 128
DIGITS = "MNIST, all 60,000 training digits"


class Recipe(NamedTuple):
    """kind: name of the model;  options: of it;  epochs: of the training;  what: half a line for the list"""

    kind: str
    options: dict[str, Any]
    epochs: int
    what: str


RECIPES = {
    "digits-2d": Recipe(
        "undercomplete",
        dict(sizes=(784, 200, 64, 2), activation="relu", code="identity"),
        150,
        "a digit as a point of the plane",
    ),
    "digits-variational-2d": Recipe(
        "variational",
        dict(sizes=(784, 200, 64, 2), activation="relu"),
        150,
        "a digit as a cloud of the plane, near N(0, I): it draws new digits",
    ),
    "digits-denoising": Recipe(
        "denoising",
        dict(sizes=(784, 220, 120), activation="relu", corruption="salt_and_pepper", level=0.3),
        40,
        "takes noise away: 30% of the pixels were black or white in training",
    ),
    "digits-sparse": Recipe(
        "k_sparse",
        dict(sizes=(784, 400), k=20, code="relu", tied=True),
        40,
        "400 units, of which a digit uses 20; the weights of a unit are a picture",
    ),
    "digits-vq": Recipe(
        "vector_quantized",
        dict(sizes=(784, 200, 64), activation="relu", codebook=64, codes=8, decay=0.95, restart=0.5),
        40,
        "a digit as 8 symbols of 64, which are 48 bits",
    ),
}


class Listing(dict[str, dict[str, Any]]):
    """Name -> what the file of a small model says of it; prints as a table."""

    COLUMNS = (
        ("model", "{}"),
        ("sizes", "{}"),
        ("kB", "{:.0f}"),
        ("J", "{:.1f}"),
        ("L", "{:.1f}"),
        ("squared error", "{:.1f}"),
        ("10-NN", "{:.1%}"),
    )

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Column names, and a row of words for each model."""
        rows = []
        for name, note in self.items():
            words = note | {"kB": note["bytes"] / 1000, "sizes": "-".join(map(str, note["sizes"]))}
            rows.append([name, *(how.format(words[key]) for key, how in self.COLUMNS), note["what"]])
        return ["name", *(key for key, _ in self.COLUMNS), "what it is"], rows

    def __repr__(self) -> str:
        head, rows = self.table()
        widths = [max(len(row[k]) for row in [head, *rows]) for k in range(len(head))]
        lines = ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)) for row in [head, *rows]]
        return "\n".join([*(line.rstrip() for line in lines), LEGEND])

    def _repr_html_(self) -> str:
        head, rows = self.table()
        return notebook_html.table(head, rows, "Small models that come with minae", LEGEND, numbers=range(3, 8))


LEGEND = (
    f"Trained on {DIGITS}; measured on 1,000 test digits, a mean over them: J and L in nats, the squared error "
    "‖r − x‖² over 784 pixels; 10-NN: how often 10 neighbours among 6,000 training digits, by their codes, vote for "
    "the right digit."
)


@overload
def pretrained(name: None = None, *, backend: str | Backend | None = None) -> Listing: ...
@overload
def pretrained(name: str, *, backend: str | Backend | None = None) -> Autoencoder: ...
def pretrained(name: str | None = None, *, backend: str | Backend | None = None) -> Listing | Autoencoder:
    """A small model that comes with the package, by its name; without a name, the list of them.

    backend: where the model computes, as `minae.models.load` takes it
    Returns a model in float32, which is the caller's own: each call loads another. The list is a dict by name.

    Raises InputError for a name that is not in the list.
    """
    if name is None:
        return Listing({each: _note(each) for each in RECIPES})
    model = load(path_of(name), backend=backend)
    assert isinstance(model, Autoencoder)
    return model


def path_of(name: str) -> Path:
    """The file of a small model, as `minae.models.load` reads it. Raises InputError for another name."""
    recipe(name)
    return FOLDER / f"{name}.safetensors"


def recipe(name: str) -> Recipe:
    """The recipe of a small model. Raises InputError for another name."""
    if not isinstance(name, str) or name not in RECIPES:
        close = meant(name, RECIPES)
        raise InputError(f"no small model is called {name!r:.80}: choose one of {', '.join(RECIPES)}{close}")
    return RECIPES[name]


def _note(name):
    _, metadata = files.read(path_of(name))
    return metadata["note"] | {"bytes": path_of(name).stat().st_size}


@door(path=File(), rows=Count(lowest=100), epochs=Count(optional=True))
def train(
    name: str, path: Any, *, rows: int = ROWS, epochs: int | None = None, progress: bool | None = None
) -> dict[str, Any]:
    """Train a small model by its recipe, and write it to `path`. Returns what is measured of the stored model.

    rows, epochs: fewer of them make a quick trial; 6,000 rows or fewer are taken from the digits in the package
    progress:     as `fit` takes it

    Raises InputError for another name, and where nothing can be written.
    """
    kind, options, recommended, what = recipe(name)
    files.target(path)
    epochs = recommended if epochs is None else epochs
    X = data.mnist(full=rows > 6000).train[:rows]
    model = get_model(kind)(**options, backend="numpy")
    if isinstance(model, VectorQuantizedAutoencoder):
        model.start_codebook(X)
    steps = epochs * -(-len(X) // BATCH)
    optimizer = Adam(Cosine(2e-3, steps=steps))
    model.fit(X, epochs=epochs, batch_size=BATCH, optimizer=optimizer, progress=progress)
    shrink.save(model, path, BITS)
    digits = DIGITS if rows == ROWS else f"MNIST, {rows:,} training digits"
    note: dict[str, Any] = {
        "name": name,
        "what": what,
        "model": kind,
        "sizes": list(model.config["sizes"]),
        "data": digits,
    }
    note |= {"epochs": epochs, "seed": 0, **measured(load(path, backend="numpy"))}
    shrink.save(model, path, BITS, note=note)
    return note


def measured(model: Model) -> dict[str, float]:
    """J, L and the squared error ‖r − x‖², a mean over the 1,000 test digits of the package; and the share of them
    whose digit 10 neighbours among its 6,000 training digits name, by their codes."""
    digits = data.mnist()
    terms = model.evaluate(digits.test)
    errors = np.square(model.reconstruct(digits.test) - digits.test).sum(axis=1)
    codes = model.encode(digits.train), digits.train_labels, model.encode(digits.test), digits.test_labels
    return {
        "J": sum(model.weights[term] * value for term, value in terms.items()),
        "L": terms["L"],
        "squared error": float(errors.mean(dtype=float)),
        "10-NN": knn_accuracy(*codes, k=10),
    }

"""minae: autoencoders without automatic differentiation, to read beside the book.

    import minae

    digits = minae.data.mnist()
    model = minae.UndercompleteAutoencoder((784, 256, 30), activation="relu", code="identity")
    model.fit(digits.train, epochs=10)
    r = model.reconstruct(digits.test)
    print(minae.check_gradient(model, digits.test[:8]))

With `backend="cupy"` the same runs on the GPU. Symbols: minae/NOTATION.md. The models are the classes of minae/models.
Numba, Matplotlib, CuPy and SciPy load when they are first used.
"""

__version__ = "0.2.0.dev0"

import importlib

from minae import data, exact, training
from minae.checks import check_gradient, enumerated
from minae.errors import Diverged, InputError
from minae.models import Autoencoder, Model, exports, load

globals().update(exports())

LATE = {"check_effects": "minae.effects", "plots": "minae.plots", "pretrained": "minae.recipes"}  # when first used


def __getattr__(name):
    if name in LATE:
        module = importlib.import_module(LATE[name])
        return getattr(module, name, module)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["Autoencoder", "Diverged", "InputError", "Model", "check_effects", "check_gradient", "data", "enumerated",
           "exact", "load", "plots", "pretrained", "training", *exports()]  # fmt: skip

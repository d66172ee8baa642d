"""minae: autoencoders without automatic differentiation, to read beside the book.

    import minae

    digits = minae.data.mnist()
    model = minae.UndercompleteAutoencoder((784, 256, 30), activation="relu", code="identity")
    model.fit(digits.train, epochs=10)
    r = model.reconstruct(digits.test)
    print(minae.check_gradient(model, digits.test[:8]))

With `backend="cupy"` the same runs on the GPU. Symbols: minae/NOTATION.md. Numba, Matplotlib, CuPy and SciPy load when
they are first used.
"""

import os
import sys

__version__ = "0.1.0"

# OpenBLAS lets its threads spin for about 20 ms after each product, on the core that the next line of NumPy or Numba
# needs. They read this when NumPy loads; put back afterwards, so that nothing else in the process sees it.
if "numpy" not in sys.modules and "OPENBLAS_THREAD_TIMEOUT" not in os.environ:
    os.environ["OPENBLAS_THREAD_TIMEOUT"] = "4"
    import numpy  # noqa: F401

    del os.environ["OPENBLAS_THREAD_TIMEOUT"]

from minae import data, optimizers
from minae.autoencoders import Autoencoder, UndercompleteAutoencoder, load
from minae.checks import check_gradient
from minae.errors import Diverged, InputError

__all__ = [
    "Autoencoder",
    "Diverged",
    "InputError",
    "UndercompleteAutoencoder",
    "check_gradient",
    "data",
    "load",
    "optimizers",
]

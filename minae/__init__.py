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

__version__ = "0.1.0"

# minae's own products do not use OpenBLAS's threads, but its user's may. OpenBLAS lets them spin for 2²⁶ cycles after
# each product, some 20 ms, on a core that the next step needs; 2¹⁶ keep them awake from one product to the next.
# NumPy's and SciPy's OpenBLAS each read this when they load; kernels/README.md has what was measured.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "16")

# kernels/ and chapters/ are minae.kernels and minae.chapters. An installed package has them inside; in a checkout they
# stand beside minae/, and this finds them there.
_here = os.path.dirname(os.path.abspath(__file__))
if not os.path.isdir(os.path.join(_here, "kernels")):
    __path__.append(os.path.dirname(_here))

from minae import data, optimizers
from minae.autoencoders import (
    LISTA,
    Autoencoder,
    Classifier,
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    HigherOrderContractiveAutoencoder,
    KSparseAutoencoder,
    PredictiveSparseDecomposition,
    SemanticHashingAutoencoder,
    SparseAutoencoder,
    UndercompleteAutoencoder,
    VariationalAutoencoder,
    copy_encoder,
    load,
    pretrain,
)
from minae.checks import check_gradient
from minae.errors import Diverged, InputError

__all__ = [
    "LISTA",
    "Autoencoder",
    "Classifier",
    "ContractiveAutoencoder",
    "DenoisingAutoencoder",
    "Diverged",
    "HigherOrderContractiveAutoencoder",
    "InputError",
    "KSparseAutoencoder",
    "PredictiveSparseDecomposition",
    "SemanticHashingAutoencoder",
    "SparseAutoencoder",
    "UndercompleteAutoencoder",
    "VariationalAutoencoder",
    "check_gradient",
    "copy_encoder",
    "data",
    "load",
    "optimizers",
    "pretrain",
]

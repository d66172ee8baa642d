"""One variant a file; each file is one page of mathematics and its code."""

from minae.autoencoders.base import Autoencoder, Cost, load

from minae.autoencoders.undercomplete import UndercompleteAutoencoder  # isort: skip  (the order of the book)
from minae.autoencoders.sparse import SparseAutoencoder  # isort: skip
from minae.autoencoders.denoising import DenoisingAutoencoder  # isort: skip
from minae.autoencoders.variational import VariationalAutoencoder  # isort: skip
from minae.autoencoders.contractive import ContractiveAutoencoder  # isort: skip

__all__ = [
    "Autoencoder",
    "ContractiveAutoencoder",
    "Cost",
    "DenoisingAutoencoder",
    "SparseAutoencoder",
    "UndercompleteAutoencoder",
    "VariationalAutoencoder",
    "load",
]

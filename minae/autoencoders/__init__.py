"""One variant a file; each file is one page of mathematics and its code."""

from minae.autoencoders.base import Autoencoder, Cost, load

from minae.autoencoders.undercomplete import UndercompleteAutoencoder  # isort: skip  (the order of the book)
from minae.autoencoders.sparse import SparseAutoencoder  # isort: skip
from minae.autoencoders.k_sparse import KSparseAutoencoder  # isort: skip
from minae.autoencoders.denoising import DenoisingAutoencoder  # isort: skip
from minae.autoencoders.variational import VariationalAutoencoder  # isort: skip
from minae.autoencoders.contractive import ContractiveAutoencoder  # isort: skip
from minae.autoencoders.contractive_h import HigherOrderContractiveAutoencoder  # isort: skip
from minae.autoencoders.predictive_sparse import PredictiveSparseDecomposition  # isort: skip
from minae.autoencoders.lista import LISTA  # isort: skip
from minae.autoencoders.hashing import SemanticHashingAutoencoder  # isort: skip
from minae.autoencoders.classifier import Classifier  # isort: skip
from minae.autoencoders.stacked import copy_encoder, pretrain  # isort: skip

__all__ = [
    "LISTA",
    "Autoencoder",
    "Classifier",
    "ContractiveAutoencoder",
    "Cost",
    "DenoisingAutoencoder",
    "HigherOrderContractiveAutoencoder",
    "KSparseAutoencoder",
    "PredictiveSparseDecomposition",
    "SemanticHashingAutoencoder",
    "SparseAutoencoder",
    "UndercompleteAutoencoder",
    "VariationalAutoencoder",
    "copy_encoder",
    "load",
    "pretrain",
]

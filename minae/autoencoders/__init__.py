"""One variant a file; each file is one page of mathematics and its code."""

from minae.autoencoders.base import Autoencoder, Cost, load
from minae.autoencoders.undercomplete import UndercompleteAutoencoder

__all__ = ["Autoencoder", "Cost", "UndercompleteAutoencoder", "load"]

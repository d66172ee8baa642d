"""Data: the embedded MNIST sample, the full set, and readers for the user's own files."""

from .digits import Digits, cache_status, mnist
from .images import Whitening, natural_images, patches
from .preprocessing import Preprocessing
from .readers import Scaled, read
from .sprites import Factors, sprites

__all__ = ["Digits", "Factors", "Preprocessing", "Scaled", "Whitening", "cache_status", "mnist", "natural_images",
           "patches", "read", "sprites"]  # fmt: skip

"""Data: the embedded MNIST sample, the full set, and readers for the user's own files."""

from .digits import Digits, cache_status, mnist
from .images import Drawings, Whitening, kannada_digits, kodak, natural_images, omniglot, patches
from .preprocessing import Preprocessing
from .readers import Scaled, read
from .sprites import Factors, sprites

__all__ = ["Digits", "Drawings", "Factors", "Preprocessing", "Scaled", "Whitening", "cache_status", "kannada_digits",
           "kodak", "mnist", "natural_images", "omniglot", "patches", "read", "sprites"]  # fmt: skip

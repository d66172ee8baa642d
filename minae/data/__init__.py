"""Data: the embedded MNIST sample, the full set, and readers for the user's own files."""

from .digits import Digits, cache_status, mnist
from .images import Drawings, Whitening, kannada_digits, natural_images, omniglot, patches
from .preprocessing import Preprocessing
from .readers import Scaled, read
from .sprites import Factors, sprites
from .text import Descriptions, Vocabulary, descriptions, glosses

__all__ = ["Descriptions", "Digits", "Drawings", "Factors", "Preprocessing", "Scaled", "Vocabulary", "Whitening",
           "cache_status", "descriptions", "glosses", "kannada_digits", "mnist", "natural_images", "omniglot",
           "patches", "read", "sprites"]  # fmt: skip

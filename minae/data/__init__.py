"""Data: the embedded MNIST sample, the full set, and readers for the user's own files."""

from .digits import Digits, cache_status, mnist
from .images import Whitening, natural_images, patches
from .readers import Scaled, read

__all__ = ["Digits", "Scaled", "Whitening", "cache_status", "mnist", "natural_images", "patches", "read"]

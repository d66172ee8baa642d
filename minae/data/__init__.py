"""Data: the embedded MNIST sample, the full set, and readers for the user's own files."""

from .digits import Digits, cache_status, mnist
from .readers import Scaled, read

__all__ = ["Digits", "Scaled", "cache_status", "mnist", "read"]

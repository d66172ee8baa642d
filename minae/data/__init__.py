"""Data: the embedded MNIST sample, the full set, and readers for the user's own files."""

from .digits import Digits, cache_status, mnist
from .images import Drawings, Whitening, kannada_digits, kodak, natural_images, omniglot, patches
from .preprocessing import Preprocessing
from .readers import Scaled, Shards, read
from .speech import Speech, griffin_lim, log_mel, read_wav, spoken_digits, write_wav
from .sprites import Factors, sprites
from .tables import TableEncoding, labels, read_columns, responses
from .text import Descriptions, Vocabulary, descriptions, glosses

__all__ = ["Descriptions", "Digits", "Drawings", "Factors", "Preprocessing", "Scaled", "Shards", "Speech",
           "TableEncoding", "Vocabulary", "Whitening", "cache_status", "descriptions", "glosses", "griffin_lim",
           "kannada_digits", "kodak", "labels", "log_mel", "mnist", "natural_images", "omniglot", "patches", "read",
           "read_columns", "read_wav", "responses", "spoken_digits", "sprites", "write_wav"]  # fmt: skip

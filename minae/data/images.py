"""Photographs, digits and characters from the user's folder, and small square patches of any grey images, whitened."""

import os
from typing import Any, NamedTuple

import numpy as np

from .. import options
from ..errors import InputError
from ..fields import host_array
from .idx import at_home, one_line, scaled

NATURAL = "natural_images/kodak24_gray_512x768.npz"
KANNADA = "kannada_mnist/kannada_mnist_10k.npz"
KODAK = "kodak_colour/kodak24_rgb_256x384.npz"
OMNIGLOT = "omniglot_small/omniglot_small.npz"


class Drawings(NamedTuple):
    """Drawings of characters. images: float32 in [0, 1], (n, 784);  character, drawer, alphabet: (n,), from 0 on;
    alphabets: their names"""

    images: np.ndarray
    character: np.ndarray
    drawer: np.ndarray
    alphabet: np.ndarray
    alphabets: list[str]


def natural_images() -> np.ndarray:
    """24 grey photographs (Kodak), uint8 (24, 512, 768), from the folder `$MINAE_DATA`; they do not ship with minae."""
    advice = f"put them, an array (images, height, width), into MINAE_DATA/{NATURAL}, or use patches of digits"
    return _arrays(NATURAL, "X", "natural images", advice)[0]


def kodak() -> np.ndarray:
    """24 colour photographs (Kodak), uint8 (24, 256, 384, 3), from the folder `$MINAE_DATA`; they do not ship with
    minae."""
    advice = f"put them, an array images (24, 256, 384, 3), into MINAE_DATA/{KODAK}"
    return _arrays(KODAK, "images", "colour photographs", advice)[0]


def kannada_digits() -> tuple[np.ndarray, np.ndarray]:
    """Handwritten digits of the Kannada script (Prabhu 2019), in the order of their writers: float32 (n, 784) in [0, 1]
    with ink bright as in MNIST, and labels (n,). They come from the folder `$MINAE_DATA` and do not ship with minae.
    """
    advice = f"put arrays images (n, 28, 28) and labels (n,) into MINAE_DATA/{KANNADA}, or use other digits"
    images, labels = _arrays(KANNADA, "images labels", "Kannada digits", advice)
    return scaled(_rows(images, labels, KANNADA), 255), labels.astype(int)


def omniglot() -> "Drawings":
    """Drawings of the characters of several alphabets, each by the same 20 persons (Lake et al. 2015), as `Drawings`.
    They come from the folder `$MINAE_DATA` and do not ship with minae."""
    advice = f"put arrays images28, char, drawer, char_alphabet, alphabet_names into MINAE_DATA/{OMNIGLOT}"
    names = "images28 char drawer char_alphabet alphabet_names"
    images, char, drawer, alphabet, alphabets = _arrays(OMNIGLOT, names, "drawings of characters", advice)
    rows = scaled(_rows(images, char, OMNIGLOT), 255)
    if drawer.shape != char.shape or char.max() >= len(alphabet) or alphabet.max() >= len(alphabets):
        raise InputError(
            f"MINAE_DATA/{OMNIGLOT} has drawer {drawer.shape}, char to {char.max()}, {len(alphabet)} characters and "
            f"{len(alphabets)} alphabets, which do not fit: copy it again"
        )
    char = char.astype(int)
    return Drawings(rows, char, drawer.astype(int), alphabet[char].astype(int), [str(name) for name in alphabets])


def _arrays(file, names, kind, advice):
    """The arrays of these names in a file of the user's folder, or one line that says what is missing."""
    folder = os.environ.get("MINAE_DATA")
    path = at_home(folder) / file if folder else None
    if path is None or not path.is_file():
        missing = "MINAE_DATA is not set" if path is None else f"no file {str(path)!r}"
        raise InputError(f"there are no {kind}: {missing}; {advice}")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return [arrays[name] for name in names.split()]
    except Exception as e:  # NumPy raises anything on a damaged file
        many = f"arrays {', '.join(names.split())}" if " " in names else f"an array {names}"
        raise InputError(f"cannot read {str(path)!r}: {one_line(e)}; expected {many}: copy it again") from e


def _rows(images, labels, file):
    """Images (n, 28, 28) as rows (n, 784), with a label for each."""
    if images.ndim != 3 or images.shape[1:] != (28, 28) or images.dtype != np.uint8 or labels.shape != images.shape[:1]:
        raise InputError(
            f"MINAE_DATA/{file} has images {images.dtype} {images.shape} and labels {labels.shape}: expected uint8 "
            "(n, 28, 28) and (n,)"
        )
    return images.reshape(len(images), 784)


@options.door(size=options.Count(), count=options.Count(), contrast=options.Number(low=0))
def patches(images: Any, size: int, count: int, rng: np.random.Generator, contrast: float = 0.0) -> np.ndarray:
    """`count` patches of size × size at random places of images (k, height, width):  -> float32 (count, size²).

    rng: a NumPy generator;  contrast: least standard deviation of a patch, to leave out blank ones
    """
    images = host_array(images, "images", "an array (images, height, width)")
    if not isinstance(rng, np.random.Generator):
        raise InputError(f"rng is {rng!r}: expected a generator, such as numpy.random.default_rng(0)")
    if images.ndim != 3 or len(images) == 0 or not 1 <= size <= min(images.shape[1:]) or count < 1:
        raise InputError(
            f"images has shape {images.shape}, size is {size} and count {count}: expected (images, height, width), "
            "a size that fits into them and count ≥ 1"
        )
    windows = np.lib.stride_tricks.sliding_window_view(images, (size, size), axis=(1, 2))
    chosen, rows = [], 0
    for _ in range(100):
        X = windows[tuple(rng.integers(n, size=count) for n in windows.shape[:3])]
        X = X.reshape(count, size * size).astype(np.float32)
        chosen.append(X[X.std(axis=1) >= contrast])
        rows += len(chosen[-1])
        if rows >= count:
            return np.concatenate(chosen)[:count]
    raise InputError(f"contrast is {contrast:g} and hardly a patch has that standard deviation: give a smaller one")


class Whitening:
    """Each patch p without its mean and with variance 1; then x = (p − μ) U (E + ε I)^(−½) Uᵀ / scale.

    U E Uᵀ is the covariance of the patches X that it is made from, and scale makes their mean variance 1. ε, in units
    of a pixel's variance, keeps the smallest eigenvalues, which are those of the noise, from being blown up.
    """

    @options.door(X=options.Array(2), epsilon=options.Positive())
    def __init__(self, X: Any, epsilon: float = 1.0):
        p = self._normalised(X)
        self.mu, (E, U) = p.mean(axis=0), np.linalg.eigh(np.cov(p.T))
        whiten = U / np.sqrt(np.maximum(E, 0) + epsilon) @ U.T
        self.matrix = (whiten / ((p - self.mu) @ whiten).std()).astype(np.float32)

    @options.door(X=options.Array(2))
    def __call__(self, X: Any) -> np.ndarray:
        if X.shape[1] != len(self.mu):
            raise InputError(f"X has shape {X.shape}: expected (rows, {len(self.mu)}), as the patches it was made from")
        return (self._normalised(X) - self.mu) @ self.matrix

    @staticmethod
    def _normalised(X):
        p = X - X.mean(axis=1, keepdims=True)
        return p / np.maximum(p.std(axis=1, keepdims=True), 1e-6)

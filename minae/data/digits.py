"""MNIST: a sample that ships with the package, and the full set from a folder, the cache or a mirror."""

import hashlib
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import files, options
from ..errors import InputError
from .idx import at_home, parse_idx, scaled, unpacked

SAMPLE = Path(__file__).with_name("mnist_sample.npz")
MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
FILES = {  # what it holds: (name, SHA-256 of the decompressed file)
    "train": ("train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    "train_labels": ("train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    "test": ("t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    "test_labels": ("t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
}


class Digits(NamedTuple):
    """Images: float32 in [0, 1], (n, 784). Labels: uint8, (n,)."""

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray


@options.door(full=options.Flag())
def mnist(full: bool = False) -> Digits:
    """MNIST's digits: every tenth row of each set, which ships with the package, or the full 60,000 and 10,000.

    The full set is looked for in the folder `$MINAE_DATA`, then in the cache (`$MINAE_CACHE`, or the system's cache
    folder), then downloaded into the cache. Wherever a file comes from, its SHA-256 is checked.
    """
    train, train_labels, test, test_labels = (raw_array(key, full) for key in Digits._fields)
    return Digits(scaled(train, 255), train_labels, scaled(test, 255), test_labels)


def raw_array(key: str, full: bool) -> np.ndarray:
    """One of the four arrays, a field's name of `Digits`, as the uint8 it is stored in: (n, 784) or (n,)."""
    if full:
        name, digest = FILES[key]
        X = parse_idx(_full_file(name, digest), name)
        return X.reshape(len(X), -1) if X.ndim > 1 else X
    try:
        with np.load(SAMPLE, allow_pickle=False) as sample:
            return sample[key]
    except Exception as e:
        raise InputError(f"the sample {str(SAMPLE)!r} is missing or damaged: install minae again") from e


def cache_status() -> dict[str, Any]:
    """Where the digits are: for each of the four files its path (None: not found) and whether its checksum fits."""
    files = {}
    for name, digest in FILES.values():
        path = _user_file(name) or next((p for p in [_cache_file(name)] if _is_file(p)), None)
        files[name] = {"path": path and str(path), "ok": path is not None and _checked(path, digest) is not None}
    cache, data = str(_cache_folder()), os.environ.get("MINAE_DATA") or None
    return {"cache": cache, "MINAE_DATA": data, "sample": SAMPLE.is_file(), "files": files}


def _full_file(name, digest):
    """The decompressed bytes of one file of the full set."""
    if path := _user_file(name):
        raw = _checked(path, digest)
        if raw is None:
            raise InputError(
                f"{str(path)!r} is damaged or another file (its decompressed SHA-256 is not {digest[:8]}…, MNIST's): "
                "replace it, or unset MINAE_DATA to download it"
            )
        return raw
    path = _cache_file(name)
    raw = _checked(path, digest) if _is_file(path) else None  # a damaged one stays until a good one replaces it
    if raw is not None:
        return raw
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.claimed(path, "another process downloads", wait=True):
            raw = _checked(path, digest) if _is_file(path) else None  # by the one that was waited for
            return _download(name, digest, path) if raw is None else raw
    except OSError as e:
        raise InputError(
            f"cannot write to the cache folder {str(path.parent)!r} ({e.strerror}): set MINAE_CACHE to another folder"
        ) from e


def _user_file(name):
    folder = os.environ.get("MINAE_DATA")
    places = [f"mnist/{name}.gz", f"mnist/{name}", f"{name}.gz", name] if folder else []
    return next((p for p in (at_home(folder) / place for place in places) if _is_file(p)), None)


def _is_file(path):
    return os.path.isfile(path)


def _cache_folder():
    if folder := os.environ.get("MINAE_CACHE"):
        return at_home(folder)
    import pooch

    return Path(pooch.os_cache("minae"))


def _cache_file(name):
    return _cache_folder() / "mnist" / f"{name}.gz"


def _checked(path, digest):
    """The decompressed bytes of a file, or None if it cannot be read or its sum does not fit."""
    try:
        raw = unpacked(path)
    except InputError:
        return None
    return raw if hashlib.sha256(raw).hexdigest() == digest else None


def _download(name, digest, path):
    """Fetch beside `path`, check, and only then rename onto it; returns the decompressed bytes."""
    import pooch

    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    fetch = pooch.HTTPDownloader(progressbar=True)
    reasons = ["the cached file is damaged"] if path.exists() else []
    try:
        part.touch()
        for mirror in MIRRORS:
            try:
                fetch(f"{mirror}{name}.gz", str(part), None)
            except OSError as e:  # every error of requests is one
                reasons.append(e.strerror or type(e).__name__)
                continue
            if (raw := _checked(part, digest)) is not None:
                os.replace(part, path)
                return raw
            reasons.append("wrong checksum")
    finally:
        part.unlink(missing_ok=True)
    raise InputError(
        f"cannot download MNIST's {name}.gz ({', '.join(reasons)}): put the four files under MINAE_DATA/mnist, "
        "or run on the sample that ships with minae"
    )

"""The user's own data: `read(path)` gives a 2-D array whose rows are examples."""

import csv
import math
import numbers
import os
import reprlib

import numpy as np

from ..errors import InputError
from .digits import raw_array
from .idx import GZIP, at_home, is_idx, one_line, parse_idx, scaled, unpacked

IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}
NAMES = ("X", "x", "data", "train")  # the array of an .npz that holds several
LARGEST = float(np.finfo(np.float32).max)
KNOWN = ".npy, .npz, .csv, IDX (plain or .gz), a folder of images, or the names 'mnist' and 'sample'"


def read(path, scale=None, images=False):
    """A 2-D array, rows are examples, from .npy, .npz, .csv, IDX (plain or gzipped) or a folder of images.

    The names "mnist" and "sample" give the training images of the full MNIST and of the embedded sample. A .npy stays
    on disk (memory-mapped). Arrays of more dimensions are flattened to (n, -1). `scale` divides, into float32: by
    default 255 for images and bytes in IDX, and nothing elsewhere; a memory map is divided row by row, when read.

    With `images`, examples keep their axes, channels first: (n, C, H, W), from arrays (n, H, W), (n, C, H, W) or (n, H,
    W, C), from rows whose length is a square, and from a folder, whose images keep their colour.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(f"path is {reprlib.repr(path)}: expected a file's name, {KNOWN}")
    if scale is not None and not (isinstance(scale, numbers.Real) and 0 < scale < float("inf")):
        raise InputError(f"scale is {reprlib.repr(scale)}: expected a positive, finite number, such as 255")
    try:
        X, default = _load(path, images)
    except OSError as e:
        raise InputError(f"cannot open {os.fspath(path)!r}: {one_line(e)}; check the path and its permissions") from e
    X = _planes(_numbers(X, path), path) if images else _rows(_numbers(X, path))
    if scale is None:
        scale = default
    if isinstance(X, np.memmap):
        return X if scale is None and X.dtype.isnative else Scaled(X, scale or 1)
    return X if scale is None else scaled(X, scale)


class Scaled:
    """X / scale, float32, computed for the rows that are asked for: a memory map stays on disk."""

    dtype = np.dtype(np.float32)

    def __init__(self, X, scale):
        self.X, self.scale, self.shape, self.ndim = X, scale, X.shape, X.ndim

    def __len__(self):
        return len(self.X)

    def __getitem__(self, rows):
        return scaled(self.X[rows], self.scale)

    def __array__(self, dtype=None, copy=None):
        return self[:].astype(dtype or self.dtype, copy=False)


def _load(path, colour=False):
    """The array in a file or folder, and the scale that is usual for its kind."""
    if isinstance(path, str) and path in ("mnist", "sample"):
        return raw_array("train", full=path == "mnist"), 255
    path = at_home(path)
    if not os.path.exists(path):
        raise InputError(f"there is no file {str(path)!r}: expected {KNOWN}; check the path")
    if path.is_dir():
        return _images(path, colour), 255
    suffix = path.suffix.lower()
    if suffix in (".npy", ".npz", ".csv"):
        try:
            return {".npy": _npy, ".npz": _npz, ".csv": _csv}[suffix](path), None
        except InputError:
            raise
        except Exception as e:  # the libraries raise anything on a damaged file
            raise InputError(f"cannot read {str(path)!r} as {suffix}: {one_line(e)}; write it again") from e
    with path.open("rb") as f:
        head = f.read(4)
    raw = unpacked(path) if is_idx(head) or head.startswith(GZIP) else b""
    if not is_idx(raw):
        raise InputError(f"{str(path)!r} is of an unknown kind: expected {KNOWN}")
    X = parse_idx(raw, path)
    return X, 255 if X.dtype == np.uint8 else None


def _numbers(X, path):
    """X, or an error if it is no table of real numbers."""
    name = repr(os.fspath(path))
    if X.dtype.kind not in "buif":
        raise InputError(f"{name} holds an array of dtype {X.dtype}: expected real numbers; convert it with astype")
    if X.size == 0:
        raise InputError(f"{name} holds an empty array of shape {X.shape}: expected at least one row and one column")
    if X.ndim < 2:
        raise InputError(
            f"{name} holds an array of shape {X.shape}: expected two dimensions, rows are examples; reshape it"
        )
    return X


def _rows(X):
    """X as (n, -1); a memory map in C order stays one."""
    return X if X.ndim == 2 else X.reshape(len(X), -1)


def _planes(X, path):
    """X as images (n, C, H, W)."""
    side = math.isqrt(X.shape[1])
    if X.ndim == 2 and side * side == X.shape[1]:
        return X.reshape(len(X), 1, side, side)
    if X.ndim == 3:
        return X[:, None]
    if X.ndim == 4:
        last = X.shape[3] in (1, 3, 4) and X.shape[1] not in (1, 3, 4)
        return X.transpose(0, 3, 1, 2) if last else X
    raise InputError(
        f"{os.fspath(path)!r} holds an array of shape {X.shape}: expected images (n, H, W), (n, C, H, W) or "
        "(n, H, W, C), or rows whose length is a square"
    )


def _npy(path):
    return np.lib.format.open_memmap(path, mode="r")


def _npz(path):
    with path.open("rb") as f, np.load(f, allow_pickle=False) as arrays:
        keys = list(arrays)
        chosen = keys if len(keys) == 1 else [key for key in keys if key in NAMES]
        if len(chosen) != 1:
            raise InputError(
                f"{str(path)!r} holds the arrays {reprlib.repr(keys)}: expected a single one, or one that is named "
                f"{', '.join(NAMES)}; save it alone"
            )
        return np.asarray(arrays[chosen[0]])


def _csv(path):
    """Numbers between commas; a first line without any number is a header."""
    with path.open(encoding="utf-8-sig", newline="") as f:
        lines = csv.reader(f)
        first = next((row for row in lines if row), [])
        header = any(map(str.strip, first)) and all(_value(field) is None for field in first)
        skip = lines.line_num if header else 0
        if not first or (header and not any(lines)):
            raise InputError(f"{str(path)!r} holds no rows of numbers: expected numbers between commas")
        f.seek(0)
        try:
            X = np.loadtxt(f, np.float32, comments=None, delimiter=",", skiprows=skip, quotechar='"', ndmin=2)
            if np.isfinite(X).all():
                return X
        except ValueError as e:
            problem = one_line(e)
        else:
            problem = "it holds infinite numbers"
        f.seek(0)
        raise InputError(f"{str(path)!r}: {_first_fault(f, skip) or problem}; correct the file")


def _first_fault(f, skip):
    """Which line and column of a CSV file is wrong, in words."""
    lines, width = csv.reader(f), None
    for row in lines:
        if not row or lines.line_num <= skip:
            continue
        where, width = f"row {lines.line_num}", width or len(row)
        for j, field in enumerate(row, 1):
            value = _value(field)
            if value is None or not abs(value) <= LARGEST:
                return f"{where}, column {j} is {reprlib.repr(field)} (the first line is row 1): expected a number"
        if len(row) != width:
            return f"{where} has {len(row)} columns: expected {width}, as in the rows before"
    return None


def _value(field):
    """The number in a field, or None."""
    try:
        return None if "_" in field else float(field)
    except ValueError:
        return None


def _images(folder, colour=False):
    """The images of a folder in the order of their names, as bytes: greyscale (n, height, width), or with `colour`,
    where the first of them has colours, (n, height, width, 3)."""
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGES and not p.name.startswith("."))
    if not paths:
        raise InputError(f"the folder {str(folder)!r} holds no images: expected {', '.join(sorted(IMAGES))}")
    from PIL import Image

    for i, path in enumerate(paths):
        try:
            with Image.open(path) as image:
                mode = image.mode
                image = image.convert("RGBA") if mode == "P" else image  # a palette may carry transparency
                if i == 0:
                    kind = "RGB" if colour and mode not in ("1", "L", "LA") else "L"
                pixels = np.asarray(image.convert(kind))
        except Exception as e:  # Pillow raises anything on a damaged file
            raise InputError(f"cannot read the image {str(path)!r}: {one_line(e)}; remove or replace it") from e
        if mode[0] in "IF":
            raise InputError(
                f"the image {str(path)!r} is of Pillow's mode {mode}: expected 8 bits a channel; convert it"
            )
        if i == 0:
            X = np.empty((len(paths), *pixels.shape), np.uint8)
        if pixels.shape != X.shape[1:]:
            raise InputError(
                f"the image {str(path)!r} has {pixels.shape[1]} x {pixels.shape[0]} pixels, but {paths[0].name!r} has "
                f"{X.shape[2]} x {X.shape[1]}: expected one size; resize or remove it"
            )
        X[i] = pixels
    return X

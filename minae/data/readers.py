"""The user's own data: `read(path)` gives a 2-D array whose rows are examples."""

import csv
import io
import itertools
import math
import os
import reprlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .. import options
from ..errors import InputError, warn
from .digits import raw_array
from .idx import GZIP, at_home, is_idx, one_line, parse_idx, scaled, unpacked
from .speech import recordings
from .text import is_text

IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}
NAMES = ("X", "x", "data", "train")  # the array of an .npz that holds several
LARGEST = float(np.finfo(np.float32).max)
TEXT = {".csv": ",", ".tsv": "\t"}
KNOWN = (
    ".npy, .npz, .mat, .csv or .tsv (.gz too), IDX (.gz too), an image, a folder of images, a .wav, a folder of .wav, "
    "a folder of .npy, or the names 'mnist' and 'sample'"
)
SCALE = options.Positive()
SCALE.name = "scale"


@options.door(images=options.Flag(), array=options.Word(optional=True))
def read(
    path: str | os.PathLike[str],
    scale: float | None = None,
    images: bool = False,
    *,
    array: str | None = None,
    drop: Any = (),
) -> Any:
    """A 2-D array, rows are examples, from a table (.npy, .npz, .csv, .tsv, .mat), IDX, an image or a folder of images,
    a .wav or a folder of .wav, or a folder of .npy, see `Shards`.

    The names "mnist" and "sample" give the training images of the full MNIST and of the embedded sample. A text or IDX
    file may be gzipped. A .npy stays on disk (memory-mapped). Arrays of more dimensions are flattened to (n, -1).
    `scale` divides, into float32: by default 255 for images and bytes in IDX, and nothing elsewhere; a memory map is
    divided row by row, when read.

    Of sound, the rows are log-mel frames, one every 10 ms, those of one recording after those of the one before; see
    `minae.data.speech`, whose `recordings` keeps them apart.

    With `images`, examples keep their axes, channels first: (n, C, H, W), from arrays (n, H, W), (n, C, H, W) or (n, H,
    W, C), from rows whose length is a square, and from a folder, whose images keep their colour.

    array: name of the array in a .npz or .mat that holds several;  drop: columns of a table to leave out, by their name
    in the header, or by their number from 1 on
    """
    X, usual = raw(path, images, array, drop)
    return divided(X, usual if scale is None else SCALE.checked(scale))


def raw(
    path: str | os.PathLike[str], images: bool = False, array: str | None = None, drop: Any = ()
) -> tuple[Any, float | None]:
    """What `read` gives, undivided, and the scale that is usual for its kind, or None."""
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(f"path is {reprlib.repr(path)}: expected a file's name, {KNOWN}")
    drop = [drop] if isinstance(drop, str | int) else list(drop) if isinstance(drop, list | tuple) else [drop]
    try:
        X, usual = _load(path, images, array, drop)
    except OSError as e:
        raise InputError(f"cannot open {os.fspath(path)!r}: {one_line(e)}; check the path and its permissions") from e
    X = _numbers(X, path)
    return _planes(X, path) if images else _rows(X), usual


def divided(X: Any, scale: float | None) -> Any:
    """X / scale; what lies on disk is divided when it is read."""
    if isinstance(X, np.memmap | Lazy):
        return X if scale is None and X.dtype.isnative else Scaled(X, scale or 1)
    return X if scale is None else scaled(X, scale)


class Lazy:
    """An array (rows, …) of which only those rows are read that are asked for; what they lie in stays on disk."""

    shape: tuple[int, ...]
    dtype: Any

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def __array__(self, dtype=None, copy=None):
        return self[:].astype(dtype or self.dtype, copy=False)


class Scaled(Lazy):
    """(X − shift) / scale, float32, computed for the rows that are asked for: a memory map stays on disk."""

    dtype = np.dtype(np.float32)

    def __init__(self, X: Any, scale: Any, shift: Any = None):
        self.X, self.shape = X, X.shape
        self.scale, self.shift = scale, shift

    def __getitem__(self, rows: Any) -> np.ndarray:
        if self.shift is None:
            return scaled(self.X[rows], self.scale)
        return ((self.X[rows] - self.shift) / self.scale).astype(np.float32)


class Shards(Lazy):
    """The rows of all .npy files of a folder, in the order of their names, as one array that stays on disk.

    `fit` takes it as it takes an array: rows are drawn from all files in one order. Where that would jump about on a
    slow disk, or where each rank of several has files of its own, `stream` goes through file after file.

    Raises InputError for a folder without .npy files, and for files whose rows are of different shapes or types.
    """

    def __init__(self, folder: str | os.PathLike[str], parts: Any = None):
        self.folder = at_home(folder)
        if parts is None:
            parts = [_numbers(_whole(path, _npy), path) for path in self._paths()]
        self.parts, first = parts, parts[0]
        for k, part in enumerate(parts):
            if part.shape[1:] != first.shape[1:] or part.dtype != first.dtype:
                names = [path.name for path in self._paths()]
                raise InputError(
                    f"{names[k]} has rows {part.dtype} {part.shape[1:]} and {names[0]} {first.dtype} "
                    f"{first.shape[1:]}: expected files of one kind in {str(self.folder)!r}"
                )
        self.dtype, self.ends = first.dtype, np.cumsum([len(part) for part in parts])
        self.shape = (int(self.ends[-1]), *first.shape[1:])

    def _paths(self):
        if not self.folder.is_dir():
            raise InputError(f"{str(self.folder)!r} is no folder: expected a folder of .npy files")
        paths = sorted(path for path in self.folder.iterdir() if path.suffix.lower() == ".npy")
        if not paths:
            raise InputError(f"{str(self.folder)!r} has no .npy files: expected one or more, of rows of one kind")
        return paths

    def __getitem__(self, rows: Any) -> Any:
        rows = np.arange(len(self))[rows]  # so that slices, masks, and rows out of range are as NumPy has them
        if rows.ndim == 0:
            return self[rows[None]][0]
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        which = np.searchsorted(self.ends, rows, side="right")
        for k in np.unique(which):
            mine = which == k
            out[mine] = self.parts[k][rows[mine] - (self.ends[k] - len(self.parts[k]))]
        return out

    def each(self, function: Callable[..., Any]) -> Any:
        """The shards of function(part)."""
        return Shards(self.folder, [function(part) for part in self.parts])

    @options.door(
        batch_size=options.Count(), seed=options.Count(lowest=0), rank=options.Count(lowest=0), size=options.Count(),
        passes=options.Count(optional=True),
    )  # fmt: skip
    def stream(
        self, batch_size: int = 128, seed: int = 0, rank: int = 0, size: int = 1, passes: int | None = None
    ) -> Iterator[Any]:
        """Batches of rows, one file after the other, for `fit_stream`; without an end, or for so many passes.

        The files come in an order that is drawn anew for each pass, and so do the rows of a file. Rank r of `size` has
        the files r, r + size, …; the rows behind the last full batch of a file go before those of the next one.
        """
        own = list(range(rank, len(self.parts), size))
        if not own:
            raise InputError(
                f"{str(self.folder)!r} has {len(self.parts)} files for {size} ranks: give one or more each"
            )
        rest = np.empty((0, *self.shape[1:]), self.dtype)
        for turn in itertools.count() if passes is None else range(passes):
            rng = np.random.default_rng([seed, turn])
            for k in rng.permutation(own):
                order = rng.permutation(len(self.parts[k]))
                for start in range(0, len(order), batch_size):
                    rows = np.sort(order[start : start + batch_size])  # the order within a batch is of no matter
                    rest = np.concatenate([rest, self.parts[k][rows]])
                    if len(rest) >= batch_size:
                        yield rest[:batch_size]
                        rest = rest[batch_size:]
        if len(rest):
            yield rest


def _load(path, colour, array, drop):
    """The array in a file or folder, and the scale that is usual for its kind."""
    if isinstance(path, str) and path in ("mnist", "sample"):
        X, usual, kind = raw_array("train", full=path == "mnist"), 255, path
    else:
        path = at_home(path)
        if not os.path.exists(path):
            raise InputError(f"there is no file {str(path)!r}: expected {KNOWN}; check the path")
        X, usual, kind = _open(path, colour, array, drop)
    if array is not None and kind not in (".npz", ".mat"):
        raise InputError(f"{os.fspath(path)!r} holds one array: leave out the name {array!r}")
    if drop and isinstance(X, Shards):
        raise InputError(f"{os.fspath(path)!r} is a folder of .npy, whose columns stay: leave out drop (--drop)")
    if drop and kind not in TEXT:
        numbers = _numbered(drop, None, math.prod(X.shape[1:]), path)
        X = np.delete(X.reshape(len(X), -1), numbers, axis=1)
    return X, usual


def _open(path, colour, array, drop):
    """The array in a file, its usual scale, and its kind."""
    suffix = path.suffix.lower()
    if suffix == ".gz" and Path(path.stem).suffix.lower() in TEXT:
        suffix = Path(path.stem).suffix.lower()
    if suffix == ".wav" or (path.is_dir() and any(p.suffix.lower() == ".wav" for p in path.iterdir())):
        return np.concatenate(recordings(path)), None, suffix or "folder"
    if path.is_dir() and any(p.suffix.lower() == ".npy" for p in path.iterdir()):
        return Shards(path), None, "folder of .npy"
    if path.is_dir():
        return _images(path, colour), 255, "folder"
    if suffix in IMAGES:
        return _images(path, colour), 255, suffix
    readers = {".npy": _npy, ".npz": lambda path: _npz(path, array), ".mat": lambda path: _mat(path, array)}
    readers |= {kind: lambda path, comma=comma: _text(path, comma, drop) for kind, comma in TEXT.items()}
    if suffix in readers:
        return _whole(path, readers[suffix]), None, suffix
    with path.open("rb") as f:
        head = f.read(4)
    raw = unpacked(path) if is_idx(head) or head.startswith(GZIP) else b""
    if not is_idx(raw):
        hint = "; a language model learns from text, line by line (--model language)" if is_text(path) else ""
        raise InputError(f"{str(path)!r} is of an unknown kind: expected {KNOWN}{hint}")
    X = parse_idx(raw, path)
    return X, 255 if X.dtype == np.uint8 else None, "idx"


def _whole(path, reader):
    """What the reader makes of a file, or one line."""
    try:
        return reader(path)
    except InputError:
        raise
    except Exception as e:  # the libraries raise anything on a damaged file
        suffix = path.suffix.lower()
        raise InputError(f"cannot read {str(path)!r} as {suffix}: {one_line(e)}; write it again") from e


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
    if isinstance(X, Shards):
        return X.each(_rows)
    return X if X.ndim == 2 else X.reshape(len(X), -1)


def _planes(X, path):
    """X as images (n, C, H, W)."""
    if isinstance(X, Shards):
        return X.each(lambda part: _planes(part, path))
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


def _npz(path, name):
    with path.open("rb") as f, np.load(f, allow_pickle=False) as arrays:
        return np.asarray(arrays[_chosen(list(arrays), name, path)])


def _mat(path, name):
    """An array of a MATLAB file (up to version 7.2)."""
    from scipy.io import loadmat, whosmat

    return loadmat(path, variable_names=[name := _chosen([key for key, *_ in whosmat(path)], name, path)])[name]


def _chosen(keys, name, path):
    """Which of several arrays is meant."""
    if name is not None and name not in keys:
        raise InputError(f"{str(path)!r} has no array {name!r}: it holds {reprlib.repr(keys)}")
    chosen = keys if len(keys) == 1 else [key for key in keys if key in ([name] if name else NAMES)]
    if len(chosen) != 1:
        raise InputError(
            f"{str(path)!r} holds the arrays {reprlib.repr(keys)}: say which one (--array NAME), or name it "
            f"{', '.join(NAMES)}"
        )
    return chosen[0]


def _text(path, comma, drop):
    """Numbers between commas or tabs; a first line without any number is a header."""
    with io.StringIO(unpacked(path).decode("utf-8-sig"), newline="") as f:
        lines = csv.reader(f, delimiter=comma)
        first = next((row for row in lines if row), [])
        header = any(map(str.strip, first)) and all(_value(field) is None for field in first)
        skip = lines.line_num if header else 0
        if not first or (header and not any(lines)):
            raise InputError(f"{str(path)!r} holds no rows of numbers: expected numbers between commas or tabs")
        names = [name.strip() for name in first] if header else None
        left_out = set(_numbered(drop, names, len(first), path))
        columns = [k for k in range(len(first)) if k not in left_out]
        f.seek(0)
        settings = dict(comments=None, delimiter=comma, skiprows=skip, quotechar='"', ndmin=2)
        try:
            X = np.loadtxt(f, np.float32, usecols=columns if left_out else None, **settings)
            if np.isfinite(X).all():
                if not header and len(X) > 1 and _looks_like_a_header(first):
                    warn(
                        f"{str(path)!r}: the first line, {reprlib.repr(comma.join(first))}, counts its columns as a "
                        "header does, and is read as an example; delete it if it is none"
                    )
                return X
        except ValueError as e:
            problem = one_line(e)
        else:
            problem = "it holds infinite numbers"
        f.seek(0)
        raise InputError(f"{str(path)!r}: {_first_fault(f, skip, comma, left_out) or problem}; correct the file")


def _looks_like_a_header(first):
    """Whether the fields are 0, 1, 2, … or 1, 2, 3, …, as a frame without names writes its header."""
    values = [_value(field) for field in first]
    return len(values) > 1 and values in ([*range(len(values))], [*range(1, len(values) + 1)])


def _numbered(drop, names, width, path):
    """The numbers, from 0 on, of columns that are given by name, or by number from 1 on."""
    numbers = []
    for column in drop:
        if names is not None and column in names:
            numbers.append(names.index(column))
        elif str(column).isdecimal() and 1 <= int(column) <= width:
            numbers.append(int(column) - 1)
        else:
            known = f"{reprlib.repr(names)}, or " if names else ""
            name = os.fspath(path)
            raise InputError(f"{name!r} has no column {column!r}: expected {known}a number from 1 to {width}")
    if len(set(numbers)) == width:
        raise InputError(f"all {width} columns of {os.fspath(path)!r} are left out: keep one")
    return numbers


def _first_fault(f, skip, comma, left_out):
    """Which line and column of a text file is wrong, in words."""
    lines, width = csv.reader(f, delimiter=comma), None
    for row in lines:
        if not row or lines.line_num <= skip:
            continue
        where, width = f"row {lines.line_num}", width or len(row)
        for j, field in enumerate(row, 1):
            value = 0 if j - 1 in left_out else _value(field)
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


def _images(path, colour=False):
    """An image, or those of a folder in the order of their names, as bytes: greyscale (n, height, width), or with
    `colour`, where the first of them has colours, (n, height, width, 3)."""
    paths = [path]
    if path.is_dir():
        paths = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGES and not p.name.startswith("."))
    if not paths:
        raise InputError(f"the folder {str(path)!r} holds no images: expected {', '.join(sorted(IMAGES))}, or .wav")
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

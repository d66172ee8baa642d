"""Files as pictures: 64 × 64 bytes of a file, and what is unusual about them.     (section A.5)

A picture shows a window of a file: the whole file up to 128 KiB, else one of several windows of 128 KiB that are spread
evenly over it, the first at its beginning. Row r of the picture is the 64 bytes that lie side by side from byte
⌊r (len − 64)/63⌋ of the window on. So a row keeps the texture of the bytes, and the rows together show the whole
window. A file is only read here, and never run.
"""

import functools
import lzma
import os
import stat
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import options
from ..errors import InputError
from .idx import at_home
from .images import _arrays

SIDE, WINDOW, SHORTEST = 64, 1 << 17, 4096
FAMILIES, ODD = "byteplots/byteplots_benign.npz", "byteplots/byteplots_odd.npz"
MACHINE = (b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")  # how programs of Linux, Windows, macOS begin
KINDS = {  # of the files of a Python installation -> the ends of their names
    "source": (".py", ".pyi"),
    "byte code": (".pyc",),
    "machine code": (".so", ".pyd", ".dylib", ".dll", ".exe"),
    "C header": (".h", ".hpp"),
    "font": (".ttf",),
    "table": (".json", ".csv", ".afm", ".rst", ".txt"),
    "compressed": (".gz", ".npz", ".png", ".zip", ".whl"),
}


class Byteplots(NamedTuple):
    """Pictures of windows of files.

    images: uint8 (n, 64, 64);  family: (n,), a place in `families`;  source: "package:file@offset" of each
    length: of the whole file in bytes, (n,); 0 where it is not known
    """

    images: np.ndarray
    family: np.ndarray
    families: list[str]
    source: np.ndarray
    length: np.ndarray

    @property
    def file(self) -> np.ndarray:
        """ "package:file" of each picture: windows of one file share it."""
        return np.array([name.rpartition("@")[0] for name in self.source])

    @property
    def package(self) -> np.ndarray:
        """The package of each picture."""
        return np.array([name.partition(":")[0] for name in self.source])

    def __getitem__(self, rows: Any) -> "Byteplots":
        return Byteplots(self.images[rows], self.family[rows], self.families, self.source[rows], self.length[rows])


# ---- from bytes to a picture


def picture(data: bytes) -> np.ndarray:
    """64 rows of 64 bytes, evenly spread over the bytes `data`:  -> uint8 (64, 64)"""
    a = np.frombuffer(data, np.uint8)
    if len(a) < SIDE:
        raise InputError(f"data has {len(a)} bytes: expected at least {SIDE}")
    starts = np.arange(SIDE) * (len(a) - SIDE) // (SIDE - 1)
    return a[starts[:, None] + np.arange(SIDE)]


@options.door(length=options.Count(), most=options.Count())
def windows(length: int, most: int = 1) -> list[tuple[int, int]]:
    """[(offset, size)] of the windows of a file of so many bytes, `most` of them where it is long."""
    if length <= WINDOW:
        return [(0, length)]
    count = min(most, length // WINDOW)
    return [(k * (length - WINDOW) // max(1, count - 1), WINDOW) for k in range(count)]


def resized(data: bytes) -> np.ndarray:
    """The whole file as one picture, as Nataraj et al. (2011) made it: its width goes by its size, and then it is
    shrunk or blown up to 64 × 64. Section A.5 shows what is wrong with it."""
    from PIL import Image

    wide = next(width for most, width in WIDTHS if len(data) < most)
    rows = len(data) // wide
    image = Image.fromarray(np.frombuffer(data, np.uint8)[: rows * wide].reshape(rows, wide))
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX))


WIDTHS = [(10_000, 32), (30_000, 64), (60_000, 128), (100_000, 256), (200_000, 384), (500_000, 512),
          (1_000_000, 768), (float("inf"), 1024)]  # fmt: skip


@options.door(copies=options.Count(), share=options.Rate())
def varied(images: np.ndarray, copies: int, rng: np.random.Generator, share: float = 0.05) -> np.ndarray:
    """So many copies of each picture that are of the same family, one set after the other: all rows are moved on by
    some bytes, round their ends, since where a row begins means nothing, and a share of the bytes is drawn anew."""
    images = np.tile(_images(images), (copies, 1, 1))
    moved = (np.arange(SIDE) + rng.integers(SIDE, size=(len(images), 1, 1))) % SIDE
    images = np.take_along_axis(images, np.broadcast_to(moved, images.shape), axis=2)
    spoiled = rng.random(images.shape, dtype=np.float32) < share
    images[spoiled] = rng.integers(256, size=int(spoiled.sum()), dtype=np.uint8)
    return images


# ---- what a picture says without a network


def histogram(images: np.ndarray) -> np.ndarray:
    """The share of each byte, and the entropy in bits:  uint8 (n, 64, 64) -> (n, 257)"""
    images = _images(images)
    shares = np.stack([np.bincount(image.ravel(), minlength=256) for image in images]) / images[0].size
    return np.column_stack([shares, entropy_of(shares)])


def entropy(images: np.ndarray) -> np.ndarray:
    """H = −Σ_v p_v log₂ p_v over the bytes of each picture, 0 to 8 bits; near 8 it looks random."""
    return histogram(images)[:, -1]


def entropy_of(shares: np.ndarray) -> np.ndarray:
    """H of rows of probabilities, in bits."""
    return -(shares * np.log2(np.where(shares > 0, shares, 1))).sum(axis=1)


def is_machine_code(images: np.ndarray) -> np.ndarray:
    """Whether a picture begins as programs do on Linux, Windows or macOS; only that of a file's beginning can."""
    return np.array([image[0].tobytes().startswith(MACHINE) for image in _images(images)])


def near_copies(
    images: np.ndarray, others: np.ndarray, share: float = 0.9, places: int = 256, seed: int = 0
) -> np.ndarray:
    """Which images have, among the others, one with the same byte at such a share of the places (some are compared)."""
    at = np.random.default_rng(seed).permutation(SIDE * SIDE)[:places]
    a, b = (_images(each).reshape(-1, SIDE * SIDE)[:, at] for each in (images, others))
    return np.array([(row == b).mean(axis=1).max() >= share for row in a])


def _images(images):
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (SIDE, SIDE) or not len(images):
        raise InputError(f"images is {images.dtype} {images.shape}: expected uint8 (n, {SIDE}, {SIDE}), n ≥ 1")
    return images


class Known:
    """What the bytes of known pictures are like, and what is unlike them in another one: a detector without a network.

    The distance of a picture is d = ½ Σ_v |p_v − q_v| from the known picture whose histogram q is nearest to its own,
    p: the share of bytes that would have to change. It is 0 for a histogram that is known and 1 for bytes none of which
    is. A picture is unusual where d, or the entropy of a program, is above that of `share` of the known ones, each of
    which was compared with those of other files.
    """

    @options.door(share=options.Number(low=0, high=1))
    def __init__(self, plots: "Byteplots", share: float = 0.99):
        self.plots, self.shares = plots, histogram(plots.images)
        apart = self._between(self.shares)
        apart[plots.file[:, None] == plots.file] = np.inf  # the windows of one file are alike
        self.limit = float(np.quantile(apart.min(axis=1), share))
        programs = is_machine_code(plots.images)
        self.most_entropy = float(np.quantile(self.shares[programs, -1], share)) if programs.any() else 8.0

    def _between(self, shares):
        from scipy.spatial.distance import cdist

        return cdist(shares[:, :-1], self.shares[:, :-1], "cityblock") / 2

    def distance(self, images: np.ndarray) -> Any:
        """d of each picture, (n,)."""
        return self._between(histogram(images)).min(axis=1)

    def nearest(self, images: np.ndarray) -> Any:
        """The family of the known picture that is nearest, a place in `plots.families`, (n,)."""
        return self.plots.family[self._between(histogram(images)).argmin(axis=1)]

    def reasons(self, images: np.ndarray) -> Any:
        """What is unusual about each picture, in words; [] where nothing is."""
        shares, programs = histogram(images), is_machine_code(images)
        words: list[list[str]] = []
        d, family = self.distance(images), self.nearest(images)
        for k, H in enumerate(shares[:, -1]):
            words.append([])
            if d[k] > self.limit:
                words[k].append(f"{d[k]:.0%} of its bytes would have to change to be as in a known file; the nearest "
                                f"is of {self.plots.families[family[k]]}")  # fmt: skip
            if programs[k] and H > self.most_entropy:
                words[k].append(f"begins as a program, with {H:.2f} bits a byte: compressed, encrypted or packed")
        return words


# ---- parts that share nothing


@options.door(share=options.Rate())
def apart(plots: Byteplots, share: float, rng: np.random.Generator, by: str = "file") -> Any:
    """Which pictures are held out, bool (n,): in each family a share of its files, or packages, with all their windows.

    by: "file" or "package"; a family of one package is split by file, since a package cannot be in two parts
    """
    if by not in ("file", "package"):
        raise InputError(f"by is {by!r}: choose 'file' or 'package'")
    held, file, package = np.zeros(len(plots.family), bool), plots.file, plots.package
    for family in np.unique(plots.family):
        own = plots.family == family
        groups = package if by == "package" and len(set(package[own])) > 1 else file
        names = rng.permutation(np.unique(groups[own]))
        held |= own & np.isin(groups, names[: max(1, round(share * len(names)))])
    return held


# ---- where pictures come from


def families() -> Byteplots:
    """Files of twelve families, from Debian packages and CPython: programs of six compilers, byte code of three
    machines, text, images, archives. They come from the folder `$MINAE_DATA` and do not ship with minae."""
    return _of_file(FAMILIES, "byteplots of families")


def odd_files() -> Byteplots:
    """Programs that were packed, and files that were tampered with, made from those of `families`; none can run."""
    return _of_file(ODD, "odd byteplots")


def _of_file(file, kind):
    advice = f"put arrays images, family, family_names, source into MINAE_DATA/{file}, or use `python_files`"
    images, family, names, source = _arrays(file, "images family family_names source", kind, advice)
    if images.shape[1:] != (SIDE, SIDE) or images.dtype != np.uint8 or family.shape != images.shape[:1]:
        raise InputError(f"MINAE_DATA/{file} has images {images.dtype} {images.shape}: expected uint8 (n, 64, 64)")
    used = np.unique(family)
    place = np.searchsorted(used, family)
    return Byteplots(images, place, [str(names[k]) for k in used], source.astype(str), np.zeros(len(images), int))


@functools.cache
def python_paths() -> dict[str, list[tuple[str, Path]]]:
    """kind -> [(package, path)] of the files of the Python that runs and of some of its packages."""
    import sysconfig

    roots, library = {"python": Path(sysconfig.get_path("stdlib"))}, Path(sysconfig.get_path("platlib"))
    for name in ("numpy", "scipy", "matplotlib", "numba", "PIL", "llvmlite", "sklearn"):
        roots |= {name: library / name} if (library / name).is_dir() else {}
    paths: dict[str, list[tuple[str, Path]]] = {kind: [] for kind in KINDS}
    for package, root in roots.items():
        for path, _ in walk(root, Counter(), leave_out=("site-packages", "dist-packages")):
            kind = next((kind for kind, ends in KINDS.items() if path.name.endswith(ends)), None)
            kind = "machine code" if kind is None and ".so." in path.name else kind
            if kind:
                paths[kind].append((package, path))
    return paths


@options.door(most=options.Count(), seed=options.Count(lowest=0), each=options.Count())
def python_files(most: int = 150, seed: int = 0, each: int = 3) -> Byteplots:
    """Pictures of the files of the Python that runs: source, byte code, machine code and what else is there, by the
    ends of their names; a kind of which there are few is left out.     most: pictures of a kind;  each: of one file"""
    rng, parts = np.random.default_rng(seed), {}
    for kind, found in python_paths().items():
        plots = _read_all([found[k] for k in rng.permutation(len(found))], Counter(), most, each)
        if len(plots.images) >= min(40, most):
            parts[kind] = plots
    family = np.repeat(np.arange(len(parts)), [len(plots.images) for plots in parts.values()])
    images, source, length = (
        np.concatenate([getattr(plots, name) for plots in parts.values()]) for name in ("images", "source", "length")
    )
    return Byteplots(images, family, list(parts), source, length)


@options.door(count=options.Count(), seed=options.Count(lowest=0))
def odd_python_files(count: int = 60, seed: int = 0) -> Byteplots:
    """Pictures of so many packed programs and so many files that were tampered with, of the Python that runs."""
    rng, paths = np.random.default_rng(seed), python_paths()
    programs = paths["machine code"]
    pools = {"packed": programs, "tampered": [row for rows in paths.values() for row in rows]}
    images: list[np.ndarray] = []
    family, source, length = [], [], []
    for k, (kind, pool) in enumerate(pools.items()):
        for n in rng.permutation(len(pool))[:count]:
            package, path = pool[n]
            other = programs[rng.integers(len(programs))][1].read_bytes()[8192 : WINDOW // 2]
            data = path.read_bytes()[:WINDOW]
            method = ("deflate", "lzma")[len(images) % 2]
            data = packed(data, other, method) if kind == "packed" else tampered(data, other or b"\x90", rng)
            images.append(picture(data))
            family.append(k)
            source.append(f"{kind}:{package}:{path.name}@0")
            length.append(len(data))
    return Byteplots(np.array(images), np.array(family), list(pools), np.array(source), np.array(length))


@options.door(path=options.File(), each=options.Count(), most=options.Count())
def read_folder(path: str | os.PathLike[str], each: int = 4, most: int = 5000) -> tuple[Byteplots, Any]:
    """(Byteplots, Counter of what was skipped and why) of the files of a folder and of those below it, or of one file.

    Links are not followed. each: windows of one file at most;  most: pictures in all
    """
    path, skipped = at_home(path), Counter[str]()
    if not path.exists():
        raise InputError(f"no file or folder {str(path)!r}: give one whose files are to be looked at")
    found = [(path.name, file) for file, _ in walk(path, skipped)]
    plots = _read_all(found, skipped, most, each, path)
    if not len(plots.images):
        raise InputError(f"{str(path)!r} has no file that can be looked at ({in_words(skipped)}): give another folder")
    return plots, skipped


def in_words(skipped: dict[str, int]) -> str:
    """What was skipped, in one line."""
    words = [f"{count} {reason}" for reason, count in sorted(skipped.items()) if count]
    return "skipped: " + ", ".join(words) if words else "nothing was skipped"


def walk(root: str | os.PathLike[str], skipped: dict[str, int], leave_out: Sequence[str] = ()) -> Iterator[Any]:
    """(path, size) of the regular files at or below `root`, in the order of their names; counts what is skipped."""
    folders = [Path(root)]
    while folders:
        path = folders.pop()
        try:
            status = path.lstat() if path != root else path.stat()
            below = sorted(os.listdir(path), reverse=True) if stat.S_ISDIR(status.st_mode) else None
        except OSError:
            skipped["unreadable"] += 1
            continue
        if below is not None:
            folders += [path / name for name in below if name not in leave_out]
        elif stat.S_ISLNK(status.st_mode):
            skipped["links"] += 1
        elif not stat.S_ISREG(status.st_mode):
            skipped["devices, pipes and sockets"] += 1
        elif status.st_size < SHORTEST:
            skipped["empty" if not status.st_size else f"shorter than {SHORTEST} bytes"] += 1
        else:
            yield path, status.st_size


def _read_all(found, skipped, most, each, root=None):
    """The pictures of [(package, path)], a file's first window before any second one; copies are left out."""
    plan = []
    for package, path in found:
        try:
            plan += [(k, package, path, *place) for k, place in enumerate(windows(path.stat().st_size, each))]
        except (OSError, InputError):
            skipped["unreadable"] += 1
    plan.sort(key=lambda row: row[0])
    images, source, length, seen = [], [], [], set()
    for _, package, path, offset, size in plan:
        if len(images) >= most:
            skipped[f"pictures over {most}"] += 1
            continue
        try:
            with path.open("rb") as file:
                file.seek(offset)
                data, whole = file.read(size), os.fstat(file.fileno()).st_size
            image = picture(data)
        except (OSError, InputError):  # it may have vanished, or have become shorter
            skipped["unreadable"] += 1
            continue
        if image.tobytes() in seen:
            skipped["copies"] += 1
            continue
        seen.add(image.tobytes())
        images.append(image)
        name = path.relative_to(root) if root and path != root else path.name
        source.append(f"{package}:{name}@{offset}")
        length.append(whole)
    shape = (len(images), SIDE, SIDE)
    return Byteplots(np.array(images, np.uint8).reshape(shape), np.zeros(len(images), int), ["files"],
                     np.array(source, str), np.array(length, int))  # fmt: skip


# ---- files that are odd on purpose: none of them can run


def packed(data: bytes, stub: bytes, method: str = "deflate") -> bytes:
    """A program as a packer leaves it: its first 176 bytes, 2,048 bytes of other code, and the rest compressed."""
    if method not in ("deflate", "lzma"):
        raise InputError(f"method is {method!r}: choose 'deflate' or 'lzma'")
    return data[:176] + stub[:2048] + (zlib.compress(data, 6) if method == "deflate" else lzma.compress(data, preset=1))


def tampered(data: bytes, payload: bytes, rng: np.random.Generator) -> bytes:
    """A file with a payload put in or put behind it, 6 to 30 % of its length: random bytes, or real code under a mask.

    payload: bytes of real code, to be masked
    """
    size = int(len(data) * rng.uniform(0.06, 0.30))
    if rng.random() < 0.5:
        extra = rng.integers(256, size=size, dtype=np.uint8)
    else:
        extra = np.resize(np.frombuffer(payload, np.uint8), size) ^ np.uint8(rng.integers(1, 256))
    cut = len(data) if rng.random() < 0.5 else int(len(data) * rng.uniform(0.2, 0.8))
    return data[:cut] + extra.tobytes() + data[cut:]

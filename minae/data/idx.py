"""The IDX format: two zero bytes, a type code, the number of dimensions, the sizes, the values (big-endian)."""

import math
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError

DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP = b"\x1f\x8b"


def unpacked(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file, decompressed if they begin as gzip does."""
    import gzip

    try:
        raw = Path(path).read_bytes()
        return gzip.decompress(raw) if raw.startswith(GZIP) else raw
    except (OSError, EOFError, zlib.error) as e:
        raise InputError(f"cannot read {os.fspath(path)!r}: {one_line(e)}; expected a whole file: copy it again") from e


def at_home(path: str | os.PathLike[str]) -> Path:
    """The path with the user's home for ~."""
    return Path(os.path.expanduser(path))


def is_idx(head: bytes) -> bool:
    """Whether the first four bytes are an IDX magic number."""
    return len(head) >= 4 and head[:2] == b"\0\0" and head[2] in DTYPES and head[3] > 0


def parse_idx(raw: bytes, path: str | os.PathLike[str]) -> np.ndarray:
    """The array in the bytes of an IDX file, in this machine's byte order."""
    start = 4 + 4 * raw[3]
    shape = tuple(int.from_bytes(raw[i : i + 4], "big") for i in range(4, start, 4))
    dtype = np.dtype(DTYPES[raw[2]])
    expected = start + math.prod(shape) * dtype.itemsize
    if len(raw) != expected:
        raise InputError(
            f"{os.fspath(path)!r} holds {len(raw)} bytes, but its IDX header promises {expected} (shape {shape}): "
            "it is truncated or corrupt, copy it again"
        )
    return np.frombuffer(raw, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def one_line(error: BaseException) -> str:
    """An exception's message on one line, or its name if it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def scaled(X: Any, scale: float) -> np.ndarray:
    """X / scale as a new float32 array."""
    with np.errstate(over="ignore"):  # too large for float32: infinite, and reported where the data are used
        X = np.asarray(X).astype(np.float32)
        X /= np.asarray(scale, np.float32)
    return X

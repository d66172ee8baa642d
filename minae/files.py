"""One file format, safetensors with JSON metadata, and one way to write a file: beside, then renamed."""

import contextlib
import hashlib
import json
import os
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minae import kernels
from minae.errors import InputError, warn

FORMAT = 2  # of what `write` writes; 1 had no checksum


def replace(path: str | os.PathLike[str], data: bytes) -> None:
    """Write bytes so that `path` is at every moment either the old file or the new one, whole.

    A symbolic link is followed, and a file that exists keeps its permissions. Raises InputError where nothing can be
    written (a full disk, a read-only folder, a name that is no regular file); what was there is then untouched.
    """
    path, beside = target(path), None
    try:
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
        handle, beside = tempfile.mkstemp(prefix=".minae.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(beside, mode)  # mkstemp makes it private
        os.replace(beside, path)
    except OSError as error:
        if beside and os.path.exists(beside):
            os.unlink(beside)
        raise InputError(
            f"cannot write {path}: {error.strerror or error}; choose a folder that exists, is writable and has room"
        ) from error


def has_room(path: str | os.PathLike[str], nbytes: int) -> None:
    """Raises InputError where so many bytes cannot be written beside `path`; nothing is left there."""
    path = target(path)
    try:
        with tempfile.TemporaryFile(dir=path.parent) as file:
            for start in range(0, nbytes, 1 << 20):
                file.write(bytes(min(1 << 20, nbytes - start)))
            file.flush()
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror or error}; choose a folder that exists, is writable and has room"
        ) from error


def target(path: str | os.PathLike[str]) -> Path:
    """Where writing to `path` goes, before there is something to write: links followed, its folder found writable.

    Raises InputError where a later `replace` would.
    """
    given, path = path, Path(os.path.realpath(path))
    advice = "choose a folder that exists, is writable and has room"
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"cannot write {given}: it is no regular file; give another name")
        if not path.name or not path.parent.is_dir():
            raise InputError(f"cannot write {path}: there is no folder {path.parent}; {advice}")
        path.exists() or len(os.fsencode(path.name)) <= 255 or os.stat(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}; {advice}") from error
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"cannot write {path}: the folder is read-only; {advice}")
    return path


def write(path: str | os.PathLike[str], tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
    """tensors: name -> NumPy array; metadata: what JSON can hold. The same input gives the same bytes.

    Raises InputError for a NaN or an infinity, and where nothing can be written.
    """
    with kernels.LOADING:
        from safetensors.numpy import save
    tensors, metadata = {name: np.ascontiguousarray(a) for name, a in tensors.items()}, json.loads(json.dumps(metadata))
    if name := _not_finite(tensors):
        raise InputError(f"cannot write {path}: {name} has NaN or infinite values; train again from finite ones")
    whole = {"format": FORMAT, "sha256": _digest(tensors, metadata), "metadata": metadata}
    replace(path, save(tensors, {"minae": json.dumps(whole)}))  # one key: safetensors does not keep an order of keys


def read(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """(tensors, metadata) of a file of `write`, found whole: its checksum fits, and all numbers are finite."""
    with kernels.LOADING:
        from safetensors import SafetensorError
        from safetensors.numpy import load
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no file {path}: give the path of a model or checkpoint that minae wrote")
    try:
        data = path.read_bytes()  # not mapped: a file that shrinks while it is read would end the process
        tensors = load(data)
        words = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__", {}).get("minae")
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path} is no whole safetensors file ({error}): it is truncated, or of another kind"
        ) from error
    if words is None:
        raise InputError(f"{path} is a safetensors file that minae did not write: it has no 'minae' metadata")
    try:
        whole = json.loads(words)
        version, digest, metadata = (whole.get(key) for key in ("format", "sha256", "metadata"))
    except (ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} has 'minae' metadata that is not JSON ({error}): minae did not write it") from error
    if version != FORMAT:
        raise InputError(
            f"{path} has format {version or 'of an earlier minae'}, and this minae reads format {FORMAT}: train the "
            "model again, or load it with the version that wrote it"
        )
    if not isinstance(metadata, dict) or digest != _digest(tensors, metadata):
        raise InputError(f"{path} is damaged, its checksum does not fit: take a copy of it, or train again")
    if name := _not_finite(tensors):
        raise InputError(f"{path} has NaN or infinite values in {name}: take an earlier checkpoint, or train again")
    return {name: np.ascontiguousarray(array) for name, array in tensors.items()}, metadata


def _digest(tensors, metadata):
    """SHA-256 of names, types, shapes, values and metadata."""
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _not_finite(tensors):
    """The name of an array with a NaN or an infinity, or None."""
    return next((name for name, a in tensors.items() if a.dtype.kind == "f" and not np.isfinite(a).all()), None)


def packed(q: np.ndarray, bits: int) -> bytes:
    """Whole numbers as bytes: q + 2^{b−1} as b bits each, one after the other, then zlib."""
    unsigned = (q.reshape(-1, 1).astype(np.int16) + 2 ** (bits - 1)).astype(np.uint8)
    return zlib.compress(np.packbits(np.unpackbits(unsigned, axis=1)[:, 8 - bits :]).tobytes(), 9)


def unpacked(data: bytes, bits: int, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of `packed`. Raises ValueError for bytes that hold more or fewer numbers than the shape has."""
    count = int(np.prod(shape, dtype=np.int64))
    expected = -(-count * bits // 8)
    reader = zlib.decompressobj()
    raw = reader.decompress(data, expected + 1)  # no further: a damaged file may promise any size
    if len(raw) != expected or not reader.eof:
        raise ValueError(f"{len(data)} bytes do not hold {count} numbers of {bits} bits")
    each = np.unpackbits(np.frombuffer(raw, np.uint8))[: count * bits].reshape(count, bits)
    unsigned = each @ (1 << np.arange(bits - 1, -1, -1))
    return (unsigned - 2 ** (bits - 1)).astype(np.int8).reshape(shape)


def restored(tensors: Mapping[str, np.ndarray], shrunk: Mapping[str, Any], dtype: Any) -> dict[str, np.ndarray]:
    """The tensors of a file of `shrink.save` as floats: W = q s.     shrunk: what its metadata says of them"""
    tensors = dict(tensors)
    for name, shape in shrunk["matrices"].items():
        q = unpacked(tensors.pop(f"{name}.whole").tobytes(), int(shrunk["bits"]), tuple(shape))
        tensors[name] = (q * tensors.pop(f"{name}.scale")).astype(dtype)
    return tensors


@contextlib.contextmanager
def claimed(path: str | os.PathLike[str], what: str, wait: bool = False) -> Iterator[None]:
    """Within the block nobody else has `path`: no other process, and no other thread. A killed process frees it.

    what: is told to the second one, such as "a training writes";  wait: until the other is done, instead of InputError
    """
    try:
        import fcntl
    except ImportError:  # Windows: the last one wins, as everywhere there
        yield
        return
    path = target(path)
    lock = path.with_name(f".{path.name[:200]}.lock")
    while True:
        try:
            file = open(lock, "a")  # noqa: SIM115  (closed below)
        except OSError as error:
            raise InputError(f"cannot write {lock}: {error.strerror or error}; choose another folder") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            file.close()
            raise InputError(f"{path} is in use, {what} it now: wait until it is done, or give another name") from None
        except OSError as error:  # some network folders have no locks
            warn(f"{path.parent} has no locks ({error.strerror}): use {path} in one process only")
            break
        if _is_at(file, lock):
            break
        file.close()  # the one before took its file away
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        file.close()


def _is_at(file, path):
    """Whether the open file is still the one at `path`; in one look, since a thread may take it away between two."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask

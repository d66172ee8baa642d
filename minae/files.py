"""One file format, safetensors with JSON metadata, and one way to write a file: beside, then renamed."""

import json
import os
import tempfile
from pathlib import Path

from minae.errors import InputError


def replace(path, data):
    """Write bytes so that `path` is at every moment either the old file or the new one, whole.

    Raises InputError where it cannot be written (a full disk, a read-only folder); the old file is then untouched.
    """
    path, beside = Path(path), None
    try:
        handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(beside, 0o666 & ~_umask())  # mkstemp makes it private; a result is as readable as any other file
        os.replace(beside, path)
    except OSError as error:
        if beside and os.path.exists(beside):
            os.unlink(beside)
        raise InputError(
            f"cannot write {path}: {error.strerror or error}; choose a folder that exists, is writable and has room"
        ) from error


def write(path, tensors, about):
    """tensors: name -> NumPy array; about: what JSON can hold. The same input gives the same bytes."""
    import numpy as np
    from safetensors.numpy import save

    tensors = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    replace(path, save(tensors, {"minae": json.dumps(about)}))  # one key: safetensors does not keep an order of keys


def read(path):
    """(tensors, about) of a file of `write`."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise InputError(f"no file {path}: give the path of a model or checkpoint that minae wrote")
    try:
        with safe_open(path, framework="numpy") as file:
            about = (file.metadata() or {}).get("minae")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path} is no whole safetensors file ({error}): it is truncated, or of another kind"
        ) from error
    if about is None:
        raise InputError(f"{path} is a safetensors file that minae did not write: it has no 'minae' metadata")
    return tensors, json.loads(about)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask

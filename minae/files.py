"""One file format, safetensors with JSON metadata, and one way to write a file: beside, then renamed."""

import json
import os
import tempfile
from pathlib import Path

from minae.errors import InputError


def replace(path, data):
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


def target(path):
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


def write(path, tensors, metadata):
    """tensors: name -> NumPy array; metadata: what JSON can hold. The same input gives the same bytes."""
    import numpy as np
    from safetensors.numpy import save

    tensors = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    replace(path, save(tensors, {"minae": json.dumps(metadata)}))  # one key: safetensors does not keep an order of keys


def read(path):
    """(tensors, metadata) of a file of `write`."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise InputError(f"no file {path}: give the path of a model or checkpoint that minae wrote")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = (file.metadata() or {}).get("minae")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path} is no whole safetensors file ({error}): it is truncated, or of another kind"
        ) from error
    if metadata is None:
        raise InputError(f"{path} is a safetensors file that minae did not write: it has no 'minae' metadata")
    try:
        return tensors, json.loads(metadata)
    except json.JSONDecodeError as error:
        raise InputError(f"{path} has 'minae' metadata that is not JSON ({error}): minae did not write it") from error


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask

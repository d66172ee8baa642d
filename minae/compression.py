"""Files of data, as the codes of a compressive model: `minae compress`, and back.     (section A.3)

A file:  "MNC1", the first four bytes of the model's digest, the number of rows, a checksum: 16 bytes; then the words of
the range coder (`minae.coder`), number by number of the code: all rows of the first one, all rows of the second, …
"""

import hashlib
import struct
import zlib
from typing import Any

import numpy as np

from minae.coder import Tables, whole
from minae.errors import InputError
from minae.models.model import Model
from minae.options import Instance, door

HEADER, MAGIC = struct.Struct("<4s4sII"), b"MNC1"
MODEL = Instance(Model, words="a model")


@door(model=MODEL)
def tables(model: Model) -> Tables:
    """The tables of a model that has counted training data. Raises InputError for one that has not."""
    if "counts" not in model.state:
        raise InputError(f"a model of kind {model.name!r} has no code of whole numbers: train --model compressive")
    low, counts = (model.backend.to_numpy(model.state[name]) for name in ("low", "counts"))
    if not counts.any():
        raise InputError("this model has counted nothing: give its training data to model.calibrate(X), then save it")
    return Tables(low, counts)


@door(model=MODEL)
def compress(model: Model, X: Any) -> bytes:
    """The file of rows of X, (rows, n)."""
    coder, k = tables(model), whole(model.encode(X))
    body = coder.encode(k)
    return HEADER.pack(MAGIC, _digest(model), len(k), _checksum(len(k), body)) + body


@door(model=MODEL)
def decompress(model: Model, file: bytes) -> Any:
    """The rows that a file of this model holds, decoded: (rows, n). Raises InputError for any other file."""
    return model.decode(codes(model, file).astype(model.dtype))


@door(model=MODEL)
def codes(model: Model, file: bytes) -> np.ndarray:
    """k, whole numbers (rows, m), of a file of this model."""
    coder = tables(model)
    if len(file) < HEADER.size or file[:4] != MAGIC:
        raise InputError(
            f"this is no compressed file: it should begin with {MAGIC.decode()}, and have 16 bytes or more"
        )
    _, digest, rows, checksum = HEADER.unpack_from(file)
    if digest != _digest(model):
        raise InputError("this file was compressed by another model: give the one that wrote it")
    if _checksum(rows, file[HEADER.size :]) != checksum:
        raise InputError("this file is truncated or damaged, its checksum does not fit: take a copy of it")
    return coder.decode(file[HEADER.size :], rows)


def _checksum(rows, body):
    """Of the words and of how many rows they are: one row too many would be decoded from nothing."""
    return zlib.crc32(rows.to_bytes(4, "little") + body)


def _digest(model):
    """Four bytes by which a file knows its model: of all that decoding depends on."""
    digest = hashlib.sha256()
    for name, array in sorted(model.tensors().items()):
        digest.update(name.encode() + model.backend.to_numpy(array).tobytes())
    return digest.digest()[:4]

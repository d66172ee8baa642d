"""Turns user data (arrays of the host, arrays of the device, memory maps, lists of sequences) into checked batches."""

import copy
import hashlib
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from minae.arena import Arena
from minae.backend import Backend
from minae.data.readers import Lazy, Scaled, Shards
from minae.errors import InputError
from minae.fields import Field, Labels, host_array, masked


class Batches:
    """The fields of a data set, checked, and cut into batches of the model's backend and dtype.

    fields: name -> Field;  given: name -> array, (rows, …), of the host, of the device, or a memory map, of which only
    the batches are read (and checked as they are read); a list of arrays for a field of varying length
    arena:  where the batches lie; its backend and dtype are the model's
    labels: name -> what an error message calls the field, where it is another word;  owner: whose fields they are
    """

    def __init__(
        self,
        fields: Mapping[str, Field],
        given: Mapping[str, Any],
        arena: Arena,
        labels: Mapping[str, str] | None = None,
        owner: str = "this model",
    ):
        labels, learns = labels or {}, f"{owner} learns from {' and '.join(fields)}"
        for name in set(given) - set(fields):
            raise InputError(f"{name} was given, and {learns} alone: leave {name} out")
        for name, field in fields.items():
            if given.get(name) is None and not field.optional:
                pair = ", ".join(labels.get(other, other) for other in fields)
                missing = labels.get(name, name)
                raise InputError(
                    f"{missing} is missing: {learns}; expected {field!r}, and a validation set is ({pair})"
                )
        self.columns = {
            name: (Ragged if field.ragged else Column)(field, given[name], arena, labels.get(name, name))
            for name, field in fields.items()
            if given.get(name) is not None
        }
        rows: dict[str, Any] = {}
        for column in self.columns.values():
            first = rows.setdefault(column.field.domain, column)
            if len(column) != len(first):
                raise InputError(
                    f"{column.label} has {len(column)} rows and {first.label} {len(first)}: expected one for each"
                )
        self.rows = {domain: len(column) for domain, column in rows.items()}
        self.chosen: Any = None  # rows of a part
        self.known: dict[str, Any] | None = None  # the fingerprint

    def __len__(self) -> int:
        """Rows of the first domain, which make an epoch."""
        return next(iter(self.rows.values()))

    @property
    def on_device(self) -> bool:
        return next(iter(self.columns.values())).on_device

    def order(self, backend: Backend, seed: int, epoch: int) -> dict[str, Any]:
        """The rows of one epoch in the order in which they are visited, an index array for each domain.

        The first domain is shuffled anew in each epoch. A domain that is not paired with it goes through its own rows
        in passes, each of which is shuffled anew, as far as the epoch reaches.
        """
        n, orders = len(self), {}
        for k, (domain, rows) in enumerate(self.rows.items()):
            if k == 0:
                orders[domain] = backend.stream(seed, "order", epoch).permutation(n)
                continue
            first, last = epoch * n // rows, ((epoch + 1) * n - 1) // rows
            passes = [backend.stream(seed, "unpaired", k, j).permutation(rows) for j in range(first, last + 1)]
            start = epoch * n - first * rows
            orders[domain] = np.concatenate(passes)[start : start + n]
        return orders

    def split(self, share: float, backend: Backend, seed: int) -> tuple["Batches", "Batches"]:
        """These rows in two parts, the second with this share of them: a random choice by `seed`, in the order of the
        rows."""
        if len(self.rows) > 1:
            raise InputError(f"validation is {share}, and {' and '.join(self.columns)} are not paired: give arrays")
        n = len(self)
        count = max(1, round(share * n))
        if n - count < 2:
            raise InputError(f"validation is {share} of {n} rows: that leaves {n - count} to learn from, expected 2")
        order = backend.stream(seed, "held out").permutation(n)
        return self._part(np.sort(order[count:])), self._part(np.sort(order[:count]))

    def _part(self, rows):
        part = copy.copy(self)
        part.chosen, part.rows = rows, dict.fromkeys(self.rows, len(rows))
        return part

    def take(self, index: Any) -> dict[str, Any]:
        """The batch at `index`: integer arrays of the host by domain, or one array for all. -> name -> array"""
        if not isinstance(index, dict):
            index = {domain: index if k == 0 else index % rows for k, (domain, rows) in enumerate(self.rows.items())}
        if self.chosen is not None:
            index = {domain: self.chosen[rows] for domain, rows in index.items()}
        batch: dict[str, Any] = {}
        for name, column in self.columns.items():
            batch |= column.take(name, index[column.field.domain])
        return batch

    def fingerprint(self) -> Any:
        """Shape and a hash of all values of each field, by which a resume sees that its data are the same."""
        if self.known is None:
            self.known = {name: column.fingerprint() for name, column in self.columns.items()}
        if self.chosen is None:
            return self.known
        return {**self.known, "rows": hashlib.sha256(self.chosen.tobytes()).hexdigest()[:16]}


class Column:
    """One field's array."""

    def __init__(self, field: Field, X: Any, arena: Arena, label: str):
        self.field, self.arena, self.label, self.backend = field, arena, label, arena.backend
        self.on_device = not isinstance(X, np.ndarray) and self.backend.owns(X)
        self.X = X if self.on_device or isinstance(X, Lazy) else self._from_host(X)
        field.check_shape(self.X, label)
        self.lazy = isinstance(self.X, np.memmap | Lazy)
        if not self.lazy:
            field.check_values(self.X, label, arena.dtype)

    def __len__(self) -> int:
        return self.X.shape[0]

    def take(self, name: str, index: Any) -> dict[str, Any]:
        if self.lazy:
            _still_whole(self.X, self.label)
        if isinstance(self.field, Labels):
            return {name: self._one_hot(index)}
        shape, dtype = (len(index), *self.field.shape), np.dtype(self.field.dtype(self.arena.dtype))
        if self.on_device:
            where = self.backend.from_numpy(index)
            x = self.backend.xp.take(self.X, where, axis=0, out=self.arena.empty(*shape, dtype=self.X.dtype))
            return {name: self.field.deliver(x.astype(dtype, copy=False))}
        x = self.arena.empty(*shape, dtype=dtype, xp=np)
        rows = x
        if not isinstance(self.X, np.ndarray):
            rows = self.X[index]
        else:
            if self.X.dtype != x.dtype:
                rows = self.arena.empty(*shape, dtype=self.X.dtype, xp=np)
            np.take(self.X, index, axis=0, out=rows, mode="clip")  # "clip": with "raise", NumPy would copy `out` first
        if rows is not x:
            with np.errstate(over="ignore"):  # a number that becomes infinite is found by the check
                np.copyto(x, rows, casting="unsafe")
        if self.lazy:
            self.field.check_values(x, self.label, self.arena.dtype)
        return {name: self.backend.from_numpy(self.field.deliver(x))}

    def _one_hot(self, index):
        y = self.X[self.backend.from_numpy(index) if self.on_device else index]
        if self.lazy:
            self.field.check_values(y, self.label, self.arena.dtype)
        classes = self.backend.xp.arange(self.field.classes)
        y = y if self.on_device else self.backend.from_numpy(np.ascontiguousarray(y))
        return self.backend.xp.equal(y[:, None], classes, out=self.arena.empty(len(index), self.field.classes))

    def _from_host(self, X):
        rows = ", ".join(["rows", *map(str, self.field.shape)])
        expected = f"an array ({rows}) of the host or of the model's backend, {self.backend.name!r}"
        return host_array(X, self.label, expected)

    def fingerprint(self) -> Any:
        digest, X = hashlib.sha256(), self.X
        while isinstance(X, Scaled):  # what divides and is subtracted, and then the file itself
            digest.update(f"{X.scale} {X.shift}".encode())
            X = X.X
        rows = max(1, (1 << 22) // max(1, math.prod(self.X.shape[1:])))
        for start in range(0, len(self), rows):
            if self.lazy:
                _still_whole(X, self.label)
            part = X[start : start + rows]
            digest.update(np.ascontiguousarray(self.backend.to_numpy(part) if self.on_device else part).data)
        return [*self.X.shape, str(X.dtype), digest.hexdigest()[:16]]


def _still_whole(X, label):
    """Refuse a memory map whose file became shorter: to read behind its end would end the process without a word."""
    while isinstance(X, Scaled):
        X = X.X
    if isinstance(X, Shards):
        for part in X.parts:
            _still_whole(part, label)
        return
    if not isinstance(X, np.memmap) or X.filename is None:
        return
    base = X  # a slice of a map knows the offset of the whole, and not its size
    while isinstance(base.base, np.memmap):
        base = base.base
    try:
        size = os.path.getsize(X.filename)
    except OSError:
        return  # deleted, and still there for those who have it open
    if size < base.offset + base.nbytes:
        raise InputError(
            f"{label} is in {str(X.filename)!r}, which became shorter while it was read: leave the file alone, write "
            "it anew and start again"
        )


class Ragged:
    """One field of sequences: an array (length, …) for each example."""

    on_device = False

    def __init__(self, field: Field, X: Any, arena: Arena, label: str):
        self.field, self.arena, self.label, self.backend = field, arena, label, arena.backend
        if not isinstance(X, list | tuple) or not len(X):
            raise InputError(
                f"{label} is a {type(X).__name__}: expected a list of sequences, an array for each example"
            )
        self.X = [host_array(x, f"{label}[{k}]", "an array") for k, x in enumerate(X)]
        whole = type(field).__name__
        for k, x in enumerate(self.X):
            if x.ndim != len(field.shape) or x.shape[1:] != field.shape[1:] or x.dtype.kind not in field.kinds:
                raise InputError(f"{label}[{k}] is {x.dtype} {x.shape}: expected {whole} of shape {field.shape}")
            if len(x) == 0:
                raise InputError(f"{label}[{k}] has length 0: expected at least one; leave empty sequences out")
            field.check_values(x, f"{label}[{k}]", arena.dtype)

    def __len__(self) -> int:
        return len(self.X)

    def take(self, name: str, index: Any) -> dict[str, Any]:
        some = [self.X[i] for i in index]
        length = np.fromiter(map(len, some), np.int32, len(some))
        dtype = np.dtype(self.field.dtype(self.arena.dtype))
        padded = self.arena.empty(len(some), int(length.max()), *self.field.shape[1:], dtype=dtype, xp=np)
        padded[...] = 0
        for row, x in zip(padded, some, strict=True):
            row[: len(x)] = x
        padded = self.field.deliver(padded)
        return {name: self.backend.from_numpy(padded), f"{name}_length": self.backend.from_numpy(length)}

    def fingerprint(self) -> Any:
        digest = hashlib.sha256()
        for x in self.X:
            digest.update(f"{x.dtype} {x.shape}".encode())
            digest.update(np.ascontiguousarray(x).data)
        return [len(self), sum(map(len, self.X)), digest.hexdigest()[:16]]


def checked_batch(fields: Any, inputs: Any, backend: Any, dtype: Any) -> dict[str, Any]:
    """The fields among the inputs of a step, checked: arrays of the model's backend, of a batch's shape and type."""
    batch = {}
    for name, field in fields.items():
        x = inputs.get(name)
        if x is None and field.optional:
            continue
        batch[name] = x
        if masked(x):
            host_array(x, name)
        if not backend.owns(x):
            raise InputError(
                f"{name} is a {type(x).__module__.partition('.')[0]} {type(x).__name__} and the model is on backend "
                f"{backend.name!r}: use model.backend.from_numpy({name}), or build the model on that backend"
            )
        shape, expected = x.shape, field.batch_shape(x.shape[0] if x.ndim else 0)
        if not shape or shape[0] == 0 or (expected is not None and shape != expected):
            words = ", ".join(["rows", *map(str, (expected or shape)[1:])])
            raise InputError(f"{name} has shape {shape}; expected ({words}) with at least one row")
        if x.dtype != field.dtype(dtype):
            of = field.dtype(dtype)
            raise InputError(f"{name} is {x.dtype} and the model {of}: use {name}.astype({str(of)!r})")
        if field.ragged:
            length = batch[f"{name}_length"] = inputs.get(f"{name}_length")
            if not backend.owns(length) or length.shape != shape[:1] or length.dtype != np.int32:
                given = f"{getattr(length, 'dtype', type(length).__name__)} {getattr(length, 'shape', '')}"
                raise InputError(f"{name}_length is {given}: expected int32 {shape[:1]}, as `batches` gives it")
    return batch

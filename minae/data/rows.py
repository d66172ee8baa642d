"""From what a user has, an array of the host, of the device, or a file larger than memory, to the batches of a step."""

import hashlib
import math

import numpy as np

from minae.data.readers import Scaled
from minae.errors import InputError


class Rows:
    """The rows of X, checked, and taken batch by batch to the model's backend and dtype.

    X: (rows, n), numbers, finite, in the loss's range: an array of the host, one of the model's device, or a
    memory-mapped one, of which only the batches are read (and checked as they are read).
    y: the targets of a model that has them, one a row of X
    """

    def __init__(self, model, X, name, width=None, loss="model", y=None):
        self.model, self.backend, self.name = model, model.backend, name
        self.loss = loss if loss != "model" else None if model.supervised else model.loss
        self.width = width or model.config["sizes"][0]
        self.on_device = not isinstance(X, np.ndarray) and self.backend.owns(X)
        self.X = X if self.on_device or isinstance(X, np.ndarray | Scaled) else self._from_host(X)
        self._check_form()
        self.lazy = isinstance(self.X, np.memmap | Scaled)
        if not self.lazy:
            self._check_values(self.X)
        targets = model.targets(y, len(self)) if loss == "model" else None
        self.y = None if targets is None else Rows(model, targets, "y", width=targets.shape[1], loss=None)

    def __len__(self):
        return self.X.shape[0]

    def take(self, index):
        """The rows at `index` (an integer array of the host), (len(index), n)."""
        arena, shape = self.model.arena, (len(index), self.width)
        if self.on_device:
            xp = self.backend.xp
            x = xp.take(self.X, self.backend.from_numpy(index), axis=0, out=arena.empty(*shape, dtype=self.X.dtype))
            return x.astype(self.model.dtype, copy=False)
        x = arena.empty(*shape, xp=np)
        if isinstance(self.X, np.ndarray) and self.X.dtype == x.dtype:
            np.take(self.X, index, axis=0, out=x, mode="clip")  # "clip": with "raise", NumPy would copy `out` first
        else:
            with np.errstate(over="ignore"):  # a number that becomes infinite is found by the check
                np.copyto(x, self.X[index], casting="unsafe")
        if self.lazy:
            self._check_values(x)
        return self.backend.from_numpy(x)

    def step(self, index):
        """x, and the arguments that a step takes beside it: {} or its targets y."""
        return self.take(index), {} if self.y is None else {"y": self.y.take(index)}

    def _from_host(self, X):
        try:
            return np.asarray(X)
        except (TypeError, ValueError) as error:
            kind = f"{type(X).__module__.partition('.')[0]} {type(X).__name__}"
            raise InputError(
                f"{self.name} is a {kind} and the model is on backend {self.backend.name!r}: expected an array "
                f"(rows, {self.width}) of the host or of that backend"
            ) from error

    def _check_form(self):
        X, name = self.X, self.name
        if np.dtype(X.dtype).kind not in "fiub":
            raise InputError(f"{name} has dtype {X.dtype}: expected real numbers, such as float32")
        if len(X.shape) != 2 or X.shape[1] != self.width:
            hint = f"; use {name}.reshape(len({name}), -1)" if math.prod(X.shape[1:]) == self.width else ""
            raise InputError(f"{name} has shape {tuple(X.shape)}; expected (rows, {self.width}){hint}")
        if X.shape[0] == 0:
            raise InputError(f"{name} is empty, shape {tuple(X.shape)}: expected at least one row")

    def _check_values(self, x):
        low, high = float(x.min()), float(x.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise InputError(f"{self.name} has NaN or infinite values: remove those rows or fill them in first")
        if max(-low, high) > float(np.finfo(self.model.dtype).max):
            raise InputError(
                f"{self.name} has values in [{low:g}, {high:g}], too large for {self.model.dtype}: scale the data"
            )
        if self.loss:
            self.loss.check(x, low, high, self.name)

    def fingerprint(self):
        """Shape and a hash of up to 64 rows: enough to tell that a run is resumed with other data."""
        index = np.unique(np.linspace(0, len(self) - 1, 64).astype(np.int64))
        some = (
            self.backend.to_numpy(self.X[self.backend.from_numpy(index)])
            if self.on_device
            else np.asarray(self.X[index])
        )
        own = [*self.X.shape, hashlib.sha256(np.ascontiguousarray(some).tobytes()).hexdigest()[:16]]
        return own if self.y is None else own + self.y.fingerprint()

"""What all files of the benchmark share: a contestant, the place where it runs, and the settings of every training."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

LR, SEED = 1e-3, 0
RHO, LAM, LEVEL, K = 0.05, 0.1, 0.25, 32  # sparsity target, weight of the contraction, share that is masked, units kept
ROWS, CODES, BETA = 64, 8, 0.25  # rows of each codebook, codebooks, weight of the commitment


@dataclass
class Contestant:
    """step() does the work once; read(what step gave) is its costs as floats; synchronize() waits for the device."""

    step: Callable[[], Any]
    read: Callable[[Any], list[float]] = lambda result: []
    synchronize: Callable[[], None] = lambda: None


class Env:
    """Where a job runs: its data, and what the job is measured on.     job: folder, backend, threads, rows or none"""

    def __init__(self, job: dict[str, Any]):
        self.folder, self.backend, self.threads = Path(job["folder"]), job["backend"], job["threads"]
        self._X, self._rows, self._loaded = None, job.get("rows"), {}

    def X(self, width: int) -> np.ndarray:
        """The digits, (rows, width) in float32: the middle `width` pixels; repeated where more rows are asked for."""
        if self._X is None:
            X = np.load(self.folder / "train.npy")
            self._X = X if self._rows is None else np.resize(X, (self._rows, X.shape[1]))
        start = (self._X.shape[1] - width) // 2
        return np.ascontiguousarray(self._X[:, start : start + width])

    def batches(self, batch: int) -> Iterator[np.ndarray]:
        """Full slices of an order that is shuffled anew in each epoch, as in minae.training.fit."""
        self.X(1)
        for epoch in itertools.count():
            order = np.random.default_rng((SEED, epoch)).permutation(len(self._X))
            yield from (order[k : k + batch] for k in range(0, len(order) - batch + 1, batch))

    def save(self, name: str, arrays: dict[str, Any]) -> None:
        np.savez(self.folder / f"{name}.npz", **arrays)

    def load(self, name: str) -> dict[str, np.ndarray]:
        if name not in self._loaded:
            with np.load(self.folder / f"{name}.npz") as arrays:
                self._loaded[name] = dict(arrays)
        return self._loaded[name]

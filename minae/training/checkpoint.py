"""What a checkpoint holds of a training run, and how the run goes on from it."""

import dataclasses
from pathlib import Path

import numpy as np

from minae import files
from minae.errors import InputError


class Checkpoint:
    """The half of a run that is written to a file and read again; the other half is in `minae.training.loop`."""

    def settings(self):
        """What must be the same for a resume to continue the same run: of the model as training found it, and of fit.

        A callback may have changed weights and learning rates since then; what they are now is in the file, too.
        """
        words = {turn or "": text for turn, text in self.first_settings.items()}
        return {
            **{name: value for name, value in self.started.items() if name != "config"},
            **self.started["config"],
            "seed": self.seed,
            "model's seed": self.started["config"]["seed"],
            "batch_size": self.batch_size,
            "average": self.decay,
            "gradient_hook": self.gradient_hook is not None,
            "optimizer": words.get("", words),
            "data": self.fingerprint(),
            "validation": self.held_out and self.held_out.fingerprint(),
        }

    def fingerprint(self):
        return self.batches.fingerprint()

    def vectors(self):
        """The vectors of the optimizers by the names that they have in the file."""
        return {
            f"optimizer.{turn or ''}.{name}": vector
            for turn, optimizer in self.optimizers.items()
            for name, vector in optimizer.state.items()
        }

    def save(self):
        """Rank 0 writes, and the others wait until it has."""
        if self.position and self.world.size > 1:  # each rank's trace becomes its share of all
            trace = self._joined_trace(self.model.backend.to_numpy(self.trace)[: self.position])
            trace[:, -1] /= self.world.size
            self.trace[: self.position] = self.model.backend.from_numpy(trace.astype(self.trace.dtype))
        self.world.first(self._write)

    def _write(self):
        model, to_numpy = self.model, self.model.backend.to_numpy
        arrays = model.tensors() | self.vectors()
        arrays |= self.best or {}
        if self.average is not None:
            arrays["run.average"] = self.average
        if self.position:
            arrays["run.trace"] = self.trace
        tensors = {name: to_numpy(array) for name, array in arrays.items()}
        tensors["run.recorded"] = self.recorded.astype("uint8")
        run = dict(epoch=self.epoch, position=self.position, stale=self.stale, history=self.history)
        run["t"] = {turn or "": optimizer.t for turn, optimizer in self.optimizers.items()}
        run["now"] = {turn or "": _plain_settings(optimizer) for turn, optimizer in self.optimizers.items()}
        run["best_J"] = self.best_J if self.best is not None else None
        files.write(self.path, tensors, {**model.metadata(), "settings": self.settings(), "run": run})

    def restore(self, epochs, patience):
        """Go on from the file. Nothing is touched before all of it has been verified."""
        tensors, metadata = self.world.first(self._read)
        if "run" not in metadata:
            raise InputError(f"{self.path} is a model, not a checkpoint of a training run: it cannot be resumed")
        try:
            self._compare(metadata["settings"], self.settings())
            self._verify(tensors, metadata, epochs)
            self._take(tensors, metadata, patience)
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{self.path} is no whole checkpoint ({error}): start anew under another path") from error

    def _compare(self, before, now):
        for name in [*now, *before]:
            if now.get(name) != before.get(name):
                raise InputError(
                    f"{self.path} was trained with {name} = {before.get(name)} and this run has {now.get(name)}: "
                    "resume with the same, or start anew under another path"
                )

    def _verify(self, tensors, metadata, epochs):
        """Every array that is going to be read is there, and has its shape and type; so has what counts."""
        model, run = self.model, metadata["run"]
        counts = {name: run[name] for name in ("epoch", "position", "stale")} | run["t"]
        for name, count in counts.items():
            if not isinstance(count, int) or not 0 <= count < 1 << 53:
                raise TypeError(f"{name or 't'} is {count!r}")
        if run["position"] > self.steps or len(run["history"]) != run["epoch"]:
            raise TypeError(f"it has {run['epoch']} epochs and {run['position']} steps of {self.steps}")
        numbers = [*metadata["weights"].values(), *(value for now in run["now"].values() for value in now.values())]
        if set(metadata["weights"]) != set(model.weights) or not all(isinstance(n, int | float) for n in numbers):
            raise TypeError(f"weights is {metadata['weights']} and the settings {run['now']}")
        if set(run["now"]) != {turn or "" for turn in self.optimizers} or set(run["t"]) != set(run["now"]):
            raise TypeError(f"it has the turns {', '.join(run['now'])}")
        if run["epoch"] > epochs:
            raise InputError(f"epochs is {epochs} and {self.path} has {run['epoch']} done: give {run['epoch']} or more")
        theta = model.parameters.flat
        expected = {name: (array.shape, array.dtype) for name, array in model.tensors().items()}
        for turn, optimizer in self.optimizers.items():
            for name in optimizer.slots if run["t"][turn or ""] else ():
                expected[f"optimizer.{turn or ''}.{name}"] = theta.shape, theta.dtype
        if run["best_J"] is not None:
            expected |= {name: (array.shape, array.dtype) for name, array in self.finite.items()}
        if self.average is not None:
            expected["run.average"] = theta.shape, theta.dtype
        if run["position"]:
            expected["run.trace"] = (self.steps, len(self.names) + 1), np.dtype(float)
        expected["run.recorded"] = self.recorded.shape, np.dtype("uint8")
        for name, (shape, dtype) in expected.items():
            if tensors[name].shape != shape or tensors[name].dtype != dtype:
                raise TypeError(f"{name} is {tensors[name].dtype} {tensors[name].shape}, expected {dtype} {shape}")
        if unknown := set(tensors) - set(expected):
            raise TypeError(f"it has {', '.join(sorted(unknown))}, which this run does not")

    def _read(self):
        if self.path is None:
            raise InputError("resume=True needs the checkpoint to go on from: give checkpoint=PATH")
        if not Path(self.path).exists():
            raise InputError(f"no checkpoint {self.path} to go on from: leave out resume (--resume) to start anew")
        return files.read(self.path)

    def _take(self, tensors, metadata, patience):
        from_numpy, run = self.model.backend.from_numpy, metadata["run"]
        self.model.restore(tensors)
        self.model.weights.update(metadata["weights"])
        for turn, optimizer in self.optimizers.items():
            optimizer.t = run["t"][turn or ""]
            if optimizer.t:
                prefix = f"optimizer.{turn or ''}."
                optimizer.state = {name: from_numpy(tensors[prefix + name]) for name in optimizer.slots}
            for name, value in run["now"][turn or ""].items():
                setattr(optimizer, name, value)
                setattr(optimizer.given, name, value)
        self.epoch, self.position, self.stale = run["epoch"], run["position"], run["stale"]
        self.stopped = patience is not None and self.stale >= patience
        self.history[:] = run["history"]
        self.recorded[...] = tensors["run.recorded"]
        if run["best_J"] is not None and patience is not None:  # without patience, nobody asks for the best
            self.best, self.best_J = {name: from_numpy(tensors[name]) for name in self.current()}, run["best_J"]
        if self.average is not None:
            self.average = from_numpy(tensors["run.average"])
        if self.position:
            self.trace = from_numpy(tensors["run.trace"])
        self.finite = self.current()


def _plain_settings(optimizer):
    """The settings of an optimizer that are numbers, as they are now: a callback may have changed them."""
    values = {field.name: getattr(optimizer, field.name) for field in dataclasses.fields(optimizer) if field.init}
    return {name: value for name, value in values.items() if isinstance(value, int | float)}

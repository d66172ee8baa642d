"""What a checkpoint holds of a training run, and how the run goes on from it."""

from pathlib import Path

from minae import files
from minae.errors import InputError


class Checkpoint:
    """The half of a run that is written to a file and read again; the other half is in `minae.training.loop`."""

    def settings(self):
        """What must be the same for a resume to continue the same run."""
        optimizers = {turn or "": repr(optimizer) for turn, optimizer in self.optimizers.items()}
        return {
            "seed": self.seed,
            "batch_size": self.batch_size,
            "average": self.decay,
            "optimizer": optimizers.get("", optimizers),
            "data": self.batches.fingerprint(),
            "validation": self.held_out and self.held_out.fingerprint(),
        }

    def vectors(self):
        """The vectors of the optimizers by the names that they have in the file."""
        return {
            f"optimizer.{turn or ''}.{name}": vector
            for turn, optimizer in self.optimizers.items()
            for name, vector in optimizer.state.items()
        }

    def save(self):
        model, to_numpy = self.model, self.model.backend.to_numpy
        arrays = model.tensors() | self.vectors()
        arrays |= self.best or {}
        if self.average is not None:
            arrays["run.average"] = self.average
        if self.position:
            arrays["run.trace"] = self.trace
        tensors = {name: to_numpy(array) for name, array in arrays.items()}
        tensors["run.recorded"] = self.recorded.astype("uint8")
        run = dict(epoch=self.epoch, position=self.position, stopped=self.stopped, stale=self.stale)
        run["t"] = {turn or "": optimizer.t for turn, optimizer in self.optimizers.items()}
        run |= dict(best_J=self.best_J if self.best is not None else None, history=self.history)
        files.write(self.path, tensors, {**model.metadata(), "settings": self.settings(), "run": run})

    def restore(self):
        if self.path is None:
            raise InputError("resume=True needs the checkpoint to go on from: give checkpoint=PATH")
        if not Path(self.path).exists():
            raise InputError(f"no checkpoint {self.path} to go on from: leave out resume (--resume) to start anew")
        tensors, metadata = files.read(self.path)
        if "run" not in metadata:
            raise InputError(f"{self.path} is a model, not a checkpoint of a training run: it cannot be resumed")
        now = {**self.model.metadata(), **self.settings()}
        before = {name: metadata.get(name) for name in self.model.metadata()} | metadata["settings"]
        for name, value in before.items():
            if now[name] != value:
                raise InputError(
                    f"{self.path} was trained with {name} = {value} and this run has {now[name]}: resume with the "
                    "same, or start anew under another path"
                )
        from_numpy, run = self.model.backend.from_numpy, metadata["run"]
        self.model.restore(tensors)
        for turn, optimizer in self.optimizers.items():
            optimizer.t = run["t"][turn or ""]
            if optimizer.t:
                prefix = f"optimizer.{turn or ''}."
                optimizer.state = {name: from_numpy(tensors[prefix + name]) for name in optimizer.slots}
        self.epoch, self.position, self.stopped = run["epoch"], run["position"], run["stopped"]
        self.history[:], self.stale = run["history"], run["stale"]
        self.recorded[...] = tensors["run.recorded"]
        if "run.best" in tensors:
            self.best, self.best_J = {name: from_numpy(tensors[name]) for name in self.current()}, run["best_J"]
        if self.average is not None:
            self.average = from_numpy(tensors["run.average"])
        if "run.trace" in tensors:
            self.trace = from_numpy(tensors["run.trace"])

"""The models: a page of mathematics each, in a flat folder. A file that is put here is a model that minae knows."""

import importlib
import importlib.util
import pkgutil
import sys
import zlib
from pathlib import Path
from typing import Any

from minae import files
from minae.backend import Backend, get_backend
from minae.data.preprocessing import Preprocessing
from minae.errors import InputError, meant
from minae.models.autoencoder import Autoencoder
from minae.models.model import MODELS, Cost, Model
from minae.options import File, door


def registry() -> dict[str, type[Model]]:
    """Name -> class of every model, in the order of the book."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return dict(sorted(MODELS.items(), key=lambda item: ([int(part) for part in item[1].section.split(".")], item[0])))


def exports() -> dict[str, Any]:
    """What `minae` exports of this folder, by name: the classes, and the functions of stacked.py."""
    stacked = importlib.import_module(f"{__name__}.stacked")
    classes = {model.__name__: model for model in registry().values()}
    return classes | {
        name: getattr(stacked, name) for name in ("pretrain", "copy_encoder", "copy_shared", "widen_sigmoids")
    }


@door(path=File())
def import_file(path: str | Path) -> None:
    """Run a file of Python that has models of its own; they are registered as those of this folder are."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no file {str(path)!r}: give the path of a Python file with a model in it")
    spec = importlib.util.spec_from_file_location(f"minae_import_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InputError(f"{str(path)!r} is no Python file: its name must end in .py")
    before, module = registry(), importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # as pickle and inspect look for it
    try:
        spec.loader.exec_module(module)
        names = [name for name, kind in MODELS.items() if before.get(name) is not kind]
        if not names:
            raise InputError(
                f"{str(path)!r} registers no model: give a subclass of minae.Model or minae.Autoencoder a `name`"
            )
        for name in names:  # a file that was edited may be imported again
            if name in before and before[name].__module__.startswith(f"{__name__}."):
                raise InputError(f"{str(path)!r}: {name!r} is a model of minae: give yours another name")
    except Exception as error:
        MODELS.clear()
        MODELS.update(before)
        if isinstance(error, InputError):
            raise
        raise InputError(f"{str(path)!r} cannot be imported: {type(error).__name__}: {error}") from error


def full_name(name: str) -> str:
    """The name of a model that is given by its name or by a short one, such as vae."""
    models, name = registry(), str(name)
    short = {alias: model.name for model in models.values() for alias in model.short}
    if name not in models and name not in short:
        close = meant(name, [*models, *short])
        raise InputError(f"unknown model {name!r}: choose one of {', '.join(models)}{close}")
    return short.get(name, name)


def get_model(name: str) -> type[Model]:
    """The class of the model that is called `name`, or has it as a short name."""
    return MODELS[full_name(name)]


@door(path=File())
def load(path: str | Path, *, backend: str | Backend | None = None, dtype: str | None = None) -> Model:
    """The model that `save` or a checkpoint of `fit` wrote.

    Raises InputError for a file that is missing, truncated, or not minae's.
    """
    tensors, metadata = _read(path)
    backend, name = get_backend(backend), metadata.get("model")
    if not isinstance(name, str) or name not in registry():
        raise InputError(
            f"{path} holds a model of kind {name!r}, and there are {', '.join(MODELS)}: import the file that "
            "defines it first (--import FILE)"
        )
    kind = get_model(name)
    model = kind.__new__(kind)
    model._in_file = {key: array.shape for key, array in tensors.items()}
    try:
        kind.__init__(model, **metadata["config"], backend=backend, dtype=dtype or metadata["dtype"])
        model.weights.update(metadata["weights"])
        model.preprocessing = Preprocessing(**metadata["preprocessing"])
        usual = metadata.get("usual")
        model.usual = None if usual is None else [float(value) for value in usual]
        model.restore(tensors)
    except (KeyError, TypeError, ValueError, AttributeError) as error:  # InputError is a ValueError
        raise InputError(f"{path} does not hold a whole model of kind {name!r}: {error}; train it again") from error
    return model


def _read(path):
    """The tensors and the metadata of a file, of one that `shrink.save` wrote too."""
    tensors, metadata = files.read(path)
    if "shrunk" in metadata:
        try:
            tensors = files.restored(tensors, metadata["shrunk"], metadata["dtype"])
        except (KeyError, TypeError, ValueError, AttributeError, zlib.error) as error:
            raise InputError(f"{path} does not hold whole matrices ({error}): shrink the model again") from error
    return tensors, metadata


__all__ = ["MODELS", "Autoencoder", "Cost", "Model", "exports", "full_name", "get_model", "import_file", "load",
           "registry"]  # fmt: skip

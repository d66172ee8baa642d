"""Doors to neighbours: each module here speaks another library's language, needs that library, and loads when used."""

import importlib

MODULES = ("mpi", "onnx", "sklearn")


def __getattr__(name):
    if name in MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Types: every public signature has them, they reach who imports minae, and a checker finds what is wrong."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import minae
from minae import options

ROOT = Path(minae.__file__).parents[1]
INTERNAL = {  # of the engine: no part of what a user calls
    "bench", "cli", "derive", "doctor", "effects", "interop/onnx", "interop/onnx_layers", "standin", "__main__",
    "training/checkpoint", "training/progress",
}  # fmt: skip
SNIPPET = """# mypy: disallow-untyped-calls, disallow-untyped-decorators, disallow-any-unimported
from typing import assert_type

import numpy as np

import minae
from minae.options import Count, Option, Rate
from minae.training import Adam, History

X = np.zeros((9, 7), "float32")
model = minae.SparseAutoencoder((7, 3), rho=0.1)
assert_type(model.rho, float)
assert_type(model.lam, float)
assert_type(model.sizes, list[int])
assert_type(model.tied, bool)
assert_type(model.activation, str)
assert_type(model.image, list[int] | None)
assert_type(minae.ContractiveAutoencoder((7, 3)).probes, int | None)
model.lam = 0.3
assert_type(model.fit(X, epochs=1, optimizer=Adam(1e-3)), History)
assert_type(model.history, History)
assert_type(model.evaluate(X), dict[str, float])
assert_type(minae.pretrained("digits-2d"), minae.Autoencoder)
assert_type(minae.check_gradient(model, X).worst.error, float)
assert_type(minae.data.mnist().train, np.ndarray)
assert_type(minae.plots.look("PCA").color, str)


class Mine(minae.Autoencoder):
    share = Rate(0.3, "of something")
    most: Option[int | None] = Count(None, "of something else", optional=True)


assert_type(Mine((7, 3)).share, float)
assert_type(Mine((7, 3)).most, int | None)
"""
WRONG = {  # a line that is wrong -> what the checker says of it
    "model.recontruct(X)": 'has no attribute "recontruct"',
    "minae.SparseAutoencodr((7, 3))": 'has no attribute "SparseAutoencodr"',
    "model.rho.upper()": '"float" has no attribute "upper"',
    "model.lam = 'a'": "Incompatible types in assignment",
    "minae.check_gradient(X, model)": "incompatible type",
    "minae.pretrained(3)": "No overload variant",
}


def signatures():
    """(where, missing names) of every public function and method of the engine."""
    for file in sorted((ROOT / "minae").rglob("*.py")):
        name = file.relative_to(ROOT / "minae").with_suffix("").as_posix()
        if name in INTERNAL or name.split("/")[0] in INTERNAL:
            continue
        for node in ast.parse(file.read_text("utf-8")).body:
            members = [(node, "")] if isinstance(node, ast.FunctionDef) else []
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                members = [(each, f"{node.name}.") for each in node.body if isinstance(each, ast.FunctionDef)]
            for function, owner in members:
                if function.name == "__init__" or not function.name.startswith("_"):
                    yield f"{name}.{owner}{function.name}", missing(function, bool(owner))


def missing(function, method):
    """The arguments of a definition that have no type, and "return"."""
    static = any(getattr(each, "id", "") == "staticmethod" for each in function.decorator_list)
    given, more = function.args, [function.args.vararg, function.args.kwarg]
    arguments = [*given.posonlyargs, *given.args][method and not static :] + given.kwonlyargs
    names = [each.arg for each in [*arguments, *filter(None, more)] if each.annotation is None]
    return names + ["return"] * (function.returns is None and function.name != "__init__")


def test_every_public_signature_has_its_types():
    found = list(signatures())
    assert len(found) > 800
    assert {where: names for where, names in found if names} == {}


def test_a_signature_without_types_is_found():
    tree = ast.parse("class A:\n    def f(self, a, b: int, *c, d=1): ...\n    @staticmethod\n    def g(a) -> int: ...")
    one, other = tree.body[0].body
    assert missing(one, True) == ["a", "d", "c", "return"] and missing(other, True) == ["a"]


def test_the_stub_names_what_minae_exports():
    stub = ast.parse((ROOT / "minae" / "__init__.pyi").read_text("utf-8"))
    named = {alias.asname: (node.module, alias.name) for node in stub.body if isinstance(node, ast.ImportFrom)
             for alias in node.names if alias.asname}  # fmt: skip
    assert set(named) == set(minae.__all__)
    for name, (module, of) in named.items():
        value = getattr(minae, name)
        assert (inspect.ismodule(value) and module == "minae") or getattr(sys.modules[module], of) is value


def test_the_package_says_that_it_is_typed():
    assert (ROOT / "minae" / "py.typed").is_file()


def test_options_are_their_own_at_the_class_and_values_at_a_model():
    model = minae.SparseAutoencoder((7, 3), rho=0.1)
    assert isinstance(type(model).rho, options.Number) and model.rho == 0.1
    assert not hasattr(options.Weight, "__set__")  # only a checker sees it: `Model.__setattr__` keeps a weight


@pytest.mark.slow
def test_types_reach_the_user(tmp_path):
    pytest.importorskip("mypy")
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text(SNIPPET)
    bad.write_text("\n".join([SNIPPET, *WRONG]))
    settings = ["--cache-dir", tmp_path, "--config-file", ROOT / "pyproject.toml"]
    command = [sys.executable, "-m", "mypy", *settings, good, bad]
    done = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True)
    found = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert done.returncode == 1 and len(found) == len(WRONG), done.stdout + done.stderr
    for line, said in zip(found, WRONG.values(), strict=True):
        assert "bad.py" in line and said in line

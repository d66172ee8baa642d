"""The house as its imports draw it: arrows point down, nothing is hidden in functions, and `import minae` is light."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import minae

ROOT = Path(minae.__file__).parents[1]
FOLDERS = {"minae": ROOT / "minae", "minae.kernels": ROOT / "kernels"}
HEAVY = {"numba", "matplotlib", "scipy", "cupy", "PIL", "tqdm", "pooch", "torch", "requests", "safetensors"}
LATE = ("minae.cli", "minae.doctor", "minae.bench", "minae.__main__")  # commands: they load what they were asked for


def sources():
    """Dotted name -> file of every module of the engine and the kernels."""
    found = {}
    for package, folder in FOLDERS.items():
        for file in sorted(folder.rglob("*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            found[".".join((package, *parts))] = file
    return found


MODULES = sources()


def resolved(name, node):
    """The modules that an import statement of module `name` needs."""
    if isinstance(node, ast.Import):
        wanted = [alias.name for alias in node.names]
    else:
        base = node.module or ""
        if node.level:
            package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
            for _ in range(node.level - 1):
                package = package.rpartition(".")[0]
            base = f"{package}.{base}".rstrip(".")
        wanted = [f"{base}.{alias.name}" for alias in node.names]
        wanted = [one if one in MODULES else base for one in wanted]
    return [one for one in wanted if one in MODULES and one != name]


def late_imports(name):
    """(function, module) of the imports inside functions; a `__getattr__` is a lazy module, and may."""
    found = []
    for function in ast.walk(ast.parse(MODULES[name].read_text("utf-8"))):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            for node in ast.walk(function):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    found += [(getattr(function, "name", "lambda"), one) for one in resolved(name, node)]
    return found


def edges():
    """Module -> modules that it imports, at the top or in a function. An import of `minae.data.batches` runs
    `minae.data` first, so it is an arrow to both; but not to the roof, `minae`, nor to a module's own packages."""
    drawn = {}
    for name, file in MODULES.items():
        nodes = ast.walk(ast.parse(file.read_text("utf-8")))
        wanted = {
            one for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) for one in resolved(name, node)
        }
        packages = {one.rsplit(".", k)[0] for one in wanted for k in range(1, one.count("."))}
        drawn[name] = wanted | {one for one in packages if one != "minae" and not f"{name}.".startswith(f"{one}.")}
    return drawn


def test_there_are_modules():
    assert {"minae.models.model", "minae.kernels.adam", "minae.ops", "minae.training.loop"} <= set(MODULES)
    assert "minae.kernels" in edges()["minae.ops.dense"] and "minae.ops" in edges()["minae.layers.dense"]


def test_the_modules_form_no_circle():
    drawn, done, path = edges(), set(), []

    def visit(name):
        if name in path:
            pytest.fail("a circle of imports: " + " -> ".join([*path[path.index(name) :], name]))
        if name in done:
            return
        path.append(name)
        for one in sorted(drawn[name]):
            visit(one)
        path.pop()
        done.add(name)

    for name in drawn:
        visit(name)


def test_arrows_point_down():
    """kernels know the backend alone; ops know kernels; layers know ops; no engine module knows a command."""
    drawn = edges()
    for name, wanted in drawn.items():
        if name.startswith("minae.kernels"):
            assert wanted <= {
                "minae.backend",
                "minae.errors",
                *(one for one in MODULES if one.startswith("minae.kernels")),
            }, name
        if name.startswith("minae.ops"):
            floor = ("minae.kernels", "minae.backend", "minae.ops")
            assert all(one.startswith(floor) for one in wanted), name
        if not name.startswith(LATE):
            assert not any(one.startswith(LATE) for one in wanted), name
    assert not drawn["minae.backend"] - {"minae.errors"} and not drawn["minae.world"]
    assert drawn["minae.arena"] <= {"minae.world"}
    for name in ("minae.fields", "minae.data.batches", "minae.training.loop", "minae.training.checkpoint"):
        assert not any(one.startswith("minae.models") for one in drawn[name]), name  # they know no model


@pytest.mark.parametrize("name", [name for name in MODULES if not name.startswith(LATE)])
def test_no_import_is_hidden_in_a_function(name):
    assert [late for late in late_imports(name) if late[0] != "__getattr__"] == []


def run(code, **environment):
    env = {key: value for key, value in os.environ.items() if key != "OPENBLAS_THREAD_TIMEOUT"} | environment
    return subprocess.run([sys.executable, "-W", "error", "-c", code], env=env, capture_output=True, text=True, cwd="/")


def test_there_is_one_copy_of_each_module():
    """The first edition had the repository's root on its path: minae.minae.ops was a second copy of minae.ops."""
    for name in ("minae.minae", "minae.minae.ops", "minae.tests", "minae.pyproject"):
        result = run(f"import {name}")
        assert result.returncode and f"No module named {name.rpartition('.ops')[0] or name!r}"[:26] in result.stderr


def test_import_loads_nothing_heavy():
    result = run(f"import sys, minae; print(sorted({HEAVY!r} & set(sys.modules)))")
    assert result.stdout.strip() == "[]", result.stderr


def test_every_model_is_there_without_anything_heavy():
    code = "import sys, minae; minae.models.registry(); print(len(minae.models.MODELS), sorted(%r & set(sys.modules)))"
    count, heavy = run(code % HEAVY).stdout.strip().split(" ", 1)
    assert int(count) >= 11 and heavy == "[]"


@pytest.mark.parametrize("given", [{}, {"OPENBLAS_THREAD_TIMEOUT": "26"}])
def test_import_sets_no_environment_variable(given):
    """The first edition set OPENBLAS_THREAD_TIMEOUT for the user's whole process."""
    code = "import os; before = dict(os.environ); import minae; print(dict(os.environ) == before)"
    assert run(code, **given).stdout.strip() == "True"

"""A student adds a model by one file of plain NumPy; nothing of minae is touched. In a process of its own."""

import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

MODEL = '''
"""My autoencoder of one layer: h = tanh(x W + b), r = h V + c."""

import numpy as np

from minae import Model
from minae.fields import Real
from minae.options import Choice, Sizes, Weight


class MyAutoencoder(Model):
    r"""J = L + λ Ω,  L = ½ ‖r − x‖²,  Ω = ½ ‖h‖²

    Derivation: dr = 1/B (r − x); dV = hᵀ dr; dh = dr Vᵀ + λ/B h; da = dh (1 − h²); dW = xᵀ da.
    """

    name = "my_own"
    sizes = Sizes("widths of x and h", most=2, example=(5, 3))
    start = Choice("normal", "first values", among=("normal", "uniform"))
    lam = Weight("Omega", 0.1, "weight λ of ½ ‖h‖²")
    cases = {"": {}, "uniform, no penalty": dict(start="uniform", lam=0.0)}

    def inputs(self):
        return {"x": Real(self.sizes[0])}

    def shapes(self):
        n, m = self.sizes
        return {"W": (n, m), "b": (m,), "V": (m, n), "c": (n,)}

    def initialize(self, rng):
        for name in ("W", "V"):
            draw = rng.standard_normal if self.start == "normal" else rng.random
            self.parameters[name][...] = 0.3 * draw(self.shapes()[name])

    def cost_and_grad(self, x, need_grad=True):
        W, b, V, c = (self.parameters[name] for name in "WbVc")
        h = np.tanh(x @ W + b)
        r = h @ V + c
        L, Omega = 0.5 * np.sum((r - x) ** 2) / len(x), 0.5 * np.sum(h**2) / len(x)
        cost = self.cost(L=L, Omega=Omega if self.lam else None)
        if not need_grad:
            return cost
        dr = self.weights["L"] * (r - x) / len(x)
        dh = dr @ V.T + self.lam * h / len(x)
        da = dh * (1 - h**2)
        for name, gradient in {"W": x.T @ da, "b": da.sum(axis=0), "V": h.T @ dr, "c": dr.sum(axis=0)}.items():
            self.parameters.gradient(name).add(gradient)
        return cost

    def encode(self, X):
        return self.apply(lambda x, start: np.tanh(x @ self.parameters["W"] + self.parameters["b"]), X)
'''


def run(tmp_path, code, *arguments):
    """What the code prints as JSON, in a new process that knows nothing of the tests."""
    code = (
        "import json, sys, warnings; import numpy as np; import minae; from minae import checks, models\n"
        + textwrap.dedent(code)
    )
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    result = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "MINAE_BACKEND": ""}
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture
def file(tmp_path):
    (tmp_path / "mine.py").write_text(MODEL, "utf-8")
    return tmp_path / "mine.py"


def test_one_file_is_a_model(file, tmp_path):
    """Registered, covered by `checks.cases`, right; it trains, is saved, copied, pickled, and read again."""
    found = run(
        tmp_path,
        """
        import copy, inspect, pickle
        before = list(models.registry())
        models.import_file(sys.argv[1])
        kind = models.get_model("my_own")
        cases = {name: (model, batch) for name, model, batch in checks.cases() if name.startswith("my_own")}
        reports = [report for model, batch in cases.values() for report in checks.check_case(model, batch)]
        model = kind((6, 2), lam=0.01, seed=3)
        X = np.random.default_rng(0).random((200, 6)).astype("float32")
        history = model.fit(X, epochs=30, batch_size=20, optimizer="adam", validation=X[:50])
        model.save("m.safetensors")
        other = minae.load("m.safetensors")
        others = [other, model.copy(), copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
        print(json.dumps({
            "new": sorted(set(models.registry()) - set(before)),
            "last": list(models.registry())[-1],
            "cases": sorted(cases),
            "passed": all(reports),
            "error": max(report.worst.error for report in reports),
            "terms": sorted({row.terms for report in reports for row in report.rows}),
            "falls": [history["J"][0], history["J"][-1], history["validation.J"][-1]],
            "same": [bool((one.encode(X) == model.encode(X)).all()) and repr(one) == repr(model) for one in others],
            "signature": str(inspect.signature(kind)),
            "repr": repr(model),
        }))
        """,
        file,
    )
    assert found["new"] == ["my_own"] and found["last"] == "my_own"  # without a section of the book it comes last
    assert found["cases"] == ["my_own", "my_own uniform, no penalty"]
    assert found["passed"] and found["error"] < 1e-8 and found["terms"] == ["L", "L+Omega", "Omega"]
    assert found["falls"][1] < 0.7 * found["falls"][0] and found["falls"][2] < found["falls"][0]
    assert found["same"] == [True] * 4
    assert found["signature"].startswith("(sizes, *, seed=0, start='normal', lam=0.1")
    assert found["repr"] == (
        "MyAutoencoder(sizes=[6, 2], seed=3, start='normal', lam=0.01, backend='numpy', dtype='float32')"
    )


@pytest.mark.parametrize(
    "right, wrong, parameter",
    [
        ("da = dh * (1 - h**2)", "da = dh * (1 - h)", "W"),
        ('"c": dr.sum(axis=0)', '"c": dr.mean(axis=0)', "c"),
        ("self.lam * h / len(x)", "self.lam * h", "W"),
        ('"V": h.T @ dr', '"V": -h.T @ dr', "V"),
        ("(r - x) / len(x)\n        dh", "(r - x)\n        dh", "c"),
    ],
)
def test_a_wrong_gradient_in_such_a_file_is_caught(right, wrong, parameter, file, tmp_path):
    assert MODEL.count(right) == 1
    file.write_text(MODEL.replace(right, wrong), "utf-8")
    found = run(
        tmp_path,
        """
        models.import_file(sys.argv[1])
        _, model, batch = checks.case(models.get_model("my_own"), "")
        (report,) = checks.check_case(model, batch)
        print(json.dumps([bool(report), str(report), [row.parameter for row in report.rows if not row.passed]]))
        """,
        file,
    )
    assert not found[0] and "WRONG" in found[1] and parameter in found[2]


def test_a_file_that_is_edited_is_imported_again(file, tmp_path):
    """As in a notebook: the same path, another text."""
    found = run(
        tmp_path,
        """
        from pathlib import Path
        models.import_file(sys.argv[1])
        first, text = models.get_model("my_own"), Path(sys.argv[1]).read_text("utf-8")
        Path(sys.argv[1]).write_text(text.replace('Weight("Omega", 0.1', 'Weight("Omega", 0.25'), "utf-8")
        models.import_file(sys.argv[1])
        print(json.dumps([models.get_model("my_own") is first, models.get_model("my_own")((5, 3)).lam]))
        """,
        file,
    )
    assert found == [False, 0.25]


BAD = {
    "no_model.py": ("x = 1", "registers no model: give a subclass of minae.Model or minae.Autoencoder a `name`"),
    "broken.py": ("def f(:", "cannot be imported: SyntaxError"),
    "fails.py": ("1 / 0", "cannot be imported: ZeroDivisionError: division by zero"),
    "needs.py": ("import nothing_of_this_name", "cannot be imported: ModuleNotFoundError"),
    "words.txt": ("x = 1", "its name must end in .py"),
    "taken.py": (MODEL.replace('"my_own"', '"sparse"'), "'sparse' is a model of minae: give yours another name"),
}


def test_files_that_are_no_models(tmp_path):
    """One line each, and what was registered before stays."""
    for name, (text, _) in BAD.items():
        (tmp_path / name).write_text(text, "utf-8")
    found = run(
        tmp_path,
        """
        before, lines = dict(models.registry()), {}
        for name in sys.argv[1:]:
            try:
                models.import_file(name)
            except minae.InputError as error:
                lines[name] = str(error)
        print(json.dumps([lines, models.registry() == before]))
        """,
        *BAD,
        "absent.py",
    )
    lines, same = found
    assert same and set(lines) == {*BAD, "absent.py"} and "no file 'absent.py'" in lines["absent.py"]
    for name, (_, words) in BAD.items():
        assert words in lines[name] and name in lines[name] and "\n" not in lines[name], lines[name]


# ---- the page "A model of your own" of the README


def own_model():
    """The file, the commands and the printed report of the page, as they stand there."""
    readme = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
    page = readme.split("\n## A model of your own\n")[1].split("\n## ")[0]
    (text,) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    (commands,) = re.findall(r"^```sh\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    (report,) = [each for each in re.findall(r"^```\n(.*?)^```$", page, re.DOTALL | re.MULTILINE) if "WRONG" in each]
    return text, commands, report


def minae_command(line, folder):
    command = [sys.executable, "-m", *shlex.split(line, comments=True)]
    env = {**os.environ, "MINAE_BACKEND": ""}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)


def test_the_page_of_the_readme_works_as_written(tmp_path):
    """Its file is right, and its commands run."""
    text, commands, _ = own_model()
    (tmp_path / "mymodel.py").write_text(text, "utf-8")
    np.save(tmp_path / "mydata.npy", np.random.default_rng(0).random((100, 9), dtype=np.float32))
    for line in commands.splitlines():
        result = minae_command(line, tmp_path)
        assert result.returncode == 0, line + result.stdout + result.stderr
        assert "1 right, 0 wrong" in result.stdout or "1 right, 0 wrong" not in line
    assert (tmp_path / "mine.safetensors").is_file()


def test_the_mistake_of_the_readme_is_found_as_it_says(tmp_path):
    """The report is the one that is printed there, but for errors that are rounding."""
    text, _, report = own_model()
    assert text.count("da = dh * (1 - h**2)") == 1
    (tmp_path / "mymodel.py").write_text(text.replace("da = dh * (1 - h**2)", "da = dh"), "utf-8")
    result = minae_command("minae check mine --import mymodel.py", tmp_path)
    assert result.returncode == 1
    found, expected = (re.sub(r"\d\.\de-1\d +\[.*", "rounding", words) for words in (result.stdout, report))
    assert found == expected

"""The `minae` command: what each subcommand does, and that a user's mistake is one line, exit 2, and nothing lost."""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import save_file

from minae import chapters, cli, data, load, options
from minae.backend import get_backend
from minae.errors import InputError
from minae.models import registry

ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
COMMANDS = "list run results check derive options train pretrained info export encode score reconstruct".split()
COMMANDS += ["convert", "bench", "doctor"]
pytestmark = pytest.mark.filterwarnings("ignore:no layer of")  # some data here are narrower than the default code
posix = pytest.mark.skipif(os.name != "posix", reason="signals, FIFOs and limits of POSIX")


@pytest.fixture
def minae(tmp_path, monkeypatch, capsys):
    """minae(*argv) -> (code, out, err), in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MINAE_BACKEND", raising=False)

    def run(*argv):
        capsys.readouterr()
        try:
            code = cli.main([str(arg) for arg in argv])
        except SystemExit as error:  # argparse
            code = error.code
        out, err = capsys.readouterr()
        return SimpleNamespace(code=code, out=out, err=err)

    return run


@pytest.fixture
def X(tmp_path, rng):
    """(40, 16) in [0, 1], and the same as X.npy."""
    X = rng.uniform(size=(40, 16)).astype(np.float32)
    np.save(tmp_path / "X.npy", X)
    return X


TRAIN = "train X.npy --sizes 8 3 --epochs 2 --batch-size 16 -o m.safetensors".split()


@pytest.fixture
def model(minae, X):
    assert minae(*TRAIN).code == 0
    return load("m.safetensors")


def tree(folder):
    """path -> bytes of every file below the folder."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def one_line(result, code, *words):
    """The command ended with this code and one line on stderr that holds each of the words; returns the line."""
    line = result.err
    assert result.code == code, line
    assert line.startswith("minae: ") and line.endswith("\n") and line.count("\n") == 1, line
    assert "Traceback" not in result.out + line
    for word in words:
        assert re.search(word, line), f"{word!r} is not in: {line}"
    return line


@pytest.fixture
def refuses(minae, tmp_path):
    """refuses(argv, *words): exit 2 with one line; every file is as before, and none is left half written."""

    def run(argv, *words):
        before = tree(tmp_path)
        result = minae(*(shlex.split(argv) if isinstance(argv, str) else argv))
        one_line(result, 2, *words)
        after = tree(tmp_path)
        assert {path: after.get(path) for path in before} == before
        assert not [path for path in after if path.name.startswith(".")]
        return result

    return run


def process(*argv, cwd, shell="exec {}", **environment):
    """The command as a real process."""
    command = shlex.join([sys.executable, "-m", "minae", *argv])
    env = {k: v for k, v in os.environ.items() if k not in ("MINAE_BACKEND", "PYTHONUNBUFFERED")} | environment
    return subprocess.run(
        ["bash", "-c", shell.format(command)], cwd=cwd, env=env, capture_output=True, text=True, timeout=60
    )


# ---------------------------------------------------------------------------------------------- what each command does
@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example_that_parses(command, minae):
    result = minae(command, "--help")
    assert result.code == 0 and not result.err
    example = result.out.split("example:\n")[1].strip()
    assert example.startswith(f"minae {command}")
    assert callable(cli._parser(argv := shlex.split(example)[1:]).parse_args(argv).run)


def test_help_names_every_command(minae):
    result = minae("--help")
    assert result.code == 0 and all(re.search(rf"^ +{c}\b", result.out, re.MULTILINE) for c in COMMANDS)
    said = r"minae \d\S+, Python 3\S+\nbackends: numpy \d\S+, (cupy \d\S+|and not cupy: .*)\n"
    assert re.fullmatch(said, minae("--version").out)


def test_list(minae):
    text, listed = minae("list"), json.loads(minae("list", "--json").out)
    rows = listed["sections"]
    assert text.code == 0 and rows[0]["number"] == "14.0"
    for row in rows:
        assert row["number"] in text.out and row["title"] in text.out and row["path"] in text.out
    assert ["minae/contraction.py", "Contraction"] in listed["equations"]["14.18"]
    assert "minae/contraction.py Contraction" in text.out


def test_results_are_summed_up_as_a_page(minae, tmp_path):
    from PIL import Image

    number = {"name": "error", "of": "PCA", "mean": 13.5, "values": [13.0, 14.0], "published": "13.87 (recalled)"}
    claim = {"claim": "a | b", "value": 1.0, "relation": "<", "bound": 2.0, "holds": True}
    run = {"section": "14.1", "title": "T", "size": "full", "seconds": 3.2, "seeds": [0, 1], "backend": "numpy"}
    run |= {"machine": "M", "date": "D", "numbers": [number], "claims": [claim, {**claim, "holds": False}]}
    run["guards"], run["figures"] = (
        [],
        [{"name": "codes", "file": "codes.png", "caption": "Look at [it].", "alt": "Points [in a plane]."}],
    )
    for section in ("14.10", "14.2"):
        (tmp_path / "runs" / section).mkdir(parents=True)
        (tmp_path / "runs" / section / "results.json").write_text(json.dumps({**run, "section": section}))
        Image.new("RGB", (40, 30), f"#{len(section)}0{len(section)}000").save(tmp_path / "runs" / section / "codes.png")
    assert minae("results", "runs", "-o", "R.md", "--note", "On a busy machine.").code == 0
    page = (tmp_path / "R.md").read_text()
    assert page.index("On a busy machine.") < page.index("## 14.2 T") < page.index("## 14.10 T")
    assert "| error | PCA | 13.5 | 13 to 14 | 13.87 (recalled) |" in page and "`minae run 14.2 --full`: 3 s" in page
    assert "| a \\| b | 1 | < 2 | holds |" in page and "**fails**" in page
    assert "![Points (in a plane).](pictures/14_2_codes.png)\n\nLook at [it]." in page
    picture = Image.open(tmp_path / "pictures" / "14_10_codes.png").convert("RGB")
    assert picture.size == (40, 30) and picture.getpixel((3, 3)) == (0x50, 0x50, 0)
    (tmp_path / "runs" / "14.2" / "results.json").write_text("{")
    for argv, message in {"runs -o R.md": "damaged", "none -o R.md": "no none/", "runs -o R.txt": "end in .md"}.items():
        result = minae("results", *argv.split())
        assert result.code == 2 and message in result.err
    assert (tmp_path / "R.md").read_text() == page


@pytest.mark.slow
def test_check(minae):
    report = json.loads(minae("check", "--json").out)
    assert report["passed"] and len(report["cases"]) > 5
    assert all(row["passed"] for case in report["cases"].values() for row in case["rows"])


@pytest.mark.slow
def test_check_fails_when_a_gradient_is_wrong(minae, monkeypatch):
    monkeypatch.setattr("minae.penalties.WeightDecay.backward", lambda *_: None)
    result = minae("check", "undercomplete", "gated")
    assert result.code == 1 and "WRONG" in result.out and not result.err
    assert minae("check", "undercomplete", "--json").code == 1


def test_train_encode_reconstruct(minae, X, model, tmp_path):
    assert {path.name for path in tmp_path.iterdir()} == {"X.npy", "m.safetensors"}  # the checkpoint is gone
    assert minae("encode", "m.safetensors", "X.npy", "-o", "h.npy").code == 0
    np.testing.assert_array_equal(np.load("h.npy"), model.encode(X))
    result = minae("reconstruct", "m.safetensors", "X.npy", "-o", "r.csv", "--picture", "r.png")
    assert result.code == 0 and not result.err
    np.testing.assert_array_equal(np.loadtxt("r.csv", delimiter=",", dtype=np.float32), model.reconstruct(X))
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "options",
    [
        "sparse --sizes 5 --rho 0.1 --lam 0.5",
        "sparse --sizes 5 --penalty l1",
        "k_sparse --sizes 5 --k 2",
        "denoising --sizes 5 --corruption gaussian --level 0.2 --activation tanh",
        "variational --sizes 6 3 --beta 2",
        "contractive --sizes 5 --lam 0.2",
        "contractive_h --sizes 5",
        "hashing --sizes 8",
        "predictive_sparse --sizes 9",
    ],
)
def test_train_every_model(options, minae, X, tmp_path):
    np.save("X.npy", X)
    result = minae("train", "X.npy", "-o", "v.safetensors", "--epochs", "1", "--model", *options.split())
    assert result.code == 0, result.err
    assert minae("encode", "v.safetensors", "X.npy", "-o", "h.npy").code == 0


@pytest.mark.parametrize(
    "options, message",
    [
        ("magic", "unknown model 'magic': choose one of "),
        ("classifier", "learns from x and y"),
        ("sparse --rho", "expected one argument"),
        ("sparse --roh 0.1", "--roh"),
        ("sparse --rho 2 --code sigmoid", "rho is 2: expected a number in (0, 1)"),
        ("sparse --rho half", "rho is 'half': expected a number in (0, 1)"),
        ("denoising --lam 0.1", "--lam"),
        ("sparse --seed x", "seed is 'x': expected an integer ≥ 0"),
        ("k_sparse", "k is missing: expected an integer ≥ 1"),
        ("variational --tied", "--tied"),
    ],
)
def test_train_says_what_is_wrong_with_a_model(options, message, minae, X):
    np.save("X.npy", X)
    result = minae("train", "X.npy", "-o", "v.safetensors", "--model", *options.split())
    assert result.code == 2 and message in result.err and result.err.count("\n") == 1


def test_options_of_the_models(minae):
    """One declaration gives the help of the command line and the list of the options."""
    every = json.loads(minae("options", "--json").out)
    assert list(every) == list(registry())
    for name, kind in registry().items():
        assert list(every[name]) == list(options.of(kind))
        text, help = minae("options", name).out, minae("train", "--model", name, "--help").out
        for key, option in every[name].items():
            assert option["expected"] in text and (option["doc"] in text)
            settled = isinstance(getattr(kind, key), options.Settled)
            assert bool(re.search(rf"--{key}(?![\w-])", help)) != settled
    one_line(minae("options", "magic"), 2, "unknown model 'magic'")


MODEL = """
import numpy as np
import minae
from minae.fields import Real
from minae.options import Count, Weight

class Mine(minae.Model):
    "A linear autoencoder of plain NumPy.     J = ½ ‖x − x W V‖² + λ ½ ‖W‖²"
    name = "mine"
    terms = ("L",)
    units = Count(2, "numbers of the code")
    width = Count(7, "numbers of x")
    lam = Weight("Omega", 0.1, "weight of ½ ‖W‖²")

    def inputs(self):
        return {"x": Real(self.width)}

    def shapes(self):
        return {"W": (self.width, self.units), "V": (self.units, self.width)}

    def initialize(self, rng):
        for name in self.parameters:
            self.parameters[name][...] = 0.1 * rng.standard_normal(self.parameters[name].shape)

    def cost_and_grad(self, x, need_grad=True):
        W, V, B = self.parameters["W"], self.parameters["V"], len(x)
        h = x @ W
        d = h @ V - x
        cost = self.cost(L=0.5 * (d * d).sum() / B, Omega=0.5 * (W * W).sum())
        if need_grad:
            ds = self.weights["L"] * d / B
            self.parameters.gradient("V").add(h.T @ ds)
            self.parameters.gradient("W").add(FACTOR * x.T @ (ds @ V.T) + self.lam * W)
        return cost

    def encode(self, X):
        return self.apply(lambda x, start: x @ self.parameters["W"], X)
"""


@pytest.mark.slow
def test_a_model_is_one_file(X, tmp_path):
    """A student's file of plain NumPy is seen by every command, and a wrong gradient in it is found."""
    (tmp_path / "mine.py").write_text(MODEL.replace("FACTOR", "1"))
    (tmp_path / "wrong.py").write_text(MODEL.replace("FACTOR", "0.5"))
    result = process("check", "mine", "--import", "mine.py", cwd=tmp_path)
    assert result.returncode == 0 and re.search(r"mine .*right\n1 right, 0 wrong", result.stdout), result.stderr
    result = process("check", "mine", "--import", "wrong.py", cwd=tmp_path)
    assert result.returncode == 1 and "WRONG" in result.stdout
    result = process("options", "mine", "--import=mine.py", cwd=tmp_path)
    assert "numbers of the code" in result.stdout and "default 0.1" in result.stdout
    train = "train X.npy --model mine --import mine.py --width 16 --units 3 --epochs 2 -o m.safetensors"
    result = process(*train.split(), cwd=tmp_path)
    assert result.returncode == 0 and re.search("epoch 2/2 .*Omega", result.stdout), result.stderr
    assert process(*"encode m.safetensors X.npy --import mine.py -o h.npy".split(), cwd=tmp_path).returncode == 0
    assert np.load(tmp_path / "h.npy").shape == (40, 3)
    result = process(*"encode m.safetensors X.npy -o h.npy".split(), cwd=tmp_path)
    assert result.returncode == 2 and "model of kind 'mine'" in result.stderr and result.stderr.count("\n") == 1
    result = process(*"reconstruct m.safetensors X.npy --import mine.py -o r.npy".split(), cwd=tmp_path)
    assert result.returncode == 2 and "has no `reconstruct`" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["undercomplete", "denoising", "variational"])
def test_images_keep_their_axes_for_convolutions(kind, minae, rng, tmp_path):
    """The same command for grey and coloured images, in files and in folders; the model's file knows its shape."""
    from PIL import Image

    colour = rng.integers(256, size=(12, 8, 6, 3)).astype(np.uint8)
    np.save("last.npy", colour / 255.0)
    np.save("first.npy", colour.transpose(0, 3, 1, 2) / 255.0)
    np.save("grey.npy", colour[..., 0] / 255.0)
    (tmp_path / "folder").mkdir()
    for k, pixels in enumerate(colour):
        Image.fromarray(pixels).save(tmp_path / "folder" / f"{k:02}.png")
    made = []
    for source in ("last.npy", "first.npy", "folder"):
        argv = f"train {source} --model {kind} --channels 4 8 --sizes 5 --epochs 1 -o m.safetensors".split()
        result = minae(*argv)
        assert result.code == 0, result.err
        made.append(load("m.safetensors"))
    assert len({model.parameters.flat.tobytes() for model in made}) == 1 and made[2].image == [3, 8, 6]
    assert minae("encode", "m.safetensors", "folder", "-o", "h.npy").code == 0 and np.load("h.npy").shape == (12, 5)
    result = minae("reconstruct", "m.safetensors", "last.npy", "-o", "r.npy", "--picture", "r.png")
    assert result.code == 0 and np.load("r.npy").shape == (12, 3, 8, 6), result.err
    one_line(minae("encode", "m.safetensors", "grey.npy", "-o", "h.npy"), 2, r"\(12, 1, 8, 6\)", r"\(rows, 3, 8, 6\)")
    argv = f"train grey.npy --model {kind} --channels 4 --sizes 5 --epochs 1 -o g.safetensors".split()
    assert minae(*argv).code == 0
    np.save("long.npy", np.ones((4, 15)))
    one_line(minae("train", "long.npy", *argv[2:]), 2, r"\(4, 15\)", "square")
    if kind == "undercomplete":
        one_line(minae(*argv, "--tied"), 2, "tied=False")


@pytest.mark.parametrize(
    "text, words",
    [
        (None, "no file"),
        ("x = 1", "registers no model"),
        ("1/0", "cannot be imported: ZeroDivisionError"),
        ("def", "cannot be imported: SyntaxError"),
        (MODEL.replace('terms = ("L",)', "terms = ()").replace("FACTOR", "1"), "has no weight"),
    ],
)
def test_a_file_that_is_no_model(text, words, tmp_path):
    if text is not None:
        (tmp_path / "mine.py").write_text(text)
    result = process("check", "mine", "--import", "mine.py", cwd=tmp_path)
    one_line(SimpleNamespace(code=result.returncode, out=result.stdout, err=result.stderr), 2, words)


def test_train_reads_every_kind_of_table_alike(minae, X, model, tmp_path):
    np.savetxt("X.csv", X, delimiter=",", fmt="%.9g")
    np.savez("X.npz", X)
    np.save("bytes.npy", np.full((4, 16), 255, np.uint8))
    np.save("cube.npy", X.reshape(40, 4, 4))
    first = (tmp_path / "m.safetensors").read_bytes()
    for name in ("X.csv", "X.npz", "cube.npy"):
        assert minae("train", name, *TRAIN[2:]).code == 0
        assert (tmp_path / "m.safetensors").read_bytes() == first
    assert minae("train", "bytes.npy", "--scale", 255, "--sizes", 3, "--epochs", 1, "-o", "n.safetensors").code == 0


def test_train_json_is_json_alone(minae, X):
    result = minae(*TRAIN, "--validation", "X.npy", "--patience", 1, "--json")
    report = json.loads(result.out)
    assert result.code == 0 and not result.err and report["model"] == "m.safetensors"
    assert [record["epoch"] for record in report["history"]] == [1, 2]
    assert {"J", "L"} <= report["history"][0]["validation"].keys()


def test_train_prints_every_term_of_an_epoch(minae, X):
    out = minae(*TRAIN, "--lam", 0.01, "--tied").out
    assert re.search(r"epoch 2/2 .*J .*L .*Omega ", out) and "saved m.safetensors" in out


def test_train_lbfgs_and_no_epochs(minae, X):
    assert minae(*"train X.npy --sizes 8 3 --optimizer lbfgs --epochs 2 -o m.safetensors".split()).code == 0
    one_line(minae(*TRAIN, "--optimizer", "lbfgs"), 2, "all rows at once")
    assert minae(*TRAIN, "--epochs", 0).code == 0


def test_one_seed_is_one_model(minae, model, tmp_path):
    first = (tmp_path / "m.safetensors").read_bytes()
    assert minae(*TRAIN).code == 0 and (tmp_path / "m.safetensors").read_bytes() == first
    assert minae(*TRAIN, "--seed", 1).code == 0 and (tmp_path / "m.safetensors").read_bytes() != first


def test_resume_trains_longer_as_if_never_stopped(minae, X, tmp_path):
    assert minae(*TRAIN, "--epochs", 4).code == 0
    whole = (tmp_path / "m.safetensors").read_bytes()
    assert minae(*TRAIN, "--checkpoint", "c.safetensors").code == 0
    assert minae(*TRAIN, "--checkpoint", "c.safetensors", "--epochs", 4, "--resume").code == 0
    assert (tmp_path / "m.safetensors").read_bytes() == whole


def test_the_shell_completes(minae, tmp_path, refuses, monkeypatch):
    """Commands, options of every model, models and optimizers by their names; a missing shtab is one line."""
    pytest.importorskip("shtab", reason="shtab is not installed: pip install -e '.[test]'")
    for shell, word in {"zsh": "--batch-size", "tcsh": "train"}.items():
        assert word in minae("completion", shell).out
    (tmp_path / "completion").write_text(minae("completion", "bash").out)
    asked = r"""source completion; by=$(complete -p minae | sed "s/.*-F \([^ ]*\) .*/\1/")
    say() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); $by; echo "${COMPREPLY[@]}"; }
    say minae tr; say minae train --bat; say minae train --lev; say minae train --model denois"""
    if shutil.which("bash"):
        done = subprocess.run(["bash", "-c", asked], cwd=tmp_path, capture_output=True, text=True)
        assert done.stdout.split("\n")[:4] == ["train", "--batch-size", "--level --levels", "denoising"], done.stderr
    monkeypatch.setitem(sys.modules, "shtab", None)
    refuses("completion bash", r"pip install 'minae\[completion\]'")


def test_doctor(minae):
    result = minae("doctor", "--json")
    findings = json.loads(result.out)
    assert result.code == 0 and {"part", "state", "finding", "advice"} == findings[0].keys()
    assert {finding["state"] for finding in findings} <= {"ok", "missing"}
    shown = minae("doctor").out
    assert len(findings) > 3 and all(finding["part"] in shown for finding in findings)


@pytest.mark.parametrize(
    "slower, text, advice",
    [((), "from m = 4 on", ""), ((4,), "from m = 8 on", "of 4 and less"), ((4, 8, 16), "for no m", "of 16 and less")],
)
def test_the_crossover_of_cpu_and_gpu(slower, text, advice, monkeypatch):
    from minae import doctor

    assert doctor._step("guard", 4, steps=1) > 0  # the step that is timed runs
    assert doctor._crossover("no such backend") is None
    monkeypatch.setattr(doctor, "_step", lambda backend, m: 2.0 if backend == "guard" and m in slower else 1.0)
    _, state, finding, said = doctor._crossover("guard", widths=(4, 8, 16))
    assert state == "ok" and text in finding and said.endswith(advice)


@pytest.mark.parametrize("new", [True, False])
def test_doctor_says_why_numba_cuda_cannot_compile(new, monkeypatch):
    from minae import doctor, kernels

    numpy = SimpleNamespace(__version__="2.5.0") if new else SimpleNamespace(row_stack=None)
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(kernels, "cuda_works", lambda: False)
    monkeypatch.setattr(doctor, "np", numpy)
    _, state, _, advice = doctor._numba_cuda()
    assert state == "missing" and "plain CuPy" in advice and new == ("'numpy<2.5', until" in advice)


SCRIPT = """'''99.9 A test\n\nEquations: none\n'''
from minae.chapters import Section
section = Section(__doc__)
section.claim("one is larger", 1, ">", section.seed)
section.finish()
"""


def test_run_ends_as_its_claims_do(minae, monkeypatch, tmp_path):
    script = tmp_path / "99_9_test.py"
    script.write_text(SCRIPT)
    monkeypatch.setattr(chapters, "find", lambda number: {"path": script})
    argv = list(sys.argv)
    assert minae("run", "99.9", "--quick", "--out", "o").code == 0
    assert json.loads((tmp_path / "o" / "results.json").read_text())["size"] == "quick"
    result = minae("run", "99.9", "--seed", 2)
    one_line(result, 1, "99.9", "one is larger")
    assert "FAILS" in result.out and sys.argv == argv


# ---------------------------------------------------------------------------------------------- options
@pytest.mark.parametrize(
    "argv, words",
    [
        ("foo", ["'foo'", "choose from.*train"]),
        ("list --foo", ["--foo"]),
        ("list '--a\nb'", ["--help"]),
        ("run 99", ["'99'", r"14\.1"]),
        ("run 14.1 --quick --full", ["--quick"]),
        ("run 14.1 --seed -1", ["-1", "≥ 0"]),
        ("run 14.1 --seed x", ["'x'"]),
        ("run 14.1 --out X.npy", [r"X\.npy", "--out"]),
        ("run 14.1 --out o --backend foo", ["'foo'", "numpy, cupy"]),
        ("check --backend foo", ["'foo'", "numpy, cupy"]),
    ],
)
def test_bad_commands(argv, words, refuses, X):
    refuses(argv, *words)


@pytest.mark.parametrize(
    "options, words",
    [
        ("--backend foo", ["'foo'", "numpy, cupy"]),
        ("--activation foo", ["'foo'", "relu"]),
        ("--code foo", ["'foo'", "identity"]),
        ("--loss foo", ["'foo'", "gaussian"]),
        ("--optimizer foo", ["'foo'", "adam"]),
        ("--dtype float16", ["float16", "float32"]),
        ("--lr -1", ["-1", "> 0"]),
        ("--lr 0", ["> 0"]),
        ("--lr nan", ["nan", "> 0"]),
        ("--lr inf", ["inf"]),
        ("--lr fast", ["fast"]),
        ("--optimizer lbfgs --lr 1", ["--lr", "lbfgs"]),
        ("--lam -1", ["-1", "≥ 0"]),
        ("--lam nan", ["nan"]),
        ("--lam inf", ["inf"]),
        ("--epochs -1", ["-1", "≥ 0"]),
        ("--epochs 1.5", ["1.5"]),
        ("--every 0", ["0", "≥ 1"]),
        ("--seed -1", ["-1", "≥ 0"]),
        ("--sizes 0", ["0"]),
        ("--sizes -3", ["-3"]),
        ("--sizes", ["--sizes"]),
        ("--sizes 99999999999999999999", ["do not fit"]),
        ("--sizes 99999999999999", ["memory|9999999"]),
        ("--batch-size 0", ["0", "integer ≥ 1"]),
        ("--batch-size 41", ["41", "40 rows", "1 to 40"]),
        ("--scale 0", ["0", "a number > 0"]),
        ("--scale nan", ["nan", "a number > 0"]),
        ("--patience 2", ["2", "validation"]),
        ("--patience 0 --validation X.npy", ["0", "≥ 1"]),
        ("--validation wide.npy", ["validation", "17", "16"]),
        ("--validation nothing.npy", [r"nothing\.npy"]),
        ("--validation nan.npy", ["validation", "NaN"]),
        ("--resume", [r"m\.checkpoint\.safetensors", "--resume"]),
        ("--checkpoint nowhere/c.safetensors", ["nowhere", "folder"]),
        ("--checkpoint X.npy", [r"X\.npy", "exists"]),
        ("--checkpoint X.npy --resume", [r"X\.npy", "safetensors"]),
    ],
)
def test_bad_options_of_train(options, words, refuses, X, tmp_path):
    np.save(tmp_path / "wide.npy", np.ones((4, 17), np.float32))
    np.save(tmp_path / "nan.npy", np.full((4, 16), np.nan, np.float32))
    (tmp_path / "m.safetensors").write_text("a former result")
    result = refuses([*TRAIN, *shlex.split(options)], *words)
    assert "epoch 1/" not in result.out  # said at once, not after an epoch


def test_cupy_without_a_gpu(refuses, X):
    with contextlib.suppress(InputError):
        get_backend("cupy")
        pytest.skip("a GPU answers")
    for argv in (TRAIN, ["check"], ["run", "14.1", "--out", "o"]):
        refuses([*argv, "--backend", "cupy"], "cupy", "numpy")


def test_bad_backend_in_the_environment(refuses, X, monkeypatch):
    monkeypatch.setenv("MINAE_BACKEND", "foo")
    refuses(TRAIN, "'foo'", "numpy, cupy")


# ---------------------------------------------------------------------------------------------- data
def _with(value):
    X = np.full((40, 16), 0.5, np.float64)
    X[17, 3] = value
    return X


@pytest.mark.parametrize("kind", ["npy", "npz"])
@pytest.mark.parametrize(
    "array, words",
    [
        (np.ones(16), [r"\(16,\)", "two dimensions"]),
        (np.float64(1), [r"\(\)", "two dimensions"]),
        (np.ones((0, 16)), ["empty|one row"]),
        (np.ones((16, 0)), ["empty|one column"]),
        (np.ones((1, 16)), ["one row", "two"]),
        (np.ones((4, 16), object), ["bad|object"]),
        (np.full((4, 16), "a"), ["U1", "real numbers"]),
        (np.ones((4, 16), complex), ["complex", "real numbers"]),
        (np.zeros((4, 16), "M8[s]"), ["datetime", "real numbers"]),
        (_with(np.nan), ["NaN"]),
        (_with(np.inf), ["infinit"]),
        (_with(255), ["255", r"\[0, 1\]", "scale|divide"]),
        (_with(-0.1), ["-0.1", r"\[0, 1\]"]),
    ],
)
def test_bad_data(array, words, kind, refuses, tmp_path):
    path = tmp_path / f"bad.{kind}"
    np.save(path, array) if kind == "npy" else np.savez(path, array)
    refuses(["train", path, *TRAIN[2:7], "-o", "m.safetensors"], *words)


@pytest.mark.parametrize("kind", ["npy", "npz"])
@pytest.mark.parametrize("argv", ["train bad --loss gaussian -o o.safetensors", "encode m.safetensors bad -o o.npy"])
def test_data_too_large_for_float32(argv, kind, refuses, model, tmp_path):
    path = tmp_path / f"bad.{kind}"
    np.save(path, _with(1e300)) if kind == "npy" else np.savez(path, _with(1e300))
    refuses(argv.replace("bad", path.name), "infinit|float32")


def test_categorical_rows_must_sum_to_one(refuses, X):
    refuses([*TRAIN, "--loss", "categorical"], "categorical", "sum to 1|one-hot")


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("a.csv", b"1,2\n3\n", ["row 2", "1 columns", "2"]),
        ("a.csv", b"1,2\n3,x\n", ["row 2, column 2", "x"]),
        ("a.csv", b"", ["no rows"]),
        ("a.csv", b"\xff\xfe", [r"a\.csv"]),
        ("a.npy", b"", [r"a\.npy"]),
        ("a.npy", b"\x93NUMPY\x01\x00garbage", [r"a\.npy"]),
        ("a.npz", b"PK\x03\x04", [r"a\.npz"]),
        ("a.txt", b"hello", ["unknown kind", r"\.npy"]),
        ("a\nb.txt", b"hello", ["unknown kind"]),
    ],
)
def test_damaged_data_files(name, content, words, refuses, tmp_path):
    (tmp_path / name).write_bytes(content)
    refuses(["train", name, "-o", "m.safetensors"], *words)


def test_truncated_and_missing_data(refuses, X, tmp_path):
    path = tmp_path / "X.npy"
    path.write_bytes(path.read_bytes()[:-100])
    refuses(TRAIN, r"X\.npy")
    refuses("train nothing.npy -o m.safetensors", r"nothing\.npy", r"\.csv")
    refuses("train '' -o m.safetensors")
    refuses("train . -o m.safetensors", r"X\.npy")  # a folder of .npy
    (tmp_path / "empty").mkdir()
    refuses("train empty -o m.safetensors", "folder", "images")


# ---------------------------------------------------------------------------------------------- models
def test_not_a_model(refuses, model, tmp_path):
    whole = (tmp_path / "m.safetensors").read_bytes()
    for k in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "short.safetensors").write_bytes(whole[:k])
        refuses("encode short.safetensors X.npy -o h.npy", r"short\.safetensors", "truncated")
    (tmp_path / "d.safetensors").mkdir()
    for name in ("nothing.safetensors", "d.safetensors", "X.npy", ""):
        for argv in (f"encode '{name}' X.npy -o h.npy", f"reconstruct '{name}' X.npy -o r.npy"):
            refuses(argv, re.escape(name))


METADATA = {
    "model": "undercomplete",
    "config": {"sizes": [16, 3]},
    "dtype": "float32",
    "weights": {"L": 1.0},
}


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        "garbage",
        "[1]",
        "{}",
        json.dumps(METADATA),
        json.dumps({**METADATA, "model": "foo"}),
        json.dumps({**METADATA, "config": []}),
        json.dumps({**METADATA, "config": {"sizes": [16, 3], "seed": "x"}}),
        json.dumps({**METADATA, "config": {"sizes": [16, 3], "activation": "foo"}}),
        json.dumps({**METADATA, "config": {"sizes": [16, 3], "future": 1}}),
        json.dumps({**METADATA, "config": {"sizes": [16, 10**18]}}),
    ],
)
def test_foreign_safetensors(metadata, refuses, X, tmp_path):
    save_file({"a": X}, tmp_path / "f.safetensors", None if metadata is None else {"minae": metadata})
    refuses("encode f.safetensors X.npy -o h.npy", r"f\.safetensors")


def test_data_of_another_width(refuses, model, tmp_path):
    np.save(tmp_path / "wide.npy", np.ones((4, 17), np.float32))
    refuses("encode m.safetensors wide.npy -o h.npy", "17", "16")
    refuses("reconstruct m.safetensors wide.npy -o r.npy", "17", "16")


def test_picture_of_rows_that_are_no_squares(refuses, minae, tmp_path):
    np.save(tmp_path / "x.npy", np.full((4, 15), 0.5, np.float32))
    assert minae("train", "x.npy", "--sizes", 3, "--epochs", 1, "-o", "m.safetensors").code == 0
    refuses("reconstruct m.safetensors x.npy -o r.npy --picture r.png", "square", "15")
    assert not (tmp_path / "r.npy").exists()  # all or nothing


# ---------------------------------------------------------------------------------------------- checkpoints
CHECKPOINT = [*TRAIN, "--checkpoint", "c.safetensors"]


def test_checkpoint_of_another_run(refuses, minae, X, tmp_path):
    assert minae(*CHECKPOINT).code == 0
    refuses(CHECKPOINT, r"c\.safetensors exists", "--resume")
    np.save(tmp_path / "Y.npy", X[:39])
    resume = [*CHECKPOINT, "--resume"]
    others = "--lr 0.1,--optimizer sgd,--batch-size 15,--seed 1,--lam 0.1,--tied,--loss gaussian,--activation tanh"
    for other in [*others.split(","), "--sizes 8 4", "--dtype float64"]:
        refuses([*resume, *other.split()], r"c\.safetensors was trained with", "(?i)" + other.split()[-1].lstrip("-"))
    refuses(["train", "Y.npy", *resume[2:]], "39", "40")
    other = [*TRAIN[:-1], "n.safetensors", "--checkpoint"]
    refuses([*other, "m.safetensors", "--resume"], "model, not a checkpoint")
    refuses([*other, "n.safetensors"], "where the model goes")


def test_truncated_checkpoint(refuses, minae, X, tmp_path):
    assert minae(*CHECKPOINT).code == 0
    path = tmp_path / "c.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    refuses([*CHECKPOINT, "--resume"], r"c\.safetensors", "truncated")


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "lbfgs"])
def test_divergence(optimizer, minae, X, tmp_path):
    np.save("big.npy", X * 1e18)
    argv = "train big.npy --loss gaussian --sizes 3 -o d.safetensors --optimizer".split()
    result = minae(*argv, optimizer, *([] if optimizer == "lbfgs" else ["--lr", "1e30", "--batch-size", 16]))
    line = one_line(result, 1)
    where = r"iteration 1 of lbfgs" if optimizer == "lbfgs" else r"epoch 1, step \d of 3"
    assert re.search(rf"the cost (term L )?became \w+ at {where}", line), line
    assert not (tmp_path / "d.safetensors").exists()


def test_after_a_divergence_the_advice_leads_on(minae, X):
    """The line advises a smaller learning rate: with it the same command trains, and nothing is in its way."""
    one_line(minae(*TRAIN, "--loss", "gaussian", "--lr", "1e30"), 1, "smaller learning rate")
    result = minae(*TRAIN, "--loss", "gaussian", "--lr", "1e-3")
    assert result.code == 0, result.err


def test_a_model_that_diverged_in_its_last_step_is_not_saved(minae, X, tmp_path):
    result = minae(*TRAIN, "--loss", "gaussian", "--epochs", 1, "--batch-size", 40, "--lr", "1e30")
    one_line(result, 1, "step 1|last step")
    assert not (tmp_path / "m.safetensors").exists()


# ---------------------------------------------------------------------------------------------- outputs
@pytest.mark.parametrize("name", ["h.txt", "h", "h.npz", ".npy", ""])
def test_wrong_suffix_of_an_output(name, refuses, model):
    refuses(["encode", "m.safetensors", "X.npy", "-o", name], r"\.npy or \.csv")
    refuses(["reconstruct", "m.safetensors", "X.npy", "-o", name], r"\.npy or \.csv")


@pytest.mark.parametrize("name", ["m.npy", "m.txt", "/", "", ".", "X.npy"])
def test_wrong_suffix_of_a_model(name, refuses, X):
    refuses([*TRAIN, "-o", name], r"\.safetensors")


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
@pytest.mark.parametrize("name", ["nowhere/m.safetensors", "d.safetensors", "n" * 250 + ".safetensors"])
def test_model_that_cannot_be_written_is_refused_before_training(name, optimizer, refuses, X, tmp_path):
    (tmp_path / "d.safetensors").mkdir()
    result = refuses([*TRAIN, "-o", name, "--optimizer", optimizer], name[:9])
    assert "epoch 1/" not in result.out


@pytest.mark.parametrize("name", ["nowhere/h.npy", "d.npy", "n" * 255 + ".npy"])
def test_output_that_cannot_be_written(name, refuses, model, tmp_path):
    (tmp_path / "d.npy").mkdir()
    refuses(["encode", "m.safetensors", "X.npy", "-o", name], re.escape(name))
    refuses(["reconstruct", "m.safetensors", "X.npy", "-o", "r.npy", "--picture", name], re.escape(name))


@pytest.mark.skipif(ROOT, reason="root may write everywhere")
def test_read_only_folder(refuses, model, tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o555)
    refuses("encode m.safetensors X.npy -o closed/h.npy", "closed", "writable")
    refuses([*TRAIN, "-o", "closed/m.safetensors"], "closed", "writable")


@posix
def test_full_disk_leaves_the_former_file(refuses, model, tmp_path):
    import resource

    (tmp_path / "h.csv").write_text("a former result")
    np.save(tmp_path / "wide.npy", np.zeros((4000, 16), np.float32))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))  # Python ignores SIGXFSZ, so a write fails
    try:
        for argv in ("encode m.safetensors wide.npy -o h.csv", shlex.join([*TRAIN, "--sizes", "200"])):
            result = refuses(argv, r"h\.csv|safetensors", "too large|room")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "epoch 1/" not in result.out


@posix
@pytest.mark.parametrize("name", ["fifo.npy", "link.npy"])
def test_what_is_no_file_is_not_replaced_by_one(name, refuses, model, tmp_path):
    """A FIFO stands for every device: as root, the rename would put a file in the place of /dev/null."""
    os.mkfifo(tmp_path / "fifo.npy")
    (tmp_path / "link.npy").symlink_to("fifo.npy")
    refuses(["encode", "m.safetensors", "X.npy", "-o", name], name)
    assert (tmp_path / "fifo.npy").is_fifo() and (tmp_path / "link.npy").is_symlink()


@posix
def test_output_through_a_symlink(minae, model, tmp_path):
    link, target = tmp_path / "link.npy", tmp_path / "store" / "h.npy"
    target.parent.mkdir()
    target.write_bytes(b"former")
    link.symlink_to(target)
    assert minae("encode", "m.safetensors", "X.npy", "-o", "link.npy").code == 0
    assert link.is_symlink() and np.load(target).shape == (40, 3)


def test_output_may_be_the_input(minae, model, X):
    h = model.encode(X)
    assert minae("encode", "m.safetensors", "X.npy", "-o", "X.npy").code == 0
    np.testing.assert_array_equal(np.load("X.npy"), h)


# ---------------------------------------------------------------------------------------------- real processes
@pytest.mark.slow
def test_module_and_terminal_without_utf8(tmp_path):
    result = process("check", "undercomplete", "layers", cwd=tmp_path, PYTHONIOENCODING="ascii", PYTHONWARNINGS="error")
    assert result.returncode == 0 and not result.stderr and "right" in result.stdout
    result = process("train", "Ω.npy", "-o", "m.safetensors", cwd=tmp_path, PYTHONIOENCODING="ascii")
    one_line(SimpleNamespace(code=result.returncode, out=result.stdout, err=result.stderr), 2)


@posix
@pytest.mark.parametrize("shell, code", [("{} | true; exit $PIPESTATUS", 0), ("exec {} >&-", 0)])
def test_nobody_reads_the_output(shell, code, tmp_path):
    result = process("list", cwd=tmp_path, shell=shell)
    assert (result.returncode, result.stderr) == (code, "")


@posix
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("argv", ["list", "--version", "--help", "options vae"])
def test_output_to_a_full_disk(argv, tmp_path):
    result = process(*argv.split(), cwd=tmp_path, shell="exec {} >/dev/full")
    one_line(SimpleNamespace(code=result.returncode, out="", err=result.stderr), 2, "[Nn]o space")


@posix
def test_training_whose_output_nobody_reads_is_not_lost_silently(X, tmp_path):
    result = process(*TRAIN, "--epochs", "20", cwd=tmp_path, shell="{} | head -1; exit $PIPESTATUS")
    assert result.returncode != 0 or (tmp_path / "m.safetensors").exists()
    assert "Traceback" not in result.stderr


@pytest.mark.slow
@posix
def test_ctrl_c_then_resume_gives_the_same_bytes(minae, rng, tmp_path):
    np.save(tmp_path / "X.npy", rng.uniform(size=(3000, 16)).astype(np.float32))
    argv = [*TRAIN, "--epochs", "30", "--batch-size", "8"]
    assert minae(*argv, "-o", "whole.safetensors").code == 0

    former = b"a former model"
    (tmp_path / "m.safetensors").write_bytes(former)
    run = subprocess.Popen(
        [sys.executable, "-m", "minae", *argv], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert run.stdout.readline() == "m.safetensors exists, and will be replaced at the end\n"
    assert run.stdout.readline().startswith("epoch 1/30")
    time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=30)
    last = err.splitlines()[-1]
    assert run.returncode == 130 and "Traceback" not in err, err
    assert re.match(r"minae: interrupted in epoch \d+ .*m\.checkpoint\.safetensors.*--resume", last)
    assert (tmp_path / "m.safetensors").read_bytes() == former

    one_line(minae(*argv), 2, "exists", "--resume")  # not by accident over the checkpoint
    assert minae(*argv, "--resume").code == 0
    assert (tmp_path / "m.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    assert not (tmp_path / "m.checkpoint.safetensors").exists()


@posix
def test_ctrl_c_while_it_starts(tmp_path):
    """At any moment from the first line of minae's own on: one line, and exit code 130."""
    program = """
import os, signal, sys, threading, time, minae_start

def inside(frame):
    return frame and (frame.f_code.co_filename == minae_start.__file__ or inside(frame.f_back))

def interrupt(main=threading.get_ident()):
    while not inside(sys._current_frames()[main]):
        time.sleep(0.0001)
    time.sleep({})
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt).start()
sys.argv = ["minae", "run", "14.1", "--quick"]
sys.exit(minae_start.main())
"""
    for delay in (0.001, 0.05, 0.1, 0.3):
        command = [sys.executable, "-c", program.format(delay)]
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert (run.returncode, run.stderr.count("\n")) == (130, 1), run.stderr
        assert run.stderr.startswith("minae: interrupted"), run.stderr


@posix
def test_two_trainings_into_one_output(X, tmp_path):
    argv = [sys.executable, "-m", "minae", *TRAIN, "--epochs", "4000"]
    first = subprocess.Popen(argv, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert first.stdout.readline().startswith("epoch 1/")
        second = process(*TRAIN, cwd=tmp_path)
        one_line(SimpleNamespace(code=second.returncode, out=second.stdout, err=second.stderr), 2, "is in use")
    finally:
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=30)
    assert first.returncode == 130


# ---------------------------------------------------------------------------------------------- preprocessing
@pytest.fixture
def scaled(minae, rng, tmp_path):
    """A model that learned from bytes in a table, divided by 255."""
    np.save("bytes.npy", rng.integers(256, size=(40, 16)).astype("f"))
    assert minae("train", "bytes.npy", "--scale", 255, *TRAIN[2:]).code == 0
    return load("m.safetensors")


def test_encode_divides_as_training_did(scaled, minae):
    X = np.load("bytes.npy")
    assert minae("encode", "m.safetensors", "bytes.npy", "-o", "h.npy").code == 0
    np.testing.assert_array_equal(np.load("h.npy"), scaled.encode(X / np.float32(255)))
    assert minae("encode", "m.safetensors", "bytes.npy", "--scale", 255, "-o", "again.npy").code == 0
    np.testing.assert_array_equal(np.load("h.npy"), np.load("again.npy"))
    assert "divided by 255" in minae("info", "m.safetensors").out
    one_line(minae("encode", "m.safetensors", "bytes.npy", "--scale", 16, "-o", "h.npy"), 2, "--scale is 16.*by 255")


def test_a_table_in_0_1_is_taken_as_it_is_by_a_model_of_images(minae, X):
    """The 255 of images is their kind's, and nobody asked for it: numbers of a table are not divided by it."""
    assert minae("train", "sample", "--sizes", 3, "--epochs", 1, "-o", "d.safetensors").code == 0
    digits = data.mnist().train[:20]
    np.save("floats.npy", digits)
    np.save("bytes.npy", np.round(digits * 255).astype(np.uint8))
    for name in ("floats", "bytes"):
        assert minae("encode", "d.safetensors", f"{name}.npy", "-o", f"{name}.h.npy").code == 0
    np.testing.assert_allclose(np.load("floats.h.npy"), np.load("bytes.h.npy"), atol=1e-6)
    np.save("pixels.npy", digits * 255)
    one_line(minae("encode", "d.safetensors", "pixels.npy", "-o", "h.npy"), 2, "values up to 255", "--scale 255")
    assert minae("encode", "d.safetensors", "pixels.npy", "--scale", 255, "-o", "h.npy").code == 0
    np.testing.assert_allclose(np.load("floats.h.npy"), np.load("h.npy"), atol=1e-6)
    assert minae("encode", "d.safetensors", "pixels.npy", "--scale", 1, "-o", "h.npy").code == 0


def test_standardised_columns_are_remembered(minae, rng, tmp_path):
    X = rng.standard_normal((50, 6)) * [1, 10, 100, 1, 1, 0] + [0, 5, -300, 7, 0, 3]
    np.save("x.npy", X)
    np.savetxt("x.csv", X, delimiter=",", header="a,b,c,d,e,f", comments="")
    argv = "--standardise --loss gaussian --sizes 3 --epochs 2 -o s.safetensors".split()
    assert minae("train", "x.npy", *argv).code == 0
    model = load("s.safetensors")
    Z = (X - X.mean(axis=0)) / np.where(X.std(axis=0) > 0, X.std(axis=0), 1)
    assert minae("encode", "s.safetensors", "x.csv", "-o", "h.npy").code == 0
    np.testing.assert_allclose(np.load("h.npy"), model.encode(Z), atol=1e-5)
    assert minae("train", "x.csv", *argv[:-1], "d.safetensors", "--drop", "b", "3").code == 0
    assert minae("encode", "d.safetensors", "x.npy", "-o", "h.npy").code == 2  # its columns have no names
    assert minae("encode", "d.safetensors", "x.csv", "-o", "h.npy").code == 0
    np.testing.assert_allclose(np.load("h.npy"), load("d.safetensors").encode(Z[:, [0, 3, 4, 5]]), atol=1e-5)
    one_line(minae("train", "x.csv", *argv, "--drop", "q"), 2, "no column 'q'.*'a'")


def test_score_is_the_error_of_each_row(minae, X, model, tmp_path):
    result = minae("score", "m.safetensors", "X.npy", "-o", "e.csv")
    errors = np.loadtxt("e.csv")
    np.testing.assert_allclose(errors, -model.score_samples(X), rtol=1e-5)
    assert errors.mean() == pytest.approx(model.evaluate(X)["L"], rel=1e-5)
    assert f"at row {errors.argmax() + 1} of 40" in result.out


# ---------------------------------------------------------------------------------------------- what users miss
def test_without_a_command_the_help_is_shown(minae):
    result = minae()
    assert result.code == 0 and "minae train" not in result.err and "COMMAND" in result.out


@pytest.mark.parametrize(
    "argv, words",
    [
        ("trian X.npy", "did you mean 'train'"),
        ("train X.npy --sizess 3 -o m.safetensors", "did you mean '--sizes'"),
        ("train X.npy --model denoisng --sizes 8 4 -o m.safetensors", "did you mean 'denoising'"),
        ("train X.npy --optimizer adm -o m.safetensors", "did you mean 'adam'"),
        ("train X.npy --activation sigmod -o m.safetensors", "did you mean 'sigmoid'"),
        ("run 14.11", "did you mean '14.1'"),
        ("options vea", "did you mean 'vae'"),
    ],
)
def test_did_you_mean(argv, words, refuses, X):
    refuses(argv, re.escape(words))


def test_short_names(minae, X):
    for short, name in {"vae": "variational", "dae": "denoising", "cae": "contractive", "sae": "sparse"}.items():
        assert (
            minae("train", "X.npy", "--model", short, "--sizes", 3, "--epochs", 1, "-o", f"{short}.safetensors").code
            == 0
        )
        assert load(f"{short}.safetensors").name == name and minae("options", short).out == minae("options", name).out


def test_info(minae, X, model):
    found = json.loads(minae("info", "m.safetensors", "--json").out)
    assert found["model"] == "undercomplete" and found["parameters"] == model.parameters.flat.size
    assert found["options"]["sizes"] == [16, 8, 3] and found["checkpoint"] is None
    assert minae(*TRAIN, "--checkpoint", "c.safetensors").code == 0
    assert json.loads(minae("info", "c.safetensors", "--json").out)["checkpoint"]["epochs"] == 2
    assert "2 epochs done" in minae("info", "c.safetensors").out


def test_a_finished_model_is_trained_on(minae, X, model, refuses):
    assert minae("train", "X.npy", "--continue", "m.safetensors", "--epochs", 3, "-o", "n.safetensors").code == 0
    onward = load("n.safetensors")
    assert onward.config == model.config and onward.evaluate(X)["L"] < model.evaluate(X)["L"]
    refuses("train X.npy --continue m.safetensors --sizes 4 -o n.safetensors", "--sizes does not go with --continue")


def test_a_share_for_validation(minae, X, refuses):
    result = minae(*TRAIN, "--validation", "0.25", "--patience", "1", "--json")
    assert "validation" in json.loads(result.out)["history"][0], result.err
    refuses([*TRAIN, "--validation", "1.5"], "a share in")


def test_a_chapter_and_all_of_them():
    numbers = [section["number"] for section in chapters.sections()]
    assert chapters.several("all") == numbers and chapters.several("14.1") is None
    assert chapters.several("14") + chapters.several("15") + chapters.several("C") + chapters.several("A") == numbers


@pytest.mark.slow
def test_colours_only_where_a_person_watches(minae, monkeypatch):
    assert "\033" not in minae("check", "undercomplete").out
    terminal = SimpleNamespace(isatty=lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert cli._coloured("x", cli.RED, terminal) == "\033[31mx\033[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert cli._coloured("x", cli.RED, terminal) == "x"

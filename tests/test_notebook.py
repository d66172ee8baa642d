"""What notebooks show: small tables, escaped, without scripts; a short repr; pictures; and callbacks of trackers."""

import contextlib
import inspect
import math
import re
import sys
import textwrap
import types
from html.parser import HTMLParser

import numpy as np
import pytest

import minae
from minae import notebook_html, options, plots, training
from minae.models import get_model, registry
from minae.training import History


class Page(HTMLParser):
    """Reads a page strictly: the rows of its tables, its tags, and what was not closed."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.open, self.tags, self.attributes = [], [], set(), []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes += attributes
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.rows and self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def page(text):
    """The page, after a look at what no page may have: scripts, requests, colours that a dark page would hide."""
    found = Page(text)
    assert found.tags <= set("table caption thead tbody tr th td p svg polyline circle".split())
    assert not [name for name, _ in found.attributes if name.startswith("on") or name in ("src", "href", "id", "class")]
    assert not re.search(r"https?:|url\(|background|color:\s*#|<script", text)
    return found


def history(epochs, **more):
    records = [{"epoch": k + 1, "step": 10 * (k + 1), "J": 9.0 - k, "L": 8.0 - k, "seconds": 0.5} | more
               for k in range(epochs)]  # fmt: skip
    return History([record | {"validation": {"J": 9.5 - record["J"], "L": 1.0}} for record in records])


# ---- models


@pytest.mark.parametrize("name", registry())
def test_every_model_has_a_table_whose_numbers_add_up(name):
    model = small(name)
    rows = page(model._repr_html_()).rows
    assert rows[0] == ["layer", "kind", "parameters", "numbers", "bytes"] and rows[-1][0] == "total"
    numbers = [int(row[3].replace(",", "") or 0) for row in rows[1:]]
    nbytes = [int(row[4].replace(",", "") or 0) for row in rows[1:]]
    assert sum(numbers[:-1]) == numbers[-1] == model.parameters.flat.size
    held = sum(array.nbytes for array in model.tensors().values())
    assert sum(nbytes[:-1]) == nbytes[-1] == held
    for parameter in model.parameters:
        assert any(re.search(rf"\b{re.escape(parameter)} ", row[2]) for row in rows), parameter


def small(name):
    kind = get_model(name)
    fitting = {key: option.example for key, option in options.of(kind).items() if option.example is not None}
    return kind(**fitting | next(iter(kind.cases.values())))


def test_a_tied_layer_counts_once_and_options_at_their_defaults_are_left_out():
    text = minae.SparseAutoencoder((7, 9), tied=True, rho=0.1)._repr_html_()
    rows = page(text).rows
    assert [row[:4] for row in rows[1:3]] == [["f1", "Affine, sigmoid", "W1 7 × 9, b1 9", "72"],
                                              ["g1", "Affine", "W1 7 × 9 (shared), c1 7", "7"]]  # fmt: skip
    assert "tied=True" in text and "rho=0.1" in text and "penalty=" not in text and "seed=" not in text


def test_a_deep_model_is_shortened():
    model = minae.UndercompleteAutoencoder([9, *[8] * 39])
    rows = page(model._repr_html_()).rows
    assert len(rows) == 2 + 41 and "more" in rows[21][0] and rows[-1][0] == "total"


def test_words_are_escaped():
    text = notebook_html.table(["<a>"], [["<script>alert(1)</script>"]], caption="<&>", note="a < b")
    assert "<script" not in text and page(text).rows == [["<a>"], ["<script>alert(1)</script>"]]
    curve = notebook_html.sparkline([1, 2], '" onload="x')
    assert page(f"<table><tr><td>{curve}</td></tr></table>")


# ---- histories


def test_a_history_has_a_row_for_each_term_with_a_curve():
    text = history(30)._repr_html_()
    rows = page(text).rows
    assert rows[0] == ["term", "by epoch", "first", "last", "lowest", "at epoch"]
    assert [row[0] for row in rows[1:]] == ["J", "L", "validation.J", "validation.L"]
    assert rows[1][2:] == ["9", "-20", "-20", "30"] and rows[3][2:] == ["0.5", "29.5", "0.5", "1"]
    assert text.count("<polyline") == 4 and 'aria-label="J from 9 to -20"' in text
    assert "30 epochs, 300 steps, 15 s" in text
    line = re.search(r'points="([^"]*)"', text)[1].split()
    x, y = zip(*(map(float, place.split(",")) for place in line), strict=True)
    assert all(0 <= a <= 120 for a in x) and all(0 <= b <= 24 for b in y) and y[0] < y[-1]  # SVG counts y downwards


def test_a_long_history_stays_short():
    long = history(5000)
    assert len(long._repr_html_()) < 8000 and len(repr(long)) < 1500
    lines = repr(long).splitlines()
    assert len(lines) == 10 and lines[2].split()[0] == "1" and lines[-1].split()[0] == "5000"
    assert lines[1].split() == ["epoch", "J", "L", "validation.J", "validation.L"]


def test_a_history_stays_a_list_of_records():
    short = history(2)
    assert short[0]["J"] == 9.0 and short["J"] == [9.0, 8.0] and isinstance(short[:1], list) and len(short) == 2
    assert "{" not in repr(short) and str(short) == repr(short)


@pytest.mark.parametrize("broken", [
    History(), History([{}]), History([{"J": math.nan}]), History([{"J": math.inf}, {"J": 1.0}]),
    History([{"epoch": 1, "J": 1.0, "L_D": 2.0}, {"epoch": 2, "J": 1.0}]), History([{"J": 1e308}, {"J": -1e308}]),
    History([{"epoch": 1, "J": 1.0, "validation": None}]), History([{"epoch": 7, "J": 1.0}] * 3),
])  # fmt: skip
def test_odd_histories_are_shown_too(broken):
    text = broken._repr_html_()
    page(text)
    assert "nan," not in text and repr(broken)


# ---- gradient reports


def test_a_report_says_right_and_wrong_in_words(rng):
    model = minae.SparseAutoencoder((7, 3))
    report = minae.check_gradient(model, rng.uniform(size=(4, 7)), entries=5)
    rows = page(report._repr_html_()).rows
    assert rows[0] == ["parameter", "L+Omega", "L", "Omega"] and [row[0] for row in rows[1:]] == [
        "W1",
        "b1",
        "V1",
        "c1",
    ]
    assert all(cell.endswith(" right") for row in rows[1:] for cell in row[1:]) and repr(report) == str(report)
    wrong = report.rows[-1]
    wrong.error, wrong.passed = 0.5, False
    text = report._repr_html_()
    assert page(text).rows[1][0] == "c1" and "5.0e-01 WRONG" in text and "a gradient is wrong" in text
    wrong.error, wrong.resolution = math.nan, 0.0
    assert "nan WRONG" in report._repr_html_()


# ---- plots


def test_plots_are_public_and_say_what_they_are():
    assert minae.plots is plots
    for name in plots.__all__:
        if callable(getattr(plots, name)):
            assert inspect.getdoc(getattr(plots, name)) and inspect.signature(getattr(plots, name)), name


def test_a_notebook_shows_a_figure_where_nobody_loaded_pyplot():
    fig = plots.bars({"a": 1.0, "b": 2.0}, "number", "title")
    assert fig._repr_png_().startswith(b"\x89PNG")


# ---- callbacks: the examples of `minae.training`, with what records the calls in the place of the tracker


class Calls(list):
    """An object that takes any call, and remembers it."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *given, **named: self.append((name, given, named))


def examples():
    """The blocks of code in the docstring of `minae.training`, by the tracker that they import."""
    blocks = re.findall(r"(?:\n(?:    .*)?)+(?=\n\S|$)", training.__doc__)
    code = [textwrap.dedent(block) for block in blocks if block.strip()]
    return {re.search(r"(?:from|import) (\w+)", block)[1]: block for block in code}


@pytest.fixture
def run(monkeypatch, tmp_path, rng):
    def run(tracker, **modules):
        for name, module in modules.items():
            monkeypatch.setitem(sys.modules, name.replace("__", "."), module)
        monkeypatch.chdir(tmp_path)
        X = rng.uniform(size=(60, 20)).astype("f")
        space = {"minae": minae, "X": X, "model": minae.UndercompleteAutoencoder((20, 3))}
        exec(examples()[tracker].replace("epochs=20", "epochs=3"), space)
        return space

    return run


def test_there_are_three_examples():
    assert set(examples()) == {"torch", "mlflow", "optuna"}


def test_tensorboard(run):
    calls = Calls()
    module = types.SimpleNamespace(SummaryWriter=lambda folder: calls)
    run("torch", torch__utils__tensorboard=module, torch__utils=types.ModuleType("u"), torch=types.ModuleType("t"))
    scalars = [given for name, given, _ in calls if name == "add_scalar"]
    assert {tag for tag, *_ in scalars} == {"train/J", "train/L", "validation/J", "validation/L"}
    assert [step for tag, _, step in scalars if tag == "train/J"] == [1, 2, 3] and calls[-1][0] == "close"
    assert all(isinstance(value, float) and math.isfinite(value) for _, value, _ in scalars)


def test_mlflow(run, tmp_path):
    calls = Calls()
    module = types.ModuleType("mlflow")
    module.__getattr__ = lambda name: getattr(calls, name)
    module.start_run = contextlib.nullcontext
    space = run("mlflow", mlflow=module)
    assert [name for name, *_ in calls] == ["log_params", "log_metrics", "log_metrics", "log_metrics", "log_artifact"]
    assert calls[0][1][0] == space["model"].config and calls[1][2] == {"step": 1}
    assert set(calls[1][1][0]) >= {"validation_J", "validation_L"} and (tmp_path / "model.safetensors").is_file()


def test_optuna_ends_a_training_that_falls_behind(run):
    class Pruned(Exception):
        pass

    class Trial:
        """The calls of Optuna's Trial that the example makes; the second one falls behind at its second epoch."""

        def __init__(self, number):
            self.number, self.reported = number, {}

        def suggest_float(self, name, low, high, *, log=False):
            assert (name, log) == ("lr", True)
            return math.sqrt(low * high)

        def report(self, value, step):
            self.reported[step] = value

        def should_prune(self):
            return self.number == 1 and len(self.reported) >= 2

    trials, values = [Trial(0), Trial(1)], []

    class Study:
        def optimize(self, objective, n_trials):
            for trial in trials:
                try:
                    values.append(objective(trial))
                except Pruned:
                    values.append("pruned")

    module = types.SimpleNamespace(
        TrialPruned=Pruned, create_study=lambda direction, pruner: Study(),
        pruners=types.SimpleNamespace(MedianPruner=lambda n_startup_trials: None),
    )  # fmt: skip
    run("optuna", optuna=module)
    assert [list(trial.reported) for trial in trials] == [[1, 2, 3], [1, 2]]
    assert values == [trials[0].reported[3], "pruned"]


def test_a_spread_has_the_first_and_the_last():
    assert notebook_html._spread(5, 8) == [0, 1, 2, 3, 4]
    some = notebook_html._spread(1000, 8)
    assert some[0] == 0 and some[-1] == 999 and len(some) == 8
    assert np.all(np.diff(some) > 100)

"""Backends as parameters: NumPy, the guard that stands in for CuPy, and CuPy itself where a GPU answers."""

import functools
import importlib.util
import json
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import hypothesis
import numpy as np
import pytest

import guard
from minae import UndercompleteAutoencoder, chapters, checks, cli, models
from minae import backend as backends
from minae.errors import InputError

backends.BACKENDS["guard"] = guard.GuardBackend
hypothesis.settings.register_profile("minae", deadline=None, max_examples=40, derandomize=True)
hypothesis.settings.load_profile("minae")


def _no_gpu():
    """Why there is no GPU, in one line; "" where one answers."""
    try:
        backends.get_backend("cupy")
    except InputError as error:
        return str(error)
    return ""


NO_GPU = _no_gpu()
BACKENDS = ["numpy", "guard"] + ["cupy"] * (not NO_GPU)


def in_background(process, minutes=0.1):
    """Decorate a test whose work is a process. All of these are begun at the first such test, two at a time, each of
    one thread, the longest first, and each test waits for its own by the fixture `ended`.

    process(out, **parameters of the test) -> the command, and what it needs in the environment
    """

    def decorate(test):
        test.process, test.minutes = process, minutes
        return test

    return decorate


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


def _no_browser():
    """Why no page of the book can be opened in a browser, in one line; "" where one can."""
    missing = [name for name in ("playwright", "axe_playwright_python") if importlib.util.find_spec(name) is None]
    if CHROMIUM is None:
        missing.append("Chromium")
    return f"{', '.join(missing)} not here" if missing else ""


def pytest_terminal_summary(terminalreporter):
    if reason := _no_browser():
        terminalreporter.write_line(f"not every test of the book ran in a browser: {reason}")
    if NO_GPU:
        terminalreporter.write_line(f"no test ran on a GPU, the guard stood in for it: {NO_GPU}")


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items):
    """Each operation of the guard passes through Python, and some thousands of differences make a slow test of it."""
    for item in items:
        on_guard = "callspec" in vars(item) and item.callspec.params.get("backend") == "guard"
        if on_guard and item.get_closest_marker("slow_on_guard"):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: "book_of_runs" in getattr(item, "fixturenames", ()))  # last, when all sections have run


@pytest.fixture(params=BACKENDS)
def backend(request):
    return backends.get_backend(request.param)


@pytest.fixture(scope="session")
def _processes(request, tmp_path_factory):
    pool, runs = ThreadPoolExecutor(2), {}
    asked = [item for item in request.session.items if hasattr(getattr(item, "function", None), "process")]
    for item in sorted(asked, key=lambda item: -item.function.minutes):
        out = tmp_path_factory.mktemp("run")
        command, env = item.function.process(out, **getattr(item, "callspec", _NoParameters).params)
        runs[item.nodeid] = pool.submit(_ended, command, env, out)
    yield runs
    pool.shutdown(cancel_futures=True)


class _NoParameters:
    params: ClassVar = {}


def _ended(command, env, out):
    env = os.environ | {"OPENBLAS_NUM_THREADS": "1"} | env
    return subprocess.run(command, env=env, cwd=out, capture_output=True, text=True, timeout=900), out


@pytest.fixture
def ended(request, _processes):
    """The process of a test that has one, see `in_background`, when it has ended, and the folder in which it ran."""
    return _processes[request.node.nodeid].result()


@pytest.fixture(scope="module")  # no longer: while it is open, no test can run an event loop of its own
def browser():
    """Debian's Chromium, driven by playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not here: no page was opened")
    if CHROMIUM is None:
        pytest.skip("no Chromium is here: no page was opened")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=120_000)
        yield chromium
        chromium.close()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def digits():
    from minae import data

    return data.mnist()


@pytest.fixture
def tiny(rng):
    """tiny(sizes=(7, 5, 3), **options) -> (model, X): a small model in float64, and data in [0, 1] on the host."""

    def make(sizes=(7, 5, 3), rows=4, **options):
        model = UndercompleteAutoencoder(sizes, **{"dtype": "float64", "seed": 1, **options})
        return model, rng.uniform(size=(rows, sizes[0])).astype(model.dtype)

    return make


@pytest.fixture(scope="session")
def cases():
    """cases(name of a backend) -> name of a case -> (model, batch): the cases of `minae check`, built once."""

    @functools.cache
    def built(name):
        return {case: (model, batch) for case, model, batch in checks.cases(name)}

    return built


@pytest.fixture
def registered():
    """Models that a test registers are forgotten after it."""
    before = dict(models.MODELS)
    yield models.MODELS
    models.MODELS.clear()
    models.MODELS.update(before)


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The whole site of the book, with a run of 14.7 that found three numbers, a claim, a sound and a picture."""
    out, runs = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("runs")
    from PIL import Image

    from minae.book.cells import cells

    (runs / "14.7").mkdir()
    Image.new("RGB", (40, 30), "white").save(runs / "14.7" / "choice.png")
    (runs / "14.7" / "voice_of_one.wav").write_bytes(b"RIFF")
    script = cells(chapters.find("14.7")["path"])
    at = next(cell.number for cell in script if "singular values, linear f" in cell.text)
    first = next(cell.number for cell in script if cell.kind == "code")
    place = {"line": 1, "cell": at, "within": [at, 1]}
    result = {
        "section": "14.7", "title": "", "size": "quick", "seeds": [0, 1], "backend": "numpy", "minae": "0", "date": "",
        "machine": "a machine", "seconds": 1.0,
        "numbers": [{"name": "off by σ", "of": "one", "mean": 1.5, "values": [1.0, 2.0], **place},
                    {"name": "off by σ", "of": "two", "mean": -2.5e-9, "values": [-2.5e-9], **place},
                    {"name": "before", "of": "", "mean": 1.0, "values": [1.0], "line": 1, "cell": first,
                     "within": [first, 1]}],
        "claims": [{"claim": "R&D holds", "value": 1.0, "relation": "<=", "bound": 2.0, "holds": True, **place}],
        "guards": [],
        "figures": [{"name": "choice", "file": "choice.png", "caption": "See λ.", "alt": 'a "line"', **place}],
    }  # fmt: skip
    (runs / "14.7" / "results.json").write_text(json.dumps(result))
    assert cli.main(["book", "--out", str(out), "--runs", str(runs), "--json"]) == 0
    return out


@pytest.fixture(scope="session")
def book_of_runs(request, _processes, tmp_path_factory):
    """The site with the runs of all sections at --quick, where these are among the tests that run now; else `site`.

    `MINAE_SITE=site pytest tests/test_book_browser.py` looks at a site that is there already.
    """
    if "MINAE_SITE" in os.environ:
        return Path(os.environ["MINAE_SITE"]).resolve()
    out, runs = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("runs")
    for section in chapters.sections():
        number = section["number"]
        run = _processes.get(f"tests/test_chapters.py::test_section[{number}-numpy]")
        if run is None:
            return request.getfixturevalue("site")
        shutil.copytree(run.result()[1], runs / number)
    assert cli.main(["book", "--out", str(out), "--runs", str(runs), "--json"]) == 0
    return out

"""`minae bench`: both sides train the same model, the report says what was measured, and what it cannot measure."""

import ast
import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from minae import cli, data
from minae.bench import measure, report, run
from minae.bench.contestant import Env
from minae.bench.kinds import mirrored
from minae.bench.workloads import CURVES, WORKLOADS, chain
from minae.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore:no layer of")  # codes wider than x, without a penalty, are meant
NO_TORCH = "PyTorch is not installed: pip install -e '.[bench]'"


@pytest.fixture
def env(tmp_path):
    np.save(tmp_path / "train.npy", data.mnist().train[:600].astype(np.float32))
    return Env({"folder": tmp_path, "backend": "numpy", "threads": 1})


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What `minae bench 784-30 --json` prints and writes, at its smallest."""
    folder, patch = tmp_path_factory.mktemp("bench") / "out", pytest.MonkeyPatch()
    printed = []
    patch.setattr(run, "BUSY", 1.0)  # nothing is measured again
    patch.setattr("builtins.print", lambda text, **_: printed.append(text))
    argv = "bench 784-30 --rounds 1 --seconds 0.02 --no-compile --json --backend numpy --out".split()
    try:
        code = cli.main([*argv, str(folder)])
    finally:
        patch.undo()
    assert code == 0 and len(printed) == 1
    results = json.loads(printed[0])
    assert results == json.loads((folder / "bench.json").read_text())
    assert (folder / "bench.md").read_text() == report.markdown(results)
    return results


@pytest.mark.slow
def test_a_report(measured):
    result = measured["workloads"]["784-30"]
    row = result["results"]["minae"][0]
    assert row["median"] >= row["min"] > 0 and row["first"] > 0 and len(row["costs"]) == 5
    assert result["ratios"]["minae / products"][0] > 0
    # which of these times is the longer one, the machine decides: a busy one may take longer for anything
    assert min(result["memory_mb"]["minae"], result["cold_ms"], result["warm_ms"], measured["import_ms"]) > 0
    assert all(grown < 4 * 100 * 784 for grown in result["allocated_bytes"].values())  # no array of the batch's size
    assert "784-30" in report.text("workload", "784-30", result) and "minae" in report.text("machine", None, measured)
    assert report.closing(measured)


@pytest.mark.slow
def test_a_report_in_tables(measured):
    tables = report.markdown(measured).split("\n\n")
    assert "784-30" in tables[1] and "minae / products" in tables[1]
    for table in tables[1:]:
        assert len({line.count("|") for line in table.strip().splitlines()}) == 1  # as many cells in every row


@pytest.mark.slow
def test_a_report_without_torch(measured):
    if measured["torch_takes_part"]:
        pytest.skip("PyTorch is installed")
    assert "pip install" in report.text("machine", None, measured)
    assert "minae / torch" not in measured["workloads"]["784-30"]["ratios"]


@pytest.mark.slow
def test_a_report_with_torch(measured):
    if not measured["torch_takes_part"]:
        pytest.skip(NO_TORCH)
    result = measured["workloads"]["784-30"]
    assert result["ratios"]["minae / torch"][0] > 0 and result["memory_ratios"]["minae / torch"] > 0
    assert result["difference"] <= run.TOLERANCE
    assert any(row["bar"].startswith("minae / torch, geometric mean") for row in measured["bars"])


def rows(workload, contestant, env):
    runner, steps = measure.contestant_of(contestant, workload, env), min(workload.first, 3)
    return [{"costs": [runner.read(runner.step()) for _ in range(steps)]}]


@pytest.mark.slow
@pytest.mark.parametrize("name", WORKLOADS)
def test_both_sides_train_the_same_model(name, env):
    pytest.importorskip("torch", reason=NO_TORCH)
    workload = WORKLOADS[name].small()
    workload.prepare(env)
    forms = [form for form in workload.torch_forms if form != "graph" and "compiled" not in form]
    contestants = ["minae", *(f"torch {form}" for form in (*forms, *workload.generic))]
    results = {contestant: rows(workload, contestant, env) for contestant in contestants}
    assert run.difference(results, name) <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, workload in WORKLOADS.items() if getattr(workload, "jax", None)])
def test_jax_trains_the_same_model(name, env):
    pytest.importorskip("jax", reason="JAX is not installed: pip install -e '.[bench]'")
    workload = WORKLOADS[name].small()
    workload.prepare(env)
    results = {contestant: rows(workload, contestant, env) for contestant in ("minae", "jax")}
    assert run.difference(results, name) <= 1e-5
    if name in ("variational", "adversarial"):  # and goes on with its own noise
        runner = measure.contestant_of("jax", workload, env)
        assert np.isfinite([runner.read(runner.step()) for _ in range(workload.first + 2)]).all()


def test_jax_is_a_rival_of_all_that_trains():
    assert [name for name, workload in WORKLOADS.items() if not hasattr(workload, "jax")] == ["inference", "search"]


def test_a_turn_of_jax_moves_its_player_alone(env, monkeypatch):
    pytest.importorskip("jax", reason="JAX is not installed: pip install -e '.[bench]'")
    from minae.bench import jax_side

    workload = WORKLOADS["adversarial"].small()
    workload.prepare(env)
    players = []

    def adam(player, moments, dplayer, t):
        players.append(set(dplayer))
        return player, moments

    monkeypatch.setattr(jax_side, "_adam", adam)
    measure.contestant_of("jax", workload, env).step()
    f, g, d = {"W1", "b1", "W2", "b2"}, {"V1", "c1", "V2", "c2"}, {"D1", "e1", "D2", "e2"}
    assert players == [f | g, d, f]


def test_a_difference_is_found(env):
    pytest.importorskip("torch", reason=NO_TORCH)
    workload = WORKLOADS["784-500"].small()
    workload.prepare(env)
    other = dataclasses.replace(workload, J=lambda net, x: 1.001 * net.loss(net.g(net.f(x)), x))
    results = {"minae": rows(workload, "minae", env), "torch eager": rows(other, "torch eager", env)}
    with pytest.raises(AssertionError, match="different models"):
        run.difference(results, "784-500")


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_floor_runs(name, env):
    workload = WORKLOADS[name].small()
    workload.prepare(env)
    products, done = measure.settled(workload, env).products, []
    patch = pytest.MonkeyPatch()
    patch.setattr(np, "matmul", lambda A, B, out: done.append((*A.shape, B.shape[1], *out.shape)))
    if products:
        floor = measure.products(workload, env)
        floor.step()
    patch.undo()
    assert done == [(m, k, n, m, n) for _, m, k, n, _ in products]


def test_products_of_a_step():
    n, m, B = 784, 500, 128

    def count(products):
        return sum(m * k * n for _, m, k, n, _ in products)

    assert count(mirrored((n, m))(B)) == 5 * B * n * m  # two forward, three backward
    assert count(chain((n, m), probes=1)(B)) == 8 * B * n * m  # and a probe's three
    whole = chain((784, 500, 250, 30))(B)
    assert count(whole) < count(mirrored((784, 500, 250, 30))(B)) + 9 * B * 30 * 784 * 500


def test_curves_change_one_thing():
    for points in CURVES.values():
        for change in points.values():
            assert len(change) == 1
            dataclasses.replace(WORKLOADS["784-500"], **{k: v for k, v in change.items() if k != "rows"})


def test_bars():
    slow = {"ratios": {"minae / torch": [0.5, 1.2, 1.3], "minae / products": [1.1, 1.1, 1.1]}}
    fast = {"ratios": {"minae / torch": [0.1, 0.1, 0.1], "generic / minae": [200.0] * 3}}
    results = {"workloads": {"784-500": slow, "contractive": fast}}
    assert run.summary(results)[1] == pytest.approx(math.sqrt(0.12))
    reached = {row["bar"]: row["reached"] for row in report.bars(results)}
    assert reached == {
        "minae / torch, geometric mean of 2": True,
        "minae / torch, the slowest dense (784-500)": False,
        "minae / products, 784-500": True,
        "minae / torch, contractive": True,
        "generic / minae, contractive": True,
    }
    text = report.closing({**results, "bars": report.bars(results)})
    assert text.count("NOT REACHED") == 1 and "geometric mean: 0.35" in text


def test_a_picture_of_curves():
    point = {"minae": [1.0], "torch": [2.0], "products": [0.5]}
    fig = report.picture({"curves": {"batch": {16: point, 64: point}, "width": {125: {**point, "torch": None}}}})
    assert [len(axis.lines) for axis in fig.axes] == [3, 2]
    assert "minae/torch" in report.text("curve", "batch", {16: point})


@pytest.mark.parametrize(
    "argv, words",
    [
        ("bench 784-501", ("784-501", "784-500")),
        ("bench --rounds 0", ("rounds is 0",)),
        ("bench --seconds 0", ("seconds 0",)),
        ("bench --backend nonsense", ("unknown backend",)),
    ],
)
def test_what_is_refused(argv, words, capsys):
    assert cli.main(argv.split()) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and all(word in line for word in words)


def test_refused_before_anything_is_measured():
    with pytest.raises(InputError, match="unknown workload"):
        run.bench(["784-30", "no such"], each=lambda *_: pytest.fail("something was measured"))


def imports(path):
    """The modules of minae.bench that a file imports, wherever in it the import stands."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)]
    direct = {node.module.removeprefix("minae.bench.") for node in nodes if node.module.startswith("minae.bench.")}
    return direct | {alias.name for node in nodes if node.module == "minae.bench" for alias in node.names}


def test_the_files_of_the_benchmark_import_each_other_in_one_direction():
    files = {path.stem: imports(path) for path in Path(measure.__file__).parent.glob("*.py")}
    assert files["contestant"] == set()
    ready = set()
    while files:
        free = [name for name, needs in files.items() if needs <= ready]
        assert free, f"a circle among {', '.join(files)}"
        ready |= set(free)
        for name in free:
            del files[name]

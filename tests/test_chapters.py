"""Each section's script runs at --quick and shows what it claims."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minae import chapters, plots
from minae.chapters import Section
from minae.chapters.section import named
from minae.errors import InputError

SECTIONS = {section["number"]: section for section in chapters.sections()}


MAIN = """
import sys
sys.path.insert(0, sys.argv.pop(1))
import guard, minae.backend, minae.cli
minae.backend.BACKENDS["guard"] = guard.GuardBackend
sys.exit(minae.cli.main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["numpy", "guard"])
@pytest.mark.parametrize("number", SECTIONS)
def test_section(number, backend, tmp_path):
    given = ["run", number, "--quick", "--backend", backend, "--out", str(tmp_path)]
    command = [sys.executable, "-c", MAIN, str(Path(__file__).parent), *given]
    env = os.environ | ({"OPENBLAS_NUM_THREADS": "1"} if backend == "guard" else {})  # its products have no pool
    result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["claims"] and all(claim["holds"] for claim in results["claims"])
    assert {path.name for path in tmp_path.iterdir()} == {"results.json", *results["figures"]}
    for figure in results["figures"]:
        assert (tmp_path / figure).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("number", SECTIONS)
def test_a_script_has_cells_and_its_equations_in_the_text(number):
    """The equations of the section are in the text, not only in its header."""
    text = SECTIONS[number]["path"].read_text(encoding="utf-8")
    assert text.count("# %%") >= 5
    for equation in re.findall(r"\d+\.\d+", SECTIONS[number]["equations"]):
        assert f"({equation})" in text
    ast.parse(text)


def test_every_equation_of_the_book_has_a_line_of_code_and_none_is_invented():
    """BOOK.md: chapter 14 has the equations 14.1 to 14.19."""
    equations = chapters.equations()
    assert list(equations) == [f"14.{k}" for k in range(1, 20)]
    assert not [equation for equation, places in equations.items() if not places]
    assert list(named("a (14.5–14.7) b (14.2; Ng) (section 14.3) 14.4")) == ["14.5", "14.6", "14.7", "14.2"]


def test_the_equations_are_looked_for_in_every_folder_of_the_engine():
    folders = {Path(path).parent.as_posix() for places in chapters.equations().values() for path, _ in places}
    assert {"minae", "minae/models", "kernels"} <= folders


def test_the_readme_lists_every_script():
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    for number, section in SECTIONS.items():
        assert re.search(rf"^\| \[{re.escape(number)} .*{section['path'].name}\)", readme, re.MULTILINE)


def test_the_scripts_name_the_equations_of_their_sections():
    named = [equation for section in SECTIONS.values() for equation in re.findall(r"\d+\.\d+", section["equations"])]
    assert sorted({int(equation.split(".")[1]) for equation in named if equation.startswith("14.")}) == list(
        range(1, 20)
    )


def section(monkeypatch, tmp_path, *options):
    monkeypatch.setattr(sys, "argv", ["script", "--out", str(tmp_path / "out"), *options])
    return Section("99.9 A title\n\nEquations: 99.1\nFigures: none")


def test_a_claim_that_fails_stops_the_script_after_the_results_are_written(monkeypatch, tmp_path, capsys):
    s = section(monkeypatch, tmp_path, "--quick", "--seed", "4")
    assert s.pick(1, 2, 3) == 1 and s.seeds == [4]
    s.claim("water is wet", s.number("wetness", [0.5, 0.7]), ">", 0.5)
    for name in ("of rain", "of snow"):
        s.number(f"wetness {name}", 1.0)
        s.number("  its error", 0.1, "0.2 (recalled)")
    s.claim("pigs fly", 0, ">", 1)
    s.figure(plots.curves({"a": _History()}), "curve")
    with pytest.raises(AssertionError, match="pigs fly"):
        s.finish()
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["numbers"]["wetness"] == {"mean": 0.6, "values": [0.5, 0.7]}
    assert "wetness of rain: its error" in results["numbers"] and "wetness of snow: its error" in results["numbers"]
    assert [claim["holds"] for claim in results["claims"]] == [True, False]
    assert "FAILS  pigs fly" in capsys.readouterr().out


def _History():
    from minae.training import History

    return History([{"epoch": 1, "J": 2.0}, {"epoch": 2, "J": 1.0}])


def test_not_a_number_holds_no_claim(monkeypatch, tmp_path):
    s = section(monkeypatch, tmp_path)
    s.claim("NaN", float("nan"), "<", 1)
    with pytest.raises(AssertionError):
        s.finish()


def test_full_size_has_three_seeds(monkeypatch, tmp_path):
    assert section(monkeypatch, tmp_path, "--full", "--seed", "1").seeds == [1, 2, 3]


def test_unknown_section():
    with pytest.raises(InputError, match=r"unknown section '99': choose one of 14\.0"):
        chapters.find("99")


def test_pictures_of_odd_sizes(tmp_path):
    plots.save(plots.images({"x": np.zeros((2, 6)), "r": np.ones((1, 6))}, shape=(2, 3)), tmp_path / "a.png")
    plots.save(plots.codes({"h": np.zeros((5, 2))}, np.arange(5)), tmp_path / "b.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]

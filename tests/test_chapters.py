"""Each section's script runs at --quick and shows what it claims."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import in_background

from minae import chapters, cli, plots
from minae.chapters import Section
from minae.chapters import section as section_module
from minae.chapters.notebook import latex, typeset
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


# One section of each kind of model runs on the stand-in for a GPU, too; other tests run the models themselves on it.
GUARDED = ("14.1", "14.2.1", "14.2.3", "14.4", "14.5.1", "14.8", "C.4", "A.3")
RUNS = [(number, backend) for number in SECTIONS for backend in ("numpy", "guard")[: 1 + (number in GUARDED)]]


def run(out, number, backend):
    given = ["run", number, "--backend", backend, "--quick", "--out", str(out)]
    return [sys.executable, "-c", MAIN, str(Path(__file__).parent), *given], {}


@pytest.mark.slow
@pytest.mark.parametrize("number, backend", RUNS)
@in_background(run)
def test_section(number, backend, ended):
    result, out = ended
    assert result.returncode == 0, result.stdout + result.stderr
    results = json.loads((out / "results.json").read_text())
    assert results["claims"] and all(claim["holds"] for claim in results["claims"])
    assert [figure["name"] for figure in results["figures"]] == SECTIONS[number]["drawn"]  # the line `Figures: …`
    written = {
        path.name for path in out.iterdir() if path.suffix not in (".safetensors", ".wav", ".mnc", ".onnx")
    }  # what it makes
    table = {"faults.json"} if number == "14.0" else set()  # which the book's museum shows
    assert written == {"results.json", *table, *(f["file"] for f in results["figures"])}
    for figure in results["figures"]:
        assert (out / figure["file"]).read_bytes().startswith(b"\x89PNG")
        assert figure["caption"].endswith(".") and figure["alt"].endswith(".")
    lines = SECTIONS[number]["path"].read_text(encoding="utf-8").splitlines()
    for kind in ("number", "claim", "guard", "figure"):
        for record in results[f"{kind}s"]:
            assert f"section.{kind}(" in lines[record["line"] - 1]
            assert 1 <= record["cell"] <= sum(line.startswith("# %%") for line in lines)


@pytest.mark.parametrize("number", SECTIONS)
def test_a_script_has_cells_and_its_equations_in_the_text(number):
    """Each equation of the section stands at the end of a line of its own; prose is in markdown cells."""
    text = SECTIONS[number]["path"].read_text(encoding="utf-8")
    assert text.count("# %%") >= 5 and f'Section("{number}")' in text
    for equation in re.findall(r"\d+\.\d+", SECTIONS[number]["equations"]):
        assert re.search(rf"^(# )? {{4}}\S.* {{3,}}\({re.escape(equation)}\)$", text, re.MULTILINE), equation
    assert {line for line in text.splitlines() if line.startswith("# %%")} == {"# %%", "# %% [markdown]"}
    assert bool(re.search(r"section\.(data\(\)|file)", text)) == bool(SECTIONS[number]["data"])


SOLUTIONS = {path.name: path for path in Path(chapters.__file__).parent.glob("solutions/[0-9A-Z]*_*.py")}


@pytest.mark.parametrize("number", SECTIONS)
def test_a_section_ends_with_three_exercises_one_of_which_is_solved(number):
    path = SECTIONS[number]["path"]
    cells = re.split(r"^# %%.*$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = [cell for cell in cells if "\n# ## Exercises\n" in cell]
    if not found and path.name not in SOLUTIONS:
        pytest.skip(f"section {number} has no exercises yet")
    assert len(found) == 1 and cells.index(found[0]) >= len(cells) - 2, "the exercises are the last markdown cell"
    assert re.findall(r"^# (\d)\. ", found[0], re.MULTILINE) == ["1", "2", "3"]
    assert f"solutions/{path.name}" in found[0]
    solved = re.search(r'Section\("([\w.]+)", exercise=([123])\)', SOLUTIONS[path.name].read_text(encoding="utf-8"))
    assert solved and solved[1] == number


def solve(out, name):
    return [sys.executable, str(SOLUTIONS[name]), "--quick", "--out", str(out)], {}


@pytest.mark.parametrize("name", SOLUTIONS)
@pytest.mark.slow
@in_background(solve)
def test_a_solution_runs_and_shows_what_it_claims(name, ended):
    result, out = ended
    assert result.returncode == 0, result.stdout + result.stderr
    assert json.loads((out / "results.json").read_text())["claims"]


def test_numbers_of_sections_are_sorted_and_found(monkeypatch):
    numbers = ["14.1", "14.2", "14.2.1", "14.10", "15.1", "C.1", "C.10", "A.2"]
    assert sorted(reversed(numbers), key=section_module.place) == numbers
    there = [dict(number=number, title="", path=Path(number)) for number in numbers]
    monkeypatch.setattr(section_module, "sections", lambda: there)
    assert chapters.find("C.1")["path"] == Path("C.1")
    assert chapters.several("C") == ["C.1", "C.10"] and chapters.several("A") == ["A.2"]
    assert chapters.several("all") == numbers and chapters.several("14") == numbers[:4]
    with pytest.raises(InputError, match=r"unknown section 'C\.2': choose one of .*C\.1"):
        chapters.find("C.2")


def test_every_equation_of_the_book_has_a_line_of_code_and_none_is_invented():
    """BOOK.md: chapter 14 has the equations 14.1 to 14.19, chapter 15 has 15.1 to 15.4."""
    equations = chapters.equations()
    assert list(equations) == [f"14.{k}" for k in range(1, 20)] + [f"15.{k}" for k in range(1, 5)]
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
    for chapter, count in section_module.BOOK.items():
        found = {int(equation.split(".")[1]) for equation in named if equation.startswith(f"{chapter}.")}
        assert sorted(found) == list(range(1, count + 1))


def section(monkeypatch, tmp_path, *options, **more):
    monkeypatch.setattr(sys, "argv", ["script", "--out", str(tmp_path / "out"), *options])
    return Section("99.9 A title\n\nEquations: 99.1\nFigures: curve (of a cost; by\nepoch); other\n\nText.", **more)


def drawn(title="Cost"):
    return plots.curves({"plain": _History()}, title=title)


WORDS = dict(caption="The cost falls.", alt="A line that falls.")


def test_a_claim_that_fails_stops_the_script_after_the_results_are_written(monkeypatch, tmp_path, capsys):
    s = section(monkeypatch, tmp_path, "--quick", "--seed", "4")
    assert s.pick(1, 2, 3) == 1 and s.seeds == [4] and s.metadata["drawn"] == ["curve", "other"]
    s.claim("water is wet", s.number("wetness", [0.5, 0.7]), ">", 0.5)
    for name in ("rain", "snow"):
        s.number("error of the wetness", 0.1, "0.2 (recalled)", of=name)
    s.claim("pigs fly", 0, ">", 1)
    s.guard("pigs fly far", 0, ">", 1)
    fig = drawn()
    assert s.figure(fig, "curve", **WORDS) is fig
    with pytest.raises(AssertionError, match="pigs fly") as error:
        s.finish()
    assert "far" not in str(error.value)  # a guard is checked at full size
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    wetness, rain, snow = results["numbers"]
    assert wetness["mean"] == 0.6 and wetness["values"] == [0.5, 0.7] and "of" not in wetness
    assert (rain["of"], snow["of"], snow["published"]) == ("rain", "snow", "0.2 (recalled)")
    assert [claim["holds"] for claim in results["claims"]] == [True, False]
    assert results["guards"][0]["holds"] is None and results["figures"][0]["alt"] == WORDS["alt"]
    assert "FAILS  pigs fly" in capsys.readouterr().out
    page = chapters.summary([results], "pictures")
    assert "![A line that falls.](pictures/99_9_curve.png)" in page and "\nThe cost falls.\n" in page
    assert "| error of the wetness | snow | 0.1 |  | 0.2 (recalled) |" in page
    assert "| pigs fly | 0 | > 1 | **fails** |" in page and "| pigs fly far | 0 | > 1 | at --full |" in page


def test_a_guard_is_checked_at_full_size(monkeypatch, tmp_path):
    s = section(monkeypatch, tmp_path, "--full")
    s.guard("pigs fly far", 0, ">", 1)
    with pytest.raises(AssertionError, match="misses a guard: pigs fly far"):
        s.finish()


def test_what_is_recorded_knows_its_line(monkeypatch, tmp_path):
    """The line is that of the call, and the cell is the one that was run, in which a function may be called."""
    script = "# %%\ndef f(s):\n    s.number('a', 1)\n\n# %% [markdown]\n# text\n\n"
    script += "# %%\nf(s)\ns.claim(\n    'b', 1, '>', 0\n)\n"
    path = tmp_path / "script.py"
    path.write_text(script)
    s = section(monkeypatch, tmp_path)
    exec(compile(script, str(path), "exec"), {"s": s})
    assert [s.numbers[0][key] for key in ("line", "cell", "within")] == [3, 3, [1, 2]]
    assert [s.claims[0][key] for key in ("line", "cell", "within")] == [10, 3, [3, 2]]


def test_no_two_records_have_one_name_and_no_figure_lacks_words(monkeypatch, tmp_path):
    s = section(monkeypatch, tmp_path)
    s.number("a", 1, of="x")
    s.number("a", 1, of="y")
    with pytest.raises(ValueError, match="'a of y' was recorded in line"):
        s.number("a", 2, of="y")
    for lacks, fig, words in (
        ("a title", drawn(title=None), WORDS),
        ("caption", drawn(), WORDS | dict(caption="")),
        ("alt text", drawn(), WORDS | dict(alt="")),
        ("the label of an y axis", plots.levels({"a": ([1, 2], [1, 2])}, "x", "", "t"), WORDS),
    ):
        with pytest.raises(InputError, match=f"figure 'f' lacks {lacks}"):
            s.figure(fig, "f", **words)


def test_the_size_can_be_chosen_without_a_command_line(monkeypatch, tmp_path):
    monkeypatch.setenv("MINAE_SIZE", "quick")
    assert section(monkeypatch, tmp_path).size == "quick"
    assert section(monkeypatch, tmp_path, size="full").size == "full"
    assert section(monkeypatch, tmp_path, "--quick", size="full").size == "quick"
    monkeypatch.setenv("MINAE_SIZE", "quik")
    with pytest.raises(InputError, match=r"size is 'quik'.*quick"):
        section(monkeypatch, tmp_path)


def test_data_of_a_users_own(monkeypatch, tmp_path, rng):
    np.save(tmp_path / "x.npy", rng.uniform(-2, 5, (70, 9)))
    with pytest.raises(InputError, match=r"99\.9 cannot take other data"):
        section(monkeypatch, tmp_path, "--data", str(tmp_path / "x.npy"))
    monkeypatch.setattr(sys, "argv", ["script", "--out", str(tmp_path), "--data", str(tmp_path / "x.npy")])
    s = Section("99.9 A title\n\nData: rows\n")
    data = s.data()
    assert data.train.shape == (60, 9) and data.test.shape == (10, 9) and data.shape == (3, 3)
    assert data.train_labels is None and data.train.dtype == np.float32
    assert min(data.train.min(), data.test.min()) == 0 and max(data.train.max(), data.test.max()) == 1
    s.claim("on other data this need not hold", 0, ">", 1)
    s.number("a", 1, "2 (seen)")
    s.finish()
    assert "published" not in json.loads((tmp_path / "results.json").read_text())["numbers"][0]


@pytest.mark.slow
def test_a_section_runs_on_data_of_a_users_own(tmp_path, rng):
    np.savetxt(tmp_path / "mine.csv", rng.uniform(size=(120, 12)), delimiter=",")
    options = ["--quick", "--data", str(tmp_path / "mine.csv"), "--out", str(tmp_path / "out")]
    for number in [number for number, section in SECTIONS.items() if section["data"]]:
        command = [sys.executable, "-m", "minae", "run", number, *options]
        result = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert result.returncode == 0, result.stdout + result.stderr


def test_one_method_has_one_look():
    assert plots.look("PCA, k = 30") == plots.look("PCA", 5) != plots.look("local PCA")
    assert plots.look("k-sparse, k = 25") == plots.METHODS["k-sparse"] != plots.METHODS["sparse"]
    assert plots.look("softmax on pixels") == plots.METHODS["softmax on pixels"]
    assert len({plots.look("no method", k) for k in range(6)}) == 6
    looks = {name: look for name, look in plots.METHODS.items() if name not in ("autoencoder", "identity")}
    assert len(set(looks.values())) == len(looks)


# ---- notebooks


@pytest.mark.parametrize(
    "formula, expected",
    [
        ("‖∂f(x)/∂x‖²_F", r"\Vert \partial f(x)/\partial x\Vert ^{2}_{F}"),
        ("Σ_j KL(ρ ‖ ρ̂_j)", r"\sum _{j} KL(\rho \Vert \hat{\rho}_{j})"),
        ("h = Dᵀ(x − μ)", r"h = D^{T}(x - \mu )"),
        ("e^{−λ|h_i|}", r"e^{-\lambda \vert h_{i}\vert}"),
        ("h ≠ Φ(a)", r"h \ne \Phi (a)"),
        ("−log p_decoder(x | x̃)", r"-\log p_{\mathrm{decoder}}(x \vert \tilde{x})"),
    ],
)
def test_formulas_are_typeset(formula, expected):
    assert latex(formula) == expected


def test_an_equation_keeps_its_number():
    assert typeset("Text\n\n    J = L     (14.2)\n\nmore") == "Text\n\n$$J = L \\tag{14.2}$$\n\nmore"


@pytest.mark.slow
@pytest.mark.parametrize("number", ["14.0", "14.1"])
def test_a_section_runs_as_a_notebook(number, tmp_path, monkeypatch):
    pytest.importorskip("ipykernel", reason="ipykernel is not here, and notebooks are not run")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not here, and notebooks are not run")
    pytest.importorskip("jupytext", reason="jupytext is not here, and notebooks are not made")
    import nbformat

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINAE_SIZE", "quick")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    assert cli.main(["notebook", number, "-o", "made.ipynb"]) == 0
    made = nbformat.read("made.ipynb", as_version=4)
    nbformat.validate(made)
    assert made.cells[0].cell_type == "markdown" and made.cells[0].source.startswith(f"# {number} ")
    assert "$$" in made.cells[0].source
    nbclient.NotebookClient(made, timeout=300, kernel_name="python3").execute()
    results = json.loads(Path("out", number, "results.json").read_text())
    assert results["section"] == number and results["size"] == "quick"
    outputs = [output.get("data", {}) for cell in made.cells for output in cell.get("outputs", ())]
    assert [figure["name"] for figure in results["figures"]] == SECTIONS[number]["drawn"]
    assert sum("image/png" in data for data in outputs) == len(results["figures"])  # each is shown, and once
    assert not any("Figure" in data.get("text/plain", "") for data in outputs)
    by_count = {cell.get("execution_count"): cell.source for cell in made.cells}
    for figure in results["figures"]:
        assert "section.figure(" in by_count[figure["cell"]].splitlines()[figure["line"] - 1]


def test_a_notebook_without_jupytext_says_how_to_get_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "jupytext", None)
    assert cli.main(["notebook", "14.1", "-o", str(tmp_path / "a.ipynb")]) == 2
    message = capsys.readouterr().err
    assert "pip install" in message and "[notebook]" in message and message.count("\n") == 1
    assert cli.main(["notebook", "14.1", "-o", str(tmp_path / "a.txt")]) == 2


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


def test_class_numbers_keep_apart_and_ellipses_are_not_cut_off():
    places = plots._apart(np.vstack([np.zeros((5, 2)), [[100.0, 1.0]]]), np.array([200.0, 2.0]))
    apart = np.linalg.norm((places[:, None] - places) / [200.0, 2.0], axis=2)
    assert apart[~np.eye(6, dtype=bool)].min() >= 0.07 and (places[5] == [100, 1]).all()
    covariance = np.array([[[4.0, 0.0], [0.0, 0.01]]])
    (axis,) = plots.gaussians(np.zeros((1, 2)), {"one": covariance}, "t").axes
    assert axis.get_xlim()[0] < -2 and axis.get_xlim()[1] > 2 and axis.get_ylim()[1] > 0.1


def test_pictures_of_odd_sizes(tmp_path):
    plots.save(plots.images({"x": np.zeros((2, 6)), "r": np.ones((1, 6))}, shape=(2, 3)), tmp_path / "a.png")
    plots.save(plots.codes({"h": np.zeros((5, 2))}, np.arange(5)), tmp_path / "b.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]

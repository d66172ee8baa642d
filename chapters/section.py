"""What the scripts of the chapters share: their list, the equations of the book, and the run of one section.

A script belongs to one section of the book and is plain Python with `# %%` cells. Its docstring begins with the number
and title of the section and has these lines, from which `minae list` is made:

    Equations: the numbers of the equations that it computes; each stands at the end of its own line in the text
    Figures: the names under which it draws figures, each with a few words in brackets, parted by semicolons
    Data: (only where a section can take other data than its own) what `--data FILE` may hold

The script calls `Section("14.1")`, records what it finds by `number`, `claim`, `guard` and `figure`, and ends with
`finish()`. A section of the second part of the project has a letter for its chapter: C.1, A.2. Its last markdown cell
is headed "## Exercises" and has three of them; `solutions/` beside this file has a script that solves one.
"""

import argparse
import ast
import bisect
import datetime
import json
import linecache
import operator
import os
import platform
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import minae
from minae import __version__, files, kernels, plots
from minae.backend import get_backend
from minae.data import mnist, read
from minae.errors import InputError, meant

BOOK = {"14": 19, "15": 4}  # chapter of the book -> its number of equations
PARTS = ("C", "A")  # the chapters beyond the book, in the order in which they are read: codes, applications
SIZES = ("quick", "default", "full")
RELATIONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
KEYS = ("Equations", "Figures", "Data")  # lines of a docstring


def sections() -> list[dict[str, Any]]:
    """One dict for each script, in the order of reading: number, title, equations, figures, data, drawn, path."""
    scripts = []
    for path in Path(__file__).parent.glob("*/*.py"):
        if path.parent.name != "solutions" and re.match(r"(\d+|[A-Z])_\d", path.name):
            metadata = _metadata(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))))
            scripts.append({**metadata, "path": path})
    return sorted(scripts, key=lambda section: place(section["number"]))


def place(number: str) -> list[int]:
    """The key by which numbers of sections are sorted: "14.2" < "14.10" < "C.1" < "A.2"."""
    chapter, *parts = number.split(".")
    first = int(chapter) if chapter.isdigit() else 1000 + (PARTS.index(chapter) if chapter in PARTS else ord(chapter))
    return [first, *map(int, parts)]


def find(number: str) -> dict[str, Any]:
    """The section called `number`, such as "14.1" or "C.2". Raises InputError for one that is not there."""
    known = {section["number"]: section for section in sections()}
    if number not in known:
        raise InputError(f"unknown section {number!r}: choose one of {', '.join(known)}{meant(number, known)}")
    return known[number]


def several(word: str) -> list[str] | None:
    """The numbers of the sections of a chapter, such as "14" or "C", or of all; None where the word is another."""
    numbers = [section["number"] for section in sections()]
    return numbers if word == "all" else [number for number in numbers if number.split(".")[0] == word] or None


def equations() -> dict[str, list[tuple[str, str]]]:
    """Equation of the book -> where it is computed, [(file, function or class), …], by the docstrings that name it.

    A docstring names an equation as "(14.2)", "(14.5–14.7)" or "(14.10; Rifai et al. 2011)"; "(section 14.3)" is none.
    """
    places = {f"{chapter}.{k}": [] for chapter, count in BOOK.items() for k in range(1, count + 1)}
    for path, shown in sorted(_sources().items()):
        for name, docstring in _docstrings(ast.parse(path.read_text(encoding="utf-8"))):
            if shown.parts[0] == "chapters" and not name:
                continue  # the story of a section: what computes are its functions and classes
            for equation in dict.fromkeys(named(docstring)):
                places.setdefault(equation, []).append((shown.as_posix(), name))
    return places


def _sources():
    """The files of the engine, the kernels, the chapters: path -> what is shown, from the root of a checkout."""
    engine, kernel = Path(minae.__file__).parent, Path(kernels.__file__).parent
    chapter = Path(__file__).parent  # beside the kernels in a wheel: minae/kernels, minae/chapters
    paths = {}
    for path in engine.rglob("*.py"):
        if not path.is_relative_to(kernel) and not path.is_relative_to(chapter):
            paths[path] = path.relative_to(engine.parent)
    paths |= {path: path.relative_to(kernel.parent) for path in kernel.glob("*.py")}
    return paths | {path: path.relative_to(chapter.parent) for path in chapter.glob("ch*/*.py")}


def _docstrings(node, name=""):
    if docstring := ast.get_docstring(node):
        yield name, docstring
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef):
            yield from _docstrings(child, f"{name}.{child.name}".lstrip("."))


def named(docstring: str) -> Iterator[str]:
    """The equations of the book that a docstring names in brackets, in the order of the text."""
    for chapter in BOOK:
        for inside in re.findall(rf"\(({chapter}\.\d[^()]*)\)", docstring):
            for first, last in re.findall(rf"\b{chapter}\.(\d+)\b(?!\.\d)(?:–{chapter}\.(\d+))?", inside):
                yield from (f"{chapter}.{k}" for k in range(int(first), int(last or first) + 1))


def _metadata(docstring):
    """The header of a docstring; a line such as `Figures: …` may go on over the next lines."""
    number, title = docstring.splitlines()[0].split(" ", 1)
    found = {key.lower(): "" for key in KEYS}
    for key, text in re.findall(rf"^({'|'.join(KEYS)}): *((?:.+\n?)+?)(?=^\w+:|^\s*$|\Z)", docstring, re.MULTILINE):
        found[key.lower()] = " ".join(text.split())
    words = [part.split("(")[0].strip() for part in re.sub(r"\([^()]*\)", "()", found["figures"]).split(";")]
    return {"number": number, "title": title, **found, "drawn": [word for word in words if word not in ("", "none")]}


def options(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The options that a script takes, alone or through `minae run`."""
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="size", action="store_const", const="quick", help="smallest size, seconds")
    size.add_argument(
        "--full", dest="size", action="store_const", const="full", help="all of MNIST, three seeds, minutes"
    )
    parser.add_argument("--backend", help="numpy, cupy or auto (default: MINAE_BACKEND, else numpy)")
    parser.add_argument("--seed", type=int, default=0, help="of the first run (default 0)")
    parser.add_argument("--out", type=Path, help="folder for figures and results.json (default: out/SECTION)")
    parser.add_argument("--data", metavar="FILE", help="rows, or in A.5 files, of your own, where a section can")
    return parser


class Data(NamedTuple):
    """What a section learns from. Values in [0, 1]; labels are None where the data are a user's own.

    train (rows, n) float32;  train_labels (rows,) uint8 or None;  test, test_labels: likewise
    shape: (height, width) of a row that is a picture, or None
    """

    train: np.ndarray
    train_labels: np.ndarray | None
    test: np.ndarray
    test_labels: np.ndarray | None
    shape: tuple[int, int] | None


class Section:
    """What a run of a script was asked for, and what it leaves: figures, numbers, claims and guards.

    script: the number of the section, such as "14.1"; a script that is not in the package gives its docstring
    size: "quick", "default" or "full", for cells, which have no command line; the environment variable MINAE_SIZE
          says it for all sections; `--quick` and `--full` come first
    exercise: the number of the exercise that the script solves, for the scripts in solutions/
    """

    def __init__(self, script: str, size: str | None = None, exercise: int | None = None):
        self.metadata = _metadata(script) if "\n" in script else find(script)
        self.started = time.perf_counter()
        parser = options(argparse.ArgumentParser(description=self.metadata["title"]))
        self.shell = _shell()  # cells in an editor: argv is not ours
        given = parser.parse_args([] if self.shell else None)
        self.size = given.size or size or os.environ.get("MINAE_SIZE") or "default"
        if self.size not in SIZES:
            raise InputError(f"size is {self.size!r}: expected one of {', '.join(SIZES)}{meant(self.size, SIZES)}")
        self.seed, self.backend, self.file = given.seed, get_backend(given.backend), given.data
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}: expected an integer ≥ 0")
        number = self.metadata["number"]
        if self.file is not None and not self.metadata["data"]:
            raise InputError(f"section {number} cannot take other data, since it rests on its own: leave out --data")
        self.out = given.out or Path("out") / (f"{number}-exercise-{exercise}" if exercise else number)
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make the folder {self.out}: {error.strerror}; give another with --out") from error
        self.numbers, self.claims, self.guards, self.figures = [], [], [], []
        title = f"{number}, {self.metadata['title']}" + (f", exercise {exercise}" if exercise else "")
        print(f"Section {title} ({self.size} size, backend {self.backend.name})\n")

    @property
    def seeds(self) -> list[int]:
        """One seed, at full size three."""
        return [self.seed + k for k in range(3 if self.size == "full" else 1)]

    def pick(self, quick: Any, default: Any, full: Any) -> Any:
        """The value for the size that was asked for."""
        return dict(zip(SIZES, (quick, default, full), strict=True))[self.size]

    def data(self) -> Data:
        """The digits of the size of the run, or the rows of the file that the user gave, a seventh of them for tests.

        A user's values that lie outside of [0, 1] are mapped to it, the smallest to 0 and the largest to 1.
        """
        if self.file is None:
            return Data(*mnist(full=self.size == "full"), (28, 28))
        X = np.asarray(read(self.file), dtype=np.float32)
        if len(X) < 50:
            raise InputError(f"{self.file} has {len(X)} rows: expected at least 50, a seventh of which is for tests")
        low, high = float(X.min()), float(X.max())
        if low < 0 or high > 1:
            X = (X - low) / (high - low)
            print(f"  the values of {self.file} were mapped from [{low:.4g}, {high:.4g}] to [0, 1]\n")
        X = X[np.random.default_rng(self.seed).permutation(len(X))]
        side, cut = round(X.shape[1] ** 0.5), len(X) // 7
        return Data(X[cut:], None, X[:cut], None, (side, side) if side > 1 and side * side == X.shape[1] else None)

    def number(self, name: str, values: Any, published: str | None = None, of: str | None = None) -> float:
        """Record and print a number, with its spread where it has several seeds. Returns the mean.

        name: the quantity, with its unit;  of: what it belongs to, such as a model;  values: one, or one for each seed
        published: the number of a paper to set beside it, as text with its source, "seen" there or "recalled"
        """
        values = [float(value) for value in (values if isinstance(values, list) else [values])]
        mean = sum(values) / len(values)
        record = {"name": name, "mean": mean, "values": values} | ({"of": of} if of else {})
        record |= {"published": published} if published and self.file is None else {}
        self._record(self.numbers, record, "name", "of")
        spread = f"   ({min(values):.4g} to {max(values):.4g} over {len(values)} seeds)" if len(values) > 1 else ""
        print(f"  {name + f', {of}' * bool(of):68} {mean:10.4g}{spread}", flush=True)
        return mean

    def figure(self, fig: Any, name: str, *, caption: str, alt: str) -> Any:
        """Write a Matplotlib figure to NAME.png, show it where cells are run, and return it.

        caption: whole sentences: what is drawn, and what to look for
        alt: what a reader who cannot see the picture is told in its place
        """
        lacks = plots.missing(fig) + [word for word, text in (("caption", caption), ("alt text", alt)) if not text]
        if lacks:
            raise InputError(f"the figure {name!r} lacks {', '.join(lacks)}")
        plots.save(fig, self.out / f"{name}.png")
        self._record(self.figures, {"name": name, "file": f"{name}.png", "caption": caption, "alt": alt}, "name")
        if hasattr(self.shell, "display_formatter"):
            _show(self.shell, fig, (self.out / f"{name}.png").read_bytes(), caption, alt)
        return fig

    def claim(self, text: str, value: Any, relation: str, bound: Any) -> None:
        """State that `value relation bound`, such as 5.2 < 13.87. `finish` asserts it."""
        value, bound = float(value), float(bound)
        holds = RELATIONS[relation](value, bound)
        record = {"claim": text, "value": value, "relation": relation, "bound": bound, "holds": holds}
        self._record(self.claims, record, "claim")

    def guard(self, text: str, value: Any, relation: str, bound: Any) -> None:
        """What honest training reaches at full size. `finish` asserts it there; at other sizes it is written down."""
        value, bound = float(value), float(bound)
        holds = RELATIONS[relation](value, bound) if self.size == "full" else None
        record = {"guard": text, "value": value, "relation": relation, "bound": bound, "holds": holds}
        self._record(self.guards, record, "guard")

    def _record(self, records, record, *keys):
        """Keep a record, with the line and cell that it comes from. A cell that is run again replaces its own."""
        name = [record.get(key) for key in keys]
        former = [k for k, one in enumerate(records) if [one.get(key) for key in keys] == name]
        if former and not self.shell:
            raise ValueError(f"{' of '.join(filter(None, name))!r} was recorded in line {records[former[0]]['line']}")
        for k in former:
            del records[k]
        records.append(record | _where(self.shell))

    def finish(self) -> None:
        """Write results.json, print claims and guards, and raise AssertionError for those that fail.

        On a user's own data a claim is a question: its answer is printed, and nothing is raised.
        """
        results = {
            "section": self.metadata["number"],
            "title": self.metadata["title"],
            "size": self.size,
            "seeds": self.seeds,
            "backend": self.backend.name,
            "minae": __version__,
            "date": datetime.date.today().isoformat(),
            "machine": f"{_processor()}, {_cores()} cores, Python {platform.python_version()}",
            "seconds": round(time.perf_counter() - self.started, 1),
            "numbers": self.numbers,
            "claims": self.claims,
            "guards": self.guards,
            "figures": self.figures,
        }
        results |= {"data": str(self.file)} if self.file is not None else {}
        files.replace(self.out / "results.json", (json.dumps(results, indent=1) + "\n").encode())
        print()
        for c in self.claims:
            mark = "holds" if c["holds"] else "FAILS"
            print(f"  {mark}  {c['claim']}: {c['value']:.4g} {c['relation']} {c['bound']:.4g}")
        if self.guards:
            print("\n  What honest training reaches" + ", checked at --full:" * (self.size != "full"))
        for g in self.guards:
            mark = {True: "kept ", False: "MISSED", None: "     "}[g["holds"]]
            print(f"  {mark}  {g['guard']}: {g['value']:.4g}, at --full {g['relation']} {g['bound']:.4g}")
        print(f"\n{len(self.figures)} figures and results.json are in {self.out} ({results['seconds']} s)")
        failed = [c["claim"] for c in self.claims if not c["holds"]]
        missed = [g["guard"] for g in self.guards if g["holds"] is False]
        if self.file is None and (failed or missed):  # not an assert statement: `python -O` takes those away
            words = [f"does not show what it claims: {'; '.join(failed)}"] * bool(failed)
            words += [f"misses a guard: {'; '.join(missed)}"] * bool(missed)
            raise AssertionError(f"section {self.metadata['number']} {', and '.join(words)}")


def _shell():
    """IPython's shell, or True for Python's own prompt, where a section is run cell by cell; None in a script."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module else None
    return shell if shell is not None else hasattr(sys, "ps1") or None


def _where(shell):
    """The line of the script that called a method of Section, and the cell whose work this was: 1 is the first `# %%`.

    within: where the line stands, a cell and a line below its `# %%`. This is another cell where a function was called,
    and stays as it is where prose is written anew.

    In a notebook the cell is the number that the notebook gives it, and the line is the line of that cell.
    """
    frame = sys._getframe(1)
    while frame.f_code.co_filename == __file__:
        frame = frame.f_back
    line, outer = frame.f_lineno, frame
    if hasattr(shell, "execution_count"):
        return {"line": line, "cell": len(shell.user_ns["In"]) - 1}  # execution_count may be that of the next one
    while outer.f_code.co_name != "<module>" and outer.f_back:
        outer = outer.f_back
    lines = enumerate(linecache.getlines(outer.f_code.co_filename), 1)
    starts = [0, *(k for k, text in lines if text.startswith("# %%"))]
    within = bisect.bisect(starts, line) - 1
    return {"line": line, "cell": bisect.bisect(starts, outer.f_lineno) - 1, "within": [within, line - starts[within]]}


def _show(shell, fig, png, caption, alt):
    """The picture under its cell. A cell whose last line is `section.figure(…)` does not show it twice."""
    from IPython.display import Image, Markdown, display

    picture, count = Image(png, alt=alt), shell.execution_count
    display(picture, Markdown(caption))
    fig._ipython_display_ = lambda: None if shell.execution_count == count else display(picture)


RESULT = {"section", "title", "size", "seeds", "backend", "date", "machine", "seconds", "numbers", "claims", "guards",
          "figures"}  # fmt: skip


def runs(folder: Path) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Name of a run -> its folder, and what is in its results.json, for every run in a folder of runs."""
    found = {}
    for path in sorted(folder.glob("*/results.json")):
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
            lacks = RESULT - result.keys()
        except (ValueError, AttributeError) as error:
            raise InputError(f"{path} is damaged ({error}): run its section again") from error
        if lacks:
            raise InputError(f"{path} is damaged (it has no {min(lacks)}): run its section again")
        found[path.parent.name] = path.parent, result
    return found


def summary(results: list[dict[str, Any]], pictures: str, note: str | None = None) -> str:
    """The pictures, numbers, claims and guards of several runs as one Markdown page.

    results: the dicts of results.json;  pictures: the folder of the pictures, as a link from the page
    """
    lines = [
        "# Results",
        "Written by `minae results` from the `results.json` of the runs. A number is the mean over the seeds of a run,",
        "beside its range; a published number was seen in its source or is recalled from memory, and says which.",
        "A claim is a statement that the section makes. A guard says what honest training reaches at full size.",
        *([note] * bool(note)),
        "",
    ]
    for r in sorted(results, key=lambda r: place(r["section"])):
        command = f"minae run {r['section']}" + ("" if r["size"] == "default" else f" --{r['size']}")
        made = f"{r['seconds']:.0f} s, seeds {r['seeds']}, {r['backend']}, {r['machine']}, {r['date']}"
        lines += [f"## {r['section']} {r['title']}", f"`{command}`: {made}", ""]
        for figure in r["figures"]:
            alt = figure["alt"].replace("[", "(").replace("]", ")")
            lines += [f"![{alt}]({pictures}/{picture(r, figure)})", "", figure["caption"], ""]
        lines += _table(
            ["number", "of", "mean", "range", "published"],
            [
                [n["name"], n.get("of", ""), f"{n['mean']:.4g}", _spread(n["values"]), n.get("published", "")]
                for n in r["numbers"]
            ],
        )
        for kind, right in (("claim", "holds"), ("guard", "kept")):
            rows = [
                [c[kind], f"{c['value']:.4g}", f"{c['relation']} {c['bound']:.4g}", _verdict(c["holds"], right)]
                for c in r[f"{kind}s"]
            ]
            lines += _table([kind, "value", "bound", ""], rows)
    return "\n".join(lines)


def picture(result: dict[str, Any], figure: dict[str, Any]) -> str:
    """The name that a picture of a run has beside the page of results."""
    return f"{result['section'].replace('.', '_')}_{figure['file']}"


def small(png: bytes, webp: bool = False) -> bytes:
    """The picture in 128 colours, in half of the bytes: a page of results has many.

    webp: as WebP, in a third; where some loss takes less still, as it does for sheets of grey digits, with that
    """
    import io

    from PIL import Image

    def written(picture, form, **options):
        made = io.BytesIO()
        picture.save(made, form, **options)
        return made.getvalue()

    whole = Image.open(io.BytesIO(png)).convert("RGB")
    few = whole.quantize(128, dither=Image.Dither.NONE)
    if not webp:
        return written(few, "PNG", optimize=True)
    return min(written(few, "WEBP", lossless=True), written(whole, "WEBP", quality=80), key=len)


def _table(head, rows):
    if not rows:
        return []
    cells = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(_cell(word) for word in row)} |" for row in cells] + [""]


def _spread(values):
    return f"{min(values):.4g} to {max(values):.4g}" if len(values) > 1 else ""


def _verdict(holds, right):
    return {True: right, False: "**fails**", None: "at --full"}[holds]


def _cell(text):
    return text.strip().replace("|", "\\|")


def _processor():
    """The name of the processor, where the system tells."""
    try:
        return re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[1]
    except (OSError, TypeError):
        return platform.processor() or platform.machine()


def _cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()

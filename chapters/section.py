"""What the scripts of the chapters share: their list, the equations of the book, and the run of one section.

A script belongs to one section of the book and is plain Python with `# %%` cells. Its docstring begins with the number
and title of the section, and has a line `Equations: …` and a line `Figures: …`, from which `minae list` is made.
"""

import argparse
import ast
import datetime
import json
import operator
import os
import platform
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import minae
from minae import __version__, files, kernels, plots
from minae.backend import get_backend
from minae.errors import InputError, meant

BOOK = {"14": 19}  # chapter of the book -> its number of equations
SIZES = ("quick", "default", "full")
RELATIONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def sections() -> list[dict[str, Any]]:
    """One dict for each script, in the book's order: number, title, equations, figures, path."""
    scripts = []
    for path in Path(__file__).parent.glob("ch*/[0-9]*.py"):
        metadata = _metadata(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))))
        scripts.append({**metadata, "path": path})
    return sorted(scripts, key=lambda section: [int(part) for part in section["number"].split(".")])


def find(number: str) -> dict[str, Any]:
    """The section called `number`, such as "14.1". Raises InputError for one that is not there."""
    known = {section["number"]: section for section in sections()}
    if number not in known:
        raise InputError(f"unknown section {number!r}: choose one of {', '.join(known)}{meant(number, known)}")
    return known[number]


def several(word: str) -> list[str] | None:
    """The numbers of the sections of a chapter, such as "14", or of all; None where the word is something else."""
    numbers = [section["number"] for section in sections()]
    return numbers if word == "all" else [number for number in numbers if number.split(".")[0] == word] or None


def equations() -> dict[str, list[tuple[str, str]]]:
    """Equation of the book -> where it is computed, [(file, function or class), …], by the docstrings that name it.

    A docstring names an equation as "(14.2)", "(14.5–14.7)" or "(14.10; Rifai et al. 2011)"; "(section 14.3)" is none.
    """
    places = {f"{chapter}.{k}": [] for chapter, count in BOOK.items() for k in range(1, count + 1)}
    for path, shown in sorted(_sources().items()):
        for name, docstring in _docstrings(ast.parse(path.read_text(encoding="utf-8"))):
            for equation in dict.fromkeys(named(docstring)):
                places.setdefault(equation, []).append((shown.as_posix(), name))
    return places


def _sources():
    """The files of the engine and of its kernels: path -> the path that is shown, from the root of a checkout."""
    engine, kernel = Path(minae.__file__).parent, Path(kernels.__file__).parent
    chapter = Path(__file__).parent  # beside the kernels in a wheel: minae/kernels, minae/chapters
    paths = {}
    for path in engine.rglob("*.py"):
        if not path.is_relative_to(kernel) and not path.is_relative_to(chapter):
            paths[path] = path.relative_to(engine.parent)
    return paths | {path: path.relative_to(kernel.parent) for path in kernel.glob("*.py")}


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
            for first, last in re.findall(rf"\b{chapter}\.(\d+)(?:–{chapter}\.(\d+))?", inside):
                yield from (f"{chapter}.{k}" for k in range(int(first), int(last or first) + 1))


def _metadata(docstring):
    number, title = docstring.splitlines()[0].split(" ", 1)
    lines = {key: re.search(rf"^{key}: *(.*)$", docstring, re.MULTILINE) for key in ("Equations", "Figures")}
    return {"number": number, "title": title} | {key.lower(): m.group(1) if m else "" for key, m in lines.items()}


def options(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The options that a script takes, alone or through `minae run`."""
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="size", action="store_const", const="quick", help="smallest size, seconds")
    size.add_argument(
        "--full", dest="size", action="store_const", const="full", help="all of MNIST, three seeds, minutes"
    )
    parser.set_defaults(size="default")
    parser.add_argument("--backend", help="numpy, cupy or auto (default: MINAE_BACKEND, else numpy)")
    parser.add_argument("--seed", type=int, default=0, help="of the first run (default 0)")
    parser.add_argument("--out", type=Path, help="folder for figures and results.json (default: out/SECTION)")
    return parser


class Section:
    """What a run of a script was asked for, and what it leaves: figures, numbers, and claims that hold or fail."""

    def __init__(self, docstring: str | None):
        if docstring is None:  # `python -OO` takes docstrings away
            docstring = ast.get_docstring(ast.parse(Path(sys.argv[0]).read_text(encoding="utf-8")))
        self.metadata, self.started = _metadata(docstring), time.perf_counter()
        parser = options(argparse.ArgumentParser(description=self.metadata["title"]))
        interactive = hasattr(sys, "ps1") or "ipykernel" in sys.modules  # cells in an editor: argv is not ours
        given = parser.parse_args([] if interactive else None)
        self.size, self.seed, self.backend = given.size, given.seed, get_backend(given.backend)
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}: expected an integer ≥ 0")
        self.out = given.out or Path("out") / self.metadata["number"]
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make the folder {self.out}: {error.strerror}; give another with --out") from error
        self.numbers, self.heading = {}, ""
        self.claims, self.figures = [], []
        title = f"{self.metadata['number']}, {self.metadata['title']}"
        print(f"Section {title} ({self.size} size, backend {self.backend.name})\n")

    @property
    def seeds(self) -> list[int]:
        """One seed, at full size three."""
        return [self.seed + k for k in range(3 if self.size == "full" else 1)]

    def pick(self, quick: Any, default: Any, full: Any) -> Any:
        """The value for the size that was asked for."""
        return dict(zip(SIZES, (quick, default, full), strict=True))[self.size]

    def number(self, name: str, values: Any, published: str | None = None) -> float:
        """Record and print a figure, with its spread where it has several seeds. Returns the mean.

        published: the number of a paper to set beside it, as text with its source, "seen" there or "recalled"
        """
        values = [float(value) for value in (values if isinstance(values, list) else [values])]
        mean = sum(values) / len(values)
        # an indented name belongs to the last one that is not: "  its error" may come more than once
        self.heading = self.heading if name.startswith(" ") else name
        key = f"{self.heading}: {name.strip()}" if name.startswith(" ") else name
        self.numbers[key] = {"mean": mean, "values": values} | ({"published": published} if published else {})
        spread = f"   ({min(values):.4g} to {max(values):.4g} over {len(values)} seeds)" if len(values) > 1 else ""
        print(f"  {name:58} {mean:10.4g}{spread}", flush=True)
        return mean

    def figure(self, fig: Any, name: str) -> None:
        """Write a Matplotlib figure to NAME.png in the folder of the run."""
        plots.save(fig, self.out / f"{name}.png")
        self.figures.append(f"{name}.png")

    def claim(self, text: str, value: Any, relation: str, bound: Any) -> None:
        """State that `value relation bound`, such as 5.2 < 13.87. `finish` asserts it."""
        value, bound = float(value), float(bound)
        holds = RELATIONS[relation](value, bound)
        self.claims.append({"claim": text, "value": value, "relation": relation, "bound": bound, "holds": holds})

    def finish(self) -> None:
        """Write results.json, print the claims, and raise AssertionError for those that fail."""
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
            "figures": self.figures,
        }
        files.replace(self.out / "results.json", (json.dumps(results, indent=1) + "\n").encode())
        print()
        for c in self.claims:
            mark = "holds" if c["holds"] else "FAILS"
            print(f"  {mark}  {c['claim']}: {c['value']:.4g} {c['relation']} {c['bound']:.4g}")
        print(f"\n{len(self.figures)} figures and results.json are in {self.out} ({results['seconds']} s)")
        failed = [c["claim"] for c in self.claims if not c["holds"]]
        if failed:  # not an assert statement: `python -O` takes those away
            raise AssertionError(f"section {self.metadata['number']} does not show what it claims: {'; '.join(failed)}")


def summary(results: list[dict[str, Any]], note: str | None = None) -> str:
    """The figures and claims of several runs as one Markdown page.     results: the dicts of results.json"""
    lines = [
        "# Results",
        "Written by `minae results` from the `results.json` of the runs. Means, and ranges over the seeds;",
    ]
    lines += [
        "a published number was seen in its source or is recalled from memory, and says which.",
        *([note] * bool(note)),
        "",
    ]
    for r in sorted(results, key=lambda r: [int(part) for part in r["section"].split(".")]):
        command = f"minae run {r['section']}" + ("" if r["size"] == "default" else f" --{r['size']}")
        lines += [
            f"## {r['section']} {r['title']}",
            f"`{command}`: {r['seconds']:.0f} s, seeds {r['seeds']}, {r['backend']}, ",
        ]
        lines[-1] += f"{r['machine']}, {r['date']}"
        lines += ["", "| figure | mean | range | published |", "| --- | --- | --- | --- |"]
        for name, number in r["numbers"].items():
            low, high = min(number["values"]), max(number["values"])
            spread = f"{low:.4g} to {high:.4g}" if len(number["values"]) > 1 else ""
            lines.append(f"| {_cell(name)} | {number['mean']:.4g} | {spread} | {_cell(number.get('published', ''))} |")
        lines += ["", "| claim | value | bound | |", "| --- | --- | --- | --- |"]
        for c in r["claims"]:
            holds = "holds" if c["holds"] else "**fails**"
            lines.append(f"| {_cell(c['claim'])} | {c['value']:.4g} | {c['relation']} {c['bound']:.4g} | {holds} |")
        lines.append("")
    return "\n".join(lines)


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

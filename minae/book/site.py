"""Writes the whole site: every page from the scripts, the engine and the results of runs, with no request to anywhere.

site/index.html            the table of contents;  14.7.html, C.1.html, …  the sections
site/engine/NAME.html      a page for each module; engine/index.html lists them
site/equations.html, models.html, notation.html, museum.html, results.html
site/figures, sounds, downloads, static
"""

import json
import re
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jinja2

from minae import __version__, chapters, files
from minae.book import equations, glossary, live, pages, search, source
from minae.book.prose import Writer, formula
from minae.errors import InputError

HERE = Path(__file__).parent
TABLES = "engine/index equations models notation museum results glossary index".split()  # the pages besides
GENERATED = b'<meta name="generator" content="minae'
PARTS = {
    "14": "Autoencoders", "15": "Representation learning", "C": "Codes", "A": "Applications"
}  # fmt: skip


class Site:
    """What all pages share: the templates, the sections, the runs, and what the search reads.

    each: is called after every page
    """

    def __init__(self, out: Path, runs: Path | None = None, each: Callable[[], Any] = lambda: None):
        self.out, self.runs_folder, self.each = out, runs, each
        self.runs = chapters.runs(runs) if runs else {}
        self.sections = chapters.sections()
        self.environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=False, trim_blocks=True, lstrip_blocks=True
        )
        self.environment.globals |= {
            "sections": self.sections, "parts_of_the_book": PARTS, "version": __version__,
            "more_pages": [("glossary.html", "Glossary")],
            "chapter": lambda number: number.split(".")[0],
        }  # fmt: skip
        self.links, self.below = pages.Links(self.sections), pages.Links(self.sections, "../")
        self.documents, self.pages = [], []  # what the search reads, and the addresses of what was written
        self.seconds, self.drawn = {}, {}  # by section, and by picture
        self.live = live.places()
        self.modules = [one for one in source.modules().values() if one.source.strip()]

    def __len__(self) -> int:
        """How many pages there will be."""
        return len(self.sections) + len(self.modules) + len(TABLES)

    def write(self, name: str, template: str, **context: Any) -> None:
        """A page.  name: its address from the root"""
        root = "../" * name.count("/")
        made = self.environment.get_template(template).render(root=root, page=name, **context)
        path = self.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        files.replace(path, made.encode())
        self.pages.append(name)
        self.each()

    def document(self, address: str, title: str, text: str, kind: str) -> None:
        """What the search finds: a part of a page with its title."""
        number = address.partition(".html")[0] if kind == "section" else ""
        self.documents.append(search.document(address, title, text, number, kind))

    def build(self) -> dict[str, Any]:
        """All pages. Returns what was written and how long it took."""
        started = time.perf_counter()
        self.out.mkdir(parents=True, exist_ok=True)
        self.static()
        self.drawn = self.pictures()
        for k, one in enumerate(self.sections):
            begun = time.perf_counter()
            before = self.sections[k - 1] if k else None
            after = self.sections[k + 1] if k + 1 < len(self.sections) else None
            self.section(one, before, after)
            self.seconds[one["number"]] = round(time.perf_counter() - begun, 3)
        self.engine()
        self.tables()
        self.glossary()
        self.index()
        self.search()
        self.clear()
        missing = [one["number"] for one in self.sections if one["number"] not in self.runs]
        return {
            "out": str(self.out), "pages": len(self.pages), "sections": len(self.sections), "without a run": missing,
            "seconds": round(time.perf_counter() - started, 1),
            "slowest section": max(self.seconds.values(), default=0),
            "bytes": sum(path.stat().st_size for path in self.out.rglob("*") if path.is_file()),
        }  # fmt: skip

    def static(self) -> None:
        """The style, the script, the fonts and what is vendored. All style is one page of CSS."""
        target = self.out / "static"
        shutil.copytree(HERE / "static", target, dirs_exist_ok=True)
        live.write(target)
        more = [path for path in sorted((HERE / "static").rglob("*.css")) if path.name != "style.css"]
        style = "\n".join(path.read_text(encoding="utf-8") for path in [HERE / "static" / "style.css", *more])
        files.replace(target / "style.css", style.encode())
        files.replace(target / "frame.js", glossary.frame_script().encode())

    def section(self, one: dict[str, Any], before: Any, after: Any) -> None:
        """The page of a section, its pictures and sounds, its script and its notebook."""
        number = one["number"]
        folder, result = self.runs.get(number, (None, None))
        live = [part for part in self.live if part["section"] == number]
        page = pages.section(one, result, self.links, live)
        for part in page["parts"]:
            if part["kind"] == "prose":
                part["html"] = glossary.mark(part["html"], number)
        pictures = {file: picture for (section, file), picture in self.drawn.items() if section == number}
        sounds = pages.audio(folder, self.out, number) if folder else []
        downloads = self.downloads(one)
        self.write(f"{number}.html", "section.html", **page, pictures=pictures, sounds=sounds, downloads=downloads,
                   before=before, after=after, title=f"{number} {one['title']}")  # fmt: skip
        title, address, text = f"{number} {one['title']}", f"{number}.html", []
        anchors = iter(page["outline"])
        for line in "\n".join(page["texts"]).splitlines():
            if line.startswith("## "):
                self.document(address, title, "\n".join(text), "section")
                anchor, _ = next(anchors)
                words = re.split(r" {3,}", line[3:])[0]
                title, address, text = f"{number} {words}", f"{number}.html#{anchor}", []
            else:
                text.append(line)
        self.document(address, title, "\n".join(text), "section")

    def pictures(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Writes the pictures of all runs. (section, its file) -> its address in the site, width and height"""
        from PIL import Image

        found = {}
        for number, (folder, result) in self.runs.items():
            for figure in result["figures"]:
                path, address = folder / figure["file"], f"figures/{number}/{Path(figure['file']).stem}.webp"
                if path.is_file():
                    found[number, figure["file"]] = path, self.out / address, address

        def write(path, target, address):
            if not target.is_file() or target.stat().st_mtime < path.stat().st_mtime:
                target.parent.mkdir(parents=True, exist_ok=True)
                files.replace(target, chapters.small(path.read_bytes(), webp=True))
            with Image.open(target) as opened:
                return {"address": address, "width": opened.width, "height": opened.height}

        with ThreadPoolExecutor() as pool:
            return dict(zip(found, pool.map(write, *zip(*found.values(), strict=True)), strict=True)) if found else {}

    def downloads(self, one: dict[str, Any]) -> list[tuple[str, str]]:
        """The script, and the notebook where jupytext is here."""
        folder = self.out / "downloads"
        folder.mkdir(parents=True, exist_ok=True)
        name = one["path"].name
        shutil.copyfile(one["path"], folder / name)
        found = [("script, .py", f"downloads/{name}")]
        notebook = folder / f"{one['path'].stem}.ipynb"
        if not notebook.is_file() or notebook.stat().st_mtime < one["path"].stat().st_mtime:
            try:
                import jupytext

                files.replace(notebook, jupytext.writes(chapters.notebook(one["path"]), fmt="ipynb").encode())
            except (ImportError, InputError):
                return found
        return [*found, ("notebook, .ipynb", f"downloads/{notebook.name}")]

    def engine(self) -> None:
        """A page for each module, and their list."""
        named = {}
        for function in equations.functions():
            named.setdefault(function.module.name, {})[function.name] = function.equations
        listed = []
        writer = Writer(self.below)
        for one in self.modules:
            page = pages.module(one, self.below, named.get(one.name, {}))
            self.write(one.page, "module.html", **page, title=one.name)
            first = re.split(r"\n\n| {4,}", one.docstring)[0].replace("\n", " ")
            listed.append((one, writer.inline(first)))
            self.document(one.page, one.name, one.docstring, "engine")
            for name, node in one.defined.items():
                docstring = equations.docstring_of(node) if hasattr(node, "body") else ""
                if docstring and not name.startswith("_"):
                    self.document(f"{one.page}#{name}", f"{name} · {one.name}", docstring, "engine")
        self.write("engine/index.html", "engine.html", listed=listed, title="The engine")

    def tables(self) -> None:
        """Equations, models, notation, museum, results."""
        index, figures = equations.index(), []
        for label, number, name in equations.figures(self.sections):
            drawn = number in self.runs and any(one["name"] == name for one in self.runs[number][1]["figures"])
            figures.append((label, number, name, f"#figure-{name}" if drawn else ""))
        writer = Writer(self.links)
        for row in index:
            row["html"] = formula(row["formula"], True) if row["formula"] else ""
            row["functions"] = [(one, writer.inline(one.summary)) for one in row["functions"]]
            self.document(f"equations.html#eq-{row['number']}", f"({row['number']})", row["formula"], "equation")
        self.write("equations.html", "equations.html", index=index, figures=figures,
                   functions=equations.functions(), title="Equations")  # fmt: skip
        bench = None
        for path in (
            [self.runs_folder / "bench.json", self.runs_folder / "bench" / "bench.json"] if self.runs_folder else []
        ):
            bench = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else bench
        self.write("models.html", "models.html", models=pages.models(self.links, bench), bench=bench, title="Models")
        path = Path(source.modules()["minae"].path).parent / "NOTATION.md"
        table = pages.notation(path.read_text(encoding="utf-8"), self.links, self.sections)
        self.write("notation.html", "notation.html", **table, title="Notation")
        for number, row in enumerate(table["rows"], 1):
            self.document(f"notation.html#symbol-{number}", f"Notation: {row['name']}", row["text"], "symbol")
        marks = None
        if "14.0" in self.runs and (self.runs["14.0"][0] / "faults.json").is_file():
            marks = json.loads((self.runs["14.0"][0] / "faults.json").read_text(encoding="utf-8"))
        museum = pages.museum(self.links, marks)
        self.write("museum.html", "museum.html", **museum, run=self.runs.get("14.0"), title="A museum of faults")
        for one in museum["faults"]:
            text = f"A fault that was seen in {one['seen']}. {one['docstring']}"
            self.document(f"museum.html#{one['anchor']}", one["plain"], text, "fault")
        rows = []
        for one in self.sections:
            result = self.runs.get(one["number"], (None, None))[1]
            made = _cells_of(result) if result else []
            everything = [pages.outputs(result, cell, made[-1], writer) for cell in made]
            rows.append((one, result, everything))
        self.write("results.html", "results.html", rows=rows, title="Results")

    def glossary(self) -> None:
        """The terms of the field in three ways of writing."""
        writer = Writer(self.links)
        letters = [
            (letter, [(term, writer.inline(term.definition), writer.inline(term.note)) for term in found])
            for letter, found in glossary.letters()
        ]
        self.write("glossary.html", "glossary.html", letters=letters, count=len(glossary.terms()), title="Glossary")

    def index(self) -> None:
        """The first page, with the table of contents."""
        writer, contents = Writer(self.links), []
        for one in self.sections:
            page = source.script(one["path"]).docstring
            text = pages.METADATA.sub("", page.partition("\n")[2]).strip().split("\n\n")[0].replace("\n", " ")
            first = re.match(r".{25,260}?[.?!:](?= |$)", text)
            contents.append(
                (one, writer.inline((first[0] if first else text[:200]).rstrip(":")), one["number"] in self.runs)
            )
        cover = "figures/14.5.1/vector_field.webp"
        self.write("index.html", "index.html", contents=contents, title="Contents",
                   cover=cover if (self.out / cover).is_file() else None)  # fmt: skip

    def search(self) -> None:
        """What the search reads: one classic script, which the page loads when a reader begins to type."""
        search.write(self.documents, self.out / "static" / "search-index.js")

    def clear(self) -> None:
        """Pages that an earlier build wrote here, of what is no longer there, go. What is not on its list stays."""
        written = self.out / "static" / "pages.json"
        try:
            former = set(json.loads(written.read_text(encoding="utf-8")))
        except (OSError, ValueError):  # no list, or none that can be read: then nothing goes
            former = set()
        for name in former - set(self.pages):
            path = self.out / name
            if path.is_file() and GENERATED in path.read_bytes()[:1000]:
                path.unlink()
        files.replace(written, json.dumps(self.pages).encode())


def _cells_of(result):
    return sorted({one["cell"] for kind in ("numbers", "claims", "guards", "figures") for one in result[kind]})

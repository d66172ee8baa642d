"""What the pages hold: a section with its results, a module of the engine, and the tables of the whole project."""

import ast
import html
import re
import shutil
import statistics
from pathlib import Path
from typing import Any

from minae import options
from minae.book import equations, source
from minae.book.cells import cells
from minae.book.maths import tokens
from minae.book.prose import Writer, formula
from minae.chapters import section as scripts
from minae.chapters.ch14 import safeguards
from minae.chapters.ch14.faults import FAULTS
from minae.models import registry

KINDS = ("number", "claim", "guard", "figure")  # of the records of a run
METADATA = re.compile(r"^(?:Equations|Figures|Data): .*(?:\n(?!\n).*)*?(?=\n\w+: |\n\n|\Z)", re.MULTILINE)


class Links:
    """Addresses, from the root of the site.  root: what leads there from the page, "" or "../" """

    def __init__(self, sections: Any, root: str = ""):
        self.root, self.sections = root, {section["number"]: section for section in sections}
        self.equations = equations.known()
        self.files = {}
        for module in source.modules().values():
            self.files.setdefault(module.path.name, []).append(module.page)
        self.shown = {module.shown: module.page for module in source.modules().values()}

    def name(self, text: str) -> str | None:
        word = re.sub(r"\(.*\)$", "", text)
        if not re.fullmatch(r"[A-Za-z_][\w.]*", word):
            return None
        found = source.whereabouts(word) if word.startswith("minae") else None
        if found is None and ("_" in word or word != word.lower() or "(" in text or "." in word):
            found = source.unique().get(word) or ("." in word and source.whereabouts(f"minae.{word}")) or None
        return found and self.root + found

    def path(self, text: str) -> str | None:
        text = text.rstrip(".")
        if text.endswith("NOTATION.md"):
            return self.root + "notation.html"
        for section in self.sections.values():
            if text.endswith(section["path"].name):
                return f"{self.root}{section['number']}.html" + "#solution" * ("solutions/" in text)
        if "/" not in text:
            pages = self.files.get(text, [])
            return self.root + pages[0] if len(pages) == 1 else None
        name = text if text.endswith(".py") else f"{text}.py"
        page = self.shown.get(name) or self.shown.get(f"{text}/__init__.py")
        return page and self.root + page

    def section(self, number: str) -> str | None:
        return f"{self.root}{number}.html" if number in self.sections else None

    def equation(self, number: str) -> str | None:
        return f"{self.root}equations.html#eq-{number}" if number in self.equations else None


def slug(text: str) -> str:
    """A heading as the name of an anchor."""
    words = re.sub(r"<[^>]+>", "", text)
    return re.sub(r"[^\w]+", "-", html.unescape(words).lower()).strip("-") or "part"


def headings(made: str, taken: set) -> tuple[str, list[tuple[str, str]]]:
    """The HTML with an anchor at each heading, and the headings: [(anchor, HTML of the heading), …]."""
    found = []

    def anchored(match):
        name = slug(match[2])
        while name in taken:
            name += "-2"
        taken.add(name)
        if match[1] == "2":
            found.append((name, re.sub(r"</?a\b[^>]*>", "", match[2])))  # it becomes a link itself
        return f'<h{match[1]} id="{name}">{match[2]}</h{match[1]}>'

    return re.sub(r"<h([2-4])>(.*?)</h\1>", anchored, made, flags=re.DOTALL), found


def section(one: dict[str, Any], result: dict[str, Any] | None, links: Links, live: list) -> dict[str, Any]:
    """The page of a section: its parts in order, each with the results of its cell."""
    writer, script = Writer(links), source.script(one["path"])
    parts, texts = [], []  # the cells as HTML, and as text for the search
    outline, taken = [], set()  # headings, and the anchors that are in use
    script_cells = cells(one["path"])
    last = max(cell.number for cell in script_cells)
    for cell in script_cells:
        if cell.kind == "prose":
            text = cell.text
            if cell.number == 0:
                text = METADATA.sub("", text.partition("\n")[2])
            made, found = headings(writer.text(text, entries=False), taken)
            outline += found
            texts.append(text)
            parts.append({"kind": "prose", "html": made, "number": cell.number})
        else:
            made = source.highlight(cell.text, script, links.root)
            part = {"kind": "code", "html": made, "number": cell.number, "line": cell.line}
            parts.append(part | outputs(result, cell.number, last, writer))
        parts[-1]["live"] = [part for part in live if part.get("cell") == cell.number]
    solutions = []
    path = one["path"].parent.parent / "solutions" / one["path"].name
    if path.is_file():
        solutions.append(solution(path, links))
    return {
        "section": one,
        "parts": parts,
        "outline": outline,
        "result": result,
        "stale": stale(result, one["path"].read_text(encoding="utf-8").splitlines()),
        "solutions": solutions,
        "texts": texts,
        "live": [part for part in live if part.get("cell") not in [cell.number for cell in script_cells]],
        "equations": sorted(
            {
                label
                for cell in script_cells
                if cell.kind == "prose"
                for label in re.findall(r"\((1[45]\.\d+)\)", cell.text)
            },
            key=lambda label: [int(word) for word in label.split(".")],
        ),
    }


def stale(result: dict[str, Any] | None, lines: list[str]) -> bool:
    """Whether a run is of another version of the script: one of its records comes from a line that makes none, counted
    from the beginning of its cell."""
    starts = [k for k, text in enumerate(lines) if text.startswith("# %%")]
    parts = [lines[a:b] for a, b in zip([0, *starts], [*starts, None], strict=True)]  # each from its `# %%` on

    def made(kind, one):
        cell, line = one.get("within", (None, one["line"] - 1))  # a run in a notebook does not tell
        part = lines if cell is None else parts[cell] if cell < len(parts) else []
        return line < len(part) and f"section.{kind}(" in part[line]

    return not all(made(kind, one) for kind in KINDS for one in (result or {}).get(f"{kind}s", []))


def outputs(result: Any, number: int, last: int, writer: Writer) -> dict[str, Any]:
    """The numbers, claims, guards and figures that a run left at a cell; those of a lost cell stand at the last one."""
    if result is None:
        return {}

    def here(records):
        return [one for one in records if one["cell"] == number or (number == last < one["cell"])]

    found = {f"{kind}s": here(result.get(f"{kind}s", [])) for kind in KINDS}
    rows = []
    for n in found["numbers"]:
        values = n["values"]
        rows.append({
            "name": writer.inline(n["name"]), "of": writer.inline(n.get("of", "")), "mean": short(n["mean"]),
            "range": f"{short(min(values))} to {short(max(values))}" if len(values) > 1 else "",
            "published": writer.inline(n.get("published", "")),
        })  # fmt: skip
    for k, row in enumerate(rows):  # a name that stands in several rows is written once
        row["first"] = k == 0 or rows[k - 1]["name"] != row["name"]
        row["span"] = 1
        while row["first"] and k + row["span"] < len(rows) and rows[k + row["span"]]["name"] == row["name"]:
            row["span"] += 1
    verdicts = []
    for kind in ("claim", "guard"):
        for c in found[f"{kind}s"]:
            verdicts.append({
                "kind": kind, "text": writer.inline(c[kind]), "value": short(c["value"]), "holds": c["holds"],
                "relation": {"<=": "≤", ">=": "≥"}.get(c["relation"], c["relation"]), "bound": short(c["bound"]),
            })  # fmt: skip
    figures = [one | {"html": writer.inline(one["caption"])} for one in found["figures"]]
    return {"numbers": rows, "verdicts": verdicts, "figures": figures,
            "ranges": any(row["range"] for row in rows), "published": any(row["published"] for row in rows),
            "of": any(row["of"] for row in rows)}  # fmt: skip


def short(value: float) -> str:
    """Four digits, with a real minus sign, and powers of ten as such."""
    text = f"{value:.4g}"
    if "e" in text:
        digits, power = text.split("e")
        return f"{digits} × 10<sup>{int(power)}</sup>".replace("-", "−")
    return text.replace("-", "−")


def solution(path: Path, links: Links) -> dict[str, Any]:
    """The script that solves an exercise, as prose and code."""
    writer, script, parts = Writer(links), source.script(path), []
    for cell in cells(path):
        if cell.kind == "prose":
            text = cell.text
            if cell.number == 0:
                title, _, text = text.partition("\n")
            parts.append({"kind": "prose", "html": re.sub(r"<(/?)h2>", r"<\1h4>", writer.text(text))})
        else:
            parts.append({"kind": "code", "html": source.highlight(cell.text, script, links.root)})
    words = re.search(r", (exercise \d+):? *(.*)", title)
    return {
        "title": writer.inline(": ".join(words.groups()).strip(": ") if words else title),
        "parts": parts,
        "path": path,
    }


def module(one: source.Module, links: Links, named: dict[str, list[str]]) -> dict[str, Any]:
    """The page of a module: its docstrings typeset, each above its source."""
    writer, parts, taken = Writer(links), [], set()
    first, _, rest = one.docstring.partition("\n\n")  # a sentence, and no entry, even with a colon in it
    intro, _ = headings(_below(writer.text(first) + writer.text(rest, entries=True)), taken)
    constants = {name for name, node in one.defined.items() if isinstance(node, ast.Assign | ast.AnnAssign)}
    for kind, name, node, text, line in source.pieces(one):
        code = source.highlight(text, one, links.root, constants if kind == "code" else None)
        part = {"kind": kind, "name": name, "line": line, "code": code}
        if node is not None:
            docstring = equations.docstring_of(node)
            part["html"] = _below(writer.text(docstring, entries=True)) if docstring else ""
            part["equations"] = named.get(name, [])
            part["anchor"] = name if name not in taken else f"{name}-{line}"  # a property has a second method to set it
            taken.add(name)
            part["private"] = name.rpartition(".")[2].startswith("_") and not name.endswith("__")
        parts.append(part)
    return {"module": one, "intro": intro, "parts": parts, "equations": named.get("", [])}


def _below(made):
    """Headings of a docstring stand below those of the page."""
    return re.sub(r"<(/?)h[1-3]>", r"<\1h4>", made)


def models(links: Links, bench: dict[str, Any] | None) -> list[dict[str, Any]]:
    """A row for each model: where it is, its cost, terms, options, checks, and its speed where it was measured."""
    writer, speeds = Writer(links), {}
    for name, measured in (bench or {}).get("workloads", {}).items():
        ratios = measured.get("ratios", {}).get("minae / torch")
        if ratios:
            speeds.setdefault(measured.get("model"), []).append((name, statistics.median(ratios)))
    return [_model(name, kind, writer) | {"speeds": speeds.get(kind.__name__, [])} for name, kind in registry().items()]


GREEK = {"Omega": "Ω"}  # a term of the cost, as the code names it and as a formula does


def _model(name, kind, writer):
    first = (kind.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")
    words, _, cost = first.partition("     ")
    parts = [part for part in re.split(r" {2,}", cost.strip()) if part and not part.startswith("(")]
    links, declared = writer.links, options.of(kind).values()
    return {
        "name": name,
        "section": kind.section,
        "link": links.section(kind.section),
        "used": next((number for number, one in links.sections.items() if _names(one["path"], kind.__name__)), None),
        "address": links.root + source.whereabouts(f"{kind.__module__}.{kind.__name__}"),
        "words": writer.inline(words.strip()),
        "cost": " ".join(writer.inline(part) if "`" in part else formula(part) for part in parts),
        "terms": [
            writer.inline(GREEK.get(option.term, option.term)) for option in declared if getattr(option, "term", None)
        ],
        "options": [
            (key, writer.inline(str(option["doc"])), str(option["default"]))
            for key, option in options.described(kind).items()
        ],
        "checks": list(kind.cases),
    }


def _names(path, name):
    return re.search(rf"\b{name}\b", path.read_text(encoding="utf-8"))


LAYERS = {
    "1": "finite differences",
    "1 Jf": "the Jacobian written out",
    "2": "Monte Carlo, or an exact mean",
    "3": "effects: a weight, a step or a tie does what it is there for",
    "control": "a reversed gradient is noticed",
}


def museum(links: Links, marks: dict[str, dict[str, bool | None]] | None) -> dict[str, Any]:
    """The faults, each with who had it, the layer that catches it, and the source of what was changed.

    marks: what each layer said of each fault in a run of section 14.0, or None
    """
    writer, module = Writer(links), source.modules()["minae.chapters.ch14.faults"]
    faults = [_fault(fault, module, writer) | {"marks": (marks or {}).get(fault.name)} for fault in FAULTS]
    return {"faults": faults, "layers": LAYERS, "names": safeguards.LAYERS}


def _fault(fault, module, writer):
    lines, address = module.source.splitlines(), writer.links.root + module.page
    at = next(k for k, line in enumerate(lines) if f'"{fault.name}"' in line)
    words = re.findall(r"\b[A-Z]\w+\b", "\n".join(lines[at : at + 3]))
    changed = next((word for word in words if word in module.defined and word != "Fault"), None)
    found, text = "", lines[at + 1].strip()
    if changed:
        node, address = module.defined[changed], f"{address}#{changed}"
        found = writer.text(equations.docstring_of(node), entries=True)
        text = "\n".join(lines[node.lineno - 1 : node.end_lineno])
    return {
        "name": writer.inline(fault.name),
        "plain": fault.name,
        "docstring": equations.docstring_of(node) if changed else "",
        "anchor": slug(fault.name),
        "seen": fault.seen,
        "layer": fault.layer,
        "family": fault.family,
        "html": found,
        "code": source.highlight(text, module, writer.links.root),
        "address": address,
    }


def letters(text: str) -> set[str]:
    """The letters and words of the formulas of a text, for the table of symbols."""
    found = set()
    for line in text.splitlines():
        if re.match(r"    +\S", line) and re.search(r"[=∂Σ‖]|\(1[45]\.", line):
            for kind, token in tokens(line):
                if kind in ("letter", "word"):
                    found.add(token)
    return found


def notation(text: str, links: Links, sections: list[dict[str, Any]]) -> dict[str, Any]:
    """The table of symbols, and for each one the sections and modules in whose formulas it stands."""
    writer = Writer(links)
    before, rows, after = [], [], []
    uses = []
    for one in sections:
        prose = "\n".join(cell.text for cell in cells(one["path"]) if cell.kind == "prose")
        uses.append((one["number"], f"{links.root}{one['number']}.html", letters(prose)))
    for one in source.modules().values():
        if one.name.startswith("minae.models."):
            uses.append((one.name.removeprefix("minae."), links.root + one.page, letters(_all_docstrings(one))))
    for line in text.splitlines()[1:]:
        if not line.startswith("|"):
            (after if rows else before).append(line)
        elif not re.match(r"\| (symbol|---)", line):
            symbol, code, shape, meaning, other = (cell.strip() for cell in line.strip("|").split("|"))
            first = re.split(r"[,;=~]| of ", symbol)[0].strip()
            key = [token for kind, token in tokens(first) if kind in ("letter", "word") and token not in ("f", "d")][
                -1:
            ]
            used = [(name, address) for name, address, found in uses if key and key[0] in found]
            rows.append({"name": symbol, "text": f"{code} {meaning}. {other}", "symbol": formula(symbol),
                         "code": writer.inline(code), "shape": _shape(shape, writer),
                         "meaning": writer.inline(meaning), "other": writer.inline(other), "used": used})  # fmt: skip
    return {"before": writer.text("\n".join(before)), "rows": rows, "after": writer.text("\n".join(after))}


def _shape(text, writer):
    return formula(text) if text.startswith("(") and "or" not in text and "of" not in text else writer.inline(text)


def _all_docstrings(one):
    return "\n".join(docstring for _, docstring in scripts._docstrings(one.tree))


def audio(folder: Path, out: Path, number: str) -> list[tuple[str, str]]:
    """Copies the .wav files that a run left: [(name, address), …]."""
    found = []
    for path in sorted(folder.glob("*.wav")):
        target = out / "sounds" / number / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        found.append((path.stem.replace("_", " "), f"sounds/{number}/{path.name}"))
    return found

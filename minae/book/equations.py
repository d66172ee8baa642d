"""The index of equations, both ways: where an equation stands and is computed, and which equations a function names."""

import ast
import re
from functools import lru_cache
from typing import Any, NamedTuple

from minae import chapters
from minae.book import source
from minae.book.cells import cells
from minae.book.prose import NUMBERED
from minae.chapters import section as scripts


class Function(NamedTuple):
    """A function, class or module whose docstring names equations.  name: "" for the module itself"""

    module: source.Module
    name: str
    summary: str
    equations: list[str]

    @property
    def address(self) -> str:
        return self.module.page + (f"#{self.name}" if self.name else "")


@lru_cache(None)
def known() -> frozenset[str]:
    """The numbers of the equations that the index has."""
    return frozenset(chapters.equations())


@lru_cache(None)
def functions() -> list[Function]:
    """Everything in the engine that names an equation of the book, in the order of the modules."""
    found = []
    for module in source.modules().values():
        if module.name.startswith(("minae.book", "minae.chapters.section", "minae.chapters.notebook")):
            continue  # these speak of equations, and compute none
        for name, docstring in scripts._docstrings(module.tree):
            named = list(dict.fromkeys(scripts.named(docstring)))
            if named:
                first = re.split(r" {3,}|\n\n", docstring)[0].replace("\n", " ")
                found.append(Function(module, name, first, named))
    return found


def stands(sections: list[dict[str, Any]]) -> dict[str, list[tuple[str, str]]]:
    """Equation -> [(number of a section, the formula), …] where the equation stands on a line of its own."""
    found = {}
    for section in sections:
        for cell in cells(section["path"]):
            for line in cell.text.splitlines() if cell.kind == "prose" else ():
                match = NUMBERED.match(line.strip()) if re.match(r"    +\S", line) else None
                label = match and match[3]
                if label and all(number != section["number"] for number, _ in found.get(label, [])):
                    found.setdefault(label, []).append((section["number"], match[1]))
    return found


def index() -> list[dict[str, Any]]:
    """A dict for each equation of the book: number, formula, sections, functions."""
    sections = chapters.sections()
    where, computed = stands(sections), {}
    for function in functions():
        for number in function.equations:
            computed.setdefault(number, []).append(function)
    return [
        {
            "number": number,
            "formula": where[number][0][1] if number in where else "",
            "sections": [one for one, _ in where.get(number, [])],
            "functions": computed.get(number, []),
        }
        for number in sorted(known(), key=scripts.place)
    ]


def figures(sections: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """The figures of the book that a section draws anew: [(number of the figure, section, name of the picture), …]."""
    found = []
    for section in sections:
        for part in section["figures"].split(";"):
            for number in re.findall(r"\b(1[45]\.\d+)\b(?!\.)", part):
                found.append((number, section["number"], part.split("(")[0].strip()))
    return sorted(found, key=lambda row: scripts.place(row[0]))


def docstring_of(node: ast.AST) -> str:
    """The docstring of a function or class, or nothing."""
    return ast.get_docstring(node) or ""

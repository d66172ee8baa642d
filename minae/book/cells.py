"""A `# %%` script as cells, numbered as `results.json` numbers them: 1 is the first `# %%`, and 0 the docstring."""

import ast
import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple


class Cell(NamedTuple):
    """A part of a script.  kind: "prose" or "code";  number: 0 for the docstring;  line: its first line, from 1."""

    kind: str
    text: str
    number: int
    line: int


@lru_cache(None)
def cells(path: Path) -> list[Cell]:
    """The cells of a script, in order. Empty ones are left out, and the others keep their numbers."""
    source = path.read_text(encoding="utf-8")
    found = [Cell("prose", ast.get_docstring(ast.parse(source)), 0, 1)]
    parts = re.split(r"^# %%(.*)\n", source, flags=re.MULTILINE)
    start = parts[0].count("\n") + 1
    for number, (head, body) in enumerate(zip(parts[1::2], parts[2::2], strict=True), 1):
        first, text = start + 1, body.rstrip()
        start += 1 + body.count("\n")
        if "[markdown]" in head:
            text = "\n".join(re.sub(r"^# ?", "", line) for line in text.splitlines())
        else:
            first += len(text) - len(text.lstrip("\n"))
            text = text.lstrip("\n")
        if text.strip():
            found.append(Cell("prose" if "[markdown]" in head else "code", text, number, first))
    return found

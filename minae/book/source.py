"""The engine as data: its modules, what each defines, where each name leads, and its source with colours and links."""

import ast
import html
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from pygments.lexers import PythonLexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String

import minae
from minae import chapters, kernels

COLOURS = [(Comment, "c"), (String, "s"), (Number, "n"), (Keyword, "k"), (Operator.Word, "k"), (Name.Decorator, "d")]


@dataclass
class Module:
    """A file of the engine.  name: minae.models.contractive;  shown: minae/models/contractive.py"""

    name: str
    shown: str
    path: Path
    source: str
    tree: ast.Module
    defined: dict = field(default_factory=dict)  # name, or Class.method -> its node
    imported: dict = field(default_factory=dict)  # name -> what it stands for, with dots

    @property
    def page(self) -> str:
        return f"engine/{self.name}.html"

    @property
    def package(self) -> str:
        """The folder that the module stands in, as it is shown."""
        return self.shown.rpartition("/")[0]

    @property
    def docstring(self) -> str:
        return ast.get_docstring(self.tree) or ""


@lru_cache(None)
def modules() -> dict[str, Module]:
    """Every module of the engine, the kernels and the shared parts of the chapters, by name, in order of reading."""
    engine, kernel = Path(minae.__file__).parent, Path(kernels.__file__).parent
    chapter, found = Path(chapters.__file__).parent, {}
    for path in sorted(engine.rglob("*.py")):
        if not path.is_relative_to(kernel) and not path.is_relative_to(chapter) and "bench" not in path.parts:
            _add(found, path, "minae", path.relative_to(engine))
    for path in sorted(kernel.glob("*.py")):
        _add(found, path, "minae.kernels", path.relative_to(kernel))
    for path in sorted(chapter.rglob("*.py")):
        if path.parent.name != "solutions" and not re.match(r"(\d+|[A-Z])_\d", path.name):
            _add(found, path, "minae.chapters", path.relative_to(chapter))
    return found


def _add(found, path, package, relative):
    parts = [part for part in relative.with_suffix("").parts if part != "__init__"]
    name = ".".join([package, *parts])
    root = {"minae.kernels": "kernels", "minae.chapters": "chapters"}.get(package, "minae")
    source = path.read_text(encoding="utf-8")
    module = Module(name, f"{root}/{relative.as_posix()}", path, source, ast.parse(source))
    names(module)
    found[name] = module


def names(module: Module) -> Module:
    """Fills in what a module defines and what it imports."""
    for node in module.tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            module.defined[node.name] = node
            if isinstance(node, ast.ClassDef):
                methods = [one for one in node.body if isinstance(one, ast.FunctionDef)]
                module.defined |= {f"{node.name}.{one.name}": one for one in methods}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            module.defined |= {one.id: node for one in targets if isinstance(one, ast.Name)}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith("minae")):
            package = module.name if module.path.stem == "__init__" else module.name.rpartition(".")[0]
            for _ in range(node.level - 1):
                package = package.rpartition(".")[0]
            source = ".".join(filter(None, [package, node.module])) if node.level else node.module
            module.imported |= {alias.asname or alias.name: f"{source}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            module.imported |= {
                alias.asname or "minae": alias.name if alias.asname else "minae"
                for alias in node.names
                if alias.name.startswith("minae")
            }
    return module


def script(path: Path) -> Module:
    """A script of a chapter, with what it defines and imports."""
    source = path.read_text(encoding="utf-8")
    return names(Module(path.stem, path.name, path, source, ast.parse(source)))


@lru_cache(None)
def whereabouts(dotted: str, depth: int = 0) -> str | None:
    """The address of what is called `dotted`, through the modules that import it again; None for a stranger."""
    known = modules()
    if dotted in known:
        return known[dotted].page
    parts = dotted.split(".")
    for k in range(len(parts) - 1, 0, -1):
        module = known.get(".".join(parts[:k]))
        if module is None:
            continue
        rest = ".".join(parts[k:])
        if rest in module.defined:
            return f"{module.page}#{rest}"
        if parts[k] in module.imported and depth < 6:
            return whereabouts(".".join([module.imported[parts[k]], *parts[k + 1 :]]), depth + 1)
        if parts[k] in module.defined:
            return f"{module.page}#{parts[k]}"
        return unique().get(rest) if k == 1 else None  # `minae` exports all models, whose names are unique
    return None


@lru_cache(None)
def unique() -> dict[str, str]:
    """Names of classes and functions that one module alone defines -> address."""
    found = {}
    for module in modules().values():
        for name, node in module.defined.items():
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not name.startswith("_"):
                found.setdefault(name, []).append(f"{module.page}#{name}")
    return {name: places[0] for name, places in found.items() if len(places) == 1}


def highlight(text: str, module: Module, root: str, constants: set[str] | None = None) -> str:
    """Source as HTML: a span for each keyword, string, number and comment, a link for each name of the engine.

    constants: names that get an anchor where a line begins with them; each is taken out when it has one
    """
    out, before, chain = [], "\n", None
    for kind, value in PythonLexer(stripnl=False, ensurenl=False).get_tokens(text):
        shown = html.escape(value, quote=False)
        colour = next((name for token, name in COLOURS if kind in token), None)
        if kind in Name and colour is None:
            if constants and value in constants and before.endswith("\n"):
                constants.discard(value)
                shown = f'<span id="{value}">{shown}</span>'
            address, chain = _address(value, before, chain, module)
            out.append(f'<a href="{root}{address}">{shown}</a>' if address else shown)
        else:
            chain = chain if value == "." else None
            out.append(f'<i class="{colour}">{shown}</i>' if colour and value.strip() else shown)
        before = value if value.strip() or "\n" in value else before
    return "".join(out)


def _address(name, before, chain, module):
    """Where a name leads, and what it stands for, for the names behind its dots."""
    if before == ".":
        dotted = f"{chain}.{name}" if chain else None
        return (whereabouts(dotted) if dotted else None), dotted
    if before in ("def", "class"):
        return None, None
    if name in module.imported:
        dotted = module.imported[name]
        return whereabouts(dotted), dotted
    if module.name.startswith("minae") and isinstance(module.defined.get(name), ast.FunctionDef | ast.ClassDef):
        return f"{module.page}#{name}", f"{module.name}.{name}"
    return None, name if name == "minae" else None


def pieces(module: Module) -> list[tuple[str, str, ast.AST | None, str, int]]:
    """A module in the order of its text, [(kind, name, node, source without docstring, line), …].

    kind: "code" for lines between definitions, "function", "class" (its head and attributes) or "method"
    """
    lines = module.source.splitlines()
    out, at = [], 0
    if module.docstring:
        at = module.tree.body[0].end_lineno
    for node in module.tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        first = min([node.lineno, *(one.lineno for one in node.decorator_list)]) - 1
        while first > at and lines[first - 1].startswith("#"):
            first -= 1
        _code(out, lines, at, first)
        if isinstance(node, ast.FunctionDef):
            out.append(("function", node.name, node, _without_docstring(lines, node, first), first + 1))
        else:
            _class(out, lines, node, first)
        at = node.end_lineno
    _code(out, lines, at, len(lines))
    return out


def _class(out, lines, node, first):
    methods = [one for one in node.body if isinstance(one, ast.FunctionDef)]
    starts = [min([one.lineno, *(d.lineno for d in one.decorator_list)]) - 1 for one in methods]
    end = starts[0] if starts else node.end_lineno
    out.append(("class", node.name, node, _without_docstring(lines, node, first, end), first + 1))
    for k, (one, start) in enumerate(zip(methods, starts, strict=True)):
        stop = starts[k + 1] if k + 1 < len(starts) else node.end_lineno
        name = f"{node.name}.{one.name}"
        out.append(("method", name, one, _without_docstring(lines, one, start, stop), start + 1))


def _without_docstring(lines, node, first, end=None):
    end, body = end or node.end_lineno, node.body[0]
    kept = list(range(first, end))
    if isinstance(body, ast.Expr) and isinstance(body.value, ast.Constant) and isinstance(body.value.value, str):
        one_line = body.lineno == node.lineno
        kept = [k for k in kept if one_line or not body.lineno - 1 <= k < body.end_lineno]
    text = [lines[k] for k in kept]
    margin = min((len(line) - len(line.lstrip()) for line in text if line.strip()), default=0)
    return re.sub(r"\n{2,}", "\n\n", "\n".join(line[margin:] for line in text)).strip("\n")


def _code(out, lines, at, end):
    text = "\n".join(lines[at:end]).strip("\n")
    if text.strip():
        first = at + 1 + next(k for k, line in enumerate(lines[at:end]) if line.strip())
        out.append(("code", "", None, re.sub(r"\n{3,}", "\n\n", text), first))

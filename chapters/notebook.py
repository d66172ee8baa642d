"""A section's script as a Jupyter notebook, its formulas typeset: `minae notebook 14.1`.

A script writes formulas in Unicode, so that they can be read in an editor: in its docstring and in markdown cells a
formula stands on a line of its own, indented by four, and an equation's number stands at the end of that line. Here
such a line becomes LaTeX between dollars, and the docstring becomes the first markdown cell. The reader of formulas is
that of `minae.book.maths`, which the site of the book shares.
"""

import ast
import re
from pathlib import Path
from typing import Any

from minae.book.maths import ACCENTS, HIGH, LOW, tokens
from minae.errors import InputError

HATS = {"^": "hat", "~": "tilde", "¯": "bar"}
FUNCTIONS = {"log", "exp", "min", "max", "det", "arg"}  # those that LaTeX has
SYMBOLS = {
    "α": r"\alpha", "β": r"\beta", "γ": r"\gamma", "δ": r"\delta", "ε": r"\epsilon", "η": r"\eta", "θ": r"\theta",
    "κ": r"\kappa", "λ": r"\lambda", "μ": r"\mu", "ν": r"\nu", "ξ": r"\xi", "π": r"\pi", "ρ": r"\rho", "σ": r"\sigma",
    "τ": r"\tau", "φ": r"\phi", "Ω": r"\Omega", "Σ": r"\sum", "Π": r"\prod", "Γ": r"\Gamma", "∇": r"\nabla",
    "∂": r"\partial", "√": r"\surd", "∞": r"\infty", "ℓ": r"\ell", "‖": r"\Vert", "∣": r"\mid", "|": r"\vert",
    "×": r"\times", "·": r"\cdot", "⊙": r"\odot", "∘": r"\circ", "≈": r"\approx", "≤": r"\le", "≥": r"\ge", "≠": r"\ne",
    "∈": r"\in", "→": r"\to", "←": r"\leftarrow", "↦": r"\mapsto", "±": r"\pm", "½": r"\tfrac12", "¼": r"\tfrac14",
    "…": r"\dots", "−": "-", "′": "'", "~": r"\sim", "{": r"\{", "}": r"\}", "%": r"\%", "#": r"\#", "&": r"\&",
    "Φ": r"\Phi",
}  # fmt: skip


def latex(formula: str) -> str:
    r"""A formula in Unicode as LaTeX.     "‖∂f(x)/∂x‖²_F" -> r"\Vert\partial f(x)/\partial x\Vert^{2}_{F}" """
    found = []
    for kind, text in tokens(formula):
        if kind in ("up", "high"):
            inner = "".join(HIGH[c] for c in text).replace("−", "-") if kind == "up" else latex(_inside(text[1:]))
            found.append(f"^{{{inner}}}")
        elif kind in ("down", "low"):
            inner = "".join(LOW[c] for c in text) if kind == "down" else _below(_inside(text[1:]))
            found.append(f"_{{{inner}}}")
        elif kind == "word":
            found.append(rf"\{text} " if text in FUNCTIONS else rf"\mathrm{{{text}}}" if len(text) > 2 else text)
        elif kind == "letter" and len(text) > 1:
            found.append(rf"\{HATS[ACCENTS[text[1]]]}{{{SYMBOLS.get(text[0], text[0])}}}")
        elif kind == "gap":
            found.append(r"\qquad ")
        elif kind == "prime":
            found.append("'" * len(text))
        else:
            symbol = SYMBOLS.get(text, text)
            found.append(symbol + " " * (symbol.startswith("\\") and symbol[-1].isalpha()))
    return re.sub(r" +", " ", "".join(found)).strip()


def _inside(text):
    return text[1:-1] if text[0] == "{" else text


def _below(text):
    return rf"\mathrm{{{text}}}" if re.fullmatch(r"[a-zA-Z]{2,}", text) else latex(text)


def typeset(text: str) -> str:
    """Markdown whose formulas, the lines that are indented by four, are displayed between dollars."""
    lines = []
    for line in text.splitlines():
        if not re.match(r"    +\S", line):
            lines.append(line)
            continue
        formula, _, number = re.fullmatch(r" +(.*?)( +\(((?:\d+|[A-Z])\.\d+)\))?", line).groups()
        lines += ["", f"$${latex(formula)}" + rf" \tag{{{number}}}" * bool(number) + "$$", ""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def notebook(path: Path) -> Any:
    """The notebook of a script, as nbformat has it: prose and code, no results."""
    try:
        import jupytext
    except ImportError:
        raise InputError("a notebook is made by jupytext, which is not here: pip install -e '.[notebook]'") from None
    source = path.read_text(encoding="utf-8")
    made = jupytext.reads(source, fmt="py:percent")
    docstring = ast.get_docstring(ast.parse(source))
    title, _, text = docstring.partition("\n")
    made.cells[0].cell_type, made.cells[0].source = "markdown", f"# {title}\n{text}"
    for name in ("outputs", "execution_count"):
        made.cells[0].pop(name, None)
    for cell in made.cells:
        if cell.cell_type == "markdown":
            cell.source = typeset(cell.source)
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return made

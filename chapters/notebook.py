"""A section's script as a Jupyter notebook, its formulas typeset: `minae notebook 14.1`.

A script writes formulas in Unicode, so that they can be read in an editor: in its docstring and in markdown cells a
formula stands on a line of its own, indented by four, and an equation's number stands at the end of that line. Here
such a line becomes LaTeX between dollars, and the docstring becomes the first markdown cell.
"""

import ast
import re
import unicodedata
from pathlib import Path
from typing import Any

from minae.errors import InputError

SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ᵀⁱⁿ", "0123456789+-Tin")
SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉ᵢⱼₖₙ", "0123456789ijkn")
ACCENTS = {"\u0302": "hat", "\u0303": "tilde", "\u0304": "bar", "\u0305": "bar"}
FUNCTIONS = {"log", "exp", "min", "max", "det", "arg"}
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
TOKEN = re.compile(
    r"(?P<up>[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ᵀⁱⁿ]+)|(?P<down>[₀₁₂₃₄₅₆₇₈₉ᵢⱼₖₙ]+)|(?P<low>_(?:\{[^}]*\}|\w[\u0302-\u0305]?\w*))"
    r"|(?P<high>\^(?:\{[^}]*\}|\w))|(?P<word>[a-zA-Z]{2,})|(?P<letter>[^\W\d_][\u0302-\u0305]?)|(?P<gap> {2,})"
    r"|(?P<other>.)"
)


def latex(formula: str) -> str:
    r"""A formula in Unicode as LaTeX.     "‖∂f(x)/∂x‖²_F" -> r"\Vert\partial f(x)/\partial x\Vert^{2}_{F}" """
    found = []
    apart = unicodedata.normalize("NFD", formula).replace("=\u0338", "≠")  # letters and their accents
    for match in TOKEN.finditer(apart):
        kind, text = match.lastgroup, match.group()
        if kind in ("up", "high"):
            inner = text.translate(SUPERSCRIPTS) if kind == "up" else latex(text[1:].strip("{}"))
            found.append(f"^{{{inner}}}")
        elif kind in ("down", "low"):
            inner = text.translate(SUBSCRIPTS) if kind == "down" else _below(text[1:].strip("{}"))
            found.append(f"_{{{inner}}}")
        elif kind == "word":
            found.append(rf"\{text} " if text in FUNCTIONS else rf"\mathrm{{{text}}}" if len(text) > 2 else text)
        elif kind == "letter" and len(text) > 1:
            found.append(rf"\{ACCENTS[text[1]]}{{{SYMBOLS.get(text[0], text[0])}}}")
        elif kind == "gap":
            found.append(r"\qquad ")
        else:
            symbol = SYMBOLS.get(text, text)
            found.append(symbol + " " * (symbol.startswith("\\") and symbol[-1].isalpha()))
    return re.sub(r" +", " ", "".join(found)).strip()


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

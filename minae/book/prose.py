"""Prose with formulas in Unicode as HTML: markdown, lines that are indented by four, and formulas within sentences.

A run of indented lines is a display: formulas, or a table whose columns are parted by spaces, or code. In a sentence a
formula has no mark of its own, so it is recognised: a single letter, a Greek one, a sign such as ∂, an index.
"""

import html
import re
from functools import lru_cache
from typing import Any

from markdown_it import MarkdownIt

from minae.book import maths

LABEL = r"(?:\d+|[A-Z])\.\d+(?:\.\d+)?"
NUMBERED = re.compile(rf"^(.*?\S)\s+\((({LABEL})(?:[;, –][^()]*)?|[A-Z][^()]*\d{{4}}\w?[^()]*|section [^()]*)\)$")
REFERENCE = re.compile(
    rf"\b([Ss]ections?|[Ff]igures?|[Ee]quations?|[Cc]hapters?)(\s+)((?:{LABEL})(?:(?:, | and |–| to )(?:{LABEL}))*)"
)
CODE = re.compile(
    r"^(import |from \S+ import|@\w|def |print\(|minae [a-z]+ |\$ |FORMS\[|PAGES\[)|\w\.\w+\(|^\{\"|= \w+\(\""
)
LETTER = r"[^\W\d_](?:[\u0302\u0303\u0304\u0305])?"
SIGN = "α-ωΓΔΘΛΞΠΣΦΨΩ∂∇√∫∞‖≤≥≠≈∈∉∝⊙∘±·⋅ℓ½¼∣⟨⟩⌊⌋ℝ" + "".join(maths.HIGH) + "".join(maths.LOW)
MARKS = [  # of a word that belongs to a formula
    rf"[{SIGN}\u0302\u0303\u0304]",
    rf"^[\[(]*{LETTER}(?:[_^′'(\[*]|$)",  # h, h_j, f(x), x[t], h*
    r"^[\[(]*(?:Jf|d[AEHKLPQRSUVWXYZabehlmpqrstuvwxyz])(?:[_^′'(]|$)",  # Jf, dW
    r"\w_[\w{]|\d\^",  # p_model, 2^L
    r"^[=<>+−~←→↦×|/−]+$",
    r"^[−(]+[\dA-Za-z]\)*$",  # −1, (N
    r"[A-Za-z]{2,}\(\w(?:[ ,)|(]|$)|^N\(|^(?:KL|Cov|Var)[(\[]",  # softmax(s), N(0, I)
    r"^[−(]*\|[A-Za-z(]",  # |h|
    r"^[(−]*[b-zA-Z\d]/\(?[A-Za-z](?![a-z])|^[b-z]/\d|^[−(]*\d/[A-Zα-ω]",  # k/n, x/255, 1/B
]
STRONG = re.compile("|".join(MARKS))
FUNCTION = re.compile(r"^[−(\[]*(?:log|exp|min|max|argmin|argmax|tr|diag|sin|cos|tanh|det|sign|KL|Var|mean|softmax)$")
OPERATOR = re.compile(r"^(?:[=<>+−~≤≥≠≈∈∝·×⊙∘±←→↦|∣/]|‖)$")
NUMBER = re.compile(r"^[(\[−]*\d+(?:\.\d+)?(?:e-?\d+)?%?[)\]]*$")
SYMBOL = re.compile(r"^\(?(?:Jf|d[AEHKLPQRSUVWXYZabehlmpqrstuvwxyz])['’s.,;:!?)]*$")  # d and a letter, but "do"
NAME = re.compile(
    r"^[\[(]*[A-Za-z]{3,}_\w+[.,;:)]*$|^\([a-f]\)[.,;:]*$"
)  # a name of code that has no marks, or (a) of a list
ARTICLES = {"a", "A", "I", "(a", "(A"}
PLAIN = re.compile(r"^[A-Za-z][a-z]+(?:[-'’][a-z]+)*[.,;:!?)]*$|^\(?[a-z]{2,}$|^[A-Za-z]\.$|^–$|^\d{4}\)?[.,;]?$")
NAMES = re.compile(r"(?:[\w-]+ (?:and|or) )?[\w-]*[A-Z]{3,}")  # of methods, such as PCA, or t-SNE and UMAP
_markdown = MarkdownIt("commonmark", {"html": False}).enable("table")


@lru_cache(None)
def formula(text: str, display: bool = False) -> str:
    """The formula as MathML, made once."""
    return maths.mathml(text, display)


class Writer:
    """Turns texts into HTML.

    links: has `name`, `path`, `section` and `equation`, each of which gives the address of what it is called, or None
    """

    def __init__(self, links: Any):
        self.links, self.kept, self.seen = links, [], set()

    # inline -----------------------------------------------------------------------------------------------------

    def _keep(self, made):
        self.kept.append(made)
        return f"\ue000{len(self.kept) - 1}\ue001"

    def _put_back(self, made):
        while "\ue000" in made:
            made = re.sub(r"\ue000(\d+)\ue001", lambda match: self.kept[int(match[1])], made)
        return made

    def inline(self, text: str) -> str:
        """A sentence or a few words as HTML, without a paragraph around them."""
        made = self._put_back(_markdown.renderInline(self._marked(text)))
        self.kept.clear()
        return made

    def markdown(self, text: str) -> str:
        """Paragraphs, lists, headings and tables."""
        made = self._put_back(_markdown.render(self._marked(text)))
        self.kept.clear()
        return made

    def _marked(self, text):
        """The text with its code, references and formulas in keeping, so that markdown does not read them."""
        text = re.sub(r"`([^`]+)`", lambda match: self._keep(self.code(match[1])), text)
        text = _joined(text)
        text = re.sub(rf"\(((?:\(?)(?:{LABEL})[^()\n]*)\)", self._equation, text)
        text = REFERENCE.sub(self._section, text)
        text = re.sub(r"\b(?:minae|kernels|chapters|solutions)/[\w./]+\w|\b\w+\.py\b", self._path, text)
        text = re.sub(
            r"(\*\*?)([^*\n]+?)\1(?![\w_])",
            lambda m: m[1] + self._formulas(m[2]) + m[1] if not m[2][0].isspace() and not m[2][-1].isspace() else m[0],
            text,
        )
        return "\n".join(self._formulas(line) for line in text.split("\n"))

    def code(self, text: str) -> str:
        """A piece of code in a sentence, linked where it names something of the engine."""
        address = self.links.name(text)
        made = f"<code>{html.escape(text)}</code>"
        return f'<a class="name" href="{address}">{made}</a>' if address else made

    def _equation(self, match):
        def linked(found):
            address = self.links.equation(found[0])
            return f'<a class="ref" href="{address}">{found[0]}</a>' if address else found[0]

        inside = re.sub(LABEL, linked, html.escape(match[1]))
        return self._keep(f"({inside})") if "<a" in inside else match[0]

    def _section(self, match):
        if match[1].lower().startswith(("figure", "chapter")):
            return self._keep(match[0])
        find = self.links.equation if match[1].lower().startswith("equation") else self.links.section

        def linked(found):
            address = find(found[0])
            return f'<a class="ref" href="{address}">{found[0]}</a>' if address else found[0]

        return self._keep(f"{match[1]} {re.sub(LABEL, linked, match[3])}")

    def _path(self, match):
        address = self.links.path(match[0])
        made = f"<code>{html.escape(match[0])}</code>"
        return self._keep(f'<a class="name" href="{address}">{made}</a>' if address else made)

    def _formulas(self, line):
        """The line with each formula that it contains in keeping."""
        words = re.split(r"( +)", line)
        out, k = [], 0
        while k < len(words):
            end = self._formula_from(words, k)
            if end == k:
                out.append(
                    self._keep(self.code(words[k])) if NAME.match(words[k]) and self.links.name(words[k]) else words[k]
                )
                k += 1
                continue
            text = "".join(words[k:end])
            before, text, after = _bare(text)
            close, space = after.rstrip(), after[len(after.rstrip()) :]
            start = before.lstrip()
            made = formula(text) if text else ""
            if made and (close or start):  # no line ends between a formula and its full stop
                made = f'<span class="nb">{html.escape(start)}{made}{html.escape(close)}</span>'
                out.append(before[: len(before) - len(start)] + self._keep(made) + space)
            else:
                out.append(before + (self._keep(made) if made else "") + after)
            k = end
        return "".join(out)

    def _formula_from(self, words, k):
        """Where the formula ends that begins at word k; k itself where none does."""
        if not words[k].strip() or "\ue000" in words[k] or NAME.match(words[k]) or not _starts(words, k):
            return k
        end, last, depth = k, k, 0
        while end < len(words):
            word = words[end]
            if not word.strip():
                end += 1
                continue
            if "\ue000" in word or (end > k and not _continues(words, end, last, depth)):
                break
            depth += sum(word.count(sign) for sign in "([{⟨") - sum(word.count(sign) for sign in ")]}⟩")
            last = end + 1
            if re.search(r"[.;:?!]$", word) or (word.endswith(",") and depth <= 0):
                break
            end += 1
        while last > k and (
            not words[last - 1].strip() or FUNCTION.match(words[last - 1]) or words[last - 1] in ARTICLES
        ):
            if words[last - 1] == "KL" or (
                words[last - 1] in ARTICLES and last - 1 > k and OPERATOR.match(words[last - 3])
            ):
                break
            last -= 1
        text = "".join(words[k:last])
        return (
            last
            if re.search(rf"[{SIGN}]|{LETTER}", re.sub(r"[^\w]|\d", "", text) + "".join(re.findall(f"[{SIGN}]", text)))
            else k
        )

    # blocks -----------------------------------------------------------------------------------------------------

    def text(self, text: str, entries: bool = False) -> str:
        """A docstring or the text of a cell.

        entries: whether a line such as "name: what it is" begins a line of its own, as in docstrings
        """
        parts, prose = [], []  # HTML, and the lines that are not yet in it
        lines, k, inside_list = text.split("\n"), 0, False

        def flush():
            joined = "\n".join(prose).strip("\n")
            prose.clear()
            if joined.strip():
                parts.append(self.markdown(_entries(joined) if entries else joined))

        while k < len(lines):
            line = lines[k]
            if not line.strip():
                inside_list = False
            elif re.match(r" {0,3}(\d+\.|[-*]) ", line):
                inside_list = True
            if re.match(r"    +\S", line) and not inside_list and not (prose and prose[-1].strip() and _is_prose(line)):
                end = k
                while end < len(lines) and (re.match(r"    +\S", lines[end]) or not lines[end].strip()):
                    end += 1
                while not lines[end - 1].strip():
                    end -= 1
                flush()
                parts.append(self.display(lines[k:end]))
                k = end
                continue
            prose.append(line.strip() if re.match(r"    +\S", line) else line)
            k += 1
        flush()
        return "".join(parts)

    def display(self, lines: list[str]) -> str:
        """A run of indented lines."""
        while True:
            blocks = _split(lines)
            if len(blocks) > 1:
                return "".join(self.display(block) for block in blocks)
            break
        margin = min(len(line) - len(line.lstrip()) for line in lines)
        lines = [line[margin:].rstrip() for line in lines]
        if any(CODE.search(line.strip()) for line in lines) and not any("∂" in line or "Σ" in line for line in lines):
            return f'<pre class="code" tabindex="0"><code>{html.escape(chr(10).join(lines))}</code></pre>'
        numbers = [match[3] for match in map(NUMBERED.match, lines) if match and match[3]]
        columns = [] if any(map(self.links.equation, numbers)) else _columns(lines)
        return self.table(lines, columns) if columns else f'<div class="display">{"".join(map(self.line, lines))}</div>'

    def line(self, line: str) -> str:
        """One line of formulas, with its number or source at the right."""
        indent = (len(line) - len(line.lstrip())) // 4
        line, number, anchor = line.strip(), "", ""
        if match := NUMBERED.match(line):
            line, inside, label = match[1], match[2], match[3]
            address = label and self.links.equation(label)
            if address:
                name = f"eq-{label}"
                anchor = f' id="{name}"' if name not in self.seen else ""
                self.seen.add(name)
                number = f'<a class="number" href="{address}">({html.escape(inside)})</a>'
            else:
                number = f'<span class="number">({html.escape(inside)})</span>'
        indent += 1 if re.match(r"[=≤≥+−] ", line) else 0
        made = "".join(f"<span>{self.piece(part)}</span>" for part in re.split(r" {2,}", line))
        place = f' style="padding-left:{1.6 * indent:.1f}em"' if indent else ""
        return f'<div class="eq"{anchor}><div class="row"{place}>{made}</div>{number}</div>'

    def piece(self, text: str) -> str:
        """A part of a display: a formula, or words with formulas in them."""
        text = text.replace("->", "→")
        if re.fullmatch(r"[a-z]{3,}(?:_[a-z]+)+", text):
            return text  # a name, such as leaky_relu
        if _is_prose(text) or re.search(r"`|“|\w's\b", text) or NAMES.fullmatch(text):
            return f'<span class="words">{self.inline(text)}</span>'
        for mark in re.finditer(r"[:,;] ", text):  # a formula, and what is said of it
            if "=" in text[: mark.start()] and _is_prose(text[mark.end() :]):
                said = f'<span class="words">{mark[0]}{self.inline(text[mark.end() :])}</span>'
                return f'<span class="nb">{formula(text[: mark.start()], True)}</span>{said}'
        return formula(text, True)

    def table(self, lines: list[str], columns: Any) -> str:
        """Lines whose parts stand below each other."""
        rows = []
        for line in lines:
            indent = len(line) - len(line.lstrip())
            parts = [line[a:b].strip() for a, b in zip([0, *columns], [*columns, None], strict=True)]
            if rows and indent >= columns[0]:  # goes on in the columns of the line above
                rows[-1] = [f"{one} {more}".strip() for one, more in zip(rows[-1], parts, strict=True)]
            else:
                rows.append(parts)
        used = [any(row[k] for row in rows) for k in range(len(columns) + 1)]
        body = ""
        for row in rows:
            cells = [part for part, use in zip(row, used, strict=True) if use]
            body += f"<tr>{''.join(f'<td>{self.cell(part)}</td>' for part in cells)}</tr>"
        return f'<div class="display" ><table class="columns" role="presentation">{body}</table></div>'

    def cell(self, part: str) -> str:
        if not part:
            return ""
        made = "".join(f"<span>{self.piece(one)}</span>" for one in re.split(r" {2,}", part))
        return f'<div class="row">{made}</div>' if made.count("<span>") > 1 else made


def _joined(text):
    """The lines of each paragraph as one, since a formula may go on over the end of a line."""
    out = []
    for line in text.split("\n"):
        goes_on = out and out[-1].strip() and line.strip() and not re.match(r"\s*(?:[-*|#]|\d+\. )", line)
        if goes_on and not re.match(r"#+ |\|", out[-1]):
            out[-1] += " " + line.strip()
        else:
            out.append(line)
    return "\n".join(out)


def _starts(words, k):
    word = words[k]
    if SYMBOL.match(word):
        return True
    function = word.startswith("−") and FUNCTION.match(word)
    if function or (PLAIN.match(word) and not re.match(rf"^{LETTER}[.,;:!?)]*$", word)):
        following = words[k + 2] if k + 2 < len(words) else ""
        return bool(FUNCTION.match(word)) and bool(STRONG.search(following.rstrip(",.;:"))) and word != "mean"
    core = word.rstrip(".,;:!?")
    core = core[:-1] if core.endswith(")") and core.count(")") > core.count("(") else core
    following = words[k + 2] if k + 2 < len(words) else ""
    if core in ARTICLES or core.lstrip("(") in ARTICLES:
        return bool(OPERATOR.match(following)) and following not in ("/", "|")
    if NUMBER.match(core):
        strong = STRONG.search(following.rstrip(",.;:")) and not PLAIN.match(following) and following[:1] != "("
        letter = re.match(rf"^{LETTER}$", following) and following not in ARTICLES
        return (
            bool(strong) and (bool(OPERATOR.match(following)) or not letter) and following not in ("→", "/", "·", "–")
        )
    if OPERATOR.match(core):
        return False
    if re.match(r"^[A-Z]\.\d|^\d(?!.*[\^/][A-Za-z({])", core) and not re.search(rf"[{SIGN}]", core):
        return False
    return bool(STRONG.search(core)) and not re.search(r"[A-Za-z]{3,}['’]|^[a-z]{2,}/[a-z]|://|^'\w|\w=\w", core)


def _continues(words, end, last, depth):
    word, before = words[end], words[last - 1]
    core = word.rstrip(".,;:!?")
    core = core[:-1] if core.endswith(")") and core.count(")") > core.count("(") else core
    if OPERATOR.match(core):
        following = words[end + 2] if end + 2 < len(words) else ""
        return bool(following) and (
            not PLAIN.match(following)
            or bool(FUNCTION.match(following))
            or bool(re.match(rf"^{LETTER}[.,;:!?)]*$", following))
            or following in ("const", "mean")
        )
    after_operator = bool(OPERATOR.match(before)) or before.endswith(("(", "+", "−", "="))
    if after_operator:
        return not PLAIN.match(word) or bool(FUNCTION.match(word)) or bool(re.match(rf"^{LETTER}[.,;:!?)]*$", word))
    if FUNCTION.match(word):
        return word != "mean"
    following = words[end + 2] if end + 2 < len(words) else ""
    if SYMBOL.match(word) or (word[0] in "([" and OPERATOR.match(following) and following not in ("/", "|")):
        return True
    if core in ARTICLES:
        following = words[end + 2] if end + 2 < len(words) else ""
        return depth > 0 or (bool(OPERATOR.match(following)) and following not in ("/",))
    if NUMBER.match(core) and not re.search(rf"[{SIGN}]", core):
        return depth > 0
    if PLAIN.match(word) and not re.match(rf"^{LETTER}[.,;:!?)]*$", word):
        return False
    return depth > 0 or (bool(STRONG.search(core)) and not re.search(r"[A-Za-z]{3,}['’]|://|\w=\w", core))


def _bare(text):
    """Punctuation before, the formula, punctuation after. A bracket belongs to the formula if its partner does."""
    before = after = ""
    while text:
        if text[-1] in ".,;:!?" and text[-1:] != "…":
            after, text = text[-1] + after, text[:-1]
        elif text[-1] == ")" and text.count(")") > text.count("("):
            after, text = ")" + after, text[:-1]
        elif text[0] in '("“' and (text.count("(") > text.count(")") or text[0] != "("):
            before, text = before + text[0], text[1:]
        elif text[-1] in "\"”'" and not re.search(r"[′'\w]'$", text):
            after, text = text[-1] + after, text[:-1]
        elif _wrapped(text) and re.search(r"[=<>~≤≥≈≠]", text):
            before, text, after = before + "(", text[1:-1], ")" + after
        elif text[0] == " " or text[-1] == " ":
            before, after = before + " " * (text[0] == " "), " " * (text[-1] == " ") + after
            text = text.strip()
        elif re.search(r"\w's$", text):
            after, text = "’s" + after, text[:-2]
        else:
            break
    return before, text, after


def _wrapped(text):
    """Whether the first bracket of a formula closes at its end."""
    depth = 0
    for k, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if depth == 0:
            return k > 0 and k == len(text) - 1
    return False


def _is_prose(line):
    """Whether a line is words with formulas in them, and no formula with a few words."""
    words = re.findall(r"[^\s]+", line)
    plain = [w for w in words if PLAIN.match(w) and not FUNCTION.match(w) and len(w.strip(".,;:()")) > 1]
    return len(plain) > max(1, 0.5 * len(words)) or (len(words) == 1 and len(plain) == 1) or len(plain) == len(words)


def _split(lines):
    """A run in parts: at blank lines, and where code begins or ends."""
    blocks, now = [], []
    for line in lines:
        if line.strip():
            now.append(line)
        elif now:
            blocks.append(now)
            now = []
    return blocks + [now] * bool(now)


def _columns(lines):
    """The places at which the columns of a table begin; none where the lines are formulas of their own."""
    if len(lines) < 2:
        return []
    starts = []
    for line in lines:
        places = {match.end() for match in re.finditer(r"(?<=\S) {2,}(?=\S)", line)}
        indent = len(line) - len(line.lstrip())
        starts.append(places | ({indent} if indent >= 6 else set()))
    every = sorted(set().union(*starts))
    common = [place for place in every if sum(place in one for one in starts) >= max(2, 0.5 * len(lines))]
    # a column is real where no line has text that runs over it
    return [place for place in common if all(len(line) <= place or line[place - 1] == " " for line in lines)]


def _entries(text):
    """Lines such as "x: the input" become lines of their own, the name as code."""
    out = []
    for paragraph in re.split(r"\n{2,}", text):
        lines = paragraph.split("\n")
        entry = re.compile(r"^\s*[a-zA-Z_]\w*(?:, [a-zA-Z_]\w*)*(?: \([^()]*\))?: +(?=\S)")
        starts = [
            bool(entry.match(line)) and not re.match(r"\s*(Derivation|Note|Figures|Data)\b", line) for line in lines
        ]
        if starts[0] and (len(lines) == 1 or sum(starts) > 1 or not any(starts[1:])):
            items = []
            for line, start in zip(lines, starts, strict=True):
                if start or not items:
                    items.append(line.strip())
                else:
                    items[-1] += " " + line.strip()
            split = [
                part for item in items for part in re.split(r";  (?=[a-zA-Z_]\w*(?:, \w+)*(?: \([^()]*\))?: )", item)
            ]
            out.append("\n".join(f"- {_named(part)}" for part in split))
        else:
            out.append(paragraph)
    return "\n\n".join(out)


def _named(part):
    name, _, rest = part.partition(": ")
    return ", ".join(f"`{one}`" for one in name.split(", ")) + ": " + rest if re.fullmatch(r"[\w, ]+", name) else part

"""Formulas in Unicode, as scripts and docstrings write them, and how they become MathML.

`tokens` is the one reader of such formulas; it has two writers: `mathml` below, for the site, and `latex` of
`minae.chapters.notebook`, for notebooks. A formula is text that a reader understands in an editor:

    ∂Ω/∂W_ij = 2/B W_ij Σ_b p_bj²

An underscore or a small low digit begins an index, ^ or a small high digit an exponent, two spaces or more part two
formulas, and a slash without spaces around it takes the factors that touch it. With spaces it takes the whole term.
"""

import html
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field

HIGH = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ᵀᵃᵇᵈᵉʰⁱʲᵏᵐⁿʳˢᵗᵛʷˣ", "0123456789+−()Tabdehijkmnrstvwx", strict=True))
LOW = dict(zip("₀₁₂₃₄₅₆₇₈₉ᵢⱼₖₙ", "0123456789ijkn", strict=True))
ACCENTS = {"\u0302": "^", "\u0303": "~", "\u0304": "¯", "\u0305": "¯"}
FUNCTIONS = set(
    "log exp min max argmin argmax arg sin cos tan tanh sign tr det diag rank softmax sigmoid softplus relu shrink "
    "round popcount median Var Cov lim sd mod hi lo".split()
)
RELATIONS = set("=<>≤≥≠≈~∈∝→←↦∀⇒:")
OPERATIONS = set("+−-±·⋅×⊙∘⊕∪∩*")
FENCES = {"(": ")", "[": "]", "{": "}", "⌊": "⌋", "⟨": "⟩", "‹": "›"}
_up, _down = "".join(HIGH), "".join(LOW)
_in = rf"[^\W_{_up}{_down}][\u0302-\u0305]?"  # a letter or digit of an index, with its accent
TOKEN = re.compile(
    rf"(?P<up>[{_up}]+)|(?P<down>[{_down}]+)"
    rf"|(?P<low>_(?:\{{(?:[^{{}}]|\{{[^{{}}]*\}})*\}}|(?:{_in})+(?:,(?:{_in})+)*))"
    rf"|(?P<high>\^(?:\{{(?:[^{{}}]|\{{[^{{}}]*\}})*\}}|\([^()]*\)|±|½|{_in}))"
    r"|(?P<word>[a-zA-Z]{2,}(?:-[a-z]{2,})*\d*(?![\u0302-\u0305]))|(?P<letter>[^\W\d_½¼¾][\u0302-\u0305]?)"
    r"|(?P<number>\d+(?:\.\d+)*(?:e[-−]?\d+)?)|(?P<gap> {2,})|(?P<space>\s)|(?P<prime>['′]+)|(?P<other>\+=|.)"
)


def decomposed(formula: str) -> str:
    """The formula with letters and their accents apart, "x̂" as "x" and a hat; the ö of a name stays one letter."""
    apart = (unicodedata.normalize("NFD", c) for c in unicodedata.normalize("NFC", formula))
    parted = [c if len(c) == 2 and c[1] in ACCENTS else unicodedata.normalize("NFC", c) for c in apart]
    return "".join(parted)


def tokens(formula: str) -> Iterator[tuple[str, str]]:
    """The parts of a formula, each with its kind: up, down, low, high, word, letter, number, gap, space, …"""
    for match in TOKEN.finditer(decomposed(formula)):
        yield match.lastgroup, match.group()


@dataclass
class Item:
    """A part of a row of MathML, with what may be attached to it.

    kind: atom, text, function, big, relation, operation, comma, slash, root, bar, gap or fence
    apart: whether a space stands before it;  inner: what a pair of fences holds, without the fences
    """

    kind: str
    ml: str
    apart: bool = False
    inner: str | None = None
    source: str = ""
    low: str = ""
    high: list = field(default_factory=list)


def mathml(formula: str, display: bool = False) -> str:
    """The formula as one <math>. With `display` a slash becomes a fraction, and Σ has its index below."""
    row = _Reader(list(tokens(formula.strip())), display).row()
    kind = ' display="block"' * display
    return f"<math{kind}>{row}</math>"


class _Reader:
    """Reads tokens from left to right; a bracket begins a row of its own."""

    def __init__(self, found, display):
        self.tokens, self.k, self.display = found, 0, display

    def row(self, closing=""):
        """The MathML of the items up to the closing bracket, which is read as well."""
        return "".join(self.written(self.items(closing)))

    def items(self, closing=""):
        found, apart, self.closed = [], False, False
        while self.k < len(self.tokens):
            kind, text = self.tokens[self.k]
            self.k += 1
            if kind in ("gap", "space"):
                if kind == "gap" and found:
                    found.append(Item("gap", '<mspace width="1.6em"/>'))
                apart = True
                continue
            if text == closing:
                self.closed = True
                break
            if kind in ("up", "down", "low", "high", "prime") and found and found[-1].kind not in ("gap", "relation"):
                self.attach(found[-1], kind, text)
                continue
            item = self.item(kind, text, found)
            if item.kind == "nothing":
                continue
            item.apart, apart = apart or not found, False
            found.append(item)
        return self.bars(found)

    def attach(self, base, kind, text):
        if kind == "prime":
            base.high.append(f"<mo>{'′' * len(text)}</mo>")
        elif kind == "up":
            base.high.append(_row("".join(HIGH[c] for c in text)))
        elif kind == "high":
            inner = text[1:]
            inner = inner[1:-1] if inner[0] == "{" else inner
            base.high.append(_row(inner))
        else:
            inner = "".join(LOW[c] for c in text) if kind == "down" else text[1:]
            inner = inner[1:-1] if inner[0] == "{" else inner
            word = re.fullmatch(r"[a-zA-Z]{3,}", inner) and inner not in ("bij", "bct", "btv", "bji", "bki", "bci")
            word = word or inner in ("in", "out")
            base.low += f'<mi mathvariant="normal">{inner}</mi>' if word else _row(inner, index=True)

    def item(self, kind, text, found):
        if kind == "number":
            return Item("atom", f"<mn>{text}</mn>", source=text)
        if kind == "letter":
            return self.letter(text)
        if kind == "word":
            return self.word(text)
        if kind in ("up", "down", "low", "high", "prime"):  # without a base, such as "‖·‖" or "the ² of"
            item = Item("atom", "<mi></mi>", source=text)
            self.attach(item, kind, text)
            return item
        if text in FENCES:
            return self.fenced(text)
        if text in "|‖∣":
            return Item("bar", "|" if text == "∣" else text, source=text)
        if text in RELATIONS or text == "+=":
            shown = {"~": "∼"}.get(text, text)
            return Item("relation", f"<mo>{html.escape(shown)}</mo>", source=text)
        if text in OPERATIONS:
            shown = {"·": "⋅", "-": "−", "*": "∗"}.get(text, text)
            star = text == "*" and found and not self.after_space()
            if star:  # h* is a mark of h and no product
                found[-1].high.append("<mo>∗</mo>")
                return Item("nothing", "")
            return Item("operation", f"<mo>{shown}</mo>", source=text)
        if text == "/":
            tight = "" if self.after_space() else ' lspace="0" rspace="0"'
            return Item("slash", f"<mo{tight}>/</mo>", source=text)
        if text == "√":
            return Item("root", "<mo>√</mo>", source=text)
        if text in ",;":
            return Item("comma", f"<mo>{text}</mo>", source=text)
        if text == "∫":
            return Item("big", "<mo>∫</mo>", source=text)
        if text in "½¼¾":
            top, bottom = {"½": "12", "¼": "14", "¾": "34"}[text]
            return Item(
                "atom",
                f'<mstyle displaystyle="false"><mfrac><mn>{top}</mn><mn>{bottom}</mn></mfrac></mstyle>',
                source=text,
            )
        if text in "∂∇#":
            return Item("atom", f'<mo lspace="0" rspace="0">{text}</mo>', source=text)
        if text in "∞…⋯%":
            return Item("atom", f"<mi>{text}</mi>", source=text)
        return Item("atom", f"<mo>{html.escape(text)}</mo>", source=text)

    def after_space(self):
        return self.k > 1 and self.tokens[self.k - 2][0] in ("space", "gap")

    def letter(self, text):
        base = text[0]
        if base in "ΣΠ" and len(text) == 1 and self.sums(base):
            return Item("big", f"<mo>{'∑' if base == 'Σ' else '∏'}</mo>", source=base)
        letter = (
            f"<mi>{base}</mi>" if not base.isupper() or ord(base) < 128 else f'<mi mathvariant="normal">{base}</mi>'
        )
        if len(text) > 1:
            return Item("atom", f'<mover accent="true">{letter}<mo>{ACCENTS[text[1]]}</mo></mover>', source=text)
        return Item("atom", letter, source=text)

    def sums(self, base):
        """Whether Σ is a sum: not where it carries an exponent alone, or where nothing follows to be added."""
        following = [token for token in self.tokens[self.k :] if token[0] != "space"][:1]
        if not following or following[0][0] in ("up", "high", "prime", "gap"):
            return False
        return following[0][1] not in {"+", "−", "=", ")", ",", "]", "/", "·"}

    def word(self, text):
        differential = re.fullmatch(r"d([A-Za-z])", text)
        if differential and text != "do":
            self.tokens.insert(self.k, ("letter", differential[1]))
            return Item("atom", "<mi>d</mi>", source="d")
        if text[0] == "d" and text[1:] in FUNCTIONS:
            self.tokens[self.k : self.k] = [("word", text[1:])]
            return Item("atom", "<mi>d</mi>", source="d")
        if text == "Jf":
            return Item("atom", "<mi>J</mi>", source="J", low="<mi>f</mi>")
        if text in FUNCTIONS:
            return Item("function", f"<mi>{text}</mi>", source=text)
        if text[:-1] in FUNCTIONS and text[-1].isdigit():
            self.tokens.insert(self.k, ("number", text[-1]))
            return Item("function", f"<mi>{text[:-1]}</mi>", source=text[:-1])
        if text[0].isupper() or text[-1].isdigit() or text in ("eps", "lr", "const", "tiny"):
            return Item("atom", f"<mi>{text}</mi>", source=text)
        return Item("text", text, source=text)

    def fenced(self, opening):
        start = self.k
        items = self.items(FENCES[opening])
        closed, closing = self.closed, FENCES[opening]
        if not closed:  # an interval such as (0, 1], or an index such as [0, 1)
            self.k = start
            return Item("atom", f'<mo stretchy="false">{opening}</mo>', source=opening)
        self.closed = False
        inner = "".join(self.written(items))
        tall = "" if "<mfrac><" in inner or "<munder" in inner else ' stretchy="false"'
        ml = f"<mrow><mo{tall}>{opening}</mo>{inner}<mo{tall}>{closing}</mo></mrow>"
        source = opening + "".join(item.source for item in items) + closing
        return Item("fence", ml, inner=inner if opening == "(" else None, source=source)

    def bars(self, items):
        """Pairs |…| and ‖…‖ become fences; a bar with spaces on both sides, or without a partner, is a condition."""
        open_at, partner = [], {}
        for k, item in enumerate(items):
            if item.kind != "bar":
                continue
            after = items[k + 1] if k + 1 < len(items) else None
            before = items[k - 1] if k else None
            free = item.apart and k > 0
            if free and after is not None and after.apart and not item.low and not item.high:
                continue  # p(x | h)
            ends = before is not None and not item.apart and before.kind not in ("operation", "relation", "comma")
            if open_at and items[open_at[-1]].ml == item.ml and ends:
                partner[open_at.pop()] = k
            elif not (item.low or item.high):
                open_at.append(k)
        found, k = [], 0
        while k < len(items):
            item = items[k]
            if k in partner:
                end = items[partner[k]]
                inner = "".join(self.written(self.bars_inside(items[k + 1 : partner[k]])))
                tall = "" if "<mfrac><" in inner or "<munder" in inner else ' stretchy="false"'
                fence = f'<mo form="{{}}" fence="true"{tall} lspace="0" rspace="0">{item.ml}</mo>'
                ml = f"<mrow>{fence.format('prefix')}{inner}{fence.format('postfix')}</mrow>"
                source = item.ml + "".join(one.source for one in items[k + 1 : partner[k]]) + item.ml
                found.append(Item("fence", ml, item.apart, None, source, end.low, end.high))
                k = partner[k] + 1
                continue
            if item.kind == "bar":
                item.kind = "relation"
                item.ml = f'<mo stretchy="false" lspace=".25em" rspace=".25em" form="infix">{item.ml}</mo>'
            found.append(item)
            k += 1
        return found

    def bars_inside(self, items):
        return self.bars(items) if any(item.kind == "bar" for item in items) else items

    def written(self, items):
        """The MathML of each item, after roots have taken what follows and slashes, in a display, have become
        fractions."""
        items = self.roots(items)
        if self.display:
            items = self.fractions(items)
        return self.spaced(items)

    def roots(self, items):
        found = []
        for item in items:
            if (
                found
                and found[-1].kind == "root"
                and item.kind not in ("operation", "relation", "comma", "gap", "slash")
            ):
                root = found.pop()
                inner = item.inner if item.inner is not None and not (item.low or item.high) else self.one(item)
                low = "" if "<mfrac><" in inner or "<munder" in inner else ' class="low"'
                item = Item("atom", f"<msqrt{low}>{inner}</msqrt>", root.apart, None, "√" + item.source)
            found.append(item)
        return found

    def fractions(self, items):
        for spaces in (False, True):
            k = 0
            while k < len(items):
                if items[k].kind == "slash" and 0 < k < len(items) - 1:
                    left, right = self.reach(items, k, -1, spaces), self.reach(items, k, 1, spaces)
                    if left < k < right and items[k].apart == spaces and items[k + 1].apart == spaces:
                        top, bottom = items[left:k], items[k + 1 : right + 1]
                        parts = [self.bare(part) for part in (top, bottom)]
                        ml = f"<mfrac><mrow>{parts[0]}</mrow><mrow>{parts[1]}</mrow></mfrac>"
                        source = "".join(one.source for one in items[left : right + 1])
                        items[left : right + 1] = [Item("atom", ml, top[0].apart, None, source)]
                        k = left
                k += 1
        return items

    def reach(self, items, k, step, spaces):
        """How far the numerator or denominator of the slash at k goes."""
        stop = ("relation", "comma", "gap", "slash", "text")
        end = k
        while 0 <= end + step < len(items):
            item = items[end + step]
            if item.kind in stop or (item.kind == "operation" and (not spaces or item.source in "+−-±")):
                break
            if not spaces and end != k:
                crosses = items[end].apart if step < 0 else item.apart
                function = step > 0 and items[end].kind == "function"
                if crosses and not function:
                    break
            if step < 0 and not spaces and end == k and items[k].apart:
                break
            end += step
        return end

    def bare(self, part):
        """The MathML of a numerator or denominator, without the brackets that only a slash needs."""
        if len(part) == 1 and part[0].inner is not None and not (part[0].low or part[0].high):
            return part[0].inner
        return "".join(self.spaced(part))

    def spaced(self, items):
        """Items one by one, words with the spaces that stand around them, a thin space after a function's name."""
        found, k = [], 0
        while k < len(items):
            item = items[k]
            if item.kind == "text":
                words, first = [item.source], k
                plain = not (item.low or item.high)
                while plain and k + 1 < len(items) and items[k + 1].kind == "text" and items[k + 1].apart:
                    if items[k + 1].low or items[k + 1].high:
                        break
                    k += 1
                    words.append(items[k].source)
                before = "\u00a0" * bool(item.apart and first and items[first - 1].kind != "gap")
                after = "\u00a0" * bool(k + 1 < len(items) and items[k + 1].apart)
                item = Item("text", f"<mtext>{before}{html.escape(' '.join(words))}{after}</mtext>", low=item.low,
                            high=item.high)  # fmt: skip
                found.append(self.one(item))
            else:
                found.append(self.one(item, first=k == 0, before=items[k - 1] if k else None))
                following = items[k + 1] if k + 1 < len(items) else None
                if item.kind == "function" and following is not None and following.kind not in ("fence", "comma"):
                    found.append('<mspace width=".17em"/>')
                if item.kind == "comma" and following is not None and following.kind != "gap":
                    found.append('<mspace width=".1em"/>')
                if following is not None and following.apart and _factors(item, following):
                    found.append('<mspace width=".12em"/>')
            k += 1
        return found

    def one(self, item, first=False, before=None):
        ml = item.ml
        if item.kind == "text" and not ml.startswith("<"):
            ml = f"<mtext>{html.escape(item.source)}</mtext>"
        if item.kind == "operation" and (first or (before is not None and before.kind in ("relation", "comma", "gap"))):
            ml = ml.replace("<mo>", '<mo form="prefix" lspace="0" rspace="0">')  # a sign
        if ml.startswith("<mo lspace") and not (item.low or item.high):
            return ml
        high = f"<mrow>{''.join(item.high)}</mrow>" if len(item.high) > 1 else "".join(item.high)
        low = item.low
        if item.kind == "big" and self.display and "∫" not in ml:
            if low and high:
                return f"<munderover>{ml}{low}{high}</munderover>"
            return f"<munder>{ml}{low}</munder>" if low else ml
        if low and high:
            return f"<msubsup>{ml}{low}{high}</msubsup>"
        if low:
            return f"<msub>{ml}{low}</msub>"
        return f"<msup>{ml}{high}</msup>" if high else ml


def _factors(item, following):
    """Whether two neighbours are factors of a product that the author has written apart."""
    return item.kind in ("atom", "fence") and following.kind in ("atom", "fence", "function", "big", "root")


def _row(text, index=False):
    """An index or an exponent: one element, with no fractions inside."""
    found = list(tokens(text))
    if index:  # letters of an index stand side by side: bj is b and j, not a word
        apart = []
        for kind, part in found:
            known = part in FUNCTIONS or part in ("data", "real", "fake", "there", "back", "unit", "half", "row", "col")
            split = kind == "word" and not known and not re.search(r"[ ,]", text)
            split = (split and len(part) <= 3) or (kind == "word" and len(part) <= 3 and not known and part.islower())
            apart += [("letter" if c.isalpha() else "number", c) for c in part] if split else [(kind, part)]
        found = apart
    ml = _Reader(found, False).row()
    return ml if _single(ml) else f"<mrow>{ml}</mrow>"


def _single(ml):
    return bool(re.fullmatch(r"<(mi|mn|mo|mtext)[^<>]*>[^<]*</\1>", ml))

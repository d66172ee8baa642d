"""The terms of the field in three ways of writing, and where a page uses them.

`glossary.toml` holds the terms; `frame.toml` holds the words of the site itself: its menu, buttons and headings, and
`live.toml` those of its live parts. `mark` links the terms of a page to their entries, and a script of the page shows
the translations beside them if the reader asks for it. A page without the script reads in English.
"""

import functools
import html
import json
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from minae import chapters
from minae.book.cells import cells

HERE = Path(__file__).parent
LANGUAGES = {"zh-Hant": "hant", "zh-Hans": "hans"}  # the value of `lang` in a page -> the key in our files
UNMARKED = set("a annotation button code figcaption h1 h2 h3 h4 h5 h6 math pre script style summary svg th".split())
TAG = re.compile(r"(<[^>]*>)")


class Term(NamedTuple):
    """An entry of glossary.toml, where each field is explained."""

    en: str
    hant: str
    hans: str
    definition: str
    sections: tuple[str, ...]
    forms: tuple[str, ...] = ()
    note: str = ""
    local: bool = False
    apart: tuple[str, ...] = ()

    @property
    def anchor(self) -> str:
        """The name of its place in glossary.html."""
        return "term-" + re.sub(r"[^\w]+", "-", self.en.lower()).strip("-")

    @property
    def words(self) -> tuple[str, ...]:
        """How the term may stand in a text."""
        return self.forms or (self.en, self.en + "s")


@functools.cache
def terms() -> tuple[Term, ...]:
    """All entries, sorted as a reader looks them up."""
    return read((HERE / "glossary.toml").read_text(encoding="utf-8"))


def read(text: str) -> tuple[Term, ...]:
    """The entries of a glossary in TOML."""
    found = []
    for entry in tomllib.loads(text)["term"]:
        lists = {key: tuple(value) for key, value in entry.items() if isinstance(value, list)}
        found.append(Term(**{**entry, **lists}))
    return tuple(sorted(found, key=lambda term: term.en.lower()))


@functools.cache
def frame() -> dict[str, dict[str, str]]:
    """The words of the site, and of its live parts: key -> {"en": …, "hant": …, "hans": …}."""
    words = tomllib.loads((HERE / "frame.toml").read_text(encoding="utf-8"))
    for part in tomllib.loads((HERE / "live.toml").read_text(encoding="utf-8"))["part"]:
        words |= {f"live-{part['name']}": part["title"], f"live-{part['name']}-sentence": part["sentence"]}
    return words


# ---- what a page gets


def mark(made: str, section: str | None = None, root: str = "") -> str:
    """The HTML of a cell's prose with the first place of each term linked to its entry.

    Nothing is marked inside code, formulas, headings and links. Words with several meanings are marked in their own
    sections only.

    section: number of the section that the prose belongs to
    root: what leads from the page to the root of the site
    """
    pattern, owner = _matcher(section)
    seen, depth, parts = set(), 0, TAG.split(made)

    def linked(match):
        term = owner[_key(match[0])]
        if term in seen:
            return match[0]
        seen.add(term)
        return (
            f'<a class="term" href="{root}glossary.html#{term.anchor}" title="{html.escape(term.definition)}"'
            f' data-hant="{term.hant}" data-hans="{term.hans}">{match[0]}</a>'
        )

    for k, part in enumerate(parts):
        if not part.startswith("<"):
            parts[k] = part if depth else pattern.sub(linked, part)
        elif (name := re.match(r"</?\s*([\w-]+)", part)) and name[1].lower() in UNMARKED:
            depth = max(0, depth - 1) if part.startswith("</") else depth + (not part.endswith("/>"))
    return "".join(parts)


def used(text: str, section: str | None = None) -> list[str]:
    """The terms that stand in a text, by their English names: for the search, and for the lists of a page."""
    pattern, owner = _matcher(section)
    return list(dict.fromkeys(owner[_key(found[0])].en for found in pattern.finditer(text)))


def letters() -> list[tuple[str, list[Term]]]:
    """The entries by their first letter, for the page of the glossary."""
    found: dict[str, list[Term]] = {}
    for term in terms():
        found.setdefault(term.en[0].upper(), []).append(term)
    return sorted(found.items())


def documents() -> list[dict[str, Any]]:
    """What the search finds of the glossary: one document for each entry (see search.py)."""
    return [
        {"url": f"glossary.html#{term.anchor}", "title": term.en, "section": "", "equations": [], "terms": [term.en],
         "text": f"{term.definition} {term.note}".strip(), "kind": "glossary"}
        for term in terms()
    ]  # fmt: skip


def frame_script() -> str:
    """A classic script with the words of the site in Chinese; the English ones stand in the pages."""
    words = {key: [entry["hant"], entry["hans"]] for key, entry in frame().items()}
    english = {key: entry["en"] for key, entry in frame().items()}
    text = json.dumps({"chinese": words, "english": english}, ensure_ascii=False, separators=(",", ":"))
    return f"(window.minae = window.minae || {{}}).frame = {text};\n"


def _key(form):
    """Forms are found in any case, but for those with capitals inside, such as KL, GAN and ReLU."""
    return form if form[1:] != form[1:].lower() else form.lower()


@functools.cache
def _matcher(section):
    """What finds the terms of a section, the longest first: the pattern, and to which term each form belongs."""
    owner = {}
    for term in terms():
        if not term.local or section in term.sections:
            owner |= {_key(form): term for form in term.words}
    forms = sorted(owner, key=lambda form: (-len(form), form))
    found = "|".join(
        re.escape(form) if form != form.lower() else f"(?i:{re.escape(form)})".replace(r"\ ", r"\s+") for form in forms
    )
    return re.compile(rf"(?<![\w\-∂])(?:{found})(?![\w\-])"), _Owner(owner)


class _Owner(dict):
    """Term by form, where a form may go over the end of a line."""

    def __missing__(self, key):
        return self[re.sub(r"\s+", " ", key)] if re.search(r"\s", key.replace(" ", "")) else self[key.lower()]


# ---- what is checked


def faults(found: Iterable[Term] | None = None, words: dict[str, dict[str, str]] | None = None) -> list[str]:
    """What is wrong with the glossary and the words of the site, one sentence each; nothing, if all is well."""
    found, words = terms() if found is None else tuple(found), frame() if words is None else words
    return [
        *_doubles(found), *(fault for term in found for fault in _spelling(term.en, term.hant, term.hans)),
        *_sections(found), *_parts(found),
        *(fault for key, entry in words.items() for fault in _frame(key, entry)),
    ]  # fmt: skip


def _doubles(found):
    owner, anchors = {}, {}
    for term in found:
        for form in {_key(form) for form in term.words}:
            if form in owner:
                yield f"“{form}” is a form of {owner[form]} and of {term.en}"
            owner[form] = term.en
        if term.anchor in anchors:
            yield f"{term.en} and {anchors[term.anchor]} have one anchor"
        anchors[term.anchor] = term.en
        if not re.search(r"[.?]$", term.definition):
            yield f"the definition of {term.en} is no sentence"
    for key in LANGUAGES.values():
        taken = {}
        for term in found:
            word = getattr(term, key)
            if word in taken:
                yield f"{word} translates {taken[word]} and {term.en}"
            taken[word] = term.en


def _spelling(name, hant, hans):
    """The traditional characters are those of Big5, and the simplified ones those of GB 2312."""
    for word, coding, kind in ((hant, "big5", "traditional"), (hans, "gb2312", "simplified")):
        wrong = [sign for sign in word if not _within(sign, coding)]
        if wrong:
            yield f"{name}: {''.join(wrong)} in {word} is no {kind} character"
        if not word:
            yield f"{name} has no word in {kind} characters"


def _within(sign, coding):
    try:
        sign.encode(coding)
    except UnicodeEncodeError:
        return ord(sign) < 0x2E80  # a letter or a sign of mathematics
    return True


def _frame(key, entry):
    missing = [name for name in ("en", "hant", "hans") if not entry.get(name)]
    if missing:
        return [f"the word {key} of the site has no {', '.join(missing)}"]
    return [f"the site's {fault}" for fault in _spelling(key, entry["hant"], entry["hans"])]


def _sections(found):
    """Each term stands in the text of the sections that it names."""
    texts = {section["number"]: section["path"] for section in chapters.sections()}
    for term in found:
        if not term.sections:
            yield f"{term.en} names no section"
        for number in term.sections:
            if number not in texts:
                yield f"{term.en} names section {number}, which is not there"
            elif not any(_form(form).search(_prose(texts[number])) for form in term.words):
                yield f"{term.en} does not stand in section {number}"


@functools.cache
def _prose(path):
    """The sentences of a script, without its displays and its code."""
    text = "\n".join(cell.text for cell in cells(path) if cell.kind == "prose")
    text = re.sub(r"^(?:Equations|Figures|Data): .*", "", text, flags=re.MULTILINE)
    return re.sub(r"\s+", " ", re.sub(r"`[^`]*`|^    .*", "", text, flags=re.MULTILINE))


@functools.cache
def _form(form):
    return re.compile(rf"(?<![\w\-]){re.escape(form)}(?![\w\-])", 0 if _key(form) != form.lower() else re.IGNORECASE)


def _parts(found):
    """A term that is a word of a longer one is translated alike in both."""
    for term in found:
        for part in found:
            inside = part is not term and re.search(rf"(?<![\w-]){re.escape(part.en)}(?![\w-])", term.en, re.IGNORECASE)
            if inside and part.en not in term.apart:
                for key in LANGUAGES.values():
                    whole, word = getattr(term, key), getattr(part, key)
                    if not (word in whole or (len(word) > 2 and word[:2] in whole)):
                        yield f"{part.en} is {word}, but {term.en} is {whole}"

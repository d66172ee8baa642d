"""The index of the search: one classic script, `search-index.js`, that the page loads when a reader goes to the box.

A document is a part of a page, as a dict:

    url         where it is, from the root of the site, such as "14.7.html#how-large-a-λ"
    title       what the reader sees
    section     number of the section, such as "14.7", or ""
    text        its prose; formulas may stand in it in Unicode
    equations   numbers of the equations that stand in it: ["14.18"]
    terms       names of entries of the glossary that it uses: ["contraction"]
    kind        "section", "equation", "symbol", "fault", "glossary" or "engine"

The script sets window.minae.searchIndex to an object of two: `documents`, a list of [url, title, section, text,
equations, terms, kind], and `translations`, which gives the words of each term in the three ways of writing. These
words stand there once, and `search.js` gives them to every document that uses the term, so that a word in Chinese finds
the English sections. MiniSearch makes its index of that in the browser: on a page that is opened from a folder no other
kind of file can be loaded.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from minae import files
from minae.book import glossary

FIELDS = {"url": str, "title": str, "section": str, "text": str, "equations": list, "terms": list, "kind": str}
KINDS = ("section", "equation", "symbol", "fault", "glossary", "engine")
EQUATION = re.compile(r"\((1[45]\.\d+)(?:\)|[;, –])")


def document(url: str, title: str, text: str, section: str = "", kind: str = "section") -> dict[str, Any]:
    """A document whose equations and terms are found in its text."""
    plain = re.sub(r"<[^>]+>", "", title)
    words = re.sub(r"`|\*\*|(?<!\S)[*#]+|(?<=[\w.,;:!?])\*(?=[\s.,;:!?)]|$)|^ *\||\| *$", " ", text, flags=re.MULTILINE)
    words = re.sub(r"\s+", " ", words).strip()
    numbers = list(dict.fromkeys(EQUATION.findall(f"{plain} {words}")))
    return {"url": url, "title": plain, "section": section, "text": words, "equations": numbers,
            "terms": glossary.used(f"{plain} {words}", section or None), "kind": kind}  # fmt: skip


def script(documents: Iterable[dict[str, Any]]) -> str:
    """The text of search-index.js. The entries of the glossary come by themselves."""
    rows, addresses = [], set()
    known = {term.en: " ".join([term.en, *term.words, term.hant, term.hans]) for term in glossary.terms()}
    for one in [*documents, *glossary.documents()]:
        wrong = [key for key, kind in FIELDS.items() if not isinstance(one.get(key), kind)]
        if wrong or set(one) != set(FIELDS):
            raise ValueError(f"a document of the search has a wrong {', '.join(wrong) or 'field'}: {one.get('url')}")
        if one["kind"] not in KINDS:
            raise ValueError(f"{one['kind']!r} is no kind of document: {', '.join(KINDS)}")
        if one["url"] in addresses:
            raise ValueError(f"two documents of the search have the address {one['url']}")
        unknown = [term for term in one["terms"] if term not in known]
        if unknown:
            raise ValueError(f"{one['url']} uses terms that the glossary does not have: {', '.join(unknown)}")
        addresses.add(one["url"])
        rows.append([one[key] for key in FIELDS])
    content = json.dumps({"documents": rows, "translations": known}, ensure_ascii=False, separators=(",", ":"))
    return f"(window.minae = window.minae || {{}}).searchIndex = {content};\n"


def write(documents: Iterable[dict[str, Any]], path: Path) -> int:
    """Write search-index.js, and return its size in bytes."""
    made = script(documents).encode()
    files.replace(path, made)
    return len(made)

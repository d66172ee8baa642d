"""The glossary, the words of the site, the marks in prose, and the index of the search; what needs no browser."""

import json
import re

import pytest

from minae.book import glossary, live, search
from minae.book.glossary import Term

CODE = Term("code", "編碼", "编码", "What the encoder says.", ("14.1",))


def test_the_glossary_is_whole():
    """Three ways of writing, no doubles, sections that have the term, and one translation for one word."""
    assert len(glossary.terms()) >= 120
    assert glossary.faults() == []


@pytest.mark.parametrize(
    "terms, said",
    [
        ([CODE, CODE._replace(hant="碼", hans="码")], "“code” is a form of code and of code"),
        ([CODE._replace(hant="编码")], "code: 编码 in 编码 is no traditional character"),
        ([CODE._replace(hans="編碼")], "code: 編碼 in 編碼 is no simplified character"),
        ([CODE._replace(hans="")], "code has no word in simplified characters"),
        ([CODE, CODE._replace(en="cost")], "編碼 translates code and cost"),
        ([CODE._replace(sections=("14.99",))], "code names section 14.99, which is not there"),
        ([CODE._replace(en="vocoder", forms=("vocoder",))], "vocoder does not stand in section 14.1"),
        ([CODE, CODE._replace(en="code book", hant="簿", hans="簿")], "code is 編碼, but code book is 簿"),
        ([CODE._replace(definition="a vector")], "the definition of code is no sentence"),
    ],
)
def test_a_glossary_with_a_fault_is_noticed(terms, said):
    assert said in glossary.faults(terms, {})


def test_a_word_of_the_site_without_a_translation_is_noticed():
    entry = {"en": "Next", "hant": "", "hans": "下一节"}
    assert glossary.faults([], {"next": entry}) == ["the word next of the site has no hant"]
    said = "the site's next: 节 in 下一节 is no traditional character"
    assert glossary.faults([], {"next": entry | {"hant": "下一节"}}) == [said]


def test_every_word_that_a_template_names_is_there():
    named = set()
    for path in (glossary.HERE / "templates").glob("*.html"):
        found = re.findall(r'data-frame(?:-label)?="([^"{]+)"', path.read_text(encoding="utf-8"))
        named |= set(found)
    for path in (glossary.HERE / "static").glob("*.js"):
        named |= set(re.findall(r'\bsay\("([\w-]+)"', path.read_text(encoding="utf-8")))
    named |= {f"kind-{kind}" for kind in search.KINDS}
    named |= {f"{word}-{part}" for word in ("part", "chapter") for part in ("14", "15", "C", "A")}
    named |= {"holds", "fails", "kept", "missed", "open", "script", "notebook", "numbers", "one-number", "exercises"}
    named.add("language")
    pages = {key for key in glossary.frame() if key.endswith(".html")}
    named |= {f"live-{place['name']}{end}" for place in live._places() for end in ("", "-sentence")}
    assert len(named) > 40 and named | pages == set(glossary.frame())
    script = glossary.frame_script()
    assert json.loads(script[script.index("= {") + 2 : -2])["chinese"]["next"] == ["下一節", "下一节"]


def test_the_first_place_of_a_term_is_marked():
    made = glossary.mark("<p>The code is a code of denoising\nautoencoders; a DENOISER, too.</p>", "14.5", "../")
    assert made.count('class="term"') == 2 and made.count(">code</a>") == 1
    assert 'href="../glossary.html#term-code"' in made and 'data-hant="編碼"' in made
    assert "denoising\nautoencoders</a>" in made and "DENOISER" in re.sub(r"<a .*?</a>", "", made, flags=re.DOTALL)


@pytest.mark.parametrize(
    "made",
    [
        "<code>code</code>", "<pre class='code'><code>a manifold</code></pre>", "<math><mi>code</mi></math>",
        "<h2>The code</h2>", '<a href="14.1.html">the <b>code</b></a>', "<p>gan and kl and autoencoder-like</p>",
        "<p>encodes, decoder_size, codename</p>",
    ],
)  # fmt: skip
def test_nothing_is_marked_in_code_maths_headings_and_links(made):
    assert glossary.mark(made, "14.1") == made
    assert glossary.mark(made + "<p>code</p>", "14.1") != made + "<p>code</p>"  # what follows is


def test_a_word_with_other_meanings_is_marked_in_its_own_sections():
    assert "term-score" in glossary.mark("<p>the score</p>", "14.5.1")
    assert "term-score" not in glossary.mark("<p>the score</p>", "A.2")


def test_what_the_search_reads():
    one = search.document("14.7.html#a", "14.7 Robust", "`f` contracts: (14.18), (14.10; Rifai)  and (2.1)", "14.7")
    assert one["equations"] == ["14.18", "14.10"] and one["terms"] == ["robust", "contraction"]
    script = search.script([one])
    kept = json.loads(script[script.index("= {") + 2 : -2])
    assert kept["documents"][0] == list(one.values()) and len(kept["documents"]) == 1 + len(glossary.terms())
    assert "收縮 收缩" in kept["translations"]["contraction"]


@pytest.mark.parametrize(
    "change, said",
    [
        ({"kind": "page"}, "no kind of document"), ({"terms": ["contracting"]}, "which|does not have: contracting"),
        ({"equations": "14.18"}, "wrong equations"), ({"url": "glossary.html#term-code"}, "two documents"),
    ],
)  # fmt: skip
def test_a_document_that_is_none_is_refused(change, said):
    with pytest.raises(ValueError, match=said):
        search.script([search.document("14.7.html", "14.7", "Text.", "14.7") | change])


def test_the_search_keeps_the_signs_of_formulas():
    text = "A *manifold* of `x`, **bold**. p(x | h), J*(θ)\n| symbol | meaning |\n# Head"
    assert (
        search.document("a.html", "A", text)["text"] == "A manifold of x , bold . p(x | h), J*(θ) symbol | meaning Head"
    )

"""The book as a site: formulas as MathML, the pages of sections and of the engine, the indexes, links, sizes."""

import ast
import collections
import html
import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

pytest.importorskip("jinja2", reason="the site needs minae[book]")
pytest.importorskip("markdown_it", reason="the site needs minae[book]")
pytest.importorskip("pygments", reason="the site needs minae[book]")

from minae import chapters, cli
from minae.book import equations, pages, source
from minae.book.cells import cells
from minae.book.maths import ACCENTS, HIGH, LOW, decomposed, mathml
from minae.book.prose import NUMBERED, Writer
from minae.book.site import Site
from minae.chapters import section as scripts

SECTIONS = chapters.sections()
SIGNS = {"~": "∼", "·": "⋅", "*": "∗", "'": "′", "∣": "|", "√": "", "½": "12", "¼": "14", "¾": "34"}
SHOWN = {**HIGH, **LOW, **ACCENTS, **SIGNS}  # how the MathML of a formula writes its characters


def texts():
    """Every text with formulas: cells of the scripts, docstrings of the engine."""
    for section in SECTIONS:
        yield from (cell.text for cell in cells(section["path"]) if cell.kind == "prose")
    for module in source.modules().values():
        yield from (docstring for _, docstring in scripts._docstrings(module.tree))


def formulas():
    """The parts of every line that is indented by four."""
    found = {}
    for text in texts():
        for line in re.findall(r"^ {4,}(\S.*)$", text, re.MULTILINE):
            match = NUMBERED.match(line)
            for part in re.split(r" {2,}", match[1] if match else line):
                found[part] = None
    return list(found)


def letters(text, taken=""):
    """How often each character stands in a text, but for spaces, brackets and what only marks an index."""
    text = text.replace("-", "−").replace("Σ", "∑").replace("Π", "∏")
    return collections.Counter(re.sub(rf"[\s_{{}}^()\u00a0{taken}]", "", text))


def lost(formula, display=False, made=None):
    """The characters that the MathML of a formula lacks or has too many, and marks that were not read."""
    made = mathml(formula, display) if made is None else made
    shown = "".join(ET.fromstring(made).itertext())
    taken = "/" if display else ""  # a slash may have become a fraction
    written = "".join(SHOWN.get(c, c) for c in decomposed(formula))
    wanted, found = letters(written, taken), letters(shown, taken)
    return [*(wanted - found), *(found - wanted), *re.findall(r"_", shown)]


def test_every_formula_of_scripts_and_docstrings_becomes_mathml_with_nothing_left_over():
    every = formulas()
    assert len(every) > 1000
    wrong = {}
    for formula in every:
        if "`" in formula or '"' in formula:
            continue  # code
        for display in (False, True):
            if left := lost(formula, display):
                wrong[formula] = left
    names = {f for f in wrong if re.search(r"[a-z]{2,}_[a-z]|\de\d|e-\d|__|\w_ ", f)}  # names of code, powers of ten
    assert set(wrong) == names, {f: wrong[f] for f in set(wrong) - names}


@pytest.mark.parametrize("formula", ["x_", "W_{ij", "a_ b"])
def test_a_mark_that_no_one_reads_is_noticed(formula):
    assert lost(formula)


def test_a_lost_letter_is_noticed():
    assert lost("J = L + λ Ω", made=mathml("J = L + Ω")) == ["λ"]


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("2/B W_ij", "<mfrac><mrow><mn>2</mn></mrow><mrow><mi>B</mi></mrow></mfrac>"),
        ("(a + b) / (c − d)", "<mfrac><mrow><mi>a</mi><mo>+</mo>"),
        ("W_ij²", "<msubsup><mi>W</mi><mrow><mi>i</mi><mi>j</mi></mrow><mn>2</mn></msubsup>"),
        ("x̃ᵀ", '<msup><mover accent="true"><mi>x</mi><mo>~</mo></mover><mi>T</mi></msup>'),
        ("h*_j", "<msubsup><mi>h</mi><mi>j</mi><mo>∗</mo></msubsup>"),
        ("Σ_j h_j", "<munder><mo>∑</mo><mi>j</mi></munder>"),
        ("tr Σ + tr Σ′", '<mi mathvariant="normal">Σ</mi>'),
        ("√(1 − v)", '<msqrt class="low"><mn>1</mn><mo>−</mo><mi>v</mi></msqrt>'),
        ("Jf", "<msub><mi>J</mi><mi>f</mi></msub>"),
    ],
)
def test_a_formula_has_the_structure_that_its_author_meant(formula, expected):
    assert expected in mathml(formula, True)


def test_bars_are_pairs_or_conditions():
    assert mathml("λ|h_i|").count('fence="true"') == 2
    assert 'form="infix">|' in mathml("p(x | h)") and "fence" not in mathml("p(x | h)")
    assert mathml("‖x − r‖²").startswith("<math><msup><mrow><mo form")


class NoLinks:
    """A site without addresses."""

    root = ""

    def name(self, text):
        return None

    path = section = equation = name


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("Along a unit vector v, a step of length ε in x moves the code by ε ‖Jf v‖.", ["v", "ε", "x", "ε ‖Jf v‖"]),
        ("With h = x W and r = h Wᵀ, and L = ½ ‖x − r‖². Then", ["h = x W", "r = h Wᵀ", "L = ½ ‖x − r‖²"]),
        ("A rotation changes neither L nor Ω, and I take a λ.", ["L", "Ω", "λ"]),
        ("It needs top-k codes, C++, a GPU, 5.4% of 1000 and Section A.", []),
        ("The scale (σ = 0.3) of N(0, I), see (b).", ["σ = 0.3", "N(0, I)"]),
        ("A code of 2^m values, 1/B of them.", ["2^m", "1/B"]),
        ("It goes dG(b) → F's parameters, at φ'(a).", ["dG(b) → F", "φ'(a)"]),
    ],
)
def test_formulas_are_recognised_in_sentences(sentence, found, monkeypatch):
    seen = []
    monkeypatch.setattr("minae.book.prose.formula", lambda text, display=False: seen.append(text) or "<math></math>")
    made = Writer(NoLinks()).inline(sentence)
    assert seen == found
    assert "\ue000" not in made


@pytest.mark.parametrize(
    ("piece", "found"),
    [
        ("h = f(x), with a decoder g: a code of two numbers", ["h = f(x)", "g"]),
        ("L = ½ ‖x − r‖²,", ["L = ½ ‖x − r‖²,"]),
        ("x: the picture, y = 0: nothing is there", ["x", "y = 0"]),
        ("t-SNE and UMAP", []),
        ("PCA", []),
        ("J = L + KL", ["J = L + KL"]),
    ],
)
def test_a_line_that_goes_on_in_words_is_a_formula_and_words(piece, found, monkeypatch):
    seen = []
    monkeypatch.setattr("minae.book.prose.formula", lambda text, display=False: seen.append(text) or "<math></math>")
    Writer(NoLinks()).piece(piece)
    assert sorted(seen) == sorted(found)


def test_cells_have_the_numbers_of_the_results():
    for section in SECTIONS:
        lines = section["path"].read_text(encoding="utf-8").splitlines()
        for cell in cells(section["path"]):
            if cell.kind == "code":
                assert lines[cell.line - 1] == cell.text.splitlines()[0]
                assert sum(line.startswith("# %%") for line in lines[: cell.line]) == cell.number


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("minae.ContractiveAutoencoder", "engine/minae.models.contractive.html#ContractiveAutoencoder"),
        ("minae.ops.phi", "engine/minae.ops.activations.html#phi"),
        ("minae.data.mnist", "engine/minae.data.digits.html#mnist"),
        ("minae.chapters.Section.claim", "engine/minae.chapters.section.html#Section.claim"),
        ("minae.nothing", None),
        ("numpy.linalg", None),
    ],
)
def test_a_name_leads_to_where_it_is_defined(name, address):
    assert source.whereabouts(name) == address


def test_a_page_of_source_has_all_of_its_lines():
    for name in ("minae.contraction", "minae.kernels.adam", "minae.losses"):
        module = source.modules()[name]
        shown = "\n".join(text for *_, text, _ in source.pieces(module))
        tree = ast.parse(module.source)
        for node in ast.walk(tree):  # docstrings stand above the source
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and ast.get_docstring(node):
                node.body = node.body[1:] or [ast.Pass()]
        wanted = collections.Counter(re.findall(r"[A-Za-z_]\w+", ast.unparse(tree)))
        missing = wanted - collections.Counter(re.findall(r"[A-Za-z_]\w+", shown))
        assert set(missing) <= {"pass"}, missing


class Page(HTMLParser):
    """The ids, addresses and pictures of a page."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.addresses, self.sources, self.alts, self.open = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        one = dict(attributes)
        self.ids += [one["id"]] if "id" in one else []
        self.addresses += [one["href"]] if tag == "a" else []
        self.sources += [
            one[key] for key in ("src", "href") if key in one and tag in ("script", "link", "img", "audio")
        ]
        self.alts += [one.get("alt")] if tag == "img" else []


def page(site, name):
    return (site / name).read_text(encoding="utf-8")


def broken(site, found):
    """The links of pages that lead nowhere: [(page, address), …]."""
    wrong = []
    for name, one in found.items():
        for address in one.sources + one.addresses:
            if re.match(r"[a-z]+:", address):
                if address != "data:,":
                    wrong.append((name, address))
                continue
            file, _, anchor = address.partition("#")
            target = ((site / name).parent / file).resolve() if file else site / name
            known = found.get(target.relative_to(site).as_posix()) if target.suffix == ".html" else None
            if not target.is_file() or (anchor and known and html.unescape(anchor) not in known.ids):
                wrong.append((name, address))
    return wrong


@pytest.mark.slow
def test_all_links_of_the_site_lead_somewhere_and_nothing_is_asked_of_a_server(site):
    site = site.resolve()
    found = {path.relative_to(site).as_posix(): Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    assert len(found) > 150
    for name, one in found.items():
        assert len(one.ids) == len(set(one.ids)), (name, [i for i, n in collections.Counter(one.ids).items() if n > 1])
    assert not broken(site, found)
    wrong = Page('<a href="14.7.html#nothing">x</a><a href="none.html">x</a><img src="https://a.b/c.png" alt="x">')
    assert len(broken(site, {**found, "wrong.html": wrong})) == 3
    assert "http" not in page(site, "static/style.css") and "@import" not in page(site, "static/style.css")


@pytest.mark.slow
def test_a_bar_knows_how_many_pages_there_will_be(site, tmp_path):
    assert len(Site(tmp_path)) == len(list(site.rglob("*.html")))


def test_pages_of_an_earlier_site_go_and_those_of_others_stay(tmp_path):
    (tmp_path / "static").mkdir()
    for names in (["index.html", "14.99.html", "14.98.html"], ["index.html"]):
        made = Site(tmp_path)
        for name in names:
            made.write(name, "results.html", rows=[], title="")
        made.clear()
        (tmp_path / "copy of 14.98.html").write_text((tmp_path / "index.html").read_text())  # a reader's own
        if len(names) > 1:
            (tmp_path / "14.98.html").write_text("written anew by somebody")
    assert sorted(path.name for path in tmp_path.glob("*.html")) == ["14.98.html", "copy of 14.98.html", "index.html"]


@pytest.mark.slow
def test_pages_are_small_and_pictures_have_words(site):
    for path in site.rglob("*.html"):
        assert path.stat().st_size < 300_000, path.name
        assert all(Page(path.read_text(encoding="utf-8")).alts), path.name
    assert '<button id="theme-switch" type="button" hidden' in page(
        site, "14.7.html"
    )  # without script it would do nothing


@pytest.mark.slow
def test_results_stand_beside_the_cell_that_made_them(site):
    text = page(site, "14.7.html")
    cell = text[text.index("singular values, linear f") :]
    cell = cell[: cell.index('<div class="prose">')]
    for words in ("−2.5 × 10<sup>−9</sup>", "1 to 2", "holds", "R&amp;D holds", "figures/14.7/choice.webp",
                  "a &#34;line&#34;"):  # fmt: skip
        assert words in cell, words
    assert 'rowspan="2"' in cell
    assert 'data-frame="stale"' in text  # its lines were made up
    assert "voice of one" in text and "sounds/14.7/voice_of_one.wav" in text
    assert "minae run 14.1 --out out/14.1" in page(site, "14.1.html")
    table = page(site, "results.html")  # where each claim stands once
    assert table.count("R&amp;D holds") == 1 and "1 of 1 claim holds" in table and "3 numbers and 1 figure " in table
    assert (site / "downloads" / "14_7_contractive.py").is_file()


def test_a_run_of_another_script_says_so():
    """Its records are placed by their cells. Cells may move as a whole, but no line within its cell."""
    code = ["# %%", 'section.number("a", 1)', "", 'section.claim("b", 1, "<", 2)']
    result = {"numbers": [{"line": 4, "within": [2, 1]}], "claims": [{"line": 6, "within": [2, 3]}]}
    assert not pages.stale(result, ["words", "# %%", *code]) and not pages.stale(None, code)
    assert not pages.stale({"claims": [{"line": 4}]}, code) and pages.stale({"claims": [{"line": 3}]}, code)
    assert not pages.stale(result, ["words", "# %%", "more words", *code])
    for other in (
        ["words", "# %%", *code[:2], *code[3:]],  # a line less
        ["words", *code],  # a cell less
        ["words", "# %%", "# %%", *code],  # and one more
        ["words", "# %%", *code[:3], "# %%", code[3]],  # the claim in a cell of its own
        [],
    ):
        assert pages.stale(result, other), other


@pytest.mark.slow
def test_an_equation_leads_to_its_derivation_and_back(site):
    assert 'id="eq-14.18"' in page(site, "14.7.html") and 'href="equations.html#eq-14.18"' in page(site, "14.7.html")
    index = page(site, "equations.html")
    part = index[index.index('id="eq-14.18"') :].partition("</section>")[0]
    assert "engine/minae.contraction.html#Contraction" in part and "14.7.html#eq-14.18" in part
    assert "../equations.html#eq-14.18" in page(site, "engine/minae.contraction.html")


@pytest.mark.slow
def test_the_tables_have_every_model_symbol_and_fault(site):
    from minae.chapters.ch14.faults import FAULTS
    from minae.models import registry

    models, museum, notation = (page(site, f"{name}.html") for name in ("models", "museum", "notation"))
    assert all(f'id="model-{name}"' in models for name in registry())
    assert museum.count('class="fault"') == len(FAULTS)
    assert notation.count('class="symbol"') > 50 and "engine/minae.models.contractive.html" in notation
    text = page(site, "static/search-index.js")
    documents = json.loads(text[text.index("= {") + 2 : -2])["documents"]
    titles = [title for _, title, *_ in documents]
    assert "(14.18)" in titles and any("A case that can be solved" in title for title in titles)


def test_the_equations_of_the_index_are_those_of_the_book():
    rows = equations.index()
    assert [row["number"] for row in rows][:3] == ["14.1", "14.2", "14.3"] and len(rows) == 23
    assert all(row["formula"] and row["sections"] for row in rows)


def test_numbers_are_written_as_a_book_writes_them():
    assert pages.short(-1.25e-9) == "−1.25 × 10<sup>−9</sup>"
    assert pages.short(0.5) == "0.5"


def test_a_damaged_run_is_named(tmp_path, capsys):
    (tmp_path / "14.1").mkdir()
    (tmp_path / "14.1" / "results.json").write_text("{")
    assert cli.main(["book", "--out", str(tmp_path / "site"), "--runs", str(tmp_path)]) == 2
    assert "14.1" in capsys.readouterr().err

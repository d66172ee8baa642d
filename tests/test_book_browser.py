"""The book's site in a real browser, offline and from its folder, as a reader opens it.

It has the runs of all sections, where they are among the tests that run now. `MINAE_SITE=site pytest
tests/test_book_browser.py` looks at one that is there already. The live parts are driven in test_live.py.
"""

import functools
import http.server
import re
import threading
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("jinja2", reason="the book needs jinja2, markdown-it-py and pygments: pip install 'minae[book]'")

from minae import chapters
from minae.book import glossary

pytestmark = pytest.mark.slow  # the site is built once for all of them
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
SOME = (
    "index.html 14.7.html A.5.html glossary.html equations.html models.html notation.html museum.html results.html "
    "engine/minae.contraction.html"
).split()


@pytest.fixture
def book(book_of_runs):
    return book_of_runs


class Reader:
    """A window on the site.     wrong: errors, requests that leave the folder, files that are not there;
    asked: the addresses of all that a page loads"""

    def __init__(self, browser, site, **options):
        self.site, self.wrong, self.asked = site, [], set()
        self.context = browser.new_context(**({"offline": True, "viewport": DESK} | options))
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.page.on(
            "console", lambda said: self.wrong.append(said.text) if said.type in ("error", "warning") else None
        )
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("requestfailed", lambda request: self.wrong.append(f"failed: {request.url}"))
        self.page.on("request", self.request)

    def request(self, request):
        self.asked.add(request.url)
        if _leaves(request.url):
            self.wrong.append(request.url)

    def loaded(self):
        """The bytes that a page needed when it was opened, without its fonts and the data of its live parts."""
        paths = [Path(unquote(urlsplit(url).path)) for url in self.asked if url.startswith("file:")]
        return sum(path.stat().st_size for path in paths if path.suffix != ".woff2" and path.parent.name != "data")

    def open(self, name):
        self.asked.clear()
        self.page.goto((self.site / name).as_uri())
        return self.page

    def __call__(self, expression, given=None):
        return self.page.evaluate(expression, given)


def _leaves(url):
    return not url.startswith(("file:", "data:", "blob:"))


@pytest.fixture
def reader(browser, book):
    reader = Reader(browser, book)
    yield reader
    reader.context.close()
    assert reader.wrong == []


def pages(book):
    return sorted(str(path.relative_to(book)) for path in book.rglob("*.html"))


# ---- every page


@functools.cache
def _axe():
    axe = pytest.importorskip("axe_playwright_python", reason="axe is not here: pip install axe-playwright-python")
    return (Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


def violations(reader, *rules):
    """What axe finds wrong in the page, by all of its rules or by some.

    Its own look at the style sheet would be a request that a page from a folder is refused.
    """
    reader(_axe())
    options = {"resultTypes": ["violations"], "preload": False} | ({"runOnly": list(rules)} if rules else {})
    found = reader("options => axe.run(document, options)", options)["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found]


WIDTH = "document.documentElement.scrollWidth"


def test_all_pages_open_offline_are_small_and_fit_a_phone(reader, book):
    reader.page.set_viewport_size(PHONE)
    for name in pages(book):
        reader.open(name)
        assert reader(WIDTH) <= PHONE["width"], name
        assert reader("document.querySelectorAll('main h1').length") == 1, name
        assert reader.wrong == [], name
        assert name.startswith("engine/") or reader.loaded() < 3e5, (name, reader.loaded())
    assert any(url.endswith("style.css") for url in reader.asked)
    reader("document.querySelector('main').innerHTML = '<p style=\"width: 900px\">wide</p>'")
    assert reader(WIDTH) > PHONE["width"]  # the check can fail


def test_every_run_stands_in_the_book(book):
    """Each figure of each section is drawn in its page, and no run is of another script."""
    texts = {one["number"]: (book / f"{one['number']}.html").read_text(encoding="utf-8") for one in chapters.sections()}
    if any("minae run 14.1 --out" in text for text in texts.values()):
        pytest.skip("the sections are not among the tests that run now")
    for one in chapters.sections():
        text = texts[one["number"]]
        assert 'data-frame="not-run"' not in text and 'data-frame="stale"' not in text, one["number"]
        assert [name for name in one["drawn"] if f'<figure id="figure-{name}">' not in text] == [], one["number"]
        assert text.count("<figure id=") == len(one["drawn"]) and 'class="verdicts"' in text, one["number"]


def test_errors_and_requests_are_noticed(browser, book):
    """The check of the pages can fail."""
    reader = Reader(browser, book)
    reader.open("index.html")
    reader("""() => { document.body.append(Object.assign(new Image(), {src: "https://example.invalid/a.png"}));
                      console.error("wrong"); setTimeout(() => { throw new Error("thrown"); }); }""")
    reader.page.wait_for_timeout(300)
    assert {"wrong", "thrown", "https://example.invalid/a.png"} <= set(reader.wrong)
    reader.context.close()


def test_axe_finds_no_violation(reader):
    for name in SOME:
        reader.open(name)
        assert violations(reader) == [], name
        reader.page.emulate_media(color_scheme="dark")  # where the colours alone are others
        assert violations(reader, "color-contrast") == [], name
        reader.page.emulate_media(color_scheme="light")
    reader("document.documentElement.style.setProperty('--ink', '#999')")
    assert violations(reader, "color-contrast")  # the check can fail


def test_axe_finds_no_violation_while_a_reader_searches_in_chinese(reader):
    page = reader.open("glossary.html")
    page.get_by_role("button", name="繁").click()
    page.locator("#search-box").fill("收縮")
    page.locator("#search-hits a").first.wait_for()
    page.locator("#glossary-filter-text").fill("流形")
    assert violations(reader) == []
    reader("document.querySelector('main').append(new Image())")
    assert any(one.startswith("image-alt") for one in violations(reader))  # the check can fail


def test_a_page_reads_in_english_without_script(browser, book):
    reader = Reader(browser, book, java_script_enabled=False)
    page = reader.open("14.7.html")
    assert page.locator("main math").count() > 20 and page.get_by_text("Two forces pull.").is_visible()
    assert not page.locator("[lang^=zh]").count() and page.locator("a.term").count() > 20
    assert not page.locator("#theme-switch").is_visible() and page.locator("nav.contents a").first.is_visible()
    reader.open("glossary.html")
    assert page.locator("#term-manifold").is_visible() and not page.locator("#glossary-filter").is_visible()
    assert reader.wrong == []
    reader.context.close()


# ---- search


FINDS = {
    "14.18": "equations.html#eq-14.18",
    "(14.2)": "equations.html#eq-14.2",
    "14.7": "14.7.html",
    "KL": "glossary.html#term-kl-divergence",
    "收縮": "glossary.html#term-contraction",
    "收缩自编码器": "14.7.html",
    "eigenvectors": "14.1.html#the-yardstick-pca",
    "Langevin": "14.5.1.html#sampling-by-langevin-steps",
    "voice conversion": "C.1.html",
    "check_gradient": "engine/minae.checks.html#check_gradient",
    "frechet distance": "glossary.html#term-fréchet-distance",
    "regularization": "glossary.html#term-regularizer",
    "lambda": "14.7.html#how-large-a-λ",
    "codebook commitment": "notation.html#symbol-",
}


def test_the_search_finds_what_it_should(reader):
    reader.open("14.7.html")
    reader("minae.loadSearch()")
    for query, address in FINDS.items():
        found = reader("query => minae.search(query).slice(0, 5).map((one) => one.url)", query)
        assert any(url.startswith(address) if address.endswith("-") else url == address for url in found), (
            query,
            found,
        )
    assert reader("minae.search('xyzzyq')") == []


def test_chinese_words_are_cut_and_numbers_stay_whole(reader):
    reader.open("index.html")
    words = reader("minae.tokenize('(14.5.1), C.3: 收縮自編碼器 check_gradient r(x̃)')")
    assert {"14.5.1", "C.3", "收縮", "check_gradient", "check", "gradient"} <= set(
        words
    ) and "收縮自編碼器" not in words
    assert reader("['Fréchet', 'Regularisation', 'lambda', 'noise', 'constructor'].map(minae.fold)") == [
        "frechet", "regularization", "λ", "noise", "constructor"
    ]  # fmt: skip


# ---- keyboard


def focused(reader):
    return reader("document.activeElement.id || document.activeElement.textContent.trim()")


def test_a_reader_needs_no_mouse(reader):
    page = reader.open("14.7.html")
    press = page.keyboard.press
    press("Tab")
    assert focused(reader) == "Skip to the text"
    press("Enter")
    assert focused(reader) == "the-text"
    press("/")
    assert focused(reader) == "search-box"
    page.keyboard.type("manifold")
    page.locator("#search-hits a").first.wait_for()
    press("ArrowDown")
    assert focused(reader).startswith("manifold")
    assert reader("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    press("Escape")
    assert focused(reader) == "search-box" and not page.locator("#search-hits").is_visible()
    press("Tab")
    press("Tab")
    assert focused(reader) == "繁"
    press("Enter")
    assert reader("document.documentElement.dataset.terms") == "zh-Hant"
    press("Tab")
    press("Tab")
    assert focused(reader) == "theme-switch"
    press("Space")
    assert reader("document.documentElement.dataset.theme") == "dark"
    for _ in range(200):  # every stop can be seen, and none is a trap
        press("Tab")
        box = reader("(({width, height}) => [width, height])(document.activeElement.getBoundingClientRect())")
        if reader("document.activeElement === document.body"):
            break
        assert min(box) > 0, focused(reader)
    page.locator("#search-box").fill("14.18")
    press("Enter")
    page.wait_for_url("**/equations.html#eq-14.18")
    assert page.locator("[id='eq-14.18']").is_visible()


def test_an_equation_leads_to_its_derivation_and_back(reader):
    """The way of a reader: 14.7, (14.18), its derivation, and back."""
    page = reader.open("index.html")
    page.get_by_role("main").get_by_role("link", name="14.7 Contractive").click()
    page.locator("[id='eq-14.18'] a.number").click()
    page.wait_for_url("**/equations.html#eq-14.18")
    page.locator("[id='eq-14.18'] li a").filter(has_text="contraction").first.click()
    page.wait_for_url("**/engine/minae.contraction.html*")
    assert page.locator("main").get_by_text("Derivation").count()
    page.locator("main a[href*='equations.html#eq-14.18']").first.click()
    page.locator("[id='eq-14.18'] a[href*='14.7.html']").first.click()
    page.wait_for_url("**/14.7.html#eq-14.18")


# ---- languages, dark, print, a server


def test_terms_and_the_frame_change_their_language(reader):
    page = reader.open("14.7.html")
    manifold, contents = page.locator("a.term[href$=term-manifold]").first, page.locator(".crumbs a").first
    before = manifold.inner_text()
    page.get_by_role("button", name="简").click()
    assert manifold.locator("[lang=zh-Hans]").inner_text() == "流形" and contents.get_attribute("lang") == "zh-Hans"
    assert (
        contents.inner_text() == "目录"
        and page.get_by_role("button", name="简").get_attribute("aria-pressed") == "true"
    )
    reader.open("14.1.html")  # the choice is kept
    assert page.locator(".crumbs a").first.inner_text() == "目录"
    assert page.locator("a.term[href$=term-reconstruction] [lang=zh-Hans]").first.inner_text() == "重构"
    page.get_by_role("button", name="繁").click()
    assert page.locator("a.term[href$=term-reconstruction] [lang=zh-Hant]").first.inner_text() == "重建"
    reader.open("14.7.html")
    page.get_by_role("button", name="English").click()
    assert manifold.inner_text() == before and contents.inner_text() == "Contents"
    assert not page.locator("main [lang^=zh]").count()


def test_no_term_is_marked_in_code_maths_headings_or_links(reader):
    reader.open("14.7.html")
    assert reader("document.querySelectorAll('.prose a.term').length") > 20
    inside = ":is(a, code, pre, math, h1, h2, h3, h4, h5, h6) a.term"
    assert reader("inside => document.querySelectorAll(inside).length", inside) == 0
    cells = reader("""Array.from(document.querySelectorAll('.prose'),
                                 (cell) => Array.from(cell.querySelectorAll('a.term'), (link) => link.href))""")
    assert all(len(set(links)) == len(links) for links in cells)


def test_the_glossary_is_filtered(reader):
    page = reader.open("glossary.html")
    rows = page.locator(".glossary tbody tr:visible")
    assert rows.count() == len(glossary.terms())
    page.locator("#glossary-filter-text").fill("訊號")
    assert 1 <= rows.count() < 5 and page.locator("#term-signal").is_visible()
    page.locator("#glossary-filter-text").fill("")
    page.locator(".letters a[data-letter=M]").click()
    assert set(
        reader("Array.from(document.querySelectorAll('.glossary tbody tr:not([hidden])'), (row) => row.dataset.letter)")
    ) == {"M"}
    reader("location.hash = '#term-code'")
    page.locator("#term-code").wait_for()  # a link to an entry that is filtered out shows it


BRIGHTNESS = (
    "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((a, b) => +a + +b, 0) / 765"
)


def test_dark(browser, book):
    reader = Reader(browser, book, color_scheme="dark")
    page = reader.open("14.7.html")
    assert reader(BRIGHTNESS) < 0.15
    page.locator("#theme-switch").click()
    assert reader(BRIGHTNESS) > 0.9
    reader.open("14.1.html")  # the choice is kept
    assert reader(BRIGHTNESS) > 0.9 and reader.wrong == []
    reader.context.close()


def test_a_section_prints_as_a_handout(reader):
    page = reader.open("14.7.html")
    page.emulate_media(media="print", color_scheme="dark")
    for gone in (".top", ".contents", ".turn", ".letters"):
        assert not page.locator(gone).first.is_visible()
    assert page.locator("main h1").is_visible() and page.locator("main figure img").first.is_visible()
    paper = page.pdf(format="A4")
    assert paper.startswith(b"%PDF") and 2 <= len(re.findall(rb"/Type\s*/Page\b", paper)) <= 40
    assert reader("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert reader("Array.from(document.images, (image) => image.naturalWidth > 0)").count(True) >= 1  # not seen before
    assert reader("Array.from(document.images).every((image) => image.naturalWidth > 0)")


def test_the_site_works_from_a_server(browser, book):
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    handler = functools.partial(quiet, directory=book)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        context = browser.new_context()
        page, wrong = context.new_page(), []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("response", lambda got: wrong.append(got.url) if got.status >= 400 else None)
        page.goto(f"http://127.0.0.1:{server.server_port}/14.7.html")
        page.locator("#search-box").fill("流形")
        page.locator("#search-hits a").first.click()
        page.wait_for_url("**/glossary.html#term-manifold")
        assert wrong == []
        context.close()
        server.shutdown()

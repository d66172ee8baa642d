"""The live parts of the book: what they say, where they stand, and that their steps agree with minae in a browser."""

import base64
import functools
import json
import re
import shutil

import numpy as np
import pytest

from minae import chapters, data
from minae.book import live

WITHIN = 1e-4  # of minae; the largest difference is some 6e-6
NAMES = sorted(place["name"] for place in live._places())


def near(ours, theirs, within=WITHIN):
    return float(np.abs(np.asarray(ours, float) - np.asarray(theirs, float)).max()) <= within


# ---- without a browser


def test_each_part_stands_under_a_heading_that_the_script_has():
    assert len(NAMES) == len(set(NAMES)) == 11
    found = []
    for section in chapters.sections():
        cells = sum(line.startswith("# %%") for line in section["path"].read_text(encoding="utf-8").splitlines())
        for part in live.parts(section["number"]):
            assert part.after is None or 0 < part.after <= cells
            found.append(part.name)
            assert part.sentence.endswith(".") and part.sentence.count(". ") == 0  # one sentence
            assert set(part.sources) <= set(live.SOURCES) and (live.SCRIPTS / f"{part.name}.js").is_file()
    assert sorted(found) == NAMES
    assert live.parts("14.7")[0].name == "contractive" and not live.parts("14.8")


def test_a_part_under_a_heading_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="no heading 'Nothing'"):
        live._cell("14.7", "Nothing")


def test_scripts_hold_no_address_and_no_module():
    for script in live.SCRIPTS.glob("*.js"):
        text = script.read_text(encoding="utf-8")
        assert not re.search(r"https?://|\bimport\b|\bexport\b|fetch\(|innerHTML", text), script.name
        assert not [line for line in text.splitlines() if len(line) > 120], script.name
    assert live.KEPT.stat().st_size < 1.5e6


def test_what_is_written_is_what_the_models_are(tmp_path):
    assert live.write(tmp_path) == sorted(live.SOURCES)
    text = (tmp_path / "live" / "data" / "contractive.js").read_text(encoding="utf-8")
    written = json.loads(text[text.index('"]=') + 3 : -2])
    q, s = (
        np.frombuffer(base64.b64decode(written["models"][3]["W"][key]), t) for key, t in (("q", "i1"), ("s", "<f4"))
    )
    model = live.model_of("contractive/1")
    assert near(q.reshape(784, 64) * s, model.parameters["W1"], 1e-7)
    assert not near(q.reshape(784, 64) * s, live.model_of("contractive/3").parameters["W1"])  # the check can fail


def test_what_the_sentences_say_is_so():
    """Of the families, in numbers: the code moves less as λ grows, and so on."""
    X, _ = live._shown()
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(X.shape)
    shift = np.diff(X.reshape(-1, 28, 28), axis=2, append=0).reshape(len(X), -1)
    stretch, above = {}, []
    for lam in live.FAMILIES["contractive"].values:
        J = live.model_of(f"contractive/{lam:g}").jacobian(X)
        for name, v in {"shift": shift, "noise": noise}.items():
            unit = v / np.linalg.norm(v, axis=1, keepdims=True)
            moved = np.linalg.norm(np.einsum("bmn,bn->bm", J, unit), axis=1).mean()
            stretch.setdefault(name, []).append(moved)
        above.append((np.linalg.svd(J, compute_uv=False) > 1).sum(axis=1).mean())
    assert (np.diff(above) < 0).all() and all((np.diff(s) < 0).all() for s in stretch.values())
    assert (np.array(stretch["shift"]) > 2 * np.array(stretch["noise"])).all()
    speaking = [(live.model_of(f"sparse/{rho:g}").encode(X) > 0.5).sum(axis=1).mean() for rho in (0.02, 0.1, 0.5)]
    assert speaking[0] < speaking[1] < speaking[2]
    silent = [sum(kl < 0.05 for kl in live._divergence(live.model_of(f"variational/{b:g}"), X)) for b in (1, 10, 30)]
    assert silent[0] == 0 < silent[1] < silent[2] == 6


def test_training_writes_all_that_is_kept(tmp_path, monkeypatch):
    """Two members of each family would do; here each has one, and no epoch but one."""
    for name, family in live.FAMILIES.items():
        monkeypatch.setitem(live.FAMILIES, name, family._replace(values=family.values[:1]))
    monkeypatch.setattr(live, "_voices", lambda *_: live.mu_law(np.zeros((6, 6, 8))))
    assert live.train(tmp_path / "live.npz", epochs=1, progress=False) > 1000
    with np.load(tmp_path / "live.npz") as small:
        assert set(small) < set(live._kept()) and small["contractive/0/W1.q"].shape == (784, 64)


# ---- in a browser


class Opened:
    """The page of all parts, opened from its folder without a network.     wrong: errors and requests that leave it"""

    def __init__(self, browser, folder, **options):
        self.context = browser.new_context(offline=True, **({"viewport": {"width": 1100, "height": 900}} | options))
        self.page, self.wrong = self.context.new_page(), []
        self.page.set_default_timeout(90_000)
        self.page.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda r: None if r.url.startswith("file:") else self.wrong.append(r.url))
        self.page.goto((folder / "live.html").as_uri())

    def part(self, name):
        """The element of a part, once it runs."""
        part = self.page.locator(f"[data-part={name}]")
        part.scroll_into_view_if_needed()
        self.page.wait_for_selector(f"[data-part={name}][data-state=ready]", state="attached")
        return part

    def __call__(self, expression, given=None):
        """A JavaScript function of `given`, whose arrays come back as lists."""
        plain = "v => JSON.parse(JSON.stringify(v, (k, x) => ArrayBuffer.isView(x) ? Array.from(x) : x))"
        return self.page.evaluate(f"given => ({plain})(({expression})(given))", given)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("live")
    live.page(folder)
    return folder


@pytest.fixture(scope="module")
def opened(browser, folder):
    opened = Opened(browser, folder)
    yield opened
    opened.context.close()
    assert not opened.wrong


@functools.cache
def shown():
    """The digits as the page has them: bytes over 255."""
    X, _ = live._shown()
    return (np.rint(255 * X) / 255).astype(np.float32)


E = "window.minae.engine"


def test_the_explorer_draws_what_the_decoders_give(opened):
    opened.part("explorer")
    for h in ([1.5, -2.0], [0.3, 0.4]):
        r = opened(f"h => ['autoencoder', 'variational'].map(k => {E}.explorer.decode(k, h))", h)
        row = np.array([h], np.float32)
        assert near(r[0], live.model_of("digits-2d").decode(row)[0])
        assert near(r[1], live.model_of("digits-variational-2d").decode(row)[0])
        assert not near(r[0], r[1])  # the check can fail
    from minae.chapters.classical import PCA

    pca = PCA(data.mnist().train, 2)
    assert near(opened(f"h => {E}.explorer.decode('pca', h)", [2.0, 1.0]), pca.decode(np.array([[2.0, 1.0]]))[0])


def test_the_contractive_family_agrees(opened):
    opened.part("contractive")
    x, v = shown()[4], np.random.default_rng(1).standard_normal(784)
    for k, lam in enumerate(live.FAMILIES["contractive"].values):
        model = live.model_of(f"contractive/{lam:g}")
        found = opened(
            f"g => {{ const e = {E}.contractive, h = e.encode(g.k, g.x);"
            " return {h, r: e.decode(g.k, h), push: e.push(g.k, g.x, g.v), ...e.singular(g.k, g.x, 2)}; }",
            dict(k=k, x=x.tolist(), v=v.tolist()),
        )
        J = model.jacobian(x[None])[0].astype(float)
        s, right = np.linalg.svd(J)[1:]
        assert near(found["h"], model.encode(x[None])[0]) and near(found["r"], model.reconstruct(x[None])[0])
        assert near(found["push"], J @ v) and near(found["s"], s)
        assert all(
            abs(abs(np.dot(one, two)) - 1) < WITHIN for one, two in zip(found["directions"], right, strict=False)
        )


def test_the_sparse_and_the_variational_family_agree(opened):
    opened.part("sparse"), opened.part("variational")
    x, eps = shown()[5], np.random.default_rng(2).standard_normal(6)
    for k, rho in enumerate(live.FAMILIES["sparse"].values):
        model = live.model_of(f"sparse/{rho:g}")
        h, r = opened(f"g => {{ const h = {E}.sparse.encode(g.k, g.x); return [h, {E}.sparse.decode(g.k, h)]; }}",
                      dict(k=k, x=x.tolist()))  # fmt: skip
        assert near(h, model.encode(x[None])[0]) and near(r, model.reconstruct(x[None])[0])
    for k, beta in enumerate(live.FAMILIES["variational"].values):
        model = live.model_of(f"variational/{beta:g}")
        found = opened(
            f"g => {{ const e = {E}.variational, q = e.encode(g.k, g.x), z = e.sample(q, g.eps);"
            " return {...q, z, r: e.decode(g.k, z), kl: e.divergence(q)}; }",
            dict(k=k, x=x.tolist(), eps=eps.tolist()),
        )
        mu, log_var = (part[0] for part in model.posterior(x[None]))
        z = mu + np.exp(log_var / 2) * eps
        assert near(found["mu"], mu) and near(found["logVar"], log_var) and near(found["z"], z)
        assert near(found["r"], model.decode(z[None].astype(np.float32))[0])
        cost = model.cost_and_grad(x[None], eps=eps[None].astype(np.float32), need_grad=False)
        assert abs(sum(found["kl"]) - float(cost["KL"])) < WITHIN


def test_the_gradient_of_the_playground_is_that_of_minae(opened):
    opened.part("gradient")
    model, x = live.checked_network()
    cost = model.cost_and_grad(x)
    found = opened(f"() => {E}.gradient.run()")
    assert near([found["cost"][term] for term in ("L", "Omega")], [cost["L"], cost["Omega"]], 1e-12)
    for short, name in {"W": "W1", "b": "b1", "V": "V1", "c": "c1"}.items():
        theirs = model.parameters.views(model.parameters.grad)[name].ravel()
        assert near(found["grad"][short], theirs, 1e-12)
        single = opened(f"() => {E}.gradient.run('none', true)")["grad"][short]
        assert near(single, theirs) and single != found["grad"][short]
        faulty = opened(f"() => {E}.gradient.run('zero')")["grad"][short]
        assert not near(faulty, theirs)  # the check can fail


def test_each_planted_fault_turns_its_parameters_red_and_one_none(opened):
    part = opened.part("gradient")
    red = {
        "none": "", "slope": "L W, L b", "bias": "L b, Omega b", "outputs": "L W, L b, L V, L c",
        "half": "Omega W, Omega b", "zero": "L W, L b, L V, L c, Omega W, Omega b", "sum": "",
    }  # fmt: skip
    for fault, cells in red.items():
        part.locator("select").select_option(fault)
        wrong = part.locator(".live-wrong")
        found = [wrong.nth(k).get_attribute("data-cell") for k in range(wrong.count())]
        assert ", ".join(found) == cells, fault
    part.locator("select").select_option("none")
    least = opened(f"() => ['one-sided', 'central', 'Richardson'].map(k => [false, true].map(single => "
                   f"{E}.gradient.curve('none', single, k, [1e-12, 1e-8, 1e-5, 1e-3, 1e-1])))")  # fmt: skip
    best = np.array(least).argmin(axis=2)
    assert best[:, 0].tolist() == [1, 2, 3]  # float64: the higher the order, the larger the best step (14.0)
    assert (best[:, 1] > best[:, 0]).any() and np.min(least[1][1]) > 1e3 * np.min(least[1][0])


def test_the_score_and_a_langevin_step_agree(opened):
    opened.part("score")
    model, rng = live.model_of("score"), np.random.default_rng(3)
    x, eps = rng.uniform(-3, 3, (20, 2)).astype(np.float32), rng.standard_normal((20, 2))
    learned = opened(f"x => x.map({E}.score.learned)", x.tolist())
    assert near(learned, model.score(x)) and not near(learned, opened(f"x => x.map({E}.score.exact)", x.tolist()))
    d2 = np.square(live.CENTRES - x[:, None]).sum(axis=2)
    v = live.DEVIATION**2 + live.SIGMA**2
    p = np.exp(-(d2 - d2.min(axis=1, keepdims=True)) / (2 * v))
    exact = (p / p.sum(axis=1, keepdims=True) @ live.CENTRES - x) / v
    assert near(opened(f"x => x.map({E}.score.exact)", x.tolist()), exact)
    step = opened(
        f"g => g.x.map((x, k) => {E}.score.langevin(x, {E}.score.learned(x), 0.05, g.eps[k]))",
        dict(x=x.tolist(), eps=eps.tolist()),
    )
    assert near(step, x + 0.025 * model.score(x) + np.sqrt(0.05) * eps)


def test_denoising_units_and_mosaic_agree(opened):
    opened.part("denoising"), opened.part("units"), opened.part("mosaic")
    x, u = shown()[3], np.random.default_rng(4).uniform(size=784)
    model = live.model_of("digits-denoising")
    x_tilde = np.where(u < 0.15, 1, np.where(u < 0.3, 0, x)).astype(np.float32)
    tilde = opened(f"g => {E}.denoising.corrupt(g.x, g.u, 0.3)", dict(x=x.tolist(), u=u.tolist()))
    assert near(tilde, x_tilde, 1e-6)
    walk = opened(f"x => {{ const r = {E}.denoising.reconstruct; return [r(x), r(r(x))]; }}", x_tilde.tolist())
    first = model.reconstruct(x_tilde[None])
    assert near(walk, np.concatenate([first, model.reconstruct(first)]))

    model = live.model_of("digits-sparse")
    pairs = opened(f"x => {E}.units.encode(x, 20)", x.tolist())
    h = np.zeros(400)
    h[[int(unit) for unit, _ in pairs]] = [value for _, value in pairs]
    assert near(h, model.encode(x[None])[0])
    assert near(opened(f"p => {E}.units.decode(p)", pairs), model.reconstruct(x[None])[0])
    h[int(pairs[0][0])] = 0
    assert near(opened(f"p => {E}.units.decode(p)", pairs[1:]), model.decode(h[None].astype(np.float32))[0])

    model = live.model_of("digits-vq")
    for x in shown()[:10]:
        symbols = opened(f"x => {E}.mosaic.encode(x)", x.tolist())
        assert symbols == model.indices(x[None])[0].tolist()
    symbols[2] = 17
    assert near(opened(f"k => {E}.mosaic.decode(k)", symbols), model.decode_indices(np.array([symbols]))[0])


def test_arithmetic_and_voices_agree(opened):
    opened.part("arithmetic"), opened.part("voices")
    a, b, c = shown()[[7, 11, 1]]
    model = live.model_of("variational/1")
    mu = model.posterior(np.stack([a, b, c]))[0]
    r = model.decode((mu[0] + 0.7 * (mu[1] - mu[2]))[None])[0]
    found = opened(f"g => {E}.arithmetic.combine(...g, 0.7)", [a.tolist(), b.tolist(), c.tolist()])
    assert near(found["code"], r) and near(found["pixels"], a + 0.7 * (b - c))
    wave = opened(f"() => {E}.voices.wave(1, 4)")
    assert (live.mu_law(np.array(wave)) == live._kept()["voices"][1, 4]).all() and 0.5 < max(wave) <= 1


def test_parts_move_by_mouse_and_by_keys(opened):
    page, part = opened.page, opened.part("explorer")
    said = part.locator(".live-say").first
    plane = part.locator("canvas.live-plane")
    box, before = plane.bounding_box(), said.inner_text()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 250, box["y"] + 120, steps=3)
    page.mouse.up()
    dragged = said.inner_text()
    plane.focus()
    page.keyboard.press("ArrowRight")
    assert before != dragged != said.inner_text() == plane.get_attribute("aria-valuetext")

    part = opened.part("contractive")
    slider, count = part.locator("input[type=range]").first, part.locator(".live-column .live-say")
    slider.focus()
    for _ in range(6):
        page.keyboard.press("ArrowLeft")
    assert "λ = 0:" in count.inner_text() and slider.get_attribute("aria-valuetext") == "0"
    page.keyboard.press("End")
    assert "λ = 10:" in count.inner_text()

    part = opened.part("denoising")
    pad, walk = part.locator("canvas.live-plane"), part.locator(".live-strip canvas")
    part.get_by_role("button", name="Clear").click()
    empty = walk.evaluate("c => c.toDataURL()")
    box = pad.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 40, steps=5)
    page.mouse.up()
    drawn = walk.evaluate("c => c.toDataURL()")
    page.keyboard.press("ArrowRight")
    page.keyboard.press(" ")
    assert len({empty, drawn, walk.evaluate("c => c.toDataURL()")}) == 3

    part = opened.part("units")
    said = part.locator(".live-say")
    part.locator(".live-tiles button").first.press("Enter")
    assert said.inner_text().startswith("19 of 400")
    assert part.locator(".live-tiles button").first.get_attribute("aria-pressed") == "false"

    part = opened.part("voices")
    part.get_by_role("button", name="theo in the voice of george").press("Enter")
    assert part.locator(".live-say").inner_text() == "theo says “seven” in the voice of george."


def test_all_parts_on_a_phone_in_the_dark_without_motion(browser, folder):
    phone = dict(viewport={"width": 360, "height": 740}, color_scheme="dark", reduced_motion="reduce", has_touch=True)
    opened = Opened(browser, folder, **phone)
    for name in NAMES:
        part = opened.part(name)
        unnamed = part.evaluate(
            "p => [...p.querySelectorAll('button, input, select, canvas')].filter(e => !e.closest('[aria-hidden]')"
            " && !e.getAttribute('aria-label') && !e.textContent.trim() && !(e.labels && e.labels.length)).length"
        )
        assert unnamed == 0, name
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert opened.part("score").get_by_role("button", name="Run").count() == 0  # nothing moves by itself
    plane = opened.part("explorer").locator("canvas.live-plane")
    before = plane.get_attribute("aria-valuetext")
    plane.tap(position={"x": 40, "y": 50})
    assert plane.get_attribute("aria-valuetext") != before
    opened.context.close()
    assert not opened.wrong


def test_a_data_script_that_is_missing_is_said_on_the_page(browser, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "site")
    (tmp_path / "site" / "live" / "data" / "score.js").unlink()
    opened = Opened(browser, tmp_path / "site")
    part = opened.page.locator("[data-part=score]")
    part.scroll_into_view_if_needed()
    opened.page.wait_for_selector("[data-part=score][data-state=failed]")
    assert "could not be loaded (data/score.js)" in part.locator(".live-wait").inner_text()
    opened.context.close()

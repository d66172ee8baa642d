/* The site's own script: theme, search, the menu on a phone. A page is whole without it. */
(function () {
  "use strict";
  const root = document.documentElement, base = root.dataset.root || "";
  window.minae = window.minae || {};
  const minae = window.minae;

  // ---- light and dark: the choice of the reader comes before that of the system
  const button = document.getElementById("theme-switch");
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const show = () => { button.textContent = dark() ? "Light" : "Dark"; };
  if (button) {
    button.hidden = false;
    show();
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      try { localStorage.setItem("minae-theme", root.dataset.theme); } catch (error) { /* no storage: for this page */ }
      show();
    });
  }

  // ---- on a phone the contents begin closed
  const menu = document.getElementById("contents-menu");
  if (menu) {
    const narrow = matchMedia("(max-width: 62rem)");
    const fold = () => { menu.open = !narrow.matches; };
    fold();
    narrow.addEventListener("change", fold);
    const here = menu.querySelector("[aria-current]"), box = menu.parentElement;
    if (here && !narrow.matches) box.scrollTop = here.offsetTop - box.clientHeight / 2;
  }

  // ---- what is wider than the page can be scrolled by keyboard
  const reach = () => document.querySelectorAll(".display, .scroll, .prose").forEach((box) => {
    if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
    else if (!box.hasAttribute("role")) box.removeAttribute("tabindex");
  });
  reach();
  addEventListener("resize", reach);

  // ---- search: the index is a classic script, loaded when the reader first goes to the box
  minae.tokenize = minae.tokenize || function (text) {
    const found = text.match(/\(?\b[A-Z0-9]+\.\d+(?:\.\d+)?\b\)?/g) || [];
    const words = [];
    if (window.Intl && Intl.Segmenter) {
      for (const part of new Intl.Segmenter("zh", { granularity: "word" }).segment(text)) {
        if (part.isWordLike) words.push(part.segment);
      }
    } else {
      words.push(...text.split(/[^\p{L}\p{N}]+/u).filter(Boolean));
    }
    return words.concat(found.map((number) => number.replace(/[()]/g, "")));
  };
  const input = document.getElementById("search-box"), hits = document.getElementById("search-hits");
  let index = null, loading = null, documents = [];
  const script = (source) => new Promise((resolve, reject) => {
    const element = document.createElement("script");
    element.src = base + source;
    element.onload = resolve;
    element.onerror = reject;
    document.head.append(element);
  });
  const load = () => loading = loading || script("static/vendor/minisearch.js").then(() => script("static/search-index.js")).then(() => {
    documents = window.minaeDocuments.map((row, id) => ({ id, address: row[0], title: row[1], text: row[2], kind: row[3] }));
    index = new MiniSearch({ fields: ["title", "text"], tokenize: (text) => minae.tokenize(text) });
    index.addAll(documents);
  });
  const plain = (text) => text.replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[sign]);
  function excerpt(text, terms) {
    const lower = text.toLowerCase();
    const places = terms.map((term) => lower.indexOf(term.toLowerCase())).filter((k) => k >= 0);
    const start = Math.max(0, Math.min(...(places.length ? places : [0])) - 50);
    let shown = plain((start ? "… " : "") + text.slice(start, start + 150) + (start + 150 < text.length ? " …" : ""));
    for (const term of terms) {
      if (term.length > 1) shown = shown.replace(new RegExp(plain(term).replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "gi"), "<b>$&</b>");
    }
    return shown;
  }
  minae.search = function (query) {
    const weight = { equation: 3, section: 1.6, glossary: 1.6, fault: 1.2, symbol: 1.2, engine: 0.8 };
    return index.search(query, {
      prefix: (term) => term.length > 2, fuzzy: (term) => term.length > 4 && !/\d/.test(term) ? 0.2 : false, boost: { title: 4 },
      boostDocument: (id) => weight[documents[id].kind] || 1,
    }).slice(0, 12).map((hit) => ({ ...documents[hit.id], terms: hit.terms }));
  };
  async function look() {
    const query = input.value.trim();
    if (!query) { hits.replaceChildren(); return; }
    await load();
    if (query !== input.value.trim()) return;
    const found = minae.search(query);
    hits.innerHTML = found.map((one) =>
      `<a href="${base}${one.address}"><b>${plain(one.title)}</b><small>${excerpt(one.text, one.terms)}</small></a>`).join("")
      || `<p>Nothing about “${plain(query)}”.</p>`;
  }
  if (input) {
    input.addEventListener("focus", () => load().catch(() => {}));
    input.addEventListener("input", look);
    input.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const first = hits.querySelector("a");
      if (first) location.href = first.href;
    });
    document.addEventListener("keydown", (event) => {
      const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);
      if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) { event.preventDefault(); input.focus(); }
      if (event.key === "Escape" && input.form.contains(document.activeElement)) { hits.replaceChildren(); input.blur(); }
      if ((event.key === "ArrowDown" || event.key === "ArrowUp") && input.form.contains(document.activeElement)) {
        const list = [input, ...hits.querySelectorAll("a")];
        const next = list.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
        if (list[next]) { event.preventDefault(); list[next].focus(); }
      }
    });
    document.addEventListener("click", (event) => { if (!input.form.contains(event.target)) hits.replaceChildren(); });
  }
})();

/* The search box. The index is a classic script, which is loaded when the reader first goes to the box; search.py says
   what it holds. Words are cut by Intl.Segmenter, which knows where a Chinese word ends, and folded: no capitals, no
   accents, one spelling of -ise and -ize, and the Greek letters by their names. */
(function () {
  "use strict";
  const minae = (window.minae = window.minae || {});
  const base = document.documentElement.dataset.root || "";
  const input = document.getElementById("search-box");
  const hits = document.getElementById("search-hits");
  const SHOWN = 12;
  const NUMBER = /(?:\d+|\b[A-Z])\.\d+(?:\.\d+)?/g;
  const CHINESE = /\p{Script=Han}/u;
  const GREEK = new Map(Object.entries({
    alpha: "α", beta: "β", gamma: "γ", delta: "δ", epsilon: "ε", eta: "η", theta: "θ", kappa: "κ", lambda: "λ",
    mu: "μ", nu: "ν", xi: "ξ", pi: "π", rho: "ρ", sigma: "σ", tau: "τ", phi: "φ", omega: "ω",
  }));
  const segmenter = window.Intl && Intl.Segmenter ? new Intl.Segmenter("zh", { granularity: "word" }) : null;

  // ---- words

  function pieces(text) {
    if (segmenter) return Array.from(segmenter.segment(text)).filter((part) => part.isWordLike).map((part) => part.segment);
    return text.match(/\p{Script=Han}|[^\P{L}\p{Script=Han}]+|\p{N}+/gu) || [];
  }

  /* "(14.18) and 收縮自編碼器" -> 14.18, and, 收縮, 自, 編碼, 器; a number such as 14.5.1 stays whole, and a name such as
     check_gradient is found whole and in parts. */
  minae.tokenize = function (text) {
    const numbers = text.match(NUMBER) || [];
    const words = pieces(text.replace(NUMBER, " "));
    return numbers.concat(words.flatMap((word) => {
      const parts = word.split(/[_.'’]+/).filter(Boolean);
      return word.includes("_") && parts.length > 1 ? [word, ...parts] : parts;
    }));
  };

  minae.fold = function (word) {
    const plain = word.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
    const greek = GREEK.get(plain) || plain;
    return greek.length > 5 ? greek.replace(/is(e|es|ed|er|ers|ing|ation|ations)$/, "iz$1") : greek;
  };

  // ---- the index

  let index = null;
  let loading = null;

  function script(source) {
    return new Promise((resolve, reject) => {
      const element = document.createElement("script");
      element.src = base + source;
      element.onload = resolve;
      element.onerror = reject;
      document.head.append(element);
    });
  }

  function build() {
    const { documents, translations } = minae.searchIndex;
    const words = (terms) => terms.map((term) => translations[term]).join(" ");
    index = new MiniSearch({
      fields: ["title", "number", "equations", "heading", "terms", "text"],
      storeFields: ["url", "title", "section", "text", "kind"],
      tokenize: minae.tokenize,
      processTerm: minae.fold,
    });
    index.addAll(documents.map(([url, title, section, text, equations, terms, kind], id) => ({
      id, url, title, section, number: section, text, kind,
      equations: equations.join(" "),
      heading: words(terms.filter((term) => title.split(" · ")[0].toLowerCase().includes(term.toLowerCase()))),
      terms: words(terms),
    })));
  }

  minae.loadSearch = function () {
    loading = loading || script("static/vendor/minisearch.js").then(() => script("static/search-index.js")).then(build);
    return loading;
  };

  // words of a question that are in every text
  const SMALL = new Set("a an and are be by can do does for from how i if in is it my not of on or that the to what when where which why with".split(" "));
  const WEIGHT = { glossary: 1.5, section: 1.3, equation: 1.2, symbol: 1, fault: 1, engine: 0.4 };

  /* What is found, the best first. All words have to be there; if nothing has all of them, then any. */
  minae.search = function (query) {
    const number = query.trim().replace(/^\(|\)$/g, "");
    const wanted = /^(?:\d+|[A-Za-z])\.\d+(?:\.\d+)?$/.test(number) ? number.toUpperCase() : null;
    const options = {
      prefix: (term) => !/\d/.test(term) && (term.length > 2 || CHINESE.test(term)),
      fuzzy: (term) => (term.length > 4 && !/\d/.test(term) && !CHINESE.test(term) ? 0.2 : false),
      boost: { title: 5, number: 2, equations: 2, heading: 4, terms: 1.5 },
      boostDocument: (id, term, kept) => {
        const named = wanted && (kept.title === `(${wanted})` || kept.title.startsWith(`${wanted} `));
        const same = minae.fold(kept.title.split(" · ")[0]) === minae.fold(query.trim());
        return (WEIGHT[kept.kind] || 1) * (named ? 20 : 1) * (same ? 5 : 1) * (kept.kind === "section" && !kept.url.includes("#") ? 1.5 : 1);
      },
    };
    const words = minae.tokenize(query).filter((word) => !SMALL.has(word.toLowerCase())).join(" ") || query;
    const all = index.search(words, { ...options, combineWith: "AND" });
    return all.length ? all : index.search(words, { ...options, combineWith: "OR" });
  };

  // ---- what the reader sees

  const say = (key, english) => (minae.say ? minae.say(key, english) : english);

  /* A part of the text around the first word that was found, with every such word marked. */
  function excerpt(text, terms, query) {
    const own = new Set([...terms, ...minae.tokenize(query).map(minae.fold)]);
    if (CHINESE.test(query)) {  // the English words of the terms that were found by their translation
      for (const [name, words] of Object.entries(minae.searchIndex.translations)) {
        if (words.includes(query)) minae.tokenize(words).map(minae.fold).forEach((word) => own.add(word));
      }
    }
    const parts = text.split(/(\s+|[(),;:])/);
    const found = parts.map((part) => {
      const words = minae.tokenize(part).map(minae.fold);
      return words.some((word) => own.has(word));
    });
    let first = found.indexOf(true);
    first = Math.max(0, (first < 0 ? 0 : first) - 16);
    const line = document.createElement("small");
    if (first) line.append("… ");
    parts.slice(first, first + 56).forEach((part, k) => {
      if (!found[first + k]) return line.append(part);
      const mark = document.createElement("mark");
      mark.textContent = part;
      line.append(mark);
    });
    if (first + 56 < parts.length) line.append(" …");
    return line;
  }

  function entry(one, query) {
    const link = document.createElement("a");
    link.href = base + one.url;
    const title = document.createElement("b");
    title.textContent = one.title;
    const kind = document.createElement("span");
    kind.className = "kind";
    kind.textContent = say(`kind-${one.kind}`, one.kind);
    link.append(title, " ", kind, excerpt(one.text, one.terms, query));
    const item = document.createElement("li");
    item.append(link);
    return item;
  }

  function close() {
    hits.hidden = true;
    hits.replaceChildren();
  }

  async function look() {
    const query = input.value.trim();
    if (!query) return close();
    await minae.loadSearch();
    if (query !== input.value.trim()) return undefined;
    const found = minae.search(query);
    const said = document.createElement("p");
    said.setAttribute("role", "status");
    said.textContent = found.length ? `${found.length > SHOWN ? `${SHOWN} / ` : ""}${found.length} ${say("found", "results")}` : say("nothing-found", "Nothing was found.");
    const list = document.createElement("ul");
    list.append(...found.slice(0, SHOWN).map((one) => entry(one, query)));
    hits.replaceChildren(said, ...(found.length ? [list] : []));
    hits.hidden = false;
    return undefined;
  }

  if (!input || !hits) return;
  const form = input.form;
  close();
  input.addEventListener("focus", () => minae.loadSearch().catch(() => {}));
  input.addEventListener("input", look);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    look().then(() => {
      const first = hits.querySelector("a");
      if (first) location.href = first.href;
    });
  });
  document.addEventListener("keydown", (event) => {
    const here = document.activeElement;
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(here.tagName);
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      input.focus();
    } else if (event.key === "Escape" && form.contains(here)) {
      close();
      input.focus();
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && form.contains(here)) {
      const stops = [input, ...hits.querySelectorAll("a")];
      const next = stops[stops.indexOf(here) + (event.key === "ArrowDown" ? 1 : -1)];
      if (next) {
        event.preventDefault();
        next.focus();
      }
    }
  });
  document.addEventListener("click", (event) => {
    if (!form.contains(event.target)) close();
  });
  form.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !form.contains(event.relatedTarget)) close();
  });
})();

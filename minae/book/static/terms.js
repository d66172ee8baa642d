/* The language of the terms: English, traditional or simplified Chinese. A page reads in English without this script.
   In Chinese, each marked term has its translation beside it, and the words of the site itself are replaced. */
(function () {
  "use strict";
  const minae = (window.minae = window.minae || {});
  const LANGUAGES = [["en", "English", "English"], ["zh-Hant", "繁", "繁體中文"], ["zh-Hans", "简", "简体中文"]];
  const KEY = { "zh-Hant": "hant", "zh-Hans": "hans" };
  const place = document.getElementById("language-switch");
  let language = "en";

  /* A word of the site in the present language. */
  minae.say = function (key, english) {
    const words = minae.frame && minae.frame.chinese[key];
    if (language === "en" || !words) return english || (minae.frame && minae.frame.english[key]) || key;
    return words[language === "zh-Hant" ? 0 : 1];
  };

  function speak(element, chinese) {
    if (chinese) element.lang = language;
    else element.removeAttribute("lang");
  }

  /* Every word that has a key: its text, the hint in an empty box, or the name that a screen reader says. */
  function frame() {
    document.querySelectorAll('#exercises, .outline a[href="#exercises"]').forEach((element) => {
      element.dataset.frame = "exercises";
    });
    document.querySelectorAll("[data-frame]").forEach((element) => {
      const key = element.dataset.frame;
      const own = element.placeholder === undefined ? "textContent" : "placeholder";
      if (element.dataset.english === undefined) element.dataset.english = element[own];
      const word = minae.say(key, element.dataset.english);
      if (element[own] !== word) element[own] = word;
      if (own === "textContent") speak(element, word !== element.dataset.english);
    });
    document.querySelectorAll("[data-frame-label]").forEach((element) => {
      if (element.dataset.englishLabel === undefined) element.dataset.englishLabel = element.getAttribute("aria-label");
      element.setAttribute("aria-label", minae.say(element.dataset.frameLabel, element.dataset.englishLabel));
    });
  }

  function terms() {
    document.querySelectorAll(".term-in-chinese").forEach((element) => element.remove());
    if (language === "en") return;
    document.querySelectorAll("a.term").forEach((element) => {
      const word = document.createElement("span");
      word.className = "term-in-chinese";
      word.lang = language;
      word.textContent = element.dataset[KEY[language]];
      element.append(word);
    });
  }

  function show(chosen) {
    language = chosen;
    document.documentElement.dataset.terms = chosen;
    frame();
    terms();
    place.querySelectorAll("button").forEach((button) => {
      button.setAttribute("aria-pressed", String(button.lang === chosen));
    });
    document.dispatchEvent(new CustomEvent("minae-language", { detail: chosen }));
  }

  // ---- the page of the glossary: one letter, or the terms that contain what is typed

  function glossary(box) {
    const filter = box.querySelector("input");
    const rows = Array.from(document.querySelectorAll(".glossary tbody tr"));
    const letters = Array.from(document.querySelectorAll(".letters a"));
    let letter = "";
    const choose = () => {
      const wanted = filter.value.trim().toLowerCase();
      let left = 0;
      rows.forEach((row) => {
        const own = row.dataset.letter === letter || !letter;
        row.hidden = !own || (wanted && !row.textContent.toLowerCase().includes(wanted));
        left += row.hidden ? 0 : 1;
      });
      box.querySelector("[role=status]").textContent = wanted || letter ? `${left} / ${rows.length}` : "";
      letters.forEach((link) => {
        if (link.dataset.letter === letter) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      });
    };
    box.hidden = false;
    filter.addEventListener("input", choose);
    letters.forEach((link) => link.addEventListener("click", (event) => {
      event.preventDefault();
      letter = link.dataset.letter;
      choose();
    }));
    choose();
    addEventListener("hashchange", () => {  // a link to an entry that is filtered out
      const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
      if (!target || !target.hidden) return;
      letter = filter.value = "";
      choose();
      target.scrollIntoView();
    });
  }
  const box = document.getElementById("glossary-filter");
  if (box) glossary(box);

  // ---- the switch

  if (!place) return;
  const group = document.createElement("div");
  group.className = "languages";
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", "Terms in");
  group.dataset.frameLabel = "language";
  for (const [code, short, name] of LANGUAGES) {
    const button = document.createElement("button");
    button.type = "button";
    button.lang = code;
    button.title = name;
    button.textContent = short;
    button.addEventListener("click", () => {
      try { localStorage.setItem("minae-language", code); } catch (error) { /* no storage: for this page */ }
      show(code);
    });
    group.append(button);
  }
  place.append(group);
  let kept = null;
  try { kept = localStorage.getItem("minae-language"); } catch (error) { /* no storage */ }
  show(KEY[kept] ? kept : "en");
})();

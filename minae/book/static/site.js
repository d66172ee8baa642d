/* The site's own script: theme, the menu on a phone. search.js and terms.js do the rest. A page is whole without it. */
(function () {
  "use strict";
  const root = document.documentElement;
  window.minae = window.minae || {};
  const minae = window.minae;

  // ---- light and dark: the choice of the reader comes before that of the system
  const button = document.getElementById("theme-switch");
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const say = (key, english) => minae.say ? minae.say(key, english) : english;
  const show = () => { button.textContent = dark() ? say("light", "Light") : say("dark", "Dark"); };
  if (button) {
    button.hidden = false;
    show();
    document.addEventListener("minae-language", show);
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
  const reach = () => document.querySelectorAll(".display, .scroll, main p, main li").forEach((box) => {
    if (/^(P|LI)$/.test(box.tagName)) box.classList.toggle("scroll", box.scrollWidth > box.clientWidth + 1);
    if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
    else if (!box.hasAttribute("role")) box.removeAttribute("tabindex");
  });
  reach();
  addEventListener("resize", reach);
})();

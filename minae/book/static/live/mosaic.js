// A digit as eight symbols of 64: change one of them, and see what the codebook can say in its place.
"use strict";
(function () {
  const minae = window.minae;
  const { el } = minae;
  const PARTS = 8;
  const ROWS = 64;
  const WIDTH = 8;

  let unpacked = null;
  const model = function () {
    if (!unpacked) {
      const { f, g, E } = minae.data.mosaic;
      unpacked = { f: minae.network(f), g: minae.network(g), E: minae.array(E) };
    }
    return unpacked;
  };
  const row = (part, k) => model().E.subarray((part * ROWS + k) * WIDTH, (part * ROWS + k + 1) * WIDTH);
  /** k of each part: argmin_k ‖z − e_k‖ */
  const encode = function (x) {
    const z = minae.forward(model().f, x);
    return minae.range(PARTS).map((part) => {
      const own = z.slice(part * WIDTH, part * WIDTH + WIDTH);
      const far = minae.range(ROWS).map((k) => minae.squared(own, row(part, k)));
      return far.indexOf(Math.min(...far));
    });
  };
  /** r of eight symbols. */
  const decode = function (symbols) {
    const e = new Float64Array(PARTS * WIDTH);
    symbols.forEach((k, part) => e.set(row(part, k), part * WIDTH));
    return minae.forward(model().g, e).map(minae.sigmoid);
  };
  minae.engine.mosaic = { encode, decode };

  minae.parts.mosaic = function (stage) {
    const digits = minae.digits().slice(0, 12);
    let chosen = 0;
    let part = 0;
    let symbols = [];
    const gallery = minae.gallery({
      label: "Digit x",
      digits,
      change: (to) => {
        chosen = to;
        anew();
      },
    });
    const original = minae.picture("x", { wide: 112, label: "the digit x" });
    const rebuilt = minae.picture("r, from the eight symbols", { wide: 112, label: "the reconstruction" });
    const say = el("p", { class: "live-say", "aria-live": "polite" });
    const places = minae.choice({
      label: "Symbol to change",
      value: "0",
      choices: minae.range(PARTS).map((k) => [String(k), "0"]),
      change: (to) => {
        part = Number(to);
        fill();
      },
    });
    const texts = places.element.querySelectorAll("label span");
    const tiles = el("div", {
      class: "live-tiles live-small",
      role: "group",
      "aria-label": "what each of 64 symbols would give",
    });
    const buttons = minae.range(ROWS).map((k) => {
      const canvas = el("canvas", { width: 28, height: 28, "aria-hidden": "true" });
      const button = minae.button(
        "",
        () => {
          symbols[part] = k;
          update();
        },
        { "aria-label": `symbol ${k}` },
      );
      button.append(canvas);
      tiles.append(button);
      return { button, canvas };
    });
    const update = function () {
      const r = decode(symbols);
      minae.grey(original.canvas, digits[chosen].x);
      minae.grey(rebuilt.canvas, r);
      symbols.forEach((k, at) => {
        texts[at].textContent = k;
      });
      buttons.forEach(({ button }, k) => button.setAttribute("aria-pressed", String(symbols[part] === k)));
      const error = minae.fixed(minae.squared(r, digits[chosen].x), 1);
      say.textContent = `Symbols ${symbols.join(" ")}, which are 48 bits; squared error ‖r − x‖² = ${error}.`;
    };
    const fill = function () {
      buttons.forEach(({ canvas }, k) => {
        minae.grey(canvas, decode(symbols.map((symbol, at) => (at === part ? k : symbol))));
      });
      update();
    };
    const anew = function () {
      symbols = encode(digits[chosen].x);
      fill();
    };
    const back = minae.button("Back to the code of x", anew);
    stage.append(
      gallery.element,
      minae.row(original.element, rebuilt.element, minae.column(say, back)),
      places.element,
      el(
        "p",
        { class: "live-key" },
        "The mosaic shows r for each of the 64 symbols that may stand at this place. Press one to take it.",
      ),
      tiles,
    );
    anew();
    minae.onTheme(fill);
  };
})();

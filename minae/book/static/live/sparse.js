// One sparse autoencoder for each ρ: the rarer a unit speaks, the more its weights look like a piece of a digit.
"use strict";
(function () {
  const minae = window.minae;
  const { el } = minae;
  const UNITS = 64;

  const unpacked = {};
  const model = function (k) {
    if (!unpacked[k]) {
      const { W, b, V, c } = minae.data.sparse.models[k];
      unpacked[k] = { W: minae.array(W), b: minae.array(b), V: minae.array(V), c: minae.array(c) };
    }
    return unpacked[k];
  };
  /** h = σ(x W + b) of the model of the k-th ρ, and r = σ(h V + c). */
  const encode = (k, x) => minae.affine(x, model(k).W, model(k).b, 784, UNITS).map(minae.sigmoid);
  const decode = (k, h) => minae.affine(h, model(k).V, model(k).c, UNITS, 784).map(minae.sigmoid);
  minae.engine.sparse = { encode, decode };

  minae.parts.sparse = function (stage) {
    const { values, rates } = minae.data.sparse;
    let k = values.indexOf(0.1);
    let chosen = 0;
    let last = null;
    const { digits, slider: rho, gallery } = minae.family({
      label: "target ρ of a unit's mean",
      values,
      start: values[k],
      change: (to, digit) => {
        k = to;
        chosen = digit;
        update();
      },
    });
    const original = minae.picture("x", { label: "the digit x" });
    const rebuilt = minae.picture("r = g(f(x))", { label: "its reconstruction" });
    const tiles = el("canvas", { role: "img" });
    const bars = el("canvas", { role: "img" });
    const say = el("p", { class: "live-say", "aria-live": "polite" });
    const spare = el("canvas", { width: 28, height: 28 });

    const drawTiles = minae.plot(tiles, 330, 330, (context, width, height, colour) => {
      const side = width / 8;
      context.imageSmoothingEnabled = false;
      for (let j = 0; j < UNITS; j++) {
        const [u, v] = [(j % 8) * side, Math.floor(j / 8) * side];
        minae.signed(spare, model(k).V.subarray(784 * j, 784 * j + 784));
        context.drawImage(spare, u + 3, v + 3, side - 6, side - 6);
        context.strokeStyle = minae.css(colour.accent, last.h[j]);
        context.lineWidth = 3;
        context.strokeRect(u + 1.5, v + 1.5, side - 3, side - 3);
      }
      context.lineWidth = 1;
    });
    const drawBars = minae.plot(bars, 330, 150, (context, width, height, colour) => {
      const sorted = Array.from(last.h).sort((a, b) => b - a);
      const wide = (width - 40) / UNITS;
      context.fillStyle = context.strokeStyle = minae.css(colour.ink);
      context.textAlign = "right";
      for (const value of [0, 0.5, 1]) context.fillText(String(value), 28, 12 + 108 * (1 - value) + 4);
      context.textAlign = "center";
      context.fillText("h of the 64 units, from the largest", width / 2 + 14, height - 8);
      sorted.forEach((value, j) => {
        context.fillStyle = minae.css(colour.accent, 0.85);
        context.fillRect(34 + j * wide, 120 - 108 * value, wide - 1, 108 * value);
      });
      context.beginPath();
      context.moveTo(34, 120.5);
      context.lineTo(width - 4, 120.5);
      context.stroke();
    });
    const update = function () {
      const { x } = digits[chosen];
      const h = encode(k, x);
      const r = decode(k, h);
      last = { h };
      minae.grey(original.canvas, x);
      minae.grey(rebuilt.canvas, r);
      const active = Array.from(h).filter((value) => value > 0.5).length;
      say.textContent =
        `ρ = ${values[k]}: a unit’s mean over test digits is ${minae.fixed(rates[k], 3)}; ${active} of ` +
        `64 units are above ½ for this digit; squared error ‖r − x‖² = ${minae.fixed(minae.squared(r, x), 1)}.`;
      tiles.setAttribute(
        "aria-label",
        `The decoder's weights of the 64 units; those that this digit uses are framed. ${say.textContent}`,
      );
      bars.setAttribute("aria-label", `Bars of the 64 units. ${say.textContent}`);
      drawTiles();
      drawBars();
    };
    const framed = el("figure", { class: "live-picture live-wide" }, tiles);
    framed.append(el("figcaption", {}, "what each unit adds to r; the units that x uses are framed"));
    stage.append(
      rho.element,
      gallery.element,
      minae.row(framed, minae.column(minae.row(original.element, rebuilt.element), bars)),
      say,
    );
    minae.onTheme(update);
  };
})();

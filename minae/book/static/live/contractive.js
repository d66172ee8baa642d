// One contractive autoencoder for each λ: which directions of x does its code still hear?     (14.18)
"use strict";
(function () {
  const minae = window.minae;
  const { el } = minae;
  const UNITS = 64;

  const unpacked = {};
  const model = function (k) {
    if (!unpacked[k]) {
      const { W, b, c } = minae.data.contractive.models[k];
      unpacked[k] = { W: minae.array(W), b: minae.array(b), c: minae.array(c) };
    }
    return unpacked[k];
  };

  /** h = σ(x W + b) of the model of the k-th λ. */
  const encode = (k, x) => minae.affine(x, model(k).W, model(k).b, 784, UNITS).map(minae.sigmoid);
  /** r = σ(h Wᵀ + c) */
  const decode = (k, h) => minae.affine(h, model(k).W, model(k).c, UNITS, 784, true).map(minae.sigmoid);
  const slopes = (h) => h.map((value) => value * (1 - value)); // φ'(a) = h (1 − h)

  /** Jf v = diag φ'(a) Wᵀ v */
  const push = function (k, x, v) {
    const slope = slopes(encode(k, x));
    return minae.affine(v, model(k).W, new Float64Array(UNITS), 784, UNITS).map((value, j) => slope[j] * value);
  };

  /** W'W of the k-th model, which the singular values at every x share. */
  const gram = function (k) {
    const one = model(k);
    if (!one.gram) {
      one.gram = new Float64Array(UNITS * UNITS);
      for (let i = 0; i < 784; i++) {
        for (let j = 0; j < UNITS; j++) {
          const w = one.W[i * UNITS + j];
          for (let l = 0; l <= j; l++) one.gram[j * UNITS + l] += w * one.W[i * UNITS + l];
        }
      }
      for (let j = 0; j < UNITS; j++) for (let l = 0; l < j; l++) one.gram[l * UNITS + j] = one.gram[j * UNITS + l];
    }
    return one.gram;
  };

  /** Singular values of Jf at x, from the largest, and the first `count` right singular vectors (pixels).
   *  Jf Jf' = diag φ' W'W diag φ' has the eigenvalues s² and the eigenvectors u; and v = Jf' u/s. */
  const singular = function (k, x, count = 6) {
    const slope = slopes(encode(k, x));
    const G = gram(k);
    const both = Float64Array.from(G, (value, at) => value * slope[Math.floor(at / UNITS)] * slope[at % UNITS]);
    const { values, vectors } = minae.eigen(both, UNITS);
    const s = values.map((value) => Math.sqrt(Math.max(value, 0)));
    const directions = minae.range(count).map((at) => {
      const scaled = vectors[at].map((value, j) => (value * slope[j]) / Math.max(s[at], 1e-12));
      return minae.affine(scaled, model(k).W, new Float64Array(784), UNITS, 784, true);
    });
    return { s, directions };
  };
  minae.engine.contractive = { encode, decode, push, singular };

  const unit = function (v) {
    const length = minae.norm(v) || 1;
    return Float64Array.from(v, (value) => value / length);
  };
  /** Small changes of a picture that keep it a picture of the same thing, and one that does not; each of length 1. */
  const changes = function (x, seed) {
    const at = (row, column) => (row < 0 || column < 0 || row > 27 || column > 27 ? 0 : x[28 * row + column]);
    const each = (make) => unit(minae.range(784).map((i) => make(Math.floor(i / 28), i % 28)));
    const across = (r, c) => (at(r, c - 1) - at(r, c + 1)) / 2;
    const down = (r, c) => (at(r - 1, c) - at(r + 1, c)) / 2;
    const { normal } = minae.random(seed);
    return {
      "shift right": each(across),
      "shift down": each(down),
      turn: each((r, c) => (r - 13.5) * across(r, c) - (c - 13.5) * down(r, c)),
      "random noise": unit(minae.range(784).map(normal)),
    };
  };

  minae.parts.contractive = function (stage) {
    const { values } = minae.data.contractive;
    let k = values.indexOf(1);
    let chosen = 0;
    let way = "shift right";
    let last = null;

    const { digits, slider: lam, gallery } = minae.family({
      label: "weight λ of ‖Jf‖²",
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
    const features = minae.picture("the weights of the 64 units: orange above 0, blue below", { wide: 238 });
    const heard = minae.picture("the six directions in which the code moves most at x", { wide: 252 });
    const curve = el("canvas", { role: "img" });
    const bars = el("canvas", { role: "img" });
    const moved = minae.picture("x + ε v", { label: "the digit after a step" });
    const after = minae.picture("its reconstruction");
    const ways = ["shift right", "shift down", "turn", "random noise"];
    const which = minae.choice({
      label: "Direction v",
      value: way,
      choices: ways.map((name) => [name, name]),
      change: (to) => {
        way = to;
        step();
      },
    });
    const epsilon = minae.slider({
      label: "length ε of the step",
      min: 0,
      max: 5,
      step: 0.1,
      value: 2,
      words: (v) => minae.fixed(v, 1),
      change: () => step(),
    });
    const say = el("p", { class: "live-say", "aria-live": "polite" });
    const count = el("p", { class: "live-say", "aria-live": "polite" });

    const drawCurve = minae.plot(curve, 330, 210, (context, width, height, colour) => {
      const X = (j) => 38 + ((width - 48) * j) / 39;
      const Y = (s) => 12 + (height - 46) * (1 - (Math.log10(Math.max(s, 3e-3)) + 2.5) / 3.5);
      context.fillStyle = context.strokeStyle = minae.css(colour.ink);
      context.textAlign = "right";
      for (const s of [0.01, 0.1, 1, 10]) {
        context.fillText(String(s), 32, Y(s) + 4);
        context.globalAlpha = s === 1 ? 0.9 : 0.15;
        context.setLineDash(s === 1 ? [5, 4] : []);
        context.beginPath();
        context.moveTo(38, Y(s));
        context.lineTo(width - 10, Y(s));
        context.stroke();
        context.globalAlpha = 1;
      }
      context.setLineDash([]);
      context.textAlign = "center";
      context.fillText("the 40 largest singular values of Jf at x", width / 2 + 14, height - 6);
      context.textAlign = "left";
      context.fillText("expands", 44, Y(10) + 14);
      context.fillText("contracts", 44, Y(0.003) - 5);
      last.all.forEach((s, place) => {
        context.strokeStyle = place === k ? minae.css(colour.accent) : minae.css(colour.ink, 0.22);
        context.lineWidth = place === k ? 2.5 : 1;
        context.beginPath();
        s.slice(0, 40).forEach((value, j) => context[j ? "lineTo" : "moveTo"](X(j), Y(value)));
        context.stroke();
      });
      context.lineWidth = 1;
    });
    const drawBars = minae.plot(bars, 330, 150, (context, width, height, colour) => {
      const most = 1.2;
      const X = (value) => 110 + (width - 155) * Math.min(1, value / most);
      ways.forEach((name, row) => {
        const y = 8 + row * 28;
        context.fillStyle = minae.css(name === "random noise" ? colour.ink : colour.accent, name === way ? 1 : 0.55);
        context.fillRect(110, y, X(last.stretch[name]) - 110, 18);
        context.fillStyle = minae.css(colour.ink);
        context.textAlign = "right";
        context.fillText(name, 102, y + 13);
        context.textAlign = "left";
        context.fillText(minae.fixed(last.stretch[name]), X(last.stretch[name]) + 5, y + 13);
      });
      context.strokeStyle = minae.css(colour.ink);
      context.setLineDash([5, 4]);
      context.beginPath();
      context.moveTo(X(1), 2);
      context.lineTo(X(1), 120);
      context.stroke();
      context.setLineDash([]);
      context.textAlign = "center";
      context.fillText("‖Jf v‖: how far the code moves for a step of length 1", width / 2, height - 8);
    });

    const step = function () {
      const { x } = digits[chosen];
      const v = last.changes[way];
      const far = epsilon.value();
      const there = Float64Array.from(x, (value, i) => value + far * v[i]);
      const h = encode(k, x);
      const move = Math.sqrt(minae.squared(encode(k, there), h));
      minae.grey(moved.canvas, there);
      minae.grey(after.canvas, decode(k, encode(k, there)));
      const ratio = far ? `, ${minae.fixed(move / far)} for each unit of length` : "";
      say.textContent = `A step of ${minae.fixed(far, 1)} (${way}) moves the code by ${minae.fixed(move)}${ratio}.`;
      drawBars();
    };
    const update = function () {
      const { x } = digits[chosen];
      const all = values.map((_, place) => singular(place, x, 0).s);
      const { s, directions } = singular(k, x);
      last = { all, changes: changes(x, chosen + 1), stretch: {} };
      for (const name of ways) last.stretch[name] = minae.norm(push(k, x, last.changes[name]));
      last.stretch["random noise"] = minae.norm(s) / 28; // √E‖Jf v‖² over all v of length 1: ‖Jf‖/√784
      const r = decode(k, encode(k, x));
      minae.grey(original.canvas, x);
      minae.grey(rebuilt.canvas, r);
      const { W } = model(k);
      minae.sheet(
        features.canvas,
        minae.range(UNITS).map((j) => minae.range(784).map((i) => W[i * UNITS + j])),
        8,
        "signed",
      );
      minae.sheet(heard.canvas, directions, 6, "signed");
      const expanding = s.filter((value) => value > 1).length;
      const times = last.stretch["shift right"] / last.stretch["random noise"];
      count.textContent =
        `λ = ${values[k]}: ‖Jf‖ = ${minae.fixed(minae.norm(s))}; ${expanding} of 64 singular values are above 1; ` +
        `a shift moves the code ${minae.fixed(times, 1)} times as far as noise; ` +
        `squared error ‖r − x‖² = ${minae.fixed(minae.squared(r, x), 1)}.`;
      curve.setAttribute("aria-label", `Singular values of Jf at x on a logarithmic axis. ${count.textContent}`);
      bars.setAttribute("aria-label", ways.map((name) => `${name}: ${minae.fixed(last.stretch[name])}`).join("; "));
      drawCurve();
      step();
    };
    stage.append(
      lam.element,
      gallery.element,
      minae.row(original.element, rebuilt.element, minae.column(heard.element, count)),
      minae.row(features.element, curve),
      which.element,
      epsilon.element,
      minae.row(moved.element, after.element, bars),
      say,
      el(
        "p",
        { class: "live-key" },
        "In the curves, grey is the other λ, and what is below 0.003 is drawn there. In the bars, noise stands for " +
          "the mean over all directions, and the dashed line for a code that moves as far as x.",
      ),
    );
    minae.onTheme(update);
  };
})();

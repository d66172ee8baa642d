// A gradient check by hand: a contractive autoencoder 4-3-4 on five rows, its gradient as derived, and as differences.
"use strict";
(function () {
  const minae = window.minae;
  const { el } = minae;
  const NAMES = ["W", "b", "V", "c"];
  const TERMS = ["L", "Omega"];

  const zeros = (like) => Object.fromEntries(NAMES.map((name) => [name, new Float64Array(like[name].length)]));

  /** {L, Omega}, and for J = wL L + wO Ω the gradient {W, b, V, c}, as minae/models/contractive.py computes it.
   *  fr rounds every result: Math.fround for float32, or the identity. fault: see FAULTS. */
  const costAndGrad = function (theta, x, { fr, weights, fault, needGrad = true }) {
    const n = x[0].length;
    const m = theta.b.length;
    const B = x.length;
    const { W, b, V, c } = theta;
    const wL = weights.L;
    const wO = weights.Omega;
    const d = zeros(theta);
    let L = 0;
    let Omega = 0;
    const w = minae.range(m).map((j) => {
      let sum = 0;
      for (let i = 0; i < n; i++) sum = fr(sum + fr(W[i * m + j] * W[i * m + j]));
      return sum;
    });
    for (const row of x) {
      const h = new Float64Array(m);
      for (let j = 0; j < m; j++) {
        let a = b[j];
        for (let i = 0; i < n; i++) a = fr(a + fr(row[i] * W[i * m + j]));
        h[j] = fr(1 / fr(1 + fr(Math.exp(-a)))); // h = σ(x W + b)
      }
      const ds = new Float64Array(n);
      let square = 0;
      for (let i = 0; i < n; i++) {
        let s = c[i];
        for (let j = 0; j < m; j++) s = fr(s + fr(h[j] * V[j * n + i])); // r = h V + c
        const e = fr(s - row[i]);
        square = fr(square + fr(e * e));
        ds[i] = fr(fr(e / B) * wL);
      }
      L = fr(L + fr(fr(0.5 * square) / B)); // L = ½ ‖r − x‖², mean over the rows
      const slope = h.map((value) => fr(value * fr(1 - value)));
      const u = new Float64Array(n); // Σ_j ∇h_j, which only the fault "sum" needs
      let norm = 0;
      if (fault === "sum") {
        for (let i = 0; i < n; i++) for (let j = 0; j < m; j++) u[i] = fr(u[i] + fr(slope[j] * W[i * m + j]));
        for (let i = 0; i < n; i++) norm = fr(norm + fr(u[i] * u[i]));
      } else for (let j = 0; j < m; j++) norm = fr(norm + fr(fr(slope[j] * slope[j]) * w[j])); // ‖Jf‖² = Σ_j φ'² ‖W_j‖²
      Omega = fr(Omega + fr(norm / B));
      if (!needGrad) continue;

      // the same lines, upward
      const da = new Float64Array(m);
      for (let j = 0; j < m; j++) {
        let dh = 0;
        for (let i = 0; i < n; i++) {
          d.V[j * n + i] = fr(d.V[j * n + i] + fr(h[j] * ds[i]));
          dh = fr(dh + fr(ds[i] * V[j * n + i]));
        }
        da[j] = fault === "slope" ? dh : fr(dh * slope[j]);
      }
      for (let i = 0; i < n; i++) d.c[i] = fr(d.c[i] + ds[i]);
      const scale = ((fault === "half" ? 1 : 2) * wO) / B;
      for (let j = 0; j < m; j++) {
        const curve = fr(slope[j] * fr(1 - fr(2 * h[j]))); // φ''(a)
        let part = fr(w[j] * slope[j]);
        if (fault === "sum") {
          part = 0;
          for (let i = 0; i < n; i++) part = fr(part + fr(u[i] * W[i * m + j]));
        }
        da[j] = fr(da[j] + fr(fr(scale * part) * curve));
        for (let i = 0; i < n; i++) {
          const own = fault === "sum" ? fr(u[i] * slope[j]) : fr(W[i * m + j] * fr(slope[j] * slope[j]));
          d.W[i * m + j] = fr(fr(d.W[i * m + j] + fr(scale * own)) + fr(row[i] * da[j]));
        }
        d.b[j] = fr(d.b[j] + (fault === "bias" ? fr(da[j] / B) : da[j]));
      }
    }
    if (fault === "outputs") L = fr(L / n); // reported as a mean over the outputs; the gradient is that of the sum
    if (fault === "zero") for (const name of NAMES) d[name] = d[name].map((value) => fr(2 * value));
    return { cost: { L, Omega }, grad: d, J: fr(fr(wL * L) + fr(wO * Omega)) };
  };

  /** The numeric gradient by a difference of step ε.     kind: "one-sided", "central" or "Richardson" */
  const numeric = function (theta, x, epsilon, kind, settings) {
    const { fr } = settings;
    const at = function (name, k, move) {
      const there = { ...theta, [name]: theta[name].slice() };
      there[name][k] = fr(there[name][k] + move);
      return costAndGrad(there, x, { ...settings, needGrad: false }).J;
    };
    const out = zeros(theta);
    for (const name of NAMES) {
      for (let k = 0; k < out[name].length; k++) {
        const central = (step) => fr(fr(at(name, k, step) - at(name, k, -step)) / fr(2 * step));
        if (kind === "one-sided") out[name][k] = fr(fr(at(name, k, epsilon) - at(name, k, 0)) / epsilon);
        else if (kind === "central") out[name][k] = central(epsilon);
        else out[name][k] = fr(fr(fr(4 * central(epsilon)) - central(2 * epsilon)) / 3);
      }
    }
    return out;
  };

  /** ‖a − n‖/‖a + n‖, and 0 where both are 0. */
  const error = function (a, n) {
    const up = minae.norm(a.map((value, k) => value - n[k]));
    const down = minae.norm(a.map((value, k) => value + n[k]));
    return up === 0 ? 0 : up / down;
  };

  const given = function (single) {
    const { theta, x } = minae.data.gradient;
    const cast = (list) => Float64Array.from(list, single ? Math.fround : (value) => value);
    return { theta: Object.fromEntries(NAMES.map((name) => [name, cast(theta[name])])), x: x.map(cast) };
  };
  minae.engine.gradient = {
    /** For the tests: cost and gradient of the given network. */
    run(fault = "none", single = false, weights = { L: 1, Omega: 1 }) {
      const { theta, x } = given(single);
      return costAndGrad(theta, x, { fr: single ? Math.fround : (v) => v, weights, fault });
    },
    /** term -> parameter -> error of the check */
    check(fault, single, kind, epsilon) {
      const { theta, x } = given(single);
      const fr = single ? Math.fround : (v) => v;
      const table = {};
      for (const term of TERMS) {
        const settings = { fr, fault, weights: { L: Number(term === "L"), Omega: Number(term === "Omega") } };
        const { grad } = costAndGrad(theta, x, settings);
        const slope = numeric(theta, x, epsilon, kind, settings);
        table[term] = Object.fromEntries(NAMES.map((name) => [name, error(grad[name], slope[name])]));
      }
      return table;
    },
    /** The error of the whole gradient of J = L + Ω for each ε. */
    curve(fault, single, kind, steps) {
      const { theta, x } = given(single);
      const settings = { fr: single ? Math.fround : (v) => v, fault, weights: { L: 1, Omega: 1 } };
      const flat = (parts) => Float64Array.from(NAMES.flatMap((name) => Array.from(parts[name])));
      const grad = flat(costAndGrad(theta, x, settings).grad);
      return steps.map((epsilon) => error(grad, flat(numeric(theta, x, epsilon, kind, settings))));
    },
  };

  const FAULTS = {
    none: [
      "no fault",
      "The gradient is right. Find the step at which the check sees this best, in float64 and in float32.",
    ],
    slope: ["σ′ is forgotten: da = dh", "L reaches W and b through the sigmoid: these two turn red, V and c do not."],
    bias: ["the bias takes a mean, not a sum", "Only b turns red: the fault lies in one line."],
    outputs: [
      "the loss averages over outputs, its gradient does not",
      "Each parameter is wrong by one factor, as in a well-known MLP regressor: the fault lies in the loss.",
    ],
    half: [
      "the contraction's gradient is half",
      "Ω turns red and L stays right. A check of J alone would not say where to look.",
    ],
    zero: ["zero_grad is forgotten", "All gradients are doubled: each holds that of the step before as well."],
    sum: [
      "the contraction is ‖Σ ∇h_j‖², not Σ ‖∇h_j‖²",
      "Nothing turns red! The gradient is right, and the cost is another one. Differences cannot see this fault.",
    ],
  };
  const KINDS = ["one-sided", "central", "Richardson"];
  const words = (value) => (value === 0 ? "0" : value.toExponential(1).replace("-", "−"));

  minae.parts.gradient = function (stage) {
    const { check, curve } = minae.engine.gradient;
    let fault = "none";
    let kind = "central";
    let single = false;
    const faults = minae.select({
      label: "Plant a fault",
      value: fault,
      choices: Object.entries(FAULTS).map(([key, [text]]) => [key, text]),
      change: (to) => {
        fault = to;
        update();
      },
    });
    const kinds = minae.choice({
      label: "Difference",
      value: kind,
      choices: KINDS.map((k) => [k, k]),
      change: (to) => {
        kind = to;
        update();
      },
    });
    const types = minae.choice({
      label: "Numbers",
      value: "float64",
      choices: [
        ["float64", "float64"],
        ["float32", "float32"],
      ],
      change: (to) => {
        single = to === "float32";
        update();
      },
    });
    const epsilon = minae.slider({
      label: "step ε",
      min: -13,
      max: 0,
      step: 0.25,
      value: -5,
      words: (power) => words(10 ** power),
      change: () => update(false),
    });
    const body = el("tbody");
    const head = el("tr", {}, el("th", { scope: "col" }, "term"));
    NAMES.forEach((name) => head.append(el("th", { scope: "col" }, `∂/∂${name}`)));
    const table = el("table", { class: "live-table" });
    table.append(el("caption", {}, "error ‖a − n‖/‖a + n‖ of each parameter’s gradient"), el("thead", {}, head), body);
    const say = el("p", { class: "live-say", "aria-live": "polite" });
    const canvas = el("canvas", { role: "img" });
    const steps = minae.range(53).map((k) => 10 ** (-13 + k / 4));
    let curves = null;

    const draw = minae.plot(canvas, 420, 260, (context, width, height, colour) => {
      const X = (power) => 46 + ((width - 58) * (power + 13)) / 13;
      const Y = (value) => 10 + ((height - 50) * (1 - Math.log10(Math.min(10, Math.max(value, 1e-14))))) / 15;
      context.fillStyle = context.strokeStyle = minae.css(colour.ink);
      for (const power of [0, -2, -4, -6, -8, -10, -12, -14]) {
        context.textAlign = "right";
        context.fillText(`1e${power}`.replace("-", "−"), 42, Y(10 ** power) + 4);
        context.globalAlpha = 0.12;
        context.fillRect(46, Y(10 ** power), width - 58, 1);
        context.globalAlpha = 1;
      }
      context.textAlign = "center";
      for (const power of [-12, -9, -6, -3, 0]) context.fillText(`1e${power}`.replace("-", "−"), X(power), height - 24);
      context.fillText("step ε; up: error of the gradient of J = L + Ω", width / 2 + 20, height - 6);
      const styles = { "one-sided": [2, 3], central: [8, 4], Richardson: [] };
      for (const name of KINDS) {
        context.strokeStyle = name === kind ? minae.css(colour.accent) : minae.css(colour.ink, 0.5);
        context.lineWidth = name === kind ? 2.5 : 1.2;
        context.setLineDash(styles[name]);
        context.beginPath();
        curves[name].forEach((value, k) => context[k ? "lineTo" : "moveTo"](X(Math.log10(steps[k])), Y(value)));
        context.stroke();
      }
      context.setLineDash([]);
      context.lineWidth = 1;
      const at = X(epsilon.value());
      context.fillStyle = minae.css(colour.accent);
      const value = curves[kind][Math.round((epsilon.value() + 13) * 4)];
      context.beginPath();
      context.arc(at, Y(value), 6, 0, 7);
      context.fill();
      context.globalAlpha = 0.4;
      context.fillRect(at - 0.5, 10, 1, height - 50);
      context.globalAlpha = 1;
    });
    const key = el("p", { class: "live-key" }, "dotted: one-sided, dashed: central, solid: Richardson");
    const update = function (anew = true) {
      if (anew) curves = Object.fromEntries(KINDS.map((name) => [name, curve(fault, single, name, steps)]));
      const found = check(fault, single, kind, 10 ** epsilon.value());
      const tolerance = single ? 1e-2 : 1e-6;
      let wrong = 0;
      body.replaceChildren(
        ...TERMS.map((term) => {
          const row = el("tr", {}, el("th", { scope: "row" }, term === "L" ? "L" : "Ω"));
          for (const name of NAMES) {
            const value = found[term][name];
            const bad = !(value <= tolerance);
            wrong += bad;
            const cell = el("td", { class: bad ? "live-wrong" : "live-right", "data-cell": `${term} ${name}` });
            cell.append(Number.isFinite(value) ? words(value) : "∞", el("small", {}, bad ? " fails" : " passes"));
            row.append(cell);
          }
          return row;
        }),
      );
      const verdict = wrong ? `${wrong} of 8 gradients fail` : "All gradients pass";
      const why = fault === "none" && wrong ? "No fault is planted: it is the step that is bad. " : "";
      say.textContent = `${verdict}, at a tolerance of ${words(tolerance)}. ${why}${FAULTS[fault][1]}`;
      const best = KINDS.map((name) => `${name} ${words(Math.min(...curves[name]))}`).join(", ");
      canvas.setAttribute("aria-label", `Error of three differences against the step. Least errors: ${best}.`);
      draw();
    };
    stage.append(faults.element, minae.row(kinds.element, types.element), epsilon.element, table, say, canvas, key);
    minae.onTheme(update);
  };
})();

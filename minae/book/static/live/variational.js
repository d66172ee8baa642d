// One variational autoencoder for each β: the KL asks for a code near N(0, I), and units that do not pay fall silent.
"use strict";
(function () {
  const minae = window.minae;
  const { el } = minae;
  const UNITS = 6;

  const unpacked = {};
  const model = function (k) {
    if (!unpacked[k]) {
      const { f, g } = minae.data.variational.models[k];
      unpacked[k] = { f: minae.network(f), g: minae.network(g) };
    }
    return unpacked[k];
  };
  /** μ and log σ² of q(z | x), by the model of the k-th β. */
  const encode = function (k, x) {
    const y = minae.forward(model(k).f, x);
    return { mu: y.slice(0, UNITS), logVar: y.slice(UNITS) };
  };
  /** The mean of p(x | z). */
  const decode = (k, z) => minae.forward(model(k).g, z).map(minae.sigmoid);
  /** z = μ + σ ε */
  const sample = ({ mu, logVar }, eps) => mu.map((value, j) => value + Math.exp(logVar[j] / 2) * eps[j]);
  /** KL of each unit, ½ (μ² + σ² − log σ² − 1). */
  const divergence = ({ mu, logVar }) =>
    mu.map((value, j) => 0.5 * (value * value + Math.exp(logVar[j]) - logVar[j] - 1));
  minae.engine.variational = { encode, decode, sample, divergence };

  minae.parts.variational = function (stage) {
    const { values, rates } = minae.data.variational;
    let k = values.indexOf(1);
    let chosen = 0;
    let seed = 1;
    const { digits, slider: beta, gallery } = minae.family({
      label: "weight β of the KL",
      values,
      start: values[k],
      change: (to, digit) => {
        k = to;
        chosen = digit;
        update();
      },
    });
    const original = minae.picture("x", { label: "the digit x" });
    const mean = minae.picture("r at z = μ", { label: "its reconstruction from the mean" });
    const draws = minae.picture("four z drawn from q(z | x)", { wide: 200 });
    const sweep = minae.picture("each row turns one unit of z from −3 to 3, the others at μ", { wide: 294 });
    const fresh = minae.strip("new digits: z from N(0, I)");
    const bars = el("canvas", { role: "img" });
    const say = el("p", { class: "live-say", "aria-live": "polite" });
    const order = () => minae.range(UNITS).sort((i, j) => rates[k][j] - rates[k][i]);

    const drawBars = minae.plot(bars, 200, 206, (context, width, height, colour) => {
      const most = Math.max(4, ...rates[k]);
      order().forEach((j, row) => {
        const y = 6 + row * 28.7;
        context.fillStyle = minae.css(colour.accent, 0.85);
        context.fillRect(4, y, ((width - 60) * rates[k][j]) / most, 18);
        context.fillStyle = minae.css(colour.ink);
        context.textAlign = "left";
        context.fillText(minae.fixed(rates[k][j]), 10 + ((width - 60) * rates[k][j]) / most, y + 13);
      });
      context.textAlign = "left";
      context.fillText("KL of each unit, in nats", 4, height - 8);
    });
    const again = function () {
      const { normal } = minae.random(seed);
      minae.sheet(
        fresh.canvas,
        minae.range(16).map(() => decode(k, minae.range(UNITS).map(normal))),
        8,
      );
    };
    const update = function () {
      const { x } = digits[chosen];
      const q = encode(k, x);
      const r = decode(k, q.mu);
      const { normal } = minae.random(chosen + 1);
      minae.grey(original.canvas, x);
      minae.grey(mean.canvas, r);
      minae.sheet(
        draws.canvas,
        minae.range(4).map(() => decode(k, sample(q, minae.range(UNITS).map(normal)))),
        4,
      );
      const rows = order().flatMap((j) =>
        minae.range(7).map((place) => {
          const z = q.mu.slice();
          z[j] = place - 3;
          return decode(k, z);
        }),
      );
      minae.sheet(sweep.canvas, rows, 7);
      const total = rates[k].reduce((sum, value) => sum + value, 0);
      const silent = rates[k].filter((value) => value < 0.05).length;
      say.textContent =
        `β = ${values[k]}: the KL is ${minae.fixed(total, 1)} nats, and ${silent} of 6 units are silent; ` +
        `squared error of this digit ${minae.fixed(minae.squared(r, x), 1)}.`;
      bars.setAttribute(
        "aria-label",
        `KL of each unit: ${order()
          .map((j) => minae.fixed(rates[k][j]))
          .join(", ")} nats`,
      );
      drawBars();
      again();
    };
    const button = minae.button("Draw others", () => {
      seed += 1;
      again();
    });
    stage.append(
      beta.element,
      gallery.element,
      minae.row(original.element, mean.element, draws.element),
      say,
      minae.row(sweep.element, bars),
      fresh.element,
      minae.row(button),
    );
    minae.onTheme(update);
  };
})();

// The score's field around a spiral, and particles that follow it by Langevin steps.     (14.15–14.17)
"use strict";
(function () {
  const minae = window.minae;
  const { el } = minae;
  const SIDE = 400;
  const REACH = 4.2;
  const SIGMA = 0.3;
  const DEVIATION = 0.1;
  const VARIANCE = DEVIATION ** 2 + SIGMA ** 2; // of p_σ around each centre

  const centres = minae.range(300).map((k) => {
    const angle = 4 * Math.PI * Math.sqrt(0.07 + (0.93 * k) / 299);
    return [(angle / 4) * Math.cos(angle), (angle / 4) * Math.sin(angle)];
  });
  let network = null;
  /** (r(x) − x)/σ², what the denoiser has learned. */
  const learned = function (x) {
    if (!network) network = minae.network([...minae.data.score.f, ...minae.data.score.g]);
    const r = minae.forward(network, x);
    return [0, 1].map((i) => (r[i] - x[i]) / SIGMA ** 2);
  };
  /** ∇ log p_σ(x) = Σ_k p(k | x) (c_k − x)/(v + σ²) */
  const exact = function (x) {
    const far = centres.map((c) => -((c[0] - x[0]) ** 2 + (c[1] - x[1]) ** 2) / (2 * VARIANCE));
    const most = Math.max(...far);
    let sum = 0;
    const pull = [0, 0];
    far.forEach((value, k) => {
      const p = Math.exp(value - most);
      sum += p;
      for (const i of [0, 1]) pull[i] += p * (centres[k][i] - x[i]);
    });
    return pull.map((value) => value / sum / VARIANCE);
  };
  /** x + η/2 score(x) + √η ε */
  const langevin = (x, score, eta, eps) => x.map((value, i) => value + (eta / 2) * score[i] + Math.sqrt(eta) * eps[i]);
  minae.engine.score = { learned, exact, langevin };

  minae.parts.score = function (stage) {
    const fields = { learned, exact };
    let which = "learned";
    let noisy = true;
    let running = false;
    let seed = 1;
    let steps = 0;
    let start = [3, 0];
    const { normal, uniform } = minae.random(seed);
    let points = [];
    const X = (v) => (SIDE * (v + REACH)) / (2 * REACH);
    const Y = (v) => (SIDE * (REACH - v)) / (2 * REACH);
    const grid = minae
      .range(23)
      .flatMap((i) => minae.range(23).map((j) => [-4.1 + (8.2 * i) / 22, -4.1 + (8.2 * j) / 22]));
    const arrows = {};
    for (const name of Object.keys(fields)) arrows[name] = grid.map(fields[name]);

    const canvas = el("canvas", {
      tabindex: 0,
      role: "slider",
      class: "live-plane",
      "aria-label": "where the particles gather: arrow keys move the mark",
      "aria-roledescription": "point of the plane",
      "aria-valuemin": 0,
      "aria-valuemax": 100,
      "aria-valuenow": 50,
    });
    const draw = minae.plot(canvas, SIDE, SIDE, (context, width, height, colour) => {
      context.strokeStyle = minae.css(colour.ink, 0.13);
      context.lineWidth = (2 * 2 * DEVIATION * SIDE) / (2 * REACH);
      context.lineCap = context.lineJoin = "round";
      context.beginPath();
      centres.forEach(([u, v], k) => context[k ? "lineTo" : "moveTo"](X(u), Y(v)));
      context.stroke();
      context.lineWidth = 1;
      context.strokeStyle = minae.css(colour.blue, 0.85);
      grid.forEach((x, k) => {
        const move = arrows[which][k].map((value) => 0.5 * SIGMA ** 2 * value); // half of r(x) − x
        const length = Math.hypot(...move);
        const shown = Math.min(1, 0.45 / Math.max(length, 1e-9));
        const [u, v] = [X(x[0]), Y(x[1])];
        const [p, q] = [X(x[0] + shown * move[0]), Y(x[1] + shown * move[1])];
        const angle = Math.atan2(q - v, p - u);
        context.beginPath();
        context.moveTo(u, v);
        context.lineTo(p, q);
        if (length > 0.02) {
          for (const turn of [2.6, -2.6]) {
            context.moveTo(p, q);
            context.lineTo(p + 3.5 * Math.cos(angle + turn), q + 3.5 * Math.sin(angle + turn));
          }
        }
        context.stroke();
      });
      context.fillStyle = minae.css(colour.accent, 0.85);
      for (const [u, v] of points) {
        context.beginPath();
        context.arc(X(u), Y(v), 2.6, 0, 7);
        context.fill();
      }
      context.strokeStyle = minae.css(colour.ink);
      context.lineWidth = 2;
      context.beginPath();
      context.moveTo(X(start[0]) - 7, Y(start[1]));
      context.lineTo(X(start[0]) + 7, Y(start[1]));
      context.moveTo(X(start[0]), Y(start[1]) - 7);
      context.lineTo(X(start[0]), Y(start[1]) + 7);
      context.stroke();
      context.lineWidth = 1;
    });
    const say = el("p", { class: "live-say" });
    const tell = function () {
      const near = points.map((x) => Math.min(...centres.map((c) => Math.hypot(c[0] - x[0], c[1] - x[1]))));
      const mean = near.reduce((sum, value) => sum + value, 0) / near.length;
      const wide = noisy && eta.value() > VARIANCE;
      const large = wide ? " In so large a step the noise outweighs the pull: the particles spread too far." : "";
      say.textContent = `${steps} steps; mean distance of the particles from the spiral ${minae.fixed(mean)}.${large}`;
    };
    const eta = minae.slider({
      label: "size η of a step",
      min: 0.005,
      max: 0.2,
      step: 0.005,
      value: 0.05,
      words: (v) => minae.fixed(v, 3),
      change: () => tell(),
    });
    const step = function (count = 1) {
      for (let k = 0; k < count; k++) {
        points = points.map((x) => langevin(x, fields[which](x), eta.value(), noisy ? [normal(), normal()] : [0, 0]));
        steps += 1;
      }
      tell();
      draw();
    };
    const gather = function () {
      points = minae.range(150).map(() => start.map((value) => value + 0.05 * normal()));
      steps = 0;
      canvas.setAttribute("aria-valuetext", `mark at ${start.map((value) => minae.fixed(value, 1)).join(", ")}`);
      canvas.setAttribute("aria-valuenow", Math.round((100 * (start[0] + REACH)) / (2 * REACH)));
      tell();
      draw();
    };
    const scatter = function () {
      points = minae.range(150).map(() => [0, 1].map(() => 8 * (uniform() - 0.5)));
      steps = 0;
      tell();
      draw();
    };
    const frame = function () {
      if (!running || !canvas.isConnected) return;
      step();
      setTimeout(() => requestAnimationFrame(frame), 40);
    };
    const run = minae.button("Run", () => {
      running = !running;
      run.textContent = running ? "Stop" : "Run";
      frame();
    });
    const place = (p) => {
      start = [(p[0] / SIDE) * 2 * REACH - REACH, REACH - (p[1] / SIDE) * 2 * REACH];
      start = start.map((value) => Math.min(REACH, Math.max(-REACH, value)));
      gather();
    };
    minae.draggable(canvas, {
      width: SIDE,
      height: SIDE,
      to: place,
      step: (way) => place([X(start[0]) + 5 * way[0], Y(start[1]) + 5 * way[1]]),
    });
    const choice = minae.choice({
      label: "Field",
      value: which,
      choices: [
        ["learned", "learned: (r(x̃) − x̃)/σ²"],
        ["exact", "exact: ∇ log of the density of x̃"],
      ],
      change: (to) => {
        which = to;
        draw();
      },
    });
    const noise = el("input", {
      type: "checkbox",
      checked: true,
      onchange: () => {
        noisy = noise.checked;
        tell();
      },
    });
    const buttons = minae.row(
      ...(minae.still() ? [] : [run]),
      minae.button("One step", () => step()),
      minae.button("Fifty steps", () => step(50)),
      minae.button("Scatter the particles", scatter),
      minae.button("Gather them at the mark", gather),
    );
    const check = el("label", { class: "live-check" }, noise, "with the noise √η ε");
    stage.append(choice.element, minae.row(canvas, minae.column(eta.element, check, buttons, say)));
    gather();
    minae.onTheme(draw);
  };
})();

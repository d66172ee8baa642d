// The plane of a code of two numbers: drag the point, and see g(h). PCA, an autoencoder and a variational one.
"use strict";
(function () {
  const minae = window.minae;
  const { el } = minae;
  const SIDE = 360;
  const NAMES = { pca: "PCA", autoencoder: "Autoencoder", variational: "Variational (14.4)" };

  const maps = {};
  /** r = g(h) of one of the three. */
  const decode = function (kind, h) {
    const source = minae.data.explorer[kind];
    if (!maps[kind]) maps[kind] = minae.network(source.g);
    const s = minae.forward(maps[kind], h);
    return kind === "pca" ? s : s.map(minae.sigmoid);
  };
  minae.engine.explorer = { decode };

  minae.parts.explorer = function (stage) {
    const data = minae.data.explorer;
    let kind = "autoencoder";
    let h = [0, 0];
    const ends = {};
    const view = () => data[kind].view; // [low, high] of both numbers
    const codes = {};
    for (const name of Object.keys(NAMES)) codes[name] = minae.array(data[name].h);

    const pixel = (p) =>
      p.map((value, k) => {
        const share = (value - view()[k][0]) / (view()[k][1] - view()[k][0]);
        return 14 + (SIDE - 28) * (k ? 1 - share : share);
      });
    const point = (p) =>
      p.map((value, k) => {
        const share = Math.min(1, Math.max(0, (value - 14) / (SIDE - 28)));
        return view()[k][0] + (k ? 1 - share : share) * (view()[k][1] - view()[k][0]);
      });

    const plane = el("canvas", {
      tabindex: 0,
      role: "slider",
      class: "live-plane",
      "aria-label": "the code h, a point of the plane: use the arrow keys",
      "aria-roledescription": "point of the plane",
      "aria-valuemin": 0,
      "aria-valuemax": 100,
      "aria-valuenow": 50,
    });
    const draw = minae.plot(plane, SIDE, SIDE, (context, width, height, colour) => {
      context.textAlign = "center";
      context.textBaseline = "middle";
      context.font = "10px system-ui, sans-serif";
      data.labels.forEach((label, k) => {
        const [u, v] = pixel([codes[kind][2 * k], codes[kind][2 * k + 1]]);
        context.fillStyle = `hsl(${label * 36}, 65%, ${colour.light ? 70 : 37}%)`;
        context.fillText(label, u, v);
      });
      if (ends.A && ends.B) {
        context.strokeStyle = minae.css(colour.ink, 0.7);
        context.setLineDash([4, 3]);
        context.beginPath();
        context.moveTo(...pixel(ends.A));
        context.lineTo(...pixel(ends.B));
        context.stroke();
        context.setLineDash([]);
      }
      context.font = "bold 13px system-ui, sans-serif";
      for (const name of Object.keys(ends)) {
        const [u, v] = pixel(ends[name]);
        context.fillStyle = minae.css(colour.ink);
        context.beginPath();
        context.arc(u, v, 9, 0, 7);
        context.fill();
        context.fillStyle = minae.css(colour.paper);
        context.fillText(name, u, v + 1);
      }
      const [u, v] = pixel(h);
      context.lineWidth = 2.5;
      context.strokeStyle = minae.css(colour.accent);
      context.fillStyle = minae.css(colour.paper, 0.6);
      context.beginPath();
      context.arc(u, v, 8, 0, 7);
      context.fill();
      context.stroke();
      context.lineWidth = 1;
    });
    const out = minae.picture("r = g(h)", { wide: 196, label: "the digit that g makes of h" });
    const say = el("p", { class: "live-say" });
    const strip = minae.strip("from A to B on a straight line in the plane", "nine digits from A to B");
    const along = minae.slider({
      label: "walk from A to B",
      min: 0,
      max: 1,
      step: 0.01,
      value: 0,
      words: (t) => minae.fixed(t),
      change: (t) => move(ends.A.map((a, k) => a + t * (ends.B[k] - a))),
    });

    const move = function (to) {
      h = to.map((value, k) => Math.min(view()[k][1], Math.max(view()[k][0], value)));
      minae.grey(out.canvas, decode(kind, h));
      draw();
      say.textContent = `h = (${h.map((value) => minae.fixed(value)).join(", ")})`;
      const share = (h[0] - view()[0][0]) / (view()[0][1] - view()[0][0]);
      plane.setAttribute("aria-valuenow", Math.round(100 * share));
      plane.setAttribute("aria-valuetext", say.textContent);
    };
    const walk = function () {
      const nine = minae.range(9).map((k) =>
        decode(
          kind,
          ends.A.map((a, j) => a + (k / 8) * (ends.B[j] - a)),
        ),
      );
      minae.sheet(strip.canvas, nine, 9);
    };
    const turn = function (to) {
      kind = to;
      const mean = (label) =>
        [0, 1].map((k) => {
          const rows = minae.range(data.labels.length).filter((i) => data.labels[i] === label);
          return rows.reduce((sum, i) => sum + codes[kind][2 * i + k], 0) / rows.length;
        });
      ends.A = mean(1);
      ends.B = mean(0);
      along.set(0.5);
      const error = minae.fixed(data[kind].error, 1);
      note.textContent = `${NAMES[kind]}: squared error ‖r − x‖² = ${error}, a mean over 1000 test digits.`;
      move(ends.A.map((a, k) => (a + ends.B[k]) / 2));
      walk();
    };
    const keep = (name) => () => {
      ends[name] = h.slice();
      draw();
      walk();
    };
    const note = el("p", { class: "live-say" });
    const kinds = minae.choice({ label: "Decoder", choices: Object.entries(NAMES), value: kind, change: turn });
    minae.draggable(plane, {
      width: SIDE,
      height: SIDE,
      to: (p) => move(point(p)),
      step: (way) => move(h.map((value, k) => value + ((k ? -1 : 1) * way[k] * (view()[k][1] - view()[k][0])) / 100)),
    });
    const buttons = minae.row(
      minae.button("Call this point A", keep("A")),
      minae.button("Call this point B", keep("B")),
    );
    stage.append(
      kinds.element,
      minae.row(plane, minae.column(out.element, say, note)),
      along.element,
      strip.element,
      buttons,
    );
    turn(kind);
    minae.onTheme(() => {
      move(h);
      walk();
    });
  };
})();

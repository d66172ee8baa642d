// Draw a digit, or spoil one, and watch r(x̃), r(r(x̃)), …: the way back to where digits are.     (14.9)
"use strict";
(function () {
  const minae = window.minae;
  const { el } = minae;
  const CELL = 9;
  const SIDE = 28 * CELL;

  let network = null;
  /** r(x) = g(f(x)) */
  const reconstruct = function (x) {
    if (!network) network = minae.network([...minae.data.denoising.f, ...minae.data.denoising.g]);
    return minae.forward(network, x).map(minae.sigmoid);
  };
  /** A share ν of the pixels is set to 0 or to 1, by uniform draws u: 1 where u < ν/2, 0 where u < ν. */
  const corrupt = (x, u, level) => x.map((value, i) => (u[i] < level / 2 ? 1 : u[i] < level ? 0 : value));
  minae.engine.denoising = { reconstruct, corrupt };

  minae.parts.denoising = function (stage) {
    const digits = minae.digits().slice(0, 12);
    let x = digits[0].x; // the clean digit, or what was drawn
    let tilde = x;
    let drawn = false;
    let seed = 1;
    let cursor = [14, 14];
    const pad = el("canvas", {
      tabindex: 0,
      role: "application",
      class: "live-plane",
      "aria-label": "x̃, to draw on: arrow keys move the pencil, Space draws, Backspace rubs out",
    });
    const draw = minae.plot(pad, SIDE, SIDE, (context, width, height, colour) => {
      const small = document.createElement("canvas");
      small.width = small.height = 28;
      minae.grey(small, tilde);
      context.imageSmoothingEnabled = false;
      context.drawImage(small, 0, 0, width, height);
      if (document.activeElement === pad) {
        context.strokeStyle = minae.css(colour.accent);
        context.lineWidth = 2;
        context.strokeRect(cursor[0] * CELL - 1, cursor[1] * CELL - 1, CELL + 2, CELL + 2);
      }
    });
    const walk = minae.strip("r(x̃), r(r(x̃)), …: six steps of the walk back");
    const say = el("p", { class: "live-say" });
    const show = function () {
      const rows = [];
      let at = tilde;
      for (let k = 0; k < 6; k++) rows.push((at = reconstruct(at)));
      minae.sheet(walk.canvas, rows, 6);
      const moved = Math.sqrt(minae.squared(rows[0], tilde));
      const next = Math.sqrt(minae.squared(rows[1], rows[0]));
      const apart = (picture) => minae.fixed(minae.squared(picture, x), 1);
      const error = drawn ? "" : ` ‖x̃ − x‖² = ${apart(tilde)}, and ‖r(x̃) − x‖² = ${apart(rows[0])}.`;
      say.textContent = `The first step goes ${minae.fixed(moved, 1)} far, the second ${minae.fixed(next, 1)}.${error}`;
      draw();
    };
    const spoil = function () {
      const { uniform } = minae.random(seed);
      tilde = corrupt(Float32Array.from(x), minae.range(784).map(uniform), level.value());
      show();
    };
    const level = minae.slider({
      label: "share ν of spoiled pixels",
      min: 0,
      max: 0.8,
      step: 0.02,
      value: 0.3,
      words: (v) => `${Math.round(100 * v)}%`,
      change: spoil,
    });
    const gallery = minae.gallery({
      label: "Spoil a digit",
      digits,
      change: (k) => {
        x = digits[k].x;
        drawn = false;
        spoil();
      },
    });

    /** The drawing with its centre of mass in the middle, where those of all training digits are. */
    const centred = function (image) {
      let mass = 0;
      const at = [0, 0];
      image.forEach((value, i) => {
        mass += value;
        at[0] += value * (i % 28);
        at[1] += value * Math.floor(i / 28);
      });
      if (!mass) return image;
      const [du, dv] = at.map((value) => Math.round(value / mass - 13.5));
      return image.map((_, i) => {
        const [u, v] = [(i % 28) + du, Math.floor(i / 28) + dv];
        return u < 0 || v < 0 || u > 27 || v > 27 ? 0 : image[28 * v + u];
      });
    };
    const ink = function (u, v, dark = true) {
      if (!drawn) {
        x = new Float32Array(784);
        drawn = true;
      }
      x = x.slice();
      for (let j = -2; j <= 2; j++) {
        for (let i = -2; i <= 2; i++) {
          const [p, q] = [Math.floor(u) + i, Math.floor(v) + j];
          if (p < 0 || q < 0 || p > 27 || q > 27) continue;
          const far = Math.hypot(p + 0.5 - u, q + 0.5 - v);
          const value = Math.min(1, Math.max(0, 1.9 - far));
          x[28 * q + p] = dark ? Math.max(x[28 * q + p], value) : Math.min(x[28 * q + p], 1 - value);
        }
      }
      tilde = x;
    };
    let former = null;
    pad.addEventListener("pointerdown", (event) => {
      pad.setPointerCapture(event.pointerId);
      former = minae.place(event, pad, 28, 28);
      ink(...former);
      draw();
    });
    pad.addEventListener("pointermove", (event) => {
      if (!former || !pad.hasPointerCapture(event.pointerId)) return;
      const to = minae.place(event, pad, 28, 28);
      const far = Math.hypot(to[0] - former[0], to[1] - former[1]);
      for (let t = 0; t <= far; t += 0.4)
        ink(former[0] + (t / far) * (to[0] - former[0]), former[1] + (t / far) * (to[1] - former[1]));
      former = to;
      show();
    });
    pad.addEventListener("pointerup", () => {
      former = null;
      x = tilde = centred(x);
      show();
    });
    pad.addEventListener("keydown", (event) => {
      const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      if (arrows[event.key]) cursor = cursor.map((value, k) => Math.min(27, Math.max(0, value + arrows[event.key][k])));
      else if (event.key === " ") ink(cursor[0] + 0.5, cursor[1] + 0.5);
      else if (event.key === "Backspace") ink(cursor[0] + 0.5, cursor[1] + 0.5, false);
      else return;
      event.preventDefault();
      show();
    });
    pad.addEventListener("focus", draw);
    pad.addEventListener("blur", draw);
    const clear = minae.button("Clear, and draw", () => {
      x = tilde = new Float32Array(784);
      drawn = true;
      show();
      pad.focus();
    });
    const other = minae.button("Other noise", () => {
      seed += 1;
      spoil();
    });
    const take = minae.button("Take r(x̃) for x̃", () => {
      tilde = reconstruct(tilde);
      show();
    });
    const figure = el(
      "figure",
      { class: "live-picture" },
      pad,
      el("figcaption", {}, "x̃: draw here, as large as the digit above, with mouse, finger or keys"),
    );
    stage.append(gallery.element, level.element);
    stage.append(minae.row(figure, minae.column(walk.element, say, minae.row(clear, other, take))));
    spoil();
    minae.onTheme(show);
  };
})();

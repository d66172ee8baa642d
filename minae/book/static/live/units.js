// A sparse code as a list of pieces: switch the units of a digit on and off, and see what each one adds to r.
"use strict";
(function () {
  const minae = window.minae;
  const { el } = minae;
  const UNITS = 400;

  let unpacked = null;
  const model = function () {
    if (!unpacked) {
      const { W, b, c } = minae.data.units;
      unpacked = { W: minae.array(W), b: minae.array(b), c: minae.array(c) };
    }
    return unpacked;
  };
  /** h_Γ: the k largest of h = relu(x W + b), as [[unit, value], …] from the largest. */
  const encode = function (x, k) {
    const h = minae.affine(x, model().W, model().b, 784, UNITS).map(minae.phi.relu);
    return minae
      .range(UNITS)
      .sort((i, j) => h[j] - h[i] || i - j)
      .slice(0, k)
      .map((unit) => [unit, h[unit]]);
  };
  /** r = σ(h Wᵀ + c) */
  const decode = function (pairs) {
    const h = new Float64Array(UNITS);
    for (const [unit, value] of pairs) h[unit] = value;
    return minae.affine(h, model().W, model().c, UNITS, 784, true).map(minae.sigmoid);
  };
  /** What r gains by each unit: r with all of them, less r without it. */
  const gains = function (pairs) {
    const r = decode(pairs);
    return pairs.map((one) => {
      const without = decode(pairs.filter((other) => other !== one));
      return r.map((value, i) => value - without[i]);
    });
  };
  minae.engine.units = { encode, decode, gains };

  minae.parts.units = function (stage) {
    const digits = minae.digits().slice(0, 12);
    let chosen = 0;
    let pairs = [];
    const off = new Set();
    const gallery = minae.gallery({
      label: "Digit x",
      digits,
      change: (to) => {
        chosen = to;
        anew();
      },
    });
    const k = minae.slider({
      label: "k, units that are kept",
      min: 1,
      max: 40,
      step: 1,
      value: 20,
      change: () => anew(),
    });
    const original = minae.picture("x", { wide: 112, label: "the digit x" });
    const rebuilt = minae.picture("r, from the units that are on", { wide: 112, label: "the reconstruction" });
    const tiles = el("div", { class: "live-tiles", role: "group", "aria-label": "units of the code" });
    const say = el("p", { class: "live-say", "aria-live": "polite" });
    const update = function () {
      const on = pairs.filter(([unit]) => !off.has(unit));
      const r = decode(on);
      minae.grey(original.canvas, digits[chosen].x);
      minae.grey(rebuilt.canvas, r);
      const error = minae.fixed(minae.squared(r, digits[chosen].x), 1);
      say.textContent = `${on.length} of ${UNITS} units speak; squared error ‖r − x‖² = ${error}.`;
    };
    const anew = function () {
      pairs = encode(digits[chosen].x, k.value()).filter(([, value]) => value > 0);
      off.clear();
      const gained = gains(pairs);
      const largest = gained.reduce(
        (most, gain) => gain.reduce((top, value) => Math.max(top, Math.abs(value)), most),
        1e-6,
      );
      tiles.replaceChildren(
        ...pairs.map(([unit, value], place) => {
          const canvas = el("canvas", { width: 28, height: 28, "aria-hidden": "true" });
          minae.signed(canvas, gained[place], { largest });
          const button = minae.button(
            "",
            () => {
              if (!off.delete(unit)) off.add(unit);
              button.setAttribute("aria-pressed", String(!off.has(unit)));
              update();
            },
            { "aria-pressed": "true", "aria-label": `unit ${unit}, h = ${minae.fixed(value, 1)}` },
          );
          button.append(canvas, el("small", {}, minae.fixed(value, 1)));
          return button;
        }),
      );
      update();
    };
    const all = (on) => () => {
      off.clear();
      if (!on) pairs.forEach(([unit]) => off.add(unit));
      [...tiles.children].forEach((button) => button.setAttribute("aria-pressed", String(on)));
      update();
    };
    const buttons = minae.row(minae.button("All on", all(true)), minae.button("All off", all(false)));
    stage.append(
      gallery.element,
      k.element,
      minae.row(original.element, rebuilt.element, minae.column(say, buttons)),
      el(
        "p",
        { class: "live-key" },
        "A tile shows what a unit adds to r (orange) and takes away (blue), and its h. Press it to switch the unit. " +
          "Fewer than k tiles are there where the rest of the k largest h are 0.",
      ),
      tiles,
    );
    minae.onTheme(anew);
  };
})();

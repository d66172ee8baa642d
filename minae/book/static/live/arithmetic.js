// A + t (B − C), once with codes and once with pixels.
"use strict";
(function () {
  const minae = window.minae;
  const { el } = minae;

  /** The codes of three digits, combined and decoded by the variational autoencoder of β = 1; and the pixels. */
  const combine = function (a, b, c, t) {
    const { encode, decode } = minae.engine.variational;
    const k = minae.data.variational.values.indexOf(1);
    const [A, B, C] = [a, b, c].map((x) => encode(k, x).mu);
    return {
      code: decode(
        k,
        A.map((value, j) => value + t * (B[j] - C[j])),
      ),
      pixels: a.map((value, i) => value + t * (b[i] - c[i])),
    };
  };
  minae.engine.arithmetic = { combine };

  minae.parts.arithmetic = async function (stage) {
    await minae.script("variational.js"); // its encoder and decoder
    const digits = minae.digits();
    const of = (label, nth) =>
      digits.findIndex(
        (digit, k) => digit.label === label && digits.slice(0, k).filter((d) => d.label === label).length === nth,
      );
    const chosen = { A: of(7, 0), B: of(1, 1), C: of(1, 0) };
    const t = minae.slider({
      label: "share t of B − C",
      min: -1,
      max: 1.5,
      step: 0.05,
      value: 1,
      words: (v) => minae.fixed(v),
      change: () => update(),
    });
    const galleries = ["A", "B", "C"].map(
      (name) =>
        minae.gallery({
          label: name,
          digits: digits.slice(0, 12),
          value: chosen[name],
          change: (k) => {
            chosen[name] = k;
            update();
          },
        }).element,
    );
    const shown = ["A", "B", "C"].map((name) => minae.picture(name, { label: `the digit ${name}` }));
    const code = minae.picture("sum of codes, decoded", { wide: 112, label: "A + t (B − C) by codes" });
    const pixels = minae.picture("sum of pixels", { wide: 112, label: "A + t (B − C) by pixels" });
    const sheet = minae.strip("codes above, pixels below, for t from −1 to 1.5");
    const update = function () {
      const [a, b, c] = ["A", "B", "C"].map((name) => digits[chosen[name]].x);
      shown.forEach(({ canvas }, k) => minae.grey(canvas, [a, b, c][k]));
      const now = combine(a, b, c, t.value());
      minae.grey(code.canvas, now.code);
      minae.grey(pixels.canvas, now.pixels);
      const each = minae.range(9).map((k) => combine(a, b, c, -1 + (2.5 * k) / 8));
      minae.sheet(sheet.canvas, [...each.map((one) => one.code), ...each.map((one) => one.pixels)], 9);
    };
    stage.append(
      ...galleries,
      t.element,
      minae.row(...shown.map((one) => one.element), code.element, pixels.element),
      sheet.element,
    );
    minae.onTheme(update);
  };
})();

// What all live parts share: numbers out of the data scripts, layers, random draws, pictures, sliders and buttons.
// Classic scripts only, since a page that is opened from a folder may load no modules. Each part is a function
// minae.parts[name](element), and its numbers come from functions in minae.engine[name], which the tests call.
"use strict";
(function () {
  const minae = (window.minae = window.minae || {});
  minae.parts = minae.parts || {};
  minae.engine = minae.engine || {};
  minae.data = minae.data || {};
  const here = document.currentScript ? document.currentScript.src.replace(/[^/]*$/, "") : "live/";

  // ---- numbers

  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  minae.bytes = bytes;

  /** An array of a data script: float32, or whole numbers of 8 bits with a scale for each column, q s. */
  minae.array = function (a) {
    if (a.f) return new Float32Array(bytes(a.f).buffer);
    const q = new Int8Array(bytes(a.q).buffer);
    const s = new Float32Array(bytes(a.s).buffer);
    return Float32Array.from(q, (whole, i) => whole * s[i % s.length]);
  };

  minae.sigmoid = (a) => 1 / (1 + Math.exp(-a));
  minae.phi = {
    identity: (a) => a,
    relu: (a) => Math.max(a, 0),
    sigmoid: minae.sigmoid,
    tanh: Math.tanh,
    swish: (a) => a * minae.sigmoid(a),
  };

  /** Layers as the data scripts hold them, unpacked: [{n, m, W, b, phi}]; W is (n, m), or (m, n) where it is tied. */
  minae.network = function (layers) {
    return layers.map((layer) => {
      const W = layer.W.length ? layer.W : minae.array(layer.W);
      return { n: layer.n, m: layer.m, W, b: minae.array(layer.b), phi: layer.phi, transposed: layer.transposed };
    });
  };

  /** a = x W + b, and with `transposed` a = x Wᵀ + b. */
  minae.affine = function (x, W, b, n, m, transposed) {
    const a = Float64Array.from(b);
    if (transposed) {
      for (let j = 0; j < m; j++) for (let i = 0; i < n; i++) a[j] += x[i] * W[j * n + i];
      return a;
    }
    for (let i = 0; i < n; i++) {
      if (x[i] !== 0) for (let j = 0, k = i * m; j < m; j++) a[j] += x[i] * W[k + j];
    }
    return a;
  };

  minae.forward = function (network, x) {
    for (const layer of network) {
      x = minae.affine(x, layer.W, layer.b, layer.n, layer.m, layer.transposed).map(minae.phi[layer.phi]);
    }
    return x;
  };

  /** Uniform draws from a seed, and normal ones; the same seed gives the same draws on each machine. */
  minae.random = function (seed) {
    let state = seed >>> 0;
    const uniform = function () {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = Math.imul(state ^ (state >>> 15), state | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
    const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
    return { uniform, normal };
  };

  minae.squared = (x, y) => x.reduce((sum, value, i) => sum + (value - y[i]) ** 2, 0);
  minae.norm = (x) => Math.sqrt(x.reduce((sum, value) => sum + value * value, 0));
  minae.range = (count) => Array.from({ length: count }, (_, k) => k);

  /** Eigenvalues, from the largest, and eigenvectors (rows) of a symmetric matrix, by Jacobi's rotations. */
  minae.eigen = function (matrix, n, sweeps = 12) {
    const A = Float64Array.from(matrix);
    const V = new Float64Array(n * n);
    for (let i = 0; i < n; i++) V[i * n + i] = 1;
    for (let sweep = 0; sweep < sweeps; sweep++) {
      let off = 0;
      let all = 0;
      for (let i = 0; i < n * n; i++) all += A[i] * A[i];
      for (let p = 0; p < n; p++) {
        for (let q = p + 1; q < n; q++) {
          const apq = A[p * n + q];
          off += apq * apq;
          if (apq * apq < 1e-26 * all) continue;
          const theta = (A[q * n + q] - A[p * n + p]) / (2 * apq);
          const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
          const c = 1 / Math.sqrt(t * t + 1);
          const s = t * c;
          for (let k = 0; k < n; k++) {
            const kp = A[k * n + p];
            const kq = A[k * n + q];
            A[k * n + p] = c * kp - s * kq;
            A[k * n + q] = s * kp + c * kq;
          }
          for (let k = 0; k < n; k++) {
            const pk = A[p * n + k];
            const qk = A[q * n + k];
            A[p * n + k] = c * pk - s * qk;
            A[q * n + k] = s * pk + c * qk;
            const vp = V[p * n + k];
            const vq = V[q * n + k];
            V[p * n + k] = c * vp - s * vq;
            V[q * n + k] = s * vp + c * vq;
          }
        }
      }
      if (off < 1e-22 * all) break;
    }
    const order = minae.range(n).sort((i, j) => A[j * n + j] - A[i * n + i]);
    return { values: order.map((i) => A[i * n + i]), vectors: order.map((i) => V.slice(i * n, i * n + n)) };
  };

  /** The test digits of `data/digits.js`: pixels in [0, 1] and labels. */
  minae.digits = function () {
    const { pixels, labels } = minae.data.digits;
    const all = bytes(pixels);
    return labels.map((label, k) => ({
      label,
      x: Float32Array.from(all.subarray(784 * k, 784 * k + 784), (p) => p / 255),
    }));
  };

  // ---- elements

  /** An element.     el("p", {class: "hint"}, "text", another) */
  const el = function (tag, attributes = {}, ...inside) {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else if (value !== undefined && value !== null && value !== false)
        element.setAttribute(key, value === true ? "" : value);
    }
    element.append(...inside);
    return element;
  };
  minae.el = el;

  let made = 0;
  minae.id = (word) => `live-${word}-${++made}`;

  /** A slider with its label and its value in words. value() is its number; set(number) moves it without an event. */
  minae.slider = function ({ label, min, max, step, value, words = (v) => String(v), change }) {
    const id = minae.id("slider");
    const input = el("input", { type: "range", id, min, max, step, value });
    const output = el("output", { for: id });
    const say = function () {
      output.textContent = words(Number(input.value));
      input.setAttribute("aria-valuetext", output.textContent);
    };
    input.addEventListener("input", () => {
      say();
      change(Number(input.value));
    });
    say();
    const element = el("div", { class: "live-slider" }, el("label", { for: id }, label), input, output);
    const set = function (number) {
      input.value = number;
      say();
    };
    return { element, input, set, say, value: () => Number(input.value) };
  };

  /** A slider over a few given values. */
  minae.steps = function ({ label, values, start, words = String, change }) {
    const slider = minae.slider({
      label,
      min: 0,
      max: values.length - 1,
      step: 1,
      value: start,
      words: (place) => words(values[place]),
      change,
    });
    return slider;
  };

  minae.button = (text, click, attributes = {}) =>
    el("button", { type: "button", onclick: click, ...attributes }, text);

  /** One of several, as radio buttons.     choices: [[value, text], …] */
  minae.choice = function ({ label, choices, value, change }) {
    const name = minae.id("choice");
    const radios = choices.map(([key, text]) => {
      const radio = el("input", {
        type: "radio",
        name,
        value: key,
        checked: key === value,
        onchange: () => change(key),
      });
      return el("label", {}, radio, el("span", {}, text));
    });
    const group = el("fieldset", { class: "live-choice" }, el("legend", {}, label), ...radios);
    return { element: group, value: () => group.querySelector("input:checked").value };
  };

  minae.select = function ({ label, choices, value, change }) {
    const id = minae.id("select");
    const list = el("select", { id, onchange: () => change(list.value) });
    for (const [key, text] of choices) list.append(el("option", { value: key, selected: key === value }, text));
    return { element: el("div", { class: "live-select" }, el("label", { for: id }, label), list), list };
  };

  /** A picture with a caption: {element, canvas, caption}. */
  minae.picture = function (caption, { size = 28, wide = 84, label = caption, high = size } = {}) {
    const canvas = el("canvas", { width: size, height: high, role: "img", "aria-label": label });
    canvas.style.width = `${wide}px`;
    const text = el("figcaption", {}, caption);
    return { element: el("figure", { class: "live-picture" }, canvas, text), canvas, caption: text };
  };

  /** A picture of many small ones, as wide as the page allows. */
  minae.strip = function (caption, label = caption) {
    const strip = minae.picture(caption, { label });
    strip.element.classList.add("live-strip");
    strip.canvas.style.width = "";
    return strip;
  };

  /** Digits to choose from, as radio buttons with pictures. */
  minae.gallery = function ({ label, digits, value = 0, change }) {
    const name = minae.id("gallery");
    const group = el("fieldset", { class: "live-gallery" }, el("legend", {}, label));
    digits.forEach((digit, k) => {
      const canvas = el("canvas", { width: 28, height: 28, "aria-hidden": "true" });
      const given = {
        type: "radio",
        name,
        value: k,
        checked: k === value,
        "aria-label": `a ${digit.label}, number ${k + 1}`,
      };
      group.append(el("label", {}, el("input", { ...given, onchange: () => change(k) }), canvas));
      minae.onTheme(() => minae.grey(canvas, digit.x));
    });
    return { element: group };
  };

  /** A family of models, one for each value of a weight, looked at by one digit: the slider, and the digits. */
  minae.family = function ({ label, values, start, change }) {
    const digits = minae.digits().slice(0, 12);
    let k = values.indexOf(start);
    let chosen = 0;
    const slider = minae.steps({ label, values, start: k, change: (to) => change((k = to), chosen) });
    const gallery = minae.gallery({ label: "Digit x", digits, change: (to) => change(k, (chosen = to)) });
    return { digits, slider, gallery };
  };

  minae.row = (...inside) => el("div", { class: "live-row" }, ...inside);
  minae.column = (...inside) => el("div", { class: "live-column" }, ...inside);

  // ---- colours and pictures

  const listeners = [];
  /** Draw now, and again whenever the page turns dark or light. */
  minae.onTheme = function (draw) {
    listeners.push(draw);
    draw();
  };
  const redraw = () => requestAnimationFrame(() => listeners.forEach((draw) => draw()));
  if (window.matchMedia) window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  if (document.fonts) document.fonts.ready.then(redraw);
  new MutationObserver(redraw).observe(document.documentElement, {
    attributes: true,
    attributeFilter: ["class", "data-theme"],
  });
  minae.still = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;

  /** The page's colours as [red, green, blue], which light and dark change. Plots and planes are drawn on `paper`, with
   *  `ink`, `accent` and `blue`; digits and weights on `figure`, that of all figures, with `mark`, `plus`, `minus`. */
  minae.colours = function () {
    const style = getComputedStyle(document.documentElement);
    const probe = document.createElement("canvas").getContext("2d");
    const read = function (name, other) {
      probe.fillStyle = other;
      probe.fillStyle = style.getPropertyValue(name).trim() || other;
      const text = probe.fillStyle;
      if (text.startsWith("#")) return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
      return text
        .match(/[\d.]+/g)
        .slice(0, 3)
        .map(Number);
    };
    const bright = ([red, green, blue]) => red + green + blue > 380;
    const paper = read("--paper", "#ffffff");
    const figure = read("--figure-paper", "#ffffff");
    return {
      ink: read("--ink", "#1d1d1f"),
      paper,
      accent: read("--accent", "#8c2f14"),
      blue: bright(paper) ? [0, 94, 150] : [86, 180, 233],
      light: !bright(paper),
      figure,
      mark: bright(figure) ? [17, 17, 17] : [238, 238, 238],
      minus: bright(figure) ? [0, 114, 178] : [86, 180, 233],
      plus: bright(figure) ? [213, 94, 0] : [240, 140, 60],
    };
  };
  minae.css = (colour, alpha = 1) => `rgba(${colour.join(",")},${alpha})`;

  const paint = function (canvas, values, side, colour, at = [0, 0]) {
    const context = canvas.getContext("2d");
    const image = context.createImageData(side, values.length / side);
    for (let i = 0; i < values.length; i++) image.data.set([...colour(values[i]), 255], 4 * i);
    context.putImageData(image, at[0], at[1]);
  };
  const blend = (from, to, share) => from.map((value, k) => value + share * (to[k] - value));

  /** Values in [0, 1] as a picture: 0 is the paper and 1 the ink, as in all figures of the book. */
  minae.grey = function (canvas, x, at) {
    const { figure, mark } = minae.colours();
    const table = minae.range(256).map((k) => blend(figure, mark, k / 255));
    paint(canvas, x, 28, (value) => table[Math.round(255 * Math.min(1, Math.max(0, value)))], at);
  };

  /** Values of both signs as a picture: blue below 0, orange above, the paper at 0; `largest` has the full colour. */
  minae.signed = function (canvas, w, { at, largest, side = 28 } = {}) {
    const { figure, minus, plus } = minae.colours();
    const top = largest || w.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-12);
    paint(canvas, w, side, (value) => blend(figure, value < 0 ? minus : plus, Math.min(1, Math.abs(value) / top)), at);
  };

  /** Many pictures of 28 × 28 in a grid with a gap, on one canvas.     kind: "grey" or "signed" */
  minae.sheet = function (canvas, rows, columns, kind = "grey", gap = 2) {
    canvas.width = columns * 28 + (columns - 1) * gap;
    const lines = Math.ceil(rows.length / columns);
    canvas.height = lines * 28 + (lines - 1) * gap;
    rows.forEach((row, k) => {
      const at = [(k % columns) * (28 + gap), Math.floor(k / columns) * (28 + gap)];
      if (kind === "grey") minae.grey(canvas, row, at);
      else minae.signed(canvas, row, { at });
    });
  };

  /** A canvas with sharp lines on fine screens: draw(context, width, height) in CSS pixels; call the result to draw. */
  minae.plot = function (canvas, width, height, draw) {
    const fine = Math.min(3, window.devicePixelRatio || 1);
    canvas.width = width * fine;
    canvas.height = height * fine;
    canvas.style.width = `${width}px`;
    canvas.style.aspectRatio = `${width} / ${height}`;
    return function () {
      const context = canvas.getContext("2d");
      const family = getComputedStyle(canvas).fontFamily || "serif";
      context.setTransform(fine, 0, 0, fine, 0, 0);
      context.clearRect(0, 0, width, height);
      context.font = `13px ${family}`;
      draw(context, width, height, minae.colours());
    };
  };

  /** Where an event points, in a drawing of this width and height, wherever the canvas was scaled to. */
  minae.place = function (event, canvas, width, height) {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
  };

  /** Drag with mouse, pen or finger, and move with arrow keys (Shift: ten times as far). */
  minae.draggable = function (canvas, { width, height, to, step }) {
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      to(minae.place(event, canvas, width, height));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (canvas.hasPointerCapture(event.pointerId)) to(minae.place(event, canvas, width, height));
    });
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    canvas.addEventListener("keydown", (event) => {
      const way = arrows[event.key];
      if (!way || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      step(way.map((component) => component * (event.shiftKey ? 10 : 1)));
    });
  };

  minae.fixed = (value, digits = 2) => value.toFixed(digits).replace("-", "−");

  // ---- loading

  const loaded = {};
  minae.script = function (name) {
    if (!loaded[name]) {
      loaded[name] = new Promise((resolve, reject) => {
        const script = el("script", { src: here + name, onload: resolve, onerror: () => reject(new Error(name)) });
        document.head.append(script);
      });
    }
    return loaded[name];
  };

  /** Fill <section class="live" data-part="explorer" data-source="digits explorer">: load its scripts, and run it. */
  minae.mount = async function (element) {
    if (element.dataset.state) return;
    element.dataset.state = "loading";
    try {
      const names = (element.dataset.source || "").split(" ").filter(Boolean);
      await Promise.all([
        ...names.map((name) => minae.script(`data/${name}.js`)),
        minae.script(`${element.dataset.part}.js`),
      ]);
      const stage = el("div", { class: "live-stage" });
      element.append(stage); // before it is drawn, so that canvases know the fonts of the page
      await minae.parts[element.dataset.part](stage);
      const wait = element.querySelector(".live-wait");
      if (wait) wait.remove();
      element.dataset.state = "ready";
    } catch (error) {
      element.dataset.state = "failed";
      const wait = element.querySelector(".live-wait");
      if (wait) wait.textContent = `This part could not be loaded (${error.message}).`;
      throw error;
    }
  };

  const start = function () {
    const parts = [...document.querySelectorAll(".live[data-part]")];
    if (!("IntersectionObserver" in window)) return parts.forEach(minae.mount);
    const watch = new IntersectionObserver(
      (entries) =>
        entries
          .filter((entry) => entry.isIntersecting)
          .forEach((entry) => {
            watch.unobserve(entry.target);
            minae.mount(entry.target);
          }),
      { rootMargin: "800px" },
    );
    parts.forEach((part) => watch.observe(part));
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();

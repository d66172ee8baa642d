// Six speakers say one word, each in the voice of each: a matrix to listen to.
"use strict";
(function () {
  const minae = window.minae;
  const { el } = minae;

  /** The samples in [−1, 1] of the word of speaker i in the voice of j, from μ-law bytes. */
  const wave = function (i, j) {
    const { bytes, speakers, samples } = minae.data.voices;
    const all = minae.bytes(bytes);
    const at = (i * speakers.length + j) * samples;
    return Float32Array.from(all.subarray(at, at + samples), (byte) => {
      const y = (byte - 128) / 127;
      return (Math.sign(y) * (256 ** Math.abs(y) - 1)) / 255;
    });
  };
  minae.engine.voices = { wave };

  minae.parts.voices = function (stage) {
    const { speakers, rate, word } = minae.data.voices;
    let audio = null;
    const canvas = el("canvas", { role: "img", "aria-label": "the wave that was played last" });
    let shown = wave(0, 0);
    const draw = minae.plot(canvas, 520, 90, (context, width, height, colour) => {
      context.fillStyle = minae.css(colour.accent);
      for (let u = 0; u < width; u++) {
        const part = shown.subarray(
          Math.floor((u * shown.length) / width),
          Math.floor(((u + 1) * shown.length) / width),
        );
        const high = Math.max(...part);
        const low = Math.min(...part);
        context.fillRect(u, (height / 2) * (1 - high), 1, Math.max(1, (height / 2) * (high - low)));
      }
    });
    const say = el("p", { class: "live-say", "aria-live": "polite" }, "Nothing was played yet.");
    const play = (i, j) => () => {
      shown = wave(i, j);
      draw();
      const voice = i === j ? "his own voice" : `the voice of ${speakers[j]}`;
      say.textContent = `${speakers[i]} says “${word}” in ${voice}.`;
      const Context = window.AudioContext || window.webkitAudioContext;
      if (!Context) return;
      audio = audio || new Context();
      const buffer = audio.createBuffer(1, shown.length, rate);
      buffer.copyToChannel(shown, 0);
      const source = audio.createBufferSource();
      source.buffer = buffer;
      source.connect(audio.destination);
      source.start();
    };
    const head = el("tr", {}, el("td", {}, ""));
    speakers.forEach((name) => head.append(el("th", { scope: "col" }, name)));
    const body = el("tbody");
    speakers.forEach((from, i) => {
      const line = el("tr", {}, el("th", { scope: "row" }, from));
      speakers.forEach((to, j) => {
        const label = i === j ? `${from}, own voice` : `${from} in the voice of ${to}`;
        line.append(
          el(
            "td",
            {},
            minae.button(el("span", { "aria-hidden": "true" }, "▶"), play(i, j), {
              "aria-label": label,
              class: i === j ? "live-own" : "",
            }),
          ),
        );
      });
      body.append(line);
    });
    const credit = el(
      "p",
      { class: "live-key" },
      "Recordings: Free Spoken Digit Dataset by Zohar Jackson and others, CC BY-SA 4.0; conversions made from them.",
    );
    const table = el("table", { class: "live-table live-voices" });
    table.append(el("caption", {}, "rows: who says the word; columns: whose voice"), el("thead", {}, head), body);
    stage.append(el("div", { class: "live-scroll" }, table), canvas, say, credit);
    minae.onTheme(draw);
  };
})();

"use strict";
(() => {
const byId = (id) => document.getElementById(id);
const all = (selector) => [...document.querySelectorAll(selector)];
const S = JSON.parse(byId("values").textContent);
const COLUMNS = ["study", "rater", "seed", "trial", "image", "left", "right", "answer", "milliseconds", "trap"];
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const ANSWERS = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "not sure" };
const CAPTION = 22, GAP = 8, STEP = 80;  // pixels

const state = {
  rater: "", order: [], answers: [], asked: 0, shown: 0, ready: false, pixels: false, x: 0, y: 0, size: [1, 1],
};

// ---- What is kept in this browser ------------------------------------------------------------------------------

const keyOf = (rater) => `layered 2afc ${S.study} ${rater}`;

function kept(rater) {
  try {
    const found = JSON.parse(localStorage.getItem(keyOf(rater)) ?? "[]");
    const whole = found.every(([answer, time]) => Object.values(ANSWERS).includes(answer) && Number.isInteger(time));
    return whole ? found.slice(0, S.trials.length) : [];
  } catch {
    return [];
  }
}

function keep() {
  try {
    localStorage.setItem(keyOf(state.rater), JSON.stringify(state.answers));
  } catch {
    notice("This browser keeps nothing: save the CSV file before this page is closed or loaded again.");
  }
}

function notice(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = !text;
}

// ---- Trials ------------------------------------------------------------------------------------------------------

/** One of the study's lists, by the rater's id: FNV-1a of its UTF-8 bytes, both halves of it. */
function listOf(rater) {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(rater)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return S.orders[((hash ^ (hash >>> 16)) >>> 0) % S.orders.length];
}

/** The trial at a place of the rater's order: its image, and what stands left and right. */
function trialAt(place) {
  const [number, exchanged] = state.order[place];
  const { image, labels, pictures: [reference, first, second], trap } = S.trials[number];
  const sides = [[labels[0], first], [labels[1], second]];
  const [left, right] = exchanged ? sides.reverse() : sides;
  return { image, trap, reference, left, right };
}

const addresses = new Map();

function addressOf(number) {
  if (!addresses.has(number)) {
    const text = atob(JSON.parse(byId(`copy-${number}`).textContent));
    const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
    addresses.set(number, URL.createObjectURL(new Blob([bytes], { type: "image/webp" })));
  }
  return addresses.get(number);
}

const panels = () => all("#panels figure").map((figure) => ({
  name: figure.dataset.panel, frame: figure.querySelector(".window"), pictures: [...figure.querySelectorAll("img")],
}));

/** Show the trial that is next; its time begins when all its pictures are there. */
async function show() {
  const place = state.answers.length, trial = byId("trial"), mine = ++state.asked;
  if (place === S.trials.length) return finish();
  go("trial");
  state.ready = false;
  trial.dataset.waiting = "";
  delete trial.dataset.ready;
  flicker(false);
  byId("count").textContent = `${place + 1} of ${S.trials.length}`;
  Object.assign(byId("progress"), { max: S.trials.length, value: place });
  for (const button of all('#trial [data-action="back"]')) button.disabled = !place;
  const { left, right, reference } = trialAt(place), numbers = { left: left[1], right: right[1], original: reference };
  const loading = panels().flatMap(({ name, pictures }) => pictures.map((picture) => {
    picture.src = addressOf(picture.classList.contains("reference") ? reference : numbers[name]);
    return picture.decode();
  }));
  try {
    await Promise.all(loading);
  } catch {
    if (mine === state.asked) notice("A picture of this trial is damaged and cannot be shown; ask for the file again.");
    return;
  }
  if (mine !== state.asked) return;  // another trial was asked for meanwhile
  const [first] = panels()[1].pictures;
  state.size = [first.naturalWidth, first.naturalHeight];
  Object.assign(state, { x: 0, y: 0 });
  layOut();
  delete trial.dataset.waiting;
  requestAnimationFrame(() => {
    if (mine !== state.asked) return;
    Object.assign(state, { shown: performance.now(), ready: true });
    trial.dataset.ready = String(place + 1);
    prepare(place + 1);
  });
}

/** Decode the pictures of a trial ahead, so that raters do not wait. */
function prepare(place) {
  if (place >= S.trials.length) return;
  const { left, right, reference } = trialAt(place);
  for (const number of [reference, left[1], right[1]]) {
    const picture = new Image();
    picture.src = addressOf(number);
    picture.decode().catch(() => {});  // told when it is shown
  }
}

function answer(word) {
  if (!state.ready) return;
  state.answers.push([word, Math.round(performance.now() - state.shown)]);
  state.ready = false;
  keep();
  show();
}

function back() {
  if (!state.answers.length) return;
  state.answers.pop();
  keep();
  show();
}

// ---- Size, place and flicker -------------------------------------------------------------------------------------

/** All three at one scale: whole, never enlarged, or one pixel of the picture for one of the screen. */
function layOut() {
  const [width, height] = state.size, pixel = 1 / devicePixelRatio, box = byId("panels").getBoundingClientRect();
  const room = [Math.max(40, (box.width - 2 * GAP) / 3), Math.max(40, box.height - CAPTION)];
  const whole = Math.min(pixel, room[0] / width, room[1] / height), scale = state.pixels ? pixel : whole;
  const frame = [Math.min(width * scale, room[0]), Math.min(height * scale, room[1])];
  const least = [frame[0] - width * scale, frame[1] - height * scale];
  state.x = Math.min(0, Math.max(least[0], state.x));
  state.y = Math.min(0, Math.max(least[1], state.y));
  for (const { frame: element, pictures } of panels()) {
    Object.assign(element.style, { width: `${frame[0]}px`, height: `${frame[1]}px` });
    for (const picture of pictures) {
      Object.assign(picture.style, {
        width: `${width * scale}px`, height: `${height * scale}px`, left: `${state.x}px`, top: `${state.y}px`,
      });
    }
  }
  byId("trial").classList.toggle("pixels", state.pixels);
  const percent = Math.round(100 * scale * devicePixelRatio);
  byId("size").textContent = percent === 100 ? "pixel for pixel" : `shown at ${percent}% of its size`;
}

function move(x, y) {
  state.x += x;
  state.y += y;
  layOut();
}

function zoom() {
  Object.assign(state, { pixels: !state.pixels, x: 0, y: 0 });
  layOut();
}

function flicker(on) {
  byId("trial").classList.toggle("flicker", on);
  byId("flicker").setAttribute("aria-pressed", String(on));
}

// ---- CSV -----------------------------------------------------------------------------------------------------------

function csv() {
  const quoted = (value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const rows = state.answers.map(([word, time], place) => {
    const { image, left, right, trap } = trialAt(place);
    return [S.study, state.rater, S.seed, place + 1, image, left[0], right[0], word, time, Number(trap)];
  });
  return [COLUMNS, ...rows].map((row) => `${row.map((value) => quoted(String(value))).join(",")}\n`).join("");
}

function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.download = `2afc-${S.study.slice(0, 8)}-${state.rater.replace(/[^A-Za-z0-9]+/g, "-").slice(0, 40)}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// ---- From one part of the page to the next -------------------------------------------------------------------------

function go(name) {
  for (const part of all("main")) part.hidden = part.id !== name;
}

function start() {
  const rater = byId("rater").value.normalize("NFC").replace(/[\s\p{C}]+/gu, " ").trim();
  if (!rater) return notice("Your name or number is missing; it tells your answers from others'.");
  notice("");
  Object.assign(state, { rater, order: listOf(rater), answers: kept(rater) });
  keep();
  document.activeElement?.blur();  // else Space would press the button again
  show();
}

function finish() {
  go("end");
  byId("result").textContent = `${state.rater}: ${S.trials.length} of ${S.trials.length} trials are answered.`;
  byId("save").focus();
}

function leave() {
  byId("rater").value = "";
  go("welcome");
  byId("rater").focus();
}

const ACTIONS = { back, export: save, zoom, leave };

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !byId("welcome").hidden) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key, trial = !byId("trial").hidden;
  if (trial && event.shiftKey && ARROWS[key]) move(...ARROWS[key].map((step) => -STEP * step));
  else if (trial && ARROWS[key]) {
    if (ANSWERS[key] && !event.repeat) answer(ANSWERS[key]);  // a key held down is one answer
  } else if (trial && key === " ") flicker(true);
  else if (trial && key === "z" && !event.repeat) zoom();
  else if (key === "Backspace" && !event.repeat) back();
  else if (key === "e" && !event.repeat) save();
  else return;
  event.preventDefault();
});
addEventListener("keyup", (event) => {
  if (byId("trial").hidden || event.key !== " ") return;
  flicker(false);
  event.preventDefault();  // a focused button would be pressed
});
addEventListener("blur", () => flicker(false));
addEventListener("resize", () => { if (!byId("trial").hidden) layOut(); });

for (const button of all("[data-action]")) button.addEventListener("click", () => ACTIONS[button.dataset.action]());
for (const button of all("[data-answer]")) {
  button.addEventListener("click", () => { button.blur(); answer(button.dataset.answer); });
}
for (const kind of ["pointerdown", "pointerup", "pointerleave", "pointercancel"]) {
  byId("flicker").addEventListener(kind, () => flicker(kind === "pointerdown"));
}
for (const { frame } of panels()) {
  let last = null;
  frame.addEventListener("pointerdown", (event) => {
    if (!state.pixels || event.button) return;
    frame.setPointerCapture(event.pointerId);
    last = [event.clientX, event.clientY];
  });
  frame.addEventListener("pointermove", (event) => {
    if (!last) return;
    move(event.clientX - last[0], event.clientY - last[1]);
    last = [event.clientX, event.clientY];
  });
  for (const kind of ["pointerup", "pointercancel"]) frame.addEventListener(kind, () => { last = null; });
}

byId("name").textContent = S.name;
byId("about").textContent = `${S.trials.length} trials. Study ${S.study.slice(0, 8)}.`;
byId("start").addEventListener("click", start);
byId("rater").addEventListener("keydown", (event) => { if (event.key === "Enter") start(); });
byId("rater").focus();
})();

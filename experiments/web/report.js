"use strict";
(() => {
const V = JSON.parse(document.getElementById("values").textContent);
const G = V.gallery;
const ORIGINAL = -1;  // stands beside the numbers of codecs in the viewer
const AMPLIFIED = 8;
const MOST_ZOOM = 32;
const MOST_PERCENT = 100;  // longer bars are cut: one bad codec must not make all others invisible

// ---- Small helpers -------------------------------------------------------------------------------------------

const byId = (id) => document.getElementById(id);
const codecName = (codec) => (codec === ORIGINAL ? "original" : V.codecs[codec].name);
const cellName = (codec) => el("span", { class: "cellname" }, codecName(codec));
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/** An element.  User text only ever becomes a text node or an attribute, so that no name can act as markup. */
function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child != null));
  return made;
}

function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const minus = (text) => text.replace("-", "\u2212");
const percent = (value, digits = 1) => {
  const text = value.toFixed(digits);
  return minus(Number(text) > 0 ? `+${text}%` : Number(text) === 0 ? `${(0).toFixed(digits)}%` : `${text}%`);
};
const decibels = (value) => (value === "inf" ? "\u221e (lossless)" : `${minus(value.toFixed(2))} dB`);
const count = (value) => value.toLocaleString("en-US");
const quantity = (value, one) => `${count(value)} ${value === 1 ? one : `${one}s`}`;
const smallPictures = `not defined for pictures with a side below ${V.minSide} pixels`;
const inDecibels = (similarity) => -10 * Math.log10(1 - similarity);
const similarityText = (value) =>
  value == null ? "\u2013" : value >= 1 ? "1" : `${value.toFixed(4)} (${inDecibels(value).toFixed(2)} dB)`;

// ---- State: one value each, whichever section changes it -----------------------------------------------------

const several = V.ladders.length > 1;
const state = {
  ladder: 0, rule: 0, anchor: G.reference ?? 0, layer: V.ladders[0].layers.length - 1,
  metric: "psnr", log: false, short: false,
  hidden: new Set(), picked: new Set(),
  image: 0, worst: true, left: ORIGINAL, right: ORIGINAL, seen: V.ladders[G.ladder].layers.length - 1,
  errors: false, pixels: false, divide: 50, zoom: 1, x: 0, y: 0,
};
const watchers = [];

/** Call `action` now, and whenever one of the named values changes. */
function watch(names, action) {
  watchers.push([names.split(" "), action]);
  action();
}

function set(changes) {
  const top = V.ladders[changes.ladder ?? state.ladder].layers.length - 1;
  if (changes.ladder != null && state.layer > top) changes.layer = top;
  Object.assign(state, changes);
  for (const [names, action] of watchers) if (names.some((name) => name in changes)) action();
}

// ---- Controls ------------------------------------------------------------------------------------------------

/** options: [value, text] pairs, or a function that gives them; `again` names what changes them. */
function dropdown(label, name, options, again = "") {
  const listed = typeof options === "function" ? options : () => options;
  const field = el("select", { onchange: () => set({ [name]: Number(field.value) }), "data-control": name });
  watch(`${name} ${again}`, () => {
    field.replaceChildren(...listed().map(([value, text]) => el("option", { value }, text)));
    field.value = String(state[name]);
  });
  return el("label", {}, label, field);
}

function choice(label, name, options, again = "") {
  const listed = typeof options === "function" ? options : () => options;
  const row = el("div", { class: "choice", role: "group", "aria-label": label, "data-control": name });
  watch(`${name} ${again}`, () => {
    const focused = [...row.children].indexOf(document.activeElement);
    row.replaceChildren(...listed().map(([value, text]) => el("button", {
      type: "button", "aria-pressed": String(state[name] === value), onclick: () => set({ [name]: value }),
    }, text)));
    if (focused >= 0) row.children[focused]?.focus();
  });
  return el("div", { class: "field" }, label, row);
}

function checkbox(label, name) {
  const box = el("input", { type: "checkbox", "data-control": name, onchange: () => set({ [name]: box.checked }) });
  watch(name, () => { box.checked = state[name]; });
  return el("label", { class: "check" }, box, label);
}

const ladderControl = () =>
  several ? dropdown("Set of scales", "ladder", V.ladders.map((ladder, index) => [index, ladder.label])) : null;
const ruleControl = () => choice("Averaging", "rule", V.rules.map((rule, index) => [index, rule]));
const layerChoice = (ladder) => () => V.ladders[ladder()].layers.map((label, layer) => [layer, label]);

// ---- How a codec looks: one line per method, one colour for rows that differ in nothing else -------------------

const colour = (codec) => `var(--c${V.codecs[codec].colour % 10})`;
const DASHES = { layered: "none", single: "1.5 3.5" };
const dash = (codec) => DASHES[V.codecs[codec].kind] ?? "6 3.5";

function marker(codec, x, y, size = 3.4) {
  const kind = V.codecs[codec].kind, fill = colour(codec);
  if (kind === "layered") return svg("circle", { cx: x, cy: y, r: size, fill });
  if (kind === "single") {
    const points = `${x},${y - size - 0.6} ${x + size + 0.6},${y + size} ${x - size - 0.6},${y + size}`;
    return svg("polygon", { points, fill });
  }
  return svg("rect", { x: x - size + 0.4, y: y - size + 0.4, width: 2 * size - 0.8, height: 2 * size - 0.8, fill });
}

function swatch(codec) {
  const line = svg("line", { x1: 0, x2: 26, y1: 6, y2: 6, "stroke-width": 2, "stroke-dasharray": dash(codec) });
  line.style.stroke = colour(codec);
  return svg("svg", { class: "swatch", viewBox: "0 0 26 12", "aria-hidden": "true" }, line, marker(codec, 13, 6));
}

// ---- Which codec wins where ------------------------------------------------------------------------------------

function rate(ladder, layer, rule, anchor, codec) {
  if (anchor === codec) return { value: 0, notes: [] };
  const numbers = V.rates.notes[[ladder, layer, rule, anchor, codec].join(".")] ?? [];
  return { value: V.rates.table[ladder][layer][rule][anchor][codec], notes: numbers.map((n) => V.rates.texts[n]) };
}

/** Codecs with a BD-rate, fewest bits first, and those without. */
function ranking(layer) {
  const all = V.codecs.map((_, codec) => ({ codec, ...rate(state.ladder, layer, state.rule, state.anchor, codec) }));
  return {
    ranked: all.filter((row) => row.value != null).sort((a, b) => a.value - b.value),
    absent: all.filter((row) => row.value == null),
  };
}

function bars(rows, low, high) {
  const grid = el("div", { class: "bars", style: `--zero:${(100 * -low) / (high - low)}%` });
  rows.forEach(({ codec, value, notes }, place) => {
    const shown = Math.min(value, MOST_PERCENT), at = (v) => (100 * (v - low)) / (high - low);
    const bar = el("span", { class: value > MOST_PERCENT ? "bar cut" : "bar" });
    bar.style.left = `${at(Math.min(0, shown))}%`;
    bar.style.width = `${at(Math.abs(shown) + low)}%`;
    bar.style.background = `rgb(var(${value < 0 ? "--fewer" : "--more"}))`;
    const text = codec === state.anchor ? "anchor" : percent(value) + (notes.length ? "*" : "");
    grid.append(
      el("span", { class: "who" }, swatch(codec),
        el("span", { class: place ? "name" : "name best" }, codecName(codec))),
      el("span", { class: "track" }, codec === state.anchor ? null : bar),
      el("span", { class: place ? "value" : "value best", title: notes.join("; ") || null }, text),
    );
  });
  return grid;
}

function rankingCard(layer, low, high) {
  const { ranked, absent } = ranking(layer);
  const compared = ranked.length > 1;
  const card = el("div", { class: "card" }, el("h3", {}, V.ladders[state.ladder].layers[layer]));
  card.append(compared ? bars(ranked, low, high)
    : el("p", { class: "note" }, "No codec can be compared with the anchor."));
  for (const { codec, notes } of absent) {
    card.append(el("p", { class: "note" }, `${codecName(codec)}: no value; ${notes.join("; ")}`));
  }
  for (const { codec, notes } of ranked.filter((row) => row.notes.length)) {
    card.append(el("p", { class: "note" }, `* ${codecName(codec)}: ${notes.join("; ")}`));
  }
  return card;
}

/** `X needs the fewest bits in BL (-3%) and EL1 (-5%)`, by winner; those whom no digit shown tells apart share it. */
function winners(eligible) {
  const found = new Map();
  V.ladders[state.ladder].layers.forEach((label, layer) => {
    const ranked = ranking(layer).ranked;
    const best = ranked.find(({ codec }) => eligible(codec));
    if (ranked.length < 2 || !best) return;
    const level = ranked.filter(({ codec, value }) => eligible(codec) && percent(value) === percent(best.value));
    const who = listed(level.map(({ codec }) => codecName(codec)));
    const anchor = level.some(({ codec }) => codec === state.anchor) ? level.length > 1 ? "level" : "the anchor" : null;
    found.set(who, [...(found.get(who) ?? []), `${label} (${anchor ?? percent(best.value)})`]);
  });
  return found;
}

const listed = (words) => (words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`);

function sentence(found) {
  const parts = [...found].map(([who, words]) => [el("b", {}, who), ` in ${listed(words)}`]);
  return parts.flatMap((part, index) => (index ? ["; ", ...part] : part));
}

function drawWinners() {
  const headline = byId("headline"), layers = V.ladders[state.ladder].layers;
  if (V.codecs.length < 2) {
    headline.textContent = "One codec was measured, so that there is nothing to compare it with.";
    return;
  }
  const all = winners(() => true), holding = winners((codec) => V.codecs[codec].kind !== "single");
  const same = JSON.stringify([...all]) === JSON.stringify([...holding]);
  headline.replaceChildren(...(all.size
    ? [`Fewest bits at equal PSNR (BD-rate against ${codecName(state.anchor)}): `, ...sentence(all), "."]
    : ["No two codecs can be compared here; each layer says why."]));
  if (all.size && !same && holding.size) {
    headline.append(" Among those that deliver all sizes up to a layer: ", ...sentence(holding), ".");
  }
  const values = layers.flatMap((_, layer) => ranking(layer).ranked.map((row) => row.value));
  const low = Math.min(-1, ...values), high = Math.max(1, ...values.map((value) => Math.min(value, MOST_PERCENT)));
  byId("rankings").replaceChildren(...layers.map((_, layer) => rankingCard(layer, low, high)));
  const named = V.anchors.length ? "" : " The recipe names no anchor; the first codec stands in.";
  byId("winners-note").textContent =
    `BD-rate against ${codecName(state.anchor)}, ${V.rules[state.rule]}: the mean difference of bits at equal PSNR. ` +
    "Left of the line is fewer bits, so better. A single-layer file holds one size only; it costs nothing for the " +
    `sizes below.${named}`;
}

function startWinners() {
  if (V.codecs.length > 1) {
    const codecs = [...V.anchors, ...V.codecs.keys()].filter((codec, at, list) => list.indexOf(codec) === at);
    byId("winners-controls").append(
      dropdown("Against", "anchor", codecs.map((codec) => [codec, codecName(codec)])), ruleControl(),
      ...[ladderControl()].filter(Boolean),
    );
  }
  watch("ladder rule anchor", drawWinners);
  if (!several || V.codecs.length < 2) return;
  byId("ladders").hidden = false;
  watch("ladder rule anchor", () => {
    byId("ladders-title").textContent =
      `Top layer of every set of scales: BD-rate against ${codecName(state.anchor)}, ${V.rules[state.rule]}`;
    byId("ladders-table").replaceChildren(laddersTable());
  });
}

/** A row for each set of scales, which its button chooses. */
function laddersTable() {
  const codecs = [...V.codecs.keys()].filter((codec) => codec !== state.anchor);
  const row = ({ label, layers }, ladder) => {
    const button = el("button", { type: "button", "data-ladder": ladder, onclick: () => set({ ladder }) }, label);
    button.setAttribute("aria-pressed", String(ladder === state.ladder));
    const cells = codecs.map((codec) => shaded(rate(ladder, layers.length - 1, state.rule, state.anchor, codec)));
    return el("tr", {}, el("th", { scope: "row" }, button), cells);
  };
  return el("table", { class: "matrix" },
    el("thead", {}, el("tr", {}, el("td", { class: "text quiet" }, "scales"),
      codecs.map((codec) => el("th", { scope: "col" }, cellName(codec))))),
    el("tbody", {}, V.ladders.map(row)));
}

/** A cell in the colour of its BD-rate. */
function shaded({ value, notes }, properties = {}) {
  const cell = el("td", { title: notes.join("; ") || null, ...properties });
  if (value == null) {
    cell.className = "none";
    cell.textContent = "none";
    return cell;
  }
  if (notes.length) cell.className = "noted";
  cell.textContent = percent(value);
  const strength = 0.6 * Math.min(1, Math.abs(value) / 50) ** 0.7;
  cell.style.background = `rgb(var(${value < 0 ? "--fewer" : "--more"}) / ${strength.toFixed(3)})`;
  return cell;
}

// ---- Rate and distortion ---------------------------------------------------------------------------------------

/** A point of an average, by the names that the table of values does without. */
const point = ([quality, bpp, psnr, similarity, encode, decode, operations]) =>
  ({ quality, bpp, psnr, similarity, encode, decode, operations });

function heightOf(entry) {
  if (state.metric === "psnr") return entry.psnr;
  return entry.similarity == null || entry.similarity >= 1 ? null : inDecibels(entry.similarity);
}

function curvesOf(layer) {
  const found = [];
  V.points[state.ladder][layer].forEach((average, codec) => {
    if (state.hidden.has(codec) || !average.at) return;
    const points = average.at.map(point).map((p) => ({ ...p, codec, x: p.bpp, y: heightOf(p) }));
    const drawn = points.filter((p) => p.y != null);
    if (drawn.length) found.push({ codec, points: drawn });
  });
  return found;
}

function linearTicks(low, high, wanted) {
  const rough = (high - low) / wanted, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) {
    ticks.push(Number((k * step).toPrecision(12)));
  }
  return ticks;
}

function logTicks(low, high) {
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const factor of [1, 2, 5]) {
      const tick = Number((factor * 10 ** power).toPrecision(6));
      if (tick >= low && tick <= high) ticks.push(tick);
    }
  }
  return ticks.length > 1 ? ticks : linearTicks(low, high, 4);
}

/** Of all curves, or where that is asked for up to where the first of them ends. */
function rateRange(curves) {
  const low = Math.min(...curves.map(({ points }) => points[0].x));
  const ends = curves.map(({ points }) => points.at(-1).x), first = Math.min(...ends);
  return [low, state.short && first > low ? first : Math.max(...ends)];
}

/** Qualities of a curve between two rates, those at the ends by straight lines. */
function levelsWithin(points, low, high) {
  const found = points.filter((p) => p.x >= low && p.x <= high).map((p) => p.y);
  for (const end of [low, high]) {
    const next = points.findIndex((p) => p.x > end), before = points[next - 1], after = points[next];
    if (before) found.push(before.y + ((after.y - before.y) * (end - before.x)) / (after.x - before.x));
  }
  return found;
}

/** Pixel positions of rates and qualities in a chart of this size. */
function axes(curves, width, height) {
  const room = { left: 40, right: 8, top: 20, bottom: 36 };
  const turn = state.log ? Math.log10 : (value) => value;
  const [least, most] = rateRange(curves);
  const levels = curves.flatMap((curve) => levelsWithin(curve.points, least, most));
  const spare = 0.03 * (most - least) || 0.1 * most;
  const first = state.short ? Math.max(0, least - spare) : 0;
  const [low, high] = state.log ? [least / 1.08, most * 1.08] : [first, most + spare];
  const margin = Math.max(0.2, 0.05 * (Math.max(...levels) - Math.min(...levels)));
  const bottom = Math.min(...levels) - margin, top = Math.max(...levels) + margin;
  const inner = { width: width - room.left - room.right, height: height - room.top - room.bottom };
  return {
    room, low, high, bottom, top, width, height,
    x: (value) => room.left + (inner.width * (turn(value) - turn(low))) / (turn(high) - turn(low)),
    y: (value) => room.top + (inner.height * (top - value)) / (top - bottom),
    rateTicks: state.log ? logTicks(low, high) : linearTicks(low, high, Math.max(3, width / 85)),
    levelTicks: linearTicks(bottom, top, 6),
  };
}

function frame(axis) {
  const { room, width, height } = axis, foot = height - room.bottom, end = width - room.right;
  const group = svg("g", { "aria-hidden": "true" });
  for (const tick of axis.levelTicks) {
    const y = axis.y(tick);
    group.append(svg("line", { class: "rule", x1: room.left, x2: end, y1: y, y2: y }));
    group.append(svg("text", { x: room.left - 6, y: y + 4, "text-anchor": "end" }, String(tick)));
  }
  for (const tick of axis.rateTicks) {
    const x = axis.x(tick);
    group.append(svg("line", { class: "rule", x1: x, x2: x, y1: room.top, y2: foot }));
    group.append(svg("text", { x, y: foot + 15, "text-anchor": "middle" }, String(tick)));
  }
  group.append(svg("text", { x: 0, y: 10 }, state.metric === "psnr" ? "PSNR, dB" : "MS-SSIM, dB"));
  group.append(svg("path", { class: "frame", d: `M${room.left} ${room.top}V${foot}H${end}` }));
  const label = `bits per pixel${state.log ? ", logarithmic" : ""}`;
  group.append(svg("text", { x: (room.left + end) / 2, y: height - 3, "text-anchor": "middle" }, label));
  return group;
}

/** What lies outside the axes is not to be seen, but for half a marker. */
function clipping({ clip, room, width, height }) {
  const size = { width: width - room.left - room.right + 10, height: height - room.top - room.bottom + 10 };
  return svg("clipPath", { id: clip }, svg("rect", { x: room.left - 5, y: room.top - 5, ...size }));
}

function drawCurve(curve, axis) {
  const places = curve.points.map((p) => `${axis.x(p.x).toFixed(1)},${axis.y(p.y).toFixed(1)}`);
  const line = svg("polyline", { class: "series", points: places.join(" "), "stroke-dasharray": dash(curve.codec) });
  line.style.stroke = colour(curve.codec);
  const group = svg("g", { class: V.codecs[curve.codec].kind, "data-codec": curve.codec }, line);
  for (const p of curve.points) group.append(marker(curve.codec, axis.x(p.x), axis.y(p.y)));
  group.setAttribute("clip-path", `url(#${axis.clip})`);
  return group;
}

/** A box with one layer's chart, drawn again by `draw` for the width that the box has. */
function chart(layer) {
  const holder = el("div", { class: "chart" });
  const title = V.ladders[state.ladder].layers[layer];
  const card = el("div", { class: "card", "data-layer": layer }, el("h3", {}, title), holder);
  let tip = null, near = null, curves = [], axis = null, place = null;

  function forget() {
    tip?.remove(); near?.remove();
    tip = near = null;
    emphasise(null);
  }
  function show(at) {
    forget();
    place = at;
    const curve = curves[at[0]], p = curve.inside[at[1]], x = axis.x(p.x), y = axis.y(p.y);
    near = svg("circle", { class: "near", cx: x, cy: y, r: 7 });
    holder.querySelector("svg").append(near);
    const lines = [`quality ${p.quality}`, `${p.bpp.toFixed(4)} bpp`, `PSNR ${decibels(p.psnr)}`,
      `MS-SSIM ${p.similarity == null ? "not measured" : similarityText(p.similarity)}`];
    tip = el("div", { class: "tip", role: "status" }, el("b", {}, codecName(p.codec)), lines.join("\n"));
    holder.append(tip);
    const { offsetWidth: wide, offsetHeight: tall } = tip;
    const aside = x + 14 + wide > axis.width ? x - 14 - wide : x + 14;
    tip.style.left = `${clamp(aside, 0, Math.max(0, axis.width - wide))}px`;
    tip.style.top = `${clamp(y - tall / 2, 0, Math.max(0, axis.height - tall))}px`;
    emphasise(p.codec);
  }
  function follow(event) {
    const box = holder.getBoundingClientRect(), mouse = [event.clientX - box.left, event.clientY - box.top];
    let best = null, least = 40;
    curves.forEach((curve, c) => curve.inside.forEach((p, k) => {
      const away = Math.hypot(axis.x(p.x) - mouse[0], axis.y(p.y) - mouse[1]);
      if (away < least) [best, least] = [[c, k], away];
    }));
    if (!best) forget();
    else if (!tip || best.join() !== place?.join()) show(best);
  }
  function step(event) {
    if (event.key === "Escape") return forget();
    const moves = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const move = moves[event.key];
    if (!move || !curves.length) return;
    event.preventDefault();
    const from = place && tip ? place : [0, -move[1]];
    const c = clamp(from[0] + move[0], 0, curves.length - 1);
    const points = curves[c].inside.length;
    if (points) show([c, clamp(from[1] + move[1], 0, points - 1)]);
  }
  function draw() {
    forget();
    place = null;
    const width = holder.clientWidth || 440, height = Math.round(clamp(0.72 * width, 240, 380));
    curves = curvesOf(layer);
    if (!curves.length) {
      const why = state.metric === "psnr" || V.codecs.every((_, codec) => state.hidden.has(codec))
        ? "Nothing to draw: no curve is shown or there is none."
        : `No MS-SSIM here: ${V.noSimilarity || smallPictures}.`;
      holder.replaceChildren(el("p", { class: "note" }, why));
      return;
    }
    axis = axes(curves, width, height);
    axis.clip = `clip-${layer}`;
    axis.clipping = clipping(axis);
    for (const curve of curves) curve.inside = curve.points.filter((p) => p.x >= axis.low && p.x <= axis.high);
    const metric = state.metric === "psnr" ? "PSNR in dB" : "MS-SSIM in dB";
    const drawing = svg("svg", {
      viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: 0,
      "aria-label": `${title}: ${metric} over bits per pixel; arrow keys go from point to point`,
    }, frame(axis), axis.clipping, ...curves.map((curve) => drawCurve(curve, axis)));
    drawing.addEventListener("pointermove", follow);
    drawing.addEventListener("pointerdown", follow);
    drawing.addEventListener("pointerleave", forget);
    drawing.addEventListener("blur", forget);
    drawing.addEventListener("keydown", step);
    holder.replaceChildren(drawing);
  }
  return { card, draw };
}

/** Let one codec stand out in all charts; null for none. */
function emphasise(codec) {
  for (const group of document.querySelectorAll("#charts g[data-codec]")) {
    group.classList.toggle("faded", codec != null && Number(group.dataset.codec) !== codec);
  }
}

function startLegend() {
  const legend = byId("legend");
  const toggle = (codec) => {
    const hidden = new Set(state.hidden);
    if (!hidden.delete(codec)) hidden.add(codec);
    set({ hidden });
  };
  const buttons = V.codecs.map(({ name }, codec) => el("button", {
    type: "button", onclick: () => toggle(codec), "data-codec": codec,
    onpointerenter: () => emphasise(state.hidden.has(codec) ? null : codec), onpointerleave: () => emphasise(null),
    onfocus: () => emphasise(state.hidden.has(codec) ? null : codec), onblur: () => emphasise(null),
  }, swatch(codec), el("span", { class: "name" }, name)));
  legend.append(...buttons);
  if (V.codecs.length > 2) {
    legend.append(
      ...[["Show all", []], ["Hide all", [...V.codecs.keys()]]].map(([text, hidden]) => el("button", {
        type: "button", class: "command", onclick: () => set({ hidden: new Set(hidden) }),
      }, text)),
    );
  }
  watch("hidden", () => buttons.forEach((button, codec) => {
    button.setAttribute("aria-pressed", String(!state.hidden.has(codec)));
  }));
}

/** Codecs without a curve or without a part of one, and why, each once. */
function absentCurves() {
  const found = new Map();
  V.points[state.ladder].forEach((averages, layer) => averages.forEach(({ why, gaps }, codec) => {
    if (!why && !gaps.length) return;
    const key = why ? `${codecName(codec)}: ${why}` : gaps.join("; ");
    found.set(key, [...(found.get(key) ?? []), V.ladders[state.ladder].layers[layer]]);
  }));
  const all = V.ladders[state.ladder].layers.length;
  return [...found].map(([key, layers]) => (layers.length === all ? key : `${key} (${layers.join(", ")})`));
}

function pointsTable() {
  const counted = V.operations ? ["decode Gop"] : [];
  const head = ["codec", "quality", "layer", "images", "bpp", "PSNR", "MS-SSIM", "encode s", "decode s", ...counted];
  const rows = [];
  V.codecs.forEach(({ name }, codec) => V.ladders[state.ladder].layers.forEach((label, layer) => {
    const average = V.points[state.ladder][layer][codec];
    for (const p of (average.at ?? []).map(point)) {
      rows.push([name, p.quality, label, average.images, p.bpp.toFixed(4), decibels(p.psnr),
        similarityText(p.similarity), p.encode.toFixed(3), p.decode.toFixed(3),
        ...counted.map(() => (p.operations === null ? "-" : (p.operations / 1e9).toFixed(1)))]);
    }
    if (average.why) rows.push([name, "", label, 0, average.why, "", "", "", "", ...counted.map(() => "")]);
  }));
  return table(head, rows);
}

function table(head, rows) {
  return el("table", {},
    el("thead", {}, el("tr", {}, head.map((text) => el("th", { scope: "col" }, text)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map((text) =>
      el("td", { class: String(text).length > 40 ? "long" : null }, String(text)))))));
}

function startCurves() {
  const measured = V.points.flat(2).some(({ at }) => at?.some((entry) => entry[3] != null));
  byId("curves-controls").append(...[
    measured ? choice("Quality", "metric", [["psnr", "PSNR"], ["similarity", "MS-SSIM, dB"]]) : null,
    ladderControl(), checkbox("Logarithmic rate", "log"),
    V.codecs.length > 1 ? checkbox("Zoom to the shortest curve", "short") : null,
  ].filter(Boolean));
  startLegend();
  let charts = [];
  const draw = () => charts.forEach((one) => one.draw());
  watch("ladder", () => {
    charts = V.ladders[state.ladder].layers.map((_, layer) => chart(layer));
    byId("charts").replaceChildren(...charts.map(({ card }) => card));
    draw();
    byId("points").replaceChildren(pointsTable());
    const images = new Set(V.points[state.ladder].flat().filter(({ at }) => at).map((average) => average.images));
    const notes = absentCurves();
    byId("curves-note").textContent =
      `Means over ${[...images].map((number) => quantity(number, "image")).join(" or ") || "no images"}.` +
      (measured ? "" : ` MS-SSIM: ${V.noSimilarity || smallPictures}.`) +
      (notes.length ? ` Left out: ${notes.join("; ")}.` : "");
  });
  watch("metric log short hidden", draw);
  let width = 0;
  new ResizeObserver(([entry]) => {
    if (Math.abs(entry.contentRect.width - width) < 1) return;
    width = entry.contentRect.width;
    draw();
  }).observe(byId("charts"));
}

// ---- BD-rate matrix --------------------------------------------------------------------------------------------

function matrixWords(anchor, codec) {
  const label = V.ladders[state.ladder].layers[state.layer];
  if (anchor === codec) return `${codecName(codec)} against itself.`;
  const { value, notes } = rate(state.ladder, state.layer, state.rule, anchor, codec);
  const who = `${codecName(codec)} against ${codecName(anchor)}, ${label}, ${V.rules[state.rule]}: `;
  const what = value == null ? "no value"
    : `${percent(value, 2)}, so ${Math.abs(value).toFixed(2)}% ${value < 0 ? "fewer" : "more"} bits at equal PSNR`;
  return `${who}${what}${notes.length ? ` (${notes.join("; ")})` : ""}.`;
}

function matrixCell(anchor, codec) {
  const place = { tabindex: -1, title: matrixWords(anchor, codec), "data-anchor": anchor, "data-codec": codec };
  if (anchor === codec) return el("td", { class: "self", ...place }, "\u00b7");
  return shaded(rate(state.ladder, state.layer, state.rule, anchor, codec), place);
}

function startMatrix() {
  if (V.codecs.length < 2) {
    byId("matrix").hidden = true;
    document.querySelector('nav a[href="#matrix"]').hidden = true;
    return;
  }
  byId("matrix-controls").append(...[
    choice("Layer", "layer", layerChoice(() => state.ladder), "ladder"), ruleControl(), ladderControl(),
  ].filter(Boolean));
  const holder = byId("matrix-table"), detail = byId("matrix-detail");
  const idle = () => `${V.ladders[state.ladder].layers[state.layer]}, ${V.rules[state.rule]}. Rows: codecs. Columns: ` +
    "what they are compared with. Point at a cell, or go there with the arrow keys, for its sentence; * marks a " +
    "cell with a remark.";
  const explain = (cell) => {
    holder.querySelector("td.on")?.classList.remove("on");
    cell?.classList.add("on");
    detail.textContent = cell ? matrixWords(Number(cell.dataset.anchor), Number(cell.dataset.codec)) : idle();
  };
  holder.addEventListener("pointerover", (event) => explain(event.target.closest("td")));
  holder.addEventListener("pointerleave", () => explain(null));
  holder.addEventListener("focusin", (event) => explain(event.target.closest("td")));
  holder.addEventListener("keydown", (event) => {
    const moves = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const cell = event.target.closest("td"), move = moves[event.key];
    if (!cell || !move) return;
    event.preventDefault();
    const row = Number(cell.dataset.codec) + move[0], column = Number(cell.dataset.anchor) + move[1];
    const next = holder.querySelector(`td[data-codec="${row}"][data-anchor="${column}"]`);
    if (!next) return;
    cell.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
  watch("ladder layer rule", () => {
    const codecs = [...V.codecs.keys()];
    holder.replaceChildren(el("table", { class: "matrix" },
      el("thead", {}, el("tr", {}, el("td", { class: "text quiet" }, "codec \u2193 against \u2192"),
        codecs.map((anchor) => el("th", { scope: "col" }, cellName(anchor))))),
      el("tbody", {}, codecs.map((codec) => el("tr", {}, el("th", { scope: "row" }, cellName(codec)),
        codecs.map((anchor) => matrixCell(anchor, codec)))))));
    holder.querySelector("tbody td").tabIndex = 0;  // one stop for the Tab key; arrows go on from it
    explain(null);
  });
}

// ---- Pictures: decoded when they are seen ----------------------------------------------------------------------

const blobs = new Map(), addresses = new Map(), bitmaps = new Map();

function blobOf(number) {
  if (!blobs.has(number)) {
    const text = atob(JSON.parse(byId(`copy-${number}`).textContent));
    blobs.set(number, new Blob([Uint8Array.from(text, (letter) => letter.charCodeAt(0))], { type: "image/webp" }));
  }
  return blobs.get(number);
}

function addressOf(number) {
  if (!addresses.has(number)) addresses.set(number, URL.createObjectURL(blobOf(number)));
  return addresses.get(number);
}

/** The decoded picture; the last few are remembered, so that going back and forth is quick. */
function bitmapOf(number) {
  if (!bitmaps.has(number)) {
    bitmaps.set(number, createImageBitmap(blobOf(number)));
    if (bitmaps.size > 24) bitmaps.delete(bitmaps.keys().next().value);
  }
  return bitmaps.get(number);
}

const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    observer.unobserve(target);
    target.src = addressOf(Number(target.dataset.copy));
  }
}, { rootMargin: "200px" });

// On paper there is no scrolling to a picture.
addEventListener("beforeprint", () => {
  for (const picture of document.querySelectorAll("img[data-copy]:not([src])")) {
    picture.src = addressOf(Number(picture.dataset.copy));
  }
});

function lazyPicture(number, properties) {
  const picture = el("img", { ...properties, "data-copy": number });
  observer.observe(picture);
  return picture;
}

// ---- Pictures: what is known of one ------------------------------------------------------------------------------

const image = () => G.images[state.image];
const copyOf = (codec, layer) => (codec === ORIGINAL ? image().originals[layer] : image().copies[codec][layer]);

/** Size, bytes and quality of one codec's layer, or null where it was not measured. */
function measured(codec, layer) {
  const found = image().layers[codec]?.[layer];
  if (!found) return null;
  const [width, height, bytes, psnr, similarity] = found;
  return { width, height, bytes, psnr, similarity, bpp: (8 * bytes) / (width * height) };
}

function sizeOf(layer) {
  for (const layers of image().layers) if (layers) return layers[layer];
  return [3, 2];
}

function whyAbsent(codec) {
  if (codec !== ORIGINAL && !image().layers[codec]) {
    const failed = V.failures.find(([name, quality, of, scales]) => name === codecName(codec) && of === image().name &&
      quality === G.qualities[codec] && scales === V.ladders[G.ladder].label);
    return `${codecName(codec)} has no record here: ${failed ? failed[4] : "not measured"}`;
  }
  return `The picture of ${codecName(codec)} is not in this file.`;
}

// ---- Pictures: list ----------------------------------------------------------------------------------------------

function positionText(value) {
  if (value == null) return "no value";
  return G.reference == null ? decibels(value) : percent(value);
}

function drawStrip(strip) {
  const order = [...G.images.keys()];
  const rest = order.filter((index) => G.images[index].position == null);
  const sorted = order.filter((index) => G.images[index].position != null);
  if (!state.worst) sorted.reverse();
  strip.replaceChildren(...[...sorted, ...rest].map((index) => {
    const { name, position, thumbnail } = G.images[index];
    const picture = thumbnail == null ? null : lazyPicture(thumbnail, { class: "small", alt: "" });
    const button = el("button", { type: "button", "data-image": index, onclick: () => set({ image: index }) },
      picture, el("span", {}, name), el("span", { class: "quiet" }, positionText(position)));
    return el("li", {}, button);
  }));
}

function markStrip(strip) {
  for (const button of strip.querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.image) === state.image));
  }
}

// ---- Pictures: comparison ----------------------------------------------------------------------------------------

function plainPicture(canvas, picture) {
  canvas.width = picture.width;
  canvas.height = picture.height;
  canvas.getContext("2d").drawImage(picture, 0, 0);
}

/** Absolute differences of red, green and blue, amplified; black is no error. */
function errorMap(canvas, picture, original) {
  const { width, height } = picture;
  const context = el("canvas", { width, height }).getContext("2d", { willReadFrequently: true });
  const read = (source) => {
    context.drawImage(source, 0, 0, width, height);
    return context.getImageData(0, 0, width, height);
  };
  const result = read(picture), other = read(original).data, data = result.data;
  for (let k = 0; k < data.length; k++) data[k] = k % 4 === 3 ? 255 : AMPLIFIED * Math.abs(data[k] - other[k]);
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(result, 0, 0);
}

/** One side of the stage: a canvas that shows what the state names. */
function side(name) {
  const canvas = el("canvas", { role: "img" }), absent = el("div", { class: "absent", hidden: true });
  const box = el("div", { class: "side", "data-side": name }, canvas, absent);
  const tag = el("span", { class: `tag ${name}` });
  let asked = 0;
  async function draw() {
    const codec = state[name], number = copyOf(codec, state.seen), mine = ++asked;
    const original = copyOf(ORIGINAL, state.seen), errors = state.errors && codec !== ORIGINAL;
    const missing = number == null || (errors && original == null);
    const label = errors ? `errors \u00d7${AMPLIFIED} of ${codecName(codec)}` : codecName(codec);
    tag.textContent = label;
    canvas.setAttribute("aria-label", `${image().name}, ${label}`);
    try {
      const wanted = missing ? [] : [bitmapOf(number), errors ? bitmapOf(original) : null];
      const [picture, reference] = await Promise.all(wanted);
      if (mine !== asked) return;  // another picture was asked for meanwhile
      if (picture) (errors ? errorMap : plainPicture)(canvas, picture, reference);
      absent.textContent = missing ? whyAbsent(codec) : "";
    } catch {
      if (mine !== asked) return;
      absent.textContent = "This copy is damaged and cannot be shown.";
    }
    absent.hidden = !absent.textContent;
    canvas.hidden = !absent.hidden;
    box.dataset.ready = String(mine);
  }
  return { box, tag, canvas, draw };
}

/** Zoom by `factor` so that the point (x, y) of the stage stays where it is. */
function zoomBy(factor, x, y, stage) {
  const zoom = clamp(state.zoom * factor, 1, MOST_ZOOM), ratio = zoom / state.zoom;
  moveTo(stage, zoom, x - (x - state.x) * ratio, y - (y - state.y) * ratio);
  return ratio !== 1;
}

function moveTo(stage, zoom, x, y) {
  const { clientWidth: width, clientHeight: height } = stage;
  set({ zoom, x: clamp(x, width * (1 - zoom), 0), y: clamp(y, height * (1 - zoom), 0) });
}

/** Mouse, pen and fingers: near the edge or unzoomed one of them moves the edge, else the picture; two zoom. */
function followPointers(stage) {
  const held = new Map();
  let task = null, spread = 0;
  const at = (event) => {
    const box = stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const apart = () => {
    const [a, b] = [...held.values()];
    return { distance: Math.hypot(a[0] - b[0], a[1] - b[1]), x: (a[0] + b[0]) / 2, y: (a[1] + b[1]) / 2 };
  };
  const divide = (x) => set({ divide: clamp((100 * x) / stage.clientWidth, 0, 100) });
  stage.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    stage.setPointerCapture(event.pointerId);
    held.set(event.pointerId, at(event));
    if (held.size === 2) {
      task = "pinch";
      spread = apart().distance;
      return;
    }
    const [x] = at(event), edge = (state.divide / 100) * stage.clientWidth;
    task = state.zoom === 1 || Math.abs(x - edge) < 18 ? "divide" : "pan";
    if (task === "divide") divide(x);
  });
  stage.addEventListener("pointermove", (event) => {
    if (!held.has(event.pointerId)) return;
    const before = held.get(event.pointerId), now = at(event);
    held.set(event.pointerId, now);
    if (task === "pinch" && held.size === 2) {
      const { distance, x, y } = apart();
      zoomBy(distance / Math.max(1, spread), x, y, stage);
      spread = distance;
    } else if (task === "divide") divide(now[0]);
    else if (task === "pan") moveTo(stage, state.zoom, state.x + now[0] - before[0], state.y + now[1] - before[1]);
  });
  const release = (event) => {
    held.delete(event.pointerId);
    if (!held.size) task = null;
    else if (task === "pinch") task = "pan";
  };
  stage.addEventListener("pointerup", release);
  stage.addEventListener("pointercancel", release);
}

/** The wheel zooms where the stage has the focus or Ctrl is held; elsewhere the page must go on scrolling. */
function followKeysAndWheel(stage) {
  stage.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey && document.activeElement !== stage) return;
    const box = stage.getBoundingClientRect();
    const factor = Math.exp(-0.0025 * clamp(event.deltaY, -200, 200));
    const changed = zoomBy(factor, event.clientX - box.left, event.clientY - box.top, stage);
    if (changed || event.ctrlKey) event.preventDefault();
  }, { passive: false });
  stage.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const move = moves[event.key];
    if (event.key === "+" || event.key === "=") zoomStep(stage, 1.5);
    else if (event.key === "-") zoomStep(stage, 1 / 1.5);
    else if (event.key === "0") moveTo(stage, 1, 0, 0);
    else if (move && state.zoom > 1) moveTo(stage, state.zoom, state.x - 60 * move[0], state.y - 60 * move[1]);
    else if (move?.[0]) set({ divide: clamp(state.divide + 2 * move[0], 0, 100) });
    else return;
    event.preventDefault();
  });
}

const zoomStep = (stage, factor) => zoomBy(factor, stage.clientWidth / 2, stage.clientHeight / 2, stage);

function makeStage() {
  const sides = [side("left"), side("right")];
  const edge = el("div", { class: "edge" });
  const stage = el("div", {
    class: "stage", tabindex: 0, role: "group",
    "aria-label": "Two pictures, one left and one right of an edge; arrow keys move it, plus and minus zoom",
  }, sides.map(({ box }) => box), edge, sides.map(({ tag }) => tag));
  followPointers(stage);
  followKeysAndWheel(stage);
  watch("image left right seen errors", () => sides.forEach((one) => one.draw()));
  watch("image", () => {
    const [width, height] = sizeOf(V.ladders[G.ladder].layers.length - 1);
    stage.style.aspectRatio = `${width} / ${height}`;
    stage.style.maxWidth = `calc(76vh * ${width / height})`;
  });
  watch("divide", () => {
    edge.style.left = `${state.divide}%`;
    sides[1].box.style.clipPath = `inset(0 0 0 ${state.divide}%)`;
  });
  watch("zoom x y", () => {
    stage.classList.toggle("zoomed", state.zoom > 1);
    const transform = `translate(${state.x}px, ${state.y}px) scale(${state.zoom})`;
    for (const { canvas } of sides) canvas.style.transform = transform;
  });
  watch("pixels", () => stage.classList.toggle("pixels", state.pixels));
  // The offsets are in pixels of the stage, which a new window size changes.
  new ResizeObserver(() => moveTo(stage, state.zoom, state.x, state.y)).observe(stage);
  return stage;
}

function underStage(stage) {
  const slider = el("input", {
    type: "range", min: 0, max: 100, step: 0.5, "aria-label": "Edge between left and right", "data-control": "divide",
    oninput: () => set({ divide: Number(slider.value) }),
  });
  watch("divide", () => { slider.value = String(state.divide); });
  const zoomText = el("span", { class: "quiet", "data-control": "zoom" });
  const buttons = [
    el("button", { type: "button", "aria-label": "Zoom out", onclick: () => zoomStep(stage, 1 / 1.5) }, "\u2212"),
    el("button", { type: "button", "aria-label": "Zoom in", onclick: () => zoomStep(stage, 1.5) }, "+"),
    el("button", { type: "button", onclick: () => moveTo(stage, 1, 0, 0) }, "Fit"),
  ];
  watch("zoom", () => {
    zoomText.textContent = `${state.zoom.toFixed(state.zoom < 10 ? 1 : 0)}\u00d7`;
    buttons[0].disabled = buttons[2].disabled = state.zoom === 1;
    buttons[1].disabled = state.zoom === MOST_ZOOM;
  });
  return el("div", { class: "under" }, el("label", { class: "slide" }, "Left", slider, "Right"), ...buttons, zoomText,
    checkbox("Pixels", "pixels"), checkbox(`Errors \u00d7${AMPLIFIED}`, "errors"));
}

function sideCard(name, title) {
  const options = [[ORIGINAL, "original"], ...V.codecs.map((codec, index) => [index, codec.name])];
  const facts = el("dl", {});
  watch(`image seen ${name}`, () => {
    const found = state[name] === ORIGINAL ? null : measured(state[name], state.seen);
    const [width, height] = sizeOf(state.seen);
    const rows = [["size", `${width} \u00d7 ${height}`]];
    if (found) {
      rows.push(["quality", G.qualities[state[name]]], ["bytes", count(found.bytes)],
        ["bits per pixel", found.bpp.toFixed(4)], ["PSNR", decibels(found.psnr)],
        ["MS-SSIM", similarityText(found.similarity)]);
    } else if (state[name] !== ORIGINAL) rows.push(["record", "none"]);
    facts.replaceChildren(...rows.flatMap(([key, value]) => [el("dt", {}, key), el("dd", {}, value)]));
  });
  return el("div", { class: "card", "data-facts": name }, dropdown(title, name, options), facts);
}

// ---- Pictures: bits, and all layers side by side -----------------------------------------------------------------

const SHADES = [1, 0.62, 0.38, 0.24];

/** Bytes of each layer by itself, up to `layer`; a codec whose files stand alone has only that one. */
function parts(codec, layer) {
  const totals = image().layers[codec].slice(0, layer + 1).map((entry) => entry[2]);
  if (!G.cumulative[codec]) return [[layer, totals[layer]]];
  return totals.map((total, k) => [k, total - (k ? totals[k - 1] : 0)]);
}

function stack(codec, most) {
  const row = el("div", { class: "stack" });
  for (const [layer, bytes] of parts(codec, state.seen)) {
    const label = `${V.ladders[G.ladder].layers[layer]}: ${count(bytes)} bytes`;
    const part = el("i", { title: label });
    Object.assign(part.style, {
      background: colour(codec), opacity: SHADES[Math.min(layer, SHADES.length - 1)],
      flex: `0 0 ${(100 * bytes) / most}%`,
    });
    row.append(part);
  }
  row.setAttribute("role", "img");
  row.setAttribute("aria-label", [...row.children].map((part) => part.title).join(", "));
  return row;
}

function bitsTable() {
  const codecs = [...V.codecs.keys()], found = codecs.map((codec) => measured(codec, state.seen));
  const most = Math.max(1, ...found.map((entry) => entry?.bytes ?? 0));
  const against = G.reference == null ? [] : [`BD-rate on this image against ${codecName(G.reference)}`];
  const head = ["codec", "quality", "bytes by layer", "bytes", "bpp", "PSNR", "MS-SSIM", ...against];
  const body = codecs.map((codec) => {
    const entry = found[codec], value = image().rates[codec][state.seen];
    const words = codec === G.reference ? "anchor" : value == null ? "\u2013" : percent(value);
    const rates = against.map(() => el("td", {}, words));
    const name = el("td", { class: "text" }, cellName(codec));
    if (!entry) return el("tr", {}, name, el("td", { class: "long", colspan: 6 }, whyAbsent(codec)), ...rates);
    const cells = [G.qualities[codec], stack(codec, most), count(entry.bytes), entry.bpp.toFixed(3),
      decibels(entry.psnr), similarityText(entry.similarity)];
    return el("tr", {}, name, cells.map((cell) => el("td", {}, cell)), ...rates);
  });
  const header = el("tr", {}, head.map((text) => el("th", { scope: "col" }, text)));
  return el("table", { class: "bits" }, el("thead", {}, header), el("tbody", {}, body));
}

function layerFigure(codec, layer) {
  const number = copyOf(codec, layer), entry = codec === ORIGINAL ? null : measured(codec, layer);
  const label = V.ladders[G.ladder].layers[layer], [width, height] = sizeOf(V.ladders[G.ladder].layers.length - 1);
  const words = codec === ORIGINAL ? sizeOf(layer).slice(0, 2).join(" \u00d7 ")
    : entry ? `${count(entry.bytes)} bytes, ${entry.bpp.toFixed(3)} bpp, ${decibels(entry.psnr)}` : "";
  const picture = number == null ? el("p", { class: "note" }, whyAbsent(codec)) : el("button", {
    type: "button", "aria-label": `Compare ${codecName(codec)}, ${label}`, onclick: () => {
      set(codec === ORIGINAL ? { left: codec, seen: layer } : { right: codec, seen: layer });
      document.querySelector(".stage").scrollIntoView({ block: "nearest" });
    },
  }, lazyPicture(number, {
    alt: `${image().name}, ${codecName(codec)}, ${label}`, style: `aspect-ratio:${width}/${height}`,
  }));
  return el("figure", {}, picture, el("figcaption", {}, `${label}: ${words}`));
}

function layersGrid() {
  const layers = [...V.ladders[G.ladder].layers.keys()];
  const grid = el("div", { class: "layers" });
  grid.style.gridTemplateColumns = `repeat(${layers.length}, minmax(min(78vw, 200px), 1fr))`;
  for (const codec of [ORIGINAL, ...V.codecs.keys()].filter((one) => one === ORIGINAL || state.picked.has(one))) {
    const quality = codec === ORIGINAL ? "" : `, quality ${G.qualities[codec]}`;
    grid.append(el("h4", {}, codecName(codec) + quality), ...layers.map((layer) => layerFigure(codec, layer)));
  }
  return grid;
}

function pickBoxes() {
  return V.codecs.map(({ name }, codec) => {
    const box = el("input", { type: "checkbox", "data-pick": codec, onchange: () => {
      const picked = new Set(state.picked);
      if (!picked.delete(codec)) picked.add(codec);
      set({ picked });
    } });
    box.checked = state.picked.has(codec);
    return el("label", { class: "check" }, box, el("span", { class: "name" }, name));
  });
}

function galleryNote() {
  const parts = [`Sorted by ${G.sortedBy}.`];
  if (G.target != null) {
    const chosen = V.codecs.map(({ name }, codec) =>
      (G.qualities[codec] ? `${name} ${G.qualities[codec]} (${G.bpp[codec].toFixed(3)})` : `${name} none`));
    parts.push(`One quality per codec is shown, the one nearest to ${G.target} bpp at the top layer, the middle of ` +
      `what they share: ${chosen.join(", ")} (mean bpp in brackets).`);
  }
  if (several) parts.push(`Pictures are of the first set of scales, ${V.ladders[G.ladder].label}.`);
  parts.push(G.why ? `There are no pictures in this file: ${G.why}.` : G.how);
  return parts.join(" ");
}

function startPictures() {
  if (!G.images.length) {
    byId("pictures-note").textContent = "No image was measured.";
    return;
  }
  const first = V.codecs.findIndex((_, codec) => G.images.some((one) => one.layers[codec]));
  state.right = Math.max(0, first);
  state.picked = new Set([...V.codecs.keys()].filter((codec) => G.qualities[codec]).slice(0, 3));
  byId("pictures-note").textContent = galleryNote();
  const layers = V.ladders[G.ladder].layers.length > 1 ? choice("Layer", "seen", layerChoice(() => G.ladder)) : null;
  const gallery = byId("gallery"), strip = el("ul", { class: "strip", "aria-label": "Images" });
  const orders = [[true, "worst first"], [false, "best first"]];
  gallery.append(el("div", { class: "controls" }, choice("Order", "worst", orders),
    G.why ? layers : null), strip);
  watch("worst", () => { drawStrip(strip); markStrip(strip); });
  watch("image", () => markStrip(strip));
  const bits = el("div", { class: "scroll" }), title = el("h3", { class: "part" });
  if (!G.why) {
    const stage = makeStage();
    gallery.append(el("div", { class: "viewer" }, el("div", {}, stage, underStage(stage), el("p", { class: "note" },
      "Drag the edge. Click the picture, then the wheel zooms (or hold Ctrl); drag to pan. All layers are shown at " +
      `one size. The error map is computed here from the display copies, amplified ${AMPLIFIED} times, so it holds ` +
      "their coding errors too; bytes, PSNR and MS-SSIM are of the true pictures.")),
    el("div", { class: "sides" }, layers, sideCard("left", "Left"), sideCard("right", "Right"))));
  }
  gallery.append(title, bits);
  watch("image seen", () => {
    const label = V.ladders[G.ladder].layers[state.seen];
    title.textContent = `${image().name}: bytes at ${label}, the base layer in the strongest colour`;
    bits.replaceChildren(bitsTable());
  });
  if (!G.why) {
    const holder = el("div", {});
    gallery.append(el("h3", { class: "part" }, "All layers at equal size"),
      el("div", { class: "picks", role: "group", "aria-label": "Codecs shown" }, pickBoxes()), holder);
    watch("image picked", () => holder.replaceChildren(layersGrid()));
  }
}

// ---- About -------------------------------------------------------------------------------------------------------

const gridParts = ({ header, rows, notes }) => [el("div", { class: "scroll" }, table(header, rows)),
  ...notes.map((note, index) => el("p", { class: "note" }, `[${index + 1}] ${note}`))];

function startAbout() {
  byId("name").textContent = V.name;
  byId("description").append(...V.description.split("`").map((text, k) => (k % 2 ? el("code", {}, text) : text)));
  byId("method").textContent = V.method;
  byId("facts").append(...V.facts.flatMap(([key, value]) => [el("dt", {}, key), el("dd", {}, value)]));
  if (V.failures.length) {
    byId("incomplete").hidden = false;
    byId("incomplete").append(`${quantity(V.failures.length, "record")} missing; averages leave out these images. `,
      el("a", { href: "#failures" }, "Which and why"));
    byId("failures").append(el("h3", {}, "Missing records"), el("details", { open: V.failures.length <= 20 },
      el("summary", {}, quantity(V.failures.length, "record")),
      el("div", { class: "scroll" }, table(["codec", "quality", "image", "scales", "reason"], V.failures))));
  }
  if (V.published.length) {
    byId("published").hidden = document.querySelector('nav a[href="#published"]').hidden = false;
    for (const grid of V.published) {
      byId("published-tables").append(el("h3", { class: "part" }, grid.title), ...gridParts(grid));
    }
  }
  for (const grid of [...V.scores, ...V.spending]) {
    byId("scores").append(el("details", {}, el("summary", {}, grid.title), ...gridParts(grid)));
  }
  byId("grids").append(el("details", {}, el("summary", {}, V.settings.title), ...gridParts(V.settings)));
}

startAbout();
startWinners();
startCurves();
startMatrix();
// The copies of the pictures stand below this script, so that the rest is there before they are read.
if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", startPictures);
else startPictures();
})();

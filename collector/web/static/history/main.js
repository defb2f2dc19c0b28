// The history of a device: asks for an interval, draws what is verified of it as it arrives, moves and zooms.
// After each drawing the element #view sends "vitaledger:drawn"; its detail is {label, model}: what is on the screen.
import { serverNow, when, zone, parts } from "../base.js";
import { drawChart } from "./chart.js";
import { drawAlarms, drawAxis, drawDevice, drawProof } from "./lanes.js";
import { eventsTable, inForce, runsTable, tiles } from "./lists.js";
import { Model } from "./model.js";
import { LEFT, Scale, el, patterns } from "./scale.js";

const view = document.getElementById("view");
const charts = document.getElementById("charts");
const progress = document.getElementById("progress");
const paper = document.body.dataset.print === "1";
const names = JSON.parse(view.dataset.names);
const icons = JSON.parse(view.dataset.icons);
const LEAST_US = 20e6;
const MOST_US = 400 * 86400e6;
const FOLLOW_MS = 10000;

let shown = null; // the model on the screen
let span = view.dataset.span;
let entry = view.dataset.entry;
let asked = null; // to abort
let cursor = null; // µs
let drag = null;

document.body.append(patterns());

// -- asking -----------------------------------------------------------------------------------------------------------

async function ask(from, to, quiet = false) {
  asked?.abort();
  const mine = (asked = new AbortController());
  from = Math.max(0, Math.round(from));
  to = Math.round(to);
  if (!quiet) tell("Verifying…");
  let model = null;
  try {
    const answer = await fetch(`${view.dataset.path}/data?from=${from}&to=${to}`, { signal: mine.signal });
    if (!answer.ok) return tell((await answer.json()).wrong, true);
    await lines(answer.body, (line) => {
      if (line.head) {
        model = new Model(line.head);
        inForce(line.head);
      } else if (line.part) {
        model.add(line.part);
        if (!quiet) show(model);
      } else if (line.done) {
        model.finish(line.done);
        show(model);
      } else if (line.wrong) tell(line.wrong, true);
    });
  } catch (error) {
    if (error.name !== "AbortError") tell("The connection was lost: what is shown is what was verified before.", true);
  }
}

async function lines(body, take) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const found = (rest + value).split("\n");
    rest = found.pop();
    for (const line of found) take(JSON.parse(line));
  }
}

function tell(text, bad = false) {
  progress.textContent = text;
  progress.classList.toggle("bad", bad);
}

// -- drawing ----------------------------------------------------------------------------------------------------------

function show(model) {
  shown = model;
  const entries = model.counts.entries.toLocaleString("en");
  const waves = model.counts.wave_samples ? `; ${model.counts.wave_samples.toLocaleString("en")} wave samples among them are not drawn` : "";
  const bad = model.bad().reduce((sum, run) => sum + run.last - run.first + 1, 0);
  const held = bad ? `looked at for this view; ${bad.toLocaleString("en")} of them ${bad === 1 ? "does" : "do"} not hold or cannot be read` : "every one verified for this view";
  tell(model.done ? `${when(model.from_us)} to ${when(model.to_us)} ${zone}: ${entries} entries, ${held}${waves}.` : `Verifying: ${entries} entries so far, back to ${when(model.reached)} ${zone}.`);
  figures(model);
  draw();
  tiles(model, names);
  runsTable(model, names, icons, entry);
  eventsTable(model, names, icons);
  if (model.done) document.body.dataset.shown = `${model.from_us}-${model.to_us}`;
  view.drawn = { label: view.dataset.label, model }; // for who begins to listen later
  view.dispatchEvent(new CustomEvent("vitaledger:drawn", { detail: view.drawn }));
}

function figures(model) { // a signal that was not known before gets a chart of its own, behind the others
  for (const { signal } of model.signals.values()) {
    if (charts.querySelector(`[data-key="${CSS.escape(signal.key)}"]`)) continue;
    const place = document.getElementById("more-charts");
    let into = place;
    if (!signal.primary) {
      if (paper) continue;
      into = place.querySelector("details") ?? more(place);
    }
    const made = document.createElement("figure");
    made.className = "chart";
    made.dataset.key = signal.key;
    made.append(document.createElement("figcaption"), Object.assign(document.createElement("div"), { className: "plot" }));
    into.append(made);
    if (into !== place) into.querySelector("summary").textContent = `${into.querySelectorAll("figure").length} more signals of this device`;
  }
}

function more(place) {
  const made = Object.assign(document.createElement("details"), { className: "more" });
  made.append(document.createElement("summary"));
  made.addEventListener("toggle", draw);
  place.append(made);
  return made;
}

function draw() {
  const model = shown;
  if (!model) return;
  const width = charts.clientWidth - 20;
  const scale = new Scale(model.from_us, model.to_us, width);
  paint(charts.querySelector('[data-lane="axis"]'), width, 44, (svg) => drawAxis(svg, scale, model));
  for (const figure of charts.querySelectorAll(".chart")) {
    const told = figure.dataset.signal ? JSON.parse(figure.dataset.signal) : null;
    const column = model.signals.get(figure.dataset.key) ?? { signal: told, cells: new Map(), below_us: 0 };
    caption(figure, column.signal);
    if (figure.closest("details:not([open])")) continue;
    const height = paper ? 110 : 150;
    paint(figure.querySelector(".plot"), width, height, (svg) => drawChart(svg, scale, model, column, height));
  }
  const lane = (name) => charts.querySelector(`[data-lane="${name}"] .plot`);
  paint(lane("alarms"), width, 34, (svg) => drawAlarms(svg, scale, model, 34));
  paint(lane("device"), width, 52, (svg) => drawDevice(svg, scale, model, 52));
  paint(lane("proof"), width, 40, (svg) => drawProof(svg, scale, model, 40, names, icons, entry));
  point();
}

function paint(place, width, height, drawn) {
  const svg = el("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true", preserveAspectRatio: "none" });
  drawn(svg);
  place.replaceChildren(svg);
}

function caption(figure, signal) {
  const place = figure.querySelector("figcaption");
  if (place.childElementCount) return;
  const span = (text, kind) => Object.assign(document.createElement("span"), { textContent: text, className: kind });
  place.append(span(signal.primary ? signal.title : `${signal.title}, ${signal.handle}`, ""), span(signal.unit, "unit"));
  place.append(span(`${signal.category}, ${signal.provenance === "device-live" ? "live" : signal.provenance}`, "unit"));
  if (signal.unchecked) place.append(span("▲ no device checksum", "unchecked"));
  place.append(span("", "now"));
}

// -- the cursor -------------------------------------------------------------------------------------------------------

function point() {
  charts.querySelectorAll(".cursor-line, .drag").forEach((each) => each.remove());
  if (!shown) return;
  const scale = new Scale(shown.from_us, shown.to_us, charts.clientWidth - 20);
  const said = [];
  for (const figure of charts.querySelectorAll(".chart")) {
    const now = figure.querySelector(".now");
    const column = shown.signals.get(figure.dataset.key);
    const cell = cursor === null ? null : column?.cells.get(Math.floor(cursor / shown.cell_us));
    const text = cursor === null || !column ? "" : !cell?.n ? "–" : cell.lo === cell.hi ? `${cell.lo} ${column.signal.unit}` : `${cell.lo} to ${cell.hi} ${column.signal.unit}`;
    if (now && now.textContent !== text) now.textContent = text;
    if (text && column.signal.primary) said.push(`${column.signal.title} ${text}`);
  }
  if (cursor === null && !drag) return;
  for (const svg of charts.querySelectorAll(".plot svg, .axis svg")) {
    const height = svg.viewBox.baseVal.height;
    if (drag) {
      const [a, b] = [scale.clamp(drag.from), scale.clamp(drag.to)].sort((one, other) => one - other);
      svg.append(el("rect", { x: a, y: 0, width: b - a, height, class: "drag" }));
    } else svg.append(el("line", { x1: scale.clamp(cursor), x2: scale.clamp(cursor), y1: 0, y2: height, class: "cursor-line" }));
  }
  if (cursor !== null && document.activeElement === charts) document.getElementById("cursor").textContent = `${when(cursor)} ${zone}: ${said.join(", ")}`;
}

function at(event) {
  const box = charts.getBoundingClientRect();
  const x = event.clientX - box.left - parseFloat(getComputedStyle(charts).paddingLeft) - 1;
  return new Scale(shown.from_us, shown.to_us, charts.clientWidth - 20).us(x);
}

charts.addEventListener("pointerdown", (event) => {
  if (shown && event.button === 0 && event.target.closest("svg") && event.pointerType !== "touch") drag = { from: at(event), to: at(event) };
});
charts.addEventListener("pointermove", (event) => {
  if (!shown) return;
  if (drag) drag.to = at(event);
  cursor = at(event);
  requestAnimationFrame(point);
});
addEventListener("pointerup", () => {
  const done = drag;
  drag = null;
  if (done && Math.abs(done.to - done.from) * (charts.clientWidth - LEFT) > (shown.to_us - shown.from_us) * 8) go(Math.min(done.from, done.to), Math.max(done.from, done.to));
  else if (done) point();
});
charts.addEventListener("pointerleave", () => {
  cursor = null;
  if (!drag) point();
});

// -- moving and zooming -----------------------------------------------------------------------------------------------

function go(from, to) {
  const middle = (from + to) / 2;
  const half = Math.min(Math.max(to - from, LEAST_US), MOST_US) / 2;
  [from, to] = [middle - half, middle + half];
  span = "";
  const iso = (us) => new Date(us / 1000).toISOString();
  const query = `?from=${encodeURIComponent(iso(from))}&to=${encodeURIComponent(iso(to))}`;
  history.pushState({ from, to }, "", query);
  follow(from, to, query);
  ask(from, to);
}

function follow(from, to, query) { // the form and the links say what is shown
  const local = (us) => {
    const now = parts(us);
    return `${now.year}-${now.month}-${now.day}T${now.hour}:${now.minute}:${now.second}`;
  };
  document.getElementById("from").value = local(from);
  document.getElementById("to").value = local(to);
  document.querySelectorAll("[data-span]").forEach((each) => each.removeAttribute("aria-current"));
  for (const link of document.querySelectorAll("[data-form]")) link.href = `${view.dataset.path}/export/${link.dataset.form}${query}`;
  for (const [id, page] of [["table-link", "table"], ["print-link", "print"]]) document.getElementById(id).href = `${view.dataset.path}/${page}${query}`;
}

const DO = {
  back: (from, to) => [from - (to - from) / 2, to - (to - from) / 2],
  on: (from, to) => [from + (to - from) / 2, to + (to - from) / 2],
  in: (from, to) => [from + (to - from) / 4, to - (to - from) / 4],
  out: (from, to) => [from - (to - from) / 2, to + (to - from) / 2],
};
document.querySelectorAll("[data-do]").forEach((button) => button.addEventListener("click", () => shown && go(...DO[button.dataset.do](shown.from_us, shown.to_us))));
addEventListener("popstate", (event) => (event.state ? (follow(event.state.from, event.state.to, location.search), ask(event.state.from, event.state.to)) : location.reload()));

charts.addEventListener("keydown", (event) => {
  if (!shown || event.target !== charts) return;
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step && event.shiftKey) go(...DO[step < 0 ? "back" : "on"](shown.from_us, shown.to_us));
  else if (step) {
    const from = cursor ?? (shown.from_us + shown.to_us) / 2;
    cursor = Math.min(Math.max(from + step * Math.max(shown.cell_us, (shown.to_us - shown.from_us) / 300), shown.from_us), shown.to_us - 1);
    point();
  } else if (event.key === "+" || event.key === "=") go(...DO.in(shown.from_us, shown.to_us));
  else if (event.key === "-") go(...DO.out(shown.from_us, shown.to_us));
  else if (event.key === "Escape") ((cursor = null), point());
  else return;
  event.preventDefault();
});

// -- begin ------------------------------------------------------------------------------------------------------------

new ResizeObserver(() => requestAnimationFrame(draw)).observe(charts);
document.getElementById("print-now")?.addEventListener("click", () => print());
addEventListener("beforeprint", draw);
ask(Number(view.dataset.fromUs), Number(view.dataset.toUs));
setInterval(() => { // a span that ends now goes on with the clock, while it is short and somebody looks
  if (span !== "1h" || paper || document.hidden || !shown?.done || drag) return;
  const now = serverNow() * 1000;
  ask(now - 3600e6, now, true);
}, FOLLOW_MS);

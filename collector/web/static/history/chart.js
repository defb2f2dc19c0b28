// One signal: fixed axis, a line that spans lowest and highest of each cell and breaks where nothing says that it goes on.
import { behind } from "./areas.js";
import { LOW, MARKS, absences } from "./model.js";
import { LEFT, el, ticks, titled } from "./scale.js";

const TOP = 6;
const MARK_ROW = 18;
const JOIN_US = 12e6; // an oximeter that is silent for longer has a gap
const TYPED = new Set(["typed", "transcribed"]);

export function axisOf(signal, cells) {
  if (signal.axis) return signal.axis;
  const values = [...cells.values()].filter((cell) => cell.n);
  const lo = Math.min(0, ...values.map((cell) => cell.lo));
  const hi = Math.max(1, ...values.map((cell) => cell.hi));
  return [Math.floor(lo), Math.ceil(hi)];
}

export function drawChart(svg, scale, model, column, height) {
  const { signal } = column;
  const cells = column.cells;
  const [low, high] = axisOf(signal, cells);
  const bottom = height - MARK_ROW;
  const y = (value) => bottom - ((Math.min(Math.max(value, low), high) - low) / (high - low)) * (bottom - TOP);
  const sorted = [...cells.keys()].sort((a, b) => a - b);
  const cell = model.cell_us;
  behind(svg, scale, model, TOP, bottom - TOP, true);
  lowPerfusion(svg, scale, sorted, cells, cell, bottom);
  grid(svg, scale, y, low, high, bottom, signal);
  const breaks = [...model.gaps().map((gap) => [gap.from_us, gap.at_us]), ...model.bad().map((run) => [run.from_us, Math.max(run.to_us, run.from_us + 1)])];
  const points = el("g");
  let path = "";
  let last = null;
  for (const number of sorted) {
    const each = cells.get(number);
    if (!each.n) continue;
    const from = number * cell;
    const x = scale.x(from + cell / 2);
    if (x < LEFT - 1 || x > scale.right + 1) continue;
    const [a, b] = [y(each.hi), y(each.lo)];
    if (TYPED.has(signal.provenance)) {
      points.append(titled(el("rect", { x: x - 4, y: y(each.lo) - 4, width: 8, height: 8, class: "typed" }), `${each.lo} ${signal.unit}, ${signal.provenance}`));
      continue;
    }
    const joined = last !== null && from - last.from <= Math.max(cell * 1.01, JOIN_US) && !broken(breaks, cells, last, number, cell);
    const [first, second] = joined && Math.abs(last.y - a) > Math.abs(last.y - b) ? [b, a] : [a, b];
    path += `${joined ? "L" : "M"}${x.toFixed(1)} ${first.toFixed(1)}`;
    if (Math.abs(first - second) >= 0.5) path += `L${x.toFixed(1)} ${second.toFixed(1)}`;
    else if (!joined) path += "h0.01";
    last = { number, from, y: second };
  }
  svg.append(el("path", { d: path, class: "trace" }), points);
  beyond(svg, scale, sorted, cells, cell, low, high, bottom);
  marks(svg, scale, sorted, cells, cell, bottom);
}

function broken(breaks, cells, last, number, cell) { // a gap, or an entry of which nothing may be shown
  const [from, to] = [last.from + cell / 2, number * cell + cell / 2];
  if (breaks.some(([begins, ends]) => begins < to && ends > from)) return true;
  for (let at = last.number + 1; at < number; at++) if (cells.has(at)) return true; // an absence, or a mark
  return false;
}

function grid(svg, scale, y, low, high, bottom, signal) {
  const step = [0.5, 1, 2, 5, 10, 20, 25, 50, 100, 200, 500, 1000, 5000, 10000].find((each) => (high - low) / each <= 5) ?? (high - low) / 4;
  for (let value = Math.ceil(low / step) * step; value <= high + 1e-9; value += step) {
    svg.append(el("line", { x1: LEFT, x2: scale.right, y1: y(value), y2: y(value), class: "grid" }));
    svg.append(el("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, String(Number(value.toFixed(3)))));
  }
  for (const tick of ticks(scale)) svg.append(el("line", { x1: scale.x(tick.us), x2: scale.x(tick.us), y1: TOP, y2: bottom, class: "grid" }));
  if (signal.code === 150456) svg.append(titled(el("line", { x1: LEFT, x2: scale.right, y1: y(90), y2: y(90), class: "limit" }), "90 %"));
  svg.append(el("rect", { x: LEFT, y: TOP, width: scale.right - LEFT, height: bottom - TOP, class: "frame" }));
}

function spans(sorted, cells, cell, has) { // runs of adjoining cells of which something is true
  const found = [];
  for (const number of sorted) {
    if (!has(cells.get(number))) continue;
    const last = found[found.length - 1];
    if (last && number * cell - last.to <= Math.max(6e6, cell)) last.to = (number + 1) * cell;
    else found.push({ from: number * cell, to: (number + 1) * cell, marks: 0 });
    found[found.length - 1].marks |= cells.get(number).marks;
  }
  return found;
}

function lowPerfusion(svg, scale, sorted, cells, cell, bottom) {
  for (const { from, to } of spans(sorted, cells, cell, (each) => each.marks & LOW)) {
    const [left, right] = [scale.clamp(from), scale.clamp(to)];
    svg.append(titled(el("rect", { x: left, y: TOP, width: Math.max(right - left, 1.5), height: bottom - TOP, class: "low" }), "low perfusion"));
    svg.append(el("line", { x1: left, x2: Math.max(right, left + 1.5), y1: TOP + 1, y2: TOP + 1, class: "low-edge" }));
    if (right - left > 76) svg.append(el("text", { x: (left + right) / 2, y: bottom - 5, "text-anchor": "middle", class: "look" }, "low perfusion"));
  }
}

function marks(svg, scale, sorted, cells, cell, bottom) {
  const found = [];
  for (const kind of MARKS) {
    for (const span of spans(sorted, cells, cell, (each) => each.marks & kind.bits)) {
      const [left, right] = [scale.clamp(span.from), scale.clamp(span.to)];
      const why = kind.bits === 0xff00 ? absences(span.marks).join(", ") || kind.name : kind.name;
      const text = `${kind.sign} ${why}`;
      svg.append(titled(el("line", { x1: left, x2: Math.max(right, left + 1), y1: bottom + 3.5, y2: bottom + 3.5, stroke: "#7d4e00", "stroke-width": 2 }), text));
      found.push({ left, right, text, sign: kind.sign });
    }
  }
  found.sort((a, b) => a.left - b.left);
  let free = LEFT - 20;
  found.forEach(({ left, right, text, sign }, at) => { // the words where there is room before the next mark, else the sign
    const wide = text.length * 5.9;
    const middle = Math.min(Math.max((left + right) / 2, LEFT + wide / 2), scale.right - wide / 2);
    const words = middle - wide / 2 > free && (found[at + 1]?.left ?? Infinity) > middle + wide / 2 + 8;
    const x = words ? middle : (left + right) / 2;
    if (!words && x - 5 < free) return;
    svg.append(titled(el("text", { x, y: bottom + 15, "text-anchor": "middle", class: "look" }, words ? text : sign), text));
    free = words ? middle + wide / 2 : x + 5;
  });
}

function beyond(svg, scale, sorted, cells, cell, low, high, bottom) { // values past the axis, with their number
  for (const [has, sign, y, pick] of [
    [(each) => each.n && each.lo < low, "▼", bottom - 3, (a, b) => Math.min(a, b.lo)],
    [(each) => each.n && each.hi > high, "▲", TOP + 10, (a, b) => Math.max(a, b.hi)],
  ]) {
    for (const span of spans(sorted, cells, cell, has)) {
      const inside = sorted.filter((number) => number * cell >= span.from && number * cell < span.to && has(cells.get(number))).map((number) => cells.get(number));
      const value = inside.reduce(pick, sign === "▼" ? Infinity : -Infinity);
      svg.append(el("text", { x: (scale.clamp(span.from) + scale.clamp(span.to)) / 2, y, "text-anchor": "middle", class: "failed" }, `${sign} ${value}`));
    }
  }
}

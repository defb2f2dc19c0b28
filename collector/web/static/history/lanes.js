// The lanes under the charts: alarms, what happened to device and line, and how far each run of entries is proven.
import { length, when } from "../base.js";
import { area, badText, behind, gapText, label } from "./areas.js";
import { LEFT, el, ticks, titled } from "./scale.js";

const SIGNS = { identity: "◆", line: "│", clock: "◷", notice: "ⓘ", errors: "≈", memory: "▤" };

export function drawAxis(svg, scale, model) {
  for (const tick of ticks(scale)) {
    const x = scale.x(tick.us);
    svg.append(el("line", { x1: x, x2: x, y1: 18, y2: 23, class: "frame" }));
    svg.append(el("text", { x: Math.min(Math.max(x, LEFT + 8), scale.right - 12), y: 14, "text-anchor": "middle", class: tick.strong ? "strong" : "" }, tick.text));
  }
  const gaps = model.gaps().filter((gap) => gap.at_us > scale.from && gap.from_us < scale.to).sort((a, b) => a.from_us - b.from_us);
  let free = LEFT - 20;
  for (const gap of gaps) { // each with its reason and length, as far as there is room; the list below has them all
    const [left, right] = [scale.clamp(gap.from_us), scale.clamp(gap.at_us)];
    const text = gapText(gap);
    const wide = text.length * 5.9 + 6;
    const x = Math.min(Math.max((left + right) / 2, LEFT + wide / 2), scale.right - wide / 2);
    svg.append(titled(el("rect", { x: left, y: 40, width: Math.max(right - left, 2), height: 4, class: "gap-bar" }), text));
    if (x - wide / 2 < free) continue;
    svg.append(el("text", { x, y: 36, "text-anchor": "middle", class: "strong" }, text));
    free = x + wide / 2;
  }
}

export function drawAlarms(svg, scale, model, height) {
  behind(svg, scale, model, 0, height, false);
  svg.append(el("rect", { x: LEFT, y: 0, width: scale.right - LEFT, height, class: "frame" }));
  const found = model.alarms();
  for (const alarm of found) {
    const kind = alarm.more.alarm;
    const sign = kind === "physiological" ? "▲" : "◆";
    const text = `${sign} ${alarm.more.text}${alarm.on ? " (sounding at the end)" : ""}`;
    const top = kind === "physiological" ? 3 : height / 2 + 1;
    const made = area(svg, scale, alarm.from_us, alarm.to_us, top, height / 2 - 4, `bar-${kind}`, 2);
    titled(made, `${text}, ${kind}, priority ${alarm.more.priority}, ${when(alarm.from_us)} for ${length(alarm.to_us - alarm.from_us)}`);
    const left = scale.clamp(alarm.from_us);
    const room = scale.clamp(alarm.to_us) - left;
    if (room > text.length * 5.9) svg.append(el("text", { x: left + 4, y: top + 10, class: "strong" }, text));
    else if (nextFree(scale, found, alarm, text)) svg.append(el("text", { x: left + room + 3, y: top + 10 }, text));
    else svg.append(el("text", { x: Math.min(left + Math.max(room - 10, 0) / 2, scale.right - 10), y: top + 10, class: "strong" }, sign));
  }
}

function nextFree(scale, found, alarm, text) {
  const end = scale.clamp(alarm.to_us) + text.length * 5.9 + 6;
  return end < scale.right && !found.some((each) => each !== alarm && each.more.alarm === alarm.more.alarm && scale.x(each.from_us) > scale.x(alarm.from_us) && scale.x(each.from_us) < end);
}

export function short(event) {
  const { more } = event;
  if (event.kind === "identity") return `${more.make} ${more.model}${more.serial ? ` SN ${more.serial}` : ""}${more.firmware ? ` firmware ${more.firmware}` : ""}`;
  if (event.kind === "line") return more.next ? `swapped: goes on as ${more.next}` : `line ${more.line}`;
  if (event.kind === "clock") return `device clock ${more.offset_ms > 0 ? "+" : ""}${Math.round(more.offset_ms / 1000)} s`;
  return event.text;
}

export function drawDevice(svg, scale, model, height) {
  behind(svg, scale, model, 0, height, false, false);
  svg.append(el("rect", { x: LEFT, y: 0, width: scale.right - LEFT, height, class: "frame" }));
  const shown = model.events.filter((each) => SIGNS[each.kind] && each.at_us >= scale.from && each.at_us <= scale.to).sort((a, b) => a.at_us - b.at_us || a.seq - b.seq);
  const free = [LEFT, LEFT, LEFT];
  for (const event of shown) {
    const x = scale.x(event.at_us);
    const text = `${SIGNS[event.kind]} ${short(event)}`;
    const row = free.findIndex((each) => each <= x);
    const wide = text.length * 5.9 + 8;
    svg.append(titled(el("line", { x1: x, x2: x, y1: 0, y2: height, stroke: "#4d5d69", "stroke-width": 1 }), `${when(event.at_us)} ${event.text}`));
    if (row < 0) continue;
    const back = x + wide > scale.right;
    if (back && free[row] > x - wide) continue;
    svg.append(titled(el("text", { x: back ? x - 3 : x + 3, y: 13 + row * 16, "text-anchor": back ? "end" : "start" }, text), `${when(event.at_us)} ${event.text}`));
    free[row] = back ? x : x + wide;
  }
}

export function drawProof(svg, scale, model, height, names, icons, chosen) {
  const order = ["proven", "custody", "stored", "finding", "failed"];
  for (const state of order) {
    for (const run of model.runs.filter((each) => each.state === state)) {
      const made = area(svg, scale, run.from_us, run.to_us, 0, height - 14, `band-${state}`, state === "finding" || state === "failed" ? 4 : 1);
      const text = state === "finding" || state === "failed" ? badText(run) : `${icons[state]} ${names[state]}, entries ${run.first} to ${run.last}`;
      titled(made, `${text}${run.reason ? `: ${run.reason}` : ""}`);
      if (state === "proven" || state === "custody" || state === "stored") plain(svg, scale, run, height, text, `${icons[state]} ${names[state]}`, state);
      else {
        const x = Math.min(Math.max(scale.clamp((run.from_us + run.to_us) / 2), LEFT + 60), scale.right - 60);
        svg.append(el("text", { x, y: height - 3, "text-anchor": "middle", class: `on-${state}` }, text));
      }
      if (chosen !== "" && Number(chosen) >= run.first && Number(chosen) <= run.last && state !== "proven") {
        const left = scale.clamp(run.from_us);
        svg.append(el("rect", { x: left - 3, y: -2, width: Math.max(scale.clamp(run.to_us) - left, 4) + 6, height: height - 10, class: "chosen-mark" }));
      }
    }
  }
  if (model.reached > scale.from) {
    area(svg, scale, scale.from, model.reached, 0, height - 14, "pending-area");
    label(svg, scale, scale.from, model.reached, 17, "… being verified");
  }
  svg.append(el("rect", { x: LEFT, y: 0, width: scale.right - LEFT, height: height - 14, class: "frame" }));
}

function plain(svg, scale, run, height, text, less, state) {
  const left = scale.clamp(run.from_us);
  const room = scale.clamp(run.to_us) - left;
  const shown = room > text.length * 6.4 ? text : room > less.length * 6.4 ? less : room > 12 ? less[0] : "";
  if (shown) svg.append(el("text", { x: left + 6, y: 17, class: `on-${state}` }, shown));
}

// What lies behind every chart: time that is being verified, gaps with reason and length, and what does not hold.
import { length } from "../base.js";
import { el, titled } from "./scale.js";

export function label(svg, scale, from, to, y, text, kind = "") {
  const left = scale.clamp(from);
  const room = scale.clamp(to) - left;
  const wide = text.length * 5.9 + 8;
  if (room < wide) return false;
  const x = left + room / 2;
  svg.append(el("rect", { x: x - wide / 2, y: y - 11, width: wide, height: 15, rx: 3, class: "plate" }));
  svg.append(el("text", { x, y, "text-anchor": "middle", class: kind }, text));
  return true;
}

export function area(svg, scale, from, to, top, height, kind, least = 2) {
  const left = scale.clamp(from);
  const made = el("rect", { x: left, y: top, width: Math.max(scale.clamp(to) - left, least), height, class: kind });
  svg.append(made);
  return made;
}

export const gapText = (gap) => `${gap.kind === "gap" ? `gap ${length(gap.at_us - gap.from_us)}: ${gap.more.reason}` : `silence ${length(gap.at_us - gap.from_us)}`}`;

export function behind(svg, scale, model, top, height, labelled, gaps = true) {
  if (model.reached > scale.from) {
    area(svg, scale, scale.from, model.reached, top, height, "pending-area");
    label(svg, scale, scale.from, model.reached, top + height / 2 + 4, "being verified");
  }
  for (const gap of gaps ? model.gaps() : []) {
    titled(area(svg, scale, gap.from_us, gap.at_us, top, height, "gap"), gapText(gap));
    if (labelled) label(svg, scale, gap.from_us, gap.at_us, top + 14, gapText(gap));
  }
  for (const run of model.bad()) {
    const kind = run.state === "failed" ? "failed" : "finding";
    titled(area(svg, scale, run.from_us, run.to_us, top, height, `${kind}-area`, 4), `${badText(run)}: ${run.reason}`);
    if (labelled) label(svg, scale, run.from_us, run.to_us, top + 14, badText(run), kind === "failed" ? "failed" : "look");
  }
}

export function badText(run) {
  const which = run.first === run.last ? `entry ${run.first}` : `entries ${run.first}–${run.last}`;
  return run.state === "failed" ? `✕ failed at ${which}` : `▲ ${which} not readable`;
}

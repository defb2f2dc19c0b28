// Time to pixels, ticks in the pages' zone, and SVG elements.
import { parts } from "../base.js";

const NS = "http://www.w3.org/2000/svg";
export const LEFT = 46;
export const RIGHT = 12;

export function el(name, attributes = {}, text = null) {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== null) made.textContent = text;
  return made;
}

export function titled(made, text) {
  made.append(el("title", {}, text));
  return made;
}

export class Scale {
  constructor(from, to, width) {
    Object.assign(this, { from, to, width });
    this.right = width - RIGHT;
  }
  x(us) {
    return LEFT + ((us - this.from) / (this.to - this.from)) * (this.right - LEFT);
  }
  clamp(us) {
    return Math.min(Math.max(this.x(us), LEFT), this.right);
  }
  us(x) {
    return this.from + ((Math.min(Math.max(x, LEFT), this.right) - LEFT) / (this.right - LEFT)) * (this.to - this.from);
  }
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 345600, 604800, 1209600, 2592000, 5184000];

export function ticks(scale) {
  const span = (scale.to - scale.from) / 1e6;
  const most = Math.max(2, Math.floor((scale.right - LEFT) / 95));
  const step = (STEPS.find((each) => span / each <= most) ?? STEPS[STEPS.length - 1]) * 1e6;
  const at = parts(scale.from);
  const local = Date.UTC(at.year, at.month - 1, at.day, at.hour, at.minute, at.second) * 1000;
  const shift = local - Math.floor(scale.from / 1e6) * 1e6;
  const found = [];
  for (let us = Math.ceil((scale.from + shift) / step) * step - shift; us <= scale.to; us += step) {
    const now = parts(us);
    const midnight = now.hour === "00" && now.minute === "00" && now.second === "00";
    const day = `${now.day}.${now.month}.`;
    const text = step >= 86400e6 || midnight ? day : step < 60e6 ? `${now.hour}:${now.minute}:${now.second}` : `${now.hour}:${now.minute}`;
    found.push({ us, text, strong: midnight });
  }
  return found;
}

export function patterns() {
  const defs = el("defs");
  const hatch = (id, back, lines, size, width, turn) => {
    const made = el("pattern", { id, width: size, height: size, patternUnits: "userSpaceOnUse", patternTransform: `rotate(${turn})` });
    made.append(el("rect", { width: size, height: size, fill: back }), el("rect", { width, height: size, fill: lines }));
    defs.append(made);
  };
  hatch("hatch-gap", "#eef1f3", "#b6c0c8", 7, 1.5, 45);
  hatch("hatch-failed", "#fbe6e4", "#cf6a63", 6, 2, -45);
  hatch("hatch-finding", "#fdf0d5", "#d9a441", 6, 2, 45);
  hatch("hatch-pending", "#ffffff", "#dfe5e9", 5, 1, 0);
  const svg = el("svg", { width: 0, height: 0, "aria-hidden": "true" });
  svg.append(defs);
  return svg;
}

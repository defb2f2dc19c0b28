"use strict";
/** A long interval in parts that are checked one after the other, the newest first. No page, no network. */

const SLACK = 600e6;  // µs: what is shown ends with whole cells

/** @typedef {{from: number, to: number, until: number}} Part µs; `until`: of what is drawn behind, another part tells */
/** @typedef {{origin: string, chain: string, first: number, last: number}} Stretch */

/**
 * Parts of at most `most` that overlap by what one drawn cell is wide: so each cell lies whole in one of them.
 * @param {number} from µs @param {number} to µs @param {number} most µs @param {number} cell µs @returns {Part[]}
 */
export function partsOf(from, to, most, cell) {
  const step = most - Math.min(cell, most / 2);
  const parts = [];
  for (let end = to, until = Infinity; ; end -= step, until = end) {
    const begin = Math.max(from, end - most);
    parts.push({ from: begin, to: end, until });
    if (begin - from <= (parts.length > 1 ? 0 : SLACK)) {
      return parts;
    }
  }
}

/** Whether anything is drawn between the two times. @param {import("./drawn.js").Model} model @param {Part} part */
export function isDrawn(model, { from, to }) {
  return [...model.signals.values()].some(({ cells }) => [...cells.keys()].some((number) =>
    number * model.cell_us < to && (number + 1) * model.cell_us > from));
}

/**
 * What was looked at of each micro-chain, as numbers of entries, in words; parts of it that nobody looked at are told.
 * @param {Stretch[]} stretches @returns {string[]}
 */
export function stretchWords(stretches) {
  /** @type {Map<string, Stretch[]>} */
  const found = new Map();
  for (const each of [...stretches].sort((a, b) => a.first - b.first)) {
    const key = `${each.chain} of ${each.origin}`;
    const known = found.get(key) ?? [];
    const before = known[known.length - 1];
    if (before && each.first <= before.last + 1) {
      before.last = Math.max(before.last, each.last);
    } else {
      found.set(key, [...known, { ...each }]);
    }
  }
  return [...found].map(([key, runs]) => `${runs.map(({ first, last }) => `${first} to ${last}`).join(", ")} of ${key}` +
    (runs.length > 1 ? "; those between are of none of these times" : ""));
}

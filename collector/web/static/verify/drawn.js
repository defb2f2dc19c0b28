"use strict";
/**
 * Holds what a page drew against what proven entries say. A page draws cells of time: of each signal and cell how many
 * values, the lowest, the highest, and marks for what is no value. The same is made here from the entries alone.
 */

import { VerificationError } from "./errors.js";
import { readingsOf } from "./content.js";
import { PROVENANCE } from "./marks.js";
import { micros, utc } from "./table.js";

const [LOW_PERFUSION, STALE, ARTEFACT, INVALID, IMPLAUSIBLE] = [1, 2, 4, 8, 16];
const ABSENT_SHIFT = 7;  // an absence with reason r sets bit 7 + r
const NOT_DRAWN = STALE | ARTEFACT | INVALID | IMPLAUSIBLE;
// bit of 11073-10201 and beyond: mark
const MARK_OF = new Map([[0, INVALID], [2, INVALID], [3, INVALID], [4, INVALID], [16, ARTEFACT], [17, ARTEFACT],
  [18, LOW_PERFUSION], [19, LOW_PERFUSION], [21, IMPLAUSIBLE], [22, STALE], [23, ARTEFACT]]);

/** @typedef {{n: number, lo: number, hi: number, marks: number, seq?: number|bigint, index?: number|bigint}} Cell */
/**
 * @typedef {{from_us: number, to_us: number, cell_us: number,
 *   signals: Map<string, {cells: Map<number, Cell>}>}} Model what is on the screen; a cell's number is its time / width
 */

/** @param {number|bigint} quality */
function marksOf(quality) {
  let marks = 0;
  for (const [bit, mark] of MARK_OF) {
    marks |= BigInt(quality) >> BigInt(bit) & 1n ? mark : 0;
  }
  return marks;
}

/**
 * The cells that the entries fill. Readings out of a device's memory have no time but the device's own: not among them.
 * @param {import("./table.js").Placed[]} run @param {number} width µs @param {number} from µs @param {number} to µs
 */
export function cellsOf(run, width, from, to) {
  /** @type {Map<string, {cells: Map<number, Cell>}>} */
  const signals = new Map();
  for (const { entry, opened, index } of run) {
    const provenance = PROVENANCE.get(opened?.values?.provenance);
    if (!opened?.values || provenance === "device-stored") {
      continue;
    }
    for (const { series, at_us: offset, value, absence, quality } of readingsOf(opened.values)) {
      const at = Number(micros(entry.clock.wall_ms, offset));
      if (at < from || at > to) {
        continue;
      }
      const key = provenance === "device-live" ? series.handle : `${series.handle} (${provenance})`;
      const column = signals.get(key) ?? { cells: new Map() };
      signals.set(key, column);
      const number = Math.floor(at / width);
      const cell = column.cells.get(number) ?? { n: 0, lo: 0, hi: 0, marks: 0, seq: entry.seq, index };
      column.cells.set(number, cell);
      const marks = (quality ? marksOf(quality) : 0) | (absence === null ? 0 : 1 << (ABSENT_SHIFT + absence));
      cell.marks |= marks;
      if (value !== null && !(marks & NOT_DRAWN)) {
        const scaled = series.exponent < 0 ? Number(value) / 10 ** -series.exponent
          : Number(value) * 10 ** series.exponent;
        cell.lo = cell.n ? Math.min(cell.lo, scaled) : scaled;
        cell.hi = cell.n ? Math.max(cell.hi, scaled) : scaled;
        cell.n += 1;
      }
    }
  }
  return signals;
}

/**
 * Check that each cell that lies wholly within the entries was drawn as they say, and that nothing else was drawn: what
 * stands where no entry was handed over would be confirmed by nobody.
 * @param {Model} model @param {import("./table.js").Placed[]} run in the order of their times
 * @param {{from: number, until: number, waiting: boolean, apart: {from: number, to: number}[]}} known µs: from where on
 *   and until where it is checked, whether entries behind these wait for their anchor, and what was drawn beside these
 * @returns {{cells: number, values: number, signals: number, beyond: number, apart: number}} `beyond`: cells that were
 *   drawn and not compared, because they lie at the edge of the entries or wait; `apart`: because of `known.apart`
 */
export function compareDrawn(model, run, known) {
  if (!run.length) {
    throw new VerificationError("no entry of this interval holds: nothing of what the page drew is confirmed");
  }
  const width = model.cell_us;
  const told = cellsOf(run, width, model.from_us, model.to_us);
  const begins = Number(micros(run[0].entry.clock.wall_ms, 0));
  const ends = run.reduce((last, each) => Math.max(last, lastTime(each)), begins);
  const [low, high] = [Math.max(begins, model.from_us), Math.min(ends, model.to_us)];
  const counts = { cells: 0, values: 0, signals: 0, beyond: 0, apart: 0 };
  for (const key of new Set([...told.keys(), ...model.signals.keys()])) {
    const [said, drawn] = [told.get(key)?.cells ?? new Map(), model.signals.get(key)?.cells ?? new Map()];
    counts.signals += 1;
    for (const number of new Set([...said.keys(), ...drawn.keys()])) {
      const [at, until] = [number * width, (number + 1) * width];
      if (known.apart.some((span) => at <= span.to && until > span.from)) {
        counts.apart += drawn.has(number) ? 1 : 0;
      } else if (at >= low && until <= high) {
        compareCell(`${key}, ${utc(at)} and ${width / 1e6} s on`, drawn.get(number), said.get(number));
        counts.cells += 1;
        counts.values += said.get(number).n;
      } else if (drawn.has(number)) {
        if ((until <= begins && at >= known.from) || (at > ends && until <= known.until && !known.waiting)) {
          throw new VerificationError(`${key}, ${utc(at)} and ${width / 1e6} s on: the page drew ` +
            `${cellWords(drawn.get(number))}, and the collector hands over no entry of that time`);
        }
        counts.beyond += 1;
      }
    }
  }
  return counts;
}

/** @param {import("./table.js").Placed} placed */
function lastTime({ entry, opened }) {
  const times = (opened?.values?.times ?? []).map((/** @type {any[]} */ vector) => vector[vector.length - 1] ?? 0);
  return Number(micros(entry.clock.wall_ms, times.length ? Math.max(...times.map(Number)) : 0));
}

/** @param {string} where @param {Cell|undefined} drawn @param {Cell|undefined} said */
function compareCell(where, drawn, said) {
  if (drawn && said && drawn.n === said.n && drawn.marks === said.marks &&
      (!said.n || (drawn.lo === said.lo && drawn.hi === said.hi))) {
    return;
  }
  const error = new VerificationError(
    `${where}: the entries say ${cellWords(said)}, the page drew ${cellWords(drawn)}`);
  if (said?.seq !== undefined) {
    error.entry = { index: String(said.index), chain: "this device", seq: said.seq };
  }
  throw error;
}

/** @param {Cell|undefined} cell */
function cellWords(cell) {
  if (!cell) {
    return "nothing";
  }
  const values = cell.n ? `${cell.n} values from ${cell.lo} to ${cell.hi}` : "no value";
  return cell.marks ? `${values} with marks ${cell.marks}` : values;
}

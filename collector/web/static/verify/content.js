"use strict";
/**
 * What readings entries hold: values, waves and the raw bytes of the line (`vitaledger/content.py`).
 *
 *   values = [driver, version, provenance, use, check, context, times, series, stored]
 *   waves  = [* [handle, MDC code, MDC unit, rate, scale, offset, first µs, last µs, samples, absences, quality]]
 *   raw    = [coding, [* [direction, µs, length]], bytes]
 */

import { MalformedError } from "./errors.js";
import { ABSENCE, CATEGORY, CHECK, PROVENANCE, USE } from "./marks.js";
import { arrayOf, blob, decodeShape, enumOf, integer, nullOr, numbers, record, samples, text, uint } from "./shape.js";
import { inflate } from "./inflate.js";

const MAX_RAW = 64 * 1024;
const CODE = uint(0, 2 ** 32 - 1);

/** @param {any[][]} found runs [first, count, mark] @param {number} length @param {string} what */
function wrongRuns(found, length, what) {
  let end = 0;
  let last = null;
  for (const [first, count, mark] of found) {
    // a number that is not safe is a bigint and leaves the values in any case
    if (first < end || !count || typeof first === "bigint" || typeof count === "bigint" || first + count > length ||
        !mark) {
      return `${what} run [${first}, ${count}, ${mark}] overlaps, is empty or leaves its ${length} values`;
    }
    if (first === end && mark === last) {
      return `${what} run at ${first} repeats the mark of the run before it: expected one run`;
    }
    end = first + count;
    last = mark;
  }
  return null;
}

/** The mark of each of `length` values, or null. @param {any[][]} found @param {number} length */
export function spread(found, length) {
  const marks = new Array(length).fill(null);
  for (const [first, count, mark] of found) {
    marks.fill(mark, first, first + count);
  }
  return marks;
}

/** @param {any} series */
function wrongSeries(series) {
  const wrong = wrongRuns(series.absences, series.values.length, "absence");
  if (wrong) {
    return wrong;
  }
  const covered = spread(series.absences, series.values.length);
  if (series.values.some((/** @type {unknown} */ value, /** @type {number} */ n) =>
    (value === null) !== (covered[n] !== null))) {
    return `${series.handle}: the absences do not cover exactly the nulls`;
  }
  return wrongRuns(series.quality, series.values.length, "quality");
}

/** @param {any} values */
function wrongValues(values) {
  const handles = values.series.map((/** @type {any} */ each) => each.handle);
  if (new Set(handles).size !== handles.length) {
    return `handles [${handles.join(", ")}]: expected each once`;
  }
  for (const times of values.times) {
    if (times.some((/** @type {any} */ at, /** @type {number} */ n) => at < (n ? times[n - 1] : 0))) {
      return "times: expected offsets from 0 that never run back";
    }
  }
  for (const series of values.series) {
    if (series.times >= values.times.length || values.times[series.times].length !== series.values.length) {
      return `${series.handle}: ${series.values.length} values do not fit times ${series.times}`;
    }
  }
  const stored = PROVENANCE.get(values.provenance) === "device-stored";
  if ((values.stored !== null) !== stored) {
    return "stored rows: expected with, and only with, provenance device-stored";
  }
  const rows = values.times.length ? values.times[0].length : 0;
  if (values.stored !== null && values.stored.device_times.length !== rows) {
    return "stored rows: expected one device time for each time of the first vector";
  }
  return null;
}

/** @param {any} wave */
function wrongWave(wave) {
  if (wave.last_us < wave.first_us) {
    return `${wave.handle}: last arrival before the first`;
  }
  return wrongRuns(wave.absences, wave.samples.length, "absence") ??
    wrongRuns(wave.quality, wave.samples.length, "quality");
}

/** @param {import("./shape.js").Shape} of @returns {import("./shape.js").Shape} */
function runOf(of) {
  const index = uint();
  return (item, where) => {
    if (!Array.isArray(item) || item.length !== 3) {
      throw new MalformedError(`${where}: expected [first, count, mark]`);
    }
    return [index(item[0], where), index(item[1], where), of(item[2], where)];
  };
}

/** A fraction in lowest terms, as [numerator, denominator]. @type {import("./shape.js").Shape} */
function fraction(item, where) {
  const found = numbers({ most: 2 })(item, where);
  if (found.length !== 2 || found[1] < 1 || found[0] === 0 || gcd(BigInt(found[0]), BigInt(found[1])) !== 1n) {
    throw new MalformedError(`${where}: expected a fraction [numerator, denominator] in lowest terms, not zero`);
  }
  return found;
}

/** @param {bigint} a @param {bigint} b */
function gcd(a, b) {
  let [x, y] = [a < 0n ? -a : a, b];
  while (y) {
    [x, y] = [y, x % y];
  }
  return x;
}

const ABSENCES = arrayOf(runOf(enumOf("Absence", ABSENCE)));
const QUALITIES = arrayOf(runOf(uint()));

const VALUES = record([
  ["driver", text(1, 32)],
  ["driver_version", text(1, 32)],
  ["provenance", enumOf("Provenance", PROVENANCE)],
  ["use", enumOf("Use", USE)],
  ["check", enumOf("Check", CHECK)],
  ["context", record([["identity", nullOr(uint())], ["alarm", nullOr(uint())], ["settings", nullOr(uint())]])],
  ["times", arrayOf(numbers())],
  ["series", arrayOf(record([
    ["handle", text(1, 32)],
    ["code", CODE],
    ["unit", CODE],
    ["category", enumOf("Category", CATEGORY)],
    ["exponent", uint(-18, 18)],
    ["times", uint()],
    ["values", numbers({ nulls: true })],
    ["absences", ABSENCES],
    ["quality", QUALITIES],
  ], { check: wrongSeries }))],
  ["stored", nullOr(record([["device_clock", nullOr(text(0, 64))], ["first_ordinal", uint()],
    ["device_times", arrayOf(nullOr(text(0, 64)))]]))],
], { check: wrongValues });

const WAVES = arrayOf(record([
  ["handle", text(1, 32)],
  ["code", CODE],
  ["unit", CODE],
  ["rate", fraction],
  ["scale", fraction],
  ["offset", integer()],
  ["first_us", uint()],
  ["last_us", uint()],
  ["samples", samples()],
  ["absences", ABSENCES],
  ["quality", QUALITIES],
], { check: wrongWave }));

const RAW = record([["coding", uint(0, 1)], ["chunks", arrayOf(numbers({ most: 3 }))], ["data", blob(0, MAX_RAW)]]);

/** @param {Uint8Array} content */
export function decodeValues(content) {
  return decodeShape(VALUES, content, "values part");
}

/** @param {Uint8Array} content */
export function decodeWaves(content) {
  return decodeShape(WAVES, content, "waves part");
}

/** @param {Uint8Array} content @returns {Promise<{direction: number, at_us: number|bigint, data: Uint8Array}[]>} */
export async function decodeRaw(content) {
  const raw = decodeShape(RAW, content, "raw part");
  let total = 0n;
  raw.chunks.forEach((/** @type {any[]} */ row, /** @type {number} */ n) => {
    if (row.length !== 3 || (row[0] !== 0 && row[0] !== 1) || row[1] < 0 || row[2] < 1) {
      throw new MalformedError(
        `raw part.chunks[${n}]: expected [direction 0 or 1, µs, length], found [${row.join(", ")}]`);
    }
    total += BigInt(row[2]);
  });
  if (total > MAX_RAW) {
    throw new MalformedError(`raw part: ${total} bytes, at most ${MAX_RAW} are allowed`);
  }
  const data = raw.coding === 0 ? raw.data : await inflate(raw.data, Number(total), "raw part");
  if (BigInt(data.length) !== total) {
    throw new MalformedError(`raw part: its table speaks of ${total} bytes, found ${data.length}`);
  }
  let at = 0;
  return raw.chunks.map(([direction, at_us, length]) => {
    at += length;
    return { direction, at_us, data: data.subarray(at - length, at) };
  });
}

/** Every reading of a values part, series by series. @param {any} values */
export function readingsOf(values) {
  const found = [];
  for (const series of values.series) {
    const absences = spread(series.absences, series.values.length);
    const quality = spread(series.quality, series.values.length);
    const times = values.times[series.times];
    for (let n = 0; n < series.values.length; n++) {
      found.push({ series, n, at_us: times[n], value: series.values[n], absence: absences[n],
        quality: quality[n] ?? 0 });
    }
  }
  return found;
}

/** A value as people read it: 345 with exponent -2 is "3.45". @param {number|bigint} value @param {number} exponent */
export function scaled(value, exponent) {
  if (exponent === 0) {
    return String(value);
  }
  const whole = BigInt(value);
  if (exponent > 0) {
    return String(whole * 10n ** BigInt(exponent));
  }
  const digits = String(whole < 0n ? -whole : whole).padStart(1 - exponent, "0");
  return `${whole < 0n ? "-" : ""}${digits.slice(0, exponent)}.${digits.slice(exponent)}`;
}

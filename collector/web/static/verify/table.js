"use strict";
/**
 * The table of an evidence file, written again from proven entries (`vitaledger/csvform.py`; docs/evidence.md, "The
 * table"). One byte that differs is a failed verification, so each rule here is part of the format.
 */

import { plainNumber } from "./bytes.js";
import { readingsOf, scaled } from "./content.js";
import {
  ABSENCE, ALARM_KIND, ALARM_PHASE, ALARM_PRIORITY, CATEGORY, CHECK, GAP_REASON, LINE_STATE, PROVENANCE, SURENESS, USE,
  qualityWords,
} from "./marks.js";
import { LOINC, UCUM } from "./tables.js";

export const COLUMNS = ["time", "kind", "signal", "value", "unit", "absence", "quality", "category", "mdc", "mdc_unit",
  "loinc", "provenance", "use", "check", "device_time", "since", "text", "entry", "index", "bound_ms"];
const END_OF_CALENDAR_US = 253_402_300_800_000_000n;  // the year 10000
let lastSecond = { second: 0, text: "1970-01-01T00:00:00" };  // rows of a second follow one another

/** @typedef {{index: number|bigint, entry: import("./entry.js").Entry, opened: import("./opened.js").Opened|null}} Placed */
/** @typedef {{at_us: number|bigint, kind: string} & Record<string, any>} Row cells as text, those not named empty */

/** @param {Placed[]} run */
export function renderTable(run) {
  const lines = [`${COLUMNS.join(",")}\n`];
  for (const placed of run) {
    for (const row of tableRows(placed)) {
      lines.push(`${COLUMNS.map((column) => row[column] ?? "").join(",")}\n`);
    }
  }
  return lines.join("");
}

/** The rows of an entry, in order of time. @param {Placed} placed @returns {Row[]} */
export function tableRows(placed) {
  const rows = rowsOf(placed);
  const { seq, clock } = placed.entry;
  const tail = { entry: String(seq), index: String(placed.index), bound_ms: String(clock.bound_ms ?? "") };
  for (const row of rows) {
    Object.assign(row, tail);
    row.time = utc(row.at_us);
  }
  return rows.sort((a, b) => (a.at_us < b.at_us ? -1 : a.at_us > b.at_us ? 1 : 0));  // stable
}

/** A time in µs since 1970 UTC; the plain number where that is before 1970 or after 9999. @param {number|bigint} us */
export function utc(us) {
  if (us < 0 || us >= END_OF_CALENDAR_US) {
    return String(us);
  }
  const micro = typeof us === "number" ? us % 1e6 : Number(us % 1_000_000n);
  const second = typeof us === "number" ? (us - micro) / 1e6 : Number(us / 1_000_000n);
  if (second !== lastSecond.second) {
    lastSecond = { second, text: new Date(second * 1000).toISOString().slice(0, 19) };
  }
  return `${lastSecond.text}.${String(micro).padStart(6, "0")}Z`;
}

/** @param {number|bigint} ms */
export function utcMs(ms) {
  return utc(micros(ms, 0));
}

/** ms × 1,000 + µs, in µs. @param {number|bigint} ms @param {number|bigint} us */
export function micros(ms, us) {
  if (typeof ms === "number" && typeof us === "number") {
    const sum = ms * 1000 + us;
    if (Number.isSafeInteger(sum) && Number.isSafeInteger(ms * 1000)) {
      return sum;
    }
  }
  return plainNumber(BigInt(ms) * 1000n + BigInt(us));
}

/** A cell of text that a device may have chosen. @param {string} text */
function free(text) {
  const safe = /^[=+\-@]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** How many rows an entry has. @param {Placed} placed */
export function rowCount({ opened }) {
  if (opened === null) {
    return 1;
  }
  const readings = (opened.values?.series ?? []).reduce(
    (/** @type {number} */ sum, /** @type {any} */ series) => sum + series.values.length, 0);
  return readings + (opened.waves?.length ?? 0) + (opened.event ? 1 : 0) +
    opened.withheld.filter((type) => type === 1 || type === 4).length;
}

/** @param {Placed} placed @returns {Row[]} */
function rowsOf({ entry, opened }) {
  const began = micros(entry.clock.wall_ms, 0);
  if (opened === null) {
    return [{ at_us: began, kind: "finding" }];
  }
  /** @type {Row[]} */
  const rows = [];
  for (const [type, word] of /** @type {[number, string][]} */ ([[1, "values"], [4, "event"]])) {
    if (opened.withheld.includes(type)) {
      rows.push({ at_us: began, kind: "withheld", text: word });
    }
  }
  if (opened.event !== null) {
    rows.push(eventRow(began, opened.event));
  }
  for (const wave of opened.waves ?? []) {
    rows.push({ at_us: micros(entry.clock.wall_ms, wave.first_us), kind: "wave", signal: free(wave.handle),
      value: String(wave.samples.length), ...codes(wave), text: `${wave.rate[0]}/${wave.rate[1]} per s` });
  }
  if (opened.values !== null) {
    rows.push(...readingRows(entry.clock.wall_ms, opened.values));
  }
  return rows;
}

/** @param {{code: number, unit: number}} of */
function codes({ code, unit }) {
  return { mdc: String(code), mdc_unit: String(unit), unit: UCUM.get(unit) ?? "", loinc: LOINC.get(code) ?? "" };
}

/** @param {number|bigint} wallMs @param {any} values @returns {Row[]} */
function readingRows(wallMs, values) {
  const common = { kind: "reading", provenance: PROVENANCE.get(values.provenance), use: USE.get(values.use),
    check: CHECK.get(values.check) };
  const cells = new Map(values.series.map((/** @type {any} */ series) => [series, { ...common, ...codes(series),
    signal: free(series.handle), category: CATEGORY.get(series.category) }]));
  return readingsOf(values).map(({ series, n, at_us, value, absence, quality }) => ({
    ...cells.get(series),
    at_us: micros(wallMs, at_us),
    value: value === null ? "" : scaled(value, series.exponent),
    absence: absence === null ? "" : ABSENCE.get(absence),
    quality: qualityWords(quality).join(" "),
    device_time: values.stored && series.times === 0 ? free(values.stored.device_times[n] ?? "") : "",
  }));
}

/** @param {number|bigint} began @param {any} event @returns {Row} */
function eventRow(began, event) {
  /** @type {Row} */
  const row = { at_us: began, kind: event.type };
  row.text = free(eventWords(event, row).filter((word) => word).join("; "));
  return row;
}

/** @param {any} event @param {Row} row gets the cells that are not words */
function eventWords(event, row) {
  switch (event.type) {
    case "identity":
      row.use = USE.get(event.use);
      row.check = CHECK.get(event.check);
      return [event.make, event.model, event.serial && `serial ${event.serial}`,
        event.firmware && `firmware ${event.firmware}`, event.port, SURENESS.get(event.sureness)];
    case "line":
      return [LINE_STATE.get(event.state), event.detail, event.next_chain && `goes on as ${event.next_chain}`];
    case "gap":
      row.since = event.since ? utcMs(event.since.wall_ms) : "";
      return [GAP_REASON.get(event.reason), event.detail, event.dropped_bytes && `${event.dropped_bytes} bytes not kept`];
    case "silence":
      row.since = utcMs(event.since.wall_ms);
      return [];
    case "frame-errors":
      return event.counts.map((/** @type {any} */ each) => `${each.count} ${each.kind}`);
    case "alarm":
      row.mdc = String(event.code ?? "");
      return [ALARM_KIND.get(event.kind), ALARM_PHASE.get(event.phase), ALARM_PRIORITY.get(event.priority), event.text,
        event.silenced && "silenced"];
    case "clock-offset":
      row.device_time = free(event.device_time);
      return [`${event.offset_ms} ms`];
    case "notice":
      return [event.text];
    default:  // a gateway's own events: the entry says more
      return [];
  }
}

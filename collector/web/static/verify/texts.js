"use strict";
/** The texts of an evidence file, written again from what is proven (`vitaledger/evidence_text.py`). */

import { USE, partName } from "./marks.js";
import { renderTable, utcMs } from "./table.js";
import { TEMPLATES } from "./tables.js";

const NOT_TOLD = "not told";
export const TABLE = "readings.csv";
export const RENDERED = [TABLE, ...TEMPLATES.keys()];

/** The table and the texts, by the names of their files. @param {import("./evidence.js").Verified} proven */
export function renderFiles(proven) {
  const told = fieldsOf(proven);
  return new Map([[TABLE, renderTable(proven.run)],
    ...[...TEMPLATES].map(([name, template]) => /** @type {[string, string]} */ ([name,
      template.replace(/\{([a-z_]+)\}/g, (_, field) => told[field])]))]);
}

/** @param {import("./evidence.js").Verified} proven @returns {Record<string, string>} */
function fieldsOf(proven) {
  const { claim, run } = proven;
  const counts = countRun(run);
  const uses = new Set();
  for (const { opened } of run) {
    if (opened?.values) {
      uses.add(opened.values.use);
    } else if (opened?.event?.type === "identity") {
      uses.add(opened.event.use);
    }
  }
  return {
    origin: claim.origin,
    chain: claim.chain,
    first: String(claim.first),
    last: String(claim.last),
    exported: claim.exported || NOT_TOLD,
    by: claim.by || NOT_TOLD,
    with: claim.with || NOT_TOLD,
    elsewhere: claim.elsewhere.join(", ") || "none",
    count: String(claim.last - claim.first + 1),
    readings: String(counts.readings),
    absent: String(counts.absent),
    findings: String(counts.findings),
    from: utcMs(run[0].entry.clock.wall_ms),
    to: utcMs(run[run.length - 1].entry.clock.wall_ms),
    use: [...uses].sort().map((use) => USE.get(use)).join(", ") || NOT_TOLD,
    gateway: proven.gateway,
    gateway_vkey: proven.gatewayVkey.text,
    size: String(proven.gatewaySize),
    before: utcMs(proven.anchoredMs),
    after: proven.afterMs === null ? NOT_TOLD : utcMs(proven.afterMs),
    withheld: proven.withheld.map(partName).join(", ") || "nothing",
    ledger: proven.ledger.checkpoint.origin,
    ledger_size: String(proven.ledger.checkpoint.size),
    ledger_vkey: proven.ledger.signer.text,
  };
}

/** Readings, those of them that are absent, wave samples, findings. @param {import("./table.js").Placed[]} run */
export function countRun(run) {
  const counts = { readings: 0, absent: 0, samples: 0, findings: 0 };
  for (const { opened } of run) {
    if (opened === null) {
      counts.findings += 1;
    }
    for (const series of opened?.values?.series ?? []) {
      counts.readings += series.values.length;
      counts.absent += series.values.filter((/** @type {unknown} */ value) => value === null).length;
    }
    for (const wave of opened?.waves ?? []) {
      counts.samples += wave.samples.length;
    }
  }
  return counts;
}

"use strict";
/**
 * What an evidence file proves, in the words of `vitaledger verify`: the same lines, so that nobody who uses both has to
 * wonder (`vitaledger/cli/verify.py`).
 */

import { GAP_REASON, PROVENANCE, SURENESS, USE, partName } from "./marks.js";
import { countRun, TABLE } from "./texts.js";

const CLINICAL = 0;
const CANNOT = [
  "that the sensor was on the right patient, or that the device measured well;",
  "that nobody who held the gateway's key wrote entries that were not yet anchored;",
  "that the device was on no other gateway at that time: {what};",
  "that no revocation of the gateway's key came after this ledger checkpoint;",
];
const NO_WITNESS =
  "that the provider shows everybody the same ledger: no witness's cosignature was asked for by the policy.";
const WITNESSED = "anything that the witnesses of the policy agreed to hide together.";

/** @typedef {{label: string, lines: string[]}} Told */

/** What is proven, by label. @param {import("./evidence.js").Verified} found @returns {Told[]} */
export function claimsOf(found) {
  const { claim, run } = found;
  const { checkpoint } = found.ledger;
  const identity = identityOf(run);
  const told = [
    { label: "device", lines: [claim.chain, ...identity.lines] },
    ...identity.more,
    { label: "entries", lines: [`${claim.first} to ${claim.last} of that micro-chain: ` +
      `${claim.last - claim.first + 1}, complete, linked, none between`] },
    readingsOfRun(run),
    { label: "wave samples", lines: [String(countRun(run).samples)] },
    gapsOf(run),
    signedBy(found),
    sealed(found, found.ledger),
    ...gatewayTime(run),
    { label: "ledger", lines: [`${checkpoint.origin}, size ${checkpoint.size}`] },
    { label: "table", lines: [`${TABLE} and the texts are what the entries say`] },
    { label: "exported", lines: [`${claim.exported} by ${claim.by || "nobody named"}, with ${claim.with} (not proven)`] },
    ...claim.elsewhere.map((other) => ({ label: "elsewhere", lines: [`${other} (the exporter's word)`] })),
  ];
  if (found.withheld.length) {
    told.push({ label: "left out",
      lines: [`${found.withheld.map(partName).join(", ")}: not in this file; the rest verifies without them`] });
  }
  return [...told, ...found.findings.map((finding) => ({ label: "FINDING", lines: [finding] }))];
}

/** @param {import("./table.js").Placed[]} run @returns {Told} */
export function readingsOfRun(run) {
  const counts = countRun(run);
  return { label: "readings", lines: [String(counts.readings) +
    (counts.absent ? `, of which ${counts.absent} are stated absences` : "")] };
}

/** @param {import("./table.js").Placed[]} run @returns {Told} */
export function gapsOf(run) {
  const gaps = run.filter(({ opened }) => opened?.event?.type === "gap");
  return { label: "gaps", lines: [String(gaps.length), ...gaps.map(({ entry, opened }) =>
    `${timeText(entry.clock.wall_ms)}: ${gapWords(opened?.event, entry.clock)}`)] };
}

/** @param {{gateway: string, gatewayVkey: import("./keys.js").Vkey, predecessors: string[]}} of @returns {Told} */
export function signedBy({ gateway, gatewayVkey, predecessors }) {
  return { label: "signed by", lines: [`gateway ${gateway}: ${gatewayVkey.text}`,
    ...predecessors.map((origin) => `which goes on in the place of ${origin}`)] };
}

/** @param {{anchoredMs: number|bigint, gatewaySize: number|bigint, afterMs: number|bigint|null}} of
 * @param {import("./note.js").SignedCheckpoint} ledger @returns {Told} */
export function sealed({ anchoredMs, gatewaySize, afterMs }, ledger) {
  return { label: "sealed", lines: [
    `before ${timeText(anchoredMs)}, by the collector's clock: anchored at ${gatewaySize}`,
    afterMs === null ? "after: nothing says; the gateway had quoted no ledger head before"
      : `after ${timeText(afterMs)}, by the collector's clock: the gateway had quoted a ledger head of that time`,
    ...ledger.cosignatures.map((each) => `seen by ${each.name} at ${timeText(each.time * 1000n)}`),
  ] };
}

/** What it cannot prove. @param {import("./policy.js").Policy} policy @param {string} what was checked */
export function limitsOf(policy, what = "this file speaks of one log") {
  return [...CANNOT.map((line) => line.replace("{what}", what)), policy.quorum === null ? NO_WITNESS : WITNESSED];
}

/** The lines that `vitaledger verify` prints. @param {import("./evidence.js").Verified} found
 * @param {import("./policy.js").Policy} policy */
export function plainLines(found, policy) {
  const lines = claimsOf(found).flatMap(({ label, lines: [first, ...more] }) =>
    [`  ${label.padEnd(13)}${first}`, ...more.map((line) => `${" ".repeat(15)}${line}`)]);
  return ["VERIFIED", ...lines, "What it cannot prove:", ...limitsOf(policy).map((line) => `  ${line}`)];
}

/** A time in ms since 1970 UTC. @param {number|bigint} ms */
export function timeText(ms) {
  if (ms < -62_135_596_800_000 || ms > 253_402_300_799_999) {
    return `${ms} ms since 1970 UTC`;
  }
  return new Date(Number(ms)).toISOString().replace("T", " ").replace("Z", " UTC");
}

/** @param {import("./table.js").Placed[]} run */
export function identityOf(run) {
  const opened = run.flatMap((each) => each.opened ?? []);
  const told = opened.flatMap(({ event }) => (event?.type === "identity" ? [event] : []));
  const values = opened.flatMap((each) => each.values ?? []);
  const uses = [...new Set((values.length ? values : told).map((each) => each.use))];
  const provenances = [...new Set(values.map((each) => each.provenance))];
  /** @type {Told[]} */
  const more = [];
  if (uses.some((use) => use !== CLINICAL)) {
    more.push({ label: "NOT CLINICAL", lines: [`use is stated as ${uses.map((use) => USE.get(use)).join(", ")}`] });
  }
  if (provenances.length) {
    more.push({ label: "origin", lines: [provenances.map((each) => PROVENANCE.get(each)).join(", ")] });
  }
  return { lines: told.length ? told.map(identityWords) : ["identity: told before the entries shown"], more };
}

/** @param {any} event */
function identityWords(event) {
  const who = [event.make, event.model].filter((word) => word).join(" ") || "unknown device";
  const serial = event.serial ? `, serial ${event.serial}` : ", tells no serial number";
  return `${who}${serial}, on ${event.port}; identity by ${SURENESS.get(event.sureness)}, use ${USE.get(event.use)}`;
}

/** @param {any} event @param {import("./entry.js").Clock} clock its entry's */
function gapWords(event, clock) {
  const length = event.since === null ? null : lengthText(event.since, clock);
  const what = length === null ? "gap, its beginning unknown" : `gap of ${length}`;
  const reason = GAP_REASON.get(event.reason);
  const why = reason === "crash" ? "gateway stopped without warning" : reason;
  const detail = event.detail ? ` (${event.detail})` : "";
  return `${what}: ${why}${detail}${event.dropped_bytes ? `; ${event.dropped_bytes} bytes not kept` : ""}`;
}

/** @param {import("./entry.js").Clock} since @param {import("./entry.js").Clock} until */
function lengthText(since, until) {
  // the monotonic clock does not step
  const field = since.boot_id.every((byte, n) => byte === until.boot_id[n]) ? "boot_ms" : "wall_ms";
  const ms = Number(BigInt(until[field]) - BigInt(since[field]));
  // of two tenths that are as near, the even one
  const tenths = Math.abs(ms) % 500 === 250 ? 2 * Math.round(ms / 200) / 10 : ms / 1000;
  return `${tenths.toFixed(1)} s`;
}

/** @param {import("./table.js").Placed[]} run @returns {Told[]} */
export function gatewayTime(run) {
  const clocks = run.flatMap(({ entry, opened }) => (opened ? [entry.clock] : []));
  if (!clocks.length) {
    return [];
  }
  let most = /** @type {number|bigint|null} */ (0);
  for (const { bound_ms: bound } of clocks) {
    most = most === null || bound === null ? null : bound > most ? bound : most;
  }
  const bound = most === null ? "not always synchronised" : `error at most ${most} ms, as it said`;
  return [{ label: "gateway time", lines: [`${timeText(clocks[0].wall_ms)} to ` +
    `${timeText(clocks[clocks.length - 1].wall_ms)} (a claim of the gateway's clock, ${bound})`] }];
}

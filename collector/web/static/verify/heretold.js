"use strict";
/** What a check of a shown interval came to, in words: what holds, and each entry that does not. */

import { gapsOf, gatewayTime, identityOf, readingsOfRun, sealed, signedBy } from "./claims.js";
import { el, headRow } from "./ui.js";

const MOST_TOLD = 100;

/** What is proven of the entries that hold, by label. @param {import("./here.js").Found} found
 * @returns {import("./claims.js").Told[]} */
export function hereClaims(found) {
  const { run, logs, ledger, waiting } = found;
  const identity = identityOf(run);
  return [
    { label: "device", lines: [...new Set(logs.map(({ chain }) => chain)), ...identity.lines] },
    ...identity.more,
    { label: "entries", lines: logs.map((log) => entriesLine(log, found)) },
    ...(waiting ? [{ label: "not checked", lines: [`${waiting} entries that wait for their anchor`] }] : []),
    readingsOfRun(run),
    gapsOf(run),
    ...logs.flatMap((log) => [signedBy(log), sealed(log, ledger)]),
    ...gatewayTime(run),
    { label: "ledger", lines: [`${ledger.checkpoint.origin}, size ${ledger.checkpoint.size}`] },
    ...found.findings.map((finding) => ({ label: "FINDING", lines: [finding] })),
  ];
}

/** @param {import("./here.js").CheckedLog} log @param {import("./here.js").Found} found */
function entriesLine({ origin, runs, entries }, found) {
  const failures = found.failures.filter((each) => each.origin === origin);
  const bad = failures.filter(({ index }) => index !== null).length;  // the others are missing
  const which = runs.map(({ first, last }) => `${first} to ${last}`).join(", ");
  const how = failures.length ? `of which ${entries.length - bad} hold` : "linked, none between";
  return `${which} of that micro-chain of ${origin}: ${entries.length}, ${how}`;
}

/** Each entry that does not hold, what was expected and what was found. @param {import("./here.js").Failure[]} failures
 * @returns {Node[]} */
export function failureTable(failures) {
  const rows = failures.slice(0, MOST_TOLD).map(({ chain, seq, last, index, message }) => el("tr", { "data-seq": seq },
    el("td", {}, seq === last ? `${seq}` : `${seq} to ${last}`), el("td", {}, index === null ? "–" : `${index}`),
    el("td", {}, message.replace(`${chain} entry ${seq}: `, ""))));
  const more = failures.length - rows.length;
  return [el("h3", {}, "What does not hold"), el("div", { class: "scroll", tabindex: "0", role: "region",
    "aria-label": "What does not hold" }, el("table", { class: "failures" }, el("caption", {}, "By this browser’s own " +
    "arithmetic, over the bytes that the collector stores."),
  el("thead", {}, headRow(["entry", "index in the log", "expected and found"])), el("tbody", {}, ...rows))),
  ...(more ? [el("p", {}, `and ${more} more`)] : [])];
}

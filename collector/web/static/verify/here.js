"use strict";
/**
 * Checks what a collector's store holds of a device's interval, entry by entry (`collector/unchecked.py` hands it over as
 * it stands there). Nothing is believed but the policy, as with an evidence file; but an entry that does not hold is
 * named, with what was expected and what was found, and the others are checked all the same.
 */

import { MalformedError, Refused, VerificationError } from "./errors.js";
import { same, short } from "./bytes.js";
import { GATEWAY_CHAIN, genesis, leafHash, parseBody, parseLeaf, verifyBody } from "./entry.js";
import { STEPS } from "./evidence.js";
import { openEntry } from "./opened.js";
import { verifyByPolicy } from "./policy.js";
import { HASH, arrayOf, blob, decodeShape, integer, nullOr, record, text, uint } from "./shape.js";
import { keys, quotes } from "./signed.js";
import { partName } from "./marks.js";

const WORDS = new Map(STEPS);  // where a step is that of an evidence file, its words are, too
export const HERE_STEPS = /** @type {[string, string][]} */ ([
  ["fetch", "The collector hands over what it stores of this interval, as it stands there"],
  ...["ledger", "statements", "gateway", "after"].map((id) => [id, WORDS.get(id)]),
  ["entries", "The collector hands over every entry, none left out"],
  ["leaves", "Every entry has the hash that stands at its place in the log that the gateway signed"],
  ...["parts", "chain"].map((id) => [id, WORDS.get(id)]),
  ["contents", "Values and events can be read"],
]);
export const NOTHING_THERE = "the collector has no entry of this interval";
const [VALUES_TYPE, EVENT_TYPE] = [1, 4];
const SAFE = /** @type {any} */ (Number.MAX_SAFE_INTEGER);
const COUNT = uint(0, SAFE);
const STORED_BYTES = nullOr(blob(0, 1 << 24));
const PROVEN = record([["index", COUNT], ["statement", blob(0, 1 << 16)], ["hashes", arrayOf(HASH, 0, 63)]]);
const ENTRY_HERE = record([["seq", COUNT], ["index", COUNT], ["leaf", STORED_BYTES], ["body", STORED_BYTES]]);
const TILE = record([["level", uint(0, /** @type {any} */ (6))], ["n", COUNT], ["hashes", blob(32, 8192)]]);
const RANGE = record([["first", COUNT], ["last", COUNT]]);
const LOG = record([["origin", text(1, 255)], ["chain", text(1, 96)], ["anchor", nullOr(PROVEN)],
  ["key", arrayOf(PROVEN, 1, 1000)],
  ["after", nullOr(record([["last", PROVEN], ["root", HASH], ["path", arrayOf(HASH, 0, 63)], ["entry", ENTRY_HERE]]))],
  ["runs", arrayOf(RANGE, 0, 1 << 20)], ["waiting", COUNT],
  ["apart", arrayOf(record([["from", integer()], ["to", integer()]]), 0, 1 << 20)],
  ["tiles", arrayOf(TILE, 0, 64)]]);
const ANSWER = record([["checkpoint", blob(1, 1 << 16)], ["logs", arrayOf(LOG, 0, 1000)]], { tag: 1 });
const PAGE = record([["entries", arrayOf(ENTRY_HERE)], ["tiles", arrayOf(TILE)], ["next", nullOr(COUNT)]], { tag: 1 });

/**
 * @typedef {{overview: () => Promise<Uint8Array>,
 *   page: (origin: string, size: number, first: number, last: number) => Promise<Uint8Array>}} Source
 * @typedef {import("./evidence.js").Listener & {bad: (id: string, result: string) => void}} HereListener
 * @typedef {{seq: number, index: number, hash: Uint8Array|null, entry: import("./entry.js").Entry|null,
 *   opened: import("./opened.js").Opened|null, finding: string|null, wrong: Record<string, string>}} Checked
 * @typedef {{origin: string, chain: string, seq: number, last: number, index: number|null, step: string,
 *   message: string}} Failure `last` is behind `seq` where a whole run is missing
 * @typedef {{origin: string, chain: string, gateway: string, gatewayVkey: import("./keys.js").Vkey,
 *   gatewaySize: number, anchoredMs: number, afterMs: number|null, predecessors: string[], runs: {first: number, last: number}[],
 *   waiting: number, entries: Checked[], tree: import("./tiles.js").Tree}} CheckedLog
 * @typedef {{ledger: import("./note.js").SignedCheckpoint, logs: CheckedLog[], failures: Failure[], count: number,
 *   waiting: number, apart: {from: number, to: number}[], run: import("./table.js").Placed[], findings: string[]}} Found
 *   `run`: the entries that hold, in order
 */

/**
 * Check an interval. What is wrong with single entries stands in `failures`; what is wrong with all of them is thrown.
 * @param {Source} source @param {import("./policy.js").Policy} policy @param {string} label of the device
 * @param {HereListener} listener @returns {Promise<Found>}
 */
export async function verifyHere(source, policy, label, listener) {
  const answer = decodeShape(ANSWER, await source.overview(), "what the collector hands over");
  const told = answer.logs.filter((/** @type {any} */ log) => log.runs.length);
  const waiting = answer.logs.reduce((/** @type {number} */ sum, /** @type {any} */ log) => sum + log.waiting, 0);
  if (!told.length) {
    throw new VerificationError(waiting ? "no entry of this interval is anchored yet: try again in some seconds"
      : NOTHING_THERE);
  }
  listener.step("fetch", told.map((/** @type {any} */ log) => `${log.chain}, entries ` +
    `${log.runs.map(runWords).join(", ")} of ${log.origin}`).join("; "));
  const ledger = await verifyByPolicy(policy, answer.checkpoint);
  const { checkpoint, signer } = ledger;
  listener.step("ledger", `${checkpoint.origin}, size ${checkpoint.size}, signed by ${signer.name}+${signer.id}` +
    ledger.cosignatures.map((each) => `, cosigned by ${each.name}`).join(""));
  const signed = await keys(told, label, ledger, listener);
  const logs = await quotes(told, signed, ledger, listener);
  for (const [n, log] of logs.entries()) {
    await fetchEntries(source, log, told[n].tiles, listener);
  }
  return judge(ledger, logs, answer.logs, waiting, listener);
}

/** @param {{first: number, last: number}} run */
function runWords({ first, last }) {
  return first === last ? `${first}` : `${first} to ${last}`;
}

// -- entries ----------------------------------------------------------------------------------------------------------

/** Take over all entries of a log, a page at a time: the next one is on its way while one is looked at.
 * @param {Source} source @param {any} log @param {any[]} edge @param {HereListener} listener */
async function fetchEntries(source, log, edge, listener) {
  if (log.runs.some((/** @type {any} */ run, /** @type {number} */ n) =>
    run.first > run.last || (n > 0 && run.first <= log.runs[n - 1].last))) {
    throw new MalformedError(`what the collector hands over: entries ${log.runs.map(runWords).join(", ")} are no runs`);
  }
  edge.forEach(({ level, n, hashes }) => log.tree.add(level, n, hashes));
  const count = log.runs.reduce((/** @type {number} */ sum, /** @type {any} */ run) => sum + run.last - run.first + 1, 0);
  for (const { first, last } of log.runs) {
    let before = first - 1;
    /** @type {Promise<Uint8Array>|null} */
    let coming = source.page(log.origin, log.gatewaySize, first, last);
    while (coming) {
      const page = decodeShape(PAGE, await coming, "a page of entries");
      const wrongNext = page.next !== null && (page.next <= before || page.next > last || !page.entries.length);
      const unordered = page.entries.some((/** @type {any} */ each, /** @type {number} */ n) =>
        each.seq <= (n ? page.entries[n - 1].seq : before) || each.seq > last || each.index >= log.gatewaySize);
      if (wrongNext || unordered) {
        throw new MalformedError(`a page of entries: not in order, or not of ${first} to ${last}`);
      }
      coming = page.next === null ? null : source.page(log.origin, log.gatewaySize, page.next, last);
      coming?.catch(() => {});  // told where it is awaited
      page.tiles.forEach((/** @type {any} */ tile) => log.tree.add(tile.level, tile.n, tile.hashes));
      log.entries.push(...await Promise.all(page.entries.map((/** @type {any} */ each) => look(each, log.chain))));
      before = page.entries.length ? page.entries[page.entries.length - 1].seq : before;
      listener.progress("entries", log.entries.length, count);
    }
  }
  listener.step("entries", `${log.entries.length} of ${count}`);
}

/** What can be told of an entry by its own bytes. @param {any} stored @param {string} chain @returns {Promise<Checked>} */
async function look({ seq, index, leaf, body }, chain) {
  /** @type {Checked} */
  const each = { seq, index, hash: null, entry: null, opened: null, finding: null, wrong: {} };
  if (!leaf || !body) {
    each.wrong.leaves = `${chain} entry ${seq}: entry ${index} of the log is missing in the store, or not stored as bytes`;
  }
  if (!leaf) {
    return each;
  }
  each.hash = await leafHash(leaf);
  try {
    const entry = parseLeaf(leaf);
    each.entry = entry;
    if (body) {
      const parts = parseBody(body);
      const withheld = await verifyBody(entry, parts);
      if (withheld.length) {
        throw new VerificationError(`${entry.chain} entry ${entry.seq}: its part ${withheld.map(partName).join(", ")} ` +
          "is missing in the store");
      }
      await open(each, entry, parts);
    }
  } catch (error) {
    if (!(error instanceof Refused)) {
      throw error;
    }
    each.wrong.parts = error.message;
  }
  return each;
}

/** Decode what a page draws; waves and raw bytes were held against their commitments. @param {Checked} each
 * @param {import("./entry.js").Entry} entry @param {import("./entry.js").Part[]} parts */
async function open(each, entry, parts) {
  try {
    each.opened = await openEntry(entry, parts.filter(({ type }) => type === VALUES_TYPE || type === EVENT_TYPE), []);
  } catch (error) {
    if (!(error instanceof MalformedError)) {
      throw error;
    }
    each.finding = error.message;  // what was sealed cannot be read: said, and nothing behind it waits
  }
}

/** Hold each entry against the log's tree, which must give the signed root. @param {any} log
 * @param {string} ledger its origin */
async function place(log, ledger) {
  const heads = log.quoted ? [await look(log.quoted.entry, GATEWAY_CHAIN)] : [];
  /** @type {Map<number, Uint8Array>} */
  const told = new Map();
  log.entries.forEach((/** @type {Checked} */ each, /** @type {number} */ n) => {
    const next = log.entries[n + 1];
    const quoted = next && next.seq === each.seq + 1 ? next.entry?.prev : null;  // what was sealed, if that one is good
    const hash = quoted ?? each.hash;
    if (hash) {
      told.set(each.index, hash);
    }
  });
  const { tree } = log;
  await tree.settle(log.root, told);
  for (const each of [...log.entries, ...heads]) {
    const wrong = await tree.wrong(each.index, told);
    const expected = tree.leaf(each.index);
    if (wrong) {
      each.wrong.leaves ??= `${log.chain} entry ${each.seq}: not proven to be in the log: ${wrong}`;
    } else if (each.hash && !same(each.hash, expected)) {
      each.wrong.leaves = `${log.chain} entry ${each.seq}: entry ${each.index} of the log: expected leaf hash ` +
        `${short(expected, 16)}, found ${short(each.hash, 16)}`;
    } else if (each.hash && tree.mended.has(each.index)) {
      const { path, found } = tree.mended.get(each.index);
      each.wrong.tile = `${path}: of ${log.chain} entry ${each.seq} expected hash ${short(expected, 16)}, found ` +
        `${short(found, 16)}; the entry itself is what was sealed`;
    }
  }
  if (heads.length) {
    quotesLedger(log, heads[0], ledger);
  }
}

/** @param {any} log @param {Checked} heads @param {string} name the ledger's */
function quotesLedger({ origin, quoted, entries }, heads, name) {
  const event = heads.opened?.event;
  const ledger = event?.type === "heads" ? event.ledger : null;
  const late = entries.some((/** @type {Checked} */ each) => each.index <= heads.index);
  const wrong = late ? "it does not stand before them" : Object.values(heads.wrong)[0];
  if (wrong || !ledger || ledger.origin !== name || ledger.size !== quoted.size || !same(ledger.root, quoted.root)) {
    throw new VerificationError(`${origin} entry ${heads.index}: it does not prove that it quotes the ledger at size ` +
      `${quoted.size}${wrong ? `: ${wrong}` : ""}`);
  }
}

/** Numbers and links of each run; what is missing. @param {any} log @returns {Promise<Failure[]>} */
async function follow({ origin, chain, runs, entries, tree }) {
  const missing = [];
  for (const { first, last } of runs) {
    const inside = entries.filter((/** @type {Checked} */ each) => each.seq >= first && each.seq <= last);
    let next = first;
    let link = first === 0 ? await genesis(origin, chain) : null;
    for (const each of [...inside, null]) {
      const until = each ? each.seq : last + 1;
      if (until > next) {
        const which = until - 1 === next ? `entry ${next} is` : `entries ${next} to ${until - 1} are`;
        missing.push({ origin, chain, seq: next, last: until - 1, index: null, step: "entries",
          message: `${chain} ${which} missing: the collector has nothing there` });
        link = null;
      }
      if (each) {
        linked(each, chain, link);
        link = tree.leaf(each.index);
        next = each.seq + 1;
      }
    }
  }
  return missing;
}

/** @param {Checked} each @param {string} chain @param {Uint8Array|null} link */
function linked(each, chain, link) {
  const { entry } = each;
  if (!entry || each.wrong.leaves) {
    return;
  }
  if (entry.chain !== chain || entry.seq !== each.seq) {
    each.wrong.place = `expected ${chain} entry ${each.seq} at index ${each.index}, found ${entry.chain} entry ${entry.seq}`;
  } else if (link && !same(entry.prev, link)) {
    each.wrong.link = `${chain} entry ${each.seq}: prev: expected ${short(link, 16)}, found ${short(entry.prev, 16)}`;
  }
}

// -- the result -------------------------------------------------------------------------------------------------------

// what may be wrong with an entry, the first first, and the step that it belongs to
const ORDER = [["leaves", "leaves"], ["tile", "leaves"], ["parts", "parts"], ["place", "chain"], ["link", "chain"]];

/** @param {import("./note.js").SignedCheckpoint} ledger @param {any[]} logs @param {any[]} all @param {number} waiting
 * @param {HereListener} listener @returns {Promise<Found>} */
async function judge(ledger, logs, all, waiting, listener) {
  /** @type {Failure[]} */
  const failures = [];
  let count = 0;
  for (const log of logs) {
    await place(log, ledger.checkpoint.origin);
    failures.push(...await follow(log));
    for (const each of log.entries) {
      const [what, step] = ORDER.find(([name]) => each.wrong[name]) ?? [];
      if (what && step) {
        failures.push({ origin: log.origin, chain: log.chain, seq: each.seq, last: each.seq, index: each.index, step,
          message: each.wrong[what] });
      }
      count += 1;
    }
  }
  const good = logs.flatMap((log) => log.entries.filter((/** @type {Checked} */ { wrong }) =>
    !wrong.leaves && !wrong.parts && !wrong.place));
  const findings = good.flatMap((each) => each.finding ?? []);
  report(listener, failures, count, {
    entries: `${count} entries${waiting ? `; ${waiting} more wait for their anchor and are not checked` : ""}`,
    leaves: logs.map(({ entries, gatewaySize, root }) =>
      `${entries.length} entries in the tree of ${gatewaySize}, root ${short(root, 16)}`).join("; "),
    parts: `of ${count} entries`,
    chain: logs.map((log) => log.runs.map(runWords).join(", ")).join("; "),
    contents: findings.length ? `${findings.length} of ${count} entries cannot be read: findings, told below`
      : `all ${good.length} that hold can`,
  });
  const run = good.map(({ entry, opened, index }) => ({ entry, opened, index }))
    .sort((a, b) => Number(BigInt(a.entry.clock.wall_ms) - BigInt(b.entry.clock.wall_ms)));
  const apart = all.flatMap(({ apart: spans }) => spans);
  return { ledger, logs, failures, count, waiting, apart, run, findings };
}

/** @param {HereListener} listener @param {Failure[]} failures @param {number} count @param {Record<string, string>} held */
function report(listener, failures, count, held) {
  for (const [step, result] of Object.entries(held)) {
    const wrong = failures.filter((each) => each.step === step);
    if (wrong.length) {
      listener.bad(step, `${wrong.length} of ${count}: ${wrong[0].message}${wrong.length > 1 ? "; …" : ""}`);
    } else {
      listener.step(step, result);
    }
  }
}

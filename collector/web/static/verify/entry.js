"use strict";
/**
 * The entry: what a leaf of a gateway's log says, and the body that travels beside it (`vitaledger/entry.py`).
 *
 *   leaf  = [1, kind, chain, seq, prev, clock, parts]
 *   parts = [* [type, SHA-256(salt ‖ content)]]
 *   body  = [* [type, salt, content]]
 *   clock = [wall ms, boot id, ms since boot, error bound in ms or null]
 */

import { MalformedError, VerificationError } from "./errors.js";
import { concat, hex, same, sha256, utf8 } from "./bytes.js";
import { HASH, arrayOf, blob, decodeShape, enumOf, integer, nullOr, record, text, uint } from "./shape.js";
import { KIND, partName } from "./marks.js";

export const GATEWAY_CHAIN = "gateway";
export const MAX_LEAF = 1024;
export const MAX_BODY = 56 * 1024;
export const MAX_CHAIN = 96;
const MAX_CONTENT = 48 * 1024;
const ESCAPED = "(?:[A-Za-z0-9._~/-]|%[0-9A-F]{2})+";
const CHAIN = new RegExp(`^(?:gateway|[a-z0-9-]+:(?:sn|port):${ESCAPED}(?:@${ESCAPED})?)$`);

/** @typedef {{wall_ms: number|bigint, boot_id: Uint8Array, boot_ms: number|bigint, bound_ms: number|bigint|null}} Clock */
/** @typedef {{type: number, salt: Uint8Array, content: Uint8Array}} Part */
/**
 * @typedef {{kind: number, chain: string, seq: number|bigint, prev: Uint8Array, clock: Clock,
 *   parts: {type: number, digest: Uint8Array}[]}} Entry
 */

export const CLOCK = record([["wall_ms", integer()], ["boot_id", blob(16, 16)], ["boot_ms", uint()],
  ["bound_ms", nullOr(uint())]]);

/** What is wrong with a micro-chain's name, or null. @param {string} chain */
function wrongChain(chain) {
  return chain.length > MAX_CHAIN || !CHAIN.test(chain)
    ? `chain '${chain}': expected "gateway", "<driver>:sn:<serial>" or "<driver>:port:<name>"` : null;
}

/** @param {{type: number}[]} parts */
function wrongOrder(parts) {
  return parts.every((part, n) => !n || parts[n - 1].type < part.type) ? null
    : `parts of types [${parts.map((part) => part.type).join(", ")}]: expected ascending types, each once`;
}

const ENTRY = record([
  ["kind", enumOf("Kind", KIND)],
  ["chain", text(1, MAX_CHAIN)],
  ["seq", uint()],
  ["prev", HASH],
  ["clock", CLOCK],
  ["parts", arrayOf(record([["type", uint(1, 255)], ["digest", HASH]]), 0, 8)],
], { tag: 1, check: (entry) => wrongChain(entry.chain) ?? wrongOrder(entry.parts) });

const BODY = arrayOf(record([["type", uint(1, 255)], ["salt", blob(16, 16)], ["content", blob(0, MAX_CONTENT)]]), 0, 8);

/** @param {Uint8Array} leaf @returns {Entry} */
export function parseLeaf(leaf) {
  if (leaf.length > MAX_LEAF) {
    throw new MalformedError(`leaf: ${leaf.length} bytes, at most ${MAX_LEAF} are allowed`);
  }
  return decodeShape(ENTRY, leaf, "leaf");
}

/** @param {Uint8Array} body @returns {Part[]} parts may be missing from it */
export function parseBody(body) {
  const parts = decodeShape(BODY, body, "body");
  const wrong = wrongOrder(parts);
  if (wrong) {
    throw new MalformedError(`body: ${wrong}`);
  }
  return parts;
}

/**
 * Hold each part against its commitment; the types that were withheld.
 * @param {Entry} entry @param {Part[]} parts @returns {Promise<number[]>}
 */
export async function verifyBody(entry, parts) {
  const expected = new Map(entry.parts.map((each) => [each.type, each.digest]));
  for (const part of parts) {
    const digest = expected.get(part.type);
    const where = `${entry.chain} entry ${entry.seq}: part ${partName(part.type)}`;
    if (!digest) {
      throw new VerificationError(`${where}: the leaf commits to no such part`);
    }
    const found = await sha256(concat(part.salt, part.content));
    if (!same(found, digest)) {
      throw new VerificationError(
        `${where}: commitment expected ${hex(digest).slice(0, 4)}…, found ${hex(found).slice(0, 4)}…`);
    }
    expected.delete(part.type);
  }
  return [...expected.keys()];
}

/** What entry 0 of a micro-chain holds as `prev`. @param {string} origin @param {string} chain */
export function genesis(origin, chain) {
  return sha256(utf8(`${origin}\n${chain}`));
}

/** The RFC 6962 hash of a leaf. @param {Uint8Array} leaf */
export function leafHash(leaf) {
  return sha256(concat(Uint8Array.of(0), leaf));
}

"use strict";
/** The manifest of an evidence file: what it claims to show. It is written one way only (`vitaledger/evidence_files.py`). */

import { MalformedError } from "./errors.js";
import { textOf } from "./bytes.js";
import { MAX_CHAIN } from "./entry.js";
import { arrayOf, text, uint } from "./shape.js";

export const MANIFEST = "manifest.json";
export const FORMAT = 2;
export const RENDERING = 1;

/** @type {[string, import("./shape.js").Shape][]} */
const CLAIMS = [
  ["vitaledger-evidence", uint()],
  ["rendering", uint()],
  ["origin", text(1, 255)],
  ["chain", text(1, MAX_CHAIN)],
  ["first", uint(0, /** @type {any} */ (Number.MAX_SAFE_INTEGER))],
  ["last", uint(0, /** @type {any} */ (Number.MAX_SAFE_INTEGER))],
  ["elsewhere", arrayOf(text(3, 256 + MAX_CHAIN), 0, 256)],
  ["exported", text(0, 256)],
  ["by", text(0, 256)],
  ["with", text(0, 256)],
];

/**
 * @typedef {{origin: string, chain: string, first: number, last: number, elsewhere: string[], exported: string,
 *   by: string, with: string}} Claim
 */

/** @param {Uint8Array} data @returns {Claim} */
export function parseManifest(data) {
  const whole = textOf(data);
  let found;
  try {
    found = JSON.parse(whole ?? "");
  } catch {
    throw new MalformedError(`${MANIFEST}: not JSON`);
  }
  const isObject = typeof found === "object" && found !== null && !Array.isArray(found);
  for (const [key, known] of /** @type {[string, number][]} */ ([["vitaledger-evidence", FORMAT],
    ["rendering", RENDERING]])) {
    const number = isObject ? found[key] : null;
    if (typeof number === "number" && number !== known) {
      throw new MalformedError(`${MANIFEST}: ${key} ${number}; this program knows ${known}` +
        (number < known ? ": export it again" : ""));
    }
  }
  if (!isObject || Object.keys(found).length !== CLAIMS.length || !CLAIMS.every(([key]) => Object.hasOwn(found, key))) {
    throw new MalformedError(`${MANIFEST}: expected the keys ${CLAIMS.map(([key]) => key).join(", ")}`);
  }
  for (const [key, shape] of CLAIMS) {
    shape(found[key], `${MANIFEST}: ${key}`);
  }
  if (found.first > found.last) {
    throw new MalformedError(`${MANIFEST}: entries ${found.first} to ${found.last} are no run`);
  }
  if (found.elsewhere.some((/** @type {string} */ each, /** @type {number} */ n) =>
    n && comparePoints(found.elsewhere[n - 1], each) >= 0)) {
    throw new MalformedError(`${MANIFEST}: elsewhere: expected each once, in order`);
  }
  const again = Object.fromEntries(CLAIMS.map(([key]) => [key, found[key]]));
  if (`${JSON.stringify(again, null, 1)}\n` !== whole) {  // a key twice, say, of which each reader might believe another
    throw new MalformedError(`${MANIFEST}: expected each key once, in order, spaced as \`build\` writes it`);
  }
  return found;
}

/** The order of two texts by code points. @param {string} one @param {string} other */
function comparePoints(one, other) {
  const [a, b] = [[...one], [...other]];
  for (let n = 0; n < Math.min(a.length, b.length); n++) {
    if (a[n] !== b[n]) {
      return /** @type {number} */ (a[n].codePointAt(0)) - /** @type {number} */ (b[n].codePointAt(0));
    }
  }
  return a.length - b.length;
}

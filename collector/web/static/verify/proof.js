"use strict";
/**
 * Proof files: that an entry is in a log (C2SP tlog-proof; `vitaledger/proof.py`).
 *
 *   c2sp.org/tlog-proof@v1
 *   extra <base64>                 optional, authenticated by nothing
 *   index <decimal>
 *   <inclusion proof: base64 hashes, the leaf's sibling first>
 *   <empty line>
 *   <checkpoint, a signed note, verbatim>
 */

import { MalformedError } from "./errors.js";
import { fromBase64, latin1, parseDecimal, quoted, same } from "./bytes.js";
import { parseCheckpointText, parseNote } from "./note.js";
import { verifyInclusion } from "./merkle.js";
import { verifyByPolicy } from "./policy.js";

const HEADER = "c2sp.org/tlog-proof@v1";
const MAX_HASHES = 63;
const MAX_PROOF_FILE = 256 * 1024;

/** @typedef {{index: number|bigint, hashes: Uint8Array[], checkpoint: Uint8Array}} TlogProof nothing is verified yet */

/**
 * @param {Uint8Array} data
 * @param {Uint8Array} [known] a checkpoint that was parsed before: the same bytes are not parsed again
 * @param {Map<string, Uint8Array>} [lines] hash lines that were decoded before
 * @returns {TlogProof}
 */
export function parseProof(data, known, lines = new Map()) {
  if (data.length > MAX_PROOF_FILE) {
    throw new MalformedError(`proof: expected at most ${MAX_PROOF_FILE} bytes, found ${data.length}`);
  }
  const divider = emptyLine(data);
  const head = latin1(data.subarray(0, divider < 0 ? data.length : divider));
  if (/[\x80-\xff]/.test(head)) {
    throw new MalformedError("proof: expected ASCII before the checkpoint");
  }
  const rows = head.split("\n");
  if (divider < 0 || rows.shift() !== HEADER) {
    throw new MalformedError(`proof: expected '${HEADER}', lines, an empty line and a checkpoint`);
  }
  if (rows.length && rows[0].startsWith("extra ")) {
    checkExtra(rows[0].slice(6));
    rows.shift();
  }
  const indexLine = rows.shift();
  if (indexLine === undefined || !indexLine.startsWith("index ")) {
    throw new MalformedError("proof: expected a line 'index <decimal>'");
  }
  const index = parseDecimal(indexLine.slice(6), "proof index");
  const hashes = rows.map((row) => hashLine(row, lines));
  if (hashes.length > MAX_HASHES || hashes.some((each) => each.length !== 32)) {
    throw new MalformedError(`proof: expected at most ${MAX_HASHES} hashes of 32 bytes`);
  }
  const checkpoint = data.subarray(divider + 2);
  if (!known || !same(known, checkpoint)) {
    parseCheckpointText(parseNote(checkpoint).text);
  }
  return { index, hashes, checkpoint };
}

/** Where the first empty line begins, as the index of the LF before it, or -1. @param {Uint8Array} data */
function emptyLine(data) {
  for (let at = data.indexOf(10); at >= 0; at = data.indexOf(10, at + 1)) {
    if (data[at + 1] === 10) {
      return at;
    }
  }
  return -1;
}

/** @param {string} row @param {Map<string, Uint8Array>} lines */
function hashLine(row, lines) {
  let found = lines.get(row);
  if (!found) {
    found = fromBase64(row, "proof hash");
    lines.set(row, found);
  }
  return found;
}

/** Base64 with or without padding: others write it, and nothing depends on it. @param {string} text */
function checkExtra(text) {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.replace(/=+$/, "").length % 4 === 1) {
    throw new MalformedError(`proof: expected 'extra <base64>', found ${quoted(text)}`);
  }
}

/**
 * Check that the entry with this leaf hash is in a log of the policy.
 * @param {TlogProof} proof @param {Uint8Array} leafHash @param {import("./policy.js").Policy} policy
 */
export async function verifyProof(proof, leafHash, policy) {
  const signed = await verifyByPolicy(policy, proof.checkpoint);
  const { size, root } = signed.checkpoint;
  await verifyInclusion(leafHash, proof.index, size, proof.hashes, root);
  return signed;
}

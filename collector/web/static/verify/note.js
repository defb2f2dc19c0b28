"use strict";
/**
 * Signed notes and checkpoints (C2SP signed-note, tlog-checkpoint; `vitaledger/note.py`, `vitaledger/checkpoint.py`).
 *
 *   <text, ending in LF>
 *   <empty line>
 *   — <key name> <base64 of key ID (4 bytes) and signature>
 *
 * A line of an unknown key says nothing; one of a known key that does not verify refuses the whole note.
 */

import { MalformedError, VerificationError } from "./errors.js";
import { checkKeyName, fromBase64, hex, parseDecimal, quoted, textOf, utf8 } from "./bytes.js";
import { COSIGNATURE, cosignatureTime, verifySignature } from "./keys.js";

const MAX_NOTE_FILE = 64 * 1024;
const MAX_SIGNATURES = 100;
const DASH = "— ";

/** @typedef {{name: string, id: string, signature: Uint8Array}} Signature */
/** @typedef {{text: string, signatures: Signature[]}} Note nothing is verified yet */
/** @typedef {{origin: string, size: number|bigint, root: Uint8Array}} Checkpoint */
/**
 * @typedef {{checkpoint: Checkpoint, raw: Uint8Array, verified: Signature[],
 *   signer: import("./keys.js").Vkey, cosignatures: {name: string, id: string, time: bigint}[]}} SignedCheckpoint
 */

/** @param {Uint8Array} data @returns {Note} */
export function parseNote(data) {
  if (data.length > MAX_NOTE_FILE) {
    throw new MalformedError(`note: expected at most ${MAX_NOTE_FILE} bytes, found ${data.length}`);
  }
  const whole = textOf(data);
  if (whole === null) {
    throw new MalformedError("note: expected UTF-8");
  }
  if (/[\x00-\x09\x0b-\x1f]/.test(whole)) {
    throw new MalformedError("note: found a control character other than LF");
  }
  const divider = whole.lastIndexOf("\n\n");
  if (divider < 0 || divider + 2 >= whole.length || !whole.endsWith("\n")) {
    throw new MalformedError("note: expected a text, an empty line and signature lines, each ending in LF");
  }
  const lines = whole.slice(divider + 2, -1).split("\n");
  if (lines.length > MAX_SIGNATURES) {
    throw new MalformedError(`note: expected 1 to ${MAX_SIGNATURES} signature lines, each ending in LF`);
  }
  return { text: whole.slice(0, divider + 1), signatures: lines.map(parseSignature) };
}

/** @param {string} line @returns {Signature} */
function parseSignature(line) {
  const space = line.indexOf(" ", DASH.length);
  if (!line.startsWith(DASH) || space < 0) {
    throw new MalformedError(`signature line: expected '— <name> <base64>', found ${quoted(line)}`);
  }
  const name = line.slice(DASH.length, space);
  checkKeyName(name);
  const blob = fromBase64(line.slice(space + 1), "signature line");
  if (blob.length <= 4) {
    throw new MalformedError(
      `signature line of ${name}: expected a key ID and a signature, found ${blob.length} bytes`);
  }
  return { name, id: hex(blob.subarray(0, 4)), signature: blob.slice(4) };
}

/**
 * The signatures by known keys, every one verified.
 * @param {Note} note @param {import("./keys.js").Vkey[]} keys @returns {Promise<Signature[]>}
 */
export async function verifyNote(note, keys) {
  const message = utf8(note.text);
  const verified = [];
  for (const signature of note.signatures) {
    const key = keys.find((each) => each.name === signature.name && each.id === signature.id);
    if (key) {
      await verifySignature(key, message, signature.signature);
      verified.push(signature);
    }
  }
  if (!verified.length) {
    const told = (/** @type {{name: string, id: string}[]} */ all) =>
      all.map((each) => `${each.name}+${each.id}`).join(", ");
    throw new VerificationError(
      `note: expected a signature by ${told(keys) || "no key at all"}; found ${told(note.signatures)}`);
  }
  return verified;
}

/** A checkpoint from a note's text. @param {string} text @returns {Checkpoint} */
export function parseCheckpointText(text) {
  const lines = text.split("\n");
  if (lines.length <= 3 || lines.pop() !== "") {
    throw new MalformedError("checkpoint: expected the lines origin, size and root, each ending in LF");
  }
  const [origin, decimal, encoded, ...extensions] = lines;
  const root = fromBase64(encoded, "checkpoint root");
  if (root.length !== 32) {
    throw new MalformedError(`checkpoint root: expected 32 bytes, found ${root.length}`);
  }
  const size = parseDecimal(decimal, "checkpoint size");
  if (extensions.some((line) => !line)) {
    throw new MalformedError(`checkpoint of ${origin}: expected extension lines that are not empty`);
  }
  checkKeyName(origin);
  return { origin, size, root };
}

/**
 * A checkpoint that is signed by the known key whose name is its origin.
 * @param {Uint8Array} data @param {import("./keys.js").Vkey[]} keys @returns {Promise<SignedCheckpoint>}
 */
export async function openCheckpoint(data, keys) {
  const note = parseNote(data);
  const checkpoint = parseCheckpointText(note.text);
  const verified = await verifyNote(note, keys);
  const keyOf = (/** @type {Signature} */ each) =>
    /** @type {import("./keys.js").Vkey} */ (keys.find((key) => key.name === each.name && key.id === each.id));
  const cosigned = verified.filter((each) => keyOf(each).type === COSIGNATURE);
  // of several keys of the log's name that signed, the first in the caller's order
  const signer = keys.find((key) => key.type !== COSIGNATURE && key.name === checkpoint.origin &&
    verified.some((each) => each.name === key.name && each.id === key.id));
  if (!signer) {
    throw new VerificationError(`checkpoint of ${checkpoint.origin}: expected a signature by the log, ` +
      `found only those of ${verified.map((each) => each.name).join(", ")}`);
  }
  const cosignatures = cosigned.map((each) => ({ name: each.name, id: each.id,
    time: cosignatureTime(each.signature) }));
  return { checkpoint, raw: data, verified, signer, cosignatures };
}

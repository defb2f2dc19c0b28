"use strict";
/**
 * Statements, the leaves of the provider ledger (`vitaledger/statement.py`), and whose key a gateway's log is by them
 * (`vitaledger/lineage.py`, `vitaledger/succession.py`).
 */

import { MalformedError, VerificationError, prefixed } from "./errors.js";
import { checkKeyName, fromBase64, parseDecimal, quoted } from "./bytes.js";
import { decodeCbor } from "./cbor.js";
import { HASH, blob, record, text, uint, union } from "./shape.js";
import { ED25519, isVerifiable, parseVkey } from "./keys.js";
import { parseNote, verifyNote } from "./note.js";

const VERSION = 1;
const MAX_STATEMENT_NOTE = 16 * 1024;
const SUCCESSION_HEADER = "vitaledger succession v1";
const MAX_GENERATION = 1_000_000;
const ORIGIN = text(1, 255);
const REASON = text(0, 512);
const NOTE = blob(1, MAX_STATEMENT_NOTE);

/** @type {[number, string, [string, import("./shape.js").Shape][]][]} */
const STATEMENTS = [
  [1, "Anchor", [["checkpoint", NOTE]]],
  [2, "Custody", [["origin", ORIGIN], ["size", uint()], ["root", HASH]]],
  [3, "Enrolment", [["gateway", text(1, 64)], ["origin", ORIGIN], ["vkey", text(1, 512)]]],
  [4, "Revocation", [["origin", ORIGIN], ["last_trusted_size", uint()], ["reason", REASON]]],
  [5, "Succession", [["old_origin", ORIGIN], ["old_checkpoint", NOTE], ["new_origin", ORIGIN],
    ["new_vkey", text(1, 512)], ["note", NOTE]]],
  [6, "Loss", [["origin", ORIGIN], ["first", uint()], ["end", uint()], ["reason", REASON]]],
  [7, "Finding", [["origin", ORIGIN], ["index", uint()], ["reason", REASON]]],
];
const BARE = union(new Map(STATEMENTS.map(([tag, name, fields]) =>
  [tag, record([["at_ms", uint()], ...fields], { tag, name, check: wrongStatement })])), "statement");

/** @param {any} said */
function wrongStatement(said) {
  return said.type === "Loss" && said.first >= said.end
    ? `a loss that ends at ${said.end} and begins at ${said.first}` : null;
}

/** A statement; its `type` is its name. @param {Uint8Array} leaf */
export function decodeStatement(leaf) {
  const item = decodeCbor(leaf, "statement");
  if (!Array.isArray(item) || !item.length) {
    throw new MalformedError("statement: expected an array that begins with a version");
  }
  const version = uint()(item[0], "statement: version");
  if (version !== VERSION) {
    throw new MalformedError(`statement: version ${version}; this program knows version ${VERSION}`);
  }
  return BARE(item.slice(1), "statement");
}

/**
 * The key of an origin by statements that were proven to be in the ledger: [Enrolment], or the origin's own succession,
 * those of the logs before it, and the enrolment of the first.
 * @param {string} origin @param {any[]} statements
 * @returns {Promise<{gateway: string, vkey: import("./keys.js").Vkey, predecessors: string[]}>}
 */
export async function followLineage(origin, statements) {
  let wanted = origin;
  const predecessors = [];
  const successions = statements.slice(0, -1);
  for (const said of successions) {
    if (said.type !== "Succession" || said.new_origin !== wanted) {
      throw new VerificationError(`${wanted}: expected the succession to it, found another statement`);
    }
    wanted = said.old_origin;
    predecessors.push(wanted);
  }
  const first = statements[statements.length - 1];
  if (!first || first.type !== "Enrolment") {
    throw new VerificationError(`${wanted}: expected an enrolment, found ${(first?.type ?? "nonetype").toLowerCase()}`);
  }
  if (first.origin !== wanted) {
    throw new VerificationError(`enrols ${first.origin}, expected ${wanted}`);
  }
  let vkey = await parseVkey(first.vkey);
  for (const said of successions.reverse()) {
    const note = await openSuccession(said.note, vkey);
    if (note.oldOrigin !== said.old_origin || note.vkey.name !== said.new_origin || note.vkey.text !== said.new_vkey) {
      throw new VerificationError(`${said.new_origin}: the note of its succession names ${note.vkey.text}`);
    }
    vkey = note.vkey;
  }
  return { gateway: first.gateway, vkey, predecessors };
}

/** A succession note that the old log's key has signed. @param {Uint8Array} data @param {import("./keys.js").Vkey} old */
async function openSuccession(data, old) {
  const note = parseNote(data);
  const said = await parseSuccession(note.text);
  if (!isVerifiable(old)) {
    throw new MalformedError(`vkey of ${old.name}: signatures of its type cannot be verified here`);
  }
  await verifyNote(note, [old]);
  if (said.oldOrigin !== old.name) {
    throw new VerificationError(`succession: signed by ${old.name}, and it speaks of ${said.oldOrigin}`);
  }
  return said;
}

/** @param {string} whole */
async function parseSuccession(whole) {
  const lines = whole.split("\n");
  if (lines.length !== 6 || lines[0] !== SUCCESSION_HEADER || lines[5]) {
    throw new MalformedError(
      `succession: expected '${SUCCESSION_HEADER}', old origin, size, root and new vkey, each ending in LF`);
  }
  const [, oldOrigin, size, root] = lines;
  parseDecimal(size, "succession size");
  if (fromBase64(root, "succession root").length !== 32) {
    throw new MalformedError(`succession of ${oldOrigin}: expected a root of 32 bytes`);
  }
  try {
    checkKeyName(oldOrigin);
    const vkey = await parseVkey(lines[4]);
    const [before, after] = [generationOf(oldOrigin), generationOf(vkey.name)];
    if (vkey.type !== ED25519 || before.stem !== after.stem || after.number <= before.number) {
      throw new MalformedError(`expected an Ed25519 key of its next number or a higher one, found ${vkey.name}`);
    }
    return { oldOrigin, vkey };
  } catch (error) {
    throw prefixed(error, `succession of ${oldOrigin}: `);
  }
}

/** An origin without its number, and that number: 1 where it bears none. @param {string} origin */
function generationOf(origin) {
  const parts = origin.split("/");
  if (parts.length !== (parts[1] === "gateway" ? 4 : 3)) {
    return { stem: origin, number: 1 };
  }
  const number = parseDecimal(parts[parts.length - 1], `number of ${origin.slice(0, 300)}`);
  if (number <= 1 || number > MAX_GENERATION) {
    throw new MalformedError(`origin ${quoted(origin)}: expected a number from 2 on behind the last slash`);
  }
  return { stem: parts.slice(0, -1).join("/"), number };
}

"use strict";
/** What the tests call in the page: files come as [name, base64] pairs, verdicts go back as plain objects. */

import { base64, fromBase64, fromHex, hex, utf8 } from "/static/verify/bytes.js";
import { decodeCbor } from "/static/verify/cbor.js";
import { decodeRaw, decodeValues, decodeWaves } from "/static/verify/content.js";
import { leafHash, parseBody, parseLeaf, verifyBody } from "/static/verify/entry.js";
import { Refused } from "/static/verify/errors.js";
import { decodeEvent } from "/static/verify/events.js";
import { verifyEvidence } from "/static/verify/evidence.js";
import {
  verifyConsistency, verifyInclusion, verifySubtreeConsistency, verifySubtreeInclusion,
} from "/static/verify/merkle.js";
import { parseVkey } from "/static/verify/keys.js";
import { openCheckpoint } from "/static/verify/note.js";
import { openEntry } from "/static/verify/opened.js";
import { parsePolicy, verifyByPolicy } from "/static/verify/policy.js";
import { parseProof, verifyProof } from "/static/verify/proof.js";
import { decodeStatement } from "/static/verify/statement.js";
import { plainLines } from "/static/verify/claims.js";
import { Tree } from "/static/verify/tiles.js";
import { readZip } from "/static/verify/zip.js";

const bytes = (text) => fromBase64(text, "test data");
const MERKLE = { verifyConsistency, verifyInclusion, verifySubtreeConsistency, verifySubtreeInclusion };
const READERS = {
  cbor: (data) => decodeCbor(data, "item"),
  leaf: parseLeaf,
  body: parseBody,
  values: decodeValues,
  waves: decodeWaves,
  raw: decodeRaw,
  event: decodeEvent,
  statement: decodeStatement,
};

/** What became of an action: null, or what was refused. Any other exception is a fault and fails the test. */
export async function verdict(action) {
  try {
    await action();
    return null;
  } catch (error) {
    if (error instanceof Refused) {
      return { kind: error.name, message: error.message, entry: error.entry };
    }
    throw error;
  }
}

/** The verdicts over many Merkle cases: [function, arguments], where {b64} stands for bytes. */
export function merkle(cases) {
  const plain = (item) => (Array.isArray(item) ? item.map(plain)
    : typeof item === "object" ? bytes(item.b64) : item);
  return Promise.all(cases.map(([name, args]) => verdict(() => MERKLE[name](...args.map(plain)))));
}

/** The verdicts of one reader each: [reader, hex]. */
export function readers(cases) {
  return Promise.all(cases.map(([name, data]) => verdict(() => READERS[name](fromHex(data)))));
}

/** What a reader makes of bytes, as the vectors tell records. */
export async function read(cases) {
  return Promise.all(cases.map(async ([name, data]) => told(await READERS[name](fromHex(data)))));
}

/** An entry opened, or what was refused. */
export function entries(cases) {
  return Promise.all(cases.map(async ([leaf, body]) => {
    const entry = parseLeaf(fromHex(leaf));
    const parts = parseBody(fromHex(body));
    const withheld = await verifyBody(entry, parts);
    const found = { hash: hex(await leafHash(fromHex(leaf))), entry: told(entry), opened: null, refused: null };
    found.refused = await verdict(async () => { found.opened = told(await openEntry(entry, parts, withheld)); });
    return found;
  }));
}

function told(value) {
  if (value instanceof Uint8Array) {
    return { hex: hex(value) };
  }
  if (Array.isArray(value)) {
    return value.map(told);
  }
  if (typeof value === "bigint") {
    return { int: String(value) };
  }
  return typeof value === "object" && value !== null
    ? Object.fromEntries(Object.entries(value).map(([key, each]) => [key, told(each)])) : value;
}

const filesOf = (pairs) => new Map(pairs.map(([name, data]) => [name, bytes(data)]));

/** The verdict on evidence files, each the first one with some files changed, added or (null) removed. */
export async function evidence(base, changes, policy) {
  const trusted = await parsePolicy(utf8(policy));
  const verdicts = [];
  for (const change of changes) {
    const files = filesOf(base);
    for (const [name, data] of change) {
      files.delete(name);
      if (data !== null) {
        files.set(name, bytes(data));
      }
    }
    verdicts.push(await verdict(() => verifyEvidence(files, trusted)));
  }
  return verdicts;
}

/** What verified evidence says, in the lines of the command. */
export async function lines(pairs, policy) {
  const trusted = await parsePolicy(utf8(policy));
  return plainLines(await verifyEvidence(filesOf(pairs), trusted), trusted);
}

/** The files in zips, or the verdict. */
export async function zips(archives) {
  const found = [];
  for (const archive of archives) {
    let files = null;
    const refused = await verdict(async () => { files = await readZip(bytes(archive)); });
    found.push(refused ?? [...files].map(([name, data]) => [name, base64(data)]));
  }
  return found;
}

export const policies = (all) => Promise.all(all.map((each) => verdict(() => parsePolicy(bytes(each)))));

/** [policy, checkpoint] pairs. */
export const checkpoints = (all) => Promise.all(all.map(([policy, note]) => verdict(async () =>
  verifyByPolicy(await parsePolicy(bytes(policy)), bytes(note)))));

/** [policy, proof, leaf hash] triples. */
export const proofs = (all) => Promise.all(all.map(([policy, proof, leaf]) => verdict(async () =>
  verifyProof(parseProof(bytes(proof)), bytes(leaf), await parsePolicy(bytes(policy))))));

/** [vkey, checkpoint] pairs. */
export const opened = (all) => Promise.all(all.map(([vkey, note]) => verdict(async () =>
  openCheckpoint(bytes(note), [await parseVkey(vkey)]))));

/** For each tree [size, root, tiles, what entries say, indices]: what is wrong with it, and of each leaf its hash, what
 * is wrong with its tile, and what was mended. */
export function trees(cases) {
  return Promise.all(cases.map(async ([size, root, tiles, told, indices]) => {
    const tree = new Tree(size);
    const said = new Map(told.map(([index, hash]) => [index, fromHex(hash)]));
    const refused = await verdict(async () => {
      tiles.forEach(([level, n, hashes]) => tree.add(level, n, bytes(hashes)));
      await tree.settle(fromHex(root), said);
    });
    if (refused) {
      return refused.message;
    }
    const leaves = [];
    for (const index of indices) {
      leaves.push([await tree.wrong(index, said), hex(tree.leaf(index) ?? new Uint8Array())]);
    }
    return { leaves, mended: [...tree.mended.keys()] };
  }));
}

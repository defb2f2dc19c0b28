"use strict";
/** Micro-chains: numbered from 0 without a hole, each entry holding the hash of the one before (`vitaledger/chain.py`). */

import { VerificationError } from "./errors.js";
import { same, short } from "./bytes.js";
import { genesis } from "./entry.js";

/** @typedef {{chain: string, next_seq: number|bigint, last: Uint8Array}} ChainHead */
/** @typedef {{entry: import("./entry.js").Entry, hash: Uint8Array, index: string}} Linked */

/**
 * Check that `run` shows the micro-chain complete from `first` to `last`: entries first − 1 (where there is one) to
 * last + 1; where last + 1 does not exist yet, `endsAt` is the chain's head out of a later heads entry.
 * @param {string} origin @param {string} chain @param {Linked[]} run @param {number} first @param {number} last
 * @param {ChainHead|null} endsAt
 */
export async function verifyComplete(origin, chain, run, first, last, endsAt) {
  const begin = Math.max(first - 1, 0);
  if (run[0].entry.seq !== begin) {
    throw new VerificationError(
      `${chain}: expected the run to begin with entry ${begin}, found ${run[0].entry.seq}`);
  }
  let next = begin;
  let link = begin === 0 ? await genesis(origin, chain) : run[0].entry.prev;
  for (const { entry, hash, index } of run) {
    const wrong = entry.seq !== next ? `${chain}: expected entry ${next}, found entry ${entry.seq}`
      : !same(entry.prev, link)
        ? `${chain} entry ${entry.seq}: prev: expected ${short(link, 16)}, found ${short(entry.prev, 16)}` : null;
    if (wrong) {
      const error = new VerificationError(wrong);
      error.entry = { index, chain, seq: entry.seq };
      throw error;
    }
    next += 1;
    link = hash;
  }
  if (next === last + 2) {
    return;
  }
  if (next !== last + 1) {
    throw new VerificationError(`${chain}: expected entries to ${last + 1}, the run ends with ${next - 1}`);
  }
  if (endsAt === null) {
    throw new VerificationError(
      `${chain}: nothing shows that entry ${last} is the last: no entry after it, no heads`);
  }
  if (endsAt.next_seq !== next || !same(endsAt.last, link)) {
    throw new VerificationError(
      `${chain}: the heads entry speaks of next entry ${endsAt.next_seq} after ${short(endsAt.last, 16)}, ` +
      `the run ends with next entry ${next} after ${short(link, 16)}`);
  }
}

"use strict";
/** What signs the entries of an interval that a collector hands over: statements of the ledger, and the gateways' heads. */

import { VerificationError, about } from "./errors.js";
import { plainNumber } from "./bytes.js";
import { leafHash } from "./entry.js";
import { verifyConsistency, verifyInclusion } from "./merkle.js";
import { openCheckpoint } from "./note.js";
import { decodeStatement, followLineage } from "./statement.js";
import { Tree } from "./tiles.js";

/** A statement of the ledger. @param {any} proven @param {import("./note.js").SignedCheckpoint} ledger @param {string} what */
async function proveStatement(proven, ledger, what) {
  const { size, root } = ledger.checkpoint;
  return about(`${what}, statement ${proven.index}`, async () => {
    await verifyInclusion(await leafHash(proven.statement), proven.index, size, proven.hashes, root);
    return decodeStatement(proven.statement);
  });
}

/** The anchored checkpoints, each signed by the enrolled key. @param {any[]} told @param {string} label
 * @param {import("./note.js").SignedCheckpoint} ledger @param {import("./here.js").HereListener} listener */
export async function keys(told, label, ledger, listener) {
  const found = [];
  for (const { anchor, key, origin } of told) {
    const said = await proveStatement(anchor, ledger, `the anchor of ${origin}`);
    if (said.type !== "Anchor") {
      throw new VerificationError(`statement ${anchor.index}: expected an anchor of ${origin}, found ${said.type}`);
    }
    const lineage = [];
    for (const each of key) {
      if (each.index > anchor.index) {
        throw new VerificationError(`statement ${each.index}: behind the anchor at ${anchor.index}`);
      }
      lineage.push(await proveStatement(each, ledger, `the key of ${origin}`));
    }
    found.push({ said, of: await about(`statement ${key[0].index}`, () => followLineage(origin, lineage)) });
  }
  listener.step("statements", found.map(({ of }, n) => `gateway ${of.gateway}; the anchor is statement ` +
    `${told[n].anchor.index}, the enrolment stands before it`).join("; "));
  const heads = [];
  for (const [n, { said, of }] of found.entries()) {
    const { checkpoint: head } = await about(`statement ${told[n].anchor.index}`,
      () => openCheckpoint(said.checkpoint, [of.vkey]));
    if (head.origin !== told[n].origin) {
      throw new VerificationError(`statement ${told[n].anchor.index}: anchors ${head.origin}, not ${told[n].origin}`);
    }
    const { chain } = told[n];
    const shown = chain.includes(":sn:") ? chain : `${of.gateway}/${chain}`;
    if (shown !== label) {
      throw new VerificationError(`the page shows ${label}, the collector hands over entries of ${shown}`);
    }
    heads.push({ ...of, head, anchoredMs: said.at_ms });
  }
  listener.step("gateway", heads.map(({ head, vkey }) =>
    `${head.origin}, size ${head.size}, signed by ${vkey.name}+${vkey.id}`).join("; "));
  return heads;
}

/** The ledger heads that were quoted, each proven a beginning of the ledger. @param {any[]} told @param {any[]} signed
 * @param {import("./note.js").SignedCheckpoint} ledger @param {import("./here.js").HereListener} listener @returns {Promise<any[]>} */
export async function quotes(told, signed, ledger, listener) {
  const logs = [];
  for (const [n, { head, vkey, gateway, predecessors, anchoredMs }] of signed.entries()) {
    const { origin, chain, runs, waiting, after } = told[n];
    let quoted = null;
    if (after) {
      const said = await proveStatement(after.last, ledger, "the ledger head that was quoted");
      const size = plainNumber(BigInt(after.last.index) + 1n);
      await verifyConsistency(size, after.root, ledger.checkpoint.size, ledger.checkpoint.root, after.path);
      quoted = { size, root: after.root, entry: after.entry, atMs: said.at_ms };
    }
    const gatewaySize = Number(head.size);
    logs.push({ origin, chain, gateway, gatewayVkey: vkey, predecessors, runs, waiting, gatewaySize, root: head.root,
      anchoredMs, afterMs: quoted ? quoted.atMs : null, quoted, entries: [], tree: new Tree(gatewaySize) });
  }
  const sizes = logs.flatMap(({ quoted }) => quoted?.size ?? []);
  if (sizes.length) {
    listener.step("after", `the head of size ${sizes.join(", ")} is; that an entry quotes it is checked below`);
  } else {
    listener.skip("after", "none is quoted: nothing says after which time the entries were sealed");
  }
  return logs;
}

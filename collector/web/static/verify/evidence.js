"use strict";
/**
 * Checks an evidence file against a policy, step by step (`vitaledger/evidence.py`; docs/evidence.md, "How it is
 * checked"). Nothing is believed but the policy: its log and quorum judge the ledger's checkpoint, the ledger's statements
 * name the gateway's key, that key signed the anchored checkpoint, its tree holds the leaves, and the leaves commit to
 * the contents.
 */

import { MalformedError, Refused, VerificationError, about } from "./errors.js";
import { fromBase64, latin1, plainNumber, same, short, textOf, utf8 } from "./bytes.js";
import { GATEWAY_CHAIN, leafHash, parseBody, parseLeaf, verifyBody } from "./entry.js";
import { verifyComplete } from "./chain.js";
import { MANIFEST, parseManifest } from "./manifest.js";
import { Nodes, verifyConsistency, verifyInclusion } from "./merkle.js";
import { openCheckpoint } from "./note.js";
import { openEntry } from "./opened.js";
import { parseProof, verifyProof } from "./proof.js";
import { decodeStatement, followLineage } from "./statement.js";
import { RENDERED, renderFiles } from "./texts.js";

/** The steps, in order: what a person reads. */
export const STEPS = /** @type {[string, string][]} */ ([
  ["manifest", "The file says what it shows, in a format that this program knows"],
  ["ledger", "The ledger's checkpoint is signed by a log of your policy"],
  ["statements", "The anchor and the enrolment of the gateway's key are in that ledger"],
  ["gateway", "The anchored checkpoint is signed by the enrolled key of the gateway"],
  ["after", "The ledger head that the gateway had seen before is a beginning of that ledger"],
  ["leaves", "Every entry is in the gateway's log, at its place; no file is left over"],
  ["parts", "Every part of every entry is what the entry commits to"],
  ["chain", "The entries are numbered without a hole and each holds the hash of the one before"],
  ["contents", "The contents of the entries can be read"],
  ["table", "The table and the texts are what the entries say"],
]);

/**
 * @typedef {{claim: import("./manifest.js").Claim, run: import("./table.js").Placed[], findings: string[],
 *   gateway: string, gatewayVkey: import("./keys.js").Vkey, gatewaySize: number|bigint, anchoredMs: number|bigint,
 *   afterMs: number|bigint|null, ledger: import("./note.js").SignedCheckpoint, withheld: number[],
 *   predecessors: string[]}} Verified times are ms since 1970 UTC by the collector's clock
 */
/**
 * @typedef {{step: (id: string, result: string) => void, skip: (id: string, result: string) => void,
 *   progress: (id: string, done: number, of: number) => void}} Listener hears of steps that held, or had nothing to check
 */
/** @typedef {{index: number|bigint, stem: string, leaf: Uint8Array, hash: Uint8Array, body: Uint8Array,
 *   entry: import("./entry.js").Entry, parts: import("./entry.js").Part[], withheld: number[],
 *   opened: import("./opened.js").Opened|null, finding: string|null}} Shown */

const SILENT = { step: () => {}, skip: () => {}, progress: () => {} };

/**
 * @param {Map<string, Uint8Array>} files @param {import("./policy.js").Policy} policy @param {Listener} [listener]
 * @returns {Promise<Verified>} throws MalformedError or VerificationError, naming the file or the entry
 */
export async function verifyEvidence(files, policy, listener = SILENT) {
  return new Check(files, policy, listener).whole();
}

class Check {
  /** @param {Map<string, Uint8Array>} files @param {import("./policy.js").Policy} policy @param {Listener} listener */
  constructor(files, policy, listener) {
    this.left = new Map(files);
    this.policy = policy;
    this.listener = listener;
  }

  /** @returns {Promise<Verified>} */
  async whole() {
    const claim = parseManifest(this.take(MANIFEST));
    const given = new Map(RENDERED.map((name) => [name, this.take(name)]));
    this.listener.step("manifest", `entries ${claim.first} to ${claim.last} of ${claim.chain}`);
    const anchor = await this.statement("ledger/anchor", ["Anchor"]);
    const { signed: ledger } = anchor;
    const { checkpoint: ledgerHead, signer } = ledger;
    this.listener.step("ledger", `${ledgerHead.origin}, size ${ledgerHead.size}, signed by ${signer.name}+${signer.id}` +
      ledger.cosignatures.map((each) => `, cosigned by ${each.name}`).join(""));
    const of = await this.lineage(claim.origin, ledger, anchor.index);
    this.listener.step("statements", `gateway ${of.gateway}; the anchor is statement ${anchor.index}, the ` +
      `${of.predecessors.length ? "successions and the enrolment stand" : "enrolment stands"} before it`);
    const { checkpoint: head } = await about("ledger/anchor.statement",
      () => openCheckpoint(anchor.said.checkpoint, [of.vkey]));
    if (head.origin !== claim.origin) {
      throw new VerificationError(`ledger/anchor.statement: anchors ${head.origin}, not ${claim.origin}`);
    }
    this.listener.step("gateway", `${head.origin}, size ${head.size}, signed by ${of.vkey.name}+${of.vkey.id}`);
    const quoted = await this.after(ledger);
    if (quoted) {
      this.listener.step("after", `the head of size ${quoted.size} is; that the first entry quotes it is checked below`);
    } else {
      this.listener.skip("after", "the file holds none: nothing says after which time the entries were sealed");
    }
    const shown = this.take3();
    await this.leaves(shown, anchor.said.checkpoint, head);
    await this.parts(shown);
    await this.open(shown);
    const inside = await this.complete(claim, shown);
    const afterMs = quoted ? this.quotes(quoted, shown) : null;
    this.listener.step("chain", `entries ${claim.first} to ${claim.last}, ${inside.length}, none between` +
      (quoted ? "; the first entry quotes the ledger head" : ""));
    const findings = inside.flatMap((each) => each.finding ?? []);
    this.listener.step("contents", findings.length
      ? `${findings.length} of ${inside.length} entries cannot be read: findings, told below` : `all ${inside.length} can`);
    /** @type {Verified} */
    const proven = {
      claim, findings, afterMs, ledger,
      run: inside.map(({ index, entry, opened }) => ({ index, entry, opened })),
      gateway: of.gateway,
      gatewayVkey: of.vkey,
      gatewaySize: head.size,
      anchoredMs: anchor.said.at_ms,
      withheld: [...new Set(inside.flatMap((each) => each.opened?.withheld ?? []))].sort((a, b) => a - b),
      predecessors: of.predecessors,
    };
    for (const [name, text] of renderFiles(proven)) {
      compareText(name, text, /** @type {Uint8Array} */ (given.get(name)));
    }
    this.listener.step("table", `${RENDERED.join(", ")}: byte for byte`);
    return proven;
  }

  /** @param {string} name */
  take(name) {
    const data = this.left.get(name);
    if (!data) {
      throw new MalformedError(`${name}: missing from the evidence file`);
    }
    this.left.delete(name);
    return data;
  }

  /** A statement that the policy's ledger holds. @param {string} stem @param {string[]} kinds */
  async statement(stem, kinds) {
    const data = this.take(`${stem}.statement`);
    const name = `${stem}.tlog-proof`;
    const path = this.take(name);
    const { proof, signed } = await about(name, async () => {
      const found = parseProof(path);
      return { proof: found, signed: await verifyProof(found, await leafHash(data), this.policy) };
    });
    const said = await about(`${stem}.statement`, () => decodeStatement(data));
    if (kinds.length && !kinds.includes(said.type)) {
      throw new VerificationError(`${stem}.statement: expected ${kinds.join(" or ")}, found ${said.type}`);
    }
    return { said, signed, index: proof.index };
  }

  /** @param {string} name @param {import("./note.js").SignedCheckpoint} found @param {import("./note.js").SignedCheckpoint} ledger */
  sameLedger(name, found, ledger) {
    if (!same(found.raw, ledger.raw)) {
      throw new VerificationError(`${name}: its ledger checkpoint is not that of the anchor's proof`);
    }
  }

  /** @param {string} origin @param {import("./note.js").SignedCheckpoint} ledger @param {number|bigint} anchoredAt */
  async lineage(origin, ledger, anchoredAt) {
    const more = [...this.left.keys()].filter((name) => name.startsWith("ledger/predecessor-") &&
      name.endsWith(".statement")).length;
    const stems = ["ledger/enrolment", ...Array.from({ length: more }, (_, n) => `ledger/predecessor-${n + 1}`)];
    const found = [];
    for (const stem of stems) {
      const { said, signed, index } = await this.statement(stem, ["Enrolment", "Succession"]);
      this.sameLedger(`${stem}.tlog-proof`, signed, ledger);
      if (index > anchoredAt) {
        throw new VerificationError(`${stem}.statement: at ${index}, behind the anchor at ${anchoredAt}`);
      }
      found.push(said);
    }
    return about("ledger/enrolment.statement", () => followLineage(origin, found));
  }

  /** The quoted ledger head, proven a prefix of the ledger. @param {import("./note.js").SignedCheckpoint} ledger */
  async after(ledger) {
    if (!this.left.has("ledger/after.statement")) {
      return null;
    }
    const { said, signed, index } = await this.statement("ledger/after", []);
    this.sameLedger("ledger/after.tlog-proof", signed, ledger);
    const name = "ledger/after.consistency";
    const lines = latin1(this.take(name)).split("\n");
    if (lines.pop() !== "" || !lines.length) {
      throw new MalformedError(`${name}: expected the quoted root and its consistency proof, lines that end in LF`);
    }
    const size = plainNumber(BigInt(index) + 1n);
    const [root, ...path] = await about(name, () => lines.map((line) => fromBase64(line, "hash")));
    await about(name, () => verifyConsistency(size, root, ledger.checkpoint.size, ledger.checkpoint.root, path));
    return { origin: ledger.checkpoint.origin, size, root, atMs: said.at_ms };
  }

  /** The three files of each entry, in the order of their names. @returns {any[]} */
  take3() {
    const names = [...this.left.keys()].filter((name) => name.startsWith("entries/") && name.endsWith(".leaf")).sort();
    const shown = names.map((name) => {
      const stem = name.slice(0, -".leaf".length);
      return { stem, leaf: this.take(name), body: this.take(`${stem}.body`), proof: this.take(`${stem}.tlog-proof`) };
    });
    if (this.left.size) {
      throw new MalformedError(
        `${[...this.left.keys()].sort()[0]}: no file of an evidence file; expected only those that are verified`);
    }
    return shown;
  }

  /** Do one step with each entry; a failure says which entry it is about. @param {any[]} shown @param {string} step
   * @param {(each: any) => Promise<void>} action */
  async each(shown, step, action) {
    for (let n = 0; n < shown.length; n++) {
      try {
        await action(shown[n]);
      } catch (error) {
        if (error instanceof Refused && !error.entry) {
          error.entry = whichEntry(shown[n]);
        }
        throw error;
      }
      if (n % 256 === 0) {
        this.listener.progress(step, n, shown.length);
      }
    }
  }

  /** @param {any[]} shown @param {Uint8Array} anchored @param {import("./note.js").Checkpoint} head */
  async leaves(shown, anchored, head) {
    const nodes = new Nodes();
    const lines = new Map();
    await this.each(shown, "leaves", async (each) => {
      each.hash = await leafHash(each.leaf);
      const name = `${each.stem}.tlog-proof`;
      each.index = await about(name, async () => {
        const path = parseProof(each.proof, anchored, lines);
        if (!same(path.checkpoint, anchored)) {
          throw new VerificationError("its checkpoint is not the anchored one");
        }
        await verifyInclusion(each.hash, path.index, head.size, path.hashes, head.root, nodes);
        return path.index;
      });
      if (each.stem !== `entries/${String(each.index).padStart(12, "0")}`) {
        throw new MalformedError(`${name}: speaks of index ${each.index}`);
      }
      each.entry = await about(`${each.stem}.leaf`, () => parseLeaf(each.leaf));
    });
    this.listener.step("leaves", `${shown.length} entries in the tree of ${head.size}, root ${short(head.root, 16)}`);
  }

  /** @param {Shown[]} shown */
  async parts(shown) {
    let count = 0;
    await this.each(shown, "parts", async (each) => {
      await about(`${each.stem}.body`, async () => {
        each.parts = parseBody(each.body);
        each.withheld = await verifyBody(each.entry, each.parts);
      });
      count += each.parts.length;
    });
    const left = shown.reduce((sum, each) => sum + each.withheld.length, 0);
    this.listener.step("parts", `${count} parts${left ? `; ${left} were left out of the file` : ""}`);
  }

  /** @param {Shown[]} shown */
  async open(shown) {
    await this.each(shown, "contents", async (each) => {
      each.opened = null;
      each.finding = null;
      try {
        each.opened = await openEntry(each.entry, each.parts, each.withheld);
      } catch (error) {
        if (!(error instanceof MalformedError)) {
          throw error;
        }
        each.finding = error.message;  // what was sealed cannot be read: said, and nothing behind it waits
      }
    });
  }

  /** Completeness from first to last; these entries. @param {import("./manifest.js").Claim} claim @param {Shown[]} shown */
  async complete(claim, shown) {
    const run = shown.filter((each) => each.entry.chain === claim.chain);
    const heads = shown.filter((each) => each.entry.chain !== claim.chain);
    for (const each of heads) {
      if (each.entry.chain !== GATEWAY_CHAIN || each.opened?.event?.type !== "heads") {
        throw new MalformedError(`${each.stem}.leaf: neither of ${claim.chain} nor a heads entry`);
      }
    }
    if (!run.length) {
      throw new VerificationError(`${claim.chain}: the evidence file holds no entry of it`);
    }
    let endsAt = null;
    for (const each of heads) {
      if (each.index > run[run.length - 1].index) {
        endsAt = each.opened?.event.chains.find((/** @type {any} */ head) => head.chain === claim.chain) ?? endsAt;
      }
    }
    const linked = run.map(({ entry, hash, index }) => ({ entry, hash, index: String(index) }));
    await verifyComplete(claim.origin, claim.chain, linked, claim.first, claim.last, endsAt);
    return run.filter((each) => each.entry.seq >= claim.first && each.entry.seq <= claim.last);
  }

  /** @param {{origin: string, size: number|bigint, root: Uint8Array, atMs: number|bigint}} quoted @param {Shown[]} shown */
  quotes(quoted, shown) {
    const first = shown.reduce((least, each) => (each.index < least.index ? each : least));
    const event = first.opened?.event;
    const ledger = event?.type === "heads" ? event.ledger : null;
    if (!ledger || ledger.origin !== quoted.origin || ledger.size !== quoted.size || !same(ledger.root, quoted.root)) {
      throw new VerificationError(
        "ledger/after.statement: no heads entry before the others quotes that ledger head");
    }
    return quoted.atMs;
  }
}

/** Where an entry is, as far as its own files tell it. @param {Shown} shown */
function whichEntry(shown) {
  const index = String(shown.index ?? shown.stem.replace(/^entries\/0*(?=.)/, ""));
  try {
    const { chain, seq } = shown.entry ?? parseLeaf(shown.leaf);
    return { index, chain, seq };
  } catch {
    return { index, chain: "", seq: null };
  }
}

/** @param {string} name @param {string} expected @param {Uint8Array} found */
function compareText(name, expected, found) {
  if (same(utf8(expected), found)) {
    return;
  }
  const wanted = expected.split("\n");
  const given = (textOf(found) ?? latin1(found)).split("\n");
  const at = wanted.findIndex((line, n) => n >= given.length || line !== given[n]);
  const line = (/** @type {string|undefined} */ told) => JSON.stringify((told ?? "nothing").slice(0, 200));
  throw new VerificationError(at < 0 || at >= given.length
    ? `${name}: expected ${wanted.length - 1} lines, found ${given.length - 1}`
    : `${name}: line ${at + 1} is not what the entries say: expected ${line(wanted[at])}, found ${line(given[at])}`);
}

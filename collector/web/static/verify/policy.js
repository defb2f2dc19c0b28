"use strict";
/**
 * Policies: which logs a reader believes, and whose cosignatures are wanted besides (C2SP tlog-policy;
 * `vitaledger/policy.py`). Nothing else in these modules says whom to trust.
 *
 *   log <vkey> [<url>]
 *   witness <name> <vkey> [<url>]
 *   group <name> <k, any or all> <member> …
 *   quorum <name, or none>
 */

import { MalformedError, VerificationError, prefixed } from "./errors.js";
import { fromLatin1, latin1, parseDecimal, quoted, same, textOf } from "./bytes.js";
import { COSIGNATURE, ECDSA, ED25519, MLDSA44, isVerifiable, parseVkey } from "./keys.js";
import { openCheckpoint } from "./note.js";

const MAX_POLICY = 256 * 1024;

/**
 * @typedef {{logs: import("./keys.js").Vkey[], witnesses: {name: string, vkey: import("./keys.js").Vkey}[],
 *   groups: {name: string, threshold: number, members: string[]}[], quorum: string|null}} Policy
 */

/** @param {Uint8Array} data @returns {Promise<Policy>} */
export async function parsePolicy(data) {
  if (data.length > MAX_POLICY) {
    throw new MalformedError(`policy: expected at most ${MAX_POLICY} bytes, found ${data.length}`);
  }
  const draft = new Draft();
  const lines = latin1(data).split("\n");
  for (let n = 0; n < lines.length; n++) {
    try {
      await draft.take(lines[n]);
    } catch (error) {
      throw prefixed(error, `policy line ${n + 1}: `);
    }
  }
  if (draft.quorum === undefined) {
    throw new MalformedError("policy: expected a quorum line, found none");
  }
  return { logs: draft.logs, witnesses: draft.witnesses, groups: draft.groups, quorum: draft.quorum };
}

/**
 * The checkpoint of a note that a log of the policy and the quorum have signed.
 * @param {Policy} policy @param {Uint8Array} data
 */
export async function verifyByPolicy(policy, data) {
  const keys = [...policy.logs, ...policy.witnesses.map((each) => each.vkey)].filter(isVerifiable);
  const signed = await openCheckpoint(data, keys);
  const seen = new Set(policy.witnesses.filter((witness) => signed.cosignatures.some(
    (each) => each.name === witness.vkey.name && each.id === witness.vkey.id)).map((witness) => witness.name));
  const names = [...seen].map((name) => `'${name}'`).join(", ") || "none";
  for (const group of policy.groups) {
    if (group.members.filter((member) => seen.has(member)).length >= group.threshold) {
      seen.add(group.name);
    }
  }
  if (policy.quorum !== null && !seen.has(policy.quorum)) {
    throw new VerificationError(`checkpoint of ${signed.checkpoint.origin}: expected cosignatures for the quorum ` +
      `'${policy.quorum}', found those of ${names}`);
  }
  return signed;
}

/** A word's text. Octets that are not UTF-8 are opaque: halves of surrogate pairs keep them apart. @param {string} word */
function wordText(word) {
  return textOf(fromLatin1(word)) ??
    word.replace(/[\x80-\xff]/g, (octet) => String.fromCharCode(0xdc00 + octet.charCodeAt(0)));
}

class Draft {
  constructor() {
    /** @type {import("./keys.js").Vkey[]} */
    this.logs = [];
    /** @type {{name: string, vkey: import("./keys.js").Vkey}[]} */
    this.witnesses = [];
    /** @type {{name: string, threshold: number, members: string[]}[]} */
    this.groups = [];
    /** @type {string|null|undefined} */
    this.quorum = undefined;
    this.names = new Set();
    this.grouped = new Set();
  }

  /** @param {string} line one character an octet */
  async take(line) {
    if (/[\x00-\x08\x0b-\x1f\x7f]/.test(line)) {
      throw new MalformedError("expected no control character but tab and newline");
    }
    const [keyword, ...words] = line.split(/[ \t]+/).filter((word) => word).map(wordText);
    if (keyword === undefined || keyword.startsWith("#")) {
      return;
    }
    switch (keyword) {
      case "log": {
        const vkey = await keyAndUrl(words, "log <vkey> [<url>]", [ED25519, ECDSA]);
        this.checkNewKey(vkey, this.logs);
        this.logs.push(vkey);
        break;
      }
      case "witness": {
        const form = "witness <name> <vkey> [<url>]";
        const vkey = await keyAndUrl(words.slice(1), form, [COSIGNATURE, MLDSA44]);
        this.define(words[0]);
        this.checkNewKey(vkey, this.witnesses.map((each) => each.vkey));
        this.witnesses.push({ name: words[0], vkey });
        break;
      }
      case "group":
        this.group(words);
        break;
      case "quorum":
        this.takeQuorum(words);
        break;
      default:
        throw new MalformedError(`expected log, witness, group or quorum, found ${quoted(keyword)}`);
    }
  }

  /** @param {string[]} words */
  group(words) {
    if (words.length < 3) {
      throw new MalformedError("expected group <name> <k, any or all> <member> …");
    }
    const [name, rule, ...members] = words;
    for (const member of members) {
      this.checkDefined(member);
      if (this.grouped.has(member)) {
        throw new MalformedError(`expected each name in one group only, found ${quoted(member)} again`);
      }
      this.grouped.add(member);
    }
    const threshold = rule === "any" ? 1 : rule === "all" ? members.length : parseDecimal(rule, "group threshold");
    if (threshold < 1 || threshold > members.length) {
      throw new MalformedError(`expected a threshold of 1 to ${members.length}, found ${threshold}`);
    }
    this.define(name);
    this.groups.push({ name, threshold: Number(threshold), members });
  }

  /** @param {string[]} words */
  takeQuorum(words) {
    if (words.length !== 1) {
      throw new MalformedError("expected quorum <name, or none>");
    }
    if (this.quorum !== undefined) {
      throw new MalformedError("expected one quorum line, found another");
    }
    if (words[0] !== "none") {
      this.checkDefined(words[0]);
    }
    this.quorum = words[0] === "none" ? null : words[0];
  }

  /** @param {string} name */
  define(name) {
    if (name === "none" || this.names.has(name)) {
      throw new MalformedError(`expected a new name, found ${quoted(name)}`);
    }
    this.names.add(name);
  }

  /** @param {string} name */
  checkDefined(name) {
    if (!this.names.has(name)) {
      throw new MalformedError(`expected a witness or group defined above, found ${quoted(name)}`);
    }
  }

  /** @param {import("./keys.js").Vkey} vkey @param {import("./keys.js").Vkey[]} others */
  checkNewKey(vkey, others) {
    if (others.some((other) => same(vkey.key, other.key))) {
      throw new MalformedError(`expected each key once, found that of ${vkey.name} again`);
    }
    const known = [...this.logs, ...this.witnesses.map((each) => each.vkey)];
    if (known.some((other) => vkey.name === other.name && vkey.id === other.id)) {
      throw new MalformedError(`expected each key name and ID once, found ${vkey.name}+${vkey.id} again`);
    }
  }
}

/** @param {string[]} words @param {string} form @param {number[]} types */
async function keyAndUrl(words, form, types) {
  if (words.length !== 1 && words.length !== 2) {
    throw new MalformedError(`expected ${form}`);
  }
  const vkey = await parseVkey(words[0]);
  if (!types.includes(vkey.type)) {
    throw new MalformedError(`expected ${form} with a key of another type, found type 0x0${vkey.type}`);
  }
  return vkey;
}

"use strict";
/**
 * Verifier keys (C2SP signed-note, tlog-cosignature) and their signatures, checked by WebCrypto (`vitaledger/keys.py`).
 *
 *   vkey = <name>+<key ID in hex>+<base64 of type and public key>
 *
 * Types: 01 Ed25519 over the text; 02 ECDSA on P-256; 04 cosignature with a time; 06 ML-DSA-44, read and never verified.
 */

import { MalformedError, VerificationError } from "./errors.js";
import { base64, checkKeyName, concat, fromBase64, fromHex, hex, quoted, same, sha256, utf8 } from "./bytes.js";

export const ED25519 = 1;
export const ECDSA = 2;
export const COSIGNATURE = 4;
export const MLDSA44 = 6;
const SIZES = new Map([[ED25519, 32], [COSIGNATURE, 32], [MLDSA44, 1312]]);
const VKEY = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})$/;
// SubjectPublicKeyInfo of an uncompressed point on P-256, up to the point
const SPKI_P256 = fromHex("3059301306072a8648ce3d020106082a8648ce3d030107034200");

/** @typedef {{name: string, id: string, type: number, key: Uint8Array, text: string}} Vkey `id` is hex */

/** What the browser lacks for checking signatures and hashes, in words; null where it has all. */
export async function missingCrypto() {
  if (!globalThis.crypto?.subtle) {
    return "This page was opened over plain http, and browsers do their cryptography only on pages from https, " +
      "from this computer (localhost) or from a file.";
  }
  try {
    await crypto.subtle.importKey("raw", new Uint8Array(32), { name: "Ed25519" }, false, ["verify"]);
  } catch {
    return "This browser cannot check Ed25519 signatures. Chromium from 137, Firefox from 129 and Safari from 17 can.";
  }
  return typeof DecompressionStream === "undefined" ? "This browser cannot read compressed files." : null;
}

/** A verifier key from its text, its key ID checked. @param {string} text @returns {Promise<Vkey>} */
export async function parseVkey(text) {
  const match = text.endsWith("\n") ? null : VKEY.exec(text);
  if (!match) {
    throw new MalformedError(`vkey ${quoted(text)}: expected <name>+<key ID in hex>+<base64>`);
  }
  const [, name, claimed, encoded] = match;
  checkKeyName(name);
  const blob = fromBase64(encoded, `vkey of ${name}`);
  const [type, key] = [blob[0], blob.subarray(1)];
  checkPublicKey(name, type, key);
  const hashed = type === ECDSA ? key : concat(utf8(`${name}\n`), Uint8Array.of(type), key);
  const id = hex((await sha256(hashed)).subarray(0, 4));
  if (id !== claimed) {
    throw new MalformedError(`vkey of ${name}: expected key ID ${id}, found ${claimed}`);
  }
  return { name, id, type, key, text: `${name}+${id}+${base64(blob)}` };
}

/** @param {string} name @param {number} type @param {Uint8Array} key */
function checkPublicKey(name, type, key) {
  if (type === ECDSA) {
    if (key.length !== SPKI_P256.length + 65 || !same(key.subarray(0, SPKI_P256.length), SPKI_P256) ||
        key[SPKI_P256.length] !== 4) {
      throw new MalformedError(`vkey of ${name}: expected a key on P-256 in canonical DER`);
    }
    return;
  }
  const size = SIZES.get(type);
  if (size === undefined) {
    throw new MalformedError(`vkey of ${name}: signature type 0x${type.toString(16).padStart(2, "0")} is not known`);
  }
  if (key.length !== size) {
    throw new MalformedError(`vkey of ${name}: expected a public key of ${size} bytes, found ${key.length}`);
  }
}

/** Whether `verifySignature` takes this key. @param {Vkey} vkey */
export function isVerifiable(vkey) {
  return vkey.type !== MLDSA44;
}

/** What a person compares: 16 hex digits of SHA-256 of the key's text. @param {Vkey} vkey */
export async function fingerprint(vkey) {
  return hex(await sha256(utf8(vkey.text))).slice(0, 16).replace(/(....)(?=.)/g, "$1 ");
}

/**
 * Check that a key signed a note's text.
 * @param {Vkey} vkey @param {Uint8Array} message @param {Uint8Array} signature what follows the key ID in its line
 */
export async function verifySignature(vkey, message, signature) {
  let holds;
  if (vkey.type === COSIGNATURE) {
    if (signature.length !== 72) {
      throw new VerificationError(`cosignature by ${vkey.name}: expected 72 bytes, found ${signature.length}`);
    }
    const cosigned = concat(utf8(`cosignature/v1\ntime ${cosignatureTime(signature)}\n`), message);
    holds = await ed25519(vkey, cosigned, signature.subarray(8));
  } else {
    holds = vkey.type === ED25519 ? await ed25519(vkey, message, signature) : await ecdsa(vkey, message, signature);
  }
  if (!holds) {
    throw new VerificationError(`note: the signature by ${vkey.name}+${vkey.id} is not of this text`);
  }
}

/** The POSIX seconds in a cosignature. @param {Uint8Array} signature @returns {bigint} */
export function cosignatureTime(signature) {
  return new DataView(signature.buffer, signature.byteOffset, 8).getBigUint64(0);
}

/** @param {Vkey} vkey @param {Uint8Array} message @param {Uint8Array} signature */
async function ed25519(vkey, message, signature) {
  try {
    const key = await crypto.subtle.importKey("raw", vkey.key, { name: "Ed25519" }, false, ["verify"]);
    return await crypto.subtle.verify({ name: "Ed25519" }, key, signature, message);
  } catch {
    return false;  // no point of the curve: nothing was signed by it
  }
}

/** @param {Vkey} vkey @param {Uint8Array} message @param {Uint8Array} signature in DER */
async function ecdsa(vkey, message, signature) {
  const raw = fromDer(signature);
  try {
    const curve = { name: "ECDSA", namedCurve: "P-256" };
    const key = await crypto.subtle.importKey("spki", vkey.key, curve, false, ["verify"]);
    return raw !== null && await crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, key, raw, message);
  } catch {
    return false;
  }
}

/** r ‖ s of an ECDSA signature in strict DER, 32 bytes each, or null. @param {Uint8Array} der */
function fromDer(der) {
  const raw = new Uint8Array(64);
  if (der.length < 8 || der[0] !== 0x30 || der[1] !== der.length - 2) {
    return null;
  }
  let at = 2;
  for (const end of [32, 64]) {
    const length = der[at + 1];
    const digits = der.subarray(at + 2, at + 2 + length);
    const padded = digits[0] === 0 && length > 1;
    if (der[at] !== 2 || !length || digits.length !== length || digits[0] > 127 || (padded && digits[1] < 128) ||
        length - (padded ? 1 : 0) > 32) {
      return null;
    }
    const bare = padded ? digits.subarray(1) : digits;
    raw.set(bare, end - bare.length);
    at += 2 + length;
  }
  return at === der.length ? raw : null;
}

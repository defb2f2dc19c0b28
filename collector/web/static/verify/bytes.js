"use strict";
/** Bytes and texts: hex, strict base64 and UTF-8, comparison, SHA-256. Each reader takes one spelling only. */

import { MalformedError } from "./errors.js";

const STRICT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const WRITER = new TextEncoder();
const HEX = Array.from({ length: 256 }, (_, n) => n.toString(16).padStart(2, "0"));
export const MAX_NUMBER = 2n ** 63n - 1n;
// Spaces as Unicode has them, controls, "+", and halves of surrogate pairs: what no key's name holds
const BARRED = /[\x00-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000+\ud800-\udfff]/u;

/** @param {Uint8Array} bytes */
export function hex(bytes) {
  let text = "";
  for (const byte of bytes) {
    text += HEX[byte];
  }
  return text;
}

/** @param {string} text an even number of hex digits @returns {Uint8Array} */
export function fromHex(text) {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** @param {string} text @returns {Uint8Array} */
export function utf8(text) {
  return WRITER.encode(text);
}

/** The text of bytes that are UTF-8, or null. @param {Uint8Array} bytes @returns {string|null} */
export function textOf(bytes) {
  try {
    return STRICT.decode(bytes);
  } catch {
    return null;
  }
}

/** Each byte as one character, so that bytes can be searched and split as text. @param {Uint8Array} bytes */
export function latin1(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) {
    text += String.fromCharCode.apply(null, bytes.subarray(at, at + 8192));
  }
  return text;
}

/** The inverse of `latin1`. @param {string} text @returns {Uint8Array} */
export function fromLatin1(text) {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) {
    bytes[at] = text.charCodeAt(at);
  }
  return bytes;
}

/** @param {Uint8Array} a @param {Uint8Array} b */
export function same(a, b) {
  if (a === b) {
    return true;
  }
  if (a.length !== b.length) {
    return false;
  }
  for (let at = 0; at < a.length; at++) {
    if (a[at] !== b[at]) {
      return false;
    }
  }
  return true;
}

/** @param {...Uint8Array} pieces @returns {Uint8Array} */
export function concat(...pieces) {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** @param {Uint8Array} data @returns {Promise<Uint8Array>} 32 bytes */
export async function sha256(data) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", data));
}

/** @param {Uint8Array} bytes */
export function base64(bytes) {
  return btoa(latin1(bytes));
}

/**
 * The bytes of standard, padded, canonical base64.
 * @param {string} text @param {string} what @returns {Uint8Array}
 */
export function fromBase64(text, what) {
  let binary;
  try {
    binary = atob(text);
  } catch {
    throw new MalformedError(`${what}: expected base64, found ${quoted(text)}`);
  }
  if (btoa(binary) !== text) {
    throw new MalformedError(`${what}: expected canonical base64, found ${quoted(text)}`);
  }
  return fromLatin1(binary);
}

/**
 * A decimal of ASCII digits without sign or leading zero, below 2^63: a number, or a bigint where it is not safe.
 * @param {string} text @param {string} what @returns {number|bigint}
 */
export function parseDecimal(text, what) {
  if (!/^(?:0|[1-9][0-9]{0,18})$/.test(text) || text.includes("\n") || BigInt(text) > MAX_NUMBER) {
    throw new MalformedError(`${what}: expected a decimal number, found ${quoted(text)}`);
  }
  return plainNumber(BigInt(text));
}

/** A number where it is safe, else the bigint: each integer has one form, so that === compares. @param {bigint} n */
export function plainNumber(n) {
  return n >= BigInt(Number.MIN_SAFE_INTEGER) && n <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(n) : n;
}

/** @param {string} name */
export function checkKeyName(name) {
  if (!name || BARRED.test(name)) {
    throw new MalformedError(`key name ${quoted(name)}: expected UTF-8 without spaces and without '+'`);
  }
}

/** What was found, for a message: at most 60 characters. @param {string} text */
export function quoted(text) {
  return `'${text.slice(0, 60).replace(/[\x00-\x1f\x7f-\x9f]/g, "?")}'`;
}

/** The beginning of a hash, for a message. @param {Uint8Array} bytes @param {number} digits */
export function short(bytes, digits = 8) {
  return `${hex(bytes).slice(0, digits)}…`;
}

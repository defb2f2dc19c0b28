"use strict";
/**
 * The strict reader of the CBOR subset: arrays, integers in ±2⁶³, byte strings, text, null and the little-endian typed
 * arrays of RFC 8746 with 8, 16 or 32 bits. Everything in its shortest form, nothing left over.
 *
 * Integers come as numbers where they are safe and as bigints beyond; typed arrays as `Typed`.
 */

import { MalformedError } from "./errors.js";
import { plainNumber, textOf } from "./bytes.js";

const MAX_DEPTH = 12;
const INT_MAX = 2n ** 63n - 1n;
// tag: [bytes a sample, signed], narrowest first
const TYPED = new Map([[64, [1, false]], [72, [1, true]], [69, [2, false]], [77, [2, true]], [70, [4, false]],
  [78, [4, true]]]);

/** A typed array as it stands in the bytes. */
export class Typed {
  /** @param {number} tag @param {Uint8Array} bytes */
  constructor(tag, bytes) {
    this.tag = tag;
    this.bytes = bytes;
  }
}

/**
 * Decode one item that is the whole of `data`.
 * @param {Uint8Array} data @param {string} what names it in messages
 */
export function decodeCbor(data, what) {
  const reader = new Reader(data, what);
  const item = reader.item(0);
  if (reader.at !== data.length) {
    throw new MalformedError(`${what}: ${data.length - reader.at} bytes left over after the item's end at byte ` +
      `${reader.at}`);
  }
  return item;
}

class Reader {
  /** @param {Uint8Array} data @param {string} what */
  constructor(data, what) {
    this.data = data;
    this.view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    this.what = what;
    this.at = 0;
  }

  /** @param {string} message @returns {never} */
  refuse(message) {
    throw new MalformedError(`${this.what}: ${message} at byte ${this.at}`);
  }

  /** The argument of an item's head; the head's first byte was read. @param {number} info @returns {number|bigint} */
  argument(info) {
    if (info < 24) {
      return info;
    }
    if (info > 27) {
      return this.refuse("not CBOR of the subset (an indefinite length or a reserved form)");
    }
    const width = 1 << (info - 24);
    if (this.at + width > this.data.length) {
      return this.refuse("not CBOR: it ends inside an item");
    }
    const at = this.at;
    this.at += width;
    if (width === 8) {
      const found = this.view.getBigUint64(at);
      return found > 0xffffffffn ? plainNumber(found) : this.refuse("not in its shortest form");
    }
    const found = width === 1 ? this.data[at] : width === 2 ? this.view.getUint16(at) : this.view.getUint32(at);
    const least = width === 1 ? 24 : width === 2 ? 0x100 : 0x10000;
    return found >= least ? found : this.refuse("not in its shortest form");
  }

  /** @param {number|bigint} length */
  take(length) {
    if (length > this.data.length - this.at) {
      return this.refuse("not CBOR: it ends inside an item");
    }
    const begin = this.at;
    this.at += Number(length);
    return this.data.subarray(begin, this.at);
  }

  /** @param {number} depth @returns {any} */
  item(depth) {
    if (this.at >= this.data.length) {
      return this.refuse("not CBOR: it ends where an item was expected");
    }
    const head = this.data[this.at++];
    if (head === 0xf6) {
      return null;
    }
    const major = head >> 5;
    if (major === 5 || major === 7) {
      return this.refuse(`${major === 5 ? "a map" : "a float or simple value"} is not of the subset`);
    }
    const argument = this.argument(head & 0x1f);
    switch (major) {
      case 0:
        return argument <= INT_MAX ? argument : this.refuse("integer outside ±2⁶³");
      case 1:
        return argument <= INT_MAX ? plainNumber(-1n - BigInt(argument)) : this.refuse("integer outside ±2⁶³");
      case 2:
        return this.take(argument);
      case 3:
        return textOf(this.take(argument)) ?? this.refuse("not CBOR: text that is not UTF-8 ends");
      case 4:
        return this.array(argument, depth);
      default:
        return this.tagged(argument);
    }
  }

  /** @param {number|bigint} length @param {number} depth */
  array(length, depth) {
    if (depth === MAX_DEPTH) {
      return this.refuse(`nested deeper than ${MAX_DEPTH}`);
    }
    if (length > this.data.length - this.at) {  // each item takes a byte at least
      return this.refuse("not CBOR: it ends inside an array");
    }
    const items = [];
    for (let n = 0; n < length; n++) {
      items.push(this.item(depth + 1));
    }
    return items;
  }

  /** @param {number|bigint} tag */
  tagged(tag) {
    if (typeof tag !== "number" || !TYPED.has(tag)) {
      return this.refuse(`tag ${tag} is not of the subset`);
    }
    const bytes = this.at < this.data.length && this.data[this.at] >> 5 === 2 ? this.item(0) : null;
    return bytes === null ? this.refuse("typed array without bytes") : new Typed(tag, bytes);
  }
}

/**
 * The samples of a typed array; one that a narrower type holds is refused.
 * @param {unknown} item @param {string} where @returns {number[]}
 */
export function unpackSamples(item, where) {
  if (!(item instanceof Typed)) {
    throw new MalformedError(`${where}: not a typed array of 8, 16 or 32 bits, little-endian`);
  }
  const [width, signed] = /** @type {[number, boolean]} */ (TYPED.get(item.tag));
  if (item.bytes.length % width) {
    throw new MalformedError(`${where}: ${item.bytes.length} bytes are no whole number of ${width}-byte samples`);
  }
  const view = new DataView(item.bytes.buffer, item.bytes.byteOffset, item.bytes.byteLength);
  const samples = [];
  let low = 0;
  let high = 0;
  for (let at = 0; at < item.bytes.length; at += width) {
    const sample = readSample(view, at, width, signed);
    low = samples.length && low < sample ? low : sample;
    high = samples.length && high > sample ? high : sample;
    samples.push(sample);
  }
  for (const [tag, [bytes, negative]] of TYPED) {
    const least = negative ? -(2 ** (8 * bytes - 1)) : 0;
    const most = 2 ** (8 * bytes - (negative ? 1 : 0)) - 1;
    if (least <= low && high <= most) {
      if (tag !== item.tag) {
        break;
      }
      return samples;
    }
  }
  throw new MalformedError(`${where}: typed array with tag ${item.tag} where a narrower one holds every sample`);
}

/** @param {DataView} view @param {number} at @param {number} width @param {boolean} signed */
function readSample(view, at, width, signed) {
  switch (width) {
    case 1:
      return signed ? view.getInt8(at) : view.getUint8(at);
    case 2:
      return signed ? view.getInt16(at, true) : view.getUint16(at, true);
    default:
      return signed ? view.getInt32(at, true) : view.getUint32(at, true);
  }
}

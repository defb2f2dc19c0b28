"use strict";
/**
 * Shapes: how a record is written as a CBOR array. A shape is a function (item, where) that answers the value or throws
 * MalformedError beginning with `where`. Bounds are those of the Python package's `vitaledger/shape.py`.
 */

import { MalformedError, prefixed } from "./errors.js";
import { decodeCbor, unpackSamples } from "./cbor.js";

const INT_MIN = -(2n ** 63n);
const INT_MAX_63 = 2n ** 63n - 1n;
// what could forge a line of what a person reads: controls, line separators, changes of direction
const CONTROL = /[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]/u;

/** @typedef {(item: any, where: string) => any} Shape */

/** @param {unknown} item */
function isInteger(item) {
  return typeof item === "number" || typeof item === "bigint";
}

/** @param {any} item */
function foundItem(item) {
  if (item instanceof Uint8Array) {
    return `${item.length} bytes`;
  }
  if (Array.isArray(item)) {
    return `${item.length} items`;
  }
  if (typeof item === "string") {
    return `'${item.slice(0, 40)}'${item.length > 40 ? "…" : ""}`;
  }
  return item === null ? "null" : isInteger(item) ? String(item) : "a typed array";
}

/** @param {Shape} shape @param {Uint8Array} data @param {string} what */
export function decodeShape(shape, data, what) {
  return shape(decodeCbor(data, what), what);
}

/** An integer in [least, most]. @returns {Shape} */
export function uint(least = 0, most = INT_MAX_63) {
  return (item, where) => {
    if (!isInteger(item) || item < least || item > most) {
      throw new MalformedError(`${where}: expected an integer from ${least} to ${most}, found ${foundItem(item)}`);
    }
    return item;
  };
}

/** Any integer in ±2⁶³. @returns {Shape} */
export function integer() {
  return uint(/** @type {any} */ (INT_MIN), INT_MAX_63);
}

/** Text of so many characters (code points). @returns {Shape} */
export function text(least = 0, most = 1024) {
  return (item, where) => {
    const length = typeof item !== "string" ? -1 : item.length <= least || item.length > most ? [...item].length
      : item.length;
    if (length < least || length > most) {
      throw new MalformedError(
        `${where}: expected text of ${least} to ${most} characters, found ${foundItem(item)}`);
    }
    if (CONTROL.test(item)) {
      throw new MalformedError(`${where}: control character in text`);
    }
    return item;
  };
}

/** @param {number} least @param {number} most @returns {Shape} */
export function blob(least, most) {
  return (item, where) => {
    if (!(item instanceof Uint8Array) || item.length < least || item.length > most) {
      throw new MalformedError(`${where}: expected ${least} to ${most} bytes, found ${foundItem(item)}`);
    }
    return item;
  };
}

export const HASH = blob(32, 32);

/** @param {Shape} shape @returns {Shape} */
export function nullOr(shape) {
  return (item, where) => (item === null ? null : shape(item, where));
}

/** A member of an enumeration, by its number. @param {string} name @param {Map<number, string>} words @returns {Shape} */
export function enumOf(name, words) {
  return (item, where) => {
    if (typeof item !== "number" || !words.has(item)) {
      throw new MalformedError(`${where}: expected a ${name} number, found ${foundItem(item)}`);
    }
    return item;
  };
}

/** @param {Shape} of @param {number} least @param {number} most @returns {Shape} */
export function arrayOf(of, least = 0, most = 65536) {
  return (item, where) => {
    if (!Array.isArray(item) || item.length < least || item.length > most) {
      throw new MalformedError(
        `${where}: expected an array of ${least} to ${most} items, found ${foundItem(item)}`);
    }
    return item.map((child, n) => {
      try {
        return of(child, "");
      } catch (error) {
        throw prefixed(error, `${where}[${n}]`);
      }
    });
  };
}

/** An array of integers, and nulls where allowed. @returns {Shape} */
export function numbers({ nulls = false, most = 65536 } = {}) {
  return (item, where) => {
    if (!Array.isArray(item) || item.length > most ||
        !item.every((each) => isInteger(each) || (nulls && each === null))) {
      throw new MalformedError(`${where}: expected at most ${most} integers${nulls ? " or nulls" : ""}`);
    }
    return item;
  };
}

/** @returns {Shape} */
export function samples() {
  return unpackSamples;
}

/**
 * A record as an array of its fields in order, after `tag` where there is one. `check` looks at the whole record and
 * answers what is wrong with it, or null.
 * @param {[string, Shape][]} fields
 * @param {{tag?: number, check?: (value: any) => string|null, name?: string}} options
 * @returns {Shape}
 */
export function record(fields, { tag, check, name } = {}) {
  const skip = tag === undefined ? 0 : 1;
  return (item, where) => {
    if (!Array.isArray(item) || item.length !== fields.length + skip) {
      throw new MalformedError(
        `${where}: expected an array of ${fields.length + skip} items, found ${foundItem(item)}`);
    }
    if (tag !== undefined && item[0] !== tag) {
      throw new MalformedError(`${where}: expected the number ${tag} first, found ${foundItem(item[0])}`);
    }
    /** @type {Record<string, any>} */
    const value = name === undefined ? {} : { type: name };
    for (let n = 0; n < fields.length; n++) {
      try {
        value[fields[n][0]] = fields[n][1](item[n + skip], fields[n][0]);
      } catch (error) {
        throw prefixed(error, `${where}.`);
      }
    }
    const wrong = check ? check(value) : null;
    if (wrong) {
      throw new MalformedError(`${where}: ${wrong}`);
    }
    return value;
  };
}

/** One of several tagged records. @param {Map<number, Shape>} records @param {string} what @returns {Shape} */
export function union(records, what) {
  const number = uint();
  return (item, where) => {
    if (!Array.isArray(item) || !item.length) {
      throw new MalformedError(`${where}: expected an array that begins with the number of a ${what}`);
    }
    const tag = number(item[0], `${where}: number of a ${what}`);
    const shape = records.get(tag);
    if (!shape) {
      throw new MalformedError(`${where}: unknown ${what} ${tag}; a newer version may know it`);
    }
    return shape(item, where);
  };
}

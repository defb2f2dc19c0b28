"use strict";
/**
 * What is refused, and why. The same two kinds as in the Python program:
 *
 *   MalformedError      the bytes are not of the format
 *   VerificationError   well formed, but a signature, hash, proof or link in them does not hold
 *
 * Any other exception is a fault of this program and never means that something was verified.
 */

export class Refused extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = new.target.name;
    /** @type {{index: string, chain: string, seq: number|bigint|null}|null} the entry that it is about */
    this.entry = null;
  }
}

export class MalformedError extends Refused {}

export class VerificationError extends Refused {}

/**
 * The same refusal with a place put before its message.
 * @param {unknown} error @param {string} before
 */
export function prefixed(error, before) {
  if (!(error instanceof Refused)) {
    return error;
  }
  const made = error instanceof MalformedError ? new MalformedError(before + error.message)
    : new VerificationError(before + error.message);
  made.entry = error.entry;
  return made;
}

/**
 * Do something about a file, whose name goes before whatever is wrong with it.
 * @template T @param {string} name @param {() => Promise<T>|T} action @returns {Promise<T>}
 */
export async function about(name, action) {
  try {
    return await action();
  } catch (error) {
    throw prefixed(error, `${name}: `);
  }
}

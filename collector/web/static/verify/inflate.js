"use strict";
/** Raw deflate by the browser's own DecompressionStream, bounded: a small piece cannot become a large one. */

import { MalformedError } from "./errors.js";
import { concat } from "./bytes.js";

/**
 * The bytes that `data` inflates to; all of `data` must be used, and no more than `most` may come out.
 * @param {Uint8Array} data @param {number} most @param {string} what @returns {Promise<Uint8Array>}
 */
export async function inflate(data, most, what) {
  const stream = new DecompressionStream("deflate-raw");
  const writer = stream.writable.getWriter();
  // the reader below learns of an error as well; left unheard here it would be reported twice
  writer.write(data).catch(() => {});
  writer.close().catch(() => {});
  const reader = stream.readable.getReader();
  const pieces = [];
  let length = 0;
  for (;;) {
    let step;
    try {
      step = await reader.read();
    } catch {
      throw new MalformedError(`${what}: not deflated bytes, or bytes left over behind them`);
    }
    if (step.done) {
      return pieces.length === 1 ? pieces[0] : concat(...pieces);
    }
    length += step.value.length;
    if (length > most) {
      reader.cancel().catch(() => {});
      throw new MalformedError(`${what}: inflates to more than the ${most} bytes that it speaks of`);
    }
    pieces.push(step.value);
  }
}

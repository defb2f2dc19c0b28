"use strict";
/** An entry opened: each part, already held against the leaf's commitment, decoded to the last field. */

import { MalformedError, prefixed } from "./errors.js";
import { GATEWAY_CHAIN } from "./entry.js";
import { KIND } from "./marks.js";
import { decodeEvent, ofGateway } from "./events.js";
import { decodeRaw, decodeValues, decodeWaves } from "./content.js";

const [VALUES_PART, WAVES_PART, RAW_PART, EVENT_PART] = [1, 2, 3, 4];
const CARRIED_KIND = 5;
// kind: the parts that it must have, and those it may have
const PARTS = new Map([
  [1, [[], [VALUES_PART, WAVES_PART, RAW_PART]]],
  [2, [[EVENT_PART], [RAW_PART, EVENT_PART]]],
  [3, [[EVENT_PART], [EVENT_PART]]],
  [CARRIED_KIND, [[EVENT_PART], [EVENT_PART]]],
]);

/**
 * @typedef {{entry: import("./entry.js").Entry, values: any, waves: any[]|null, raw: any[]|null, event: any,
 *   withheld: number[]}} Opened
 */

/**
 * Open an entry whose parts hold; MalformedError where its content is of no format that this program knows: a finding.
 * @param {import("./entry.js").Entry} entry @param {import("./entry.js").Part[]} parts @param {number[]} withheld
 * @returns {Promise<Opened>}
 */
export async function openEntry(entry, parts, withheld) {
  try {
    const wrong = wrongKind(entry);
    if (wrong) {
      throw new MalformedError(wrong);
    }
    /** @type {Opened} */
    const opened = { entry, values: null, waves: null, raw: null, event: null, withheld };
    for (const part of parts) {
      if (part.type === VALUES_PART) {
        opened.values = decodeValues(part.content);
      } else if (part.type === WAVES_PART) {
        opened.waves = decodeWaves(part.content);
      } else if (part.type === RAW_PART) {
        opened.raw = await decodeRaw(part.content);
      } else {
        opened.event = decodeEvent(part.content);
      }
    }
    const misplaced = opened.event && wrongEvent(entry, opened.event);
    if (misplaced) {
      throw new MalformedError(misplaced);
    }
    return opened;
  } catch (error) {
    throw prefixed(error, `${entry.chain} entry ${entry.seq}: `);
  }
}

/** @param {import("./entry.js").Entry} entry */
function wrongKind(entry) {
  const name = KIND.get(entry.kind);
  const parts = PARTS.get(entry.kind);
  if (!parts) {
    return `kind ${name} is reserved; a newer version may know it`;
  }
  const [must, may] = parts;
  const committed = entry.parts.map((each) => each.type);
  if (!committed.length || !must.every((type) => committed.includes(type)) ||
      !committed.every((type) => may.includes(type))) {
    return `parts [${committed.join(", ")}] do not fit kind ${name}`;
  }
  return (entry.chain === GATEWAY_CHAIN) === (entry.kind === 3 || entry.kind === CARRIED_KIND) ? null
    : `kind ${name} does not belong on this micro-chain`;
}

/** @param {import("./entry.js").Entry} entry @param {any} event */
function wrongEvent(entry, event) {
  if ((entry.kind === CARRIED_KIND) !== (event.type === "carried")) {
    return `event ${className(event.type)} does not fit kind ${KIND.get(entry.kind)}`;
  }
  return ofGateway(event) === (entry.chain === GATEWAY_CHAIN) ? null
    : `event ${className(event.type)} does not belong on this micro-chain`;
}

/** An event's word as the Python program's classes are named: `clock-step` is ClockStep. @param {string} word */
function className(word) {
  return word.replace(/(?:^|-)([a-z])/g, (_, letter) => letter.toUpperCase());
}

"use strict";
/** The words for the numbers in entries, as `vitaledger/marks.py` has them. A number keeps its meaning for ever. */

/** @param {string} words @param {number} first @returns {Map<number, string>} */
function numbered(words, first) {
  return new Map(words.split(" ").map((word, n) => [first + n, word]));
}

export const ABSENCE = numbered(
  "invalid sensor-disconnected sensor-off probe-error searching calibrating not-applicable out-of-range", 1);
export const CATEGORY = numbered("measured calculated setting alarm-limit", 0);
export const PROVENANCE = numbered("device-live device-stored transcribed typed", 0);
export const USE = numbered("clinical test demo", 0);
export const CHECK = numbered("nothing count checksum", 0);
export const SURENESS = numbered("protocol usb port declared", 0);
export const LINE_STATE = numbered("up down closed", 0);
export const GAP_REASON = numbered(
  "start crash unplugged silence unreadable disk-full overload restored", 1);
export const ALARM_KIND = numbered("physiological technical", 0);
export const ALARM_PHASE = numbered("onset update end", 0);
export const ALARM_PRIORITY = numbered("unknown low medium high", 0);
export const PART = numbered("values waves raw event", 1);
export const KIND = numbered("readings device_event gateway_event association carried", 1);

/** The bits of a quality mark. @type {Map<number, string>} */
export const QUALITY = new Map([
  [0, "invalid"], [1, "questionable"], [2, "not-available"], [3, "calibration-ongoing"], [4, "test-data"],
  [5, "demo-data"], [8, "validated"], [9, "early"], [10, "ongoing"], [14, "in-alarm"], [15, "alarm-inhibited"],
  [16, "artefact"], [17, "out-of-track"], [18, "low-perfusion"], [19, "marginal-perfusion"], [20, "low-signal"],
  [21, "implausible"], [22, "stale"], [23, "interference"], [24, "sensor-alarm"],
]);

/** The words of the bits that are set, lowest first; `bit-N` for one without a word. @param {number|bigint} bits */
export function qualityWords(bits) {
  /** @type {string[]} */
  const words = [];
  if (!bits) {
    return words;
  }
  for (let left = BigInt(bits), n = 0; left > 0n; left >>= 1n, n++) {
    if (left & 1n) {
      words.push(QUALITY.get(n) ?? `bit-${n}`);
    }
  }
  return words;
}

/** The word for a part's type. @param {number} type */
export function partName(type) {
  return PART.get(type) ?? `of unknown type ${type}`;
}

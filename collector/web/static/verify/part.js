"use strict";
/** One check of what a page shows, of a day at most: what the collector stores of it, and what was drawn of that. */

import { Refused, VerificationError } from "./errors.js";
import { timeText } from "./claims.js";
import { isDrawn } from "./days.js";
import { compareDrawn } from "./drawn.js";
import { HERE_STEPS, NOTHING_THERE, verifyHere } from "./here.js";
import { failureTable, hereClaims } from "./heretold.js";
import { StepList, claims, el, failure } from "./ui.js";

const ONLY_THESE = "only the logs named above were looked at";
const DRAWN = /** @type {[string, string]} */ (["drawn", "What the page drew is what these entries say"]);

/**
 * @typedef {{model: any, policy: import("./policy.js").Policy, label: string, part: import("./days.js").Part,
 *   source: import("./here.js").Source}} Task
 * @typedef {{state: "good"|"bad"|"none", text: string, stretches: import("./days.js").Stretch[]}} Outcome
 */

/** Check, and tell it in `place`. @param {HTMLElement} place @param {Task} task @returns {Promise<Outcome>} */
export async function checkPart(place, { model, policy, label, part, source }) {
  const what = `${timeText(Math.round(part.from / 1000))} to ${timeText(Math.round(part.to / 1000))}`;
  const banner = el("p", { class: "banner waiting", role: "status" }, `Checking ${what}…`);
  const [told, list] = [el("div", {}), el("div", {})];
  place.replaceChildren(banner, told, el("h3", {}, "What was checked"), list);
  const steps = new StepList(list, [...HERE_STEPS, DRAWN]);
  /** @type {import("./days.js").Stretch[]} */
  let stretches = [];
  const say = (/** @type {"good"|"bad"|"none"} */ state, /** @type {string} */ text) => {
    banner.className = `banner ${state}`;
    banner.textContent = text;
    return { state, text, stretches };
  };
  const began = performance.now();
  try {
    const found = await verifyHere(source, policy, label, steps);
    const wrong = compare(model, found, part, steps);
    stretches = found.logs.flatMap(({ origin, chain, runs }) => runs.map((run) => ({ origin, chain, ...run })));
    if (found.failures.length) {
      told.replaceChildren(...failure(about(found.failures[0]), wrong
        ? `What the page drew is not what the other entries say, either: ${wrong.message}`
        : "The other entries hold, and what the page drew of them is what they say."),
      ...failureTable(found.failures),
      ...claims(hereClaims(found), policy, "What the entries that hold prove", ONLY_THESE));
      return say("bad", `✗ NOT VERIFIED in this browser: ${found.failures.length} of ${found.count} entries ` +
        `${found.failures.length === 1 ? "does" : "do"} not hold: ${what}`);
    }
    if (wrong) {
      throw wrong;
    }
    told.replaceChildren(...claims(hereClaims(found), policy, "What it proves", ONLY_THESE));
    return say("good", `✓ VERIFIED in this browser, in ${seconds(began)}: ${what}`);
  } catch (error) {
    if (error instanceof Refused && error.message === NOTHING_THERE && !isDrawn(model, part)) {
      return say("none", `– nothing is stored and nothing was drawn: ${what}`);
    }
    steps.fail(error);
    told.replaceChildren(...failure(error, "What the page shows of this interval is not confirmed."));
    return say("bad", `✗ NOT VERIFIED in this browser: ${what}`);
  }
}

/** @param {number} began by the performance clock */
export function seconds(began) {
  return `${((performance.now() - began) / 1000).toFixed(1)} s`;
}

/** What was drawn against what the entries say that hold: null, or what is wrong. @param {any} model
 * @param {import("./here.js").Found} found @param {import("./days.js").Part} part @param {StepList} steps
 * @returns {VerificationError|null} */
function compare(model, found, { from, until }, steps) {
  const known = { from, until, waiting: found.waiting > 0, apart: found.apart };
  try {
    const { values, signals, cells, beyond, apart } = compareDrawn(model, found.run, known);
    steps.step("drawn", `${values} values of ${signals} signals in ${cells} cells: count, lowest and highest of each` +
      (beyond ? `; ${beyond} drawn cells at the edge of these entries or outside them were not compared` : "") +
      (apart ? `; ${apart} hold entries that another log carries over, or out of their order: not compared` : ""));
    return null;
  } catch (error) {
    if (!(error instanceof VerificationError)) {
      throw error;
    }
    steps.bad("drawn", error.message);
    return error;
  }
}

/** A failure as an error that names its entry. @param {import("./here.js").Failure} failure */
function about({ message, index, chain, seq }) {
  const error = new VerificationError(message);
  error.entry = index === null ? null : { index: String(index), chain, seq };
  return error;
}

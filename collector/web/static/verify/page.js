"use strict";
/**
 * "Verify here" on the history of a device: the browser fetches what the collector stores of what is shown, checks it,
 * decodes it, and holds what the page drew against it. The page's element #view says what it drew (event
 * `vitaledger:drawn`).
 */

import { VerificationError } from "./errors.js";
import { compareDrawn } from "./drawn.js";
import { HERE_STEPS, verifyHere } from "./here.js";
import { failureTable, hereClaims } from "./heretold.js";
import { missingCrypto } from "./keys.js";
import { timeText } from "./claims.js";
import { StepList, claims, el, failure, policyBox } from "./ui.js";

const MOST_US = 86_400e6;  // a page checks a day at most
const SLACK_US = 600e6;  // what is shown ends with whole cells
const ONLY_THESE = "only the logs named above were looked at";
const DRAWN = /** @type {[string, string]} */ (["drawn", "What the page drew is what these entries say"]);

/** Make the section. @param {HTMLElement} section @param {HTMLElement} view says what it drew */
export async function mount(section, view) {
  section.classList.add("verifier", "card");
  document.head.append(el("link", { rel: "stylesheet", href: new URL("verify.css", import.meta.url).href }));
  section.append(el("h2", {}, "Verify here"), el("p", {},
    "Your browser can check what this page shows by itself: it fetches the raw entries and the hashes around them as they " +
    "are stored, computes hashes and signatures, decodes the values and holds them against those drawn. The code for it " +
    "comes from this collector, too: whoever does not trust the collector downloads the evidence and checks it with a verifier from elsewhere."),
  el("p", {}, el("a", { href: "/verify.html", download: true }, "The verifier as one HTML file"),
    " checks evidence from disk, without network. Have it from somebody whom you trust."));
  const missing = await missingCrypto();
  if (missing) {
    section.append(el("p", { class: "banner bad", role: "alert" }, `It cannot be checked here. ${missing} Download the ` +
      "evidence, and check it with the verifier's file or with vitaledger verify."));
    return;
  }
  new Here(section, view);
}

class Here {
  /** @param {HTMLElement} section @param {HTMLElement} view */
  constructor(section, view) {
    this.view = view;
    /** @type {any} what is drawn */
    this.model = null;
    /** @type {import("./policy.js").Policy|null} */
    this.policy = null;
    this.busy = false;
    this.button = el("button", { type: "button", class: "button", disabled: true, click: () => this.check() },
      "Check in this browser");
    this.note = el("span", { "aria-live": "polite" });
    this.result = el("div", {});
    const box = el("div", {});
    section.append(el("h3", {}, "Whom you trust"), el("p", {}, "A policy names the ledger's key. Take it from another " +
      "source than this collector."), box, el("p", {}, this.button, " ", this.note), this.result);
    policyBox(box, (policy) => {
      this.policy = policy;
      this.enable();
    });
    const drawn = (/** @type {any} */ detail) => {
      this.model = detail?.model.done ? detail.model : this.model;
      this.enable();
    };
    view.addEventListener("vitaledger:drawn", (/** @type {any} */ event) => drawn(event.detail));
    drawn(/** @type {any} */ (view).drawn);  // what was drawn before this listened
  }

  enable() {
    const long = this.model && this.model.to_us - this.model.from_us > MOST_US + SLACK_US;
    this.note.textContent = long ? "More than a day is shown: its last day is checked, or zoom in." : "";
    this.button.disabled = this.busy || !this.model || !this.policy;
  }

  async check() {
    const [model, policy] = [this.model, /** @type {import("./policy.js").Policy} */ (this.policy)];
    const from = Math.round(Math.max(model.from_us, model.to_us - MOST_US));
    const what = `${timeText(Math.round(from / 1000))} to ${timeText(Math.round(model.to_us / 1000))}`;
    const banner = el("p", { class: "banner waiting", role: "status" }, `Checking ${what}…`);
    const [told, list] = [el("div", {}), el("div", {})];
    this.result.replaceChildren(banner, told, el("h3", {}, "What was checked"), list);
    const steps = new StepList(list, [...HERE_STEPS, DRAWN]);
    this.busy = true;
    this.enable();
    try {
      const began = performance.now();
      const found = await verifyHere(this.source(from, model.to_us), policy, this.view.dataset.label ?? "", steps);
      const drawn = compare(model, found, from, steps);
      if (found.failures.length) {
        banner.className = "banner bad";
        banner.textContent = `✗ NOT VERIFIED in this browser: ${found.failures.length} of ${found.count} entries ` +
          `${found.failures.length === 1 ? "does" : "do"} not hold: ${what}`;
        told.replaceChildren(...failure(about(found.failures[0]), drawn
          ? `What the page drew is not what the other entries say, either: ${drawn.message}`
          : "The other entries hold, and what the page drew of them is what they say."),
        ...failureTable(found.failures),
        ...claims(hereClaims(found), policy, "What the entries that hold prove", ONLY_THESE));
      } else if (drawn) {
        throw drawn;
      } else {
        banner.className = "banner good";
        banner.textContent =
          `✓ VERIFIED in this browser, in ${((performance.now() - began) / 1000).toFixed(1)} s: ${what}`;
        told.replaceChildren(...claims(hereClaims(found), policy, "What it proves", ONLY_THESE));
      }
    } catch (error) {
      steps.fail(error);
      banner.className = "banner bad";
      banner.textContent = `✗ NOT VERIFIED in this browser: ${what}`;
      told.replaceChildren(...failure(error, "What the page shows of this interval is not confirmed."));
    }
    this.busy = false;
    this.enable();
  }

  /** Where the collector hands over what it stores. @param {number} from µs @param {number} to µs
   * @returns {import("./here.js").Source} */
  source(from, to) {
    const path = `${this.view.dataset.path}/unchecked`;
    return {
      overview: () => fetchBytes(`${path}?from=${from}&to=${to}`),
      page: (origin, size, first, last) =>
        fetchBytes(`${path}/page?origin=${encodeURIComponent(origin)}&size=${size}&first=${first}&last=${last}`),
    };
  }
}

/** What was drawn against what the entries say that hold: null, or what is wrong. @param {any} model
 * @param {import("./here.js").Found} found @param {number} from @param {StepList} steps @returns {VerificationError|null} */
function compare(model, found, from, steps) {
  const known = { from, waiting: found.waiting > 0, apart: found.apart };
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

/** @param {string} path @returns {Promise<Uint8Array>} */
async function fetchBytes(path) {
  let answer;
  try {
    answer = await fetch(path);
  } catch {
    throw new VerificationError("the collector could not be reached");
  }
  if (!answer.ok) {
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const said = page.querySelector("main .card")?.textContent?.trim() ?? `status ${answer.status}`;
    throw new VerificationError(`the collector gives nothing: ${said}`);
  }
  return new Uint8Array(await answer.arrayBuffer());
}

const [section, view] = [document.getElementById("verify-here"), document.getElementById("view")];
if (section && view) {
  mount(section, view);
}

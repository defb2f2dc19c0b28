"use strict";
/**
 * "Verify here" on the history of a device: the browser fetches the evidence of what is shown, checks it, decodes it, and
 * holds what the page drew against it. The page's element #view says what it drew (event `vitaledger:drawn`).
 */

import { verifyEvidence } from "./evidence.js";
import { VerificationError } from "./errors.js";
import { compareDrawn } from "./drawn.js";
import { missingCrypto } from "./keys.js";
import { timeText } from "./claims.js";
import { StepList, claims, el, failure, policyBox } from "./ui.js";
import { readZip } from "./zip.js";

const MOST_US = 86_400e6;  // a page exports a day at most
const SLACK_US = 600e6;  // what is shown ends with whole cells
const BEFORE = /** @type {[string, string][]} */ ([["fetch", "The collector gives the evidence of what is shown"],
  ["zip", "The file is a zip, whole and undamaged"]]);
const AFTER = /** @type {[string, string][]} */ ([["drawn", "What the page drew is what these entries say"]]);

/** Make the section. @param {HTMLElement} section @param {HTMLElement} view says what it drew */
export async function mount(section, view) {
  section.classList.add("verifier", "card");
  document.head.append(el("link", { rel: "stylesheet", href: new URL("verify.css", import.meta.url).href }));
  section.append(el("h2", {}, "Verify here"), el("p", {},
    "Your browser can check what this page shows by itself: it fetches the raw entries and the proofs, computes hashes and " +
    "signatures, decodes the values and holds them against those drawn. The code for it comes from this collector, too: " +
    "whoever does not trust the collector downloads the evidence and checks it with a verifier from elsewhere."),
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
    const from = Math.max(model.from_us, model.to_us - MOST_US);
    const what = `${timeText(Math.round(from / 1000))} to ${timeText(Math.round(model.to_us / 1000))}`;
    const banner = el("p", { class: "banner waiting", role: "status" }, `Checking ${what}…`);
    const [told, list] = [el("div", {}), el("div", {})];
    this.result.replaceChildren(banner, told, el("h3", {}, "What was checked"), list);
    const steps = new StepList(list, BEFORE, AFTER);
    this.busy = true;
    this.enable();
    try {
      const began = performance.now();
      const archive = await this.fetch(from, model.to_us);
      steps.step("fetch", `${archive.length} bytes`);
      const files = await readZip(archive, (done, of) => steps.progress("zip", done, of));
      steps.step("zip", `${files.size} files`);
      const proven = await verifyEvidence(files, policy, steps);
      const found = compareDrawn(model, proven.run);
      steps.step("drawn", `${found.values} values of ${found.signals} signals in ${found.cells} cells: count, lowest and ` +
        `highest of each${found.beyond ? `; ${found.beyond} drawn cells at the edge of these entries or outside them ` +
        "were not compared" : ""}`);
      banner.className = "banner good";
      banner.textContent = `✓ VERIFIED in this browser, in ${((performance.now() - began) / 1000).toFixed(1)} s: ${what}`;
      told.replaceChildren(...claims(proven, policy));
    } catch (error) {
      steps.fail(error);
      banner.className = "banner bad";
      banner.textContent = `✗ NOT VERIFIED in this browser: ${what}`;
      told.replaceChildren(...failure(error, "What the page shows of this interval is not confirmed."));
    }
    this.busy = false;
    this.enable();
  }

  /** @param {number} from µs @param {number} to µs @returns {Promise<Uint8Array>} */
  async fetch(from, to) {
    const iso = (/** @type {number} */ us) => encodeURIComponent(new Date(us / 1000).toISOString());
    const path = `${this.view.dataset.path}/export/evidence?from=${iso(from)}&to=${iso(to)}&plain=1`;
    let answer;
    try {
      answer = await fetch(path);
    } catch {
      throw new VerificationError("the collector could not be reached");
    }
    if (!answer.ok) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const said = page.querySelector("main .card")?.textContent?.trim() ?? `status ${answer.status}`;
      throw new VerificationError(`the collector gives none: ${said}`);
    }
    return new Uint8Array(await answer.arrayBuffer());
  }
}

const [section, view] = [document.getElementById("verify-here"), document.getElementById("view")];
if (section && view) {
  mount(section, view);
}

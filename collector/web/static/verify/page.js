"use strict";
/**
 * "Verify here" on the history of a device: the browser fetches what the collector stores of what is shown, checks it,
 * decodes it, and holds what the page drew against it. The page's element #view says what it drew (event
 * `vitaledger:drawn`).
 */

import { VerificationError } from "./errors.js";
import { timeText } from "./claims.js";
import { partsOf, stretchWords } from "./days.js";
import { missingCrypto } from "./keys.js";
import { checkPart, seconds } from "./part.js";
import { el, policyBox } from "./ui.js";

const MOST_US = 86_400e6;  // the collector hands over a day at a time

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
    const days = this.model ? this.parts().length : 1;
    this.note.textContent = days > 1 && !this.busy ? `In ${days} parts of a day at most, the newest first.` : "";
    this.button.disabled = this.busy || !this.model || !this.policy;
  }

  /** @returns {import("./days.js").Part[]} */
  parts() {
    const { from_us, to_us, cell_us } = this.model;
    return partsOf(Math.round(from_us), Math.round(to_us), MOST_US, cell_us);
  }

  async check() {
    this.busy = true;
    this.enable();
    const [model, policy, label] = [this.model, this.policy, this.view.dataset.label ?? ""];
    const tasks = this.parts().map((part) =>
      ({ model, policy: /** @type {any} */ (policy), label, part, source: this.source(part.from, part.to) }));
    await (tasks.length === 1 ? checkPart(this.result, tasks[0]) : this.checkAll(tasks));
    this.busy = false;
    this.enable();
  }

  /** A part after the other, each told in a place of its own. @param {import("./part.js").Task[]} tasks */
  async checkAll(tasks) {
    const [began, { model }] = [performance.now(), tasks[0]];
    const banner = el("p", { class: "banner waiting", role: "status" });
    let stopped = false;
    const stop = el("button", { type: "button", class: "button", click: () => {
      stopped = true;
    } }, "Stop");
    const list = el("div", { class: "parts" });
    this.result.replaceChildren(banner, stop, list);
    /** @type {import("./part.js").Outcome[]} */
    const done = [];
    for (const task of tasks) {
      banner.textContent = `Checking part ${done.length + 1} of ${tasks.length}…`;
      const [line, place] = [el("summary", {}, banner.textContent), el("div", {})];
      const shown = el("details", {}, line, place);
      list.append(shown);
      const outcome = await checkPart(place, task);
      line.textContent = outcome.text;
      shown.dataset.state = outcome.state;
      shown.open = outcome.state === "bad";
      done.push(outcome);
      if (stopped) {
        break;
      }
    }
    stop.remove();
    const last = tasks[done.length - 1].part;
    const what = `${timeText(Math.round(last.from / 1000))} to ${timeText(Math.round(model.to_us / 1000))}`;
    const rest = done.length < tasks.length
      ? ` Stopped: ${done.length} of ${tasks.length} parts were looked at, the newest first.` : "";
    const wrong = done.filter(({ state }) => state === "bad").length;
    const held = !wrong && done.some(({ state }) => state === "good");
    banner.className = `banner ${held ? "good" : "bad"}`;
    banner.textContent = held ? `✓ VERIFIED in this browser, in ${seconds(began)}: ${what}.${rest}`
      : `✗ NOT VERIFIED in this browser: ${wrong ? `${wrong} of ${done.length} parts` : "there is nothing to verify"}: ` +
        `${what}.${rest}`;
    list.before(...stretchWords(done.flatMap(({ stretches }) => stretches)).map((words) => el("p", {}, `Entries ${words}.`)));
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

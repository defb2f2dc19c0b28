"use strict";
/** The pieces of a page that shows a check: whom the reader trusts, the steps, what is proven, the readings. */

import { Refused } from "./errors.js";
import { utf8 } from "./bytes.js";
import { COSIGNATURE, fingerprint } from "./keys.js";
import { parsePolicy } from "./policy.js";
import { limitsOf } from "./claims.js";
import { rowCount, tableRows } from "./table.js";

const ROWS = 200;

/**
 * An element. Text is text, never markup: devices chose some of it.
 * @param {string} tag @param {Record<string, any>} attributes @param {...(Node|string)} children @returns {any}
 */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") {
      made.addEventListener(name, value);
    } else if (value !== false && value !== null) {
      made.setAttribute(name, value === true ? "" : value);
    }
  }
  made.append(...children);
  return made;
}

/**
 * The box for the policy, with the keys that it trusts shown as fingerprints below.
 * @param {HTMLElement} place @param {(policy: import("./policy.js").Policy|null) => void} changed
 */
export function policyBox(place, changed) {
  const keys = el("div", { "aria-live": "polite" });
  const area = el("textarea", { id: "policy-text", rows: "4", spellcheck: "false", autocomplete: "off",
    placeholder: "log ledger.example/ledger+1a2b3c4d+A…\nquorum none", input: () => read() });
  const file = el("input", { type: "file", id: "policy-file", change: async () => {
    if (file.files[0]) {
      area.value = await file.files[0].text();
      await read();
    }
  } });
  let turn = 0;
  const read = async () => {
    const mine = ++turn;
    let policy = null;
    let shown = /** @type {Node[]} */ ([]);
    try {
      policy = area.value.trim() ? await parsePolicy(utf8(area.value)) : null;
      shown = policy ? [await keyTable(policy)] : [];
    } catch (error) {
      shown = [el("p", { class: "bad" }, `This is no policy: ${messageOf(error)}`)];
    }
    if (mine === turn) {  // what was typed since then counts
      keys.replaceChildren(...shown);
      changed(policy);
    }
  };
  place.append(
    el("label", { for: "policy-text" }, "Paste the policy"), area,
    el("p", {}, el("label", { for: "policy-file" }, "or load it from a file "), file), keys);
}

/** @param {import("./policy.js").Policy} policy */
async function keyTable(policy) {
  const rows = [];
  for (const { vkey, role } of [...policy.logs.map((vkey) => ({ vkey, role: "ledger" })),
    ...policy.witnesses.map(({ vkey }) => ({ vkey, role: vkey.type === COSIGNATURE ? "witness" : "witness, not checked here" }))]) {
    rows.push(el("tr", {}, el("td", {}, role), el("td", {}, vkey.name), el("td", {}, el("code", {}, vkey.id)),
      el("td", {}, el("code", {}, await fingerprint(vkey)))));
  }
  const quorum = policy.quorum === null ? "No witness is asked for."
    : `A checkpoint must be cosigned as “${policy.quorum}” of the policy says.`;
  return el("div", {}, el("table", { class: "keys" }, el("caption", {}, "You trust these keys and no other. Compare the " +
    "fingerprints with those that you had from another source than the evidence."),
  el("thead", {}, headRow(["role", "name", "key ID", "fingerprint"])), el("tbody", {}, ...rows)), el("p", {}, quorum));
}

/** @param {string[]} names */
export function headRow(names) {
  return el("tr", {}, ...names.map((name) => el("th", { scope: "col" }, name)));
}

/** @param {unknown} error */
export function messageOf(error) {
  return error instanceof Refused ? error.message : `the verifier itself failed: ${error}`;
}

/** The list of steps, and the listener that fills it in. */
export class StepList {
  /** @param {HTMLElement} place @param {[string, string][]} steps */
  constructor(place, steps) {
    this.items = new Map(steps.map(([id, words]) => [id,
      el("li", { "data-step": id, "data-state": "waiting" }, el("span", { class: "words" }, words),
        el("span", { class: "verdict" }, "not reached"), el("span", { class: "result" }))]));
    place.replaceChildren(el("ol", { class: "steps" }, ...this.items.values()));
  }

  /** @param {string} id @param {string} state @param {string} word @param {string} result */
  set(id, state, word, result) {
    const item = this.items.get(id);
    item.dataset.state = state;
    item.querySelector(".verdict").textContent = word;
    item.querySelector(".result").textContent = result;
  }

  /** @param {string} id @param {string} result */
  step(id, result) {
    this.set(id, "good", "✓ holds", result);
  }

  /** There is nothing to check. @param {string} id @param {string} result */
  skip(id, result) {
    this.set(id, "none", "– none", result);
  }

  /** @param {string} id @param {number} done @param {number} of */
  progress(id, done, of) {
    this.set(id, "busy", "checking", `${done} of ${of}`);
  }

  /** What was checked does not hold; other steps may go on. @param {string} id @param {string} result */
  bad(id, result) {
    this.set(id, "bad", "✗ failed", result);
  }

  /** The first step that did not come to its end has failed. @param {unknown} error */
  fail(error) {
    const [id] = [...this.items].find(([, item]) => !["good", "none", "bad"].includes(item.dataset.state)) ?? [];
    if (id) {
      this.bad(id, messageOf(error));
    }
  }
}

/** What failed, in words. @param {unknown} error @param {string} follows what follows from it @returns {Node[]} */
export function failure(error, follows) {
  const entry = error instanceof Refused ? error.entry : null;
  const which = entry ? `It is about the entry at index ${entry.index} of the gateway's log` +
    (entry.seq === null ? "." : `, which is number ${entry.seq} of ${entry.chain}.`) : "";
  return [el("p", { class: "why" }, messageOf(error)), ...(which ? [el("p", { class: "which" }, which)] : []),
    el("p", {}, follows)];
}

/** What is proven, and what is not. @param {import("./claims.js").Told[]} told
 * @param {import("./policy.js").Policy} policy @param {string} title @param {string} [what] was checked @returns {Node[]} */
export function claims(told, policy, title = "What it proves", what = undefined) {
  const list = el("dl", { class: "claims" });
  for (const { label, lines } of told) {
    const loud = label === "FINDING" || label === "NOT CLINICAL" ? "loud" : null;
    list.append(el("dt", { class: loud }, label), ...lines.map((line) => el("dd", { class: loud }, line)));
  }
  return [el("h3", {}, title), list, el("h3", {}, "What it cannot prove"),
    el("ul", { class: "limits" }, ...limitsOf(policy, what).map((line) => el("li", {}, line)))];
}

/** The readings, page by page, each with its state. @param {import("./evidence.js").Verified} proven */
export function readingsTable(proven) {
  const begins = [0];  // the number of each entry's first row; rows are made when they are shown
  for (const placed of proven.run) {
    begins.push(begins[begins.length - 1] + rowCount(placed));
  }
  const total = begins[begins.length - 1];
  const body = el("tbody");
  const where = el("span", { "aria-live": "polite" });
  let first = 0;
  const show = (/** @type {number} */ from) => {
    first = Math.max(0, Math.min(from, total - 1));
    first -= first % ROWS;
    const shown = proven.run.flatMap((placed, n) => (begins[n + 1] > first && begins[n] < first + ROWS
      ? tableRows(placed).filter((_, row) => begins[n] + row >= first && begins[n] + row < first + ROWS) : []));
    body.replaceChildren(...shown.map(rowOf));
    where.textContent = `${first + 1} to ${first + shown.length} of ${total}`;
    back.disabled = first === 0;
    on.disabled = first + ROWS >= total;
  };
  const back = el("button", { type: "button", click: () => show(first - ROWS) }, "Earlier");
  const on = el("button", { type: "button", click: () => show(first + ROWS) }, "Later");
  const names = ["time (gateway's clock)", "what", "value", "unit", "how good", "entry", "state"];
  show(0);
  return [el("h3", {}, "Readings and events"),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Readings and events" },
      el("table", { class: "readings" }, el("caption", {}, "As the entries say, decoded here."),
        el("thead", {}, headRow(names)), body)),
    el("p", { class: "pages" }, back, " ", where, " ", on)];
}

/** @param {import("./table.js").Row} row */
function rowOf(row) {
  const good = row.absence ? `no value: ${row.absence}` : row.kind === "reading" ? row.quality || "good" : row.text ?? "";
  const cells = [row.time.replace("T", " ").replace(/000Z$/, "Z"), row.signal ? row.signal : row.kind,
    row.kind === "wave" ? `${row.value} samples` : row.absence ? "–" : row.value ?? "", row.unit ?? "", good, row.entry,
    row.kind === "finding" ? "proven, not readable" : row.kind === "withheld" ? "left out" : "proven"];
  return el("tr", { "data-kind": row.kind }, ...cells.map((cell) => el("td", {}, cell)));
}

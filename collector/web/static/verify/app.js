"use strict";
/** The single-file verifier: an evidence file and a policy go in, what is proven comes out. Nothing leaves the page. */

import { hex, sha256 } from "./bytes.js";
import { missingCrypto } from "./keys.js";
import { claimsOf } from "./claims.js";
import { STEPS, verifyEvidence } from "./evidence.js";
import { StepList, claims, el, failure, policyBox, readingsTable } from "./ui.js";
import { readZip } from "./zip.js";

const ZIP_STEP = /** @type {[string, string]} */ (["zip", "The file is a zip, whole and undamaged"]);

/** @param {string} id @returns {any} */
const byId = (id) => document.getElementById(id);

class App {
  constructor() {
    /** @type {File|null} */
    this.file = null;
    /** @type {import("./policy.js").Policy|null} */
    this.policy = null;
    this.turn = 0;
    const input = byId("evidence-file");
    input.addEventListener("change", () => this.choose(input.files[0]));
    const zone = byId("drop");
    for (const kind of ["dragover", "dragleave", "drop"]) {
      document.addEventListener(kind, (/** @type {any} */ event) => {
        event.preventDefault();
        zone.dataset.over = kind === "dragover" ? "yes" : "no";
        if (kind === "drop" && event.dataTransfer.files[0]) {
          this.choose(event.dataTransfer.files[0]);
        }
      });
    }
    policyBox(byId("policy"), (policy) => {
      this.policy = policy;
      this.check();
    });
  }

  /** @param {File|undefined} file */
  async choose(file) {
    if (file) {
      this.file = file;
      byId("chosen").textContent = `Chosen: ${file.name}, ${file.size} bytes`;
      await this.check();
    }
  }

  async check() {
    const [place, turn, file, policy] = [byId("result"), ++this.turn, this.file, this.policy];
    byId("result-section").hidden = !file;
    if (!file) {
      return;
    }
    if (!policy) {
      place.replaceChildren(el("p", { class: "banner waiting", role: "status" },
        "Not checked yet: it needs a policy that says whom you trust."));
      return;
    }
    const banner = el("p", { class: "banner waiting", role: "status" }, "Checking…");
    const [stepsPlace, told] = [el("div"), el("div")];
    place.replaceChildren(banner, told, el("h3", {}, "What was checked"), stepsPlace);
    const steps = new StepList(stepsPlace, [ZIP_STEP, ...STEPS]);
    try {
      const archive = new Uint8Array(await file.arrayBuffer());
      const digest = hex(await sha256(archive));
      const files = await readZip(archive, (done, of) => steps.progress("zip", done, of));
      steps.step("zip", `${files.size} files; SHA-256 of the whole: ${digest}`);
      const proven = await verifyEvidence(files, policy, steps);
      if (turn === this.turn) {
        banner.className = "banner good";
        banner.textContent = "✓ VERIFIED: this file proves what stands below, to whoever trusts the keys above.";
        told.replaceChildren(...claims(claimsOf(proven), policy), ...readingsTable(proven));
      }
    } catch (error) {
      if (turn === this.turn) {
        steps.fail(error);
        banner.className = "banner bad";
        banner.textContent = "✗ NOT VERIFIED";
        told.replaceChildren(...failure(error,
          "No reading is shown: none of this file is verified as long as one of its checks fails."));
      }
    }
  }
}

const missing = await missingCrypto();
if (missing) {
  byId("unable").textContent = `This page cannot check anything here. ${missing}`;
  byId("unable").hidden = false;
} else {
  new App();
  document.documentElement.dataset.ready = "yes";
}

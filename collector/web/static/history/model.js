// What has arrived of a view: cells by signal, runs of proof, events and counts. Parts add up, in any order.
export const MARKS = [
  { bits: 0xff00, sign: "○", name: "no value" },
  { bits: 4, sign: "×", name: "artefact" },
  { bits: 8, sign: "⊘", name: "invalid" },
  { bits: 16, sign: "!", name: "implausible" },
  { bits: 2, sign: "=", name: "stands still" },
];
const ABSENCES = ["invalid", "sensor disconnected", "sensor off", "probe error", "searching", "calibrating", "not applicable", "out of range"];
export const LOW = 1;

export function absences(marks) {
  return ABSENCES.filter((_, at) => marks & (1 << (8 + at)));
}

export class Model {
  constructor(head) {
    Object.assign(this, head); // from_us, to_us, cell_us, identity, alarm, settings, begins_here
    this.signals = new Map();
    this.runs = [];
    this.events = [];
    this.counts = { entries: 0, readings: 0, wave_samples: 0, from_memory: 0, bound_ms: 0, unsynchronised: 0 };
    this.reached = head.to_us; // verified back to here
    this.done = null;
  }

  add(part) {
    for (const each of part.signals) {
      const { cell, n, lo, hi, marks, below_us: below, ...signal } = each;
      let column = this.signals.get(signal.key);
      if (!column) this.signals.set(signal.key, (column = { signal, cells: new Map(), below_us: 0 }));
      column.below_us += below;
      for (let i = 0; i < cell.length; i++) {
        const old = column.cells.get(cell[i]);
        if (!old) column.cells.set(cell[i], { n: n[i], lo: lo[i], hi: hi[i], marks: marks[i] });
        else {
          if (n[i]) {
            old.lo = old.n ? Math.min(old.lo, lo[i]) : lo[i];
            old.hi = old.n ? Math.max(old.hi, hi[i]) : hi[i];
          }
          old.n += n[i];
          old.marks |= marks[i];
        }
      }
    }
    this.runs = merged([...this.runs, ...part.runs]);
    this.events.push(...part.events);
    for (const key of ["entries", "readings", "wave_samples", "from_memory", "unsynchronised"]) this.counts[key] += part[key];
    this.counts.bound_ms = Math.max(this.counts.bound_ms, part.bound_ms);
    for (const run of part.runs) if (run.from_us) this.reached = Math.min(this.reached, run.from_us);
  }

  finish(done) {
    this.done = done;
    this.reached = this.from_us;
    this.events.sort((a, b) => a.from_us - b.from_us || a.seq - b.seq);
  }

  gaps() {
    return this.events.filter((each) => (each.kind === "gap" || each.kind === "silence") && each.at_us > each.from_us);
  }

  alarms() { // from onset to end, by what the device called it
    const open = new Map();
    const found = [];
    const sorted = this.events.filter((each) => each.kind === "alarm").sort((a, b) => a.at_us - b.at_us || a.seq - b.seq);
    if (this.alarm?.more.on) open.set(this.alarm.more.text, { ...this.alarm, from_us: this.from_us, before: true });
    for (const each of sorted) {
      const key = each.more.text;
      const begun = open.get(key);
      if (!begun && each.more.phase !== "end") open.set(key, { ...each, from_us: each.at_us });
      if (each.more.phase === "end") {
        open.delete(key);
        found.push({ ...(begun ?? { ...each, from_us: this.from_us, before: true }), to_us: each.at_us });
      }
    }
    const last = Math.max(this.from_us, ...this.runs.map((run) => run.to_us));
    for (const each of open.values()) found.push({ ...each, to_us: Math.min(last, this.to_us), on: true });
    return found.sort((a, b) => a.from_us - b.from_us);
  }

  bad() {
    return this.runs.filter((run) => run.state === "failed" || run.state === "finding");
  }
}

function merged(runs) {
  const sorted = runs.sort((a, b) => (a.origin < b.origin ? -1 : a.origin > b.origin ? 1 : a.first - b.first));
  const found = [];
  for (const run of sorted) {
    const last = found[found.length - 1];
    if (last && last.origin === run.origin && last.state === run.state && last.reason === run.reason && run.first <= last.last + 1) {
      last.last = Math.max(last.last, run.last);
      last.from_us = Math.min(last.from_us, run.from_us);
      last.to_us = Math.max(last.to_us, run.to_us);
    } else found.push({ ...run });
  }
  return found;
}

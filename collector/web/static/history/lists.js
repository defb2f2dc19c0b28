// The same in words: figures of the interval, runs of proof, events, and what was in force at its start.
import { length, parts, when } from "../base.js";
import { badText, gapText } from "./areas.js";

const byId = (id) => document.getElementById(id);
const MOST = 300;

function set(id, text, kind = "") {
  const found = byId(id);
  if (found.textContent !== text) found.textContent = text;
  if (found.className !== kind && !found.classList.contains("note")) found.className = kind;
}

function make(name, text = "", kind = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

export function stateLink(state, names, icons) {
  const link = make("a", "", `state state-${state}`);
  link.href = `/explained#${state}`;
  const sign = make("span", icons[state], "sign");
  sign.setAttribute("aria-hidden", "true");
  link.append(sign, names[state]);
  return link;
}

export function tiles(model, names) {
  const bad = model.bad();
  const failed = bad.filter((run) => run.state === "failed");
  const entries = (runs) => runs.reduce((sum, run) => sum + run.last - run.first + 1, 0);
  const waiting = model.runs.filter((run) => run.state === "custody" || run.state === "stored");
  const done = model.done !== null;
  const soFar = done ? "" : "so far, being verified";
  if (failed.length) set("tile-proof", `✕ ${entries(failed)} failed`, "bad");
  else if (bad.length) set("tile-proof", `▲ ${entries(bad)} not readable`, "look");
  else if (!done) set("tile-proof", "… verifying");
  else if (!model.runs.length) set("tile-proof", "no entries");
  else if (waiting.length) set("tile-proof", `◔ ${entries(waiting)} in custody`);
  else set("tile-proof", `✓ all ${names.proven}`, "good");
  set("tile-proof-note", soFar || (bad.length ? badText(bad[0]) : `${model.counts.entries.toLocaleString("en")} entries verified`));
  const spo2 = [...model.signals.values()].find((each) => each.signal.code === 150456 && each.signal.primary);
  set("tile-below", spo2 ? length(spo2.below_us) : "no SpO₂");
  set("tile-below-note", soFar || (spo2 ? "of the readings that are drawn" : ""));
  const days = new Set();
  let drawn = 0;
  for (const column of model.signals.values()) {
    for (const [number, cell] of column.cells) {
      if (!cell.n) continue;
      drawn += cell.n;
      const at = parts(number * model.cell_us);
      days.add(`${at.year}-${at.month}-${at.day}`);
    }
  }
  const whole = Math.max(1, Math.ceil((model.to_us - model.from_us) / 86400e6));
  set("tile-days", `${days.size}`);
  set("tile-days-note", soFar || (whole > 1 ? `of ${whole} days` : [...days].join(", ") || "none"));
  set("tile-readings", drawn.toLocaleString("en"));
  const memory = model.counts.from_memory ? `${model.counts.from_memory.toLocaleString("en")} out of the device’s memory: listed, not drawn` : "drawn as values";
  set("tile-readings-note", soFar || memory);
  const gaps = model.gaps();
  set("tile-gaps", `${gaps.length}`);
  set("tile-gaps-note", soFar || (gaps.length ? `${length(gaps.reduce((sum, gap) => sum + gap.at_us - gap.from_us, 0))} in all` : "none in this interval"));
  const { bound_ms: bound, unsynchronised } = model.counts;
  if (unsynchronised) set("tile-clock", "▲ no bound", "look");
  else set("tile-clock", model.counts.entries ? `± ${bound} ms` : "–");
  const offset = [...model.events].reverse().find((each) => each.kind === "clock");
  const device = offset ? `device clock ${offset.more.offset_ms > 0 ? "+" : ""}${Math.round(offset.more.offset_ms / 1000)} s` : "as the gateway stated it";
  set("tile-clock-note", soFar || (unsynchronised ? "not synchronised" : device));
}

export function runsTable(model, names, icons, chosen) {
  const body = byId("runs");
  const ordered = [...model.runs].sort((a, b) => Number(b.state === "failed") - Number(a.state === "failed") || Number(b.state === "finding") - Number(a.state === "finding") || a.from_us - b.from_us);
  body.replaceChildren(...ordered.slice(0, MOST).map((run) => {
    const row = make("tr", "", run.state === "failed" ? "level-3" : run.state === "finding" ? "level-2" : "");
    row.id = `entry-${run.first}`;
    if (chosen !== "" && Number(chosen) >= run.first && Number(chosen) <= run.last && run.state !== "proven") row.classList.add("chosen");
    const state = make("td");
    state.append(stateLink(run.state, names, icons));
    const which = run.first === run.last ? `${run.first}` : `${run.first} to ${run.last}`;
    const time = (us) => make("td", us ? `${run.timed ? "" : "about "}${when(us)}` : "not known", "time");
    row.append(state, make("td", which, "num"), time(run.from_us), time(run.to_us), make("td", run.reason || `of ${run.origin}, complete and linked`));
    return row;
  }));
  const more = ordered.length > MOST ? ` ${ordered.length - MOST} more runs are not listed: zoom in.` : "";
  const bad = model.bad();
  const words = model.done === null ? "Being verified: this list grows." : !model.runs.length ? "There is no entry in this interval." : bad.length ? `Not everything is proven: ${bad.slice(0, 3).map(badText).join("; ")}${bad.length > 3 ? "; …" : ""}.` : "Everything that is shown holds.";
  set("proof-words", words + more, "faint");
}

function said(event, text) { // a device that goes on under another name is one click away
  const cell = make("td", text);
  if (!event.more.next) return cell;
  const gateway = byId("view").dataset.gateway;
  const link = make("a", "to its history");
  link.href = `/devices/${encodeURI(event.more.next.includes(":sn:") ? event.more.next : `${gateway}/${event.more.next}`)}`;
  cell.append(" – ", link);
  return cell;
}

export function eventsTable(model, names, icons) {
  const body = byId("events");
  const kinds = { gap: "gap", silence: "silence", identity: "identity", line: "line", alarm: "alarm", clock: "device clock", notice: "notice", memory: "device’s memory", errors: "bad frames", other: "event" };
  const left = (model.done?.events_left_out ?? 0) + Math.max(model.events.length - MOST, 0);
  if (model.done && !model.events.length) {
    const row = make("tr");
    row.append(Object.assign(make("td", "None in this interval.", "faint"), { colSpan: 5 }));
    body.replaceChildren(row);
    set("events-count", "", "faint");
    return;
  }
  set("events-count", left ? `the first ${MOST}; ${left} more: zoom in` : `${model.events.length}`, "faint");
  body.replaceChildren(...model.events.slice(0, MOST).map((event) => {
    const row = make("tr");
    const proof = make("td");
    proof.append(stateLink(event.state, names, icons));
    const text = event.kind === "gap" && event.at_us > event.from_us ? gapText(event) + (event.more.detail ? ` (${event.more.detail})` : "") : event.text;
    row.append(make("td", when(event.from_us), "time"), make("td", event.at_us > event.from_us ? when(event.at_us) : "", "time"), make("td", kinds[event.kind]), said(event, text), proof);
    return row;
  }));
}

export function inForce(head) {
  const facts = [
    ["Identity", head.identity ? head.identity.text : "none told before"],
    ["Alarm state", head.alarm ? (head.alarm.more.on ? `${head.alarm.text}${head.alarm.more.silenced ? ", silenced" : ""}, since ${when(head.alarm.at_us)}` : `no alarm; the last one, ${head.alarm.more.text}, ended ${when(head.alarm.at_us)}`) : "none told before"],
    ["Device’s clock", head.clock ? `${head.clock.text}, told ${when(head.clock.at_us)}` : "none told before"],
    ["Settings", head.settings ?? "none told by this device"],
  ];
  if (head.begins_here) facts.push(["Record", "begins in this interval"]);
  byId("in-force").replaceChildren(...facts.map(([name, text]) => {
    const made = make("div");
    made.append(make("dt", name), make("dd", text));
    return made;
  }));
}

"use strict";
/** What event entries say: `[number, field, …]`; device events below 32 (`vitaledger/events.py`). */

import { CLOCK, MAX_BODY, MAX_CHAIN, MAX_LEAF } from "./entry.js";
import { ALARM_KIND, ALARM_PHASE, ALARM_PRIORITY, CHECK, GAP_REASON, LINE_STATE, SURENESS, USE } from "./marks.js";
import { HASH, arrayOf, blob, decodeShape, enumOf, integer, nullOr, record, text, uint, union } from "./shape.js";

const MAX_EVENT_NOTE = 16 * 1024;
const LINE = text(0, 256);
const HEAD = record([["chain", text(1, MAX_CHAIN)], ["next_seq", uint()], ["last", HASH]]);
const LIMIT = record([["handle", text(1, 32)], ["low", nullOr(integer())], ["high", nullOr(integer())],
  ["exponent", uint(-18, 18)]]);
const LEDGER_HEAD = record([["origin", text(1, 256)], ["size", uint()], ["root", HASH]]);

/** @type {[number, string, [string, import("./shape.js").Shape][]][]} */
const EVENTS = [
  [1, "identity", [
    ["make", text(0, 64)], ["model", text(0, 64)], ["serial", nullOr(text(1, 64))], ["firmware", nullOr(text(1, 64))],
    ["port", text(1, 64)], ["sureness", enumOf("Sureness", SURENESS)], ["driver", text(1, 32)],
    ["driver_version", text(1, 32)], ["use", enumOf("Use", USE)], ["check", enumOf("Check", CHECK)],
  ]],
  [2, "line", [["state", enumOf("LineState", LINE_STATE)], ["port", text(1, 64)], ["detail", LINE],
    ["next_chain", nullOr(text(1, MAX_CHAIN))]]],
  [3, "gap", [["reason", enumOf("GapReason", GAP_REASON)], ["since", nullOr(CLOCK)], ["detail", LINE],
    ["dropped_bytes", nullOr(uint())]]],
  [4, "silence", [["since", CLOCK]]],
  [5, "frame-errors", [["counts", arrayOf(record([["kind", text(1, 32)], ["count", uint(1)]]), 1, 32)]]],
  [6, "alarm", [
    ["bits", text(0, 64)], ["code", nullOr(uint(0, 2 ** 32 - 1))], ["kind", enumOf("AlarmKind", ALARM_KIND)],
    ["phase", enumOf("AlarmPhase", ALARM_PHASE)], ["priority", enumOf("AlarmPriority", ALARM_PRIORITY)],
    ["silenced", uint(0, 1)], ["text", LINE], ["limits", arrayOf(LIMIT, 0, 32)],
  ]],
  [7, "clock-offset", [["device_time", text(1, 64)], ["offset_ms", integer()]]],
  [13, "notice", [["text", text(1, 256)]]],
  [32, "boot", [["version", text(1, 32)], ["run_id", blob(16, 16)], ["clean", uint(0, 1)], ["detail", LINE]]],
  [33, "stop", [["detail", LINE]]],
  [34, "clock-step", [["delta_ms", integer()], ["bound_ms", nullOr(uint())]]],
  [35, "config", [["digest", HASH]]],
  [36, "disk", [["free", uint()], ["total", uint()], ["detail", LINE]]],
  [37, "heads", [["chains", arrayOf(HEAD, 0, 128)], ["ledger", nullOr(LEDGER_HEAD)]]],
  [38, "incident", [["part", text(1, 32)], ["detail", LINE]]],
  [48, "succeeds", [["checkpoint", blob(0, MAX_EVENT_NOTE)], ["chains", arrayOf(HEAD, 0, 128)]]],
  [49, "carried", [["origin", text(1, 256)], ["index", uint()], ["leaf", blob(1, MAX_LEAF)],
    ["body", blob(0, MAX_BODY)]]],
];
const EVENT = union(new Map(EVENTS.map(([tag, name, fields]) => [tag, record(fields, { tag, name })])), "event");
const OF_GATEWAY = new Set(EVENTS.filter(([tag]) => tag >= 32).map(([, name]) => name));

/** An event; its `type` is its word. @param {Uint8Array} content */
export function decodeEvent(content) {
  return decodeShape(EVENT, content, "event");
}

/** Whether an event belongs on the gateway's own micro-chain. @param {any} event */
export function ofGateway(event) {
  return OF_GATEWAY.has(event.type);
}

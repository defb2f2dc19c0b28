"use strict";
/** The files in an evidence file: a zip, stored or deflated, each name once, each file with the checksum that it states. */

import { MalformedError, about } from "./errors.js";
import { latin1 } from "./bytes.js";
import { inflate } from "./inflate.js";

const END = 0x06054b50;
const END_64 = 0x06064b50;
const LOCATOR_64 = 0x07064b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const [STORED, DEFLATED] = [0, 8];
const REFUSED_FLAGS = 0x2061;  // encrypted, patched, masked
const MAX_ZIP_FILE = 1024 * 1024;  // one file inside, the table apart
const MAX_ZIP_TABLE = 1024 * 1024 * 1024;
const MAX_TOTAL = 2 * 1024 * 1024 * 1024;
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let crc = n;
  for (let bit = 0; bit < 8; bit++) {
    crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return crc;
});

/** @param {Uint8Array} data */
export function crc32(data) {
  let crc = 0xffffffff;
  for (let at = 0; at < data.length; at++) {
    crc = CRC_TABLE[(crc ^ data[at]) & 0xff] ^ (crc >>> 8);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/**
 * @param {Uint8Array} archive
 * @param {(done: number, of: number) => void} [progress]
 * @returns {Promise<Map<string, Uint8Array>>}
 */
export async function readZip(archive, progress = () => {}) {
  const view = new DataView(archive.buffer, archive.byteOffset, archive.byteLength);
  const end = findEnd(view);
  /** @type {Map<string, Uint8Array>} */
  const files = new Map();
  let at = end.offset;
  let total = 0;
  for (let n = 0; n < end.count; n++) {
    const found = centralEntry(archive, view, at, end.offset + end.size);
    at = found.next;
    total += found.size;
    const most = found.name === "readings.csv" ? MAX_ZIP_TABLE : MAX_ZIP_FILE;
    if (files.has(found.name) || found.size > most || total > MAX_TOTAL) {
      throw new MalformedError(`${found.name}: twice, or larger than evidence can be`);
    }
    files.set(found.name, await about(found.name, () => content(archive, view, found)));
    if (n % 512 === 0) {
      progress(n, end.count);
    }
  }
  if (at !== end.offset + end.size) {
    throw notZip("its list of files does not end where it says");
  }
  return files;
}

/** @param {string} why */
function notZip(why) {
  return new MalformedError(`not an evidence file (a zip): ${why}`);
}

/** @param {DataView} view */
function findEnd(view) {
  const length = view.byteLength;
  for (let at = length - 22; at >= Math.max(0, length - 22 - 0xffff); at--) {
    if (view.getUint32(at, true) === END && view.getUint16(at + 20, true) === length - at - 22) {
      return endRecord(view, at);
    }
  }
  throw notZip("its end was not found");
}

/** @param {DataView} view @param {number} at */
function endRecord(view, at) {
  let end = { count: view.getUint16(at + 10, true), size: view.getUint32(at + 12, true),
    offset: view.getUint32(at + 16, true) };
  let follows = at;
  if (at >= 76 && view.getUint32(at - 20, true) === LOCATOR_64) {  // more files than 16 bits count
    const record = Number(view.getBigUint64(at - 12, true));
    if (record > at - 76 || view.getUint32(record, true) !== END_64) {
      throw notZip("its end is damaged");
    }
    end = { count: Number(view.getBigUint64(record + 32, true)), size: Number(view.getBigUint64(record + 40, true)),
      offset: Number(view.getBigUint64(record + 48, true)) };
    follows = record;
  }
  if (end.offset + end.size !== follows) {
    throw notZip("its list of files is not where it says");
  }
  return end;
}

/** @param {Uint8Array} archive @param {DataView} view @param {number} at @param {number} end */
function centralEntry(archive, view, at, end) {
  if (at + 46 > end || view.getUint32(at, true) !== CENTRAL) {
    throw notZip("its list of files is damaged");
  }
  const nameLength = view.getUint16(at + 28, true);
  const next = at + 46 + nameLength + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  if (next > end) {
    throw notZip("its list of files is damaged");
  }
  const name = latin1(archive.subarray(at + 46, at + 46 + nameLength));
  if (!/^[\x20-\x7e]*$/.test(name)) {
    throw new MalformedError(`${JSON.stringify(name)}: no name of an evidence file`);
  }
  const method = view.getUint16(at + 10, true);
  if ((method !== STORED && method !== DEFLATED) || view.getUint16(at + 8, true) & REFUSED_FLAGS) {
    throw new MalformedError(`${name}: packed in a way that evidence is not`);
  }
  return { name, method, next, crc: view.getUint32(at + 16, true), packed: view.getUint32(at + 20, true),
    size: view.getUint32(at + 24, true), local: view.getUint32(at + 42, true) };
}

/** @param {Uint8Array} archive @param {DataView} view @param {ReturnType<typeof centralEntry>} found */
async function content(archive, view, found) {
  const { local, name, packed, size } = found;
  if (local + 30 > archive.length || view.getUint32(local, true) !== LOCAL) {
    throw notZip("it is not where the list of files says");
  }
  const nameEnd = local + 30 + view.getUint16(local + 26, true);
  const begin = nameEnd + view.getUint16(local + 28, true);
  if (begin + packed > archive.length || latin1(archive.subarray(local + 30, nameEnd)) !== name) {
    throw notZip("it is not where the list of files says");
  }
  const data = archive.subarray(begin, begin + packed);
  const whole = found.method === STORED ? data : await inflate(data, size, "packed file");
  if (whole.length !== size || crc32(whole) !== found.crc) {
    throw notZip("its bytes do not have the length and the checksum that the list of files states");
  }
  return whole;
}

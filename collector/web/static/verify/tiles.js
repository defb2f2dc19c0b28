"use strict";
/**
 * A log's hashes out of tiles that nobody trusts (`vitaledger/authentic.py`): the right edge must give the signed root,
 * and every full tile the hash that stands for it in the tile above.
 *
 * Where a tile does not hold, what the entries themselves say of the hashes in it (their own, and the one that the next
 * entry of the micro-chain quotes) is put in their place: where that gives the signed root, it is what was sealed, and
 * the one hash that was changed is known.
 */

import { MalformedError, VerificationError } from "./errors.js";
import { concat, same, sha256, short } from "./bytes.js";

const WIDTH = 256;
const HASH_LENGTH = 32;
const INNER = Uint8Array.of(1);
const MOST_TRIED = 32;

/** @typedef {Map<number, Uint8Array>} Told hashes of leaves by their index, as the entries say */

/** The number of hashes on a level of a tree. @param {number} size @param {number} level */
function hashesOn(size, level) {
  return Math.floor(size / WIDTH ** level);
}

export class Tree {
  /** @param {number} size how many leaves */
  constructor(size) {
    this.size = size;
    /** @type {Map<string, Uint8Array>} */
    this.tiles = new Map();
    /** @type {Map<string, Promise<string|null>>} */
    this.checked = new Map();
    /** @type {Map<number, {path: string, expected: Uint8Array, found: Uint8Array}>} hashes that were not those sealed */
    this.mended = new Map();
  }

  /** Take in a tile as it was handed over. @param {number} level @param {number} n @param {Uint8Array} hashes */
  add(level, n, hashes) {
    const width = Math.min(WIDTH, hashesOn(this.size, level) - n * WIDTH);
    if (width < 1 || hashes.length !== width * HASH_LENGTH) {
      throw new MalformedError(`tile/${level}/${n}: expected ${Math.max(width, 0)} hashes, found ${hashes.length} bytes`);
    }
    this.tiles.set(`${level}/${n}`, hashes);
  }

  /** The hash of a leaf, as good as its tile. @param {number} index @returns {Uint8Array|null} */
  leaf(index) {
    const tile = this.tiles.get(`0/${Math.floor(index / WIDTH)}`);
    return tile ? at(tile, index % WIDTH) : null;
  }

  /** Check that the right edge gives the root. @param {Uint8Array} root @param {Told} told */
  async settle(root, told) {
    const given = await this.edgeRoot(this.tiles);
    if (same(given, root)) {
      return;
    }
    for (const changes of variants(this.differing(told, (n) => this.inEdge(n)))) {
      const tiles = await this.changed(changes);
      if (same(await this.edgeRoot(tiles), root)) {
        this.mend(changes);
        this.tiles = tiles;
        return;
      }
    }
    throw new VerificationError(
      `tree of size ${this.size}: expected root ${short(root)}, its right edge gives ${short(given)}`);
  }

  /** What is wrong with the tile of a leaf, or null; after `settle`. @param {number} index @param {Told} told */
  wrong(index, told) {
    return this.check(0, Math.floor(index / WIDTH), told);
  }

  /** @param {number} level @param {number} n @param {Told} told @returns {Promise<string|null>} */
  check(level, n, told) {
    const path = `${level}/${n}`;
    let found = this.checked.get(path);
    if (!found) {
      found = this.checkTile(level, n, told);
      this.checked.set(path, found);
    }
    return found;
  }

  /** @param {number} level @param {number} n @param {Told} told @returns {Promise<string|null>} */
  async checkTile(level, n, told) {
    const tile = this.tiles.get(`${level}/${n}`);
    if (!tile) {
      return `tile/${level}/${n}: the collector gave none`;
    }
    if (n === Math.floor(hashesOn(this.size, level) / WIDTH)) {
      return null;  // of the right edge
    }
    const above = Math.floor(n / WIDTH);
    const wrong = await this.check(level + 1, above, told);
    if (wrong) {
      return wrong;
    }
    const expected = at(/** @type {Uint8Array} */ (this.tiles.get(`${level + 1}/${above}`)), n % WIDTH);
    const found = await rowRoot(split(tile));
    if (same(found, expected)) {
      return null;
    }
    for (const changes of level ? [] : variants(this.differing(told, (each) => each === n))) {
      const tried = withHashes(tile, changes);
      if (same(await rowRoot(split(tried)), expected)) {
        this.mend(changes);
        this.tiles.set(`${level}/${n}`, tried);
        return null;
      }
    }
    return `tile/${level}/${n}: expected hash ${short(expected)}, found ${short(found)}`;
  }

  /** What the entries say otherwise than the tiles. @param {Told} told @param {(n: number) => boolean} which */
  differing(told, which) {
    return [...told].filter(([index, hash]) => {
      const known = which(Math.floor(index / WIDTH)) ? this.leaf(index) : null;
      return known && !same(known, hash);
    });
  }

  /** Whether a tile of leaves is of the right edge, or its own hash is. @param {number} n */
  inEdge(n) {
    return Math.floor(n / WIDTH) === Math.floor(hashesOn(this.size, 1) / WIDTH);
  }

  /** The tiles with other hashes of leaves, and what follows from them in the edge. @param {[number, Uint8Array][]} changes */
  async changed(changes) {
    const tiles = new Map(this.tiles);
    for (const n of new Set(changes.map(([index]) => Math.floor(index / WIDTH)))) {
      const path = `0/${n}`;
      const tile = withHashes(/** @type {Uint8Array} */ (tiles.get(path)),
        changes.filter(([index]) => Math.floor(index / WIDTH) === n));
      tiles.set(path, tile);
      const above = `1/${Math.floor(n / WIDTH)}`;
      const row = tiles.get(above);
      if (tile.length === WIDTH * HASH_LENGTH && row) {
        tiles.set(above, withHashes(row, [[n, await rowRoot(split(tile))]]));
      }
    }
    return tiles;
  }

  /** @param {[number, Uint8Array][]} changes */
  mend(changes) {
    for (const [index, expected] of changes) {
      const found = /** @type {Uint8Array} */ (this.leaf(index));
      this.mended.set(index, { path: `tile/0/${Math.floor(index / WIDTH)}`, expected, found });
    }
  }

  /** @param {Map<string, Uint8Array>} tiles */
  async edgeRoot(tiles) {
    /** @type {Uint8Array[]} the roots of the full subtrees, the largest first */
    const peaks = [];
    const edge = [];
    for (let level = 0; hashesOn(this.size, level); level++) {
      const [n, width] = [Math.floor(hashesOn(this.size, level) / WIDTH), hashesOn(this.size, level) % WIDTH];
      const tile = tiles.get(`${level}/${n}`);
      if (width && !tile) {
        throw new MalformedError(`tile/${level}/${n}: the collector gave none`);
      }
      edge.unshift(tile && width ? split(tile) : []);
    }
    for (const row of edge) {
      for (let width = WIDTH / 2; width >= 1; width /= 2) {
        if (row.length & width) {
          peaks.push(await rowRoot(row.splice(0, width)));
        }
      }
    }
    let found = peaks.pop() ?? await sha256(new Uint8Array());
    for (const peak of peaks.reverse()) {
      found = await inner(peak, found);
    }
    return found;
  }
}

/** What to try: all changes together, then each alone. @param {[number, Uint8Array][]} changes */
function variants(changes) {
  return changes.length < 2 ? changes.map((each) => [each])
    : [changes, ...changes.slice(0, MOST_TRIED).map((each) => [each])];
}

/** @param {Uint8Array} tile @param {number} n */
function at(tile, n) {
  return tile.subarray(n * HASH_LENGTH, (n + 1) * HASH_LENGTH);
}

/** @param {Uint8Array} tile @param {[number, Uint8Array][]} changes by index, of which the place in the tile follows */
function withHashes(tile, changes) {
  const made = tile.slice();
  for (const [index, hash] of changes) {
    made.set(hash, (index % WIDTH) * HASH_LENGTH);
  }
  return made;
}

/** @param {Uint8Array} tile */
function split(tile) {
  return Array.from({ length: tile.length / HASH_LENGTH }, (_, n) => at(tile, n));
}

/** @param {Uint8Array} left @param {Uint8Array} right */
function inner(left, right) {
  return sha256(concat(INNER, left, right));
}

/** The root of a subtree; a row at a time, all of a row at once. @param {Uint8Array[]} row */
async function rowRoot(row) {
  let hashes = row;
  while (hashes.length > 1) {
    const pairs = [];
    for (let n = 0; n + 1 < hashes.length; n += 2) {
      pairs.push(inner(hashes[n], hashes[n + 1]));
    }
    const odd = hashes.length % 2 ? [hashes[hashes.length - 1]] : [];
    hashes = [...await Promise.all(pairs), ...odd];
  }
  return hashes[0];
}

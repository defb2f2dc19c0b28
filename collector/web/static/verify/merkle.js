"use strict";
/**
 * The verifiers of a transparency log's Merkle tree (RFC 6962 §2.1, RFC 9162 §2.1.3 and §2.1.4; `vitaledger/merkle.py`).
 * Indices and sizes may be numbers or bigints. `Nodes` remembers hashes: thousands of leaves of one tree share most of
 * their paths.
 */

import { VerificationError } from "./errors.js";
import { concat, same, sha256, short } from "./bytes.js";

const HASH_SIZE = 32;
const NODE = Uint8Array.of(1);

/** The hashes of nodes that were computed before, by their place in the tree: the same two children, the same hash. */
export class Nodes {
  constructor() {
    /** @type {Map<number, {left: Uint8Array, right: Uint8Array, hash: Uint8Array}>} */
    this.known = new Map();
  }

  /**
   * SHA-256(01 ‖ left ‖ right), and where it was computed before no promise of it.
   * @param {number} level @param {bigint} index of the node on its level @param {Uint8Array} left
   * @param {Uint8Array} right @returns {Uint8Array|Promise<Uint8Array>}
   */
  hash(level, index, left, right) {
    const place = Number(index) * 64 + level;
    const known = this.known.get(place);
    return known && same(known.left, left) && same(known.right, right) ? known.hash : this.make(place, left, right);
  }

  /** @param {number} place @param {Uint8Array} left @param {Uint8Array} right */
  async make(place, left, right) {
    const hash = await nodeHash(left, right);
    this.known.set(place, { left, right, hash });
    return hash;
  }
}

/** @param {Uint8Array} left @param {Uint8Array} right */
function nodeHash(left, right) {
  return sha256(concat(NODE, left, right));
}

/** Whether [start, end) is a run of leaves that a tree can prove at once. @param {bigint} start @param {bigint} end */
function isValidSubtree(start, end) {
  if (start < 0n || start > end) {
    return false;
  }
  let power = 1n;
  while (power < end - start) {
    power <<= 1n;
  }
  return start % power === 0n;
}

/**
 * Check that the leaf hash is at `index` in the tree (size, root).
 * @param {Uint8Array} leaf @param {number|bigint} index @param {number|bigint} size @param {Uint8Array[]} proof
 * @param {Uint8Array} root @param {Nodes} nodes
 */
export async function verifyInclusion(leaf, index, size, proof, root, nodes = new Nodes()) {
  return verifySubtreeInclusion(leaf, index, 0, size, proof, root, nodes);
}

/**
 * Check that the leaf hash at `index` of the log is in the subtree [start, end).
 * @param {Uint8Array} leaf @param {number|bigint} index @param {number|bigint} start @param {number|bigint} end
 * @param {Uint8Array[]} proof @param {Uint8Array} root @param {Nodes} nodes
 */
export async function verifySubtreeInclusion(leaf, index, start, end, proof, root, nodes = new Nodes()) {
  const what = `inclusion of leaf ${index} in [${start}, ${end})`;
  const [at, low, high] = [BigInt(index), BigInt(start), BigInt(end)];
  if (!isValidSubtree(low, high)) {
    throw new VerificationError(`${what}: expected a valid subtree`);
  }
  if (at < low || at >= high) {
    throw new VerificationError(`${what}: expected an index inside`);
  }
  checkHashes(what, [leaf, ...proof]);
  let [node, last, found, level] = [at - low, high - low - 1n, leaf, 0];
  for (let step = 0; step < proof.length; step++) {
    if (last === 0n) {
      throw new VerificationError(`${what}: expected ${step} hashes in the proof, found ${proof.length}`);
    }
    const right = node & 1n || node === last;
    while (right && !(node & 1n)) {  // a node without a sibling moves up unchanged
      node >>= 1n;
      last >>= 1n;
      level += 1;
    }
    node >>= 1n;
    last >>= 1n;
    level += 1;
    const made = right ? nodes.hash(level, node, proof[step], found) : nodes.hash(level, node, found, proof[step]);
    found = made instanceof Uint8Array ? made : await made;
  }
  if (last) {
    throw new VerificationError(`${what}: expected more than ${proof.length} hashes in the proof`);
  }
  checkRoot(what, "root", root, found);
}

/**
 * Check that the tree (size1, root1) is a prefix of (size2, root2). None is from an empty tree but to itself.
 * @param {number|bigint} size1 @param {Uint8Array} root1 @param {number|bigint} size2 @param {Uint8Array} root2
 * @param {Uint8Array[]} proof
 */
export async function verifyConsistency(size1, root1, size2, root2, proof) {
  const what = `consistency of size ${size1} with size ${size2}`;
  if (BigInt(size1) === 0n && BigInt(size2) !== 0n) {
    throw new VerificationError(`${what}: there is no proof from an empty tree`);
  }
  if (BigInt(size1) === BigInt(size2)) {
    checkRoot(what, "root", root1, root2);
  }
  await verifySubtreeConsistency(0, size1, root1, size2, root2, proof);
}

/**
 * Check that the tree (size, root) holds the subtree [start, end) with this root.
 * @param {number|bigint} start @param {number|bigint} end @param {Uint8Array} subtreeRoot
 * @param {number|bigint} size @param {Uint8Array} treeRoot @param {Uint8Array[]} proof
 */
export async function verifySubtreeConsistency(start, end, subtreeRoot, size, treeRoot, proof) {
  const what = `consistency of [${start}, ${end}) with size ${size}`;
  const [low, high, whole] = [BigInt(start), BigInt(end), BigInt(size)];
  if (!isValidSubtree(low, high) || high > whole) {
    throw new VerificationError(`${what}: expected a valid subtree inside the tree`);
  }
  if (low === high || (low === 0n && high === whole)) {
    if (proof.length) {
      throw new VerificationError(`${what}: expected an empty proof, found ${proof.length} hashes`);
    }
    return checkRoot(what, "root", low === high ? await sha256(new Uint8Array()) : treeRoot, subtreeRoot);
  }
  checkHashes(what, [subtreeRoot, ...proof]);
  let [first, last, edge] = [low, high - 1n, whole - 1n];
  const climb = () => {
    first >>= 1n;
    last >>= 1n;
    edge >>= 1n;
  };
  while (first !== last && (last & 1n || last === edge)) {
    climb();
  }
  const rest = [...proof];
  const begin = first === last ? subtreeRoot : rest.shift();
  if (!begin) {
    throw new VerificationError(`${what}: expected hashes in the proof, found none`);
  }
  let [old, made] = [begin, begin];
  for (const sibling of rest) {
    if (edge === 0n) {
      throw new VerificationError(`${what}: expected fewer than ${proof.length} hashes in the proof`);
    }
    if (last & 1n || last === edge) {
      old = first < last ? await nodeHash(sibling, old) : old;
      made = await nodeHash(sibling, made);
      while (!(last & 1n)) {
        climb();
      }
    } else {
      made = await nodeHash(made, sibling);
    }
    climb();
  }
  if (edge) {
    throw new VerificationError(`${what}: expected more than ${proof.length} hashes in the proof`);
  }
  checkRoot(what, "subtree root", subtreeRoot, old);
  checkRoot(what, "tree root", treeRoot, made);
}

/** @param {string} what @param {Uint8Array[]} hashes */
function checkHashes(what, hashes) {
  for (const found of hashes) {
    if (found.length !== HASH_SIZE) {
      throw new VerificationError(`${what}: expected hashes of 32 bytes, found one of ${found.length}`);
    }
  }
}

/** @param {string} what @param {string} name @param {Uint8Array} expected @param {Uint8Array} found */
function checkRoot(what, name, expected, found) {
  if (!same(expected, found)) {
    throw new VerificationError(`${what}: expected ${name} ${short(expected)}, found ${short(found)}`);
  }
}

import { invalidVocabulary } from './errors.js';
import { SlotAllocator } from './slot-allocator.js';
import type { TokenTable } from './token-table.js';

/**
 * The byte trie of a vocabulary as a double array (Aoe 1989) with the label as the check.
 *
 * A node is a slot of `cells`, two 32-bit words next to each other so that one cache line serves both:
 *   cells[2 s]     = (2 * base) << 9 | label; an empty slot has bit 8 set instead of a label
 *   cells[2 s + 1] = token << 16 | back: the longest token on the way to this node, and how many bytes back it ended
 * The child of a node for byte `b` is the slot `base + b` if its label is `b`. No two nodes share a base, so the label
 * alone tells whether the slot is this node's child. The root has base 0 and no slot. A node without children has the
 * base of an empty stretch, so walking needs no test for leaves. `back` makes backtracking a subtraction.
 */
export interface ByteTrie {
  readonly cells: Int32Array;
  /** [65536] 1 where byte `a << 8 | b` are neighbours in some token; elsewhere a token always ends between them. */
  readonly neighbours: Uint8Array;
  readonly longestToken: number;
}

export const LABEL_MASK = 511;
export const EMPTY_LABEL = 256;
/** `2 * base` has 23 bits. */
const MAX_SLOTS = 2 ** 22 - 512;
/** The World vocabulary has 116078 nodes; a vocabulary may come from anyone. */
export const MAX_TRIE_NODES = 2 ** 20;

/** Token ids in the order of their bytes. Throws if two tokens have the same bytes. */
function sortTokens(table: TokenTable): Uint32Array {
  const { offsets, bytes, size } = table;
  const compare = (left: number, right: number): number => {
    let a = offsets[left]!;
    let b = offsets[right]!;
    const aEnd = offsets[left + 1]!;
    const bEnd = offsets[right + 1]!;
    for (; a < aEnd && b < bEnd; a++, b++) {
      const difference = bytes[a]! - bytes[b]!;
      if (difference !== 0) return difference;
    }
    return aEnd - a - (bEnd - b);
  };
  const present: number[] = [];
  for (let id = 0; id < size; id++) if (offsets[id + 1]! > offsets[id]!) present.push(id);
  present.sort(compare);
  for (let at = 1; at < present.length; at++) {
    const [left, right] = [present[at - 1]!, present[at]!];
    if (compare(left, right) === 0)
      throw invalidVocabulary(
        `token ${Math.max(left, right)}`,
        'bytes no other token has',
        `the bytes of token ${Math.min(left, right)}`,
      );
  }
  return Uint32Array.from(present);
}

/** Counts the nodes (the bytes of each token that its predecessor in byte order does not share). */
function countNodes(table: TokenTable, sorted: Uint32Array): number {
  const { offsets, bytes } = table;
  let nodes = 0;
  let previous = 0;
  let previousEnd = 0;
  for (const id of sorted) {
    const start = offsets[id]!;
    const end = offsets[id + 1]!;
    let at = start;
    while (at < end && previous < previousEnd && bytes[at] === bytes[previous]) {
      at++;
      previous++;
    }
    nodes += end - at;
    previous = start;
    previousEnd = end;
  }
  if (nodes > MAX_TRIE_NODES)
    throw invalidVocabulary('the trie', `at most ${MAX_TRIE_NODES} nodes`, nodes);
  return nodes;
}

/**
 * Lays the trie out level by level, so that the short prefixes every text goes through lie close together.
 * Throws `VOCABULARY_INVALID` when two tokens are the same, a single byte is missing, or it grows too large.
 */
export function buildTrie(table: TokenTable): ByteTrie {
  const sorted = sortTokens(table);
  const nodes = countNodes(table, sorted);
  const { offsets, bytes } = table;
  const slots = new SlotAllocator(MAX_SLOTS);
  const neighbours = new Uint8Array(65536);
  // Per node, in the order of creation; entry 0 is the root. The tokens below a node are sorted[low .. high).
  const low = new Int32Array(nodes + 1);
  const high = new Int32Array(nodes + 1);
  const slot = new Int32Array(nodes + 1);
  const base = new Int32Array(nodes + 1).fill(-1);
  const label = new Uint8Array(nodes + 1);
  const best = new Int32Array(nodes + 1);
  high[0] = sorted.length;
  let created = 1;
  let levelEnd = 1;
  let depth = 0;
  let longestToken = 0;
  const labels = new Uint8Array(256);

  for (let node = 0; node < created; node++) {
    if (node === levelEnd) {
      depth++;
      levelEnd = created;
    }
    let from = low[node]!;
    const to = high[node]!;
    const id = sorted[from];
    if (id !== undefined && offsets[id + 1]! - offsets[id]! === depth) {
      best[node] = id << 16;
      longestToken = depth;
      from++;
    }
    const firstChild = created;
    while (from < to) {
      const byte = bytes[offsets[sorted[from]!]! + depth]!;
      const child = created++;
      low[child] = from++;
      while (from < to && bytes[offsets[sorted[from]!]! + depth] === byte) from++;
      high[child] = from;
      label[child] = byte;
      labels[child - firstChild] = byte;
      // Until its own token is seen, a node's best is its parent's, one byte further back.
      best[child] = best[node]! + 1;
      if (depth > 0) neighbours[(label[node]! << 8) | byte] = 1;
    }
    const children = created - firstChild;
    if (depth === 0 && children !== 256)
      throw invalidVocabulary(
        'the trie',
        'each of the 256 single bytes as a token',
        `tokens beginning with ${children} different bytes`,
      );
    if (depth === 1 && (best[node]! & 0xffff) !== 0)
      throw invalidVocabulary(
        'the trie',
        'each of the 256 single bytes as a token',
        `no token for byte 0x${label[node]!.toString(16)}`,
      );
    if (children === 0) continue;
    const place = slots.place(labels, children);
    base[node] = place;
    for (let child = firstChild; child < created; child++) slot[child] = place + label[child]!;
  }

  // The stretch after the last slot stays empty: leaves point at it.
  const leafBase = slots.end;
  const cells = new Int32Array(2 * (leafBase + 256)).fill(EMPTY_LABEL);
  for (let node = 1; node < created; node++) {
    const children = base[node]! < 0 ? leafBase : base[node]!;
    cells[2 * slot[node]!] = (children << 10) | label[node]!;
    cells[2 * slot[node]! + 1] = best[node]!;
  }
  return { cells, neighbours, longestToken };
}

/** The id of the token with exactly these bytes. */
export function findToken(trie: ByteTrie, bytes: Uint8Array): number | undefined {
  const { cells } = trie;
  let base = 0;
  let slot = -1;
  for (const byte of bytes) {
    slot = base + 2 * byte;
    const cell = cells[slot]!;
    if ((cell & LABEL_MASK) !== byte) return undefined;
    base = cell >>> 9;
  }
  if (slot < 0) return undefined;
  const best = cells[slot + 1]!;
  return (best & 0xffff) === 0 ? best >>> 16 : undefined;
}

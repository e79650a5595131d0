import type { ByteTrie } from './byte-trie.js';

/**
 * The greedy longest match: the only hot loop of this package, hence written flat and without objects.
 *
 * A step looks one byte up. On a match it goes one node down; on a miss it emits the best token of the node it is at
 * and goes back to where that token ended. A loop around this is bound by mispredicted branches and by the latency of
 * dependent loads, so `walkLanes` runs four places of the text at once, with arithmetic in place of branches. Four
 * places can be worked on at once because a token never spans two bytes that are neighbours in no token: between them
 * the greedy segmentation has an end wherever it began (about one byte in five of ordinary text is such a place).
 * On the text of tools/bench one lane gave 177 MB/s, two 235, four 255; a table of the first two bytes gave nothing.
 */

/** Text of fewer bytes than this is not worth four lanes. */
const MIN_LANES_BYTES = 1024;

export class TrieWalker {
  readonly #trie: ByteTrie;
  /** Where the last walk stopped: at `softEnd`, or behind it by a part of a token. */
  position = 0;

  constructor(trie: ByteTrie) {
    this.#trie = trie;
  }

  /**
   * Writes the tokens beginning in `bytes[start .. softEnd)` to `out` from `at` and returns where the output ends.
   * Tokens may reach beyond `softEnd`, up to `hardEnd`. `out` needs room for softEnd - start more tokens.
   */
  walk(
    bytes: Uint8Array,
    start: number,
    softEnd: number,
    hardEnd: number,
    out: Uint32Array,
    at: number,
  ): number {
    const length = softEnd - start;
    if (length >= MIN_LANES_BYTES) {
      const second = this.#boundary(bytes, start + (length >> 2), softEnd);
      const third = this.#boundary(bytes, start + (length >> 1), softEnd);
      const fourth = this.#boundary(bytes, start + length - (length >> 2), softEnd);
      if (start < second && second < third && third < fourth && fourth < softEnd)
        return this.#walkLanes(bytes, [start, second, third, fourth, softEnd], hardEnd, out, at);
    }
    return this.#walkLane(bytes, start, 0, 0, softEnd, hardEnd, out, at);
  }

  /** The first place from `from` on where a token always ends; `end` if there is none. */
  #boundary(bytes: Uint8Array, from: number, end: number): number {
    const { neighbours } = this.#trie;
    let at = from;
    while (at < end && neighbours[(bytes[at - 1]! << 8) | bytes[at]!] === 1) at++;
    return at;
  }

  /** One place at a time, from a node reached at byte `from` (`base` and `slot` 0: the root, between two tokens). */
  #walkLane(
    bytes: Uint8Array,
    from: number,
    base: number,
    slot: number,
    softEnd: number,
    hardEnd: number,
    out: Uint32Array,
    at: number,
  ): number {
    const { cells } = this.#trie;
    let next = at;
    let index = from;
    while (index < softEnd || base !== 0) {
      while (index < hardEnd) {
        const byte = bytes[index]!;
        const child = base + (byte << 1);
        const cell = cells[child]!;
        if (((cell ^ byte) & 511) !== 0) break;
        base = cell >>> 9;
        slot = child;
        index++;
      }
      const best = cells[slot + 1]!;
      out[next++] = best >>> 16;
      index -= best & 0xffff;
      base = 0;
    }
    this.position = index;
    return next;
  }

  /** Four places at a time until one reaches the end of its lane; then each is finished alone. */
  #walkLanes(
    bytes: Uint8Array,
    ends: readonly number[],
    hardEnd: number,
    out: Uint32Array,
    at: number,
  ): number {
    const { cells } = this.#trie;
    const [start0, start1, start2, start3, end3] = ends as [number, number, number, number, number];
    let [i0, i1, i2, i3] = [start0, start1, start2, start3];
    let [base0, base1, base2, base3] = [0, 0, 0, 0];
    let [slot0, slot1, slot2, slot3] = [0, 0, 0, 0];
    // A lane of n bytes has at most n tokens, so each can write where its bytes are without meeting the next.
    const at1 = at + start1 - start0;
    const at2 = at + start2 - start0;
    const at3 = at + start3 - start0;
    let [o0, o1, o2, o3] = [at, at1, at2, at3];
    // `match` is -1 or 0. The token is written each time and kept only on a miss, when the output advances.
    while (i0 < start1 && i1 < start2 && i2 < start3 && i3 < end3) {
      const byte0 = bytes[i0]!;
      const child0 = base0 + (byte0 << 1);
      const cell0 = cells[child0]!;
      const best0 = cells[slot0 + 1]!;
      const match0 = (((cell0 ^ byte0) & 511) - 1) >> 31;
      out[o0] = best0 >>> 16;
      o0 += 1 + match0;
      i0 += (match0 & 1) - (best0 & 0xffff & ~match0);
      base0 = (cell0 >>> 9) & match0;
      slot0 = child0;

      const byte1 = bytes[i1]!;
      const child1 = base1 + (byte1 << 1);
      const cell1 = cells[child1]!;
      const best1 = cells[slot1 + 1]!;
      const match1 = (((cell1 ^ byte1) & 511) - 1) >> 31;
      out[o1] = best1 >>> 16;
      o1 += 1 + match1;
      i1 += (match1 & 1) - (best1 & 0xffff & ~match1);
      base1 = (cell1 >>> 9) & match1;
      slot1 = child1;

      const byte2 = bytes[i2]!;
      const child2 = base2 + (byte2 << 1);
      const cell2 = cells[child2]!;
      const best2 = cells[slot2 + 1]!;
      const match2 = (((cell2 ^ byte2) & 511) - 1) >> 31;
      out[o2] = best2 >>> 16;
      o2 += 1 + match2;
      i2 += (match2 & 1) - (best2 & 0xffff & ~match2);
      base2 = (cell2 >>> 9) & match2;
      slot2 = child2;

      const byte3 = bytes[i3]!;
      const child3 = base3 + (byte3 << 1);
      const cell3 = cells[child3]!;
      const best3 = cells[slot3 + 1]!;
      const match3 = (((cell3 ^ byte3) & 511) - 1) >> 31;
      out[o3] = best3 >>> 16;
      o3 += 1 + match3;
      i3 += (match3 & 1) - (best3 & 0xffff & ~match3);
      base3 = (cell3 >>> 9) & match3;
      slot3 = child3;
    }
    o0 = this.#walkLane(bytes, i0, base0, slot0, start1, hardEnd, out, o0);
    o1 = this.#walkLane(bytes, i1, base1, slot1, start2, hardEnd, out, o1);
    o2 = this.#walkLane(bytes, i2, base2, slot2, start3, hardEnd, out, o2);
    o3 = this.#walkLane(bytes, i3, base3, slot3, end3, hardEnd, out, o3);
    out.copyWithin(o0, at1, o1);
    const after1 = o0 + o1 - at1;
    out.copyWithin(after1, at2, o2);
    const after2 = after1 + o2 - at2;
    out.copyWithin(after2, at3, o3);
    return after2 + o3 - at3;
  }
}

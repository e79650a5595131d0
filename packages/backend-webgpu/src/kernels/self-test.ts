/**
 * A small case of one kernel with known results, computed here in double precision: what a device must get right before
 * models run on it. Some drivers, of phones above all, compile a kernel without a complaint and compute something else.
 */
import { headerWords } from './shader.js';
import type { FieldValues } from './shader.js';

export interface SelfTest {
  readonly values: FieldValues;
  /** Words of the batch header. */
  readonly header: Uint32Array<ArrayBuffer>;
  readonly arena: Float32Array<ArrayBuffer>;
  readonly parameters: Float32Array<ArrayBuffer>;
  /** The kernel's own buffer, where it has one: a page of weights, or a state. */
  readonly own?: Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>;
  readonly groups: readonly [x: number, y: number, z: number];
  /** Numbers that must come out: of the arena from `at` on, and of the kernel's own buffer. */
  readonly expected: readonly { readonly at: number; readonly numbers: readonly number[] }[];
  readonly expectedState?: readonly number[];
  /** Of the largest number expected. */
  readonly tolerance: number;
}

/** The same numbers on every run, from -1 to 1. */
export function testNumbers(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.fround((state / 2 ** 32) * 2 - 1);
  };
}

/** Two sequences of the given lengths in slots 1 and 0, of which every token's row is wanted. */
export function testHeader(lengths: readonly [number, number]): Uint32Array<ArrayBuffer> {
  const [first, second] = lengths;
  const tokens = first + second;
  const words = new Uint32Array(16 + 4 * tokens + 5);
  const firstAt = 16;
  const lastAt = firstAt + tokens;
  const startsAt = lastAt + tokens;
  const slotsAt = startsAt + 3;
  const wantedAt = slotsAt + 2;
  words[headerWords.tokens] = tokens;
  words[headerWords.sequences] = 2;
  words[headerWords.wanted] = tokens;
  words[headerWords.firstAt] = firstAt;
  words[headerWords.lastAt] = lastAt;
  words[headerWords.startsAt] = startsAt;
  words[headerWords.slotsAt] = slotsAt;
  words[headerWords.wantedAt] = wantedAt;
  words[firstAt] = 0x80000001;
  words[firstAt + first] = 0x80000000;
  words.fill(first - 1, lastAt, lastAt + first);
  words.fill(tokens - 1, lastAt + first, lastAt + tokens);
  words.set([0, first, tokens], startsAt);
  words.set([1, 0], slotsAt);
  for (let t = 0; t < tokens; t++) words[wantedAt + t] = t;
  return words;
}

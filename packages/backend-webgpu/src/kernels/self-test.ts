/**
 * A small case of one kernel with known results, computed here in double precision: what a device must get right before
 * models run on it. Some drivers, of phones above all, compile a kernel without a complaint and compute something else.
 */
import type { Batch } from '@rwkv-ts/backend';
import { stepHeaderWords, writeStepHeader } from '@rwkv-ts/program';
import type { FieldValues } from './shader.js';

export interface SelfTest {
  /** Of each dispatch, in their order, all on the same buffers. */
  readonly nodes: readonly FieldValues[];
  /** Words of the batch header. */
  readonly header: Uint32Array<ArrayBuffer>;
  readonly arena: Float32Array<ArrayBuffer>;
  readonly parameters: Float32Array<ArrayBuffer>;
  /** The kernel's own buffer, where it has one: a page of weights, or a state. */
  readonly own?: Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>;
  readonly groups: readonly [x: number, y: number, z: number];
  /** Numbers that must come out: of the arena from `at` on, and of the kernel's own buffer. */
  readonly expected: readonly Expected[];
  readonly expectedState?: readonly number[];
  /** Of the largest number expected, list by list. */
  readonly tolerance: number;
}

export interface Expected {
  readonly at: number;
  readonly numbers: readonly number[];
  /** Words of 32 bits, to be the same. */
  readonly isBits?: boolean;
}

/** The same numbers on every run, from -1 to 1. */
export function testNumbers(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.fround((state / 2 ** 32) * 2 - 1);
  };
}

/** Two sequences of the given lengths in slots 1 and 0, of which every token's row is wanted where nothing else is said. */
export function testHeader(
  [first, second]: readonly [number, number],
  parts: Partial<Pick<Batch, 'tokens' | 'wanted' | 'embeddings'>> & { channels?: number } = {},
): Uint32Array<ArrayBuffer> {
  const count = first + second;
  const each = Uint32Array.from({ length: count }, (_, t) => t);
  const { tokens = each, wanted = each, embeddings, channels = 0 } = parts;
  const batch: Batch = {
    tokens,
    starts: Uint32Array.of(0, first, count),
    slots: Uint32Array.of(1, 0),
    wanted,
    ...(embeddings ? { embeddings } : {}),
  };
  const words = new Uint32Array(
    stepHeaderWords({ tokens: count, sequences: 2, wanted: wanted.length }, channels),
  );
  return words.slice(0, writeStepHeader(words, batch));
}

/** Rows of a case's arena, or (`stride` 0) one of its parameters. */
export interface TestRows {
  readonly offset: number;
  readonly stride: number;
  readonly at: (row: number, column: number) => number;
}

/** What an untouched number of the arena holds. */
const untouched = 0.25;

/** Lays out the rows and parameters of a case as programs do, and notes what must come out. */
export class TestMemory {
  readonly #rows: number;
  readonly #random: () => number;
  readonly #arena: number[] = [];
  readonly #parameters: number[] = [];
  readonly #expected: Expected[] = [];

  constructor({ rows, seed }: { readonly rows: number; readonly seed: number }) {
    this.#rows = rows;
    this.#random = testNumbers(seed);
  }

  /** Numbers from `low` to `high`. */
  draw(count: number, low = -1, high = 1): Float32Array<ArrayBuffer> {
    const half = (high - low) / 2;
    return Float32Array.from({ length: count }, () => low + half * (this.#random() + 1));
  }

  /** Rows that the kernel reads, with zeros beyond their width. */
  view(width: number, low = -1, high = 1): TestRows {
    const [offset, stride] = [this.#arena.length, strideOf(width)];
    for (let row = 0; row < this.#rows; row++) {
      this.#arena.push(...this.draw(width, low, high), ...Array<number>(stride - width).fill(0));
    }
    return { offset, stride, at: (row, column) => this.#arena[offset + row * stride + column]! };
  }

  /** What the kernel leaves alone. */
  get untouched(): number {
    return untouched;
  }

  /** Rows of given numbers that the kernel reads. */
  rows(width: number, number: (row: number, column: number) => number): TestRows {
    const [offset, stride] = [this.#arena.length, strideOf(width)];
    for (let n = 0; n < this.#rows * stride; n++) {
      const column = n % stride;
      this.#arena.push(column < width ? number(Math.floor(n / stride), column) : 0);
    }
    return { offset, stride, at: (row, column) => this.#arena[offset + row * stride + column]! };
  }

  /** Rows that the kernel writes, then one that it must leave alone. */
  out(width: number, number: (row: number, column: number) => number, rows = this.#rows): TestRows {
    const [offset, stride] = [this.#arena.length, strideOf(width)];
    const numbers = Array.from({ length: rows * stride }, (_, n) => {
      const column = n % stride;
      return column < width ? number(Math.floor(n / stride), column) : 0;
    });
    const beyond = Array<number>(stride).fill(untouched);
    this.#expected.push({ at: offset, numbers: [...numbers, ...beyond] });
    this.#arena.push(...Array<number>(rows * stride + stride).fill(untouched));
    return { offset, stride, at: (row, column) => numbers[row * stride + column]! };
  }

  parameter(count: number, low = -1, high = 1): TestRows {
    const offset = this.#parameters.length;
    const padding = Array<number>(strideOf(count) - count).fill(0);
    this.#parameters.push(...this.draw(count, low, high), ...padding);
    return { offset, stride: 0, at: (_, column) => this.#parameters[offset + column]! };
  }

  get buffers(): Pick<SelfTest, 'arena' | 'parameters' | 'expected'> {
    return {
      arena: Float32Array.from(this.#arena),
      parameters: Float32Array.from(this.#parameters),
      expected: this.#expected,
    };
  }
}

const strideOf = (width: number): number => Math.ceil(width / 8) * 8;

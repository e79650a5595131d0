/** Sequences that a model must have understood something to continue: word problems and recall. */
import type { Group } from './groups.js';

/** A sequence, the token that is right at each place, and which places count. */
export interface TaskSample {
  /** [T] */
  readonly tokens: Uint32Array;
  /** [T] */
  readonly targets: Uint32Array;
  /** [T] 1 where the target counts, else 0. */
  readonly mask: Uint8Array;
}

/** Numbers from 0 to below 1. */
export type Uniform = () => number;

export interface Task {
  readonly name: string;
  readonly vocabularySize: number;
  /** One of `length` tokens. */
  sample(uniform: Uniform, length: number): TaskSample;
}

const below = (uniform: Uniform, limit: number): number => Math.floor(uniform() * limit);

/**
 * The word problem: elements of a group, each uniformly drawn; the target at t is the product of the first t + 1, the
 * newest on the left.
 */
export function wordProblem({ name, order, product }: Group): Task {
  return {
    name,
    vocabularySize: order,
    sample(uniform, length) {
      const tokens = Uint32Array.from({ length }, () => below(uniform, order));
      const targets = new Uint32Array(length);
      let state = 0;
      for (const [at, token] of tokens.entries()) {
        state = product[token * order + state]!;
        targets[at] = state;
      }
      return { tokens, targets, mask: new Uint8Array(length).fill(1) };
    },
  };
}

export interface RecallOptions {
  /** Key-value pairs of a sequence. */
  readonly pairs: number;
  /** Keys there are, and as many values. */
  readonly symbols: number;
}

/**
 * Multi-query associative recall (after arXiv:2312.04927, section 3): `pairs` different keys, each with a value behind
 * it, then every key once more in random order at random places, where its value is the target; elsewhere a filler.
 * Tokens: keys 0 to symbols - 1, values symbols to 2 symbols - 1, the filler 2 symbols.
 */
export function recall({ pairs, symbols }: RecallOptions): Task {
  if (pairs > symbols)
    throw new RangeError(`${pairs} pairs need as many keys, there are ${symbols}.`);
  return {
    name: `recall of ${pairs}`,
    vocabularySize: 2 * symbols + 1,
    sample(uniform, length) {
      if (length < 3 * pairs) {
        throw new RangeError(
          `${pairs} pairs and their queries need ${3 * pairs} tokens, not ${length}.`,
        );
      }
      const keys = shuffled(symbols, uniform).slice(0, pairs);
      const values = keys.map(() => symbols + below(uniform, symbols));
      const tokens = new Uint32Array(length).fill(2 * symbols);
      const targets = new Uint32Array(length);
      const mask = new Uint8Array(length);
      for (const [pair, key] of keys.entries()) tokens.set([key, values[pair]!], 2 * pair);
      const places = shuffled(length - 2 * pairs, uniform).slice(0, pairs);
      for (const [pair, place] of places.entries()) {
        const at = 2 * pairs + place;
        tokens[at] = keys[pair]!;
        targets[at] = values[pair]!;
        mask[at] = 1;
      }
      return { tokens, targets, mask };
    },
  };
}

/** 0 to count - 1 in random order (Fisher and Yates). */
function shuffled(count: number, uniform: Uniform): number[] {
  const numbers = Array.from({ length: count }, (_, at) => at);
  for (let last = count - 1; last > 0; last--) {
    const other = below(uniform, last + 1);
    [numbers[last], numbers[other]] = [numbers[other]!, numbers[last]!];
  }
  return numbers;
}

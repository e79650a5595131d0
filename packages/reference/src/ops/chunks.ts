import type { Step } from '../step.js';

/** Consecutive tokens of one sequence. */
export interface Chunk {
  readonly slot: number;
  /** Index of the first token in the step. */
  readonly first: number;
  /** Q, the number of tokens. */
  readonly count: number;
}

/** Every sequence of the step in pieces of at most `size` tokens, in order. */
export function forEachChunk(step: Step, size: number, visit: (chunk: Chunk) => void): void {
  for (let s = 0; s < step.sequences; s++) {
    const end = step.starts[s + 1]!;
    for (let first = step.starts[s]!; first < end; first += size) {
      visit({ slot: step.slots[s]!, first, count: Math.min(size, end - first) });
    }
  }
}

import type { Batch, Limits } from '@rwkv-ts/backend';

/** Views [0, n) of one array, each made once: a step allocates nothing. */
class Prefixes {
  readonly array: Uint32Array;
  readonly #views: (Uint32Array | undefined)[] = [];

  constructor(length: number) {
    this.array = new Uint32Array(length);
  }

  of(length: number): Uint32Array {
    return (this.#views[length] ??= this.array.subarray(0, length));
  }
}

/** Shared memory where there is such, which a backend may fill from another thread; a page may have none. */
function floats(count: number): Float32Array {
  if (typeof SharedArrayBuffer === 'undefined') return new Float32Array(count);
  return new Float32Array(new SharedArrayBuffer(count * Float32Array.BYTES_PER_ELEMENT));
}

/** The arrays of a batch, filled anew for every step. */
export class StepBuffers {
  readonly #tokens: Prefixes;
  readonly #starts: Prefixes;
  readonly #slots: Prefixes;
  readonly #wanted: Prefixes;
  readonly #width: number;
  /** Grows to the most rows that a step had. */
  #output: Float32Array = new Float32Array(0);
  tokens = 0;
  sequences = 0;
  wanted = 0;

  /** `width`: of a row. */
  constructor({ tokens, sequences, wanted }: Limits, width: number) {
    this.#width = width;
    this.#tokens = new Prefixes(tokens);
    this.#starts = new Prefixes(sequences + 1);
    this.#slots = new Prefixes(sequences);
    this.#wanted = new Prefixes(wanted);
  }

  clear(): void {
    this.tokens = 0;
    this.sequences = 0;
    this.wanted = 0;
  }

  /** Adds `tokens[from .. from + count)` as the next sequence, with the rows of its last `rows` tokens wanted. */
  add(
    slot: number,
    part: { tokens: Uint32Array; from: number; count: number; rows: number },
  ): void {
    const { tokens, from, count, rows } = part;
    const target = this.#tokens.array;
    for (let i = 0; i < count; i++) target[this.tokens + i] = tokens[from + i]!;
    this.tokens += count;
    for (let i = rows; i > 0; i--) this.#wanted.array[this.wanted++] = this.tokens - i;
    this.#slots.array[this.sequences++] = slot;
    this.#starts.array[this.sequences] = this.tokens;
  }

  /**
   * The batch; its arrays are this object's and change with the next `clear`. `candidates`: how many of each wanted row,
   * 0 for whole rows.
   */
  batch(candidates = 0): Batch {
    const numbers = this.wanted * (candidates > 0 ? 2 * candidates + 1 : this.#width);
    if (this.#output.length < numbers) this.#output = floats(numbers);
    return {
      candidates: candidates > 0,
      output: this.#output,
      tokens: this.#tokens.of(this.tokens),
      starts: this.#starts.of(this.sequences + 1),
      slots: this.#slots.of(this.sequences),
      wanted: this.#wanted.of(this.wanted),
    };
  }
}

import type { Rows } from '@rwkv-ts/backend';
import { GenerateError } from './errors.js';

/** Gathers rows of logits into one array of their own precision. */
export class RowCollector {
  readonly #count: number;
  readonly #width: number;
  #rows: Rows | undefined;

  constructor(count: number, width: number) {
    this.#count = count;
    this.#width = width;
  }

  get rows(): Rows {
    return this.#rows ?? new Float32Array(0);
  }

  /** @throws GenerateError `OPTION_INVALID` when the platform cannot hold all rows */
  readonly add = (row: Rows, index: number): void => {
    this.#rows ??= this.#allocate(row instanceof Float64Array);
    this.#rows.set(row, index * this.#width);
  };

  #allocate(double: boolean): Rows {
    const length = this.#count * this.#width;
    try {
      return double ? new Float64Array(length) : new Float32Array(length);
    } catch (cause) {
      throw new GenerateError({
        code: 'OPTION_INVALID',
        message: `rows: ${this.#count} rows of ${this.#width} logits do not fit into one array; take them one by one with onRow`,
        got: length,
        cause,
      });
    }
  }
}

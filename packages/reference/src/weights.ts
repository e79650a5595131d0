import { BackendError, type HostWeight, type WeightFormat, type Weights } from '@rwkv-ts/backend';
import { requireLive } from '@rwkv-ts/program';
import { decodeWeight } from './decode-weight.js';
import type { JobQueue } from './job-queue.js';
import { Holding, type Memory } from './memory.js';
import { bytesPerNumber, createNumbers, type Numbers, type Precision } from './numbers.js';

/** One decoded weight. Every format is exact in f32, so f32 serves both precisions where nothing learns. */
export interface DecodedWeight {
  readonly shape: readonly number[];
  readonly values: Numbers;
}

export interface WeightsOptions {
  readonly queue: JobQueue;
  readonly memory: Memory;
  /** How a weight is held once it is decoded. Default f32. */
  readonly precisionOf?: (name: string) => Precision;
}

/** Weights decoded in host memory. */
export class ReferenceWeights implements Weights {
  readonly #queue: JobQueue;
  readonly #holding: Holding;
  readonly #precisionOf: (name: string) => Precision;
  readonly #weights = new Map<string, DecodedWeight>();
  #disposal: Promise<void> | undefined;

  constructor({ queue, memory, precisionOf = () => 'f32' }: WeightsOptions) {
    this.#queue = queue;
    this.#precisionOf = precisionOf;
    this.#holding = new Holding(memory);
  }

  get bytes(): number {
    return this.#holding.bytes;
  }

  get disposed(): boolean {
    return this.#disposal !== undefined;
  }

  /** @throws BackendError `WEIGHT_INVALID`, `UNSUPPORTED_WEIGHT_FORMAT`, `OUT_OF_MEMORY`, `DISPOSED` */
  add(weight: HostWeight, formats: ReadonlySet<WeightFormat>): void {
    requireLive(this.disposed, 'weights handle');
    const { name, shape, format } = weight;
    if (!formats.has(format)) {
      throw new BackendError({
        code: 'UNSUPPORTED_WEIGHT_FORMAT',
        message: `Weight ${name} is in the format ${format}; supported: ${[...formats].join(', ')}.`,
        expected: [...formats],
        got: format,
      });
    }
    if (this.#weights.has(name)) {
      throw new BackendError({
        code: 'WEIGHT_INVALID',
        message: `Weight ${name} must occur once, got it twice.`,
        expected: 1,
        got: 2,
      });
    }
    const values = this.#decode(weight);
    this.#weights.set(name, { shape: [...shape], values });
  }

  #decode(weight: HostWeight): Numbers {
    const precision = this.#precisionOf(weight.name);
    let values: Numbers | undefined;
    const decoded = decodeWeight(weight, (count) => {
      values = this.#holding.allocate(
        { bytes: count * bytesPerNumber[precision], what: `Weight ${weight.name}` },
        () => createNumbers(precision, count),
      );
      return values instanceof Float32Array ? values : new Float32Array(count);
    });
    if (values && values !== decoded) values.set(decoded);
    return values ?? decoded;
  }

  get(name: string): DecodedWeight | undefined {
    return this.#weights.get(name);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#queue.enqueue(async () => {
      this.#weights.clear();
      this.#holding.release();
    });
    return this.#disposal;
  }
}

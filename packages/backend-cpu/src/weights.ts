import { BackendError, type HostWeight, type WeightFormat, type Weights } from '@rwkv-ts/backend';
import { bytesForShape, FormatsError } from '@rwkv-ts/formats';
import type { Engine } from './engine.js';
import { requireLive } from './errors.js';
import { Holding } from './memory.js';
import { type NativeHandle, weightFormats } from './native.js';

/** One weight in the addon's memory. */
export interface PackedWeight {
  readonly shape: readonly number[];
  readonly index: number;
  /** Numbers it holds. */
  readonly count: number;
}

/** The addon counts rows and columns in 32 bits. */
const largestSize = 2 ** 32 - 1;

/** Weights packed into the layout of the kernels, in memory of the addon. */
export class CpuWeights implements Weights {
  readonly handle: NativeHandle;
  readonly #engine: Engine;
  readonly #holding: Holding;
  readonly #weights = new Map<string, PackedWeight>();
  #disposal: Promise<void> | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.#holding = new Holding(engine.memory);
    this.handle = engine.addon.createWeights();
  }

  get bytes(): number {
    return this.#holding.bytes;
  }

  get disposed(): boolean {
    return this.#disposal !== undefined;
  }

  /** Packs one weight on all threads; its bytes are free again when the promise resolves. */
  async add(weight: HostWeight): Promise<void> {
    requireLive(this.disposed, 'weights handle');
    const { addon, handle } = this.#engine;
    const { name, shape, format, bytes } = weight;
    const count = this.#check(weight);
    // Matrices go into panels; vectors, and whatever has another number of dimensions, are kept as f32.
    const isVector = shape.length !== 2;
    const columns = shape.at(-1)!;
    const rows = count / columns;
    const code = weightFormats.indexOf(format);
    const packed = addon.packedBytes(code, rows, columns, isVector);
    const index = await this.#holding.allocate({ bytes: packed, what: `Weight ${name}` }, () =>
      addon.addWeight(handle, this.handle, code, rows, columns, isVector, bytes),
    );
    requireLive(this.disposed, 'weights handle');
    this.#weights.set(name, { shape: [...shape], index, count });
  }

  get(name: string): PackedWeight | undefined {
    return this.#weights.get(name);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#release();
    return this.#disposal;
  }

  async #release(): Promise<void> {
    await this.#engine.addon.releaseWeights(this.#engine.handle, this.handle);
    this.#weights.clear();
    this.#holding.release();
  }

  /** @throws BackendError `WEIGHT_INVALID`, `UNSUPPORTED_WEIGHT_FORMAT`; nothing is allocated before */
  #check(weight: HostWeight): number {
    const { name, shape, format, bytes } = weight;
    if (!weightFormats.includes(format)) throw unsupportedFormat(weight);
    if (typeof name !== 'string' || name === '') {
      throw invalid(weight, { expected: 'a name', got: JSON.stringify(name) });
    }
    if (this.#weights.has(name)) {
      throw new BackendError({
        code: 'WEIGHT_INVALID',
        message: `Weight ${name} must occur once, got it twice.`,
        expected: 1,
        got: 2,
      });
    }
    if (!(bytes instanceof Uint8Array)) {
      throw new TypeError(`Weight ${name} must have Uint8Array bytes.`);
    }
    const count = shape.reduce((total, size) => total * size, 1);
    const areSizes = shape.every((size) => Number.isSafeInteger(size) && size > 0);
    const columns = shape.at(-1) ?? 0;
    if (shape.length === 0 || !areSizes || !Number.isSafeInteger(count)) {
      throw invalid(weight, { expected: 'positive sizes', got: `[${shape.join(', ')}]` });
    }
    if (columns > largestSize || count / columns > largestSize) {
      throw invalid(weight, {
        expected: `at most ${largestSize} rows and columns`,
        got: `[${shape.join(', ')}]`,
      });
    }
    const expected = expectedBytes(weight);
    if (bytes.length !== expected) {
      throw invalid(weight, { expected: `${expected} bytes`, got: bytes.length });
    }
    return count;
  }
}

function expectedBytes(weight: HostWeight): number {
  try {
    return bytesForShape(weight.format, weight.shape);
  } catch (cause) {
    if (!(cause instanceof FormatsError)) throw cause;
    throw invalid(weight, { expected: cause.expected, got: cause.got, cause });
  }
}

function unsupportedFormat({ name, format }: HostWeight): BackendError {
  return new BackendError({
    code: 'UNSUPPORTED_WEIGHT_FORMAT',
    message: `Weight ${name} is in the format ${format}; supported: ${weightFormats.join(', ')}.`,
    expected: [...weightFormats] satisfies WeightFormat[],
    got: format,
  });
}

function invalid(
  { name, format, shape }: HostWeight,
  options: { expected: unknown; got: unknown; cause?: unknown },
): BackendError {
  return new BackendError({
    code: 'WEIGHT_INVALID',
    message: `Weight ${name} ${format} [${shape.join(', ')}] must have ${String(options.expected)}, got ${String(options.got)}.`,
    ...options,
  });
}

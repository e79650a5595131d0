import { BackendError, type HostWeight, type WeightFormat, type Weights } from '@rwkv-ts/backend';
import { bytesForShape, FormatsError } from '@rwkv-ts/formats';
import { Holding } from '@rwkv-ts/native';
import { requireLive } from '@rwkv-ts/program';
import type { Engine } from './engine.js';
import { layouts, type NativeHandle, weightFormats } from './native.js';

/** One weight in the addon's memory. */
export interface PackedWeight {
  readonly shape: readonly number[];
  /** As uploaded; vectors are kept as f32 whatever it is. */
  readonly format: WeightFormat;
  /** Its place in `layouts`; 0 for vectors. */
  readonly layout: number;
  readonly index: number;
  /** Numbers it holds. */
  readonly count: number;
}

/** What the addon knows of a weight. */
export interface WeightLayout {
  /** Its place in `weightFormats`. */
  readonly code: number;
  readonly rows: number;
  readonly columns: number;
  /** Matrices are packed; vectors, and whatever has another number of dimensions, are kept as f32. */
  readonly isVector: boolean;
  /** Numbers it holds. */
  readonly count: number;
}

/** Weights that are there already, in the order of their indices. */
export interface MappedWeights {
  readonly handle: NativeHandle;
  readonly holding: Holding;
  readonly weights: ReadonlyMap<string, PackedWeight>;
}

export interface CpuWeightsOptions {
  /** Names of matrices whose inputs are mostly zero: they are packed in columns. */
  readonly sparse?: ReadonlySet<string>;
  readonly mapped?: MappedWeights;
}

/** The addon counts rows and columns in 32 bits. */
const largestSize = 2 ** 32 - 1;

/** Weights packed into the layout of the kernels, in memory of the addon. */
export class CpuWeights implements Weights {
  readonly handle: NativeHandle;
  readonly #engine: Engine;
  readonly #holding: Holding;
  readonly #weights: Map<string, PackedWeight>;
  readonly #sparse: ReadonlySet<string>;
  #disposal: Promise<void> | undefined;

  constructor(engine: Engine, { sparse = new Set(), mapped }: CpuWeightsOptions = {}) {
    this.#engine = engine;
    this.#sparse = sparse;
    this.#holding = mapped?.holding ?? new Holding(engine.memory);
    this.#weights = new Map(mapped?.weights);
    this.handle = mapped?.handle ?? engine.addon.createWeights();
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
    const { code, rows, columns, isVector, count } = this.#check(weight);
    const layout = layouts.indexOf(!isVector && this.#sparse.has(name) ? 'columns' : 'panels');
    const packed = addon.packedBytes(code, rows, columns, isVector, layout);
    const index = await this.#holding.allocate({ bytes: packed, what: `Weight ${name}` }, () =>
      addon.addWeight(handle, this.handle, code, rows, columns, isVector, layout, bytes),
    );
    requireLive(this.disposed, 'weights handle');
    this.#weights.set(name, { shape: [...shape], format, layout, index, count });
  }

  /** In the order of the upload. */
  entries(): IterableIterator<[string, PackedWeight]> {
    return this.#weights.entries();
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
  #check(weight: HostWeight): WeightLayout {
    const { name, bytes } = weight;
    const layout = layoutOf(weight);
    if (this.#weights.has(name)) throw repeated(name);
    if (!(bytes instanceof Uint8Array)) {
      throw new TypeError(`Weight ${name} must have Uint8Array bytes.`);
    }
    const expected = expectedBytes(weight);
    if (bytes.length !== expected) {
      throw invalid(weight, { expected: `${expected} bytes`, got: bytes.length });
    }
    return layout;
  }
}

/** @throws BackendError `WEIGHT_INVALID`, `UNSUPPORTED_WEIGHT_FORMAT` */
export function layoutOf(weight: Omit<HostWeight, 'bytes'>): WeightLayout {
  const { name, shape, format } = weight;
  const code = weightFormats.indexOf(format);
  if (code < 0) throw unsupportedFormat(weight);
  if (typeof name !== 'string' || name === '') {
    throw invalid(weight, { expected: 'a name', got: JSON.stringify(name) });
  }
  const count = shape.reduce((total, size) => total * size, 1);
  const areSizes = shape.every((size) => Number.isSafeInteger(size) && size > 0);
  const columns = shape.at(-1) ?? 0;
  const rows = count / columns;
  if (shape.length === 0 || !areSizes || !Number.isSafeInteger(count)) {
    throw invalid(weight, { expected: 'positive sizes', got: `[${shape.join(', ')}]` });
  }
  if (columns > largestSize || rows > largestSize) {
    throw invalid(weight, {
      expected: `at most ${largestSize} rows and columns`,
      got: `[${shape.join(', ')}]`,
    });
  }
  // Blocks that the rows cannot hold are told here, too.
  expectedBytes(weight);
  return { code, rows, columns, isVector: shape.length !== 2, count };
}

export function repeated(name: string): BackendError {
  return new BackendError({
    code: 'WEIGHT_INVALID',
    message: `Weight ${name} must occur once, got it twice.`,
    expected: 1,
    got: 2,
  });
}

function expectedBytes(weight: Omit<HostWeight, 'bytes'>): number {
  try {
    return bytesForShape(weight.format, weight.shape);
  } catch (cause) {
    if (!(cause instanceof FormatsError)) throw cause;
    throw invalid(weight, { expected: cause.expected, got: cause.got, cause });
  }
}

function unsupportedFormat({ name, format }: Omit<HostWeight, 'bytes'>): BackendError {
  return new BackendError({
    code: 'UNSUPPORTED_WEIGHT_FORMAT',
    message: `Weight ${name} is in the format ${format}; supported: ${weightFormats.join(', ')}.`,
    expected: [...weightFormats] satisfies WeightFormat[],
    got: format,
  });
}

function invalid(
  { name, format, shape }: Omit<HostWeight, 'bytes'>,
  options: { expected: unknown; got: unknown; cause?: unknown },
): BackendError {
  return new BackendError({
    code: 'WEIGHT_INVALID',
    message: `Weight ${name} ${format} [${shape.join(', ')}] must have ${String(options.expected)}, got ${String(options.got)}.`,
    ...options,
  });
}

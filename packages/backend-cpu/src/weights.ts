import type { HostWeight, WeightFormat, Weights } from '@rwkv-ts/backend';
import { checkWeight, checkWeightHeader, type WeightSize } from '@rwkv-ts/formats';
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
  /** Whether all are kept as f32, row by row, whatever they come in: what learns, and what it is multiplied by. */
  readonly plain?: boolean;
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
  readonly #plain: boolean;
  #disposal: Promise<void> | undefined;

  constructor(
    engine: Engine,
    { sparse = new Set(), plain = false, mapped }: CpuWeightsOptions = {},
  ) {
    this.#engine = engine;
    this.#sparse = sparse;
    this.#plain = plain;
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
    const has = (each: string) => this.#weights.has(each);
    const size = checkWeight(weight, { formats: weightFormats, largestSize, has });
    const { code, rows, columns, count, ...own } = withLayout(weight, size);
    const isVector = this.#plain || own.isVector;
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
}

/** @throws BackendError `WEIGHT_INVALID`, `UNSUPPORTED_WEIGHT_FORMAT` */
export function layoutOf(weight: Omit<HostWeight, 'bytes'>): WeightLayout {
  return withLayout(weight, checkWeightHeader(weight, { formats: weightFormats, largestSize }));
}

function withLayout({ shape, format }: Omit<HostWeight, 'bytes'>, size: WeightSize): WeightLayout {
  const { rows, columns } = size;
  const code = weightFormats.indexOf(format);
  return { code, rows, columns, isVector: shape.length !== 2, count: rows * columns };
}

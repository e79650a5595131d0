import {
  type Backend,
  BackendError,
  type BackendSupports,
  type Bindings,
  type Executable,
  type HostWeight,
  type Limits,
  type Op,
  type Program,
  type States,
  type StateSpec,
  type UploadOptions,
  type Weights,
} from '@rwkv-ts/backend';
import { opKinds, sparseWeights, validateLimits, validateProgram } from '@rwkv-ts/program';
import { checkBindings } from './bindings.js';
import { deviceContext, type Fallback } from './device/device-context.js';
import { type GpuFinder, openDevice, type OpenedDevice } from './device/open-device.js';
import type { Engine } from './engine.js';
import { requireLive } from './errors.js';
import { WebGpuExecutable } from './executable.js';
import { mostMixes } from './kernels/shift-mix.js';
import { topKChunk } from './kernels/top-k.js';
import { Memory } from './memory.js';
import { checkOptions, type WebGpuBackendOptions, type WebGpuTier } from './options.js';
import { WebGpuStates } from './states.js';
import { WebGpuWeights } from './weights.js';
import { weightFormats } from './weights/layout.js';

/** Of a recurrence: an invocation owns a row of a head, and 256 make a group on every adapter. */
const maxHeadSize = 256;

/** The WebGPU backend. */
export interface WebGpuBackend extends Backend {
  readonly device: GPUDevice;
  readonly tier: WebGpuTier;
  /** Kernels that the device refused or computed wrongly so far, for which safer ones stand in. */
  readonly fallbacks: readonly Fallback[];
}

export type CreateWebGpuBackend = (options?: WebGpuBackendOptions) => Promise<WebGpuBackend>;

/** `createWebGpuBackend` for a runtime that finds WebGPU as `finder` does. */
export function backendCreator(finder: GpuFinder): CreateWebGpuBackend {
  return async (options = {}) => {
    checkOptions(options);
    options.onProgress?.({ stage: 'device', done: 0, total: 1 });
    const opened = await openDevice(options, finder);
    options.onProgress?.({ stage: 'device', done: 1, total: 1 });
    return new GpuBackend(options, opened);
  };
}

type Handle = WebGpuWeights | WebGpuStates | WebGpuExecutable;

class GpuBackend implements WebGpuBackend {
  readonly specificationVersion = 'v1';
  readonly name: string;
  readonly tier: WebGpuTier;
  readonly supports: BackendSupports = {
    ops: opKinds,
    weightFormats: new Set(weightFormats),
    activations: 'f32',
    embeddings: true,
  };
  readonly #opened: OpenedDevice;
  readonly #sparse: boolean;
  readonly #engine: Engine;
  /** Handles to dispose of with the backend. */
  readonly #live = new Set<Handle>();
  /** All handles it ever made, to tell its own from another backend's. */
  readonly #made = new WeakSet<Handle>();
  /** Handles on their way, which disposal waits for. */
  readonly #making = new Set<Promise<Handle>>();
  #disposal: Promise<void> | undefined;

  constructor(options: WebGpuBackendOptions, opened: OpenedDevice) {
    const { device, tier, description, halves } = opened;
    this.#opened = opened;
    this.#sparse = (options.sparseColumns ?? 'auto') === 'auto';
    this.tier = tier;
    this.name = `webgpu ${tier}, ${description}`;
    const { maxStorageBufferBindingSize, maxBufferSize } = device.limits;
    const { maxBindingBytes = Infinity, memoryLimit = Infinity, onProgress } = options;
    const { integerProducts: integers = 'never' } = options;
    this.#engine = {
      context: deviceContext(device),
      memory: new Memory(memoryLimit),
      features: { subgroups: tier === 'subgroups', halves, integers },
      maxBindingBytes: Math.min(maxBindingBytes, maxStorageBufferBindingSize, maxBufferSize),
      onProgress: onProgress ?? (() => undefined),
    };
  }

  get bytes(): number {
    return this.#engine.memory.used;
  }

  get device(): GPUDevice {
    return this.#opened.device;
  }

  get fallbacks(): readonly Fallback[] {
    return [...this.#engine.context.fallbacks.values()];
  }

  async upload(weights: AsyncIterable<HostWeight>, options?: UploadOptions): Promise<Weights> {
    this.#requireLive();
    this.#engine.context.requireSound();
    const program = this.#sparse ? options?.program : undefined;
    const columns = program ? sparseWeights(program) : new Set<string>();
    const handle = this.#own(new WebGpuWeights(this.#engine, { columns }));
    try {
      for await (const weight of weights) await handle.add(weight);
      // The last tensor may have come before the backend was disposed of and the end of the iteration after.
      await handle.finish();
    } catch (error) {
      await handle[Symbol.asyncDispose]();
      throw error;
    }
    return handle;
  }

  async createStates(specs: readonly StateSpec[], slots: number): Promise<States> {
    this.#requireLive();
    return this.#keep(WebGpuStates.create(this.#engine, { specs: structuredClone(specs), slots }));
  }

  async compile(program: Program, bindings: Bindings, limits: Limits): Promise<Executable> {
    this.#requireLive();
    const { weights, states } = bindings;
    if (!(weights instanceof WebGpuWeights && this.#made.has(weights)))
      this.#reject(weights, 'weights');
    if (!(states instanceof WebGpuStates && this.#made.has(states))) this.#reject(states, 'states');
    requireLive(weights.disposed, 'weights handle');
    requireLive(states.disposed, 'states handle');
    validateLimits(limits);
    for (const [index, { kind }] of program.ops.entries()) {
      if (!this.supports.ops.has(kind)) throw this.#unsupported(index, kind);
    }
    validateProgram(program);
    for (const [index, op] of program.ops.entries()) this.#requireSizes(op, index);
    checkBindings(program, { weights, states });
    const options = { program: structuredClone(program), weights, states, limits };
    return this.#keep(WebGpuExecutable.create(this.#engine, options));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#release();
    return this.#disposal;
  }

  async #release(): Promise<void> {
    await Promise.all([...this.#live].map((handle) => handle[Symbol.asyncDispose]()));
    this.#live.clear();
    await Promise.allSettled(this.#making);
    if (this.#opened.isOwn) this.#opened.device.destroy();
  }

  /** Takes over a handle that takes time to make, in which the backend may be disposed of. */
  async #keep<Owned extends Handle>(making: Promise<Owned>): Promise<Owned> {
    const kept = making.then(async (handle) => {
      if (this.#disposal === undefined) return this.#own(handle);
      await handle[Symbol.asyncDispose]();
      this.#requireLive();
      return handle;
    });
    this.#making.add(kept);
    try {
      return await kept;
    } catch (error) {
      // What failed because its parts went with the backend.
      this.#requireLive();
      throw error;
    } finally {
      this.#making.delete(kept);
    }
  }

  #own<Owned extends Handle>(handle: Owned): Owned {
    for (const old of this.#live) if (old.disposed) this.#live.delete(old);
    this.#live.add(handle);
    this.#made.add(handle);
    return handle;
  }

  #requireLive(): void {
    requireLive(this.#disposal !== undefined, 'backend');
  }

  #reject(handle: unknown, what: string): never {
    const got = handle instanceof Object ? 'a handle of another backend' : String(handle);
    throw new TypeError(`bindings.${what} must come from this backend (${this.name}), got ${got}.`);
  }

  #requireSizes(op: Op, index: number): void {
    const recurs = op.kind === 'wkv6' || op.kind === 'wkv7';
    if (recurs || op.kind === 'time-mix6' || op.kind === 'time-mix7') {
      this.#atMost('channels in a head', op.out.width / op.heads, { most: maxHeadSize, op, index });
    }
    if (op.kind === 'top-k')
      this.#atMost('numbers to find', op.count, { most: topKChunk, op, index });
    if (op.kind !== 'shift-mix') return;
    this.#atMost('mixes', op.mixes.length, { most: mostMixes, op, index });
  }

  #atMost(
    what: string,
    got: number,
    { most, op, index }: { readonly most: number; readonly op: Op; readonly index: number },
  ): void {
    if (got <= most) return;
    throw new BackendError({
      code: 'UNSUPPORTED_OP',
      message: `Op ${index}, ${op.kind}, has ${got} ${what}; ${this.name} computes at most ${most}.`,
      expected: most,
      got,
    });
  }

  #unsupported(index: number, kind: string): BackendError {
    const supported = [...this.supports.ops];
    return new BackendError({
      code: 'UNSUPPORTED_OP',
      message: `Op ${index} is of the kind ${kind}; ${this.name} supports ${supported.join(', ')}.`,
      expected: supported,
      got: kind,
    });
  }
}

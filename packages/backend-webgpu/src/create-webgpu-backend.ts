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
import {
  checkBindings,
  HandleKeeper,
  opKinds,
  requireLive,
  requireOps,
  sparseWeights,
  validateLimits,
  validateProgram,
} from '@rwkv-ts/program';
import { deviceContext, type Fallback } from './device/device-context.js';
import { type GpuFinder, openDevice, type OpenedDevice } from './device/open-device.js';
import type { Engine } from './engine.js';
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
  readonly #handles: HandleKeeper;
  #disposal: Promise<void> | undefined;

  constructor(options: WebGpuBackendOptions, opened: OpenedDevice) {
    const { device, tier, description, halves } = opened;
    this.#opened = opened;
    this.#sparse = (options.sparseColumns ?? 'auto') === 'auto';
    this.tier = tier;
    this.name = `webgpu ${tier}, ${description}`;
    this.#handles = new HandleKeeper(this.name);
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
    this.#handles.requireOpen();
    this.#engine.context.requireSound();
    const program = this.#sparse ? options?.program : undefined;
    const columns = program ? sparseWeights(program) : new Set<string>();
    const handle = this.#handles.own(new WebGpuWeights(this.#engine, { columns }));
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
    this.#handles.requireOpen();
    return this.#handles.keep(
      WebGpuStates.create(this.#engine, { specs: structuredClone(specs), slots }),
    );
  }

  async compile(program: Program, bindings: Bindings, limits: Limits): Promise<Executable> {
    this.#handles.requireOpen();
    const weights = this.#handles.require(bindings.weights, {
      kind: WebGpuWeights,
      what: 'bindings.weights',
    });
    const states = this.#handles.require(bindings.states, {
      kind: WebGpuStates,
      what: 'bindings.states',
    });
    requireLive(weights.disposed, 'weights handle');
    requireLive(states.disposed, 'states handle');
    validateLimits(limits);
    requireOps(program, { supported: this.supports.ops, name: this.name });
    validateProgram(program);
    for (const [index, op] of program.ops.entries()) this.#requireSizes(op, index);
    checkBindings(program, {
      weights: (name) => weights.get(name)?.shape,
      states: (name) => states.get(name)?.shape,
    });
    const options = { program: structuredClone(program), weights, states, limits };
    return this.#handles.keep(WebGpuExecutable.create(this.#engine, options));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#release();
    return this.#disposal;
  }

  async #release(): Promise<void> {
    await this.#handles.close();
    if (this.#opened.isOwn) this.#opened.device.destroy();
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
}

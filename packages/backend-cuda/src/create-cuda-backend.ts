import type {
  Backend,
  BackendSupports,
  Bindings,
  Executable,
  HostWeight,
  Limits,
  Program,
  States,
  StateSpec,
  UploadOptions,
  Weights,
} from '@rwkv-ts/backend';
import { BackendError } from '@rwkv-ts/backend';
import {
  checkBindings,
  HandleKeeper,
  opKinds,
  requireLive,
  requireOps,
  validateLimits,
  validateProgram,
} from '@rwkv-ts/program';
import { requireSizes } from './encode/require-sizes.js';
import { deviceError, Engine } from './engine.js';
import { CudaExecutable } from './executable.js';
import { kernels as allKernels } from './kernels/all.js';
import type { MatrixFeatures } from './kernels/linear.js';
import { findNative, readKernels } from './load-native.js';
import {
  checkMeasureOptions,
  type CudaRates,
  type MeasureOptions,
  measureRates,
} from './measure.js';
import type { DeviceFacts, NativeAddon, NativeHandle } from './native.js';
import { checkOptions, type CudaBackendOptions } from './options.js';
import { CudaStates } from './states.js';
import { weightFormats } from './weights/layout.js';
import { CudaWeights } from './weights/weights.js';

/** The CUDA backend. */
export interface CudaBackend extends Backend {
  readonly device: CudaDevice;
  /** Of the device's memory: what nobody holds, by the driver's account. */
  freeBytes(): Promise<number>;
  /**
   * What the device gives at most, for comparing steps with; it should do nothing else meanwhile. Takes a second and
   * 512 MiB of its memory, unless told otherwise.
   * @throws TypeError for options out of range
   * @throws BackendError `OUT_OF_MEMORY`, `DEVICE_LOST`, `DISPOSED`
   */
  measure(options?: MeasureOptions): Promise<CudaRates>;
}

export interface CudaDevice {
  readonly ordinal: number;
  readonly name: string;
  /** `9.0`, for example. */
  readonly computeCapability: string;
  /** Of CUDA that the driver supports: `13.0`, for example. */
  readonly driverVersion: string;
  readonly multiprocessors: number;
  readonly memoryBytes: number;
}

/** 10 times the oldest compute capability that there are kernels for. */
const leastCapability = 75;

/**
 * @throws TypeError for options out of range
 * @throws BackendError `DEVICE_UNAVAILABLE` where the addon, the driver, the device or the kernels are missing
 */
export async function createCudaBackend(options: CudaBackendOptions = {}): Promise<CudaBackend> {
  checkOptions(options);
  const { addon } = findNative();
  const handle = addon.createEngine(options.spinMicroseconds ?? 100);
  try {
    const facts = await openDevice(addon, handle, options);
    return new DeviceBackend(options, { addon, handle, facts });
  } catch (error) {
    addon.stopEngine(handle);
    throw error;
  }
}

async function openDevice(
  addon: NativeAddon,
  handle: NativeHandle,
  { device = 0, driver = '', kernels }: CudaBackendOptions,
): Promise<DeviceFacts> {
  try {
    const facts = await addon.openDevice(handle, driver, device);
    if (facts.capability < leastCapability) throw tooOld(facts);
    for (const image of kernels ?? readKernels()) await addon.loadModule(handle, image);
    await addon.findKernels(
      handle,
      allKernels.map(({ name }) => name),
    );
    return facts;
  } catch (cause) {
    throw unavailable(cause, device);
  }
}

class DeviceBackend implements CudaBackend {
  readonly specificationVersion = 'v1';
  readonly name: string;
  readonly device: CudaDevice;
  readonly supports: BackendSupports;
  readonly #engine: Engine;
  readonly #handles: HandleKeeper;
  readonly #features: MatrixFeatures;
  readonly #sparseColumns: boolean;
  #disposal: Promise<void> | undefined;

  constructor(
    options: CudaBackendOptions,
    parts: {
      readonly addon: NativeAddon;
      readonly handle: NativeHandle;
      readonly facts: DeviceFacts;
    },
  ) {
    const { facts } = parts;
    const ordinal = options.device ?? 0;
    this.name = `cuda:${ordinal} ${facts.name}`;
    this.device = describe(facts, ordinal);
    this.#handles = new HandleKeeper(this.name);
    this.#engine = new Engine({ ...parts, memoryLimit: options.memoryLimit ?? Infinity });
    this.#features = featuresOf(facts, options);
    this.#sparseColumns = (options.sparseColumns ?? 'auto') === 'auto';
    this.supports = supportsOf(this.#features);
  }

  get bytes(): number {
    return this.#engine.memory.used;
  }

  async freeBytes(): Promise<number> {
    this.#handles.requireOpen();
    const { addon, handle } = this.#engine;
    return this.#engine.guard(addon.freeBytes(handle), 'A look at the memory');
  }

  async measure(options: MeasureOptions = {}): Promise<CudaRates> {
    this.#handles.requireOpen();
    checkMeasureOptions(options);
    return measureRates(this.#engine, options);
  }

  async upload(
    weights: AsyncIterable<HostWeight>,
    { program }: UploadOptions = {},
  ): Promise<Weights> {
    this.#handles.requireOpen();
    const sparseColumns = this.#sparseColumns;
    const handle = this.#handles.own(new CudaWeights(this.#engine, { program, sparseColumns }));
    try {
      for await (const weight of weights) await handle.add(weight);
      await handle.finish();
      return handle;
    } catch (error) {
      await handle[Symbol.asyncDispose]();
      throw error;
    }
  }

  async createStates(specs: readonly StateSpec[], slots: number): Promise<States> {
    this.#handles.requireOpen();
    const options = { specs: structuredClone(specs), slots };
    return this.#handles.keep(CudaStates.create(this.#engine, options));
  }

  async compile(given: Program, bindings: Bindings, limits: Limits): Promise<Executable> {
    this.#handles.requireOpen();
    const weights = this.#handles.require(bindings.weights, {
      kind: CudaWeights,
      what: 'bindings.weights',
    });
    const states = this.#handles.require(bindings.states, {
      kind: CudaStates,
      what: 'bindings.states',
    });
    requireLive(weights.disposed, 'weights handle');
    requireLive(states.disposed, 'states handle');
    validateLimits(limits);
    requireOps(given, { supported: this.supports.ops, name: this.name });
    validateProgram(given);
    requireSizes(given, this.name);
    checkBindings(given, {
      weights: (name) => weights.shapeOf(name),
      states: (name) => states.get(name)?.shape,
    });
    const program = structuredClone(given);
    const options = { program, weights, states, limits, features: this.#features };
    return this.#handles.keep(CudaExecutable.create(this.#engine, options));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#release();
    return this.#disposal;
  }

  async #release(): Promise<void> {
    await this.#handles.close();
    const { addon, handle } = this.#engine;
    await addon.drainEngine(handle).catch(() => undefined);
    addon.stopEngine(handle);
  }
}

/** 90 is 9.0. */
const capabilityText = ({ capability }: DeviceFacts): string =>
  `${Math.floor(capability / 10)}.${capability % 10}`;

/** 12040 is 12.4. */
const driverText = ({ driverVersion }: DeviceFacts): string =>
  `${Math.floor(driverVersion / 1000)}.${Math.floor((driverVersion % 1000) / 10)}`;

function describe(facts: DeviceFacts, ordinal: number): CudaDevice {
  return {
    ordinal,
    name: facts.name,
    computeCapability: capabilityText(facts),
    driverVersion: driverText(facts),
    multiprocessors: facts.multiprocessors,
    memoryBytes: facts.totalBytes,
  };
}

function featuresOf(
  { capability }: DeviceFacts,
  { matrixUnits = 'auto' }: CudaBackendOptions,
): MatrixFeatures {
  if (matrixUnits === 'never') return { tensorCores: 'none' };
  return { tensorCores: capability >= 80 ? 'all' : 'f16' };
}

function supportsOf({ tensorCores }: MatrixFeatures): BackendSupports {
  const rounded = { none: [], f16: ['f16'], all: ['f16', 'bf16'] } as const;
  return {
    ops: opKinds,
    weightFormats: new Set(weightFormats),
    activations: 'f32',
    roundedProducts: new Set(rounded[tensorCores]),
    embeddings: true,
  };
}

function tooOld(facts: DeviceFacts): BackendError {
  const { name } = facts;
  const got = capabilityText(facts);
  return new BackendError({
    code: 'DEVICE_UNAVAILABLE',
    message: `The device ${name} has compute capability ${got}; the kernels need 7.5 or more.`,
    expected: '7.5 or more',
    got,
  });
}

/** Whatever goes wrong before there is a device is that there is none. */
function unavailable(cause: unknown, ordinal: number): unknown {
  if (cause instanceof BackendError || !(cause instanceof Error)) return cause;
  const { code } = cause as { code?: unknown };
  if (code === 'OUT_OF_MEMORY') return deviceError(cause, { what: 'The device’s context' });
  return new BackendError({
    code: 'DEVICE_UNAVAILABLE',
    message: [
      `The CUDA device ${ordinal} cannot be used: ${cause.message}.`,
      'What helps: an NVIDIA GPU of compute capability 7.5 or more, and its driver, 580 or newer (`nvidia-smi` shows both).',
    ].join('\n'),
    expected: `CUDA device ${ordinal}`,
    got: cause.message,
    cause,
  });
}

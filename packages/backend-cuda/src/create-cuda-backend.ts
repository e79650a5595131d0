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
import { deviceError, DeviceGroup, Engine } from './engine.js';
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
import { checkOptions, type CudaBackendOptions, devicesOf } from './options.js';
import { CudaStates } from './states.js';
import { weightFormats } from './weights/layout.js';
import { CudaWeights } from './weights/weights.js';

/** The CUDA backend. */
export interface CudaBackend extends Backend {
  /** The first of `devices`. */
  readonly device: CudaDevice;
  /** In the order in which a model's layers lie on them. */
  readonly devices: readonly CudaDevice[];
  /**
   * Of the memory of its devices, or of the one of that ordinal: what nobody holds, by the driver's account.
   * @throws TypeError for a device that is not the backend's
   * @throws BackendError `DEVICE_LOST`, `DISPOSED`
   */
  freeBytes(device?: number): Promise<number>;
  /**
   * What a device gives at most, for comparing steps with; it should do nothing else meanwhile. Takes a second and
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
 * @throws BackendError `DEVICE_UNAVAILABLE` where the addon, the driver, a device or the kernels are missing
 */
export async function createCudaBackend(options: CudaBackendOptions = {}): Promise<CudaBackend> {
  checkOptions(options);
  const { addon } = findNative();
  const { memoryLimit = Infinity, peerCopies = 'auto' } = options;
  const group = new DeviceGroup({ memoryLimit, peerCopies: peerCopies === 'auto' });
  let read = options.kernels;
  // Once, and not before there is a device: that there is none says more than that they are missing.
  const images = () => (read ??= readKernels());
  const engines: Engine[] = [];
  try {
    for (const ordinal of devicesOf(options)) {
      const handle = addon.createEngine(options.spinMicroseconds ?? 100);
      try {
        const facts = await openDevice(addon, handle, { ...options, ordinal, images });
        engines.push(new Engine({ addon, handle, facts, ordinal, group }));
      } catch (error) {
        addon.stopEngine(handle);
        throw error;
      }
    }
    return new DeviceBackend(options, engines);
  } catch (error) {
    for (const { handle } of engines) addon.stopEngine(handle);
    throw error;
  }
}

async function openDevice(
  addon: NativeAddon,
  handle: NativeHandle,
  {
    ordinal,
    driver = '',
    images,
  }: CudaBackendOptions & {
    readonly ordinal: number;
    readonly images: () => readonly Uint8Array[];
  },
): Promise<DeviceFacts> {
  try {
    const facts = await addon.openDevice(handle, driver, ordinal);
    if (facts.capability < leastCapability) throw tooOld(facts);
    for (const image of images()) await addon.loadModule(handle, image);
    await addon.findKernels(
      handle,
      allKernels.map(({ name }) => name),
    );
    return facts;
  } catch (cause) {
    throw unavailable(cause, ordinal);
  }
}

class DeviceBackend implements CudaBackend {
  readonly specificationVersion = 'v1';
  readonly name: string;
  readonly device: CudaDevice;
  readonly devices: readonly CudaDevice[];
  readonly supports: BackendSupports;
  readonly #engines: readonly Engine[];
  readonly #handles: HandleKeeper;
  readonly #features: readonly MatrixFeatures[];
  readonly #options: CudaBackendOptions;
  #disposal: Promise<void> | undefined;

  constructor(options: CudaBackendOptions, engines: readonly Engine[]) {
    this.name = nameOf(engines);
    this.devices = engines.map(({ facts, ordinal }) => describe(facts, ordinal));
    this.device = this.devices[0]!;
    this.#handles = new HandleKeeper(this.name);
    this.#engines = engines;
    this.#features = engines.map(({ facts }) => featuresOf(facts, options));
    this.#options = options;
    this.supports = supportsOf(this.#features);
  }

  get bytes(): number {
    return this.#engines[0]!.group.memory.used;
  }

  async freeBytes(device?: number): Promise<number> {
    this.#handles.requireOpen();
    const engines = device === undefined ? this.#engines : [this.#engine(device)];
    const free = await Promise.all(engines.map((engine) => engine.freeBytes()));
    return free.reduce((total, bytes) => total + bytes, 0);
  }

  async measure(options: MeasureOptions = {}): Promise<CudaRates> {
    this.#handles.requireOpen();
    checkMeasureOptions(options);
    return measureRates(this.#engine(options.device ?? this.device.ordinal), options);
  }

  async upload(
    weights: AsyncIterable<HostWeight>,
    { program }: UploadOptions = {},
  ): Promise<Weights> {
    this.#handles.requireOpen();
    const shares = await this.#shares();
    this.#handles.requireOpen();
    const sparseColumns = (this.#options.sparseColumns ?? 'auto') === 'auto';
    const own = { program, sparseColumns, shares };
    const handle = this.#handles.own(new CudaWeights(this.#engines, own));
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
    const creating = this.#shares().then((shares) =>
      CudaStates.create(this.#engines, { ...options, shares }),
    );
    return this.#handles.keep(creating);
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
      states: (name) => states.shapeOf(name),
    });
    const program = structuredClone(given);
    const options = { program, weights, states, limits: { ...limits }, features: this.#features };
    const compiling = this.#shares().then((shares) =>
      CudaExecutable.create(this.#engines, { ...options, shares }),
    );
    return this.#handles.keep(compiling);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#release();
    return this.#disposal;
  }

  async #release(): Promise<void> {
    await this.#handles.close();
    const draining = this.#engines.map(({ addon, handle }) => addon.drainEngine(handle));
    await Promise.allSettled(draining);
    for (const { addon, handle } of this.#engines) addon.stopEngine(handle);
  }

  #engine(wanted: number): Engine {
    const found = this.#engines.find(({ ordinal }) => ordinal === wanted);
    if (found) return found;
    const own = this.#engines.map(({ ordinal }) => ordinal).join(', ');
    throw new TypeError(`device must be one of the backend's (${own}), got ${String(wanted)}.`);
  }

  /** Of each device: what it can take. */
  async #shares(): Promise<readonly number[]> {
    if (this.#options.shares) return [...this.#options.shares];
    if (this.#engines.length === 1) return [1];
    return Promise.all(this.#engines.map((engine) => engine.freeBytes()));
  }
}

/** `cuda:0,1 NVIDIA H200`, or each by itself where they differ. */
function nameOf(engines: readonly Engine[]): string {
  const names = new Set(engines.map(({ facts }) => facts.name));
  const [only] = names;
  return names.size === 1
    ? `cuda:${engines.map(({ ordinal }) => ordinal).join(',')} ${only}`
    : engines.map(({ label }) => label).join(', ');
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

function supportsOf(features: readonly MatrixFeatures[]): BackendSupports {
  const rounded = { none: [], f16: ['f16'], all: ['f16', 'bf16'] } as const;
  return {
    ops: opKinds,
    weightFormats: new Set(weightFormats),
    activations: 'f32',
    roundedProducts: new Set(features.flatMap(({ tensorCores }) => rounded[tensorCores])),
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
  if (code === 'OUT_OF_MEMORY')
    return deviceError(cause, { what: 'The device’s context', device: `cuda:${ordinal}` });
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

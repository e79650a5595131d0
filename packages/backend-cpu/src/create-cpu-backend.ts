import {
  type Backend,
  BackendError,
  type BackendSupports,
  type Bindings,
  type HostWeight,
  type Limits,
  type Op,
  type Program,
  type States,
  type StateSpec,
  type TrainingOptions,
  type UploadOptions,
  type Weights,
} from '@rwkv-ts/backend';
import { Memory } from '@rwkv-ts/native';
import {
  checkBindings,
  HandleKeeper,
  opKinds,
  requireLive,
  requireOps,
  sparseWeights,
  validateLimits,
  validateProgram,
  validateTrainingOptions,
} from '@rwkv-ts/program';
import type { Engine } from './engine.js';
import { type CpuExecutable, NativeExecutable } from './executable.js';
import { findNative, loadNative } from './load-native.js';
import { type NativeAddon, weightFormats } from './native.js';
import { type CpuBackendOptions, resolveOptions } from './options.js';
import type { PackedMetadata } from './packed-file.js';
import { openPackedFile, writePackedFile, type WritePackedOptions } from './packed-weights.js';
import { CpuStates } from './states.js';
import { type CpuTraining, NativeTraining } from './training/cpu-training.js';
import { trainingKinds } from './training/forward.js';
import { CpuWeights } from './weights.js';

/** Of a recurrence, as in native/kernels/kernels.h; one head's state is 4 GiB then. */
const maxHeadSize = 32768;

/** The CPU backend: its executables can also be profiled. */
export interface CpuBackend extends Backend {
  /** The instruction set whose kernels run. */
  readonly instructions: string;
  readonly threads: number;
  compile(program: Program, bindings: Bindings, limits: Limits): Promise<CpuExecutable>;
  /** Weights are held as f32, whatever format they come in, frozen ones too. */
  createTraining(
    program: Program,
    weights: AsyncIterable<HostWeight>,
    options: TrainingOptions,
  ): Promise<CpuTraining>;
  /**
   * Writes weights of this backend to a file as they lie in memory. Whoever opens `path` sees the old file or the whole new
   * one; a failure leaves nothing behind.
   * @throws BackendError `ABORTED`, `DISPOSED`; the system's own errors, `ENOSPC` for example
   */
  writePacked(weights: Weights, path: string, options?: WritePackedOptions): Promise<void>;
  /**
   * The weights of such a file, mapped: nothing is read before it is used, and processes share the memory. The file must
   * not be cut off or written to while they live; it may be replaced or deleted. Its numbers are trusted, all else is
   * checked.
   * @throws BackendError `WEIGHT_INVALID` for a file that is damaged or was written by another version or kind of
   * machine, `OUT_OF_MEMORY`, `DISPOSED`; the system's own errors, `ENOENT` for example
   */
  openPacked(path: string): Promise<OpenedPacked>;
}

export interface OpenedPacked {
  readonly weights: Weights;
  readonly metadata: PackedMetadata;
}

/**
 * RWKV on the processor: native kernels on threads of their own, one call per step. Every op and weight format, f32
 * activations and states. Products with block formats quantise activations to 8 bits per 32 numbers.
 * @throws BackendError `DEVICE_UNAVAILABLE` when the native addon cannot be loaded, or lacks the wanted instructions
 * @throws TypeError for options out of range
 */
export function createCpuBackend(options: CpuBackendOptions = {}): CpuBackend {
  return new NativeBackend(options, loadNative());
}

/** The instruction sets `createCpuBackend` takes on this machine, best first. @throws BackendError `DEVICE_UNAVAILABLE` */
export function availableInstructions(): string[] {
  return loadNative().instructions();
}

/** The addon that `createCpuBackend` uses here. */
export interface AddonInformation {
  readonly version: string;
  /** Where it was found, for people: `the build from source /…`, or `the package @rwkv-ts/backend-cpu-…`. */
  readonly source: string;
  /** As `availableInstructions` has them. */
  readonly instructions: readonly string[];
  /** Of the layouts in files of packed weights; those of another version are refused. */
  readonly packedVersion: number;
}

/** For reports about a machine. @throws BackendError `DEVICE_UNAVAILABLE` */
export function addonInformation(): AddonInformation {
  const { addon, source } = findNative();
  const { version, packedVersion } = addon;
  return { version, source, instructions: addon.instructions(), packedVersion };
}

class NativeBackend implements CpuBackend {
  readonly specificationVersion = 'v1';
  readonly name: string;
  readonly supports: BackendSupports;
  readonly instructions: string;
  readonly threads: number;
  readonly #engine: Engine;
  readonly #handles: HandleKeeper;
  #disposal: Promise<void> | undefined;

  constructor(options: CpuBackendOptions, addon: NativeAddon) {
    const { threads, instructions, pin, spinMicroseconds, memoryLimit } = resolveOptions(
      options,
      addon,
    );
    this.threads = threads;
    this.instructions = instructions;
    this.supports = {
      ops: opKinds,
      weightFormats: new Set(weightFormats),
      activations: 'f32',
      ...(instructions === 'avx512bf16' ? { roundedProducts: new Set(['bf16'] as const) } : {}),
      embeddings: true,
      trainingOps: new Set(trainingKinds),
    };
    this.name = `cpu ${instructions}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`;
    const handle = addon.createEngine(instructions, threads, pin, spinMicroseconds);
    this.#engine = { addon, handle, memory: new Memory(addon, memoryLimit) };
    this.#handles = new HandleKeeper(this.name);
  }

  get bytes(): number {
    return this.#engine.memory.used;
  }

  async upload(weights: AsyncIterable<HostWeight>, options?: UploadOptions): Promise<Weights> {
    this.#handles.requireOpen();
    const sparse = options?.program ? sparseWeights(options.program) : new Set<string>();
    const handle = this.#handles.own(new CpuWeights(this.#engine, { sparse }));
    try {
      for await (const weight of weights) await handle.add(weight);
      // The last tensor may have come before the backend was disposed of and the end of the iteration after.
      requireLive(handle.disposed, 'backend');
    } catch (error) {
      await handle[Symbol.asyncDispose]();
      throw error;
    }
    return handle;
  }

  async createStates(specs: readonly StateSpec[], slots: number): Promise<States> {
    this.#handles.requireOpen();
    const options = { specs: structuredClone(specs), slots };
    return this.#handles.keep(CpuStates.create(this.#engine, options));
  }

  async compile(program: Program, bindings: Bindings, limits: Limits): Promise<CpuExecutable> {
    this.#handles.requireOpen();
    const weights = this.#handles.require(bindings.weights, {
      kind: CpuWeights,
      what: 'bindings.weights',
    });
    const states = this.#handles.require(bindings.states, {
      kind: CpuStates,
      what: 'bindings.states',
    });
    requireLive(weights.disposed, 'weights handle');
    requireLive(states.disposed, 'states handle');
    validateLimits(limits);
    requireOps(program, { supported: this.supports.ops, name: this.name });
    validateProgram(program);
    for (const [index, op] of program.ops.entries()) {
      if ('heads' in op) this.#requireHeadSize(op, index);
    }
    checkBindings(program, {
      weights: (name) => weights.get(name)?.shape,
      states: (name) => states.spec(name)?.shape,
    });
    const options = { program: structuredClone(program), weights, states, limits };
    return this.#handles.keep(NativeExecutable.create(this.#engine, options));
  }

  async createTraining(
    program: Program,
    weights: AsyncIterable<HostWeight>,
    options: TrainingOptions,
  ): Promise<CpuTraining> {
    this.#handles.requireOpen();
    requireOps(program, { supported: this.supports.trainingOps!, name: this.name });
    validateProgram(program);
    for (const [index, op] of program.ops.entries()) {
      if ('heads' in op) this.#requireHeadSize(op, index);
    }
    validateTrainingOptions(program, options);
    const own = { program: structuredClone(program), options: structuredClone(options) };
    const names = new Set(program.weights.map(({ name }) => name));
    const uploaded = this.#handles.own(new CpuWeights(this.#engine, { plain: true }));
    try {
      for await (const weight of weights) if (names.has(weight.name)) await uploaded.add(weight);
      requireLive(uploaded.disposed, 'backend');
      const states = new Map(program.states.map(({ name, shape }) => [name, shape]));
      checkBindings(own.program, {
        weights: (name) => uploaded.get(name)?.shape,
        states: (name) => states.get(name),
      });
      const parts = { ...own, weights: uploaded, threads: this.threads };
      return await this.#handles.keep(NativeTraining.create(this.#engine, parts));
    } catch (error) {
      await uploaded[Symbol.asyncDispose]();
      throw error;
    }
  }

  async writePacked(
    weights: Weights,
    path: string,
    options: WritePackedOptions = {},
  ): Promise<void> {
    this.#handles.requireOpen();
    const own = this.#handles.require(weights, { kind: CpuWeights, what: 'weights' });
    requireLive(own.disposed, 'weights handle');
    await writePackedFile(this.#engine, own, { ...options, path });
  }

  async openPacked(path: string): Promise<OpenedPacked> {
    this.#handles.requireOpen();
    const requireOpen = () => {
      this.#handles.requireOpen();
    };
    let metadata: PackedMetadata = {};
    const weights = await this.#handles.keep(
      openPackedFile(this.#engine, { path, requireOpen }).then((opened) => {
        ({ metadata } = opened);
        return opened.weights;
      }),
    );
    return { weights, metadata };
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#release();
    return this.#disposal;
  }

  async #release(): Promise<void> {
    await this.#handles.close();
    const { addon, handle } = this.#engine;
    await addon.drainEngine(handle);
    addon.stopEngine(handle);
  }

  #requireHeadSize(op: Extract<Op, { readonly heads: number }>, index: number): void {
    const size = ('out' in op ? op.out : op.k).width / op.heads;
    if (!(size > maxHeadSize)) return;
    throw new BackendError({
      code: 'UNSUPPORTED_OP',
      message: `Op ${index}, ${op.kind}, has heads of ${size} channels; ${this.name} computes at most ${maxHeadSize}.`,
      expected: maxHeadSize,
      got: size,
    });
  }
}

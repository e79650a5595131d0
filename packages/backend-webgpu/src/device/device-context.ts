/** What backends on one device share: pipelines, bind group layouts, and how its failures become errors. */
import { BackendError } from '@rwkv-ts/backend';
import { outOfMemory } from '@rwkv-ts/program';
import { deviceLost } from '../errors.js';
import type { Shader } from '../kernels/shader.js';
import type { Holding } from '../memory.js';
import { bufferUsage, shaderStageCompute } from './constants.js';
import type { WrongNumber } from './run-self-tests.js';
import { SelfTests } from './self-tests.js';

export interface BufferOptions {
  readonly bytes: number;
  /** Bytes that the holding counts for it; default all. */
  readonly counted?: number;
  readonly usage: number;
  readonly what: string;
  readonly holding: Holding;
}

/** The first of a kernel's forms that works on the device. */
export interface ChosenShader {
  readonly pipeline: GPUComputePipeline;
  /** Its place among the forms. */
  readonly index: number;
}

/** A form of a kernel that the device refuses, or computes wrongly. */
export interface Fallback {
  readonly kernel: string;
  readonly reason: string;
}

const contexts = new WeakMap<GPUDevice, DeviceContext>();

/** The one of the device: what one backend compiled, another one on the same device need not. */
export function deviceContext(device: GPUDevice): DeviceContext {
  const context = contexts.get(device) ?? new DeviceContext(device);
  contexts.set(device, context);
  return context;
}

export class DeviceContext {
  readonly device: GPUDevice;
  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  readonly #tests: SelfTests;
  readonly #pipelines = new Map<string, Promise<GPUComputePipeline>>();
  /** What the device refused so far, by label. */
  readonly fallbacks = new Map<string, Fallback>();
  #lost: string | undefined;
  /** A device that destroys itself is told apart from one whose backend was disposed of. */
  readonly #whenLost: Promise<unknown>;
  /** Ends of waits for the queue, which a loss ends too. */
  readonly #waiting = new Set<() => void>();
  #fault: unknown;

  constructor(device: GPUDevice) {
    this.device = device;
    this.#tests = new SelfTests(device);
    this.#whenLost = device.lost.then(({ message, reason }) => {
      this.#lost = message || reason;
      for (const end of this.#waiting) end();
    });
    device.addEventListener('uncapturederror', (event) => {
      event.preventDefault();
      this.#fault ??= event.error;
    });
  }

  /** @throws BackendError `DEVICE_LOST`; what else went wrong unseen, as `OUT_OF_MEMORY` or an Error */
  requireSound(): void {
    if (this.#lost !== undefined) throw deviceLost(this.#lost);
    const fault = this.#fault as GPUError | undefined;
    if (fault === undefined) return;
    this.#fault = undefined;
    if (isOutOfMemory(fault)) {
      throw outOfMemory({
        what: 'A step',
        expected: 'what the device gives',
        got: 0,
        cause: fault,
      });
    }
    throw new Error(`WebGPU refused a command: ${fault.message}`, { cause: fault });
  }

  /** What a promise of the queue or of a buffer failed with. */
  async failure(cause: unknown): Promise<unknown> {
    // The loss of a device is told a little later than the failures it causes.
    await Promise.race([this.#whenLost, new Promise((resolve) => setTimeout(resolve, 200))]);
    return this.#lost === undefined ? cause : deviceLost(this.#lost, cause);
  }

  /** Resolves when everything submitted is done, or never will be. */
  async idle(): Promise<void> {
    if (this.#lost !== undefined) return;
    // A race with the promise of the loss would leave something with it each time, for as long as the device lives.
    await new Promise<void>((resolve) => {
      const end = (): void => {
        this.#waiting.delete(end);
        resolve();
      };
      this.#waiting.add(end);
      this.device.queue.onSubmittedWorkDone().then(end, end);
    });
  }

  /**
   * Limits are checked before anything is allocated, and both numbers told.
   * @throws BackendError `OUT_OF_MEMORY`, `DEVICE_LOST`
   */
  async createBuffer(options: BufferOptions): Promise<GPUBuffer> {
    const { bytes, usage, what, holding } = options;
    this.requireSound();
    const { device } = this;
    const size = Math.max(16, Math.ceil(bytes / 16) * 16);
    const isBound = (usage & bufferUsage.storage) !== 0;
    const { maxBufferSize, maxStorageBufferBindingSize } = device.limits;
    const limit = isBound ? Math.min(maxBufferSize, maxStorageBufferBindingSize) : maxBufferSize;
    if (size > limit) throw outOfMemory({ what, expected: limit, got: size });
    const { counted = size } = options;
    holding.take(counted, what);
    device.pushErrorScope('out-of-memory');
    device.pushErrorScope('validation');
    let buffer: GPUBuffer | undefined;
    let thrown: unknown;
    try {
      buffer = device.createBuffer({ size, usage, label: what });
    } catch (cause) {
      thrown = cause;
    }
    const [invalid, tooLarge] = await Promise.all([device.popErrorScope(), device.popErrorScope()]);
    const cause = thrown ?? tooLarge ?? invalid;
    if (cause) {
      buffer?.destroy();
      holding.give(counted);
      this.requireSound();
      throw outOfMemory({ what, expected: 'what the device gives', got: size, cause });
    }
    holding.keep(buffer!);
    return buffer!;
  }

  /** Of node parameters, batch header, activations, parameters, and the kernel's own buffers. */
  layout(storages: Shader['storages']): GPUBindGroupLayout {
    const key = storages.join();
    const found = this.#layouts.get(key);
    if (found) return found;
    const types: GPUBufferBindingType[] = ['uniform', 'read-only-storage', 'storage'];
    types.push('read-only-storage');
    for (const access of storages) {
      types.push(access === 'write' ? 'storage' : 'read-only-storage');
    }
    const layout = this.device.createBindGroupLayout({
      entries: types.map((type, binding) => ({
        binding,
        visibility: shaderStageCompute,
        buffer: { type },
      })),
    });
    this.#layouts.set(key, layout);
    return layout;
  }

  /** @throws BackendError `DEVICE_LOST`; an Error with the compiler's messages */
  pipeline(shader: Shader): Promise<GPUComputePipeline> {
    const found = this.#pipelines.get(shader.code);
    if (found) return found;
    const made = this.#build(shader);
    this.#pipelines.set(shader.code, made);
    made.catch(() => this.#pipelines.delete(shader.code));
    return made;
  }

  /**
   * The first of several shaders, which compute the same, that the device takes and computes rightly.
   * @throws BackendError `DEVICE_LOST`; `DEVICE_UNAVAILABLE`, with the kernel and its worst number, when it takes none
   */
  async choose(shaders: readonly Shader[]): Promise<ChosenShader> {
    for (const [index, shader] of shaders.entries()) {
      try {
        const pipeline = await this.pipeline(shader);
        const wrong = await this.#test(shader, pipeline);
        if (wrong === undefined) return { pipeline, index };
        throw wrongResults(shader.label, wrong);
      } catch (error) {
        if (index === shaders.length - 1 || this.#lost !== undefined) throw error;
        this.#replace(shader, error);
      }
    }
    throw new Error('A kernel has at least one form.');
  }

  /** Whether the device takes a kernel that can be done without, and computes it rightly. @throws BackendError `DEVICE_LOST` */
  async works(shader: Shader): Promise<boolean> {
    try {
      await this.choose([shader]);
      return true;
    } catch (error) {
      if (this.#lost !== undefined) throw error;
      this.#replace(shader, error);
      return false;
    }
  }

  #replace({ label }: Shader, error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    this.fallbacks.set(label, { kernel: label, reason });
  }

  async #test(shader: Shader, pipeline: GPUComputePipeline): Promise<WrongNumber | undefined> {
    try {
      return await this.#tests.run(shader, { pipeline, layout: this.layout(shader.storages) });
    } catch (cause) {
      throw await this.failure(cause);
    }
  }

  async #build({ code, label, storages }: Shader): Promise<GPUComputePipeline> {
    this.requireSound();
    const { device } = this;
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ code, label });
    const layout = device.createPipelineLayout({ bindGroupLayouts: [this.layout(storages)] });
    const popped = device.popErrorScope();
    try {
      const pipeline = await device.createComputePipelineAsync({
        label,
        layout,
        compute: { module, entryPoint: 'main' },
      });
      await popped;
      return pipeline;
    } catch (cause) {
      await popped;
      this.requireSound();
      const { messages } = await module.getCompilationInfo();
      const text = messages.map(({ lineNum, message }) => `line ${lineNum}: ${message}`).join('\n');
      throw new BackendError({
        code: 'DEVICE_UNAVAILABLE',
        message: `The device refuses the kernel ${label}. ${text}`,
        got: label,
        cause,
      });
    }
  }
}

const wrongResults = (label: string, { text, allowed, difference }: WrongNumber): BackendError =>
  new BackendError({
    code: 'DEVICE_UNAVAILABLE',
    message: `The device computes the kernel ${label} wrongly: ${text}, where ${allowed} may differ.`,
    expected: `a difference of at most ${allowed}`,
    got: difference,
  });

const isOutOfMemory = (error: GPUError): boolean =>
  error.constructor.name === 'GPUOutOfMemoryError';

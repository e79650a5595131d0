/** The backend handle: what it claims, and the makers of the other three handles. */
import {
  type Backend,
  BackendError,
  type BackendSupports,
  type Bindings,
  type Executable,
  type HostWeight,
  type Limits,
  type Program,
  type States,
  type StateSpec,
  type WeightFormat,
  type Weights,
} from '@rwkv-ts/backend';
import { CustomExecutable } from './executable.js';
import type { Handle } from './handle.js';
import { type Owner } from './handle.js';
import { kernels } from './kernels.js';
import { CustomStates } from './states.js';
import { CustomWeights, decodeWeight, type Tensor } from './weights.js';

/** Every format is claimed because this backend decodes at upload; a fast one claims what its kernels read. */
const formats: readonly WeightFormat[] = [
  ...(['f32', 'f16', 'bf16', 'q8_0', 'q4_0', 'q4_1', 'q5_0', 'q5_1'] as const),
  ...(['q4_k', 'q5_k', 'q6_k'] as const),
];

export interface CustomBackendOptions {
  /** `f16` rounds every value an op assigns, as a device that stores halves does. Default f32. */
  readonly activations?: 'f32' | 'f16';
}

/** A backend in plain TypeScript loops: primitives only, one token after another. */
export function createCustomBackend({ activations = 'f32' }: CustomBackendOptions = {}): Backend {
  return new CustomBackend(activations);
}

class CustomBackend implements Backend, Owner {
  readonly specificationVersion = 'v1';
  readonly name = 'custom (plain TypeScript loops)';
  readonly supports: BackendSupports;
  readonly handles = new Set<Handle>();
  #disposed = false;

  constructor(activations: 'f32' | 'f16') {
    this.supports = Object.freeze({
      // The claim is the kernel table itself, so the two cannot drift apart.
      ops: new Set(Object.keys(kernels) as (keyof typeof kernels)[]),
      weightFormats: new Set(formats),
      // Picks the tolerances of the conformance suite: claim what is stored between ops.
      activations,
      embeddings: true,
    });
  }

  get bytes(): number {
    let total = 0;
    for (const handle of this.handles) total += handle.bytes;
    return total;
  }

  async upload(weights: AsyncIterable<HostWeight>): Promise<Weights> {
    this.#assertAlive();
    const decoded = new Map<string, Tensor>();
    // Nothing is registered before the loop has ended, so a source that throws leaves nothing behind.
    for await (const weight of weights) {
      if (!this.supports.weightFormats.has(weight.format)) {
        throw new BackendError({
          code: 'UNSUPPORTED_WEIGHT_FORMAT',
          message: `Weight ${weight.name} is stored as ${weight.format}, which this backend does not read.`,
          expected: [...this.supports.weightFormats],
          got: weight.format,
        });
      }
      if (decoded.has(weight.name)) {
        throw new BackendError({
          code: 'WEIGHT_INVALID',
          message: `Weight ${weight.name} was given twice.`,
          got: weight.name,
        });
      }
      decoded.set(weight.name, { shape: weight.shape, data: decodeWeight(weight) });
    }
    this.#assertAlive();
    return new CustomWeights(this, decoded);
  }

  async createStates(specs: readonly StateSpec[], slots: number): Promise<States> {
    this.#assertAlive();
    return new CustomStates(this, specs, slots);
  }

  async compile(program: Program, bindings: Bindings, limits: Limits): Promise<Executable> {
    this.#assertAlive();
    const { weights, states } = bindings;
    // A handle of another backend is a mistake in the calling program, hence a TypeError.
    if (!(weights instanceof CustomWeights) || weights.owner !== this) {
      throw new TypeError('The weights were uploaded to another backend.');
    }
    if (!(states instanceof CustomStates) || states.owner !== this) {
      throw new TypeError('The states were created by another backend.');
    }
    const { activations } = this.supports;
    return new CustomExecutable(this, { program, weights, states, limits, activations });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    for (const handle of [...this.handles]) await handle[Symbol.asyncDispose]();
  }

  #assertAlive(): void {
    if (!this.#disposed) return;
    throw new BackendError({ code: 'DISPOSED', message: 'The backend was disposed of.' });
  }
}

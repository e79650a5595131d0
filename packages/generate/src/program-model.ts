import type {
  Backend,
  Batch,
  Executable,
  HostWeight,
  Limits,
  Program,
  Rows,
  StateSpec,
  States,
  Weights,
} from '@rwkv-ts/backend';
import { type RwkvConfig, buildProgram } from '@rwkv-ts/model';
import { lower } from '@rwkv-ts/program';
import { modelDisposed } from './errors.js';
import type { LanguageModel } from './language-model.js';

/** Weights on the backend, and what identifies them. */
export interface CachedWeights {
  readonly weights: Weights;
  readonly fingerprint: string;
}

/**
 * Somewhere weights are kept in the form that the backend computes on, so that they need not be uploaded again. What it
 * holds belongs to one model with one configuration and one backend; that is its maker's business.
 */
export interface WeightCache {
  /** Weights on the backend, which become the model's to dispose of; undefined where there are none. */
  open(): Promise<CachedWeights | undefined>;
  /** Called with what was uploaded, where `open` had nothing, before it is computed on. The weights stay the model's. */
  save(uploaded: CachedWeights): Promise<void>;
}

export interface CreateLanguageModelOptions {
  readonly config: RwkvConfig;
  /** The model's weights by canonical name, in formats the backend claims. Not begun where `cache` has them. */
  readonly weights: AsyncIterable<HostWeight>;
  /** An error of either of its methods is one of creating the model. */
  readonly cache?: WeightCache | undefined;
  /** Stays the caller's. */
  readonly backend: Backend;
  readonly limits: Limits;
  /**
   * Asked for after the last weight was handed over, so it may be computed from what passed by; not at all where `cache`
   * has them.
   */
  readonly fingerprint: () => string;
}

/**
 * The standard `LanguageModel`: the configuration's program, lowered to what the backend supports, on its weights. Each
 * `createStates` compiles the program for the new states. Disposing of the model frees weights, states and programs, and
 * leaves the backend.
 * @throws what `buildProgram`, `lower`, `Backend.upload` and the cache throw; nothing stays allocated
 */
export async function createLanguageModel({
  cache,
  ...options
}: CreateLanguageModelOptions): Promise<LanguageModel> {
  const { config, backend, limits } = options;
  const candidates = candidatesFor(config, backend);
  const program = lower(buildProgram(config, { candidates }), backend.supports.ops);
  const { weights: uploaded, fingerprint } =
    (await cache?.open()) ?? (await uploadInto(cache, program, options));
  return new ProgramModel({ program, backend, uploaded, limits, fingerprint });
}

/** So many that a row of them stays under a kilobyte, and a draw of the usual settings is nearly always among them. */
const usualCandidates = 120;
/** Rows of up to so many logits are as quickly read whole. */
const smallVocabulary = 1024;

function candidatesFor({ vocabularySize }: RwkvConfig, { supports }: Backend): number {
  return supports.ops.has('top-k') && vocabularySize > smallVocabulary ? usualCandidates : 0;
}

async function uploadInto(
  cache: WeightCache | undefined,
  program: Program,
  { weights, backend, fingerprint }: CreateLanguageModelOptions,
): Promise<CachedWeights> {
  const uploaded = await backend.upload(weights, { program });
  try {
    const cached = { weights: uploaded, fingerprint: fingerprint() };
    await cache?.save(cached);
    return cached;
  } catch (error) {
    await uploaded[Symbol.asyncDispose]();
    throw error;
  }
}

class ProgramModel implements LanguageModel {
  readonly vocabularySize: number;
  readonly limits: Limits;
  readonly stateSpecs: readonly StateSpec[];
  readonly candidates: number | undefined;
  readonly fingerprint: string;
  readonly #program: Program;
  readonly #backend: Backend;
  readonly #uploaded: Weights;
  readonly #open = new Set<BoundStates>();
  #disposed = false;

  constructor(parts: {
    program: Program;
    backend: Backend;
    uploaded: Weights;
    limits: Limits;
    fingerprint: string;
  }) {
    this.#program = parts.program;
    this.#backend = parts.backend;
    this.#uploaded = parts.uploaded;
    this.limits = parts.limits;
    this.fingerprint = parts.fingerprint;
    this.stateSpecs = parts.program.states;
    this.vocabularySize = parts.program.output.width;
    const { candidates } = parts.program;
    this.candidates = candidates && (candidates.width - 1) / 2;
  }

  async createStates(slots: number): Promise<States> {
    if (this.#disposed) throw modelDisposed();
    const states = await this.#backend.createStates(this.#program.states, slots);
    try {
      const bindings = { weights: this.#uploaded, states };
      const executable = await this.#backend.compile(this.#program, bindings, this.limits);
      const bound = new BoundStates(states, executable, () => this.#open.delete(bound));
      this.#open.add(bound);
      return bound;
    } catch (error) {
      await states[Symbol.asyncDispose]();
      throw error;
    }
  }

  forward(states: States, batch: Batch): Promise<Rows> {
    return this.#bound('forward', states).executable.run(batch);
  }

  outputRow(states: States, row: number): Promise<Rows> {
    const { executable } = this.#bound('outputRow', states);
    if (executable.outputRow) return executable.outputRow(row);
    return Promise.reject(new TypeError('the backend claims top-k and has no outputRow'));
  }

  #bound(method: string, states: States): BoundStates {
    if (!(states instanceof BoundStates) || (!this.#disposed && !this.#open.has(states))) {
      throw new TypeError(
        `${method} was given states that this model did not make, or disposed ones`,
      );
    }
    return states;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    await Promise.all([...this.#open].map((states) => states[Symbol.asyncDispose]()));
    await this.#uploaded[Symbol.asyncDispose]();
  }
}

/** States and the executable compiled for them, which live and die together. */
class BoundStates implements States {
  readonly executable: Executable;
  readonly #states: States;
  readonly #closed: () => void;

  constructor(states: States, executable: Executable, closed: () => void) {
    this.#states = states;
    this.executable = executable;
    this.#closed = closed;
  }

  get slots(): number {
    return this.#states.slots;
  }

  get bytes(): number {
    return this.#states.bytes + this.executable.bytes;
  }

  reset(slot: number): void {
    this.#states.reset(slot);
  }

  copy(from: number, to: number): void {
    this.#states.copy(from, to);
  }

  read(slot: number): Promise<Uint8Array> {
    return this.#states.read(slot);
  }

  write(slot: number, bytes: Uint8Array): void {
    this.#states.write(slot, bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed();
    await this.executable[Symbol.asyncDispose]();
    await this.#states[Symbol.asyncDispose]();
  }
}

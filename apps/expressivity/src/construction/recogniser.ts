/** Runs compiled automata on a backend: many strings at once, each fed token by token or in chunks. */
import type { Backend, Executable, HostWeight, States, Weights } from '@rwkv-ts/backend';
import { buildProgram } from '@rwkv-ts/model';
import { lower } from '@rwkv-ts/program';
import type { CompiledDfa } from './compile-dfa.js';
import { doubledRemoval } from './doubled-removal.js';

export interface RecogniserOptions {
  /** Of a step, over all strings. Default 16384. */
  readonly tokens?: number;
  /** Strings at a time. Default 512. */
  readonly sequences?: number;
}

/** What became of a string. */
export interface Recognition {
  /** [length + 1] whether each prefix is accepted, the empty one first. */
  readonly accepted: Uint8Array;
  /**
   * Logits, of all prefixes together, that are not exactly what the construction says: ±1 for token 0, 0 for all others.
   */
  readonly inexact: number;
}

export class Recogniser implements AsyncDisposable {
  readonly #executable: Executable;
  readonly #states: States;
  readonly #weights: Weights;
  readonly #vocabularySize: number;
  readonly #tokens: number;

  private constructor(parts: {
    executable: Executable;
    states: States;
    weights: Weights;
    vocabularySize: number;
    tokens: number;
  }) {
    this.#executable = parts.executable;
    this.#states = parts.states;
    this.#weights = parts.weights;
    this.#vocabularySize = parts.vocabularySize;
    this.#tokens = parts.tokens;
  }

  /** @throws what the backend throws */
  static async create(
    backend: Backend,
    { config, weights: hostWeights }: Pick<CompiledDfa, 'config' | 'weights'>,
    { tokens = 16384, sequences = 512 }: RecogniserOptions = {},
  ): Promise<Recogniser> {
    const program = lower(doubledRemoval(buildProgram(config)), backend.supports.ops);
    const weights = await backend.upload(iterate(hostWeights), { program });
    const states = await backend.createStates(program.states, Math.min(sequences, tokens));
    const limits = { tokens, sequences: states.slots, wanted: tokens };
    const executable = await backend.compile(program, { weights, states }, limits);
    const { vocabularySize } = config;
    return new Recogniser({ executable, states, weights, vocabularySize, tokens });
  }

  /** Yields what becomes of each string, with its place in `strings`, as they end. Letters are numbers of the alphabet. */
  async *recognise(
    strings: readonly Uint32Array[],
  ): AsyncGenerator<Recognition & { readonly index: number }> {
    const waiting = strings.keys();
    let running: Running[] = [];
    const free = Array.from({ length: this.#states.slots }, (_, slot) => slot);
    for (;;) {
      while (free.length > 0) {
        const next = waiting.next();
        if (next.done) break;
        const slot = free.pop()!;
        this.#states.reset(slot);
        running.push(new Running(next.value, { string: strings[next.value]!, slot }));
      }
      if (running.length === 0) return;
      await this.#step(running);
      for (const ended of running.filter(({ isDone }) => isDone)) {
        free.push(ended.slot);
        yield ended;
      }
      running = running.filter(({ isDone }) => !isDone);
    }
  }

  async #step(running: readonly Running[]): Promise<void> {
    const share = Math.max(1, Math.floor(this.#tokens / running.length));
    const parts = running.map((each) => ({ each, count: Math.min(share, each.left) }));
    let total = 0;
    const starts = [0];
    for (const { count } of parts) starts.push((total += count));
    const tokens = new Uint32Array(total);
    for (const [at, { each, count }] of parts.entries()) {
      tokens.set(each.next(count), starts[at]);
    }
    const rows = await this.#executable.run({
      tokens,
      starts: Uint32Array.from(starts),
      slots: Uint32Array.from(running, ({ slot }) => slot),
      wanted: Uint32Array.from({ length: total }, (_, at) => at),
    });
    const width = this.#vocabularySize;
    for (const [at, { each }] of parts.entries()) {
      each.take(rows.subarray(starts[at]! * width, starts[at + 1]! * width), width);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#executable[Symbol.asyncDispose]();
    await this.#states[Symbol.asyncDispose]();
    await this.#weights[Symbol.asyncDispose]();
  }
}

async function* iterate(weights: readonly HostWeight[]): AsyncGenerator<HostWeight> {
  yield* weights;
}

/** A string on its way: the begin token, then its letters. */
class Running implements Recognition {
  readonly index: number;
  readonly slot: number;
  readonly accepted: Uint8Array;
  inexact = 0;
  readonly #tokens: Uint32Array;
  #fed = 0;
  #taken = 0;

  constructor(index: number, { string, slot }: { string: Uint32Array; slot: number }) {
    this.index = index;
    this.slot = slot;
    this.#tokens = new Uint32Array(string.length + 1);
    for (const [at, letter] of string.entries()) this.#tokens[at + 1] = letter + 1;
    this.accepted = new Uint8Array(this.#tokens.length);
  }

  get left(): number {
    return this.#tokens.length - this.#fed;
  }

  get isDone(): boolean {
    return this.left === 0;
  }

  next(count: number): Uint32Array {
    return this.#tokens.subarray(this.#fed, (this.#fed += count));
  }

  take(rows: Float32Array | Float64Array, width: number): void {
    for (let row = 0; row < rows.length; row += width) {
      const logit = rows[row]!;
      this.accepted[this.#taken++] = Number(logit > 0);
      if (Math.abs(logit) !== 1) this.inexact++;
      for (let token = 1; token < width; token++) if (rows[row + token] !== 0) this.inexact++;
    }
  }
}

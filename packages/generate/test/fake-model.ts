/**
 * A language model whose state is the list of all tokens it was fed, so that tests see exactly what reached it, and whose
 * next token is any function of that list.
 */
import type { Batch, Limits, Rows, StateSpec, States } from '@rwkv-ts/backend';
import type { LanguageModel } from '../src/index.js';

export interface FakeModelOptions {
  readonly vocabularySize: number;
  /** The token that follows. */
  readonly next: (history: readonly number[]) => number;
  readonly limits?: Partial<Limits>;
  /** Longest history. */
  readonly capacity?: number;
  readonly fingerprint?: string;
  readonly candidates?: number;
}

export class FakeModel implements LanguageModel {
  readonly vocabularySize: number;
  readonly limits: Limits;
  readonly stateSpecs: readonly StateSpec[];
  readonly fingerprint: string;
  readonly candidates: number | undefined;
  /** Whether each step was asked for candidates, and the rows that were read whole after one. */
  readonly asked: boolean[] = [];
  readonly readWhole: number[] = [];
  /** Awaited before a whole row is given. */
  beforeRow: (() => Promise<void> | void) | undefined;
  #last: Float32Array = new Float32Array(0);
  /** Tokens of each sequence, step by step. */
  readonly steps: number[][][] = [];
  /** Awaited before each step. */
  beforeStep: (() => Promise<void> | void) | undefined;
  liveStates = 0;
  disposed = 0;
  readonly #next: (history: readonly number[]) => number;

  constructor(options: FakeModelOptions) {
    this.vocabularySize = options.vocabularySize;
    this.limits = { tokens: 32, sequences: 16, wanted: 16, ...options.limits };
    this.stateSpecs = [{ name: 'history', shape: [1 + (options.capacity ?? 2048)], initial: 0 }];
    this.fingerprint = options.fingerprint ?? 'fake';
    this.candidates = options.candidates;
    this.#next = options.next;
  }

  async createStates(slots: number): Promise<States> {
    this.liveStates++;
    return new FakeStates(this, slots);
  }

  async forward(states: States, batch: Batch): Promise<Rows> {
    if (!(states instanceof FakeStates)) throw new TypeError('States of another model');
    // The batch's arrays may be reused as soon as the call returns.
    const copy: Batch = {
      tokens: batch.tokens.slice(),
      starts: batch.starts.slice(),
      slots: batch.slots.slice(),
      wanted: batch.wanted.slice(),
    };
    this.#check(copy, states.slots);
    this.steps.push(
      Array.from(copy.slots, (_, i) => [
        ...copy.tokens.subarray(copy.starts[i], copy.starts[i + 1]),
      ]),
    );
    // State changes take effect in call order; the rows come later.
    const rows = this.#run(states, copy);
    const candidates = batch.candidates === true;
    this.asked.push(candidates);
    this.#last = rows;
    await this.beforeStep?.();
    return candidates ? this.#candidatesOf(rows) : rows;
  }

  async outputRow(states: States, row: number): Promise<Rows> {
    if (!(states instanceof FakeStates) || !this.asked.at(-1)) throw new TypeError('No such row');
    this.readWhole.push(row);
    const logits = this.#last.slice(row * this.vocabularySize, (row + 1) * this.vocabularySize);
    await this.beforeRow?.();
    return logits;
  }

  #candidatesOf(rows: Float32Array): Float32Array {
    const all: number[] = [];
    for (let start = 0; start < rows.length; start += this.vocabularySize) {
      const row = rows.subarray(start, start + this.vocabularySize);
      const tokens = [...row.keys()].sort((a, b) => row[b]! - row[a]! || a - b);
      const best = tokens.slice(0, this.candidates);
      const sum = row.reduce((total, logit) => total + Math.exp(logit - row[best[0]!]!), 0);
      all.push(...best.map((token) => row[token]!), ...best, sum);
    }
    return Float32Array.from(all);
  }

  #run(states: FakeStates, { tokens, starts, slots, wanted }: Batch): Float32Array {
    const rows = new Float32Array(wanted.length * this.vocabularySize);
    let row = 0;
    for (const [i, slot] of slots.entries()) {
      const history = states.histories[slot]!;
      for (let at = starts[i]!; at < starts[i + 1]!; at++) {
        history.push(tokens[at]!);
        if (wanted[row] !== at) continue;
        const token = this.#next(history);
        // Two candidates, so that sampling has something to do: the next token, and a fifth of the time its neighbour.
        rows.fill(-30, row * this.vocabularySize, (row + 1) * this.vocabularySize);
        rows[row * this.vocabularySize + token] = 3;
        rows[row * this.vocabularySize + ((token + 1) % this.vocabularySize)] = 1.6;
        row++;
      }
    }
    return rows;
  }

  #check({ tokens, starts, slots, wanted }: Batch, slotCount: number): void {
    const { limits } = this;
    if (tokens.length > limits.tokens || tokens.length === 0) throw new Error('tokens');
    if (slots.length > limits.sequences) throw new Error('sequences');
    if (wanted.length > limits.wanted) throw new Error('wanted');
    if (new Set(slots).size !== slots.length) throw new Error('a slot twice');
    if (slots.some((slot) => slot >= slotCount)) throw new Error('slot out of range');
    if (starts.length !== slots.length + 1 || starts.at(-1) !== tokens.length)
      throw new Error('starts');
    if (starts.some((start, i) => i > 0 && start <= starts[i - 1]!))
      throw new Error('starts order');
    if (wanted.some((at, i) => at >= tokens.length || (i > 0 && at <= wanted[i - 1]!)))
      throw new Error('wanted order');
    if (tokens.some((token) => token >= this.vocabularySize)) throw new Error('token');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.disposed++;
  }
}

class FakeStates implements States {
  readonly slots: number;
  readonly histories: number[][];
  readonly #model: FakeModel;
  #disposed = false;

  constructor(model: FakeModel, slots: number) {
    this.#model = model;
    this.slots = slots;
    this.histories = Array.from({ length: slots }, () => []);
  }

  get bytes(): number {
    return this.slots * this.#slotBytes;
  }

  get #slotBytes(): number {
    return 4 * this.#model.stateSpecs[0]!.shape[0]!;
  }

  reset(slot: number): void {
    this.#requireLive();
    this.histories[slot] = [];
  }

  copy(from: number, to: number): void {
    this.#requireLive();
    this.histories[to] = [...this.histories[from]!];
  }

  async read(slot: number): Promise<Uint8Array> {
    this.#requireLive();
    const history = this.histories[slot]!;
    const bytes = new Uint8Array(this.#slotBytes);
    const view = new DataView(bytes.buffer);
    view.setFloat32(0, history.length, true);
    for (const [i, token] of history.entries()) view.setFloat32(4 + 4 * i, token, true);
    return bytes;
  }

  write(slot: number, bytes: Uint8Array): void {
    this.#requireLive();
    if (bytes.length !== this.#slotBytes) throw new Error('snapshot length');
    this.histories[slot] = historyOf(bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#disposed) this.#model.liveStates--;
    this.#disposed = true;
  }

  #requireLive(): void {
    if (this.#disposed) throw new Error('states used after disposal');
  }
}

/** The tokens in a snapshot of a fake model. */
export function historyOf(snapshot: Uint8Array | undefined): number[] {
  if (snapshot === undefined) return [];
  const view = new DataView(snapshot.buffer, snapshot.byteOffset, snapshot.byteLength);
  const length = view.getFloat32(0, true);
  return Array.from({ length }, (_, i) => view.getFloat32(4 + 4 * i, true));
}

/** A next token that depends on everything before it. */
export function hashNext(vocabularySize: number): (history: readonly number[]) => number {
  return (history) => {
    let hash = 2166136261;
    for (const token of history) hash = Math.imul(hash ^ token, 16777619) >>> 0;
    return (hash >>> 7) % vocabularySize;
  };
}

import type { Rows } from '@rwkv-ts/backend';
import type { Planned, WantedRows } from './step-plan.js';

/** What `SequenceRequest.receive` returns to end the sequence. */
export const finished = -1;

/** What takes the candidates of a row, [2 count + 1] as the op `top-k` has them, instead of its logits. */
export interface CandidateReceiver {
  /** Asked before each step; a step gives candidates where all of its sequences want them. */
  readonly wanted: (count: number) => boolean;
  /** As `SequenceRequest.receive`; undefined where they do not suffice, and `receive` gets the whole row. */
  readonly receive: (candidates: Rows) => number | undefined;
}

export interface SequenceRequest {
  /** Named in errors: `generation`, `prefill`. */
  readonly name: string;
  /** A snapshot to start from; without it the slot is reset. */
  readonly initial?: Uint8Array | undefined;
  /** Fed first, in chunks; ids below V. May be empty, then nothing runs. */
  readonly tokens: Uint32Array;
  readonly rows: WantedRows;
  /**
   * Called once for every wanted token in order, with its logits [V]. The array is valid during the call only and may be
   * overwritten. After the last of `tokens` the return value is the next token to feed, or `finished`. What it throws
   * fails this sequence and no other.
   */
  readonly receive?: (logits: Rows, index: number) => number;
  /** For requests of `last` rows: how to do without a whole row. */
  readonly candidates?: CandidateReceiver;
  /** Asked before each step: true leaves the sequence where it is until `Scheduler.wake`. */
  readonly paused?: () => boolean;
  /** Whether the state after the last fed token is wanted; then an abort behind the prompt ends the sequence well. */
  readonly keepState?: boolean;
  /** Called when the sequence gets its slot, with what reads the state as it is after the steps so far. */
  readonly admitted?: ((read: () => Promise<Uint8Array | undefined>) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A request on its way through the scheduler. */
export class Sequence implements Planned {
  readonly request: SequenceRequest;
  readonly done: Promise<Uint8Array | undefined>;
  take = 0;
  /** -1 until admitted, and again when finished. */
  slot = -1;
  /** It ends, with its state, behind the step in flight. */
  stopping = false;
  #ended = false;
  #resolve!: (state: Uint8Array | undefined) => void;
  #reject!: (error: unknown) => void;
  #tokens: Uint32Array;
  #position = 0;
  #rowIndex = 0;
  /** Holds the one token of a decoding step. */
  readonly #decoded = new Uint32Array(1);
  #onAbort: (() => void) | undefined;

  constructor(request: SequenceRequest) {
    this.request = request;
    this.#tokens = request.tokens;
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  hasEnded(): boolean {
    return this.#ended;
  }

  get rows(): WantedRows {
    return this.request.rows;
  }

  /** Whether the whole prompt was fed, and a token made: an abort leaves a state worth keeping. */
  get hasBegun(): boolean {
    return this.rows === 'last' && this.#rowIndex > 0;
  }

  get remaining(): number {
    return this.#tokens.length - this.#position;
  }

  get paused(): boolean {
    return this.request.paused?.() ?? false;
  }

  get tokens(): Uint32Array {
    return this.#tokens;
  }

  get position(): number {
    return this.#position;
  }

  /** Rows wanted of the `take` tokens of this step. */
  get rowsTaken(): number {
    if (this.rows === 'all') return this.take;
    return this.rows === 'last' && this.take === this.remaining ? 1 : 0;
  }

  onAbort(listener: () => void): void {
    this.#onAbort = listener;
    this.request.signal?.addEventListener('abort', listener, { once: true });
  }

  /** Moves past the tokens of this step. */
  advance(): void {
    this.#position += this.take;
  }

  /** Hands over one row; true when the sequence asked to end. */
  receive(logits: Rows, last: boolean): boolean {
    const next = this.request.receive?.(logits, this.#rowIndex++) ?? finished;
    return last && this.#goOn(next);
  }

  /** Hands over the candidates of its row; undefined when it needs the whole. */
  receiveCandidates(candidates: Rows): boolean | undefined {
    const next = this.request.candidates?.receive(candidates);
    if (next === undefined) return undefined;
    this.#rowIndex++;
    return this.#goOn(next);
  }

  /** Whether candidates do for the row of this step, if it has one. */
  takesCandidates(count: number): boolean {
    if (this.rowsTaken === 0) return true;
    return this.rows === 'last' && this.request.candidates?.wanted(count) === true;
  }

  #goOn(next: number): boolean {
    if (this.remaining > 0) return false;
    if (next === finished) return true;
    this.#decoded[0] = next;
    this.#tokens = this.#decoded;
    this.#position = 0;
    return this.stopping;
  }

  resolve(state: Uint8Array | undefined): void {
    this.#end();
    this.#resolve(state);
  }

  reject(error: unknown): void {
    this.#end();
    this.#reject(error);
  }

  #end(): void {
    this.#ended = true;
    if (this.#onAbort !== undefined) {
      this.request.signal?.removeEventListener('abort', this.#onAbort);
    }
  }
}

/**
 * Shares one language model among concurrent sequences. Each step is one ragged batch: a token of every sequence that is
 * decoding, and a bounded chunk of the prompts that are being read. Slots belong to the scheduler; a sequence gets one
 * when it is its turn (first in, first out) and loses it when it ends, fails or is aborted.
 */
import type { Rows, States } from '@rwkv-ts/backend';
import { GenerateError, aborted, modelDisposed, optionInvalid } from './errors.js';
import { nextTask } from './event-loop.js';
import type { LanguageModel } from './language-model.js';
import { Sequence, type SequenceRequest } from './sequence.js';
import { StepBuffers } from './step-buffers.js';
import { planStep } from './step-plan.js';

export interface SchedulerOptions {
  readonly languageModel: LanguageModel;
  /** Sequences that run at the same time. */
  readonly slots: number;
  /** Sequences that may wait for a slot. */
  readonly maximumQueued: number;
  /** Most prefill tokens in a step that also decodes. */
  readonly prefillTokens: number;
}

type Settings = Omit<SchedulerOptions, 'languageModel'>;

/** What is not given, as it is when nobody says anything. */
export function schedulerOptions({
  slots = 8,
  maximumQueued = 1024,
  prefillTokens = 128,
}: { readonly [Name in keyof Settings]?: Settings[Name] | undefined }): Settings {
  return { slots, maximumQueued, prefillTokens };
}

/** @throws GenerateError `OPTION_INVALID` */
export function checkSchedulerOptions({ slots, maximumQueued, prefillTokens }: Settings): void {
  if (!Number.isInteger(slots) || slots < 1) {
    throw optionInvalid('slots', 'a positive integer', slots);
  }
  if (!Number.isInteger(prefillTokens) || prefillTokens < 1) {
    throw optionInvalid('prefillTokens', 'a positive integer', prefillTokens);
  }
  if (!(maximumQueued >= 0)) {
    throw optionInvalid('maximumQueued', 'a number of 0 or more', maximumQueued);
  }
}

/** Milliseconds of steps after which timers and events get their turn. */
const taskInterval = 8;

export class Scheduler {
  readonly slots: number;
  readonly #model: LanguageModel;
  readonly #states: States;
  readonly #buffers: StepBuffers;
  readonly #prefillTokens: number;
  readonly #maximumQueued: number;
  readonly #free: number[];
  readonly #queue: Sequence[] = [];
  /** In the order of service of the next step. */
  #active: Sequence[] = [];
  /** Sequences of the step in flight, in batch order; `undefined` where one was ended meanwhile. */
  readonly #stepping: Sequence[] = [];
  #loop: Promise<void> | undefined;
  /** Ended sequences whose state is still being read. */
  readonly #reading = new Set<Promise<void>>();
  #disposing: Promise<void> | undefined;
  #lastTask = performance.now();

  /** @throws GenerateError `OPTION_INVALID`, and what `createStates` throws */
  static async create(options: SchedulerOptions): Promise<Scheduler> {
    checkSchedulerOptions(options);
    const { languageModel, slots } = options;
    return new Scheduler(options, await languageModel.createStates(slots));
  }

  private constructor(options: SchedulerOptions, states: States) {
    this.#model = options.languageModel;
    this.#states = states;
    this.slots = options.slots;
    this.#prefillTokens = options.prefillTokens;
    this.#maximumQueued = options.maximumQueued;
    const { limits, vocabularySize } = options.languageModel;
    this.#buffers = new StepBuffers(limits, vocabularySize);
    this.#free = Array.from({ length: options.slots }, (_, slot) => options.slots - 1 - slot);
  }

  /** Sequences that hold a slot. */
  get active(): number {
    return this.#active.length;
  }

  /** Sequences that wait for one. */
  get queued(): number {
    return this.#queue.length;
  }

  /**
   * Runs a sequence to its end; gives its state where `keepState` asks for it, also when it is aborted after its first
   * row: the last token that it was given is then still to be fed.
   * @throws GenerateError (as a rejection) `ABORTED`, `QUEUE_FULL`, `FORWARD_FAILED`, `MODEL_DISPOSED`; and what
   * `receive` throws
   */
  run(request: SequenceRequest): Promise<Uint8Array | undefined> {
    const sequence = new Sequence(request);
    const { signal } = request;
    if (this.#disposing !== undefined) {
      sequence.reject(modelDisposed());
    } else if (signal?.aborted === true) {
      sequence.reject(aborted(request.name, signal));
    } else if (this.#free.length === 0 && this.#queue.length >= this.#maximumQueued) {
      sequence.reject(this.#queueFull());
    } else {
      sequence.onAbort(() => {
        this.#abort(sequence, aborted(request.name, signal!));
      });
      this.#queue.push(sequence);
      this.wake();
    }
    return sequence.done;
  }

  /** Goes on with sequences whose `paused` may have changed. */
  wake(): void {
    this.#loop ??= this.#runLoop();
  }

  /** Rejects everything in progress with `MODEL_DISPOSED`, waits for the step in flight, and frees the states. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#disposing ??= this.#dispose();
    return this.#disposing;
  }

  async #dispose(): Promise<void> {
    this.#failAll(modelDisposed());
    await this.#loop;
    await Promise.all(this.#reading);
    await this.#states[Symbol.asyncDispose]();
  }

  async #runLoop(): Promise<void> {
    // Everything that is started in the same turn of the event loop shares the first batch.
    await Promise.resolve();
    try {
      while (this.#fillBatch()) await this.#step();
    } finally {
      this.#loop = undefined;
    }
  }

  async #step(): Promise<void> {
    let rows: Rows;
    const candidates = this.#candidates();
    const width = candidates > 0 ? 2 * candidates + 1 : this.#model.vocabularySize;
    const expected = this.#buffers.wanted * width;
    try {
      rows = await this.#model.forward(this.#states, this.#buffers.batch(candidates));
      if (rows.length !== expected) throw this.#rowsMissing(rows.length, expected);
    } catch (cause) {
      if (this.#disposing === undefined) this.#failAll(this.#forwardFailed(cause));
      return;
    }
    if (candidates > 0) await this.#distributeCandidates(rows, width);
    else this.#distribute(rows);
    if (performance.now() - this.#lastTask > taskInterval) {
      await nextTask();
      this.#lastTask = performance.now();
    }
  }

  /** Admits who waits, and fills the buffers with the next step; false when there is nothing to do. */
  #fillBatch(): boolean {
    for (const sequence of [...this.#active]) if (sequence.stopping) this.#finish(sequence);
    while (this.#free.length > 0 && this.#queue.length > 0) this.#admit(this.#queue.shift()!);
    planStep(this.#active, { limits: this.#model.limits, prefillTokens: this.#prefillTokens });
    this.#buffers.clear();
    this.#stepping.length = 0;
    for (const sequence of this.#active) {
      if (sequence.take === 0) continue;
      this.#buffers.add(sequence.slot, {
        tokens: sequence.tokens,
        from: sequence.position,
        count: sequence.take,
        rows: sequence.rowsTaken,
      });
      this.#stepping.push(sequence);
    }
    if (this.#active.length > 1) this.#active.push(this.#active.shift()!);
    return this.#stepping.length > 0;
  }

  #admit(sequence: Sequence): void {
    const slot = this.#free.pop()!;
    sequence.slot = slot;
    const { initial } = sequence.request;
    try {
      if (initial === undefined) this.#states.reset(slot);
      else this.#states.write(slot, initial);
    } catch (cause) {
      this.#free.push(slot);
      sequence.reject(this.#forwardFailed(cause));
      return;
    }
    this.#active.push(sequence);
    // A sequence that ended has no slot any more; another one's state is not its to read.
    sequence.request.admitted?.(async () =>
      sequence.slot < 0 ? undefined : this.#states.read(sequence.slot),
    );
    if (sequence.remaining === 0) this.#finish(sequence);
  }

  #distribute(rows: Rows): void {
    const width = this.#model.vocabularySize;
    let offset = 0;
    for (const sequence of this.#stepping) {
      const count = sequence.rowsTaken;
      const from = offset;
      offset += count * width;
      sequence.advance();
      this.#guard(sequence, () => {
        let ends = count === 0 && sequence.remaining === 0;
        for (let row = 0; row < count && !sequence.hasEnded(); row++) {
          const start = from + row * width;
          ends = sequence.receive(rows.subarray(start, start + width), row === count - 1);
        }
        return ends;
      });
    }
  }

  /** How many candidates do for every row of the next step; 0 where one is wanted whole. */
  #candidates(): number {
    const { candidates = 0 } = this.#model;
    if (candidates === 0 || !this.#model.outputRow || this.#buffers.wanted === 0) return 0;
    for (const sequence of this.#stepping) {
      if (!sequence.takesCandidates(candidates)) return 0;
    }
    return candidates;
  }

  /** Each sequence has at most one row; some may need it whole after all. */
  async #distributeCandidates(rows: Rows, width: number): Promise<void> {
    const whole: { sequence: Sequence; row: number }[] = [];
    let row = 0;
    for (const sequence of this.#stepping) {
      const count = sequence.rowsTaken;
      const own = row;
      row += count;
      sequence.advance();
      this.#guard(sequence, () => {
        if (count === 0) return sequence.remaining === 0;
        if (sequence.hasEnded()) return false;
        const ends = sequence.receiveCandidates(rows.subarray(own * width, (own + 1) * width));
        if (ends === undefined) whole.push({ sequence, row: own });
        return ends ?? false;
      });
    }
    if (whole.length === 0) return;
    const reading = whole.map(({ row: index }) => this.#model.outputRow!(this.#states, index));
    for (const [index, read] of (await Promise.allSettled(reading)).entries()) {
      const { sequence } = whole[index]!;
      if (sequence.hasEnded()) continue;
      if (read.status === 'rejected') this.#drop(sequence, this.#forwardFailed(read.reason));
      else this.#guard(sequence, () => sequence.receive(read.value, true));
    }
  }

  /** Finishes the sequence where `receive` says that it ends; what it throws fails this one alone. */
  #guard(sequence: Sequence, receive: () => boolean): void {
    try {
      if (receive() && !sequence.hasEnded()) this.#finish(sequence);
    } catch (error) {
      this.#drop(sequence, error);
    }
  }

  /** Ends a sequence well. The slot is free only when its state has been read. */
  #finish(sequence: Sequence): void {
    this.#deactivate(sequence);
    if (sequence.request.keepState !== true) {
      this.#release(sequence);
      sequence.resolve(undefined);
      return;
    }
    const reading = this.#states.read(sequence.slot).then(
      (state) => {
        sequence.resolve(state);
      },
      (cause: unknown) => {
        sequence.reject(this.#forwardFailed(cause));
      },
    );
    const released = reading.then(() => {
      this.#reading.delete(released);
      this.#release(sequence);
      this.wake();
    });
    this.#reading.add(released);
  }

  /** A state is whole between steps only: where it is wanted, the step in flight counts. */
  #abort(sequence: Sequence, error: GenerateError): void {
    if (sequence.request.keepState === true && sequence.hasBegun) {
      sequence.stopping = true;
      this.wake();
    } else this.#drop(sequence, error);
  }

  /** Ends a sequence badly, wherever it is. A step in flight goes on; what is queued later sees a slot to be reset. */
  #drop(sequence: Sequence, error: unknown): void {
    if (sequence.hasEnded()) return;
    const waiting = this.#queue.indexOf(sequence);
    if (waiting >= 0) this.#queue.splice(waiting, 1);
    if (this.#deactivate(sequence)) this.#release(sequence);
    sequence.reject(error);
    if (this.#disposing === undefined && this.#queue.length > 0) this.wake();
  }

  #deactivate(sequence: Sequence): boolean {
    const index = this.#active.indexOf(sequence);
    if (index >= 0) this.#active.splice(index, 1);
    return index >= 0;
  }

  #release(sequence: Sequence): void {
    this.#free.push(sequence.slot);
    sequence.slot = -1;
  }

  #failAll(error: GenerateError): void {
    for (const sequence of [...this.#active, ...this.#queue]) this.#drop(sequence, error);
  }

  #queueFull(): GenerateError {
    return new GenerateError({
      code: 'QUEUE_FULL',
      message: `All ${this.slots} slots are in use and ${this.#queue.length} generations wait already; at most ${this.#maximumQueued} may`,
      expected: this.#maximumQueued,
      got: this.#queue.length + 1,
    });
  }

  #forwardFailed(cause: unknown): GenerateError {
    const reason = cause instanceof Error ? cause.message : String(cause);
    return new GenerateError({
      code: 'FORWARD_FAILED',
      message: `The model could not run a step: ${reason}`,
      cause,
    });
  }

  #rowsMissing(got: number, expected: number): TypeError {
    return new TypeError(`forward gave ${got} numbers where ${expected} were wanted`);
  }
}

import { GenerateError, optionInvalid } from './errors.js';

export interface ModelStateParts {
  readonly fingerprint: string;
  readonly snapshot: Uint8Array | undefined;
  readonly pending: readonly number[];
  readonly tokenCount: number;
}

/**
 * What a model knows after some tokens: a snapshot of the recurrent state, and the last tokens, which were not fed yet.
 * A prefill or a text that was cut off keeps its last token back, so that a generation which starts here without a further
 * prompt has logits to begin with. Immutable: using a state never changes it, so a fork is free, and any number of generations may start from one.
 */
export class ModelState {
  /** Of the model it belongs to. */
  readonly fingerprint: string;
  /** Tokens that follow the snapshot. Empty for an initial state, after a stop token, and after `evaluate`. */
  readonly pending: readonly number[];
  /** Tokens this state stands for, pending ones included. */
  readonly tokenCount: number;
  readonly #snapshot: Uint8Array | undefined;

  /** `snapshot` (f32 little-endian, spec after spec; `undefined` is a reset state) is owned by the state from here on. */
  constructor({ fingerprint, snapshot, pending, tokenCount }: ModelStateParts) {
    this.fingerprint = fingerprint;
    this.#snapshot = snapshot;
    this.pending = Object.freeze([...pending]);
    this.tokenCount = tokenCount;
    Object.freeze(this);
  }

  /** Bytes of host memory. */
  get bytes(): number {
    return this.#snapshot?.length ?? 0;
  }

  /** The state before `pending`, for `States.write`. Not to be written to. */
  get snapshot(): Uint8Array | undefined {
    return this.#snapshot;
  }
}

/** @throws GenerateError `STATE_MISMATCH`; `OPTION_INVALID` for what is no state */
export function assertStateFits(state: unknown, fingerprint: string): asserts state is ModelState {
  if (!(state instanceof ModelState)) {
    throw optionInvalid(
      'state',
      'a ModelState (from prefill, generate or loadState)',
      typeof state,
    );
  }
  if (state.fingerprint !== fingerprint) throw stateMismatch(fingerprint, state.fingerprint);
}

export function stateMismatch(expected: string, got: string): GenerateError {
  return new GenerateError({
    code: 'STATE_MISMATCH',
    message: `The state belongs to another model: this model's fingerprint is ${expected}, the state's is ${got}`,
    expected,
    got,
  });
}

/**
 * The error types shared by every package.
 *
 * Codes are stable and may be matched on; messages are for people and may change. A mistake in the calling program
 * (a wrong type, a handle of another backend) is a plain `TypeError`; everything that can happen to a correct program
 * (a bad file, a lost device, too little memory) is an `RwkvError`.
 */
import './dispose.js';

const marker = Symbol.for('@rwkv-ts/error');

export interface RwkvErrorOptions<Code extends string = string> {
  readonly code: Code;
  readonly message: string;
  /** What would have been right. Shown in the message; kept apart for programs. */
  readonly expected?: unknown;
  /** What was there instead. */
  readonly got?: unknown;
  readonly cause?: unknown;
}

/** Base class of all errors of rwkv-ts. Use `RwkvError.isInstance`, which works across two installed copies. */
export class RwkvError<Code extends string = string> extends Error {
  readonly code: Code;
  readonly expected: unknown;
  readonly got: unknown;

  constructor({ code, message, expected, got, cause }: RwkvErrorOptions<Code>) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.code = code;
    this.expected = expected;
    this.got = got;
    Object.defineProperty(this, marker, { value: true });
  }

  static isInstance(value: unknown): value is RwkvError {
    return typeof value === 'object' && value !== null && marker in value;
  }
}

/**
 * - `UNSUPPORTED_OP`: the program holds an op kind outside `supports.ops`; pass it through `lower()` first.
 * - `UNSUPPORTED_WEIGHT_FORMAT`: a weight is in a format outside `supports.weightFormats`.
 * - `PROGRAM_INVALID`: the program breaks a rule of the contract, or its weights or states do not fit the handles.
 * - `WEIGHT_INVALID`: a weight's bytes do not fit its format and shape, or a name occurs twice or is missing.
 * - `BATCH_INVALID`: a batch breaks a rule of `Batch`, or exceeds the compiled limits.
 * - `STATE_INVALID`: a snapshot has the wrong length, or a slot is out of range.
 * - `OUT_OF_MEMORY`: refused before allocation where possible; `expected` is what is available, `got` what is needed.
 * - `DEVICE_UNAVAILABLE`: the backend cannot run on this machine; the message says what is missing.
 * - `DEVICE_LOST`: the device went away; snapshots read earlier are still good.
 * - `ABORTED`: the caller's signal fired.
 * - `DISPOSED`: the handle, or the backend that made it, was disposed of.
 */
export type BackendErrorCode =
  | 'UNSUPPORTED_OP'
  | 'UNSUPPORTED_WEIGHT_FORMAT'
  | 'PROGRAM_INVALID'
  | 'WEIGHT_INVALID'
  | 'BATCH_INVALID'
  | 'STATE_INVALID'
  | 'OUT_OF_MEMORY'
  | 'DEVICE_UNAVAILABLE'
  | 'DEVICE_LOST'
  | 'ABORTED'
  | 'DISPOSED';

/** An error of a backend, or of a tool that prepares work for one. */
export class BackendError extends RwkvError<BackendErrorCode> {}

import { RwkvError } from '@rwkv-ts/backend';

/**
 * - `OPTION_INVALID`: an option is out of range; the message names it, what was expected and what came.
 * - `PROMPT_EMPTY`: nothing to start from: no prompt, no state, and a tokenizer without an end-of-text token.
 * - `PROMPT_INVALID`: a token id outside the model's vocabulary, or chat messages in an order no template has.
 * - `TOKENIZER_REQUIRED`: text was given to, or wanted from, a model without a tokenizer; the message says what to pass.
 * - `STATE_MISMATCH`: a state of another model; `expected` and `got` are the two fingerprints.
 * - `STATE_FILE_INVALID`: bytes that are no state file, or a damaged one.
 * - `QUEUE_FULL`: more generations wait for a slot than `maximumQueued` allows.
 * - `CONVERSATION_BUSY`: a conversation answers one message at a time.
 * - `FORWARD_FAILED`: the backend failed in a step; `cause` is its error. Every generation in progress gets it.
 * - `EVALUATION_INVALID`: an item of an evaluation that lacks what its task needs; the message says which and what.
 * - `ABORTED`: the caller's signal fired where there is no partial result to give.
 * - `MODEL_DISPOSED`: the model was disposed of, before or during the call.
 */
export type GenerateErrorCode =
  | 'OPTION_INVALID'
  | 'PROMPT_EMPTY'
  | 'PROMPT_INVALID'
  | 'TOKENIZER_REQUIRED'
  | 'STATE_MISMATCH'
  | 'STATE_FILE_INVALID'
  | 'QUEUE_FULL'
  | 'CONVERSATION_BUSY'
  | 'FORWARD_FAILED'
  | 'EVALUATION_INVALID'
  | 'ABORTED'
  | 'MODEL_DISPOSED';

/** Everything that can go wrong between a loaded model and a finished text. */
export class GenerateError extends RwkvError<GenerateErrorCode> {}

export function optionInvalid(name: string, expected: string, got: unknown): GenerateError {
  return new GenerateError({
    code: 'OPTION_INVALID',
    message: `${name}: expected ${expected}, got ${String(got)}`,
    expected,
    got,
  });
}

export function aborted(what: string, signal: AbortSignal): GenerateError {
  return new GenerateError({
    code: 'ABORTED',
    message: `${what} was aborted`,
    cause: signal.reason,
  });
}

export function modelDisposed(): GenerateError {
  return new GenerateError({ code: 'MODEL_DISPOSED', message: 'The model was disposed of' });
}

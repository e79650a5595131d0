import { RwkvError } from '@rwkv-ts/backend';

/**
 * - `OPTION_INVALID`: an option is out of range; the message names it, what was expected and what came.
 * - `BACKEND_UNSUPPORTED`: the backend cannot train.
 * - `MODE_UNSUPPORTED`: this version of RWKV cannot be trained or initialised in this way; the message says why.
 * - `SAMPLE_INVALID`: the data gave a sample that has no token to predict, or a token that the model does not know.
 * - `DIVERGED`: several updates in a row had gradients that are not finite.
 * - `CHECKPOINT_NOT_FOUND`: there is nothing to go on from.
 * - `CHECKPOINT_INVALID`: a checkpoint lacks something or breaks its own format.
 * - `CHECKPOINT_MISMATCH`: a checkpoint of another model or of another kind of training.
 * - `CHECKPOINT_FAILED`: a checkpoint could not be written; `cause` has the reason.
 */
export type TrainErrorCode =
  | 'OPTION_INVALID'
  | 'BACKEND_UNSUPPORTED'
  | 'MODE_UNSUPPORTED'
  | 'SAMPLE_INVALID'
  | 'DIVERGED'
  | 'CHECKPOINT_NOT_FOUND'
  | 'CHECKPOINT_INVALID'
  | 'CHECKPOINT_MISMATCH'
  | 'CHECKPOINT_FAILED';

/** Everything that can go wrong between a model, its data and a trained model. */
export class TrainError extends RwkvError<TrainErrorCode> {}

export function optionInvalid(name: string, expected: string, got: unknown): TrainError {
  return new TrainError({
    code: 'OPTION_INVALID',
    message: `${name} must be ${expected}, got ${String(got)}.`,
    expected,
    got,
  });
}

/** @throws TrainError `OPTION_INVALID` */
export function requireInteger(name: string, value: number, minimum: number): void {
  if (Number.isSafeInteger(value) && value >= minimum) return;
  throw optionInvalid(name, `an integer of at least ${minimum}`, value);
}

/** @throws TrainError `OPTION_INVALID` */
export function requireFinite(name: string, value: number, minimum: number): void {
  if (Number.isFinite(value) && value >= minimum) return;
  throw optionInvalid(name, `a finite number of at least ${minimum}`, value);
}

import { RwkvError } from '@rwkv-ts/backend';

/** - `CONFIG_INVALID`: a field of an `RwkvConfig` is missing, out of range, or contradicts another. */
export type ModelErrorCode = 'CONFIG_INVALID';

export class ModelError extends RwkvError<ModelErrorCode> {}

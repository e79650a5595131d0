import { RwkvError } from '@rwkv-ts/backend';

/**
 * - `READ_OUT_OF_RANGE`: a range outside the source was asked for: the file is truncated or its header lies.
 * - `SOURCE_FAILED`: the bytes did not come (I/O error, HTTP status, short answer); `cause` has the reason.
 * - `SINK_FAILED`: bytes could not be written (full disk, no permission).
 * - `CONTAINER_UNKNOWN`: the first bytes are no container read here.
 * - `CONTAINER_INVALID`: the container breaks its own format.
 * - `CONTAINER_UNSUPPORTED`: valid, but a variant that is refused by name (pre-zip .pth, quantised v100 .bin, …).
 * - `PICKLE_REFUSED`: a pickle opcode or global outside the few that a state dict needs.
 * - `LAYOUT_UNKNOWN`: no known layout has these tensor names.
 * - `LAYOUT_REFUSED`: recognised, and not run here; the message names it (hybrids, v7b, …).
 * - `TENSOR_MISSING`, `TENSOR_UNEXPECTED`, `TENSOR_DUPLICATE`, `TENSOR_SHAPE`, `TENSOR_VALUES` (NaN or infinity).
 * - `STATE_FILE_INVALID`, `ADAPTER_INVALID`: the same for state files and adapters.
 * - `WRITE_UNSUPPORTED`: the format or layout to be written cannot hold this model; the message says which can.
 * - `ABORTED`: the caller's signal fired.
 */
export type WeightsErrorCode =
  | 'READ_OUT_OF_RANGE'
  | 'SOURCE_FAILED'
  | 'SINK_FAILED'
  | 'CONTAINER_UNKNOWN'
  | 'CONTAINER_INVALID'
  | 'CONTAINER_UNSUPPORTED'
  | 'PICKLE_REFUSED'
  | 'LAYOUT_UNKNOWN'
  | 'LAYOUT_REFUSED'
  | 'TENSOR_MISSING'
  | 'TENSOR_UNEXPECTED'
  | 'TENSOR_DUPLICATE'
  | 'TENSOR_SHAPE'
  | 'TENSOR_VALUES'
  | 'STATE_FILE_INVALID'
  | 'ADAPTER_INVALID'
  | 'WRITE_UNSUPPORTED'
  | 'ABORTED';

/** Anything wrong with a model file, a state file or an adapter, or with getting at it. */
export class WeightsError extends RwkvError<WeightsErrorCode> {}

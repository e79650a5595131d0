export { type AdapterSpec, loraAlphaKey } from './adapters/load-adapter.js';
export { addLowRank, type LowRankFactors, type Matrix } from './adapters/merge.js';
export type { ByteSink, ByteSource, ReadOptions } from './byte-source.js';
export type { Siblings } from './containers/sharded.js';
export { WeightsError, type WeightsErrorCode } from './errors.js';
export { createFingerprint, type Fingerprint } from './fingerprint.js';
export { detectLayout, type DetectOptions } from './layouts/detect.js';
export type { ConfigOverrides } from './layouts/overrides.js';
export { type JsonObject, type LayoutName, layoutNames } from './layouts/types.js';
export {
  type InterpretOptions,
  type ModelFile,
  modelOfRawFile,
  type ModelTensor,
  type WeightsOptions,
  type WeightsProgress,
} from './model-file.js';
export { openModel, type OpenModelOptions } from './open-model.js';
export { openRawFile, type OpenRawFileOptions } from './open-raw-file.js';
export type { Container, MetadataValue, RawFile, RawTensor } from './raw-file.js';
export { type SiblingConfig, siblingConfig } from './sibling-config.js';
export * from './sources/index.js';
export { openStateFile, type OpenStateFileOptions, statesOfRawFile } from './state-file.js';
export type { StateOptions, StateOrientation, WkvStates } from './states.js';
export {
  fittingFormat,
  type GgufFormats,
  ggufFormats,
  type GgufPreset,
} from './writers/gguf-formats.js';
export type { WritableModel, WriteProgressOptions } from './writers/targets.js';
export { writeGguf, type WriteGgufOptions } from './writers/write-gguf.js';
export {
  type PlainFormat,
  writeSafetensors,
  type WriteSafetensorsOptions,
} from './writers/write-safetensors.js';
export { writeStateFile, type WriteStateFileOptions } from './writers/write-states.js';
export { type TensorToWrite, writeTensors } from './writers/write-tensors.js';

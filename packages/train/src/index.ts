// One line a module, so that several people can add modules at once.
export type { DocumentPart, DocumentSource } from './data/document-parts.js';
export { DataError, type DataErrorCode } from './data/errors.js';
export { isHeldOut, splitHeldOut } from './data/held-out.js';
export { magicPrime } from './data/magic-prime.js';
export * from './data/prepare-tokens.js';
export { StreamEncoder, type StreamEncoderOptions } from './data/stream-encoder.js';
export {
  memoryTokens,
  type MemoryTokensOptions,
  type ReadTokensOptions,
  type TokenData,
  type TokenRange,
} from './data/token-data.js';
export {
  openTokens,
  type OpenTokensOptions,
  type TokenFilePair,
  type TokenFiles,
} from './data/token-files.js';
export type { TokenType, WrittenTokenType } from './data/token-types.js';
export {
  type AddTokensOptions,
  createTokenWriter,
  type CreateTokenWriterOptions,
  type TokenSinkPair,
  type TokenWriter,
} from './data/token-writer.js';
export {
  createWindowSampler,
  type WindowOrder,
  type WindowSampler,
  type WindowSamplerOptions,
} from './data/window-sampler.js';
export {
  createWindowStream,
  type TrainingWindow,
  type WindowPosition,
  type WindowStream,
  type WindowStreamOptions,
} from './data/windows.js';
export { TrainError, type TrainErrorCode } from './errors.js';
export { initialWeights, type InitialiseOptions } from './initialise/initialise.js';
export { newConfig, type NewConfigOptions, officialRanks } from './initialise/new-config.js';
export { parameterGroups, stateGroup } from './optimizer/parameter-groups.js';
export { learningRateAt, type LearningRateSchedule } from './optimizer/schedule.js';
export {
  type Checkpoint,
  openCheckpoint,
  type OpenCheckpointOptions,
} from './checkpoint/read-checkpoint.js';
export type { TrainingState } from './checkpoint/state.js';
export {
  type CheckpointDraft,
  type CheckpointStore,
  memoryCheckpoints,
} from './checkpoint/store.js';
export { fullTraining, newModel } from './modes/full.js';
export { loraTraining, type LoraOptions } from './modes/lora.js';
export { stateTuning, type StateTuningOptions } from './modes/states.js';
export type { LearnedFile, ModePlan, TrainedModel, TrainingMode } from './modes/mode.js';
export { train, type TrainOptions } from './train.js';
export type {
  BatchOptions,
  EvaluationOptions,
  OptimizerOptions,
  TrainerOptions,
} from './trainer/options.js';
export type {
  CheckpointReport,
  Evaluation,
  Loss,
  RunReport,
  StepReport,
} from './trainer/reports.js';
export type { Sample, SampleStream } from './trainer/samples.js';
export { createTrainer, type Trainer } from './trainer/trainer.js';

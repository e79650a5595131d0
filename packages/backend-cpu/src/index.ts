export {
  type AddonInformation,
  addonInformation,
  availableInstructions,
  type CpuBackend,
  createCpuBackend,
  type OpenedPacked,
} from './create-cpu-backend.js';
export type { CpuExecutable, CpuProfile } from './executable.js';
export type { CpuBackendOptions } from './options.js';
export type { PackedMetadata } from './packed-file.js';
export type { WritePackedOptions } from './packed-weights.js';
export type { CpuTraining, CpuTrainingProfile } from './training/cpu-training.js';
export type { InstructionName } from './training/native-training.js';

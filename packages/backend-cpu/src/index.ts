export {
  type AddonInformation,
  addonInformation,
  availableInstructions,
  type CpuBackend,
  createCpuBackend,
} from './create-cpu-backend.js';
export type { CpuExecutable, CpuProfile } from './executable.js';
export type { CpuBackendOptions } from './options.js';

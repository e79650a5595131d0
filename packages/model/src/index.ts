export { buildProgram, canonicalWeights, type ProgramOptions } from './build-program.js';
export {
  type RwkvConfig,
  type RwkvConfig4,
  type RwkvConfig5,
  type RwkvConfig6,
  type RwkvConfig7,
  type RwkvVersion,
  rwkvVersions,
  validateConfig,
} from './config.js';
export { ModelError, type ModelErrorCode } from './errors.js';

export {
  createReferenceBackend,
  type ReferenceBackend,
  type ReferenceBackendOptions,
} from './create-reference-backend.js';
export type { Precision } from './numbers.js';
export type { Form } from './ops/table.js';
export type { ReferenceStates } from './states.js';

export { isValue, opKinds, readsOf, stateOf, weightsOf, writesOf } from './access.js';
export { activations } from './activations.js';
export { coarseKinds, lower } from './lower.js';
export {
  type Interval,
  type MemoryPlan,
  type MemoryPlanOptions,
  placeIntervals,
  planMemory,
} from './plan-memory.js';
export { printProgram } from './print-program.js';
export { type BatchContext, batchBounds, requireRow, validateBatch } from './validate-batch.js';
export { validateLimits } from './validate-limits.js';
export { validateProgram } from './validate-program.js';

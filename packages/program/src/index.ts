export { isValue, opKinds, readsOf, stateOf, weightsOf, writesOf } from './access.js';
export { activations } from './activations.js';
export { outOfMemory, requireLive, stateInvalid } from './backend-errors.js';
export { checkBindings, type FindShape, requireOps } from './check-bindings.js';
export { checkStateSpecs } from './check-state-specs.js';
export { fusedPreparations } from './encode/fused-preparations.js';
export { lowerHeadNorms } from './encode/lower-head-norms.js';
export { type Access, phasesOf } from './encode/phases.js';
export {
  type ParameterArea,
  type PlacedBuffers,
  type PlacedParameter,
  placeBuffers,
  type PlaceBuffersOptions,
  placeParameters,
} from './encode/place.js';
export {
  firstTokenBit,
  stepHeaderWords,
  stepWords,
  writeStepHeader,
} from './encode/step-header.js';
export {
  accessOf,
  type Answer,
  type BoundParameter,
  ValueViews,
  type ValueViewsOptions,
  type View,
} from './encode/value-views.js';
export { HandleKeeper, type KeptHandle } from './handle-keeper.js';
export { coarseKinds, lower } from './lower.js';
export {
  type Interval,
  type MemoryPlan,
  type MemoryPlanOptions,
  placeIntervals,
  planMemory,
} from './plan-memory.js';
export { printProgram } from './print-program.js';
export { sparseWeights } from './sparse-weights.js';
export {
  type BackwardPlan,
  type BackwardPlanOptions,
  type BackwardStep,
  type GradientUse,
  planBackward,
} from './training/plan-backward.js';
export {
  type TrainingBatchContext,
  validateAccumulateOptions,
  validateTrainingBatch,
  validateTrainingOptions,
  validateUpdateOptions,
} from './training/validate-training.js';
export { type BatchContext, batchBounds, requireRow, validateBatch } from './validate-batch.js';
export { validateLimits } from './validate-limits.js';
export { validateProgram } from './validate-program.js';

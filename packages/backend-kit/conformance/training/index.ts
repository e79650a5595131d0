/** Group `training`: everything about `Backend.createTraining`, skipped as a whole where a backend has none. */
import type { CaseDefinition } from '../types.js';
import { formatTrainingCases } from './formats.js';
import { trainingHandleCases } from './handles.js';
import { trainingLawCases } from './laws.js';
import { modelTrainingCases } from './models.js';
import { opTrainingCases } from './ops.js';
import { trainingSizeCases } from './sizes.js';
import { updateCases } from './update.js';

export const trainingCases: readonly CaseDefinition[] = [
  ...opTrainingCases,
  ...formatTrainingCases,
  ...modelTrainingCases,
  ...trainingLawCases,
  ...trainingSizeCases,
  ...updateCases,
  ...trainingHandleCases,
];

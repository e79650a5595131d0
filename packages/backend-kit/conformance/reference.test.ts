import { createReferenceBackend } from '@rwkv-ts/reference';
import { describe, test } from 'vitest';
import { conformanceGroups, runConformance } from './index.js';

// f64, recurrent, is the oracle itself: there the laws, the lifecycle and the errors are what is tested. Backwards are the
// same in both forms, so that half of the variants cover the training of both precisions and both forward passes.
const variants = [
  { precision: 'f64', form: 'recurrent', coarse: false, trains: false },
  { precision: 'f64', form: 'chunked', coarse: false, trains: true },
  { precision: 'f32', form: 'recurrent', coarse: true, trains: true },
  { precision: 'f32', form: 'chunked', coarse: true, trains: false },
] as const;

describe.each(variants)(
  'reference, $precision, $form, coarse kinds $coarse',
  ({ trains, ...options }) => {
    const groups = conformanceGroups.filter((group) => trains || group !== 'training');
    runConformance({ describe, test, groups, create: () => createReferenceBackend(options) });
  },
);

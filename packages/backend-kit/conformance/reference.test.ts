import { createReferenceBackend } from '@rwkv-ts/reference';
import { describe, test } from 'vitest';
import { runConformance } from './index.js';

// f64, recurrent, is the oracle itself: there the laws, the lifecycle and the errors are what is tested.
const variants = [
  { precision: 'f64', form: 'recurrent', coarse: false },
  { precision: 'f64', form: 'chunked', coarse: false },
  { precision: 'f32', form: 'recurrent', coarse: true },
  { precision: 'f32', form: 'chunked', coarse: true },
] as const;

describe.each(variants)('reference, $precision, $form, coarse kinds $coarse', (options) => {
  runConformance({ describe, test, create: () => createReferenceBackend(options) });
});

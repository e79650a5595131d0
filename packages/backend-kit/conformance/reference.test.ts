import { createReferenceBackend } from '@rwkv-ts/reference';
import { describe, test } from 'vitest';
import { runConformance } from './index.js';

// Both precisions and both forms hold; f64 recurrent is the oracle itself, so there the laws and errors are what is tested.
for (const precision of ['f64', 'f32'] as const) {
  for (const form of ['recurrent', 'chunked'] as const) {
    describe(`reference, ${precision}, ${form}`, () => {
      runConformance({ describe, test, create: () => createReferenceBackend({ precision, form }) });
    });
  }
}

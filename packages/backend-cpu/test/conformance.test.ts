/** The published conformance suite, on every instruction set that this machine runs. */
import { runConformance } from '@rwkv-ts/backend-kit/conformance';
import { describe, test } from 'vitest';
import { availableInstructions, createCpuBackend } from '../src/index.js';

for (const instructions of availableInstructions()) {
  describe(instructions, () => {
    runConformance({ describe, test, create: async () => createCpuBackend({ instructions }) });
  });
}

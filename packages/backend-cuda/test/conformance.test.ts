/** The published conformance suite on an emulated device, with and without matrix units. */
import { runConformance } from '@rwkv-ts/backend-kit/conformance';
import { describe, test, vi } from 'vitest';
import { createEmulated, emulation } from './emulated.js';

vi.setConfig({ testTimeout: 300_000 });

describe.skipIf(emulation.missing)(`emulated device ${emulation.missing ?? ''}`, () => {
  for (const matrixUnits of ['auto', 'never'] as const) {
    describe(`matrix units: ${matrixUnits}`, () => {
      runConformance({ describe, test, create: () => createEmulated({ matrixUnits }) });
    });
  }
});

/** The published conformance suite on two emulated devices together. */
import { runConformance } from '@rwkv-ts/backend-kit/conformance';
import { describe, test, vi } from 'vitest';
import { createEmulated, emulation } from './emulated.js';

vi.setConfig({ testTimeout: 300_000 });

describe.skipIf(emulation.missing)(`emulated devices ${emulation.missing ?? ''}`, () => {
  runConformance({ describe, test, create: () => createEmulated({ devices: [0, 1] }) });
});

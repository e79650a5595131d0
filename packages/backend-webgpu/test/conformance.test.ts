/** The published conformance suite, on every tier that the adapter has; backends of a tier share a device, and its pipelines. */
import { runConformance } from '@rwkv-ts/backend-kit/conformance';
import { describe, test, vi } from 'vitest';
import { createWebGpuBackend } from '../src/index.node.js';
import { adapter, missing, tierDevice } from './adapter.js';

// Software drivers translate a kernel when it first runs, which takes seconds on a busy machine.
vi.setConfig({ testTimeout: 120_000 });

describe.skipIf(!adapter)(`on ${adapter ? 'the adapter' : missing}`, () => {
  for (const tier of ['subgroups', 'plain'] as const) {
    describe.skipIf(tier === 'subgroups' && !adapter?.features.has('subgroups'))(tier, () => {
      const device = tierDevice(tier);
      const create = async () => createWebGpuBackend({ device: await device(), tier });
      runConformance({ describe, test, create });
    });
  }
});

/** What an author without vitest writes: the suite under node:test. `CONFORMANCE_FAULT` makes one answer wrong. */
import { describe, test } from 'node:test';
import { createReferenceBackend } from '@rwkv-ts/reference';
import { runConformance } from '../conformance/index.js';

const faulty = process.env['CONFORMANCE_FAULT'] === '1';

runConformance({
  describe,
  test,
  ...(faulty ? { groups: ['manifest'] as const } : {}),
  create: () => {
    const backend = createReferenceBackend({ precision: 'f32' });
    return faulty ? Object.defineProperty(backend, 'name', { value: '' }) : backend;
  },
});

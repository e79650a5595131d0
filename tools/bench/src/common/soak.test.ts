import { createReferenceBackend } from '@rwkv-ts/reference';
import { expect, test } from 'vitest';
import { soak, type Gauge } from './soak.js';

async function soakWith(gauges: readonly Gauge[]) {
  await using backend = createReferenceBackend({ precision: 'f32' });
  const lines: string[] = [];
  const onLine = (line: string) => lines.push(line);
  const bytes = {
    title: 'bytes',
    name: 'bytes',
    read: () => backend.bytes,
    isZeroWhenEmpty: true,
  };
  const options = { steps: 10, cycles: 3, gauges: [bytes, ...gauges], onLine };
  return { lines, ...(await soak(backend, options)) };
}

test('what stays as it is passes, with a line for each tenth, the first load and the last', async () => {
  const { text, failures, lines } = await soakWith([]);
  expect(failures).toEqual([]);
  expect(lines.length).toBe(14);
  expect(text.split('\n').length).toBe(16);
  expect(text).toContain('disposal 3');
});

test('what drifts, and what is left after a disposal, is told', async () => {
  let count = 0;
  const drifting = { title: 'a', name: 'the drift', read: () => ++count, isZeroWhenEmpty: false };
  const allowed = { ...drifting, name: 'the allowed drift', tolerance: 1000 };
  const stuck = { title: 'b', name: 'the rest', read: async () => 7, isZeroWhenEmpty: true };
  const { failures } = await soakWith([drifting, allowed, stuck]);
  expect(failures.map((failure) => failure.replace(/from \d+ to \d+/, 'from … to …'))).toEqual([
    '10 steps: the drift went from … to …',
    ...[1, 2, 3].map((cycle) => `disposal ${cycle}: the rest is 7, not 0`),
    '3 loads: the drift went from … to …',
  ]);
});

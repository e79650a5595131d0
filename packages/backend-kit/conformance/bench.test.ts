import { opKinds, validateProgram } from '@rwkv-ts/program';
import { expect, test } from 'vitest';
import { createProgram, trafficOf } from './bench.js';

test.each([...opKinds])('%s has a valid benchmark program, once and repeated', (kind) => {
  for (const count of [1, 3]) {
    const { program, ops } = createProgram(kind, { count, format: 'f32' });
    expect(() => {
      validateProgram(program);
    }).not.toThrow();
    expect(ops.map((op) => op.kind)).toEqual(Array(count).fill(kind));
  }
});

test('traffic counts weights, activations and states once', () => {
  const bytes = (kind: Parameters<typeof createProgram>[0], tokens: number) =>
    trafficOf(createProgram(kind, { count: 2, format: 'f32' }), tokens);
  expect(bytes('matmul', 1)).toBe(4 * (768 * 768 + 2 * 768));
  expect(bytes('add', 32)).toBe(4 * 32 * 3 * 768);
  expect(bytes('select-rows', 32)).toBe(4 * 2 * 768);
  // The state is read and written: 12 heads of 64 by 64.
  expect(bytes('wkv7', 1)).toBe(4 * 7 * 768 + 8 * 12 * 64 * 64);
});

import type { HostWeight } from '@rwkv-ts/backend';
import { expect, test } from 'vitest';
import { checkWeight, checkWeightHeader } from './check-weight.js';

const weight: HostWeight = {
  name: 'w',
  shape: [2, 3],
  format: 'f16',
  bytes: new Uint8Array(12),
};
const rules = { formats: ['f16', 'q8_0'] as const, has: () => false };

test('a weight as a matrix; a vector is one row', () => {
  expect(checkWeight(weight, rules)).toEqual({ rows: 2, columns: 3 });
  expect(checkWeight({ ...weight, shape: [6] }, rules)).toEqual({ rows: 1, columns: 6 });
});

test.each<[string, Partial<HostWeight>, string]>([
  ['another format', { format: 'f32' }, 'UNSUPPORTED_WEIGHT_FORMAT'],
  ['no name', { name: '' }, 'WEIGHT_INVALID'],
  ['no shape', { shape: [] }, 'WEIGHT_INVALID'],
  ['a size of 0', { shape: [0, 6] }, 'WEIGHT_INVALID'],
  ['part of a number', { shape: [1.5, 4] }, 'WEIGHT_INVALID'],
  ['more than can be counted', { shape: [2 ** 40, 2 ** 40] }, 'WEIGHT_INVALID'],
  ['bytes for another shape', { bytes: new Uint8Array(13) }, 'WEIGHT_INVALID'],
  ['rows that hold no blocks', { format: 'q8_0' }, 'WEIGHT_INVALID'],
])('%s', (_, part, code) => {
  expect(() => checkWeight({ ...weight, ...part }, rules)).toThrow(
    expect.objectContaining({ code }),
  );
});

test('a name twice, bytes of another kind, and sizes beyond the largest', () => {
  expect(() => checkWeight(weight, { ...rules, has: () => true })).toThrow('twice');
  const bytes = [] as unknown as Uint8Array;
  expect(() => checkWeight({ ...weight, bytes }, rules)).toThrow(TypeError);
  const { formats } = rules;
  expect(() => checkWeightHeader(weight, { formats, largestSize: 2 })).toThrow('at most 2 rows');
});

import { createRandomWeights } from '@rwkv-ts/backend-kit';
import { configOf } from '@rwkv-ts/fixtures/shapes';
import { buildProgram } from '@rwkv-ts/model';
import { expect, test } from 'vitest';
import { randomWeights } from './random-model.js';

test('has every weight in its shape and format, its numbers those of a random model', async () => {
  const program = buildProgram(configOf('7', 'wide'));
  const whole = createRandomWeights(program, { seed: 1, format: 'q8_0' });
  let index = 0;
  for await (const { name, shape, format, bytes } of randomWeights(program, 'q8_0')) {
    const expected = whole[index++]!;
    expect({ name, shape, format, length: bytes.length }).toEqual({
      name: expected.name,
      shape: expected.shape,
      format: expected.format,
      length: expected.bytes.length,
    });
    if (name.startsWith('blocks.0') || !name.startsWith('blocks')) {
      expect(bytes).toEqual(expected.bytes);
    }
  }
  expect(index).toBe(whole.length);
});

test('larger matrices repeat their rows', async () => {
  const shape = [3000, 4096];
  const program = {
    ...buildProgram(configOf('7', 'wide')),
    weights: [{ name: 'head.weight', shape }],
  };
  for await (const { bytes } of randomWeights(program, 'f16')) {
    const rowBytes = 2 * 4096;
    expect(bytes.length).toBe(3000 * rowBytes);
    const row = (index: number) => bytes.subarray(index * rowBytes, (index + 1) * rowBytes);
    expect(row(1024)).toEqual(row(0));
    expect(row(2999)).toEqual(row(2999 - 2048));
    expect(row(1)).not.toEqual(row(0));
  }
});

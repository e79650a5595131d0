import { decode, encode, formatInfo, formatNames, isWeightFormat } from '@rwkv-ts/formats';
import { describe, expect, test } from 'vitest';
import { normal, Random } from '../src/random.js';
import { deviations, multiply } from './quantisation.js';

const blockFormats = formatNames
  .filter(isWeightFormat)
  .filter((format) => formatInfo(format).blockSize > 1);
const [rows, width] = [33, 128];

/** What a kernel sees that rounds each block of a row to 8 bits. */
function roundedTo8Bits(values: Float64Array, block: number): Float64Array {
  const rounded = values.slice();
  for (let start = 0; start < values.length; start += block) {
    const part = values.subarray(start, start + block);
    const step = Math.max(...part.map(Math.abs)) / 127;
    part.forEach(
      (value, n) => (rounded[start + n] = step === 0 ? 0 : Math.round(value / step) * step),
    );
  }
  return rounded;
}

describe.each(blockFormats)('%s', (format) => {
  const block = formatInfo(format).blockSize;
  const inputs = 3 * block;
  const random = new Random(1, format);
  const matrix = decode(
    format,
    encode(format, random.fill(width * inputs, normal(inputs ** -0.5))),
  );
  const values = Float64Array.from(random.fill(rows * inputs, normal()));
  const estimate = (x: Float64Array) =>
    multiply({ values: x, variance: new Float64Array(x.length), width: inputs }, matrix, {
      format,
    });
  const exact = estimate(values);

  test('rounding activations to 8 bits stays within the allowance, and uses a good part of it', () => {
    const rounded = estimate(roundedTo8Bits(values, block));
    const used = exact.values.map(
      (value, n) => Math.abs(value - rounded.values[n]!) / Math.sqrt(exact.variance[n]!),
    );
    expect(Math.max(...used)).toBeLessThan(deviations);
    expect(Math.max(...used)).toBeGreaterThan(2.5);
  });

  test('a scale that is 5 % off does not', () => {
    const off = exact.values.map(
      (value, n) => Math.abs(0.05 * value) / Math.sqrt(exact.variance[n]!),
    );
    expect(Math.max(...off)).toBeGreaterThan(deviations);
  });
});

test('the product is the product, and plain formats get no allowance', () => {
  const x = { values: Float64Array.of(1, 2, 3, 4), variance: new Float64Array(4), width: 2 };
  const { values, variance } = multiply(x, Float32Array.of(1, 0, 1, 1, 0, -2), {
    format: 'f32',
  });
  expect([...values]).toEqual([1, 3, -4, 3, 7, -8]);
  expect([...variance]).toEqual([0, 0, 0, 0, 0, 0]);
});

test('an earlier product’s variance goes through the matrix', () => {
  const x = { values: Float64Array.of(0, 0), variance: Float64Array.of(4, 1), width: 2 };
  expect([...multiply(x, Float32Array.of(3, -1), { format: 'f32' }).variance]).toEqual([37]);
});

test('rounding to bf16 stays within the allowance of a backend that claims it', () => {
  const random = new Random(2, 'bf16');
  const inputs = 96;
  const matrix = random.fill(width * inputs, normal(inputs ** -0.5));
  const values = Float64Array.from(random.fill(rows * inputs, normal()));
  const exact = multiply(
    { values, variance: new Float64Array(values.length), width: inputs },
    matrix,
    { format: 'bf16', rounded: true },
  );
  const bfloats = decode('bf16', encode('bf16', Float32Array.from(values)));
  const rounded = multiply(
    {
      values: Float64Array.from(bfloats),
      variance: new Float64Array(values.length),
      width: inputs,
    },
    matrix,
    { format: 'bf16' },
  );
  const used = exact.values.map(
    (value, n) => Math.abs(value - rounded.values[n]!) / Math.sqrt(exact.variance[n]!),
  );
  expect(Math.max(...used)).toBeLessThan(deviations);
  expect(Math.max(...used)).toBeGreaterThan(1.5);
});

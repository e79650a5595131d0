import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { randomWords, testValues } from '../test/inputs.js';
import {
  decode,
  decodeRange,
  encode,
  encodeRange,
  formatInfo,
  formatNames,
  isWeightFormat,
  type FormatName,
} from './index.js';

const weightFormats = formatNames.filter(isWeightFormat);
const blockWeights = weightFormats.filter((name) => formatInfo(name).blockSize > 1);

/** `blocks` blocks of 32 of ordinary weights: no scale so small that f16 rounds it to 0. */
function weights(blocks: number): fc.Arbitrary<Float32Array> {
  const number = fc.float({ noNaN: true, min: -1000, max: 1000 });
  return fc
    .array(number, { minLength: 32 * blocks, maxLength: 32 * blocks })
    .filter((values) => values.some((value) => Math.abs(value) > 0.01))
    .map((values) => Float32Array.from(values));
}

function code(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
  return 'nothing thrown';
}

describe('round trips', () => {
  it.each(['q8_0', 'q4_0', 'q5_0'] as const)('%s blocks survive decoding and encoding', (name) => {
    fc.assert(
      fc.property(weights(1), (values) => {
        const bytes = encode(name, values);
        expect(encode(name, decode(name, bytes))).toEqual(bytes);
      }),
      { numRuns: 300 },
    );
  });

  it('f32 keeps every bit, NaN payloads too', () => {
    const next = randomWords(7);
    const bytes = new Uint8Array(4096).map(() => next() >>> 24);
    bytes.set([1, 0, 0xa0, 0x7f, 1, 0, 0xa0, 0xff]);
    expect(encode('f32', decode('f32', bytes))).toEqual(bytes);
  });

  it('q8_0, q4_1 and q5_1 are off by at most half a step', () => {
    const check = (name: 'q8_0' | 'q4_1' | 'q5_1', steps: number): void => {
      fc.assert(
        fc.property(weights(1), (values) => {
          const decoded = decode(name, encode(name, values));
          const largest = Math.max(...values.map(Math.abs));
          const span = name === 'q8_0' ? 2 * largest : Math.max(...values) - Math.min(...values);
          // f16 scales are off by 2^-11 of themselves, times up to `steps` steps, and so is the minimum.
          const bound = span / steps / 2 + (span + largest) / 1024;
          values.forEach((value, i) => {
            expect(Math.abs(decoded[i]! - value)).toBeLessThanOrEqual(bound);
          });
        }),
        { numRuns: 100 },
      );
    };
    check('q8_0', 254);
    check('q4_1', 15);
    check('q5_1', 31);
  });

  it('the error on normal numbers falls with the bits', () => {
    const values = testValues().subarray(0, 1024);
    const relative = (name: (typeof blockWeights)[number]): number => {
      const decoded = decode(name, encode(name, values));
      let error = 0;
      let norm = 0;
      values.forEach((value, i) => {
        error += (decoded[i]! - value) ** 2;
        norm += value ** 2;
      });
      return Math.sqrt(error / norm);
    };
    const ascending = ['q8_0', 'q6_k', 'q5_k', 'q5_1', 'q5_0', 'q4_k', 'q4_1', 'q4_0'] as const;
    const errors = ascending.map(relative);
    expect(errors).toEqual([...errors].sort((a, b) => a - b));
    expect(errors[0]).toBeLessThan(0.007);
    expect(errors.at(-1)).toBeLessThan(0.1);
  });

  it('f64 values are rounded to f32 first, in chunks', () => {
    const values = testValues().subarray(0, 9 * 1024);
    const wide = Float64Array.from(values, (value) => value * (1 + 2 ** -30));
    const narrow = Float32Array.from(wide);
    for (const name of weightFormats) expect(encode(name, wide)).toEqual(encode(name, narrow));
  });
});

describe('ranges', () => {
  it.each(formatNames)('%s decodes part of a tensor and nothing around it', (name: FormatName) => {
    const { blockSize, bytesPerBlock } = formatInfo(name);
    const next = randomWords(3);
    // Exponent bits of every scale stay below infinity: the comparison is of numbers, not of NaN.
    const bytes = new Uint8Array(6 * bytesPerBlock).map(() => (next() >>> 24) & 0x3b);
    const whole = decode(name, bytes);
    const values = new Float32Array(3 * blockSize + 5).fill(-7);
    decodeRange({ format: name, bytes, first: 2 * blockSize, count: 3 * blockSize, values, at: 2 });
    expect(values.subarray(2, -3)).toEqual(whole.subarray(2 * blockSize, 5 * blockSize));
    expect([...values.subarray(0, 2), ...values.subarray(-3)]).toEqual([-7, -7, -7, -7, -7]);
  });

  it.each(weightFormats)('%s encodes part of a tensor and nothing around it', (name) => {
    const { blockSize, bytesPerBlock } = formatInfo(name);
    const values = testValues().subarray(0, 6 * blockSize);
    const whole = encode(name, values);
    const bytes = new Uint8Array(6 * bytesPerBlock).fill(0xaa);
    const [first, count] = [2 * blockSize, 3 * blockSize];
    encodeRange({ format: name, bytes, first, count, values, at: first });
    const [start, end] = [2 * bytesPerBlock, 5 * bytesPerBlock];
    expect(bytes.subarray(start, end)).toEqual(whole.subarray(start, end));
    expect([...bytes.subarray(0, start), ...bytes.subarray(end)].every((b) => b === 0xaa)).toBe(
      true,
    );
  });

  it('writes into the arrays given', () => {
    const values = new Float32Array(32).fill(1);
    const bytes = new Uint8Array(34);
    expect(encode('q8_0', values, bytes)).toBe(bytes);
    const out = new Float32Array(32);
    expect(decode('q8_0', bytes, out)).toBe(out);
    expect(out[31]).toBeCloseTo(1, 3);
  });
});

describe('errors', () => {
  const values = new Float32Array(64);
  const bytes = new Uint8Array(68);
  const range = { format: 'q8_0', bytes, values, first: 0, count: 64, at: 0 } as const;

  it('sizes', () => {
    expect(code(() => encode('q8_0', new Float32Array(33)))).toBe('FORMAT_BLOCK_MISMATCH');
    expect(code(() => encode('q8_0', values, new Uint8Array(67)))).toBe('FORMAT_SIZE_MISMATCH');
    expect(code(() => decode('q8_0', new Uint8Array(35)))).toBe('FORMAT_SIZE_MISMATCH');
    expect(code(() => decode('q8_0', bytes, new Float32Array(63)))).toBe('FORMAT_SIZE_MISMATCH');
    expect(code(() => decode('f32', new Uint8Array(6)))).toBe('FORMAT_SIZE_MISMATCH');
    expect(
      code(() => {
        decodeRange({ ...range, first: 32 });
      }),
    ).toBe('FORMAT_SIZE_MISMATCH');
    expect(
      code(() => {
        decodeRange({ ...range, at: 1 });
      }),
    ).toBe('FORMAT_SIZE_MISMATCH');
    expect(
      code(() => {
        encodeRange({ ...range, at: -1 });
      }),
    ).toBe('FORMAT_SIZE_INVALID');
    expect(
      code(() => {
        encodeRange({ ...range, count: 40 });
      }),
    ).toBe('FORMAT_BLOCK_MISMATCH');
    expect(
      code(() => {
        encodeRange({ ...range, values: new Float64Array(63) });
      }),
    ).toBe('FORMAT_SIZE_MISMATCH');
  });

  it('unknown and decode-only formats', () => {
    expect(code(() => decode('q9_9' as FormatName, bytes))).toBe('FORMAT_UNKNOWN');
    expect(code(() => decode('constructor' as FormatName, bytes))).toBe('FORMAT_UNKNOWN');
    expect(code(() => encode('q2_k' as 'q4_k', new Float32Array(256)))).toBe(
      'FORMAT_NOT_ENCODABLE',
    );
  });

  it.each(blockWeights)('%s refuses what it cannot hold', (name) => {
    for (const bad of [NaN, Infinity, -Infinity, 3e38, -3e38]) {
      const block = new Float32Array(256);
      block[100] = bad;
      expect(code(() => encode(name, block))).toBe('FORMAT_NOT_ENCODABLE');
      expect(code(() => encode(name, Float64Array.from(block)))).toBe('FORMAT_NOT_ENCODABLE');
    }
  });

  it('empty tensors are fine', () => {
    for (const name of weightFormats) {
      expect(encode(name, new Float32Array(0))).toHaveLength(0);
      expect(encode(name, new Float64Array(0))).toHaveLength(0);
      expect(decode(name, new Uint8Array(0))).toHaveLength(0);
    }
  });
});

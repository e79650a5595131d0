import type { WeightFormat } from '@rwkv-ts/backend';
import { decode, encode, formatInfo } from '@rwkv-ts/formats';
import { describe, expect, it } from 'vitest';
import { firstNonFinite } from './finite.js';

const formats: WeightFormat[] = [
  'f32',
  'f16',
  'bf16',
  'q8_0',
  'q4_0',
  'q4_1',
  'q5_0',
  'q5_1',
  'q4_k',
  'q5_k',
  'q6_k',
];
/** The largest finite number of each plain format must pass. */
const largest = { f32: 3.4028234663852886e38, f16: 65504, bf16: 3.3895313892515355e38 } as const;

describe('firstNonFinite', () => {
  it.each(formats)('%s finds what decoding shows, at every place', (format) => {
    const values = Float32Array.from({ length: 512 }, (_, i) => Math.sin(i));
    const clean = encode(format, values);
    expect(firstNonFinite(format, clean)).toBe(-1);
    const { bytesPerBlock, blockSize } = formatInfo(format);
    const step = blockSize === 1 ? 7 * bytesPerBlock : bytesPerBlock;
    for (let start = 0; start < clean.length; start += step) {
      for (let byte = 0; byte < bytesPerBlock; byte++) {
        const bytes = clean.slice();
        bytes[start + byte] = 0x7f;
        if (byte > 0) bytes[start + byte - 1] = 0xff;
        const decoded = decode(format, bytes);
        const bad = decoded.findIndex((value) => !Number.isFinite(value));
        const found = firstNonFinite(format, bytes);
        expect(found, `${start}+${byte}`).toBe(bad < 0 ? -1 : bad - (bad % blockSize));
      }
    }
  });

  it.each(['f32', 'f16', 'bf16'] as const)('%s at any alignment and length', (format) => {
    for (const length of [1, 2, 3, 5, 8]) {
      for (let at = 0; at < length; at++) {
        const values = new Float32Array(length).fill(largest[format]);
        const encodedValues = encode(format, values);
        const shifted = new Uint8Array(encodedValues.length + 3);
        for (const offset of [0, 1, 2, 3]) {
          const bytes = shifted.subarray(offset, offset + encodedValues.length);
          bytes.set(encodedValues);
          expect(firstNonFinite(format, bytes)).toBe(-1);
          values.fill(1);
          values[at] = NaN;
          bytes.set(encode(format, values));
          expect(firstNonFinite(format, bytes)).toBe(at);
          values.fill(largest[format]);
        }
      }
    }
  });
});

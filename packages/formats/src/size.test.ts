import { RwkvError } from '@rwkv-ts/backend';
import { describe, expect, it } from 'vitest';
import {
  bytesFor,
  bytesForShape,
  countIn,
  formatInfo,
  formatNames,
  isWeightFormat,
} from './index.js';

const block = (code: string): unknown => expect.objectContaining({ code });

describe('sizes', () => {
  it('are those of the GGML structs', () => {
    const bits = Object.fromEntries(
      formatNames.map((name) => {
        const { blockSize, bytesPerBlock } = formatInfo(name);
        return [name, (8 * bytesPerBlock) / blockSize];
      }),
    );
    expect(bits).toEqual({
      f32: 32,
      f16: 16,
      bf16: 16,
      q8_0: 8.5,
      q4_0: 4.5,
      q4_1: 5,
      q5_0: 5.5,
      q5_1: 6,
      q4_k: 4.5,
      q5_k: 5.5,
      q6_k: 6.5625,
      q8_1: 9,
      q2_k: 2.625,
      q3_k: 3.4375,
      q8_k: 9.125,
      q1_0: 1.125,
      q2_0: 2.25,
      iq4_nl: 4.5,
      iq4_xs: 4.25,
      iq1_s: 1.5625,
      iq1_m: 1.75,
      iq2_xxs: 2.0625,
      iq2_xs: 2.3125,
      iq2_s: 2.5625,
      iq3_xxs: 3.0625,
      iq3_s: 3.4375,
      tq1_0: 1.6875,
      tq2_0: 2.0625,
      mxfp4: 4.25,
      nvfp4: 4.5,
      f64: 64,
      bool: 8,
      u8: 8,
      i8: 8,
      i16: 16,
      i32: 32,
      i64: 64,
    });
  });

  it('of a tensor', () => {
    expect(bytesForShape('q4_k', [3, 512])).toBe(3 * 2 * 144);
    expect(bytesForShape('f32', [])).toBe(4);
    expect(bytesForShape('q8_0', [0, 32])).toBe(0);
    expect(countIn('q6_k', 420)).toBe(512);
  });

  it('no block crosses a row', () => {
    expect(() => bytesForShape('q8_0', [32, 16])).toThrow(block('FORMAT_BLOCK_MISMATCH'));
    expect(() => bytesForShape('q4_k', [256, 128])).toThrow(/multiple of 256, got \[256, 128\]/);
    expect(() => bytesFor('q8_0', 31)).toThrow(block('FORMAT_BLOCK_MISMATCH'));
  });

  it('refuses what no array can have', () => {
    for (const count of [-1, 0.5, NaN, Infinity, 2 ** 53]) {
      expect(() => bytesFor('f16', count)).toThrow(block('FORMAT_SIZE_INVALID'));
    }
    expect(() => bytesFor('f32', 2 ** 52)).toThrow(block('FORMAT_SIZE_INVALID'));
    expect(() => bytesForShape('f32', [2 ** 30, 2 ** 30])).toThrow(block('FORMAT_SIZE_INVALID'));
    expect(() => bytesForShape('f32', [-2, -2])).toThrow(block('FORMAT_SIZE_INVALID'));
    expect(() => bytesForShape('f32', [0, NaN])).toThrow(block('FORMAT_SIZE_INVALID'));
  });

  it('errors carry both numbers and the shared base class', () => {
    try {
      bytesFor('q8_0', 31);
      expect.unreachable();
    } catch (error) {
      expect(RwkvError.isInstance(error)).toBe(true);
      expect(error).toMatchObject({ name: 'FormatsError', expected: 32, got: 31 });
    }
  });

  it('tells device formats', () => {
    expect(formatNames.filter(isWeightFormat)).toHaveLength(11);
    expect(isWeightFormat('q2_k')).toBe(false);
    expect(isWeightFormat('toString')).toBe(false);
    expect(formatInfo('q2_k')).toMatchObject({ device: false, encodable: false });
  });
});

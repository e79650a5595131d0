import type { WeightFormat } from '@rwkv-ts/backend';
import { describe, expect, it } from 'vitest';
import { testBlocks } from '../test/inputs.js';
import {
  convertFormat,
  decode,
  encode,
  formatInfo,
  formatNames,
  isWeightFormat,
  losslessTarget,
  type EncodedWeight,
} from './index.js';

const weightFormats = formatNames.filter(isWeightFormat);
const blockFormats = formatNames.filter((name) => formatInfo(name).blockSize > 1);

function blockWeight(format: (typeof formatNames)[number]): EncodedWeight {
  return { format, shape: [256, 256], bytes: testBlocks(format) };
}

function bits(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

describe('losslessTarget', () => {
  const all = new Set(weightFormats);

  it('keeps a claimed format', () => {
    for (const name of weightFormats) expect(losslessTarget(name, all)).toBe(name);
  });

  it('takes the wider block before f32', () => {
    const claimed = new Set<WeightFormat>(['q8_0', 'q5_k', 'f32', 'f16']);
    expect(losslessTarget('q4_0', claimed)).toBe('q8_0');
    expect(losslessTarget('q4_k', claimed)).toBe('q5_k');
    expect(losslessTarget('q6_k', claimed)).toBe('f32');
    expect(losslessTarget('bf16', claimed)).toBe('f32');
    expect(losslessTarget('tq1_0', new Set(['q4_0', 'q8_0']))).toBe('q4_0');
  });

  it('knows when there is none', () => {
    expect(losslessTarget('f32', new Set(['f16', 'q8_0']))).toBeUndefined();
    expect(losslessTarget('f64', all)).toBeUndefined();
    expect(losslessTarget('q8_0', new Set(['q4_0']))).toBeUndefined();
  });
});

describe('convertFormat', () => {
  it('hands a claimed weight through, the same bytes', () => {
    const weight = blockWeight('q4_k');
    expect(convertFormat(weight, new Set(['q4_k', 'f32'])).bytes).toBe(weight.bytes);
  });

  it.each(blockFormats)('%s to every lossless target decodes to the same bits', (format) => {
    const weight = blockWeight(format);
    const expected = bits(decode(format, weight.bytes));
    let targets = 0;
    for (const target of weightFormats) {
      if (losslessTarget(format, new Set([target])) !== target) continue;
      const converted = convertFormat(weight, new Set([target]));
      expect(converted.format).toBe(target);
      expect(converted.shape).toEqual([256, 256]);
      expect(Buffer.compare(bits(decode(target, converted.bytes)), expected)).toBe(0);
      targets++;
    }
    expect(targets).toBeGreaterThan(0);
  });

  it('does not touch its input', () => {
    for (const format of ['q4_0', 'tq2_0', 'q4_k', 'q6_k'] as const) {
      const weight = blockWeight(format);
      convertFormat(weight, new Set(['q8_0', 'q5_k', 'f32']));
      expect(weight.bytes).toEqual(testBlocks(format));
    }
  });

  it('narrows to bf16 or f16 only where every number fits', () => {
    const fits = encode('f32', Float32Array.of(1, -2.5, 0.0078125, -0));
    const claimed = new Set<WeightFormat>(['bf16', 'f16']);
    expect(convertFormat({ format: 'f32', shape: [4], bytes: fits }, claimed).format).toBe('bf16');
    const half = encode('f32', Float32Array.of(1 + 2 ** -10));
    expect(convertFormat({ format: 'f32', shape: [1], bytes: half }, claimed)).toMatchObject({
      format: 'f16',
      bytes: Uint8Array.of(0x01, 0x3c),
    });
    const neither = encode('f32', Float32Array.of(1 + 2 ** -11));
    expect(() => convertFormat({ format: 'f32', shape: [1], bytes: neither }, claimed)).toThrow(
      expect.objectContaining({ code: 'FORMAT_NO_LOSSLESS_TARGET' }),
    );
    const large = encode('f32', Float32Array.of(...new Array<number>(5000).fill(1), 1e6));
    expect(() => convertFormat({ format: 'f32', shape: [5001], bytes: large }, claimed)).toThrow(
      /without loss/,
    );
  });

  it('never rounds f64 and never quantises', () => {
    const bytes = new Uint8Array(new Float64Array(256).buffer);
    const claimed = new Set(weightFormats);
    expect(() => convertFormat({ format: 'f64', shape: [256], bytes }, claimed)).toThrow(
      /lossless|without loss/,
    );
    const f32 = { format: 'f32', shape: [32], bytes: new Uint8Array(128) } as const;
    expect(() => convertFormat(f32, new Set(['q8_0']))).toThrow(/without loss/);
  });

  it('checks bytes against the shape', () => {
    const weight = blockWeight('q4_0');
    const claimed = new Set<WeightFormat>(['f32']);
    expect(() => convertFormat({ ...weight, shape: [256, 512] }, claimed)).toThrow(
      expect.objectContaining({ code: 'FORMAT_SIZE_MISMATCH' }),
    );
    expect(() => convertFormat({ ...weight, shape: [65536 / 16, 16] }, claimed)).toThrow(
      expect.objectContaining({ code: 'FORMAT_BLOCK_MISMATCH' }),
    );
  });
});

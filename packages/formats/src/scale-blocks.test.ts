import { describe, expect, it } from 'vitest';
import { testBlocks } from '../test/inputs.js';
import { decode, encode, formatInfo, formatNames, scaleBlocks, type FormatName } from './index.js';

/** Blocks whose scales have room both ways: every exact power of two near 1 keeps them normal f16. */
function roomyBlocks(format: FormatName): Uint8Array {
  const { blockSize, bytesPerBlock } = formatInfo(format);
  if (blockSize === 1)
    return new Uint8Array(64 * bytesPerBlock).map((_, i) => (i % 2 ? 0x3e : 0x55));
  const bytes = testBlocks(format).slice(0, 64 * bytesPerBlock);
  // As the upper byte of an f16 these mean exponents 2^-4 and 2^-3; any byte may be one.
  return bytes.map((byte) => ((byte & 1) === 0 ? 0x2f : 0x33));
}

const scalable = formatNames.filter((name) => !/^i\d|^u8$|^bool$|^nvfp4$/.test(name));

describe('scaleBlocks', () => {
  it.each(scalable)('%s times a power of two is exact', (format) => {
    const bytes = roomyBlocks(format);
    const before = decode(format, bytes);
    for (const exponent of [-3, 0, 1, 4]) {
      const scaled = scaleBlocks(format, bytes, exponent);
      if (!scaled.exact) throw new Error(`${scaled.inexact} blocks inexact`);
      const wanted = before.map((value) => value * 2 ** exponent);
      expect(decode(format, scaled.bytes)).toEqual(wanted);
      const back = scaleBlocks(format, scaled.bytes, -exponent);
      expect(back).toEqual({ exact: true, bytes });
    }
  });

  it('leaves its input alone, a Node Buffer too', () => {
    const bytes = Buffer.from(roomyBlocks('q8_0'));
    const before = Uint8Array.from(bytes);
    expect(scaleBlocks('q8_0', bytes, 1)).toMatchObject({ exact: true });
    expect(Uint8Array.from(bytes)).toEqual(before);
  });

  it('counts the blocks that would round or overflow, and changes nothing', () => {
    const values = new Float32Array(96);
    values.fill(1, 0, 32).fill(127 * 2 ** -15, 32, 64);
    values[64] = 127 * 50000;
    const bytes = encode('q8_0', values);
    const copy = bytes.slice();
    expect(scaleBlocks('q8_0', bytes, 1)).toEqual({ exact: false, inexact: 1 });
    // The smallest f16 is 2^-24: d = 2^-15 has nine halvings left, d = f16(1 / 127) = 2^-7 + 2^-14 has ten.
    expect(scaleBlocks('q8_0', bytes, -9)).toMatchObject({ exact: true });
    expect(scaleBlocks('q8_0', bytes, -10)).toEqual({ exact: false, inexact: 1 });
    expect(scaleBlocks('q8_0', bytes, -11)).toEqual({ exact: false, inexact: 2 });
    expect(bytes).toEqual(copy);
  });

  it('plain numbers: overflow, subnormals, NaN and infinity', () => {
    const f32 = encode('f32', Float32Array.of(1, 2 ** 127, NaN, Infinity, 0, -0));
    expect(scaleBlocks('f32', f32, 1)).toEqual({ exact: false, inexact: 1 });
    const down = scaleBlocks('f32', f32, -149);
    expect(down.exact && [...decode('f32', down.bytes)]).toEqual([
      2 ** -149,
      2 ** -22,
      NaN,
      Infinity,
      0,
      -0,
    ]);
    expect(scaleBlocks('bf16', encode('bf16', Float32Array.of(1.5)), -133)).toEqual({
      exact: false,
      inexact: 1,
    });
    const huge = new Uint8Array(Float64Array.of(1e300, 1).buffer);
    expect(scaleBlocks('f64', huge, 60)).toEqual({ exact: false, inexact: 1 });
  });

  it('what has no scale scales by 1 only', () => {
    const bytes = Uint8Array.of(3, 4);
    expect(scaleBlocks('i8', bytes, 0)).toEqual({ exact: true, bytes });
    expect(scaleBlocks('i8', bytes, 1)).toEqual({ exact: false, inexact: 2 });
    expect(scaleBlocks('nvfp4', new Uint8Array(72), 1)).toEqual({ exact: false, inexact: 2 });
    expect(scaleBlocks('mxfp4', new Uint8Array(17).fill(3), -4)).toEqual({
      exact: false,
      inexact: 1,
    });
  });

  it('refuses odd exponents and cut-off blocks', () => {
    expect(() => scaleBlocks('f32', new Uint8Array(4), 0.5)).toThrow(TypeError);
    expect(() => scaleBlocks('f32', new Uint8Array(4), 257)).toThrow(TypeError);
    expect(() => scaleBlocks('q8_0', new Uint8Array(33), 1)).toThrow(
      expect.objectContaining({ code: 'FORMAT_SIZE_MISMATCH' }),
    );
  });
});

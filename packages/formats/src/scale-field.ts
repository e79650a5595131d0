/**
 * The number fields inside blocks: reading and writing f16 scales, and multiplying a field by a power of two where that
 * is exact. Exact for the field is exact for the block: decoding is a product of the scale and small integers, rounded
 * once to f32, far from f32's subnormals.
 */
import type { ScaleField } from './codec.js';
import { FormatsError } from './errors.js';
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16, halfValues } from './half.js';

/** The f16 at `at`, little-endian. */
export function readHalf(bytes: Uint8Array, at: number): number {
  return halfValues[bytes[at]! | (bytes[at + 1]! << 8)]!;
}

/**
 * Writes a block's scale and returns what decoding will read.
 * @throws FormatsError `FORMAT_NOT_ENCODABLE` where f16 would make it infinite, and every value of the block with it.
 */
export function writeHalf(bytes: Uint8Array, at: number, value: number): number {
  const half = f32ToF16(value);
  if ((half & 0x7c00) === 0x7c00) {
    throw new FormatsError({
      code: 'FORMAT_NOT_ENCODABLE',
      message: `A block's scale must fit f16 (at most 65504), got ${value}; keep this weight in f32 or bf16.`,
      expected: 65504,
      got: value,
    });
  }
  bytes[at] = half;
  bytes[at + 1] = half >>> 8;
  return halfValues[half]!;
}

/** The f16 pattern times 2^exponent, or undefined where that rounds. NaN and infinity stay what they are. */
export function rescaleHalf(half: number, exponent: number): number | undefined {
  if ((half & 0x7c00) === 0x7c00) return half;
  const wanted = f16ToF32(half) * 2 ** exponent;
  const scaled = f32ToF16(wanted);
  return f16ToF32(scaled) === wanted ? scaled : undefined;
}

export function halfField(offset: number): ScaleField {
  return {
    rescale(bytes, blockStart, exponent) {
      const at = blockStart + offset;
      const scaled = rescaleHalf(bytes[at]! | (bytes[at + 1]! << 8), exponent);
      if (scaled === undefined) return false;
      bytes[at] = scaled;
      bytes[at + 1] = scaled >>> 8;
      return true;
    },
  };
}

export function bf16Field(): ScaleField {
  return {
    rescale(bytes, blockStart, exponent) {
      const pattern = bytes[blockStart]! | (bytes[blockStart + 1]! << 8);
      if ((pattern & 0x7f80) === 0x7f80) return true;
      const wanted = bf16ToF32(pattern) * 2 ** exponent;
      const scaled = f32ToBf16(wanted);
      if (bf16ToF32(scaled) !== wanted) return false;
      bytes[blockStart] = scaled;
      bytes[blockStart + 1] = scaled >>> 8;
      return true;
    },
  };
}

const word = new DataView(new ArrayBuffer(8));

/** An f32 or f64 at the start of the block. */
export function floatField(width: 4 | 8): ScaleField {
  return {
    rescale(bytes, blockStart, exponent) {
      for (let byte = 0; byte < width; byte++) word.setUint8(byte, bytes[blockStart + byte]!);
      const value = width === 4 ? word.getFloat32(0, true) : word.getFloat64(0, true);
      if (!Number.isFinite(value)) return true;
      const wanted = value * 2 ** exponent;
      const scaled = width === 4 ? Math.fround(wanted) : wanted;
      if (scaled * 2 ** -exponent !== value) return false;
      if (width === 4) word.setFloat32(0, scaled, true);
      else word.setFloat64(0, scaled, true);
      for (let byte = 0; byte < width; byte++) bytes[blockStart + byte] = word.getUint8(byte);
      return true;
    },
  };
}

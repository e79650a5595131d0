/**
 * q6_k: 256 numbers in 210 bytes. GGML `block_q6_K`.
 *   0    u8  l[128]: low four bits; half n of the block has 64 bytes, byte i (0..63) for number i low and i + 64 high
 *   128  u8  h[64]: upper two bits; half n has 32 bytes, byte i for numbers i, i + 32, i + 64, i + 96 from bit 0, 2, 4, 6
 *   192  i8  s[16]: one per 16 numbers
 *   208  f16 d
 * x = d s (q - 32) with q from 0 to 63. Encoding: scale-search.ts per 16 numbers; the scale of largest magnitude gets
 * s = -128, and every number is rounded once more with the stored d s.
 */
import type { Codec } from '../codec.js';
import { FormatsError } from '../errors.js';
import { nearest } from '../nearest.js';
import { signedExtreme } from '../range.js';
import { halfField, readHalf, writeHalf } from '../scale-field.js';
import { clampedLevel, negligible, searchScale } from '../scale-search.js';

const { fround } = Math;
const quants = new Uint8Array(256);
const scales = new Float32Array(16);

function pack(bytes: Uint8Array, at: number): void {
  for (let n = 0; n < 2; n++) {
    for (let i = 0; i < 64; i++) {
      const first = 128 * n + i;
      bytes[at + 64 * n + i] = (quants[first]! & 15) | ((quants[first + 64]! & 15) << 4);
    }
    for (let i = 0; i < 32; i++) {
      let upper = 0;
      for (let part = 0; part < 4; part++) {
        upper |= (quants[128 * n + 32 * part + i]! >>> 4) << (2 * part);
      }
      bytes[at + 128 + 32 * n + i] = upper;
    }
  }
}

function tooLarge(values: Float32Array): FormatsError {
  const largest = Math.abs(signedExtreme(values, 0, values.length));
  return new FormatsError({
    code: 'FORMAT_NOT_ENCODABLE',
    message: `q6_k holds magnitudes up to 65504 · 128 · 32, got ${largest}; keep this weight in f32 or bf16.`,
    expected: 65504 * 128 * 32,
    got: largest,
  });
}

function encodeBlock(values: Float32Array, start: number, bytes: Uint8Array, at: number): void {
  let extreme = 0;
  for (let j = 0; j < 16; j++) {
    const scale = searchScale({ values, start: start + 16 * j, quants, quantStart: 16 * j });
    // The search cubes its numbers: far beyond what f16 scales reach it overflows, and would be taken for zero.
    if (!Number.isFinite(scale)) throw tooLarge(values.subarray(start, start + 256));
    scales[j] = scale;
    if (Math.abs(scale) > Math.abs(extreme)) extreme = scale;
  }
  if (Math.abs(extreme) < negligible) {
    bytes.fill(0, at, at + 210);
    return;
  }
  const inverse = fround(-128 / extreme);
  const d = writeHalf(bytes, at + 208, fround(1 / inverse));
  for (let j = 0; j < 16; j++) {
    const scale = Math.min(127, nearest(fround(inverse * scales[j]!)));
    bytes[at + 192 + j] = scale;
    const width = d * ((scale << 24) >> 24);
    if (width === 0) continue;
    for (let i = 16 * j; i < 16 * (j + 1); i++) {
      quants[i] = clampedLevel(fround(values[start + i]! / width)) + 32;
    }
  }
  pack(bytes, at);
}

export const q6k: Codec = {
  blockSize: 256,
  bytesPerBlock: 210,
  scales: [halfField(208)],
  decode({ blocks, bytes, byteStart, values, valueStart }) {
    let at = byteStart;
    let out = valueStart;
    for (let block = 0; block < blocks; block++, at += 210) {
      const d = readHalf(bytes, at + 208);
      for (let half = 0; half < 2; half++, out += 128) {
        const low = at + 64 * half;
        const high = at + 128 + 32 * half;
        for (let group = 0; group < 2; group++) {
          const scale = at + 192 + 8 * half + group;
          const d0 = d * ((bytes[scale]! << 24) >> 24);
          const d1 = d * ((bytes[scale + 2]! << 24) >> 24);
          const d2 = d * ((bytes[scale + 4]! << 24) >> 24);
          const d3 = d * ((bytes[scale + 6]! << 24) >> 24);
          for (let i = 16 * group; i < 16 * group + 16; i++) {
            const l0 = bytes[low + i]!;
            const l1 = bytes[low + 32 + i]!;
            const upper = bytes[high + i]!;
            values[out + i] = d0 * (((l0 & 15) | ((upper & 3) << 4)) - 32);
            values[out + 32 + i] = d1 * (((l1 & 15) | ((upper & 12) << 2)) - 32);
            values[out + 64 + i] = d2 * (((l0 >>> 4) | (upper & 48)) - 32);
            values[out + 96 + i] = d3 * (((l1 >>> 4) | ((upper & 192) >>> 2)) - 32);
          }
        }
      }
    }
  },
  encode({ blocks, bytes, byteStart, values, valueStart }) {
    for (let block = 0; block < blocks; block++) {
      encodeBlock(values, valueStart + 256 * block, bytes, byteStart + 210 * block);
    }
  },
};

/**
 * Deterministic inputs for the comparison with GGML: everything follows from integers, so any platform makes the same
 * bits. What GGML (revision d99724f2 of ggml-org/ggml, each f32 operation rounded, no fma) made of them is in
 * digests.ts as SHA-256.
 */
import { codecOf, type FormatName } from '../src/formats.js';

/** Mulberry32: 32 random bits a call. */
export function randomWords(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let word = Math.imul(state ^ (state >>> 15), state | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return (word ^ (word >>> 14)) >>> 0;
  };
}

/** Roughly normal with deviation 1: a sum of twelve uniforms, exact in f64. */
function normal(next: () => number): number {
  let sum = -6;
  for (let i = 0; i < 12; i++) sum += (next() >>> 8) / 2 ** 24;
  return sum;
}

type Fill = (next: () => number, index: number) => number;

const decades = [1, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7];

/** One kind of block each; every kind fills a few whole blocks of 256. */
const kinds: readonly Fill[] = [
  normal,
  (next) => normal(next) * 0.02,
  (next) => normal(next) * 1e-3 + 0.01,
  (next) => normal(next) * 1e-3 - 0.01,
  () => 0,
  () => -0,
  () => 0.75,
  () => -0.75,
  (_, index) => (index % 2 === 0 ? 1 : -1),
  (_, index) => index - 128,
  (_, index) => (index === 77 ? -3 : 0),
  (next, index) => (index % 32 === 5 ? 100 : 1e-3) * normal(next),
  // Scales of very different size side by side: some sub-blocks round to scale 0.
  (next, index) => normal(next) * decades[(index >>> 4) & 7]!,
  (next) => normal(next) * 1e-6,
  // Scales that are f16 subnormals or zero.
  (next) => normal(next) * 3e-8,
  (next) => normal(next) * 1e-20,
  // f32 subnormals: reciprocals become infinite.
  (next) => normal(next) * 1e-42,
  (next) => normal(next) * 1e4,
  (next, index) => (index % 64 === 0 ? -60000 : 0) + normal(next),
  // Nearly constant and far from zero: the rounding of the minimum exceeds the scale.
  (next) => -1000 + normal(next) * 1e-5,
  (next) => 1000 + normal(next) * 1e-2,
  (next) => Math.round(normal(next) * 2) / 4,
  // Halfway cases: multiples of half a step.
  (next) => ((next() % 63) - 31) / 2,
  (next) => (next() & 1 ? 1 : -1) * (1 + (next() >>> 8) / 2 ** 24),
];

/** f32 numbers, 4 blocks of 256 of each kind. */
export function testValues(): Float32Array {
  const next = randomWords(20260821);
  const values = new Float32Array(kinds.length * 4 * 256);
  for (let i = 0; i < values.length; i++) {
    values[i] = kinds[Math.floor(i / 1024)]!(next, i % 256);
  }
  return values;
}

/** An f16 that is not NaN or infinity, little-endian at `at`. */
function tameHalf(bytes: Uint8Array, at: number): void {
  if ((bytes[at + 1]! & 0x7c) === 0x7c) bytes[at + 1]! &= 0xbf;
}

/** Where a format keeps its f16 scales; none: q8_k has an f32, iq1_m scattered nibbles. */
const halvesAt: Partial<Record<FormatName, readonly number[]>> = {
  q8_0: [0],
  q8_1: [0],
  q4_0: [0],
  q4_1: [0, 2],
  q5_0: [0],
  q5_1: [0, 2],
  q2_k: [80, 82],
  q3_k: [108],
  q4_k: [0, 2],
  q5_k: [0, 2],
  q6_k: [208],
  q1_0: [0],
  q2_0: [0],
  iq4_nl: [0],
  iq4_xs: [0],
  iq1_s: [0],
  iq2_xxs: [0],
  iq2_xs: [0],
  iq2_s: [0],
  iq3_xxs: [0],
  iq3_s: [0],
  tq1_0: [52],
  tq2_0: [64],
};

/** Random blocks with finite scales: every bit pattern of integers, signs and codebook indices turns up. */
export function testBlocks(format: FormatName): Uint8Array {
  const { bytesPerBlock, blockSize } = codecOf(format);
  const next = randomWords(format.length * 1000 + bytesPerBlock);
  const blocks = 65536 / blockSize;
  const bytes = new Uint8Array(blocks * bytesPerBlock);
  for (let i = 0; i < bytes.length; i++) bytes[i] = next() >>> 24;
  for (let at = 0; at < bytes.length; at += bytesPerBlock) {
    for (const offset of halvesAt[format] ?? []) tameHalf(bytes, at + offset);
    if (format === 'q8_k') bytes[at + 3]! &= 0xbf;
    // The top nibble of d sits in the last byte: exponent 31 would need its bit 6.
    if (format === 'iq1_m') bytes[at + 55]! &= 0xbf;
    // 12 · 2^(e - 128) must stay finite.
    if (format === 'mxfp4' && bytes[at]! > 252) bytes[at] = 252;
  }
  return bytes;
}

/**
 * Reading matrices with blocks as integers: `quants(m, row, granule)` gives eight of a row, byte by byte, and
 * `scale_of(m, row, granule)` what they are scaled by and what is added: a number is `scale * q + offset`.
 */
import type { WeightFormat } from '@rwkv-ts/backend';
import { formatLayouts } from '../weights/layout.js';
import { formatFunctions, type Halves, scaleOf } from './weight-formats.js';

/** Fifth bits, or fifth and sixth, spread over bytes: a product puts bit i of four to byte i. */
const highs = {
  0: '',
  1: `let high = matrix[m.highs + row * (m.granules >> 2u) + (granule >> 2u)] >> (8u * (granule & 3u));
  q |= (((vec2u(high, high >> 4u) & vec2u(15u)) * 0x00204081u) & vec2u(0x01010101u)) << vec2u(4u);`,
  2: `let high = matrix[m.highs + row * (m.granules >> 1u) + (granule >> 1u)] >> (16u * (granule & 1u));
  let h = vec2u(high, high >> 8u);
  q |= ((h & vec2u(3u)) | ((h & vec2u(12u)) << vec2u(6u)) | ((h & vec2u(48u)) << vec2u(12u)) |
    ((h & vec2u(192u)) << vec2u(18u))) << vec2u(4u);`,
};

export function integerLoader(format: WeightFormat, halves: Halves): string {
  const { bits, highBits, scales, zero } = formatLayouts[format];
  if (scales === 'none') throw new Error(`${format} has no blocks.`);
  const low =
    bits === 8
      ? 'let at8 = m.base + 2u * at;\n  var q = vec2u(matrix[at8], matrix[at8 + 1u]);'
      : 'let word = matrix[m.base + at];\n  var q = vec2u(word, word >> 4u) & vec2u(0x0f0f0f0fu);';
  const hasOffset = scales === 'pairs' || scales === 'k';
  return `${formatFunctions(halves)}
fn quants(m: Matrix, row: u32, granule: u32) -> vec2u {
  let at = row * m.granules + granule;
  ${low}
  ${highs[highBits]}
  return q;
}
fn scale_of(m: Matrix, row: u32, granule: u32) -> vec2f {
  ${scaleOf(scales, zero)}
  return vec2f(scale, ${hasOffset ? 'offset' : `-${zero}.0 * scale`});
}`;
}

/** Scales of a block of 32 numbers. */
export const scalesInBlock = (format: WeightFormat): 1 | 2 =>
  formatLayouts[format].scales === 'six' ? 2 : 1;

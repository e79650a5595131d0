/**
 * Reading matrices as src/weights/layout.ts lays them out: `load8(m, row, granule)` gives eight numbers of a row of the
 * matrix that begins, in its page, where `m` says. `m` also has how many granules a row takes.
 */
import type { WeightFormat } from '@rwkv-ts/backend';
import { formatLayouts, type MatrixLayout, type ScaleLayout } from '../weights/layout.js';
import type { FieldLayout, Storage } from './shader.js';

/** Of a node's matrix: where it and its regions begin in the page (elements, words, words), and granules of a row. */
export const matrixFields: FieldLayout = {
  base: 'u32',
  granules: 'u32',
  highs: 'u32',
  scales: 'u32',
};
/** The matrix of a node with `matrixFields`. */
export const nodeMatrix = 'Matrix(node.base, node.granules, node.highs, node.scales)';

export const matrixStorage = (format: WeightFormat): Storage => ({
  name: 'matrix',
  access: 'read',
  element: formatLayouts[format].element,
});

/**
 * How half precision is read: `native` by types of `shader-f16`, `unpacked` by WGSL's function, `exact` by integers, which
 * is slower and right on every device: the others may take the smallest numbers for zero.
 */
export type Halves = 'native' | 'unpacked' | 'exact';

const common = `
struct Eight { a: vec4f, b: vec4f }
struct Matrix { base: u32, granules: u32, highs: u32, scales: u32 }
const byte_shifts = vec4u(0u, 8u, 16u, 24u);
fn half_bits(word: u32, index: u32) -> u32 { return (word >> (16u * index)) & 0xffffu; }
fn nibbles(word: u32) -> vec4f { return vec4f((vec4u(word) >> byte_shifts) & vec4u(15u)); }
fn signed_bytes(word: u32) -> vec4f {
  return vec4f(bitcast<vec4i>(vec4u(word) << vec4u(24u, 16u, 8u, 0u)) >> vec4u(24u));
}
/** Six bits each: eight scales, eight minima in three words (GGML's q4_K and q5_K). */
fn six_bits(low: u32, middle: u32, high: u32, index: u32) -> vec2f {
  let shift = 8u * (index & 3u);
  let s = (low >> shift) & 255u;
  let m = (middle >> shift) & 255u;
  let u = (high >> shift) & 255u;
  let upper = vec2u((u & 15u) | ((s >> 6u) << 4u), (u >> 4u) | ((m >> 6u) << 4u));
  return vec2f(select(upper, vec2u(s & 63u, m & 63u), index < 4u));
}
`;

const halfReaders: { readonly [H in Halves]: string } = {
  native: 'fn half(bits: u32) -> f32 { return f32(bitcast<vec2<f16>>(bits).x); }',
  unpacked: 'fn half(bits: u32) -> f32 { return unpack2x16float(bits).x; }',
  exact: `fn half(bits: u32) -> f32 {
  let exponent = (bits >> 10u) & 31u;
  let fraction = bits & 1023u;
  let normal = bitcast<f32>(((exponent + select(112u, 224u, exponent == 31u)) << 23u) | (fraction << 13u));
  let magnitude = select(normal, f32(fraction) * 5.9604644775390625e-8, exponent == 0u);
  return select(magnitude, -magnitude, (bits & 0x8000u) != 0u);
}`,
};

/** Scale and offset of a granule, so that a number is `scale * q + offset`. */
export function scaleOf(layout: ScaleLayout, zero: number): string {
  const matrix = 'matrix';
  const scales = 'm.scales';
  const granules = 'm.granules';
  switch (layout) {
    case 'none':
      return '';
    case 'halves':
      return `let block = granule >> 2u;
  let scale = half(half_bits(${matrix}[${scales} + row * ((${granules} + 7u) >> 3u) + (block >> 1u)], block & 1u));
  let zero = vec4f(${zero}.0);`;
    case 'pairs':
      return `let pair = ${matrix}[${scales} + row * (${granules} >> 2u) + (granule >> 2u)];
  let scale = half(pair & 0xffffu);
  let offset = half(pair >> 16u);`;
    case 'k':
      return `let at = ${scales} + (row * (${granules} >> 5u) + (granule >> 5u)) * 4u;
  let head = ${matrix}[at];
  let sub = six_bits(${matrix}[at + 1u], ${matrix}[at + 2u], ${matrix}[at + 3u], (granule >> 2u) & 7u);
  let scale = half(head & 0xffffu) * sub.x;
  let offset = -half(head >> 16u) * sub.y;`;
    case 'six':
      return `let at = ${scales} + (row * (${granules} >> 5u) + (granule >> 5u)) * 5u;
  let sub = (granule >> 1u) & 15u;
  let eighth = i32(${matrix}[at + (sub >> 2u)] << (24u - 8u * (sub & 3u))) >> 24u;
  let scale = half(${matrix}[at + 4u]) * f32(eighth);
  let zero = vec4f(${zero}.0);`;
  }
}

function highsOf(highBits: 0 | 1 | 2): string {
  const [matrix, highs] = ['matrix', 'm.highs'];
  const granules = 'm.granules';
  if (highBits === 0) return '';
  if (highBits === 1) {
    return `let high = ${matrix}[${highs} + row * (${granules} >> 2u) + (granule >> 2u)] >> (8u * (granule & 3u));
  a += vec4f(((vec4u(high) >> vec4u(0u, 1u, 2u, 3u)) & vec4u(1u)) << vec4u(4u));
  b += vec4f(((vec4u(high) >> vec4u(4u, 5u, 6u, 7u)) & vec4u(1u)) << vec4u(4u));`;
  }
  return `let high = ${matrix}[${highs} + row * (${granules} >> 1u) + (granule >> 1u)] >> (16u * (granule & 1u));
  a += vec4f(((vec4u(high) >> vec4u(0u, 2u, 4u, 6u)) & vec4u(3u)) << vec4u(4u));
  b += vec4f(((vec4u(high) >> vec4u(8u, 10u, 12u, 14u)) & vec4u(3u)) << vec4u(4u));`;
}

/** What readers of a format are made of. */
export const formatFunctions = (halves: Halves): string => `${common}${halfReaders[halves]}`;

/** Whether anything of the format is in half precision. */
export const hasHalves = (format: WeightFormat): boolean =>
  format === 'f16' || formatLayouts[format].scales !== 'none';

/** `load8` for matrices of one format; in columns also `column8(m, row8, column)`, eight rows' numbers of a column. */
export function matrixLoader(
  format: WeightFormat,
  { halves, layout = 'rows' }: { readonly halves: Halves; readonly layout?: MatrixLayout },
): string {
  const functions = formatFunctions(halves);
  if (formatLayouts[format].scales !== 'none') return `${functions}${loader(format)}`;
  return `${functions}${plainEight(format, halves)}${layout === 'rows' ? rowReader(format) : columnReader(format)}`;
}

/** Eight numbers in a row, from an element of the page on. */
function plainEight(format: WeightFormat, halves: Halves): string {
  const quads = format === 'f16' ? halfQuads[halves] : 'even.x, odd.x, even.y, odd.y';
  if (format === 'f32') {
    return `
fn eight(at: u32) -> Eight { return Eight(matrix[at], matrix[at + 1u]); }`;
  }
  if (format === 'f16') {
    return `
fn eight(at: u32) -> Eight {
  let w = matrix[at];
  return Eight(${quads});
}`;
  }
  return `
fn eight(at: u32) -> Eight {
  let w = matrix[at];
  let even = bitcast<vec4f>(w << vec4u(16u));
  let odd = bitcast<vec4f>(w & vec4u(0xffff0000u));
  return Eight(vec4f(${quads}), vec4f(even.z, odd.z, even.w, odd.w));
}`;
}

const halfQuads: { readonly [H in Halves]: string } = {
  native: 'vec4f(bitcast<vec4<f16>>(w.xy)), vec4f(bitcast<vec4<f16>>(w.zw))',
  unpacked: `vec4f(unpack2x16float(w.x), unpack2x16float(w.y)),
    vec4f(unpack2x16float(w.z), unpack2x16float(w.w))`,
  exact: `vec4f(half(w.x & 0xffffu), half(w.x >> 16u), half(w.y & 0xffffu), half(w.y >> 16u)),
    vec4f(half(w.z & 0xffffu), half(w.z >> 16u), half(w.w & 0xffffu), half(w.w >> 16u))`,
};

/** Elements of eight numbers. */
const elementsOf = (format: WeightFormat): string => (format === 'f32' ? '2u * ' : '');

const rowReader = (format: WeightFormat): string => `
fn load8(m: Matrix, row: u32, granule: u32) -> Eight {
  return eight(m.base + ${elementsOf(format)}(row * m.granules + granule));
}`;

/** Rows of a matrix in columns are put together number by number: for what has no kernel of its own. */
const columnReader = (format: WeightFormat): string => `
fn column8(m: Matrix, row8: u32, column: u32) -> Eight {
  return eight(m.base + ${elementsOf(format)}(((row8 >> 2u) * 8u * m.granules + column) * 4u + (row8 & 3u)));
}
fn load8(m: Matrix, row: u32, granule: u32) -> Eight {
  var numbers = array<f32, 8>();
  for (var i = 0u; i < 8u; i++) {
    let all = column8(m, row >> 3u, 8u * granule + i);
    numbers[i] = select(all.a, all.b, (row & 4u) != 0u)[row & 3u];
  }
  return Eight(vec4f(numbers[0], numbers[1], numbers[2], numbers[3]), vec4f(numbers[4], numbers[5], numbers[6], numbers[7]));
}`;

function loader(format: WeightFormat): string {
  const { bits, highBits, scales, zero } = formatLayouts[format];
  const matrix = 'matrix';
  const at = 'row * m.granules + granule';
  const head = `fn load8(m: Matrix, row: u32, granule: u32) -> Eight {`;
  const quants =
    bits === 8
      ? `let at8 = m.base + 2u * (${at});
  var a = signed_bytes(${matrix}[at8]);
  var b = signed_bytes(${matrix}[at8 + 1u]);`
      : `let word = ${matrix}[m.base + ${at}];
  var a = nibbles(word);
  var b = nibbles(word >> 4u);`;
  const hasOffset = scales === 'pairs' || scales === 'k';
  const result = hasOffset
    ? 'return Eight(scale * a + offset, scale * b + offset);'
    : `return Eight(scale * (a - zero), scale * (b - zero));`;
  return `${head}
  ${quants}
  ${highsOf(highBits)}
  ${scaleOf(scales, zero)}
  ${result} }`;
}

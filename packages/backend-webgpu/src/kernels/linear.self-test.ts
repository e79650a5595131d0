import type { WeightFormat } from '@rwkv-ts/backend';
import { decode, encode } from '@rwkv-ts/formats';
import { formatLayouts, rowWords } from '../weights/layout.js';
import { repackRows } from '../weights/repack.js';
import { activationCode } from './math.js';
import { linearParts } from './linear.js';
import { headerWords } from './shader.js';
import { type SelfTest, testHeader, testNumbers } from './self-test.js';

const [outs, stride] = [11, 16];

/** A product of 11 rows with bias, tanh, gate and residual, and one of 8 with nothing, for tokens in two sequences. */
export function linearSelfTest(
  format: WeightFormat,
  {
    tokens,
    groupsOf,
  }: { tokens: number; groupsOf: (quads: readonly number[]) => SelfTest['groups'] },
): SelfTest {
  const isPlain = formatLayouts[format].bits >= 16;
  const inner = isPlain ? 72 : 256;
  const random = testNumbers(7);
  const numbers = (count: number) => Float32Array.from({ length: count }, random);
  const rows = [outs, 8];
  // One row of the smallest numbers, which a device may take for zero: half precision's are far above f32's own.
  const values = numbers(19 * inner).map((value, index) =>
    index < inner && format === 'f16' ? value * 3e-5 : value,
  );
  const bytes = encode(format, values);
  const weights = decode(format, bytes);
  const x = numbers(tokens * inner);
  if (format === 'f16') for (let n = 0; n < x.length; n += 2) x[n] = 512 * x[n]!;
  const [gate, residual, bias] = [
    numbers(tokens * stride),
    numbers(tokens * stride),
    numbers(stride),
  ];
  const page = repacked(format, { bytes, inner, rows });
  const sizes = [x.length, tokens * stride, tokens * stride, tokens * stride, tokens * 8];
  const at = sizes.map((_, index) => sizes.slice(0, index).reduce((a, b) => a + b, 0));
  const arena = new Float32Array(at[4]! + sizes[4]!).fill(NaN);
  arena.set(x, at[0]);
  arena.set(gate, at[1]);
  arena.set(residual, at[2]);
  const product = (t: number, row: number): number => {
    let sum = 0;
    for (let n = 0; n < inner; n++) sum += x[t * inner + n]! * weights[row * inner + n]!;
    return sum;
  };
  const first = Array.from({ length: tokens * stride }, (_, n) => {
    const [t, row] = [Math.floor(n / stride), n % stride];
    if (row >= outs) return 0;
    return residual[n]! + gate[n]! * Math.tanh(bias[row]! + product(t, row));
  });
  const second = Array.from({ length: tokens * 8 }, (_, n) => product(n >> 3, outs + (n & 7)));
  const codes = linearParts.bias | linearParts.gate | linearParts.residual;
  const quads = [4, 2];
  return {
    values: {
      rows: headerWords.tokens,
      jobs_count: 2,
      x_0: { offset: at[0]!, stride: inner },
      out_0: { offset: at[3]!, stride },
      gate_0: { offset: at[1]!, stride },
      residual_0: { offset: at[2]!, stride },
      bias_0: { offset: 0, stride: 0 },
      count_0: outs,
      codes_0: codes | (activationCode('tanh') << 8),
      quads_0: 4,
      x_1: { offset: at[0]!, stride: inner },
      out_1: { offset: at[4]!, stride: 8 },
      count_1: 8,
      quads_1: 2,
      ...page.fields,
    },
    header: testHeader([1, tokens - 1]),
    arena,
    parameters: bias,
    own: page.words,
    groups: groupsOf(quads),
    expected: [
      { at: at[3]!, numbers: first },
      { at: at[4]!, numbers: second },
    ],
    // With f16 the columns of x are of very different size, so that sums lose digits.
    tolerance: format === 'f16' ? 1e-3 : 2e-5,
  };
}

/** Both matrices in one page, each with its regions. */
function repacked(
  format: WeightFormat,
  { bytes, inner, rows }: { bytes: Uint8Array; inner: number; rows: readonly number[] },
): { words: Uint32Array<ArrayBuffer>; fields: Record<string, number> } {
  const rowBytes = bytes.length / rows.reduce((a, b) => a + b, 0);
  const per = rowWords(format, inner);
  const fields: Record<string, number> = {};
  const all: number[] = [];
  let firstRow = 0;
  for (const [job, count] of rows.entries()) {
    while (all.length % 64 !== 0) all.push(0);
    const start = all.length;
    const regions = repackRows({ format, columns: inner, rowBytes }, { bytes, firstRow, count });
    all.push(...regions.quants, ...regions.highs, ...regions.scales);
    fields[`base_${job}`] = start / (formatLayouts[format].element === 'u32' ? 1 : 4);
    fields[`granules_${job}`] = inner / 8;
    fields[`highs_${job}`] = start + count * per.quants;
    fields[`scales_${job}`] = start + count * (per.quants + per.highs);
    firstRow += count;
  }
  return { words: Uint32Array.from(all), fields };
}

import { quantisedRow } from './quantise.js';
import { type Expected, type SelfTest, testHeader, TestMemory } from './self-test.js';
import { stepWords } from '@rwkv-ts/program';

const tokens = 3;
/** Blocks that no four words hold, and more than a group has. */
const widths = [32 * 5, 32 * 66];

/** Integers and a little times powers of two, so that each has one way to be rounded; one block of zeros, and one with infinity. */
export function quantiseSelfTest(): SelfTest {
  const memory = new TestMemory({ rows: tokens, seed: 31 });
  const jobs = widths.map((width) => {
    const row = quantisedRow(width);
    return { width, row, x: memory.view(width), q: memory.view(row.words) };
  });
  const { arena, parameters } = memory.buffers;
  const expected: Expected[] = [];
  for (const { width, row, x, q } of jobs) {
    for (let t = 0; t < tokens; t++) {
      const quants = Array.from({ length: width }, (_, c) => Math.round(126 * x.at(t, c)));
      const sums = new Int16Array(2 * row.blocks);
      const scales = Array.from({ length: row.blocks }, (_, block) => 2 ** ((block % 9) - 20));
      for (const block of scales.keys()) quants[32 * block + (block % 32)] = block % 2 ? 127 : -127;
      if (t === 1) {
        quants.fill(0, 64, 96);
        scales[2] = 0;
      }
      for (const [c, value] of quants.entries()) {
        const isLargest = Math.abs(value) === 127;
        const beside = isLargest || scales[c >> 5] === 0 ? 0 : c % 2 ? 0.3 : -0.3;
        arena[x.offset + t * x.stride + c] = (value + beside) * scales[c >> 5]!;
        sums[c >> 4]! += value;
      }
      if (t === 2) {
        arena[x.offset + t * x.stride + 7] = -Infinity;
        quants.fill(0, 0, 32);
        sums.fill(0, 0, 2);
      }
      const at = q.offset + t * q.stride;
      const bytes = Int8Array.from(quants);
      expected.push({ at, numbers: [...new Uint32Array(bytes.buffer)], isBits: true });
      // The scale of infinity is NaN, which is no number to compare with.
      const first = t === 2 ? 1 : 0;
      const numbers = scales.slice(first);
      expected.push({ at: at + row.scalesAt + first, numbers });
      expected.push({
        at: at + row.sumsAt,
        numbers: [...new Uint32Array(sums.buffer)],
        isBits: true,
      });
    }
  }
  const fields = jobs.flatMap(({ x, q, row: { blocks } }, index) =>
    Object.entries({ x, q, blocks }).map(([name, value]) => [`${name}_${index}`, value] as const),
  );
  return {
    nodes: [{ rows: stepWords.tokens, groups: 2, ...Object.fromEntries(fields) }],
    header: testHeader([1, 2]),
    arena,
    parameters,
    groups: [2 * jobs.length, tokens + 1, 1],
    expected,
    tolerance: 1e-6,
  };
}

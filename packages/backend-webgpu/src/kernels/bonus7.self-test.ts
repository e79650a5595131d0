import { type SelfTest, testHeader, TestMemory } from './self-test.js';
import { stepWords } from '@rwkv-ts/program';

const [tokens, heads, size] = [3, 2, 71];
const width = heads * size;

export function bonus7SelfTest(): SelfTest {
  const memory = new TestMemory({ rows: tokens, seed: 17 });
  const [r, k, v] = [memory.view(width), memory.view(width, 0, 1), memory.view(width)];
  const by = memory.parameter(width);
  const bonuses = Array.from({ length: tokens * heads }, (_, n) => {
    const [row, begin] = [Math.floor(n / heads), (n % heads) * size];
    let sum = 0;
    for (let c = begin; c < begin + size; c++) sum += r.at(row, c) * k.at(row, c) * by.at(0, c);
    return sum;
  });
  const out = memory.out(
    width,
    (row, c) => bonuses[row * heads + Math.floor(c / size)]! * v.at(row, c),
  );
  return {
    nodes: [{ rows: stepWords.tokens, width, size, r, k, v, by, out }],
    header: testHeader([1, 2]),
    ...memory.buffers,
    groups: [heads, tokens + 1, 1],
    tolerance: 2e-5,
  };
}

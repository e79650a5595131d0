import { type SelfTest, testHeader, TestMemory } from './self-test.js';
import { stepWords } from '@rwkv-ts/program';

const [tokens, inner, width] = [3, 37, 67];

export function rowMatmulSelfTest(): SelfTest {
  const memory = new TestMemory({ rows: tokens, seed: 19 });
  const [x, m] = [memory.view(inner), memory.view(inner * width)];
  const out = memory.out(width, (row, column) => {
    let sum = 0;
    for (let a = 0; a < inner; a++) sum += x.at(row, a) * m.at(row, a * width + column);
    return sum;
  });
  return {
    nodes: [{ rows: stepWords.tokens, width, inner, x, m, out }],
    header: testHeader([1, 2]),
    ...memory.buffers,
    groups: [2, tokens + 1, 1],
    tolerance: 2e-5,
  };
}

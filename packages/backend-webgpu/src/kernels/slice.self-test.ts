import { type SelfTest, testHeader, TestMemory } from './self-test.js';
import { stepWords } from '@rwkv-ts/program';

const [tokens, width, start] = [3, 261, 5];

export function sliceSelfTest(): SelfTest {
  const memory = new TestMemory({ rows: tokens, seed: 21 });
  const x = memory.view(width + start + 3);
  const out = memory.out(width, (row, column) => x.at(row, start + column));
  return {
    nodes: [{ rows: stepWords.tokens, width, start, x, out }],
    header: testHeader([1, 2]),
    ...memory.buffers,
    groups: [2, tokens + 1, 1],
    tolerance: 0,
  };
}

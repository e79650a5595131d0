import type { WeightFormat } from '@rwkv-ts/backend';
import { type SelfTest, testHeader, TestMemory } from './self-test.js';
import type { MatrixLayout } from '../weights/layout.js';
import { matrixFieldsOf, testColumns, testPage } from './self-test-page.js';
import { stepWords } from '@rwkv-ts/program';

/** A table in two parts, and one row that the batch gives itself. */
export function embedSelfTest(format: WeightFormat, layout: MatrixLayout): SelfTest {
  const width = testColumns(format);
  const rows = [3, 4];
  const tokens = Uint32Array.of(6, 0, 2, 3, 5);
  const memory = new TestMemory({ rows: tokens.length, seed: 27 });
  const page = testPage(format, { layout, columns: width, rows, numbers: memory.draw(7 * width) });
  const [first, second] = page.matrices as [(typeof page.matrices)[0], (typeof page.matrices)[0]];
  const embeddings = { at: Uint32Array.of(3), vectors: memory.draw(width) };
  const out = memory.out(width, (row, column) => {
    if (row === 3) return embeddings.vectors[column]!;
    const token = tokens[row]!;
    return token < rows[0]! ? first.at(token, column) : second.at(token - rows[0]!, column);
  });
  const shared = { rows: stepWords.tokens, width, out, takes_vectors: 1 };
  return {
    nodes: [
      { ...shared, first: 0, count: rows[0]!, ...matrixFieldsOf(first) },
      { ...shared, first: rows[0]!, count: rows[1]!, ...matrixFieldsOf(second) },
    ],
    header: testHeader([2, 3], { tokens, embeddings, channels: width }),
    ...memory.buffers,
    own: page.words,
    groups: [1, tokens.length + 1, 1],
    tolerance: 1e-6,
  };
}

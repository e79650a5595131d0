import type { ElementwiseParts } from './elementwise.js';
import { stepWords } from '@rwkv-ts/program';
import { type SelfTest, testHeader, TestMemory, type TestRows } from './self-test.js';

const [tokens, width] = [5, 13];

/** Every set of fields that the kernel is tried with, one after the other. */
export function elementwiseSelfTest(
  parts: Pick<ElementwiseParts, 'operands' | 'formula' | 'cases' | 'source'>,
): SelfTest {
  const { operands, formula, cases = [{}], source } = parts;
  const memory = new TestMemory({ rows: tokens, seed: 3 });
  const wanted = Uint32Array.of(3, 0, 4);
  const rows = source ? wanted.length : tokens;
  const read = Object.entries(operands).map(([name, kind]): [string, TestRows] => [
    name,
    kind === 'view' ? memory.view(width, -3, 3) : memory.parameter(width, -3, 3),
  ]);
  const nodes = cases.map((fields) => {
    const out = memory.out(
      width,
      (row, column) => {
        const from = source ? wanted[row]! : row;
        const numbers = read.map(([name, view]) => [name, view.at(from, column)] as const);
        return formula({ ...fields, ...Object.fromEntries(numbers) });
      },
      rows,
    );
    const counts = source ? stepWords.wanted : stepWords.tokens;
    return { rows: counts, width, out, ...Object.fromEntries(read), ...fields };
  });
  return {
    nodes,
    header: testHeader([2, 3], { wanted }),
    ...memory.buffers,
    groups: [1, rows + 1, 1],
    tolerance: 2e-5,
  };
}

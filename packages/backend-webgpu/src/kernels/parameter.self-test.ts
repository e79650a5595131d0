import type { Activation, WeightFormat } from '@rwkv-ts/backend';
import { activationCode, activationCodes, activationFormulas } from './math.js';
import { type SelfTest, testHeader, TestMemory } from './self-test.js';
import type { MatrixLayout } from '../weights/layout.js';
import { matrixFieldsOf, testColumns, testPage } from './self-test-page.js';

/** Two rows in every form, the first time as they are and the others with each number twice. */
export function parameterSelfTest(format: WeightFormat, layout: MatrixLayout): SelfTest {
  const width = testColumns(format);
  const memory = new TestMemory({ rows: 1, seed: 29 });
  const page = testPage(format, {
    layout,
    columns: width,
    rows: [2],
    numbers: memory.draw(2 * width),
  });
  const [matrix] = page.matrices as [(typeof page.matrices)[0]];
  const nodes = activationCodes.map((form: Activation | undefined, index) => {
    const repeat = index === 0 ? 1 : 2;
    const { offset } = memory.out(2 * width * repeat, (_, n) => {
      const at = Math.floor(n / repeat);
      const number = matrix.at(Math.floor(at / width), at % width);
      return form ? activationFormulas[form](number) : number;
    });
    const activation = activationCode(form);
    return { width, count: 2, out: offset, activation, repeat, ...matrixFieldsOf(matrix) };
  });
  // The kernel writes no zeros beyond the width: it has none.
  const { arena, parameters, expected } = memory.buffers;
  return {
    nodes,
    header: testHeader([1, 1]),
    arena,
    parameters,
    own: page.words,
    groups: [1, 3, 1],
    expected: expected.map(({ at, numbers }, index) => ({
      at,
      numbers: numbers.slice(0, 2 * width * (index === 0 ? 1 : 2)),
    })),
    tolerance: 2e-5,
  };
}

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { conjunctionsOf } from './decision-tree.js';

test('every row meets exactly one conjunction, which has its label', () => {
  const rowsOf = fc.uniqueArray(fc.tuple(fc.nat(3), fc.nat(2), fc.nat(1), fc.nat(3)), {
    minLength: 1,
    maxLength: 60,
    selector: ([a, b, c]) => `${a},${b},${c}`,
  });
  fc.assert(
    fc.property(rowsOf, (rows) => {
      const variables = [0, 1, 2].map((at) => ({
        values: Uint16Array.from(rows, (row) => row[at]!),
      }));
      const found = conjunctionsOf(
        variables,
        Uint16Array.from(rows, (row) => row[3]),
      );
      for (const row of rows) {
        const met = found.filter(({ conditions }) =>
          conditions.every(({ variable, values }) => values.includes(row[variable]!)),
        );
        expect(met.map(({ label }) => label)).toEqual([row[3]]);
      }
    }),
  );
});

test('merges values that lead to the same, and leaves out what decides nothing', () => {
  const rows = Array.from({ length: 64 }, (_, row) => [row >> 4, (row >> 2) & 3, row & 3] as const);
  const variables = [0, 1, 2].map((at) => ({ values: Uint16Array.from(rows, (row) => row[at]!) }));
  const found = conjunctionsOf(
    variables,
    Uint16Array.from(rows, ([, b]) => (b === 2 ? 1 : 0)),
  );
  expect(found).toEqual([
    { conditions: [{ variable: 1, values: [0, 1, 3] }], label: 0 },
    { conditions: [{ variable: 1, values: [2] }], label: 1 },
  ]);
});

import type { Program, Value } from '@rwkv-ts/backend';
import { expect, it } from 'vitest';
import { withSession } from '../../test/harness.js';
import type { NamedWeights } from '../../test/random.js';

const names = ['r', 'w', 'k', 'v', 'a', 'b'] as const;
type Row = Readonly<Record<(typeof names)[number], readonly [number, number]>>;

/** One head of two channels, whose inputs are rows of tables. */
function createProgram(rows: readonly Row[]): { program: Program; weights: NamedWeights } {
  const value = (id: number, rowsOf: Value['rows'] = 'T'): Value => ({
    id,
    rows: rowsOf,
    width: 2,
  });
  const [r, w, k, v, a, b] = names.map((_, id) => value(id)) as [
    Value,
    Value,
    Value,
    Value,
    Value,
    Value,
  ];
  const [out, output] = [value(6), value(7, 'R')];
  return {
    program: {
      weights: names.map((name) => ({ name, shape: [rows.length, 2] })),
      states: [{ name: 's', shape: [1, 2, 2], initial: 0 }],
      ops: [
        ...names.map((table, id) => ({
          kind: 'embed' as const,
          out: value(id),
          table,
          by: 'token' as const,
        })),
        { kind: 'wkv7', out, r, w, k, v, a, b, heads: 1, state: 's' },
        { kind: 'select-rows', out: output, x: out },
      ],
      output,
    },
    weights: new Map(
      names.map((name) => [name, Float32Array.from(rows.flatMap((row) => row[name]))]),
    ),
  };
}

const none = { a: [0, 0], b: [0, 0], w: [1, 1] } as const;
const big = 1 + 2 ** -22;
const small = 2 ** -46;
const steps: readonly Row[] = [
  // S = [[big, big], [0, 0]]
  { ...none, k: [big, big], v: [1, 0], r: [0, 0] },
  // S_00 grows by less than f32 can hold beside it, and r takes the difference of the two.
  { ...none, k: [small, 0], v: [1, 0], r: [1, -1] },
  { ...none, k: [0, 0], v: [1, 0], r: [1, -1] },
];

it('f32 rounds S where it is stored, not inside the sum of the output', async () => {
  const { program, weights } = createProgram(steps);
  const part = { slot: 0, tokens: [0, 1, 2] };
  const rows = await withSession({ precision: 'f32' }, { program, weights }, ({ run }) =>
    run(part),
  );
  expect([...rows]).toEqual([0, 0, small, 0, 0, 0]);
  const exact = await withSession({ precision: 'f64' }, { program, weights }, ({ run }) =>
    run(part),
  );
  expect([...exact]).toEqual([0, 0, small, 0, small, 0]);
});

/** Chunked against recurrent forms where dividing by prefix products would overflow. */
import type { Program } from '@rwkv-ts/backend';
import { describe, expect, it } from 'vitest';
import { withSession, worstDifference } from '../../test/harness.js';
import { CaseBuilder, opCases, tableRows } from '../../test/op-cases.js';
import { createNormal, type NamedWeights } from '../../test/random.js';

const tokens = Array.from({ length: 100 }, (_, t) => (t * 17 + 5) % tableRows);
const chunkSizes = [1, 2, 7, 16, 64, 200];

/** Random weights, with `decay` in every place of the weight at `index`. */
function weightsOf(program: Program, index: number, decay: number): NamedWeights {
  const normal = createNormal(5);
  return new Map(
    program.weights.map(({ name, shape }, at) => {
      const count = shape.reduce((product, size) => product * size, 1);
      return [name, Float32Array.from({ length: count }, () => (at === index ? decay : normal()))];
    }),
  );
}

/** `decayWeight`: which weight, in the order the case makes them, the decay is computed from. */
const cases = [
  { title: 'wkv4', build: opCases.wkv4[0]!, decayWeight: 2, decays: [-12, -2, 0, 2, 5] },
  {
    title: 'wkv6, a decay per head',
    build: opCases.wkv6[0]!,
    decayWeight: 3,
    decays: [-12, -2, 0, 2, 8],
  },
  {
    title: 'wkv6, a decay per token',
    build: opCases.wkv6[2]!,
    decayWeight: 3,
    decays: [-12, -2, 0, 2, 8],
  },
  { title: 'wkv7', build: opCases.wkv7[1]!, decayWeight: 1, decays: [-40, -4, 0, 4, 40] },
];

describe.each(cases)('$title in chunks', ({ build, decayWeight, decays }) => {
  it.each(decays)('is the recurrence at decay parameter %d', async (decay) => {
    const builder = new CaseBuilder();
    const program = builder.finish(build(builder));
    const weights = weightsOf(program, decayWeight, decay);
    const run = (options: { form: 'recurrent' | 'chunked'; chunkSize?: number }) =>
      withSession({ precision: 'f64', ...options }, { program, weights }, async (session) => {
        const rows = await session.run({ slot: 1, tokens });
        const state = session.states.values(1, program.states[0]!.name);
        return { rows, state };
      });
    const expected = await run({ form: 'recurrent' });
    expect(expected.rows.every(Number.isFinite)).toBe(true);
    for (const chunkSize of chunkSizes) {
      const { rows, state } = await run({ form: 'chunked', chunkSize });
      expect(worstDifference(rows, expected.rows)).toBeLessThan(1e-12);
      expect(worstDifference(state, expected.state)).toBeLessThan(1e-12);
    }
  });
});

it('wkv7 in chunks swaps and copies as the recurrence does when the removal is doubled', async () => {
  // w = 1 and a = -κ, b = 2 κ with κ = (e₀ - e₁) / √2 is the reflection that swaps two columns of S (arXiv:2503.14456, section 5).
  const builder = new CaseBuilder();
  const size = 4;
  const vector = () => builder.input(size);
  const [r, w, k, v, a, b] = [vector(), vector(), vector(), vector(), vector(), vector()];
  const program = builder.finish({
    kind: 'wkv7',
    out: builder.value(size),
    ...{ r, w, k, v, a, b },
    heads: 1,
    state: builder.state([1, size, size]),
  });
  const half = Math.SQRT1_2;
  const row = (...numbers: number[]): number[] => numbers;
  // Token 0 writes v kᵀ; token 1 swaps key columns 0 and 1; token 2 only reads.
  const rows: Record<string, number[][]> = {
    r: [row(1, 0, 0, 0), row(0, 1, 0, 0), row(0, 1, 0, 0)],
    w: [row(1, 1, 1, 1), row(1, 1, 1, 1), row(1, 1, 1, 1)],
    k: [row(1, 0, 0, 0), row(0, 0, 0, 0), row(0, 0, 0, 0)],
    v: [row(5, 6, 7, 8), row(0, 0, 0, 0), row(0, 0, 0, 0)],
    a: [row(0, 0, 0, 0), row(-half, half, 0, 0), row(0, 0, 0, 0)],
    b: [row(0, 0, 0, 0), row(2 * half, -2 * half, 0, 0), row(0, 0, 0, 0)],
  };
  const weights: NamedWeights = new Map(
    program.weights.map(({ name }, index) => {
      const table = new Float32Array(tableRows * size);
      table.set(rows['rwkvab'[index]!]!.flat());
      return [name, table];
    }),
  );
  for (const form of ['recurrent', 'chunked'] as const) {
    await withSession({ precision: 'f64', form }, { program, weights }, async (session) => {
      const output = await session.run({ slot: 0, tokens: [0, 1, 2] });
      expect(worstDifference(output, [5, 6, 7, 8, 5, 6, 7, 8, 5, 6, 7, 8])).toBeLessThan(1e-6);
    });
  }
});

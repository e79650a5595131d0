import { validateProgram } from '@rwkv-ts/program';
import { describe, expect, it } from 'vitest';
import { withSession, worstDifference } from '../../test/harness.js';
import { runNaively } from '../../test/naive.js';
import { CaseBuilder, caseEntries, tableRows } from '../../test/op-cases.js';
import { createNormal, createRandom, type NamedWeights } from '../../test/random.js';
import type { ReferenceBackendOptions } from '../index.js';

const variants: readonly {
  readonly options: ReferenceBackendOptions;
  readonly tolerance: number;
}[] = [
  { options: { precision: 'f64' }, tolerance: 1e-12 },
  { options: { precision: 'f32' }, tolerance: 1e-5 },
  { options: { precision: 'f64', form: 'chunked', chunkSize: 5 }, tolerance: 1e-12 },
  { options: { precision: 'f32', form: 'chunked', chunkSize: 16 }, tolerance: 1e-5 },
];

const random = createRandom(7);
const anyTokens = (count: number): number[] =>
  Array.from({ length: count }, () => Math.floor(random() * tableRows));
/** T = 1, 2 and 33, ragged in one batch and out of slot order. */
const parts = [
  { slot: 5, tokens: anyTokens(2) },
  { slot: 0, tokens: anyTokens(33) },
  { slot: 3, tokens: anyTokens(1) },
];

describe.each(variants)('$options', ({ options, tolerance }) => {
  it.each(caseEntries)('$title is its formula', async ({ build }) => {
    const builder = new CaseBuilder();
    const program = builder.finish(build(builder));
    validateProgram(program);
    const normal = createNormal(3);
    const weights: NamedWeights = new Map(
      program.weights.map(({ name, shape }) => {
        const count = shape.reduce((product, size) => product * size, 1);
        return [name, Float32Array.from({ length: count }, normal)];
      }),
    );
    const naive = parts.map(({ tokens }) => runNaively(program, { weights, tokens }));
    await withSession(options, { program, weights }, async ({ run, states }) => {
      const alone: number[] = [];
      for (const part of parts) {
        states.reset(part.slot);
        alone.push(...(await run(part)));
        states.reset(part.slot);
      }
      const together = await run(...parts);
      const expected = naive.flatMap(({ rows }) => rows.flat());
      expect(worstDifference(together, expected)).toBeLessThan(tolerance);
      expect([...together]).toEqual(alone);
      for (const [index, { slot }] of parts.entries()) {
        for (const [name, state] of naive[index]!.states) {
          expect(worstDifference(states.values(slot, name), state)).toBeLessThan(tolerance);
        }
      }
    });
  });
});

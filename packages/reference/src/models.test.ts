/** Whole programs: lowered and run here against a naive reading of the unlowered ones, and the laws every backend keeps. */
import type { CoarseKind, OpKind } from '@rwkv-ts/backend';
import { buildProgram } from '@rwkv-ts/model';
import { coarseKinds, lower, opKinds } from '@rwkv-ts/program';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { withSession, worstDifference } from '../test/harness.js';
import { smallConfigs } from '../test/models.js';
import { runNaively } from '../test/naive.js';
import { createRandom, randomWeights } from '../test/random.js';
import type { ReferenceBackendOptions } from './index.js';

const random = createRandom(11);
const anyTokens = (count: number): number[] =>
  Array.from({ length: count }, () => Math.floor(random() * 37));
const models = smallConfigs.map((config) => {
  const program = buildProgram(config);
  return { version: config.version, program, weights: randomWeights(program) };
});

const exact: readonly ReferenceBackendOptions[] = [{ precision: 'f32' }, { precision: 'f64' }];
const chunked: readonly ReferenceBackendOptions[] = [1, 3, 16, 64].map((chunkSize) => ({
  precision: 'f64',
  form: 'chunked',
  chunkSize,
}));

describe.each(models)('v$version', (model) => {
  const { program, weights } = model;
  const tokens = anyTokens(40);

  it.each([...exact, ...chunked])(
    'gives the logits and states of the formulas with %o',
    async (options) => {
      const naive = runNaively(program, { weights, tokens });
      await withSession(options, model, async ({ run, states }) => {
        const tolerance = options.precision === 'f32' ? 2e-4 : 1e-11;
        const rows = await run({ slot: 2, tokens });
        expect(worstDifference(rows, naive.rows.flat())).toBeLessThan(tolerance);
        for (const [name, state] of naive.states) {
          expect(worstDifference(states.values(2, name), state)).toBeLessThan(tolerance);
        }
      });
    },
  );

  it('is the same function however much of it is lowered', () => {
    const expected = runNaively(program, { weights, tokens: tokens.slice(0, 6) }).rows.flat();
    fc.assert(
      fc.property(fc.subarray<CoarseKind>([...coarseKinds]), (kinds) => {
        const primitives = [...opKinds].filter((kind) => !coarseKinds.has(kind as CoarseKind));
        const lowered = lower(program, new Set<OpKind>([...primitives, ...kinds]));
        const { rows } = runNaively(lowered, { weights, tokens: tokens.slice(0, 6) });
        expect(worstDifference(rows.flat(), expected)).toBeLessThan(1e-11);
      }),
      { numRuns: 12 },
    );
  });

  describe.each([...exact, { precision: 'f32', form: 'chunked', chunkSize: 4 } as const])(
    '%o',
    (options) => {
      // Chunks begin where a step does, so splitting moves their borders.
      const sameSplit = (x: ArrayLike<number>, y: ArrayLike<number>): void => {
        if ('form' in options) expect(worstDifference(x, y)).toBeLessThan(1e-4);
        else expect(Array.from(x)).toEqual(Array.from(y));
      };

      it('splits anywhere without a difference', async () => {
        await withSession(options, model, async ({ run, states }) => {
          const whole = await run({ slot: 0, tokens });
          const snapshot = await states.read(0);
          for (const lengths of [[1, 39], [17, 23], [4, 4, 32], Array<number>(40).fill(1)]) {
            states.reset(1);
            const rows: number[] = [];
            let start = 0;
            for (const length of lengths) {
              rows.push(...(await run({ slot: 1, tokens: tokens.slice(start, start + length) })));
              start += length;
            }
            sameSplit(rows, whole);
            const floats = [snapshot, await states.read(1)].map(
              (bytes) => new Float32Array(bytes.buffer),
            );
            sameSplit(floats[1]!, floats[0]!);
          }
        });
      });

      it('runs sequences together as alone, in any order, and touches no other slot', async () => {
        await withSession(options, model, async ({ run, states }) => {
          const parts = [3, 1, 12].map((length, slot) => ({ slot, tokens: anyTokens(length) }));
          const untouched = await states.read(7);
          await run({ slot: 6, tokens });
          const busy = await states.read(6);
          const alone: number[][] = [];
          for (const part of parts) alone.push([...(await run(part))]);
          const after = await Promise.all(parts.map(({ slot }) => states.read(slot)));
          for (const order of [
            [0, 1, 2],
            [2, 0, 1],
          ]) {
            for (const { slot } of parts) states.reset(slot);
            const rows = await run(...order.map((index) => parts[index]!));
            expect([...rows]).toEqual(order.flatMap((index) => alone[index]!));
            for (const [index, { slot }] of parts.entries()) {
              expect(await states.read(slot)).toEqual(after[index]);
            }
          }
          expect(await states.read(7)).toEqual(untouched);
          expect(await states.read(6)).toEqual(busy);
        });
      });

      it('continues from a copy and from a snapshot as from the original', async () => {
        await withSession(options, model, async ({ run, states }) => {
          await run({ slot: 0, tokens: tokens.slice(0, 20) });
          states.copy(0, 1);
          const snapshot = await states.read(0);
          states.write(2, snapshot);
          expect(await states.read(2)).toEqual(snapshot);
          const rest = tokens.slice(20);
          const original = await run({ slot: 0, tokens: rest });
          expect(await run({ slot: 1, tokens: rest })).toEqual(original);
          const loaded = await run({ slot: 2, tokens: rest });
          // A snapshot is f32, so a double state comes back rounded.
          if (options.precision === 'f32') expect(loaded).toEqual(original);
          else expect(worstDifference(loaded, original)).toBeLessThan(1e-4);
        });
      });
    },
  );
});

/** Sequences long enough for the recurrences over chunks, and short ones beside them, against the reference. */
import { buildProgram, type RwkvConfig } from '@rwkv-ts/model';
import { lower } from '@rwkv-ts/program';
import { createReferenceBackend } from '@rwkv-ts/reference';
import { describe, expect, test, vi } from 'vitest';
import { batchOf } from '../../backend-kit/conformance/batches.js';
import { open } from '../../backend-kit/conformance/session.js';
import { createRandomWeights } from '../../backend-kit/src/random-weights.js';
import { createEmulated, emulation } from './emulated.js';

vi.setConfig({ testTimeout: 300_000 });

const common = {
  layers: 1,
  heads: 2,
  headSize: 64,
  channels: 128,
  channelMixSize: 64,
  vocabularySize: 61,
  normEpsilon: 1e-5,
  headNormEpsilon: 64e-5,
  embeddingNorm: 'separate',
} as const;
const configs: readonly RwkvConfig[] = [
  { ...common, version: '5.2', decayForm: 'official', bonusForm: 'plain' },
  { ...common, version: '6', ranks: { mix: 4, decay: 6 } },
  { ...common, version: '7', ranks: { decay: 8, rate: 8, valueResidual: 4, gate: 12 } },
];

const tokensOf = (count: number, seed: number): number[] =>
  Array.from(
    { length: count },
    (_, index) => (index * 7 + seed * 13 + ((index * index) % 11)) % 61,
  );

describe.skipIf(emulation.missing)(`emulated device ${emulation.missing ?? ''}`, () => {
  test.each(configs.map((config) => [config.version, config] as const))(
    'RWKV-%s',
    async (_, config) => {
      const options = {
        program: buildProgram(config),
        weights: createRandomWeights(config, { seed: 7 }),
        limits: { tokens: 320, sequences: 4, wanted: 12 },
      };
      // Long ones that begin and end within a chunk, short ones between them; then each goes on.
      const steps = [
        batchOf(
          [
            { slot: 2, tokens: tokensOf(131, 1) },
            { slot: 0, tokens: tokensOf(9, 2) },
            { slot: 1, tokens: tokensOf(101, 3) },
            { slot: 3, tokens: tokensOf(1, 4) },
          ],
          [0, 63, 64, 130, 131, 139, 140, 141, 200, 240, 241],
        ),
        batchOf([{ slot: 1, tokens: tokensOf(1, 5) }], [0]),
        batchOf([{ slot: 2, tokens: tokensOf(160, 6) }], [0, 15, 16, 100, 159]),
      ];
      await using device = await createEmulated({ matrixUnits: 'never' });
      await using reference = createReferenceBackend({ precision: 'f64' });
      const lowered = lower(options.program, reference.supports.ops);
      const own = await open(device, options);
      const judge = await open(reference, { ...options, program: lowered });
      for (const [index, step] of steps.entries()) {
        const got = await own.run(step);
        const want = await judge.run(step);
        expect(got.length).toBe(want.length);
        let worst = 0;
        for (const [at, value] of want.entries()) {
          worst = Math.max(worst, Math.abs(value - got[at]!));
        }
        expect(worst, `step ${index}`).toBeLessThan(2e-5);
      }
    },
  );
});

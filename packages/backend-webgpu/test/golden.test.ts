/**
 * Every public golden model, from its original file, against what the official Python code computed in float64: within the
 * bounds that the f32 reference is held to. Then the trained tiny models of rwkv.cpp, in every format, and the
 * demonstration model, whose thousand greedy tokens are the reference's.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Backend } from '@rwkv-ts/backend';
import { demoModel } from '@rwkv-ts/demo-model';
import { buildProgram } from '@rwkv-ts/model';
import { lower } from '@rwkv-ts/program';
import { createReferenceBackend } from '@rwkv-ts/reference';
import { memorySource, openModel } from '@rwkv-ts/weights';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { goldenCases } from '../../generate/test/golden-cases.js';
import {
  goldenFolder,
  goldenMissing,
  type GoldenModel,
  goldenModels,
  worstDifference,
} from '../../generate/test/golden.js';
import { openGolden } from '../../generate/test/golden-subject.js';
import { expectedLogits, logitsAfterPrompt, rwkvCppModels } from '../../generate/test/rwkv-cpp.js';
import { createWebGpuBackend } from '../src/index.node.js';
import { adapter, missing, tierDevice, tiers } from './adapter.js';
import { greedyPrompt, greedyTokens } from './greedy.js';

// Software drivers translate a kernel when it first runs, which takes seconds on a busy machine.
vi.setConfig({ hookTimeout: 120_000, testTimeout: 120_000 });

const bounds = { logits: 3e-4, state: 3e-4 };
const isEnough = ({ id }: GoldenModel) => id === 'v6 fp32' || id === 'v7 bf16';
const report: string[] = [];

const models = goldenFolder ? '' : ` (${goldenMissing})`;

describe.skipIf(!adapter)(`on ${adapter ? 'the adapter' : missing}`, () => {
  describe.skipIf(!goldenFolder)(`golden models${models}`, () => {
    afterAll(() => {
      console.log(`worst absolute differences from the float64 truth:\n${report.join('\n')}`);
    });
    describe.each(tiers)('%s', (tier) => {
      const device = tierDevice(tier);
      // Tiers differ in products alone, so beyond the first one two models say enough.
      const chosen = tier === tiers[0] ? goldenModels : goldenModels.filter(isEnough);
      for (const model of chosen) {
        describe(model.id, () => {
          goldenCases({
            load: async () =>
              openGolden(model, await createWebGpuBackend({ device: await device(), tier })),
            ...bounds,
            report: ({ logits, state }) => {
              report.push(
                `  ${model.id.padEnd(22)} ${tier.padEnd(10)}  logits ${logits.toExponential(1)}  state ${state.toExponential(1)}`,
              );
            },
          });
        });
      }
    });
  });

  // Products are f32 whatever the format, so what a format costs is the file's affair and no more is allowed.
  describe.skipIf(!goldenFolder)(`trained tiny models of rwkv.cpp${models}`, () => {
    const device = tierDevice(tiers[0]!);
    describe.each(rwkvCppModels)('$model', (model) => {
      const expected = goldenFolder ? expectedLogits(model) : new Float64Array();
      test.each(model.files)('$format', async ({ file, measured_max_abs_logit_difference }) => {
        const backend = await createWebGpuBackend({ device: await device() });
        const logits = await logitsAfterPrompt(model, { file, backend });
        const allowed = measured_max_abs_logit_difference * 1.001 + 2e-5;
        expect(worstDifference(logits, expected)).toBeLessThanOrEqual(allowed);
      });
    });
  });

  test('a thousand greedy tokens of the demonstration model are those of the reference', async () => {
    const bytes = new Uint8Array(readFileSync(fileURLToPath(demoModel.url)));
    const greedy = async (backend: Backend): Promise<number[]> => {
      await using own = backend;
      await using file = await openModel(memorySource(bytes.slice()));
      const program = lower(buildProgram(file.config), own.supports.ops);
      const claimed = own.supports.weightFormats;
      const weights = await own.upload(file.weights({ claimed }));
      const states = await own.createStates(program.states, 1);
      const limits = { tokens: 32, sequences: 1, wanted: 1 };
      const executable = await own.compile(program, { weights, states }, limits);
      return await greedyTokens(executable, { prompt: greedyPrompt, count: 1000 });
    };
    const device = await tierDevice(tiers[0]!)();
    const [got, want] = [
      await greedy(await createWebGpuBackend({ device })),
      await greedy(createReferenceBackend({ precision: 'f64' })),
    ];
    expect(got).toEqual(want);
    expect(new Set(got).size).toBeGreaterThan(15);
  });
});

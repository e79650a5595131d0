/**
 * The built package in headless Chromium, on whatever adapter it has (its own software one, SwiftShader, elsewhere than
 * on a machine with a GPU): the conformance suite, the golden models over HTTP, and greedy text of the demonstration
 * model. By default on the best tier, without the two slowest groups of the suite, a golden model per version, and 200
 * tokens: minutes on two cores. `RWKV_BROWSER_TESTS=all` runs everything on every tier, and 1,000 tokens.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { listConformanceCases } from '@rwkv-ts/backend-kit/conformance';
import { demoModel } from '@rwkv-ts/demo-model';
import { buildProgram } from '@rwkv-ts/model';
import { lower } from '@rwkv-ts/program';
import { createReferenceBackend } from '@rwkv-ts/reference';
import { memorySource, openModel } from '@rwkv-ts/weights';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { goldenCases, goldenLimits, type GoldenSubject } from '../../generate/test/golden-cases.js';
import {
  goldenFolder,
  goldenMissing,
  type GoldenModel,
  goldenModels,
  goldenPath,
  readExpected,
  worstDifference,
} from '../../generate/test/golden.js';
import { expectedLogits, rwkvCppModels } from '../../generate/test/rwkv-cpp.js';
import { executablePath, openPage, type RemotePage } from './browser/open-page.js';
import { greedyPrompt, greedyTokens } from './greedy.js';
import { numbersByName } from '../../generate/test/golden-subject.js';

vi.setConfig({ hookTimeout: 300_000, testTimeout: 300_000 });

const everything = process.env['RWKV_BROWSER_TESTS'] === 'all';
const isEnough = ({ id }: GoldenModel) =>
  ['v4 fp32', 'v5.2 fp32', 'v6 fp32', 'v7 bf16'].includes(id);
const bounds = { logits: 3e-4, state: 3e-4 };

const page = executablePath === undefined ? undefined : await openPage();
const adapter = await page?.call('adapter');
const missing =
  page === undefined ? 'no Chromium; set CHROMIUM_PATH' : 'Chromium has no WebGPU adapter';
if (!adapter) console.warn(`skipping the browser tests of packages/backend-webgpu: ${missing}`);
const remote = page as RemotePage;
const tiers = adapter?.tiers ?? ['plain'];
const [best] = tiers as ['subgroups' | 'plain'];

afterAll(async () => {
  await page?.[Symbol.asyncDispose]();
});

/** Batches go to the page, rows and states come back. */
async function load({ folder, file, expected }: GoldenModel): Promise<GoldenSubject> {
  const url = `/golden/${folder}/${file}`;
  const options = { url, tier: best, slots: 8, limits: goldenLimits };
  const { model, states } = await remote.call('open', options);
  let last = Promise.resolve();
  return {
    expected: readExpected(goldenPath(folder, expected)),
    run: async (batch) => {
      await last;
      return remote.call('run', { model, batch });
    },
    reset: (slot) => {
      last = remote.call('reset', { model, slot });
    },
    state: async (slot) => numbersByName(states, await remote.call('readState', { model, slot })),
    [Symbol.asyncDispose]: () => remote.call('close', { model }),
  };
}

describe.skipIf(!adapter)(`in Chromium, ${adapter ? `on ${adapter.name}` : missing}`, () => {
  describe.each(everything ? tiers : [best])('%s', (tier) => {
    const create = () => Promise.reject(new Error('The cases run in the page.'));
    for (const [index, { group, name }] of listConformanceCases({ create }).entries()) {
      const isSlow = group === 'ragged' || group === 'sizes';
      test.skipIf(isSlow && !everything)(`conformance: ${group}: ${name}`, async (context) => {
        const { skipped } = await remote.call('runCase', { tier, index });
        if (skipped !== undefined) context.skip(skipped);
      });
    }
  });

  const models = goldenFolder ? '' : ` (${goldenMissing})`;

  describe.skipIf(!goldenFolder)(`golden models${models}`, () => {
    for (const model of everything ? goldenModels : goldenModels.filter(isEnough)) {
      describe(model.id, () => {
        goldenCases({ load: () => load(model), ...bounds, report: () => undefined });
      });
    }
  });

  describe.skipIf(!goldenFolder)(`trained tiny models of rwkv.cpp${models}`, () => {
    describe.each(rwkvCppModels)('$model', (subject) => {
      const expected = goldenFolder ? expectedLogits(subject) : new Float64Array();
      test.each(subject.files)('$format', async ({ file, measured_max_abs_logit_difference }) => {
        const tokens = Uint32Array.from(subject.prompt_token_ids);
        const { model } = await remote.call('open', {
          url: `/golden/rwkv-cpp-tiny/${file}`,
          tier: best,
          slots: 1,
          limits: { tokens: tokens.length, sequences: 1, wanted: 1 },
          // rwkv.cpp computes its v5 models with this epsilon.
          overrides: subject.model.startsWith('5v1') ? { headNormEpsilon: 1e-5 } : {},
        });
        const starts = Uint32Array.of(0, tokens.length);
        const wanted = Uint32Array.of(tokens.length - 1);
        const batch = { tokens, starts, slots: Uint32Array.of(0), wanted };
        const logits = await remote.call('run', { model, batch });
        await remote.call('close', { model });
        const allowed = measured_max_abs_logit_difference * 1.001 + 2e-5;
        expect(worstDifference(logits, expected)).toBeLessThanOrEqual(allowed);
      });
    });
  });

  const count = everything ? 1000 : 200;
  test(`${count} greedy tokens of the demonstration model are those of the reference`, async () => {
    const limits = { tokens: 32, sequences: 1, wanted: 1 };
    const text = { prompt: greedyPrompt, count };
    const { model } = await remote.call('open', { url: '/demo', tier: best, slots: 1, limits });
    const got = await remote.call('greedy', { model, ...text });
    await remote.call('close', { model });
    await using reference = createReferenceBackend({ precision: 'f64' });
    const bytes = new Uint8Array(readFileSync(fileURLToPath(demoModel.url)));
    await using file = await openModel(memorySource(bytes));
    const program = lower(buildProgram(file.config), reference.supports.ops);
    const claimed = reference.supports.weightFormats;
    const weights = await reference.upload(file.weights({ claimed }));
    const states = await reference.createStates(program.states, 1);
    const executable = await reference.compile(program, { weights, states }, limits);
    expect(got).toEqual(await greedyTokens(executable, text));
    expect(new Set(got).size).toBeGreaterThan(15);
  });

  test('no kernel had to be replaced', async () => {
    expect(await remote.call('fallbacks')).toEqual([]);
  });
});

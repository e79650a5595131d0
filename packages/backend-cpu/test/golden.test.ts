/**
 * Every public golden model, from its original file, on every instruction set that this machine runs, against what the
 * official Python code computed in float64: within the bounds that the f32 reference is held to. Only where the processor
 * multiplies bfloats are products of bf16 weights with many tokens wider, since they round activations to bf16 too.
 */
import { afterAll, describe } from 'vitest';
import { goldenCases } from '../../generate/test/golden-cases.js';
import {
  goldenFolder,
  goldenMissing,
  type GoldenModel,
  goldenModels,
} from '../../generate/test/golden.js';
import { openGolden } from '../../generate/test/golden-subject.js';
import { availableInstructions, createCpuBackend } from '../src/index.js';

const bounds = { logits: 3e-4, state: 3e-4 };
/** A rounding to 8 bits errs by up to 2^-9 of a number; over the layers of these models that came to 0.04 of a logit. */
const bfloatBounds = { logits: 0.08, state: 0.2 };
const roundsToBfloats = (model: GoldenModel, instructions: string): boolean =>
  model.file.includes('bf16') && instructions === 'avx512bf16';
const report: string[] = [];

describe.skipIf(!goldenFolder)(`golden models${goldenFolder ? '' : ` (${goldenMissing})`}`, () => {
  afterAll(() => {
    console.log(`worst absolute differences from the float64 truth:\n${report.join('\n')}`);
  });
  for (const instructions of availableInstructions()) {
    for (const model of goldenModels) {
      describe(`${model.id}, ${instructions}`, () => {
        goldenCases({
          load: () => openGolden(model, createCpuBackend({ instructions })),
          ...(roundsToBfloats(model, instructions) ? bfloatBounds : bounds),
          report: ({ logits, state }) => {
            report.push(
              `  ${model.id.padEnd(22)} ${instructions.padEnd(10)}  logits ${logits.toExponential(1)}  state ${state.toExponential(1)}`,
            );
          },
        });
      });
    }
  }
});

/**
 * The trained tiny models of rwkv.cpp, in its own file format, on every instruction set. Full-precision files are held to
 * what the f32 reference is held to. Products with block formats round activations to 8 bits per 32 numbers, so those
 * files are held to the float64 reference on the same weights with an allowance for that.
 *
 * The allowance: a block's step is its largest number / 127, which errs by a 440th of that number (root mean square, evenly
 * spread), 0.6 % of the block's own root mean square where the largest is 2.6 times it. Products keep the ratio, as their
 * errors are independent; eight of them in a row on the way to the logits make it sqrt(8) times as much, 1.7 %. So: 2 % of
 * the logits' standard deviation as root mean square, and 4.5 times that for the worst of 256. Measured is up to 0.9 %
 * (worst logit 3.8 %).
 */
import { createReferenceBackend } from '@rwkv-ts/reference';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { goldenFolder, goldenMissing, worstDifference } from '../../generate/test/golden.js';
import {
  expectedLogits,
  logitsAfterPrompt,
  type ManifestFile,
  rwkvCppModels,
} from '../../generate/test/rwkv-cpp.js';
import { availableInstructions, createCpuBackend } from '../src/index.js';

const allowedDeviation = 0.02;
const allowedWorst = 4.5 * allowedDeviation;
const isPlain = ({ format }: ManifestFile) => format === 'FP32' || format === 'FP16';
const report: string[] = [];

function rootMeanSquare(numbers: Float64Array): number {
  return Math.sqrt(numbers.reduce((sum, value) => sum + value * value, 0) / numbers.length);
}

function standardDeviation(numbers: Float64Array): number {
  const mean = numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
  return rootMeanSquare(numbers.map((value) => value - mean));
}

describe.skipIf(!goldenFolder)(
  `trained tiny models of rwkv.cpp${goldenFolder ? '' : ` (${goldenMissing})`}`,
  () => {
    afterAll(() => {
      console.log(
        `int8 activations, root mean square of the logits' standard deviation:\n${report.join('\n')}`,
      );
    });

    describe.each(rwkvCppModels)('$model', (model) => {
      const expected = goldenFolder ? expectedLogits(model) : new Float64Array();
      const logitsOf = (file: string, instructions: string) =>
        logitsAfterPrompt(model, { file, backend: createCpuBackend({ instructions }) });

      describe.each(model.files.filter(isPlain))('$format', (file) => {
        test.each(availableInstructions())('%s', async (instructions) => {
          const logits = await logitsOf(file.file, instructions);
          expect(worstDifference(logits, expected)).toBeLessThanOrEqual(
            file.measured_max_abs_logit_difference * 1.001 + 2e-5,
          );
        });
      });

      describe.each(model.files.filter((file) => !isPlain(file)))('$format', (file) => {
        let truth: Float64Array;
        beforeAll(async () => {
          const backend = createReferenceBackend({ precision: 'f64' });
          truth = Float64Array.from(await logitsAfterPrompt(model, { file: file.file, backend }));
        });

        test.each(availableInstructions())('%s', async (instructions) => {
          const logits = await logitsOf(file.file, instructions);
          const deviation = standardDeviation(truth);
          const error = rootMeanSquare(truth.map((value, index) => logits[index]! - value));
          report.push(
            `  ${model.model} ${file.format} ${instructions.padEnd(10)}  ${((100 * error) / deviation).toFixed(2)} %`,
          );
          expect(error / deviation).toBeLessThanOrEqual(allowedDeviation);
          expect(worstDifference(logits, truth) / deviation).toBeLessThanOrEqual(allowedWorst);
          expect(worstDifference(logits, expected)).toBeLessThanOrEqual(
            file.measured_max_abs_logit_difference * 1.001 + allowedWorst * deviation,
          );
        });
      });
    });
  },
);

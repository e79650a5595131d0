/**
 * The trained tiny models of rwkv.cpp, in its own file format, on a backend whose products with block formats round
 * activations to 8 bits per 32 numbers. Full-precision files are held to what the f32 reference is held to, the others to
 * the float64 reference on the same weights, with an allowance for the rounding.
 *
 * The allowance: a block's step is its largest number / 127, which errs by a 440th of that number (root mean square, evenly
 * spread), 0.6 % of the block's own root mean square where the largest is 2.6 times it. Products keep the ratio, as their
 * errors are independent; eight of them in a row on the way to the logits make it sqrt(8) times as much, 1.7 %. So: 2 % of
 * the logits' standard deviation as root mean square, and 4.5 times that for the worst of 256. Measured is up to 0.9 %
 * (worst logit 3.8 %).
 */
import type { Backend } from '@rwkv-ts/backend';
import { createReferenceBackend } from '@rwkv-ts/reference';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { goldenFolder, worstDifference } from './golden.js';
import { expectedLogits, logitsAfterPrompt, type ManifestFile, rwkvCppModels } from './rwkv-cpp.js';

/** A way to make the backend, and what people call it. */
export interface RwkvCppVariant {
  readonly name: string;
  readonly create: () => Backend | Promise<Backend>;
}

const allowedDeviation = 0.02;
const allowedWorst = 4.5 * allowedDeviation;
const isPlain = ({ format }: ManifestFile) => format === 'FP32' || format === 'FP16';

function rootMeanSquare(numbers: Float64Array): number {
  return Math.sqrt(numbers.reduce((sum, value) => sum + value * value, 0) / numbers.length);
}

function standardDeviation(numbers: Float64Array): number {
  const mean = numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
  return rootMeanSquare(numbers.map((value) => value - mean));
}

/** For the body of a `describe`. */
export function rwkvCppCases(variants: readonly RwkvCppVariant[]): void {
  const report: string[] = [];
  const named = variants.map((variant) => [variant.name, variant] as const);
  afterAll(() => {
    console.log(
      `int8 activations, root mean square of the logits' standard deviation:\n${report.join('\n')}`,
    );
  });

  describe.each(rwkvCppModels)('$model', (model) => {
    const expected = goldenFolder ? expectedLogits(model) : new Float64Array();
    const logitsOf = async (file: string, { create }: RwkvCppVariant) =>
      logitsAfterPrompt(model, { file, backend: await create() });

    describe.each(model.files.filter(isPlain))('$format', (file) => {
      test.each(named)('%s', async (_, variant) => {
        const logits = await logitsOf(file.file, variant);
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

      test.each(named)('%s', async (name, variant) => {
        const logits = await logitsOf(file.file, variant);
        const deviation = standardDeviation(truth);
        const error = rootMeanSquare(truth.map((value, index) => logits[index]! - value));
        report.push(
          `  ${model.model} ${file.format} ${name.padEnd(10)}  ${((100 * error) / deviation).toFixed(2)} %`,
        );
        expect(error / deviation).toBeLessThanOrEqual(allowedDeviation);
        expect(worstDifference(logits, truth) / deviation).toBeLessThanOrEqual(allowedWorst);
        expect(worstDifference(logits, expected)).toBeLessThanOrEqual(
          file.measured_max_abs_logit_difference * 1.001 + allowedWorst * deviation,
        );
      });
    });
  });
}

/**
 * The trained tiny models of rwkv.cpp, in its own file format, against the logits that its tests expect. The manifest has
 * what the official mathematics gives in float64 on the exact weights of each file; that is what is asked for here, logit
 * by logit, and the sums that rwkv.cpp's own test allows for the full-precision files.
 */
import { createReferenceBackend } from '@rwkv-ts/reference';
import { describe, expect, test } from 'vitest';
import { goldenFolder, goldenMissing, worstDifference } from './golden.js';
import {
  expectedLogits,
  logitsAfterPrompt,
  type ManifestModel,
  rwkvCppModels,
} from './rwkv-cpp.js';

const logitsOf = (model: ManifestModel, file: string, precision: 'f64' | 'f32') =>
  logitsAfterPrompt(model, { file, backend: createReferenceBackend({ precision }) });

describe.skipIf(!goldenFolder)(
  `trained tiny models of rwkv.cpp${goldenFolder ? '' : ` (${goldenMissing})`}`,
  () => {
    describe.each(rwkvCppModels)('$model', (model) => {
      const expected = goldenFolder ? expectedLogits(model) : new Float64Array();
      const sumOf = (logits: ArrayLike<number>) =>
        expected.reduce((sum, value, index) => sum + logits[index]! - value, 0);

      test.each(model.files)(
        '$format: as the official mathematics on these weights',
        async (file) => {
          const logits = await logitsOf(model, file.file, 'f64');
          const worst = worstDifference(logits, expected);
          // The manifest's figures have four significant digits.
          expect(worst).toBeLessThanOrEqual(file.measured_max_abs_logit_difference * 1.001 + 1e-9);
          expect(worst).toBeGreaterThanOrEqual(
            file.measured_max_abs_logit_difference * 0.999 - 1e-9,
          );
          expect(Math.abs(sumOf(logits) - file.measured_sum_of_logit_differences)).toBeLessThan(
            1e-6,
          );
        },
      );

      test.each(model.files)('$format in f32', async (file) => {
        const logits = await logitsOf(model, file.file, 'f32');
        expect(worstDifference(logits, expected)).toBeLessThanOrEqual(
          file.measured_max_abs_logit_difference * 1.001 + 2e-5,
        );
        if (file.format === 'FP32') {
          expect(Math.abs(sumOf(logits))).toBeLessThanOrEqual(
            1.05 * Math.abs(file.allowed_sum_of_logit_differences),
          );
        }
      });
    });
  },
);

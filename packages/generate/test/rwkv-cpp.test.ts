/**
 * The trained tiny models of rwkv.cpp, in its own file format, against the logits that its tests expect. The manifest has
 * what the official mathematics gives in float64 on the exact weights of each file; that is what is asked for here, logit
 * by logit, and the sums that rwkv.cpp's own test allows for the full-precision files.
 */
import { readFileSync } from 'node:fs';
import { buildProgram } from '@rwkv-ts/model';
import { lower } from '@rwkv-ts/program';
import { createReferenceBackend } from '@rwkv-ts/reference';
import { openModel } from '@rwkv-ts/weights';
import { fileSource } from '@rwkv-ts/weights/node';
import { describe, expect, test } from 'vitest';
import { goldenFolder, goldenMissing, goldenPath, worstDifference } from './golden.js';

interface ManifestFile {
  readonly file: string;
  readonly format: string;
  readonly allowed_sum_of_logit_differences: number;
  readonly measured_max_abs_logit_difference: number;
  readonly measured_sum_of_logit_differences: number;
}
interface ManifestModel {
  readonly model: string;
  readonly expected_logits: string;
  readonly prompt_token_ids: readonly number[];
  readonly files: readonly ManifestFile[];
}

const folder = 'rwkv-cpp-tiny';
const models = goldenFolder
  ? (
      JSON.parse(readFileSync(goldenPath(folder, 'manifest.json'), 'utf8')) as {
        models: ManifestModel[];
      }
    ).models
  : [];

async function logitsOf(
  model: ManifestModel,
  { file, precision }: { file: string; precision: 'f64' | 'f32' },
) {
  await using backend = createReferenceBackend({ precision });
  await using source = await fileSource(goldenPath(folder, file));
  // rwkv.cpp computes its v5 models with this epsilon, and its expected logits need it.
  const overrides = model.model.startsWith('5v1') ? { headNormEpsilon: 1e-5 } : {};
  await using opened = await openModel(source, { overrides });
  const program = lower(buildProgram(opened.config), backend.supports.ops);
  await using weights = await backend.upload(
    opened.weights({ claimed: backend.supports.weightFormats }),
  );
  await using states = await backend.createStates(program.states, 1);
  const length = model.prompt_token_ids.length;
  await using executable = await backend.compile(
    program,
    { weights, states },
    { tokens: length, sequences: 1, wanted: 1 },
  );
  return await executable.run({
    tokens: Uint32Array.from(model.prompt_token_ids),
    starts: Uint32Array.of(0, length),
    slots: Uint32Array.of(0),
    wanted: Uint32Array.of(length - 1),
  });
}

describe.skipIf(!goldenFolder)(
  `trained tiny models of rwkv.cpp${goldenFolder ? '' : ` (${goldenMissing})`}`,
  () => {
    describe.each(models)('$model', (model) => {
      const bytes = goldenFolder
        ? readFileSync(goldenPath(folder, model.expected_logits))
        : Buffer.alloc(0);
      const expected = Float64Array.from({ length: bytes.length / 4 }, (_, index) =>
        bytes.readFloatLE(index * 4),
      );
      const sumOf = (logits: ArrayLike<number>) =>
        expected.reduce((sum, value, index) => sum + logits[index]! - value, 0);

      test.each(model.files)(
        '$format: as the official mathematics on these weights',
        async (file) => {
          const logits = await logitsOf(model, { file: file.file, precision: 'f64' });
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
        const logits = await logitsOf(model, { file: file.file, precision: 'f32' });
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

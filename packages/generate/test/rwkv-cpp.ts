/** The trained tiny models of rwkv.cpp: what its manifest says of each file, and how to ask a backend for the logits. */
import { readFileSync } from 'node:fs';
import type { Backend, Rows } from '@rwkv-ts/backend';
import { buildProgram } from '@rwkv-ts/model';
import { lower } from '@rwkv-ts/program';
import { openModel } from '@rwkv-ts/weights';
import { fileSource } from '@rwkv-ts/weights/node';
import { goldenFolder, goldenPath } from './golden.js';

export interface ManifestFile {
  readonly file: string;
  readonly format: string;
  readonly allowed_sum_of_logit_differences: number;
  readonly measured_max_abs_logit_difference: number;
  readonly measured_sum_of_logit_differences: number;
}
export interface ManifestModel {
  readonly model: string;
  readonly expected_logits: string;
  readonly prompt_token_ids: readonly number[];
  readonly files: readonly ManifestFile[];
}

const folder = 'rwkv-cpp-tiny';

/** None where the golden files are not there. */
export const rwkvCppModels: readonly ManifestModel[] = goldenFolder
  ? (
      JSON.parse(readFileSync(goldenPath(folder, 'manifest.json'), 'utf8')) as {
        models: ManifestModel[];
      }
    ).models
  : [];

/** After the prompt, as rwkv.cpp's tests have them for the full-precision file. */
export function expectedLogits(model: ManifestModel): Float64Array {
  const bytes = readFileSync(goldenPath(folder, model.expected_logits));
  return Float64Array.from({ length: bytes.length / 4 }, (_, index) =>
    bytes.readFloatLE(index * 4),
  );
}

/** Logits after the prompt; the backend is disposed of. */
export async function logitsAfterPrompt(
  model: ManifestModel,
  { file, backend: given }: { file: string; backend: Backend },
): Promise<Rows> {
  await using backend = given;
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

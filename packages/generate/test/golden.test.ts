/**
 * Every public golden model, from its original file through loader, program and reference backend, against what the
 * official Python code computed in float64. In f64 within 1e-10, in f32 within 3e-4 (and, as the official float32 code,
 * near 1e-5); fed whole, token by token, in random pieces, and in ragged batches with strangers.
 */
import { buildProgram } from '@rwkv-ts/model';
import { lower } from '@rwkv-ts/program';
import { createReferenceBackend } from '@rwkv-ts/reference';
import { openModel } from '@rwkv-ts/weights';
import { fileSource } from '@rwkv-ts/weights/node';
import { afterAll, describe } from 'vitest';
import { goldenFolder, goldenMissing, goldenModels, goldenPath, readExpected } from './golden.js';
import { goldenCases, goldenLimits, type GoldenSubject } from './golden-cases.js';

const precisions = [
  { precision: 'f64', form: 'recurrent', logits: 1e-10, state: 1e-10 },
  { precision: 'f64', form: 'chunked', logits: 1e-10, state: 1e-10 },
  { precision: 'f32', form: 'recurrent', logits: 3e-4, state: 3e-4 },
] as const;
const report: string[] = [];

async function load(
  model: (typeof goldenModels)[number],
  { precision, form }: (typeof precisions)[number],
): Promise<GoldenSubject> {
  const backend = createReferenceBackend({ precision, form });
  await using source = await fileSource(goldenPath(model.folder, model.file));
  await using file = await openModel(source);
  const program = lower(buildProgram(file.config), backend.supports.ops);
  const weights = await backend.upload(file.weights({ claimed: backend.supports.weightFormats }));
  const states = await backend.createStates(program.states, 8);
  const executable = await backend.compile(program, { weights, states }, goldenLimits);
  const expected = readExpected(goldenPath(model.folder, model.expected));
  return {
    expected,
    run: (batch) => executable.run(batch),
    reset: (slot) => {
      states.reset(slot);
    },
    state: async (slot) => (name) => states.values(slot, name),
    [Symbol.asyncDispose]: () => backend[Symbol.asyncDispose](),
  };
}

describe.skipIf(!goldenFolder)(`golden models${goldenFolder ? '' : ` (${goldenMissing})`}`, () => {
  afterAll(() => {
    console.log(`worst absolute differences from the float64 truth:\n${report.join('\n')}`);
  });

  for (const model of goldenModels) {
    for (const setting of precisions) {
      describe(`${model.id}, ${setting.precision} ${setting.form}`, () => {
        goldenCases({
          load: () => load(model, setting),
          logits: setting.logits,
          state: setting.state,
          report: ({ logits, state }) => {
            report.push(
              `  ${model.id.padEnd(22)} ${setting.precision} ${setting.form.padEnd(9)}  logits ${logits.toExponential(1)}  state ${state.toExponential(1)}`,
            );
          },
        });
      });
    }
  }
});

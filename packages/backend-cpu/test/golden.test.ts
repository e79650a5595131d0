/**
 * Every public golden model, from its original file, on every instruction set that this machine runs, against what the
 * official Python code computed in float64: within the bounds that the f32 reference is held to. Only where the processor
 * multiplies bfloats are products of bf16 weights with many tokens wider, since they round activations to bf16 too.
 */
import type { Program, Rows } from '@rwkv-ts/backend';
import { buildProgram } from '@rwkv-ts/model';
import { openModel } from '@rwkv-ts/weights';
import { fileSource } from '@rwkv-ts/weights/node';
import { afterAll, describe } from 'vitest';
import { goldenCases, goldenLimits, type GoldenSubject } from '../../generate/test/golden-cases.js';
import {
  goldenFolder,
  goldenMissing,
  type GoldenModel,
  goldenModels,
  goldenPath,
  readExpected,
} from '../../generate/test/golden.js';
import { availableInstructions, createCpuBackend } from '../src/index.js';

const bounds = { logits: 3e-4, state: 3e-4 };
/** A rounding to 8 bits errs by up to 2^-9 of a number; over the layers of these models that came to 0.04 of a logit. */
const bfloatBounds = { logits: 0.08, state: 0.2 };
const roundsToBfloats = (model: GoldenModel, instructions: string): boolean =>
  model.file.includes('bf16') && instructions === 'avx512bf16';
const report: string[] = [];

async function load(model: GoldenModel, instructions: string): Promise<GoldenSubject> {
  const backend = createCpuBackend({ instructions });
  await using source = await fileSource(goldenPath(model.folder, model.file));
  await using file = await openModel(source);
  const program = buildProgram(file.config);
  const weights = await backend.upload(file.weights({ claimed: backend.supports.weightFormats }));
  const states = await backend.createStates(program.states, 8);
  const executable = await backend.compile(program, { weights, states }, goldenLimits);
  return {
    expected: readExpected(goldenPath(model.folder, model.expected)),
    run: (batch) => executable.run(batch),
    reset: (slot) => {
      states.reset(slot);
    },
    state: async (slot) => numbersByName(program, await states.read(slot)),
    [Symbol.asyncDispose]: () => backend[Symbol.asyncDispose](),
  };
}

/** A snapshot holds spec after spec. */
function numbersByName({ states }: Program, snapshot: Uint8Array): (name: string) => Rows {
  const numbers = new Float32Array(snapshot.slice().buffer);
  const found = new Map<string, Rows>();
  let at = 0;
  for (const { name, shape } of states) {
    const size = shape.reduce((total, length) => total * length, 1);
    found.set(name, numbers.subarray(at, (at += size)));
  }
  return (name) => found.get(name)!;
}

describe.skipIf(!goldenFolder)(`golden models${goldenFolder ? '' : ` (${goldenMissing})`}`, () => {
  afterAll(() => {
    console.log(`worst absolute differences from the float64 truth:\n${report.join('\n')}`);
  });
  for (const instructions of availableInstructions()) {
    for (const model of goldenModels) {
      describe(`${model.id}, ${instructions}`, () => {
        goldenCases({
          load: () => load(model, instructions),
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

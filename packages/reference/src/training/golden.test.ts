/** Loss and gradients of RWKV-7 from the official code in double precision, with and without its hold on large logits. */
import { readFileSync } from 'node:fs';
import { lower } from '@rwkv-ts/program';
import { buildProgram } from '@rwkv-ts/model';
import { memorySource, openModel } from '@rwkv-ts/weights';
import { describe, expect, it } from 'vitest';
import {
  type ExpectedTensor,
  goldenFolder,
  goldenPath,
  isGoldenThere,
  readExpected,
} from '../../test/golden.js';
import { createReferenceBackend, type Precision } from '../index.js';

const title = isGoldenThere
  ? 'golden gradients'
  : `golden gradients (golden vectors not found at ${goldenFolder})`;

/** What the official files store [in, out], under names without `.weight`. */
const isTransposed = (name: string): boolean => /\.att\.[wavg][12]\.weight$/.test(name);
const canonicalName = (name: string): string =>
  isTransposed(`${name}.weight`) ? `${name}.weight` : name;

function transposed({ shape, values }: ExpectedTensor): Float64Array {
  const [rows = 0, columns = 0] = shape;
  return values.map((_, at) => values[(at % rows) * columns + Math.floor(at / rows)]!);
}

/** The largest difference, relative to the largest number expected. */
function error(got: ArrayLike<number>, expected: Float64Array): number {
  if (got.length !== expected.length) return Infinity;
  const size = expected.reduce((largest, number) => Math.max(largest, Math.abs(number)), 0);
  return (
    expected.reduce((worst, number, at) => Math.max(worst, Math.abs(number - got[at]!)), 0) / size
  );
}

async function gradientsOf(
  model: string,
  { penalty: largestLogitPenalty, precision }: { penalty: number; precision: Precision },
) {
  const expected = readExpected(goldenPath('v7-train', `expected.${model}.safetensors`));
  const path = goldenPath('v7-train', `train.${model}.fp32.pth`);
  await using file = await openModel(memorySource(readFileSync(path), { name: model }));
  await using backend = createReferenceBackend({ precision });
  const program = lower(buildProgram(file.config), backend.supports.trainingOps!);
  const tokens = Uint32Array.from(expected.get('idx')!.values);
  const [sequences = 0, length = 0] = expected.get('idx')!.shape;
  const rows = tokens.length;
  const training = await backend.createTraining(program, file.weights(), {
    trainable: program.weights.map(({ name }) => ({ kind: 'weight', name })),
    limits: { tokens: rows, sequences, wanted: rows, slots: sequences },
  });
  const loss = await training.accumulate(
    {
      tokens,
      starts: Uint32Array.from({ length: sequences + 1 }, (_, s) => s * length),
      slots: Uint32Array.from({ length: sequences }, (_, s) => s),
      wanted: Uint32Array.from(tokens.keys()),
      targets: Uint32Array.from(expected.get('targets')!.values),
    },
    { scale: 1 / rows, largestLogitPenalty },
  );
  const gradients = new Map<string, ArrayLike<number>>();
  for (const { name } of program.weights) {
    gradients.set(name, await training.read(name, 'gradient'));
  }
  return { expected, loss: loss / rows, gradients };
}

describe.skipIf(!isGoldenThere)(title, () => {
  describe.each(['hs64', 'hs16-small'])('%s', (model) => {
    it.each([
      { prefix: 'grad.', penalty: 0, precision: 'f64', bound: 1e-9 },
      { prefix: 'grad_l2wrap.', penalty: 1e-4, precision: 'f64', bound: 1e-9 },
      { prefix: 'grad.', penalty: 0, precision: 'f32', bound: 1e-4 },
    ] as const)('$prefix* in $precision within $bound', async ({ prefix, bound, ...options }) => {
      const { expected, loss, gradients } = await gradientsOf(model, options);
      expect(Math.abs(loss - expected.get('loss')!.values[0]!)).toBeLessThan(bound / 100);
      const names = [...expected.keys()].filter((name) => name.startsWith(prefix));
      expect(names.length).toBeGreaterThan(0);
      if (options.penalty === 0) expect(names.length).toBe(gradients.size);
      for (const name of names) {
        const tensor = expected.get(name)!;
        const weight = canonicalName(name.slice(prefix.length));
        const values = isTransposed(weight) ? transposed(tensor) : tensor.values;
        expect(error(gradients.get(weight) ?? [], values), name).toBeLessThan(bound);
      }
    });
  });
});

/**
 * One update of RWKV-7 with the official hyper-parameters, from the golden gradients of the official code: with moments at
 * zero AdamW's first step is p (1 - η λ) - η g / (|g| + ε), whatever the betas.
 */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createReferenceBackend } from '@rwkv-ts/reference';
import { memorySource, openModel, openRawFile } from '@rwkv-ts/weights';
import { describe, expect, it } from 'vitest';
import { createTrainer, type Sample, type StepReport } from '../src/index.js';
import { readRows } from '../src/numbers.js';
import { cycle, numbersOf } from './tiny.js';

const folder =
  process.env['RWKV_GOLDEN'] ??
  fileURLToPath(new URL('../../../../shared/golden', import.meta.url));
const file = (name: string): string => `${folder}/v7-train/${name}`;
const isThere = existsSync(file('manifest.json'));
const title = isThere
  ? 'the official update'
  : `the official update (golden vectors not found at ${folder})`;

const [peak, decay] = [6e-4, 0.1];

/** The low-rank factors are stored [in, out], under names without `.weight`. */
const isFactor = (name: string): boolean => /\.att\.[wavg][12]$/.test(name);

async function goldenOf(model: string): Promise<Map<string, ArrayLike<number>>> {
  const bytes = readFileSync(file(`expected.${model}.safetensors`));
  await using raw = await openRawFile(memorySource(bytes));
  const result = new Map<string, ArrayLike<number>>();
  for (const [name, tensor] of raw.tensors) {
    if (tensor.format === 'f64') result.set(name, await readRows(tensor));
    else {
      const stored = await tensor.read();
      result.set(name, new Int32Array(stored.slice().buffer));
    }
  }
  return result;
}

describe.skipIf(!isThere)(title, () => {
  it.each([1, 2])('of both samples together, %d at a time', async (sequencesAtOnce) => {
    const golden = await goldenOf('hs16-small');
    const [idx, targets] = ['idx', 'targets'].map((name) => Uint32Array.from(golden.get(name)!));
    const samples = [0, 1].map((at): Sample => {
      const part = (all: Uint32Array) => all.slice(at * 32, (at + 1) * 32);
      return { tokens: part(idx!), targets: part(targets!) };
    });
    const bytes = readFileSync(file('train.hs16-small.fp32.pth'));
    await using model = await openModel(memorySource(bytes));
    const before = await numbersOf(model);
    let report: StepReport | undefined;
    await using trainer = await createTrainer({
      backend: createReferenceBackend({ precision: 'f64' }),
      model,
      data: cycle(samples),
      steps: 1,
      batch: { sequences: 2, context: 32, sequencesAtOnce, chunk: 11 },
      optimizer: { learningRate: { peak, warmupSteps: 0 }, weightDecay: decay },
      onStep: (told) => {
        report = told;
      },
    });
    await trainer.run();

    expect(report!.loss).toBeCloseTo(golden.get('loss')![0]!, 10);
    const gradients = [...golden].flatMap(([name, values]) =>
      name.startsWith('grad_l2wrap.') ? [[name.slice('grad_l2wrap.'.length), values] as const] : [],
    );
    let squares = 0;
    for (const [, values] of gradients) for (const g of Array.from(values)) squares += g * g;
    expect(report!.gradientNorm / Math.sqrt(squares)).toBeCloseTo(1, 9);

    const after = await numbersOf(trainer.model);
    for (const [name, values] of gradients) {
      const own = isFactor(name) ? `${name}.weight` : name;
      const [old, now] = [before.get(own)!, after.get(own)!];
      const [rows = 1, columns = 1] = model.tensors.find((each) => each.name === own)!.shape;
      const isLarge = /(?:emb|head|key|value|receptance|output)\.weight$/.test(own);
      const rate = own.endsWith('.att.w0') ? 2 * peak : peak;
      for (const [index, value] of now.entries()) {
        const turned = (index % columns) * rows + Math.floor(index / columns);
        const at = isFactor(name) ? turned : index;
        const g = values[at]!;
        const expected = old[index]! * (1 - (isLarge ? peak * decay : 0)) - rate * Math.sign(g);
        // Numbers whose gradient is rounding noise may go either way.
        if (Math.abs(g) > 1e-12) expect(value, `${own} ${index}`).toBeCloseTo(expected, 6);
      }
    }
  });
});

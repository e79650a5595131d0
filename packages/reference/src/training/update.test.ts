/** AdamW against a plain computation, number by number, and what a step reports. */
import type { Program, TrainablePart, TrainableSpec, UpdateOptions } from '@rwkv-ts/backend';
import { expect, it } from 'vitest';
import { worstDifference } from '../../test/harness.js';
import { createNormal } from '../../test/random.js';
import { trainingBatch, withTraining } from '../../test/training.js';

const [a, b, c] = ([0, 1, 2] as const).map((id) => ({ id, rows: 'T', width: 3 }) as const) as [
  { id: 0; rows: 'T'; width: 3 },
  { id: 1; rows: 'T'; width: 3 },
  { id: 2; rows: 'T'; width: 3 },
];
const output = { id: 3, rows: 'R', width: 3 } as const;
const program: Program = {
  weights: [
    { name: 'table', shape: [4, 3] },
    { name: 'bias', shape: [3] },
  ],
  states: [{ name: 'left', shape: [3], initial: 0.5 }],
  ops: [
    { kind: 'embed', out: a, table: 'table', by: 'input' },
    { kind: 'shift', out: b, x: a, state: 'left' },
    { kind: 'add', out: c, x: b, y: { weight: 'bias' } },
    { kind: 'select-rows', out: output, x: c },
  ],
  output,
};
const trainable: readonly TrainableSpec[] = [
  { kind: 'weight', name: 'table', weightDecayFactor: 1 },
  { kind: 'weight', name: 'bias', learningRateFactor: 2, weightDecayFactor: 0.5 },
  { kind: 'initial-state', name: 'left', learningRateFactor: 0.1 },
];
const settings: Omit<UpdateOptions, 'step'> = {
  learningRate: 6e-3,
  weightDecay: 0.1,
  betas: [0.9, 0.95],
  epsilon: 1e-6,
};
const parts: readonly TrainablePart[] = ['value', 'gradient', 'first-moment', 'second-moment'];
const counts = [12, 3, 3];

/** One number's history, as AdamW's paper has it: algorithm 2 of arXiv:1711.05101, the decay decoupled and scheduled. */
class PlainNumber {
  m = 0;
  v = 0;
  theta: number;
  readonly factors: { readonly rate: number; readonly decay: number };
  constructor(theta: number, factors: { readonly rate: number; readonly decay: number }) {
    this.theta = theta;
    this.factors = factors;
  }
  step(g: number, t: number): void {
    const [beta1, beta2] = settings.betas;
    const rate = settings.learningRate * this.factors.rate;
    this.m = this.m * beta1 + g * (1 - beta1);
    this.v = this.v * beta2 + g ** 2 * (1 - beta2);
    const mHat = this.m / (1 - Math.pow(beta1, t));
    const vHat = this.v / (1 - Math.pow(beta2, t));
    const decay = rate * settings.weightDecay * this.factors.decay * this.theta;
    this.theta -= decay + (rate * mHat) / (Math.sqrt(vHat) + settings.epsilon);
  }
}

it('five steps of AdamW are those of the paper, with factors, and with large gradients scaled down', async () => {
  await withTraining({ precision: 'f64' }, { program, trainable }, async ({ training }) => {
    const factors = [
      { rate: 1, decay: 1 },
      { rate: 2, decay: 0.5 },
      { rate: 0.1, decay: 0 },
    ];
    const plain: PlainNumber[][] = [];
    for (const [index, { name }] of trainable.entries()) {
      const values = [...(await training.read(name, 'value'))];
      plain.push(values.map((value) => new PlainNumber(value, factors[index]!)));
    }
    const normal = createNormal(3);
    let scaledDown = 0;
    for (let t = 1; t <= 5; t++) {
      const gradients = counts.map((count) =>
        Float64Array.from({ length: count }, () => t * normal()),
      );
      for (const [index, { name }] of trainable.entries()) {
        training.write(name, 'gradient', gradients[index]!);
      }
      const norm = Math.hypot(...gradients.flatMap((gradient) => [...gradient]));
      const scale = Math.min(1, 10 / norm);
      if (scale < 1) scaledDown++;
      const result = await training.update({ ...settings, step: t, gradientNormLimit: 10 });
      expect(result.applied).toBe(true);
      expect(Math.abs(result.gradientNorm - norm)).toBeLessThan(1e-12 * norm);
      for (const [index, numbers] of plain.entries()) {
        for (const [at, number] of numbers.entries())
          number.step(gradients[index]![at]! * scale, t);
      }
    }
    expect(scaledDown).toBeGreaterThan(0);
    expect(scaledDown).toBeLessThan(5);
    for (const [index, { name }] of trainable.entries()) {
      const read = (part: TrainablePart) => training.read(name, part);
      const expected = (field: 'theta' | 'm' | 'v') => plain[index]!.map((number) => number[field]);
      expect(worstDifference(await read('value'), expected('theta'))).toBeLessThan(1e-14);
      expect(worstDifference(await read('first-moment'), expected('m'))).toBeLessThan(1e-14);
      expect(worstDifference(await read('second-moment'), expected('v'))).toBeLessThan(1e-14);
      expect((await read('gradient')).every((number) => number === 0)).toBe(true);
    }
  });
});

it.each([Number.NaN, Infinity, -Infinity])(
  'a gradient of %d changes nothing but the gradients, which are zero',
  async (bad) => {
    await withTraining({ precision: 'f64' }, { program, trainable }, async ({ training }) => {
      training.write('bias', 'gradient', Float64Array.of(1, -1, 2));
      await training.update({ ...settings, step: 1 });
      const all = async () => {
        const numbers = new Map<string, number[]>();
        for (const { name } of trainable) {
          for (const part of parts)
            numbers.set(`${name} ${part}`, [...(await training.read(name, part))]);
        }
        return numbers;
      };
      const before = await all();
      training.write('bias', 'gradient', Float64Array.of(1, bad, 2));
      training.write('table', 'gradient', new Float64Array(12).fill(1));
      const { applied, gradientNorm } = await training.update({ ...settings, step: 2 });
      expect(applied).toBe(false);
      expect(Number.isFinite(gradientNorm)).toBe(false);
      expect(await all()).toEqual(before);
    });
  },
);

it('steps change what ops read, parameters with a form included', async () => {
  const withForm: Program = {
    ...program,
    ops: program.ops.map((op) =>
      op.kind === 'add' ? { ...op, y: { weight: 'bias', form: 'exp' } } : op,
    ),
  };
  await withTraining(
    { precision: 'f64' },
    { program: withForm, trainable },
    async ({ training }) => {
      const batch = trainingBatch({
        slot: 0,
        tokens: [0, 1, 2, 3, 2, 1],
        targets: [1, 2, 0, 2, 1, 0],
      });
      let last = Infinity;
      for (let step = 1; step <= 20; step++) {
        training.resetSlot(0);
        const loss = await training.accumulate(batch, { scale: 1 / 6 });
        training.collectInitialGradients(0);
        expect(loss).toBeLessThan(last);
        last = loss;
        await training.update({ ...settings, step });
      }
      training.write('bias', 'value', Float64Array.of(-50, 3, -50));
      training.resetSlot(0);
      const biased = await training.evaluate(
        trainingBatch({ slot: 0, tokens: [0, 1], targets: [1, 1] }),
      );
      expect(biased).toBeLessThan(1e-6);
    },
  );
});

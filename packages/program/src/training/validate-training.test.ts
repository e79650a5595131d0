import type { Program, TrainingBatch, TrainingOptions, UpdateOptions } from '@rwkv-ts/backend';
import { describe, expect, test } from 'vitest';
import {
  validateAccumulateOptions,
  validateTrainingBatch,
  validateTrainingOptions,
  validateUpdateOptions,
} from './validate-training.js';

const program: Program = {
  weights: [{ name: 'emb', shape: [5, 4] }],
  states: [{ name: 'left', shape: [4], initial: 0 }],
  ops: [
    { kind: 'embed', out: { id: 0, rows: 'T', width: 4 }, table: 'emb', by: 'input' },
    {
      kind: 'shift',
      out: { id: 1, rows: 'T', width: 4 },
      x: { id: 0, rows: 'T', width: 4 },
      state: 'left',
    },
    {
      kind: 'select-rows',
      out: { id: 2, rows: 'R', width: 4 },
      x: { id: 1, rows: 'T', width: 4 },
    },
  ],
  output: { id: 2, rows: 'R', width: 4 },
};
const limits = { tokens: 4, sequences: 2, wanted: 4, slots: 2 };

describe('validateTrainingOptions', () => {
  const options = (more: Partial<TrainingOptions>): TrainingOptions => ({
    trainable: [{ kind: 'weight', name: 'emb' }],
    limits,
    ...more,
  });

  test('takes weights and initial states', () => {
    const trainable = [
      { kind: 'weight', name: 'emb', weightDecayFactor: 1 },
      { kind: 'initial-state', name: 'left', learningRateFactor: 2 },
    ] as const;
    expect(() => {
      validateTrainingOptions(program, options({ trainable }));
    }).not.toThrow();
  });

  test.each([
    ['a name the program lacks', [{ kind: 'weight', name: 'head' }], 'no weight head'],
    ['a state as a weight', [{ kind: 'weight', name: 'left' }], 'no weight left'],
    ['another kind', [{ kind: 'bias', name: 'emb' }], 'got bias'],
    [
      'a name twice',
      [
        { kind: 'weight', name: 'emb' },
        { kind: 'weight', name: 'emb' },
      ],
      'named twice',
    ],
    [
      'a factor below 0',
      [{ kind: 'weight', name: 'emb', learningRateFactor: -1 }],
      'factors of emb',
    ],
    [
      'a factor that is no number',
      [{ kind: 'weight', name: 'emb', weightDecayFactor: Number.NaN }],
      'got NaN',
    ],
  ])('refuses %s', (_, trainable, message) => {
    const wrong = options({ trainable: trainable as TrainingOptions['trainable'] });
    expect(() => {
      validateTrainingOptions(program, wrong);
    }).toThrow(new RegExp(message));
  });

  test.each([{ slots: 0 }, { slots: 1.5 }, { tokens: 0 }])('refuses limits %o', (wrong) => {
    const call = () => {
      validateTrainingOptions(program, options({ limits: { ...limits, ...wrong } }));
    };
    expect(call).toThrow(TypeError);
  });
});

describe('validateTrainingBatch', () => {
  const batch = (more: Partial<TrainingBatch> = {}): TrainingBatch => ({
    tokens: Uint32Array.of(1, 2, 3),
    starts: Uint32Array.of(0, 3),
    slots: Uint32Array.of(1),
    wanted: Uint32Array.of(0, 2),
    targets: Uint32Array.of(2, 3),
    ...more,
  });
  const check = (more: Partial<TrainingBatch>) => () => {
    validateTrainingBatch(batch(more), { program, limits });
  };

  test('takes what fits', () => {
    expect(check({})).not.toThrow();
    expect(check({ lossWeights: Float32Array.of(0, 2) })).not.toThrow();
  });

  test.each([
    ['a target beyond the output', { targets: Uint32Array.of(2, 4) }, 4],
    ['too few targets', { targets: Uint32Array.of(2) }, 1],
    ['a weight below 0', { lossWeights: Float32Array.of(1, -1) }, -1],
    ['an infinite weight', { lossWeights: Float32Array.of(Infinity, 1) }, Infinity],
    ['too many weights', { lossWeights: new Float32Array(3) }, 3],
    ['a token beyond the table', { tokens: Uint32Array.of(1, 2, 5) }, 5],
    ['a slot beyond the slots', { slots: Uint32Array.of(2) }, 2],
  ])('refuses %s', (_, more, got) => {
    expect(check(more)).toThrow(expect.objectContaining({ code: 'BATCH_INVALID', got }) as Error);
  });

  test('refuses arrays of another type', () => {
    expect(check({ targets: [2, 3] as unknown as Uint32Array })).toThrow(TypeError);
    expect(check({ lossWeights: [1, 1] as unknown as Float32Array })).toThrow(TypeError);
  });
});

describe('validateAccumulateOptions', () => {
  test('takes any finite scale', () => {
    for (const options of [{}, { scale: 0 }, { scale: -2, largestLogitPenalty: 1e-4 }]) {
      expect(() => {
        validateAccumulateOptions(options);
      }).not.toThrow();
    }
  });

  test.each([
    { scale: Number.NaN },
    { scale: Infinity },
    { largestLogitPenalty: -1 },
    { largestLogitPenalty: Infinity },
  ])('refuses %o', (options) => {
    expect(() => {
      validateAccumulateOptions(options);
    }).toThrow(TypeError);
  });
});

describe('validateUpdateOptions', () => {
  const options: UpdateOptions = {
    step: 1,
    learningRate: 1e-3,
    weightDecay: 0,
    betas: [0.9, 0.99],
    epsilon: 1e-8,
  };

  test('takes what the formula is defined for', () => {
    for (const more of [{}, { learningRate: 0 }, { gradientNormLimit: 1 }]) {
      expect(() => {
        validateUpdateOptions({ ...options, ...more });
      }).not.toThrow();
    }
  });

  test.each<Partial<UpdateOptions>>([
    { step: 0 },
    { step: 1.5 },
    { learningRate: -1 },
    { learningRate: Number.NaN },
    { weightDecay: Infinity },
    { betas: [1, 0.9] },
    { betas: [0.9, -0.1] },
    { epsilon: 0 },
    { gradientNormLimit: 0 },
    { gradientNormLimit: Number.NaN },
  ])('refuses %o', (more) => {
    expect(() => {
      validateUpdateOptions({ ...options, ...more });
    }).toThrow(TypeError);
  });
});

import type { Op, Program, Value } from '@rwkv-ts/backend';
import { expect, test } from 'vitest';
import { planBackward } from './plan-backward.js';

const value = (id: number, rows: 'T' | 'R' = 'T'): Value => ({ id, rows, width: 4 });
const program = (ops: readonly Op[], output: Value): Program => ({
  weights: [],
  states: [],
  ops,
  output,
});
const [a, b, c, d] = [value(0), value(1), value(2), value(3)];
const embed: Op = { kind: 'embed', out: a, table: 'emb', by: 'input' };

test('visits ops in reverse and stops where nothing below learns', () => {
  const ops: Op[] = [
    embed,
    { kind: 'matmul', out: b, x: a, weight: 'first' },
    { kind: 'matmul', out: c, x: b, weight: 'second' },
  ];
  const all = planBackward(program(ops, c), {
    trainableWeights: new Set(['emb', 'first', 'second']),
  });
  expect(all.steps.map(({ index }) => index)).toEqual([2, 1, 0]);
  expect([...all.gradients.keys()].sort()).toEqual([0, 1, 2]);

  const upper = planBackward(program(ops, c), { trainableWeights: new Set(['second']) });
  expect(upper.steps).toMatchObject([{ index: 2, reads: ['skip'], weights: [true] }]);
  expect([...upper.gradients.keys()]).toEqual([2]);

  const none = planBackward(program(ops, c), { trainableWeights: new Set() });
  expect(none).toEqual({ steps: [], gradients: new Map() });
});

test('passes through frozen ops to a weight below', () => {
  const ops: Op[] = [embed, { kind: 'matmul', out: b, x: a, weight: 'frozen' }];
  const { steps } = planBackward(program(ops, b), { trainableWeights: new Set(['emb']) });
  expect(steps).toMatchObject([
    { index: 1, reads: ['assign'], weights: [false] },
    { index: 0, reads: [], weights: [true] },
  ]);
});

test('the first step to owe a gradient assigns, later ones add, within one op too', () => {
  const ops: Op[] = [
    embed,
    { kind: 'mul', out: b, x: a, y: a },
    { kind: 'add', out: c, x: b, y: a },
  ];
  const { steps } = planBackward(program(ops, c), { trainableWeights: new Set(['emb']) });
  expect(steps.map(({ reads }) => reads)).toEqual([['assign', 'assign'], ['add', 'add'], []]);
});

test('an op with a state is visited even where its output leads nowhere', () => {
  const ops: Op[] = [
    embed,
    { kind: 'shift', out: b, x: a, state: 'left' },
    { kind: 'matmul', out: c, x: a, weight: 'w' },
  ];
  const { steps, gradients } = planBackward(program(ops, c), {
    trainableWeights: new Set(['emb']),
  });
  expect(steps).toMatchObject([
    { index: 2, reads: ['assign'] },
    { index: 1, writes: [false], reads: ['add'] },
    { index: 0, writes: [true] },
  ]);
  expect(gradients.has(b.id)).toBe(false);
});

test('values that depend on nothing trainable have no gradient', () => {
  const ops: Op[] = [
    embed,
    { kind: 'embed', out: b, table: 'side', by: 'token' },
    { kind: 'mul', out: c, x: a, y: b },
    { kind: 'add', out: d, x: c, y: { weight: 'bias' } },
  ];
  const { steps, gradients } = planBackward(program(ops, d), {
    trainableWeights: new Set(['emb', 'bias']),
  });
  expect(steps).toMatchObject([
    { index: 3, reads: ['assign'], weights: [true] },
    { index: 2, reads: ['assign', 'skip'] },
    { index: 0, weights: [true] },
  ]);
  expect([...gradients.keys()].sort()).toEqual([0, 2, 3]);
});

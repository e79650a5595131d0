import type { Value } from '@rwkv-ts/backend';
import type { Draw } from '../../src/random.js';
import type { OpScope } from '../op-scope.js';
import { large } from './draws.js';
import type { OpCases } from './types.js';

const emit = (scope: OpScope, x: Value, count: number) => {
  const out = scope.value(2 * count + 1, x.rows);
  scope.emit({ kind: 'top-k', out, x, count });
  return out;
};

/** The numbers, their columns and the sum apart, each with a scale of its own. */
const parts = (scope: OpScope, x: Value, count: number) => {
  const whole = emit(scope, x, count);
  return [
    [0, count],
    [count, count],
    [2 * count, 1],
  ].map(([start, width]) => {
    const out = scope.value(width!, x.rows);
    scope.emit({ kind: 'slice', out, x: whole, start: start! });
    return out;
  });
};

/** Few different numbers, so that columns tell ties apart. */
const ties: Draw = (random) => random.integer(5) - 2;

/** One number in `every` is finite. */
const sparse =
  (every: number): Draw =>
  (random) =>
    random.integer(every) === 0 ? random.normal() : -Infinity;

/** Rows that are no distribution, beside ones that are. */
const broken: Draw = (random) => {
  const choice = random.integer(400);
  if (choice === 0) return NaN;
  return choice === 1 ? Infinity : random.normal();
};

export const topK: OpCases<'top-k'> = {
  kind: 'top-k',
  variants: [
    {
      name: 'seven of an odd width, of many equal numbers',
      build: (scope) => parts(scope, scope.input(67, ties), 7),
    },
    { name: 'all of a row', build: (scope) => parts(scope, scope.input(33), 33) },
    {
      name: 'one of a row, large values',
      build: (scope) => parts(scope, scope.input(128, large), 1),
    },
    {
      name: '120 of 5,003',
      build: (scope) => parts(scope, scope.input(5003), 120),
    },
    {
      name: '300 of 2,048 wanted numbers, of which hundreds are equal',
      build: (scope) => parts(scope, scope.wantedInput(2048, ties), 300),
    },
    {
      name: 'the sum where most numbers are -Infinity',
      build: (scope) => parts(scope, scope.input(1500, sparse(9)), 20).slice(2),
    },
    {
      name: 'the sum of rows with NaN and Infinity is 0',
      build: (scope) => parts(scope, scope.input(300, broken), 20).slice(2),
    },
  ],
  bench: (scope, inputs, { channels }) => {
    emit(scope, inputs(channels), 120);
  },
};

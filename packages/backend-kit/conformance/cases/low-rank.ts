import type { Activation, Parameter, Value } from '@rwkv-ts/backend';
import { normal, uniform } from '../../src/random.js';
import type { OpScope } from '../op-scope.js';
import { large } from './draws.js';
import type { OpCases } from './types.js';

interface LowRankShape {
  readonly rank: number;
  readonly width: number;
  readonly inner?: Activation;
  readonly bias?: Parameter;
  readonly outer?: Activation;
}

const emit = (scope: OpScope, x: Value, { rank, width, ...rest }: LowRankShape) => {
  const out = scope.value(width, x.rows);
  const [down, up] = [scope.matrix(rank, x.width), scope.matrix(width, rank)];
  scope.emit({ kind: 'low-rank', out, x, down, up, ...rest });
  return out;
};

export const lowRank: OpCases<'low-rank'> = {
  kind: 'low-rank',
  variants: [
    {
      name: 'tanh, bias, decay7 (the decay of v7)',
      build: (scope) => [
        emit(scope, scope.input(67), {
          rank: 7,
          width: 43,
          inner: 'tanh',
          bias: scope.parameter([43], uniform(-5, 1)),
          outer: 'decay7',
        }),
      ],
    },
    {
      name: 'tanh, bias, exp-negative-exp (the decay of v6)',
      build: (scope) => [
        emit(scope, scope.input(64), {
          rank: 32,
          width: 64,
          inner: 'tanh',
          bias: scope.parameter([64], uniform(-5, 0.5)),
          outer: 'exp-negative-exp',
        }),
      ],
    },
    {
      name: 'sigmoid within, no bias (the gate of v7)',
      build: (scope) => [emit(scope, scope.input(33), { rank: 5, width: 33, inner: 'sigmoid' })],
    },
    {
      name: 'bias with a form, sigmoid without',
      build: (scope) => [
        emit(scope, scope.input(33), {
          rank: 4,
          width: 65,
          bias: scope.parameter([65], normal(), 'tanh'),
          outer: 'sigmoid',
        }),
      ],
    },
    {
      name: 'nothing but the two products, large values, wanted rows',
      build: (scope) => [emit(scope, scope.wantedInput(67, large), { rank: 9, width: 31 })],
    },
  ],
  bench: (scope, inputs, { channels }) => {
    emit(scope, inputs(channels), { rank: 64, width: channels, inner: 'tanh', outer: 'sigmoid' });
  },
};

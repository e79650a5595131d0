import type { Activation, Value } from '@rwkv-ts/backend';
import { uniform } from '../../src/random.js';
import type { OpScope } from '../op-scope.js';
import { large } from './draws.js';
import type { OpCases } from './types.js';

interface LinearShape {
  readonly width: number;
  readonly activation?: Activation;
  readonly gate?: Value;
  readonly residual?: Value;
}

const emit = (scope: OpScope, x: Value, { width, ...rest }: LinearShape) => {
  const out = scope.value(width, x.rows);
  scope.emit({ kind: 'linear', out, x, weight: scope.matrix(width, x.width), ...rest });
  return out;
};

export const linear: OpCases<'linear'> = {
  kind: 'linear',
  variants: [
    {
      name: 'activation, odd sizes',
      build: (scope) => [
        emit(scope, scope.input(67), { width: 43, activation: 'relu2' }),
        emit(scope, scope.input(67), { width: 43, activation: 'silu' }),
      ],
    },
    {
      name: 'residual',
      build: (scope) => [emit(scope, scope.input(67), { width: 33, residual: scope.input(33) })],
      scale: 'inputs',
    },
    {
      name: 'gate and residual',
      build: (scope) => [
        emit(scope, scope.input(128), {
          width: 96,
          gate: scope.input(96, uniform(0, 1)),
          residual: scope.input(96),
        }),
      ],
      scale: 'inputs',
    },
    {
      name: 'activation, gate and residual',
      build: (scope) => [
        emit(scope, scope.input(37), {
          width: 37,
          activation: 'sigmoid',
          gate: scope.input(37),
          residual: scope.input(37),
        }),
      ],
      scale: 'inputs',
    },
    {
      name: 'the input is its own residual, large values',
      build: (scope) => {
        const x = scope.input(64, large);
        return [emit(scope, x, { width: 64, residual: x })];
      },
      scale: 'inputs',
    },
    {
      name: 'wanted rows, gate alone',
      build: (scope) => [
        emit(scope, scope.wantedInput(67), { width: 5, gate: scope.wantedInput(5) }),
      ],
      scale: 'inputs',
    },
  ],
  bench: (scope, inputs, { channels }) => {
    emit(scope, inputs(channels), {
      width: channels,
      activation: 'silu',
      residual: inputs(channels),
    });
  },
};

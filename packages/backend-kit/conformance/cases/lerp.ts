import type { Operand, Value } from '@rwkv-ts/backend';
import { normal, uniform } from '../../src/random.js';
import type { OpScope } from '../op-scope.js';
import { large } from './draws.js';
import type { OpCases } from './types.js';

const emit = (scope: OpScope, { x, y, by }: { x: Value; y: Value; by: Operand }) => {
  const out = scope.value(x.width, x.rows);
  scope.emit({ kind: 'lerp', out, x, y, by });
  return out;
};

export const lerp: OpCases<'lerp'> = {
  kind: 'lerp',
  variants: [
    {
      name: 'by a parameter, odd width',
      build: (scope) => [
        emit(scope, {
          x: scope.input(67),
          y: scope.input(67),
          by: scope.parameter([67], uniform(-0.2, 1.2)),
        }),
      ],
    },
    {
      name: 'by a parameter with a form',
      build: (scope) => [
        emit(scope, {
          x: scope.input(33),
          y: scope.input(33),
          by: scope.parameter([33], normal(2), 'sigmoid'),
        }),
      ],
    },
    {
      name: 'by a value',
      build: (scope) => [
        emit(scope, {
          x: scope.input(67),
          y: scope.input(67),
          by: scope.input(67, uniform(-1, 2)),
        }),
      ],
      scale: 'inputs',
    },
    {
      name: 'large values',
      build: (scope) => [
        emit(scope, {
          x: scope.input(37, large),
          y: scope.input(37, large),
          by: scope.parameter([37], uniform(0, 1)),
        }),
      ],
      scale: 'inputs',
    },
    {
      name: 'wanted rows',
      build: (scope) => [
        emit(scope, {
          x: scope.wantedInput(67),
          y: scope.wantedInput(67),
          by: scope.wantedInput(67),
        }),
      ],
      scale: 'inputs',
    },
  ],
  bench: (scope, inputs, { channels }) => {
    const by = scope.parameter([channels], uniform(0, 1));
    emit(scope, { x: inputs(channels), y: inputs(channels), by });
  },
};

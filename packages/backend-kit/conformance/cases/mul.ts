import type { Operand, Value } from '@rwkv-ts/backend';
import { normal, uniform } from '../../src/random.js';
import type { OpScope } from '../op-scope.js';
import type { OpCases } from './types.js';

const emit = (scope: OpScope, x: Value, y: Operand) => {
  const out = scope.value(x.width, x.rows);
  scope.emit({ kind: 'mul', out, x, y });
  return out;
};

export const mul: OpCases<'mul'> = {
  kind: 'mul',
  variants: [
    {
      name: 'two values, odd width',
      build: (scope) => [emit(scope, scope.input(67), scope.input(67))],
    },
    {
      name: 'a value and a parameter',
      build: (scope) => [emit(scope, scope.input(67), scope.parameter([67], normal()))],
    },
    {
      name: 'a parameter with a form',
      build: (scope) => [
        emit(scope, scope.input(33), scope.parameter([33], uniform(-3, 3), 'negative-exp')),
      ],
    },
    {
      name: 'a value and itself',
      build: (scope) => {
        const x = scope.input(19);
        return [emit(scope, x, x)];
      },
    },
    {
      name: 'large values',
      build: (scope) => [
        emit(scope, scope.input(128, uniform(-200, 200)), scope.input(128, uniform(-200, 200))),
      ],
    },
    {
      name: 'wanted rows',
      build: (scope) => [emit(scope, scope.wantedInput(67), scope.wantedInput(67))],
    },
  ],
  bench: (scope, inputs, { channels }) => {
    emit(scope, inputs(channels), inputs(channels));
  },
};

import type { Operand, Value } from '@rwkv-ts/backend';
import { normal, uniform } from '../../src/random.js';
import type { OpScope } from '../op-scope.js';
import { large } from './draws.js';
import type { OpCases } from './types.js';

const emit = (scope: OpScope, x: Value, y: Operand) => {
  const out = scope.value(x.width, x.rows);
  scope.emit({ kind: 'add', out, x, y });
  return out;
};

export const add: OpCases<'add'> = {
  kind: 'add',
  variants: [
    {
      name: 'two values, odd width',
      build: (scope) => [emit(scope, scope.input(67), scope.input(67))],
      scale: 'inputs',
    },
    {
      name: 'a value and a parameter',
      build: (scope) => [emit(scope, scope.input(67), scope.parameter([67], normal()))],
      scale: 'inputs',
    },
    {
      name: 'a parameter with a form',
      build: (scope) => [
        emit(scope, scope.input(33), scope.parameter([33], uniform(-3, 3), 'negative-exp')),
      ],
      scale: 'inputs',
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
      build: (scope) => [emit(scope, scope.input(128, large), scope.input(128, large))],
      scale: 'inputs',
    },
    {
      name: 'wanted rows',
      build: (scope) => [emit(scope, scope.wantedInput(67), scope.wantedInput(67))],
      scale: 'inputs',
    },
  ],
  bench: (scope, inputs, { channels }) => {
    emit(scope, inputs(channels), inputs(channels));
  },
};

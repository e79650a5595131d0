import type { Value } from '@rwkv-ts/backend';
import { normal, uniform } from '../../src/random.js';
import type { OpScope } from '../op-scope.js';
import { large } from './draws.js';
import type { OpCases } from './types.js';

interface ShiftMixShape {
  readonly toward: 'previous' | 'current';
  readonly mixes: number;
  readonly extras?: true;
  readonly form?: 'sigmoid';
}

const emit = (scope: OpScope, x: Value, { toward, mixes, extras, form }: ShiftMixShape) => {
  const outs = Array.from({ length: mixes }, () => scope.value(x.width));
  const given = extras && { normed: scope.value(x.width), shifted: scope.value(x.width) };
  scope.emit({
    kind: 'shift-mix',
    x,
    norm: scope.norm(x.width),
    state: scope.state([x.width]),
    toward,
    mixes: outs.map((out) => ({
      out,
      by: form
        ? scope.parameter([x.width], normal(2), form)
        : scope.parameter([x.width], uniform(0, 1)),
    })),
    ...given,
  });
  return given ? [...outs, given.normed, given.shifted] : outs;
};

export const shiftMix: OpCases<'shift-mix'> = {
  kind: 'shift-mix',
  variants: [
    {
      name: 'toward the current token, three mixes',
      build: (scope) => emit(scope, scope.input(67), { toward: 'current', mixes: 3 }),
    },
    {
      name: 'toward the previous token, six mixes',
      build: (scope) => emit(scope, scope.input(33), { toward: 'previous', mixes: 6 }),
    },
    {
      name: 'one mix, normed and shifted given',
      build: (scope) =>
        emit(scope, scope.input(64), { toward: 'previous', mixes: 1, extras: true }),
    },
    {
      name: 'mixes with a form, normed and shifted given',
      build: (scope) =>
        emit(scope, scope.input(37), {
          toward: 'current',
          mixes: 2,
          extras: true,
          form: 'sigmoid',
        }),
    },
    {
      name: 'large values',
      build: (scope) => emit(scope, scope.input(128, large), { toward: 'previous', mixes: 2 }),
    },
  ],
  bench: (scope, inputs, { channels }) => {
    emit(scope, inputs(channels), { toward: 'previous', mixes: 6 });
  },
};

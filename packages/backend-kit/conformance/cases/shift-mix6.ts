import type { Value } from '@rwkv-ts/backend';
import { uniform } from '../../src/random.js';
import type { OpScope } from '../op-scope.js';
import { large } from './draws.js';
import type { OpCases } from './types.js';

const emit = (scope: OpScope, x: Value, { rank, mixes }: { rank: number; mixes: number }) => {
  const width = x.width;
  const parameter = () => scope.parameter([width], uniform(0, 1));
  const outs = Array.from({ length: mixes }, () => scope.value(width));
  scope.emit({
    kind: 'shift-mix6',
    x,
    norm: scope.norm(width),
    state: scope.state([width]),
    base: parameter(),
    down: scope.matrix(mixes * rank, width),
    mixes: outs.map((out) => ({ out, by: parameter(), up: scope.matrix(width, rank) })),
  });
  return outs;
};

export const shiftMix6: OpCases<'shift-mix6'> = {
  kind: 'shift-mix6',
  variants: [
    {
      name: 'five mixes, rank 3',
      build: (scope) => emit(scope, scope.input(33), { rank: 3, mixes: 5 }),
    },
    {
      name: 'five mixes, rank 32',
      build: (scope) => emit(scope, scope.input(64), { rank: 32, mixes: 5 }),
    },
    {
      name: 'one mix, large values',
      build: (scope) => emit(scope, scope.input(67, large), { rank: 5, mixes: 1 }),
    },
  ],
  bench: (scope, inputs, { channels }) => {
    emit(scope, inputs(channels), { rank: 32, mixes: 5 });
  },
};

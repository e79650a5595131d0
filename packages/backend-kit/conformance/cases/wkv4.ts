import type { Parameter, Value } from '@rwkv-ts/backend';
import { normal, uniform } from '../../src/random.js';
import type { OpScope } from '../op-scope.js';
import { large } from './draws.js';
import type { OpCases } from './types.js';

interface Wkv4Input {
  readonly k: Value;
  readonly v: Value;
  readonly decay: Parameter;
  readonly first?: Parameter;
}

const emit = (scope: OpScope, { k, v, decay, first }: Wkv4Input) => {
  const width = k.width;
  const out = scope.value(width);
  scope.emit({
    kind: 'wkv4',
    out,
    k,
    v,
    decay,
    first: first ?? scope.parameter([width], normal(0.5)),
    state: scope.state([3, width], [0, 0, -1e30]),
  });
  return out;
};

export const wkv4: OpCases<'wkv4'> = {
  kind: 'wkv4',
  variants: [
    {
      name: 'decay with a form, odd width',
      build: (scope) => [
        emit(scope, {
          k: scope.input(67),
          v: scope.input(67),
          decay: scope.parameter([67], uniform(-5, 1), 'negative-exp'),
        }),
      ],
    },
    {
      name: 'decay as stored, bonus with a form',
      build: (scope) => [
        emit(scope, {
          k: scope.input(33),
          v: scope.input(33),
          decay: scope.parameter([33], uniform(-3, -0.01)),
          first: scope.parameter([33], uniform(-1, 1), 'tanh'),
        }),
      ],
    },
    {
      name: 'decays from 0 to nearly -2000',
      build: (scope) => [
        emit(scope, {
          k: scope.input(64),
          v: scope.input(64),
          decay: scope.parameter([64], uniform(-12, 7.5), 'negative-exp'),
        }),
      ],
      // The exponents reach 2000, so their f32 error is a thousand units before exp is taken.
      slack: 8,
    },
    {
      name: 'keys from -60 to 60, bonus from -20 to 20',
      build: (scope) => [
        emit(scope, {
          k: scope.input(37, uniform(-60, 60)),
          v: scope.input(37),
          decay: scope.parameter([37], uniform(-4, 0), 'negative-exp'),
          first: scope.parameter([37], uniform(-20, 20)),
        }),
      ],
      // exp of a sum near 60 carries 60 units of relative error.
      slack: 4,
    },
    {
      name: 'large values',
      build: (scope) => [
        emit(scope, {
          k: scope.input(128),
          v: scope.input(128, large),
          decay: scope.parameter([128], uniform(-5, 1), 'negative-exp'),
        }),
      ],
    },
  ],
  bench: (scope, inputs, { channels }) => {
    const decay = scope.parameter([channels], uniform(-5, 1), 'negative-exp');
    emit(scope, { k: inputs(channels), v: inputs(channels), decay });
  },
};

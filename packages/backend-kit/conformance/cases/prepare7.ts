import type { Value } from '@rwkv-ts/backend';
import { type Draw, normal, uniform } from '../../src/random.js';
import type { OpScope } from '../op-scope.js';
import type { OpCases } from './types.js';

interface Prepare7Shape {
  readonly heads: number;
  readonly width: number;
  readonly residual?: true;
  readonly eps?: number;
  readonly draw?: Draw;
  readonly input?: (width: number) => Value;
}

const emit = (scope: OpScope, shape: Prepare7Shape) => {
  const { heads, width, residual, eps = 1e-12, draw } = shape;
  const input = shape.input ?? ((columns: number, drawn = draw) => scope.input(columns, drawn));
  const [key, a, b] = [scope.value(width), scope.value(width), scope.value(width)];
  const mixed = residual && {
    v: input(width),
    first: input(width),
    amount: shape.input ? input(width) : scope.input(width, uniform(0, 1)),
    out: scope.value(width),
  };
  scope.emit({
    kind: 'prepare7',
    k: input(width),
    rate: shape.input ? input(width) : scope.input(width, uniform(0, 1)),
    removal: scope.parameter([width], uniform(0.5, 1.2)),
    replacement: scope.parameter([width], uniform(0.5, 1.2)),
    heads,
    eps,
    key,
    a,
    b,
    ...(mixed ? { residual: mixed } : {}),
  });
  return mixed ? [key, a, b, mixed.out] : [key, a, b];
};

export const prepare7: OpCases<'prepare7'> = {
  kind: 'prepare7',
  variants: [
    { name: 'three heads of 5', build: (scope) => emit(scope, { heads: 3, width: 15 }) },
    {
      name: 'two heads of 64, residual value',
      build: (scope) => emit(scope, { heads: 2, width: 128, residual: true }),
      scale: 'inputs',
    },
    {
      name: 'keys of zero',
      build: (scope) => emit(scope, { heads: 2, width: 16, draw: () => 0 }),
    },
    {
      name: 'keys shorter than epsilon',
      build: (scope) => emit(scope, { heads: 2, width: 16, draw: normal(0.01), eps: 0.5 }),
    },
    {
      name: 'large values, residual value',
      build: (scope) => emit(scope, { heads: 1, width: 37, draw: normal(3000), residual: true }),
      scale: 'inputs',
    },
  ],
  bench: (scope, input, { channels, heads }) => {
    emit(scope, { heads, width: channels, residual: true, input });
  },
};

import type { OpCases } from './types.js';
import { normal } from '../../src/random.js';
import { type OpScope, tableRows } from '../op-scope.js';

const emit = (scope: OpScope, width: number, by: 'input' | 'token') => {
  const out = scope.value(width);
  scope.emit({ kind: 'embed', out, table: scope.matrix(tableRows, width, normal()), by });
  return out;
};

export const embed: OpCases<'embed'> = {
  kind: 'embed',
  variants: [
    { name: 'input table, odd width', build: (scope) => [emit(scope, 67, 'input')] },
    { name: 'token table, width 1', build: (scope) => [emit(scope, 1, 'token')] },
    { name: 'token table, width 128', build: (scope) => [emit(scope, 128, 'token')] },
  ],
  bench: (scope, _inputs, { channels }) => {
    emit(scope, channels, 'token');
  },
};

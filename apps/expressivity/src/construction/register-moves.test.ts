import fc from 'fast-check';
import { expect, test } from 'vitest';
import { movesOf, sourceOf } from './register-moves.js';

const functions = fc
  .integer({ min: 1, max: 9 })
  .chain((n) => fc.array(fc.nat(n - 1), { minLength: n, maxLength: n }));

function components(f: readonly number[]): number {
  const names = f.map((_, q) => q);
  for (const [q, source] of f.entries()) {
    const [from, to] = [names[q]!, names[source]!];
    for (const [at, name] of names.entries()) if (name === from) names[at] = to;
  }
  return new Set(names).size;
}

test('moves do the function, with one move for each register beyond one of every component', () => {
  fc.assert(
    fc.property(functions, (f) => {
      const moves = movesOf(f);
      const registers = f.map((_, q) => `value ${q}`);
      for (const { kind, to, from } of moves) {
        const old = registers[to]!;
        registers[to] = registers[from]!;
        if (kind === 'swap') registers[from] = old;
      }
      expect(registers).toEqual(f.map((source) => `value ${source}`));
      expect(f.map((_, q) => sourceOf(q, moves))).toEqual(f);
      expect(moves.length).toBe(f.length - components(f));
    }),
  );
});

import type { Program, Value } from '@rwkv-ts/backend';
import { expect, test } from 'vitest';
import { accessOf, type Answer, ValueViews } from './value-views.js';

const value = (id: number, width = 6): Value => ({ id, rows: 'T', width });
const program: Program = {
  weights: [],
  states: [],
  ops: [],
  output: value(8),
};
const create = ({ id }: Value, answer: Answer | undefined) => `${id} ${answer ?? 'own'}`;
const viewsOf = (given: Program) => new ValueViews<string>(given, { countOf: () => 3, create });

test('a value has a buffer of its own, or another’s columns', () => {
  const views = viewsOf(program);
  expect(views.writeView(value(1))).toEqual({ buffer: '1 own', column: 0 });
  views.alias(value(2), { ...views.view(value(1)), column: 4 });
  expect(views.read(value(2))).toEqual({ view: { buffer: '1 own', column: 4 } });
  expect(() => views.view(value(3))).toThrow('3 is read before');
});

test('what run gives out is told', () => {
  const views = viewsOf({ ...program, candidates: value(9) });
  expect(views.writeView(value(8)).buffer).toBe('8 output');
  expect(views.writeView(value(9)).buffer).toBe('9 candidates');
  expect(views.answer(value(1))).toBe(undefined);
  expect(viewsOf(program).answer(value(9))).toBe(undefined);
});

test('a parameter with fewer numbers than are read has each repeated', () => {
  const views = viewsOf(program);
  expect(views.parameter({ weight: 'w', form: 'exp' }, 12)).toEqual({
    parameter: { weight: 'w', form: 'exp', repeat: 4 },
  });
  expect(views.operand({ weight: 'w' })).toEqual({
    parameter: { weight: 'w', form: undefined, repeat: 1 },
  });
});

test('a node reads what it mentions and does not write', () => {
  const view = (buffer: string) => ({ view: { buffer, column: 0 } });
  const [a, b, c] = [view('a'), view('b'), view('c')];
  expect(accessOf<string>([3, a, undefined, { state: 's' }, b, c], [b, undefined])).toEqual({
    reads: ['a', 'c'],
    writes: ['b'],
  });
});

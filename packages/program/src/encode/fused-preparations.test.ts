import type { Op, OpOf, Program, Value } from '@rwkv-ts/backend';
import { buildProgram } from '@rwkv-ts/model';
import { expect, test } from 'vitest';
import { smallConfigs } from '../../test/models.js';
import { opKinds, readsOf, writesOf } from '../access.js';
import { lower } from '../lower.js';
import { fusedPreparations } from './fused-preparations.js';

const program = buildProgram(smallConfigs.find(({ version }) => version === '7')!);
const prepares = program.ops.filter((op): op is OpOf<'prepare7'> => op.kind === 'prepare7');
const second = prepares[1]!;
const values = program.ops.flatMap((op) => [...readsOf(op), ...writesOf(op)]);
const nextId = 1 + Math.max(...values.map(({ id }) => id));

/** The program with one more reader of a value, right before the recurrence that reads it. */
function withReader(x: Value): Program {
  const at = program.ops.findIndex(
    ({ kind }, index) => kind === 'time-mix7' && index > program.ops.indexOf(second),
  );
  const reader: Op = { kind: 'scale', out: { ...x, id: nextId }, x, factor: 2 };
  return { ...program, ops: program.ops.toSpliced(at, 0, reader) };
}

const change = (edit: (op: OpOf<'time-mix7'>) => OpOf<'time-mix7'>): Program => ({
  ...program,
  ops: program.ops.map((op) => (op.kind === 'time-mix7' ? edit(op) : op)),
});

test('a preparation is its recurrence’s, which alone reads its results', () => {
  expect(prepares).toHaveLength(2);
  const fused = fusedPreparations(program);
  expect([...fused.values()]).toEqual(prepares);
  expect([...fused.keys()]).toEqual(prepares.map(({ key }) => key.id));
});

test('it stays an op of its own when anything else reads a result', () => {
  const results = { key: second.key, a: second.a, b: second.b, value: second.residual!.out };
  for (const [name, value] of Object.entries(results)) {
    expect(fusedPreparations(withReader(value)).has(second.key.id), name).toBe(false);
  }
});

test('it stays when the recurrence is wkv7, or of other heads, or reads other values', () => {
  const lowered = lower(program, new Set([...opKinds].filter((kind) => kind !== 'time-mix7')));
  expect(fusedPreparations(lowered).size).toBe(0);
  expect(fusedPreparations(change((op) => ({ ...op, heads: op.heads * 2 }))).size).toBe(0);
  expect(fusedPreparations(change((op) => ({ ...op, a: op.b, b: op.a }))).size).toBe(0);
  expect(fusedPreparations(change((op) => ({ ...op, v: op.r }))).has(second.key.id)).toBe(false);
  expect(fusedPreparations(change((op) => ({ ...op, gate: op.k }))).size).toBe(0);
});

test('it stays when a result is the output', () => {
  const output = second.key;
  expect(fusedPreparations({ ...program, output }).has(second.key.id)).toBe(false);
});

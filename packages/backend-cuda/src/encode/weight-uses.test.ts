import type { Program } from '@rwkv-ts/backend';
import { expect, test } from 'vitest';
import { tinyModel, tinyVersions } from '../../../backend-kit/conformance/tiny-models.js';
import { weightUses } from './weight-uses.js';

test.each(tinyVersions)('RWKV-%s: every weight has one use', (version) => {
  const { program } = tinyModel(version);
  const uses = weightUses(program);
  expect([...uses.keys()].toSorted()).toEqual(program.weights.map(({ name }) => name).toSorted());
  for (const [name, own] of uses) expect([name, own.size]).toEqual([name, 1]);
  const tables = [...uses].filter(([, own]) => own.has('table')).map(([name]) => name);
  expect(tables).toContain('emb.weight');
  expect(tables.every((name) => name.includes('emb'))).toBe(true);
  expect(tables).toHaveLength(version === '7a' ? 3 : 1);
});

test('matrices are those of products, inside coarse ops too', () => {
  const uses = weightUses(tinyModel('6').program);
  const matrices = [...uses].filter(([, own]) => own.has('matrix')).map(([name]) => name);
  expect(matrices).toContain('head.weight');
  expect(matrices).toContain('blocks.0.att.key.weight');
  expect(uses.get('blocks.0.ln1.weight')).toEqual(new Set(['parameter']));
});

test('a table may be multiplied, too', () => {
  const x = { id: 0, rows: 'T', width: 4 } as const;
  const out = { id: 1, rows: 'T', width: 9 } as const;
  const program: Program = {
    weights: [{ name: 'tied', shape: [9, 4] }],
    states: [],
    ops: [
      { kind: 'embed', out: x, table: 'tied', by: 'input' },
      { kind: 'matmul', out, x, weight: 'tied' },
    ],
    output: out,
  };
  expect(weightUses(program).get('tied')).toEqual(new Set(['table', 'matrix']));
});

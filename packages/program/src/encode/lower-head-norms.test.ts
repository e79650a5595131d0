import type { OpKind, Program } from '@rwkv-ts/backend';
import { buildProgram } from '@rwkv-ts/model';
import { expect, test } from 'vitest';
import { smallConfigs } from '../../test/models.js';
import { lowerHeadNorms } from './lower-head-norms.js';

const program = buildProgram(smallConfigs.find(({ version }) => version === '6')!);
const count = ({ ops }: Program, kind: OpKind) => ops.filter((op) => op.kind === kind).length;

test('a program whose norms are by head stays', () => {
  expect(count(program, 'time-mix6')).toBe(2);
  expect(lowerHeadNorms(program)).toBe(program);
});

test('norms over other groups become ops of their own; the rest stays coarse', () => {
  const ops = program.ops.map((op) =>
    op.kind === 'time-mix6' ? { ...op, norm: { ...op.norm, groups: 1 } } : op,
  );
  const lowered = lowerHeadNorms({ ...program, ops });
  expect(count(lowered, 'time-mix6')).toBe(0);
  expect(count(lowered, 'wkv6')).toBe(2);
  expect(count(lowered, 'linear')).toBe(count(program, 'linear'));
});

import { buildProgram } from '@rwkv-ts/model';
import { expect, it } from 'vitest';
import { primitiveKinds, smallConfigs } from './models.js';
import { lower, planMemory, printProgram, validateProgram } from '../src/index.js';

it('the example of the README runs', () => {
  const program = buildProgram(smallConfigs[5]!);
  validateProgram(program);
  const mine = lower(program, primitiveKinds);
  const plan = planMemory(mine, { limits: { tokens: 256, wanted: 8 }, alignment: 256 });
  expect(plan.bytes).toBeGreaterThan(0);
  expect(plan.offsets.get(mine.output.id)).toBeTypeOf('number');
  expect(printProgram(mine)).toContain(' = matmul x=%');
});

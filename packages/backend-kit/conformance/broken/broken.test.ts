import { BackendError, type OpKind } from '@rwkv-ts/backend';
import { describe, expect, test } from 'vitest';
import { type ConformanceGroup, listConformanceCases } from '../index.js';
import { claims } from './claims.js';
import { handles } from './handles.js';
import { kernels } from './kernels.js';
import { runs } from './runs.js';
import { sizes } from './sizes.js';
import { states } from './states.js';
import { trainings } from './training.js';
import { createBroken, type Fault } from './wrap.js';

/** Runs a group's cases until one fails; its error, or undefined when all passed. */
async function firstFailure(
  fault: () => Fault,
  { groups, cases = /./ }: { groups?: readonly ConformanceGroup[]; cases?: RegExp | undefined },
): Promise<{ name: string; message: string } | undefined> {
  const all = listConformanceCases({
    create: () => createBroken(fault()),
    ...(groups ? { groups } : {}),
  });
  const chosen = all.filter(({ name }) => cases.test(name));
  expect(chosen.length).toBeGreaterThan(0);
  for (const { name, run } of chosen) {
    try {
      await run();
    } catch (error) {
      return { name, message: error instanceof Error ? error.message : String(error) };
    }
  }
  return undefined;
}

test('the same wrapper without a fault passes everything', async () => {
  expect(await firstFailure(() => ({}), {})).toBeUndefined();
});

test('a backend that claims the least passes, and only what it claims is run', async () => {
  const ops = new Set<OpKind>(['embed', 'select-rows', 'matmul']);
  const least = (): Fault => ({
    supports: (supports) => ({
      ...supports,
      ops,
      trainingOps: ops,
      weightFormats: new Set(['f32'] as const),
    }),
    weight: (weight) => {
      if (weight.format === 'f32') return weight;
      throw new BackendError({ code: 'UNSUPPORTED_WEIGHT_FORMAT', message: weight.format });
    },
    program: (program) => {
      const unclaimed = program.ops.find(({ kind }) => !ops.has(kind));
      if (!unclaimed) return program;
      throw new BackendError({ code: 'UNSUPPORTED_OP', message: unclaimed.kind });
    },
  });
  const cases = listConformanceCases({ create: () => createBroken(least()) });
  const outcomes = await Promise.all(
    cases.map(async ({ group, name, run }) => ({ group, name, ...(await run()) })),
  );
  const ran = outcomes.filter(({ skipped }) => skipped === undefined);
  const opsRun = ran.filter(({ group }) => group === 'ops').map(({ name }) => name.split(':')[0]);
  expect(new Set(opsRun)).toEqual(ops);
  const formatsRun = ran.filter(({ group }) => group === 'formats').map(({ name }) => name);
  expect(formatsRun.every((name) => name.startsWith('f32: '))).toBe(true);
  expect(ran.some(({ group }) => group === 'state')).toBe(true);
  expect(ran.some(({ group }) => group === 'models')).toBe(false);
});

describe('each broken backend fails in its group', () => {
  test.each([...kernels, ...runs, ...states, ...sizes, ...claims, ...handles, ...trainings])(
    '$group: $name',
    async ({ group, cases, message, fault }) => {
      const failure = await firstFailure(fault, { groups: [group], cases });
      expect(failure?.message).toMatch(message);
    },
  );
});

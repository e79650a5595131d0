import { describe, expect, test } from 'vitest';
import { type ConformanceGroup, listConformanceCases } from '../index.js';
import { claims } from './claims.js';
import { handles } from './handles.js';
import { kernels } from './kernels.js';
import { runs } from './runs.js';
import { states } from './states.js';
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

describe('each broken backend fails in its group', () => {
  test.each([...kernels, ...runs, ...states, ...claims, ...handles])(
    '$group: $name',
    async ({ group, cases, message, fault }) => {
      const failure = await firstFailure(fault, { groups: [group], cases });
      expect(failure?.message).toMatch(message);
    },
  );
});

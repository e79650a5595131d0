import { createReferenceBackend } from '@rwkv-ts/reference';
import { expect, test } from 'vitest';
import {
  type BenchResult,
  conformanceGroups,
  listConformanceCases,
  runConformance,
} from './index.js';

const create = () => createReferenceBackend({ precision: 'f32' });

test('cases have names of their own, and groups come in the order in which an author wants to fail', () => {
  const cases = listConformanceCases({ create });
  expect(new Set(cases.map(({ group, name }) => `${group} ${name}`)).size).toBe(cases.length);
  expect([...new Set(cases.map(({ group }) => group))]).toEqual([...conformanceGroups]);
  const chosen = listConformanceCases({ create, groups: ['errors', 'state'] });
  expect([...new Set(chosen.map(({ group }) => group))]).toEqual(['state', 'errors']);
});

test('a group shares one backend, made for its first case and disposed of after its last', async () => {
  const made: ReturnType<typeof create>[] = [];
  let disposed = 0;
  const counted = () => {
    const backend = create();
    const dispose = backend[Symbol.asyncDispose].bind(backend);
    backend[Symbol.asyncDispose] = async () => {
      disposed++;
      return dispose();
    };
    made.push(backend);
    return backend;
  };
  const cases = listConformanceCases({ create: counted, groups: ['models'] });
  expect(made).toHaveLength(0);
  for (const { run } of cases.slice(0, -1)) await run();
  expect([made.length, disposed]).toEqual([1, 0]);
  await cases.at(-1)!.run();
  expect([made.length, disposed]).toEqual([1, 1]);
  // The whole list can be run again, as `rwkv doctor` may.
  await cases[0]!.run();
  expect(made).toHaveLength(2);
});

test('a case that does not apply says why, to the caller and to the test runner', async () => {
  const cases = listConformanceCases({ create, groups: ['ops'] });
  const linear = cases.find(({ name }) => name === 'linear: residual')!;
  expect(await linear.run()).toEqual({ skipped: 'supports.ops does not claim linear' });

  const skipped: (string | undefined)[] = [];
  const running: Promise<void>[] = [];
  const described: string[] = [];
  runConformance({
    describe: (name, define) => {
      described.push(name);
      define();
    },
    test: (name, run) => {
      const context = { skip: (reason?: string) => skipped.push(reason) };
      if (name === 'linear: residual') running.push(run(context));
    },
    create,
    groups: ['ops'],
  });
  await Promise.all(running);
  expect(described).toEqual(['conformance: ops']);
  expect(skipped).toEqual(['supports.ops does not claim linear']);
});

test('bench mode measures the same kinds, in time and GB/s', async () => {
  const results: BenchResult[] = [];
  const cases = listConformanceCases({
    create,
    mode: 'bench',
    report: (result) => results.push(result),
  });
  for (const name of ['activate, f32, T = 32', 'wkv7, f32, T = 1', 'matmul, q4_0, T = 1']) {
    expect(await cases.find((one) => one.name === name)!.run()).toEqual({});
  }
  expect(results.map(({ kind, format, tokens }) => [kind, format, tokens])).toEqual([
    ['activate', 'f32', 32],
    ['wkv7', 'f32', 1],
    ['matmul', 'q4_0', 1],
  ]);
  for (const { milliseconds, gigabytesPerSecond } of results) {
    expect(milliseconds).toBeGreaterThan(1e-6);
    expect(gigabytesPerSecond).toBeGreaterThan(1e-3);
    expect(gigabytesPerSecond).toBeLessThan(1e4);
  }
});

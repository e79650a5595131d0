import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'tsup';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { listConformanceCases } from '../conformance/index.js';
import { createReferenceBackend } from '@rwkv-ts/reference';

let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'conformance-'));
  await build({
    entry: [fileURLToPath(new URL('node-test.fixture.ts', import.meta.url))],
    outDir: folder,
    format: 'esm',
    outExtension: () => ({ js: '.mjs' }),
    target: 'node20',
    noExternal: [/^@rwkv-ts\//],
    // Sources, so that nothing need be built first.
    esbuildOptions: (options) => {
      options.conditions = ['@rwkv-ts/source'];
    },
    // `test` alone is not the module.
    removeNodeProtocol: false,
    config: false,
    dts: false,
    clean: false,
    silent: true,
  });
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

interface Outcome {
  readonly failed: boolean;
  readonly count: (what: 'tests' | 'pass' | 'fail' | 'skipped') => number;
  readonly output: string;
}

function runUnderNode(fault: boolean): Promise<Outcome> {
  const file = join(folder, 'node-test.fixture.mjs');
  const environment = { ...process.env, CONFORMANCE_FAULT: fault ? '1' : '0' };
  // The outer runner's own settings are not the child's.
  for (const name of ['NODE_OPTIONS', 'NODE_TEST_CONTEXT'])
    Reflect.deleteProperty(environment, name);
  return new Promise((resolve) => {
    const given = ['--test', '--test-reporter=tap', file];
    const options = { env: environment, maxBuffer: 1 << 26 };
    execFile(process.execPath, given, options, (error, output) => {
      resolve({
        failed: error !== null,
        output,
        count: (what) => Number(new RegExp(`^# ${what} (\\d+)$`, 'm').exec(output)?.[1] ?? NaN),
      });
    });
  });
}

test('the whole suite runs under node:test, skips reported as such', async () => {
  const create = () => createReferenceBackend({ precision: 'f32' });
  const expected = listConformanceCases({ create }).length;
  const { failed, count, output } = await runUnderNode(false);
  expect(failed, output.slice(-2000)).toBe(false);
  expect(count('fail')).toBe(0);
  expect(count('tests')).toBe(expected);
  expect(count('pass') + count('skipped')).toBe(expected);
  expect(count('skipped')).toBeGreaterThan(0);
  expect(output).toMatch(/# SKIP supports\.ops does not claim linear/);
});

test('a wrong backend fails it', async () => {
  const { failed, count, output } = await runUnderNode(true);
  expect(failed).toBe(true);
  expect(count('fail')).toBe(1);
  expect(output).toContain('name must say something');
});

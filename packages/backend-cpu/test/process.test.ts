/**
 * Processes and workers that end while the backend works, in every way they can: promptly, with the right code, without
 * a crash. An idle backend keeps no process alive and no processor busy.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'tsup';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const packageFolder = fileURLToPath(new URL('..', import.meta.url));
let folder = '';

/** The fixture as one file, in a folder that looks like this package to it. */
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'backend-cpu-'));
  cpSync(join(packageFolder, 'package.json'), join(folder, 'package.json'));
  for (const name of ['prebuilds', 'node_modules']) {
    symlinkSync(join(packageFolder, name), join(folder, name));
  }
  mkdirSync(join(folder, 'test'));
  await build({
    entry: [join(packageFolder, 'test/process.fixture.ts')],
    outDir: join(folder, 'test'),
    format: 'esm',
    outExtension: () => ({ js: '.mjs' }),
    target: 'node20',
    noExternal: [/^@rwkv-ts\//],
    esbuildOptions: (options) => {
      options.conditions = ['@rwkv-ts/source'];
    },
    removeNodeProtocol: false,
    config: false,
    dts: false,
    clean: false,
    silent: true,
  });
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

interface Outcome {
  readonly code: number | null;
  readonly signal: string | null;
  /** Milliseconds from the process's last word to its end. */
  readonly ending: number;
  readonly output: string;
  readonly numbers: (what: string) => number[];
}

async function runScenario(
  scenario: string,
  { flags = [], limits = '' }: { flags?: readonly string[]; limits?: string } = {},
): Promise<Outcome> {
  const file = join(folder, 'test/process.fixture.mjs');
  const environment = { ...process.env };
  Reflect.deleteProperty(environment, 'NODE_OPTIONS');
  const command = [process.execPath, ...flags, file, scenario];
  const child = limits
    ? spawn('sh', ['-c', `${limits}; exec "$@"`, 'sh', ...command], { env: environment })
    : spawn(command[0]!, command.slice(1), { env: environment });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (text: Buffer) => (output += text.toString()));
  }
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) =>
    child.once('close', (...ended) => {
      resolve(ended);
    }),
  );
  const closed = Date.now();
  const numbers = (what: string) =>
    [...output.matchAll(new RegExp(`^${what} (\\S+)$`, 'gm'))].map(([, value]) => Number(value));
  const [last = NaN] = numbers('ending');
  return { code, signal, ending: closed - last, output, numbers };
}

function expectEnd(outcome: Outcome, code: number, within = 3000): void {
  const { signal, output, ending } = outcome;
  expect({ code: outcome.code, signal }, output).toEqual({ code, signal: null });
  expect(ending, output).toBeLessThan(within);
}

describe('a process', () => {
  test.each([
    { scenario: 'exit', code: 7 },
    { scenario: 'uncaught', code: 1 },
  ])('ends at once by $scenario with thousands of steps under way', async ({ scenario, code }) => {
    const outcome = await runScenario(scenario);
    expectEnd(outcome, code);
    // Otherwise it need not have dropped anything.
    expect(2000 * outcome.numbers('step')[0]!).toBeGreaterThan(6000);
  });

  test('ends by itself without anything disposed of', async () => {
    expectEnd(await runScenario('natural'), 0);
  });

  test('lives until queued steps are done, though nobody waits for them', async () => {
    expectEnd(await runScenario('queued'), 0);
  });

  test('is not kept alive by a backend that was never used', async () => {
    expectEnd(await runScenario('unused'), 0);
  });

  test('ends when only the queue still knows the backend', async () => {
    expectEnd(await runScenario('forgotten', { flags: ['--expose-gc'] }), 0);
  });

  test('has an idle processor when the backend is idle', async () => {
    const outcome = await runScenario('idle');
    expectEnd(outcome, 0);
    expect(outcome.numbers('microseconds')[0]).toBeLessThan(0.05 * 300_000);
  });

  // The limit on address space leaves room for some stacks of 1 GiB, not for 256 of them.
  test.skipIf(process.platform !== 'linux')(
    'is told that the system gives no more threads',
    async () => {
      const limits = 'ulimit -s 1048576 && ulimit -v 60000000';
      const outcome = await runScenario('threads', { limits });
      expectEnd(outcome, 0);
      expect(outcome.output).toContain('refused the system gives no more threads');
      expect(outcome.numbers('then')).toEqual([2]);
    },
  );
});

test('a worker is terminated in the middle of steps, and the process goes on', async () => {
  const outcome = await runScenario('worker');
  expectEnd(outcome, 0);
  expect(outcome.numbers('terminated')).toHaveLength(4);
  for (const milliseconds of outcome.numbers('terminated')) expect(milliseconds).toBeLessThan(3000);
  expect(outcome.numbers('worker ended')).toEqual([0]);
});

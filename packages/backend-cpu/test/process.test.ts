/**
 * Processes and workers that end while the backend works, in every way they can: promptly, with the right code, without
 * a crash. An idle backend keeps no process alive and no processor busy.
 */
import { spawn } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Bundle, bundleFixture } from './bundle-fixture.js';

let fixture: Bundle;

beforeAll(async () => {
  fixture = await bundleFixture('process.fixture');
});

afterAll(() => {
  fixture.remove();
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
  const environment = { ...process.env };
  Reflect.deleteProperty(environment, 'NODE_OPTIONS');
  const command = [process.execPath, ...flags, fixture.path, scenario];
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

describe.skipIf(process.platform !== 'linux')('without memory', () => {
  test('calls and jobs say so, and what is there stays usable', async () => {
    const outcome = await runScenario('memory', { limits: 'ulimit -v 8000000' });
    expectEnd(outcome, 0);
    const said = (what: string) => new RegExp(`^${what} (.+)$`, 'm').exec(outcome.output)?.[1];
    for (const what of ['createStates', 'write', 'read', 'run', 'compile']) {
      expect(said(what), `${what}\n${outcome.output}`).toBe('OUT_OF_MEMORY');
    }
    expect([said('then'), said('at last')], outcome.output).toEqual(['done', 'done']);
  });

  test('for more, vectors and states are made in what they take', async () => {
    const outcome = await runScenario('temporary');
    expectEnd(outcome, 0);
    const [vector, states] = ['vector', 'states'].map((what) => outcome.numbers(what)[0]!);
    // 64 MiB that it takes, and no more than a few for other things.
    expect(vector).toBeLessThan(90 * 2 ** 20);
    expect(states).toBeLessThan(290 * 2 ** 20);
    // Most of the time is the memory's, on another thread.
    expect(outcome.numbers('states call')[0]).toBeLessThan(outcome.numbers('states time')[0]! / 2);
  });
});

test.each(['compile', 'profile', 'createStates', 'allocateStates', 'calls'])(
  'a worker is terminated during %s, and the process goes on',
  async (task) => {
    const outcome = await runScenario(`during ${task}`);
    expectEnd(outcome, 0);
    expect(outcome.output).toContain(`terminated ${task}`);
  },
);

test('a worker is terminated in the middle of steps, and the process goes on', async () => {
  const outcome = await runScenario('worker');
  expectEnd(outcome, 0);
  expect(outcome.numbers('terminated')).toHaveLength(4);
  expect(outcome.numbers('threads left')).toEqual([0]);
  for (const milliseconds of outcome.numbers('terminated')) expect(milliseconds).toBeLessThan(3000);
  expect(outcome.numbers('worker ended')).toEqual([0]);
});

test('a worker that is terminated does not wait for the end of a step', async () => {
  const outcome = await runScenario('long');
  expectEnd(outcome, 0);
  expect(outcome.numbers('terminated')[0]).toBeLessThan(outcome.numbers('step')[0]! / 2);
});

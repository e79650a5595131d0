/** Which backend computes: `auto` and its fallback, the names, `--threads` and `--instructions`. */
import { describe, expect, it } from 'vitest';
import { nativeInstructions, runCli, runJson } from './run-cli.js';

/** Node itself refuses every addon, as a machine does for which there is none. */
const withoutAddons = { environment: { NODE_OPTIONS: '--no-addons' } };
const generate = ['generate', 'In', '--greedy', '-n', '8'];

interface Bench {
  readonly backend: string;
}
interface Report {
  readonly backend: string;
  readonly device?: string;
  readonly facts?: Readonly<Record<string, unknown>>;
  readonly usable: boolean;
  readonly unavailable?: string;
  readonly passed: number;
}

const bench = async (...args: string[]): Promise<string> => {
  const sizes = ['--prefill', '2', '--batch', '1', '--steps', '1', '--repeat', '1'];
  return ((await runJson(['bench', ...sizes, ...args])) as Bench).backend;
};
const doctor = async (args: readonly string[], options = {}): Promise<readonly Report[]> => {
  const report = await runJson(['doctor', '--group', 'manifest', ...args], options);
  return (report as { backends: Report[] }).backends;
};

describe('without the native addon', () => {
  it('auto computes with the reference, after one line that says why and where to read on', async () => {
    const [auto, reference] = await Promise.all([
      runCli(generate, withoutAddons),
      runCli([...generate, '--backend', 'reference'], withoutAddons),
    ]);
    expect(reference).toMatchObject({ code: 0, stderr: '' });
    expect(auto).toMatchObject({ code: 0, stdout: reference.stdout });
    expect(auto.stderr).toMatch(
      /^warning: The native CPU backend \S+ cannot be loaded on \S+ (\(.+\))?; computing with reference, .*`rwkv doctor --backend cpu`[^\n]*\n$/,
    );
  });

  it.each([
    ['the name', ['--backend', 'cpu']],
    ['a number of threads', ['--threads', '1']],
    ['instructions', ['--instructions', 'scalar']],
  ])('%s asks for it, and nothing else will do', async (_, args) => {
    const [people, machines] = await Promise.all([
      runCli([...generate, ...args], withoutAddons),
      runCli([...generate, ...args, '--json'], withoutAddons),
    ]);
    expect(people).toMatchObject({ code: 4, stdout: '' });
    expect(people.stderr).toMatch(/^error: The native CPU backend .*Tried:\n- .*\n- /);
    expect(people.stderr).toMatch(/\nWhat helps:\n- [^]*--backend auto/);
    expect(JSON.parse(machines.stdout)).toMatchObject({ error: { code: 'DEVICE_UNAVAILABLE' } });
  });

  it('doctor says why, and that the others are usable', async () => {
    const [reports, people] = await Promise.all([
      doctor([], withoutAddons),
      runCli(['doctor', '--group', 'manifest'], withoutAddons),
    ]);
    expect(reports.map(({ backend, usable }) => [backend, usable])).toEqual([
      ['cpu', false],
      ['reference', true],
      ['reference-f64', true],
      // The package that brings it is native code too.
      ['webgpu', false],
      ['cuda', false],
    ]);
    expect(reports[0]?.unavailable).toMatch(/Tried:[^]*What helps:/);
    expect(people.code).toBe(0);
    expect(people.stdout).toMatch(/^– cpu: not usable here\.\n {4}The native .*Tried:\n {4}- /m);
    const alone = await runCli(['doctor', '--backend', 'cpu'], withoutAddons);
    expect(alone.code).toBe(4);
  });
});

describe.skipIf(nativeInstructions.length === 0)('with the native addon (not built here)', () => {
  it('auto is cpu, with the best instructions', async () => {
    expect(await bench()).toMatch(new RegExp(`^cpu ${nativeInstructions[0]}, \\d+ threads?$`));
    expect(await bench('--backend', 'reference')).toBe('reference f32');
  });

  it('threads and instructions are taken', async () => {
    const [best = ''] = nativeInstructions;
    expect(await bench('--threads', '3')).toBe(`cpu ${best}, 3 threads`);
    expect(await bench('--threads', '1', '--instructions', 'auto')).toBe(`cpu ${best}, 1 thread`);
  });

  it.each(nativeInstructions)('%s writes what the reference writes', async (instructions) => {
    const [native, reference] = await Promise.all([
      runCli([...generate, '--instructions', instructions]),
      runCli([...generate, '--backend', 'reference']),
    ]);
    expect(native).toEqual(reference);
  });

  it('the number of threads changes nothing', async () => {
    const text = ['generate', 'And God said', '--seed', '5', '-n', '60', '--json', '--threads'];
    const [one, three] = (await Promise.all([
      runJson([...text, '1']),
      runJson([...text, '3']),
    ])) as { logprobs: unknown }[];
    expect(three?.logprobs).toEqual(one?.logprobs);
  });

  it('doctor names the addon, what it could compute with and what it does', async () => {
    const [report] = await doctor(['--threads', '1']);
    expect(report).toMatchObject({
      backend: 'cpu',
      device: `cpu ${nativeInstructions[0]}, 1 thread`,
      facts: {
        addon: expect.stringMatching(/^the (build|package) .*version/) as unknown,
        instructions: nativeInstructions,
      },
      usable: true,
    });
    expect(report?.passed).toBeGreaterThan(10);
  });

  it('instructions that are not there are a mistake, with those that are', async () => {
    for (const command of ['generate', 'doctor']) {
      const { code, stderr } = await runCli([command, '--instructions', 'avx51'], { input: 'In' });
      expect(code).toBe(2);
      expect(stderr).toBe(
        `error: the instructions 'avx51' are not available here; there are auto, ${nativeInstructions.join(', ')}.\n`,
      );
    }
  });
});

it('the reference has neither', async () => {
  const { code, stderr } = await runCli([...generate, '--backend', 'reference', '--threads', '2']);
  expect({ code, stderr }).toEqual({
    code: 2,
    stderr: "error: the backend 'reference' takes no --threads; for these there is cpu.\n",
  });
});

it('devices are for cuda, in a list', async () => {
  const [other, list, missing] = await Promise.all([
    runCli([...generate, '--backend', 'reference', '--device', '0,1']),
    runCli([...generate, '--device', '0,0']),
    runCli([...generate, '--device', '0,1'], withoutAddons),
  ]);
  expect(other).toMatchObject({ code: 2, stdout: '' });
  expect(other.stderr).toBe(
    "error: the backend 'reference' takes no --device; for these there is cuda.\n",
  );
  expect(list.code).toBe(2);
  expect(list.stderr).toContain('Expected devices from 0 to 255, separated by commas');
  expect(missing).toMatchObject({ code: 4, stdout: '' });
  expect(missing.stderr).toMatch(/^error: The .*CUDA/);
});

/** Ctrl-C: exit code 130, soon, and nothing half done left behind. */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CliOptions, runCli } from './run-cli.js';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rwkv-cli-interrupt-'));
  await writeFile(join(folder, 'long.txt'), 'word and '.repeat(30_000));
});
afterAll(() => rm(folder, { recursive: true }));

const anything = /./s;
const cases: readonly (readonly [string, readonly string[], CliOptions])[] = [
  [
    'text in the making',
    ['generate', 'In', '-n', '1000000', '--state-out', 'out.state'],
    { interruptAfter: { stream: 'stdout', text: /.{200}/s } },
  ],
  [
    'a long prompt',
    ['generate', '--prompt-file', 'long.txt', '-n', '5'],
    { interruptAfter: { stream: 'stdout', text: anything } },
  ],
  [
    'an answer, in a pipe',
    ['chat', '-n', '1000000'],
    { input: 'Hello\nAgain\n', interruptAfter: { stream: 'stdout', text: /.{100}/s } },
  ],
  ['a wait for input', ['tokenize', '--tokenizer', 'bytes', '--jsonl'], { interruptIn: 1500 }],
  ['a wait for a prompt', ['generate'], { interruptIn: 1500 }],
  ['a wait for a message', ['chat'], { interruptIn: 2000 }],
  ['a long computation', ['perplexity', '--file', 'long.txt'], { interruptIn: 1500 }],
  ['a measurement', ['bench', '--repeat', '10000'], { interruptIn: 1500 }],
  [
    'a self-test',
    ['doctor', '--verbose'],
    { interruptAfter: { stream: 'stdout', text: /ok .*ok /s } },
  ],
];

describe.skipIf(process.platform === 'win32')('Ctrl-C ends (no signals on Windows)', () => {
  it.for(cases)('%s', async ([, args, options]) => {
    const result = await runCli(args, { input: { open: true }, cwd: folder, ...options });
    expect(result.code).toBe(130);
    expect(result.stderr).not.toMatch(/error|at .*\.js/);
    expect(await readdir(folder)).toEqual(['long.txt']);
  });

  it('with --json still prints one object', async () => {
    const [bench, generate] = await Promise.all([
      runCli(['bench', '--repeat', '10000', '--json'], { interruptIn: 1500 }),
      runCli(['generate', 'In', '-n', '1000000', '--json'], { interruptIn: 1500 }),
    ]);
    expect(bench.code).toBe(130);
    expect(JSON.parse(bench.stdout)).toEqual({
      error: { code: 'INTERRUPTED', message: 'interrupted' },
    });
    expect(generate.code).toBe(130);
    // What there is, as the stream would have shown it.
    expect(JSON.parse(generate.stdout)).toMatchObject({ finishReason: 'abort' });
  });
});

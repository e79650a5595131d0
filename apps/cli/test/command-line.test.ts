/** What the command line promises as a whole: help, errors, exit codes, JSON, pipes. */
import { describe, expect, it } from 'vitest';
import { version } from '../package.json' with { type: 'json' };
import { runCli } from './run-cli.js';

const commands = [
  'generate',
  'chat',
  'tokenize',
  'inspect',
  'logits',
  'convert',
  'perplexity',
  'bench',
  'doctor',
  'cache',
];

describe('help', () => {
  it('of every command has an example or a list, and fits 80 columns', async () => {
    const [top, ...all] = await Promise.all([
      runCli(['--help']),
      ...commands.map((name) => runCli([name, '--help'])),
    ]);
    for (const name of commands) expect(top.stdout).toMatch(new RegExp(`^  ${name} `, 'm'));
    for (const { code, stdout, stderr } of [top, ...all]) {
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).toMatch(/^(Examples?|Backends of this build):$/m);
      for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
    }
  });

  it('has a version', async () => {
    expect(await runCli(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  });

  it('comes to standard error without a command', async () => {
    const { code, stdout, stderr } = await runCli([]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^Usage: rwkv /);
  });
});

/** Arguments, exit code, stable code, and what the line must say. */
const mistakes: readonly (readonly [readonly string[], number, string, RegExp])[] = [
  [['generat', 'x'], 2, 'USAGE', /unknown command 'generat'.*generate/],
  [['generate', '--temprature', '1'], 2, 'USAGE', /--temprature.*--temperature/],
  [['generate', 'a', 'b'], 2, 'USAGE', /too many arguments/],
  [['generate', 'a', '--prompt', 'b'], 2, 'USAGE', /one prompt/],
  [['generate', 'a', '-n', '1e9'], 2, 'USAGE', /whole number/],
  [['generate', 'a', '--backend', 'abacus'], 2, 'USAGE', /no backend 'abacus'.*reference/],
  [['generate', 'a', '--threads', '0'], 2, 'USAGE', /--threads.*1 to 256/],
  [['generate', 'a', '--ban', '256'], 2, 'USAGE', /--ban.*0 to 255, got 256/],
  [['generate', 'a', '--override', 'x'], 2, 'USAGE', /FIELD=VALUE/],
  [['generate', 'a', '--greedy', '-t', '1'], 2, 'USAGE', /exclude each other/],
  [['generate', 'a\\q', '--escape'], 2, 'USAGE', /\\q/],
  [['generate', ''], 3, 'PROMPT_EMPTY', /prompt is empty/],
  [['generate', '--tokens', '1,256'], 3, 'PROMPT_INVALID', /0 to 255, got 256/],
  [['generate', 'a', '--model', 'missing.pth'], 3, 'NOT_FOUND', /missing\.pth/],
  [['generate', 'a', '--model', '.'], 3, 'CONTAINER_UNKNOWN', /directory/],
  [['generate', 'a', '--model', 'package.json'], 3, 'CONTAINER_UNKNOWN', /package\.json/],
  [['generate', 'a', '--tokenizer', 'README.md'], 3, 'FORMAT_UNKNOWN', /README\.md/],
  [['generate', 'a', '--state-in', 'package.json'], 3, 'STATE_FILE_INVALID', /package\.json/],
  [['generate', 'a', '--state-out', 'none/x'], 3, 'INPUT', /no folder none/],
  [['generate', 'a', '--override', 'toes=5'], 3, 'CONFIG_INVALID', /toes.*headNormEpsilon/],
  [['perplexity', '--file', 'missing.txt'], 3, 'ENOENT', /missing\.txt: no such file/],
  [['doctor', '--group', 'none'], 2, 'USAGE', /manifest/],
  [['bench', '--batch', '0'], 2, 'USAGE', /sizes from 1/],
];

describe('a mistake', () => {
  it.for(mistakes)('%s: exit code %d', async ([args, exitCode, code, message]) => {
    const cwd = new URL('..', import.meta.url).pathname;
    const { code: exit, stdout, stderr } = await runCli([...args, '--json'], { cwd });
    expect(stderr).toMatch(/^error: [^\n]+\n$/);
    expect(stderr).toMatch(message);
    const line = stderr.slice('error: '.length, -1);
    expect({ exit, json: JSON.parse(stdout) as unknown }).toEqual({
      exit: exitCode,
      json: { error: { code, message: line } },
    });
  });
});

describe('pipes', () => {
  it('get no colours or progress bars, also in CI', async () => {
    const { stdout, stderr } = await runCli(['doctor', '--group', 'manifest', '--verbose'], {
      environment: { CI: 'true' },
    });
    expect(stdout + stderr).not.toContain('\u001b');
    expect(stdout).toMatch(/^✓ reference: \d+ cases passed, 0 failed/m);
  });

  it('have colours where they are forced', async () => {
    const { stderr } = await runCli(['generat'], { environment: { FORCE_COLOR: '1' } });
    expect(stderr).toContain('\u001b[31merror\u001b[39m');
  });

  it.skipIf(process.platform === 'win32')('may close early (not on Windows)', async () => {
    const result = await runCli(['generate', 'In', '-n', '200000'], { closeOutputAfter: 50 });
    expect(result).toMatchObject({ code: 0, stderr: '' });
  });
});

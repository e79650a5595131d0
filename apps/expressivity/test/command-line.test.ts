/** The command's grammar, answers and errors, in this process. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openModel } from '@rwkv-ts/weights';
import { fileSource } from '@rwkv-ts/weights/node';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { describeFailure } from '../src/failure.js';
import { createProgram } from '../src/program.js';
import { codeCell, markdownTable, writeReport } from '../src/report.js';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'expressivity-'));
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});

async function run(...words: string[]): Promise<string> {
  const lines: string[] = [];
  vi.spyOn(console, 'log').mockImplementation((line: unknown) => void lines.push(String(line)));
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  await createProgram().parseAsync(words, { from: 'user' });
  return lines.join('\n');
}

const failureOf = async (...words: string[]) =>
  run(...words).then(() => describeFailure(undefined), describeFailure);

test('answers, checks and saves', async () => {
  const path = join(folder, 'model.safetensors');
  const words = ['--backend', 'reference', '--check', '20', '--longest', '30', '--save', path];
  const output = await run('regular', '(ab)*', ...words, '--accept', 'abab', 'aba', '');
  expect(output).toContain('minimal automaton: 3 states; of the reversed strings: 3');
  expect(output).toContain('accepts "abab"\nrejects "aba"\naccepts ""');
  expect(output).toMatch(/^20 strings .* 0 strings and 0 prefixes wrong, 0 logits inexact/m);
  await using source = await fileSource(path);
  await using file = await openModel(source);
  expect(file.config.version).toBe('7');
});

test.each([
  [['regular', '(ab'], 3, 'expected a closing )'],
  [['regular', 'a', '--alphabet', 'aa'], 3, '1 to 256 different letters'],
  [['regular', '(a|b)*a(a|b){30}'], 3, 'more than 4096 states'],
  [['regular', 'a', '--backend', 'reference', '--accept', 'x'], 3, 'not in the alphabet'],
  [['regular', 'a', '--check', '0'], 2, undefined],
  [['regular', 'a', '--backend', 'abacus'], 2, undefined],
  [['memory', '--tokens', '10'], 2, undefined],
  [['unknown'], 2, undefined],
  [['--help'], 0, undefined],
])('%j ends with code %i', async (words, exitCode, line) => {
  vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  const failure = await failureOf(...words);
  expect(failure.exitCode).toBe(exitCode);
  if (line === undefined) expect(failure.line).toBeUndefined();
  else expect(failure.line).toContain(line);
});

test('tables hold patterns, and reports replace what was there', async () => {
  expect(markdownTable(['a', 'b'], [['x|y', 1]])).toBe('| a | b |\n| --- | ---: |\n| x\\|y | 1 |');
  expect(codeCell('a'.repeat(100))).toBe(`\`${'a'.repeat(57)}…\``);
  const path = join(folder, 'new', 'report.md');
  await writeReport(path, 'first');
  await writeReport(path, 'second');
  expect(await readFile(path, 'utf8')).toBe('second');
});

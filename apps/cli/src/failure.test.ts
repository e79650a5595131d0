import type { RwkvError } from '@rwkv-ts/backend';
import { GenerateError } from '@rwkv-ts/generate';
import { CommanderError } from 'commander';
import { expect, test } from 'vitest';
import { describeFailure, ExitError, InputError, inFile, UsageError } from './failure.js';

const system = (code: string, path?: string): Error =>
  Object.assign(new Error(`${code}: something`), { code, ...(path ? { path } : {}) });
const typed = (code: string, message = 'Bad.'): RwkvError =>
  new GenerateError({ code: code as 'ABORTED', message });

test.each([
  [new UsageError('u'), 2, 'USAGE', 'u'],
  [new InputError('i'), 3, 'INPUT', 'i'],
  [new InputError('i', { cause: typed('PROMPT_INVALID') }), 3, 'PROMPT_INVALID', 'i'],
  [typed('OPTION_INVALID'), 2, 'OPTION_INVALID', 'Bad.'],
  [typed('CONFIG_INVALID'), 3, 'CONFIG_INVALID', 'Bad.'],
  [typed('UNSUPPORTED_OP'), 4, 'UNSUPPORTED_OP', 'Bad.'],
  [typed('SINK_FAILED'), 1, 'SINK_FAILED', 'Bad.'],
  [typed('ABORTED'), 130, 'INTERRUPTED', 'interrupted'],
  [new DOMException('', 'AbortError'), 130, 'INTERRUPTED', 'interrupted'],
  [system('ENOENT', 'a.txt'), 3, 'ENOENT', 'a.txt: no such file'],
  [system('ENOSPC'), 1, 'ENOSPC', 'the disk is full'],
  [
    new CommanderError(
      1,
      'commander.unknownOption',
      "error: unknown option '-x'\n(Did you mean -y?)",
    ),
    2,
    'USAGE',
    "unknown option '-x' (Did you mean -y?) --help lists the options.",
  ],
])('%s', (error, exitCode, code, line) => {
  expect(describeFailure(error)).toEqual({ exitCode, code, line });
});

test('help and early exits say nothing more', () => {
  expect(describeFailure(new CommanderError(0, 'commander.helpDisplayed', ''))).toEqual({
    exitCode: 0,
  });
  expect(describeFailure(new CommanderError(1, 'commander.help', ''))).toEqual({ exitCode: 2 });
  expect(describeFailure(new ExitError(4))).toEqual({ exitCode: 4 });
});

test('a bug shows its stack', () => {
  const failure = describeFailure(new TypeError('oops'));
  expect(failure).toMatchObject({ exitCode: 1, code: 'UNEXPECTED' });
  expect(failure.line).toMatch(/oops[^]*failure\.test/);
});

test('what to do follows the message, after a full stop', () => {
  expect(describeFailure(typed('OUT_OF_MEMORY', 'No room')).line).toMatch(/^No room\. Try /);
  expect(describeFailure(typed('DEVICE_UNAVAILABLE', 'Tried:\n- it: no')).line).toBe(
    'Tried:\n- it: no.\nUntil then `--backend auto` computes with what works here.',
  );
  expect(describeFailure(typed('TOKENIZER_REQUIRED')).line).toMatch(/pass --tokenizer/);
});

test('the file is named once', async () => {
  const fails = (error: Error) => inFile('a.txt', () => Promise.reject(error));
  await expect(fails(typed('PROMPT_INVALID'))).rejects.toThrow('a.txt: Bad.');
  await expect(fails(system('ENOENT', 'a.txt'))).rejects.toThrow(/^a\.txt: no such file$/);
  await expect(fails(typed('ABORTED'))).rejects.toMatchObject({ code: 'ABORTED' });
  await expect(fails(new TypeError('bug'))).rejects.toThrow(TypeError);
  expect(await inFile('a.txt', async () => 5)).toBe(5);
});

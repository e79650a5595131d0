import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';

const folder = fileURLToPath(new URL('..', import.meta.url));
const built = join(folder, 'build/native-tests');
const [compiler = 'c++', ...options] = (process.env.CXX ?? 'c++').split(' ');

function execute(command: string, args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: folder, encoding: 'utf8' });
  return { status, output: `${stdout}${stderr}` };
}

const works = (flags: readonly string[]): boolean =>
  process.platform !== 'win32' &&
  spawnSync(compiler, [...options, ...flags, '-x', 'c++', '-', '-o', join(built, 'probe')], {
    input: 'int main() {}',
  }).status === 0;

beforeAll(() => {
  mkdirSync(built, { recursive: true });
});

describe.each([
  ['plain', []],
  ['ThreadSanitizer', ['-fsanitize=thread', '-g']],
])('job queue, %s', (name, flags) => {
  test('runs jobs in order and ends at any moment', { timeout: 240_000 }, ({ skip }) => {
    if (!works(flags)) {
      console.log(`job queue, ${name}: skipped, ${compiler} cannot build it.`);
      skip();
    }
    const program = join(built, `job-queue-${name}`);
    const shared = ['-std=c++17', '-O1', '-Wall', '-Wextra', '-Werror', '-pthread', '-Iinclude'];
    const source = 'test/job-queue.test.cc';
    const compiled = execute(compiler, [...options, ...shared, ...flags, source, '-o', program]);
    expect(compiled).toEqual({ status: 0, output: '' });
    // The sanitizer wants its addresses where a kernel with much randomisation may not leave them.
    const plain = spawnSync('setarch', ['-R', 'true']).status !== 0;
    const run = plain ? execute(program, []) : execute('setarch', ['-R', program]);
    expect(run).toEqual({ status: 0, output: '' });
  });
});

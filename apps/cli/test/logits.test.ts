/** `rwkv logits` against the official code's numbers: the whole path from the command line to the last digit. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  goldenFolder,
  goldenModels,
  goldenPath,
  goldenTitle,
  readExpected,
  worstDifference,
} from './golden.js';
import { nativeInstructions, runCli, runJson } from './run-cli.js';

interface Logits {
  readonly version: string;
  readonly vocabularySize: number;
  readonly tokens: readonly number[];
  readonly rows: number;
  readonly logits: readonly (readonly number[])[];
}

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rwkv-cli-logits-'));
});
afterAll(() => rm(folder, { recursive: true }));

const logitsOf = (args: readonly string[]): Promise<Logits> =>
  runJson(['logits', ...args]) as Promise<Logits>;

describe.skipIf(goldenFolder === undefined)(goldenTitle('logits of the golden models'), () => {
  it.for(goldenModels)('$id', async ({ id, path, expected, version }) => {
    const tokens = readExpected(expected, 's17.tokens');
    const truth = readExpected(expected, 's17.logits');
    const args = ['--model', path, '--tokens', tokens.join(','), '--all', '--backend'];
    const [exact, ...single] = await Promise.all([
      logitsOf([...args, 'reference-f64']),
      logitsOf([...args, 'reference']),
      ...(nativeInstructions.length > 0 ? [logitsOf([...args, 'cpu'])] : []),
    ]);
    expect(exact).toMatchObject({ version, tokens, rows: 17, vocabularySize: truth.length / 17 });
    expect(worstDifference(exact.logits.flat(), truth)).toBeLessThan(1e-10);
    // Processors that multiply bf16 may round activations to it, of which 8 bits are kept.
    const bounds = [3e-4, id.endsWith('bf16') ? 0.1 : 3e-4];
    for (const [index, { logits }] of single.entries())
      expect(worstDifference(logits.flat(), truth)).toBeLessThan(bounds[index]!);
  });

  it.for(goldenModels.filter(({ id }) => /^(v4|v5\.2|v6|v7) fp32/.test(id)))(
    '$id: 100 tokens, the last row only, in two runs joined by a state file',
    async ({ id, path, expected }) => {
      const tokens = readExpected(expected, 's100.tokens');
      const state = join(folder, `${id}.state`);
      const args = ['--model', path, '--backend', 'reference-f64'];
      await logitsOf([...args, '--tokens', tokens.slice(0, 60).join(), '--state-out', state]);
      const end = await logitsOf([
        ...args,
        '--tokens',
        tokens.slice(60).join(),
        '--state-in',
        state,
      ]);
      expect(end.rows).toBe(1);
      // The file holds f32.
      const difference = worstDifference(end.logits.flat(), readExpected(expected, 's100.logits'));
      expect(difference).toBeLessThan(3e-4);
      expect(difference).toBeGreaterThan(0);
    },
  );

  it('overrides the configuration: rwkv.cpp made its v5 numbers with another epsilon', async () => {
    const model = goldenPath('rwkv-cpp-tiny', 'tiny-rwkv-5v1-730K-FP32.bin');
    const args = ['--model', model, '--tokenizer', 'bytes', '--prompt', '"in'];
    const [plain, overridden] = await Promise.all([
      logitsOf(args),
      logitsOf([...args, '--override', 'headNormEpsilon=1e-5']),
    ]);
    const { readFileSync } = await import('node:fs');
    const file = readFileSync(goldenPath('rwkv-cpp-tiny', 'expected-logits-5v1-730K.bin'));
    const truth = Array.from({ length: 256 }, (_, at) => file.readFloatLE(at * 4));
    expect(worstDifference(overridden.logits.flat(), truth)).toBeLessThan(3e-4);
    expect(worstDifference(plain.logits.flat(), truth)).toBeGreaterThan(0.1);
  });
});

describe('rwkv logits', () => {
  it('prints the likeliest tokens for people and every number for machines', async () => {
    const [people, machines] = await Promise.all([
      runCli(['logits', '--prompt', 'In the', '--all', '--top', '2']),
      logitsOf(['--prompt', 'In the', '--all']),
    ]);
    expect(people).toMatchObject({ code: 0, stderr: '' });
    const lines = people.stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(6);
    expect(machines).toMatchObject({
      version: '7',
      vocabularySize: 256,
      tokens: [...Buffer.from('In the')],
      rows: 6,
    });
    for (const [index, row] of machines.logits.entries()) {
      const best = row.indexOf(Math.max(...row));
      expect(lines[index]).toMatch(
        new RegExp(
          `^after ${machines.tokens[index]}: ${best} ${row[best]?.toFixed(4)}  \\d+ \\S+$`,
        ),
      );
    }
  });

  it('reads escapes only when asked', async () => {
    const [literal, escaped] = await Promise.all([
      logitsOf(['--prompt', 'a\\n']),
      logitsOf(['--prompt', 'a\\n', '--escape']),
    ]);
    expect(literal.tokens).toEqual([97, 92, 110]);
    expect(escaped.tokens).toEqual([97, 10]);
  });
});

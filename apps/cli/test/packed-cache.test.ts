/** `--packed-cache`: the second run maps what the first one wrote, and nothing about the file can make a run fail. */
import {
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { demoModel } from '@rwkv-ts/demo-model';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type CliResult, nativeInstructions, runCli, runJson } from './run-cli.js';

let folder = '';
let model = '';
let packed = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rwkv-cli-packed-'));
  model = join(folder, 'model.safetensors');
  packed = join(folder, 'packed');
  copyFileSync(fileURLToPath(demoModel.url), model);
});
beforeEach(() => {
  rmSync(packed, { recursive: true, force: true });
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const generate = (...args: string[]): Promise<CliResult> =>
  runCli(['generate', '-m', model, 'In the', '--greedy', '-n', '12', ...args]);
const files = (): string[] => readdirSync(packed).map((name) => join(packed, name));

describe.skipIf(nativeInstructions.length === 0)('with the native addon (not built here)', () => {
  it('later runs map what the first one wrote', async () => {
    const plain = await generate();
    expect(plain).toMatchObject({ code: 0, stderr: '' });
    const first = await generate('--packed-folder', packed);
    const [file = ''] = files();
    expect(files()).toHaveLength(1);
    const written = statSync(file, { bigint: true });
    const second = await generate('--packed-folder', packed, '--packed-cache');
    expect([first, second]).toEqual([plain, plain]);
    const left = statSync(file, { bigint: true });
    expect([left.ino, left.mtimeNs]).toEqual([written.ino, written.mtimeNs]);
  });

  it('the default folder is among the caches', async () => {
    const environment = { XDG_CACHE_HOME: folder, HOME: folder, LOCALAPPDATA: folder };
    const prompt = ['generate', 'In the', '--greedy', '-n', '2', '--packed-cache'];
    expect(await runCli(prompt, { environment })).toMatchObject({ code: 0, stderr: '' });
    const names = readdirSync(folder, { recursive: true }).map(String);
    expect(names.filter((name) => /rwkv-ts.packed.[0-9a-f]{64}\.packed$/.test(name))).toHaveLength(
      1,
    );
  });

  it('what it knows of the weights is as it was', async () => {
    const sizes = ['--prefill', '2', '--batch', '1', '--steps', '1', '--repeat', '1'];
    const bench = () => runJson(['bench', '-m', model, ...sizes, '--packed-folder', packed]);
    const [first, second] = [await bench(), await bench()] as { weightBytes: number }[];
    expect(first?.weightBytes).toBeGreaterThan(1e6);
    expect(second?.weightBytes).toBe(first?.weightBytes);
  });

  it('another date of the model, or other overrides, are another file', async () => {
    await generate('--packed-folder', packed);
    await generate('--packed-folder', packed, '--override', 'headNormEpsilon=1e-5');
    expect(files()).toHaveLength(2);
    utimesSync(model, 1e9, 1e9);
    await generate('--packed-folder', packed);
    expect(files()).toHaveLength(3);
  });

  it('a damaged file is written anew, after a warning', async () => {
    const plain = await generate('--packed-folder', packed);
    const [file = ''] = files();
    const whole = readFileSync(file);
    for (const damaged of [whole.subarray(0, whole.length / 2), Buffer.from('text')]) {
      // In place would change what is mapped; this is another file of the same name.
      rmSync(file);
      writeFileSync(file, damaged);
      const again = await generate('--packed-folder', packed);
      expect(again).toMatchObject({ code: 0, stdout: plain.stdout });
      expect(again.stderr).toMatch(
        /^warning: \S+\.packed is not used, and written anew: [^\n]*\n$/,
      );
      expect(readFileSync(file).equals(whole)).toBe(true);
    }
  });

  it('where nothing can be written, that is a warning', async () => {
    for (const place of [model, join(model, 'below')]) {
      const result = await generate('--packed-folder', place);
      expect(result.code).toBe(0);
      expect(result.stderr).toMatch(/^warning: the packed weights are not kept: [^\n]*\n$/);
    }
  });
});

it('a backend that packs nothing says so, and computes', async () => {
  const result = await generate('--packed-folder', packed, '--backend', 'reference');
  expect(result.code).toBe(0);
  expect(result.stderr).toMatch(/^warning: reference f32 packs no weights[^\n]*\n$/);
});

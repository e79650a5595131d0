/** `rwkv inspect` and `rwkv convert`. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { demoModel } from '@rwkv-ts/demo-model';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { goldenFolder, goldenPath, goldenTitle } from './golden.js';
import { runCli, runJson } from './run-cli.js';

let folder = '';
const path = (name: string): string => join(folder, name);
const demo = fileURLToPath(demoModel.url);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rwkv-cli-files-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function logitsOf(model: string): Promise<unknown> {
  const { version, logits } = (await runJson([
    'logits',
    '--model',
    model,
    '--tokens',
    '5,0,77,77,12',
    '--all',
  ])) as { version: string; logits: number[][] };
  return { version, logits };
}

describe('rwkv convert', () => {
  it('the demonstration model to GGUF and back gives the same logits', async () => {
    const gguf = await runJson(['convert', demo, path('demo.gguf'), '--format', 'f32']);
    expect(gguf).toMatchObject({ target: 'gguf', version: '7' });
    const back = await runCli(['convert', path('demo.gguf'), path('demo.safetensors')]);
    expect(back.stdout).toMatch(/demo\.safetensors: RWKV-7, 3\.\d+ MiB\n$/);
    const [before, ...after] = await Promise.all(
      [demo, path('demo.gguf'), path('demo.safetensors')].map(logitsOf),
    );
    for (const logits of after) expect(logits).toEqual(before);
  });

  it('quantises', async () => {
    await runJson(['convert', demo, path('demo-q8.gguf'), '--format', 'q8_0']);
    const facts = await runJson(['inspect', path('demo-q8.gguf')]);
    expect(facts).toMatchObject({ container: 'gguf', formats: { q8_0: {} } });
  });

  it('keeps what is there unless told, and leaves no half file', async () => {
    const target = path('taken.safetensors');
    await writeFile(target, 'mine');
    const args = ['convert', demo, target];
    const refused = await runCli([...args, '--json']);
    expect(refused.code).toBe(3);
    expect(refused.stderr).toBe(`error: ${target} exists already; --force replaces it.\n`);
    expect(JSON.parse(refused.stdout)).toEqual({
      error: { code: 'INPUT', message: `${target} exists already; --force replaces it.` },
    });
    expect(await readFile(target, 'utf8')).toBe('mine');
    expect((await runCli([...args, '--force'])).code).toBe(0);
    expect(await logitsOf(target)).toEqual(await logitsOf(demo));

    await writeFile(path('broken.safetensors'), (await readFile(demo)).subarray(0, 100_000));
    const before = await readdir(folder);
    const results = await Promise.all([
      runCli(['convert', path('broken.safetensors'), path('out.gguf')]),
      runCli(['convert', demo, path('none/out.gguf')]),
      runCli(['convert', demo, folder, '--to', 'gguf', '--force']),
      runCli(['convert', demo, path('out.gguf'), '--tokenizer', 'bytes']),
      runCli(['convert', demo, path('out.bin')]),
      runCli(['convert', demo, path('out.safetensors'), '--format', 'q4_0']),
    ]);
    expect(results.map(({ code }) => code)).toEqual([3, 3, 3, 2, 2, 2]);
    for (const { stderr } of results) expect(stderr).toMatch(/^error: [^\n]+\n$/);
    expect(await readdir(folder)).toEqual(before);
  });

  it.skipIf(goldenFolder === undefined)(goldenTitle('.pth of each version'), async () => {
    await Promise.all(
      ['v4', 'v5.2', 'v6', 'v7'].map(async (version) => {
        const original = goldenPath(version, 'model.fp32.pth');
        const converted = path(`${version}.safetensors`);
        await runJson(['convert', original, converted]);
        expect(await logitsOf(converted)).toEqual(await logitsOf(original));
      }),
    );
    const v7 = goldenPath('v7', 'model.fp32.pth');
    await runJson(['convert', v7, path('v7.gguf'), '--format', 'f32']);
    expect(await logitsOf(path('v7.gguf'))).toEqual(await logitsOf(v7));
    const v4 = await runCli(['convert', goldenPath('v4', 'model.fp32.pth'), path('v4.gguf')]);
    expect(v4).toMatchObject({ code: 3, stdout: '' });
    expect(v4.stderr).toMatch(/RWKV-4.*write safetensors instead/);
  });
});

/** One tensor of one number. */
function safetensorsOf(name: string): Uint8Array {
  const header = JSON.stringify({ [name]: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(header)));
  return Buffer.concat([length, Buffer.from(header), Buffer.alloc(4)]);
}

describe('rwkv inspect', () => {
  it('says what is in a file', async () => {
    const [people, machines] = await Promise.all([
      runCli(['inspect', demo, '--tensors']),
      runJson(['inspect', demo, '--tensors']) as Promise<{
        parameters: number;
        tensors: { name: string; shape: number[] }[];
      }>,
    ]);
    expect(people).toMatchObject({ code: 0, stderr: '' });
    for (const label of ['file', 'model', 'sizes', 'weights', 'memory', 'fits', 'tokenizer'])
      expect(people.stdout).toMatch(new RegExp(`^${label} +\\S`, 'm'));
    expect(machines).toMatchObject({
      container: 'safetensors',
      config: { version: '7', vocabularySize: 256 },
      tokenizer: 'bytes',
    });
    const counted = machines.tensors.reduce(
      (sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1),
      0,
    );
    expect(counted).toBe(machines.parameters);
    for (const { name } of machines.tensors) expect(people.stdout).toContain(name);
  });

  it('says why a file is refused', async () => {
    await writeFile(path('note.txt'), 'these are words');
    await writeFile(path('empty.pth'), '');
    await writeFile(path('other.safetensors'), safetensorsOf('some.tensor'));
    await writeFile(path('evil.safetensors'), safetensorsOf('evil\u001b[2J'));
    const expected = [
      ['note.txt', 'CONTAINER_UNKNOWN'],
      ['empty.pth', 'CONTAINER_UNKNOWN'],
      ['missing.pth', 'NOT_FOUND'],
      ['.', 'CONTAINER_UNKNOWN'],
      ['evil.safetensors', 'CONTAINER_INVALID'],
      ['other.safetensors', 'LAYOUT_UNKNOWN'],
    ] as const;
    const results = await Promise.all(
      expected.map(([name]) => runCli(['inspect', path(name), '--json'])),
    );
    for (const [index, [name, code]] of expected.entries()) {
      const { code: exit, stdout, stderr } = results[index]!;
      const { error } = JSON.parse(stdout) as { error: { code: string; message: string } };
      expect({ name, exit, code: error.code }).toEqual({ name, exit: 3, code });
      expect(error.message.length).toBeGreaterThan(20);
      expect(stdout + stderr).not.toContain('\u001b');
    }
    const shown = await runCli(['inspect', path('other.safetensors'), '--tensors']);
    expect(shown.stdout).toMatch(/^refused +.*no RWKV layout has these tensor names/m);
  });
});

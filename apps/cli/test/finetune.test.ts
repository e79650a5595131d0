/** `rwkv finetune` and `rwkv tune-state`, on a tiny model that `rwkv train` made. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCli, runJson } from './run-cli.js';

let folder = '';
const path = (name: string): string => join(folder, name);
const common = ['--tokenizer', 'bytes', '--backend', 'reference', '--context', '24'];
const short = ['--steps', '3', '--sequences', '2', '--warmup-steps', '0'];
const reference = ['--backend', 'reference', '--tokenizer', 'bytes'];

/** The demonstration model is too large for the reference to train in a test. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rwkv-cli-finetune-'));
  const lines = Array.from({ length: 40 }, (_, index) =>
    JSON.stringify({ prompt: `${index}?`, completion: ` ${index * 2}.` }),
  );
  await writeFile(path('sums.jsonl'), lines.join('\n'));
  await runJson(['prepare', path('sums.jsonl'), '-o', path('sums'), '--tokenizer', 'bytes']);
  const model = ['--layers', '2', '--channels', '32', '--head-size', '16'];
  const train = ['train', '--data', path('sums'), '-o', path('base'), ...model, ...common];
  await runJson([...train, '--steps', '12', '--sequences', '2', '--learning-rate', '1e-2']);
}, 120_000);
afterAll(() => rm(folder, { recursive: true }));

const base = (): string[] => ['--model', path('base/model.safetensors')];
const perplexity = async (...args: string[]): Promise<number> => {
  const text = ['--text', '7? 14.9? 18.', '--json'];
  const told = await runJson(['perplexity', ...text, ...base(), ...reference, ...args]);
  return (told as { perplexity: number }).perplexity;
};

describe('rwkv finetune', () => {
  it('writes an adapter that other commands load, and goes on', async () => {
    const args = ['finetune', ...base(), '--data', path('sums'), '-o', path('lora'), ...common];
    const more = ['--rank', '2', '--learning-rate', '5e-2', '--checkpoint-every', '2', ...short];
    const file = path('lora/adapter.safetensors');
    expect(await runJson([...args, ...more])).toMatchObject({ file, step: 3 });
    const adapted = await perplexity('--adapter', file);
    expect(Math.abs(adapted / (await perplexity()) - 1)).toBeGreaterThan(1e-3);
    const merged = path('merged.safetensors');
    const model = path('base/model.safetensors');
    await runJson(['convert', model, merged, '--adapter', file]);
    const told = await runJson([
      ...['perplexity', '--text', '7? 14.9? 18.', '--model', merged, ...reference],
    ]);
    expect((told as { perplexity: number }).perplexity).toBeCloseTo(adapted, 3);
    expect(
      await runJson(['finetune', '--resume', '-o', path('lora'), '--steps', '5']),
    ).toMatchObject({ outcome: 'finished', step: 5 });
    const other = await runCli(['finetune', '--resume', '-o', path('lora'), '--rank', '4']);
    expect(other.code).toBe(2);
    expect(other.stderr).toMatch(/--rank of this run is 2/);
  });

  it('trains every weight with --mode full', async () => {
    const args = ['finetune', ...base(), '--data', path('sums'), '-o', path('full'), ...common];
    await runJson([...args, '--mode', 'full', ...short]);
    expect(await readdir(path('full'))).toContain('model.safetensors');
  });
});

describe('rwkv tune-state', () => {
  it('writes a state that other commands start from', async () => {
    const args = ['tune-state', ...base(), '--data', path('sums'), ...common, ...short];
    const file = path('state/states.safetensors');
    expect(
      await runJson([...args, '-o', path('state'), '--sample-every', '3', '--sample-tokens', '4']),
    ).toMatchObject({ file, step: 3 });
    expect(await readFile(path('state/log.jsonl'), 'utf8')).toContain('"type":"sample"');
    const tuned = await perplexity('--initial-state', file);
    expect(tuned).not.toBeCloseTo(await perplexity(), 6);
    const again = ['-o', path('again'), '--initial-state', file];
    expect(await runJson([...args, ...again])).toMatchObject({ step: 3 });
  });

  it('says what is missing', async () => {
    const results = await Promise.all([
      runCli(['tune-state', '-o', path('x'), '--tokenizer', 'bytes']),
      runCli(['finetune', ...base(), '-o', path('x')]),
      runCli([
        'finetune',
        '--targets',
        'att.none',
        ...base(),
        '-o',
        path('x'),
        ...common,
        ...['--data', path('sums')],
      ]),
    ]);
    expect(results.map(({ code }) => code)).toEqual([2, 2, 2]);
    const [model, tokenizer, targets] = results.map(({ stderr }) => stderr);
    expect(model).toMatch(/--model is missing/);
    expect(tokenizer).toMatch(/--tokenizer is missing/);
    expect(targets).toMatch(/targets must be/);
  });
});

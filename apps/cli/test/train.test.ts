/** `rwkv train`: from text to a model that generates, and a run that goes on where it was. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCli, runJson } from './run-cli.js';

let folder = '';
const path = (name: string): string => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rwkv-cli-train-'));
  const text = Array.from({ length: 600 }, (_, index) => `line ${index % 7} of ${index % 5}. `);
  await writeFile(path('book.txt'), text.join(''));
  const args = ['--tokenizer', 'bytes', '--held-out', '0.1'];
  await runJson(['prepare', path('book.txt'), '-o', path('book'), ...args]);
  await writeFile(
    path('tiny.yaml'),
    `# A model that a test has time for.
data: ${path('book')}
tokenizer: bytes
layers: 2
channels: 32
headSize: 16
context: 16
sequences: 2
steps: 8
learningRate: 1e-2
warmupSteps: 2
evaluateEvery: 4
evaluationSamples: 4
backend: reference
`,
  );
});
afterAll(() => rm(folder, { recursive: true }));

const train = (output: string, ...args: string[]) =>
  runCli(['train', path('tiny.yaml'), '--output', path(output), ...args]);
const modelOf = (run: string): Promise<Buffer> => readFile(path(`${run}/model.safetensors`));

describe('rwkv train', () => {
  it('trains, logs, draws, and writes a model that generates', async () => {
    const result = await runJson(
      ['train', 'tiny.yaml', '-o', 'run', '--chunk', '8', '--sample-every', '8', '--steps', '8'],
      { cwd: folder },
    );
    expect(result).toMatchObject({
      file: join('run', 'model.safetensors'),
      outcome: 'finished',
      step: 8,
      tokensTotal: 8 * 2 * 16,
      skipped: 0,
      evaluation: { samples: 4, tokens: 64 },
    });
    const names = await readdir(path('run'));
    expect(names.sort()).toEqual([
      'checkpoints',
      'config.json',
      'log.jsonl',
      'loss.svg',
      'model.safetensors',
    ]);
    const events = (await readFile(path('run/log.jsonl'), 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { type: string; step: number });
    const count = (type: string) => events.filter((event) => event.type === type).length;
    expect(['begin', 'step', 'evaluation', 'sample', 'checkpoint', 'end'].map(count)).toEqual([
      1, 8, 2, 1, 8, 1,
    ]);
    const config = JSON.parse(await readFile(path('run/config.json'), 'utf8')) as object;
    expect(config).toMatchObject({
      command: 'train',
      settings: { channels: 32, chunk: 8, steps: 8, seed: 0, learningRate: 0.01 },
    });
    expect(await readFile(path('run/loss.svg'), 'utf8')).toContain('RWKV-7, 2 layers of 32');
    const model = ['--model', path('run/model.safetensors'), '--backend', 'reference'];
    const text = (await runJson(['generate', 'line', '-n', '4', ...model])) as { tokens: number[] };
    expect(text.tokens).toHaveLength(4);
  });

  it.skipIf(process.platform === 'win32')(
    'Ctrl-C saves, and --resume ends as if nothing had happened',
    async () => {
      const whole = train('whole');
      const interrupted = await runCli(['train', path('tiny.yaml'), '--output', path('halves')], {
        interruptAfter: { stream: 'stderr', text: /4\/8 {2}held out/ },
      });
      expect(interrupted).toMatchObject({ code: 130, stdout: '' });
      expect(interrupted.stderr).toMatch(/interrupted at update [4-7]; --resume goes on/);
      expect(await readdir(path('halves'))).not.toContain('model.safetensors');
      const resumed = await runCli(['train', '--resume', '--output', path('halves')]);
      expect(resumed).toMatchObject({ code: 0 });
      const expected = await whole;
      expect(expected.stdout.replace('whole', 'halves')).toBe(resumed.stdout);
      expect((await modelOf('halves')).equals(await modelOf('whole'))).toBe(true);
      const steps = (await readFile(path('halves/log.jsonl'), 'utf8')).match(/"type":"step"/g);
      expect(steps).toHaveLength(8);
    },
  );

  it('says what is wrong', async () => {
    await writeFile(path('bad.yaml'), 'layers: [1\n');
    await writeFile(path('odd.yaml'), 'layer: 3\n');
    await writeFile(path('taken.json'), '{"steps": 1}');
    await runCli(['train', path('tiny.yaml'), '--output', path('taken'), '--steps', '1']);
    const results = await Promise.all([
      runCli(['train', path('bad.yaml'), '-o', path('x')]),
      runCli(['train', path('odd.yaml'), '-o', path('x')]),
      runCli(['train', path('tiny.yaml')]),
      runCli(['train', '-o', path('x'), '--tokenizer', 'bytes']),
      train('taken'),
      train('taken', '--resume', '--channels', '64'),
      train('none', '--resume'),
      train('x', '--context', '100000'),
      train('x', '--head-size', '24'),
    ]);
    const said = results.map(({ code, stderr }) => [code, stderr] as const);
    const expected: [number, RegExp][] = [
      [3, /bad\.yaml: .*line/],
      [2, /odd\.yaml: 'layer' is no setting of rwkv train/],
      [2, /--output is missing/],
      [2, /nothing to learn from: give --data/],
      [3, /taken holds a run already: go on with --resume/],
      [2, /--channels of this run is 32/],
      [2, /holds no run/],
      [3, /need at least/],
      [3, /heads/],
    ];
    for (const [index, [code, message]] of expected.entries()) {
      expect(said[index]![1], String(index)).toMatch(message);
      expect(said[index]![0], String(index)).toBe(code);
    }
  });
});

/** `rwkv eval`. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCli, runJson } from './run-cli.js';

interface Report {
  readonly model: string;
  readonly fingerprint: string;
  readonly backend: string;
  readonly tasks: readonly {
    readonly name: string;
    readonly task: string;
    readonly items: number;
    readonly tokens: number;
    readonly metrics: Record<string, { value: number; standardError: number | null }>;
  }[];
}

let folder = '';
const path = (name: string): string => join(folder, name);
const text = 'And God said, Let there be light: and there was light.';
const reference = ['--backend', 'reference'];
const questions = [
  {
    query: 'In the beginning God created the heaven and the',
    choices: ['earth', 'qzx', 'dog'],
    gold: 0,
  },
  { query: 'And God said, Let there be', choices: ['jj', 'light'], gold: 'light' },
  { query: 'Adam and', choices: ['zzz', 'Eve'], label: 0 },
];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rwkv-cli-eval-'));
  await writeFile(path('text.txt'), text);
  await writeFile(
    path('words.jsonl'),
    [text, 'Let there be light'].map((each) => `${JSON.stringify({ text: each })}\n`).join('\n'),
  );
  await writeFile(
    path('questions.jsonl'),
    questions.map((each) => JSON.stringify(each)).join('\n'),
  );
});
afterAll(() => rm(folder, { recursive: true }));

/** Log p of what stands behind `context` characters of `prompt`, from the logits. */
async function logprobOf(prompt: string, context: number): Promise<number> {
  const { logits, tokens } = (await runJson([
    ...['logits', '--prompt', prompt, '--all', '--backend', 'reference-f64'],
  ])) as { logits: number[][]; tokens: number[] };
  let sum = 0;
  for (let at = context; at < tokens.length; at++) {
    const row = logits[at - 1]!;
    const largest = Math.max(...row);
    sum +=
      row[tokens[at]!]! -
      largest -
      Math.log(row.reduce((total, logit) => total + Math.exp(logit - largest), 0));
  }
  return sum;
}

describe('rwkv eval', () => {
  it('scores files, and writes JSON, Markdown and samples', async () => {
    const outputs = ['-o', path('r.json'), '-o', path('r.md'), '--samples', path('s.jsonl')];
    const report = (await runJson([
      ...['eval', ...reference, '--perplexity', path('text.txt'), '--lambada', path('words.jsonl')],
      ...['--choices', `asked=${path('questions.jsonl')}`, ...outputs],
    ])) as Report;
    expect(report.tasks).toMatchObject([
      { name: 'text', task: 'perplexity', items: 1, tokens: text.length - 1 },
      { name: 'words', task: 'lambada', items: 2, tokens: 2 * 6 + 1 },
      { name: 'asked', task: 'choices', items: 3 },
    ]);
    const [perplexity, lambada, choices] = report.tasks.map(({ metrics }) => metrics);
    const whole = await logprobOf(text, 1);
    expect(perplexity!['perplexity']!.value).toBeCloseTo(Math.exp(-whole / 53), 3);
    expect(perplexity!['bits_per_byte']!.standardError).toBeNull();
    const words = await Promise.all([
      logprobOf(text, text.lastIndexOf(' ')),
      logprobOf('Let there be light', 12),
    ]);
    const expected = Math.exp(-(words[0] + words[1]) / 2);
    expect(lambada!['perplexity']!.value / expected).toBeCloseTo(1, 3);
    // The third says that the worse choice is right.
    expect(choices).toMatchObject({ acc: { value: 2 / 3 }, acc_norm: { value: 2 / 3 } });
    expect(choices!['acc']!.standardError).toBeCloseTo(1 / 3, 9);

    expect(JSON.parse(await readFile(path('r.json'), 'utf8'))).toEqual(report);
    const markdown = await readFile(path('r.md'), 'utf8');
    expect(markdown).toContain('| asked | 3 | ');
    expect(markdown).toMatch(/^- Model: the bundled demonstration model\n- Fingerprint: /);
    const samples = (await readFile(path('s.jsonl'), 'utf8'))
      .trim()
      .split('\n')
      .map((line): unknown => JSON.parse(line));
    expect(samples).toHaveLength(6);
    expect(samples[5]).toMatchObject({
      name: 'asked',
      index: 2,
      kind: 'choice',
      gold: 0,
      chosen: 1,
    });
  });

  it('shows a table, of the first items where told', async () => {
    const shown = await runCli([
      'eval',
      ...reference,
      '--choices',
      path('questions.jsonl'),
      '--limit',
      '2',
      '--batch',
      '1',
    ]);
    expect(shown.stderr).toBe('');
    expect(shown.stdout.split('\n').map((line) => line.split(/ +/))).toEqual([
      ['task', 'items', 'metric', 'value', '±'],
      ['questions', '2', 'acc', '1.0000', '0.0000'],
      ['questions', '2', 'acc_norm', '1.0000', '0.0000'],
      [''],
    ]);
  });

  it('says what is wrong before it loads the model', async () => {
    await writeFile(
      path('broken.jsonl'),
      '{"query":"q","choices":["a","b"],"gold":0}\n{"query":"q"}\n',
    );
    await writeFile(path('empty.jsonl'), '\n');
    const before = (await readdir(folder)).sort();
    const run = (...args: string[]) => runCli(['eval', ...args]);
    const [none, ending, twice, broken, json, missing, empty, noFolder] = await Promise.all([
      run(),
      run('--lambada', path('words.jsonl'), '-o', 'results.txt'),
      run('--lambada', path('words.jsonl'), '--perplexity', path('words.jsonl')),
      run('--choices', path('broken.jsonl'), '-o', path('out.json'), '--json'),
      run('--choices', path('text.txt')),
      run('--choices', path('absent.jsonl')),
      run('--choices', path('empty.jsonl')),
      run('--choices', path('questions.jsonl'), '-o', path('no/out.md')),
    ]);
    expect([none, ending, twice].map(({ code }) => code)).toEqual([2, 2, 2]);
    expect(none.stderr).toMatch(/nothing to score: give --perplexity/);
    expect(ending.stderr).toMatch(/ends in \.json or \.md/);
    expect(twice.stderr).toMatch(/two files are called words: give one as NAME=FILE/);
    expect([broken, json, missing, empty, noFolder].map(({ code }) => code)).toEqual([
      3, 3, 3, 3, 3,
    ]);
    expect(broken.stderr).toMatch(/broken\.jsonl: line 2: expected the fields of hellaswag/);
    expect(JSON.parse(broken.stdout)).toMatchObject({ error: { code: 'EVALUATION_INVALID' } });
    expect(json.stderr).toMatch(/text\.txt: line 1 is not JSON: And God/);
    expect((await readdir(folder)).sort()).toEqual(before);
  });

  it.skipIf(process.platform === 'win32')('ends at Ctrl-C and writes nothing', async () => {
    await writeFile(path('long.txt'), text.repeat(2000));
    const before = (await readdir(folder)).sort();
    const result = await runCli(
      ['eval', ...reference, '--perplexity', path('long.txt'), '-o', path('out.json')],
      { interruptIn: 1500 },
    );
    expect(result).toMatchObject({ code: 130, stdout: '' });
    expect((await readdir(folder)).sort()).toEqual(before);
  });
});

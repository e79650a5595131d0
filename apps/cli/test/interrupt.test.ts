/** Ctrl-C: exit code 130, soon, and nothing half done left behind. */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CliOptions, runCli } from './run-cli.js';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rwkv-cli-interrupt-'));
  await writeFile(join(folder, 'long.txt'), 'word and '.repeat(30_000));
});
afterAll(() => rm(folder, { recursive: true }));

const anything = /./s;
const cases: readonly (readonly [string, readonly string[], CliOptions])[] = [
  [
    'text in the making',
    ['generate', 'In', '-n', '1000000', '--state-out', 'out.state'],
    { interruptAfter: { stream: 'stdout', text: /.{200}/s } },
  ],
  [
    'a long prompt',
    ['generate', '--prompt-file', 'long.txt', '-n', '5'],
    { interruptAfter: { stream: 'stdout', text: anything } },
  ],
  [
    'an answer, in a pipe',
    ['chat', '-n', '1000000'],
    { input: 'Hello\nAgain\n', interruptAfter: { stream: 'stdout', text: /.{100}/s } },
  ],
  ['a wait for input', ['tokenize', '--tokenizer', 'bytes', '--jsonl'], { interruptIn: 700 }],
  ['a wait for a prompt', ['generate'], { interruptIn: 700 }],
  ['a wait for a message', ['chat'], { interruptIn: 700 }],
  ['a long computation', ['perplexity', '--file', 'long.txt'], { interruptIn: 700 }],
  ['a measurement', ['bench', '--repeat', '10000'], { interruptIn: 700 }],
  [
    'a self-test',
    ['doctor', '--verbose'],
    { interruptAfter: { stream: 'stdout', text: /ok .*ok /s } },
  ],
];

/** A model of zeros, 64 MiB: big enough that its conversion can be caught in the act. */
function largeModel(): Uint8Array {
  const [channels, vocabulary, hidden, rank] = [128, 65_536, 512, 32];
  const shapes: [string, number[]][] = [['emb.weight', [vocabulary, channels]]];
  for (const layer of [0, 1]) {
    const add = (name: string, ...shape: number[]) =>
      shapes.push([`blocks.${layer}.${name}`, shape]);
    for (const norm of [...(layer === 0 ? ['ln0'] : []), 'ln1', 'ln2', 'att.ln_x']) {
      add(`${norm}.weight`, channels);
      add(`${norm}.bias`, channels);
    }
    for (const name of ['x_r', 'x_w', 'x_k', 'x_v', 'x_a', 'x_g', 'w0', 'a0', 'k_k', 'k_a'])
      add(`att.${name}`, 1, 1, channels);
    add('att.r_k', 2, 64);
    if (layer > 0) add('att.v0', 1, 1, channels);
    for (const letter of ['w', 'a', 'g', ...(layer > 0 ? ['v'] : [])]) {
      add(`att.${letter}1`, channels, rank);
      add(`att.${letter}2`, rank, channels);
    }
    for (const name of ['receptance', 'key', 'value', 'output'])
      add(`att.${name}.weight`, channels, channels);
    add('ffn.x_k', 1, 1, channels);
    add('ffn.key.weight', hidden, channels);
    add('ffn.value.weight', channels, hidden);
  }
  shapes.push(['ln_out.weight', [channels]], ['ln_out.bias', [channels]]);
  shapes.push(['head.weight', [vocabulary, channels]]);
  let end = 0;
  const header: Record<string, unknown> = {};
  for (const [name, shape] of shapes) {
    const begin = end;
    end += shape.reduce((product, size) => product * size, 4);
    header[name] = { dtype: 'F32', shape, data_offsets: [begin, end] };
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, Buffer.alloc(end)]);
}

describe.skipIf(process.platform === 'win32')('Ctrl-C ends (no signals on Windows)', () => {
  it.for(cases)('%s', async ([, args, options]) => {
    const result = await runCli(args, { input: { open: true }, cwd: folder, ...options });
    expect(result.code).toBe(130);
    expect(result.stderr).not.toMatch(/error|at .*\.js/);
    expect(await readdir(folder)).toEqual(['long.txt']);
  });

  it('a conversion, without a half file', async () => {
    await writeFile(join(folder, 'large.safetensors'), largeModel());
    try {
      const result = await runCli(['convert', 'large.safetensors', 'out.gguf'], {
        cwd: folder,
        interruptAtFile: '.part',
      });
      expect(result.code).toBe(130);
      expect(await readdir(folder)).toEqual(['large.safetensors', 'long.txt']);
    } finally {
      await rm(join(folder, 'large.safetensors'));
    }
  });

  it('with --json still prints one object', async () => {
    const [bench, generate] = await Promise.all([
      runCli(['bench', '--repeat', '10000', '--json'], { interruptIn: 700 }),
      runCli(['generate', 'In', '-n', '1000000', '--json'], { interruptIn: 700 }),
    ]);
    expect(bench.code).toBe(130);
    expect(JSON.parse(bench.stdout)).toEqual({
      error: { code: 'INTERRUPTED', message: 'interrupted' },
    });
    expect(generate.code).toBe(130);
    // What there is, as the stream would have shown it.
    expect(JSON.parse(generate.stdout)).toMatchObject({ finishReason: 'abort' });
  });
});

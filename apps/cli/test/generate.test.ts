import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { goldenFolder, goldenPath, goldenTitle } from './golden.js';
import { type CliOptions, runCli, runJson } from './run-cli.js';

interface Generated {
  readonly text: string;
  readonly tokens: readonly number[];
  readonly finishReason: string;
  readonly stop?: string;
  readonly logprobs: readonly { token: number; logprob: number; topLogprobs?: unknown[] }[];
}

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rwkv-cli-generate-'));
});
afterAll(() => rm(folder, { recursive: true }));

const generated = (args: readonly string[], options: CliOptions = {}): Promise<Generated> =>
  runJson(['generate', ...args], options) as Promise<Generated>;

describe.skipIf(goldenFolder === undefined)(goldenTitle('rwkv.cpp models'), () => {
  it('the 7v0 model writes 100 tokens, the same each time', async () => {
    const model = goldenPath('rwkv-cpp-tiny', 'tiny-rwkv-7v0-834K-FP32.bin');
    const args = ['--model', model, '--tokenizer', 'bytes', '--prompt', '"in'];
    const run = [...args, '--max-tokens', '100', '--seed', '1'];
    const [plain, json, other] = await Promise.all([
      runCli(['generate', ...run]),
      generated(run),
      generated([...args, '--max-tokens', '100', '--seed', '2']),
    ]);
    expect(json.tokens).toHaveLength(100);
    expect(json.finishReason).toBe('length');
    expect(plain).toEqual({ code: 0, stdout: `"in${json.text}\n`, stderr: '' });
    expect(other.tokens).not.toEqual(json.tokens);
  });

  it('a model without a tokenizer gives ids', async () => {
    const args = ['--model', goldenPath('v7', 'model.fp32.pth'), '--tokens', '1,2,3', '-n', '6'];
    const [plain, json, text] = await Promise.all([
      runCli(['generate', ...args, '--greedy']),
      generated([...args, '--greedy']),
      runCli(['generate', '--model', goldenPath('v7', 'model.fp32.pth'), 'hello']),
    ]);
    expect(plain.stdout.trim()).toBe(json.tokens.join(' '));
    // Here the default preset has penalties, which greedy has not.
    const long = await generated([...args, '--greedy', '-n', '60', '--top-logprobs', '1']);
    for (const { token, topLogprobs } of long.logprobs)
      expect(topLogprobs).toMatchObject([{ token }]);
    expect(text).toMatchObject({ code: 3, stdout: '' });
    expect(text.stderr).toMatch(/^error: this model file has no tokenizer in it: pass --tokenizer/);
  });
});

describe('rwkv generate', () => {
  it('50 tokens are 25 and then 25 from a state file', async () => {
    const state = join(folder, 'half.state');
    const [whole, first] = await Promise.all([
      generated(['And God', '--greedy', '-n', '50']),
      generated(['And God', '--greedy', '-n', '25', '--state-out', state]),
    ]);
    const second = await generated(['--state-in', state, '--greedy', '-n', '25']);
    expect([...first.tokens, ...second.tokens]).toEqual(whole.tokens);
    expect(first.text + second.text).toBe(whole.text);
    // Written whole: no temporary file is left beside it.
    expect(await readdir(folder)).toEqual(['half.state']);
  });

  it('takes the prompt from an argument, an option, a file or a pipe', async () => {
    const path = join(folder, 'prompt.txt');
    await writeFile(path, 'And\nGod');
    const rest = ['--greedy', '-n', '8'];
    const outputs = await Promise.all([
      runCli(['generate', 'And\nGod', ...rest]),
      runCli(['generate', '--escape', '--prompt', 'And\\nGod', ...rest]),
      runCli(['generate', '--prompt-file', path, ...rest]),
      runCli(['generate', ...rest], { input: 'And\nGod' }),
      runCli(['generate', '-', ...rest], { input: 'And\nGod' }),
      runCli(['generate', '--tokens', Buffer.from('And\nGod').join(), ...rest]),
    ]);
    const [text] = outputs;
    expect(text.stdout).toMatch(/^And\nGod.{8}\n$/s);
    for (const output of outputs.slice(0, 5)) expect(output).toEqual(text);
    // Ids are not echoed.
    expect(`And\nGod${outputs[5].stdout}`).toBe(text.stdout);
    await rm(path);
  });

  it('refuses a file or pipe that is not UTF-8, and keeps a byte order mark', async () => {
    const path = join(folder, 'latin-1.txt');
    const latin1 = Buffer.from('No\u00e9', 'latin1');
    await writeFile(path, latin1);
    const marked = '\ufeffAnd';
    const [file, pipe, perplexity, tokens] = await Promise.all([
      runCli(['generate', '--prompt-file', path, '-n', '1']),
      runCli(['generate', '-n', '1'], { input: latin1 }),
      runCli(['perplexity', '--file', path]),
      runJson(['logits', '--prompt', marked]),
    ]);
    for (const [{ code, stdout, stderr }, name] of [
      [file, path],
      [pipe, 'standard input'],
      [perplexity, path],
    ] as const) {
      expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
      expect(stderr).toBe(
        `error: ${name} is not UTF-8 text: convert it first. \`rwkv tokenize --file\` takes any bytes.\n`,
      );
    }
    await writeFile(path, marked);
    expect(await runJson(['logits', '--prompt-file', path])).toEqual(tokens);
    expect(await generated(['-n', '1'], { input: marked })).toMatchObject({
      prompt: marked,
      usage: { promptTokens: 6 },
    });
    await rm(path);
  });

  it('stops before a stop text, and says so; escapes hold there too', async () => {
    const args = ['And God', '--greedy', '-n', '60'];
    const { text } = await generated(args);
    const at = text.indexOf(' ', 5);
    expect(at).toBeGreaterThan(0);
    const stopped = await generated([...args, '--escape', '--stop', '\\u0020', '--stop', '\\n']);
    expect(stopped).toMatchObject({ finishReason: 'stop', stop: ' ' });
    expect(text.startsWith(`${stopped.text} `)).toBe(true);
  });

  it('--json has a logprob for every token, and the likeliest where asked', async () => {
    const { tokens, logprobs } = await generated([
      'In',
      '--greedy',
      '-n',
      '4',
      '--top-logprobs',
      '3',
    ]);
    expect(logprobs.map(({ token }) => token)).toEqual(tokens);
    for (const { token, logprob, topLogprobs } of logprobs) {
      expect(topLogprobs).toHaveLength(3);
      expect(topLogprobs?.[0]).toEqual({ token, logprob });
    }
  });

  it('banned and biased tokens keep to it', async () => {
    const { tokens } = await generated(['In the', '--seed', '1', '-n', '40', '--ban', '101,32']);
    expect(tokens.filter((token) => token === 101 || token === 32)).toEqual([]);
    expect((await generated(['In', '-n', '3', '--logit-bias', '120=1000'])).text).toBe('xxx');
  });

  it('notes go to standard error', async () => {
    const { stdout, stderr } = await runCli(['generate', 'In', '-n', '5', '--no-echo', '--stats']);
    expect(stdout).toHaveLength(6);
    expect(stderr).toMatch(/^2 prompt \+ 5 new tokens in [\d.]+ s \([\d.]+ tokens\/s\)\n$/);
  });
});
